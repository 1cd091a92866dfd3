"""Which shields guard a call of a model: what judges the request, and what judges the reply.

Those that the named model's metadata has; those of every model that the run config declares at a place where the call may
end; the deployment's own, and the caller's, of the run config's `safety`. Where there is no auth, everybody may change what
anybody registers: then what is registered for one name of a place holds for all of them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from core.apis.models import SHIELDS
from core.config.policy import Condition, parse_condition, to_tuple
from core.config.safety import SafetyConfig, ShieldLists, ShieldRule
from core.errors import ProviderUnavailable
from core.frame.callers import Call, Principal
from core.frame.resources import Resource
from core.routing.guard import GuardedRegistry
from core.routing.policy import Owner
from core.routing.targets import targets_of

type Names = tuple[list[str], list[str]]
"""Ids of shields, for requests and for replies; each once, in order."""


@dataclass(frozen=True, slots=True)
class ShieldPolicy:
    """What the run config says, for one stack; `declares` tells whether it has a shield of this name."""

    safety: SafetyConfig
    declares: Callable[[str], bool]

    async def shields_of(self, call: Call, model: Resource, models: GuardedRegistry) -> Names:
        """The shields for this call of `model`.

        Raises:
            ProviderUnavailable: the run config names a shield that it does not declare: whoever registers one of that name
                would judge everybody's calls.
        """
        places = [target.place for target in targets_of(model)]
        declared = [row for place in places for row in models.declared_at(*place)]
        rules = [_from_metadata(row) for row in declared]
        # Not where the model is asked for a verdict: a default shield would then judge its own guard model, forever.
        rules += [] if call.judging else list(self._rules_for(call.principal, model.owner, models))
        if not call.principal.anonymous:
            self._check_declared(rules)
        own = [model]
        if model not in declared:  # what the run config says of a name of its own, nobody adds to
            own += [row for place in places for row in await models.registered_at(*place)]
        return _union([*map(_from_metadata, own), *rules])

    def _rules_for(self, principal: Principal, owner: Owner | None, models: GuardedRegistry) -> Iterator[Names]:
        yield _names(self.safety.default_shields)
        for rule in self.safety.rules:
            if _matches(rule, lambda condition: models.holds(condition, principal, owner)):
                yield _names(rule.shields)

    def _check_declared(self, lists: Sequence[Names]) -> None:
        for name in (name for names in _union(lists) for name in names):
            if not self.declares(name):
                raise ProviderUnavailable(
                    f"The run config guards this model by shield `{name}`, which it does not declare."
                )


def _matches(rule: ShieldRule, holds: Callable[[Condition], bool]) -> bool:
    conditions = (parse_condition(text) for text in to_tuple(rule.when if rule.unless is None else rule.unless))
    return all(map(holds, conditions)) is (rule.unless is None)


def _names(lists: ShieldLists) -> Names:
    return list(lists.input), list(lists.output)


def _from_metadata(row: Resource) -> Names:
    metadata: dict[str, Any] = row.attributes["metadata"]
    before, after = SHIELDS
    return list(metadata.get(before) or ()), list(metadata.get(after) or ())


def _union(lists: Sequence[Names]) -> Names:
    before, after = (dict.fromkeys(name for names in lists for name in names[index]) for index in (0, 1))
    return list(before), list(after)
