"The site, offline: `python site/build.py [--out _site]`. Notebooks are shown as they were kept, not run."
import json
import re
import shutil
import sys
import tempfile
from argparse import ArgumentParser
from html import unescape
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
NEEDED = ('sphinx', 'myst_nb', 'sphinx_book_theme', 'sphinx_copybutton')


def internals_page(notebooks):
    "A page that lists the notebooks of the package; the menu has them below it"
    titles = {nb.stem: ''.join(json.loads(nb.read_text(encoding='utf-8'))['cells'][1]['source']) for nb in sorted(notebooks)}
    named = [(name, *re.match(r'# ([^:\n]+).*\n\n> (.+)', text).groups()) for name, text in titles.items()]
    intro = '# How it is made\n\nThese notebooks, with the same tests, explain how the package is made; you need none of them to follow the lessons.'
    tree = ['```{toctree}', ':hidden:', '', *(f'{name}: {title} <{name}>' for name, title, _ in named), '```']
    return '\n'.join([intro, '', *(f'- [{name}]({name}.ipynb): {promise}' for name, _, promise in named), '', *tree, ''])


def collect(src):
    "All that Sphinx reads, in one folder"
    sys.path.insert(0, str(ROOT))
    from api import MODULES, api_page
    from take_quiz import take_quiz_page
    shutil.copytree(ROOT/'nbs', src, ignore=shutil.ignore_patterns('.*', 'report', 'internals'))
    internals = [Path(shutil.copy(nb, src)) for nb in (ROOT/'nbs'/'internals').glob('*.ipynb')]
    (src/'internals.md').write_text(internals_page(internals), encoding='utf-8')
    shutil.copytree(ROOT/'images', src/'images')
    for name in ('LICENSE', 'NOTICE', 'CONTRIBUTING.md'): shutil.copy(ROOT/name, src)
    (src/'take_quiz.md').write_text(take_quiz_page(), encoding='utf-8')
    (src/'api').mkdir()
    for module in MODULES: (src/'api'/f'{module}.md').write_text(api_page(module), encoding='utf-8')
    intro = '# The package\n\nWhat each module exports, from its docstrings and comments.\n\n'
    (src/'api'/'index.md').write_text(intro + '\n'.join(['```{toctree}', ':maxdepth: 1', '', *MODULES, '```', '']), encoding='utf-8')


NAMED = {' aria-label="Toggle hidden content"': '', # a fold is called what is written on it, and so is a button
         ' aria-label="Search" data-bs-placement="bottom" data-bs-toggle="tooltip"': '',
         '<table border="1" class="dataframe">': '<table border="1" class="dataframe" tabindex="0">', # a table that scrolls, also by keys
         '<span class="pre">--': '<span class="pre option">--', # an option is not broken after its dashes
         'title="Toggle primary sidebar"': 'title="Menu" aria-label="Menu"',
         'title="Toggle secondary sidebar"': 'title="On this page" aria-label="On this page"',
         '<summary><span class="toctree-toggle"': '<summary aria-label="Pages below"><span class="toctree-toggle"'}
# the boxes in which pictures are moved sideways: of outputs, and of two files
OUTPUT = re.compile(r'(<div class="cell_output docutils container)(">(?:(?!<div class="cell_output)(?!</details>).)*?<img[^>]*class="[^"]*\b(?:large|wide)\b)', re.S)
FILE = re.compile(r'<p>(?=<img[^>]*(?:report\.webp|breeds\.jpg))')


# At night white paper turns black and black ink white, while a color stays, whose name the text may give: what a point has in common with all
# grays (the least of its channels) is taken away, and what it lacks to white (the most of them) is added, less where the point has a color.
# Light colors, which that would darken, are kept as they are
NIGHT = """<svg class="visually-hidden" width="0" height="0" aria-hidden="true"><filter id="night" x="0" y="0" width="1" height="1" color-interpolation-filters="sRGB">
<feColorMatrix in="SourceGraphic" result="red" values="1 0 0 0 0  1 0 0 0 0  1 0 0 0 0  0 0 0 1 0"/>
<feColorMatrix in="SourceGraphic" result="green" values="0 1 0 0 0  0 1 0 0 0  0 1 0 0 0  0 0 0 1 0"/>
<feColorMatrix in="SourceGraphic" result="blue" values="0 0 1 0 0  0 0 1 0 0  0 0 1 0 0  0 0 0 1 0"/>
<feBlend mode="lighten" in="red" in2="green"/><feBlend mode="lighten" in2="blue" result="most"/>
<feBlend mode="darken" in="red" in2="green"/><feBlend mode="darken" in2="blue" result="least"/>
<feBlend mode="difference" in="most" in2="least" result="chroma"/>
<feColorMatrix in="most" result="lacking" values="-1 0 0 0 1  0 -1 0 0 1  0 0 -1 0 1  0 0 0 1 0"/>
<feColorMatrix in="chroma" result="pale" values="-1 0 0 0 1  0 -1 0 0 1  0 0 -1 0 1  0 0 0 1 0"/><feBlend mode="multiply" in2="lacking"/>
<feBlend mode="multiply" in2="pale" result="ink"/>
<feBlend mode="difference" in="SourceGraphic" in2="least"/><feComposite operator="arithmetic" k2="1" k3=".92" k4=".07" in2="ink" result="turned"/>
<feColorMatrix in="chroma" result="colored" values="1 0 0 0 0  0 1 0 0 0  0 0 1 0 0  10 0 0 0 -2.3"/>
<feColorMatrix in="most" result="light" values="1 0 0 0 0  0 1 0 0 0  0 0 1 0 0  10 0 0 0 -7"/>
<feComposite operator="in" in="SourceGraphic" in2="colored"/><feComposite operator="in" in2="light" result="kept"/>
<feMerge><feMergeNode in="turned"/><feMergeNode in="kept"/></feMerge></filter></svg>
"""
ICONS = re.compile(r'<script defer src="[^"]*fontawesome[.]js[^"]*"></script>') # 1.6 MB; the theme's font has the same icons
CODE = re.compile(r'(<div class="highlight-(?:ipython3|python) notranslate"><div class="highlight"><pre>)(.*?)(?=</pre>)', re.S)


def hang(code):
    "Code whose long lines have a box of their own: what does not fit is indented further than the line"
    def boxed(line):
        text = unescape(re.sub('<[^>]*>', '', line))
        indent = min(len(text) - len(text.lstrip()), 12)
        return f'<span class="line" style="--hang: {indent+4}">{line}</span>' if len(text) > 40 else line
    return '\n'.join(map(boxed, code.split('\n')))


def mend(out):
    "What a screen reader and a keyboard need, where the theme lacks it"
    for page in Path(out).rglob('*.html'):
        text = mended = page.read_text(encoding='utf-8')
        for old, new in NAMED.items(): mended = mended.replace(old, new)
        mended = FILE.sub('<p class="movable" tabindex="0">', OUTPUT.sub(r'\1 movable" tabindex="0\2', mended))
        mended = CODE.sub(lambda m: m[1] + hang(m[2]), ICONS.sub('', mended))
        mended = mended.replace('</body>', f'{NIGHT}</body>') if re.search(r'class="[^"]*\blines\b', mended) else mended
        if mended != text: page.write_text(mended, encoding='utf-8')


def main():
    parser = ArgumentParser(description=__doc__)
    parser.add_argument('--out', type=Path, default=Path('_site'), help='folder to write the site to; _site unless told')
    out = parser.parse_args().out
    if missing := [name for name in NEEDED if not find_spec(name)]:
        sys.exit(f"The site needs {', '.join(missing)}: python -m pip install {' '.join(NEEDED).replace('_', '-')}")
    from sphinx.cmd.build import build_main
    with tempfile.TemporaryDirectory() as tmp:
        collect(Path(tmp)/'src')
        made = Path(tmp)/'html' # beside it myst_nb puts copies of all notebooks
        code = build_main(['-q', '-W', '--keep-going', '-c', str(HERE), '-d', f'{tmp}/doctrees', f'{tmp}/src', str(made)])
        unneeded = shutil.ignore_patterns('*.map', 'fontawesome.js*')
        if made.is_dir(): shutil.copytree(made, out, ignore=unneeded, dirs_exist_ok=True)
    if code: sys.exit('Sphinx found what stands above: mend it and build again.')
    mend(out)
    print(f'Open {out}/index.html')


if __name__ == '__main__': main()
