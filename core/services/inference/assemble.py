"""Assembles the inference service: the router, the shields around it, and the API of 0.2 over both."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING

from core.apis.inference import Inference
from core.frame.api import SurfaceFactory
from core.frame.callers import Call
from core.frame.resources import Resource
from core.routing.guard import GuardedRegistry
from core.routing.shields import ShieldPolicy
from core.routing.targets import Target
from core.services.inference.chats.router import ChatsRouter
from core.services.inference.router import FindPrice, InferenceRouter
from core.services.inference.shielded import ShieldedInference
from core.services.parts import Parts, surface_for

if TYPE_CHECKING:
    from core.apis.batch_engine import NativeBatches
    from core.apis.native import NativeInference
    from core.apis.native_responses import NativeResponses
    from core.apis.prices import MoneyBounds, Price
    from core.apis.rerank import Reranking
    from core.config.usage import UsageConfig
    from core.services.inference.chats.collection import ChatCollection
    from core.services.inference.prices import Prices


def assemble(parts: Parts) -> dict[str, SurfaceFactory]:
    """`{"chats": ..., "inference": ..., "native_inference": ..., "native_responses": ..., "native_batches": ..., "rerank": ..., "money": ...}`."""
    providers, circuits = parts.providers("inference"), parts.circuits
    policy = ShieldPolicy(parts.safety, lambda: parts.registries.get("shield"))
    usage = cache(lambda: parts.usage)  # read where an answer, or a limit of money, asks for it
    find_price = _price_finder(usage, parts.provider_types)

    def inference(call: Call | None) -> InferenceRouter | ShieldedInference:
        """The stack itself gets no shields, nor does a shield's own guard model: it would be judged by itself forever."""
        models = parts.registries["model"](call)
        router = InferenceRouter(models, providers, call, circuits, find_price)
        if call is None or call.internal:
            return router
        return ShieldedInference(
            router, models, lambda: surface_for(parts, "safety", call.cause(internal=True)), call, policy
        )

    def native_responses(call: Call | None) -> "NativeResponses":
        from core.services.inference.native_responses import NativeRouter as Router  # late: few models have it

        return Router(parts.registries["model"](call), providers, call, circuits, policy, find_price)

    def native_batches(call: Call | None) -> "NativeBatches":
        from core.services.inference.native_batches import NativeBatchRouter as Router  # late: jobs alone have them

        return Router(parts.registries["model"](call), providers, call, policy, find_price)

    return {
        "chats": _chats(parts, inference),
        "inference": inference,
        "money": _money(parts, find_price, usage),
        "native_responses": native_responses,
        "native_batches": native_batches,
        "native_inference": lambda call: _native(inference(call)),
        "rerank": lambda call: _reranking(inference(call)),
    }


def _chats(parts: Parts, inference: Callable[[Call | None], Inference]) -> SurfaceFactory:
    keeps_all = parts.stores.has_collection("inference")

    def chats(call: Call | None) -> ChatsRouter:
        def collection() -> "ChatCollection":
            from core.services.inference.chats.collection import ChatCollection  # late: few chats are kept

            return ChatCollection(parts, call)

        return ChatsRouter(inference(call), collection, keeps_all=keeps_all)

    return chats


def _money(parts: Parts, find_price: FindPrice, usage: "Callable[[], UsageConfig]") -> SurfaceFactory:
    def money(call: Call | None) -> "MoneyBounds":
        from core.services.inference.money import MoneyRouter as Router  # late: where a limit of money binds

        return Router(parts.registries["model"](call), find_price, refuses=usage().unpriced == "refuse")

    return money


def _price_finder(usage: "Callable[[], UsageConfig]", provider_types: Mapping[str, str]) -> "FindPrice":
    prices: list[Prices] = []

    def find_price(models: GuardedRegistry, resource: Resource, target: Target) -> "Price | None":
        """Once an answer is there: no cold start waits for a list of prices."""
        if not prices:
            from core.services.inference.prices import Prices

            prices.append(Prices(usage().prices, provider_types))
        return prices[0].find(models, resource, target)

    return find_price


def _native(inference: Inference) -> "NativeInference":
    from core.services.inference.native.router import NativeRouter  # late: few calls are 0.2's

    return NativeRouter(inference)


def _reranking(inference: InferenceRouter | ShieldedInference) -> "Reranking":
    from core.services.inference.reranking import RerankRouter

    return RerankRouter(inference)
