"The judges on labelled answers: no right one is called wrong, little salad is accepted, most mistakes are named."
import pytest
import quiz_scores
from quiz_scores import ALIKE, FILE, RIGHT, TARGETS, UNSEEN, answers, percent, scored, summary

from pet_breeds.judge import numbers_said
from pet_breeds.questions import LISTS, QUESTIONS, _names_in


@pytest.fixture(scope='module', params=[FILE, UNSEEN], ids=['tuned', 'unseen'])
def rows(request): return [*scored(request.param)]


def test_targets(rows):
    got = summary(rows)
    assert got['right'] <= TARGETS['right'][1] and got['salad'] <= TARGETS['salad'][1], got
    assert got['mistakes'] >= TARGETS['mistakes'][1], got


def test_a_wrong_answer_without_a_name_is_not_accepted(rows):
    assert [row for row in rows if row[1] == 'wrong' and row[-1] == 'right'] == []


def test_half_an_answer_is_neither_accepted_nor_called_wrong(rows):
    assert [row for row in rows if row[1] == 'half' and row[-1] != "can't tell"] == []


def test_most_right_answers_are_recognized(rows):
    "The others get the points to tick: a judge that can never tell would reach the targets, too"
    assert percent(rows, ['right', 'chatbot'], ['right']) >= 70


def test_words_are_called_wrong_only_by_the_name_of_a_mistake(rows):
    assert not [row for row in rows if row[-1] == 'wrong' and isinstance(row[2], str) and not numbers_said(row[2])
                and not any(map(str.isdigit, row[2]))
                and not (row[0] in LISTS and _names_in(row[0], row[2])) and row[0] != 'q2']


def test_the_set_covers_every_question():
    rows = [*answers()]
    written = [row for row in rows if row[1] not in ALIKE]
    assert len(written) >= 200 and {row[0] for row in written} == set(QUESTIONS)
    assert all(sum(id == row[0] and row[1] in RIGHT for row in written) >= 4 for id in QUESTIONS)
    assert all(name in QUESTIONS[id].mistakes for id, _, _, name in rows if name)
    assert {kind for _, kind, *_ in written} == {'right', 'chatbot', 'foreign', 'thin', 'half', 'wrong', 'mistakes', 'salad'}
    unseen = {repr(row[2]) for row in answers(UNSEEN) if row[1] not in ALIKE and len(str(row[2])) > 30}
    assert not unseen & {repr(row[2]) for row in written}


def test_the_program_prints_a_table(capsys, monkeypatch):
    monkeypatch.setattr(quiz_scores, 'scored', lambda file: iter([
        ('q7', 'right', 'a', None, 'right'), ('q7', 'right', 'b', None, 'wrong'), ('q7', 'salad', 'c', None, "can't tell"),
        ('q7', 'mistakes', 'd', 'one_batch', 'named')]))
    monkeypatch.setattr('sys.argv', ['quiz_scores.py', 'right'])
    quiz_scores.main()
    out = capsys.readouterr().out
    assert 'right: 50.0% wrong (target 1%)' in out and 'salad: 0.0% right' in out and 'mistakes: 100.0% named' in out
    assert out.endswith('q7 right  -> wrong: b\n')
