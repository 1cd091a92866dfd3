"""Llama Stack 0.2's inference API over OpenAI's: requests are translated, then answers and streams back."""

from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import aclosing, contextmanager
from functools import partial
from typing import Any, Final

from core.apis.inference import Inference
from core.apis.native import (
    NativeChatBatchRequest,
    NativeChatRequest,
    NativeCompletionBatchRequest,
    NativeCompletionRequest,
    NativeEmbeddingsRequest,
)
from core.errors import ApiError
from core.frame.types import JsonObject, JsonStream
from core.platform.concurrency import run_all
from core.services.inference.native.events import ChatEvents, CompletionEvents, Events
from core.services.inference.native.reply import from_openai_chat, from_openai_completion, from_openai_embeddings
from core.services.inference.native.request import (
    to_openai_chat,
    to_openai_chats,
    to_openai_completion,
    to_openai_completions,
    to_openai_embeddings,
)

BATCH_AT_ONCE: Final = 32  # calls of one batch under way together: its caller waits, for as long as a request may take


class NativeRouter:
    """The `NativeInference` that callers get, over any `Inference`."""

    def __init__(self, inference: Inference) -> None:
        self._inference = inference

    async def native_chat_completion(self, request: NativeChatRequest) -> JsonObject:
        with _native_names():
            return from_openai_chat(await self._inference.chat_completion(to_openai_chat(request)))

    async def native_stream_chat_completion(self, request: NativeChatRequest) -> JsonStream:
        with _native_names():
            chunks = await self._inference.stream_chat_completion(to_openai_chat(request, stream=True))
        return _translate_stream(chunks, ChatEvents())

    async def native_completion(self, request: NativeCompletionRequest) -> JsonObject:
        with _native_names():
            return from_openai_completion(await self._inference.completion(to_openai_completion(request)))

    async def native_stream_completion(self, request: NativeCompletionRequest) -> JsonStream:
        with _native_names():
            chunks = await self._inference.stream_completion(to_openai_completion(request, stream=True))
        return _translate_stream(chunks, CompletionEvents())

    async def native_embeddings(self, request: NativeEmbeddingsRequest) -> JsonObject:
        with _native_names():
            return from_openai_embeddings(await self._inference.embeddings(to_openai_embeddings(request)))

    async def native_batch_chat_completion(self, request: NativeChatBatchRequest) -> JsonObject:
        with _native_names():
            replies = await _run_batch("messages_batch", self._inference.chat_completion, to_openai_chats(request))
            return {"batch": [from_openai_chat(reply) for reply in replies]}

    async def native_batch_completion(self, request: NativeCompletionBatchRequest) -> JsonObject:
        with _native_names():
            replies = await _run_batch("content_batch", self._inference.completion, to_openai_completions(request))
            return {"batch": [from_openai_completion(reply) for reply in replies]}


async def _run_batch[R](
    field: str, ask: Callable[[R], Coroutine[Any, Any, JsonObject]], requests: Sequence[R]
) -> list[JsonObject]:
    """The answers in the requests' order; the first failure cancels what is under way, and is raised with its item's name."""

    async def ask_item(number: int, request: R) -> JsonObject:
        try:
            return await ask(request)
        except ApiError as failure:
            if failure.param != "model":  # which is that of all of them
                name = f"{field}[{number}]"
                failure.message, failure.param = f"{name}: {failure.message}", name
            raise

    items = [partial(ask_item, number, request) for number, request in enumerate(requests)]
    return await run_all(items, at_once=BATCH_AT_ONCE)


async def _translate_stream(chunks: JsonStream, events: Events) -> JsonStream:
    async with aclosing(chunks):
        for event in events.begin():
            yield event
        async for chunk in chunks:
            for event in events.feed(chunk):
                yield event
        for event in events.end():
            yield event


@contextmanager
def _native_names() -> Generator[None]:
    """Failures name the model's field as this API calls it."""
    try:
        yield
    except ApiError as failure:
        if failure.param == "model":
            failure.param = "model_id"
        raise
