"The house rules: who imports whom, what must be in step, what a notebook looks like."
import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from functools import cache
from pathlib import Path

import nbformat
import navigation
import pytest
from conftest import ROOT
from outputs import WIDGET

# Who may import whom. A module may import only modules above it in this table, so there is no circle.
MAY_IMPORT = {
    'core': '',
    'figures': '',
    'tables': 'core',
    'labels': 'core tables',
    'loss': '',
    'lrs': 'figures',
    'digits': 'lrs',
    'drawn': 'core',
    'judge': '',
    'copies': '',
    'photos': 'copies core labels tables',
    'webpage': 'core figures photos',
    'warp': 'core',
    'presize': 'core warp',
    'distributed': 'core',
    'features': 'core',
    'precision': 'core features',
    'sources': 'core drawn photos',
    'batches': 'core photos presize warp',
    'fixes': 'core photos sources tables webpage',
    'inventory': 'core fixes labels photos tables',
    'splits': 'copies core photos',
    'data': 'batches core inventory labels photos splits tables warp',
    'weights': 'core',
    'model': 'core warp weights',
    'saving': 'batches core model tables warp weights',
    'checkpoint': 'core model saving',
    'training': 'checkpoint copies core features lrs',
    'interpret': 'copies figures loss photos',
    'questions': 'core judge',
    'progress': 'core',
    'forms': 'core judge progress',
    'quiz': 'core forms judge progress questions',
    'terminal': 'core judge progress questions quiz',
    'photo_tasks': 'core judge labels quiz',
    'training_tasks': 'judge quiz',
    'handout': 'core questions',
    'maps': 'figures warp',
    'outcome': 'core fixes interpret tables weights',
    'measure': 'distributed features interpret loss maps outcome training',
    'plan': 'core distributed features measure training weights',
    'advice': 'core outcome webpage',
    'report': 'advice core figures fixes interpret lrs maps measure outcome photos webpage',
    'pets': 'checkpoint core data distributed fixes interpret inventory loss measure model outcome plan precision report saving sources training warp weights',
    'predict': 'batches core features interpret inventory loss maps photos saving tables',
    'export': 'core maps predict warp',
    'app': 'core export figures handout maps photos predict report warp',
    'cards': 'core handout questions',
    'guide': 'core handout photo_tasks questions quiz training_tasks',
    'verdicts': 'core handout judge questions quiz',
    'results': 'core handout progress questions tables verdicts',
    'cli': 'app cards core export guide pets predict results terminal',
    'course': 'core data model sources',
    'compare': '',
    'effects': 'compare core figures'}
MAY_IMPORT['all'] = ' '.join(MAY_IMPORT)
WITHOUT_FASTAI = ('core', 'copies', 'photos', 'drawn', 'labels', 'loss', 'lrs', 'interpret', 'judge', 'questions', 'quiz',
                  'photo_tasks', 'training_tasks', 'handout', 'figures', 'warp', 'report', 'webpage', 'weights', 'plan', 'pets', 'predict', 'cli',
                  'tables', 'inventory', 'splits', 'effects', 'compare', 'digits', 'export', 'app', 'cards', 'guide',
                  'results', 'verdicts', 'progress', 'forms', 'fixes', 'maps', 'outcome', 'measure', 'advice', 'terminal')
WITHOUT_TORCH = ('copies', 'core', 'drawn', 'figures', 'labels', 'questions', 'quiz', 'photo_tasks', 'training_tasks',
                 'handout', 'plan', 'pets', 'predict', 'cli', 'tables', 'inventory', 'splits', 'effects', 'compare', 'export', 'app', 'cards', 'guide',
                 'results', 'verdicts', 'progress', 'forms', 'fixes', 'terminal')
LONG = 'drawn', 'questions' # what they hold is mostly data
MODULES = sorted(f.stem for f in (ROOT/'pet_breeds').glob('*.py') if not f.stem.startswith('_'))
NOTEBOOKS = sorted([*(ROOT/'nbs').glob('*.ipynb'), *(ROOT/'nbs'/'internals').glob('*.ipynb')])
names = [f.stem for f in NOTEBOOKS]


@cache
def tree(module): return ast.parse((ROOT/'pet_breeds'/f'{module}.py').read_text(encoding='utf-8'))


def own_imports(module):
    "(module of ours, imported names) for every import of our own package in `module`"
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or '').split('.')[0] == 'pet_breeds'):
            name = (node.module or '').removeprefix('pet_breeds').strip('.')
            yield from [(name, {a.name for a in node.names})] if name else [(a.name, set()) for a in node.names]


@pytest.mark.parametrize('module', MODULES)
def test_who_imports_whom(module):
    imports = list(own_imports(module))
    assert {name for name,_ in imports} <= set(MAY_IMPORT[module].split())
    assert all('*' not in what for _,what in imports), 'no star import from our own package'


def test_arrows_go_up_in_the_table():
    above = set()
    for module, may in MAY_IMPORT.items():
        assert set(may.split()) <= above, module
        above.add(module)


@pytest.mark.parametrize('module', [module for module in MODULES if module != 'all'])
def test_every_import_is_used(module):
    "But for those that a comment explains"
    lines = (ROOT/'pet_breeds'/f'{module}.py').read_text(encoding='utf-8').splitlines()
    used = {n.id for n in ast.walk(tree(module)) if isinstance(n, ast.Name)}
    imported = [(n.lineno, a.asname or a.name.split('.')[0]) for n in ast.walk(tree(module)) if isinstance(n, (ast.Import, ast.ImportFrom)) for a in n.names]
    assert [name for line, name in imported if name not in used and '#' not in lines[line-1]] == []


@pytest.mark.parametrize('module', MODULES)
def test_no_star_import(module):
    stars = [n.module for n in ast.walk(tree(module)) if isinstance(n, ast.ImportFrom) and n.names[0].name == '*']
    assert stars == []


def top_names(module):
    "Names that a module defines itself at its top level"
    for node in tree(module).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not patched(node): yield node.name
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name))


def patched(node):
    "Whether a function is a method that `patch` adds to a class"
    return any(getattr(d, 'id', '') == 'patch' for d in node.decorator_list)


def test_a_private_name_has_one_meaning():
    where = {}
    for module in MODULES:
        for name in set(top_names(module)):
            if name.startswith('_') and not name.startswith('__'): where.setdefault(name, []).append(module)
    assert {name: modules for name, modules in where.items() if len(modules) > 1} == {}


def test_a_private_name_stays_in_its_module():
    taken = [(module, name) for module in MODULES for name, what in own_imports(module) if any(w.startswith('_') for w in what)]
    assert taken == []


@pytest.mark.parametrize('module', MODULES)
def test_short_functions_and_modules(module):
    lines = (ROOT/'pet_breeds'/f'{module}.py').read_text(encoding='utf-8').splitlines()
    assert len(lines) <= 400 or module in LONG
    long = {n.name: n.end_lineno-n.lineno+1 for n in ast.walk(tree(module)) if isinstance(n, ast.FunctionDef)}
    assert {name: n for name, n in long.items() if n > 40} == {}


def modules_loaded_by(modules):
    "The top-level names that are loaded after an import of these modules of ours"
    code = f"import sys, {', '.join(f'pet_breeds.{m}' for m in modules)}; print(*{{m.split('.')[0] for m in sys.modules}})"
    return subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()


def test_without_fastai(): assert 'fastai' not in modules_loaded_by(WITHOUT_FASTAI)


def test_without_torch(): assert 'torch' not in modules_loaded_by(WITHOUT_TORCH)


def test_found_beside_a_clone(tmp_path):
    "A clone is a folder named as the package is; Python started beside it must find the package, not the folder"
    (tmp_path/'pet_breeds').mkdir()
    done = subprocess.run([sys.executable, '-c', 'from pet_breeds import quiz; print(quiz.q1.answer())'], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and len(done.stdout) > 100, done.stderr


def measured(folder):
    "Copy what the scripts measured into `folder`; returns the names of the files that lessons draw"
    for part in ('nbs/results', 'tests/bench/results'): shutil.copytree(ROOT/part, folder/part, dirs_exist_ok=True)
    lessons = ' '.join(f.read_text(encoding='utf-8') for f in (ROOT/'nbs').glob('*.ipynb'))
    return {f'{name}.json' for name in re.findall(r"(?:measured_file|plot_effect)\('(\w+)'\)", lessons)}


def test_a_wheel_holds_the_weights_the_answers_and_what_lessons_draw(tmp_path):
    "As `pip install` makes one from a clone or from GitHub, where nothing is editable"
    drawn = measured(tmp_path)
    for name in ('setup.py', 'settings.ini', 'MANIFEST.in', 'README.md', 'LICENSE', 'NOTICE'): shutil.copy(ROOT/name, tmp_path)
    shutil.copytree(ROOT/'pet_breeds', tmp_path/'pet_breeds')
    subprocess.run([sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '--no-build-isolation', '-w', 'wheels', '.'], cwd=tmp_path, check=True, capture_output=True)
    [wheel] = (tmp_path/'wheels').iterdir()
    with zipfile.ZipFile(wheel) as z:
        packed = {n for n in z.namelist() if n.startswith('pet_breeds/')}
        about = z.read(next(n for n in z.namelist() if n.endswith('/METADATA'))).decode().splitlines()
    assert {f'Provides-Extra: {name}' for name in ('dev', 'fast', 'heic', 'onnx', 'app')} <= set(about)
    assert {n for n in packed if 'measured/' not in n} == {f'pet_breeds/{f.name}' for f in (ROOT/'pet_breeds').iterdir() if f.is_file()}
    assert {f'pet_breeds/measured/{name}' for name in drawn} <= packed and len(drawn) > 10
    with zipfile.ZipFile(wheel) as z: z.extractall(tmp_path/'installed') # a reader without a clone
    script = 'from pet_breeds.effects import effect_line, measured_file; print(measured_file("recipe"), effect_line("ratios"))'
    done = subprocess.run([sys.executable, '-c', script], cwd=tmp_path/'installed', capture_output=True, text=True, env={**os.environ, 'PYTHONPATH': str(tmp_path/'installed')})
    assert done.returncode == 0 and str(tmp_path/'installed') in done.stdout, done.stderr


def test_an_sdist_holds_the_package_and_no_tests(tmp_path):
    "Tests need the notebooks and the site, which it does not hold"
    for name in ('setup.py', 'settings.ini', 'MANIFEST.in', 'README.md', 'LICENSE', 'NOTICE', 'CONTRIBUTING.md'):
        shutil.copy(ROOT/name, tmp_path)
    for name in ('pet_breeds', 'tests'):
        shutil.copytree(ROOT/name, tmp_path/name, ignore=shutil.ignore_patterns('__pycache__'))
    drawn = measured(tmp_path)
    subprocess.run([sys.executable, 'setup.py', '-q', 'sdist'], cwd=tmp_path, check=True, capture_output=True)
    [sdist] = (tmp_path/'dist').iterdir()
    with tarfile.open(sdist) as tar: packed = {m.name.partition('/')[2] for m in tar if m.isfile()}
    assert {n for n in packed if n.startswith('tests/')} == {f'tests/bench/results/{name}.json' for name in ('loaders', 'presize', 'recipe', 'training')}
    assert drawn <= {Path(n).name for n in packed} # a wheel is made from it
    assert 'NOTICE' in packed
    assert {f'pet_breeds/{f.name}' for f in (ROOT/'pet_breeds').iterdir() if f.is_file()} <= packed


def test_training_does_not_know_data(): assert 'data' not in {name for name,_ in own_imports('training')}


def test_export_and_clean_leave_no_diff(tmp_path):
    pytest.importorskip('nbdev')
    copy = tmp_path/'repo'
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns('.venv', '.git', '__pycache__', 'report'))
    for command in ('nbdev_export', 'nbdev_clean'):
        done = subprocess.run([shutil.which(command, path=str(ROOT)) or f'{sys.exec_prefix}/bin/{command}'], cwd=copy, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    for folder, pattern in (('pet_breeds', '*.py'), ('nbs', '*.ipynb')):
        changed = [f.name for f in (copy/folder).glob(pattern) if not (ROOT/folder/f.name).exists() or f.read_bytes() != (ROOT/folder/f.name).read_bytes()]
        assert changed == [], f'not exported or not cleaned: {changed}'


def read(notebook): return nbformat.read(notebook, 4)


@pytest.mark.parametrize('notebook', navigation.notebooks(), ids=lambda f: f.stem)
def test_first_cell_and_links(notebook): assert read(notebook) == navigation.with_navigation(notebook), 'run: python tests/build.py'


def notebook_of(module): return next(f for f in NOTEBOOKS if f'#| default_exp {module}\n' in read(f).cells[0].source)


@pytest.mark.parametrize('module', [m for m in MODULES if notebook_of(m).parent.name == 'internals'])
def test_a_reference_at_the_end(module):
    "Of an internal notebook; what a lesson exports is on the site's page of its module"
    notebook = notebook_of(module)
    last = read(notebook).cells[-1]
    assert f"show_docs('{module}')" in last.source
    said = '\n'.join(out.data['text/markdown'] for out in last.outputs)
    assert re.findall('^#### (.+)$', said, re.M) == importlib.import_module(f'pet_breeds.{module}').__all__, 'run: python tests/outputs.py'


@pytest.mark.parametrize('notebook', NOTEBOOKS, ids=names)
def test_notebook_form(notebook):
    nb = read(notebook)
    first, title = nb.cells[:2]
    assert re.search(r'^#\| default_exp \w+$', first.source, re.M)
    assert re.match(r'# .+\n\n> .+', title.source), 'a title, and a promise in one line'
    assert len({c.id for c in nb.cells}) == len(nb.cells)
    assert nb.nbformat_minor >= 5
    assert notebook.stat().st_size < 600_000
    for cell in nb.cells:
        if cell.cell_type == 'code':
            assert len(cell.source.splitlines()) <= 90, cell.id
            assert max(map(len, cell.source.splitlines())) <= 120, f'{cell.id}: JupyterLab cuts longer lines off'


@pytest.mark.parametrize('notebook', NOTEBOOKS, ids=names)
def test_outputs_are_clean(notebook):
    for cell in read(notebook).cells:
        for out in cell.get('outputs', []):
            where = f'{notebook.name} {cell.id}'
            assert out.output_type != 'error' and out.get('name') != 'stderr', where
            assert WIDGET not in out.get('data', {}), f'{where}: a live widget; run tests/outputs.py'
            text = str(out.get('text', '')) + str({k: v for k,v in out.get('data', {}).items() if k != 'image/png'})
            text = re.sub(r'base64,[\w+/=]+', '', text) # the picture of a control
            assert not re.search(r'/(home|root|Users|tmp|work|opt|var)/|0x[0-9a-f]{8}|\r', text), where


def public_cells(nb):
    "(index, names) of the cells that export public functions or classes"
    for i, cell in enumerate(nb.cells):
        if cell.cell_type == 'code' and re.search(r'^#\|\s*export\b', cell.source, re.M):
            defs = [n.name for n in ast.parse(cell.source).body if isinstance(n, (ast.FunctionDef, ast.ClassDef)) and not n.name.startswith('_')]
            if defs: yield i, defs


@pytest.mark.parametrize('notebook', NOTEBOOKS, ids=names)
def test_an_assertion_within_three_cells(notebook):
    cells = read(notebook).cells
    for i, defs in public_cells(read(notebook)):
        code = [c.source for c in cells[i+1:] if c.cell_type == 'code' and not c.source.startswith('#| export')][:3]
        assert any(re.search(r'\bassert\b|\bassert_close\(|\btest_\w+\(', s) for s in code), f'{notebook.name}: {defs}'


@pytest.mark.parametrize('module', [m for m in MODULES if m != 'all'])
def test_public_functions_are_documented(module):
    lines = (ROOT/'pet_breeds'/f'{module}.py').read_text(encoding='utf-8').splitlines()
    for node in tree(module).body:
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef)) or node.name.startswith('_'): continue
        assert ast.get_docstring(node), f'{module}.{node.name} has no docstring'
        if isinstance(node, ast.FunctionDef):
            args = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            bare = [a.arg for a in args if a.arg != 'self' and '#' not in lines[a.lineno-1]]
            assert not bare, f'{module}.{node.name}: no comment for {bare}'


def test_no_path_of_a_machine_and_no_big_file():
    files = subprocess.run(['git', 'ls-files', '-co', '--exclude-standard'], cwd=ROOT, capture_output=True, text=True).stdout.split('\n')
    if not files[0]: pytest.skip('not a git checkout')
    big = [f for f in files if f and (ROOT/f).exists() and (ROOT/f).stat().st_size > 2_200_000]
    assert big == []
