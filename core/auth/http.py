"""HTTP to issuers and auth endpoints, which the operator names: bounded in time and size, no redirects."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
import logging
import ssl
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from core.errors import AuthUnavailable
from core.platform.bounded import AnswerTooLarge, read_up_to
from core.platform.json_reader import read_json
from core.platform.kept_connections import connector_class
from core.platform.per_loop import PerLoop

if TYPE_CHECKING:
    from aiohttp import ClientSession

SECONDS: Final = 10.0
MOST_BYTES: Final = 1_048_576
UNAVAILABLE: Final = "Callers cannot be verified at the moment. Try again soon."

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reply:
    """`body` is None where it was not JSON."""

    status: int
    body: Any


def tls_context(*, verify: bool, cafile: str | None) -> ssl.SSLContext | bool:
    """What aiohttp takes: True for the system's authorities, False for none. Raises OSError for a bad `cafile`."""
    return ssl.create_default_context(cafile=cafile) if verify and cafile else verify


class Http:
    """A session per event loop, made at the first request."""

    def __init__(self, *, seconds: float = SECONDS) -> None:
        """`seconds` is for a whole request."""
        self._seconds = seconds
        self._sessions: PerLoop[ClientSession] = PerLoop(_open_session)

    async def request(
        self,
        method: str,
        url: str,
        *,
        tls: ssl.SSLContext | bool,
        headers: Mapping[str, str] | None = None,
        **body: object,
    ) -> Reply:
        """One request; `body` is `json=` or `data=`, as aiohttp takes them.

        Raises:
            AuthUnavailable: no answer, not in time, or one of more than 1 MiB.
        """
        from aiohttp import ClientError

        try:
            async with asyncio.timeout(self._seconds):
                return await self._ask(method, url, {"ssl": tls, "headers": dict(headers or {}), **body})
        except (ClientError, OSError, ValueError, AnswerTooLarge) as failure:  # TimeoutError is an OSError
            host = urlsplit(url).hostname
            log.warning("auth: %s did not answer: %s", host, type(failure).__name__)
            raise AuthUnavailable(UNAVAILABLE) from failure

    async def close(self) -> None:
        await self._sessions.close()

    async def _ask(self, method: str, url: str, options: dict[str, Any]) -> Reply:
        from yarl import URL

        session = await self._sessions.get()
        async with session.request(method, URL(url, encoded=True), allow_redirects=False, **options) as answer:
            return Reply(answer.status, _parse(await read_up_to(answer, MOST_BYTES)))


def _open_session(_: str) -> "ClientSession":
    from aiohttp import ClientSession, DummyCookieJar

    return ClientSession(connector=connector_class()(), cookie_jar=DummyCookieJar())


def _parse(content: bytes) -> object:
    try:
        return read_json(content)
    except ValueError:
        return None
