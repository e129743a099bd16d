"""The chapter's ideas measured on real photos, one file of numbers for each: nbs/results/NAME.json, which `pet_breeds.effects` draws.

    python tests/bench/effects.py NAME ... [--seeds 5] [--results DIR] [--plot FILE.png] [--threads 1]

Photos: `$PET_BREEDS_SHARED/pets` and `pets_more`, or those of ../shared: 36 of each of 37 breeds, decoded once. A seed decides the
split (the same for every setting of an effect, so settings are paired), the weights of the head, the order and the augmentations. The
file is written after each row, and a row that is there is not measured again; other settings of the whole effect start a new file.
Unless an effect says otherwise the body is tf_efficientnet_lite0 with ImageNet weights and a linear head, and its batch norm statistics
stay as they came. "Head only" trains on features of the whole photos, computed once, which is exact as long as nothing else changes.
"""
import argparse, itertools, json, os, platform, re, resource, sys, time
from functools import cache
from inspect import signature
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
SHARED = Path(os.environ.get('PET_BREEDS_SHARED', ROOT.parent/'shared'))

from pet_breeds.core import write_whole
from pet_breeds.labels import name_label
from pet_breeds.model import FixedStats, linear_head, make_learner, make_model
from pet_breeds.photos import find_photos, read_photo
from pet_breeds.precision import mixed_precision
from pet_breeds.training import cross_validate, find_lr
import cv2, fastai, numpy as np, sklearn, timm, torch
from fastai.callback.channelslast import ChannelsLast
from fastai.vision.all import (Callback, CancelFitException, CancelValidException, CrossEntropyLossFlat, DataLoaders, Datasets, IntToFloatTensor, L,
                               Learner, TensorCategory, TensorImage, TfmdDL, aug_transforms, error_rate, params, set_seed)
from sklearn.linear_model import LogisticRegression

LITE0, STORED, SIZE, BREEDS, VALID = 'tf_efficientnet_lite0', 128, 96, 37, 7
MOBILENET = SHARED/'weights/mobilenet_v2_imagenet.pth'

# photos
def square(file, size):
    "The central square of a photo, (3, size, size) uint8"
    photo = read_photo(file, size)
    side = min(photo.shape[:2])
    top, left = ((n-side)//2 for n in photo.shape[:2])
    return torch.from_numpy(cv2.resize(photo[top:top+side, left:left+side], (size, size), interpolation=cv2.INTER_AREA)).permute(2, 0, 1)

@cache
def files():
    "All photos, and the number of the breed of each"
    found = [f for folder in ('pets', 'pets_more') for f in find_photos(SHARED/folder/'images')]
    names = [name_label(f) for f in found]
    vocab = sorted(set(names))
    if len(vocab) != BREEDS: raise FileNotFoundError(f'{SHARED}: expected photos of {BREEDS} breeds, found {len(vocab)}')
    return found, torch.tensor([vocab.index(name) for name in names])

@cache
def photos(size=STORED): return torch.stack([square(f, size) for f in files()[0]])

def split(seed, train=7):
    "Numbers of photos to train on, `train` of each breed, and of `VALID` others of each; the second do not depend on `train`"
    y, rng = files()[1].numpy(), np.random.default_rng(seed)
    orders = [rng.permutation(np.flatnonzero(y == breed)) for breed in range(BREEDS)]
    return np.concatenate([o[:train] for o in orders]), np.concatenate([o[-VALID:] for o in orders])

def loaders(train, valid, bs=16, size=SIZE):
    "fastai's loaders with the chapter's augmentations"
    x, y = photos(), files()[1]
    sets = Datasets(range(len(x)), [[lambda i: TensorImage(x[i])], [lambda i: TensorCategory(y[i])]], splits=(L(*train), L(*valid)))
    dls = sets.dataloaders(bs=bs, val_bs=64, num_workers=0, device=torch.device('cpu'),
                           after_batch=[IntToFloatTensor(), *aug_transforms(size=size, min_scale=.75)])
    dls.c = BREEDS
    return dls

# Learners
def stages(model):
    "Parameter groups: six of the body, from its input on, and the head"
    body, head = model
    b = body.blocks
    return L([body.conv_stem, body.bn1, b[0], b[1]], [b[2]], [b[3]], [b[4]], [b[5]], [b[6], body.conv_head, body.bn2], [head]).map(
        lambda group: [p for module in group for p in params(module)])

def learner(seed, train, valid, bs=16, head='linear', arch=LITE0, weights='auto', **kwargs):
    "A frozen Learner on photos"
    dls = loaders(train, valid, bs)
    set_seed(seed)
    learn = make_learner(dls, arch, weights, head, loss_func=CrossEntropyLossFlat(), cbs=ChannelsLast(), **kwargs)
    if arch == LITE0: learn.splitter, learn.opt = stages, None
    if learn.weights: learn.freeze()
    return learn

class Unmeasured(Callback):
    "Leave the validation out"
    def before_validate(self): raise CancelValidException

def quiet(learn, method, *args, cbs=(), **kwargs):
    "Train without bars and tables, and without validation"
    with learn.no_bar(), learn.no_logging(): return getattr(learn, method)(*args, cbs=[Unmeasured(), *cbs], **kwargs)

def measured(learn):
    "Error and loss on the validation photos"
    with learn.no_bar(): loss, error = learn.validate()
    return dict(error=error, **({'loss': loss} if np.isfinite(loss) else {}))

@torch.no_grad()
def body_of(body, stats, x):
    "What a body gives for photos, uint8"
    mean, std = (torch.tensor(s).view(3, 1, 1) for s in stats)
    body = body.eval().to(memory_format=torch.channels_last)
    x = torch.nn.functional.interpolate(x.float()/255, (SIZE, SIZE), mode='bilinear', antialias=True) if x.shape[-1] != SIZE else x.float()/255
    out = torch.cat([body((part-mean)/std) for part in x.split(64)])
    return out.mean((2, 3)) if out.ndim == 4 else out

@cache
def features(arch=LITE0, weights='auto'):
    "Features of all photos, whole, (n, features)"
    from pet_breeds.weights import find_weights
    model, meta = make_model(arch, BREEDS, find_weights(arch, weights), SIZE, 'linear')
    return body_of(model[0], meta['stats'], photos())

def head_learner(seed, train, valid, bs=16, feats=None):
    "A Learner of a linear head alone, on features"
    feats, y = features() if feats is None else feats, files()[1]
    def dl(idxs, **kwargs): return TfmdDL([(feats[i], y[i]) for i in idxs], num_workers=0, device=torch.device('cpu'), **kwargs)
    dls = DataLoaders(dl(train, bs=bs, shuffle=True, drop_last=True), dl(valid, bs=256), device=torch.device('cpu'))
    set_seed(seed)
    return Learner(dls, linear_head(feats.shape[1], BREEDS, False), CrossEntropyLossFlat(), metrics=error_rate)

def with_head(seed, train, valid, bs=16):
    "A Learner on photos whose head was trained alone for ten epochs, as the chapter does first; its error then"
    head = head_learner(seed, train, valid, bs)
    quiet(head, 'fit_one_cycle', 10, 1e-2)
    learn = learner(seed, train, valid, bs)
    learn.model[1].load_state_dict(head.model.state_dict())
    return learn, measured(head)['error']

# effects: each takes a seed and a setting, and gives one result or several
def batchnorm(seed, bs, statistics, epochs, lr):
    learn = learner(seed, *split(seed), bs, head='fastai', train_bn=statistics == 'moving, weights learned')
    if statistics == 'kept': learn.add_cb(FixedStats())
    quiet(learn, 'fit_one_cycle', epochs, lr)
    return measured(learn)

def rates(seed, layers, lr, epochs):
    if layers == 'head only': learn = head_learner(seed, *split(seed))
    else:
        learn = learner(seed, *split(seed))
        learn.unfreeze()
    quiet(learn, 'fit_one_cycle', epochs, lr)
    return measured(learn)

def ratios(seed, way, epochs, lr):
    learn, before = with_head(seed, *split(seed))
    if way == 'head only': return dict(error=before)
    learn.unfreeze()
    ratio = 1 if way == 'one rate' else float(way.removeprefix('ratio '))
    quiet(learn, 'fit_one_cycle', epochs, slice(lr/ratio, lr) if ratio > 1 else lr)
    return measured(learn)

def unfreeze(seed, stages, epochs, lr):
    learn, before = with_head(seed, *split(seed))
    if not stages: return dict(error=before)
    learn.freeze_to(-1-stages)
    quiet(learn, 'fit_one_cycle', epochs, slice(lr/10, lr))
    return measured(learn)

# the table: function, settings that vary, settings of all, what is measured
def grid(**options):
    "All combinations of settings, as dictionaries"
    return [dict(zip(options, values)) for values in itertools.product(*options.values())]

MEASURES = dict(
    batchnorm=(batchnorm, grid(bs=[16, 64], statistics=['kept', 'moving', 'moving, weights learned']), dict(epochs=3, lr=1e-2),
               'A frozen body under the head of the chapter: its batch norm statistics kept, moving, or moving with its batch norm '
               'weights learned, as fastai does'),
    rates=(rates, grid(layers=['head only', 'all layers'], lr=[1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.]), dict(epochs=3, bs=16),
           'One cycle at one highest rate, from a random head: the head alone, or all layers at once'),
    ratios=(ratios, grid(way=['head only', 'one rate', 'ratio 10', 'ratio 100', 'ratio 1000']), dict(epochs=3, bs=16, lr=3e-3),
            'All layers trained after the head, at one rate or at rates that rise from the first stage to the head by a ratio'),
    unfreeze=(unfreeze, grid(stages=[0, 1, 2, 4, 6]), dict(epochs=3, bs=16, lr=3e-3),
              'How many of six stages of the body are trained with the head, counted from the head, after the head was trained alone'))

# running
def versions():
    return dict(python=platform.python_version(), torch=torch.__version__, fastai=fastai.__version__, timm=timm.__version__)

def device():
    found = re.search(r'model name\s*: (.+)', Path('/proc/cpuinfo').read_text()) if Path('/proc/cpuinfo').exists() else None
    return found[1].strip() if found else platform.processor() or platform.machine()

def about(name, what, fixed, seeds):
    return dict(what=what, photos=f'Oxford-IIIT Pets, {BREEDS} breeds, {SIZE} pixels', n_train=BREEDS*7, n_valid=BREEDS*VALID,
                seeds=seeds, device=device(), threads=torch.get_num_threads(), versions=versions(),
                command=f'python tests/bench/effects.py {name}', seconds=0., settings=fixed)

def measure(name, file, seeds, func, settings, fixed, what):
    "Measure what is not in the file yet, and write the file after each row"
    result = dict(about=about(name, what, fixed, seeds), rows=[])
    if file.exists():
        old = json.loads(file.read_text(encoding='utf-8'))
        if old['about']['settings'] == fixed: result['rows'], result['about']['seconds'] = old['rows'], old['about']['seconds']
    done = {json.dumps([row['seed'], {k: row.get(k) for k in settings[0]}]) for row in result['rows']}
    for seed in seeds:
        for setting in settings:
            if json.dumps([seed, setting]) in done: continue
            start, cpu = time.perf_counter(), time.process_time()
            found = func(seed=seed, **setting, **{k: v for k, v in fixed.items() if k in signature(func).parameters})
            spent = dict(seconds=round(time.perf_counter()-start, 2), cpu_seconds=round(time.process_time()-cpu, 2))
            for one in found if isinstance(found, list) else [found]: result['rows'].append(dict(seed=seed, **setting, **one, **spent))
            result['about']['seconds'] = round(result['about']['seconds']+spent['seconds'], 1)
            write_whole(file, (json.dumps(result, indent=1) + '\n').encode())
            print(name, result['rows'][-1], flush=True)
    return result

def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('names', nargs='+', choices=MEASURES)
    parser.add_argument('--seeds', type=int, default=5)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--results', type=Path, default=ROOT/'nbs/results')
    parser.add_argument('--plot', type=Path, help='draw the file that is there, and measure nothing')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    for name in args.names:
        if args.plot:
            plot_effect(name).savefig(args.plot)
            print(effect_line(name))
        else: measure(name, args.results/f'{name}.json', list(range(args.seeds)), *MEASURES[name])

if __name__ == '__main__': main()
