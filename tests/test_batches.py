"Any photo as it is meant to be seen or refused by name; a cache that is never wrong; the same batch whatever makes it."
import os
import pickle
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from pet_breeds import batches
from pet_breeds.batches import PhotoCache, PhotoReader, cache_photos, photo_dl, photo_parts, read_photo
from pet_breeds.data import check_photos, pets_dls
from fastai.vision.all import Normalize, RandomErasing, imagenet_stats, set_seed


@pytest.fixture
def rgb(): return np.random.default_rng(0).integers(0, 256, (45, 60, 3), dtype=np.uint8)


@pytest.fixture
def few(drawn, tmp_path):
    "A few drawn photos in a folder of their own, to be changed and damaged"
    return Path(shutil.copytree(drawn, tmp_path/'few'))


def photos(folder): return sorted((folder/'images').iterdir())


# reading

@pytest.mark.parametrize('turn', range(1, 9))
@pytest.mark.parametrize('kind', ['png', 'jpg'])
def test_upright(turn, kind, rgb, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = turn
    Image.fromarray(rgb).save(tmp_path/f'a.{kind}', exif=exif)
    with Image.open(tmp_path/f'a.{kind}') as im: assert (read_photo(tmp_path/f'a.{kind}') == np.asarray(ImageOps.exif_transpose(im))).all()


def as_mode(rgb, mode):
    im = Image.fromarray(rgb)
    if mode == 'I;16': return Image.fromarray(np.asarray(im.convert('L')).astype(np.uint16)*257)
    if mode == 'I': return Image.fromarray(np.asarray(im.convert('L')).astype(np.int32)*257)
    if mode == 'P+': return im.quantize(16)
    return im.convert(mode)


@pytest.mark.parametrize('mode, kind', [('1', 'png'), ('L', 'png'), ('L', 'jpg'), ('P', 'png'), ('P+', 'gif'), ('RGB', 'jpg'), ('RGB', 'webp'), ('RGB', 'bmp'), ('CMYK', 'jpg'),
                                        ('YCbCr', 'jpg'), ('RGBA', 'png'), ('LA', 'png'), ('I;16', 'png'), ('I;16', 'tiff'), ('I', 'tiff'), ('RGB', 'tiff'), ('HSV', 'tiff')])
def test_every_mode_is_right(mode, kind, rgb, tmp_path):
    smooth = np.asarray(Image.fromarray(rgb).resize((8, 6)).resize((60, 45), Image.BICUBIC))
    im = as_mode(smooth, mode)
    try: im.save(tmp_path/f'a.{kind}')
    except OSError as e: pytest.skip(str(e))
    want = smooth if mode not in ('1', 'L', 'LA', 'I;16', 'I') else np.repeat(np.asarray(as_mode(smooth, '1' if mode == '1' else 'L').convert('L'))[..., None], 3, 2)
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
@pytest.mark.parametrize('size, want', [((1, 1), (1, 1)), ((12_000, 300), (300, 12_000)), ((919, 1000), (1000, 919)), ((920, 1000), (500, 460)), ((3681, 1841), (461, 921))])
def test_large_photos_are_halved(size, want, kind, tmp_path):
    Image.new('RGB', size, (200, 10, 90)).save(tmp_path/f'a.{kind}', quality=95)
    photo = read_photo(tmp_path/f'a.{kind}')
    assert photo.shape == (*want, 3) and (abs(photo.astype(int)-[200, 10, 90]) <= 2).all()
    assert list(photo.shape) == batches._shape(tmp_path/f'a.{kind}', 460)


def test_halving_averages(rgb, tmp_path):
    fine = np.repeat(np.repeat(np.asarray(Image.fromarray(rgb).resize((120, 100), Image.BICUBIC)), 8, 0), 8, 1)
    for kind in ('png', 'jpg'): Image.fromarray(fine).save(tmp_path/f'a.{kind}', quality=98, subsampling=0)
    exact = fine.reshape(200, 4, 240, 4, 3).mean((1, 3))
    assert np.abs(read_photo(tmp_path/'a.png', 200)-exact).max() <= 1
    assert np.abs(read_photo(tmp_path/'a.jpg', 200)-exact).mean() < 2.5


def test_refused_by_name(rgb, tmp_path):
    Image.fromarray(rgb).save(tmp_path/'whole.jpg')
    whole = (tmp_path/'whole.jpg').read_bytes()
    for i, data in enumerate([b'', b'\xff\xd8\xff', b'GIF89a', b'%PDF-1.4', *(whole[:len(whole)*k//20] for k in range(1, 20))]):
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
    assert cache_photos(files[:5], folder=tmp_path/'c', progress=False).file == cache.file and capsys.readouterr().out == '', 'a part of it is in it'
    assert (pickle.loads(pickle.dumps(cache)).get(files[3]) == cache.get(files[3])).all() and len(pickle.dumps(cache)) < 1000
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
    assert (reader(files[0]).permute(1, 2, 0).numpy() == read_photo(files[0])).all() and reader.cache.get(files[0]) is not None


@pytest.mark.parametrize('damage', [lambda b: b[:-1], lambda b: b[:1000], lambda b: b'', lambda b: b+b'x', lambda b: b'\xff'*8+b[8:], lambda b: os.urandom(500), lambda b: b'{}'])
def test_a_damaged_cache_is_made_anew(damage, few, tmp_path):
    cache = cache_photos(photos(few), folder=tmp_path/'c', progress=False)
    whole = cache.file.read_bytes()
    shutil.move(cache.file, tmp_path/'old')
    cache.file.write_bytes(damage(whole))
    with pytest.raises(ValueError, match='not a whole cache'): PhotoCache(cache.file)
    assert cache_photos(photos(few), folder=tmp_path/'c', progress=False).file.read_bytes() == whole


BUILD = "import sys, pathlib; from pet_breeds.batches import cache_photos; cache_photos(sorted(pathlib.Path(sys.argv[1]).iterdir()), folder=sys.argv[2], progress=False); print('done')"


def test_what_a_killed_process_left_is_cleared_away(few, tmp_path):
    "Killed half way (at random moments: see test_faults): the part is hidden, and gone after the next one"
    code = BUILD.replace('import sys', 'import os, signal, sys').replace('; cache_photos(', '; from pet_breeds import batches; batches.os.fsync = lambda fd: os.kill(os.getpid(), signal.SIGKILL); cache_photos(')
    subprocess.run([sys.executable, '-W', 'ignore', '-c', code, few/'images', tmp_path/'c'], capture_output=True)
    [left] = os.listdir(tmp_path/'c')
    assert left.startswith('.') and left.endswith('.part')
    cache = cache_photos(photos(few), folder=tmp_path/'c', progress=False)
    assert os.listdir(tmp_path/'c') == [cache.file.name] and (cache.get(photos(few)[0]).numpy() == read_photo(photos(few)[0])).all()


def test_two_at_once(drawn, tmp_path):
    runs = [subprocess.Popen([sys.executable, '-W', 'ignore', '-c', BUILD, drawn/'images', tmp_path/'c'], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert all(run.communicate(timeout=600)[0].endswith('done\n') and run.returncode == 0 for run in runs)
    [file] = (tmp_path/'c').iterdir()
    assert all((PhotoCache(file).get(f).numpy() == read_photo(f)).all() for f in photos(drawn)[::10])


def test_no_room_for_it(few, tmp_path, monkeypatch, small_disk):
    "Said before a byte is written, or when the disk fills up meanwhile; training goes on without"
    with pytest.warns(UserWarning, match='going on without a cache.*are free'):
        with monkeypatch.context() as m:
            m.setattr(shutil, 'disk_usage', lambda path: shutil._ntuple_diskusage(10**9, 10**9, 10**6))
            assert cache_photos(photos(few), folder=tmp_path/'c', progress=False) is None
    disk = small_disk(2048)
    with monkeypatch.context() as m, pytest.warns(UserWarning, match='going on without a cache.*no space left'):
        m.setattr(shutil, 'disk_usage', lambda path: shutil._ntuple_diskusage(10**9, 0, 10**9))
        dls = pets_dls(few, bs=4, size=32, cache=disk)
    assert len(dls.one_batch()[0]) == 4 and os.listdir(disk) == []


def test_an_unreadable_photo_is_named_and_nothing_is_left(few, tmp_path):
    files = photos(few)
    files[7].write_bytes(files[7].read_bytes()[:-3000])
    with pytest.raises(ValueError, match=files[7].name): cache_photos(files, folder=tmp_path/'c', progress=False)
    assert os.listdir(tmp_path/'c') == []


# the loader

def sweep(dls): return [x for x, _ in dls.train] + [x for x, _ in dls.valid]


def dls(few, seed=0, **kwargs):
    set_seed(seed)
    return pets_dls(few, **{'bs': 4, 'size': 48, 'device': 'cpu', **kwargs})


def test_same_seed_same_batch(few, tmp_path):
    want = sweep(dls(few))
    def like(**change):
        d = dls(few, **{k: v for k, v in change.items() if k in ('cache', 'num_workers')})
        for dl in d.loaders: dl.own.update({k: v for k, v in change.items() if k == 'threads'})
        return sweep(d)
    for change in (dict(), dict(threads=1), dict(threads=5), dict(num_workers=1), dict(num_workers=2), dict(cache=tmp_path/'c')):
        for a, b in zip(want, like(**change), strict=True): assert torch.equal(a, b), change
    assert not torch.equal(want[0], sweep(dls(few, seed=1))[0])


def test_no_process_is_started(few, monkeypatch):
    "OpenCV's locks are not for a fork beside threads: one such worker waited for ever"
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
    a, b = dls(few, max_lighting=0), dls(few, max_lighting=0)
    for dl in b.loaders: dl.own['resident'] = True
    for x, y in zip(sweep(a), sweep(b), strict=True): assert (x-y).abs().max() <= 1/255+1e-6
    assert len(b.train.kept) == b.train.n and b.train.new(bs=2).kept is b.train.kept and b.valid.new(b.train_ds).kept is None


def test_normalize_is_folded_only_where_it_comes_first(few):
    norm = Normalize.from_stats(*imagenet_stats, cuda=False)
    plain = dls(few).one_batch()[0]
    for tfms in ([norm], [RandomErasing(p=0), norm]):
        d = dls(few)
        d.add_tfms(tfms, 'after_batch')
        x, y = d.one_batch()
        assert torch.allclose(x, norm(plain), atol=1e-5) and torch.allclose(d.decode((x, y))[0], plain, atol=1e-5)


def test_an_exported_reader_works_where_the_cache_is_not(few, tmp_path):
    reader = PhotoReader(cache=tmp_path/'c')
    reader.setups(photos(few))
    kept = pickle.dumps(reader)
    assert pickle.loads(kept).cache.get(photos(few)[0]) is not None
    reader.cache.file.unlink()
    assert pickle.loads(kept).cache is None and torch.equal(pickle.loads(kept)(photos(few)[0]), reader(photos(few)[0]))


def test_an_unreadable_photo_stops_with_its_name(few):
    d, bad = dls(few), photos(few)[4]
    bad.write_bytes(b'nothing')
    with pytest.raises(ValueError, match=bad.name): sweep(d)


@pytest.mark.parametrize('bad, word', [(dict(size=0), 'size=0'), (dict(size=500), 'size=500, item=460'), (dict(min_scale=1.5), '1.5'), (dict(min_scale=0), '0'), (dict(presize='fast'), "'fast'"),
                                       (dict(flip_vert=True), 'flip_vert'), (dict(presize='stock', cache=True), 'cache'), (dict(max_lighting=1.), 'max_lighting=1.0'),
                                       (dict(max_lighting=.6, mult=2), 'max_lighting'), (dict(min_zoom=1.2), 'min_zoom=1.2'), (dict(p_affine=75), 'p_affine=75')])
def test_bad_arguments(bad, word):
    with pytest.raises(ValueError, match=word): photo_parts(**bad)


def test_no_thread_stays(drawn):
    "An abandoned sweep leaves no threads behind"
    d = dls(drawn)
    before = threading.active_count()
    for _ in range(5): d.train.one_batch()
    for _, _ in zip(range(2), d.train): pass
    until = time.time()+20
    while threading.active_count() > before and time.time() < until: time.sleep(.1)
    assert threading.active_count() <= before


def test_photo_dl_reads_as_validation_does(few):
    for presize in ('composed', 'stock'):
        d = dls(few, presize=presize, num_workers=0, item=100)
        got = torch.cat([x for x, in photo_dl(d.valid.items, presize, 100, 48, .75, [0, 0, 0], [1, 1, 1], bs=3)])
        assert torch.allclose(got, torch.cat([x for x, _ in d.valid]), atol=1e-6)
