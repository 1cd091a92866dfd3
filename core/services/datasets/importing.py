"""The kind of job `import`: the rows of a source become segments of a dataset.

Its state are the segments that were written and how many rows they have: whoever goes on reads the source again, leaves these rows out,
and writes on. The record of the dataset names them all in the end, in one write, or none.
"""

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
import json
from math import inf
from typing import Final

from core.errors import InvalidRequest, LimitReached, NotFound, PermissionDenied
from core.frame.types import JsonObject
from core.services.datasets import keeping
from core.services.datasets.collection import DatasetCollection
from core.services.datasets.records import DATASET, DatasetRecord, Segment, folder_of
from core.services.datasets.registering import KIND, with_segments
from core.services.datasets.segments import SegmentDraft
from core.services.datasets.sources import check_groups, open_rows
from core.services.jobs.kind import FinishRun, JobFailed, JobKind, PrepareRun, Slice
from core.services.jobs.shard_run import ShardRun
from core.services.parts import Parts
from core.stores.documents.port import Document, Tally, TallyExceeded
from core.stores.jobs.port import Job

GONE: Final = "dataset_gone: the dataset `{dataset}` was unregistered while its rows were read."
LOST: Final = "it broke whoever read it."


@dataclass(slots=True)
class ImportState:
    """What is kept of an import at each checkpoint."""

    segments: list[JsonObject] = field(default_factory=list[JsonObject])

    @classmethod
    def read(cls, content: bytes | None) -> "ImportState":
        return cls() if content is None else cls(json.loads(content))

    def content(self) -> bytes:
        return json.dumps(self.segments).encode()

    @property
    def rows(self) -> int:
        return sum(segment["rows"] for segment in self.segments)

    @property
    def bytes(self) -> int:
        return sum(segment["bytes"] for segment in self.segments)


def import_job(parts: Parts) -> JobKind:
    """Its request is `{"dataset", "folder"}`; its result is `{"dataset", "rows", "bytes"}`."""

    async def prepare(run: PrepareRun) -> Sequence[Slice]:
        return [Slice({"dataset": run.job.request["dataset"]}, 1)]

    async def work(run: ShardRun) -> None:
        await Import(DatasetCollection(parts, run.call), run).work()

    async def finish(run: FinishRun) -> JsonObject:
        request, stack = run.job.request, DatasetCollection(parts, None)
        document = await stack.store.get(DATASET, request["dataset"])
        record = None if document is None else DatasetRecord.of(document)
        if record is None or record.folder != request["folder"]:
            await stack.blobs.delete_below(folder_of(request["folder"]))
            raise JobFailed(GONE.format(dataset=request["dataset"]))
        if record.status != "ready" and run.job.outcome is None:
            raise JobFailed(f"worker_lost: {LOST}")
        return {"dataset": request["dataset"], "rows": record.rows, "bytes": record.bytes}

    async def ended(job: Job) -> None:
        if job.status != "completed":
            reason = job.reason.partition(": ")[2] or job.reason or f"the job is {job.status}."
            await fail(DatasetCollection(parts, None), job.request["dataset"], job.id, reason)

    return JobKind(KIND, prepare, work, finish, ended=ended)


class Import:
    """One run of it."""

    def __init__(self, collection: DatasetCollection, run: ShardRun) -> None:
        """`collection` is the owner's."""
        self._collection = collection
        self._run = run
        self._folder: str = run.job.request["folder"]
        self._dataset: str = run.job.request["dataset"]

    async def work(self) -> None:
        """Raises JobFailed for a source that no other try would read."""
        document = await self._document()
        if document is None:
            return
        state = ImportState.read(await self._run.saved())
        await self._sweep(state)
        try:
            if await self._copy(DatasetRecord.of(document), state):
                await self._commit(document, state)
        except (InvalidRequest, NotFound, PermissionDenied, LimitReached) as refusal:
            raise JobFailed(f"{refusal.code}: {refusal.message}") from refusal

    async def _document(self) -> Document | None:
        """None where it has its rows already, or is gone."""
        document = await self._collection.store.get(DATASET, self._dataset)
        record = None if document is None else DatasetRecord.of(document)
        if record is None or record.deleting or record.folder != self._folder or record.status != "importing":
            return None
        return document

    async def _sweep(self, state: ImportState) -> None:
        """Remove what a worker wrote and died before it could name: while it is imported, nobody but who has the shard writes to it."""
        blobs, names = self._collection.blobs, {segment["key"] for segment in state.segments}
        keys = {*await blobs.old_keys(folder_of(self._folder), before=inf)} - names
        await blobs.delete(*keys)

    async def _copy(self, record: DatasetRecord, state: ImportState) -> bool:
        """Whether all of the source is in segments."""
        draft, skip = SegmentDraft(), state.rows
        uri = str(record.source.get("uri"))
        groups = check_groups(open_rows(self._collection, record.provider_id, uri), record.purpose)
        async with aclosing(groups) as lines:
            async for group in lines:
                fresh = group[skip:]
                skip -= len(group) - len(fresh)
                draft.add(fresh)
                if draft.is_full:
                    await self._keep(state, draft)
                    draft = SegmentDraft()
                if self._run.halt.reason is not None:
                    return False
        if draft.lines:
            await self._keep(state, draft)
        return True

    async def _keep(self, state: ImportState, draft: SegmentDraft) -> None:
        """Write a segment, and a checkpoint that names it. Raises LimitReached at the first one too many."""
        await self._check_limit(state.bytes + draft.size)
        segment = await draft.write(self._collection.blobs, self._folder)
        state.segments.append(segment.body())
        if not await self._run.save(state.content()):
            await self._collection.blobs.delete(segment.key)

    async def _check_limit(self, size: int) -> None:
        """Not only at the end: a source may be larger than there is room for."""
        document, most = await self._document(), self._collection.limits.dataset_bytes
        counted = "" if document is None else DatasetRecord.of(document).counted
        if most is None or not counted:
            return
        have = (await self._collection.store.tallies(keeping.OWNERS, counted)).get(keeping.BYTES, 0)
        if have + size > most:
            tally = keeping.change(counted, size=size, limits=self._collection.limits)[0]
            raise keeping.refusal(TallyExceeded(tally, keeping.BYTES, have))

    async def _commit(self, document: Document, state: ImportState) -> None:
        """Once, however many have read the source; what only this one has written is removed where another was first."""
        segments, limits = [Segment.read(segment) for segment in state.segments], self._collection.limits

        def commit(_: Document, record: DatasetRecord) -> tuple[DatasetRecord, Sequence[Tally]] | None:
            if record.folder != self._folder or record.status != "importing":
                return None
            tally = keeping.change(record.counted, size=state.bytes, limits=limits)
            return with_segments(record, segments), tally

        try:
            changed = await self._collection.change(document, commit)
        except TallyExceeded as exceeded:
            raise keeping.refusal(exceeded) from None
        record = None if changed is None else DatasetRecord.of(changed)
        names = [] if record is None else [segment["key"] for segment in record.segments]
        if record is None or record.status == "ready":
            await self._collection.blobs.delete(*(part.key for part in segments if part.key not in names))


async def fail(collection: DatasetCollection, dataset_id: str, job_id: str, reason: str) -> None:
    """Note why the import of this job has not come to its end, and remove what it has written."""

    def give_up(_: Document, record: DatasetRecord) -> tuple[DatasetRecord, Sequence[Tally]] | None:
        if record.job != job_id or record.status != "importing":
            return None
        return replace(record, status="failed", error=reason), ()

    document = await collection.store.get(DATASET, dataset_id)
    changed = None if document is None else await collection.change(document, give_up)
    if changed is not None and (record := DatasetRecord.of(changed)).status == "failed" and record.job == job_id:
        await collection.blobs.delete_below(record.prefix)
