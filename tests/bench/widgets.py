"""How long a picture takes to follow its slider: milliseconds of a move, for each `explore` in the notebooks.

    python tests/bench/widgets.py [--moves 20] [--json FILE]

Each notebook runs in a kernel, one thread for arithmetic, up to its last slider. There the first slider goes to and fro between where it
starts and its end; a move is over when the picture's bytes are made: its median, and the longest. What the browser takes to
show them is not counted.
"""
import argparse, json, os, re, tempfile
from pathlib import Path

import nbformat, numpy as np
from nbclient import NotebookClient

NBS = Path(__file__).resolve().parents[2]/'nbs'
EXPLORES = re.compile(r'^explore\(', re.M)
TIMED = '''
import ipywidgets, json, time
class Timed(ipywidgets.interactive):
    "Moves its first slider when made, and notes how long the picture took"
    def __init__(self, f, **controls):
        super().__init__(f, **controls)
        slider = next(w for w in self.kwargs_widgets if hasattr(w, 'max'))
        start, end = slider.value, slider.base**slider.max if hasattr(slider, 'base') else slider.max
        if start == end: end = slider.min
        times = []
        for i in range({moves}):
            begin = time.perf_counter()
            slider.value = (end, start)[i % 2]
            times.append(1000*(time.perf_counter()-begin))
        with open({file!r}, 'a') as out: print(json.dumps([f.__name__, times]), file=out)
ipywidgets.interactive = Timed
'''


def moves_of(notebook, moves):
    "[(function, its milliseconds)] of a notebook's sliders"
    nb = nbformat.read(notebook, 4)
    last = max(i for i, c in enumerate(nb.cells) if c.cell_type == 'code' and EXPLORES.search(c.source))
    with tempfile.TemporaryDirectory() as tmp:
        times = Path(tmp)/'times'
        nb.cells[last+1:] = []
        nb.cells.insert(0, nbformat.v4.new_code_cell(TIMED.format(moves=moves, file=str(times))))
        NotebookClient(nb, timeout=600, resources=dict(metadata=dict(path=str(notebook.parent)))).execute(env={**os.environ, 'OMP_NUM_THREADS': '1'})
        return [json.loads(line) for line in times.read_text().splitlines()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--moves', type=int, default=20, help='how often a slider is moved')
    parser.add_argument('--json', type=Path, help='file to write the figures to')
    args = parser.parse_args()
    result = dict(cpus=os.cpu_count(), load=os.getloadavg(), moves=args.moves, widgets={})
    print(f'{"milliseconds of a move":<28} median longest')
    for notebook in sorted(NBS.rglob('*.ipynb')):
        if not EXPLORES.search('\n'.join(c.source for c in nbformat.read(notebook, 4).cells if c.cell_type == 'code')): continue
        for name, times in moves_of(notebook, args.moves):
            row = result['widgets'][f'{notebook.stem}, {name}'] = dict(median=float(np.median(times)), longest=max(times))
            print(f'{notebook.stem+", "+name:<28} {row["median"]:6.0f} {row["longest"]:7.0f}', flush=True)
    if args.json: args.json.write_text(json.dumps(result, indent=1)+'\n', encoding='utf-8')


if __name__ == '__main__': main()
