"""Mutation testing: `python tests/mutants.py loss ...`. Changes a module in one place at a time; its tests must notice.

    python tests/mutants.py MODULE... [--sample N] [--jobs 1] [--json FILE]

Needs `pip install mutmut`. Works on a copy in a temporary folder, which alone holds mutmut's configuration. A change
that makes the tests hang, "timeout", counts as killed; one that no test runs into survives. Docstrings are left as they
are, and functions with a decorator other than `in_style`, which the copy lacks. Prints the diffs of those that survived;
FILE keeps the figures, also those of modules not named. `--sample` tries N changes of each module, drawn at random (seed 0), instead
of all: `share` then has a 95% interval (Wilson's), `low` to `high`, and `of` is how many there are.
"""
import argparse, json, os, random, re, shutil, subprocess, sys, tempfile, time
from collections import Counter
from pathlib import Path

from scipy.stats import binomtest

ROOT = Path(__file__).resolve().parent.parent
CONFIG = r"""[mutmut]
source_paths = pet_breeds
only_mutate = pet_breeds/{0}.py
do_not_mutate_patterns = ^\s+".*"$
pytest_add_cli_args_test_selection = tests/test_{0}.py
pytest_add_cli_args =
    --hypothesis-profile=mutants
    --hypothesis-seed=0
    --deselect=tests/test_loss.py::test_import_adds_nothing_to_torch
process_isolation = forkserver
timeout_multiplier = 5
timeout_constant = 10
"""
STATUS = {0: 'survived', 1: 'killed', 3: 'killed', 33: 'no tests', -24: 'timeout', -11: 'segfault'}
PROFILE = """
import fastai.vision.all  # once, before the forks
from hypothesis import Phase, settings
settings.register_profile('mutants', phases=[Phase.explicit, Phase.generate])  # a failure is enough: none is shrunk
def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: hasattr(item.function, 'hypothesis'))  # the quick ones first
"""


def mutate(module, folder, jobs, sample=None):
    "Status of each mutant of `module`, or of a sample, found in a copy of the repo in `folder`; what survived; how many there are"
    shutil.copytree(ROOT/'pet_breeds', folder/'pet_breeds', ignore=shutil.ignore_patterns('__pycache__'))
    source = folder/f'pet_breeds/{module}.py' # mutmut leaves functions with a decorator as they are
    source.write_text(re.sub(r'^@in_style\(\)\n', '', source.read_text(), flags=re.M))
    shutil.copytree(ROOT/'tests', folder/'tests', ignore=shutil.ignore_patterns('__pycache__', 'bench'))
    (folder/'tests/conftest.py').write_text((ROOT/'tests/conftest.py').read_text() + PROFILE)
    (folder/'setup.cfg').write_text(CONFIG.format(module))
    env = {**os.environ, 'OMP_NUM_THREADS': '1'}
    def mutmut(*words):
        command = [f'{sys.exec_prefix}/bin/mutmut', *map(str, words)]
        return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    def codes(): return json.loads((folder/f'mutants/pet_breeds/{module}.py.meta').read_text())['exit_code_by_key']
    chosen = []
    if sample:
        mutmut('run', 'none of them')  # writes them all and stops
        chosen = random.Random(0).sample(sorted(codes()), min(sample, len(codes())))
    done = mutmut('run', '--max-children', jobs, *chosen)
    if done.returncode: sys.exit(f'{module}: {done.stdout[-3000:]}{done.stderr[-3000:]}')
    found = codes()
    status = {name: STATUS[found[name]] for name in chosen or found}  # KeyError: pytest could not run, to mutmut a timeout
    survived = [name for name, s in status.items() if s not in ('killed', 'timeout')]
    return status, {name: mutmut('show', name).stdout for name in survived}, len(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('modules', nargs='+')
    parser.add_argument('--sample', type=int)
    parser.add_argument('--jobs', type=int, default=1)
    parser.add_argument('--json', type=Path)
    args = parser.parse_args()
    results = json.loads(args.json.read_text()) if args.json and args.json.exists() else {}
    for module in args.modules:
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder: status, diffs, of = mutate(module, Path(folder), args.jobs, args.sample)
        counts, n = Counter(status.values()), len(status)
        seconds = round(time.perf_counter() - start)
        results[module] = dict(n=n, **counts, share=round(1 - len(diffs)/n, 3), seconds=seconds)
        if n < of:
            low, high = binomtest(n - len(diffs), n).proportion_ci(method='wilson')
            results[module] |= dict(of=of, low=round(float(low), 3), high=round(float(high), 3))
        print(*diffs.values(), f'{module}: {results[module]}', sep='\n', flush=True)
        if args.json: args.json.write_text(json.dumps(results, indent=1) + '\n')


if __name__ == '__main__': main()
