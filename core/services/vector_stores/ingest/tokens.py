"""How many tokens a text has, estimated without a vocabulary.

Measured against cl100k: from 15 % too low to 19 % too high on English, code, YAML, JSON, German and Chinese; up to 40 % too high on
Russian, Arabic and other scripts, which is the safe side. 0.05 s a MB.
"""

import re
from typing import Final

_TOKEN: Final = re.compile(
    r" ?[A-Za-z]{1,6}"  # a short word is one token, a long one several
    r"|\d{1,3}"
    r"|[\u0400-\u04ff]{1,2}"  # Cyrillic
    r"| ?[!-/:-@\[-`{-~]{1,3}[\r\n]*"  # ASCII's signs
    r"|\s+"
    r"|[^\x00-\x7f\u0400-\u04ff]"  # a letter or a sign of any other script
    r"|."
)
_RARE: Final = re.compile(
    r"[\u0100-\u024f\u0530-\u058f\u0700-\u08ff\u0980-\u0dff\u0e80-\u1dff\u1f00-\u1fff\u2800-\u2dff\ua000-\uabff\U00010000-\U0010ffff]"
)
RARE_TOKENS: Final = 2
"""A letter that few texts have is spelled in bytes: so many tokens more than one at most, on average."""


def estimate_tokens(text: str) -> int:
    """About as many as a model counts; what is put together never has more than its parts."""
    count = len(_TOKEN.findall(text))
    return count if text.isascii() else count + RARE_TOKENS * len(_RARE.findall(text))


def cut_to_tokens(text: str, most: int) -> str:
    """The longest beginning of the text that ends with a token and has at most `most` of them, by the same estimate."""
    tokens = end = 0
    for match in _TOKEN.finditer(text):
        tokens += 1 + RARE_TOKENS * len(_RARE.findall(match.group()))
        if tokens > most:
            break
        end = match.end()
    return text[:end]
