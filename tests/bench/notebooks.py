"""Every notebook in a process of its own and a fresh folder: seconds in a kernel, as `jupyter nbconvert --execute` runs it, and by `nbdev_test`.

    python tests/bench/notebooks.py [--notebooks 05_loss quiz] [--workers 2] [--json FILE]

The folder holds a copy of the notebook and nothing else; beside it stands a copy of `images/`. One thread for arithmetic. Flagged cells
(slow, cuda, net) are left out both ways. First one after the other: their seconds, start-up counted, and the sum. Then all once more
each way with `--workers` at once, wall time: kernels two by two, and `nbdev_test --n_workers` on all, where a worker keeps what it has
imported. A notebook that fails has no seconds, says why at the end, and is left out of the second part.
"""
import argparse, json, os, platform, shutil, subprocess, sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.exec_prefix)/'bin'
WAYS = {'kernel': [BIN/'jupyter', 'nbconvert', '--to', 'notebook', '--execute', '--output', 'ran'], 'nbdev_test': [BIN/'nbdev_test', '--path']}

def found(name): return next((ROOT/'nbs').rglob(f'{name}.ipynb'))

def seconds(way, names, *options):
    "Wall time of a command on copies of notebooks, given their folder if there are several; RuntimeError with what it said if it fails"
    with TemporaryDirectory() as tmp:
        shutil.copytree(ROOT/'images', f'{tmp}/images')
        folder = Path(tmp, 'nbs')
        folder.mkdir()
        copies = [folder/found(name).relative_to(ROOT/'nbs') for name in names]
        for file in copies:
            file.parent.mkdir(exist_ok=True)
            shutil.copy(found(file.stem), file)
        start = time.perf_counter() # nbdev_test reads the flags to leave out from the settings.ini of where it is started
        done = subprocess.run([*WAYS[way], folder if len(copies) > 1 else copies[0], *options], cwd=ROOT,
                              env={**os.environ, 'OMP_NUM_THREADS': '1'}, capture_output=True, text=True)
        took = time.perf_counter()-start
    if done.returncode or way == 'nbdev_test' and 'Success.' not in done.stdout:
        raise RuntimeError(f'{way}, {" ".join(names)}: {(done.stdout+done.stderr)[-2000:]}')
    return took

def alone(name):
    "Seconds of a notebook each way, None where it fails, and what was said then"
    times, said = {}, []
    for way in WAYS:
        try: times[way] = seconds(way, [name])
        except RuntimeError as e:
            times[way] = None
            said.append(str(e))
    return times, said

def together(names, workers):
    "Wall time of all, `workers` at once, each way"
    start = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool: list(pool.map(lambda name: seconds('kernel', [name]), names))
    return {'kernel': time.perf_counter()-start, 'nbdev_test': seconds('nbdev_test', names, '--n_workers', str(workers))}

def line(name, times): print(f'{name:<18}', *(f'{times[way]:10.1f}' if times[way] else f'{"failed":>10}' for way in WAYS), flush=True)

def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--notebooks', nargs='+', metavar='NAME', default=[f.stem for f in sorted((ROOT/'nbs').rglob('*.ipynb'))],
                        help='such as 05_loss; all if none is given')
    parser.add_argument('--workers', type=int, default=2, help='how many at once in the second part')
    parser.add_argument('--json', help='file to write the figures to')
    args = parser.parse_args()
    res = dict(python=platform.python_version(), machine=platform.machine(), cpus=os.cpu_count(), load=os.getloadavg(), workers=args.workers, notebooks={})
    print(f'{"seconds":<18}', *(f'{way:>10}' for way in WAYS))
    failed = []
    for name in args.notebooks:
        res['notebooks'][name], said = alone(name)
        line(name, res['notebooks'][name])
        failed += said
    res['sum'] = {way: sum(times[way] or 0 for times in res['notebooks'].values()) for way in WAYS}
    line('sum', res['sum'])
    res['together'] = together([name for name, times in res['notebooks'].items() if all(times.values())], args.workers)
    line(f'{args.workers} at once', res['together'])
    if args.json: Path(args.json).write_text(json.dumps(res, indent=1)+'\n', encoding='utf-8')
    return '\n'.join(failed)

if __name__ == '__main__': sys.exit(main())
