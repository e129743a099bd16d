"""The chapter's ideas measured on real photos, one file of numbers for each: nbs/results/NAME.json, which `pet_breeds.effects` draws.

    python tests/bench/effects.py NAME ... [--seeds 5] [--results DIR] [--plot FILE.png] [--threads 1]

Photos: `$PET_BREEDS_SHARED/pets` and `pets_more`, or those of ../shared: 36 of each of 37 breeds, decoded once. A seed decides the
split (the same for every setting of an effect, so settings are paired), the weights of the head, the order and the augmentations. The
file is written after each row, and a row that is there is not measured again; other settings of the whole effect start a new file.
Unless an effect says otherwise the body is tf_efficientnet_lite0 with ImageNet weights and a linear head, and its batch norm statistics
stay as they came. What is frozen is computed once: for the head alone the features of the whole photos, for the last three stages of
the body what the first four make of each photo and of its mirror image.
"""
import argparse, itertools, json, os, platform, random, re, sys, time
from copy import deepcopy
from functools import cache
from inspect import signature
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
SHARED = Path(os.environ.get('PET_BREEDS_SHARED', ROOT.parent/'shared'))

from pet_breeds.batches import PhotoBlock, photo_block
from pet_breeds.core import write_whole
from pet_breeds.labels import name_label
from pet_breeds.model import FixedStats, linear_head, make_learner, make_model
from pet_breeds.photos import find_photos, read_photo
from pet_breeds.precision import mixed_precision
from pet_breeds.training import cross_validate, find_lr
from pet_breeds.warp import Prep
from pet_breeds.weights import find_weights
import cv2, fastai, numpy as np, timm, torch
from fastai.callback.channelslast import ChannelsLast
from fastai.callback.schedule import minimum, slide, steep, valley
from fastai.vision.all import (Callback, CancelFitException, CancelValidException, CategoryBlock, CrossEntropyLossFlat, DataLoaders, Datasets,
                               IndexSplitter, IntToFloatTensor, L, Learner, TensorCategory, TensorImage, TfmdDL, aug_transforms, error_rate,
                               params, set_seed, trainable_params)
from sklearn.linear_model import LogisticRegression

LITE0, STORED, SIZE, BREEDS, VALID, BS = 'tf_efficientnet_lite0', 128, 96, 37, 7, 16
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

def loaders(train, valid, bs=BS, size=SIZE):
    "fastai's loaders with the chapter's augmentations"
    x, y = photos(max(STORED, size*STORED//SIZE)), files()[1]
    sets = Datasets(range(len(x)), [[lambda i: TensorImage(x[i])], [lambda i: TensorCategory(y[i])]], splits=(L(*train), L(*valid)))
    dls = sets.dataloaders(bs=bs, val_bs=64, num_workers=0, device=torch.device('cpu'),
                           after_batch=[IntToFloatTensor(), *aug_transforms(size=size, min_scale=.75)])
    dls.c = BREEDS
    return dls

# Learners
def learner(seed, train, valid, bs=BS, head='linear', arch=LITE0, weights='auto', size=SIZE, **kwargs):
    "A Learner on photos, frozen if pretrained"
    set_seed(seed)
    dls = loaders(train, valid, bs, size)
    return make_learner(dls, arch, weights, head, loss_func=CrossEntropyLossFlat(), cbs=ChannelsLast(), **kwargs)

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

@cache
def body_of(arch, weights, size):
    "A pretrained body for photos of a size, and what its photos are normalized with"
    model, meta = make_model(arch, BREEDS, find_weights(arch, weights), size, 'linear')
    return model[0].eval().to(memory_format=torch.channels_last), [torch.tensor(s).view(3, 1, 1) for s in meta['stats']]

def resized(x, size):
    "Photos, uint8, as numbers from 0 to 1, in a size"
    x = x.float()/255
    return x if x.shape[-1] == size else torch.nn.functional.interpolate(x, (size, size), mode='bilinear', antialias=True)

@torch.no_grad()
def feats_of(x, size, arch=LITE0, weights='auto'):
    "Features of photos, uint8, averaged over the grid: (n, features)"
    body, (mean, std) = body_of(arch, weights, size)
    out = torch.cat([body((resized(part, size)-mean)/std) for part in x.split(32)])
    return out.mean((2, 3)) if out.ndim == 4 else out

@cache
@torch.no_grad()
def stage_features(size):
    "Features of all photos after each of seven stages, averaged over the grid, and those of the whole body"
    body, kept = body_of(LITE0, 'auto', size)[0], {f'{i+1}': [] for i in range(7)}
    hooks = [block.register_forward_hook(lambda _, args, out, to=to: to.append(out.mean((2, 3)))) for block, to in zip(body.blocks, kept.values())]
    last = feats_of(photos(max(STORED, size)), size)
    for hook in hooks: hook.remove()
    return {name: torch.cat(parts) for name, parts in kept.items()} | {'all': last}

@cache
def features(size=SIZE, arch=LITE0, weights='auto'):
    "Features of all photos, whole, (n, features)"
    return stage_features(size)['all'] if arch == LITE0 else feats_of(photos(max(STORED, size)), size, arch, weights)

def learner_on(seed, model, train, valid, bs, splitter=trainable_params, **kwargs):
    "A Learner on numbers that were computed before: `train` and `valid` are lists of inputs and targets"
    set_seed(seed)
    device = torch.device('cpu')
    dls = DataLoaders(TfmdDL(train, bs=bs, shuffle=True, drop_last=True, num_workers=0, device=device),
                      TfmdDL(valid, bs=256, num_workers=0, device=device), device=device)
    return Learner(dls, model, CrossEntropyLossFlat(), splitter=splitter, metrics=error_rate, **kwargs)

def head_learner(seed, train, valid, bs=64, feats=None):
    "A Learner of a new linear head alone"
    feats, y = features() if feats is None else feats, files()[1]
    set_seed(seed)
    return learner_on(seed, linear_head(feats.shape[1], BREEDS, False), *([(feats[i], y[i]) for i in idxs] for idxs in (train, valid)), bs)

def upper(arch_body):
    "The last three of seven stages, each a parameter group before that of the head: 95% of the body's weights"
    b = arch_body
    return torch.nn.Sequential(b.blocks[4], b.blocks[5], torch.nn.Sequential(b.blocks[6], b.conv_head, b.bn2), b.global_pool)

@cache
@torch.no_grad()
def lower():
    "What the first four stages make of all photos, and of them mirrored: (2, n, channels, height, width)"
    body, (mean, std) = body_of(LITE0, 'auto', SIZE)
    first = torch.nn.Sequential(body.conv_stem, body.bn1, body.blocks[:4])
    return torch.stack([torch.cat([first((resized(part, SIZE)-mean)/std).contiguous() for part in view.split(32)])
                        for view in (photos(), photos().flip(-1))])

class Mirrored:
    "Training items: the plain photo or its mirror image, by chance"
    def __init__(self, idxs): self.idxs = idxs
    def __len__(self): return len(self.idxs)
    def __getitem__(self, i): return lower()[random.randrange(2), self.idxs[i]], files()[1][self.idxs[i]]

@cache
def trained_head(seed, each):
    "A head that was trained alone for ten epochs, as the chapter does first, and its error"
    alone = head_learner(seed, *split(seed, each))
    quiet(alone, 'fit_one_cycle', 10, 1e-2)
    return alone.model, measured(alone)['error']

def last_stages(seed, each, head=None):
    "A Learner of the last three stages and of a head, unfrozen; the head is `trained_head` unless given"
    train, valid = split(seed, each)
    body, head = upper(deepcopy(body_of(LITE0, 'auto', SIZE)[0])), deepcopy(head or trained_head(seed, each)[0])
    known = [(lower()[0, i], files()[1][i]) for i in valid]
    return learner_on(seed, torch.nn.Sequential(body, head), Mirrored(train), known, BS, lambda m: L(*m[0][:3], m[1]).map(params),
                      cbs=[FixedStats(), ChannelsLast()])

# effects: each takes a seed and a setting, and gives one result or several
def batchnorm(seed, bs, statistics, each, epochs, lr):
    learn = learner(seed, *split(seed, each), bs, head='fastai', train_bn=statistics == 'moving, weights learned')
    if statistics == 'kept': learn.add_cb(FixedStats())
    quiet(learn, 'fit_one_cycle', epochs, lr)
    return measured(learn)

def rates(seed, layers, lr, each, epochs):
    if layers == 'head only': learn, epochs = head_learner(seed, *split(seed, each)), 10*epochs
    else: learn = last_stages(seed, each)
    quiet(learn, 'fit_one_cycle', epochs, lr)
    return measured(learn)

def ratios(seed, way, each, epochs, lr):
    if way == 'head only': return dict(error=trained_head(seed, each)[1])
    learn, ratio = last_stages(seed, each), 1 if way == 'one rate' else float(way.removeprefix('ratio '))
    quiet(learn, 'fit_one_cycle', epochs, slice(lr/ratio, lr) if ratio > 1 else lr)
    return measured(learn)

def unfreeze(seed, stages, each, epochs, lr):
    if not stages: return dict(error=trained_head(seed, each)[1])
    learn = last_stages(seed, each)
    learn.freeze_to(-1-stages)
    quiet(learn, 'fit_one_cycle', epochs, slice(lr/100, lr))
    return measured(learn)

RULES = dict(valley=valley, steep=steep, slide=slide) | {'minimum/10': minimum}

def finder(seed, each, epochs):
    "Each rule's rate on one curve of the finder, for the head alone, and the error after training at that rate"
    lrs, losses, ours = find_lr(head_learner(seed, *split(seed, each)), show_plot=False)
    shown = [torch.tensor(x[10:-5]) for x in (lrs, losses)] # as `lr_find` leaves them out
    picks = {rule: float(f(*shown, 100)[0]) for rule, f in RULES.items()} | {'last descending': ours.last_descending}
    return [dict(rule=rule, lr=lr, **rates(seed, 'head only', lr, each, epochs)) for rule, lr in picks.items() if lr]

class StopAt(Callback):
    "End the training after some epochs, as early stopping may"
    def __init__(self, epochs): self.epochs = epochs
    def after_epoch(self):
        if self.epoch+1 >= self.epochs: raise CancelFitException

def schedules(seed, layers, schedule, each, epochs):
    if layers == 'head only': learn, lr, epochs = head_learner(seed, *split(seed, each)), 1e-2, 10*epochs
    else: learn, lr = last_stages(seed, each), 1e-3
    if schedule == 'flat': quiet(learn, 'fit', epochs, lr)
    elif schedule == 'one cycle': quiet(learn, 'fit_one_cycle', epochs, lr)
    else: quiet(learn, 'fit_one_cycle', 2*epochs, lr, cbs=[StopAt(epochs)])
    return measured(learn)

def regression(feats, idxs, y=None):
    return LogisticRegression(max_iter=1000).fit(feats[idxs], (files()[1] if y is None else y)[idxs])

def error_of(head, feats, idxs): return 1-float(head.score(feats[idxs], files()[1][idxs]))

def head_of(probe):
    "A linear head of a regression"
    head = linear_head(probe.coef_.shape[1], BREEDS, False)
    with torch.no_grad():
        for to, values in zip(head[-1].parameters(), (probe.coef_, probe.intercept_)): to.copy_(torch.tensor(values))
    return head

def photos_a_breed(seed, way, photos, epochs, lr):
    train, valid = split(seed, photos)
    if way == 'from scratch':
        learn = learner(seed, train, valid, 32, arch='drawnet', weights='none', size=64)
        quiet(learn, 'fit_one_cycle', max(1, round(60*32/len(train))), 3e-3)
        return measured(learn)
    feats = features(arch='drawnet') if way == 'head on drawn pets' else features()
    probe = regression(feats, train)
    if way != 'fine-tuned': return dict(error=error_of(probe, feats, valid))
    learn = last_stages(seed, photos, head_of(probe))
    quiet(learn, 'fit_one_cycle', epochs, slice(lr/100, lr))
    return measured(learn)

def noise(seed, wrong, each, size):
    "Labels planted wrong; the most doubtful photos, by cross-validation, are looked at and set right"
    (train, valid), y, rng, feats = split(seed, each), files()[1].clone(), np.random.default_rng(1000+seed), features(size)
    planted = rng.choice(train, round(wrong*len(train)), replace=False)
    y[planted] = (y[planted]+torch.tensor(rng.integers(1, BREEDS, len(planted)))) % BREEDS
    acts = cross_validate((feats[train].numpy(), y[train].numpy()), np.arange(len(train)), BREEDS, seed=seed)
    doubt, rows = acts[torch.arange(len(train)), y[train]].argsort(), []
    for checked in (0, .05, .1):
        looked = train[doubt[:round(checked*len(train))].numpy()]
        y[looked] = files()[1][looked]
        rows.append(dict(checked=checked, found=float(np.isin(planted, looked).mean()), error=error_of(regression(feats, train, y), feats, valid)))
    return rows

def views_of(x):
    "Eight views of photos: whole and mirrored, the inner 72% and mirrored, and four corners that keep 72%"
    n = x.shape[-1]
    small = round(n*.85)
    far, mid = n-small, (n-small)//2
    def crop(top, left): return x[..., top:top+small, left:left+small]
    corners = [crop(0, 0), crop(0, far).flip(-1), crop(far, 0).flip(-1), crop(far, far)]
    return [x, x.flip(-1), crop(mid, mid), crop(mid, mid).flip(-1), *corners]

def views(seed, each, size):
    train, valid = split(seed, each)
    head, y = regression(features(size), train), files()[1][valid].numpy()
    probs = np.stack([head.predict_proba(feats_of(view, size)) for view in views_of(photos(max(STORED, size))[valid])])
    return [dict(views=n, error=float((probs[:n].mean(0).argmax(1) != y).mean())) for n in (1, 2, 4, 8)]

def depth(seed, body, each, size):
    train, valid = split(seed, each)
    feats = features(size, 'mobilenet_v2', MOBILENET) if body == 'mobilenet' else stage_features(size)[body]
    feats = (feats-feats[train].mean(0))/(feats[train].std(0)+1e-6)
    return dict(error=error_of(regression(feats, train), feats, valid))

PRESIZING = {'at the final size': ('stock', 1), 'presized': ('stock', 460/224), 'composed': ('composed', 460/224)} # item size over size

def presizing(seed, size, way, photos, epochs):
    "A head fitted on augmented views, and milliseconds of processor time that a view took"
    found, y = files()
    own, numbers = np.array([f.parents[1].name == 'pets' for f in found]), np.arange(len(found)) # of their original shape
    rng = np.random.default_rng(seed)
    train = np.concatenate([rng.permutation(numbers[own & (y.numpy() == breed)])[:photos] for breed in range(BREEDS)])
    left = np.setdiff1d(numbers, train)
    valid = np.concatenate([rng.permutation(left[y[left].numpy() == breed])[:VALID] for breed in range(BREEDS)])
    how, ratio = PRESIZING[way]
    set_seed(seed)
    block = PhotoBlock((photo_block(Prep(how, round(size*ratio), size)), CategoryBlock(vocab=list(range(BREEDS)))), get_x=lambda i: found[i],
                       get_y=lambda i: int(y[i]), splitter=IndexSplitter([0]))
    dls = block.dataloaders(list(train)+[train[0]], bs=BREEDS, num_workers=0, device=torch.device('cpu'))
    spent, views = 0., []
    for _ in range(epochs):
        before = time.process_time()
        batches = [(x.as_subclass(torch.Tensor), t.as_subclass(torch.Tensor)) for x, t in dls.train]
        spent += time.process_time()-before
        views += [(feats_of((x*255).round().byte(), size), t) for x, t in batches]
    feats, targ = (torch.cat(parts) for parts in zip(*views))
    head = LogisticRegression(max_iter=1000).fit(feats, targ)
    return dict(error=error_of(head, features(size), valid), ms=1000*spent/len(feats))

def saved_bytes(learn):
    "What a training step keeps for its way back"
    sizes, x = {}, learn.dls.train.one_batch()[0]
    def keep(t):
        sizes[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t
    own = {p.untyped_storage().data_ptr() for p in learn.model.parameters()}
    learn.model.train()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t): out = learn.model(x)
    return sum(size for place, size in sizes.items() if place not in own)/len(x)

def precision(seed, precision, each, epochs, lr):
    learn = last_stages(seed, each)
    mixed_precision(learn, precision)
    before = time.process_time()
    quiet(learn, 'fit_one_cycle', epochs, slice(lr/10, lr))
    ms = 1000*(time.process_time()-before)/(epochs*len(learn.dls.train)*learn.dls.train.bs)
    with torch.autocast('cpu', torch.bfloat16, enabled=precision == 'bf16'): MB = saved_bytes(learn)/1e6
    return dict(ms=ms, MB=MB, **measured(learn))

@cache
def chapter_head(seed, each, bs, size):
    "The state of the chapter's model after three epochs of its head, where its tables D, E and F begin"
    learn = learner(seed, *split(seed, each), bs, 'fastai', size=size)
    quiet(learn, 'fit_one_cycle', 3, 3e-3)
    return deepcopy(learn.model.state_dict())

CHAPTER = dict(A=('fine_tune', 2), B=('fine_tune', 1, .1), C=('fine_tune', 2, 3e-3), D=None, E=('fit_one_cycle', 6, 1e-5),
               F=('fit_one_cycle', 12, slice(1e-6, 1e-4)), G=('fine_tune', 6, 2e-3, 3)) # what is called for each of its tables

def chapter(seed, table, each, bs, size):
    train, valid = split(seed, each)
    if table == 'fitted head': return dict(error=error_of(regression(features(size), train), features(size), valid))
    learn = learner(seed, train, valid, bs, 'fastai', size=size)
    if table in 'DEF':
        learn.model.load_state_dict(chapter_head(seed, each, bs, size))
        learn.unfreeze()
    if call := CHAPTER[table]: quiet(learn, *call)
    return measured(learn)

# the table: function, settings that vary, settings of all, what is measured
def grid(**options):
    "All combinations of settings, as dictionaries"
    return [dict(zip(options, values)) for values in itertools.product(*options.values())]

MEASURES = dict(
    batchnorm=(batchnorm, grid(bs=[16], statistics=['kept', 'moving', 'moving, weights learned']), dict(each=7, epochs=3, lr=1e-2),
               'A frozen body under the head of the chapter: its batch norm statistics kept, moving, or moving with its batch norm '
               'weights learned, as fastai does'),
    rates=(rates, grid(layers=['head only'], lr=[1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.]) + grid(layers=['last stages'], lr=[1e-5, 1e-4, 1e-3, 1e-2]), dict(each=15, epochs=1, bs=BS, head_bs=64),
           'One cycle with one highest rate: ten epochs for a new head alone, or one for the last three stages of the body and that head'),
    finder=(finder, [{}], dict(each=15, epochs=1, bs=BS, head_bs=64),
            'The rate that each rule reads from a curve of the finder for a new head alone, and the error after ten epochs at that rate'),
    ratios=(ratios, grid(way=['head only', 'one rate', 'ratio 10', 'ratio 100', 'ratio 1000']), dict(each=7, epochs=1, bs=BS, head_bs=64, lr=1e-3),
            'One epoch for the last three stages of the body and a trained head, at one rate or at rates that rise up to the head by a ratio'),
    unfreeze=(unfreeze, grid(stages=[0, 1, 2, 3]), dict(each=7, epochs=1, bs=BS, head_bs=64, lr=1e-3),
              'How many of the last stages of the body are trained for an epoch with a trained head'),
    schedules=(schedules, grid(layers=['head only'], schedule=['one cycle', 'flat', 'stopped early']),
               dict(each=7, epochs=1, bs=BS, head_bs=64),
               'Equal steps for a new head alone by three schedules: one cycle, one rate all the time, and a cycle of twice the length that is stopped halfway'),
    photos=(photos_a_breed, grid(way=['head on drawn pets', 'fitted head', 'fine-tuned', 'from scratch'], photos=[4, 7, 15, 29]),
            dict(each=[4, 29], epochs=1, bs=BS, head_bs=64, lr=1e-4),
            'Photos of a breed to train on: a small network from scratch (60 steps of 32 photos of 64 pixels), heads fitted on the bodies of '
            'drawn pets and of ImageNet, and the second one trained on for an epoch with the last three stages'),
    chapter=(chapter, grid(table=[*CHAPTER, 'fitted head']), dict(each=29, bs=64, size=224),
             "The calls of the book's tables A to G, all with the body of the others and the head of the chapter; D is three epochs of the "
             'head, and E and F go on from there; and a head that is fitted to the features of the same photos'),
    noise=(noise, grid(wrong=[.05, .1]), dict(each=29, size=160),
           'Labels planted wrong in the training set; a cross-validated model names the most doubtful photos, which are looked at and set right'),
    views=(views, [{}], dict(each=29, size=128), 'Probabilities averaged over views of each validation photo, under one fitted head'),
    depth=(depth, grid(body=['1', '2', '3', '4', '5', '6', '7', 'all', 'mobilenet']), dict(each=15, size=SIZE),
           'A fitted head on the features after each stage of the body, on those of the whole body, and on those of mobilenet_v2'),
    presizing=(presizing, grid(size=[128, 224], way=list(PRESIZING)), dict(each=5, photos=5, epochs=4),
               'A head fitted on four augmented views of each photo, which are made at the final size, presized as the book does, or presized '
               'and warped once'),
    precision=(precision, grid(precision=['fp32', 'bf16']), dict(each=15, epochs=1, bs=BS, head_bs=64, lr=1e-3),
               'The last three stages trained with a trained head in float32, or under bfloat16 autocast on a CPU'))

# running
def versions():
    return dict(python=platform.python_version(), torch=torch.__version__, fastai=fastai.__version__, timm=timm.__version__)

def device():
    found = re.search(r'model name\s*: (.+)', Path('/proc/cpuinfo').read_text()) if Path('/proc/cpuinfo').exists() else None
    return found[1].strip() if found else platform.processor() or platform.machine()

def about(name, what, fixed, settings):
    each, sizes = fixed['each'], sorted({s.get('size', fixed.get('size', SIZE)) for s in settings})
    n_train = [BREEDS*n for n in each] if isinstance(each, list) else BREEDS*each
    return dict(what=what, photos=f'Oxford-IIIT Pets, {BREEDS} breeds, {" and ".join(map(str, sizes))} pixels', n_train=n_train, n_valid=BREEDS*VALID,
                seeds=[], device=device(), threads=torch.get_num_threads(), versions=versions(),
                command=f'python tests/bench/effects.py {name}', seconds=0., settings=fixed)

def measure(name, file, seeds, func, settings, fixed, what):
    "Measure what is not in the file yet, and write the file after each row; returns what is in it"
    result = dict(about=about(name, what, fixed, settings), rows=[])
    if file.exists():
        old = json.loads(file.read_text(encoding='utf-8'))
        if old['about']['settings'] == fixed: result['rows'], result['about']['seconds'] = old['rows'], old['about']['seconds']
    done = [(row['seed'], {k: row[k] for k in settings[0]}) for row in result['rows']]
    takes = signature(func).parameters
    parts = [list(part) for _, part in itertools.groupby(settings, lambda setting: setting.get('layers', setting.get('bs')))] # what is quick comes first
    for seed, setting in (todo for part in parts for todo in itertools.product(seeds, part)):
        if (seed, setting) in done: continue
        start, cpu = time.perf_counter(), time.process_time()
        found = func(seed=seed, **setting, **{k: v for k, v in fixed.items() if k in takes})
        spent = dict(seconds=round(time.perf_counter()-start, 2), cpu_seconds=round(time.process_time()-cpu, 2))
        result['rows'] += [dict(seed=seed, **setting, **one, **spent) for one in (found if isinstance(found, list) else [found])]
        result['about']['seconds'] = round(result['about']['seconds']+spent['seconds'], 1)
        result['about']['seeds'] = sorted({row['seed'] for row in result['rows']})
        write_whole(file, (json.dumps(result, indent=1) + '\n').encode())
        print(name, result['rows'][-1], flush=True)
    return result

def draw(name, file):
    from pet_breeds.effects import effect_line, plot_effect
    plot_effect(name).savefig(file)
    print(effect_line(name))

def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('names', nargs='+', choices=MEASURES, metavar='NAME', help=', '.join(MEASURES))
    parser.add_argument('--seeds', type=int, default=5)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--results', type=Path, default=ROOT/'nbs/results')
    parser.add_argument('--plot', type=Path, metavar='FILE.png', help='draw what is there, and measure nothing')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if not args.plot: photos()
    for name in args.names:
        if args.plot: draw(name, args.plot)
        else: measure(name, args.results/f'{name}.json', list(range(args.seeds)), *MEASURES[name])

if __name__ == '__main__': main()
