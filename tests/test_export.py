"The ONNX file: the preparation in its graph is ours to a rounding, its answers are those of `predict`, and it replaces nothing."
import json
import os
import shutil
import subprocess
import sys
import warnings

import numpy as np
import pytest
from conftest import refused
from PIL import Image

onnx = pytest.importorskip('onnx')
ort = pytest.importorskip('onnxruntime')
pytest.importorskip('onnxscript')

from pet_breeds import export
from pet_breeds.batches import photo_dl
from pet_breeds.cli import main_export
from pet_breeds.data import pets_dls
from pet_breeds.export import export_onnx
from pet_breeds.model import make_learner
from pet_breeds.photos import read_photo
from pet_breeds.predict import Predictor, predict_pets
from pet_breeds.saving import save_model
from pet_breeds.warp import Prep


@pytest.fixture(scope='module')
def report(drawn, tmp_path_factory):
    learn = make_learner(pets_dls(drawn, bs=8, size=64, fit='pad', seed=1))
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(1, 2e-3)
    return save_model(learn, tmp_path_factory.mktemp('export')/'report')


def session(model): return ort.InferenceSession(model if isinstance(model, bytes) else str(model))


SHAPES = [(500, 375), (333, 500), (1, 1), (2, 3), (40, 700), (699, 12), (460, 460), (919, 1301), (921, 933), (1501, 2003)]


@pytest.mark.parametrize('fit, size, item', [('crop', 224, 460), ('pad', 96, 460), ('squish', 288, 591), ('crop', 64, 131)])
def test_the_preparation_is_ours(fit, size, item):
    "Photos of many shapes, enlarged, halved, mirrored at the ends: one value in 500 at most differs, by one gray level"
    prep, mean, std = Prep(size=size, item=item, fit=fit), [.4, .5, .6], [.2, .25, .3]
    graph = session(export._preparation(prep, mean, std).SerializeToString())
    for height, width in SHAPES:
        noise = np.random.default_rng(height).integers(0, 256, (5, 7, 3), dtype=np.uint8)
        photo = np.array(Image.fromarray(noise).resize((width, height), Image.BICUBIC))
        [got], = graph.run(None, dict(photo=photo))
        want = photo_dl([photo], prep, mean, std).one_batch()[0][0].numpy()
        off = np.abs(got-want)*np.array(std)[:, None, None]*255
        assert off.max() < 1.01 and (off > .01).mean() < 2e-3, (height, width, off.max(), (off > .01).mean())


@pytest.fixture(scope='module')
def exported(report, tmp_path_factory):
    dest = tmp_path_factory.mktemp('onnx')/'pets.onnx'
    main_export([str(report), str(dest)])
    return dest


def test_the_file(exported, report, drawn):
    "Answers as `predict`, with the breeds in order; it says which model it is"
    graph = session(exported)
    meta, photos = graph.get_modelmeta().custom_metadata_map, sorted((drawn/'images').iterdir())
    preds, _ = predict_pets(report, photos, top=0)
    assert [f'prob_{breed}' for breed in json.loads(meta['labels'])] == list(preds.columns[3:])
    assert meta['sha256'] == json.loads((report/'model.json').read_text())['sha256']
    got = np.array([graph.run(None, dict(photo=read_photo(f)))[0] for f in photos])
    assert np.abs(got-preds.iloc[:, 3:].to_numpy()).max() < 1e-3
    onnx.checker.check_model(str(exported), full_check=True)
    assert not list(onnx.load(exported).functions) and [[p.name for p in ports()] for ports in (graph.get_inputs, graph.get_outputs)] == [['photo'], ['probs']]


def test_onnxruntime_tells_nobody(report, tmp_path):
    "Its telemetry, on by default, would leave the id of this device in the home folder"
    (home := tmp_path/'home').mkdir()
    env = {k: v for k, v in os.environ.items() if k not in ('ORT_DISABLE_TELEMETRY', 'XDG_CACHE_HOME', 'XDG_DATA_HOME')}
    command = 'import sys; from pet_breeds.export import export_onnx; export_onnx(*sys.argv[1:])'
    subprocess.run([sys.executable, '-c', command, str(report), str(tmp_path/'a.onnx')], check=True, capture_output=True,
                   env={**env, 'HOME': str(home), 'MPLCONFIGDIR': str(tmp_path)})
    assert [f.name for f in home.rglob('*') if f.is_file()] == []


def test_a_new_file_replaces_ours_if_it_agrees(exported, report, tmp_path, monkeypatch, capsys):
    shutil.copy(exported, tmp_path)
    monkeypatch.setattr(export, '_whole_graph', lambda *args: onnx.load(exported))
    with monkeypatch.context() as m:
        m.setattr(export, '_difference', lambda *args: .5)
        with pytest.raises(ValueError, match='nothing was written'): export_onnx(report, tmp_path/'pets.onnx')
    assert (tmp_path/'pets.onnx').read_bytes() == exported.read_bytes() and os.listdir(tmp_path) == ['pets.onnx']
    export_onnx(report, tmp_path/'pets.onnx')
    assert '4 breeds' in capsys.readouterr().out


def test_a_network_that_pytorch_cannot_export(report, tmp_path, capsys, monkeypatch, recwarn):
    "One line, without PyTorch's warnings and advice for programmers"
    def fails(*args, **kwargs):
        warnings.warn('not for our users')
        raise RuntimeError('Failed to convert\n- If there is a missing function, implement it')
    monkeypatch.setattr('torch.onnx.export', fails)
    refused(main_export, capsys, [report, tmp_path/'a.onnx'], str(report), 'cannot be exported', 'drawnet; train another one: Failed to convert')
    assert not os.listdir(tmp_path) and 'not for our users' not in ' '.join(str(w.message) for w in recwarn)


def test_what_is_refused(report, drawn, tmp_path, capsys, monkeypatch):
    for name, data in (('other.onnx', onnx.helper.make_model(onnx.helper.make_graph([], 'g', [], [])).SerializeToString()),
                       ('text.onnx', b'my notes'), ('empty.onnx', b'')):
        (tmp_path/name).write_bytes(data)
        refused(main_export, capsys, [report, tmp_path/name], name, "not ours")
        assert (tmp_path/name).read_bytes() == data
    refused(main_export, capsys, [report, tmp_path/'pets.pt'], '.onnx')
    refused(main_export, capsys, [tmp_path, tmp_path/'a.onnx'], 'no ', 'model.safetensors')
    refused(main_export, capsys, [report, tmp_path/'no'/'a.onnx'], 'choose a folder')
    stock = save_model(make_learner(pets_dls(drawn, bs=8, size=64, presize='stock')), tmp_path/'stock')
    refused(main_export, capsys, [stock, tmp_path/'a.onnx'], '--presize stock')
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    refused(main_export, capsys, [report, tmp_path/'a.onnx'], 'pip install onnx onnxscript onnxruntime')
    assert sorted(os.listdir(tmp_path)) == ['empty.onnx', 'other.onnx', 'stock', 'text.onnx']


def test_real_photos(shared, report, exported):
    "111 of them, three of each breed; a large JPEG is decoded smaller by `predict`, so pixels come as it reads them"
    photos = [f for i, f in enumerate(sorted((shared/'pets'/'images').iterdir())) if i % 7 in (0, 3, 5)]
    predictor, graph = Predictor(report, 111), session(exported)
    got = np.array([graph.run(None, dict(photo=read_photo(f, predictor.prep.item)))[0] for f in photos])
    assert len(photos) == 111 and np.abs(got-predictor(photos)).max() < 1e-3
