"Lessons that continue from lesson 01 get its model: both notebooks were run, and their kept outputs agree."
import re

import nbformat
from conftest import ROOT


def shown(notebook, cell):
    "What a cell of a notebook has shown, as text"
    found = next(c for c in nbformat.read(ROOT/'nbs'/notebook, 4).cells if c.id == cell)
    return '\n'.join(out.data.get('text/html', '') or out.data['text/plain'] for out in found.outputs if 'data' in out)


def test_the_first_learner_is_the_model_of_lesson_01():
    rows = re.findall(r'<td>(0\.\d+)</td><td>\d+:\d+</td></tr>', shown('01_start.ipynb', 'train'))
    assert len(rows) == 4, 'an epoch with most of it frozen, then three'
    assert round(float(rows[-1])*148) == int(shown('internals/course.ipynb', 'first-learner-test').splitlines()[-1])


def test_lesson_01_takes_the_same_steps():
    cells = {c.id: c.source for c in nbformat.read(ROOT/'nbs'/'01_start.ipynb', 4).cells}
    ours = (ROOT/'pet_breeds'/'course.py').read_text(encoding='utf-8')
    assert all(step in cells['dls'] and step in ours for step in ('set_seed(42)', 'bs=16'))
    assert 'learn.fine_tune(3)' in cells['train'] and 'learn.fine_tune(3)' in ours
