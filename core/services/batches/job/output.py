"""The lines of the two files of a batch, and which of them goes where.

A line in a part begins with a byte that says so. Source: https://platform.openai.com/docs/guides/batch; a line of the error file
has both `response` and `error` where it was asked, so that readers of either find what they look for.
"""

import hashlib
from typing import Final

from pydantic_core import to_json

from core.errors import ApiError
from core.frame.types import JsonObject
from core.services.jobs.failures import WorkerLost

OUTPUT: Final = b"+"
ERROR: Final = b"-"
BREAKS: Final = {b"\xc2\x85": b"\\u0085", b"\xe2\x80\xa8": b"\\u2028", b"\xe2\x80\xa9": b"\\u2029"}
"""Which JSON may have as they are, and where `splitlines` of Python, and others, would break a line in the middle."""


class InputGone(ApiError):
    status = 404
    code = "input_file_gone"

    def __init__(self) -> None:
        super().__init__("The input file was deleted before this line was read. Upload it again, and make a new batch.")


class LineExpired(ApiError):
    code = "batch_expired"

    def __init__(self) -> None:
        super().__init__("The line was not asked before the batch expired. Put it into a new batch.")


NEVER_ASKED: Final = (InputGone, LineExpired, WorkerLost)


def request_id_of(job: str, shard: int, position: int) -> str:
    """The id of a line in its file: one and the same however often it is asked."""
    digest = hashlib.sha256(f"{job}/{shard}/{position}".encode()).hexdigest()
    return f"batch_req_{digest[:24]}"


def output_line(line_id: str, custom_id: str | None, status: int, request_id: str, body: object) -> bytes:
    """`body` is an answer of the stack."""
    response: JsonObject = {"status_code": status, "request_id": request_id, "body": body}
    return OUTPUT + _encode(line_id, custom_id, response, None)


def error_line(line_id: str, custom_id: str | None, request_id: str, failure: ApiError) -> bytes:
    """Of a line that was refused; one that was never asked has no response."""
    response: JsonObject | None = None
    if not isinstance(failure, NEVER_ASKED):
        response = {"status_code": failure.status, "request_id": request_id, "body": failure.body()}
    error: JsonObject = {"code": failure.code, "message": failure.message}
    return ERROR + _encode(line_id, custom_id, response, error)


def _encode(line_id: str, custom_id: str | None, response: JsonObject | None, error: JsonObject | None) -> bytes:
    line = {"id": line_id, "custom_id": custom_id, "response": response, "error": error}
    content = to_json(line, inf_nan_mode="null")  # as of a live answer: a log probability may be -Infinity
    for character, escape in BREAKS.items():
        if character in content:
            content = content.replace(character, escape)
    return content
