"""A form's file is in the blob store, its fields are the body, and nothing is left of what was refused or given up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
import re
from typing import Any

import httpx
from hypothesis import given
from hypothesis import strategies as st
import pytest
from starlette.types import Message

from core.errors import InvalidRequest, NotFound, PermissionDenied
from core.frame.content import clean_filename, clean_media_type
from core.web.multipart import LONGEST_HEADER, MOST_PARTS, Part, boundary_of, parts
from core.web.uploads import MOST_FORM
from tests.parts.notebook import LIMIT, ServedNotebook, notebook_app, served_notebook
from tests.unit.web.test_operations import Counter, Doorkeeper, client_of, error

UPLOAD = "/v1/folders/f/files"
BOUNDARY = "b0undary"
FORM = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
CONTENT = bytes(range(256)) * 400


def part(name: str, content: bytes, *more: str) -> bytes:
    head = "\r\n".join([f'Content-Disposition: form-data; name="{name}"' + "".join(more[:1]), *more[1:]])
    return f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + content + b"\r\n"


def file(content: bytes = CONTENT, name: str = "a.txt", *more: str) -> bytes:
    return part("file", content, f'; filename="{name}"', *more)


def form(*parts_: bytes) -> bytes:
    return b"".join(parts_) + f"--{BOUNDARY}--\r\n".encode()


PURPOSE = part("purpose", b"batch")


@pytest.fixture
def served(tmp_path: Path) -> ServedNotebook:
    return served_notebook(tmp_path / "blobs")


@pytest.fixture
async def client(served: ServedNotebook) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(served) as client:
        yield client


def keys(served: ServedNotebook) -> list[str]:
    assert served.blobs is not None
    return served.blobs.keys()


@pytest.mark.parametrize("fields_first", [True, False])
async def test_a_file_and_its_fields_arrive_in_any_order(
    client: httpx.AsyncClient, served: ServedNotebook, *, fields_first: bool
) -> None:
    fields = (
        PURPOSE + part("pages", b"3") + part("tags[]", b"x") + part("tags[]", "ü".encode()) + part("expires[n]", b"9")
    )
    content = file(CONTENT, "a.txt", "Content-Type: Text/Plain; charset=utf-8")
    sent = form(fields, content) if fields_first else form(content, fields)
    answer = (await client.post(UPLOAD, content=sent, headers=FORM)).json()
    assert answer["fields"] == {"purpose": "batch", "pages": 3, "tags": ["x", "ü"], "expires": {"n": "9"}}
    assert (answer["folder_id"], answer["filename"], answer["media_type"]) == ("f", "a.txt", "text/plain")
    assert (answer["size"], answer["sha256"]) == (len(CONTENT), sha256(CONTENT).hexdigest())
    assert re.fullmatch("notebook/[0-9a-f]{32}", answer["key"])
    assert keys(served) == [answer["key"].replace("/", "#")]
    assert (await client.get(f"/v1/files/{answer['key']}")).content == CONTENT


async def test_httpx_and_its_like_are_understood(client: httpx.AsyncClient) -> None:
    files = {"file": ('näme "q".pdf', b"%PDF", "application/pdf")}
    answer = (await client.post(UPLOAD, data={"purpose": "assistants"}, files=files)).json()
    assert (answer["filename"], answer["media_type"], answer["size"]) == ('näme "q".pdf', "application/pdf", 4)


async def test_several_files_where_the_row_allows_them(client: httpx.AsyncClient, served: ServedNotebook) -> None:
    three = [file(b"x", f"{number}") for number in range(3)]
    assert (await client.post("/v1/files", content=form(*three), headers=FORM)).json()["text"] == "0 1 2"
    assert (await client.post("/v1/files", content=form(), headers=FORM)).json()["text"] == ""
    assert len(keys(served)) == 3
    answer = await client.post("/v1/files", content=form(*three, file(b"x", "4")), headers=FORM)
    assert (answer.status_code, "at most 3 files" in error(answer)["message"]) == (400, True)
    assert len(keys(served)) == 3


REFUSED: list[Any] = [
    pytest.param(form(PURPOSE), "file", "no file", id="no file"),
    pytest.param(form(file()), "purpose", "required", id="a field is missing"),
    pytest.param(form(part("purpose", b"none"), file()), "purpose", "assistants", id="a wrong field"),
    pytest.param(form(file(), part("purpose", b"none")), "purpose", "assistants", id="a wrong field after the file"),
    pytest.param(form(PURPOSE, part("pages", b"\xff"), file()), "pages", "UTF-8", id="a field that is no text"),
    pytest.param(form(PURPOSE, part("file", b"notes.md")), "file", "-F file=@NAME", id="a name in the place of a file"),
    pytest.param(form(PURPOSE, file(), file()), "file", "at most one file", id="two files"),
    pytest.param(form(PURPOSE, file(), part("other", b"", '; filename="x"')), "other", "`file`", id="another file"),
    pytest.param(PURPOSE + file(), None, "last boundary", id="no final boundary"),
    pytest.param(form(PURPOSE, file())[:-8], None, "last boundary", id="half a final boundary"),
    pytest.param((PURPOSE + file())[:-9], None, "last boundary", id="half a file"),
    pytest.param(b"", None, "last boundary", id="nothing"),
    pytest.param(b"{}", None, "cannot be read", id="no form"),
    pytest.param(form(PURPOSE, file(), *[part("a", b"")] * 10_000), None, "128 parts", id="10,000 parts"),
    pytest.param(form(file(b"", "x" * 1_000_000)), None, "header", id="a header of 1 MB"),
    pytest.param(form(file(b"", "x", *[f"A{n}: b" for n in range(99)])), None, "header", id="99 headers"),
    pytest.param(form(file(), part("purpose", b"x" * 10_000_000)), "purpose", str(MOST_FORM), id="a field of 10 MB"),
    pytest.param(form(file(), *[part(f"f{n}", b"x" * 30_000) for n in range(99)]), None, "fields", id="many fields"),
    pytest.param(
        f"--{BOUNDARY}\r\n\r\nx\r\n--{BOUNDARY}--\r\n".encode(), None, "Disposition", id="a part with no head"
    ),
    pytest.param(form(file(), PURPOSE, f"--{BOUNDARY}\r\n\r\nx\r\n".encode()), None, "Disposition", id="a later one"),
    pytest.param(form(PURPOSE.replace(b"form-data", b"attachment")), None, "Disposition", id="an attachment"),
    pytest.param(form(PURPOSE.replace(b"name=", b"title=")), None, "Disposition", id="a part without a name"),
    pytest.param(f"--{BOUNDARY}\r\nA\r\n\r\nx".encode(), None, "cannot be read", id="a head with no colon"),
    pytest.param(b"\0" * 100_000, None, "cannot be read", id="zeros"),
]


@pytest.mark.parametrize(("content", "param", "words"), REFUSED)
async def test_a_wrong_form_is_a_400_and_nothing_is_left(
    client: httpx.AsyncClient, served: ServedNotebook, content: bytes, param: str | None, words: str
) -> None:
    answer = await client.post(UPLOAD, content=content, headers=FORM)
    assert answer.status_code == 400, answer.text
    assert words in error(answer)["message"]
    assert error(answer)["param"] == param or words == "fields"
    assert keys(served) == []
    assert served.notebook.calls == []


@pytest.mark.parametrize("media_type", ["application/json", "", "multipart/mixed; boundary=x", "multipart/form-datax"])
async def test_another_kind_of_body_is_a_415_that_says_what_to_send(client: httpx.AsyncClient, media_type: str) -> None:
    answer = await client.post(UPLOAD, content=b"{}", headers={"content-type": media_type})
    assert (answer.status_code, error(answer)["code"]) == (415, "unsupported_media_type")
    assert "multipart/form-data" in error(answer)["message"]


@pytest.mark.parametrize("boundary", ["", "; boundary=", "; boundary=" + "x" * 5000])
async def test_a_form_without_a_boundary_is_a_400(client: httpx.AsyncClient, boundary: str) -> None:
    answer = await client.post(UPLOAD, content=form(), headers={"content-type": f"multipart/form-data{boundary}"})
    assert (answer.status_code, "boundary" in error(answer)["message"].lower()) == (400, True)


async def test_the_fields_have_as_many_bytes_as_is_said(client: httpx.AsyncClient, served: ServedNotebook) -> None:
    most = part("x", b"x" * (MOST_FORM - len(b"batch")))
    assert (await client.post(UPLOAD, content=form(PURPOSE, most, file()), headers=FORM)).status_code == 200
    answer = await client.post(UPLOAD, content=form(PURPOSE, most, part("y", b"y"), file()), headers=FORM)
    assert (answer.status_code, error(answer)["param"], len(keys(served))) == (400, "y", 1)


async def test_the_limit_is_kept_whether_the_size_was_announced_or_not(
    client: httpx.AsyncClient, served: ServedNotebook
) -> None:
    async def chunks(size: int) -> AsyncIterator[bytes]:
        yield PURPOSE + file(b"")[:-2]
        for start in range(0, size, 1_000_000):
            yield b"x" * min(1_000_000, size - start)
        yield b"\r\n" + form()

    answer = await client.post(UPLOAD, content=chunks(LIMIT), headers=FORM)
    assert (answer.status_code, answer.json()["size"]) == (200, LIMIT)
    kept = keys(served)
    over = await client.post(UPLOAD, content=chunks(LIMIT + 1), headers=FORM)
    announced = await client.post(UPLOAD, content=b"x", headers=FORM | {"content-length": str(LIMIT + MOST_FORM + 1)})
    long = form(PURPOSE, file()) + b"x" * (LIMIT + MOST_FORM)

    async def unannounced() -> AsyncIterator[bytes]:
        yield long

    epilogue = await client.post(UPLOAD, content=unannounced(), headers=FORM)
    for answer in (over, announced, epilogue):
        assert (answer.status_code, error(answer)["code"]) == (413, "body_too_large")
        assert str(LIMIT) in error(answer)["message"]
    assert keys(served) == kept


async def test_a_method_that_fails_leaves_nothing(client: httpx.AsyncClient, served: ServedNotebook) -> None:
    served.notebook.fails = NotFound("There is no folder f.")
    answer = await client.post(UPLOAD, content=form(PURPOSE, file()), headers=FORM)
    assert (answer.status_code, len(served.notebook.calls), keys(served)) == (404, 1, [])


async def test_a_store_that_is_down_or_missing_is_said(client: httpx.AsyncClient, served: ServedNotebook) -> None:
    assert served.blobs is not None
    served.blobs.down = True
    assert (await client.post(UPLOAD, content=form(PURPOSE, file()), headers=FORM)).status_code == 502
    served.blobs = None
    async with client_of(served) as without:
        answer = await without.post(UPLOAD, content=form(PURPOSE, file()), headers=FORM)
    assert (answer.status_code, error(answer)["code"]) == (503, "state_unavailable")


@pytest.mark.parametrize(
    ("doorkeeper", "counter", "status"),
    [(Doorkeeper(PermissionDenied("no")), None, 403), (Doorkeeper(), Counter(0), 429)],
)
async def test_a_refusal_reads_nothing_of_the_body(
    served: ServedNotebook, doorkeeper: Doorkeeper, counter: Counter | None, status: int
) -> None:
    served.authenticator, served.admission = doorkeeper, counter
    messages: list[Message] = []

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        messages.append(message)

    await notebook_app(served)(scope(), receive, send)
    assert messages[0]["status"] == status


def scope() -> dict[str, Any]:
    headers = [(name.encode(), value.encode()) for name, value in FORM.items()]
    return {"type": "http", "method": "POST", "path": UPLOAD, "headers": headers, "query_string": b"", "root_path": ""}


async def send_nothing(_: Message) -> None:
    return None


@pytest.mark.parametrize("sent", [0, 20, len(PURPOSE) + 150, len(PURPOSE) + 5000])
async def test_a_client_that_leaves_leaves_nothing(served: ServedNotebook, sent: int) -> None:
    content = form(PURPOSE, file())[:sent]
    messages: list[Message] = [{"type": "http.request", "body": content[:40], "more_body": True}]
    messages += [{"type": "http.request", "body": content[40:], "more_body": True}, {"type": "http.disconnect"}]

    async def receive() -> Message:
        await asyncio.sleep(0)
        return messages.pop(0)

    await notebook_app(served)(scope(), receive, send_nothing)
    assert (keys(served), served.notebook.calls) == ([], [])


async def test_a_client_that_leaves_while_the_method_runs_leaves_nothing(served: ServedNotebook) -> None:
    served.notebook.waits = asyncio.Event()
    body: list[Message] = [{"type": "http.request", "body": form(PURPOSE, file()), "more_body": False}]

    async def receive() -> Message:
        if body:
            return body.pop()
        while not served.notebook.calls:  # noqa: ASYNC110 - it is what another task does that is waited for
            await asyncio.sleep(0)
        return {"type": "http.disconnect"}

    await asyncio.wait_for(notebook_app(served)(scope(), receive, send_nothing), 10)
    assert (keys(served), len(served.notebook.calls)) == ([], 1)


async def test_a_server_that_stops_leaves_nothing(served: ServedNotebook) -> None:
    content = form(PURPOSE, file())
    hanging = asyncio.Event()
    messages: list[Message] = [{"type": "http.request", "body": content[:5000], "more_body": True}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        hanging.set()
        await asyncio.sleep(3600)
        raise AssertionError

    serving = asyncio.create_task(notebook_app(served)(scope(), receive, send_nothing))
    await hanging.wait()
    assert len(keys(served)) == 1
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    assert keys(served) == []


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("a.txt", "a.txt"),
        ("../../x", "x"),
        ("C:\\temp\\x.pdf", "x.pdf"),
        ("/etc/passwd", "passwd"),
        ("..", "file"),
        ("a/", "file"),
        ("", "file"),
        ("  ", "file"),
        ("a\0b\r\nc\x1b[0m", "abc[0m"),
        ("gpj.\u202eexe", "gpj.exe"),
        ("x" * 999, "x" * 255),
        ("名前.txt", "名前.txt"),
    ],
)
def test_a_file_name_is_a_name_and_nothing_else(name: str, cleaned: str) -> None:
    assert clean_filename(name) == cleaned


@given(st.text())
def test_no_file_name_has_folders_or_control_characters(name: str) -> None:
    cleaned = clean_filename(name)
    assert 0 < len(cleaned) <= 255
    assert cleaned.isprintable()
    assert not {"/", "\\"} & set(cleaned)
    assert cleaned not in {".", ".."}
    assert clean_filename(cleaned) == cleaned


@pytest.mark.parametrize(
    ("header", "cleaned"),
    [
        ("Image/PNG", "image/png"),
        ("text/plain; charset=x", "text/plain"),
        ("a", None),
        ("a/b\r\nx: y", None),
        ("", None),
    ],
)
def test_a_media_type_is_one_or_none(header: str, cleaned: str | None) -> None:
    assert clean_media_type(header) == (cleaned or "application/octet-stream")


FIELDS = st.lists(
    st.tuples(
        st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters='"\\%'), min_size=1, max_size=8),
        st.one_of(
            st.binary(max_size=300), st.sampled_from([b"\r\n--b0undar", b"\r\n--b0undarx--\r\n", b"\r", b"--", b""])
        ),
    ),
    max_size=5,
)


@given(FIELDS, st.lists(st.integers(0, 2000), max_size=30))
async def test_a_form_is_the_same_wherever_it_is_split(fields: list[tuple[str, bytes]], cuts: list[int]) -> None:
    whole = form(*[part(name, content, '; filename="x"') for name, content in fields])
    ends = sorted({min(cut, len(whole)) for cut in cuts} | {len(whole)})
    pieces = [whole[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    assert await read(pieces) == fields


async def test_a_form_may_come_byte_by_byte_or_be_split_in_two_anywhere() -> None:
    whole = form(PURPOSE, file(b"\r\n--b0undar\r\n--b0und"))
    expected = [("purpose", b"batch"), ("file", b"\r\n--b0undar\r\n--b0und")]
    assert await read([whole[at : at + 1] for at in range(len(whole))]) == expected
    for at in range(len(whole) + 1):
        assert await read([whole[:at], whole[at:]]) == expected


@given(st.binary(max_size=400))
async def test_anything_else_is_refused_and_nothing_worse(content: bytes) -> None:
    for body in (content, f"--{BOUNDARY}\r\n".encode() + content, part("a", b"")[:-2] + content):
        with suppress(InvalidRequest):
            assert isinstance(await read([body]), list)


async def read(pieces: list[bytes]) -> list[tuple[str, bytes]]:
    async def chunks() -> AsyncIterator[bytes]:
        for piece in pieces:
            if piece:
                yield piece

    fields: list[tuple[str, bytes]] = []
    async for event in parts(boundary_of(FORM["content-type"]), chunks()):
        if isinstance(event, Part):
            fields.append((event.name, b""))
        elif isinstance(event, bytes):
            fields[-1] = (fields[-1][0], fields[-1][1] + event)
    return fields


async def test_the_bounds_are_what_they_say() -> None:
    assert len(await read([form(*[part("a", b"")] * MOST_PARTS)])) == MOST_PARTS
    with pytest.raises(InvalidRequest):
        await read([form(*[part("a", b"")] * (MOST_PARTS + 1))])
    with pytest.raises(InvalidRequest):
        await read([form(part("a" * LONGEST_HEADER, b""))])
