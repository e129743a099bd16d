"The site: whole, searchable, nothing from other hosts, no dead link, no picture without words. Its notebooks, too."
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from io import BytesIO
from urllib.parse import unquote, urlparse

import nbformat
import pandas as pd
import pytest
from conftest import ROOT
from PIL import Image, ImageChops, ImageColor, ImageOps

from pet_breeds.figures import COLORS

NOTEBOOKS = sorted(f for f in (ROOT/'nbs').rglob('*.ipynb') if '.ipynb_checkpoints' not in f.parts)
INTERNALS = [f.stem for f in NOTEBOOKS if f.parent.name == 'internals']
MODULES = sorted(f.stem for f in (ROOT/'pet_breeds').glob('*.py') if f.stem[0] != '_')
MISSING = [name for name in ('sphinx', 'myst_nb', 'sphinx_book_theme', 'sphinx_copybutton') if not find_spec(name)]


# The notebooks themselves

def prose(notebook):
    "(cell id, its Markdown without code) for each cell of text"
    for cell in nbformat.read(notebook, 4).cells:
        text = re.sub(r'^(`{3,}).*?^\1|`[^`\n]*`', '', cell.source, flags=re.S | re.M)
        if cell.cell_type == 'markdown': yield cell.id, text


def dead_links(notebook):
    "Links from a notebook to files or cells that are not there"
    for cell, text in prose(notebook):
        for link in re.findall(r'\]\(([^)\s]+)', text):
            path, _, fragment = link.partition('#')
            if urlparse(link).scheme: continue
            file = (notebook.parent/unquote(path)) if path else notebook
            if not file.exists(): yield f'{cell}: {link}'
            elif fragment.startswith('cell-id='):
                if fragment[8:] not in {c.id for c in nbformat.read(file, 4).cells}: yield f'{cell}: {link}'
            elif fragment: yield f'{cell}: {link} (a fragment must be cell-id=...)'


@pytest.mark.parametrize('notebook', NOTEBOOKS, ids=lambda f: f.stem)
def test_links_of_a_notebook_lead_somewhere(notebook): assert list(dead_links(notebook)) == []


@pytest.mark.parametrize('notebook', NOTEBOOKS, ids=lambda f: f.stem)
def test_pictures_in_text_have_words(notebook):
    bare = re.compile(r'!\[\s*\]\([^)]*\)|<img(?![^>]*alt=)[^>]*>')
    assert [(cell, m) for cell, text in prose(notebook) for m in bare.findall(text)] == []


def test_dead_links_are_found(tmp_path):
    md = lambda id, source: nbformat.v4.new_markdown_cell(source, id=id)
    nb = tmp_path/'a.ipynb'
    cells = [md('one', '[x](b.ipynb) `[y](c.ipynb)` [z](https://d.e)'),
             md('two', '[x](a.ipynb#cell-id=three) [y](#cell-id=one)')]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), nb)
    assert list(dead_links(nb)) == ['one: b.ipynb', 'two: a.ipynb#cell-id=three']


# The site

def build(out, **env):
    command = [sys.executable, str(ROOT/'site'/'build.py'), '--out', str(out)]
    return subprocess.run(command, cwd=out.parent, capture_output=True, text=True, env={**os.environ, **env})


def test_without_sphinx_it_says_what_to_install(tmp_path):
    hide = 'import sys\nfor name in ("sphinx", "myst_nb", "sphinx_book_theme", "sphinx_copybutton"): sys.modules[name] = None\n'
    (tmp_path/'sitecustomize.py').write_text(hide)
    done = build(tmp_path/'out', PYTHONPATH=str(tmp_path))
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    assert 'pip install sphinx myst-nb sphinx-book-theme sphinx-copybutton' in done.stderr


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    if MISSING: pytest.skip(f"the site needs {', '.join(MISSING)}: pip install -e '.[dev]'")
    out = tmp_path_factory.mktemp('site')/'_site'
    done = build(out)
    assert done.returncode == 0, done.stderr # a warning of Sphinx fails it too
    assert [f.name for f in out.parent.iterdir()] == ['_site'], 'it leaves nothing else, such as copies of the notebooks'
    return out


@pytest.fixture(scope='module')
def pages(site):
    "{file: what BeautifulSoup reads in it}"
    from bs4 import BeautifulSoup
    files = [f for f in site.rglob('*.html') if '_static' not in f.parts]
    return {f: BeautifulSoup(f.read_text(encoding='utf-8'), 'html.parser') for f in files}


def test_every_notebook_and_module_has_a_page(site):
    expected = [f'{f.stem}.html' for f in NOTEBOOKS] + [f'api/{m}.html' for m in MODULES]
    expected += ['CONTRIBUTING.html', 'api/index.html', 'search.html', 'take_quiz.html']
    assert [page for page in expected if not (site/page).exists()] == []


def links_of(page): return {a['href'].partition('#')[0] for a in page.select('article a[href]')}


def test_lessons_and_internals_lead_to_each_other(pages, site):
    assert [name for name in INTERNALS if 'index.html' not in links_of(pages[site/f'{name}.html'])] == []
    assert 'batches.html' in links_of(pages[site/'scale.html'])
    assert '04_presize.html' in links_of(pages[site/'warp.html'])
    assert 'warp.html' in links_of(pages[site/'batches.html']) # and internals to each other


def test_the_menu_is_short_and_has_every_page(pages, site):
    menu = pages[site/'index.html'].select_one('nav.bd-links')
    assert [p.get_text().strip() for p in menu.select('p.caption')] == ['Lessons', 'Look up']
    top = {a['href']: a.get_text() for a in menu.select('ul.bd-sidenav > li > a')}
    assert len(top) < 20 and list(top)[-4:] == ['questionnaire.html', 'api/index.html', 'internals.html', 'CONTRIBUTING.html']
    assert (top['12_quiz.html'], top['take_quiz.html']) == ('12 The quiz (notebook)', 'Take the quiz here')
    assert {a['href'] for a in menu.select('details a')} >= {f'{name}.html' for name in INTERNALS}
    assert links_of(pages[site/'internals.html']) >= {f'{name}.html' for name in INTERNALS}


@pytest.mark.parametrize('module', MODULES)
def test_every_export_is_described(pages, site, module):
    page = pages[site/'api'/f'{module}.html']
    said = [h.get_text().rstrip('#') for h in page.select('h2')]
    if module == 'all': said = re.findall(r'\w+', page.get_text())
    assert set(importlib.import_module(f'pet_breeds.{module}').__all__) - set(said) == set()


def test_a_signature_has_its_comments(pages, site):
    row = pages[site/'api'/'presize.html'].select_one('section#presize tbody tr')
    assert [td.get_text() for td in row.find_all('td')][:3] == ['item', 'int', '460']
    assert 'side of the first square in pixels' in row.get_text()
    source = pages[site/'api'/'presize.html'].select_one('section#presize a.reference')['href']
    assert source.startswith('../04_presize.html#')


LOADS = {**dict.fromkeys(('script', 'img', 'iframe', 'source', 'video', 'audio', 'embed'), 'src'), 'object': 'data'}


def loaded(soup):
    "What a browser fetches with the page, unasked"
    for tag, attr in LOADS.items(): yield from (t[attr] for t in soup.find_all(tag) if t.get(attr))
    unloaded = {'next', 'prev', 'canonical', 'search', 'index'}
    yield from (t['href'] for t in soup.find_all('link') if t.get('href') and not unloaded & set(t.get('rel', [])))
    styles = [t.get_text() for t in soup.find_all('style')] + [t['style'] for t in soup.select('[style]')]
    for style in styles: yield from css_urls(style)


def css_urls(css): return re.findall(r'''(?:url\(|@import)\s*["']?([^"')]+)''', css)


def is_remote(url): return url.startswith('//') or urlparse(url).scheme in ('http', 'https', 'ftp')


def test_nothing_comes_from_another_host(pages, site):
    assert [(f.name, url) for f, soup in pages.items() for url in loaded(soup) if is_remote(url)] == []
    css = [(f.name, url) for f in site.rglob('*.css') for url in css_urls(f.read_text(encoding='utf-8'))]
    assert [(name, url) for name, url in css if is_remote(url)] == []


def test_resources_are_there(pages):
    urls = [(f, urlparse(url)) for f, soup in pages.items() for url in loaded(soup)]
    local = [(f, f.parent/unquote(url.path)) for f, url in urls if not url.scheme]
    assert local and [(f.name, target.name) for f, target in local if not target.exists()] == []


def test_links_and_anchors_are_alive(pages):
    names = lambda soup: {t['id'] for t in soup.select('[id]')} | {t['name'] for t in soup.select('a[name]')}
    ids, dead, count = {f.resolve(): names(soup) for f, soup in pages.items()}, [], 0
    for f, soup in pages.items():
        for href in {a['href'] for a in soup.select('a[href]')}:
            url = urlparse(href)
            if url.scheme or href == '#': continue
            target, count = (f.parent/unquote(url.path) if url.path else f).resolve(), count+1
            lost = url.fragment and target in ids and unquote(url.fragment) not in ids[target]
            if lost or not target.exists(): dead.append((f.name, href))
    assert count > 1000 and dead == []


def test_every_picture_has_words(pages):
    pictures = [(f.name, img) for f, soup in pages.items() for img in soup.find_all('img')]
    bare = [(name, img['src'][-30:]) for name, img in pictures if len(img.get('alt', '').strip()) < 10]
    assert len(pictures) > 40 and bare == []


def test_dense_plots_are_not_shrunk(pages, site):
    large = pages[site/'09_mistakes.html'].select('.cell_output[tabindex="0"] > img.large') # in a box that is moved by keys, too
    assert [img['alt'][:28] for img in large] == ['Figure: The confusion matrix']
    assert 'img.large' in (site/'_static'/'site.css').read_text()


def test_folded_code_says_what_it_holds_and_a_finished_bar_leaves_nothing(pages, site):
    folds = {name: [p.get_text() for p in pages[site/f'{name}.html'].select('article summary .collapsed')] for name in ('01_start', '06_rates')}
    assert folds['01_start'][:3] == ['Imports', 'Solution', 'Code of the picture'] and 'Code of range_test' in folds['06_rates']
    shown = [(f.name, box) for f, soup in pages.items() for box in soup.select('.text_html') if not (box.get_text().strip() or box.find('img'))]
    assert shown == [] and 'epoch' in [th.get_text() for th in pages[site/'01_start.html'].select('table.dataframe th')]


def test_a_task_says_where_to_do_it_and_folds_its_solution(pages, site):
    asked = re.compile('is not answered yet|A ... is left')
    assert [f.name for f, soup in pages.items() if soup.find('pre', string=asked) or soup.find(class_='text_markdown', string=asked)] == []
    for lesson in [f.stem for f in NOTEBOOKS if '01' <= f.stem[:2] <= '11']:
        page = pages[site/f'{lesson}.html']
        assert len(page.select(f'article a[download][href="_sources/{lesson}.ipynb"]')) >= 4 and '...' in page.select_one('article').get_text()
        solutions = [d for d in page.select('details') if d.summary.get_text().strip().startswith('Solution')]
        assert len(solutions) >= 4 and [s for s in solutions if s.find_next_sibling(class_='cell_output')] == [], lesson
    assert pages[site/'06_rates.html'].select('details .cell_output')[0].get_text().strip() == '0.0832'


def test_the_questionnaire_shows_pictures_and_leads_to_each_question(pages, site):
    page = pages[site/'questionnaire.html']
    assert '[a picture]' not in page.get_text() and page.select('img[alt="samoyed, Bengal"]')
    ways = next(p for p in page.select('article p') if p.get_text().startswith('Straight to')).select('a')
    assert len(ways) == 25 and all(page.find(id=a['href'][1:]).find(['h2', 'h3']).get_text().startswith(f'{a.get_text()}. ') for a in ways)


def test_lines_are_turned_at_night_photos_and_the_matrix_are_not(pages):
    plots = [(f.stem, img) for f, soup in pages.items() for img in soup.select('.cell_output img')]
    turned = [(name, img) for name, img in plots if 'lines' in img.get('class', [])]
    assert {name for name, _ in turned} >= {'05_loss', '06_rates', '07_finetune', '10_improve'} and len(turned) > 25
    assert [name for name, img in turned if not img['src'].endswith('.png') or 'large' in img['class']] == []
    assert {name for name, img in plots if img not in [t for _, t in turned]} >= {'01_start', '09_mistakes'}


@pytest.mark.skipif(bool(MISSING), reason=f'needs {MISSING}')
def test_numbers_stand_at_the_right_under_their_name_and_words_at_the_left(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT/'site'))
    from bs4 import BeautifulSoup
    from conf import align
    table = pd.DataFrame(dict(rate=[.1, 2e-6], rule=['steep', '3rd'], wrong=['7%', '12%']), index=pd.MultiIndex.from_product([[100], ['a', 'b']]))
    table.columns.name = 'measured'
    soup = BeautifulSoup(align(table.to_html()), 'html.parser')
    columns = {name.get_text(): (name.get('class'), {str(row.select('td')[i].get('class')) for row in soup.select('tbody tr')})
               for i, name in enumerate(soup.select('thead tr')[0].select('th')[-3:])}
    number = (['number'], {"['number']"})
    assert columns == dict(rate=number, rule=(None, {'None'}), wrong=number)
    assert align('<table class="dataframe"><thead><tr><th>a</th></tr></thead><tbody></tbody></table>').count('number') == 0


@pytest.mark.skipif(bool(MISSING), reason=f'needs {MISSING}')
def test_a_line_that_goes_on_is_indented_and_its_text_stays(pages, site, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT/'site'))
    from bs4 import BeautifulSoup
    from build import hang
    code = '<span></span><span class="k">def</span> f():\n    <span class="k">return</span> ' + 'x+'*30 + '&lt;y\n'
    soup = BeautifulSoup(f'<pre>{hang(code)}</pre>', 'html.parser')
    assert soup.get_text() == BeautifulSoup(f'<pre>{code}</pre>', 'html.parser').get_text()
    assert [line['style'] for line in soup.select('.line')] == ['--hang: 8']
    assert len(pages[site/'05_loss.html'].select('.cell_input pre .line')) > 20 and pages[site/'05_loss.html'].select('.output .line') == []


def test_what_a_command_prints_is_not_colored_as_python(pages, site):
    [printed] = [pre for pre in pages[site/'index.html'].select('.highlight-text pre') if 'Open' in pre.get_text()]
    assert printed.select('span[class]') == []


def test_a_term_leads_to_where_it_is_explained(pages, site):
    "To a heading or a cell whose text has the term (1cycle is fastai's fit_one_cycle), and that by more than the lesson's name"
    for row in pages[site/'glossary.html'].select('article tbody tr'):
        term, lesson, cell = row.td.get_text(), *row.a['href'].split('.html#')
        source = next(c.source for c in nbformat.read(ROOT/'nbs'/f'{lesson}.ipynb', 4).cells if f"{lesson.split('_')[1]}-{c.id}" == cell)
        assert re.search(term.replace('1cycle', 'one.cycle'), source, re.I), term


def test_search_knows_its_words(site):
    text = (site/'searchindex.js').read_text(encoding='utf-8')
    index = json.loads(text.removeprefix('Search.setIndex(').rstrip(';').removesuffix(')'))
    lesson = index['docnames'].index('04_presize')
    found = index['terms']['presiz'] # as the stemmer of Sphinx leaves presizing
    assert lesson in (found if isinstance(found, list) else [found]) or lesson in index['titleterms'].get('presiz', [])


def test_formulas_need_no_script(pages, site):
    formulas = pages[site/'05_loss.html'].select('math')
    assert len(formulas) > 20 and formulas[0].select('mi')
    scripts = {f.name: str(soup.find_all('script', src=True)).lower() for f, soup in pages.items()}
    assert [name for name, text in scripts.items() if 'mathjax' in text] == []


def test_a_markdown_output_is_a_table(pages, site):
    assert 'lesson' in [th.get_text() for th in pages[site/'quiz.html'].select('.cell_output th')]


def test_hidden_cells_and_directives_are_left_out(pages, site):
    code = '\n'.join(pre.get_text() for soup in pages.values() for pre in soup.select('div.cell_input pre'))
    assert 'def presize(' in code and 'nbdev_export()' not in code
    assert re.findall(r'^#\|.*', code, re.M) == []


def test_a_notebook_can_be_taken_along(site):
    for f in NOTEBOOKS: assert (site/'_sources'/f.name).read_bytes() == f.read_bytes()


def test_no_address_of_this_machine(pages):
    address = re.compile(r'/(?:home|root|Users|tmp|work|opt)/\w+|0x[0-9a-f]{8,}')
    assert [(f.name, m) for f, soup in pages.items() for m in address.findall(soup.get_text())] == []


# A PNG of one pixel
DOT = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=='


@pytest.mark.skipif(bool(MISSING), reason=f'needs {MISSING}')
def test_a_widget_leaves_its_picture(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT/'site'))
    from conf import WIDGET, adapt_notebook
    widget = lambda name: {WIDGET: {'model_id': name}, 'text/plain': 'VBox()'}
    datas = widget('a'), {**widget('b'), 'image/png': DOT}, {'text/plain': '1'}
    outputs = [{'output_type': 'display_data', 'metadata': {}, 'data': data} for data in datas]
    cell = dict(cell_type='code', id='a', source='#| export\nx', metadata={}, outputs=outputs, execution_count=None)
    nb = adapt_notebook(dict(cells=[cell], metadata={'widgets': {}}), 'doc')
    (_, cell), metadata = nb['cells'], nb['metadata']
    assert [set(out['data']) for out in cell['outputs']] == [{'image/png', 'text/plain'}, {'text/plain'}]
    assert cell['source'] == 'x' and 'widgets' not in metadata


# In a browser

AXE_PAGES = ('index', '05_loss', '08_precision', '09_mistakes', 'glossary', 'search', 'take_quiz', 'api/loss', 'api/sources') # all if PET_BREEDS_LONG is set
CUT = '''() => [...document.querySelectorAll('article :not(pre *), .prev-next-area *')].filter(e => {
  const style = getComputedStyle(e), box = e.getBoundingClientRect()
  if (!box.width || e.closest('math, svg, .visually-hidden, .picture') || e.matches('input')) return false
  if (e.matches('pre') || ['hidden', 'clip'].includes(style.overflowX)) return e.scrollWidth > e.clientWidth + 1
  if (box.right <= innerWidth + 1) return false
  let around = e.parentElement
  while (around && !['auto', 'scroll'].includes(getComputedStyle(around).overflowX)) around = around.parentElement
  return !around
}).map(e => `${e.tagName} ${e.className} ${e.textContent.trim().slice(0, 50)}`)'''
IS_WIDE = 'document.documentElement.scrollWidth > innerWidth'
CONTROLS = 'figure.pet-explore :is(input[type=range], select)'


@pytest.fixture(scope='module')
def browser():
    sync = pytest.importorskip('playwright.sync_api')
    if not (chromium := shutil.which('chromium') or shutil.which('google-chrome')): pytest.skip('no Chromium here')
    with sync.sync_playwright() as p, p.chromium.launch(executable_path=chromium, args=['--no-sandbox']) as browser: yield browser


def what_moves(page):
    "For each control whether its figure looks as before after a key"
    for control in page.locator(CONTROLS).all():
        figure = control.locator('xpath=ancestor::figure')
        before = figure.screenshot()
        control.press('ArrowUp' if control.evaluate('e => e.matches("select") ? e.selectedIndex > 0 : +e.value < +e.max') else 'ArrowDown')
        yield figure.screenshot() != before


@pytest.fixture(scope='module')
def visits(site, browser):
    "{page: what came of a visit}: what is cut off at either width, errors of the console, and for each control whether it did something"
    page, found = browser.new_page(), {}
    for file in [f for f in sorted(site.rglob('*.html')) if '_static' not in f.parts]:
        errors, cut = [], {}
        page.on('pageerror', note := lambda error: errors.append(str(error)))
        page.on('console', say := lambda message: errors.append(message.text) if message.type == 'error' else None)
        page.goto(file.as_uri())
        for width in (1200, 420):
            page.set_viewport_size(dict(width=width, height=900))
            cut[width] = page.evaluate(CUT) + (['the page'] if page.evaluate(IS_WIDE) else [])
        found[str(file.relative_to(site))] = dict(cut=cut, errors=errors, moved=list(what_moves(page)))
        page.remove_listener('pageerror', note)
        page.remove_listener('console', say)
    page.close()
    return found


def test_nothing_is_cut_off(visits):
    "At the width of a screen and of a telephone; a page is never wider than its window"
    assert {name: v['cut'] for name, v in visits.items() if any(v['cut'].values())} == {}


def test_the_tables_of_the_start_page_fit_a_telephone(site, browser):
    page = browser.new_page(viewport=dict(width=420, height=900))
    page.goto((site/'index.html').as_uri())
    widths = page.evaluate('[...document.querySelectorAll("article table")].map(t => [t.scrollWidth, t.parentElement.clientWidth, ...[...t.rows].at(-1).cells].map(w => w.clientWidth ?? w))')
    assert len(widths) == 6 and all(table <= around for table, around, *_ in widths)
    assert min(words for _, _, _, words, *_ in widths[:1]) > 110 # of the contents: what happens in a lesson
    page.close()


@pytest.mark.parametrize('name,chosen', [('09_mistakes', 'img.large'), ('09_mistakes', 'img.wide'), ('09_mistakes', 'table')])
def test_what_moves_sideways_says_so_and_only_that(site, browser, name, chosen):
    page = browser.new_page(viewport=dict(width=420, height=900))
    page.goto((site/f'{name}.html').as_uri())
    says = f"""() => [...document.querySelectorAll('.cell_output:has(img.large, img.wide), table.dataframe')]
      .filter(box => box.checkVisibility() && (box.matches('{chosen}') || box.querySelector('{chosen}')))
      .map(box => [box.scrollWidth > box.clientWidth + 1, getComputedStyle(box, '::after').content.includes('sideways')])"""
    page.wait_for_timeout(300)
    found = page.evaluate(says)
    assert any(moves for moves, _ in found) and all(moves == said for moves, said in found), found
    page.set_viewport_size(dict(width=3000, height=900))
    page.wait_for_timeout(300)
    assert not any(said for moves, said in page.evaluate(says) if not moves)
    page.close()


def test_at_night_paper_turns_black_and_colors_stay(site, browser):
    "The filter, on colors of the lessons and on grays"
    colors = [*COLORS.values(), '#ffffff', '#000000']
    bars = ''.join(f'<i style="display:block;height:20px;background:{color}"></i>' for color in colors)
    page = browser.new_page(viewport=dict(width=100, height=20*len(colors)), color_scheme='dark')
    page.goto((site/'06_rates.html').as_uri())
    svg = page.evaluate('document.getElementById("night").closest("svg").outerHTML')
    page.set_content(f'<body style="margin:0">{svg}<div style="filter:url(#night)">{bars}</div>')
    shown = Image.open(BytesIO(page.screenshot())).convert('RGB')
    def far(color, i): return max(abs(a-b) for a, b in zip(shown.getpixel((50, 20*i+10)), ImageColor.getrgb(color)))
    assert [color for i, color in enumerate(colors[:-3]) if far(color, i) > 40] == []
    assert far('#141414', len(colors)-2) < 12 and far('#ffffff', len(colors)-1) < 12
    page.close()


def test_scripts_are_small_and_icons_are_there_without_one(pages, site, browser):
    scripts = [site/unquote(urlparse(script['src']).path) for script in pages[site/'index.html'].select('script[src]')]
    assert len(scripts) > 5 and sum(f.stat().st_size for f in scripts) < 500_000
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto((site/'index.html').as_uri())
    icon = page.locator('.prev-next-area i.fa-angle-right')
    icon.screenshot() # waits for the font
    assert icon.bounding_box()['width'] > 8 and icon.evaluate("""e => document.fonts.check('900 16px "Font Awesome 7 Free"')
        && getComputedStyle(e, '::before').content.length > 2""")
    page.close()


def test_no_error_in_the_console(visits): assert {name: v['errors'] for name, v in visits.items() if v['errors']} == {}


def test_each_control_changes_its_picture(visits):
    moved = {name: v['moved'] for name, v in visits.items() if v['moved']}
    assert {name.split('.')[0] for name in moved} >= {'03_data', '04_presize', '05_loss', '06_rates', '08_precision', '09_mistakes', 'drawn', 'figures'}
    assert {name: m for name, m in moved.items() if not all(m)} == {}


def test_a_click_on_the_curve_takes_its_rate(site, browser):
    page = browser.new_page(viewport=dict(width=420, height=900))
    page.goto((site/'06_rates.html').as_uri())
    picture = page.locator('.pet-explore .picture.clicks')
    box, spots = picture.bounding_box(), page.evaluate("JSON.parse(document.querySelector('.pet-explore:has(.clicks)').dataset.values).spots")
    for k in (2, 16):
        picture.click(position=dict(x=spots[k][0]*box['width'], y=spots[k][1]*box['height']))
        assert picture.get_attribute('data-shown') == str(k)
        assert page.locator('.pet-explore:has(.clicks) input').input_value() == str(k)
    page.close()


def test_bits_are_those_of_torch(site, browser):
    torch = pytest.importorskip('torch')
    formats = {torch.float32: torch.int32, torch.bfloat16: torch.int16, torch.float16: torch.int16}
    page = browser.new_page()
    page.goto((site/'08_precision.html').as_uri())
    number, rows = page.locator('.pet-explore input[type=number]'), page.locator('.pet-explore .bits')
    for x in (0.1, -6.5, 65504, 65519.9, 65520, 70000, 1e-8, 2**-25, 3*2**-26, 6.1e-5, 2049, 2051, 257, 1e-45, -1e-40, 3.4e38, 1e39, 0):
        number.fill(str(x))
        said = rows.evaluate_all('rows => rows.map(row => row.textContent)')
        patterns = [torch.tensor(x, dtype=dtype).view(whole) for dtype, whole in formats.items()]
        assert said == [f'{bits.item() % 2**(8*bits.itemsize):0{8*bits.itemsize}b}' for bits in patterns], x
    page.close()


def test_softmax_is_that_of_the_lesson(site, browser):
    "Its first loss is that of the worst photo; a true breed far above the others has none"
    page = browser.new_page()
    page.goto((site/'05_loss.html').as_uri())
    loss, truth = page.locator('.pet-explore p'), page.locator('.pet-explore input').first
    worst = json.loads(re.search(r'tensor\(\[(0\.\d+)', page.locator('.cell_output pre').first.inner_text())[1])
    assert abs(float(re.search(r'log ([\d.]+)', loss.inner_text())[1]) - worst) < .005
    truth.fill('15')
    assert loss.inner_text().endswith('= 0.00.')
    page.close()


def test_without_a_script_a_picture_remains(site, browser):
    page = browser.new_context(java_script_enabled=False).new_page()
    for name, n in (('05_loss', 1), ('06_rates', 3), ('08_precision', 1)):
        page.goto((site/f'{name}.html').as_uri())
        assert page.locator('figure.pet-explore > img').count() == n and page.locator(CONTROLS).count() == 0
        assert all(box['width'] > 300 for box in (img.bounding_box() for img in page.locator('figure.pet-explore > img').all()))
    page.close()


@pytest.mark.parametrize('motion, first', [('no-preference', 'Pause'), ('reduce', 'Play')])
def test_the_moving_picture_can_be_stopped(site, browser, motion, first):
    page = browser.new_context(reduced_motion=motion).new_page()
    page.goto((site/'index.html').as_uri())
    button, moving = page.locator('button.pause'), page.locator('img[src$="verdicts.webp"]')
    other = {'Pause': 'Play', 'Play': 'Pause'}[first]
    for name in (first, other, first):
        assert button.inner_text() == name and moving.is_visible() == (name == 'Pause')
        still = page.get_by_role('img', name='The model of lesson 01')
        assert still.count() == 1 and still.bounding_box()['height'] > 200
        button.click()
    page.close()


def test_code_can_be_copied_by_a_button_with_a_name(site, browser):
    context = browser.new_context(permissions=['clipboard-read', 'clipboard-write'])
    page = context.new_page()
    page.goto((site/'01_start.html').as_uri())
    page.wait_for_selector('.copybtn[aria-label="Copy"]', state='attached')
    assert page.locator('.cell_output .copybtn').count() == 0
    page.locator('.cell_input', has_text='learn.fine_tune(3)').get_by_role('button', name='Copy').click()
    assert page.evaluate('navigator.clipboard.readText()') == 'learn = make_learner(dls)\nlearn.fine_tune(3)'
    context.close()


def test_the_menu_can_be_put_away_and_its_button_has_a_name(site, browser):
    page = browser.new_page(viewport=dict(width=1200, height=900))
    page.goto((site/'06_rates.html').as_uri())
    link, button = page.locator('nav a:text-is("07 Fine-tuning")'), page.get_by_role('button', name='Menu', exact=True)
    for shown in (True, False, True):
        page.wait_for_timeout(500)
        assert (link.bounding_box()['x'] >= 0) == shown
        button.click()
    page.set_viewport_size(dict(width=420, height=900))
    assert page.get_by_role('button', name='On this page', exact=True).is_visible()
    page.close()


@pytest.mark.parametrize('question', ['10', '11'])
def test_a_link_shows_what_it_leads_to(site, browser, question):
    "The heading of a question, and a folded proof, opened"
    page = browser.new_page(viewport=dict(width=420, height=900))
    page.goto((site/'questionnaire.html').as_uri())
    page.locator(f'article section:has(> h2:text("Q{question}.")) a[href*="05_loss.html#"]').click()
    page.wait_for_function('scrollY > 1000')
    heading = page.locator(f':is(h3, h4):text("Q{question}.")')
    assert 0 <= heading.bounding_box()['y'] < 400
    proof = page.locator(f'[id="loss-q{question}-proof"]')
    assert not proof.locator('pre').first.is_visible()
    page.evaluate(f'location.hash = "loss-q{question}-proof"')
    proof.locator('pre').first.wait_for(state='visible')
    page.wait_for_timeout(300)
    assert 0 <= proof.bounding_box()['y'] < 200
    page.close()


@pytest.mark.parametrize(('words', 'wanted'), [('early stopping', '07_finetune.html#index-'), ('softmax', '05_loss.html#index-'), ('question 11', '05_loss.html')])
def test_search_finds(site, browser, words, wanted):
    page = browser.new_page()
    page.goto(f'{(site/"search.html").as_uri()}?q={words.replace(" ", "+")}')
    page.get_by_text('Search finished').wait_for()
    [found, *_] = [a for a in page.locator('#search-results li a').all()[:5] if a.get_attribute('href').startswith(wanted)]
    if '#' in wanted: # a term of the glossary leads to the cell that explains it
        found.click()
        page.wait_for_function('scrollY > 1000')
        assert words in page.evaluate('document.elementsFromPoint(600, 200).map(e => e.closest("section")?.textContent ?? "").join()').lower()
    page.close()


# Pictures that the project shows of itself

@pytest.fixture(scope='module')
def pictures():
    "site/pictures.py, which makes them"
    sys.path.insert(0, str(ROOT/'site'))
    try: return importlib.import_module('pictures')
    finally: sys.path.remove(str(ROOT/'site'))


@pytest.fixture(scope='module')
def looks(pictures): return json.loads(pictures.LOOKS.read_text(encoding='utf-8'))


@pytest.fixture(scope='module')
def report_html(pictures): return pictures.report_page()


def test_the_project_looks_as_it_was_pictured(site, browser, pictures, looks, tmp_path):
    found = {view: pictures.differences(looks[view], now) for view, _, now in pictures.views(browser, site, tmp_path/'report.html')}
    assert {view: faults for view, faults in found.items() if faults} == {}, 'look at it; if it is as it should be, run: python site/pictures.py'


def test_the_picture_of_a_report_is_that_of_the_run_in_the_readme(pictures, looks):
    from pet_breeds.report import result_line
    readme, said = ((ROOT/'README.md').read_text(encoding='utf-8'), json.loads(pictures.OUTCOME.read_text(encoding='utf-8'))['metrics'])
    [headline] = [part['words'] for part in looks['report']['parts'] if part['kind'] == 'h1']
    [words] = re.findall(r'!\[([^\]]+)\]\(images/report.webp\)', readme)
    assert result_line(said) in readme and headline in words


def pixels_differ(pictures, look, shot): return pictures.differences(look, pictures.with_pixels(shot, look['width'], look['parts']))


def test_a_stale_or_broken_picture_is_found(pictures, looks):
    look, shot = looks['report'], Image.open(pictures.PICTURE).convert('RGB')
    assert pixels_differ(pictures, look, shot) == [] and pictures.PICTURE.stat().st_size < 80_000
    half = Image.new('RGB', shot.size, 'white')
    half.paste(shot.crop((0, 0, shot.width, shot.height//2)))
    shifted, night = ImageChops.offset(shot, 0, shot.height//20), ImageOps.invert(shot)
    found = [' '.join(pixels_differ(pictures, look, other)) for other in (half, shifted, night)]
    assert 'hardly be seen' in found[0] and 'another picture' in found[1] and 'another background' in found[2]


@pytest.mark.parametrize('changes, faults', [
    ({'</style>': 'body { font-family: "DejaVu Serif" } </style>'}, []), ({'</style>': 'body { font-family: "Liberation Sans Narrow" } </style>'}, []),
    ({'class="scale"': 'class="scale" hidden', 'What to do next': 'What to do then'}, ["gone: ('scale'", "new: ('h2', 'What to do then')"]),
    ({'data:image/jpeg;base64,': 'data:image/jpeg;base64,AA', '</style>': 'main { width: 60rem } li { opacity: .1 } </style>'}, ['cannot be shown', 'cut off', 'hardly be seen']),
    ({'class="gallery strip"': 'class="gallery"', '--paper:#fff': '--paper:#888'}, ['moved', 'another background']),
    ({'</style>': '.strip img { object-position: 0 6rem } </style>'}, ['another picture'])])
def test_a_fault_of_a_page_is_found_and_another_font_is_none(browser, pictures, looks, report_html, tmp_path, changes, faults):
    html = report_html
    for old, new in changes.items():
        assert old in html
        html = html.replace(old, new, 1)
    (tmp_path/'report.html').write_text(html, encoding='utf-8')
    found = ' '.join(pictures.differences(looks['report'], pictures.taken(browser, (tmp_path/'report.html').as_uri(), 'report')[1]))
    assert all(fault in found for fault in faults) and bool(found) == bool(faults), found


def test_no_serious_fault_of_accessibility(site, browser, axe):
    "By day; at night, where only colors change; on a telephone, where more boxes are moved sideways"
    pages = [f.relative_to(site).with_suffix('') for f in sorted(site.rglob('*.html')) if '_static' not in f.parts]
    page, faults = browser.new_page(), []
    for name in pages if os.environ.get('PET_BREEDS_LONG') else AXE_PAGES:
        page.set_viewport_size(dict(width=420, height=900))
        page.goto((site/f'{name}.html').as_uri())
        page.add_style_tag(content='* { transition: none !important }')
        for theme, width, *rules in (('light', 420, 'scrollable-region-focusable'), ('light', 1200), ('dark', 1200, 'color-contrast')):
            page.set_viewport_size(dict(width=width, height=900))
            page.wait_for_timeout(600) # then the theme has looked which boxes can be scrolled
            page.evaluate(f'document.documentElement.dataset.theme = "{theme}"')
            faults += [(str(name), theme, width, *fault) for fault in axe(page, *rules)]
    page.close()
    assert faults == []


REACHABLE = '''() => [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex="0"]')]
  .filter(e => !e.disabled && e.tabIndex >= 0 && e.checkVisibility({visibilityProperty: true})).map((e, i) => { e.dataset.at = i; return e.outerHTML.slice(0, 80) })'''
AT = '''() => { // the number of what has the focus, and whether that can be seen
  const e = document.activeElement, {outlineStyle, outlineWidth, boxShadow} = getComputedStyle(e), box = e.getBoundingClientRect()
  const marked = outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2 || boxShadow.replace(/rgba\\(0, 0, 0, 0\\)[^,]*/g, '').includes('rgb')
  return [Number(e.dataset.at ?? -1), marked && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth]
}'''


@pytest.mark.parametrize('name, width', [('06_rates', 1200), ('take_quiz', 420)])
def test_keys_reach_every_control_in_order_and_show_where_they_are(site, browser, name, width):
    page = browser.new_page(viewport=dict(width=width, height=900))
    page.goto((site/f'{name}.html').as_uri())
    page.add_style_tag(content='*, *::before { transition: none !important }')
    controls, seen = page.evaluate(REACHABLE), []
    for _ in controls:
        page.keyboard.press('Tab')
        seen.append(page.evaluate(AT))
    assert [at for at, _ in seen] == [*range(len(controls))] and [controls[at] for at, shown in seen if not shown] == []
    page.keyboard.press('Tab')
    page.evaluate('scrollTo(0, 0)')
    page.locator('#pst-skip-link a').press('Enter')
    page.keyboard.press('Tab')
    assert page.evaluate('document.activeElement.closest("main") !== null')
    page.close()


@pytest.mark.parametrize('which, link', [('primary', '07 Fine-tuning'), ('secondary', 'Which rate to take')])
def test_the_contents_open_on_a_telephone(site, browser, which, link):
    "By key and by touch; Escape closes them"
    page = browser.new_page(viewport=dict(width=420, height=900))
    page.goto((site/'06_rates.html').as_uri())
    button, inside = page.locator(f'button.{which}-toggle:visible'), page.locator('dialog').get_by_role('link', name=link)
    for press in (lambda: button.press('Enter'), button.click):
        assert not inside.is_visible()
        press()
        inside.wait_for()
        assert page.evaluate('document.activeElement.closest("dialog") !== null')
        page.keyboard.press('Escape')
        inside.wait_for(state='hidden')
    page.close()


def test_the_contents_of_a_telephone_give_way_to_what_they_lead_to(site, browser):
    page = browser.new_page(viewport=dict(width=420, height=900))
    page.goto((site/'06_rates.html').as_uri())
    page.locator('button.secondary-toggle:visible').click()
    page.locator('dialog').get_by_role('link', name='Which rate to take').click()
    heading = page.get_by_role('heading', name='Which rate to take')
    page.wait_for_timeout(500)
    assert not page.locator('dialog[open]').count() and -5 < heading.bounding_box()['y'] < 300
    page.close()


def test_the_site_tells_no_one_what_is_solved_and_no_result_before_the_guess(pages, site):
    lessons = {f.stem: pages[site/f'{f.stem}.html'] for f in NOTEBOOKS if '01' <= f.stem[:2] <= '10'}
    assert [name for name, page in lessons.items() if re.search(r'\d of \d+ solved', page.select_one('article').get_text())] == []
    assert all(page.select('a[href="take_quiz.html"]') for page in lessons.values())
    asked = next(p for p in lessons['04_presize'].select('article p') if 'before you run the cell' in p.get_text())
    assert asked.find_next(class_='cell').select('details .cell_output')
