"The rules that read a label, on what real folders and tables hold."
import os
import subprocess
import sys

import pandas as pd
import pytest

from pet_breeds.labels import folder_label, name_label, photo_suffixes, table_labels, try_regex


@pytest.fixture
def photos(tmp_path):
    for f in ['images/a.jpg', 'images/b.jpg', 'images/c.JPG']:
        (tmp_path/f).parent.mkdir(exist_ok=True)
        (tmp_path/f).touch()
    return tmp_path


def csv(photos, text, name='t.csv', encoding='utf-8'):
    (photos/name).write_bytes(text.encode(encoding))
    return photos/name


good = 'file,label\nimages/a.jpg,pug\nimages/b.jpg,beagle\n'


@pytest.mark.parametrize('name, want', [
    ('great_pyrenees_173.jpg', 'great_pyrenees'), ('Birman_1.JPG', 'Birman'), ('pug_7.jpeg', 'pug'), ('pug_7.PnG', 'pug'), ('pug_7.webp', 'pug'),
    ('/x/images_1.jpg/st. bernard_08.jpg', 'st. bernard'), ('a_1_2.jpg', 'a_1'), ('シバ_3.jpg', 'シバ')])
def test_name_label(name, want): assert name_label(name) == want


@pytest.mark.parametrize('name', ['pug.jpg', 'pug_.jpg', '_7.jpg', 'pug_7', 'pug_7.mat', 'pug_7xjpg', 'pug_7.jpg.part', 'pug_7 (1).jpg', 'pug7.jpg', 'pug_7.jpg\n', ''])
def test_name_label_refuses_and_names_the_file(name):
    with pytest.raises(ValueError, match='breed_number.jpg') as e: name_label('some/folder_1.jpg/'+name if name else name)
    assert repr(name) in str(e.value)


def test_every_photo_suffix_is_accepted_in_any_case():
    for s in photo_suffixes: assert name_label('pug_1'+s) == name_label('pug_1'+s.upper()) == 'pug'


def test_folder_label():
    assert folder_label('a/beagle/1.jpg') == 'beagle'
    for bad in ('1.jpg', '../1.jpg', '/1.jpg'):
        with pytest.raises(ValueError, match='1.jpg'): folder_label(bad)


def test_a_table_from_csv_and_from_a_frame(photos):
    t = table_labels(csv(photos, good))
    assert t.columns.tolist() == ['file', 'label'] and t.label.tolist() == ['pug', 'beagle']
    assert t.file.tolist() == [photos/'images/a.jpg', photos/'images/b.jpg']
    assert table_labels(pd.read_csv(photos/'t.csv'), photos).equals(t)


def test_a_frame_starts_in_the_current_folder(photos, monkeypatch):
    monkeypatch.chdir(photos)
    assert [str(f) for f in table_labels(pd.DataFrame(dict(image=['images/a.jpg'], breed=['pug']))).file] == [os.path.join('images', 'a.jpg')]


@pytest.mark.parametrize('text', [
    '\ufeff'+good, good.replace('\n', '\r\n'), good.replace('file,label', ' File , Breed '), good.replace('/', '\\'), good+'\n,\n', good+'images/a.jpg,pug\n',
    'label,name\npug,images/a.jpg\nbeagle , images/b.jpg\n', 'id,image,class\n1,images/a.jpg,pug\n2,./images/b.jpg,beagle\n'])
def test_tables_as_people_write_them(photos, text):
    t = table_labels(csv(photos, text))
    assert t.label.tolist() == ['pug', 'beagle'] and [f.name for f in t.file] == ['a.jpg', 'b.jpg']


def test_labels_stay_text(photos):
    assert table_labels(csv(photos, 'file,label\nimages/a.jpg,007\nimages/b.jpg,NA\n')).label.tolist() == ['007', 'NA']
    assert table_labels(pd.DataFrame(dict(file=['images/a.jpg'], label=[3])), photos).label.tolist() == ['3']


def test_an_absolute_path_inside_the_root_is_fine(photos):
    assert table_labels(csv(photos, 'file,label\n'+str(photos/'images/a.jpg')+',pug\n')).file[0] == photos/'images/a.jpg'


@pytest.mark.parametrize('text, says', [
    (good.replace('label', 'what'), r"label: found \['file', 'what'\], expected label or breed"),
    (good.replace('file', 'what'), r"photo: found \['what', 'label'\], expected file or"),
    (good.replace(',', ';'), r"found \['file;label'\]"),
    ('file,label\nimages/a.jpg,pug\n\nimages/b.jpg, \nimages/c.JPG\n', r"2 of 3 rows have no label in column 'label', the first is row 4"),
    ('file,label\n,pug\n', "1 of 1 rows have no photo in column 'file', the first is row 2"),
    (good+'images/a.jpg,beagle\n', "'a.jpg' has more than one label: pug, beagle"),
    (good+'images/../images/a.jpg,beagle\n', "'a.jpg' has more than one label"),
    (good+'../x.jpg,beagle\n', r"'../x.jpg' lies outside"),
    (good+'..\\x.jpg,beagle\n', "lies outside"),
    (good+'/etc/x.jpg,beagle\n', "'/etc/x.jpg' lies outside"),
    ('file,label\n', 'no rows'), ('', 'cannot read'), ('file,label\nimages/a.jpg,pug, small\n', 'cannot read'), (good+'images/c.JPG,pug, small\n', 'cannot read'), ('file,label\n"a,b\n', 'cannot read')])
def test_what_is_wrong_with_a_table(photos, text, says):
    with pytest.raises(ValueError, match=says) as e: table_labels(csv(photos, text))
    assert '\n' not in str(e.value)


def test_a_table_in_another_encoding(photos):
    with pytest.raises(ValueError, match='UTF-8'): table_labels(csv(photos, good.replace('pug', 'küvasz'), encoding='cp1252'))


def test_missing_photos_are_counted_and_three_are_named(photos):
    with pytest.raises(FileNotFoundError, match='4 of 6 photos') as e:
        table_labels(csv(photos, good+''.join(f'images/x{i}.jpg,pug\n' for i in range(4))))
    assert all(f'x{i}.jpg' in str(e.value) for i in range(3)) and 'x3.jpg' not in str(e.value)


def test_no_such_table(photos):
    for path in (photos/'none.csv', photos):
        with pytest.raises(FileNotFoundError, match='no table'): table_labels(path)


def test_columns_can_be_given(photos):
    text = 'what,which,label\nimages/a.jpg,pug,x\nimages/b.jpg,beagle,y\n'
    assert table_labels(csv(photos, text), file_col='what', label_col='which').label.tolist() == ['pug', 'beagle']
    with pytest.raises(ValueError, match="expected 'none'"): table_labels(photos/'t.csv', file_col='none')


def test_try_regex_tells_apart_the_ways_to_be_wrong():
    cases = {'pug_7.jpg': 'pug', 'x': None}
    verdicts = lambda p: try_regex(p, cases).verdict.tolist()
    assert verdicts(r'(.+)_\d') == ['right', 'right']
    assert verdicts(r'(.+)') == ['too much', 'should be refused']
    assert verdicts(r'(.)_\d') == ['too little', 'right']
    assert verdicts(r'(\d)') == ['something else', 'right']
    assert verdicts(r'(z)') == ['not found', 'right']
    assert verdicts(r'(a)?pug') == ['not found', 'right']
    for bad in ('(', 'pug'):
        with pytest.raises(ValueError): try_regex(bad, cases)


def test_fastai_is_not_loaded():
    code = "import sys, pet_breeds.labels; sys.exit('fastai' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, '-c', code]).returncode == 0
