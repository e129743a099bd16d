"What several tests share: where the repo is, drawn photos, and real ones where there are any."
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from tempfile import TemporaryFile

import pytest

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # before torch is loaded: threads that wait, sleep
if 'PYTEST_XDIST_WORKER' in os.environ: os.environ.setdefault('OMP_NUM_THREADS', '1')  # other tests run beside
os.environ.setdefault('ORT_DISABLE_TELEMETRY', '1')  # onnxruntime looks at it when it is imported
signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background ignores Ctrl-C, and so would our children
ROOT = Path(__file__).parent.parent


# Files and names of tests that take long: they start commands, kernels or browsers, or try thousands of files
LONG = {'test_app', 'test_bad_photos', 'test_checkpoint', 'test_cli', 'test_copies', 'test_drawn', 'test_export', 'test_extend', 'test_faults', 'test_fuzz', 'test_handout',
        'test_hooks', 'test_hostile', 'test_jupyter', 'test_loss', 'test_lrs', 'test_precision', 'test_presize', 'test_readme',
        'test_scale', 'test_site', 'test_sources', 'test_take_quiz', 'test_types'}
SLOW = ('any_two', 'million', 'kill_', 'two_at_once', 'full_memory', 'importing', 'without_fastai', 'cleared_away', 'that_lives',
        'code_of_the_package', 'every_family', 'every_measure', 'shipped_body', 'worker_processes', 'fill_the_memory', 'large_photos', 'freed_memory',
        'hostile_code', 'linear_time', 'reports_to_nobody', 'resumed_run_ends', 'engine_gives', 'given_twice',
        'weights_arrive', 'wheel_holds', 'predictions_of_a', 'changes_its_input', 'begun_with', 'starts_from_an_earlier')


# Files that take a minute or more, the longest first: begun first, they leave no worker without work at the end
LONGEST = ('test_faults', 'test_types', 'test_site', 'test_jupyter', 'test_cli', 'test_pets', 'test_training', 'test_scale', 'test_saving', 'test_hostile',
           'test_readme', 'test_take_quiz', 'test_effects', 'test_handout', 'test_repo', 'test_quiz', 'test_questions', 'test_model', 'test_report',
           'test_findings')


def pytest_configure(config):
    config.addinivalue_line('markers', 'everyday: quick enough to run after every change')
    config.option.loadscopereorder = False # pytest-xdist would begin with the files that hold most tests


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))
    for item in items:
        if item.path.stem not in LONG and not any(part in item.name for part in SLOW): item.add_marker('everyday')


@pytest.fixture(autouse=True)
def a_short_trial(request, monkeypatch):
    "Where precision is not the subject, `mixed_precision` times steps for a fifth of a second, not for two"
    precision = sys.modules.get('pet_breeds.precision')
    if precision and request.path.stem != 'test_precision': monkeypatch.setattr(precision._probe, '__defaults__', (.2,))


def refused(command, capsys, args, *words):
    "A command ends with status 2 and one line that holds `words`; returns what it printed before"
    with pytest.raises(SystemExit) as stop: command(list(map(str, args)))
    out, err = capsys.readouterr()
    assert stop.value.code == 2 and len(err.splitlines()) == 1, err
    for word in words: assert word in err
    return out


def tried(id):
    "What is kept of a question, but when it is to be reviewed, and the answer"
    from pet_breeds.progress import read_progress
    return {name: value for name, value in read_progress()[id].items() if name not in ('review', 'reviewed', 'given')}


class Forked:
    "A function of ours, such as a command's, in a process of its own that has loaded already what this one has; what it says goes to files"
    def __init__(self, func, *args):
        self.returncode, self.files = None, [TemporaryFile(), TemporaryFile()]
        self.pid = os.fork() or self.live(func, args)

    def live(self, func, args):
        "In the new process: call `func`, and end as the script of a command does"
        import torch
        status = 1
        try:
            os.setsid()
            torch.set_num_threads(1) # its other threads were not forked
            for fd, file in enumerate(self.files, 1): os.dup2(file.fileno(), fd)
            sys.stdout, sys.stderr = (open(fd, 'w', encoding='utf-8', buffering=1, closefd=False) for fd in (1, 2))
            func(*args)
            status = 0
        except SystemExit as e: status = e.code or 0
        except BaseException: traceback.print_exc()
        finally:
            for stream in (sys.stdout, sys.stderr): stream.flush()
            os._exit(status)

    def said(self, fd=1): return os.pread(self.files[fd-1].fileno(), 10**6, 0).decode()

    def poll(self):
        if self.returncode is None and (status := os.waitpid(self.pid, os.WNOHANG)) != (0, 0): self.returncode = os.waitstatus_to_exitcode(status[1])
        return self.returncode

    def wait(self, until=lambda run: False, timeout=600):
        "Until something is so or the process has ended"
        end = time.monotonic()+timeout
        while self.poll() is None and not until(self):
            if time.monotonic() > end: os.killpg(self.pid, signal.SIGKILL)
            time.sleep(.01)

    def ended(self):
        "The status and what was written to stderr"
        self.wait()
        return self.returncode, self.said(2)


def fork(code, *words, cwd='.'):
    "Run a script as a new Python would, in a fork"
    def live():
        os.chdir(cwd)
        sys.argv = ['-c', *map(str, words)]
        exec(code, {'__name__': '__main__'})
    return Forked(live)


@pytest.fixture
def home(tmp_path, monkeypatch):
    "Progress in a folder of the test's own"
    monkeypatch.setenv('XDG_DATA_HOME', str(tmp_path))
    return tmp_path


@pytest.fixture
def no_home(monkeypatch):
    "As for a user of whom the system knows nothing, with no variable set"
    def home(): raise RuntimeError('Could not determine home directory.')
    monkeypatch.setattr(Path, 'home', home)
    for name in ('XDG_DATA_HOME', 'XDG_CACHE_HOME'): monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope='session')
def root(): return ROOT


@pytest.fixture(scope='session')
def shared():
    "The folder that `PET_BREEDS_SHARED` names (relative to the repo), with real photos and weights for tests only"
    if not os.environ.get('PET_BREEDS_SHARED'): pytest.skip('no real photos here: PET_BREEDS_SHARED is not set')
    return (ROOT/os.environ['PET_BREEDS_SHARED']).resolve()


@pytest.fixture(scope='session')
def drawn(tmp_path_factory):
    "Ten drawn photos of each of four breeds; tests that change photos copy them first"
    from pet_breeds.drawn import draw_pets
    return draw_pets(tmp_path_factory.mktemp('drawn')/'pets', n_per_breed=10, breeds=['Bombay', 'Sphynx', 'pug', 'samoyed'], progress=False)


@pytest.fixture
def small_disk(tmp_path):
    "A function that gives an empty disk of so many kilobytes, for this test; skips where nothing may be mounted"
    disk = tmp_path/'disk'
    def mount(kilobytes):
        disk.mkdir()
        if subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={kilobytes}k', 'tmpfs', disk], capture_output=True).returncode: pytest.skip('no right to mount a small disk here')
        return disk
    yield mount
    if disk.is_mount(): subprocess.run(['umount', disk], check=True)


@pytest.fixture(scope='session')
def axe(tmp_path_factory):
    "A function that lists the serious faults of accessibility that axe-core finds in a page; its script is fetched by npm for this"
    if not (npm := shutil.which('npm')): pytest.skip('no npm here')
    folder = tmp_path_factory.mktemp('axe')
    try: done = subprocess.run([npm, 'pack', 'axe-core'], cwd=folder, capture_output=True, timeout=60)
    except subprocess.TimeoutExpired: pytest.skip('npm does not answer')
    if done.returncode: pytest.skip('npm cannot fetch axe-core')
    shutil.unpack_archive(next(folder.glob('axe-core-*.tgz')), folder)
    script = (folder/'package'/'axe.min.js').read_text(encoding='utf-8')
    def faults(page, *rules):
        if not page.evaluate('!!window.axe'): page.evaluate(script)
        only = dict(runOnly=dict(type='rule', values=rules)) if rules else {}
        found = page.evaluate('options => axe.run(options)', dict(resultTypes=['violations'], **only))['violations']
        return [(v['id'], v['nodes'][0]['html'][:100]) for v in found if v['impact'] in ('serious', 'critical')]
    return faults
