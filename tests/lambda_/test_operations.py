"""Uploads, byte answers and named events are the same through both Lambda runtimes, whatever the event's shape."""

from base64 import b64decode
from collections.abc import Callable
from hashlib import sha256
import json
from pathlib import Path
from typing import Any

import pytest

from core.runtime.buffered import buffered_handler
from tests.lambda_.events import SHAPES, Call, Pairs, event
from tests.lambda_.test_buffered import streamed
from tests.parts.notebook import ServedNotebook, notebook_app, served_notebook

CONTENT = bytes(range(256)) * 500
FORM = ("content-type", "multipart/form-data; boundary=b")

type Ask = Callable[[ServedNotebook, str, Call], tuple[int, dict[str, str], bytes]]


def ask_buffered(served: ServedNotebook, shape: str, call: Call) -> tuple[int, dict[str, str], bytes]:
    answer = buffered_handler(notebook_app(served))(event(shape, call), None)
    body = b64decode(answer["body"]) if answer["isBase64Encoded"] else answer["body"].encode()
    return answer["statusCode"], answer["headers"], body


def ask_streaming(served: ServedNotebook, shape: str, call: Call) -> tuple[int, dict[str, str], bytes]:
    outcome = streamed(notebook_app(served), event(shape, call))
    assert outcome.error is None
    return outcome.prelude["statusCode"], outcome.prelude["headers"], outcome.body


@pytest.fixture(params=[ask_buffered, ask_streaming], ids=["buffered", "streaming"])
def ask(request: pytest.FixtureRequest) -> Ask:
    runtime: Ask = request.param
    return runtime


@pytest.fixture
def served(tmp_path: Path) -> ServedNotebook:
    served = served_notebook(tmp_path / "blobs")
    (tmp_path / "blobs" / "some#file").write_bytes(CONTENT)
    return served


def form(*names: str) -> bytes:
    head = 'Content-Disposition: form-data; name="{}"; filename="a"'
    files = [f"--b\r\n{head.format(name)}\r\n\r\n".encode() + CONTENT + b"\r\n" for name in names]
    return b"".join(files) + b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--b--'


@pytest.mark.parametrize("shape", SHAPES)
def test_a_binary_upload_arrives_whole(served: ServedNotebook, ask: Ask, shape: str) -> None:
    call = Call("POST", "/v1/folders/f/files", form("file"), [FORM])
    status, _, body = ask(served, shape, call)
    answer: dict[str, Any] = json.loads(body)
    assert (status, answer["size"], answer["sha256"]) == (200, len(CONTENT), sha256(CONTENT).hexdigest())
    status, _, _ = ask(served, shape, Call("POST", "/v1/folders/f/files", form("file", "file"), [FORM]))
    assert (status, len(list((served.notebook.blobs.folder).iterdir()))) == (400, 2)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("media_type", ["application/pdf", "text/plain"])
@pytest.mark.parametrize(("headers", "expected"), [([], CONTENT), ([("range", "bytes=100-299")], CONTENT[100:300])])
def test_bytes_leave_as_they_are(
    served: ServedNotebook, ask: Ask, shape: str, media_type: str, *, headers: Pairs, expected: bytes
) -> None:
    served.notebook.blobs.media_types["some/file"] = media_type
    status, answered, body = ask(served, shape, Call("GET", "/v1/files/some/file", None, headers))
    assert (status, body, answered["content-type"]) == (206 if headers else 200, expected, media_type)
    assert answered["content-length"] == str(len(expected))


def test_what_has_no_body_has_none(served: ServedNotebook, ask: Ask) -> None:
    path = "/v1/files/some/file"
    for call, expected in (
        (Call("DELETE", "/v1/notes/n"), 204),
        (Call("GET", path, None, [("if-none-match", '"tag"')]), 304),
        (Call("HEAD", path), 200),
        (Call("GET", "/v1/files/elsewhere"), 302),
    ):
        status, _, body = ask(served, "http", call)
        assert (status, body) == (expected, b"")


def test_named_events_are_resumed_by_get(served: ServedNotebook, ask: Ask) -> None:
    call = Call("GET", "/v1/runs/r", None, [("last-event-id", "1")], [("stream", "true")])
    _, headers, body = ask(served, "rest", call)
    assert headers["content-type"].startswith("text/event-stream")
    assert body == b'event: run.step\nid: 2\ndata: {"sequence_number":2}\n\n'
