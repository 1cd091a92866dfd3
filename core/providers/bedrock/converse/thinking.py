"""OpenAI's reasoning_effort in the words of the model that is to think. Pure.

Imported with the first request that has it. Sources:
https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-extended-thinking.html,
https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-adaptive-thinking.html,
https://docs.aws.amazon.com/nova/latest/nova2-userguide/extended-thinking.html,
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-openai.html.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from core.frame.types import JsonObject
from core.providers.bedrock.converse.families import Family, Thinks
from core.providers.bedrock.converse.sampling import token_bound
from core.providers.http.fields import invalid_field

BUDGETS: Final = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 24576, "max": 24576}
"""Tokens to think with; Claude takes no fewer than the first."""
LEAST_BUDGET: Final = 1024
FOR_ANSWER: Final = (
    4096  # tokens beside the budget, where the caller has no bound: what Converse gives an answer without one
)
EFFORTS: Final = frozenset({"none", *BUDGETS})
HIGHEST: Final = frozenset({"xhigh", "max"})
TO_THREE: Final = {"minimal": "low", "xhigh": "high", "max": "high"}  # of low, medium, high


@dataclass(frozen=True, slots=True)
class Thinking:
    """What a request says of it: the model's own fields, Converse's effort, and a bound where there must be one."""

    fields: JsonObject = field(default_factory=dict[str, Any])
    effort: str = ""
    max_tokens: int = 0
    alone: bool = False  # the model takes no inferenceConfig beside it, but for stop sequences


NOTHING: Final = Thinking()


@dataclass(frozen=True, slots=True)
class Wish:
    """What an effort is asked for with."""

    effort: str
    family: Family
    bound: int | None  # tokens
    must_call: bool  # a tool
    turns: Sequence[JsonObject]


def to_thinking(
    options: Mapping[str, Any], family: Family, turns: Sequence[JsonObject], *, must_call: bool
) -> Thinking:
    """Raises InvalidRequest for an effort that is none, or that the model cannot make."""
    effort = options["reasoning_effort"]
    if not isinstance(effort, str) or effort not in EFFORTS:
        raise invalid_field("reasoning_effort", "must be none, minimal, low, medium, high, xhigh or max.")
    return TRANSLATIONS[family.thinks](Wish(effort, family, token_bound(options), must_call, turns))


def _as_openai(wish: Wish) -> Thinking:
    return Thinking({"reasoning_effort": wish.effort})


def _in_reasoning(wish: Wish) -> Thinking:
    return Thinking({"reasoning": {"effort": _least(wish.effort)}})


def _as_effort(wish: Wish) -> Thinking:
    return NOTHING if wish.effort == "none" else Thinking(effort=_least(wish.effort))


def _not_at_all(wish: Wish) -> Thinking:
    if wish.effort not in ("none", "minimal"):
        raise invalid_field("reasoning_effort", "Bedrock has none for this model; leave it out.")
    return NOTHING


def _least(effort: str) -> str:
    """Where the least effort is low."""
    return "low" if effort == "minimal" else effort


def _with_budget(wish: Wish) -> Thinking:
    """A bound is for both thoughts and answer, as OpenAI's is: half of it is left for the answer."""
    if wish.effort == "none" or wish.must_call or _lacks_thoughts(wish.turns):
        return NOTHING
    most = BUDGETS[wish.effort]
    if wish.bound is None:
        return Thinking(_budget(most), max_tokens=most + FOR_ANSWER)
    budget = min(most, wish.bound // 2)
    return NOTHING if budget < LEAST_BUDGET else Thinking(_budget(budget))


def _budget(tokens: int) -> JsonObject:
    return {"thinking": {"type": "enabled", "budget_tokens": tokens}}


def _adaptive(wish: Wish) -> Thinking:
    """Without thinking, which a forced tool excludes, the highest effort is high."""
    if wish.effort == "none":
        return NOTHING
    effort = _least(wish.effort)
    if (effort == "xhigh" and not wish.family.xhigh) or (effort in HIGHEST and wish.must_call):
        effort = "high"
    return Thinking({} if wish.must_call else {"thinking": {"type": "adaptive"}}, effort)


def _nova(wish: Wish) -> Thinking:
    """High effort excludes a bound; the caller's stays."""
    if wish.effort == "none":
        return NOTHING
    effort = TO_THREE.get(wish.effort, wish.effort)
    if effort == "high" and wish.bound is not None:
        effort = "medium"
    fields = {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": effort}}
    return Thinking(fields, alone=effort == "high")


def _lacks_thoughts(turns: Sequence[JsonObject]) -> bool:
    """Whether the answer goes on from what Claude with a budget would have thought about, and nobody has the thoughts.

    That is an answer that was begun, or a call that came without what led to it, as clients of OpenAI send it back.
    """
    if turns and turns[-1]["role"] == "assistant":
        return True
    if not turns or not any("toolResult" in block for block in turns[-1]["content"]):
        return False
    spoken = [turn["content"] for turn in turns if turn["role"] == "assistant"]
    return not spoken or "reasoningContent" not in spoken[-1][0]


TRANSLATIONS: Final[Mapping[Thinks, Callable[[Wish], Thinking]]] = {
    Thinks.NO: _not_at_all,
    Thinks.EFFORT: _as_effort,
    Thinks.BUDGET: _with_budget,
    Thinks.ADAPTIVE: _adaptive,
    Thinks.NOVA: _nova,
    Thinks.OPENAI: _as_openai,
    Thinks.OPENAI_NESTED: _in_reasoning,
}
