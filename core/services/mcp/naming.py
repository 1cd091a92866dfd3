"""What tools are called for MCP clients, many of which take letters, digits, `_` and `-` alone, 64 at most.

A name depends on nothing that one environment knows and another does not. A bare name means first what the operator's groups and the
caller's own have, where only one of them has it; else the only tool of this name. What others register takes no name from these, nor one
that a tool of a group might have which cannot be asked just now. Every tool has a full name too, which is always taken.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from hashlib import sha256
import re
from typing import Final

from core.apis.tools import GroupTool

NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
LONGEST: Final = 64
DIGITS: Final = 8  # of the digest
LONGEST_STEM: Final = LONGEST - DIGITS - 1
OTHERS: Final = re.compile(r"[^a-zA-Z0-9-]+")
END: Final = re.compile(r"_[0-9a-f]{8}\Z")  # of a full name
SEARCH: Final = "search_"
PLAIN_STORE: Final = re.compile(r"vs_[a-zA-Z0-9_-]{1,54}")


def full_name(group: str, tool: str) -> str:
    """`GROUP_TOOL_DIGEST`; the digest is of both, so that no two tools have the same."""
    return _with_digest(f"{_plain(group)}_{_plain(tool)}", f"{group}/{tool}")


def is_full(name: str) -> bool:
    """Whether it has the form of a full name."""
    return NAME.fullmatch(name) is not None and END.search(name, 1) is not None


def may_be_of(name: str, group: str) -> bool:
    """Whether a full name may be that of one of the group's tools."""
    return name.startswith(f"{_plain(group)}_"[:LONGEST_STEM])


def names_of(tools: Sequence[GroupTool], first: Collection[str], *, whole: bool) -> dict[str, GroupTool]:
    """The tools by the names that they are listed by. `first` are the operator's groups and the caller's own; `whole`: every group could be asked."""
    everyone, before = _count(tools), _count(tool for tool in tools if tool.group in first)
    full: dict[str, GroupTool] = {}
    for tool in tools:  # of two with one digest, which somebody can find, the first: those of `first` come before
        full.setdefault(full_name(tool.group, tool.tool.name), tool)
    names: dict[str, GroupTool] = {}
    for name, tool in full.items():
        bare = tool.tool.name
        if tool.group in first:
            is_bare = before[bare] == 1
        else:
            is_bare = whole and everyone[bare] == 1 and not bare.startswith(SEARCH)
        names[bare if is_bare and NAME.fullmatch(bare) and bare not in full else name] = tool
    return names


def store_name(store_id: str, name: str, *, declared: bool) -> str:
    """Of the tool that searches a vector store: with its id where the stack or the operator gave it, else with a digest of it."""
    if NAME.fullmatch(f"{SEARCH}{store_id}") and (declared or PLAIN_STORE.fullmatch(store_id)):
        return f"{SEARCH}{store_id}"
    return _with_digest(f"{SEARCH}{_plain(name or store_id)}", store_id)


def _count(tools: Iterable[GroupTool]) -> Counter[str]:
    return Counter(tool.tool.name for tool in tools)


def _plain(text: str) -> str:
    return OTHERS.sub("_", text).strip("_")


def _with_digest(stem: str, of: str) -> str:
    digest = sha256(of.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]
    return f"{stem[:LONGEST_STEM]}_{digest}"
