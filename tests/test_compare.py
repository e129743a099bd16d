"Comparisons: the ways in turn on the same seeds, and the paired difference with its interval."
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pet_breeds.compare import compare, repeat


def test_repeat_takes_the_ways_in_turn():
    calls = []
    def way(name, factor): return lambda seed: calls.append((name, seed)) or factor*seed
    runs = repeat({'a': way('a', 1), 'b': way('b', 2)}, seeds=[3, 5], progress=False)
    assert calls == [('a', 3), ('b', 3), ('a', 5), ('b', 5)]
    assert (runs.dtypes == float).all() and runs.to_dict('index') == {3: {'a': 3, 'b': 6}, 5: {'a': 5, 'b': 10}}


def test_compare_is_the_paired_t_test():
    rng = np.random.default_rng(0)
    for shift in (0, .02, .2):
        runs = pd.DataFrame(dict(a=rng.normal(.3, .05, 8), b=rng.normal(.3+shift, .05, 8)))
        table, theirs = compare(runs).loc['b'], stats.ttest_rel(runs.b, runs.a)
        assert (table.low > 0 or table.high < 0) == (theirs.pvalue < .05)
        assert table.difference/table.difference_se == pytest.approx(theirs.statistic)
        assert (table.low, table.high) == pytest.approx(tuple(theirs.confidence_interval()))
    assert list(compare(runs[['a']]).columns) == ['n', 'mean', 'std', 'se']


def test_repeat_with_one_way_and_five_seeds():
    assert repeat(lambda seed: seed/2, progress=False).result.to_dict() == {i: i/2 for i in range(5)}
    assert list(repeat(float, seeds=2).index) == list(repeat(float, seeds=np.int64(2)).index) == [0, 1]


def test_compare_and_repeat_refuse():
    with pytest.raises(ValueError, match='two or more'): repeat(float, seeds=[1], progress=False)
    with pytest.raises(ValueError, match="baseline='z'"): compare(pd.DataFrame(dict(a=[1, 2])), 'z')
    with pytest.raises(ValueError, match='not one of'): compare(pd.DataFrame(index=[0, 1]))


def test_a_run_without_a_number_is_refused():
    runs = pd.DataFrame(dict(a=[.2, .21, .19], b=[.2, float('nan'), .3]), index=pd.Index([0, 1, 2], name='seed'))
    with pytest.raises(ValueError, match='a seed gave no finite number'): compare(runs)


@pytest.mark.parametrize('seeds', [[0, 1, 0], [3, 3], np.array([1, 1.]), iter([2, 2])])
def test_a_seed_counts_once(seeds):
    "Twelve rows of two seeds would look as clear as twelve seeds"
    with pytest.raises(ValueError, match='each once'): repeat(lambda seed: pytest.fail('it was trained'), seeds=seeds, progress=False)
    runs = pd.DataFrame(dict(a=[.2, .3]*6, b=[.1, .3]*6), index=pd.Index([0, 1]*6, name='seed'))
    with pytest.raises(ValueError, match='seeds .*each seed once'): compare(runs)


@pytest.mark.parametrize('number', [float('inf'), -float('inf'), float('nan')])
def test_numbers_that_are_not_finite_and_a_single_row(number):
    runs = pd.DataFrame(dict(a=[.2, .21], b=[.3, number]))
    with pytest.raises(ValueError, match='no finite number'): compare(runs)
    with pytest.raises(ValueError, match='two rows or more'): compare(runs[:1])
