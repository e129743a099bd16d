"What readers gave to the tasks of the lessons: right answers in every form are right, and plausible wrong ones are not."
import math

import numpy as np
import pandas as pd
import pytest
import torch

from pet_breeds.guide import TASKS

GRADS, MOVED = torch.logspace(-8, -2, 50), {'convolutions': False, 'batch norm weights': True, 'batch norm means': True}
COMMAND = 'pet_breeds --path signs --labels folder --no-flip --out signs_report'


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
    *[('presizing_order', text) for text in ('cba', 'c→b→a', 'C / B / A', 'c; b; a.', 'c–b–a', ['c', 'b', 'a'])],
    ('steep_loss', lambda p: -math.log(p)), ('steep_loss', lambda p: math.log(1-math.log(p))), ('steep_loss', lambda p: 1/p-1),
    ('breaks_softmax', torch.tensor([[12., 0.]]).half()), ('breaks_softmax', [100, 0]),
    ('minimum_over_10', lambda lrs, losses: lrs[losses.argmin()]/10), ('two_fits', two_fits(slice(4e-3))),
    ('two_fits', two_fits(slice(0, 4e-3))), ('third_stage', [23]), ('scale_the_loss', 1e4, GRADS),
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


def named(cases): return [pytest.param(name, attempt, facts, id=f'{name}-{i}') for i, (name, attempt, *facts) in enumerate(cases)]


@pytest.mark.parametrize('name, attempt, facts', named(RIGHT))
def test_right(name, attempt, facts): assert TASKS[name].check(attempt, *facts).ok is True


@pytest.mark.parametrize('name, attempt, facts', named(WRONG))
def test_wrong(name, attempt, facts):
    result = TASKS[name].check(attempt, *facts)
    assert result.ok is False and 'Hint: ' in result.text


def test_a_hint_names_the_mistake_that_was_made():
    assert 'ddof' not in TASKS['standard_error'].check(lambda errors: np.std(errors, ddof=1)/len(errors)).text.split('Hint')[0]
    assert 'ddof' in TASKS['standard_error'].check(lambda errors: np.std(errors)/len(errors)**.5).text
    assert 'one number' in TASKS['third_stage'].check([3, 4, 23, 3]).text
    assert 'tenth of lr' in TASKS['two_fits'].check(two_fits(slice(4e-3, 4e-3))).text


def test_what_is_left_open_is_not_wrong():
    assert TASKS['what_moved'].check(['batch norm weights', ...], MOVED).ok is None
    assert TASKS['two_fits'].check(two_fits(slice(...))).ok is None
