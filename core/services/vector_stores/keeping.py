"""How many vector stores a caller may have: its tally, which a write that would exceed the limit is refused by."""

from hashlib import sha256
from typing import Final

from core.errors import LimitReached
from core.frame.callers import KeepLimits, Principal
from core.services.vector_stores.records import StoreRecord
from core.stores.documents.port import Tally, TallyExceeded

OWNERS: Final = "vector_store_owner"
"""The collection of these tallies; it has no documents."""
COUNT: Final = "stores"
LONGEST_ID: Final = 500  # characters


def tally_id(principal: Principal | None, limits: KeepLimits) -> str:
    """Under which the caller's are counted; "" where they are not."""
    return "" if limits.vector_stores is None or principal is None else owner_id(principal)


def owner_id(principal: Principal) -> str:
    """The same, whether or not there is a limit now."""
    name = principal.identity or "anonymous"
    return name if len(name) <= LONGEST_ID else f"sha256:{sha256(name.encode()).hexdigest()}"


def addition(counted: str, limits: KeepLimits) -> tuple[Tally, ...]:
    """What one more store adds."""
    if not counted or limits.vector_stores is None:
        return ()
    return (Tally(OWNERS, counted, {COUNT: 1}, {COUNT: limits.vector_stores}),)


def removal(record: StoreRecord) -> tuple[Tally, ...]:
    """What it takes away again."""
    return (Tally(OWNERS, record.counted, {COUNT: -1}),) if record.counted else ()


def refusal(exceeded: TallyExceeded) -> LimitReached:
    """The failure that the caller is told."""
    most = exceeded.tally.most[exceeded.name]
    return LimitReached("max_vector_stores", f"You may have {most} vector stores, and have as many. Delete some.")
