"Bodies and heads: every family of architectures is cut at the right place, sizes and weights fit or are refused."
import concurrent.futures
import json
import random
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from fastai.callback.data import WeightedDL
from fastai.vision.all import ImageDataLoaders, Normalize, Resize, add_head, aug_transforms, get_image_files
from fastai.vision.all import imagenet_stats
from safetensors.torch import save_file
from test_saving import new, photos  # noqa: F401 (fixtures)
from torch import nn
from torch.testing import assert_close

from pet_breeds.data import pets_dls
from pet_breeds.model import FixedStats, default_size, drawnet, make_learner, make_model, new_network, random_kept
from pet_breeds.model import random_states, undrawn
from pet_breeds.saving import load_model, save_model
from pet_breeds.weights import cached_weights, find_weights, read_tensors, read_weights

FAMILIES = ['alexnet', 'convnext_tiny', 'densenet121', 'efficientnet_b0', 'googlenet', 'inception_v3', 'maxvit_t',
            'mnasnet0_5', 'mobilenet_v2', 'mobilenet_v3_small', 'regnet_y_400mf', 'resnet18', 'resnext50_32x4d',
            'shufflenet_v2_x0_5', 'squeezenet1_1', 'swin_t', 'vgg11_bn', 'vit_b_16', 'wide_resnet50_2']
TIMM = ['convnext_atto', 'resnet10t', 'vit_tiny_patch16_224', 'swin_tiny_patch4_window7_224', 'tf_efficientnetv2_b0',
        'deit_tiny_patch16_224', 'coat_tiny']


@pytest.mark.parametrize('arch', ['drawnet', *FAMILIES, *TIMM])
def test_every_family_has_a_body_and_a_head(arch):
    "Nearly all layers that learn features are kept, and the new model answers with one activation a class"
    model, meta = make_model(arch, 5)
    whole = new_network(arch)[0].cpu()
    def convs(m): return sum(isinstance(x, (nn.Conv2d, nn.MultiheadAttention)) for x in m.modules())
    assert convs(model[0]) >= convs(whole) - 1  # squeezenet classifies with a convolution
    assert model.eval()(torch.zeros(1, 3, 224, 224)).shape == (1, 5)
    assert len(meta['split'](model)) >= 2 and len(meta['stats']) == 2
    assert meta['arch'] == arch and 1e6 < meta['layer_bytes'] < 1e8


def test_layers_that_a_network_uses_in_several_places_keep_their_numbers():
    "A trial by shape alone left layers without numbers there, and the first photo failed"
    model, _ = make_model('coat_tiny', 2, head='linear')
    assert not [n for m in model.modules() for n, t in [*m._parameters.items(), *m._buffers.items()] if t is not None and t.is_meta]
    assert model.eval()(torch.zeros(1, 3, 224, 224)).isfinite().all()


# sizes

@pytest.mark.parametrize('size', [2, 33, 75, 100, 129, 150, 200, 240])
@pytest.mark.parametrize('head', ['fastai', 'linear'])
def test_drawnet_takes_any_size(size, head):
    "Also one that is not a multiple of its stride: 100, 150, 200 and 240 failed"
    model, _ = make_model('drawnet', 3, size=size, head=head)
    out = model(torch.randn(4, 3, size, size))
    out.sum().backward()
    assert out.shape == (4, 3) and all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize('size', [32, 96, 128, 224])
def test_at_multiples_of_its_stride_drawnet_is_what_it_was(size):
    "Its weights were learned with shortcuts that leave the last row of an odd grid out"
    model, _ = make_model('drawnet', 3, cached_weights('drawnet'), size=size)
    x = torch.randn(2, 3, size, size)
    now = model.eval()(x)
    for m in model.modules():
        if isinstance(m, nn.AvgPool2d): m.ceil_mode = False
    assert_close(model(x), now, rtol=0, atol=0)


@pytest.mark.parametrize('arch', ['resnet18', 'mobilenet_v2', 'squeezenet1_1', 'convnext_atto', 'swin_t'])
@pytest.mark.parametrize('size', [100, 224, 300])
def test_sizes_that_architectures_can_take(arch, size):
    assert make_model(arch, 3, size=size)[0].eval()(torch.zeros(1, 3, size, size)).shape == (1, 3)


@pytest.mark.parametrize('arch, size, words', [
    ('vit_tiny_patch16_224', 100, 'vit_tiny_patch16_224 cannot take photos of 100 pixels.*: try size 224'),
    ('vit_base_patch16_384', 224, 'cannot take photos of 224 pixels.*: try size 384'),
    ('vit_b_16', 225, 'vit_b_16 cannot take photos of 225 pixels.*: try size 224'),
    ('alexnet', 32, 'alexnet cannot take photos of 32 pixels.*: try size 224'),
    ('vgg11', 2000, r'vgg11 takes \d\.\d GB of memory for one photo of 2000 pixels.*: choose a smaller size'),
    ('drawnet', 2049, 'size 2049: expected a whole number, 2 to 2,048'),
    ('drawnet', 1, 'size 1: expected'), ('drawnet', 128., 'size 128.0: expected')])
def test_sizes_that_are_refused_at_once(arch, size, words):
    with pytest.raises(ValueError, match=words) as e: make_model(arch, 2, size=size)
    assert str(e.value).isprintable() and len(str(e.value)) < 250


@pytest.mark.parametrize('arch, size', [('drawnet', 128), ('resnet34', 224), ('vit_b_16', 224), ('convnext_atto', 224),
                                        ('vit_base_patch16_384', 384), ('no_such_net', 224)])
def test_the_usual_size(arch, size): assert default_size(arch) == size


@pytest.mark.parametrize('arch', ['resnet43', 'resnet50.no_such_tag', 'hf-hub:someone/net', 'a\nb\x1b[2J', ''])
def test_an_unknown_architecture(arch):
    with pytest.raises(ValueError) as e: new_network(arch)
    assert str(e.value).isprintable() and (arch != 'resnet43' or "did you mean 'resnet34'" in str(e.value))


# weights

@pytest.mark.parametrize('arch', ['drawnet', 'mobilenet_v2', 'densenet121', 'vit_b_16', 'resnet10t'])
def test_weights_arrive_in_the_body(arch, tmp_path):
    net = new_network(arch)[0]
    with torch.no_grad():
        for p in net.parameters(): p.fill_(.123)
    torch.save(net.state_dict(), tmp_path/'w.pth')
    model, _ = make_model(arch, 5, tmp_path/'w.pth')
    assert all((p == .123).all() for p in model[0].parameters())


def test_half_precision_weights_are_read_as_float32(tmp_path):
    halves = {k: v.half() if v.is_floating_point() else v for k,v in drawnet().state_dict().items()}
    save_file(halves, tmp_path/'w.safetensors')
    model, _ = make_model('drawnet', 5, tmp_path/'w.safetensors', size=96)
    assert {p.dtype for p in model.parameters()} == {torch.float32}


@pytest.mark.parametrize('more, words', [
    ({'strange.weight': torch.zeros(1)}, 'strange.weight is unknown'),
    ({'0.0.0.weight': torch.zeros(1)}, r'0.0.0.weight is \(1,\), not'),
    ({'0.0.1.bias': torch.full((24,), float('nan'))}, '0.0.1.bias holds nan or inf'),
    ({'a\x1b[2J': torch.zeros(1)}, r'a\\x1b\[2J is unknown')])
def test_what_does_not_fit_is_named(more, words, tmp_path):
    torch.save({**drawnet().state_dict(), **more}, tmp_path/'w.pth')
    with pytest.raises(ValueError, match=words): make_model('drawnet', 5, tmp_path/'w.pth', size=96)


@pytest.mark.parametrize('what', [[], {}, {'a': 'text'}, torch.zeros(2)], ids=['list', 'empty', 'text', 'tensor'])
def test_no_state_dict(what, tmp_path):
    torch.save(what, tmp_path/'w.pth')
    with pytest.raises(ValueError, match='w.pth cannot be read as weights: it holds no state_dict'):
        read_weights(tmp_path/'w.pth')


@pytest.mark.parametrize('weights', ['', '~nobody-of-this-name/w.pth'])
def test_a_path_that_cannot_be_one(weights):
    with pytest.raises(ValueError, match='weights'): find_weights('drawnet', weights)


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(FileNotFoundError, match='a report'): make_model('drawnet', 2, find_weights('drawnet', tmp_path))


@pytest.mark.parametrize('given, head, new_head, arch, size, new_size', [
    ('folder', 'fastai', 'linear', 'drawnet', 48, 50), ('file', 'linear', 'fastai', 'drawnet', 50, 48),
    ('folder', 'linear', 'linear', 'mobilenet_v2', 32, 64), ('file', 'fastai', 'fastai', 'mobilenet_v2', 64, 32)])
def test_training_starts_from_an_earlier_report(new, photos, tmp_path, given, head, new_head, arch, size, new_size):
    "The body comes along; size, head and breeds may be others"
    old = new(size=size, arch=arch, head=head)
    report = save_model(old, tmp_path/'report')
    table = [(f, f.stem[-1]) for f in sorted(photos.iterdir()) if f.stem[-1] in '012']
    dls = pets_dls(pd.DataFrame(table, columns=['file', 'label']), bs=4, size=new_size, device='cpu')
    learn = make_learner(dls, arch, report if given == 'folder' else report/'model.safetensors', new_head)
    assert dls.c == 3 and learn.weights == report/'model.safetensors'
    for k, v in old.model[0].state_dict().items(): assert_close(learn.model[0].state_dict()[k], v, rtol=0, atol=0)
    assert not next(learn.model[0].parameters()).requires_grad
    with learn.no_bar(), learn.no_logging(): learn.fit(1)


def test_a_report_of_another_architecture_is_refused_by_name(new, tmp_path):
    report = save_model(new(), tmp_path/'report')
    with pytest.raises(ValueError, match='has the body of drawnet, not of resnet18: give arch drawnet'):
        make_model('resnet18', 2, find_weights('resnet18', report))


def test_weights_that_are_called_like_ours(tmp_path):
    "model.safetensors beside a model.json of another program"
    save_file(drawnet().state_dict(), tmp_path/'model.safetensors')
    for text in (json.dumps(['of', 'another', 'program']).encode(), b'no JSON', b'\xff\xfe', b'null', b''):
        (tmp_path/'model.json').write_bytes(text)
        make_model('drawnet', 2, find_weights('drawnet', tmp_path), size=64)
    save_file(drawnet().state_dict(), tmp_path/'model.safetensors', dict(about='a network of mine'))
    make_model('drawnet', 2, find_weights('drawnet', tmp_path), size=64)


# a Learner

def stats(learn_or_dls):
    dls = getattr(learn_or_dls, 'dls', learn_or_dls)
    return [[f.mean.flatten().tolist()[0] for f in dl.after_batch.fs if isinstance(f, Normalize)] for dl in dls.loaders]


def loaders(photos, presize='fastai', size=64):
    "Ours, or fastai's own"
    if presize != 'fastai': return pets_dls(photos, bs=6, size=size, item=64, presize=presize, device='cpu')
    return ImageDataLoaders.from_name_re(photos, get_image_files(photos), r'^(.+)_\d+', bs=6, num_workers=0,
                                         device='cpu', item_tfms=Resize(size), batch_tfms=aug_transforms())


@pytest.mark.parametrize('presize', ['composed', 'stock', 'fastai'])
def test_each_architecture_brings_its_own_statistics(photos, presize):
    "On the same loaders, which stay as they are"
    dls = loaders(photos, presize)
    one, two = make_learner(dls, weights='none'), make_learner(dls, 'googlenet', 'none')
    again = make_learner(dls, weights='none')
    assert stats(dls) == [[], []] and stats(two) == [[.5]]*2
    assert stats(one) == stats(again) == [[pytest.approx(imagenet_stats[0][0])]]*2
    with random_kept(one.dls): a = one.dls.valid.one_batch()[0]
    with random_kept(two.dls): b = two.dls.valid.one_batch()[0]
    mean, std = (torch.tensor(s)[:, None, None] for s in imagenet_stats)
    assert_close(torch.Tensor(a)*std+mean, torch.Tensor(b)*.5+.5, atol=1e-4, rtol=0)


def test_a_normalize_of_the_user_stays(photos):
    dls = loaders(photos, 'composed')
    dls.add_tfms([Normalize.from_stats([.1]*3, [.7]*3, cuda=False)], 'after_batch')
    learn = make_learner(dls, weights='none')
    assert stats(learn) == stats(dls) == [[pytest.approx(.1)]]*2
    given, own = (next(f for f in x.after_batch.fs if isinstance(f, Normalize)) for x in (dls, learn.dls))
    assert own is not given


@pytest.mark.parametrize('presize', ['composed', 'stock', 'fastai'])
def test_making_a_learner_moves_no_generator(photos, presize):
    "With weights for the body only the head's numbers are drawn, whatever the body is"
    dls = loaders(photos, presize)
    torch.manual_seed(0)
    add_head(nn.Identity(), 160, 2)
    expected = random_states(dls)
    torch.manual_seed(0)
    random.setstate((expected['python'][0], tuple(expected['python'][1]), expected['python'][2]))
    np.random.set_state(tuple(expected['numpy']))
    learn = make_learner(dls)
    got = random_states(dls)
    assert got['torch'].equal(expected['torch'])
    for name in ('python', 'numpy', 'loaders'): assert got[name] == expected[name], name
    assert [dl.rng.getstate() for dl in learn.dls.loaders] == expected['loaders'], 'the same order of photos as dls'


@pytest.mark.parametrize('arch', ['swin_tiny_patch4_window7_224', 'pit_ti_224', 'swiftformer_xs', 'maxvit_t', 'googlenet'])
def test_a_network_that_gets_its_weights_moves_no_generator(arch):
    "Nor does it put one back that another thread moved meanwhile"
    before, expected = random_states(), torch.rand(1, generator=torch.Generator().set_state(torch.get_rng_state()))
    with undrawn():
        new_network(arch)
        after = random_states()
        with concurrent.futures.ThreadPoolExecutor(1) as other: assert other.submit(torch.rand, 1).result() == expected
    assert after['torch'].equal(before['torch']) and after['python'] == before['python'] and after['numpy'] == before['numpy']
    assert torch.rand(1) != expected


def test_the_statistics_of_a_report_come_along(new, photos, tmp_path):
    "Those of the architecture are others"
    dls = loaders(photos, 'composed')
    dls.add_tfms([Normalize.from_stats([.1]*3, [.9]*3, cuda=False)], 'after_batch')
    report = save_model(make_learner(dls, weights='none'), tmp_path/'report')
    learn = make_learner(loaders(photos, 'stock'), weights=report)
    assert stats(learn) == [[pytest.approx(.1)]]*2
    assert load_model(save_model(learn, tmp_path/'next'))[1]['std'] == pytest.approx([.9]*3)
    text, tensors = json.loads(read_tensors(report/'model.safetensors')[1]['about']), read_tensors(report/'model.safetensors')[0]
    save_file(tensors, tmp_path/'bad.safetensors', dict(about=json.dumps({**text, 'std': [0, 1, 1]})))
    with pytest.raises(ValueError, match='bad.safetensors says no mean and std: expected three numbers'):
        make_learner(loaders(photos, 'stock'), weights=tmp_path/'bad.safetensors')


def test_what_is_not_drawn_is_in_range():
    "PyTorch draws a truncated normal again until all numbers are: a model was read for ever, as what is in new memory would have it"
    with undrawn():
        assert torch.full((9,), 99.).normal_(1, 2).tolist() == [1]*9
        assert nn.init.trunc_normal_(torch.full((9,), 99.)).abs().max() <= 2
        assert nn.init.trunc_normal_(torch.full((9,), 99.), mean=0, std=9, a=1, b=2).min() >= 1


def test_finding_and_reading_moves_no_generator(new, tmp_path):
    report = save_model(new(), tmp_path)
    before = random_states()
    load_model(report)
    default_size('vit_tiny_patch16_224')
    read_weights(find_weights('drawnet'))
    after = random_states()
    assert after['torch'].equal(before['torch'])
    assert all(after[k] == before[k] for k in ('python', 'numpy'))


@pytest.mark.parametrize('size', [64, 75])
def test_the_size_of_other_loaders_is_seen_in_a_batch(photos, size):
    "vit_tiny takes 224 only, so it shows what was seen"
    with pytest.raises(ValueError, match=f'cannot take photos of {size} pixels'):
        make_learner(loaders(photos, size=size), 'vit_tiny_patch16_224', 'none')
    learn = make_learner(loaders(photos, size=size), weights='none')
    with learn.no_bar(), learn.no_logging(): learn.fit(1)


def test_loaders_without_a_batch(photos):
    dls = loaders(photos).new_empty()
    with pytest.raises(ValueError, match='at least one batch'): make_learner(dls, weights='none')


def test_a_size_is_refused_before_training(photos):
    dls = pets_dls(photos, bs=6, size=100, device='cpu')
    with pytest.raises(ValueError, match='cannot take photos of 100 pixels'):
        make_learner(dls, 'vit_tiny_patch16_224', 'none')


def test_weights_for_drawing_photos_are_kept(photos):
    "A loader that takes more than others do"
    dls = loaders(photos)
    wgts = np.arange(dls.train.n)
    dls.loaders[0] = dls.train.new(cls=WeightedDL, wgts=wgts)
    learn = make_learner(dls, weights='none')
    assert_close(learn.dls.train.wgts, wgts/wgts.sum())
    assert 0 not in learn.dls.train.get_idxs()


@pytest.mark.parametrize('head', ['fastai', 'linear'])
@pytest.mark.parametrize('weights', ['auto', 'none'])
def test_what_a_learner_knows(photos, head, weights):
    dls = loaders(photos, 'composed')
    learn = make_learner(dls, 'drawnet', weights, head, wd=.5)
    pretrained = weights == 'auto'
    assert (learn.arch, learn.head, bool(learn.weights), learn.wd) == ('drawnet', head, pretrained, .5)
    assert learn.dls.prep == dls.prep and learn.dls.path == dls.path and learn.dls.vocab == dls.vocab
    assert next(learn.model[0].parameters()).requires_grad is not pretrained
    fixed = pretrained and head == 'linear'
    assert any(isinstance(cb, FixedStats) for cb in learn.cbs) is fixed and learn.train_bn is not fixed
    for method in ('fit_one_cycle', 'fine_tune', 'lr_find', 'to_fp16', 'show_results'): assert hasattr(learn, method)


@pytest.mark.parametrize('wrong', ['round', 64, None])
def test_a_head_of_another_kind(photos, wrong):
    "Also a size in its place, as the third argument once was"
    with pytest.raises(ValueError, match=f'head {wrong}: choose fastai or linear'): make_model('drawnet', 2, head=wrong)


# importing

def test_importing_says_nothing_and_leaves_the_process_as_it_is(root):
    code = '''
import importlib, pkgutil, warnings
import pet_breeds
for module in pkgutil.iter_modules(pet_breeds.__path__):
    importlib.import_module(f'pet_breeds.{module.name}')
    assert not [f for f in warnings.filters if 'jit.script' in str(f)], module.name
from pet_breeds import model
from fastai.vision.learner import model_meta
assert model.drawnet not in model_meta
'''
    done = subprocess.run([sys.executable, '-c', code], cwd=root, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')


def test_names_that_fastai_has_are_not_hidden():
    from fastai.vision import all as fastai_all
    from pet_breeds import model
    assert [name for name in model.__all__ if hasattr(fastai_all, name)] == []
