"Drawn photos, your own, and the download, against a server that misbehaves and files that are in the way."
import gzip
import io
import itertools
import os
import shutil
import tarfile
import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import urlopen

import pytest
from fastdownload.core import path_stats
from PIL import Image

from pet_breeds import sources
from pet_breeds.photos import find_photos
from pet_breeds.sources import download, download_pets, get_pets, is_drawn

quiet = partial(download, progress=False)


def photo(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', (40, 40)).save(path)
    return path


def everything(folder):
    "What every path below holds: bytes of a file, target of a link, None for a folder"
    def held(f): return os.readlink(f) if f.is_symlink() else f.read_bytes() if f.is_file() else None
    return {f.relative_to(folder).as_posix(): held(f) for f in folder.rglob('*')}


# Drawn or your own

def test_auto_prefers_real_photos_and_never_downloads(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, 'urlopen', lambda *a, **k: pytest.fail('asked the network'))
    drawn = get_pets(data=tmp_path, n_per_breed=1, progress=False)
    assert is_drawn(drawn) and is_drawn(drawn/'images') and len(find_photos(drawn)) == 37
    other = get_pets('drawn', data=tmp_path, n_per_breed=1, seed=1, progress=False)
    assert get_pets('drawn', data=tmp_path, n_per_breed=1) == drawn != other
    (tmp_path/'oxford-iiit-pet'/'images').mkdir(parents=True)
    assert get_pets(data=tmp_path, n_per_breed=1) == drawn
    photo(tmp_path/'oxford-iiit-pet'/'images'/'pug_1.png')
    assert get_pets(data=tmp_path) == tmp_path/'oxford-iiit-pet' == get_pets('full', data=tmp_path)
    assert get_pets('drawn', data=tmp_path, n_per_breed=1) == drawn
    assert not is_drawn(tmp_path/'oxford-iiit-pet')


def test_without_a_folder_fastais_is_used(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, 'fastai_path', lambda what: tmp_path/what)
    assert get_pets(n_per_breed=1, progress=False).parent == tmp_path/'data'
    photo(tmp_path/'data'/'oxford-iiit-pet'/'images'/'pug_1.png')
    assert get_pets() == get_pets('full') == tmp_path/'data'/'oxford-iiit-pet'


def test_a_home_that_cannot_be_written(monkeypatch):
    def refuse(what): raise PermissionError(13, 'Permission denied', 'home/.fastai')
    monkeypatch.setattr(sources, 'fastai_path', refuse)
    for source in ('auto', 'drawn', 'full'):
        with pytest.raises(PermissionError, match="denied.*set FASTAI_HOME.*'home/.fastai'"): get_pets(source)
    with pytest.raises(PermissionError, match='set FASTAI_HOME'): download_pets()


def test_a_folder_of_your_own(tmp_path, monkeypatch):
    own = photo(tmp_path/'pets'/'pug_1.png').parent
    monkeypatch.setenv('HOME', str(tmp_path))
    assert get_pets(own) == get_pets(str(own)) == get_pets('~/pets') == own and not is_drawn(own)
    monkeypatch.chdir(shutil.copytree(own, tmp_path/'here'/'full').parent)
    assert get_pets('./full') == get_pets(Path('full')) == Path('full')


@pytest.mark.parametrize('source, error, says', [
    ('empty', ValueError, "no photos in 'empty'"), ('fulll', FileNotFoundError, "no such folder: 'fulll'"),
    ('pug_1.png', NotADirectoryError, "'pug_1.png' is a file: expected a folder"), ('', ValueError, 'got nothing'),
    (' ', ValueError, 'got nothing'), ('~nobody-at-all/x', ValueError, '~nobody-at-all/x: there is no such user'),
    ('\x1b]52;c;aGk=\x07', FileNotFoundError, r"no such folder: '\\x1b\]52"),
    ('dead', FileNotFoundError, 'no such folder')])
def test_what_is_no_folder_of_photos(source, error, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photo(tmp_path/'pug_1.png')
    (tmp_path/'empty').mkdir()
    (tmp_path/'dead').symlink_to('nowhere')
    with pytest.raises(error, match=says) as e: get_pets(source)
    assert str(e.value).isprintable()


@pytest.mark.parametrize('text', [
    '', '{}', '[]', '{"drawing": 2}', '{"files": []}', '{"drawing": 2, "files": [1]}', '['*10**5])
def test_a_file_of_that_name_does_not_make_photos_drawn(text, tmp_path):
    photo(tmp_path/'images'/'pug_1.png')
    (tmp_path/'drawn.json').write_text(text)
    assert not is_drawn(tmp_path) and not is_drawn(tmp_path/'images')


def test_a_drawn_set_is_never_replaced(tmp_path):
    drawn = get_pets('drawn', data=tmp_path, n_per_breed=1, progress=False)
    (drawn/'images'/'pug_1.jpg').unlink()
    (drawn/'images'/'mine.txt').write_text('mine')
    before = everything(tmp_path)
    with pytest.raises(FileExistsError, match="lacks 1 of its 37 photos, such as 'pug_1.jpg'"):
        get_pets('drawn', data=tmp_path, n_per_breed=1)
    assert everything(tmp_path) == before


# Downloading

class Server(ThreadingHTTPServer):
    """Serves `content`; cuts each answer after `cut` bytes, ignores ranges unless `ranges`, and notes what was asked.
    `head` changes headers, `more` comes after the content."""
    daemon_threads, hung_up = True, False
    def __init__(self, content, cut=None, ranges=True, code=None, head=None, more=tuple):
        self.content, self.cut, self.ranges, self.code = content, cut, ranges, code
        self.head, self.more, self.asked = head or {}, more, []
        super().__init__(('127.0.0.1', 0), Answer)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f'http://127.0.0.1:{self.server_port}/oxford-iiit-pet.tgz'


class Answer(BaseHTTPRequestHandler):
    def log_message(self, *args): pass

    def do_GET(self):
        s = self.server
        s.asked.append(self.headers.get('Range'))
        start = int(s.asked[-1].split('=')[1].rstrip('-')) if s.asked[-1] and s.ranges else 0
        body, n = s.content[start:], len(s.content)
        self.send_response(s.code or (206 if start else 200))
        part = {'Content-Range': f'bytes {start}-{n-1}/{n}'} if start else {}
        for name, value in {'Content-Length': len(body), **part, **s.head}.items():
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
    "Size and md5 of the right file"
    (tmp_path/'whole').write_bytes(content)
    return path_stats(tmp_path/'whole')


@pytest.fixture
def begun(tmp_path, serve, check):
    "A folder with a download that broke off after 5,000 bytes"
    server = serve(content, cut=5000, head={'Accept-Ranges': 'none'}, ranges=False)
    with pytest.raises(OSError, match='5,000 of 2,048,000 bytes came'): quiet(server.url, tmp_path/'d'/'f', *check)
    assert sorted(everything(tmp_path/'d')) == ['f.part', 'f.part/about.txt', 'f.part/data']
    return tmp_path/'d'


def test_download(tmp_path, serve, check):
    server = serve(content)
    for _ in range(2): assert quiet(server.url, tmp_path/'new'/'f', *check).read_bytes() == content
    assert server.asked == [None] and everything(tmp_path/'new') == {'f': content}


def test_download_shows_progress(tmp_path, serve, check, capsys):
    download(serve(content, cut=10**6).url, tmp_path/'f', *check)
    assert '100' in capsys.readouterr().out


def test_a_connection_that_breaks_is_taken_up_again(tmp_path, serve, check):
    server = serve(content, cut=900_000)
    assert quiet(server.url, tmp_path/'f', *check).read_bytes() == content
    assert server.asked == [None, 'bytes=900000-', 'bytes=1800000-']


def test_a_broken_download_keeps_what_came_for_the_next_run(begun, serve, check):
    dead, before = serve(content, code=503), everything(begun)
    with pytest.raises(OSError, match='5,000 of 2,048,000 bytes came .*503.* run it again'):
        quiet(dead.url, begun/'f', *check)
    assert everything(begun) == before
    server = serve(content)
    assert quiet(server.url, begun/'f', *check).read_bytes() == content
    assert server.asked == ['bytes=5000-'] and everything(begun) == {'f': content}


def test_a_server_without_ranges_starts_from_the_front(begun, serve, check):
    assert quiet(serve(content, ranges=False).url, begun/'f', *check).read_bytes() == content


def test_a_server_without_ranges_that_always_breaks_comes_to_an_end(tmp_path, serve, check):
    server = serve(content, ranges=False, cut=900_000)
    with pytest.raises(OSError, match='900,000 of 2,048,000'): quiet(server.url, tmp_path/'f', *check)
    assert len(server.asked) == 2


def test_another_file_is_refused_and_removed(tmp_path, serve, check):
    for bad in (serve(b'x'*len(content)), serve(content+b'x', head={'Content-Length': None})):
        with pytest.raises(ValueError, match='not the file expected'): quiet(bad.url, tmp_path/'f', *check)
    assert [f.name for f in tmp_path.iterdir()] == ['whole']


PAGE = b'<html>Please log in to this hotel</html>'
STRANGE = {
    'a page': dict(content=PAGE, ranges=False), 'a page with a range': dict(content=PAGE*100),
    'too long': dict(content=content+b'x', ranges=False),
    'gzip': dict(content=gzip.compress(content), ranges=False, head={'Content-Encoding': 'gzip'}),
    'another part': dict(content=content, head={'Content-Range': f'bytes 0-{len(content)-1}/{len(content)}'}),
    'part of another file': dict(content=content+b'x'),
    'a part, it does not say which': dict(content=content, head={'Content-Range': None}),
    'a part that is none': dict(content=content, head={'Content-Range': 'lots'}),
    'control characters': dict(content=content, head={'Content-Range': 'bytes \x1b[31m5000-'}),
    'no range of it': dict(content=content, code=416), 'refused': dict(content=PAGE, code=403)}


@pytest.mark.parametrize('what', STRANGE)
def test_a_strange_answer_is_not_taken(what, begun, serve, check):
    "What came before stays, and a good server goes on from there"
    server, good, before = serve(**STRANGE[what]), serve(content), everything(begun)
    with pytest.raises(OSError, match='5,000 of 2,048,000 bytes came .*run it again') as e:
        quiet(server.url, begun/'f', *check)
    assert str(e.value).isprintable() and everything(begun) == before
    assert server.asked == ['bytes=5000-']
    assert quiet(good.url, begun/'f', *check).read_bytes() == content
    assert good.asked == ['bytes=5000-']


def test_a_server_that_never_ends(tmp_path, serve, check):
    "No more is taken than one piece beyond what is expected"
    server = serve(content, head={'Content-Length': None}, more=lambda: itertools.repeat(b'x'*2**18))
    with pytest.raises(ValueError, match='was deleted'): quiet(server.url, tmp_path/'f', *check)
    until = time.monotonic()+10
    while not server.hung_up and time.monotonic() < until: time.sleep(.02)
    assert server.hung_up and [f.name for f in tmp_path.iterdir()] == ['whole']


def test_a_server_that_falls_silent_is_asked_again_and_a_slow_one_is_waited_for(tmp_path, serve, check, monkeypatch):
    "After half a second here, after 30 otherwise"
    monkeypatch.setattr(sources, 'urlopen', lambda request, timeout: urlopen(request, timeout=timeout/60))
    def silence():
        time.sleep(1.5)
        yield b''
    def slowly():
        for i in range(0, len(content), 200_000):
            time.sleep(.1)
            yield content[i:i+200_000]
    server, slow = serve(content, cut=1_100_000, more=silence), serve(content, cut=0, more=slowly)
    assert quiet(server.url, tmp_path/'f', *check).read_bytes() == content
    assert server.asked == [None, 'bytes=1100000-']
    assert quiet(slow.url, tmp_path/'g', *check).read_bytes() == content and slow.asked == [None]


NOWHERE = {'a file': 'file:///etc/hostname', 'data': 'data:text/plain,x', 'no address': 'http://[',
           'no port': 'http://127.0.0.1:port/', 'in circles': '/again', 'nobody': 'http://127.0.0.1:9/'}


@pytest.mark.parametrize('to', NOWHERE)
def test_a_redirection_that_leads_nowhere(to, tmp_path, serve, check):
    server = serve(b'', code=302, head={'Location': NOWHERE[to]})
    with pytest.raises(OSError, match='0 of 2,048,000 bytes came') as e: quiet(server.url, tmp_path/'f', *check)
    assert str(e.value).isprintable() and not (tmp_path/'f').exists()


def test_a_redirection_to_another_server_is_followed_and_what_comes_is_checked(tmp_path, serve, check):
    def to(content): return serve(b'', code=301, head={'Location': serve(content).url}).url
    assert quiet(to(content), tmp_path/'f', *check).read_bytes() == content
    with pytest.raises(ValueError, match='not the file expected'):
        quiet(to(b'x'*len(content)), tmp_path/'g', *check)


def test_a_leftover_that_is_too_long_is_removed(begun, serve, check):
    (begun/'f.part'/'data').write_bytes(content*2)
    with pytest.raises(ValueError, match='was deleted'): quiet(serve(content).url, begun/'f', *check)
    assert everything(begun) == {}
    assert quiet(serve(content).url, begun/'f', *check).read_bytes() == content


def test_no_server(tmp_path, check):
    with pytest.raises(OSError, match='0 of 2,048,000 bytes'):
        quiet('http://127.0.0.1:9/f', tmp_path/'f', *check)


def test_a_full_disk(serve, check, small_disk):
    disk = small_disk(1024)
    with pytest.raises(OSError, match='of 2,048,000 bytes came .*No space left'):
        quiet(serve(content).url, disk/'f', *check)
    assert sorted(os.listdir(disk)) == ['f.part']


# Files of the user in the way

def write(path, data=b'a chapter of my thesis'):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


MINE = {
    'a file': lambda d, name: write(d/name), 'an empty file': lambda d, name: write(d/name, b''),
    'a folder': lambda d, name: write(d/name/'thesis.tex'),
    'a link to a file': lambda d, name: write(d/'other') or (d/name).symlink_to('other'),
    'a link to a folder': lambda d, name: write(d/'other'/'data') or (d/name).symlink_to('other'),
    'a dead link': lambda d, name: (d/name).symlink_to('nowhere'),
    'a folder with a note': lambda d, name: write(d/name/'data') or write(d/name/'about.txt'),
    'a note of other bytes': lambda d, name: write(d/name/'data') or write(d/name/'about.txt', b'\xff'*69)}


@pytest.mark.parametrize('there', MINE)
@pytest.mark.parametrize('name', ['f', 'f.part'])
def test_a_download_leaves_what_is_in_its_way(name, there, tmp_path, serve, check):
    top, server = tmp_path/'d', serve(content)
    top.mkdir()
    MINE[there](top, name)
    before = everything(top)
    with pytest.raises(FileExistsError, match='not ours.*: rename or remove it') as e:
        quiet(server.url, top/'f', *check)
    assert e.value.filename == str(top/name) and everything(top) == before and server.asked == []


def test_the_right_file_behind_a_link_is_used(tmp_path, serve, check):
    (tmp_path/'f').symlink_to('whole')
    assert quiet('http://127.0.0.1:9/f', tmp_path/'f', *check) == tmp_path/'f'
    assert (tmp_path/'f').is_symlink() and (tmp_path/'whole').read_bytes() == content


def test_a_part_of_another_download_is_not_mixed_in(begun, serve, check):
    before, other = everything(begun), content[::-1]
    write(begun.parent/'other', other)
    with pytest.raises(FileExistsError, match='not ours.*rename'):
        quiet(serve(other).url, begun/'f', *path_stats(begun.parent/'other'))
    assert everything(begun) == before


def test_a_link_in_the_place_of_what_has_come_is_not_written_through(begun, serve, check):
    write(begun/'thesis.tex')
    (begun/'f.part'/'data').unlink()
    (begun/'f.part'/'data').symlink_to('../thesis.tex')
    before = everything(begun)
    with pytest.raises(FileExistsError, match='not ours.*rename'):
        quiet(serve(content).url, begun/'f', *check)
    assert everything(begun) == before


def test_what_somebody_put_beside_an_unfinished_download_stays(begun, serve, check):
    write(begun/'f.part'/'thesis.tex')
    assert quiet(serve(content).url, begun/'f', *check).read_bytes() == content
    assert everything(begun) == {'f': content, 'f.part': None, 'f.part/thesis.tex': b'a chapter of my thesis'}


def test_a_file_that_appears_during_a_download_stays(begun, serve, check):
    def meanwhile():
        write(begun/'f')
        yield content[5000+10**6:]
    server = serve(content, cut=10**6, more=meanwhile)
    with pytest.raises(FileExistsError, match='not ours.*rename'):
        quiet(server.url, begun/'f', *check)
    assert (begun/'f').read_bytes() == b'a chapter of my thesis' and (begun/'f.part'/'data').read_bytes() == content
    (begun/'f').unlink()
    assert quiet('http://127.0.0.1:9/f', begun/'f', *check).read_bytes() == content


def test_two_downloads_at_once(tmp_path, serve, check):
    "The second is refused in the middle of the first, which goes on"
    refused = []
    def second():
        with pytest.raises(FileExistsError, match='another run is making f'):
            quiet(serve(content).url, tmp_path/'f', *check)
        refused.append(True)
        yield content[10**6:]
    first = serve(content, cut=10**6, more=second)
    assert quiet(first.url, tmp_path/'f', *check).read_bytes() == content
    assert refused == [True] and first.asked == [None] and sorted(os.listdir(tmp_path)) == ['f', 'whole']


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
    "Versions of Python with and without the filters of tarfile"
    if request.param == 'no filter':
        monkeypatch.delattr(tarfile, 'data_filter', raising=False)
        monkeypatch.setattr(tarfile.TarFile, 'extraction_filter', staticmethod(lambda m, path: m), raising=False)
    elif not hasattr(tarfile, 'data_filter'): pytest.skip('this Python has no tarfile filters')


def test_download_pets(tmp_path, serve, python):
    dest, server = fetch(archive(tmp_path/'x.tgz', pets), tmp_path, serve)
    assert dest == tmp_path/'data'/'oxford-iiit-pet' and not is_drawn(dest)
    assert {f'oxford-iiit-pet/images/{f.name}': f.read_bytes() for f in find_photos(dest)} == pets
    assert [p.name for p in (tmp_path/'data').iterdir()] == ['oxford-iiit-pet']
    assert download_pets(tmp_path/'data', tmp_path/'archive', server.url) == dest and len(server.asked) == 1
    shutil.rmtree(dest)
    assert fetch(tmp_path/'x.tgz', tmp_path, serve)[1].asked == []


@pytest.mark.parametrize('name, content', [
    ('../evil.jpg', b'x'), ('oxford-iiit-pet/../../evil.jpg', b'x'),
    ('oxford-iiit-pet/link', (tarfile.SYMTYPE, '../../..')),
    ('oxford-iiit-pet/link', (tarfile.LNKTYPE, '../../secret')),
    ('oxford-iiit-pet/pipe', (tarfile.FIFOTYPE, '')), ('oxford-iiit-pet/disk', (tarfile.BLKTYPE, '')),
    ('oxford-iiit-pet/tty', (tarfile.CHRTYPE, '')), ('oxford-iiit-pet/in', (tarfile.SYMTYPE, 'images/pug_1.jpg')),
    ('oxford-iiit-pet/twin', (tarfile.LNKTYPE, 'oxford-iiit-pet/images/pug_1.jpg')), ('\x1b[31m/../../evil.jpg', b'x')])
def test_an_archive_cannot_write_elsewhere(tmp_path, serve, python, name, content):
    with pytest.raises(ValueError, match='cannot unpack .* delete it') as e:
        fetch(archive(tmp_path/'x.tgz', pets | {name: content}), tmp_path, serve)
    assert list((tmp_path/'data').iterdir()) == [] and not (tmp_path/'evil.jpg').exists() and str(e.value).isprintable()


@pytest.mark.parametrize('damage', ['middle', 'checksum', 'end'])
def test_a_damaged_archive_leaves_nothing_and_is_not_deleted(tmp_path, serve, damage):
    raw = bytearray(archive(tmp_path/'x.tgz', pets).read_bytes())
    if damage == 'end': raw = raw[:-500]
    else: raw[len(raw)//2 if damage == 'middle' else -6] ^= 255
    (tmp_path/'x.tgz').write_bytes(raw)
    with pytest.raises(ValueError, match='cannot unpack'): fetch(tmp_path/'x.tgz', tmp_path, serve)
    assert list((tmp_path/'data').iterdir()) == []
    assert everything(tmp_path/'archive') == {'oxford-iiit-pet.tgz': bytes(raw)}


@pytest.mark.parametrize('members', [
    {'readme.txt': b'x'}, {'oxford-iiit-pet': b'x'}, {'oxford-iiit-pet/images/readme.txt': b'x'}, {}],
    ids=['no folder', 'a file', 'no photo', 'nothing'])
def test_an_archive_without_photos(tmp_path, serve, members):
    with pytest.raises(ValueError, match='cannot unpack .* no photos'):
        fetch(archive(tmp_path/'x.tgz', members), tmp_path, serve)
    assert list((tmp_path/'data').iterdir()) == []


def bombs(top):
    "Archives of some hundred kilobytes that grow to a hundred megabytes or more"
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
    sparse, body = tarfile.TarInfo('oxford-iiit-pet/images/pug_1.jpg'), b'0\n'.ljust(512, b'\0')
    sparse.pax_headers = {f'GNU.sparse.{k}': v for k, v in dict(
        major='1', minor='0', name=sparse.name, realsize=str(10**13)).items()}
    sparse.size = len(body)
    with tarfile.open(top/'sparse.tgz', 'w:gz', format=tarfile.PAX_FORMAT) as tar: tar.addfile(sparse, io.BytesIO(body))
    return [top/f'{kind}.tgz' for kind in ('file', 'name', 'tail', 'sparse')]


def test_a_bomb_is_refused(tmp_path, serve, python):
    "Its size and hash are right, and it would grow to gigabytes: it is refused before anything of it is on the disk"
    for tgz in bombs(tmp_path):
        assert tgz.stat().st_size < 400_000
        with pytest.raises(ValueError, match='cannot unpack .*(twice its own size|is a link)'):
            fetch(tgz, tmp_path, serve)
        assert list((tmp_path/'data').iterdir()) == []
        shutil.rmtree(tmp_path/'archive')


def test_an_archive_of_somebody_else_stays(tmp_path, serve):
    write(tmp_path/'archive'/'oxford-iiit-pet.tgz', b'of last year')
    with pytest.raises(FileExistsError, match='not ours.*: rename or remove it'):
        fetch(archive(tmp_path/'x.tgz', pets), tmp_path, serve)
    assert everything(tmp_path/'archive') == {'oxford-iiit-pet.tgz': b'of last year'} and not (tmp_path/'data').exists()


def test_photos_that_are_there_are_not_downloaded(tmp_path, serve):
    photo(tmp_path/'data'/'oxford-iiit-pet'/'images'/'pug_1.png')
    before, server = everything(tmp_path), serve(PAGE)
    dest = download_pets(tmp_path/'data', tmp_path/'archive', server.url, (1, ''), progress=False)
    assert dest == tmp_path/'data'/'oxford-iiit-pet' and server.asked == [] and everything(tmp_path) == before


@pytest.mark.parametrize('there', ['a file', 'a folder', 'a link to a file', 'a link to a folder', 'a dead link'])
def test_pets_are_not_put_in_the_place_of_anything(there, tmp_path, serve):
    (tmp_path/'data').mkdir()
    MINE[there](tmp_path/'data', 'oxford-iiit-pet')
    before = everything(tmp_path/'data')
    with pytest.raises(FileExistsError, match='not ours.*: rename or remove it'):
        fetch(archive(tmp_path/'x.tgz', pets), tmp_path, serve)
    assert everything(tmp_path/'data') == before and not (tmp_path/'archive').exists()


def test_unpacking_on_a_full_disk(tmp_path, serve, small_disk):
    disk = small_disk(64)
    with pytest.raises(OSError, match='No space left on device: free some') as e:
        download_pets(disk, tmp_path/'archive', serve(archive(tmp_path/'x.tgz', pets).read_bytes()).url,
                      path_stats(tmp_path/'x.tgz'), progress=False)
    assert e.value.filename == str(disk/'oxford-iiit-pet') and os.listdir(disk) == []
