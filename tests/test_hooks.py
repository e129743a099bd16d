"CONTRIBUTING's `nbdev_install_hooks`, in a repository with our settings and one notebook: cleaned on saving, merged cell by cell."
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec

import nbformat
import pytest
from conftest import ROOT
from test_jupyter import jupyter

MISSING = [name for name in ('nbdev', 'jupyterlab') if not find_spec(name)] + ['git']*(not shutil.which('git'))
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f'not here: {", ".join(MISSING)}')
NAME = 'nbs/05_loss.ipynb'


@pytest.fixture
def repo(tmp_path, monkeypatch):
    "A function that runs a command in the repository, where the hooks are installed, and gives what it prints"
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setenv('PATH', f'{sys.exec_prefix}/bin:{os.environ["PATH"]}')
    for name in ('GIT_AUTHOR', 'GIT_COMMITTER'):
        monkeypatch.setenv(f'{name}_NAME', 'pets')
        monkeypatch.setenv(f'{name}_EMAIL', 'pets@example.invalid')
    (tmp_path/'repo/nbs').mkdir(parents=True)
    for file in ('settings.ini', '.gitignore', NAME): shutil.copy(ROOT/file, tmp_path/'repo'/file)
    def run(*command):
        done = subprocess.run(command, cwd=tmp_path/'repo', capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
    run('git', 'init', '-q', '-b', 'main')
    assert 'Hooks are installed' in run('nbdev_install_hooks')
    run('git', 'add', '.')
    run('git', 'commit', '-qm', 'start')
    return run


def code(nb): return [cell for cell in nb.cells if cell.cell_type == 'code']


def test_a_notebook_is_cleaned_on_saving(repo, tmp_path):
    nb = nbformat.read(ROOT/NAME, 4)
    for i, cell in enumerate(code(nb)): cell.execution_count, cell.metadata['collapsed'] = i+1, False
    nb.metadata['language_info'] = {'name': 'python'}
    with jupyter(tmp_path/'repo', tmp_path) as lab: lab.ask(f'contents/{NAME}', 'PUT', dict(type='notebook', format='json', content=nb))
    assert repo('git', 'diff', '--stat') == ''


def test_outputs_that_differ_are_no_conflict(repo, tmp_path):
    file = tmp_path/'repo'/NAME
    repo('git', 'branch', 'theirs')
    for branch, cell, text in (('theirs', 2, 'theirs\n'), ('main', 3, 'ours\n')):
        repo('git', 'switch', '-q', branch)
        nb = nbformat.read(file, 4)
        code(nb)[1].outputs = [nbformat.v4.new_output('stream', text=text)]
        code(nb)[cell].source += f'\n# {branch}'
        nbformat.write(nb, file)
        repo('git', 'commit', '-qam', branch)
    repo('git', 'merge', '-q', 'theirs')
    merged = code(nbformat.read(file, 4))
    assert merged[1].outputs[0].text == 'ours\n'
    assert merged[2].source.endswith('# theirs') and merged[3].source.endswith('# main')
