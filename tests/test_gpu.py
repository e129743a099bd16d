"The script that waits for a GPU: it goes on where it stopped, keeps to its minutes, hides nothing, and runs on a CPU too."
import importlib
import json
import sys
from argparse import Namespace

import pytest
from conftest import ROOT

TINY = ('--device cpu --n 74 --size 64 --bs 8 --rounds 1 --workers 1 --archs drawnet --error-n 74 --error-size 32 --error-epochs 1 '
        '--effect-n 74 --seeds 2 --minutes 60').split()


@pytest.fixture(scope='module')
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT/'tests'/'bench')
        yield importlib.import_module('gpu')


@pytest.fixture(autouse=True)
def little_garbage(monkeypatch): monkeypatch.setattr('gc.collect', lambda: 0) # a third of a second each, for a GPU's memory


@pytest.fixture
def measured(script, monkeypatch):
    "A function that measures with functions which only note what was asked of them; returns that, and how often the file was written"
    def measure(result, minutes=1e9, fails=(), stops=None, **args):
        calls, writes = [], []
        def stub(bench, **setting):
            if len(calls) == stops: raise KeyboardInterrupt
            calls.append(setting)
            if setting.get('precision') in fails: raise RuntimeError('no memory left')
            return dict(photos_per_s=dict(fp32=1, fp16=3, bf16=2).get(setting.get('precision'), 0), error=.5)
        for kind, (_, guess) in script.KINDS.items(): monkeypatch.setitem(script.KINDS, kind, (stub, guess))
        args = dict(parts=['steps', 'compiled', 'errors'], archs=['drawnet'], seeds=2, device='cuda', photos=[], minutes=minutes) | args
        try: script.measure(script.Bench(Namespace(**args), None), result, lambda: writes.append(json.dumps(result)))
        except KeyboardInterrupt: pass
        return calls, writes
    return measure


def new(): return dict(rows={}, failed=[], left_out=[])


def test_what_is_there_is_not_measured_again(measured):
    result = new()
    calls, writes = measured(result)
    assert len(calls) == len(writes) == 7+1+8 and len(result['rows']['steps']) == 7
    assert calls[7] == dict(arch='drawnet', recipe='ours', precision='fp16', channels_last=True, compiled=True), 'the fastest one is compiled'
    assert measured(result) == ([], []) and not result['left_out'] and not result['failed']
    assert len(measured(result, seeds=3)[0]) == 4


def test_a_killed_run_loses_one_measurement(measured):
    result = new()
    calls, writes = measured(result, stops=5)
    assert len(calls) == len(writes) == 5
    kept = json.loads(writes[-1])
    assert kept == json.loads(json.dumps(result)) and len(measured(kept)[0]) == 16-5


def test_what_does_not_fit_is_listed(measured, script, monkeypatch):
    "Of 45 seconds 10 are for the end: enough for a step (25) or an error (30), not to compile (120)"
    monkeypatch.setattr(script, 'spent', lambda: 0)
    result = new()
    measured(result, minutes=45/60)
    assert [len(result['rows'][kind]) for kind in ('steps', 'errors', 'compiled')] == [7, 8, 0]
    assert [one['why'] for one in result['left_out']] == ['takes about 120 s, 35 s were left']
    result['rows']['steps'] = [row | dict(took_s=36.) for row in result['rows']['steps']][:3] # it is slower than was guessed
    calls, writes = measured(result | dict(left_out=[]), minutes=45/60)
    assert not calls and [one['why'] for one in json.loads(writes[-1])['left_out']] == 4*['takes about 36 s, 35 s were left'] + [
        'takes about 120 s, 35 s were left']


def test_what_fails_is_listed_and_tried_again(measured, capsys):
    result = new()
    measured(result, fails=['fp16'])
    assert len(result['failed']) == 1+2+2*2 and {one['why'] for one in result['failed']} == {'RuntimeError: no memory left'}
    assert result['rows']['compiled'][0]['precision'] == 'bf16' and 'Traceback' in capsys.readouterr().err
    assert {call['precision'] for call in measured(result | dict(failed=[]))[0]} == {'fp16'}


def test_effects_need_real_photos(measured):
    result = new()
    assert measured(result, parts=['effects'])[0] == [] and result['left_out'] == [dict(kind='effects', why='no --photos')]


def test_results_made_otherwise_are_refused(script, tmp_path, capsys):
    file, settings = tmp_path/'gpu.json', dict(device='a card', n=3700, size=224)
    file.write_text(json.dumps(script.started(file, settings)))
    assert script.started(file, settings)['settings'] == settings
    with pytest.raises(SystemExit) as stop: script.started(file, settings | dict(device='another', n=74))
    said = capsys.readouterr().err
    assert stop.value.code == 2 and said == 'gpu.json holds results of device a card, not another; n 3700, not 74: give another --json\n'


@pytest.mark.parametrize('given', [False, True])
def test_every_measure_runs(script, drawn, monkeypatch, tmp_path, given):
    "On photos of its own, and on those it is given; the effects go on from the shipped body"
    file, more = tmp_path/'gpu.json', ['--photos', str(drawn), '--arch', 'drawnet', '--seeds', '1'] if given else []
    parts = 'errors,effects' if given else 'loading,steps,errors'
    monkeypatch.setattr(sys, 'argv', ['gpu.py', '--json', str(file), '--data', str(tmp_path), '--parts', parts, *TINY, *more])
    script.main()
    result = json.loads(file.read_text())
    assert {kind: len(rows) for kind, rows in result['rows'].items()} == (
        dict(errors=3, finder=2, rates=12, precision=2, ratios=5) if given else dict(loading=1, steps=5, errors=6))
    assert set(result['tables']) == set(result['rows']) and not result['left_out']
    assert all('fp16 on a CPU' in one['why'] for one in result['failed']) and str(tmp_path) not in file.read_text()
    assert all(0 <= row['error'] <= 1 for kind in ('errors', 'rates', 'ratios') for row in result['rows'].get(kind, []))
    assert [row['n'] for row in result['tables']['errors']] == 3*[1 if given else 2]
    assert all(row['of_limit'] > 0 and row['peak_GB'] is None for row in result['rows'].get('steps', []))
