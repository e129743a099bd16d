"A run that is killed anywhere and goes on to the same bits, as itself only, and a file of somebody else that stays."
import os
import subprocess
import sys
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import fork
from fastai.callback.channelslast import ChannelsLast
from fastai.vision.all import SGD, Adam, Callback, Metric, OptimWrapper, ranger, set_seed
from safetensors.torch import save_file
from test_saving import hostile, new, photos  # noqa: F401 (fixtures)
from torch.testing import assert_close

from pet_breeds import checkpoint
from pet_breeds.checkpoint import Checkpoint, is_checkpoint, read_checkpoint, refuse_another_run
from pet_breeds.checkpoint import restore, training_state
from pet_breeds.core import hidden_beside
from pet_breeds.data import pets_dls
from pet_breeds.model import make_learner, random_states

PHOTOS = [f'{b}/{i}.png\t{b}\t{1000+i}' for b in ('bright', 'dark') for i in range(12)]
RUN = dict(arch='drawnet', epochs=2, lr=3e-3, photos=PHOTOS, options=dict(size=48, bs=6))


def same(a, b):
    "Equal to the last bit: all tensors, and all that is around them"
    parts = {}, {}
    assert checkpoint._split(a, parts[0]) == checkpoint._split(b, parts[1])
    assert_close(*parts, rtol=0, atol=0)


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
    return dict(state=training_state(learn), hps=r.hps, lrs=r.lrs, losses=r.losses, iters=r.iters,
                learns=[p.requires_grad for p in learn.model.parameters()])


# another run

def refusal(file, **now):
    with pytest.raises(ValueError) as e: Checkpoint(file, {**RUN, **now}, resume=True)
    message = str(e.value)
    assert message.isprintable() and f'the checkpoint {file} was made with ' in message
    assert message.endswith(': start again without resume, or give the same')
    return message.partition(' was made with ')[2].rpartition(': start')[0]


@pytest.fixture(scope='module')
def half(photos, tmp_path_factory):
    "The bytes of a checkpoint after two of three epochs"
    file = tmp_path_factory.mktemp('half')/'run'
    set_seed(0)
    learn = make_learner(pets_dls(photos, bs=6, size=48, item=64, device='cpu'), weights='none')
    with pytest.raises(Stopped): fine_tune(learn, StopAfter(2, file, RUN))
    return file.read_bytes()


@pytest.fixture
def file(half, tmp_path):
    (tmp_path/'run.safetensors').write_bytes(half)
    return tmp_path/'run.safetensors'


@pytest.mark.parametrize('now, words', [
    (dict(epochs=8), 'epochs 2, not 8'), (dict(arch='resnet18'), "arch 'drawnet', not 'resnet18'"),
    (dict(options=dict(size=64, bs=6)), 'size 48, not 64'), (dict(options=dict(size=48)), 'bs 6, not None'),
    (dict(options=dict(size=64, bs=8), lr=1e-3), 'lr 0.003, not 0.001; size 48, not 64; bs 6, not 8'),
    (dict(more=1), 'more None, not 1'), (dict(options='none'), "options {'bs': 6, 'size': 48}, not 'none'"),
    (dict(arch='a\x1b[2J'), r"arch 'drawnet', not 'a\x1b[2J'")])
def test_whatever_differs_is_named(file, now, words): assert refusal(file, **now) == words


def test_every_photo_is_compared(file):
    "Its path, its label, its bytes, and whether it is there; also where labels were swapped"
    def swapped(line): return line.replace('\tdark', '\t?').replace('\tbright', '\tdark').replace('\t?', '\tbright')
    first = 'bright/0.png bright 1000'
    for photos, words in (
            ([*map(swapped, PHOTOS)], f'(24 of 24 differ): first {first}, now bright/0.png dark 1000'),
            ([PHOTOS[0].replace('1000', '9'), *PHOTOS[1:]], f'(1 of 24 differ): first {first}, now bright/0.png bright 9'),
            ([PHOTOS[0].replace('0.png', 'x.png'), *PHOTOS[1:]], f'(1 of 24 differ): first {first}, now absent'),
            (PHOTOS[1:], f'(1 of 24 differ): first {first}, now absent'),
            ([*PHOTOS[:5], 'new.png\tdark\t7', *PHOTOS[5:]], '(1 of 24 differ): first absent, now new.png dark 7'),
            ([*PHOTOS, PHOTOS[0]], f'(1 of 24 differ): first absent, now {first}'),
            (PHOTOS[::-1], 'in another order')):
        assert refusal(file, photos=photos) == f'photos {words}'
    few = dict(photos=PHOTOS[:2])
    with pytest.raises(ValueError, match=r'photos \(1 of 2 differ\)'):
        refuse_another_run(file, few, dict(photos=[PHOTOS[0], PHOTOS[1].replace('1001', '7')]))
    with pytest.raises(ValueError, match="vocab .'a', 'b'., not .'a', 'c'."):
        refuse_another_run(file, dict(vocab=['a', 'b']), dict(vocab=['a', 'c']))
    for was, now, words in (('0123456', '0123457', r'vocab \(1 of 7 differ\): first 6, now absent'),
                            ('012345', '012346', r"vocab \['0', '1', '2', '3', '4', '5'\], not \['0'")):
        with pytest.raises(ValueError, match=words):
            refuse_another_run(file, dict(vocab=list(was)), dict(vocab=list(now)))


def test_an_entry_that_is_no_longer_given(file):
    with pytest.raises(ValueError, match='lr 0.003, not None'):
        read_checkpoint(file, {k: v for k,v in RUN.items() if k != 'lr'})


def test_the_fits_must_be_as_long_as_before(file, new):
    learn = new()
    with pytest.raises(ValueError, match='epochs 1, not 3'), learn.no_bar():
        learn.fit_one_cycle(3, cbs=Checkpoint(file, RUN, resume=True))


def test_a_part_of_a_run_can_be_compared_before_anything_else(file):
    assert read_checkpoint(file)['run'] == RUN
    refuse_another_run(file, read_checkpoint(file)['run']['options'], dict(size=48, bs=6))
    now = dict(size=64, bs=6)
    with pytest.raises(ValueError, match='size 48, not 64'): refuse_another_run(file, RUN['options'], now)
    with pytest.raises(FileNotFoundError): read_checkpoint(file.with_name('none'))


def test_a_run_that_json_cannot_hold(file):
    with pytest.raises(TypeError, match='run: .*PosixPath|run: .*WindowsPath'): Checkpoint(file, {'file': file})
    with pytest.raises(TypeError, match='run: expected a dictionary'): Checkpoint(file, [1])


def senseless(file, **saved): checkpoint._write_checkpoint(file, **dict(bs=[6, 6]) | saved)


def test_tuples_in_a_run(tmp_path):
    run, state = {'lr': (1e-3, 2e-3)}, dict.fromkeys(checkpoint._GET, {})
    senseless(tmp_path/'run', run=checkpoint._json(run), fits=[dict(epochs=1, rows=[])], state=state)
    assert read_checkpoint(tmp_path/'run', run)['run'] == {'lr': [1e-3, 2e-3]}


def test_none_there(tmp_path):
    with pytest.raises(FileNotFoundError, match='start without resume'): Checkpoint(tmp_path/'none', RUN, resume=True)
    with pytest.raises(FileNotFoundError): read_checkpoint(tmp_path, RUN)


def test_another_learner(file, photos):
    learn = make_learner(pets_dls(photos, bs=6, size=64, item=64, device='cpu'), 'resnet18', weights='none')
    with pytest.raises(ValueError) as e: fine_tune(learn, Checkpoint(file, RUN, resume=True))
    assert f'{file} does not fit this Learner' in str(e.value)


@pytest.mark.parametrize('data', [pytest.param(data, id=what) for what, data in hostile()])
def test_hostile_checkpoints(file, data):
    file.write_bytes(data)
    with pytest.raises(ValueError, match='is not a whole checkpoint of ours') as e: read_checkpoint(file, RUN)
    assert str(file) in str(e.value)


SENSELESS = [{}, {'run': [], 'fits': [], 'state': {}}, {'run': RUN, 'fits': [{}], 'state': {}},
             {'run': RUN, 'fits': [dict(epochs=1, rows=[[], []])], 'state': {}},
             {'run': RUN, 'fits': [dict(epochs=1, rows=[])], 'state': {'model': {}}},
             {'run': RUN, 'fits': [], 'state': dict.fromkeys(checkpoint._GET, {})},
             {'run': RUN, 'fits': [dict(epochs=1, rows=[.5])], 'state': dict.fromkeys(checkpoint._GET, {})},
             *({'run': RUN, 'fits': [dict(epochs=1, rows=[])], 'state': dict.fromkeys(checkpoint._GET, {}), 'bs': bs}
               for bs in (None, 6, [0], ['6'], [True]))]


@pytest.mark.parametrize('saved', SENSELESS)
def test_signed_but_senseless(saved, tmp_path):
    senseless(tmp_path/'run', **saved)
    with pytest.raises(ValueError, match='is not a whole checkpoint of ours'): read_checkpoint(tmp_path/'run', RUN)


# what is not ours stays

def foreign(folder):
    "Files and folders of others, by name"
    (folder/'thesis.safetensors').write_bytes(b'years of work')
    (folder/'empty').touch()
    save_file({'a': torch.zeros(1)}, folder/'weights.safetensors')
    save_file({'a': torch.zeros(1)}, folder/'model.safetensors', {'about': '{"format": "pet_breeds 2"}'})
    (folder/'folder').mkdir()
    (folder/'nowhere').symlink_to(folder/'gone')
    (folder/'link').symlink_to(folder/'thesis.safetensors')
    return [f.name for f in folder.iterdir()]


@pytest.mark.skipif(os.name != 'posix', reason='links of POSIX')
def test_something_else_is_refused_before_training(tmp_path):
    names = foreign(tmp_path)
    before = {name: (tmp_path/name).read_bytes() for name in names if (tmp_path/name).is_file()}
    for name in names:
        with pytest.raises(FileExistsError) as e: Checkpoint(tmp_path/name, RUN)
        assert e.value.filename == str(tmp_path/name) and 'not ours' in e.value.strerror
        assert not is_checkpoint(tmp_path/name)
    assert sorted(os.listdir(tmp_path)) == sorted(names)
    assert {name: (tmp_path/name).read_bytes() for name in before} == before


def test_something_else_that_comes_in_between_stays(new, tmp_path):
    learn, file = new(), tmp_path/'run'
    keeping = Checkpoint(file, RUN)
    file.write_bytes(b'years of work')
    with pytest.raises(FileExistsError), learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(1, cbs=keeping)
    assert file.read_bytes() == b'years of work'


def test_ours_is_replaced(file, new):
    "Also one that cannot be read any more, as its header still tells whose it is"
    file.write_bytes(file.read_bytes()[:-1] + b'!')
    learn = new()
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(1, cbs=Checkpoint(file, RUN))
    assert len(read_checkpoint(file, RUN)['fits']) == 1


def test_what_a_living_writer_is_at_work_on_stays(file, tmp_path):
    "Another process keeps a hidden folder beside the same file; one that was killed has left one"
    code = f'''
import sys
from pathlib import Path
from pet_breeds.core import hidden_beside
with hidden_beside(Path({str(file)!r})) as work:
    (work/'new').write_text('half')
    print(work, flush=True)
    sys.stdin.read()
'''
    other = subprocess.Popen([sys.executable, '-c', code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        work = other.stdout.readline().strip()
        checkpoint._write_checkpoint(file, run={})
        assert os.listdir(work) and open(f'{work}/new').read() == 'half'
    finally:
        other.kill()
        other.wait()
    with hidden_beside(file): pass
    assert os.listdir(tmp_path) == ['run.safetensors']


def test_a_file_in_the_home_folder(new, tmp_path, monkeypatch):
    for name in ('HOME', 'USERPROFILE'): monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    learn = new()
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(1, cbs=Checkpoint('~/run', RUN))
    assert os.listdir(tmp_path) == ['run'] and is_checkpoint('~/run') and read_checkpoint('~/run')['run'] == RUN
    assert len(Checkpoint('~/run', RUN, resume=True).fits) == 1


# a run that goes on

@pytest.mark.parametrize('n, presize', [(1, 'composed'), (2, 'stock'), (2, 'composed'), (3, 'stock')])
def test_stopped_and_resumed_is_the_same_run(new, tmp_path, capsys, n, presize):
    "After the head's only epoch, in the middle of the second fit, and when all is done"
    file, whole = tmp_path/'new folder'/'run.safetensors', new(presize)
    rows, after = fine_tune(whole, Checkpoint(tmp_path/'other', RUN)), ends(whole)
    with pytest.raises(Stopped): fine_tune(new(presize), StopAfter(n, file, RUN))
    assert [len(f['rows']) for f in read_checkpoint(file, RUN)['fits']] == [1, n-1][:1 if n == 1 else 2]
    again = new(presize, seed=9)
    capsys.readouterr()
    assert fine_tune(again, Checkpoint(file, RUN, resume=True)) == rows
    assert capsys.readouterr().out == ('resuming after 1 epoch\n' if n == 1 else f'resuming after {n} epochs\n')
    same(ends(again), after)
    same(read_checkpoint(file, RUN)['state'], read_checkpoint(tmp_path/'other', RUN)['state'])


def test_a_checkpoint_changes_nothing(new, tmp_path):
    plain = new()
    rows, after = fine_tune(plain), ends(plain)
    kept = new()
    assert fine_tune(kept, Checkpoint(tmp_path/'run', RUN)) == rows
    same(ends(kept), after)
    assert os.listdir(tmp_path) == ['run']


@pytest.mark.skipif(sys.platform in ('win32', 'darwin'), reason='fastai starts no worker processes here')
def test_with_worker_processes(new, tmp_path):
    whole = new('stock', num_workers=2)
    rows, after = fine_tune(whole), ends(whole)
    with pytest.raises(Stopped): fine_tune(new('stock', num_workers=2), StopAfter(2, tmp_path/'run', RUN))
    again = new('stock', seed=9, num_workers=2)
    assert fine_tune(again, Checkpoint(tmp_path/'run', RUN, resume=True)) == rows
    same(ends(again), after)


OPTIMIZERS = dict(SGD=partial(SGD, mom=.9), ranger=ranger, Adam=partial(Adam, decouple_wd=False))


@pytest.mark.parametrize('opt_func', OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_other_optimizers_in_channels_last(new, tmp_path, opt_func):
    "Their state comes back in the memory order of the weights, so that the arithmetic is the same"
    learner = partial(new, opt_func=opt_func, cbs=ChannelsLast())
    whole = learner()
    rows, after = fine_tune(whole), ends(whole)
    with pytest.raises(Stopped): fine_tune(learner(), StopAfter(2, tmp_path/'run', RUN))
    again = learner(seed=9)
    assert fine_tune(again, Checkpoint(tmp_path/'run', RUN, resume=True)) == rows
    same(ends(again), after)
    strides = [[v.stride() for _,_,s,_ in learn.opt.all_params() for v in s.values() if torch.is_tensor(v)]
               for learn in (whole, again)]
    assert strides[0] == strides[1] and any(s[1] == 1 for s in strides[0] if len(s) == 4)


def test_a_wrapped_optimizer_is_refused_at_once(new, tmp_path):
    learn = new(opt_func=partial(OptimWrapper, opt=torch.optim.SGD))
    with pytest.raises(ValueError, match='opt_func'), learn.no_bar():
        learn.fit_one_cycle(1, cbs=Checkpoint(tmp_path/'run', RUN))


def test_nothing_is_trained_when_all_is_done(new, tmp_path):
    whole = new()
    rows = fine_tune(whole, Checkpoint(tmp_path/'run', RUN))

    class NoBatch(Callback):
        def before_batch(self): raise AssertionError('a batch was made')
    again = new(seed=9)
    assert fine_tune(again, Checkpoint(tmp_path/'run', RUN, resume=True), NoBatch()) == rows
    same(dict(again.model.state_dict()), dict(whole.model.state_dict()))


class Odd:
    def __str__(self): return 'odd'


METRICS = dict(yes=(True, True), text=('x', 'x'), vector=(torch.tensor([.5, 1]), [.5, 1]), array=(np.array([1, 2]), [1, 2]),
               number=(np.float32(.5), .5), several=((np.int64(1), None), [1, None]), other=(Odd(), 'odd'))


@pytest.mark.parametrize('value, kept', METRICS.values(), ids=METRICS)
def test_whatever_a_metric_gives_can_be_read_again(new, tmp_path, value, kept):
    class Given(Metric):
        def reset(self): pass
        def accumulate(self, learn): pass
        value = name = None
    Given.value, Given.name = value, 'given'
    with pytest.raises(Stopped): fine_tune(new(metrics=Given()), StopAfter(2, tmp_path/'run', RUN))
    assert [row[-1] for row in fine_tune(new(metrics=Given()), Checkpoint(tmp_path/'run', RUN, resume=True))][:2] == [kept]*2


def test_epochs_may_be_a_number_of_numpy(new, tmp_path):
    learn = new()
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(np.int64(1), cbs=Checkpoint(tmp_path/'run', RUN))
    assert read_checkpoint(tmp_path/'run', RUN)['fits'][0]['epochs'] == 1


def test_the_table_begins_with_the_rows_of_before(new, tmp_path):
    with pytest.raises(Stopped): fine_tune(new(), StopAfter(2, tmp_path/'run', RUN))
    learn, logged = new(seed=9), []
    learn.logger = logged.append
    with learn.no_bar():
        learn.freeze()
        going_on = Checkpoint(tmp_path/'run', RUN, resume=True)
        learn.fit_one_cycle(1, cbs=going_on)
        learn.unfreeze()
        learn.fit_one_cycle(2, cbs=going_on)
    fits = going_on.saved['fits']
    assert [row[0] for row in logged] == [0, 0, 1]
    assert [list(row[1:-1]) for row in logged[:2]] == [fits[0]['rows'][0], fits[1]['rows'][0]]


def test_the_scaler_of_mixed_precision_goes_along(new, tmp_path):
    class Scaler(Callback):
        "As fastai's MixedPrecision: a new scaler in every fit, that adapts"
        order = 10
        def before_fit(self): self.learn.scaler = torch.amp.GradScaler('cpu', init_scale=4., growth_interval=2)
        def after_batch(self):
            if not self.training: return
            scaler = self.learn.scaler
            scaler.load_state_dict({**scaler.state_dict(), 'scale': scaler.get_scale()*2})
        def after_fit(self):
            self.last = self.learn.scaler.get_scale()
            self.learn.scaler = None
    whole = new(cbs=Scaler())
    fine_tune(whole)
    with pytest.raises(Stopped): fine_tune(new(cbs=Scaler()), StopAfter(2, tmp_path/'run', RUN))
    again = new(seed=9, cbs=Scaler())
    fine_tune(again, Checkpoint(tmp_path/'run', RUN, resume=True))
    last = [[s.last for s in learn.cbs if isinstance(s, Scaler)] for learn in (again, whole)]
    assert again.scaler is None and last[0] == last[1]


@pytest.mark.parametrize('presize', ['stock', 'composed'])
def test_a_halved_batch_stays_halved(new, tmp_path, presize):
    "The memory was full, the batch was halved, the run was killed: it goes on with the batch that it had"
    def halved():
        learn = new(presize)
        for dl in learn.dls.loaders: dl.bs = 3
        return learn
    rows = fine_tune(halved())
    with pytest.raises(Stopped): fine_tune(halved(), StopAfter(2, tmp_path/'run', RUN))
    again = new(presize, seed=9)
    assert fine_tune(again, Checkpoint(tmp_path/'run', RUN, resume=True)) == rows
    assert [dl.bs for dl in again.dls.loaders] == [3, 3]


def test_a_batch_that_is_halved_again_stays_smaller(new, tmp_path):
    with pytest.raises(Stopped): fine_tune(new(), StopAfter(2, tmp_path/'run', RUN))
    again = new()
    for dl in again.dls.loaders: dl.bs = 2
    fine_tune(again, Checkpoint(tmp_path/'run', RUN, resume=True))
    assert [dl.bs for dl in again.dls.loaders] == [2, 2]


def test_only_the_first_process_writes(new, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, 'rank_distrib', lambda: 1)
    fine_tune(new(), Checkpoint(tmp_path/'run', RUN))
    assert not (tmp_path/'run').exists()


def test_only_the_first_process_takes_the_random_numbers(new, tmp_path, monkeypatch):
    learn = new()
    state = training_state(learn, 'random')
    torch.rand(1)
    before = random_states(learn.dls)
    monkeypatch.setattr(checkpoint, 'rank_distrib', lambda: 1)
    restore(learn, state)
    same(random_states(learn.dls), before)
    monkeypatch.undo()
    restore(learn, state)
    same(training_state(learn, 'random'), state)


def test_loaders_that_a_distributed_run_has_wrapped(new):
    learn = new()
    learn.dls.loaders = [SimpleNamespace(dl=dl) for dl in learn.dls.loaders]  # fastai's DistributedDL has no rng
    state, draw = random_states(learn.dls), lambda: [wrapped.dl.rng.random() for wrapped in learn.dls.loaders]
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
    devices = {v.device.type for _,_,s,_ in again.opt.all_params() for v in s.values() if torch.is_tensor(v)}
    assert devices == {'cuda'}
    assert_close(torch.tensor(resumed), torch.tensor(rows), rtol=.05, atol=.05)


def test_restore_leaves_the_rest_alone(new):
    "What is frozen, the modes, the file's own state, and the random generators if they are not asked for"
    learn = new()
    learn.unfreeze()
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(1)
    state = training_state(learn)
    kept = checkpoint._join(checkpoint._split(state, tensors := {}), {k: v.clone() for k, v in tensors.items()})
    learn.freeze()
    learn.model.eval()
    before = [p.requires_grad for p in learn.model.parameters()]
    restore(learn, state)
    assert [p.requires_grad for p in learn.model.parameters()] == before and not all(before)
    assert not learn.model.training
    learn.unfreeze()
    restored = {k: kept[k] for k in ('model', 'opt', 'record')}
    copies = checkpoint._join(checkpoint._split(restored, tensors := {}), {k: v.clone() for k, v in tensors.items()})
    randoms = random_states(learn.dls)
    restore(learn, restored)
    same(random_states(learn.dls), randoms)
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(1)
    same(restored, copies)


# kill -9

KILLED = '''
import os, random, signal, sys, time, traceback
import torch
from conftest import fork
from pathlib import Path
from fastai.vision.all import set_seed
from pet_breeds.data import pets_dls
from pet_breeds.model import make_learner
from pet_breeds.checkpoint import Checkpoint, read_checkpoint
photos, out = map(Path, sys.argv[1:])
RUN = dict(epochs=5)

def train(presize, file, before=lambda: None):
    torch.set_num_threads(1)
    set_seed(int(time.time()) if file.exists() else 0)
    dls = pets_dls(photos, bs=6, size=48, item=64, presize=presize, device='cpu', num_workers=0)
    learn = make_learner(dls, weights='none')
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
'''


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs POSIX processes')
def test_kill_9_at_any_moment(photos, tmp_path):
    "Killed at random moments and in the middle of a write, a run ends with the same weights, rows and random states"
    status, err = (run := fork(KILLED, photos, tmp_path)).ended()
    print(run.said())
    assert status == 0, run.said() + err
    for presize in ('stock', 'composed'):
        whole, killed = (read_checkpoint(tmp_path/f'{presize}-{how}', dict(epochs=5)) for how in ('whole', 'killed'))
        assert whole['fits'] == killed['fits'] and [len(f['rows']) for f in whole['fits']] == [1, 4]
        same(killed['state'], whole['state'])
        with hidden_beside(tmp_path/f'{presize}-killed'): pass  # tidies up what the last kill has left
    assert not [f for f in tmp_path.iterdir() if f.suffix == '.part']
