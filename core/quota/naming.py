"""Who calls, as lines and metrics of requests have it: an id, never a secret, nor a name that people read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core.config.usage import usage_of
from core.frame.callers import Principal
from core.frame.observed import Observed
from core.quota.usage import teams_of

if TYPE_CHECKING:
    from core.config.document import RunConfig

NOBODY: Final = "anonymous"


@dataclass(frozen=True, slots=True)
class CallerNaming:
    """Whether lines name callers, and what their spend is a metric by: `caller`, `team`, `model`."""

    in_log: bool = False
    metric_by: Sequence[str] = ()

    def note(self, observed: Observed, principal: Principal) -> None:
        """As the run config wants it."""
        caller = principal.identity or NOBODY
        if self.in_log:
            observed.caller = caller
        if self.metric_by:
            groups = {"caller": caller, "team": teams_of(principal), "model": ""}
            observed.groups = {name: groups[name] for name in self.metric_by}


def naming_of(config: "RunConfig") -> CallerNaming | None:
    """None where nothing names callers."""
    usage = usage_of(config)
    return CallerNaming(usage.caller_in_log, usage.metric_by) if usage.caller_in_log or usage.metric_by else None
