"Photos get labels from names, folders and tables, are split, and become batches."
import inspect
import itertools
import pickle
import shutil
import unicodedata
from operator import attrgetter, itemgetter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from fastai.data.core import DataLoaders
from fastai.data.transforms import ColReader, Normalize
from fastai.torch_core import TensorImage, set_seed
from fasttransform import Transform
from PIL import Image

from pet_breeds import splits
from pet_breeds.batches import ComposedDL, PhotoBlock, PhotoDL
from pet_breeds.data import StratifiedSplitter, folder_block, pets_block, pets_dls, photo_table, table_block
from pet_breeds.labels import name_label
from pet_breeds.photos import check_photos, find_photos
from pet_breeds.sources import is_drawn
from pet_breeds.splits import stratified_split
from pet_breeds.warp import Prep


def photo(path, colour=0, size=(40, 40), mode='RGB', **kw):
    path.parent.mkdir(parents=True, exist_ok=True)
    im = Image.new(mode, size)
    im.putpixel((0, 0), colour if mode == 'L' else (colour % 256, colour // 256, 0)+(0,)*(len(mode)-3))
    im.save(path, kw.pop('format', 'PNG'), **kw)
    return path


@pytest.fixture(scope='session')
def many(tmp_path_factory):
    "Five breeds with 10, 7, 3, 2 and 1 different photos."
    top = tmp_path_factory.mktemp('many')
    for b, n in dict(a=10, b=7, c=3, d=2, e=1).items():
        for i in range(n): photo(top/f'{b}_{i}.png', colour=ord(b)*256+i)
    return top


# Labels

def test_photo_table_by_name_keeps_what_it_skips(many, tmp_path):
    shutil.copytree(many, tmp_path/'images')
    odd = [photo(tmp_path/'images'/n) for n in ('holiday.png', 'pug.png')]
    t = photo_table(tmp_path)
    assert len(t) == 23 and t.label.unique().tolist() == list('abcde') and t.attrs['skipped'] == odd


def test_no_name_that_fits_shows_three(tmp_path):
    for i in range(5): photo(tmp_path/f'img{i}.png')
    with pytest.raises(ValueError, match='5 of 5 photos have no label by --labels name .expected breed_12.jpg') as e: photo_table(tmp_path)
    assert all(f'img{i}.png' in str(e.value) for i in range(3)) and 'img3' not in str(e.value)


def test_photo_table_by_folder(tmp_path):
    for f in ('pug/1.png', 'pug/2.png', 'more/beagle/1.png', 'cover.png'): photo(tmp_path/'images'/f)
    t = photo_table(tmp_path, 'folder')
    assert t.label.tolist() == ['beagle', 'pug', 'pug'] and [f.name for f in t.attrs['skipped']] == ['cover.png']


def test_one_breed_is_not_enough(tmp_path):
    for i in range(3): photo(tmp_path/'pug'/f'pug_{i}.png')
    for labels in ('name', 'folder'):
        with pytest.raises(ValueError, match="only one breed, 'pug'"): photo_table(tmp_path, labels)


def test_photo_table_from_a_table(many, tmp_path):
    shutil.copytree(many, tmp_path/'images')
    rows = [(f.name, name_label(f).upper()) for f in find_photos(tmp_path)]
    short, long = (pd.DataFrame(rows, columns=['file', 'label']) for _ in range(2))
    long['file'] = 'images/'+long.file
    for i, t in enumerate((short, long)): t.to_csv(tmp_path/f'{i}.csv', index=False)
    want = photo_table(tmp_path, short)
    assert want.file.tolist() == find_photos(tmp_path) and set(want.label) == set('ABCDE')
    assert not want.attrs.get('skipped')
    for labels in (long, '1.csv', tmp_path/'0.csv', str(tmp_path/'1.csv')):
        assert photo_table(tmp_path, labels).equals(want)
    with pytest.raises(FileNotFoundError, match="labels='folders'.*did you mean 'folder'"):
        photo_table(tmp_path, 'folders')
    missing = pd.DataFrame(dict(file=['x.png'], label=['a']))
    with pytest.raises(FileNotFoundError, match='1 of 1 photos'): photo_table(tmp_path, missing)


def test_a_rule_that_finds_nothing_is_told_what_to_do_instead(tmp_path):
    "Never to do what was asked already"
    top = tmp_path/'Dime'
    for i in range(3): photo(top/f'img{i}.png', i)
    with pytest.raises(ValueError, match='Dime: 3 of 3 photos have no label by --labels name .*img0.png.*or a CSV') as by_name:
        photo_table(top, 'name')
    with pytest.raises(ValueError, match='Dime: 3 of 3 photos have no label by --labels folder .expected breed/photo.jpg.*img0.png') as by_folder:
        photo_table(top, 'folder')
    for e in (by_name, by_folder): assert 'breeds:' not in str(e.value)
    with pytest.raises(ValueError, match=r'3 of 3 photos have no label by labels\(\): img0'): photo_table(top, lambda f: None)
    for i in range(9): photo(top/'Dime'/f'{i}.png', i)
    with pytest.raises(ValueError, match='only one breed') as by_folder: photo_table(top, 'folder')
    assert 'labels=' not in str(by_folder.value)


def test_photo_table_by_a_function(many):
    t = photo_table(many, lambda f: {'a': 1, 'b': 2}.get(name_label(f)))
    assert t.label.tolist() == ['1']*10+['2']*7 and len(t.attrs['skipped']) == 6


# Splitting

VALID = ['a_1.png', 'a_8.png', 'b_1.png', 'c_1.png', 'd_0.png'] # of `many`, with seed 42, on every system


def split(files, **kw): return stratified_split(files, [name_label(f) for f in files], **kw)
def names(files, idxs): return sorted(files[i].name for i in idxs)


@pytest.mark.parametrize('pct', [0.01, 0.1, 0.2, 0.25, 0.5, 0.75, 0.99])
def test_split_sizes(many, pct):
    files = find_photos(many)
    train, valid = split(files, valid_pct=pct)
    assert sorted(train+valid) == list(range(23))
    per = pd.Series([name_label(files[i]) for i in valid]).value_counts()
    assert all(1 <= per[b] <= n-1 for b, n in dict(a=10, b=7, c=3, d=2).items()) and 'e' not in per
    assert len(valid) == min(max(round(pct*23), 4), 18)
    if pct in (0.2, 0.25, 0.5): assert all(abs(per[b]-pct*n) <= 1 for b, n in dict(a=10, b=7, c=3, d=2).items())


def test_split_is_the_same_everywhere(many, tmp_path):
    files = find_photos(many)
    want = names(files, split(files)[1])
    assert want == VALID
    backwards, elsewhere = files[::-1], find_photos(shutil.copytree(many, tmp_path/'x'))
    assert names(backwards, split(backwards)[1]) == names(elsewhere, split(elsewhere)[1]) == want
    assert names(files, split(files, seed=1)[1]) != want


def test_copies_stay_together(many, tmp_path):
    shutil.copytree(many, tmp_path, dirs_exist_ok=True)
    for i in range(7): shutil.copy(tmp_path/f'b_{i}.png', tmp_path/f'b_{i+100}.png')
    for i in range(2): shutil.copy(tmp_path/f'd_{i}.png', tmp_path/f'd_{i+100}.png')
    shutil.copy(tmp_path/'a_0.png', tmp_path/'c_100.png')
    shutil.copy(tmp_path/'a_1.png', tmp_path/'a_101.png')
    files = find_photos(tmp_path)
    for seed in range(20):
        train, valid = ({files[i].read_bytes() for i in idxs} for idxs in split(files, valid_pct=0.3, seed=seed))
        assert not train & valid and {(tmp_path/f).read_bytes() for f in ('a_0.png', 'a_1.png')} <= train
        valid = split(files, valid_pct=0.3, seed=seed)[1]
        assert {name_label(files[i]) for i in valid} == set('abcd')
        assert len(valid) in (10, 11), 'round(0.3*34), and one more since both photos of d are there twice'


def test_a_photo_under_two_labels_trains(many, tmp_path):
    for f in ('a_0.png', 'a_1.png', 'b_0.png', 'b_1.png'): shutil.copy(many/f, tmp_path/f)
    shutil.copy(tmp_path/'a_0.png', tmp_path/'b_2.png')
    files = find_photos(tmp_path)
    for seed in range(10): assert names(files, split(files, valid_pct=0.6, seed=seed)[1]) in (['b_0.png'], ['b_1.png'])


def test_accents_are_the_same_on_every_system():
    name = 'bébé', 'bébé_1.jpg'
    assert splits._rank(42, *name) == splits._rank(42, *(unicodedata.normalize('NFD', s) for s in name))


def test_split_refuses(many):
    files = find_photos(many)
    for pct in (0, 1, 20, -0.1, float('nan'), '0.2', None):
        with pytest.raises(ValueError, match='valid_pct'): split(files, valid_pct=pct)
        with pytest.raises(ValueError, match='valid_pct'): StratifiedSplitter(name_label, valid_pct=pct)
    with pytest.raises(ValueError, match='none can be held out'): split([files[0], files[-1]])
    with pytest.raises(ValueError, match=r'valid_pct 0.2 of type float32: expected a number, 0 to 1'): split(files, valid_pct=np.float32(.2))


def test_a_splitter_gives_rows_as_a_block_does(many):
    "So that one function reads labels for both, whichever way it looks into a row"
    files = find_photos(many)
    table = pd.DataFrame(dict(file=files, label=[name_label(f) for f in files]))
    want = StratifiedSplitter(name_label)(files)
    for get_y, get_x in ((ColReader('label'), ColReader('file')), (lambda row: row.label, lambda row: row.file),
                         (attrgetter('label'), itemgetter('file')), (lambda row: row.iloc[1], lambda row: row['file'])):
        assert StratifiedSplitter(get_y, get_x)(table) == want


# Blocks

BLOCKS = [pets_block, folder_block, table_block]


@pytest.mark.parametrize('presize', ['composed', 'stock'])
@pytest.mark.parametrize('block', BLOCKS)
def test_blocks_refuse_bad_numbers(block, presize):
    for bad in (dict(valid_pct=0), dict(valid_pct=1.5), dict(size=0), dict(item=100, size=224), dict(min_scale=0),
                dict(min_scale=1.1), dict(max_rotate=999), dict(p_affine=-1)):
        with pytest.raises(ValueError, match=next(iter(bad))): block(presize=presize, **bad)


@pytest.mark.parametrize('name, near', [('sise', 'size'), ('max_rotat', 'max_rotate'), ('val_pct', 'valid_pct'),
                                        ('batch_tfm', 'batch_tfms'), ('pre_size', 'presize'), ('dice', None)])
def test_an_unknown_option_is_refused_with_the_nearest(name, near, many):
    "In the same words for both presizings"
    for block in (*BLOCKS, lambda **options: pets_dls(many, **options)):
        said = set()
        for presize in ('composed', 'stock'):
            with pytest.raises(ValueError, match=f'has no option .{name}.') as e: block(presize=presize, **{name: 64})
            said.add(str(e.value))
            if near: assert f"did you mean '{near}'" in str(e.value)
        assert len(said) == 1 and '()' not in said.pop()
    with pytest.raises(ValueError, match="pets_dls has no option 'val_b' .did you mean 'val_bs'"):
        pets_dls(many, val_b=9)


@pytest.mark.parametrize('bad', [dict(bs=0), dict(val_bs=0), dict(bs=2.5), dict(bs='64')])
def test_a_batch_has_a_whole_number_of_photos(bad, many):
    [(name, value)] = bad.items()
    with pytest.raises(ValueError, match=f'{name} {value}(| of type str): expected a whole number'): pets_dls(many, **bad)


def test_three_builders_have_one_signature():
    parameters = [list(inspect.signature(block).parameters) for block in BLOCKS]
    own = [name for name in parameters[0] if name != 'aug']
    assert parameters[1] == parameters[2] == own
    assert set(own)-{'get_items', 'get_x', 'get_y'} < set(inspect.signature(pets_dls).parameters)


def test_item_transforms(many):
    "Refused with a remedy where there are no single photos"
    twice = Transform(lambda x: x, order=2)
    for block in BLOCKS:
        with pytest.raises(ValueError, match="item_tfms.*give batch_tfms, or use presize='stock'"):
            block(item_tfms=[twice])
        assert twice in block(item_tfms=[twice], presize='stock').item_tfms
        with pytest.raises(ValueError, match='cache'): block(cache=True, presize='stock')


def test_a_preparation_is_given_whole_or_not_at_all(many):
    prep = Prep('stock', size=16, aug=dict(max_rotate=3))
    assert pets_dls(many, bs=4, prep=prep, num_workers=0).prep == prep
    for more in (dict(size=32), dict(presize='stock'), dict(max_rotate=3), dict(item=300)):
        with pytest.raises(ValueError, match='prep:'): pets_block(prep=prep, **more)


def test_a_photo_without_a_folder_of_its_own_is_no_breed(many, tmp_path):
    "`folder_block` refuses it; the table leaves it out and lists it, and `pets_dls` says so"
    for f in find_photos(many):
        if 'e' not in f.name: (tmp_path/f.name[0]).mkdir(exist_ok=True), shutil.copy(f, tmp_path/f.name[0])
    loose = photo(tmp_path/'cover.png', 7)
    with pytest.raises(ValueError, match='1 of 23 photos lie directly'): folder_block().dataloaders(tmp_path)
    with pytest.warns(UserWarning, match='1 photo without a label left out: cover.png'): pets_dls(tmp_path, labels='folder', bs=4, item=32, size=16)
    assert photo_table(tmp_path, 'folder').attrs['skipped'] == [loose]
    loose.unlink()
    assert list(pets_dls(tmp_path, labels='folder', bs=4, item=32, size=16).vocab) == list('abcd')


def test_a_function_may_leave_photos_out_with_a_warning(many):
    "It need not be one that can be pickled"
    with pytest.warns(UserWarning, match='6 photos without a label left out: c_0.png'):
        made = pets_dls(many, 4, labels=lambda f: {'a': 'x', 'b': 'y'}.get(name_label(f)), **SMALL)
    assert list(made.vocab) == ['x', 'y'] and len(made.train_ds)+len(made.valid_ds) == 17
    pickle.dumps(made.new_empty())


def test_labels_beside_a_table_are_refused(many):
    with pytest.raises(ValueError, match='labels already'): pets_dls(photo_table(many), labels='folder')


# What is combined: the data, the way they are prepared and read, transforms, sampling

@pytest.fixture(scope='session')
def pets(tmp_path_factory):
    "Small photos of three breeds, by name and by folder, and a table"
    top, rng = tmp_path_factory.mktemp('pets'), np.random.default_rng(0)
    rows = []
    for breed, n in dict(beagle=9, pug=7, samoyed=4).items():
        (top/'by'/breed).mkdir(parents=True)
        for i in range(n):
            im = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((40, 30))
            im.save(photo(top/'images'/f'{breed}_{i}.png')), im.save(top/'by'/breed/f'{breed}_{i}.png')
            rows.append((f'{breed}_{i}.png', breed))
    pd.DataFrame(rows, columns=['file', 'label']).to_csv(top/'t.csv', index=False)
    return top


def initial(f): return name_label(f)[0].upper()


SMALL = dict(item=32, size=16)


def made_by(source, top, valid_bs, options):
    "Loaders with 4 photos in a batch, by a builder or by `pets_dls` with any kind of labels"
    loading = dict(bs=4, val_bs=valid_bs, num_workers=0, device='cpu')
    if source == 'pets_block': return pets_block(**options).dataloaders(top/'images', **loading)
    if source == 'folder_block': return folder_block(**options).dataloaders(top/'by', **loading)
    if source == 'table_block': return table_block(**options).dataloaders(photo_table(top), **loading)
    if source == 'name': return pets_dls(top, **loading, **options)
    if source == 'folder': return pets_dls(top/'by', labels='folder', **loading, **options)
    if source == 'table': return pets_dls(photo_table(top), **loading, **options)
    labels = dict(csv='t.csv', frame=pd.read_csv(top/'t.csv'), function=initial)[source]
    return pets_dls(top, labels=labels, **loading, **options)


SOURCES = ['pets_block', 'folder_block', 'table_block', 'name', 'folder', 'table', 'csv', 'frame', 'function']


class Louder(Transform):
    def __init__(self, order): self.order = order
    def encodes(self, x:TensorImage): return x*2+self.order


def normalizing(): return Normalize.from_stats([.5]*3, [.25]*3, cuda=False)


TFMS = dict(none=lambda: None, normalize=lambda: [normalizing()], before=lambda: [normalizing(), Louder(20)],
            two=lambda: [Louder(5), Louder(200)])


def pairwise(**options):
    "Few cases in which each two values of two options meet"
    names = list(options)
    def pairs(case): return set(itertools.combinations(zip(names, case), 2))
    cases = list(itertools.product(*options.values()))
    todo = set().union(*map(pairs, cases))
    while todo:
        best = max(cases, key=lambda case: len(pairs(case) & todo))
        todo -= pairs(best)
        yield best


CASES = list(pairwise(source=SOURCES, way=['composed', 'cached', 'resident', 'stock'], tfms=TFMS, val_bs=[None, 3],
                      sampling=['all', 'weighted', 'partial'], copy=['as made', 'new', 'pickled'], valid_pct=[.2, .5]))


def test_each_two_options_meet():
    assert len(CASES) < 80 and ('stock', 'weighted') in {(c[1], c[4]) for c in CASES}


@pytest.mark.parametrize('source, way, tfms, val_bs, sampling, copy, valid_pct', CASES)
def test_what_is_combined(source, way, tfms, val_bs, sampling, copy, valid_pct, pets, tmp_path):
    "Every builder gives what was asked for, whatever else is asked"
    presize = 'stock' if way == 'stock' else 'composed'
    kw = dict(SMALL, presize=presize, batch_tfms=TFMS[tfms](), valid_pct=valid_pct, seed=3, max_rotate=45)
    set_seed(0)
    made = made_by(source, pets, val_bs, kw | dict(cache=tmp_path if way == 'cached' else False))
    if way == 'resident': made.train.resident = made.valid.resident = True
    n = len(made.train_ds)
    wgts = [float(made.vocab[y] in ('pug', 'P')) for _, y in made.train_ds]
    if sampling == 'weighted': made.train = made.train.new(wgts=wgts)
    if sampling == 'partial': made.train = made.train.new(partial_n=5)
    if copy == 'new': made = DataLoaders(*(dl.new() for dl in made.loaders))
    if copy == 'pickled': made = pickle.loads(pickle.dumps(made))

    # the preparation, and its loaders
    prep = Prep(presize, 32, 16, aug=dict(max_rotate=45))
    assert made.prep == made.valid.prep == made.test_dl(find_photos(pets/'images')).prep == prep
    assert all(isinstance(dl, ComposedDL if presize == 'composed' else PhotoDL) for dl in made.loaders)
    assert (len(list(tmp_path.glob('*.safetensors'))) > 0) == (way == 'cached')

    # the pipeline, in its order
    asked = [type(f) for f in sorted(kw['batch_tfms'] or [], key=lambda f: f.order)]
    fs = [type(f) for f in made.train.after_batch.fs if type(f) in (Louder, Normalize)]
    assert fs == asked

    # batches
    train, valid = ([(x, y.tolist()) for x, y in dl] for dl in made.loaders)
    assert {len(x) for x, _ in train} == {4} and len(valid[0][0]) == (val_bs or 4)
    assert sum(len(x) for x, _ in valid) == len(made.valid_ds) == round(valid_pct*20)
    drawn = sum((y for _, y in train), [])
    assert len(drawn) == (4 if sampling == 'partial' else n//4*4)
    if sampling == 'weighted': assert {made.vocab[y] for y in drawn} <= {'pug', 'P'}
    assert sum((y for _, y in valid), []) == [int(y) for _, y in made.valid_ds]
    assert sorted(made.vocab) == (['B', 'P', 'S'] if source == 'function' else ['beagle', 'pug', 'samoyed'])

    # pixels: those of a validation that is plain, through the transforms in order
    plain = made_by(source, pets, val_bs, kw | dict(batch_tfms=None))
    for (x, _), (want, _) in zip(valid, plain.valid, strict=True):
        assert x.shape[1:] == (3, 16, 16) and x.dtype == torch.float32
        if presize == 'stock' and tfms in ('before', 'two'): continue # there they come before fastai's own
        for f in sorted(kw['batch_tfms'] or [], key=lambda f: f.order): want = f(want)
        tolerance = 12/255 if way == 'resident' else 1e-5
        assert (x-want).abs().max() <= tolerance*max(1, float(want.abs().max()))


@pytest.mark.parametrize('block', BLOCKS)
@pytest.mark.parametrize('presize', ['composed', 'stock'])
def test_fastais_weighted_and_partial_loaders_of_every_builder(block, presize, pets):
    "From the block and from its datasets: photos that are cropped and numbers from 0 to 1, with their preparation"
    source = {pets_block: pets/'images', folder_block: pets/'by', table_block: photo_table(pets)}[block]
    plan, loading = block(**SMALL, presize=presize), dict(bs=4, device='cpu', num_workers=0)
    assert type(plan) is PhotoBlock
    sets = plan.datasets(source)
    labels = [sets.vocab[y] for y in sets.tls[1]]
    wgts = np.array([label == 'samoyed' for label in labels], float)
    weighted = plan.weighted_dataloaders(source, wgts, **loading)
    again = sets.weighted_dataloaders(wgts[sets.splits[0]], **loading)
    part = sets.partial_dataloaders(6, val_bs=2, **loading)
    for made in (weighted, again, part):
        x, y = made.one_batch()
        assert x.shape == (4, 3, 16, 16) and x.dtype == torch.float32 and x.max() <= 1
        assert made.prep == plan.dls_kwargs['prep'] == Prep(presize, 32, 16)
        if made is not part: assert {made.vocab[i] for i in y} == {'samoyed'}
        assert made.valid.prep == made.prep and sum(len(b[0]) for b in made.valid) == 4
    assert len(part.train) == 1 and len(part.valid) == 2


def test_name_folder_and_table_give_the_same_sets(many, tmp_path):
    files = find_photos(many)
    for f in files:
        (tmp_path/'by'/name_label(f)).mkdir(parents=True, exist_ok=True)
        shutil.copy(f, tmp_path/'by'/name_label(f))
    rows = pd.DataFrame(dict(image=[f.name for f in files], breed=[name_label(f) for f in files]))
    rows.sample(frac=1, random_state=0).to_csv(tmp_path/'t.csv', index=False)
    dl = dict(bs=4, num_workers=0)
    tables = photo_table(many, tmp_path/'t.csv'), photo_table(tmp_path/'by', 'folder')
    all_dls = [pets_block(**SMALL).dataloaders(many, **dl), folder_block(**SMALL).dataloaders(tmp_path/'by', **dl),
               *(table_block(**SMALL).dataloaders(table, **dl) for table in tables)]
    for dls in all_dls:
        items = dls.valid.items
        files = [Path(f) for f in (items.file if isinstance(items, pd.DataFrame) else items)]
        assert list(dls.vocab) == list('abcde') and (len(dls.train_ds), len(dls.valid_ds)) == (18, 5)
        assert sorted(f.name for f in files) == VALID
        x, y = dls.valid.one_batch()
        assert x.shape == (4, 3, 16, 16) and [dls.vocab[i] for i in y] == [name_label(f) for f in files][:4]


def test_a_given_vocab_keeps_its_order(many):
    for made in (table_block(**SMALL, vocab=list('zedcba')).dataloaders(photo_table(many), bs=4, num_workers=0),
                 pets_dls(many, 4, **SMALL, vocab=list('zedcba'))): assert list(made.vocab) == list('zedcba')


def test_real_photos(shared):
    t = photo_table(shared/'pets')
    assert len(t) == 259 and t.label.nunique() == 37 and t.attrs['skipped'] == [] and not is_drawn(shared/'pets')
    assert check_photos(t, progress=False).usable.all()
    valid = split(list(t.file))[1]
    assert len(valid) == 52 and set(t.label[valid]) == set(t.label)


@pytest.mark.parametrize('change, says', [
    (dict(label={3: None}), "1 of 23 rows have no label in column 'label', the first is row 3"),
    (dict(label={3: float('nan'), 4: ' '}), "2 of 23 rows have no label in column 'label', the first is row 3"),
    (dict(file={3: ''}), "1 of 23 rows have no file in column 'file', the first is row 3"),
    (dict(file={1: 'a_0.png'}, label={1: 'b'}), "'a_0.png' has more than one label: a, b; keep one row a photo"),
    (None, "no column for the label: found .'file', 'breed', 'group'., expected 'label'")])
def test_a_table_of_your_own_is_checked_before_any_photo_is_read(many, change, says):
    table = photo_table(many)
    table['file'] = table.file.map(str).astype(object)
    for column, cells in (change or {}).items():
        for row, cell in cells.items(): table.loc[row, column] = str(many/cell) if cell == 'a_0.png' else cell
    if change is None: table = table.rename(columns=dict(label='breed'))
    with pytest.raises(ValueError, match=says): pets_dls(table.assign(group=range(23)), bs=4, size=32)


@pytest.mark.parametrize('source', ['folder', 'table', 'labels'])
def test_a_vocab_that_does_not_fit_is_refused_at_once(many, source):
    args = dict(folder=[many], table=[photo_table(many)], labels=[many])[source]
    labels = dict(labels=name_label) if source == 'labels' else {}
    def dls(vocab): return pets_dls(*args, bs=4, size=32, vocab=vocab, **labels)
    with pytest.raises(ValueError, match='vocab: c is a label and not among its breeds: add it, or leave vocab out'): dls([*'abde'])
    for odd in ('abcde', [*'abcdea']):
        with pytest.raises(ValueError, match='expected a list of breeds, each once'): dls(odd)
    assert list(dls([*'fedcba']).vocab) == [*'fedcba'] and dls([*'fedcba']).train.one_batch()[1].min() > 0
