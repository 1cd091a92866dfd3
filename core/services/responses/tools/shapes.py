"""The tools of a request, as they are read: what they may say, and what they mean where they say nothing. Pure.

Source: https://platform.openai.com/docs/api-reference/responses/create#responses-create-tools; OGX 1.5.0 for lists in `require_approval`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from core.apis.tools import Tool, ToolAccess
from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.platform.json_values import is_list, is_object

WEB_SEARCHES: Final = (
    "web_search",
    "web_search_preview",
    "web_search_2025_08_26",
    "web_search_preview_2025_03_11",
)
MOST_FOUND: Final = 50
"""Passages of one file search, as OpenAI has it."""
MOST_LABEL: Final = 128  # characters
SEARCH_FIELDS: Final[Mapping[str, type]] = {"search_context_size": str, "user_location": dict}


@dataclass(frozen=True, slots=True)
class ToolFilter:
    """Tools by their names, and by whether they only read; None is any."""

    names: frozenset[str] | None = None
    read_only: bool | None = None

    def holds(self, tool: Tool) -> bool:
        """Of a tool that does not say so nobody knows that it only reads."""
        if self.names is not None and tool.name not in self.names:
            return False
        return self.read_only is None or self.read_only == (tool.read_only is True)


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """Which tools a person must approve of: `always` goes before `never`, and what neither names is as `default`."""

    always: ToolFilter | None = None
    never: ToolFilter | None = None
    default: bool = True

    def wants(self, tool: Tool) -> bool:
        if self.always is not None and self.always.holds(tool):
            return True
        return self.default and not (self.never is not None and self.never.holds(tool))


@dataclass(frozen=True, slots=True)
class McpShape:
    """An `mcp` tool at `path` of the request; either `url` or `connector_id` is empty. `secrets` are in nothing that is shown or kept."""

    path: str
    label: str
    url: str
    connector_id: str
    allowed: ToolFilter
    approval: ApprovalRule
    description: str = ""
    access: ToolAccess = field(default_factory=ToolAccess, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class FileSearchShape:
    path: str
    store_ids: tuple[str, ...]
    limit: int | None = None
    filters: JsonObject | None = None
    ranking_options: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class WebSearchShape:
    """`arguments` are those of a search that the request says, and no model."""

    path: str
    arguments: JsonObject


def read_mcp(tool: JsonObject, path: str, secrets: Sequence[str] = ()) -> McpShape:
    """`secrets` are the caller's beside those of the tool. Raises InvalidRequest, which names no value of a header."""
    label = _text(tool, "server_label", path)
    if not 0 < len(label) <= MOST_LABEL:
        raise invalid(path, "server_label", f"must be a name of the server, of at most {MOST_LABEL} characters")
    url, connector_id = _text(tool, "server_url", path), _text(tool, "connector_id", path)
    if bool(url) == bool(connector_id):
        raise InvalidRequest(
            f"{path}: an `mcp` tool needs `server_url`, or `connector_id` of a connector or a tool group: one of them.",
            param=f"{path}.server_url",
        )
    allowed = _filter(tool.get("allowed_tools"), path, "allowed_tools") or ToolFilter()
    approval = _approval(tool.get("require_approval"), path)
    access, about = _access(tool, path), _text(tool, "server_description", path)
    values = {part for value in (*access.headers.values(), *secrets) for part in (value, value.rpartition(" ")[2])}
    longest_first = tuple(sorted({access.authorization, *values}, key=len, reverse=True))
    return McpShape(path, label, url, connector_id, allowed, approval, about, access, longest_first)


def read_file_search(tool: JsonObject, path: str) -> FileSearchShape:
    """Raises InvalidRequest."""
    ids, limit = tool.get("vector_store_ids"), tool.get("max_num_results")
    if not is_list(ids) or not ids or not all(isinstance(store_id, str) and store_id for store_id in ids):
        raise invalid(path, "vector_store_ids", "must be a list of ids of vector stores, one at least")
    if limit is not None and (not _is_whole(limit) or not 1 <= limit <= MOST_FOUND):
        raise invalid(path, "max_num_results", f"must be a whole number from 1 to {MOST_FOUND}")
    filters, ranking = _object(tool, "filters", path), _object(tool, "ranking_options", path)
    return FileSearchShape(path, tuple(ids), limit, filters, ranking)


def read_web_search(tool: JsonObject, path: str) -> WebSearchShape:
    """Raises InvalidRequest."""
    arguments: JsonObject = {}
    for name, kind in SEARCH_FIELDS.items():
        if (value := tool.get(name)) is not None:
            if not isinstance(value, kind):
                raise invalid(path, name, f"must be {'a string' if kind is str else 'an object'}")
            arguments[name] = value
    domains = (_object(tool, "filters", path) or {}).get("allowed_domains")
    if domains is not None:
        if not is_list(domains) or not all(isinstance(domain, str) for domain in domains):
            raise invalid(path, "filters.allowed_domains", "must be a list of domains")
        arguments["allowed_domains"] = domains
    return WebSearchShape(path, arguments)


def invalid(path: str, name: str, problem: str) -> InvalidRequest:
    """What is wrong with a field of a tool."""
    return InvalidRequest(f"{path}.{name}: {problem}.", param=f"{path}.{name}")


def _access(tool: JsonObject, path: str) -> ToolAccess:
    headers = tool.get("headers")
    if headers is not None and (not is_object(headers) or not all(isinstance(text, str) for text in headers.values())):
        raise invalid(path, "headers", "must be an object of headers, whose values are strings")
    if any(name.lower() == "authorization" for name in headers or {}):
        raise invalid(path, "headers", "must have no Authorization: give the token as `authorization`")
    return ToolAccess(_text(tool, "authorization", path).removeprefix("Bearer "), dict(headers or {}))


def _approval(value: object, path: str) -> ApprovalRule:
    if value is None or value == "always":
        return ApprovalRule()
    if value == "never":
        return ApprovalRule(default=False)
    if not is_object(value) or not value.keys() <= {"always", "never"}:
        raise invalid(path, "require_approval", 'must be "always", "never", or an object of `always` and `never`')
    always, never = (_filter(value.get(name), path, f"require_approval.{name}") for name in ("always", "never"))
    return ApprovalRule(always, never)


def _filter(value: object, path: str, name: str) -> ToolFilter | None:
    """A list of names, or `{tool_names, read_only}`; None for none."""
    if value is None:
        return None
    fields: Mapping[str, Any] = {"tool_names": value} if is_list(value) else value if is_object(value) else {"": 0}
    names, read_only = fields.get("tool_names"), fields.get("read_only")
    good = names is None or (is_list(names) and all(isinstance(text, str) for text in names))
    if not good or not fields.keys() <= {"tool_names", "read_only"} or not isinstance(read_only, bool | None):
        raise invalid(path, name, "must be a list of names of tools, or an object of `tool_names` and `read_only`")
    return ToolFilter(None if names is None else frozenset(names), read_only)


def _text(tool: JsonObject, name: str, path: str) -> str:
    value = tool.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise invalid(path, name, "must be a string")
    return value


def _object(tool: JsonObject, name: str, path: str) -> JsonObject | None:
    value = tool.get(name)
    if value is not None and not is_object(value):
        raise invalid(path, name, "must be an object")
    return value


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
