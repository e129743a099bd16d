"""Run notebooks in fresh kernels and keep what their cells show: `python tests/outputs.py nbs/05_loss.ipynb ...`, all if none is named.

Cells flagged `#| slow`, `#| cuda` or `#| net` are not run and keep what they showed. A widget keeps its picture alone, and a
picture takes a third of the room. Prints the seconds of each notebook; changes nothing if a cell fails.
"""
import base64
import copy
import io
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat

NBS = Path(__file__).resolve().parent.parent/'nbs'
FLAGGED = re.compile(r'^#\|\s*(slow|cuda|net)\b', re.M)
WIDGET = 'application/vnd.jupyter.widget-view+json'


def executed(nb, folder):
    "A copy of a notebook after all its cells but the flagged ones were run in `folder`, one thread for arithmetic"
    from nbclient import NotebookClient # tests that only want the names above do without it
    nb = copy.deepcopy(nb)
    for cell in nb.cells:
        if FLAGGED.search(cell.source): cell.metadata['tags'] = ['skip-execution']
    with TemporaryDirectory() as home: # nobody has solved a question yet
        env = {**os.environ, 'OMP_NUM_THREADS': '1', 'XDG_DATA_HOME': home}
        NotebookClient(nb, timeout=600, kernel_name='python3', resources=dict(metadata=dict(path=str(folder)))).execute(env=env)
    return nb


def smaller(data):
    "An output's PNG with a palette, or as JPEG if it has many colors, as photos have"
    from PIL import Image
    if 'image/png' not in data: return
    pixels, out = Image.open(io.BytesIO(base64.b64decode(data.pop('image/png')))).convert('RGB'), io.BytesIO()
    kind = 'png' if pixels.getcolors(5000) else 'jpeg'
    if kind == 'png': pixels.quantize(128, dither=0).save(out, 'png', optimize=True)
    else: pixels.save(out, 'jpeg', quality=85)
    data[f'image/{kind}'] = base64.b64encode(out.getvalue()).decode()


def with_todays_script(file):
    "Give the controls that a notebook keeps the script of pet_breeds/explore.html as it is now"
    nb, code = nbformat.read(file, 4), (NBS.parent/'pet_breeds'/'explore.html').read_text(encoding='utf-8')
    old = [out.data for cell in nb.cells for out in cell.get('outputs', []) if '<figure class="pet-explore"' in out.get('data', {}).get('text/html', '')]
    for data in old: data['text/html'] = data['text/html'].partition('</figure>')[0] + f'</figure>\n{code}'
    if nb != nbformat.read(file, 4): nbformat.write(nb, file)


def keep(file, ran):
    "Write the outputs of `ran` into the notebook `file`, cell by cell, where the source is still the same"
    nb, by_id = nbformat.read(file, 4), {c.id: c for c in ran.cells}
    for cell in nb.cells:
        new = by_id.get(cell.id)
        if cell.cell_type != 'code' or not new or new.source != cell.source or FLAGGED.search(cell.source): continue
        cell.outputs = new.outputs
        for out in cell.outputs:
            if 'data' not in out: continue
            out.data.pop(WIDGET, None)
            smaller(out.data)
    nbformat.write(nb, file)
    subprocess.run([f'{sys.exec_prefix}/bin/nbdev_clean', '--fname', str(file)], check=True)


def main(files):
    for file in files:
        start = time.perf_counter()
        keep(file, executed(nbformat.read(file, 4), file.parent))
        print(f'{file.name}: {time.perf_counter()-start:.0f} s', flush=True)


if __name__ == '__main__': main([Path(f) for f in sys.argv[1:]] or [*sorted(NBS.glob('[0-9]*.ipynb')), *sorted(NBS.glob('internals/*.ipynb'))])
