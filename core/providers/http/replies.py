"""What the providers do alike with an upstream's reply; apart from the client, whose import costs a cold start."""

from collections.abc import Awaitable
import re
from typing import Any, Final

from core.errors import ApiError, UpstreamFailed
from core.frame.types import Health, JsonObject
from core.platform import json_reader

RETRY_AFTER: Final = re.compile(
    r"[0-9]{1,9}|[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT"
)  # RFC 9110, 10.2.3
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
        return json_reader.read_json(content, allow_nan=not finite)  # logprobs of servers in Python may be -Infinity
    except ValueError as invalid:
        raise UpstreamFailed(f"Provider `{provider_id}` did not answer with valid JSON.") from invalid


def read_object(provider_id: str, content: bytes, *, finite: bool = False) -> JsonObject:
    """Raises UpstreamFailed, for JSON of another shape too."""
    value = read_json(provider_id, content, finite=finite)
    if not isinstance(value, dict):
        raise UpstreamFailed(f"Provider `{provider_id}` did not answer with a JSON object.")
    return value  # pyright: ignore[reportUnknownVariableType] - JSON object keys are strings


def retry_after_header(text: str | None) -> dict[str, str]:
    """What an upstream says in Retry-After, as a header of ours; empty for what is no such time."""
    return {"retry-after": text} if text is not None and RETRY_AFTER.fullmatch(text) else {}


async def health_of(probe: Awaitable[object]) -> Health:
    """OK if `probe` succeeds, else its message."""
    try:
        await probe
    except ApiError as failure:
        return Health(status="Error", message=failure.message)
    return Health(status="OK")
