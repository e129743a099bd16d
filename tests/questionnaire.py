"nbs/questionnaire.ipynb and pet_breeds/answers.json from the lessons: `python tests/questionnaire.py` writes both; tests/test_handout.py holds them in step."
from pathlib import Path

from pet_breeds.handout import write_questionnaire

if __name__ == '__main__': write_questionnaire(Path(__file__).parent.parent/'nbs')
