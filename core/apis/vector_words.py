"""Words as searches of every provider have them: letters, digits and marks, so that nothing of a search's own language is left.

Chinese, Japanese, Thai, Lao, Burmese and Khmer have no spaces, and Korean joins words with their particles: there a character, or
a syllable, is a word, and a search is for two that are neighbours. Trigrams would miss the words of two, of which these
languages mostly consist, and find `cat` in `concatenate`.
"""

from itertools import chain, pairwise
import re
from typing import Final

MOST_WORDS: Final = 100
"""Of a search; of a longer text the first ones."""
MOST_SEARCHED: Final = 20_000  # characters of a search that are looked at
DENSE: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
CHARACTER: Final = re.compile(f"([{DENSE}])")
MARKS: Final = "\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0963\u0966-\u0dff"
"""What belongs to a word without being a letter to Python: accents apart, points of Hebrew and Arabic, vowels of Indic scripts."""
WORD: Final = re.compile(rf"[{DENSE}]+|(?:[^\W_{DENSE}]|[{MARKS}])+")


def searched_words(text: str) -> list[str]:
    """What is searched for with this text, each once: words in lower case, and pairs of neighbours with a space between them."""
    words: list[str] = WORD.findall(text[:MOST_SEARCHED].lower())
    if not text.isascii():
        words = list(chain.from_iterable(map(_neighbours, words)))
    return list(dict.fromkeys(words))[:MOST_WORDS]


def spaced_words(text: str) -> str:
    """The words of a text in lower case, with spaces between them, and between the characters of scripts that have none."""
    return CHARACTER.sub(r" \1 ", " ".join(WORD.findall(text.lower())))


def _neighbours(word: str) -> list[str]:
    if not CHARACTER.match(word):
        return [word]
    letters = [character for character in word if character.isalnum()]
    return [" ".join(pair) for pair in pairwise(letters)] or letters
