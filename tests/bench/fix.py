"""What `doubtful.csv` finds, and what `--fix` gains: wrong labels are planted, looked at in the order of the table, and set right.

    python tests/bench/fix.py [--seeds 5] [--wrong 0.05] [--json tests/bench/results/fix.json]

Photos: `$PET_BREEDS_SHARED/pets` to fit to, `pets_more`, with its own labels, to measure on. The features are computed once, as a run
computes them; each seed plants other wrong labels and cuts other parts. A person is played by the right labels: the first 10% of
`doubtful.csv` are looked at, those that are wrong get `relabel` and the right label, and the table comes back as `--fix` reads it.
"""
import argparse, json, os, platform, sys, tempfile, time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
SHARED = Path(os.environ.get('PET_BREEDS_SHARED', ROOT.parent/'shared'))

from pet_breeds.compare import compare
from pet_breeds.core import write_whole
from pet_breeds.features import body_features
from pet_breeds.fixes import fix_labels, read_fixes
from pet_breeds.inventory import photo_table
from pet_breeds.loss import softmax
from pet_breeds.measure import fitted_items
from pet_breeds.outcome import doubtful, predictions
from pet_breeds.pets import Run
from pet_breeds.tables import csv_bytes
from pet_breeds.training import cross_validate, probe_head
import numpy as np, pandas as pd, torch

def prepared(out):
    "A run whose head is fitted, its photos with their right labels, and features and classes of new photos"
    run = Run(path=str(SHARED/'pets'), out=out)
    run.fit()
    more = photo_table(SHARED/'pets_more')[['file', 'label']]
    return run, fitted_items(run)[['file', 'label', 'group']], body_features(run.learn, more)

def new_error(run, labels, more):
    "The error on new photos of a head that is fitted to these labels"
    probe_head(run.learn, (run.features[0], classes_of(run, labels)))
    linear = run.learn.model[1][-1].cpu()
    with torch.no_grad(): return float((linear(torch.tensor(more[0])).argmax(1).numpy() != more[1]).mean())

def classes_of(run, labels): return np.array([list(run.learn.dls.vocab).index(label) for label in labels])

def one_seed(seed, run, photos, more, wrong, looked=.1):
    "Share found among the first 5% and 10% of the table, and the errors on new photos before and after"
    vocab, rng, n = list(run.learn.dls.vocab), np.random.default_rng(seed), len(photos)
    planted = rng.choice(n, round(wrong*n), replace=False)
    labels = photos.label.to_numpy().copy()
    labels[planted] = [rng.choice([breed for breed in vocab if breed != label]) for label in labels[planted]]
    acts = cross_validate((run.features[0], classes_of(run, labels)), photos.group, len(vocab), seed=seed)
    preds = predictions(softmax(acts, dim=1).numpy(), photos.assign(label=labels), vocab, run.folder)
    table, truth = doubtful(preds), dict(zip(preds.file, photos.label))
    bad = [truth[file] != label for file, label in zip(table.file, table.label)]
    found = {f'found_{100*part:g}': sum(bad[:round(part*n)])/len(planted) for part in (.05, .1)}
    seen = pd.Series(bad) & (table.index < round(looked*n))
    table.loc[seen, 'fix'], table.loc[seen, 'new_label'] = 'relabel', table.file[seen].map(truth)
    with tempfile.TemporaryDirectory() as tmp:
        file = Path(tmp)/'doubtful.csv'
        file.write_bytes(csv_bytes(table))
        fixed = fix_labels(photos.assign(label=labels), read_fixes([str(file)]), run.folder)
    assert list(fixed.file) == list(photos.file)
    errors = dict(right_labels=photos.label, before=labels, after=fixed.label)
    return dict(seed=seed, planted=len(planted), **found, **{name: new_error(run, x, more) for name, x in errors.items()})

def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--seeds', type=int, default=5)
    parser.add_argument('--wrong', type=float, default=.05)
    parser.add_argument('--json', type=Path)
    args, start = parser.parse_args(), time.perf_counter()
    with tempfile.TemporaryDirectory() as tmp: run, photos, more = prepared(f'{tmp}/report')
    rows = pd.DataFrame([one_seed(seed, run, photos, more, args.wrong) for seed in range(args.seeds)])
    gain = compare(rows[['before', 'after', 'right_labels']])
    print(rows.round(4).to_string(index=False), gain.round(4).to_string(), sep='\n\n')
    about = dict(photos=f'Oxford-IIIT Pets: {len(photos)} to fit to, {args.wrong:g} of the labels planted wrong, {len(more[1])} new ones to '
                        'measure on', arch=run.config.arch, size=run.prep.size, command='python tests/bench/fix.py', python=platform.python_version(),
                 torch=torch.__version__, seconds=round(time.perf_counter()-start))
    result = dict(about=about, rows=json.loads(rows.to_json(orient='records')), gain=json.loads(gain.to_json(orient='index')))
    if args.json: write_whole(args.json, (json.dumps(result, indent=1) + '\n').encode())

if __name__ == '__main__': main()
