"""Chunks, collections and queries as Qdrant has them, and its answers as chunks; nothing here asks it.

A point's id is a UUID that is made of the chunk's key. Its payload has the chunk's texts under keys of ours, the attributes under keys of their own
(`core.apis.vector_keys`), and the length of the vector, which Qdrant makes one of.
Source: https://github.com/qdrant/qdrant/blob/master/docs/redoc/v1.19.x/openapi.json.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256
import json
from math import hypot, isfinite
import re
from typing import Any, Final
from uuid import UUID

from pydantic_core import to_json

from core.apis.vector_checks import check_chunk, check_query, print_attributes, to_float32
from core.apis.vector_filters import Combination, Comparison, Filter, Scalar, number_of
from core.apis.vector_io import Chunk, ScoredChunk, VectorCapabilities, VectorIndex, VectorQuery
from core.apis.vector_keys import attribute_of, digest_name, flatten, key_of
from core.errors import ApiError, Conflict, NotFound, UpstreamFailed
from core.frame.types import JsonObject
from core.platform.json_values import to_object

CAPABILITIES: Final = VectorCapabilities(most_results=1000, filtered_bytes=16_384, listing=True)
"""How Qdrant ranks by words (sparse vectors, made by it) nobody has seen here, so words are not searched for."""
MOST_POINTS: Final = 300  # of one call
MOST_BODY: Final = 16 * 1024 * 1024  # bytes: a server takes 32 MB
KEY, TEXT, SOURCE, FILENAME, METADATA, NORM = "_key", "_text", "_source", "_filename", "_metadata", "_norm"
OURS: Final = frozenset({KEY, TEXT, SOURCE, FILENAME, METADATA, NORM})
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,200}")
OTHER_DIMENSION: Final = re.compile(r"expected dim: (\d+), got (\d+)")
THERE_CODE: Final = "collection_there"


def collection_name(name: str) -> str:
    """The name itself where it is plain, else what can be read of it and a digest."""
    return name if NAME.fullmatch(name) else digest_name(name)


def point_id(key: str) -> str:
    return str(UUID(bytes=sha256(key.encode()).digest()[:16]))


def print_collection(index: VectorIndex) -> bytes:
    return to_json({"vectors": {"size": index.dimension, "distance": "Cosine"}})


def check_collection(index: VectorIndex, answer: object) -> None:
    """Raise Conflict for a collection that has vectors of another dimension, or measures them in another way."""
    vectors: Any = answer
    for name in ("result", "config", "params", "vectors"):
        vectors = to_object(vectors).get(name)
    size, distance = to_object(vectors).get("size"), to_object(vectors).get("distance")
    if size != index.dimension:
        raise _other_dimension(size, index.dimension)
    if distance != "Cosine":
        raise Conflict(
            f"The collection of vector store `{index.store_id}` measures vectors by `{distance}` in Qdrant, and a vector store by `Cosine`. "
            "Make another store, or name another collection."
        )


def _other_dimension(dimension: object, expected: object) -> Conflict:
    return Conflict(
        f"The collection of this vector store has vectors of {dimension} dimensions in Qdrant, and the store of {expected}. Somebody else "
        "has changed it: make another store, and add the files to that."
    )


def print_points(index: VectorIndex, chunks: Sequence[Chunk]) -> list[bytes]:
    """The bodies of as many calls as they need; of equal keys the last chunk counts. Raises InvalidRequest before any is made."""
    points = [_print_point(index, chunk) for chunk in {chunk.key: chunk for chunk in chunks}.values()]
    return [b'{"points":[%s]}' % b",".join(batch) for batch in _batches(points)]


def _batches(points: Sequence[bytes]) -> Iterator[list[bytes]]:
    batch, size = list[bytes](), 0
    for point in points:
        if batch and (len(batch) == MOST_POINTS or size + len(point) > MOST_BODY):
            yield batch
            batch, size = [], 0
        batch.append(point)
        size += len(point) + 1
    if batch:
        yield batch


def _print_point(index: VectorIndex, chunk: Chunk) -> bytes:
    check_chunk(index, chunk)
    print_attributes(chunk.key, chunk.attributes, CAPABILITIES)
    vector = to_float32(chunk.vector).tolist()
    attributes = {key_of(name): _stored(value) for name, value in chunk.attributes.items()}
    texts = {KEY: chunk.key, TEXT: chunk.text, SOURCE: chunk.source, FILENAME: chunk.filename, METADATA: chunk.metadata}
    payload: JsonObject = {**attributes, **texts, NORM: hypot(*vector)}
    return to_json({"id": point_id(chunk.key), "vector": vector, "payload": payload})


def _stored(value: Scalar) -> Scalar:
    return value if isinstance(value, str | bool) else number_of(value)


def print_query(index: VectorIndex, query: VectorQuery) -> bytes | None:
    """None where nothing can be found. Raises InvalidRequest for a query that is not of its capabilities."""
    check_query(index, query, CAPABILITIES)
    if query.limit < 1 or query.vector is None:
        return None
    body: JsonObject = {
        "query": to_float32(query.vector).tolist(),
        "limit": query.limit,
        "with_payload": True,
        "with_vector": query.with_vectors,
    }
    if query.filter is not None:
        body["filter"] = {"must": [print_condition(query.filter)]}
    return to_json(body)


def print_condition(tree: Filter) -> JsonObject:
    """The filter in Qdrant's language, in which numbers are matched by ranges, and what must not be holds where there is no such key."""
    if isinstance(tree, Combination):
        return {"must" if tree.operator == "and" else "should": [print_condition(part) for part in flatten(tree)]}
    key = key_of(tree.key)
    match tree.operator:
        case "eq" | "in":
            return {"should": _matches(key, tree)}
        case "ne" | "nin":
            return {"must_not": _matches(key, tree)}
        case order:
            return {"key": key, "range": {order: tree.value}}


def _matches(key: str, comparison: Comparison) -> list[JsonObject]:
    values = comparison.value if isinstance(comparison.value, tuple) else (comparison.value,)
    texts = list(dict.fromkeys(value for value in values if isinstance(value, str)))
    flags = list(dict.fromkeys(value for value in values if isinstance(value, bool)))
    numbers = [value for value in values if not isinstance(value, str | bool)]
    return [
        *({"key": key, "match": {"any": texts}} for _ in texts[:1]),
        *({"key": key, "match": {"value": flag}} for flag in flags),
        *({"key": key, "range": {"gte": number, "lte": number}} for number in numbers),
    ]


def read_scored(answer: object) -> list[ScoredChunk]:
    """Raises ValueError for an answer of another shape, or with a score that is no number."""
    points: list[JsonObject] = to_object(to_object(answer)["result"])["points"]
    scored = [ScoredChunk(read_chunk(point), float(point["score"])) for point in points]
    if not all(isfinite(one.score) for one in scored):
        raise ValueError("a score that is no number")
    return [ScoredChunk(one.chunk, min(1.0, max(0.0, one.score))) for one in scored]


def print_scroll(after: str, limit: int) -> bytes:
    """A page of the points by their ids, with the keys of their chunks; `after` is the id that it begins with, "" for the first."""
    body: JsonObject = {"limit": limit, "with_payload": [KEY], "with_vector": False}
    return to_json(body | ({"offset": after} if after else {}))


def read_keys(answer: object) -> tuple[list[str], str]:
    """The keys of a page, and the id that the next one begins with, "" for none."""
    result = to_object(to_object(answer)["result"])
    points: list[JsonObject] = result["points"]
    return [str(point["payload"][KEY]) for point in points], result.get("next_page_offset") or ""


def read_chunk(point: JsonObject) -> Chunk:
    payload, vector = to_object(point.get("payload")), point.get("vector") or ()
    norm = payload.get(NORM, 1.0)
    return Chunk(
        str(payload.get(KEY) or point["id"]),
        str(payload.get(TEXT) or ""),
        tuple(number * norm for number in vector),
        {
            attribute_of(name): value
            for name, value in payload.items()
            if name not in OURS and isinstance(value, str | int | float)  # others may write anything to it too
        },
        *(str(payload.get(name) or "") for name in (METADATA, SOURCE, FILENAME)),
    )


def judge(provider_id: str, status: int, content: bytes) -> ApiError | None:
    """What Qdrant's own errors mean; None of others."""
    try:
        message = str(to_object(to_object(json.loads(content)).get("status")).get("error") or "")
    except ValueError:
        return None
    if match := OTHER_DIMENSION.search(message):
        return _other_dimension(*match.groups())
    if "already exists" in message:
        return Conflict(message="The collection is there already.").quote(code=THERE_CODE)
    if status == 404 and message.startswith("Not found: Collection"):  # noqa: PLR2004 - HTTP
        return NotFound(f"Provider `{provider_id}` has no such collection.")
    return None


def unreadable(provider_id: str) -> UpstreamFailed:
    return UpstreamFailed(
        f"Provider `{provider_id}` did not answer as Qdrant does: check that its url is that of the REST API of a Qdrant of 1.10 or newer."
    )
