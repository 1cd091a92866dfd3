"""What several stores found, as one ranking. Pure."""

from collections.abc import Iterable

from core.apis.vector_io import ScoredChunk

type Found = tuple[str, ScoredChunk]
"""A chunk, with the id of the store that it is in."""


def merge(found: Iterable[Found], limit: int | None = None) -> list[Found]:
    """The best first, in whatever order they come; a text of a document once, also where several stores have it."""
    best: dict[tuple[str, str], Found] = {}
    for row in found:
        chunk = row[1].chunk
        same = chunk.source, chunk.text
        if same not in best or _rank(row) < _rank(best[same]):
            best[same] = row
    return sorted(best.values(), key=_rank)[:limit]


def _rank(row: Found) -> tuple[float, str, str]:
    store_id, scored = row
    return -scored.score, store_id, scored.chunk.key
