"Counts, tables and pictures of a model's mistakes: every column, every mark in a picture, and bad input."
from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib import rcParams
from matplotlib.colors import to_rgb
from PIL import Image
from pandas.testing import assert_frame_equal
from scipy.stats import binomtest

from pet_breeds import figures
from pet_breeds.figures import COLORS
from pet_breeds.interpret import (confusion, error_interval, error_se, honest_error, most_confused, per_class, plot_confusion,
                                  plot_photos, plot_training, top_losses)
from pet_breeds.photos import read_photo

VOCAB = ['beagle', 'pug', 'sphynx']
TARG = [0, 0, 0, 0, 1, 1, 2, 2, 2, 2]
PRED = [0, 1, 1, 2, 1, 0, 2, 2, 2, 0]
COUNTS = [[1, 2, 1], [1, 1, 0], [1, 0, 3]]


@pytest.fixture
def cm(): return confusion(TARG, PRED, VOCAB)


def table(counts, vocab):
    "What `confusion` returns, with these counts"
    return confusion(*zip(*[at for at, n in np.ndenumerate(counts) for _ in range(n)]), vocab)


# Standard error

@pytest.mark.parametrize('error, n, se', [(.5, 100, .05), (.2, 16, .1), (0, 5, 0), (1, 5, 0), (.1, 1, .3)])
def test_the_standard_error_is_binomial(error, n, se): assert error_se(error, n) == pytest.approx(se)


def test_the_standard_error_is_the_spread_of_many_measurements():
    rates = np.random.default_rng(0).binomial(50, .3, 20_000)/50
    assert error_se(.3, 50) == pytest.approx(rates.std(), rel=.03)


# Confusion

@pytest.mark.parametrize('kind', [list, np.array, torch.tensor, pd.Series], ids=lambda f: f.__name__)
def test_each_count_is_a_true_and_a_predicted_breed(kind):
    cm = confusion(kind(TARG), kind(PRED), VOCAB)
    assert cm.to_numpy().tolist() == COUNTS
    assert list(cm.index) == list(cm.columns) == VOCAB and (cm.index.name, cm.columns.name) == ('actual', 'predicted')
    assert cm.loc['beagle', 'pug'] == 2 and cm.loc['pug', 'beagle'] == 1


def test_breeds_without_a_photo_have_rows_and_columns_of_zeros():
    cm = confusion([1], [1], VOCAB)
    assert cm.to_numpy().tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert confusion(np.array([], int), np.array([], int), VOCAB).to_numpy().tolist() == [[0]*3]*3


@pytest.mark.parametrize('targ, pred', [([0, 1], [0]), ([0], [0, 1]), ([[0, 1]], [[0, 1]]), (0, 0)])
def test_vectors_of_different_lengths_or_no_vectors_are_refused(targ, pred):
    with pytest.raises(ValueError) as e: confusion(targ, pred, VOCAB)
    shapes = np.shape(targ), np.shape(pred)
    assert str(e.value) == f'targ {shapes[0]} and pred {shapes[1]}: expected two vectors of one length'


OUTSIDE = [([3], [0], '0..3'), ([0], [3], '0..3'), ([-1], [2], '-1..2'), ([1], [-2], '-2..1'),
           ([-1, 5], [0, 0], '-1..5')]


@pytest.mark.parametrize('targ, pred, span', OUTSIDE)
def test_classes_outside_the_vocab_are_refused(targ, pred, span):
    with pytest.raises(ValueError) as e: confusion(targ, pred, VOCAB)
    assert str(e.value) == f'classes {span}: expected 0..2, as the vocab has 3 names'


def test_the_first_and_the_last_class_are_in_the_vocab():
    assert confusion([0, 2], [2, 0], VOCAB).to_numpy().tolist() == [[0, 0, 1], [0, 0, 0], [1, 0, 0]]


# Pairs and breeds

def test_most_confused_is_sorted_by_count_then_by_name(cm):
    expected = [('beagle', 'pug', 2), ('beagle', 'sphynx', 1), ('pug', 'beagle', 1), ('sphynx', 'beagle', 1)]
    expected = pd.DataFrame(expected, columns=['actual', 'predicted', 'n'])
    assert_frame_equal(most_confused(cm), expected, check_dtype=False)


def test_ties_are_sorted_by_name_also_where_the_vocab_is_not():
    cm = table([[0, 1, 1], [1, 0, 1], [1, 1, 0]], ['c', 'a', 'b'])
    pairs = [(p.actual, p.predicted) for p in most_confused(cm).itertuples()]
    assert pairs == [('a', 'b'), ('a', 'c'), ('b', 'a'), ('b', 'c'), ('c', 'a'), ('c', 'b')]


@pytest.mark.parametrize('min_val, n', [(0, 6), (1, 4), (2, 1), (3, 0)])
def test_rare_pairs_are_left_out(cm, min_val, n):
    pairs = most_confused(cm, min_val)
    assert list(pairs.index) == list(range(n)) and list(pairs.columns) == ['actual', 'predicted', 'n']


def test_the_error_of_each_breed_is_worst_first(cm):
    expected = dict(breed=VOCAB, n=[4, 2, 4], wrong=[3, 1, 1], error_rate=[.75, .5, .25])
    df = per_class(cm)
    assert_frame_equal(df[list(expected)], pd.DataFrame(expected))
    assert [*zip(df.low, df.high)] == [error_interval(e, n) for e, n in zip(df.error_rate, df.n)]
    assert df.recall.tolist() == [.25, .5, .75] and list(df.columns[-3:]) == ['recall', 'precision', 'f1']


def test_equal_errors_are_sorted_by_name_and_empty_breeds_left_out():
    cm = table([[1, 1, 0, 0], [0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]], ['d', 'c', 'b', 'a'])
    df = per_class(cm)
    assert list(df.breed) == ['b', 'd', 'a'] and list(df.index) == [0, 1, 2]
    assert df.low.iloc[-1] == 0 < df.high.iloc[-1] and per_class(cm.iloc[1:2, 1:2]).empty


@pytest.mark.parametrize('seed', range(3))
def test_the_tables_agree_with_each_other(seed):
    targ, pred = np.random.default_rng(seed).integers(0, 5, (2, 60))
    cm = confusion(targ, pred, [*'edcba'])
    pairs, breeds = most_confused(cm), per_class(cm)
    wrong = (targ != pred).sum()
    assert pairs.n.sum() == breeds.wrong.sum() == wrong and breeds.n.sum() == 60
    assert (breeds.error_rate*breeds.n).sum() == pytest.approx(wrong)
    assert pairs.groupby('actual').n.sum().to_dict() == breeds[breeds.wrong > 0].set_index('breed').wrong.to_dict()


# Top losses

PROBS = torch.tensor([[.7, .2, .1], [.1, .8, .1], [.6, .3, .1], [.05, .05, .9]])
FILES = ['a.jpg', 'b.jpg', 'c.jpg', 'd.jpg']


def test_top_losses_say_what_was_true_and_what_predicted():
    df = top_losses(PROBS.log() + 3, torch.tensor([0, 0, 1, 2]), FILES, VOCAB)
    assert list(df.columns) == ['file', 'actual', 'predicted', 'prob_actual', 'prob_predicted', 'loss']
    assert list(df.file) == ['b.jpg', 'c.jpg', 'a.jpg', 'd.jpg']
    assert list(df.actual) == ['beagle', 'pug', 'beagle', 'sphynx']
    assert list(df.predicted) == ['pug', 'beagle', 'beagle', 'sphynx']
    assert df.prob_actual.to_numpy() == pytest.approx([.1, .3, .7, .9])
    assert df.prob_predicted.to_numpy() == pytest.approx([.8, .6, .7, .9])
    assert df.loss.to_numpy() == pytest.approx(-np.log([.1, .3, .7, .9]), abs=1e-6)


@pytest.mark.parametrize('k, n', [(0, 0), (1, 1), (3, 3), (9, 4)])
def test_k_photos_are_returned_if_there_are_as_many(k, n):
    df = top_losses(PROBS.log(), torch.tensor([0, 0, 1, 2]), FILES, VOCAB, k)
    assert len(df) == n and list(df.get('file', [])) == ['b.jpg', 'c.jpg', 'a.jpg', 'd.jpg'][:n]


def test_nine_photos_unless_told():
    assert len(top_losses(torch.zeros(12, 3), torch.zeros(12, dtype=int), [*'abcdefghijkl'], VOCAB)) == 9


def test_equal_losses_stay_in_order():
    df = top_losses(torch.zeros(400, 3), torch.arange(400) % 3, range(400), VOCAB, 400)
    assert list(df.file) == list(range(400)) and df.loss.to_numpy() == pytest.approx(np.log(3))


@pytest.mark.parametrize('targ', [[0, 3], [0, -1], [0], [0, 1, 2]])
def test_targets_that_do_not_fit_are_refused(targ):
    with pytest.raises((ValueError, IndexError)): top_losses(torch.zeros(2, 3), torch.tensor(targ), FILES[:2], VOCAB)


# A picture of the counts

def shown(fig): return fig.axes[0].images[0].get_array()


def test_a_cell_is_darker_for_a_larger_fraction_of_its_row():
    picture = shown(plot_confusion(table([[4, 0, 0], [1, 1, 0], [0, 1, 0]], VOCAB)))
    right, wrong = (np.array(to_rgb(COLORS[c])) for c in ('blue', 'red'))
    part = [[1, 0, 0], [.5, .5, 0], [0, 1, 0]]
    for i, j in product(range(3), range(3)):
        assert np.asarray(picture[i, j]) == pytest.approx([*(right if i == j else wrong), part[i][j]]) # over white


def test_a_breed_without_photos_is_white():
    assert (shown(plot_confusion(confusion([0], [0], VOCAB)))[1:, :, 3] == 0).all()


def test_counts_stand_in_their_cells_white_on_dark():
    fig = plot_confusion(table([[9, 1, 0], [4, 1, 0], [0, 0, 5]], VOCAB))
    texts = {t.get_position(): (t.get_text(), t.get_color()) for t in fig.axes[0].texts}
    assert texts == {(0, 0): ('9', 'white'), (1, 0): ('1', 'black'), (0, 1): ('4', 'black'), (1, 1): ('1', 'black'),
                     (2, 2): ('5', 'white')}
    assert all((t.get_ha(), t.get_va()) == ('center', 'center') for t in fig.axes[0].texts)


def test_a_confusion_matrix_is_labelled(cm):
    ax, = plot_confusion(cm).axes
    assert (ax.get_xlabel(), ax.get_ylabel()) == ('predicted breed', 'actual breed')
    for axis, rotation in ((ax.xaxis, 90), (ax.yaxis, 0)):
        labels = axis.get_ticklabels()
        assert [t.get_text() for t in labels] == VOCAB and {t.get_rotation() for t in labels} == {rotation}
        assert list(axis.get_ticklocs()) == [0, 1, 2] and list(axis.get_ticklocs(minor=True)) == [-.5, .5, 1.5, 2.5]
        assert {tick.tick1line.get_markersize() for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]} == {0}
        assert all(tick.gridline.get_visible() for tick in axis.get_minor_ticks())
        assert not any(tick.gridline.get_visible() for tick in axis.get_major_ticks())
    assert not any(spine.get_visible() for spine in ax.spines.values())


@pytest.mark.parametrize('length, name', [(39, 'x'*39), (40, 'x'*39 + '…'), (80, 'x'*39 + '…')])
def test_long_names_are_cut_and_a_dollar_is_no_formula(length, name):
    labels = plot_confusion(confusion([0, 1], [1, 0], ['x'*length, '$_{$'])).axes[0]
    for ticks in (labels.get_xticklabels(), labels.get_yticklabels()):
        assert [t.get_text() for t in ticks] == [name, '$_{$'] and not any(t.get_parse_math() for t in ticks)


@pytest.mark.parametrize('k, side, font', [(2, 2.36, 8), (19, 7.12, 8), (20, 7.2, 6.5), (37, 7.2, 6.5), (50, 9.5, 6.5)])
def test_a_matrix_of_many_breeds_is_larger_and_its_letters_smaller(k, side, font):
    fig = plot_confusion(confusion(range(k), range(k), list(range(k))))
    assert fig.get_size_inches() == pytest.approx((side, side))
    texts = [*fig.axes[0].texts, *fig.axes[0].get_xticklabels(), *fig.axes[0].get_yticklabels()]
    assert {t.get_fontsize() for t in texts} == {font} and len(texts) == 3*k


def test_pictures_leave_the_settings_as_they_were(cm, tmp_path):
    before = dict(rcParams)
    fig = plot_confusion(cm)
    plot_training(epochs())
    plot_photos([], [])
    assert dict(rcParams) == before
    fig.savefig(tmp_path/'a.png')
    assert Image.open(tmp_path/'a.png').size == tuple(np.round(fig.get_size_inches()*fig.dpi).astype(int))


# Photos in a grid

def photo(file, size=(60, 30), color=(200, 30, 60), **kwargs):
    Image.new('RGB', size, color).save(file, **kwargs)
    return file


@pytest.fixture
def four(tmp_path): return [photo(tmp_path/f'{i}.png', (480, 240), (50*i, 0, 0)) for i in range(4)]


def test_photos_stand_in_order_under_their_titles(four):
    fig = plot_photos(four, ['a', 'b\n2', '$', 'd'])
    assert [ax.get_title() for ax in fig.axes] == ['a', 'b\n2', '$', 'd', '', '']
    assert not fig.axes[2].title.get_parse_math()
    pictures = [np.asarray(ax.images[0].get_array()) for ax in fig.axes[:4]]
    assert [p.shape for p in pictures] == [(120, 240, 3)]*4
    assert [p[5, 5].tolist() for p in pictures] == [[50*i, 0, 0] for i in range(4)] and not fig.axes[4].images
    assert {ax.get_anchor() for ax in fig.axes} == {'N'} and not any(ax.axison for ax in fig.axes)
    assert {ax.title.get_fontsize() for ax in fig.axes[:4]} == {7.5}


GRIDS = [(3, 2.4, (2, 3), (7.2, 3.2)), (1, 1, (4, 1), (1, 3.6)), (4, 2, (1, 4), (8, 1.4)), (5, 2, (1, 5), (10, 1.4))]


@pytest.mark.parametrize('cols, side, shape, size', GRIDS)
def test_the_figure_is_as_large_as_its_rows(four, cols, side, shape, size):
    fig = plot_photos(four, [*'abcd'], cols, side)
    assert fig.axes[0].get_gridspec().get_geometry() == shape and fig.get_size_inches() == pytest.approx(size)


def test_a_row_is_as_high_as_its_highest_photo(tmp_path):
    files = [photo(tmp_path/f'{i}.png', size) for i, size in enumerate([(240, 240), (240, 60), (240, 120), (480, 240)])]
    fig = plot_photos(files, [*'abcd'], 2, 1)
    assert fig.axes[0].get_gridspec().get_height_ratios() == pytest.approx([1.4, .9])
    assert fig.get_size_inches()[1] == pytest.approx(2.3)


@pytest.mark.parametrize('size, expected', [((60, 30), (120, 240)), ((1000, 500), (120, 240)), ((100, 400), (240, 60))])
def test_a_photo_fits_into_a_square_in_its_own_shape(tmp_path, size, expected):
    picture = plot_photos([photo(tmp_path/'a.png', size)], ['a']).axes[0].images[0].get_array()
    assert picture.shape == (*expected, 3)


@pytest.mark.parametrize('mode', ['L', 'RGBA', 'P', 'CMYK'])
def test_a_photo_of_any_mode_is_shown_upright(tmp_path, mode):
    exif, file = Image.Exif(), tmp_path/('a.jpg' if mode in ('L', 'CMYK') else 'a.png')
    exif[0x0112] = 6 # turn by 90 degrees
    Image.new(mode, (80, 40)).save(file, exif=exif)
    assert plot_photos([file], ['a']).axes[0].images[0].get_array().shape == (240, 120, 3)


def test_a_single_photo_fills_a_grid_of_one(four):
    fig = plot_photos(four[:1], ['a'], cols=1)
    assert len(fig.axes) == 1 and fig.get_size_inches() == pytest.approx((2.4, 1.6))


def test_no_photos_are_an_empty_grid():
    fig = plot_photos([], [])
    assert fig.get_size_inches() == pytest.approx((7.2, 2.4))
    assert [bool(ax.images or ax.axison) for ax in fig.axes] == [False]*3


@pytest.mark.parametrize('content', [None, b'', b'no photo'])
def test_a_file_that_is_no_photo_is_refused(tmp_path, content):
    if content is not None: (tmp_path/'a.jpg').write_bytes(content)
    with pytest.raises((OSError, ValueError), match='a.jpg'): plot_photos([tmp_path/'a.jpg'], ['a'])


def gray(dtype, by): return lambda values: Image.fromarray(values.astype(dtype)*by)


def clear(values):
    im = Image.merge('RGB', [Image.fromarray(values)]*3)
    im.putalpha(Image.fromarray(np.where(values < 100, 0, 255).astype(np.uint8)))
    return im


@pytest.mark.parametrize('size', [(240, 240), (60, 30), (900, 300)])
@pytest.mark.parametrize('turn', [1, 6, 7])
@pytest.mark.parametrize('make', [gray(np.uint8, 1), gray(np.uint16, 1), gray(np.uint16, 16), gray(np.uint16, 257), clear])
def test_a_thumbnail_is_what_the_model_saw(make, turn, size, tmp_path):
    "Of 16 bits, where parts are clear, and of a photo that is turned"
    exif, file = Image.Exif(), tmp_path/'a.png'
    exif[0x0112] = turn
    make(np.tile(np.linspace(0, 255, size[0]).astype(np.uint8), (size[1], 1))).save(file, exif=exif)
    seen = read_photo(file, 240)
    shown = np.asarray(plot_photos([file], ['a']).axes[0].images[0].get_array())
    want = np.asarray(Image.fromarray(seen).resize(shown.shape[1::-1], Image.BICUBIC))
    assert max(shown.shape) == 240 and np.abs(shown.astype(int)-want).max() <= 2
    assert shown.max() >= 254 and (shown.min() <= 1 or make is clear)


# The course of a training

def epochs(phases=('head', 'all', 'all'), **columns):
    n = len(phases)
    losses = dict(train_loss=np.linspace(3, 1, n), valid_loss=np.linspace(2, 1.5, n))
    return pd.DataFrame(dict(phase=phases, epoch=range(n), **losses, **columns))


def dotted(ax): return [line for line in ax.lines if line.get_marker() == 'o']


def curves(ax): return {line.get_label(): list(line.get_ydata()) for line in dotted(ax)}


def test_losses_and_metrics_are_drawn_by_epoch():
    fig = plot_training(epochs(error_rate=[.5, .3, .2], f1_score=[.4, .6, .7]))
    losses, metrics = fig.axes
    assert curves(losses) == dict(train_loss=[3, 2, 1], valid_loss=[2, 1.75, 1.5])
    assert curves(metrics) == dict(error_rate=[.5, .3, .2], f1_score=[.4, .6, .7])
    lines = dotted(losses) + dotted(metrics)
    assert {tuple(line.get_xdata()) for line in lines} == {(1, 2, 3)}
    assert [ax.get_xlabel() for ax in fig.axes] == ['epochs done']*2
    assert [ax.get_ylabel() for ax in fig.axes] == ['loss', 'metrics of validation']
    assert fig.get_size_inches() == pytest.approx((7.2, 2.7)) and losses.get_xlim() == pytest.approx((.8, 3.2))
    assert {(line.get_linestyle(), line.get_markersize()) for line in lines} == {('-', 3)}


def test_each_curve_is_in_the_legend():
    for ax in plot_training(epochs(error_rate=[.5, .3, .2])).axes:
        assert [t.get_text() for t in ax.get_legend().get_texts()] == [*curves(ax), 'body unfrozen']


def test_a_metric_of_a_private_function_is_shown_and_without_its_underline():
    assert list(curves(plot_training(epochs(_mine_=[1, 2, 3])).axes[1])) == ['mine']


@pytest.mark.parametrize('values, limits', [([.5, .3, .2], (0, 1)), ([1, 1, 1], (0, 1)), ([-.5, .3, .2], (-.5, 1))])
def test_a_metric_up_to_one_is_drawn_from_zero_to_one(values, limits):
    losses, metrics = plot_training(epochs(metric=values)).axes
    assert metrics.get_ylim() == pytest.approx(limits)
    assert losses.get_ylim()[0] == 0 and losses.get_ylim()[1] > 3


@pytest.mark.parametrize('values', [[1.5, 2, 3], [1.5, 1.7, 1.9], [.5, .2, 20]])
def test_a_larger_metric_is_whole_in_the_picture(values):
    low, high = plot_training(epochs(metric=values, other=[.1, .2, .3])).axes[1].get_ylim()
    assert low == 0 and high > max(values)


def test_a_part_of_the_epochs_is_drawn_too():
    table = epochs(metric=[.1, .2, .3]).assign(phase=['frozen', 'frozen', 'unfrozen'])[1:]
    assert any(list(line.get_xdata()) == [1.5, 1.5] for line in plot_training(table).axes[0].lines)


def test_small_losses_are_not_drawn_up_to_one():
    table = epochs(metric=[.1, .2, .3]).assign(train_loss=[.3, .2, .1], valid_loss=[.2, .2, .2])
    assert .3 < plot_training(table).axes[0].get_ylim()[1] < .5


UNFROZEN = [(('head', 'all'), 1.5), (('head', 'all', 'all'), 1.5), (('head', 'head', 'all', 'all'), 2.5), (('all', 'all'), None), (('head',), None)]


@pytest.mark.parametrize('phases, at', UNFROZEN)
def test_a_dotted_line_stands_where_the_body_was_unfrozen(phases, at):
    for ax in plot_training(epochs(phases, error_rate=[.5]*len(phases))).axes:
        lines = [line for line in ax.lines if line.get_linestyle() == ':']
        assert [list(line.get_xdata()) for line in lines] == ([[at, at]] if at else [])
        for line in lines:
            assert (line.get_color(), line.get_linewidth(), line.get_label()) == (COLORS['gray'], 1, 'body unfrozen')


def test_without_metrics_there_are_losses_alone():
    fig = plot_training(epochs())
    assert len(fig.axes) == 1 and list(curves(fig.axes[0])) == ['train_loss', 'valid_loss']
    assert list(curves(plot_training(epochs().drop(columns='valid_loss')).axes[0])) == ['train_loss']
    assert len(plot_training(epochs().drop(columns='epoch')).axes) == 1


def test_values_that_are_no_numbers_leave_a_gap():
    table = epochs(error_rate=['0.5', None, 'n/a'])
    table.loc[1, 'train_loss'] = np.nan
    losses, metrics = plot_training(table).axes
    assert metrics.lines[0].get_ydata()[0] == .5 and np.isnan(metrics.lines[0].get_ydata()[1:]).all()
    assert np.isnan(losses.lines[0].get_ydata()[1]) and metrics.get_ylim() == (0, 1)


@pytest.mark.parametrize('n', [1, 2, 3])
def test_epochs_are_counted_in_whole_numbers(n):
    ticks = plot_training(epochs(['all']*n)).axes[0].get_xticks()
    assert len(ticks) >= 1 and (ticks == ticks.round()).all()


def test_a_training_of_no_epochs_is_an_empty_picture():
    fig = plot_training(epochs((), error_rate=[]))
    assert [ax.get_legend() for ax in fig.axes] == [None, None]
    assert {len(line.get_xdata()) for ax in fig.axes for line in ax.lines} == {0}


# Intervals

@pytest.mark.parametrize('n', [1, 2, 7, 30, 1478])
def test_an_interval_is_never_empty(n):
    for wrong in {0, 1, n//2, n}:
        low, high = error_interval(wrong/n, n)
        assert 0 <= low <= wrong/n + 1e-12 and wrong/n - 1e-12 <= high <= 1 and high - low > 0


@pytest.mark.parametrize('rate', [.02, .1, .3, .5])
@pytest.mark.parametrize('n', [20, 100])
def test_an_interval_covers_the_truth(rate, n):
    wrong = np.random.default_rng(n).binomial(n, rate, 2000)
    ends = {k: error_interval(k/n, n) for k in set(wrong.tolist())}
    covered = np.mean([ends[k][0] <= rate <= ends[k][1] for k in wrong.tolist()])
    assert .9 < covered < .99


@pytest.mark.parametrize('n', [1, 3, 20, 148, 1478])
def test_an_interval_is_that_of_scipy(n):
    for wrong in range(0, n+1, max(1, n//7)):
        theirs = binomtest(wrong, n).proportion_ci(method='wilson')
        assert error_interval(wrong/n, n) == pytest.approx(tuple(theirs), abs=1e-12)


def test_parts_of_a_mistake_and_of_a_photo_count():
    "Between the intervals of whole mistakes, and of whole photos: copies and cross-validation give such parts"
    none, half, one = (error_interval(k/21, 21) for k in (0, .5, 1))
    assert none[0] < half[0] < one[0] and none[1] < half[1] < one[1]
    more, some, fewer = (error_interval(.25, n) for n in (22, 21.1, 20))
    assert fewer[0] < some[0] < more[0] and more[1] < some[1] < fewer[1]


@pytest.mark.parametrize('rate, n', [(.1, 0), (.1, -3), (-.01, 10), (1.01, 10), (float('nan'), 10), (.1, float('nan'))])
def test_an_interval_of_nothing_is_refused(rate, n):
    with pytest.raises(ValueError, match='expected an error rate from 0 to 1'): error_interval(rate, n)


def test_a_sum_that_is_not_quite_whole_is_no_error():
    assert error_interval(1+1e-12, 9) == error_interval(1, 9) and error_interval(-1e-12, 9) == error_interval(0, 9)


def test_every_breed_has_its_numbers():
    cm = pd.DataFrame([[8, 2, 0], [0, 1, 0], [0, 0, 0]], index=list('abc'), columns=list('abc'))
    df = per_class(cm).set_index('breed')
    assert list(df.index) == ['a', 'b'] and df.recall.tolist() == [.8, 1] and df.precision.tolist() == [1, 1/3]
    assert df.f1.round(3).tolist() == [.889, .5] and (df.high > df.low).all()
    assert (df.low <= df.error_rate).all() and (df.error_rate <= df.high).all()


def test_an_honest_error_has_all_it_needs():
    "By hand: photos 0 and 1 are copies and count half each; breed c is not measured, b is the commonest in training"
    m = honest_error([0, 0, 0, 1, 1], [0, 1, 0, 1, 1], list('abc'), [5, 9, 1], groups=list('xxyzz'))
    assert m == dict(error_rate=pytest.approx(.5/3), error_low=pytest.approx(error_interval(.5/3, 3)[0]),
                     error_high=pytest.approx(error_interval(.5/3, 3)[1]), n_doubtful=0, n_different=3, baseline='b', baseline_error=pytest.approx(2/3),
                     mean_breed_error=pytest.approx(.125), not_measured=['c'])
    folded = honest_error([0, 0, 0, 1, 1], [0, 1, 0, 1, 1], list('abc'), [5, 9, 1], groups=list('xxyzz'), folds=5)
    assert (folded['error_low'], folded['error_high']) == pytest.approx(error_interval(.5/3, 3/(1+5/4)))
    alone = honest_error(torch.tensor([0, 1, 1]), np.array([0, 0, 1]), ['a', 'b'], [1, 1])
    assert (alone['n_different'], alone['baseline'], alone['not_measured']) == (3, 'a', []) and alone['error_rate'] == pytest.approx(1/3)


@pytest.mark.parametrize('folds', [0, 5])
@pytest.mark.parametrize('groups', [None, [0, 0, 1, 1, 2, 3, 4, 5, 6, 7]])
def test_doubtful_labels_move_the_lower_end_alone(folds, groups):
    "Photos 0 to 3 are mistakes; the labels of 0, of 2 and of the right prediction 9 are doubted"
    targ, pred, doubted = [0]*10, [1]*4 + [0]*6, np.isin(range(10), (0, 2, 9))
    plain, m = (honest_error(targ, pred, ['a', 'b'], [9, 9], groups, folds, doubt) for doubt in (None, doubted))
    assert m['n_doubtful'] == 2 and {k for k in m if m[k] != plain[k]} == {'error_low', 'n_doubtful'}
    assert m['error_low'] == honest_error(targ, np.where(doubted, 0, pred), ['a', 'b'], [9, 9], groups, folds)['error_low'] < plain['error_low']


@pytest.mark.parametrize('kind', [np.uint8, np.int8, np.int64, torch.uint8, torch.int32])
def test_classes_may_be_integers_of_any_size(kind):
    classes = torch.tensor([30, 36, 5], dtype=kind) if isinstance(kind, torch.dtype) else np.array([30, 36, 5], kind)
    cm = confusion(classes, classes, list(range(37)))
    assert np.diag(cm).sum() == 3 and cm.to_numpy().sum() == 3


@pytest.mark.parametrize('bad', [[.5, 1.], ['a', 'b'], [True, False], [None, 1]])
def test_classes_that_are_no_integers_are_refused(bad):
    with pytest.raises(ValueError, match='expected integers'): confusion(np.array(bad), [0, 1], ['a', 'b'])


def test_files_of_a_table_are_taken_by_their_place():
    acts, targ = torch.tensor([[9., 0.], [0., 9.]]), torch.tensor([0, 0])
    files = pd.Series(['good.jpg', 'bad.jpg'], index=[1, 0])
    assert top_losses(acts, targ, files, ['a', 'b'], k=1).file.tolist() == ['bad.jpg']


@pytest.mark.parametrize('kind', [torch.uint8, torch.int8, torch.int32])
def test_top_losses_of_a_table_with_classes_of_any_integers(kind):
    "As `dls.valid.items` of a table is"
    acts = torch.tensor([[9., 0.], [0., 9.], [8., 0.]])
    table = pd.DataFrame(dict(label=['a', 'a', 'b'], file=['good.jpg', 'bad.jpg', 'worse.jpg']), index=[7, 8, 9])
    found = top_losses(acts, torch.tensor([0, 0, 1], dtype=kind), table, ['a', 'b'], k=2)
    assert found.file.tolist() == ['bad.jpg', 'worse.jpg'] and found.actual.tolist() == ['a', 'b']


def test_top_losses_refuse_what_does_not_fit():
    acts, targ = torch.zeros(2, 2), torch.tensor([0, 1])
    for files in (['x'], ['x', 'y', 'z'], pd.DataFrame(dict(file=['x'], label=['a']))):
        with pytest.raises(ValueError, match='2 rows of activations, 2 classes, . files?: expected as many of each'): top_losses(acts, targ, files, ['a', 'b'])
    for odd in (torch.eye(2), targ.float(), targ.bool()):
        with pytest.raises(ValueError, match='expected integers'): top_losses(acts, odd, ['x', 'y'], ['a', 'b'])


# controls

@pytest.mark.parametrize('start', [None, 0, 2])
def test_the_values_of_a_control_may_be_arrays(monkeypatch, start):
    "Beside numbers; it starts at the default if this is one of them, else in the middle"
    shown, arrays = [], [np.arange(3), torch.arange(4), np.arange(5)]
    monkeypatch.setattr(figures, 'show_live', lambda kind, still, alt, **values: shown.append((still, values['controls'], values['alts'])))
    def draw(c=None if start is None else arrays[start], k=2.): return Image.new('RGB', (len(c), int(k)))
    figures.explore(draw, c=arrays, k=[1, 2, 3])
    [(still, controls, alts)] = shown
    place = 1 if start is None else start
    assert [c['at'] for c in controls] == [place, 1] and still.size == (len(arrays[place]), 2) and len(alts) == 9
