"""Chunks as the reference's providers keep them, and back; its scores as this stack has them.

A chunk's id there is made of its key: packages write ids into queries of their own. All that must come back is one text in its
metadata, since packages spell metadata in columns and fields; what of it has a plain name stands beside it, for who reads it there.
"""

from collections.abc import Mapping, Sequence
import math
import re
import time
from typing import Any, Final, cast
from uuid import NAMESPACE_URL, uuid5

from pydantic_core import from_json, to_json

from core.apis.vector_io import Chunk, ScoredChunk, Vector, VectorIndex
from core.frame.types import JsonObject
from core.platform.json_values import to_object
from core.resolution.external.reference.helpers import interleaved_content_as_str
from core.resolution.external.reference.records import Record, plain, record

OWN: Final = "llambda"
DOCUMENT: Final = "document_id"
OWN_FIELDS: Final = frozenset({"key", "source", "filename", "metadata", "attributes"})
PLAIN: Final = re.compile(r"[A-Za-z0-9_-]+")
CHUNK_FIELDS: Final = ("content", "chunk_id", "stored_chunk_id", "metadata", "chunk_metadata", "embedding")


def id_of(key: str) -> str:
    """The id of the chunk with this key, and of its document: 0.2's providers make ids of the document alone."""
    return str(uuid5(NAMESPACE_URL, key))


def to_record(index: VectorIndex, chunk: Chunk) -> Record:
    """The reference's Chunk, with the fields of all versions."""
    chunk_id = id_of(chunk.key)
    own = {
        "key": chunk.key,
        "source": chunk.source,
        "filename": chunk.filename,
        "metadata": chunk.metadata,
        "attributes": dict(chunk.attributes),
    }
    metadata: JsonObject = {name: value for name, value in chunk.attributes.items() if PLAIN.fullmatch(name)}
    metadata |= {DOCUMENT: chunk_id, "file_id": chunk.source, "filename": chunk.filename, OWN: to_json(own).decode()}
    about = {"chunk_id": chunk_id, DOCUMENT: chunk_id, "source": chunk.filename, "created_timestamp": int(time.time())}
    row: Record = record(
        "Chunk",
        content=chunk.text,
        chunk_id=chunk_id,
        stored_chunk_id=chunk_id,
        metadata=metadata,
        chunk_metadata=about,
        embedding=[float(number) for number in chunk.vector],
        embedding_model=index.embedding_model,
        embedding_dimension=index.dimension,
    )
    return row


def from_record(row: Any) -> Chunk:  # noqa: ANN401 - a Chunk of whatever version, or a mapping
    """With its vector, where it has one; of a chunk that somebody else has put there, what can be told."""
    fields = _fields(row, CHUNK_FIELDS)
    metadata, more = to_object(plain(fields["metadata"])), to_object(plain(fields["chunk_metadata"]))
    text, vector = interleaved_content_as_str(fields["content"]), _numbers(fields["embedding"])
    own = _read_own(metadata.get(OWN))
    if own is not None:
        return Chunk(own["key"], text, vector, own["attributes"], own["metadata"], own["source"], own["filename"])
    chunk_id = fields["chunk_id"] or fields["stored_chunk_id"] or more.get("chunk_id")
    source = str(metadata.get(DOCUMENT) or more.get(DOCUMENT) or chunk_id or "")
    scalars = {name: value for name, value in metadata.items() if isinstance(value, str | int | float | bool)}
    name = metadata.get("filename") or more.get("source") or ""
    return Chunk(str(chunk_id or id_of(f"{source}:{text}")), text, vector, scalars, "", source, str(name))


def _read_own(text: object) -> JsonObject | None:
    """None for what `to_record` has not written."""
    try:
        own = to_object(from_json(text)) if isinstance(text, str) else {}
    except ValueError:
        return None
    return own if own.keys() >= OWN_FIELDS else None


def to_scored(answer: Any, query: Vector | None) -> list[ScoredChunk]:  # noqa: ANN401 - a QueryChunksResponse
    """All chunks of an answer in its order, with their vectors, and scores from 0 to 1.

    Near a `query` the score is the cosine, where the package answers vectors. Else it is made of the package's own, whose
    order counts: a distance's inverse may be infinite, and 0.2's of words is the negative BM25.
    """
    fields = _fields(answer, ("chunks", "scores"))
    chunks = [from_record(row) for row in _items(fields["chunks"])]
    scores = [float(score) for score in _items(fields["scores"])]
    scores += [0.0] * (len(chunks) - len(scores))
    least, results = 1.0, list[ScoredChunk]()
    for chunk, score in zip(chunks, scores, strict=False):
        cosine = None if query is None else _cosine(query, chunk.vector)
        if cosine is None:
            strength = max(0.0, score) if query is not None else abs(score)
            least = min(least, _to_unit(strength))
        results.append(ScoredChunk(chunk, least if cosine is None else cosine))
    return results


def _to_unit(strength: float) -> float:
    if math.isnan(strength):
        return 0.0
    return 1.0 if math.isinf(strength) else strength / (1 + strength)


def _cosine(left: Vector, right: Vector) -> float | None:
    """None where one of them is not there, or has no direction."""
    lengths = math.hypot(*left) * math.hypot(*right) if len(left) == len(right) else 0.0
    return min(1.0, max(0.0, math.sumprod(left, right) / lengths)) if lengths else None


def _fields(value: Any, names: Sequence[str]) -> JsonObject:  # noqa: ANN401 - an object or a mapping
    if isinstance(value, Mapping):
        return {name: cast("Mapping[str, Any]", value).get(name) for name in names}
    return {name: getattr(value, name, None) for name in names}


def _items(value: Any) -> list[Any]:  # noqa: ANN401 - a list, an array of numpy's, or nothing
    return [] if value is None else list(value)


def _numbers(value: object) -> tuple[float, ...]:
    return tuple(float(number) for number in _items(value))
