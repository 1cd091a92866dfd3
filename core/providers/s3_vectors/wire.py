"""Chunks, indexes and queries as S3 Vectors has them, and its answers as scored chunks; nothing here asks it.

A chunk's text, source, filename and metadata are in keys of ours, which are not filtered by; its attributes in keys of their
own (`filters.key_of`), which are.
Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/API_S3VectorBuckets_QueryVectors.html, API_S3VectorBuckets_PutVectors.html,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-vectors-limitations.html.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from pydantic_core import to_json

from core.apis.vector_checks import check_chunk, check_query, print_attributes, to_float32
from core.apis.vector_io import Chunk, ScoredChunk, Vector, VectorCapabilities, VectorIndex, VectorQuery
from core.apis.vector_keys import attribute_of, digest_name
from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.providers.s3_vectors.config import Config
from core.providers.s3_vectors.filters import name_attributes, print_filter

TEXT, SOURCE, FILENAME, METADATA = "_text", "_source", "_filename", "_metadata"
OURS: Final = (TEXT, SOURCE, FILENAME, METADATA)
MOST_METADATA: Final = 40 * 1024  # bytes, of all that a vector has
MOST_KEYS: Final = 50
MOST_BODY: Final = 20 * 1024 * 1024  # bytes
MOST_PUT, MOST_DELETED, MOST_FETCHED, MOST_LISTED = 500, 500, 100, 1000
MOST_TEXT: Final = 1024  # characters of a query
RANK_CONSTANT: Final = 60
MOST_FUSED: Final = 2 / (RANK_CONSTANT + 1)  # of what is the first by its vector and by its text
CAPABILITIES: Final = VectorCapabilities(keyword=True, hybrid=True, most_results=1000, listing=True)


def index_name(prefix: str, name: str) -> str:
    """Of 3 to 63 of a-z, 0-9, `.` and `-`: what can be read of the store's name, and 160 bits of a digest of it."""
    return f"{prefix}{digest_name(name)}"


def print_index(config: Config, dimension: int) -> JsonObject:
    """What CreateIndex takes beside the names."""
    search: JsonObject = {"metadataKey": TEXT}
    if config.language != "standard":
        search["language"] = config.language
    index: JsonObject = {
        "dataType": "float32",
        "dimension": dimension,
        "distanceMetric": "cosine",
        "metadataConfiguration": {"nonFilterableMetadataKeys": list(OURS), "textSearchConfigurations": [search]},
    }
    if config.kms_key_id:
        index["encryptionConfiguration"] = {"sseType": "aws:kms", "kmsKeyArn": config.kms_key_id}
    return index


def print_vectors(index: VectorIndex, chunks: Iterable[Chunk], room: int) -> Iterator[bytes]:
    """The lists of PutVectors as JSON, each of at most 500 vectors and `room` bytes; of equal keys the last counts.

    Raises:
        InvalidRequest: a chunk's vector has another dimension, or its attributes or texts are too large.
    """
    batch, size = list[bytes](), 2
    # All of them first, so that nothing is put of what is refused.
    for vector in [_print_vector(index, chunk) for chunk in {chunk.key: chunk for chunk in chunks}.values()]:
        if batch and (len(batch) == MOST_PUT or size + len(vector) + 1 > room):
            yield b"[%s]" % b",".join(batch)
            batch, size = [], 2
        batch.append(vector)
        size += len(vector) + 1
    if batch:
        yield b"[%s]" % b",".join(batch)


def _print_vector(index: VectorIndex, chunk: Chunk) -> bytes:
    check_chunk(index, chunk)
    attributes = name_attributes(chunk.attributes)
    print_attributes(chunk.key, attributes, CAPABILITIES)
    texts = {TEXT: chunk.text, SOURCE: chunk.source, FILENAME: chunk.filename, METADATA: chunk.metadata}
    metadata = to_json(attributes | {key: text for key, text in texts.items() if text})
    if len(metadata) > MOST_METADATA or len(attributes) + len(OURS) > MOST_KEYS:
        raise InvalidRequest(
            f"`{chunk.key}` has {len(metadata)} bytes of text and metadata, of at most {MOST_METADATA} that S3 Vectors keeps with "
            f"a vector, and {len(attributes)} attributes, of at most {MOST_KEYS - len(OURS)}: make smaller chunks."
        )
    key = to_json(chunk.key)
    return b'{"key":%s,"data":{"float32":%s},"metadata":%s}' % (key, to_json(_numbers(chunk.vector)), metadata)


def _numbers(vector: Vector) -> list[float]:
    """As float32 has them, which the service makes of other numbers; it refuses a vector without a direction."""
    numbers = to_float32(vector).tolist()
    if not any(numbers):
        raise InvalidRequest(
            "A vector of zeros has no direction, and S3 Vectors does not take it: the embedding model made nothing of its text.",
            param="vector",
        )
    return numbers


def print_query(index: VectorIndex, query: VectorQuery) -> JsonObject | None:
    """What QueryVectors takes beside the names; None where nothing can be found.

    Raises:
        InvalidRequest: the query is not of its capabilities, or its vector has another dimension.
    """
    check_query(index, query, CAPABILITIES)
    text = cut_text(query.text or "")
    if query.limit < 1 or (query.vector is None and not text):
        return None
    body: JsonObject = {"topK": query.limit, "returnMetadata": True}
    if query.vector is not None:
        body["queryVector"] = {"float32": _numbers(query.vector)}
        body["returnDistance"] = True
    if text:
        body["queryTexts"] = [{"metadataKey": TEXT, "text": text}]
        body["returnScores"] = True
    if query.filter is not None:
        body["filter"] = print_filter(query.filter)
    return body


def cut_text(text: str) -> str:
    """At most 1,024 characters of it, cut after a word where there is one to cut after."""
    text = _clean(text[: MOST_TEXT + 1]).strip()
    if len(text) <= MOST_TEXT:
        return text
    words = text[: MOST_TEXT + 1].rsplit(maxsplit=1)
    return (words[0] if len(words) > 1 else text)[:MOST_TEXT]


def _clean(text: str) -> str:
    """What UTF-8 can hold of it."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def read_scored(row: JsonObject) -> ScoredChunk:
    """A row of QueryVectors; what has other scores than expected has the score 0."""
    return ScoredChunk(read_chunk(row), min(1.0, max(0.0, _score(row))))


def _score(row: JsonObject) -> float:
    scores: JsonObject = row.get("scores") or {}
    if "fused" in scores:
        return float(scores["fused"]) / MOST_FUSED
    if "distance" in row:
        return 1 - float(row["distance"])
    bm25 = sum(float(one["score"]) for one in scores.get("bm25Scores") or ())
    return bm25 / (1 + bm25) if bm25 > 0 else 0.0


def read_chunk(row: JsonObject) -> Chunk:
    """A vector of GetVectors or QueryVectors."""
    metadata: dict[str, Any] = row.get("metadata") or {}
    data: JsonObject = row.get("data") or {}
    return Chunk(
        key=row["key"],
        text=metadata.get(TEXT, ""),
        vector=tuple(data.get("float32") or ()),
        attributes={
            attribute_of(key): value
            for key, value in metadata.items()
            if key not in OURS and isinstance(value, str | int | float)  # others may write lists to the index too
        },
        metadata=metadata.get(METADATA, ""),
        source=metadata.get(SOURCE, ""),
        filename=metadata.get(FILENAME, ""),
    )
