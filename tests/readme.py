"README.md from nbs/index.ipynb: `python tests/readme.py` writes it; tests/test_readme.py holds the two in step."
import re
from pathlib import Path

import nbformat

ROOT = Path(__file__).parent.parent
BANNER = '<!-- Made from nbs/index.ipynb by `python tests/readme.py`: edit the notebook. -->\n\n'


def _outputs(cell):
    "The text that a code cell shows"
    for out in cell.outputs:
        text = out.get('text') or out.get('data', {}).get('text/markdown') or out.get('data', {}).get('text/plain')
        if text: yield f'```\n{text.rstrip()}\n```' if 'text/markdown' not in out.get('data', {}) else text


def _cell_markdown(cell):
    if cell.cell_type == 'markdown': return cell.source
    if re.search(r'^#\|\s*(hide|export|default_exp)', cell.source, re.M): return ''
    return '\n\n'.join([f'```python\n{cell.source}\n```', *_outputs(cell)])


def readme(notebook=ROOT/'nbs'/'index.ipynb'):
    "The notebook's visible cells as Markdown, with paths as seen from the repo's root"
    parts = [_cell_markdown(c) for c in nbformat.read(notebook, 4).cells]
    text = '\n\n'.join(p for p in parts if p)
    text = re.sub(r'\]\(((?!https?:|#|\.\./)[^)]+\.ipynb)\)', r'](nbs/\1)', text)
    return BANNER + text.replace('](../', '](') + '\n'


if __name__ == '__main__': (ROOT/'README.md').write_text(readme(), encoding='utf-8')
