"""Which shields guard a call of a model: what judges the request, and what judges the reply.

Those that the named model's metadata has; those of every model that the run config declares at a place where the call may
end; the deployment's own, and the caller's, of the run config's `safety`. Where there is no auth, everybody may change what
anybody registers: then what is registered for one name of a place holds for all of them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from core.config.policy import Condition, parse_condition, to_tuple
from core.config.safety import SafetyConfig, ShieldLists, ShieldRule
from core.errors import NotFound, ProviderUnavailable
from core.frame.callers import Call, Principal
from core.frame.resources import Resource
from core.routing.guard import GuardedRegistry, RegistryFactory
from core.routing.policy import Owner, same_owner
from core.routing.targets import targets_of

type Names = tuple[list[str], list[str]]
"""Ids of shields, for requests and for replies; each once, in order."""


@dataclass(frozen=True, slots=True)
class ShieldPolicy:
    """What the run config says, for one stack; `shields` gives the registry of them, None where there is none."""

    safety: SafetyConfig
    shields: Callable[[], RegistryFactory | None]

    async def shields_of(self, call: Call, model: Resource, models: GuardedRegistry) -> Names:
        """The shields for this call of `model`.

        Raises:
            ProviderUnavailable: one of them is not whose word it is: the run config's, or that of the model's owner.
        """
        places = [target.place for target in targets_of(model)]
        declared = [row for place in places for row in models.declared_at(*place)]
        rules = [_from_metadata(row) for row in declared if row.attributes["metadata"]]
        if not call.for_verdict:
            rules += self._rules_for(call.principal, model.owner, models)
        own = [model]
        if (
            call.principal.anonymous and model not in declared
        ):  # what the run config says of a name of its own, nobody adds to
            own += [row for place in places for row in await models.own_attributes_at(*place)]
        lists = [_from_metadata(row) for row in own if row.attributes["metadata"]] + rules
        if not any(before or after for before, after in lists):
            return [], []
        names = _union(lists)
        if not call.principal.anonymous:
            operators = {name for names in rules for name in (*names[0], *names[1])}
            for name in dict.fromkeys((*names[0], *names[1])):
                await self._check(name, None if name in operators else model, call)
        return names

    def _rules_for(self, principal: Principal, owner: Owner | None, models: GuardedRegistry) -> Iterator[Names]:
        lists = self.safety.default_shields
        if lists.input or lists.output:
            yield _names(lists)
        for rule in self.safety.rules:
            if _matches(rule, lambda condition: models.holds(condition, principal, owner)):
                yield _names(rule.shields)

    async def _check(self, name: str, model: Resource | None, call: Call) -> None:
        """Anybody may register a shield under a name that is free: what the operator (no `model`) or an owner means is theirs."""
        shields = self.shields()
        if shields is None or (registry := shields(call)).declares(name):
            return
        if model is None:
            raise ProviderUnavailable(
                f"The run config guards this model by shield `{name}`, which it does not declare."
            )
        try:
            shield = await registry.get(name)
        except NotFound:
            shield = None
        if shield is None or not same_owner(shield.owner, model.owner):
            raise ProviderUnavailable(f"The model is guarded by shield `{name}`, which does not exist.")


def _matches(rule: ShieldRule, holds: Callable[[Condition], bool]) -> bool:
    conditions = (parse_condition(text) for text in to_tuple(rule.when if rule.unless is None else rule.unless))
    return all(map(holds, conditions)) is (rule.unless is None)


def _names(lists: ShieldLists) -> Names:
    return list(lists.input), list(lists.output)


def _from_metadata(row: Resource) -> Names:
    metadata: dict[str, Any] = row.attributes["metadata"]
    return list(metadata.get("input_shields") or ()), list(metadata.get("output_shields") or ())


def _union(lists: Sequence[Names]) -> Names:
    before, after = (dict.fromkeys(name for names in lists for name in names[index]) for index in (0, 1))
    return list(before), list(after)
