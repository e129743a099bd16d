"The front page: in step with its notebook, its links alive, its commands the ones that CI runs."
import re

from readme import readme


def test_readme_is_built_from_index(root):
    assert (root/'README.md').read_text(encoding='utf-8') == readme(), 'run: python tests/readme.py'


def test_links_lead_somewhere(root):
    targets = re.findall(r'\]\(([^)#]+)', readme())
    local = [t for t in targets if not t.startswith('http')]
    assert local
    assert [t for t in local if not (root/t).exists()] == []


def test_three_one_line_commands(root):
    blocks = re.findall(r'```sh\n(.*?)```', readme(), re.S)
    run, test, lab = (b.strip() for b in blocks[:3])
    assert not any('\n' in line for line in (run, test, lab))
    assert run.endswith('.venv/bin/pet_breeds') and test.endswith('.venv/bin/pytest') and 'jupyter lab' in lab
