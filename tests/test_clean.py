"Labels cleaned in a notebook, without a browser: menus are set, the button is pressed, and `--fix` reads what it wrote."
import base64
import contextlib
import csv
import html
import io
import json
import os
import re
import shlex
import shutil

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from pet_breeds.fixes import _write_fixes, clean_labels, fix_labels, photo_digest, read_fixes
from pet_breeds.inventory import labeled_photos
from pet_breeds.pets import Run, run_pets
from pet_breeds.tables import cell_text, csv_bytes, from_cell

BREEDS = {'=pug': (200, 60, 60), '<b>&"\'': (60, 200, 60), 'beagle': (60, 60, 200)}
ODD = '<script>alert(1)<!-- "&\'.png'
NEW = '- new; "breed" <i>'


def photo(file, color, **how):
    file.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(len(str(file))*sum(color)).integers(-40, 40, (48, 72, 3))
    Image.fromarray((noise+color).clip(0, 255).astype(np.uint8)).save(file, **how)


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    "A run on photos of three colors: two in the folder of another color, one on its side, a copy with an odd name, no photo"
    top, turned = tmp_path_factory.mktemp('clean'), Image.Exif()
    turned[0x0112] = 6
    for breed, color in BREEDS.items():
        for i in range(8): photo(top/'pets'/breed/f'<img src=x>{"="*i}{i}.png', color)
    shutil.copy(top/'pets'/'<b>&"\''/'<img src=x>0.png', top/'pets'/'<b>&"\''/ODD)
    photo(top/'pets'/'beagle'/'red.png', BREEDS['=pug'])
    photo(top/'pets'/'=pug'/'blue.png', BREEDS['beagle'], exif=turned)
    (top/'pets'/'beagle'/'broken.png').write_bytes(b'<script>alert(1)</script>')
    with pytest.MonkeyPatch.context() as m, contextlib.redirect_stdout(io.StringIO()):
        m.chdir(top)
        return top, run_pets('pets', labels='folder', arch='drawnet', head='linear', size=64, bs=4, out='report')


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    "A copy of everything, in which a test may change files"
    shutil.copytree(made[0], tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Page:
    "What the widget shows, and hands to set it"
    def __init__(self, *args, **kwargs):
        said, grid, self.button, self.told = clean_labels(*args, **kwargs).children
        self.said, self.cards = said.value, {shown_name(card): card.children for card in grid.children}
    def decide(self, file, decision, label=None):
        _, menu, to = self.cards[file]
        menu.value = decision
        if label is not None: to.value = label
    def write(self):
        self.button.click()
        return re.sub('<[^>]+>', '', self.told.value)


def shown_name(card): return html.unescape(card.children[0].value.removesuffix('</div>').rpartition('>')[2])


def test_red_and_blue_are_doubtful(made):
    assert sorted(pd.read_csv(made[0]/'report'/'doubtful.csv').file) == ["'=pug/blue.png", 'beagle/red.png']


def test_all_decisions_together_come_back_through_fix(here):
    page = Page('report')
    assert page.said.startswith('2 of 2 doubtful labels') and {'beagle/red.png', '=pug/blue.png', 'beagle/broken.png'} <= set(page.cards)
    assert page.cards['beagle/red.png'][2].value == '=pug' and page.cards['beagle/red.png'][2].layout.display == 'none'
    assert 'nothing is decided yet' in page.write() and not (here/'fixes.csv').exists()
    page.decide('beagle/red.png', 'relabel') # to what the model suggests
    page.decide('=pug/blue.png', 'relabel', f' {NEW}\u200b')
    page.decide('beagle/broken.png', 'drop')
    page.decide(f'<b>&"\'/{ODD}', 'keep')
    told = page.write()
    assert 'fixes.csv: 1 keep, 2 relabel, 1 drop.' in told and "fix='fixes.csv'" in told.replace('&#x27;', "'")
    fixes = read_fixes(['fixes.csv'])
    done = fix_labels(labeled_photos('pets', 'folder'), fixes, 'pets').attrs['fixed']
    assert done['relabeled'] == [['=pug/blue.png', '=pug', NEW], ['beagle/red.png', 'beagle', '=pug']]
    assert (done['dropped'], done['kept'], done['new_labels']) == (['beagle/broken.png'], [f'<b>&"\'/{ODD}'], [NEW])
    before = (here/'fixes.csv').read_bytes()
    page.decide('beagle/red.png', 'keep')
    page.decide('=pug/blue.png', '')
    assert 'fixes-2.csv: 2 keep, 1 drop.' in page.write() and (here/'fixes.csv').read_bytes() == before, 'nothing is replaced'
    assert {f.file: f.decision for f in read_fixes(['fixes-2.csv'])} == {'beagle/red.png': 'keep', f'<b>&"\'/{ODD}': 'keep', 'beagle/broken.png': 'drop'}


def test_the_next_run_is_the_command_that_it_says(here, capsys):
    (here/'report-2').mkdir() # somebody's own
    page = Page('report')
    page.decide('beagle/red.png', 'relabel')
    page.decide('beagle/broken.png', 'drop')
    page.write()
    words = shlex.split(re.search('<pre>(.*?)</pre>', page.told.value)[1])
    assert words == ['pet_breeds', '--path=pets', '--labels=folder', '--arch=drawnet', '--head=linear', '--size=64', '--bs=4', '--fix=fixes.csv', '--out=report-3']
    run = Run(path='pets', labels='folder', arch='drawnet', fix='fixes.csv', out='report-3')
    run.check()
    assert '1 photo left out and 1 label changed' in capsys.readouterr().out
    assert run.table.label[[f.name == 'red.png' for f in run.table.file]].tolist() == ['=pug']
    assert sorted(f.name for f in here.iterdir()) == ['fixes.csv', 'pets', 'report', 'report-2']


def test_what_was_decided_before_is_shown_and_kept(here, made):
    "In an edited table of the report, and by the `--fix` of its run; what is decided here counts"
    table = pd.read_csv('report/doubtful.csv', dtype=str, keep_default_na=False)
    table.assign(fix='drop').to_csv('report/doubtful.csv', index=False, sep=';')
    about = json.loads((here/'report'/'metrics.json').read_text())
    pd.DataFrame(dict(file=['beagle/red.png', "'=pug/<img src=x>1.png".replace('1', '=1')], fix=['keep', 'relabel'], new_label=['', 'beagle'])).to_csv('old.csv', index=False)
    (here/'report'/'metrics.json').write_text(json.dumps({**about, 'command': 'pet_breeds --path=elsewhere --fix=old.csv --out=report'}))
    with pytest.raises(ValueError, match="no such folder: 'elsewhere': give the folder of the photos as path"): Page('report')
    page = Page('report', path='pets')
    assert [page.cards[name][1].value for name in ('beagle/red.png', '=pug/blue.png', 'beagle/broken.png')] == ['drop', 'drop', '']
    page.decide('=pug/blue.png', 'relabel')
    page.write()
    assert {from_cell(f.file): f[1:3] for f in read_fixes(['fixes.csv'])} == {
        'beagle/red.png': ('drop', ''), '=pug/blue.png': ('relabel', 'beagle'), '=pug/<img src=x>=1.png': ('relabel', 'beagle')}
    assert '<pre>pet_breeds --path=pets --fix=fixes.csv --out=report-2</pre>' in page.told.value


@pytest.mark.parametrize('whole', [False, True])
def test_a_run_knows_its_photos(made, tmp_path, monkeypatch, whole):
    "Also from another folder, and where its labels and decisions came from Python"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(made[1], 'report', made[0]/'report')
    if whole: monkeypatch.setattr(made[1], 'fixes', read_fixes([pd.DataFrame(dict(file=['beagle/red.png'], fix=['drop']))]))
    page = Page(made[1], dest='my table.csv')
    page.decide('=pug/blue.png', 'keep')
    assert 'my table.csv: 1 keep' in page.write() and ('1 drop' in page.told.value) == whole


def test_photos_as_the_model_saw_them_and_words_as_words(here):
    (here/'pets'/'beagle'/'red.png').unlink()
    page = Page('report')
    def shown(file): return page.cards[file][0].value
    im = Image.open(io.BytesIO(base64.b64decode(re.search('base64,([^"]+)', shown('=pug/blue.png'))[1])))
    assert im.size == (133, 200), 'turned'
    assert 'label: =pug (0.' in shown('=pug/blue.png') and 'model: beagle (0.' in shown('=pug/blue.png') and 'EXIF orientation 6' in shown('=pug/blue.png')
    assert 'no format that Pillow knows' in shown('beagle/broken.png')
    assert 'not there any more' in shown('beagle/red.png') and page.cards['beagle/red.png'][1].disabled
    assert html.escape(f'<b>&"\'/{ODD}') in shown(f'<b>&"\'/{ODD}') and 'label: &lt;b&gt;&amp;&quot;&#x27; (' in shown(f'<b>&"\'/{ODD}')
    for card in page.cards.values(): assert set(re.findall(r'<(/?\w+)', card[0].value)) <= {'img', 'div', '/div', 'br', 'em', '/em'}
    page.decide('=pug/blue.png', 'relabel', '  ')
    assert page.write() == '=pug/blue.png: relabel needs a label' and not (here/'fixes.csv').exists()


def test_a_photo_that_changed_is_decided_as_it_is_now(here):
    photo(here/'pets'/'beagle'/'red.png', (1, 2, 3))
    page = Page('report')
    page.decide('beagle/red.png', 'drop')
    page.write()
    assert read_fixes(['fixes.csv'])[0].digest == photo_digest('pets/beagle/red.png') != photo_digest('pets/=pug/blue.png')
    assert fix_labels(labeled_photos('pets', 'folder'), read_fixes(['fixes.csv']), 'pets').attrs['fixed']['dropped'] == ['beagle/red.png']


def test_more_than_are_shown_are_said(here):
    page = Page('report', most=1)
    n = pd.read_csv('report/looks_wrong.csv').file.nunique()
    assert page.said.startswith('1 of 2 doubtful labels') and f'1 of {n} photo' in page.said and 'give most=' in page.said and len(page.cards) <= 2


def test_what_is_no_report_is_one_error(here, made, monkeypatch):
    (here/'empty').mkdir()
    about = json.loads((here/'report'/'metrics.json').read_text())
    with pytest.raises(ValueError, match='empty is not a report'): Page('empty')
    with pytest.raises(ValueError, match='most 0'): Page('report', most=0)
    with pytest.raises(ValueError, match='expected a path, got nothing'): Page('')
    monkeypatch.setattr(made[1], 'report', None)
    with pytest.raises(ValueError, match='report: expected a path'): Page(made[1])
    (here/'report'/'metrics.json').write_text(json.dumps({**about, 'command': None}))
    with pytest.raises(ValueError, match='does not say where its photos are'): Page('report')
    page = Page('report', 'pets')
    page.decide('=pug/blue.png', 'drop')
    assert 'run_pets' in page.write() and '<pre>' not in page.told.value
    os.remove('report/doubtful.csv')
    with pytest.raises((ValueError, FileNotFoundError), match='doubtful.csv'): Page('report', 'pets')


TEXTS = st.lists(st.text() | st.text("'=+-@\t\r\n ,\"x"), min_size=1).map(lambda texts: [text.replace('\0', '') for text in texts])


@settings(max_examples=300, deadline=None)
@given(TEXTS)
@example(['=1+1', '-tiger', '@x', "'quoted'", "'=", "''-x", "'", '', 'pug', '+'])
def test_a_cell_gives_back_its_text(texts):
    "Also where it looks as if it were quoted already, and through a file"
    assert [from_cell(cell_text(text)) for text in texts] == texts
    assert not any(cell[:1] in {*'=+-@\t\r'} for cell in map(cell_text, texts))
    _, *rows = csv.reader(io.StringIO(csv_bytes(pd.DataFrame(dict(text=texts, n=1))).decode(), newline=''))
    assert [from_cell(text) for text, _ in rows] == texts


def test_a_name_that_looks_quoted_is_written_and_found_again(tmp_path, monkeypatch):
    "A breed or a photo that really begins with an apostrophe is not one without, and each is found after it was left out"
    monkeypatch.chdir(tmp_path)
    names = ["'-x.png", '-x.png', "''-x.png", 'x.png', "'=gone.png", '=gone.png']
    for name in names: photo(tmp_path/name, (9, 9, 9))
    labels = ["'-x", '-x', "''-x", 'x', "'=", '=']
    (tmp_path/'report.csv').write_bytes(csv_bytes(pd.DataFrame(dict(file=names, label='pug', suggested=labels, fix='relabel', new_label='', digest=''))))
    found = read_fixes(['report.csv'])
    assert [(from_cell(fix.file), fix.label) for fix in found] == [*zip(names, labels)]
    again = read_fixes([str(_write_fixes(found, tmp_path/'fixes.csv'))])
    assert [fix[:4] for fix in again] == [fix[:4] for fix in found]
    table = pd.DataFrame(dict(file=[tmp_path/name for name in names], label='pug'))
    assert fix_labels(table, again, tmp_path).label.tolist() == labels
    kept = [fix._replace(decision='keep', label='') for fix in again]
    table = pd.DataFrame(dict(file=[tmp_path/name for name in names[:4]], label=['pug', 'boxer']*2))
    assert fix_labels(table, kept, tmp_path).label.tolist() == ['pug', 'boxer']*2
