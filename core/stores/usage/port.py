"""The port that usage is read by: what calls were counted as, of every caller, model and day. It is written with the counters.

A day is a day of UTC, as whole days since 1970-01-01.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, Protocol, get_args

from core.frame.callers import UsageRow
from core.stores.counters.port import Held

type Dimension = Literal["day", "client", "teams", "model", "provider", "api", "operation"]
"""`client` is an identity of `core.quota.identity`; `teams` are sorted, quoted and joined by `+`."""

DIMENSIONS: Final[tuple[Dimension, ...]] = get_args(Dimension.__value__)


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """The days from `first` to `last`, grouped `by` dimensions; `among` are the values that count of some dimensions, but of days."""

    first: int
    last: int
    by: tuple[Dimension, ...] = ()
    among: Mapping[Dimension, frozenset[str]] = field(default_factory=dict["Dimension", frozenset[str]])


class UsageSum(NamedTuple):  # of which a query may have hundreds of thousands
    """`key` has the values of a group, in the order of the query's `by`, a day as its digits; the names in `row` are empty."""

    key: tuple[str, ...]
    row: UsageRow


@dataclass(frozen=True, slots=True)
class Unsettled:
    """What a call of a client has reserved and nobody has settled; the call is under way, or it died."""

    client: str
    held: Held


class UsageStore(Protocol):
    """Every method raises QuotaUnavailable when the store cannot be reached."""

    async def sum(self, query: UsageQuery) -> list[UsageSum]:
        """Each group once, in no order. Of each client it is a snapshot: a sum never falls, and counts nothing twice."""
        ...

    async def unsettled(self, client: str | None = None) -> list[Unsettled]:
        """Of one client, or of all, oldest first."""
        ...

    async def close(self) -> None:
        """Close the connections; a later call opens others."""
        ...
