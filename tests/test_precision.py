"Formats have their bits; half precision does what it says, where it pays, and leaves the Learner as it was."
import copy
import math
import pickle
import random
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from allpairspy import AllPairs
from fastai.callback.channelslast import ChannelsLast
from fastai.vision.all import Callback, CancelBatchException, DataLoaders, Learner, MixedPrecision, set_seed
from torch import nn

from pet_breeds import precision
from pet_breeds.data import pets_dls
from pet_breeds.model import make_learner
from pet_breeds.precision import HalfPrecision, PrecisionChoice, float_bits, mixed_precision

HALF, BRAIN = torch.float16, torch.bfloat16
OURS = MixedPrecision, ChannelsLast
SPEAK = '{} ms in float32 and {} ms in bfloat16, {} times as fast; bfloat16 is chosen from 1.15 on'


def tiny_model():
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Dropout(.5), nn.Linear(8, 4))


def tiny_learner(**kwargs):
    "Sixteen photos of noise, 8 pixels wide, on the CPU"
    set_seed(0)
    data = [(torch.randn(3, 8, 8), torch.tensor(i % 4)) for i in range(16)]
    dls = DataLoaders.from_dsets(data[:12], data[12:], bs=4, num_workers=0, device=torch.device('cpu'))
    return Learner(dls, tiny_model(), **{'loss_func': nn.CrossEntropyLoss(), **kwargs})


def photo_learner(drawn, presize='composed'):
    set_seed(0)
    dls = pets_dls(drawn, bs=6, size=48, item=64, presize=presize, device='cpu', num_workers=0)
    return make_learner(dls, weights='none')


def quietly(learn, run=lambda learn: learn.fit(1)):
    with learn.no_bar(), learn.no_logging(), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return run(learn)


def conv_dtypes(learn, run=lambda learn: learn.fit(1), quiet=True):
    seen, conv = set(), next(m for m in learn.model.modules() if isinstance(m, nn.Conv2d))
    hook = conv.register_forward_hook(lambda m,x,out: seen.add(out.dtype))
    quietly(learn, run) if quiet else run(learn)
    hook.remove()
    return seen


def on_device(learn, name):
    "`learn`, said to be on another device: what is chosen there can be seen without one"
    learn.dls._device = torch.device(name)
    return learn


def ours(learn): return [type(cb) for cb in learn.cbs if isinstance(cb, OURS)]


# formats

@pytest.mark.parametrize('dtype, ints', [(np.float16, np.uint16), (np.float32, np.uint32), (np.float64, np.uint64)])
def test_bits_are_numpys(dtype, ints):
    edges = [0., -0., 1., -6.5, .1, 65504., 65520., 70000., 1e-8, 6e-8, 6.1e-5, math.inf, -math.inf, math.nan]
    for x in [*edges, *np.random.default_rng(0).normal(scale=100, size=50).astype(np.float32).tolist()]:
        with np.errstate(over='ignore'): value = np.array(x).astype(dtype)
        theirs = f'{int(value.view(ints)):0{8*value.itemsize}b}'
        assert ''.join(float_bits(x, getattr(torch, value.dtype.name))) == theirs


@pytest.mark.parametrize('dtype, lengths', [(HALF, [1, 5, 10]), (BRAIN, [1, 8, 7]), (torch.float32, [1, 8, 23]),
                                            (torch.float64, [1, 11, 52])])
def test_parts_have_their_lengths(dtype, lengths): assert [len(part) for part in float_bits(-.1, dtype)] == lengths


def test_bfloat16_is_float32_cut_short():
    for x in (1., -6.5, 2.**-130, 1e-40, 3e38, math.inf): # 1e-40 is subnormal in both
        assert float_bits(x, BRAIN)[:2] == float_bits(x, torch.float32)[:2]
    assert ''.join(float_bits(.1, BRAIN)) == ''.join(float_bits(.1, torch.float32))[:15]+'1' # rounded up


@pytest.mark.parametrize('dtype', [torch.int16, 'float16', None])
def test_bits_of_no_format(dtype):
    with pytest.raises(TypeError, match=f'dtype={dtype}: expected a floating-point format'): float_bits(1., dtype)


@pytest.mark.parametrize('dtype, largest, normal, smallest, eps', [
    (HALF, 65504, 6.10e-5, 5.96e-8, 9.77e-4), (BRAIN, 3.39e38, 1.18e-38, 9.18e-41, .0078),
    (torch.float32, 3.40e38, 1.18e-38, 1.40e-45, 1.19e-7)])
def test_figures_of_the_formats(dtype, largest, normal, smallest, eps):
    info = torch.finfo(dtype)
    found = [info.max, info.smallest_normal, info.smallest_normal*info.eps, info.eps]
    assert found == pytest.approx([largest, normal, smallest, eps], rel=4e-3)


def test_lost_numbers():
    assert torch.tensor([1e-8, 70_000., -70_000.]).to(HALF).tolist() == [0, math.inf, -math.inf]
    assert (torch.tensor(2048., dtype=HALF)+1).item() == 2048 and (torch.tensor(256., dtype=BRAIN)+1).item() == 256
    assert torch.tensor([1e-8, 70_000.]).to(BRAIN).tolist() == pytest.approx([1e-8, 70_000], rel=2**-8)


# what scaling does

def test_scaled_gradients_survive_float16():
    def gradient(dtype, scale):
        acts = torch.tensor([[12., -4., -4.]], dtype=dtype, requires_grad=True)
        (F.cross_entropy(acts.float(), torch.tensor([0]))/64*scale).backward()
        return acts.grad.float()[0, 1:]/scale
    assert gradient(HALF, 1).tolist() == [0, 0]
    torch.testing.assert_close(gradient(HALF, 2**16), gradient(torch.float32, 1), rtol=2**-11, atol=0)


def test_scaler_skips_and_halves():
    weight = torch.ones(1, requires_grad=True)
    opt, scaler = torch.optim.SGD([weight], lr=.1), torch.amp.GradScaler('cpu', growth_interval=2)
    seen = []
    for _ in range(6):
        scaler.scale((weight.half()*4).float().sum()).backward()
        scaler.step(opt)
        scaler.update()
        opt.zero_grad()
        seen.append((scaler.get_scale(), round(weight.item(), 3)))
    assert seen == [(2**15, 1), (2**14, 1), (2**13, 1), (2**13, .6), (2**14, .2), (2**13, .2)]


# what to_fp16 does

def test_to_fp16_adds_one_callback_and_changes_no_tensor():
    learn = tiny_learner()
    cbs, state = list(learn.cbs), copy.deepcopy(learn.model.state_dict())
    learn.to_fp16()
    assert [type(cb) for cb in learn.cbs if cb not in cbs] == [MixedPrecision]
    torch.testing.assert_close(dict(learn.model.state_dict()), dict(state), rtol=0, atol=0)


@pytest.mark.parametrize('method, n_warnings', [('to_fp16', 2), ('to_bf16', 1)])
def test_to_half_on_a_cpu_warns_and_trains_in_float32(method, n_warnings):
    learn = getattr(tiny_learner(), method)()
    seen = set()
    learn.model[0].register_forward_hook(lambda m,x,out: seen.add(out.dtype))
    with learn.no_bar(), learn.no_logging(), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        learn.fit(1)
    assert seen == {torch.float32} == {p.dtype for p in learn.model.parameters()}
    n_said = sum('CUDA is not available' in str(w.message) for w in said)
    assert n_said == (0 if torch.cuda.is_available() else n_warnings)


# bfloat16 on a CPU

RUNS = dict(fit=lambda learn: learn.fit(1), validate=Learner.validate, get_preds=Learner.get_preds)


@pytest.mark.parametrize('run', RUNS)
def test_bfloat16_inside(run): assert conv_dtypes(tiny_learner(cbs=HalfPrecision()), RUNS[run]) == {BRAIN}


def test_float32_outside():
    seen = {}
    class Note(Callback):
        def after_pred(self): seen['pred'] = self.pred.dtype, torch.is_autocast_enabled('cpu')
        def after_loss(self): seen['loss'] = self.loss_grad.dtype, torch.is_autocast_enabled('cpu')
        def before_step(self): seen['grads'] = {p.grad.dtype for p in self.model.parameters()}
    learn = tiny_learner(cbs=[HalfPrecision(), Note()])
    quietly(learn)
    assert seen == {'pred': (torch.float32, False), 'loss': (torch.float32, False), 'grads': {torch.float32}}
    assert {p.dtype for p in learn.model.parameters()} == {torch.float32}
    assert quietly(learn, Learner.get_preds)[0].dtype == torch.float32


def test_predictions_are_those_of_autocast():
    learn = tiny_learner(cbs=HalfPrecision())
    acts = quietly(learn, lambda learn: learn.get_preds(act=lambda x: x))[0]
    with torch.no_grad(), torch.autocast('cpu', BRAIN): truth = learn.model.eval()(learn.dls.valid.one_batch()[0])
    torch.testing.assert_close(acts, truth.float(), rtol=0, atol=0)


class Stumble(nn.Module):
    "Raises where and when it is told to"
    error = None
    def forward(self, x):
        if self.error: raise self.error
        return x


ERRORS = dict(error=RuntimeError('stumbled'), interrupt=KeyboardInterrupt('stumbled'))
FORMATS = dict(bf16=BRAIN, fp16=HALF) # a CPU can do both, the second slowly


def assert_put_back(learn, model):
    "Autocast is off; the model is the same, and computes in float32, as do a copy and one from a file"
    assert learn.model is model and not torch.is_autocast_enabled('cpu')
    assert (torch.ones(2, 2)@torch.ones(2, 2)).dtype == torch.float32
    x, truth = torch.randn(2, 3, 8, 8), []
    with torch.no_grad():
        for net in (model.eval(), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            truth.append(net(x))
            assert conv_dtypes(SimpleNamespace(model=net), lambda _: net(x), quiet=False) == {torch.float32}
        for child in model: x = child(x)
    assert all(torch.equal(t, x) for t in truth)


@pytest.mark.parametrize('mode', FORMATS)
@pytest.mark.parametrize('error', ERRORS)
@pytest.mark.parametrize('run', RUNS)
def test_nothing_is_left_on_when_the_model_raises(run, error, mode):
    learn = tiny_learner(cbs=HalfPrecision(mode))
    learn.model.append(Stumble())
    model = learn.model
    model[-1].error = ERRORS[error]
    with pytest.raises(type(ERRORS[error]), match='stumbled'): quietly(learn, RUNS[run])
    model[-1].error = None
    assert_put_back(learn, model)
    assert conv_dtypes(learn) == {FORMATS[mode]}


EVENTS = 'before_batch', 'after_pred', 'after_loss', 'before_backward', 'before_step', 'after_step', 'after_batch'


@pytest.mark.parametrize('event, order, mode, error', list(AllPairs([EVENTS, [-99, 15, math.inf], [*FORMATS], [*ERRORS]])))
def test_nothing_is_left_on_when_a_callback_raises(event, order, mode, error):
    "Nor by a callback that comes after ours and raises before the model is called"
    learn, model = tiny_learner(cbs=HalfPrecision(mode)), None
    def stumble(cb): raise ERRORS[error]
    late = Callback(**{event: stumble})
    late.order, model = order, learn.model
    with pytest.raises(type(ERRORS[error]), match='stumbled'): quietly(learn, lambda learn: learn.fit(1, cbs=late))
    assert_put_back(learn, model)
    assert conv_dtypes(learn) == {FORMATS[mode]}
    with pytest.raises(type(ERRORS[error])): quietly(learn, lambda learn: learn.fit(1, cbs=late))
    assert mixed_precision(learn, 'fp32') and conv_dtypes(learn) == {torch.float32}
    assert_put_back(learn, model)


@pytest.mark.parametrize('order', [0, 15])
def test_a_cancelled_batch_leaves_nothing(order):
    class Skip(Callback):
        def before_batch(self): raise CancelBatchException()
    Skip.order = order
    learn = tiny_learner(cbs=[HalfPrecision(), Skip()])
    model = learn.model
    quietly(learn, lambda learn: learn.fit(500))
    assert_put_back(learn, model)
    learn.remove_cb(Skip)
    assert conv_dtypes(learn) == {BRAIN} and 'forward' not in vars(model)


def test_a_callback_may_call_the_model_too():
    "With other photos it computes in float32, and the batch is none the worse for it"
    seen = []
    class Ask(Callback):
        order = 15
        def before_batch(self):
            seen.append(conv_dtypes(self.learn, lambda learn: learn.model(torch.zeros(2, 3, 8, 8)), quiet=False))
    learn = tiny_learner(cbs=HalfPrecision())
    assert conv_dtypes(learn, lambda learn: learn.fit(1, cbs=Ask())) == {torch.float32, BRAIN}
    assert all(dtypes == {torch.float32} for dtypes in seen)


def test_a_compiled_model_stays_compiled():
    "Its `forward` is its own, not that of its class"
    learn = tiny_learner(cbs=HalfPrecision())
    own = learn.model.forward = lambda x, forward=learn.model.forward: forward(x)
    assert conv_dtypes(learn) == {BRAIN} and learn.model.forward is own


@pytest.mark.parametrize('scale', [2.**16, 2.**40])
def test_the_scaler_works_as_that_of_fastai(scale):
    "Clipping sees gradients that are not scaled; a step that overflows is left out, and the scale is halved"
    seen, steps = [], []
    class Watch(Callback):
        order = MixedPrecision.order+1
        def before_fit(self): self.learn.scaler = torch.amp.GradScaler('cpu', init_scale=scale)
        def before_step(self): seen.append(max(p.grad.abs().max().item() for p in self.model.parameters()))
        def after_step(self): steps.append(self.learn.scaler.get_scale())
    learn = tiny_learner(cbs=[HalfPrecision('fp16'), Watch()])
    quietly(learn)
    assert all(0 < g < 10 for g in seen)
    if scale < 2**20: assert len(seen) == 3 and set(steps) == {scale}
    else: assert len(seen) == 0 and steps == [scale/2, scale/4, scale/8]


def test_a_learner_with_it_can_be_pickled():
    learn = tiny_learner(cbs=HalfPrecision())
    quietly(learn)
    assert [cb for cb in pickle.loads(pickle.dumps(learn)).cbs if isinstance(cb, HalfPrecision)]


# the choice

@pytest.mark.parametrize('fp32, bf16, name', [(.230, .200, 'bf16'), (.229, .200, 'fp32'), (.200, .100, 'bf16'),
                                              (.100, .300, 'fp32')])
def test_auto_on_a_cpu_goes_by_the_probe(fp32, bf16, name, monkeypatch):
    monkeypatch.setattr(precision, '_has_bf16_units', lambda: True)
    monkeypatch.setattr(precision, '_probe', lambda learn: ((12, 3, 64, 96), fp32, bf16))
    learn = tiny_learner()
    choice = mixed_precision(learn)
    assert isinstance(choice, PrecisionChoice) and choice.name == name
    spoken = SPEAK.format(f'{fp32*1e3:.1f}', f'{bf16*1e3:.1f}', f'{fp32/bf16:.2f}')
    assert choice.why == 'a training step on 12 photos of 96x64 took '+spoken
    assert conv_dtypes(learn) == {BRAIN if name == 'bf16' else torch.float32}
    assert ours(learn) == [HalfPrecision]*(name == 'bf16')+[ChannelsLast]


def test_auto_does_not_try_where_there_are_no_units(monkeypatch):
    monkeypatch.setattr(torch.cpu, 'get_capabilities', lambda: {'avx2': True, 'amx_bf16': False}, raising=False)
    monkeypatch.setattr(precision, '_probe', lambda learn: pytest.fail('tried all the same'))
    choice = mixed_precision(tiny_learner())
    assert choice.name == 'fp32' and 'no bfloat16 units' in choice.why


@pytest.mark.parametrize('caps, has', [({'amx_bf16': True}, True), ({'avx512_bf16': True}, True),
                                       ({'bf16': True}, True), ({'neon': True}, False), ({}, False)])
def test_units(caps, has, monkeypatch):
    monkeypatch.setattr(torch.cpu, 'get_capabilities', lambda: caps, raising=False)
    assert precision._has_bf16_units() == has


def test_an_older_torch_cannot_say(monkeypatch):
    monkeypatch.delattr(torch.cpu, 'get_capabilities', raising=False)
    assert not precision._has_bf16_units()


class Clock:
    "Steps that take the time they are told to; the first of each number of photos twice as long"
    def __init__(self, monkeypatch, fp32, bf16, slow=lambda call: 1):
        self.now, self.seconds, self.steps, self.slow = 0, np.array([fp32, bf16]), [], slow
        monkeypatch.setattr(precision, '_timed_pair', self.pair)
        monkeypatch.setattr(precision, 'perf_counter', lambda: self.now)
    def pair(self, net, opt, x):
        took = len(x)*self.seconds*(2-(len(x) in self.steps))*self.slow(len(self.steps))
        self.steps.append(len(x))
        self.now += took.sum()
        return took


@pytest.mark.parametrize('bs, n', [(3, 3), (4, 4), (64, 8), (1, 2)])
def test_probe_takes_two_seconds(bs, n, monkeypatch):
    clock, learn = Clock(monkeypatch, .02, .01), tiny_learner()
    learn.dls.train.bs = bs
    shape, fp32, bf16 = precision._probe(learn)
    assert shape == (n, 3, 8, 8) and (fp32, bf16) == pytest.approx((.02*n, .01*n)) # without the warm-up
    assert clock.steps == sorted(clock.steps) and clock.steps[0] == 2
    assert all(clock.steps.count(k) >= 2 for k in clock.steps)
    assert 1.7 < clock.now <= 2


def test_probe_goes_by_the_median(monkeypatch):
    Clock(monkeypatch, .02, .01, slow=lambda call: 50 if call % 7 == 5 else 1)
    assert precision._probe(tiny_learner())[1:] == pytest.approx((.08, .04))


def test_probe_adds_no_photos_where_bfloat16_is_much_slower(monkeypatch):
    clock = Clock(monkeypatch, .01, .0151)
    shape, *times = precision._probe(tiny_learner())
    assert shape[0] == 2 == max(clock.steps) and times == pytest.approx([.02, .0302]) and clock.now <= 2


def test_probe_of_a_large_network_is_two_steps_of_each_kind(monkeypatch):
    clock = Clock(monkeypatch, 1, .5)
    shape, *times = precision._probe(tiny_learner())
    assert shape[0] == 2 and times == pytest.approx([2, 1]) and len(clock.steps) == 2


def test_a_pair_is_two_steps():
    net, x = tiny_model(), torch.randn(2, 3, 8, 8)
    before, seen = copy.deepcopy(net.state_dict()), []
    net[0].register_forward_hook(lambda m, x, out: seen.append(out.dtype))
    times = precision._timed_pair(net, torch.optim.SGD(net.parameters(), .1), x)
    assert seen == [torch.float32, BRAIN] and (times > 0).all() and net[0].weight.grad is None
    assert not torch.equal(net[0].weight, before['0.weight'])


def test_probe_is_short_and_real():
    shape, fp32, bf16 = precision._probe(tiny_learner(), seconds=.2)
    assert shape in ((2, 3, 8, 8), (4, 3, 8, 8)) and 0 < fp32 < 10 and 0 < bf16 < 10


def states(learn):
    "All that a probe could have touched"
    model, train = learn.model, learn.dls.train
    tensors = {name: (t.clone(), t.stride(), t.requires_grad) for name, t in model.state_dict(keep_vars=True).items()}
    grads = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    modes = [m.training for m in model.modules()]
    rngs = random.getstate(), str(np.random.get_state()), torch.get_rng_state(), train.rng.getstate()
    switches = (torch.is_autocast_enabled('cpu'), torch.is_grad_enabled(), torch.backends.cudnn.deterministic,
                torch.get_num_threads())
    return tensors, grads, modes, rngs, switches, learn.opt, learn.training


def same(a, b):
    if isinstance(a, torch.Tensor): return torch.equal(a.detach(), b.detach())
    if isinstance(a, dict): return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)): return len(a) == len(b) and all(map(same, a, b))
    return a == b


@pytest.mark.parametrize('presize', ['composed', 'stock'])
@pytest.mark.parametrize('frozen', [False, True], ids=['unfrozen', 'frozen'])
def test_auto_leaves_the_learner_as_it_was(drawn, presize, frozen, monkeypatch):
    monkeypatch.setattr(precision, '_has_bf16_units', lambda: True)
    tried = []
    probe = precision._probe
    monkeypatch.setattr(precision, '_probe', lambda learn: tried.append(probe(learn, .3)) or tried[-1])
    learn, twin = photo_learner(drawn, presize), photo_learner(drawn, presize)
    if frozen: learn.freeze(); twin.freeze()
    learn.opt = twin.opt = None
    learn.model[0].eval()
    for p in learn.model.parameters(): p.grad = torch.rand_like(p)
    set_seed(1)
    before = states(learn)
    mixed_precision(learn)
    assert tried[0][0][1:] == (3, 48, 48)
    for was, now in zip(before, states(learn)): assert same(was, now)
    drawn_next = list(learn.dls.train)
    set_seed(1)
    mixed_precision(twin, 'fp32')
    for (x, y), (u, v) in zip(drawn_next, twin.dls.train, strict=True): assert torch.equal(x, u) and torch.equal(y, v)


def test_random_states_are_put_back_when_the_probe_raises(monkeypatch):
    learn = tiny_learner()
    monkeypatch.setattr(precision, '_has_bf16_units', lambda: True)
    learn.model.append(nn.Linear(3, 3))
    before = states(learn)
    with pytest.raises(RuntimeError): mixed_precision(learn)
    for was, now in zip(before, states(learn)): assert same(was, now)
    assert ours(learn) == []


# asked by name

@pytest.mark.parametrize('first, second, left', [
    ('bf16', 'bf16', [HalfPrecision, ChannelsLast]), ('bf16', 'fp32', [ChannelsLast]),
    ('fp32', 'bf16', [HalfPrecision, ChannelsLast]), ('fp32', 'fp32', [ChannelsLast])])
def test_a_second_call_replaces_the_first(first, second, left):
    learn = tiny_learner()
    n_cbs = len(learn.cbs)
    assert mixed_precision(learn, first) == (first, 'as asked, without a trial')
    assert mixed_precision(learn, second).name == second
    assert ours(learn) == left and len(learn.cbs) == n_cbs+len(left)
    assert conv_dtypes(learn) == {BRAIN if second == 'bf16' else torch.float32}


def test_it_replaces_to_fp16():
    learn = tiny_learner().to_fp16()
    mixed_precision(learn, 'fp32')
    assert ours(learn) == [ChannelsLast]


def test_channels_last():
    learn = tiny_learner()
    mixed_precision(learn, 'fp32')
    quietly(learn)
    assert learn.model[0].weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize('name, chosen, mode', [('auto', 'fp16', 'fp16'), ('fp16', 'fp16', 'fp16'),
                                                ('bf16', 'bf16', 'bf16'), ('fp32', 'fp32', None)])
def test_cuda(name, chosen, mode, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported', lambda including_emulation=True: True)
    learn = on_device(tiny_learner(), 'cuda')
    choice = mixed_precision(learn, name)
    assert choice.name == chosen and choice.why
    assert ours(learn) == [HalfPrecision]*(mode is not None)+[ChannelsLast]
    if mode: assert (learn.half_precision.amp_mode.value, learn.half_precision.kind) == (mode, 'cuda')


def test_an_old_card_is_not_asked_to_imitate_bf16(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported', lambda including_emulation=True: including_emulation)
    learn = on_device(tiny_learner(), 'cuda')
    with pytest.raises(ValueError, match='no units for bf16.*choose fp16, fp32 or auto'): mixed_precision(learn, 'bf16')


@pytest.mark.parametrize('device', ['mps', 'xpu'])
def test_other_devices(device):
    learn = on_device(tiny_learner(), device)
    choice = mixed_precision(learn)
    assert choice.name == 'fp32' and device in choice.why and ours(learn) == []
    assert mixed_precision(learn, 'fp32').name == 'fp32'
    for name in ('fp16', 'bf16'):
        refused = pytest.raises(ValueError, match=f'{name} is for CUDA and CPU.*{device}.*choose fp32')
        with refused: mixed_precision(learn, name)


@pytest.mark.parametrize('name, message', [
    ('fp16', 'fp16 on a CPU is far slower than fp32; choose bf16, fp32 or auto'), (None, 'precision None: choose'),
    ('int8', 'precision int8: choose auto or fp32 or fp16 or bf16')])
def test_refused_on_a_cpu(name, message):
    learn = tiny_learner()
    mixed_precision(learn, 'bf16')
    with pytest.raises(ValueError, match=message): mixed_precision(learn, name)
    assert ours(learn) == [HalfPrecision, ChannelsLast] # as before


def test_nothing_is_printed(capsys, monkeypatch):
    monkeypatch.setattr(precision, '_has_bf16_units', lambda: True)
    monkeypatch.setattr(precision, '_probe', lambda learn: ((2, 3, 8, 8), 1, 2))
    for name in ('auto', 'fp32', 'bf16'): mixed_precision(tiny_learner(), name)
    assert capsys.readouterr() == ('', '')


@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA here')
@pytest.mark.parametrize('name, dtype', [('auto', HALF), ('bf16', BRAIN), ('fp32', torch.float32)])
def test_on_a_real_card(name, dtype):
    learn = tiny_learner()
    learn.dls.to(torch.device('cuda'))
    mixed_precision(learn, name)
    assert conv_dtypes(learn) == {dtype} and {p.dtype for p in learn.model.parameters()} == {torch.float32}
