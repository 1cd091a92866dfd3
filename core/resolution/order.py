"""Which APIs a function needs, in the order in which they can be made."""

from collections.abc import Collection, Iterable, Mapping
from graphlib import CycleError, TopologicalSorter


class DependencyCycle(Exception):
    """Raised when APIs need each other; the message names them in order."""

    def __init__(self, members: list[str]) -> None:
        """`members` begins and ends with the same API."""
        super().__init__(f"providers depend on each other in a circle: {' -> '.join(members)}")
        self.members = members


def dependency_order(wanted: Iterable[str], needs: Mapping[str, Collection[str]]) -> list[str]:
    """`wanted` and everything it needs, each after what it needs itself; nothing else.

    Raises:
        DependencyCycle: there is no such order.
    """
    graph: dict[str, Collection[str]] = {}
    pending = list(wanted)
    while pending:
        api = pending.pop()
        if api not in graph:
            graph[api] = needs.get(api, ())
            pending.extend(graph[api])
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as cycle:
        raise DependencyCycle(list(reversed(cycle.args[1]))) from None
