"What a run leaves: what it calls a mistake, what it advises, decisions that come back, two runs compared, how the page looks."
import html
import json
import os
import re
import shlex
import shutil
from copy import copy
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from tiny import is_report

from pet_breeds.advice import suggestions
from pet_breeds.core import writing
from pet_breeds.fixes import fix_labels, fix_lines, photo_digest, read_fixes
from pet_breeds.outcome import compare_reports, confused_pairs, coverage, doubtful, earlier_report, mistakes, network_report, paired_difference, predictions, set_digest
from pet_breeds.pets import Run, run_pets
from pet_breeds.report import SECTIONS, data_lines, earlier_line, result_line, tables, test_line as line_of_test
from pet_breeds.saving import save_tables
from pet_breeds.tables import csv_bytes
from pet_breeds.weights import report_about

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
    assert list(table.suggested) == ['beagle', 'pug', 'beagle'] and (table[['fix', 'new_label']] == '').all(axis=None)


def test_pairs_count_both_directions():
    assert confused_pairs(PREDS).values.tolist() == [['beagle', 'pug', 2], ['beagle', 'boxer', 1]]
    assert len(confused_pairs(PREDS[:1])) == 0


def test_the_first_five_of_many_breeds():
    probs = np.eye(7)[[3]]*.9 + .1/7
    more = pd.DataFrame(dict(file=['a/b/c.jpg'], label=['x3'])), [f'x{i}' for i in range(7)], 'a'
    row = predictions(probs, *more)
    assert row.equals(predictions(torch.tensor(probs), *more))
    assert row.file[0] == 'b/c.jpg' and row.breed_1[0] == 'x3' and 'breed_5' in row and 'breed_6' not in row


# What to do next

NOTHING = pd.DataFrame(columns=['file', 'problem', 'detail', 'usable'])


def advice(preds=PREDS, photos='real', epochs=None, findings=NOTHING, **metrics):
    return suggestions(SimpleNamespace(predictions=preds, photos=photos, epochs=epochs, findings=findings, metrics=metrics,
                                       config=SimpleNamespace(labels='name'), fixes=[]))


def epochs(train, valid): return pd.DataFrame(dict(train_loss=train, valid_loss=valid))


@pytest.mark.parametrize('table, words', [
    (None, 'does not apply to a fitted head'), (epochs([1], [1]), 'One epoch shows no trend'),
    (epochs([1, .9], [1.2, 1.]), 'a longer training may help'), (epochs([.4, .2], [1., 1.]), 'more photos will help'),
    (epochs([1, .9], [1., 1.]), 'probably not help much')])
def test_what_would_help(table, words): assert words in advice(epochs=table)[-1]


@pytest.mark.parametrize('low, difference, high, word', [(-.2, -.1, -.01, 'will help'), (-.2, -.1, .01, 'may help'), (-.1, 0., .1, 'will hardly help')])
def test_a_curve_comes_before_the_epochs(low, difference, high, word):
    curve = dict(n_half=50, n_all=100, before=.3, after=.3+difference, low=low, difference=difference, high=high)
    said = advice(curve=curve)[-1]
    assert word in said and 'trained on 50 photos, the model gets 30 of 100' in said and ('may be chance' in said) == (word == 'may help')


def mixed(*pairs): return preds_of([(label, [.8 if breed == said else .1 for breed in VOCAB]) for label, said, n in pairs for _ in range(n)])


@pytest.mark.parametrize('preds, words', [
    (PREDS, 'beagle is part of 3 of the 3 mistakes'),
    (mixed(('pug', 'boxer', 3), ('beagle', 'pug', 1)), 'Most often mixed up: boxer and pug (3 of the 4 mistakes).'),
    (mixed(('pug', 'boxer', 2), ('boxer', 'pug', 2), ('beagle', 'pug', 4)), 'beagle and pug; boxer and pug (4 of the 8 mistakes each)'),
    (mixed(('pug', 'boxer', 1)), 'The only mistake is between boxer and pug.'),
    (mixed(('pug', 'boxer', 1), ('beagle', 'pug', 1)), 'The mistakes are spread: no breed is part of more than 2 of the 2.')])
def test_no_breed_is_named_because_of_the_alphabet(preds, words): assert words in advice(preds)[0]


@pytest.mark.parametrize('photos', ['real', 'drawn'])
def test_nobody_is_told_to_do_what_cannot_be_done(photos):
    "Drawn pets have right labels, and more of them are no photos; without a mistake there is nothing to check"
    said = ' '.join(advice(photos=photos))
    assert ('collect' in said) == ('Check 1 label' in said) == (photos == 'real') and ('photos of your own' in said) == (photos == 'drawn')
    said = advice(PREDS[:1], photos)
    assert said[0].startswith('No mistake on 1 photo.') and not any('label stands out' in s or 'Check' in s for s in said)


def test_a_folder_out_of_order_comes_first():
    rows = [('a.jpg', 'two labels', '', True), ('b.jpg', 'two labels', '', True), ('c.jpg', 'turned', '', True), ('d.jpg', 'empty', '', False)]
    found = pd.DataFrame(rows, columns=NOTHING.columns)
    assert advice(findings=found)[0] == 'Look at the folder first: 2 photos with two labels, 1 file left out. See "What looks wrong".'
    assert advice(findings=found[2:3]) == advice()


def test_the_surer_the_fewer():
    table = coverage(PREDS)
    assert list(table.answered) == sorted(table.answered, reverse=True) and table.answered[0] == len(PREDS)
    assert table.wrong.tolist() == [3, 3, 2, 1, 1, 1, 1] and table.unsure_below.iloc[-1] == .95, 'none is as sure as 0.99'
    assert ((table.low <= table.error_rate) & (table.error_rate <= table.high)).all()


# Decisions that come back

ROWS = pd.DataFrame(dict(file=['b/1.jpg', 'b\\2.jpg', "'=3.jpg", 'b/4.jpg', 'b/5.jpg'], label='pug', suggested='boxer',
                         fix=['relabel', '', 'DROP', '', 'keep'], new_label=['', 'Beagle', '', '', '']))
FORMS = {'comma': dict(sep=',', encoding='utf-8'), 'Excel, Germany': dict(sep=';', encoding='utf-8-sig'), 'tab': dict(sep='\t', encoding='utf-8-sig'),
         'frame': None, 'Windows lines': dict(sep=';', lineterminator='\r\n', encoding='utf-8')}


@pytest.fixture
def five(tmp_path):
    "A folder of six files, and the table of its photos, of which the last has no label"
    (tmp_path/'b').mkdir()
    files = [tmp_path/f for f in ('b/1.jpg', 'b/2.jpg', '=3.jpg', 'b/4.jpg', 'b/5.jpg', 'b/6.jpg')]
    for f in files: f.write_bytes(f.name.encode())
    return pd.DataFrame(dict(file=files, label=['pug', 'pug', 'pug', 'beagle', 'beagle', ''], split=['train']*4 + ['valid', 'train']))


@pytest.mark.parametrize('form', FORMS)
def test_a_table_comes_back_from_any_spreadsheet(form, five, tmp_path):
    "With either slash, a quote before what is no formula, and a label in another case"
    if FORMS[form]: ROWS.to_csv(tmp_path/'edited.csv', index=False, **FORMS[form])
    done = fix_labels(five, read_fixes([str(tmp_path/'edited.csv') if FORMS[form] else ROWS]), tmp_path)
    assert [(f.name, label) for f, label in zip(done.file, done.label)] == [('1.jpg', 'boxer'), ('2.jpg', 'beagle'), ('4.jpg', 'beagle'), ('5.jpg', 'beagle'), ('6.jpg', '')]
    assert done.attrs['fixed'] == dict(kept=['b/5.jpg'], dropped=['=3.jpg'], relabeled=[['b/1.jpg', 'pug', 'boxer'], ['b/2.jpg', 'pug', 'beagle']], new_labels=['boxer'])
    assert list(done.split) == ['train', 'train', 'train', 'valid', 'train'] and (tmp_path/'=3.jpg').exists(), 'the photo itself stays'


def decided(**columns): return ROWS.assign(**{'fix': '', 'new_label': '', **columns})


@pytest.mark.parametrize('tables, words', [
    ([decided(fix='dorp')], "row 0: fix is 'dorp'; write keep, relabel or drop .did you mean 'drop'"), ([decided()], 'no row has a decision'),
    ([decided(fix='beagle')], "fix is 'beagle'.*into the column new_label"), ([decided(fix='drop', new_label='pug')], "fix is drop, but new_label is 'pug'"),
    ([decided(fix='relabel', suggested='')], 'relabel needs a label'), ([ROWS.drop(columns=['fix', 'new_label'])], 'has no column fix'),
    ([ROWS.assign(file='')], 'have no photo'), ([decided(Fix='drop')], "this table: 2 columns 'fix' for the decision: keep one"), ([ROWS, decided(fix='drop')], 'b/1.jpg has two decisions: relabel boxer .*and drop'),
    ([ROWS, decided(fix='relabel', new_label='sphynx')], 'relabel boxer .*relabel sphynx'),
    ([ROWS.assign(file=['b/1.jpg', 'b/9.jpg', 'b/4.jpg', 'b/4.jpg', 'b/5.jpg'])], r'1 photo cannot be found .*b/9.jpg .this table, row 1.: give the --path'),
    ([ROWS.assign(digest='sha256:0123456789ab')], 'b/1.jpg has changed since'), ([decided(fix='drop')], 'fewer than two breeds are left'),
    ([decided(fix='keep'), decided(fix=['drop', '', '', '', ''], file=['b\\1.jpg', *'abcd'])], 'has two decisions: keep .*and drop')], ids=str)
def test_what_cannot_be_decided_is_one_error(tables, words, five, tmp_path):
    with pytest.raises((ValueError, FileNotFoundError), match=words) as e: fix_labels(five, read_fixes(tables), tmp_path)
    assert '\n' not in str(e.value)


def test_a_photo_without_a_label_gets_one_and_a_new_label_is_said(five, tmp_path):
    rows = pd.DataFrame(dict(file=['b/6.jpg', 'b/1.jpg', 'notes.txt'], fix=['relabel', 'relabel', 'drop'], new_label=['pug', 'begle', ''],
                             digest=[photo_digest(tmp_path/'b/6.jpg'), '', '']))
    (tmp_path/'notes.txt').touch()
    done = fix_labels(five, read_fixes([rows]), tmp_path)
    assert list(done.label) == ['begle', 'pug', 'pug', 'beagle', 'beagle', 'pug'] and list(done.split).count('valid') == 1
    assert "begle is a new label: no other photo had it (did you mean 'beagle'?)." in fix_lines(done.attrs['fixed'], ['beagle', 'begle', 'pug'])
    with pytest.raises(ValueError, match='notes.txt cannot be read, or is not in the table of labels'): fix_labels(five, read_fixes([rows.assign(fix='relabel', new_label='pug')]), tmp_path)


# Two runs on the same photos

def test_a_difference_is_never_certain_without_photos_that_differ():
    same = paired_difference([0]*20, [0]*20)
    assert same['difference'] == 0 and same['low'] < -.05 and same['high'] > .05
    better = paired_difference([1]*12 + [0]*88, [0]*100)
    assert better['high'] < 0 and better['low'] < better['difference'] == -.12 < better['high']
    with pytest.raises(ValueError): paired_difference([], [])


def test_parts_of_another_seed_are_no_difference():
    "Runs that are equally good: how the photos were parted makes all of them somewhat harder or easier for one run"
    rng = np.random.default_rng(0)
    photos = rng.random((200, 1, 100)) # how often each photo of a folder is got wrong
    runs = rng.random((200, 2, 100)) < photos + rng.normal(0, .04, (200, 2, 1))
    def certain(folds): return np.mean([found['low'] > 0 or found['high'] < 0 for found in (paired_difference(*pair, 1., folds) for pair in runs)])
    assert certain(5) < .05 and certain(0) > .1
    was, now = (SimpleNamespace(predictions=PREDS.assign(digest=list('abcde')), metrics=dict(folds=folds)) for folds in (0, 5))
    widths = [found['high'] - found['low'] for found in (compare_reports(was, was), compare_reports(was, now), compare_reports(now, was))]
    assert widths[0] < widths[1] == widths[2]


def test_photos_are_the_same_by_name_and_bytes():
    def run(preds, command=None): return SimpleNamespace(predictions=preds, metrics=dict(command=command))
    old = PREDS.assign(digest=list('abcde'))
    new = old.assign(predicted=old.label, label=['boxer', *old.label[1:]], digest=list('abcdX'))
    found = compare_reports(run(old), run(new, 'pet_breeds --size=64'))
    assert (found['n'], found['mended'], found['broken'], found['relabeled']) == (4, ['1.jpg', '2.jpg', '3.jpg'], [], ['0.jpg'])
    assert found['only_before'] is None and (found['before'], found['after']) == (1., .25)
    assert compare_reports(run(old), run(new.assign(digest='Y')))['n'] == 0


@pytest.mark.parametrize('names, relabeled', [
    (dict(pug='Mops'), 0), (dict(pug='PUG', boxer='Boxer'), 0), (dict(pug='a', boxer='b', beagle='c'), 0), (dict(pug='boxer', boxer='pug'), 4),
    (dict(pug='boxer'), 2), (dict(pug='BOXER', boxer='BOXER'), 2)])
def test_a_breed_that_has_only_another_name_is_no_gain(names, relabeled):
    "In another spelling, or by decisions about all its photos; labels that change among the breeds stay relabeled"
    def run(preds): return SimpleNamespace(predictions=preds.assign(digest=list('abcde')), metrics={})
    renamed = PREDS.assign(label=PREDS.label.replace(names), predicted=PREDS.predicted.replace(names))
    found = compare_reports(run(PREDS), run(renamed))
    assert len(found['relabeled']) == relabeled
    if not relabeled: assert (found['mended'], found['broken'], found['before'], found['difference']) == ([], [], .6, 0)


def test_a_report_in_the_home_folder_is_compared(folder, monkeypatch):
    for name in ('HOME', 'USERPROFILE'): monkeypatch.setenv(name, str(folder.parent))
    assert compare_reports(f'~/{folder.name}', folder)['difference'] == 0


def test_a_difference_goes_by_the_order_of_photos():
    "Whatever numbers the rows of a table have"
    before, after, weight = [True, False, True], [False]*3, [1, 1, .5]
    want = paired_difference(before, after, weight)
    assert want['before'] == pytest.approx(.6) and want == paired_difference(
        *(pd.Series(x, index=index) for x, index in ((before, [7, 6, 5]), (after, [1, 2, 3]), (weight, [4, 5, 6]))))
    assert want == paired_difference(*map(torch.tensor, (before, after, weight)))


def test_a_table_that_somebody_edited_is_not_compared(folder, tmp_path):
    shutil.copytree(folder, tmp_path/'copy')
    assert compare_reports(tmp_path/'copy', folder)['difference'] == 0
    with open(tmp_path/'copy'/'predictions.csv', 'a') as f: f.write('x')
    with pytest.raises(ValueError, match='not as a run wrote it'): compare_reports(tmp_path/'copy', folder)
    with pytest.raises(OSError): compare_reports(tmp_path/'gone', folder)


@pytest.fixture(scope='module')
def folder(drawn, tmp_path_factory):
    "The second report on photos of four breeds, after two decisions; one photo has a name that a page must escape"
    top = tmp_path_factory.mktemp('mine')
    for file in sorted((drawn/'images').glob('*.jpg')):
        breed = file.name.rpartition('_')[0]
        (top/'photos'/breed).mkdir(parents=True, exist_ok=True)
        shutil.copy(file, top/'photos'/breed)
    first = min((top/'photos'/'pug').iterdir())
    first.rename(first.with_name('<img src=x onerror=alert(1)>.jpg'))
    options = dict(path=str(top/'photos'), head='linear', size=64, bs=8, lr='1e-3')
    run_pets(**options, out=str(top/'first'))
    table = pd.read_csv(top/'first'/'doubtful.csv', dtype=str, keep_default_na=False)
    table.loc[:1, 'fix'] = ['drop', 'relabel']
    table.to_csv(top/'edited.csv', index=False)
    run_pets(**options, epochs=1, fix=[str(top/'edited.csv')], out=str(top/'report'))
    return top/'report'


def test_the_second_report_says_what_was_decided_and_how_it_compares(folder):
    m, page, rows = json.loads((folder/'metrics.json').read_text()), (folder/'index.html').read_text(), pd.read_csv(folder.parent/'edited.csv')
    assert m['fix'] == dict(kept=[], dropped=[rows.file[0]], relabeled=[[rows.file[1], rows.label[1], rows.suggested[1]]], new_labels=[])
    assert f"--fix={folder.parent/'edited.csv'}" in m['command'] and m['n_train'] + m['n_valid'] == 38, 'one has no label'
    assert 'could not be made' not in page and '1 photo left out and 1 label changed' in page and 'The report &#39;first&#39; measured' in page
    assert 'only in this one: <span class="option">--epochs</span>=1' in page, 'no line ends after the dashes'
    found = compare_reports(folder.parent/'first', folder)
    assert found['n'] == m['n_measured'] and set(found['only_after']) == {'--epochs=1', f"--fix={folder.parent/'edited.csv'}"}
    for name in ('doubtful.csv', 'looks_wrong.csv'): assert {'fix', 'new_label', 'digest'} <= set(pd.read_csv(folder/name))


def test_the_tables_agree_with_the_metrics(folder):
    m, preds = json.loads((folder/'metrics.json').read_text()), pd.read_csv(folder/'predictions.csv')
    assert len(preds) == m['n_measured'] and (preds.label != preds.predicted).mean() == pytest.approx(m['error_rate'])
    assert len(pd.read_csv(folder/'doubtful.csv')) == len(mistakes(preds))
    probs = preds.filter(regex=r'^prob_\d').sum(axis=1)
    assert np.allclose(probs, 1, atol=1e-4) and (preds.prob_1 >= preds.prob_label - 1e-6).all()


LONG = 'x'*120 + '/' + 'y'*90 # a path below it is longer than a line of a message


@pytest.fixture(scope='module')
def odd(tmp_path_factory):
    """A measured run whose training was thrown away; photos and the folder of its report have names that a table, a line,
    a shell and Python must quote"""
    top, rng = tmp_path_factory.mktemp('odd'), np.random.default_rng(0)
    names = [f'{sign}{breed}_{i}.png' for breed in ('pug', 'boxer') for i, sign in enumerate(['=', '+', '@', '-', '', '', '', ''])]
    names += [f'{LONG}/{breed}_{i}.png' for breed in ('pug', 'boxer') for i in range(4)] + ['two  blanks_1.png', 'two blanks_2.png', 'two blanks_1.png', 'two blanks_3.png']
    for name in names:
        (file := top/'photos'/name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (140 if name in CUT_OFF else 64, 64, 3), dtype=np.uint8)).save(file)
    (top/'results').mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(top)
        run = Run(path='photos', labels=r're:([a-z ]+)_\d', arch='drawnet', head='linear', epochs=1, lr='3', size=32, bs=8, out="results/Anna's run")
        run.measure()
        yield run


CUT_OFF = f'{LONG}/pug_1.png', f'{LONG}/boxer_2.png', 'two  blanks_1.png'


def again(run, **kw):
    "A copy of a run, with other things in it"
    new = copy(run)
    vars(new).update(dict(metrics=dict(run.metrics)), **kw)
    return new


def page_of(run): return html.unescape((run.write()/'index.html').read_text(encoding='utf-8'))


def test_a_decision_about_a_photo_with_an_odd_name_finds_that_photo(odd):
    table = tables(odd)['looks_wrong.csv']
    cut = table[table.problem == 'cut off']
    assert sorted(cut.file) == sorted(CUT_OFF) and list(cut.digest) == [photo_digest(odd.folder/f) for f in cut.file]
    assert list(cut.label) == [re.search(r'([a-z ]+)_\d', f)[1].replace('  ', ' ') for f in cut.file]
    (odd.out.parent/'fix.csv').write_bytes(csv_bytes(cut.assign(fix='drop')))
    left = fix_labels(odd.table, read_fixes([str(odd.out.parent/'fix.csv')]), odd.folder)
    assert {os.path.relpath(f, odd.folder) for f in set(odd.table.file) - set(left.file)} == set(CUT_OFF)
    assert not any(sign in line for line in data_lines(odd.table, odd.findings) for sign in ('y'*70, '\n'))


def test_what_the_page_says_of_a_run_whose_training_was_thrown_away(odd):
    "And of one whose folder must be quoted; the commands work where the run started"
    page = re.sub('<span class="option">(.*?)</span>', r'\1', page_of(odd))
    assert odd.kept == 'fitted head' and 'was no better on the validation photos, so its network was not kept' in page
    assert 'could not be made' not in page and """--fix 'results/Anna'"'"'s run/doubtful.csv'""" in page and 'clean_labels("results/Anna\'s run")' in page
    typed = [shlex.split(line) for line in re.findall('<code>(pet_breeds_.*?)</code>', page.replace('<wbr>', ''))]
    assert typed == [['pet_breeds_predict', "results/Anna's run", 'new_photo.jpg'], ['pet_breeds_app', "results/Anna's run"]]


def test_no_map_lies_across_a_photo_that_the_model_saw_as_it_lies(odd, monkeypatch):
    "The page shows it upright"
    monkeypatch.setattr('pet_breeds.report.looked_at', lambda run, rows: [np.ones((2, 2))]*len(rows))
    preds = odd.predictions.assign(predicted='another')
    turned = pd.DataFrame(dict(file=mistakes(preds).file[1:2], problem='turned'))
    def shown(presize):
        run = again(odd, predictions=preds, findings=turned, prep=SimpleNamespace(presize=presize, fit='crop'))
        return [bool(p['over']) for p in SECTIONS['Mistakes'](run)[-1]['photos']][:3]
    assert (shown('stock'), shown('composed')) == ([True, False, True], [True]*3)


def test_the_page_names_the_folder_that_was_written(odd):
    "Another one, where somebody has put something into the place of the report"
    (taken := odd.out.with_name('taken')).mkdir()
    (taken/'mine').touch()
    page = page_of(later := again(odd, out=taken))
    assert later.report == odd.out.with_name('taken-2') and is_report(later.report) and os.listdir(taken) == ['mine']
    assert page.count('results/taken-2') == 4 and 'results/taken ' not in page and 'results/taken/' not in page


def test_names_that_a_table_quotes_are_compared_with_an_earlier_report(odd):
    odd.write()
    names = list(odd.predictions.file)
    later = again(odd, predictions=odd.predictions.assign(label=odd.predictions.predicted), out=odd.out.with_name('later'))
    page, (folder, found) = page_of(later), later.earlier
    assert folder == odd.out and any(f[0] in '=+-@' for f in names) and found['n'] == len(names) and set(found['mended'] + found['relabeled']) <= set(names)
    assert 'could not be made' not in page and "The report \"Anna's run\" measured" in page
    later.earlier = folder, {**found, 'mended': ['not there.jpg'], 'broken': names[:1]}
    assert len(SECTIONS['The earlier report'](later)[-1]['photos']) == 1


def test_photos_that_are_gone_leave_the_model_and_a_page(odd, monkeypatch):
    "Neither a photo nor a section of the page can lose what was trained"
    def fail(run): raise KeyError('a fault of ours')
    monkeypatch.setitem(SECTIONS, 'Faulty', fail)
    later = again(odd, out=odd.out.with_name('gone'))
    (odd.folder).rename(odd.folder.with_name('moved'))
    try:
        with pytest.warns(UserWarning, match="'Faulty' is missing in the report: KeyError"): page = page_of(later)
    finally: odd.folder.with_name('moved').rename(odd.folder)
    assert (later.report/'model.safetensors').exists() and 'this photo cannot be read now' in page and 'They cannot be shown' in page
    assert page.count('could not be made') == 1 and len(pd.read_csv(later.report/'predictions.csv')) == len(odd.predictions)


@pytest.mark.parametrize('was, edit, same', [
    (dict(kept='fitted head'), '', None), (dict(epochs=0, kept=''), '', None), (dict(kept='trained network'), '', 6),
    (dict(kept='fitted head', network=dict(report='first', same=None)), '', 6), (dict(kept='trained network'), 'x', 0),
    (dict(kept='fitted head', network=dict(report='A', same=6, doubt=False)), '', 6)])
def test_a_network_that_may_have_been_trained_on_what_is_measured(was, edit, same, odd, tmp_path):
    "It comes from a report; how many of the photos that one measured is said, unless its table was edited"
    shutil.copytree(odd.write(), tmp_path/'first')
    numbers = tmp_path/'first'/'metrics.json'
    saved = save_tables({'predictions.csv': odd.predictions}, tmp_path/'first')
    numbers.write_text(json.dumps({**json.loads(numbers.read_text()), 'epochs': 2, **was, 'tables': saved}))
    with open(tmp_path/'first'/'predictions.csv', 'a') as f: f.write(edit)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('pet_breeds.measure.photo_curve', lambda *_: None)
        patch.setattr('pet_breeds.measure.measured', lambda run: (torch.zeros(28, 3), torch.zeros(28, dtype=torch.int64), measured_items(run)))
        m = (later := again(odd, weights=tmp_path/'first'/'model.safetensors')).measure()
    said = result_line(m)
    assert m['network'] == (None if same is None else dict(report='first', same=same or None, doubt=True)) and ('The network comes' in said) == (same is not None)
    assert ("report 'first', which measured 6 of these 28 photos. If it was trained on others of them, the error is too low." in said) == (same == 6)
    assert ("report 'first'. If it was trained on these photos, the error is too low." in said) == (same == 0) and network_report(again(later, weights=None), later.predictions.digest) is None


@pytest.mark.parametrize('first, measures, same, doubt', [
    (dict(), 'abc', 3, False), (dict(), 'abx', 2, True), (dict(), 'tuv', 3, False), (dict(), 'tux', 0, True), (dict(), 'xyz', 0, True),
    (dict(network=dict(report='A', same=3, doubt=False)), 'abc', 3, False), (dict(network=dict(report='A', same=3, doubt=False)), 'abx', 2, True),
    (dict(network=dict(report='A', same=0, doubt=True)), 'abc', 3, True), (dict(network=dict(report='A', same=0, doubt=True)), 'tuv', 3, False),
    (dict(kept='fitted head', network=dict(report='A', same=3, doubt=False)), 'abx', 2, True), (dict(kept='fitted head'), 'xyz', None, None)])
def test_where_a_network_comes_from_is_known_after_many_steps(first, measures, same, doubt, tmp_path, monkeypatch):
    "What the first report measured (abc) or kept for its test (tuv) did not train it, and may have trained one before it"
    monkeypatch.setattr('pet_breeds.weights.report_about', lambda file: dict(arch='drawnet'))
    saved = save_tables({'predictions.csv': PREDS[:3].assign(digest=list('abc'))}, tmp_path)
    test = dict(n_measured=3, unknown=0, photos=set_digest('tuv'), network=None)
    (tmp_path/'metrics.json').write_text(json.dumps(dict(epochs=1, kept='trained network', test=test, tables=saved) | first))
    found = network_report(SimpleNamespace(weights=tmp_path/'model.safetensors'), list(measures))
    assert found == (None if same is None else dict(report=tmp_path.name, same=same, doubt=doubt))
    m = dict(error_rate=.1, error_low=0, error_high=.3, baseline='pug', baseline_error=.5, mean_breed_error=.1, n_different=3, n_measured=3, not_measured=[], network=found)
    assert ('too low' in ' '.join(line_of_test(dict(test=dict(m, unknown=0))))) == bool(doubt)


@pytest.mark.parametrize('kept', ['trained network', 'fitted head'])
def test_a_model_that_was_saved_over_a_report_may_have_been_trained_on_anything(kept, tmp_path, monkeypatch):
    "The metrics beside it are of the model that was there before"
    saved = save_tables({'predictions.csv': PREDS[:3].assign(digest=list('abc'))}, tmp_path)
    (tmp_path/'metrics.json').write_text(json.dumps(dict(epochs=1, kept=kept, tables=saved, model_sha256='as measured')))
    def found(sha):
        monkeypatch.setattr('pet_breeds.weights.report_about', lambda file: dict(arch='drawnet', sha256=sha))
        return network_report(SimpleNamespace(weights=tmp_path/'model.safetensors'), list('abc'))
    assert found('of another') == dict(report=tmp_path.name, same=None, doubt=True)
    assert found('as measured') == (None if kept == 'fitted head' else dict(report=tmp_path.name, same=3, doubt=False))


def test_the_digest_of_a_report_s_weights_is_known(odd):
    about = report_about(odd.write()/'model.safetensors')
    assert about['sha256'] == json.loads((odd.report/'model.json').read_text())['sha256'] == json.loads((odd.report/'metrics.json').read_text())['model_sha256']


def measured_items(run): return pd.concat([dl.items for dl in run.dls.loaders], ignore_index=True)


def test_the_metrics_and_the_table_take_the_same_of_equal_breeds(odd, monkeypatch):
    "Also where activations differ so little that probabilities do not"
    acts = torch.zeros(28, 3, dtype=torch.float32)
    acts[:, 1], acts[::2, 2] = 1e-9, 2e-9
    monkeypatch.setattr('pet_breeds.measure.photo_curve', lambda *_: None)
    items = measured_items(odd)
    targ = torch.tensor([odd.dls.vocab.o2i[label] for label in items.label])
    monkeypatch.setattr('pet_breeds.measure.measured', lambda run: (acts, targ, items))
    m = (later := again(odd)).measure()
    assert m['error_rate'] == pytest.approx((later.predictions.label != later.predictions.predicted).mean()) != pytest.approx((acts.argmax(1) != targ).float().mean().item())
    assert later.confusion.sum().to_dict() == {**dict.fromkeys(odd.dls.vocab, 0), **later.predictions.predicted.value_counts()}
    probs = np.random.default_rng(0).integers(1, 4, (50, 37))/100
    table = predictions(probs, pd.DataFrame(dict(file=['a/b'], label='x0')).loc[[0]*50], [f'x{i}' for i in range(37)], 'a')
    assert list(table.predicted) == [f'x{i}' for i in probs.argmax(1)] == list(table.breed_1)


def test_a_table_of_decisions_in_this_folder_belongs_to_the_report_here(odd, monkeypatch):
    monkeypatch.chdir(odd.write())
    config, metrics = SimpleNamespace(fix=('doubtful.csv',)), {**odd.metrics, 'model_sha256': 'another'}
    folder, _ = earlier_report(again(odd, metrics=metrics, config=config, out=odd.out.parents[1]/'photos'/'second'))
    assert folder == odd.out and 'The report "Anna\'s run" measured' in earlier_line(again(odd, earlier=(folder, compare_reports(folder, odd))))[0]


def report_of(folder, preds, **metrics):
    "Of the photos in ../photos"
    folder.mkdir(parents=True)
    saved = save_tables({'predictions.csv': preds}, folder)
    (folder/'metrics.json').write_text(json.dumps({'command': 'pet_breeds --path=photos', **metrics, 'tables': saved}))
    return dict(metrics, tables=saved)


@pytest.mark.parametrize('named', [None, 'out', 'fix'])
def test_the_earlier_report_with_most_of_the_photos(named, tmp_path):
    "Unless one is to be replaced or its table has the decisions; never one that this run wrote itself"
    preds = PREDS.assign(digest=list('abcde'))
    own = report_of(tmp_path/'own', preds.assign(set='validation'), model_sha256='abc')
    for i, (name, n) in enumerate(dict(four=4, few=1, many=3, replaced=2, other=5).items()):
        report_of(tmp_path/name, preds[:n], model_sha256='abc', **({'command': 'pet_breeds --path=others'} if name == 'other' else {}))
        os.utime(tmp_path/name/'predictions.csv', (i, i))
    fix = (str(tmp_path/'few'/'doubtful.csv'),) if named == 'fix' else ()
    run = SimpleNamespace(predictions=preds, tested=None, metrics=dict(own, command='pet_breeds --path=photos'), config=SimpleNamespace(fix=fix), out=tmp_path/('replaced' if named == 'out' else 'new'))
    folder, found = earlier_report(run)
    assert (folder.name, found['n']) == {None: ('four', 4), 'out': ('replaced', 2), 'fix': ('few', 1)}[named]
    if named: return
    run.out = tmp_path/'own'
    assert earlier_report(run)[0].name == 'four', 'a run that is written again is not compared with itself'
    run.predictions = preds.assign(predicted='pug')
    assert earlier_report(run)[0].name == 'own'


@pytest.mark.parametrize('rate', [0., 12.5])
def test_no_speed_where_nothing_was_trained(odd, rate):
    "As in a run that was stopped after its last epoch"
    said = SECTIONS['Training'](again(odd, metrics={**odd.metrics, 'images_per_second': rate}))
    assert any('photos a second' in str(block) for block in said) == bool(rate) and any('seconds in all' in str(block) for block in said)


def test_more_changed_labels_than_are_shown(odd):
    fixed = dict(kept=[], dropped=[], relabeled=[[f'{i}.jpg', 'a', 'b'] for i in range(101)], new_labels=[])
    for n, said in ((101, ['101 photos in all; metrics.json lists every one.']), (100, [])):
        _, table, *more = SECTIONS['Changed labels'](again(odd, metrics=dict(fix={**fixed, 'relabeled': fixed['relabeled'][:n]})))
        assert len(table) == 100 and more == said


def test_an_error_that_names_a_file_of_the_user_keeps_that_name(tmp_path):
    "One of a full disk, or of a hidden folder, is about what is being written"
    for raised, name in ((OSError(2, 'No such file', 'photos/1.jpg'), 'photos/1.jpg'), (OSError(28, 'No space left'), 'report'),
                         (OSError(28, 'No space left', str(tmp_path/'.report.ab_c12yz.part'/'new')), 'report'),
                         (OSError(2, 'No such file', 'photos.part/1.jpg'), 'photos.part/1.jpg')):
        with pytest.raises(OSError) as e, writing(tmp_path/'report'): raise raised
        assert e.value.filename.endswith(name) and ('free some space' in str(e.value)) == (name == 'report')


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
        seen = "[...document.querySelectorAll('.switch + .gallery img')].map(i => [i.className, i.offsetHeight > 0])"
        assert (before := page.evaluate(seen)) and all(shown == (name == '') for name, shown in before)
        page.get_by_label('Show where the model looked').press('Space')
        assert page.evaluate(seen) == [[name, not shown] for name, shown in before]
        wide = page.evaluate('''[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll') && !e.closest('svg')
            && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))''')
        assert wide == [] and page.evaluate('document.documentElement.scrollWidth') <= width
        assert page.evaluate("[...document.images].every(i => i.alt && i.naturalWidth > 0)")
        back, ink = page.evaluate("(s => [s.backgroundColor, s.color])(getComputedStyle(document.body))")
        assert (sum(map(int, back[4:-1].split(','))) > 384) == (scheme == 'light') != (sum(map(int, ink[4:-1].split(','))) > 384)
        assert [u for u in asked if not u.startswith(('file:', 'data:'))] == [] and said == []
        browser.close()


def test_a_report_has_no_serious_fault_of_accessibility(folder, axe):
    sync = pytest.importorskip('playwright.sync_api')
    if not (chromium := shutil.which('chromium') or shutil.which('google-chrome')): pytest.skip('no Chromium here')
    with sync.sync_playwright() as p, p.chromium.launch(executable_path=chromium, args=['--no-sandbox']) as browser:
        for width, scheme in ((1200, 'light'), (420, 'dark')):
            page = browser.new_page(viewport=dict(width=width, height=900), color_scheme=scheme)
            page.goto((folder/'index.html').as_uri())
            page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
            assert axe(page) == []
