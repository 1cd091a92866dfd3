"""Chunks, collections and queries as Chroma has them, and its answers as chunks; nothing here asks it.

A chunk's text is its document; its source, filename and metadata are under keys of ours, its attributes under keys of their own
(`core.apis.vector_keys`): a server was seen to end its writing for good over a key of its own, `chroma:document`, that had a number.
Numbers are floats, which Chroma compares with floats and with integers alike.
Source: the OpenAPI document that a server of 1.5.9 answers at /openapi.json.
"""

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
import json
from math import hypot, sumprod
import re
from typing import Any, Final
from uuid import UUID

from pydantic_core import to_json

from core.apis.vector_checks import check_chunk, check_query, print_attributes, to_float32
from core.apis.vector_filters import EXACT, Combination, Filter, Scalar
from core.apis.vector_io import Chunk, ScoredChunk, VectorCapabilities, VectorIndex, VectorQuery
from core.apis.vector_keys import attribute_of, digest_name, flatten, key_of
from core.errors import ApiError, Conflict, NotFound, ProviderUnavailable, UpstreamFailed
from core.frame.types import JsonObject
from core.platform.json_values import to_object

CAPABILITIES: Final = VectorCapabilities(most_results=1000, filtered_bytes=16_384, listing=True)
"""Chroma finds texts that contain another and does not rank them, so words are not searched for."""
MOST_RECORDS: Final = 300  # of one call: the most of Chroma's cloud
MOST_BODY: Final = 16 * 1024 * 1024  # bytes; a server takes 40 MB
SOURCE, FILENAME, METADATA = "_source", "_filename", "_metadata"
OURS: Final = (SOURCE, FILENAME, METADATA)
COLUMNS: Final = ("ids", "distances", "documents", "metadatas", "embeddings")  # of an answer
DIMENSION: Final = "dimension"  # of a collection's metadata: Chroma itself knows it from the first vector on
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,510}[A-Za-z0-9]")
OTHER_DIMENSION: Final = re.compile(r"expecting embedding with dimension of (\d+), got (\d+)")
HNSW: Final[JsonObject] = {"space": "cosine", "ef_construction": 200, "ef_search": 400, "max_neighbors": 32}
CHANGED: Final = "Somebody else has changed it: make another store, and add the files to that."

UNREADY: Final = re.compile(r"Nothing found on disk|Missing \w+ segment")
"""What a call is told while others put the first record into the collection, or remove it."""
UNREADY_CODE: Final = "collection_unready"

type Where = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Record:
    """`vector` is the bytes of 32-bit floats."""

    key: str
    vector: bytes
    text: str
    metadata: dict[str, Scalar]

    @property
    def size(self) -> int:
        """Of it as JSON, about, and not less."""
        return 2 * (len(self.vector) + len(to_json(self.metadata)) + len(self.key)) + len(to_json(self.text))


def collection_name(name: str) -> str:
    """The name itself where Chroma takes it, else what can be read of it and 160 bits of a digest."""
    return name if NAME.fullmatch(name) else digest_name(name)


def print_collection(index: VectorIndex) -> JsonObject:
    return {
        "name": collection_name(index.name),
        "get_or_create": True,
        "metadata": {DIMENSION: index.dimension},
        "configuration": {"hnsw": HNSW},
    }


def read_collection(index: VectorIndex, answer: object) -> str:
    """Its id; raises Conflict for one that has vectors of another dimension, or measures them in another way."""
    collection = to_object(answer)
    metadata, configuration = to_object(collection.get("metadata")), to_object(collection.get("configuration_json"))
    dimension = collection.get("dimension") or metadata.get(DIMENSION)
    if dimension not in (None, index.dimension):
        raise _other_dimension(dimension, index.dimension)
    spaces = {to_object(configuration.get(kind)).get("space") for kind in ("hnsw", "spann")} - {None, "cosine"}
    if spaces:
        raise Conflict(
            f"The collection `{collection.get('name')}` of Chroma measures vectors by `{spaces.pop()}`, and a vector store by `cosine`. "
            "Make another store, or name another collection."
        )
    return str(UUID(collection["id"]))  # it becomes a part of URLs


def _other_dimension(dimension: object, expected: object) -> Conflict:
    return Conflict(
        f"The collection of this vector store has vectors of {dimension} dimensions in Chroma, and the store of {expected}. {CHANGED}"
    )


def print_records(index: VectorIndex, chunks: Sequence[Chunk]) -> list[Record]:
    """Of equal keys the last chunk counts.

    Raises:
        InvalidRequest: a chunk's vector has another dimension, or what it has cannot be kept.
    """
    return [_print_record(index, chunk) for chunk in {chunk.key: chunk for chunk in chunks}.values()]


def _print_record(index: VectorIndex, chunk: Chunk) -> Record:
    check_chunk(index, chunk)
    print_attributes(chunk.key, chunk.attributes, CAPABILITIES)
    attributes = {key_of(name): _stored(value) for name, value in chunk.attributes.items()}
    ours: dict[str, Scalar] = {SOURCE: chunk.source, FILENAME: chunk.filename, METADATA: chunk.metadata}
    metadata = attributes | {name: text for name, text in ours.items() if text}  # each is a row of Chroma's
    return Record(chunk.key, to_float32(chunk.vector).tobytes(), chunk.text, metadata)


def _stored(value: Scalar) -> Scalar:
    return value if isinstance(value, str | bool) else float(value)


def batches(records: Sequence[Record], most: int) -> Iterator[list[Record]]:
    """At most so many at once, and so many bytes."""
    batch, size = list[Record](), 0
    for record in records:
        more = record.size
        if batch and (len(batch) == most or size + more > MOST_BODY):
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += more
    if batch:
        yield batch


def print_upsert(batch: Sequence[Record], before: Mapping[str, JsonObject], *, base64: bool) -> bytes:
    """`before` is the metadata that records have by now: Chroma leaves what it is not told to remove, which null does."""
    return to_json(
        {
            "ids": [record.key for record in batch],
            "embeddings": [
                b64encode(record.vector).decode() if base64 else memoryview(record.vector).cast("f").tolist()
                for record in batch
            ],
            "documents": [record.text for record in batch],
            "metadatas": [dict.fromkeys(before.get(record.key, ())) | record.metadata or None for record in batch],
        }
    )


def print_query(index: VectorIndex, query: VectorQuery) -> bytes | None:
    """None where nothing can be found.

    Raises:
        InvalidRequest: the query is not of its capabilities, or its vector has another dimension.
    """
    check_query(index, query, CAPABILITIES)
    if query.limit < 1 or query.vector is None:
        return None
    body: JsonObject = {
        "query_embeddings": [to_float32(query.vector).tolist()],
        "n_results": query.limit,
        "include": ["distances", "documents", "metadatas", *(["embeddings"] if query.with_vectors else [])],
    }
    if query.filter is not None:
        body["where"] = print_where(query.filter)
    return to_json(body)


def print_where(tree: Filter) -> Where:
    """The filter in Chroma's language, whose lists have values of one type alone."""
    if isinstance(tree, Combination):
        return _combine(tree.operator, [print_where(part) for part in flatten(tree)])
    key = key_of(tree.key)
    if not isinstance(tree.value, tuple):
        return {key: {f"${tree.operator}": _stored(tree.value)}}
    groups: dict[type, list[Scalar]] = {}
    for value in map(_stored, tree.value):
        groups.setdefault(type(value), []).append(value)
    return _combine(
        "or" if tree.operator == "in" else "and", [{key: {f"${tree.operator}": group}} for group in groups.values()]
    )


def _combine(operator: str, parts: list[Where]) -> Where:
    return parts[0] if len(parts) == 1 else {f"${operator}": parts}


def read_scored(answer: object) -> list[ScoredChunk]:
    """Of the one query; raises ValueError for an answer of another shape, or with a distance that is no number."""
    columns = to_object(answer)
    one: JsonObject = {name: columns[name][0] for name in COLUMNS if columns.get(name) is not None}
    distances: list[float] = one["distances"]
    chunks = read_chunks(one)
    return [ScoredChunk(chunk, _bound(1 - float(distance))) for chunk, distance in zip(chunks, distances, strict=True)]


def score(chunk: Chunk, query: VectorQuery) -> ScoredChunk:
    """As Chroma would; a vector of zeros is near to nothing."""
    vector = query.vector or ()
    norms = hypot(*vector) * hypot(*chunk.vector)
    cosine = sumprod(vector, chunk.vector) / norms if norms else 0.0
    return ScoredChunk(chunk if query.with_vectors else replace(chunk, vector=()), _bound(cosine))


def _bound(cosine: float) -> float:
    return min(1.0, max(0.0, cosine))


def read_chunks(answer: object) -> list[Chunk]:
    """Raises ValueError for an answer of another shape."""
    columns = to_object(answer)
    keys: list[str] = columns["ids"]
    values = (columns.get(name) for name in ("documents", "metadatas", "embeddings"))
    rows = zip(keys, *([None] * len(keys) if column is None else column for column in values), strict=True)
    return [_read_chunk(*row) for row in rows]


def _read_chunk(key: str, text: str | None, metadata: JsonObject | None, vector: list[float] | None) -> Chunk:
    metadata = metadata or {}
    return Chunk(
        key,
        text or "",
        tuple(vector or ()),
        {
            attribute_of(name): _read(value)
            for name, value in metadata.items()
            if name not in OURS and isinstance(value, str | int | float)  # others may write lists to it too
        },
        *(str(metadata.get(name) or "") for name in (METADATA, SOURCE, FILENAME)),
    )


def _read(value: Scalar) -> Scalar:
    """A whole number was one when it was put, or is the same as one."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) <= EXACT else value


def judge(provider_id: str, status: int, content: bytes) -> ApiError | None:
    """What Chroma's own errors mean; None of others."""
    try:
        body = to_object(json.loads(content))
    except ValueError:
        return None
    message = str(body.get("message"))
    if match := OTHER_DIMENSION.search(message):
        return _other_dimension(*match.groups())
    if message.startswith(("Database [", "Tenant [")):
        return ProviderUnavailable(
            f"Provider `{provider_id}` has no such tenant or database: correct `tenant` and `database` of its config, or make them "
            "(POST /api/v2/tenants/TENANT/databases with a name)."
        )
    if UNREADY.search(message):
        message = f"Provider `{provider_id}` is making the collection, or removing it. Try again in a moment."
        return ProviderUnavailable(message).quote(code=UNREADY_CODE)
    if (status, body.get("error")) == (404, "NotFoundError"):
        return NotFound(f"Provider `{provider_id}` has no such collection.")
    return None


def unreadable(provider_id: str) -> UpstreamFailed:
    return UpstreamFailed(
        f"Provider `{provider_id}` did not answer as Chroma does: check that its url is that of a Chroma of 1.0 or newer."
    )
