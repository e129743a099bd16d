#!/usr/bin/env python3
"""Set up pet_breeds in the folder .venv beside this file, and use it. Each step is printed before it runs.

    python3 start.py         install the package, train a classifier on drawn pets, say where its report is
    python3 start.py test    install what the course needs, too; run every notebook and every test
    python3 start.py lab     the same install; open the course in JupyterLab, or another folder of
                             lessons: python3 start.py lab exercises

It needs Python 3.10 to 3.13 and nothing else, on Linux and macOS; on Windows, type it in WSL. It is safe to repeat: what is installed
stays, and a report replaces only an earlier report. In an environment of your own, run `pip install -e .` (or
`pip install -e '.[dev]'` for the course) and then the commands that are printed here.
"""
import os
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent
VENV = HERE/'.venv'
BIN = VENV/'bin'
JOBS = {'run': [['pet_breeds']],
        'test': [['nbdev_test', '--n_workers', '2'], ['pytest', '-n', '2', '--dist', 'loadfile']],
        'lab': [['jupyter', 'lab', '--ServerApp.root_dir=.', 'nbs/index.ipynb']]}
NO_VENV = ('This Python has no venv. On Debian or Ubuntu install it with: sudo apt-get install python3-venv; '
           'elsewhere, install Python from python.org. Then run this again.')


def step(command, **env):
    "Print a command, then run it in this folder. Raises CalledProcessError if it fails"
    shown = [os.path.relpath(command[0], HERE) if Path(command[0]).is_relative_to(VENV) else command[0], *command[1:]]
    print('$', *[f'{name}={value}' for name, value in env.items()], shlex.join(shown), flush=True)
    path = os.pathsep.join([str(BIN), os.environ.get('PATH', '')])
    subprocess.run(command, cwd=HERE, env={**os.environ, 'PATH': path, **env}, check=True)


def install(extra):
    "Make .venv and install the package, with the extra 'dev' or without. Does nothing if that was done before"
    done, wanted = VENV/f'installed{extra}.txt', (HERE/'settings.ini').read_text(encoding='utf-8')
    if done.exists() and done.read_text(encoding='utf-8') == wanted: return
    if not (find_spec('venv') and find_spec('ensurepip')): sys.exit(NO_VENV)
    step([sys.executable, '-m', 'venv', VENV.name])
    step([str(BIN/'python'), '-m', 'pip', 'install', '-e', f'.{extra}'])
    done.write_text(wanted, encoding='utf-8')


def opened(folder):
    "The steps that open a folder of lessons, such as a student's; ends with one line if it has no contents"
    place = Path(folder).expanduser().resolve()
    if not (place/'index.ipynb').is_file(): sys.exit(f'{folder}: expected a folder of lessons, with index.ipynb in it')
    return [['jupyter', 'lab', f'--ServerApp.root_dir={place}', 'index.ipynb']]


def main(words):
    "Install, then do one job; the exit status is that of the first step that fails"
    job, *more = words or ['run']
    if job not in JOBS or len(more) > (job == 'lab'): sys.exit(__doc__)
    if os.name == 'nt': sys.exit('pet_breeds needs Linux or macOS. On Windows, run it in WSL: type wsl --install, and start there.')
    steps = opened(more[0]) if more else JOBS[job]
    if sys.version_info < (3, 10): sys.exit(f'pet_breeds needs Python 3.10 or later; this is {sys.version.split()[0]}.')
    try:
        install('' if job == 'run' else '[dev]')
        for name, *rest in steps: step([str(BIN/name), *rest], **({'OMP_NUM_THREADS': '1'} if job == 'test' else {}))
    except subprocess.CalledProcessError as e: sys.exit(e.returncode if e.returncode > 0 else 1)
    except KeyboardInterrupt: sys.exit(130)


if __name__ == '__main__': main(sys.argv[1:])
