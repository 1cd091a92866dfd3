"""What a new batch must be like; refused in the words that the reference's own tests look for."""

from typing import Final

from core.apis.batches import ENDPOINTS, WINDOW, NewBatch
from core.apis.response_rules import check_metadata
from core.errors import InvalidRequest, shorten

MOST_SHOWN: Final = 60


def check_batch(request: NewBatch) -> None:
    """Raises InvalidRequest."""
    if request.endpoint not in ENDPOINTS:
        raise _invalid("endpoint", request.endpoint, ENDPOINTS)
    if request.completion_window != WINDOW:
        raise _invalid("completion_window", request.completion_window, (WINDOW,))
    if request.metadata is not None:
        check_metadata(request.metadata, "metadata")


def _invalid(name: str, value: str, supported: tuple[str, ...]) -> InvalidRequest:
    message = (
        f"Invalid {name}: {shorten(value, MOST_SHOWN)}. Supported values: {', '.join(supported)}. "
        f"Code: invalid_value. Param: {name}"
    )
    return InvalidRequest(message, param=name).quote(code="invalid_value")
