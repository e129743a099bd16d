"Lessons that continue from lesson 01 get its model, which is trained once: both notebooks were run, and their kept outputs agree."
import re

import nbformat
import pytest
import torch
from conftest import ROOT
from fastai.learner import Learner

from pet_breeds import course
from pet_breeds.data import pets_dls


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


@pytest.fixture
def first(drawn, tmp_path, monkeypatch):
    "`first_learner` on four breeds with a cache of its own; the list grows by one whenever it trains"
    trained = []
    def fine_tune(learn, epochs):
        trained.append(epochs)
        torch.nn.init.constant_(learn.model[-1][-1].weight, len(trained))
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path/'cache'))
    monkeypatch.setattr(course, 'first_dls', lambda: pets_dls(drawn, bs=4, size=32, device='cpu'))
    monkeypatch.setattr(Learner, 'fine_tune', fine_tune)
    return trained


def same(a, b): return all(torch.equal(x, y) for x, y in zip(a.model.state_dict().values(), b.model.state_dict().values(), strict=True))


def test_the_first_call_trains_and_the_next_loads(first):
    a, b = course.first_learner(), course.first_learner()
    assert first == [3] and same(a, b)


def test_without_a_home_it_trains_each_time(first, no_home):
    assert same(course.first_learner(), course.first_learner()) is False and first == [3, 3]


@pytest.mark.parametrize('damage', [lambda file: file.write_bytes(file.read_bytes()[:-100]), lambda file: file.write_bytes(b'')])
def test_a_damaged_cache_is_made_again(first, tmp_path, damage):
    course.first_learner()
    [file] = (tmp_path/'cache').rglob('first-*.safetensors')
    damage(file)
    again, loaded = course.first_learner(), course.first_learner()
    assert first == [3, 3] and same(again, loaded)


def test_a_cache_that_cannot_be_written_does_no_harm(first, tmp_path):
    (tmp_path/'cache').write_text('a file in the place of the folder', encoding='utf-8')
    a, b = course.first_learner(), course.first_learner()
    assert first == [3, 3] and not same(a, b)
