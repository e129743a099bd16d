"""Does training the last stages of an ImageNet body, from a fitted head on, lower the error? 29 real photos a breed, at 288 pixels.

    python tests/bench/finetune.py --json FILE [--splits 1,2] [--folds 5] [--epochs 4] [--rates 5e-5,2e-4] [--kept DIR]

Photos: `pets` and `pets_more` of `$PET_BREEDS_SHARED` (or `../shared`); tf_efficientnet_lite0. Each split is a cross-validation in `--folds`
parts, stratified by breed and folder. In each part a head is fitted to the body's features (logistic regression, as `probe_head` does);
then the last two stages, the last convolution and the head learn for `--epochs`, from that head on: AdamW, one cycle up to `--rates` (of the
body, of the head), batches of 32, label smoothing 0.1, batch norm in eval mode. What goes into stage 6 is computed once for six views of
each photo (the square in the middle, its mirror image, and four crops of 288 out of 320 pixels, half of them mirrored), and kept, in
float16. A part that is in FILE already, with the same settings, is not computed again. `wrong` counts photos; `own` are those of `pets`.
The interval is of the paired difference of each photo, averaged over the splits: photos are what is drawn.
"""
import argparse, json, tempfile, time
from pathlib import Path

from presize import about, real_photos
from recipe import ARCH, difference
from pet_breeds.batches import photo_dl
from pet_breeds.core import write_whole
from pet_breeds.model import make_model
from pet_breeds.training import memory_kept
from pet_breeds.warp import Prep
from pet_breeds.weights import find_weights
import numpy as np, torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from torch import nn

SIZE, LARGER, VIEWS = 288, 320, 6

def network(n_classes):
    "The frozen stages, the ones that learn (up to the pooled features), and the head"
    body, head = make_model(ARCH, n_classes, find_weights(ARCH), SIZE, 'linear')[0].eval().to(memory_format=torch.channels_last)
    low = nn.Sequential(body.conv_stem, body.bn1, body.blocks[:5])
    return low, nn.Sequential(body.blocks[5:], body.conv_head, body.bn2, body.global_pool), head

@torch.no_grad()
def kept_inputs(files, file):
    "What goes into stage 6, (photos, views, channels, height, width), kept in `file`"
    if file.exists(): return np.load(file, mmap_mode='r')
    low, rng, rows = network(2)[0], np.random.default_rng(0), []
    loaders = [photo_dl(files, Prep(size=size), [.5]*3, [.5]*3, 16) for size in (SIZE, LARGER)]
    for (x,), (larger,) in zip(*loaders):
        views = [x, x.flip(-1)]
        for i in range(VIEWS-2):
            top, left = rng.integers(0, LARGER-SIZE+1, 2)
            crop = larger[..., top:top+SIZE, left:left+SIZE]
            views.append(crop.flip(-1) if i % 2 else crop)
        rows.append(torch.stack([low(v.as_subclass(torch.Tensor).contiguous(memory_format=torch.channels_last)) for v in views], 1).half().numpy())
    np.save(file, np.concatenate(rows))
    return np.load(file, mmap_mode='r')

def batch(kept, rows, views=0): return torch.tensor(kept[rows, views]).float().contiguous(memory_format=torch.channels_last)

@torch.no_grad()
def in_batches(net, kept, rows): return torch.cat([net(batch(kept, part)) for part in np.array_split(rows, len(rows)//32+1)])

def fine_tune(tail, head, kept, y, train, epochs, rates, seed):
    "Train from the fitted head on"
    rng, steps = np.random.default_rng(seed), len(train)//32
    torch.manual_seed(seed)
    opt = torch.optim.AdamW([dict(params=tail.parameters()), dict(params=head.parameters())], weight_decay=.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(opt, list(rates), epochs*steps, pct_start=.2)
    head.train() # its dropout
    for _ in range(epochs):
        for rows in np.split(rng.permutation(train)[:32*steps], steps):
            rows = np.sort(rows)
            acts = head(tail(batch(kept, rows, rng.integers(0, VIEWS, 32))))
            opt.zero_grad()
            nn.functional.cross_entropy(acts, torch.tensor(y[rows]), label_smoothing=.1).backward()
            opt.step()
            schedule.step()
    head.eval()

def part(kept, y, train, test, epochs, rates, seed):
    "Which photos of a part are wrong with the fitted head, and after the last stages have learned as well"
    _, tail, head = network(int(y.max())+1)
    features = in_batches(tail, kept, np.arange(len(y))).numpy()
    fitted = LogisticRegression(max_iter=1000).fit(features[train], y[train])
    with torch.no_grad():
        for p, numbers in ((head[-1].weight, fitted.coef_), (head[-1].bias, fitted.intercept_)): p.copy_(torch.tensor(numbers))
    start = time.perf_counter()
    with memory_kept(): fine_tune(tail, head, kept, y, train, epochs, rates, seed)
    tuned = in_batches(nn.Sequential(tail, head), kept, test).argmax(1).numpy()
    wrong = {'fitted head': fitted.predict(features[test]) != y[test], 'fine-tuned': tuned != y[test]}
    return {name: test[w].tolist() for name, w in wrong.items()}, time.perf_counter()-start

def summary(rows, n, own):
    "Errors of both ways over all splits that are whole, and the interval of their difference"
    splits = {row['split'] for row in rows}
    def share(name): # of each photo, the fraction of the splits in which it is wrong
        return np.bincount([i for row in rows for i in row['wrong'][name]], minlength=n)/len(splits)
    head, tuned = share('fitted head'), share('fine-tuned')
    errors = {name: dict(error=e.mean(), own=e[own].mean()) for name, e in (('fitted head', head), ('fine-tuned', tuned))}
    return dict(errors=errors, **difference(tuned, head), splits=sorted(splits))

def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--json', type=Path, required=True)
    parser.add_argument('--splits', default='1,2')
    parser.add_argument('--folds', type=int, default=5)
    parser.add_argument('--epochs', type=int, default=4)
    parser.add_argument('--rates', default='5e-5,2e-4')
    parser.add_argument('--kept', type=Path, default=Path(tempfile.gettempdir()), help='folder for 600 MB')
    args = parser.parse_args()
    torch.set_num_threads(1)
    files, labels, own = real_photos()
    y = np.unique(labels, return_inverse=True)[1]
    settings = dict(arch=ARCH, size=SIZE, n=len(files), n_own=int(own.sum()), folds=args.folds, epochs=args.epochs, rates=args.rates)
    before = json.loads(args.json.read_text('utf-8')) if args.json.exists() else {}
    rows = before.get('rows', []) if before.get('settings') == settings else []
    kept = kept_inputs(files, args.kept/f'stage6-{SIZE}-{len(files)}.npy')
    for split in map(int, args.splits.split(',')):
        parts = StratifiedKFold(args.folds, shuffle=True, random_state=split).split(files, 2*y+own)
        for fold, (train, test) in enumerate(parts):
            if any((row['split'], row['fold']) == (split, fold) for row in rows): continue
            wrong, seconds = part(kept, y, train, test, args.epochs, [float(r) for r in args.rates.split(',')], fold)
            rows.append(dict(split=split, fold=fold, wrong=wrong, seconds=round(seconds, 1)))
            result = about() | dict(settings=settings, rows=rows, **summary(rows, len(files), own))
            write_whole(args.json, (json.dumps(result, indent=1) + '\n').encode())
            print(split, fold, {name: len(w) for name, w in wrong.items()}, flush=True)

if __name__ == '__main__': main()
