"The page that a run leaves: what it calls a mistake, what it advises, how it looks on a screen and on a telephone."
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pet_breeds.pets import run_pets
from pet_breeds.report import confused_pairs, doubtful, mistakes, predictions, suggestions

VOCAB = ['beagle', 'boxer', 'pug']


def preds_of(rows):
    "Predictions from (label, probabilities) of each photo"
    items = pd.DataFrame(dict(file=[f'top/{i}.jpg' for i in range(len(rows))], label=[label for label, _ in rows]))
    return predictions(np.array([probs for _, probs in rows]), items, VOCAB, 'top')


PREDS = preds_of([('pug', [.1, .1, .8]), ('pug', [.95, .03, .02]), ('beagle', [.2, .3, .5]), ('boxer', [.6, .3, .1]), ('boxer', [.1, .8, .1])])


def test_right_ones_are_never_called_mistakes_and_sure_ones_come_first():
    assert list(mistakes(PREDS).file) == ['1.jpg', '3.jpg', '2.jpg']
    assert (mistakes(PREDS).label != mistakes(PREDS).predicted).all() and not len(mistakes(PREDS[:1]))


def test_doubtful_labels_by_the_probability_of_the_label():
    table = doubtful(PREDS)
    assert list(table.file) == ['1.jpg', '2.jpg', '3.jpg'] and list(table.prob_label) == [.02, .2, .3]
    assert list(table.suggested) == ['beagle', 'pug', 'beagle'] and (table.fix == '').all()


def test_pairs_count_both_directions():
    assert confused_pairs(PREDS).values.tolist() == [['beagle', 'pug', 2], ['beagle', 'boxer', 1]]
    assert len(confused_pairs(PREDS[:1])) == 0


def test_the_first_five_of_many_breeds():
    probs = np.eye(7)[[3]]*.9 + .1/7
    row = predictions(probs, pd.DataFrame(dict(file=['a/b/c.jpg'], label=['x3'])), [f'x{i}' for i in range(7)], 'a')
    assert row.file[0] == 'b/c.jpg' and row.breed_1[0] == 'x3' and 'breed_5' in row and 'breed_6' not in row


def epochs(train, valid): return pd.DataFrame(dict(train_loss=train, valid_loss=valid))


@pytest.mark.parametrize('table, words', [
    (None, 'does not apply to a fitted head'), (epochs([1], [1]), 'does not apply to a fitted head'),
    (epochs([1, .9], [1.2, 1.]), 'a longer training may help'), (epochs([.4, .2], [1., 1.]), 'more photos will help'),
    (epochs([1, .9], [1., 1.]), 'more likely to help')])
def test_what_would_help(table, words): assert words in suggestions(SimpleNamespace(predictions=PREDS, epochs=table))[2]


def test_what_to_check_and_to_collect():
    pair, labels, _ = suggestions(SimpleNamespace(predictions=PREDS, epochs=None))
    assert 'beagle and pug: 2 of the 3 mistakes' in pair and 'Check 1 label' in labels
    pair, labels, _ = suggestions(SimpleNamespace(predictions=PREDS[:1], epochs=None))
    assert 'no mistake' in pair and 'No label' in labels


@pytest.fixture(scope='module')
def folder(drawn, tmp_path_factory):
    "A report on photos of four breeds, some with another breed's label and one with a name that a page must escape"
    top = tmp_path_factory.mktemp('mine')
    for file in sorted((drawn/'images').glob('*.jpg')):
        breed = file.name.rpartition('_')[0]
        (top/'photos'/breed).mkdir(parents=True, exist_ok=True)
        shutil.copy(file, top/'photos'/breed)
    first = min((top/'photos'/'pug').iterdir())
    first.rename(first.with_name('<img src=x onerror=alert(1)>.jpg'))
    run_pets(path=str(top/'photos'), epochs=1, size=32, bs=8, lr='1e-3', out=str(top/'report'))
    return top/'report'


def test_the_tables_agree_with_the_metrics(folder):
    m, preds = json.loads((folder/'metrics.json').read_text()), pd.read_csv(folder/'predictions.csv')
    assert len(preds) == m['n_measured'] and (preds.label != preds.predicted).mean() == pytest.approx(m['error_rate'])
    assert len(pd.read_csv(folder/'doubtful.csv')) == len(mistakes(preds))
    probs = preds.filter(regex=r'^prob_\d').sum(axis=1)
    assert np.allclose(probs, 1, atol=1e-4) and (preds.prob_1 >= preds.prob_label - 1e-6).all()


@pytest.mark.parametrize('width', [1200, 420])
@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_the_page_in_a_browser(folder, width, scheme):
    "Nothing is cut off, no script runs, nothing is fetched, every picture has a text, and everything opens"
    sync = pytest.importorskip('playwright.sync_api')
    if not (chromium := shutil.which('chromium') or shutil.which('google-chrome')): pytest.skip('no Chromium here')
    with sync.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium, args=['--no-sandbox'])
        page = browser.new_page(viewport=dict(width=width, height=900), color_scheme=scheme)
        asked, said = [], []
        page.on('request', lambda r: asked.append(r.url))
        page.on('console', lambda m: said.append(m.text))
        page.on('dialog', lambda d: said.append(d.message))
        page.goto((folder/'index.html').as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        wide = page.evaluate('''[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll') && !e.closest('svg')
            && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))''')
        assert wide == [] and page.evaluate('document.documentElement.scrollWidth') <= width
        assert page.evaluate("[...document.images].every(i => i.alt && i.naturalWidth > 0)")
        back, ink = page.evaluate("(s => [s.backgroundColor, s.color])(getComputedStyle(document.body))")
        assert (sum(map(int, back[4:-1].split(','))) > 384) == (scheme == 'light') != (sum(map(int, ink[4:-1].split(','))) > 384)
        assert [u for u in asked if not u.startswith(('file:', 'data:'))] == [] and said == []
        browser.close()
