"""How often the interval that is stated covers the true error: many folders with too few, unequal, copied and wrongly labeled photos.

    python tests/bench/honesty.py [--folders 200] [--json FILE]

Each folder is a random choice from a pool of drawn photos: two to eight breeds with 4 to 40 photos each, of which none, some or many
have near-copies (resized, compressed and brightened, mirrored), and none to a tenth have a wrong label. A linear classifier is fitted
to the features of the shipped body, as the command does with real photos, whose labels may be doubtful. Its true error is measured
on fresh photos in the folder's proportions, of breeds and of the changes that make near-copies, since a compressed photo is harder:
with right labels, and with as many wrong labels as the folder has. "before" is the way of earlier versions: copies are known by equal bytes
alone, a fifth of the photos validates, and the interval is two standard errors.
"""
import argparse, io, json, platform, warnings
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageEnhance, ImageOps

BREEDS = 'Abyssinian', 'Birman', 'Ragdoll', 'Siamese', 'beagle', 'boxer', 'pug', 'samoyed'
POOL, FRESH = 240, 240 # photos of each breed to choose from, and fresh ones: so many that neither are harder by chance
MOST = 40 # photos of a breed in a folder

def copies_of(im):
    "Three near-copies of a photo, as JPEG files hold them"
    small = im.resize((im.width*6//10, im.height*6//10), Image.Resampling.BICUBIC)
    for copy, quality in ((small, 90), (ImageEnhance.Brightness(im).enhance(1.1), 40), (ImageOps.mirror(im), 85)):
        buf = io.BytesIO()
        copy.save(buf, 'JPEG', quality=quality)
        yield buf.getvalue()

def make_pool(top):
    "{breed: files of the pool, each followed by its copies}, and the same of fresh photos"
    from pet_breeds.drawn import draw_pets
    drawn = draw_pets(top/'drawn', POOL+FRESH, breeds=list(BREEDS), progress=False)/'images'
    groups = {breed: [] for breed in BREEDS}
    for breed, i in product(BREEDS, range(1, POOL+FRESH+1)):
        group = [drawn/f'{breed}_{i}.jpg']
        for k, data in enumerate(copies_of(Image.open(group[0]))):
            group.append(top/f'{breed}_{i}_copy{k}.jpg')
            group[-1].write_bytes(data)
        groups[breed].append(group)
    return {breed: found[:POOL] for breed, found in groups.items()}, {breed: found[POOL:] for breed, found in groups.items()}

def features_of(files, arch='drawnet', size=96):
    "{file: its features by a body with its weights}"
    from pet_breeds.batches import photo_dl
    from pet_breeds.model import make_model
    from pet_breeds.warp import Prep
    from pet_breeds.weights import cached_weights
    model, meta = make_model(arch, 2, cached_weights(arch), size, 'linear')
    body = torch.nn.Sequential(model[0], *model[1][:-2]).eval().to(memory_format=torch.channels_last)
    dl = photo_dl(files, Prep(size=size), *meta['stats'], 64)
    with torch.no_grad(): found = torch.cat([body(x) for x, in dl])
    return dict(zip(files, found.numpy()))

def random_folder(rng, pool):
    "A table of a folder, the true breed of each photo, and the fraction of wrong labels"
    breeds = rng.choice(BREEDS, rng.integers(2, 9), replace=False)
    copied, wrong = rng.choice([0, .3, .6]), rng.choice([0, .05, .1])
    rows = []
    for breed in breeds:
        n = int(np.exp(rng.uniform(np.log(4), np.log(MOST))))
        for group in (pool[breed][i] for i in rng.choice(POOL, n, replace=False)):
            label = rng.choice([b for b in breeds if b != breed]) if rng.random() < wrong else breed
            more = rng.integers(1, 4) if rng.random() < copied else 0
            rows += [(file, str(label), str(breed), change, 1/(1+more)) for change, file in enumerate(group[:1+more])]
    return pd.DataFrame(rows, columns=['file', 'label', 'breed', 'change', 'weight']), wrong

def fitted(x, y):
    from sklearn.linear_model import LogisticRegression
    return LogisticRegression(max_iter=1000).fit(x, y)

def true_error(head, table, fresh, feats, vocab, wrong):
    "Of a head on fresh photos in the folder's proportions: with right labels, and with a fraction of wrong ones"
    def wrongly(breed, change): return np.mean(head.predict(np.stack([feats[group[change]] for group in fresh[breed]])) != vocab.index(breed))
    shares = table.groupby(['breed', 'change']).weight.sum()/table.weight.sum()
    error = float(sum(share*wrongly(*which) for which, share in shares.items()))
    return error, error*(1-wrong) + (1-error)*wrong + error*wrong*(1-1/max(1, len(vocab)-1))

def ours(table, x, y, vocab):
    "The stated interval, and the head of the report: what the command does with a fitted head"
    from pet_breeds.interpret import honest_error
    from pet_breeds.outcome import SURE
    from pet_breeds.plan import plan_folds
    from pet_breeds.training import cross_validate
    folds = plan_folds(dict(epochs=0), table, 0)
    acts = cross_validate((x, y), table.group, len(vocab), folds)
    probs, pred = acts.softmax(1).max(1)
    m = honest_error(y, pred, vocab, np.bincount(y, minlength=len(vocab)), table.group, folds, probs.numpy() >= SURE)
    return (m['error_low'], m['error_high']), fitted(x, y)

def before(table, x, y):
    from pet_breeds.splits import stratified_split
    train, valid = stratified_split(list(table.file), list(table.label), .2, 42)
    head = fitted(x[train], y[train])
    error, n = float(np.mean(head.predict(x[valid]) != y[valid])), len(valid)
    if 0 < error < 1: half = 2*(error*(1-error)/n)**.5; return (error-half, error+half), head
    bound = .05**(1/n)
    return ((0, 1-bound) if error == 0 else (bound, 1)), head

def judged(rng, pool, fresh, feats):
    "One folder: for each way whether its interval covers the true error, and how wide it is"
    from pet_breeds.photos import look_at
    table, wrong = random_folder(rng, pool)
    _, table['group'] = look_at(table[['file', 'label']], progress=False)
    vocab = sorted(set(table.label) | set(table.breed))
    x, y = np.stack([feats[f] for f in table.file]), np.array([vocab.index(label) for label in table.label])
    row = dict(photos=len(table), different=int(table.group.nunique()), wrong=float(wrong))
    for name, ((low, high), head) in dict(ours=ours(table, x, y, vocab), before=before(table, x, y)).items():
        right, noisy = true_error(head, table, fresh, feats, vocab, wrong)
        row |= {f'{name}_right': bool(low <= right <= high), f'{name}_as_labeled': bool(low <= noisy <= high), f'{name}_width': high-low,
                f'{name}_too_good': bool(high < right)}
    return row

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--folders', type=int, default=200)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--json', type=Path)
    args = parser.parse_args()
    warnings.filterwarnings('ignore')
    with TemporaryDirectory() as tmp:
        pool, fresh = make_pool(Path(tmp))
        files = [f for photos in (pool, fresh) for groups in photos.values() for group in groups for f in group]
        feats = features_of(files)
        rows = pd.DataFrame([judged(np.random.default_rng([args.seed, i]), pool, fresh, feats) for i in range(args.folders)])
    result = dict(folders=len(rows), seed=args.seed, photos=[int(rows.photos.min()), int(rows.photos.median()), int(rows.photos.max())],
                  **rows.drop(columns=['photos', 'different', 'wrong']).mean().round(3).to_dict(),
                  by_wrong=rows.groupby('wrong')[['ours_right', 'ours_as_labeled', 'before_right', 'before_as_labeled']].mean().round(3).to_dict('index'),
                  machine=f'{platform.machine()}, torch {torch.__version__}')
    text = json.dumps(result, indent=1)
    print(text)
    if args.json: args.json.write_text(text + '\n', encoding='utf-8')

if __name__ == '__main__': main()
