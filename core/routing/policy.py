"""Whether a principal may do something to a resource: the access policy as a decision, without I/O.

Source: is_action_allowed and the conditions of Llama Stack 0.2.12; `resource is unowned` is OGX's, the issuer llambda's own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Protocol

from core.config.policy import (
    ACTIONS,
    AccessRule,
    Action,
    Condition,
    Scope,
    parse_condition,
    resource_matcher,
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

ISSUER: Final = "vouched_by"
OTHER_KINDS: Final = ("kex", "anyotherkind", "\0")  # of none of BY_NAME, and of every shape that a pattern may be for
LONGEST_LIST: Final = 500  # characters
SAME_KIND: Final = ("vector_store", "vector_db")
"""The names that a kind has had over the reference's versions: a rule about one is about the other."""
BY_NAME: Final = frozenset(("key", "price", "role", "team", "usage"))
"""Kinds of which a rule permits nothing that does not name them: one about everything, older than they are, says nothing of who may hand out access, or read what others do."""

type Owner = Mapping[str, Any]
type Heir = Callable[[Principal], bool]
"""Whether what is stored with an owner's id alone, as before owners had an issuer, is this caller's if the ids are the same."""


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
    issuer = {ISSUER: principal.vouched_by} if principal.vouched_by else {}
    return {"principal": principal.id, "attributes": shared, **issuer}


def owner_list(principal: Principal | None) -> str:
    """The list that a caller's documents are in; the stack's own are with those of nobody."""
    identity = "" if principal is None else principal.identity
    return identity if len(identity) <= LONGEST_LIST else f"sha256:{sha256(identity.encode()).hexdigest()}"


def is_owner(principal: Principal, owner: Owner | None, is_heir: Heir) -> bool:
    """Whether the same issuer vouches for both, and the ids are the same."""
    if owner is None or principal.anonymous or owner["principal"] != principal.id:
        return False
    return owner[ISSUER] == principal.vouched_by if ISSUER in owner else is_heir(principal)


def same_owner(one: Owner | None, other: Owner | None) -> bool:
    """Whether both are the same principal's, whatever attributes it had when; what nobody owns is everybody's.

    An owner of before there were issuers is whoever has its id.
    """
    if one is None or other is None:
        return one is other
    issuers = {owner[ISSUER] for owner in (one, other) if ISSUER in owner}
    return one["principal"] == other["principal"] and len(issuers) <= 1


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

    def __init__(self, rules: Sequence[AccessRule], is_heir: Heir = lambda _: True) -> None:
        self._is_heir = is_heir
        self._rules = [
            (_Matcher(rule, is_heir), Decision(rule.permit is not None, rule, index))
            for index, rule in enumerate(rules)
        ]

    def decide(
        self,
        principal: Principal | None,
        action: Action,
        entity: Entity,
        also: Sequence[str] = (),
        *,
        stands_for: Sequence[str] = (),
    ) -> Decision:
        """What the policy says; `also` are other identifiers of it, and a rule about one is about all.

        A rule that forbids one of those that it `stands_for` forbids it too; one that permits it does not permit it.
        None as principal is the stack itself, which may do everything.
        """
        if principal is None:
            return BY_THE_STACK
        for matcher, decision in self._rules:
            names = also if decision.allowed or not stands_for else (*also, *stands_for)
            if matcher.mismatch(principal, action, entity, names) is None:
                return decision
        return BY_NO_RULE

    def allows(
        self,
        principal: Principal | None,
        action: Action,
        entity: Entity,
        also: Sequence[str] = (),
        *,
        stands_for: Sequence[str] = (),
    ) -> bool:
        """The decision without its reason."""
        return self.decide(principal, action, entity, also, stands_for=stands_for).allowed

    def holds(self, condition: Condition, principal: Principal, owner: Owner | None) -> bool:
        """Whether it does for this caller, of what `owner` owns, whatever the rules say."""
        return holds(condition, principal, owner, self._is_heir)

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
    __slots__ = ("_actions", "_is_heir", "_matches", "_permits", "_scope", "_unless", "_when")

    def __init__(self, rule: AccessRule, is_heir: Heir) -> None:
        self._is_heir = is_heir
        self._scope = rule.scope
        self._permits = rule.permit is not None
        self._actions = frozenset(to_tuple(self._scope.actions))
        self._matches = None if self._scope.resource is None else resource_matcher(self._scope.resource)
        self._when = [(text, parse_condition(text)) for text in to_tuple(rule.when)]
        self._unless = [(text, parse_condition(text)) for text in to_tuple(rule.unless)]

    def mismatch(self, principal: Principal, action: Action, entity: Entity, also: Sequence[str]) -> str | None:
        """Why the rule does not match, None if it does."""
        scope = self._scope
        if not self._is_for(principal):
            return f"it is for {' of '.join(f'`{name}`' for name in (scope.principal, scope.issuer) if name)}"
        if action not in self._actions:
            return f"it is about {', '.join(to_tuple(scope.actions))}"
        if (reason := self._elsewhere(entity, also)) is not None:
            return reason
        unmet = next((text for text, row in self._when if not holds(row, principal, entity.owner, self._is_heir)), None)
        if unmet is not None:
            return f"`{unmet}` does not hold"
        if self._unless and all(
            holds(condition, principal, entity.owner, self._is_heir) for _, condition in self._unless
        ):
            return f"excepted by {' and '.join(f'`{text}`' for text, _ in self._unless)}"
        return None

    def _is_for(self, principal: Principal) -> bool:
        name, issuer = self._scope.principal, self._scope.issuer
        return name in (None, principal.id) and issuer in (None, principal.vouched_by, principal.issuer)

    def _elsewhere(self, entity: Entity, also: Sequence[str]) -> str | None:
        """What else it is about, None if it is about this."""
        if not self._means(entity, also):
            return f"it is about `{self._scope.resource}`"
        if self._permits and entity.kind in BY_NAME and not self._names_kind(entity):
            return f"it does not name `{entity.kind}::`, which a rule must that permits anything of it"
        return None

    def _means(self, entity: Entity, also: Sequence[str]) -> bool:
        matches = self._matches
        if matches is None:
            return True
        kinds = SAME_KIND if entity.kind in SAME_KIND else (entity.kind,)
        return any(matches(f"{kind}::{name}") for kind in kinds for name in (entity.identifier, *also))

    def _names_kind(self, entity: Entity) -> bool:
        """Whether it is about this kind, rather than about every kind."""
        matches = self._matches
        return matches is not None and not any(matches(f"{kind}::{entity.identifier}") for kind in OTHER_KINDS)


def holds(condition: Condition, principal: Principal, owner: Owner | None, is_heir: Heir) -> bool:
    """Whether it does for this caller, of what `owner` owns."""
    return _is_so(condition, principal, owner, is_heir) is not condition.negated


def _is_so(condition: Condition, principal: Principal, owner: Owner | None, is_heir: Heir) -> bool:
    match condition.fact:
        case "user in owners":
            return owner is None or _shares(condition.attribute, principal, owner, is_heir)
        case "user with":
            return condition.value in principal.attributes.get(condition.attribute, ())
        case "user is owner":
            return is_owner(principal, owner, is_heir)
        case "resource is unowned":
            return owner is None


def _shares(attribute: str, principal: Principal, owner: Owner, is_heir: Heir) -> bool:
    names = owner["attributes"].get(attribute)
    if not names or not set(names).isdisjoint(principal.attributes.get(attribute, ())):
        return True
    # Before owners had an issuer, a subject was a namespace, or a role word by word: what it made stays its own.
    subject = owner["principal"]
    was_subject = ISSUER not in owner and (subject in names or {*subject.split()} <= {*names})
    return was_subject and is_owner(principal, owner, is_heir)
