"""The composed warp beside the book's presizing: speed, fidelity, pixel statistics and training.

    python tests/bench/presize.py [--photos DIR] [--json FILE] [--parts speed,fidelity,pixels,training] [--rounds 5]
                                  [--n N] [--seeds 5] [--epochs 8] [--workers N] [--device cuda] [--item 460] [--size 224]

Photos: `--photos`, else the real ones of `$PET_BREEDS_SHARED/pets` or `../shared/pets`, else drawn ones; a sample of at most 370
(120 for fidelity, 740 for training) unless `--n` says how many.

speed: the whole train loader (bs 64, all photos but one in it), ways in turn, after a sweep each to warm up. Processor time: user and
system, of this process and its children. A ratio is the median of the rounds' ratios of processor time, stock's over ours; stock is
the cheaper of no workers and `--workers`, both with PyTorch's own number of threads, and beside it stands stock with one thread.
fidelity: PSNR within 4 pixels of the edge, and gradient (RMS of differences between neighbors in luma) over the reference's, which is
a float64 warp of the original photo at 6 x 6 points in each pixel's footprint, cubic or linear, without lighting; stock is fastai's
own code given the same draws. pixels: mean and standard deviation of train batches, 0 to 1, not normalized. training: same seed,
split, model and steps each way, no workers; real photos at 128 pixels with a frozen body, or drawn ones at 96. An error is the
standard error of a mean.
"""
import argparse, contextlib, io, itertools, json, os, platform, random, resource, sys, tempfile, time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from concurrent.futures import ThreadPoolExecutor
from functools import partial

from pet_breeds.batches import PhotoBlock, cache_photos, photo_block
from pet_breeds.core import cores
from pet_breeds.labels import name_label
from pet_breeds.model import make_learner
from pet_breeds.photos import find_photos, read_photo
from pet_breeds.presize import presize
from pet_breeds.sources import get_pets, is_drawn
from pet_breeds.warp import Prep, crop_box, draw_augs, no_augs, to_pixels, warp, warp_matrices
import cv2, fastai, numpy as np, pandas as pd, PIL, scipy, simplejpeg, torch
from fastai.vision.all import (Callback, CancelValidException, CategoryBlock, DataLoaders, Flip, GetAttr, IndexSplitter,
                               IntToFloatTensor, Normalize, PILImage, Pipeline, RandomResizedCropGPU, Rotate, TensorImage, Warp,
                               Zoom, compose_tfms, image2tensor, imagenet_stats, set_seed, setup_aug_tfms)
from scipy.ndimage import map_coordinates, spline_filter

SHARED = Path(os.environ.get('PET_BREEDS_SHARED', ROOT.parent/'shared'))
WEIGHTS = SHARED/'weights/mobilenet_v2_imagenet.pth'
TOP = 'stock composed composed_cached ratio_composed ratio_cached psnr_ gradient_'.split()

# photos and loaders
def sample(files, most, seed=0):
    "At most `most` files, drawn without order, given in order"
    return sorted(random.Random(seed).sample(list(files), min(most, len(files))))

def loaders(files, way, args, valid=(0,), bs=64, normalize=True, **kwargs):
    "`way` is 'stock', 'composed', or a folder: composed from the cache in it"
    cached = isinstance(way, Path)
    photos = photo_block(Prep('composed' if cached else way, args.item, args.size), way if cached else False)
    norm = [Normalize.from_stats(*imagenet_stats, cuda=False)] if normalize else []
    block = PhotoBlock((photos, CategoryBlock(vocab=sorted({name_label(f) for f in files}))), get_y=name_label,
                       splitter=IndexSplitter(list(valid)), batch_tfms=norm)
    kwargs = dict(num_workers=0, device=torch.device('cpu')) | kwargs
    return block.dataloaders(files, bs=min(bs, len(files)-len(valid)), **kwargs).to(kwargs['device'])

def quietly(f, *args, **kwargs):
    with contextlib.redirect_stdout(io.StringIO()): return f(*args, **kwargs)

@contextlib.contextmanager
def torch_threads(n):
    before = torch.get_num_threads()
    torch.set_num_threads(n or before)
    try: yield
    finally: torch.set_num_threads(before)

# time
def processor():
    "Seconds of user and of system time so far, of this process and of its children that have ended"
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return np.array([sum(u.ru_utime for u in uses), sum(u.ru_stime for u in uses)])

def timed(f, *args):
    "What `f` returns, and seconds: wall, user, system"
    before, start = processor(), time.perf_counter()
    out = f(*args)
    if torch.cuda.is_available(): torch.cuda.synchronize()
    return out, np.array([time.perf_counter()-start, *(processor()-before)])

def sweep(dl): return sum(len(b[0]) for b in dl)

def in_turn(ways, rounds):
    "Every way once in each round, after a round to warm up; who begins changes. Yields (what it returned, seconds) of each way"
    names = list(ways)
    for r in range(rounds+1):
        first = r % len(names)
        row = {name: timed(ways[name]) for name in names[first:] + names[:first]}
        if r: yield [row[name] for name in names]

def turns(ways, rounds):
    "(rounds, ways, 3) seconds a photo"
    def swept(dl, threads):
        with torch_threads(threads): return sweep(dl)
    ways = {name: partial(swept, *way) for name, way in ways.items()}
    return np.array([[seconds/n for n, seconds in row] for row in in_turn(ways, rounds)])

def speed_table(names, seconds):
    "Medians over rounds, and of ratios of processor time: stock's, without or with workers, whichever is cheaper, to each way's"
    cpu, ms = seconds[..., 1:].sum(-1), 1000*np.median(seconds, 0)
    base, one = np.median(cpu[:, :2], 0).argmin(), names.index('stock, 1 thread')
    table = pd.DataFrame(dict(per_s=1000/ms[:, 0], wall_ms=ms[:, 0], cpu_ms=1000*np.median(cpu, 0), user_ms=ms[:, 1], sys_ms=ms[:, 2],
                              ratio=np.median(cpu[:, [base]]/cpu, 0), least=np.min(cpu[:, [base]]/cpu, 0),
                              ratio_1_thread=np.median(cpu[:, [one]]/cpu, 0)), names)
    return table, names[base]

def speed(args, files, tmp):
    cache, build = timed(quietly, cache_photos, files, args.item, tmp/'speed', False)
    ways = {'stock': (loaders(files, 'stock', args).train, 0),
            f'stock, {args.workers} workers': (loaders(files, 'stock', args, num_workers=args.workers).train, 0),
            'stock, 1 thread': (loaders(files, 'stock', args).train, 1),
            'composed': (loaders(files, 'composed', args).train, 0),
            'composed_cached': (loaders(files, tmp/'speed', args).train, 0)}
    table, base = speed_table(list(ways), turns(ways, args.rounds))
    show(f'speed: n={len(files)}, median of {args.rounds} rounds, milliseconds a photo, ratio to {base!r}', table, 2)
    size = cache.file.stat().st_size/1e6
    print(f'the cache: {size:,.0f} MB, built in {build[0]:.1f} s ({build[1:].sum():.1f} s of processor time)')
    per_s, ratio = table.per_s, table.ratio
    return dict(stock=per_s[base], composed=per_s.composed, composed_cached=per_s.composed_cached, ratio_composed=ratio.composed,
                ratio_cached=ratio.composed_cached, base=base, ways=table.to_dict('index'), n=len(files), rounds=args.rounds,
                cache=dict(MB=size, build_wall_s=build[0], build_cpu_s=build[1:].sum()))

# fidelity: every picture (size, size, 3), 0 to 255
def square(photo, aug):
    left, top, side = crop_box(*photo.shape[:2], aug.crop_x, aug.crop_y)
    return photo[top:top+side, left:left+side]

def reference(photo, aug, grid, args, order, k=6):
    "One warp in float64, `k` samples each way in an output pixel, averaged; cubic (order 3) or linear (order 1)"
    sq = square(photo, aug).astype(float)
    place = (np.arange(k*args.size)+.5)/k-.5
    points = np.stack([*np.meshgrid(place, place), np.ones((k*args.size,)*2)]).reshape(3, -1)
    x, y, depth = to_pixels(grid, len(sq), args.item) @ points
    def channel(c):
        coefs = spline_filter(sq[..., c], order, mode='mirror') if order > 1 else sq[..., c]
        fine = map_coordinates(coefs, [y/depth, x/depth], order=order, mode='mirror', prefilter=False)
        return fine.reshape(args.size, k, args.size, k).mean((1, 3))
    return np.stack([channel(c) for c in range(3)], -1).clip(0, 255)

def composed(file, aug, grid, args):
    sq = square(read_photo(file, args.item), aug)
    return warp(sq, to_pixels(grid, len(sq), args.item), args.size).astype(float)

def stock_train(x, aug, args):
    "fastai's own transforms, made to draw `aug`, on a batch of one"
    affine, = setup_aug_tfms([Flip(p=1., draw=(1-aug.flip)/2), Warp(p=1., draw_x=aug.warp_x, draw_y=aug.warp_y),
                              Rotate(p=1., draw=aug.angle), Zoom(p=1., draw=aug.zoom, draw_x=aug.zoom_x, draw_y=aug.zoom_y)])
    x, side = affine(x, split_idx=0), int(round(args.item*aug.scale**.5))
    crop = RandomResizedCropGPU(args.size, min_scale=.75, ratio=(1, 1))
    crop.cp_size = side, side
    crop.tl = tuple(min(int(place*(args.item-side+1)), args.item-side) for place in (aug.scale_y, aug.scale_x))
    return crop.encodes(x)

def stock(file, aug, train, args):
    "As fastai prepares a photo, but for lighting"
    (resize,), batch_tfms = presize(args.item, args.size)
    resize.pcts = aug.crop_x, aug.crop_y
    x = IntToFloatTensor()(TensorImage(image2tensor(resize.encodes(PILImage.create(file))))[None])
    x = stock_train(x, aug, args) if train else compose_tfms(x, Pipeline(batch_tfms).fs, split_idx=1)
    return 255*x[0].permute(1, 2, 0).numpy().astype(float)

def psnr(a, b): return 10*np.log10(255**2/np.mean((a-b)[4:-4, 4:-4]**2))

def gradient(picture):
    luma = picture[4:-4, 4:-4] @ [.299, .587, .114]
    return np.sqrt(np.mean(np.diff(luma, axis=0)**2) + np.mean(np.diff(luma, axis=1)**2))

def judge(file, aug, grid, train, args):
    "Figures of one photo: {(way, figure): value}"
    photo = np.asarray(PILImage.create(file))
    refs = {name: reference(photo, aug, grid, args, order) for name, order in (('cubic', 3), ('linear', 1))}
    out = {}
    for way, picture in (('stock', stock(file, aug, train, args)), ('composed', composed(file, aug, grid, args))):
        for name, ref in refs.items():
            out[way, f'PSNR {name}'], out[way, f'gradient {name}'] = psnr(picture, ref), gradient(picture)/gradient(ref)
    return out

def fidelity_table(figures):
    rows = {}
    for way, name in figures.columns:
        row, values = rows.setdefault(way, {}), figures[way, name]
        row[name] = values.mean()
        if 'PSNR' in name: row |= {f'{name} median': values.median(), f'{name} min': values.min()}
    return pd.DataFrame(rows).T

def fidelity(args, files, tmp):
    files = [f for f in files if PIL.Image.open(f).getexif().get(0x0112, 1) < 2] # stock leaves others lying
    out = dict(n=len(files), seed=0)
    for draws, augs in (('train', draw_augs(len(files), 0)), ('valid', no_augs(len(files)))):
        grids, train = warp_matrices(augs, args.size, args.item), draws == 'train'
        with torch_threads(1), ThreadPoolExecutor(cores()) as pool:
            figures = pd.DataFrame(list(pool.map(lambda *a: judge(*a, train, args), files, augs, grids)), [f.name for f in files])
        table, better = fidelity_table(figures), figures['composed', 'PSNR cubic'] > figures['stock', 'PSNR cubic']
        worst = {way: figures[way, 'PSNR cubic'].nsmallest(3).round(2).to_dict() for way in table.index}
        show(f'fidelity, {draws} draws: n={len(files)}, seed 0, PSNR in dB, gradient over the reference\'s', table.T, 3)
        print(f'composed is nearer to the cubic reference on {better.sum()} of {len(files)} photos; worst: {worst}')
        out[draws] = table.to_dict('index') | dict(better=int(better.sum()), worst=worst)
    return out | {f'{name}_{way}{end}': out['train'][way][column] for way in ('stock', 'composed')
                  for name, end, column in (('psnr', '', 'PSNR cubic'), ('psnr', '_min', 'PSNR cubic min'), ('gradient', '', 'gradient cubic'))}

# pixels
def moments(dl):
    "Mean and standard deviation of each channel over an epoch: 6 numbers"
    mean, square = np.mean([[b[0].mean((0, 2, 3)).numpy(), b[0].square().mean((0, 2, 3)).numpy()] for b in dl], 0, dtype=float)
    return np.concatenate([mean, np.sqrt(square-mean**2)])

def pixels(args, files, tmp):
    set_seed(0)
    dls = {way: loaders(files, way, args, normalize=False).train for way in ('stock', 'composed')}
    epochs = [[moments(dl) for dl in dls.values()] for _ in range(args.epochs)]
    a, b = (pd.DataFrame(way, columns=[f'{what} {c}' for what in ('mean', 'std') for c in ('red', 'green', 'blue')])
            for way in zip(*epochs))
    table = pd.DataFrame(dict(stock=a.mean(), composed=b.mean(), difference_percent=100*(b.mean()/a.mean()-1),
                              error_percent=100*np.hypot(a.sem(), b.sem())/a.mean()))
    show(f'pixels: n={len(files)}, {args.epochs} epochs, seed 0', table, 4)
    return dict(n=len(files), epochs=args.epochs, seed=0, table=table.to_dict('index'))

# training
def task(files, tmp, args):
    "Files and settings: a pretrained body, frozen, for real photos if there are weights; else a small network from scratch, drawn photos"
    drawn = is_drawn(files[0].parent)
    if WEIGHTS.exists() and not drawn:
        return files, dict(arch='mobilenet_v2', weights=WEIGHTS, lr=1e-2), dict(item=args.item, size=min(128, args.size))
    if not drawn: files = find_photos(get_pets('drawn', data=tmp, progress=False))
    return files, dict(arch='drawnet', weights='none', lr=1e-2), dict(item=192, size=96)

def fit(seed, way, files, arch, weights, lr, args):
    "Error at the end, and seconds of wall and of processor time for the whole fit, validation too"
    set_seed(seed)
    valid = random.Random(seed).sample(range(len(files)), round(.4*len(files)))
    dls = loaders(files, way, args, valid, bs=32, device=torch.device(args.device))
    set_seed(seed)
    learn = make_learner(dls, arch, weights, train_bn=False)
    with learn.no_bar(), learn.no_logging(): _, seconds = timed(learn.fit_one_cycle, args.epochs, lr)
    return learn.recorder.values[-1][-1], seconds[0], seconds[1:].sum()

def training(args, files, tmp):
    files, model, sizes = task(files, tmp, args)
    args = argparse.Namespace(**vars(args) | sizes)
    runs = {'stock': [], 'composed': []}
    for seed in range(args.seeds):
        for way in list(runs)[::1 if seed % 2 else -1]: runs[way].append(fit(seed, way, files, **model, args=args))
        print(f'seed {seed}: ' + ', '.join(f'{way} error {run[-1][0]:.3f} in {run[-1][1]:.0f} s' for way, run in runs.items()), flush=True)
    runs = {way: pd.DataFrame(run, columns=['error_rate', 'wall_s', 'cpu_s']) for way, run in runs.items()}
    ratio = (runs['stock']/runs['composed']).median()
    runs['difference'] = runs['composed']-runs['stock']
    table = pd.DataFrame({way: dict(error_rate=run.error_rate.mean(), standard_error=run.error_rate.sem(),
                                    **run[['wall_s', 'cpu_s']].median()/args.epochs) for way, run in runs.items()}).T
    show(f"training: {model['arch']}{', frozen' if model['weights'] != 'none' else ''}, n={len(files)} (40% valid), {args.size} px, "
         f'{args.epochs} epochs, {args.seeds} seeds; seconds an epoch with validation', table, 4)
    print(f'stock over composed: wall {ratio.wall_s:.2f}, processor time {ratio.cpu_s:.2f}')
    return dict(arch=model['arch'], n=len(files), epochs=args.epochs, seeds=args.seeds, **sizes,
                table=table.to_dict('index'), errors={way: run.error_rate.tolist() for way, run in runs.items()},
                epoch_ratio_wall=ratio.wall_s, epoch_ratio_cpu=ratio.cpu_s)

# GPU
class Fixed(GetAttr):
    "One batch of a loader, as often as the loader has batches"
    _default = 'dl'
    def __init__(self, dl): self.dl, self.batch = dl, dl.one_batch()
    def __len__(self): return len(self.dl)
    def __iter__(self): return itertools.repeat(self.batch, len(self))

class TrainOnly(Callback):
    def before_validate(self): raise CancelValidException

def epoch_of(learn):
    "A function that trains for an epoch, without validation, and returns how many photos it saw"
    learn.add_cb(TrainOnly())
    def epoch():
        with learn.no_bar(), learn.no_logging(): learn.fit(1, 1e-4)
        return len(learn.dls.train)*learn.dls.train.bs
    return epoch

def one_batch(learn):
    "The same Learner, which always gets the same batch to train on"
    learn.dls = DataLoaders(Fixed(learn.dls.train), learn.dls.valid, device=learn.dls.device)
    return learn

def show(title, table, digits):
    print(f'\n{title}\n{table.to_string(float_format=lambda x: f"{x:.{digits}f}", na_rep="")}', flush=True)

def real_photos():
    "All real photos: files, labels, and which of them are of `pets`, in their own shape"
    files = [f for part in ('pets', 'pets_more') for f in sorted((SHARED/part/'images').glob('*.jpg'))]
    return files, [name_label(f) for f in files], np.array([f.parts[-3] == 'pets' for f in files])

def find(photos, tmp):
    "The folder told, else real photos if they are there, else drawn ones"
    real = SHARED/'pets'
    return photos or (real if real.is_dir() else get_pets('drawn', data=tmp, progress=False))

def processor_name():
    "Of this machine, and the ways to compute in 16 bits that it has and that `ONEDNN_MAX_CPU_ISA` leaves to it"
    try: lines = dict(line.split(':', 1) for line in Path('/proc/cpuinfo').read_text().split('\n\n')[0].splitlines())
    except (OSError, ValueError): return platform.processor()
    lines = {name.strip(): value.strip() for name, value in lines.items()}
    units = {'avx512_bf16', 'amx_bf16'}.intersection(lines.get('flags', '').split())
    return ', '.join(filter(None, [lines.get('model name', platform.processor()), *sorted(units), os.environ.get('ONEDNN_MAX_CPU_ISA')]))

def about():
    versions = {m.__name__: m.__version__ for m in (torch, fastai, cv2, PIL, simplejpeg, np, scipy)}
    return dict(versions=versions, python=platform.python_version(), machine=platform.machine(), processor=processor_name(), cpus=cores(),
                threads=torch.get_num_threads(), load=os.getloadavg(), seed=0)

def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ('photos', 'json'): parser.add_argument(f'--{name}', type=Path)
    for name, default in dict(rounds=5, n=None, seeds=5, epochs=8, workers=cores(), item=460, size=224).items():
        parser.add_argument(f'--{name}', type=int, default=default)
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    parser.add_argument('--device', default=device, help='for training')
    parser.add_argument('--parts', default='speed,fidelity,pixels,training')
    return parser.parse_args()

def main():
    args, parts = arguments(), dict(speed=speed, fidelity=fidelity, pixels=pixels, training=training)
    with tempfile.TemporaryDirectory() as tmp:
        files = find_photos(find(args.photos, Path(tmp)))
        result = about() | dict(photos='drawn' if is_drawn(files[0].parent) else 'real')
        print(result)
        for part in args.parts.split(','):
            most = args.n or dict(fidelity=120, training=740).get(part, 370)
            result[part] = parts[part](args, sample(files, most), Path(tmp))
            result |= {key: value for key, value in result[part].items() if key.startswith(tuple(TOP))}
    if args.json: args.json.write_text(json.dumps(result, indent=1) + '\n', encoding='utf-8')

if __name__ == '__main__': main()
