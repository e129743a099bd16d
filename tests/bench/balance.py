"""Whether balanced weights serve: a linear classifier on the features of real photos, some breeds with many photos and some with few.

    python tests/bench/balance.py PHOTOS... [--splits 10] [--json FILE]

PHOTOS are folders of photos named breed_1.jpg. In each split a third of each breed is held out; of the rest each breed keeps all photos
or, drawn by chance, a fraction down to four. "sampled" draws each breed as often as the largest, with repetition; "weighted" lets each
breed weigh the same in the loss, as `--balance` does; "plain" does neither. Errors of the held-out photos: of all in the proportions of
training, and the mean of the breeds.
"""
import argparse, json, platform
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression

from honesty import features_of

def photos_of(folders):
    "Features of all photos by EfficientNet-Lite0 at 224 pixels, and their classes"
    from pet_breeds.data import photo_table
    table = pd.concat([photo_table(folder) for folder in folders], ignore_index=True)
    feats = features_of(list(table.file), 'tf_efficientnet_lite0', 224)
    return np.stack([feats[f] for f in table.file]), table.label.astype('category').cat.codes.to_numpy()

def errors(y, pred, weights):
    "Of all photos, each breed weighed as in training, and the mean of the breeds"
    by_breed = np.array([np.mean(pred[y == k] != k) for k in range(len(weights))])
    return float(np.average(by_breed, weights=weights)), float(by_breed.mean())

def one_split(x, y, seed):
    "{way: (error, mean error of the breeds)}"
    rng, train, test = np.random.default_rng(seed), [], []
    for k in range(y.max()+1):
        mine = rng.permutation(np.flatnonzero(y == k))
        cut = len(mine)//3
        test.append(mine[:cut])
        train.append(mine[cut:][:max(4, int((len(mine)-cut)*rng.choice([1, 1, .5, .25, .1])))])
    n, rows = np.array([len(t) for t in train]), np.concatenate(train)
    test, again = np.concatenate(test), np.concatenate([np.resize(t, max(map(len, train))) for t in train])
    ways = dict(plain=(rows, None), weighted=(rows, 'balanced'), sampled=(again, None))
    return {name: errors(y[test], LogisticRegression(max_iter=1000, class_weight=weight).fit(x[some], y[some]).predict(x[test]), n)
            for name, (some, weight) in ways.items()}

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('photos', nargs='+', type=Path)
    parser.add_argument('--splits', type=int, default=10)
    parser.add_argument('--json', type=Path)
    args = parser.parse_args()
    x, y = photos_of(args.photos)
    runs = [one_split(x, y, seed) for seed in range(args.splits)]
    def mean_se(values): return dict(mean=round(float(np.mean(values)), 4), se=round(float(np.std(values, ddof=1)/len(values)**.5), 4))
    result = dict(photos=len(y), breeds=int(y.max()+1), splits=args.splits, machine=f'{platform.machine()}, torch {torch.__version__}',
                  **{way: dict(error=mean_se([r[way][0] for r in runs]), mean_breed_error=mean_se([r[way][1] for r in runs]),
                               less_than_plain=mean_se([r['plain'][1]-r[way][1] for r in runs])) for way in runs[0]})
    text = json.dumps(result, indent=1)
    print(text)
    if args.json: args.json.write_text(text + '\n', encoding='utf-8')

if __name__ == '__main__': main()
