"""Two real upstreams behind the inference router, and every operation as a caller asks for it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from core.apis.inference import ChatRequest, CompletionRequest, EmbeddingsRequest, InferenceProvider
from core.apis.manifests.inference import MODEL
from core.apis.rerank import RerankRequest
from core.frame.callers import Call
from core.frame.resources import Resource
from core.frame.types import JsonObject, JsonStream
from core.providers.openai.inference import config_of
from core.providers.openai.inference import connect as connect_row
from core.routing.catalog import Catalog
from core.routing.circuit_breaker import CircuitBreaker
from core.routing.guard import Enforcement, GuardedRegistry
from core.routing.policy import DEFAULT_POLICY, Policy
from core.routing.registry import Registry
from core.services.inference.router import InferenceRouter
from tests.fakes import Clock, MemoryStore
from tests.parts.upstream import FakeUpstream, Reply, running, status

PATHS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/rerank")
RANKING = {"results": [{"index": 0, "relevance_score": 0.5}]}
MINE = {"provider_id": "b", "provider_model_id": "n", "priority": 1}
type Operation = Callable[[InferenceRouter, str], Awaitable[Any]]


def connect(name: str, url: str) -> InferenceProvider:
    return connect_row(name, config_of("remote::vllm").model_validate({"url": url}), {})


@dataclass
class World:
    """The model `mine` is `m` at `a` and, failing that, `n` at `b`."""

    a: FakeUpstream
    b: FakeUpstream
    providers: dict[str, InferenceProvider]
    clock: Clock = field(default_factory=Clock)
    circuits: CircuitBreaker | None = None
    call: Call | None = None

    def router(self, *targets: JsonObject, kind: str = "llm") -> InferenceRouter:
        attributes = {"metadata": {"targets": list(targets)}, "model_type": kind}
        declared = [Resource("model", "mine", "a", "m", attributes)]
        catalog = Catalog({name: provider.list_models for name, provider in self.providers.items()}, seconds=60)
        registry = Registry(MODEL, MemoryStore(), catalog, provider_ids=list(self.providers), declared=declared)
        models = GuardedRegistry(registry, Enforcement(Policy(DEFAULT_POLICY)), None)
        return InferenceRouter(models, self.providers, self.call, self.circuits)

    def with_circuits(self, failures: int) -> CircuitBreaker:
        self.circuits = CircuitBreaker(failures, 30.0, self.clock)
        return self.circuits

    def first(self, reply: Reply) -> None:
        self.a.replies |= dict.fromkeys(PATHS, reply)

    def both(self, reply: Reply) -> None:
        self.first(reply)
        self.b.replies |= dict.fromkeys(PATHS, reply)

    @property
    def asked(self) -> tuple[int, int]:
        return len(self.a.seen), len(self.b.seen)


@asynccontextmanager
async def two_targets() -> AsyncIterator[World]:
    replies = {"/v1/rerank": status(200, RANKING)}
    async with running(FakeUpstream(replies=dict(replies))) as a, running(FakeUpstream(replies=dict(replies))) as b:
        providers = {"a": connect("a", a.url), "b": connect("b", b.url)}
        yield World(a, b, providers)
        for provider in providers.values():
            await provider.close()


def request(model: str = "mine", **more: Any) -> ChatRequest:
    messages = [{"role": "user", "content": "Secret of mine"}]
    return ChatRequest.model_validate({"model": model, "messages": messages, **more})


def prompt(model: str, **more: Any) -> CompletionRequest:
    return CompletionRequest.model_validate({"model": model, "prompt": "Hi", **more})


async def whole(chunks: JsonStream) -> JsonObject:
    """The last chunk."""
    last: JsonObject = {}
    async for each in chunks:
        last = each
    return last


async def chat(router: InferenceRouter, model: str = "mine") -> JsonObject:
    return await router.chat_completion(request(model))


async def stream_chat(router: InferenceRouter, model: str = "mine") -> JsonObject:
    return await whole(await router.stream_chat_completion(request(model, stream=True)))


async def complete(router: InferenceRouter, model: str = "mine") -> JsonObject:
    return await router.completion(prompt(model))


async def stream_completion(router: InferenceRouter, model: str = "mine") -> JsonObject:
    return await whole(await router.stream_completion(prompt(model, stream=True)))


async def embed(router: InferenceRouter, model: str = "mine") -> JsonObject:
    return await router.embeddings(EmbeddingsRequest(model=model, input="Hi"))


async def rank(router: InferenceRouter, model: str = "mine") -> JsonObject:
    return await router.rerank(RerankRequest(model=model, query="Hi", documents=["Hello"]))


KINDS: dict[Operation, str] = {embed: "embedding", rank: "rerank"}
OPERATIONS = [chat, stream_chat, complete, stream_completion]
STREAMED = [stream_chat, stream_completion]


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not happened():  # noqa: ASYNC110 - of a server that has no event to wait for
            await asyncio.sleep(0.001)
