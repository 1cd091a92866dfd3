"""The attributes of a file in a store, which filters are about, and how it is cut into chunks: checked before anything is kept."""

from math import isfinite
from typing import Final, cast

from pydantic_core import to_json

from core.apis.vector_filters import Scalar
from core.config.vector_stores import VectorStoresConfig
from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.services.vector_stores.ingest.chunks import OVERLAP, SIZE, Chunking, read_chunking

MOST_ATTRIBUTES: Final = 16
LONGEST_KEY: Final = 64
LONGEST_VALUE: Final = 512
PARAM: Final = "attributes"


def check_attributes(attributes: JsonObject | None, most_bytes: int) -> dict[str, Scalar]:
    """The attributes, where they are such; `most_bytes` is what the store's provider keeps of them, as JSON.

    Raises:
        InvalidRequest: they are not.
    """
    attributes = attributes or {}
    if len(attributes) > MOST_ATTRIBUTES:
        raise _refusal(f"A file has at most {MOST_ATTRIBUTES} attributes; these are {len(attributes)}.")
    for key, value in attributes.items():
        _check_key(key)
        _check_value(key, value)
    size = len(to_json(attributes))
    if size > most_bytes:
        raise _refusal(
            f"The attributes take {size} bytes as JSON, and the provider of this vector store keeps {most_bytes} of a file. "
            "Use fewer of them, or shorter ones."
        )
    return cast("dict[str, Scalar]", attributes)


def _check_key(key: str) -> None:
    if not 1 <= len(key) <= LONGEST_KEY:
        raise _refusal(
            f"The names of attributes have 1 to {LONGEST_KEY} characters; `{key[:LONGEST_KEY]}` has {len(key)}."
        )
    _check_text(key, "A name")


def _check_value(key: str, value: object) -> None:
    if isinstance(value, str):
        if len(value) > LONGEST_VALUE:
            raise _refusal(f"The value of `{key}` has {len(value)} characters; at most {LONGEST_VALUE} are kept.")
        _check_text(value, f"The value of `{key}`")
    elif not isinstance(value, int | float):
        raise _refusal(f"The value of `{key}` is no string, number or boolean.")
    elif not _is_finite(value):
        raise _refusal(f"The number of `{key}` cannot be kept: it is too large, or none.")


def _check_text(text: str, subject: str) -> None:
    """A JSON string may spell half of a pair of surrogates, which is no character."""
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise _refusal(f"{subject} has half of a surrogate pair, which is no character.")


def _is_finite(number: float) -> bool:
    try:
        return isfinite(number)
    except OverflowError:  # a whole number beyond every float
        return False


def _refusal(message: str) -> InvalidRequest:
    return InvalidRequest(message, param=PARAM)


def chunking_in_force(
    strategy: JsonObject | None, of_store: JsonObject | None, config: VectorStoresConfig
) -> JsonObject:
    """How a file is cut, in the form `static`, or `contextual`: as it says, or its store, or the run config.

    Raises:
        InvalidRequest: there is no such strategy.
    """
    strategy = of_store if strategy is None else strategy
    chunking = read_chunking(strategy)
    if chunking.contextual is not None:
        from core.services.vector_stores.ingest.contexts import contextual_in_force

        return contextual_in_force(chunking.size, chunking.overlap, chunking.contextual, config)
    if strategy is None or strategy.get("type") == "auto":
        params = config.file_ingestion_params
        chunking = Chunking(
            SIZE if params is None else params.default_chunk_size_tokens,
            OVERLAP if params is None else params.default_chunk_overlap_tokens,
        )
    return {
        "type": "static",
        "static": {"max_chunk_size_tokens": chunking.size, "chunk_overlap_tokens": chunking.overlap},
    }
