"""A provider of datasets written for the reference: it keeps their rows itself, and is told of a dataset before it is asked for them.

Sources: DatasetIO and DatasetsProtocolPrivate of Llama Stack 0.2.12 and 0.7.3.
"""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Final, cast

from core.errors import InvalidRequest, UpstreamFailed
from core.frame.resources import Resource
from core.frame.types import Health, JsonObject
from core.platform.json_values import is_object, to_object
from core.resolution.external.reference.calls import Translated, call, own_method
from core.resolution.external.reference.inference import ReferenceInference, ReferenceModels
from core.resolution.external.reference.records import Record, plain, record

METHODS: Final = ("iterrows",)
MOST_KNOWN: Final = 10_000  # datasets; then it is told of them again


class ReferenceDatasetStore:
    """The `dataset_store` of the reference: the datasets that the package was told of."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}

    async def get_dataset(self, dataset_id: Any) -> Record:  # noqa: ANN401 - a name, or a request for one
        name = str(getattr(dataset_id, "dataset_id", dataset_id))
        if name not in self.records:
            raise ValueError(f"Dataset '{name}' not found")
        return self.records[name]


class ReferenceDatasets:
    """`provider` has METHODS, and `append_rows`, `register_dataset` and `unregister_dataset` where it likes."""

    def __init__(
        self,
        provider_id: str,
        provider: Any,  # noqa: ANN401 - somebody else's object
        store: ReferenceDatasetStore,
        data: SimpleNamespace | None = None,
    ) -> None:
        self._provider_id = provider_id
        self._provider = provider
        self._store = store
        self._data = data
        self._others = ReferenceInference(provider_id, provider, ReferenceModels(provider_id))

    def with_provider_data(self, data: Mapping[str, Any]) -> "ReferenceDatasets":
        """This provider for a caller who brings `data`, which its `get_request_provider_data()` then returns."""
        return ReferenceDatasets(self._provider_id, self._provider, self._store, SimpleNamespace(**data))

    async def iterrows(self, dataset: Resource, start: int, limit: int | None) -> tuple[Sequence[JsonObject], bool]:
        fields: JsonObject = {"dataset_id": dataset.identifier, "start_index": start}
        if limit is not None:
            fields["limit"] = limit
        with Translated(self._provider_id, self._data):
            await self._tell(dataset)
            answer = plain(await call(self._provider.iterrows, "IterRowsRequest", "dataset_id", fields))
        page = to_object(answer)
        rows = page.get("data")
        entries = cast("list[object]", rows) if isinstance(rows, list) else [rows]
        if not all(is_object(entry) for entry in entries):
            raise UpstreamFailed(f"Provider `{self._provider_id}` answered with something else than rows.")
        return [to_object(entry) for entry in entries], bool(page.get("has_more"))

    async def append_rows(self, dataset: Resource, rows: Sequence[JsonObject]) -> None:
        method = own_method(self._provider, "append_rows")
        if method is None:
            raise InvalidRequest(f"Provider `{self._provider_id}` takes no rows.", param="dataset_id")
        fields: JsonObject = {"dataset_id": dataset.identifier, "rows": list(rows)}
        with Translated(self._provider_id, self._data):
            await self._tell(dataset)
            await call(method, "AppendRowsRequest", "dataset_id", fields)

    async def register_dataset(self, dataset: Resource) -> None:
        with Translated(self._provider_id, self._data):
            await self._tell(dataset)

    async def unregister_dataset(self, dataset: Resource) -> None:
        method = own_method(self._provider, "unregister_dataset")
        known = self._store.records.pop(dataset.identifier, None)
        if method is not None:
            with Translated(self._provider_id, self._data):
                if known is None and own_method(self._provider, "register_dataset") is not None:
                    await self._tell(dataset)  # a process that has never heard of it
                    self._store.records.pop(dataset.identifier, None)
                await method(dataset.identifier)

    async def health(self) -> Health:
        return await self._others.health()

    async def close(self) -> None:
        await self._others.close()

    async def _tell(self, dataset: Resource) -> None:
        """Once in each process: packages keep what they are told in memory."""
        store = self._store.records
        if dataset.identifier in store:
            return
        if len(store) >= MOST_KNOWN:
            store.clear()
        row = _dataset(dataset)
        method = own_method(self._provider, "register_dataset")
        if method is not None:
            await method(row)
        store[dataset.identifier] = row


def _dataset(dataset: Resource) -> Record:
    source = dataset.attributes["source"]
    name = "RowsDataSource" if source.get("type") == "rows" else "URIDataSource"
    row: Record = record(
        "Dataset",
        identifier=dataset.identifier,
        provider_resource_id=dataset.provider_resource_id,
        provider_id=dataset.provider_id,
        purpose=dataset.attributes["purpose"],
        source=record(name, **source),
        metadata=dataset.attributes.get("metadata") or {},
    )
    return row
