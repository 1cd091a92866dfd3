"""A client of an API of resources, which has more methods than an API of models, and other errors.

Whatever is called must be idempotent: where a connection was lost, nobody knows what was done, and it is called again.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, override

import aiohttp
from yarl import URL

from core.errors import ApiError, UpstreamFailed
from core.providers.http.remote import Credentials, Remote, UpstreamRequest
from core.providers.http.replies import read_json
from core.providers.http.upstream import NO_CREDENTIALS, NO_HEADERS, UpstreamClient

WAITS: Final = (0.2, 1.0)  # seconds before a call is made again, as long as a small server needs to start
MOST_PATHS: Final = 1000  # whose URLs are kept: they have the ids of resources in them
LOST: Final = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError)

type Judge = Callable[[int, bytes], ApiError | None]
"""What an error means in this API, from its status and its body; None where it means what such an error means of any upstream."""


class ResourceClient(UpstreamClient):
    """JSON in and out, with any method; an answer has no NaN."""

    def __init__(self, remote: Remote, judge: Judge) -> None:
        super().__init__(remote)
        self._judge = judge

    async def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        credentials: Credentials = NO_CREDENTIALS,
        forms: Mapping[str, str] = NO_HEADERS,
    ) -> Any:  # noqa: ANN401 - whatever an upstream sent
        """The JSON of the answer, an empty object of an empty one; raises what the judge says, and what every call may."""
        request = UpstreamRequest(method, path, body, credentials, forms)
        for wait in WAITS:
            try:
                return await self._call(request)
            except UpstreamFailed as failure:
                if not isinstance(failure.__cause__, LOST):
                    raise
            await asyncio.sleep(wait)
        return await self._call(request)

    async def _call(self, request: UpstreamRequest) -> Any:  # noqa: ANN401 - whatever an upstream sent
        async with self._response(request) as response:
            content = await self._read(response, self._limits.max_bytes)
        return read_json(self._remote.provider_id, content, finite=True) if content else {}

    @override
    def _meaning(self, request: UpstreamRequest, response: aiohttp.ClientResponse, content: bytes) -> ApiError:
        return self._judge(response.status, content) or super()._meaning(request, response, content)

    @override
    def _url(self, path: str) -> URL:
        if len(self._urls) > MOST_PATHS:
            self._urls.clear()
        return super()._url(path)
