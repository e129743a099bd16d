"""Whether balanced weights serve, where some breeds have many photos and some few: for a fitted head, and for a trained network.

    python tests/bench/balance.py PHOTOS... [--splits 10] [--seeds 8] [--json FILE]

PHOTOS are folders of photos named breed_1.jpg. In each split a third of each breed is held out; of the rest each breed keeps all photos
or, drawn by chance, a fraction down to four. "sampled" draws each breed as often as the largest, with repetition; "weighted" lets each
breed weigh the same in the loss, as `--balance` does; "plain" does neither. Errors of the held-out photos: of all in the proportions of
training, and the mean of the breeds. The fitted head is a linear classifier on the features of PHOTOS. The network is `drawnet`, trained
on drawn pets of 37 breeds (20 of each before the split) for about as many steps in each way.
"""
import argparse, json, platform, tempfile
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

def split(y, seed):
    "Rows to train on, a list for each breed, and rows that are held out"
    rng, train, test = np.random.default_rng(seed), [], []
    for k in range(y.max()+1):
        mine = rng.permutation(np.flatnonzero(y == k))
        cut = len(mine)//3
        test.append(mine[:cut])
        train.append(mine[cut:][:max(4, int((len(mine)-cut)*rng.choice([1, 1, .5, .25, .1])))])
    return train, np.concatenate(test)

def ways_of(train):
    "{way: (rows to train on, whether breeds weigh the same)}"
    rows = np.concatenate(train)
    return dict(plain=(rows, False), weighted=(rows, True),
                sampled=(np.concatenate([np.resize(t, max(map(len, train))) for t in train]), False))

def fitted(x, y, seed):
    "{way: (error, mean error of the breeds)} of a linear classifier"
    train, test = split(y, seed)
    def predict(rows, balance):
        head = LogisticRegression(max_iter=1000, class_weight='balanced' if balance else None)
        return head.fit(x[rows], y[rows]).predict(x[test])
    return {way: errors(y[test], predict(*how), list(map(len, train))) for way, how in ways_of(train).items()}

def trained(table, seed, epochs=6):
    "{way: (error, mean error of the breeds)} of a network, trained for about as many steps in each way"
    from fastai.torch_core import set_seed
    from pet_breeds.data import pets_dls
    from pet_breeds.model import make_learner
    from pet_breeds.training import balanced_loss
    y = table.label.astype('category').cat.codes.to_numpy()
    train, test = split(y, seed)
    def predict(rows, balance):
        set_seed(seed)
        photos = pd.concat([table.iloc[rows].assign(is_valid=False), table.iloc[test].assign(is_valid=True)])
        dls = pets_dls(photos.reset_index(drop=True), bs=16, size=96, device='cpu')
        learn = make_learner(dls, **(dict(loss_func=balanced_loss(dls)) if balance else {}))
        with learn.no_bar(), learn.no_logging():
            learn.fine_tune(max(1, round(epochs*sum(map(len, train))/len(rows))))
            acts, _ = learn.get_preds(act=lambda x: x)
        assert list(learn.dls.valid.items.file) == list(table.file.iloc[test])
        return acts.argmax(1).numpy()
    return {way: errors(y[test], predict(*how), list(map(len, train))) for way, how in ways_of(train).items()}

def summary(runs):
    "Mean and standard error of each way's errors, and how far its mean error of the breeds is below that of `plain`"
    def mean_se(values): return dict(mean=round(float(np.mean(values)), 4), se=round(float(np.std(values, ddof=1)/len(values)**.5), 4))
    return {way: dict(error=mean_se([r[way][0] for r in runs]), mean_breed_error=mean_se([r[way][1] for r in runs]),
                      less_than_plain=mean_se([r['plain'][1]-r[way][1] for r in runs])) for way in runs[0]}

def drawn_photos(folder):
    "A table of 20 drawn pets of each of 37 breeds"
    from pet_breeds.data import photo_table
    from pet_breeds.drawn import BREEDS, draw_pets
    return photo_table(draw_pets(folder/'pets', 20, breeds=list(BREEDS), progress=False))

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('photos', nargs='+', type=Path)
    parser.add_argument('--splits', type=int, default=10)
    parser.add_argument('--seeds', type=int, default=8)
    parser.add_argument('--json', type=Path)
    args = parser.parse_args()
    x, y = photos_of(args.photos)
    head = summary([fitted(x, y, seed) for seed in range(args.splits)])
    with tempfile.TemporaryDirectory() as tmp:
        table = drawn_photos(Path(tmp))
        network = summary([trained(table, seed) for seed in range(args.seeds)])
    result = dict(machine=f'{platform.machine()}, torch {torch.__version__}',
                  fitted_head=dict(photos=len(y), breeds=int(y.max()+1), splits=args.splits, **head),
                  network=dict(photos=len(table), breeds=table.label.nunique(), seeds=args.seeds, **network))
    text = json.dumps(result, indent=1)
    print(text)
    if args.json: args.json.write_text(text + '\n', encoding='utf-8')

if __name__ == '__main__': main()
