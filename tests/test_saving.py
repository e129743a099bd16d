"A model on disk that is right or refused by name; a run that is killed anywhere and goes on to the same bits."
import json
import os
import pickle
import subprocess
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fastai.callback.channelslast import ChannelsLast
from fastai.vision.all import SGD, Adam, Callback, L, Normalize, OptimWrapper, imagenet_stats, load_learner, partial, ranger, set_seed
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from pet_breeds import saving
from pet_breeds.data import pets_dls
from pet_breeds.model import make_learner, make_model
from pet_breeds.saving import Checkpoint, load_model, read_checkpoint, restore, save_model, training_state

RUN = dict(arch='drawnet', epochs=2, lr=3e-3, files='c0ffee')


def same(a, b):
    "Equal to the last bit: all tensors, and all that is around them"
    parts = {}, {}
    assert saving._split(a, parts[0]) == saving._split(b, parts[1])
    assert_close(*parts, rtol=0, atol=0)


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    "Two breeds of noise, one dark and one bright"
    folder, rng = tmp_path_factory.mktemp('photos'), np.random.default_rng(0)
    for breed, light in (('dark', 0), ('bright', 120)):
        for i in range(12): Image.fromarray(rng.integers(light, light+130, (64, 64, 3), dtype=np.uint8)).save(folder/f'{breed}_{i}.png')
    return folder


@pytest.fixture
def new(photos):
    def new(presize='composed', seed=0, size=48, num_workers=0, **kwargs):
        set_seed(seed)
        dls = pets_dls(photos, bs=6, size=size, item=64, presize=presize, num_workers=num_workers, device='cpu')
        return make_learner(dls, weights='none', size=size, **kwargs)
    return new


# a model on disk

@pytest.fixture(scope='module')
def net(): return make_model('drawnet', 2, size=64)[0]


def stub(net, vocab=('bright', 'dark'), arch='drawnet', stats=imagenet_stats):
    "What `save_model` needs of a Learner"
    tfms = L(Normalize.from_stats(*stats, cuda=False)) if stats else L()
    return SimpleNamespace(head='fastai', model=net, arch=arch, dls=SimpleNamespace(vocab=vocab, after_batch=SimpleNamespace(fs=tfms)))


@pytest.fixture
def saved(net, tmp_path): return save_model(stub(net), tmp_path/'model', 'stock', item=64, size=64, min_scale=1.)


def refused(folder, *words):
    with pytest.raises(ValueError) as e: load_model(folder)
    assert type(e.value) is ValueError
    message = str(e.value)
    assert message.count('\n') == 0 and len(message) < 600 and str(folder) in message
    for word in words: assert word in message


def change(folder, **entries):
    "Edit model.json, with a digest that fits: what a deceiver would do"
    file = folder/'model.json'
    about = {**json.loads(file.read_text()), **entries}
    digest = saving._digest(json.dumps({k: v for k,v in about.items() if k != 'sha256'}), load_file(folder/'model.safetensors'))
    file.write_text(json.dumps({**about, 'sha256': digest}))


def test_there_and_back(net, saved):
    model, about = load_model(saved)
    same(dict(model.state_dict()), dict(net.state_dict()))
    assert not model.training
    assert about == dict(format='pet_breeds 1', arch='drawnet', head='fastai', vocab=['bright', 'dark'], mean=pytest.approx(imagenet_stats[0]), std=pytest.approx(imagenet_stats[1]),
                         prep=dict(presize='stock', item=64, size=64, min_scale=1.))
    assert sorted(os.listdir(saved)) == ['model.json', 'model.safetensors']


@pytest.mark.skipif(os.name != 'posix', reason='permissions of POSIX')
def test_others_may_read_it_as_the_umask_says(saved):
    umask = os.umask(0)
    os.umask(umask)
    assert all((saved/f).stat().st_mode & 0o777 == 0o666 & ~umask for f in os.listdir(saved))


def test_channels_last_is_saved(new, tmp_path):
    learn = new()
    learn.model.to(memory_format=torch.channels_last)
    model, _ = load_model(save_model(learn, tmp_path, item=64, size=48))
    same(dict(model.state_dict()), dict(learn.model.state_dict()))


@pytest.mark.parametrize('arch', ['drawnut', 'resnet50.no_such_tag', 'hf-hub:someone/net', '\ud800\n', ''])
def test_an_unknown_architecture(saved, arch):
    change(saved, arch=arch)
    refused(saved, 'model.json does not describe a model of ours')


@pytest.mark.parametrize('entry, value', [
    ('format', 'pet_breeds 2'), ('format', None), ('arch', 7), ('arch', None), ('head', 'round'),
    ('vocab', []), ('vocab', 'ab'), ('vocab', ['dark', 'dark']), ('vocab', ['dark', 1]), ('vocab', ['dark', None]), ('vocab', {'dark': 0, 'bright': 1}),
    ('mean', [.5, .5]), ('mean', [.5, .5, '.5']), ('mean', [.5, .5, float('nan')]), ('mean', [.5, .5, 10**400]), ('mean', [True]*3), ('std', [.2, .2, 0]), ('std', [.2, .2, -1]),
    ('std', .2), ('prep', None), ('prep', []), ('comment', 'hello')])
def test_an_entry_of_another_kind(saved, entry, value):
    change(saved, **{entry: value})
    refused(saved, 'model.json', entry)


@pytest.mark.parametrize('entry, value', [
    ('presize', 'none'), ('presize', None), ('item', 0), ('item', 64.), ('item', True), ('size', -1), ('size', 10**9), ('size', '64'), ('min_scale', 0), ('min_scale', 1.5),
    ('min_scale', float('inf')), ('min_scale', None), ('more', 1)])
def test_a_preparation_of_another_kind(saved, entry, value):
    prep = json.loads((saved/'model.json').read_text())['prep']
    change(saved, prep={**prep, entry: value})
    refused(saved, 'model.json', entry)


def test_a_missing_entry(saved):
    about = json.loads((saved/'model.json').read_text())
    for entry in about:
        (saved/'model.json').write_text(json.dumps({k: v for k,v in about.items() if k != entry}))
        refused(saved, f'{entry} is missing')


def test_the_weights_of_another_model(saved, tmp_path, net):
    other = save_model(stub(make_model('drawnet', 2, size=64)[0]), tmp_path/'other', 'stock', 64, 64, 1.)
    os.replace(other/'model.safetensors', saved/'model.safetensors')
    refused(saved, 'model.safetensors', 'model.json', "don't belong together")
    save_file(make_model('drawnet', 3, size=64)[0].state_dict(), saved/'model.safetensors')
    refused(saved, 'model.safetensors does not hold the weights that model.json describes', 'size mismatch')


def test_a_description_without_its_digest_is_not_enough(saved):
    page = (saved/'model.json').read_text()
    (saved/'model.json').write_text(page.replace('bright', 'brighter'))
    refused(saved, "don't belong together")
    (saved/'model.json').write_text(json.dumps(json.loads(page), indent=4))
    load_model(saved)


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


@pytest.mark.parametrize('name', ['model.json', 'model.safetensors'])
@pytest.mark.parametrize('data', [pytest.param(data, id=what) for what, data in hostile()])
def test_hostile_bytes(name, data, saved):
    (saved/name).write_bytes(data)
    refused(saved, name)


@pytest.mark.parametrize('name', ['model.json', 'model.safetensors'])
def test_what_is_missing(name, saved):
    (saved/name).unlink()
    with pytest.raises(FileNotFoundError, match=name): load_model(saved)
    (saved/name).mkdir()
    with pytest.raises(FileNotFoundError, match=name): load_model(saved)


def test_nan_is_neither_written_nor_read(net, saved, tmp_path):
    sick = make_model('drawnet', 2, size=64)[0]
    with torch.no_grad(): sick[0][0][0][0].weight[0, 0, 0, 0] = float('nan')
    with pytest.raises(ValueError, match='0.0.0.0.weight holds nan'): save_model(stub(sick), tmp_path/'sick', 'stock', 64, 64, 1.)
    assert not (tmp_path/'sick').exists()
    save_file(sick.state_dict(), saved/'model.safetensors')
    refused(saved, 'model.safetensors', '0.0.0.0.weight holds nan')


def test_what_would_be_refused_is_not_written(net, tmp_path):
    for learn, word in ((stub(net, vocab=['a', 'a']), 'vocab'), (stub(net, stats=None), 'make_learner'), (stub(net, arch=None), 'arch')):
        with pytest.raises(ValueError, match=word): save_model(learn, tmp_path/'no', 'stock', 64, 64, 1.)
    with pytest.raises(ValueError, match="presize is 'none'"): save_model(stub(net), tmp_path/'no', 'none')
    assert not (tmp_path/'no').exists()


@pytest.mark.parametrize('presize', ['stock', 'composed'])
def test_fastai_can_still_export(new, tmp_path, photos, presize):
    learn, photo = new(presize), sorted(photos.iterdir())[0]
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(1, 3e-3, cbs=Checkpoint(tmp_path/'run', RUN))
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # that a pickle is not safe
        learn.export(tmp_path/'learner.pkl')
        again = load_learner(tmp_path/'learner.pkl')
    with learn.no_bar(), again.no_bar(): same(again.predict(photo)[2], learn.predict(photo)[2])


# writing

def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    file = tmp_path/'run [1]*'
    saving._write(file, b'old')
    (tmp_path/'.run [1]*-1.part').write_bytes(b'by one that was killed')
    (tmp_path/'.run 1-1.part').write_bytes(b'of another file')
    with monkeypatch.context() as m:
        m.setattr(os, 'replace', lambda *a: (_ for _ in ()).throw(OSError(28, 'No space left on device')))
        with pytest.raises(OSError) as e: saving._write(file, b'new')
    assert e.value.filename == str(file) and e.value.errno == 28
    assert file.read_bytes() == b'old'
    assert sorted(os.listdir(tmp_path)) == ['.run 1-1.part', 'run [1]*']


# a run that goes on

class Stopped(KeyboardInterrupt): pass


class StopAfter(Checkpoint):
    "As if killed when so many epochs are on disk"
    def __init__(self, n, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.stop_after = n

    def after_epoch(self):
        super().after_epoch()
        if sum(len(f['rows']) for f in self.fits) == self.stop_after: raise Stopped


def fine_tune(learn, *cbs):
    "Two fits: one epoch of the head, two of all; returns the rows of both"
    with learn.no_bar(), learn.no_logging():
        learn.freeze()
        learn.fit_one_cycle(1, slice(3e-3), pct_start=.99, cbs=cbs)
        rows = list(map(list, learn.recorder.values))
        learn.unfreeze()
        learn.fit_one_cycle(2, slice(1e-5, 1e-3), pct_start=.3, div=5., cbs=cbs)
    return rows + list(map(list, learn.recorder.values))


def ends(learn):
    "All that two runs must have in common"
    r = learn.recorder
    return dict(state=training_state(learn), hps=r.hps, lrs=r.lrs, losses=r.losses, iters=r.iters, learns=[p.requires_grad for p in learn.model.parameters()])


@pytest.mark.parametrize('n, presize', [(1, 'composed'), (2, 'stock'), (2, 'composed'), (3, 'stock')])
def test_stopped_and_resumed_is_the_same_run(new, tmp_path, n, presize):
    "After the head's only epoch, in the middle of the second fit, and when all is done"
    file, whole = tmp_path/'new folder'/'run.safetensors', new(presize)
    rows, after = fine_tune(whole, Checkpoint(tmp_path/'other', RUN)), ends(whole)
    with pytest.raises(Stopped): fine_tune(new(presize), StopAfter(n, file, RUN))
    assert [len(f['rows']) for f in read_checkpoint(file, RUN)['fits']] == [1, n-1][:1 if n == 1 else 2]
    again = new(presize, seed=9)
    assert fine_tune(again, Checkpoint(file, RUN, resume=True)) == rows
    same(ends(again), after)
    same(read_checkpoint(file, RUN)['state'], read_checkpoint(tmp_path/'other', RUN)['state'])


def test_a_checkpoint_changes_nothing(new, tmp_path):
    plain = new()
    rows, after = fine_tune(plain), ends(plain)
    kept = new()
    assert fine_tune(kept, Checkpoint(tmp_path/'run', RUN)) == rows
    same(ends(kept), after)


@pytest.mark.skipif(sys.platform in ('win32', 'darwin'), reason='fastai starts no worker processes here')
def test_with_worker_processes(new, tmp_path):
    whole = new('stock', num_workers=2)
    rows, after = fine_tune(whole), ends(whole)
    with pytest.raises(Stopped): fine_tune(new('stock', num_workers=2), StopAfter(2, tmp_path/'run', RUN))
    again = new('stock', seed=9, num_workers=2)
    assert fine_tune(again, Checkpoint(tmp_path/'run', RUN, resume=True)) == rows
    same(ends(again), after)


@pytest.mark.parametrize('opt_func', [partial(SGD, mom=.9), ranger, partial(Adam, decouple_wd=False)], ids=['SGD', 'ranger', 'Adam'])
def test_other_optimizers_in_channels_last(new, tmp_path, opt_func):
    "Their state comes back in the memory order of the weights, so that the arithmetic is the same"
    learner = partial(new, opt_func=opt_func, cbs=ChannelsLast())
    whole = learner()
    rows, after = fine_tune(whole), ends(whole)
    with pytest.raises(Stopped): fine_tune(learner(), StopAfter(2, tmp_path/'run', RUN))
    again = learner(seed=9)
    assert fine_tune(again, Checkpoint(tmp_path/'run', RUN, resume=True)) == rows
    same(ends(again), after)
    strides = [[v.stride() for _,_,s,_ in learn.opt.all_params() for v in s.values() if torch.is_tensor(v)] for learn in (whole, again)]
    assert strides[0] == strides[1] and any(s[1] == 1 for s in strides[0] if len(s) == 4)


def test_a_wrapped_optimizer_is_refused_at_once(new, tmp_path):
    learn = new(opt_func=partial(OptimWrapper, opt=torch.optim.SGD))
    with pytest.raises(ValueError, match='opt_func'), learn.no_bar(): learn.fit_one_cycle(1, cbs=Checkpoint(tmp_path/'run', RUN))


def test_nothing_is_trained_when_all_is_done(new, tmp_path):
    whole = new()
    rows = fine_tune(whole, Checkpoint(tmp_path/'run', RUN))
    class NoBatch(Callback):
        def before_batch(self): raise AssertionError('a batch was made')
    again = new(seed=9)
    assert fine_tune(again, Checkpoint(tmp_path/'run', RUN, resume=True), NoBatch()) == rows
    same(dict(again.model.state_dict()), dict(whole.model.state_dict()))


def test_the_table_begins_with_the_rows_of_before(new, tmp_path):
    with pytest.raises(Stopped): fine_tune(new(), StopAfter(2, tmp_path/'run', RUN))
    learn, logged = new(seed=9), []
    learn.logger = logged.append
    with learn.no_bar():
        learn.freeze()
        checkpoint = Checkpoint(tmp_path/'run', RUN, resume=True)
        learn.fit_one_cycle(1, cbs=checkpoint)
        learn.unfreeze()
        learn.fit_one_cycle(2, cbs=checkpoint)
    fits = checkpoint.saved['fits']
    assert [row[0] for row in logged] == [0, 0, 1]
    assert [list(row[1:-1]) for row in logged[:2]] == [fits[0]['rows'][0], fits[1]['rows'][0]]


def test_the_scaler_of_mixed_precision_goes_along(new, tmp_path):
    class Scaler(Callback):
        "As fastai's MixedPrecision: a new scaler in every fit, that adapts"
        order = 10
        def before_fit(self): self.learn.scaler = torch.amp.GradScaler('cpu', init_scale=4., growth_interval=2)
        def after_batch(self):
            if self.training: self.learn.scaler.load_state_dict({**self.learn.scaler.state_dict(), 'scale': self.learn.scaler.get_scale()*2})
        def after_fit(self):
            self.last = self.learn.scaler.get_scale()
            self.learn.scaler = None
    whole = new(cbs=Scaler())
    fine_tune(whole)
    with pytest.raises(Stopped): fine_tune(new(cbs=Scaler()), StopAfter(2, tmp_path/'run', RUN))
    again = new(seed=9, cbs=Scaler())
    fine_tune(again, Checkpoint(tmp_path/'run', RUN, resume=True))
    assert again.scaler is None and [s.last for s in again.cbs if isinstance(s, Scaler)] == [s.last for s in whole.cbs if isinstance(s, Scaler)]


def test_only_the_first_process_writes(new, tmp_path, monkeypatch):
    monkeypatch.setattr(saving, 'rank_distrib', lambda: 1)
    fine_tune(new(), Checkpoint(tmp_path/'run', RUN))
    assert not (tmp_path/'run').exists()


def test_loaders_that_a_distributed_run_has_wrapped(new):
    learn = new()
    learn.dls.loaders = [SimpleNamespace(dl=dl) for dl in learn.dls.loaders]  # as in fastai's DistributedDL, which has no rng
    state, draw = saving._get_random(learn), lambda: [wrapped.dl.rng.random() for wrapped in learn.dls.loaders]
    drawn = draw()
    restore(learn, {'random': state})
    assert draw() == drawn


@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA here')
def test_on_a_gpu_with_mixed_precision(new, tmp_path):
    def learner(seed=0):
        learn = new(seed=seed).to_fp16()
        learn.dls.to('cuda')
        return learn
    rows = fine_tune(learner())
    with pytest.raises(Stopped): fine_tune(learner(), StopAfter(2, tmp_path/'run', RUN))
    again = learner(seed=9)
    resumed = fine_tune(again, Checkpoint(tmp_path/'run', RUN, resume=True))
    assert {v.device.type for _,_,s,_ in again.opt.all_params() for v in s.values() if torch.is_tensor(v)} == {'cuda'}
    assert_close(torch.tensor(resumed), torch.tensor(rows), rtol=.05, atol=.05)


# checkpoints that do not fit

@pytest.fixture(scope='module')
def half(photos, tmp_path_factory):
    "The bytes of a checkpoint after two of three epochs"
    file = tmp_path_factory.mktemp('half')/'run'
    set_seed(0)
    learn = make_learner(pets_dls(photos, bs=6, size=48, item=64, device='cpu'), weights='none', size=48)
    with pytest.raises(Stopped): fine_tune(learn, StopAfter(2, file, RUN))
    return file.read_bytes()


@pytest.fixture
def file(half, tmp_path):
    (tmp_path/'run.safetensors').write_bytes(half)
    return tmp_path/'run.safetensors'


@pytest.mark.parametrize('entry, value, words', [('epochs', 8, 'epochs 2, not 8'), ('arch', 'resnet18', "arch 'drawnet', not 'resnet18'"), ('files', 'beef', "files 'c0ffee', not 'beef'"),
                                                 ('size', 64, 'size None, not 64')])
def test_another_run_is_refused_by_name(file, entry, value, words):
    with pytest.raises(ValueError) as e: Checkpoint(file, {**RUN, entry: value}, resume=True)
    assert words in str(e.value) and str(file) in str(e.value) and 'start again without resume' in str(e.value)


def test_an_entry_that_is_no_longer_given(file):
    with pytest.raises(ValueError, match='lr 0.003, not None'): read_checkpoint(file, {k: v for k,v in RUN.items() if k != 'lr'})


def test_the_fits_must_be_as_long_as_before(file, new):
    learn = new()
    with pytest.raises(ValueError, match='epochs 1, not 3'), learn.no_bar(): learn.fit_one_cycle(3, cbs=Checkpoint(file, RUN, resume=True))


def test_a_run_that_json_cannot_hold(file):
    with pytest.raises(TypeError, match='run: .*PosixPath|run: .*WindowsPath'): Checkpoint(file, {'file': file})
    with pytest.raises(TypeError, match='run: expected a dictionary'): Checkpoint(file, [1])


def test_tuples_in_a_run(tmp_path):
    saving._write_checkpoint(tmp_path/'run', run=saving._json({'lr': (1e-3, 2e-3)}), fits=[dict(epochs=1, rows=[])], state=dict.fromkeys(saving._GET, {}))
    assert read_checkpoint(tmp_path/'run', {'lr': (1e-3, 2e-3)})['run'] == {'lr': [1e-3, 2e-3]}


def test_none_there(tmp_path):
    with pytest.raises(FileNotFoundError, match='start without resume'): Checkpoint(tmp_path/'none', RUN, resume=True)
    with pytest.raises(FileNotFoundError): read_checkpoint(tmp_path, RUN)


def test_another_learner(file, photos):
    learn = make_learner(pets_dls(photos, bs=6, size=64, item=64, device='cpu'), 'resnet18', weights='none', size=64)
    with pytest.raises(ValueError) as e: fine_tune(learn, Checkpoint(file, RUN, resume=True))
    assert f'{file} does not fit this Learner' in str(e.value)


@pytest.mark.parametrize('data', [pytest.param(data, id=what) for what, data in hostile()])
def test_hostile_checkpoints(file, data):
    file.write_bytes(data)
    with pytest.raises(ValueError, match='is not a whole checkpoint of ours') as e: read_checkpoint(file, RUN)
    assert str(file) in str(e.value)


@pytest.mark.parametrize('saved', [{}, {'run': [], 'fits': [], 'state': {}}, {'run': RUN, 'fits': [{}], 'state': {}}, {'run': RUN, 'fits': [dict(epochs=1, rows=[[], []])], 'state': {}},
                                   {'run': RUN, 'fits': [dict(epochs=1, rows=[])], 'state': {'model': {}}}, {'run': RUN, 'fits': [], 'state': dict.fromkeys(saving._GET, {})},
                                   {'run': RUN, 'fits': [dict(epochs=1, rows=[.5])], 'state': dict.fromkeys(saving._GET, {})}])
def test_signed_but_senseless(saved, tmp_path):
    saving._write_checkpoint(tmp_path/'run', **saved)
    with pytest.raises(ValueError, match='is not a whole checkpoint of ours'): read_checkpoint(tmp_path/'run', RUN)


def test_restore_leaves_alone_what_is_frozen(new):
    learn = new()
    learn.unfreeze()
    state = training_state_of(learn)
    learn.freeze()
    before = [p.requires_grad for p in learn.model.parameters()]
    restore(learn, state)
    assert [p.requires_grad for p in learn.model.parameters()] == before and not all(before)


def training_state_of(learn):
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(1)
    return training_state(learn)


# kill -9

KILLED = '''
import os, random, signal, sys, time, traceback
import torch
from pathlib import Path
from fastai.vision.all import set_seed
from pet_breeds.data import pets_dls
from pet_breeds.model import make_learner
from pet_breeds.saving import Checkpoint, read_checkpoint
photos, out = map(Path, sys.argv[1:])
RUN = dict(epochs=5)

def train(presize, file, before=lambda: None):
    torch.set_num_threads(1)
    set_seed(int(time.time()) if file.exists() else 0)
    learn = make_learner(pets_dls(photos, bs=6, size=48, item=64, presize=presize, device='cpu', num_workers=0), weights='none', size=48)
    before()
    checkpoint = Checkpoint(file, RUN, resume=file.exists())
    with learn.no_bar(), learn.no_logging():
        learn.freeze()
        learn.fit_one_cycle(1, 3e-3, cbs=checkpoint)
        learn.unfreeze()
        learn.fit_one_cycle(4, 3e-3, cbs=checkpoint)

def start(*args):
    if pid := os.fork(): return pid
    try: train(*args)
    except BaseException: traceback.print_exc(); os._exit(1)
    os._exit(0)

def end(pid, expected):
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) in expected

def epochs(file): return sum(len(f['rows']) for f in read_checkpoint(file, RUN)['fits']) if file.exists() else 0

def die_at(function):
    def patch():
        def die(*args): os.kill(os.getpid(), signal.SIGKILL)
        setattr(os, function, die)
    return patch

for presize in ('stock', 'composed'):
    whole, file = out/f'{presize}-whole', out/f'{presize}-killed'
    begin = time.time()
    end(start(presize, whole), [0])
    seconds, done, log = time.time()-begin, 0, []
    for how in ('fsync', 'replace'):
        end(start(presize, file, die_at(how)), [-signal.SIGKILL])
        assert epochs(file) == done, how
        parts = [f.name for f in out.iterdir() if f.suffix == '.part']
        assert len(parts) == 1, parts
        for _ in range(2):
            wait = random.uniform(0, .7*seconds)
            pid = start(presize, file)
            time.sleep(wait)
            os.kill(pid, signal.SIGKILL)
            end(pid, [0, -signal.SIGKILL])
            log.append((round(wait, 3), epochs(file)))
            assert done <= epochs(file) <= 5, log
            done = epochs(file)
        if done == 5: break
    end(start(presize, file), [0])
    print(presize, round(seconds, 2), log)
assert not [f for f in out.iterdir() if f.suffix == '.part']
'''


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs POSIX processes')
def test_kill_9_at_any_moment(photos, tmp_path, root):
    "Killed at random moments and in the middle of a write, a run ends with the same weights, rows and random states"
    done = subprocess.run([sys.executable, '-c', KILLED, photos, tmp_path], cwd=root, env={**os.environ, 'OMP_NUM_THREADS': '1'}, capture_output=True, text=True, timeout=300)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    for presize in ('stock', 'composed'):
        whole, killed = (read_checkpoint(tmp_path/f'{presize}-{how}', dict(epochs=5)) for how in ('whole', 'killed'))
        assert whole['fits'] == killed['fits'] and [len(f['rows']) for f in whole['fits']] == [1, 4]
        same(killed['state'], whole['state'])
