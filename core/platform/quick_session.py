"""An HTTP session whose POSTs of small bodies cost half of what aiohttp's own `request` takes for them.

What that makes anew for each request is the same for all that go to one URL: the address, the headers of the session, the
checks of both. The connections, their limit and their look-ups, the parser and the answer are aiohttp's own, and so is what
each failure is. What it is made of is that of aiohttp 3.14, whose next minor version may have it otherwise.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
import re
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import (
    ClientConnectionResetError,
    ClientRequest,
    ClientResponse,
    ClientSession,
    ConnectionTimeoutError,
    RequestInfo,
)
from aiohttp.connector import BaseConnector, Connection
from aiohttp.helpers import BaseTimerContext, TimeoutHandle
from yarl import URL

MOST_BODY: Final = 64 * 1024  # bytes that go out at once; who sends more waits for the other side, as aiohttp does
MOST_PLACES: Final = 1000
UNSAFE: Final = re.compile(r"[\r\n\0]")
FRAMING: Final = frozenset({"connection", "content-length", "expect", "transfer-encoding", "upgrade"})


class _Sent:
    """In the place of aiohttp's writer, of a body that has left."""

    output_size = 0


SENT: Final[Any] = _Sent()


@dataclass(frozen=True, slots=True)
class _Place:
    """`request` is what aiohttp makes of a POST to it, `head` how that begins, up to what one call adds to the headers `names`."""

    request: ClientRequest = field(repr=False)
    info: RequestInfo = field(repr=False)
    head: bytes = field(repr=False)
    names: frozenset[str]


class QuickSession:
    """Over a session of aiohttp that has no cookies, middlewares, proxies and traces, which it closes; redirects are not followed."""

    def __init__(self, session: ClientSession, connector: BaseConnector) -> None:
        self._session = session
        self._connector = connector
        self._timeout = session.timeout
        self._places: dict[URL, _Place] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def request(self, method: str, url: URL, headers: Mapping[str, str], body: Any = None) -> ClientResponse:  # noqa: ANN401 - aiohttp's own types of bodies
        """The answer as soon as its head has come, to be released.

        Raises:
            aiohttp.ClientError, TimeoutError, ValueError: what aiohttp raises.
        """
        if method == "POST" and isinstance(body, bytes) and len(body) <= MOST_BODY:
            place = self._places.get(url) or self._remember(url)
            if place is not None and (not headers or place.names.isdisjoint(map(str.lower, headers))):
                return await self._post(place, headers, body)
        return await self._session.request(method, url, data=body, headers=headers, allow_redirects=False)

    async def _post(self, place: _Place, headers: Mapping[str, str], body: bytes) -> ClientResponse:
        """In the session's time, which runs until the connection is given back."""
        content = b"%b%bContent-Length: %d\r\n\r\n%b" % (place.head, _spell(headers), len(body), body)
        limit = TimeoutHandle(place.request.loop, self._timeout.total, ceil_threshold=self._timeout.ceil_threshold)
        alarm, timer = limit.start(), limit.timer()
        response: ClientResponse | None = None
        try:
            with timer:
                response = await self._exchange(await self._connect(place), place, content, timer)
        finally:
            if response is None:
                limit.close()
                if alarm is not None:
                    alarm.cancel()
        if response is None:  # the timer lets nothing pass
            raise TimeoutError
        if alarm is not None and response.connection is not None:
            response.connection.add_callback(alarm.cancel)
        elif alarm is not None:
            alarm.cancel()
        return response

    async def _connect(self, place: _Place) -> Connection:
        try:
            return await self._connector.connect(place.request, traces=[], timeout=self._timeout)
        except TimeoutError as late:
            raise ConnectionTimeoutError(f"Connection timeout to host {place.request.url}") from late

    async def _exchange(
        self, connection: Connection, place: _Place, content: bytes, timer: BaseTimerContext
    ) -> ClientResponse:
        has_begun = False
        try:
            _write(connection, content, timer, self._timeout.sock_read)
            response = ClientResponse(
                place.request.method,
                place.request.url,
                writer=None,
                continue100=None,
                timer=timer,
                request_info=place.info,
                traces=[],
                loop=place.request.loop,
                session=self._session,
                stream_writer=SENT,
            )
            await response.start(connection)
            has_begun = True
        finally:
            if not has_begun:
                connection.close()
        return response

    def _remember(self, url: URL) -> _Place | None:
        """None for a URL that aiohttp will refuse; raises ValueError for headers of the session that are none."""
        if not url.raw_host or url.scheme not in self._connector.allowed_protocol_schema_set:
            return None
        if len(self._places) >= MOST_PLACES:
            self._places.clear()
        loop = asyncio.get_running_loop()
        request = ClientRequest("POST", url, headers=self._session.headers, loop=loop, session=self._session)
        del request.headers["Content-Length"]
        names = frozenset(map(str.lower, request.headers)) | FRAMING
        head = f"POST {url.raw_path_qs} HTTP/1.1\r\n".encode() + _spell(request.headers)
        place = self._places[url] = _Place(request, request.request_info, head, names)
        return place


def _write(connection: Connection, content: bytes, timer: BaseTimerContext, patience: float | None) -> None:
    """A whole request, after which each wait for bytes of its answer has so many seconds."""
    protocol = connection.protocol
    if protocol is None or protocol.transport is None or protocol.transport.is_closing():
        raise ClientConnectionResetError("Cannot write to closing transport")
    protocol.set_response_params(timer=timer, read_until_eof=True, read_timeout=patience)
    protocol.transport.write(content)
    protocol.start_timeout()


def _spell(headers: Mapping[str, str]) -> bytes:
    """Raises ValueError where one would be read as several."""
    lines = [f"{name}: {value}" for name, value in headers.items()]
    if any(map(UNSAFE.search, lines)):
        raise ValueError("a header has a line break in it")
    return b"".join([line.encode() + b"\r\n" for line in lines])
