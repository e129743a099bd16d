"Bodies and heads: every family of architectures is cut at the right place, and weights fit or are refused."
import pytest
import torch
from safetensors.torch import save_file

from pet_breeds.model import make_model, new_network, read_weights

FAMILIES = ['alexnet', 'convnext_tiny', 'densenet121', 'efficientnet_b0', 'googlenet', 'inception_v3', 'maxvit_t', 'mnasnet0_5', 'mobilenet_v2', 'mobilenet_v3_small',
            'regnet_y_400mf', 'resnet18', 'resnext50_32x4d', 'shufflenet_v2_x0_5', 'squeezenet1_1', 'swin_t', 'vgg11_bn', 'vit_b_16', 'wide_resnet50_2']
TIMM = ['convnext_atto', 'resnet10t', 'vit_tiny_patch16_224', 'swin_tiny_patch4_window7_224', 'tf_efficientnetv2_b0', 'deit_tiny_patch16_224']


@pytest.mark.parametrize('arch', ['drawnet', *FAMILIES, *TIMM])
def test_every_family_has_a_body_and_a_head(arch):
    "Nearly all layers that learn features are kept, and the new model answers with one activation a class"
    model, meta = make_model(arch, 5)
    whole = new_network(arch)[0].cpu()
    convs = lambda m: sum(isinstance(x, (torch.nn.Conv2d, torch.nn.MultiheadAttention)) for x in m.modules())
    assert convs(model[0]) >= convs(whole) - 1  # squeezenet classifies with a convolution
    assert model.eval()(torch.zeros(1, 3, 224, 224)).shape == (1, 5)
    assert len(meta['split'](model)) >= 2 and len(meta['stats']) == 2


@pytest.mark.parametrize('arch', ['drawnet', 'mobilenet_v2', 'densenet121', 'vit_b_16', 'resnet10t'])
def test_weights_arrive_in_the_body(arch, tmp_path):
    net = new_network(arch)[0]
    with torch.no_grad():
        for p in net.parameters(): p.fill_(.123)
    torch.save(net.state_dict(), tmp_path/'w.pth')
    model, _ = make_model(arch, 5, tmp_path/'w.pth')
    assert all((p == .123).all() for p in model[0].parameters())


def test_half_precision_weights_are_read_as_float32(tmp_path):
    save_file({k: v.half() if v.is_floating_point() else v for k,v in new_network('drawnet')[0].state_dict().items()}, tmp_path/'w.safetensors')
    model, _ = make_model('drawnet', 5, tmp_path/'w.safetensors', size=96)
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_a_leftover_tensor_is_named(tmp_path):
    torch.save({**new_network('drawnet')[0].state_dict(), 'strange.weight': torch.zeros(1)}, tmp_path/'w.pth')
    with pytest.raises(ValueError, match='strange.weight is unknown'): make_model('drawnet', 5, tmp_path/'w.pth', size=96)


@pytest.mark.parametrize('what', [[], {}, {'a': 'text'}, torch.zeros(2)], ids=['list', 'empty', 'text', 'tensor'])
def test_no_state_dict(what, tmp_path):
    torch.save(what, tmp_path/'w.pth')
    with pytest.raises(ValueError, match='w.pth holds no state_dict'): read_weights(tmp_path/'w.pth')
