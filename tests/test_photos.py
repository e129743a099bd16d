"Photos are found, read upright and checked; what each file in a folder may be is in test_bad_photos."
import io
import os
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageOps

from pet_breeds import photos
from pet_breeds.data import photo_table
from pet_breeds.photos import check_photos, find_photos, left_out, photo_top, photos_in, read_photo, shape_of


def photo(path, color=0, size=(40, 40), mode='RGB', **kw):
    "A photo in one color, but for its first pixel"
    path.parent.mkdir(parents=True, exist_ok=True)
    im = Image.new(mode, size)
    im.putpixel((0, 0), color if mode == 'L' else (color % 256, color // 256, 0)+(0,)*(len(mode)-3))
    im.save(path, kw.pop('format', 'PNG'), **kw)
    return path


def turned(turn):
    exif = Image.Exif()
    exif[0x0112] = turn
    return exif


# Finding

def test_find_photos(tmp_path):
    for f in ['b/2.JPG', 'b/10.jpeg', 'a.webp', '.hidden.jpg', '.git/x.jpg', 'b/._2.jpg', 'c.mat', 'labels.csv', 'jpg']:
        (tmp_path/f).parent.mkdir(exist_ok=True)
        (tmp_path/f).touch()
    assert [f.relative_to(tmp_path).as_posix() for f in find_photos(tmp_path)] == ['a.webp', 'b/10.jpeg', 'b/2.JPG']
    assert find_photos(str(tmp_path)) == find_photos(tmp_path) == photos_in(tmp_path)
    assert photo_top(tmp_path) == tmp_path
    photo(tmp_path/'images'/'x.png')
    assert [f.name for f in find_photos(tmp_path)] == ['x.png'] and photo_top(str(tmp_path)) == tmp_path/'images'


def test_photos_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    photo(tmp_path/'pets'/'images'/'x.png')
    assert find_photos('~/pets') == photos_in('~/pets') == [tmp_path/'pets'/'images'/'x.png']
    assert photo_top('~/pets') == tmp_path/'pets'/'images'
    assert check_photos('~/pets', progress=False).problem.tolist() == ['no label']


@pytest.mark.parametrize('path, error, says', [
    ('', ValueError, 'expected a path, got nothing'), ('~nobody-at-all', ValueError, 'there is no such user'),
    ('none', FileNotFoundError, "no such folder: 'none'"), ('notes.txt', NotADirectoryError, "'notes.txt' is a file"),
    ('.', ValueError, r"no photos in '\.': expected files ending in \.jpg"),
    ('\x1b[31m', FileNotFoundError, r"no such folder: '\\x1b\[31m'")])
def test_find_photos_says_why_there_are_none(path, error, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path/'notes.txt').touch()
    with pytest.raises(error, match=says) as e: find_photos(path)
    assert str(e.value).isprintable()


def test_photos_in_gives_none_where_there_are_none(tmp_path):
    (tmp_path/'notes.txt').touch()
    for path in (tmp_path, tmp_path/'none', tmp_path/'notes.txt'): assert photos_in(path) == []


@pytest.mark.skipif(not hasattr(os, 'geteuid') or os.geteuid() == 0, reason='root may open every folder')
def test_a_closed_folder_is_named_in_a_line(tmp_path):
    (tmp_path/'a\x1b[31m').mkdir(mode=0)
    with pytest.warns(UserWarning, match=r'a\\x1b\[31m is left out: Permission denied'): photos_in(tmp_path)


# What looks like a photo and is none that is read here

@pytest.fixture
def without_heic(monkeypatch):
    "Pillow as it is where pillow-heif is not installed"
    Image.init()
    monkeypatch.setattr(Image, 'ID', [kind for kind in Image.ID if kind != 'HEIF'])
    monkeypatch.setattr(Image, 'EXTENSION', {s: kind for s, kind in Image.EXTENSION.items() if kind != 'HEIF'})


@pytest.fixture
def without_avif(monkeypatch):
    Image.init()
    monkeypatch.setattr(Image, 'EXTENSION', {s: kind for s, kind in Image.EXTENSION.items() if kind != 'AVIF'})


def heic(size=(64, 48)):
    "A photo as a telephone writes it, or as much of one as can be made without pillow-heif"
    file = io.BytesIO()
    Image.linear_gradient('L').resize(size).convert('RGB').save(file, 'HEIF', quality=90)
    return file.getvalue()


OTHER = ['heic', 'HEIF', 'jxl', 'raw', 'cr2', 'CR3', 'nef', 'arw', 'dng', 'svg', 'psd']


@pytest.mark.parametrize('where', ['', 'images/', 'pug/', 'images/pug/'])
def test_files_of_other_kinds_are_listed(where, tmp_path, without_heic):
    photo(tmp_path/f'{where}pug_0.png')
    others = [tmp_path/f'{where}pug_{i}.{suffix}' for i, suffix in enumerate(OTHER, 1)]
    for f in [*others, tmp_path/f'{where}.pug_99.heic', tmp_path/f'{where}notes.txt', tmp_path/f'{where}pug_1.mat']: f.touch()
    left = left_out(tmp_path)
    assert sorted(left.file) == sorted(others) and set(left.problem) == {'other format'} and not left.usable.any()
    for f, detail in zip(left.file, left.detail):
        assert f.suffix.lower() in detail
        assert ('pip install pillow-heif' if f.suffix.lower() in ('.heic', '.heif') else 'JPEG or PNG') in detail
    assert [f.name for f in find_photos(tmp_path)] == ['pug_0.png']
    found = check_photos(tmp_path, progress=False)
    assert found.columns.equals(left.columns) and found[found.problem == 'other format'].reset_index(drop=True).equals(left)
    assert len(left_out(tmp_path/'none')) == 0


def test_what_lies_beside_images_is_found_if_asked_for(tmp_path):
    inside, beside, raw = photo(tmp_path/'images'/'a.png'), photo(tmp_path/'b.png'), tmp_path/'c.nef'
    raw.touch()
    assert find_photos(tmp_path) == photos_in(tmp_path) == [inside] and len(left_out(tmp_path)) == 0
    assert find_photos(tmp_path, images=False) == photos_in(tmp_path, images=False) == [beside, inside]
    assert left_out(tmp_path, images=False).file.tolist() == [raw]


def test_a_folder_of_nothing_else_says_what_to_do(tmp_path, without_heic):
    for i in range(60): (tmp_path/f'IMG_{i}.HEIC').touch()
    with pytest.raises(ValueError, match='holds 60 files of another kind: .heic is not read: pip install pillow-heif'):
        find_photos(tmp_path)


def test_avif_is_listed_where_pillow_cannot_read_it(tmp_path, without_avif):
    (tmp_path/'pug_1.avif').touch(), photo(tmp_path/'pug_2.png')
    assert [f.name for f in find_photos(tmp_path)] == ['pug_2.png']
    assert left_out(tmp_path).detail.tolist() == ['.avif is not read: save it as JPEG or PNG']


HEADS = [b'heic', b'heix', b'mif1', b'msf1', b'hevc']


@pytest.mark.parametrize('head', HEADS)
@pytest.mark.parametrize('name', ['a.heic', 'a.jpg'])
def test_a_heic_file_says_what_to_install(head, name, tmp_path, without_heic):
    "Whatever it is called"
    (tmp_path/name).write_bytes(b'\0\0\0\x18ftyp'+head+bytes(60))
    found = check_photos([tmp_path/name], progress=False)
    assert found.problem.tolist() == ['other format'] and 'pip install pillow-heif' in found.detail[0]
    with pytest.raises(ValueError, match=f'{name}.*it is HEIC: pip install pillow-heif'): read_photo(tmp_path/name)


@pytest.mark.parametrize('name', ['a/pug_1.heic', 'a/pug_1.HEIF', 'a/pug_1.jpg'])
def test_heic_is_read_where_it_can_be(name, tmp_path):
    pytest.importorskip('pillow_heif')
    photo(tmp_path/name).write_bytes(heic((100, 60)))
    wrong = ['wrong suffix'] if name.endswith('jpg') else []
    assert find_photos(tmp_path) == [tmp_path/name] and len(left_out(tmp_path)) == 0
    assert check_photos([tmp_path/name], progress=False).problem.tolist() == wrong
    pixels = read_photo(tmp_path/name)
    assert pixels.shape == (60, 100, 3) and shape_of(tmp_path/name, 20) == [*read_photo(tmp_path/name, 20).shape]
    assert np.abs(pixels.astype(int)-np.asarray(Image.linear_gradient('L').resize((100, 60)).convert('RGB'))).mean() < 4


# Reading

RAMP = np.tile(np.arange(256, dtype=np.uint16), (40, 1))


@pytest.mark.parametrize('bits', [8, 12, 16])
@pytest.mark.parametrize('kind', ['png', 'tif', 'tif, big end', 'pgm', '32 bits'])
def test_the_bits_in_use_are_kept(bits, kind, tmp_path):
    "Files of 16 bits may hold 8 or 12; their upper 8 are nearly black"
    values, file = RAMP << (bits-8), tmp_path/f'a.{kind[:3] if kind != "32 bits" else "tif"}'
    values |= values >> 8 # the lower bits are in use too
    if kind == '32 bits': Image.fromarray(values.astype(np.int32)).save(file)
    elif kind == 'tif, big end': Image.frombytes('I;16B', (256, 40), values.astype('>u2').tobytes()).save(file)
    else: Image.fromarray(values).save(file)
    assert (read_photo(file) == RAMP[..., None]).all()
    assert check_photos([file], progress=False).usable.all()


@pytest.mark.parametrize('brightest, shown', [(1, 1), (255, 255), (256, 16), (1023, 63), (4095, 255), (4096, 16), (16383, 63), (65535, 255)])
def test_how_bright_16_bits_are(brightest, shown, tmp_path):
    Image.fromarray(np.full((40, 40), brightest, np.uint16)).save(tmp_path/'a.png')
    assert read_photo(tmp_path/'a.png').max() == shown


def deep_color(file, values):
    import cv2
    cv2.imwrite(str(file), values)
    return file


@pytest.mark.parametrize('channels', [3, 4])
@pytest.mark.parametrize('suffix', ['png', 'tif'])
def test_color_of_16_bits_that_is_black_is_refused(suffix, channels, tmp_path):
    "Pillow keeps the upper 8 bits; if 12 are in use, nothing is left to see"
    for bits in (8, 12, 14, 16):
        values = np.repeat(RAMP[..., None], channels, 2) << (bits-8)
        if channels == 4: values[..., 3] = 65535
        file = deep_color(tmp_path/f'{bits}.{suffix}', values)
        found = check_photos([file], progress=False)
        if bits < 14:
            assert found.problem.tolist() == ['damaged'] and '16 bits a color' in found.detail[0]
            with pytest.raises(ValueError, match=f'{bits}.{suffix}.*save it with 8'): read_photo(file)
        else: assert found.usable.all() and read_photo(file).max() >= 63

@pytest.mark.parametrize('kind', ['jpg', 'png'])
@pytest.mark.parametrize('turn', [1, 6])
def test_the_shape_is_known_from_the_head_of_the_file(kind, turn, tmp_path):
    "By either decoder, at every size near one where a photo is halved once more"
    file = tmp_path/f'x.{kind}'
    for short in (1, 40, 79, 80, 81, 159, 160, 319, 320, 639, 640, 641):
        for size in ((short, short), (short, 650), (651, short)):
            Image.new('L', size).save(file, exif=turned(turn))
            part = 1
            while min(size) >= 2*part*40: part *= 2
            width, height = size if turn == 1 else size[::-1]
            assert read_photo(file).shape == (height, width, 3) and shape_of(file) == [height, width, 3]
            assert shape_of(file, 40) == [-(-height//part), -(-width//part), 3] == [*read_photo(file, 40).shape], size


def test_without_an_item_a_photo_keeps_its_size(tmp_path):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (900, 1200, 3), dtype=np.uint8))
    noise.save(tmp_path/'x.png', exif=turned(3))
    assert (read_photo(tmp_path/'x.png') == np.asarray(ImageOps.exif_transpose(Image.open(tmp_path/'x.png')))).all()


def test_who_cannot_be_read_is_named(tmp_path):
    (tmp_path/'a\x1b[31m.jpg').write_bytes(b'no photo')
    for read in (read_photo, shape_of):
        with pytest.raises(ValueError, match=r'a\\x1b\[31m.jpg cannot be read as a photo: it is in no format') as e: read(tmp_path/'a\x1b[31m.jpg')
        assert str(e.value).isprintable()
        with pytest.raises(FileNotFoundError, match='none.jpg'): read(tmp_path/'none.jpg')
    os.mkfifo(tmp_path/'pipe.jpg')
    for read in (read_photo, shape_of):
        with pytest.raises(OSError, match='not a plain file.*pipe.jpg'): read(tmp_path/'pipe.jpg')


def test_a_full_memory_is_not_called_a_bad_photo(tmp_path, monkeypatch):
    def full(*args): raise MemoryError
    photo(tmp_path/'pug_1.png')
    monkeypatch.setattr(photos, 'photo_pixels', full)
    with pytest.raises(MemoryError, match='pug_1.png: the memory is full'): read_photo(tmp_path/'pug_1.png')
    with pytest.raises(MemoryError): check_photos(tmp_path, n_workers=0, progress=False)


# Checking

FOUND = { # the problem, and whether the photo can be used
    'a_2.jpg': ('wrong suffix', True), 'a_3.png': ('odd mode', True), 'a_4.jpg': ('odd mode', True),
    'a_5.jpg': ('odd mode', True), 'a_6.jpg': ('turned', True), 'a_7.png': ('too small', False),
    'a_8.png': ('truncated', False), 'a_9.png': ('empty', False), 'a_10.png': ('not an image', False),
    'a_11.png': ('duplicate', True), 'b_1.png': ('two labels', True), 'c_1.png': ('two labels', True),
    'D_3.png': ('other spelling', True), 'x/a_1.png': ('same name', True), 'holiday.PNG': ('no label', False)}


def test_check_photos_finds_what_is_wrong(tmp_path):
    good = photo(tmp_path/'a_1.png', 1)
    photo(tmp_path/'a_2.jpg', 2)
    photo(tmp_path/'a_3.png', 3, mode='RGBA')
    photo(tmp_path/'a_4.jpg', 4, mode='L', format='JPEG')
    photo(tmp_path/'a_5.jpg', 5, mode='CMYK', format='JPEG')
    photo(tmp_path/'a_6.jpg', 6, format='JPEG', exif=turned(6))
    photo(tmp_path/'a_7.png', 7, size=(31, 400))
    (tmp_path/'a_8.png').write_bytes(good.read_bytes()[:-30])
    (tmp_path/'a_9.png').touch()
    (tmp_path/'a_10.png').write_bytes(b'GIF? no.')
    shutil.copy(good, tmp_path/'a_11.png')
    photo(tmp_path/'b_1.png', 21)
    shutil.copy(tmp_path/'b_1.png', tmp_path/'c_1.png')
    photo(tmp_path/'d_1.png', 22), photo(tmp_path/'d_2.png', 23), photo(tmp_path/'D_3.png', 24)
    photo(tmp_path/'x'/'a_1.png', 25)
    photo(tmp_path/'holiday.PNG', 26)
    bad = check_photos(tmp_path, progress=False)
    found = {f.relative_to(tmp_path).as_posix(): (p, u) for f, p, u in zip(bad.file, bad.problem, bad.usable)}
    assert found == FOUND and len(bad) == len(FOUND)
    order = find_photos(tmp_path)
    assert [order.index(f) for f in bad.file] == sorted(order.index(f) for f in bad.file)
    for n in (0, 1, 4): assert check_photos(tmp_path, n_workers=n, progress=False).equals(bad)
    assert 'too small' not in set(check_photos(tmp_path, min_side=20, progress=False).problem)


@pytest.mark.parametrize('data, said', [(b'<html>\n not found', 'begins with the text "<html> not found"'), (b'x'*999, f'begins with the text "{"x"*20}"'),
                                        (bytes(range(9)), 'begins with the bytes 00 01 02 03 04 05 06 07'),
                                        (b'\x1b[2Jhello', 'begins with the bytes 1b 5b 32 4a 68 65 6c 6c')])
def test_a_file_that_is_no_image_says_how_it_begins(tmp_path, data, said):
    (tmp_path/'pug_1.jpg').write_bytes(data)
    [detail] = check_photos(tmp_path, n_workers=0, progress=False).detail
    assert detail == said


@pytest.mark.parametrize('turn', [1, 6])
@pytest.mark.parametrize('size, share', [
    ((100, 100), None), ((199, 100), None), ((200, 100), '50%'), ((100, 200), '50%'), ((1000, 300), '30%'), ((40, 9000), '0.44%'),
    ((31, 400), None)])
def test_a_photo_that_is_far_from_square_is_named(size, share, turn, tmp_path):
    "Also a turned one; one that is too small is left out anyway"
    photo(tmp_path/'a_1.png', 1, size=size, exif=turned(turn))
    bad = check_photos(tmp_path, progress=False)
    found = bad[bad.problem == 'cut off']
    want = f'{size[0]} x {size[1]} pixels: only the middle {share} is looked at in validation; --fit pad or squish takes all of it'
    assert found.detail.tolist() == ([want] if share else []) and found.usable.all()
    assert ('too small' in set(bad.problem)) == (min(size) < 32)


def test_copies_are_found_in_any_order(tmp_path):
    "Of equal photos all but the first are duplicates; if two labels differ, every one of them is in doubt"
    files = [photo(tmp_path/f'{i}.png', color) for i, color in enumerate([1, 2, 1, 1, 2, 3])]
    def problems(labels):
        bad = check_photos(pd.DataFrame(dict(file=files, label=labels)), progress=False)
        return {int(f.stem): (p, d[-3:]) for f, p, d in zip(bad.file, bad.problem, bad.detail)}
    same = {2: ('duplicate', 'png'), 3: ('duplicate', 'png'), 4: ('duplicate', 'png')}
    assert problems(list('aaaaaa')) == same
    one, two = {i: ('two labels', "'b'") for i in (0, 2)}, {3: ('two labels', "'a'")}
    assert problems(list('aaabaa')) == {**one, **two, 4: ('duplicate', 'png')}
    assert problems(list('baabaa')) == {0: ('two labels', "'a'"), 2: ('two labels', "'b'"),
                                        3: ('two labels', "'a'"), 4: ('duplicate', 'png')}


def test_what_is_said_of_odd_names_is_printable(tmp_path):
    for i, name in enumerate(['a\x1b[31m_1.png', 'A\x1b[31m_2.png', 'pug_\u202e.png', 'b_1.png', 'x/b_1.png']):
        photo(tmp_path/name, i//2)
    bad = check_photos(tmp_path, progress=False)
    assert {'two labels', 'duplicate', 'other spelling', 'no label', 'same name'} == set(bad.problem) and bad.detail.map(str.isprintable).all()


def test_check_photos_of_a_table_and_of_a_list(tmp_path):
    for i, name in enumerate(['a_0', 'a_1', 'b_0', 'b_1', 'holiday']): photo(tmp_path/f'{name}.png', i)
    (tmp_path/'a_0.png').write_bytes(b'')
    t, holiday = photo_table(tmp_path), tmp_path/'holiday.png'
    bad = check_photos(t, progress=False)
    assert bad[['file', 'problem', 'usable']].values.tolist() == [
        [tmp_path/'a_0.png', 'empty', False], [holiday, 'no label', False]]
    assert check_photos(t.file, progress=False).problem.tolist() == ['empty']
    gone = check_photos([holiday, str(tmp_path/'gone.png')], progress=False)
    assert gone[['problem', 'usable']].values.tolist() == [['unreadable', False]]
    clean = check_photos([holiday], progress=False)
    assert clean.columns.tolist() == ['file', 'problem', 'detail', 'usable']
    assert len(clean) == 0 and clean.usable.dtype == bool


def test_what_is_called_usable_can_be_read_and_the_rest_cannot(tmp_path):
    from pet_breeds.drawn import draw_pets
    pets = draw_pets(tmp_path/'p', n_per_breed=2, breeds=['pug', 'beagle', 'Bengal'], dirt=True, progress=False)
    files = find_photos(pets)
    bad = check_photos(files, progress=False)
    assert set(bad.problem[~bad.usable]) == {'truncated', 'empty', 'too small'}
    for f in set(files) - set(bad.file[~bad.usable]): assert read_photo(f).shape[2] == 3
    for f in bad.file[bad.problem.isin(['truncated', 'empty'])]:
        with pytest.raises(ValueError, match=f.name): read_photo(f)


def test_real_photos_are_fine(shared):
    files = find_photos(shared/'pets')
    assert len(files) == 259 and check_photos(files, progress=False).usable.all()
