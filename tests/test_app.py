"The page that takes a photo, and the Space, in a real browser: what they answer, what they keep, and whom they ask."
import base64
import io
import json
import os
import re
import runpy
import shlex
import shutil
import socket
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from conftest import refused
from PIL import Image

pytest.importorskip('gradio')

from fastai.vision.all import CategoryBlock, RandomSplitter
from pet_breeds import app
from pet_breeds.app import model_facts, open_app, upright, verdict, write_space
from pet_breeds.batches import PhotoBlock, photo_block
from pet_breeds.cli import main_app
from pet_breeds.data import pets_dls
from pet_breeds.model import make_learner
from pet_breeds.photos import any_photo
from pet_breeds.predict import Predictor, predict_pets
from pet_breeds.saving import save_model
from pet_breeds.warp import Prep

CHROMIUM = next(filter(None, map(shutil.which, ('google-chrome', 'chromium'))), None)
METRICS = dict(error_rate=.125, error_low=.02, error_high=.47, baseline='pug', baseline_error=.75, mean_breed_error=.125, n_measured=8,
               n_different=8, n_classes=4, photos='drawn', not_measured=[], folds=0, balance=False)


@pytest.fixture(scope='module')
def report(drawn, tmp_path_factory):
    learn = make_learner(pets_dls(drawn, bs=8, size=64, seed=1), head='linear')
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(1, 2e-3)
    report = save_model(learn, tmp_path_factory.mktemp('app')/'report')
    (report/'metrics.json').write_text(json.dumps({**METRICS, 'model_sha256': Predictor(report).about['sha256']}))
    return report


@pytest.fixture(scope='module')
def space(report, tmp_path_factory):
    pytest.importorskip('onnxruntime')
    return write_space(report, tmp_path_factory.mktemp('space')/'pets')


@pytest.fixture(scope='module')
def uploads(drawn, tmp_path_factory):
    "A photo; the same one lying on its side, and how to turn it; 100 megapixels; a text; 32 MB"
    folder = tmp_path_factory.mktemp('uploads')
    photo = Image.open(drawn/'images'/'pug_1.jpg')
    photo = photo.crop((0, 0, photo.width, photo.height*2//3))
    photo.save(folder/'plain.png')
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.transpose(Image.Transpose.ROTATE_90).save(folder/'turned.png', exif=exif)
    Image.new('RGB', (10_000, 10_000), 'gray').save(folder/'huge.jpg', quality=20)
    (folder/'text.jpg').write_text('my notes')
    (folder/'heavy.jpg').write_bytes(bytes(32_000_000))
    return folder


@pytest.fixture(scope='module')
def browser():
    if not (CHROMIUM and find_spec('playwright')): pytest.skip('not here: chromium or playwright')
    from playwright.sync_api import sync_playwright
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'])
        yield browser
        browser.close()


@pytest.fixture
def asked(monkeypatch):
    "Whom this process connects to, besides itself"
    asked, connect = [], socket.socket.connect
    def spy(self, address):
        if self.family != socket.AF_UNIX and address[0] not in ('127.0.0.1', '::1'): asked.append(address)
        return connect(self, address)
    monkeypatch.setattr(socket.socket, 'connect', spy)
    return asked


def try_page(browser, address, uploads, names):
    "What the page answers to each file, the size of the picture that it shows, its map, and which hosts the browser asked"
    tab, hosts, said = browser.new_page(), [], {}
    tab.on('request', lambda r: hosts.append(re.sub(r'^\w+://([^/]*)/.*', r'\1', r.url) if '://' in r.url else r.url[:5]))
    tab.goto(address)
    answer, photo, over = tab.get_by_label('Answer', exact=True), *(tab.locator(f'img[alt="{alt}"]') for alt in ('Your photo', 'Where the model looked'))
    answer.wait_for()
    state = "() => document.querySelector('textarea').value + document.querySelector('img[alt=\"Your photo\"]')?.src"
    for name in names: # no two neighbors may get the same answer
        before = tab.evaluate(state)
        tab.set_input_files('input[type=file]', uploads/name)
        if name == 'heavy.jpg': tab.get_by_text('maximum allowed size').first.wait_for()
        else: tab.wait_for_function(f'was => ({state})() != was', arg=before)
        size, above = (im.evaluate('e => e.decode().then(() => [e.naturalWidth, e.naturalHeight])') if im.count() else None for im in (photo, over))
        assert size == above
        said[name] = answer.input_value(), size, over.get_attribute('src') if size else None
    tab.close()
    return said, hosts


def pixels_of(url): return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(',')[2]))), float)


def temporary(): return {f for f in os.listdir(tempfile.gettempdir()) if f.startswith('pet_breeds_app_')}


def test_the_page(browser, report, uploads, drawn, asked, capsys):
    names = ['plain.png', 'text.jpg', 'turned.png', 'heavy.jpg', 'huge.jpg']
    before = temporary()
    with open_app(report, unsure=.3) as address:
        [folder] = temporary()-before
        said, hosts = try_page(browser, address, uploads, names)
        kept = [f for f in (Path(tempfile.gettempdir())/folder).rglob('*') if f.is_file()]
    want = predict_pets(report, [str(uploads/name) for name in ('plain.png', 'turned.png', 'huge.jpg')], top=0)[0]
    for name, row in zip(('plain.png', 'turned.png', 'huge.jpg'), want.to_dict('records')):
        probs = {k.removeprefix('prob_'): v for k, v in row.items() if k.startswith('prob_')}
        assert said[name][0] == verdict(probs, .3), name
    assert said['plain.png'] == said['turned.png'] and said['plain.png'][1] == [240, 120] and said['huge.jpg'][1] == [240, 240]
    assert said['text.jpg'] == ('No answer: a photo cannot be read: it is in no format that Pillow knows', None, None)
    own = app.answerer(report)((uploads/'turned.png').read_bytes())
    assert np.abs(pixels_of(said['turned.png'][2])-np.asarray(own[2], float)).mean() < 6 # a JPEG of it
    assert kept == [] and temporary() == before
    assert set(hosts) <= {address.split('/')[2], 'data:', 'blob:'} and asked == []
    assert address.startswith('http://127.0.0.1:') and capsys.readouterr().out == ''


def test_the_space_in_a_browser(browser, space, uploads, asked, monkeypatch, tmp_path):
    "The file app.py as it is, of which only the port is chosen here"
    (tmp_path/'uploads').mkdir()
    monkeypatch.setenv('GRADIO_TEMP_DIR', str(tmp_path/'uploads'))
    names = runpy.run_path(str(space/'app.py'))
    page = names['make_page'](names['answer'], 'facts', .3)
    try:
        address = page.launch(prevent_thread_lock=True, quiet=True, **names['QUIET'])[1]
        said, hosts = try_page(browser, address, uploads, ['plain.png', 'text.jpg', 'turned.png', 'huge.jpg'])
    finally: page.close(verbose=False)
    assert said['plain.png'] == said['turned.png'] and said['plain.png'][2] and '%' in said['huge.jpg'][0]
    assert said['text.jpg'][0] == 'No answer: this is no photo in a known format'
    assert set(hosts) <= {address.split('/')[2], 'data:', 'blob:'} and asked == []
    assert [f for f in (tmp_path/'uploads').rglob('*') if f.is_file()] == []


def test_the_space_answers_as_predict(space, report, drawn):
    "And its card tells what was measured"
    answer = runpy.run_path(str(space/'app.py'))['answer']
    photos = sorted((drawn/'images').iterdir())
    want = predict_pets(report, photos, top=0)[0]
    ours = app.answerer(report)
    for file, row in zip(photos, want.to_dict('records')):
        _, probs, over = answer(file.read_bytes())
        for breed, p in probs.items(): assert p == pytest.approx(row[f'prob_{breed}'], abs=1e-3)
        assert np.abs(np.asarray(over, float)-np.asarray(ours(file.read_bytes())[2])).mean() < 3 # a JPEG is decoded in another way
    program = (space/'app.py').read_text()
    assert 0 < program.index("ORT_DISABLE_TELEMETRY='1'") < program.index('import numpy as np, onnxruntime')
    card = (space/'README.md').read_text()
    assert card.startswith('---\n') and model_facts(report) in card and 'Error rate 0.125 (95% interval 0.020 to 0.470) on 8 drawn' in card
    assert 'samoyed' in card and sorted(os.listdir(space)) == ['README.md', 'app.py', 'model.onnx', 'requirements.txt']
    assert re.fullmatch(r'(\w+==[\w.]+\n){4}', (space/'requirements.txt').read_text())


def test_a_map_is_exact(report, uploads):
    "Its mean and the bias are the logit; and it lies on the photo as it was turned"
    predictor, files = Predictor(report), [uploads/name for name in ('plain.png', 'turned.png')]
    plain, turned = map(predictor.maps, files)
    np.testing.assert_array_equal(plain, turned)
    acts = plain.mean((1, 2)) + predictor.net.net[1][-1].bias.detach().numpy()
    np.testing.assert_allclose(np.exp(acts)/np.exp(acts).sum(), predictor(files[:1])[0], atol=1e-5)
    assert plain.shape[0] == 4 and plain[0].size > 1


def test_without_an_exact_map_there_is_none(drawn, tmp_path):
    "A head of two layers; and names of breeds stay text"
    report = save_model(make_learner(pets_dls(drawn, bs=8, size=64)), tmp_path/'report')
    pixels, probs, over = app.answerer(report)((drawn/'images'/'pug_1.jpg').read_bytes())
    assert over is None and len(probs) == 4
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as m:
        m.setenv('GRADIO_TEMP_DIR', folder)
        def shown(over):
            (Path(folder)/'a.jpg').write_bytes(b'')
            return app.take(Path(folder)/'a.jpg', lambda data: (pixels, {'<b>"&': .7, 'pug': .3}, over), .5)[0]
        assert shown(None).count('<img') == 1 and 'looked' not in shown(None)
        assert shown(Image.new('RGB', (9, 9))).endswith('orange parts speak for &lt;b&gt;&quot;&amp;, blue ones for pug.</p>')


def encoded(im, format, **kw):
    out = io.BytesIO()
    im.save(out, format, **kw)
    return out.getvalue()


@pytest.mark.parametrize('turn', [1, 3, 6])
def test_photos_for_the_space_are_read_as_ours(turn):
    "Upright, halved and on white; of a JPEG only as near as its smaller decoding is"
    noise = np.random.default_rng(turn).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    im, exif = Image.fromarray(noise).resize((242, 313), Image.BICUBIC), Image.Exif()
    exif[0x0112] = turn
    for data in (encoded(im, 'PNG', exif=exif), encoded(im.convert('L'), 'PNG', exif=exif),
                 encoded(im.convert('RGBA').rotate(20), 'PNG', exif=exif), encoded(im.quantize(60), 'GIF')):
        np.testing.assert_array_equal(upright(data, 100), any_photo(data, 100))
    gray = np.asarray(im.convert('L')).astype(np.uint16)
    for format in ('PNG', 'TIFF'):
        for deep in (gray, gray*16, gray*257):
            data = encoded(Image.fromarray(deep), format, exif=exif)
            np.testing.assert_array_equal(upright(data, 100), any_photo(data, 100))
            assert 60 < upright(data, 100).mean() < 200, 'neither black nor white'
    for odd in (encoded(Image.fromarray(gray.astype(np.float32)), 'TIFF'), encoded(Image.fromarray(gray.astype(np.int32)*9999), 'TIFF'), encoded(im, 'PNG', exif=b'Exif\0\0no such thing')):
        for read in (upright, any_photo): pytest.raises((ValueError, SyntaxError), read, odd, 100)
    data = encoded(im, 'JPEG', exif=b'Exif\0\0no such thing')
    assert upright(data, 100).shape == any_photo(data, 100).shape
    data = encoded(im, 'JPEG', exif=exif, quality=95)
    ours = any_photo(data, 100)
    assert upright(data, 100).shape == ours.shape and np.abs(upright(data, 100).astype(int)-ours).mean() < 2


def test_what_is_refused(report, space, tmp_path, capsys, monkeypatch):
    before = {f: f.read_bytes() for f in space.iterdir()}
    (tmp_path/'file').write_text('mine')
    for dest in (space, tmp_path/'file'): refused(main_app, capsys, [report, '--space', dest], dest.name, 'there is something already')
    assert {f: f.read_bytes() for f in space.iterdir()} == before and (tmp_path/'file').read_text() == 'mine'
    refused(main_app, capsys, [tmp_path, '--space', tmp_path/'new'], 'model.safetensors')
    refused(main_app, capsys, [tmp_path], 'model.safetensors')
    for options in (['--port', '0'], ['--unsure', '2'], ['--host', ''], ['--space', '']): refused(main_app, capsys, [report, *options], options[0])
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        refused(main_app, capsys, [report, '--port', taken.getsockname()[1]], str(taken.getsockname()[1]))
    assert os.listdir(tmp_path) == ['file']
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    refused(main_app, capsys, [report], 'pip install gradio')


@pytest.mark.parametrize('here', ['.', None])
def test_the_folder_you_are_in_is_no_place_for_a_space(here, report, tmp_path, capsys, monkeypatch):
    "Said before the model is exported; by either name the folder stays"
    monkeypatch.setattr(app, 'onnx_model', lambda *args, **kwargs: pytest.fail('exported'))
    monkeypatch.chdir(tmp_path)
    inode = os.stat(tmp_path).st_ino
    refused(main_app, capsys, [report, '--space', here or tmp_path], 'you are in this folder')
    assert os.stat(tmp_path).st_ino == inode and os.listdir(tmp_path) == []


def test_a_model_of_one_breed_answers(drawn, tmp_path, capsys):
    "There is no other breed for which a part of the photo could speak; on the page and in a Space, which is run by the command that is printed"
    files = sorted((drawn/'images').iterdir())
    block = PhotoBlock((photo_block(Prep(size=64, item=80)), CategoryBlock), get_y=lambda f: 'pug', splitter=RandomSplitter(seed=1))
    learn = make_learner(block.dataloaders(files, bs=8, num_workers=0, device='cpu'), weights='none', head='linear')
    report, photo = save_model(learn, tmp_path/'one'), files[0].read_bytes()
    assert app.answerer(report)(photo)[1:] == ({'pug': 1.}, None)
    pytest.importorskip('onnxruntime')
    space = write_space(report, tmp_path/"my space")
    assert runpy.run_path(str(space/'app.py'))['answer'](photo)[1:] == ({'pug': 1.}, None)
    assert shlex.split(capsys.readouterr().out.rpartition('run it here: ')[2]) == ['python', str(space/'app.py')]


def test_a_photo_that_is_too_small_gets_no_answer(report, space):
    "As in a prediction"
    answers = [app.answerer(report), runpy.run_path(str(space/'app.py'))['answer']]
    for side in (31, 32):
        data = encoded(Image.new('RGB', (side, 400), 'gray'), 'PNG')
        for answer in answers:
            if side == 32: assert len(answer(data)[1]) == 4
            else: pytest.raises(ValueError, answer, data).match('31 x 400 pixels is too small: expected 32 or more each way')


def test_the_facts_of_a_model_given_by_its_file(report, tmp_path):
    assert model_facts(report/'model.safetensors') == model_facts(report) and 'Error rate 0.125' in model_facts(report)
    assert 'not known' in model_facts(tmp_path) and 'not known' in model_facts(tmp_path/'none.safetensors')


def test_only_uploads_are_read_and_deleted(tmp_path, monkeypatch):
    monkeypatch.setenv('GRADIO_TEMP_DIR', str(tmp_path/'uploads'))
    (tmp_path/'uploads').mkdir()
    (tmp_path/'mine.jpg').write_bytes(b'mine')
    for path in (tmp_path/'mine.jpg', tmp_path/'uploads'/'..'/'mine.jpg'):
        with pytest.raises(ValueError, match='not an uploaded file'): app.take(str(path), lambda data: pytest.fail('read'), .5)
    assert (tmp_path/'mine.jpg').read_bytes() == b'mine'


@pytest.mark.parametrize('error, says', [(SyntaxError('not a TIFF file'), 'not a TIFF file'), (Image.DecompressionBombError('too large'), 'too large'), (MemoryError(), 'MemoryError')])
def test_whatever_a_file_causes_the_page_answers(error, says, tmp_path, monkeypatch):
    def fail(data): raise error
    monkeypatch.setenv('GRADIO_TEMP_DIR', str(tmp_path))
    (tmp_path/'a').mkdir()
    (tmp_path/'a'/'photo.png').write_bytes(b'1')
    assert app.take(tmp_path/'a'/'photo.png', fail, .5) == ('', f'No answer: {says}', {}) and os.listdir(tmp_path) == []


def test_facts_are_of_this_model(report, drawn, tmp_path):
    "Another model that somebody saved into the report, an older report, and files that are no metrics"
    other = make_learner(pets_dls(drawn, bs=8, size=64, seed=1), head='linear')
    shutil.copytree(report, tmp_path/'report')
    assert model_facts(tmp_path/'report').startswith('Error rate 0.125')
    save_model(other, tmp_path/'report')
    assert model_facts(tmp_path/'report').endswith('is not known: the metrics.json beside it is of another model.')
    for text in ('[]', 'null', '7', '{', json.dumps(METRICS), json.dumps(dict.fromkeys(METRICS))):
        (tmp_path/'report'/'metrics.json').write_text(text)
        assert model_facts(tmp_path/'report').startswith('How often this model is right is not known: '), text


def test_it_ends_with_the_interrupt(report, capsys, monkeypatch):
    "Ctrl-C is the way to end it, and no error"
    def interrupt(self): raise KeyboardInterrupt(2)
    monkeypatch.setattr('threading.Event.wait', interrupt)
    monkeypatch.setattr(app, 'open_app', fake_app)
    main_app([str(report)])
    assert capsys.readouterr().out == 'Open http://127.0.0.1:1/ in a browser. Ctrl-C ends the page.\n'


class fake_app:
    def __init__(self, *args): pass
    def __enter__(self): return 'http://127.0.0.1:1/'
    def __exit__(self, *args): pass
