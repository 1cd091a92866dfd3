"""What a server lists as its tools, and which arguments of a call go into headers too (`x-mcp-header`, of the stateless revision).

Sources: https://modelcontextprotocol.io/specification/2026-07-28/server/tools,
https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import re
from typing import Any, Final

from core.apis.tools import Tool
from core.frame.types import JsonObject
from core.platform.json_values import is_list, is_object, to_object
from core.providers.mcp.wire import Unusable, number_of

MOST_NAME: Final = 256  # characters
MOST_DEPTH: Final = 16
MOST_MIRRORED: Final = 64  # headers of a tool
LEAST_TTL, LONGEST_TTL = 5.0, 86_400.0  # seconds; the official SDK says 0 for every server whose author said nothing
NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")  # RFC 9110, 5.6.2: a token
PLAIN: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
WRAPPED: Final = re.compile(r"=\?base64\?.*\?=", re.DOTALL)
MIRRORED_TYPES: Final = frozenset({"string", "integer", "boolean"})
ANNOTATION: Final = "x-mcp-header"

type Mirrored = Mapping[str, tuple[str, ...]]
"""By the name of the header, the path of the argument."""


class _Wrong(Exception):
    """An annotation that no client can keep."""


@dataclass(frozen=True, slots=True)
class ToolPage:
    """A page of a listing. `mirrored` is by the tools' names; `seconds` None where the server says nothing."""

    tools: Sequence[Tool]
    mirrored: Mapping[str, Mirrored]
    cursor: str
    seconds: float | None


def read_page(result: JsonObject) -> ToolPage:
    """Raises Unusable. Tools that cannot be called, for want of a name or by a wrong annotation, are left out."""
    entries, ttl, cursor = result.get("tools"), number_of(result.get("ttlMs")), result.get("nextCursor")
    if not is_list(entries):
        raise Unusable("listed no tools where it was asked for them")
    tools: list[Tool] = []
    mirrored: dict[str, Mirrored] = {}
    for entry in entries:
        tool = _read_tool(to_object(entry))
        if tool is None:
            continue
        try:
            headers = find_mirrored(tool.input_schema)
        except _Wrong:
            continue
        tools.append(tool)
        if headers:
            mirrored[tool.name] = headers
    seconds = None if ttl is None or ttl < 0 else max(LEAST_TTL, min(ttl / 1000, LONGEST_TTL))
    return ToolPage(tools, mirrored, cursor if isinstance(cursor, str) else "", seconds)


def _read_tool(entry: JsonObject) -> Tool | None:
    name, schema, output = entry.get("name"), entry.get("inputSchema"), entry.get("outputSchema")
    if not isinstance(name, str) or not 0 < len(name) <= MOST_NAME:
        return None
    annotations = to_object(entry.get("annotations"))
    read_only = annotations.get("readOnlyHint")
    return Tool(
        name,
        description=_text(entry.get("description")),
        input_schema=schema if is_object(schema) else {"type": "object", "properties": {}},
        output_schema=output if is_object(output) else None,
        title=_text(entry.get("title")) or _text(annotations.get("title")),
        read_only=read_only if isinstance(read_only, bool) else None,
        metadata={"annotations": annotations} if annotations else {},
    )


def find_mirrored(schema: JsonObject) -> Mirrored:
    """Raises for annotations that are wrong: then the tool must not be called."""
    headers: dict[str, tuple[str, ...]] = {}
    _find(schema, (), headers)
    if len(headers) != len({name.lower() for name in headers}):
        raise _Wrong
    return headers


def _find(schema: JsonObject, path: tuple[str, ...], headers: dict[str, tuple[str, ...]]) -> None:
    """Only what is reached through `properties` alone can be mirrored: of anything else it is not clear which value is meant."""
    for word, part in schema.items():
        if word == ANNOTATION:
            _add(schema, path, headers)
        elif word != "properties" or not is_object(part):
            if word not in {"default", "const", "enum", "examples"} and _is_annotated(part, len(path)):
                raise _Wrong
        elif len(path) < MOST_DEPTH:
            for name, inner in part.items():
                _find(to_object(inner), (*path, name), headers)
        elif _is_annotated(part, len(path)):
            raise _Wrong


def _add(schema: JsonObject, path: tuple[str, ...], headers: dict[str, tuple[str, ...]]) -> None:
    name = schema[ANNOTATION]
    if not path or not isinstance(name, str) or not NAME.fullmatch(name) or schema.get("type") not in MIRRORED_TYPES:
        raise _Wrong
    if name in headers or len(headers) >= MOST_MIRRORED:
        raise _Wrong
    headers[name] = path


def _is_annotated(part: object, depth: int) -> bool:
    """Whether an annotation is anywhere in it; what is nested deeper than JSON is read is none."""
    if depth > 200:  # noqa: PLR2004 - core.platform.json_reader
        return False
    if is_object(part):
        return ANNOTATION in part or any(_is_annotated(inner, depth + 1) for inner in part.values())
    return is_list(part) and any(_is_annotated(inner, depth + 1) for inner in part)


def mirror(arguments: JsonObject, mirrored: Mirrored) -> dict[str, str]:
    """The headers of a call; none of an argument that is not there, or null."""
    headers: dict[str, str] = {}
    for name, path in mirrored.items():
        value: Any = arguments
        for step in path:
            value = to_object(value).get(step)
        if isinstance(value, bool):
            value = "true" if value else "false"
        if isinstance(value, str | int):
            headers[f"mcp-param-{name}"] = print_header(str(value))
    return headers


def print_header(text: str) -> str:
    """A text as a header can carry it; in base64 what none can, and what would be taken for that."""
    if PLAIN.fullmatch(text) and not WRAPPED.fullmatch(text):
        return text
    return f"=?base64?{b64encode(text.encode(errors='replace')).decode()}?="


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
