"""Chat completions of models that are guarded by shields: a violation is answered by a refusal.

Which they are, core.routing.shields says. They run for the caller, who is charged for them; those of the run config run
without the access policy: whoever may use the model need not be able to see its shields. Source of the refusal's shape:
https://platform.openai.com/docs/api-reference/chat/object.
"""

from collections.abc import Sequence
from contextlib import aclosing
import time
from typing import Any, Final
from uuid import uuid4

from core.apis.inference import ChatRequest, CompletionRequest, EmbeddingsRequest, Inference
from core.apis.safety import RunShieldRequest, Safety
from core.errors import InvalidRequest, NotFound, ProviderUnavailable
from core.frame.callers import Call
from core.frame.types import JsonObject, JsonStream
from core.routing.guard import GuardedRegistry
from core.routing.shields import ShieldPolicy

WINDOW: Final = 240  # characters of text that a stream holds back until the shields have judged them
REFUSAL: Final = "I can't answer that. Can I help with something else?"
FINISH: Final = "content_filter"
INPUT, OUTPUT = "INPUT", "OUTPUT"  # a request's messages may end with an assistant's: roles do not tell which it is

type Messages = Sequence[JsonObject]


class ShieldedInference:
    """An `Inference` for one caller; a model without shields is answered as by `inference` alone."""

    def __init__(
        self, inference: Inference, models: GuardedRegistry, safety: Safety | None, call: Call, policy: ShieldPolicy
    ) -> None:
        """`policy` says which shields; `safety` runs the shields, whoever may see them; it is None where the stack has no safety provider."""
        self._inference = inference
        self._models = models
        self._safety = safety
        self._call = call
        self._policy = policy

    async def chat_completion(self, request: ChatRequest) -> JsonObject:
        before, after = await self._shields(request.model)
        refusal = await self._refusal(before, request.messages, INPUT)
        if refusal is not None:
            self._call.add_tokens(0)  # known to be none; else the reservation would be charged
            return _build_refusal(request.model, refusal)
        reply = await self._inference.chat_completion(request)
        for choice in reply.get("choices", ()) if after else ():
            answer = {"role": "assistant", "content": _text(choice["message"])}
            refusal = await self._refusal(after, [*request.messages, answer], OUTPUT)
            if refusal is not None:
                choice |= {"message": _message(refusal), "finish_reason": FINISH, "logprobs": None}
        return reply

    async def stream_chat_completion(self, request: ChatRequest) -> JsonStream:
        before, after = await self._shields(request.model)
        refusal = await self._refusal(before, request.messages, INPUT)
        if refusal is not None:
            self._call.add_tokens(0)
            return _stream_refusal(request.model, refusal)
        chunks = await self._inference.stream_chat_completion(request)
        return self._windows(request, chunks, after) if after else chunks

    async def completion(self, request: CompletionRequest) -> JsonObject:
        await self._require_no_shields(request.model)
        return await self._inference.completion(request)

    async def stream_completion(self, request: CompletionRequest) -> JsonStream:
        await self._require_no_shields(request.model)
        return await self._inference.stream_completion(request)

    async def embeddings(self, request: EmbeddingsRequest) -> JsonObject:
        return await self._inference.embeddings(request)

    async def _shields(self, model: str) -> tuple[list[str], list[str]]:
        """The ids of the input and of the output shields; none for an unknown model, which `inference` answers."""
        try:
            resource = await self._models.get(model)
        except NotFound:
            return [], []
        self._call.observed.model = model  # a refusal names it too
        return await self._policy.shields_of(self._call, resource, self._models)

    async def _require_no_shields(self, model: str) -> None:
        """Raise InvalidRequest for a guarded model: shields judge messages, and prompts would be a way around."""
        if any(await self._shields(model)):
            raise InvalidRequest(
                f"Model `{model}` is guarded by shields, which judge chat completions only.", param="model"
            )

    async def _refusal(self, shields: Sequence[str], messages: Messages, source: str) -> str | None:
        """The text of the refusal where a shield finds a violation, else None.

        Raises what keeps a shield from judging: an answer that nobody judged must not get out.
        """
        for shield in shields:
            if self._safety is None:
                raise ProviderUnavailable("The model is guarded by shields, but this stack has no safety provider.")
            request = RunShieldRequest(shield_id=shield, messages=list(messages), params={"source": source})
            try:
                violation = (await self._safety.run_shield(request))["violation"]
            except NotFound as unknown:
                raise ProviderUnavailable(
                    f"The model is guarded by shield `{shield}`, which does not exist."
                ) from unknown
            if violation is not None:
                return violation["user_message"] or REFUSAL
        return None

    async def _windows(self, request: ChatRequest, chunks: JsonStream, shields: Sequence[str]) -> JsonStream:
        """The chunks, each once its text was judged together with all text before it; a violation ends the stream.

        Chunks are held back until they have WINDOW characters of new text. Shields get everything since the start, not
        the window alone, so that a violation cannot hide by being split over two windows.
        """
        buffer: list[JsonObject] = []
        texts: dict[int, str] = {}
        unjudged = 0
        async with aclosing(chunks):
            async for chunk in chunks:
                buffer.append(chunk)
                unjudged += _collect_text(chunk, texts)
                if unjudged < WINDOW:  # judging every chunk would be a call of the guard model for each token
                    continue
                refusal = await self._judge(request, texts, shields)
                if refusal is not None:
                    yield _chunk(chunk, {"refusal": refusal}, FINISH)
                    return
                for pending in buffer:
                    yield pending
                buffer, unjudged = [], 0
        refusal = await self._judge(request, texts, shields) if unjudged else None
        if refusal is not None:
            yield _chunk(buffer[0], {"refusal": refusal}, FINISH)
            buffer = [chunk for chunk in buffer if not chunk.get("choices")]  # the usage, which the caller asked for
        for pending in buffer:
            yield pending

    async def _judge(self, request: ChatRequest, texts: dict[int, str], shields: Sequence[str]) -> str | None:
        for text in texts.values():
            answer = {"role": "assistant", "content": text}
            refusal = await self._refusal(shields, [*request.messages, answer], OUTPUT)
            if refusal is not None:
                return refusal
        return None


def _collect_text(chunk: JsonObject, texts: dict[int, str]) -> int:
    """Add the chunk's text to `texts`, which are by the choice's index; the number of characters added."""
    count = 0
    for choice in chunk.get("choices", ()):
        text = _text(choice.get("delta", {}))
        if text:
            texts[choice["index"]] = texts.get(choice["index"], "") + text
            count += len(text)
    return count


def _text(message: JsonObject) -> str:
    """All text of a message or delta that a reader would see, the reasoning too."""
    return "".join(message.get(name) or "" for name in ("reasoning_content", "reasoning", "content"))


def _message(refusal: str) -> JsonObject:
    return {"role": "assistant", "content": None, "refusal": refusal}


def _head(kind: str, model: str) -> JsonObject:
    return {"id": f"chatcmpl-{uuid4().hex}", "object": kind, "created": int(time.time()), "model": model}


def _build_refusal(model: str, refusal: str) -> JsonObject:
    choice: dict[str, Any] = {"index": 0, "message": _message(refusal), "logprobs": None, "finish_reason": FINISH}
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    return {**_head("chat.completion", model), "choices": [choice], "usage": usage}


def _chunk(like: JsonObject, delta: JsonObject, finish: str | None) -> JsonObject:
    names = ("id", "object", "created", "model")
    head = {name: like[name] for name in names if name in like}
    return {**head, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]}


async def _stream_refusal(model: str, refusal: str) -> JsonStream:
    head = _head("chat.completion.chunk", model)
    yield _chunk(head, {"role": "assistant", "content": None}, None)
    yield _chunk(head, {"refusal": refusal}, None)
    yield _chunk(head, {}, FINISH)
