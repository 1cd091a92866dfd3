"""The one client that fetches what a caller names: public addresses only, bounded in time and size.

An address is judged where its socket is made (`.sockets`). A caller reads the same about a host that is refused as about
one that does not exist or does not answer.
"""

import asyncio
from dataclasses import dataclass, field
import logging
from typing import TYPE_CHECKING, Final

from core.config.fetch import FetchConfig
from core.frame.version import VERSION
from core.platform.per_loop import PerLoop
from core.providers.http.fields import invalid_field
from core.providers.http.sockets import socket_factory

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession
    from aiohttp.abc import AbstractResolver
    from yarl import URL

MOST_REDIRECTS: Final = 3
MOST_URL: Final = 8192  # characters
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
HEADERS: Final = {"accept-encoding": "identity", "user-agent": f"llambda/{VERSION}"}
UNREACHABLE: Final = "could not be fetched: its host cannot be reached, or fetching from it is not allowed."

NO_URL: Final = "must be an http:// or https:// URL."
MALFORMED: Final = (ValueError, IndexError)  # yarl's IndexError is for http://[a]@
BAD_REDIRECT: Final = "redirects to a place that may not be fetched."

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Fetched:
    """`content_type` is what the server said, without parameters; application/octet-stream if it said none."""

    content: bytes = field(repr=False)
    content_type: str


class GuardedFetcher:
    """Sends nothing of a caller's but the URL: no headers, no cookies, no proxy of the environment's."""

    def __init__(self, config: FetchConfig, *, resolver: "AbstractResolver | None" = None) -> None:
        """`resolver` replaces the system's; nothing is opened yet."""
        self._config = config
        self._resolver = resolver
        self._sessions: PerLoop[ClientSession] = PerLoop(self._connect)

    async def fetch(self, url: str, *, param: str) -> Fetched:
        """What a GET of `url` answers, after at most three redirects.

        Raises:
            InvalidRequest: with `param`; the URL may not be fetched or was not answered with 2xx, in time, or too large.
        """
        from aiohttp import ClientError

        try:
            async with asyncio.timeout(self._config.timeout):
                return await self._follow(url, param)
        except TimeoutError as slow:
            raise invalid_field(param, "could not be fetched in time.") from slow
        except (ClientError, OSError, UnicodeError) as failure:  # UnicodeError: a name that IDNA cannot say
            log.info("fetch: %s", type(failure).__name__)
            raise invalid_field(param, UNREACHABLE) from failure

    async def close(self) -> None:
        """Close the connections; a later fetch opens others."""
        await self._sessions.close()

    async def _follow(self, url: str, param: str) -> Fetched:
        target = check_url(url, self._config, param)
        session = await self._sessions.get()
        for _ in range(1 + MOST_REDIRECTS):
            async with session.get(target, allow_redirects=False) as answer:
                if answer.status not in REDIRECTS:
                    return await self._read(answer, param)
                target = redirect_target(target, answer.headers.get("location", ""), self._config, param)
        raise invalid_field(param, f"redirects more than {MOST_REDIRECTS} times.")

    async def _read(self, answer: "ClientResponse", param: str) -> Fetched:
        most = self._config.max_bytes
        too_large = invalid_field(param, f"holds more than {most} bytes, which is the limit.")
        if not 200 <= answer.status < 300:  # noqa: PLR2004 - RFC 9110: the successes
            raise invalid_field(param, f"was answered with HTTP status {answer.status}.")
        if answer.headers.get("content-encoding", "identity").lower() != "identity":
            raise invalid_field(param, "was answered with compressed content, which was not asked for.")
        if (answer.content_length or 0) > most:
            raise too_large
        content = bytearray()
        async for chunk in answer.content.iter_any():
            content += chunk
            if len(content) > most:
                raise too_large
        return Fetched(bytes(content), answer.content_type)

    def _connect(self, _: str) -> "ClientSession":
        from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

        make = socket_factory("private" if self._config.allow_private_addresses else "public", "fetch")
        return ClientSession(
            connector=TCPConnector(resolver=self._resolver, use_dns_cache=False, socket_factory=make),
            headers=HEADERS,
            cookie_jar=DummyCookieJar(),
            timeout=ClientTimeout(total=None, sock_connect=self._config.connect_timeout),
            trust_env=False,
            auto_decompress=False,
        )


def check_url(url: str, config: FetchConfig, param: str) -> "URL":
    """The URL, nothing wrong with it but perhaps its address. Raises InvalidRequest."""
    from yarl import URL

    if len(url) > MOST_URL:
        raise invalid_field(param, f"must be a URL of at most {MOST_URL} characters.")
    try:
        parsed = URL(url)
    except MALFORMED as invalid:
        raise invalid_field(param, NO_URL) from invalid
    refusal = _refusal(parsed, config)
    if refusal:
        raise invalid_field(param, refusal)
    return parsed


def redirect_target(url: "URL", location: str, config: FetchConfig, param: str) -> "URL":
    """Where the answer of `url` points to, checked like it, and never from https to http. Raises InvalidRequest."""
    from yarl import URL

    try:
        target = url.join(URL(location))
    except MALFORMED as invalid:
        raise invalid_field(param, BAD_REDIRECT) from invalid
    if not location or _refusal(target, config) or (url.scheme, target.scheme) == ("https", "http"):
        raise invalid_field(param, BAD_REDIRECT)
    return target


def _refusal(url: "URL", config: FetchConfig) -> str:
    if url.scheme not in {"http", "https"} or not url.raw_host:
        return NO_URL
    if "@" in url.raw_authority:
        return "must not hold a user name or a password."
    if url.port not in config.allowed_ports:
        return f"must be on one of these ports: {', '.join(map(str, config.allowed_ports))}."
    if config.allowed_hosts is not None and not _is_among(url.raw_host.rstrip("."), config.allowed_hosts):
        return "is on a host that the operator does not allow."
    return ""


def _is_among(host: str, patterns: tuple[str, ...]) -> bool:
    return any(host.endswith(name[1:]) if name.startswith("*.") else host == name for name in patterns)
