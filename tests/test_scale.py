"Several processes, for real: two on this CPU, started by torchrun and joined by gloo."
import json
import os
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch

from pet_breeds.distributed import as_one, distributed, is_main, on_main

BIN = Path(sys.exec_prefix)/'bin'
ONE_THREAD = {'OMP_NUM_THREADS': '1'}


def torchrun(*words, **kwargs):
    return subprocess.run([BIN/'torchrun', '--standalone', '--nproc_per_node', '2', *map(str, words)], capture_output=True, text=True, timeout=300,
                          env={**os.environ, **ONE_THREAD}, **kwargs)


# what the two processes do: this file is also the script that torchrun starts

def learners(photos):
    "A small body on 40 photos, and a linear model that sees the validation photos in one batch, without augmentation"
    from fastai.vision.all import CrossEntropyLossFlat, DataLoaders, Learner, SGD, error_rate, nn, set_seed
    from pet_breeds.data import pets_dls, photo_table
    from pet_breeds.model import make_learner
    set_seed(0)
    dls = pets_dls(photo_table(photos), 8, valid_pct=.3, seed=42, item=48, size=32, num_workers=0, device='cpu')
    net = make_learner(dls, 'drawnet', 'none', 32)
    whole = dls.valid.new(bs=len(dls.valid_ds), shuffle=True)
    flat = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(48, dls.c))
    line = Learner(DataLoaders(whole, whole.new(shuffle=False)), flat, CrossEntropyLossFlat(), opt_func=SGD, metrics=error_rate)
    return net, line


def watch(log):
    "Keep in `log` which photos are read and which seeds the augmentations are drawn from, one entry for each pass over the data"
    from fastai.vision.all import Callback
    from pet_breeds import batches
    files, seeds = [], []
    read, draw = batches.PhotoReader._kept, batches.draw_augs
    batches.PhotoReader._kept = lambda self, file: (files.append(Path(file).name), read(self, file))[1]
    batches.draw_augs = lambda n, seed, **aug: (seeds.append(seed), draw(n, seed, **aug))[1]
    class Watch(Callback):
        def before_train(self): files.clear(), seeds.clear()
        def after_train(self): log['train'].append((list(files), list(seeds)))
        def before_validate(self): files.clear()
        def after_validate(self): log['valid'].append(list(files))
    return Watch()


def train_and_compare(photos, out):
    net, line = learners(photos)
    log = dict(train=[], valid=[], n_train=len(net.dls.train_ds), valid_files=[f.name for f in net.dls.valid.items.file])
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
    "Process 0 has a folder that is to vanish at its end; then process 1 is killed, or both meet the same mistake of the user"
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
    done, out = job
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('32 drawn photos to train on') == done.stdout.count('Error rate') == done.stdout.count('Open report') == 1
    assert os.listdir(out/'here') == ['report']
    assert sorted(os.listdir(out/'here'/'report')) == ['index.html', 'metrics.json', 'model.json', 'model.safetensors']
    metrics = json.loads((out/'here'/'report'/'metrics.json').read_text())
    assert (metrics['processes'], metrics['n_valid'], metrics['bs']) == (2, 8, 8)
    assert metrics['error_rate']*8 == pytest.approx(round(metrics['error_rate']*8))


def test_a_killed_process_ends_the_job(tmp_path):
    "Process 0, which waits for nothing, is told to end, and tidies up"
    done = torchrun(__file__, 'lose', 'killed', tmp_path)
    assert done.returncode != 0
    assert done.stdout == 'both are here\n'
    assert done.stderr.count('another of the processes has ended: so do all') == 1 and 'exitcode  : -9' in done.stderr, done.stderr
    assert os.listdir(tmp_path) == []


def test_a_mistake_is_said_once(tmp_path):
    done = torchrun(__file__, 'lose', 'mistake', tmp_path)
    assert done.returncode != 0 and done.stderr.count('ValueError: no such folder') == 1, done.stderr
    assert os.listdir(tmp_path) == []


def test_accelerate_launch_that_starts_one_is_refused(drawn, tmp_path):
    words = [BIN/'accelerate', 'launch', '--cpu', '--num_processes', '2', '--num_machines', '1', '--mixed_precision', 'no', '--dynamo_backend', 'no', '--no_python']
    done = subprocess.run([*words, BIN/'pet_breeds', '--path', str(drawn)], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode != 0 and done.stdout == '' and os.listdir(tmp_path) == []
    assert f'torchrun --standalone --nproc_per_node 2 --no-python {BIN}/pet_breeds --path {drawn}\n' in done.stderr, done.stderr
