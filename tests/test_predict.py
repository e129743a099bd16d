"`pet_breeds_predict` with all its options: what it writes, where, how right it is, and what it costs."
import csv
import io
import json
import os
import shutil
import sys
from collections import Counter
from pathlib import Path

import conftest
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pet_breeds import predict
from pet_breeds.app import answerer
from pet_breeds.cli import main_predict
from pet_breeds.data import pets_dls
from pet_breeds.interpret import error_interval
from pet_breeds.inventory import photo_table
from pet_breeds.labels import name_label
from pet_breeds.model import make_learner
from pet_breeds.predict import Predictor, label_lines, predict_pets
from pet_breeds.saving import report_learner, save_model

BREEDS = ['Bombay', 'Sphynx', 'pug', 'samoyed']


@pytest.fixture(scope='module')
def report(drawn, tmp_path_factory):
    "A model that has learned little: it is wrong now and then"
    learn = make_learner(pets_dls(drawn, bs=8, size=64, seed=1))
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(1, 2e-3)
    return save_model(learn, tmp_path_factory.mktemp('predict')/'report')


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(capsys, *args):
    "What the command writes on its output and on its error output, line by line"
    main_predict(list(map(str, args)))
    out, err = capsys.readouterr()
    return out, err.splitlines()


def test_all_options_at_once(report, drawn, here, capsys):
    "Ranked, unsure, labeled, JSON and CSV, in parts and at once: one answer"
    with pytest.MonkeyPatch.context() as m:
        m.setattr(Predictor, '__init__', small_parts(Predictor.__init__))
        out, err = told(capsys, report, drawn, '--top', 3, '--unsure', .6, '--labels', 'name', '--format', 'json')
    rows = json.loads(out)
    whole, bad = predict_pets(report, drawn, top=3, unsure=.6, labels='name')
    assert [list(r) for r in rows[:1]] == [['file', 'label', 'breed', 'prob', 'breed_1', 'prob_1', 'breed_2', 'prob_2', 'breed_3', 'prob_3']]
    assert len(rows) == len(whole) == 40 and not len(bad)
    for row, (_, want) in zip(rows, whole.iterrows()):
        assert row['file'] == want.file and row['label'] == name_label(want.file) and row['prob'] == pytest.approx(want.prob, abs=1e-3)
        assert row['breed'] == ('unsure' if want.prob_1 < .6 else want.breed_1) and row['prob_1'] >= row['prob_2'] >= row['prob_3']
    answered = whole[whole.breed != 'unsure']
    right = (answered.breed == answered.label).sum()
    assert 0 < len(answered) < 40 and 0 < right, 'else this test says nothing'
    low, high = error_interval(1-right/len(answered), len(answered))
    assert err[0] == (f'right: {right} of {len(answered)} photos, {100*right/len(answered):.1f}% (95% interval {100*(1-high):.1f} '
                      f'to {100*(1-low):.1f}%)')
    assert err[1] == f'unsure: {40-len(answered)} of 40 photos'
    pairs = Counter(zip(answered.label, answered.breed))
    wrong = {f'{a} taken for {b}: {n}' for (a, b), n in pairs.items() if a != b}
    assert set(err[2:]) == wrong


def small_parts(init):
    def small(self, *args):
        init(self, *args)
        self.about = {**self.about, 'bs': 2}
    return small


def test_every_probability(report, drawn, here, capsys):
    main_predict([str(report), str(drawn), '--top', '0', '--out', 'all.csv'])
    table = pd.read_csv('all.csv')
    assert list(table.columns) == ['file', 'breed', 'prob', *(f'prob_{b}' for b in BREEDS)] and capsys.readouterr() == ('', '')
    probs = table[[f'prob_{b}' for b in BREEDS]].to_numpy()
    assert np.abs(probs.sum(1)-1).max() < 3e-4 and (probs.max(1) == table.prob).all()
    assert [BREEDS[i] for i in probs.argmax(1)] == list(table.breed)
    assert predict_pets(report, drawn, top=9)[0].shape[1] == 3+2*4, 'as many as there are'


def test_folders_of_any_rule(report, drawn, here, capsys):
    "By folder, by pattern, by a table, and with a split of its own: the same photos, the same number right"
    want = (predict_pets(report, drawn, labels='name')[0].pipe(lambda t: t.label == t.breed)).sum()
    rows = []
    for i, f in enumerate(sorted((drawn/'images').iterdir())):
        breed = name_label(f)
        for place in (f'folders/{breed.upper() if i%2 else breed}/{f.name}', f'split/{"test" if i%3 else "train"}/{breed}/{f.name}'):
            Path(place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(f, place)
        rows.append((f.name, breed))
    pd.DataFrame(rows, columns=['file', 'label']).to_csv('pets.csv', index=False)
    for folder, rule in (('folders', 'folder'), ('split', 'folder'), (drawn, 're:^([A-Za-z]+)_'), (drawn, 'pets.csv')):
        _, err = told(capsys, report, folder, '--labels', rule)
        assert err[0].startswith(f'right: {want} of 40 photos'), (rule, err)


def test_a_table_or_folders_with_a_test_set_alone(report, drawn, here, capsys):
    "Nothing is trained, so no photo to train on is needed; a table in memory does as well as its file"
    photos, rule = sorted((drawn/'images').iterdir()), 'test_set.csv'
    table = pd.DataFrame(dict(file=[f.name for f in photos], label=list(map(name_label, photos)), split='test'))
    table.to_csv(rule, index=False)
    for f in photos:
        Path(f'only/test/{name_label(f)}').mkdir(parents=True, exist_ok=True)
        shutil.copy(f, f'only/test/{name_label(f)}')
    want = list(map(name_label, photos))
    for folder, labels in ((drawn, rule), (drawn, table), (drawn, table.assign(Fold=3).drop(columns='split')), ('only', 'folder'), (drawn, name_label)):
        assert sorted(predict_pets(report, folder, labels=labels)[0].label) == sorted(want)
    _, err = told(capsys, report, drawn, '--labels', rule)
    assert err[0].startswith('right: ') and ' of 40 photos' in err[0]
    with pytest.raises(ValueError, match='expected some to train on'): photo_table(drawn, table)
    with pytest.raises(ValueError, match='is no folder train'): photo_table('only', 'folder')


def test_a_photo_given_twice_counts_once(report, drawn, here, capsys, monkeypatch):
    "By any path, over all parts; its row is written each time, and the first label counts"
    monkeypatch.setattr(Predictor, '__init__', small_parts(Predictor.__init__))
    shutil.copytree(drawn/'images', 'pets/pug')
    Path('link').symlink_to('pets')
    once, err = told(capsys, report, 'pets', '--labels', 'name')
    for folders, n in ((['pets', 'pets/../pets'], 40), (['pets', 'pets/pug', 'link'], 80)):
        out, more = told(capsys, report, *folders, '--labels', 'name')
        assert len(out.splitlines()) == 41+n and more == [*err, f'not counted: {n} photos given once more']
    assert err[0].split(',')[0].endswith('of 40 photos')


def test_one_bad_image_in_memory_is_a_row_and_the_others_are_answered(report, drawn):
    photo = drawn/'images'/'pug_1.jpg'
    cut = io.BytesIO(photo.read_bytes()[:9_000])
    with Image.open(photo) as whole:
        odd = [Image.open(cut), np.zeros((0, 5, 3), np.uint8), np.zeros((5, 0), np.uint8), Image.new('RGB', (0, 5)), Image.new('F', (9, 9)), np.zeros((9, 9)), b'']
        good, bad = predict_pets(report, [whole, *odd, photo])
    assert list(good.file) == ['photo 1', str(photo)] and good.prob[0] == good.prob[1]
    assert list(bad.file) == [f'photo {i}' for i in range(2, 9)] and bad.detail.astype(bool).all() and 'truncated' in bad.detail[0]


def test_what_does_not_count_is_said(report, drawn, here, capsys):
    for i in range(1, 4): shutil.copy(drawn/'images'/f'pug_{i}.jpg', here)
    for name in ('poodle_1.jpg', 'poodle_2.jpg', 'holiday.jpg'): shutil.copy(drawn/'images'/'pug_1.jpg', here/name)
    (here/'pug_9.jpg').write_bytes(b'no photo')
    out, err = told(capsys, report, '.', '--labels', 'name')
    assert len(out.splitlines()) == 7 and err[0].startswith('pet_breeds_predict: skipped pug_9.jpg')
    assert err[1].split(',')[0].endswith('of 3 photos')
    assert 'not counted: 1 photo without a label' in err and 'not counted: 2 photos of 1 breed that the model does not know: poodle' in err


def test_only_one_breed_and_none_answered(report, drawn, here, capsys):
    for i in range(1, 4): shutil.copy(drawn/'images'/f'pug_{i}.jpg', here)
    _, err = told(capsys, report, '.', '--labels', 'name', '--unsure', 1)
    assert err == ['right: no photo with a label was answered', 'unsure: 3 of 3 photos']


def test_many_pairs_are_cut_and_counted():
    vocab = [f'b{i:02}' for i in range(30)]
    lines = label_lines(Counter({(vocab[i], vocab[i-1]): i+1 for i in range(30)}), vocab)
    assert lines[0].startswith('right: 0 of 465 photos, 0.0%') and lines[1] == 'b29 taken for b28: 30'
    assert len(lines) == 22 and lines[-1] == 'and 10 more pairs'


@pytest.mark.parametrize('end', ['\n', '\0'])
def test_a_list_on_the_input(end, report, drawn, here, capsys, monkeypatch):
    "Names of any kind, beside a folder; a newline in a name needs zero bytes between names"
    names = [b'plain.jpg', b'two words.jpg', '子猫.jpg'.encode(), b'-x.jpg', *([b'new\nline.jpg'] if end == '\0' else [])]
    for name in names: shutil.copy(drawn/'images'/'pug_1.jpg', os.fsencode(here)+b'/'+name)
    shutil.copy(drawn/'images'/'pug_1.jpg', os.fsencode(here)+b'/\xff.jpg')
    data = end.encode().join([*names, b'\xff.jpg', b''])
    monkeypatch.setattr(sys, 'stdin', io.TextIOWrapper(io.BytesIO(data)))
    main_predict([str(report), '-', str(drawn), '--out', 'rows.json'])
    rows = json.loads(Path('rows.json').read_text())
    assert [os.fsencode(r['file']) for r in rows[:len(names)]] == names and len(rows) == len(names)+40
    assert len({r['breed'] for r in rows[:len(names)]}) == 1 and capsys.readouterr().err.endswith('is not in UTF-8: rename it\n')


def test_a_list_with_a_missing_file_or_none(report, here, capsys, monkeypatch):
    for data, words in ((b'gone.jpg\n', 'gone.jpg: no such photo'), (b'\n', 'no photos given: expected paths of photos or folders'), (None, 'no photos given')):
        monkeypatch.setattr(sys, 'stdin', None if data is None else io.TextIOWrapper(io.BytesIO(data)))
        refused(capsys, [report, '-', '--out', 'x.csv'], words)


def refused(capsys, args, *words):
    assert conftest.refused(main_predict, capsys, args, *words) == ''
    assert not [f for f in os.listdir() if f.startswith('.')]


@pytest.mark.parametrize('options, words', [
    (['--top', '-1'], ['--top -1', '0 or more']), (['--unsure', '1.5'], ['--unsure 1.5', '0 to 1']), (['--unsure', 'nan'], ['--unsure nan']),
    (['--format', 'xml'], ['--format xml', 'csv or json']), (['--out', 'x.txt'], ['x.txt', '.csv or .json']),
    (['--out', 'no/such/x.csv'], ['no/such/x.csv']), (['--out', 'mine.csv'], ['mine.csv', 'I replace nothing']), (['--out', ''], ['--out'])])
def test_options_are_checked_before_any_work(options, words, report, drawn, here, capsys, monkeypatch):
    monkeypatch.setattr(predict, 'Predictor', lambda *args: pytest.fail('the model was loaded'))
    (here/'mine.csv').write_text('mine')
    refused(capsys, [report, drawn, *options], *words)
    assert (here/'mine.csv').read_text() == 'mine'


def test_labels_that_are_wrong(report, drawn, here, capsys, monkeypatch):
    monkeypatch.chdir(drawn) # so that the path is short
    refused(capsys, [report, 'images/pug_1.jpg', '--labels', 'name'], 'expected folders', 'pug_1.jpg')
    refused(capsys, [report, drawn, '--labels', 'folder'], 'no label', '--labels name')
    refused(capsys, [report, drawn, '--labels', 'none.csv', '--out', 'x.csv'], 'none.csv')


def test_a_remedy_names_no_option_of_another_command(report, drawn, here, capsys):
    "Where the photos of a table are, and which folder has labels, is said without --path, in words for a shell"
    photos = sorted((drawn/'images').iterdir())
    pd.DataFrame([(f'images/{f.name}', name_label(f)) for f in photos], columns=['file', 'label']).to_csv('pets.csv', index=False)
    shutil.copytree(drawn/'images', 'my pets/images')
    refused(capsys, [report, 'my pets/images', '--labels', 'pets.csv'], 'missing under', "my pets: give 'my pets'\n")
    for f in photos:
        (part := here/'all pets'/('train' if f.stem[-1] in '123' else 'test')).mkdir(parents=True, exist_ok=True)
        shutil.copy(f, part/(f.name if part.name == 'train' else f.stem[::-1] + '.jpg'))
    refused(capsys, [report, 'all pets', '--labels', 're:^([A-Za-z]+)_'], 'none in all pets/test has a label', ": give 'all pets/train'\n")


def test_an_interrupted_file_is_not_there(report, drawn, here, monkeypatch):
    def stop(self, photos): raise KeyboardInterrupt
    monkeypatch.setattr(Predictor, '__call__', stop)
    with pytest.raises(SystemExit) as e: main_predict([str(report), str(drawn), '--out', 'x.csv'])
    assert e.value.code == 130 and os.listdir(here) == []


def test_no_formula_in_a_file_and_plain_names_in_a_pipe(report, drawn, here, capsys):
    for name in ('=1+1.jpg', '-x.jpg', 'a,"b".jpg'): shutil.copy(drawn/'images'/'pug_1.jpg', here/name)
    main_predict([str(report), '.', '--out', 'rows.csv'])
    with open('rows.csv', newline='') as f: names = [row['file'] for row in csv.DictReader(f)]
    assert names == ["'-x.jpg", "'=1+1.jpg", 'a,"b".jpg']
    out, _ = told(capsys, report, '.')
    assert [row['file'] for row in csv.DictReader(io.StringIO(out))] == ['-x.jpg', '=1+1.jpg', 'a,"b".jpg']


def test_names_with_a_return_or_a_line_feed_are_cells(report, drawn, here):
    "A reader of tables gives the names back"
    names = ['a\rb.jpg', 'c\nd.jpg', 'e\r\nf.jpg', 'pug.jpg']
    for name in names: shutil.copy(drawn/'images'/'pug_1.jpg', name)
    main_predict([str(report), '.', '--out', 'rows.csv'])
    with open('rows.csv', newline='') as f: rows = list(csv.reader(f))
    assert [row[0] for row in rows] == ['file', *names] and {len(row) for row in rows} == {3}


@pytest.mark.parametrize('encoding', ['latin-1', 'ascii', 'utf-8'])
def test_a_name_that_the_output_cannot_hold_is_escaped_and_not_respelled(encoding, report, drawn, here, monkeypatch):
    "A dash in the place of a longer one would name another file"
    shutil.copy(drawn/'images'/'pug_1.jpg', name := 'pug–1×.jpg')
    monkeypatch.setattr(sys, 'stdout', out := io.TextIOWrapper(io.BytesIO(), encoding))
    main_predict([str(report), name])
    assert out.buffer.getvalue().splitlines()[1].startswith(name.encode(encoding, 'backslashreplace'))


def test_rows_come_as_they_are_computed(report, drawn, here, capsys, monkeypatch):
    "The first part is written before the second one is opened; a photo that cannot be read is named in its part"
    (here/'images').mkdir()
    for i, f in enumerate(sorted((drawn/'images').iterdir())[:20]): shutil.copy(f, here/'images'/f'{i:02}.jpg')
    (here/'images'/'05.jpg').write_bytes(b'no photo')
    seen, call = [], Predictor.__call__
    def spy(self, photos):
        seen.append((len(photos), *map(len, map(str.splitlines, capsys.readouterr()))))
        return call(self, photos)
    monkeypatch.setattr(Predictor, '__init__', small_parts(Predictor.__init__))
    monkeypatch.setattr(Predictor, '__call__', spy)
    main_predict([str(report), 'images'])
    assert seen == [(7, 0, 0), (8, 8, 1), (4, 8, 0)]


def test_a_bar_on_a_terminal_only(report, drawn, here, capsys, monkeypatch):
    main_predict([str(report), str(drawn), '--out', 'a.csv'])
    assert capsys.readouterr().err == ''
    monkeypatch.setattr(sys.stderr, 'isatty', lambda: True)
    main_predict([str(report), str(drawn), '--out', 'b.csv'])
    assert '40/40' in capsys.readouterr().err


def test_a_breed_named_unsure_counts_as_any_other():
    "Without --unsure, which is refused for such a model, it is an answer"
    counts = Counter({('pug', 'pug'): 24, ('unsure', 'unsure'): 14, ('pug', 'unsure'): 4})
    lines = label_lines(counts, ['pug', 'unsure'])
    assert lines[0].startswith('right: 38 of 42 photos, 90.5%') and lines[1:] == ['pug taken for unsure: 4']
    assert label_lines(counts, ['pug'])[:2] == [label_lines(Counter({('pug', 'pug'): 24}), ['pug'])[0], 'unsure: 4 of 28 photos']


def test_breeds_that_differ_in_case_alone_are_not_told_apart_by_labels(report, drawn, monkeypatch):
    init = Predictor.__init__
    def renamed(self, *args):
        init(self, *args)
        self.vocab = ['Pug', 'Sphynx', 'pug', 'samoyed']
    monkeypatch.setattr(Predictor, '__init__', renamed)
    with pytest.raises(ValueError, match="the breeds 'Pug' and 'pug', .*rename one breed"): predict_pets(report, drawn, labels='name')
    assert len(predict_pets(report, drawn)[0]) == 40


def test_breeds_that_another_pipeline_spelled(report, drawn, here, monkeypatch, capsys):
    "An accent of its own, two blanks, a blank at the end: labels are tidied, and the answers right all the same"
    names = dict(zip(BREEDS, ['cafe\u0301', 'Great  Dane', 'pug ', 'samoyed']))
    def renamed(self, *args, init=Predictor.__init__):
        init(self, *args)
        self.vocab = list(names.values())
    for f in (drawn/'images').iterdir():
        (place := here/'pets'/names[name_label(f)]).mkdir(parents=True, exist_ok=True)
        shutil.copy(f, place)
    want = (predict_pets(report, drawn, labels='name')[0].pipe(lambda t: t.label == t.breed)).sum()
    monkeypatch.setattr(Predictor, '__init__', renamed)
    _, err = told(capsys, report, 'pets', '--labels', 'folder')
    assert err[0].startswith(f'right: {want} of 40 photos') and 'not counted' not in ' '.join(err)


def test_two_folders_that_give_a_photo_two_labels(report, drawn, here, capsys):
    shutil.copytree(drawn/'images', 'pets/dogs/pug')
    refused(capsys, [report, 'pets', 'pets/dogs', '--labels', 're:^([^/]+)/'], 'two labels, dogs and pug', 'give one folder')
    assert set(predict_pets(report, ['pets', 'pets/dogs'], labels='folder')[0].label) == {'pug'}


def test_lines_that_windows_wrote_and_names_that_begin_with_a_tilde(report, drawn, here, capsys, monkeypatch):
    "Between zero bytes nothing is dropped, not even a return"
    monkeypatch.setenv('HOME', str(here/'home'))
    names = ['a.jpg', '~b.jpg', '~nobody', 'home/c.jpg', 'd.jpg\r']
    (here/'home').mkdir()
    for name in names: shutil.copy(drawn/'images'/'pug_1.jpg', name)
    for text, n in (('\r\n'.join(['a.jpg', '~b.jpg', '~nobody', '~/c.jpg\r\n']), 4), ('\0'.join(names), 5)):
        monkeypatch.setattr(sys, 'stdin', io.TextIOWrapper(io.BytesIO(text.encode())))
        main_predict([str(report), '-', '--format', 'json'])
        files = [row['file'].removeprefix(f'{here}/') for row in json.loads(capsys.readouterr().out)]
        assert files == names[:n]
    monkeypatch.setattr(sys, 'stdin', io.TextIOWrapper(io.BytesIO(b'a.jpg\0b.jpg\r')))
    refused(capsys, [report, '-'], 'no such photo')


@pytest.mark.parametrize('presize', ['composed', 'stock'])
def test_a_turned_photo_gets_one_answer_in_every_form(presize, drawn, tmp_path):
    "As a file, as bytes and as an image, by the command and by a Learner; only 'stock' leaves it as it lies, as it did in validation"
    learn = make_learner(pets_dls(drawn, bs=8, size=64, item=80, presize=presize, seed=1))
    model = save_model(learn, tmp_path/'model')
    plain, answer = Image.open(drawn/'images'/'pug_1.jpg').resize((330, 220)), answerer(model)
    photos = []
    for turn in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = turn
        plain.save(photo := tmp_path/f'{turn}.png', exif=exif)
        photos.append(photo)
    for photo in photos:
        forms = [photo, photo.read_bytes(), Image.open(photo)]
        probs = predict_pets(model, forms, top=0)[0].iloc[:, 3:].to_numpy(float)
        assert (probs == probs[0]).all(), photo
        np.testing.assert_allclose(list(answer(forms[1])[1].values()), probs[0], atol=1e-6)
        again = report_learner(model)
        with again.no_bar():
            for form in (photo, forms[1]): np.testing.assert_allclose(again.predict(form)[2], probs[0], atol=1e-6)
            np.testing.assert_allclose(learn.get_preds(dl=learn.dls.test_dl([photo]))[0][0], probs[0], atol=1e-6)
    assert (predict_pets(model, photos)[0].prob.nunique() == 1) == (presize == 'stock')


def test_the_least_side_is_the_same_in_a_file_and_in_memory(report, drawn, here):
    "As bytes, as an image, as an array, and in a folder; also where a larger photo is halved"
    Path('new').mkdir()
    for side in (31, 32): Image.open(drawn/'images'/'pug_1.jpg').resize((side, 2000)).save(f'new/{side}.png')
    small, large = (Path(f'new/{side}.png') for side in (31, 32))
    def forms(file): return [file, file.read_bytes(), Image.open(file), np.array(Image.open(file))]
    good, bad = predict_pets(report, ['new', *forms(small), *forms(large)])
    assert len(good) == 5 and good.prob.nunique() == 1
    assert list(map(str, bad.file)) == [str(small), 'photo 3', 'photo 4', 'photo 5'] and set(bad.problem) == {'too small'}
    assert bad.detail.str.endswith('31 x 2000 pixels is too small: expected 32 or more each way').all()
