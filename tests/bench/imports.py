"""What importing `pet_breeds.loss` and `pet_breeds.lrs` costs over importing torch: fresh processes, taken in turns, medians.

    python tests/bench/imports.py [--runs 9] [--json out.json]
"""
import argparse, json, platform, subprocess, sys
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
LIMIT = .15 # seconds both modules may add
CODES = {'torch': 'import torch', 'torch, pet_breeds.loss, pet_breeds.lrs': 'import torch, pet_breeds.loss, pet_breeds.lrs'}

def seconds(code):
    "Wall time of running `code` in a fresh process, its start-up not counted"
    timed = f'from time import perf_counter as t; start = t(); {code}; print(t()-start)'
    return float(subprocess.run([sys.executable, '-c', timed], cwd=ROOT, check=True, capture_output=True, text=True).stdout)

def measure(runs):
    "Medians over `runs` turns after one turn to warm the disk's cache; what is added is the median of the turns' differences"
    turns = [{name: seconds(code) for name,code in CODES.items()} for _ in range(runs+1)][1:]
    plain,ours = ([turn[name] for turn in turns] for name in CODES)
    added = [b-a for a,b in zip(plain, ours)]
    return dict(runs=runs, python=platform.python_version(), torch_s=median(plain), ours_s=median(ours),
                added_s=median(added), added_min_s=min(added), added_max_s=max(added), limit_s=LIMIT)

def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--runs', type=int, default=9, help='turns to take')
    parser.add_argument('--json', help='file to write the figures to')
    args = parser.parse_args()
    res = measure(args.runs)
    for name,key in zip(CODES, ('torch_s', 'ours_s')): print(f'import {name:<42} {res[key]:7.3f} s')
    print(f'{"added by ours":<49} {res["added_s"]:7.3f} s  (from {res["added_min_s"]:.3f} to {res["added_max_s"]:.3f}, {res["runs"]} runs; limit {LIMIT} s)')
    if args.json: Path(args.json).write_text(json.dumps(res, indent=1)+'\n', encoding='utf-8')
    return res['added_s'] > LIMIT

if __name__ == '__main__': sys.exit(main())
