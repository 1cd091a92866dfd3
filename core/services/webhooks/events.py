"""The events that endpoints are sent: each is a function of what it tells of, so that one that is told twice is the same."""

import hashlib
import json
from typing import Final

from core.apis.answers.webhooks import WebhookEvent

DIGITS: Final = 32  # of an id, in hex


def event_of(job_id: str, event_type: str, subject: str, *, created: int) -> WebhookEvent:
    """That `subject` has come to what the type says, by the job of this id. A job has one event of a type."""
    digest = hashlib.sha256(f"{job_id}\0{event_type}".encode()).hexdigest()[:DIGITS]
    return {
        "id": f"evt_{digest}",
        "object": "event",
        "type": event_type,
        "created_at": created,
        "data": {"id": subject},
    }


def encode(event: WebhookEvent) -> bytes:
    """The same bytes each time: they are signed."""
    return json.dumps(event, separators=(",", ":")).encode()
