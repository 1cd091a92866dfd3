"""What a mistyped name was likely meant to be."""

from collections.abc import Iterable
from typing import Final

MOST_NAME: Final = 128  # characters; the time that is taken grows with their square


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean ...?` with the closest of `known`, to be put behind a message; "" when none is close."""
    if len(name) > MOST_NAME:
        return ""
    import difflib

    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean `{close[0]}`?" if close else ""
