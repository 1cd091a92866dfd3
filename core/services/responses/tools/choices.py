"""`tool_choice` of a request as chat completions have it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from core.errors import InvalidRequest, shorten
from core.frame.types import JsonObject
from core.platform.json_values import is_list, is_object, to_object
from core.services.responses.contract import RunTool
from core.services.responses.tools.functions import name_in
from core.services.responses.tools.shapes import WEB_SEARCHES

PARAM: Final = "tool_choice"
MODES: Final = ("auto", "none", "required")
CALLERS: Final = ("function", "custom")
SEARCHES: Final = ("file_search", "web_search")


@dataclass(frozen=True, slots=True)
class NamedTool:
    """A tool with what a request calls it: its `kind`, its own `name`, and for a server's its `label`."""

    kind: str
    name: str
    tool: RunTool
    label: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """`mode` as chat completions have it, None to leave it out; `only` are the tools that the model is told, None for all."""

    mode: str | JsonObject | None = None
    only: Sequence[NamedTool] | None = None


def read_choice(tool_choice: object, tools: Sequence[NamedTool], passed_over: Sequence[str]) -> Choice:
    """`passed_over` are types of the request's tools that no model is told of.

    Raises InvalidRequest for a tool that the request does not have.
    """
    if tool_choice is None or isinstance(tool_choice, str):
        return _read_mode(tool_choice, tools)
    if not is_object(tool_choice):
        raise _invalid(f"{PARAM}: must be one of {', '.join(MODES)}, or an object that names a tool.")
    if tool_choice.get("type") == "allowed_tools":
        return _read_allowed(tool_choice, tools, passed_over)
    selection = _select(tool_choice, tools)
    if not selection:
        raise _missing(tool_choice)
    if len(selection) == 1:
        return Choice(_function(selection[0]))
    return Choice("required", selection)  # any tool of a server


def names_at(tool_choice: object, label: str) -> set[str]:
    """The tools of the server with this label that the choice names; some tool where it names none: a server that was not asked may have it."""
    choice = to_object(tool_choice)
    fields = to_object(choice.get("allowed_tools")) or choice
    entries: list[object] = [choice]
    if is_list(fields.get("tools")):
        entries += fields["tools"]
    servers_own = [
        entry for entry in map(to_object, entries) if (entry.get("type"), entry.get("server_label")) == ("mcp", label)
    ]
    return {str(entry["name"]) for entry in servers_own if entry.get("name") is not None} or {"tool"}


def _read_mode(mode: str | None, tools: Sequence[NamedTool]) -> Choice:
    if mode is not None and mode not in MODES:
        raise _invalid(f"{PARAM}: must be one of {', '.join(MODES)}, or an object that names a tool.")
    if mode == "required" and not tools:
        raise _invalid(f"{PARAM}: is `required`, and the request has no tool that the model can call.")
    return Choice(mode if tools else None)  # chat servers refuse a choice without tools


def _read_allowed(choice: JsonObject, tools: Sequence[NamedTool], passed_over: Sequence[str]) -> Choice:
    """Nested as chat completions have it, too."""
    fields = to_object(choice.get("allowed_tools")) or choice
    mode, entries = fields.get("mode", "auto"), fields.get("tools")
    if mode not in MODES or mode == "none" or not is_list(entries):
        raise _invalid(f"{PARAM}: `allowed_tools` has a `mode`, auto or required, and a list `tools`.")
    only: list[NamedTool] = []
    for entry in map(to_object, entries):
        selection = _select(entry, tools)
        if not selection and entry.get("type") not in passed_over:
            raise _missing(entry)
        only += [tool for tool in selection if tool not in only]
    return Choice(_read_mode(mode, only).mode, only)


def _select(entry: JsonObject, tools: Sequence[NamedTool]) -> list[NamedTool]:
    kind = entry.get("type")
    if kind in CALLERS:
        name = to_object(entry.get(str(kind))).get("name", entry.get("name"))
        return [tool for tool in tools if (tool.kind, tool.name) == (kind, name)]
    if kind == "mcp":
        label, name = entry.get("server_label"), entry.get("name")
        return [
            tool for tool in tools if (tool.kind, tool.label) == ("mcp", label) and (name is None or name == tool.name)
        ]
    search = "web_search" if kind in WEB_SEARCHES else kind
    return [tool for tool in tools if tool.kind == search and tool.kind in SEARCHES][:1]


def _function(selection: NamedTool) -> JsonObject:
    return {"type": "function", "function": {"name": name_in(selection.tool.definition)}}


def _missing(entry: JsonObject) -> InvalidRequest:
    words = [str(entry[name]) for name in ("type", "server_label", "name") if entry.get(name)]
    name = shorten(" ".join(words), 160)
    return _invalid(f"{PARAM}: `{name}` is none of the request's `tools`, as far as a model can call them here.")


def _invalid(message: str) -> InvalidRequest:
    return InvalidRequest(message, param=PARAM)
