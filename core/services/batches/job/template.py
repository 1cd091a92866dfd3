"""A template of a line, and the lines that rows make of it. Only strings change, keys never do; what a row brought is not read again.

`{{name}}` in a string is the column `name` of the row: a text as it is, anything else as JSON. A string that is one name and nothing
else becomes the column's value itself, whatever that is. `{{{{` is `{{`.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
import json
import re
from typing import Any, Final

from core.frame.types import JsonObject
from core.platform.json_values import is_list, is_object

PLACE: Final = re.compile(r"\{\{\{\{|\{\{([^{}]+)\}\}")
DOUBLED: Final = "{{{{"
BRACES: Final = "{{"


class ColumnMissing(Exception):
    """The row has no column `name`."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class LineTooLong(Exception):
    """The line would have about so many bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


@dataclass(frozen=True, slots=True)
class _Column:
    name: str


@dataclass(frozen=True, slots=True)
class _Text:
    """A string with columns in it."""

    parts: Sequence[str | _Column]


class Template:
    """Of a line; it is read once, and filled for each row."""

    def __init__(self, template: JsonObject) -> None:
        self._template = _map_texts(template, _parse)
        self._uses = Counter(part.name for part in _columns(self._template))

    @property
    def columns(self) -> frozenset[str]:
        return frozenset(self._uses)

    def fill(self, row: Mapping[str, Any], most: int) -> JsonObject:
        """The line of the row.

        Raises:
            ColumnMissing: it has not all the columns.
            LineTooLong: the values alone would have more than `most` characters; nothing was made of them.
        """
        texts = {name: _text_of(row, name) for name in self._uses}
        size = sum(len(texts[name]) * count for name, count in self._uses.items())
        if size > most:
            raise LineTooLong(size)

        def fill(leaf: object) -> object:
            match leaf:
                case _Text([_Column(name)]):
                    return row[name]
                case _Text(parts):
                    return "".join(texts[part.name] if isinstance(part, _Column) else part for part in parts)
                case _:
                    return leaf

        line: JsonObject = _map_leaves(self._template, fill)
        return line


def _text_of(row: Mapping[str, Any], name: str) -> str:
    if name not in row:
        raise ColumnMissing(name)
    value = row[name]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _parse(text: str) -> object:
    """Its parts, or the text itself where it names no column."""
    parts: list[str | _Column] = []
    last = 0
    for place in PLACE.finditer(text):
        parts.append(text[last : place.start()])
        parts.append(BRACES if place[0] == DOUBLED else _Column(place[1].strip()))
        last = place.end()
    parts = [part for part in (*parts, text[last:]) if part != ""]
    return _Text(parts) if any(isinstance(part, _Column) for part in parts) else "".join(map(str, parts))


def _map_texts(value: object, change: Callable[[str], object]) -> object:
    return _map_leaves(value, lambda leaf: change(leaf) if isinstance(leaf, str) else leaf)


def _map_leaves(value: object, change: Callable[[object], object]) -> Any:  # noqa: ANN401 - JSON
    if is_object(value):
        return {name: _map_leaves(part, change) for name, part in value.items()}
    if is_list(value):
        return [_map_leaves(part, change) for part in value]
    return change(value)


def _columns(value: object) -> Iterator[_Column]:
    if is_object(value):
        for part in value.values():
            yield from _columns(part)
    elif is_list(value):
        for part in value:
            yield from _columns(part)
    elif isinstance(value, _Text):
        yield from (part for part in value.parts if isinstance(part, _Column))
