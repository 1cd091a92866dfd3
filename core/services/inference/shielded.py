"""Chat behind the shields that its model was registered with: what they find is a refusal, not an answer.

A model's metadata names them: `input_shields` judge what is asked, `output_shields` what is answered. They are run as the
stack itself: a caller who may use the model need not be able to see its shields. Source of the refusal's shape:
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

WINDOW: Final = 240  # characters of streamed text that are held back until they are judged
REFUSAL: Final = "I can't answer that. Can I help with something else?"
FINISH: Final = "content_filter"
INPUT, OUTPUT = "INPUT", "OUTPUT"  # a conversation may end with the assistant's words and yet be what is asked

type Messages = Sequence[JsonObject]


class ShieldedInference:
    """The `Inference` that one caller gets; a model without shields is passed on as it is."""

    def __init__(self, inference: Inference, models: GuardedRegistry, safety: Safety | None, call: Call) -> None:
        """Ask `inference`, and `safety` before and after it; None where the stack has no safety provider."""
        self._inference = inference
        self._models = models
        self._safety = safety
        self._call = call

    async def chat_completion(self, request: ChatRequest) -> JsonObject:
        before, after = await self._shields(request.model)
        refusal = await self._refusal(before, request.messages, INPUT)
        if refusal is not None:
            self._call.used(0)
            return _refused(request.model, refusal)
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
            self._call.used(0)
            return _streamed(request.model, refusal)
        chunks = await self._inference.stream_chat_completion(request)
        return self._windows(request, chunks, after) if after else chunks

    async def completion(self, request: CompletionRequest) -> JsonObject:
        await self._unshielded(request.model)
        return await self._inference.completion(request)

    async def stream_completion(self, request: CompletionRequest) -> JsonStream:
        await self._unshielded(request.model)
        return await self._inference.stream_completion(request)

    async def embeddings(self, request: EmbeddingsRequest) -> JsonObject:
        return await self._inference.embeddings(request)

    async def _shields(self, model: str) -> tuple[list[str], list[str]]:
        """Those before and those after; what is wrong with the model itself is left to `inference` to say."""
        try:
            metadata = (await self._models.get(model)).attributes["metadata"]
        except NotFound:
            return [], []
        return metadata.get("input_shields") or [], metadata.get("output_shields") or []

    async def _unshielded(self, model: str) -> None:
        """A bare prompt has no roles that a shield could judge: a way around it must not be left."""
        if any(await self._shields(model)):
            raise InvalidRequest(
                f"Model `{model}` is guarded by shields, which judge chat completions only.", param="model"
            )

    async def _refusal(self, shields: Sequence[str], messages: Messages, source: str) -> str | None:
        """What to tell the user, if a shield has found something. Raises what keeps a shield from judging."""
        for shield in shields:
            if self._safety is None:
                raise ProviderUnavailable("The model is guarded by shields, and this stack has no safety provider.")
            request = RunShieldRequest(shield_id=shield, messages=list(messages), params={"source": source})
            try:
                with self._call.observed.upstream:
                    found = (await self._safety.run_shield(request))["violation"]
            except NotFound as unknown:
                raise ProviderUnavailable(
                    f"The model is guarded by a shield that there is not: `{shield}`."
                ) from unknown
            if found is not None:
                return found["user_message"] or REFUSAL
        return None

    async def _windows(self, request: ChatRequest, chunks: JsonStream, shields: Sequence[str]) -> JsonStream:
        """Chunks leave when the text in them, after all before it, was judged; a violation ends the stream."""
        held: list[JsonObject] = []
        said: dict[int, str] = {}
        waiting = 0
        async with aclosing(chunks):
            async for chunk in chunks:
                held.append(chunk)
                waiting += _note(chunk, said)
                if waiting < WINDOW:
                    continue
                refusal = await self._judged(request, said, shields)
                if refusal is not None:
                    yield _chunk(chunk, {"refusal": refusal}, FINISH)
                    return
                for each in held:
                    yield each
                held, waiting = [], 0
        refusal = await self._judged(request, said, shields) if waiting else None
        if refusal is not None:
            yield _chunk(held[0], {"refusal": refusal}, FINISH)
            held = [chunk for chunk in held if not chunk.get("choices")]  # the usage
        for each in held:
            yield each

    async def _judged(self, request: ChatRequest, said: dict[int, str], shields: Sequence[str]) -> str | None:
        for text in said.values():
            answer = {"role": "assistant", "content": text}
            refusal = await self._refusal(shields, [*request.messages, answer], OUTPUT)
            if refusal is not None:
                return refusal
        return None


def _note(chunk: JsonObject, said: dict[int, str]) -> int:
    """Add the chunk's text to what each choice has said; how many characters those were."""
    count = 0
    for choice in chunk.get("choices", ()):
        text = _text(choice.get("delta", {}))
        if text:
            said[choice["index"]] = said.get(choice["index"], "") + text
            count += len(text)
    return count


def _text(said: JsonObject) -> str:
    """Everything that a reader would see of a message or of a delta: the reasoning, too."""
    return "".join(said.get(name) or "" for name in ("reasoning_content", "reasoning", "content"))


def _message(refusal: str) -> JsonObject:
    return {"role": "assistant", "content": None, "refusal": refusal}


def _head(kind: str, model: str) -> JsonObject:
    return {"id": f"chatcmpl-{uuid4().hex}", "object": kind, "created": int(time.time()), "model": model}


def _refused(model: str, refusal: str) -> JsonObject:
    choice: dict[str, Any] = {"index": 0, "message": _message(refusal), "logprobs": None, "finish_reason": FINISH}
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    return {**_head("chat.completion", model), "choices": [choice], "usage": usage}


def _chunk(like: JsonObject, delta: JsonObject, finish: str | None) -> JsonObject:
    names = ("id", "object", "created", "model")
    head = {name: like[name] for name in names if name in like}
    return {**head, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]}


async def _streamed(model: str, refusal: str) -> JsonStream:
    head = _head("chat.completion.chunk", model)
    yield _chunk(head, {"role": "assistant", "content": None}, None)
    yield _chunk(head, {"refusal": refusal}, None)
    yield _chunk(head, {}, FINISH)
