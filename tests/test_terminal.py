"The quiz in a terminal: what is typed is an answer or a command, nothing is told unasked, and it ends politely."
import io
import json
import os
import re
import subprocess
import sys

import pytest
from conftest import tried

from pet_breeds import core, quiz
from pet_breeds import terminal as term
from pet_breeds.progress import progress_file

IDS = [*quiz.QUESTIONS]
pytestmark = pytest.mark.usefixtures('home')


def flat(text):
    "On one line, as lines break elsewhere in a terminal of another width"
    return ' '.join(text.split())


COMMAND = """from pet_breeds import core, terminal
core.run_command(terminal.take_quiz, 'pet_breeds_quiz', 'Questions')"""


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
        try: core.run_command(term.take_quiz, 'pet_breeds_quiz', 'Questions', [*words])
        except SystemExit as e: code = e.code
        return subprocess.CompletedProcess(words, code, *capsys.readouterr())
    return run


def right_letter(exercise): return next(letter for letter, _, ok, _ in exercise.choices() if ok)


def test_a_conversation():
    lines = f'hint\none_batch\nchoices\n{right_letter(quiz.q7)}\n'
    done = in_a_process(['q7'], lines.encode(), PYTHONIOENCODING='utf-8')
    assert done.returncode == 0 and done.stderr == b'', done.stderr
    for needle in ('7 of 25\nQ7. ', term._plain(quiz.q7.hint()), '✗ Q7 is not right yet: one_batch', '✓ Q7 is right.', '1 of 25 solved'):
        assert flat(needle) in flat(done.stdout.decode()), done.stdout
    assert tried('q7') == dict(tries=2, solved=True)


@pytest.mark.parametrize('env', [dict(PYTHONIOENCODING='ascii'), dict(PYTHONIOENCODING='latin-1'),
                                 dict(LC_ALL='POSIX', PYTHONUTF8='0', PYTHONCOERCECLOCALE='0')], ids=str)
def test_a_stream_without_a_tick_mark(env):
    "Marks are spelled out where the encoding lacks them; an answer in bytes of another encoding is judged, too"
    lines = f'größer\none_batch\nchoices\n{right_letter(quiz.q7)}\nanswer\nchoices\nskip\n'.encode()
    done = in_a_process(['q7', 'q15'], lines, **env)
    assert (done.returncode, done.stderr) == (0, b''), done.stderr
    assert b'[ ] Q7 is not right yet: one_batch' in done.stdout and b'[x] Q7 is right.' in done.stdout
    assert b'\n1 of 25 solved\n24 are open: pet_breeds_quiz asks them.\nMissed at first: q7' in done.stdout and quiz.read_progress()['q7']['tries'] == 3


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
    assert done.stdout.count(term.HELP) == 2 and done.stdout.startswith(f'{term.FIRST}\n')
    assert all(f'  {command} ' in term.HELP for command in (*term.COMMANDS, 'skip', 'back', 'quit', 'q10'))
    assert done.stdout.count('Q7 is not answered yet. A function is checked in a notebook: quiz.q7.check(f).\n') == 2
    assert done.stdout.count('Q7 is not answered yet.') == 3
    assert quiz.read_progress() == {}


@pytest.mark.parametrize('command', [command for command in term.COMMANDS if command != 'solved'])
def test_a_command_shows_its_text_in_lines_that_fit(command, terminal, monkeypatch):
    for columns, width in ((None, 80), (50, 50), (300, 100)):
        monkeypatch.delenv('COLUMNS', raising=False) if columns is None else monkeypatch.setenv('COLUMNS', str(columns))
        text, shown = term.COMMANDS[command](quiz.q10), terminal(f'{command}\n', 'Q10').stdout.split('Q10 > ')[1]
        want = term._plain(text.replace(quiz.q10.to_count, 'type solved')).replace('see .proof()', 'type proof').split()
        assert shown.split()[:len(want)] == want and '[ ]' not in shown
        assert '.proof()' not in shown and '`' not in shown and '**' not in shown and '$' not in shown
        lines = shown.split('0 of 25 solved')[0].splitlines()
        if command == 'proof': assert width > 50 or '\n        on_paper ==' in shown, 'a long line of code goes on further in'
        assert max(map(len, lines)) <= width and (width > 80 or command != 'answer' or max(map(len, lines)) > width-15)


@pytest.mark.parametrize('id', IDS)
def test_nothing_asked_at_80_columns_is_wider(id, monkeypatch):
    monkeypatch.delenv('COLUMNS', raising=False)
    exercise = getattr(quiz, id)
    for text in (exercise.asked(), exercise.hint(), exercise.points(), exercise.answer(), *exercise.question.mistakes.values()):
        assert max(map(len, term._wrapped(text).splitlines())) <= 80


@pytest.mark.parametrize('text, plain', [
    ('**Q1.** A *small* `dls.show_batch` of [x](y.ipynb#z)', 'Q1. A small dls.show_batch of x'),
    ('$e^x$, $-\\infty$ and $\\log 2 + i\\pi$', 'e^x, -infinity and log 2 + ipi'), ('- [ ] one\n- two', '[ ] one\n- two'),
    ('#### Q7. So\n2 * 3 * 4 and `a*b*c`', 'Q7. So\n2 * 3 * 4 and a*b*c'),
    ('In it:\n\n```python\nx = `**a**`\n# $y$\n```\n\n**b**', 'In it:\n\nx = `**a**`\n# $y$\n\nb'), ('', '')])
def test_markdown_as_plain_text(text, plain): assert term._plain(text) == plain


def test_solved_by_your_own_word_in_a_terminal(terminal):
    done = terminal('Whenever the sun is shining on the beach.\npoints\nsolved\n', 'q12', 'q7')
    verdict, points = done.stdout.split('Q12 > ')[1:3]
    assert "? Q12: I can't tell." in verdict and 'type points' in verdict and quiz.q12.question.points[0] not in verdict
    assert f'- {quiz.q12.question.points[0]}' in points and 'If you said at least 1 of these, type solved.' in points
    assert 'quiz.q12' not in done.stdout and 'Q12 is solved, as you said yourself.\n' in done.stdout and 'Q7. ' in done.stdout
    assert done.stdout.endswith('\n1 of 25 solved, 1 of them as you said yourself\n24 are open: pet_breeds_quiz asks them.\n')


def test_solved_without_an_answer_is_asked_back(terminal):
    done = terminal('solved\nquit\n', 'q12')
    assert 'You have given no answer yet.' in done.stdout and quiz.read_progress() == {}
    terminal('solved\nsolved\n', 'q12')
    assert tried('q12') == dict(tries=0, solved=False, by_you=True)


def test_a_learner_who_does_not_know(terminal):
    done = terminal("I don't know\nwhat is the answer?\n\n", 'q2')
    assert done.stdout.count('Type hint, choices or answer.') == 2 and 'Type an answer, or help.' in done.stdout
    assert quiz.read_progress() == {}


def test_back_and_a_number_go_where_they_say(terminal):
    def asked(lines, *ids): return [line.partition('. ')[0] for line in terminal(lines, *ids).stdout.splitlines() if re.match(r'(Q|FR)\d+\. ', line)]
    assert asked('skip\nback\nprevious\n', 'q4', 'q7') == ['Q4', 'Q7', 'Q4', 'Q4'], 'back stays in the list'
    assert asked('back\nskip\n')[:2] == ['Q1', 'Q1'] and asked('skip\nback\nQ 3\nback\nquit\n') == ['Q1', 'Q2', 'Q1', 'Q3', 'Q1']
    assert asked('q15\nskip\nskip\nskip\nskip\n', 'q16', 'q14') == ['Q16', 'Q15', 'Q16', 'Q14'], 'a jump comes back to the list'
    assert asked('q15\nback\nskip\nskip\nskip\n', 'q16', 'q14') == ['Q16', 'Q15', 'Q16', 'Q15', 'Q14'], 'each once more'
    assert asked('5\nQ 11\nquestion 12\nfr 2\nback\n', 'q4') == ['Q4', 'Q5', 'Q11', 'Q12', 'FR2', 'Q12']
    assert asked('back\nquit\n', 'q1') == ['Q1', 'Q1'] and quiz.read_progress() == {}
    assert asked('17\n', 'q22', 'q23') == ['Q22', 'Q23'] and tried('q22')['solved'], 'a number that is asked for is an answer'
    assert asked('99\n', 'q4') == ['Q4'] and tried('q4') == dict(tries=1, solved=False)


def test_at_the_end_it_says_what_is_open_and_what_comes_back(terminal):
    for id in IDS:
        if id not in ('q5', 'q20', 'fr1'): quiz.exercise_of(id)._remember(True)
    quiz.q20.check('linspace'), quiz.q7.check('one_batch')
    done = terminal('fr1\n1506.01186\n')
    day = quiz.read_progress()['q20']['review']
    assert done.stdout.endswith(f'\n23 of 25 solved\nStill open: q5, q20. Type pet_breeds_quiz to go on with them.\nMissed at first: q20, to review on {day}.\n'
                                'To take now what you missed earlier, type pet_breeds_quiz q20\n'), done.stdout
    assert 'review' not in quiz.read_progress()['q7'], 'a miss after it was solved is play'


def test_at_the_end_what_was_taken_again_rightly_is_not_offered_now(terminal):
    done = terminal('linspace\nskip\none_batch\nshow_batch\n', 'q20', 'q7').stdout
    assert '\n24 are open: pet_breeds_quiz asks them.\nMissed at first: q20, q7, to review' in done.replace('q7, q20', 'q20, q7')
    assert done.endswith('\nTo take now what you missed earlier, type pet_breeds_quiz q20\n')
    assert 'To take now' not in terminal('1e-6, 1e-5, 1e-4\nshow_batch\n', 'q20', 'q7').stdout


def test_a_question_is_gone_to_by_its_name(terminal):
    done = terminal('q21\nquit\n', 'q1')
    assert '1 of 25\nQ1. ' in done.stdout and '21 of 25\nQ21. ' in done.stdout and quiz.read_progress() == {}
    done = terminal('Q22\nskip\nskip\n')
    assert [line for line in done.stdout.splitlines() if line.endswith(' of 25')] == ['1 of 25', '22 of 25', '23 of 25', '24 of 25']
    done = terminal('q99\nquit\n', 'q1')
    assert "no question 'q99'" in done.stdout and quiz.read_progress() == {}


def test_a_letter_that_is_no_choice(terminal):
    done = terminal('choices\ne\n', 'q1')
    assert 'Letters a to d.' in done.stdout and quiz.read_progress() == {}
    assert 'Q9 is right' in terminal('choices\nf\n', 'q9').stdout


def test_a_letter_counts_once_and_after_the_choices(terminal):
    wrong = [letter for letter, _, ok, _ in quiz.q7.choices() if not ok]
    done = terminal(f'{right_letter(quiz.q7)}\n', 'q7')
    assert 'Type choices first' in done.stdout and quiz.read_progress() == {}
    done = terminal(f'choices\n{wrong[0]}\n{wrong[1]}\n{right_letter(quiz.q7)}\nshow_batch\n', 'q7')
    assert done.stdout.count('Letters count once for each question.') == 2 and '✓ Q7 is right.' in done.stdout
    assert tried('q7') == dict(tries=2, solved=True)


@pytest.mark.parametrize('form', ['{}', '({})', '{})', '{}.'])
def test_a_letter_in_any_form(form, terminal):
    for letter, text, ok, why in quiz.q7.choices():
        head = '✓ Q7 is right.' if ok else '✗ Q7 is not right yet:'
        lines = f'choices\n{form.format(letter.upper())}\n'
        assert flat(term._plain(f'{head} {why}')) in flat(terminal(lines, 'q7').stdout)
    assert tried('q7') == dict(tries=4, solved=True)


@pytest.mark.parametrize('skip, leave', [('skip', 'quit'), ('S', 'q'), ('next', ':q'), ('s', 'Exit')])
def test_skip_goes_on_and_quit_ends(skip, leave, terminal):
    done = terminal(f'\n  \n{skip}\n{leave}\n', 'q7', 'q20', 'q21')
    assert 'Q7. ' in done.stdout and 'Q20. ' in done.stdout and 'Q21. ' not in done.stdout
    assert done.stdout.endswith('\n0 of 25 solved\n')


def test_ctrl_c_ends_it_with_the_count(terminal, monkeypatch):
    def stop(*args): raise KeyboardInterrupt
    monkeypatch.setattr(term, '_converse', stop)
    done = terminal('', 'q7')
    assert done.returncode == 130 and done.stderr == 'pet_breeds_quiz: interrupted\n' and done.stdout.endswith('\n0 of 25 solved\n')


def test_progress_that_cannot_be_read_ends_it(terminal):
    progress_file().parent.mkdir()
    progress_file().write_text('{"version": 99, "questions": {}}')
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
    assert flat(quiz.q13.question.mistakes['softmax of exp']) in flat(done.stdout) and '✓ Q13 is right' in done.stdout
    assert 'Q14. ' in done.stdout.split('✓')[1], done.stdout


def test_solved_questions_are_not_asked_again(terminal):
    quiz.q1._remember(True)
    done = terminal('skip\nquit\n')
    assert 'Q1. ' not in done.stdout and 'Q2. ' in done.stdout and 'Q3. ' in done.stdout and 'Q4. ' not in done.stdout


def test_what_was_missed_is_asked_again_on_its_day(terminal):
    quiz.q1._remember(False), quiz.q1._remember(True)
    assert 'Q1. ' not in terminal('quit\n').stdout
    kept = quiz.read_progress()
    kept['q1']['review'] = '2024-02-28'
    progress_file().write_text(json.dumps(dict(version=1, questions=kept)))
    done = terminal('quit\n')
    assert 'Review, 1 of 1\nQ1. ' in done.stdout and 'Missed at first: q1, to review today.' in done.stdout


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
    term.take_quiz([13, 'FR1'])
    out = capsys.readouterr().out
    assert 'Q13. ' in out and 'FR1. ' in out and out.count(term._wrapped(term.FIRST)) == 1 and out.count('\nQ13 > ') == 1
    with pytest.raises(ValueError, match="no question 'q0'"): term.take_quiz(['0'])
