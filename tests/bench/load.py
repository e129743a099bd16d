"""Many photos: seconds and memory of finding, labelling, splitting and checking them, and of predicting, as their number grows.

    python tests/bench/load.py [--photos 1000 10000 100000] [--predictions 500 5000] [--json FILE]

The photos are stand-ins: JPEGs of noise, 64 pixels a side, filled up to one size with bytes that readers ignore: all files have the
same size, which is the slowest case for the search for copies. Each number of photos gets a fresh process; memory is how far the
peak of its resident memory rises above what it was before. "copies" are all the same file.
"""
import argparse, io, json, os, platform, subprocess, sys, time
from pathlib import Path
from tempfile import TemporaryDirectory

from loss import peak_mb

def jpeg(i):
    "A file of 8,192 bytes: a photo of noise, 64 pixels a side, another one for each number `i`"
    import numpy as np
    from PIL import Image
    buf = io.BytesIO()
    Image.fromarray(np.random.default_rng(i).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(buf, 'JPEG', quality=50)
    return buf.getvalue().ljust(8192, b'\0')

def make(folder, n, copies=False):
    "`n` stand-ins of 37 breeds, all different or all the same"
    for i in range(n): (folder/f'breed{i%37}_{i}.jpg').write_bytes(jpeg(0 if copies else i))

def timed(func):
    start = time.perf_counter()
    result = func()
    return result, round(time.perf_counter()-start, 3)

def child_photos(folder):
    "Seconds of each stage, and MB in all"
    from pet_breeds.inventory import photo_table
    from pet_breeds.splits import stratified_split
    from pet_breeds.photos import check_photos, find_photos
    find_photos(folder) # once for the system's own memory of folders
    before, seconds = peak_mb(), {}
    _, seconds['find'] = timed(lambda: find_photos(folder))
    table, seconds['label'] = timed(lambda: photo_table(folder))
    (train, valid), seconds['split'] = timed(lambda: stratified_split(list(table.file), list(table.label)))
    problems, seconds['check'] = timed(lambda: check_photos(table, progress=False))
    assert len(train)+len(valid) == len(table) and problems.usable.all() and len(problems) == 0
    return dict(seconds=seconds, MB=round(peak_mb()-before, 1))

def child_copies(folder):
    from pet_breeds.photos import check_photos, find_photos
    files = find_photos(folder)
    before = peak_mb()
    problems, seconds = timed(lambda: check_photos(files, progress=False))
    assert len(problems) == len(files)-1
    return dict(seconds=dict(check=seconds), MB=round(peak_mb()-before, 1))

def child_predict(folder):
    "After a few predictions have loaded what they need"
    from pet_breeds.data import pets_dls
    from pet_breeds.model import default_size, make_learner
    from pet_breeds.predict import predict_pets
    from pet_breeds.photos import find_photos
    from pet_breeds.saving import save_model
    with TemporaryDirectory() as model:
        save_model(make_learner(pets_dls(folder, size=default_size('drawnet')), 'drawnet', 'none'), model)
        predict_pets(model, find_photos(folder)[:200])
        before = peak_mb()
        (preds, bad), seconds = timed(lambda: predict_pets(model, [folder]))
    assert len(preds) == len(find_photos(folder)) and not len(bad)
    return dict(seconds=dict(predict=seconds), MB=round(peak_mb()-before, 1))

def measure(what, n):
    "In a process of its own"
    with TemporaryDirectory() as folder:
        make(Path(folder), n, what == 'copies')
        run = subprocess.run([sys.executable, __file__, '--child', what, folder], stdout=subprocess.PIPE, text=True, check=True)
    return dict(n=n, **json.loads(run.stdout))

def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--photos', type=int, nargs='+', default=[1000, 10_000, 100_000])
    parser.add_argument('--predictions', type=int, nargs='+', default=[500, 5000])
    parser.add_argument('--json', type=Path)
    parser.add_argument('--child', nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child: return print(json.dumps(globals()[f'child_{args.child[0]}'](Path(args.child[1]))))

    rows = {'photos': args.photos, 'copies': args.photos, 'predict': args.predictions}
    result = {what: [measure(what, n) for n in numbers] for what, numbers in rows.items()}
    for what, runs in result.items():
        for r in runs:
            seconds = '  '.join(f'{k} {v:.2f} s ({1e6*v/r["n"]:.0f} µs each)' for k, v in r['seconds'].items())
            print(f'{what:8}{r["n"]:8,}  {seconds}  {r["MB"]:.0f} MB')
    if args.json:
        args.json.write_text(json.dumps(dict(python=platform.python_version(), machine=platform.machine(), cores=os.cpu_count(), **result), indent=1) + '\n')

if __name__ == '__main__': main()
