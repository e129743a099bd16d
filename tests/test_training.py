"Training: looking changes nothing, errors leave nothing behind, and a full memory gets half the batch."
import ctypes
import json
import os
import re
import subprocess
import sys
import weakref
from copy import deepcopy
from dataclasses import asdict
from functools import partial
from hashlib import sha256
from inspect import signature
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from allpairspy import AllPairs
from conftest import ROOT
from fastai.callback.core import Callback
from fastai.callback.mixup import MixUp
from fastai.callback.training import GradientAccumulation, GradientClip
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from fastai.losses import CrossEntropyLossFlat, LabelSmoothingCrossEntropy
from fastai.metrics import F1Score, accuracy, error_rate
from fastai.optimizer import Adam, OptimWrapper
from fastai.torch_core import set_seed, trainable_params
from fastai.vision.augment import Flip
from matplotlib.figure import Figure
from sklearn.linear_model import LogisticRegression
from tiny import FULL, Raise, assert_clean, assert_let_go, random_states, tiny_files, tiny_learner, weights
from torch import nn

from pet_breeds import training
from pet_breeds.compare import repeat
from pet_breeds.data import pets_dls
from pet_breeds.interpret import plot_training
from pet_breeds.lrs import suggest
from pet_breeds.model import FixedStats, make_learner
from pet_breeds.precision import mixed_precision
from pet_breeds.training import Meter, find_lr, fit_in_memory, keep_better, probe_head, train
from pet_breeds.warp import Prep

PRECISIONS = 'fp32', 'bf16'


@pytest.fixture
def files(tmp_path): return tiny_files(tmp_path/'files')


def pairs(*ways):
    "Combinations in which any two values of different ways come together"
    return [tuple(values) for values in AllPairs([list(way) for way in ways])]


def same(a, b): torch.testing.assert_close(a, b, rtol=0, atol=0)


def learner(files, precision='fp32', **kwargs):
    learn = tiny_learner(files, **kwargs)
    mixed_precision(learn, precision)
    return learn


def seeded(func, *args, **kwargs):
    "What `func` returns, from the same random numbers each time"
    set_seed(1)
    return func(*args, **kwargs)


def everything(learn):
    "What training depends on"
    opt = str(learn.opt.state_dict()) if learn.opt else None
    trainable = [p.requires_grad for p in learn.model.parameters()]
    return opt, random_states(learn), trainable, sorted(cb.name for cb in learn.cbs), learn.path, learn.model


# the finder

@pytest.mark.parametrize('precision', PRECISIONS)
@pytest.mark.parametrize('before', ['new', 'frozen', 'trained'])
def test_find_lr_leaves_everything_as_it_was(files, precision, before):
    learn = learner(files, precision)
    if before == 'frozen': learn.freeze()
    if before == 'trained': train(learn, 1)
    was, state = weights(learn), everything(learn)
    find_lr(learn, num_it=8, show_plot=False)
    same(weights(learn), was)
    assert everything(learn) == state
    assert_clean(learn, learn.model)
    assert_let_go(learn)


def test_a_run_after_the_finder_is_the_run_without(files):
    one, two = learner(files), learner(files)
    def with_finder():
        find_lr(one, num_it=8, show_plot=False)
        return train(one, 2)
    pd.testing.assert_frame_equal(seeded(with_finder), seeded(train, two, 2))
    same(weights(one), weights(two))


@pytest.mark.parametrize('opt', [torch.optim.SGD, torch.optim.AdamW])
def test_find_lr_with_an_optimizer_of_pytorch(files, opt):
    assert len(find_lr(learner(files, opt_func=partial(OptimWrapper, opt=opt)), num_it=8, show_plot=False)[0]) == 8


SHORT = dict(num_it=1), dict(num_it=6), dict(start_lr=1e4, end_lr=1e30), dict(start_lr=1e-12, end_lr=1e-11, num_it=20)


@pytest.mark.parametrize('settings, bs', [*zip(SHORT, (2, 24)*2), *zip(SHORT, (24, 2)*2)])
def test_find_lr_never_raises(files, settings, bs):
    from matplotlib import pyplot as plt
    lrs, losses, suggested = find_lr(learner(files, bs=bs), **settings)
    plt.close('all')
    assert len(lrs) == len(losses) >= 1 and len(suggested) == 4


def test_find_lr_ends_when_the_loss_explodes_unless_told_otherwise(files):
    from matplotlib import pyplot as plt
    settings, shown = dict(num_it=20, start_lr=1e-3, end_lr=1e6, show_plot=False), len(plt.get_fignums())
    assert len(find_lr(learner(files, bs=4), **settings)[0]) < 20 == len(find_lr(learner(files, bs=4), stop_div=False, **settings)[0])
    assert len(plt.get_fignums()) == shown


@pytest.mark.parametrize('ours, theirs', [(find_lr, Learner.lr_find), (train, Learner.fine_tune)])
def test_defaults_are_fastais(ours, theirs):
    def defaults(f): return {n: p.default for n, p in signature(f).parameters.items() if p.default is not p.empty}
    known = {'lr' if name == 'base_lr' else name: value for name, value in defaults(theirs).items()}
    found = {name: value for name, value in defaults(ours).items() if name in known and name != 'show_plot'}
    if ours is train: assert found.pop('freeze_epochs') == 0
    assert len(found) == (1 if ours is train else 4) and found == {name: known[name] for name in found}


def test_the_curve_that_is_drawn(files, monkeypatch):
    "It leaves out what fastai leaves out"
    drawn = []
    monkeypatch.setattr(training, 'plot_suggest', lambda lrs, losses, **skip: drawn.append((lrs, losses, skip)))
    lrs, losses, suggested = find_lr(learner(files), num_it=30)
    assert drawn[0][0] is lrs and drawn[0][1] is losses and drawn[0][2] == dict(skip_start=3, skip_end=5)
    assert suggested == suggest(lrs, losses, 3, 5)


def test_fewer_photos_than_a_batch(files):
    learn = learner(files, bs=64)
    for func in (find_lr, partial(train, epochs=1)):
        with pytest.raises(ValueError, match='24 photos to train on are fewer than a batch of 64: add photos'): func(learn)
    probe_head(learn) # takes all photos at once


@pytest.mark.parametrize('func', [find_lr, partial(train, epochs=1), probe_head, mixed_precision])
def test_no_photos(files, func, monkeypatch):
    "As those of `report_learner`"
    monkeypatch.setattr('pet_breeds.precision._has_bf16_units', lambda: True)
    learn = learner(files)
    learn.dls = learn.dls.new_empty()
    with pytest.raises(ValueError, match='0 photos to train on are fewer than a batch of 8: add photos'): func(learn)


# the fits

@pytest.mark.parametrize('precision', PRECISIONS)
@pytest.mark.parametrize('epochs, freeze', [(2, 1), (1, 2)])
def test_train_is_fine_tune(files, precision, epochs, freeze):
    ours, theirs = learner(files, precision), learner(files, precision)
    seeded(train, ours, epochs, 3e-3, freeze)
    seeded(theirs.fine_tune, epochs, 3e-3, freeze)
    same(weights(ours), weights(theirs))


def test_one_fit_without_frozen_epochs(files):
    ours, theirs = learner(files), learner(files)
    seeded(train, ours, 2, 3e-3)
    seeded(theirs.fit_one_cycle, 2, 3e-3)
    same(weights(ours), weights(theirs))


def test_a_slice_is_for_one_fit(files):
    train(learner(files), 1, slice(1e-4, 1e-3))
    with pytest.raises(ValueError, match='expected one rate'): train(learner(files), 1, slice(1e-4, 1e-3), 1)


# metrics and the picture of them

def lines(y, t): return torch.tensor(7.)


lines.__name__ = '_lines'
METRICS = {'none': [], 'error_rate': [error_rate], 'accuracy': [accuracy], 'several': [accuracy, error_rate, lines]}


@pytest.mark.parametrize('freeze', [0, 1])
@pytest.mark.parametrize('metrics', METRICS.values(), ids=METRICS)
def test_any_metrics_have_a_picture(files, metrics, freeze):
    table = train(learner(files, metrics=metrics), 2, freeze_epochs=freeze)
    names = [m.__name__ for m in metrics]
    assert list(table.columns) == ['phase', 'epoch', 'train_loss', 'valid_loss', *names]
    fig = plot_training(table)
    assert isinstance(fig, Figure) and len(fig.axes) == (2 if metrics else 1)
    def drawn(ax, n): return [list(line.get_ydata()) for line in ax.lines[:n]]
    assert drawn(fig.axes[0], 2) == [list(table.train_loss), list(table.valid_loss)]
    if metrics:
        assert drawn(fig.axes[1], len(names)) == [list(table[name]) for name in names]
        legend = [text.get_text() for text in fig.axes[1].get_legend().get_texts()]
        assert legend[:len(names)] == [name.strip('_') for name in names]
        assert (fig.axes[1].get_ylim()[1] == 1) == (max(table[names].max()) <= 1)
    fig.canvas.draw()


def test_a_fit_that_a_callback_ends_early(files):
    "No validation, no epoch at all: the table has what there is, and a picture"
    from fastai.callback.core import CancelFitException, CancelValidException
    table = train(learner(files, cbs=Raise('before_validate', CancelValidException())), 2)
    assert len(table) == 2
    class NoValid(Callback):
        def before_validate(self): raise CancelValidException
    table = train(learner(files, cbs=NoValid()), 2)
    assert list(table.columns) == ['phase', 'epoch', 'train_loss'] and len(plot_training(table).axes) == 1
    table = train(learner(files, cbs=Raise('before_batch', CancelFitException())), 2)
    assert len(table) == 0
    plot_training(table)


# bad numbers

class Spoil(Callback):
    "The third photo of the second batch of the second epoch becomes NaN"
    def before_batch(self):
        if self.training and (self.iter, self.epoch) == (1, 1):
            self.learn.label = self.dl.vocab[self.yb[0][2]]
            self.learn.xb = (self.xb[0].index_fill(0, torch.tensor([2]), float('nan')),)


@pytest.mark.parametrize('precision', PRECISIONS)
@pytest.mark.parametrize('way', ['spoiled', 'rate'])
def test_a_number_that_is_not_finite_ends_the_run(files, precision, way):
    learn = learner(files, precision, bs=4, cbs=Spoil() if way == 'spoiled' else None)
    model = learn.model
    with pytest.raises(FloatingPointError) as e: train(learn, 3, 1e-3 if way == 'spoiled' else 1e30)
    message = str(e.value).rpartition('\n')[2].strip()
    assert_clean(learn, model)
    assert_let_go(learn)
    if way == 'rate':
        rule = (r'the loss is (nan|-?inf) in batch \d of 6, epoch \d of 3, at rates [\d.e+-]+, [\d.e+-]+; '
                r'photos \d+\.bin, \d+\.bin, \d+\.bin and 1 more: try a third of the rate')
        assert re.fullmatch(rule, message), message
    else:
        named = message.split('photos ')[1].split(':')[0]
        assert 'batch 2 of 6, epoch 2 of 3' in message and 'check how they are read' in message
        [file] = [f for f in files if f.name == named]
        assert file.parent.name == learn.label, 'the name belongs to the label that the batch had there'


def test_the_remedy_with_a_scaler(files):
    learn = learner(files)
    learn.add_cb(Callback(before_fit=lambda cb: setattr(cb.learn, 'scaler', torch.amp.GradScaler('cpu'))))
    with pytest.raises(FloatingPointError, match='try a third of the rate, or bf16'): train(learn, 3, 1e30)


def test_it_is_said_without_files_too():
    data = [(torch.randn(3), torch.randn(1)) for _ in range(8)]
    dls = DataLoaders.from_dsets(data, data, bs=3, num_workers=0, device=torch.device('cpu'))
    learn = Learner(dls, nn.Linear(3, 1), nn.functional.mse_loss)
    learn.logger = lambda row: None
    numbers = r'photos no\. \d, no\. \d, no\. \d: try'
    with pytest.raises(FloatingPointError, match=numbers), learn.no_bar(): train(learn, 3, 1e30)


@pytest.mark.parametrize('items, paths', [
    (pd.DataFrame(dict(label=['a', 'b'], file=['x', 'y'])), ['x', 'y']), (pd.DataFrame(dict(label=['a', 'b'])), []),
    ([Path('x'), 'y'], [Path('x'), 'y']), ([Path('x'), 3], []), (None, [])])
def test_photos_of_a_loader(items, paths):
    assert training._files(SimpleNamespace(items=items) if items is not None else object()) == paths


def test_nan_in_validation_is_no_reason_to_stop(files):
    class Last(Callback):
        def after_pred(self):
            if not self.training: self.learn.pred = self.pred*float('nan')
    assert train(learner(files, cbs=Last()), 1).valid_loss.isna().all()


# errors

EVENTS = ('before_batch', 'after_pred', 'after_loss', 'before_backward', 'after_backward', 'before_step', 'after_step',
          'after_batch')


FUNCS = {'train': lambda learn: train(learn, 2), 'find_lr': lambda learn: find_lr(learn, 8, show_plot=False)}
ERRORS = {'error': ValueError('mine'), 'interrupt': KeyboardInterrupt('mine')}
ENDS = pairs(PRECISIONS, EVENTS, [-20, 20, 200], ERRORS, FUNCS)


@pytest.mark.parametrize('precision, event, order, error, func', ENDS)
def test_an_error_leaves_nothing_behind(files, precision, event, order, error, func):
    learn, error, func = learner(files, precision), ERRORS[error], FUNCS[func]
    model, was, state = learn.model, weights(learn), everything(learn)
    with learn.added_cbs(Raise(event, error, order)):
        with pytest.raises(type(error), match='mine'): func(learn)
    assert_clean(learn, model)
    assert_let_go(learn)
    error.__traceback__ = None # its frames hold the batch, too
    if learn.opt is None:
        same(weights(learn), was)
        assert everything(learn) == state
    assert len(train(learn, 1)) == 1


# a full memory

def is_frozen(room): return not room.model[0][1].weight.requires_grad


WHERE = {'finder': lambda room: room.finding, 'head': lambda room: room.training and is_frozen(room),
         'body': lambda room: room.training and not is_frozen(room) and not room.finding,
         'validation': lambda room: not room.training}


def limit(learn, where='any', photos=None, error='cuda'):
    "Let the memory be full for more photos, in one phase; for half the batch there is room, in validation too"
    photos = photos or (8 if where == 'validation' else 4)
    room = learn.model[0][0]
    object.__setattr__(room, 'model', learn.model)
    room.error, room.photos, room.when, room.finding = FULL[error], photos, WHERE.get(where, lambda room: True), False
    return room


def run_all(learn, **kwargs):
    "The finder, and two fits"
    room = learn.model[0][0]
    def finder():
        room.finding = True
        try: return find_lr(learn, 8, show_plot=False)[1]
        finally: room.finding = False
    losses = fit_in_memory(learn, finder)
    return losses, train(learn, 2, 1e-2, 1, **kwargs)


@pytest.mark.parametrize('where, error, precision, checkpoint', pairs(WHERE, FULL, PRECISIONS, [False, True]))
def test_half_the_batch_is_as_if_it_had_been_asked_for(files, tmp_path, capsys, where, error, precision, checkpoint):
    kwargs = dict(checkpoint=tmp_path/'run') if checkpoint else {}
    learn, half = learner(files, precision), learner(files, precision, bs=8-4*(where == 'finder'))
    limit(learn, where, error=error)
    model, state = learn.model, random_states(half)
    losses, table = seeded(run_all, learn, **kwargs)
    expected = seeded(run_all, half)
    same(losses, expected[0])
    if where != 'finder': # which ran with all
        half = learner(files, precision, bs=4)
        expected = seeded(run_all, half)
    pd.testing.assert_frame_equal(table, expected[1])
    same(weights(learn), weights(half))
    assert random_states(learn) == random_states(half) != state
    assert learn.dls.train.bs == 4 and learn.dls.valid.bs == 8
    assert capsys.readouterr().out == '8 photos a batch are too many for the memory of cpu: starting again with 4\n'
    limit(learn, photos=2**60)
    assert_clean(learn, model)


@pytest.mark.parametrize('where, after, precision', pairs(WHERE, [1, 2], PRECISIONS))
def test_a_halved_run_can_be_resumed(files, tmp_path, where, after, precision):
    "Who resumes asks for the same as at first; what fitted is in the file"
    whole = learner(files, precision)
    limit(whole, where)
    table = seeded(run_all, whole)[1]
    first, second = learner(files, precision), learner(files, precision)
    for learn in (first, second): limit(learn, where)
    done = []
    class Stop(Callback):
        order = 99
        def after_epoch(self):
            if not first.model[0][0].finding: done.append(self.dls.train.bs)
            if done.count(4) == after: raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt), first.added_cbs(Stop()): seeded(run_all, first, checkpoint=tmp_path/'run')
    resumed = train(second, 2, 1e-2, 1, checkpoint=tmp_path/'run', resume=True)
    pd.testing.assert_frame_equal(resumed, table)
    same(weights(second), weights(whole))
    assert second.dls.train.bs == 4


def test_memory_that_is_full_only_when_resumed(files, tmp_path, capsys):
    "The epochs that are done stay, those to come have half the batch, and so has who resumes again"
    whole, first, second, third = (learner(files) for _ in range(4))
    limit(second, 'body')
    table = seeded(train, whole, 2, 1e-2, 1)
    class Stop(Callback):
        def before_epoch(self):
            if self.epoch: raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt), first.added_cbs(Stop()):
        seeded(train, first, 2, 1e-2, 1, checkpoint=tmp_path/'run')
    resumed = seeded(train, second, 2, 1e-2, 1, checkpoint=tmp_path/'run', resume=True)
    pd.testing.assert_frame_equal(resumed[:2], table[:2])
    assert len(resumed) == 3 and resumed.notna().all(axis=None) and second.dls.train.bs == 4
    said = ['resuming after 2 epochs', '8 photos a batch are too many for the memory of cpu: starting again with 4']
    assert capsys.readouterr().out.splitlines() == [*said, said[0]]
    pd.testing.assert_frame_equal(train(third, 2, 1e-2, 1, checkpoint=tmp_path/'run', resume=True), resumed)
    same(weights(third), weights(second))
    assert third.dls.train.bs == 4


@pytest.mark.parametrize('precision, error', pairs(PRECISIONS, FULL))
def test_a_probe_with_half_the_batch(files, error, precision):
    learn, free = learner(files, precision), learner(files, precision)
    limit(learn, photos=8, error=error) # its batches are those of validation, 16
    assert fit_in_memory(learn, lambda: probe_head(learn)) is learn
    probe_head(free)
    torch.testing.assert_close(weights(learn), weights(free), rtol=2e-2, atol=2e-2)
    assert learn.dls.valid.bs == 8 and isinstance(learn.model[1][-1], nn.Linear)
    assert_let_go(learn)


NO_ROOM = {'train': lambda learn: train(learn, 1), 'finder': lambda learn: fit_in_memory(learn, lambda: find_lr(learn)),
           'nested': lambda learn: fit_in_memory(learn, lambda: train(learn, 1))}


@pytest.mark.parametrize('func', NO_ROOM)
def test_no_room_at_all(files, func, capsys):
    learn = learner(files)
    limit(learn, photos=1)
    with pytest.raises(MemoryError, match='^the memory of cpu is too small for 2 photos: try'): NO_ROOM[func](learn)
    assert capsys.readouterr().out.count('starting again') == 2 and learn.dls.train.bs == learn.dls.valid.bs//2 == 2
    assert_let_go(learn)


@pytest.mark.parametrize('bs', [2, 3, 5])
def test_batches_never_have_a_single_photo(files, bs):
    learn = learner(files, bs=bs)
    limit(learn, photos=2)
    learn.dls.loaders = [learn.dls.train, learn.dls.train]
    train(learn, 1)
    assert learn.dls.train.bs == 2


def test_in_several_processes_it_is_raised(files, monkeypatch):
    learn = learner(files)
    limit(learn)
    monkeypatch.setattr(training, 'num_distrib', lambda: 2)
    with pytest.raises(torch.OutOfMemoryError): train(learn, 1)
    assert learn.dls.train.bs == 8


def test_what_the_failed_step_held_is_free(files):
    "Before the second try nothing of the first one is left"
    learn, batches, alive = learner(files), [], []
    class Watch(Callback):
        order = 99
        def after_loss(self):
            alive.append(sum(b() is not None for b in batches))
            batches.extend(weakref.ref(t) for t in (self.xb[0], self.learn.pred, self.learn.loss_grad))
            if len(self.xb[0]) > 4: raise torch.OutOfMemoryError
    with learn.added_cbs(Watch()): train(learn, 1)
    assert alive[:2] == [0, 0]


def test_another_error_is_not_taken_for_it(files):
    learn = learner(files)
    other = Raise('after_pred', RuntimeError('mat1 and mat2'))
    with pytest.raises(RuntimeError, match='mat1'), learn.added_cbs(other): train(learn, 1)
    assert learn.dls.train.bs == 8


def test_loaders_that_are_one_are_halved_once(files):
    learn = learner(files)
    learn.dls.loaders = [learn.dls.train]*2
    limit(learn)
    train(learn, 1)
    assert learn.dls.train.bs == 4


# the same run

CHANGES = dict(epochs=dict(epochs=3), freeze_epochs=dict(freeze_epochs=2), lr=dict(lr=2e-2), run=dict(run=dict(seed=1)))
LEARNERS = dict(bs=dict(bs=4), wd=dict(wd=.1), loss=dict(loss_func=LabelSmoothingCrossEntropy()),
                opt=dict(opt_func=partial(OptimWrapper, opt=torch.optim.SGD)),
                label_smoothing=dict(loss_func=CrossEntropyLossFlat(label_smoothing=.9)),
                weight=dict(loss_func=CrossEntropyLossFlat(weight=torch.tensor([1., 9.]))),
                p=dict(loss_func=partial(nn.functional.cross_entropy, label_smoothing=.1)),
                mom=dict(opt_func=partial(Adam, mom=.1)), moms=dict(moms=(.1, .1, .1)), metrics=dict(metrics=accuracy),
                train_bn=dict(train_bn=False), wd_bn_bias=dict(wd_bn_bias=True), splitter=dict(splitter=trainable_params),
                mix_up=dict(cbs=MixUp()), max_norm=dict(cbs=GradientClip(.5)))


def interrupted(files, tmp_path, **kwargs):
    "A run that was stopped after its first epoch"
    learn = learner(files, **kwargs)
    class Stop(Callback):
        order = 99
        def after_epoch(self): raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt), learn.added_cbs(Stop()): go(learn, tmp_path, resume=False)


def go(learn, tmp_path, resume=True, **changes):
    options = {**dict(epochs=2, lr=1e-2, freeze_epochs=1, run=dict(seed=0)), **changes}
    return train(learn, **options, checkpoint=tmp_path/'run', resume=resume)


@pytest.mark.parametrize('name', CHANGES)
def test_another_call_is_refused_by_name(files, tmp_path, name):
    interrupted(files, tmp_path)
    refused = pytest.raises(ValueError, match='seed' if name == 'run' else name)
    with refused: go(learner(files), tmp_path, **CHANGES[name])


@pytest.mark.parametrize('name', LEARNERS)
def test_another_learner_is_refused_by_name(files, tmp_path, name):
    interrupted(files, tmp_path)
    with pytest.raises(ValueError, match=name): go(learner(files, **LEARNERS[name]), tmp_path)


def test_another_precision_or_head_is_refused(files, tmp_path):
    interrupted(files, tmp_path)
    with pytest.raises(ValueError, match='precision'): go(learner(files, 'bf16'), tmp_path)
    learn = learner(files)
    learn.head = 'fastai'
    with pytest.raises(ValueError, match='head'): go(learn, tmp_path)


def more_dropout(learn): learn.model[1][2].p = .9
def balanced(learn): training.balance_breeds(learn.dls)
def another_order(learn): learn.dls.train.shuffle = False
def turning(learn): learn.dls.train.after_batch.add(Flip(p=.1))
def fixed(learn): learn.add_cb(FixedStats())


@pytest.mark.parametrize('change, name', [(more_dropout, 'layers'), (balanced, 'wgts'), (another_order, 'shuffle'),
                                          (turning, 'transforms'), (fixed, 'fixed_stats')])
def test_what_was_changed_later_is_refused_by_name(files, tmp_path, change, name):
    interrupted(files, tmp_path)
    learn = learner(files)
    change(learn)
    with pytest.raises(ValueError, match=f'{name} .*, not '): go(learn, tmp_path)


def test_resuming_needs_a_file(files):
    with pytest.raises(ValueError, match='resume: give the checkpoint'): train(learner(files), 1, resume=True)


def test_numbers_of_numpy(files, tmp_path):
    "As a rate that is taken from an array of the finder is one"
    one, other = learner(files), learner(files)
    table = seeded(train, one, np.int64(2), np.float64(1e-2), checkpoint=tmp_path/'run')
    pd.testing.assert_frame_equal(table, seeded(train, other, 2, 1e-2))
    assert len(train(learner(files), 2, 1e-2, checkpoint=tmp_path/'run', resume=True)) == 2


@pytest.mark.parametrize('presize', ['stock', 'composed'])
def test_training_does_not_change_what_a_run_is_known_by(drawn, presize):
    "Nor does another process: there are no addresses"
    def new(): return make_learner(pets_dls(drawn, bs=8, size=32, item=40, presize=presize, num_workers=0, batch_tfms=[Flip()]),
                                   metrics=[error_rate, F1Score(average='macro')], opt_func=partial(Adam, mom=.8),
                                   loss_func=partial(lambda p, y, k: nn.functional.cross_entropy(p, y)*k, k=2.),
                                   cbs=[GradientAccumulation(16), GradientClip(.5)])
    learn = new()
    facts = training._facts(learn)
    with learn.no_logging(), learn.no_bar(): train(learn, 1)
    assert facts == training._facts(learn) == training._facts(new()) == json.loads(json.dumps(facts))
    assert ' at 0x' not in str(facts) and facts['cbs'] == dict(gradient_accumulation=dict(n_acc=16), gradient_clip=dict(max_norm=.5, norm_type=2.0))


def swapped(files):
    "The two folders change their names: other labels for files that are named alike"
    top = files[0].parent.parent
    for a, b in (('a', 'c'), ('b', 'a'), ('c', 'b')): (top/a).rename(top/b)
    return sorted(top.glob('*/*'), key=lambda f: int(f.stem))


def longer(files):
    files[3].write_bytes(b'another photo')
    return files


def edited(files):
    "As many bytes as before, and no other file has as many"
    files[3].write_bytes(b'..!')
    return files


def renamed(files): return [*files[:-1], files[-1].rename(files[-1].with_name('99.bin'))]


CHANGED = dict(swapped=swapped, longer=longer, edited=edited, renamed=renamed, turned=lambda files: files[::-1],
               fewer=lambda files: files[:-1], more=lambda files: [*files, files[0]])


@pytest.mark.parametrize('change', CHANGED)
def test_other_photos_are_refused(files, tmp_path, change):
    interrupted(files, tmp_path)
    with pytest.raises(ValueError, match='photo'): go(learner(CHANGED[change](files)), tmp_path)


def test_the_same_photos_elsewhere_are_the_same(files, tmp_path):
    interrupted(files, tmp_path)
    whole = go(learner(files), tmp_path/'whole', resume=False)
    os.rename(tmp_path/'files', tmp_path/'moved')
    moved = [tmp_path/'moved'/f.relative_to(tmp_path/'files') for f in files]
    pd.testing.assert_frame_equal(go(learner(moved), tmp_path), whole)


def test_a_line_for_each_photo(files):
    lines = training._photo_lines(tiny_learner(files).dls)
    assert len(lines) == len(set(lines)) == 36
    assert lines[3] == f"b/3.bin\ttrain\tb\t{sha256(b'...').hexdigest()[:12]}" and lines[-1].startswith('b/35.bin\tvalid\tb\t')


def test_what_a_run_is_known_by(files):
    facts = training._facts(learner(files))
    for name in ('photos', 'layers', 'loss'): assert facts.pop(name)
    assert facts == dict(arch='Sequential', head='linear', opt=dict(opt='Adam', args='()'), wd=None, bs=8, cbs={},
                         precision='fp32', prep=None, vocab=['a', 'b'], metrics=['error_rate'], wd_bn_bias=False,
                         train_bn=True, moms='(0.95, 0.85, 0.95)', splitter='<lambda>', drawing=dict(
                             n=24, shuffle=True, drop_last=True, wgts=None, partial_n=None, transforms=[]))
    learn = learner(files, 'bf16', opt_func=partial(OptimWrapper, opt=torch.optim.SGD))
    learn.arch, learn.dls.train.prep = 'tiny', Prep(size=64)
    facts = training._facts(learn)
    assert (facts['arch'], facts['precision'], facts['opt']) == ('tiny', 'bf16', dict(opt='OptimWrapper', args='()'))
    assert facts['prep'] == asdict(Prep(size=64))


# the probe

@pytest.mark.parametrize('precision', PRECISIONS)
@pytest.mark.parametrize('classes', ['ab', 'abc'])
def test_the_probe_is_scikit_learns(tmp_path, classes, precision):
    "The same probabilities, also for two classes, of which scikit-learn fits one row"
    learn = learner(tiny_files(tmp_path, classes=classes), precision)
    seeded(learn.fit, 2) # statistics of batch norm that are not those of the start
    body, was = learn.model[0].eval(), deepcopy(learn.model[0].state_dict())
    def feats(dl):
        dl = dl.new(shuffle=False, drop_last=False)
        with torch.no_grad(): return torch.cat([body(x).mean((2, 3)) for x, _ in dl])
    targ = [learn.dls.vocab.o2i[f.parent.name] for f in learn.dls.train.items]
    theirs = LogisticRegression(max_iter=1000).fit(feats(learn.dls.train).numpy(), targ)
    assert probe_head(learn) is learn
    with learn.no_bar(): probs, _ = learn.get_preds()
    atol = 2e-3 if precision == 'fp32' else .05
    np.testing.assert_allclose(probs.numpy(), theirs.predict_proba(feats(learn.dls.valid).numpy()), atol=atol)
    same(dict(body.state_dict()), dict(was))


def test_a_breed_without_photos_gets_no_probability(files):
    "Also where an earlier training had made it likely"
    learn = learner(files)
    feats, targ = seeded(training.body_features, learn, learn.dls.train.items)
    learn.model[1][-1] = nn.Linear(4, 5)
    learn.model[1][-1].bias.data += 9
    probe_head(learn, (feats, targ+2))
    probs = learn.model[1][-1](torch.tensor(feats)).softmax(1)
    assert probs[:, [0, 1, 4]].max() < 1e-9
    theirs = LogisticRegression(max_iter=1000).fit(feats, targ).predict_proba(feats)
    np.testing.assert_allclose(probs[:, 2:4].detach().numpy(), theirs, atol=1e-3)


def test_the_probe_needs_one_layer(files):
    learn = learner(files)
    for head in ('fastai', None):
        learn.head = head
        with pytest.raises(ValueError, match="head='linear'"): probe_head(learn)


def test_features_that_are_not_finite(files):
    learn = learner(files)
    learn.model[0][1].weight.data[0] = float('nan')
    with pytest.raises(FloatingPointError, match="the body's features are not finite"): probe_head(learn)
    assert isinstance(learn.model[1][-1], nn.Linear)


@pytest.mark.parametrize('precision', PRECISIONS)
@pytest.mark.parametrize('full', [False, True], ids=['enough memory', 'full memory'])
@pytest.mark.parametrize('change, better', [('worse', False), ('same', False), ('better', True), ('loss', True)])
def test_the_better_of_two_is_kept(files, change, better, full, precision, capsys):
    "By the error, and by the loss where that is equal; nothing of the other is left, also if the memory was full on the way"
    learn = probe_head(learner(files, precision))
    if change == 'better': learn.model[1][-1].bias.data += torch.tensor([100., 0.]) # so that half of the photos are wrong
    if change == 'loss': learn.model[1][-1].weight.data *= .01
    before, rooms = weights(learn), iter([full])
    def func():
        if next(rooms, False): raise torch.OutOfMemoryError('CUDA out of memory')
        linear = learn.model[1][-1]
        if change == 'worse': learn.model[0][1].weight.data.zero_()
        elif change == 'better': linear.bias.data -= torch.tensor([100., 0.])
        elif change == 'loss': linear.weight.data *= 100
        return 'result'
    assert fit_in_memory(learn, lambda: keep_better(learn, func)) == ('result', better)
    after = weights(learn)
    assert all(torch.equal(before[k], after[k]) for k in before) is not better
    said = [line for line in capsys.readouterr().out.splitlines() if 'is kept' in line]
    assert len(said) == 1 and ('trained network' if better else 'fitted head') + ' is kept' in said[0]


def test_what_was_interrupted_is_not_kept(files):
    learn = probe_head(learner(files))
    before = weights(learn)
    def func():
        learn.fit(1)
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt): keep_better(learn, func)
    same(weights(learn), before)
    assert_let_go(learn)


def test_the_shipped_body_transfers(drawn):
    "Four breeds, two epochs, three seeds: on average fewer errors than from scratch"
    dls = pets_dls(drawn, bs=6, size=64, item=96, device='cpu')
    def way(weights, freeze):
        def error(seed):
            set_seed(seed)
            learn = make_learner(dls, weights=weights)
            with learn.no_bar(), learn.no_logging(): return train(learn, 2, 4e-3, freeze).error_rate.iloc[-1]
        return error
    runs = repeat({'auto': way('auto', 1), 'none': way('none', 0)}, seeds=3, progress=False)
    assert runs.auto.mean() < runs.none.mean()


# speed

def test_meter_counts_what_is_trained_on(files, monkeypatch):
    clock = iter(range(10**6))
    monkeypatch.setattr(training, 'perf_counter', lambda: next(clock))
    learn = learner(files, bs=4)
    with Meter(learn) as meter: train(learn, 2)
    assert meter.photos == 2*24 and meter not in learn.cbs and meter.seconds == round(meter.seconds)
    assert meter.speed() == dict(training_seconds=meter.seconds, images_per_second=round(48/meter.seconds, 1))
    meter.seconds = 7.0612
    assert meter.speed() == dict(training_seconds=7.1, images_per_second=6.8)
    with Meter(learn) as meter: learn.validate()
    assert meter.photos == 0 and meter.speed() == dict(training_seconds=0., images_per_second=0.)
    with Meter(learn) as meter: probe_head(learn)
    assert meter.photos == 24 and meter.seconds > 0, 'where nothing is trained'
    with Meter(learn) as meter:
        probe_head(learn)
        train(learn, 2)
        learn.get_preds(0)
    assert meter.photos == 2*24


def test_meter_does_not_count_epochs_of_an_earlier_process(files, tmp_path):
    interrupted(files, tmp_path)
    learn = learner(files)
    with Meter(learn) as meter: go(learn, tmp_path)
    assert meter.photos == 2*24


def test_meter_counts_for_all_processes(files, monkeypatch):
    learn = learner(files)
    monkeypatch.setattr(training, 'num_distrib', lambda: 3)
    with Meter(learn) as meter: train(learn, 1)
    assert meter.photos == 3*24


# Heads that were not fitted to a photo

def test_few_photos_are_cross_validated_in_few_numbers():
    "With more features than photos the result is that of scikit-learn on all of them; the weights that are kept give the same answers"
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold
    rng, targ, heads = np.random.default_rng(0), np.arange(24) % 3, []
    feats = (rng.normal(size=(24, 60)) + np.eye(3, 60)[targ]).astype(np.float32)
    acts = training.cross_validate((feats, targ), range(24), 4, folds=3, seed=1, keep=heads)
    parts = [*StratifiedGroupKFold(3, shuffle=True, random_state=1).split(feats, targ, range(24))]
    for (train, valid), (photos, weight) in zip(parts, heads, strict=True):
        want = LogisticRegression(max_iter=1000).fit(feats[train], targ[train])
        assert list(photos) == list(valid) and np.allclose(acts[valid, :3].exp(), want.predict_proba(feats[valid]), atol=.01)
        assert np.allclose(weight[:3], want.coef_, atol=.01) and not weight[3].any() and (acts[valid, 3] == -30).all()


def test_two_breeds_and_one_breed_are_cross_validated():
    "A part may leave photos of one breed alone to fit to: it is the answer"
    feats, targ = np.repeat([[0., 1.], [1., 0.]], 6, axis=0).astype(np.float32), np.repeat([0, 2], 6)
    acts = training.cross_validate((feats, targ), None, 3, folds=3)
    assert (acts.argmax(1).numpy() == targ).all() and (acts[:, 1] == -30).all()
    apart = training.cross_validate((feats, targ), [0]*6 + [1]*6, 3, folds=2)
    assert (apart[range(12), targ] == -30).all() and (apart.max(1).values == 0).all()


def test_groups_of_a_cross_validation_are_those_of_a_split():
    "Whatever form they have; and None, NaN or '' joins nothing"
    rng, targ = np.random.default_rng(0), np.arange(24) % 3
    feats = (rng.normal(size=(24, 9)) + np.eye(3, 9)[targ]).astype(np.float32)
    pairs = np.arange(24)//2
    def cross(groups, features=(feats, targ), **kwargs): return training.cross_validate(features, groups, 3, 3, **kwargs)
    for groups in (torch.tensor(pairs), pd.Series(pairs), list(map(torch.tensor, pairs)), [f'{i:02}' for i in pairs]): same(cross(groups), cross(pairs))
    same(cross(pairs, (torch.tensor(feats), torch.tensor(targ)), share=.5), cross(pairs, share=.5))
    for groups in (None, ['']*24, [None]*24, [np.nan]*24): same(cross(groups), cross(range(24)))
    same(cross(['', 'a', None, 'a', *range(20)]), cross([0, 1, 2, 1, *range(3, 23)]))


def test_a_head_is_fitted_on_one_thread(monkeypatch):
    "Two threads wait for each other in steps so small; afterwards everybody has the threads of before"
    from threadpoolctl import threadpool_info, threadpool_limits
    threads, fit = [], LogisticRegression.fit
    def noting(self, *args): return threads.append({each['num_threads'] for each in threadpool_info()}) or fit(self, *args)
    monkeypatch.setattr(LogisticRegression, 'fit', noting)
    targ = np.arange(24) % 3
    with threadpool_limits(2):
        training.cross_validate((np.eye(24)[:, :9] + np.eye(3, 9)[targ], targ), range(24), 3, folds=3)
        assert {each['num_threads'] for each in threadpool_info()} == {2}
    assert threads == [{1}]*3


@pytest.mark.parametrize('share, n', [(.5, [2, 3, 1]), (.1, [1, 1, 1])])
def test_a_share_of_each_breed(share, n):
    train, targ = np.array([9, 8, 7, 6, 5, 4, 3, 2, 1, 0]), np.array([0]*4 + [1]*5 + [2])
    some = training._share_of(train, targ, share, seed=0)
    assert len(set(some)) == len(some) and list(np.bincount(targ[some])) == n


MEMORY = """
import resource
import torch
from pet_breeds.training import memory_kept

def taken():
    [line] = [line for line in open('/proc/self/status') if line.startswith('VmRSS')]
    return int(line.split()[1])/1024

def use(size=100): torch.ones(size, 2**20//4)  # in MB, which nobody keeps

def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

before = taken()
with memory_kept():
    for _ in range(5): use()  # until a place is found where the next one fits as well
    assert taken() > before+80
    first = faults()
    for _ in range(10): use()
    assert faults()-first < 50_000  # of 4 KB; 256,000 if the memory were new each time
assert taken() < before+50
use(500)  # more than fits into a place that was used before
assert taken() < before+50
"""


@pytest.mark.skipif(sys.platform != 'linux' or not hasattr(ctypes.CDLL(None), 'mallopt'), reason='only glibc is asked')
def test_freed_memory_is_kept_for_the_next_batch_and_given_back_at_the_end():
    "In a process of its own, which holds nothing else"
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', MEMORY], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
