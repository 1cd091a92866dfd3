"""What is asked of responses beside an answer: pages, streams that are resumed, compactions, estimates. Apart, since an answer imports none of it."""

from typing import Annotated, Any, Final, Literal, override

from pydantic import Field

from core.apis.inference import GenerationRequest, Name
from core.apis.responses import MOST_TOOLS
from core.frame.types import Query, Wire

MOST_EVENTS: Final = 1_000_000_000
"""Of a stream."""


class ResponseQuery(Query):
    """`stream` with `starting_after` resumes the stream of a stored response behind that `sequence_number`."""

    include: list[str] | None = None
    stream: bool | None = None
    starting_after: Annotated[int, Field(ge=0, le=MOST_EVENTS)] | None = None


class ResponsesQuery(Query):
    """A page of the caller's own responses."""

    after: str | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 50
    model: str | None = None
    order: Literal["asc", "desc"] = "desc"


class InputItemsQuery(Query):
    """A page of the items of a response, or of a conversation."""

    after: str | None = None
    before: str | None = None
    include: list[str] | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    order: Literal["asc", "desc"] = "desc"


class CompactRequest(GenerationRequest):
    """`input` is items, or a text; what comes of it takes their place."""

    model: Name
    input: str | list[dict[str, Any]] | None = None
    instructions: str | None = None
    previous_response_id: str | None = None

    @override
    def check_body(self) -> None:
        from core.apis.response_items import check_input

        check_input(self.input)


class InputTokensRequest(Wire):
    """What `ResponseRequest` has, of what is told to a model."""

    model: str | None = None
    input: str | list[dict[str, Any]] | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    conversation: str | dict[str, Any] | None = None
    tools: Annotated[list[dict[str, Any]], Field(max_length=MOST_TOOLS)] | None = None

    @override
    def check_body(self) -> None:
        from core.apis.response_rules import check_count

        check_count(self)
