"""Chunks as rows of a store's table, and rows as chunks. PostgreSQL's texts have no NUL: two characters are in its place."""

from array import array
from base64 import b64decode
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite, sumprod
import re
import sys
from typing import Any, Final

from pydantic_core import from_json, to_json

from core.apis.vector_checks import check_chunk, print_attributes, to_float32
from core.apis.vector_filters import EXACT, Scalar, number_of
from core.apis.vector_io import Chunk, ScoredChunk, Vector, VectorCapabilities, VectorIndex
from core.apis.vector_words import searched_words, spaced_words
from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.providers.pgvector.database import Room, Row

NUL: Final = "\x00"
ESCAPE: Final = "\x10"
ESCAPED_NUL: Final = ESCAPE + "\x11"
ESCAPED_ESCAPE: Final = ESCAPE + "\x12"
MOST_INDEXED: Final = 150_000  # characters of a text whose words are found: a tsvector has at most 1 MB
MOST_ROWS: Final = 500  # of a statement: an index takes milliseconds for each
MOST_WORD: Final = 2046  # bytes
COLUMNS: Final = 8  # of a chunk and its score; others may follow
ODD: Final = re.compile(r"\\u0010|[0-9]{16}|: (?:[\[{]|null)")
"""In JSON of PostgreSQL: an escape, a number that a float may not have, or a value that is no Scalar; in a text it says nothing."""
HEADER: Final = 4  # bytes before the numbers of a vector, as PostgreSQL sends it
SHORT: Final = 1e-30  # squares of lengths: between these, all numbers are finite as 32-bit floats, and some are not 0
LONG: Final = 1e60


def escape(text: str) -> str:
    """The text without NUL, another for each."""
    if NUL not in text and ESCAPE not in text:
        return text
    return text.replace(ESCAPE, ESCAPED_ESCAPE).replace(NUL, ESCAPED_NUL)


def unescape(text: str) -> str:
    return text.replace(ESCAPED_NUL, NUL).replace(ESCAPED_ESCAPE, ESCAPE) if ESCAPE in text else text


def escape_value(value: Scalar) -> Scalar:
    """A number is as a 64-bit float has it."""
    if isinstance(value, str):
        return escape(value)
    return value if isinstance(value, bool) else number_of(value)


def print_chunks(
    index: VectorIndex, chunks: Sequence[Chunk], capabilities: VectorCapabilities, room: Room
) -> list[str]:
    """Lists of rows as JSON, of at most 500, none larger than there is room for; of equal keys the last chunk counts.

    Raises:
        InvalidRequest: one cannot be kept.
    """
    batches: list[list[bytes]] = [[]]
    size = 0
    for chunk in {chunk.key: chunk for chunk in chunks}.values():
        check_chunk(index, chunk)
        attributes = print_attributes(chunk.key, chunk.attributes, capabilities)
        row = to_json(_to_row(chunk))
        texts = sum(len(text.encode()) for text in (chunk.text, chunk.metadata, chunk.source, chunk.filename))
        texts += len(attributes) + 6 * index.dimension  # 4 bytes a number, as base64
        if len(row) > room.values or texts > room.row:
            raise InvalidRequest(
                f"The chunk `{chunk.key}` has {texts} bytes of text, metadata and vector, of at most {room.row} "
                f"that are kept together here: make smaller chunks."
            )
        if len(batches[-1]) == MOST_ROWS or (batches[-1] and size + len(row) > room.values):
            batches.append([])
            size = 0
        batches[-1].append(row)
        size += len(row) + 1
    return [f"[{b','.join(batch).decode()}]" for batch in batches if batch]


def _to_row(chunk: Chunk) -> JsonObject:
    return {
        "key": escape(chunk.key),
        "embedding": check_numbers(chunk.vector),
        "attributes": {escape(name): escape_value(value) for name, value in chunk.attributes.items()},
        "metadata": escape(chunk.metadata),
        "source": escape(chunk.source),
        "filename": escape(chunk.filename),
        "text": escape(chunk.text),
        "words": spaced_words(chunk.text)[:MOST_INDEXED],
    }


def check_numbers(vector: Vector) -> list[float]:
    """The numbers of a vector, which has a direction: that of zeros has no cosine with anything.

    Raises:
        InvalidRequest: it is all zeros, or not finite as 32-bit floats.
    """
    usual = SHORT < sumprod(vector, vector) < LONG  # no look at each: NaN is in no such sum
    if not usual and not any(to_float32(vector)):
        raise InvalidRequest(
            "A vector of zeros has no direction, and pgvector does not find it: the embedding model made nothing of its text.",
            param="vector",
        )
    return list(vector)


def print_vector(vector: Vector) -> str:
    return to_json(check_numbers(vector)).decode()


def print_words(text: str) -> str:
    """A search for any of the words, in the language of `websearch_to_tsquery`: each is in quotes. "" where there is none."""
    words = searched_words(text)
    if len(text) > MOST_WORD // 4:
        words = [word for word in words if len(word.encode()) <= MOST_WORD]
    return f'"{'" or "'.join(words)}"' if words else ""


def read_scored(rows: Sequence[Row], rest: Mapping[str, Chunk]) -> list[ScoredChunk]:
    """The rows of a search; the chunk of one that has nothing but a score is in `rest`, or gone.

    A score that is none, of what others have written, is 0.
    """
    scored: list[ScoredChunk] = []
    documents = _read_attributes([row[3] or "{}" for row in rows])
    for row, attributes in zip(rows, documents, strict=True):
        key, score, text, _, metadata, source, filename, vector = row[:COLUMNS]
        score = float(score)
        if not 0 <= score <= 1:
            score = min(1.0, max(0.0, score)) if isfinite(score) else 0.0
        if text is None:
            chunk = rest.get(unescape(key))
        else:
            if ESCAPE in f"{key}{text}{metadata}{source}{filename}":
                key, text, metadata, source, filename = map(unescape, (key, text, metadata, source, filename))
            chunk = Chunk(key, text, _read_vector(vector) if vector else (), attributes, metadata, source, filename)
        if chunk is not None:
            scored.append(ScoredChunk(chunk, score))
    return scored


def _read_attributes(texts: Iterable[str]) -> list[dict[str, Scalar]]:
    """At once: to look at each would take as long as to read it."""
    text = f"[{','.join(texts)}]"
    documents: list[dict[str, Any]] = from_json(text)
    if ODD.search(text) is None:
        return documents
    return [
        {
            unescape(name): _read_value(value)
            for name, value in attributes.items()
            if isinstance(value, str | int | float)  # others may write to the table too
        }
        for attributes in documents
    ]


def _read_value(value: Scalar) -> Scalar:
    """PostgreSQL prints 1e300 with all its zeros, which Python takes for a whole number."""
    if isinstance(value, str):
        return unescape(value)
    return float(value) if isinstance(value, int) and not -EXACT <= value <= EXACT else value


def _read_vector(text: str) -> tuple[float, ...]:
    """Of its binary form in base64: two numbers of 16 bits, then big-endian floats."""
    numbers = array("f", b64decode(text)[HEADER:])
    if sys.byteorder == "little":
        numbers.byteswap()
    return tuple(numbers)
