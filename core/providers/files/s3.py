"""Files in a bucket of S3, or of what speaks it.

Sources: S3FilesImplConfig of OGX 1.5.0, https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final, override

from pydantic import Field, StringConstraints

from core.config.records import Text, Whole
from core.config.state import NO_PREFIX
from core.config.user_fields import USER
from core.frame.forms import of_form
from core.frame.types import Health
from core.platform import secrets
from core.platform.aws_errors import code_of
from core.providers.aws.bucket_config import BucketConfig
from core.stores.blobs.s3 import NO_OBJECT, S3Blobs

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

    from core.apis.files import FilesProvider, FileStorage

YEAR: Final = 365 * 86_400
FIRST_REGION: Final = "us-east-1"  # whose buckets have no location
THERE: Final = frozenset({"BucketAlreadyOwnedByYou", "BucketAlreadyExists", "OperationAborted"})


class Config(BucketConfig):
    """The reference's fields.

    `metadata_store` has no effect: records of files are documents of the stack. `ttl_secs` and `kms_key_id` are llambda's own.
    """

    auto_create_bucket: bool = False
    key_prefix: Annotated[
        str, of_form(r"^([A-Za-z0-9_.=-]+(/[A-Za-z0-9_.=-]+)*/?)?$", NO_PREFIX), StringConstraints(max_length=60)
    ] = ""
    kms_key_id: Text | None = None
    metadata_store: dict[str, Any] | None = None
    ttl_secs: Annotated[Annotated[Whole, Field(ge=3600)] | None, USER] = YEAR


class Bucket(S3Blobs):
    """The bucket of a provider: with keys of its own, and made where it is missing."""

    def __init__(self, config: Config) -> None:
        """Nothing is opened before the first call."""
        super().__init__(
            config.bucket_name,
            prefix=config.key_prefix.strip("/"),
            region=config.region,
            endpoint_url=config.endpoint_url,
            kms_key_id=config.kms_key_id,
        )
        self._keys = config.keys()
        self._makes_bucket = config.auto_create_bucket

    @override
    def _connect(self, _: str) -> AbstractAsyncContextManager["S3Client"]:
        return self._open()

    @asynccontextmanager
    async def _open(self) -> AsyncGenerator["S3Client"]:
        self._place |= {name: await secrets.reveal(key) for name, key in self._keys.items()}
        async with super()._connect("") as client:
            if self._makes_bucket:
                await self._make_bucket(client)
                self._makes_bucket = False
            yield client

    async def _make_bucket(self, client: "S3Client") -> None:
        from botocore.exceptions import ClientError

        try:
            await client.head_bucket(Bucket=self._bucket)
        except ClientError as missing:
            if code_of(missing) not in NO_OBJECT:
                raise
            region = client.meta.region_name
            place: Any = {} if region == FIRST_REGION else {"CreateBucketConfiguration": {"LocationConstraint": region}}
            try:
                await client.create_bucket(Bucket=self._bucket, **place)
            except ClientError as failure:  # another process may make it at the same time
                if code_of(failure) not in THERE:
                    raise


class S3Files:
    """A provider over one bucket."""

    def __init__(self, config: Config) -> None:
        self._bucket = Bucket(config)
        self._has_keys = bool(config.keys())
        self._ttl_seconds = config.ttl_secs

    def storage(self) -> "FileStorage | None":
        return self._bucket

    def ttl_seconds(self) -> int | None:
        return self._ttl_seconds

    async def health(self) -> Health:
        """Whether the bucket can be read: of a file that is not there it says so."""
        from core.providers.aws.overview_health import health_by_rights  # late, as wherever it is asked: few calls look

        return await health_by_rights(self._bucket.head("health"), has_own=self._has_keys)

    def warm(self) -> None:
        """Import the SDK and read its description of S3."""
        self._bucket.warm()

    async def close(self) -> None:
        await self._bucket.close()


def connect(provider_id: str, config: Config, deps: Mapping[str, Any]) -> "FilesProvider":
    """A provider over one bucket."""
    del provider_id, deps
    return S3Files(config)
