"`presize` and `warp`, held against fastai's own random code, fastai's own transforms, and samples taken in float64."
import inspect
import pickle
import random
import time
from dataclasses import FrozenInstanceError, replace

import cv2, numpy as np, pytest, torch
import torch.nn.functional as F
from PIL import Image
from scipy.ndimage import map_coordinates
from scipy.stats import binomtest, ks_2samp

from pet_breeds.presize import presize
from pet_breeds.warp import (AUGS, FITS, NEUTRAL, STOCK_AUGS, Prep, check_sizes, crop_box, draw_augs, fineness, lighting, most_samples,
                             no_augs, seen_box, to_pixels, warp, warp_matrices, warp_torch)
from fastai.vision import augment
from fastai.vision.all import (Brightness, Contrast, Flip, PILImage, RandomResizedCropGPU, Resize, Rotate, TensorImage, Warp,
                               Zoom, aug_transforms, image2tensor, set_seed, setup_aug_tfms)

N, SEED = 20_000, 0
GRAY = 1.02 # gray levels: half for rounding samples, half for rounding their mean, the rest for float32
ARGS = dict(book={},
            other=dict(min_scale=.2, min_zoom=.8, max_zoom=1.2, max_rotate=90, p_affine=1., p_lighting=.4, mult=.5),
            more=dict(min_scale=.5, max_rotate=30, max_zoom=1.5, max_warp=.4, max_lighting=.5, p_affine=.3, mult=1.5,
                      do_flip=False))
STRONG = dict(max_rotate=45, min_zoom=.8, max_zoom=1.5, max_warp=.3, min_scale=.3)
COLUMNS = ['crop_x', 'crop_y', 'warp_x', 'warp_y', 'angle', 'zoom', 'zoom_x', 'zoom_y', 'side', 'left', 'top',
           'brightness', 'contrast']

def noise(side): return np.random.default_rng(SEED).integers(0, 256, (side, side, 3), dtype=np.uint8)
def smooth(side): return cv2.resize(noise(8), (side, side), interpolation=cv2.INTER_CUBIC)
def stripes(side): return np.tile(np.uint8([0, 255]), (side, side//2))[..., None].repeat(3, 2)
def checks(side): return stripes(side) ^ stripes(side).swapaxes(0, 1)
def planes(square): return torch.from_numpy(square).permute(2, 0, 1)
def one_by_one(augs): return [augs[i:i+1] for i in range(len(augs))]
def matrices(augs, side, size=224, item=460): return [to_pixels(m, side, item) for m in warp_matrices(augs, size, item)]

def cut(photo, aug):
    left, top, side = crop_box(*photo.shape[:2], aug.crop_x[0], aug.crop_y[0])
    return photo[top:top+side, left:left+side]

def places(matrix, size):
    "Where each pixel of the output is looked up, (2, size, size): x and y"
    x, y, depth = np.tensordot(matrix, [*np.mgrid[:size, :size][::-1], np.ones((size, size))], 1)
    return np.stack([x, y])/depth

def reference(square, matrix, size, k):
    "k x k bilinear samples for each pixel of the output, averaged, all in float64"
    at = places(matrix @ [[1/k, 0, (1-k)/2/k], [0, 1/k, (1-k)/2/k], [0, 0, 1]], k*size)[::-1]
    fine = [map_coordinates(square[..., c].astype(float), at, order=1, mode='mirror') for c in range(3)]
    return np.stack(fine, -1).reshape(size, k, size, k, 3).mean((1, 3))

def gap(a, b): return np.abs(np.asarray(a, float)-np.asarray(b, float)).max()

# the same statistics

def theirs(**aug):
    "Draws of the stock pair, by fastai's own random code; `side`, `left` and `top` are its second crop's, in pixels"
    random.seed(SEED), torch.manual_seed(SEED)
    (resize,), (affine, light, crop) = presize(**aug)
    x, square, crops = TensorImage(torch.zeros(N, 3, 1, 1)), TensorImage(torch.zeros(1, 1, 460, 460)), []
    mats = {f.func.__name__: f(x).double().numpy() for f in affine.aff_fs}
    turn, zoom, (bend,) = mats['rotate_mat'], mats['zoom_mat'], affine.coord_fs
    bend.before_call(x), light.before_call(x, 0)
    corners, (brightness, contrast) = bend.targ_pts.double().numpy(), (f.change.double().numpy() for f in light.fs)
    zoomed = zoom[zoom[:, 0, 0] != 1]
    zoom_x, zoom_y = ((zoomed[:, i, 2]/(1-zoomed[:, 0, 0])+1)/2 for i in (0, 1))
    for _ in range(N):
        resize.before_call(None, 0), crop.before_call(square, 0)
        crops.append((*resize.pcts, crop.cp_size[0], *crop.tl))
    crop_x, crop_y, side, top, left = np.array(crops).T
    return dict(crop_x=crop_x, crop_y=crop_y, flip=mats['flip_mat'][:, 0, 0] if 'flip_mat' in mats else np.ones(N),
                warp_x=corners[:, 1, 1]-1, warp_y=corners[:, 2, 0]-1,
                angle=np.degrees(np.arctan2(turn[:, 0, 1], turn[:, 0, 0])),
                zoom=1/zoom[:, 0, 0], zoom_x=zoom_x, zoom_y=zoom_y,
                side=side, left=left, top=top, brightness=brightness, contrast=contrast)

def ours(**aug):
    "The same columns from `draw_augs`; the second crop as `warp_matrices` makes it of a draw"
    augs, crop = draw_augs(N, SEED, **aug), no_augs(N)
    for name in ('scale', 'scale_x', 'scale_y'): crop[name] = augs[name]
    m = warp_matrices(crop)*459/2
    side, left, top = m[:, 0, 0]*223+1, m[:, 0, 2]+459/2, m[:, 1, 2]+459/2
    kept = {name: augs[name] for name in NEUTRAL if 'scale' not in name}
    return kept | dict(side=side.round(), left=left.round(), top=top.round())

@pytest.mark.parametrize('args', ARGS)
def test_draws_have_the_distribution_of_fastai(args):
    a, b = ours(**ARGS[args]), theirs(**ARGS[args])
    for name in COLUMNS: assert len(np.unique(a[name])) > 50 and ks_2samp(a[name], b[name]).pvalue > .001, name
    assert set(a['flip']) == set(b['flip']) <= {-1, 1}
    assert a['flip'].min() == 1 or all(binomtest(int((d['flip'] < 0).sum()), N, .5).pvalue > .001 for d in (a, b))

@pytest.mark.parametrize('name, change', [
    ('angle', dict(max_rotate=11)), ('angle', dict(p_affine=.85)), ('zoom', dict(max_zoom=1.11)),
    ('warp_x', dict(max_warp=.22)), ('warp_y', dict(mult=1.1)), ('side', dict(min_scale=.72)),
    ('left', dict(min_scale=.72)), ('brightness', dict(max_lighting=.22)), ('contrast', dict(p_lighting=.85))])
def test_a_range_a_tenth_off_would_show(name, change): assert ks_2samp(ours()[name], ours(**change)[name]).pvalue < 1e-6

def test_draws_do_not_depend_on_each_other():
    augs = draw_augs(N, SEED)
    chancy = ('warp_x', 'warp_y', 'angle', 'zoom', 'brightness', 'contrast')
    done = {name: augs[name] != NEUTRAL[name] for name in chancy}
    for columns in ([augs[name] for name in NEUTRAL], [done.get(name, augs[name]) for name in NEUTRAL]):
        assert abs(np.corrcoef(columns)-np.eye(len(NEUTRAL))).max() < .03

def test_the_seed_decides():
    same, rng = draw_augs(9, 3), np.random.default_rng(3)
    assert same.dtype.names == tuple(NEUTRAL) and same.dtype == no_augs(9).dtype and same.shape == (9,)
    assert (draw_augs(9, 3) == same).all() and (draw_augs(9, rng) == same).all()
    for a, b in ((draw_augs(9, rng), same), (draw_augs(9, 4), same), (draw_augs(9), draw_augs(9))):
        assert (a.crop_x != b.crop_x).all()

@pytest.mark.parametrize('args', [dict(max_rotate=0, max_lighting=0, max_warp=0), dict(p_affine=0, p_lighting=0)])
def test_nothing_to_draw_is_validation(args):
    augs = draw_augs(50, SEED, min_scale=1, do_flip=False, max_zoom=1, **args)
    assert gap(warp_matrices(augs), warp_matrices(no_augs(50))) < 1e-12
    assert gap(lighting(augs), lighting(no_augs(50))) < 1e-6

# the same places

class Forced:
    "Stands for Python's `random` while fastai draws a crop: gives it the crop of our draw"
    def __init__(self, aug): self.scale, self.places = aug.scale[0], iter([aug.scale_y[0], aug.scale_x[0]])
    def uniform(self, low, high): return self.scale if low < high else low
    def randint(self, low, high): return min(int(next(self.places)*(high+1)), high)

def forced(augs):
    "fastai's own geometry and lighting, with our draws"
    a = {name: augs[name].tolist() for name in NEUTRAL}
    return setup_aug_tfms([Flip(p=1., draw=[(1-f)/2 for f in a['flip']]),
                           Warp(p=1., draw_x=a['warp_x'], draw_y=a['warp_y']), Rotate(p=1., draw=a['angle']),
                           Zoom(p=1., draw=a['zoom'], draw_x=a['zoom_x'], draw_y=a['zoom_y']),
                           Brightness(p=1., draw=a['brightness']), Contrast(p=1., draw=a['contrast'])])

def resized(photo, *pcts):
    "fastai's own `Resize(460)`, cropped at our place"
    resize = Resize(460)
    resize.pcts = pcts
    return resize.encodes(photo)

def cropped(x, aug, size, monkeypatch):
    "fastai's own random crop, with our draw"
    with monkeypatch.context() as m:
        m.setattr(augment, 'random', Forced(aug))
        return RandomResizedCropGPU(size, min_scale=.01, ratio=(1, 1))(x, split_idx=0)

@pytest.mark.parametrize('item, size', [(460, 224), (300, 224), (461, 33), (200, 150)])
@pytest.mark.parametrize('args', [{}, STRONG], ids=['book', 'strong'])
def test_places_are_those_of_fastai(item, size, args, monkeypatch):
    "The coordinates of fastai's first interpolation go, as a picture, through its second, told not to average before"
    monkeypatch.setattr(augment, '_grid_sample', F.grid_sample)
    for aug in one_by_one(draw_augs(15, SEED, **args)):
        with monkeypatch.context() as m:
            m.setattr(augment, '_grid_sample', lambda x, coords, **kw: coords.permute(0, 3, 1, 2))
            field = forced(aug)[0](TensorImage(torch.zeros(1, 1, item, item)), split_idx=0)
        ours = places(warp_matrices(aug, size, item)[0], size)
        assert gap(ours, cropped(field, aug, size, monkeypatch)[0]) < 8/item**2 <= 2e-4

@pytest.mark.parametrize('item, size', [(460, 224), (460, 460), (300, 7)])
def test_validation_is_the_whole_square(item, size):
    grid, edge = warp_matrices(no_augs(1), size, item)[0], np.linspace(-1, 1, size)
    assert gap(places(grid, size), np.meshgrid(edge, edge)) < 1e-12
    assert gap(places(to_pixels(grid, item, item), size), np.meshgrid(*[(edge+1)/2*(item-1)]*2)) < 1e-9
    assert gap(warp(noise(size), matrices(no_augs(1), size, size, size)[0], size), noise(size)) == 0

def test_the_sizes_of_the_book_are_the_defaults():
    augs = draw_augs(50, SEED, **STRONG)
    ms = warp_matrices(augs)
    assert gap(ms, warp_matrices(augs, 224, 460)) == 0
    for grid in ms:
        m = to_pixels(grid, 9000)
        assert gap(m, to_pixels(grid, 9000, 460)) == 0 and fineness(m) == fineness(m, 224)

def test_a_crop_in_a_corner_ends_at_the_edges():
    augs = no_augs(2)
    augs.scale, augs.scale_x, augs.scale_y = .5, (0, 1), (1, 0)
    (left, bottom), (right, top) = (places(m, 224) for m in warp_matrices(augs))
    assert [left.min(), bottom.max(), right.max(), top.min()] == pytest.approx([-1, 1, 1, -1])

def test_flip_mirrors():
    augs = no_augs(2)
    augs.flip = 1, -1
    plain, mirrored = matrices(augs, 300)
    assert gap(places(mirrored, 224), places(plain, 224)[:, :, ::-1]) < 1e-9
    assert gap(warp(noise(300), mirrored), warp(noise(300), plain)[:, ::-1]) <= 1

@pytest.mark.parametrize('width, height', [(500, 375), (333, 500), (300, 300), (640, 480), (40, 60)])
@pytest.mark.parametrize('pcts', [(.5, .5), (0, 1), (.123, .987)])
def test_places_in_a_photo_are_those_of_resize(width, height, pcts):
    "A photo whose values are its own coordinates, through fastai's `Resize`, inside the rim"
    left, top, side = crop_box(height, width, *pcts)
    assert side == min(width, height) and 0 <= left <= width-side and 0 <= top <= height-side
    inner = np.s_[460//side+2:-460//side-2]
    coordinates = np.stack(np.meshgrid(np.arange(width), np.arange(height))).astype(np.float32)
    for photo, corner, want in zip(coordinates, (left, top), places(matrices(no_augs(1), side, 460)[0], 460)):
        assert gap(np.array(resized(Image.fromarray(photo), *pcts))[inner, inner], corner+want[inner, inner]) < .05

def test_the_square_is_cut_from_the_center_unless_told():
    assert crop_box(300, 500) == (100, 0, 300) and crop_box(500, 301) == (0, 99, 301)

# the same pixels

@pytest.mark.parametrize('side', [1, 2, 31, 300, 700])
@pytest.mark.parametrize('size', [32, 96, 224])
def test_pixels_are_those_of_a_slow_float64_warp(side, size):
    for square in (noise(side), smooth(side)):
        for m in matrices(draw_augs(2, SEED, **STRONG), side, size):
            assert gap(warp(square, m, size), reference(square, m, size, fineness(m, size))) <= GRAY

@pytest.mark.parametrize('size', [32, 96, 224])
def test_torch_and_opencv_agree(size):
    sides = [1, 2, 31, 300, 700, 300, 224]
    squares, augs = [noise(side) for side in sides], draw_augs(len(sides), SEED, **STRONG)
    ms = [to_pixels(m, side) for m, side in zip(warp_matrices(augs, size), sides)]
    out = warp_torch([planes(s) for s in squares], ms, size)
    assert out.shape == (len(sides), 3, size, size) and out.dtype == torch.float32 and out.is_contiguous()
    for square, m, x in zip(squares, ms, out): assert gap(x.permute(1, 2, 0), warp(square, m, size)) <= GRAY

def test_torch_and_opencv_agree_on_real_photos(shared):
    files = sorted((shared/'pets'/'images').glob('*.jpg'))[::8][:30]
    assert len(files) == 30
    for f, aug in zip(files, one_by_one(draw_augs(30, SEED))):
        square = cut(np.array(Image.open(f).convert('RGB')), aug)
        m = matrices(aug, len(square))
        assert gap(warp_torch([planes(square)], m)[0].permute(1, 2, 0), warp(square, m[0])) <= GRAY

def test_a_crop_of_a_photo_serves_and_stays_as_it_was():
    photo, m = noise(400), matrices(draw_augs(1, SEED), 300)[0]
    before, square = photo.copy(), photo[50:350, 20:320]
    out, x = warp(square, m), warp_torch([planes(square)], [m])
    assert out.shape == (224, 224, 3) and out.dtype == np.uint8 and out.flags.c_contiguous
    assert gap(out, warp(square.copy(), m)) == gap(photo, before) == 0
    assert gap(x, warp_torch([planes(square.copy())], [m])) == 0

def test_torch_works_where_the_photos_are():
    "Shown with PyTorch's device for shapes alone: anything left on the CPU would be an error"
    squares = [planes(noise(side)).to('meta') for side in (50, 500)]
    out = warp_torch(squares, [matrices(no_augs(1), side)[0] for side in (50, 500)])
    assert out.device.type == 'meta' and out.shape == (2, 3, 224, 224)

@pytest.mark.parametrize('side', [1, 50, 300, 900])
def test_one_color_stays_one_color(side):
    square = np.full((side, side, 3), (0, 99, 255), np.uint8)
    for m in matrices(draw_augs(8, SEED, **STRONG), side):
        assert gap(warp(square, m), (0, 99, 255)) == 0
        assert gap(warp_torch([planes(square)], [m])[0].permute(1, 2, 0), (0, 99, 255)) < 1e-3

@pytest.mark.parametrize('side', [448, 500, 700, 1000])
@pytest.mark.parametrize('pattern, left', [(stripes, .3), (checks, .1)])
def test_details_too_fine_for_the_output_come_out_nearly_flat(side, pattern, left):
    "What is left of the contrast: under a third of stripes, as after an average of 3 x 3, and a tenth of checks"
    m = matrices(no_augs(1), side)[0]
    one_sample, out = (f(pattern(side)) for f in (lambda x: reference(x, m, 224, 1), lambda x: warp(x, m)))
    assert one_sample.std() > 40 and out.std() < left*one_sample.std() and abs(out.mean()-127.5) < .5

def test_fineness_is_the_side_of_what_an_output_pixel_covers():
    for side in (1, 30, 224): assert fineness(matrices(no_augs(1), side)[0]) == 1
    assert [fineness(matrices(no_augs(1), side)[0]) for side in (448, 672, 896)] == [2, 3, 4]
    for side in (30, 200, 400, 1600, 9000):
        for m in matrices(draw_augs(20, SEED, **STRONG), side, 225):
            at = places(m, 225)[:, 111:114, 111:114]
            covered = abs(np.linalg.det([at[:, 1, 2]-at[:, 1, 0], at[:, 2, 1]-at[:, 0, 1]]))**.5/2
            assert -1.02 < max(covered, .2)-fineness(m, 225)-.1 < .02 or fineness(m, 225) == 4096//225 < covered

def test_a_narrow_strip_is_warped_exactly_and_soon():
    "OpenCV alone mirrors step by step: one of 40 by 33,000 pixels took minutes"
    def matrix(width, size, fit='pad'):
        left, top, side = crop_box(40, width, fit=fit)
        return to_pixels(warp_matrices(no_augs(1), size)[0], side, 460, left, top)
    wide = np.random.default_rng(SEED).integers(0, 256, (40, 33_000, 3), dtype=np.uint8)
    for fit in ('pad', 'squish'):
        strip, m = wide[:, :700].copy(), matrix(700, 96, fit)
        for photo, at in ((strip, m), (strip.swapaxes(0, 1).copy(), m[[1, 0, 2]])):
            assert gap(warp(photo, at, 96), reference(photo, at, 96, fineness(at, 96))) <= GRAY
    begun = time.process_time()
    assert abs(warp(wide, matrix(33_000, 224), 224).mean()-127.5) < 1 and time.process_time()-begun < 8
    assert [most_samples(size) for size in (32, 224, 512, 2048)] == [128, 18, 8, 5]

@pytest.mark.parametrize('tilt', [(.004, 0), (0, .004)])
def test_fineness_is_that_of_the_center(tilt):
    "Depth 1 at the center, where a pixel covers `side` by `side`; half a pixel beside, a tilt changes it by over .006"
    depth = 1-.004*223/2
    for side, want in ((2.097, 2), (2.103, 3)):
        scale = side/depth**.5
        assert fineness(np.array([[scale, 0, 0], [0, scale, 0], [*tilt, depth]])) == want

# lighting

@pytest.mark.parametrize('max_lighting, tol', [(.2, 5e-6), (.75, 5e-3)])
def test_lighting_is_that_of_fastai(max_lighting, tol):
    "White alone may differ, under a low contrast: fastai's float32 has no 1-1e-7"
    augs = draw_augs(200, SEED, max_lighting=max_lighting)
    light = forced(augs)[1](TensorImage(torch.arange(256).reshape(1, 1, 16, 16).repeat(200, 3, 1, 1)/255), split_idx=0)
    table, want = lighting(augs), light.flatten(2).transpose(1, 2)
    assert table.shape == want.shape and table.dtype == np.float32
    assert gap(table[:, :255], want[:, :255]) < 5e-6 and gap(table, want) < tol

def test_lighting_keeps_the_order_and_leaves_validation_alone():
    assert (np.diff(lighting(draw_augs(200, SEED)), axis=1) > 0).all()
    assert gap(lighting(no_augs(1))[0], np.arange(256)[:, None]/255*[1, 1, 1]) < 1e-6

# the whole, and the stock pair

def composed(photo, aug):
    square = cut(np.array(photo), aug)
    return lighting(aug)[0][warp(square, matrices(aug, len(square))[0]), range(3)]

def stock(photo, aug, monkeypatch):
    x = TensorImage(image2tensor(resized(photo, aug.crop_x[0], aug.crop_y[0])))[None].float()/255
    affine, light = forced(aug)
    return light(cropped(affine(x, split_idx=0), aug, 224, monkeypatch), split_idx=0)[0].permute(1, 2, 0).numpy()

def test_photos_are_those_of_the_stock_pair(drawn, monkeypatch):
    "Mean and standard deviation within 1%; each photo at least 30 dB near stock's, and far nearer than a pixel beside"
    photos = [Image.open(f).convert('RGB') for f in sorted((drawn/'images').glob('*.jpg'))]
    augs = one_by_one(draw_augs(len(photos), SEED))
    a = np.stack([composed(*x) for x in zip(photos, augs)])
    b = np.stack([stock(*x, monkeypatch) for x in zip(photos, augs)])
    for stat in (np.mean, np.std): np.testing.assert_allclose(stat(a, (0, 1, 2)), stat(b, (0, 1, 2)), rtol=.01)
    def error(*shift): return ((np.roll(a, shift, (1, 2))-b)[:, 1:-1, 1:-1]**2).mean((1, 2, 3))
    assert len(photos) == 40 and error(0, 0).max() < 1e-3
    for shift in ((0, 1), (0, -1), (1, 0), (-1, 0)): assert (4*error(0, 0) < error(*shift)).all()

def test_the_stock_pair_takes_its_arguments():
    (resize,), (affine, light, crop) = presize(300, 200, .5, do_flip=False)
    assert resize.size == (300, 300) and crop.size == (200, 200) and crop.min_scale == .5 and crop.ratio == (1, 1)
    assert [f.func.__name__ for f in affine.aff_fs] == ['rotate_mat', 'zoom_mat']

refused = [
    *((presize, dict([bad]), f'{bad[0]} {bad[1]}.*: expected a ') for bad in [
        ('size', 0), ('size', 1), ('size', -1), ('size', 2049), ('size', 224.), ('size', True), ('item', 200),
        ('item', 8193), ('min_scale', 0), ('min_scale', 1.2), ('min_scale', -.5), ('min_scale', float('nan'))]),
    (presize, dict(size=461), 'item 460: expected a whole number, 461 to '),
    (check_sizes, dict(item=9, size=10, min_scale=1), 'item 9: expected a whole number, 10 to '),
    (check_sizes, dict(item=9, size=9, min_scale=2), 'min_scale 2: '),
    *((draw_augs, dict(n=1) | {name: value}, f'{name} {value}.*: expected a number, ') for name, value in [
        ('min_scale', 0), ('min_scale', 1.1), ('mult', -1), ('mult', float('nan')), ('max_rotate', -1),
        ('max_rotate', 181), ('max_rotate', '9'), ('max_lighting', 1), ('max_lighting', -.1), ('max_warp', 1),
        ('max_warp', -.1), ('p_affine', 1.1), ('p_lighting', -.1), ('min_zoom', 0), ('max_zoom', .9)])]

def test_the_limits_themselves_are_fine():
    check_sizes(2, 2, 1), check_sizes(8192, 2048, 1e-4)
    wild = dict(max_rotate=180, max_lighting=.99, max_warp=.99, p_affine=1, p_lighting=1)
    for args in (wild, dict(max_rotate=180, mult=1), dict(max_rotate=90, mult=2)): draw_augs(1, **args)
    with pytest.raises(ValueError, match='max_rotate 100, mult 2'): draw_augs(1, max_rotate=100, mult=2)

@pytest.mark.parametrize('f, args, words', refused, ids=lambda x: getattr(x, '__name__', str(x)))
def test_bad_arguments_are_refused_with_their_value(f, args, words):
    with pytest.raises(ValueError, match=words) as e: f(**args)
    assert '\n' not in str(e.value)

# the preparation in one object

@pytest.mark.parametrize('presize, size, item', [
    ('composed', 224, 460), ('composed', 32, 460), ('composed', 448, 920), ('composed', 2048, 4206),
    ('stock', 224, 460), ('stock', 112, 230), ('stock', 2, 4), ('stock', 2048, 4206)])
def test_the_first_square_follows_from_the_size(presize, size, item):
    prep = Prep(presize, size=size)
    assert prep.item == item and prep == Prep(presize, item, size) and replace(prep) == prep
    assert Prep(presize, size, size).item == size

def test_a_preparation_does_not_change():
    aug = dict(max_rotate=5)
    prep = Prep(aug=aug)
    aug['max_rotate'] = 90
    assert prep.aug == dict(max_rotate=5) and pickle.loads(pickle.dumps(prep)) == prep
    with pytest.raises(FrozenInstanceError): prep.size = 32

@pytest.mark.parametrize('presize', ['composed', 'stock'])
@pytest.mark.parametrize('bad, words', [
    (dict(size=0), 'size 0:'), (dict(size=2049), 'size 2049:'), (dict(item=0), 'item 0:'),
    (dict(item=200), 'item 200:'), (dict(min_scale=2), 'min_scale 2:'), (dict(aug=dict(n=3)), "no option 'n'"),
    (dict(aug=dict(max_rotate=999)), 'max_rotate 999:'), (dict(aug=dict(min_scale=1)), "no option 'min_scale'"),
    (dict(aug=dict(max_rotat=9)), "no option 'max_rotat' .did you mean 'max_rotate'")])
def test_a_preparation_checks_itself(presize, bad, words):
    with pytest.raises(ValueError, match=words): Prep(presize, **bad)

def test_each_option_is_taken_by_the_presizing_that_has_it():
    book = set(inspect.signature(aug_transforms).parameters)
    assert {*AUGS, *STOCK_AUGS} == book-{'size', 'min_scale', 'xtra_tfms'}, 'those of fastai but what stands elsewhere'
    for name in STOCK_AUGS:
        with pytest.raises(ValueError, match=f"{name}: only presize='stock'"): Prep(aug={name: True})
        Prep('stock', aug={name: True})
    with pytest.raises(ValueError, match='presize fast: choose composed or stock'): Prep('fast')

# a photo that is not square

FITTED = dict(wide=(200, 640), high=(700, 230), square=(300, 300), strip=(40, 900), large=(500, 1400))

def fitted(photo, fit, *place):
    left, top, side = crop_box(*photo.shape[:2], *place, fit)
    return warp(photo, to_pixels(warp_matrices(no_augs(1), 460)[0], side, 460, left, top), 460)

def resized_as(photo, fit, *place):
    (resize,), _ = presize(fit=fit)
    resize.pcts = place
    return np.array(resize.encodes(PILImage.create(photo))).astype(int)

@pytest.mark.parametrize('place', [(.5, .5), (.2, .9)])
@pytest.mark.parametrize('shape', FITTED)
@pytest.mark.parametrize('fit', FITS)
def test_each_fit_is_that_of_fastais_resize(fit, shape, place):
    "A smooth photo, also mirrored again and again: nearer by far than one that is moved, turned over, or fitted otherwise"
    height, width = FITTED[shape]
    photo = cv2.resize(noise(20)[:max(3, 20*height//1400), :max(3, 20*width//1400)], (width, height), interpolation=cv2.INTER_CUBIC)
    ours, want = fitted(photo, fit, *place), resized_as(photo, fit, *place)
    def apart(out): return abs(out-want).mean()
    assert apart(ours) < .8
    for other in (np.roll(ours, 2, 0), np.roll(ours, 2, 1), ours[::-1], ours[:, ::-1], ours.swapaxes(0, 1)):
        assert apart(other) > 1.5*apart(ours)
    others = [fitted(photo, other, *place) for other in FITS if other != fit]
    if shape == 'square': assert all((other == ours).all() for other in others)
    else: assert min(map(apart, others)) > 5

@pytest.mark.parametrize('make', [lambda fit: Prep(fit=fit), lambda fit: Prep('stock', fit=fit), lambda fit: presize(fit=fit)])
@pytest.mark.parametrize('fit', ['stretch', 'Pad', '', None, 3, '\x1b[31m'])
def test_another_fit_is_refused(make, fit):
    with pytest.raises(ValueError, match='^fit.*: choose crop or pad or squish') as e: make(fit)
    assert str(e.value).isprintable()

# the photo beyond its square

SHAPES = [(300, 400), (333, 500), (40, 60), (1, 1), (3, 200), (460, 1500), (461, 460)]
def whole(grid, photo, aug, fit='crop'):
    "The matrix into a photo, and the part of it that is seen with the matrix into that"
    left, top, side = crop_box(*photo.shape[:2], aug.crop_x[0], aug.crop_y[0], fit)
    matrix = to_pixels(grid, side, 460, left, top)
    x0, y0, x1, y1 = seen_box(matrix, *photo.shape[:2])
    return matrix, photo[y0:y1, x0:x1], to_pixels(grid, side, 460, left-x0, top-y0)

@pytest.mark.parametrize('args', [{}, STRONG, dict(max_rotate=180, max_warp=.4, min_zoom=.4, max_zoom=.6)],
                         ids=['book', 'strong', 'wild'])
@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('fit', FITS)
def test_the_part_that_is_seen_serves_for_the_photo(fit, shape, args):
    "Also where the photo is mirrored, once or again and again. A sample may be rounded the other way"
    photo = np.random.default_rng(SEED).integers(0, 256, (*shape, 3), dtype=np.uint8)
    augs = draw_augs(12, SEED, **args)
    for aug, grid in zip(one_by_one(augs), warp_matrices(augs)):
        matrix, part, inside = whole(grid, photo, aug, fit)
        a, b = warp(photo, matrix), warp(part, inside)
        assert gap(a, b) <= 1 and (a != b).mean() < .01

def test_no_more_of_a_photo_than_is_seen():
    "Of a panorama a little more than a square; a crop of a quarter needs about a quarter"
    photo, augs = np.zeros((300, 9000, 3), np.uint8), draw_augs(50, SEED)
    for aug, grid in zip(one_by_one(augs), warp_matrices(augs)):
        assert whole(grid, photo, aug)[1].shape[1] < 450
    quarter = no_augs(1)
    quarter.scale = .25
    assert 150 < len(whole(warp_matrices(quarter)[0], photo, quarter)[1]) < 160

def test_beyond_the_square_the_photo_goes_on():
    "A ramp of gray from left to right stays one where there is more of the photo, and is mirrored only at its ends"
    ramp = np.tile(np.arange(250, dtype=np.uint8)[:, None], (100, 1, 3))
    turned = no_augs(1)
    turned.angle = 10
    grid, (left, top, side) = warp_matrices(turned, 100, 100)[0], crop_box(100, 250)
    want = left + places(to_pixels(grid, side, 100), 100)[0]
    assert want.min() < left and want.max() > left+side
    assert gap(warp(ramp, to_pixels(grid, side, 100, left, top), 100)[..., 0], want) <= 1
    square = warp(np.ascontiguousarray(ramp[:, left:left+side]), to_pixels(grid, side, 100), 100)[..., 0]
    assert gap(square, want) > 10, 'mirrored at the edge of the square'

@pytest.mark.parametrize('args', [{}, STRONG], ids=['book', 'strong'])
def test_inside_the_square_nothing_changes(args):
    "Pixel by pixel as a warp of the square, where that is not mirrored; `warp_torch` agrees on the photo"
    photo, augs = noise(500)[:333], draw_augs(20, SEED, **args)
    for aug, grid in zip(one_by_one(augs), warp_matrices(augs)):
        square, (_, part, inside) = cut(photo, aug), whole(grid, photo, aug)
        m = to_pixels(grid, len(square))
        at = places(m, 224)
        deep = cv2.erode(((at > 2) & (at < len(square)-3)).all(0).astype(np.uint8), np.ones((3, 3))) > 0
        assert deep.any() and gap(warp(part, inside)[deep], warp(square, m)[deep]) <= 1
        assert gap(warp_torch([planes(part)], [inside])[0].permute(1, 2, 0), warp(part, inside)) <= GRAY

def test_half_of_what_was_mirrored_is_in_the_photo():
    "Draws as in training, a photo of 500 x 333: of all pixels 1.3% lie beyond the square, 0.7% beyond the photo"
    augs, beyond = draw_augs(1000, SEED), []
    for aug, grid in zip(one_by_one(augs), warp_matrices(augs)):
        left, top, side = crop_box(333, 500, aug.crop_x[0], aug.crop_y[0])
        x, y = places(to_pixels(grid, side, 460, left, top), 224)
        boxes = (left, left+side, top, top+side), (0, 500, 0, 333)
        beyond.append([((x < a-.5) | (x > b-.5) | (y < c-.5) | (y > d-.5)).mean() for a, b, c, d in boxes])
    square, photo = np.mean(beyond, 0)
    assert .012 < square < .015 and .4 < 1-photo/square < .56


def test_a_fifth_of_the_crops_are_averaged_first():
    "fastai brings a crop of more than twice the final size down to that first: one more resampling, as lesson 04 says"
    *_, crop = presize()[1]
    set_seed(0)
    batch, sides = TensorImage(torch.zeros(1, 3, 460, 460)), []
    for _ in range(4000):
        crop.before_call(batch, 0)
        sides.append(crop.cp_size[0])
    assert np.mean(np.array(sides) > 448) == pytest.approx((1-(448.5/460)**2)/.25, abs=.02)
