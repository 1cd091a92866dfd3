"""What a call asks a model for, as limits of tokens, of money and of models want to know it before it runs."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from core.frame.callers import Call
from core.frame.dotted import load
from core.frame.types import Wire


class MoneyBounds(Protocol):
    """What the service of inference knows of one caller's models; see `core.services.inference.money`."""

    async def most_nanos(self, model: str, body: Wire, tokens: int, requests: int = 1) -> int:
        """What a call costs at most that makes so many tokens of completion, in nano-USD; raises PriceUnknown."""
        ...


type FindMoney = Callable[[Call], MoneyBounds | None]
"""None where the stack asks no models."""

type FindModel = Callable[[Call, str], Awaitable[tuple[str, str] | None]]
"""The id of the model that a caller calls so, and its provider's name for it; None for what is not there for the caller."""


@dataclass(frozen=True, slots=True)
class Order:
    """`model` is the name in the `body`, "" where that names none."""

    model: str
    body: Wire

    def prompt_tokens(self) -> int:
        """How many the prompt has at most."""
        bound: Any = load(
            "core.apis.prompt_bounds:bound_prompt"
        )  # by its name: functions that ask no model have it not
        tokens: int = bound(self.body).tokens
        return tokens
