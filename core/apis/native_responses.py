"""Models whose providers have Responses themselves: those whose metadata has `responses: native`.

Source: https://platform.openai.com/docs/api-reference/responses-streaming.
"""

from typing import Any, Final, Protocol

from core.errors import UpstreamFailed
from core.frame.types import JsonObject, JsonStream

NATIVE: Final = "native"
METADATA: Final = "responses"
"""The field of a model's metadata."""
LAST: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})
"""The types of the last event of a stream."""


class NativeResponses(Protocol):
    """Responses of the caller's models by their own providers: a surface of the API `inference`, without routes."""

    async def require(self, model: str) -> None:
        """Raise NotFound for a model that the caller may not use, and InvalidRequest for one that does not chat."""
        ...

    async def takes(self, model: str) -> bool:
        """Whether the model's provider answers for it; not where shields of the model have to judge: they know chat completions alone."""
        ...

    async def stream(self, body: JsonObject) -> JsonStream:
        """The events of one response, as `core.apis.responses.AnswersResponses` has them; `model` is the caller's name for it.

        Tokens are charged to the caller by what the provider reports. Opening raises what fails before the first event; a failure in the
        stream is raised too, and is no event of it.
        """
        ...


class EventChecker:
    """The events of one stream, as a provider's HTTP client checks them. It is `complete` with the last one."""

    __slots__ = ("begun", "complete")

    def __init__(self) -> None:
        self.begun = False
        self.complete = False

    def is_usual(self, chunk: JsonObject) -> bool:
        """A piece of text, as nearly all of them are."""
        return chunk.get("type") == "response.output_text.delta" and chunk.get("delta").__class__ is str

    def check(self, chunk: JsonObject) -> JsonObject:
        """Any of them; raises UpstreamFailed."""
        kind: Any = chunk.get("type")
        if kind.__class__ is not str:
            raise UpstreamFailed("The provider sent an event of a response that has no type.")
        self.begun = True
        if kind in LAST:
            if not isinstance(chunk.get("response"), dict):
                raise UpstreamFailed("The provider ended a response with an event that has no response.")
            self.complete = True
        return chunk
