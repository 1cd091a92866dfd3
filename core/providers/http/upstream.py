"""One pooled HTTP client per provider: JSON out, JSON or server-sent events in, every failure translated.

An upstream's status is never handed on as it is: its 401 is about our key, its 404 about our routing.
Server-sent events are read as the standard says (https://html.spec.whatwg.org/multipage/server-sent-events.html),
as far as the OpenAI wire uses them: `data:` fields, ended by a blank line.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
import logging
import ssl
from typing import Any, Final

import aiohttp

from core.errors import ApiError, InvalidRequest, UpstreamFailed, UpstreamThrottled, UpstreamTimeout
from core.frame.tracing import TRACE
from core.frame.types import JsonObject, JsonStream
from core.platform import json_reader
from core.platform.per_loop import PerLoop
from core.providers.http.remote import Credentials, Remote
from core.providers.http.replies import read_json, read_object
from core.providers.http.sockets import socket_factory

log = logging.getLogger(__name__)

JSON: Final = {"content-type": "application/json"}
NO_CREDENTIALS: Final = Credentials()
NO_HEADERS: Final[Mapping[str, str]] = {}
LEAST_SECRET: Final = 8  # characters; a shorter key, as "fake", is a word that messages may use
REFUSED: Final = frozenset({401, 403})
MOST_EVENT: Final = 8 * 1024 * 1024  # bytes in one event
MOST_QUOTED: Final = 500  # characters of an upstream's message that a caller sees

type Sign = Callable[[str, str, bytes | None], Awaitable[Mapping[str, str]]]
"""The headers that sign a request, from its method, URL and body."""


class UpstreamClient:
    """Calls one remote; connections are pooled, opened at the first call and kept open.

    Each call bears its own credentials, in headers of the forms that it gives, or is signed.
    """

    def __init__(self, remote: Remote, sign: Sign | None = None) -> None:
        self._remote = remote
        self._sign = sign
        self._sessions: PerLoop[aiohttp.ClientSession] = PerLoop(self._connect)

    async def get(
        self, path: str, credentials: Credentials = NO_CREDENTIALS, forms: Mapping[str, str] = NO_HEADERS
    ) -> Any:  # noqa: ANN401 - whatever an upstream sent
        """GET any JSON."""
        async with self._response("GET", path, None, credentials, forms) as response:
            return read_json(self._remote.provider_id, await response.read())

    async def post(
        self, path: str, body: bytes, credentials: Credentials = NO_CREDENTIALS, forms: Mapping[str, str] = NO_HEADERS
    ) -> JsonObject:
        """POST JSON, get a JSON object."""
        async with self._response("POST", path, body, credentials, forms) as response:
            return read_object(self._remote.provider_id, await response.read())

    async def stream(
        self, path: str, body: bytes, credentials: Credentials = NO_CREDENTIALS, forms: Mapping[str, str] = NO_HEADERS
    ) -> JsonStream:
        """POST JSON; awaiting opens the stream, iterating yields its events until `[DONE]` or the end."""
        events = self._events(path, body, credentials, forms)
        first = await anext(events, None)
        return _chain(first, events)

    async def close(self) -> None:
        await self._sessions.close()

    async def _events(self, path: str, body: bytes, credentials: Credentials, forms: Mapping[str, str]) -> JsonStream:
        async with self._response("POST", path, body, credentials, forms) as response:
            if not response.content_type.startswith("text/event-stream"):
                raise self._failure("did not answer with a stream of events")
            async for data in _sse(response.content.iter_any(), self._failure):
                if data == b"[DONE]":
                    return
                event = read_object(self._remote.provider_id, data)
                if "error" in event and "choices" not in event:
                    raise self._error(_status_of(event), event, None, credentials)
                yield event
        raise self._failure("ended its stream before it was complete")

    def _failure(self, reason: str) -> UpstreamFailed:
        return UpstreamFailed(f"Provider `{self._remote.provider_id}` {reason}.")

    @asynccontextmanager
    async def _response(
        self, method: str, path: str, body: bytes | None, credentials: Credentials, forms: Mapping[str, str]
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        headers: Mapping[str, str] = credentials.headers(forms)
        if self._sign is not None:
            headers = await self._sign(method, self._remote.base_url + path, body)
        try:
            response = await self._send(method, path, body, {**headers, **TRACE.get().headers})
            async with response:
                if response.status >= 300:  # noqa: PLR2004 - RFC 9110: not a success
                    raise await self._refusal(response, credentials)
                yield response
        except TimeoutError as slow:
            raise UpstreamTimeout(f"Provider `{self._remote.provider_id}` did not answer in time.") from slow
        except aiohttp.ClientError as failure:
            log.warning("provider %s: %s", self._remote.provider_id, type(failure).__name__)
            reason = (
                "could not be reached; check that it is up and that its url is right"
                if isinstance(failure, aiohttp.ClientConnectorError)
                else "broke off its answer"
            )
            raise self._failure(reason) from failure

    async def _send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        session, url = await self._sessions.get(), self._remote.base_url + path
        try:
            return await session.request(method, url, data=body, headers=headers, allow_redirects=False)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            # A kept connection that the other side closed while we slept (a frozen Lambda): nothing was answered.
            return await session.request(method, url, data=body, headers=headers, allow_redirects=False)

    def _connect(self, _: str) -> aiohttp.ClientSession:
        remote = self._remote
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=remote.max_connections,
                ssl=_tls(remote.tls_verify),
                keepalive_timeout=60,
                socket_factory=socket_factory(remote.reach, f"provider {remote.provider_id}"),
            ),
            headers=JSON | remote.headers,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=remote.connect_timeout, sock_read=remote.timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def _refusal(self, response: aiohttp.ClientResponse, credentials: Credentials) -> ApiError:
        try:
            answer: Any = json_reader.read_json(await response.read())
        except ValueError:
            answer = None
        log.warning("provider %s answered %d", self._remote.provider_id, response.status)
        return self._error(response.status, answer, response.headers.get("retry-after"), credentials)

    def _error(self, status: int, answer: Any, retry_after: str | None, credentials: Credentials) -> ApiError:  # noqa: ANN401 - whatever an upstream sent
        if status in REFUSED and credentials.source:
            return InvalidRequest(
                f"Provider `{self._remote.provider_id}` refused the key given as {credentials.source}."
            )
        message = _message_of(answer)
        if len(credentials.key) >= LEAST_SECRET:
            message = message.replace(credentials.key, "********")
        return _error_of(self._remote.provider_id, status, message[:MOST_QUOTED], retry_after)


def _tls(verify: bool | str) -> ssl.SSLContext | bool:  # noqa: FBT001 - the config's own value
    return ssl.create_default_context(cafile=verify) if isinstance(verify, str) else verify


async def _chain(first: JsonObject | None, rest: JsonStream) -> JsonStream:
    try:
        if first is not None:
            yield first
            async for event in rest:
                yield event
    finally:
        await rest.aclose()


async def _sse(chunks: AsyncIterator[bytes], failure: Callable[[str], UpstreamFailed]) -> AsyncGenerator[bytes]:
    """The data of each event. Lines end with LF or CRLF; comments and other fields are skipped."""
    buffer = b""
    data: list[bytes] = []
    async for chunk in chunks:
        *lines, buffer = (buffer + chunk).split(b"\n")
        if len(buffer) > MOST_EVENT:
            raise failure("sent an event that is too long")
        for line in lines:
            text = line.removesuffix(b"\r")
            if text.startswith(b"data:"):
                data.append(text[5:].removeprefix(b" "))
            elif not text and data:
                yield b"\n".join(data)
                data = []
    if data or buffer.startswith(b"data:"):
        last = buffer.removesuffix(b"\r")
        yield b"\n".join([*data, last[5:].strip()] if last.startswith(b"data:") else data)


def _message_of(answer: Any) -> str:  # noqa: ANN401 - whatever an upstream sent
    """The message in an error body: OpenAI's, FastAPI's `detail`, or vLLM's flat `message`."""
    match answer:
        case {"error": {"message": str(text)}} | {"message": str(text)} | {"detail": str(text)} | {"error": str(text)}:
            return text
        case _:
            return ""


def _status_of(event: JsonObject) -> int:
    match event.get("error"):
        case {"code": int(status)} if 400 <= status <= 599:  # noqa: PLR2004 - RFC 9110: the errors
            return status
        case _:
            return 502


def _error_of(provider_id: str, status: int, message: str, retry_after: str | None) -> ApiError:
    match status:
        case 400 | 413 | 422:
            return InvalidRequest(message or f"Provider `{provider_id}` refused the request as invalid.")
        case 429:
            headers = {"retry-after": retry_after} if retry_after else {}
            return UpstreamThrottled(f"Provider `{provider_id}` is throttling. Try again later.", headers=headers)
        case 408 | 504:
            return UpstreamTimeout(f"Provider `{provider_id}` did not answer in time.")
        case 401 | 403:
            message = f"Provider `{provider_id}` refused the stack's credentials."
            return UpstreamFailed(message, unauthorized=status == 401)  # noqa: PLR2004 - RFC 9110
        case _:
            return UpstreamFailed(f"Provider `{provider_id}` failed with HTTP status {status}.")
