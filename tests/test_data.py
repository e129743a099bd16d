"Photos from every source, labelled, checked and split; the download against a server that misbehaves."
import gzip
import io
import itertools
import os
import shutil
import tarfile
import threading
import time
import unicodedata
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import urlopen

import pandas as pd
import pytest
from fastdownload.core import path_stats
from PIL import Image

from pet_breeds import data
from pet_breeds.data import (StratifiedSplitter, check_photos, download, download_pets, find_photos, folder_block, get_pets, is_drawn,
                             pets_block, photo_table, stratified_split, table_block)
from pet_breeds.labels import name_label


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


# Finding

def test_find_photos(tmp_path):
    for f in ['b/2.JPG', 'b/10.jpeg', 'a.webp', '.hidden.jpg', '.git/x.jpg', 'b/._2.jpg', 'c.mat', 'labels.csv', 'jpg']:
        (tmp_path/f).parent.mkdir(exist_ok=True)
        (tmp_path/f).touch()
    assert [f.relative_to(tmp_path).as_posix() for f in find_photos(tmp_path)] == ['a.webp', 'b/10.jpeg', 'b/2.JPG']
    assert find_photos(str(tmp_path)) == find_photos(tmp_path)
    photo(tmp_path/'images'/'x.png')
    assert [f.name for f in find_photos(tmp_path)] == ['x.png']


def test_find_photos_says_why_there_are_none(tmp_path):
    (tmp_path/'notes.txt').touch()
    with pytest.raises(ValueError, match='no photos'): find_photos(tmp_path)
    with pytest.raises(FileNotFoundError, match='no such folder'): find_photos(tmp_path/'none')
    with pytest.raises(NotADirectoryError, match='is a file'): find_photos(tmp_path/'notes.txt')


def test_auto_prefers_real_photos_and_never_downloads(tmp_path, monkeypatch):
    monkeypatch.setattr(data, 'urlopen', lambda *a, **k: pytest.fail('asked the network'))
    drawn = get_pets(data=tmp_path, n_per_breed=1, progress=False)
    assert is_drawn(drawn) and is_drawn(drawn/'images') and len(find_photos(drawn)) == 37
    assert get_pets('drawn', data=tmp_path, n_per_breed=1) == drawn != get_pets('drawn', data=tmp_path, n_per_breed=1, seed=1, progress=False)
    (tmp_path/'oxford-iiit-pet'/'images').mkdir(parents=True)
    assert get_pets(data=tmp_path, n_per_breed=1) == drawn
    photo(tmp_path/'oxford-iiit-pet'/'images'/'pug_1.png')
    assert get_pets(data=tmp_path) == tmp_path/'oxford-iiit-pet' == get_pets('full', data=tmp_path)
    assert get_pets('drawn', data=tmp_path, n_per_breed=1) == drawn
    assert not is_drawn(tmp_path/'oxford-iiit-pet')


def test_without_a_folder_fastais_is_used(tmp_path, monkeypatch):
    monkeypatch.setattr(data, 'fastai_path', lambda what: tmp_path/what)
    assert get_pets(n_per_breed=1, progress=False).parent == tmp_path/'data'
    photo(tmp_path/'data'/'oxford-iiit-pet'/'images'/'pug_1.png')
    assert get_pets() == get_pets('full') == tmp_path/'data'/'oxford-iiit-pet'


def test_a_folder_of_ones_own(many, tmp_path):
    assert get_pets(many) == get_pets(str(many)) == many and not is_drawn(many)
    with pytest.raises(ValueError, match='no photos'): get_pets(tmp_path)
    with pytest.raises(FileNotFoundError, match="'fulll'"): get_pets('fulll')


# Downloading

class Server(ThreadingHTTPServer):
    "Serves `content`; cuts each answer after `cut` bytes, ignores ranges unless `ranges`, and notes what was asked. `head` changes headers, `more` comes after the content."
    daemon_threads, hung_up = True, False
    def __init__(self, content, cut=None, ranges=True, code=None, head=None, more=tuple):
        self.content, self.cut, self.ranges, self.code, self.head, self.more, self.asked = content, cut, ranges, code, head or {}, more, []
        super().__init__(('127.0.0.1', 0), Answer)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f'http://127.0.0.1:{self.server_port}/oxford-iiit-pet.tgz'


class Answer(BaseHTTPRequestHandler):
    def log_message(self, *args): pass

    def do_GET(self):
        s = self.server
        s.asked.append(self.headers.get('Range'))
        start = int(s.asked[-1].split('=')[1].rstrip('-')) if s.asked[-1] and s.ranges else 0
        body = s.content[start:]
        self.send_response(s.code or (206 if start else 200))
        head = {'Content-Length': len(body), **({'Content-Range': f'bytes {start}-{len(s.content)-1}/{len(s.content)}'} if start else {}), **s.head}
        for name, value in head.items():
            if value is not None: self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(body[:s.cut])
            for piece in s.more(): self.wfile.write(piece)
        except OSError: s.hung_up = True
        self.close_connection = True


@pytest.fixture
def serve():
    servers = []
    def start(*args, **kw):
        servers.append(Server(*args, **kw))
        return servers[-1]
    yield start
    for s in servers: s.shutdown(); s.server_close()


content = bytes(range(256))*8000


@pytest.fixture
def check(tmp_path):
    (tmp_path/'whole').write_bytes(content)
    return path_stats(tmp_path/'whole')


def test_download(tmp_path, serve, check):
    server = serve(content)
    assert download(server.url, tmp_path/'new'/'f', *check, progress=False).read_bytes() == content
    assert server.asked == [None] and [f.name for f in (tmp_path/'new').iterdir()] == ['f']


def test_download_shows_progress(tmp_path, serve, check, capsys):
    download(serve(content, cut=10**6).url, tmp_path/'f', *check)
    assert '100' in capsys.readouterr().out


def test_a_connection_that_breaks_is_taken_up_again(tmp_path, serve, check):
    server = serve(content, cut=900_000)
    assert download(server.url, tmp_path/'f', *check, progress=False).read_bytes() == content
    assert server.asked == [None, 'bytes=900000-', 'bytes=1800000-']


def test_a_broken_download_keeps_what_came_for_the_next_run(tmp_path, serve, check):
    dead = serve(content, code=503)
    (tmp_path/'f.part').write_bytes(content[:5000])
    with pytest.raises(OSError, match='5,000 of 2,048,000 bytes came .*503.* run it again'): download(dead.url, tmp_path/'f', *check, progress=False)
    assert not (tmp_path/'f').exists() and (tmp_path/'f.part').read_bytes() == content[:5000]
    server = serve(content)
    assert download(server.url, tmp_path/'f', *check, progress=False).read_bytes() == content
    assert server.asked == ['bytes=5000-']


def test_a_server_without_ranges_starts_from_the_front(tmp_path, serve, check):
    (tmp_path/'f.part').write_bytes(b'x'*5000)
    assert download(serve(content, ranges=False).url, tmp_path/'f', *check, progress=False).read_bytes() == content


def test_a_server_without_ranges_that_always_breaks_comes_to_an_end(tmp_path, serve, check):
    server = serve(content, ranges=False, cut=900_000)
    with pytest.raises(OSError, match='900,000 of 2,048,000'): download(server.url, tmp_path/'f', *check, progress=False)
    assert len(server.asked) == 2


def test_another_file_is_refused_and_removed(tmp_path, serve, check):
    with pytest.raises(ValueError, match='not the file expected'): download(serve(b'x'*len(content)).url, tmp_path/'f', *check, progress=False)
    with pytest.raises(ValueError, match='not the file expected'): download(serve(content+b'x', head={'Content-Length': None}).url, tmp_path/'f', *check, progress=False)
    assert [f.name for f in tmp_path.iterdir()] == ['whole']


PAGE = b'<html>Please log in to this hotel</html>'
STRANGE = {
    'a page': dict(content=PAGE, ranges=False), 'a page with a range': dict(content=PAGE*100), 'too long': dict(content=content+b'x', ranges=False), 'gzip': dict(content=gzip.compress(content), ranges=False, head={'Content-Encoding': 'gzip'}),
    'another part': dict(content=content, head={'Content-Range': f'bytes 0-{len(content)-1}/{len(content)}'}), 'part of another file': dict(content=content+b'x'), 'a part, it says not which': dict(content=content, head={'Content-Range': None}),
    'a part that is none': dict(content=content, head={'Content-Range': 'lots'}), 'no range of it': dict(content=content, code=416), 'refused': dict(content=PAGE, code=403)}


@pytest.mark.parametrize('what', STRANGE)
def test_a_strange_answer_is_not_taken(what, tmp_path, serve, check):
    "It does not touch what came before, and a good server goes on from there"
    server, good = serve(**STRANGE[what]), serve(content)
    (tmp_path/'f').write_bytes(b'old')
    (tmp_path/'f.part').write_bytes(content[:5000])
    with pytest.raises(OSError, match='5,000 of 2,048,000 bytes came .*run it again') as e: download(server.url, tmp_path/'f', *check, progress=False)
    assert str(e.value).isprintable() and (tmp_path/'f').read_bytes() == b'old' and (tmp_path/'f.part').read_bytes() == content[:5000]
    assert server.asked == ['bytes=5000-'] and download(good.url, tmp_path/'f', *check, progress=False).read_bytes() == content
    assert good.asked == ['bytes=5000-']


def test_a_server_that_never_ends(tmp_path, serve, check):
    "No more is taken than one piece beyond what is expected"
    server = serve(content, head={'Content-Length': None}, more=lambda: itertools.repeat(b'x'*2**18))
    with pytest.raises(ValueError, match='was deleted'): download(server.url, tmp_path/'f', *check, progress=False)
    until = time.time()+10
    while not server.hung_up and time.time() < until: time.sleep(.02)
    assert server.hung_up and [f.name for f in tmp_path.iterdir()] == ['whole']


def test_a_server_that_falls_silent_is_asked_again_and_a_slow_one_is_waited_for(tmp_path, serve, check, monkeypatch):
    "After half a second here, after 30 else"
    monkeypatch.setattr(data, 'urlopen', lambda request, timeout: urlopen(request, timeout=timeout/60))
    def silence():
        time.sleep(1.5)
        yield b''
    def slowly():
        for i in range(0, len(content), 200_000):
            time.sleep(.1)
            yield content[i:i+200_000]
    server, slow = serve(content, cut=1_100_000, more=silence), serve(content, cut=0, more=slowly)
    assert download(server.url, tmp_path/'f', *check, progress=False).read_bytes() == content
    assert server.asked == [None, 'bytes=1100000-']
    assert download(slow.url, tmp_path/'g', *check, progress=False).read_bytes() == content and slow.asked == [None]


@pytest.mark.parametrize('to', ['file:///etc/hostname', 'data:text/plain,x', 'http://[', 'http://127.0.0.1:port/', '/again', 'http://127.0.0.1:9/'], ids=['a file', 'data', 'no address', 'no port', 'in circles', 'nobody'])
def test_a_redirection_that_leads_nowhere(to, tmp_path, serve, check):
    server = serve(b'', code=302, head={'Location': to})
    with pytest.raises(OSError, match='0 of 2,048,000 bytes came') as e: download(server.url, tmp_path/'f', *check, progress=False)
    assert str(e.value).isprintable() and not (tmp_path/'f').exists()


def test_a_redirection_to_another_server_is_followed_and_what_comes_is_checked(tmp_path, serve, check):
    right, wrong = serve(content), serve(b'x'*len(content))
    assert download(serve(b'', code=301, head={'Location': right.url}).url, tmp_path/'f', *check, progress=False).read_bytes() == content
    with pytest.raises(ValueError, match='not the file expected'): download(serve(b'', code=301, head={'Location': wrong.url}).url, tmp_path/'g', *check, progress=False)


def test_a_leftover_that_is_too_long_is_removed(tmp_path, serve, check):
    (tmp_path/'f.part').write_bytes(content*2)
    with pytest.raises(ValueError, match='was deleted'): download(serve(content).url, tmp_path/'f', *check, progress=False)
    assert download(serve(content).url, tmp_path/'f', *check, progress=False).read_bytes() == content


def test_no_server(tmp_path, check):
    with pytest.raises(OSError, match='0 of 2,048,000 bytes'): download('http://127.0.0.1:9/f', tmp_path/'f', *check, progress=False)


# Unpacking

def archive(path, members):
    with tarfile.open(path, 'w:gz') as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            else:
                info.type, info.linkname = content
                tar.addfile(info)
    return path


pets = {f'oxford-iiit-pet/images/pug_{i}.jpg': os.urandom(3000) for i in range(20)}


def fetch(tgz, to, serve, **kw):
    server = serve(tgz.read_bytes())
    return download_pets(to/'data', to/'archive', server.url, path_stats(tgz), progress=False, **kw), server


@pytest.fixture(params=['filter', 'no filter'])
def python(request, monkeypatch):
    "Pythons with and without the filters of tarfile."
    if request.param == 'no filter':
        monkeypatch.delattr(tarfile, 'data_filter')
        monkeypatch.setattr(tarfile.TarFile, 'extraction_filter', staticmethod(lambda m, path: m), raising=False)
    elif not hasattr(tarfile, 'data_filter'): pytest.skip('this Python has no tarfile filters')


def test_download_pets(tmp_path, serve, python):
    dest, server = fetch(archive(tmp_path/'x.tgz', pets), tmp_path, serve)
    assert dest == tmp_path/'data'/'oxford-iiit-pet' and {f'oxford-iiit-pet/images/{f.name}': f.read_bytes() for f in find_photos(dest)} == pets
    assert [p.name for p in (tmp_path/'data').iterdir()] == ['oxford-iiit-pet']
    assert download_pets(tmp_path/'data', tmp_path/'archive', server.url) == dest and len(server.asked) == 1
    shutil.rmtree(dest)
    assert fetch(tmp_path/'x.tgz', tmp_path, serve)[1].asked == []


@pytest.mark.parametrize('name, content', [
    ('../evil.jpg', b'x'), ('oxford-iiit-pet/../../evil.jpg', b'x'), ('oxford-iiit-pet/link', (tarfile.SYMTYPE, '../../..')),
    ('oxford-iiit-pet/link', (tarfile.LNKTYPE, '../../secret')), ('oxford-iiit-pet/pipe', (tarfile.FIFOTYPE, '')), ('oxford-iiit-pet/disk', (tarfile.BLKTYPE, '')), ('oxford-iiit-pet/tty', (tarfile.CHRTYPE, '')),
    ('oxford-iiit-pet/inside', (tarfile.SYMTYPE, 'images/pug_1.jpg')), ('oxford-iiit-pet/twin', (tarfile.LNKTYPE, 'oxford-iiit-pet/images/pug_1.jpg'))])
def test_an_archive_cannot_write_elsewhere(tmp_path, serve, python, name, content):
    with pytest.raises(ValueError, match='cannot unpack .* delete it'): fetch(archive(tmp_path/'x.tgz', pets | {name: content}), tmp_path, serve)
    assert list((tmp_path/'data').iterdir()) == [] and not (tmp_path/'evil.jpg').exists()


@pytest.mark.parametrize('damage', ['middle', 'checksum', 'end'])
def test_a_damaged_archive_leaves_nothing(tmp_path, serve, damage):
    raw = bytearray(archive(tmp_path/'x.tgz', pets).read_bytes())
    if damage == 'end': raw = raw[:-500]
    else: raw[len(raw)//2 if damage == 'middle' else -6] ^= 255
    (tmp_path/'x.tgz').write_bytes(raw)
    with pytest.raises(ValueError, match='cannot unpack'): fetch(tmp_path/'x.tgz', tmp_path, serve)
    assert list((tmp_path/'data').iterdir()) == []


@pytest.mark.parametrize('members', [{'readme.txt': b'x'}, {'oxford-iiit-pet': b'x'}, {'oxford-iiit-pet/images/readme.txt': b'x'}, {}], ids=['no folder', 'a file', 'no photo', 'nothing'])
def test_an_archive_without_photos(tmp_path, serve, members):
    with pytest.raises(ValueError, match='cannot unpack .* no photos'): fetch(archive(tmp_path/'x.tgz', members), tmp_path, serve)
    assert list((tmp_path/'data').iterdir()) == []


def bombs(top):
    "Archives of some hundred kilobytes"
    zeros = bytes(2**20)
    with gzip.open(top/'file.tgz', 'wb') as f, tarfile.open(fileobj=f, mode='w|') as tar:
        info = tarfile.TarInfo('oxford-iiit-pet/images/pug_1.jpg')
        info.size = 100*2**20
        tar.addfile(info, io.BytesIO(bytes(info.size)))
    with gzip.open(top/'name.tgz', 'wb') as f:
        info = tarfile.TarInfo('././@LongLink')
        info.type, info.size = tarfile.GNUTYPE_LONGNAME, 100*2**20
        f.write(info.tobuf())
        for _ in range(100): f.write(zeros)
    shutil.copy(archive(top/'few.tgz', pets), top/'tail.tgz')
    with open(top/'tail.tgz', 'ab') as f, gzip.GzipFile(fileobj=f, mode='wb') as more:
        for _ in range(100): more.write(zeros)
    sparse = tarfile.TarInfo('oxford-iiit-pet/images/pug_1.jpg')
    sparse.pax_headers = {'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.name': sparse.name, 'GNU.sparse.realsize': str(10**13)}
    body = b'0\n'.ljust(512, b'\0')
    sparse.size = len(body)
    with tarfile.open(top/'sparse.tgz', 'w:gz', format=tarfile.PAX_FORMAT) as tar: tar.addfile(sparse, io.BytesIO(body))
    return [top/f'{kind}.tgz' for kind in ('file', 'name', 'tail', 'sparse')]


def test_a_bomb_is_refused(tmp_path, serve, python):
    "Right in size and hash, and it would grow to gigabytes: refused before anything of it is on the disk"
    for tgz in bombs(tmp_path):
        assert tgz.stat().st_size < 400_000
        with pytest.raises(ValueError, match='cannot unpack .*(twice its own size|is a link)'): fetch(tgz, tmp_path, serve)
        assert list((tmp_path/'data').iterdir()) == []
        shutil.rmtree(tmp_path/'archive')


def test_nothing_old_is_lost(tmp_path, serve):
    "An archive that is another one stays until the right one has come whole; photos that are there are not asked about"
    tgz = archive(tmp_path/'x.tgz', pets)
    (tmp_path/'archive').mkdir()
    (tmp_path/'archive'/'oxford-iiit-pet.tgz').write_bytes(b'of last year')
    with pytest.raises(OSError, match='bytes came'): download_pets(tmp_path/'data', tmp_path/'archive', serve(PAGE).url, path_stats(tgz), progress=False)
    assert (tmp_path/'archive'/'oxford-iiit-pet.tgz').read_bytes() == b'of last year' and not (tmp_path/'data').exists()
    dest, _ = fetch(tgz, tmp_path, serve)
    assert (tmp_path/'archive'/'oxford-iiit-pet.tgz').read_bytes() == tgz.read_bytes()
    server = serve(PAGE)
    assert download_pets(tmp_path/'data', tmp_path/'archive', server.url, (1, ''), progress=False) == dest and server.asked == []


def test_a_folder_in_the_way_is_left_alone(tmp_path, serve):
    (tmp_path/'data'/'oxford-iiit-pet').mkdir(parents=True)
    with pytest.raises(FileExistsError, match='remove it'): fetch(archive(tmp_path/'x.tgz', pets), tmp_path, serve)


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


# Checking

def test_check_photos_finds_what_is_wrong(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    good = photo(tmp_path/'a_1.png', 1)
    photo(tmp_path/'a_2.jpg', 2)
    photo(tmp_path/'a_3.png', 3, mode='RGBA')
    photo(tmp_path/'a_4.jpg', 4, mode='L', format='JPEG')
    photo(tmp_path/'a_5.jpg', 5, mode='CMYK', format='JPEG')
    photo(tmp_path/'a_6.jpg', 6, format='JPEG', exif=exif)
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
    assert {(f.relative_to(tmp_path).as_posix(), p, u) for f, p, u in zip(bad.file, bad.problem, bad.usable)} == {
        ('a_2.jpg', 'wrong suffix', True), ('a_3.png', 'odd mode', True), ('a_4.jpg', 'odd mode', True), ('a_5.jpg', 'odd mode', True), ('a_6.jpg', 'turned', True),
        ('a_7.png', 'too small', False), ('a_8.png', 'truncated', False), ('a_9.png', 'empty', False), ('a_10.png', 'not an image', False),
        ('a_11.png', 'duplicate', True), ('b_1.png', 'mislabelled', True), ('c_1.png', 'mislabelled', True), ('D_3.png', 'mislabelled', True),
        ('x/a_1.png', 'same name', True), ('holiday.PNG', 'mislabelled', False)}
    order = find_photos(tmp_path)
    assert [order.index(f) for f in bad.file] == sorted(order.index(f) for f in bad.file)
    for n in (0, 1, 4): assert check_photos(tmp_path, n_workers=n, progress=False).equals(bad)
    assert check_photos(tmp_path, min_side=20, progress=False).problem.tolist().count('too small') == 0


def test_check_photos_of_a_table_and_of_a_list(many, tmp_path):
    shutil.copytree(many, tmp_path, dirs_exist_ok=True)
    photo(tmp_path/'holiday.png')
    (tmp_path/'a_0.png').write_bytes(b'')
    t = photo_table(tmp_path)
    bad = check_photos(t, progress=False)
    assert bad[['problem', 'usable']].values.tolist() == [['empty', False], ['mislabelled', False]] and bad.file.tolist() == [tmp_path/'a_0.png', tmp_path/'holiday.png']
    assert check_photos(t.file, progress=False).problem.tolist() == ['empty']
    assert check_photos([tmp_path/'holiday.png', str(tmp_path/'gone.png')], progress=False)[['problem', 'usable']].values.tolist() == [['unreadable', False]]
    clean = check_photos([tmp_path/'holiday.png'], progress=False)
    assert clean.columns.tolist() == ['file', 'problem', 'detail', 'usable'] and len(clean) == 0 and clean.usable.dtype == bool


def test_what_is_called_usable_trains_and_the_rest_does_not(tmp_path):
    from pet_breeds.drawn import draw_pets
    pets = draw_pets(tmp_path/'p', n_per_breed=2, breeds=['pug', 'beagle', 'Bengal'], dirt=True, progress=False)
    t = photo_table(pets)
    bad = check_photos(t, progress=False)
    unusable = set(bad.file[~bad.usable])
    for f in t.file:
        if f not in unusable: assert data.PILImage.create(f).mode == 'RGB'
    for f in bad.file[bad.problem.isin(['truncated', 'empty'])]:
        with pytest.raises(Exception): data.PILImage.create(f)
    dls = table_block(item=32, size=16, valid_pct=0.4).dataloaders(t[~t.file.isin(unusable)], bs=4, num_workers=0)
    assert sum(len(b[0]) for dl in dls for b in dl) >= len(t)-len(unusable)-4


def test_real_photos(shared):
    t = photo_table(shared/'pets')
    assert len(t) == 259 and t.label.nunique() == 37 and t.attrs['skipped'] == [] and not is_drawn(shared/'pets')
    assert check_photos(t, progress=False).usable.all()
    valid = split(list(t.file))[1]
    assert len(valid) == 52 and set(t.label[valid]) == set(t.label)
