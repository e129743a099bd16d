"Sphinx: notebooks as they lie in nbs/, adapted while they are read; formulas as MathML; nothing from another host."
import json
import re
import textwrap
from base64 import b64decode
from html import escape
from io import BytesIO
from pathlib import Path

from bs4 import BeautifulSoup
from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from PIL import Image, ImageChops

from pet_breeds.handout import is_task

project = html_title = 'pet_breeds'
author = 'The pet_breeds contributors'
extensions = ['myst_nb', 'sphinx_copybutton']
html_theme = 'sphinx_book_theme'
# a header with a search field would hold the first button for the contents, the only one that the theme's script knows, out of sight
html_theme_options = {'show_toc_level': 2, 'use_fullscreen_button': False, 'navbar_persistent': [], 'pygments_light_style': 'a11y-light', 'pygments_dark_style': 'github-dark'}
html_context = {'default_mode': 'auto'}
html_static_path, html_css_files = ['static'], ['site.css']
html_js_files = [('search.js', {'priority': 10}), ('page.js', {'defer': 'defer'})]
html_show_copyright = html_show_sphinx = False
html_math_renderer = 'mathml'
copybutton_selector = ':not(.output) > div.highlight > pre' # code and commands, not what they print
highlight_language = 'text' # of a block that names none, as what a command prints
nb_execution_mode = 'off'
nb_render_markdown_format = 'myst'
nb_ipywidgets_js = {}
myst_enable_extensions = ['dollarmath', 'amsmath']
myst_heading_anchors = 4
suppress_warnings = ['mystnb.unknown_mime_type', 'myst.header']
TAKE = '[Take the quiz on this site](take_quiz.md), without Python. What follows is the notebook, which judges tables and functions too.'
SOLVED = '## Solved in the [quiz](12_quiz.ipynb)', '[Take the quiz](take_quiz.md) on what this lesson answers.' # what a reader solved is not known here
TRY = '<a href="_sources/{}.ipynb" download>In the notebook</a> you can try this.'
NUMBER = re.compile(r'[-+−]?[\d.,:]+(e[-+]?\d+)?%?|NaN|inf|None')
WIDGET = 'application/vnd.jupyter.widget-view+json'


def markdown(id, source): return {'cell_type': 'markdown', 'id': id, 'metadata': {}, 'source': source}


def links(text, docname):
    "Links as they must be where all pages lie side by side and every cell has a name"
    text = re.sub(r'\]\((?:(?:\.\./|internals/)*([\w.]+)\.ipynb)?#cell-id=([\w-]+)\)', lambda m: f'](#{m[1] or docname}.{m[2]})', text)
    return re.sub(r'\]\((?:\.\./|nbs/|internals/)+', '](', text).replace('](README.md', '](index.ipynb')


def plain(text):
    "The last paragraph without its marks"
    paragraphs = [p for p in text.split('\n\n') if not p.startswith(('#', '$$', '|', '```'))]
    return re.sub(r'\]\([^)]*\)|[*`$\[\]\\]', '', paragraphs[-1] if paragraphs else '')


def picture_of(data): return Image.open(BytesIO(b64decode(data)))


def is_of_lines(picture):
    "Whether a picture is mostly white with little color, so that it may be turned at night"
    red, green, blue = picture.convert('RGB').split()
    most, least = (pick(pick(red, green), blue) for pick in (ImageChops.lighter, ImageChops.darker))
    white, colored = (sum(image.histogram()[from_:]) for image, from_ in ((least, 250), (ImageChops.subtract(most, least), 40)))
    return white > .5*picture.width*picture.height > 5*colored


def shows_lines(figure):
    "Whether a control shows a plot that may be turned at night"
    still = re.search(r'<img src="data:image/png;base64,([^"]+)', figure)
    return bool(still) and is_of_lines(picture_of(still[1]))


def plot_class(outputs):
    """How far plots may be shrunk on a telephone: 'large', not at all, as the confusion matrix of 37 breeds; 'wide', a little; 'full', to its width.
    And 'lines' for plots that may be turned at night; photos and charts of colors may not, nor a matrix, which is darker where it holds more."""
    found = [(kind, picture_of(''.join(data))) for out in outputs for kind, data in out.get('data', {}).items() if kind in ('image/png', 'image/jpeg')]
    sizes = [(kind, *picture.size) for kind, picture in found]
    lines = ' lines' if found and all(kind == 'image/png' and picture.width > picture.height and is_of_lines(picture) for kind, picture in found) else ''
    if any(kind == 'image/png' and height > 600 for kind, _, height in sizes): return 'large'
    if any(width > (660 if kind == 'image/png' else 600) for kind, width, _ in sizes): return 'wide' + lines
    return ('full' if any(kind == 'image/png' and width > 500 for kind, width, _ in sizes) else '') + lines


def fold_name(source):
    "What is written on a folded cell: its first comment, or the functions and classes that it defines"
    line = next((line for line in source.splitlines() if line.strip()), '')
    if found := re.match(r'# *(.+?)[.:]?$', line): return textwrap.shorten(found[1], 60, placeholder=' ...')
    names = re.findall(r'^(?:def|class) (\w+)', source, re.M)
    if names: return textwrap.shorten('Code of ' + ', '.join([name for name in names if name[0] != '_'] or names[:1]), 70, placeholder=' ...')
    return 'Imports' if re.match(r'(from|import) ', line) else 'Code'


def photos_output(html, alt):
    "A picture of photos, its words after those of its cell; a wide one is moved sideways on a telephone"
    photos = re.fullmatch(r'<img src="data:image/jpeg;base64,([^"]+)" alt="([^"]*)">', html)
    if not photos: return html
    kind = plot_class([dict(data={'image/jpeg': photos[1]})])
    return html.replace(f'alt="{photos[2]}"', f'alt="{escape(alt)} {photos[2]}"' + (kind and f' class="{kind}"'))


def align(html):
    "A table whose columns of numbers, with their names, have the class 'number', for the right side; words stand at the left and fold at underscores"
    soup = BeautifulSoup(html, 'html.parser')
    for table in soup.select('table.dataframe:has(tbody)'):
        head, body = [[row.find_all(['th', 'td']) for row in table.select(f'{part} tr')] for part in ('thead', 'tbody')]
        for place in range(1, 1 + min((len(row.select('td')) for row in table.select('tbody tr')), default=0)): # from the right: a name of rows may span some
            cells = [row[-place] for row in body]
            if not all(NUMBER.fullmatch(cell.get_text().strip()) for cell in cells): continue
            for cell in cells + [row[-place] for row in head if place <= len(row)]: cell['class'] = 'number'
        for name in table.find_all(string=re.compile('._.')): # it may be broken after an underscore
            for part in name.split('_')[:-1]: name.insert_before(f'{part}_', soup.new_tag('wbr'))
            name.replace_with(name.split('_')[-1])
    return str(soup)


def tidy_output(out, source, alt=''):
    "None for an output that shows nothing, as a progress bar that is done. The table that it leaves is one as any other; text that its cell wrapped is wrapped by the page"
    if 'print(fill(' in source and 'text' in out: return {**out, 'text': ' '.join(''.join(out['text']).split())}
    html = ''.join(out.get('data', {}).get('text/html', '-'))
    if not re.sub(r'<style>.*?</style>', '', html, flags=re.S).strip(): return None
    if html.startswith('<img'): out['data']['text/html'] = photos_output(html, alt)
    if html.startswith('<figure class="pet-explore"') and shows_lines(html): out['data']['text/html'] = html.replace('pet-explore', 'pet-explore lines', 1)
    html = html.replace('<table class="fastprogress">', '<table border="1" class="dataframe">')
    if 'class="dataframe"' in html: out['data']['text/html'] = align(html)
    return out


def fold(cell):
    "Fold the code of a cell; of a solution, all of it"
    name = fold_name(cell['source'])
    cell['metadata']['tags'] = ['hide-cell' if name.startswith('Solution') else 'hide-input']
    cell['metadata']['mystnb'].update(code_prompt_show=name, code_prompt_hide=name)


def is_joined(cell, before):
    "Whether a folded cell may stand in one fold with the folded cell before it, which shows nothing; one with another name of its own stays alone"
    if before.get('outputs') or any(c['metadata'].get('tags') != ['hide-input'] for c in (before, cell)): return False
    return fold_name(before['source']) == fold_name(cell['source']) or not any(c['source'].startswith('# ') for c in (before, cell))


def terms(folder):
    "{name of a cell: the terms that it explains}, from the links of the glossary; the search leads to them"
    source = ''.join(line for cell in json.loads((folder/'glossary.ipynb').read_text(encoding='utf-8'))['cells'] for line in cell['source'])
    found = {}
    for term, notebook, cell in re.findall(r'^\| ([^|\n]+) \| [^|\n]+ \| \[\w+\]\((\w+)\.ipynb#cell-id=([\w-]+)\)', source, re.M):
        found.setdefault(f'{notebook}.{cell}', []).append(term)
    return found


def adapt_notebook(nb, docname, terms={}):
    "Without hidden cells, directives, and widgets that need a kernel; each cell with a name, each picture with an alternative text"
    cells, heading, before = [], docname, ''
    for cell in nb['cells']:
        if cell['id'].startswith('reference') or cell['id'] == 'solved': continue # the API page has it; see SOLVED
        source = ''.join(cell['source'])
        if cell['cell_type'] == 'markdown':
            heading, before = (re.findall(r'^#+ (.+)', source, re.M) or [heading])[-1], source
            cell['source'] = links(source.replace(*SOLVED), docname)
        if cell['cell_type'] == 'code':
            is_folded = re.search(r'^#\|\s*fold\b', source, re.M)
            cell['source'] = re.sub(r'^#\|.*\n*', '', source, flags=re.M)
            if re.search(r'^#\|\s*hide\b', source, re.M) or not cell['source']: continue
            alt = textwrap.shorten(f'Figure: {plain(heading)}. {plain(before)}'.replace('?.', '?'), 300, placeholder=' ...')
            plot = plot_class(cell['outputs'])
            cell['metadata']['mystnb'] = {'image': {'alt': alt, **({'classes': plot.strip()} if plot else {})}}
            if is_folded: fold(cell)
            elif 'before you run the cell' in before: cell['metadata']['tags'] = ['hide-output']
            cell['outputs'] = [out for out in (tidy_output(out, source, alt) for out in cell['outputs']) if out and not (out.get('data', {}).pop(WIDGET, None) and set(out['data']) <= {'text/plain'})]
        name = ''.join(f'```{{index}} !{term}\n```\n' for term in terms.get(f'{docname}.{cell["id"]}', [])) + f'({docname}.{cell["id"]})='
        if cells and is_joined(cell, cells[-1]):
            cell['source'] = cells.pop()['source'].rstrip() + '\n\n\n' + cell['source']
            name = f'{cells.pop()["source"]}\n{name}'
            fold(cell)
        cells += [markdown(f'{cell["id"]}-name', name), cell]
        if docname[0].isdigit() and is_task({**cell, 'source': source}) and cell['outputs']: # they say that nothing is answered
            cell['outputs'] = []
            cells.append(markdown(f'{cell["id"]}-try', TRY.format(docname)))
    return {**nb, 'cells': cells, 'metadata': {'language_info': {'name': 'python', 'pygments_lexer': 'ipython3'}}}


def toctree(caption, entries): return markdown(caption.replace(' ', '-'), f'```{{toctree}}\n:hidden:\n:caption: {caption}\n\n' + '\n'.join(entries) + '\n```')


def contents(folder):
    "The whole site in reading order; lessons by number and the first words of their titles"
    title = re.compile(r'"# ([^:"\\]+)')
    def entry(f, name): return f'{name} {title.search(f.read_text(encoding="utf-8"))[1]} <{f.stem}>'.strip()
    lessons = [entry(f, f.stem.split('_')[0]) for f in sorted(folder.glob('[0-9]*.ipynb'))]
    lessons[-1:] = [lessons[-1].replace(' <', ' (notebook) <'), 'Take the quiz here <take_quiz>']
    return [toctree('Lessons', lessons), toctree('Look up', ['glossary', 'questionnaire', 'api/index', 'internals', 'CONTRIBUTING'])]


def adapt(app, docname, source):
    if app.env.doc2path(docname).suffix == '.md': source[0] = links(source[0], docname)
    else:
        nb = adapt_notebook(json.loads(source[0]), docname, terms(Path(app.srcdir)))
        module = re.search(r'#\| default_exp (\w+)', source[0])[1]
        if docname != 'index' and Path(app.srcdir, 'api', f'{module}.md').exists():
            nb['cells'].insert(2, markdown('module', f'What it exports: [pet_breeds.{module}](api/{module}.md)'))
        if docname == 'index': nb['cells'] += contents(Path(app.srcdir))
        if docname == '12_quiz': nb['cells'].insert(2, markdown('take-here', TAKE))
        source[0] = json.dumps(nb)


def visit_math(self, node):
    tex = re.sub(r'(\\[dt]?frac)(\d)(\d)', r'\1{\2}{\3}', node.astext()) # \frac12: tex2mathml takes 12 for one number
    tex = re.sub(r'(\\(?:cos|exp|log|sin)\b)(?!\s*[({^_])', r'\1\,', tex) # and leaves no space in \log p
    self.body.append(tex2mathml(tex, as_block=isinstance(node, nodes.math_block)))
    raise nodes.SkipNode


def setup(app):
    app.connect('source-read', adapt)
    app.add_html_math_renderer('mathml', (visit_math, None), (visit_math, None))
