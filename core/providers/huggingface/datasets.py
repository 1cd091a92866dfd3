"""`remote::huggingface`: rows of data sets of the hub, which the stack then keeps; no library of Hugging Face's is needed.

A split of few rows is read page by page from the datasets server; of a larger one the Parquet files are fetched that the server has
made of it, and where there are none it is read page by page too.
Sources: https://huggingface.co/docs/dataset-viewer, HuggingfaceDatasetIOConfig of Llama Stack 0.2.12.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, Final, override
from urllib.parse import urlsplit

from pydantic import SecretStr

from core.apis.datasets import DatasetIOProvider, SourceContent
from core.config.fetch import SourceFetchConfig
from core.config.urls import UpstreamUrl
from core.config.user_fields import USER
from core.errors import InvalidRequest, UpstreamFailed
from core.frame.types import Health, JsonObject
from core.platform import json_reader
from core.providers.http.keyed import KeyedConfig
from core.providers.http.keyed_service import KeyedService
from core.providers.http.operators_key import call_with_key
from core.providers.http.replies import health_of
from core.providers.huggingface import wire
from core.providers.huggingface.uris import PARAM, read_uri

if TYPE_CHECKING:
    from core.providers.http.remote import Credentials
    from core.providers.http.sources import OpenedSource, SourceFetcher

FEW: Final = 300  # rows, which three pages have
BEARER: Final = {"authorization": "Bearer {key}"}
LOOK: Final = "/is-valid"
CUT: Final = "the datasets server of Hugging Face shortens its rows, and has no Parquet of it."
PARTIAL: Final = (
    "Hugging Face offers only the first rows of this data set as Parquet: name one of its files, as "
    "huggingface://datasets/ORG/NAME/PATH."
)


class Config(KeyedConfig):
    """`url` is the datasets server's, `hub_url` the hub's; `api_token` is for data sets that are private or gated.

    `fetch` bounds what is fetched of a data set, whose files the hub has elsewhere. `kvstore`, the reference's, has no effect.
    """

    url: Annotated[UpstreamUrl, USER] = "https://datasets-server.huggingface.co"
    hub_url: UpstreamUrl = "https://huggingface.co"
    api_token: Annotated[SecretStr | None, USER] = None
    fetch: SourceFetchConfig = SourceFetchConfig.model_construct()
    kvstore: JsonObject | None = None

    @property
    @override
    def key(self) -> SecretStr | None:
        return self.api_token


class HubDatasets:
    """A provider whose sources are rows already, and files of the hub."""

    def __init__(self, provider_id: str, config: Config) -> None:
        """Nothing is imported or opened before the first call."""
        self._config = config
        self._credentials = config.credentials()
        self._server = KeyedService(
            provider_id,
            config,
            header="authorization",
            form=BEARER["authorization"],
            judge=wire.judge,
            unreadable=wire.unreadable,
        )
        self._fetcher: SourceFetcher | None = None

    def check_source(self, uri: str) -> None:
        """As OpensSources has it."""
        read_uri(uri)

    async def open(self, uri: str) -> SourceContent:
        """A file of the hub; raises as OpensSources.open."""
        source = read_uri(uri)
        if not source.path:
            raise InvalidRequest(f"{PARAM}: has no path of a file.", param=PARAM)
        content = await self._fetch(self._config.hub_url.rstrip("/") + source.file_path())
        return SourceContent(content.chunks, content.size, source.path.rpartition("/")[2], content.content_type)

    async def read_rows(self, uri: str) -> AsyncIterator[list[JsonObject]] | None:
        """The rows of a split; None of a uri that names a file. Raises as ListsRows.read_rows."""
        source = read_uri(uri)
        if source.path:
            return None
        answer = await self._server.call("GET", wire.splits_path(source))
        with self._server.reading():
            split = wire.choose_split(source, answer)
        answer = await self._server.call("GET", split.path("size"))
        with self._server.reading():
            size = wire.read_size(split, answer)
        if size.rows <= FEW:
            pages = [page async for page in self._pages(split, size.rows)]
            if not any(page.is_cut for page in pages):
                return _each([page.rows for page in pages])
        return await self._whole(split, size)

    async def health(self) -> Health:
        """Whether the datasets server answers: that a data set's name is missing, it says itself."""
        return await health_of(self._look())

    async def close(self) -> None:
        await self._server.close()
        if self._fetcher is not None:
            await self._fetcher.close()

    async def _look(self) -> None:
        with suppress(InvalidRequest):
            await self._server.call("GET", LOOK)

    async def _whole(self, split: wire.Split, size: wire.SplitSize) -> AsyncIterator[list[JsonObject]]:
        """All rows, from Parquet files where there are any."""
        most = self._config.fetch.max_bytes
        if size.parquet_bytes > most:
            raise InvalidRequest(
                f"{PARAM}: the split has {size.parquet_bytes} bytes, more than {most}, which is the limit.", param=PARAM
            )
        if size.is_partial:
            raise InvalidRequest(f"{PARAM}: {PARTIAL}", param=PARAM)
        answer = await self._server.call("GET", split.path("parquet"))
        with self._server.reading():
            urls = wire.read_parquet_urls(split, answer)
        return self._read_files(urls) if urls else self._read_pages(split, size.rows)

    async def _pages(self, split: wire.Split, rows: int) -> AsyncIterator[wire.RowsPage]:
        for offset in range(0, rows, wire.MOST_PAGE):
            path = split.path("rows", offset=offset, length=min(wire.MOST_PAGE, rows - offset))
            answer = await self._server.call("GET", path)
            with self._server.reading():
                page = wire.read_page(answer)
            yield page

    async def _read_pages(self, split: wire.Split, rows: int) -> AsyncIterator[list[JsonObject]]:
        async for page in self._pages(split, rows):
            if page.is_cut:
                raise InvalidRequest(f"{PARAM}: {CUT}", param=PARAM)
            yield page.rows

    async def _read_files(self, urls: list[str]) -> AsyncIterator[list[JsonObject]]:
        from core.platform.parquet import ParquetInvalid, read_parquet

        for url in urls:
            content = await self._fetch(url)
            try:
                async for lines in read_parquet(content.chunks):
                    yield [json_reader.read_object(line) for line in lines]
            except ParquetInvalid as invalid:
                raise UpstreamFailed("A Parquet file of Hugging Face could not be read.") from invalid

    async def _fetch(self, url: str) -> "OpenedSource":
        """Our token goes to the hub alone, and not to where it has its files."""
        if self._fetcher is None:
            from core.providers.http.sources import SourceFetcher

            self._fetcher = SourceFetcher(self._config.fetch)
        fetcher, is_hub = self._fetcher, _origin(url) == _origin(self._config.hub_url)

        async def fetch(credentials: "Credentials") -> "OpenedSource":
            return await fetcher.open(url, param=PARAM, headers=credentials.headers(BEARER) if is_hub else None)

        return await call_with_key(self._credentials, fetch)


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


async def _each(pages: list[list[JsonObject]]) -> AsyncIterator[list[JsonObject]]:
    for page in pages:
        yield page


def connect(provider_id: str, config: Config, deps: Mapping[str, Any]) -> DatasetIOProvider:
    """A provider over the hub."""
    del deps
    return HubDatasets(provider_id, config)
