"""Whose usage a caller may read: its own, and what a rule of the access policy that names it shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from core.errors import PermissionDenied
from core.frame.callers import CATEGORIES, OWN, Principal
from core.routing.guard import Guard, Item
from core.services.keys.rules import ISSUER_OF_KEYS

type Named = Literal["key", "user", "team"]
"""What a query may name others by."""

EVERYBODY: Final = "*"
NOBODYS: Final = {"principal": "", "vouched_by": "-", "attributes": {name: [f"{OWN}usage"] for name in CATEGORIES}}
"""Whose usage is for rules about owners: no caller's, so that only those count which name the reader, or say nothing of owners."""


@dataclass(frozen=True, slots=True)
class Access:
    """Of one caller, whose usage is counted of the client `own`; without a guard of the operator, who may read everything."""

    guard: Guard | None = None
    own: str = ""

    def confine(self, names: Mapping[Named, Sequence[str]]) -> str | None:
        """The client whose usage alone a query is about that names these; None where it may be about everybody's.

        Raises:
            PermissionDenied: it names others, whose usage no rule lets the caller read.
        """
        principal = None if self.guard is None else self.guard.principal
        if principal is None or principal.anonymous or self._allows(EVERYBODY):
            return None
        lists: dict[Named, Sequence[str]] = {kind: values for kind, values in names.items() if values}
        if any(all(self._allows(f"{kind}:{value}") for value in values) for kind, values in lists.items()):
            return None  # what else it names makes it less
        for kind, values in lists.items():
            for value in values:
                if value not in _own_names(kind, principal):
                    raise _denial(f"{kind}:{value}")
        return self.own

    def _allows(self, identifier: str) -> bool:
        return self.guard is None or self.guard.allows("read", Item("usage", identifier, NOBODYS))


def _own_names(kind: Named, principal: Principal) -> Sequence[str]:
    match kind:
        case "key":
            return (principal.id, principal.label) if principal.vouched_by == ISSUER_OF_KEYS else ()
        case "user":
            return (principal.id,)
        case "team":
            return principal.attributes.get("teams", ())


def _denial(identifier: str) -> PermissionDenied:
    return PermissionDenied(
        f"No rule of server.auth.access_policy that names usage lets you read that of `{identifier}`; without one you read "
        f"your own. Such a rule is `permit: {{actions: read, resource: 'usage::{identifier}'}}`, or `usage::*` for everybody's, "
        "with a condition."
    )
