"The form of the twelve lessons, counted from their notebooks: short cells, pictures first, tasks with checks, honest minutes."
import ast
import re

import nbformat
import pytest
from conftest import ROOT
from navigation import FOLD, lessons

from pet_breeds.guide import TASKS
from pet_breeds.handout import is_task, minutes, visible_lines
from pet_breeds.questions import QUESTIONS

NAMES = ['01_start', '02_labels', '03_data', '04_presize', '05_loss', '06_rates', '07_finetune', '08_precision', '09_mistakes',
         '10_improve', '11_pets', '12_quiz']
MINUTES = {'01_start': 10, '02_labels': 15, '03_data': 15, '04_presize': 15, '05_loss': 20, '06_rates': 20, '07_finetune': 20,
           '08_precision': 15, '09_mistakes': 20, '10_improve': 20, '11_pets': 20, '12_quiz': 10}
TAUGHT = [name for name in NAMES if name != '12_quiz'] # the quiz consists of tasks


def read(name): return nbformat.read(ROOT/'nbs'/f'{name}.ipynb', 4)


def seen(cell): return cell.cell_type == 'code' and bool(visible_lines(cell) or cell.outputs) and not re.search(r'^#\|\s*hide\b', cell.source, re.M)


def prose(nb): return '\n\n'.join(c.source for c in nb.cells if c.cell_type == 'markdown')


def test_the_twelve(): assert [f.stem for f in lessons()] == NAMES


@pytest.mark.parametrize('name', NAMES)
def test_visible_code_is_short(name):
    nb = read(name)
    assert {c.id: n for c in nb.cells if (n := len(visible_lines(c))) > 12} == {}
    assert sum(len(visible_lines(c)) for c in nb.cells) <= 160


@pytest.mark.parametrize('name', NAMES)
def test_no_line_is_cut_off_on_the_site(name):
    "The site shows 84 columns"
    assert {c.id: line for c in read(name).cells for line in visible_lines(c) if len(line) > 84} == {}


@pytest.mark.parametrize('name', TAUGHT)
def test_a_picture_or_a_result_comes_first(name):
    "Among the first three cells of code that a reader sees, before the first definition of a term"
    first = [c for c in read(name).cells if seen(c)][:3]
    kinds = {kind for c in first for out in c.outputs for kind in out.get('data', {'text/plain': 0})}
    assert kinds & {'image/png', 'image/jpeg', 'text/html', 'text/plain'}, [c.id for c in first]


@pytest.mark.parametrize('name', TAUGHT)
def test_four_tasks_each_with_a_check_a_hint_and_a_solution(name):
    cells = [c for c in read(name).cells if c.cell_type == 'code']
    found = [i for i, c in enumerate(cells) if is_task(c)]
    assert len(found) >= 4
    for i in found:
        known = [TASKS.get(m[1]) if m[0].startswith('tasks') else QUESTIONS.get(m[1])
                 for m in re.finditer(r'\b(?:tasks|quiz)\.(\w+)\.check\(', cells[i].source)]
        assert known and all(known), f'{cells[i].id}: no such task'
        assert any(re.search(r'^# Solution\b', c.source, re.M) and FOLD.search(c.source) for c in cells[i+1:i+3]), cells[i].id


@pytest.mark.parametrize('name', TAUGHT)
def test_a_solution_passes_its_check(name):
    for c in read(name).cells:
        if c.cell_type == 'code' and re.search(r'^# Solution\b', c.source, re.M):
            assert re.match(r'# Solutions?\n', c.source), f'{c.id}: the line that shows while it is folded must not tell the answer'
            assert re.search(r'\bassert\b.*\.check\(', c.source), f'{c.id}: end with assert tasks.NAME.check(...)'
            ast.parse(c.source)


@pytest.mark.parametrize('name', TAUGHT)
def test_it_ends_with_takeaways_before_its_questions(name):
    headings = re.findall(r'^#+ .+', prose(read(name)), re.M)
    last = [h for h in headings if re.match(r'#### (Q|FR)\d', h) or 'Takeaways' in h]
    assert 'Takeaways' in last[0] and len([h for h in last if 'Takeaways' in h]) == 1, last


@pytest.mark.parametrize('name', TAUGHT)
def test_it_shows_which_of_its_questions_are_solved(name):
    "Below its answers; none yet in the notebook as it is kept. A solution is checked without a trace: it is not the reader's"
    nb = read(name)
    answered = re.findall(r'^#### ((?:Q|FR)\d+)', prose(nb), re.M)
    shown = [c for c in nb.cells if c.id == 'solved']
    assert len(shown) == bool(answered)
    for cell in shown:
        said = cell.outputs[0].data['text/plain']
        assert f"quiz.show('{name[:2]}')" in cell.source and said.startswith(f'0 of {len(answered)} solved\n')
        assert re.findall(r'^\| ((?:Q|FR)\d+) \|', said, re.M) == sorted(answered, key=lambda id: (id[0] == 'F', int(id.strip('QFR'))))
    assert [c.id for c in nb.cells if FOLD.search(c.source) and re.search(r'\bquiz\.\w+\.check\((?!.*keep=False)', c.source)] == []


@pytest.mark.parametrize('name', NAMES)
def test_a_lesson_exports_no_validator_and_no_writer(name):
    exported = [c for c in read(name).cells if c.cell_type == 'code' and re.search(r'^#\|\s*export\b', c.source, re.M)]
    names = [n.name for c in exported for n in ast.walk(ast.parse(c.source)) if isinstance(n, (ast.FunctionDef, ast.ClassDef))]
    assert [n for n in names if re.match(r'_?(valid|check|require|write|save|read)_?', n)] == []


def numbers_shown(nb):
    "The text of code and outputs, pictures aside, and the numbers in it"
    cells = [c for c in nb.cells if c.cell_type == 'code']
    outs = [o.get('text', '') + ' '.join(str(v) for k, v in o.get('data', {}).items() if not k.startswith('image')) for c in cells for o in c.outputs]
    shown = ' '.join([*outs, *(c.source for c in cells)])
    return shown, [float(n) for n in re.findall(r'(?<![\w.])\d+(?:\.\d+)?(?:e-?\d+)?', shown)]


IN_PICTURES = {'0.346', '0.00000003', '0.00000006'} # or computed in the sentence itself


@pytest.mark.parametrize('name', TAUGHT)
def test_a_number_of_the_text_stands_in_an_output(name):
    "Measured fractions of three digits or more: the text was not left behind when the outputs changed"
    shown, known = numbers_shown(read(name))
    for number in re.findall(r'(?<![\w.])0\.\d{3,}(?!\d)', re.sub(r'\]\([^)]*\)', '', prose(read(name)))):
        places = len(number)-2
        assert number in IN_PICTURES or number in shown or any(float(number) in (round(n, places), round(1-n, places)) for n in known), number


def glossary():
    "{term: name of the lesson that explains it}, from the table of the glossary"
    rows = re.findall(r'^\| ([^|]+?) \| [^|]+ \| \[(\w+)\]', prose(read('glossary')), re.M)
    assert len(rows) > 20
    return dict(rows)


def test_no_term_before_its_lesson():
    "A term may be announced by a link to its lesson, such as [momentum](07_finetune.ipynb)"
    early = []
    for i, name in enumerate(NAMES):
        text = re.sub(r'\[[^\]]*\]\([^)]*\)|`[^`]*`|```.*?```|<details>.*?</details>', '', prose(read(name)), flags=re.S)
        early += [(name, term) for term, lesson in glossary().items()
                  if NAMES.index(lesson) > i and re.search(rf'\b{re.escape(term)}s?\b', text, re.I)]
    assert early == []


def planned(name):
    "Minutes of a lesson; those of the quiz are for reading it, without the cells that take its 25 answers"
    nb = read(name)
    if name not in TAUGHT: nb.cells = [c for c in nb.cells if not is_task(c)]
    return minutes(nb.cells)


@pytest.mark.parametrize('name', NAMES)
def test_a_lesson_takes_the_minutes_of_its_plan(name): assert planned(name) <= MINUTES[name] + 1.5


def test_the_course_takes_at_most_200_minutes(): assert sum(map(planned, NAMES)) <= 200


def test_a_model_is_trained_within_the_first_ten_minutes():
    cells = read('01_start').cells
    trained = next(i for i, c in enumerate(cells) if c.cell_type == 'code' and '.fine_tune(' in c.source)
    assert minutes(cells[:trained+1]) <= 10


def test_the_checks_can_fail():
    cell = nbformat.v4.new_code_cell
    assert len(visible_lines(cell('#| export\nx = 1\n\ny = 2'))) == 2
    assert visible_lines(cell('#| fold\nx = 1')) == []
    assert is_task(cell('answer = ...\ntasks.x.check(answer)')) and not is_task(cell('tasks.x.check(1)'))
    assert not is_task(cell('#| fold\nanswer = ...\ntasks.x.check(answer)'))
