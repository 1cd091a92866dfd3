"""The shields of an agent, at both ends of a turn: what they find is a step of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from core.apis.safety import INPUT, RunShieldRequest, Safety, Violation
from core.errors import NotFound
from core.frame.types import JsonObject
from core.platform.concurrency import run_all
from core.services.agents.turns.steps import Judgement
from core.services.responses.guardrails import REFUSAL

AT_ONCE: Final = 4
STOPS: Final = "error"
"""The level of a violation that ends a turn, as in 0.2: others are shown, and it goes on."""
NO_SAFETY: Final = "this stack has no shields: its run config needs `safety` among its `apis`, and a provider of it."


@dataclass(slots=True)
class TurnShields:
    """Keeps `core.services.responses.guardrails.Judge`; `judgements` are those that nobody has taken yet."""

    safety: Safety = field(repr=False)
    input_shields: Sequence[str]
    output_shields: Sequence[str]
    clock: Callable[[], float]
    judgements: list[Judgement] = field(default_factory=list[Judgement])

    async def judge(self, messages: Sequence[JsonObject], source: str) -> str | None:
        """All of them judge at once, and the first in their order that stops the turn counts."""
        shields = self.input_shields if source == INPUT else self.output_shields
        if not shields:
            return None
        began = self.clock()
        jobs = [partial(self._ask, place, shield, messages, source) for place, shield in enumerate(shields)]
        violations = [violation for violation in await run_all(jobs, at_once=AT_ONCE) if violation is not None]
        stopping = next((violation for violation in violations if violation["violation_level"] == STOPS), None)
        first = stopping or (violations[0] if violations else None)
        self.judgements.append(Judgement(source, first, began, self.clock(), stops=stopping is not None))
        return None if stopping is None else stopping["user_message"] or REFUSAL

    def take(self) -> Sequence[Judgement]:
        judgements, self.judgements = self.judgements, []
        return judgements

    async def _ask(self, place: int, shield: str, messages: Sequence[JsonObject], source: str) -> Violation | None:
        try:
            report = await self.safety.run_shield(
                RunShieldRequest(shield_id=shield, messages=[*messages], params={"source": source})
            )
        except NotFound as unknown:
            path = f"agent_config.{'input' if source == INPUT else 'output'}_shields[{place}]"
            raise NotFound(f"{path}: {unknown.message}", param=path) from None
        violation: Violation | None = report["violation"]
        return violation
