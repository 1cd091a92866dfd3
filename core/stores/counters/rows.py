"""Rows of usage in an account's item.

u{hash}d{day}         what the row is of: `model|provider|api|operation|teams`, in which `%` and `|` are escaped
u{hash}{letter}{day}  a number of it (see LETTERS); one that is not there is 0

`hash` are 4 characters of the text before, of 64; where two rows of an item would have the same, one gets another. `day` are the
days since 1970-01-01 with 36 digits: names count for the size of an item, which is what its writes cost by.
"""

from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
import hashlib
import re
from typing import Any, Final

from core.frame.callers import UsageRow
from core.stores.counters.port import Use

LETTERS: Final = "rnpkwcgemq"
"""Of the numbers of a `UsageRow`, in its order; `n` are the answers beyond the requests, which mostly are none."""
TOUCH: Final = "i"
"""Counts what was added with neither a request nor an answer: so that of `CHANGING` one number changes whenever a row does."""
CHANGING: Final = f"rn{TOUCH}"
TEXT: Final = "d"
DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
ATTRIBUTE: Final = re.compile(rf"u(.{{4}})([{LETTERS}{TOUCH}{TEXT}])([0-9a-z]+)")
HASH_BYTES: Final = 3
CACHED: Final = 512  # texts

type Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of an item, or what is to be added to it; `numbers` are by letter, without zeros."""

    hash: str
    day: int
    text: str
    numbers: Mapping[str, int] = field(default_factory=dict[str, int])

    def attribute(self, letter: str) -> str:
        return f"u{self.hash}{letter}{day_text(self.day)}"

    @property
    def attributes(self) -> list[str]:
        """The names of all that an item has of it."""
        return [self.attribute(letter) for letter in (TEXT, *self.numbers)]

    @property
    def teams(self) -> str:
        return split_text(self.text)[4]

    @property
    def row(self) -> UsageRow:
        """Without its teams."""
        model, provider, api, operation, _ = split_text(self.text)
        requests, beyond, *numbers = (self.numbers.get(letter, 0) for letter in LETTERS)
        return UsageRow(model, provider, api, operation, requests, requests + beyond, *numbers)


def entries_of(use: Use | None, item: Item | None = None) -> list[Entry]:
    """What is to be added to an item; `item` is what is known of it, whose rows keep their hashes."""
    entries: dict[str, Entry] = {}
    if use is None:
        return []
    hashes: dict[str, str] = {}
    for text, row in _by_text(use).items():
        salt = 0
        entry = Entry(_hash(text, salt), use.day, text, _numbers(row))
        while hashes.get(entry.hash, text) != text or _is_anothers(entry, item or {}):
            salt += 1
            entry = Entry(_hash(text, salt), use.day, text, entry.numbers)
        hashes[entry.hash] = text
        entries[text] = entry
    return list(entries.values())


def meets_others(use: Use | None, item: Item) -> bool:
    """Whether an item has a row by the name of one that is to be added."""
    return any(_is_anothers(entry, item) for entry in entries_of(use))


def rows_in(item: Item) -> list[Entry]:
    """All rows of an item, the oldest first."""
    texts: dict[tuple[int, str], str] = {}
    numbers: dict[tuple[int, str], dict[str, int]] = {}
    for name, value in item.items():
        if attribute := ATTRIBUTE.fullmatch(name):
            mark, letter, day = attribute.groups()
            key = (int(day, 36), mark)
            if letter == TEXT:
                texts[key] = value["S"]
            else:
                numbers.setdefault(key, {})[letter] = int(value["N"])
    return [Entry(key[1], key[0], text, numbers.get(key, {})) for key, text in sorted(texts.items())]


def split_use(use: Use, most: int) -> Sequence[Use]:
    """The same in uses of at most so many rows; one at least."""
    starts = range(0, len(use.rows), most) or (0,)
    return [Use(use.day, use.rows[start : start + most], use.teams, use.expires) for start in starts]


def day_text(day: int) -> str:
    digits = ""
    while day:
        day, digit = divmod(day, 36)
        digits = DIGITS[digit] + digits
    return digits or "0"


def split_text(text: str) -> list[str]:
    """Model, provider, API, operation and teams."""
    return [part.replace("%7C", "|").replace("%25", "%") for part in text.split("|")]


def join_text(parts: Iterable[str]) -> str:
    return "|".join(part.replace("%", "%25").replace("|", "%7C") for part in parts)


def _by_text(use: Use) -> dict[str, UsageRow]:
    rows: dict[str, UsageRow] = {}
    for row in use.rows:
        text = join_text((*row.key, use.teams))
        rows[text] = rows[text] + row if text in rows else row
    return rows


def _numbers(row: UsageRow) -> dict[str, int]:
    numbers = (
        row.requests,
        row.answers - row.requests,
        row.prompt_tokens,
        row.cached_tokens,
        row.cache_write_tokens,
        row.completion_tokens,
        row.reasoning_tokens,
        row.estimated_tokens,
        row.nanos,
        row.unpriced,
    )
    by_letter = {letter: number for letter, number in zip(LETTERS, numbers, strict=True) if number}
    return by_letter if row.requests or row.answers else {TOUCH: 1, **by_letter}


def _is_anothers(entry: Entry, item: Item) -> bool:
    """Whether another row of the day has its hash."""
    text = item.get(entry.attribute(TEXT))
    return text is not None and text["S"] != entry.text


@lru_cache(CACHED)
def _hash(text: str, salt: int) -> str:
    """A caller may name models as it likes, so that those of an account may be made to meet: each salt is another function."""
    digest = hashlib.blake2b(text.encode(), digest_size=HASH_BYTES, salt=salt.to_bytes(4))
    return urlsafe_b64encode(digest.digest()).decode()
