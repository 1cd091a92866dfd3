"""Responses: OpenAI's stateful API over models and tools, which answers in items.

Sources: https://platform.openai.com/docs/api-reference/responses, https://www.openresponses.org, OGX 1.5.0 for `max_infer_iters` and `guardrails`.
Shapes of items are in OpenAI's reference; the stack reads them where it must, and keeps what it does not know.
"""

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Protocol, override, runtime_checkable

from pydantic import Field

from core.apis.inference import GenerationRequest, Name
from core.frame.types import EventSource, Health, JsonObject, JsonStream

if TYPE_CHECKING:
    from core.apis.response_queries import (
        CompactRequest,
        InputItemsQuery,
        InputTokensRequest,
        ResponseQuery,
        ResponsesQuery,
    )

MOST_ITEMS: Final = 10_000
"""Input items of one request, and items of a conversation that a model is told."""
MOST_TOOLS: Final = 128
DEFAULT_ROUNDS: Final = 10
"""Times that a model is asked in one response, where neither the request nor the run config says."""
MOST_ROUNDS: Final = 100
MOST_METADATA: Final = 16
"""Pairs: keys of at most 64 characters, values of at most 512."""

type Include = Literal[
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "message.output_text.logprobs",
    "reasoning.encrypted_content",
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
]


class ResponseRequest(GenerationRequest):
    """What is not typed here is kept, and looked at in `check_body`.

    In the `background` a response is made by a worker, and the request is answered at once; `auto` begins in the foreground, and goes on by a
    worker where the call's time is up.
    """

    model: Name
    input: str | list[dict[str, Any]] | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    conversation: str | dict[str, Any] | None = None
    prompt: dict[str, Any] | None = None
    tools: Annotated[list[dict[str, Any]], Field(max_length=MOST_TOOLS)] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    max_tool_calls: Annotated[int, Field(ge=1)] | None = None
    max_output_tokens: Annotated[int, Field(ge=16)] | None = None
    max_infer_iters: Annotated[int, Field(ge=1, le=MOST_ROUNDS)] | None = None
    text: dict[str, Any] | None = None
    reasoning: dict[str, Any] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    background: bool | Literal["auto"] | None = None
    include: list[str] | None = None
    metadata: dict[str, Any] | None = None
    guardrails: list[Any] | bool | None = None

    @override
    def check_body(self) -> None:
        from core.apis.response_rules import check_request  # late: others import this and read no such body

        check_request(self)


class Responses(Protocol):
    """The caller's responses: those of others are NotFound."""

    async def create(self, request: ResponseRequest) -> JsonObject:
        """Answer with one `response` object.

        What fails before a model was asked is raised, as a model's first failure is; a later one is the `error` of a response that `failed`.
        """
        ...

    async def stream(self, request: ResponseRequest) -> EventSource:
        """Answer with the events of the response. Opening raises what `create` raises."""
        ...

    async def index(self, *, query: "ResponsesQuery") -> JsonObject: ...

    async def get(self, response_id: str, *, query: "ResponseQuery") -> JsonObject: ...

    async def replay(self, response_id: str, *, query: "ResponseQuery") -> EventSource:
        """The events of the stream of a stored response, as they were and as they come."""
        ...

    async def delete(self, response_id: str) -> JsonObject: ...

    async def cancel(self, response_id: str) -> JsonObject:
        """One that has not ended; what was whole of it is kept."""
        ...

    async def input_items(self, response_id: str, *, query: "InputItemsQuery") -> JsonObject: ...

    async def compact(self, request: "CompactRequest") -> JsonObject:
        """The items that take the place of those of the request: its user's messages, and a `compaction` item."""
        ...

    async def count_input(self, request: "InputTokensRequest") -> JsonObject:
        """`{"object": "response.input_tokens", "input_tokens": N}`, by the estimate that chunks are measured by."""
        ...


class ResponsesProvider(Protocol):
    """A provider of the API `responses`; one that has no `stream_response` leaves the run to the stack's own engine."""

    async def health(self) -> Health:
        """Never raises for a provider that is down."""
        ...

    async def close(self) -> None: ...


@runtime_checkable
class AnswersResponses(Protocol):
    """A provider that runs a response itself: one of `responses`, or of `inference` for a model whose metadata has `responses: native`."""

    async def stream_response(self, request: JsonObject) -> JsonStream:
        """The events of OpenAI's stream, from `response.created` to the last, each with its `type`.

        `request` is the body of `POST /v1/responses` with `stream: true` and `store: false`, whose `input` is the whole context as items:
        without `previous_response_id`, `conversation` and `prompt`, and `model` by the provider's own name. Opening raises what fails before the
        first event. State, ids and `sequence_number` are the stack's own: those of the events are replaced.
        """
        ...


def most_tokens(request: ResponseRequest) -> int:
    """The bound that the request sets itself, 0 where it sets none."""
    return request.max_output_tokens or 0
