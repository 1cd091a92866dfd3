"""What is kept of the request of a new batch, and the key under which it is made once."""

from typing import Final

from core.apis.batches import NewBatch, NewBatchQuery
from core.errors import Conflict
from core.frame.types import JsonObject

FIELDS: Final = ("input_file_id", "endpoint", "completion_window", "metadata")
OF_A_DATASET: Final = ("input_dataset_id", "template", "output_dataset_id")


def key_of(request: NewBatch, query: NewBatchQuery) -> str:
    """Of the header or of the body, "" where there is none; raises Conflict where they differ."""
    header, field = query.idempotency_key or "", request.idempotency_key or ""
    if header and field and header != field:
        raise Conflict(
            "The header Idempotency-Key and the field `idempotency_key` are in conflict: send one of them.",
            param="idempotency_key",
        )
    return header or field


def request_of(request: NewBatch) -> JsonObject:
    """What is kept; what is null is as if it were not there."""
    names = (*FIELDS, *OF_A_DATASET)
    fields: JsonObject = {name: getattr(request, name) for name in names if getattr(request, name) is not None}
    if request.output_expires_after is not None:
        fields["output_expires_after"] = {"anchor": "created_at", "seconds": request.output_expires_after.seconds}
    return fields
