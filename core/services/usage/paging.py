"""The names of pages: which days a query was about, after what the next page begins, and a digest of the query itself."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256
import json
from typing import Final, NamedTuple

from core.errors import InvalidRequest
from core.services.usage.ranges import Days

DIGITS: Final = 16  # of the digest, in hex
OTHER: Final = "`page` must be `next_page` of the page before, and the rest of the query the same."


class Place(NamedTuple):
    """Where a page begins: `after` has the texts of a group, or is empty."""

    days: Days
    after: tuple[str, ...] = ()


def digest_of(query: Mapping[str, object]) -> str:
    """Of all that makes two queries' pages different ones."""
    return sha256(json.dumps(query, sort_keys=True, default=str).encode()).hexdigest()[:DIGITS]


def write_page(digest: str, place: Place) -> str:
    """In the characters of URLs."""
    text = json.dumps([digest, place.days.first, place.days.last, *place.after])
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_page(page: str, digest: str) -> Place:
    """Raises InvalidRequest for what `write_page` did not write, or for another query."""
    try:
        values = json.loads(urlsafe_b64decode(page + "=" * (-len(page) % 4)))
    except ValueError:
        values = None
    match values:
        case [name, int(first), int(last), *after] if name == digest and first <= last:
            return Place(Days(first, last), tuple(map(str, after)))
        case _:
            raise InvalidRequest(OTHER, param="page")
