"""Objects of S3, or of what speaks it, in the buckets that the run config names: no caller reads another.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html, object-keys.html in its user's guide.
"""

from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import unquote

from core.apis.datasets import SourceContent
from core.errors import InvalidRequest
from core.platform.aws_errors import code_of
from core.providers.datasets.source_bucket import SourceBucket
from core.providers.files.s3 import Bucket as FilesBucket
from core.providers.files.s3 import Config as FilesConfig
from core.stores.blobs.s3 import NO_OBJECT

MOST_KEY: Final = 1024  # bytes
PARAM: Final = "source"


class _Objects(FilesBucket):
    """A bucket's client, with keys of its own; it makes no bucket."""

    async def stream(self, key: str, most: int) -> tuple[int, str, AsyncIterator[bytes]]:
        """The size, the media type, and the bytes. Raises InvalidRequest, and StateUnavailable as the blobs do."""
        from botocore.exceptions import ClientError

        with self._translate_errors():
            client = await self._clients.get()
            try:
                answer: Any = await client.get_object(Bucket=self._bucket, Key=key)
            except ClientError as failure:
                if code_of(failure) not in NO_OBJECT:
                    raise
                raise InvalidRequest(f"There is no object `{key}` in the bucket.", param=PARAM) from failure
        size = answer["ContentLength"]
        if size > most:
            answer["Body"].close()
            raise InvalidRequest(f"The object holds {size} bytes, more than {most}, which is the limit.", param=PARAM)
        return size, answer["ContentType"], self._read_on(answer["Body"])

    async def _read_on(self, body: Any) -> AsyncIterator[bytes]:  # noqa: ANN401 - the SDK's
        async with body:
            async for chunk in self._read_body(body):
                yield chunk


class BucketSources:
    """`s3://BUCKET/KEY`, in the buckets of the config."""

    def __init__(self, buckets: tuple[SourceBucket, ...]) -> None:
        """Nothing is opened before the first call."""
        self._buckets = buckets
        self._clients: dict[int, _Objects] = {}

    def check(self, uri: str) -> None:
        """Raises InvalidRequest."""
        self._find(uri)

    async def open(self, uri: str) -> SourceContent:
        """Raises InvalidRequest; StateUnavailable where the bucket cannot be asked."""
        index, key = self._find(uri)
        size, media_type, chunks = await self._client(index).stream(key, self._buckets[index].max_bytes)
        return SourceContent(chunks, size, key.rpartition("/")[2], media_type)

    async def look(self) -> None:
        """Raise StateUnavailable where the first bucket cannot be read."""
        await self._client(0).head("health")

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()

    def _client(self, index: int) -> _Objects:
        if index not in self._clients:
            self._clients[index] = _Objects(_files_config(self._buckets[index]))
        return self._clients[index]

    def _find(self, uri: str) -> tuple[int, str]:
        bucket, slash, key = unquote(uri.removeprefix("s3://")).partition("/")
        if not slash or not key or len(key.encode(errors="replace")) > MOST_KEY:
            raise InvalidRequest("An object of S3 is named as s3://BUCKET/KEY.", param=PARAM)
        for index, candidate in enumerate(self._buckets):
            if candidate.takes(bucket, key):
                return index, key
        raise InvalidRequest(
            "Rows are not read from there: the run config names the buckets, and the prefixes in them, from which they are.",
            param=PARAM,
        )


def _files_config(bucket: SourceBucket) -> FilesConfig:
    return FilesConfig(
        bucket_name=bucket.bucket_name,
        region=bucket.region,
        endpoint_url=bucket.endpoint_url,
        aws_access_key_id=bucket.aws_access_key_id,
        aws_secret_access_key=bucket.aws_secret_access_key,
    )
