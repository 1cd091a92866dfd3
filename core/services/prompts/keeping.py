"""How many prompts a caller may keep: its tally, which a write that would exceed the limit is refused by."""

from core.errors import LimitReached
from core.frame.callers import KeepLimits
from core.services.prompts.records import PROMPT, PROMPTS
from core.stores.documents.port import Tally, TallyExceeded


def tally_id(owner: str) -> str:
    """Under which those in the list of this owner are counted."""
    return f"owner:{owner}"


def addition(owner: str, limits: KeepLimits) -> tuple[Tally, ...]:
    """What one more prompt adds; nothing where they are not limited."""
    if limits.prompts is None:
        return ()
    return (Tally(PROMPT, tally_id(owner), {PROMPTS: 1}, {PROMPTS: limits.prompts}),)


def removal(owner: str, *, counted: bool) -> tuple[Tally, ...]:
    """What it takes away again."""
    return (Tally(PROMPT, tally_id(owner), {PROMPTS: -1}),) if counted else ()


def refusal(exceeded: TallyExceeded) -> LimitReached:
    """The failure that the caller is told."""
    most = exceeded.tally.most[exceeded.name]
    return LimitReached("max_prompts", f"You may keep {most} prompts, and have as many. Delete some.")
