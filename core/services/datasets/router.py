"""Datasets and their rows on the wire, and for jobs and other APIs."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
import logging
from secrets import token_hex
from typing import Final
from urllib.parse import quote

from core.apis.answers.datasets import Dataset, DatasetList, PurposeName, RowPage
from core.apis.datasets import AppendRows, IterrowsQuery, RegisterDataset
from core.errors import ApiError, Conflict, NotFound
from core.frame.types import JsonObject
from core.routing.guard import Item
from core.services.datasets.collection import DatasetCollection
from core.services.datasets.reading import open_dataset, read_rows, whole_source
from core.services.datasets.records import DATASET, DatasetRecord, folder_of, show_dataset, show_datasets
from core.services.datasets.segments import write_segments

ALL: Final = -1
GROUP: Final = 1000  # lines that are written together

log = logging.getLogger(__name__)


class DatasetsRouter:
    """Answers `core.apis.datasets.Datasets`."""

    def __init__(self, collection: DatasetCollection) -> None:
        self._collection = collection

    async def register(self, request: RegisterDataset) -> Dataset:
        from core.services.datasets.registering import register

        return show_dataset(await register(self._collection, request))

    async def index(self) -> DatasetList:
        return {"data": show_datasets(await self._collection.list())}

    async def get(self, dataset_id: str) -> Dataset:
        document = await self._collection.get(dataset_id)
        return {**show_dataset(document), "source": await whole_source(self._collection, document)}

    async def unregister(self, dataset_id: str) -> None:
        collection = self._collection
        document = await collection.get(dataset_id)
        collection.guard.require("delete", Item(DATASET, document.id, document.owner))
        if dataset_id in collection.parts.registries[DATASET](None).declarations:
            raise Conflict(f"`{dataset_id}` is declared in the run config; remove it there.", param="dataset_id")
        marked = await collection.mark(document)
        if marked is not None:
            try:
                await collection.remove_rest(marked)
            except ApiError as failure:  # it is hidden; whoever meets it goes on
                log.warning("dataset %s is unregistered, its rows are not removed yet: %s", dataset_id, failure)


class DatasetIORouter:
    """Answers `core.apis.datasets.DatasetIO`."""

    def __init__(self, collection: DatasetCollection) -> None:
        self._collection = collection

    async def iterrows(self, dataset_id: str, *, query: IterrowsQuery) -> RowPage:
        document, _ = await open_dataset(self._collection, dataset_id)
        start, limit = query.start_index or 0, None if query.limit in {None, ALL} else query.limit
        rows, more = await read_rows(self._collection, document, start, limit)
        url = None
        if more:
            size = "" if limit is None else f"&limit={limit}"
            url = f"/v1/datasetio/iterrows/{quote(dataset_id)}?start_index={start + len(rows)}{size}"
        return {"data": rows, "has_more": more, "url": url}

    async def append_rows(self, request: AppendRows, dataset_id: str) -> None:
        from core.services.datasets.appending import append

        await append(self._collection, dataset_id, request.rows)

    async def append(self, request: AppendRows, dataset_id: str) -> None:
        await self.append_rows(request, dataset_id)


class DatasetRowsRouter:
    """Answers `core.apis.datasets.DatasetRows`."""

    def __init__(self, collection: DatasetCollection) -> None:
        self._collection = collection

    async def count(self, dataset_id: str) -> int:
        document, record = await open_dataset(self._collection, dataset_id)
        if record.status != "elsewhere":
            return record.rows
        count, more = 0, True  # whoever keeps the rows need not say how many they are
        while more:
            rows, more = await read_rows(self._collection, document, count, GROUP)
            count += len(rows)
            more = more and bool(rows)
        return count

    async def read(self, dataset_id: str, start: int, count: int) -> list[JsonObject]:
        document, _ = await open_dataset(self._collection, dataset_id)
        rows, more = await read_rows(self._collection, document, start, count)
        while more and rows and len(rows) < count:
            page, more = await read_rows(self._collection, document, start + len(rows), count - len(rows))
            rows += page
            more = more and bool(page)
        return rows

    async def purpose(self, dataset_id: str) -> PurposeName:
        return DatasetRecord.of(await self._collection.get(dataset_id)).purpose

    async def create(
        self, dataset_id: str, purpose: PurposeName, lines: AsyncIterator[bytes], metadata: JsonObject
    ) -> None:
        collection = self._collection
        if await self._is_made(dataset_id, metadata):
            return
        record = DatasetRecord(
            provider_id=next(iter(collection.parts.providers("datasetio")), ""),
            purpose=purpose,
            source={"type": "rows"},
            metadata=metadata,
            folder=token_hex(16),
            digest="",
        )
        from core.services.datasets.drafts import drafting
        from core.services.datasets.registering import create, with_segments

        collection.guard.require("create", Item(DATASET, dataset_id, collection.guard.owner))
        async with drafting(collection, dataset_id, record.folder):
            segments = await write_segments(collection.blobs, record.folder, _groups_of(lines))
            record = replace(with_segments(record, segments), own_rows=sum(part.rows for part in segments))
            try:
                await create(collection, dataset_id, record, holds=False)
            except Conflict:  # another worker may have been first, with the same
                if not await self._is_made(dataset_id, metadata):
                    raise
                await collection.blobs.delete_below(folder_of(record.folder))

    async def _is_made(self, dataset_id: str, metadata: JsonObject) -> bool:
        """Whether this job has made it before; raises Conflict over what is something else."""
        try:
            document = await self._collection.get(dataset_id)
        except NotFound:
            return False
        if not metadata.get("job") or DatasetRecord.of(document).metadata.get("job") != metadata["job"]:
            raise Conflict(f"There is another dataset `{dataset_id}`.", param="dataset_id")
        return True


async def _groups_of(lines: AsyncIterator[bytes]) -> AsyncIterator[Sequence[bytes]]:
    group = list[bytes]()
    async for line in lines:
        group.append(line.rstrip(b"\r\n"))
        if len(group) >= GROUP:
            yield group
            group = []
    yield group
