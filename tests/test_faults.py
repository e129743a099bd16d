"Killed, told to end, out of disk, out of a home: the next run works, and nothing that was there is lost."
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import matplotlib
import pytest
from conftest import Forked, refused
from PIL import Image

from pet_breeds import drawn as drawing
from pet_breeds.cli import main
from pet_breeds.core import cores, tidy_up
from pet_breeds.pets import _n_workers, run_pets
from pet_breeds.saving import REPORT_FILES

BIN = Path(sys.exec_prefix)/'bin'
QUICK = dict(epochs=1, size=32, bs=8, lr='1e-3', precision='fp32')
OPTIONS = [word for k, v in QUICK.items() for word in (f'--{k}', str(v))]
REPORT = sorted(REPORT_FILES)
ENV = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONUNBUFFERED': '1'}
FONTS = matplotlib.get_cachedir() # without a home, matplotlib would look for all fonts of this machine first, which takes long


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def in_mounts(mounts, *words, env=None):
    "Run a command where `mounts` (shell) were made for it alone"
    if subprocess.run(['unshare', '-m', 'true'], capture_output=True).returncode: pytest.skip('no right to mount here')
    return subprocess.run(['unshare', '-m', 'sh', '-ec', f'{mounts}\nexec "$@"', '-', *map(str, words)], capture_output=True, text=True, timeout=300, env={**ENV, **(env or {})})


def contents(folder): return {f.name: f.read_bytes() for f in folder.iterdir()}


# kill -9

LIFE = '''
import json, mmap, os, random, shutil, signal, sys, time, traceback
from pathlib import Path
import torch
from pet_breeds import batches, checkpoint, drawn, pets, report, saving, training
from pet_breeds.batches import PhotoCache
from pet_breeds.saving import REPORT_FILES, load_model
rng, rounds = random.Random(int(sys.argv[1])), int(sys.argv[2])
os.environ['XDG_CACHE_HOME'] = os.path.abspath('caches')
PHASES = 'start draw cache train checkpoint report'.split()
at = mmap.mmap(-1, 1) # in which phase a run is, seen by the process that kills it

def watched(module, name, phase):
    func = getattr(module, name)
    def run(*args, **kwargs):
        before, at[0] = at[0], PHASES.index(phase)
        try: return func(*args, **kwargs)
        finally: at[0] = before
    setattr(module, name, run)
for module, name, phase in ((drawn, 'draw_pets', 'draw'), (batches, '_build_cache', 'cache'), (training, 'train', 'train'),
    (checkpoint, '_write_checkpoint', 'checkpoint'), (report, 'page', 'report'), (saving, 'save_model', 'report'),
    (pets, 'put_in_place', 'report')): watched(module, name, phase)

def live(out):
    torch.set_num_threads(1)
    photos = drawn.draw_pets('photos', 4, breeds=list(drawn.BREEDS)[:6], progress=False)
    kept = Path(f'.{out}-run.safetensors').exists()
    return pets.run_pets(photos, epochs=3, size=32, bs=8, lr='1e-3', precision='fp32', cache=True, out=out, resume=kept)

def start(out):
    if pid := os.fork(): return pid
    os.dup2(os.open('log', os.O_WRONLY|os.O_CREAT|os.O_APPEND), 1)
    try: live(out)
    except BaseException: traceback.print_exc(); os._exit(1)
    os._exit(0)

def has_ended(pid): return os.waitid(os.P_PID, pid, os.WEXITED|os.WNOHANG|os.WNOWAIT) is not None

def end(pid): return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def is_whole(report):
    if not report.exists(): return False
    assert sorted(os.listdir(report)) == sorted(REPORT_FILES), os.listdir(report)
    json.loads((report/'metrics.json').read_text())
    load_model(report)
    return True

def check():
    if Path('photos').exists(): assert len(os.listdir('photos/images')) == 24
    for file in Path('caches').glob('*/*.safetensors'): assert len(PhotoCache(file).keys) == 24
    assert any(map(is_whole, [Path('report'), *Path().glob('.report.*.part/old')])), 'the earlier report is lost'

def forget(phase):
    "So that a run comes through `phase` again"
    if phase == 'draw': shutil.rmtree('photos', ignore_errors=True)
    if phase in ('draw', 'cache'): shutil.rmtree('caches', ignore_errors=True)

begun, seconds = {}, dict.fromkeys(PHASES, 0.)
pid, now = start('report'), time.perf_counter()
while not has_ended(pid):
    time.sleep(.001)
    before, now = now, time.perf_counter()
    seconds[PHASES[at[0]]] += now-before
assert end(pid) == 0
first, killed = Path('report/model.safetensors').read_bytes(), dict.fromkeys(PHASES, 0)
for phase in PHASES[1:]*rounds:
    forget(phase)
    at[0] = 0
    pid = start('report')
    while PHASES[at[0]] != phase and not has_ended(pid): time.sleep(.0005)
    time.sleep(rng.uniform(0, seconds[phase]))
    where = PHASES[at[0]]
    os.kill(pid, signal.SIGKILL)
    if end(pid) == -signal.SIGKILL: killed[where] += 1
    check()
assert end(start('report')) == 0, Path('log').read_text()[-2000:]
assert Path('report/model.safetensors').read_bytes() == first, 'killed and resumed, the model is another'
check()
for folder in Path().rglob('.*.part'): # a process that is killed before it has marked its folder leaves it empty
    if not any(f.stat().st_size for f in folder.iterdir()): shutil.rmtree(folder)
print(json.dumps(dict(killed=killed, left=sorted(str(p) for p in Path().rglob('.*')))))
'''


def test_kill_9_anywhere(here):
    "In each phase of a run, at random: what is there is whole, the old report stays, the last run ends as one that was left alone, and no trace is left"
    done = subprocess.run([sys.executable, '-c', LIFE, '0', '4'], capture_output=True, text=True, env=ENV, timeout=1200)
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    print(seen)
    assert sum(seen['killed'].values()) >= 10 and seen['left'] == []


@pytest.mark.parametrize('mark', ['report', 'thesis', '', None])
def test_a_hidden_folder_goes_if_its_mark_says_that_it_is_ours(mark, tmp_path):
    folder = tmp_path/'.report.ab_c12yz.part'
    folder.mkdir()
    (folder/'thesis.tex').touch()
    if mark is not None: (folder/'made_by_pet_breeds').write_text(mark)
    tidy_up(tmp_path/'report')
    assert folder.exists() == (mark != 'report')


@pytest.mark.parametrize('step', [0, 1])
def test_killed_between_the_old_report_and_the_new(step, drawn, here):
    "The next run, even one that fails, brings the old one back"
    run_pets(path=str(drawn), **QUICK)
    before = contents(here/'report')
    rename, n = Path.rename, iter(range(9))
    def renamed(self, target):
        if next(n) == step: os.kill(os.getpid(), signal.SIGKILL)
        return rename(self, target)
    if not (pid := os.fork()):
        Path.rename = renamed
        try: run_pets(path=str(drawn), seed=7, **QUICK)
        finally: os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert (here/'report').exists() == (step == 0)
    with pytest.raises(SystemExit): main(['--path', str(drawn), '--arch', 'nonsense'])
    assert contents(here/'report') == before and sorted(os.listdir(here)) == ['.report-run.safetensors', 'report']


# told to end

def test_sigterm(drawn, here, capsys):
    "As Ctrl-C: a line, status 143, the old report as it was, and what to do to go on; which it then does"
    run_pets(path=str(drawn), **QUICK)
    before = contents(here/'report')
    words = ['--path', str(drawn), *OPTIONS, '--epochs', '40']
    run = Forked(main, words)
    run.wait(until=lambda run: (here/'.report-run.safetensors').exists())
    os.kill(run.pid, signal.SIGTERM)
    status, err = run.ended()
    assert status == 143 and 'Traceback' not in err and err.strip().endswith('pet_breeds: interrupted; no report was written, but --resume with its options goes on after the last epoch'), err
    assert contents(here/'report') == before and sorted(os.listdir(here)) == ['.report-run.safetensors', 'report']
    again = Forked(main, [*words, '--resume'])
    again.wait(until=lambda run: 'resuming after' in run.said())
    os.kill(again.pid, signal.SIGTERM)
    assert again.ended()[0] == 143 and 'resuming after' in again.said()
    main(['--path', str(drawn), *OPTIONS])
    assert 'a run into report was not finished: --resume goes on with it' in capsys.readouterr().out and os.listdir(here) == ['report']


@pytest.mark.skipif(sys.platform != 'linux', reason='looks for the processes that draw in /proc')
def test_sigterm_while_drawing(here):
    run = subprocess.Popen([BIN/'pet_breeds', '--out', 'r'], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
                           env={**ENV, 'FASTAI_HOME': str(here/'home')})
    while not list((here/'home').glob('data/.*.part/set/images/*')) and run.poll() is None: time.sleep(.01)
    os.killpg(run.pid, signal.SIGTERM)
    err = run.communicate(timeout=60)[1]
    assert run.returncode in (2, 143) and 'Traceback' not in err, err
    assert os.listdir(here/'home'/'data') == [] and os.listdir(here) == ['home']


# other processes

def test_two_runs_into_one_folder(drawn, here, capsys):
    "The second is refused, and the first goes on"
    first = Forked(main, ['--path', str(drawn), *OPTIONS, '--epochs', '20'])
    first.wait(until=lambda run: list(here.glob('.report.*.part')))
    refused(main, capsys, ['--path', drawn, *OPTIONS], 'another run is making report: wait for it, or choose another name')
    assert first.ended()[0] == 0 and os.listdir(here) == ['report'] and sorted(os.listdir('report')) == REPORT


@pytest.mark.skipif(sys.platform != 'linux', reason='worker processes are started on Linux only')
def test_a_worker_process_dies(drawn, here):
    "One that reads photos: a line, not a traceback"
    def lose(words):
        pid, copy = os.getpid(), Image.Image.copy
        Image.Image.copy = lambda *args: copy(*args) if os.getpid() == pid else os.kill(os.getpid(), signal.SIGKILL)
        main(words)
    status, err = Forked(lose, ['--path', str(drawn), '--presize', 'stock', *OPTIONS]).ended()
    assert status == 2 and err.strip().endswith('a process that reads photos was killed, perhaps for lack of memory; no report was written') and 'Traceback' not in err, err
    assert os.listdir(here) == []


@pytest.mark.skipif(sys.platform != 'linux', reason='patches what a forked process does')
def test_a_process_that_draws_dies(here, monkeypatch):
    monkeypatch.setattr(drawing, 'draw_pet', lambda *args: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(MemoryError, match='process'): drawing.draw_pets(here/'pets', 2, breeds=['pug', 'beagle'], n_workers=2, progress=False)
    assert os.listdir(here) == []


# machines

def test_without_shared_memory(drawn, here):
    "No /dev/shm, as in some containers: photos are drawn and read all the same"
    no_shm = 'mount -t tmpfs -o ro,size=4k tmpfs /dev/shm'
    code = "from pet_breeds.cli import main; from pet_breeds.pets import _n_workers; from pet_breeds.drawn import draw_pets; draw_pets('new', 12, breeds=['pug', 'beagle'], n_workers=2, progress=False); print(_n_workers('stock')); main(%r)"
    done = in_mounts(no_shm, sys.executable, '-c', code % ['--path', str(drawn), '--presize', 'stock', *OPTIONS])
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith('0\n') and sorted(os.listdir('report')) == REPORT and len(os.listdir('new/images')) == 24
    assert _n_workers('stock') == (cores() if sys.platform == 'linux' else 0) and _n_workers('composed') == 0


def test_a_home_that_cannot_be_written(drawn, here):
    "One's own photos need no home; for drawn ones it is said where else they can go; the quiz goes on without a memory"
    (here/'home').mkdir()
    read_only, env = f'mount -t tmpfs -o ro,size=4k tmpfs {here}/home', dict(HOME=str(here/'home'), MPLCONFIGDIR=FONTS)
    code = """if True:
        import sys
        from pet_breeds import quiz
        from pet_breeds.cli import main
        main(sys.argv[1:])
        print('---', file=sys.stderr)
        try: main(['--out', 'other'])
        except SystemExit as e: assert e.code == 2
        print('---', file=sys.stderr)
        assert quiz.q7.check('show_batch')"""
    done = in_mounts(read_only, sys.executable, '-c', code, '--path', drawn, '--cache', *OPTIONS, env=env)
    own, drawn_ones, asked = done.stderr.split('---\n')
    assert done.returncode == 0 and 'continuing without a cache of photos' in own, done.stderr
    assert 'set FASTAI_HOME to a folder you may write to' in drawn_ones and len(drawn_ones.strip().splitlines()) == 1, drawn_ones
    assert 'progress is not kept' in done.stdout and 'Read-only file system' in done.stdout, asked


def test_no_home(drawn, here):
    env = {k: v for k, v in ENV.items() if not k.startswith(('HOME', 'XDG'))} | dict(MPLCONFIGDIR=FONTS)
    done = subprocess.run([BIN/'pet_breeds', '--path', drawn, *OPTIONS], capture_output=True, text=True, env=env, timeout=120)
    assert done.returncode == 0 and sorted(os.listdir('report')) == REPORT and done.stderr == '', done.stderr


def test_the_clock_jumps(drawn, here, monkeypatch):
    "Back and forth by a day at each look: durations stay what they are"
    days, now = iter(range(10**9)), time.time
    monkeypatch.setattr(time, 'time', lambda: now() + 86400*(-1)**next(days))
    monkeypatch.setenv('XDG_CACHE_HOME', str(here/'user'))
    m = run_pets(path=str(drawn), cache=True, **QUICK).metrics
    assert 0 < m['training_seconds'] <= m['seconds'] < 600 and m['images_per_second'] > 0


@pytest.mark.parametrize('megabytes', [0, 1, 8, 24])
def test_a_small_disk(megabytes, drawn, here, small_disk, capsys):
    "Too small for anything, for the checkpoint, for the next checkpoint beside the last, or large enough: the old report stays, nothing half is there"
    size = max(1, megabytes)*1024
    disk = small_disk(size)
    if not megabytes: (disk/'full').write_bytes(bytes(size*1024-8192))
    words = ['--path', drawn, *OPTIONS, '--epochs', '2', '--out', disk/'report']
    if megabytes == 24: main(list(map(str, words)))
    else: refused(main, capsys, words, 'o space left')
    assert sorted(p for p in os.listdir(disk) if not p.startswith('.report-run')) == (['report'] if megabytes == 24 else ['full'] if not megabytes else [])


@pytest.mark.parametrize('kilobytes', [100, 600])
def test_drawing_on_a_small_disk(kilobytes, here, small_disk):
    disk = small_disk(kilobytes)
    for n_workers in (1, 2):
        with pytest.raises(OSError, match='No space left on device'): drawing.draw_pets(disk/'pets', 20, breeds=['pug', 'beagle'], n_workers=n_workers, progress=False)
        assert os.listdir(disk) == []
