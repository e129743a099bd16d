"""Everything once, in a process that is watched and, if Linux allows it, has no network.

It draws, trains, stops, resumes, predicts, cleans labels, exports, asks questions, writes handouts and gathers answers. It asks nothing of the network, opens no
pickle, and writes nothing that tells about the machine or its user. Names of photos and breeds stay text.
"""
import base64
import html
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec

import pytest
from safetensors import safe_open


HOUSE = '''
import os, pickle, socket, sys
LOG = os.open(sys.argv[1], os.O_WRONLY|os.O_APPEND|os.O_CREAT)

def ours():
    "Whether something is read from a file: processes and threads also talk to each other in pickles"
    frame, talk = sys._getframe(2), ('multiprocessing.', 'concurrent.futures.', 'torch.multiprocessing.')
    while frame:
        if frame.f_globals.get('__name__', '').startswith(talk): return False
        frame = frame.f_back
    return True

def note(*what): os.write(LOG, (' '.join(map(repr, what))+'\\n').encode())

NETWORK = ('socket.connect', 'socket.sendto', 'socket.sendmsg', 'socket.getaddrinfo', 'socket.gethostbyname',
           'urllib.Request', 'http.client.connect')
def watch(event, args):
    if event in NETWORK and getattr(args[0], 'family', None) != socket.AF_UNIX: # AF_UNIX leads to processes of ours
        note('request', event, args)
        raise OSError('no request was asked for')
    if event == 'pickle.find_class' and ours(): note('pickle', event, args)
sys.addaudithook(watch)

def spied(module, name, noted):
    there = getattr(module, name)
    def spy(*args, **kwargs):
        if ours(): noted(name, kwargs)
        return there(*args, **kwargs)
    setattr(module, name, spy)
for name in ('load', 'loads'): spied(pickle, name, lambda name, kwargs: note('pickle', name))
class Unpickler(pickle.Unpickler):
    def load(self):
        if ours(): note('pickle', 'Unpickler')
        return super().load()
pickle.Unpickler = Unpickler
import torch
spied(torch, 'load', lambda name, kwargs: note('torch.load', kwargs.get('weights_only')))

import io, json, pkgutil, shutil
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch
import pet_breeds
for m in pkgutil.iter_modules(pet_breeds.__path__):
    if not m.name.startswith('_'): import_module(f'pet_breeds.{m.name}')
note('interfaces', [name for _, name in socket.if_nameindex()])

from pet_breeds import app, quiz
from pet_breeds.cli import main, main_app, main_cards, main_export, main_gather, main_predict, main_quiz, main_student
from pet_breeds.drawn import draw_pets
from pet_breeds.fixes import clean_labels
from pet_breeds.model import drawnet
from pet_breeds.weights import cached_weights
from pet_breeds.pets import Run, run_pets
from pet_breeds.predict import predict_pets
from pet_breeds.sources import get_pets
here = Path.cwd()
get_pets('auto', n_per_breed=1, progress=False)
pets = draw_pets(here/'plain', 8, breeds=['pug', 'Bengal', 'beagle', 'Sphynx'], progress=False)
photos = sorted((pets/'images').iterdir())
for i, label in enumerate(LABELS):
    folder = Path(sys.argv[2])/label # elsewhere, and not below the current folder
    folder.mkdir(parents=True)
    for j, f in enumerate(photos[8*i:8*i+8]): shutil.copy(f, folder/f'<img src=x onerror=alert({j})>"&_{j}.jpg')
    (folder/f'<b onmouseover=alert()>bad_{i}.jpg').write_bytes(b'no photo')

quick = dict(path=sys.argv[2], labels='folder', epochs=2, size=32, bs=8, seed=3, cache=True, out=str(here/'report'))
def stop(*args): raise KeyboardInterrupt
with patch.object(Run, 'measure', stop):
    try: run_pets(**quick)
    except KeyboardInterrupt: note('stopped', (here/'.report-run.safetensors').exists())
run_pets(**quick, resume=True)
options = '--arch resnet18 --presize stock --epochs 1 --size 32 --bs 8 --lr 1e-3 --out stock'
main(['--path', str(pets), *options.split()])
torch.save(drawnet().state_dict(), 'own.pth')
run_pets(path=str(pets), weights='own.pth', out=str(Path.home()/'own'), size=32, bs=8)
assert cached_weights('resnet18') is None and cached_weights('resnet10t') is None
assert len(predict_pets('report', [sys.argv[2]])[0]) == 32
main_predict(['report', str(photos[0])])
with patch('sys.stdin', io.TextIOWrapper(io.BytesIO(sys.argv[2].encode()))):
    main_predict(['report', '-', '--labels', 'folder', '--top', '0', '--unsure', '.9', '--out', 'preds.json'])

said, grid, button, told = clean_labels('report').children
for i, card in enumerate(grid.children): card.children[1].value = 'drop' if i == 1 else 'keep'
button.click()
(here/'clean.html').write_text(''.join(card.children[0].value for card in grid.children) + told.value)
run_pets(path=sys.argv[2], labels='folder', arch='drawnet', head='linear', size=64, bs=8, fix='fixes.csv', out='fixed')

(here/'in').mkdir()
answers = dict(q7=dict(verdict='right', source="quiz.q7.check('<script>alert(1)</script>')"))
student = dict(made_by='pet_breeds results', version=1, package='0', name='=HYPERLINK("x")', answers=answers)
(here/'in'/'<img src=x onerror=alert(2)>.json').write_text(json.dumps(student))
shutil.copy(photos[0], here/'in'/'photo.json')
main_gather(['in', 'class'])
if all(map(find_spec, ('gradio', 'onnxscript', 'onnxruntime'))):
    import gradio
    def launch(page, server_name, **options):
        file = Path(os.environ['GRADIO_TEMP_DIR'])/'photo.jpg'
        shutil.copy(photos[0], file)
        (here/'app.html').write_text(app.take(str(file), app.answerer('fixed'), .5)[0])
        note('listens', server_name)
        return None, 'http://127.0.0.1:1/', None
    with patch.object(gradio.Blocks, 'launch', launch), patch.object(app, 'threading', SimpleNamespace(Event=lambda: SimpleNamespace(wait=stop))):
        main_app(['fixed'])
    main_export(['fixed', 'pets.onnx'])
with patch('sys.stdin', io.StringIO('hint\\nanswer\\nshow_batch\\n')): main_quiz(['q7'])
assert quiz.q13.check([.22, .02, .76]) and quiz.show()
main_student(['student', *sys.argv[3:]])
main_cards(['deck.apkg', *sys.argv[3:]])
note('done')
'''
LABELS = ['<script>alert(1)<', '"&\'', r'$\frac{$', '<b>_$x^2$_&amp;']
HOUSE = HOUSE.replace('LABELS', repr(LABELS))
NO_NETWORK = ['unshare', '--map-root-user', '--net']
CHROMIUM = next(filter(None, map(shutil.which, ('google-chrome', 'chromium'))), None)


@pytest.fixture(scope='module')
def house(tmp_path_factory, root):
    "The folder in which everything ran, what was noted, and the words that nothing it wrote may contain"
    top = tmp_path_factory.mktemp('house')
    home, elsewhere, here = (top/name for name in ('home-of-zwerg7', 'riesen-disk/pets', 'keller9/work'))
    for folder in (home, here): folder.mkdir(parents=True)
    env = dict(PATH=os.environ['PATH'], HOME=str(home), USER='zwerg7', LOGNAME='zwerg7', SECRET_TOKEN='hokuspokus3',
               OMP_NUM_THREADS='1', TORCH_HOME=str(home/'torch'), HF_HOME=str(home/'hf'))
    cut = shutil.which('unshare') and subprocess.run([*NO_NETWORK, 'true'], capture_output=True).returncode == 0
    nbs = ['--nbs', root/'nbs'] if (root/'nbs').is_dir() else []
    words = [*NO_NETWORK*bool(cut), sys.executable, '-W', 'ignore', '-c', HOUSE, top/'log', elsewhere, *nbs]
    done = subprocess.run(words, cwd=here, env=env, capture_output=True, text=True, timeout=300)
    noted = [line.split(' ', 1) for line in (top/'log').read_text().splitlines()]
    assert done.returncode == 0, (noted[-5:], done.stderr[-3000:])
    words = ['zwerg7', 'riesen-disk', 'keller9', 'hokuspokus3', str(top), str(root), sys.prefix]
    return here, noted, words + [platform.node()]*(len(platform.node()) > 3)


def test_decisions_of_a_page_come_back(house):
    "Photos with names like these are kept or dropped by a table that the page wrote"
    fixed = json.loads((house[0]/'fixed'/'metrics.json').read_text())['fix']
    assert len(fixed['dropped']) >= 1 and len(fixed['kept']) >= 1 and all('onerror' in f or 'bad_' in f for f in fixed['dropped'])


def test_names_stay_text_in_widgets_and_tables(house):
    here = house[0]
    assert set(re.findall(r'<(\w+)', (here/'clean.html').read_text())) <= {'img', 'div', 'br', 'em', 'pre', 'code'}
    assert 'onerror=alert' not in re.sub('&lt;.*?&gt;', '', (here/'clean.html').read_text())
    assert "'=HYPERLINK" in (here/'class'/'table.csv').read_text()
    assert '<script>' not in re.sub('```.*?```', '', (here/'class'/'to_read.md').read_text(), flags=re.S), 'only as code'
    assert len(json.loads((here/'preds.json').read_text())) == 32


def test_the_page_listens_here_only(house):
    if not find_spec('gradio'): pytest.skip('not here: gradio')
    page = (house[0]/'app.html').read_text()
    assert noted(house, 'listens') == [["'127.0.0.1'"]] and (house[0]/'pets.onnx').stat().st_size > 100_000
    assert re.findall(r'<(\w+)', page) == ['img', 'img', 'p'] and sum(html.escape(label) in page for label in LABELS) == 2


def noted(house, what): return [rest for word, *rest in house[1] if word == repr(what)]


def test_everything_was_run_to_its_end(house):
    assert noted(house, 'done') == [[]] and noted(house, 'stopped') == [['True']], house[1]
    assert len(json.loads((house[0]/'report'/'model.json').read_text())['vocab']) == 4


def test_no_request_is_made_unasked(house): assert noted(house, 'request') == []


def test_the_network_was_cut(house):
    "With `unshare` there is no interface but the loop, and that is down"
    interfaces = noted(house, 'interfaces')[0][0]
    if interfaces != "['lo']": pytest.skip(f'not allowed to cut the network here: {interfaces}')


def test_no_pickle_is_opened(house):
    "Except a `.pth` of the user's own, which torch reads in its mode for numbers"
    assert noted(house, 'pickle') == []
    assert set(map(tuple, noted(house, 'torch.load'))) == {('True',)}


# what the report says

TAGS = set('html head meta title style body main section h1 h2 nav a p div span i ul li figure figcaption code details summary img table thead '
           'tbody tr th td wbr'.split())


class Page(HTMLParser):
    "Its tags, their attributes, and its text"
    def __init__(self, text):
        super().__init__()
        self.tags, self.attrs, self.text = [], [], []
        self.feed(text)
    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attrs += [(tag, *a) for a in attrs]
    def handle_data(self, data): self.text.append(data)


@pytest.fixture(scope='module')
def page(house): return (house[0]/'report'/'index.html').read_text(encoding='utf-8').replace('<wbr>', '')


def test_names_stay_text(page):
    got = Page(page)
    assert set(got.tags) <= TAGS and 'table' in got.tags and got.tags.count('img') >= 4
    known = ('html lang, meta charset, meta name, meta content, a href, h2 id, h2 class, p class, nav aria-label, th scope, figure class, '
             'div class, div role, div aria-label, div aria-hidden, div tabindex, i class, i style, ul class, img alt, img src, '
             'img class, span class')
    assert {f'{tag} {name}' for tag, name, _ in got.attrs} <= set(known.split(', '))
    text = ''.join(got.text)
    for label in LABELS: assert label in text
    assert '<b onmouseover=alert()>bad_0.jpg' in text


def test_the_page_points_nowhere_else(page):
    for tag, name, value in Page(page).attrs:
        if name in ('href', 'src'): assert value.startswith(('#s',) if tag == 'a' else ('data:image/png;base64,', 'data:image/jpeg;base64,'))
    assert not re.search(r'url\(|@import|http-equiv', page)


@pytest.mark.skipif(not (CHROMIUM and find_spec('playwright')), reason='not here: chromium or playwright')
def test_a_browser_asks_for_nothing(house, page):
    from playwright.sync_api import sync_playwright
    with sync_playwright() as p:
        args = ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage']
        browser = p.chromium.launch(executable_path=CHROMIUM, args=args)
        tab, asked, told = browser.new_page(), [], []
        tab.on('request', lambda r: asked.append(r.url))
        tab.on('dialog', lambda d: (told.append(d.message), d.dismiss()))
        tab.goto((house[0]/'report'/'index.html').as_uri())
        tags = set(tab.evaluate("[...document.querySelectorAll('*')].map(e => e.localName)"))
        browser.close()
    assert told == [] and tags <= TAGS and all(url.startswith(('file:', 'data:')) for url in asked)
    assert sum(url.startswith('file:') for url in asked) == 1


@pytest.mark.parametrize('report', ['report', 'stock', 'own', 'fixed'])
def test_nothing_tells_of_the_machine(house, report):
    """In the page and its pictures, the numbers and the model: no path from the root, no user, no name of the machine,
    nothing from the environment. Only the command in metrics.json, which repeats the run, is kept as it was given"""
    here, _, words = house
    folder = here.parents[1]/'home-of-zwerg7'/'own' if report == 'own' else here/report
    page, metrics = (folder/'index.html').read_text(encoding='utf-8').replace('<wbr>', ''), json.loads((folder/'metrics.json').read_text())
    assert metrics.pop('command').startswith('pet_breeds ')
    with safe_open(folder/'model.safetensors', 'pt') as f: said = str(f.metadata()) + ' '.join(f.keys())
    said += page + str(metrics) + (folder/'model.json').read_text()
    pictures = b''.join(map(base64.b64decode, re.findall('base64,([^"]+)"', page)))
    assert [w for w in words if w in said or w.encode() in pictures] == []
    paths = r'(?<![\w.<])/(home|root|Users|tmp|private|work|opt|var|mnt)\b'
    assert not re.search(paths, re.sub('base64,[^"]+', '', said))


def test_how_to_do_it_again(house):
    "The page shows a command that works from the same folder, or none if the photos lie elsewhere"
    here = house[0]
    def command(folder):
        page = re.sub('<span class="option">(.*?)</span>', r'\1', (folder/'index.html').read_text(encoding='utf-8'))
        paragraphs = re.findall('<p>(?:<code>)?(.*?)(?:</code>)?</p>', html.unescape(page))
        return next(p for p in paragraphs if p.startswith(('pet_breeds ', 'metrics.json holds the command')))
    assert command(here/'report').startswith('metrics.json')
    assert '--path=plain ' in command(here/'stock') and '--out=stock' in command(here/'stock')
    own = command(here.parents[1]/'home-of-zwerg7'/'own')
    assert "'--out=~/own'" in own and '--weights=own.pth' in own and '--path=plain ' in own
