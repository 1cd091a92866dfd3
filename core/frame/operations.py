"""Operations: the rows of which a manifest's tables, and so the routes, are made."""

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final, Literal

from core.frame.dotted import load
from core.frame.types import NamedEvent, Wire

type Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
type Reply = Literal["json", "bytes", "none", "answer"]
type FrameStyle = Literal["data", "events"]

OK: Final = 200
NO_CONTENT: Final = 204


@dataclass(frozen=True, slots=True)
class Upload:
    """A body of multipart/form-data: the part `field` is a file, the others are the fields of `request`, in any order.

    The file is kept as a blob, under `prefix` and a random name, before the method is called with it; the blob is
    deleted unless the method returns. Where `most` is more than 1, the method gets a tuple of them.

    `store` names the function from a stack to where the file goes, a `core.frame.content.UploadStore` or None; without it
    that is the blob store. `folder` names the function from the stack, and the fields that came before the file, to the folder
    below `prefix` that it goes to. Where `json` names a type, a body of application/json may come in the place of the form: then the
    method gets it as its body, and None as `upload`. `advice` says what to do with a file that is too large; `{part}` in it is a size in bytes that passes everywhere.
    """

    prefix: str
    field: str = "file"
    most: int = 1
    required: bool = True
    store: str | None = None
    folder: str | None = None
    json: str | None = None
    advice: str = ""

    def json_type(self) -> type[Wire] | None:
        """The type of a body in the place of the form, imported now; None where there is none."""
        return None if self.json is None else load(self.json)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: it yields an endpoint per path, a line in inspect/routes and an OpenAPI entry.

    `call` names the method of the surface's Protocol, `stream` the one used when the body or the query has `stream: true`.
    Both get the body as their first argument, where `request` names its type (see `core.frame.dotted`), then by name the
    path parameters, `query`, where that names a type of `core.frame.types.Query`, and `upload`: what was uploaded.

    A method of `reply` "json" returns what `response` names the type of; of "bytes", a `core.frame.content.Bytes` or
    `Redirect`, of JSON too large to be in memory where `response` names its type; of "none", nothing; of "answer", a `core.frame.content.Answer`, with a status and an error body of its own
    protocol. `status` is the answer's, if it is not 200, or 204 of an empty one.

    `read` names the function from a `core.frame.content.Message` to the body, for a protocol that has its own words for
    what is wrong with one: it raises nothing. The message has the headers whose names begin with one of `headers`, and no
    other. `request` is then for the OpenAPI document alone.

    A stream in `frames` "data" yields what `event` names the type of, and ends with `[DONE]`; in "events" it yields
    NamedEvents, and `failure` names the function from an error and the last event to the one that tells of it.

    `open` needs no token; what is `open` or not `counted` takes nothing of the caller's quota. None is counted
    unless it only looks: one whose quota is used up may still GET JSON. `tokens` is there for what makes tokens: it names
    the function from such a request to the bound that it sets itself, 0 where it sets none, and below 0 what is to be
    reserved at least, and `model` names the field of its body that names the model. `parts` names the one to how many requests it counts as, for what may hold several, or, with 0, only
    looks. What is `idempotent` heeds an Idempotency-Key. JSON that is `tagged` has an ETag: who asks again and again, with an If-None-Match,
    is told by a 304 that nothing has changed. A 401 names `metadata`, a path, where callers have tokens of an
    issuer: there it says which (RFC 9728). `text` is a media type: a method that returns a str in the place of JSON has formed
    such a text.
    """

    method: Method
    paths: tuple[str, ...]
    call: str
    summary: str
    request: str | None = None
    read: str | None = None
    headers: tuple[str, ...] = ()
    query: str | None = None
    upload: Upload | None = None
    response: str | None = None
    reply: Reply = "json"
    status: int | None = None
    stream: str | None = None
    event: str | None = None
    frames: FrameStyle = "data"
    failure: str | None = None
    open: bool = False
    counted: bool | None = None
    tokens: str | None = None
    parts: str | None = None
    model: str | None = None
    idempotent: bool = False
    tagged: bool = False
    metadata: str = ""
    text: str = ""

    @property
    def success(self) -> int:
        """The status of an answer that is no failure."""
        return self.status or (NO_CONTENT if self.reply == "none" else OK)

    @property
    def takes_quota(self) -> bool:
        """Whether it counts as a request of the caller's."""
        looks = self.method == "GET" and self.reply == "json"
        return not self.open and (not looks if self.counted is None else self.counted)

    def request_type(self) -> type[Wire] | None:
        """The body's type, imported now; None for an operation without a body."""
        return None if self.request is None else load(self.request)

    def token_bound(self) -> Callable[[Any], int] | None:
        """What bounds a request's tokens, imported at its first call; None where no tokens are made."""
        return _late(self.tokens)

    def part_count(self) -> Callable[[Any], int] | None:
        """What counts a request's parts, imported at its first call; None where it has one."""
        return _late(self.parts)

    def model_name(self) -> Callable[[Any], str] | None:
        """What tells the model that a body asks for; None where none does."""
        return None if self.model is None else attrgetter(self.model)

    def failure_event(self) -> "Callable[[Any, NamedEvent | None], NamedEvent] | None":
        """What makes an error the last event of a stream; None is the usual one."""
        return None if self.failure is None else load(self.failure)


def _late(name: str | None) -> Callable[[Any], int] | None:
    if name is None:
        return None

    def count(request: object) -> int:
        number: int = load(name)(request)
        return number

    return count


def openai_paths(path: str) -> tuple[str, str]:
    """`path` under both prefixes: /v1 and, for 0.2 clients, /v1/openai/v1."""
    return (f"/v1{path}", f"/v1/openai/v1{path}")
