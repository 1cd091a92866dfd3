"""The guarded fetcher for what is too large to be in memory: its bytes come as they are read, counted, and each waited for so long.

Where a connection may go, and where a redirect may lead, is as of any fetch (`.fetch`).
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
import logging
from typing import TYPE_CHECKING, Final

from core.config.fetch import SourceFetchConfig
from core.errors import ApiError, UpstreamFailed, UpstreamTimeout
from core.providers.http.fetch import (
    MOST_REDIRECTS,
    REDIRECTS,
    UNREACHABLE,
    GuardedFetcher,
    check_url,
    redirect_target,
)
from core.providers.http.fields import invalid_field

if TYPE_CHECKING:
    from aiohttp import ClientResponse
    from yarl import URL

AGAIN: Final = frozenset({408, 425, 429, *range(500, 600)})
"""What may be another time."""
ENCODINGS: Final = frozenset({"identity", "gzip"})
BROKEN: Final = "The source broke off before its end."

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OpenedSource:
    """What is at a URL. `size` is what the server says, or None; what it has compressed by gzip is so."""

    chunks: AsyncIterator[bytes] = field(repr=False)
    size: int | None
    content_type: str


class SourceFetcher(GuardedFetcher):
    """As the fetcher; of a caller's it sends the URL alone."""

    def __init__(self, config: SourceFetchConfig) -> None:
        """Nothing is opened yet."""
        super().__init__(config)
        self._source_config = config

    async def open(self, url: str, *, param: str, headers: Mapping[str, str] | None = None) -> OpenedSource:
        """What a GET of `url` answers, after at most three redirects; `headers` go to its own origin alone.

        Raises:
            InvalidRequest: with `param`; the URL may not be fetched, there is nothing there, or it is too large.
            UpstreamFailed: it may be had another time.
        """
        from aiohttp import ClientError

        try:
            async with asyncio.timeout(self._config.timeout):
                response = await self._follow_to(check_url(url, self._config, param), param, headers or {})
        except TimeoutError as slow:
            raise invalid_field(param, "could not be fetched in time.") from slow
        except (ClientError, OSError, UnicodeError) as failure:
            log.info("source: %s", type(failure).__name__)
            raise invalid_field(param, UNREACHABLE) from failure
        if (refusal := self._refusal(response, param)) is not None:
            response.close()
            raise refusal
        return OpenedSource(self._read_on(response, param), response.content_length, response.content_type)

    async def _follow_to(self, url: "URL", param: str, headers: Mapping[str, str]) -> "ClientResponse":
        session, target = await self._sessions.get(), url
        for _ in range(1 + MOST_REDIRECTS):
            own = headers if target.origin() == url.origin() else None
            response = await session.get(target, allow_redirects=False, headers=own)
            if response.status not in REDIRECTS:
                return response
            response.close()
            target = redirect_target(target, response.headers.get("location", ""), self._config, param)
        raise invalid_field(param, f"redirects more than {MOST_REDIRECTS} times.")

    def _refusal(self, response: "ClientResponse", param: str) -> ApiError | None:
        """Why its content is not read."""
        if response.status in AGAIN:
            return UpstreamFailed(f"The source was answered with HTTP status {response.status}. Try again later.")
        if not 200 <= response.status < 300:  # noqa: PLR2004 - RFC 9110: the successes
            return invalid_field(param, f"was answered with HTTP status {response.status}.")
        if response.headers.get("content-encoding", "identity").lower() not in ENCODINGS:
            return invalid_field(param, "was answered with compressed content, which was not asked for.")
        return self._too_large(param) if (response.content_length or 0) > self._config.max_bytes else None

    def _too_large(self, param: str) -> ApiError:
        return invalid_field(
            param,
            f"holds more than {self._config.max_bytes} bytes, which is the limit: split it, or let the operator raise `fetch.max_bytes`.",
        )

    async def _read_on(self, response: "ClientResponse", param: str) -> AsyncIterator[bytes]:
        from aiohttp import ClientError

        left, until = self._config.max_bytes, asyncio.get_running_loop().time() + self._source_config.max_seconds
        try:
            while chunk := await self._next(response, until):
                left -= len(chunk)
                if left < 0:
                    raise self._too_large(param)
                yield chunk
        except TimeoutError as slow:
            raise UpstreamTimeout("The source sent nothing for too long, or not all in time.") from slow
        except (ClientError, OSError) as failure:
            log.info("source: %s", type(failure).__name__)
            raise UpstreamFailed(BROKEN) from failure
        finally:
            response.close()

    async def _next(self, response: "ClientResponse", until: float) -> bytes:
        patience = min(asyncio.get_running_loop().time() + self._config.timeout, until)
        async with asyncio.timeout_at(patience):
            return await response.content.readany()
