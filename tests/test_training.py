"Training: nothing is changed by looking, bad numbers stop it, a full memory gets half a batch, comparisons are held against scipy."
import random
from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
import torch
from fastai.vision.all import Callback, set_seed, tensor
from scipy import stats

from pet_breeds.data import pets_dls
from pet_breeds.drawn import draw_pets
from pet_breeds.model import cached_weights, make_learner
from pet_breeds.training import compare, find_lr, probe_head, repeat, train


@pytest.fixture(scope='module')
def photos(tmp_path_factory): return draw_pets(tmp_path_factory.mktemp('data')/'pets', 8, breeds=['Bombay', 'pug', 'samoyed'], progress=False)


@pytest.fixture
def learner(photos):
    def make(weights='none', size=64, bs=6, presize='composed', **kwargs):
        set_seed(0)
        dls = pets_dls(photos, bs=bs, size=size, item=96, presize=presize, device='cpu')
        learn = make_learner(dls, weights=weights, size=size, **kwargs)
        learn.remove_cbs([cb for cb in learn.cbs if cb.name == 'progress'])
        learn.logger = lambda row: None
        return learn
    return make


def states(learn):
    loaders = [dl.rng.getstate() for dl in learn.dls.loaders]
    return ({k: v.clone() for k,v in learn.model.state_dict().items()}, deepcopy(learn.opt.state_dict()) if learn.opt else None,
            [random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist(), loaders], [cb.name for cb in learn.cbs],
            [p.requires_grad for p in learn.model.parameters()])


def assert_same(a, b):
    torch.testing.assert_close(a[0], b[0], rtol=0, atol=0)
    assert str(a[1]) == str(b[1]) and a[2:] == b[2:]


# find_lr

@pytest.mark.parametrize('weights', ['none', 'auto'])
@pytest.mark.parametrize('before', ['new', 'trained'])
def test_find_lr_leaves_everything_as_it_was(learner, weights, before):
    learn = learner(weights)
    if before == 'trained': train(learn, 1)
    was = states(learn)
    find_lr(learn, num_it=8, show_plot=False)
    assert_same(states(learn), was)


def test_a_run_after_the_finder_is_the_run_without(learner):
    one, two = learner(), learner()
    set_seed(5)
    find_lr(one, num_it=8, show_plot=False)
    train(one, 2)
    set_seed(5)
    train(two, 2)
    torch.testing.assert_close(dict(one.model.state_dict()), dict(two.model.state_dict()), rtol=0, atol=0)


def test_find_lr_leaves_everything_when_it_is_interrupted(learner):
    class Stop(Callback):
        def after_step(self): raise KeyboardInterrupt
    learn = learner()
    was = states(learn)
    with pytest.raises(KeyboardInterrupt), learn.added_cbs(stop := Stop()): find_lr(learn, show_plot=False)
    learn.remove_cb(stop)
    assert_same(states(learn), was)


@pytest.mark.parametrize('settings', [dict(num_it=1), dict(num_it=6), dict(start_lr=1e4, end_lr=1e30), dict(start_lr=1e-12, end_lr=1e-11, num_it=20)])
def test_find_lr_never_raises(learner, settings):
    lrs, losses, suggested = find_lr(learner(), show_plot=False, **settings)
    assert len(lrs) == len(losses) >= 1 and len(suggested) == 4


def test_fewer_photos_than_a_batch(learner):
    with pytest.raises(ValueError, match='19 photos to train on are fewer than a batch of 64'): find_lr(learner(bs=64))


# train

@pytest.mark.parametrize('presize', ['composed', 'stock'])
@pytest.mark.parametrize('epochs,freeze', [(2, 1), (1, 2)])
def test_train_is_fine_tune(learner, presize, epochs, freeze):
    ours, theirs = learner('auto', presize=presize), learner('auto', presize=presize)
    set_seed(1)
    train(ours, epochs, 3e-3, freeze)
    set_seed(1)
    theirs.fine_tune(epochs, 3e-3, freeze)
    torch.testing.assert_close(dict(ours.model.state_dict()), dict(theirs.model.state_dict()), rtol=0, atol=0)


def test_one_fit_without_frozen_epochs(learner):
    ours, theirs = learner(), learner()
    for learn, fit in ((ours, lambda: train(ours, 2, 3e-3)), (theirs, lambda: theirs.fit_one_cycle(2, 3e-3))):
        set_seed(1)
        fit()
    torch.testing.assert_close(dict(ours.model.state_dict()), dict(theirs.model.state_dict()), rtol=0, atol=0)


class Spoil(Callback):
    "A photo that is not made of numbers, in a batch of an epoch"
    def __init__(self, place, batch=1, epoch=1): self.place, self.batch, self.at = place, batch, epoch
    def before_batch(self):
        if self.training and (self.iter, self.epoch) == (self.batch, self.at): self.learn.xb = (self.xb[0].index_fill(0, tensor([self.place]), float('nan')),)


@pytest.mark.parametrize('presize', ['composed', 'stock'])
def test_the_photo_that_is_no_numbers_is_named(learner, presize):
    seen = []
    class Look(Callback):
        def before_batch(self):
            if self.training and (self.iter, self.epoch) == (1, 1): seen.extend(self.yb[0].tolist())
    learn = learner(presize=presize, cbs=[Look(), Spoil(place=2)])
    with pytest.raises(FloatingPointError) as e: train(learn, 3)
    named = str(e.value).split('photos ')[1].split(':')[0]
    assert 'batch 2 of 3, epoch 2 of 3' in str(e.value) and named.endswith('.jpg') and ',' not in named
    assert named.rpartition('_')[0] == learn.dls.vocab[seen[2]], 'the name belongs to the label that the batch had there'


def test_a_rate_too_high(learner):
    with pytest.raises(FloatingPointError, match='try a third of the rate'): train(learner(), 3, 1e30)


def test_nan_in_validation_is_no_reason_to_stop(learner):
    class Last(Callback):
        def after_pred(self):
            if not self.training: self.learn.pred = self.pred*float('nan')
    assert train(learner(cbs=Last()), 1).valid_loss.isna().all()


class Card(Callback):
    def __init__(self, room): self.room, self.sizes = room, []
    def before_batch(self):
        self.sizes.append(len(self.xb[0]))
        if len(self.xb[0]) > self.room: raise torch.OutOfMemoryError('CUDA out of memory')


def test_half_the_batch_starts_again_from_the_start(learner, capsys):
    "As if it had been asked for at once"
    learn, half = learner(bs=6, cbs=Card(3)), learner(bs=3)
    half.dls.valid.bs = learn.dls.valid.bs//2
    for l in (learn, half):
        set_seed(1)
        train(l, 1)
    assert '6 photos a batch are too many' in capsys.readouterr().out
    torch.testing.assert_close(dict(learn.model.state_dict()), dict(half.model.state_dict()), rtol=0, atol=0)


def test_no_room_at_all(learner):
    with pytest.raises(MemoryError, match='try bs=1'): train(learner(cbs=Card(0)), 1)


# noise

def test_repeat_takes_the_ways_in_turn():
    calls = []
    runs = repeat({'a': lambda s: calls.append(('a', s)) or s, 'b': lambda s: calls.append(('b', s)) or 2*s}, seeds=[3, 5], progress=False)
    assert calls == [('a', 3), ('b', 3), ('a', 5), ('b', 5)]
    assert runs.to_dict('index') == {3: {'a': 3, 'b': 6}, 5: {'a': 5, 'b': 10}}


def test_compare_is_the_paired_t_test():
    rng = np.random.default_rng(0)
    for shift in (0, .02, .2):
        runs = pd.DataFrame(dict(a=rng.normal(.3, .05, 8), b=rng.normal(.3+shift, .05, 8)))
        table, theirs = compare(runs).loc['b'], stats.ttest_rel(runs.b, runs.a)
        assert (table.low > 0 or table.high < 0) == (theirs.pvalue < .05)
        assert table.difference/table.difference_se == pytest.approx(theirs.statistic)
    assert list(compare(runs[['a']]).columns) == ['n', 'mean', 'std', 'se']


def test_compare_and_repeat_refuse():
    with pytest.raises(ValueError, match='two or more'): repeat(float, seeds=[1], progress=False)
    with pytest.raises(ValueError, match="baseline='z'"): compare(pd.DataFrame(dict(a=[1, 2])), 'z')


# the shipped body

def test_the_shipped_body_transfers(learner):
    "Three breeds it has never seen, 19 photos to learn from, three epochs: better than from scratch"
    runs = repeat({w: lambda seed, w=w: train(learner(w, size=96), 2, 4e-3, 0 if w == 'none' else 1).error_rate.iloc[-1] for w in ('auto', 'none')}, seeds=2, progress=False)
    assert cached_weights('drawnet').stat().st_size < 2e6
    assert runs['auto'].mean() < runs['none'].mean()


# the probe

@pytest.mark.parametrize('breeds', [['Bombay', 'pug', 'samoyed'], ['Bombay', 'pug']], ids=['three', 'two'])
def test_the_probe_is_scikit_learns(tmp_path, breeds):
    "The same probabilities, also for two breeds, of which scikit-learn fits one row"
    from sklearn.linear_model import LogisticRegression
    dls = pets_dls(draw_pets(tmp_path/'pets', 8, breeds=breeds, progress=False), bs=6, size=64, item=96, device='cpu')
    learn = make_learner(dls, size=64, head='linear')
    body = learn.model[0].eval()
    def feats(dl): return torch.cat([body(x.as_subclass(torch.Tensor)).mean((2, 3)) for x, *_ in dl]).detach().numpy()
    train_dl = dls.test_dl(dls.train.items, with_labels=True)
    theirs = LogisticRegression(max_iter=1000).fit(feats(train_dl), torch.cat([y for _, y in train_dl]).numpy())
    with probe_head(learn).no_bar(): probs, _ = learn.get_preds()
    np.testing.assert_allclose(probs.numpy(), theirs.predict_proba(feats(dls.valid)), atol=2e-3)


def test_the_probe_needs_one_layer(learner):
    with pytest.raises(ValueError, match="head='linear'"): probe_head(learner())


@pytest.mark.parametrize('head, kept', [('linear', True), ('fastai', False)])
def test_statistics_are_kept_with_the_linear_head(learner, head, kept):
    learn = learner('auto', head=head)
    before = {k: v.clone() for k,v in learn.model[0].state_dict().items() if 'running' in k}
    train(learn, 1, freeze_epochs=1)
    after = learn.model[0].state_dict()
    assert all(after[k].equal(v) for k,v in before.items()) == kept


def test_a_slice_is_for_one_fit(learner):
    train(learner('auto'), 1, slice(1e-4, 1e-3))
    with pytest.raises(ValueError, match='expected one rate'): train(learner('auto'), 1, slice(1e-4, 1e-3), 1)
