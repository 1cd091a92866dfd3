"""Rows behind those that are there: a new segment, then the record that names it, if nobody has changed that since it was read.

Segments that come one by one are put together once there are many; whoever reads a segment at that moment reads once more.
"""

from collections.abc import Sequence
from dataclasses import replace
import logging
from typing import Final

from core.errors import ApiError, InvalidRequest, NotFound, StateUnavailable
from core.frame.types import JsonObject
from core.services.datasets import keeping
from core.services.datasets.collection import Change, DatasetCollection, missing
from core.services.datasets.purposes import check_columns
from core.services.datasets.reading import open_dataset
from core.services.datasets.records import DATASET, DatasetRecord, Segment, resource_of
from core.services.datasets.segments import SEGMENT, SegmentDraft, read_lines
from core.services.datasets.sources import encode_row
from core.stores.documents.port import Document, Tally, TallyExceeded

MANY: Final = 100
"""Segments of which the small ones are put together."""

EVERY: Final = 25
SMALL: Final = SEGMENT // 2  # bytes
LEFT_SECONDS: Final = 86_400.0
"""After which a segment is left that nobody names: no writer takes so long."""

log = logging.getLogger(__name__)


async def append(collection: DatasetCollection, dataset_id: str, rows: Sequence[JsonObject]) -> None:
    """See `core.apis.datasets.DatasetIO.append_rows`; two that do so at the same time lose nothing."""
    document, record = await open_dataset(collection, dataset_id)
    collection.require_update(document)
    if record.status == "elsewhere":
        provider = collection.provider(record.provider_id)
        if not hasattr(provider, "append_rows"):
            raise InvalidRequest(f"Provider `{record.provider_id}` takes no rows.", param="dataset_id")
        await collection.ask(provider.append_rows(resource_of(document), rows))
        return
    draft = SegmentDraft()
    for number, row in enumerate(rows, 1):
        check_columns(row, number, record.purpose)
        draft.add([encode_row(row, number)])
    if draft.lines:
        await _add(collection, document, await draft.write(collection.blobs, record.folder), record.folder)


async def _add(collection: DatasetCollection, document: Document, segment: Segment, folder: str) -> None:
    limits = collection.limits

    def add(_: Document, record: DatasetRecord) -> tuple[DatasetRecord, Sequence[Tally]] | None:
        if record.folder != folder:  # another dataset by now
            return None
        tally = keeping.change(record.counted, size=segment.bytes, limits=limits)
        return replace(record, segments=[*record.segments, segment.body()]), tally

    try:
        changed = await _change(collection, document, add, segment.key)
    except TallyExceeded as exceeded:
        await collection.blobs.delete(segment.key)
        raise keeping.refusal(exceeded) from None
    if changed is None or DatasetRecord.of(changed).folder != folder:
        await collection.blobs.delete(segment.key)
        raise missing(document.id)
    await _tidy(collection, changed)


async def _tidy(collection: DatasetCollection, changed: Document) -> None:
    try:
        if not len(DatasetRecord.of(changed).segments) % EVERY:
            await sweep(collection, changed, before=collection.clock() - LEFT_SECONDS)
        if _is_due(DatasetRecord.of(changed).parts()):
            await compact(collection, changed)
    except NotFound:
        """Another puts them together."""
    except ApiError as failure:  # the rows are kept; the next one tries again
        log.warning("dataset %s: its segments are not put together: %s", changed.id, failure)


async def sweep(collection: DatasetCollection, document: Document, *, before: float) -> None:
    """Remove segments that no record names: whoever wrote them before then (Unix seconds) died before they could say so.

    The document is of now: what it does not name is named by nobody who began to write before.
    """
    record = DatasetRecord.of(document)
    keys = {*await collection.blobs.old_keys(record.prefix, before=before)}.difference(_keys(record))
    await collection.blobs.delete(*keys)


async def _change(collection: DatasetCollection, document: Document, add: Change, key: str) -> Document | None:
    """Where no answer came of the write, it is looked at whether it was made; it is not made again, since another may have put it together with others."""
    try:
        return await collection.change(document, add)
    except StateUnavailable:
        newest = await collection.store.get(DATASET, document.id)
        if newest is None or key not in _keys(DatasetRecord.of(newest)):
            raise
        return newest


async def compact(collection: DatasetCollection, document: Document) -> None:
    """Put neighbours of segments together that are small, each new one at most SEGMENT bytes."""
    record = DatasetRecord.of(document)
    for run in neighbours_in(record.parts()):
        draft = SegmentDraft()
        draft.add(await read_lines(collection.blobs, run, 0, sum(part.rows for part in run), 2 * SEGMENT))
        merged = await draft.write(collection.blobs, record.folder)
        keys = [part.key for part in run]

        def put_together(
            _: Document, record: DatasetRecord, keys: Sequence[str] = keys, merged: Segment = merged
        ) -> tuple[DatasetRecord, Sequence[Tally]] | None:
            names = _keys(record)
            at = names.index(keys[0]) if keys[0] in names else 0
            if names[at : at + len(keys)] != keys:  # another was first
                return None
            segments = [*record.segments[:at], merged.body(), *record.segments[at + len(keys) :]]
            return replace(record, segments=segments), ()

        changed = await collection.change(document, put_together)
        is_named = changed is not None and merged.key in _keys(DatasetRecord.of(changed))
        await collection.blobs.delete(*(keys if is_named else [merged.key]))


def _keys(record: DatasetRecord) -> list[str]:
    return [segment["key"] for segment in record.segments]


def _is_due(segments: Sequence[Segment]) -> bool:
    """Not for each one from MANY on: several may be at it at the same time."""
    count = sum(segment.bytes < SMALL for segment in segments)
    return count >= MANY and not (count - MANY) % EVERY


def neighbours_in(segments: Sequence[Segment]) -> list[list[Segment]]:
    """Those that are small and fit into one segment; at least two each."""
    runs: list[list[Segment]] = [[]]
    for segment in segments:
        is_small = segment.bytes < SMALL
        if not is_small or sum(part.bytes for part in runs[-1]) + segment.bytes > SEGMENT:
            runs.append([])
        if is_small:
            runs[-1].append(segment)
    return [run for run in runs if len(run) > 1]
