"""How a message is written down, alike in every queue: its body as JSON, with the namespace where there is one."""

import json
from typing import Final, cast

from core.errors import InvalidRequest
from core.frame.types import JsonObject

MOST_BODY: Final = 64 * 1024
NAMESPACE: Final = "@namespace"


def encode(body: JsonObject, namespace: str = "") -> str:
    """The body as ASCII JSON.

    Raises:
        InvalidRequest: it is too large, or not JSON.
    """
    try:
        text = json.dumps(body | ({NAMESPACE: namespace} if namespace else {}), allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as failure:
        raise InvalidRequest(f"A message of the work queue must be JSON: {failure}.") from failure
    if len(text) > MOST_BODY:
        raise InvalidRequest(
            f"A message of the work queue takes {len(text)} bytes as JSON, more than {MOST_BODY}: name what it is about."
        )
    return text


def decode(text: str, namespace: str = "") -> JsonObject | None:
    """What `encode` wrote; None for what somebody else did, or another namespace."""
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    body = cast("JsonObject", value)
    return body if body.pop(NAMESPACE, "") == namespace else None
