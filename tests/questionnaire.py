"The 25 proven answers of the lessons as nbs/questionnaire.ipynb and as pet_breeds/answers.json; tests/build.py writes both."
import json
from pathlib import Path

from pet_breeds.core import write_whole
from pet_breeds.handout import _cell, _notebook, read_answers


def entry(id, a):
    "One answer in Markdown"
    shown = a['html'] or f'```\n{a["output"]}\n```'
    return (f'## {id.upper()}. {a["title"]}\n\n{a["answer"]}\n\n```python\n{a["code"]}\n```\n\n{shown}\n\n'
            f'In its lesson: [{a["notebook"]}]({a["notebook"]}.ipynb#cell-id={a["question"]})')


def questionnaire(answers):
    "The text of a notebook of all answers"
    title = '# The questionnaire\n\n> All 25 answers in the order of the chapter, each with the code that proves it.'
    about = ('Each answer is short. The code below it proves it, and the link leads to its lesson, where that code '
             'runs, after the cells above it. (To edit an answer, edit its lesson, then run `python tests/build.py`.)')
    straight = 'Straight to: ' + ' · '.join(f'[{id.upper()}](#cell-id={id})' for id in answers)
    front = [_cell('code', 'default-exp', '#| default_exp questionnaire'), _cell('markdown', 'title', title),
             _cell('markdown', 'about', about), _cell('markdown', 'straight', straight)]
    return _notebook([*front, *(_cell('markdown', id, entry(id, a)) for id, a in answers.items())])


def answers_json(answers): return json.dumps(answers, indent=1, ensure_ascii=False) + '\n'


def write(nbs):
    "Write both files from the lessons in `nbs`, the folder beside that of the package"
    nbs, answers = Path(nbs), read_answers(nbs)
    write_whole(nbs/'questionnaire.ipynb', questionnaire(answers).encode())
    write_whole(nbs.parent/'pet_breeds'/'answers.json', answers_json(answers).encode())
