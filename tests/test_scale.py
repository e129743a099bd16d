"Several processes, for real: two on this CPU, started by torchrun and joined by gloo. What loads fastai is imported where it is used: the processes that are lost need none."
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest
import torch

from pet_breeds import core
from pet_breeds import distributed as distributed_module
from pet_breeds.distributed import as_one, distributed, is_main, on_main

BIN = Path(sys.exec_prefix)/'bin'
ONE_THREAD = {'OMP_NUM_THREADS': '1'}


def torchrun(*words, **kwargs):
    command = [BIN/'torchrun', '--standalone', '--nproc_per_node', '2', *map(str, words)]
    env = {**os.environ, **ONE_THREAD}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=env, **kwargs)


# what the two processes do: this file is also the script that torchrun starts

def learners(photos):
    "A small body on 40 photos, and a linear model that sees the validation photos in one batch, without augmentation"
    from fastai.vision.all import CrossEntropyLossFlat, DataLoaders, Learner, SGD, nn, set_seed
    from pet_breeds.data import pets_dls, photo_table
    from pet_breeds.model import make_learner
    set_seed(0)
    dls = pets_dls(photo_table(photos), 8, valid_pct=.3, seed=42, item=48, size=32, num_workers=0, device='cpu')
    net = make_learner(dls, 'drawnet', 'none')
    whole = dls.valid.new(bs=len(dls.valid_ds), shuffle=True)
    flat = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(48, dls.c))
    line = Learner(DataLoaders(whole, whole.new(shuffle=False)), flat, CrossEntropyLossFlat(), opt_func=SGD)
    return net, line


def watch(log):
    "Keep in `log` which photos are read and which seeds the augmentations are drawn from, an entry for each pass"
    from fastai.vision.all import Callback
    from pet_breeds import batches
    files, seeds = [], []
    read, draw = batches.PhotoReader._kept, batches.draw_augs
    def note(self, photo):
        if isinstance(photo, (str, Path)): files.append(Path(photo).name)
        return read(self, photo)
    batches.PhotoReader._kept = note
    batches.draw_augs = lambda n, seed, *aug, **more: (seeds.append(seed), draw(n, seed, *aug, **more))[1]
    class Watch(Callback):
        def before_train(self): files.clear(), seeds.clear()
        def after_train(self): log['train'].append((list(files), list(seeds)))
        def before_validate(self): files.clear()
        def after_validate(self): log['valid'].append(list(files))
    return Watch()


def train_and_compare(photos, out):
    net, line = learners(photos)
    valid_files = [f.name for f in net.dls.valid.items.file]
    log = dict(train=[], valid=[], n_train=len(net.dls.train_ds), valid_files=valid_files)
    start = {k: v.clone() for k, v in line.model.state_dict().items()}
    with net.no_bar(), net.no_logging(), line.no_bar(), line.no_logging():
        with distributed(net):
            net.fit_one_cycle(2, 1e-2, cbs=watch(log))
            log['pct_train'] = net.pct_train
            log['together'] = list(net.validate())
        log['alone'] = on_main(lambda: list(net.validate()))
        log['preds'], log['targ'] = on_main(net.get_preds)
        log['truth'] = [net.dls.vocab.o2i[label] for label in net.dls.valid.items.label]
        with distributed(line): line.fit(3, .5)
        log['two'] = {k: v.clone() for k, v in line.model.state_dict().items()}
        line.model.load_state_dict(start)
        on_main(lambda: line.fit(3, .5))
    log |= dict(start=start, one=line.model.state_dict(), weights=net.model.state_dict())
    torch.save(log, Path(out)/f"{os.environ['RANK']}.pt")
    os.chdir(Path(out)/'here')
    from pet_breeds.cli import main
    main(['--path', photos, '--epochs', '1', '--size', '32', '--bs', '8', '--lr', '1e-3'])


def lose(how, folder):
    "Process 0 has a folder that is to vanish at its end; then process 1 is killed, or both meet the same error"
    with as_one(), TemporaryDirectory(dir=folder) if is_main() else nullcontext():
        print('both are here')
        on_main(lambda: None)
        if how == 'mistake': raise ValueError('no such folder')
        if not is_main(): os.kill(os.getpid(), 9)
        time.sleep(1000)


if __name__ == '__main__':
    dict(train=train_and_compare, lose=lose)[sys.argv[1]](*sys.argv[2:])
    sys.exit()


# what is asked of them

@pytest.fixture(scope='session')
def job(drawn, tmp_path_factory):
    "A finished job of two processes, and the folder where they left what they noted"
    out = tmp_path_factory.mktemp('scale')
    (out/'here').mkdir()
    return torchrun(__file__, 'train', drawn, out), out


@pytest.fixture
def logs(job): return [torch.load(job[1]/f'{rank}.pt') for rank in range(2)]


def test_each_photo_is_seen_once(logs):
    "In training all but the rest that makes no whole batch, none twice; in validation all"
    n_train, valid = logs[0]['n_train'], sorted(logs[0]['valid_files'])
    assert n_train == 28 and len(logs[0]['train']) == 2
    for (a, _), (b, _) in zip(logs[0]['train'], logs[1]['train']):
        assert len(a) == len(b) == 12 and len({*a, *b}) == 24
        assert not {*a, *b} & set(valid)
    assert len(logs[0]['valid']) == 2
    for a, b in zip(logs[0]['valid'], logs[1]['valid']): assert sorted(a + b) == valid
    assert set(logs[0]['train'][0][0]) != set(logs[0]['train'][1][0]), 'another share in another epoch'


def test_draws_differ(logs):
    seeds = [{tuple(seed) for _, epoch in log['train'] for seed in epoch} for log in logs]
    assert len(seeds[0]) == len(seeds[1]) == 6 and not seeds[0] & seeds[1]


def test_the_schedule_comes_to_its_end(logs): assert [log['pct_train'] for log in logs] == pytest.approx([1, 1])


def test_equal_weights(logs):
    torch.testing.assert_close(logs[0]['weights'], logs[1]['weights'], rtol=0, atol=0)


def test_two_processes_train_as_one(logs):
    "The same photos in one batch, shared or not: the same weights within rounding, and not those of the start"
    for log in logs: torch.testing.assert_close(log['two'], logs[0]['one'], rtol=1e-4, atol=1e-6)
    assert (logs[0]['one']['2.weight'] - logs[0]['start']['2.weight']).abs().max() > 1e-3


def test_metrics_as_one_process(logs):
    for log in logs: assert log['together'] == pytest.approx(logs[0]['alone'], rel=1e-5)


def test_predictions_in_the_order_of_the_photos(logs):
    "On both processes, for the whole set"
    for log in logs:
        assert log['targ'].tolist() == log['truth'] and len(log['preds']) == len(log['truth']) == 12
        assert torch.equal(log['preds'], logs[0]['preds'])
    wrong = (logs[0]['preds'].argmax(1) != logs[0]['targ']).float().mean().item()
    assert logs[0]['alone'][1] == pytest.approx(wrong)


def test_the_command(job):
    "One voice, one report, and an error rate that stands on every photo once"
    from pet_breeds.saving import REPORT_FILES
    done, out = job
    assert done.returncode == 0, done.stderr
    said = '32 drawn photos to train on', 'Error rate', 'Open report'
    assert [done.stdout.count(words) for words in said] == [1, 1, 1]
    assert os.listdir(out/'here') == ['report']
    assert sorted(os.listdir(out/'here'/'report')) == sorted(REPORT_FILES)
    metrics = json.loads((out/'here'/'report'/'metrics.json').read_text())
    assert (metrics['processes'], metrics['n_valid'], metrics['bs']) == (2, 8, 8)
    assert metrics['error_rate']*8 == pytest.approx(round(metrics['error_rate']*8))


def test_a_killed_process_ends_the_job(tmp_path):
    "Process 0, which waits for nothing, is told to end, and tidies up"
    done = torchrun(__file__, 'lose', 'killed', tmp_path)
    assert done.returncode != 0
    assert done.stdout == 'both are here\n'
    assert done.stderr.count('another process has ended, so all of them stop') == 1, done.stderr
    assert 'exitcode  : -9' in done.stderr, done.stderr
    assert os.listdir(tmp_path) == []


def test_a_mistake_is_said_once(tmp_path):
    done = torchrun(__file__, 'lose', 'mistake', tmp_path)
    assert done.returncode != 0 and done.stderr.count('ValueError: no such folder') == 1, done.stderr
    assert os.listdir(tmp_path) == []


# in one process, with environment variables that speak of two

@pytest.fixture
def one_of_two(monkeypatch):
    "Process 0 of two, with nobody to talk to; the handler of SIGTERM that it had before"
    monkeypatch.setattr(distributed_module, '_together', lambda: SimpleNamespace(barrier=int, destroy_process_group=int))
    for name, value in dict(WORLD_SIZE='2', RANK='0', LOCAL_RANK='0').items(): monkeypatch.setenv(name, value)
    before = signal.signal(signal.SIGTERM, handler := lambda *_: None)
    yield handler
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize('world', [None, '1', '', '2'])
@pytest.mark.parametrize('rank', [None, '0', '3', ''])
def test_a_process_alone_speaks_and_writes_whatever_its_rank(world, rank, monkeypatch):
    for name, value in dict(WORLD_SIZE=world, RANK=rank).items(): monkeypatch.setenv(name, value) if value is not None else monkeypatch.delenv(name, raising=False)
    assert is_main() == (world != '2' or rank != '3')


ENDS = {'none': None, 'value': ValueError('x'), 'memory': torch.OutOfMemoryError('x'), 'number': FloatingPointError('x'),
        'interrupt': KeyboardInterrupt(), 'exit': SystemExit(3), 'bug': RuntimeError('mat1 and mat2')}


@pytest.mark.parametrize('rank', ['0', '1'])
@pytest.mark.parametrize('end', ENDS)
def test_the_handler_is_put_back(one_of_two, end, rank, monkeypatch):
    slept = []
    monkeypatch.setenv('RANK', rank)
    monkeypatch.setattr(distributed_module.time, 'sleep', slept.append)
    with pytest.raises(type(ENDS[end])) if ENDS[end] else nullcontext():
        with as_one():
            assert signal.getsignal(signal.SIGTERM) is not one_of_two
            if ENDS[end]: raise ENDS[end]
    assert signal.getsignal(signal.SIGTERM) is one_of_two
    assert slept == ([30] if rank == '1' and end not in ('none', 'exit') else []), 'process 0 says it first'


@pytest.mark.parametrize('lost', [RuntimeError('[/src/gloo/transport/tcp/pair.cc:561] Connection closed by peer'),
                                  torch.distributed.DistNetworkError('gone')])
def test_a_process_that_ends_with_another_is_not_told_twice(one_of_two, lost):
    "While it tidies up, the launcher's signal changes nothing"
    with pytest.raises(SystemExit, match='all of them stop'), as_one(): raise lost
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN


def test_an_error_in_a_shared_fit_leaves_the_model_as_it_was(one_of_two, files_of_two, monkeypatch):
    "fastai has wrapped it, and the loaders, by then"
    from tiny import tiny_learner
    learn = tiny_learner(files_of_two)
    model, loaders = learn.model, learn.dls.loaders
    @contextmanager
    def wrapped(**kwargs):
        learn.model = torch.nn.DataParallel(learn.model)
        yield
    monkeypatch.setattr(learn, 'distrib_ctx', wrapped, raising=False)
    with pytest.raises(KeyboardInterrupt), distributed(learn):
        assert [dl.bs for dl in learn.dls.loaders] == [4, 8] and learn.model is not model
        raise KeyboardInterrupt
    assert learn.model is model and learn.dls.loaders is loaders and learn.dls.bs == 8


@pytest.fixture
def files_of_two(tmp_path):
    from tiny import tiny_files
    return tiny_files(tmp_path)


@pytest.mark.parametrize('processes', [1, 2, 1000])
def test_each_process_has_its_share_of_the_cores(monkeypatch, processes):
    monkeypatch.setattr(core, 'num_cpus', lambda: 8)
    monkeypatch.setenv('LOCAL_WORLD_SIZE', str(processes))
    assert core.cores() == max(1, 8//processes)


def test_accelerate_launch_that_starts_one_is_refused(drawn, tmp_path):
    words = [BIN/'accelerate', 'launch', '--cpu', '--num_processes', '2', '--num_machines', '1',
             '--mixed_precision', 'no', '--dynamo_backend', 'no', '--no_python', BIN/'pet_breeds', '--path', str(drawn)]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode != 0 and done.stdout == '' and os.listdir(tmp_path) == []
    command = f'torchrun --standalone --nproc_per_node 2 --no-python {BIN}/pet_breeds --path {drawn}\n'
    assert command in done.stderr, done.stderr
