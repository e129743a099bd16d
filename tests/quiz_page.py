"The lesson on which the quiz is taken, nbs/12_quiz.ipynb, from pet_breeds/questions.yaml and the places of the answers; tests/build.py writes it."
from itertools import groupby

import navigation

from pet_breeds.core import write_whole
from pet_breeds.handout import _cell, _notebook
from pet_breeds.questions import QUESTIONS

FILE = navigation.ROOT/'nbs'/'12_quiz.ipynb'
TITLE = '# The quiz\n\n> Answer the 25 questions of the chapter, and see at once whether you are right.'
HOW = '''Below are the chapter's 25 questions, in the order of the lessons that answer them. Each has a cell with `...` in it. Replace that with your answer, which is a number, a name, a sentence, a list, a table or a function of yours, and run the cell.

The check says whether you are right. If your answer is a mistake that others made before you, the check knows its name and tells you where to look. Reading this page takes ten minutes; take as long for the answers as you like.

Question 7, for example, asks for the name of a method. This shows the question as it is asked:'''
HELP = '''Put the method's name, in quotation marks, in the place of `...`. Or try a wrong one first.'''
STUCK = '''If you are stuck, ask for a hint. To choose among several answers in place of writing one, run `quiz.q7.ask()`, and click. After your own attempt, `quiz.q7.answer()` shows the answer, and `quiz.q7.proof()` the code that proves it.'''
PROGRESS = '''What you have solved is remembered on this machine, also between sessions. This shows how far you are:'''
MADE = '''This page is made from `pet_breeds/questions.yaml` by `tests/build.py`. In a terminal, `pet_breeds_quiz` asks the same questions.'''
END = '''## How far you are

All answers, each with its proof, are in the [questionnaire](questionnaire.ipynb).'''


def question(id):
    "The cells of one question"
    return [_cell('markdown', f'{id}-md', f'**{id.upper()}.** {QUESTIONS[id].text}\n\n`quiz.{id}.hint()` · `quiz.{id}.ask()`'),
            _cell('code', id, QUESTIONS[id].stub)]


def quiz_page(answers):
    "The text of the notebook; `answers` says which lesson answers a question"
    title = f'{TITLE}\n\n{navigation.links(FILE, sorted({*navigation.lessons(), FILE}))}'
    cells = [_cell('code', 'default-exp', navigation.first_cell('quiz_page'), navigation.FOLDED), _cell('markdown', 'title', title),
             _cell('markdown', 'how', HOW), _cell('code', 'example', 'from pet_breeds import quiz\nquiz.q7'),
             _cell('markdown', 'help', HELP), _cell('code', 'try', "answer = ...\nquiz.q7.check(answer)"),
             _cell('markdown', 'stuck', STUCK), _cell('code', 'hint', 'quiz.q7.hint()'),
             _cell('markdown', 'progress', PROGRESS), _cell('code', 'show', 'quiz.show()'), _cell('markdown', 'made', MADE)]
    by_lesson = sorted(answers, key=lambda id: answers[id]['notebook']) # keeps the chapter's order within a lesson
    for lesson, ids in groupby(by_lesson, key=lambda id: answers[id]['notebook']):
        cells.append(_cell('markdown', f'lesson-{lesson[:2]}', f'## [{lesson}]({lesson}.ipynb)'))
        cells += [cell for id in ids for cell in question(id)]
    return _notebook([*cells, _cell('markdown', 'end', END), _cell('code', 'show-again', 'quiz.show()')])


def write(answers): write_whole(FILE, quiz_page(answers).encode())
