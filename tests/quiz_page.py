"The lesson on which the quiz is taken, nbs/12_quiz.ipynb, from pet_breeds/questions.yaml and the places of the answers; tests/build.py writes it."
from itertools import groupby
from textwrap import wrap

import navigation

from pet_breeds import quiz
from pet_breeds.core import write_whole
from pet_breeds.forms import still_form
from pet_breeds.handout import _cell, _notebook
from pet_breeds.questions import QUESTIONS

FILE = navigation.ROOT/'nbs'/'12_quiz.ipynb'
TITLE = '# The quiz\n\n> Answer the 25 questions of the chapter, and see right away whether you are right.'
HOW = '''Run the next cell, and type a number, a name, a sentence in English or a list; or choose: only the first click counts. If your answer is a mistake that others made before, the check names it. Where it can't tell, a button shows the points, and you tick those you made.'''
STUCK = '''This machine remembers your progress. What you missed is asked again the next day: choose *To review*.

## In cells

A function or a table is checked in a cell. Replace `...` by a wrong name, such as `'one_batch'`, then by the right one.'''
MORE = '''To choose, run `quiz.q7.ask()`. `quiz.q7.answer()` shows our answer, so try first. A question's number below leads to its proof. What you have solved:'''
END = '''## How far you are

The [questionnaire](questionnaire.ipynb) has all answers.'''


def wrapped(stub, width=84):
    "A stub whose long comments are above their lines, as the site shows 84 columns"
    lines = []
    for line in stub.splitlines():
        code, mark, comment = line.partition(' # ')
        lines += [line] if len(line) <= width or not mark else [*(f'# {part}' for part in wrap(comment, width-2)), code]
    return '\n'.join(lines)


def question(id, answer):
    "The cells of one question"
    number = f'**[{id.upper()}]({answer["notebook"]}.ipynb#cell-id={answer["cell"]}).**'
    return [_cell('markdown', f'{id}-md', f'{number} {QUESTIONS[id].text}\n\n`quiz.{id}.hint()`'),
            _cell('code', id, wrapped(QUESTIONS[id].stub))]


def take_cell():
    "The form, which a kernel shows; and a picture of it, which the notebook keeps"
    still = {kind: text.splitlines(True) for kind, text in still_form(quiz.q1).items()}
    return {**_cell('code', 'take', 'from pet_breeds import quiz\nquiz.take()'), 'outputs': [dict(data=still, metadata={}, output_type='display_data')]}


def quiz_page(answers):
    "The text of the notebook; `answers` says which lesson answers a question"
    title = f'{TITLE}\n\n{navigation.links(FILE, sorted({*navigation.lessons(), FILE}))}'
    cells = [_cell('code', 'default-exp', navigation.first_cell('quiz_page'), navigation.FOLDED), _cell('markdown', 'title', title),
             _cell('markdown', 'how', HOW), take_cell(),
             _cell('markdown', 'stuck', STUCK), _cell('code', 'example', 'quiz.q7'),
             _cell('code', 'try', 'answer = ...\nquiz.q7.check(answer)'), _cell('code', 'hint', 'quiz.q7.hint()'),
             _cell('markdown', 'more', MORE), _cell('code', 'show', 'quiz.show()')]
    by_lesson = sorted(answers, key=lambda id: answers[id]['notebook']) # keeps the chapter's order within a lesson
    for lesson, ids in groupby(by_lesson, key=lambda id: answers[id]['notebook']):
        cells.append(_cell('markdown', f'lesson-{lesson[:2]}', f'## [{lesson}]({lesson}.ipynb)'))
        cells += [cell for id in ids for cell in question(id, answers[id])]
    return _notebook([*cells, _cell('markdown', 'end', END), _cell('code', 'show-again', 'quiz.show()')])


def write(answers): write_whole(FILE, quiz_page(answers).encode())
