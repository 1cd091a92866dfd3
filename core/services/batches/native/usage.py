"""What the results of a native shard used, kept with its rows: in the same write as these, so that what is charged is what is recorded."""

from collections.abc import Mapping
from typing import Final

from core.frame.callers import UsageRow
from core.frame.observed import nanos_of
from core.services.jobs.spending import PICOS, PRICED, UNPRICED
from core.stores.jobs.port import PARTS_OF_USAGE

NATIVE: Final = f"{PARTS_OF_USAGE}native_"
"""Before the names of what the provider's own batch used: rows that the same shard asks one by one are charged as they are asked."""
NUMBERS: Final = (
    "answers",
    "prompt_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "completion_tokens",
    "reasoning_tokens",
    "unpriced",
)
"""Of a `UsageRow`."""


def parts_of(row: UsageRow, picos: int | None) -> dict[str, int]:
    """For the tokens of a Result: what one answer used, and cost in pico-USD, None where nobody knows."""
    numbers = (
        row.answers,
        row.prompt_tokens,
        row.cached_tokens,
        row.cache_write_tokens,
        row.completion_tokens,
        row.reasoning_tokens,
        int(picos is None),
    )
    parts = {f"{NATIVE}{name}": number for name, number in zip(NUMBERS, numbers, strict=True) if number}
    return {**parts, UNPRICED: 1} if picos is None else {**parts, PRICED: 1, PICOS: picos}


def row_of(tokens: Mapping[str, int], place: tuple[str, str, str, str], requests: int) -> UsageRow:
    """Of all answers in the tokens of a shard: the row of a model, its provider, an API and its operation."""
    answers, prompt, cached, writes, completion, reasoning, unpriced = (
        tokens.get(f"{NATIVE}{name}", 0) for name in NUMBERS
    )
    nanos = nanos_of(tokens.get(PICOS, 0))
    return UsageRow(*place, requests, answers, prompt, cached, writes, completion, reasoning, 0, nanos, unpriced)
