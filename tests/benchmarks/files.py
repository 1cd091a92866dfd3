"""What does an upload cost over what it cannot do without: writing the file and the row; decoding Lambda's event and parsing its form?"""

import asyncio
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable
import json
import os
from pathlib import Path
import re
from secrets import token_hex
from statistics import median
from tempfile import TemporaryDirectory
import time
from typing import Any

from python_multipart.multipart import MultipartParser
from starlette.types import ASGIApp, Message

from core.config.load import interpret
from core.resolution.resolve import resolve
from core.runtime.function import app_of_stack
from core.runtime.http_events import http_request
from core.stores.documents import sqlite as documents
from core.stores.documents.port import Document, DocumentStore
from tests.benchmarks.processes import started
from tests.benchmarks.table import Row

MB = 1024 * 1024
SMALL, EVENT, LARGE = 1024, 4_500_000, 4 * MB
ROUNDS, TIMES, WARM, UPLOADS = 300, 30, 500, 1500
BOUNDARY = b"7MA4YWxkTrZu0gW"
TYPE = f"multipart/form-data; boundary={BOUNDARY.decode()}"
ROW = {"filename": "a.txt", "purpose": "batch", "bytes": 1024, "provider_id": "p", "key": "files/365d/" + "0" * 32}

type Work = Callable[[], Awaitable[object]]


def files() -> list[Row]:
    with TemporaryDirectory() as folder:
        return [*asyncio.run(compare(Path(folder))), memory(Path(folder) / "served")]


def config(folder: Path) -> dict[str, Any]:
    provider = {"provider_id": "p", "provider_type": "inline::localfs", "config": {"storage_dir": f"{folder}/files"}}
    return {
        "version": 2,
        "image_name": "bench",
        "apis": ["files"],
        "providers": {"files": [provider]},
        "metadata_store": {"type": "sqlite", "db_path": f"{folder}/registry.db"},
    }


def form(size: int) -> bytes:
    head = b'--%b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n' % BOUNDARY
    head += b'--%b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n' % BOUNDARY
    return head + bytes(range(256)) * (size // 256) + b"\r\n--%b--\r\n" % BOUNDARY


def event(body: bytes) -> bytes:
    """An invocation of API Gateway, as a function gets it."""
    document = {
        "httpMethod": "POST",
        "path": "/v1/files",
        "headers": {"content-type": TYPE, "host": "localhost", "content-length": str(len(body))},
        "requestContext": {"identity": {"sourceIp": "127.0.0.1"}},
        "body": b64encode(body).decode(),
        "isBase64Encoded": True,
    }
    return json.dumps(document).encode()


async def ask(app: ASGIApp, payload: bytes) -> None:
    """Through the code that a function has for an event."""
    request = http_request(payload)
    body = request.body()
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
    statuses: list[int] = []

    async def receive() -> Message:
        return messages.pop() if messages else await asyncio.Future()

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(request.scope, receive, send)
    assert statuses == [200], statuses


async def compare(folder: Path) -> list[Row]:
    loaded = interpret(config(folder / "stack"), {})
    stack = await resolve(loaded, ["files"], version="1")
    app = app_of_stack(stack, ["files"])
    bare, rows = folder / "bare", documents.connect(f"{folder}/bare.db")
    bare.mkdir()
    small, large = event(form(SMALL)), event(form(EVENT))
    content, whole = bytes(SMALL), bytes(EVENT)
    pairs: list[tuple[str, Work, Work, int, str]] = [
        ("1 KB, over writing the file and the row", lambda: ask(app, small), lambda: write(bare, rows, content), ROUNDS, "<= 1.3x"),
        ("4.5 MB of an event, over decoding, parsing and the same writes", lambda: ask(app, large), lambda: keep(bare, rows, large), TIMES, "<= 1.5x"),
        ("4.5 MB of an event, over decoding and parsing alone", lambda: ask(app, large), lambda: decode(large), TIMES, "<= 1.5x"),
        ("4.5 MB of an event, its writes alone", lambda: write(bare, rows, whole), lambda: decode(large), TIMES, ""),
    ]  # fmt: skip
    table = [await row(*pair) for pair in pairs]
    await stack.close()
    await rows.close()
    return table


async def write(folder: Path, rows: DocumentStore, content: bytes) -> None:
    name = token_hex(16)
    await asyncio.to_thread(write_file, folder / name, content)
    await rows.create(Document("file", f"file-{name}", ROW, created=int(time.time())))


def write_file(path: Path, content: bytes) -> None:
    """Whole or not at all, and on the disk."""
    partial = path.with_suffix(".partial")
    with partial.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)


async def keep(folder: Path, rows: DocumentStore, payload: bytes) -> None:
    await write(folder, rows, await decode(payload))


async def decode(payload: bytes) -> bytes:
    """The file in an event."""
    body, pieces = b64decode(json.loads(payload)["body"]), list[bytes]()
    parser = MultipartParser(BOUNDARY, {"on_part_data": lambda data, start, end: pieces.append(data[start:end])})
    parser.write(body)
    return b"".join(pieces[1:])


async def row(what: str, work: Work, bare: Work, times: int, goal: str) -> Row:
    """In turns; medians."""
    took: tuple[list[float], list[float]] = ([], [])
    for _ in range(times):
        for seconds, do in zip(took, (work, bare), strict=True):
            start = time.perf_counter()
            await do()
            seconds.append(time.perf_counter() - start)
    measured, floor = map(median, took)
    return Row(what, f"{1000 * measured:.2f} ms", f"{1000 * floor:.2f} ms", measured / floor, goal)


def memory(folder: Path) -> Row:
    """Of `llambda serve`: what it has at most after another thousand uploads of 4 MB, over after the first five hundred."""
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps(config(folder)))
    head = f"POST /v1/files HTTP/1.1\r\nhost: localhost\r\ncontent-type: {TYPE}\r\n"
    body = form(LARGE)
    request = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
    command = ("-m", "core.cli.main", "serve", str(folder / "run.json"), "--port", "0")
    with started(*command) as (port, pid):
        return asyncio.run(grow(port, pid, request))


async def grow(port: int, pid: int, request: bytes) -> Row:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def exchange(content: bytes) -> dict[str, Any]:
        writer.write(content)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        answer: dict[str, Any] = json.loads(
            await reader.readexactly(int(re.findall(rb"content-length: (\d+)", head)[0]))
        )
        assert head.startswith(b"http/1.1 200"), answer
        return answer

    early = 0.0
    for number in range(UPLOADS):
        file = await exchange(request)
        await exchange(f"DELETE /v1/files/{file['id']} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
        if number == WARM:
            early = peak(pid)
    writer.close()
    late = peak(pid)
    return Row(
        "peak memory after 1,500 uploads of 4 MB, over after 500",
        f"{late:.0f} MB",
        f"{early:.0f} MB",
        late / early,
        "<= 1.1x",
    )


def peak(pid: int) -> float:
    """In MB."""
    return int(re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[0]) / 1024
