"""Rows of files in S3, or in what speaks it: s3://BUCKET/KEY in the bucket of the config. It opens the web's too, as `inline::localfs`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from core.apis.datasets import SourceContent
from core.config.fetch import SourceFetchConfig
from core.frame.types import Health
from core.providers.datasets.places import SourcePlaces, SourcesConfig
from core.providers.datasets.source_bucket import SourceBucket

if TYPE_CHECKING:
    from core.apis.datasets import DatasetIOProvider

OWN: Final = frozenset({"fetch", "buckets"})


class Config(SourceBucket):
    """The bucket, `buckets` that may be read beside it, and `fetch`, which bounds what is fetched from the web."""

    fetch: SourceFetchConfig = SourceFetchConfig.model_construct()
    buckets: tuple[SourceBucket, ...] = ()


class BucketDatasets:
    """A provider that opens sources, which the stack then keeps."""

    def __init__(self, config: Config) -> None:
        self._has_keys = bool(config.keys())
        own = SourceBucket.model_validate({name: value for name, value in config if name not in OWN})
        self._places = SourcePlaces(SourcesConfig(fetch=config.fetch, buckets=(own, *config.buckets)))

    def check_source(self, uri: str) -> None:
        self._places.check_source(uri)

    async def open(self, uri: str) -> SourceContent:
        return await self._places.open(uri)

    async def health(self) -> Health:
        """Whether the bucket can be read: of an object that is not there it says so."""
        from core.providers.aws.overview_health import health_by_rights  # late: few calls look

        return await health_by_rights(self._places.look(), has_own=self._has_keys)

    async def close(self) -> None:
        await self._places.close()


def connect(provider_id: str, config: Config, deps: Mapping[str, Any]) -> "DatasetIOProvider":
    """A provider over one bucket, or some."""
    del provider_id, deps
    return BucketDatasets(config)
