"Photos get labels from names, folders and tables, are split, and become batches."
import shutil
import unicodedata
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from pet_breeds import data
from pet_breeds.data import (StratifiedSplitter, folder_block, pets_block, photo_table, stratified_split, table_block)
from pet_breeds.labels import name_label
from pet_breeds.photos import check_photos, find_photos
from pet_breeds.sources import is_drawn


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
    with pytest.raises(ValueError, match='none of 5 photos .*breed_number.jpg') as e: photo_table(tmp_path)
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
    assert want.file.tolist() == find_photos(tmp_path) and set(want.label) == set('ABCDE') and not want.attrs.get('skipped')
    for labels in (long, '1.csv', tmp_path/'0.csv', str(tmp_path/'1.csv')): assert photo_table(tmp_path, labels).equals(want)
    with pytest.raises(FileNotFoundError, match="labels='folders'"): photo_table(tmp_path, 'folders')
    with pytest.raises(FileNotFoundError, match='1 of 1 photos'): photo_table(tmp_path, pd.DataFrame(dict(file=['x.png'], label=['a'])))


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
    assert data._place(42, 'bébé', 'bébé_1.jpg') == data._place(42, *(unicodedata.normalize('NFD', s) for s in ('bébé', 'bébé_1.jpg')))


def test_split_refuses(many):
    files = find_photos(many)
    for pct in (0, 1, 20, -0.1, float('nan')):
        with pytest.raises(ValueError, match='valid_pct'): split(files, valid_pct=pct)
        with pytest.raises(ValueError, match='valid_pct'): StratifiedSplitter(name_label, valid_pct=pct)
    with pytest.raises(ValueError, match='none to spare'): split([files[0], files[-1]])


# Blocks

@pytest.mark.parametrize('block', [pets_block, folder_block, table_block])
def test_blocks_refuse_bad_numbers(block):
    for bad in (dict(valid_pct=0), dict(valid_pct=1.5), dict(size=0), dict(item=100, size=224), dict(min_scale=0), dict(min_scale=1.1)):
        with pytest.raises(ValueError, match=next(iter(bad))): block(**bad)


def test_name_folder_and_table_give_the_same_sets(many, tmp_path):
    files = find_photos(many)
    for f in files:
        (tmp_path/'by'/name_label(f)).mkdir(parents=True, exist_ok=True)
        shutil.copy(f, tmp_path/'by'/name_label(f))
    pd.DataFrame(dict(image=[f.name for f in files], breed=[name_label(f) for f in files])).sample(frac=1, random_state=0).to_csv(tmp_path/'t.csv', index=False)
    kw, dl = dict(item=32, size=16), dict(bs=4, num_workers=0)
    all_dls = [pets_block(**kw).dataloaders(many, **dl), folder_block(**kw).dataloaders(tmp_path/'by', **dl),
               table_block(**kw).dataloaders(photo_table(many, tmp_path/'t.csv'), **dl), table_block(**kw).dataloaders(photo_table(tmp_path/'by', 'folder'), **dl)]
    for dls in all_dls:
        items = dls.valid.items
        assert list(dls.vocab) == list('abcde') and (len(dls.train_ds), len(dls.valid_ds)) == (18, 5)
        assert sorted(Path(f).name for f in (items.file if isinstance(items, pd.DataFrame) else items)) == VALID
        x, y = dls.valid.one_batch()
        assert x.shape == (4, 3, 16, 16)
        assert [dls.vocab[i] for i in y] == [name_label(Path(f)) for f in (items.file if isinstance(items, pd.DataFrame) else items)][:4]


def test_a_given_vocab_keeps_its_order(many):
    assert list(table_block(item=32, size=16, vocab=list('zedcba')).dataloaders(photo_table(many), bs=4, num_workers=0).vocab) == list('zedcba')


def test_real_photos(shared):
    t = photo_table(shared/'pets')
    assert len(t) == 259 and t.label.nunique() == 37 and t.attrs['skipped'] == [] and not is_drawn(shared/'pets')
    assert check_photos(t, progress=False).usable.all()
    valid = split(list(t.file))[1]
    assert len(valid) == 52 and set(t.label[valid]) == set(t.label)
