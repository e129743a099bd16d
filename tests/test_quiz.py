"The engine of the quiz: nothing a learner gives it is fatal, and what was solved is kept."
import json
import os
import random
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pet_breeds import quiz
from pet_breeds.questions import QUESTIONS

IDS = [f'q{i}' for i in range(1, 24)] + ['fr1', 'fr2']


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    "Progress in a folder of the test's own"
    monkeypatch.setenv('XDG_DATA_HOME', str(tmp_path))
    return tmp_path


def test_all_questions_by_name():
    assert list(QUESTIONS) == IDS and set(IDS) <= set(dir(quiz))
    assert quiz.q13 is quiz.q13 and repr(quiz.q13).startswith('Q13. ')
    with pytest.raises(AttributeError, match='q24'): quiz.q24


def test_importing_it_is_light():
    code = "import sys, pet_breeds.quiz; sys.exit(', '.join(m for m in ('torch', 'fastai', 'pandas', 'matplotlib', 'IPython') if m in sys.modules) or 0)"
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize('id', IDS)
def test_answer_proof_hint_points_and_choices(id):
    exercise = getattr(quiz, id)
    about = quiz._answers()[id]
    assert about['answer'] in exercise.answer() and about['code'] in exercise.proof() and about['notebook'] in exercise.proof()
    assert len(exercise.hint()) > 10 and exercise.points().count('- [ ]') == len(exercise.question.points) >= 1
    choices = exercise.choices()
    assert [c[0] for c in choices] == list('abcdefgh')[:len(choices)] and sum(c[2] for c in choices) == 1
    assert choices == exercise.choices()


def test_the_right_choice_is_not_always_the_same_letter():
    letters = {letter for id in IDS for letter, _, ok, _ in getattr(quiz, id).choices() if ok}
    assert len(letters) >= 3


@pytest.mark.parametrize('id', IDS)
def test_not_answered_yet(id):
    def stub(*args, **kwargs):
        "Has nothing in it"
        ...
    for answer in (..., stub, lambda x: None, lambda x: ...):
        result = getattr(quiz, id).check(answer) if answer is not ... else getattr(quiz, id).check(...)
        assert not result
        if answer in (..., stub): assert result.ok is None and 'not answered yet' in repr(result)


@pytest.mark.parametrize('answer', [None, '', 'nothing to see', 3, -1.5, float('nan'), [], [None], {}, object(), b'x', {1: 2}, print, 'a'*10_000, [[[]]], range(3), 1j],
                         ids=lambda a: repr(a)[:20])
@pytest.mark.parametrize('id', IDS)
def test_no_answer_is_fatal(id, answer):
    result = getattr(quiz, id).check(answer, seconds=5)
    assert isinstance(result.ok, bool) and isinstance(repr(result), str) and isinstance(result._repr_markdown_(), str)


def test_a_function_that_fails_changes_its_input_or_never_ends(capsys):
    def raises(x): raise KeyError('no such breed')
    def changes(x): return x.mul_(2)
    def endless(x):
        while True: time.sleep(.01)
    def leaves(x): sys.exit(3)
    texts = [quiz.q13.check(f, seconds=1).text for f in (raises, changes, endless, leaves)]
    for text, needle in zip(texts, ("raises KeyError: 'no such breed'", 'changes changes what it is given', 'still running after 1 seconds', 'exit')): assert needle in text, texts


def test_an_endless_function_is_stopped_and_not_left_running():
    before = set(threading.enumerate())
    def endless(x):
        while True: pass
    quiz.q13.check(endless, seconds=.2)
    deadline = time.time() + 20
    while set(threading.enumerate()) - before and time.time() < deadline: time.sleep(.05)
    assert set(threading.enumerate()) <= before


def test_progress_is_kept_and_shown(home):
    assert quiz.show().startswith('0 of 25 solved')
    quiz.q7.check('one_batch'); quiz.q7.check('show_batch'); quiz.q7.check('one_batch'); quiz.q20.check('linspace')
    assert quiz.read_progress() == {'q7': dict(tries=3, solved=True), 'q20': dict(tries=1, solved=False)}
    shown = quiz.show()
    assert shown.startswith('1 of 25 solved') and '| Q7 | ✓ |' in shown and '| Q20 | 1 try |' in shown
    assert os.listdir(home/'pet_breeds') == ['progress.json']


def test_not_answered_is_not_a_try():
    quiz.q7.check(...)
    assert quiz.read_progress() == {}


@pytest.mark.parametrize('text', ['', '{', '[]', 'null', '{"version": 1}', '{"version": "1", "questions": {}}', '{"version": 1, "questions": {"q7": 3}}', '[' * 100_000, '\x00', '{"version": 1, "questions": {"q7": {"tries": 1}}}'],
                         ids=lambda t: repr(t)[:12])
def test_a_broken_file_is_set_aside(home, capsys, text):
    file = quiz.progress_file()
    file.parent.mkdir()
    for _ in range(2):
        file.write_text(text)
        assert quiz.q7.check('show_batch')
    assert sorted(os.listdir(file.parent)) == ['progress.broken-1.json', 'progress.broken-2.json', 'progress.json']
    assert (file.parent/'progress.broken-2.json').read_text() == text
    assert 'set aside as progress.broken-1.json' in capsys.readouterr().out


def test_a_file_that_is_no_text_is_set_aside():
    file = quiz.progress_file()
    file.parent.mkdir()
    file.write_bytes(b'\xff\xfe{}')
    assert quiz.read_progress() == {} and not file.exists()


def test_a_later_version_is_left_alone():
    file = quiz.progress_file()
    file.parent.mkdir()
    file.write_text(text := '{"version": 99, "questions": {}}')
    with pytest.raises(ValueError, match='version 99, later than 1'): quiz.show()
    assert file.read_text() == text


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kept=st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda c: st.lists(c, max_size=3) | st.dictionaries(st.sampled_from(['version', 'questions', 'q7', 'tries', 'solved']), c, max_size=4)))
def test_any_json_in_the_file(kept, home):
    quiz.progress_file().parent.mkdir(exist_ok=True)
    quiz.progress_file().write_text(json.dumps(kept))
    try: assert isinstance(quiz.read_progress(), dict)
    except ValueError as e: assert 'update pet_breeds' in str(e)


def test_where_nothing_can_be_kept_answers_are_still_judged(home, capsys):
    (home/'pet_breeds').write_text('a file where the folder should be')
    assert quiz.q7.check('show_batch')
    assert 'progress is not kept' in capsys.readouterr().out


def test_a_full_disk_leaves_what_was_there(home, monkeypatch, capsys):
    quiz.q7.check('show_batch')
    before = quiz.progress_file().read_text()
    def full(*args, **kwargs): raise OSError(28, 'No space left on device', 'progress')
    with monkeypatch.context() as m:
        m.setattr('pathlib.Path.replace', full)
        assert quiz.q13.check([.22, .02, .76])
    assert 'No space left on device' in capsys.readouterr().out
    assert quiz.progress_file().read_text() == before and os.listdir(home/'pet_breeds') == ['progress.json']


def test_multiple_choice_as_a_page_and_as_text(monkeypatch):
    pytest.importorskip('IPython')
    shown = []
    monkeypatch.setattr('IPython.display.display', shown.append)
    monkeypatch.setattr('jupyterquiz.dynamic.display', shown.append, raising=False)
    state = random.getstate()
    quiz.q15.ask()
    assert random.getstate() == state
    text = shown[0]
    assert all(c[1] in repr(text) for c in quiz.q15.choices()) and '<script' not in text._repr_html_()
    assert '&lt;' in quiz._html('a < b') and quiz._html('see `f(x)`') == 'see <code>f(x)</code>'


# in a terminal

def terminal(home, lines, *words):
    env = {**os.environ, 'XDG_DATA_HOME': str(home)}
    return subprocess.run([f'{sys.exec_prefix}/bin/pet_breeds_quiz', *words], input=lines, capture_output=True, text=True, env=env, timeout=120)


def test_a_conversation(home):
    letter = next(letter for letter, _, ok, _ in quiz.q7.choices() if ok)
    done = terminal(home, f'hint\none_batch\n{letter}\n', 'q7')
    assert done.returncode == 0 and done.stderr == '', done.stderr
    for needle in ('Q7. ', quiz.q7.hint(), '✗ Q7: one_batch.', '✓ Q7 is right.', '1 of 25 solved'): assert needle in done.stdout, done.stdout
    assert quiz.read_progress()['q7'] == dict(tries=2, solved=True)


def test_the_menu_comes_when_asked_for_and_commands_in_any_case(home):
    done = terminal(home, 'Choices\nHELP\n?\nlambda x: x\n...\nQuit\n', '7')
    menu, before = quiz.q7.menu(), done.stdout.split('> ')[0]
    assert done.returncode == 0 and menu in done.stdout and menu not in before
    assert done.stdout.count('skip, quit\n') == 2 and done.stdout.count('A function is checked in a notebook') == 2
    assert quiz.read_progress() == {}


@pytest.mark.parametrize('line', ['('*5000, 'a'*100_000, '[' * 3000 + ']'*3000, '\x00', '"', "'"*3])
def test_odd_lines(home, line):
    done = terminal(home, f'{line}\n', 'q13')
    assert done.returncode == 0 and 'Traceback' not in done.stderr, done.stderr[-300:]


def test_numbers_and_lists_are_typed(home):
    done = terminal(home, '[.0757, .0296, .8947]\n[.22, .02, .76]\n', 'Q13')
    assert 'softmax of exp' in done.stdout and '✓ Q13 is right' in done.stdout, done.stdout


def test_solved_questions_are_not_asked_again(home):
    quiz.q1._kept(quiz.Result('q1', True, None, ''))
    done = terminal(home, 'skip\nquit\n')
    assert 'Q1. ' not in done.stdout and 'Q2. ' in done.stdout and 'Q3. ' in done.stdout and 'Q4. ' not in done.stdout


def test_it_ends_when_the_lines_do(home):
    done = terminal(home, '')
    assert done.returncode == 0 and '0 of 25 solved' in done.stdout and 'Traceback' not in done.stderr


def test_an_unknown_question(home):
    done = terminal(home, '', 'q99')
    assert done.returncode == 2 and "no question 'q99'" in done.stderr and 'Traceback' not in done.stderr
