"What readers gave to the tasks of the lessons: right answers in every form are right, and plausible wrong ones are not."
import math
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from pet_breeds.guide import TASKS

GRADS, MOVED = torch.logspace(-8, -2, 50), {'convolutions': False, 'batch norm weights': True, 'batch norm means': True}
COMMAND = 'pet_breeds --path signs --labels folder --no-flip --out signs_report'

SHAPE, PROBS, LABELS = torch.Size([8, 3, 112, 112]), np.array([[.7, .3], [.2, .8], [.6, .4]]), np.array([0, 1, 1])
FILES, BREEDS = ('pug_1.jpg', 'Birman_2.jpg', 'beagle_7.jpg'), ['Birman', 'beagle', 'pug']
SMALL = pd.DataFrame([[8, 2, 0], [1, 6, 3], [0, 0, 10]], *[pd.Index(['beagle', 'pug', 'boxer'])]*2)
WAYS = pd.DataFrame(dict(low=[None, -.09, -.2], high=[None, .023, -.1]), index=['one view', 'five views', 'linear'])


def two_fits(first, last=slice(2e-5, 2e-3)):
    "A function that makes these two fits, whatever it is asked for"
    def fits(learn, epochs, lr):
        learn.freeze()
        learn.fit_one_cycle(1, first)
        learn.unfreeze()
        learn.fit_one_cycle(epochs, last)
    return fits


RIGHT = [
    ('middle_breed', 'chihuahua', 'chihuahua_4.jpg'), ('middle_breed', 'Chihuahua_4.jpg', 'pets/chihuahua_4.jpg'),
    ('guess_right', '120', 148), ('photo_pattern', r'(.+)_\d+\.(?i:jpe?g|png)$'),
    ('margin', 224*2**.5), ('margin', '316.8'), ('margin', 317),
    *[('presizing_order', text) for text in ('first c, then b, then a', np.array(['c', 'b', 'a']), 'cba', 'c→b→a', 'C / B / A', 'c; b; a.', 'c–b–a', ['c', 'b', 'a'])],
    ('steep_loss', lambda p: -math.log(p)), ('steep_loss', lambda p: math.log(1-math.log(p))), ('steep_loss', lambda p: 1/p-1),
    ('breaks_softmax', torch.tensor([[12., 0.]]).half()), ('breaks_softmax', [100, 0]),
    ('minimum_over_10', lambda lrs, losses: lrs[losses.argmin()]/10), ('two_fits', two_fits(slice(4e-3))),
    ('two_fits', two_fits(slice(0, 4e-3))), ('third_stage', [23]), ('scale_the_loss', 1e4, GRADS),
    ('middle_breed', 'a chihuahua', 'chihuahua_4.jpg'), ('middle_breed', Path('chihuahua_4.jpg'), 'chihuahua_4.jpg'),
    ('photo_pattern', re.compile(r'(.+)_\d+\.(?:jpe?g|png)$', re.IGNORECASE)),
    *[('sorted_breeds', breeds, FILES) for breeds in (BREEDS, 'Birman, beagle, pug', (b for b in BREEDS), sorted(BREEDS, key=str.lower))],
    *[('batch_shape', shape, SHAPE) for shape in ('(8, 3, 112, 112)', '8x3x112x112', torch.tensor(SHAPE), pd.Series(SHAPE), iter(SHAPE))],
    *[('missing_argument', name) for name in ('"item_tfms"', ['item_tfms'], 'item_tfms=[Resize(112), ToTensor()]')],
    ('margin', 316.78), ('breaks_softmax', '100, 0'), ('left_of_peak', 'a quarter'), ('left_of_peak', 25), ('nearest_breed', 87, .87),
    *[('lost_numbers', three) for three in ('0, inf, 2,048', 'zero, infinity, 2048', [0, 'inf', 2048], iter([0, math.inf, 2048]))],
    *[('slice_rates', rates) for rates in ('1e-5, 1e-4, 1e-3', '10^-5, 10^-4, 10^-3')],
    *[('what_moved', names, MOVED) for names in ('batch norm weights and batch norm means', 'batchnorm weights, batchnorm means')],
    *[('recall_and_precision', pair, SMALL) for pair in (
        '60%, 75%', (60, 75), 'precision 0.75, recall 0.6', dict(precision=.75, recall=.6), pd.Series(dict(precision=.75, recall=.6)),
        [Fraction(3, 5), Fraction(3, 4)])],
    *[('belief_in_labels', beliefs, PROBS, LABELS) for beliefs in (torch.tensor([.7, .8, .4]), iter([.7, .8, .4]))],
    *[('verdict', words, WAYS) for words in (['cannot tell', 'better'], ['cant tell', 'Better'], "can’t tell, better", iter(["can't tell", 'better']))],
    ('cleaned_validation', '"Lower".'), ('clear_of_a', 'E, F and G'), ('clear_of_a', 'EFG'),
    ('two_faults', 'Bombay\\13.jpg and Persian\\9.jpg'), ('two_faults', iter([Path('Bombay/13.jpg'), Path('Persian/9.jpg')])),
    ('command_for_signs', COMMAND.split()), ('command_for_signs', f'$ {COMMAND}'),
    *[('clear_of_a', letters) for letters in ('E F G', ['E', 'F', 'G'], np.array(['E', 'F', 'G']), pd.Index(['g', 'f', 'e']),
                                              frozenset('EFG'))],
    ('standard_error', lambda errors: np.std(errors, ddof=1)/len(errors)**.5),
    *[('two_faults', names) for names in (['Bombay/13.jpg', 'Persian/9.jpg'], {'Bombay/13', 'persian/9'},
                                          ['./my_photos/Bombay/13.jpg', 'my_photos/Persian/9.jpg'])],
    *[('command_for_signs', line) for line in (COMMAND, f' !{COMMAND}', COMMAND.replace(' --no', ' \\\n    --no'),
                                               COMMAND.replace('labels ', 'labels='))]]
WRONG = [
    ('middle_breed', 'pug_4.jpg', 'chihuahua_4.jpg'), ('guess_right', '90%', 148), ('photo_pattern', r'(.+)_\d*\.(?i:jpe?g|png)$'),
    ('margin', 316.5), ('margin', 318), ('margin', 320), ('presizing_order', 'c→a→b'),
    *[('steep_loss', loss) for loss in (lambda p: -math.log(p+1e-8), lambda p: -math.log(max(p, 1e-9)), lambda p: 1/(p+1e-8)-1,
                                        lambda p: -torch.log(torch.as_tensor(p).clamp(min=1e-8)))],
    ('breaks_softmax', torch.tensor([[200., 0.]], dtype=torch.float64)),
    ('minimum_over_10', lambda lrs, losses: lrs[losses.argmin()-10]), ('two_fits', two_fits(slice(4e-3, 4e-3))),
    ('third_stage', [3, 4, 23, 3]), ('clear_of_a', ['C', 'E']),
    ('standard_error', lambda errors: np.std(errors, ddof=1)/len(errors)), ('two_faults', ['Bombay/12', 'Persian/9']),
    ('command_for_signs', COMMAND.replace('pet_breeds', 'pets'))]

NUMBERS = [('guess_right', 100, 148), ('count_wrong', 17, 17/148, 148), ('predict_found', 7, 7), ('predict_parted', 4, 4),
           ('empty_corners', .17), ('margin', 317), ('resamplings', 3), ('stable_rate', 2.05, torch.tensor(.977)), ('third_stage', 23),
           ('lowest_rate', .01, np.array([.001, .01, .1]), np.array([3, 1, 2])), ('nearest_breed', .87, .87), ('left_of_peak', .25),
           ('read_bits', 6.5), ('thousand_steps', 1), ('scale_the_loss', 4096, GRADS), ('four_right', .49), ('best_of_twelve', 66),
           ('accuracy_of_matrix', .8, SMALL), ('luck', 6, [5, 11.]), ('rows_of_g', 9), ('worst_of_100', 11, .113)]
SAYS = [ # a mistake, and what its verdict must name
    ('count_wrong', .115*148, 'round it', 17/148, 148), ('count_wrong', .11*148, 'all its digits', 17/148, 148),
    ('count_wrong', .115, 'How many photos', 17/148, 148), ('count_wrong', 131, 'how many are right', 17/148, 148),
    ('middle_breed', 'pug, beagle', 'one breed', 'pug_1.jpg'), ('folder_breed', lambda f: Path(f).parent.stem, "gives 'St'"),
    ('folder_breed', lambda f: Path(f).parent.name.lower(), "gives 'st.bernard'"),
    ('photo_pattern', r'(.+)_\d+\.(?:jpg|JPG|jpeg|png)$', "nothing in 'pug_7.PNG'"), ('photo_pattern', re.compile(b'(.+)'), 'as text'),
    ('photo_pattern', r'(.+)_\d+\.(?i:[jpeng]+)$', "in 'pug_7.gpj', which it should refuse"),
    ('photo_pattern', r'(.+)_\d+\.(?i:jp.*g|png)$', 'pug_7.jpxg'), ('photo_pattern', r'(.+)_\d{1,3}\.(?i:jpe?g|png)$', 'pug_1234.jpg'),
    ('sorted_breeds', {*BREEDS}, 'no order', FILES), ('sorted_breeds', BREEDS[::-1], 'not sorted', FILES),
    ('sorted_breeds', ['birman', 'beagle', 'pug'], "'birman' is none", FILES), ('sorted_breeds', BREEDS*2, 'has 6 items', FILES),
    ('batch_shape', (64, 3, 224, 224), '3 numbers of the four are wrong', SHAPE), ('batch_shape', torch.zeros(SHAPE), '`.shape`', SHAPE),
    ('missing_argument', 'Resize(112)', 'a step'), ('missing_argument', 'items_tfms', 'spelled'),
    ('missing_argument', 'item_tfms, batch_tfms', 'Only one'), ('predict_parted', 5, 'at most four', 4),
    ('margin', 316.7, 'only 223.94'), ('margin', 320, 'fewer are enough'), ('resamplings', 0, 'at least one'), ('resamplings', 2.5, 'whole'),
    ('empty_corners', 17, 'not between 0 and 1'), ('empty_corners', .83, 'has pixels'),
    ('breaks_softmax', np.array([100., 0]), 'in float64'), ('lowest_rate', .1, 'above the rate', np.array([.001, .01]), np.array([2, 1])),
    ('stable_rate', 1.95, 'at a larger rate', torch.tensor(.977)), ('stable_rate', 2, 'two decimals', torch.tensor(.977)),
    ('stable_rate', 2.1, 'multiplied by -1.05', torch.tensor(.977)), ('nearest_breed', np.array([True, False]), 'One fraction', .87),
    ('two_fits', lambda learn, epochs, lr: learn.fine_tune(epochs), 'no `fine_tune`'), ('left_of_peak', .75, 'of the time'),
    ('third_stage', 22, '98 layers'), ('third_stage', 33, 'all four stages'), ('read_bits', 1.625, 'power of 2'),
    ('scale_the_loss', -1000, 'above 0', GRADS), ('scale_the_loss', math.inf, 'finite', GRADS),
    ('scale_the_loss', 2, 'of 50 would become 0', GRADS), ('scale_the_loss', 1e9, 'too large', GRADS),
    ('accuracy_of_matrix', 24, 'how many are right', SMALL), ('accuracy_of_matrix', np.diag(SMALL), 'each breed', SMALL),
    ('belief_in_labels', PROBS[:, LABELS], 'which makes 3, not 9', PROBS, LABELS), ('clear_of_a', ['E'], '2 more differ'),
    ('clear_of_a', pd.Series([True, False]), 'Give letters'), ('verdict', ['no difference', 'better'], "none of 'better'", WAYS),
    ('verdict', ['better', 'better'], 'five views', WAYS), ('rows_of_g', 12, '3 and 6 epochs'), ('rows_of_g', [3, 6], '3 and 6 epochs'),
    ('two_faults', ['13.jpg', '9.jpg'], 'folder and name'), ('two_faults', ['Bombay/13', 'Sphynx/3'], 'Only one of the two'),
    ('worst_of_100', .113, 'of 100 photos', .113), ('command_for_signs', COMMAND.replace('--no-flip ', ''), 'swapped'),
    ('command_for_signs', f'{COMMAND} --balance', 'more in it')]
UNREAD = [ # no attempt can be read: what was expected
    ('left_of_peak', None, 'Expected one number, got None.'), ('left_of_peak', [.25, .5], 'Expected one number, got 2 numbers.'),
    ('lost_numbers', [0, math.inf], 'Expected 3 numbers, got 2.'), ('slice_rates', {1e-5, 1e-4, 1e-3}, 'Expected numbers in a list, as a set has no order.'),
    ('read_bits', float('nan'), 'Expected one number, got nan, which is no number.'), ('thousand_steps', True, 'Expected one number, got True.'),
    ('scale_the_loss', '2**16', "Expected one number, got '2**16'.", GRADS), ('clear_of_a', 7, 'Expected words in quotes, got 7.')]


def forms(n):
    "A number as people give it"
    yield from (n, f'{n}', f' {n} ', f'about {n}', np.float64(n), torch.tensor(float(n), requires_grad=True), np.array([n]), Fraction(str(n)))
    yield from ([n], (n,), {n}, pd.Series([n]), iter([n]))


def named(cases): return [pytest.param(name, attempt, facts, id=f'{name}-{i}') for i, (name, attempt, *facts) in enumerate(cases)]


@pytest.mark.parametrize('name, attempt, facts', named(RIGHT))
def test_right(name, attempt, facts): assert TASKS[name].check(attempt, *facts).ok is True


@pytest.mark.parametrize('name, n, facts', named(NUMBERS))
def test_a_right_number_in_any_form(name, n, facts):
    assert [repr(form) for form in forms(n) if not TASKS[name].check(form, *facts)] == []
    assert TASKS[name].check(lambda: n, *facts).ok is False and not TASKS[name].check(..., *facts).answered


@pytest.mark.parametrize('name, attempt, facts', named(WRONG))
def test_wrong(name, attempt, facts):
    result = TASKS[name].check(attempt, *facts)
    assert result.ok is False
    reason, _, hint = result.text.partition(' Hint: ')
    assert hint == TASKS[name].hint_text and re.fullmatch(r"[A-Z\d'`-].*[.?]", reason)


@pytest.mark.parametrize('name, attempt, facts', named(SAYS))
def test_a_verdict_says_why(name, attempt, facts):
    test_wrong(name, attempt, facts[1:])
    assert facts[0] in TASKS[name].check(attempt, *facts[1:]).text.partition(' Hint: ')[0]


@pytest.mark.parametrize('name, attempt, facts', named(UNREAD))
def test_what_cannot_be_read(name, attempt, facts):
    assert repr(TASKS[name].check(attempt, *facts[1:])) == f"? I can't tell. {facts[0]}"


def test_a_guess_is_noted():
    said = [repr(TASKS['guess_right'].check(n, 148)) for n in (0, 38, 39, 148)]
    assert all(text.startswith('✓ Noted. ') for text in said) and ['colors' in text for text in said] == [True, True, False, False]
    assert repr(TASKS['middle_breed'].check('pug', 'pug_1.jpg')) == '✓ That is right. The file is named after it.'


def test_one_off_is_said_to_be_off():
    for name, n, facts in (('predict_found', 8, [7]), ('predict_parted', 3, [4]), ('luck', 4, [[5, 11]])):
        assert 'off is near enough' in TASKS[name].check(n, *facts).text


def test_a_hint_names_the_mistake_that_was_made():
    assert 'ddof' not in TASKS['standard_error'].check(lambda errors: np.std(errors, ddof=1)/len(errors)).text.split('Hint')[0]
    assert 'ddof' in TASKS['standard_error'].check(lambda errors: np.std(errors)/len(errors)**.5).text
    assert 'one number' in TASKS['third_stage'].check([3, 4, 23, 3]).text
    assert 'tenth of lr' in TASKS['two_fits'].check(two_fits(slice(4e-3, 4e-3))).text


def test_what_is_left_open_is_not_wrong():
    assert TASKS['what_moved'].check(['batch norm weights', ...], MOVED).ok is None
    gaps = two_fits(slice(...)), two_fits(slice(4e-3), slice(2e-5, ...)), two_fits(slice(4e-3), ...)
    for gap in gaps: assert repr(TASKS['two_fits'].check(gap)) == 'That is not answered yet. Replace each `...` and run the cell again.'
