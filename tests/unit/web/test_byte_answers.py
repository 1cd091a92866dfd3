"""Bytes are answered whole or in the range that was asked for, and what a user uploaded never runs in a browser."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
from hypothesis import given
from hypothesis import strategies as st
import pytest
from starlette.types import Message

from core.errors import RangeNotSatisfiable, UpstreamFailed
from core.frame.callers import CURRENT_CALL
from core.frame.content import Bytes, Redirect
from core.web.byte_answers import IncompleteBytes, Span, disposition, span_of
from core.web.observed import RequestRecord
from tests.parts.notebook import ServedNotebook, notebook_app, served_notebook
from tests.unit.web.test_operations import Counter, Doorkeeper, client_of, error

CONTENT = bytes(range(250)) * 1000
PATH = "/v1/files/some/file"


@pytest.fixture
async def served(tmp_path: Path) -> ServedNotebook:
    served = served_notebook(tmp_path / "blobs")
    assert served.blobs is not None
    await served.blobs.put("some/file", CONTENT, media_type="text/html")
    await served.blobs.put("empty", b"")
    return served


@pytest.fixture
async def client(served: ServedNotebook) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(served) as client:
        yield client


async def test_a_file_is_whole_with_what_is_known_of_it(client: httpx.AsyncClient) -> None:
    answer = await client.get(PATH)
    assert (answer.status_code, answer.content) == (200, CONTENT)
    headers = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
    assert headers == {
        "content-type": "text/html",
        "content-length": str(len(CONTENT)),
        "content-disposition": "attachment; filename=\"sum _2026_ _ a.txt\"; filename*=UTF-8''sum%20%222026%22%20%C3%A9%20a.txt",
        "accept-ranges": "bytes",
        "x-content-type-options": "nosniff",
        "etag": '"tag"',
    }


@pytest.mark.parametrize("header", [None, "bytes=0-9"])
async def test_head_says_what_get_would(client: httpx.AsyncClient, served: ServedNotebook, header: str | None) -> None:
    headers = {} if header is None else {"range": header}
    got = await client.get(PATH, headers=headers)
    served.notebook.calls.clear()
    head = await client.head(PATH, headers=headers)
    assert len(served.notebook.calls) == 1  # the method alone: nothing was read
    ours = {"x-request-id"}
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert {k: v for k, v in head.headers.items() if k not in ours} == {
        k: v for k, v in got.headers.items() if k not in ours
    }


@pytest.mark.parametrize(
    ("header", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("Bytes= 10-19 ", 10, 20),
        ("bytes=249990-", 249_990, 250_000),
        ("bytes=249990-999999", 249_990, 250_000),
        ("bytes=-10", 249_990, 250_000),
        ("bytes=-9999999", 0, 250_000),
        ("bytes=0-", 0, 250_000),
    ],
)
async def test_one_range_is_answered(client: httpx.AsyncClient, header: str, start: int, stop: int) -> None:
    answer = await client.get(PATH, headers={"range": header})
    assert (answer.status_code, answer.content) == (206, CONTENT[start:stop])
    assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/250000"
    assert answer.headers["content-length"] == str(stop - start)


@pytest.mark.parametrize(
    "header",
    [
        "bytes=0-1,4-5",
        "lines=0-1",
        "bytes=5-2",
        "bytes=a-b",
        "bytes=-",
        "bytes",
        "bytes=--1",
        "bytes=" + "9" * 99 + "-",
    ],
)
async def test_what_is_no_range_that_is_answered_gets_the_whole(client: httpx.AsyncClient, header: str) -> None:
    answer = await client.get(PATH, headers={"range": header})
    assert (answer.status_code, answer.content) == (200, CONTENT)


@pytest.mark.parametrize(
    ("path", "header", "size"),
    [
        (PATH, "bytes=250000-", 250_000),
        (PATH, "bytes=-0", 250_000),
        ("/v1/files/empty", "bytes=0-", 0),
        ("/v1/files/empty", "bytes=-5", 0),
    ],
)
async def test_bytes_that_are_not_there_are_a_416(client: httpx.AsyncClient, path: str, header: str, size: int) -> None:
    answer = await client.get(path, headers={"range": header})
    assert (answer.status_code, error(answer)["code"]) == (416, "range_not_satisfiable")
    assert answer.headers["content-range"] == f"bytes */{size}"


@pytest.mark.parametrize(
    ("condition", "status"),
    [('"tag"', 206), (' "tag" ', 206), ('W/"tag"', 200), ('"other"', 200), ("Sat, 01 Jan 2000 00:00:00 GMT", 200)],
)
async def test_a_range_of_what_has_changed_is_the_whole(client: httpx.AsyncClient, condition: str, status: int) -> None:
    answer = await client.get(PATH, headers={"range": "bytes=0-1", "if-range": condition})
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("condition", "status"),
    [('"tag"', 304), ('W/"tag"', 304), ('"a", "tag"', 304), ("*", 304), ('"a"', 200), ("tag", 200), ("", 200)],
)
async def test_what_the_client_has_is_not_sent_again(client: httpx.AsyncClient, condition: str, status: int) -> None:
    answer = await client.get(PATH, headers={"if-none-match": condition, "range": "lines=1-2"})
    assert answer.status_code == status
    assert answer.headers["etag"] == '"tag"'
    assert (answer.content == b"") is (status == 304)


async def test_an_empty_file_is_empty_and_a_missing_one_a_404(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/files/empty")
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "0")
    assert (await client.get("/v1/files/none")).status_code == 404


async def test_a_redirect_goes_there_and_its_url_is_told_to_nobody_else(
    served: ServedNotebook, caplog: pytest.LogCaptureFixture
) -> None:
    records: list[RequestRecord] = []
    async with client_of(served, records) as client:
        answer = await client.get("/v1/files/elsewhere")
    assert (answer.status_code, answer.content) == (302, b"")
    assert answer.headers["location"] == "https://elsewhere.example/a%20b?signature=secret&x=%2F"
    assert answer.headers["cache-control"] == "no-store"
    assert "secret" not in f"{records}{caplog.text}{Redirect('https://secret')!r}"


async def test_it_is_read_as_the_caller_and_settled_before_the_last_bytes(served: ServedNotebook) -> None:
    served.authenticator, served.admission = Doorkeeper(), Counter()
    order: list[Any] = []

    async def send(message: Message) -> None:
        order.append((message.get("more_body"), len(served.admission.settled)))

    async def receive() -> Message:
        await asyncio.sleep(3600)
        raise AssertionError

    await notebook_app(served)(scope(), receive, send)
    assert order[-1] == (False, 1)
    assert {settled for _, settled in order[:-1]} == {0}
    assert len(order) > 3
    assert {call and call.principal.id for call in served.notebook.calls} == {"ada"}
    assert CURRENT_CALL.get() is None


async def test_a_client_that_leaves_closes_the_source(served: ServedNotebook) -> None:
    closed = asyncio.Event()
    leave = asyncio.Event()

    async def read(_: int, __: int) -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x"
                await asyncio.sleep(0)
        finally:
            closed.set()

    async def content(file_id: str) -> Bytes:
        del file_id
        return Bytes(read, 10**9)

    async def send(_: Message) -> None:
        leave.set()

    async def receive() -> Message:
        await leave.wait()
        return {"type": "http.disconnect"}

    served.notebook.content = content  # type: ignore[method-assign]
    await asyncio.wait_for(notebook_app(served)(scope(), receive, send), 10)
    assert closed.is_set()


def scope() -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": PATH, "headers": [], "query_string": b"", "root_path": ""}


async def broken(served: ServedNotebook, *chunks: bytes | Exception) -> tuple[list[Message], list[RequestRecord]]:
    async def read(_: int, __: int) -> AsyncIterator[bytes]:
        for chunk in chunks:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk

    async def content(file_id: str) -> Bytes:
        del file_id
        return Bytes(read, 10)

    served.notebook.content = content  # type: ignore[method-assign]
    messages: list[Message] = []
    records: list[RequestRecord] = []

    async def send(message: Message) -> None:
        messages.append(message)

    async def receive() -> Message:
        await asyncio.sleep(3600)
        raise AssertionError

    try:
        await notebook_app(served, records.append)(scope(), receive, send)
    except IncompleteBytes:
        messages.append({"type": "cut"})
    return messages, records


async def test_what_breaks_before_the_first_byte_has_a_status(served: ServedNotebook) -> None:
    messages, _ = await broken(served, UpstreamFailed("gone"))
    assert (messages[0]["status"], len(messages)) == (502, 2)


@pytest.mark.parametrize("end", [(), (UpstreamFailed("gone"),)])
async def test_what_breaks_later_does_not_end_well(served: ServedNotebook, end: tuple[Exception, ...]) -> None:
    served.admission = Counter()
    messages, records = await broken(served, b"abc", b"", b"de", *end)
    assert [message.get("body") for message in messages[1:]] == [b"abc", b"de", None]
    assert messages[-1] == {"type": "cut"}
    assert [record.status for record in records] == [500]
    assert served.admission.settled == [0]


async def test_no_more_than_was_announced_is_sent(served: ServedNotebook) -> None:
    messages, _ = await broken(served, b"12345", b"67890more")
    assert b"".join(message.get("body", b"") for message in messages) == b"1234567890"
    assert messages[-1]["more_body"] is False


NUMBERS = st.integers(0, 30)


@given(
    st.one_of(st.builds("bytes={}-{}".format, NUMBERS, NUMBERS), st.builds("bytes=-{}".format, NUMBERS), st.text()),
    st.integers(0, 20),
)
def test_a_range_lies_within_its_bytes_or_is_refused(header: str, size: int) -> None:
    try:
        span = span_of(header, size)
    except RangeNotSatisfiable:
        return
    assert 0 <= span.start <= span.stop <= size
    if not span.partial:
        assert span == Span(0, size)
        return
    assert span.start < span.stop
    first, _, last = header.removeprefix("bytes=").partition("-")
    asked = range(size)[int(first) : int(last) + 1] if first else range(size)[max(size - int(last), 0) :]
    assert list(asked) == list(range(span.start, span.stop))


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_no_file_name_leaves_its_quotes(name: str) -> None:
    header = disposition(name)
    assert header.isascii()
    assert header.isprintable()
    assert header.startswith("attachment")
    assert header.count('"') in {0, 2}


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("", "attachment"),
        ("a b.txt", 'attachment; filename="a b.txt"'),
        ("ä.txt", "attachment; filename=\"_.txt\"; filename*=UTF-8''%C3%A4.txt"),
        ('a"\r\nx: y', "attachment; filename=\"a___x: y\"; filename*=UTF-8''a%22%0D%0Ax%3A%20y"),
    ],
)
def test_a_file_name_in_a_header(name: str, header: str) -> None:
    assert disposition(name) == header
