"""Templates of texts for a model: names in braces, which stand for texts.

A template may be a caller's. So none is given to `str.format`, whose names reach into objects; what is put in is not read again, and a name
that stands for nothing stays as it is.
"""

from collections.abc import Mapping
import re
from typing import Final

_PLACE: Final = re.compile(r"\{\{|\}\}|\{([a-z_.]+)\}")


def measure(template: str, values: Mapping[str, str]) -> int:
    """How many characters `fill` makes of it at most; nothing is filled for it."""
    return len(template) + sum(len(values.get(name, "")) for name in _PLACE.findall(template))


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template with `{name}` replaced by the value of that name, and with one brace for two.

    >>> fill("{index}: {chunk.content} {other} {{}}", {"index": "1", "chunk.content": "{index}"})
    '1: {index} {other} {}'
    """

    def replace(match: re.Match[str]) -> str:
        name = match.group(1)
        return match.group()[0] if name is None else values.get(name, match.group())

    return _PLACE.sub(replace, template)
