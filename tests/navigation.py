"""First cell, links and folds of each notebook; tests/build.py writes them.

The first cell names the module and installs the package on Colab, and only there. Under a lesson's title are links to the lessons
before and after it, and to Colab once the repo has an address; under the title of an internal notebook is one to the contents.
A cell with the directive `#| fold` or `#| hide` is folded in Jupyter, VS Code and Colab. tests/test_repo.py checks all of it.
"""
import re
from configparser import ConfigParser
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
MADE = 'questionnaire.ipynb' # from the lessons' answers, has nothing to run
PLACEHOLDER = 'pet-breeds' # the `user` in settings.ini as long as the repo has no public address


def settings():
    ini = ConfigParser(delimiters=['='])
    ini.read(ROOT/'settings.ini', encoding='utf-8')
    return ini['DEFAULT']


def first_cell(module):
    return f'#| hide\n#| default_exp {module}\n! [ -z "$COLAB_RELEASE_TAG" ] || pip install -q git+{settings()["git_url"]} # only on Colab'


def links(file, lessons):
    "The line under a title"
    if file not in lessons: return f"[Contents]({'' if file.parent.name == 'nbs' else '../'}index.ipynb)"
    cfg, i = settings(), lessons.index(file)
    address = f'{cfg["user"]}/{cfg["repo"]}/blob/{cfg["branch"]}/nbs/{file.name}'
    near = {'Before': lessons[i-1] if i else None, 'Next': lessons[i+1] if i+1 < len(lessons) else None}
    parts = [*(f'{word}: [{f.stem}]({f.name})' for word, f in near.items() if f), '[Contents](index.ipynb)']
    if cfg['user'] != PLACEHOLDER: parts.append(f'[Open in Colab](https://colab.research.google.com/github/{address})')
    return ' · '.join(parts)


FOLD = re.compile(r'^#\|\s*(hide|fold)\b', re.M)
FOLDED = {'jupyter': {'source_hidden': True}, 'cellView': 'form'} # for JupyterLab and VS Code, and for Colab


def with_navigation(file):
    "A notebook as it should be; the index stands by itself, before the lessons"
    nb = nbformat.read(file, 4)
    nb.cells[0].source = first_cell(re.search(r'#\| default_exp (\w+)', nb.cells[0].source)[1])
    if file.name != 'index.ipynb': nb.cells[1].source = '\n\n'.join([*nb.cells[1].source.split('\n\n')[:2], links(file, lessons())])
    for cell in nb.cells: cell.metadata = nbformat.from_dict(FOLDED if cell.cell_type == 'code' and FOLD.search(cell.source) else {})
    return nb


def lessons(): return sorted((ROOT/'nbs').glob('[0-9]*.ipynb'))


def notebooks(): return sorted(f for f in (ROOT/'nbs').rglob('*.ipynb') if f.name != MADE and '.ipynb_checkpoints' not in f.parts)


def write():
    for file in notebooks():
        nb = with_navigation(file)
        if nb != nbformat.read(file, 4): nbformat.write(nb, file)
