"""A request goes to its model's provider under the provider's name; the answer bears the caller's."""

import asyncio
from typing import Any, override

import pytest

from core.apis.inference import ChatRequest, CompletionRequest, EmbeddingsRequest
from core.apis.manifests.inference import MODEL
from core.errors import InvalidRequest, NotFound, ProviderUnavailable
from core.frame.callers import ANONYMOUS, CURRENT_CALL, ActingFor, Call
from core.frame.resources import Resource
from core.frame.types import JsonObject, JsonStream
from core.routing.catalog import Catalog
from core.routing.guard import Enforcement, GuardedRegistry
from core.routing.policy import DEFAULT_POLICY, Policy
from core.routing.registry import Registry
from core.services.inference.router import InferenceRouter
from tests.fakes import FakeProvider, MemoryStore

USAGE = {"choices": [], "usage": {"total_tokens": 3}}


def resource(identifier: str, provider_id: str, kind: str = "llm") -> Resource:
    return Resource("model", identifier, provider_id, f"real-{identifier}", {"metadata": {}, "model_type": kind})


@pytest.fixture
def providers() -> dict[str, FakeProvider]:
    return {"a": FakeProvider(), "b": FakeProvider()}


@pytest.fixture
def call() -> Call:
    return Call(ANONYMOUS)


@pytest.fixture
def router(providers: dict[str, FakeProvider], call: Call) -> InferenceRouter:
    declared = [resource("one", "a"), resource("two", "b"), resource("emb", "b", "embedding"), resource("lost", "gone")]
    catalog = Catalog({name: provider.list_models for name, provider in providers.items()}, seconds=60)
    registry = Registry(MODEL, MemoryStore(), catalog, provider_ids=["a", "b"], declared=declared)
    return InferenceRouter(GuardedRegistry(registry, Enforcement(Policy(DEFAULT_POLICY)), None), providers, call)


def chat(model: str, **more: Any) -> ChatRequest:
    return ChatRequest.model_validate({"model": model, "messages": [{"role": "user", "content": "Hi"}], **more})


async def test_each_model_is_asked_of_its_own_provider(
    router: InferenceRouter, providers: dict[str, FakeProvider]
) -> None:
    assert (await router.chat_completion(chat("one", seed=1)))["model"] == "one"
    assert (await router.completion(CompletionRequest(model="two", prompt="Hi")))["model"] == "two"
    assert (await router.embeddings(EmbeddingsRequest(model="emb", input="Hi")))["model"] == "emb"
    assert (await router.chat_completion(chat("a/m")))["model"] == "a/m"
    assert [request.model_dump()["model"] for request in providers["a"].asked] == ["real-one", "m"]
    assert [request.model_dump()["model"] for request in providers["b"].asked] == ["real-two", "real-emb"]
    assert providers["a"].asked[0].model_extra == {"seed": 1}


async def test_a_model_of_the_wrong_type_is_refused(router: InferenceRouter) -> None:
    with pytest.raises(
        InvalidRequest, match="`emb` is an embedding model and does not support chat completions"
    ) as refusal:
        await router.chat_completion(chat("emb"))
    assert refusal.value.param == "model"
    with pytest.raises(InvalidRequest, match="`one` is an llm and does not support embeddings"):
        await router.embeddings(EmbeddingsRequest(model="one", input="Hi"))


async def test_an_unknown_model_names_the_field_that_inference_calls_it(router: InferenceRouter) -> None:
    with pytest.raises(NotFound) as refusal:
        await router.chat_completion(chat("nope"))
    assert refusal.value.param == "model"


async def test_a_model_of_a_provider_that_is_gone_is_unavailable(router: InferenceRouter) -> None:
    with pytest.raises(ProviderUnavailable, match="`gone`"):
        await router.chat_completion(chat("lost"))


@pytest.mark.parametrize("options", [None, {}, {"include_usage": False}, {"include_usage": True}])
@pytest.mark.parametrize("kind", ["chat", "completion"])
async def test_usage_is_always_asked_for_and_shown_to_those_who_asked(
    router: InferenceRouter, providers: dict[str, FakeProvider], options: dict[str, bool] | None, kind: str
) -> None:
    providers["a"].chunks = [
        {"model": "real", "choices": [{}], "usage": None},
        {"model": "real", "choices": [{}]},
        USAGE,
    ]
    if kind == "chat":
        stream = await router.stream_chat_completion(chat("one", stream=True, stream_options=options))
    else:
        stream = await router.stream_completion(CompletionRequest(model="one", prompt="Hi", stream_options=options))
    chunks = [chunk async for chunk in stream]
    assert providers["a"].asked[-1].model_dump()["stream_options"]["include_usage"] is True
    asked = bool(options and options["include_usage"])
    assert len(chunks) == (3 if asked else 2)
    assert all(chunk["model"] == "one" for chunk in chunks)
    assert all(asked or "usage" not in chunk for chunk in chunks)


async def test_closing_the_stream_closes_the_providers(
    router: InferenceRouter, providers: dict[str, FakeProvider]
) -> None:
    providers["a"].chunks = [{"choices": [{}]}] * 3
    stream = await router.stream_chat_completion(chat("one", stream=True))
    await anext(stream)
    await stream.aclose()
    assert providers["a"].closed


async def test_what_providers_report_as_used_is_told_to_the_call(
    router: InferenceRouter, providers: dict[str, FakeProvider], call: Call
) -> None:
    await router.chat_completion(chat("one"))
    assert call.tokens is None
    providers["a"].chunks = [{"choices": [{}], "usage": {"total_tokens": 1}}, USAGE]
    assert [chunk async for chunk in await router.stream_chat_completion(chat("one", stream=True))]
    assert call.tokens == 3
    providers["a"].chunks = [{"choices": [{}], "usage": {"total_tokens": 0}}, USAGE, {"choices": [{}]}]
    assert [chunk async for chunk in await router.stream_chat_completion(chat("one", stream=True))]
    assert call.tokens == 6
    await router.embeddings(EmbeddingsRequest(model="emb", input="Hi"))
    assert [
        (row.model, row.provider, row.answers, row.tokens - row.estimated_tokens) for row in call.ledger.list_rows()
    ] == [
        ("one", "a", 3, 6),
        ("emb", "b", 1, 0),
    ]


@pytest.mark.parametrize("usage", [None, [], "3", {}, {"total_tokens": "3"}, {"total_tokens": -1}])
async def test_usage_that_is_none_is_not_counted(
    router: InferenceRouter, providers: dict[str, FakeProvider], call: Call, usage: Any
) -> None:
    providers["a"].chunks = [{"choices": [{}], "usage": usage}]
    assert [chunk async for chunk in await router.stream_chat_completion(chat("one", stream=True))]
    assert call.tokens is None


class Spy(FakeProvider):
    """Notes for whom it is asked, before, in and after a stream."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call | None] = []

    @override
    def _answer(self, request: Any) -> JsonObject:
        self.calls.append(CURRENT_CALL.get())
        return super()._answer(request)

    @override
    async def _stream(self) -> JsonStream:
        try:
            for _ in range(3):
                self.calls.append(CURRENT_CALL.get())
                yield {"choices": [{}]}
        finally:
            self.calls.append(CURRENT_CALL.get())


@pytest.mark.parametrize("caller", [Call(ANONYMOUS), None])
async def test_a_providers_code_runs_for_the_call_that_it_answers_also_in_its_streams(
    router: InferenceRouter, caller: Call | None
) -> None:
    spy = Spy()
    asking = InferenceRouter(router._models, {"a": spy, "b": spy}, caller)
    with ActingFor(Call(ANONYMOUS, "another")):
        await asking.chat_completion(chat("one"))
        stream = await asking.stream_chat_completion(chat("one"))
        await anext(stream)
        await stream.aclose()
    assert len(spy.calls) == 4
    assert all(call is caller for call in spy.calls)
    assert spy.asked[-1].model_dump()["stream"] is True


async def test_who_leaves_while_a_model_answers_does_not_get_its_tokens_back(
    router: InferenceRouter, providers: dict[str, FakeProvider], call: Call
) -> None:
    class Slow(FakeProvider):
        @override
        async def chat_completion(self, request: ChatRequest) -> JsonObject:
            await asyncio.sleep(60)
            return {}

    providers["a"] = Slow()
    slow = InferenceRouter(router._models, providers, call)
    call.cause(internal=True).add_tokens(5)  # a guard's, before
    call.add_tokens(1)
    asking = asyncio.create_task(slow.chat_completion(chat("one")))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    charge = call.end()
    assert (charge.tokens, charge.further) == (None, 5)
    (row,) = call.ledger.list_rows()
    assert (row.model, row.provider, row.answers, row.estimated_tokens) == ("one", "a", 1, row.tokens)
