"""One pooled HTTP client per provider: JSON out, JSON or server-sent events in, every failure translated.

An upstream's status is never handed on as it is: its 401 is about our key, its 404 about our routing.
Of its answers no more is read than `Remote.limits` say, and no POST is sent twice (`core.platform.kept_connections`).
"""

from base64 import b64encode
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
import logging
import ssl
from typing import Any, Final

import aiohttp
from yarl import URL

from core.errors import (
    MOST_MESSAGE,
    ApiError,
    InvalidRequest,
    UpstreamFailed,
    UpstreamThrottled,
    UpstreamTimeout,
    shorten,
)
from core.frame.tracing import TRACE
from core.frame.types import JsonObject, JsonStream
from core.platform import json_reader
from core.platform.bounded import AnswerTooLarge, read_up_to
from core.platform.kept_connections import connector_class
from core.platform.per_loop import PerLoop
from core.platform.urls import join_path, userinfo_of, wire_url
from core.providers.http.events import read_events
from core.providers.http.remote import Credentials, Remote
from core.providers.http.replies import read_json, read_object, retry_after_header
from core.providers.http.sockets import socket_factory

log = logging.getLogger(__name__)

JSON: Final = {"content-type": "application/json"}
NO_CREDENTIALS: Final = Credentials()
NO_HEADERS: Final[Mapping[str, str]] = {}
LEAST_SECRET: Final = 8  # characters; a shorter key, as "fake", is a word that messages may use
REFUSED: Final = frozenset({401, 403})
MOST_LISTING: Final = 16 * 1024 * 1024  # bytes of the answer to a GET
MOST_REFUSAL: Final = 64 * 1024  # bytes of an error's body; of a longer one nothing is told
MOST_QUOTED: Final = 500  # characters of an upstream's message that a caller sees

type Sign = Callable[[str, str, bytes | None], Awaitable[Mapping[str, str]]]
"""The headers that sign a request, from its method, URL and body."""


class UpstreamClient:
    """Calls one remote; connections are pooled, opened at the first call and kept open.

    Each call bears its own credentials, in headers of the forms that it gives, or is signed.
    """

    def __init__(self, remote: Remote, sign: Sign | None = None) -> None:
        self._remote = remote
        self._limits = remote.limits
        self._sign = sign
        self._urls: dict[str, URL] = {}
        self._sessions: PerLoop[aiohttp.ClientSession] = PerLoop(self._connect)

    async def get(
        self, path: str, credentials: Credentials = NO_CREDENTIALS, forms: Mapping[str, str] = NO_HEADERS
    ) -> Any:  # noqa: ANN401 - whatever an upstream sent
        """GET any JSON."""
        async with self._response("GET", path, None, credentials, forms) as response:
            content = await self._read(response, min(MOST_LISTING, self._limits.max_bytes))
            return read_json(self._remote.provider_id, content)

    async def post(
        self,
        path: str,
        body: bytes,
        credentials: Credentials = NO_CREDENTIALS,
        forms: Mapping[str, str] = NO_HEADERS,
        *,
        finite: bool = False,
    ) -> JsonObject:
        """POST JSON, get a JSON object; a `finite` one may have no NaN in it."""
        async with self._response("POST", path, body, credentials, forms) as response:
            content = await self._read(response, self._limits.max_bytes)
            return read_object(self._remote.provider_id, content, finite=finite)

    async def stream(
        self,
        path: str,
        body: bytes,
        credentials: Credentials = NO_CREDENTIALS,
        forms: Mapping[str, str] = NO_HEADERS,
        *,
        check: Callable[[JsonObject], JsonObject],
    ) -> JsonStream:
        """POST JSON; awaiting opens the stream, iterating yields its events until `[DONE]` or the end, each through `check`."""
        events = self._events(path, body, credentials, forms, check)
        first = await anext(events, None)
        return _chain(first, events)

    async def close(self) -> None:
        await self._sessions.close()

    async def _events(
        self,
        path: str,
        body: bytes,
        credentials: Credentials,
        forms: Mapping[str, str],
        check: Callable[[JsonObject], JsonObject],
    ) -> JsonStream:
        async with self._response("POST", path, body, credentials, forms) as response:
            if not response.content_type.startswith("text/event-stream"):
                raise self._failure("did not answer with a stream of events")
            async for data in read_events(response.content.iter_any(), self._limits, self._failure):
                if data == b"[DONE]":
                    return
                event = read_object(self._remote.provider_id, data)
                if "error" in event and "choices" not in event:
                    raise self._error(_status_of(event), event, None, credentials)
                yield check(event)
        raise self._failure("ended its stream before it was complete")

    def _failure(self, reason: str) -> UpstreamFailed:
        return UpstreamFailed(f"Provider `{self._remote.provider_id}` {reason}.")

    @asynccontextmanager
    async def _response(
        self, method: str, path: str, body: bytes | None, credentials: Credentials, forms: Mapping[str, str]
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        headers: Mapping[str, str] = credentials.headers(forms)
        url = self._url(path)
        if self._sign is not None:
            headers = await self._sign(method, str(url), body)
        session = await self._sessions.get()
        try:
            async with session.request(
                method, url, data=body, headers={**headers, **TRACE.get().headers}, allow_redirects=False
            ) as response:
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

    def _url(self, path: str) -> URL:
        if path not in self._urls:  # there are a handful of them, all ours
            try:
                url = URL(join_path(wire_url(self._remote.base_url), path), encoded=True)
                _ = url.port  # which is read late
                self._urls[path] = url
            except ValueError as invalid:
                raise self._failure("cannot be called: its url is none") from invalid
        return self._urls[path]

    async def _read(self, response: aiohttp.ClientResponse, most: int) -> bytes:
        try:
            return await read_up_to(response, most)
        except AnswerTooLarge as large:
            raise self._failure("sent an answer that is too large") from large

    def _connect(self, _: str) -> aiohttp.ClientSession:
        remote = self._remote
        userinfo = userinfo_of(remote.base_url)
        basic = {"authorization": f"Basic {b64encode(userinfo.encode()).decode()}"} if userinfo else {}
        return aiohttp.ClientSession(
            connector=connector_class()(
                limit=remote.max_connections,
                ssl=_tls(remote.tls_verify),
                keepalive_timeout=60,
                socket_factory=socket_factory(remote.reach, f"provider {remote.provider_id}"),
            ),
            headers=JSON | basic | remote.headers,
            timeout=aiohttp.ClientTimeout(
                total=max(remote.limits.max_seconds, remote.timeout),
                sock_connect=remote.connect_timeout,
                sock_read=remote.timeout,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def _refusal(self, response: aiohttp.ClientResponse, credentials: Credentials) -> ApiError:
        try:
            answer: Any = json_reader.read_json(await read_up_to(response, MOST_REFUSAL))
        except (ValueError, AnswerTooLarge):
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
        return _error_of(self._remote.provider_id, status, shorten(message[:MOST_QUOTED], MOST_MESSAGE), retry_after)


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
            message = f"Provider `{provider_id}` is throttling. Try again later."
            return UpstreamThrottled(message, headers=retry_after_header(retry_after))
        case 408 | 504:
            return UpstreamTimeout(f"Provider `{provider_id}` did not answer in time.")
        case 401 | 403:
            message = f"Provider `{provider_id}` refused the stack's credentials."
            return UpstreamFailed(message, unauthorized=status == 401)  # noqa: PLR2004 - RFC 9110
        case _:
            return UpstreamFailed(f"Provider `{provider_id}` failed with HTTP status {status}.")
