"""How much of datasets a caller may keep: its tally, which a write that would exceed a limit is refused by."""

from typing import Final

from core.errors import LimitReached
from core.frame.callers import KeepLimits
from core.stores.documents.port import Tally, TallyExceeded

OWNERS: Final = "dataset_owner"
"""The collection of these tallies; its documents are those of `drafts`."""
DATASETS: Final = "datasets"
BYTES: Final = "bytes"


def tally_id(owner: str) -> str:
    """Under which what the owner of this list keeps is counted."""
    return f"owner:{owner}"


def counts(limits: KeepLimits) -> bool:
    """Whether what the caller keeps is to be counted."""
    return limits.datasets is not None or limits.dataset_bytes is not None


def change(counted: str, *, datasets: int = 0, size: int = 0, limits: KeepLimits | None = None) -> tuple[Tally, ...]:
    """What a write changes of the tally of this id; nothing where that is "". Without `limits` it is counted alone."""
    changes = {name: number for name, number in ((DATASETS, datasets), (BYTES, size)) if number}
    if not counted or not changes:
        return ()
    limits = limits or KeepLimits()
    most = {DATASETS: limits.datasets, BYTES: limits.dataset_bytes}
    bounds = {name: limit for name in changes if (limit := most[name]) is not None}
    return (Tally(OWNERS, counted, changes, bounds),)


def refusal(exceeded: TallyExceeded) -> LimitReached:
    """The failure that the caller is told."""
    most, name = exceeded.tally.most[exceeded.name], exceeded.name
    if name == DATASETS:
        return LimitReached("max_datasets", f"You may keep {most} datasets, and have as many. Unregister some.")
    return LimitReached(
        "max_dataset_bytes",
        f"You may keep {most} bytes of rows in datasets, and have {exceeded.value}; these are {exceeded.tally.changes[name]} more. "
        "Unregister some datasets.",
        status=413,
    )
