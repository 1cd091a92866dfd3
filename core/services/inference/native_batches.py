"""Where a model's rows of batches run at its own provider: what its metadata, its shields and its targets say of it."""

from collections.abc import Mapping
from typing import Final

from core.apis.batch_engine import METADATA, MODES, BatchEngine, HasBatchEngine, NativePlace
from core.apis.inference import InferenceProvider
from core.apis.prices import Price
from core.errors import NotFound
from core.frame.callers import ANONYMOUS, Call
from core.frame.resources import Resource
from core.routing.guard import GuardedRegistry
from core.routing.shields import ShieldPolicy
from core.routing.targets import targets_of
from core.services.inference.router import FindPrice

GUARDED: Final = "It is guarded by shields, which judge no row that its provider runs by itself"
NO_ENGINE: Final = "Its provider runs no batches, or is not configured to"


class NativeBatchRouter:
    """Answers `core.apis.batch_engine.NativeBatches`."""

    def __init__(
        self,
        models: GuardedRegistry,
        providers: Mapping[str, InferenceProvider],
        call: Call | None,
        policy: ShieldPolicy,
        find_price: FindPrice | None = None,
    ) -> None:
        self._models = models
        self._providers = providers
        self._call = call or Call(ANONYMOUS)
        self._policy = policy
        self._find_price = find_price

    async def find(self, model: str) -> NativePlace | None:
        resource = await self._models.get(model)
        mode = resource.attributes.get("metadata", {}).get(METADATA)
        if mode not in MODES:
            return None
        place = await self._place(resource)
        if place.fault and mode == "auto":
            return None
        return NativePlace(mode, place.provider_id, place.model, place.engine, place.fault)

    def at(self, provider_id: str) -> BatchEngine | None:
        provider: object = self._providers.get(provider_id)
        return provider.batches() if isinstance(provider, HasBatchEngine) else None

    async def price_at(self, model: str, provider_id: str) -> Price | None:
        try:
            resource = await self._models.get(model)
        except NotFound:  # by now
            return None
        target = next((at for at in targets_of(resource) if at.provider_id == provider_id), None)
        price = None if target is None or self._find_price is None else self._find_price(self._models, resource, target)
        return None if price is None else price.batch

    async def _place(self, resource: Resource) -> NativePlace:
        if any(await self._policy.shields_of(self._call, resource, self._models)):
            return NativePlace("native", fault=GUARDED)
        for target in sorted(targets_of(resource), key=lambda target: target.priority):
            if (engine := self.at(target.provider_id)) is not None:
                return NativePlace("native", target.provider_id, target.model, engine)
        return NativePlace("native", fault=NO_ENGINE)
