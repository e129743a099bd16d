"What is doubtful about a folder is found, named with a remedy and shown before the training; nothing is dropped."
import contextlib
import io
import shutil
import unicodedata
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from pet_breeds.webpage import of_100
from pet_breeds.data import pets_dls, photo_table
from pet_breeds.fixes import photo_digest, read_fixes
from pet_breeds.interpret import error_interval, honest_error
from pet_breeds.inventory import labeled_photos, usable_photos
from pet_breeds.measure import honest, photo_curve
from pet_breeds.outcome import SURE, compare_reports, coverage, paired_difference, predictions
from pet_breeds.pets import Run
from pet_breeds.report import SECTIONS, data_lines, earlier_line, first_screen, result_line, test_line as line_of_test

NUMBERS = iter(range(10**6))


def photos(folder, *names):
    "Different small photos with these names"
    for name in names:
        (folder/name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(next(NUMBERS)).integers(0, 256, (48, 48, 3), np.uint8)).save(folder/name)
    return folder


def numbered(form, n): return [form.format(i) for i in range(n)]


def problems(table): return {problem for _, problem, *_ in table.attrs['findings']}


def details(table): return ' | '.join(detail for _, _, detail, _ in table.attrs['findings'])


# folders that are parts of a split

@pytest.mark.parametrize('train', ['train', 'Training'])
@pytest.mark.parametrize('valid', [None, 'valid', 'val', 'Validation'])
@pytest.mark.parametrize('test', [None, 'test', 'testing'])
@pytest.mark.parametrize('labels', ['folder', 'name', r're:^([a-z]+)_\d'])
def test_a_split_that_is_there_is_honored(tmp_path, train, valid, test, labels):
    for part in filter(None, (train, valid, test)):
        for breed in ('pug', 'beagle'): photos(tmp_path/part, *numbered(f'{breed}/{breed}_{{}}.png', 4 if part == train else 2))
    table = photo_table(tmp_path, labels)
    assert set(table.label) == {'pug', 'beagle'} and len(table) == 8 + 4*bool(valid)
    assert ('is_valid' in table) == bool(valid)
    if valid: assert [f.parts[-3] == valid for f in table.file] == table.is_valid.tolist()
    assert len(table.attrs['test']['file']) == 4*bool(test)


@pytest.mark.parametrize('top, names', [('pets-dataset', 'train valid test'), ('a/b', 'Training validation testing'), ('', 'training_set val-set test_set'), ('pets', 'train_images valset TestData')])
@pytest.mark.parametrize('labels', ['folder', 're:^([^/]+)/'])
def test_a_split_that_an_archive_unpacked_is_honored(tmp_path, top, names, labels):
    "It lies one folder deeper; the photos of the test were trained on"
    for part in names.split(): photos(tmp_path/top/part, *numbered('pug/{}.png', 3), *numbered('beagle/{}.png', 3))
    table = photo_table(tmp_path, labels)
    assert (len(table), table.is_valid.sum(), len(table.attrs['test']['file']), problems(table)) == (12, 6, 6, set())
    assert set(table.label) == {'pug', 'beagle'} == {f.parent.name for f in table.file}


def test_a_split_that_is_too_deep_is_named(tmp_path):
    for where in ('one/train', 'one/test', 'two/train', 'two/test'): photos(tmp_path/where, *numbered('pug/{}.png', 3), *numbered('beagle/{}.png', 3))
    found = details(photo_table(tmp_path, 'folder'))
    assert f"'test', 'train', 'test' may be parts of a split" in found and f'give --path {tmp_path/"one"}' in found and '--labels' not in found


def test_a_breed_is_no_part_of_a_split(tmp_path):
    for breed in ('photos', 'set', 'my test', 'validator'): photos(tmp_path, *numbered(f'{breed}/{{}}.png', 3))
    assert set(photo_table(tmp_path, 'folder').label) == {'photos', 'set', 'my test', 'validator'}


@pytest.mark.parametrize('top', ['', 'kaggle'])
@pytest.mark.parametrize('labels, says', [('re:^(cat|dog)', ''), ('name', r"--labels 're:\^.*' finds 2 breeds: cat, dog; ")])
def test_a_test_without_labels_is_named(tmp_path, top, labels, says):
    "As in cats and dogs of Kaggle: the remedy is to leave it out"
    photos(tmp_path/top/'train', *numbered('cat.{}.png', 5), *numbered('dog.{}.png', 5))
    photos(tmp_path/top/'test', *numbered('{}.png', 6))
    with pytest.raises(ValueError, match=f"{says}none in .*test has a label: give --path {tmp_path/top/'train'}$"): photo_table(tmp_path, labels)


def test_a_few_photos_without_a_label_are_named_by_the_option(tmp_path):
    photos(tmp_path, *numbered('pug/{}.png', 4), *numbered('beagle/{}.png', 4), 'loose.png')
    found = usable_photos(tmp_path, 'folder')[2]
    assert list(found.detail[found.problem == 'no label']) == ['no label by --labels']


def test_the_folder_of_one_breed_is_told_from_a_folder_of_breeds(tmp_path):
    photos(tmp_path, *numbered('Bengal/{}.png', 4), *numbered('pug/{}.png', 4))
    with pytest.raises(ValueError, match=f'4 of 4 photos have no label by --labels folder.*give the folder above: {tmp_path}$'): labeled_photos(tmp_path/'Bengal', 'folder')


@pytest.mark.parametrize('labels', ['folder', 'table'])
def test_a_breed_that_is_in_no_training_photo_is_named_before_photos_are_read(tmp_path, labels):
    photos(tmp_path, *numbered('train/pug/{}.png', 3), *numbered('train/beagle/{}.png', 3), *numbered('valid/pug/{}.png', 3), *numbered('valid/Bird/{}.png', 3))
    files = sorted(tmp_path.glob('*/*/*'))
    if labels == 'table': labels = pd.DataFrame(dict(file=[str(f.relative_to(tmp_path)) for f in files], label=[f.parent.name for f in files], split=[f.parts[-3] for f in files]))
    with pytest.raises(ValueError, match="no photo of 'Bird' is for training, and some are for validation: move some, or leave them out"): photo_table(tmp_path, labels)


def test_letters_that_a_mac_writes_in_two_parts_are_no_other_spelling(tmp_path):
    photos(tmp_path, *numbered(unicodedata.normalize('NFD', 'Schäfer/{}.png'), 3), *numbered('pug/{}.png', 3))
    table = photo_table(tmp_path, 'folder')
    assert set(table.label) == {'Schäfer', 'pug'} and problems(table) == set()


@pytest.mark.parametrize('begin, path', [('', 'train'), ('pets/train/', '..')])
def test_a_table_whose_paths_begin_elsewhere_says_where(tmp_path, begin, path):
    "In a folder inside, as Kaggle has it, or above"
    photos(tmp_path/'pets'/'train', *numbered('pug_{}.png', 3), *numbered('beagle_{}.png', 3))
    table = pd.DataFrame(dict(id=[f'{begin}{f.stem}' for f in sorted((tmp_path/'pets'/'train').iterdir())], breed=['beagle']*3 + ['pug']*3))
    with pytest.raises(FileNotFoundError, match=f"6 of 6 photos in the table are missing under .* is in .*: give --path {(tmp_path/'pets'/path).resolve()}$"): photo_table(tmp_path/'pets', table)


@pytest.mark.parametrize('folders, says', [
    (['test', 'pug', 'beagle'], "the folder 'test' looks like a part of a split, and beside it are beagle, pug"),
    (['train', 'valid', 'pug'], 'beside it are pug'), (['test', 'valid'], 'beside it is no folder train')])
def test_half_a_split_is_refused_by_name(tmp_path, folders, says):
    for folder in folders: photos(tmp_path/folder, *numbered('beagle/{}.png', 3), *numbered('pug/{}.png', 3))
    with pytest.raises(ValueError, match=f'{says}.*rename it if it is a breed'): photo_table(tmp_path, 'folder')


def test_photos_directly_in_train_have_no_breed(tmp_path):
    photos(tmp_path/'train', *numbered('pug_{}.png', 3), *numbered('beagle_{}.png', 3))
    with pytest.raises(ValueError, match="6 of 6 photos have no label by --labels folder.*--labels name finds 2 breeds"):
        photo_table(tmp_path, 'folder')
    assert set(photo_table(tmp_path).label) == {'pug', 'beagle'}


@pytest.mark.parametrize('labels', ['folder', 'name', 'function'])
@pytest.mark.parametrize('part', ['train', 'valid', 'test', 'only valid', 'only test'])
@pytest.mark.parametrize('decision', ['', 'relabel', 'drop'])
def test_a_photo_without_a_label_stays_in_its_part(tmp_path, labels, part, decision):
    "It is skipped with its finding; a decision gives it a label, and it is never trained on unless it lies in train"
    alone, part = part.startswith('only'), part.removeprefix('only ')
    for other in {'train', part} if alone else ('train', 'valid', 'test'):
        if alone and other == part: photos(tmp_path/part, 'odd.png')
        else: photos(tmp_path/other, *numbered('pug/pug_{}.png', 4), *numbered('beagle/beagle_{}.png', 4))
    if not alone: photos(tmp_path/part, 'odd.png')
    odd = tmp_path/part/'odd.png'
    rule = labels if labels != 'function' else lambda f: f.parent.name if f.parent.name in ('pug', 'beagle') else float('nan')
    fix = pd.DataFrame(dict(file=[f'{part}/odd.png'], fix=decision, new_label='PUG' if decision == 'relabel' else ''))
    table = photo_table(tmp_path, rule, read_fixes([fix]) if decision else ())
    test, relabeled = table.attrs.get('test', dict(file=[])), decision == 'relabel'
    assert (odd in table.attrs['skipped']) == (decision == '')
    assert (odd in test['file']) == (relabeled and part == 'test') and (odd in set(table.file)) == (relabeled and part != 'test')
    trained = table.file[~table.is_valid] if 'is_valid' in table else table.file
    assert table.label.notna().all() and {f.relative_to(tmp_path).parts[0] for f in trained} == {'train'}
    if relabeled: assert [*table.label[table.file == odd], *(label for f, label in zip(test['file'], test.get('label', ())) if f == odd)] == ['pug']
    assert set(table.label) == {'pug', 'beagle'}


# folders that are no breeds

def test_breeds_in_all_parts_of_a_split_are_no_odd_folders(tmp_path):
    for part in ('train', 'valid', 'test'):
        photos(tmp_path/part, *numbered('pug/{}.png', 4), *numbered('beagle/indoor/{}.png', 4), *numbered('pug/indoor/{}.png', 4))
    table = photo_table(tmp_path, 'folder')
    assert problems(table) == {'odd folder'} and len(table.attrs['findings']) == 1
    assert "'indoor' in beagle, pug counts as a breed" in details(table)


@pytest.mark.parametrize('source', ['folder', 'linked', 'table', 'whole table'])
def test_photos_that_are_not_looked_at_are_counted(tmp_path, source):
    photos(tmp_path/'images', *numbered('pug/{}.png', 4), *numbered('beagle/{}.png', 4))
    if source != 'linked': photos(tmp_path, *numbered('boxer/{}.png', 3), *numbered('collie/{}.png', 4))
    else: (tmp_path/'all').symlink_to(tmp_path/'images')
    table = pd.DataFrame([(f'images/{b}/{i}.png', b) for b in ('pug', 'beagle') for i in range(4)], columns=['file', 'label'])
    if source == 'table': table = table[1:].assign(split=['train']*6 + ['test'])
    labels = table if 'table' in source else 'folder'
    with warnings.catch_warnings(record=True) as seen: pets_dls(tmp_path, labels=labels, bs=2, size=32)
    found = usable_photos(tmp_path, labels)[2]
    found = found[found.problem.isin(['beside images', 'not in the table'])]
    files, detail = dict(folder=(sorted([*tmp_path.glob('*/?.png')]), 'not in the folder images: not looked at'),
                         table=([tmp_path/'images'/'pug'/'0.png'], 'left out')).get(source, ([], ''))
    assert found.file.tolist() == files and set(found.detail) == {detail}-{''} and not found.usable.any()
    said = {'folder': ['beside images (7 photos): not in the folder images: not looked at'], 'table': ['not in the table: left out']}
    assert [str(w.message) for w in seen] == said.get(source, []), 'one warning, however many photos'
    usable = usable_photos(tmp_path, labels)
    [line] = [line for line in data_lines(usable[0], usable[2]) if line.startswith('skipped')] if files else ['']
    assert line == (f'skipped: {found.problem.iloc[0]} {len(files)}' if files else ''), 'one line, however many photos'


def test_folders_that_are_no_breeds_are_named(tmp_path):
    photos(tmp_path, *numbered('pug/{}.png', 5), *numbered('beagle/indoor/{}.png', 4), *numbered('pug/indoor/{}.png', 4),
           *numbered('results/{}.png', 4), 'boxer/1.png')
    table = photo_table(tmp_path, 'folder')
    assert problems(table) == {'odd folder', 'few photos'}
    assert "'results' counts as a breed" in details(table) and "'indoor' in beagle, pug counts as a breed" in details(table)
    assert "--labels 're:^([^/]+)/'" in details(table) and "'boxer' has 1 photo: ten or more" in details(table)
    assert set(photo_table(tmp_path, 're:^([^/]+)/').label) == {'pug', 'beagle', 'results', 'boxer'}


def test_breeds_one_folder_deeper_are_fine(tmp_path):
    photos(tmp_path, *numbered('cats/Sphynx/{}.png', 3), *numbered('dogs/pug/{}.png', 3))
    table = photo_table(tmp_path, 'folder')
    assert set(table.label) == {'Sphynx', 'pug'} and table.attrs['findings'] == []


# names

@pytest.mark.parametrize('forms, advice', [
    (['carrot{}.png', 'Wood Apple{}.png'], "finds 2 breeds: Wood Apple, carrot"),
    (['beagle ({}).png', 'pug ({}).png'], "finds 2 breeds: beagle, pug"),
    (['beagle/IMG{}.png', 'pug/IMG{}.png'], '--labels folder finds 2 breeds: beagle, pug'),
    (['{}.png', '{}x.png'], "rename them, or give a rule of your own")])
@pytest.mark.parametrize('good', [0, 9])
def test_a_third_without_a_label_stops(tmp_path, forms, advice, good):
    names = [name for form in forms for name in numbered(form, 6)]
    photos(tmp_path, *names, *numbered('boxer_{}.png', good))
    with pytest.raises(ValueError, match='12 of .* photos have no label by --labels name') as e: photo_table(tmp_path)
    assert advice in str(e.value) or good, str(e.value)
    if 'finds' in str(e.value):
        rule = str(e.value).split('--labels ')[-1].split(' finds')[0].strip("'")
        assert photo_table(tmp_path, rule).label.nunique() >= 2


def test_fewer_without_a_label_are_findings(tmp_path):
    photos(tmp_path, *numbered('pug_{}.png', 5), *numbered('beagle_{}.png', 5), 'holiday.png')
    run = Run(path=str(tmp_path), out=str(tmp_path.parent/'report'))
    run.check()
    assert run.findings.file.tolist() == ['holiday.png'] and not run.findings.usable[0] and len(run.table) == 10


@pytest.mark.parametrize('names, asked', [
    (['beagle_2024{}_00001.png', 'pug_2024{}_00001.png'], True), (['beagle_{}.png', 'pug_{}.png'], False),
    (['beagle_{}.png', 'beagle_2_{}.png'], True)])
def test_breeds_that_differ_in_a_number_are_questioned(tmp_path, names, asked):
    photos(tmp_path, *(name for form in names for name in numbered(form, 5)))
    table = photo_table(tmp_path)
    assert ('odd breed' in problems(table)) == asked
    if asked: assert "--labels 're:PATTERN'" in details(table)


# spellings

@pytest.mark.parametrize('source', ['folder', 'name', 'table'])
def test_spellings_are_one_breed(tmp_path, source):
    typed = dict(zip(['pug', 'Pug', 'pug ', '\u200bpug', 'beagle'], [5, 2, 1, 1, 4]))
    form = 'images/{}/{}.png' if source == 'folder' else 'images/{}_{}.png'
    rows = [(form.format(label, i), label) for label, n in typed.items() for i in range(n)]
    photos(tmp_path, *(name for name, _ in rows))
    table = photo_table(tmp_path, pd.DataFrame(rows, columns=['file', 'label']) if source == 'table' else source)
    assert table.label.value_counts().to_dict() == dict(pug=9, beagle=4)
    assert problems(table) == {'other spelling'} and "2 photos of 'Pug' count as 'pug'" in details(table)
    if source == 'table': return
    with pytest.warns(UserWarning, match="other spelling: 2 photos of 'Pug' count as 'pug'"):
        assert list(pets_dls(tmp_path, labels=source, bs=2, item=32, size=32).vocab) == ['beagle', 'pug']


@pytest.mark.parametrize('source', ['folder', 'table'])
def test_spellings_in_a_test_are_named(tmp_path, source):
    rows = [(f'{part}/{label}/{i}.png', label, part) for part, labels in dict(train=['pug', 'great dane'], test=['Pug', 'great  dane', 'fox']).items()
            for label in labels for i in range(4)]
    photos(tmp_path, *(file for file, _, _ in rows))
    table = photo_table(tmp_path, source if source == 'folder' else pd.DataFrame(rows, columns=['file', 'label', 'split']))
    assert problems(table) == {'other spelling'} and len(table.attrs['findings']) == 2
    assert "4 photos of 'Pug' count as 'pug'" in details(table) and "4 photos of 'great  dane' count as 'great dane'" in details(table)
    assert table.attrs['test']['label'] == ['pug']*4 + ['great dane']*4 + ['fox']*4 or source == 'folder'
    assert {*table} == {'file', 'label'} == {*table.attrs['test']}


@pytest.mark.parametrize('none', [None, float('nan'), pd.NA, '', ' '])
def test_a_function_that_gives_no_label(tmp_path, none):
    class Rule: # an object that has no hash
        __hash__ = None
        def __call__(self, file): return none if file.stem.endswith('_0') else file.name[:3]
    photos(tmp_path, *numbered('pug_{}.png', 4), *numbered('fox_{}.png', 4))
    table = photo_table(tmp_path, Rule())
    assert sorted(set(table.label)) == ['fox', 'pug'] and [f.name for f in table.attrs['skipped']] == ['fox_0.png', 'pug_0.png']


# the table before training

def test_a_test_is_no_reason_to_train_on_nothing(tmp_path):
    photos(tmp_path/'test', *numbered('pug/{}.png', 6), *numbered('beagle/{}.png', 6))
    photos(tmp_path/'train', *numbered('pug/{}.png', 2), *numbered('beagle/{}.png', 2))
    for file in (tmp_path/'train').glob('*/*.png'): file.write_bytes(b'x')
    with pytest.raises(ValueError, match='4 of 4 photos in .* cannot be read, the first .*train'): usable_photos(tmp_path, 'folder')


def test_a_clean_folder_needs_one_line(tmp_path, capsys):
    photos(tmp_path, *numbered('pug_{}.png', 4), *numbered('beagle_{}.png', 4))
    Run(path=str(tmp_path), out=str(tmp_path.parent/'report')).check()
    assert capsys.readouterr().out.splitlines()[-1] == '8 photos of 2 breeds, 4 of each: beagle, pug'


def test_a_folder_with_every_fault_is_described_in_a_few_lines(tmp_path, capsys):
    photos(tmp_path, *numbered('pug/{}.png', 9), *numbered('Beagle/{}.png', 5), *numbered('beagle/{}.png', 6),
           *numbered('results/{}.png', 4), *numbered('boxer_1/{}.png', 4), *numbered('boxer_2/{}.png', 4), 'rare/1.png', 'cover.png')
    (tmp_path/'pug'/'empty.png').write_bytes(b'')
    (tmp_path/'pug'/'half.png').write_bytes((tmp_path/'pug'/'1.png').read_bytes()[:900])
    shutil.copy(tmp_path/'pug'/'2.png', tmp_path/'beagle'/'copy.png')
    run = Run(path=str(tmp_path), labels='folder', out=str(tmp_path.parent/'report'))
    with contextlib.redirect_stdout(io.StringIO()): run.check()
    lines = data_lines(run.table, run.findings)
    text = '\n'.join(lines)
    assert len(lines) <= 12
    for part in ('34 photos of 6 breeds', '1 to 12 of each', 'beagle 12', 'skipped:', 'doubtful:', 'empty', 'other spelling',
                 'odd folder', 'odd breed', 'few photos'): assert part in text, (part, text)
    assert {'cover.png', 'pug/empty.png', 'pug/half.png'} == set(run.findings.file[~run.findings.usable])
    found = run.findings[run.findings.file.isin(['beagle/copy.png', 'pug/2.png'])]
    assert len(found) >= 1 and found.usable.all(), 'a photo under two labels is named'


# honest numbers

def metrics(targ, pred, n_train, groups=None, folds=0):
    vocab = [f'breed_{i}' for i in range(len(n_train))]
    return dict(photos='real', n_classes=len(vocab), n_measured=len(targ), folds=folds, **honest_error(targ, pred, vocab, n_train, groups, folds))


def test_180_against_20_is_no_success():
    m = metrics([0]*36+[1]*4, [0]*32+[1]*4+[0]*4, [144, 16])
    assert m['baseline_error'] == .1 and m['error_rate'] == .2
    assert 'always answering breed_0 would give 0.100' in result_line(m) and 'no better than that' in result_line(m)


def test_a_breed_that_was_not_measured_is_named():
    m = metrics([0]*7, [0]*7, [29, 1])
    assert 'of 1 of 2 breeds' in result_line(m) and 'Not measured, because there is no validation photo: breed_1' in result_line(m)
    assert 'no better than that' in result_line(m)


@pytest.mark.parametrize('photos', ['real', 'drawn'])
@pytest.mark.parametrize('kept', [[], ['0.jpg'], ['0.jpg', '1.jpg']])
@pytest.mark.parametrize('folds', [0, 2])
def test_the_interval_allows_for_the_labels_that_are_doubted(photos, kept, folds):
    """Photos 0 to 3 are wrong, 0 and 1 surely; so is 9, the only photo of its breed. No label of a drawn photo is doubted, none that was
    kept, and in a cross-validation none of a breed that its head had not seen"""
    vocab, label = ['a', 'b', 'c'], ['a']*9 + ['c']
    probs = [[.01, .98, .01]]*2 + [[.25, .5, .25]]*2 + [[.9, .05, .05]]*5 + [[.99, .01, 0]]
    items = pd.DataFrame(dict(file=[f'top/{i}.jpg' for i in range(10)], label=label))
    loader = SimpleNamespace(items=items.assign(group=range(90, 100)))
    dls = SimpleNamespace(vocab=vocab, loaders=[loader], train=loader, valid=loader)
    heads = [(np.arange(0, 10, 2), None), (np.arange(1, 10, 2), None)]
    run = SimpleNamespace(learn=SimpleNamespace(dls=dls), dls=dls, plan=dict(folds=folds), heads=heads, photos=photos, metrics=dict(fix=dict(kept=kept)),
                          config=SimpleNamespace(labels='name'), fixes=[])
    m = honest(run, predictions(probs, items, vocab, 'top'), folds)
    doubted = 0 if photos == 'drawn' else 2 - len(kept) + (not folds)
    assert m['n_doubtful'] == doubted and m['unseen'] == (dict(c=1) if folds else {}) and m['error_rate'] == .5
    n = 10/(1 + folds/(folds-1)) if folds else 10
    assert (m['error_low'], m['error_high']) == pytest.approx((error_interval(.5 - doubted/10, n)[0], error_interval(.5, n)[1]))
    mistakes = '1 mistake as a wrong label' if doubted == 1 else f'{doubted} mistakes as wrong labels'
    said = f'counts {mistakes}, because the model is at least {SURE:.0%} sure of another breed'
    whole = dict(photos=photos, n_classes=3, n_measured=10, folds=folds, **m)
    tested = {**whole, 'test': None if folds else dict(n_measured=10, unknown=0, **m)}
    for line in (result_line(whole), *line_of_test(tested)): assert (said in line) == bool(doubted)


@pytest.mark.parametrize('copies', [1, 6])
def test_copies_do_not_narrow_the_interval(copies):
    targ, pred = np.repeat([0]*5+[1]*5, copies), np.repeat([0]*5+[1]*5, copies)
    m = metrics(targ, pred, [20, 20], np.repeat(range(10), copies))
    alone = metrics([0]*5+[1]*5, [0]*5+[1]*5, [20, 20])
    assert (m['error_low'], m['error_high'], m['n_different']) == (alone['error_low'], alone['error_high'], 10)
    assert ('10 different photos' in result_line(m)) == (copies > 1)


@pytest.mark.parametrize('folds', [2, 5, 10])
@pytest.mark.parametrize('groups', [None, np.repeat(range(30), 2)])
def test_the_interval_of_a_cross_validation_is_wider(folds, groups):
    targ, pred = np.repeat([0, 1], 30), np.repeat([0, 1, 0], 20)
    held, crossed = (metrics(targ, pred, [30, 30], groups, k) for k in (0, folds))
    assert crossed['error_rate'] == held['error_rate'] and f'{folds}-fold cross-validation' in result_line(crossed)
    assert crossed['error_low'] < held['error_low'] and held['error_high'] < crossed['error_high']


@pytest.mark.parametrize('own', [False, True])
@pytest.mark.parametrize('n', [2, 12])
def test_a_fitted_head_is_measured_on_all_photos_unless_there_is_a_split(tmp_path, own, n):
    from pet_breeds.pets import run_pets
    for part in ('train', 'valid') if own else ('',):
        photos(tmp_path/'pets'/part, *numbered('pug_{}.png', n), *numbered('beagle_{}.png', n))
    with contextlib.redirect_stdout(io.StringIO()):
        m = run_pets(str(tmp_path/'pets'), arch='drawnet', size=32, head='linear', bs=2, out=str(tmp_path/'report')).metrics
    assert (m['folds'], m['n_measured']) == ((0, 2*n) if own else (min(5, n), 2*n))


def test_a_test_is_measured_apart(tmp_path):
    from pet_breeds.pets import run_pets
    for part, n in dict(train=5, test=3).items(): photos(tmp_path/'pets'/part, *numbered('pug/{}.png', n), *numbered('beagle/{}.png', n))
    photos(tmp_path/'pets'/'test', 'boxer/1.png')
    (tmp_path/'pets'/'test'/'pug'/'bad.png').write_bytes(b'no photo')
    with contextlib.redirect_stdout(io.StringIO()) as out:
        run = run_pets(str(tmp_path/'pets'), arch='drawnet', labels='folder', size=32, bs=2, out=str(tmp_path/'report'))
    m = run.metrics
    assert m['n_measured'] == 10 and (m['test']['n_measured'], m['test']['unknown']) == (6, 1)
    assert 'Test: error rate' in out.getvalue() and 'Left out: 1 photo of breeds that the model does not know' in out.getvalue()
    assert run.findings.file.tolist().count('test/pug/bad.png') == 1 and 'Test: error rate' in (tmp_path/'report'/'index.html').read_text()


@pytest.mark.parametrize('own', [False, True])
def test_predictions_of_a_test_are_listed_and_stay_out_of_all_else(tmp_path, own):
    "Of cross-validation and of an own split; a second run compares what validates it, and no label of the test is doubted"
    from pet_breeds.pets import run_pets
    for part, n in dict(train=5, valid=3*own, test=2).items(): photos(tmp_path/'pets'/part, *numbered('pug/{}.png', n), *numbered('beagle/{}.png', n))
    def run(out):
        with contextlib.redirect_stdout(io.StringIO()):
            return run_pets(str(tmp_path/'pets'), arch='drawnet', labels='folder', size=32, bs=2, out=str(tmp_path/out))
    first, second = run('first'), run('second')
    table = pd.read_csv(tmp_path/'second'/'predictions.csv')
    held = 'validation' if own else 'cross-validation'
    assert table['set'].value_counts().to_dict() == {held: second.metrics['n_measured'], 'test': 4} and second.metrics['n_measured'] == (6 if own else 10)
    tested = table[table['set'] == 'test']
    assert list(tested.file) == sorted(f'test/{breed}/{i}.png' for breed in ('beagle', 'pug') for i in range(2)) == list(second.tested.file)
    assert (tested.predicted != tested.label).mean() == pytest.approx(second.metrics['test']['error_rate'])
    assert second.earlier[0] == first.report and second.earlier[1]['n'] == second.metrics['n_measured'] == compare_reports(first.report, second)['n']
    assert not pd.read_csv(tmp_path/'second'/'doubtful.csv').file.str.startswith('test').any()
    assert run('second').earlier is not None and run('first').report == first.report # both are known as ours, and replaced


@pytest.mark.parametrize('balance', [False, True])
def test_where_rare_breeds_do_worse_balance_is_named(balance):
    m = {**metrics([0]*36+[1]*4, [0]*36+[0]*3+[1], [144, 16]), 'balance': balance}
    assert m['mean_breed_error'] > 1.5*m['error_rate'] and ('--balance' in result_line(m)) != balance


@pytest.mark.parametrize('errors, named', [((.1, .1, 1), False), ((.04, .6, 1), True)])
def test_balance_is_named_for_breeds_that_a_head_saw(errors, named):
    "A breed with one photo is always wrong in a cross-validation, whatever the weights"
    n, pred = (100, 10, 1), []
    for breed, (k, error) in enumerate(zip(n, errors)): pred += [breed]*(k-round(k*error)) + [0 if breed else 1]*round(k*error)
    m = {**metrics(np.repeat(range(3), n), pred, list(n), folds=5), 'unseen': {'breed_2': 1}}
    said = result_line(m)
    assert m['mean_breed_error'] > 1.5*m['error_rate'] and ('--balance' in said) == named and '1 photo of breed_2 can only be wrong' in said


@pytest.mark.parametrize('presize', ['composed', 'stock'])
def test_balance_draws_each_breed_equally_often(presize, tmp_path):
    from pet_breeds.training import balance_breeds
    photos(tmp_path, *numbered('pug_{}.png', 24), *numbered('beagle_{}.png', 4))
    dls = balance_breeds(pets_dls(tmp_path, bs=2, item=32, size=32, valid_pct=.25, device='cpu', num_workers=0, presize=presize))
    np.random.seed(0)
    drawn = np.bincount([int(y) for _ in range(12) for batch in dls.train for y in batch[1]])
    assert dls.train.n == 21 and drawn.sum() == 12*20 and 90 < drawn[0] < 150
    assert sorted(np.bincount([int(y) for batch in dls.valid for y in batch[1]])) == [1, 6], 'validation photos come once'


@pytest.mark.parametrize('part, how', [('valid', 'near'), ('valid', 'apart'), ('test', 'group'), ('test', 'bytes')])
def test_an_error_on_photos_that_training_knew_is_called_too_small(tmp_path, part, how, capsys):
    from pet_breeds.pets import run_pets
    photos(tmp_path/'pets'/'train', *numbered('pug/{}.png', 5), *numbered('beagle/{}.png', 5))
    photos(tmp_path/'pets'/part, *numbered('pug/{}.png', 3), *numbered('beagle/{}.png', 3))
    for i in (0, 1):
        copy, original = tmp_path/'pets'/part/'pug'/f'{i}.png', tmp_path/'pets'/'train'/'pug'/f'{i}.png'
        if how == 'bytes': shutil.copy(original, copy)
        if how == 'near': Image.open(original).resize((96, 96)).save(copy)
    files = sorted(f.relative_to(tmp_path/'pets') for f in (tmp_path/'pets').rglob('*.png'))
    table = pd.DataFrame(dict(file=files, label=[f.parts[1] for f in files], split=[f.parts[0] for f in files]))
    table['group'] = ['Rex' if how == 'group' and f.stem in '01' and f.parts[1] == 'pug' else None for f in files]
    run = run_pets(str(tmp_path/'pets'), labels=table, arch='drawnet', size=32, bs=2, epochs=1, out=str(tmp_path/'report'))
    m, found = run.metrics if part == 'valid' else run.metrics['test'], run.findings[run.findings.problem == 'both sides']
    said, known = '2 of these 6 photos are copies of training photos, or in one group with some', 0 if how == 'apart' else 2
    assert m['n_shared'] == len(found) == known and m['n_measured'] == 6
    assert m['n_different'] == (5 if how == 'group' else 6), 'the group of a test counts once'
    assert (said in capsys.readouterr().out) == (said in (tmp_path/'report'/'index.html').read_text()) == bool(known)


def test_a_test_is_counted_before_training(tmp_path, capsys):
    photos(tmp_path/'train', *numbered('pug/{}.png', 4), *numbered('beagle/{}.png', 4))
    photos(tmp_path/'test', *numbered('pug/{}.png', 3))
    Run(path=str(tmp_path), labels='folder', out=str(tmp_path.parent/'report')).check()
    assert '8 photos of 2 breeds, 4 of each: beagle, pug; 3 more for a test' in capsys.readouterr().out


def test_a_test_of_strange_breeds_is_not_forgotten(tmp_path, capsys):
    from pet_breeds.pets import run_pets
    photos(tmp_path/'pets'/'train', *numbered('pug/{}.png', 5), *numbered('beagle/{}.png', 5))
    photos(tmp_path/'pets'/'test', *numbered('boxer/{}.png', 3))
    m = run_pets(str(tmp_path/'pets'), labels='folder', arch='drawnet', size=32, bs=2, epochs=1, out=str(tmp_path/'report')).metrics
    [said] = line_of_test(m)
    assert m['test'] == dict(n_measured=0, unknown=3) and 'Test: not measured' in said and '3 photos of breeds' in said
    assert said in capsys.readouterr().out and said in (tmp_path/'report'/'index.html').read_text()


@pytest.mark.parametrize('balance', [False, True])
def test_a_test_says_what_a_validation_would(balance):
    "Against always the same answer; the breeds without a photo; copies; some breeds do worse"
    t = metrics([0]*6, [0]*6, [9, 8], groups=list('xxyzuv'))
    said, = line_of_test(dict(test=dict(t, unknown=0), balance=balance))
    assert 'on 6 photos; always answering breed_0 would give 0.000. So the model is no better than that.' in said
    assert 'based on 5 different photos' in said and 'Not measured, because there is no test photo: breed_1.' in said
    t = metrics([0]*36+[1]*4, [0]*36+[0]*3+[1], [144, 16])
    said, = line_of_test(dict(test=dict(t, unknown=2), balance=balance))
    assert ('--balance' in said) != balance and said.endswith('Left out: 2 photos of breeds that the model does not know.')


def test_every_figure_of_a_page_counts_copies_once(tmp_path, monkeypatch):
    "The error rate, the breeds, the limits, more photos, and the comparison with the report before the copies came"
    monkeypatch.setitem(globals(), 'NUMBERS', iter(range(100))) # the same photos, whichever tests ran before
    from pet_breeds.pets import run_pets
    photos(tmp_path/'pets', *numbered('pug/{}.png', 8), *numbered('beagle/{}.png', 8))
    options = dict(path=str(tmp_path/'pets'), labels='folder', arch='drawnet', size=32, head='linear', bs=2)
    with contextlib.redirect_stdout(io.StringIO()):
        before = run_pets(**options, out=str(tmp_path/'before')).predictions
        wrong = tmp_path/'pets'/before.file[before.label != before.predicted].iloc[0]
        for i in range(12): shutil.copy(wrong, wrong.with_name(f'copy {i}.png'))
        run = run_pets(**options, out=str(tmp_path/'report'))
    m, preds, breeds = run.metrics, run.predictions, SECTIONS['Every breed'](run)[-1]['blocks'][0]
    assert (m['n_measured'], m['n_different']) == (28, 16) and m['error_rate'] < (preds.label != preds.predicted).mean() - .05
    limits = coverage(preds)
    assert m['curve']['after'] == pytest.approx(limits.error_rate[0]) == pytest.approx(m['error_rate']) and limits.answered[0] == 16
    assert breeds.error_rate.mean() == pytest.approx(m['mean_breed_error']) and breeds.n.tolist() == [8, 8]
    assert breeds.wrong.sum()/16 == pytest.approx(m['error_rate'], abs=.01)
    assert first_screen(run)[0].startswith(f"With copies counted once, that is {of_100(m['error_rate'])} of 100.")
    again = compare_reports(tmp_path/'report', tmp_path/'report')
    assert again['after'] == pytest.approx(m['error_rate']) and again['wrong'] == [(preds.label != preds.predicted).sum()]*2
    assert 'Copies' not in (tmp_path/'before'/'index.html').read_text() and 'With copies' not in (tmp_path/'before'/'index.html').read_text()


def test_a_difference_counts_copies_once():
    "Twelve copies of one photo that got right are one photo; a thirteenth of its own is another"
    preds = pd.DataFrame(dict(file=numbered('{}.png', 14), label='pug', predicted='beagle', digest=numbered('{}', 14), group=['x']*12 + ['', '']))
    def run(table): return SimpleNamespace(predictions=table, metrics={})
    found = compare_reports(run(preds), run(preds.assign(predicted=['pug']*13 + ['beagle'])))
    assert found['wrong'] == [14, 1] and found['n'] == 14 and (found['after'], found['difference']) == pytest.approx((1/3, -2/3))
    assert found['low'] == paired_difference([1]*3, [0, 0, 1])['low'] and found['mended'] == numbered('{}.png', 13)
    said, = earlier_line(SimpleNamespace(earlier=(Path('old'), found)))
    assert '14 wrong there, 1 here. With copies counted once, that is -66.7 of 100' in said


def test_a_group_of_nobody_is_a_group_of_its_own():
    targ, pred = [0, 0, 1, 1], [0, 1, 1, 1]
    for nobody in (None, float('nan'), pd.NA, ''):
        found = honest_error(targ, pred, ['a', 'b'], [2, 2], ['x', nobody, nobody, 'x'])
        assert (found['n_different'], found['error_rate']) == (3, pytest.approx(1/3))


@pytest.mark.parametrize('side', ['train', 'valid'])
@pytest.mark.parametrize('labels', ['folder', 'table'])
def test_a_side_that_is_lost_is_said_as_it_is(tmp_path, side, labels):
    "Its photos are damaged, and there may be no column"
    photos(tmp_path, *numbered('train/pug/{}.png', 3), *numbered('train/beagle/{}.png', 3), *numbered('valid/pug/{}.png', 3), *numbered('valid/beagle/{}.png', 3))
    files = sorted(tmp_path.glob('*/*/*'))
    if labels == 'table': labels = pd.DataFrame(dict(file=[str(f.relative_to(tmp_path)) for f in files], label=[f.parent.name for f in files], split=[f.parts[-3] for f in files]))
    for f in tmp_path.glob(f'{side}/*/*'): f.write_bytes(b'x')
    learned, _, found = usable_photos(tmp_path, labels)
    assert len(found[~found.usable]) == 6
    other = dict(train='validation', valid='training')[side]
    with pytest.raises(ValueError, match=f'all 6 photos that can be used are for {other}: expected some for both, from folders .* or leave those out'): pets_dls(learned, bs=2, size=32)


# What one room says and another must know

def fake_run(n_each, folds, n_breeds=3):
    "What `photo_curve` needs: features that tell nothing, so many photos of each breed"
    rng, targ = np.random.default_rng(0), np.arange(n_breeds).repeat(n_each)
    items = pd.DataFrame(dict(group=range(len(targ))))
    loaders = SimpleNamespace(train=SimpleNamespace(items=items), valid=SimpleNamespace(items=items[:0]))
    return SimpleNamespace(features=(rng.normal(size=(len(targ), 4)), targ), kept='', plan=dict(folds=folds), dls=loaders,
                           config=SimpleNamespace(seed=0, balance=False), learn=SimpleNamespace(dls=SimpleNamespace(c=n_breeds)))


@pytest.mark.parametrize('folds', [0, 5])
@pytest.mark.parametrize('n_each, is_told', [(1, False), (2, False), (3, False), (6, True), (10, True)])
def test_more_photos_are_judged_only_where_half_is_fewer(n_each, is_told, folds):
    "Of two photos of a breed the head sees one, and half of one is one: that says nothing about more"
    run = fake_run(n_each, folds)
    curve = photo_curve(run, SimpleNamespace(argmax=lambda _: torch.zeros(len(run.features[1]), dtype=int)))
    assert (curve is not None) == is_told
    if curve: assert curve['n_half'] < .75*curve['n_all']


@pytest.mark.parametrize('column', [False, True])
@pytest.mark.parametrize('top', ['', 'images/', 'set/'])
@pytest.mark.parametrize('parts', [('train', 'test'), ('train', 'valid', 'test'), ('train',)])
def test_a_table_of_labels_keeps_the_split_of_the_folders(tmp_path, parts, top, column):
    "Unless it has a column of its own for the split"
    files = [f'{top}{part}/{i}.png' for part in parts for i in range(6)]
    photos(tmp_path, *files)
    table = pd.DataFrame(dict(file=files, label=['pug', 'fox']*(len(files)//2)))
    if column: table['split'] = 'train'
    found = photo_table(tmp_path, table)
    assert len(found.attrs.get('test', {}).get('file', [])) == (0 if column else 6*('test' in parts))
    assert int(found.get('is_valid', pd.Series(0)).sum()) == (0 if column else 6*('valid' in parts)) and not problems(found)


def test_a_table_whose_folders_are_half_a_split_says_so(tmp_path):
    files = [f'{part}/{i}.png' for part in ('test', 'more') for i in range(4)]
    found = photo_table(photos(tmp_path, *files), pd.DataFrame(dict(file=files, label=['pug', 'fox']*4)))
    assert len(found) == 8 and 'test' not in found.attrs and 'give the table a column split' in details(found)


@pytest.mark.parametrize('form', ['{0}/pug/0.png', '../pets/pug/0.png', 'pug/0.png', 'pug\\0.png', './pug/../pug/0.png'])
@pytest.mark.parametrize('images', [False, True])
def test_a_path_in_a_table_may_begin_anywhere_that_leads_into_the_folder(tmp_path, form, images):
    pets = tmp_path/'pets'
    photos(pets, 'pug/0.png', *numbered('pug/{}.png', 3), *numbered('fox/{}.png', 3))
    if images: photos(pets/'images', 'other.png')
    rows = [form.format(pets), *numbered('fox/{}.png', 3)]
    table = pd.DataFrame(dict(file=rows, label=['pug', 'fox', 'fox', 'fox']))
    assert photo_table(pets, table).file.map(lambda f: f.relative_to(pets).as_posix()).tolist() == ['pug/0.png', *numbered('fox/{}.png', 3)]
    with pytest.raises(ValueError, match=f'lies outside the folder .{pets}.:'): photo_table(pets, table.assign(file=['../x.png', *rows[1:]]))


@pytest.mark.parametrize('disk, written', [('NFD', 'NFC'), ('NFC', 'NFD'), ('NFD', 'NFD')])
def test_a_name_is_found_in_either_way_to_write_an_accent(tmp_path, disk, written):
    "macOS and its archives write an accented letter as two code points"
    names = [f'bébé_{i}.png' for i in range(4)]
    photos(tmp_path, *(unicodedata.normalize(disk, name) for name in names))
    given = [unicodedata.normalize(written, name) for name in names]
    table = photo_table(tmp_path, pd.DataFrame(dict(file=given, label=['pug', 'fox']*2)))
    assert len(table) == 4 and problems(table) <= {'few photos'}
    fixes = read_fixes([pd.DataFrame(dict(file=given[:1], fix=['relabel'], new_label=['fox']))])
    assert list(photo_table(tmp_path, pd.DataFrame(dict(file=given, label=['pug', 'fox']*2)), fixes).label) == ['fox', 'fox', 'pug', 'fox']


@pytest.mark.parametrize('path', ['{}', '~', '{}/cats/..'])
def test_a_new_label_says_nothing_about_the_folders(tmp_path, path, monkeypatch):
    "A photo that --fix relabels lies in the folder of its old label"
    photos(tmp_path, *numbered('cats/Sphynx/{}.png', 4), *numbered('dogs/pug/{}.png', 4))
    fixes = read_fixes([pd.DataFrame(dict(file=['cats/Sphynx/0.png'], fix=['relabel'], new_label=['pug']))])
    monkeypatch.setenv('HOME', str(tmp_path))
    path = path.format(tmp_path)
    before, after = photo_table(path, 'folder'), photo_table(path, 'folder', fixes)
    assert details(after) == details(before) and list(after.label).count('pug') == 5


def test_equal_names_in_two_parts_of_a_split_are_no_finding(tmp_path):
    "Cameras and scripts number the photos of each folder from 0; within one part that may be a photo saved twice"
    for part in ('train', 'valid'):
        for breed in ('pug', 'fox'): photos(tmp_path/part/breed, *numbered('{}.png', 4))
    assert 'same name' not in set(usable_photos(tmp_path, 'folder')[2].problem)
    photos(tmp_path/'train'/'more'/'pug', '0.png')
    assert list(usable_photos(tmp_path, 'folder')[2].problem).count('same name') == 1


def test_a_test_that_cannot_be_read_is_named(tmp_path):
    photos(tmp_path/'train', *numbered('pug/{}.png', 4), *numbered('fox/{}.png', 4))
    for i in range(3):
        file = tmp_path/'test'/'pug'/f'{i}.png'
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b'no photo')
    with pytest.raises(ValueError, match='none of the 3 photos for the test can be read, the first .*test/pug/0.png'): usable_photos(tmp_path, 'folder')


@pytest.mark.parametrize('decision', ['keep', 'drop', 'relabel'])
def test_a_decision_is_about_the_photo_that_was_looked_at(tmp_path, decision):
    photos(tmp_path, *numbered('pug/{}.png', 3), *numbered('fox/{}.png', 3))
    rows = pd.DataFrame(dict(file=['pug/0.png'], fix=[decision], new_label=['fox' if decision == 'relabel' else ''], digest=[photo_digest(tmp_path/'pug/0.png')]))
    photo_table(tmp_path, 'folder', read_fixes([rows]))
    photos(tmp_path, 'pug/0.png') # another one
    with pytest.raises(ValueError, match='has changed since the table was written'): photo_table(tmp_path, 'folder', read_fixes([rows]))


@pytest.mark.parametrize('decision', ['keep', 'drop'])
def test_a_decision_about_a_file_that_is_no_photo_is_allowed_and_not_counted(tmp_path, decision):
    "In any folder, also one whose name looks like a formula"
    photos(tmp_path, *numbered('pug/{}.png', 3), *numbered('=fox/{}.png', 3))
    (tmp_path/'=fox'/'x.cr2').write_bytes(b'raw')
    rows = pd.DataFrame(dict(file=["'=fox/x.cr2"], fix=[decision]))
    fixed = photo_table(tmp_path, 'folder', read_fixes([rows])).attrs['fixed']
    assert (fixed['kept'], fixed['dropped']) == ([], [])
