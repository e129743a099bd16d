"A class: the edition is handed out, solved in part, handed in and gathered; the teacher's guide; files that lie."
import csv
import json
import os
import re
import time
from pathlib import Path

import pytest
from conftest import ROOT

from pet_breeds import guide, handout, results
from pet_breeds.core import run_command
from pet_breeds.guide import hand_out, read_tasks, teachers_guide
from pet_breeds.handout import is_task, lessons, minutes, read_answers, read_cells, student_cells
from pet_breeds.questions import QUESTIONS
from pet_breeds.results import check_again, gather, hand_in, read_results
from pet_breeds.quiz import exercise_of
from pet_breeds.verdicts import FROM_QUIZ, NONE, UNCLEAR, check_source

NBS = ROOT/'nbs'
FUNCTIONS = dict(
    q10='def my_cross_entropy(acts, targ):\n    return nll(log_softmax(acts, dim=1), targ)\nquiz.q10.check(my_cross_entropy)',
    q11='def my_softmax(acts):\n    e = (acts - acts.amax(1, keepdim=True)).exp()\n    return e / e.sum(dim=1, keepdim=True)\n\nquiz.q11.check(my_softmax)',
    q13="import pandas as pd\ntable = pd.DataFrame(dict(output=[.02, -2.49, 1.25]))\ntable['exp'] = [math.exp(x) for x in table.output]\n"
        "table['softmax'] = table.exp/table.exp.sum()\nanswer = table\nquiz.q13.check(answer)",
    q14='def my_nll_loss(probs, targ): return -probs[range(len(targ)), targ].mean()\nquiz.q14.check(my_nll_loss)',
    q16='def pick(lrs, losses): return lrs[losses.argmin()]/10\nquiz.q16.check(pick)')
VALUES = dict(
    q1='.1716, 0', q2=r"r'(.+)_\d+\.jpg$'", q3="[['a/beagle_1.jpg', 'a/pug_2.jpg'], [dict(file='beagle_1.jpg', label='beagle'), dict(file='pug_2.jpg', label='pug')]]",
    q4='[L.map, L.filter]', q5='[Path.mkdir, Path.exists]', q6='.17', q7='dls.show_batch', q8="'summary'", q9='False', q12="['softmax', 'sigmoid', 'sigmoid', 'softmax']",
    q15="float('nan')", q17="['batchnorm', 'head']", q18="'learn.fine_tune??'", q19='[1e-5, 1e-4, 1e-3]', q20='[1e-6, 1e-5, 1e-4] # equal factors', q21='.25', q22='17',
    q23='torch.float32', fr1="'1506.01186'", fr2='dict(error=.0541, n=1478, se=.0059)')
RIGHT = {**FUNCTIONS, **{id: f'answer = {value}\nquiz.{id}.check(answer)' for id, value in VALUES.items()}}


def fill(folder, sources, also=()):
    "Put answers, {id: code of the cell}, into the tasks of a student's notebooks, and cells in front of one: {notebook: code}"
    for nb in lessons(folder):
        whole = json.loads(nb.read_text(encoding='utf-8'))
        for cell in whole['cells']:
            id = next((id for id in sources if is_task(cell) and f'quiz.{id}.check(' in ''.join(cell['source'])), None)
            if id: cell['source'] = sources[id]
        if nb.stem in dict(also): whole['cells'].insert(2, dict(cell_type='code', id='mine', metadata={}, outputs=[], execution_count=None, source=dict(also)[nb.stem]))
        nb.write_text(json.dumps(whole), encoding='utf-8')


@pytest.fixture(scope='module', autouse=True)
def no_progress(tmp_path_factory):
    "Of nobody's own: what is solved in the quiz is handed in, too"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('XDG_DATA_HOME', str(tmp_path_factory.mktemp('home')))
        yield


@pytest.fixture(scope='module')
def handed_out(tmp_path_factory):
    top = tmp_path_factory.mktemp('class')
    for name in ('ada', 'bob', 'mallory'): hand_out(top/name, NBS, locked=True, guide=top/'guide.md' if name == 'ada' else None)
    return top


# Three students

@pytest.fixture(scope='module')
def handed_in(handed_out, tmp_path_factory, no_progress):
    "Ada has solved all, Bob some of it, partly in words; Mallory edits what she hands in"
    dest = tmp_path_factory.mktemp('handed_in')
    thin = dict(q1='answer = "So that there is a lot of it."\nquiz.q1.check(answer)', q20='answer = np.linspace(1e-6, 1e-4, 3)\nquiz.q20.check(answer)',
                q12='answer = "When a photo may show no class at all, or more than one of them."\nquiz.q12.check(answer)', q22='quiz.q22.check(51)')
    fill(handed_out/'ada', RIGHT, {'05_loss': 'import math\nfrom pet_breeds.loss import log_softmax, nll_loss\ndef nll(logp, targ):\n    return nll_loss(logp, targ)'})
    fill(handed_out/'bob', {**thin, **{id: RIGHT[id] for id in ('q7', 'q9', 'q11')}})
    fill(handed_out/'mallory', {**thin, 'q7': "answer = 'one_batch'\nquiz.q7.check(answer)", 'q9': RIGHT['q9'], 'q15': 'quiz.q15.check(...)'})
    for name in ('Ada Lovelace', 'Bob', 'Mallory'):
        folder = handed_out/name.split()[0].lower()
        hand_in(name, folder)
        (folder/f'{name.replace(" ", "_")}.json').rename(dest/f'{name.replace(" ", "_")}.json')
    return dest


def rows_of(folder): return {row['name']: row for row in csv.DictReader((folder/'table.csv').open(encoding='utf-8'))}


def test_what_is_handed_in(handed_in):
    ada, bob, mallory = (read_results(handed_in/f'{name}.json') for name in ('Ada_Lovelace', 'Bob', 'Mallory'))
    assert set(ada) == {'made_by', 'version', 'package', 'name', 'answers', 'solved'} and ada['name'] == 'Ada Lovelace'
    assert list(ada['answers']) == list(QUESTIONS) and {a['verdict'] for a in ada['answers'].values()} == {'right'}
    assert 'def nll(logp, targ):' in ada['answers']['q10']['source'], 'what an answer uses from above comes with it'
    assert {id: a['verdict'] for id, a in bob['answers'].items()} == dict(
        q1=UNCLEAR, q7='right', q9='right', q11='right', q12='right', q20='wrong: linear', q22='wrong: depth by name')
    assert not any('import quiz' in a['source'] for student in (ada, bob, mallory) for a in student['answers'].values())
    assert mallory['answers']['q7']['verdict'] == 'wrong: one_batch' and 'q15' not in mallory['answers']


def test_no_path_no_host_no_user(handed_in, handed_out):
    import getpass
    import platform
    text = ''.join(f.read_text(encoding='utf-8') for f in handed_in.iterdir())
    words = {str(handed_out), str(ROOT), str(Path.home()), platform.node(), getpass.getuser(), os.path.expanduser('~')}
    assert not [w for w in words if len(w) > 3 and w in text] and '/tmp' not in text


def test_who_tampered_is_named_and_nobody_else(handed_in, tmp_path, capsys):
    folder = tmp_path/'in'
    (folder/'group b').mkdir(parents=True)
    for name in ('Ada_Lovelace', 'Bob'): (folder/'group b'/f'{name}.json').write_bytes((handed_in/f'{name}.json').read_bytes())
    faked = read_results(handed_in/'Mallory.json')
    faked['answers']['q7']['verdict'] = 'right'                       # it was wrong
    faked['answers']['q8'] = faked['answers']['q9']                   # a right answer, to another question
    faked['answers']['q42'] = dict(verdict='right', source='quiz.q42.check(42)')
    faked['answers']['q6'] = dict(verdict='excellent', source='quiz.q6.check(.17)')
    (folder/'Mallory.json').write_text(json.dumps(faked))
    dest, out = gather(folder, tmp_path/'class'), capsys.readouterr().out
    rows = rows_of(dest)
    assert [rows[name]['noticed'] for name in ('Ada Lovelace', 'Bob')] == ['', '']
    assert rows['Mallory']['noticed'].split('; ') == [
        'q7: the file says right, the check says wrong: one_batch', 'q8: this is an answer to q9, so its id was changed',
        "q8: the file says right, the check says can't tell", 'q42: there is no such question', 'q6: the file says excellent, the check says right']
    assert (rows['Ada Lovelace']['right'], rows['Bob']['right'], rows['Bob']['wrong'], rows['Bob'][UNCLEAR], rows['Bob'][NONE], rows['Bob']['q2']) == ('25', '4', '2', '1', '18', '')
    assert rows['Mallory']['q7'] == 'wrong: one_batch', 'what the check says is what counts'
    assert rows['Bob']['file'] == 'group b/Bob.json'
    assert 'Ada Lovelace  25 right, 0 wrong' in out and out.count('Mallory (Mallory.json): ') == 5 and 'Hardest: ' in out
    to_read = (dest/'to_read.md').read_text(encoding='utf-8')
    for text in ('## Q1\n', f'- {QUESTIONS["q1"].points[0]}', '### Bob', 'So that there is a lot of it.'): assert text in to_read
    assert 'Ada' not in to_read


def test_handed_in_again_the_own_file_is_replaced_and_no_other(handed_out, tmp_path, capsys):
    (tmp_path/'01_a.ipynb').write_text(json.dumps(dict(cells=[dict(cell_type='code', id='a', source="quiz.q8.check('summary')")])))
    for _ in range(2): hand_in('Zoë O\'Neil', tmp_path)
    assert capsys.readouterr().out.endswith('1 right, 24 not answered. Hand in this file: Zoë_O_Neil.json\n')
    assert read_results(tmp_path/'Zoë_O_Neil.json')['name'] == "Zoë O'Neil"
    (tmp_path/'Bob.json').write_text('my thesis')
    for name, says in (('Bob', 'not ours'), ("Zoë O_Neil", 'not ours'), (' ', 'give your name in quotes'), (5, 'give your name')):
        with pytest.raises((ValueError, FileExistsError), match=says): hand_in(name, tmp_path)
    assert sorted(f.name for f in tmp_path.iterdir()) == ['01_a.ipynb', 'Bob.json', 'Zoë_O_Neil.json'] and (tmp_path/'Bob.json').read_text() == 'my thesis'
    with pytest.raises(FileNotFoundError, match='no lesson here'): hand_in('Bob', tmp_path/'none')
    hand_in(..., tmp_path)
    assert capsys.readouterr().out.startswith('Put your name, in quotes')


def test_names_in_every_script_give_a_file_each(tmp_path):
    "Their marks stay, both ways to write an accent are one name, and a long name is cut between letters"
    (tmp_path/'01_a.ipynb').write_text(json.dumps(dict(cells=[])))
    names = {'Иван Петров': 'Иван_Петров', '王小明': '王小明', 'Nguyễn Văn An': 'Nguyễn_Văn_An', 'Jose\u0301  Di\u0301az': 'Jos\xe9_D\xedaz', 'प्रिया/../शर्मा': 'प्रिया_शर्मा',
             'a-b:c*_d': 'a-b_c_d', '__': 'results', '明'*79: '明'*40}
    for name in names: hand_in(name, tmp_path)
    hand_in('Jos\xe9  D\xedaz', tmp_path)
    assert {f.name for f in tmp_path.iterdir()} == {'01_a.ipynb', *(f'{name}.json' for name in names.values())}


def test_a_long_answer_is_said_to_be_left_out(tmp_path, capsys):
    "Since `gather` would not check it; a shorter one to the same question is handed in"
    sources = ["quiz.q8.check('summary')", "quiz.q8.check('one_batch') # " + 'x'*results.LONGEST_CODE, "quiz.q9.check(False) # " + 'x'*results.LONGEST_CODE]
    (tmp_path/'01_a.ipynb').write_text(json.dumps(dict(cells=[dict(cell_type='code', id='a', source=source) for source in sources])))
    hand_in('Ada', tmp_path)
    out = capsys.readouterr().out
    assert list(read_results(tmp_path/'Ada.json')['answers']) == ['q8'] and 'Q9 is not handed in: ' in out and 'expected 20,000 at most' in out


def test_the_better_of_two_answers_counts(tmp_path, capsys):
    right, wrong = "answer = 'summary'\nquiz.q8.check(answer)", "answer = 'show_batch'\nquiz.q8.check(answer)"
    for i, sources in enumerate(((wrong, right), (right, wrong))):
        for j, source in enumerate(sources): (tmp_path/f'0{j}_a.ipynb').write_text(json.dumps(dict(cells=[dict(cell_type='code', id='a', source=source)])))
        hand_in('Eve', tmp_path)
        assert read_results(tmp_path/'Eve.json')['answers'] == dict(q8=dict(verdict='right', source=right))


# Answers from the quiz

def notebook_of(folder, *sources): (folder/'01_a.ipynb').write_text(json.dumps(dict(cells=[dict(cell_type='code', id=f'c{i}', source=source) for i, source in enumerate(sources)])))


def right_letter(id, right=True): return next(letter for letter, _, ok, _ in exercise_of(id).choices() if ok == right)


def test_what_is_chosen_or_typed_in_the_quiz_is_handed_in_and_marked(home, tmp_path, capsys):
    "By a click, in the form or the terminal, or by a check in no cell of the course"
    exercise_of('q8').choose(right_letter('q8'))
    exercise_of('q9').choose(right_letter('q9', False))
    exercise_of('q22').check_typed('17')
    exercise_of('q12').check_typed('When the moon is full and the tide is high on the beach.')
    exercise_of('q12').solved()
    q11 = exercise_of('q11')
    q11._remember(True) # by a function
    notebook_of(tmp_path, "quiz.q7.check('show_batch')", 'quiz.q22.check(51)')
    hand_in('Emil', tmp_path)
    out, emil = capsys.readouterr().out, read_results(tmp_path/'Emil.json')
    assert {id: a['verdict'] for id, a in emil['answers'].items()} == dict(q7='right', q8='right', q9='wrong', q12=UNCLEAR, q22='right') and emil['solved'] == ['q8', 'q11', 'q22']
    assert 'chose or typed them in the quiz on this computer: Q8, Q9, Q12, Q22.' in out and 'no answer of yours is found: Q11. Answer in a cell' in out
    (tmp_path/'in').mkdir()
    (tmp_path/'Emil.json').rename(tmp_path/'in'/'Emil.json')
    gather(tmp_path/'in', tmp_path/'class')
    row = rows_of(tmp_path/'class')['Emil']
    assert (row['right'], row['wrong'], row[UNCLEAR]) == ('3', '1', '1')
    assert row['noticed'] == "q8, q9, q12, q22: chosen or typed in the quiz; q11: right on the student's machine, as the file says"
    assert 'When the moon is full' in (tmp_path/'class'/'to_read.md').read_text(encoding='utf-8')


def test_a_wrong_answer_to_a_solved_question_is_noted():
    results = dict(answers=dict(q7=entry("quiz.q7.check('one_batch')", 'wrong: one_batch'), q8=entry("quiz.q8.check('summary')")), solved=['q7', 'q8'])
    verdict, noticed = check_source('q7', results['answers']['q7']['source'])[0], check_again(results)[2]
    assert verdict.startswith('wrong') and noticed[-1] == "q7: right on the student's machine, as the file says"


def test_a_choice_is_checked_again():
    letter = right_letter('q8')
    for source in (f"quiz.q8.choose('{letter}')", f"{FROM_QUIZ}quiz.q8.choose('{letter}')"): assert check_source('q8', source) == ('right', '')
    assert check_source('q8', f"quiz.q8.choose('{right_letter('q8', False)}')")[0] == 'wrong'
    for source in ("quiz.q8.choose('h')", f"quiz.q9.choose('{letter}')"): assert check_source('q8', source) == (UNCLEAR, 'there is no such choice')
    assert 'its id was changed' in check_again(dict(answers=dict(q8=entry(f"quiz.q9.choose('{letter}')"))))[2][0]


def test_a_question_in_capitals_is_handed_in_and_gathered(tmp_path, capsys):
    notebook_of(tmp_path, FUNCTIONS['q14'].replace('quiz.q14', 'quiz.Q14'), "answer = 'show_batch'\nquiz.Q7.check(answer)", "%time quiz.Q8.check('summary')\nquiz.Q8.check('summary')")
    hand_in('Ada', tmp_path)
    handed = read_results(tmp_path/'Ada.json')
    verdicts, unclear, noticed = check_again(handed)
    assert verdicts == dict(q7='right', q8='right', q14='right') and {id: a['verdict'] for id, a in handed['answers'].items()} == verdicts
    assert not unclear and not noticed, 'nor is one taken for the answer to another question'


@pytest.mark.parametrize('source, ids', [
    ("# quiz.q7.check('show_batch')", []), ("    # quiz.q7.check('show_batch')\nx = 1 # quiz.q8.check(x)", []), ("%%time\n# quiz.q7.check('show_batch')", []),
    ("text = '''\nquiz.q7.check(1)\n'''", []), ("# quiz.q7.check('a')\nquiz.q7.check('b')", ['q7']), ('quiz . q7 . check("a")', ['q7']), ("%time quiz.q7.check('show_batch')", ['q7']),
    ("x = '#'; quiz.Q9.check(x)\nif x: quiz.q9.check(1)", ['q9']), ('def f(:\nquiz.FR1.check(f)', ['fr1']), ('quiz.q7.check?', []), ('quiz.q7.check', [])])
def test_a_check_that_does_not_run_is_no_answer(source, ids):
    assert handout.checked_in(source) == ids


def test_an_answer_that_is_commented_out_is_not_handed_in(home, tmp_path, capsys):
    notebook_of(tmp_path, "# quiz.q7.check('show_batch')", "quiz.q8.check('summary')")
    hand_in('Ada', tmp_path)
    assert list(read_results(tmp_path/'Ada.json')['answers']) == ['q8'] and 'Q7' not in capsys.readouterr().out


def test_an_answer_may_use_a_value_from_a_cell_above(tmp_path):
    notebook_of(tmp_path, "my_answer = 'one_batch'", "my_answer = 'show_batch'", 'x = -1\nquiz.q7.check(my_answer) # x', 'my_answer = x.shape', 'quiz.q8.check(my_answer)', "my_answer = 'summary'\nquiz.q8.check(my_answer)")
    assert list(handout.answers_in(tmp_path)) == [('q7', "my_answer = 'show_batch'\nx = -1\nquiz.q7.check(my_answer) # x"), ('q8', 'quiz.q8.check(my_answer)'), ('q8', "my_answer = 'summary'\nquiz.q8.check(my_answer)")]


def test_who_uses_a_name_from_elsewhere_is_told_what_to_do_at_hand_in(home, tmp_path, capsys):
    exercise_of('q23')._remember(True) # what the notebook said of a dtype
    notebook_of(tmp_path, 'quiz.q23.check(next(learn.model.parameters()).dtype)', 'import os\nquiz.q11.check(os.getcwd())')
    hand_in('Ida', tmp_path)
    out = capsys.readouterr().out
    assert 'does not make `learn`. Write the value itself, as in `quiz.q23.check(' in out and 'It was right when you ran it; the file says so.' in out
    assert 'Your teacher reads it. To have it checked, write the value itself' in out
    assert "q23: right on the student's machine, as the file says" in check_again(read_results(tmp_path/'Ida.json'))[2]


WORDS = {id: f'quiz.{id}.check("{text}")' for id, text in dict(q1='A large photo leaves room, so that no corner is empty after a turn.', q6='It leaves empty corners, and its pixels are blurred each time.', q19='Early layers get a small rate, since they know edges already.').items()}


def test_the_same_words_and_our_words_are_noticed(tmp_path, capsys):
    "Not what two honest students would write alike, nor what one hands in twice"
    ours = f'quiz.q12.check("{"; ".join(QUESTIONS["q12"].points)}")'
    files = dict(ada=('Ada', WORDS), frank=('Frank', {id: source.replace(' ', '  ').replace('A large', 'a LARGE') for id, source in WORDS.items()}), again=('ada', WORDS),
                 two=('Two', {id: WORDS[id] for id in ('q1', 'q6')}), all_1=('One', RIGHT), all_2=('Other', RIGHT), few=('Few', {id: RIGHT[id] for id in [*VALUES][:12]}), ours=('Ours', dict(q12=ours)))
    (tmp_path/'in').mkdir()
    for file, (name, sources) in files.items(): (tmp_path/'in'/f'{file}.json').write_text(as_json(name, **{id: entry(source, check_source(id, source)[0]) for id, source in sources.items()}))
    gather(tmp_path/'in', tmp_path/'class')
    noticed = {row['file'].removesuffix('.json'): row['noticed'] for row in csv.DictReader((tmp_path/'class'/'table.csv').open(encoding='utf-8'))}
    twice = 'the name is in two files or more; q1, q6, q19: the same words as in frank.json'
    assert noticed == dict(ada=twice, again=twice, frank='q1, q6, q19: the same words as in ada.json; q1, q6, q19: the same words as in again.json', two='', few='', ours='q12: the words of our points',
                           all_1='all answers: the same words as in all_2.json', all_2='all answers: the same words as in all_1.json')


# The check of a cell

@pytest.mark.parametrize('id, source, verdict', [
    ('q7', 'from pet_breeds import quiz\nassert quiz.q7.check(learn.dls.show_batch)', 'right'),
    ('q7', 'result = quiz.q7.check("show_batch", seconds=3)\nprint(result)', 'right'),
    ('q7', '%time x = 1\n!ls\nanswer = "show_batch"\nquiz.q7.check(answer)', 'right'),
    ('q20', '#| fold\nquiz.q20.check(np.geomspace(1e-6, 1e-4, 3))', 'right'),
    ('q20', 'quiz.q20.check([1e-6, 5.05e-5, 1e-4])\nquiz.q20.check([1e-6, 1e-5, 1e-4])', 'right'),
    ('q16', RIGHT['q16'].replace('/10', ''), 'wrong: at the minimum'),
    ('q7', 'quiz.q7.check(...)', NONE), ('q10', QUESTIONS['q10'].stub, NONE), ('q3', QUESTIONS['q3'].stub, NONE),
    ('q7', 'quiz.q8.check("summary")', UNCLEAR), ('q7', 'def f(:\nquiz.q7.check(f)', UNCLEAR), ('q7', '', UNCLEAR), ('fr2', 'quiz.fr2.check(runs.T)', UNCLEAR),
    ('q2', 'from pathlib import Path\nquiz.q2.check(lambda f: Path(f).stem.rpartition("_")[0])', 'right'), ('q15', '_x = [float("nan") for _ in range(1)]\nquiz.q15.check(_x[0])', 'right'), ('q10', 'def f(acts, targ): return 1/0\nquiz.q10.check(f)', 'wrong')])
def test_the_verdict_on_a_cell(id, source, verdict): assert check_source(id, source)[0] == verdict


@pytest.mark.parametrize('id, source, verdict', [
    ('q20', 'x = [1e-6, 5.05e-5, 1e-4]\nx[1] = 1e-5\nquiz.q20.check(x)', 'right'), ('q20', 'x = [1e-6, 1e-5, 1e-4]\nx[1] = 5.05e-5\nquiz.q20.check(x)', 'wrong: linear'),
    ('q20', 'x = [1e-6]\nx.append(1e-5)\nx += [1e-4]\nquiz.q20.check(answer=x)', 'right'), ('q20', 'x = [1e-6, 5.05e-5, 1e-4]\ny = x\ny[1] = 1e-5\nquiz.q20.check(x)', 'right'),
    ('q8', "a = 'show_batch'\nif True:\n    a = 'summary'\nquiz.q8.check(a)", 'right'), ('q8', "a = 'show_batch'\na, b = 'summary', 1\nquiz.q8.check(a)", 'right'),
    ('q8', "a = 'summary'\nfor a in ['show_batch']: pass\nquiz.q8.check(a)", 'wrong'), ('q8', "a = 'show_batch'\nquiz.q8.check(a)\na = 'summary'\na = quiz.q8.check(a)", 'right'),
    ('q8', "a = 'summary'\nimport math as a\nquiz.q8.check(a)", UNCLEAR), ('q8', "a = 'summary'\nfor a in ['show_batch']: quiz.q8.check(a)", UNCLEAR),
    ('q8', "a = 'summary'\nif quiz.q9.check(False): a = 'show_batch'\nquiz.q8.check(a)", UNCLEAR), ('q8', "a = 'summary'\n(lambda a: quiz.q8.check(a))('show_batch')", UNCLEAR),
    ('q13', f"{FUNCTIONS['q13'].partition('answer =')[0]}quiz.q13.check(table.softmax)", 'right'), ('q7', "dls = get_dls(path)\nanswer = dls.show_batch\nquiz.q7.check(answer)", 'right'),
    ('q7', "quiz.q7.check(answer='show_batch')", 'right'), ('q7', 'quiz.q7.check(seconds=3, answer="""\n%% show_batch\n""")', 'right'), ('q7', '!ls\nquiz.q7.check(seconds=3)', UNCLEAR),
    *[('q7', f"# pasted{mark}a note\nquiz.q7.check('show_batch{mark}')", 'right') for mark in '\u2028\u2029\x85\x0b\x0c\x1e']])
def test_an_answer_has_the_value_that_its_cell_gives_it(id, source, verdict):
    "However the cell changes a name, and whatever a line of it holds"
    assert check_source(id, source)[0].startswith(verdict)


def test_what_an_answer_uses_is_cut_out_where_it_stands():
    "Marks at which Python ends no line do not shift the code of a function"
    for end in ('\n', '\r\n'):
        for mark in '\u2028\x85\x0c':
            code = f'def twice(x):{end}    "two{mark}times"{end}    return 2*x'
            assert handout._definitions(f"note = 'a{mark}b'{end}{code}{end}y = 1", None)['twice'] == code.replace('\r', '')


@pytest.mark.parametrize('code, uses', [
    ('open("thesis.tex", "w")', 'open'), ('x = __import__("os")', '__import__'), ('import os', 'os'), ('from shutil import rmtree', 'shutil'),
    ('from math import *', '*'), ('from . import x', 'None'), ('().__class__', '__class__'), ('torch.load("x")', 'load'), ('pd.read_pickle("x")', 'read_pickle'),
    ('np.save("x", 1)', 'save'), ('torch.hub', 'hub'), ('pd.io', 'io'), ('getattr(torch, "lo"+"ad")', 'getattr'), ('re.sys', 'sys'), ('eval("1")', 'eval'),
    ('exec("1")', 'exec'), ('import numpy.ctypeslib', 'numpy.ctypeslib'), ('x.to_csv("x")', 'to_csv'), ('f = [].__reduce__', '__reduce__'),
    ('from pet_breeds.labels import os as x', 'os'), ('from random import _os', '_os'), ('from numpy import load', 'load'), ('import operator\n    operator.attrgetter', 'attrgetter'),
    ('from pet_breeds.labels import Path', 'Path')])
def test_code_that_reaches_beyond_arithmetic_is_not_run(code, uses):
    "Neither at the top, nor in a function, nor in what is checked"
    for source in (f'{code.replace(chr(10) + "    ", chr(10))}\ndef f(acts, targ): return 0\nquiz.q10.check(f)', f'def f(acts, targ):\n    {code}\nquiz.q10.check(f)'):
        assert check_source('q10', source) == (UNCLEAR, f'not run, because it uses {uses}: read it')


def test_without_running_only_what_can_be_read_is_judged():
    assert check_source('q20', RIGHT['q20'], run=False)[0] == check_source('q7', RIGHT['q7'], run=False)[0] == 'right'
    for id, source in (('q10', FUNCTIONS['q10']), ('q20', RIGHT['q20'].replace('\n', '\nanswer[1] = 5e-5\n'))): assert check_source(id, source, run=False) == (UNCLEAR, 'not run: read it')


# Files of any kind

def entry(source, verdict='right'): return dict(verdict=verdict, source=source)


def as_json(name='Eve', **answers): return json.dumps(dict(made_by='pet_breeds results', version=1, name=name, answers=answers))


HOSTILE = { # name of a file: its content, and what is said of it
    'huge.json': (b'[' + b'1,'*600_000, 'it has more than 1,000,000 bytes'), 'empty.json': (b'', 'it is not JSON'), 'photo.json': (b'\xff\xd8\xff\xe0', 'its text is not UTF-8'),
    'utf16.json': (as_json().encode('utf-16'), 'its text is not UTF-8'), 'deep.json': (b'{"answers":'*90_000, 'nested too deep'), 'list.json': (b'[1]', 'hand_in did not write it'),
    'number.json': (b'7', 'hand_in did not write it'), 'digits.json': (b'9'*9_000, 'it is not JSON'), 'nul.json': (b'\0'*50, 'it is not JSON'),
    'later.json': (as_json().replace('"version": 1', '"version": 2').encode(), 'its version is 2; expected 1'), 'no_name.json': (as_json(' ').encode(), 'it has no name'),
    'odd_name.json': (as_json(['a']).encode(), 'it has no name'), 'no_answers.json': (as_json().replace('{}', '[]').encode(), 'it has no answers'),
    'notes.txt': (b'mine', 'expected a file that ends in .json'), 'a\x1b]52;c\n.json': (b'{', 'it is not JSON')}


def test_hostile_files_get_a_line_each_and_stop_nothing(tmp_path, capsys):
    folder = tmp_path/'in'
    folder.mkdir()
    for name, (data, _) in HOSTILE.items(): (folder/name).write_bytes(data)
    os.mkfifo(folder/'pipe.json')
    (folder/'zero.json').symlink_to('/dev/zero')
    (folder/'nothing.json').symlink_to(tmp_path/'far')
    (folder/'group').symlink_to(tmp_path, target_is_directory=True)
    (folder/'.hidden.json').write_text('x')
    (folder/'good.json').write_bytes(b'\xef\xbb\xbf' + as_json(q8=entry("quiz.q8.check('summary')")).encode()) # as an editor on Windows saves it
    (folder/'formula.json').write_text(as_json('=HYPERLINK("http://x")', q7=5, q8=entry(7), q9=entry('x'*30_000), q1='a', **{'\x1b[2J': entry('')}))
    (folder/'signs.json').write_text(as_json('\ud800\x1b[31m\n' + 'very '*100 + 'long', q8=entry("quiz.q8.check('summary')", 'wrong\x1b[2J')))
    gather(folder, tmp_path/'class')
    out, rows = capsys.readouterr().out, rows_of(tmp_path/'class')
    not_read = out.partition('Not read:\n')[2].partition('\n\n')[0].splitlines()
    assert len(not_read) == len(HOSTILE) + 4 and 'group: it is a link to a folder, and no link is followed' in out and '\x1b' not in out and 'hidden' not in out
    for name, (_, says) in HOSTILE.items(): assert any(says in line for line in not_read if line.strip().startswith(name[0])), name
    assert sum('it is no regular file' in line for line in not_read) == 3
    assert [row['q8'] for row in rows.values()].count('right') == 2 and len(rows) == 3
    [formula] = [row for name, row in rows.items() if 'HYPERLINK' in name]
    assert formula['name'].startswith("'=") and formula['noticed'].count(';') == 4
    assert rows['Eve']['noticed'] == '' and '\x1b' not in (tmp_path/'class'/'table.csv').read_text(encoding='utf-8')


def test_hostile_code_ends_and_the_others_are_checked(tmp_path, capsys):
    loop, folder = 'def f(*args):\n    while True: pass\nquiz.{}.check(f)', tmp_path/'in'
    folder.mkdir()
    (folder/'a.json').write_text(as_json('Endless', **{id: entry(loop.format(id)) for id in ('q10', 'q11', 'q16')}))
    (folder/'b.json').write_text(as_json(
        'Rude', q10=entry('raise SystemExit\nquiz.q10.check(1)'), q14=entry('x = [0]*10**11\nquiz.q14.check(x)'), q11=entry('def f(x): print("\\x1b[2J"); return x.softmax(1)\nquiz.q11.check(f)'),
        q6=entry('quiz.q6.check(' + '-'*15_000 + '1)'), q8=entry('quiz.q8.check(' + '('*5_000 + ')'*5_000 + ')'), q2=entry("quiz.q2.check(r'(.+)_')")))
    (folder/'c.json').write_text(as_json('Honest', q8=entry("quiz.q8.check('summary')")))
    start = time.monotonic()
    gather(folder, tmp_path/'class', seconds=1)
    assert time.monotonic() - start < 120
    out, rows = capsys.readouterr().out, rows_of(tmp_path/'class')
    assert rows['Honest']['right'] == '1' and '\x1b' not in out and (rows['Rude']['q11'], rows['Rude']['right']) == ('right', '1')
    to_read = (tmp_path/'class'/'to_read.md').read_text(encoding='utf-8')
    assert to_read.count('still running after 1 second') == 2 and to_read.count('not run: read it') == 1


def test_two_files_with_one_name_and_another_version(tmp_path, capsys):
    for name in 'ab': (tmp_path/f'{name}.json').write_text(as_json('Eve', q8=entry("quiz.q8.check('summary')", 'wrong')))
    gather(tmp_path, tmp_path/'class')
    assert all(row['noticed'] == 'q8: the file says wrong, the check says right (it was written by another version of the package); the name is in two files or more'
               for row in csv.DictReader((tmp_path/'class'/'table.csv').open()))


def test_what_a_file_says_is_noticed_on_one_line(tmp_path, capsys):
    (tmp_path/'eve.json').write_text(as_json(q8=entry("quiz.q8.check('one_batch')", 'right; Ada (ada.json): copied')))
    gather(tmp_path, tmp_path/'class')
    noticed = capsys.readouterr().out.partition('Noticed:\n')[2].partition('\n\n')[0].splitlines()
    assert len(noticed) == 1 and 'the file says right; Ada (ada.json): copied, the check says' in noticed[0]


def test_what_is_there_is_left_alone(tmp_path, capsys):
    (tmp_path/'full').mkdir()
    (tmp_path/'full'/'mine').write_text('mine')
    (tmp_path/'in').mkdir()
    for words, says in ((['in', 'class'], 'no results here'), (['none', 'class'], 'no such folder'), (['full/mine', 'class'], 'mine is a file: expected a folder of files that hand_in wrote'), (['in', 'full'], 'something already'),
                        (['in', 'class', '--seconds', '0'], 'expected a number'), (['in'], 'pet_breeds_gather --help')):
        args = [str(tmp_path/word) if word[0] != '-' and not word.isdigit() else word for word in words]
        with pytest.raises(SystemExit) as e: run_command(gather, 'pet_breeds_gather', '', args)
        err = capsys.readouterr().err
        assert e.value.code == 2 and says in err and len(err.splitlines()) == 1, words
    assert sorted(f.name for f in tmp_path.rglob('*')) == ['full', 'in', 'mine']


# The teacher's guide

def test_the_guide_says_what_the_lessons_and_the_questions_say(handed_out):
    text, answers = (handed_out/'guide.md').read_text(encoding='utf-8'), read_answers(NBS)
    assert text == teachers_guide(NBS)
    for nb in lessons(NBS):
        part = re.split(r'\n## ', text.partition(f'\n## {nb.stem}: ')[2])[0]
        assert re.search(r'- Time: about \d+ minutes\n- Refers to: ', part), nb.stem
        found = [] if nb.stem == '12_quiz' else read_tasks(read_cells(nb))
        assert len(re.findall(r'^\d+\. ', part.partition('### Tasks')[2].partition('### Questions')[0], re.M)) == len(found)
        for task in found: assert task['solution'] and f"Hint: {task['hint'].splitlines()[0]}" in part and '.check(' not in task['solution'], task['id']
        for id in (id for id, a in answers.items() if a['notebook'] == nb.stem):
            assert QUESTIONS[id].text in part and all(f'- **{name}.** {why}' in part for name, why in QUESTIONS[id].mistakes.items()), id
            assert f'#### {id.upper()}\n' in part and f'right with {QUESTIONS[id].enough} of these points' in part and all(f'- {p[0].upper()}{p[1:]}' in part for p in QUESTIONS[id].points), id
            assert answers[id]['answer'] in part and text.count(f'<a id="{id}"></a>') == text.count(f'[{id.upper()}](#{id})') == 1, id


def test_the_guide_has_a_plan_for_90_minutes_whose_sum_is_right(handed_out):
    plan = (handed_out/'guide.md').read_text(encoding='utf-8').partition('## In 90 minutes')[2].partition('\n## ')[0]
    rows = [(int(a), int(b), name, int(training)) for a, b, name, training in re.findall(r'^\| (\d+) to (\d+) \| \[?(\w+).+ \| (\d+) \|$', plan, re.M)]
    assert len(rows) == 4 and rows[0][0] == 0 and rows[-1][1] == 90 and all(before[1] == row[0] < row[1] for before, row in zip(rows, rows[1:])) and 90 - rows[-1][0] >= 10
    for start, end, name, training in rows[:-1]: assert end - start - training == round(minutes(student_cells(NBS/f'{name}.ipynb'))), name


def test_a_solution_is_its_code_and_what_its_check_holds():
    for source, shown in (("# Solution\n#| fold\nassert tasks.x.check('pug', files[4])", "'pug'"), ('# Solution\n#| fold\n# all\nassert tasks.x.check(n, n)', '# all\nn'),
                          ('# Solution\n#| fold\nf = 1 - 2\nassert tasks.x.check(f)', 'f = 1 - 2'), ('# Solution\n#| fold\ne = 2\nassert tasks.x.check(round(e*3), e)', 'e = 2\nround(e * 3)')):
        assert guide._solution(source) == shown


def test_hand_out_writes_both_or_nothing(tmp_path, monkeypatch):
    (tmp_path/'guide.md').write_text('mine')
    (tmp_path/'full').mkdir()
    (tmp_path/'full'/'mine').write_text('mine')
    for dest, page, says in (('new', 'guide.md', 'something already'), ('full', 'new.md', 'something already'), ('new', 'no/new.md', 'no such folder')):
        with pytest.raises((ValueError, FileNotFoundError), match=says): hand_out(tmp_path/dest, NBS, guide=tmp_path/page)
    (tmp_path/'empty').mkdir()
    for dest, page in (('empty', 'empty/guide.md'), ('new', 'new'), ('new', 'empty/../new'), ('empty/../new', 'new')):
        with pytest.raises(ValueError, match='the folder of the students'): hand_out(tmp_path/dest, NBS, guide=tmp_path/page)
    assert sorted(f.name for f in tmp_path.rglob('*')) == ['empty', 'full', 'guide.md', 'mine']


def test_results_are_checked_in_another_process_only(monkeypatch):
    "Where none can be started, nothing of a student's runs here"
    monkeypatch.setattr('pet_breeds.judge._start_pool', lambda modules: 1/0)
    assert check_source('q7', RIGHT['q7']) == (UNCLEAR, 'no other process could be started to run it')
    assert check_again(dict(answers=dict(q7=entry(RIGHT['q7']))))[0] == dict(q7=UNCLEAR)
    assert results.LARGEST == 1_000_000
