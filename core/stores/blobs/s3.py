"""Blobs in a bucket of S3, or of what speaks it: objects named [prefix/][namespace/]key.

Version 1 of them, which says nothing of it; a later one says so as `v` in their metadata. Of an upload that was killed, parts
stay until the bucket's lifecycle rule AbortIncompleteMultipartUpload removes them; nothing here shows them.
Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html, API_DeleteObjects.html, API_ListObjectsV2.html,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html, ShareObjectPreSignedURL.html.
"""

from collections.abc import AsyncIterator, Generator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from io import BytesIO
from itertools import batched
import logging
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from core.errors import ApiError, StateUnavailable
from core.frame.content import Blob, PresignedRequest
from core.platform import aws_sdk as sdk
from core.platform.aws_errors import REASONS, EndpointInvalid, Fault, code_of, describe_failure
from core.platform.per_loop import PerLoop
from core.stores.blobs.keys import (
    VERSION,
    check_key,
    check_media_type,
    check_prefix,
    check_range,
    check_version,
    missing,
)
from core.stores.blobs.port import CHUNK, BlobStore
from core.stores.blobs.s3_upload import PART, Upload

if TYPE_CHECKING:
    from aiobotocore.session import AioSession
    from types_aiobotocore_s3 import S3Client

CONNECT_SECONDS: Final = 2.0
ATTEMPTS: Final = 3  # of one request, by the SDK
CONNECTIONS: Final = 50
MOST_SECONDS: Final = 7 * 86_400  # of a presigned URL
REGION: Final = "`region` of the blobs' bucket"
ELSEWHERE: Final = "is in another region, or `region` is not that of its endpoint"
CODES: Final = {  # HEAD has no body that could say more than the status
    "301": ELSEWHERE,
    "403": REASONS[Fault.PERMISSION],
    "404": REASONS[Fault.MISSING],
    "AuthorizationHeaderMalformed": ELSEWHERE,
    "PermanentRedirect": ELSEWHERE,
}
NO_OBJECT: Final = frozenset({"404", "NoSuchKey"})
NO_RANGE: Final = "InvalidRange"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """`seconds` bound the wait for a connection, and for more of an answer; so many keys are listed or removed `at_once`."""

    seconds: float = 20.0
    at_once: int = 1000  # the most that S3 takes


LIMITS: Final = Limits()


class S3Blobs:
    """`bucket` may have a `prefix`, without a `/` at its end."""

    def __init__(
        self,
        bucket: str,
        *,
        prefix: str = "",
        region: str | None = None,
        endpoint_url: str | None = None,
        kms_key_id: str | None = None,
        limits: Limits = LIMITS,
    ) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._place: dict[str, str | None] = {"region_name": region, "endpoint_url": endpoint_url}
        self._encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key_id} if kms_key_id else {}
        self._limits = limits
        self._clients: PerLoop[S3Client] = PerLoop(self._connect)
        self._has_answered = False

    async def put(
        self, key: str, content: bytes | AsyncIterator[bytes], *, media_type: str = "application/octet-stream"
    ) -> Blob:
        request = self._write(key, media_type)
        chunks = [content] if isinstance(content, bytes) else await _first_part(content)
        size = sum(map(len, chunks))
        with self._translate_errors():
            client = await self._clients.get()
            if isinstance(content, bytes) or size < PART:
                answer = await client.put_object(**request, Body=BytesIO(b"".join(chunks)))
                return Blob(key, size, media_type, _plain(answer["ETag"]))
        async with Upload(client, request) as upload:
            async for chunk in _chain(chunks, content):  # what it raises is its own, and leaves as it is
                with self._translate_errors():
                    await upload.write(chunk)
            with self._translate_errors():
                etag = await upload.finish()
        return Blob(key, upload.size, media_type, _plain(etag))

    async def head(self, key: str) -> Blob | None:
        from botocore.exceptions import ClientError

        request = self._object(key)
        with self._translate_errors():
            client = await self._clients.get()
            try:
                answer = await client.head_object(**request)
            except ClientError as failure:
                if code_of(failure) not in NO_OBJECT:
                    raise
                await self._check_bucket(client)
                return None
        _check_metadata(key, answer["Metadata"])
        return Blob(key, answer["ContentLength"], answer["ContentType"], _plain(answer["ETag"]))

    async def read(self, key: str, *, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        check_range(start, stop)
        if stop is not None and stop <= start:  # which no Range header can say
            if await self.head(key) is None:
                raise missing(key)
            return
        answer = await self._get(key, start, stop)
        if answer is None:
            return
        body = answer["Body"]
        async with body:
            _check_metadata(key, answer["Metadata"])
            async for chunk in self._read_body(body):
                yield chunk

    async def _read_body(self, body: Any) -> AsyncIterator[bytes]:  # noqa: ANN401 - the SDK's
        """The bytes of an answer, whose errors are the store's."""
        chunks = body.iter_chunks(CHUNK)
        while True:
            with self._translate_errors():
                chunk: bytes | None = await anext(chunks, None)
            if chunk is None:
                return
            yield chunk

    async def delete(self, *keys: str) -> None:
        for key in keys:
            check_key(key)
        with self._translate_errors():
            client = await self._clients.get()
            if len(keys) == 1:
                await client.delete_object(**self._object(keys[0]))
            else:
                await self._delete(client, [self._prefix + key for key in keys])

    async def old_keys(self, prefix: str, *, before: float) -> list[str]:
        keys = list[str]()
        with self._translate_errors():
            async for items in self._pages(await self._clients.get(), prefix):
                keys += [key.removeprefix(self._prefix) for key, written in items if written < before]
        return keys

    async def delete_below(self, prefix: str) -> int:
        count = 0
        with self._translate_errors():
            client = await self._clients.get()
            async for items in self._pages(client, prefix):
                await self._delete(client, [name for name, _ in items])
                count += len(items)
        return count

    async def _pages(self, client: "S3Client", prefix: str) -> AsyncIterator[list[tuple[str, float]]]:
        """Names in the bucket below a prefix, with when they were written (Unix seconds)."""
        check_prefix(prefix)
        page: dict[str, Any] = {
            "Bucket": self._bucket,
            "Prefix": self._prefix + prefix,
            "MaxKeys": self._limits.at_once,
        }
        while True:
            answer = await client.list_objects_v2(**page)
            yield [(item["Key"], item["LastModified"].timestamp()) for item in answer.get("Contents", ())]  # pyright: ignore[reportTypedDictNotRequiredAccess]
            if "NextContinuationToken" not in answer:
                return
            page["ContinuationToken"] = answer["NextContinuationToken"]

    async def download_url(
        self, key: str, *, seconds: int, filename: str = "", media_type: str = ""
    ) -> PresignedRequest | None:
        request = self._object(key)
        if filename:
            request["ResponseContentDisposition"] = f"attachment; filename*=UTF-8''{quote(filename, safe='')}"
        if media_type:
            check_media_type(media_type)
            request["ResponseContentType"] = media_type
        return await self._presign("GET", "get_object", request, seconds)

    async def upload_url(self, key: str, *, seconds: int, size: int, media_type: str) -> PresignedRequest | None:
        request = self._write(key, media_type) | {"ContentLength": size}
        headers = {"content-type": media_type, "content-length": str(size)}
        if self._encryption:
            headers["x-amz-server-side-encryption"] = self._encryption["ServerSideEncryption"]
            headers["x-amz-server-side-encryption-aws-kms-key-id"] = self._encryption["SSEKMSKeyId"]
        return await self._presign("PUT", "put_object", request, seconds, headers)

    def warm(self) -> None:
        """Import the SDK and read its description of S3."""
        sdk.preload("s3")

    async def close(self) -> None:
        await self._clients.close()

    async def _presign(
        self,
        method: str,
        operation: str,
        request: dict[str, Any],
        seconds: int,
        headers: Mapping[str, str] | None = None,
    ) -> PresignedRequest:
        """It holds no longer than the credentials that sign it, which is hours on Lambda."""
        seconds = max(1, min(seconds, MOST_SECONDS))
        expires = int(time.time()) + seconds
        with self._translate_errors():
            client: Any = await self._clients.get()  # its own type knows no names of operations
            url = await client.generate_presigned_url(operation, Params=request, ExpiresIn=seconds, HttpMethod=method)
        return PresignedRequest(method, url, expires, dict(headers or {}))

    async def _delete(self, client: "S3Client", names: Iterable[str]) -> None:
        for batch in batched(names, self._limits.at_once, strict=False):
            answer = await client.delete_objects(
                Bucket=self._bucket, Delete={"Objects": [{"Key": name} for name in batch], "Quiet": True}
            )
            if errors := answer.get("Errors"):
                raise self._unavailable(f"refused to remove {len(errors)} blobs: {errors[0].get('Code', '')}")

    async def _get(self, key: str, start: int, stop: int | None) -> dict[str, Any] | None:
        """GetObject's answer; None where the blob ends before `start`. Raises NotFound."""
        from botocore.exceptions import ClientError

        request = self._object(key)
        if start or stop is not None:
            request["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
        with self._translate_errors():
            client = await self._clients.get()
            try:
                return dict(await client.get_object(**request))
            except ClientError as failure:
                if code_of(failure) == NO_RANGE:
                    return None
                if code_of(failure) in NO_OBJECT:
                    raise missing(key) from None
                raise

    async def _check_bucket(self, client: "S3Client") -> None:
        """Raises what HEAD cannot tell from an object that is not there: that there is no bucket."""
        if not self._has_answered:
            await client.head_bucket(Bucket=self._bucket)
            self._has_answered = True

    def _object(self, key: str) -> dict[str, Any]:
        check_key(key)
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    def _write(self, key: str, media_type: str) -> dict[str, Any]:
        check_media_type(media_type)
        return {**self._object(key), "ContentType": media_type, **self._encryption}

    @contextmanager
    def _translate_errors(self) -> Generator[None]:
        from aiohttp import ClientError as HttpError
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (BotoCoreError, ClientError, EndpointInvalid, HttpError, TimeoutError) as failure:
            log.warning("S3 bucket %s: %s", self._bucket, code_of(failure))
            reason = CODES.get(code_of(failure)) or describe_failure(failure, region=REGION)
            raise self._unavailable(reason) from failure

    def _unavailable(self, reason: str) -> ApiError:
        return StateUnavailable(f"The S3 bucket `{self._bucket}` {reason}.")

    def _connect(self, _: str) -> AbstractAsyncContextManager["S3Client"]:
        config = sdk.config(
            connect_timeout=min(CONNECT_SECONDS, self._limits.seconds),
            read_timeout=self._limits.seconds,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            max_pool_connections=CONNECTIONS,
            signature_version="s3v4",  # of presigned URLs too, which else are signed as S3 did before 2014
            # The checksums that the SDK adds by itself are trailers, which much that speaks S3 does not know; TLS has its own.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        return sdk.open_client(self._session(), "s3", config=config, **self._place)

    def _session(self) -> "AioSession":
        return sdk.shared_session()


async def _first_part(content: AsyncIterator[bytes]) -> list[bytes]:
    """As many chunks as a part has, or all that there are: what is short needs no transfer."""
    chunks, size = list[bytes](), 0
    async for chunk in content:
        chunks.append(chunk)
        size += len(chunk)
        if size >= PART:
            break
    return chunks


async def _chain(chunks: Iterable[bytes], content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
    async for chunk in content:
        yield chunk


def _plain(etag: str) -> str:
    return etag.strip('"')


def _check_metadata(key: str, metadata: Mapping[str, str]) -> None:
    check_version(key, metadata.get("v", VERSION))


def connect(
    bucket: str,
    *,
    prefix: str | None = None,
    region: str | None = None,
    endpoint_url: str | None = None,
    kms_key_id: str | None = None,
    namespace: str | None = None,
) -> BlobStore:
    """The blobs in `bucket`; `namespace` separates stacks that share it."""
    parts = [prefix.strip("/") if prefix else "", quote(namespace, safe="") if namespace else ""]
    return S3Blobs(
        bucket,
        prefix="/".join(part for part in parts if part),
        region=region,
        endpoint_url=endpoint_url,
        kms_key_id=kms_key_id,
    )
