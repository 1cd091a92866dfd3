"""Queries as Knowledge Bases has them, and its results as chunks; nothing here asks it.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent-runtime_Retrieve.html.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from math import isfinite
import re
from typing import Any, Final

from pydantic_core import to_json

from core.apis.vector_checks import check_query
from core.apis.vector_filters import Combination, Comparison, Filter, Scalar
from core.apis.vector_io import Chunk, ScoredChunk, VectorCapabilities, VectorIndex, VectorQuery
from core.apis.vector_keys import flatten
from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.platform.json_values import to_object

CAPABILITIES: Final = VectorCapabilities(hybrid=True, embeds=True, writable=False)
NAME: Final = re.compile(
    r"[0-9a-zA-Z]{10}|arn:aws(-[^:]+)?:bedrock:[a-z0-9-]{1,20}:[0-9]{12}:knowledge-base/[0-9a-zA-Z]{10}"
)
CHUNK_ID: Final = "x-amz-bedrock-kb-chunk-id"
SOURCE: Final = "x-amz-bedrock-kb-source-uri"
OPERATORS: Final = {
    "eq": "equals",
    "ne": "notEquals",
    "gt": "greaterThan",
    "gte": "greaterThanOrEquals",
    "lt": "lessThan",
    "lte": "lessThanOrEquals",
}
GROUPS: Final = {"and": "andAll", "or": "orAll"}


def print_query(index: VectorIndex, query: VectorQuery) -> JsonObject | None:
    """The arguments of Retrieve; None where nothing can be found. Raises InvalidRequest for a query that is not of its capabilities."""
    check_query(index, query, CAPABILITIES)
    if query.text is None:
        raise InvalidRequest(
            "A knowledge base is searched by a text, of which it makes the vector itself.", param="query"
        )
    if query.limit < 1 or not query.text.strip():
        return None
    search: JsonObject = {
        "numberOfResults": query.limit,
        "overrideSearchType": "HYBRID" if query.hybrid else "SEMANTIC",
    }
    if query.filter is not None:
        search["filter"] = print_filter(query.filter)
    return {
        "knowledgeBaseId": index.name,
        "retrievalQuery": {"text": query.text.encode(errors="replace").decode()},
        "retrievalConfiguration": {"vectorSearchConfiguration": search},
    }


def print_filter(tree: Filter) -> JsonObject:
    """The filter in the service's words.

    Its `notEquals` holds where there is no such key, its `notIn` does not: `nin` is the former of each value. A list is of values
    of one type.
    """
    if isinstance(tree, Combination):
        return _group(tree.operator, [print_filter(part) for part in flatten(tree)])
    if not isinstance(tree.value, tuple):
        return _compare(OPERATORS[tree.operator], tree, tree.value)
    if tree.operator == "nin":
        return _group("and", [_compare("notEquals", tree, value) for value in tree.value])
    groups: dict[bool | type, list[Scalar]] = {}
    for value in tree.value:
        groups.setdefault(type(value) if isinstance(value, str | bool) else float, []).append(value)
    return _group("or", [_compare("in", tree, values) for values in groups.values()])


def _compare(operator: str, comparison: Comparison, value: Scalar | Sequence[Scalar]) -> JsonObject:
    return {operator: {"key": comparison.key, "value": value}}


def _group(operator: str, parts: list[JsonObject]) -> JsonObject:
    """A group has two parts at least."""
    return parts[0] if len(parts) == 1 else {GROUPS[operator]: parts}


def read_result(result: JsonObject) -> ScoredChunk:
    """Raises ValueError for a score that is no number."""
    score = float(result.get("score") or 0.0)
    if not isfinite(score):
        raise ValueError("a score that is no number")
    metadata = {
        key: value for key, value in to_object(result.get("metadata")).items() if isinstance(value, str | int | float)
    }
    text = _text_of(to_object(result.get("content")))
    place = str(metadata.get(SOURCE) or _place_of(to_object(result.get("location"))))
    source = str(result.get("documentId") or place)
    key = str(metadata.get(CHUNK_ID) or sha256(to_json([source, text])).hexdigest())
    chunk = Chunk(key, text, (), metadata, source=source, filename=place.rstrip("/").rpartition("/")[2])
    return ScoredChunk(chunk, min(1.0, max(0.0, score)))


def _text_of(content: Mapping[str, Any]) -> str:
    """The text, what is said or seen, or the row of a table as lines; an image has none."""
    match content:
        case {"text": str(text)}:
            return text
        case {"row": [*columns]}:
            cells = map(to_object, columns)
            return "\n".join(f"{cell.get('columnName', '')}: {cell.get('columnValue', '')}" for cell in cells)
        case {"audio": {"transcription": str(text)}} | {"video": {"summary": str(text)}}:
            return text
        case _:
            return ""


def _place_of(location: Mapping[str, Any]) -> str:
    """A URI, a URL or an id, whatever the kind of source."""
    for place in location.values():
        for name in ("uri", "url", "id"):
            if text := to_object(place).get(name):
                return str(text)
    return ""
