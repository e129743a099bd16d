"A network that gives the same, faster: folded, by an engine, or as it is."
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import ROOT
from fastcore.basics import noop
from pet_breeds import features
from pet_breeds.data import pets_dls
from pet_breeds.drawn import draw_pets
from pet_breeds.features import ENGINE_FROM, FoldedConv, QuickNet, body_features, engine, fold, quick_model
from pet_breeds.model import make_learner, new_network
from torch import nn

pytestmark = pytest.mark.everyday


def network(arch):
    "With statistics of batch norm that matter"
    torch.manual_seed(0)
    net = new_network(arch)[0].eval()
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.running_mean.normal_(0, .1)
            m.running_var.uniform_(.5, 2)
            nn.init.uniform_(m.weight, .5, 1.5)
            nn.init.normal_(m.bias, 0, .1)
    return net


@pytest.fixture(scope='module')
def learn(tmp_path_factory):
    pets = draw_pets(tmp_path_factory.mktemp('features')/'pets', n_per_breed=10, breeds=['Bombay', 'pug'], progress=False)
    return make_learner(pets_dls(pets, bs=4, size=64, device='cpu'), 'tf_efficientnet_lite0', head='linear')


def photos(n, size=64): return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(1))


def close(a, b): assert (a-b).abs().max() < 1e-4*b.abs().max()


@pytest.mark.parametrize('size', [64, 75])
@pytest.mark.parametrize('arch', ['drawnet', 'resnet18', 'mobilenet_v2', 'tf_efficientnet_lite0', 'efficientnet_lite0', 'tf_efficientnet_b0'])
def test_folded_gives_the_same(arch, size):
    net, x = network(arch), photos(5, size)
    was = {k: v.clone() for k, v in net.state_dict().items()}
    with torch.no_grad():
        folded = fold(net, x[:4])
        for some in (x, x[:1], x.to(memory_format=torch.channels_last)): close(folded(some), net(some))
    assert sum(isinstance(m, FoldedConv) for m in folded.modules()) > 5
    assert all(torch.equal(was[k], v) for k, v in net.state_dict().items()) and not any(isinstance(m, FoldedConv) for m in net.modules())


@pytest.mark.parametrize('arch', ['drawnet', 'tf_efficientnet_lite0'])
def test_the_engine_gives_the_same(arch):
    pytest.importorskip('openvino')
    net, x = network(arch), photos(5)
    with torch.no_grad():
        way = engine(net, x[:4])
        for some in (x, x[:1], x.to(memory_format=torch.channels_last)): close(way(some), net(some))


def test_the_engine_reports_to_nobody():
    "Importing OpenVINO sends a message and writes a file if it finds this package, so it must not"
    pytest.importorskip('openvino')
    code = ("import sys, torch; from pet_breeds.features import engine; from torch import nn; "
            "engine(nn.Conv2d(3, 3, 1).eval(), torch.zeros(1, 3, 8, 8)); "
            "print([m for m in sys.modules if m.startswith('openvino_telemetry')], 'openvino' in sys.modules)")
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split('\n')[0] == '[] True'


@pytest.mark.parametrize('n', [9, ENGINE_FROM])
def test_the_first_way_that_agrees(n, monkeypatch):
    "The first batch comes from the network itself; a way that differs, or that fails, is not taken"
    net, x = network('drawnet'), photos(8)
    def wrong(net, x): return features._that_agrees(lambda x: net(x)+1, x, net(x))
    def broken(net, x): raise RuntimeError('cannot take it')
    for ways, taken in (((wrong, fold), nn.Sequential), ((broken, fold), nn.Sequential), ((broken, wrong), None)):
        monkeypatch.setattr(features, 'engine', ways[0])
        monkeypatch.setattr(features, 'fold', ways[1])
        quick = QuickNet(net, n).eval()
        with torch.no_grad():
            assert torch.equal(quick(x), net(x))
            close(quick(x), net(x))
        assert (quick.way is net) == (taken is None)


class Odd(nn.Module):
    "Networks in which more than a batch norm uses what a convolution gives"
    def __init__(self, kind):
        super().__init__()
        self.kind, self.conv, self.relu = kind, nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(inplace=True)
        self.bn, self.again = (nn.BatchNorm2d(3) for _ in range(2))
        for p in (*self.bn.parameters(), *self.again.parameters()): nn.init.uniform_(p, .5, 2)

    def forward(self, x):
        y = self.conv(x)
        if self.kind == 'in place': return self.bn(self.relu(y))
        return self.bn(y)+y if self.kind == 'around' else self.again(self.conv(self.bn(y)))


@pytest.mark.parametrize('kind', ['in place', 'around', 'twice'])
def test_a_network_that_cannot_be_folded(kind):
    net, x = Odd(kind).eval(), photos(8, 16)
    with pytest.raises(ValueError, match='something else for this network'): fold(net, x)
    with torch.no_grad():
        quick = QuickNet(net, 9).eval()
        assert torch.equal(quick(x), net(x)) and torch.equal(quick(x), net(x)) and quick.way is net


def test_an_engine_takes_photos_of_another_size():
    pytest.importorskip('openvino')
    net, other = network('drawnet'), photos(3, 48)
    with torch.no_grad(): close(engine(net, photos(4))(other), net(other))


def test_no_photos_have_no_features(learn):
    with pytest.raises(ValueError, match='one photo or more'): body_features(learn, learn.dls.train.items[:0])


def test_an_engine_only_for_many(monkeypatch):
    "It takes a second to begin"
    asked = []
    monkeypatch.setattr(features, 'engine', lambda net, x: asked.append(1) or net)
    with torch.no_grad():
        for n in (ENGINE_FROM-1, ENGINE_FROM): QuickNet(network('drawnet'), n).eval()(photos(4))
    assert len(asked) == 1


def test_few_photos_as_they_are():
    net, x = network('drawnet'), photos(4)
    quick = QuickNet(net, 4).eval()
    with torch.no_grad(): assert torch.equal(quick(x), net(x)) and quick.way is None


@pytest.mark.parametrize('case', ['gradients', 'training', 'half precision', 'float64'])
def test_only_where_nothing_else_is_needed(case):
    "Gradients reach the weights, batch norm learns, and other precisions are what they are"
    net = network('drawnet').requires_grad_(True)
    quick, x = QuickNet(net, 1000).eval(), photos(4)
    if case == 'gradients':
        quick(x).sum().backward()
        assert all(p.grad is not None for p in net.parameters())
    elif case == 'training':
        quick.train()
        was = net[0][0][1].running_mean.clone()
        with torch.no_grad(): quick(x)
        assert not torch.equal(was, net[0][0][1].running_mean)
    elif case == 'half precision':
        with torch.no_grad(), torch.autocast('cpu', torch.bfloat16): assert quick(x).dtype == torch.bfloat16
    else:
        net.double()
        with torch.no_grad(): assert quick(x.double()).dtype == torch.float64
    assert quick.way is None


def test_weights_that_are_not_finite():
    "No way agrees with nan, so the network itself answers, and whoever called can see it"
    net = network('drawnet')
    net[0][0][0].weight.data[0] = float('nan')
    quick = QuickNet(net, 1000).eval()
    with torch.no_grad(): assert quick(photos(4)).isnan().any() and quick.way is net


def test_outputs_that_are_kept_lie_in_one_piece_of_memory():
    "None is written over, also if more photos come than were said"
    net, x = network('drawnet'), photos(10)
    quick = QuickNet(net, 8).eval()
    with torch.no_grad():
        kept, alone = [quick(x[i:i+2]) for i in range(0, 10, 2)], net(x)
    close(torch.cat(kept), alone)
    assert [out.untyped_storage().data_ptr() == kept[0].untyped_storage().data_ptr() for out in kept] == [True]*4+[False]


def test_features_of_a_learner(learn):
    "The same as one photo after the other through body and pooling; the Learner is as before, and holds no batch"
    model, items = learn.model, learn.dls.train.items
    feats, targ = body_features(learn, items)
    assert learn.model is model and learn.xb == (None,) and learn.pred is None
    dl = learn.dls.test_dl(items, with_labels=True)
    with torch.no_grad(): theirs = torch.cat([model.eval()[0](x.as_subclass(torch.Tensor)) for x, _ in dl]).numpy()
    np.testing.assert_allclose(feats, theirs, atol=1e-4*abs(theirs).max())
    assert list(targ) == [int(y) for _, ys in dl for y in ys]


def test_the_model_comes_back_after_an_error(learn, monkeypatch):
    model = learn.model
    monkeypatch.setattr(type(learn), 'get_preds', lambda *a, **k: 1/0)
    with pytest.raises(ZeroDivisionError): body_features(learn, learn.dls.train.items)
    assert learn.model is model


def test_predictions_of_a_learner(learn):
    with learn.no_bar():
        acts, _ = learn.get_preds(1, act=noop)
        with quick_model(learn, 1000): quick, _ = learn.get_preds(1, act=noop)
    close(quick, acts)
    assert torch.equal(quick.argmax(1), acts.argmax(1))
