"""The native router over an Inference: calls, streams that close, batches that hold together."""

import asyncio
from typing import Any

import pytest

from core.apis.manifests.inference import NATIVE
from core.apis.native import (
    NativeChatBatchRequest,
    NativeChatRequest,
    NativeCompletionBatchRequest,
    NativeCompletionRequest,
    NativeEmbeddingsRequest,
    NativeInference,
)
from core.errors import InvalidRequest, NotFound, UpstreamFailed, UpstreamThrottled
from core.frame.types import JsonStream
from core.services.inference.native.router import BATCH_AT_ONCE, NativeRouter
from tests.unit.routing.fakes import METRICS, USAGE, FakeInference, chat_reply, chunk

HI = {"role": "user", "content": "Hi"}
CHAT = NativeChatRequest.model_validate({"model_id": "m", "messages": [HI]})
COMPLETION = NativeCompletionRequest.model_validate({"model_id": "m", "content": "Once"})
USAGE_CHUNK: dict[str, Any] = {"choices": [], "usage": USAGE}


@pytest.fixture
def inference() -> FakeInference:
    return FakeInference()


@pytest.fixture
def router(inference: FakeInference) -> NativeInference:
    return NativeRouter(inference)


def chats(*texts: str) -> NativeChatBatchRequest:
    batch = [[{"role": "user", "content": text}] for text in texts]
    return NativeChatBatchRequest.model_validate({"model_id": "m", "messages_batch": batch})


def text_reply(text: str) -> dict[str, Any]:
    return {"choices": [{"text": text, "finish_reason": "stop"}]}


async def open_stream(router: NativeInference, kind: str) -> JsonStream:
    if kind == "chat":
        return await router.native_stream_chat_completion(CHAT)
    return await router.native_stream_completion(COMPLETION)


def test_every_operation_names_methods_that_are_there() -> None:
    for operation in NATIVE:
        assert callable(getattr(NativeRouter, operation.call))
        assert operation.stream is None or callable(getattr(NativeRouter, operation.stream))
    assert {operation.paths[0] for operation in NATIVE if operation.stream} == {
        "/v1/inference/chat-completion",
        "/v1/inference/completion",
    }


async def test_a_chat_is_asked_in_openais_words_and_answered_in_native_ones(
    router: NativeInference, inference: FakeInference
) -> None:
    inference.reply = chat_reply("Hello")
    answer = await router.native_chat_completion(CHAT)
    assert answer["completion_message"]["content"] == "Hello"
    assert "model" not in answer
    wanted = {"model": "m", "messages": [HI], "temperature": 0.0}
    assert [request.model_dump(exclude_unset=True) for request in inference.asked] == [wanted]


async def test_a_completion_is_asked_and_answered(router: NativeInference, inference: FakeInference) -> None:
    inference.reply = text_reply(" upon")
    assert (await router.native_completion(COMPLETION))["content"] == " upon"
    assert inference.asked[0].model_dump(exclude_unset=True)["prompt"] == "Once"


async def test_embeddings_are_asked_and_answered(router: NativeInference, inference: FakeInference) -> None:
    inference.reply = {"data": [{"index": 0, "embedding": [0.5]}]}
    request = NativeEmbeddingsRequest(model_id="m", contents=["a"])
    assert await router.native_embeddings(request) == {"embeddings": [[0.5]]}
    assert inference.asked[0].model_dump(exclude_unset=True) == {"model": "m", "input": ["a"]}


async def test_a_chat_is_streamed_as_events(router: NativeInference, inference: FakeInference) -> None:
    inference.chunks = [chunk({"content": "Hello"}), chunk({}, "stop"), USAGE_CHUNK]
    sent = [event async for event in await open_stream(router, "chat")]
    assert [each["event"]["event_type"] for each in sent] == ["start", "progress", "complete"]
    assert sent[-1]["metrics"] == METRICS
    assert inference.asked[0].model_dump()["stream_options"] == {"include_usage": True}
    assert inference.closed


async def test_a_completion_is_streamed_as_deltas(router: NativeInference, inference: FakeInference) -> None:
    inference.chunks = [text_reply(" upon"), USAGE_CHUNK]
    sent = [event async for event in await open_stream(router, "completion")]
    assert [each["delta"] for each in sent] == [" upon", ""]
    assert sent[-1]["metrics"] == METRICS
    assert inference.asked[0].model_dump()["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("kind", ["chat", "completion"])
async def test_closing_the_stream_closes_the_one_within(
    router: NativeInference, inference: FakeInference, kind: str
) -> None:
    inference.chunks = [{"choices": [{"text": "a", "delta": {"content": "a"}}]}] * 3
    stream = await open_stream(router, kind)
    for _ in range(2):
        await anext(stream)
    assert not inference.closed
    await stream.aclose()
    assert inference.closed


@pytest.mark.parametrize("kind", ["chat", "completion"])
async def test_what_fails_before_the_first_chunk_fails_before_the_stream_opens(
    router: NativeInference, inference: FakeInference, kind: str
) -> None:
    inference.failure = NotFound("no such model", param="model")
    with pytest.raises(NotFound) as refusal:
        await open_stream(router, kind)
    assert refusal.value.param == "model_id"


async def test_what_fails_later_ends_the_stream_without_a_complete(
    router: NativeInference, inference: FakeInference
) -> None:
    inference.chunks = [chunk({"content": "Hel"}), UpstreamFailed("broke off")]
    stream = await open_stream(router, "chat")
    kinds = [(await anext(stream))["event"]["event_type"] for _ in range(2)]
    assert kinds == ["start", "progress"]
    with pytest.raises(UpstreamFailed, match="broke off"):
        await anext(stream)
    assert inference.closed


async def test_a_chunk_of_another_shape_closes_the_stream_within(
    router: NativeInference, inference: FakeInference
) -> None:
    inference.chunks = [chunk({"content": 7}), chunk({"content": "never"})]
    stream = await open_stream(router, "chat")
    await anext(stream)
    with pytest.raises(UpstreamFailed):
        await anext(stream)
    assert inference.closed


@pytest.mark.parametrize(("param", "shown"), [("model", "model_id"), ("messages", "messages"), (None, None)])
async def test_a_failure_names_the_models_field_as_it_is_called_here(
    router: NativeInference, inference: FakeInference, param: str | None, shown: str | None
) -> None:
    inference.failure = InvalidRequest("no", param=param)
    calls = [
        router.native_chat_completion(CHAT),
        router.native_completion(COMPLETION),
        router.native_embeddings(NativeEmbeddingsRequest(model_id="m", contents=["a"])),
    ]
    if param == "model":  # the one of all items
        calls.append(router.native_batch_chat_completion(chats("a")))
    for call in calls:
        inference.failure = InvalidRequest("no", param=param)
        with pytest.raises(InvalidRequest) as refusal:
            await call
        assert refusal.value.param == shown


async def test_a_batch_is_answered_in_order_a_few_at_a_time(router: NativeInference, inference: FakeInference) -> None:
    texts = [f"t{number}" for number in range(3 * BATCH_AT_ONCE)]
    inference.replies = {text: chat_reply(text.upper()) for text in texts}
    answer = await router.native_batch_chat_completion(chats(*texts))
    assert [each["completion_message"]["content"] for each in answer["batch"]] == [text.upper() for text in texts]
    assert inference.most == BATCH_AT_ONCE


async def test_a_batch_of_completions_is_answered_in_order(router: NativeInference, inference: FakeInference) -> None:
    inference.replies = {text: text_reply(text.upper()) for text in ("a", "b")}
    request = NativeCompletionBatchRequest(model_id="m", content_batch=["a", "b"])
    answer = await router.native_batch_completion(request)
    assert [each["content"] for each in answer["batch"]] == ["A", "B"]


async def test_one_failure_fails_the_batch_and_cancels_the_others(
    router: NativeInference, inference: FakeInference
) -> None:
    inference.reply = chat_reply()
    inference.replies = {"bad": UpstreamThrottled("later", headers={"retry-after": "7"})}
    inference.slow = frozenset({"slow", "waits"})
    with pytest.raises(UpstreamThrottled) as refusal:
        await router.native_batch_chat_completion(chats("slow", "bad", *["waits"] * 50))
    assert refusal.value.headers == {"retry-after": "7"}
    assert (refusal.value.message, refusal.value.param) == ("messages_batch[1]: later", "messages_batch[1]")
    assert set(inference.cancelled) == {"slow", "waits"}
    assert len(inference.asked) <= BATCH_AT_ONCE + 1


async def test_a_cancelled_batch_cancels_its_calls(router: NativeInference, inference: FakeInference) -> None:
    inference.slow = frozenset({"a", "b"})
    task = asyncio.ensure_future(router.native_batch_chat_completion(chats("a", "b")))
    await inference.waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(inference.cancelled) == ["a", "b"]


async def test_nothing_of_a_batch_is_asked_if_one_item_is_invalid(
    router: NativeInference, inference: FakeInference
) -> None:
    request = NativeCompletionBatchRequest(model_id="m", content_batch=["a", 7])
    with pytest.raises(InvalidRequest) as refusal:
        await router.native_batch_completion(request)
    assert refusal.value.param == "content_batch[1]"
    assert inference.asked == []
