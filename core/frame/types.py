"""Base types of the wire: JSON, streams of it, requests."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, override

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema

from core.frame.fail_fast import fail_fast

type JsonObject = dict[str, Any]
type JsonStream = AsyncGenerator[JsonObject]
"""One JSON object per server-sent event, in order; closing it cancels the call upstream."""


@dataclass(frozen=True, slots=True)
class NamedEvent:
    """A server-sent event with a name, and an id where a client may resume after it; `data` is JSON. A `comment` is for who reads the stream as it is."""

    name: str
    data: Any
    id: str = ""
    comment: str = ""


type EventSource = AsyncGenerator[NamedEvent]
"""The named events of a stream, in order; closing it cancels the call upstream."""


class Wire(BaseModel):
    """A request: what the stack reads is typed, what it does not read is kept and passed on.

    Its validation stops early; so does that of the types in it, which are Wire too.
    """

    # Built at the first request that has one: a function imports every table and answers mostly one operation.
    # NaN is no JSON, but some clients send it: it goes on as it came, for the provider to refuse.
    model_config = ConfigDict(extra="allow", frozen=True, strict=True, defer_build=True, ser_json_inf_nan="constants")

    @classmethod
    @override
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler, /) -> CoreSchema:
        return fail_fast(handler(source))

    def check_body(self) -> None:
        """Raise InvalidRequest for what nobody could answer; only what a caller sent is held to this."""


class Query(Wire):
    """The parameters of a query that the stack knows; others are ignored.

    A list is given by repeating its name, with or without `[]`. A field `last_event_id` is read from the header
    Last-Event-ID, with which clients resume a stream, or from the query where there is no such header; one `idempotency_key` alike from Idempotency-Key.
    """

    model_config = ConfigDict(extra="ignore")


class Health(TypedDict, total=False):
    """A provider's health; `message` says why it is not OK."""

    status: Literal["OK", "Error", "Not Implemented"]
    message: str
