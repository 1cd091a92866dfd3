"""Batches as a client gets them."""

from typing import Literal, NotRequired, TypedDict

type BatchStatus = Literal[
    "validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"
]


class BatchFault(TypedDict):
    """What is wrong with the input file; `line` counts from 1, null for what is of no line."""

    code: str | None
    line: int | None
    message: str
    param: str | None


class BatchFaults(TypedDict):
    object: Literal["list"]
    data: list[BatchFault]


class RequestCounts(TypedDict):
    """Lines: `total` is 0 until the file is validated; of a stopped batch the rest was never asked."""

    total: int
    completed: int
    failed: int


class InputDetails(TypedDict):
    cached_tokens: int


class OutputDetails(TypedDict):
    reasoning_tokens: int


class BatchUsage(TypedDict):
    """`cost` is our own: USD, with the models that judged, null where the price of an answer is not known."""

    input_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int
    output_tokens_details: OutputDetails
    total_tokens: int
    cost: float | None


Waiting = TypedDict("Waiting", {"for": Literal["quota"], "until": int})


class Batch(TypedDict):
    """A batch as its owner sees it; times are Unix seconds, null for what has not been. `waiting` is our own.

    So are the datasets, of a batch of one alone: its `input_file_id` is null, and `output_dataset_id` is there once the dataset is.
    """

    id: str
    object: Literal["batch"]
    endpoint: str
    model: str | None
    errors: BatchFaults | None
    input_file_id: str | None
    input_dataset_id: NotRequired[str]
    completion_window: str
    status: BatchStatus
    output_file_id: str | None
    error_file_id: str | None
    output_dataset_id: NotRequired[str]
    created_at: int
    in_progress_at: int | None
    expires_at: int | None
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    request_counts: RequestCounts
    usage: BatchUsage | None
    metadata: dict[str, str] | None
    waiting: Waiting | None


class BatchList(TypedDict):
    """Newest first."""

    object: Literal["list"]
    data: list[Batch]
    has_more: bool
    first_id: str | None
    last_id: str | None
