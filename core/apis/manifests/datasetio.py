"""Datasets: rows that users register, and read page by page."""

from typing import Final

from core.frame.api import Api, Deployment, Eraser, JobRow, Surface
from core.frame.operations import Operation
from core.frame.resources import Kind

TYPES: Final = "core.apis.datasets"
ANSWERS: Final = "core.apis.answers.datasets"

DECLARED: Final = Kind(
    name="dataset",
    api="datasetio",
    path="",
    section="datasets",
    id_field="dataset_id",
    provider_id_field="provider_dataset_id",
    body=f"{TYPES}:DeclaredDataset",
    fields={"purpose": None, "source": None, "metadata": None},
)
"""Datasets that the run config declares; what a request makes is a document."""

ALL: Final = ("/v1/datasets", "/v1beta/datasets")
ONE: Final = tuple(f"{path}/{{dataset_id:path}}" for path in ALL)

DATASETS: Final = (
    Operation(
        "POST",
        ALL,
        "register",
        "Register a dataset.",
        request=f"{TYPES}:RegisterDataset",
        response=f"{ANSWERS}:Dataset",
    ),
    Operation("GET", ALL, "index", "List the datasets.", response=f"{ANSWERS}:DatasetList"),
    Operation("GET", ONE, "get", "Show a dataset.", response=f"{ANSWERS}:Dataset"),
    Operation(
        "DELETE",
        ONE,
        "unregister",
        "Unregister a dataset, and remove our copy of its rows.",
        response=f"{ANSWERS}:Nothing",
    ),
)

ROWS: Final = (
    Operation(
        "GET",
        tuple(f"/{version}/datasetio/iterrows/{{dataset_id:path}}" for version in ("v1", "v1beta")),
        "iterrows",
        "Read rows of a dataset.",
        query=f"{TYPES}:IterrowsQuery",
        response=f"{ANSWERS}:RowPage",
    ),
    Operation(
        "POST",
        ("/v1/datasetio/append-rows/{dataset_id:path}",),
        "append_rows",
        "Append rows to a dataset.",
        request=f"{TYPES}:AppendRows",
        response=f"{ANSWERS}:Nothing",
        idempotent=True,
    ),
    Operation(
        "POST",
        ("/v1beta/datasetio/append-rows/{dataset_id:path}",),
        "append",
        "Append rows to a dataset (0.7).",
        request=f"{TYPES}:AppendRows",
        reply="none",
        idempotent=True,
    ),
)
"""An answer of nothing is `null` in 0.2, and 204 in 0.7."""

KEPT: Final = ("dataset", "dataset_owner")

API: Final = Api(
    "datasetio",
    surfaces=(
        Surface("datasets", f"{TYPES}:Datasets", DATASETS),
        Surface("datasetio", f"{TYPES}:DatasetIO", ROWS),
        Surface("dataset_rows", f"{TYPES}:DatasetRows", ()),  # for jobs and other APIs: it has no routes
    ),
    assemble="core.services.datasets.assemble:assemble",
    kinds=(DECLARED,),
    provider=f"{TYPES}:DatasetIOProvider",
    depends=("files",),
    stores=("documents", "blobs", "jobs", "queue"),
    collections=(*KEPT, "file"),
    eraser=Eraser("core.services.datasets.erasing:erase", KEPT),
    jobs=(JobRow("import", "core.services.datasets.importing:import_job"),),
    deployment=Deployment(rights=("FileBuckets",), switch="HasEvaluation"),
)
