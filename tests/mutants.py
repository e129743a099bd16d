"""Mutation testing: `python tests/mutants.py loss lrs ...`. Each module is changed in one place at a time; its own test file has to notice.

    python tests/mutants.py MODULE... [--jobs 1] [--json FILE]

Needs `pip install mutmut`. Works on a copy in a temporary folder, which alone holds mutmut's configuration. A change that makes the
tests hang, "timeout", counts as killed; one that no test runs into survives. Docstrings are left as they are. Prints the diffs of
those that survived; FILE keeps the figures, also those of modules not named.
"""
import argparse, json, os, shutil, subprocess, sys, tempfile, time
from collections import Counter
from pathlib import Path

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
"""
STATUS = {0: 'survived', 1: 'killed', 3: 'killed', 33: 'no tests', -24: 'timeout', -11: 'segfault'}
PROFILE = """
import fastai.vision.all  # once, before the forks
from hypothesis import Phase, settings
settings.register_profile('mutants', phases=[Phase.explicit, Phase.generate])  # a failure is enough: none is shrunk
def pytest_collection_modifyitems(items): items.sort(key=lambda item: hasattr(item.function, 'hypothesis'))  # the quick ones first
"""


def mutate(module, folder, jobs):
    "Status of each mutant of `module`, found in a copy of the repo in `folder`"
    shutil.copytree(ROOT/'pet_breeds', folder/'pet_breeds', ignore=shutil.ignore_patterns('__pycache__'))
    (folder/'tests').mkdir()
    for name in (f'test_{module}', 'tiny'): shutil.copy(ROOT/f'tests/{name}.py', folder/'tests')
    (folder/'tests/conftest.py').write_text((ROOT/'tests/conftest.py').read_text() + PROFILE)
    (folder/'setup.cfg').write_text(CONFIG.format(module))
    env = {**os.environ, 'OMP_NUM_THREADS': '1'}
    def mutmut(*words): return subprocess.run([f'{sys.exec_prefix}/bin/mutmut', *map(str, words)], cwd=folder, env=env, capture_output=True, text=True)
    done = mutmut('run', '--max-children', jobs)
    if done.returncode: sys.exit(f'{module}: {done.stdout[-3000:]}{done.stderr[-3000:]}')
    codes = json.loads((folder/f'mutants/pet_breeds/{module}.py.meta').read_text())['exit_code_by_key']
    status = {name: STATUS[code] for name, code in codes.items()}  # a KeyError if pytest could not run, which mutmut calls a timeout
    return status, {name: mutmut('show', name).stdout for name, s in status.items() if s not in ('killed', 'timeout')}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('modules', nargs='+')
    parser.add_argument('--jobs', type=int, default=1)
    parser.add_argument('--json', type=Path)
    args = parser.parse_args()
    results = json.loads(args.json.read_text()) if args.json and args.json.exists() else {}
    for module in args.modules:
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder: status, diffs = mutate(module, Path(folder), args.jobs)
        counts, n = Counter(status.values()), len(status)
        results[module] = dict(n=n, **counts, share=round(1 - len(diffs)/n, 3), seconds=round(time.perf_counter() - start))
        print(*diffs.values(), f'{module}: {results[module]}', sep='\n', flush=True)
        if args.json: args.json.write_text(json.dumps(results, indent=1) + '\n')


if __name__ == '__main__': main()
