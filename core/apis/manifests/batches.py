"""Batches: a file of requests, answered line by line by a job."""

from typing import Final

from core.frame.api import Api, Deployment, Eraser, JobRow, Surface
from core.frame.operations import Operation, openai_paths

BATCH: Final = "core.apis.answers.batches:Batch"

BATCHES: Final = (
    Operation(
        "POST",
        openai_paths("/batches"),
        "create",
        "Have a file of requests answered.",
        request="core.apis.batches:NewBatch",
        response=BATCH,
        query="core.apis.batches:NewBatchQuery",
    ),
    Operation(
        "GET",
        openai_paths("/batches"),
        "index",
        "List your batches, newest first.",
        response="core.apis.answers.batches:BatchList",
        query="core.apis.batches:ListBatchesQuery",
    ),
    Operation(
        "GET",
        openai_paths("/batches/{batch_id}"),
        "get",
        "Show a batch, and how far it is.",
        response=BATCH,
        tagged=True,
    ),
    Operation(
        "POST",
        openai_paths("/batches/{batch_id}/cancel"),
        "cancel",
        "Stop a batch, and keep what was answered.",
        response=BATCH,
        counted=False,
    ),
)

KEPT: Final = ("batch", "batch_slot")
READ: Final = ("file", "dataset", "dataset_owner")
"""Of who asks for a batch of a file, or of a dataset."""

API: Final = Api(
    "batches",
    surfaces=(Surface("batches", "core.apis.batches:Batches", BATCHES),),
    assemble="core.services.batches.assemble:assemble",
    provider="core.apis.batches:BatchesProvider",
    depends=("inference", "safety", "files", "responses", "vector_io", "tool_runtime", "datasetio"),
    stores=("documents", "blobs", "jobs", "queue"),
    collections=(*KEPT, *READ),
    eraser=Eraser("core.services.batches.erasing:erase", KEPT),
    jobs=(JobRow("batch", "core.services.batches.job.kind:batch_job", limit="batches"),),
    deployment=Deployment(rights=("FileBuckets",), switch="HasBatches"),
)
