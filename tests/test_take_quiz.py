"The quiz as a page of the site: in Chromium it judges as Python does or not at all, tells nothing too early, and keeps what was solved."
import importlib
import shutil
import subprocess
import sys
from datetime import date, timedelta
from importlib.util import find_spec

import pytest
from conftest import ROOT
from quiz_scores import FILE, UNSEEN, answers

from pet_breeds import progress, quiz
from pet_breeds.questions import NUMBERS, QUESTIONS
from pet_breeds.judge import gives_up
from pet_breeds.quiz import judged
from pet_breeds.results import read_results
from pet_breeds.verdicts import check_source

CHROMIUM = shutil.which('chromium') or shutil.which('google-chrome')
MISSING = [name for name in ('sphinx', 'myst_nb', 'sphinx_book_theme', 'sphinx_copybutton', 'playwright') if not find_spec(name)] + ['chromium']*(not CHROMIUM)
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f'not here: {", ".join(MISSING)}')


@pytest.fixture(scope='module')
def address(tmp_path_factory):
    "Of the page alone, built as the site builds it; its links lead nowhere"
    folder, site = tmp_path_factory.mktemp('page'), str(ROOT/'site')
    sys.path.insert(0, site)
    try: (folder/'take_quiz.md').write_text(importlib.import_module('take_quiz').take_quiz_page(), encoding='utf-8')
    finally: sys.path.remove(site)
    command = [sys.executable, '-m', 'sphinx', '-Q', '-c', site, '-D', 'root_doc=take_quiz', '-d', str(folder/'trees'), str(folder), str(folder/'_site')]
    subprocess.run(command, check=True)
    return (folder/'_site'/'take_quiz.html').as_uri()


@pytest.fixture(scope='module')
def browser():
    from playwright.sync_api import sync_playwright
    with sync_playwright() as p, p.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox']) as browser: yield browser


@pytest.fixture
def visit(browser, address):
    "Opens the page in a browser of its own, or with `again` in the same one; fails at an error of the script"
    contexts, errors = [], []
    def go(place='', again=False, **how):
        if not again: contexts.append(browser.new_context(**how))
        page = contexts[-1].new_page()
        page.on('pageerror', lambda e: errors.append(str(e)))
        page.goto(address + place)
        return page
    yield go
    for context in contexts: context.close()
    assert errors == []


@pytest.fixture(scope='module')
def judge(browser, address):
    "What the page finds in an answer to a question, without a visit for each"
    page = browser.new_page()
    page.goto(address)
    yield lambda id, text: page.evaluate('row => judgeAnswer(...row)', [id, text])
    page.close()


def kept(page): return page.evaluate('JSON.parse(localStorage.getItem("pet_breeds.quiz") || "{}")')


def shown(page): return page.locator('.quiz-question:visible')


def answer(page, text):
    page.locator('.quiz-question:visible textarea').fill(text)
    page.locator('.quiz-question:visible textarea').press('Enter')
    return page.locator('.quiz-question:visible .quiz-verdict').inner_text()


def verdict(id, text):
    "Of Python, on what is typed"
    if text.startswith('lambda') or gives_up(text): return None, None
    result = judged(id, QUESTIONS[id].judge, quiz._as_typed(text.strip()))
    return result.ok, result.mistake if result.ok is False else None


def test_labelled_answers_get_the_verdict_of_python_or_none(visit):
    "900 answers, right and wrong: none is right here and not there, none is called wrong here and not there"
    rows = [(id, given if isinstance(given, str) else repr(given)) for file in (FILE, UNSEEN) for id, _, given, _ in answers(file)]
    rows += [(id, text[1:-1]) for id, table in NUMBERS.items() for x in sum(table.get('mistakes', {}).values(), table['right'])
             for text in ([f'[{x[0]}]'] if len(x) == 1 else [repr(x), repr(x)])]
    rows += [(id, text) for id in ('q1', 'q6', 'q15', 'q21', 'q22') for text in ('0.9', '17', '33 %', '1/4', '10^-3', '-2', '3,4', '1e400', 'inf', '.', 'nan')] + [('q6', '17%'), ('q21', '25%'), ('q12', 'softmax sigmoid sigmoid softmax')]
    rows += [('q2', pattern) for pattern in (r'(.+)_', r"r'(.+)_\d+\.jpg$'", r'^([^_]+)_', '(', '.+', r'([a-z_]+)_\d+\.jpg$', r'`(.+)_\d+.jpg$`', r'(?i)(.+)_\d+\.jpg$', r'(.+)_(\d+)\.jpg$', 'the name')]
    rows += [(id, 'lambda x: x') for id in ('q2', 'q10', 'q20')]
    rows += [(id, text.strip('`')) for id, q in QUESTIONS.items() for text in ('; '.join(q.points), *(choice for choice, *_ in q.choices), *q.mistakes.values())]
    there = [verdict(*row) for row in rows]
    here = [(found['ok'], found.get('mistake') if found['ok'] is False else None)
            for found in visit().evaluate('rows => rows.map(row => judgeAnswer(...row))', rows)]
    differ = [(row, a, b) for row, a, b in zip(rows, there, here) if a != b]
    assert [case for case in differ if case[2] != (None, None)] == []
    assert len(rows) > 900 and len(differ) < .06*len(rows), len(differ)


@pytest.mark.parametrize('text, ok', [('', None), (' '*9, None), ('(('*3000, None), ('a '*9000, None), ('\0', None), ('[', None), ('<b>show_batch</b>', True),
                                      ('\u201cshow_batch\u201d', True), ("['show_batch']", True), ('1803.09820', None)], ids=lambda t: ascii(t)[:12])
def test_odd_answers(judge, text, ok): assert judge('q7', text)['ok'] is ok


@pytest.mark.parametrize('id', QUESTIONS)
def test_the_right_choice_and_the_points_typed_are_right(judge, id):
    q = QUESTIONS[id]
    assert judge(id, q.choices[0][0].strip('`'))['ok']
    if id not in ('q2', 'fr2'): assert judge(id, '; '.join(q.points))['ok']


def test_a_pattern_that_would_take_hours_is_not_run(judge):
    assert judge('q2', r'^((\w+)+)+\d+\.png$') == dict(ok=None, text='This page cannot run it.')


def test_nothing_is_told_before_an_attempt(visit):
    page = visit()
    page.locator('select').nth(2).select_option('all at once')
    assert shown(page).count() == 25 and page.get_by_text('Show our answer').count() == 0
    for words in ('Hint', 'Show choices', 'Check'): # there is no answer to check: this is no try
        page.evaluate('words => [...document.querySelectorAll("button")].filter(b => b.textContent === words).map(b => b.click())', words)
    text = ' '.join(page.locator('article').inner_text().replace('\u2019', "'").split())
    for id, q in QUESTIONS.items():
        told = [*q.points, *(why for _, _, why in q.choices), *q.mistakes.values(), quiz._answers()[id]["answer"].partition(". ")[0]]
        assert [t for t in told if len(t) > 40 and ' '.join(t.replace('`', '').split()) in text] == []
    assert page.locator('[data-right]').count() == 0 and kept(page) == {}


def test_a_letter_counts_once_and_after_the_choices(visit):
    letters = {ok: letter for letter, _, ok, _ in quiz.q7.choices()}
    page = visit('#q7')
    page.keyboard.press(letters[True])
    assert kept(page) == {}
    shown(page).get_by_text('Show choices').click()
    page.keyboard.press(letters[False])
    [why] = [why for letter, _, _, why in quiz.q7.choices() if letter == letters[False]]
    assert why.replace('`', '') in shown(page).locator('.quiz-verdict').inner_text()
    page.keyboard.press(letters[True])
    assert kept(page)['q7']['tries'] == 1 and not kept(page)['q7']['solved']
    assert answer(page, 'show_batch').startswith('✓ Q7 is right.') and kept(page)['q7']['solved']
    shown(page).get_by_text('Show our answer').click()
    assert 'The proof in lesson 03_data' in shown(page).inner_text()


def test_the_focus_follows_what_a_button_opens(visit):
    page = visit('#q7')
    focused = lambda: page.evaluate('document.activeElement.className + document.activeElement.type')
    def press(text):
        shown(page).get_by_text(text).focus()
        page.keyboard.press('Enter')
        assert shown(page).get_by_text(text).count() == 0
        return focused()
    assert press('Hint').startswith('quiz-hint')
    assert press('Show choices').endswith('button') and page.evaluate('document.activeElement.textContent')[0] == 'a'
    answer(page, 'display')
    assert press('Compare with the points').endswith('checkbox') and press('Show our answer').startswith('quiz-answer')


@pytest.mark.parametrize('id, text', [
    ('q2', r'(.+)_(?:\d+)\.jpg\Z'), ('q13', '0.22, 0.02 and 0.76, since the exps are 1.02, 0.08 and 3.49'), ('q17', 'batch norm and head'),
    ('q22', '23'), ('q1', '0.17 and 0.0 since it has more room'), ('q15', '0.69 + 3.14i')])
def test_right_here_as_in_python(judge, id, text):
    assert judge(id, text)['ok'] and verdict(id, text)[0]


@pytest.mark.parametrize('text', ['blur', 'black corners', 'empty areas'])
def test_half_an_answer_gets_the_remark_of_python(judge, text):
    assert judge('q6', text)['text'] == judged('q6', QUESTIONS['q6'].judge, text).text


def test_points_are_ticked_where_the_page_cannot_tell(visit):
    page = visit('#q12')
    verdict = answer(page, 'Whenever the sun is shining on the beach.')
    assert "I can't tell" in verdict and quiz.q12.question.points[0] not in verdict, 'shown when asked for'
    shown(page).get_by_text('Compare with the points').click()
    assert shown(page).locator('input[type=checkbox]').count() == len(quiz.q12.question.points)
    solved = shown(page).get_by_text('count it as solved')
    assert solved.is_disabled()
    shown(page).locator('input[type=checkbox]').first.check()
    solved.click()
    assert kept(page)['q12'] == dict(tries=1, solved=False, by_you=True) and '1 of 25 solved' in page.inner_text('#quiz-bar')
    page = visit('#q11', viewport=dict(width=420, height=800))
    answer(page, 'Whenever the sun is shining on the beach.')
    shown(page).get_by_text('Compare with the points').click()
    solved, ticks = shown(page).get_by_text('count it as solved'), shown(page).locator('input[type=checkbox]').all()
    ticks[0].check()
    assert solved.is_disabled(), 'the judge looks for two points'
    ticks[1].check()
    assert solved.is_enabled() and 'at least 2' in shown(page).locator('.quiz-verdict').inner_text()
    labels, boxes = ([e.bounding_box() for e in shown(page).locator(f'.quiz-points {tag}').all()] for tag in ('label', 'input'))
    assert all(b['y'] - a['y'] - a['height'] >= 6 for a, b in zip(labels, labels[1:])) and all(0 <= box['y'] - label['y'] < 12 for label, box in zip(labels, boxes))
    page = visit('#q7')
    assert 'show_batch' not in answer(page, 'display'), 'a name gives no points away'
    shown(page).get_by_text('Compare with the points').click()
    assert 'show_batch' in shown(page).locator('.quiz-verdict').inner_text()
    assert 'one_batch returns the tensors' in answer(page, 'one_batch') and [*kept(page)] == ['q7']


def test_by_lesson_not_solved_and_back_and_on(visit):
    page = visit()
    lesson, which, how = page.locator('#quiz-bar select').all()
    lesson.select_option('05_loss')
    page.locator('article h1').click()
    for _ in range(9): page.keyboard.press('ArrowRight')
    assert shown(page).get_attribute('id') == 'q15' and page.get_by_text('6 of 6').is_visible()
    page.locator('.quiz-question:visible textarea').fill('left as it')
    page.get_by_role('button', name='Back').click()
    assert '✓ Q14 is right.' not in answer(page, 'because')
    page.get_by_role('button', name='Next question').click()
    assert page.locator('.quiz-question:visible textarea').input_value() == 'left as it'
    assert answer(page, 'nan').startswith('✓ Q15 is right.')
    page.keyboard.press('ArrowLeft')
    assert shown(page).get_attribute('id') == 'q14', 'the field has lost the focus'
    page.keyboard.press('ArrowRight')
    which.select_option('Not solved')
    how.select_option('all at once')
    assert [q.get_attribute('id') for q in shown(page).all()] == ['q10', 'q11', 'q12', 'q13', 'q14']
    page = visit('#q12', again=True)
    assert '1 of 25 solved' in page.inner_text('#quiz-bar'), 'after a restart'


def test_a_missed_question_comes_back_on_its_day_as_progress_plans_it(visit):
    day = page = None
    for days, ok in ((0, False), (0, True), (1, True), (3, True), (3, None), (2, False), (5, False), (1, True)):
        if page is None:
            page, day, entry = visit('#q20', timezone_id='UTC'), date(2024, 2, 27), {}
            page.clock.install()
        day += timedelta(days)
        page.clock.set_system_time(f'{day}T12:00:00Z')
        answer(page, {True: '1e-6, 1e-5, 1e-4', False: '1e-6, 5.05e-5, 1e-4', None: 'as rates go'}[ok])
        entry = progress.planned(entry, ok, day) | dict(solved=entry.get('solved', False) or ok is True)
        assert {name: value for name, value in kept(page)['q20'].items() if name != 'tries'} == entry, (day, ok)
    which = page.locator('#quiz-bar select').nth(1)
    which.select_option('To review')
    assert 'Nothing to review today.' in page.inner_text('#quiz-bar') and shown(page).count() == 0
    which.select_option('Missed')
    assert [q.get_attribute('id') for q in shown(page).all()] == ['q20']
    page.clock.set_system_time(f'{day + timedelta(3)}T12:00:00Z')
    which.select_option('All questions'), which.select_option('To review')
    assert shown(page).get_attribute('id') == 'q20' and '1 to review today' in page.inner_text('#quiz-bar')
    assert page.locator('.quiz-question:visible textarea').input_value() == '', 'asked anew'


def test_a_number_asks_its_question_and_all_can_be_forgotten(visit):
    page = visit('#q7')
    assert answer(page, 'show_batch').startswith('✓ Q7') and answer(page, "I don't know").startswith('Take a hint') and kept(page)['q7']['tries'] == 1
    numbers = page.locator('.quiz-numbers button')
    assert numbers.count() == 25 and numbers.nth(6).get_attribute('title') == 'solved' and numbers.nth(7).get_attribute('title') == 'not tried'
    numbers.nth(23).click()
    assert shown(page).get_attribute('id') == 'fr1' and numbers.nth(23).get_attribute('aria-current') == 'true'
    assert shown(visit(again=True)).get_attribute('id') == 'q1', 'the first that is not solved'
    page.on('dialog', lambda dialog: dialog.accept())
    page.get_by_text('Forget what I solved').click()
    assert kept(page) == {} and '0 of 25 solved' in page.inner_text('#quiz-bar')


def test_what_was_typed_is_there_again_until_its_review(visit):
    page = visit('#q7', timezone_id='UTC')
    page.clock.install()
    page.clock.set_system_time('2024-02-27T12:00:00Z')
    assert '✗' in answer(page, 'one_batch')
    page.locator('.quiz-question:visible textarea').press_sequentially(' and mo')
    for odd in ('', '{"q8": 3, "q9": null}'):
        if odd: page.evaluate('odd => localStorage.setItem("pet_breeds.quiz.given", JSON.stringify({...JSON.parse(odd), ...JSON.parse(localStorage.getItem("pet_breeds.quiz.given"))}))', odd)
        page.reload()
        assert shown(page).get_attribute('id') == 'q7' and page.locator('.quiz-question:visible textarea').input_value() == 'one_batch and mo'
        assert shown(page).get_by_text('Show our answer').is_visible(), 'it was tried before'
    page.clock.set_system_time('2024-02-28T12:00:00Z')
    page.reload()
    assert page.locator('.quiz-question:visible textarea').input_value() == '' and shown(page).get_by_text('Show our answer').count() == 0


def test_the_keyboard_is_enough(visit):
    page = visit('#q7')
    answer(page, 'show_batch')
    page.keyboard.press('Enter') # on Next question
    page.keyboard.type('summary')
    page.keyboard.press('Enter')
    assert kept(page)['q8']['solved'] and shown(page).get_attribute('id') == 'q8'
    for key, id in (('ArrowRight', 'q9'), ('ArrowRight', 'q10'), ('ArrowLeft', 'q9')): # through empty fields
        page.keyboard.press(key)
        assert shown(page).get_attribute('id') == id
    page.keyboard.type('falso')
    page.keyboard.press('ArrowLeft')
    assert shown(page).get_attribute('id') == 'q9', 'within a text the arrows move in it'
    page.keyboard.press('Enter')
    answered = [page.locator('.quiz-numbers button').nth(i) for i in (6, 8)]
    assert [(number.get_attribute('title'), number.get_attribute('class')) for number in answered] == [('solved', 'quiz-solved'), ('tried', '')]


def test_answers_are_handed_in_as_a_file_that_can_be_checked(visit, tmp_path):
    page, letters = visit('#q3'), {ok: letter for letter, _, ok, _ in quiz.q3.choices()}
    shown(page).get_by_text('Show choices').click()
    page.keyboard.press(letters[True])
    for id, text in dict(q7='show_batch', q13='0.22, 0.02 and 0.76', q2=r"(.+)_\d+\.jpg$", q19='"late" \\ \u2028 \U0001f600\nlow', q20='1e-6, 5.05e-5, 1e-4', q15='-inf').items():
        page.evaluate('id => { location.hash = id; followLink() }', id)
        answer(page, text)
    answer(page, 'nan')
    answer(page, '-inf') # the right one is kept
    page.on('dialog', lambda dialog: dialog.accept(' Ada / Lovelace '))
    with page.expect_download() as download: page.get_by_role('button', name='Hand in').click()
    file = tmp_path/download.value.suggested_filename
    download.value.save_as(file)
    found = read_results(file)
    assert file.name == 'Ada_Lovelace.json' and found['name'] == 'Ada / Lovelace' and found['solved'] == ['q2', 'q3', 'q7', 'q13', 'q15']
    assert {id: entry['verdict'] for id, entry in found['answers'].items()} == dict(
        q2='right', q3='right', q7='right', q13='right', q15='right', q19="can't tell", q20='wrong: linear')
    assert {id: check_source(id, entry['source'])[0] for id, entry in found['answers'].items()} == {id: entry['verdict'] for id, entry in found['answers'].items()}


def test_two_tabs_lose_nothing_and_odd_storage_is_no_error(visit):
    one = visit('#q7')
    two = visit('#q8', again=True)
    answer(one, 'show_batch'), answer(two, 'summary')
    assert {id: q['solved'] for id, q in kept(one).items()} == dict(q7=True, q8=True)
    for odd in ('{', '[]', '3', 'null', '{"q7": 3}', '{"q7": {"tries": "x"}}'):
        one.evaluate('odd => localStorage.setItem("pet_breeds.quiz", odd)', odd)
        page = visit(again=True)
        assert ' of 25 solved' in page.inner_text('#quiz-bar')
        page.close()
    one.evaluate('() => { Storage.prototype.setItem = () => { throw new Error("full") } }')
    assert answer(one, 'show_batch').startswith('✓') and 'lets this page keep nothing' in one.inner_text('#quiz-bar')


@pytest.mark.parametrize('width, scheme', [(1200, 'light'), (420, 'dark'), (320, 'dark')])
def test_it_fits_and_can_be_read(visit, width, scheme):
    page = visit('#q2', viewport=dict(width=width, height=800), color_scheme=scheme)
    shown(page).get_by_text('Show choices').click()
    answer(page, r'(.+)_\d+\.jpg$')
    assert page.evaluate('document.documentElement.scrollWidth') <= width
    shown_on_scroll = "const e = document.getElementById('pst-back-to-top'); e.style.display = 'block'; getComputedStyle(e).display"
    assert page.evaluate(shown_on_scroll) == 'none', 'it would cover Next'
    colors = page.evaluate('''[...document.querySelectorAll('.quiz-question:not([hidden]) :is(textarea, button)')].map(e => {
        const of = name => getComputedStyle(e)[name].match(/[\\d.]+/g).slice(0, 3).map(x => (x/255 + .055)/1.055).map(x => Math.max(x, 0)**2.4)
        const light = ([r, g, b]) => .2126*r + .7152*g + .0722*b, [a, b] = [light(of('color')), light(of('backgroundColor'))]
        return (Math.max(a, b) + .05)/(Math.min(a, b) + .05)})''')
    assert len(colors) > 6 and min(colors) > 4.5


def test_without_a_script(visit):
    page = visit(java_script_enabled=False)
    assert page.locator('.quiz-question').count() == 25 and page.locator('article noscript').is_visible()
    question = page.locator('#q7')
    assert not question.get_by_text('It draws some photos of a batch').is_visible()
    for words in ('Hint', 'Choices', 'The points of a full answer', 'Our answer'):
        question.locator('summary', has_text=words).first.click()
    assert question.get_by_text('one of the methods draws').is_visible() and question.get_by_text('one_batch', exact=True).first.is_visible()
    assert not question.get_by_text('It draws some photos of a batch').is_visible(), 'under a triangle of its own'
