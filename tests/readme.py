"""README.md from nbs/index.ipynb, and the figures in it from tests/bench/results; tests/build.py writes them, tests/test_readme.py holds them in step."""
import json
import re
from pathlib import Path

import nbformat

ROOT = Path(__file__).parent.parent
INDEX = ROOT/'nbs'/'index.ipynb'
BANNER = '<!-- Made from nbs/index.ipynb by `python tests/build.py`: edit the notebook. -->\n\n'


# Figures

def measured(name):
    from pet_breeds.effects import measured_file # as it has just been exported
    return json.loads(measured_file(name).read_text(encoding='utf-8'))


def table(head, *rows): return '\n'.join(f"| {' | '.join(row)} |" for row in (head, ['---']*len(head), *rows))


MEASURED = 'presize', 'training', 'epoch_bf16', 'epoch_fp32', 'chapter' # what the table is made of


def epoch_row(what, epoch, script):
    "A row about an epoch: the book's seconds, ours, and those of the network alone"
    archs = epoch['archs'].values()
    def seconds(way): return ' and '.join(f"{arch['table'][way]['wall_s']:.1f}" for arch in archs) + ' s'
    ratios = ' and '.join(f"{arch['epoch_ratio']:.1f}" for arch in archs)
    return [what, seconds('book'), f"{seconds('ours')} ({ratios} times faster); the network alone {seconds('one batch')}", script]


def comparison(presize, training, bf16, fp32, chapter):
    "The table beside the book's way, from what three scripts in tests/bench measured"
    ways, fidelity, real, drawn = presize['speed']['ways'], presize['fidelity']['train'], training['real'], training['drawn']
    def mean(part, way): return '{mean:.3f} ± {se:.3f}'.format(**part['table'][way])
    one, cached = presize['speed']['ratio_composed'], presize['speed']['ratio_cached']
    epoch, processor = bf16['epoch'], bf16['processor'].partition(',')[0]
    archs = ' and of '.join(epoch['archs'])
    errors = {row['table']: row['error'] for row in chapter['rows'] if row['seed'] == 0}
    fitted = errors.pop('fitted head')
    return table(
        ['', "the book's calls", 'this package', 'measured by, in `tests/bench`'],
        ['times a photo is resampled', '3 or 4', '1', '[04_presize](04_presize.ipynb) counts them'],
        [f"processor time to prepare a photo (n={presize['speed']['n']}, real)", f"{ways[presize['speed']['base']]['cpu_ms']:.1f} ms",
         f"{ways['composed']['cpu_ms']:.1f} ms ({one:.0f} times faster), {ways['composed_cached']['cpu_ms']:.1f} ms with a cache ({cached:.0f} times)",
         '`presize.py --parts speed`'],
        [f"likeness to the photo, PSNR (n={presize['fidelity']['n']}, real)", f"{fidelity['stock']['PSNR cubic']:.1f} dB", f"{fidelity['composed']['PSNR cubic']:.1f} dB",
         '`presize.py --parts fidelity`'],
        epoch_row(f"an epoch of {archs} in bfloat16 (n={epoch['n']}, real, 224 px, two cores of an {processor})", epoch, '`training.py --parts epoch`'),
        epoch_row('the same in float32, as on a processor that does not compute in bfloat16', fp32['epoch'], 'the same after `export ONEDNN_MAX_CPU_ISA=AVX512_CORE`'),
        [f"right on real photos, seven of a breed (n={real['n']}, mobilenet_v2, {len(real['ours'])} splits): fine-tuning in 55 steps, or a fitted head on eight views", mean(real, 'book'), mean(real, 'ours'), '`training.py --parts real`'],
        [f"error rate on real photos, 29 of a breed (n={chapter['about']['n_valid']}, EfficientNet-Lite0, one run): the calls of the chapter's tables, or a fitted head",
         f'{min(errors.values()):.3f} to {max(errors.values()):.3f}', f'{fitted:.3f}', '`effects.py chapter`'],
        [f"error rate on drawn photos, no download (n={drawn['n']}, {len(drawn['shipped'])} seeds)", f"{mean(drawn, 'scratch')} from scratch",
         f"{mean(drawn, 'shipped')} with the bundled network", '`training.py --parts drawn`'])


def in_short(presize, training):
    "The comparison in two sentences, for the top of the page"
    real = {way: training['real']['table'][way]['mean'] for way in ('book', 'ours')}
    return ("Compared with the book's calls, on the same real photos and two cores, a photo is prepared "
            f"{presize['speed']['ratio_composed']:.0f} times as fast, and with seven photos of each breed {real['ours']:.0%} of those held out "
            f"are right instead of {real['book']:.0%}. The table below says how that was measured.")


def with_minutes(source):
    "The table of the lessons, its last column from the lessons' words and cells"
    from pet_breeds.handout import minutes # as it has just been exported
    def row(m):
        cells = nbformat.read(ROOT/'nbs'/f'{m[1]}.ipynb', 4).cells
        return f"{m[0].rpartition('|')[0].rpartition('|')[0]}| {round(minutes(cells))} |"
    return re.sub(r'^\| \[(\w+)\]\(\w+\.ipynb\).*\|$', row, source, flags=re.M)


def with_figures(nb):
    "The index with what was measured last"
    for cell in nb.cells:
        if cell.id == 'compare-table': cell.source = comparison(*map(measured, MEASURED))
        if cell.id == 'compare-short': cell.source = in_short(measured('presize'), measured('training'))
        if cell.id == 'table': cell.source = with_minutes(cell.source)
    return nb


def write_figures(): nbformat.write(with_figures(nbformat.read(INDEX, 4)), INDEX)


# The page

def _outputs(cell):
    "The text that a code cell shows"
    for out in cell.outputs:
        text = out.get('text') or out.get('data', {}).get('text/markdown') or out.get('data', {}).get('text/plain')
        if text: yield f'```\n{text.rstrip()}\n```' if 'text/markdown' not in out.get('data', {}) else text


def _cell_markdown(cell):
    if cell.cell_type == 'markdown': return cell.source
    if re.search(r'^#\|\s*(hide|export|default_exp)', cell.source, re.M): return ''
    return '\n\n'.join([f'```python\n{cell.source}\n```', *_outputs(cell)])


def readme(notebook=INDEX):
    "The notebook's visible cells as Markdown, with paths as seen from the repo's root"
    cells = nbformat.read(notebook, 4).cells
    headings = {c.id: re.sub(r'[^\w -]', '', m[1].lower()).replace(' ', '-') for c in cells if (m := re.match('#+ (.+)', c.source))}
    text = '\n\n'.join(p for p in map(_cell_markdown, cells) if p)
    text = re.sub(r'\]\(#cell-id=([\w-]+)\)', lambda m: f'](#{headings[m[1]]})', text)
    text = re.sub(r'\]\(((?!https?:|#|\.\./)[^)]+\.ipynb)(?:#[^)]*)?\)', r'](nbs/\1)', text)
    return BANNER + text.replace('](../', '](') + '\n'


def write(): (ROOT/'README.md').write_text(readme(), encoding='utf-8')
