"""What is around an answer, whoever gave it, as OpenAI has it: the caller's model, an id, its kind, and the usage at a stream's end. Pure."""

import time
from typing import Any, Final

from core.apis.inference import ChatRequest, CompletionRequest
from core.frame.types import JsonObject

HEAD: Final = frozenset({"id", "object", "created", "system_fingerprint", "service_tier"})
EVERY_CHUNK: Final = "continuous_usage_stats"  # vLLM's, and others': a usage in each, for who asks for it


class Envelope:
    """Of one answer to `request`. `report` is the chunk with a stream's usage, once it has said one, for who asked for it."""

    __slots__ = ("_defaults", "_everywhere", "_reports", "_request", "_streams", "report")

    def __init__(self, request: ChatRequest | CompletionRequest, *, streams: bool) -> None:
        self._request = request
        self._streams = streams
        options = request.stream_options or {}
        self._reports = bool(options.get("include_usage"))
        self._everywhere = self._reports and bool(options.get(EVERY_CHUNK))
        self._defaults: JsonObject = {}
        self.report: JsonObject | None = None

    def fill(self, answer: JsonObject) -> JsonObject:
        """The same, under the caller's model; what OpenAI always says and its provider did not is put in."""
        answer["model"] = self._request.model
        if not (answer.get("id") and answer.get("object")) or answer.get("created") is None:
            answer |= {name: value for name, value in self._fallbacks().items() if not answer.get(name)}
        return answer

    def fill_chunk(self, chunk: JsonObject) -> JsonObject | None:
        """As `fill`; without the usage, which may come with every chunk, and None where there was nothing else."""
        if not self._everywhere and "usage" in chunk:
            usage: Any = chunk["usage"]
            if usage is not None and self._reports:
                head = {name: value for name, value in chunk.items() if name in HEAD or not chunk.get("choices")}
                self.report = self.fill({**head, "choices": [], "usage": usage})
            if usage is not None or not self._reports:
                del chunk["usage"]
            if usage is not None and not chunk.get("choices"):
                return None
        return self.fill(chunk)

    def _fallbacks(self) -> JsonObject:
        """One id for all chunks of a stream."""
        if not self._defaults:
            from uuid import uuid4  # late: nearly every provider says an id

            kind = "chat.completion.chunk" if self._streams else "chat.completion"
            if isinstance(self._request, CompletionRequest):
                kind = "text_completion"
            self._defaults = {"id": f"chatcmpl-{uuid4().hex}", "object": kind, "created": int(time.time())}
        return self._defaults
