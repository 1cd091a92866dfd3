"""What a model reads in a text that looks like another one: characters that show nothing, escapes of JSON. Pure.

Source of the ranges: Default_Ignorable_Code_Point of Unicode
(https://www.unicode.org/Public/UCD/latest/ucd/DerivedCoreProperties.txt), and the control characters.
"""

import re
from typing import Final

INVISIBLE: Final = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
TAGS: Final = {0xE0000 + code: chr(code) for code in range(0x20, 0x7F)}  # ASCII that no font shows, and models read
ESCAPE: Final = re.compile(
    r"(?<!\\)\\++(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2}))"
)  # however often escaped; a run is tried once
SURROGATE: Final = re.compile("[\ud800-\udfff]")


def further_readings(text: str) -> list[str]:
    """The text without its escapes, if it has any, and its words that have invisible characters, without those."""
    plain = join_surrogates(ESCAPE.sub(lambda escape: chr(int(escape[1] or escape[2], 16)), text))
    words = [word for word in plain.split() if INVISIBLE.search(word)] if INVISIBLE.search(plain) else []
    visible = " ".join(INVISIBLE.sub("", word.translate(TAGS)) for word in words)
    return [reading for reading in (plain if plain != text else "", visible) if reading.strip()]


def join_surrogates(text: str) -> str:
    """The text as UTF-8 can hold it: pairs are their character, others the mark for what is none."""
    if SURROGATE.search(text) is None:
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
