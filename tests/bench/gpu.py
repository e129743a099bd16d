"""What a GPU makes of training: loading, epochs in each precision, errors after equal steps, and the chapter's effects at full size.

    python tests/bench/gpu.py --json FILE [--minutes 12] [--photos DIR ...] [--arch NAME] [--weights FILE] [--seeds 3] [--rounds 2]
                              [--parts loading,steps,errors,compiled,effects] [--n 3700] [--size 224] [--bs 64] [--workers 8,16]
                              [--data DIR]

It needs the repo alone: it draws its photos. With `--photos`, folders of real photos, it takes those (repeated up to `--n` for loading
and steps) and measures the effects as well, from the weights of `--arch`: those at hand, or `--weights`.

The same command goes on where it stopped: FILE is written after each measurement, what is there is not measured again, and a run that is
killed loses one measurement at most. A FILE of another device, size, number of photos or version of torch is refused. A measurement that
does not fit into `--minutes` any more (it takes as long as the longest of its kind so far; before the first, a guess for an H200 counts)
is listed as left out, and the next one is looked at. One that fails is listed with its error. The next run tries both again. Drawn photos
and caches stay in `--data` (default: `pet_breeds_gpu` in the folder for temporary files), where the next run finds them.

`--device cpu --n 74 --size 64 --bs 8 --rounds 1 --workers 1,2 --archs drawnet --error-n 74 --error-size 32 --error-epochs 1 --effect-n 74
--seeds 1 --parts loading,steps,errors,effects` tries nearly everything on a CPU in a few minutes (compiling takes more). There fp16 is
listed as failed, since the package refuses it; the book's recipe runs in float32; memory is not measured.

A clock is read after the device has done all its work. Ways in turn after a round to warm up, medians of `--rounds`; a ratio is the median
of the rounds' ratios. Error: mean and standard error (se) over seeds; a difference is from the first line of its table, paired by seed.

loading: an epoch of the train loader (80% of the photos), normalized batches on the device: stock fastai with each number of `--workers`,
and ours, photos decoded once and kept on the device; `ratio` is a way's epoch over ours. `first_s` is what comes before ours: photos are
decoded (unless an earlier run kept them) and copied to the device, where they take `photos_GB`.
steps: training epochs without validation, random weights, each of `--archs` in float32, fp16 and bf16, with channels_last and without,
from ours. `book` is the first of `--archs` with stock presizing, most `--workers` and fastai's `to_fp16`. Beside each the limit, the same
model fed one batch as often: `of_limit` is the limit's epoch over that with the loader; 1 says that the loader costs nothing. `times`:
photos a second over those in float32 without channels_last. `peak_GB`: what training adds to what was allocated before, photos left out.
Float32 is as PyTorch has it: `tf32` says whether its convolutions and matrix products use TensorFloat-32.
compiled: the fastest of these, body and head compiled by torch.compile; `compile_s` is what its first epoch takes longer.
errors: on validation photos after equal steps (`--error-epochs`, batches of 32, at most `--error-n` photos) in each precision, and with the
book's recipe: drawnet from scratch, `--error-size` pixels; with `--photos` and weights, `fine_tune` of `--arch` at `--size` pixels.
effects: (a) `rates`: error over one cycle's highest rate, three epochs of a new linear head alone or one of all layers from a trained
head, and `finder`: the rates that the rules of `suggest` read for both; (b) `ratios`: that head, then an epoch of all layers at one rate,
or with the body's rate divided by 10, 100 or 1000; (f) `precision`: seconds, memory and error of such an epoch. As in effects.py, but the
whole network learns, on augmented photos of `--size` pixels: at most `--effect-n`, batches of 16, batch norm's statistics kept.
"""
import time
START = time.perf_counter()
import argparse, gc, json, os, sys, tempfile, traceback
from copy import deepcopy
from functools import lru_cache, partial
from pathlib import Path

from effects import BS, LITE0, grid, measured, quiet
from presize import about, epoch_of, one_batch, processor_name, quietly, show, sweep, timed
from training import alternate, batches, drawn_table, few
from pet_breeds.core import one_line, write_whole
from pet_breeds.data import photo_table
from pet_breeds.model import make_learner
from pet_breeds.precision import mixed_precision
from pet_breeds.training import find_lr
from pet_breeds.weights import find_weights
import numpy as np, pandas as pd, torch
from fastai.callback.channelslast import ChannelsLast
from fastai.torch_core import set_seed

PRECISIONS = ['fp32', 'fp16', 'bf16']
SETTINGS = 'n size bs rounds workers error_n error_size error_epochs effect_n'.split() # what one file has one value of
LR, HEAD_LR, HEAD_EPOCHS, SCRATCH_LR = 1e-3, 1e-2, 3, 3e-3
END = 10 # seconds for tables and the end of the process

# photos
def repeated(table, n):
    "`n` rows: some of the table, or all of them as often as needed"
    return few(table, n) if n <= len(table) else pd.concat([table]*-(-n//len(table)), ignore_index=True)[:n]

class Bench:
    "What the measurements share: options, photos, and the loaders made last"
    def __init__(self, args, table): self.args, self.table = args, table

    @lru_cache(maxsize=4)
    def loaders(self, n=None, bs=None, size=None, seed=0, workers=None):
        "Stock ones with `workers`, else ours, photos on the device already"
        args = self.args
        how = dict(presize='stock', workers=workers) if workers else dict(presize='composed', cache=args.data/'cache')
        dls = quietly(batches, repeated(self.table, n or args.n), seed, bs or args.bs, .2, size=size or args.size,
                      device=torch.device(args.device), **how)
        if not workers:
            for dl in dls.loaders:
                dl.resident = True
                dl.one_batch() # copies them
        return dls

    def some(self, n): return min(n, len(self.table))

def in_precision(learn, recipe, precision, channels_last=True):
    "The Learner, from now on in a precision: the book's by fastai's own callback"
    if recipe == 'book': return learn.to_fp16() if precision == 'fp16' else learn
    mixed_precision(learn, precision)
    if not channels_last: learn.remove_cb(ChannelsLast)
    return learn

def book_precision(args): return 'fp16' if args.device.startswith('cuda') else 'fp32' # fastai's callback is for CUDA

def memory(f, *args):
    "What `f` returns, and GB that it adds at its peak to what was allocated before: None without a card"
    if not torch.cuda.is_available(): return f(*args), None
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    return f(*args), (torch.cuda.max_memory_allocated()-before)/1e9

# loading
def loading(bench):
    def normalized(dls): return make_learner(dls, 'drawnet', 'none').dls.train
    dls, first = timed(bench.loaders)
    loaders = {f'stock, {n} workers': normalized(bench.loaders(workers=n)) for n in bench.args.workers} | dict(ours=normalized(dls))
    seconds = alternate({name: partial(sweep, dl) for name, dl in loaders.items()}, bench.args.rounds)
    wall, cpu = np.median(seconds, 0).T
    n, ratio = len(dls.train)*dls.train.bs, np.median(seconds[..., 0]/seconds[:, -1:, 0], 0)
    table = pd.DataFrame(dict(epoch_s=wall, cpu_s=cpu, photos_per_s=n/wall, ratio=ratio), list(loaders))
    photos_GB = sum(photo.nbytes for photo, *_ in dls.train.kept)/1e9
    return dict(n=n, ways=table.to_dict('index'), first_s=first[0], photos_GB=photos_GB, seconds=seconds.tolist())

# steps
def trained_epochs(learn, rounds, compiled):
    "Seconds of epochs, (rounds, 2): with the loader, and with one batch; and of the first one with one batch, if compiled"
    fed, fixed, epoch = learn.dls, one_batch(learn).dls, epoch_of(learn)
    def epoch_with(dls):
        learn.dls = dls
        return epoch()
    ways = {'loader': partial(epoch_with, fed), 'one batch': partial(epoch_with, fixed)}
    if compiled:
        for part in learn.model: part.compile() # not the whole, whose `forward` `HalfPrecision` replaces for each batch
    first = timed(ways['one batch'])[1][0] if compiled else None
    return alternate(ways, rounds)[..., 0], first

def steps(bench, arch, recipe, precision, channels_last, compiled):
    args = bench.args
    dls = bench.loaders(workers=max(args.workers)) if recipe == 'book' else bench.loaders()
    def run(): return trained_epochs(in_precision(make_learner(dls, arch, 'none'), recipe, precision, channels_last), args.rounds, compiled)
    (seconds, first), peak_GB = memory(run)
    epoch_s, limit_s = np.median(seconds, 0)
    n_steps, of_limit = len(dls.train), np.median(seconds[:, 1]/seconds[:, 0])
    return dict(epoch_s=epoch_s, photos_per_s=n_steps*args.bs/epoch_s, steps_per_s=n_steps/epoch_s, limit_steps_per_s=n_steps/limit_s,
                of_limit=of_limit, peak_GB=peak_GB, compile_s=first-limit_s if compiled else None, seconds=seconds.tolist())

# errors
def errors(bench, seed, recipe, precision):
    args = bench.args
    real = args.photos and find_weights(args.arch, args.weights)
    arch, weights, size = (args.arch, args.weights, args.size) if real else ('drawnet', 'none', args.error_size)
    dls = bench.loaders(bench.some(args.error_n), min(32, args.bs), size, seed, max(args.workers) if recipe == 'book' else None)
    set_seed(seed)
    learn = in_precision(make_learner(dls, arch, weights), recipe, precision)
    fit = ('fine_tune', args.error_epochs) if learn.weights else ('fit_one_cycle', args.error_epochs, SCRATCH_LR)
    _, seconds = timed(quiet, learn, *fit)
    return dict(arch=arch, epochs=args.error_epochs, steps=len(dls.train)*args.error_epochs, **measured(learn), seconds=seconds[0])

# effects
def pretrained(bench, seed):
    "A Learner of a pretrained body, frozen, and a new linear head"
    dls = bench.loaders(bench.some(bench.args.effect_n), BS, seed=seed)
    set_seed(seed)
    return make_learner(dls, bench.args.arch, bench.args.weights, 'linear')

@lru_cache(maxsize=1)
def trained_head(bench, seed):
    "The state of a model whose head was trained alone, and its error"
    learn = pretrained(bench, seed)
    quiet(learn, 'fit_one_cycle', HEAD_EPOCHS, HEAD_LR)
    return deepcopy(learn.model.state_dict()), measured(learn)['error']

def unfrozen(bench, seed):
    "A Learner that goes on from there with all layers"
    learn = pretrained(bench, seed)
    learn.model.load_state_dict(trained_head(bench, seed)[0])
    learn.unfreeze()
    return learn

def rates(bench, seed, layers, lr):
    head = layers == 'head only'
    learn = pretrained(bench, seed) if head else unfrozen(bench, seed)
    quiet(learn, 'fit_one_cycle', HEAD_EPOCHS if head else 1, lr)
    return measured(learn)

def finder(bench, seed, layers):
    "The rate that each rule reads from the curve, None where it has no answer"
    return find_lr((pretrained if layers == 'head only' else unfrozen)(bench, seed), show_plot=False)[2]._asdict()

def ratios(bench, seed, way):
    if way == 'head only': return dict(error=trained_head(bench, seed)[1])
    learn, ratio = unfrozen(bench, seed), 1 if way == 'one rate' else float(way.removeprefix('ratio '))
    quiet(learn, 'fit_one_cycle', 1, slice(LR/ratio, LR) if ratio > 1 else LR)
    return measured(learn)

def precision(bench, seed, precision):
    learn = in_precision(unfrozen(bench, seed), 'ours', precision)
    (_, seconds), peak_GB = memory(timed, quiet, learn, 'fit_one_cycle', 1, slice(LR/10, LR))
    return dict(seconds=seconds[0], peak_GB=peak_GB, **measured(learn))

# what is measured, in this order: kind and setting; a kind's function, and a guess of its seconds on an H200
KINDS = dict(loading=(loading, 60), steps=(steps, 25), errors=(errors, 30), compiled=(steps, 120), finder=(finder, 12), rates=(rates, 8),
             precision=(precision, 12), ratios=(ratios, 12))

def plan_steps(args, rows):
    book = dict(arch=args.archs[0], recipe='book', precision=book_precision(args), channels_last=False, compiled=False)
    for way in [book, *grid(arch=args.archs, recipe=['ours'], precision=PRECISIONS, channels_last=[True, False], compiled=[False])]:
        yield 'steps', way

def plan_compiled(args, rows):
    "For each architecture the fastest way that was measured"
    for arch in args.archs:
        if done := [row for row in rows.get('steps', []) if (row['arch'], row['recipe']) == (arch, 'ours')]:
            fastest = max(done, key=lambda row: row['photos_per_s'])
            yield 'compiled', {k: fastest[k] for k in ('arch', 'recipe', 'precision', 'channels_last')} | dict(compiled=True)

def plan_errors(args, rows):
    for seed in range(args.seeds):
        for way in grid(recipe=['ours'], precision=PRECISIONS) + [dict(recipe='book', precision=book_precision(args))]:
            yield 'errors', dict(seed=seed, **way)

def plan_effects(args, rows):
    layers, lrs = ['head only', 'all layers'], [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.]
    settings = dict(finder=grid(layers=layers), rates=grid(layers=layers, lr=lrs), precision=grid(precision=PRECISIONS),
                    ratios=grid(way=['head only', 'one rate', 'ratio 10', 'ratio 100', 'ratio 1000']))
    for seed in range(args.seeds):
        for kind, ways in settings.items(): yield from ((kind, dict(seed=seed, **way)) for way in ways)

def plan_loading(args, rows): yield 'loading', {}

PARTS = dict(loading=plan_loading, steps=plan_steps, errors=plan_errors, compiled=plan_compiled, effects=plan_effects)

# running
def why_not(part, args):
    "Why a part can't be measured at all, if so"
    if part != 'effects': return
    if not args.photos: return 'no --photos'
    if not find_weights(args.arch, args.weights): return f'no weights of {args.arch} at hand: give --weights'

def tried(func, bench, setting):
    "What one measurement finds, and the seconds it took; or one line on how it failed"
    try: found, seconds = timed(partial(func, bench, **setting))
    except Exception as e:
        traceback.print_exc()
        return dict(failed=one_line(f'{type(e).__name__}: {e}', 300))
    finally: # memory for the next one
        if setting.get('compiled'): torch.compiler.reset()
        gc.collect()
        torch.cuda.empty_cache()
    return found | dict(took_s=seconds[0])

def seconds_of(found, setting, guess):
    "How long a measurement may take: as the longest before it of this recipe and these layers, else of its kind, else a guess"
    alike = [row for row in found if all(row[k] == setting[k] for k in ('recipe', 'layers') if k in setting)]
    return max((row['took_s'] for row in alike or found), default=guess)

def measure(bench, result, write):
    "Measure what is not in `result` yet and fits into the minutes; `write` it after each"
    args, rows = bench.args, result['rows']
    for part in args.parts:
        if why := why_not(part, args): result['left_out'].append(dict(kind=part, why=why))
        for kind, setting in [] if why else PARTS[part](args, rows):
            (func, guess), found = KINDS[kind], rows.setdefault(kind, [])
            if any({k: row[k] for k in setting} == setting for row in found): continue
            needed = seconds_of(found, setting, guess)
            if needed > (left := 60*args.minutes-END-spent()):
                result['left_out'].append(dict(kind=kind, **setting, why=f'takes about {needed:.0f} s, {max(left, 0):.0f} s were left'))
            else:
                row = tried(func, bench, setting)
                if 'failed' in row: result['failed'].append(dict(kind=kind, **setting, why=row['failed']))
                else: found.append(setting | row)
                said = row.get('failed') or ', '.join(f'{k} {v:.4g}' for k, v in row.items() if isinstance(v, (int, float)))
                print(f"{kind} {', '.join(map(str, setting.values()))}: {said}", flush=True)
            write()

def spent(): return time.perf_counter()-START

# tables
def steps_table(rows):
    table = pd.DataFrame(rows).drop(columns=['seconds', 'took_s']).set_index(['arch', 'recipe', 'precision', 'channels_last', 'compiled'])
    plain = {row['arch']: row['photos_per_s'] for row in rows
             if [row[name] for name in table.index.names[1:]] == ['ours', 'fp32', False, False]}
    return table.assign(times=table.photos_per_s/[plain.get(arch, np.nan) for arch in table.index.get_level_values('arch')])

def errors_table(rows, names):
    "Mean error of each setting, and paired differences from the first one; medians of what else was measured"
    table = pd.DataFrame(rows)
    runs = table.pivot_table('error', 'seed', names, sort=False)
    diff = runs.sub(runs.iloc[:, 0], axis=0)
    out = pd.DataFrame(dict(n=runs.count(), error=runs.mean(), se=runs.sem(), difference=diff.mean(), difference_se=diff.sem()))
    more = [name for name in ('seconds', 'peak_GB') if name in table and table[name].notna().all()]
    return out.join(table.groupby(names)[more].median()) if more else out

NAMES = dict(errors=['recipe', 'precision'], rates=['layers', 'lr'], ratios=['way'], precision=['precision'])

def tables(rows):
    "A table for each kind that has rows"
    if rows.get('loading'): yield 'loading', pd.DataFrame(rows['loading'][0]['ways']).T
    if found := rows.get('steps', []) + rows.get('compiled', []): yield 'steps', steps_table(found)
    if rows.get('finder'): yield 'finder', pd.DataFrame(rows['finder']).drop(columns='took_s').set_index(['layers', 'seed']).sort_index()
    for kind, names in NAMES.items():
        if rows.get(kind): yield kind, errors_table(rows[kind], names)

# the file
def settings_of(args, table):
    "What all results of a file have in common"
    cuda = args.device.startswith('cuda')
    same = {name: getattr(args, name) for name in SETTINGS}
    return dict(device=torch.cuda.get_device_name(args.device) if cuda else processor_name(), torch=torch.__version__,
                photos='real' if args.photos else 'drawn', n_photos=len(table), arch=args.arch, weights=Path(args.weights).name, **same)

def started(file, settings):
    "What the file holds already. Ends with one line if that was measured otherwise"
    result = json.loads(file.read_text('utf-8')) if file.exists() else dict(settings=settings, rows={}, runs=[])
    before = result['settings']
    if odd := [f'{k} {before.get(k)}, not {v}' for k, v in settings.items() if before.get(k) != v]:
        print(f"{file.name} holds results of {'; '.join(odd)}: give another --json", file=sys.stderr)
        sys.exit(2)
    return result | dict(about=about() | gpu_facts(), failed=[], left_out=[])

def gpu_facts():
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    return dict(cuda=torch.version.cuda, cudnn=cudnn.version(), cudnn_benchmark=cudnn.benchmark,
                tf32=dict(convolutions=cudnn.allow_tf32, products=matmul.allow_tf32))

def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    def words(text): return text.split(',')
    def numbers(text): return [int(word) for word in words(text)]
    parser.add_argument('--json', type=Path, required=True)
    parser.add_argument('--photos', type=Path, nargs='+', default=[])
    parser.add_argument('--data', type=Path, default=Path(tempfile.gettempdir())/'pet_breeds_gpu')
    parser.add_argument('--minutes', type=float, default=12)
    parser.add_argument('--device', default='cuda')
    parser.add_argument('--parts', type=words, default=list(PARTS))
    parser.add_argument('--archs', type=words, default=['resnet50', LITE0], help='for steps')
    parser.add_argument('--arch', default=LITE0, help='for effects, and for errors on real photos')
    parser.add_argument('--weights', default='auto', help="of --arch: 'auto', those at hand, or a file")
    parser.add_argument('--workers', type=numbers, default=[8, 16])
    counts = dict(seeds=3, rounds=2, n=3700, size=224, bs=64, error_n=1480, error_size=128, error_epochs=8, effect_n=1332)
    for name, default in counts.items(): parser.add_argument(f'--{name.replace("_", "-")}', type=int, default=default)
    args = parser.parse_args()
    if args.device.startswith('cuda') and not torch.cuda.is_available(): parser.error('no CUDA device here; --device cpu tries everything')
    return args

def main():
    args = arguments()
    table = (pd.concat([photo_table(folder)[['file', 'label']] for folder in args.photos], ignore_index=True) if args.photos else
             drawn_table(max(args.n, args.error_n), args.data))
    result = started(args.json, settings_of(args, table))
    result['runs'].append(0.)
    print(f"{result['about']}\n{result['settings']}", flush=True)
    def write():
        result['runs'][-1] = round(spent(), 1)
        write_whole(args.json, (json.dumps(result, indent=1) + '\n').encode())
    with tempfile.TemporaryDirectory() as compiled:
        os.environ['TORCHINDUCTOR_CACHE_DIR'] = compiled # what an earlier run compiled would make `compile_s` short
        measure(Bench(args, table), result, write)
    result['tables'] = {}
    for kind, found in tables(result['rows']):
        show(f"{kind}: {result['settings']['device']}", found, 4)
        result['tables'][kind] = json.loads(found.reset_index().to_json(orient='records'))
    for what in ('failed', 'left_out'):
        for one in result[what]: print(f'{what}: {one}')
    write()

if __name__ == '__main__': main()
