"""What a model reads in a text that looks like another one: characters that show nothing, escapes of JSON. Pure.

Source of the ranges: Default_Ignorable_Code_Point of Unicode
(https://www.unicode.org/Public/UCD/latest/ucd/DerivedCoreProperties.txt), the controls and marks of annotations.
"""

import re
from typing import Final

INVISIBLE: Final = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
TAGS: Final = {0xE0000 + code: chr(code) for code in range(0x20, 0x7F)}  # ASCII that no font shows, and models read
WORD: Final = re.compile(r"(?:\S|[\x1c-\x1f\x85])+")  # those controls are spaces to Python, and nothing to the eye
BACKSLASH: Final = r"(?:u005[cC]|x5[cC])"  # escaped; what follows it may be an escape by it
ESCAPE: Final = re.compile(  # of JSON, and of programs; however often escaped: a run is tried once
    rf"(?<!\\)\\++(?:{BACKSLASH}\\*+)*+"
    r"(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|u\{0*+([0-9a-fA-F]{1,5})\}|U000([0-9a-fA-F]{5})|([/b]))?"
)
SHORT: Final = {"/": "/", "b": "\b"}
SURROGATE: Final = re.compile("[\ud800-\udfff]")


def further_readings(text: str) -> list[str]:
    """The text without its escapes, if it has any, and its words that have invisible characters, without those.

    Letters that no font shows are read as such, and as nothing.
    """
    plain = join_surrogates(ESCAPE.sub(_unescape, text))
    words = [word for word in WORD.findall(plain) if INVISIBLE.search(word)] if INVISIBLE.search(plain) else []
    visible = " ".join(INVISIBLE.sub("", word) for word in words)
    shown = " ".join(INVISIBLE.sub("", word.translate(TAGS)) for word in words)
    readings = [plain if plain != text else "", visible, shown if shown != visible else ""]
    return [reading for reading in readings if reading.strip()]


def _unescape(escape: re.Match[str]) -> str:
    if escape.lastindex is None:
        return escape[0] if escape[0].strip("\\") == "" else "\\"
    text: str = escape[escape.lastindex]
    return SHORT[text] if escape[5] else chr(int(text, 16))


def join_surrogates(text: str) -> str:
    """The text as UTF-8 can hold it: pairs are their character, others the mark for what is none."""
    if SURROGATE.search(text) is None:
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
