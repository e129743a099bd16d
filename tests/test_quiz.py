"The engine of the quiz: nothing a learner gives it is fatal, and what was solved is kept."
import io
import json
import os
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pet_breeds import core, judge, quiz
from pet_breeds.questions import QUESTIONS

IDS = [f'q{i}' for i in range(1, 24)] + ['fr1', 'fr2']


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    "Progress in a folder of the test's own"
    monkeypatch.setenv('XDG_DATA_HOME', str(tmp_path))
    return tmp_path


def tried(id):
    "What is kept of a question, but when it is to be reviewed"
    return {name: value for name, value in quiz.read_progress()[id].items() if name not in ('review', 'reviewed')}


def test_all_questions_by_name():
    assert list(QUESTIONS) == IDS and set(IDS) <= set(dir(quiz))
    assert quiz.q13 is quiz.q13 and repr(quiz.q13).startswith('Q13. ')
    with pytest.raises(AttributeError, match='q24'): quiz.q24


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
    assert exercise.points().splitlines() == [f'- [ ] {p}' for p in exercise.question.points] != []
    assert exercise.answer().startswith(f"**{about['title']}**\n\n")
    assert exercise.answer().endswith(f"\n\nProven in lesson {about['notebook']}; see `.proof()`.")
    assert exercise.proof().endswith(f":\n\n```python\n{about['code']}\n```\n\n```\n{about['output']}\n```")
    assert exercise._repr_markdown_() == f'**{id.upper()}.** {exercise.question.text}'
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
    for answer in (..., [...], stub, lambda x: None, lambda x: ...):
        result = getattr(quiz, id).check(answer)
        assert not result and result.ok is None and not result.answered
        assert repr(result) == f'{id.upper()} is not answered yet. Replace the `...` and run the cell again.'


@pytest.mark.parametrize('answer', [[], [1], [..., ...], print,
                                    lambda x: x, lambda: 1, lambda: [...], lambda: -1, lambda x: (None, x)],
                         ids=lambda a: repr(a)[:20])
def test_an_answer_is_not_taken_for_a_stub(answer): assert not quiz._is_stub(answer)


def test_a_result_in_words():
    def said(*args): return repr(quiz.Result('q7', *args))
    assert said(True, None, '') == '✓ Q7 is right.' and said(True, None, 'So it is.') == '✓ Q7 is right. So it is.'
    assert said(False, 'one_batch', 'It draws nothing.') == '✗ Q7: one_batch. It draws nothing.'
    assert said(False, None, 'No.') == '✗ Q7 is not right yet: No.'
    assert said(None, None, 'No.') == "? Q7: I can't tell. No." and said(None, None, '', False) == 'Q7 is not answered yet.'
    assert repr(quiz.Result('task', None, None, 'No.')) == "? That: I can't tell. No."
    assert quiz.Result('q7', True, None, 'x')._repr_markdown_() == said(True, None, 'x')
    assert quiz.q7.check('one_batch') == quiz.Result(
        'q7', False, 'one_batch', quiz.q7.question.mistakes['one_batch'] + ' See lesson 03, question 7.')


def test_a_mistake_points_to_the_lesson_with_the_answer():
    for id in IDS:
        where = getattr(quiz, id)._where()
        kind = 'further research' if id[0] == 'f' else 'question'
        assert where == f"See lesson {quiz._answers()[id]['notebook'][:2]}, {kind} {id.lstrip('qfr')}."


def test_what_cannot_be_told_shows_the_points_to_tick():
    result = quiz.q12.check('Whenever the sun is shining on the beach.')
    assert (result.ok, result.mistake, result.answered) == (None, None, True)
    assert result.points == quiz.q12.question.points and not result
    shown = repr(result)
    assert shown.startswith("? Q12: I can't tell. I found nothing on a case.")
    assert all(f'\n- [ ] {point}\n' in shown for point in result.points) and '`quiz.q12.solved()` records it' in shown
    assert quiz.read_progress()['q12'] == dict(tries=1, solved=False)


def test_a_name_that_cannot_be_told_gives_no_points_away():
    result = quiz.q7.check('display')
    assert result.ok is None and not result.points and 'show_batch' not in repr(result)
    assert repr(result).endswith('To compare it yourself: `quiz.q7.points()`.')


def test_a_slip_beside_a_right_answer():
    result = quiz.q17.check('First the head, batchnorm in the body being frozen as well, then all layers.')
    assert result and result.mistake == 'BatchNorm'
    assert ' A slip, BatchNorm: ' in repr(result) and repr(result).startswith('✓ Q17 is right. ')
    assert repr(result).endswith('See lesson 07, question 17.')


def test_solved_by_yourself_is_kept_apart():
    assert quiz.q12.solved() == 'Q12 is solved, by your own word.'
    assert quiz.read_progress() == {'q12': dict(tries=0, solved=False, by_you=True)}
    quiz.q12.check('Whenever the sun is shining on the beach.')
    quiz.q7.check('show_batch')
    assert quiz.read_progress()['q12'] == dict(tries=1, solved=False, by_you=True)
    shown = quiz.show()
    assert shown.startswith('2 of 25 solved, 1 of them by yourself\n')
    assert '| Q12 | ✓ by yourself |' in shown and '| Q7 | ✓ |' in shown
    assert quiz.q12.check(['softmax', 'sigmoid', 'sigmoid', 'softmax'])
    assert quiz.read_progress()['q12'] == dict(tries=2, solved=True, by_you=True) and quiz.show().startswith('2 of 25 solved\n')


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
    for result, needle in zip(results, ("raises KeyError: 'no such breed'", 'changes changes what it is given',
                                        'still running after 2 seconds', 'exit: SystemExit(3)', 'it ended the process')):
        assert needle in result.text and result.ok is False, results
    assert results[2].text.endswith('end?.'), results
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


def test_progress_makes_the_folders_it_needs(home, monkeypatch):
    monkeypatch.setenv('XDG_DATA_HOME', str(home/'not'/'there'))
    assert quiz.q7.check('show_batch') and quiz.read_progress() == {'q7': dict(tries=1, solved=True)}


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
    file = quiz.progress_file()
    file.parent.mkdir()
    for _ in range(2):
        file.write_text(text)
        assert quiz.q7.check('show_batch')
    assert sorted(os.listdir(file.parent)) == ['.progress.lock', 'progress.broken-1.json', 'progress.broken-2.json',
                                               'progress.json']
    assert (file.parent/'progress.broken-2.json').read_text() == text
    assert 'progress.json could not be read: set aside as progress.broken-1.json' in capsys.readouterr().out


def test_a_file_that_is_no_text_is_set_aside():
    file = quiz.progress_file()
    file.parent.mkdir()
    file.write_bytes(b'\xff\xfe{}')
    assert quiz.read_progress() == {} and not file.exists()


def test_a_diligent_learner():
    file = quiz.progress_file()
    file.parent.mkdir()
    file.write_text('{"version": 1, "questions": {"q7": {"tries": 1000000, "solved": false}}}')
    assert not quiz.q7.check('one_batch') and tried('q7') == dict(tries=1_000_001, solved=False)


def test_a_later_version_is_left_alone():
    file = quiz.progress_file()
    file.parent.mkdir()
    file.write_text(text := '{"version": 99, "questions": {}}')
    with pytest.raises(ValueError, match='progress.json is of version 99, later than 1: update pet_breeds') as e:
        quiz.show()
    assert str(file) in str(e.value)
    assert file.read_text() == text


KEYS = st.sampled_from(['version', 'questions', 'q7', 'tries', 'solved'])


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kept=st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5),
                         lambda c: st.lists(c, max_size=3) | st.dictionaries(KEYS, c, max_size=4)))
def test_any_json_in_the_file(kept, home):
    quiz.progress_file().parent.mkdir(exist_ok=True)
    quiz.progress_file().write_text(json.dumps(kept))
    try: assert isinstance(quiz.read_progress(), dict)
    except ValueError as e: assert 'update pet_breeds' in str(e)


def test_where_nothing_can_be_kept_answers_are_still_judged(home, capsys):
    (home/'pet_breeds').write_text('a file where the folder should be')
    assert quiz.q7.check('show_batch')
    assert 'progress is not kept: ' in (said := capsys.readouterr().out) and str(home/'pet_breeds') in said


def test_a_full_disk_leaves_what_was_there(home, monkeypatch, capsys):
    quiz.q7.check('show_batch')
    before = quiz.progress_file().read_text()
    def full(*args, **kwargs): raise OSError(28, 'No space left on device', 'progress')
    with monkeypatch.context() as m:
        m.setattr('os.replace', full)
        assert quiz.q13.check([.22, .02, .76])
    assert 'No space left on device' in capsys.readouterr().out
    assert quiz.progress_file().read_text() == before
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


# in a terminal

COMMAND = """from pet_breeds import core, quiz
core.run_command(quiz.take_quiz, 'pet_breeds_quiz', 'Questions')"""


def in_a_process(words, lines, **env):
    "The command in a process of its own, which gets `lines` as bytes, or no standard input for None"
    how = dict(input=lines) if lines is not None else {}
    code = COMMAND if lines is not None else f'import sys; sys.stdin = None; {COMMAND}'.replace('\n', '; ')
    return subprocess.run([sys.executable, '-c', code, *words], capture_output=True, env=os.environ | env, timeout=120,
                          **how)


@pytest.fixture
def terminal(monkeypatch, capsys):
    "The command, run in this process"
    def run(lines, *words):
        monkeypatch.setattr('sys.stdin', io.StringIO(lines))
        code = 0
        try: core.run_command(quiz.take_quiz, 'pet_breeds_quiz', 'Questions', [*words])
        except SystemExit as e: code = e.code
        return subprocess.CompletedProcess(words, code, *capsys.readouterr())
    return run


def right_letter(exercise): return next(letter for letter, _, ok, _ in exercise.choices() if ok)


def test_a_conversation():
    lines = f'hint\none_batch\nchoices\n{right_letter(quiz.q7)}\n'
    done = in_a_process(['q7'], lines.encode(), PYTHONIOENCODING='utf-8')
    assert done.returncode == 0 and done.stderr == b'', done.stderr
    for needle in ('7 of 25\nQ7. ', quiz._plain(quiz.q7.hint()), '✗ Q7: one_batch.', '✓ Q7 is right.', '1 of 25 solved'):
        assert needle in done.stdout.decode(), done.stdout
    assert tried('q7') == dict(tries=2, solved=True)


@pytest.mark.parametrize('env', [dict(PYTHONIOENCODING='ascii'), dict(PYTHONIOENCODING='latin-1'),
                                 dict(LC_ALL='POSIX', PYTHONUTF8='0', PYTHONCOERCECLOCALE='0')], ids=str)
def test_a_stream_without_a_tick_mark(env):
    "Marks are spelled out where the encoding lacks them; an answer in bytes of another encoding is judged, too"
    lines = f'größer\none_batch\nchoices\n{right_letter(quiz.q7)}\nanswer\nchoices\nskip\n'.encode()
    done = in_a_process(['q7', 'q15'], lines, **env)
    assert (done.returncode, done.stderr) == (0, b''), done.stderr
    assert b'[ ] Q7: one_batch.' in done.stdout and b'[x] Q7 is right.' in done.stdout
    assert done.stdout.endswith(b'\n1 of 25 solved\n') and quiz.read_progress()['q7']['tries'] == 3


def test_every_text_can_be_shown_in_ascii():
    lines = 'hint\npoints\nchoices\nanswer\nproof\nskip\n'*len(IDS)
    done = in_a_process(IDS, lines.encode(), PYTHONIOENCODING='ascii')
    assert (done.returncode, done.stderr) == (0, b'') and done.stdout.isascii()
    assert done.stdout.endswith(b'\n0 of 25 solved\n')


def test_without_standard_input_it_ends():
    done = in_a_process(['q7'], None)
    assert (done.returncode, done.stderr) == (0, b''), done.stderr
    assert done.stdout.endswith(b'\n0 of 25 solved\n')


def test_control_characters_never_reach_the_terminal(terminal, capsys):
    "An answer is quoted in a remark: a sequence that would write the clipboard is shown as codes"
    done = terminal('(\x1b]52;c;aGk=\x07\n', 'q2')
    assert '\x1b' not in done.stdout and '\x07' not in done.stdout and r'\x1b]52' in done.stdout, done.stdout


def test_the_menu_comes_when_asked_for_and_commands_in_any_case(terminal):
    done = terminal('Choices\nHELP\n?\nlambda x: x\n...\ndef f(x): return x\nQuit\n', '7')
    menu, before = quiz.q7.menu(), done.stdout.split('> ')[0]
    assert done.returncode == 0 and menu in done.stdout and menu not in before
    assert done.stdout.count('Type an answer, or one of choices, hint, points, answer, proof, solved, skip, quit. A name') == 3, 'at the start, too'
    assert done.stdout.count('Q7 is not answered yet. A function is checked in a notebook: quiz.q7.check(f).\n') == 2
    assert done.stdout.count('Q7 is not answered yet.') == 3
    assert quiz.read_progress() == {}


@pytest.mark.parametrize('command', [command for command in quiz.COMMANDS if command != 'solved'])
def test_a_command_shows_its_text_in_lines_that_fit(command, terminal):
    text, shown = quiz.COMMANDS[command](quiz.q10), terminal(f'{command}\n', 'Q10').stdout.split('Q10 > ')[1]
    assert shown.split() == quiz._plain(text).replace('see .proof()', 'type proof').split()
    assert '.proof()' not in shown and '`' not in shown and '**' not in shown and '$' not in shown
    assert max(map(len, shown.splitlines())) <= 100


@pytest.mark.parametrize('text, plain', [
    ('**Q1.** A *small* `dls.show_batch` of [x](y.ipynb#z)', 'Q1. A small dls.show_batch of x'),
    ('$e^x$, $-\\infty$ and $\\log 2 + i\\pi$', 'e^x, -infinity and log 2 + ipi'), ('- [ ] one\n- two', '[ ] one\n- two'),
    ('#### Q7. So\n2 * 3 * 4 and `a*b*c`', 'Q7. So\n2 * 3 * 4 and a*b*c'),
    ('In it:\n\n```python\nx = `**a**`\n# $y$\n```\n\n**b**', 'In it:\n\nx = `**a**`\n# $y$\n\nb'), ('', '')])
def test_markdown_as_plain_text(text, plain): assert quiz._plain(text) == plain


def test_solved_by_your_own_word_in_a_terminal(terminal):
    done = terminal('Whenever the sun is shining on the beach.\nsolved\n', 'q12', 'q7')
    assert "? Q12: I can't tell." in done.stdout and '\n[ ] ' in done.stdout and 'If that is enough, type solved.' in done.stdout
    assert 'quiz.q12' not in done.stdout and 'Q12 is solved, by your own word.\n' in done.stdout and 'Q7. ' in done.stdout
    assert done.stdout.endswith('\n1 of 25 solved, 1 of them by yourself\n')


def test_a_question_is_gone_to_by_its_name(terminal):
    done = terminal('q21\nquit\n', 'q1')
    assert '1 of 25\nQ1. ' in done.stdout and '21 of 25\nQ21. ' in done.stdout and quiz.read_progress() == {}
    done = terminal('Q22\nskip\nskip\n')
    assert [line for line in done.stdout.splitlines() if line.endswith(' of 25')] == ['1 of 25', '22 of 25', '23 of 25', '24 of 25']
    done = terminal('q99\nquit\n', 'q1')
    assert "no question 'q99'" in done.stdout and quiz.read_progress() == {}


def test_a_letter_counts_once_and_after_the_choices(terminal):
    wrong = [letter for letter, _, ok, _ in quiz.q7.choices() if not ok]
    done = terminal(f'{right_letter(quiz.q7)}\n', 'q7')
    assert 'Type choices first' in done.stdout and quiz.read_progress() == {}
    done = terminal(f'choices\n{wrong[0]}\n{wrong[1]}\n{right_letter(quiz.q7)}\nshow_batch\n', 'q7')
    assert done.stdout.count('Letters count once for each question.') == 2 and '✓ Q7 is right.' in done.stdout
    assert tried('q7') == dict(tries=2, solved=True)


def test_a_line_holds_a_hundred_characters():
    assert [*map(len, quiz._wrapped('a'*98 + ' b c').splitlines())] == [100, 1]
    assert [*map(len, quiz._wrapped('a'*99 + ' b').splitlines())] == [99, 1]


@pytest.mark.parametrize('form', ['{}', '({})', '{})', '{}.'])
def test_a_letter_in_any_form(form, terminal):
    for letter, text, ok, why in quiz.q7.choices():
        head = '✓ Q7 is right.' if ok else '✗ Q7 is not right yet:'
        lines = f'choices\n{form.format(letter.upper())}\n'
        assert quiz._plain(f'{head} {why}\n') in terminal(lines, 'q7').stdout
    assert tried('q7') == dict(tries=4, solved=True)


@pytest.mark.parametrize('skip, leave', [('skip', 'quit'), ('S', 'q'), ('next', ':q'), ('s', 'Exit')])
def test_skip_goes_on_and_quit_ends(skip, leave, terminal):
    done = terminal(f'\n  \n{skip}\n{leave}\n', 'q7', 'q20', 'q21')
    assert 'Q7. ' in done.stdout and 'Q20. ' in done.stdout and 'Q21. ' not in done.stdout
    assert done.stdout.endswith('\n0 of 25 solved\n')


def test_ctrl_c_ends_it_without_a_trace(terminal, monkeypatch):
    def stop(*args): raise KeyboardInterrupt
    monkeypatch.setattr(quiz, '_converse', stop)
    done = terminal('', 'q7')
    assert done.returncode == 130 and done.stderr == 'pet_breeds_quiz: interrupted\n'


def test_progress_that_cannot_be_read_ends_it(terminal):
    quiz.progress_file().parent.mkdir()
    quiz.progress_file().write_text('{"version": 99, "questions": {}}')
    done = terminal('', 'q7')
    assert done.returncode == 2 and done.stderr.startswith('pet_breeds_quiz: progress.json is of version 99')


def test_the_command_explains_itself(terminal):
    done = terminal('', '--help')
    assert done.returncode == 0 and done.stdout.startswith('usage: pet_breeds_quiz [-h] [IDS ...]')
    assert 'such as q13 or 13' in done.stdout


@pytest.mark.parametrize('line', ['('*5000, 'a'*100_000, '[' * 3000 + ']'*3000, '\x00', '"', "'"*3])
def test_odd_lines(terminal, line):
    done = terminal(f'{line}\n', 'q13')
    assert done.returncode == 0 and done.stderr == ''


def test_numbers_and_lists_are_typed(terminal):
    done = terminal('[.0757, .0296, .8947]\n[.22, .02, .76]\n', 'Q13', 'q14')
    assert 'softmax of exp' in done.stdout and '✓ Q13 is right' in done.stdout
    assert 'Q14. ' in done.stdout.split('✓')[1], done.stdout


def test_what_is_typed_is_read_as_python_where_it_can_be(monkeypatch):
    given = []
    monkeypatch.setattr(quiz.Exercise, 'check',
                        lambda self, answer: given.append(answer) or quiz.Result('q7', True, None, ''))
    for line in ('3', "[1, 'a']", 'one_batch', '1 +', 'a, b'): quiz._typed(quiz.q7, line, set())
    assert given == [3, [1, 'a'], 'one_batch', '1 +', 'a, b']


def test_solved_questions_are_not_asked_again(terminal):
    quiz.q1._kept(quiz.Result('q1', True, None, ''))
    done = terminal('skip\nquit\n')
    assert 'Q1. ' not in done.stdout and 'Q2. ' in done.stdout and 'Q3. ' in done.stdout and 'Q4. ' not in done.stdout


def test_what_was_missed_is_asked_again_on_its_day(terminal):
    quiz.q1._kept(quiz.Result('q1', False, None, '')), quiz.q1._kept(quiz.Result('q1', True, None, ''))
    assert 'Q1. ' not in terminal('quit\n').stdout
    kept = quiz.read_progress()
    kept['q1']['review'] = '2024-02-28'
    quiz.progress_file().write_text(json.dumps(dict(version=1, questions=kept)))
    assert 'Q1. ' in terminal('quit\n').stdout


def test_it_ends_when_the_lines_do(terminal):
    done = terminal('')
    assert done.returncode == 0 and done.stdout.endswith('\n0 of 25 solved\n') and done.stderr == ''
    assert 'Q2. ' not in done.stdout


def test_an_unknown_question(terminal):
    done = terminal('', 'q1', 'Q99')
    assert (done.returncode, done.stdout) == (2, '')
    assert done.stderr == "pet_breeds_quiz: no question 'q99': expected q1 to q23, fr1 or fr2\n"


def test_called_from_python(monkeypatch, capsys):
    monkeypatch.setattr('sys.stdin', io.StringIO('skip\nskip\nskip\n'))
    quiz.take_quiz([13, 'FR1'])
    out = capsys.readouterr().out
    assert 'Q13. ' in out and 'FR1. ' in out and out.count(quiz._wrapped(quiz.HELP)) == 1 and out.count('\nQ13 > ') == 1
    with pytest.raises(ValueError, match="no question 'q0'"): quiz.take_quiz(['0'])
