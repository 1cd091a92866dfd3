"""An MCP server as a call sees it, and what it answers over HTTP: messages as JSON, or as events that come one by one."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from pydantic_core import to_json

from core.config.answer_limits import AnswerLimits
from core.config.redact import MASK
from core.errors import UpstreamFailed
from core.frame.hops import HEADER, HOPS
from core.frame.tracing import TRACE
from core.frame.types import JsonObject
from core.platform.bounded import AnswerTooLarge, read_up_to
from core.platform.json_values import to_object
from core.providers.http.guarded import GuardedClient, GuardedRequest
from core.providers.http.replies import retry_after_header
from core.providers.mcp.event_stream import EventReader
from core.providers.mcp.wire import Denied, Refusal, Unusable, error_of, read_messages

if TYPE_CHECKING:
    from aiohttp import ClientResponse
    from yarl import URL

    from core.platform.addresses import Reach

EVENTS: Final = "text/event-stream"
JSON: Final = "application/json"
MOST_REFUSAL: Final = 64 * 1024  # bytes of an error's body
DENIED: Final = frozenset({401, 403})
NO_HEADERS: Final[Mapping[str, str]] = {}


class ServerCredentials(Protocol):
    """What requests to a server bear. `source` says where a caller gave it, "" for the operator's.

    `secrets` are the operator's, which are in no answer; what is `confidential` is in no log and no message, whosever it is.
    """

    @property
    def source(self) -> str: ...

    @property
    def secrets(self) -> tuple[str, ...]: ...

    @property
    def confidential(self) -> tuple[str, ...]: ...

    async def headers(self, method: str, url: str, body: bytes | None) -> Mapping[str, str]:
        """Of one request; raises ApiError where they cannot be had."""
        ...

    async def renew(self, challenge: str) -> bool:
        """Whether there are others by now than those that were refused with this WWW-Authenticate."""
        ...


@dataclass(frozen=True, slots=True)
class Key:
    """For whom something of a server is remembered: `digest` is of the caller's own credentials, `owner` who calls."""

    endpoint: str
    trusted: bool
    digest: str
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Server:
    """`name` is how messages call it; `key` has no owner, `owner` is whose session it is."""

    url: "URL"
    name: str
    reach: "Reach"
    key: Key
    owner: str
    credentials: ServerCredentials = field(repr=False)

    def failure(self, reason: str) -> UpstreamFailed:
        return UpstreamFailed(f"The MCP server of {self.name} {reason}.")


class Answer:
    """What a request was answered with. All bytes are counted, decompressed; the operator's secrets are masked in them."""

    def __init__(self, server: Server, response: "ClientResponse", limits: AnswerLimits) -> None:
        self.headers: Mapping[str, str] = response.headers
        self.events = EventReader(limits, server.failure)
        self._server = server
        self._response = response
        self._limits = limits

    @property
    def streams(self) -> bool:
        return self._response.content_type == EVENTS

    async def messages(self) -> AsyncGenerator[JsonObject]:
        """As they come; none of an empty body. Raises Unusable, and UpstreamFailed for more than is taken."""
        if self.streams:
            async with aclosing(self.named_events()) as events:
                async for name, data in events:
                    for message in read_messages(data) if name == "message" else ():
                        yield message
            return
        content = await self._read(self._limits.max_bytes)
        if not content.strip():
            return
        if self._response.content_type != JSON:
            raise Unusable("answered with something else than JSON or a stream of events")
        for message in read_messages(content):
            yield message

    async def named_events(self) -> AsyncGenerator[tuple[str, bytes]]:
        async for name, data in self.events.read(self._response.content.iter_any()):
            yield name, self._mask(data)

    async def refusal(self) -> Exception:
        """What a status that is no success means."""
        response = self._response
        if response.status in DENIED:
            return Denied(response.status, response.headers.get("www-authenticate", ""))
        try:
            [message] = read_messages(await self._read(MOST_REFUSAL))
        except (UpstreamFailed, Unusable, ValueError):
            message = {}
        if to_object(message.get("error")):
            return error_of(message["error"], response.status)
        return Refusal(response.status, retry_after_header(response.headers))

    async def _read(self, most: int) -> bytes:
        try:
            return self._mask(await read_up_to(self._response, most))
        except AnswerTooLarge as large:
            raise self._server.failure("sent an answer that is too large") from large

    def _mask(self, content: bytes) -> bytes:
        """A server that repeats what it was sent would tell the operator's secrets to whoever may call its tools."""
        for secret in self._server.credentials.secrets:
            content = content.replace(secret.encode(), MASK.encode())
        return content


class Transport:
    """Every request bears the server's credentials; those of a caller are never among the defaults of a connection."""

    def __init__(self, client: GuardedClient, limits: AnswerLimits) -> None:
        self._client = client
        self._limits = limits

    @asynccontextmanager
    async def post(
        self, server: Server, message: JsonObject, headers: Mapping[str, str] = NO_HEADERS, *, url: "URL | None" = None
    ) -> AsyncGenerator[Answer]:
        """Raises Denied, Refusal and RpcError for what is no success, and what GuardedClient does."""
        own = {"accept": f"{JSON}, {EVENTS}", "content-type": JSON, **headers}
        async with self._send(server, "POST", own, to_json(message), url or server.url) as answer:
            yield answer

    @asynccontextmanager
    async def listen(self, server: Server, headers: Mapping[str, str] = NO_HEADERS) -> AsyncGenerator[Answer]:
        """A stream of events by GET; raises as `post`, and Unusable where it is none."""
        async with self._send(server, "GET", {"accept": EVENTS, **headers}, None, server.url) as answer:
            if not answer.streams:
                raise Unusable("did not answer with a stream of events")
            yield answer

    async def delete(self, server: Server, headers: Mapping[str, str]) -> None:
        async with self._send(server, "DELETE", dict(headers), None, server.url):
            pass

    @asynccontextmanager
    async def _send(
        self, server: Server, method: str, headers: dict[str, str], body: bytes | None, url: "URL"
    ) -> AsyncGenerator[Answer]:
        credentials = await server.credentials.headers(method, str(url), body)
        own = {name.lower(): value for name, value in credentials.items()} | {
            **TRACE.get().headers,
            **headers,
            HEADER: str(HOPS.get() + 1),
        }
        request = GuardedRequest(method, url, own, body)
        async with self._client.send(request, server.reach) as response:
            answer = Answer(server, response, self._limits)
            if response.status >= 300:  # noqa: PLR2004 - RFC 9110: no success
                raise await answer.refusal()
            yield answer
