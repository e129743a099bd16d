"""At which size, and of how many views, should a frozen body see real photos? Errors of a fitted linear classifier, paired photo by photo.

    python tests/bench/recipe.py [--features DIR] [--rounds 3] [--json FILE]

Photos of `$PET_BREEDS_SHARED` (or `../shared`): `pets`, 7 a breed in their own shape, and `pets_more`, 29 a breed, most of them squashed to
a square. A view is a way to prepare a photo: `crop224` is the square in the middle at 224 pixels as the package prepares it, `plain` the same
by two lines of Pillow (bicubic), `zoom` the middle 224 of 288 pixels, `_f` its mirror image; views with + are averaged, in training and in
prediction. Three measures, each by logistic regression on the body's features. `few`: 5-fold cross-validation on `pets`, 5.6 a breed to
train on, averaged over `--rounds` splits; `others`: trained on `pets`, measured on `pets_more`; `many`: 5-fold cross-validation on all,
29 a breed to train on, `own` the photos of `pets` among them. Differences are from the baseline `plain`, and from `crop224`, with a
95% interval over photos. Features take most of the time; `--features` keeps them.
"""
import argparse, json, tempfile
from pathlib import Path

from presize import about, real_photos, show
from pet_breeds.batches import photo_dl
from pet_breeds.features import QuickNet
from pet_breeds.model import make_model
from pet_breeds.warp import Prep
from pet_breeds.weights import find_weights
import numpy as np, pandas as pd, torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

ARCH = 'tf_efficientnet_lite0'
WAYS = ('plain crop224 crop256 crop288 crop320 zoom288 squish224 squish288 pad288 crop224+crop224_f crop288+crop288_f crop320+crop320_f '
        'squish288+squish288_f crop224+crop288 crop256+crop320 crop288+squish288').split()

def plain(files, size=224):
    "Batches of photos by two lines of Pillow"
    for start in range(0, len(files), 16):
        squares = []
        for file in files[start:start+16]:
            im = Image.open(file).convert('RGB')
            side = min(im.size)
            left, top = (im.width-side)//2, (im.height-side)//2
            squares.append(np.asarray(im.resize((size, size), Image.BICUBIC, (left, top, left+side, top+side))))
        yield (torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2)/127.5-1,)

@torch.no_grad()
def features_of(view, files):
    name, mirror = view.removesuffix('_f'), view.endswith('_f')
    fit, size = name.rstrip('0123456789'), int(name[-3:]) if name != 'plain' else 224
    seen = 224 if fit == 'zoom' else size
    body = QuickNet(make_model(ARCH, 37, find_weights(ARCH), seen, 'linear')[0][0], len(files)).eval()
    prep = Prep(size=size, fit='crop' if fit in ('zoom', 'plain') else fit)
    batches = plain(files) if fit == 'plain' else photo_dl(files, prep, [.5]*3, [.5]*3, 16)
    def shown(x):
        edge = (size-seen)//2
        x = x.as_subclass(torch.Tensor)[..., edge:edge+seen, edge:edge+seen]
        return x.flip(-1) if mirror else x
    return torch.cat([body(shown(x)) for x, in batches]).numpy()

def kept(view, files, folder):
    file = folder/f'{view}.npy'
    if not file.exists(): np.save(file, features_of(view, files))
    return np.load(file)

def wrong(x, y, train, test):
    "Which photos of `test` are wrong"
    return LogisticRegression(max_iter=1000, tol=1e-3).fit(x[train], y[train]).predict(x[test]) != y[test]

def crossed(x, y, strata, rounds):
    "Of each photo how often it is wrong, by a classifier that was not fitted to it"
    out = np.zeros(len(y))
    for r in range(rounds):
        for train, test in StratifiedKFold(5, shuffle=True, random_state=r).split(x, strata): out[test] += wrong(x, y, train, test)
    return out/rounds

def measures(x, y, own, rounds):
    "For each measure how often each of its photos is wrong"
    few, others = np.flatnonzero(own), np.flatnonzero(~own)
    many = crossed(x, y, 2*y+own, 1)
    return dict(few=crossed(x[few], y[few], y[few], rounds), others=wrong(x, y, few, others).astype(float), many=many, own=many[own])

def difference(a, b):
    "Mean of the paired difference, with a 95% interval"
    d = a-b
    half = 1.96*d.std(ddof=1)/len(d)**.5
    return dict(difference=d.mean(), low=d.mean()-half, high=d.mean()+half)

def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ('features', 'json'): parser.add_argument(f'--{name}', type=Path)
    parser.add_argument('--rounds', type=int, default=3)
    args = parser.parse_args()
    files, labels, own = real_photos()
    y = np.unique(labels, return_inverse=True)[1]
    result = about() | dict(arch=ARCH, n=len(files), n_own=int(own.sum()), breeds=int(y.max()+1), folds=5, rounds=args.rounds, ways={})
    with tempfile.TemporaryDirectory() as tmp:
        found = {}
        for way in WAYS:
            x = np.mean([kept(view, files, args.features or Path(tmp)) for view in way.split('+')], 0)
            found[way] = measures(x, y, own, args.rounds)
            result['ways'][way] = {name: dict(n=len(e), error=e.mean(), **{f'from_{base}': difference(e, found[base][name])
                                              for base in ('plain', 'crop224') if base in found}) for name, e in found[way].items()}
            print(way, {name: round(e.mean(), 4) for name, e in found[way].items()}, flush=True)
    show('errors', pd.DataFrame({way: {name: r['error'] for name, r in rows.items()} for way, rows in result['ways'].items()}).T, 4)
    if args.json: args.json.write_text(json.dumps(result, indent=1) + '\n', encoding='utf-8')

if __name__ == '__main__': main()
