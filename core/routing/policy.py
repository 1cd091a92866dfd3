"""Whether a principal may do something to a resource: the access policy as a decision, without I/O.

Source: is_action_allowed and the conditions of Llama Stack 0.2.12; `resource is unowned` is OGX's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from core.config.policy import (
    ACTIONS,
    AccessRule,
    Action,
    Condition,
    Scope,
    parse_condition,
    resource_pattern,
    to_tuple,
)
from core.frame.callers import CATEGORIES, Principal

# Constructed, not validated: that would build the records' validators a second time, at every import.
DEFAULT_POLICY: Final = (
    AccessRule.model_construct(
        permit=Scope.model_construct(actions=ACTIONS),
        when=tuple(f"user in owners {category}" for category in CATEGORIES),
    ),
)

type Owner = Mapping[str, Any]


class Entity(Protocol):
    """What a rule may be about, as `kind::identifier`: a registered resource, a configuration, a document, a job."""

    @property
    def kind(self) -> str: ...

    @property
    def identifier(self) -> str: ...

    @property
    def owner(self) -> Owner | None:
        """Whoever made it, as `owner_of` says."""
        ...


def owner_of(principal: Principal | None) -> dict[str, Any] | None:
    """What is kept of whoever makes something; None for the anonymous caller and for the stack itself."""
    if principal is None or principal.anonymous:
        return None
    shared = {name: list(principal.attributes[name]) for name in CATEGORIES if principal.attributes.get(name)}
    return {"principal": principal.id, "attributes": shared}


def same_owner(one: Owner | None, other: Owner | None) -> bool:
    """Whether both are the same principal's, whatever attributes it had when; what nobody owns is everybody's."""
    if one is None or other is None:
        return one is other
    return all(one.get(name) == other.get(name) for name in {*one, *other} - {"attributes"})


@dataclass(frozen=True, slots=True)
class Decision:
    """`rule` decided, which is at `index` of the policy; both are None where no rule did."""

    allowed: bool
    rule: AccessRule | None = None
    index: int | None = None


BY_NO_RULE: Final = Decision(allowed=False)
BY_THE_STACK: Final = Decision(allowed=True)


class Policy:
    """The first rule that matches decides; if none does, the answer is no."""

    def __init__(self, rules: Sequence[AccessRule]) -> None:
        self._rules = [
            (_Matcher(rule), Decision(rule.permit is not None, rule, index)) for index, rule in enumerate(rules)
        ]

    def decide(self, principal: Principal | None, action: Action, entity: Entity, also: Sequence[str] = ()) -> Decision:
        """What the policy says; `also` are other identifiers of it, and a rule about one is about all.

        None as principal is the stack itself, which may do everything.
        """
        if principal is None:
            return BY_THE_STACK
        for matcher, decision in self._rules:
            if matcher.mismatch(principal, action, entity, also) is None:
                return decision
        return BY_NO_RULE

    def allows(self, principal: Principal | None, action: Action, entity: Entity, also: Sequence[str] = ()) -> bool:
        """The decision without its reason."""
        return self.decide(principal, action, entity, also).allowed

    def mismatches(self, principal: Principal, action: Action, entity: Entity, also: Sequence[str] = ()) -> list[str]:
        """Why each of the rules before the one that decides does not match."""
        reasons: list[str] = []
        for matcher, _ in self._rules:
            reason = matcher.mismatch(principal, action, entity, also)
            if reason is None:
                break
            reasons.append(reason)
        return reasons


class _Matcher:
    __slots__ = ("_actions", "_pattern", "_scope", "_unless", "_when")

    def __init__(self, rule: AccessRule) -> None:
        self._scope = rule.scope
        self._actions = frozenset(to_tuple(self._scope.actions))
        self._pattern = None if self._scope.resource is None else resource_pattern(self._scope.resource)
        self._when = [(text, parse_condition(text)) for text in to_tuple(rule.when)]
        self._unless = [(text, parse_condition(text)) for text in to_tuple(rule.unless)]

    def mismatch(self, principal: Principal, action: Action, entity: Entity, also: Sequence[str]) -> str | None:
        """Why the rule does not match, None if it does."""
        scope = self._scope
        if scope.principal is not None and scope.principal != principal.id:
            return f"it is for `{scope.principal}`"
        if action not in self._actions:
            return f"it is about {', '.join(to_tuple(scope.actions))}"
        if not self._means(entity, also):
            return f"it is about `{scope.resource}`"
        for text, condition in self._when:
            if not holds(condition, principal, entity.owner):
                return f"`{text}` does not hold"
        if self._unless and all(holds(condition, principal, entity.owner) for _, condition in self._unless):
            return f"excepted by {' and '.join(f'`{text}`' for text, _ in self._unless)}"
        return None

    def _means(self, entity: Entity, also: Sequence[str]) -> bool:
        pattern = self._pattern
        if pattern is None:
            return True
        return any(pattern.fullmatch(f"{entity.kind}::{name}") for name in (entity.identifier, *also))


def holds(condition: Condition, principal: Principal, owner: Owner | None) -> bool:
    return _is_so(condition, principal, owner) is not condition.negated


def _is_so(condition: Condition, principal: Principal, owner: Owner | None) -> bool:
    match condition.fact:
        case "user in owners":
            shared = owner["attributes"].get(condition.attribute) if owner is not None else None
            return not shared or not set(shared).isdisjoint(principal.attributes.get(condition.attribute, ()))
        case "user with":
            return condition.value in principal.attributes.get(condition.attribute, ())
        case "user is owner":
            return owner is not None and not principal.anonymous and owner["principal"] == principal.id
        case "resource is unowned":
            return owner is None
