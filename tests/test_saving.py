"A model on disk that is right or refused by name, whole after a kill at any moment, and a Learner again."
import csv
import io
import json
import os
import pickle
import resource
import subprocess
import sys
import warnings
from dataclasses import asdict
from hashlib import sha256
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import fork
from fastai.interpret import ClassificationInterpretation
from fastai.learner import load_learner
from fastai.torch_core import set_seed
from fastai.vision.all import (CategoryBlock, DataBlock, MultiCategoryBlock, Normalize, RandomErasing, RegressionBlock, TensorImage, Transform, aug_transforms,
                               imagenet_stats)
from PIL import Image
from safetensors.torch import save, save_file
from tiny import is_report
from torch import nn
from torch.testing import assert_close

from pet_breeds import model as models
from pet_breeds import weights
from pet_breeds import saving
from pet_breeds.batches import PhotoBlock, photo_block, photo_dl
from pet_breeds.data import pets_dls
from pet_breeds.model import make_learner, make_model
from pet_breeds.predict import predict_pets
from pet_breeds.saving import (REPORT_FILES, TABLES, digest, edited_files, foreign_content, load_model, report_learner, save_model, save_tables, weights_digest)
from pet_breeds.tables import csv_bytes
from pet_breeds.warp import Prep

MODEL = 'model.safetensors'


def same(a, b): assert_close(dict(a), dict(b), rtol=0, atol=0)


@pytest.fixture(scope='session')
def photos(tmp_path_factory):
    "Two breeds of noise, one dark and one bright"
    folder, rng = tmp_path_factory.mktemp('photos'), np.random.default_rng(0)
    for breed, light in (('dark', 0), ('bright', 120)):
        for i in range(12):
            noise = rng.integers(light, light+130, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(noise).save(folder/f'{breed}_{i}.png')
    return folder


@pytest.fixture
def new(photos):
    "A function that makes a Learner"
    def new(presize='composed', seed=0, size=48, num_workers=0, arch='drawnet', weights='none', aug=None, **kwargs):
        set_seed(seed)
        prep = dict(size=size, item=64, presize=presize, **(aug or {}))
        dls = pets_dls(photos, bs=6, num_workers=num_workers, device='cpu', **prep)
        return make_learner(dls, arch, weights, **kwargs)
    return new


@pytest.fixture(scope='module')
def net(): return make_model('drawnet', 2, size=64)[0]


def stub(net, vocab=('bright', 'dark'), arch='drawnet', stats=imagenet_stats, prep=Prep('stock', 64, 64, 1.)):
    "What `save_model` needs of a Learner"
    valid = photo_dl([np.zeros((64, 64, 3), np.uint8)], prep, *(stats or imagenet_stats))
    if not stats: valid.after_batch.fs.pop()
    dls = SimpleNamespace(vocab=vocab, loaders=[valid], prep=prep)
    return SimpleNamespace(head='fastai', model=net, arch=arch, dls=dls)


@pytest.fixture
def saved(net, tmp_path): return save_model(stub(net), tmp_path/'model')


def is_report_with_metrics(folder):
    "Whether a folder is a report, once the metrics of one are there"
    (folder/'metrics.json').write_text(json.dumps(dict(error_rate=.1, n_classes=2, versions={}, tables={})))
    return is_report(folder)


def refused(folder, *words):
    with pytest.raises(ValueError) as e: load_model(folder)
    assert type(e.value) is ValueError
    message = str(e.value)
    assert message.isprintable() and len(message) < 600 and str(folder/MODEL) in message
    for word in words: assert word in message


def read(folder):
    "The description and the tensors of a model"
    tensors, meta = weights.read_tensors(folder/MODEL)
    return json.loads(meta['about']), tensors


def write(folder, about, tensors):
    "A model with a digest that fits: what a deceiver would do"
    text = about if isinstance(about, str) else json.dumps(about)
    (folder/MODEL).write_bytes(save(tensors, dict(about=text, sha256=saving.digest(text, tensors))))


def change(folder, **entries):
    about, tensors = read(folder)
    write(folder, {**about, **entries}, tensors)


# there and back

def test_there_and_back(net, saved):
    model, about = load_model(saved)
    same(model.state_dict(), net.state_dict())
    assert not model.training
    assert about == dict(format='pet_breeds 2', arch='drawnet', head='fastai', vocab=['bright', 'dark'], bs=64,
                         mean=pytest.approx(imagenet_stats[0]), std=pytest.approx(imagenet_stats[1]),
                         prep=Prep('stock', 64, 64, 1.), sha256=json.loads((saved/'model.json').read_text())['sha256'])
    assert sorted(os.listdir(saved)) == ['model.json', MODEL]


def test_one_file_is_enough(saved, tmp_path):
    (saved/'model.json').unlink()
    assert load_model(saved)[1] == load_model(saved/MODEL)[1]


def test_the_page_says_the_same(saved):
    page = json.loads((saved/'model.json').read_text())
    assert page.pop('sha256') == weights.read_tensors(saved/MODEL)[1]['sha256']
    assert page == read(saved)[0]


@pytest.mark.parametrize('presize', ['stock', 'composed'])
@pytest.mark.parametrize('head', ['fastai', 'linear'])
@pytest.mark.parametrize('size, aug', [(48, {}), (33, dict(min_scale=.5, do_flip=False))])
def test_the_preparation_that_was_used_is_written(new, photos, tmp_path, presize, head, size, aug):
    "Not a default: what the loaders say, and the predictions are those of the Learner"
    learn = new(presize, size=size, head=head, aug=aug)
    model, about = load_model(save_model(learn, tmp_path))
    assert about['prep'] == learn.dls.prep and about['prep'].size == size
    again = report_learner(tmp_path)
    files = sorted(photos.iterdir())[::5]
    with learn.no_bar(), again.no_bar():
        probs = [x.get_preds(dl=x.dls.test_dl(files))[0] for x in (learn, again)]
    assert_close(*probs)
    assert again.head == head and [type(m) for m in again.model[1]] == [type(m) for m in learn.model[1]]


def test_numbers_of_numpy_are_written(net, tmp_path):
    prep = Prep(size=64, aug=dict(max_rotate=np.float64(5), do_flip=np.bool_(False)))
    folder = save_model(stub(net, prep=prep), tmp_path/'model')
    assert load_model(folder)[1]['prep'].aug == dict(max_rotate=5, do_flip=False)


def test_a_normalize_of_the_user_is_written(photos, tmp_path):
    dls = pets_dls(photos, bs=6, size=48, item=64, device='cpu')
    dls.add_tfms([Normalize.from_stats([.1]*3, [.7]*3, cuda=False)], 'after_batch')
    about = load_model(save_model(make_learner(dls, weights='none'), tmp_path))[1]
    assert about['mean'] == pytest.approx([.1]*3) and about['std'] == pytest.approx([.7]*3)


class Dark(Transform):
    "Acts in validation as well"
    def encodes(self, x:TensorImage): return x/3


class Turned(Transform):
    "Acts on single photos"
    def encodes(self, x:Image.Image): return x.rotate(90)


OTHER_PHOTOS = dict(
    of_batches=(dict(batch_tfms=[Dark()]), [], 'apply Dark,'),
    of_items=(dict(presize='stock', item_tfms=[Turned()]), [], 'apply Turned,'),
    smaller=(dict(presize='stock', batch_tfms=aug_transforms(size=24, max_lighting=0, max_warp=0)), [], 'Flip'),
    added=({}, [Dark()], 'apply Dark, which'),
    two=({}, [Dark(), Normalize.from_stats([.1]*3, [.7]*3, cuda=False)], 'apply Dark, Normalize, which'),
    normalized_twice=(dict(batch_tfms=[Normalize.from_stats([.1]*3, [.7]*3, cuda=False)]),
                      [Normalize.from_stats(*imagenet_stats, cuda=False)], 'apply Normalize,'))


@pytest.mark.parametrize('options, added, words', OTHER_PHOTOS.values(), ids=OTHER_PHOTOS)
def test_photos_that_a_saved_model_would_prepare_otherwise(photos, tmp_path, options, added, words):
    "Its answers would be others than those that were measured; also after an epoch, which leaves its mark in transforms"
    learn = make_learner(pets_dls(photos, bs=6, size=48, item=64, num_workers=0, device='cpu', **options), weights='none')
    if added: learn.dls.add_tfms(added, 'after_batch')
    for _ in range(2):
        with pytest.raises(ValueError, match=words): save_model(learn, tmp_path/'model')
        learn.dls.train.one_batch()
    assert not (tmp_path/'model').exists()


def test_what_acts_in_training_alone_is_no_obstacle(photos, tmp_path):
    "And loaders of fastai's own block, made again from a pickle, or with one part"
    files = sorted(photos.iterdir())
    for presize, aug in (('stock', dict(flip_vert=True)), ('composed', {})):
        prep = Prep(presize, 64, 48, aug=aug, fit='pad')
        block = DataBlock((photo_block(prep), CategoryBlock), get_y=lambda f: f.name.partition('_')[0],
                          batch_tfms=[RandomErasing(p=1.), Dark(split_idx=0)])
        learn = make_learner(block.dataloaders(files, bs=4, num_workers=0, device='cpu'), weights='none')
        with learn.no_bar():
            want = learn.get_preds(dl=learn.dls.test_dl(files[:5]))[0]
            again = report_learner(save_model(learn, tmp_path/presize))
            with again.no_bar(): assert_close(again.get_preds(dl=again.dls.test_dl(files[:5]))[0], want)
        learn.dls.loaders.pop()
        save_model(learn, tmp_path/presize)


@pytest.mark.skipif(os.name != 'posix', reason='permissions of POSIX')
def test_others_may_read_it_as_the_umask_says(saved):
    umask = os.umask(0)
    os.umask(umask)
    assert all((saved/f).stat().st_mode & 0o777 == 0o666 & ~umask for f in os.listdir(saved))


def test_channels_last_is_saved(new, tmp_path):
    learn = new()
    learn.model.to(memory_format=torch.channels_last)
    model, _ = load_model(save_model(learn, tmp_path))
    same(model.state_dict(), learn.model.state_dict())


def test_saving_and_loading_change_nothing(new, tmp_path):
    "Neither the Learner, nor a random generator"
    learn = new()
    before = {k: v.clone() for k, v in learn.model.state_dict().items()}
    with models.random_kept(learn.dls): expected = torch.rand(3), np.random.rand(3), learn.dls.train.rng.random()
    learn.model.train()
    load_model(save_model(learn, tmp_path))
    report_learner(tmp_path)
    assert learn.model.training and learn.model[0].training
    same(learn.model.state_dict(), before)
    assert_close((torch.rand(3), np.random.rand(3), learn.dls.train.rng.random()), expected, rtol=0, atol=0)


@pytest.mark.parametrize('presize', ['stock', 'composed'])
def test_fastai_can_still_export(new, tmp_path, photos, presize):
    learn, photo = new(presize), sorted(photos.iterdir())[0]
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(1, 3e-3)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # that a pickle is not safe
        learn.export(tmp_path/'learner.pkl')
        again = load_learner(tmp_path/'learner.pkl')
    with learn.no_bar(), again.no_bar(): assert_close(again.predict(photo)[2], learn.predict(photo)[2], rtol=0, atol=0)


# refused

def test_a_model_from_before_fit_was_an_option(saved):
    "It saw crops, so it predicts crops"
    about, tensors = read(saved)
    assert about['prep'].pop('fit') == 'crop'
    write(saved, about, tensors)
    assert load_model(saved)[1]['prep'] == Prep(**about['prep'], fit='crop')


@pytest.mark.parametrize('arch', ['drawnut', 'resnet50.no_such_tag', 'hf-hub:someone/net', '\ud800\n\x1b[2J', ''])
def test_an_unknown_architecture(saved, arch):
    change(saved, arch=arch)
    refused(saved, 'is not a whole model of ours')


@pytest.mark.parametrize('entry, value', [
    ('format', 'pet_breeds 1'), ('format', 'pet_breeds 3'), ('format', None), ('arch', 7), ('arch', None), ('head', 'round'), ('head', []),
    ('vocab', []), ('vocab', 'ab'), ('vocab', ['dark', 'dark']), ('vocab', ['dark', 1]), ('vocab', ['dark', None]),
    ('vocab', {'dark': 0, 'bright': 1}), ('mean', [.5, .5]), ('mean', [.5, .5, '.5']), ('mean', [.5, .5, float('nan')]),
    ('mean', [.5, .5, 10**400]), ('mean', [True]*3), ('mean', [1e300]*3), ('mean', [-1001, 0, 0]), ('std', [.2, .2, 0]),
    ('std', [.2, .2, -1]), ('std', [1e-300]*3), ('std', [.2, .2, 1e9]), ('std', .2), ('prep', None), ('prep', []),
    ('comment', 'hello'), ('\x1b]52;c;aGk=\x07', 1)])
def test_an_entry_of_another_kind(saved, entry, value):
    change(saved, **{entry: value})
    refused(saved, entry if entry.isprintable() else r'\x1b]52')


@pytest.mark.parametrize('entry, value', [
    ('presize', 'none'), ('presize', None), ('item', 0), ('item', 64.), ('item', True), ('item', None), ('item', 10**9),
    ('size', -1), ('size', 2049), ('size', '64'), ('min_scale', 0), ('min_scale', 1.5), ('min_scale', float('inf')),
    ('min_scale', None), ('fit', 'stretch'), ('fit', None), ('more', 1), ('aug', 7), ('aug', {'max_rotate': 999}), ('aug', {'max_rotait': 1})])
def test_a_preparation_of_another_kind(saved, entry, value):
    about, tensors = read(saved)
    write(saved, {**about, 'prep': {**about['prep'], entry: value}}, tensors)
    refused(saved, *[] if value == 7 else [next(iter(value)) if isinstance(value, dict) else entry])


def test_the_ends_of_a_range_belong_to_it(saved):
    change(saved, mean=[-1000, 0., 1000], std=[.001, 1, 1000])
    assert load_model(saved)[1]['mean'] == [-1000, 0, 1000] and load_model(saved)[1]['std'] == [.001, 1, 1000]


def test_a_digest_tells_whether_a_learner_was_trained_meanwhile(new):
    learn = new()
    before = weights_digest(learn)
    assert before == weights_digest(learn) == digest('', {k: v.detach().cpu() for k, v in learn.model.state_dict().items()})
    with torch.no_grad(): list(learn.model.parameters())[-1][0] += 1
    assert weights_digest(learn) != before


def test_a_missing_entry(saved):
    about, tensors = read(saved)
    for entry in about:
        write(saved, {k: v for k, v in about.items() if k != entry}, tensors)
        refused(saved, f'{entry} is missing')
    for entry in ('presize', 'item', 'size', 'min_scale'):
        write(saved, {**about, 'prep': {k: v for k, v in about['prep'].items() if k != entry}}, tensors)
        refused(saved, 'prep is', 'expected presize, item, size and min_scale')


def test_the_weights_of_another_model(saved):
    about, tensors = read(saved)
    text = json.dumps(about)
    other = {k: saving.plain(v) for k, v in make_model('drawnet', 2, size=64)[0].state_dict().items()}
    (saved/MODEL).write_bytes(save(other, dict(about=text, sha256=saving.digest(text, tensors))))
    refused(saved, 'it was changed after it was written')
    write(saved, about, make_model('drawnet', 3, size=64)[0].state_dict())
    refused(saved, 'size mismatch')


def hostile():
    yield 'pickle', pickle.dumps({'a': torch.zeros(1)})
    yield 'empty', b''
    yield 'not utf-8', b'\xff\xfe{}'
    yield 'long header', (2**60).to_bytes(8, 'little') + b'{}'
    yield 'header to 100 MB', (99_999_999).to_bytes(8, 'little') + b'{'
    yield 'nested', b'['*200_000
    yield 'nested tensors', (200_000).to_bytes(8, 'little') + b'['*200_000
    yield 'huge number', b'9'*10_000
    yield 'list', b'[]'
    yield 'huge page', b' '*2_000_000 + b'{}'


@pytest.mark.parametrize('data', [pytest.param(data, id=what) for what, data in hostile()])
def test_hostile_bytes(data, saved):
    (saved/MODEL).write_bytes(data)
    refused(saved)
    assert not is_report_with_metrics(saved)


@pytest.mark.parametrize('about', ['[]', '7', '{', '['*100_000, '9'*9_999, ' '*10_000_001])
def test_a_hostile_description(about, saved):
    write(saved, about, read(saved)[1])
    refused(saved)


def test_what_is_missing(saved):
    (saved/MODEL).unlink()
    with pytest.raises(FileNotFoundError, match=MODEL): load_model(saved)
    (saved/MODEL).mkdir()
    with pytest.raises(FileNotFoundError, match=MODEL): load_model(saved)


def test_a_name_that_a_terminal_would_obey(net, tmp_path):
    folder = save_model(stub(net), tmp_path/'a\x1b[2Jb')
    (folder/MODEL).write_bytes(b'')
    with pytest.raises(ValueError, match=r'a\\x1b\[2Jb') as e: load_model(folder)
    assert str(e.value).isprintable()


# a model that cannot give a probability

def spoil(name, value):
    "A function that puts a number into a tensor"
    def spoiled(tensors): return {k: v.clone().fill_(value) if k == name else v for k, v in tensors.items()}
    return spoiled


USELESS = {
    'nan': (spoil('0.0.0.0.weight', float('nan')), '0.0.0.0.weight holds nan'),
    'inf': (spoil('1.8.weight', float('inf')), '1.8.weight holds nan or inf'),
    'variance': (spoil('0.1.convs.0.1.running_var', -1), '0.1.convs.0.1.running_var holds a variance below 0'),
    'small variance': (spoil('0.0.0.1.running_var', -1e-4), 'a variance below 0'),
    'overflow': (spoil('0.0.0.0.weight', 3e38), 'it gives no probability'),
    'more than float32': (lambda t: {**t, '1.8.weight': t['1.8.weight'].double()*1e300}, '1.8.weight holds nan or inf')}


@pytest.mark.parametrize('spoiled, words', USELESS.values(), ids=USELESS)
def test_a_useless_model_is_neither_read_nor_written(saved, tmp_path, spoiled, words):
    about, tensors = read(saved)
    sick = make_model('drawnet', 2, size=64)[0]
    sick.load_state_dict(spoiled(tensors))
    with pytest.raises(ValueError, match=words): save_model(stub(sick), tmp_path/'sick')
    assert not (tmp_path/'sick').exists()
    write(saved, about, spoiled(tensors))
    refused(saved, words)


def test_a_variance_of_0_is_no_fault(saved):
    "A channel that was always black has one"
    about, tensors = read(saved)
    write(saved, about, spoil('0.1.convs.0.1.running_var', 0)(tensors))
    load_model(saved)


def test_what_would_be_refused_is_not_written(net, tmp_path):
    huge = [f'{i:04}'.ljust(4000, 'x') for i in range(3000)]
    no_prep = stub(net)
    del no_prep.dls.prep
    for learn, word in ((stub(net, vocab=['a', 'a']), 'vocab'), (stub(net, stats=None), 'make_learner'),
                        (stub(net, arch=None), 'arch'), (stub(net, arch='resnet18'), 'Missing key'), (no_prep, 'prep'),
                        (stub(net, stats=([0]*3, [1e-300]*3)), 'std is'), (stub(net, vocab=huge), 'characters'),
                        (stub(net, vocab=['a', 'b', 'c']), 'size mismatch')):
        with pytest.raises(ValueError, match=f'^learn.*{word}'): save_model(learn, tmp_path/'no')
    assert not (tmp_path/'no').exists()


def swapped(new):
    learn = new()
    [place] = [i for i, layer in enumerate(learn.model[1]) if isinstance(layer, nn.ReLU)]
    learn.model[1][place] = nn.Tanh()
    return learn


def pooled(new):
    (learn := new(head='linear')).model[1][0] = nn.AdaptiveMaxPool2d(1)
    return learn


@pytest.mark.parametrize('change', [swapped, pooled])
def test_a_model_with_another_layer_of_the_same_weights(change, new, tmp_path):
    "It would come back with the layer of before, and answer otherwise"
    learn = change(new)
    learn.model[0].eval()
    with pytest.raises(ValueError, match='^learn .*answers otherwise than a new drawnet .*none of them replaced'): save_model(learn, tmp_path/'no')
    assert not (tmp_path/'no').exists() and not learn.model[0].training and learn.model[1].training, 'as it was'


@pytest.mark.parametrize('block, get_y, words', [
    (MultiCategoryBlock, lambda f: [f.name.partition('_')[0], 'furry'], 'several labels a photo'), (RegressionBlock, lambda f: 1., 'no vocab')])
def test_other_labels_than_one_breed_a_photo(block, get_y, words, photos, tmp_path):
    made = PhotoBlock((photo_block(Prep(size=48, item=64)), block), get_y=get_y, splitter=lambda files: ([0, 1, 2], [3, 4, 5]))
    dls = made.dataloaders(sorted(photos.iterdir()), bs=3, num_workers=0, device='cpu')
    learn = make_learner(dls, weights='none', metrics=None)
    with pytest.raises(ValueError, match=f'^learn.*{words}, expected one label a photo'): save_model(learn, tmp_path/'no')
    assert not (tmp_path/'no').exists()


@pytest.mark.parametrize('dtype', [torch.float64, torch.bfloat16])
def test_a_model_in_another_type_is_written(dtype, new, tmp_path):
    learn = new()
    learn.model.to(dtype)
    load_model(save_model(learn, tmp_path))


def test_many_long_names_go_there_and_back(tmp_path):
    "What is written can be read"
    names = [f'{i:04}'.ljust(800, 'x') for i in range(3000)]
    folder = save_model(stub(make_model('drawnet', 3000, size=64)[0], vocab=names), tmp_path/'long')
    assert load_model(folder)[1]['vocab'] == names


# memory

@pytest.mark.parametrize('presize', ['stock', 'composed'])
def test_large_photos_are_predicted_a_few_at_a_time(presize, tmp_path):
    "48 photos of 2048 pixels took 6.5 GB"
    learn = stub(make_model('drawnet', 2, size=2048)[0], prep=Prep(presize, size=2048))
    bs = load_model(save_model(learn, tmp_path))[1]['bs']
    assert 1 <= bs <= 2
    assert report_learner(tmp_path).dls.valid.bs == bs


def test_a_large_first_square_makes_batches_small(net, tmp_path):
    "Of stock presizing, which holds it in memory"
    sizes = [load_model(save_model(stub(net, prep=Prep(presize, 4000, 64)), tmp_path/presize))[1]['bs'] for presize in ('stock', 'composed')]
    assert sizes[0] < sizes[1] == 64


def test_a_first_square_that_is_too_large(net, saved):
    "2.6 GB for one photo, which took half a minute; refused before training, at saving and at reading"
    change(saved, prep=asdict(Prep('stock', 8192, 64)))
    words = "item with presize='stock' 8192: expected a whole number, 2 to 5,000"
    refused(saved, words)
    with pytest.raises(ValueError, match=words): save_model(stub(net, prep=Prep('stock', 8192, 64)), saved)
    dls = SimpleNamespace(prep=Prep('stock', 8192, 64), c=2)
    with pytest.raises(ValueError, match=words): make_learner(dls, weights='none')
    change(saved, prep=asdict(Prep('composed', 8192, 64)))
    load_model(saved)


def test_a_network_that_is_too_large_for_its_size(saved):
    change(saved, arch='vgg11', prep=asdict(Prep(size=2048)))
    refused(saved, 'vgg11 takes 2.1 GB of memory for one photo of 2048 pixels')
    change(saved, arch='vit_giant_patch14_224', prep=asdict(Prep()))
    refused(saved, 'too many for its weights')


@pytest.mark.skipif(not hasattr(resource, 'RLIMIT_AS') or sys.platform != 'linux', reason='needs limits of Linux')
def test_a_full_memory_is_not_the_file_s_fault(tmp_path):
    code = '''
import resource, sys, torch
from safetensors.torch import save_file
from pet_breeds import checkpoint, model, saving, weights
save_file({'a': torch.zeros(20_000_000)}, 'model.safetensors', dict(format='pet_breeds checkpoint 2', about='{}'))
torch.save({'a': torch.zeros(20_000_000)}, 'w.pth')
used = int(next(line for line in open('/proc/self/status') if line.startswith('VmSize')).split()[1])*1024
for more in (40_000_000, 120_000_000): # too small for one copy, and for two
    resource.setrlimit(resource.RLIMIT_AS, (used + more, -1))
    for read, file in ((weights.read_weights, 'model.safetensors'), (weights.read_weights, 'w.pth'),
                       (saving.load_model, '.'), (checkpoint.read_checkpoint, 'model.safetensors')):
        try: read(file)
        except MemoryError as e: print(more, file, str(e))
        except ValueError as e: assert more > 1e8 and file == 'w.pth', e # torch needs one copy only
'''
    done = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 7 and all('the memory is full' in line for line in lines), done.stdout


# writing

def test_a_file_of_somebody_else_stays(net, tmp_path):
    "A model of another program, also one that is called as ours"
    save_file({'a': torch.zeros(1)}, tmp_path/MODEL)
    before = (tmp_path/MODEL).read_bytes()
    with pytest.raises(FileExistsError) as e: save_model(stub(net), tmp_path)
    assert e.value.filename == str(tmp_path/MODEL) and 'not ours' in str(e.value)
    (tmp_path/MODEL).unlink()
    (tmp_path/'model.json').write_text('{"weights": [1, 2]}')
    with pytest.raises(FileExistsError): save_model(stub(net), tmp_path)
    assert os.listdir(tmp_path) == ['model.json']
    save_file({'a': torch.zeros(1)}, tmp_path/MODEL)
    with pytest.raises(FileExistsError): save_model(stub(net), tmp_path)
    assert (tmp_path/MODEL).read_bytes() == before


def test_ours_is_replaced(net, saved):
    other = make_model('drawnet', 3, size=64)[0]
    save_model(stub(other, vocab=list('abc')), saved)
    model, about = load_model(saved)
    assert about['vocab'] == list('abc')
    same(model.state_dict(), other.state_dict())
    assert json.loads((saved/'model.json').read_text())['vocab'] == list('abc')


KILLED = '''
import os, shutil, signal, sys
import torch
from conftest import fork
from test_saving import load_model, make_model, save_model, stub
saved = sys.argv[1]
torch.manual_seed(1)
net = make_model('drawnet', 3, size=64)[0]

def killed_at(function, calls, folder):
    left, whole = calls, getattr(os, function)
    def die(*args):
        nonlocal left
        if not left: os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return whole(*args)
    if pid := os.fork(): return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    torch.set_num_threads(1)
    setattr(os, function, die)
    save_model(stub(net, vocab=list('abc')), folder)
    os._exit(0)

for function in ('fsync', 'replace'):
    for calls in (0, 1): # in the writing of model.safetensors, of model.json
        folder = shutil.copytree(saved, f'{saved}-{function}-{calls}')
        assert killed_at(function, calls, folder) == -signal.SIGKILL
        assert load_model(folder)[1]['vocab'] == (list('abc') if calls else ['bright', 'dark']), (function, calls)
        assert [f for f in os.listdir(folder) if f.endswith('.part')]
        save_model(stub(net, vocab=list('xyz')), folder)
        assert load_model(folder)[1]['vocab'] == list('xyz') and len(os.listdir(folder)) == 2, os.listdir(folder)
'''


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs processes of POSIX')
def test_a_kill_at_any_moment_leaves_a_whole_model(saved):
    "Between the two files as well: the old model or the new one, never a pair that does not belong together"
    status, err = fork(KILLED, saved).ended()
    assert status == 0, err


def test_a_write_that_fails_leaves_the_old_model(saved, monkeypatch):
    before = (saved/MODEL).read_bytes()
    def full(*args): raise OSError(28, 'No space left on device')
    with monkeypatch.context() as m:
        m.setattr(os, 'replace', full)
        with pytest.raises(OSError) as e: save_model(stub(make_model('drawnet', 2, size=64)[0]), saved)
    assert e.value.filename == str(saved/MODEL) and e.value.errno == 28
    assert (saved/MODEL).read_bytes() == before and sorted(os.listdir(saved)) == ['model.json', MODEL]


# what is a report

@pytest.fixture
def report(saved):
    digests = save_tables({name: pd.DataFrame(dict(file=['a.jpg'])) for name in TABLES}, saved)
    (saved/'index.html').write_text('<p>')
    digests['index.html'] = sha256(b'<p>').hexdigest()
    model = json.loads((saved/'model.json').read_text())['sha256']
    (saved/'metrics.json').write_text(json.dumps(dict(error_rate=.1, n_classes=2, versions={}, tables=digests, model_sha256=model)))
    return saved


def test_a_report_is_known_by_its_content(report, tmp_path):
    assert is_report(report) and sorted(os.listdir(report)) == sorted(REPORT_FILES)
    for name in ('index.html', 'model.json', *TABLES):
        (report/name).unlink()
        assert is_report(report)
    (report/MODEL).unlink()
    assert not is_report(report)
    assert not is_report(tmp_path/'none') and foreign_content(tmp_path/'none') == '' == foreign_content(report/'index.html')
    (tmp_path/'empty').mkdir()
    assert not is_report(tmp_path/'empty')


def make_dvc(folder):
    for name in ('model.safetensors', 'model.json'): (folder/name).unlink()
def make_photos(folder): (folder/'photos').mkdir()
def make_hidden(folder): (folder/'.git').mkdir()
def make_note(folder): (folder/'notes.txt').touch()
def make_folder(folder):
    (folder/'index.html').unlink()
    (folder/'index.html').mkdir()
def make_link(folder):
    (folder/'index.html').rename(folder.parent/'kept.html')
    (folder/'index.html').symlink_to(folder.parent/'kept.html')
def make_pipe(folder):
    (folder/'index.html').unlink()
    os.mkfifo(folder/'index.html')
def make_other_model(folder): save_file({'a': torch.zeros(1)}, folder/MODEL)
def make_other_page(folder): (folder/'model.json').write_text('{"format": "onnx"}')
def make_checkpoint(folder): save_file({'a': torch.zeros(1)}, folder/MODEL, {'format': 'pet_breeds checkpoint 2'})


@pytest.mark.skipif(os.name != 'posix', reason='links and pipes of POSIX')
@pytest.mark.parametrize('spoil', [make_dvc, make_photos, make_hidden, make_note, make_folder, make_link, make_pipe,
                                   make_other_model, make_other_page, make_checkpoint])
def test_what_is_not_wholly_ours_is_no_report(report, spoil):
    spoil(report)
    assert not is_report(report)


def edit_a_table(folder): (folder/'doubtful.csv').write_text('file,fix\na.jpg,drop\n')
def edit_the_page(folder): (folder/'index.html').write_text('<p>my notes')
def change_metrics(folder, change):
    metrics = json.loads((folder/'metrics.json').read_text())
    (folder/'metrics.json').write_text(json.dumps(change(metrics)))
def lose_digests(folder): change_metrics(folder, lambda metrics: {k: v for k, v in metrics.items() if k != 'tables'})
def save_another_model(folder): change_metrics(folder, lambda metrics: dict(metrics, model_sha256='of the model that was measured'))
def lose_metrics(folder): (folder/'metrics.json').unlink()
def spoil_metrics(folder): change_metrics(folder, lambda metrics: [metrics])
def make_a_site(folder):
    "A model of ours among files of somebody else"
    change_metrics(folder, lambda metrics: dict(dvc=1))
    (folder/'index.html').write_text('<h1>my own page')
    for name in TABLES: (folder/name).unlink()


@pytest.mark.parametrize('spoil, said', [
    (edit_a_table, ' any more (somebody edited doubtful.csv)'), (edit_the_page, ' any more (somebody edited index.html)'),
    (save_another_model, ' any more (somebody edited model.json)'), (lose_digests, ''),
    (lose_metrics, ''), (spoil_metrics, ''), (make_a_site, '')])
def test_a_report_that_somebody_may_have_changed_is_never_replaced(report, spoil, said):
    assert foreign_content(report) is None
    spoil(report)
    found = foreign_content(report)
    assert not is_report(report) and (said in found if said else found == '')


def test_without_metrics_nothing_of_a_report_is_known_to_be_as_written(report):
    assert edited_files(report) == []
    change_metrics(report, lambda metrics: {k: v for k, v in metrics.items() if k != 'model_sha256'})
    assert edited_files(report) == [], 'a report of before says nothing of its model'
    lose_metrics(report)
    assert edited_files(report) == [*TABLES, 'index.html']


def test_what_a_system_leaves_in_a_report_is_no_content(report, tmp_path):
    "The Finder, the Explorer and JupyterLab leave traces in a folder that somebody looks at"
    (tmp_path/'new').mkdir()
    for folder in (report, tmp_path/'new'):
        for name in ('.DS_Store', 'Thumbs.db', 'desktop.ini'): (folder/name).write_bytes(b'traces')
        (folder/'.ipynb_checkpoints').mkdir()
        assert foreign_content(folder) is None and is_report(folder) is (folder == report)
        (folder/'.ipynb_checkpoints'/'notes-checkpoint.ipynb').touch()
        assert foreign_content(folder) == ' (it contains .ipynb_checkpoints)' and not is_report(folder)


def test_a_table_holds_no_formula_and_comes_back_whole():
    odd = ['=1+1', '+a', '-b', '@c', '\td', 'é,"f"', '\udce4.jpg', 'g\rh', 'i\nj', 'k\r\nl']
    table = pd.DataFrame(dict(file=odd, prob=[.5]*10))
    _, *rows = [row[0] for row in csv.reader(io.StringIO(csv_bytes(table).decode(), newline=''))]
    odd[6] = '\\udce4.jpg' # half of a character
    assert [r[0] for r in rows[:5]] == ["'"]*5 and list(rows[5:]) == odd[5:] and [r[1:] for r in rows[:5]] == odd[:5]


def test_a_link_to_a_report_is_none(report, tmp_path):
    (tmp_path/'link').symlink_to(report)
    assert not is_report(tmp_path/'link')


# a Learner again

@pytest.mark.parametrize('presize', ['stock', 'composed'])
def test_a_learner_from_a_report(new, photos, tmp_path, presize):
    "It predicts a path, a text and an array, and it measures files with their labels"
    learn = new(presize)
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(2, 1e-2)
    again = report_learner(save_model(learn, tmp_path/'report'))
    files = sorted(photos.iterdir())
    pixels = np.asarray(Image.open(files[0]))
    with learn.no_bar(), again.no_bar():
        expected = learn.predict(files[0])
        for photo in (files[0], str(files[0]), pixels):
            got = again.predict(photo)
            assert str(got[0]) == str(expected[0]) and int(got[1]) == int(expected[1])
            assert_close(got[2], expected[2])
        valid = [learn.dls.valid.items[i] for i in range(learn.dls.valid.n)]
        pairs = [(f, f.name.partition('_')[0]) for f in valid]
        dl = again.dls.test_dl(pairs, with_labels=True)
        assert_close(list(again.validate(dl=dl)), list(learn.validate()))
        interp = ClassificationInterpretation.from_learner(again, dl=dl)
        assert interp.confusion_matrix().sum() == len(valid)
    assert list(again.dls.vocab) == ['bright', 'dark'] and again.dls.prep == learn.dls.prep and not len(again.dls.train)


@pytest.mark.parametrize('head', ['fastai', 'linear'])
def test_training_goes_on_from_a_report(new, photos, tmp_path, head):
    learn = new(head=head)
    save_model(learn, tmp_path)
    again = report_learner(tmp_path, learn.dls)
    assert all(p.requires_grad for p in again.model.parameters())
    same(again.model.state_dict(), learn.model.state_dict())
    norms = [f for f in again.dls.after_batch.fs if isinstance(f, Normalize)]
    assert len(norms) == 1
    with again.no_bar(), again.no_logging(): again.fit_one_cycle(1, 1e-3)
    body = 'running_mean' if head == 'fastai' else '0.weight'
    moved = [k for k, v in learn.model.state_dict().items() if not v.equal(again.model.state_dict()[k])]
    assert any(k.startswith('0.') and body in k for k in moved)
    assert head == 'fastai' or not any('running' in k for k in moved), 'statistics of a linear head stay'
    assert load_model(save_model(again, tmp_path))[1]['vocab'] == ['bright', 'dark']


def test_loaders_with_other_breeds_are_refused(new, photos, tmp_path):
    save_model(new(), tmp_path)
    def renamed(*names): return SimpleNamespace(vocab=names, after_batch=SimpleNamespace(fs=[]))
    for names, words in ((['bright', 'pug'], 'pug is new'), (['bright'], 'dark is missing'),
                         (['dark', 'bright'], 'another order')):
        with pytest.raises(ValueError, match=words): report_learner(tmp_path, renamed(*names))


def test_loaders_with_another_normalize_are_refused(new, photos, tmp_path):
    save_model(new(), tmp_path)
    dls = pets_dls(photos, bs=6, size=48, item=64, device='cpu')
    dls.add_tfms([Normalize.from_stats([.1]*3, [.7]*3, cuda=False)], 'after_batch')
    with pytest.raises(ValueError, match='Normalize has another mean'): report_learner(tmp_path, dls)


def test_a_learner_of_a_vision_transformer(tmp_path):
    "It takes photos of one size alone, also when it is tried out"
    net, _ = make_model('vit_tiny_patch16_224', 2, head='linear')
    learn = stub(net, arch='vit_tiny_patch16_224', prep=Prep())
    learn.head = 'linear'
    again = report_learner(save_model(learn, tmp_path))
    with again.no_bar(): assert again.predict(np.zeros((300, 200, 3), np.uint8))[2].shape == (2,)


def test_the_learner_of_a_report_can_be_exported(new, tmp_path, photos):
    learn = report_learner(save_model(new(), tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        learn.export(tmp_path/'learner.pkl')
        again = load_learner(tmp_path/'learner.pkl')
    photo = sorted(photos.iterdir())[0]
    with learn.no_bar(), again.no_bar(): assert_close(again.predict(photo)[2], learn.predict(photo)[2])


def test_loaders_that_prepare_photos_otherwise_are_told_of(new, photos, tmp_path):
    "The loss was 14.8 instead of 0.21, without a word"
    save_model(new(), tmp_path)
    dls = pets_dls(photos, bs=6, size=64, item=80, fit='squish', num_workers=0, device='cpu', presize='stock')
    with pytest.warns(UserWarning, match='presize stock, the report composed; size 64, the report 48; fit squish, the report crop; item 80, the report 64'):
        report_learner(tmp_path, dls)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        report_learner(tmp_path, new(aug=dict(do_flip=False)).dls)


@pytest.mark.parametrize('default', [torch.float64, torch.float16])
@pytest.mark.parametrize('presize', ['stock', 'composed'])
def test_in_the_home_folder_and_whatever_the_default_type_is(new, photos, tmp_path, monkeypatch, presize, default):
    learn, file = new(presize), sorted(photos.iterdir())[0]
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setenv('USERPROFILE', str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert save_model(learn, '~/model') == tmp_path/'model' and os.listdir() == ['model']
    want = predict_pets('~/model', file, top=0)[0]
    torch.set_default_dtype(default)
    try:
        again = report_learner('~/model')
        with again.no_bar(): probs = again.predict(file)[2]
        pd.testing.assert_frame_equal(predict_pets('~/model', file, top=0)[0], want)
    finally: torch.set_default_dtype(torch.float32)
    assert probs.dtype == torch.float32
    assert_close(probs.numpy(), want.iloc[0, 3:].to_numpy(np.float32))
