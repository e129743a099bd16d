"Everything that is made from something else, made again: `python tests/build.py`. First cells, links and scripts of controls, modules, clean notebooks, questionnaire, quiz page, README."
import subprocess
import sys

import navigation
import outputs
import readme


def nbdev(command): subprocess.run([f'{sys.exec_prefix}/bin/{command}'], check=True, cwd=readme.ROOT)


def main():
    navigation.write()
    for file in navigation.notebooks(): outputs.with_todays_script(file)
    nbdev('nbdev_export')
    nbdev('nbdev_clean')
    import questionnaire # with the modules as they have just been exported
    import quiz_page
    questionnaire.write(readme.ROOT/'nbs')
    quiz_page.write(questionnaire.read_answers(readme.ROOT/'nbs'))
    readme.write_figures()
    readme.write()


if __name__ == '__main__': main()
