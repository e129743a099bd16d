"The page on which the quiz is taken: in step with the questions, all of them to be answered, no answer to be seen."
import json

import nbformat
import pytest
import quiz_page
from conftest import ROOT

from pet_breeds import handout, quiz
from pet_breeds.progress import progress_file
from pet_breeds.questions import QUESTIONS


@pytest.fixture(scope='module')
def answers(): return handout.read_answers(ROOT/'nbs')


@pytest.fixture(scope='module')
def page(): return nbformat.read(quiz_page.FILE, 4)


def test_in_step(answers): assert quiz_page.FILE.read_text(encoding='utf-8') == quiz_page.quiz_page(answers), 'run: python tests/build.py'


def test_each_question_once_with_its_check_below_a_link_to_its_lesson(page, answers):
    lesson, found = None, {}
    for above, cell in zip(page.cells, page.cells[1:]):
        if above.source.startswith('## ['): lesson = above.source[4:].partition(']')[0]
        if cell.id not in QUESTIONS: continue
        proof = f"{answers[cell.id]['notebook']}.ipynb#cell-id={answers[cell.id]['cell']}"
        assert above.source.startswith(f'**[{cell.id.upper()}]({proof}).** {QUESTIONS[cell.id].text}')
        assert f'quiz.{cell.id}.check(' in cell.source and handout.is_task(cell)
        found[cell.id] = lesson
    assert found == {id: answers[id]['notebook'] for id in QUESTIONS}


def test_no_answer_is_to_be_seen(page, answers):
    text = ' '.join(' '.join(c.source for c in page.cells).split())
    for id, q in QUESTIONS.items():
        told = [*q.points, *(choice[0] for choice in q.choices), answers[id]['answer'].partition('\n')[0]]
        assert [t for t in told if len(t) > 25 and t in text] == []
    shown = {c.id: c.outputs for c in page.cells if c.cell_type == 'code' and c.outputs}
    assert [*shown] == ['take'] and [choice[0] for choice in QUESTIONS['q1'].choices if choice[0][:30] in str(shown)] == []


def test_unanswered_it_runs_and_keeps_no_progress(page, monkeypatch, tmp_path):
    monkeypatch.setenv('XDG_DATA_HOME', str(tmp_path))
    names = {}
    for cell in page.cells:
        if cell.cell_type != 'code' or cell.id == 'default-exp': continue
        *lines, last = cell.source.rstrip().split('\n')
        exec('\n'.join(lines), names)
        result = eval(last, names)
        if '.check(' in last: assert isinstance(result, quiz.Result) and result.ok is None, cell.id
    assert not progress_file().exists()


def test_a_solved_question_shows_in_the_progress(page, monkeypatch, tmp_path):
    monkeypatch.setenv('XDG_DATA_HOME', str(tmp_path))
    [cell] = [c for c in page.cells if c.id == 'try']
    names = {}
    exec('from pet_breeds import quiz\n' + cell.source.replace('...', "'show_batch'"), names)
    assert names['quiz'].show().startswith('1 of 25 solved')
    assert json.loads(progress_file().read_text())['questions']['q7']['solved']


def test_a_long_comment_goes_above_its_line():
    long = 'answer = ... # ' + 'word '*30
    *above, code, check = quiz_page.wrapped(f'{long}\nquiz.q1.check(answer)').splitlines()
    assert (code, check) == ('answer = ...', 'quiz.q1.check(answer)')
    assert len(above) == 2 and all(line.startswith('# word') and len(line) <= 84 for line in above)
    assert quiz_page.wrapped('answer = ... # short') == 'answer = ... # short'
