"A Learner that trains in milliseconds, what an error may change in it, errors of a full memory, and what is a report."
import gc
import random
from pathlib import Path

import numpy as np
import torch
from fastai.callback.core import Callback
from fastai.data.core import Datasets
from fastai.data.transforms import Categorize
from fastai.learner import Learner
from fastai.losses import CrossEntropyLossFlat
from fastai.metrics import error_rate
from fastai.torch_core import params, set_seed
from fastcore.foundation import L
from torch import nn

from pet_breeds.saving import foreign_content

gc.freeze() # a collection need not look at what is loaded by now, which takes half a second


def pixels(file):
    "A noisy picture, brighter for `b` than for `a`, and so on"
    rng = np.random.default_rng(int(Path(file).stem))
    return torch.tensor(rng.normal(loc=ord(Path(file).parent.name)-ord('a'), size=(3, 8, 8)).astype(np.float32))


def is_report(folder):
    "Whether a path is a folder, not a link, that holds a report of ours and nothing else"
    whole = folder.is_dir() and not folder.is_symlink() and foreign_content(folder) is None
    return whole and (folder/'metrics.json').is_file() # it is not empty


def tiny_files(folder, n=36, classes='ab'):
    "Files of several classes, in a folder for each"
    files = [Path(folder)/classes[i % len(classes)]/f'{i}.bin' for i in range(n)]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b'.'*int(file.stem))
    return files


class Room(nn.Module):
    "Passes on what it gets, or raises `error` for more than `photos` at once, where `when(model)` says so"
    error, photos, when = None, 2**60, staticmethod(lambda model: True)
    def forward(self, x):
        if len(x) > self.photos and self.when(self): raise self.error()
        return x


def tiny_network(n_out):
    body = nn.Sequential(Room(), nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU())
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(.2), nn.Linear(4, n_out))
    return nn.Sequential(body, head)


def tiny_learner(files, bs=8, seed=0, **kwargs):
    "Two thirds of the files to train on; pretrained, so to say: the body comes first in the splitter"
    set_seed(seed)
    n = len(files)*2//3
    label = [lambda file: Path(file).parent.name, Categorize()]
    dsets = Datasets(files, [[pixels], label], splits=(range(n), range(n, len(files))))
    dls = dsets.dataloaders(bs=bs, val_bs=2*bs, num_workers=0, device=torch.device('cpu'))
    split = lambda model: L(model[0], model[1]).map(params)
    settings = {**dict(loss_func=CrossEntropyLossFlat(), splitter=split, metrics=error_rate), **kwargs}
    learn = Learner(dls, tiny_network(len(dls.vocab)), **settings)
    learn.head, learn.logger = 'linear', lambda row: None
    learn.remove_cbs([cb for cb in learn.cbs if cb.name == 'progress'])
    return learn


def weights(learn): return {k: v.clone() for k, v in learn.model.state_dict().items()}


def random_states(learn):
    loaders = [dl.rng.getstate() for dl in learn.dls.loaders]
    return [random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist(), loaders]


def assert_clean(learn, model):
    "Nothing of an interrupted step is left: autocast is off, the model is the same and computes in float32"
    assert not torch.is_autocast_enabled('cpu') and not torch.is_autocast_enabled('cuda')
    assert (torch.ones(2, 2)@torch.ones(2, 2)).dtype == torch.float32
    assert learn.model is model
    seen = []
    hook = model[0][1].register_forward_hook(lambda m, x, out: seen.append(out.dtype))
    assert model.eval()(torch.zeros(2, 3, 8, 8)).dtype == torch.float32 and seen == [torch.float32]
    hook.remove()


def assert_let_go(learn):
    "The Learner holds no batch"
    grads = [p.grad for p in learn.model.parameters()]
    held = [learn.dl, learn.pred, learn.loss, learn.loss_grad, *learn.xb, *learn.yb, *grads]
    assert [x for x in held if x is not None] == []


def no_memory(): return torch.empty(2**60)  # raises what PyTorch raises on a CPU


def raiser(error):
    def fail(): raise error
    return fail


FULL = {'cuda': raiser(torch.OutOfMemoryError('CUDA out of memory')), 'cpu': no_memory, 'python': raiser(MemoryError()),
        'driver': raiser(RuntimeError('CUDA error: out of memory'))}


class Raise(Callback):
    "An error in one event of the second training batch"
    def __init__(self, event, error, order=0): self.order, self.error = order, error; setattr(self, event, self.fail)
    def fail(self):
        if self.training and self.iter == 1: raise self.error
