"The cards: facts that their lessons state, and a deck that Anki imports twice without a new note."
import json
import os
import re
import sqlite3
from collections import Counter
from zipfile import ZipFile

import pytest
from conftest import ROOT

from pet_breeds import cards as module
from pet_breeds.cards import read_cards, save_deck, write_cards
from pet_breeds.core import run_command
from pet_breeds.handout import lessons, read_cells

NBS = ROOT/'nbs'
CARDS = read_cards()


# The texts

def test_ids_are_fixed_names():
    assert all(re.fullmatch(r'[A-Za-z0-9]+(-[a-z0-9]+)*', id) for id in CARDS)
    ours = {'validation-set', 'greedy-plus', 'collate', 'presizing', 'minus-log-p', 'slice-two', 'frozen', 'bfloat16', 'recall', 'paired', 'one-of-48'}
    assert ours <= set(CARDS), 'Anki knows a card by its id: never rename one'


def test_every_lesson_has_cards_and_none_is_about_the_engine():
    count = Counter(card['lesson'] for card in CARDS.values())
    assert list(count) == [nb.stem for nb in lessons(NBS) if nb.stem != '12_quiz'] and 100 <= len(CARDS) <= 150
    assert min(count.values()) >= 3
    for id, card in CARDS.items(): assert not re.search(r'quiz|pet_breeds|\bcheck\b|\.proof|assert', f"{card['front']} {card['back']}"), id


def test_one_fact_each():
    "A question of at most 20 words, an answer of at most 25"
    for id, card in CARDS.items():
        assert len(card['front'].split()) <= 20 and card['front'].count('?') == 1 and card['front'].endswith('?'), id
        assert len(card['back'].split()) <= 25 and '?' not in re.sub('`[^`]*`', '', card['back']), id
    assert not [text for text, n in Counter(card['front'] for card in CARDS.values()).items() if n > 1]


def test_numbers_and_names_are_those_of_the_lesson():
    "Each number and each name in code on a card is in what its lesson says or shows"
    said = {nb.stem: '\n'.join(f"{c['source']}\n{c['shown'].get('text/plain', '')}" for c in read_cells(nb)) for nb in lessons(NBS)}
    words = {'one': 1, 'two': 2, 'three': 3, 'four': 4, 'six': 6, 'eight': 8, 'nine': 9, 'twelve': 12}
    missing = []
    for id, card in CARDS.items():
        text, lesson = f"{card['front']} {card['back']}", said[card['lesson']]
        code = re.findall(r'`([^`]+)`', text)
        found = [n.replace(',', '') for n in re.findall(r'(?<![\w.^{])\d[\d,]*(?:\.\d+)?(?:e-?\d+)?', re.sub(r'`[^`]*`|\$[^$]*\$', '', text).rstrip('.')) if n != '1']
        flat = re.sub(r'(?<=\d),(?=\d)', '', lesson) + ' '.join(f'{n} ' for word, n in words.items() if re.search(rf'\b{word}\b', lesson, re.I))
        missing += [(id, n) for n in found if not re.search(rf'(?<![\d.]){re.escape(n.rstrip(","))}(?!\d)', flat)]
        missing += [(id, name) for name in code if not all(part in lesson for part in re.findall(r'[A-Za-z_]\w+', name))]
    assert missing == []


@pytest.mark.parametrize('text, says', [
    ('', 'expected keys'), ('05_loss: []\n05_loss: []', "the key '05_loss' stands here twice"), ('05_loss:\n- a', 'a card has the keys'), ('05_loss:\n- {id: a, front: b}', '05_loss, a: a card has the keys'),
    ('05_loss:\n- {id: a, front: b, back: c, hint: d}', 'a card has the keys'), ('05_loss:\n- {id: a, front: b, back: 5}', 'back is 5; expected text'),
    ('05_loss:\n- {id: a, front: " ", back: c}', 'front is'), ('05_loss:\n- {id: a, front: b, back: c, picture: }', 'picture is None'),
    ('05_loss: [{id: a, front: b, back: c}]\n06_rates: [{id: a, front: b, back: c}]', "the id 'a' is in 05_loss and in 06_rates"),
    ('a: `b`', 'cards.yaml: while scanning')])
def test_a_mistake_in_the_file_is_one_line_that_names_it(tmp_path, text, says):
    (tmp_path/'cards.yaml').write_text(text)
    with pytest.raises(ValueError, match=re.escape(says)) as e: read_cards(tmp_path/'cards.yaml')
    assert len(str(e.value).splitlines()) == 1


def test_a_picture_that_is_not_there_is_named(tmp_path):
    cards = {'log': dict(lesson='05_loss', front='a', back='b', picture='title')}
    with pytest.raises(ValueError, match='cards.yaml, log: no picture in 05_loss, cell title'): save_deck(tmp_path/'deck.apkg', cards, NBS)
    assert not any(tmp_path.iterdir())


# The deck

def notes(deck, tmp_path):
    "(guid, fields, mod, tags) of each note of a deck"
    with ZipFile(deck) as z: z.extract('collection.anki2', tmp_path)
    with sqlite3.connect(tmp_path/'collection.anki2') as db:
        return [(guid, flds.split('\x1f'), mod, tags.split())
                for guid, flds, mod, tags in db.execute('select guid, flds, mod, tags from notes order by id')]


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    pytest.importorskip('genanki')
    pytest.importorskip('mistune')
    path = tmp_path_factory.mktemp('made')/'deck.apkg'
    save_deck(path, CARDS, NBS, 1_700_000_000)
    return path


def test_a_note_for_each_card(made, tmp_path):
    found = notes(made, tmp_path)
    assert len(found) == len({guid for guid, *_ in found}) == len(CARDS)
    for (id, card), (_, (front, back, picture, lesson), _, tags) in zip(CARDS.items(), found):
        assert front.startswith('<p>') and back.startswith('<p>') and lesson == card['lesson'] and tags == [lesson], id
        assert bool(picture) == bool(card['picture']), id
        assert not re.search(r'\$|`|\]\(|\*\*', re.sub(r'<code>.*?</code>', '', front+back)), f'{id}: Markdown is left'


def test_the_numbers_of_decks_and_notes_stay(made, tmp_path):
    "Anki knows them by these: another number would make a second deck beside the old one"
    with ZipFile(made) as z: z.extract('collection.anki2', tmp_path)
    with sqlite3.connect(tmp_path/'collection.anki2') as db: [decks], [models] = db.execute('select decks from col').fetchone(), db.execute('select models from col').fetchone()
    names = {deck['name']: int(id) for id, deck in json.loads(decks).items() if deck['name'].startswith('pet_breeds')}
    assert names == {f'pet_breeds::{lesson}': 1715081923 + int(lesson[:2]) for lesson in {card['lesson'] for card in CARDS.values()}}
    assert '1506011866' in json.loads(models)
    [guid] = [guid for guid, fields, *_ in notes(made, tmp_path) if 'Which two properties' in fields[0]]
    import genanki
    assert guid == genanki.guid_for('pet_breeds card', 'two-properties')


def test_pictures_are_in_the_deck(made, tmp_path):
    with ZipFile(made) as z:
        media = json.loads(z.read('media'))
        assert {f'pet_breeds_{id}' for id, card in CARDS.items() if card['picture']} == {name.rpartition('.')[0] for name in media.values()}
        assert all(z.read(i).startswith((b'\x89PNG', b'\xff\xd8')) for i in media)
    assert {src for _, fields, *_ in notes(made, tmp_path) for src in re.findall(r'src="([^"]+)"', fields[2])} == set(media.values())
    assert made.stat().st_size < 4_000_000


def test_written_again_it_is_the_same_file_and_nothing_is_left(made, tmp_path, monkeypatch):
    (tmp_path/'tmp').mkdir()
    monkeypatch.setattr('tempfile.tempdir', str(tmp_path/'tmp'))
    save_deck(tmp_path/'again.apkg', CARDS, NBS, 1_700_000_000)
    assert (tmp_path/'again.apkg').read_bytes() == made.read_bytes() and not any((tmp_path/'tmp').iterdir())


def test_anki_imports_it_twice_without_a_new_note_and_a_newer_one_updates(made, tmp_path):
    collection = pytest.importorskip('anki.collection')
    col, n = collection.Collection(str(tmp_path/'col.anki2')), len(CARDS)
    def bring(deck):
        request = collection.ImportAnkiPackageRequest(package_path=str(deck), options=collection.ImportAnkiPackageOptions())
        log = col.import_anki_package(request).log
        return len(log.new), len(log.updated), col.note_count(), col.card_count()
    assert bring(made) == (n, 0, n, n)
    assert bring(made) == (0, 0, n, n)
    changed = {**CARDS, 'recall': {**CARDS['recall'], 'back': 'Otherwise.'}}
    save_deck(tmp_path/'as-old.apkg', changed, NBS, 1_700_000_000)
    assert bring(tmp_path/'as-old.apkg') == (0, 0, n, n), 'as old as what is there'
    save_deck(tmp_path/'newer.apkg', changed, NBS, 1_700_000_001)
    assert bring(tmp_path/'newer.apkg') == (0, n, n, n)
    assert any('Otherwise.' in flds for flds, in col.db.all('select flds from notes'))
    assert col.media.check().missing == []
    decks = {d.name for d in col.decks.all_names_and_ids() if d.name.startswith('pet_breeds::')}
    assert decks == {f'pet_breeds::{lesson}' for lesson in {card['lesson'] for card in CARDS.values()}}
    card = col.get_card(col.find_cards('"deck:pet_breeds::05_loss" gradient')[0])
    assert r'\(p_i - y_i\)' in card.answer() and 'gradient' in card.question() and '<img' not in card.question()
    col.close()


# What is somebody else's stays

FEW = {id: CARDS[id] for id in ('recall', 'precision')}


def test_what_is_there_is_left_alone(made, tmp_path, monkeypatch):
    "Ours, unchanged, too: Anki exports to the same kind of file, so only a new name is safe"
    for name, text in (('notes.txt', 'mine'), ('notes.apkg', 'mine'), ('empty.apkg', '')): (tmp_path/name).write_text(text)
    (tmp_path/'ours.apkg').write_bytes(made.read_bytes())
    (tmp_path/'folder.apkg').mkdir()
    (tmp_path/'nothing.apkg').symlink_to(tmp_path/'far')
    os.mkfifo(tmp_path/'pipe.apkg')
    before = {f: f.is_file() and f.read_bytes() for f in tmp_path.iterdir()}
    def never(*args): raise AssertionError('work was done')
    monkeypatch.setattr(module, '_decks', never)
    monkeypatch.setattr(module, '_pictures', never)
    for f in before:
        with pytest.raises(ValueError, match='ends in .apkg|there is something already') as e: save_deck(f, FEW, NBS)
        assert str(f) in str(e.value) and len(str(e.value).splitlines()) == 1
    with pytest.raises(FileNotFoundError, match='no such folder'): save_deck(tmp_path/'no'/'deck.apkg', FEW)
    assert before == {f: f.is_file() and f.read_bytes() for f in tmp_path.iterdir()}


def test_a_file_that_appears_while_we_work_is_left_alone(tmp_path, monkeypatch):
    def meanwhile(*args):
        (tmp_path/'deck.apkg').write_text('mine')
        return deck_file(*args)
    deck_file = module._deck_file
    monkeypatch.setattr(module, '_deck_file', meanwhile)
    with pytest.raises(ValueError, match='there is something already'): save_deck(tmp_path/'deck.apkg', FEW)
    assert [(f.name, f.read_text()) for f in tmp_path.iterdir()] == [('deck.apkg', 'mine')]


def test_a_deck_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def stop(*args): raise KeyboardInterrupt
    monkeypatch.setattr(module, '_fields', stop)
    with pytest.raises(KeyboardInterrupt): save_deck(tmp_path/'deck.apkg', FEW)
    assert not any(tmp_path.iterdir())


def test_the_command_without_notebooks(tmp_path, capsys, monkeypatch):
    pytest.importorskip('genanki')
    package = tmp_path/'site-packages'/'pet_breeds'
    package.mkdir(parents=True)
    (package/'cards.yaml').write_bytes((ROOT/'pet_breeds'/'cards.yaml').read_bytes())
    os.utime(package/'cards.yaml', (0, 1_700_000_123))
    monkeypatch.setattr(module, 'files', lambda _: package)
    monkeypatch.setattr('pet_breeds.handout.files', lambda _: package)
    def command(*words): run_command(write_cards, 'write_cards', '', [str(word) for word in words])
    command(tmp_path/'deck.apkg')
    assert capsys.readouterr().out.startswith(f'{len(CARDS)} cards without pictures (no notebooks here): import ')
    assert {mod for _, _, mod, _ in notes(tmp_path/'deck.apkg', tmp_path)} == {1_700_000_123}
    (tmp_path/'mine.apkg').write_text('mine')
    for words, says in ((['deck.zip'], 'ends in .apkg'), (['mine.apkg'], 'there is something already'), (['new.apkg', '--nbs', tmp_path/'none'], 'none')):
        with pytest.raises(SystemExit) as e: command(tmp_path/words[0], *words[1:])
        err = capsys.readouterr().err
        assert e.value.code == 2 and says in err and len(err.splitlines()) == 1
