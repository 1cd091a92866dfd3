"""One pooled HTTP client per provider: JSON out, JSON or server-sent events in, every failure translated.

What its errors become is in `.upstream_failures`. Of its answers no more is read than `Remote.limits` say, and no POST is
sent twice (`core.platform.kept_connections`).
"""

from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
import logging
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from yarl import URL

from core.apis.shapes import ChunkChecker, StreamChecker
from core.errors import ApiError, InvalidRequest, UpstreamFailed, UpstreamTimeout
from core.frame.tracing import TRACE
from core.frame.types import JsonObject, JsonStream
from core.platform.bounded import AnswerTooLarge, read_rest, read_up_to
from core.platform.json_values import is_object
from core.platform.kept_connections import connector_class
from core.platform.per_loop import PerLoop
from core.platform.quick_session import QuickSession
from core.platform.urls import join_path, userinfo_of, wire_url
from core.providers.http.events import BOM, read_events
from core.providers.http.exchange import Exchange
from core.providers.http.remote import Credentials, Remote, UpstreamRequest
from core.providers.http.replies import read_json, read_object, reports_error
from core.providers.http.sockets import socket_factory, tls_of

if TYPE_CHECKING:
    from core.providers.http.upstream_errors import ErrorReport

log = logging.getLogger(__name__)

JSON: Final = {"content-type": "application/json"}
NO_CREDENTIALS: Final = Credentials()
NO_HEADERS: Final[Mapping[str, str]] = {}
MOST_LISTING: Final = 16 * 1024 * 1024  # bytes of the answer to a GET
MOST_SHOWN: Final = 4096  # bytes of an error's body in which a server may say what it speaks
MOST_REFUSAL: Final = 64 * 1024  # bytes of an error's body; of a longer one nothing is told
OPENING: Final = ord("{")
FIELDS: Final = (b"data", b"event:", b"id:", b"retry:", b":")
"""How a stream of events begins."""
WAITS: Final = ("retry-after", "retry-after-ms")

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
        self._sessions: PerLoop[QuickSession] = PerLoop(self._connect)

    async def get(
        self, path: str, credentials: Credentials = NO_CREDENTIALS, forms: Mapping[str, str] = NO_HEADERS
    ) -> Any:  # noqa: ANN401 - whatever an upstream sent
        """GET any JSON, but an error in its place."""
        request = UpstreamRequest("GET", path, None, credentials, forms)
        async with self._response(request) as response:
            content = await self._read(response, min(MOST_LISTING, self._limits.max_bytes))
            try:
                answer = read_json(self._remote.provider_id, content)
            except UpstreamFailed as failure:
                raise self._explain_page(failure, response) from None
        if is_object(answer) and answer.get("error") and reports_error(answer):
            raise self._error_in(answer, request, response)
        return answer

    async def post(
        self,
        path: str,
        body: bytes,
        credentials: Credentials = NO_CREDENTIALS,
        forms: Mapping[str, str] = NO_HEADERS,
        *,
        finite: bool = False,
    ) -> JsonObject:
        """POST JSON, get a JSON object, which is no error; a `finite` one may have no NaN in it."""
        request = UpstreamRequest("POST", path, body, credentials, forms)
        async with self._response(request) as response:
            content = await self._read(response, self._limits.max_bytes)
        try:
            answer = read_object(self._remote.provider_id, content, finite=finite)
        except UpstreamFailed as failure:
            raise self._explain_page(failure, response) from None
        if reports_error(answer):
            raise self._error_in(answer, request, response)
        return answer

    async def stream(
        self,
        path: str,
        body: bytes,
        credentials: Credentials = NO_CREDENTIALS,
        forms: Mapping[str, str] = NO_HEADERS,
        checker: StreamChecker | None = None,
    ) -> JsonStream:
        """POST JSON; awaiting opens the stream, iterating yields its chunks until `[DONE]`.

        They are those of completions, unless there is another `checker` of the stream. One that just ends is whole if its choices had
        their finish reasons. Raises UpstreamFailed for one that does not,
        is torn, or is not of OpenAI's shape, and whatever an error in it means.
        """
        events = self._events(UpstreamRequest("POST", path, body, credentials, forms), checker or ChunkChecker())
        first = await anext(events, None)
        return _chain(first, events)

    async def close(self) -> None:
        await self._sessions.close()

    async def _events(self, request: UpstreamRequest, checker: StreamChecker) -> JsonStream:
        provider_id = self._remote.provider_id
        async with self._response(request) as response:
            head, content = await self._open(request, response), response.content.iter_any()
            async for data in read_events(content, self._limits, self._failure, head=head):
                if data[0] != OPENING and data.strip() == b"[DONE]":
                    if checker.begun:
                        return
                    break
                try:
                    event = read_object(provider_id, data)
                except UpstreamFailed:  # half an event after a whole answer is discarded, as the standard has it
                    if data.isspace() or (checker.complete and response.content.at_eof()):
                        continue
                    raise
                if checker.is_usual(event) or self._check(event, checker, request, response):
                    yield event
        if not checker.complete:
            raise self._failure("ended its stream before it was complete")

    def _check(
        self, event: JsonObject, checker: StreamChecker, request: UpstreamRequest, response: aiohttp.ClientResponse
    ) -> bool:
        """False for a sign of life; raises what it means, if it is no chunk."""
        if event.get("type") == "ping":
            return False
        if reports_error(event):
            raise self._error_in(event, request, response)
        checker.check(event)
        return True

    async def _open(self, request: UpstreamRequest, response: aiohttp.ClientResponse) -> bytes:
        """The first bytes of a stream of events, whatever it is labelled; raises what anything else in its place means."""
        head = await response.content.readany()
        begin = head.removeprefix(BOM).lstrip()
        if begin.startswith((b"{", b"[")):
            from core.providers.http.upstream_errors import error_in_body

            if (report := error_in_body(await read_rest(head, response.content, MOST_REFUSAL))) is not None:
                raise self._error(request, response, report)
        elif response.content_type.startswith("text/event-stream") or begin.startswith(FIELDS):
            return head
        raise self._explain_page(self._failure("did not answer with a stream of events"), response)

    def _failure(self, reason: str) -> UpstreamFailed:
        return UpstreamFailed(f"Provider `{self._remote.provider_id}` {reason}.")

    def _response(self, request: UpstreamRequest) -> Exchange:
        """The answer, a success, inside `with`, where what the connection fails by is raised as what it means."""
        return Exchange(self._ask(request), self._translate)

    async def _ask(self, request: UpstreamRequest) -> aiohttp.ClientResponse:
        headers: Mapping[str, str] = request.credentials.headers(request.forms)
        url = request.at(self._url(request.path))
        if self._sign is not None:
            headers = await self._sign(request.method, str(url), request.body)
        session = await self._session()
        try:
            response = await session.request(request.method, url, {**headers, **TRACE.get().headers}, request.payload)
        except (TimeoutError, aiohttp.ClientError):
            raise
        except (ValueError, OSError) as odd:  # of a URL, a header or a name that nothing had refused before
            raise self._unsendable(odd) from odd
        if response.status < 300:  # noqa: PLR2004 - RFC 9110: a success
            return response
        async with response:
            raise await self._refusal(request, response)

    def _translate(self, failure: Exception) -> ApiError:
        """What a failure of a connection means."""
        match failure:
            case TimeoutError():
                late = UpstreamTimeout(f"Provider `{self._remote.provider_id}` did not answer in time.")
                return self._explain_connection(late, failure)
            case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
                return self._unsendable(failure)
            case aiohttp.ClientConnectorError():
                reason = "could not be reached; check that it is up and that its url is right"
            case _:
                reason = "broke off its answer"
        return self._explain_connection(self._failure(reason), failure)

    def _unsendable(self, odd: Exception) -> UpstreamFailed:
        fault = f"No request to it can be made ({type(odd).__name__}): check its url and its headers."
        return self._explain(self._failure("cannot be called: its url or its headers are wrong"), fault)

    async def _session(self) -> QuickSession:
        try:
            return await self._sessions.get()
        except (OSError, ValueError) as unusable:  # ssl's own errors are OSErrors too
            from core.providers.http.faults import ca_fault

            if not isinstance(self._remote.tls_verify, str):
                raise self._unsendable(unusable) from unusable
            failure = self._failure("cannot be called: the file of its authorities' certificates cannot be used")
            raise self._explain(failure, ca_fault(self._remote.tls_verify, unusable)) from unusable

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

    def _connect(self, _: str) -> QuickSession:
        remote = self._remote
        userinfo = userinfo_of(remote.base_url)
        basic = {"authorization": f"Basic {b64encode(userinfo.encode()).decode()}"} if userinfo else {}
        connector = connector_class()(
            limit=remote.max_connections,
            ssl=tls_of(remote.tls_verify),
            keepalive_timeout=60,
            socket_factory=socket_factory(remote.reach, f"provider {remote.provider_id}"),
        )
        session = aiohttp.ClientSession(
            connector=connector,
            headers=JSON | basic | remote.headers,
            timeout=aiohttp.ClientTimeout(
                total=max(remote.limits.max_seconds, remote.timeout),
                sock_connect=remote.connect_timeout,
                sock_read=remote.timeout,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return QuickSession(session, connector)

    async def _refusal(self, request: UpstreamRequest, response: aiohttp.ClientResponse) -> ApiError:
        try:
            content = await read_up_to(response, MOST_REFUSAL)
        except AnswerTooLarge:
            content = b""
        return self._meaning(request, response, content)

    def _meaning(self, request: UpstreamRequest, response: aiohttp.ClientResponse, content: bytes) -> ApiError:
        from core.providers.http.faults import WANTS_TLS, answer_fault
        from core.providers.http.upstream_errors import read_body

        text = content[:MOST_SHOWN].decode(errors="replace")
        fault = answer_fault(response.status, response.content_type, f"{request.method} {request.path}", text)
        failure = self._error(request, response, read_body(content), fault)
        if fault == WANTS_TLS and isinstance(failure, InvalidRequest):
            return self._explain(self._failure("cannot be called: its url is wrong"), fault)
        return failure

    def _explain_page(self, failure: UpstreamFailed, response: aiohttp.ClientResponse) -> UpstreamFailed:
        """Of an answer that is not what was asked for: it may be a web page."""
        from core.providers.http.faults import WEB_PAGES, web_page_fault

        is_page = response.content_type in WEB_PAGES
        return self._explain(failure, web_page_fault(response.status)) if is_page else failure

    def _explain_connection[Failure: ApiError](self, failure: Failure, cause: Exception) -> Failure:
        from core.providers.http.faults import connection_fault

        return self._explain(failure, connection_fault(cause, self._remote.base_url.partition(":")[0].lower()))

    def _explain[Failure: ApiError](self, failure: Failure, fault: str) -> Failure:
        """Log what is wrong."""
        provider_id = self._remote.provider_id
        facts = {"provider": provider_id, "error_code": failure.code, "reason": fault}
        log.warning("provider %s: %s", provider_id, fault, extra=facts)
        failure.reason = fault
        return self._with_fault(failure, fault)

    def _with_fault[Failure: ApiError](self, failure: Failure, fault: str) -> Failure:
        """Who named the place itself could learn from it what is at the addresses that the stack reaches."""
        failure.fault = fault if self._remote.reach == "operator" else ""
        return failure

    def _error_in(self, answer: JsonObject, request: UpstreamRequest, response: aiohttp.ClientResponse) -> ApiError:
        from core.providers.http.upstream_errors import ErrorReport, error_in

        return self._error(request, response, error_in(answer) or ErrorReport())

    def _error(
        self, request: UpstreamRequest, response: aiohttp.ClientResponse, report: "ErrorReport", fault: str = ""
    ) -> ApiError:
        """What it means; why, the log says. What judges it is imported when there is one."""
        from core.providers.http.quotes import hide_quotes
        from core.providers.http.upstream_failures import OF_CLIENTS, UpstreamError, secrets_of

        remote, credentials, content = self._remote, request.credentials, request.content
        error = UpstreamError(
            remote.provider_id,
            response.status,
            report,
            {name: response.headers[name] for name in WAITS if name in response.headers},
            str(content.get("model", "")),
            credentials.source,
            secrets_of(credentials.key, remote.headers, userinfo_of(remote.base_url)),
        )
        reason = hide_quotes(error.reason, content)
        failure = error.failure()
        is_operators = isinstance(failure, UpstreamFailed) and error.true_status in OF_CLIENTS
        level = logging.ERROR if is_operators else logging.WARNING
        fault = failure.fault or (fault if isinstance(failure, UpstreamFailed) else "")
        reason = " ".join(filter(None, (reason, fault)))
        log.log(
            level,
            "provider %s answered %d%s",
            remote.provider_id,
            response.status,
            f": {reason}" if reason else "",
            extra=error.facts(failure, reason),
        )
        failure.reason = reason or f"HTTP status {response.status}"
        return self._with_fault(failure, fault)


async def _chain(first: JsonObject | None, rest: JsonStream) -> JsonStream:
    try:
        if first is not None:
            yield first
            async for event in rest:
                yield event
    finally:
        await rest.aclose()
