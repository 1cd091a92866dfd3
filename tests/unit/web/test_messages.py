"""An operation with a protocol of its own: it reads what came, says what is wrong in its own words, and answers with its own status."""

from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx
import pytest
from starlette.types import Scope

from core.config.document import RunConfig
from core.errors import Unauthenticated
from core.frame.api import Api, SurfaceFactory, route_rows
from core.frame.api import Surface as SurfaceRow
from core.frame.callers import Call, Principal
from core.frame.content import Answer, Message
from core.frame.operations import Operation
from core.web.app import build_app
from core.web.messages import address_of
from core.web.observed import RequestRecord

HERE = "tests.unit.web.test_messages:"
JSON = {"content-type": "application/json"}


class Echo(Protocol):
    async def echo(self, request: Message | str) -> Answer: ...


def read_note(message: Message) -> Message | str:
    return message if message.content else "nothing"


def count_notes(message: Message | str) -> int:
    return 1 if isinstance(message, str) else message.content.count(b"note")


OPERATION = Operation(
    "POST",
    ("/echo",),
    "echo",
    "Echo.",
    read=f"{HERE}read_note",
    headers=("x-echo-",),
    reply="answer",
    parts=f"{HERE}count_notes",
    metadata="/.well-known/about/echo",
)
API = Api("echo", (SurfaceRow("echo", f"{HERE}Echo", (OPERATION,)),), assemble=f"{HERE}assemble")


class Echoes:
    """Says back what came, or that nothing did."""

    async def echo(self, request: Message | str) -> Answer:
        if isinstance(request, str):
            return Answer({"wrong": request}, 418, "teapot")
        if request.content == b'"quiet"':
            return Answer(status=202)
        return Answer(
            {
                "content": request.content.decode(),
                "headers": {name: list(v) for name, v in request.headers.items()},
                "to": request.address,
            }
        )


class Refusing:
    async def authenticate(self, request: Any) -> Principal:
        if "authorization" not in request.headers:
            raise Unauthenticated("There is no token.")
        return Principal("ada", {})


class Counter:
    """How many requests each call was counted as."""

    headers: dict[str, str] = {}  # noqa: RUF012 - a fake's

    def __init__(self) -> None:
        self.counted: list[int] = []

    async def admit(self, _: Call, tokens: int | None, requests: int = 1, order: object = None) -> "Counter":
        assert tokens is order is None
        self.counted.append(requests)
        return self

    async def settle(self, *_: object) -> None:
        return None


@dataclass
class ServedEchoes:
    authenticator: Any = None
    admission: Any = None
    issuers: tuple[str, ...] = ()
    stream_limit: Any = None
    answers: Any = None
    blobs: Any = None
    surfaces: dict[str, SurfaceFactory] = field(default_factory=lambda: {"echo": lambda _: Echoes()})
    registries: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def config(self) -> RunConfig:
        store = {"type": "sqlite", "db_path": "x"}
        return RunConfig.model_validate({"version": 2, "name": "t", "metadata_store": store})

    async def close(self) -> None:
        return None

    def client(self, records: list[RequestRecord] | None = None) -> httpx.AsyncClient:
        sink = None if records is None else records.append
        transport = httpx.ASGITransport(build_app(list(route_rows(API)), self, sink))
        return httpx.AsyncClient(transport=transport, base_url="https://stack.example")


async def test_a_message_has_its_content_and_the_headers_that_were_asked_for_and_no_other() -> None:
    async with ServedEchoes().client() as client:
        headers = [("x-echo-a", " 1 "), ("X-Echo-A", "2"), ("authorization", "Bearer secret"), ("x-other", "3")]
        answer = await client.post("/echo", content=b"{not json", headers=[*headers, *JSON.items()])
    assert answer.json() == {"content": "{not json", "headers": {"x-echo-a": ["1", "2"]}, "to": "https://stack.example"}


async def test_an_answer_has_its_own_status_and_body_and_its_failure_is_told_of() -> None:
    records: list[RequestRecord] = []
    async with ServedEchoes().client(records) as client:
        wrong = await client.post("/echo", headers=JSON)
        quiet = await client.post("/echo", content=b'"quiet"', headers=JSON)
    assert (wrong.status_code, wrong.json()) == (418, {"wrong": "nothing"})
    assert (quiet.status_code, quiet.content) == (202, b"")
    assert [(record.status, record.observed.error_code) for record in records] == [(418, "teapot"), (202, "")]


async def test_what_only_looks_takes_nothing_and_what_is_several_takes_as_many() -> None:
    counter = Counter()
    async with ServedEchoes(admission=counter).client() as client:
        for content in (b"look", b"note", b"note note", b""):
            await client.post("/echo", content=content, headers=JSON)
    assert counter.counted == [1, 2, 1]


async def test_what_is_no_json_is_refused_before_it_is_read() -> None:
    async with ServedEchoes().client() as client:
        answer = await client.post("/echo", content=b"x", headers={"content-type": "text/plain"})
    assert answer.status_code == 415


@pytest.mark.parametrize(
    ("issuers", "host", "named"),
    [
        (("https://issuer.example",), "stack.example", True),
        (("https://issuer.example",), 'a"b', False),
        ((), "stack.example", False),
    ],
)
async def test_a_401_names_the_metadata_where_there_is_an_issuer(
    issuers: tuple[str, ...], host: str, *, named: bool
) -> None:
    async with ServedEchoes(authenticator=Refusing(), issuers=issuers).client() as client:
        answer = await client.post("/echo", headers={**JSON, "host": host})
    assert answer.status_code == 401
    wanted = ', resource_metadata="https://stack.example/.well-known/about/echo"'
    assert answer.headers["www-authenticate"].endswith(wanted) is named


@pytest.mark.parametrize(
    ("event", "address"),
    [
        (None, "https://a.example"),
        ({"requestContext": {"path": "/live/echo"}}, "https://a.example/live"),
        ({"requestContext": {"path": "/echo"}}, "https://a.example"),
        ({"requestContext": {"http": {"path": "/live/echo"}}}, "https://a.example/live"),
        ({"requestContext": {"path": '/"x"/echo'}}, ""),
        ({"requestContext": {}}, "https://a.example"),
    ],
)
def test_the_address_has_what_a_gateway_put_before_the_path(event: object, address: str) -> None:
    scope: Scope = {"scheme": "https", "path": "/echo", "headers": [(b"host", b"A.example")], "aws.event": event}
    assert address_of(scope) == address
    assert address_of({**scope, "headers": []}) == ""
    assert address_of({**scope, "headers": [(b"host", b"a" * 250)], "root_path": "/b" * 150, "aws.event": None}) == ""
    assert address_of({**scope, "headers": [(b"host", b"a b")]}) == ""
