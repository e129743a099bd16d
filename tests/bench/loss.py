"""Our `cross_entropy` beside `F.cross_entropy`, forward and backward, in one run: time, peak memory and import cost.

    python tests/bench/loss.py [--rows 4096] [--classes 1000] [--rounds 31] [--processes 5] [--threads N] [--json FILE]

Time: A and B alternate in this process. Memory: A and B alternate in fresh processes, each reporting how far the peak of its
resident memory rises above what it was with the inputs in place. Import: what `import pet_breeds.loss` adds to `import torch`.
Every figure is a median over its rounds; a ratio is the median of the ratios of neighbors, ours over PyTorch's.
"""
import argparse, json, platform, re, resource, subprocess, sys, time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

def step(loss, acts, targ):
    "Seconds of one forward and backward pass."
    acts.grad = None
    start = time.perf_counter()
    loss(acts, targ).backward()
    return time.perf_counter() - start

def losses():
    import torch.nn.functional as F
    from pet_breeds.loss import cross_entropy
    return {'ours': cross_entropy, 'torch': F.cross_entropy}

def inputs(rows, classes):
    import torch
    g = torch.Generator().manual_seed(0)
    return torch.randn(rows, classes, generator=g).requires_grad_(), torch.randint(0, classes, (rows,), generator=g)

def peak_mb():
    "Peak of this process's resident memory; on Linux from /proc, as `getrusage` there may report the parent's."
    status = Path('/proc/self/status')
    if status.exists(): return int(re.search(r'VmHWM:\s+(\d+) kB', status.read_text())[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20

def child_memory(name, rows, classes):
    "MB by which one step raises the peak, after a small step has loaded what a step needs."
    loss = losses()[name]
    step(loss, *inputs(8, 10))
    acts, targ = inputs(rows, classes)
    before = peak_mb()
    step(loss, acts, targ)
    return peak_mb() - before

def child_import():
    "Seconds that `import pet_breeds.loss` takes once torch is there."
    import torch
    start = time.perf_counter()
    import pet_breeds.loss
    return time.perf_counter() - start

def fresh(*args):
    "What this script returns when a new process runs it with `args`."
    run = subprocess.run([sys.executable, __file__, *map(str, args)], capture_output=True, text=True, check=True)
    return float(run.stdout)

def pairs(measure, rounds):
    "`measure('ours')` and `measure('torch')` in turn; who goes first changes every round."
    out = {'ours': [], 'torch': []}
    for i in range(rounds):
        for name in (('ours', 'torch'), ('torch', 'ours'))[i % 2]: out[name].append(measure(name))
    ratio = median(a / b for a, b in zip(out['ours'], out['torch']))
    return {'ours': median(out['ours']), 'torch': median(out['torch']), 'ratio': ratio, 'n': rounds}

def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in dict(rows=4096, classes=1000, rounds=31, processes=5, threads=0).items():
        parser.add_argument(f'--{name}', type=int, default=default)
    parser.add_argument('--json', type=Path)
    parser.add_argument('--child', help=argparse.SUPPRESS)
    args = parser.parse_args()
    import torch
    if args.threads: torch.set_num_threads(args.threads)
    if args.child: return print(child_memory(args.child, args.rows, args.classes))

    both, batch = losses(), inputs(args.rows, args.classes)
    pairs(lambda name: step(both[name], *batch), 4)
    size = ('--rows', args.rows, '--classes', args.classes, '--threads', torch.get_num_threads())
    imports = [fresh('import') for _ in range(args.processes)]
    result = {'milliseconds': pairs(lambda name: 1000 * step(both[name], *batch), args.rounds),
              'peak MB': pairs(lambda name: fresh('--child', name, *size), args.processes),
              'import seconds': {'ours': median(imports), 'n': args.processes}}
    print(f'cross_entropy, forward and backward, ({args.rows}, {args.classes}) float32, {torch.get_num_threads()} threads, torch {torch.__version__}')
    print(f'{"":16}{"ours":>10}{"torch":>10}{"ratio":>8}{"n":>5}')
    for name in ('milliseconds', 'peak MB'):
        r = result[name]
        print(f'{name:16}{r["ours"]:10.2f}{r["torch"]:10.2f}{r["ratio"]:8.2f}{r["n"]:5}')
    r = result['import seconds']
    print(f'{"import seconds":16}{r["ours"]:10.4f}{"":18}{r["n"]:5}   over `import torch`')
    if args.json:
        about = {'rows': args.rows, 'classes': args.classes, 'threads': torch.get_num_threads(), 'torch': torch.__version__,
                 'python': platform.python_version(), 'machine': platform.machine()}
        args.json.write_text(json.dumps(about | result, indent=1) + '\n')

if __name__ == '__main__':
    if sys.argv[1:] == ['import']: print(child_import())
    else: main()
