"""What a line used, in the tokens of its job: by its model, and beside it the parts of OpenAI's usage under names of their own."""

from collections.abc import Mapping
from typing import Any, Final

from core.apis.answers.batches import BatchUsage
from core.frame.observed import USAGE
from core.frame.types import JsonObject
from core.platform.json_values import to_object
from core.services.jobs.spending import cost_in
from core.stores.jobs.port import PARTS_OF_USAGE

INPUT: Final = f"{PARTS_OF_USAGE}input"
OUTPUT: Final = f"{PARTS_OF_USAGE}output"
CACHED: Final = f"{PARTS_OF_USAGE}cached"
REASONING: Final = f"{PARTS_OF_USAGE}reasoning"
PARTS: Final = frozenset((INPUT, OUTPUT, CACHED, REASONING))
NOTHING: Final[Mapping[str, int]] = {}
MOST: Final = 2**53  # as of the counts that answers are checked for (core.apis.shapes)


def tokens_of(
    answer: JsonObject, model: str, charged: int | None, observed: Mapping[str, int] = NOTHING
) -> dict[str, int]:
    """For a Result: `charged` is what the line's call used, with what judged it; None where it was not told.

    `observed` are the tokens that its models reported, by their names in USAGE: those of an answer that says nothing itself, as a turn.
    """
    usage = to_object(answer.get("usage")) or {USAGE[name]: count for name, count in observed.items() if name in USAGE}
    parts = {
        INPUT: _count(usage, "prompt_tokens", "input_tokens"),
        OUTPUT: _count(usage, "completion_tokens", "output_tokens"),
        CACHED: _count(_details(usage, "prompt_tokens_details", "input_tokens_details"), "cached_tokens"),
        REASONING: _count(_details(usage, "completion_tokens_details", "output_tokens_details"), "reasoning_tokens"),
    }
    total = parts[INPUT] + parts[OUTPUT] if charged is None else charged
    return {name: count for name, count in {model: total, **parts}.items() if count}


def usage_of(tokens: Mapping[str, int]) -> BatchUsage | None:
    """The usage of a batch, from the tokens of its job; None where nothing was told."""
    if tokens.keys().isdisjoint(PARTS):
        return None
    inputs, outputs = tokens.get(INPUT, 0), tokens.get(OUTPUT, 0)
    return {
        "input_tokens": inputs,
        "input_tokens_details": {"cached_tokens": tokens.get(CACHED, 0)},
        "output_tokens": outputs,
        "output_tokens_details": {"reasoning_tokens": tokens.get(REASONING, 0)},
        "total_tokens": inputs + outputs,
        "cost": cost_in(tokens),
    }


def _count(usage: Mapping[str, Any], *names: str) -> int:
    """Of the first that is a count."""
    for name in names:
        count: object = usage.get(name)
        if isinstance(count, int) and count.__class__ is int and 0 < count <= MOST:
            return count
    return 0


def _details(usage: Mapping[str, Any], *names: str) -> JsonObject:
    for name in names:
        if details := usage.get(name):
            return to_object(details)
    return {}
