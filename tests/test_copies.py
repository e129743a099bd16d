"Near copies are found, named and kept on one side of the split, whatever else the table says."
import io
import itertools
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import torch
from allpairspy import AllPairs
from fastai.data.transforms import ColReader
from PIL import Image, ImageEnhance, ImageOps

from pet_breeds.copies import equal_pairs, group_numbers, near_copies, photo_hash
from pet_breeds.data import StratifiedSplitter, pets_dls, table_block
from pet_breeds.interpret import photo_weights
from pet_breeds.photos import check_photos, find_photos, look_at, read_photo
from pet_breeds.splits import stratified_split

SMALL = dict(item=32, size=16)


def cropped(im, part=.04):
    x, y = int(im.width*part/2), int(im.height*part/2)
    return im.crop((x, y, im.width-x, im.height-y))


def resized(im, by): return im.resize((im.width//by, im.height//by), Image.LANCZOS)


# A kind of copy: what is done to the picture, and how it is saved
KINDS = {
    'bytes': (lambda im: im, dict(format='PNG')),
    'another format': (lambda im: im, dict(format='BMP')),
    'half': (lambda im: resized(im, 2), dict(format='JPEG', quality=90)),
    'quarter': (lambda im: resized(im, 4), dict(format='JPEG', quality=90)),
    'quality 50': (lambda im: im, dict(format='JPEG', quality=50)),
    'quality 30': (lambda im: im, dict(format='JPEG', quality=30)),
    'mirrored': (ImageOps.mirror, dict(format='JPEG', quality=90)),
    'brighter': (lambda im: ImageEnhance.Brightness(im).enhance(1.2), dict(format='JPEG', quality=90)),
    'darker': (lambda im: ImageEnhance.Brightness(im).enhance(.8), dict(format='JPEG', quality=90)),
    'cropped': (cropped, dict(format='JPEG', quality=90)),
    'gray': (lambda im: im.convert('L'), dict(format='PNG')),
    'half, mirrored, darker': (lambda im: ImageEnhance.Brightness(ImageOps.mirror(resized(im, 2))).enhance(.8),
                               dict(format='JPEG', quality=70))}


def picture(i, size=(320, 240)):
    "One of many pictures that have nothing in common, with coarse and fine parts as photos have them"
    rng, mean = np.random.default_rng(i), np.full((size[1], size[0], 3), 128.)
    for n in (4, 8, 16, 32):
        part = Image.fromarray(rng.integers(0, 256, (n*size[1]//240, n*size[0]//240, 3), dtype=np.uint8))
        mean += (np.asarray(part.resize(size, Image.BICUBIC), float)-128)*1.6/n**.7
    return Image.fromarray(mean.clip(0, 255).astype(np.uint8))


def saved(im, kind):
    change, how = KINDS[kind]
    file = io.BytesIO()
    change(im).save(file, **how)
    return file.getvalue()


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    "Six different photos of each of two breeds, and a copy of the first in every way"
    top = tmp_path_factory.mktemp('photos')
    for i, (breed, n) in enumerate(itertools.product('ab', range(6))):
        (top/f'{breed}_{n}.png').write_bytes(saved(picture(i), 'bytes'))
    for kind in KINDS: (top/f'copy {kind}.png').write_bytes(saved(picture(0), kind))
    return top


def table_of(photos, kind, label, group):
    "The photos of both breeds, and a copy of a_0"
    files = [*sorted(photos.glob('[ab]_*.png')), photos/f'copy {kind}.png']
    table = pd.DataFrame(dict(file=files, label=[*'a'*6, *'b'*6, label]))
    of = {'a_1.png': 'pair', 'a_2.png': 'pair'} if group == 'a pair' else {}
    of |= {'b_1.png': 'mixed', 'a_3.png': 'mixed'} if group == 'mixed' else {}
    empty = {'none': None, 'a pair': '', 'mixed': float('nan')}
    if group != 'no column': table['group'] = [of.get(f.name, empty[group]) for f in files]
    return table


def split_by(way, table, valid_pct, seed):
    if way == 'split': return stratified_split(table.file, table.label, valid_pct, seed, table.get('group'))
    if way == 'splitter':
        return StratifiedSplitter(ColReader('label'), ColReader('file'), valid_pct, seed)(table)
    how = dict(valid_pct=valid_pct, seed=seed, **SMALL)
    made = (pets_dls(table, 4, num_workers=0, **how) if way == 'pets_dls'
            else table_block(**how).dataloaders(table, bs=4, num_workers=0))
    at = {f: i for i, f in enumerate(table.file)}
    return tuple([at[f] for f in dl.items.file] for dl in (made.train_ds, made.valid_ds))


@pytest.mark.parametrize('kind, label, group, valid_pct, way', list(AllPairs([
    [*KINDS], ['a', 'b'], ['no column', 'none', 'a pair', 'mixed'], [.1, .3, .5],
    ['split', 'splitter', 'table_block', 'pets_dls']])))
def test_a_copy_is_named_and_stays_beside_its_photo(kind, label, group, valid_pct, way, photos):
    table = table_of(photos, kind, label, group)
    problems, groups = look_at(table, progress=False)
    found = {f.name: (p, d) for f, p, d in problems[problems.problem.isin(
        ['duplicate', 'near copy', 'two labels'])][['file', 'problem', 'detail']].values}
    copy, mirrored = f'copy {kind}.png', 'mirrored' in kind
    named = {'a_3.png', 'b_1.png'} if group == 'mixed' else set()
    if label == 'a':
        assert found.pop(copy)[0] == ('duplicate' if kind == 'bytes' else 'near copy')
    else:
        for name, (here, there) in {'a_0.png': 'ab', copy: 'ba'}.items():
            problem, detail = found.pop(name)
            assert problem == 'two labels' and detail.endswith(f"; here '{here}', there '{there}'")
            assert detail.startswith('mirror image of' if mirrored else 'same photo' if kind == 'bytes' else 'like')
    assert {name: problem for name, (problem, _) in found.items()} == dict.fromkeys(named, 'two labels')
    assert problems.usable.all()

    together = [{'a_1.png', 'a_2.png'}] if group == 'a pair' else [named] if named else []
    if label == 'a' or not mirrored: together.append({'a_0.png', copy})
    names = [f.name for f in table.file]
    parts = [{names[i] for i in np.flatnonzero(groups == g)} for g in set(groups)]
    assert sorted(map(sorted, (p for p in parts if len(p) > 1))) == sorted(map(sorted, together))

    for seed in range(5 if 'split' in way else 1):
        train, valid = ({names[i] for i in side} for side in split_by(way, table.assign(group=groups), valid_pct, seed))
        assert train | valid == set(names) and train and valid
        for part in together: assert part <= train or part <= valid
        assert not named & valid
        if label == 'b' and not mirrored: assert {'a_0.png', copy} <= train


def test_without_the_groups_a_near_copy_may_be_parted(photos):
    table = table_of(photos, 'half', 'a', 'no column')
    sides = [stratified_split(table.file, table.label, .5, seed)[1] for seed in range(20)]
    assert any((0 in valid) != (12 in valid) for valid in sides)


def test_a_burst_is_one_group(tmp_path):
    "Each picture is like the next, the first is unlike the last"
    wide = picture(0, (800, 240))
    for i in range(12): wide.crop((i*5, 0, 320+i*5, 240)).save(tmp_path/f'a_{i:02}.png')
    files = find_photos(tmp_path)
    ends = [photo_hash(read_photo(f)) for f in (files[0], files[-1])]
    assert len(near_copies(ends, 'aa')[0]) == 0
    problems, groups = look_at(files, progress=False)
    assert len(set(groups)) == 1 and problems.problem.tolist() == ['near copy']*11


def test_each_photo_of_a_group_with_two_labels_is_named(tmp_path):
    "Also the one whose nearest copy has its own label: none of them is for validation"
    wide, files = picture(0, (800, 240)), []
    for i, name in enumerate(['a_1.png', 'a_2.png', 'b_1.png']): wide.crop((i*5, 0, 320+i*5, 240)).save(tmp_path/name)
    for i in range(4): picture(i+1).save(tmp_path/f'{"ab"[i%2]}_{i+5}.png')
    problems, groups = look_at(tmp_path, progress=False)
    assert [f.name for f in problems.file] == ['a_1.png', 'a_2.png', 'b_1.png']
    assert set(problems.problem) == {'two labels'}
    files = find_photos(tmp_path)
    for seed in range(10):
        _, valid = stratified_split(files, [f.name[0] for f in files], .5, seed, groups)
        assert valid and not {files[i].name for i in valid} & {f.name for f in problems.file}


def test_arrows_to_both_sides_can_still_be_split(tmp_path):
    "Mirror images under two labels: both may be right"
    for i in range(8):
        picture(i).save(tmp_path/f'left_{i}.png')
        ImageOps.mirror(picture(i)).save(tmp_path/f'right_{i}.png')
    problems, groups = look_at(tmp_path, progress=False)
    assert problems.problem.tolist() == ['two labels']*16 and problems.detail.str.startswith('mirror image of').all()
    files = find_photos(tmp_path)
    train, valid = stratified_split(files, [f.name[:4] for f in files], .25, groups=groups)
    assert len(set(groups)) == 16 and len(valid) == 4


def test_a_photo_without_a_label_contradicts_none(tmp_path):
    for name in ('holiday.png', 'pug_1.png'): picture(0).save(tmp_path/name)
    resized(picture(0), 2).save(tmp_path/'pug_2.png')
    problems = check_photos(tmp_path, progress=False)
    assert sorted(problems.problem) == ['duplicate', 'near copy', 'no label']


def test_plain_surfaces_are_not_alike(tmp_path):
    "But for their bytes"
    for i, color in enumerate(['white', 'white', 'black', 'teal']): Image.new('RGB', (60+i, 60), color).save(tmp_path/f'a_{i}.png')
    Image.new('RGB', (60, 60), 'white').save(tmp_path/'a_9.png')
    problems, groups = look_at(tmp_path, progress=False)
    assert problems.problem.tolist() == ['duplicate'] and len(set(groups)) == 4


def test_what_is_said_of_labels_and_names_is_printable(tmp_path):
    files = [tmp_path/'x\x1b[31m.png', tmp_path/'y\u202e.png']
    for f, im in zip(files, (picture(0), resized(picture(0), 2))): im.save(f)
    problems = check_photos(pd.DataFrame(dict(file=files, label=['a\x1b[1m', 'b\u202e'])), progress=False)
    assert problems.problem.tolist() == ['two labels']*2 and problems.detail.map(str.isprintable).all()


@pytest.mark.parametrize('most', [0, 56, 104, 108])
@pytest.mark.parametrize('labels', ['a', 'ab', 'abc'])
def test_groups_are_those_of_all_pairs(most, labels):
    "Across the borders of blocks, and where photos without a hash stand between"
    rng = np.random.default_rng()
    hashes = list(rng.integers(0, 2**64, (600, 2, 4), dtype=np.uint64))
    hashes[599] = hashes[3] = hashes[300]
    hashes[5] = hashes[400][::-1].copy()
    for i, j in rng.choice(np.arange(401, 599), (30, 2), replace=False): hashes[i] = hashes[j][::rng.choice([1, -1])].copy() # also in chains
    for i in rng.choice(np.arange(6, 300), 40, replace=False): hashes[i] = None
    labels = rng.choice([*labels], 600)
    want, clash = [], set()
    for i, j in itertools.combinations([i for i, h in enumerate(hashes) if h is not None], 2):
        same, mirrored = (int(np.bitwise_count(hashes[i][0] ^ side).sum()) <= most for side in hashes[j])
        if same or mirrored and labels[i] == labels[j]: want.append((i, j))
        if mirrored and labels[i] != labels[j]: clash |= {(i, j), (j, i)}
    pairs, sides = near_copies(hashes, labels, most)
    assert {*map(tuple, pairs.tolist())} == {*want}
    assert {*sides} == {i for i, _ in clash} and {*sides.items()} <= clash


def test_opposite_bits_are_far_apart():
    "256 differing bits are not counted as none"
    zeros = np.zeros((2, 4), np.uint64)
    assert len(near_copies([zeros, ~zeros], 'aa')[0]) == 0


@pytest.mark.parametrize('labels', ['a', 'ab'])
def test_many_copies_of_one_photo_do_not_fill_the_memory(labels):
    "4,000 of them make eight million pairs, and as many mirrored ones; others stay apart"
    hashes = np.zeros((4003, 2, 4), np.uint64)
    hashes[[7, 2000], 0] = hashes[[7, 2000], 1] = np.uint64(2**64-1)
    hashes[4002, :, ::2] = np.uint64(2**64-1)
    tracemalloc.start()
    pairs, sides = near_copies(list(hashes), [labels[i % len(labels)] for i in range(4003)])
    assert tracemalloc.get_traced_memory()[1] < 200e6
    tracemalloc.stop()
    groups = group_numbers(4003, pairs)
    assert len(set(groups)) == 3 and groups[7] == groups[2000] and len(pairs) < 3_000_000
    assert len(sides) == (4002 if labels == 'ab' else 0)


@pytest.mark.parametrize('form', [torch.tensor, np.array, pd.Series, tuple, lambda g: [torch.tensor(v) for v in g]])
def test_groups_of_any_form_are_the_same(form, photos):
    "Numbers of a tensor are not equal to each other for Python"
    files, groups = sorted(photos.glob('[ab]_*.png')), [i//4 for i in range(12)]
    for give in (groups, form(groups)):
        assert group_numbers(12, groups=give).tolist() == groups and photo_weights(12, give).tolist() == [.25]*12
    assert stratified_split(files, ['a']*12, groups=form(groups)) == stratified_split(files, ['a']*12, groups=groups)


def test_each_photo_needs_a_label_and_a_group(photos):
    for short in (dict(labels=['a']), dict(labels=['a', 'a'], groups=[1])):
        with pytest.raises(ValueError, match='1 for 2 photos: expected one for each'): stratified_split(sorted(photos.glob('b_*.png'))[:2], **short)
    with pytest.raises(ValueError, match='3 for 2 photos'): photo_weights(2, [1, 2, 3])


def test_pairs_of_any_values_become_groups():
    values = ['x', 1, None, 1.0, '', float('nan'), 'x', pd.NA, float('nan'), pd.NA, b'1']
    pairs = equal_pairs(values)
    assert pairs.tolist() == [[1, 3], [0, 6]]
    groups = group_numbers(len(values), pairs, np.array([[6, 10], [10, 3]]))
    assert {*np.flatnonzero(groups == groups[0])} == {0, 1, 3, 6, 10} and len(set(groups)) == 7
    assert len(equal_pairs([])) == 0 and len(group_numbers(0)) == 0 and len(set(group_numbers(3))) == 3


@pytest.mark.parametrize('kind', [k for k in KINDS if k != 'bytes'])
def test_copies_of_real_photos_are_found(kind, shared):
    "At least 19 of 20, and no photo is taken for the copy of another"
    files = find_photos(shared/'pets')[::6]
    originals = [photo_hash(read_photo(f, 32)) for f in files]
    changed = []
    for f in files:
        with Image.open(io.BytesIO(saved(Image.fromarray(read_photo(f)), kind))) as im: changed.append(im.copy())
    copies = [photo_hash(np.asarray(im.convert('RGB'))) for im in changed]
    n = len(files)
    pairs, _ = near_copies(originals+copies, ['']*2*n)
    pairs = {*map(tuple, pairs.tolist())}
    assert {j-i for i, j in pairs} == {n} and len(pairs) >= .95*n


def test_real_photos_are_no_near_copies_of_each_other(shared):
    files = find_photos(shared/'pets')
    problems, groups = look_at(files, progress=False)
    assert 'near copy' not in set(problems.problem) and len(set(groups)) == len(files) == 259


# The column is_valid

SAYS = {'bool': bool, 'int': int, 'float': float, 'text': lambda v: f' {int(v)} ', 'words': str, 'upper': lambda v: str(v).upper()}


@pytest.mark.parametrize('form, group, valid_pct, way', list(AllPairs([
    [*SAYS], ['no column', 'none', 'a pair'], [.1, .5], ['splitter', 'table_block', 'pets_dls']])))
def test_a_given_split_is_taken_as_it_is(form, group, valid_pct, way, photos):
    table = table_of(photos, 'half', 'a', group)
    want = [1, 2, 7]
    table['is_valid'] = [SAYS[form](i in want) for i in range(13)]
    train, valid = split_by(way, table.set_index(pd.Index(range(50, 63))), valid_pct, 7)
    assert sorted(valid) == want and sorted(train) == [i for i in range(13) if i not in want]


@pytest.mark.parametrize('column, says', [
    ([0]*13, 'all 13 photos that can be used are for training'), ([1]*13, 'all 13 photos that can be used are for validation'),
    ([0]*6+[1]*6+[0], "no photo of 'b' is for training"), ([0, 1]*6+['perhaps'], "is_valid 'perhaps': expected 1 or True"),
    ([0, 1]*6+[None], 'is_valid nan: expected'), ([0, 1]*6+['\x1b[1m'], r"is_valid '\\x1b\[1m'"),
    ([0, 1]*6+[2], 'is_valid 2: expected'), ([0, 1]*6+[''], "is_valid '': expected")])
@pytest.mark.parametrize('way', ['splitter', 'table_block', 'pets_dls'])
def test_a_given_split_that_cannot_be_taken(column, says, way, photos):
    table = table_of(photos, 'half', 'a', 'none').assign(is_valid=column)
    with pytest.raises(ValueError, match=says) as e: split_by(way, table, .2, 1)
    assert str(e.value).isprintable()


@pytest.mark.parametrize('kind', ['bytes', 'half'])
def test_a_given_split_that_parts_copies_is_told(kind, photos, recwarn):
    table = table_of(photos, kind, 'a', 'no column')
    table = table.assign(group=look_at(table, progress=False)[1], is_valid=[i in (1, 7) for i in range(13)])
    split_by('splitter', table, .2, 1)
    assert [str(w.message) for w in recwarn if 'parts' in str(w.message)] == []
    with pytest.warns(UserWarning, match='is_valid parts 1 group of copies'):
        split_by('splitter', table.assign(is_valid=[i in (0, 7) for i in range(13)]), .2, 1)


def test_as_many_groups_as_photos(photos):
    table = table_of(photos, 'half', 'a', 'no column')
    with pytest.raises(ValueError, match='groups: 2 for 13 photos'): stratified_split(table.file, table.label, groups=[1, 2])


def test_where_every_group_has_two_labels_nothing_can_validate(photos):
    table = table_of(photos, 'half', 'a', 'no column').assign(group=[0, 1, 2, 3, 4, 5]*2+[0])
    with pytest.raises(ValueError, match='none can be held out.*not all in groups with two labels'):
        split_by('splitter', table, .2, 1)
