"""What no provider of vector stores takes, in the same words for all of them: each function raises InvalidRequest."""

from array import array
from collections.abc import Mapping
from math import isfinite
from typing import Final

from pydantic_core import to_json

from core.apis.vector_filters import Scalar, number_of
from core.apis.vector_io import Chunk, Vector, VectorCapabilities, VectorIndex, VectorQuery
from core.errors import InvalidRequest

MOST_KEY: Final = 512  # characters


def check_index(index: VectorIndex, capabilities: VectorCapabilities) -> None:
    most = capabilities.most_dimensions
    if not 1 <= index.dimension <= most:
        raise InvalidRequest(
            f"Vectors have 1 to {most} dimensions here, not {index.dimension}: use another embedding model.",
            param="embedding_dimension",
        )


def check_chunk(index: VectorIndex, chunk: Chunk) -> None:
    """Its key, the length of its vector, and its texts; not its attributes, which providers spell each in their own way."""
    if not 0 < len(chunk.key) <= MOST_KEY or not chunk.key.isascii():
        raise InvalidRequest(f"The key of a chunk has 1 to {MOST_KEY} characters, all of ASCII.", param="chunk_id")
    check_length(index, chunk.vector)
    try:
        for text in (chunk.text, chunk.metadata, chunk.source, chunk.filename):
            text.encode()
    except UnicodeEncodeError as half:
        raise InvalidRequest(
            f"The chunk `{chunk.key}` has half of a surrogate pair in its text, which no UTF-8 can hold."
        ) from half


def check_length(index: VectorIndex, vector: Vector) -> None:
    if len(vector) != index.dimension:
        raise InvalidRequest(
            f"The vector has {len(vector)} dimensions, and those of this store have {index.dimension}. "
            "Use the embedding model that it was made with.",
            param="vector",
        )


def to_float32(vector: Vector) -> "array[float]":
    """The vector as 32-bit floats have it, which providers make of other numbers."""
    numbers = array("f", vector)
    if not isfinite(
        sum(numbers)
    ):  # 32-bit floats that are finite have a finite sum of 64 bits; NaN and infinities stay
        raise InvalidRequest("The numbers of a vector must be finite, as 32-bit floats.", param="vector")
    return numbers


def check_query(index: VectorIndex, query: VectorQuery, capabilities: VectorCapabilities) -> None:
    if query.vector is None and query.text is None:
        raise InvalidRequest("A search needs a vector, a text or both.", param="query")
    by_words = capabilities.embeds or (capabilities.keyword if query.vector is None else capabilities.hybrid)
    if query.text is not None and not by_words:
        raise InvalidRequest("This vector store is searched by vector alone, not by words.", param="search_mode")
    if query.limit > capabilities.most_results:
        raise InvalidRequest(f"A search has at most {capabilities.most_results} results.", param="max_num_results")
    if query.vector is not None:
        check_length(index, query.vector)


def print_attributes(key: str, attributes: Mapping[str, Scalar], capabilities: VectorCapabilities) -> bytes:
    """The attributes of the chunk with this key as JSON, as the provider spells and counts them."""
    try:
        for value in attributes.values():
            if not isinstance(value, str):
                number_of(value)
        document = to_json(dict(attributes))
    except ValueError as unfit:
        raise InvalidRequest(
            f"The attributes of `{key}` have a number that is not finite, or half of a surrogate pair.",
            param="attributes",
        ) from unfit
    if len(document) > capabilities.filtered_bytes:
        raise InvalidRequest(
            f"The attributes of `{key}` have {len(document)} bytes as JSON, of at most {capabilities.filtered_bytes} "
            "in this vector store: make them fewer or shorter.",
            param="attributes",
        )
    return document
