"""HTTP itself as a weapon: what is malformed or endless, numbers out of bounds, an upstream's text in headers, an end under load."""

import asyncio
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import asynccontextmanager
import json
from pathlib import Path
import signal
import socket
import subprocess
import sys
import time
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.routing import Mount

from core.apis.index import names, route_rows
from core.errors import UpstreamThrottled
from core.frame.dotted import load
from core.web.app import app_of
from core.web.failures import STOPPING, error_response
from core.web.origins import OriginRules
from tests.contract.test_serve import CHAT, body, write
from tests.parts.stack import ROOT, address_of, serving
from tests.parts.upstream import FakeUpstream, Reply, chunk, hang, running, status, stream

WITHOUT_HTTPTOOLS = (
    sys.executable,
    "-c",
    "import sys; sys.modules['httptools'] = None\nfrom core.cli.main import main; main()",
)
HEAD = "POST /v1/models HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
CHUNKED = f"{HEAD}transfer-encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module", params=[(), WITHOUT_HTTPTOOLS], ids=["httptools", "h11"])
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    folder = tmp_path_factory.mktemp("http")
    config = write(folder, {"a": "http://127.0.0.1:9"})
    config.write_text(json.dumps(json.loads(config.read_text()) | {"configurations": {}}))
    with serving(config, folder / "log", llambda=request.param) as url:
        yield url


@pytest.fixture
def client(stack: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack, timeout=30) as client:
        yield client


def ask(url: str, *parts: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the answer to what is sent, part by part."""
    address = urlsplit(url)
    with socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=20) as connection:
        for part in parts:
            connection.sendall(part.encode("latin-1"))
            time.sleep(0.05 if len(parts) > 1 else 0)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    top, _, content = answer.partition(b"\r\n\r\n")
    first, *lines = top.decode().split("\r\n")
    return int(first.split()[1]), {line.partition(": ")[0]: line.partition(": ")[2] for line in lines}, content


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param(("hello\r\n\r\n",), id="no HTTP"),
        pytest.param(("GET / HTTP/x\r\nhost: localhost\r\n\r\n",), id="another version"),
        pytest.param(("GET /v1/version HTTP/1.1\r\nhost localhost\r\n\r\n",), id="no colon"),
        pytest.param(("GET /v1/version HTTP/1.1\r\nhost: localhost\r\n x: folded\0\r\n\r\n",), id="a null"),
        pytest.param(("GET /\xff HTTP/1.1\r\nhost: localhost\r\n\r\n",), id="a path beyond ASCII"),
        pytest.param((f"{HEAD}content-length: x\r\n\r\n",), id="a length that is none"),
        pytest.param((f"{HEAD}content-length: 3\r\ncontent-length: 4\r\n\r\nabc",), id="two lengths"),
        pytest.param(
            (CHUNKED.replace("\r\n\r\n", "\r\ncontent-length: 4\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),),
            id="a length and chunks",
        ),
        pytest.param(
            (f"{HEAD}content-length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n",),
            id="chunks and a length",
        ),
        pytest.param((f"{CHUNKED}zz\r\n",), id="a chunk without a size"),
        pytest.param((CHUNKED, "1\r\n{\r\n", "zz\r\n"), id="a later chunk without a size"),
        pytest.param((CHUNKED, "1\r\n{}}}\r\n"), id="a chunk that is longer than its size"),
        pytest.param((f"GET / HTTP/1.1\r\nhost: localhost\r\nx: {'a' * 1_000_000}\r\n\r\n",), id="a header of 1 MB"),
        pytest.param((f"GET /{'a' * 1_000_000}",), id="a target without an end"),
        pytest.param((f"GET / HTTP/1.1\r\nhost: localhost\r\n{'x: y\r\n' * 200_000}",), id="headers without an end"),
        pytest.param((f"{CHUNKED}2\r\n{{}}\r\n0\r\nx: {'a' * 500_000}",), id="trailers without an end"),
        pytest.param((f"{CHUNKED}2;x={'a' * 500_000}",), id="a chunk's extension without an end"),
    ],
)
def test_what_is_no_http_is_refused_in_the_shape_of_errors(stack: str, parts: tuple[str, ...]) -> None:
    code, headers, content = ask(stack, *parts)
    assert code in {400, 431}
    assert (headers["content-type"], headers["connection"]) == ("application/json", "close")
    error = json.loads(content)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == {400: "invalid_request", 431: "head_too_large"}[code]


def test_what_comes_behind_a_request_does_not_change_its_answer(stack: str) -> None:
    get = "GET /v1/version HTTP/1.1\r\nhost: localhost\r\n\r\n"
    code, _, content = ask(stack, f"{get}garbage\r\n\r\n")
    assert (code, content.count(b"{")) == (200, 1) or b"garbage" not in content


def test_trailers_are_no_headers(stack: str) -> None:
    head = "POST /v1/models HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    code, _, _ = ask(stack, f"{head}2\r\n{{}}\r\n0\r\ncontent-type: application/json\r\n\r\n")  # all at once
    assert code == 415


def test_websockets_are_no_way_in(stack: str) -> None:
    upgrade = "connection: upgrade, close\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
    key = "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\norigin: http://evil.example\r\n"
    code, headers, _ = ask(stack, f"GET /nowhere HTTP/1.1\r\nhost: localhost\r\n{upgrade}{key}\r\n")
    assert (code, headers["content-type"]) == (404, "application/json")


NUMBERS = ["-1", str(10**30), "9" * 5000, "1e400", "NaN", "0x10", "1.5", "٣", "", "-" + "9" * 30]


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number[:12])
def test_a_number_out_of_bounds_is_a_400_on_every_route(client: httpx.Client, number: str) -> None:
    for path in ("/v1/models", "/v1/openai/v1/models", "/v1/jobs", "/v1/configurations"):
        for name in ("limit", "before"):
            answer = client.get(path, params={name: number})
            assert answer.status_code in ({200, 400} if name == "before" or number == "٣" else {400}), answer.text
    assert client.get(f"/v1/configurations/{number or '-'}").status_code == 404
    for value in (number, 10**30, -(10**30)):
        answer = client.post("/v1/configurations", json={"config": {}, "revert_to": value})
        assert answer.status_code in {400, 404}, answer.text


def test_every_number_of_a_query_is_bounded() -> None:
    """Whatever is added: what a store would not take must not reach it."""
    queries = {row.operation.query for row in route_rows(names()) if row.operation and row.operation.query}
    types = [load(name) for name in queries] + [load("core.frame.resources:ListQuery")]
    unbounded: list[str] = []
    for query in types:
        for name, schema in query.model_json_schema()["properties"].items():
            numbers = [s for s in (schema, *schema.get("anyOf", ())) if s.get("type") in {"integer", "number"}]
            unbounded += [name for s in numbers if not {"minimum", "maximum"} <= s.keys() or s["maximum"] >= 2**63]
    assert unbounded == []


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ("7", "7"),
        ("1.5", "1.5"),
        ("Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:28:00 GMT"),
        ("soon \U0001f600", None),
        ("1\r\nset-cookie: a=b", None),
        ("1\0", None),
        ("9" * 30, None),
        ("-1", None),
    ],
)
def test_an_upstreams_text_in_a_header_neither_splits_nor_breaks_it(value: str, seen: str | None) -> None:
    response = error_response(UpstreamThrottled("no", headers={"retry-after": value, "x-other": f"a{value}\x7f\u2028"}))
    assert response.headers.get("retry-after") == seen
    assert all(32 <= byte < 127 for byte in b"".join(part for header in response.raw_headers for part in header))
    assert "set-cookie" not in response.headers


@pytest.mark.parametrize("value", ["soon \U0001f600"])
async def test_an_upstreams_retry_after_arrives_or_is_left_out(tmp_path: Path, value: str) -> None:
    async with running() as upstream:
        upstream.replies[CHAT] = status(429, {}, {"retry-after": value})
        with serving(write(tmp_path, {"a": upstream.url}), tmp_path / "log") as url:
            async with httpx.AsyncClient(base_url=url) as client:
                await client.get("/v1/models")
                answer = await client.post(CHAT, json=body("a/m"))
    assert (answer.status_code, answer.headers.get("retry-after")) == (429, None)
    assert answer.json()["error"]["code"] == "upstream_rate_limit_exceeded"


async def test_what_breaks_outside_of_every_route_has_the_shape_of_errors() -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    app = app_of([Mount("/", broken)], [], OriginRules(), None)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
        answer = await client.get("/x")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")


async def test_an_answer_that_a_stop_finds_anywhere_has_the_shape_of_errors() -> None:
    async def stuck(*_: object) -> None:
        await asyncio.sleep(3600)

    app = app_of([Mount("/", stuck)], [], OriginRules(), None)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as client:
        asking = asyncio.create_task(client.get("/x"))
        await asyncio.sleep(0.1)
        asking.cancel(STOPPING)
        assert (await asking).json()["error"]["code"] == "server_stopping"


class Process:
    """`llambda serve` that a test ends itself."""

    def __init__(self, process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
        self.process = process
        self.url = url
        self.log = log

    async def end(self) -> float:
        """Send SIGTERM, and wait: for how long, in seconds."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(self.process.wait, 30) == 0, self.log.read_text()
        assert "Traceback" not in self.log.read_text()
        return time.monotonic() - begun


@asynccontextmanager
async def stopping(folder: Path, reply: Reply, seconds: float) -> AsyncGenerator[Process]:
    async with running(FakeUpstream()) as upstream:
        upstream.replies[CHAT] = reply
        config = write(folder, {"a": upstream.url}, shutdown_seconds=seconds)
        command = [sys.executable, "-m", "core.cli.main", "serve", str(config), "--port", "0"]
        log = folder / "log"
        with log.open("wb") as output:
            process = await asyncio.to_thread(subprocess.Popen, command, cwd=ROOT, stdout=output, stderr=output)
        try:
            yield Process(process, await asyncio.to_thread(address_of, process, log), log)
        finally:
            process.kill()
            process.wait()


async def test_a_stop_ends_streams_and_answers_with_an_error_and_takes_nothing_new(tmp_path: Path) -> None:
    async def reply(request: Any) -> Any:
        asked = json.loads(await request.text())
        return await (stream([chunk("Hel")], hang=True) if asked.get("stream") else hang)(request)

    async with stopping(tmp_path, reply, 1) as server, httpx.AsyncClient(base_url=server.url, timeout=30) as client:
        await client.get("/v1/models")
        asking = asyncio.create_task(client.post(CHAT, json=body("a/m")))
        async with client.stream("POST", CHAT, json=body("a/m", stream=True)) as answer:
            lines = answer.aiter_lines()
            assert "Hel" in await anext(lines)
            ending = asyncio.create_task(server.end())
            await asyncio.sleep(0.5)
            with pytest.raises(httpx.ConnectError):
                await client.get("/v1/version", headers={"connection": "close"})
            rest = [line async for line in lines if line]
        assert json.loads(rest[0].removeprefix("data: "))["error"]["code"] == "server_stopping"
        assert rest[1:] == ["data: [DONE]"]
        refused = await asking
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "server_stopping")
        assert refused.headers["retry-after"] == "1"
        assert 1 <= await ending < 5


async def test_a_stop_lets_a_stream_end_that_has_the_time(tmp_path: Path) -> None:
    async def reply(request: Any) -> Any:
        await asyncio.sleep(1)
        return await stream([chunk("Hello")])(request)

    async with stopping(tmp_path, reply, 20) as server, httpx.AsyncClient(base_url=server.url, timeout=30) as client:
        asking = asyncio.create_task(client.post(CHAT, json=body("a/m", stream=True)))
        await asyncio.sleep(0.6)
        assert await server.end() < 10
        answer = await asking
        assert "Hello" in answer.text
        assert answer.text.endswith("data: [DONE]\n\n")
        assert "error" not in answer.text
