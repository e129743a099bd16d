"A hundred odd files and names, each given in every way: skipped and listed, or refused by name, and nothing hangs."
import contextlib
import csv
import faulthandler
import html
import io
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import unicodedata
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageCms, ImageOps

from pet_breeds import inventory as of_folders
from pet_breeds.batches import StockPhoto, cache_photos
from pet_breeds.cli import main, main_predict
from pet_breeds.core import one_line, visible
from pet_breeds.data import folder_block, pets_block, pets_dls, photo_table, table_block
from pet_breeds.labels import folder_label, name_label
from pet_breeds.pets import Run, run_pets
from pet_breeds.photos import check_photos, find_photos, photo_bytes, read_photo, shape_of
from pet_breeds.splits import stratified_split
from pet_breeds.tables import tidy_label
from test_labels import BAD

pytestmark = pytest.mark.filterwarnings('ignore') # Pillow's, about these files

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8))
PLAIN = np.asarray(NOISE.resize((80, 60), Image.BICUBIC))
GRAY = np.asarray(Image.fromarray(PLAIN).convert('L').convert('RGB'))


@pytest.fixture(autouse=True)
def strings_as_with_pyarrow(monkeypatch):
    "Where pyarrow is installed, pandas keeps strings in it, which refuses what is not text"
    kept = pd.array(['text'], dtype='str').__class__
    from_sequence = kept._from_sequence.__func__
    def strict(cls, scalars, **kw):
        for s in scalars:
            if isinstance(s, str): s.encode()
        return from_sequence(cls, scalars, **kw)
    monkeypatch.setattr(kept, '_from_sequence', classmethod(strict))


@pytest.fixture(autouse=True)
def no_hang():
    "A test that hangs fails, even if nothing can interrupt its thread"
    faulthandler.dump_traceback_later(240, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


# The files. Each case: how to make the file; what `check_photos` says of it, if anything; its pixels, if known.

CASES = {}


def case(name, make, says=None, pixels=None): CASES[name] = make, says, pixels


def saved(format, mode='RGB', **kw):
    "The plain picture as a file's bytes"
    out = io.BytesIO()
    Image.fromarray(PLAIN).convert(mode).save(out, format, **kw)
    return out.getvalue()


def content(data): return lambda file: file.write_bytes(data() if callable(data) else data)


def picture(*args, says=None, pixels=PLAIN, **kw):
    case(' '.join([*args, *kw]), content(lambda: saved(*args, **kw)), says, pixels)


JPEG = saved('JPEG', quality=95)
LONG = io.BytesIO()
Image.fromarray(PLAIN).resize((400, 300), Image.BICUBIC).save(LONG, 'JPEG', quality=95)
LONG = LONG.getvalue()
for percent in range(5, 100, 5):
    case(f'a JPEG cut off at {percent}%', content(LONG[:len(LONG)*percent//100]), 'truncated')

picture('JPEG', quality=95)
picture('JPEG', progressive=True, quality=95)
picture('JPEG', 'CMYK', quality=95, says='odd mode')
picture('JPEG', 'L', quality=95, says='odd mode', pixels=GRAY)
Image.init()
FORMATS = 'AVIF BMP DDS DIB ICNS ICO IM JPEG2000 PCX PNG PPM QOI SGI TGA TIFF WEBP'.split()
for format in sorted(set(Image.SAVE) & set(FORMATS)):
    known = format not in ('ICNS', 'ICO') # these come in sizes of their own
    picture(format, says='odd mode' if format == 'ICNS' else 'wrong suffix', pixels=PLAIN if known else None)
picture('GIF', says='odd mode')
picture('MSP', '1', says='odd mode', pixels=None)
picture('XBM', '1', says='odd mode', pixels=None)
picture('BLP', 'P', says='wrong suffix', pixels=None)
picture('SPIDER', 'F', says='damaged')
picture('EPS', says='damaged')
picture('PDF', says='not an image')
picture('PALM', 'P', says='not an image')
HEADS = {
    'PSD': b'8BPS\0\1'+bytes(20), 'FITS': b'SIMPLE  =                    T'+b' '*2850,
    'HDF5': b'\x89HDF\r\n\x1a\n'+bytes(40), 'GRIB': b'GRIB\0\0\0\1'+bytes(40), 'BUFR': b'BUFR'+bytes(40),
    'MPEG': b'\0\0\1\xb3\x28\x01\xe0'+bytes(60), 'WMF': b'\xd7\xcd\xc6\x9a\0\0'+bytes(60),
    'a web page': b'<!doctype html><p>404', 'SVG': b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    'a movie': b'\0\0\0\x18ftypmp42'+bytes(60), 'HEIC': b'\0\0\0\x18ftypheic'+bytes(60), 'one byte': b'\xff',
    'zeros': bytes(5000), 'escape codes': b'\x1b]52;c;aGk=\x07'*20}
for name, head in HEADS.items(): case(name, content(head), ('damaged', 'not an image', 'truncated', 'other format'))


def palette(**kw): return lambda file: Image.fromarray(PLAIN).quantize(8).save(file, 'PNG', **kw)


case('PNG with alpha', content(lambda: saved('PNG', 'RGBA')), 'odd mode', PLAIN)
case('PNG of 16 bits', lambda f: Image.fromarray(GRAY[..., 0].astype(np.uint16)*257).save(f, 'PNG'), 'odd mode', GRAY)
case('PNG palette, one color clear', palette(transparency=0), 'odd mode')
case('PNG palette, clear by bytes', palette(transparency=bytes([0, 128])), 'odd mode')
case('PNG gray and clear', content(lambda: saved('PNG', 'LA')), 'odd mode', GRAY)
case('PNG of 1 bit', content(lambda: saved('PNG', '1')), 'odd mode')
case('TIFF CMYK', content(lambda: saved('TIFF', 'CMYK')), 'odd mode', PLAIN)
case('TIFF floating point', content(lambda: saved('TIFF', 'F')), 'damaged')


def lab(file):
    to_lab = ImageCms.buildTransform(*map(ImageCms.createProfile, ('sRGB', 'LAB')), 'RGB', 'LAB')
    ImageCms.applyTransform(Image.fromarray(PLAIN), to_lab).save(file, 'TIFF')


case('TIFF Lab', lab, 'odd mode')


def animated(format):
    def make(file):
        frames = [Image.fromarray(PLAIN), Image.new('RGB', (80, 60), 'red')]
        more = dict(lossless=True) if format == 'WEBP' else dict(quality=95) if format == 'MPO' else {}
        frames[0].save(file, format, save_all=True, append_images=frames[1:], duration=40, **more)
    return make


ANIMATED = dict(GIF='odd mode', PNG='wrong suffix', WEBP='wrong suffix', TIFF='wrong suffix', MPO=None)
for format, says in ANIMATED.items():
    case(f'animated {format}', animated(format), says, PLAIN)


def turned(turn):
    exif = Image.Exif()
    exif[0x0112] = turn
    return exif


for turn in range(1, 9):
    data = saved('JPEG', quality=95, exif=turned(turn))
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    case(f'EXIF orientation {turn}', content(data), 'turned' if turn > 1 else None, upright)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
for name, more in {
        'EXIF orientation 9': dict(exif=turned(9)), 'EXIF that is none': dict(exif=b'Exif\0\0'+b'\xff'*50),
        'EXIF cut off': dict(exif=turned(6).tobytes()[:20]), 'an ICC profile': dict(icc_profile=PROFILE),
        'an ICC profile that is none': dict(icc_profile=b'no profile')}.items():
    case(name, content(saved('JPEG', quality=95, **more)), None, PLAIN)
case('letters behind the end', content(JPEG+b'PS: '*500), None, PLAIN)
case('an archive behind the end', content(JPEG+b'PK\3\4'+bytes(500)), None, PLAIN)
case('noise in the middle', content(JPEG[:len(JPEG)//2]+bytes(30)+JPEG[len(JPEG)//2+30:]), None)
case('5 x 5', lambda f: Image.fromarray(PLAIN[:5, :5]).save(f, 'JPEG'), 'too small')


def chunk(kind, data): return struct.pack('>I', len(data))+kind+data+struct.pack('>I', zlib.crc32(kind+data))


def png(width, height, *chunks, depth=8, color=2):
    head = chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, depth, color, 0, 0, 0))
    return b'\x89PNG\r\n\x1a\n'+head+b''.join(chunks)+chunk(b'IEND', b'')


def bytes_of_tiff(size):
    data = bytearray(saved('TIFF'))
    (at,) = struct.unpack('<I', data[4:8])
    for i in range(struct.unpack('<H', data[at:at+2])[0]):
        tag, kind = struct.unpack('<HH', data[at+2+12*i:at+6+12*i])
        if tag in (256, 257): data[at+10+12*i:at+14+12*i] = struct.pack('<H2x' if kind == 3 else '<I', size)
    return bytes(data)


def idat(data): return chunk(b'IDAT', zlib.compress(data))


GIF = (b'GIF89a'+struct.pack('<HHBBB', 65535, 65535, 0, 0, 0)+b','+struct.pack('<HHHHB', 0, 0, 65535, 65535, 0)
       + b'\2\2L\1\0;')
case('bomb: PNG of 60000 x 60000', content(lambda: png(60_000, 60_000, idat(bytes(1000)))), 'damaged')
case('bomb: PNG of 2**31 x 2**31', content(lambda: png(2**31-1, 2**31-1, chunk(b'IDAT', b''))), 'damaged')
case('bomb: GIF of 65535 x 65535', content(GIF), 'damaged')
case('bomb: TIFF of 60000 x 60000', content(lambda: bytes_of_tiff(60_000)), 'damaged')


def wordy():
    "A PNG with a text of 200 MB"
    return png(40, 40, chunk(b'zTXt', b'Comment\0\0'+zlib.compress(bytes(200_000_000), 1)), idat(bytes(40*121)))


case('bomb: a text of 200 MB in a PNG', content(wordy), 'damaged')
case('PNG without pixels', content(png(40, 40)), 'damaged')
case('PNG of no size', content(png(0, 0, idat(b''))), ('damaged', 'not an image'))
case('PNG, checksum wrong', content(saved('PNG')[:45]+b'\xff'+saved('PNG')[46:]), ('damaged', 'truncated'))

case('empty', lambda f: f.touch(), 'empty')
case('a link to nowhere', lambda f: f.symlink_to('nowhere'), 'unreadable')
case('a link to itself', lambda f: f.symlink_to(f.name), 'unreadable')
case('a pipe', lambda f: os.mkfifo(f), 'unreadable')
case('a link to a device', lambda f: f.symlink_to('/dev/zero'), 'unreadable')
case('a terabyte', lambda f: f.touch() or os.truncate(f, 2**40), 'unreadable')


def a_socket(file):
    with tempfile.TemporaryDirectory() as tmp, socket.socket(socket.AF_UNIX) as s: # a socket's path must be short
        s.bind(f'{tmp}/s')
        os.rename(f'{tmp}/s', file)


case('a socket', a_socket, 'unreadable')

# Names of a whole JPEG, and their labels. None: there is no label to read, or the name is not in UTF-8.

PLAIN_NAMES = ['two  words _1.jpg', 'it\'s "q"_1.jpg', 'シバ🐶_1.jpg', '-rf_1.jpg', '--help_1.jpg',
               '100%s{0}{x!r}%_1.jpg', '<b>&amp;<script>_1.jpg', '$^$_1.jpg', '$HOME;`id`_1.jpg', 'a,b_1.jpg',
               'back\\slash_1.jpg', 'UP_1.JPG', 'Jp_1.JpEg', 'v1.2_1.jpg', 'é_2.jpg', 'b'*249+'_1.jpg',
               '\u202egnp_1.jpg', 'a\x1b[31m_1.jpg', '#1?x=y_1.jpg', '~_1.jpg', '*_1.jpg', '=1+1_1.jpg', 'nan_1.jpg',
               '٣_٣.jpg', 'a\rb_1.jpg']
NAMES = {**{name: tidy_label(name.rpartition('_')[0]) for name in PLAIN_NAMES}, 'e\u0301_1.jpg': 'é',
         'a\nb_1.jpg': None, '\udcff\udcfe_1.jpg': None, 'no number.jpg': None}


BREEDS = ['Bombay', 'Sphynx', 'pug', 'samoyed'] # of the drawn photos
FILES = {name: f'{BREEDS[i%4]}/{BREEDS[i%4]}_{i+100}.jpg' for i, name in enumerate(CASES)}


def says(name): return CASES[name][1]
def usable(name): return says(name) in (None, 'odd mode', 'wrong suffix', 'turned')


@pytest.fixture(scope='module')
def zoo(drawn, tmp_path_factory):
    "All of these photos and names beside the drawn photos, in a folder for each breed and one for the names"
    top = tmp_path_factory.mktemp('zoo')/'zoo'
    for f in (drawn/'images').iterdir():
        (top/name_label(f)).mkdir(parents=True, exist_ok=True)
        shutil.copy(f, top/name_label(f))
    for name, (make, _, _) in CASES.items(): make(top/FILES[name])
    (top/'names').mkdir()
    for i, name in enumerate(NAMES):
        with contextlib.suppress(OSError): # macOS takes no name that is not UTF-8
            (top/'names'/name).write_bytes(JPEG+b' '*(i+1))
    return top


# Every file by every way

@pytest.mark.parametrize('name', CASES)
def test_checked_and_read(name, zoo):
    file, (_, want, pixels) = zoo/FILES[name], CASES[name]
    problems = check_photos([file], progress=False)
    assert problems.usable.all() == usable(name) and problems.detail.map(str.isprintable).all()
    if want is None: assert len(problems) == 0
    else: assert problems.problem[0] in ([want] if isinstance(want, str) else want), problems.detail[0]
    if usable(name) or want == 'too small':
        photo = read_photo(file)
        assert photo.ndim == 3 and photo.shape[2] == 3 and photo.dtype == np.uint8
        if pixels is not None: assert photo.shape == pixels.shape and np.abs(photo.astype(int)-pixels).mean() < 12
    else:
        with pytest.raises((OSError, ValueError), match=file.name): read_photo(file)


@pytest.fixture(scope='module')
def plans(zoo, drawn, tmp_path_factory):
    "DataLoaders from each builder, which know the drawn photos only"
    small, by_folder = dict(item=64, size=32), tmp_path_factory.mktemp('plans')/'by_folder'
    for f in (drawn/'images').iterdir():
        (by_folder/name_label(f)).mkdir(parents=True, exist_ok=True)
        shutil.copy(f, by_folder/name_label(f))
    dl, cache = dict(bs=2, num_workers=0), by_folder.parent/'cache'
    return dict(name=pets_block(**small).dataloaders(drawn, **dl),
                folder=folder_block(**small, cache=cache).dataloaders(by_folder, **dl),
                table=table_block(**small).dataloaders(photo_table(drawn), **dl),
                stock=pets_dls(drawn, presize='stock', **small, **dl))


@pytest.mark.parametrize('name', CASES)
def test_builders(name, zoo, plans):
    file, label = zoo/FILES[name], FILES[name].split('/')[0]
    for way, dls in plans.items():
        items = pd.DataFrame(dict(file=[file], label=[label])) if way == 'table' else [file]
        batch = dls.test_dl(items, with_labels=True, num_workers=0)
        if usable(name) or says(name) == 'too small':
            x, y = batch.one_batch()
            assert x.shape == (1, 3, 32, 32) and x.isfinite().all() and dls.vocab[y[0]] == label
        else:
            with pytest.raises((OSError, ValueError), match=file.name): batch.one_batch()


@pytest.mark.parametrize('name', CASES)
def test_cache(name, zoo, tmp_path):
    file = zoo/FILES[name]
    def cached(): return cache_photos([file], folder=tmp_path, progress=False)
    if usable(name) or says(name) == 'too small': assert (cached().get(file).numpy() == read_photo(file, 460)).all()
    else:
        with pytest.raises((OSError, ValueError), match=file.name): cached()
        assert os.listdir(tmp_path) == []


PEAK = """if True:
    import resource, sys
    from pet_breeds.photos import read_photo
    peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == 'darwin' else 2**10)
    before = peak()
    assert read_photo(sys.argv[1], 460).shape == (875, 875, 3)
    print(round(peak()-before))
"""


def test_a_huge_photo_takes_its_memory_once(tmp_path):
    "Half a megabyte that becomes 49 million pixels, of 4 bytes each, not of 14"
    side, pack = 7000, zlib.compressobj(1)
    rows = b''.join(pack.compress(bytes(1+3*side)) for _ in range(side))+pack.flush()
    (tmp_path/'huge.png').write_bytes(png(side, side, chunk(b'IDAT', rows)))
    words = [sys.executable, '-W', 'ignore', '-c', PEAK, tmp_path/'huge.png']
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0 and int(done.stdout) < 400, done


def test_no_program_is_run(zoo, monkeypatch):
    from PIL import EpsImagePlugin
    monkeypatch.setattr(EpsImagePlugin, 'Ghostscript', lambda *args, **kwargs: pytest.fail('Ghostscript was asked'))
    for read in (read_photo, StockPhoto.create):
        with pytest.raises(ValueError, match='PostScript'): read(zoo/FILES['EPS'])
    assert 'PostScript' in check_photos([zoo/FILES['EPS']], progress=False).detail[0]


def deep_gray(file): Image.fromarray(np.linspace(0, 65535, 2500).reshape(50, 50).astype(np.uint16)).save(file)


def see_through(file): Image.fromarray(np.dstack([PLAIN, np.tile(np.arange(PLAIN.shape[1], dtype=np.uint8), (len(PLAIN), 1))])).save(file)


@pytest.mark.parametrize('make', [deep_gray, see_through])
def test_both_ways_of_presizing_read_the_same_pixels(make, tmp_path):
    make(tmp_path/'a.png')
    assert np.array_equal(np.asarray(StockPhoto.create(tmp_path/'a.png')), read_photo(tmp_path/'a.png'))


def test_negative_gray_is_refused(tmp_path):
    Image.fromarray(np.linspace(-1000, 1000, 2500).reshape(50, 50).astype(np.int32)).save(tmp_path/'a.tif')
    assert check_photos([tmp_path/'a.tif'], progress=False).usable.tolist() == [False]


@pytest.mark.parametrize('turn', range(1, 9))
@pytest.mark.parametrize('kind', ['tif', 'jpg'])
def test_the_head_of_a_turned_photo_says_its_shape(kind, turn, tmp_path):
    Image.fromarray(PLAIN[:40, :60]).save(tmp_path/f'a.{kind}', **(dict(tiffinfo={274: turn}) if kind == 'tif' else dict(exif=turned(turn))))
    assert shape_of(tmp_path/f'a.{kind}') == list(read_photo(tmp_path/f'a.{kind}').shape)


def names_in(folder): return {n: os.path.join('names', n) for n in os.listdir(folder/'names')}


QUICK = '--epochs 1 --size 32 --bs 16 --lr 1e-3 --precision fp32'.split()


def run(capfd, *words, command=main):
    "The status of a command and what it prints on both streams; never a traceback or a raw control character"
    code = 0
    try: command([str(w) for w in words])
    except SystemExit as e: code = e.code
    out, err = capfd.readouterr()
    assert 'Traceback' not in out+err and '\x1b[31m' not in out+err, out+err
    return code, out, err


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize('words', ['', '--presize stock', '--labels folder --cache'])
def test_the_command_skips_and_lists(words, zoo, here, capfd, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(here/'cache'))
    monkeypatch.setattr('pet_breeds.pets._n_workers', lambda presize: 0) # starting processes takes seconds an epoch
    code, out, err = run(capfd, '--path', zoo, *QUICK, *words.split())
    assert code == 0, err
    files, by_folder, found = names_in(zoo), 'folder' in words, json.loads(Path('report/metrics.json').read_text())
    labels = {n: 'names' if by_folder else NAMES[n] for n in files if '\udcff' not in n and (by_folder or NAMES[n])}
    bad = {FILES[n] for n in CASES if not usable(n)} | {f for n, f in files.items() if n not in labels}
    assert found['skipped'] == len(bad) and found['n_train']+found['n_valid'] == 40+len(CASES)+len(files)-len(bad)
    page = Path('report/index.html').read_text(encoding='utf-8').replace('<wbr>', '')
    cells = re.findall('<td>(.*?)</td>', page[page.index('Look at them before'):], re.S)
    assert set(map(one_line, bad)) <= set(map(html.unescape, cells))
    assert json.loads(Path('report/model.json').read_text())['vocab'] == sorted({*BREEDS, *labels.values()})
    assert os.listdir(here/'cache' if '--cache' in words else here) != []


@pytest.fixture(scope='module')
def report(drawn, tmp_path_factory):
    out = tmp_path_factory.mktemp('out')/'report'
    run_pets(path=str(drawn), epochs=1, size=32, bs=8, lr='1e-3', out=str(out))
    return out


def test_the_other_command_skips_and_lists(report, zoo, here, capfd):
    code, out, err = run(capfd, report, zoo, command=main_predict)
    files = names_in(zoo)
    good = {FILES[n] for n in CASES if usable(n)} | {f for n, f in files.items() if '\udcff' not in n}
    bad = {FILES[n] for n in CASES if not usable(n)} | {f for n, f in files.items() if '\udcff' in n}
    preds = pd.read_csv(io.StringIO(out), dtype=str, keep_default_na=False, lineterminator='\n')
    drawn = {f'{b}/{f.name}' for b in BREEDS for f in (zoo/b).iterdir() if f'{b}/{f.name}' not in FILES.values()}
    assert code == 0 and preds.columns.tolist() == ['file', 'breed', 'prob']
    assert set(preds.breed) <= set(BREEDS) and preds.prob.astype(float).between(.25, 1).all()
    assert sorted(preds.file) == sorted(visible(zoo/f) for f in good | drawn)
    assert len(err.splitlines()) == len(bad) and all(f'skipped {one_line(zoo/f)}:' in err for f in bad)


def test_the_other_command_refuses_each_by_name(report, zoo, here, capfd):
    for kind in ('truncated', 'not an image', 'damaged', 'empty', 'unreadable', 'too small'):
        for name in [n for n in CASES if says(n) == kind][-3:]:
            code, out, err = run(capfd, report, zoo/FILES[name], command=main_predict)
            assert code == 2 and out == '' and len(err.splitlines()) == 1 and FILES[name] in err, err


def test_a_stream_that_cannot_write_every_name(report, zoo, monkeypatch):
    out = io.TextIOWrapper(io.BytesIO(), 'cp1252')
    monkeypatch.setattr(sys, 'stdout', out)
    main_predict([str(report), str(zoo/'names'/'シバ🐶_1.jpg')])
    out.flush()
    second = out.buffer.getvalue().decode('cp1252').splitlines()[1]
    assert second.split(',')[0] == str(zoo/'names'/'\\u30b7\\u30d0\\U0001f436_1.jpg')


def test_a_name_like_an_option(report, zoo, here, capfd, monkeypatch):
    monkeypatch.chdir(zoo/'names')
    for name in ('-rf_1.jpg', '--help_1.jpg'):
        code, out, err = run(capfd, report, '--', name, command=main_predict)
        assert code == 0 and out.splitlines()[1].startswith(name+',')
        assert run(capfd, report, name, command=main_predict)[0] == 2


@pytest.mark.parametrize('name', [
    'UTF-16', 'two columns label', 'an enormous header', 'only NUL', 'an enormous path',
    'a path over two lines', 'a pipe', 'escape codes in the header', 'escape codes in a path'])
def test_the_command_refuses_a_bad_table(name, drawn, here, capfd):
    Path('t.csv').write_bytes(BAD[name][0])
    code, out, err = run(capfd, '--path', drawn, '--labels', 't.csv', *QUICK)
    assert code == 2 and len(err.strip().splitlines()) == 1 and len(err) < 1000, err
    assert re.search(BAD[name][1].replace('1 of 3', '3 of 3'), err.strip()), err
    assert os.listdir() == ['t.csv']


# Names

@pytest.mark.parametrize('name', NAMES)
def test_names(name, zoo, plans):
    file, label = zoo/'names'/name, NAMES[name]
    if not os.path.lexists(file): pytest.skip('no such name on this system')
    assert file in find_photos(zoo) and folder_label(file) == 'names'
    if label is None and '\udcff' not in name:
        with pytest.raises(ValueError, match='no breed') as e: name_label(file)
        assert repr(name) in str(e.value)
    elif label is not None: assert name_label(file) == label
    assert check_photos([file], progress=False).problem.tolist() == (['odd name'] if '\udcff' in name else [])
    row = pd.DataFrame(dict(file=[file], label=['pug']))
    assert plans['table'].test_dl(row, with_labels=True).one_batch()[1] == 2
    assert stratified_split([file, zoo/FILES['JPEG quality']], ['pug', 'pug']) in (([0], [1]), ([1], [0]))


def test_names_in_a_table(zoo, tmp_path):
    good = [n for n in NAMES if NAMES[n] and os.path.lexists(zoo/'names'/n)]
    rows = pd.DataFrame(dict(file=good, breed=[NAMES[n] for n in good]))
    rows.to_csv(tmp_path/'t.csv', index=False, quoting=csv.QUOTE_ALL)
    slashes = 'back\\slash_1.jpg' # a backslash is a slash in a table, as Windows writes it
    with pytest.raises(FileNotFoundError, match=f'1 of {len(good)} photos'):
        photo_table(zoo/'names', tmp_path/'t.csv')
    table = photo_table(zoo/'names', pd.read_csv(tmp_path/'t.csv', keep_default_na=False)[lambda t: t.file != slashes])
    assert [f.name for f in table.file] == [n for n in good if n != slashes]
    assert table.label.tolist() == [name_label(f).strip() for f in table.file]


def test_twins_that_are_written_in_two_ways_are_one_breed(tmp_path):
    by_name, by_folder = tmp_path/'by_name', tmp_path/'by_folder'
    for i, form in enumerate(('NFC', 'NFD')):
        for label in ('bébé', 'pug'):
            label = unicodedata.normalize(form, label)
            for file in (by_name/f'{label}_{i}.jpg', by_folder/label/f'{i}.jpg'):
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(JPEG+str(file).encode())
    rows = pd.DataFrame([(f.name, f.name.partition('_')[0]) for f in find_photos(by_name)], columns=['file', 'label'])
    assert rows.label.nunique() == 3
    for table in (photo_table(by_name), photo_table(by_folder, 'folder'), photo_table(by_name, rows)):
        assert set(table.label) == {'bébé', 'pug'}
        assert set(check_photos(table, progress=False).problem) == {'two labels'} # it is one picture, in odd bytes


def test_spellings_that_look_alike_are_listed(tmp_path):
    for i, label in enumerate(['pug', 'pug', 'Pug', 'pug ', 'beagle']):
        (tmp_path/f'{label}_{i}.jpg').write_bytes(JPEG+b' '*i)
    bad = check_photos(tmp_path, progress=False)
    odd = bad[bad.problem == 'other spelling']
    assert odd.detail.tolist() == ["'Pug' is mostly spelled 'pug'"]
    assert set(bad.problem) == {'other spelling', 'two labels'} # the picture is the same


# Folders

def test_a_folder_named_like_a_photo(drawn, tmp_path, report, here, capfd):
    shutil.copytree(drawn/'images', tmp_path/'pets'/'x_1.jpg')
    assert len(find_photos(tmp_path/'pets')) == 40 and len(photo_table(tmp_path/'pets')) == 40
    for f in (read_photo, photo_bytes, StockPhoto.create):
        with pytest.raises(OSError, match='x_1.jpg'): f(tmp_path/'pets'/'x_1.jpg')
    assert check_photos([tmp_path/'pets'/'x_1.jpg'], progress=False).problem.tolist() == ['unreadable']
    code, out, err = run(capfd, report, 'pets/x_1.jpg', command=main_predict)
    assert code == 0 and len(out.splitlines()) == 41


def test_each_folder_comes_once(tmp_path):
    "With links up, sideways, to themselves and to nowhere; ten folders that link to each other have millions of paths"
    for i in range(10):
        (tmp_path/'pets'/f'{i}').mkdir(parents=True)
        (tmp_path/'pets'/f'{i}'/f'pug_{i}.jpg').write_bytes(JPEG)
        for j in range(10): (tmp_path/'pets'/f'{i}'/f'to_{j}').symlink_to(f'../{j}')
    links = dict(up='..', here='.', nowhere='none', itself='itself', a=str(tmp_path/'pets'/'5'), other='../other')
    for name, to in links.items(): (tmp_path/'pets'/name).symlink_to(to)
    (tmp_path/'other').mkdir()
    (tmp_path/'other'/'pug_99.jpg').write_bytes(JPEG)
    (tmp_path/'other'/'back').symlink_to('../pets')
    found = [f.relative_to(tmp_path/'pets').as_posix() for f in find_photos(tmp_path/'pets')]
    assert found == [f'{i}/pug_{i}.jpg' for i in range(10)]+['other/pug_99.jpg']
    (tmp_path/'linked').symlink_to('pets')
    assert len(find_photos(tmp_path/'linked')) == 11


@contextlib.contextmanager
def nobody():
    "Be somebody else than root for a while, who may read everything"
    root = hasattr(os, 'geteuid') and os.geteuid() == 0
    if root: os.seteuid(65534)
    try: yield
    finally:
        if root: os.seteuid(0)


def test_no_permission(drawn, report):
    with tempfile.TemporaryDirectory() as tmp: # pytest's own folder is closed to others
        pets = Path(shutil.copytree(drawn/'images', Path(tmp)/'pets'))
        shutil.copytree(drawn/'images', pets/'closed')
        locked, tables = pets/'pug_1.jpg', Path(tmp)/'t.csv'
        tables.write_text('file,label\nclosed/pug_1.jpg,pug\npug_2.jpg,pug\n')
        for p in (Path(tmp), pets): p.chmod(0o755)
        for p in (locked, pets/'closed'): p.chmod(0)
        try:
            with nobody():
                with pytest.warns(UserWarning, match='closed is left out: Permission denied'):
                    files = find_photos(pets)
                assert len(files) == 40
                bad = check_photos(files, progress=False)
                assert bad.drop(columns='usable').values.tolist() == [[locked, 'unreadable', 'Permission denied']]
                for f in (read_photo, StockPhoto.create, lambda f: cache_photos([f], folder=tmp)):
                    with pytest.raises(PermissionError, match='pug_1.jpg'): f(locked)
                with pytest.raises(FileNotFoundError, match='1 of 2 photos'): photo_table(pets, tables)
        finally:
            for p in (locked, pets/'closed'): p.chmod(0o755)


# What changes meanwhile

SPOILED = {'gone': lambda f: f.unlink(), 'cut off': lambda f: f.write_bytes(f.read_bytes()[:3000]),
           'empty': lambda f: f.write_bytes(b''), 'another': lambda f: Image.new('RGB', (90, 70), 'red').save(f, 'PNG'),
           'a pipe': lambda f: f.unlink() or os.mkfifo(f), 'a folder': lambda f: f.unlink() or f.mkdir()}


@pytest.mark.parametrize('how', SPOILED)
@pytest.mark.parametrize('way', ['composed', 'stock', 'cached'])
def test_a_photo_that_changes_after_the_first_epoch(way, how, drawn, tmp_path):
    pets = Path(shutil.copytree(drawn/'images', tmp_path/'pets'))
    dls = pets_dls(pets, bs=4, item=64, size=32, num_workers=0, presize='stock' if way == 'stock' else 'composed',
                   cache=tmp_path/'cache' if way == 'cached' else False)
    n = sum(len(x) for dl in dls for x, _ in dl)
    spoiled = dls.valid.items[3]
    SPOILED[how](spoiled)
    if how == 'another':
        assert sum(len(x) for dl in dls for x, _ in dl) == n
        x, y = dls.test_dl([spoiled], with_labels=True).one_batch()
        assert (x-x.new_tensor([1, 0, 0])[:, None, None]).abs().max() < .01 and dls.vocab[y[0]] == name_label(spoiled)
    else:
        with pytest.raises((OSError, ValueError), match=spoiled.name): [x for dl in dls for x, _ in dl]


@pytest.mark.parametrize('when, words', [
    ('checked', ''), ('in batches', ''), ('in batches', '--presize stock'), ('in batches', '--cache')])
def test_a_photo_that_vanishes_while_the_command_runs(when, words, drawn, here, capfd, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(here/'cache'))
    pets = Path(shutil.copytree(drawn/'images', here/'pets'))
    owner, name = dict(checked=(of_folders, 'look_at')).get(when, (Run, 'data'))
    before = getattr(owner, name)
    def then_it_vanishes(*args, **kwargs):
        result = before(*args, **kwargs)
        (pets/'pug_3.jpg').unlink()
        return result
    monkeypatch.setattr(owner, name, then_it_vanishes)
    code, out, err = run(capfd, '--path', pets, *QUICK, *words.split())
    assert code == 2 and len(err.strip().splitlines()) == 1 and 'pug_3.jpg' in err and not Path('report').exists(), err
