"""Our photo loader beside what people would pick instead: the same photos, the same augmentation, the same machine.

    python tests/bench/loaders.py [--photos DIR] [--n 512] [--rounds 3] [--workers 2] [--size 224] [--judged 32] [--json FILE]

`--n 64 --rounds 1 --judged 2` tries everything in a few minutes. Photos: `--photos` (named breed_number.jpg), else the real ones of
`$PET_BREEDS_SHARED/pets` or `../shared/pets`, else drawn ones; linked as often as needed to have `--n`. Every way makes an epoch of
training batches, 64 float32 photos of `--size` pixels, normalized, without a model: a crop of about 0.5 to 0.75 of the area for the zoom, a
flip every other time, and, three times in four each, a rotation by up to 10 degrees and lighting by up to 20%. The ways:

composed: ours without a cache, all in one resampling. composed_cached: ours from decoded photos, whose making is not in an epoch; no rival
    keeps any. Both as they are by default, with a thread for each core and no workers; ours and stock warp the perspective besides.
stock: fastai by the book, `Resize(460)` and `aug_transforms`; three resamplings (one for the photo, two for the batch).
torchvision: v2 on uint8 tensors and `decode_image`, as its notes on speed say; two resamplings, as in all that follow: crop and size, then
    the rotation at the final size, which is where it costs least. Its corners are black, where ours are mirrored.
timm: `create_loader` and `create_transform`, Pillow inside; as timm can rotate only at random among other effects, torchvision's
    `RandomRotation` is inserted before its lighting. Corners are black.
albumentations: OpenCV inside, mirrored corners, its default of bilinear sampling without a filter. albumentations_area: the same with
    `area_for_downscale='image'`, which averages where a photo shrinks.
kornia: photos decoded and cropped by torchvision in the loader, then flip, rotation and lighting of a whole batch. Corners are black.
datasets: Hugging Face's `Dataset` with `set_transform` and the transforms of torchvision, on photos that Pillow decodes.

Speed: ways in turn after a round to warm up, each in a process of its own, so that no library meets another one's threads. A rival runs
without workers and with `--workers`, which start anew at every epoch (PyTorch's default); what stands in the table is the better of the two:
`per_s`, photos a second of wall time, the higher one, and `cpu_ms`, milliseconds of processor time a photo (user and system, of the process
and its workers), the lower one. `ratio_composed` and `ratio_cached`: how many times the photos a second of a way our loader makes, without
and with a cache, `ratio_cpu` how many times the processor time of `composed` a way takes: medians of the rounds' ratios.

psnr: dB, a mean over `--judged` upright photos, and the lowest, between a photo prepared with drawn angle, zoom and flip, without lighting,
and the float64 reference of `presize.py` for the very same map, as each library defines it; inside the disc of the picture that no way fills
with what lies beyond its crop. Rivals get the zoomed square as a lossless file, by the loader that is timed, told ranges that hold one
value; ours and stock decode the JPEG. The reference averages the area of each pixel, as ours does; `psnr_tent` is measured to one that weighs
an area twice as wide by a tent, as the bilinear filters of Pillow and torchvision do where a photo shrinks.

A library that is not installed stands in the table with the command that installs it.
"""
import argparse, json, os, tempfile, warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from importlib import metadata, util
from itertools import cycle, islice
from multiprocessing import get_context, set_start_method
from pathlib import Path
from types import SimpleNamespace

from presize import (about, cache_photos, composed, cores, draw_augs, find, find_photos, in_turn, is_drawn, loaders, name_label, quietly,
                     reference, sample, show, square, stock, sweep, timed, torch_threads, warp_matrices)
import cv2, numpy as np, pandas as pd, PIL, torch
from fastai.vision.all import PILImage, imagenet_stats
from torch.utils.data import DataLoader

OURS = 'composed', 'composed_cached'
BS = 64
TRAIN = dict(scale=(.5, .75), flip=.5, degrees=(-10, 10), light=.2, p=.75)

# rivals: functions that make a loader of a folder of folders of photos; a batch begins with a tensor (n, 3, size, size)
def batches(dataset, aug, workers, **kwargs):
    return DataLoader(dataset, aug.bs, shuffle=True, drop_last=True, num_workers=workers, **kwargs)

def crop_v2(aug):
    from torchvision.transforms import v2
    return v2.RandomResizedCrop(aug.size, aug.scale, (1, 1))

def rotation_v2(aug):
    from torchvision.transforms import v2
    return v2.RandomApply([v2.RandomRotation(aug.degrees, v2.InterpolationMode.BILINEAR)], aug.p)

def tfms_v2(aug):
    from torchvision.transforms import v2
    return v2.Compose([v2.PILToTensor(), crop_v2(aug), v2.RandomHorizontalFlip(aug.flip), rotation_v2(aug),
                       v2.RandomApply([v2.ColorJitter(aug.light, aug.light)], aug.p), v2.ToDtype(torch.float32, scale=True),
                       v2.Normalize(*imagenet_stats)])

def decode_v2(file):
    from torchvision.io import decode_image
    with warnings.catch_warnings(action='ignore'): return decode_image(file, 'RGB') # torchvision wants to move it to another package

def torchvision(folder, aug, workers):
    from torchvision.datasets import ImageFolder
    return batches(ImageFolder(folder, tfms_v2(aug), loader=decode_v2), aug, workers)

def timm(folder, aug, workers):
    from timm.data import ImageDataset, create_loader
    loader = create_loader(ImageDataset(folder), aug.size, aug.bs, is_training=True, scale=aug.scale, ratio=(1, 1), hflip=aug.flip,
                           color_jitter=(aug.light, aug.light, 0), color_jitter_prob=aug.p, num_workers=workers,
                           persistent_workers=False, device=torch.device('cpu'))
    loader.dataset.transform.transforms.insert(-2, rotation_v2(aug))
    return loader

def albumentations(folder, aug, workers, area=None):
    os.environ['NO_ALBUMENTATIONS_UPDATE'] = '1' # else it looks for a newer version
    import albumentations as A
    from albumentations.pytorch import ToTensorV2
    from torchvision.datasets import ImageFolder
    if workers: cv2.setNumThreads(0) # as its documentation says
    light = -aug.light, aug.light
    tfm = A.Compose([A.RandomResizedCrop((aug.size, aug.size), aug.scale, (1, 1), area_for_downscale=area), A.HorizontalFlip(p=aug.flip),
                     A.Rotate(aug.degrees, border_mode=cv2.BORDER_REFLECT_101, p=aug.p),
                     A.RandomBrightnessContrast(light, light, p=aug.p), A.Normalize(*imagenet_stats), ToTensorV2()])
    read = partial(cv2.imread, flags=cv2.IMREAD_COLOR_RGB)
    return batches(ImageFolder(folder, lambda photo: tfm(image=photo)['image'], loader=read), aug, workers)

class Mapped:
    "A loader whose photos go through `f`, a batch at a time"
    def __init__(self, dl, f): self.dl, self.f = dl, f
    def __iter__(self): return ((self.f(x), y) for x, y in self.dl)

def kornia(folder, aug, workers):
    import kornia.augmentation as K
    from torchvision.datasets import ImageFolder
    tfm = K.AugmentationSequential(K.RandomHorizontalFlip(p=aug.flip), K.RandomRotation(aug.degrees, p=aug.p),
                                   K.ColorJiggle(aug.light, aug.light, p=aug.p), K.Normalize(*imagenet_stats), data_keys=['input'])
    dl = batches(ImageFolder(folder, crop_v2(aug), loader=decode_v2), aug, workers)
    return Mapped(dl, lambda x: tfm(x.float()/255))

def collate(items): return torch.stack([i['pixel_values'] for i in items]), torch.tensor([i['label'] for i in items])

def datasets(folder, aug, workers):
    from datasets import Dataset, Image
    files, tfm = find_photos(folder), tfms_v2(aug)
    labels = [f.parent.name for f in files]
    data = Dataset.from_dict(dict(image=list(map(str, files)), label=[sorted(set(labels)).index(l) for l in labels]))
    data = data.cast_column('image', Image())
    data.set_transform(lambda some: dict(pixel_values=[tfm(im.convert('RGB')) for im in some['image']], label=some['label']))
    return batches(data, aug, workers, collate_fn=collate)

RIVALS = dict(torchvision=torchvision, timm=timm, albumentations=albumentations, kornia=kornia, datasets=datasets,
              albumentations_area=partial(albumentations, area='image'))

def package(way): return way.removesuffix('_area')

# what runs in a process of a way
made = {}

def make(way, workers, folder, args):
    "Make the loader that `epoch` goes through; its workers are forked, which is the quickest"
    set_start_method('fork', force=True) # a spawned process spawns
    if way in RIVALS: made['loader'] = RIVALS[way](folder, SimpleNamespace(size=args.size, bs=min(BS, args.n), **TRAIN), workers)
    else:
        files = find_photos(folder) # `loaders` sets one photo aside
        made['loader'] = quietly(loaders, [files[0], *files], args.cache if way == 'composed_cached' else way, args, num_workers=workers).train

def epoch():
    "How many photos it made, and seconds: wall, user, system"
    return timed(sweep, made['loader'])

@torch.no_grad()
def picture(way, folder, aug, args):
    "The one photo in a folder as a rival prepares it, (size, size, 3), 0 to 255"
    told = dict(bs=1, scale=(1, 1), flip=float(aug.flip < 0), degrees=(-aug.angle, -aug.angle), light=0., p=1.)
    x = next(iter(RIVALS[way](folder, SimpleNamespace(size=args.size, **told), 0)))[0][0].permute(1, 2, 0).double().numpy()
    return 255*(x*imagenet_stats[1] + imagenet_stats[0])

# speed
def links(files, folder, n):
    "A folder of `n` photos in folders of their breeds, under names of their own"
    for i, file in enumerate(islice(cycle(files), n)):
        breed = folder/name_label(file)
        breed.mkdir(parents=True, exist_ok=True)
        os.symlink(file.resolve(), breed/f'{breed.name}_{i}{file.suffix}')
    return folder

def speed(ways, rounds):
    "(rounds, ways, 2) seconds a photo: wall and processor; `ways` are processes"
    rows = in_turn({name: lambda process=process: process.submit(epoch).result() for name, process in ways.items()}, rounds)
    return np.array([[(wall/n, (user+system)/n) for (n, (wall, user, system)), _ in row] for row in rows])

def speed_table(names, seconds):
    "A row for each way: the better of its numbers of workers"
    wall, cpu = seconds.transpose(2, 0, 1)
    ours = {way: wall[:, names.index((way, 0))] for way in OURS}
    rows = {}
    for way in dict.fromkeys(way for way, _ in names):
        each = [i for i, name in enumerate(names) if name[0] == way]
        best, least = (each[np.median(s[:, each], 0).argmin()] for s in (wall, cpu))
        rows[way] = dict(per_s=1/np.median(wall[:, best]), workers=names[best][1], cpu_ms=1000*np.median(cpu[:, least]),
                         ratio_composed=np.median(wall[:, best]/ours['composed']), ratio_cached=np.median(wall[:, best]/ours['composed_cached']),
                         ratio_cpu=np.median(cpu[:, least]/cpu[:, names.index(('composed', 0))]),
                         each={names[i][1]: dict(per_s=1/np.median(wall[:, i]), cpu_ms=1000*np.median(cpu[:, i])) for i in each})
    return rows

# fidelity
def judged(files, n, tmp):
    "At most `n` upright photos, their draws, and folders that hold what the zoom leaves of each, lossless"
    files = sample([f for f in files if PIL.Image.open(f).getexif().get(0x0112, 1) < 2], n)
    augs, folders = draw_augs(len(files), 0, 1, max_warp=0, max_lighting=0, p_affine=1), []
    for name in ('crop_x', 'crop_y', 'zoom_x', 'zoom_y'): augs[name] = .5
    for i, (file, aug) in enumerate(zip(files, augs)):
        sq = square(np.asarray(PILImage.create(file)), aug)
        edge = round(len(sq)*(1-1/aug.zoom)/2)
        aug.zoom = len(sq)/(len(sq)-2*edge) # whole pixels
        folders.append(tmp/f'{i}')
        (folders[-1]/'one').mkdir(parents=True)
        PIL.Image.fromarray(sq[edge:len(sq)-edge, edge:len(sq)-edge]).save(folders[-1]/'one'/'0.png')
    return files, augs, folders

def psnr(a, b):
    "Inside the disc that stays within the crop at any angle"
    place = np.arange(len(a))-(len(a)-1)/2
    disc = np.hypot(place, place[:, None]) < len(a)/2-4
    return 10*np.log10(255**2/np.mean((a-b)[disc]**2))

def tent(photo, aug, grid, sizes):
    "The reference by a filter twice as wide as a pixel: a mean of nine, moved by thirds of a pixel"
    thirds = -1/3, 0, 1/3
    return np.mean([reference(photo, aug, grid @ [[1, 0, x], [0, 1, y], [0, 0, 1]], sizes, 3, 3) for x in thirds for y in thirds], 0)

def references(photos, augs, item, args):
    "Matrices and both references. An `item` of the size itself means what every rival does: pixels are areas, their centers at halves"
    grids, sizes = warp_matrices(augs, args.size, item), SimpleNamespace(size=args.size, item=item)
    def both(*one): return reference(*one, sizes, 3), tent(*one, sizes)
    with ThreadPoolExecutor(cores()) as pool: return grids, list(pool.map(both, photos, augs, grids))

def fidelity(args, files, processes, tmp):
    "PSNR of each way's photos"
    files, augs, folders = judged(files, args.judged, tmp/'judged')
    photos = [np.asarray(PILImage.create(f)) for f in files]
    (grids, ours), (_, theirs) = (references(photos, augs, item, args) for item in (args.item, args.size))
    def row(pictures, refs):
        box, wide = np.transpose([[psnr(p, ref) for ref in both] for p, both in zip(pictures, refs)])
        return dict(psnr=box.mean(), psnr_min=box.min(), psnr_tent=wide.mean())
    with torch_threads(1): out = dict(composed=row([composed(*one, args) for one in zip(files, augs, grids)], ours),
                                      stock=row([stock(*one, True, args) for one in zip(files, augs)], ours))
    jobs = {way: [process.submit(picture, way, *one, args) for one in zip(folders, augs)] for way, process in processes.items() if way in RIVALS}
    return out | dict(composed_cached=out['composed']) | {way: row([job.result() for job in each], theirs) for way, each in jobs.items()}

def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ('photos', 'json'): parser.add_argument(f'--{name}', type=Path)
    for name, default in dict(n=512, rounds=3, workers=2, size=224, judged=32).items(): parser.add_argument(f'--{name}', type=int, default=default)
    args = parser.parse_args()
    args.item = max(460, round(args.size*460/224)) # as `Prep` has it
    return args

def measure(args, files, tmp, stack):
    "Figures of each way, and of the cache"
    folder = links(files, tmp/'photos', args.n)
    args.cache = tmp/'cache'
    _, build = timed(quietly, cache_photos, find_photos(folder), args.item, args.cache, False)
    names = [(way, 0) for way in OURS] + [(way, workers) for way in ('stock', *RIVALS) if way == 'stock' or util.find_spec(package(way))
                                          for workers in dict.fromkeys((0, args.workers))]
    ways = {name: stack.enter_context(ProcessPoolExecutor(1, get_context('spawn'))) for name in names}
    for job in [process.submit(make, *name, folder, args) for name, process in ways.items()]: job.result()
    print(f'{len(ways)} processes are ready', flush=True)
    rows = speed_table(names, speed(ways, args.rounds))
    for way, row in fidelity(args, files, {way: ways[way, 0] for way in rows}, tmp).items(): rows[way] |= row
    rows |= {way: dict(not_installed=f'pip install {package(way)}') for way in RIVALS if way not in rows}
    return rows, dict(build_wall_s=build[0], build_cpu_s=build[1:].sum())

def main():
    args = arguments()
    with tempfile.TemporaryDirectory() as tmp, ExitStack() as stack:
        tmp = Path(tmp)
        files = find_photos(find(args.photos, tmp))
        result = about() | dict(photos='drawn' if is_drawn(files[0].parent) else 'real', n=args.n, size=args.size, rounds=args.rounds,
                                workers=args.workers, bs=BS, judged=args.judged)
        result['versions'] |= {name: metadata.version(name) for name in map(package, RIVALS) if util.find_spec(name)}
        print(result)
        result['ways'], result['cache'] = measure(args, files, tmp, stack)
        show(f'n={args.n}, median of {args.rounds} rounds', pd.DataFrame(result['ways']).drop('each').T, 2)
    if args.json: args.json.write_text(json.dumps(result, indent=1) + '\n', encoding='utf-8')

if __name__ == '__main__': main()
