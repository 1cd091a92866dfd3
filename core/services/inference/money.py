"""What a call may cost before it runs: for who has a limit of money. What it did cost is told by the rows of its ledger."""

from collections.abc import Mapping
from typing import Any, Final

from core.apis.prompt_bounds import PromptBound, bound_prompt
from core.errors import NotFound, PriceUnknown
from core.frame.observed import nanos_of
from core.frame.resources import Resource
from core.frame.types import Wire
from core.routing.guard import GuardedRegistry
from core.routing.targets import Target, targets_of
from core.services.inference.router import FindPrice, has_tier

LEAST: Final = 1  # nano-USD, for what nobody can tell before: who has nothing left gets none of it
CONTEXT: Final = "context_length"
"""Of a model's metadata: the most tokens of a prompt. Only what the run config declares counts: callers could say less."""
UNPRICED: Final = (
    "Nobody knows what this call of `{}` costs, and money is limited for you. Give the model a price, in its metadata or in "
    "server.usage.prices of the run config, or let it pass there: `unpriced: allow`."
)
UNPRICED_BATCH: Final = (
    "Nobody knows what a batch of `{}` costs at its provider, and money is limited for you. Give its price a `batch`, in its metadata "
    "or in server.usage.prices of the run config, or let it pass there: `unpriced: allow`."
)


class MoneyRouter:
    """Answers `core.apis.prices.MoneyBounds`, by the models that one caller sees."""

    def __init__(self, models: GuardedRegistry, find_price: FindPrice, *, refuses: bool = True) -> None:
        """Where it `refuses`, a model without a price is an error; else it costs nothing that is known."""
        self._models = models
        self._find_price = find_price
        self._refuses = refuses

    async def most_nanos(self, model: str, body: Wire, tokens: int, requests: int = 1) -> int:
        if not model:
            return LEAST
        try:
            resource = await self._models.get(model)
        except NotFound:  # whoever answers the call says so in its own words, as if there were no limit
            return LEAST
        prompt = bound_prompt(body)
        completion = tokens if resource.attributes["model_type"] == "llm" else 0
        costs = [self._picos(resource, at, body, prompt, completion, requests) for at in targets_of(resource)]
        most = nanos_of(max(cost or 0 for cost in costs))
        if None not in costs:
            return most
        if self._refuses:
            raise PriceUnknown(UNPRICED.format(model), param="model")
        return max(LEAST, most)

    async def most_of_batch(self, model: str, provider_id: str, prompt: int, tokens: int, requests: int) -> int:
        try:
            resource = await self._models.get(model)
        except NotFound:
            return LEAST
        target = next((at for at in targets_of(resource) if at.provider_id == provider_id), None)
        price = None if target is None else self._find_price(self._models, resource, target)
        of_batch = None if price is None else price.batch
        completion = tokens if resource.attributes["model_type"] == "llm" else 0
        picos = None if of_batch is None else of_batch.most_picos(prompt, completion, requests)
        if picos is not None:
            return nanos_of(picos)
        if self._refuses:
            raise PriceUnknown(UNPRICED_BATCH.format(model), param="model")
        return LEAST

    def _picos(
        self, resource: Resource, at: Target, body: Wire, prompt: PromptBound, completion: int, requests: int
    ) -> int | None:
        price = None if has_tier(body) else self._find_price(self._models, resource, at)
        if price is None:
            return None
        context, parts = self._context_of(at), max(1, requests)
        most = prompt.tokens if context is None else context * parts
        return price.most_picos(most if prompt.is_open else min(most, prompt.tokens), completion, parts)

    def _context_of(self, at: Target) -> int | None:
        for row in self._models.declared_at(*at.place):
            metadata: Mapping[str, Any] = row.attributes.get("metadata") or {}
            length: object = metadata.get(CONTEXT)
            if type(length) is int and length > 0:
                return length
        return None
