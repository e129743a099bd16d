"""The pictures that the project shows of itself: `python site/pictures.py` makes them, and tests/test_site.py compares them.

images/report.webp is the first screen of the page that `python3 start.py` leaves. It is made from the outcome of such a run in report.json;
`--report report` takes that of another run. looks.json keeps how the picture looks, and how the front page of the site does, on a screen and
on a telephone, by day and at night: the words and boxes of its parts and a hash of each picture, which hardly change with fonts and processors.
"""
import json
import shutil
import subprocess
import sys
from argparse import ArgumentParser
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from unittest.mock import patch
from urllib.parse import urlparse
from urllib.request import url2pathname

import numpy as np
import pandas as pd
from imagehash import hex_to_hash, phash
from PIL import Image

HERE = Path(__file__).parent
PICTURE, LOOKS, OUTCOME = HERE.parent/'images'/'report.webp', HERE/'looks.json', HERE/'report.json'
VIEWS = {'report': (900, 'light'), 'screen': (1200, 'light'), 'screen at night': (1200, 'dark'),
         'telephone': (420, 'light'), 'telephone at night': (420, 'dark')} # of the front page, but for the first
# what stands before the second heading, and the columns beside it
PARTS = '''() => {
  const top = document.querySelector('article h1, main > h1').parentElement, inner = e => e.parentElement.closest('section') !== top.closest('section')
  const parts = [...top.querySelectorAll('h1, h2, p, li, tr, pre, img, .track')].filter(e => !inner(e) && !e.parentElement.closest('li, tr'))
  return [...parts, ...document.querySelectorAll('.bd-sidebar')].map(e => {
    const box = e.getBoundingClientRect(), kind = e.matches('.track') ? 'scale' : e.tagName.toLowerCase()
    const words = kind === 'img' ? e.alt : e.matches('.bd-sidebar, .track') ? '' : e.innerText
    return {kind, words: words.replace(/\\s+/g, ' ').trim().slice(0, 80), box: [box.x, box.y + scrollY, box.width, box.height].map(Math.round),
            broken: kind === 'img' && !e.naturalWidth, cut: box.right > innerWidth + 1 || e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0}
  }).filter(part => part.words + part.kind !== 'p' && part.box[2] > 0 && part.box[3] > 0 && part.box[0] + part.box[2] > 0)
}'''


# A page and how it looks

def report_page(outcome=OUTCOME):
    "The first screen of a report as HTML, its photos drawn again"
    from pet_breeds import drawn, report, webpage
    def draw(file, side): return np.asarray(drawn.draw_pet(Path(file).stem.rpartition('_')[0], int(Path(file).stem.rpartition('_')[2])))
    kept = json.loads(outcome.read_text(encoding='utf-8'))
    tables = {name: pd.DataFrame(kept[name]) for name in ('predictions', 'epochs')}
    learn = SimpleNamespace(dls=SimpleNamespace(vocab=[]))
    findings = pd.DataFrame(columns=['file', 'problem', 'detail', 'usable'])
    run = SimpleNamespace(metrics=kept['metrics'], photos='drawn', findings=findings, learn=learn, folder='', earlier=None,
                          config=SimpleNamespace(labels='name'), fixes=[], **tables)
    with patch.object(webpage, 'read_photo', draw), patch.dict(report.SECTIONS, clear=True): return report.page(run)


def still(route):
    "Of a picture that moves, the first"
    file = BytesIO()
    try: Image.open(url2pathname(urlparse(route.request.url).path)).convert('RGB').save(file, 'png')
    except OSError: return route.abort()
    route.fulfill(body=file.getvalue(), content_type='image/png')


def taken(browser, address, view):
    "A picture of a page, and how it looks"
    width, scheme = VIEWS[view]
    page = browser.new_page(viewport=dict(width=width, height=1500), color_scheme=scheme, device_scale_factor=1.5 if view == 'report' else 1)
    page.route('**/verdicts.webp', still)
    page.goto(address, wait_until='networkidle')
    page.add_style_tag(content='* { transition: none !important }') # colors that are still on their way
    page.evaluate('new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))')
    page.evaluate('Promise.all([...document.images].map(image => image.decode().catch(() => null)))')
    parts = page.evaluate(PARTS)
    bottom = max(part['box'][1] + part['box'][3] for part in parts if part['kind'] != 'div') + 16
    shot = Image.open(BytesIO(page.screenshot(full_page=True, clip=dict(x=0, y=0, width=width, height=bottom)))).convert('RGB')
    page.close()
    return shot, with_pixels(shot, width, parts)


def with_pixels(shot, width, parts):
    "How a picture looks: its lightness, and of its parts the words and boxes; of a picture a hash, of text the contrast"
    gray, scale, found = shot.convert('L'), shot.width/width, []
    for part in parts:
        x, y, w, h = part['box']
        crop = gray.crop([round(side*scale) for side in (x, y, x+w, y+h)])
        low, high = crop.getextrema()
        found.append({**part, **({'hash': str(phash(crop))} if part['kind'] in ('img', 'scale') else {}), 'faint': high-low < 90})
    return dict(width=width, paper=int(np.median(gray)), parts=found)


def views(browser, site, report):
    "Each view's picture and how it looks; `report` is a file to write the page to"
    report.write_text(report_page(), encoding='utf-8')
    for view in VIEWS: yield view, *taken(browser, (report if view == 'report' else site/'index.html').as_uri(), view)


# What changed

FAULTS = {'broken': 'this picture cannot be shown', 'cut': 'it is cut off', 'faint': 'it can hardly be seen'}


def differences(kept, now):
    "What is wrong with a page, or differs from how it looked; empty for the same page in another font"
    def named(part): return part['kind'], part['words']
    found = [f'{fault}: {named(part)}' for part in now['parts'] for flag, fault in FAULTS.items() if part[flag]]
    before, after = ([named(part) for part in look['parts']] for look in (kept, now))
    if before != after:
        return [*found, *(f'gone: {part}' for part in before if part not in after), *(f'new: {part}' for part in after if part not in before)] or ['another order']
    if abs(kept['paper'] - now['paper']) > 40: found.append(f"another background: {now['paper']}, not {kept['paper']}")
    for old, new in zip(kept['parts'], now['parts']):
        (x, _, w, h), (x2, _, w2, h2) = old['box'], new['box']
        allowed = .03 if 'hash' in old else .1 # text is wider in another font
        if max(abs(x - x2), abs(w - w2)) > allowed*kept['width'] or abs(h - h2) > max(60, .5*h): found.append(f"moved: {named(old)} from {old['box']} to {new['box']}")
        if 'hash' in old and hex_to_hash(old['hash']) - hex_to_hash(new['hash']) > 12: found.append(f'another picture: {named(old)}')
    return found


# The files

def keep_outcome(report):
    "What the first screen of a report says, from the files that a run left"
    from bs4 import BeautifulSoup
    of_this_machine = 'command', 'why', 'seconds', 'training_seconds', 'images_per_second', 'versions', 'tables'
    metrics = {name: value for name, value in json.loads((report/'metrics.json').read_text(encoding='utf-8')).items() if name not in of_this_machine}
    predictions = pd.read_csv(report/'predictions.csv')[['file', 'label', 'predicted', 'prob_label', 'prob_1']]
    [rows] = [[[cell.get_text() for cell in row.find_all(['th', 'td'])] for row in table.find_all('tr')]
              for table in BeautifulSoup((report/'index.html').read_text(encoding='utf-8'), 'html.parser').find_all('table') if 'valid_loss' in table.get_text()]
    epochs = pd.DataFrame(rows[1:], columns=rows[0])[['train_loss', 'valid_loss']].astype(float)
    tables = {name: {column: table[column].tolist() for column in table} for name, table in dict(predictions=predictions, epochs=epochs).items()}
    OUTCOME.write_text(json.dumps(dict(metrics=metrics, **tables)) + '\n', encoding='utf-8')


def main():
    parser = ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--report', type=Path, help='a report that `python3 start.py` left, whose outcome is shown from now on')
    if report := parser.parse_args().report: keep_outcome(report)
    from playwright.sync_api import sync_playwright
    chromium = shutil.which('chromium') or shutil.which('google-chrome')
    with TemporaryDirectory() as folder, sync_playwright() as p, p.chromium.launch(executable_path=chromium, args=['--no-sandbox']) as browser:
        subprocess.run([sys.executable, str(HERE/'build.py'), '--out', f'{folder}/site'], check=True)
        taken = {view: rest for view, *rest in views(browser, Path(folder)/'site', Path(folder)/'report.html')}
    taken['report'][0].save(PICTURE, quality=70, method=6)
    looks = {view: look for view, (_, look) in taken.items()}
    if faults := {view: found for view, look in looks.items() if (found := differences(look, look))}: sys.exit(f'{faults}')
    LOOKS.write_text(json.dumps(looks, indent=1, ensure_ascii=False) + '\n', encoding='utf-8')


if __name__ == '__main__': main()
