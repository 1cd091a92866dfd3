"""Operations: the rows of which a manifest's tables, and so the routes, are made."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from core.frame.dotted import load
from core.frame.types import Wire

type Method = Literal["GET", "POST", "DELETE"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: it yields an endpoint per path, a line in inspect/routes and an OpenAPI entry.

    `call` names the method of the surface's Protocol, `stream` the one used when the request has `stream: true`;
    `request` names the body's type (see `core.frame.dotted`), and is None for an operation without one, whose method
    takes the path parameters by name and, as None where they are absent, the `query` parameters.

    `open` needs no token; what is `open` or not `counted` takes nothing of the caller's quota. `tokens` is there for
    what makes tokens: it names the function from such a request to the bound that it sets itself, 0 where it sets none.
    What is `idempotent` heeds an Idempotency-Key.
    """

    method: Method
    paths: tuple[str, ...]
    call: str
    summary: str
    request: str | None = None
    stream: str | None = None
    query: tuple[str, ...] = ()
    open: bool = False
    counted: bool = True
    tokens: str | None = None
    idempotent: bool = False

    def request_type(self) -> type[Wire] | None:
        """The body's type, imported now; None for an operation without a body."""
        return None if self.request is None else load(self.request)

    def token_bound(self) -> Callable[[Any], int] | None:
        """What bounds a request's tokens, imported at its first call; None where no tokens are made."""
        name = self.tokens
        if name is None:
            return None

        def bound(request: object) -> int:
            tokens: int = load(name)(request)
            return tokens

        return bound


def openai_paths(path: str) -> tuple[str, str]:
    """`path` under both prefixes: /v1 and, for 0.2 clients, /v1/openai/v1."""
    return (f"/v1{path}", f"/v1/openai/v1{path}")
