"""How webhooks are signed: HMAC-SHA256 of `id.timestamp.body`, once for each secret.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md, and `lib/_webhooks.py` of `openai` 3.57.
"""

from base64 import b64decode, b64encode
from collections.abc import Sequence
import hashlib
import hmac
from secrets import token_bytes
from typing import Final

PREFIX: Final = "whsec_"
SECRET_BYTES: Final = 32
HINT: Final = 4  # characters of a secret that are shown


def new_secret() -> str:
    return PREFIX + b64encode(token_bytes(SECRET_BYTES)).decode()


def hint_of(secret: str) -> str:
    """What its owner may know it by."""
    return f"{PREFIX}...{secret[-HINT:]}"


def sign(body: bytes, event_id: str, secrets: Sequence[str], *, now: float) -> dict[str, str]:
    """The headers of a delivery at `now` (Unix seconds)."""
    timestamp = str(int(now))
    content = f"{event_id}.{timestamp}.".encode() + body
    keys = [b64decode(secret.removeprefix(PREFIX)) for secret in secrets]
    signatures = [b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode() for key in keys]
    return {
        "content-type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
