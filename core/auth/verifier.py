"""The port of an auth provider: a token in, a principal out. Adapters match by shape."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

from core.auth.http import Http
from core.frame.callers import CATEGORIES, OWN, Principal
from core.stores.registry.port import RegistryStore

MOST_TOKEN_BYTES = 16_384


class Fit(IntEnum):
    """Whether a token looks like one of a provider's, by its shape alone and without any trust in it."""

    NO = 0
    MAYBE = 1
    MINE = 2  # no other provider could have issued it: only this one is asked


@dataclass(frozen=True, slots=True)
class Incoming:
    """What an auth provider may see of a request.

    `headers` are in order, lower case, and lack every one that carries a secret; `params` are the query's.
    """

    token: str = field(repr=False)
    path: str = "/"
    headers: Sequence[tuple[str, str]] = ()
    params: Mapping[str, list[str]] = field(default_factory=dict[str, list[str]])


class Verifier(Protocol):
    """An auth provider. It keeps no token, and shows none in an error, a log or a repr."""

    def fit(self, token: str) -> Fit:
        """Never raises."""
        ...

    async def verify(self, incoming: Incoming) -> Principal:
        """The token's bearer.

        Raises:
            Unauthenticated: the token is not valid (any more), or not for this stack.
            AuthUnavailable: it cannot be told now; nothing of this is remembered.
            PermissionDenied: it has none of the scopes that are needed.
        """
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """What auth providers share: HTTP to issuers and endpoints, and the registry, where API keys lie.

    `counts` is whether there is a quota, which holds callers to limits of their own. `closing` ends what they do for more than one caller, before HTTP closes.
    """

    http: Http
    registry: RegistryStore
    counts: bool = True
    closing: AsyncExitStack = field(default_factory=AsyncExitStack)


def make_principal(
    id_: str, attributes: Mapping[str, Sequence[str]], vouched_by: str, *, private: bool = False
) -> Principal:
    """Without any of CATEGORIES it gets a namespace of its own: the policies of the reference share what has no attributes.

    A `private` one has a name of its own in any case, in the last of CATEGORIES in which it has no other. No claim and no
    role can be such a name.
    """
    names = {name: tuple(value for value in values if not value.startswith(OWN)) for name, values in attributes.items()}
    names = {name: values for name, values in names.items() if values}
    free = [category for category in CATEGORIES if category not in names]
    if free and (private or len(free) == len(CATEGORIES)):
        names[free[-1]] = (OWN + Principal(id_, {}, vouched_by).identity,)
    return Principal(id_, names, vouched_by)
