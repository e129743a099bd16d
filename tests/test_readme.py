"The front page: in step with its notebook and with what was measured, its links alive, its commands and its code run."
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib import metadata
from pathlib import Path
from threading import Timer

import nbformat
import pet_breeds
import pytest
import readme
from conftest import ROOT, Forked

sys.path.insert(0, str(ROOT))
import start  # noqa: E402

BIN = Path(sys.executable).parent
SHELL = re.findall(r'```sh\n(.*?)\n```', readme.readme(), re.S)
PYTHON = re.findall(r'```python\n(.*?)\n```', readme.readme(), re.S)


def test_readme_is_built_from_index():
    assert (ROOT/'README.md').read_text(encoding='utf-8') == readme.readme(), 'run: python tests/build.py'


def test_links_lead_somewhere():
    targets = re.findall(r'\]\(([^)#]+)', readme.readme())
    local = [t for t in targets if not t.startswith('http')]
    assert local
    assert [t for t in local if not (ROOT/t).exists()] == []


def test_pictures_have_words():
    pictures = re.findall(r'!\[([^\]]*)\]', readme.readme())
    assert pictures and all(len(words) > 10 for words in pictures)


# Figures

def test_figures_are_those_measured():
    index = nbformat.read(readme.INDEX, 4)
    assert {'compare-table', 'table'} <= {c.id for c in index.cells}
    assert readme.with_figures(nbformat.read(readme.INDEX, 4)) == index, 'run: python tests/build.py'


def test_another_measurement_is_another_table():
    measured = presize, training, bf16, _, chapter = [readme.measured(name) for name in readme.MEASURED]
    before = readme.comparison(*measured)
    presize['speed']['ratio_composed'] += 1
    training['real']['table']['ours']['mean'] += .01
    bf16['epoch']['archs']['resnet18']['table']['one batch']['wall_s'] += 1
    chapter['rows'][-1]['error'] += .01
    changed = [b for a, b in zip(before.splitlines(), readme.comparison(*measured).splitlines(), strict=True) if a != b]
    assert len(changed) == 4


def test_the_command_prints_what_is_said():
    said = re.search(r'Error rate (\S+) .95% interval (\S+) to (\S+). on (\d+) drawn photos of (\d+) breeds .* answering (\w+) would give (\S+)[.]', readme.readme())
    from pet_breeds.interpret import error_interval
    from pet_breeds.report import result_line
    error, low, high, n, k, baseline, baseline_error = said.groups()
    m = dict(error_rate=float(error), error_low=float(low), error_high=float(high), n_measured=int(n), n_different=int(n), mean_breed_error=float(error), folds=0, photos='drawn', n_classes=int(k),
             baseline=baseline, baseline_error=float(baseline_error), not_measured=[])
    assert result_line(m) in readme.readme() and [f'{x:.3f}' for x in error_interval(float(error), int(n))] == [low, high]


# Commands and code, as they stand, with this environment in the place of the README's

def words(line): return [str(BIN/Path(w).name) if w.startswith('.venv/bin/') else w for w in shlex.split(line)]


def lines_with(name): return [line for block in SHELL for line in block.splitlines() if f'.venv/bin/{name} ' in f'{line} ']


def run(command, folder):
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, env={**os.environ, 'XDG_DATA_HOME': str(folder), 'TORCH_HOME': str(folder)})
    assert done.returncode == 0, done.stderr
    return done.stdout


def called(command, folder):
    "As `run`, in a fork: the function that pip makes the script of"
    name, *options = command
    [script] = metadata.entry_points(group='console_scripts', name=Path(name).name)
    def live():
        os.chdir(folder)
        os.environ.update(XDG_DATA_HOME=str(folder), TORCH_HOME=str(folder))
        sys.stdin = io.StringIO()
        script.load()(options)
    process = Forked(live)
    status, err = process.ended()
    assert status == 0, err
    return process.said()


@pytest.fixture(scope='module')
def mine(tmp_path_factory, drawn):
    "A folder with what the README speaks of: photos in folders, new photos; resnet34 (random) where torchvision keeps what it fetched, so that nothing is downloaded"
    import torch
    from torchvision.models import ResNet34_Weights, resnet34
    folder = tmp_path_factory.mktemp('mine')
    for photo in sorted((drawn/'images').glob('*.jpg')):
        to = folder/'my_photos'/photo.name.rpartition('_')[0]
        to.mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, to)
    (folder/'another_folder').mkdir()
    for copy in (folder/'new_photo.jpg', folder/'another_folder'/'one.jpg'): shutil.copy(photo, copy)
    kept = folder/'hub'/'checkpoints'/Path(ResNet34_Weights.DEFAULT.url).name
    kept.parent.mkdir(parents=True)
    torch.save(resnet34().state_dict(), kept)
    return folder


def test_three_commands_to_start():
    assert SHELL[:3] == ['python3 start.py', 'python3 start.py lab', 'python3 start.py test'], 'tests/test_start.py tries them'
    ran = re.findall(r'^python3 start.py.*', (ROOT/'.ci'/'run').read_text(), re.M)
    assert ran == [SHELL[0], SHELL[2]]


def test_every_block_is_run_here():
    tried = {'pet_breeds', 'pet_breeds_predict', 'pet_breeds_quiz', 'pet_breeds_student', 'pet_breeds_cards', 'pet_breeds_gather'}
    assert {Path(line.split()[0]).name for block in SHELL[3:] for line in block.splitlines()} == tried and len(PYTHON) == 2


def test_own_photos(mine):
    [train], [predict] = lines_with('pet_breeds'), lines_with('pet_breeds_predict')
    assert 'weights efficientnet-lite0-57934424.pth, linear head' in (said := run(words(train), mine)) and 'my_report/index.html' in said
    preds = called(words(predict), mine).splitlines()
    assert preds[0] == 'file,breed,prob' and [row.split(',')[0] for row in preds[1:]] == ['new_photo.jpg', 'another_folder/one.jpg']
    more = re.search(r'`(--arch resnet34 --weights download)`', readme.readme())[1]
    assert 'resnet34, weights resnet34-' in called([*words(train), *more.split()], mine)


def test_own_photos_in_python(mine):
    [code] = [c for c in PYTHON if 'my_photos' in c]
    assert len(code.splitlines()) == 5
    *_, header, one, two = run([sys.executable, '-W', 'ignore', '-c', code], mine).splitlines()
    assert 'breed' in header and 'new_photo.jpg' in one and 'another_folder/one.jpg' in two


def test_quiz_in_python(tmp_path):
    [code] = [c for c in PYTHON if 'quiz' in c]
    first, check, show = code.splitlines()
    assert 'linspace' in run([sys.executable, '-c', f'{first}\nprint({check})\n{show}'], tmp_path)


def test_quiz_student_edition_cards(tmp_path):
    if not (Path(pet_breeds.__file__).parent.parent/'nbs').exists(): pytest.skip('the notebooks come with a clone, where the package is installed to be edited')
    commands = 'pet_breeds_quiz', 'pet_breeds_student', 'pet_breeds_cards', 'pet_breeds_gather'
    [quiz], [student], [cards], [gather] = map(lines_with, commands)
    assert 'Q1' in called(words(quiz), tmp_path)
    assert 'notebooks without answers' in called(words(student), tmp_path) and 'cards' in called(words(cards), tmp_path)
    assert (tmp_path/'exercises'/'05_loss.ipynb').exists() and (tmp_path/'deck.apkg').exists() and (tmp_path/'guide.md').exists()
    (tmp_path/'handed_in').mkdir()
    results = dict(made_by='pet_breeds results', version=1, name='Ada', answers=dict(q7=dict(verdict='right', source="quiz.q7.check('show_batch')")))
    (tmp_path/'handed_in'/'Ada.json').write_text(json.dumps(results))
    assert '1 right' in called(words(gather), tmp_path) and (tmp_path/'class'/'table.csv').exists()


def test_the_course_opens(tmp_path):
    if not (BIN/'jupyter-lab').exists(): pytest.skip('JupyterLab is not installed here')
    [[name, *options]] = start.JOBS['lab']
    (tmp_path/'jupyter_server_config.py').write_text('c.ServerApp.allow_root = True\nc.ServerApp.open_browser = False\nc.ServerApp.ip = "127.0.0.1"\n')
    env = {**os.environ, **{f'JUPYTER_{what}_DIR': str(tmp_path) for what in ('CONFIG', 'DATA', 'RUNTIME')}}
    with subprocess.Popen([str(BIN/name), *options], cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True) as lab:
        late = Timer(120, lab.kill)
        late.start()
        try:
            said = next(m for line in lab.stderr if (m := re.search(r'(http://127.0.0.1:\d+)/lab\S*(token=\w+)', line)))
            while lab.poll() is None: # it says its address a moment before it listens
                try: page = urllib.request.urlopen(f'{said[1]}/api/contents/nbs/index.ipynb?{said[2]}', timeout=60)
                except urllib.error.URLError: time.sleep(.1)
                else: break
            assert page.status == 200
        finally:
            late.cancel()
            lab.terminate()
