"Build from settings.ini, the one place that holds this project's metadata."
import shlex
from configparser import ConfigParser
from pathlib import Path
from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

here = Path(__file__).parent
ini = ConfigParser(delimiters=['='])
ini.read(here/'settings.ini', encoding='utf-8')
cfg = ini['DEFAULT']
lib = cfg['lib_path']
measured = [*here.glob('nbs/results/*.json'), *(here/f'tests/bench/results/{name}.json' for name in ('loaders', 'presize', 'recipe', 'training'))]


class WithMeasured(build_py):
    "A wheel also holds the numbers that lessons draw, for readers who have no clone"
    def run(self):
        super().run()
        if self.editable_mode: return # the clone has them
        self.mkpath(f'{self.build_lib}/{lib}/measured')
        for file in measured: self.copy_file(str(file), f'{self.build_lib}/{lib}/measured/{file.name}')


setup(
    name=cfg['lib_name'], version=cfg['version'], description=cfg['description'], keywords=cfg['keywords'],
    author=cfg['author'], license='Apache-2.0', url=cfg['git_url'],
    long_description=(here/'README.md').read_text(encoding='utf-8'), long_description_content_type='text/markdown',
    # package_dir: so that an editable install is a line in a .pth file, which wins over a folder named as the package, the clone itself
    packages=find_packages(include=[lib, f'{lib}.*']), package_dir={'': '.'}, package_data={lib: ['*.json', '*.yaml', '*.html', '*.safetensors']},
    zip_safe=False, cmdclass=dict(build_py=WithMeasured),
    classifiers=['Programming Language :: Python :: 3', 'Intended Audience :: Education'],
    python_requires=f">={cfg['min_python']}", install_requires=shlex.split(cfg['requirements']),
    extras_require={name: shlex.split(cfg[f'{name}_requirements']) for name in ('dev', 'fast', 'heic', 'onnx', 'app')},
    entry_points={'console_scripts': shlex.split(cfg['console_scripts']), 'nbdev': [f'{lib}={lib}._modidx:d']},
)
