"""Whatever stands in a file of ours: it is read as it should be, or refused in one line that names it. Nothing is run.

Of every file many mutations (twenty times as many with PET_BREEDS_LONG set), half of them by a deceiver, who makes the
digest fit.
`metrics.json` is not here: nothing of ours reads it, `is_report` only looks whether it is there."""
import json
import os
import shutil
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from fastai.vision.all import CrossEntropyLossFlat, Learner
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors.torch import save, save_file
from test_saving import stub
from tiny import is_report
from torch import nn

from pet_breeds import quiz, saving
from pet_breeds.batches import PhotoCache, cache_photos
from pet_breeds.checkpoint import Checkpoint, read_checkpoint
from pet_breeds.data import pets_dls
from pet_breeds.drawn import draw_pets
from pet_breeds.model import drawnet, make_model
from pet_breeds.progress import progress_file
from pet_breeds.saving import load_model, save_model
from pet_breeds.weights import read_tensors

LONG = bool(os.environ.get('PET_BREEDS_LONG'))
RUN = dict(arch='drawnet', epochs=2)


# what must not happen meanwhile

FORBIDDEN = 'socket.connect', 'socket.getaddrinfo', 'pickle.find_class', 'os.system', 'os.exec', 'subprocess.Popen'
seen, watching = [], []

def watch(event, args):
    if watching and event in FORBIDDEN: seen.append((event, args))

sys.addaudithook(watch)


def peak():
    "The most memory since the last reset, in MB, where Linux tells"
    status = Path('/proc/self/status')
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1])/1024 for line in lines if line.startswith('VmHWM')), 0)


@pytest.fixture(autouse=True)
def harmless():
    "No request, no pickle, no command, and no more memory than allowed"
    if Path('/proc/self/clear_refs').exists(): Path('/proc/self/clear_refs').write_text('5')
    before, seen[:] = peak(), []
    watching.append(True)
    yield
    watching.clear()
    assert seen == []
    assert peak()-before < 1000 # a network of 600 MB, the most that is made, while most of one before is still there


def fuzz(n, long=20):
    "A given, `n` times, or `long` times as often"
    return settings(max_examples=n*(long if LONG else 1), deadline=None, suppress_health_check=list(HealthCheck))


def refused(e, file, kinds=(ValueError, FileNotFoundError)):
    "One of our own errors: a short line without signs that a terminal obeys, and with the file's name"
    text = str(e)
    assert type(e) in kinds and text.isprintable() and len(text) < 600 and file.name in text, repr(e)


# mutations

BITS = [b'['*100_000, b'{"a":'*50_000, b'9'*5000, b'NaN', b'-Infinity', b'1e999', b'\0', b'\xff', b'"', b',', b'-',
        b'\\ud800', b'\\u001b[31m', b'']
ODD = [10**400, 2**63, -2**63, 2**31, 10**9, 1e-320, '\ud800', 'a\n\x1b[31mb\u2028', 'x'*5000, [], {}, [[]], [1, 2],
       {'a': {}}, ['a']*1000, list(range(100))]
JUNK = st.one_of(st.none(), st.booleans(), st.integers(), st.integers(-2, 3), st.floats(), st.text(max_size=9),
                 st.sampled_from(ODD),
                 st.integers(1, 900).map(lambda depth: json.loads('['*depth+']'*depth)))
byte_edit = st.tuples(st.sampled_from(['flip', 'delete', 'double', 'insert', 'cut']), st.booleans(),
                      st.floats(0, .999), st.integers(1, 40), st.sampled_from(BITS))
tree_edit = st.tuples(st.lists(st.integers(0, 200), min_size=1, max_size=6),
                      st.sampled_from(['replace', 'delete', 'add', 'move', 'rename']), JUNK)
some_bytes, some_tree = st.lists(byte_edit, min_size=1, max_size=3), st.lists(tree_edit, min_size=1, max_size=3)
mutation = st.one_of(some_bytes.map(lambda edits: ('bytes', edits)), some_tree.map(lambda edits: ('tree', edits)))


def spoiled(data, edits, head):
    "`data` with bytes changed, removed, repeated, added or cut off, half of them among the first `head`"
    data = bytearray(data)
    for how, front, where, n, bit in edits:
        i = int(where*min(len(data), head if front else len(data)))
        if how == 'flip' and data: data[i] ^= 1 << n % 8
        elif how == 'delete': del data[i:i+n]
        elif how == 'double': data[i:i] = data[i:i+n]
        elif how == 'insert': data[i:i] = bit
        elif how == 'cut': del data[i+1:]
    return bytes(data)


def grown(tree, steps, how, junk):
    "`tree` with `junk` in it, or without something, where `steps` lead; 'move' puts a part of it elsewhere"
    if not isinstance(tree, (dict, list)) or not tree: return junk
    keys = list(tree) if isinstance(tree, dict) else range(len(tree))
    key, new = keys[steps[0] % len(keys)], tree.copy()
    if len(steps) > 1: new[key] = grown(tree[key], steps[1:], how, junk)
    elif how == 'delete': del new[key]
    elif how == 'replace': new[key] = junk
    elif how == 'rename' and isinstance(new, dict): new[junk if isinstance(junk, str) else 'other'] = new.pop(key)
    elif how == 'move': new[key] = tree[keys[(steps[0]+1) % len(keys)]]
    elif isinstance(new, dict): new[junk if isinstance(junk, str) else 'more'] = junk
    else: new.insert(steps[0] % len(keys), junk)
    return new


def changed(tree, edits):
    for steps, how, junk in edits: tree = grown(tree, steps, how, junk)
    return tree


def parts(data):
    "The head of a safetensors file and the numbers behind it"
    n = int.from_bytes(data[:8], 'little')
    return json.loads(data[8:8+n]), data[8+n:]


def whole(head, numbers):
    head = json.dumps(head).encode()
    return len(head).to_bytes(8, 'little')+head+numbers


def mutated(data, how, edits):
    "A safetensors file, spoiled in its bytes or in what its head says"
    if how == 'bytes': return spoiled(data, edits, 8+int.from_bytes(data[:8], 'little'))
    head, numbers = parts(data)
    return whole(changed(head, edits), numbers)


def mutated_page(data, kind, edits):
    if kind == 'bytes': return spoiled(data, edits, len(data))
    return json.dumps(changed(json.loads(data), edits)).encode()


def same(a, b): return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@contextmanager
def kept(*files):
    "The files as they are now, again afterwards; and no more than two seconds of work meanwhile"
    before, begin = {f: f.read_bytes() for f in files}, time.process_time()
    try: yield
    finally:
        for f, data in before.items(): f.write_bytes(data)
    assert time.process_time()-begin < 2


# model.safetensors

@pytest.fixture(scope='module')
def model(tmp_path_factory):
    "A folder with a model; timm is imported, so that no example has to wait for that"
    import timm
    assert timm.list_models()
    folder = save_model(stub(make_model('drawnet', 2, size=64)[0]), tmp_path_factory.mktemp('fuzz')/'model')
    return folder, *load_model(folder)


def sign(folder):
    "Make the digest fit, as far as the files can be read: what a deceiver would do"
    file = folder/'model.safetensors'
    try: tensors, meta = read_tensors(file)
    except Exception: return
    if 'about' not in meta: return
    meta['sha256'] = saving.digest(meta['about'], tensors)
    file.write_bytes(save(tensors, meta))


def load(model, deceiver):
    folder, net, about = model
    if deceiver: sign(folder)
    assert is_report(folder) in (True, False)
    try: got, got_about = load_model(folder)
    except Exception as e: return refused(e, folder)
    if not deceiver: assert got_about == about and same(got.state_dict(), net.state_dict())
    with torch.no_grad(): out = got(torch.full((1, 3, 64, 64), .5)).softmax(1)
    assert out.shape == (1, len(got_about['vocab'])) and got_about.keys() == about.keys() and not got.training
    assert out.isfinite().all() and got_about['bs'] > 0


@fuzz(150)
@given(edits=some_tree, deceiver=st.booleans())
def test_the_description_of_a_model(model, edits, deceiver):
    "In the header of the file, which stays whole"
    file = model[0]/'model.safetensors'
    with kept(file):
        tensors, meta = read_tensors(file)
        about = changed(json.loads(meta['about']), edits)
        file.write_bytes(save(tensors, {**meta, 'about': json.dumps(about)}))
        if deceiver or about != json.loads(meta['about']): load(model, deceiver)


ARCHS = ['resnet18', 'resnet18.a1_in1k', 'resnet18.none', 'hf-hub:a/b', 'hf_hub:a/b', 'local-dir:/',
         'resnet18.hf-hub:a/b', 'file:///x', 'vit_b_16', 'convnext_large', 'eva_giant_patch14_560', 'swin_t',
         'squeezenet1_1', 'regnet_y_128gf', 'vit_gigantic_patch14_224', 'vgg19', 'inception_v3', 'maxvit_t',
         'resnet10t', '../drawnet', 'drawnet\0']
OTHER = st.one_of(
    st.tuples(st.just('arch'), st.sampled_from(ARCHS)), st.tuples(st.just('size'), st.integers(-1, 2049)),
    st.tuples(st.just('item'), st.integers(-1, 9000)), st.tuples(st.just('format'), JUNK),
    st.tuples(st.just('head'), st.sampled_from(['linear', 'fastai', ''])))


@fuzz(10, long=100)
@example(1, [('arch', 'hf-hub:timm/resnet18.a1_in1k')]).via('asks the network if timm sees it')
@example(2, [('arch', 'vit_giant_patch14_224')]).via('a billion weights')
@example(2, [('arch', 'vgg11'), ('size', 2048)]).via('gigabytes for one photo')
@example(2, [('size', 2048), ('item', 8192)]).via('gigabytes for a few photos')
@example(100_000, []).via('a head for as many breeds as a page holds')
@example(100_000, [('arch', 'vgg11'), ('head', 'linear')]).via('a head of 300 MB')
@given(n=st.integers(1, 1000), other=st.lists(OTHER, max_size=3))
def test_a_description_of_another_model(model, n, other):
    "Right in form and signed: as much memory as the weights beside it need, and no more time"
    file = model[0]/'model.safetensors'
    with kept(file):
        tensors, meta = read_tensors(file)
        about = json.loads(meta['about'])
        about['vocab'] = [f'{i:x}' for i in range(n)]
        for key, value in other: (about['prep'] if key in about['prep'] else about)[key] = value
        file.write_bytes(save(tensors, {**meta, 'about': json.dumps(about)}))
        load(model, deceiver=True)


SPOILED = st.tuples(st.integers(0, 200), st.sampled_from([float('nan'), float('inf'), -1., 1e38, -1e38, 1e-38, 0.]))


@fuzz(60)
@given(spoiled=st.lists(SPOILED, min_size=1, max_size=3))
def test_numbers_that_make_no_sense(model, spoiled):
    "Signed: a model that is taken gives probabilities"
    file = model[0]/'model.safetensors'
    with kept(file):
        tensors, meta = read_tensors(file)
        for i, value in spoiled:
            name = sorted(tensors)[i % len(tensors)]
            if tensors[name].is_floating_point(): tensors[name] = torch.full_like(tensors[name], value)
        file.write_bytes(save(tensors, meta))
        load(model, deceiver=True)


@fuzz(150)
@given(how=mutation, deceiver=st.booleans())
def test_model_safetensors(model, how, deceiver):
    file = model[0]/'model.safetensors'
    with kept(file):
        file.write_bytes(mutated(file.read_bytes(), *how))
        load(model, deceiver)


# weights of one's own

@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    file = tmp_path_factory.mktemp('fuzz')/'weights.safetensors'
    save_file(drawnet().state_dict(), file)
    return file


@fuzz(150)
@given(how=mutation)
def test_given_weights(weights, how):
    with kept(weights):
        weights.write_bytes(mutated(weights.read_bytes(), *how))
        try: got, _ = make_model('drawnet', 3, weights, size=64)
        except Exception as e: return refused(e, weights)
        assert {p.dtype for p in got.parameters()} == {torch.float32}


# a checkpoint

@pytest.fixture(scope='module')
def learner(drawn):
    "A function that makes a Learner of a hundred weights, with an optimizer"
    def learner():
        dls = pets_dls(drawn, bs=8, size=8, item=16, device='cpu')
        net = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)),
                            nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, dls.c)))
        learn = Learner(dls, net, loss_func=CrossEntropyLossFlat(), metrics=[])
        learn.create_opt()
        return learn
    return learner


def train(learn, checkpoint):
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(2, cbs=checkpoint)


@pytest.fixture(scope='module')
def checkpoint(learner, tmp_path_factory):
    "A file after one epoch of two, and what is in it"
    class Half(Checkpoint):
        def after_epoch(self):
            super().after_epoch()
            raise KeyboardInterrupt
    file = tmp_path_factory.mktemp('fuzz')/'run.safetensors'
    with pytest.raises(KeyboardInterrupt): train(learner(), Half(file, RUN))
    return file, read_checkpoint(file, RUN)


def sign_checkpoint(file):
    head, numbers = parts(file.read_bytes())
    about = head.get('__metadata__')
    if not isinstance(about, dict) or not isinstance(about.get('about'), str): return
    about['sha256'] = saving.digest(about['about'], read_tensors(file)[0])
    file.write_bytes(whole(head, numbers))


def tell(file, edits):
    "Change what a checkpoint says beside its tensors"
    head, numbers = parts(file.read_bytes())
    about = json.loads(head['__metadata__']['about'])
    head['__metadata__']['about'] = json.dumps(changed(about, edits))
    file.write_bytes(whole(head, numbers))


@fuzz(150)
@given(how=mutation, deceiver=st.booleans(), inside=st.booleans())
def test_checkpoint(checkpoint, how, deceiver, inside):
    file, saved = checkpoint
    with kept(file):
        if inside and how[0] == 'tree': tell(file, how[1])
        else: file.write_bytes(mutated(file.read_bytes(), *how))
        if deceiver:
            try: sign_checkpoint(file)
            except Exception: pass
        try: got = read_checkpoint(file, RUN)
        except Exception as e: return refused(e, file)
        assert {k: v for k, v in got['run'].items() if v is not None} == RUN and got['state'].keys() == saved['state'].keys()
        if not deceiver: assert repr(got) == repr(saved)


@fuzz(100)
@given(edits=some_tree, tensors=st.booleans())
def test_a_signed_checkpoint_is_taken_up_or_refused(checkpoint, learner, edits, tensors):
    "Right in form, and senseless"
    file, learn = checkpoint[0], learner()
    with kept(file):
        if tensors: file.write_bytes(mutated(file.read_bytes(), 'tree', edits))
        else: tell(file, edits)
        try: sign_checkpoint(file)
        except Exception: return
        try:
            going_on = Checkpoint(file, RUN, resume=True)
            going_on.learn = learn
            going_on._go_on()
        except Exception as e: refused(e, file)


# the cache of photos

@pytest.fixture(scope='module')
def cache(drawn, tmp_path_factory):
    photos = sorted((drawn/'images').iterdir())[:4]
    return cache_photos(photos, 32, tmp_path_factory.mktemp('fuzz'), progress=False).file, photos


@fuzz(150)
@given(how=mutation)
def test_cache(cache, how):
    "It has no digest, for speed: a flipped bit may be a speckle, but never anything else than a photo"
    file, photos = cache
    with kept(file):
        file.write_bytes(mutated(file.read_bytes(), *how))
        try: got = PhotoCache(file, 32)
        except Exception as e: return refused(e, file)
        for photo in map(got.get, photos):
            if photo is None: continue
            assert photo.dtype == torch.uint8 and photo.ndim == 3 and photo.shape[2] == 3 and min(photo.shape) > 0


# drawn.json, progress.json

@pytest.fixture(scope='module')
def pug(tmp_path_factory):
    return draw_pets(tmp_path_factory.mktemp('fuzz')/'pugs', 2, breeds='pug', n_workers=1, progress=False)


@fuzz(150)
@given(how=mutation)
def test_drawn_json(pug, how):
    file = pug/'drawn.json'
    with kept(file):
        file.write_bytes(bad := mutated_page(file.read_bytes(), *how))
        try: assert draw_pets(pug, 2, breeds='pug', progress=False) == pug
        except Exception as e: refused(e, pug, [FileExistsError])
        assert file.read_bytes() == bad and len(list((pug/'images').iterdir())) == 2


@fuzz(200)
@given(how=mutation)
def test_progress_json(tmp_path_factory, how):
    home = tmp_path_factory.getbasetemp()/'fuzz-progress'
    with pytest.MonkeyPatch.context() as m:
        m.setenv('XDG_DATA_HOME', str(home))
        file = progress_file()
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            questions = dict(q7=dict(tries=3, solved=True), fr1=dict(tries=1, solved=False))
            file.write_bytes(mutated_page(json.dumps(dict(version=1, questions=questions)).encode(), *how))
            try: kept = quiz.read_progress()
            except Exception as e: return refused(e, file)
            assert quiz.show()
            quiz.q7._remember(True)
            assert quiz.read_progress() == {**kept, 'q7': dict(tries=kept.get('q7', {}).get('tries', 0)+1, solved=True)}
        finally: shutil.rmtree(home)
