"""Items of tools that whoever answers a response ran itself: what of them is taken, and the phases that they go through. Pure.

Source: https://platform.openai.com/docs/api-reference/responses/object.
"""

from typing import Any, Final

from core.frame.types import JsonObject
from core.platform.json_values import is_list
from core.services.responses.contract import Item, Phase
from core.services.responses.printing.forms import PHASES

MEMBERS: Final[dict[str, dict[str, tuple[type | tuple[type, ...], Any]]]] = {
    "file_search_call": {"queries": (list, []), "results": (list, None)},
    "web_search_call": {"action": (dict, {}), "results": (list, None)},
    "mcp_list_tools": {"server_label": (str, "server"), "tools": (list, []), "error": ((str, dict), None)},
    "mcp_call": {
        "server_label": (str, "server"),
        "name": (str, "tool"),
        "arguments": (str, ""),
        "output": (str, None),
        "error": ((str, dict), None),
        "approval_request_id": (str, None),
    },
    "mcp_approval_request": {"server_label": (str, "server"), "name": (str, "tool"), "arguments": (str, "")},
}
"""Of each type of item its members, with what they are and what stands for what is not."""
HAVE_STATUS: Final = frozenset({"file_search_call", "web_search_call", "mcp_call"})
ORDER: Final[dict[str, tuple[int, Phase]]] = {
    "in_progress": (0, "in_progress"),
    "searching": (1, "searching"),
    "completed": (2, "completed"),
    "failed": (2, "failed"),
}
LAST: Final = 2


def read_hosted(theirs: JsonObject, *, begun: bool = False) -> Item:
    """The item without an id; one that has `begun` has no outcome yet."""
    kind: str = theirs["type"]
    item: Item = {"type": kind, "id": ""}
    if kind in HAVE_STATUS:
        item["status"] = "in_progress" if begun else _status_of(theirs)
    for name, (kinds, instead) in MEMBERS[kind].items():
        value = _clean(name, theirs.get(name))
        is_told = isinstance(value, kinds) and not (begun and name in {"output", "error", "results"})
        item[name] = value if is_told and value else instead
    return item


def _clean(name: str, value: Any) -> Any:  # noqa: ANN401 - whatever was sent
    """Of a list the elements that may be in it."""
    if not is_list(value):
        return value
    kind = str if name == "queries" else dict
    return [element for element in value if isinstance(element, kind)]


def _status_of(theirs: JsonObject) -> str:
    status: Any = theirs.get("status")
    return status if status in ("completed", "failed", "incomplete") else "completed"


def outcome_of(item: Item) -> str:
    """The last phase of a whole item."""
    if item["type"] == "mcp_list_tools":
        return "failed" if item["error"] else "completed"
    status: str = item.get("status", "")
    return status


def next_phase(kind: str, word: str, before: int) -> tuple[int, Phase] | None:
    """The place and the name of a phase that may follow the one at `before`; None for any other."""
    phase = ORDER.get(word) if word in PHASES.get(kind, ()) else None
    return None if phase is None or phase[0] <= before else phase
