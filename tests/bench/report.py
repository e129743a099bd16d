"""What the report adds to the processor time of a run: its page, its tables, its maps and its learning curve, beside all the rest.

    python tests/bench/report.py [--rounds 3] [--json tests/bench/results/report.json]

Each round runs the default command on drawn pets and on `$PET_BREEDS_SHARED/pets`, each in a process of its own. Time counts from the
start of Python, imports included, and a second processor counts, too.
"""
import argparse, json, os, statistics, subprocess, sys, tempfile
from pathlib import Path

from presize import ROOT, SHARED, about

ONE_RUN = """
import contextlib, io, json, sys, time
from pet_breeds import measure, outcome, pets, report, saving
spent, within = {}, []
def timed(module, name):
    func = getattr(module, name)
    def call(*args, **kwargs):
        outer, start = not within, time.process_time()
        within.append(name)
        try: return func(*args, **kwargs)
        finally:
            within.pop()
            if outer: spent[name] = spent.get(name, 0) + time.process_time()-start # one part may call another
    setattr(module, name, call)
for module, names in ((measure, ['photo_curve']), (outcome, ['earlier_report', 'predictions']), (report, ['page', 'tables']), (saving, ['save_tables'])):
    for name in names: timed(module, name)
path, out = sys.argv[1:]
with contextlib.redirect_stdout(io.StringIO()): run = pets.run_pets(path, out=out)
print(json.dumps(dict(parts=spent, all=time.process_time(), error=run.metrics['error_rate'], photos=len(run.table))))
"""

def one_run(path):
    "What one run took: {parts: {name: seconds}, all: seconds, error, photos}"
    with tempfile.TemporaryDirectory() as tmp:
        done = subprocess.run([sys.executable, '-W', 'ignore', '-c', ONE_RUN, path, f'{tmp}/report'], cwd=tmp, stdout=subprocess.PIPE, text=True,
                              check=True, env=os.environ | {'PYTHONPATH': str(ROOT)})
    return json.loads(done.stdout.splitlines()[-1])

def summary(rounds):
    "Medians of several runs, and the share that the report adds to all else"
    parts = {name: round(statistics.median(r['parts'].get(name, 0) for r in rounds), 3) for name in rounds[0]['parts']}
    shares = [sum(r['parts'].values())/(r['all']-sum(r['parts'].values())) for r in rounds]
    return dict(photos=rounds[0]['photos'], error=rounds[0]['error'], seconds=round(statistics.median(r['all'] for r in rounds), 2), parts=parts,
                added=round(statistics.median(shares), 4), most_added=round(max(shares), 4))

def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--json', type=Path)
    args = parser.parse_args()
    found = {name: summary([one_run(path) for _ in range(args.rounds)]) for name, path in (('drawn', 'drawn'), ('real', str(SHARED/'pets')))}
    result = json.dumps(about() | dict(rounds=args.rounds, **found), indent=1)
    print(result)
    if args.json: args.json.write_text(result+'\n')

if __name__ == '__main__': main()
