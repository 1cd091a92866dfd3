"""Sums of usage by what callers group and filter by, from those of the store."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final, Literal, get_args

from core.apis.spending import SpendingQuery
from core.errors import InvalidRequest
from core.frame.callers import UsageRow
from core.platform.suggestions import did_you_mean
from core.services.usage.access import Access, Named
from core.services.usage.callers import caller_of, client_of_key, key_of, teams_of, user_of
from core.services.usage.key_names import KeyNames
from core.services.usage.ranges import Days
from core.stores.usage.port import Dimension, Unsettled, UsageQuery, UsageStore, UsageSum

type Group = Literal["day", "key", "user", "team", "model", "provider", "api", "operation"]
type GroupKey = tuple[str, ...]
"""A text for each of the groups that were asked for: a day as its digits, a user as its client, teams quoted and joined."""

GROUPS: Final[tuple[Group, ...]] = get_args(Group.__value__)
KNOWN: Final[Mapping[str, Group]] = {group: group for group in GROUPS}
DIMENSIONS: Final[Mapping[Group, Dimension]] = {
    "day": "day",
    "key": "client",
    "user": "client",
    "team": "teams",
    "model": "model",
    "provider": "provider",
    "api": "api",
    "operation": "operation",
}
FOLDS: Final[Mapping[Group, Callable[[str], str]]] = {"key": key_of, "user": user_of}
"""What makes the text of a group of that of its dimension, where they are not the same."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What counts alone: callers by these `names`, and values of other dimensions; of each any that is there."""

    names: Mapping[Named, Sequence[str]] = field(default_factory=dict["Named", Sequence[str]])
    values: Mapping[Dimension, frozenset[str]] = field(default_factory=dict[Dimension, frozenset[str]])

    @property
    def clear(self) -> bool:
        """Whether it is of everybody."""
        return not any(self.names.values())


def groups_of(names: Iterable[str]) -> tuple[Group, ...]:
    """The groupings that a query names, each once; several may be in one name, with commas between them.

    Raises:
        InvalidRequest: there is no such one.
    """
    groups: dict[Group, None] = {}
    for name in (part.strip() for text in names for part in text.split(",")):
        group = KNOWN.get(name)
        if group is None:
            hint = did_you_mean(name, GROUPS) or f"; usage is grouped by {', '.join(GROUPS)}"
            raise InvalidRequest(f"`by`: there is no grouping `{name}`{hint}", param="by")
        groups[group] = None
    return tuple(groups)


def filters_of(query: SpendingQuery) -> Filters:
    """Those that a query has."""
    lists: dict[Dimension, list[str]] = {
        "model": query.model,
        "provider": query.provider,
        "api": query.api,
        "operation": query.operation,
    }
    return Filters(
        {"key": query.key, "user": query.user, "team": query.team},
        {name: frozenset(values) for name, values in lists.items() if values},
    )


@dataclass(frozen=True, slots=True)
class UsageReader:
    """What one caller may read of a store."""

    store: UsageStore
    access: Access
    names: KeyNames

    async def sum(self, days: Days, by: Sequence[Group], filters: Filters) -> dict[GroupKey, UsageRow]:
        """Each group with what it was counted as; raises PermissionDenied as `Access.confine`."""
        among = dict(filters.values)
        own = self.access.confine(filters.names)
        clients = await self._clients(own, filters.names.get("key", ()))
        if clients is not None:
            among["client"] = clients
        dimensions = _dimensions(by, filters)
        sums = await self.store.sum(UsageQuery(days.first, days.last, dimensions, among))
        return _fold(_matching(sums, dimensions, filters), dimensions, by)

    async def unsettled(self, days: Days, filters: Filters) -> list[Unsettled]:
        """What the callers that these filters are about have reserved, oldest first, of whatever model."""
        own = self.access.confine(filters.names)
        rows = await self.store.unsettled(own)
        if own is not None or filters.clear:
            return rows
        clients = await self._list_clients(days, filters)
        return [row for row in rows if row.client in clients]

    async def _list_clients(self, days: Days, filters: Filters) -> set[str]:
        """The clients of the callers that the filters name."""
        clients = await self._clients(None, filters.names.get("key", ()))
        among: dict[Dimension, frozenset[str]] = {} if clients is None else {"client": clients}
        dimensions = _dimensions(("user",), filters)
        sums = await self.store.sum(UsageQuery(days.first, days.last, dimensions, among))
        place = dimensions.index("client")
        return {one.key[place] for one in _matching(sums, dimensions, filters)}

    async def _clients(self, own: str | None, keys: Sequence[str]) -> frozenset[str] | None:
        """Those that count alone, None for all."""
        if own is not None:
            return frozenset((own,))
        if not keys:
            return None
        return frozenset(client_of_key(key_id) for key_id in await self.names.find_ids(keys))


def _dimensions(by: Sequence[Group], filters: Filters) -> tuple[Dimension, ...]:
    """What the store is to group by, so that all that is asked for can be told apart."""
    names: dict[Dimension, None] = dict.fromkeys(DIMENSIONS[group] for group in by)
    if filters.names.get("user"):
        names["client"] = None
    if filters.names.get("team"):
        names["teams"] = None
    return tuple(names)


def _matching(sums: Iterable[UsageSum], dimensions: Sequence[Dimension], filters: Filters) -> Iterable[UsageSum]:
    """Those of the callers and teams that the filters name: a store knows neither by their names."""
    users, teams = frozenset(filters.names.get("user", ())), frozenset(filters.names.get("team", ()))

    @cache
    def is_user(client: str) -> bool:
        return caller_of(client).id in users

    @cache
    def is_team(text: str) -> bool:
        return not teams.isdisjoint(teams_of(text))

    if users:
        place = dimensions.index("client")
        sums = [one for one in sums if is_user(one.key[place])]
    if teams:
        column = dimensions.index("teams")
        sums = [one for one in sums if is_team(one.key[column])]
    return sums


def _fold(sums: Iterable[UsageSum], dimensions: Sequence[Dimension], by: Sequence[Group]) -> dict[GroupKey, UsageRow]:
    """The sums of the groups, from those of finer ones."""
    places = [(dimensions.index(DIMENSIONS[group]), FOLDS.get(group)) for group in by]
    rows: dict[GroupKey, UsageRow] = {}
    for one in sums:
        texts = one.key
        key = tuple([texts[place] if fold is None else fold(texts[place]) for place, fold in places])
        row = rows.get(key)
        rows[key] = one.row if row is None else row + one.row
    return rows
