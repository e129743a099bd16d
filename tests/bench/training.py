"""Training, ours beside what it should beat: from scratch, a linear probe, the book's recipe; errors, seconds an epoch.

    python tests/bench/training.py [--shared DIR] [--parts drawn,real,epoch] [--seeds 5] [--json FILE]
                                   [--rounds 3] [--error-epochs 3] [--error-seeds 3] [--data DIR]

`--n 64 --size 64 --drawn-size 64 --most-epochs 1 --seeds 2 --rounds 1 --error-epochs 1 --error-seeds 2 --bs 16` tries
everything in a minute or two. Drawn photos go to `--data`, where they are found again, or to a folder that is removed. A seed is that of
the split, the model and the order of photos. An error is a standard error (se) of a mean over seeds; differences are paired, seed by
seed. All of it runs on the CPU; `gpu.py` is for a GPU.

drawn: what `pet_breeds` does by default, 740 drawn photos, from the shipped body and from scratch with as many epochs; seconds of
training with validation after each epoch, without the finder. real: photos and weights of `--shared` (default `$PET_BREEDS_SHARED` or
`../shared`), three ways on the same stratified splits, 30% to measure on, seconds from the list of files to the accuracy: `probe`,
logistic regression on the pretrained body's pooled features, photos prepared as for validation; `book`, fastai's `fine_tune(2, 4e-3,
freeze_epochs=3)`, batches of 16, stock presizing, float32; `ours`, the command's recipe for so few photos (`probe_head`) with
test-time augmentation over 8 views. epoch: drawnet, then resnet18, with random weights, batches of 64, 224 pixels, training only (no
validation), ways in turn after a round to warm up; ours with a cache, built before, the book's with as many workers as fastai takes, and
without; `one batch` is ours without a loader: the limit. Processor time: user and system, children too. A ratio is the median of the
rounds' ratios, the book's over ours. Then the errors of both after `--error-epochs` from scratch on drawn photos of 8 breeds.
"""
import argparse, json, os, tempfile, time
from collections import defaultdict
from functools import partial
from pathlib import Path

from presize import about, epoch_of, in_turn, one_batch, quietly, show, timed
from pet_breeds.batches import photo_dl
from pet_breeds.compare import compare, repeat
from pet_breeds.data import pets_dls, photo_table
from pet_breeds.drawn import BREEDS, draw_pets
from pet_breeds.model import make_learner, make_model
from pet_breeds.pets import Config, plan_run
from pet_breeds.precision import mixed_precision
from pet_breeds.sources import get_pets
from pet_breeds.splits import stratified_split
from pet_breeds.training import probe_head, train
from pet_breeds.warp import Prep
import numpy as np, pandas as pd, sklearn, torch
from fastai.torch_core import default_device, set_seed
from fastcore.test import test_eq
from sklearn.linear_model import LogisticRegression

TOP = 'shipped scratch scratch_ratio probe book ours epoch_ratio epoch_ratio_cpu'.split()

# settings
def our_settings(n_train, pretrained, most_epochs):
    "What the command does where nothing is asked for, with ten photos of a breed or more"
    plan = plan_run(Config(head='fastai'), n_train, len(BREEDS), pretrained)
    epochs = {name: min(plan[name], most_epochs) for name in ('epochs', 'freeze_epochs')}
    return dict(bs=plan['bs'], lr=float(plan['lr']), **epochs)

# photos
def few(table, n):
    "At most `n` rows, drawn without order, given in order"
    return table.sample(min(n or len(table), len(table)), random_state=0).sort_index().reset_index(drop=True)

def drawn_table(n, data):
    "`n` drawn photos of the 37 breeds"
    return few(photo_table(get_pets('drawn', -(-n//len(BREEDS)), data=data, progress=False)), n)

def batches(table, seed, bs, valid_pct, presize, size, workers=0, device='cpu', **kwargs):
    "DataLoaders of a stratified split"
    set_seed(seed)
    return pets_dls(table, bs, device, workers, valid_pct=valid_pct, seed=seed, presize=presize, size=size, **kwargs)

# runs: each way is a function from a seed to a figure and seconds
def measure(ways, seeds):
    "`repeat`, and a second table like it: seconds"
    took = defaultdict(list)
    def recorded(name):
        def run(seed):
            figure, seconds = ways[name](seed)
            took[name].append(seconds)
            print(f'seed {seed}: {name} {figure:.3f} in {seconds:.1f} s', flush=True)
            return figure
        return run
    runs = repeat({name: recorded(name) for name in ways}, seeds, progress=False)
    return runs, pd.DataFrame(took, runs.index)

def summary(title, runs, seconds, baseline=None):
    "Print mean, spread and paired differences with the median of seconds; returns them, and each run"
    table = compare(runs, baseline).join(seconds.median().rename('seconds'))
    show(f'{title}, {len(runs)} seeds', table, 4)
    return dict(table=json.loads(table.to_json(orient='index')), seconds=seconds.to_dict('list'), **runs.to_dict('list'))

def silently(learn, f, *args, **kwargs):
    "What `f` returns, without bars and tables"
    with learn.no_bar(), learn.no_logging(): return quietly(f, *args, **kwargs)

def set_precision(learn, precision='auto'):
    "`mixed_precision`, said aloud"
    print(f'{learn.arch} in {mixed_precision(learn, precision).name}', end='; ', flush=True)

def scratch_or_not(dls, seed, weights, epochs, lr=2e-3, freeze_epochs=0, precision='auto', **_):
    "Train drawnet: error rate at the end, and seconds"
    set_seed(seed)
    learn = make_learner(dls, 'drawnet', weights)
    if precision: set_precision(learn, precision)
    table, seconds = timed(silently, learn, train, learn, epochs, lr, freeze_epochs)
    return table.error_rate.iloc[-1], seconds[0]

# drawn
def drawn(args, tmp):
    table, size = drawn_table(args.n or 740, args.data or tmp), args.drawn_size
    shipped, scratch = (our_settings(round(.8*len(table)), pretrained, args.most_epochs) for pretrained in (True, False))
    scratch |= dict(bs=shipped['bs'], epochs=shipped['epochs']+shipped['freeze_epochs'])
    def way(weights, settings):
        return lambda seed: scratch_or_not(batches(table, seed, settings['bs'], .2, 'composed', size), seed, weights, **settings)
    runs, seconds = measure(dict(shipped=way('auto', shipped), scratch=way('none', scratch)), args.seeds)
    print(f'\nshipped: {shipped}; scratch: {scratch}')
    out = summary(f'drawn: error rate, n={len(table)} (20% valid), drawnet, {size} px', runs, seconds)
    ratio = runs.scratch.mean()/runs.shipped.mean() if runs.shipped.any() else np.inf
    print(f'mean error from scratch over that from the shipped body: {ratio:.2f}')
    return out | dict(n=len(table), size=size, settings=dict(shipped=shipped, scratch=scratch), scratch_ratio=ratio)

# real
def weights_in(shared): return shared/'weights/mobilenet_v2_imagenet.pth'

def split(table, seed): return stratified_split(table.file, table.label, .3, seed)

def real_learner(table, seed, bs, presize, args, head='fastai', **kwargs):
    "The pretrained body with a new head, on the split of all three ways"
    dls = batches(table, seed, bs, .3, presize, args.size, **kwargs)
    test_eq(list(dls.valid.items.file), list(table.file[split(table, seed)[1]]))
    set_seed(seed)
    return make_learner(dls, 'mobilenet_v2', weights_in(args.shared), head)

@torch.no_grad()
def features(files, args):
    "The pretrained body's features, averaged over the grid, photos prepared as for validation: (n, 1280)"
    model, meta = make_model('mobilenet_v2', 2, weights_in(args.shared), args.size)
    mean, std = meta['stats']
    body, dl = model[0].eval(), photo_dl(files, Prep(size=args.size), mean, std)
    return torch.cat([body(x).mean((2, 3)) for x, in dl]).numpy()

def probe(table, seed, args):
    "Accuracy of logistic regression, and seconds"
    start, (fit, valid) = time.perf_counter(), split(table, seed)
    feats = features(list(table.file), args)
    model = LogisticRegression(max_iter=2000).fit(feats[fit], table.label[fit])
    return model.score(feats[valid], table.label[valid]), time.perf_counter()-start

def book(table, seed, args):
    "Accuracy of the book's recipe in fastai's own code, and seconds; fastai's number of workers"
    start, most = time.perf_counter(), args.most_epochs
    learn = real_learner(table, seed, 16, 'stock', args, workers=None)
    silently(learn, learn.fine_tune, min(2, most), base_lr=4e-3, freeze_epochs=min(3, most))
    return 1-learn.recorder.values[-1][-1], time.perf_counter()-start

def ours(table, seed, args):
    "Accuracy of the command's recipe for so few photos, with test-time augmentation, and seconds"
    start = time.perf_counter()
    learn = real_learner(table, seed, 16, 'composed', args, 'linear')
    probe_head(learn)
    preds, targ = silently(learn, learn.tta, n=8)
    return (preds.argmax(1) == targ).float().mean().item(), time.perf_counter()-start

def real(args, tmp):
    if not weights_in(args.shared).exists(): return not_run('real', f'no {weights_in(args.shared)}')
    table = few(photo_table(args.shared/'pets'), args.n)
    runs, seconds = measure({f.__name__: partial(f, table, args=args) for f in (probe, book, ours)}, args.seeds)
    return summary(f'real: accuracy, n={len(table)} (30% valid), mobilenet_v2', runs, seconds, 'probe') | dict(n=len(table))

# epoch
def alternate(ways, rounds):
    "Seconds of each way's epoch, (rounds, ways, 2): wall and processor"
    out = []
    for r, row in enumerate(in_turn(ways, rounds), 1):
        out.append([(wall, user+system) for _, (wall, user, system) in row])
        print(f'round {r}: ' + ', '.join(f'{name} {wall:.2f} s' for name, (wall, _) in zip(ways, out[-1])), flush=True)
    return np.array(out)

def epoch(args, tmp):
    "Each of `args.archs` in turn; the ratio that counts is that of the first"
    runs = {arch: one_epoch(arch, args, tmp) for arch in args.archs.split(',')}
    first, ratios = next(iter(runs.values())), {arch: run['epoch_ratio'] for arch, run in runs.items()}
    return first | dict(epoch_ratios=ratios, archs=runs, errors=epoch_errors(args, tmp))

def one_epoch(arch, args, tmp):
    kind = 'real' if (args.shared/'pets').is_dir() else 'drawn'
    table = few(photo_table(args.shared/'pets'), args.n) if kind == 'real' else drawn_table(args.n or 370, args.data or tmp)
    make = partial(batches, table, 0, args.bs, .2, size=args.size)
    dls = {'book': make('stock', workers=None), 'book, no workers': make('stock', workers=0)}
    dls['ours'], build = timed(partial(quietly, make, 'composed', cache=tmp/'epoch'))
    learners = {name: make_learner(each, arch, 'none') for name, each in dls.items()}
    learners['one batch'] = make_learner(dls['ours'], arch, 'none')
    precision, _ = (mixed_precision(learners[name], 'auto') for name in ('ours', 'one batch'))
    one_batch(learners['one batch'])
    seconds = alternate({name: epoch_of(learn) for name, learn in learners.items()}, args.rounds)
    n, names, middle = dls['ours'].train.n, list(learners), np.median(seconds, 0)
    ratio, alone, limit = (np.median(seconds[:, i]/seconds[:, 2], 0) for i in (0, 1, 3))
    table = pd.DataFrame(middle, names, ['wall_s', 'cpu_s'])
    show(f'epoch: n={n} {kind} photos to train on, {args.size} px, bs {args.bs}, {arch}, no validation, median of {args.rounds} rounds',
         table, 2)
    print(f'book over ours: wall {ratio[0]:.2f}, processor time {ratio[1]:.2f}; without workers {alone[0]:.2f}, {alone[1]:.2f}; '
          f'the model alone takes {limit[0]:.2f} of our time, {limit[1]:.2f} of our processor time\n'
          f'ours in {precision.name}: {precision.why}; its cache took {build[0]:.1f} s to make')
    return dict(epoch_ratio=ratio[0], epoch_ratio_cpu=ratio[1], epoch_ratio_no_workers=alone[0], limit=limit[0], limit_cpu=limit[1],
                n=n, photos=kind, rounds=args.rounds, build_s=build[0], precision=precision, table=table.to_dict('index'),
                seconds=seconds.tolist())

def epoch_errors(args, tmp):
    "Error rates of both ways after the same epochs from scratch"
    if not args.error_epochs: return {}
    breeds, size = list(BREEDS)[::5][:8], args.drawn_size
    table = few(photo_table(draw_pets(tmp/'eight', 40, breeds=breeds, progress=False)), args.n)
    def way(presize, precision):
        settings = dict(weights='none', epochs=args.error_epochs, precision=precision)
        return lambda seed: scratch_or_not(batches(table, seed, 16, .3, presize, size), seed, **settings)
    title = f'error rate, n={len(table)} drawn photos (30% valid), 8 breeds, drawnet from scratch, {size} px, {args.error_epochs} epochs'
    return summary(title, *measure(dict(book=way('stock', None), ours=way('composed', 'auto')), args.error_seeds))

def not_run(part, why):
    print(f'\n{part}: not run, {why}', flush=True)
    return dict(not_run=why)

def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    shared = Path(os.environ.get('PET_BREEDS_SHARED', Path(__file__).resolve().parents[3]/'shared'))
    for name, default in dict(shared=shared, json=None, data=None).items(): parser.add_argument(f'--{name}', type=Path, default=default)
    counts = dict(seeds=5, n=None, size=224, drawn_size=128, bs=64, rounds=3, most_epochs=99, error_epochs=3, error_seeds=3)
    for name, default in counts.items(): parser.add_argument(f'--{name.replace("_", "-")}', type=int, default=default)
    parser.add_argument('--archs', default='drawnet,resnet18', help='for epoch')
    parser.add_argument('--parts', default='drawn,real,epoch')
    return parser.parse_args()

def main():
    args, parts = arguments(), dict(drawn=drawn, real=real, epoch=epoch)
    default_device(False)
    result = about() | dict(waiting=os.environ.get('OMP_WAIT_POLICY'), options={k: v.name if isinstance(v, Path) else v for k, v in vars(args).items()})
    result['versions'] |= dict(sklearn=sklearn.__version__)
    print(result)
    for part in args.parts.split(','):
        before = os.getloadavg()
        with tempfile.TemporaryDirectory() as tmp: result[part] = parts[part](args, Path(tmp))
        result[part]['load'] = before, os.getloadavg()
        print(f'load average before and after: {result[part]["load"]}', flush=True)
        result |= {key: result[part][key] for key in TOP if key in result[part]}
        if args.json: args.json.write_text(json.dumps(result, indent=1) + '\n', encoding='utf-8')

if __name__ == '__main__': main()
