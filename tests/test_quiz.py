"The engine of the quiz: nothing a learner gives it is fatal, and what was solved is kept."
import json
import os
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import tried
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pet_breeds import guide, judge, quiz
from pet_breeds.forms import typed_before
from pet_breeds.handout import checked_in
from pet_breeds.progress import progress_file, remember
from pet_breeds.questions import QUESTIONS
from pet_breeds.verdicts import check_source

IDS = [f'q{i}' for i in range(1, 24)] + ['fr1', 'fr2']
pytestmark = pytest.mark.usefixtures('home')
ENDLESS_LIST:list = []
ENDLESS_LIST.append(ENDLESS_LIST)


def test_all_questions_by_name():
    assert list(QUESTIONS) == IDS and set(IDS) <= set(dir(quiz))
    assert quiz.q13 is quiz.q13 and repr(quiz.q13).startswith('Q13. ')
    with pytest.raises(AttributeError, match='q24'): quiz.q24


def test_a_name_in_capitals_and_a_check_of_nothing():
    assert quiz.Q9 is quiz.q9 and quiz.FR1 is quiz.fr1 and not quiz.q9.check().answered
    with pytest.raises(AttributeError, match="the quiz has no 'Q99'"): quiz.Q99


def test_importing_it_is_light():
    heavy = {'torch', 'fastai', 'pandas', 'matplotlib', 'IPython'}
    code = f"import sys, pet_breeds.quiz; sys.exit(', '.join({heavy} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize('id', IDS)
def test_answer_proof_hint_points_and_choices(id):
    exercise = getattr(quiz, id)
    about = quiz._answers()[id]
    assert about['answer'] in exercise.answer() and about['code'] in exercise.proof()
    assert about['notebook'] in exercise.proof()
    assert len(exercise.hint()) > 10
    points, more = exercise.points().split('\n\n')
    assert points.splitlines() == [f'- {p}' for p in exercise.question.points] != [] and more.endswith(f'`quiz.{exercise.id}.solved()`.')
    assert exercise.answer().startswith(f"**{about['title']}**\n\n")
    assert exercise.answer().endswith(f"\n\nProven in lesson {about['notebook']}; see `.proof()`.")
    assert exercise.proof().endswith(f":\n\n```python\n{about['code']}\n```\n\n```\n{about['output']}\n```")
    assert exercise._repr_markdown_() == f'**{id.upper()}.** {exercise.question.text}'
    assert exercise.asked() == f'**{id.upper()}.** {exercise.question.typed}' and exercise.question.text.startswith(exercise.question.typed)
    assert 'function (' not in exercise.asked() and 'cell' not in exercise.asked() and 'Predict, then run' not in exercise.asked()
    assert exercise.hint()._repr_markdown_() == repr(exercise.hint()) == exercise.question.hint
    choices = exercise.choices()
    assert exercise.menu().splitlines() == [f'  {letter}) {text}' for letter, text, _, _ in choices]
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
    for answer in (..., [...], [1, ...], stub, lambda x: None, lambda x: ...):
        result = getattr(quiz, id).check(answer)
        assert not result and result.ok is None and not result.answered
        assert repr(result) == f'{id.upper()} is not answered yet. Replace the `...` and run the cell again.'


@pytest.mark.parametrize('answer', [[], [1], print,
                                    lambda x: x, lambda: 1, lambda: [...], lambda: -1, lambda x: (None, x)],
                         ids=lambda a: repr(a)[:20])
def test_an_answer_is_not_taken_for_a_stub(answer): assert not quiz._is_stub(answer)


def test_a_result_in_words():
    def said(*args): return repr(quiz.Result('q7', *args))
    assert said(True, None, '') == '✓ Q7 is right.' and said(True, None, 'So it is.') == '✓ Q7 is right. So it is.'
    assert said(False, 'one_batch', 'It draws nothing.') == '✗ Q7 is not right yet: It draws nothing.'
    assert said(False, None, 'No.') == '✗ Q7 is not right yet: No.'
    assert said(None, None, 'No.').startswith("? Q7: I can't tell. No. Say it in another way.") and said(None, None, '', False) == 'Q7 is not answered yet.'
    assert repr(quiz.Result('task', None, None, 'No.')) == "? I can't tell. No."
    assert quiz.Result('q7', True, None, 'x')._repr_markdown_() == said(True, None, 'x')
    assert quiz.q7.check('one_batch') == quiz.Result(
        'q7', False, 'one_batch', quiz.q7.question.mistakes['one_batch'] + ' See lesson 03, question 7.')


def test_a_mistake_points_to_the_lesson_with_the_answer():
    for id in IDS:
        where = getattr(quiz, id)._where()
        kind = 'further research' if id[0] == 'f' else 'question'
        assert where == f"See lesson {quiz._answers()[id]['notebook'][:2]}, {kind} {id.lstrip('qfr')}."


def test_what_cannot_be_told_gives_no_points_away():
    "A sentence, a name, nonsense: the points are shown when they are asked for"
    for id, answer in (('q12', 'Whenever the sun is shining on the beach.'), ('q7', 'display'), ('q6', 'It is about time.')):
        exercise = getattr(quiz, id)
        result = exercise.check(answer)
        assert (result.ok, result.mistake, result.answered) == (None, None, True) and not result
        assert repr(result).startswith(f"? {id.upper()}: I can't tell. I ") and not [p for p in exercise.question.points if p in repr(result)]
        assert repr(result).endswith(f'compare it with `quiz.{id}.points()`; if that is enough, `quiz.{id}.solved()` records it.')
        assert result.told('Ask.').endswith(' Ask.') and 'quiz.' not in result.told('')
        assert tried(id) == dict(tries=1, solved=False)


@pytest.mark.parametrize('line', ["I don't know", 'I do not know.', 'idk', 'I give up', 'what is the answer?', 'no idea!', 'skip', 'Hint'])
def test_who_asks_for_help_has_not_tried(line):
    for id in ('q2', 'q6', 'q13', 'q17'):
        result = getattr(quiz, id).check_typed(line)
        assert (result.ok, result.answered) == (None, False) and 'Take a hint' in result.text
    assert quiz.read_progress() == {}


def test_a_known_mistake_is_told_without_its_name():
    "The name is for tables: beside its explanation it reads like a stray word"
    result = quiz.q7.check('one_batch')
    assert result.mistake == 'one_batch' and repr(result).startswith('✗ Q7 is not right yet: one_batch returns the tensors')


@pytest.mark.parametrize('line, value', [('3', 3), ("[1, 'a']", [1, 'a']), ('one_batch', 'one_batch'), ('1 +', '1 +'), ('a, b', 'a, b'), ('1803.09820', '1803.09820'),
                                         ('0,25', '0,25'), ('0,17, 0', '0,17, 0'), ('3, 4', (3, 4)), ("r'a'", 'a')])
def test_what_is_typed_is_read_as_python_where_it_can_be(monkeypatch, line, value):
    given = []
    monkeypatch.setattr(quiz.Exercise, 'check', lambda self, answer: given.append(answer))
    quiz.q7.check_typed(f' {line} ')
    assert given == [value]


def test_python_says_nothing_of_how_an_answer_is_written(monkeypatch, capfd):
    "Neither where it is typed and shown again, nor where it is handed in and checked again in another process"
    monkeypatch.setenv('PYTHONWARNINGS', 'default')
    judge._end_pool() # so that the next one has these warnings
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter('always')
        for id, typed in (('q2', r"'(.+)_\d+\.jpg$'"), ('q2', r'[[a-z](.+)_\d+\.jpg$'), ('q7', r"'a \d'"), ('q22', '17or 23'), ('q19', "1 is 1")):
            source = f'quiz.{id}.check({typed})'
            quiz.exercise_of(id).check_typed(typed)
            remember(id, False, given=source)
            typed_before(id, 'All questions'), checked_in(source), check_source(id, source)
        guide._solution("# Solution\nassert quiz.q7.check('a \\d')")
    judge._end_pool()
    assert told == [] and capfd.readouterr().err == ''


def test_a_slip_beside_a_right_answer():
    result = quiz.q17.check('First the head, batchnorm in the body being frozen as well, then all layers.')
    assert result and result.mistake == 'BatchNorm'
    assert ' A slip: Not all of a frozen body' in repr(result) and repr(result).startswith('✓ Q17 is right. ')
    assert repr(result).endswith('See lesson 07, question 17.')


def test_solved_by_yourself_is_kept_apart():
    assert quiz.q12.solved() == 'Q12 is solved, as you said yourself.'
    assert quiz.read_progress() == {'q12': dict(tries=0, solved=False, by_you=True)}
    quiz.q12.check('Whenever the sun is shining on the beach.')
    quiz.q7.check('show_batch')
    assert tried('q12') == dict(tries=1, solved=False, by_you=True)
    shown = quiz.show()
    assert shown.startswith('2 of 25 solved, 1 of them as you said yourself\n')
    assert '| Q12 | ✓ by yourself |' in shown and '| Q7 | ✓ |' in shown
    assert quiz.q12.check(['softmax', 'sigmoid', 'sigmoid', 'softmax'])
    assert tried('q12') == dict(tries=2, solved=True, by_you=True) and quiz.show().startswith('2 of 25 solved\n')


@pytest.mark.parametrize('answer', [None, '', 'nothing to see', 3, -1.5, float('nan'), [], [None], {}, object(), b'x',
                                    {1: 2}, print, 'a'*10_000, [[[]]], range(3), 1j],
                         ids=lambda a: repr(a)[:20])
@pytest.mark.parametrize('id', IDS)
def test_no_answer_is_fatal(id, answer):
    result = getattr(quiz, id).check(answer, seconds=5)
    assert result.ok in (True, False, None) and result.answered
    assert isinstance(repr(result), str) and isinstance(result._repr_markdown_(), str)


class Hostile:
    "Raises whatever is asked of it"
    def __init__(self, error): self.__dict__['error'] = error
    def __getattr__(self, name): raise self.__dict__['error']
    def __str__(self): raise self.__dict__['error']
    def __eq__(self, other): raise self.__dict__['error']
    def __bool__(self): raise self.__dict__['error']
    def __len__(self): raise self.__dict__['error']
    def __iter__(self): raise self.__dict__['error']
    def __float__(self): raise self.__dict__['error']
    __repr__ = __call__ = __array__ = __str__
    __hash__ = None


@pytest.mark.parametrize('error', [ValueError('mine'), SystemExit(3), RecursionError(), MemoryError()],
                         ids=lambda e: type(e).__name__)
@pytest.mark.parametrize('id', ['q1', 'q2', 'q3', 'q7', 'q12', 'q17', 'q19', 'q21', 'fr2'])
def test_no_object_is_fatal(id, error):
    for answer in (Hostile(error), [Hostile(error)], dict(error=Hostile(error), n=3, se=.1)):
        assert not getattr(quiz, id).check(answer)


def test_a_function_that_fails_changes_its_input_or_never_ends():
    def raises(x): raise KeyError('no such breed')
    def changes(x): return x.mul_(2)
    def endless(x):
        while True: time.sleep(.01)
    def leaves(x): sys.exit(3)
    def dies(x): os._exit(3)
    results = [quiz.q13.check(f, seconds=2) for f in (raises, changes, endless, leaves, dies)]
    for result, needle in zip(results, ("raises KeyError: 'no such breed'", '`changes` changes what it is given',
                                        'still running after 2 seconds', 'exit: SystemExit(3)', 'ended the process')):
        assert needle in result.text and result.ok is False, results
    assert results[2].text.endswith('end?'), results
    assert quiz.q13.check(lambda x: x.softmax(0))


def test_an_endless_function_is_stopped_with_its_process(tmp_path):
    def endless(x, file=tmp_path/'pid'):
        file.write_text(str(os.getpid()))
        while True: pass
    assert 'still running' in quiz.q13.check(endless, seconds=1).text
    pid = int((tmp_path/'pid').read_text())
    assert pid != os.getpid()
    deadline = time.time() + 20
    while os.path.exists(f'/proc/{pid}') and time.time() < deadline: time.sleep(.05)
    assert not os.path.exists(f'/proc/{pid}')


def test_a_pattern_that_would_take_hours_is_stopped():
    start = time.time()
    result = quiz.q2.check(r'^((\w+)+)+\d+\.png$', seconds=1)
    assert result.ok is False and 'still running after 1 seconds' in result.text and time.time() - start < 60
    assert quiz.q2.check(r'(.+)_\d+\.jpg$')


def test_what_a_function_prints_is_shown(capsys):
    def talks(x):
        print('shape', tuple(x.shape))
        return x.softmax(0)
    assert quiz.q13.check(talks) and 'shape (3,)' in capsys.readouterr().out


def test_a_function_that_cannot_be_sent_runs_here(capsys):
    lock = threading.Lock() # can't be pickled
    def locked(x):
        with lock: return x.softmax(0)
    def endless(x):
        with lock:
            while True: pass
    assert quiz.q13.check(locked)
    before = set(threading.enumerate())
    assert 'still running after 0.5 seconds' in quiz.q13.check(endless, seconds=.5).text
    deadline = time.time() + 20
    while set(threading.enumerate()) - before and time.time() < deadline: time.sleep(.05)
    assert set(threading.enumerate()) <= before


def test_where_no_process_can_be_started_a_thread_does(monkeypatch):
    judge._end_pool()
    def fails(*args, **kwargs): raise OSError('no process')
    monkeypatch.setattr('joblib.externals.loky.ProcessPoolExecutor', fails)
    assert quiz.q13.check(lambda x: x.softmax(0)) and judge._learner_pool is None


def test_modules_are_imported_before_the_clock_starts():
    "torch, cut off in mid-import, would be of no use to the kernel any more"
    code = ("import time, sys; from pet_breeds import judge, quiz; judge._elsewhere = lambda *args: None\n"
            "assert quiz.q13.check(lambda x: x.softmax(0), seconds=.5), 'the import took longer than the limit'\n"
            "import torch; print(torch.ones(2).sum())")
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0 and 'tensor(2.)' in done.stdout, done.stderr


def test_numbers_and_words_load_no_torch():
    code = ("import sys; from pet_breeds import quiz\n"
            "assert quiz.q13.check([.22, .02, .76]) and quiz.q11.check('They are positive and sum to 1.')\n"
            "sys.exit(', '.join({'torch', 'pandas', 'joblib'} & set(sys.modules)) or 0)")
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_forked_process_that_ran_a_function_ends():
    "As a worker of nbdev_test does: its exit waits for all of its children, so the learner's process must have ended before"
    code = ("import multiprocessing, sys; from pet_breeds.judge import within\n"
            "def work(): assert within(60, abs, -1, apart=True) == 1\n"
            "process = multiprocessing.get_context('fork').Process(target=work)\n"
            "process.start(); process.join(60); ended = process.exitcode; process.kill(); sys.exit(repr(ended) if ended else 0)")
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_function_that_cannot_be_stopped_does_not_keep_the_process_alive():
    assert judge.within(9, lambda: threading.current_thread().daemon)


def test_a_method_is_named_and_not_run():
    class Loaders:
        def show_batch(self): raise AssertionError('was called')
        def __reduce__(self): raise AssertionError('was sent to another process')
    assert quiz.q7.check(Loaders().show_batch)


def test_progress_is_kept_and_shown(home, capsys):
    assert quiz.show().startswith('0 of 25 solved')
    quiz.q7.check('one_batch'); quiz.q7.check('show_batch'); quiz.q7.check('one_batch'); quiz.q20.check('linspace')
    assert [*quiz.read_progress()] == ['q7', 'q20']
    assert tried('q7') == dict(tries=3, solved=True) and tried('q20') == dict(tries=1, solved=False)
    shown = quiz.show()
    assert shown.startswith('1 of 25 solved') and '| Q7 | ✓ |' in shown and '| Q20 | 1 try |' in shown
    assert f"| Q7 | ✓ | {quiz._answers()['q7']['title']} | 03_data |" in shown.splitlines()
    assert len(shown.splitlines()) == 4+25
    assert shown.splitlines()[1] == ''
    assert shown.splitlines()[3] == '|---|---|---|---|', 'what makes it a table in Markdown'
    quiz.q20.check('linspace'); quiz.q7.check('one_batch')
    assert capsys.readouterr().out == '', 'nothing is said of what goes well'
    assert '| Q20 | 2 tries |' in quiz.show() and '| Q7 | ✓ |' in quiz.show() and '| Q21 |  |' in quiz.show()
    assert sorted(os.listdir(home/'pet_breeds')) == ['.progress.lock', 'progress.json']


def test_two_kernels_at_once_lose_nothing():
    code = "from pet_breeds import quiz\nfor id in {}:\n    for _ in range(15): getattr(quiz, id).check('x')"
    ids = ['q7', 'q8', 'q18'], ['q4', 'q5', 'q18'], ['q7', 'q8', 'fr1']
    running = [subprocess.Popen([sys.executable, '-c', code.format(names)]) for names in ids]
    assert [process.wait(120) for process in running] == [0, 0, 0]
    tries = {id: q['tries'] for id, q in quiz.read_progress().items()}
    assert tries == dict(q7=30, q8=30, q18=30, q4=15, q5=15, fr1=15)


@pytest.mark.parametrize('answer, given', [('a "b\nc', """quiz.q1.check('a "b\\nc')"""), ([1, (.5, True)], 'quiz.q1.check([1, (0.5, True)])'), ({'n': 3}, "quiz.q1.check({'n': 3})"), (float('nan'), "quiz.q1.check(float('nan'))"), (float('-inf'), "quiz.q1.check(float('-inf'))"), (1+2j, 'quiz.q1.check((1+2j))'),
                                           (torch.tensor([[.5, 2]]), 'quiz.q1.check([[0.5, 2.0]])'), (torch.tensor([.5], requires_grad=True), 'quiz.q1.check(0.5)'), (np.arange(3), 'quiz.q1.check([0, 1, 2])'),
                                           (torch.log(torch.tensor(-2.)), "quiz.q1.check(float('nan'))"), (pd.Series([1, 2]), 'quiz.q1.check([1, 2])'), (np.zeros(10**6), None), (torch.empty(3, device='meta'), None), (np.array([object]*2), None),
                                           ('x '*5_000, None), (np.float64(3), 'quiz.q1.check(3.0)'), ([object], None), (True, 'quiz.q1.check(True)'),
                                           pytest.param(10**5_000, None, id='digits'), pytest.param(ENDLESS_LIST, None, id='endless')])
def test_an_answer_that_can_be_written_down_is_kept(home, answer, given):
    quiz.q1.check(answer)
    assert quiz.read_progress()['q1'].get('given') == given


def test_the_answer_that_solved_a_question_is_kept(home):
    for answer in ('one_batch', 'show_batch', 'summary'): quiz.q7.check(answer)
    assert quiz.read_progress()['q7']['given'] == "quiz.q7.check('show_batch')"
    letter = quiz.q8.choices()[0][0]
    quiz.q8.choose(letter)
    assert quiz.read_progress()['q8']['given'] == f"quiz.q8.choose('{letter}')"


@pytest.mark.parametrize('id, wrong, right, given', [
    ('q13', [.1, .2, .7], torch.tensor([.22, .02, .76]), 'quiz.q13.check([0.2'), ('q13', [.1, .2, .7], pd.DataFrame(dict(exp=[1.02, .08, 3.49], softmax=[.22, .02, .76])), None),
    ('q13', [.1, .2, .7], lambda x: x.softmax(0), None), ('q15', -.69, float('nan'), "quiz.q15.check(float('nan'))"), ('q23', 'float16', torch.float32, None)])
def test_a_right_answer_takes_the_place_of_a_wrong_one(id, wrong, right, given):
    "Also one that cannot be written down; a later wrong one changes nothing"
    exercise = quiz.exercise_of(id)
    for answer, ok in ((wrong, False), (right, True), (wrong, False)):
        assert bool(exercise.check(answer)) == ok
        if not ok: continue
        kept = quiz.read_progress()[id].get('given')
        assert (kept or '').startswith(given or '') and (kept is None) == (given is None)
    assert quiz.read_progress()[id].get('given') == kept


@pytest.mark.parametrize('id, answer', [('q13', torch.tensor([[.22, .02, .76]])), ('q13', np.array([.1, .2, .7])), ('q19', torch.tensor([1e-5, 1e-4, 1e-3])), ('q20', np.linspace(1e-6, 1e-4, 3)),
                                        ('q21', torch.tensor([.25])), ('q15', float('-inf')), ('q15', np.float32('nan')), ('q15', 0.6931+3.1416j), ('q15', torch.tensor([-.693]))])
def test_what_is_written_down_is_judged_like_the_answer(id, answer):
    "With and without running code"
    result = quiz.exercise_of(id).check(answer)
    want = 'right' if result else f'wrong: {result.mistake}' if result.mistake else 'wrong'
    for run in (True, False): assert check_source(id, quiz.read_progress()[id]['given'], run)[0] == want


def test_a_locked_folder_shows_no_points(home, tmp_path, monkeypatch):
    "Nor does a verdict send there"
    monkeypatch.chdir(tmp_path)
    (tmp_path/'locked.txt').touch()
    for id, q in quiz.QUESTIONS.items(): assert 'Ask your teacher' in getattr(quiz, id).points() and not [p for p in q.points if p in getattr(quiz, id).points()]
    told = repr(quiz.q12.check('Whenever it rains.'))
    assert told.endswith('Say it in another way, or leave it to your teacher.') and 'points()' not in told and 'compare' not in quiz.q12.check('Whenever it rains.').told('or compare it')


def test_progress_makes_the_folders_it_needs(home, monkeypatch):
    monkeypatch.setenv('XDG_DATA_HOME', str(home/'not'/'there'))
    assert quiz.q7.check('show_batch') and quiz.read_progress() == {'q7': dict(tries=1, solved=True, given="quiz.q7.check('show_batch')")}


def test_not_answered_is_not_a_try():
    quiz.q7.check(...)
    assert quiz.read_progress() == {}


@pytest.mark.parametrize('text', ['', '{', '[]', 'null', '{"version": 1}', '{"version": "1", "questions": {}}',
                                  '{"version": 1, "questions": {"q7": 3}}', '[' * 100_000, '\x00',
                                  '{"version": 1, "questions": {"q7": {"tries": 1}}}',
                                  '{"version": 1, "questions": {"q7": {"tries": "1", "solved": true}}}',
                                  '{"version": true, "questions": {}}', '{"version": -1, "questions": {}}',
                                  '{"version": 1000, "questions": {}}',
                                  '{"version": 1, "questions": {"q7": {"tries": -1, "solved": true}}}',
                                  '{"version": 1, "questions": {"q7": {"tries": 1000000000, "solved": true}}}',
                                  '{"version": 1, "questions": {"q7": {"tries": 1, "solved": 1}}}',
                                  '{"version": 1, "questions": {"q7": {"tries": 1, "solved": true, "by_you": 1}}}'],
                         ids=lambda t: ascii(t)[:12].replace('\\', ''))
def test_a_broken_file_is_set_aside(home, capsys, text):
    file = progress_file()
    file.parent.mkdir()
    for _ in range(2):
        file.write_text(text)
        assert quiz.q7.check('show_batch')
    assert sorted(os.listdir(file.parent)) == ['.progress.lock', 'progress.broken-1.json', 'progress.broken-2.json',
                                               'progress.json']
    assert (file.parent/'progress.broken-2.json').read_text() == text
    assert 'progress.json could not be read: set aside as progress.broken-1.json' in capsys.readouterr().out


def test_a_file_that_is_no_text_is_set_aside():
    file = progress_file()
    file.parent.mkdir()
    file.write_bytes(b'\xff\xfe{}')
    assert quiz.read_progress() == {} and not file.exists()


def test_a_diligent_learner():
    file = progress_file()
    file.parent.mkdir()
    file.write_text('{"version": 1, "questions": {"q7": {"tries": 1000000, "solved": false}}}')
    assert not quiz.q7.check('one_batch') and tried('q7') == dict(tries=1_000_001, solved=False)


def test_a_later_version_is_left_alone(capsys):
    file = progress_file()
    file.parent.mkdir()
    file.write_text(text := '{"version": 99, "questions": {}}')
    with pytest.raises(ValueError, match='progress.json is of version 99, later than 1: update pet_breeds') as e:
        quiz.show()
    assert str(file) in str(e.value)
    assert quiz.q7.check('show_batch') and not quiz.q7.check('one_batch') and quiz.q7.choose('a').text and 'is solved' in quiz.q7.solved(), 'the verdict is not lost'
    assert capsys.readouterr().out.count('progress is not kept: progress.json is of version 99') == 4
    assert file.read_text() == text


KEYS = st.sampled_from(['version', 'questions', 'q7', 'tries', 'solved'])


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kept=st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5),
                         lambda c: st.lists(c, max_size=3) | st.dictionaries(KEYS, c, max_size=4)))
def test_any_json_in_the_file(kept, home):
    progress_file().parent.mkdir(exist_ok=True)
    progress_file().write_text(json.dumps(kept))
    try: assert isinstance(quiz.read_progress(), dict)
    except ValueError as e: assert 'update pet_breeds' in str(e)


def test_where_nothing_can_be_kept_answers_are_still_judged(home, capsys):
    (home/'pet_breeds').write_text('a file where the folder should be')
    assert quiz.q7.check('show_batch')
    assert 'progress is not kept: ' in (said := capsys.readouterr().out) and str(home/'pet_breeds') in said
    assert quiz.show().startswith('0 of 25 solved') and quiz.read_progress() == {}


def test_without_a_home_answers_are_judged_and_nothing_is_kept(no_home, capsys):
    assert quiz.q7.check('show_batch')
    assert capsys.readouterr().out == 'progress is not kept: no home folder: set XDG_DATA_HOME to a folder\n'
    assert quiz.show().startswith('0 of 25 solved') and quiz.read_progress() == {}


def test_without_a_home_a_variable_says_where_progress_is_kept(no_home, tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_DATA_HOME', str(tmp_path/'data'))
    assert quiz.q7.check('show_batch') and quiz.read_progress()['q7']['solved']
    assert (tmp_path/'data'/'pet_breeds'/'progress.json').is_file()


def test_a_full_disk_leaves_what_was_there(home, monkeypatch, capsys):
    quiz.q7.check('show_batch')
    before = progress_file().read_text()
    def full(*args, **kwargs): raise OSError(28, 'No space left on device', 'progress')
    with monkeypatch.context() as m:
        m.setattr('os.replace', full)
        assert quiz.q13.check([.22, .02, .76])
    assert 'No space left on device' in capsys.readouterr().out
    assert progress_file().read_text() == before
    assert sorted(os.listdir(home/'pet_breeds')) == ['.progress.lock', 'progress.json']


@pytest.mark.parametrize('id', IDS)
def test_multiple_choice_is_text_too(id, monkeypatch):
    "Where no kernel runs: which is right and why are under a triangle"
    exercise, shown = getattr(quiz, id), []
    monkeypatch.setattr('IPython.display.display', lambda data, raw: shown.append(data))
    exercise.ask()
    [data], page = shown, shown[0]['text/html']
    assert '<script' not in page and data['text/plain'] == f'{exercise!r}\n{exercise.menu()}'
    items = [f"<li>{quiz._html(text)}<details><summary>chosen</summary>{'Right' if ok else 'No'}: {quiz._html(why)}"
             "</details></li>" for _, text, ok, why in exercise.choices()]
    assert f'<ol type="a">{"".join(items)}</ol></details>' in page and quiz._html(exercise.question.text) in page
    assert page.startswith(f'<details><summary>{id.upper()} as text, without a script</summary>')
    assert 'application/vnd.jupyter.widget-view+json' in data


def test_text_on_a_page():
    assert '&lt;' in quiz._html('a < b')
    assert quiz._html('see `f(x)`, "g" and `h`') == 'see <code>f(x)</code>, "g" and <code>h</code>'


def test_one_lesson():
    "By number or name; a solution of ours is checked and leaves no trace"
    assert quiz.q11.check('The values are positive and sum to 1.', keep=False) and quiz.read_progress() == {}
    quiz.q7.check('show_batch'), quiz.q20.check('linspace', keep=False)
    assert quiz.show(3).startswith('1 of 2 solved\n') and quiz.show('03_data') == quiz.show('03') == quiz.show(3)
    assert [line.split()[1] for line in quiz.show('05').splitlines()[4:]] == [f'Q{n}' for n in range(10, 16)]
    for none in (11, '12_quiz', 'loss', -1, ''):
        with pytest.raises(ValueError, match='answers none of the questions: expected a number or name of 01_start'): quiz.show(none)
