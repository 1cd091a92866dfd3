"""What a browser sends for somebody else's web page is refused, before anything else looks at the request.

A page may make a browser send a POST anywhere (CSRF), and its host's DNS may say that it is this machine (DNS rebinding).
What tells is what no page can set: `Host`, `Origin` and `Sec-Fetch-Site` (https://www.w3.org/TR/fetch-metadata/). Programs
send no origin, and pass. Only a page that may be answered gets the header with which its browser lets it read the answer.
What its browser asks before (https://fetch.spec.whatwg.org/#http-cors-protocol) is answered here, without a token and for
every path: what is wrong with the request itself is for the page to read.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
import re
from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.config.browsers import ANY, ANY_PORT, CorsConfig
from core.config.document import ServerConfig
from core.errors import ApiError, PermissionDenied
from core.web.failures import error_response

READS: Final = frozenset({"GET", "HEAD"})
SAFE: Final = READS | {"OPTIONS"}
OWN_SITES: Final = frozenset({b"same-origin", b"none"})  # "none" is the user: a bookmark, the address bar
ASKED_METHOD: Final = b"access-control-request-method"
ASKED_HEADERS: Final = b"access-control-request-headers"
WATCHED: Final = frozenset({b"host", b"origin", b"sec-fetch-site", b"authorization", ASKED_METHOD, ASKED_HEADERS})
NAMES: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z, \t-]+")
MOST_NAMES: Final = 4096  # bytes of the headers that a page asks for
NO_CONTENT: Final = 204
PORTS: Final = {b"http": b"80", b"https": b"443"}
BEARER: Final = b"bearer "
LONGEST: Final = 300  # bytes of an origin, whose host has at most 253
LONGEST_SHOWN: Final = 200  # characters of an origin

type HostCheck = Callable[[list[bytes]], ApiError | None]
"""Why a request with these Host headers is not answered."""
type Watched = dict[bytes, list[bytes]]


@dataclass(frozen=True, slots=True)
class OriginRules:
    """`has_tokens`: who calls is told from a header that no page can make a browser send. None checks no host.

    On Lambda the host is the gateway's, who has looked at it.
    """

    origins: "AllowedOrigins | None" = None
    has_tokens: bool = False
    check_host: HostCheck | None = None


def rules_of(server: ServerConfig, check_host: HostCheck | None = None) -> OriginRules:
    """What `server` says of browsers."""
    cors = AllowedOrigins(server.cors) if server.cors is not None and server.cors.allows_any else None
    return OriginRules(cors, server.auth is not None, check_host)


def _matcher(pattern: str | None) -> Callable[[str], bool] | None:
    if pattern is None:
        return None
    from core.config.patterns import linear_matcher

    return linear_matcher(pattern)


class AllowedOrigins:
    """The origins of `server.cors`, and what their pages' browsers are told."""

    def __init__(self, cors: CorsConfig) -> None:
        exact = {origin.encode() for origin in cors.allow_origins}
        self._any = ANY.encode() in exact
        self._exact = frozenset(exact)
        self._ports = frozenset(o.removesuffix(ANY_PORT).encode() for o in cors.allow_origins if o.endswith(ANY_PORT))
        self._matches = _matcher(cors.allow_origin_regex)
        self._credentials = [(b"access-control-allow-credentials", b"true")] if cors.allow_credentials else []
        exposed = ", ".join(cors.expose_headers).encode()
        self._exposed = [(b"access-control-expose-headers", exposed)] if exposed else []
        self._methods = ", ".join(cors.allow_methods).encode()
        self._headers = None if ANY in cors.allow_headers else ", ".join(cors.allow_headers).encode()
        self._max_age = str(cors.max_age).encode()

    def __contains__(self, origin: bytes) -> bool:
        if self._any or origin in self._exact or origin in self._ports:
            return True
        host, _, port = origin.rpartition(b":")
        if port.isdigit() and host in self._ports:
            return True
        return self._matches is not None and len(origin) <= LONGEST and self._matches(origin.decode("latin-1"))

    def headers(self, origin: bytes) -> list[tuple[bytes, bytes]]:
        """For an answer to a page of `origin`, which is one of these."""
        return [*self._allow(origin), *self._exposed]

    def preflight(self, origin: bytes, headers: bytes) -> list[tuple[bytes, bytes]]:
        """For the answer to what a browser asks before; `headers` are the names that its page wants to send."""
        mirrored = headers if len(headers) <= MOST_NAMES and NAMES.fullmatch(headers) else b""
        names = mirrored if self._headers is None else self._headers
        return [
            *self._allow(origin),
            (b"access-control-allow-methods", self._methods),
            *([(b"access-control-allow-headers", names)] if names else []),
            (b"access-control-max-age", self._max_age),
            (b"vary", b"origin, access-control-request-headers"),
        ]

    def _allow(self, origin: bytes) -> list[tuple[bytes, bytes]]:
        return [(b"access-control-allow-origin", ANY.encode() if self._any else origin), *self._credentials]


class OriginMiddleware:
    """ASGI middleware: refuses with 403, or hands on."""

    def __init__(self, app: ASGIApp, rules: OriginRules) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, or answer why not."""
        rules = self._rules
        if scope["type"] == "http" and (
            rules.check_host is not None or rules.origins is not None or scope["method"] not in READS
        ):
            watched = _watch(scope["headers"])
            answer = _answer(rules, scope, watched)
            if rules.origins is not None and (answer is None or answer.status_code != NO_CONTENT):
                send = _allowing(rules.origins, watched, send, always=answer is None)
            if answer is not None:
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _answer(rules: OriginRules, scope: Scope, watched: Watched) -> Response | None:
    """What is answered here; None where the request is handed on."""
    failure = refusal(rules, scope, watched)
    if failure is not None:
        return error_response(failure)
    if scope["method"] != "OPTIONS" or ASKED_METHOD not in watched or b"origin" not in watched:
        return None
    origins = watched[b"origin"]
    if rules.origins is None or len(origins) != 1 or origins[0] not in rules.origins:
        return error_response(_foreign(origins, has_tokens=False))
    response = Response(status_code=NO_CONTENT)
    response.raw_headers = rules.origins.preflight(origins[0], b", ".join(watched.get(ASKED_HEADERS, ())))
    return response


def refusal(rules: OriginRules, scope: Scope, watched: Watched) -> ApiError | None:
    """Why the request is not answered; None where it is."""
    hosts, origins = watched.get(b"host", []), watched.get(b"origin", [])
    if rules.check_host is not None and (failure := rules.check_host(hosts)) is not None:
        return failure
    if scope["method"] in SAFE or not (origins or b"sec-fetch-site" in watched):
        return None
    if rules.has_tokens and all(value.startswith(BEARER) for value in watched.get(b"authorization", (b"",))):
        return None  # a browser sends no such token by itself, as it does Basic's: whoever has it may use it
    if rules.origins is not None and len(origins) == 1 and origins[0] in rules.origins:
        return None
    own = all(_is_own(origin, hosts, scope.get("scheme", "http")) for origin in origins) and len(origins) <= 1
    if own and OWN_SITES.issuperset(watched.get(b"sec-fetch-site", ())):
        return None
    return _foreign(origins, has_tokens=rules.has_tokens)


def _watch(headers: Iterable[tuple[bytes, bytes]]) -> Watched:
    watched: Watched = {}
    for name, value in headers:
        if name in WATCHED:
            watched.setdefault(name, []).append(value.strip().lower())
    return watched


def _is_own(origin: bytes, hosts: list[bytes], scheme: str) -> bool:
    """Whether a page of `origin` came from here; one of https may, though TLS ended before."""
    own, _, authority = origin.partition(b"://")
    if len(hosts) != 1 or own not in PORTS or (scheme == "https" and own == b"http"):
        return False
    name, port = _name_and_port(authority)
    return bool(name) and (name, port or PORTS[own]) == _own_address(hosts[0], PORTS[own])


def _own_address(host: bytes, port: bytes) -> tuple[bytes, bytes]:
    name, own = _name_and_port(host)
    return name, own or port


def _name_and_port(authority: bytes) -> tuple[bytes, bytes]:
    name, colon, port = authority.rpartition(b":")
    if not colon or not (port.isdigit() or not port):
        name, port = authority, b""
    return name.removesuffix(b"."), port


def _foreign(origins: list[bytes], *, has_tokens: bool) -> ApiError:
    origin = origins[0].decode("latin-1") if len(origins) == 1 else ""
    is_shown = "://" in origin and origin.isascii() and origin.isprintable() and len(origin) <= LONGEST_SHOWN
    page, value = (origin, f'["{origin}"]') if is_shown else ("another site", "a list with its origin")
    token = "send a token in the header Authorization, or " if has_tokens else ""
    return PermissionDenied(
        f"A web page of {page} may not do this here. If it is yours, {token}set server.cors.allow_origins to {value} in the run config."
    )


def _allowing(origins: AllowedOrigins, watched: Mapping[bytes, list[bytes]], send: Send, *, always: bool) -> Send:
    """`send`, with what lets a page of an allowed origin read the answer; caches must tell origins apart.

    Unless `always`, what pages of others get stays as it is: no cache keeps a refusal of what is no GET.
    """
    asking = watched.get(b"origin", [])
    is_allowed = len(asking) == 1 and asking[0] in origins
    if not is_allowed and not always:
        return send
    headers = [*(origins.headers(asking[0]) if is_allowed else ()), (b"vary", b"origin")]

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *headers]}
        await send(message)

    return send_with_headers
