"""How the ingest of a file fails: for good, with words for whoever added it, or for now."""

from typing import Final

from core.errors import CONTEXT_LENGTH, ApiError, InvalidRequest, ProviderUnavailable
from core.services.vector_stores.ingest.limits import Code, Unreadable

MOST_TRIES: Final = 8
SERVER_ERROR: Final = 500
THROTTLED: Final = 429
WORKERS_LOST: Final = (
    "Several workers ended without a word over this file: it may be too large for their memory. Split it."
)
FEWER_TOKENS: Final = (
    ' Smaller chunks may fit: add the file with `chunking_strategy` {"type": "static", "static":'
    ' {"max_chunk_size_tokens": 400, "chunk_overlap_tokens": 200}}.'
)


class Busy(ProviderUnavailable):
    """Another has the file; `seconds` until its lease ends, if it is not renewed."""

    code = "ingest_under_way"

    def __init__(self, seconds: float) -> None:
        super().__init__("Somebody works on this file.", headers={"retry-after": str(max(1, int(seconds) + 1))})


class IngestFailed(Exception):
    """The file cannot be taken in, whoever tries; for its `last_error`."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code: Code = code
        self.message = message


def refused_text(refusal: InvalidRequest) -> IngestFailed:
    """What becomes of a file whose text the embedding model refuses."""
    hint = FEWER_TOKENS if refusal.code == CONTEXT_LENGTH else ""
    return IngestFailed("server_error", refusal.message + hint)


def final_error(failure: BaseException) -> tuple[Code, str] | None:
    """What is kept of a failure that no other try would mend; None of one that may pass."""
    if isinstance(failure, IngestFailed | Unreadable):
        return failure.code, failure.message
    if isinstance(failure, ApiError):
        is_final = failure.status < SERVER_ERROR and failure.status != THROTTLED
        return ("server_error", failure.message) if is_final else None
    if isinstance(failure, OSError):
        return None
    return (
        "server_error",
        "This file could not be taken in because of a fault of this server. The operator's log has more.",
    )


def exhausted_error(failure: BaseException) -> tuple[Code, str]:
    reason = failure.message if isinstance(failure, ApiError) else "its bytes could not be read."
    return "server_error", f"After {MOST_TRIES} tries it is given up: {reason} Add the file again when that is mended."
