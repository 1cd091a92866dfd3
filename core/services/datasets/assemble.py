"""Assembles the services of datasets; nothing of them is imported before it is asked."""

from typing import TYPE_CHECKING

from core.frame.api import SurfaceFactory
from core.frame.callers import Call
from core.services.parts import Parts
from core.stores.connect import BLOBS, DOCUMENTS

if TYPE_CHECKING:
    from core.apis.datasets import DatasetIO, DatasetRows, Datasets
    from core.services.datasets.collection import DatasetCollection


def assemble(parts: Parts) -> dict[str, SurfaceFactory]:
    """`{"datasets": ..., "datasetio": ..., "dataset_rows": ...}`."""
    for kind in (DOCUMENTS, BLOBS):  # connected here, they are warmed at init
        parts.stores.find(kind)
    seen: dict[str, str] = {}

    def collection(call: Call | None) -> "DatasetCollection":
        from core.services.datasets.collection import DatasetCollection

        return DatasetCollection(parts, call, seen)

    def datasets(call: Call | None) -> "Datasets":
        from core.services.datasets.router import DatasetsRouter

        return DatasetsRouter(collection(call))

    def datasetio(call: Call | None) -> "DatasetIO":
        from core.services.datasets.router import DatasetIORouter

        return DatasetIORouter(collection(call))

    def rows(call: Call | None) -> "DatasetRows":
        from core.services.datasets.router import DatasetRowsRouter

        return DatasetRowsRouter(collection(call))

    return {"datasets": datasets, "datasetio": datasetio, "dataset_rows": rows}
