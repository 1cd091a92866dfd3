"""What a server's tool answered, as blocks: texts, images, audio, resources, links; and a refusal that is the tool's own failure.

Source: https://modelcontextprotocol.io/specification/2025-11-25/server/tools.
"""

import re
from typing import Any, Final, cast

from pydantic_core import to_json

from core.apis.tools import Block, ToolResult
from core.frame.types import JsonObject
from core.platform.json_values import is_list, is_object, to_object
from core.providers.mcp.wire import PREFIX, Unusable

TEXTS: Final = ("text", "data", "mimeType", "uri", "name", "description", "title")
OBJECTS: Final = ("resource", "annotations")
WANTED: Final = {
    "text": ("text",),
    "image": ("data", "mimeType"),
    "audio": ("data", "mimeType"),
    "resource": ("resource",),
    "resource_link": ("uri",),
}
ASKS: Final = (
    "The tool asks for something more before it goes on, as a person's confirmation, and here is nobody who could give it. "
    "Call it with everything that it needs, or use another tool."
)
UNKNOWN: Final = re.compile(
    r"(?:unknown|no such|unrecogni[sz]ed) tool\b.{0,300}|tool\b.{0,300}(?:not found|does not exist|is not known|unknown)\W{0,3}",
    re.IGNORECASE | re.DOTALL,
)
"""How servers say that they have no such tool: as an error, or as a result of one."""


def read_result(result: JsonObject) -> ToolResult:
    """Raises Unusable for what is no result of a tool."""
    if result.get("resultType", "complete") != "complete":
        return ToolResult(ASKS, failed=True)
    structured, content = result.get("structuredContent"), result.get("content")
    if content is not None and not is_list(content):
        raise Unusable("answered with content that is no list")
    blocks = [_read_block(to_object(block)) for block in content or ()]
    if not blocks and structured is not None:
        blocks = [Block(type="text", text=to_json(structured).decode())]
    meta = {name: value for name, value in to_object(result.get("_meta")).items() if not name.startswith(PREFIX)}
    return ToolResult(
        blocks,
        structured=structured if is_object(structured) else None,
        failed=result.get("isError") is True,
        metadata={"_meta": meta} if meta else {},
    )


def _read_block(block: JsonObject) -> Block:
    """Of what MCP knows its own fields; anything else becomes a text, so that it is not lost."""
    kind = block.get("type")
    names = WANTED.get(kind) if isinstance(kind, str) else None
    if names is None:
        return Block(type="text", text=to_json(block).decode())
    fields: dict[str, Any] = {name: block[name] for name in TEXTS if isinstance(block.get(name), str)}
    fields |= {name: block[name] for name in OBJECTS if is_object(block.get(name))}
    if any(name not in fields for name in names):
        raise Unusable(f"answered with {kind} content that lacks what it must have")
    return cast("Block", {"type": kind, **fields})


def says_unknown(text: str, tool: str) -> bool:
    """Whether it says that there is no tool of this name."""
    return tool in text and UNKNOWN.fullmatch(text.strip().removeprefix("MCP error -32602: ")) is not None


def is_unknown(result: ToolResult, tool: str) -> bool:
    """Whether a failed result says so, as servers of 2026 have it."""
    if not result.failed or isinstance(result.content, str) or len(result.content) != 1:
        return False
    return says_unknown(result.content[0].get("text", ""), tool)
