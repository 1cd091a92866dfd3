"""What the providers of datasets open alike: a uri of the web, one with its content in it, and an object of a configured bucket."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from core.apis.datasets import SourceContent
from core.config.fetch import SourceFetchConfig
from core.config.records import Record
from core.errors import InvalidRequest
from core.providers.datasets.source_bucket import SourceBucket

if TYPE_CHECKING:
    from core.providers.datasets.buckets import BucketSources
    from core.providers.http.sources import SourceFetcher

PARAM: Final = "source"
FIELD: Final = "source.uri"
SCHEMES: Final = ("https", "http", "data", "s3")


class SourcesConfig(Record):
    """`fetch` bounds what is fetched from the web; `buckets` are those that `s3://` may name. `kvstore`, the reference's, has no effect."""

    kvstore: dict[str, Any] | None = None
    fetch: SourceFetchConfig = SourceFetchConfig.model_construct()
    buckets: tuple[SourceBucket, ...] = ()


class SourcePlaces:
    """`further` are schemes of the provider's own that the refusal of others names too."""

    def __init__(self, config: SourcesConfig, further: tuple[str, ...] = ()) -> None:
        """Nothing is opened before the first call."""
        self._config = config
        self._schemes = (*SCHEMES, *further)
        self._buckets: BucketSources | None = None
        self._fetcher: SourceFetcher | None = None
        self._openers: dict[str, Callable[[str], Awaitable[SourceContent]]] = {
            "https": self._fetch,
            "http": self._fetch,
            "data": self._read,
            "s3": self._open_object,
        }

    def check_source(self, uri: str) -> None:
        """Raises InvalidRequest for what is never opened; asks nobody."""
        scheme = self._scheme(uri)
        if scheme == "s3":
            self._sources().check(uri)
        elif scheme != "data":
            from core.providers.http.fetch import check_url

            check_url(uri, self._config.fetch, FIELD)

    async def open(self, uri: str) -> SourceContent:
        """Raises InvalidRequest, or what says that it may be had another time."""
        return await self._openers[self._scheme(uri)](uri)

    async def look(self) -> None:
        """Raise StateUnavailable where the first bucket cannot be read."""
        await self._sources().look()

    async def close(self) -> None:
        if self._buckets is not None:
            await self._buckets.close()
        if self._fetcher is not None:
            await self._fetcher.close()

    def _scheme(self, uri: str) -> str:
        scheme = uri.partition(":")[0].lower()
        if scheme not in self._openers:
            schemes = ", ".join(f"{name}:" for name in self._schemes)
            raise InvalidRequest(f"A source of rows is a uri that begins with one of {schemes}.", param=FIELD)
        return scheme

    def _sources(self) -> "BucketSources":
        if self._buckets is None:
            from core.providers.datasets.buckets import BucketSources  # late: with the SDK

            self._buckets = BucketSources(self._config.buckets)
        return self._buckets

    async def _open_object(self, uri: str) -> SourceContent:
        return await self._sources().open(uri)

    async def _fetch(self, uri: str) -> SourceContent:
        if self._fetcher is None:
            from core.providers.http.sources import SourceFetcher

            self._fetcher = SourceFetcher(self._config.fetch)
        source = await self._fetcher.open(uri, param=FIELD)
        return SourceContent(source.chunks, source.size, name_of(uri), source.content_type)

    @staticmethod
    async def _read(uri: str) -> SourceContent:
        from core.providers.datasets.inlined import open_inlined

        return open_inlined(uri)


def name_of(url: str) -> str:
    """The last part of its path, which no query is in; the host where the path is empty."""
    parts = urlsplit(url)
    return unquote(parts.path.rpartition("/")[2]) or parts.hostname or ""
