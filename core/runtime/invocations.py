"""Lambda's Runtime API: invocations come from it, and responses go to it, chunk by chunk.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html,
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming.
"""

import asyncio
from base64 import b64encode
from dataclasses import dataclass, field
import json
import logging
from typing import Final, Self

from core.runtime.connection import Connection, HttpReply, HungUp, chunk, last_chunk, request_head

log = logging.getLogger(__name__)

BASE: Final = "/2018-06-01/runtime"
ERROR_TYPE: Final = "Lambda-Runtime-Function-Error-Type"
ERROR_BODY: Final = "Lambda-Runtime-Function-Error-Body"
STREAMING: Final = {
    "Lambda-Runtime-Function-Response-Mode": "streaming",
    "Transfer-Encoding": "chunked",
    "Trailer": f"{ERROR_TYPE}, {ERROR_BODY}",
    "Content-Type": "application/vnd.awslambda.http-integration-response",
}
RESPONSE_REFUSED: Final = frozenset({400, 403, 413})  # by these statuses; the environment goes on


class RuntimeApiFailed(Exception):
    """The Runtime API is gone or has given up on this environment, which must exit (so its documentation of 500)."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """`deadline_ms` is Unix time, when Lambda kills the function; `trace_id` is X-Ray's."""

    request_id: str
    deadline_ms: int
    function_arn: str
    trace_id: str
    tenant_id: str | None
    payload: bytes = field(repr=False)

    @classmethod
    def from_reply(cls, reply: HttpReply) -> Self:
        """Raises KeyError or ValueError when there is no id or no deadline."""
        headers = reply.headers
        return cls(
            request_id=headers["lambda-runtime-aws-request-id"],
            deadline_ms=int(headers["lambda-runtime-deadline-ms"]),
            function_arn=headers.get("lambda-runtime-invoked-function-arn", ""),
            trace_id=headers.get("lambda-runtime-trace-id", ""),
            tenant_id=headers.get("lambda-runtime-aws-tenant-id"),
            payload=reply.body,
        )


@dataclass(frozen=True, slots=True)
class Failure:
    """What Lambda is told of an error, and may tell whoever invoked the function."""

    type: str
    message: str

    @classmethod
    def from_exception(cls, failure: BaseException, message: str, *, kind: str | None = None) -> Self:
        """By the name of its class, if `kind` does not name it."""
        return cls(kind or type(failure).__name__.encode("ascii", "replace").decode(), message)

    def body(self) -> bytes:
        """As the Runtime API reads it."""
        return json.dumps({"errorMessage": self.message, "errorType": self.type, "stackTrace": []}).encode()


class RuntimeApi:
    """One request at a time over one connection, which is replaced when the other side has closed it."""

    def __init__(self, address: str) -> None:
        """`address` is AWS_LAMBDA_RUNTIME_API, a host and a port."""
        self._address = address
        self._connection: Connection | None = None

    async def next(self) -> Invocation:
        """Wait for an invocation, for as long as it takes.

        Raises:
            RuntimeApiFailed: there will be none.
        """
        reply = await self._call("GET", "/invocation/next")
        try:
            if reply.status == 200:  # noqa: PLR2004 - RFC 9110, 15.3.1
                return Invocation.from_reply(reply)
        except (KeyError, ValueError) as failure:
            raise RuntimeApiFailed(f"The Runtime API sent an invocation without {failure}.") from failure
        raise RuntimeApiFailed(f"The Runtime API answered {reply.status} to the request for an invocation.")

    async def open_response(self, request_id: str) -> "ResponseStream":
        """The response to an invocation, of which nothing is sent yet; raises HungUp."""
        head = request_head("POST", f"{BASE}/invocation/{request_id}/response", {"Host": self._address, **STREAMING})
        return ResponseStream(await self._connect(), head)

    async def report_invocation_error(self, request_id: str, failure: Failure) -> None:
        """In place of a response; raises RuntimeApiFailed."""
        check_reply(await self._fail(f"/invocation/{request_id}/error", failure))

    async def report_init_error(self, failure: Failure) -> None:
        """The function cannot start; raises RuntimeApiFailed."""
        check_reply(await self._fail("/init/error", failure))

    async def await_restore(self) -> None:
        """Let SnapStart take its snapshot, and return in an environment that was made from it.

        Raises:
            RuntimeApiFailed: there will be none.
        """
        reply = await self._call("GET", "/restore/next")
        await self.close()  # its other end was left behind in the snapshot
        check_reply(reply)

    async def report_restore_error(self, failure: Failure) -> None:
        """A restored environment cannot be used; raises RuntimeApiFailed."""
        check_reply(await self._fail("/restore/error", failure))

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.aclose()

    async def _fail(self, path: str, failure: Failure) -> HttpReply:
        return await self._call("POST", path, failure)

    async def _call(self, method: str, path: str, failure: Failure | None = None) -> HttpReply:
        """A request and its reply; sent again once if a connection that was kept open turns out to be closed."""
        connection = self._connection
        try:
            return await self._ask(method, path, failure)
        except HungUp as first:
            await self.close()
            if connection is None:
                raise RuntimeApiFailed(f"The Runtime API at {self._address} is gone: {first}.") from first
        return await self._call(method, path, failure)

    async def _ask(self, method: str, path: str, failure: Failure | None) -> HttpReply:
        body = b"" if failure is None else failure.body()
        headers = {"Host": self._address}
        if failure is not None:
            headers |= {"Content-Type": "application/json", "Content-Length": str(len(body)), ERROR_TYPE: failure.type}
        connection = await self._connect()
        await connection.send(request_head(method, BASE + path, headers) + body)
        return await connection.reply()

    async def _connect(self) -> Connection:
        if self._connection is None or not self._connection.usable:
            await self.close()
            self._connection = await Connection.open(self._address)
        return self._connection


class ResponseStream:
    """A response that is sent in chunks; `over` is done when the Runtime API has replied or hung up, at its end or before."""

    def __init__(self, connection: Connection, head: bytes) -> None:
        """Listen from the beginning: a response may be refused before its end. `head` is sent with the first chunk."""
        self._connection = connection
        self._head = head
        self.over = asyncio.ensure_future(connection.reply())

    async def write(self, data: bytes) -> None:
        """Send `data` as a chunk, and wait while the other side reads slowly; raises HungUp."""
        head, self._head = self._head, b""
        await self._connection.send(head + chunk(data))

    async def end(self, failure: Failure | None = None) -> None:
        """End it, with the error in trailers if there was one; raises HungUp."""
        trailers = {} if failure is None else {ERROR_TYPE: failure.type, ERROR_BODY: b64encode(failure.body()).decode()}
        await self._connection.send(last_chunk(trailers))

    async def await_reply(self) -> None:
        """After the end; raises HungUp or RuntimeApiFailed."""
        check_reply(await self.over)

    async def abandon(self) -> None:
        """Give it up, and its connection; raises RuntimeApiFailed where the environment is given up too."""
        self._connection.close()
        self.over.cancel()
        [over] = await asyncio.gather(self.over, return_exceptions=True)
        if isinstance(over, HttpReply):
            check_reply(over)


def check_reply(reply: HttpReply) -> None:
    """Log that one response was refused; raises RuntimeApiFailed for any other failure."""
    if reply.status in RESPONSE_REFUSED:
        log.error("the Runtime API refused a response with %s: %s", reply.status, reply.body[:500].decode("latin-1"))
    elif not 200 <= reply.status < 300:  # noqa: PLR2004 - RFC 9110, 15.3
        raise RuntimeApiFailed(f"The Runtime API answered {reply.status}; this environment cannot go on.")
