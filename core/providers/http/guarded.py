"""Requests with bodies and headers of ours, to places that the run config or a caller names; an answer is read as it comes.

A place is judged where its socket is made (`.sockets`). Headers go to the origin that they are for, and to no other: a redirect is followed within it
alone, with the same method and body, which is why one that would make a GET of a POST is not followed. No cookies, no proxy of the environment's.
docs/adr/0075-mcp-client.md.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
import ssl
from typing import TYPE_CHECKING, Final, cast

from core.frame.version import VERSION
from core.platform.kept_connections import connector_class
from core.platform.per_loop import PerLoop
from core.providers.http.sockets import socket_factory

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession
    from aiohttp.abc import AbstractResolver
    from yarl import URL

    from core.platform.addresses import Reach

MOST_REDIRECTS: Final = 3
KEEP_METHOD: Final = frozenset({307, 308})
OF_GET: Final = frozenset({301, 302, 303, *KEEP_METHOD})


class RedirectRefused(Exception):
    """A redirect to another origin, one that changes the method, or one too many; nothing went there."""


@dataclass(frozen=True, slots=True)
class GuardedRequest:
    """One that does not `follow` redirects has them for its answer."""

    method: str
    url: "URL"
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)
    follow: bool = True


@dataclass(frozen=True, slots=True)
class Connections:
    """`user` is who connects, for the log. `tls_verify` (False, True, or the path of a CA bundle) holds for the operator's places alone."""

    user: str
    connect_timeout: float = 5.0
    tls_verify: bool | str = True
    most: int = 0


class GuardedClient:
    """Connections are pooled by where they may go, opened at the first request and kept open."""

    def __init__(self, connections: Connections, *, resolver: "AbstractResolver | None" = None) -> None:
        """`resolver` replaces the system's; nothing is opened yet."""
        self._connections = connections
        self._resolver = resolver
        self._sessions: PerLoop[ClientSession] = PerLoop(self._connect)

    @asynccontextmanager
    async def send(self, request: GuardedRequest, reach: "Reach") -> "AsyncGenerator[ClientResponse]":
        """The answer, whatever its status; leaving the block ends it.

        Raises:
            RedirectRefused: it is a redirect that is not followed.
            aiohttp.ClientError, OSError, ValueError: as aiohttp does.
        """
        session, url = await self._sessions.get(reach), request.url
        for _ in range(1 + MOST_REDIRECTS):
            async with session.request(
                request.method, url, data=request.body, headers=request.headers, allow_redirects=False
            ) as response:
                if not request.follow or response.status not in OF_GET or "location" not in response.headers:
                    yield response
                    return
                url = _redirect_target(request.method, url, response)
        raise RedirectRefused

    async def close(self) -> None:
        """Close the connections; a later request opens others."""
        await self._sessions.close()

    def _connect(self, name: str) -> "ClientSession":
        from aiohttp import ClientSession, ClientTimeout, DummyCookieJar

        reach, connections = cast("Reach", name), self._connections
        return ClientSession(
            connector=connector_class()(
                limit=connections.most,
                ssl=_tls(connections.tls_verify if reach == "operator" else True),
                keepalive_timeout=60,
                resolver=self._resolver,
                use_dns_cache=self._resolver is None,
                socket_factory=socket_factory(reach, connections.user),
            ),
            headers={"user-agent": f"llambda/{VERSION}"},
            timeout=ClientTimeout(total=None, sock_connect=connections.connect_timeout),
            cookie_jar=DummyCookieJar(),
            trust_env=False,
        )


def _redirect_target(method: str, url: "URL", response: "ClientResponse") -> "URL":
    from yarl import URL

    try:
        target = url.join(URL(response.headers["location"])).with_fragment(None)
        stays = target.origin() == url.origin() and not target.user and not target.password
    except (ValueError, IndexError) as invalid:  # IndexError: yarl's, of http://[a]@
        raise RedirectRefused from invalid
    if not stays or response.status not in (OF_GET if method == "GET" else KEEP_METHOD):
        raise RedirectRefused
    return target


def _tls(verify: bool | str) -> ssl.SSLContext | bool:  # noqa: FBT001 - the config's own value
    return ssl.create_default_context(cafile=verify) if isinstance(verify, str) else verify
