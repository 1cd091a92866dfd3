"""Who may do what to keys. They are judged as `key::ID`, and nothing is permitted but by a rule that names them (`BY_NAME`)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from core.config.naming import unknown_names
from core.config.policy import Action, matches_pattern
from core.errors import InvalidRequest, PermissionDenied
from core.frame.callers import CATEGORIES, OWN, Allowance, Principal
from core.routing.guard import Guard, Item
from core.routing.policy import ISSUER, Owner
from core.stores.registry.kept_key import KeptKey
from core.stores.registry.key_format import StoredKey

ISSUER_OF_KEYS: Final = "api_key"
KINDS: Final = {"roles": "role", "teams": "team"}
"""The attributes that a key may have, by the kinds that rules call their names."""
NOBODYS: Final[Owner] = {
    "principal": "",
    "attributes": dict.fromkeys(CATEGORIES, (f"{OWN}the operator",)),
    ISSUER: "the operator",
}
"""Of a new key, and of those that the operator made: no caller is it or shares anything with it, so that rules about owners mean neither."""

UNITS: Final = {"requests": "requests", "tokens": "tokens", "nanos": "money"}
"""What an Allowance bounds, and the word for it."""

type Names = Callable[[str], frozenset[str] | None]
"""From `roles` or `teams` to the names that the run config gives a meaning; None where any has one."""


@dataclass(frozen=True, slots=True)
class KeyRules:
    """For one caller; `names` is None where nothing is looked up: a name may have a meaning that is not known here."""

    guard: Guard
    names: Names

    def may_read(self, entry: KeptKey) -> bool:
        """Everybody may read its own key."""
        return self.is_own(entry) or self.guard.allows("read", _item(entry))

    def is_own(self, entry: KeptKey) -> bool:
        """Whether it is the key that calls."""
        principal = self.guard.principal
        return principal is not None and (principal.vouched_by, principal.id) == (ISSUER_OF_KEYS, entry.id)

    def require(self, action: Action, entry: KeptKey) -> None:
        """Raise PermissionDenied where the caller may not; a key changes itself by no rule but one that names it."""
        decision = self.guard.decide(action, _item(entry))
        if not decision.allowed:
            raise _denial(action, "key::*")
        if action != "update" or not self.is_own(entry):
            return
        scope = None if decision.rule is None else decision.rule.scope
        if scope is None or entry.id not in {scope.principal, (scope.resource or "").removeprefix("key::")}:
            raise PermissionDenied("A key may not change what it is for itself, unless a rule names it by its id.")

    def require_create(self, key_id: str) -> None:
        """Raise PermissionDenied where the caller may make no keys."""
        if not self.guard.allows("create", Item("key", key_id, NOBODYS)):
            raise _denial("create", "key::*")

    def check_names(self, given: Mapping[str, Iterable[str]]) -> None:
        """Raise InvalidRequest for roles and teams that mean nothing here."""
        for attribute, names in given.items():
            for name, suggestion, choices in unknown_names(names, self.names(attribute)):
                raise InvalidRequest(
                    f"No rule of the access policy and no quota names `{name}` in {attribute}{suggestion}; {choices}; "
                    "`force` takes it all the same.",
                    param=attribute,
                )

    def require_gift(self, key: StoredKey, before: StoredKey | None = None) -> None:
        """Raise PermissionDenied where the key would open more than the caller may hand out; `before` is what it opens already.

        That are roles and teams of the caller's own, others by `create` on `role::NAME` and `team::NAME`; and of models and of use,
        where the caller's own key is held to some, as much as that.
        """
        principal = self.guard.principal
        if principal is None:
            return
        for attribute, kind in KINDS.items():
            own = {*principal.attributes.get(attribute, ()), *(() if before is None else getattr(before, attribute))}
            for name in getattr(key, attribute):
                if name not in own and not self.guard.allows("create", Item(kind, name, NOBODYS)):
                    raise PermissionDenied(
                        f"You do not have `{name}` in {attribute} yourself, and no rule lets you give it: "
                        f"`permit: {{actions: create, resource: '{kind}::{name}'}}` would."
                    )
        if before is None or key.models != before.models:
            _require_models(principal, key.models)
        if before is None or key.limits != before.limits:
            _require_limits(principal, key.limits)


def _require_models(principal: Principal, models: Sequence[str] | None) -> None:
    own = None if principal.grant is None else principal.grant.models
    if own is None:
        return
    outside = ["*"] if models is None else [name for name in models if not _is_within(name, own)]
    if outside:
        raise PermissionDenied(f"Your own key is for {', '.join(own)}, so that it makes none for {', '.join(outside)}.")


def _require_limits(principal: Principal, limits: Sequence[Allowance]) -> None:
    for own in () if principal.grant is None else principal.grant.limits:
        for unit in UNITS if own.hard else ():
            most = getattr(own, unit)
            bounds = [
                bound
                for row in limits
                if row.hard and row.window == own.window and (bound := getattr(row, unit)) is not None
            ]
            if most is not None and (not bounds or min(bounds) > most):
                raise PermissionDenied(
                    f"Your own key has a limit of {UNITS[unit]} a {own.window}, so that it makes none without such a "
                    "limit, and none with a higher one."
                )


def _is_within(pattern: str, others: Iterable[str]) -> bool:
    """Whether all that a pattern stands for is what one of the others does: a `*` of it is within a `*` of theirs."""
    return any(matches_pattern(other, pattern) for other in others)


def _item(entry: KeptKey) -> Item:
    return Item("key", entry.id, entry.resource.owner or NOBODYS)


def _denial(action: Action, resource: str) -> PermissionDenied:
    return PermissionDenied(
        f"No rule of server.auth.access_policy that names keys lets you {action} this one. Such a rule is "
        f"`permit: {{actions: {action}, resource: '{resource}'}}`, with a condition."
    )
