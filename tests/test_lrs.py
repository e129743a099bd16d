"Properties of `pet_breeds.lrs`, most of them held against fastai's or PyTorch's own."
import math, subprocess, sys, warnings
from functools import partial
from pathlib import Path

import numpy as np, pytest, torch
from hypothesis import HealthCheck, given, settings, strategies as st
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

from pet_breeds.lrs import Suggestion, cosine, group_lrs, one_cycle, one_cycle_mom, plot_suggest, range_test, suggest

ROOT = Path(__file__).parents[1]
NONE = Suggestion(None, None, None, None)
rates = st.floats(1e-8, 10)
fractions = st.floats(0, 1)
counts = st.integers(1, 60)

def examples(n):
    return settings(max_examples=n, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])

def close(a, b, rtol=1e-9, atol=0.):
    assert np.shape(a)==np.shape(b)
    np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)

@pytest.fixture(scope='session')
def schedule():
    "fastai's own schedules and finder rules, the oracle here"
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        from fastai.callback import schedule
    return schedule

@pytest.fixture(scope='session')
def set_hyper():
    "The rates fastai's optimizer sets for `lr` on `n` groups"
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        from fastai.optimizer import SGD
    def f(lr, n):
        opt = SGD([[torch.zeros(1, requires_grad=True)] for _ in range(n)], lr=1.)
        opt.set_hyper('lr', lr)
        return [h['lr'] for h in opt.hypers]
    return f

def torch_rates(make, n, key='lr'):
    "What PyTorch's scheduler sets for `key` at each of `n` steps"
    opt = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1., momentum=.9)
    sched,got = make(opt),[]
    for i in range(n):
        got.append(opt.param_groups[0][key])
        if i < n-1:
            opt.step()
            sched.step()
    return got

# schedules

@examples(100)
@given(start=rates, end=rates, pct=fractions)
def test_cosine_equals_fastai(schedule, start, end, pct):
    close(cosine(start, end)(pct), schedule.SchedCos(start, end)(pct), atol=1e-12*max(start, end))

@examples(100)
@given(start=rates, end=rates)
def test_cosine_starts_and_ends_exactly(start, end):
    close(cosine(start, end)(np.array([0., 1.])), [start, end], atol=1e-15*max(start, end))

@examples(100)
@given(lr=rates, div=st.floats(1, 100), div_final=st.floats(1, 1e6), pct_start=st.floats(.05, .95), pct=fractions)
def test_one_cycle_equals_fastai(schedule, lr, div, div_final, pct_start, pct):
    theirs = schedule.combined_cos(pct_start, lr/div, lr, lr/div_final)
    close(one_cycle(lr, div, div_final, pct_start)(pct), theirs(pct), atol=2e-6*lr)
    close(one_cycle_mom(pct_start=pct_start)(pct), schedule.combined_cos(pct_start, .95, .85, .95)(pct), atol=1e-6)

@examples(50)
@given(lrs=st.lists(rates, min_size=2, max_size=4), pct=fractions)
def test_one_cycle_takes_a_rate_per_group(schedule, lrs, pct):
    lrs = np.array(lrs)
    close(one_cycle(lrs)(pct), schedule.combined_cos(.25, lrs/25, lrs, lrs/1e5)(pct), atol=2e-6*lrs.max())

def test_one_cycle_may_be_one_phase_only():
    close(one_cycle(1., pct_start=0)(np.array([0, 1])), [1, 1e-5])
    close(one_cycle(1., pct_start=1)(np.array([0, 1-1e-9])), [1/25, 1])

def test_momentum_turns_with_the_rate_unless_told(): close(one_cycle_mom()(np.array([0, .25, 1])), [.95, .85, .95])

def test_one_cycle_defaults_are_fastais():
    import inspect
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        from fastai.callback.schedule import Learner
    theirs = inspect.signature(Learner.fit_one_cycle).parameters
    for name,p in inspect.signature(one_cycle).parameters.items():
        if name != 'lr_max': assert p.default==theirs[name].default, name

def test_fraction_of_the_peak_at_the_end_of_each_of_twelve_epochs():
    ends = np.array([.04, .28, .76, 1, .970, .883, .75, .587, .413, .25, .117, .030, 1e-5])
    close(one_cycle(1.)(np.arange(13)/12), ends, rtol=0, atol=6e-4)

@examples(60)
@given(lr=st.floats(1e-4, 1), n=st.integers(20, 60), pct_start=st.floats(.1, .9), div=st.floats(1, 50),
       final=st.floats(1, 1e5))
def test_one_cycle_equals_pytorch_after_translation(lr, n, pct_start, div, final):
    one = partial(OneCycleLR, max_lr=lr, total_steps=n+1, pct_start=pct_start, div_factor=div, final_div_factor=final)
    turn,pct = (pct_start*(n+1)-1)/n,np.arange(n+1)/n
    close(one_cycle(lr, div, div*final, turn)(pct), torch_rates(one, n+1), atol=1e-9*lr)
    close(one_cycle_mom(pct_start=turn)(pct), torch_rates(one, n+1, 'momentum'), atol=1e-9)

@examples(50)
@given(lr=st.floats(1e-4, 1), end=st.floats(0, 1), n=counts)
def test_cosine_equals_pytorch(lr, end, n):
    close(cosine(1., end)(np.arange(n)/n), torch_rates(partial(CosineAnnealingLR, T_max=n, eta_min=end), n), atol=1e-9)

ALL = [partial(cosine, .1, 1), partial(one_cycle, 1.), one_cycle_mom]

@examples(100)
@given(pcts=st.lists(fractions, min_size=1, max_size=9), i=st.integers(0, len(ALL)-1))
def test_one_share_gives_a_float_and_an_array_the_same_floats(pcts, i):
    schedule = ALL[i]()
    singles = [schedule(pct) for pct in pcts]
    assert all(type(x) is float for x in singles)
    close(schedule(np.array(pcts)), singles, rtol=1e-12)
    assert schedule(torch.tensor(pcts).reshape(-1, 1)).shape==(len(pcts), 1)

@pytest.mark.parametrize('pct', [-.1, 1.1, math.nan, math.inf, None, [0, .5, 2]])
@pytest.mark.parametrize('make', ALL)
def test_a_share_outside_0_to_1_is_refused(make, pct):
    bad = np.array(pct, dtype=float).ravel()[-1]
    with pytest.raises(ValueError, match=f'pct is the fraction of training done, from 0 to 1; got {bad}'): make()(pct)

def test_rounding_at_the_end_is_forgiven():
    assert all(make()(1+1e-12)==make()(1.) and make()(-1e-12)==make()(0) for make in ALL)

@pytest.mark.parametrize('call,error,message', [
    (lambda: cosine(1, math.nan), ValueError, 'end must be finite, got nan'),
    (lambda: one_cycle(None), ValueError, 'lr_max must be finite, got None'),
    (lambda: one_cycle(1, div=0), ValueError, 'div must be above 0, got 0'),
    (lambda: one_cycle(1, pct_start=25), ValueError, 'pct_start is the fraction of training before .*got 25'),
    (lambda: one_cycle(1, pct_start=1.5), ValueError, 'from 0 to 1; got 1.5'),
    (lambda: one_cycle(1, div_final=0), ValueError, 'div_final must be above 0, got 0'),
    (lambda: range_test(abs, start_lr=0), ValueError, 'start_lr and end_lr must rise, above 0 and finite, got 0 and 10'),
    (lambda: range_test(abs, start_lr=1, end_lr=1), ValueError, 'start_lr and end_lr must rise'),
    (lambda: range_test(abs, end_lr=1e-8), ValueError, 'start_lr and end_lr must rise'),
    (lambda: range_test(abs, end_lr=math.inf), ValueError, 'finite, got 1e-07 and inf'),
    (lambda: range_test(abs, num_it=0), ValueError, 'num_it must be from 1 up'),
    (lambda: range_test(abs, beta=1), ValueError, r'beta in \[0,1\), got 100 and 1'),
    (lambda: suggest([1, 2], [1]), ValueError, 'one length, got 2 and 1'),
    (lambda: suggest([1, 1], [2, 1]), ValueError, 'lrs must rise from step to step, got 1.0 and then 1.0'),
    (lambda: suggest([1, 3, 2], [3, 2, 1]), ValueError, 'got 3.0 and then 2.0'),
    (lambda: suggest([-1, 1], [2, 1]), ValueError, 'lrs must be above 0 and finite, got -1.0'),
    (lambda: suggest([0, 1], [2, 1]), ValueError, 'lrs must be above 0 and finite, got 0.0'),
    (lambda: suggest([1, math.inf], [2, 1]), ValueError, 'lrs must be above 0 and finite, got inf'),
    (lambda: suggest([1, math.nan], [2, 1]), ValueError, 'lrs must be above 0 and finite, got nan'),
    (lambda: suggest([1, 2], [2, 1], skip_end=-1), ValueError, 'count points and must be from 0 up, got 0 and -1'),
    (lambda: suggest([1, 2], [2, 1], skip_start=-1), ValueError, 'must be from 0 up, got -1 and 0'),
    (lambda: plot_suggest([2, 1], [2, 1]), ValueError, 'lrs must rise'),
    (lambda: group_lrs([1, 2], 3), ValueError, 'lr holds 2 rates for 3 parameter groups'),
    (lambda: group_lrs([], 3), ValueError, 'lr holds 0 rates for 3 parameter groups'),
    (lambda: group_lrs(slice(1, None), 3), ValueError, r'slice of rates needs its end, .* got slice\(1, None, None\)'),
    (lambda: group_lrs(slice(-1, 1), 3), ValueError, r'rates must be from 0 up, in a list, got slice\(-1, 1, None\)'),
    (lambda: group_lrs([1, -2], 2), ValueError, r'rates must be from 0 up, in a list, got \[1, -2\]'),
    (lambda: group_lrs([1, [2, 3]], 2), ValueError, ''),
    (lambda: group_lrs([[1, 2], [3, 4]], 4), ValueError, 'rates must be from 0 up, in a list, got'),
    (lambda: group_lrs('fast', 4), ValueError, "could not convert string to float: 'fast'"),
    (lambda: group_lrs(None, 2), ValueError, 'lr must be finite, got None'),
    (lambda: group_lrs(1, 0), ValueError, 'n_groups must be a whole number from 1 up, got 0'),
    (lambda: group_lrs(1, 2.), ValueError, 'n_groups must be a whole number from 1 up, got 2.0')])
def test_errors_name_the_argument_and_what_came(call, error, message):
    with pytest.raises(error, match=message) as e: call()
    assert type(e.value) is error and len(str(e.value).splitlines()) <= 2

# the range test

def slow_range_test(raw, start_lr, end_lr, num_it, beta, stop):
    "The definition, every smoothed loss computed anew as a weighted mean"
    lrs,losses = [],[]
    for i in range(num_it):
        lrs.append(start_lr*(end_lr/start_lr)**(i/num_it))
        losses.append(np.average(raw[:i+1], weights=[beta**(i-j) for j in range(i+1)]))
        if losses[-1] > stop*min(losses): break
    return lrs,losses

@examples(100)
@given(raw=st.lists(st.floats(.01, 100), min_size=40, max_size=40), num_it=st.integers(1, 40),
       beta=st.sampled_from([0., .5, .9, .98]), stop=st.sampled_from([1.5, 4.]))
def test_range_test_equals_its_definition(raw, num_it, beta, stop):
    source = iter(raw)
    lrs,losses = range_test(lambda lr: next(source), 1e-6, 1., num_it, beta, stop)
    slow_lrs,slow_losses = slow_range_test(raw, 1e-6, 1., num_it, beta, stop)
    close(lrs, slow_lrs)
    close(losses, slow_losses)

def test_range_test_equals_fastais_finder(schedule, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        from fastai.test_utils import synth_learner
        from fastai.callback.core import Callback
    raw = []
    class Spy(Callback):
        def after_batch(self): raw.append(self.learn.loss.item())
    learn = synth_learner(path=tmp_path, cbs=Spy())
    rules = schedule.minimum, schedule.steep, schedule.valley
    with learn.no_bar(): found = learn.lr_find(show_plot=False, suggest_funcs=rules)
    source = iter(raw)
    lrs,losses = range_test(lambda lr: next(source))
    close(lrs, learn.recorder.lrs)
    close(losses, [x.item() for x in learn.recorder.losses], rtol=1e-4)
    ours = suggest(learn.recorder.lrs, learn.recorder.losses, skip_start=10, skip_end=5)
    close([ours.minimum_over_10, ours.valley], [found.minimum, found.valley], rtol=1e-6)

@pytest.mark.parametrize('bad', [math.nan, math.inf])
def test_range_test_ends_at_the_first_loss_that_is_not_finite(bad):
    lrs,losses = range_test(lambda lr: bad if lr > .01 else 2., num_it=50)
    assert len(lrs)==len(losses) < 50 and not np.isfinite(losses[-1]) and np.isfinite(losses[:-1]).all()
    assert len(range_test(lambda lr: bad)[0])==1

def test_range_test_goes_on_at_exactly_stop_times_the_best():
    source = iter([1, 4, 4.1, 1])
    assert range_test(lambda lr: next(source), beta=0)[1].tolist()==[1, 4, 4.1]

def test_range_test_takes_a_loss_with_a_gradient():
    w = torch.ones((), requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        lrs,losses = range_test(lambda lr: w*2, num_it=3)
        assert suggest(lrs, [w*3, w*2, w*1]).minimum_over_10==lrs[2]/10
    close(losses, [2., 2., 2.])

# suggest

def on_the_curve(lrs, picks):
    at = [picks.minimum_over_10 and picks.minimum_over_10*10, *picks[1:]]
    return all(x is None or np.isclose(lrs, x, rtol=1e-12, atol=0).any() for x in at)

@st.composite
def curves(draw, losses=st.floats(), max_size=40):
    "Rising rates, with one loss for each"
    losses = draw(st.lists(losses, max_size=max_size))
    factors = draw(st.lists(st.floats(1.001, 3), min_size=len(losses), max_size=len(losses)))
    return np.cumprod([1e-7, *factors])[:len(losses)], np.array(losses)

@examples(200)
@given(curve=curves(), skip=st.tuples(st.integers(0, 12), st.integers(0, 12)))
def test_suggest_never_raises_and_stays_on_the_curve(curve, skip):
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        for picks in (suggest(*curve), suggest(*curve, *skip)):
            assert isinstance(picks, Suggestion) and on_the_curve(curve[0], picks)
            assert all(x is None or (type(x) is float and x > 0) for x in picks)

@examples(100)
@given(curve=curves(st.floats(0, 100)), tail=st.lists(st.floats(), max_size=5))
def test_what_follows_the_first_nan_or_infinity_is_not_read(curve, tail):
    lrs,losses = curve
    more = 10*(lrs[-1] if len(lrs) else 1e-7)*2.**np.arange(len(tail)+1)
    for bad in (math.nan, math.inf, -math.inf):
        assert suggest(np.append(lrs, more), np.concatenate([losses, [bad], tail]))==suggest(lrs, losses)

@examples(200)
@given(curve=curves(st.integers(0, 30).map(float)))
def test_suggest_agrees_with_fastai_where_a_rule_has_an_answer(schedule, curve):
    lrs,losses = curve
    picks = suggest(lrs, losses)
    if picks==NONE: return
    l,o = torch.tensor(lrs),torch.tensor(losses)
    at = {lr: i for i,lr in enumerate(lrs)}
    if picks.minimum_over_10:
        assert losses[np.abs(lrs-picks.minimum_over_10*10).argmin()]==losses[at[schedule.minimum(l, o, 0)[1][0]]]
    if picks.valley: assert picks.valley==schedule.valley(list(lrs), list(losses), 0)[0]
    if picks.steepest:
        slopes = np.diff(losses)/np.diff(np.log(lrs))
        close(slopes[at[picks.steepest]], slopes[at[schedule.steep(l, o, 0)[0]]])

def finder_run(seed):
    "A run on a made curve whose fall, end, depth and noise are random, smoothed as fastai does"
    r = np.random.default_rng(seed)
    fall,end,depth,noise = 10**r.uniform(-5, -2), 10**r.uniform(-1.5, .5), r.uniform(.3, 3), r.uniform(0, .1)
    return range_test(lambda lr: 1 + depth/(1+lr/fall) + (lr/end)**2 + r.normal(0, noise))

@examples(100)
@given(seed=st.integers(0, 2**32))
def test_suggest_agrees_with_fastai_on_realistic_runs(schedule, seed):
    lrs,losses = (x[10:-5] for x in finder_run(seed))
    picks,l,o = suggest(lrs, losses),torch.tensor(lrs),torch.tensor(losses)
    theirs = schedule.minimum(l, o, 0)[0], schedule.steep(l, o, 0)[0], schedule.valley(list(lrs), list(losses), 0)[0]
    for ours,lr in zip((picks.minimum_over_10, picks.steepest, picks.valley), theirs):
        if ours is not None: close(ours, lr)
    assert picks==suggest(*finder_run(seed), skip_start=10, skip_end=5)

def slow_last_descending(lrs, losses):
    "The definition in loops: the start of the last clear fall of the lowest loss so far, at most a third of the rate with the lowest loss"
    falls = []
    for i in range(len(lrs)-1):
        if lrs[i] > lrs[int(np.argmin(losses))]/3: break
        falls.append((min(losses[:i+1])-min(losses[:i+2]))/(math.log(lrs[i+1])-math.log(lrs[i])))
    clear = [i for i,fall in enumerate(falls) if fall > 0 and fall >= max(falls)/4]
    return lrs[clear[-1]] if clear else None

@examples(100)
@given(curve=curves(st.floats(0, 100)))
def test_last_descending_equals_its_definition(curve):
    assert suggest(*curve).last_descending==slow_last_descending(*curve)

@examples(100)
@given(curve=curves(st.floats(0, 100)))
def test_every_rule_but_the_steepest_stays_well_below_the_minimum(curve):
    "At the minimum the loss no longer falls, and what stands there is a known mistake of question 16"
    lrs,losses = curve
    picks = suggest(lrs, losses)
    for rate in (picks.minimum_over_10, picks.last_descending):
        assert rate is None or rate <= lrs[losses.argmin()]/3

def test_a_fall_that_lasts_to_the_minimum():
    "Here the last clear fall of all ends at the minimum"
    lrs = np.geomspace(1e-4, 10, 51)
    losses = np.where(np.arange(51) <= 35, 9-np.arange(51)/5, 3.)
    assert lrs[35]/4 < suggest(lrs, losses).last_descending <= lrs[35]/3

@examples(100)
@given(curve=curves(st.integers(-1000, 1000).map(float)), shift=st.integers(-1000, 1000), power=st.integers(-20, 20))
def test_suggestions_ignore_the_unit_and_the_zero_of_the_loss(curve, shift, power):
    lrs,losses = curve
    assert suggest(lrs, losses*2.**power)==suggest(lrs, losses+shift)==suggest(lrs, losses)

@examples(100)
@given(seed=st.integers(0, 2**32), factor=st.floats(1e-3, 1e3))
def test_suggestions_scale_with_the_rates(seed, factor):
    lrs,losses = finder_run(seed)
    for scaled,lr in zip(suggest(lrs*factor, losses), suggest(lrs, losses)):
        if lr is None: assert scaled is None
        else: close(scaled, lr*factor)

@examples(50)
@given(seed=st.integers(0, 2**32), noise=st.floats(0, .001))
def test_each_rule_is_within_one_step_of_the_known_answer(seed, noise):
    pieces = np.array([-.01]*20 + [-.04]*10 + [-.12] + [-.04]*9 + [-.01]*15 + [.1]*15)
    lrs = np.geomspace(1e-6, 10, len(pieces)+1)
    losses = 2.3 + np.append(0, pieces.cumsum()) + noise*np.random.default_rng(seed).normal(size=len(lrs)).clip(-4, 4)
    picks = suggest(lrs, losses)
    at = [np.abs(np.log(lrs/lr)).argmin() for lr in (picks.minimum_over_10*10, *picks[1:])]
    assert all(abs(a-b) <= 1 for a,b in zip(at, (55, 39, 30, 26)))

@pytest.mark.parametrize('losses', [[], [2.3], [2.3]*9, [1, 2, 4, 8], [math.nan]*4, [math.inf, 1, 1], [2, math.nan, 1]])
def test_no_rule_answers_where_nothing_falls(losses):
    assert suggest(np.geomspace(1e-5, 1, len(losses)), losses)==NONE

@pytest.mark.parametrize('skip', [(9, 0), (0, 9), (5, 5), (0, 12), (12, 12)])
def test_no_rule_answers_where_all_points_are_skipped(skip):
    assert suggest(np.geomspace(1e-5, 1, 9), np.arange(9, 0, -1), *skip)==NONE

def test_three_falling_points_are_enough_for_every_rule():
    assert suggest([.001, .01, .1], [3, 2, 0])==(.1/10, .01, .01, .001)
    assert suggest([.01, .1], [2, 0])==(.1/10, .01, .01, None)

def test_lists_arrays_and_tensors_are_read_alike():
    lrs,losses = finder_run(0)
    expected = suggest(lrs, losses)
    assert expected==suggest(list(lrs), list(losses))==suggest(torch.tensor(lrs), torch.tensor(losses))
    assert expected==suggest(lrs, [torch.tensor(x) for x in losses])

def test_plot_shows_the_curve_and_each_pick_on_it():
    import matplotlib
    matplotlib.use('agg')
    from matplotlib import pyplot as plt
    lrs,losses = finder_run(0)
    ax = plot_suggest(lrs, losses, skip_start=10, skip_end=5)
    picks = suggest(lrs, losses, skip_start=10, skip_end=5)
    close(ax.lines[0].get_ydata(), losses)
    assert [line.get_xdata()[0] for line in ax.lines[1:]]==list(picks)
    assert len(plot_suggest([.1, .2], [1, 1], ax=plt.figure().add_subplot()).lines)==1
    plt.close('all')

# group_lrs

slices = st.builds(slice, st.none() | st.just(0) | rates, rates, st.none() | st.integers(1, 9))

@examples(200)
@given(lr=rates | slices | st.lists(rates, min_size=1, max_size=1), n=st.integers(1, 7))
def test_group_lrs_equals_the_optimizer(set_hyper, lr, n): assert group_lrs(lr, n)==set_hyper(lr, n)

@examples(100)
@given(lrs=st.lists(rates, min_size=1, max_size=7), kind=st.sampled_from([list, tuple, np.array, torch.tensor]))
def test_group_lrs_takes_one_rate_per_group_in_any_sequence(set_hyper, lrs, kind):
    got = group_lrs(kind(lrs), len(lrs))
    assert all(type(lr) is float for lr in got)
    assert got==[float(lr) for lr in set_hyper(kind(lrs), len(lrs))]

@examples(100)
@given(lo=rates, hi=rates, n=st.integers(2, 7), factor=st.floats(.01, 100))
def test_group_lrs_steps_by_equal_factors_and_scales(lo, hi, n, factor):
    got = np.array(group_lrs(slice(lo, hi), n))
    close(got[[0, -1]], [lo, hi])
    close(got[1:]/got[:-1], np.full(n-1, (hi/lo)**(1/(n-1))))
    close(group_lrs(slice(lo*factor, hi*factor), n), got*factor)
    close(group_lrs(slice(hi), n)[:-1], np.full(n-1, hi/10))

@pytest.mark.parametrize('lr', [[1e-4, 1e-3], slice(1e-3, None)])
def test_group_lrs_refuses_what_the_optimizer_refuses(set_hyper, lr):
    with pytest.raises((AssertionError, TypeError)): set_hyper(lr, 3)
    with pytest.raises(ValueError): group_lrs(lr, 3)

def test_the_middle_group_gets_the_geometric_mean():
    close(group_lrs(slice(1e-6, 1e-4), 3), [1e-6, 1e-5, 1e-4])
    assert np.linspace(1e-6, 1e-4, 3)[1] > 5*group_lrs(slice(1e-6, 1e-4), 3)[1]

# the module

@pytest.mark.parametrize('modules, kept_out', [('lrs', 'fastai fastcore torch pandas matplotlib'),
                                               ('loss lrs', 'fastai matplotlib pandas')])
def test_the_module_loads_neither_fastai_nor_what_only_plots_need(modules, kept_out):
    imports = ', '.join(f'pet_breeds.{m}' for m in modules.split())
    code = f"import {imports}, sys; print([m for m in sys.modules if m.split('.')[0] in {kept_out.split()}])"
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip()=='[]'
