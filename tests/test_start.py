"`python3 start.py`: which steps it takes, in which order, and what it says where it cannot go on."
import re
import subprocess
import sys

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT))
import start  # noqa: E402


@pytest.fixture
def steps(tmp_path, monkeypatch):
    "The commands that `start` would run, in a folder of its own where nothing is installed yet"
    taken, here = [], tmp_path/'clone'
    here.mkdir()
    (here/'settings.ini').write_text('[DEFAULT]\nrequirements = a\n')
    def run(command, cwd, env, check):
        assert cwd == here and check and env['PATH'].startswith(str(start.BIN))
        if command[1:3] == ['-m', 'venv']: (here/'.venv').mkdir(exist_ok=True)
        taken.append([*command, *([f"threads={env['OMP_NUM_THREADS']}"] if 'OMP_NUM_THREADS' in env else [])])
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    monkeypatch.setattr(start, 'HERE', here)
    monkeypatch.setattr(start, 'VENV', here/'.venv')
    monkeypatch.setattr(start, 'BIN', here/'.venv'/'bin')
    monkeypatch.setattr(subprocess, 'run', run)
    return taken


def names(steps): return [' '.join(s).replace(str(start.BIN), 'BIN').replace(str(start.VENV), 'VENV').replace(sys.executable, 'python') for s in steps]


@pytest.mark.parametrize('words, then', [
    ([], ['BIN/python -m pip install -e .', 'BIN/pet_breeds']),
    (['test'], ['BIN/python -m pip install -e .[dev]', 'BIN/nbdev_test --n_workers 2 threads=1', 'BIN/pytest -n 2 --dist loadfile threads=1']),
    (['lab'], ['BIN/python -m pip install -e .[dev]', 'BIN/jupyter lab --ServerApp.root_dir=. nbs/index.ipynb'])])
def test_the_steps_each_printed_before_it_runs(steps, capsys, words, then):
    start.main(words)
    assert names(steps) == ['python -m venv .venv', *then]
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(steps) and all(line.startswith('$ ') for line in printed)
    assert str(start.HERE) not in printed[-1], 'paths are short'


def test_another_folder_of_lessons_is_opened_from_anywhere(steps, tmp_path, monkeypatch):
    (tmp_path/'exercises').mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match='^exercises: expected a folder of lessons, with index.ipynb in it$'): start.main(['lab', 'exercises'])
    assert steps == []
    (tmp_path/'exercises'/'index.ipynb').touch()
    start.main(['lab', 'exercises'])
    assert names(steps)[-1] == f'BIN/jupyter lab --ServerApp.root_dir={tmp_path/"exercises"} index.ipynb'


def test_windows_is_sent_to_wsl(steps, monkeypatch):
    "The package is tested on Linux and macOS alone, and the README says so"
    monkeypatch.setattr(start.os, 'name', 'nt')
    with pytest.raises(SystemExit, match='run it in WSL'): start.main([])
    assert steps == [] and 'Linux or macOS' in (ROOT/'README.md').read_text(encoding='utf-8')


def test_repeated_it_installs_nothing_unless_the_requirements_changed(steps):
    for _ in range(2): start.main([])
    assert names(steps)[-1] == 'BIN/pet_breeds' and sum('pip' in s for s in names(steps)) == 1
    (start.HERE/'settings.ini').write_text('[DEFAULT]\nrequirements = a b\n')
    start.main([])
    assert sum('pip' in s for s in names(steps)) == 2


def test_after_the_command_the_course_is_installed_too(steps):
    start.main([])
    start.main(['lab'])
    assert [s for s in names(steps) if 'pip' in s] == ['BIN/python -m pip install -e .', 'BIN/python -m pip install -e .[dev]']


def test_an_install_that_fails_is_tried_again_and_stops_what_follows(steps, monkeypatch):
    taken = subprocess.run
    def fails(command, **options):
        if 'pip' in command: raise subprocess.CalledProcessError(3, command)
        taken(command, **options)
    monkeypatch.setattr(subprocess, 'run', fails)
    with pytest.raises(SystemExit, match='^3$'): start.main([])
    assert names(steps) == ['python -m venv .venv']
    monkeypatch.setattr(subprocess, 'run', taken)
    start.main([])
    assert names(steps)[-1] == 'BIN/pet_breeds'


def test_without_venv_it_says_how_to_get_it(steps, monkeypatch):
    monkeypatch.setattr(start, 'find_spec', lambda name: None if name == 'ensurepip' else object())
    with pytest.raises(SystemExit, match='sudo apt-get install python3-venv'): start.main([])
    assert steps == []


@pytest.mark.parametrize('words', [['tests'], ['--help'], ['test', 'lab'], ['lab', 'a', 'b']])
def test_an_unknown_word_gets_the_three_commands(steps, words):
    with pytest.raises(SystemExit) as stop: start.main(words)
    assert all(f'python3 start.py {job}' in str(stop.value) for job in ('test', 'lab')) and steps == []


def test_interrupted(steps, monkeypatch):
    def interrupted(*args, **options): raise KeyboardInterrupt
    monkeypatch.setattr(subprocess, 'run', interrupted)
    with pytest.raises(SystemExit, match='^130$'): start.main([])


def test_it_needs_the_standard_library_alone():
    imported = re.findall(r'^(?:import|from) (\w+)', (ROOT/'start.py').read_text(encoding='utf-8'), re.M)
    assert set(imported) <= sys.stdlib_module_names
