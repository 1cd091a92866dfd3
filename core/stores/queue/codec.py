"""How a message is written down, alike in every queue."""

import json
from typing import Final

from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.platform.json_reader import read_object

MOST_BODY: Final = 64 * 1024


def encode(body: JsonObject) -> str:
    """The body as ASCII JSON.

    Raises:
        InvalidRequest: it is too large, or not JSON.
    """
    try:
        text = json.dumps(body, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as failure:
        raise InvalidRequest(f"A message of the work queue must be JSON: {failure}.") from failure
    if len(text) > MOST_BODY:
        raise InvalidRequest(
            f"A message of the work queue takes {len(text)} bytes as JSON, more than {MOST_BODY}: name what it is about."
        )
    return text


def decode(text: str) -> JsonObject | None:
    """What `encode` wrote; None for what somebody else did."""
    try:
        return read_object(text)
    except ValueError:
        return None
