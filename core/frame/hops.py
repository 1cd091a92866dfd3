"""Through how many stacks a request over MCP has come: one whose tool group leads back to itself, or to another that does, would ask for ever.

On Lambda each round has an environment of its own, which remembers nothing of the one before.
"""

from contextvars import ContextVar
from typing import Final

HEADER: Final = "llambda-hops"
"""What a stack says of itself where it asks an MCP server: a number from 1."""
MOST: Final = 1
"""A stack may serve another one; what this one asks for is not handed on."""
HOPS: Final = ContextVar("hops", default=0)
"""Of the request under way. A context variable for the reason that `.tracing` has: no method of a provider should have to hand it on."""


def read_hops(values: tuple[str, ...]) -> int:
    """Of the header's values, 0 where it is not there; what is no small number counts as too many."""
    if not values:
        return 0
    return int(values[0]) if len(values) == 1 and values[0] in {"0", "1"} else MOST + 1
