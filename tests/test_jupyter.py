"""Notebooks in a real JupyterLab and a real browser: cells run, sliders move their pictures, the quiz and the checks answer.

Lessons are opened as the student edition has them; nbdev_test runs them with their solutions. Two notebooks at a time.
Pictures go to the folder that PET_BREEDS_SCREENSHOTS names, else to pytest's temporary one.
"""
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from urllib.request import Request, urlopen

import nbformat
import pytest
from conftest import ROOT

from pet_breeds import quiz
from pet_breeds.handout import lessons, read_answers, write_student
from pet_breeds.questions import QUESTIONS

CHROMIUM = next(filter(None, map(shutil.which, ('google-chrome', 'chromium'))), None)
MISSING = [name for name in ('jupyterlab', 'ipywidgets', 'playwright') if not find_spec(name)]
MISSING += ['chromium']*(not CHROMIUM)
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f'not here: {", ".join(MISSING)}')



def n_sliders(notebook):
    cells = [c for c in nbformat.read(notebook, 4).cells if c.cell_type == 'code']
    return sum(len(re.findall(r'^(?:explore|show_live)\(', c.source, re.M)) for c in cells)


FILES = [f for f in sorted((ROOT/'nbs').rglob('*.ipynb')) if '.ipynb_checkpoints' not in f.parts]
LESSONS = [f.stem for f in lessons(ROOT/'nbs')]
SLIDERS = {f.stem: n for f in FILES if (n := n_sliders(f))}
# nbdev_test runs all notebooks; those without a slider or a quiz are opened in a browser only if PET_BREEDS_LONG is set
NOTEBOOKS = {f.stem: f'student/{f.name}' if f.stem in LESSONS else f.relative_to(ROOT).as_posix() for f in FILES
             if f.stem in (*SLIDERS, 'quiz') or os.environ.get('PET_BREEDS_LONG')}
SOLVED = {'03_data': ('q7', 'answer = dls.show_batch'), '06_rates': ('q20', 'answer = [1e-6, 1e-5, 1e-4]'),
          '05_loss': ('q13', "import pandas as pd\ntable = pd.DataFrame(dict(output=[.02, -2.49, 1.25]))\n"
                             "table['exp'] = [math.exp(x) for x in table.output]\ntable['softmax'] = "
                             "table.exp/table.exp.sum()\nanswer = table")} # a question, and what a student writes for it
MINUTE = 60_000 # milliseconds; the limits are for a machine that has much else to do
SETTINGS = {'apputils-extension/notification': {'fetchNews': 'false', 'checkForUpdates': False},
            'notebook-extension/tracker': {'windowingMode': 'none'}} # all cells are in the page, seen or not
ARGS = ('--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking '
        '--disable-component-update --disable-sync --disable-dev-shm-usage')
ELSEWHERE = re.compile(r'(http|ws)s?://(?!127\.0\.0\.1:)')
STDERR = '[data-mime-type="application/vnd.jupyter.stderr"]' # warnings, and errors too
HAS_RUN = """stderr => { // after an error, cells that waited as [*] are [ ] again; a folded cell shows no prompt
    const prompts = document.querySelectorAll('.jp-Notebook .jp-CodeCell .jp-InputPrompt')
    const texts = [...prompts].map(prompt => prompt.innerText).filter(text => text)
    return texts.every(text => /\\d/.test(text)) ||
        document.querySelector(stderr) && !texts.some(text => text.includes('*'))
}"""


# The student edition

def solve(notebook, question, answer):
    "Write an answer into the cell that asks a question"
    nb, stub = nbformat.read(notebook, 4), QUESTIONS[question].stub
    [cell] = [c for c in nb.cells if c.source == stub]
    cell.source = f'{answer}\n{stub.splitlines()[-1]}'
    nbformat.write(nb, notebook)


# JupyterLab

@contextmanager
def jupyter(folder, home):
    "A server for `folder` with its settings and all it keeps in `home`: its address, and a function that asks its API"
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
    for name, values in SETTINGS.items():
        file = home/f'settings/@jupyterlab/{name}.jupyterlab-settings'
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(values))
    places = dict(JUPYTER_CONFIG_DIR='.jupyter', JUPYTER_DATA_DIR='data', JUPYTER_RUNTIME_DIR='runtime',
                  IPYTHONDIR='ipython', JUPYTERLAB_SETTINGS_DIR='settings', JUPYTERLAB_WORKSPACES_DIR='workspaces')
    env = {**os.environ, 'OMP_NUM_THREADS': '1', **{name: str(home/place) for name, place in places.items()}}
    command = [f'{sys.exec_prefix}/bin/jupyter', 'lab', '--no-browser', '--allow-root', '--ServerApp.root_dir=.',
               '--ServerApp.ip=127.0.0.1', f'--ServerApp.port={port}', '--IdentityProvider.token=pets',
               '--LabApp.extension_manager=readonly']
    def ask(path, method='GET', data=None):
        url, data = f'http://127.0.0.1:{port}/api/{path}', data and json.dumps(data).encode()
        request = Request(url, data, {'Authorization': 'token pets'}, method=method)
        with urlopen(request, timeout=60) as answer: return answer.read()
    log = home/'server.log'
    with log.open('w') as out, subprocess.Popen(command, cwd=folder, env=env, stdout=out, stderr=out) as server:
        try:
            end = time.monotonic() + 120
            while True:
                try: ask('status')
                except OSError: assert server.poll() is None and time.monotonic() < end, log.read_text()
                else: break
                time.sleep(.1)
            yield SimpleNamespace(address=f'http://127.0.0.1:{port}', ask=ask)
        finally: server.terminate()


# A visitor

@contextmanager
def page_of(lab, name):
    "The notebook in a browser of its own, what it asked of other hosts (in vain), and its errors; ends its kernel"
    from playwright.sync_api import sync_playwright
    elsewhere, errors = [], []
    try:
        with sync_playwright() as p, p.chromium.launch(executable_path=CHROMIUM, args=ARGS.split()) as browser:
            page = browser.new_page(viewport=dict(width=1300, height=1400))
            page.set_default_timeout(2*MINUTE)
            page.route(ELSEWHERE, lambda route: route.abort())
            note = lambda asked: ELSEWHERE.match(asked.url) and elsewhere.append(asked.url)
            for event in ('request', 'websocket'): page.on(event, note)
            page.on('pageerror', lambda error: errors.append(str(error)))
            page.goto(f'{lab.address}/lab/workspaces/{name}/tree/{NOTEBOOKS[name]}?token=pets')
            yield page, elsewhere, errors
    finally:
        for session in json.loads(lab.ask('sessions')):
            if session['path'] == NOTEBOOKS[name]: lab.ask(f'sessions/{session["id"]}', 'DELETE')


def run_all(page):
    "Run > Run All Cells, again if the kernel wasn't ready yet, until all have run or one has failed"
    from playwright.sync_api import TimeoutError
    page.wait_for_selector('#jp-main-statusbar :text("| Idle")')
    for _ in range(12):
        page.click('.lm-MenuBar-itemLabel:text-is("Run")')
        page.click('li[data-command="runmenu:run-all"]')
        try: page.wait_for_selector(r'.jp-CodeCell .jp-InputPrompt:text-matches("[*\\d]")', timeout=10_000)
        except TimeoutError: continue
        break
    page.wait_for_function(HAS_RUN, arg=STDERR, timeout=15*MINUTE, polling=500)
    page.wait_for_selector('#jp-main-statusbar :text("| Idle")', timeout=15*MINUTE) # a folded cell may come last


def move(figure):
    "Click near the other end of the first slider of a figure: how the figure looked before and after"
    slider, before = figure.locator('input[type=range]').first, figure.screenshot()
    share, box = slider.evaluate('e => (e.value-e.min)/(e.max-e.min)'), slider.bounding_box()
    slider.click(position=dict(x=box['width']*(.9 if share < .5 else .1), y=box['height']/2))
    figure.page.wait_for_timeout(500) # a picture is decoded
    return before, figure.screenshot()


CELLS = "[...document.querySelectorAll('.jp-Notebook .jp-Cell')].map(cell => cell.matches('.jp-mod-active'))" # which of them is selected


def press_keys(figure):
    "Give keys to the first control of a figure: its values, whether it kept the focus, and the cells, before and after keys that move or cut a selected cell"
    control, page = figure.locator('input[type=range], select').first, figure.page
    control.focus()
    cells, values = page.evaluate(CELLS), []
    for key in ('Home', 'ArrowDown', 'ArrowUp', 'ArrowUp', 'ArrowRight', 'j', 'x'):
        control.press(key)
        values.append(control.input_value())
    return values, control.evaluate('e => e === document.activeElement'), cells, page.evaluate(CELLS)


def choose(page, number):
    "Click on a letter of the quiz: the text beside it, what is said to it, and which letters can still be clicked"
    shown = page.locator('.jp-OutputArea-output:has(button:text-is("a"))').first
    row, said = shown.locator('.widget-hbox').nth(number), shown.locator('.widget-htmlmath').last
    row.locator('button').click()
    page.wait_for_function('element => element.innerText.includes("Q7")', arg=said.element_handle())
    return row.locator('.widget-htmlmath').inner_text().strip(), said.inner_text(), shown.locator('button:enabled').count(), shown


def visit(lab, name, shots):
    "Run a notebook, move its sliders, answer its quiz"
    with page_of(lab, name) as (page, elsewhere, page_errors):
        run_all(page)
        page.locator('.jp-Notebook .jp-Cell').first.scroll_into_view_if_needed()
        page.screenshot(path=shots/f'{name}.png')
        stderr, moved, keyed, answered = page.locator(STDERR).all_inner_texts(), [], [], []
        shown = page.locator('.jp-OutputArea-output').all_inner_texts()
        checks = [sorted(re.findall(rf'(?m)^{said}', '\n'.join(shown))) for said in (r'✓ (\w+) is right', r'(\w+) is not answered yet')]
        for i in range(0 if stderr else SLIDERS.get(name, 0)):
            shown = page.locator('figure.pet-explore').nth(i)
            moved.append(move(shown))
            shown.screenshot(path=shots/f'{name}_slider_{i+1}.png')
            keyed.append(press_keys(shown))
        if name == 'quiz' and not stderr:
            *answered, shown = choose(page, [ok for _, _, ok, _ in quiz.q7.choices()].index(False))
            shown.screenshot(path=shots/f'{name}_wrong.png')
        return SimpleNamespace(stderr=stderr, moved=moved, keyed=keyed, answered=answered, checks=checks,
                               elsewhere=elsewhere, page_errors=page_errors)


@pytest.fixture(scope='module')
def visits(request, tmp_path_factory):
    "What came of a visit to each notebook that is asked for, in copies of the folders"
    folder, home = tmp_path_factory.mktemp('course'), tmp_path_factory.mktemp('home')
    unneeded = shutil.ignore_patterns('.ipynb_checkpoints')
    for name in ('nbs', 'images'): shutil.copytree(ROOT/name, folder/name, ignore=unneeded)
    write_student(folder/'student', folder/'nbs')
    for name, (question, answer) in SOLVED.items(): solve(folder/f'student/{name}.ipynb', question, answer)
    shots = Path(os.environ.get('PET_BREEDS_SCREENSHOTS') or tmp_path_factory.mktemp('screenshots'))
    shots.mkdir(parents=True, exist_ok=True)
    names = dict.fromkeys(test.callspec.params['name'] for test in request.session.items if test.path == Path(__file__))
    with jupyter(folder, home) as lab, ThreadPoolExecutor(2) as pool:
        yield {name: pool.submit(visit, lab, name, shots) for name in names}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize('name', NOTEBOOKS)
def test_a_notebook_runs(visits, name):
    seen = visits[name].result()
    assert not seen.stderr, '\n'.join(seen.stderr)
    assert (seen.elsewhere, seen.page_errors) == ([], [])


@pytest.mark.parametrize('name', SLIDERS)
def test_a_slider_moves_its_picture(visits, name):
    moved = visits[name].result().moved
    assert len(moved) == SLIDERS[name] and all(before != after for before, after in moved)


@pytest.mark.parametrize('name', SLIDERS)
def test_keys_move_a_control_and_not_the_cells(visits, name):
    for values, is_focused, before, after in visits[name].result().keyed:
        assert len(set(values)) > 1 and is_focused and before == after and sum(before) == 1


@pytest.mark.parametrize('name', ['quiz'])
def test_the_quiz_explains(visits, name):
    answered = visits[name].result().answered
    text, said, enabled = answered
    [why] = [why for _, choice, ok, why in quiz.q7.choices() if choice.replace('`', '') == text and not ok]
    assert said.strip() == f"✗ Q7 is not right yet: {why.replace('`', '')}" and enabled == 0


@pytest.mark.parametrize('name', [name for name in NOTEBOOKS if name in LESSONS])
def test_unanswered_checks_say_so_and_a_right_answer_turns_green(visits, name):
    asked = {id.upper() for id, answer in read_answers(ROOT/'nbs').items() if answer['notebook'] == name}
    right, waiting = visits[name].result().checks
    solved = [SOLVED[name][0].upper()] if name in SOLVED else []
    assert right == solved and set(waiting)-{'That'} == asked-set(right)
