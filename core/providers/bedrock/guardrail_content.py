"""The messages that a guardrail judges, as content of ApplyGuardrail. Pure.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ApplyGuardrail.html.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from core.apis.safety import OUTPUT
from core.frame.types import JsonObject
from core.providers.bedrock.converse.content import to_blocks
from core.providers.http.fields import invalid_field, text_at

PARTS: Final = ("text", "refusal", "image_url")
FORMATS: Final = ("png", "jpeg")  # of the images that a guardrail looks at


def to_content(messages: Sequence[Mapping[str, Any]], source: str, *, strict: bool = True) -> list[JsonObject]:
    """Of INPUT all messages, since the caller wrote them all; of OUTPUT the last, the answer. Nothing for blank ones.

    A message is one text, so that a masked one comes back whole, and then its images.

    Raises:
        InvalidRequest: a message has what a guardrail cannot judge; unless `strict`, images of other formats are left out.
    """
    judged = range(len(messages) - 1 if source == OUTPUT else 0, len(messages))
    return [block for at in judged for block in _blocks(messages[at], f"messages[{at}]", strict=strict)]


def _blocks(message: Mapping[str, Any], path: str, *, strict: bool) -> list[JsonObject]:
    text_at(message.get("role"), f"{path}.role")
    content = message.get("content")
    if content is None:
        return []
    blocks = to_blocks([content] if isinstance(content, dict) else content, f"{path}.content", PARTS)
    texts = [block["text"] for block in blocks if "text" in block]
    images = [block for block in blocks if "image" in block]
    looked_at = [block for block in images if block["image"]["format"] in FORMATS]
    if strict and len(looked_at) < len(images):
        raise invalid_field(f"{path}.content", "a guardrail looks at PNG and JPEG images only.")
    return [{"text": {"text": "\n".join(texts)}}, *looked_at] if texts else looked_at
