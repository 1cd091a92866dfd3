"""What an upstream's reason repeats of a request is taken out of it before it is logged: a log holds nothing that callers say."""

from typing import Final, cast

from core.config.redact import MASK
from core.platform.log_records import to_line

PIECE: Final = 12  # characters; of what is repeated, 23 in a row have a piece that is looked for
MOST_TEXT: Final = 1_000_000  # characters of a request that are looked at
NAMES: Final = frozenset({"model", "role", "type"})


def hide_quotes(text: str, request: object) -> str:
    """A text of a few hundred characters, on one line, without what it has of the texts in a request but its model's name."""
    said = _texts(request)
    hidden = bytearray(len(text))
    for start in range(0, len(text), PIECE):
        place = said.find(text[start : start + PIECE]) if hidden[start] == 0 else -1
        if place >= 0 and len(text) - start >= PIECE:
            begin, end = _widen(text, said, start, place)
            hidden[begin:end] = b"\1" * (end - begin)
    letters = [MASK if first else letter for letter, first in _mark_letters(text, hidden)]
    return to_line("".join(letters))


def _mark_letters(text: str, hidden: bytearray) -> list[tuple[str, bool]]:
    """Each letter that is shown, and the first of each run that is not."""
    return [
        (letter, bool(hidden[place]))
        for place, letter in enumerate(text)
        if not hidden[place] or not place or not hidden[place - 1]
    ]


def _widen(text: str, said: str, start: int, place: int) -> tuple[int, int]:
    """How far the two are the same around these places."""
    begin, end = start, start + PIECE
    while begin > 0 and place > begin - start and text[begin - 1] == said[place + begin - start - 1]:
        begin -= 1
    while end < len(text) and place + end - start < len(said) and text[end] == said[place + end - start]:
        end += 1
    return begin, end


def _texts(request: object) -> str:
    texts: list[str] = []
    size, rest = 0, [request]
    while rest and size < MOST_TEXT:
        item = rest.pop()
        if isinstance(item, str):
            texts.append(item)
            size += len(item)
        elif isinstance(item, dict):
            rest += [value for name, value in cast("dict[str, object]", item).items() if name not in NAMES]
        elif isinstance(item, list | tuple):
            rest += cast("list[object]", item)
    return "\n".join(texts)[:MOST_TEXT]
