"The quiz as a page of the site: Markdown with all texts, which needs no script, and the data by which quiz.js judges."
import json
from itertools import permutations, product

import pet_breeds
from pet_breeds import judge, questions, quiz, results
from pet_breeds.progress import GAPS
from pet_breeds.questions import LISTS, NUMBERS, QUESTIONS, TWO_OF
from pet_breeds.quiz import judged
from pet_breeds.verdicts import FROM_QUIZ

INTRO = '''# Take the quiz

25 questions. Type an answer in English, or choose one; after a try you may see ours, which leads to its lesson. What you type and solve is kept in this browser and goes nowhere else. *Hand in*, at the end, saves it as a file for a teacher.

<noscript>

*This page judges your answers with a script, which your browser does not run. Answer for yourself, then open the triangles.*

</noscript>

<div id="quiz-bar"></div>
'''
DTYPES = [f'{module}{name}' for module in ('', 'torch.', 'np.') for name in ('float32', 'float16', 'bfloat16', 'half', 'float', 'float64', 'double')]
VOTES = 'early', 'late', 'low', 'high' # a sentence that answers question 19 is also read clause by clause
NAMES = { # answers of a few names, to be judged now, by Python
    'q12': [', '.join(kinds) for kinds in product(('softmax', 'sigmoid'), repeat=4)],
    'q17': [', '.join(part) for n in (1, 2, 3) for part in permutations(('body', 'batchnorm', 'head'), n)],
    'q23': [*DTYPES, 'fp32', 'fp16']}


def lesson_link(answer, text): return f'[{text}]({answer["notebook"]}.ipynb#cell-id={answer["cell"]})'


def choice(text, right, why):
    return f'<li data-right="{int(right)}">\n\n{text}\n\n<details><summary>Chosen</summary>\n\n{"Right." if right else "No."}\n\n<div class="why">\n\n{why}\n\n</div></details></li>'


def fold(kind, summary, text): return f'<details class="{kind}"><summary>{summary}</summary>\n\n{text}\n\n</details>'


def section(exercise, answer):
    "A question with all that belongs to it, under triangles"
    q, id = exercise.question, exercise.id
    mistakes = '\n'.join(f'- **{name}:** {why}' for name, why in q.mistakes.items())
    parts = [fold('hint', 'Hint', q.hint),
             fold('choices', 'Choices', '\n'.join(['<ol type="a">', *(choice(*rest) for _, *rest in exercise.choices()), '</ol>'])),
             fold('points', 'The points of a full answer', '\n'.join(f'- {point}' for point in q.points)),
             fold('mistakes', 'Known mistakes', mistakes),
             fold('answer', 'Our answer', f'**{answer["title"]}**\n\n{answer["answer"]}\n\n{lesson_link(answer, "The proof in lesson " + answer["notebook"])}')]
    return '\n\n'.join([f'<section class="quiz-question" id="{id}" data-lesson="{answer["notebook"]}">', f'{exercise.asked()}', *parts, '</section>'])


def pairs(marks):
    "[name, pattern, pattern that excuses it or null] for each mark"
    return [[name, *(mark if isinstance(mark, tuple) else (mark, None))] for name, mark in marks.items()]


def data_of(id):
    "What quiz.js needs to judge the answers to a question"
    q, wanted = QUESTIONS[id], sorted(TWO_OF.get(id, ()))
    two = dict(names=wanted, parts=pairs({name: mark for name, mark in q.words.get('parts', {}).items() if name in wanted})) if wanted else None
    verdicts = {name: judged(id, q.judge, name) for name in NAMES.get(id, [])}
    return dict(enough=q.enough, names={name: [v.ok, v.mistake, v.text] for name, v in verdicts.items() if v.ok is not None}, numbers=NUMBERS.get(id), list=LISTS.get(id),
                votes={name: q.words['parts'][name] for name in VOTES} if id == 'q19' else None, two=two, **{kind: pairs(q.words.get(kind, {})) for kind in ('points', 'mistakes', 'remarks')},
                asked=sorted(questions._sentences(f'{q.text} {q.hint}')))


def data():
    "All that is needed, as JSON that may stand in a page"
    patterns = dict(denial=judge._DENIAL.pattern, pairs=judge._PAIRS.pattern, capital=judge._CAPITAL.pattern,
                    not_it=judge._NOT_IT.pattern, reason=judge.REASON, denied=f'{judge.NOT}{judge.REACH}*', sentence=r'[.?!:;](?=\s|$)', clauses=judge.CLAUSES,
                    number=judge.NUMBER, about=judge.ABOUT, give_up=judge.GIVE_UP) | {'else': judge.ELSE}
    says = dict(sentence=judge.SENTENCE, only_words=judge.ONLY_WORDS, another_way=judge.ANOTHER_WAY)
    hand_in = dict(made_by=results.MADE_BY, version=results.VERSION, package=pet_breeds.__version__, from_quiz=FROM_QUIZ)
    found = dict(hand_in=hand_in, patterns=patterns, says=says, as_numbers=judge.AS_NUMBERS, short=judge.SHORT, longest=judge.LONGEST, gaps=GAPS,
                 regex=dict(files=questions.FILES, endless=questions.ENDLESS, dotless=questions.DOTLESS, label=questions.LABEL, quoted=questions.QUOTED), questions={id: data_of(id) for id in QUESTIONS})
    return json.dumps(found, ensure_ascii=False, allow_nan=False).replace('<', r'\u003c')


def take_quiz_page():
    "The source of the page"
    sections = [section(getattr(quiz, id), quiz._answers()[id]) for id in QUESTIONS]
    script = f'<script type="application/json" id="quiz-data">{data()}</script>\n<script src="_static/quiz.js"></script>'
    return '\n\n'.join([INTRO, *sections, script]) + '\n'
