"""How the judges of the quiz do on labelled answers: `python tests/quiz_scores.py [kind ...] [--unseen]`.

Prints a table for quiz_answers.yaml, or for quiz_answers_unseen.yaml; for each kind that is named, also the answers
that missed the target. To score the judges of another commit, put its `pet_breeds` folder first in PYTHONPATH.
"""
import itertools
import random
import sys
from collections import Counter
from pathlib import Path

import yaml

from pet_breeds.quiz import QUESTIONS, judged

FILE, UNSEEN = (Path(__file__).with_name(f'quiz_answers{end}.yaml') for end in ('', '_unseen'))
DENIALS = {FILE: ('It is not true that {}', 'It is false that {}', 'I do not believe that {}',
                  'Nobody should think that {}', 'It is a mistake to say that {}'),
           UNSEEN: ("It just isn't so that {}", 'People who claim that {} are wrong.', 'It would be absurd to say: {}',
                    '{} That is nonsense.', 'I was told, wrongly, that {}')}
RIGHT, ALIKE = ('right', 'chatbot', 'foreign'), ('shuffled', 'denied')
TARGETS = {'right': ('wrong', 1), 'salad': ('right', 10), 'mistakes': ('named', 80)} # percent


def made_of(id, answer, denial):
    "Salad made of a right answer: (kind, answer)"
    parts = answer.split()
    if len(parts) < 6 or 3*sum(any(map(str.isdigit, part)) for part in parts) > len(parts): return # a list of numbers is none
    random.Random(f'{id} {answer}').shuffle(parts)
    yield 'shuffled', ' '.join(parts)
    yield 'denied', denial.format(answer[0].lower() + answer[1:])


def answers(file=FILE):
    "All of a file: (question, kind, answer, name of the mistake or None)"
    denials = itertools.cycle(DENIALS[file])
    for id, kinds in yaml.safe_load(file.read_text(encoding='utf-8')).items():
        for kind, given in kinds.items():
            if kind == 'mistakes':
                yield from ((id, kind, answer, name) for name, all_of in given.items() for answer in all_of)
                continue
            for answer in given:
                yield id, kind, answer, None
                if kind == 'right' and isinstance(answer, str):
                    yield from ((id, made, text, None) for made, text in made_of(id, answer, next(denials)))


def scored(file=FILE):
    "Rows (question, kind, answer, name, verdict); the verdict is right, named, misnamed, wrong or can't tell"
    for id, kind, answer, name in answers(file):
        result = judged(id, QUESTIONS[id].judge, answer)
        verdict = 'right' if result.ok else "can't tell" if result.ok is None else 'wrong'
        if result.mistake: verdict = 'named' if result.mistake == name else 'misnamed'
        yield id, kind, answer, name, verdict


def percent(rows, kinds, verdicts):
    "How many of the answers of some kinds got one of some verdicts, in percent"
    of = [verdict for _, kind, _, _, verdict in rows if kind in kinds]
    return 100*sum(verdict in verdicts for verdict in of)/len(of)


def summary(rows):
    "The three numbers that have targets, in percent"
    return {'right': percent(rows, RIGHT, ('wrong', 'named', 'misnamed')),
            'salad': percent(rows, ('salad', *ALIKE), ('right',)), 'mistakes': percent(rows, ('mistakes',), ('named',))}


def main():
    rows = [*scored(UNSEEN if '--unseen' in sys.argv else FILE)]
    columns = ('right', "can't tell", 'wrong', 'named', 'misnamed')
    counts = Counter((kind, verdict) for _, kind, _, _, verdict in rows)
    print(f'{"":10}' + ''.join(f'{c:>12}' for c in ('answers', *columns)))
    for kind in dict.fromkeys(kind for _, kind, *_ in rows):
        found = [counts[kind, column] for column in columns]
        print(f'{kind:10}' + ''.join(f'{n:12}' for n in (sum(found), *found)))
    for name, value in summary(rows).items(): print(f'{name}: {value:.1f}% {TARGETS[name][0]} (target {TARGETS[name][1]}%)')
    wanted = {'right': ('right',), 'mistakes': ('named',), 'thin': ("can't tell", 'right'), 'half': ("can't tell",)}
    wanted |= {kind: ("can't tell", 'wrong', 'named', 'misnamed') for kind in ('wrong', 'salad', *ALIKE)}
    wanted |= {kind: ('right', "can't tell") for kind in ('chatbot', 'foreign')}
    for id, kind, answer, name, verdict in rows:
        if kind in sys.argv[1:] and verdict not in wanted[kind]: print(f'{id} {kind} {name or ""} -> {verdict}: {answer}')


if __name__ == '__main__': main()
