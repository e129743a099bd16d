"Properties of `pet_breeds.loss`, most of them checked against `torch.nn.functional`."
import math, subprocess, sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np, pytest, torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings, strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from pet_breeds.loss import cross_entropy, log_softmax, nll_loss, softmax, softmax_table

ROOT = Path(__file__).parents[1]
TOL = {torch.float32: 1e-6, torch.float64: 1e-12}
dtypes = st.sampled_from(list(TOL))
reductions = st.sampled_from(['none', 'mean', 'sum'])
smoothings = st.sampled_from([0., .1, .5, 1.])

def examples(n): return settings(max_examples=n, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])

def close(a, b, tol=None):
    tol = tol or TOL[b.dtype]
    torch.testing.assert_close(a, b, rtol=tol, atol=tol, equal_nan=True)

@st.composite
def batches(draw, high=1e4, impossible=False, max_extra=2, min_classes=1):
    "Activations (N,C), (N,C,d1) or (N,C,d1,d2), float32 or float64, with targets."
    shape = draw(st.tuples(st.integers(1, 5), st.integers(min_classes, 7)))
    extra = tuple(draw(st.lists(st.integers(1, 3), max_size=max_extra)))
    numbers = st.floats(-high, high, width=32)
    if impossible: numbers = numbers | st.just(-math.inf)
    acts = torch.from_numpy(draw(arrays(np.float64, shape + extra, elements=numbers)))
    targ = torch.from_numpy(draw(arrays(np.int64, shape[:1] + extra, elements=st.integers(0, shape[1] - 1))))
    return acts.to(draw(dtypes)), targ

# softmax and log_softmax

@examples(100)
@given(batches(), st.floats(-1e4, 1e4, width=32))
def test_a_shift_changes_nothing(batch, shift):
    acts = batch[0].double()
    close(softmax(acts + shift, 1), softmax(acts, 1), 1e-10)
    close(log_softmax(acts + shift, 1), log_softmax(acts, 1), 1e-10)

@examples(100)
@given(batches(), st.integers(-2, 1))
def test_sums_to_one_and_stays_in_range(batch, dim):
    p = softmax(batch[0], dim)
    assert p.shape == batch[0].shape and p.dtype == batch[0].dtype
    assert ((p >= 0) & (p <= 1)).all()
    close(p.sum(dim), torch.ones_like(p.sum(dim)), 4 * TOL[p.dtype])
    assert (log_softmax(batch[0], dim) <= 0).all()

@examples(100)
@given(batches(max_extra=0))
def test_order_is_kept(batch):
    acts, p = batch[0], softmax(batch[0])
    lower = acts[:, :, None] < acts[:, None]
    assert (p[:, :, None] <= p[:, None] + TOL[p.dtype])[lower].all()
    assert (p.gather(1, acts.argmax(1, keepdim=True)) == p.amax(1, keepdim=True)).all()

@examples(150)
@given(batches(impossible=True), st.integers(-2, 1))
def test_softmax_equals_torch(batch, dim):
    acts = batch[0]
    close(softmax(acts, dim), torch.softmax(acts, dim))
    close(log_softmax(acts, dim), torch.log_softmax(acts, dim))

@examples(80)
@given(batches(high=600, max_extra=0))
def test_softmax_equals_a_loop_of_python_floats(batch):
    acts = batch[0].double()
    rows = [[math.exp(x) for x in row] for row in acts.tolist()]
    close(softmax(acts), torch.tensor([[e / math.fsum(row) for e in row] for row in rows]).double(), 1e-6)

def test_a_row_without_a_possible_class_is_nan_as_in_torch():
    acts, targ = torch.full((2, 3), -math.inf), torch.tensor([0, 1])
    assert softmax(acts).isnan().all() and log_softmax(acts).isnan().all() and cross_entropy(acts, targ).isnan()
    assert torch.softmax(acts, 1).isnan().all() and F.cross_entropy(acts, targ).isnan()

@examples(100)
@given(batches(high=100), st.sampled_from([torch.float16, torch.bfloat16]))
def test_half_precision_is_as_good_as_its_digits(batch, dtype):
    acts, targ = batch[0].to(dtype), batch[1]
    tol = 4 * torch.finfo(dtype).eps
    for ours, theirs in ((softmax, torch.softmax), (log_softmax, torch.log_softmax)):
        p = ours(acts, 1)
        assert p.dtype == dtype
        close(p.float(), theirs(acts.float(), 1), tol)
    loss = cross_entropy(acts, targ)
    assert loss.dtype == dtype
    close(loss.float(), F.cross_entropy(acts.float(), targ), tol)

# the losses

@examples(150)
@given(batches(impossible=True), reductions)
def test_nll_loss_equals_torch_and_takes_no_log(batch, reduction):
    acts, targ = batch
    for x in (acts, torch.log_softmax(acts, 1), torch.softmax(acts, 1)):
        close(nll_loss(x, targ, reduction=reduction), F.nll_loss(x, targ, reduction=reduction))

@examples(250)
@given(batches(impossible=True), reductions, smoothings)
def test_cross_entropy_equals_torch(batch, reduction, eps):
    acts, targ = batch
    if eps == 1: acts = acts.clamp_min(-1e4) # there PyTorch multiplies an infinite loss by 0
    loss = cross_entropy(acts, targ, reduction=reduction, label_smoothing=eps)
    assert loss.dtype == acts.dtype
    close(loss, F.cross_entropy(acts, targ, reduction=reduction, label_smoothing=eps))

@examples(80)
@given(batches(), reductions)
def test_cross_entropy_is_nll_loss_of_log_softmax(batch, reduction):
    acts, targ = batch
    close(cross_entropy(acts, targ, reduction=reduction), nll_loss(log_softmax(acts, 1), targ, reduction=reduction))

@examples(80)
@given(batches(max_extra=0), smoothings)
def test_smoothing_is_cross_entropy_against_soft_targets(batch, eps):
    acts, targ = batch
    soft = eps / acts.shape[1] + (1 - eps) * F.one_hot(targ, acts.shape[1]).double()
    close(cross_entropy(acts, targ, label_smoothing=eps), F.cross_entropy(acts, soft.to(acts.dtype)))

@examples(100)
@given(batches(), reductions, smoothings)
def test_gradients_equal_torch(batch, reduction, eps):
    acts, targ = batch
    ours, theirs = (acts.clone().requires_grad_() for _ in range(2))
    cross_entropy(ours, targ, reduction=reduction, label_smoothing=eps).sum().backward()
    F.cross_entropy(theirs, targ, reduction=reduction, label_smoothing=eps).sum().backward()
    close(ours.grad, theirs.grad)

@examples(80)
@given(batches(max_extra=0))
def test_gradient_is_softmax_less_one_hot_over_n(batch):
    acts, targ = batch[0].requires_grad_(), batch[1]
    cross_entropy(acts, targ).backward()
    by_hand = (torch.softmax(acts.detach(), 1) - F.one_hot(targ, acts.shape[1])) / len(acts)
    close(acts.grad, by_hand.to(acts.dtype))

@examples(30)
@given(batches(high=5, max_extra=1), smoothings)
def test_gradcheck(batch, eps):
    acts, targ = batch[0].double().requires_grad_(), batch[1]
    for f in (lambda x: softmax(x, 1), lambda x: log_softmax(x, 1), lambda x: cross_entropy(x, targ, reduction='none', label_smoothing=eps)):
        assert gradcheck(f, (acts,))
    assert gradgradcheck(lambda x: cross_entropy(x, targ, label_smoothing=eps), (acts,))

@examples(60)
@given(batches(max_extra=0), reductions)
def test_one_photo_without_a_batch(batch, reduction):
    acts, targ = batch[0][0], batch[1][0]
    close(cross_entropy(acts, targ, reduction=reduction), F.cross_entropy(acts, targ, reduction=reduction))
    close(nll_loss(acts, targ, reduction=reduction), F.nll_loss(acts, targ, reduction=reduction))

@examples(60)
@given(batches(high=1e3), st.sampled_from([torch.int32, torch.int16, torch.uint8]))
def test_any_integer_dtype_is_a_class_number(batch, dtype):
    acts, targ = batch
    close(cross_entropy(acts, targ.to(dtype)), F.cross_entropy(acts, targ))

@examples(60)
@given(batches(high=300, max_extra=0))
def test_table_adds_up(batch):
    acts, targ = batch[0][0].double(), batch[1][0].item()
    names = [f'breed {i}' for i in range(len(acts))]
    table = softmax_table(acts, names, targ)
    assert list(table) == ['class', 'output', 'exp', 'softmax', 'log', 'loss'] and list(table['class']) == names
    assert table.softmax.sum() == pytest.approx(1)
    assert table.exp.tolist() == pytest.approx([math.exp(x) for x in acts.tolist()])
    assert table.loss.sum() == pytest.approx(F.cross_entropy(acts, batch[1][0]).item(), abs=1e-12)
    assert table.loss.drop(index=targ).eq(0).all()
    assert list(softmax_table(acts.requires_grad_(), names)) == ['class', 'output', 'exp', 'softmax']

# subclasses

class Image(Tensor): pass
class Label(Tensor): pass

def check_subclasses(acts, targ, image, label):
    x = acts.clone().requires_grad_()
    loss = cross_entropy(x.as_subclass(image), targ.as_subclass(label))
    close(loss, F.cross_entropy(acts, targ))
    loss.backward()
    assert type(loss) is Tensor and type(x.grad) is Tensor
    xs, ts = acts.as_subclass(image), targ.as_subclass(label)
    for out, plain in ((softmax(xs, 1), softmax(acts, 1)), (log_softmax(xs, 1), log_softmax(acts, 1)),
                       (nll_loss(xs, ts, reduction='none'), nll_loss(acts, targ, reduction='none'))):
        assert type(out) is Tensor
        close(out, plain)

@examples(40)
@given(batches())
def test_subclasses_give_plain_tensors(batch): check_subclasses(*batch, Image, Label)

def test_fastai_tensors():
    core = pytest.importorskip('fastai.torch_core', reason='fastai is not installed')
    check = examples(40)(given(batches())(lambda batch: check_subclasses(*batch, core.TensorImage, core.TensorCategory)))
    check()
    acts, targ = core.TensorImage(torch.tensor([2., 0., 1.])), core.TensorCategory(torch.tensor(2))
    assert softmax_table(acts, ['a', 'b', 'c'], targ).loss[2] == pytest.approx(1.4076, abs=1e-4)

def test_inputs_are_left_alone():
    acts, targ = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    before = acts.clone(), targ.clone()
    softmax(acts), log_softmax(acts), nll_loss(acts, targ), cross_entropy(acts, targ, label_smoothing=.1)
    assert torch.equal(acts, before[0]) and torch.equal(targ, before[1])

# what counts, and soft targets

@st.composite
def counted(draw, **kwargs):
    "A batch, one weight for each class, and the class number that does not count"
    acts, targ = draw(batches(**kwargs))
    weight = torch.tensor(draw(st.lists(st.floats(.125, 8, width=16), min_size=acts.shape[1], max_size=acts.shape[1])), dtype=acts.dtype)
    return acts, targ, dict(weight=weight, ignore_index=draw(st.sampled_from([-100, 0, 1, 2])))

@examples(200)
@given(counted(), reductions, smoothings)
def test_weights_and_ignored_photos_equal_torch(batch, reduction, eps):
    acts, targ, options = batch
    options['reduction'] = reduction
    close(nll_loss(acts, targ, **options), F.nll_loss(acts, targ, **options))
    options['label_smoothing'] = eps
    close(cross_entropy(acts, targ, **options), F.cross_entropy(acts, targ, **options))

@examples(80)
@given(counted(high=300), smoothings)
def test_their_gradients_equal_torch(batch, eps):
    acts, targ, options = batch
    ours, theirs = (acts.clone().requires_grad_() for _ in range(2))
    cross_entropy(ours, targ, label_smoothing=eps, **options).backward()
    F.cross_entropy(theirs, targ, label_smoothing=eps, **options).backward()
    close(ours.grad, theirs.grad)

@examples(100)
@given(batches(), reductions, smoothings, st.booleans(), st.data())
def test_soft_targets_equal_torch(batch, reduction, eps, weighted, data):
    acts, _ = batch
    soft = torch.from_numpy(data.draw(arrays(np.float64, tuple(acts.shape), elements=st.floats(0, 1, width=16)))).to(acts.dtype)
    options = dict(reduction=reduction, label_smoothing=eps, weight=torch.arange(1, acts.shape[1]+1).to(acts.dtype) if weighted else None)
    close(cross_entropy(acts, soft, **options), F.cross_entropy(acts, soft, **options))
    close(cross_entropy(acts[0], soft[0], **options), F.cross_entropy(acts[0], soft[0], **options)) if acts.ndim == 2 else None

def test_mixup_is_the_mean_of_two_losses():
    acts, a, b = torch.randn(5, 4), torch.tensor([0, 1, 2, 3, 0]), torch.tensor([3, 3, 0, 1, 0])
    soft = .3*F.one_hot(a, 4) + .7*F.one_hot(b, 4)
    close(cross_entropy(acts, soft), .3*cross_entropy(acts, a) + .7*cross_entropy(acts, b))

def test_an_ignored_photo_may_be_impossible():
    acts, targ = torch.tensor([[-math.inf, 0.], [1., 2.]], requires_grad=True), torch.tensor([0, 1])
    for eps in (0., .1):
        acts.grad = None
        loss = cross_entropy(acts, targ, ignore_index=0, label_smoothing=eps)
        loss.backward()
        close(loss, F.cross_entropy(acts, targ, ignore_index=0, label_smoothing=eps))
        assert acts.grad.isfinite().all() and (acts.grad[0] == 0).all()

def test_if_all_are_ignored_there_is_no_mean():
    acts, targ = torch.zeros(2, 3), torch.tensor([-100, -100])
    assert cross_entropy(acts, targ).isnan() and F.cross_entropy(acts, targ).isnan()
    assert cross_entropy(acts, targ, reduction='sum') == 0

def test_a_soft_target_of_zero_does_not_meet_an_infinite_log():
    acts = torch.tensor([[0., -math.inf]])
    assert cross_entropy(acts, torch.tensor([[1., 0.]])) == 0
    assert cross_entropy(acts, torch.tensor([1])) == cross_entropy(acts, torch.tensor([1]), label_smoothing=1.) == math.inf

def test_a_mean_over_many_pixels_fits_into_half_precision():
    acts, targ = torch.tensor([[0., 12.]]).repeat(9000, 1).half(), torch.zeros(9000, dtype=torch.long)
    assert cross_entropy(acts, targ).item() == pytest.approx(12, rel=.01)

def test_weights_of_another_precision():
    loss = cross_entropy(torch.zeros(2, 3), torch.tensor([0, 2]), weight=torch.ones(3, dtype=torch.float64))
    assert loss.dtype == torch.float32

# the inputs by which PyTorch tests its own functions

OPS = dict(softmax=softmax, log_softmax=log_softmax, nll_loss=nll_loss, cross_entropy=cross_entropy)

def sample_inputs(dtype):
    "Compare ours with theirs on every sample input of this type: how many were equal, and how many ours refused"
    from torch.testing._internal.common_methods_invocations import op_db
    equal, refused = dict.fromkeys(OPS, 0), dict.fromkeys(OPS, 0)
    for op in op_db:
        name = op.name.removeprefix('nn.functional.')
        if name not in OPS: continue
        for sample in op.sample_inputs('cpu', dtype, requires_grad=True):
            if 'dtype' in sample.kwargs or not sample.input.numel():
                refused[name] += 1
                with pytest.raises((TypeError, ValueError)): OPS[name](sample.input, *sample.args, **sample.kwargs)
                continue
            ours, theirs = (f(sample.input, *sample.args, **sample.kwargs) for f in (OPS[name], op))
            close(ours, theirs)
            gradients = [torch.autograd.grad(loss.sum(), sample.input, allow_unused=True)[0] for loss in (ours, theirs)]
            close(*gradients)
            equal[name] += 1
    return equal, refused

def test_pytorchs_own_sample_inputs():
    "All are equal but for `dtype=`, which ours lack, and for empty tensors, which ours refuse; in a process of their own, because PyTorch's tests freeze its global flags"
    pytest.importorskip('expecttest', reason="PyTorch's own tests need it")
    with ProcessPoolExecutor(1, mp_context=get_context('spawn')) as process: results = list(process.map(sample_inputs, TOL))
    for equal, refused in results:
        assert all(n >= least for n, least in zip(equal.values(), (6, 6, 61, 21))), equal
        assert refused['nll_loss'] == refused['cross_entropy'] == 0 < refused['softmax'] < 9, refused

# the numbers of the chapter

def near(actual, printed, tol=1e-4): torch.testing.assert_close(torch.as_tensor(actual).double(), torch.tensor(printed).double(), atol=tol, rtol=0)

def test_the_six_photos_of_threes_and_sevens():
    acts, targ = torch.randn(6, 2, generator=torch.Generator().manual_seed(42))*2, torch.tensor([0, 1, 0, 1, 1, 0])
    near(acts, [[.6734, .2576], [.4689, .4607], [-2.2457, -.3727], [4.4164, -1.2760], [.9233, .5347], [1.0698, 1.6187]])
    probs = softmax(acts)
    near(probs[:, 0], [.602469, .502065, .133188, .996640, .595949, .366118], tol=2e-6)
    close(probs[:, 0], (acts[:, 0]-acts[:, 1]).sigmoid())
    picked = probs[range(6), targ]
    near(picked, [.602469, .497935, .133188, .003360, .404051, .366118], tol=2e-6)
    close(nll_loss(probs, targ, reduction='none'), -picked)
    near(-picked.log(), [.506720, .697285, 2.015990, 5.695763, .906213, 1.004798], tol=2e-5)
    near(cross_entropy(acts, targ), 1.8045)
    row = softmax_table(acts[0], ['3', '7'], 0)
    near(row.exp[0], 1.9608552547588787, tol=1e-7)
    near(row.softmax, [.602468670578454, .39753132942154595], tol=1e-7)
    near(row.log, [-.5067196140092344, -.9224815318387478], tol=1e-7)

def test_the_bears_and_other_published_numbers():
    bear = torch.tensor([.02, -2.49, 1.25])
    table = softmax_table(bear, ['teddy', 'grizzly', 'brown'])
    near(table.exp, [1.0202, .0829, 3.4903])
    near(table.exp.sum(), 4.5935) # the figure prints 4.60
    near(table.softmax, [.2221, .0180, .7599])
    near(softmax(bear+100), softmax(bear).tolist(), tol=1e-5)
    near(softmax(torch.tensor([4., 2., 0., -4.])), [.86656, .11728, .015872, .00029070], tol=1e-5)
    near(softmax(F.one_hot(torch.tensor(0), 37).float()).max(), math.e/(math.e+36), tol=1e-6)

# what is refused

acts, targ = torch.zeros(2, 3), torch.tensor([0, 2])
float_tensor = r'{}: expected a floating-point tensor \(try `.float\(\)`\), got torch.int64'
refused = [
    (softmax, ([1., 2.],), TypeError, r'acts: expected a floating-point tensor, got list'),
    (softmax, (acts.long(),), TypeError, float_tensor.format('acts')),
    (log_softmax, (acts.long(),), TypeError, float_tensor.format('acts')),
    (log_softmax, (acts.to(torch.complex64),), TypeError, r'acts: expected a floating-point tensor .* got torch.complex64'),
    (softmax, (acts[:0],), ValueError, r'acts: expected at least one row and one class, got shape \(0, 3\)'),
    (nll_loss, (torch.tensor(1.), torch.tensor(0)), ValueError, r'logp: expected at least one row and one class, got shape \(\)'),
    (cross_entropy, (torch.tensor(1.), torch.tensor(0)), ValueError, r'acts: expected at least one row and one class, got shape \(\)'),
    (softmax, (torch.tensor(1.), 1), IndexError, r'dim: expected an axis from -1 to 0, got 1'),
    (softmax, (torch.tensor(1.), -2), IndexError, r'dim: expected an axis from -1 to 0, got -2'),
    (softmax, (acts, 2), IndexError, r'dim: expected an axis from -2 to 1, got 2'),
    (log_softmax, (acts, -3), IndexError, r'dim: expected an axis from -2 to 1, got -3'),
    (cross_entropy, (acts.long(), targ), TypeError, float_tensor.format('acts')),
    (cross_entropy, (None, targ), TypeError, r'acts: expected a floating-point tensor, got NoneType'),
    (cross_entropy, (acts[:0], targ[:0]), ValueError, r'acts: .* got shape \(0, 3\)'),
    (cross_entropy, (acts[:, :0], targ), ValueError, r'acts: .* got shape \(2, 0\)'),
    (cross_entropy, (acts, [0, 2]), TypeError, r'targ: expected a tensor of class numbers, got list'),
    (cross_entropy, (acts, targ.float()), TypeError, r'targ: expected integer class numbers \(try `.long\(\)`\), got torch.float32'),
    (cross_entropy, (acts, torch.tensor([0, 3])), IndexError, r'targ: expected class numbers from 0 to 2, got 3'),
    (cross_entropy, (acts, torch.tensor([-1, 2])), IndexError, r'targ: expected class numbers from 0 to 2, got -1'),
    (cross_entropy, (acts, targ[:, None]), ValueError, r'targ: expected shape \(2,\), .* got \(2, 1\)'),
    (cross_entropy, (acts, targ[:1]), ValueError, r'targ: expected shape \(2,\), .* got \(1,\)'),
    (cross_entropy, (torch.zeros(2, 3, 4), targ), ValueError, r'targ: expected shape \(2, 4\), .* got \(2,\)'),
    (cross_entropy, (acts[0], targ), ValueError, r'targ: expected shape \(\), .* got \(2,\)'),
    (cross_entropy, (acts, targ, None, -100, 'avg'), ValueError, r"reduction: expected 'none', 'mean' or 'sum', got 'avg'"),
    (cross_entropy, (acts, targ, None, -100, None), ValueError, r'reduction: .* got None'),
    (cross_entropy, (acts, targ, None, -100, 'mean', 1.5), ValueError, r'label_smoothing: expected a number in \[0,1\], got 1.5'),
    (cross_entropy, (acts, targ, None, -100, 'mean', -.1), ValueError, r'label_smoothing: .* got -0.1'),
    (cross_entropy, (acts, targ, None, -100, 'mean', math.nan), ValueError, r'label_smoothing: .* got nan'),
    (nll_loss, (acts.long(), targ), TypeError, float_tensor.format('logp')),
    (nll_loss, (acts[:0], targ[:0]), ValueError, r'logp: .* got shape \(0, 3\)'),
    (nll_loss, (acts, torch.tensor([0, 7])), IndexError, r'targ: expected class numbers from 0 to 2, got 7'),
    (nll_loss, (acts, targ.double()), TypeError, r'targ: .* got torch.float64'),
    (nll_loss, (acts, targ, None, -100, 'avg'), ValueError, r"reduction: .* got 'avg'"),
    (nll_loss, (acts, torch.tensor([0, -100]), None, 1), IndexError, r'targ: expected class numbers from 0 to 2, got -100'),
    (nll_loss, (acts, targ, [1., 1., 1.]), TypeError, r'weight: expected a floating-point tensor, got list'),
    (nll_loss, (acts, targ, torch.ones(3).long()), TypeError, float_tensor.format('weight')),
    (cross_entropy, (acts, targ, torch.ones(2)), ValueError, r'weight: expected shape \(3,\), one for each class, got \(2,\)'),
    (cross_entropy, (acts, acts, torch.ones(2)), ValueError, r'weight: expected shape \(3,\), one for each class, got \(2,\)'),
    (cross_entropy, (acts, acts + 1.5), ValueError, r'targ: expected probabilities in \[0,1\], got 1.5'),
    (cross_entropy, (acts, acts - .5), ValueError, r'targ: expected probabilities in \[0,1\], got -0.5'),
    (cross_entropy, (acts, acts + math.nan), ValueError, r'targ: expected probabilities in \[0,1\], got nan'),
    (cross_entropy, (acts, acts, None, 0), ValueError, r'ignore_index: expected none, as each row of `targ` is a distribution, got 0'),
    (cross_entropy, (acts, acts, None, -100, 'avg'), ValueError, r"reduction: .* got 'avg'"),
    (softmax_table, (acts, ['a', 'b', 'c']), ValueError, r"acts: expected one photo's activations, shape \(3,\) for 3 names, got shape \(2, 3\)"),
    (softmax_table, (acts[0].long(), ['a', 'b', 'c']), TypeError, float_tensor.format('acts')),
    (softmax_table, (acts[0], ['a', 'b']), ValueError, r'acts: .* shape \(2,\) for 2 names, got shape \(3,\)'),
    (softmax_table, (acts[0], ['a', 'b', 'c'], 3), IndexError, r'targ: expected class numbers from 0 to 2, got 3'),
    (softmax_table, (acts[0], ['a', 'b', 'c'], 'b'), TypeError, r"targ: expected a class number, got 'b'"),
    (softmax_table, (acts[0], ['a', 'b', 'c'], 1.), TypeError, r'targ: expected a class number, got 1.0'),
    (softmax_table, (acts[0], ['a', 'b', 'c'], targ), ValueError, r'targ: expected shape \(\), .* got \(2,\)'),
]

@pytest.mark.parametrize('f, args, error, words', refused, ids=[f'{f.__name__}-{i}' for i, (f, *_) in enumerate(refused)])
def test_bad_input_is_refused(f, args, error, words):
    with pytest.raises(error, match='^' + words) as e: f(*args)
    assert '\n' not in str(e.value)

def test_import_adds_nothing_to_torch():
    code = ('import sys, torch; before = set(sys.modules); import pet_breeds.loss; '
            'print(*sorted(set(sys.modules) - before)); assert not any(m.startswith("fastai") for m in sys.modules)')
    run = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ['pet_breeds', 'pet_breeds.loss']
