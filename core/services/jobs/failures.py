"""What a row of a job that could not be done says, in its line of the results."""

from core.errors import ApiError


class RowFailed(ApiError):
    code = "row_failed"

    def __init__(self) -> None:
        super().__init__("This row could not be processed. Look at its form and its size; the operator's log has more.")


class WorkerLost(ApiError):
    code = "worker_lost"

    def __init__(self) -> None:
        super().__init__("Several workers ended without a word while they had this row.")
