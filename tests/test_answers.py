"The 25 answers in the lesson notebooks: each once, short, proven by the cell after it, and in words of our own."
import ast
import json
import re

import pytest

QUESTIONS = [f'q{i}' for i in range(1, 24)] + ['fr1', 'fr2']
HEADING = re.compile(r'^#### (Q\d+|FR\d+)\. (.+)\n', re.MULTILINE)


def text(cell): return ''.join(cell['source'])


@pytest.fixture(scope='module')
def notebooks(root):
    "The lesson notebooks by name; what is made from them (the questionnaire) has no number"
    found = {f.stem: json.loads(f.read_text(encoding='utf-8'))['cells']
             for f in sorted((root/'nbs').glob('[0-9]*.ipynb'))}
    assert found
    return found


@pytest.fixture(scope='module')
def answers(notebooks):
    "(id, question, answer, the cells after it) for each answer, in the order of the notebooks"
    return [(m[1].lower(), m[2], re.split(r'^#+ ', text(c)[m.end():], flags=re.MULTILINE)[0].strip(), cells[i+1:])
            for cells in notebooks.values() for i, c in enumerate(cells) if c['cell_type'] == 'markdown'
            for m in HEADING.finditer(text(c))]


def by_id(answers, name):
    found = [a for a in answers if a[0] == name]
    assert len(found) == 1, f'{name} is answered {len(found)} times'
    return found[0]


def sentences(answer):
    "How many: ends of sentences, of list items and of paragraphs, with code, formulas and links as one word each"
    answer = re.sub(r'`[^`]*`|\$[^$]*\$|\]\([^)]*\)', 'x', answer)
    parts = re.split(r'\n\s*\n|\n(?=[-*] )|(?<=[.!?])["\')*]*(?=\s)', answer)
    return sum(bool(re.search(r'\w', part)) for part in parts)


def asserts(code):
    "Whether something is claimed: `assert`, or a call of `test_...` or `assert_...`"
    nodes = list(ast.walk(ast.parse(code)))
    names = [getattr(n.func, 'attr', getattr(n.func, 'id', '')) for n in nodes if isinstance(n, ast.Call)]
    return any(isinstance(n, ast.Assert) for n in nodes) or any(n.startswith(('assert_', 'test_')) for n in names)


def test_all_25_are_answered_each_once(answers):
    assert sorted(name for name, *_ in answers) == sorted(QUESTIONS)


@pytest.mark.parametrize('name', QUESTIONS)
def test_an_answer_is_short(answers, name):
    _, question, answer, _ = by_id(answers, name)
    assert len(question.split()) > 3 and len(answer.split()) > 15
    assert 1 <= sentences(answer) <= 5, answer


@pytest.mark.parametrize('name', QUESTIONS)
def test_the_next_cell_proves_it_and_shows_a_value(answers, name):
    *_, after = by_id(answers, name)
    proof, rest = after[0], after[1:]
    assert proof['cell_type'] == 'code' and asserts(text(proof))
    assert isinstance(ast.parse(text(proof)).body[-1], ast.Expr)
    assert any(o['output_type'] == 'execute_result' for o in proof['outputs'])
    ends = not rest or rest[0]['cell_type'] == 'markdown' or text(rest[0]).startswith('#| hide')
    assert ends, 'more than one proof cell'


def runs(words, n=8): return {tuple(words[i:i+n]) for i in range(len(words)-n+1)}


def words(prose): return re.findall(r'\w+', prose.lower())


def without_code(markdown): return re.sub(r'^```.*?^```', '', markdown, flags=re.MULTILINE | re.DOTALL)


def test_words_are_our_own(root, shared):
    "No eight words in a row, case and punctuation aside, stand in a published answer as well"
    seeds = sorted((shared/'seeds').glob('*.txt'))
    assert len(seeds) == 5
    theirs = {run: f.name for f in seeds for run in runs(words(f.read_text(encoding='utf-8')))}
    prose = {f'{f.name} {c.get("id")}': without_code(text(c)) for f in sorted((root/'nbs').glob('*.ipynb'))
             for c in json.loads(f.read_text(encoding='utf-8'))['cells'] if c['cell_type'] == 'markdown'}
    copied = [(where, theirs[run], ' '.join(run)) for where, p in prose.items() for run in runs(words(p))
              if run in theirs]
    assert not copied


def test_the_checks_can_fail():
    assert sentences('One. Two, of `a. b`: 1.5! Three? (Four.) And $x. y$.') == 5
    assert sentences('- one\n- two\n\nthree') == 3
    assert asserts('test_eq(1, 1)') and asserts('assert x') and asserts('np.testing.assert_allclose(a, b)')
    assert not asserts('x')
    marked = 'It is **not** so, he said: `to_fp16` does it, always.'
    assert runs(words(marked)) & runs(words('so it is not so he said to_fp16 does it'))
