"A page for each module: calls, docstrings, and the comments beside the parameters."
import importlib
import inspect
import re
import sys
import textwrap
from pathlib import Path
from pprint import pformat
from typing import get_args

PACKAGE = Path(__file__).parent.parent/'pet_breeds'
MODULES = sorted(f.stem for f in PACKAGE.glob('*.py') if f.stem[0] != '_')
EMPTY = inspect.Parameter.empty


def load(module): return importlib.import_module(f'pet_breeds.{module}')


def where_defined(module):
    "{name: notebook.cell that exports it}"
    text = (PACKAGE/f'{module}.py').read_text(encoding='utf-8')
    _, *parts = re.split(r'^# %% \.\./nbs/(?:internals/)?(\w+)\.ipynb #(\S+)$', text, flags=re.M)
    return {name: f'{nb}.{cell}' for nb, cell, code in zip(parts[::3], parts[1::3], parts[2::3])
            for found in re.findall(r'^(?:def |class )?(\w+(?:, \w+)*)', code, re.M) for name in found.split(', ')}


def escaped(text): return re.sub(r'(`[^`]*`)|([*_<$[\]])', lambda m: m[1] or f'\\{m[2]}', str(text or '')).replace('|', '\\|').replace('\n', ' ')


def type_name(anno):
    "As it is written, without the modules' names"
    if anno is EMPTY: return ''
    name = anno.__name__ if isinstance(anno, type) and not get_args(anno) else re.sub(r'[\w.]+\.(?=\w)', '', str(anno))
    return f'`{name}`'.replace('|', '\\|')


def comments(obj):
    "{parameter: its comment}; docments reads neither those of a NamedTuple nor that of a `**` parameter"
    from fastcore.docments import docments
    plain = re.findall(r'^ +\**(\w+)(?::[^#\n]*|,)? # (.*)$', inspect.getsource(obj), re.M)
    return {**dict(plain[::-1]), **{name: d['docment'] for name, d in docments(obj, full=True).items() if d['docment']}}


class AsWritten(str): __repr__ = str.__str__


def as_written(value, obj):
    "A default of `obj`: a function, and what is long, by its name"
    if callable(value): return AsWritten(value.__name__)
    names = [name for name, v in vars(sys.modules[obj.__module__]).items() if v is value] if len(repr(value)) > 60 else []
    return AsWritten(names[0] if names else repr(value))


def signature(obj):
    "Without `self` and types; None for a class that takes over its parent's parameters"
    if inspect.isclass(obj) and not {'__init__', '_fields'} & vars(obj).keys(): return None
    sig = inspect.signature(obj)
    params = [p if p.default is EMPTY else p.replace(default=as_written(p.default, obj)) for p in sig.parameters.values() if p.name != 'self']
    return sig.replace(parameters=params)


def show_callable(name, obj):
    "The call, the docstring, and a row for each parameter"
    doc, sig = escaped(inspect.getdoc(obj)), signature(obj)
    if sig is None: return [f'```python\nclass {name}\n```', doc]
    bare, said = [p.replace(annotation=EMPTY) for p in sig.parameters.values()], comments(obj)
    call = f'{name}{sig.replace(parameters=bare, return_annotation=EMPTY)}'
    call = textwrap.fill(call, 84, subsequent_indent=' '*(len(name)+1), break_long_words=False, break_on_hyphens=False)
    rows = [(f'`{str(b).split("=")[0]}`', type_name(p.annotation), '' if p.default is EMPTY else f'`{p.default}`', escaped(said.get(p.name)))
            for p, b in zip(sig.parameters.values(), bare)]
    if sig.return_annotation not in (EMPTY, None): rows += [('returns', type_name(sig.return_annotation), '', escaped(said.get('return')))]
    table = '\n'.join(f"| {' | '.join(row)} |" for row in [('parameter', 'type', 'default', 'meaning'), ('---',)*4, *rows])
    return [f'```python\n{call}\n```', doc, table if rows else '']


def show_constant(name, value):
    text = f'{name} = {pformat(value, width=90, sort_dicts=False)}'
    if len(text) < 600 and not re.search(' at 0x|<class ', text): return [f'```python\n{text}\n```']
    return [f'A {type(value).__name__} of {len(value)}: ' + textwrap.shorten(', '.join(f'`{v}`' for v in value), 300, placeholder=' ...')]


def show(name, obj):
    if not callable(obj): return show_constant(name, obj)
    methods = vars(obj).items() if inspect.isclass(obj) else ()
    return show_callable(name, obj) + [part for method, f in methods if method[0] != '_' and inspect.isfunction(f) and f.__doc__
                                       for part in [f'### {name}.{method}', *show_callable(method, f)]]


def api_page(module):
    "A module's exports, each with a link to the cell that it comes from"
    m, cells = load(module), where_defined(module)
    page = [f'# pet_breeds.{module}', escaped(m.__doc__)]
    for name in m.__all__:
        if name in cells: page += [f'## {name}', *show(name, getattr(m, name)), f'Source: [{cells[name].split(".")[0]}](#{cells[name]})']
    for other in MODULES if module == 'all' else []:
        names = [f'`{n}`' for n in load(other).__all__ if other != 'all' and getattr(m, n, None) is getattr(load(other), n)]
        if names: page.append(f'From [pet_breeds.{other}]({other}.md): ' + ', '.join(names))
    return '\n\n'.join(page) + '\n'
