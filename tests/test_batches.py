"Photos as they are meant to be seen, a cache that is never wrong, the user's pipeline, one batch whatever makes it."
import io
import itertools
import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import fastai.callback.progress  # noqa: F401, for `no_bar`
import numpy as np
import pytest
import torch
from conftest import fork
from fastai.callback.data import PartialDL, WeightedDL
from fastai.data.block import CategoryBlock, DataBlock
from fastai.data.core import DataLoaders, TfmdDL
from fastai.data.transforms import IndexSplitter, Normalize
from fastai.learner import Learner, load_learner
from fastai.losses import CrossEntropyLossFlat
from fastai.torch_core import TensorImage, set_seed
from fastai.vision.augment import Resize
from fastai.vision.core import imagenet_stats
from fasttransform import Pipeline, Transform
from PIL import Image, ImageOps

from pet_breeds.batches import (ComposedDL, InTable, PhotoBlock, PhotoCache, PhotoReader, StockPhoto, TablePipeline, cache_photos,
                                photo_block, photo_dl)
from pet_breeds.data import pets_dls
from pet_breeds.labels import name_label
from pet_breeds.photos import check_photos, read_photo, shape_of
from pet_breeds.warp import FITS, Prep


@pytest.fixture
def rgb(): return np.random.default_rng(0).integers(0, 256, (45, 60, 3), dtype=np.uint8)


@pytest.fixture
def few(drawn, tmp_path):
    "A few drawn photos in a folder of their own, to be changed and damaged"
    return Path(shutil.copytree(drawn, tmp_path/'few'))


@pytest.fixture(scope='session')
def tiny(tmp_path_factory):
    "Eight small photos of each of two breeds"
    images = tmp_path_factory.mktemp('tiny')/'images'
    images.mkdir()
    rng = np.random.default_rng(0)
    for breed, i in itertools.product(['pug', 'beagle'], range(8)):
        photo = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((40, 30), Image.BICUBIC)
        photo.save(images/f'{breed}_{i}.png')
    return images.parent


def photos(folder): return sorted((folder/'images').iterdir())


# reading

@pytest.mark.parametrize('turn', range(1, 9))
@pytest.mark.parametrize('kind', ['png', 'jpg'])
def test_upright(turn, kind, rgb, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = turn
    Image.fromarray(rgb).save(tmp_path/f'a.{kind}', exif=exif)
    with Image.open(tmp_path/f'a.{kind}') as im: want = np.asarray(ImageOps.exif_transpose(im))
    assert (read_photo(tmp_path/f'a.{kind}') == want).all()


def as_mode(rgb, mode):
    im = Image.fromarray(rgb)
    if mode == 'I;16': return Image.fromarray(np.asarray(im.convert('L')).astype(np.uint16)*257)
    if mode == 'I': return Image.fromarray(np.asarray(im.convert('L')).astype(np.int32)*257)
    if mode == 'P+': return im.quantize(16)
    return im.convert(mode)


@pytest.mark.parametrize('mode, kind', [
    ('1', 'png'), ('L', 'png'), ('L', 'jpg'), ('P', 'png'), ('P+', 'gif'), ('RGB', 'jpg'), ('RGB', 'webp'),
    ('RGB', 'bmp'), ('CMYK', 'jpg'), ('YCbCr', 'jpg'), ('RGBA', 'png'), ('LA', 'png'), ('I;16', 'png'),
    ('I;16', 'tiff'), ('I', 'tiff'), ('RGB', 'tiff'), ('HSV', 'tiff')])
def test_every_mode_is_right(mode, kind, rgb, tmp_path):
    smooth = np.asarray(Image.fromarray(rgb).resize((8, 6)).resize((60, 45), Image.BICUBIC))
    im = as_mode(smooth, mode)
    try: im.save(tmp_path/f'a.{kind}')
    except OSError as e: pytest.skip(str(e))
    want = smooth
    if mode in ('1', 'L', 'LA', 'I;16', 'I'):
        want = np.asarray(as_mode(smooth, '1' if mode == '1' else 'L').convert('L'))[..., None].repeat(3, 2)
    got = read_photo(tmp_path/f'a.{kind}')
    assert got.shape == (45, 60, 3) and got.dtype == np.uint8 and got.flags.writeable and got.flags.c_contiguous
    assert np.abs(got.astype(int)-want).mean() < {'P': 30, 'P+': 12}.get(mode, 6), 'P is the web palette, dithered'


@pytest.mark.parametrize('mode', ['RGBA', 'LA', 'P'])
def test_see_through_is_white(mode, tmp_path):
    im = Image.new('RGBA', (40, 40), (0, 0, 0, 0)) if mode != 'LA' else Image.new('LA', (40, 40), (0, 0))
    if mode == 'P': im = im.quantize(4)
    im.save(tmp_path/'a.png')
    assert (read_photo(tmp_path/'a.png') == 255).all()
    half = Image.new('RGBA', (4, 4), (0, 0, 0, 128))
    half.save(tmp_path/'b.png')
    assert (abs(read_photo(tmp_path/'b.png').astype(int)-127) <= 1).all()


def test_an_ordinary_jpeg_is_pillows_to_the_bit(few):
    for f in photos(few):
        if f.suffix == '.jpg': assert (read_photo(f) == np.asarray(Image.open(f).convert('RGB'))).all()


def test_an_animation_gives_its_first_picture(rgb, tmp_path):
    frames = [Image.new('RGB', (40, 40), c) for c in ('red', 'green', 'blue')]
    frames[0].save(tmp_path/'a.gif', save_all=True, append_images=frames[1:])
    assert (read_photo(tmp_path/'a.gif') == [255, 0, 0]).all()


@pytest.mark.parametrize('kind', ['jpg', 'png'])
@pytest.mark.parametrize('size, want', [((1, 1), (1, 1)), ((12_000, 300), (300, 12_000)), ((919, 1000), (1000, 919)),
                                        ((920, 1000), (500, 460)), ((3681, 1841), (461, 921))])
def test_large_photos_are_halved(size, want, kind, tmp_path):
    Image.new('RGB', size, (200, 10, 90)).save(tmp_path/f'a.{kind}', quality=95)
    photo = read_photo(tmp_path/f'a.{kind}', 460)
    assert photo.shape == (*want, 3) and (abs(photo.astype(int)-[200, 10, 90]) <= 2).all()
    assert list(photo.shape) == shape_of(tmp_path/f'a.{kind}', 460)


def test_halving_averages(rgb, tmp_path):
    fine = np.repeat(np.repeat(np.asarray(Image.fromarray(rgb).resize((120, 100), Image.BICUBIC)), 8, 0), 8, 1)
    for kind in ('png', 'jpg'): Image.fromarray(fine).save(tmp_path/f'a.{kind}', quality=98, subsampling=0)
    exact = fine.reshape(200, 4, 240, 4, 3).mean((1, 3))
    assert np.abs(read_photo(tmp_path/'a.png', 200)-exact).max() <= 1
    assert np.abs(read_photo(tmp_path/'a.jpg', 200)-exact).mean() < 2.5


def test_refused_by_name(rgb, tmp_path):
    Image.fromarray(rgb).save(tmp_path/'whole.jpg')
    whole = (tmp_path/'whole.jpg').read_bytes()
    cut = [whole[:len(whole)*k//20] for k in range(1, 20)]
    for i, data in enumerate([b'', b'\xff\xd8\xff', b'GIF89a', b'%PDF-1.4', *cut]):
        (tmp_path/f'{i}.jpg').write_bytes(data)
        with pytest.raises(ValueError, match=f'{i}.jpg .*photo'): read_photo(tmp_path/f'{i}.jpg')
    Image.fromarray(np.zeros((40, 40), np.float32)).save(tmp_path/'f.tiff')
    Image.fromarray(np.full((40, 40), 70_000, np.int32)).save(tmp_path/'i.tiff')
    for name in ('f.tiff', 'i.tiff'):
        with pytest.raises(ValueError, match=f'{name}.*white'): read_photo(tmp_path/name)
    with pytest.raises(OSError, match='nowhere'): read_photo(tmp_path/'nowhere.jpg')
    with pytest.raises(OSError, match=tmp_path.name): read_photo(tmp_path)


def test_a_bomb_is_refused_and_listed(tmp_path):
    Image.new('1', (14_000, 14_000)).save(tmp_path/'bomb_1.png')
    with pytest.raises(ValueError, match='bomb_1.png.*decompression bomb'): read_photo(tmp_path/'bomb_1.png')
    assert check_photos(tmp_path, progress=False).usable.tolist() == [False]


# the cache

def test_cache_holds_what_is_read(few, tmp_path, capsys):
    files = photos(few)
    cache = cache_photos(files, folder=tmp_path/'c', progress=False)
    said = capsys.readouterr().out
    assert said.startswith(f'keeping {len(files)} decoded photos, ') and len(said.splitlines()) == 1
    for f in files: assert (cache.get(f).numpy() == read_photo(f)).all()
    assert cache.get(__file__) is None
    assert cache_photos(files[:5], folder=tmp_path/'c', progress=False).file == cache.file, 'a part of it is in it'
    assert capsys.readouterr().out == ''
    assert (pickle.loads(pickle.dumps(cache)).get(files[3]) == cache.get(files[3])).all()
    assert len(pickle.dumps(cache)) < 1000
    assert PhotoCache(cache.file, 100).get(files[0]) is None, 'another way of reading'


@pytest.mark.parametrize('change', ['pixels', 'time', 'name'])
def test_a_changed_photo_is_read_anew(change, few, tmp_path):
    files = photos(few)
    cache = cache_photos(files, folder=tmp_path/'c', progress=False)
    if change == 'pixels': Image.new('RGB', (300, 400), 'red').save(files[0])
    if change == 'time': os.utime(files[0], ns=(0, 0))
    if change == 'name': files[0] = files[0].rename(files[0].with_name('new_1.jpg'))
    assert cache.get(files[0]) is None
    reader = PhotoReader(cache=tmp_path/'c')
    reader.setups(files)
    assert (reader(files[0]).permute(1, 2, 0).numpy() == read_photo(files[0])).all()
    assert reader.cache.get(files[0]) is not None


@pytest.mark.parametrize('damage', [lambda b: b[:-1], lambda b: b[:1000], lambda b: b+b'x', lambda b: b'\xff'*8+b[8:]])
def test_a_damaged_cache_is_made_anew(damage, few, tmp_path):
    cache = cache_photos(photos(few), folder=tmp_path/'c', progress=False)
    whole = cache.file.read_bytes()
    shutil.move(cache.file, tmp_path/'old')
    cache.file.write_bytes(damage(whole))
    with pytest.raises(ValueError, match=r'not a whole cache of photos \(.*(header|metadata|buffer|length)'): PhotoCache(cache.file)
    assert cache_photos(photos(few), folder=tmp_path/'c', progress=False).file.read_bytes() == whole


def another_safetensors(file):
    from safetensors.numpy import save_file
    save_file(dict(weights=np.ones(3)), file)


def a_link(file):
    (file.parent.parent/'precious').write_text('precious')
    file.symlink_to(file.parent.parent/'precious')


THEIRS = dict(text=lambda f: f.write_text('my thesis'), json=lambda f: f.write_text('{"__metadata__": {}}'),
              empty=Path.touch, folder=Path.mkdir, weights=another_safetensors, link=a_link,
              dangling=lambda f: f.symlink_to('nowhere'), link_to_cache=lambda f: f.symlink_to(f.parent.parent/'gone'))


@pytest.mark.parametrize('when', ['before', 'meanwhile'])
@pytest.mark.parametrize('kind', THEIRS)
def test_a_file_of_somebody_else_under_our_name_is_left_alone(kind, when, few, tmp_path, monkeypatch):
    "Also if it comes while photos are decoded. The cache goes beside it, and is found there again"
    def state(f): return f.is_symlink(), f.is_dir(), f.read_bytes() if f.is_file() else None
    ours = cache_photos(photos(few), folder=tmp_path/'c', progress=False).file
    shutil.move(ours, tmp_path/'gone')
    def put(*args):
        with suppress(FileExistsError): # it is there by now
            if not os.path.lexists(ours): THEIRS[kind](ours)
        return read_photo(*args)
    if when == 'before': put(photos(few)[0])
    else: monkeypatch.setattr('pet_breeds.batches.read_photo', put)
    cache = cache_photos(photos(few), folder=tmp_path/'c', progress=False)
    before = state(ours)
    assert cache.file == ours.with_stem(f'{ours.stem}-2')
    assert (cache.get(photos(few)[3]).numpy() == read_photo(photos(few)[3])).all()
    time_of = cache.file.stat().st_mtime_ns
    again = cache_photos(photos(few), folder=tmp_path/'c', progress=False)
    assert again.file == cache.file and again.file.stat().st_mtime_ns == time_of and state(ours) == before
    assert kind != 'link' or ours.read_text() == 'precious'


BUILD = """
import os, pathlib, signal, sys
from pet_breeds import batches
if len(sys.argv) > 3: batches.os.fsync = lambda fd: os.kill(os.getpid(), signal.SIGKILL)
batches.cache_photos(sorted(pathlib.Path(sys.argv[1]).iterdir()), folder=sys.argv[2], progress=False)
print('done')
"""


def test_what_a_killed_process_left_is_cleared_away(few, tmp_path):
    "Killed half way (at random moments: see test_faults): the part is hidden, and gone after the next one"
    assert fork(BUILD, few/'images', tmp_path/'c', 'killed').ended()[0] == -signal.SIGKILL
    [left] = os.listdir(tmp_path/'c')
    assert left.startswith('.') and left.endswith('.part')
    cache = cache_photos(photos(few), folder=tmp_path/'c', progress=False)
    assert os.listdir(tmp_path/'c') == [cache.file.name]
    assert (cache.get(photos(few)[0]).numpy() == read_photo(photos(few)[0])).all()


def test_two_at_once(drawn, tmp_path):
    runs = [fork(BUILD, drawn/'images', tmp_path/'c') for _ in range(2)]
    assert all(run.ended() == (0, '') and run.said().endswith('done\n') for run in runs)
    [file] = (tmp_path/'c').iterdir()
    assert all((PhotoCache(file).get(f).numpy() == read_photo(f)).all() for f in photos(drawn)[::10])


def test_no_room_for_it(few, tmp_path, monkeypatch, small_disk):
    "Said before a byte is written, or when the disk fills up meanwhile; training goes on without"
    with pytest.warns(UserWarning, match='continuing without a cache.*are free'):
        with monkeypatch.context() as m:
            m.setattr(shutil, 'disk_usage', lambda path: shutil._ntuple_diskusage(10**9, 10**9, 10**6))
            assert cache_photos(photos(few), folder=tmp_path/'c', progress=False) is None
    disk = small_disk(2048)
    with monkeypatch.context() as m, pytest.warns(UserWarning, match='continuing without a cache.*No space left'):
        m.setattr(shutil, 'disk_usage', lambda path: shutil._ntuple_diskusage(10**9, 0, 10**9))
        dls = pets_dls(few, bs=4, size=32, cache=disk)
    assert len(dls.one_batch()[0]) == 4 and os.listdir(disk) == []


def test_without_a_home(few, no_home, tmp_path, monkeypatch):
    "Training goes on without a cache, or with one where the variable says"
    with pytest.warns(UserWarning, match='continuing without a cache of photos: no home folder: set XDG_CACHE_HOME to a folder'):
        assert len(pets_dls(few, bs=4, size=32, cache=True).one_batch()[0]) == 4
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path/'cache'))
    pets_dls(few, bs=4, size=32, cache=True)
    assert len(os.listdir(tmp_path/'cache'/'pet_breeds')) == 1


def test_a_disk_that_holds_the_photos_and_a_little_more_is_large_enough(few, tmp_path, monkeypatch):
    need = sum(read_photo(f).nbytes for f in photos(few))
    for i, free in enumerate((need, 1.03*need)):
        monkeypatch.setattr(shutil, 'disk_usage', lambda path: shutil._ntuple_diskusage(10**9, 0, free))
        if i: assert need < cache_photos(photos(few), folder=tmp_path/'c', progress=False).file.stat().st_size < 1.01*need
        else:
            with pytest.warns(UserWarning, match=f'{need/1e6:.0f} MB are free, {need/1e6:.0f} are needed'): cache_photos(photos(few), folder=tmp_path/'c')


@pytest.mark.skipif(sys.platform == 'darwin', reason='macOS takes no name that is not UTF-8')
def test_photos_in_a_folder_whose_name_is_not_utf_8(few, tmp_path):
    odd = few.rename(os.fsdecode(os.fsencode(tmp_path)+b'/od\xff'))
    cache = cache_photos(photos(odd), folder=tmp_path/'c', progress=False)
    assert (cache.get(photos(odd)[0]).numpy() == read_photo(photos(odd)[0])).all()
    assert re.fullmatch(r'images-[0-9a-f]{8}-460\.safetensors', cache.file.name)


def test_an_unreadable_photo_is_named_and_nothing_is_left(few, tmp_path):
    files = photos(few)
    files[7].write_bytes(files[7].read_bytes()[:-3000])
    with pytest.raises(ValueError, match=files[7].name): cache_photos(files, folder=tmp_path/'c', progress=False)
    assert os.listdir(tmp_path/'c') == []


# the loader

def sweep(dls): return [x for x, _ in dls.train] + [x for x, _ in dls.valid]


def dls(few, seed=0, loading=None, **kwargs):
    "Loaders of drawn photos; `loading` changes attributes of them"
    set_seed(seed)
    made = pets_dls(few, **{'bs': 4, 'size': 48, 'device': 'cpu', **kwargs})
    for dl in made.loaders: vars(dl).update(loading or {})
    return made


def test_same_seed_same_batch(few, tmp_path):
    want = sweep(dls(few))
    for change in (dict(), dict(loading=dict(threads=1)), dict(loading=dict(threads=5)), dict(num_workers=1),
                   dict(num_workers=2), dict(cache=tmp_path/'c')):
        for a, b in zip(want, sweep(dls(few, **change)), strict=True): assert torch.equal(a, b), change
    assert not torch.equal(want[0], sweep(dls(few, seed=1))[0])


def test_threads_are_as_many_as_this_process_may_use(few):
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    assert dls(few).train.threads == allowed
    if not hasattr(os, 'sched_setaffinity'): return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try: assert dls(few).train.threads == 1
    finally: os.sched_setaffinity(0, before)


def test_no_process_is_started(few, monkeypatch):
    "OpenCV's locks are not for a fork beside threads: one such worker waited forever"
    from fastai.data import load
    def start(fake): raise AssertionError('a worker process')
    monkeypatch.setattr(load, '_loaders', (start, load._loaders[1]))
    assert len(sweep(dls(few, num_workers=2))) > 1
    if sys.platform != 'darwin': # fastai starts none there
        with pytest.raises(AssertionError, match='a worker process'): sweep(dls(few, presize='stock', num_workers=2))


def test_every_epoch_draws_anew_and_validation_never(few):
    d = dls(few)
    first, second = (torch.cat(sweep(d)) for _ in range(2))
    n = 4*len(d.train)
    assert not torch.equal(first[:n], second[:n]) and torch.equal(first[n:], second[n:])


def test_on_the_device_within_a_gray_level(few):
    "Without light changed; the photos are loaded once and stay"
    a, b = dls(few, max_lighting=0), dls(few, max_lighting=0, loading=dict(resident=True))
    for x, y in zip(sweep(a), sweep(b), strict=True): assert (x-y).abs().max() <= 1/255+1e-6
    assert len(b.train.kept) == b.train.n and b.train.new(bs=2).kept is b.train.kept
    assert b.valid.new(b.train_ds).kept is None


def test_validation_sees_the_square_alone(few):
    "What lies beside it does not matter; in training it does"
    file = few/'images'/'pug_99.png'
    prep = Prep(size=48, aug=dict(max_rotate=45, p_affine=1, do_flip=False))
    train, valid = [], []
    for color in ('black', 'white'):
        photo = Image.new('RGB', (200, 100), color)
        photo.paste(Image.open(photos(few)[0]).resize((100, 100)), (50, 0))
        photo.save(file)
        set_seed(0)
        made = PhotoBlock((photo_block(prep), CategoryBlock), get_y=name_label, splitter=IndexSplitter([0, 1]))
        made = made.dataloaders([file]*6, bs=4, device='cpu')
        train.append(made.train.one_batch()[0]), valid.append(made.valid.one_batch()[0])
    assert torch.equal(*valid) and not torch.equal(*train)


STILL = dict(max_rotate=0, max_warp=0, max_zoom=1, max_lighting=0)


def red(batch):
    "The share of each photo in a batch that is red"
    r, g, b = batch.unbind(1)
    return ((r > .7) & (g < .3) & (b < .3)).float().mean((1, 2))


@pytest.mark.parametrize('size', [(240, 80), (80, 240), (120, 120)], ids=['wide', 'high', 'square'])
@pytest.mark.parametrize('presize', ['composed', 'stock'])
@pytest.mark.parametrize('fit', FITS)
def test_what_is_at_one_side_is_seen_unless_it_is_cut_off(fit, presize, size, tmp_path):
    "Red at the left upper end: a crop of a long photo has it now and then in training, and never in validation"
    photo, files = Image.new('RGB', size, 'gray'), [tmp_path/f'{"pug" if i % 2 else "beagle"}_{i}.png' for i in range(24)]
    photo.paste('red', (0, 0, 30, 30))
    for file in files: photo.save(file)
    prep = Prep(presize, 120, 60, 1, STILL, fit)
    block = PhotoBlock((photo_block(prep), CategoryBlock), get_y=name_label, splitter=IndexSplitter([0, 1]))
    made = block.dataloaders(files, bs=11, device='cpu', num_workers=0)
    train, valid = torch.cat([red(x) for x, _ in made.train]), made.valid.one_batch()[0]
    cut = fit == 'crop' and size[0] != size[1]
    assert bool((train == 0).any()) == cut and bool((red(valid) == 0).all()) == cut
    if not cut: # its share of the photo; what is mirrored adds to it, and a red that is at an edge is mixed
        share = 900/max(size)**2 if fit == 'pad' else 900/size[0]/size[1]
        assert red(valid).min() > .7*share and train.min() > .7*share
    saved = Prep(**json.loads(json.dumps(asdict(prep))))
    [(predicted,)] = photo_dl(files[:2], saved, [0, 0, 0], [1, 1, 1])
    assert saved == prep and torch.allclose(predicted, valid, atol=1e-6)


@pytest.mark.parametrize('fit', ['pad', 'squish'])
def test_other_fits_on_the_device_or_from_a_cache_within_a_gray_level(fit, few, tmp_path):
    "Photos as wide as two, with the usual draws; light is not changed"
    for f in photos(few):
        with Image.open(f) as im: half = im.convert('RGB').crop((0, 0, im.width, im.width//2))
        half.save(f)
    one, device, cached = (sweep(dls(few, max_lighting=0, fit=fit, **change))
                           for change in ({}, dict(loading=dict(resident=True)), dict(cache=tmp_path/'c')))
    for x, y, z in zip(one, device, cached, strict=True):
        assert (x-y).abs().max() <= 1/255+1e-6 and torch.equal(x, z)


def test_fits_agree_on_square_photos_alone(few):
    "In training too, since the draws are the same"
    for f in photos(few):
        with Image.open(f) as im: im.convert('RGB').resize((90, 90)).save(f)
    crop, pad, squish = (torch.cat(sweep(dls(few, fit=fit))) for fit in FITS)
    assert torch.equal(crop, pad) and torch.equal(crop, squish)
    with Image.open(photos(few)[0]) as im: im.crop((0, 0, 90, 60)).save(photos(few)[0])
    crop, pad, squish = (torch.cat(sweep(dls(few, fit=fit))) for fit in FITS)
    assert not torch.equal(crop, pad) and not torch.equal(crop, squish) and not torch.equal(pad, squish)


# the pipeline

def small(tiny, **kwargs): return dls(tiny, **{'item': 32, 'size': 16, **kwargs})


class Step(Transform):
    "A batch transform that does not commute with others; on photos alone"
    def __init__(self, order, split_idx=None):
        super().__init__(split_idx=split_idx)
        self.order = order
    def encodes(self, x:TensorImage): return x*(1+self.order/100)+self.order/50
    def decodes(self, x:TensorImage): return (x-self.order/50)/(1+self.order/100)


def normalizing(): return Normalize.from_stats(*imagenet_stats, cuda=False)


ORDERS = [orders for n in range(5) for orders in itertools.combinations((5, 20, 99, 200), n)]


@pytest.mark.parametrize('resident', [False, True])
@pytest.mark.parametrize('norm', [False, True])
@pytest.mark.parametrize('orders', ORDERS)
def test_batch_transforms_see_what_fastais_pipeline_gives_them(orders, norm, resident, tiny):
    "In their order, on photos from 0 to 1, in training and in validation; given at first, or added after an epoch"
    tfms = [Step(order) for order in orders] + [normalizing()]*norm + [Step(50, split_idx=0)]
    plain, given, added = (small(tiny, loading=dict(resident=resident), batch_tfms=t) for t in (None, tfms, None))
    set_seed(1), sweep(added)
    for tfm in tfms: added.add_tfms([tfm], 'after_batch')
    for changed in (given, added, copied(given)):
        assert changed.train.after_batch.fs == Pipeline(tfms).fs, 'the pipeline is as it was given'
        for i in (0, 1):
            pairs = zip(*(in_order(d[i]) for d in (plain, changed)), strict=True)
            for (x, y), (got, label) in pairs:
                assert torch.equal(Pipeline(tfms, split_idx=i)(x), got) and torch.equal(y, label)
                assert type(got) is TensorImage
            back = changed[i].decode((got, label))[0]
            assert torch.allclose(back, plain[i].decode((x, y))[0], atol=1e-4)


def copied(made):
    "As a second Learner gets it"
    return DataLoaders(*(dl.new() for dl in made.loaders))


def in_order(dl):
    "The batches of an epoch whose draws and order depend on the loader's own generator alone"
    dl.rng.seed(7)
    return list(dl)


def test_normalizing_is_done_in_the_tables_where_it_comes_first(tiny):
    "But not for a part only, for a number other than one a channel, or by a class of the user's"
    calls = []
    class Counted(Normalize):
        def encodes(self, x:TensorImage):
            calls.append(x)
            return x
    assert small(tiny, batch_tfms=[normalizing()]).train.after_batch.table_stats() is not None
    odd = normalizing()
    odd.split_idx = 0
    for tfms in ([Step(20), normalizing()], [odd], [Normalize(torch.zeros(1, 3, 16, 16), torch.ones(1, 3, 16, 16))],
                 [Normalize(torch.zeros(1, 3, 1, 1).double(), torch.ones(1, 3, 1, 1).double())], [Counted()], []):
        made = small(tiny, batch_tfms=tfms)
        assert made.train.after_batch.table_stats() is None
        made.one_batch()
    assert len(calls) > 0


def test_statistics_are_read_from_a_batch_that_is_not_normalized(tiny):
    made = small(tiny, batch_tfms=[Normalize()])
    [norm] = made.after_batch.fs
    x = torch.cat([x for x, _ in made.train])
    assert .2 < norm.mean.mean() < .8 and .05 < norm.std.mean() < .5 and x.min() < -.5 and x.max() > .5


def test_a_pipeline_changed_in_an_epoch_normalizes_each_batch_once(tiny):
    made = small(tiny, batch_tfms=[normalizing()], bs=2)
    for i, (x, _) in enumerate(made.train):
        if i == 1: made.train.after_batch.add([Step(20)])
        assert x.min() > -12 and (x.min() < -1 or i > 1), 'about -2.1 to 2.6, or what Step makes of that'
    assert i > 4 and [type(f) for f in made.after_batch.fs] == [Step, Normalize]
    made.train.after_batch = Pipeline([normalizing()])
    assert -3 < made.one_batch()[0].min() < -1


def test_a_batch_made_by_hand_goes_through_the_whole_pipeline(tiny):
    "As fastai makes one to learn the types, and as `summary` does step by step"
    made, plain = small(tiny, batch_tfms=[normalizing()]).valid, small(tiny).valid
    x, _ = made.create_batch([0, 1])
    assert type(x) is TensorImage and torch.equal(x, plain.create_batch([0, 1])[0])
    want = plain.one_batch()[0][:2]
    assert torch.equal(x, want) and torch.equal(made.after_batch.fs[0](x), made.one_batch()[0][:2])


@pytest.mark.parametrize('presize', ['composed', 'stock'])
def test_summary_comes_to_its_end(presize, tiny, capsys):
    blocks(presize, batch_tfms=[normalizing()]).summary(photos(tiny))
    said = capsys.readouterr().out
    assert 'Collating items in a batch' in said and 'Normalize' in said and 'Could not' not in said


def test_labels_that_are_photos_are_normalized_too():
    "A table serves the first part of an item; the pipeline serves the others"
    x, other = torch.rand(2, 3, 4, 4), TensorImage(torch.rand(2, 3, 4, 4))
    done, norm = InTable(x), normalizing()
    for tfms in ([norm], [norm, Step(200)]):
        photos, labels = TablePipeline(tfms)((done, other))
        assert torch.equal(photos, Pipeline(tfms[1:])(TensorImage(x))) and torch.equal(labels, Pipeline(tfms)(other))


@pytest.mark.parametrize('event', ['after_item', 'before_batch'])
def test_item_transforms_are_refused_with_a_remedy(event, tiny):
    made = small(tiny)
    made.add_tfms([Resize(20)], event)
    with pytest.raises(ValueError, match="Resize.*batch_tfms, or use presize='stock'"): made.one_batch()
    with pytest.raises(ValueError, match='Resize'): ComposedDL(made.train_ds, **{event: Resize(20)})
    stock = small(tiny, presize='stock', num_workers=0)
    stock.add_tfms([Resize(20)], 'after_item')
    assert stock.one_batch()[0].shape == (4, 3, 16, 16)


# other loaders

def blocks(presize, **kwargs):
    return PhotoBlock((photo_block(Prep(presize, 32, 16)), CategoryBlock), get_y=name_label, **kwargs)


@pytest.mark.parametrize('presize', ['composed', 'stock'])
@pytest.mark.parametrize('by', ['block', 'datasets', 'dl_type', 'new'])
def test_weights_and_parts_keep_the_preparation(by, presize, tiny):
    "However fastai makes a loader: photos of one breed alone, or five an epoch; `new`, a pickle and test_dl keep all"
    files, loading = photos(tiny), dict(bs=2, device='cpu', num_workers=0)
    block = blocks(presize, batch_tfms=[normalizing()])
    sets = block.datasets(files)
    train = [files[i] for i in sets.splits[0]]
    wgts = [1. if 'pug' in f.name else 0. for f in files]
    ours = [1. if 'pug' in f.name else 0. for f in train]
    if by == 'block': weighted, part = block.weighted_dataloaders(files, wgts, **loading), None
    if by == 'datasets':
        weighted, part = sets.weighted_dataloaders(ours, **loading), sets.partial_dataloaders(5, **loading)
    if by == 'dl_type':
        weighted = sets.dataloaders(dl_type=WeightedDL, dl_kwargs=({'wgts': ours}, {}), **loading)
        part = sets.dataloaders(dl_type=PartialDL, dl_kwargs=({'partial_n': 5}, {}), **loading)
    if by == 'new':
        weighted, part = sets.dataloaders(**loading), sets.dataloaders(**loading)
        weighted.train, part.train = weighted.train.new(wgts=ours), part.train.new(cls=PartialDL, partial_n=5)
    pug = weighted.vocab.o2i['pug']
    dl = weighted.train
    for dl in (dl, dl.new(), pickle.loads(pickle.dumps(dl)), dl.new(bs=3)):
        assert dl.prep == Prep(presize, 32, 16) and len(dl) == len(train)//dl.bs
        for x, y in dl: assert x.shape[1:] == (3, 16, 16) and x.dtype == torch.float32 and set(y.tolist()) == {pug}
        assert -3 < x.min() < -.5, 'normalized'
    for dl in (weighted.valid, weighted.train.new(shuffle=False), weighted.test_dl(files)):
        assert dl.prep == Prep(presize, 32, 16) and sum(len(b[0]) for b in dl) >= dl.n//2*2, 'all, in order'
    assert len({int(y) for b in weighted.train.new(shuffle=False) for y in b[1]}) > 1
    if part:
        for dl in (part.train, part.train.new(), part.train.new(drop_last=False)):
            want = 5 if not dl.drop_last else 4
            assert dl.prep == Prep(presize, 32, 16) and sum(len(x) for x, _ in dl) == want and len(dl) == -(-want//2)
            picked = [set(dl.get_idxs()) for _ in range(20)]
            assert {len(p) for p in picked} == {5} and len(set.union(*picked)) > 10, 'five others each time, none twice'


@pytest.mark.parametrize('wgts', [[1], [0]*16, [-1]+[1]*15, [float('nan')]*16, [float('inf')]*16, [[1]]*16])
def test_useless_weights_are_refused(wgts, tiny):
    made = blocks('composed').datasets(photos(tiny)).dataloaders(device='cpu')
    with pytest.raises(ValueError, match='wgts: expected 13 numbers'): made.train.new(wgts=wgts[:13])


@pytest.mark.parametrize('presize', ['composed', 'stock'])
def test_a_loader_without_preparation_is_refused(presize, tiny):
    sets = blocks(presize).datasets(photos(tiny))
    with pytest.raises(ValueError, match='dl_type TfmdDL: expected (ComposedDL|PhotoDL) or a class'):
        sets.dataloaders(dl_type=TfmdDL)
    class Mine(sets._dl_type): pass
    assert type(sets.dataloaders(dl_type=Mine, device='cpu', num_workers=0).train) is Mine


def test_single_photos_are_refused_where_fastais_own_block_is_used(tiny):
    "There weighted loaders drop ours; raw photos never reach a model"
    block = DataBlock((photo_block(Prep(item=32, size=16)), CategoryBlock), get_y=name_label)
    assert block.dataloaders(photos(tiny), bs=4, device='cpu').one_batch()[0].shape == (4, 3, 16, 16)
    with pytest.raises(ValueError, match='PhotoBlock'):
        block.weighted_dataloaders(photos(tiny), [1]*16, bs=4, device='cpu', num_workers=0)


def test_transforms_of_one_class_are_all_kept():
    "fastai's own block keeps the last of each class"
    def names(presize): return [type(f).__name__ for f in blocks(presize, batch_tfms=[Step(5), Step(200)]).batch_tfms]
    assert names('composed') == ['Step', 'Step']
    assert names('stock') == ['IntToFloatTensor', 'Flip', 'Brightness', 'RandomResizedCropGPU', 'Step', 'Step']


# errors, and new photos

def test_an_exported_reader_works_where_the_cache_is_not(few, tmp_path):
    reader = PhotoReader(cache=tmp_path/'c')
    reader.setups(photos(few))
    kept = pickle.dumps(reader)
    assert pickle.loads(kept).cache.get(photos(few)[0]) is not None
    reader.cache.file.unlink()
    assert pickle.loads(kept).cache is None
    assert torch.equal(pickle.loads(kept)(photos(few)[0]), reader(photos(few)[0]))


@pytest.mark.parametrize('presize', ['composed', 'stock'])
def test_an_exported_learner_keeps_the_preparation(presize, few, tmp_path):
    made = dls(few, presize=presize, num_workers=0, batch_tfms=[normalizing()],
               cache=tmp_path/'c' if presize == 'composed' else False)
    net = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, made.c))
    learn = Learner(made, net, loss_func=CrossEntropyLossFlat(), path=tmp_path)
    learn.export('a.pkl')
    again = load_learner(tmp_path/'a.pkl')
    assert again.dls.prep == made.prep and again.dls.test_dl(photos(few)).prep == made.prep
    file = photos(few)[3]
    with learn.no_bar(), again.no_bar(): a, b = learn.predict(file)[2], again.predict(file)[2]
    assert torch.allclose(a, b)


def test_an_unreadable_photo_stops_with_its_name(few):
    d, bad = dls(few), photos(few)[4]
    bad.write_bytes(b'nothing')
    with pytest.raises(ValueError, match=bad.name): sweep(d)


def test_no_thread_stays(drawn):
    "An abandoned sweep leaves no threads behind"
    d = dls(drawn)
    before = threading.active_count()
    for _ in range(5): d.train.one_batch()
    for _, _ in zip(range(2), d.train): pass
    until = time.time()+20
    while threading.active_count() > before and time.time() < until: time.sleep(.1)
    assert threading.active_count() <= before


def test_importing_leaves_opencv_and_warnings_as_they_were():
    code = ('import cv2, warnings, pandas, fastai.tabular.core; cv2.setNumThreads(3); before = list(warnings.filters); '
            'import pet_breeds.data; assert cv2.getNumThreads() == 3 and warnings.filters == before')
    subprocess.run([sys.executable, '-W', 'ignore', '-c', code], check=True)


@pytest.mark.parametrize('presize, item', [('composed', None), ('composed', 100), ('stock', None), ('stock', 100)])
def test_photo_dl_reads_as_validation_does(presize, item, few):
    d = dls(few, presize=presize, num_workers=0, item=item, max_rotate=45)
    dl = photo_dl(d.valid.items, d.prep, [0, 0, 0], [1, 1, 1], bs=3)
    got = torch.cat([x for x, in dl])
    assert dl.fake_l.num_workers == 0 and dl.dataset.split_idx == 1
    assert torch.allclose(got, torch.cat([x for x, _ in d.valid]), atol=1e-6)


@pytest.mark.parametrize('read', [PhotoReader(), StockPhoto.create], ids=['composed', 'stock'])
def test_a_photo_in_another_form_is_read_or_refused_as_everywhere(read, rgb):
    "A Learner answered for numbers that `predict_pets` refuses, as if they were a black photo"
    def pixels(o): return np.asarray(o) if isinstance(o, Image.Image) else o.permute(1, 2, 0).numpy()
    png, gray = io.BytesIO(), np.asarray(Image.fromarray(rgb).convert('L'))
    Image.fromarray(rgb).save(png, 'png')
    tensor = torch.tensor(rgb).permute(2, 0, 1)
    for o in (rgb, tensor, TensorImage(tensor), Image.fromarray(rgb), png.getvalue()): assert (pixels(read(o)) == rgb).all()
    assert (pixels(read(gray))[..., 1] == gray).all()
    for o in (rgb/255, tensor/255, TensorImage(tensor/255), rgb.astype(np.float32), gray > 128, gray.astype(np.uint16)*257, rgb[..., :2]):
        with pytest.raises(ValueError, match='expected a path, bytes, a PIL image or an array'): read(o)


@pytest.mark.parametrize('read', [PhotoReader(), StockPhoto.create], ids=['composed', 'stock'])
def test_what_is_no_photo_is_named(read, tmp_path):
    (tmp_path/'a.jpg').write_bytes(b'nothing')
    with pytest.raises(ValueError, match='a.jpg cannot be read as a photo: '): read(tmp_path/'a.jpg')


def test_an_array_is_reduced_as_a_file_is():
    photo = np.zeros((300, 400, 3), np.uint8)
    assert PhotoReader(100)(photo).shape == (3, 150, 200) and PhotoReader(200)(photo).shape == (3, 300, 400), "halved while 100 pixels are left"


def test_a_cache_is_for_one_way_of_presizing():
    with pytest.raises(ValueError, match="cache is for presize='composed'; 'stock' decodes every photo every time"):
        photo_block(Prep('stock'), cache=True)


def test_a_pipeline_whose_normalize_was_taken_out_passes_a_batch_on():
    x = torch.ones(1, 3, 2, 2)
    [got] = TablePipeline([Step(20)])((x.as_subclass(InTable),))
    assert type(got) is TensorImage and torch.equal(got, Step(20)(TensorImage(x)))


def test_weights_and_parts_belong_to_their_photos(tiny):
    made = small(tiny)
    dl = made.train.new(partial_n=4)
    assert dl.new(bs=2).partial_n == 4 and dl.new(made.valid_ds).partial_n is dl.new(made.valid_ds).wgts is None
