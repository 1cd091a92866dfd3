"""A double of Lambda's streaming Runtime API on a real socket, which can misbehave.

It keeps each chunk with the time of its arrival (`time.perf_counter`), and refuses what AWS's would refuse.
"""

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
import json
import time
from typing import Any, Final, cast

BASE: Final = "/2018-06-01/runtime/"
MODE: Final = "application/vnd.awslambda.http-integration-response"
NULS: Final = bytes(8)
PATIENCE_SECONDS: Final = 20.0
IN_PIECES: Final = 1000  # bytes in a chunk, where the double sends chunks

ODD: Final = {
    0: b"",
    -1: b"SSH-2.0-OpenSSH_9.6 Debian\r\n\r\n",
    -2: b"HTTP/1.1 abc Status\r\n\r\n",
    -3: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
    -4: b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
    -5: b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2_000_000,
    299: b"HTTP/1.1 299 OK\r\n\r\nbody",
}

type Headers = dict[str, str]


@dataclass
class Outcome:
    """What became of an invocation."""

    chunks: list[tuple[float, bytes]] = field(default_factory=list[tuple[float, bytes]])
    headers: Headers = field(default_factory=dict[str, str])
    trailers: Headers = field(default_factory=dict[str, str])
    error: dict[str, Any] | None = None
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)
    over: bool = False
    ended: bool = False
    cut: bool = False

    async def until(self, count_: int) -> list[bytes]:
        """The body's chunks so far, once there are `count_`; the prelude is none."""
        async with asyncio.timeout(PATIENCE_SECONDS), self.arrived:
            await self.arrived.wait_for(lambda: len(self.chunks) > count_ or self.over)
        return [data for _, data in self.chunks[1:]]

    async def whole(self) -> "Outcome":
        """This, once nothing more will arrive."""
        async with asyncio.timeout(PATIENCE_SECONDS), self.arrived:
            await self.arrived.wait_for(lambda: self.over)
        assert self.ended or self.cut or self.error, "the answer was torn"
        return self

    async def notify(self, *, over: bool = False) -> None:
        async with self.arrived:
            self.over = self.over or over
            self.arrived.notify_all()

    @property
    def prelude(self) -> dict[str, Any]:
        prelude: dict[str, Any] = json.loads(b"".join(data for _, data in self.chunks).partition(NULS)[0])
        return prelude

    @property
    def body(self) -> bytes:
        return b"".join(data for _, data in self.chunks).partition(NULS)[2]

    @property
    def trailer(self) -> dict[str, Any] | None:
        """The error in the trailers."""
        if "lambda-runtime-function-error-body" not in self.trailers:
            return None
        said: dict[str, Any] = json.loads(b64decode(self.trailers["lambda-runtime-function-error-body"]))
        assert said["errorType"] == self.trailers["lambda-runtime-function-error-type"]
        return said


@dataclass
class RuntimeApiDouble:
    """`statuses` by the last part of a path, for what it refuses (an `error` once); `early`: before it has read the body.

    `hang_up`: after so many chunks of a body; `reading` is cleared to read no body; `chunked`: send events in chunks;
    `close_after`: say that each connection is for one request.
    """

    address: str = ""
    statuses: dict[str, int] = field(default_factory=dict[str, int])
    early: bool = False
    hang_up: int | None = None
    chunked: bool = False
    close_after: bool = False
    reading: asyncio.Event = field(default_factory=asyncio.Event)
    restore: asyncio.Event = field(default_factory=asyncio.Event)
    heard: list[tuple[str, dict[str, Any]]] = field(default_factory=list[tuple[str, dict[str, Any]]])
    asked: list[str] = field(default_factory=list[str])
    connections: int = 0
    server: asyncio.Server | None = None
    serving: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    waiting: asyncio.Queue[tuple[str, bytes, Headers]] = field(
        default_factory=asyncio.Queue[tuple[str, bytes, Headers]]
    )
    outcomes: dict[str, Outcome] = field(default_factory=dict[str, Outcome])
    ids: "count[int]" = field(default_factory=lambda: count(1))

    def invoke(self, event: object, *, seconds: float = 30.0, **headers: str) -> Outcome:
        """Hand out an event, JSON or bytes; the function has `seconds` from now."""
        request_id = f"8476a536-e9f4-11e8-9739-{next(self.ids):012d}"
        payload = event if isinstance(event, bytes) else json.dumps(event).encode()
        deadline = str(int((time.time() + seconds) * 1000))
        about = {"Lambda-Runtime-Aws-Request-Id": request_id, "Lambda-Runtime-Deadline-Ms": deadline}
        about |= {"Lambda-Runtime-Trace-Id": "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=1"}
        about |= {name.replace("_", "-"): value for name, value in headers.items()}
        self.outcomes[request_id] = Outcome()
        self.waiting.put_nowait((request_id, payload, about))
        return self.outcomes[request_id]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.serving.add(cast("asyncio.Task[None]", asyncio.current_task()))
        try:
            await self._one(reader, writer)
            while not (writer.is_closing() or self.close_after):
                await self._one(reader, writer)
            await reader.read()  # a client that has been told of the end must not send more
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("ascii").rstrip().split("\r\n")
        method, path, _ = first.split(" ")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        assert path.startswith(BASE), path
        assert headers["host"] == self.address
        path = path.removeprefix(BASE)
        self.asked.append(f"{method} {path}")
        if path.endswith("/response"):
            await self._answered(self.outcomes[path.split("/")[1]], headers, reader, writer)
        elif method == "POST":
            body = json.loads(await reader.readexactly(int(headers["content-length"])))
            await self._failed(path, body | {"header": headers["lambda-runtime-function-error-type"]}, writer)
        else:
            await self._given(path, writer)

    async def _given(self, path: str, writer: asyncio.StreamWriter) -> None:
        if path == "restore/next":
            await self.restore.wait()
            await self._reply(writer, self.statuses.get("restore", 200))
        elif "next" in self.statuses:
            await self._reply(writer, self.statuses["next"])
        else:
            assert path == "invocation/next"
            _, payload, about = await self.waiting.get()
            await self._reply(writer, 200, payload, about)

    async def _failed(self, path: str, body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        assert body["header"].isascii()
        self.heard.append((path, body))
        await self._reply(writer, self.statuses.pop("error", 202))
        if path.startswith("invocation/"):
            outcome = self.outcomes[path.split("/")[1]]
            outcome.error = body
            await outcome.notify(over=True)

    async def _answered(
        self, outcome: Outcome, headers: Headers, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        assert headers["lambda-runtime-function-response-mode"] == "streaming"
        assert (headers["transfer-encoding"], headers["content-type"]) == ("chunked", MODE)
        outcome.headers = headers
        status = self.statuses.get("response", 202)
        if self.early:
            await self._reply(writer, status)
        await self.reading.wait()
        try:
            await self._body(outcome, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            outcome.cut = True
            raise
        else:
            if not self.early:
                await self._reply(writer, status)
        finally:
            await outcome.notify(over=True)

    async def _body(self, outcome: Outcome, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while size := int(await reader.readuntil(b"\r\n"), 16):
            data = await reader.readexactly(size)
            assert await reader.readexactly(2) == b"\r\n"
            outcome.chunks.append((time.perf_counter(), data))
            await outcome.notify()
            if self.hang_up is not None and len(outcome.chunks) > self.hang_up:
                writer.transport.abort()
                raise ConnectionResetError
        while line := (await reader.readuntil(b"\r\n")).decode("ascii").rstrip():
            name, _, value = line.partition(": ")
            outcome.trailers[name.lower()] = value
        outcome.ended = True

    async def _reply(
        self, writer: asyncio.StreamWriter, status: int, body: bytes = b"", headers: Headers | None = None
    ) -> None:
        """Status 0 hangs up; one below is not what HTTP/1.1 has; 299 says the end of its body by hanging up."""
        if status in ODD:
            writer.write(ODD[status])
            writer.close()
            return
        about = dict(headers or {}) | ({"Connection": "close"} if self.close_after else {})
        pieces = [body]
        if self.chunked:
            about["Transfer-Encoding"] = "chunked"
            parts = [body[at : at + IN_PIECES] for at in range(0, len(body), IN_PIECES)]
            pieces = [b"%x;x=y\r\n%b\r\n" % (len(part), part) for part in parts] + [b"0\r\nX-Trailer: 1\r\n\r\n"]
        else:
            about["Content-Length"] = str(len(body))
        lines = "".join(f"{name}: {value}\r\n" for name, value in about.items())
        writer.write(b"HTTP/1.1 %d Status\r\n%b\r\n%b" % (status, lines.encode(), b"".join(pieces)))
        await writer.drain()


@asynccontextmanager
async def listening(double: RuntimeApiDouble | None = None) -> AsyncIterator[RuntimeApiDouble]:
    double = double or RuntimeApiDouble()
    double.reading.set()
    double.server = server = await asyncio.start_server(double.serve, "127.0.0.1", 0)
    double.address = "{}:{}".format(*server.sockets[0].getsockname())
    try:
        yield double
    finally:
        server.close_clients()
        server.close()
        for task in double.serving:
            task.cancel()
        await asyncio.gather(*double.serving, return_exceptions=True)
        await server.wait_closed()
