"The lesson on which the quiz is taken, nbs/12_quiz.ipynb, from pet_breeds/questions.yaml and the places of the answers; tests/build.py writes it."
from itertools import groupby
from textwrap import wrap

import navigation

from pet_breeds.core import write_whole
from pet_breeds.handout import _cell, _notebook
from pet_breeds.questions import QUESTIONS

FILE = navigation.ROOT/'nbs'/'12_quiz.ipynb'
TITLE = '# The quiz\n\n> Answer the 25 questions of the chapter, and see right away whether you are right.'
HOW = '''Put your answer in the place of `...` and run the cell: a number, a name, a sentence, a list, a table or a function, as the question asks. If your answer is a mistake that others made before you, the check names it and tells you where to look. Take question 7:'''
STUCK = '''Below each question is a cell such as the next one. Replace `...` in it, first by a wrong name, such as `'one_batch'`, then by the right one. The cell after it gives a hint.'''
MORE = '''To choose among several answers, run `quiz.q7.ask()`. After your attempt, `quiz.q7.answer()` shows ours, and `quiz.q7.proof()` its proof. What you have solved is remembered on this machine:'''
END = '''## How far you are

All answers, each with its proof, are in the [questionnaire](questionnaire.ipynb). `tests/build.py` makes this page from `pet_breeds/questions.yaml`.'''


def wrapped(stub, width=84):
    "A stub whose long comments are above their lines, as the site shows 84 columns"
    lines = []
    for line in stub.splitlines():
        code, mark, comment = line.partition(' # ')
        lines += [line] if len(line) <= width or not mark else [*(f'# {part}' for part in wrap(comment, width-2)), code]
    return '\n'.join(lines)


def question(id):
    "The cells of one question"
    return [_cell('markdown', f'{id}-md', f'**{id.upper()}.** {QUESTIONS[id].text}\n\n`quiz.{id}.hint()` · `quiz.{id}.ask()`'),
            _cell('code', id, wrapped(QUESTIONS[id].stub))]


def quiz_page(answers):
    "The text of the notebook; `answers` says which lesson answers a question"
    title = f'{TITLE}\n\n{navigation.links(FILE, sorted({*navigation.lessons(), FILE}))}'
    cells = [_cell('code', 'default-exp', navigation.first_cell('quiz_page'), navigation.FOLDED), _cell('markdown', 'title', title),
             _cell('markdown', 'how', HOW), _cell('code', 'example', 'from pet_breeds import quiz\nquiz.q7'),
             _cell('markdown', 'stuck', STUCK), _cell('code', 'try', 'answer = ...\nquiz.q7.check(answer)'), _cell('code', 'hint', 'quiz.q7.hint()'),
             _cell('markdown', 'more', MORE), _cell('code', 'show', 'quiz.show()')]
    by_lesson = sorted(answers, key=lambda id: answers[id]['notebook']) # keeps the chapter's order within a lesson
    for lesson, ids in groupby(by_lesson, key=lambda id: answers[id]['notebook']):
        cells.append(_cell('markdown', f'lesson-{lesson[:2]}', f'## [{lesson}]({lesson}.ipynb)'))
        cells += [cell for id in ids for cell in question(id)]
    return _notebook([*cells, _cell('markdown', 'end', END), _cell('code', 'show-again', 'quiz.show()')])


def write(answers): write_whole(FILE, quiz_page(answers).encode())
