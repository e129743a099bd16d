"CONTRIBUTING says which one place to touch for each kind of addition: each is made there, in a copy of the package, and works."
import os
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

ADDED = { # what is added: the one file, a text in it, and what takes its place
    'an option': ('pets.py', "    resume:bool=False #", "    mood:str='calm' # how the pets feel\n    resume:bool=False #"),
    'an augmentation': ('warp.py', {
        'zoom_y=.5,\n': 'zoom_y=.5, shear=0.,\n', '    max_warp:float=.2, #': '    max_shear:float=0., # largest shear\n    max_warp:float=.2, #',
        "    draw('scale', min_scale, 1)\n": "    draw('scale', min_scale, 1)\n    draw('shear', -max_shear, max_shear)\n",
        '_matrices(n, xx=a.flip) @': '_matrices(n, xx=a.flip, xy=a.shear) @'}),
    'a default of an architecture': ('model.py', 'ARCH_DEFAULTS:dict = dict(\n', 'ARCH_DEFAULTS:dict = dict(\n    resnet18=dict(size=96),\n'),
    'a label rule': ('inventory.py', "    'name': (name_label,", "    'first': (lambda path: path.name.split('_')[0], 'breed_photo.jpg'),\n    'name': (name_label,"),
    'a section of the report': ('report.py', "@section('Training')\n", "@section('Weather')\ndef weather(run): return ['Sunny.']\n\n@section('Training')\n"),
    'a task': ('photo_tasks.py', "@task('A very small dog", "@task('It rhymes.')\ndef rhyme(attempt): return right() if attempt == 'cat' else differs('No.')\n\n@task('A very small dog"),
    'a question': ('questions.yaml', 'q18:\n', '''q99:
  text: Which pet purrs?
  hint: It also meows.
  points: [the cat]
  choices:
    - {text: the cat, right: true, why: It purrs.}
    - {text: the dog, why: It barks.}
  mistakes: {barks: That one barks.}
  stub: |-
    answer = ... # a pet
    quiz.q99.check(answer)
  words:
    parts: {}
    points: {it purrs: '\\bcats?\\b'}
    mistakes: {barks: '\\bdogs?\\b'}
    remarks: {}

q18:
''')}
TRIED = '''
import json, sys
from pathlib import Path
from pet_breeds import photo_tasks as tasks, quiz
from pet_breeds.cli import main
from pet_breeds.data import pets_dls
from pet_breeds.model import default_size
from pet_breeds.questions import QUESTIONS
photos = sys.argv[1]
main(['--path', photos, '--labels', 'first', '--mood', 'merry', '--epochs', '1', '--size', '32', '--bs', '8', '--lr', '1e-3', '--precision', 'fp32'])
metrics, page = json.loads(Path('report/metrics.json').read_text()), Path('report/index.html').read_text()
assert metrics['mood'] == 'merry' and '--mood=merry' in metrics['command'] and '--labels=first' in metrics['command'] and 'Sunny.' in page
def first(**augs): return pets_dls(photos, size=32, bs=8, seed=0, device='cpu', **augs)
plain, sheared = (first(max_rotate=0, max_warp=0, max_lighting=0, do_flip=False, max_zoom=1, min_scale=1, **more) for more in ({}, dict(max_shear=.5)))
differ = [not a.valid.one_batch()[0].equal(b.valid.one_batch()[0]) for a, b in [(plain, sheared)]]
pictures = [dls.train.new(shuffle=False).one_batch()[0] for dls in (plain, sheared)]
assert differ == [False] and not pictures[0].equal(pictures[1])
assert default_size('resnet18') == 96 and default_size('resnet34') == 224
assert tasks.rhyme.check('cat') and 'rhymes' in tasks.rhyme.check('dog').text
assert quiz.q99.check('the cat', keep=False) and QUESTIONS['q99'].judge('a dog').mistake == 'barks' # the build takes its answer from a lesson
try: main(['--path', photos, '--resume', '--mood', 'sad'])
except SystemExit as e: assert e.code == 2
'''


@pytest.fixture(scope='module')
def extended(tmp_path_factory):
    "A copy of the package with all of `ADDED`"
    package = tmp_path_factory.mktemp('extended')/'pet_breeds'
    shutil.copytree(ROOT/'pet_breeds', package, ignore=shutil.ignore_patterns('__pycache__'))
    for what, (name, *change) in ADDED.items():
        text = (package/name).read_text(encoding='utf-8')
        for old, new in change[0].items() if isinstance(change[0], dict) else [change]:
            assert text.count(old) == 1, (what, old)
            text = text.replace(old, new)
        (package/name).write_text(text, encoding='utf-8')
    return package.parent


def test_an_addition_touches_one_place(extended, drawn, tmp_path):
    env = {**os.environ, 'PYTHONPATH': str(extended), 'OMP_NUM_THREADS': '1', 'XDG_DATA_HOME': str(tmp_path)}
    done = subprocess.run([sys.executable, '-c', TRIED, drawn], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]


def test_contributing_names_these_places():
    rows = [row for row in (ROOT/'CONTRIBUTING.md').read_text(encoding='utf-8').splitlines() if row.startswith('| a')]
    for name, *_ in ADDED.values():
        place = name if name.endswith('.yaml') else f'internals/{name.removesuffix(".py")}'
        assert any(place in row for row in rows), place
