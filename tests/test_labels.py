"The rules that read a label, on what real folders and tables hold."
import os
import subprocess
import sys
import warnings
from collections import Counter

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pet_breeds import tables
from pet_breeds.labels import folder_label, label_or_none, name_label, regex_label, try_regex
from pet_breeds.tables import one_spelling, photo_suffixes, table_labels, tidy_label


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
    ('great_pyrenees_173.jpg', 'great_pyrenees'), ('Birman_1.JPG', 'Birman'),
    ('pug_7.jpeg', 'pug'), ('pug_7.PnG', 'pug'), ('pug_7.webp', 'pug'),
    ('/x/images_1.jpg/st. bernard_08.jpg', 'st. bernard'), ('a_1_2.jpg', 'a_1'), ('シバ_3.jpg', 'シバ')])
def test_name_label(name, want): assert name_label(name) == want


@pytest.mark.parametrize('name', [
    'pug.jpg', 'pug_.jpg', '_7.jpg', 'pug_7', 'pug_7.mat', 'pug_7xjpg', 'pug_7.jpg.part', 'pug_7 (1).jpg', 'pug7.jpg',
    'pug_7.jpg\n', '\x1b[31m.jpg', '\u202egpj.gup', '', ' _7.jpg', '\u200b_7.jpg'])
def test_name_label_refuses_and_names_the_file(name):
    with pytest.raises(ValueError, match=': expected breed_number.jpg') as e:
        name_label(f'some/folder_1.jpg/{name}' if name else name)
    assert repr(name) in str(e.value) and str(e.value).isprintable()


@pytest.mark.parametrize('rule', [name_label, folder_label])
def test_a_long_name_is_cut(rule):
    with pytest.raises(ValueError, match=r'xxx\.\.\.: expected') as e: rule('x'*10**5)
    assert len(str(e.value)) < 400


def test_every_photo_suffix_is_accepted_in_any_case():
    for s in photo_suffixes: assert name_label('pug_1'+s) == name_label('pug_1'+s.upper()) == 'pug'


def test_folder_label():
    assert folder_label('a/beagle/1.jpg') == 'beagle'
    for bad in ('1.jpg', '../1.jpg', '/1.jpg', 'pets/ /1.jpg', 'pets/\u200b/1.jpg'):
        with pytest.raises(ValueError, match=': expected breed/photo.jpg') as e: folder_label(bad)
        assert repr(bad) in str(e.value)


def test_a_table_from_csv_and_from_a_frame(photos):
    t = table_labels(csv(photos, good))
    assert t.columns.tolist() == ['file', 'label'] and t.label.tolist() == ['pug', 'beagle']
    assert t.file.tolist() == [photos/'images/a.jpg', photos/'images/b.jpg']
    assert table_labels(pd.read_csv(photos/'t.csv'), photos).equals(t)


def test_a_frame_starts_in_the_current_folder(photos, monkeypatch):
    monkeypatch.chdir(photos)
    t = table_labels(pd.DataFrame(dict(image=['images/a.jpg'], breed=['pug'])))
    assert [str(f) for f in t.file] == [os.path.join('images', 'a.jpg')]


def test_a_table_at_home(photos, monkeypatch):
    monkeypatch.setenv('HOME', str(photos))
    csv(photos, good)
    assert table_labels('~/t.csv').file.tolist() == [photos/'images/a.jpg', photos/'images/b.jpg']
    for path, says in {'': 'table: expected a path', '~nobody-at-all/t.csv': 'there is no such user'}.items():
        with pytest.raises(ValueError, match=says): table_labels(path)


@pytest.mark.parametrize('text', [
    '\ufeff'+good, good.replace('\n', '\r\n'), good.replace('file,label', ' File , Breed '), good.replace('/', '\\'),
    good+'\n,\n', good+'images/a.jpg,pug\n', 'label,name\npug,images/a.jpg\nbeagle , images/b.jpg\n',
    'id,image,class\n1,images/a.jpg,pug\n2,./images/b.jpg,beagle\n'])
def test_tables_as_people_write_them(photos, text):
    t = table_labels(csv(photos, text))
    assert t.label.tolist() == ['pug', 'beagle'] and [f.name for f in t.file] == ['a.jpg', 'b.jpg']


def test_labels_stay_text(photos):
    for other in ('NA', '08'):
        text = f'file,label\nimages/a.jpg,007\nimages/b.jpg,{other}\n'
        assert table_labels(csv(photos, text)).label.tolist() == ['007', other]
    assert table_labels(pd.DataFrame(dict(file=['images/a.jpg'], label=[3])), photos).label.tolist() == ['3']


def test_out_and_back_into_the_root_is_fine(photos):
    text = f'file,label\n../{photos.name}/images/a.jpg,pug\n'
    assert table_labels(csv(photos, text)).file[0] == photos/'images/a.jpg'


def test_labels_stay_text_in_a_long_table(tmp_path):
    "pandas guesses kinds half a million rows at a time, if it may"
    (tmp_path/'t.csv').write_text('file,label\n' + 'a,007\n'*600_000)
    assert set(tables.read_table(tmp_path/'t.csv').iloc[:, 1]) == {'007'}


def test_an_absolute_path_inside_the_root_is_fine(photos):
    text = f"file,label\n{photos/'images/a.jpg'},pug\n"
    assert table_labels(csv(photos, text)).file[0] == photos/'images/a.jpg'


@pytest.mark.parametrize('text, says', [
    (good.replace('label', 'what'), r"label: found \['file', 'what'\], expected label or breed"),
    (good.replace('file', 'what'), r"photo: found \['what', 'label'\], expected file or"),
    ('file,label\nimages/a.jpg,pug\n\nimages/b.jpg, \nimages/c.JPG\n',
     "2 of 3 rows have no label in column 'label', the first is row 4"),
    ('file,label\n,pug\n', "1 of 1 rows have no photo in column 'file', the first is row 2"),
    (good+'images/a.jpg,beagle\n', "'a.jpg' has more than one label: pug, beagle"),
    (good+'images/b.jpg,pug\nimages/a.jpg,beagle\n', "'a.jpg' has more than one label: pug, beagle"),
    (good+'images/../images/a.jpg,beagle\n', "'a.jpg' has more than one label"),
    ('file,label,is_valid\nimages/a.jpg,pug,0\nimages/a.jpg,pug,1\n', "'a.jpg' has more than one split: train, valid; keep one row"),
    ('file,label,group\nimages/a.jpg,pug,1\nimages/b.jpg,pug,1\nimages/a.jpg,pug,2\n', "'a.jpg' has more than one group: 1, 2; keep one row"),
    (good+'../x.jpg,beagle\n', r"'../x.jpg' lies outside .*: photos in a table"),
    (good+'..\\x.jpg,beagle\n', "lies outside"),
    (good+'/etc/x.jpg,beagle\n', "'/etc/x.jpg' lies outside"),
    ('file,label\n', '^the table has no rows'), ('', 'cannot read'), ('file,label\n"a,b\n', 'cannot read'),
    ('file,label\nimages/a.jpg,pug, small\n', 'cannot read'),
    (good+'images/c.JPG,pug, small\n', r'cannot read .*line 4.*: save it as CSV')])
def test_what_is_wrong_with_a_table(photos, text, says):
    with pytest.raises(ValueError, match=says) as e: table_labels(csv(photos, text))
    assert '\n' not in str(e.value)


def test_a_table_in_another_encoding(photos):
    table = csv(photos, good.replace('pug', 'küvasz'), encoding='cp1252')
    with pytest.raises(ValueError, match='UTF-8') as e: table_labels(table)
    assert repr(str(photos/'t.csv')) in str(e.value)


def test_a_gap_in_a_frame_is_found(photos):
    for gap in (None, float('nan'), pd.NA, ' '):
        with pytest.raises(ValueError, match="1 of 2 rows have no label in column 'label', the first is row 1"):
            table_labels(pd.DataFrame(dict(file=['images/a.jpg', 'images/b.jpg'], label=['pug', gap])), photos)


def test_a_row_that_is_there_twice_counts_once(photos):
    t = table_labels(csv(photos, 'file,label\nimages/a.jpg,pug\nimages/a.jpg,pug\nimages/b.jpg,beagle\n'))
    assert t.index.tolist() == [0, 1] and t.label.tolist() == ['pug', 'beagle']


def test_a_warning_about_something_else_does_not_refuse_a_table(photos, monkeypatch):
    read = pd.read_csv
    def deprecated(*args, **kwargs):
        warnings.warn('an argument will change', FutureWarning)
        return read(*args, **kwargs)
    monkeypatch.setattr(pd, 'read_csv', deprecated)
    with pytest.warns(FutureWarning): assert len(table_labels(csv(photos, good))) == 2


def test_missing_photos_are_counted_and_three_are_named(photos):
    with pytest.raises(FileNotFoundError, match='4 of 6 photos') as e:
        table_labels(csv(photos, good+''.join(f'images/x{i}.jpg,pug\n' for i in range(4))))
    three = ', '.join(os.path.join('images', f'x{i}.jpg') for i in range(3))
    assert str(e.value).endswith(f'under {str(photos)!r}: {three}')


BAD = {
    'UTF-16': (good.encode('utf-16'), 'cannot read .*UTF-8'),
    'UTF-16 without its mark': (good.encode('utf-16-le'), 'cannot read .*zero bytes'),
    'UTF-32': (good.encode('utf-32'), 'cannot read .*UTF-8'),
    'cp1252': ('file,label\nimages/a.jpg,küvasz\n'.encode('cp1252'), 'cannot read .*UTF-8'),
    'two columns label': (b'file,label,label\nimages/a.jpg,pug,beagle\n', "2 columns 'label' for the label: keep one"),
    'two columns Label': (b'file,label,Label \nimages/a.jpg,pug,beagle\n', "2 columns 'label'"),
    'two columns file': (b'file,File,label\nimages/a.jpg,images/b.jpg,pug\n', "2 columns 'file' for the photo"),
    'columns without names': (b',\nimages/a.jpg,pug\n', r"no column for the photo: found \['', ''\]"),
    'no header': (b'images/a.jpg,pug\nimages/b.jpg,beagle\n', r"found \['images/a.jpg', 'pug'\], expected file or"),
    'a thousand columns': (','.join(f'column_{i}' for i in range(1000)).encode(),
                           r"found .*column_9.*\.\.\., expected file or"),
    'only a header': (b'file,label', '^the table has no rows'),
    'only commas below': (b'file,label\n,\n,\n', '^the table has no rows'),
    'empty': (b'', 'cannot read'), 'only a mark': (b'\xef\xbb\xbf', 'cannot read'),
    'blank lines': (b'\n\n\n', 'cannot read|no column'),
    'a photo': (b'\x89PNG\r\n\x1a\n'+bytes(range(256))*9, 'cannot read|no column'),
    'an archive': (b'PK\3\4'+bytes(500), 'cannot read|no column'),
    'NUL in a path': (b'file,label\nimages/a.jpg\0,pug\nimages/b.jpg,pug\n', 'cannot read .*zero bytes'),
    'only NUL': (bytes(10_000), 'cannot read|no column'),
    'an enormous header': (b'x'*10**7, r'found .*x\.\.\., expected file or'),
    'an enormous path': (good.encode()+b'x'*10**7+b',pug\n', r'1 of 3 photos .*x\.\.\.$'),
    'an enormous way out': (good.encode()+b'../'*10**6+b'x.jpg,pug\n', r"'\.\./.*\.\.\. lies outside"),
    'an open quote': (good.encode()+b'"images/c.JPG,pug\n'+b'x,y\n'*1000, 'cannot read'),
    'a path over two lines': (b'file,label\n"images/\nc.jpg",pug\n', '1 of 1 photos .*images/ c.jpg$'),
    'a thousand labels': (('file,label\n'+''.join(f'images/a.jpg,breed {i}\n' for i in range(1000))).encode(),
                          r"'a.jpg' has more than one label: breed 0, breed 1.*\.\.\.; keep one"),
    'a web address': (b'file,label\nhttps://example.org/a.jpg,pug\n', '1 of 1 photos'),
    'a folder': (b'file,label\nimages,pug\n', '1 of 1 photos'), 'the root': (b'file,label\n.,pug\n', '1 of 1 photos'),
    'a pipe': (b'file,label\npipe.jpg,pug\n', '1 of 1 photos'),
    'a link to nowhere': (b'file,label\nnowhere.jpg,pug\n', '1 of 1 photos'),
    'a way out and an absolute one': (b'file,label\nimages/../../x.jpg,pug\n/etc/passwd,pug\n',
                                      "'images/../../x.jpg' lies outside"),
    'a drive': (b'file,label\nC:\\pets\\a.jpg,pug\n', '1 of 1 photos|lies outside'),
    'escape codes in the header': (b'file,\x1b]52;c;aGk=\x07\nimages/a.jpg,pug\n',
                                   r"found \['file,\\x1b\]52', 'c', 'aGk=\\x07'\]"),
    'escape codes in a path': (b'file,label\n\x1b[31mx.jpg,pug\n', r'1 of 1 photos .*: \\x1b\[31mx.jpg$'),
    'escape codes on a way out': (b'file,label\n../\x1b[31mx.jpg,pug\n', r"'\.\./\\x1b\[31mx.jpg' lies outside"),
    'escape codes in labels': (b'file,label\nimages/a.jpg,pug\nimages/a.jpg,\x1b[2J\n', r'one label: pug, \\x1b\[2J;'),
    'a label that turns the text': ('file,label\nimages/a.jpg,pug\nimages/a.jpg,\u202egup\n'.encode(),
                                    'one label: pug, gup;'),
    'escape codes in a row that is too long': (b'file,label\nimages/a.jpg,\x1b[2J,x\n', 'cannot read'),
}


@pytest.mark.parametrize('name', BAD)
def test_a_bad_table_is_refused_in_a_line(name, photos):
    data, says = BAD[name]
    os.mkfifo(photos/'pipe.jpg')
    (photos/'nowhere.jpg').symlink_to('none')
    (photos/'t.csv').write_bytes(data)
    with pytest.raises((ValueError, FileNotFoundError), match=says) as e: table_labels(photos/'t.csv')
    assert str(e.value).isprintable() and len(str(e.value)) < 800+len(str(photos))*2


@pytest.mark.parametrize('name, data, labels', [
    ('line ends of three kinds', b'file,label\r\nimages/a.jpg,pug\rimages/b.jpg,beagle\nimages/c.JPG,pug',
     ['pug', 'beagle', 'pug']),
    ('a line end in a label', b'file,label\nimages/a.jpg,"great\npyrenees"\nimages/b.jpg,beagle\n',
     ['great pyrenees', 'beagle']),
    ('quotes and commas', b'file,label\n"images/a.jpg","pug, ""small"""\n', ['pug, "small"']),
    ('what looks like a gap', b'file,label\nimages/a.jpg,NaN\nimages/b.jpg,null\nimages/c.JPG,None\n',
     ['NaN', 'null', 'None']),
    ('what looks like numbers', b'file,label\nimages/a.jpg,1e3\nimages/b.jpg,0x1F\nimages/c.JPG,1_000\n',
     ['1e3', '0x1F', '1_000']),
    ('two accents', 'file,label\nimages/a.jpg,e\u0301\nimages/b.jpg,é\n'.encode(), ['é', 'é']),
    ('a line of Excel that names the separator', b'\xef\xbb\xbfsep=;\r\nfile;label\r\nimages/a.jpg;pug, small\r\nimages/b.jpg;beagle\r\n',
     ['pug, small', 'beagle']),
    ('a separator that is not the most frequent', b'SEP=|\nfile|label\nimages/a.jpg|"a, b; c, d|e"\n', ['a, b; c, d|e']),
    ('a separator that is a tab', b'sep=\t\nfile\tlabel\nimages/a.jpg\tpug\n', ['pug']),
    ('blanks before quotes', b'file, label\nimages/a.jpg, "pug"\nimages/b.jpg, "a, b"\n "images/c.JPG",  beagle\n', ['pug', 'a, b', 'beagle']),
    ('formulas', b'file,label\nimages/a.jpg,=1+1\nimages/b.jpg,@x\n', ['=1+1', '@x']),
    ('one column twice, not asked for', b'file,label,x,x\nimages/a.jpg,pug,1,2\n', ['pug']),
    ('a short row', b'file,label,note\nimages/a.jpg,pug\n', ['pug']),
    ('out and in again', b'file,label\nimages/../images/./a.jpg,pug\n', ['pug']),
])
def test_an_odd_table_is_read_as_it_is(name, data, labels, photos):
    (photos/'t.csv').write_bytes(data)
    t = table_labels(photos/'t.csv')
    assert t.label.tolist() == labels and [f.name for f in t.file] == ['a.jpg', 'b.jpg', 'c.JPG'][:len(labels)]


def test_links_are_followed_but_not_out_of_the_root(photos, tmp_path_factory):
    other = tmp_path_factory.mktemp('other')
    (other/'d.jpg').touch()
    (photos/'disk').symlink_to(other)
    (photos/'images'/'d.jpg').symlink_to(other/'d.jpg')
    (other/'linked.csv').symlink_to(csv(photos, 'file,label\ndisk/d.jpg,pug\nimages/d.jpg,beagle\n'))
    assert table_labels(other/'linked.csv', photos).file.tolist() == [photos/'disk'/'d.jpg', photos/'images'/'d.jpg']
    outside = csv(photos, f'file,label\n{other}/d.jpg,pug\n')
    with pytest.raises(ValueError, match='lies outside'): table_labels(outside)


def test_two_columns_of_a_frame_with_one_name(photos):
    twice = pd.DataFrame([['images/a.jpg', 'pug', 'beagle']], columns=['file', 'label', 'label'])
    for given in (None, 'label'):
        with pytest.raises(ValueError, match="2 columns 'label'"): table_labels(twice, photos, label_col=given)


MILLION = """if True:
    import os, resource, sys, time
    from pathlib import Path
    from pet_breeds.tables import table_labels
    peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == 'darwin' else 2**10)
    before, start = peak(), time.time()
    try: table_labels('t.csv')
    except FileNotFoundError as e: print(e)
    print(round(peak()-before), round(time.time()-start))
    os.path.isfile = lambda f: True # a million files would take a minute to make
    start, table = time.time(), table_labels('t.csv')
    assert len(table) == 10**6 and table.file.iloc[-1] == Path('images/36/photo_999999.jpg')
    assert table.label.iloc[-1] == 'breed 36'
    print(round(peak()-before), round(time.time()-start))
"""


def test_a_million_rows(tmp_path):
    rows = (f'images/{i*37//10**6}/photo_{i}.jpg,breed {i*37//10**6}\n' for i in range(10**6))
    (tmp_path/'t.csv').write_text('file,label\n'+''.join(rows))
    done = subprocess.run([sys.executable, '-c', MILLION], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said, *figures = done.stdout.splitlines()
    three = ', '.join(f'images/0/photo_{i}.jpg' for i in range(3))
    assert said == f"1000000 of 1000000 photos in the table are missing under '.': {three}"
    for line in figures:
        megabytes, seconds = map(int, line.split())
        assert megabytes < 1200 and seconds < 120, line


def test_no_such_table(photos):
    for path in (photos/'none.csv', photos):
        with pytest.raises(FileNotFoundError, match=': expected a CSV file') as e: table_labels(path)
        assert f'no table {str(path)!r}' in str(e.value)


def test_columns_can_be_given(photos):
    text = 'what,which,label\nimages/a.jpg,pug,x\nimages/b.jpg,beagle,y\n'
    assert table_labels(csv(photos, text), file_col='what', label_col='which').label.tolist() == ['pug', 'beagle']
    upper = csv(photos, text.replace('which', 'Which'))
    assert table_labels(upper, file_col='what', label_col='Which').label.tolist() == ['pug', 'beagle']
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
    for bad, says in (('(', 'not a regular expression: .* position 0'), ('pug', 'put parentheses')):
        with pytest.raises(ValueError, match=says) as e: try_regex(bad, cases)
        assert str(e.value).startswith(repr(bad))


def test_try_regex_answers_with_a_row_for_each_text():
    t = try_regex(r'(.+)_\d', {'pug_7.jpg': 'pug', 'x': None})
    assert t.to_dict('records') == [dict(text='pug_7.jpg', want='pug', got='pug', verdict='right'),
                                    dict(text='x', want=None, got=None, verdict='right')]


def test_fastai_is_not_loaded():
    code = "import sys, pet_breeds.labels; sys.exit('fastai' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, '-c', code]).returncode == 0


# a table's own split, groups, separators and names without a suffix, together

WORDS = dict(is_valid=('false', 'True'), split=('train', 'valid'), fold=('1', '0'))


@pytest.mark.parametrize('suffix', [True, False])
@pytest.mark.parametrize('column', [None, *WORDS])
@pytest.mark.parametrize('sep', [',', ';', '\t', '|'])
@pytest.mark.parametrize('grouped', [False, True])
def test_tables_of_many_kinds(photos, sep, column, suffix, grouped):
    cells = dict(ID=['images/a.jpg', 'images/b.jpg'], Breed=['pug ', 'Beagle'])
    if not suffix: cells['ID'] = ['images/a', 'images/b']
    if column: cells[column] = WORDS[column]
    if grouped: cells['group'] = ['Rex', '']
    pd.DataFrame(cells).to_csv(photos/'t.csv', sep=sep, index=False)
    table = table_labels(photos/'t.csv')
    assert table.file.tolist() == [photos/'images/a.jpg', photos/'images/b.jpg'] and table.label.tolist() == ['pug', 'Beagle']
    assert list(table.columns[2:]) == ['group']*grouped + ['is_valid']*bool(column)
    if column: assert table.is_valid.tolist() == [False, True]
    if grouped: assert table.group[0] == 'rex' and table.group[1] not in ('', 'rex')


def test_photos_for_a_test_are_kept_apart(photos):
    rows = 'file,label,split\nimages/a.jpg,pug,train\nimages/b.jpg,beagle,test\nimages/c.JPG,pug,val\n'
    table = table_labels(csv(photos, rows))
    assert table.is_valid.tolist() == [False, True] and table.label.tolist() == ['pug', 'pug']
    assert table.attrs['test'] == dict(file=[photos/'images/b.jpg'], label=['beagle'])
    with pytest.raises(ValueError, match='expected some to train on'): table_labels(csv(photos, rows.replace('train', 'test')))
    with pytest.raises(ValueError, match="column 'split', row 2, holds 'early': expected train, valid or test"):
        table_labels(csv(photos, rows.replace('train', 'early')))


@pytest.mark.parametrize('cells, valid, test', [
    (['train', 'valid', 'Train'], [False, True, False], []), (['training', 'val', 'test'], [False, True], ['c.JPG']),
    (['10', '9', '10'], [False, True, False], []), ([1, 0., 2], [False, True, False], []),
    (['0', '1', ''], "holds ''", None), (['fold1', 'fold2', 'fold1'], "holds 'fold1'", None), (['0', 'train', '1'], "holds 'train'", None),
    (['-1', '0', '1'], "holds '-1'", None), ([0, 1, None], "holds ''", None), ([.5, 1, 2], "holds '0.5'", None)])
@pytest.mark.parametrize('form', ['csv', 'frame'])
def test_folds_are_numbers_or_parts(photos, cells, valid, test, form):
    rows = pd.DataFrame(dict(file=['images/a.jpg', 'images/b.jpg', 'images/c.JPG'], label=['pug', 'pug', 'fox'], Fold=cells, group=['x', 'y', 'z']))
    rows.to_csv(photos/'t.csv', index=False)
    source = photos/'t.csv' if form == 'csv' else rows
    if test is None:
        with pytest.raises(ValueError, match=f"column 'fold', row ., {valid}: expected train, valid or test, or a whole number"): table_labels(source, photos)
        return
    table = table_labels(source, photos)
    assert table.is_valid.tolist() == valid and [f.name for f in table.attrs['test']['file']] == test
    assert table.attrs['test'].get('group', []) == ['z']*len(test)


@pytest.mark.parametrize('names', [('is_valid', 'split'), ('split', 'Split '), ('fold', 'is_valid'), ('group', 'Group')])
def test_two_columns_for_one_thing_are_refused_by_name(photos, names):
    text = f'file,label,{names[0]},{names[1]}\nimages/a.jpg,pug,0,1\nimages/b.jpg,fox,1,0\n'
    with pytest.raises(ValueError, match=f"2 columns for the .*: '{names[0]}' and '{names[1]}'; keep one"): table_labels(csv(photos, text))


@pytest.mark.parametrize('numbers, labels', [
    ([1., 2], ['1', '2']), (pd.Series([1., 2], dtype=object), ['1', '2']), (pd.Categorical([1., 2]), ['1', '2']), ([7, 8], ['7', '8']),
    (pd.array([1., 2], dtype='Float64'), ['1', '2']), ([1.5, 2], ['1.5', '2.0']), (['1.0', '2'], ['1.0', '2']), ([float('inf'), 1], ['inf', '1.0'])], ids=str)
def test_whole_numbers_of_a_frame_are_labels_without_a_point(photos, numbers, labels):
    rows = pd.DataFrame(dict(file=['images/a.jpg', 'images/b.jpg'], label=numbers)).set_axis([3, 3])
    assert table_labels(rows, photos).label.tolist() == labels


def test_of_several_folders_the_one_with_most_photos_counts(photos):
    rows = 'file,label\na.jpg,pug\nb.jpg,beagle\nc.JPG,pug\nd.jpg,pug\n'
    with pytest.raises(FileNotFoundError, match='1 of 4 photos in the table are missing.*: d.jpg$'):
        table_labels(csv(photos, rows), [photos, photos/'images'])


# spellings

@pytest.mark.parametrize('text, label', [
    (' pug', 'pug'), ('pug ', 'pug'), ('\u200bpug', 'pug'), ('\ufeffpug\u200d', 'pug'), ('great\u00a0 dane', 'great dane'),
    ('Cafe\u0301', 'Caf\xe9'), ('\u0645\u06cc\u200c\u0634', '\u0645\u06cc\u200c\u0634'), (7, '7')])
def test_tidy_label(text, label): assert tidy_label(text) == tidy_label(tidy_label(text)) == label


@given(st.lists(st.sampled_from(['Pug', 'pug', 'PUG', 'beagle', 'Beagle', 'stra\xdfe', 'STRASSE']), min_size=1))
def test_one_spelling(labels):
    one = one_spelling(labels)
    assert [o.casefold() for o in one] == [l.casefold() for l in labels] and len(set(one)) == len({l.casefold() for l in labels})
    for o in set(one):
        counts = Counter(l for l in labels if l.casefold() == o.casefold())
        assert counts[o] == max(counts.values())


@pytest.mark.parametrize('pattern, file, label', [
    (r'^(.+)_\d+.jpg$', 'images/great_pyrenees_12.jpg', 'great_pyrenees'), (r'^([^/]+)/', 'beagle/indoor/7.jpg', 'beagle'),
    (r'^(.+?) \(\d+\)', 'beagle (3).jpg', 'beagle'), ('([a-z]*)', '7.jpg', None), (r'^(x)?.*', 'y.jpg', None), (r'^(\s)', ' 7.jpg', None)])
def test_a_rule_of_ones_own(pattern, file, label):
    if label: assert regex_label(pattern)(file) == label
    else:
        with pytest.raises(ValueError, match='finds nothing'): regex_label(pattern)(file)


def test_tables_of_a_report_are_labels_as_they_are(tmp_path):
    "Names and breeds that look like formulas are quoted there; in another table an apostrophe is one"
    names = ['-1.png', '@2.png', "'3.png", '4.png']
    for name in names: (tmp_path/name).write_bytes(b'x')
    table = pd.DataFrame(dict(file=names, label=['-x', '+y', "'z", "o'k"], digest='d'))
    (tmp_path/'predictions.csv').write_bytes(tables.csv_bytes(table))
    for labels in (tmp_path/'predictions.csv', table):
        t = table_labels(labels, tmp_path)
        assert t.label.tolist() == ['-x', '+y', "'z", "o'k"] and [f.name for f in t.file] == names
    assert table_labels(pd.DataFrame(dict(file=['4.png'], label=["'-x"])), tmp_path).label[0] == "'-x"


def test_a_rule_of_ones_own_may_find_nothing():
    rule = regex_label(r'^(\d+)_')
    with pytest.raises(ValueError) as said: rule('pets/beagle_7.jpg')
    assert repr(r'^(\d+)_') in str(said.value) and 'pets/beagle_7.jpg' in str(said.value)
    assert label_or_none(rule, '12_beagle.jpg') == '12' and label_or_none(rule, 'beagle_7.jpg') is None
    assert [label_or_none(lambda file: label, 'a.jpg') for label in (None, float('nan'), pd.NA, '', 7)] == [None, None, None, '', 7]
