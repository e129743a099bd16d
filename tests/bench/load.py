"""Many photos: seconds and memory of what a run does with them, as their number grows; and one training by two processes.

    python tests/bench/load.py [--photos 1000 10000 100000] [--predictions 500 5000] [--parts photos,head,copies,predict,torchrun]
                               [--json FILE] [--size 64] [--train-photos 800] [--train-size 128] [--bs 64] [--rounds 3] [--epochs 3]

`--photos 100 200 --predictions 100 200 --train-photos 200 --train-size 64 --bs 32 --rounds 1 --epochs 1` tries everything in a few
minutes.

Each stage with each number of photos is a fresh process, which goes through the stage with 185 photos to warm up, and then prepares what
the stage needs, untimed. `seconds` are wall time, `cpu_s` is processor time. MB is how far the peak of its resident memory rises above
what it was then (on other systems than Linux above the peak so far, which hides some). An exponent is the ratio of the logarithms, of
seconds over numbers of photos, from the row above: 1 is linear, 2 quadratic; `cpu_exponent` is that of processor time, the steadier one
on a busy machine. `us_each` and `MB_each` are microseconds and MB over photos.

photos: the files are stand-ins: JPEGs of noise, 64 pixels a side, filled up to one size with bytes that readers ignore: all files have
the same size, which is the slowest case for the search for copies. `find` lists them, `label` also labels them, `check` decodes them all
and looks for what is wrong with each and between them. `near_copies` is a part of `check`, once more by itself: the search for photos
that look alike. `split` parts them, `loaders` makes the loaders, which split again. head: `features` takes them through the body of
drawnet, with the weights that are shipped, at `--size` pixels; `regression` fits the head to these features; `steps` is how many steps
it took, and `fitted` the share of these photos that it then gets right. Both get all the photos; a run holds a part out. Here the
stand-ins are crops of 370 drawn photos, mirrored, dimmed and with noise: a regression takes as many steps as its photos ask for. copies:
`check`, where all files are the same. predict: `--predictions` photos of noise by a model of drawnet at its usual size.

torchrun: drawnet from scratch on drawn photos, four fifths of `--train-photos`, in float32, with `--bs` photos in a batch, of all processes
together. A way is started anew in each round, trains an epoch to warm up and then `--epochs`, of which the median counts; ways in turn
after a round to warm up; medians of the rounds. `loader`: photos are decoded and warped for each epoch, as a run does without a cache;
`one_batch`: the same batch again and again, so the network and what the processes exchange are all there is. The loader has a thread for
each core that its process may use, beside the threads of the network: one process with one thread keeps more than one core busy, as
`cores` tells, the seconds of processor time in a second; `1 core` may use only one for both. In `2 processes, alone` none waits for the
other: they exchange neither gradients nor statistics. A ratio is the median of the rounds' ratios of photos a second.
"""
import argparse, io, json, os, subprocess, sys, time
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from loss import peak_mb # imports nothing large: a stage has only what it needs

# stand-ins
def jpeg(pixels):
    "A file of 8,192 bytes"
    from PIL import Image
    buf = io.BytesIO()
    Image.fromarray(pixels).save(buf, 'JPEG', quality=50)
    return buf.getvalue().ljust(8192, b'\0')

def noise(i):
    "A photo of noise, 64 pixels a side, another one for each number `i`"
    import numpy as np
    return np.random.default_rng(i).integers(0, 256, (64, 64, 3), dtype=np.uint8)

def crops(folder):
    "A function like `noise`: crops of drawn photos of 37 breeds, ten of each"
    from PIL import Image
    from training import drawn_table
    import numpy as np
    breeds = [[np.asarray(Image.open(f).resize((96, 96))) for f in rows.file] for _, rows in drawn_table(370, folder).groupby('label')]
    def crop(i):
        rng = np.random.default_rng(i)
        (x, y), photo = rng.integers(0, 33, 2), breeds[i % 37][rng.integers(10)]
        dimmed = photo[y:y+64, x:x+64, :][:, ::rng.choice([-1, 1])]*rng.uniform(.6, 1.2)
        return (dimmed + rng.integers(-20, 21, (64, 64, 3))).clip(0, 255).astype(np.uint8)
    return crop

def make(folder, n, pixels):
    "`n` stand-ins of 37 breeds"
    folder.mkdir()
    for i in range(n): (folder/f'breed{i%37}_{i}.jpg').write_bytes(jpeg(pixels(i)))
    return folder

# stages: each prepares, yields what is timed, gets what that returned, and may return more figures
def find(folder, args):
    from pet_breeds.photos import find_photos
    find_photos(folder) # once for the system's own memory of folders
    yield partial(find_photos, folder)

def label(folder, args):
    from pet_breeds.inventory import photo_table
    table = yield partial(photo_table, folder)
    assert table.label.nunique() == 37

def check(folder, args):
    from pet_breeds.inventory import photo_table
    from pet_breeds.photos import check_photos
    problems = yield partial(check_photos, photo_table(folder), progress=False)
    assert not len(problems)

def near_copies(folder, args):
    from pet_breeds.copies import near_copies as search, photo_hash
    from pet_breeds.inventory import photo_table
    from pet_breeds.photos import MIN_SIDE, read_photo
    table = photo_table(folder)
    hashes = [photo_hash(read_photo(f, MIN_SIDE)) for f in table.file]
    pairs, mirrored = yield partial(search, hashes, list(table.label))
    assert not len(pairs) and not mirrored

def split(folder, args):
    from pet_breeds.inventory import photo_table
    from pet_breeds.splits import stratified_split
    table = photo_table(folder)
    train, valid = yield partial(stratified_split, list(table.file), list(table.label), groups=range(len(table)))
    assert len(train)+len(valid) == len(table)

def loaders(folder, args):
    from pet_breeds.data import pets_dls
    from pet_breeds.inventory import photo_table
    table = photo_table(folder)
    dls = yield partial(pets_dls, table.assign(group=range(len(table))), args.bs, 'cpu', size=args.size)
    assert dls.train.n+dls.valid.n == len(table)

def features(folder, args):
    "Its learner is made from few photos: the body is the same"
    from pet_breeds.data import pets_dls
    from pet_breeds.features import body_features
    from pet_breeds.inventory import photo_table
    from pet_breeds.model import make_learner
    import numpy as np
    table = photo_table(folder)
    few = table.groupby('label').head(5)
    learn = make_learner(pets_dls(few, 16, 'cpu', val_bs=args.bs, size=args.size), 'drawnet', head='linear')
    feats, targ = yield partial(body_features, learn, table)
    np.savez(folder.with_suffix('.npz'), feats=feats, targ=targ)

def regression(folder, args):
    from pet_breeds.training import _regression
    import numpy as np
    found = np.load(folder.with_suffix('.npz'))
    feats, targ = found['feats'], found['targ']
    fitted = yield partial(_regression, feats, targ, False)
    return dict(steps=int(fitted.n_iter_[0]), fitted=float(fitted.score(feats, targ)))

def copies(folder, args):
    from pet_breeds.photos import check_photos, find_photos
    files = find_photos(folder)
    problems = yield partial(check_photos, files, progress=False)
    assert len(problems) == len(files)-1

def predict(folder, args):
    from pet_breeds.data import pets_dls
    from pet_breeds.model import default_size, make_learner
    from pet_breeds.photos import find_photos
    from pet_breeds.predict import predict_pets
    from pet_breeds.saving import save_model
    files = find_photos(folder)
    with TemporaryDirectory() as model:
        save_model(make_learner(pets_dls(folder, size=default_size('drawnet')), 'drawnet', 'none'), model)
        preds, bad = yield partial(predict_pets, model, [folder])
    assert len(preds) == len(files) and not len(bad)

PARTS = dict(photos=(find, label, check, near_copies, split, loaders), head=(features, regression), copies=(copies,), predict=(predict,))
STAGES = {stage.__name__: stage for part in PARTS.values() for stage in part}

def forget_peak():
    "Only Linux can"
    with suppress(OSError): Path('/proc/self/clear_refs').write_text('5')

def run_stage(stage, folder, args):
    "Seconds and MB of a stage in this process, and what else it says"
    steps = stage(folder, args)
    work = next(steps)
    forget_peak()
    before, start, used = peak_mb(), time.perf_counter(), time.process_time()
    result = work()
    seconds, cpu, peak = time.perf_counter()-start, time.process_time()-used, peak_mb()
    try: steps.send(result)
    except StopIteration as end: return dict(seconds=seconds, cpu_s=cpu, MB=peak-before, **(end.value or {}))

# numbers
def child(what, args, *folders, launcher=(), **env):
    "What a fresh process, or several, say of a stage or of a way to train"
    options = [word for name in OPTIONS for word in (f"--{name.replace('_', '-')}", str(getattr(args, name)))]
    command = [sys.executable, *launcher, __file__, *options, '--child', what, *map(str, folders)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ | env)
    return json.loads(done.stdout.splitlines()[-1])

def growth(rows):
    "A table of stages; the exponents, from the row above, and what a photo takes"
    import numpy as np, pandas as pd
    table = pd.DataFrame(rows)
    table['stage'] = pd.Categorical(table.stage, list(STAGES))
    table = table.sort_values(['stage', 'n'], ignore_index=True)
    before = table.groupby('stage', observed=True)[['n', 'seconds', 'cpu_s']].shift()
    for name, took in dict(exponent='seconds', cpu_exponent='cpu_s').items():
        table[name] = np.log(table[took]/before[took])/np.log(table.n/before.n)
    table['us_each'], table['MB_each'] = 1e6*table.seconds/table.n, table.MB/table.n
    return table

def measure(part, numbers, args, tmp):
    "All stages of a part, with each number of photos"
    from presize import show
    pixels = crops(tmp) if part == 'head' else (lambda i: noise(0)) if part == 'copies' else noise
    rows = []
    for n in sorted(numbers):
        with TemporaryDirectory(dir=tmp) as folder:
            photos = [make(Path(folder)/name, k, pixels) for name, k in dict(few=185, photos=n).items()]
            rows += [dict(stage=stage.__name__, n=n, **child(stage.__name__, args, *photos)) for stage in PARTS[part]]
        print(f'{part} {n:,}: ' + ', '.join(f"{row['stage']} {row['seconds']:.3g} s" for row in rows if row['n'] == n), flush=True)
    table = growth(rows)
    show(part, table.set_index(['stage', 'n']), 4)
    out = dict(rows=json.loads(table.to_json(orient='records')))
    if part != 'photos': return out
    near, checked = (table[table.stage == stage].set_index('n').seconds for stage in ('near_copies', 'check'))
    print('near_copies over check: ' + ', '.join(f'{n:,}: {share:.3f}' for n, share in (near/checked).items()))
    return out | dict(near_copies_over_check=(near/checked).to_dict())

# two processes
ONE, THREADS, TWO, ALONE = '1 process, 1 thread', '1 process, 2 threads', '2 processes', '2 processes, alone'
FIGURES = 'epoch_s', 'per_s', 'cores' # seconds an epoch, photos a second, processor seconds a second
WAYS = [*(['1 core'] if hasattr(os, 'sched_setaffinity') else []), ONE, THREADS, TWO, ALONE]

def feeds(alone):
    "Callbacks for each way to feed the network"
    from fastai.vision.all import Callback
    class FixedBatch(Callback):
        "The first of the loader, again and again; of a share where `distributed` has made the loader one"
        order, batches = 12, ()
        def before_train(self):
            self.batches = self.batches or [next(iter(self.dl))]*len(self.dl)
            self.learn.dl = self.batches
    class Alone(Callback):
        "No exchange, as in `no_sync` of PyTorch"
        order = 12
        def before_fit(self): self.model.require_backward_grad_sync = self.model.require_forward_param_sync = False
    own = [Alone()] if alone else []
    return dict(loader=own, one_batch=[FixedBatch(), *own])

def train(way, folder, args):
    "Print the figures of one way for both feeds, in this process or in this one and another"
    if way == '1 core': os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    from pet_breeds.distributed import as_one, distributed
    from pet_breeds.model import make_learner
    from pet_breeds.precision import mixed_precision
    from pet_breeds.training import Meter, memory_kept
    from fastai.torch_core import num_distrib
    from presize import epoch_of
    from training import batches, drawn_table
    import numpy as np
    with as_one(), memory_kept():
        table = drawn_table(args.train_photos, folder)
        learn = make_learner(batches(table, 0, args.bs, .2, 'composed', args.train_size), 'drawnet', 'none')
        mixed_precision(learn, 'fp32')
        epoch, out = epoch_of(learn), {}
        with distributed(learn):
            for feed, cbs in feeds(way == ALONE).items():
                runs = []
                for _ in range(args.epochs+1):
                    used = time.process_time()
                    with Meter(learn) as meter, learn.added_cbs(cbs): epoch()
                    used = (time.process_time()-used)*max(1, num_distrib())
                    runs.append((meter.seconds, meter.photos/meter.seconds, used/meter.seconds))
                out[feed] = dict(zip(FIGURES, np.median(runs[1:], 0).tolist()), photos=meter.photos)
        print(json.dumps(out))

def start(way, folder, args):
    "One way in processes of its own"
    launcher = '-m torch.distributed.run --standalone --nproc_per_node 2'.split() if way in (TWO, ALONE) else []
    return child(way, args, folder, launcher=launcher, OMP_NUM_THREADS='2' if way == THREADS else '1', CUDA_VISIBLE_DEVICES='')

def torchrun(args, tmp):
    from pet_breeds.core import cores
    from presize import in_turn, show
    from training import drawn_table
    import numpy as np, pandas as pd
    drawn_table(args.train_photos, tmp)
    rows = [[said for said, _ in row] for row in in_turn({way: partial(start, way, tmp, args) for way in WAYS}, args.rounds)]
    table = pd.DataFrame(dict(photos=[said['loader']['photos'] for said in rows[0]]), WAYS)
    values = {feed: {name: np.array([[said[feed][name] for said in row] for row in rows]) for name in FIGURES} for feed in rows[0][0]}
    def ratio(way, feed, base, to=None): # to another feed
        rate, other = values[feed]['per_s'], values[to or feed]['per_s']
        return np.median(rate[:, WAYS.index(way)]/other[:, WAYS.index(base)])
    for feed in values:
        for name in FIGURES: table[f'{feed}_{name}'] = np.median(values[feed][name], 0)
        table[f'{feed}_ratio'], table[f'{feed}_ratio_threads'] = ([ratio(way, feed, base) for way in WAYS] for base in (ONE, THREADS))
    show(f'torchrun: drawnet in float32, {args.train_size} px, bs {args.bs}, median of {args.rounds} rounds of {args.epochs} epochs; seconds an '
         f'epoch,\nphotos a second, cores that are busy, ratio to {ONE}, ratio to {THREADS}', table.T, 2)
    limits = dict(alone=ratio(ALONE, 'one_batch', ONE), exchange=ratio(TWO, 'one_batch', ALONE), most=cores()/table.loader_cores[ONE],
                  loader_one=ratio(ONE, 'loader', ONE, 'one_batch'), loader_two=ratio(TWO, 'loader', TWO, 'one_batch'),
                  first=ratio(TWO, 'loader', WAYS[0]))
    print('one batch: two processes that exchange nothing do {alone:.2f} times what one does; the exchange leaves {exchange:.2f} of that\n'
          'loader: it leaves {loader_one:.2f} of the rate of one process, {loader_two:.2f} of that of two; all cores are {most:.2f} times '
          'what one process keeps busy;\ntwo processes do {first:.2f} times what {way} does'.format(**limits, way=WAYS[0]))
    return dict(rounds=args.rounds, epochs=args.epochs, table=table.to_dict('index'), limits=limits, runs=rows)

OPTIONS = dict(size=64, train_photos=800, train_size=128, bs=64, rounds=3, epochs=3)

def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--photos', type=int, nargs='+', default=[1000, 10_000, 100_000])
    parser.add_argument('--predictions', type=int, nargs='+', default=[500, 5000])
    parser.add_argument('--parts', default=','.join([*PARTS, 'torchrun']))
    parser.add_argument('--json', type=Path)
    for name, default in OPTIONS.items(): parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default)
    parser.add_argument('--child', nargs='+', help=argparse.SUPPRESS)
    return parser.parse_args()

def main():
    args = arguments()
    if args.child:
        what, *folders = args.child[0], *map(Path, args.child[1:])
        if what in WAYS: return train(what, *folders, args)
        return print(json.dumps([run_stage(STAGES[what], folder, args) for folder in folders][-1]))
    from presize import about
    result = about() | dict(waiting=os.environ.get('OMP_WAIT_POLICY')) | {name: getattr(args, name) for name in OPTIONS}
    print(result)
    with TemporaryDirectory() as tmp:
        for part in args.parts.split(','):
            numbers = args.predictions if part == 'predict' else args.photos
            result[part] = torchrun(args, Path(tmp)) if part == 'torchrun' else measure(part, numbers, args, Path(tmp))
            if args.json: args.json.write_text(json.dumps(result, indent=1) + '\n', encoding='utf-8')

if __name__ == '__main__': main()
