"""The frozen body's features and the two commands that need them: seconds, and whether the result is the same.

    python tests/bench/features.py [--photos DIR] [--before DIR] [--sizes 224,288] [--rounds 3] [--json FILE]

body: all photos, prepared beforehand, through the body of tf_efficientnet_lite0, from the network in hand to the last feature: `plain`, the
network in channels_last, as at commit 491f926; `fold` and `engine`, what `QuickNet` has without and with OpenVINO, the start (one batch by
the network itself, folding or conversion, four photos to compare) included. commands: `pet_breeds` and then `pet_breeds_predict` on all
photos, this checkout beside `--before`, a folder with the package of commit 491f926 (`git archive 491f926 pet_breeds | tar -x -C DIR`),
at `--sizes`' first size. Ways in turn after a round to warm up; median over the rounds of wall and of processor seconds (user and system,
children too). A ratio is the median of the rounds' ratios, before over after. On a busy machine the ratio of processor seconds is the
steadier one.
"""
import argparse, csv, io, json, subprocess, sys, tempfile
from functools import partial
from pathlib import Path

from presize import ROOT, SHARED, about, in_turn, show
from pet_breeds import features
from pet_breeds.batches import photo_dl
from pet_breeds.features import QuickNet
from pet_breeds.model import make_model
from pet_breeds.photos import find_photos
from pet_breeds.warp import Prep
from pet_breeds.weights import find_weights
import numpy as np, pandas as pd, torch

ARCH = 'tf_efficientnet_lite0'

@torch.no_grad()
def through(body, batches, way):
    "Features of all photos, (n, features)"
    was, n = features.ENGINE_FROM, sum(map(len, batches))
    features.ENGINE_FROM = 0 if way == 'engine' else n+1
    try:
        net = body if way == 'plain' else QuickNet(body, n).eval()
        return torch.cat([net(x) for x in batches])
    finally: features.ENGINE_FROM = was

def medians(rows, names):
    "A table of wall and processor seconds, and of the ratios to the first way"
    wall, cpu = (np.array([[f(seconds) for _, seconds in row] for row in rows]) for f in (lambda s: s[0], lambda s: s[1:].sum()))
    table = {name: dict(wall_s=w, cpu_s=c) for name, w, c in zip(names, np.median(wall, 0), np.median(cpu, 0))}
    for i, name in enumerate(names):
        table[name] |= dict(wall_ratio=np.median(wall[:, 0]/wall[:, i]), cpu_ratio=np.median(cpu[:, 0]/cpu[:, i]))
    return table

def body_part(args, files, tmp):
    out = {}
    for size in args.sizes:
        body = make_model(ARCH, 37, find_weights(ARCH), size, 'linear')[0][0].eval().to(memory_format=torch.channels_last)
        batches = [x.as_subclass(torch.Tensor) for x, in photo_dl(files, Prep(size=size), [.5]*3, [.5]*3, 16)]
        ways = {way: partial(through, body, batches, way) for way in args.ways}
        rows = list(in_turn(ways, args.rounds))
        table, want = medians(rows, list(ways)), rows[0][0][0]
        for (found, _), row in zip(rows[-1], table.values()): row['most_difference'] = (found-want).abs().max().item()
        show(f'body: n={len(files)}, {size} px', pd.DataFrame(table).T, 3)
        out[size] = dict(n=len(files), table=table, largest=want.abs().max().item())
    return out

def command(name, package, *args):
    "What a command of a package prints"
    code = (f'import sys, pet_breeds; assert pet_breeds.__file__.startswith({str(package)!r}), pet_breeds.__file__; '
            f'from pet_breeds.cli import {name}; sys.argv[0] = {name!r}; {name}()')
    # the current folder is searched for packages first
    return subprocess.run([sys.executable, '-c', code, *map(str, args)], cwd=package, capture_output=True, text=True, check=True).stdout

def commands_part(args, files, tmp):
    photos, packages = files[0].parent, dict(before=args.before, after=ROOT)
    fit = {name: partial(command, 'main', package, '--path', photos, '--size', args.sizes[0], '--out', tmp/name)
           for name, package in packages.items()}
    fitted = medians(list(in_turn(fit, args.rounds)), list(fit))
    predict = {name: partial(command, 'main_predict', package, tmp/name, photos) for name, package in packages.items()}
    rows = list(in_turn(predict, args.rounds))
    predicted = medians(rows, list(predict))
    errors = {name: json.loads((tmp/name/'metrics.json').read_text())['error_rate'] for name in packages}
    before, after = (pd.DataFrame(csv.DictReader(io.StringIO(text))) for text, _ in rows[0])
    same = int((before.breed == after.breed).sum())
    most = float((before.prob.astype(float)-after.prob.astype(float)).abs().max())
    for title, table in (('pet_breeds', fitted), ('pet_breeds_predict', predicted)):
        show(f'{title}: n={len(files)}, {args.sizes[0]} px', pd.DataFrame(table).T, 2)
    print(f'error rates {errors}; the same prediction for {same} of {len(before)}, largest difference of a probability {most:.4f}')
    return dict(n=len(files), size=args.sizes[0], fit=fitted, predict=predicted, error_rates=errors, same=same, most_difference=most)

def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ('photos', 'before', 'json'): parser.add_argument(f'--{name}', type=lambda path: Path(path).resolve())
    parser.add_argument('--sizes', default=[224, 288], type=lambda s: [int(size) for size in s.split(',')])
    parser.add_argument('--ways', default=['plain', 'fold', 'engine'], type=lambda s: s.split(','))
    parser.add_argument('--rounds', type=int, default=3)
    args = parser.parse_args()
    files, result = find_photos((args.photos or SHARED/'pets').resolve()), about()
    try: result['versions']['openvino'] = features._openvino().__version__
    except ImportError: args.ways.remove('engine')
    with tempfile.TemporaryDirectory() as tmp:
        for name, part in dict(body=body_part, commands=commands_part).items():
            if name == 'commands' and not args.before: continue
            result[name] = part(args, files, Path(tmp))
            if args.json: args.json.write_text(json.dumps(result, indent=1) + '\n', encoding='utf-8')

if __name__ == '__main__': main()
