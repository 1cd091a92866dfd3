"""What a shield's refusal looks like as an answer, for each of OpenAI's two forms; `content_filter` ends it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
import time
from typing import Any, Final, override
from uuid import uuid4

from core.frame.types import JsonObject, JsonStream

FINISH: Final = "content_filter"
HEAD: Final = ("id", "object", "created", "model")


@dataclass(frozen=True, slots=True)
class Completion:
    """The older form, whose text is all that it has."""

    prefix: str = "cmpl"
    answer: str = "text_completion"
    chunk: str = "text_completion"

    def build_choice(self, index: int, refusal: str) -> JsonObject:
        return {"index": index, "text": refusal, "logprobs": None, "finish_reason": FINISH}

    def build_answer(self, model: str, refusal: str) -> JsonObject:
        usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
        return {**self._head(self.answer, model), "choices": [self.build_choice(0, refusal)], "usage": usage}

    def build_chunk(self, like: Mapping[str, Any], index: int, refusal: str) -> JsonObject:
        """The last of a choice whose stream is broken off; its head is that of a chunk before."""
        head = {name: like[name] for name in HEAD if name in like}
        return {**head, "choices": [self._last(index, refusal)]}

    async def stream(self, model: str, refusal: str) -> JsonStream:
        head = self._head(self.chunk, model)
        for choice in self._choices(refusal):
            yield {**head, "choices": [choice]}

    def _head(self, kind: str, model: str) -> JsonObject:
        return {"id": f"{self.prefix}-{uuid4().hex}", "object": kind, "created": int(time.time()), "model": model}

    def _last(self, index: int, refusal: str) -> JsonObject:
        return self.build_choice(index, refusal)

    def _choices(self, refusal: str) -> Iterator[JsonObject]:
        yield self.build_choice(0, refusal)


@dataclass(frozen=True, slots=True)
class Chat(Completion):
    """Chat's form, which has a place for refusals."""

    prefix: str = "chatcmpl"
    answer: str = "chat.completion"
    chunk: str = "chat.completion.chunk"

    @override
    def build_choice(self, index: int, refusal: str) -> JsonObject:
        message = {"role": "assistant", "content": None, "refusal": refusal}
        return {"index": index, "message": message, "logprobs": None, "finish_reason": FINISH}

    @override
    def _last(self, index: int, refusal: str) -> JsonObject:
        return _delta(index, {"refusal": refusal}, FINISH)

    @override
    def _choices(self, refusal: str) -> Iterator[JsonObject]:
        yield _delta(0, {"role": "assistant", "content": None}, None)
        yield _delta(0, {"refusal": refusal}, None)
        yield _delta(0, {}, FINISH)


def _delta(index: int, delta: JsonObject, finish: str | None) -> JsonObject:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}


CHAT: Final = Chat()
COMPLETION: Final = Completion()
