"Measured effects: every file of nbs/results is complete, drawn and put into words; the script goes on where it stopped."
import importlib.util
import json

import numpy as np
import pytest
from conftest import ROOT

from pet_breeds import effects

FILES = [f for f in sorted((ROOT/'nbs'/'results').glob('*.json')) if f.stem != 'chapter'] # which takes too long for five seeds


@pytest.fixture(scope='module')
def script():
    spec = importlib.util.spec_from_file_location('bench_effects', ROOT/'tests'/'bench'/'effects.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_are_results(): assert FILES and {f.stem for f in FILES} <= set(effects.EFFECTS)


@pytest.mark.parametrize('file', FILES, ids=lambda f: f.stem)
def test_a_file_is_complete(file):
    about, rows = effects.read_effect(file.stem)
    assert len(about['seeds']) >= 5 and set(rows.seed) == set(about['seeds'])
    assert about['command'] == f'python tests/bench/effects.py {file.stem}'
    assert np.isfinite(rows.error).all() and rows.error.between(0, 1).all()
    assert about['seconds'] > 0 and {'torch', 'fastai', 'timm'} <= set(about['versions'])
    plan = effects.EFFECTS[file.stem]
    settings = list(dict.fromkeys([c for c in (plan.x, plan.by) if c and not plan.behind]))
    if settings: assert set(rows.groupby(settings).seed.nunique()) == {len(about['seeds'])}, 'every setting has every seed'


@pytest.mark.parametrize('file', FILES, ids=lambda f: f.stem)
def test_a_file_is_drawn_and_put_into_words(file):
    fig, line = effects.plot_effect(file.stem), effects.effect_line(file.stem)
    assert fig.get_size_inches()[0] <= 6 and fig.get_size_inches()[1] <= 3.4
    assert len(fig.axes) == len(effects.EFFECTS[file.stem].ys) and all(ax.lines for ax in fig.axes)
    about = effects.read_effect(file.stem).about
    assert '95% interval' in line and f"{len(about['seeds'])} seeds" in line
    assert about['command'] in line and about['device'] in line and f"{about['n_valid']:,} for validation" in line


@pytest.mark.parametrize('file', FILES, ids=lambda f: f.stem)
def test_the_script_still_measures_the_same(file, script):
    "A setting that the script would measure otherwise today must be measured again"
    about, rows = effects.read_effect(file.stem)
    _, settings, fixed, what = script.MEASURES[file.stem]
    assert about['settings'] == fixed and about['what'] == what
    assert len(rows.drop_duplicates(list(settings[0]) or ['seed'])) == (len(settings) if settings[0] else len(about['seeds']))


def written(tmp_path, rows, **about):
    "A file of an effect with two settings, made up"
    about = dict.fromkeys(effects.ABOUT, 'x') | dict(n_train=10, n_valid=10, seeds=[0, 1, 2], threads=1) | about
    file = tmp_path/'nowhere'/'nbs'/'results'/'ratios.json'
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(dict(about=about, rows=rows)))
    return file


def made_up(one, hundred): # errors, a seed each
    return [dict(seed=seed, way=way, error=error) for way, errors in
            {'one rate': one, 'ratio 100': hundred, 'head only': one}.items() for seed, error in enumerate(errors)]


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    "A folder whose results are read instead of ours"
    monkeypatch.setattr(effects.resources, 'files', lambda name: tmp_path/'nowhere'/'pet_breeds')
    return tmp_path


def test_a_finding_follows_the_rows(elsewhere):
    "Differences of -.1, -.2, -.3: the deviation is .1, t for 2 degrees of freedom 4.303, so the half is 4.303*.1/3**.5 = .248"
    written(elsewhere, made_up([.5, .6, .7], [.4, .4, .4]))
    assert 'no clear difference, error lower by 0.200 (95% interval -0.048 to 0.448)' in effects.effect_line('ratios')
    written(elsewhere, made_up([.5, .6, .7], [.3, .41, .5]))
    assert 'one rate: error lower by 0.197 (95% interval 0.182 to 0.211)' in effects.effect_line('ratios')
    written(elsewhere, made_up([.3, .41, .5], [.5, .6, .7]))
    assert 'one rate: error higher by 0.197 (95% interval 0.182 to 0.211)' in effects.effect_line('ratios')


def test_seeds_are_paired_whatever_their_order(elsewhere):
    rows = made_up([.5, .6, .7], [.3, .41, .5])
    written(elsewhere, rows[::-1])
    assert 'error lower by 0.197 (95% interval 0.182 to 0.211)' in effects.effect_line('ratios')


def test_one_seed_is_not_enough(elsewhere):
    written(elsewhere, made_up([.5], [.3]))
    with pytest.raises(ValueError, match='1 seeds in both settings'): effects.effect_line('ratios')


def test_a_missing_file_names_its_command(elsewhere):
    with pytest.raises(FileNotFoundError, match='python tests/bench/effects.py ratios makes it'): effects.plot_effect('ratios')


@pytest.mark.parametrize('content, told', [
    ('{', 'ratios.json is not JSON'), ('[]', "ratios.json: expected a dictionary 'about'"), ('{"about": {}, "rows": []}', 'ratios.json'),
    ('{"about": {}, "rows": [{"seed": 0, "way": "one rate", "error": 0.5}]}', 'ratios.json lacks about.what, about.photos')])
def test_a_file_that_misses_fields_is_refused_by_name(elsewhere, content, told):
    written(elsewhere, []).write_text(content)
    with pytest.raises(ValueError) as e: effects.read_effect('ratios')
    assert told in str(e.value)


def test_a_column_that_is_missing_is_named(elsewhere):
    written(elsewhere, [dict(seed=0, error=.5)])
    with pytest.raises(ValueError, match='rows.way'): effects.read_effect('ratios')


def measuring(script, file, seeds, fixed=None):
    "Measure with a function that only counts its calls; returns the calls"
    calls = []
    def stub(seed, x, scale):
        calls.append((seed, x))
        return [dict(part=part, error=.1*seed+scale*x) for part in (0, 1)]
    script.measure('stub', file, seeds, stub, [dict(x=1), dict(x=2)], fixed or dict(each=7, scale=.01), 'A stub')
    return calls


def test_what_is_there_is_not_measured_again(script, tmp_path):
    file = tmp_path/'stub.json'
    assert measuring(script, file, [0, 1]) == [(0, 1), (0, 2), (1, 1), (1, 2)]
    first = json.loads(file.read_text())
    assert len(first['rows']) == 8 and first['about']['seeds'] == [0, 1]
    assert measuring(script, file, [0, 1, 2]) == [(2, 1), (2, 2)]
    second = json.loads(file.read_text())
    assert second['rows'][:8] == first['rows'] and second['about']['seeds'] == [0, 1, 2]
    assert measuring(script, file, [0, 1, 2]) == []


def test_other_settings_start_anew(script, tmp_path):
    file = tmp_path/'stub.json'
    measuring(script, file, [0])
    assert measuring(script, file, [0], dict(each=7, scale=.02)) == [(0, 1), (0, 2)]
    assert len(json.loads(file.read_text())['rows']) == 4


def test_a_stopped_run_keeps_its_rows(script, tmp_path):
    def stub(seed):
        if seed: raise KeyboardInterrupt
        return dict(error=.5)
    with pytest.raises(KeyboardInterrupt): script.measure('stub', tmp_path/'stub.json', [0, 1], stub, [{}], dict(each=7), 'A stub')
    assert [row['seed'] for row in json.loads((tmp_path/'stub.json').read_text())['rows']] == [0]


def test_splits_are_paired_and_apart(script, monkeypatch):
    "Validation photos do not depend on how many photos are trained on, and fewer photos are a part of more"
    import torch
    monkeypatch.setattr(script, 'files', lambda: ([], torch.arange(37).repeat(36)))
    (few, valid), (many, same) = script.split(3, 4), script.split(3, 29)
    assert (valid == same).all() and set(few) < set(many) and not set(many) & set(valid)
    assert len(few) == 4*37 and len(many) == 29*37 and set(script.split(4)[1]) != set(valid)


@pytest.fixture(scope='module')
def kept(script):
    "What the script has read and computed once for a measure of tiny photos serves the next; nothing else sees it"
    caches = [f for f in vars(script).values() if hasattr(f, 'cache_clear') and f is not script.files]
    for f in caches: f.cache_clear()
    yield
    for f in caches: f.cache_clear()


@pytest.mark.parametrize('name', [*effects.EFFECTS, 'chapter'])
def test_every_measure_runs(script, kept, shared, monkeypatch, tmp_path, name):
    "The first setting and the last one, on five breeds and tiny photos"
    found, y = script.files()
    few = (y < 5).nonzero()[:, 0]
    monkeypatch.setattr(script, 'files', lambda: ([found[i] for i in few], y[few]))
    for key, value in dict(BREEDS=5, SIZE=64, STORED=64).items(): monkeypatch.setattr(script, key, value)
    func, settings, fixed, what = script.MEASURES[name]
    first, last, fixed = (options | ({'size': 64} if 'size' in options else {}) for options in (settings[0], settings[-1], fixed))
    result = script.measure(name, tmp_path/f'{name}.json', [0], func, [first, last][:len(settings)], fixed, what)
    assert all(0 <= row['error'] <= 1 for row in result['rows'])
    assert json.loads((tmp_path/f'{name}.json').read_text()) == result and result['about']['n_valid'] == 35
    if name in effects.EFFECTS: assert len(effects.read_effect(name, tmp_path/f'{name}.json').rows) == len(result['rows'])


def test_the_calls_of_the_chapter_are_measured_as_the_script_would(script):
    about, rows = json.loads((ROOT/'nbs'/'results'/'chapter.json').read_text()).values()
    _, settings, fixed, what = script.MEASURES['chapter']
    assert about['settings'] == fixed and about['what'] == what and about['n_valid'] == 259
    assert [row['table'] for row in rows if row['seed'] == 0] == [each['table'] for each in settings] == [*'ABCDEFG', 'fitted head']
    assert all(0 < row['error'] < 1 for row in rows)
