"""What the providers do alike with an upstream's reply; apart from the client, whose import costs a cold start."""

from collections.abc import Awaitable, Mapping
from math import ceil
import re
from typing import Any, Final

from core.errors import ApiError, UpstreamFailed
from core.frame.types import Health, JsonObject
from core.platform import json_reader
from core.platform.json_values import is_list, is_object

RETRY_AFTER: Final = re.compile(
    r"[0-9]{1,9}(?:\.[0-9]{1,9})?|[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT"
)  # RFC 9110, 10.2.3, and fractions as some send them
RETRY_AFTER_MS: Final = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?")
MOST_RETRY: Final = 86_400  # seconds; who waits for longer does not wait
SURROGATE: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}|\\."
)
"""An escape in JSON: both halves of a pair, one alone, or any other, which may be of the backslash itself."""
ERROR_NAMES: Final = ("detail", "message", "errors", "error_code")
"""What an error has that is not under `error`."""
LONE: Final = len(rb"\ud83d")
REPLACEMENT: Final = rb"\ufffd"
SMALL: Final = 1024 * 1024  # bytes, of which any JSON is small
MOST_VALUES: Final = 8_000_000
LIST_WEIGHT: Final = 4  # of a list or an object: an empty one takes as much memory as so many numbers


def read_json(provider_id: str, content: bytes, *, finite: bool = False) -> Any:  # noqa: ANN401 - whatever an upstream sent
    """Raises UpstreamFailed: `[[],[],...]` becomes thirty times what it is as text, and more values than that are not read."""
    if len(content) > SMALL:
        lists = content.count(b"[") + content.count(b"{")
        if content.count(b",") + LIST_WEIGHT * lists > MOST_VALUES:
            raise UpstreamFailed(f"Provider `{provider_id}` sent an answer that is too large.")
    try:
        return read_repaired(content, allow_nan=not finite)  # logprobs of servers in Python may be -Infinity
    except ValueError as invalid:
        raise UpstreamFailed(f"Provider `{provider_id}` did not answer with valid JSON.") from invalid


def read_repaired(content: bytes, *, allow_nan: bool = True) -> Any:  # noqa: ANN401 - whatever an upstream sent
    """JSON, with U+FFFD for half a character, which servers send that cut text by tokens: no UTF-8 can hold it.

    Raises ValueError.
    """
    try:
        return json_reader.read_json(content, allow_nan=allow_nan)
    except ValueError:
        text = content.decode(errors="replace").encode()
        repaired = SURROGATE.sub(lambda escape: REPLACEMENT if _is_lone(escape[0]) else escape[0], text)
        if repaired == content:
            raise
        return json_reader.read_json(repaired, allow_nan=allow_nan)


def _is_lone(escape: bytes) -> bool:
    return len(escape) == LONE


def read_object(provider_id: str, content: bytes, *, finite: bool = False) -> JsonObject:
    """Raises UpstreamFailed, for JSON of another shape too."""
    value = read_json(provider_id, content, finite=finite)
    if not isinstance(value, dict):
        raise UpstreamFailed(f"Provider `{provider_id}` did not answer with a JSON object.")
    return value  # pyright: ignore[reportUnknownVariableType] - JSON object keys are strings


def reports_error(answer: JsonObject) -> bool:
    """Whether an answer with status 200, or an event of a stream, is an error in the place of what was asked for."""
    if answer.get("error") or answer.get("object") == "error" or answer.get("type") == "error":
        return True
    choices: object = answer.get("choices")
    if is_list(choices):
        return any([choice.get("error") for choice in choices if is_object(choice)])  # noqa: C419 - no generator
    return not answer.get("object") and "data" not in answer and any(map(answer.get, ERROR_NAMES))


def retry_after_header(headers: Mapping[str, str]) -> dict[str, str]:
    """When an upstream says to come back, as a header of ours, of a day at most; empty for what is no such time."""
    milliseconds = headers.get("retry-after-ms", "")
    text = headers.get("retry-after") or ""
    if not RETRY_AFTER.fullmatch(text):
        if not RETRY_AFTER_MS.fullmatch(milliseconds):
            return {}
        text = str(ceil(float(milliseconds) / 1000))
    if not text.endswith("GMT") and float(text) > MOST_RETRY:
        text = str(MOST_RETRY)
    return {"retry-after": text}


async def health_of(probe: Awaitable[object]) -> Health:
    """OK if `probe` succeeds, else its message, and what to do."""
    try:
        await probe
    except ApiError as failure:
        return describe_health(failure)
    return Health(status="OK")


def describe_health(failure: ApiError) -> Health:
    """That of a provider whose check failed so."""
    return Health(status="Error", message=" ".join(filter(None, (failure.message, failure.fault))))
