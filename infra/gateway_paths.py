"""The paths of API Gateway that lead every route to its function."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from infra.template import Function

CATCH_ALL: Final = "admin"  # its app answers 404 where no function has a path
SHARED: Final = re.compile(r"v\d\w*|openai")  # segments below which every function may have paths
GREEDY: Final = "{proxy+}"
ONE: Final = "{id}"


@dataclass(frozen=True, slots=True)
class Group:
    """A path of API Gateway with every method; `open`: it asks for no token."""

    module: str
    path: str
    open: bool = False


def groups(every: Iterable["Function"]) -> list[Group]:
    """The fewest paths that lead every route to its function, and everything else to CATCH_ALL, which answers 404.

    API Gateway takes the most specific path (text before a parameter, a parameter before a greedy one) that has the
    method, and every path here has every method.

    Raises:
        ValueError: two functions serve the same path, or API Gateway has no way to tell them apart.
    """
    rows = [(function.module, row) for function in every for row in function.rows]
    open_ = {Group(module, row.path, open=True) for module, row in rows if row.operation and row.operation.open}
    paths = {(module, row.path) for module, row in rows} - {(group.module, group.path) for group in open_}
    below = _below([(module, path.strip("/").split("/")) for module, path in paths])
    rest = {Group(CATCH_ALL, "/"), Group(CATCH_ALL, f"/{GREEDY}")}
    return sorted(open_ | set(below) | rest, key=lambda group: (group.module, group.path))


def _below(routes: Sequence[tuple[str, list[str]]], prefix: str = "") -> Iterator[Group]:
    """The groups below `prefix`; `routes` are modules with the segments that follow it.

    Where a segment leads to one function alone, a greedy path stands for all that follows; SHARED segments never do,
    since the next API may have paths below them too.
    """
    branches: dict[str, list[tuple[str, list[str]]]] = defaultdict(list)
    for module, (segment, *rest) in routes:
        branches[_segment(segment)].append((module, rest))
    if {GREEDY, ONE} <= branches.keys():
        raise ValueError(f"{prefix} has names with slashes and without, of which API Gateway allows one")
    for segment, branch in branches.items():
        path = f"{prefix}/{segment}"
        ending = {module for module, rest in branch if not rest}
        longer = [(module, rest) for module, rest in branch if rest]
        if len(ending) > 1:
            raise ValueError(f"{path} is served by {' and '.join(sorted(ending))}")
        yield from (Group(module, path) for module in ending)
        owner, *others = {module for module, _ in branch}
        if longer and not others and not SHARED.fullmatch(segment):
            yield Group(owner, f"{path}/{GREEDY}")
        else:
            yield from _below(longer, path)


def _segment(segment: str) -> str:
    """Of a route, as API Gateway writes it: one name for the parameters of a place, of which it allows one."""
    if not segment.startswith("{"):
        return segment
    return GREEDY if segment.endswith(":path}") else ONE
