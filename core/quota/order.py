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

    async def most_of_batch(self, model: str, provider_id: str, prompt: int, tokens: int, requests: int) -> int:
        """The same of a batch that the provider runs itself, whose prompts have so many tokens together."""
        ...


type FindMoney = Callable[[Call], MoneyBounds | None]
"""None where the stack asks no models."""

type FindModel = Callable[[Call, str], Awaitable[tuple[str, str] | None]]
"""The id of the model that a caller calls so, and its provider's name for it; None for what is not there for the caller."""


@dataclass(frozen=True, slots=True)
class BatchSize:
    """Of many bodies together, which a provider runs in a batch of its own: tokens of all prompts at most, and how many bodies set no bound of tokens."""

    provider_id: str
    prompt: int
    unbound: int


@dataclass(frozen=True, slots=True)
class Order:
    """`model` is the name in the `body`, "" where that names none. Of a `batch` the size is known, and the body empty."""

    model: str
    body: Wire
    batch: BatchSize | None = None

    def prompt_tokens(self) -> int:
        """How many the prompt has at most."""
        if self.batch is not None:
            return self.batch.prompt
        bound: Any = load(
            "core.apis.prompt_bounds:bound_prompt"
        )  # by its name: functions that ask no model have it not
        tokens: int = bound(self.body).tokens
        return tokens


def batch_order(model: str, provider_id: str, prompt: int, unbound: int) -> Order:
    """For services, which know no quota, by its name."""
    return Order(model, Wire(), BatchSize(provider_id, prompt, unbound))
