"The quiz to click on: what is clicked and typed is judged and kept, in this kernel and beside others; reviews come on their day."
import json
import os
import subprocess
import sys
from datetime import date, timedelta

import ipywidgets as widgets
import pytest
from conftest import tried

from pet_breeds import progress, quiz
from pet_breeds.forms import QuestionForm, QuizForm, as_html, choice_form, typed_before

TODAY = date.today()
pytestmark = pytest.mark.usefixtures('home')


@pytest.fixture
def form(monkeypatch):
    "What `quiz.take(...)` shows"
    def take(*args):
        made, shown = [], []
        monkeypatch.setattr('pet_breeds.forms.QuizForm', lambda *given: made.append(QuizForm(*given)) or made[0])
        monkeypatch.setattr('IPython.display.display', lambda data, raw: shown.append(data))
        quiz.take(*args)
        assert 'application/vnd.jupyter.widget-view+json' in shown[0] and 'Jupyter' in shown[0]['text/plain'] and 'run this cell in Jupyter' in shown[0]['text/html']
        return made[0]
    return take


def test_an_answer_is_in_its_field_again(form, monkeypatch):
    quiz.q7.check('one_batch'), quiz.q13.check([.22, .02, .76]), quiz.q14.check(lambda probs, targ: 0)
    quiz.q3.choose('a')
    shown = lambda: [next(w for w in all_of(box) if isinstance(w, widgets.Textarea)).value for box in (taken.form(id, which).box for id in ('q7', 'q13', 'q14', 'q3'))]
    taken, which = form(), 'All questions'
    assert shown() == ['one_batch', '[0.22, 0.02, 0.76]', '', '']
    which = 'Missed'
    assert shown() == ['']*4, 'asked anew'
    monkeypatch.setattr('pet_breeds.forms.is_due', lambda entry: True)
    taken, which = form(), 'All questions'
    assert shown() == ['']*4, 'its review has come'


@pytest.mark.parametrize('code, shown', [("'show_batch'", 'show_batch'), ("float('-inf')", '-inf'), ('show_batch', ''), ("'show", ''), ('1, x=2', ''), ('{[]: 1}', ''), ('1'*5_000, ''), ('('*5_000, ''), ('[float("nan")]', '')])
def test_a_file_changed_by_hand_does_not_stop_the_quiz(form, code, shown):
    progress.remember('q7', False, given=f'quiz.q7.check({code})')
    assert typed_before('q7', 'All questions') == shown
    assert len(form().ids) == 25


def all_of(box): return [box, *(inner for child in getattr(box, 'children', ()) for inner in all_of(child))]


def button(box, words): return next(w for w in all_of(box) if isinstance(w, widgets.Button) and w.description == words)


def text(box): return ' '.join(w.value for w in all_of(box) if isinstance(w, (widgets.HTMLMath, widgets.Label)))


def letter(exercise, right): return next(name for name, _, ok, _ in exercise.choices() if ok is right)


def given(entry, day, ok): return {**entry, 'solved': entry['solved'] or bool(ok), **progress.planned(entry, ok, day)}


# clicks

def test_a_click_counts_once_and_survives_a_restart(monkeypatch):
    "As .ask() shows it"
    shown = []
    monkeypatch.setattr('pet_breeds.forms.choice_form', lambda exercise: shown.append(choice_form(exercise)) or shown[-1])
    quiz.q7.ask()
    button(shown[0], letter(quiz.q7, False)).click()
    assert '✗ Q7 is not right yet:' in text(shown[0]) and progress.read_progress()['q7']['tries'] == 1
    assert all(w.disabled for w in all_of(shown[0]) if isinstance(w, widgets.Button))
    quiz.q7.ask()
    button(shown[1], letter(quiz.q7, True)).click()
    assert '✓ Q7 is right.' in text(shown[1])
    code = 'import json; from pet_breeds.progress import read_progress; print(json.dumps(read_progress()))'
    kept = json.loads(subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout)
    assert kept == {'q7': dict(tries=2, solved=True, given=f"quiz.q7.choose('{letter(quiz.q7, True)}')", review=str(TODAY + timedelta(1)), reviewed=0)}


def test_clicks_and_answers_in_three_kernels_lose_nothing():
    code = """from pet_breeds import quiz
from pet_breeds.forms import choice_form
for i in range(10):
    for id in {}: choice_form(getattr(quiz, id)).children[i % 3].children[0].click()
    quiz.q18.check('x')"""
    running = [subprocess.Popen([sys.executable, '-c', code.format(ids)]) for ids in (['q7', 'q8'], ['q7', 'q9'], ['q8', 'q9'])]
    assert [process.wait(120) for process in running] == [0, 0, 0]
    kept = progress.read_progress()
    assert {id: q['tries'] for id, q in kept.items()} == dict(q7=20, q8=20, q9=20, q18=30)
    assert all(kept[id]['solved'] for id in ('q7', 'q8', 'q9')) and not kept['q18']['solved']


# a question

@pytest.mark.parametrize('id', quiz.QUESTIONS)
def test_nothing_is_told_before_an_attempt(id):
    exercise = getattr(quiz, id)
    form = QuestionForm(exercise)
    def told(): return [p for p in (*exercise.question.points, *(why for _, _, why in exercise.question.choices), exercise.answer())
                        if len(p) > 12 and as_html(p) in text(form.box)]
    assert [b.description for b in form.buttons.children] == ['Check', 'Hint', 'Show choices']
    for words in ('Check', 'Hint', 'Show choices'): button(form.box, words).click()
    assert told() == [] and as_html(f'*Hint:* {exercise.hint()}') in text(form.box) and progress.read_progress() == {}
    button(form.box, letter(exercise, False)).click()
    button(form.box, 'Show our answer').click()
    assert exercise.answer().partition('\n')[0].strip('*').split()[0] in text(form.box) and progress.read_progress()[id]['tries'] == 1


@pytest.mark.parametrize('typed, said, kept', [
    ('show_batch', '✓ Q7 is right.', dict(tries=1, solved=True)), ("'show_batch'", '✓ Q7 is right.', dict(tries=1, solved=True)),
    ('display', 'can&#x27;t tell|can\'t tell', dict(tries=1, solved=False)), ('lambda x: x', 'is checked in a cell', None),
    ('def f(x):\n    return x', 'is checked in a cell', None), ('  ', 'is not answered yet', None), ('...', 'is not answered yet', None),
    ('<b>one_batch</b>', 'returns the tensors', dict(tries=1, solved=False))])
def test_what_is_typed(typed, said, kept):
    form = QuestionForm(quiz.q7)
    form.answer.value = typed
    button(form.box, 'Check').click()
    assert any(part in text(form.verdict) for part in said.split('|')), text(form.verdict)
    found = progress.read_progress().get('q7')
    assert (found and {name: found[name] for name in ('tries', 'solved')}) == kept


def test_a_code_cell_counts_what_it_is_told_after_an_unclear_verdict():
    form, counted = QuestionForm(quiz.q12), []
    form.after = lambda: counted.append(1)
    form.answer.value = 'Whenever the sun is shining on the beach.'
    button(form.box, 'Check').click()
    def ticks(): return [w for w in all_of(form.verdict) if isinstance(w, widgets.Checkbox)]
    assert ticks() == [] and 'I can' in text(form.verdict) and quiz.q12.question.points[0] not in text(form.box), 'shown when asked for'
    button(form.box, 'Compare with the points').click()
    assert len(ticks()) == len(quiz.q12.question.points) and 'I can' in text(form.verdict) and '- [ ]' not in text(form.box)
    solved = button(form.box, 'I made these points: count it as solved')
    assert solved.disabled
    ticks()[0].value = True
    assert not solved.disabled
    ticks()[0].value = False
    assert solved.disabled
    ticks()[1].value = True
    solved.click()
    assert tried('q12') == dict(tries=1, solved=False, by_you=True) and len(counted) == 2
    assert 'as you said yourself' in text(form.verdict)


def test_a_locked_folder_has_no_points_to_tick(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path/'locked.txt').touch()
    form = QuestionForm(quiz.q12)
    form.answer.value = 'Whenever the sun is shining on the beach.'
    button(form.box, 'Check').click(), button(form.box, 'Compare with the points').click()
    assert 'Ask your teacher' in text(form.verdict) and quiz.q12.question.points[0] not in text(form.box) and not [w for w in all_of(form.verdict) if isinstance(w, widgets.Checkbox)]


def test_as_many_points_are_ticked_as_the_judge_looks_for():
    form = QuestionForm(quiz.q1)
    form.answer.value = 'Whenever the sun is shining on the beach.'
    button(form.box, 'Check').click(), button(form.box, 'Compare with the points').click()
    solved, ticks = button(form.box, 'I made these points: count it as solved'), [w for w in all_of(form.verdict) if isinstance(w, widgets.Checkbox)]
    for tick, allowed in zip(ticks, (False, True, True)):
        tick.value = True
        assert solved.disabled is not allowed
    assert 'at least 2' in text(form.verdict) and all(1 <= q.enough <= len(q.points) for q in quiz.QUESTIONS.values())


def test_a_new_check_clears_what_was_said_of_a_choice():
    form = QuestionForm(quiz.q7)
    button(form.box, 'Show choices').click()
    button(form.box, letter(quiz.q7, False)).click()
    assert '✗' in text(form.box)
    form.answer.value = 'show_batch'
    button(form.box, 'Check').click()
    assert '✓ Q7 is right.' in text(form.box) and '✗' not in text(form.box)


def test_who_does_not_know_gets_our_answer_offered_and_has_not_tried():
    form = QuestionForm(quiz.q12)
    form.answer.value = "I don't know"
    button(form.box, 'Check').click()
    assert 'Take a hint' in text(form.verdict) and progress.read_progress() == {}
    button(form.box, 'Show our answer').click()
    assert 'sigmoid' in text(form.verdict)


# all of them

def test_the_quiz_by_lesson_one_or_all_and_not_solved(form):
    taken = form('05')
    assert (taken.lesson.value, taken.place.value, taken.said.value) == ('05_loss', '1 of 6', '0 of 25 solved')
    taken.body.children[0].children[1].value = 'typed and not checked'
    taken.next.click(), taken.back.click()
    assert taken.body.children[0].children[1].value == 'typed and not checked' and taken.back.disabled
    taken.shown.value = 'all at once'
    assert len(taken.body.children) == 6 and taken.turn.layout.display == 'none'
    quiz.q11.check('The values are positive and sum to 1.')
    taken.which.value = 'Not solved'
    assert taken.ids == ['q10', 'q12', 'q13', 'q14', 'q15'] and taken.said.value == '1 of 25 solved' and taken.bar.value == 1
    taken.lesson.value, taken.shown.value = 'All lessons', 'one at a time'
    assert taken.place.value == '1 of 24' and len(taken.body.children) == 1
    with pytest.raises(ValueError, match='answers none of the questions'): quiz.take(11)


def test_a_question_is_jumped_to(form):
    taken = form()
    taken.jump.value = 20
    assert taken.place.value == '21 of 25' and 'Q21' in text(taken.body) and taken.at == 20
    taken.next.click()
    assert taken.jump.label == 'Q22'
    taken.lesson.value = '05_loss'
    assert [name for name, _ in taken.jump.options] == [f'Q{n}' for n in range(10, 16)] and taken.at == 0


def test_what_was_missed_is_asked_again_on_its_day(form, monkeypatch):
    quiz.q20.check('linspace')
    taken = form()
    taken.which.value = 'To review'
    assert 'Nothing to review today.' in text(taken.body) and 'review' not in taken.said.value
    kept = progress.read_progress()
    kept['q20']['review'] = str(TODAY)
    progress.progress_file().write_text(json.dumps(dict(version=1, questions=kept)))
    taken.which.value = 'All questions'
    taken.which.value = 'To review'
    assert taken.ids == ['q20'] and taken.said.value == '0 of 25 solved, 1 to review today'
    taken.body.children[0].children[1].value = '[1e-6, 1e-5, 1e-4]'
    button(taken.body, 'Check').click()
    assert tried('q20') == dict(tries=2, solved=True) and progress.read_progress()['q20']['review'] == str(TODAY + timedelta(3))
    assert taken.said.value == '1 of 25 solved'


def test_three_reviews_and_it_is_learned():
    day, entry = date(2023, 12, 30), dict(tries=0, solved=False)
    assert given(entry, day, True) == dict(tries=0, solved=True) and given(entry, day, None) == entry
    entry = given(entry, day, False)
    for days in (1, 3, 7):
        early = day + timedelta(days-1)
        assert not progress.is_due(entry, early)
        assert {**given(entry, early, True), 'solved': False} == {**entry, 'solved': False}, 'too early: nothing changes'
        day += timedelta(days)
        assert progress.is_due(entry, day) and given(entry, day, None) == entry
        missed = given(entry, day, False)
        assert missed['review'] == str(day + timedelta(1)) and missed['reviewed'] == 0
        entry = {name: value for name, value in entry.items() if name not in ('review', 'reviewed')} | progress.planned(entry, True, day)
    assert 'review' not in entry


@pytest.mark.parametrize('odd', [dict(review='tomorrow'), dict(review=20240101), dict(review='2024-13-01'), dict(reviewed=-1), dict(reviewed=True),
                                 dict(review='20240101'), dict(review=None)], ids=str)
def test_an_odd_day_makes_the_file_another(odd, home, capsys):
    progress.progress_file().parent.mkdir()
    progress.progress_file().write_text(json.dumps(dict(version=1, questions=dict(q7=dict(tries=1, solved=True, **odd)))))
    assert progress.read_progress() == {} and 'set aside as progress.broken-1.json' in capsys.readouterr().out
    assert 'progress.broken-1.json' in os.listdir(home/'pet_breeds')
