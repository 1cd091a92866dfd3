"""The shape of an operation's row; each API's file has its table."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from core.frame.types import Wire

type Method = Literal["GET", "POST", "DELETE"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: it yields an endpoint per path, a line in inspect/routes and an OpenAPI entry.

    `call` names the method of the API's Protocol, `stream` the one used when the request has
    `stream: true`; `request` gives the body's type, and is None for an operation without one, whose method takes the path
    parameters by name and, as None where they are absent, the `query` parameters.

    `open` needs no token; what is `open` or not `counted` takes nothing of the caller's quota. `tokens` is there for what
    makes tokens: the bound that a request sets itself, 0 where it sets none. What is `idempotent` heeds an Idempotency-Key.
    """

    method: Method
    paths: tuple[str, ...]
    call: str
    summary: str
    request: Callable[[], type[Wire]] | None = None
    stream: str | None = None
    query: tuple[str, ...] = ()
    open: bool = False
    counted: bool = True
    tokens: Callable[[Any], int] | None = None
    idempotent: bool = False


def openai_paths(path: str) -> tuple[str, str]:
    """`path` under both prefixes: /v1 and, for 0.2 clients, /v1/openai/v1."""
    return (f"/v1{path}", f"/v1/openai/v1{path}")
