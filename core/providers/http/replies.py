"""What the providers do alike with an upstream's reply; apart from the client, whose import costs a cold start."""

from collections.abc import Awaitable
from typing import Any

from core.errors import ApiError, UpstreamFailed
from core.frame.types import Health, JsonObject
from core.platform import json_reader


def read_json(provider_id: str, content: bytes) -> Any:  # noqa: ANN401 - whatever an upstream sent
    """Raises UpstreamFailed."""
    try:
        return json_reader.read_json(content, allow_nan=True)  # logprobs of servers in Python may be -Infinity
    except ValueError as invalid:
        raise UpstreamFailed(f"Provider `{provider_id}` did not answer with valid JSON.") from invalid


def read_object(provider_id: str, content: bytes) -> JsonObject:
    """Raises UpstreamFailed, for JSON of another shape too."""
    value = read_json(provider_id, content)
    if not isinstance(value, dict):
        raise UpstreamFailed(f"Provider `{provider_id}` did not answer with a JSON object.")
    return value  # pyright: ignore[reportUnknownVariableType] - JSON object keys are strings


async def health_of(probe: Awaitable[object]) -> Health:
    """OK if `probe` succeeds, else its message."""
    try:
        await probe
    except ApiError as failure:
        return Health(status="Error", message=failure.message)
    return Health(status="OK")
