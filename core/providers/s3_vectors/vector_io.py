"""Vector stores in Amazon S3 Vectors, which costs nothing while nobody asks: an index of a vector bucket for each.

Searches by vector, by words (BM25) and by both, fused, are the service's own; filters come before them, and what was written is
found at once. Indexes of buckets made before 30 September 2026 may be in another mode, which has neither words nor that.
Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-vectors-hybrid-search.html.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import batched
import re
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import to_json

from core.apis.vector_checks import check_index
from core.apis.vector_io import (
    Chunk,
    KeyPage,
    ScoredChunk,
    VectorCapabilities,
    VectorIndex,
    VectorIOProvider,
    VectorQuery,
)
from core.errors import Conflict, NotFound, ProviderUnavailable
from core.frame.types import Health, JsonObject
from core.platform.aws_errors import code_of
from core.providers.aws.clients import AwsClients, call_options
from core.providers.s3_vectors import wire
from core.providers.s3_vectors.config import BUCKET_ARN, Config
from core.providers.s3_vectors.errors import translate_errors

if TYPE_CHECKING:
    from core.platform.signed_json import SignedJson

SERVICE: Final = "s3vectors"
ATTEMPTS: Final = 5  # of one call: an index takes 1,000 writes a second, and refuses the others for a moment
TRIES: Final = 2  # of making an index that another removes at that time
ENVELOPE: Final = 1024  # bytes of a request beside what it is about


class S3Vectors:
    """`vector_bucket` has all indexes; that it is there is asked only where an index is missing."""

    def __init__(self, provider_id: str, config: Config) -> None:
        """Nothing is imported or opened before the first call."""
        self._provider_id = provider_id
        self._config = config
        self._clients = AwsClients(config)
        self._signed: SignedJson | None = None
        arn = re.fullmatch(BUCKET_ARN, config.vector_bucket)
        self._bucket = arn[2] if arn else config.vector_bucket
        self._region = config.region_name or (arn[1] if arn else None)
        self._seen = False

    @property
    def capabilities(self) -> VectorCapabilities:
        return wire.CAPABILITIES

    def warm(self) -> None:
        """Import what the first call would wait for."""
        self._service.warm()

    async def create(self, index: VectorIndex) -> None:
        check_index(index, wire.CAPABILITIES)
        for _ in range(TRIES):
            if await self._try_to_create(index):
                return
            dimension = await self._dimension(index)
            if dimension is not None and dimension != index.dimension:
                raise Conflict(f"Vector store `{index.store_id}` is there already, with {dimension} dimensions.")
            if dimension is not None:
                return
        raise _being_removed(index)

    async def drop(self, index: VectorIndex) -> None:
        await self._post_unless_missing("DeleteIndex", self._names(index))

    async def put(self, index: VectorIndex, chunks: Sequence[Chunk]) -> None:
        for vectors in wire.print_vectors(index, chunks, wire.MOST_BODY - ENVELOPE):
            names = to_json(self._names(index))
            body = b'%s,"vectors":%s}' % (names[:-1], vectors)
            for _ in range(TRIES):
                try:
                    await self._post("PutVectors", body)
                    break
                except NotFound:
                    await self.create(index)
            else:
                raise _being_removed(index)

    async def fetch(self, index: VectorIndex, keys: Sequence[str], *, with_vectors: bool = False) -> list[Chunk]:
        rows = await self._rows(index, keys, returnMetadata=True, returnData=with_vectors)
        return [wire.read_chunk(rows[key]) for key in keys if key in rows]

    async def keys(self, index: VectorIndex, *, prefix: str = "", after: str = "", limit: int = 1000) -> KeyPage:
        """The service knows no prefixes: a page is what it lists, without the others."""
        body = (
            self._names(index) | {"maxResults": min(limit, wire.MOST_LISTED)} | ({"nextToken": after} if after else {})
        )
        page = await self._post_unless_missing("ListVectors", body)
        keys = [row["key"] for row in page.get("vectors") or ()]
        return KeyPage([key for key in keys if key.startswith(prefix)], page.get("nextToken") or "")

    async def delete(self, index: VectorIndex, keys: Sequence[str]) -> None:
        for batch in batched(dict.fromkeys(keys), wire.MOST_DELETED, strict=False):
            await self._post_unless_missing("DeleteVectors", self._names(index) | {"keys": batch})

    async def search(self, index: VectorIndex, query: VectorQuery) -> list[ScoredChunk]:
        """A text of more than 1,024 characters is cut, which is the most that the service searches for."""
        printed = wire.print_query(index, query)
        if printed is None:
            return []
        body, rows = self._names(index) | printed, list[JsonObject]()
        while True:
            page = await self._post_unless_missing("QueryVectors", body)
            rows += page.get("vectors") or ()
            if len(rows) >= query.limit or not page.get("nextToken") or not page.get("vectors"):
                break
            body["nextToken"] = page["nextToken"]
        with translate_errors(self._provider_id):
            scored = [wire.read_scored(row) for row in rows[: query.limit]]
        if query.vector is None:  # only what has one of the words
            scored = [one for one in scored if one.score > 0]
        return await self._with_vectors(index, scored) if query.with_vectors else scored

    async def health(self) -> Health:
        from core.providers.aws.overview_health import health_by_rights  # late: few calls look

        return await health_by_rights(self._check_bucket(), has_own=self._config.has_own_identity)

    async def close(self) -> None:
        if self._signed is not None:
            await self._signed.close()
        await self._clients.close()

    @property
    def _service(self) -> "SignedJson":
        if self._signed is None:
            from core.platform.signed_json import SignedJson

            options = call_options(self._config, self._region, tries=ATTEMPTS)
            self._signed = SignedJson(SERVICE, self._clients, options)
        return self._signed

    def _names(self, index: VectorIndex) -> JsonObject:
        name = wire.index_name(self._config.index_prefix, index.name)
        return {"vectorBucketName": self._bucket, "indexName": name}

    async def _post(self, operation: str, body: JsonObject | bytes) -> JsonObject:
        with translate_errors(self._provider_id):
            return await self._service.post(operation, body if isinstance(body, bytes) else to_json(body))

    async def _post_unless_missing(self, operation: str, body: JsonObject) -> JsonObject:
        """Empty where there is no such index; raises ProviderUnavailable where the vector bucket is missing."""
        try:
            return await self._post(operation, body)
        except NotFound:
            if not self._seen:
                await self._check_bucket()
            return {}

    async def _check_bucket(self) -> None:
        """Raises ProviderUnavailable, with what makes it, where it is missing."""
        try:
            await self._post("GetVectorBucket", {"vectorBucketName": self._bucket})
        except NotFound as missing:
            raise await self._no_bucket() from missing
        self._seen = True

    async def _no_bucket(self) -> ProviderUnavailable:
        with translate_errors(self._provider_id):
            region = await self._service.region()
        return ProviderUnavailable(
            f"Provider `{self._provider_id}` has no vector bucket `{self._bucket}` in {region}. Make it: "
            f"aws s3vectors create-vector-bucket --vector-bucket-name {self._bucket} --region {region}"
        )

    async def _try_to_create(self, index: VectorIndex) -> bool:
        """False where it is there, which another may have made a moment ago."""
        body = to_json(self._names(index) | wire.print_index(self._config, index.dimension))
        from botocore.exceptions import ClientError

        try:
            with translate_errors(self._provider_id):
                try:
                    await self._service.post("CreateIndex", body)
                except ClientError as refusal:
                    if code_of(refusal) == "ConflictException":
                        return False
                    raise
        except NotFound as missing:
            raise await self._no_bucket() from missing
        return True

    async def _dimension(self, index: VectorIndex) -> int | None:
        """None where it is gone by now."""
        answer = await self._post_unless_missing("GetIndex", self._names(index))
        return int(answer["index"]["dimension"]) if "index" in answer else None

    async def _rows(self, index: VectorIndex, keys: Iterable[str], **what: bool) -> dict[str, JsonObject]:
        """The vectors with these keys that are there, by key."""
        rows: list[JsonObject] = []
        for batch in batched(dict.fromkeys(keys), wire.MOST_FETCHED, strict=False):
            answer = await self._post_unless_missing("GetVectors", self._names(index) | {"keys": batch} | what)
            rows += answer.get("vectors") or ()
        return {row["key"]: row for row in rows}

    async def _with_vectors(self, index: VectorIndex, scored: list[ScoredChunk]) -> list[ScoredChunk]:
        """What QueryVectors does not answer; of what was deleted meanwhile, nothing."""
        rows = await self._rows(index, (one.chunk.key for one in scored), returnData=True)
        return [
            replace(one, chunk=replace(one.chunk, vector=wire.read_chunk(rows[one.chunk.key]).vector))
            for one in scored
            if one.chunk.key in rows
        ]


def _being_removed(index: VectorIndex) -> ProviderUnavailable:
    return ProviderUnavailable(f"The index of vector store `{index.store_id}` is being removed. Try again in a moment.")


def connect(provider_id: str, config: Config, deps: Mapping[str, Any]) -> VectorIOProvider:
    """A provider over the indexes of one vector bucket; it depends on no other API."""
    del deps
    return S3Vectors(provider_id, config)
