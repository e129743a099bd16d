"The hints are right, as far as mypy can know, the command reads its options by them, and each has a comment."
import ast
import inspect
import os
import re
import subprocess
import sys

import pytest
from conftest import ROOT

MODULES = sorted(f for f in (ROOT/'pet_breeds').glob('*.py') if f.stem[0] != '_')
FLAGS = ('--python-version=3.10',  # the oldest that we support
         '--ignore-missing-imports',  # libraries without hints, fastai among them, count as `Any`
         '--allow-redefinition',  # a name may go from a path to what was read from it
         '--warn-unused-ignores')  # so that an ignore goes when its reason goes
OURS = 'ResBlock', 'load_model', 'save_model', 'urlopen'  # names of fastai that stand for something else in our modules


def importing(name, value):
    "A line that leads mypy to where a name comes from; what is neither module, class nor function is `Any`"
    if inspect.ismodule(value): return f'import {value.__name__} as {name}'
    home = sys.modules.get(getattr(value, '__module__', None))
    return f'from {home.__name__} import {name}' if getattr(home, name, None) is value else f'{name}: Any'


WRONG = {'from pet_breeds.model import drawnet\ndrawnet("37")': 'arg-type',
         'from pet_breeds.batches import cache_photos\ncache_photos([]).keys': 'union-attr',
         'from pet_breeds.saving import save_model\nsave_model(None, "here", sise=224)': 'call-arg',
         'from fastai.vision.all import *\nPath("here").sufix': 'attr-defined',
         'from fastai.vision.all import *\nLerner': 'name-defined',
         'def epochs(n:int=None): return n': 'assignment',
         'def epochs(n:int)->str: return n': 'return-value'}


@pytest.fixture(scope='module')
def mypy(tmp_path_factory):
    "What mypy says of the package and of a file for each code in `WRONG`, in one run; `import *` brings it the names that fastai has"
    pytest.importorskip('mypy', reason='mypy is not installed')
    from fastai.vision import all as fastai_all
    tmp, wrong = tmp_path_factory.mktemp('mypy'), tmp_path_factory.mktemp('wrong')
    names = {name: value for name, value in vars(fastai_all).items() if name[0] != '_' and name not in OURS}
    (tmp/'fastai'/'vision').mkdir(parents=True)
    for package in 'fastai', 'fastai/vision': (tmp/package/'__init__.py').touch()
    lines = ['from typing import Any', *(importing(*item) for item in names.items())]
    (tmp/'fastai'/'vision'/'all.py').write_text('\n'.join(lines), encoding='utf-8')
    files = [wrong/f'wrong{i}.py' for i in range(len(WRONG))]
    for file, code in zip(files, WRONG): file.write_text(code + '\n', encoding='utf-8')
    command = [sys.executable, '-m', 'mypy', '--config-file=', f'--cache-dir={os.devnull}', '--no-error-summary', *FLAGS, 'pet_breeds', *map(str, files)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {'MYPYPATH': str(tmp)}, capture_output=True, text=True)
    assert done.returncode < 2, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_hints_are_right(mypy): assert [line for line in mypy if not re.match(r'\S*/wrong\d[.]py:', line)] == []


@pytest.mark.parametrize(('i', 'error'), enumerate(WRONG.values()), ids=WRONG.values())
def test_a_wrong_hint_is_found(mypy, i, error):
    assert any(f'/wrong{i}.py:' in line and line.endswith(f'[{error}]') for line in mypy), mypy


def test_the_command_reads_what_the_hints_say(capsys):
    from argparse import ArgumentParser
    from pet_breeds.cli import main
    from pet_breeds.core import add_options
    from pet_breeds.pets import Config
    parser = ArgumentParser()
    add_options(parser, Config)
    read = lambda *words: parser.parse_args(words)
    assert (read('--epochs', '2').epochs, read().epochs, read('--valid_pct', '.3').valid_pct) == (2, None, .3)
    assert (read('--no-flip').flip, read('--valid-pct', '.3').valid_pct, read('--cache').cache) == (False, .3, True)
    for words in (['--epochs', 'x'], ['--bs', '2.5'], ['--seed', 'x']):
        with pytest.raises(SystemExit): main(words)
        assert f"argument {words[0]}: invalid int value: '{words[1]}'" in capsys.readouterr().err


def public(tree):
    "The public functions, and of public classes the methods that are documented"
    for node in tree.body:
        if node.__class__.__name__ in ('FunctionDef', 'ClassDef') and node.name[0] != '_':
            methods = node.body if isinstance(node, ast.ClassDef) else [node]
            yield from (f for f in methods if isinstance(f, ast.FunctionDef) and (f.name == '__init__' or f.name[0] != '_' and ast.get_docstring(f)))


def uncommented(code):
    "What has no comment on its line: parameters, and returns that have a hint"
    lines = code.splitlines()
    for f in public(ast.parse(code)):
        a = f.args
        args = [arg for arg in (*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg) if arg and arg.arg != 'self']
        parts = {arg.arg: arg for arg in args} | ({'return': f.returns} if f.returns else {})
        yield from (f'{f.name}: {name}' for name, part in parts.items() if '# ' not in lines[part.lineno-1])


@pytest.mark.parametrize('module', MODULES, ids=lambda f: f.stem)
def test_every_parameter_and_return_has_a_comment(module): assert [*uncommented(module.read_text(encoding='utf-8'))] == []


def test_a_lack_of_comments_is_found():
    code = 'class A:\n def __init__(self, a): pass\n def b(self,\n  c, # a comment\n  **d\n )->int:\n  "doc"\ndef e(f): # a comment\n pass'
    assert [*uncommented(code)] == ['__init__: a', 'b: d', 'b: return']
