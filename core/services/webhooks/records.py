"""What is kept of webhooks: the bodies of the documents of endpoints, and how they are shown.

    webhook_endpoint   id we_HEX   parent OWNER   EndpointRecord

The tally `endpoints` under (`webhook_endpoint`, `owner:OWNER`) is how many there are.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
import re
from typing import Final, Self

from core.apis.answers.webhooks import WebhookEndpoint
from core.frame.types import JsonObject
from core.stores.documents.port import Document

ENDPOINT: Final = "webhook_endpoint"
ENDPOINTS: Final = "endpoints"
PREFIX: Final = "we_"
ID: Final = re.compile(r"we_[0-9a-f]{24}")


@dataclass(frozen=True, slots=True)
class SealedSecret:
    """`sealed` opens for its endpoint and owner alone; it signs before `until` (Unix seconds), or for as long as there is no other."""

    sealed: str
    until: int | None = None


@dataclass(frozen=True, slots=True)
class EndpointRecord:
    """`secrets` begin with the newest; what a later release adds to a body is passed over."""

    name: str
    url: str
    event_types: Sequence[str]
    secrets: Sequence[SealedSecret]
    hint: str
    updated: int
    disabled: int | None = None

    @classmethod
    def read(cls, body: JsonObject) -> Self:
        secrets = [SealedSecret(secret["sealed"], secret["until"]) for secret in body["secrets"]]
        return cls(
            body["name"],
            body["url"],
            body["event_types"],
            secrets,
            body["hint"],
            body["updated"],
            body.get("disabled"),
        )

    def body(self) -> JsonObject:
        return asdict(self)

    def wants(self, event_type: str) -> bool:
        return self.disabled is None and event_type in self.event_types

    def signing(self, now: float) -> list[SealedSecret]:
        """The secrets that sign now."""
        return [secret for secret in self.secrets if secret.until is None or now < secret.until]


def show(document: Document) -> WebhookEndpoint:
    """The shape on the wire."""
    record = EndpointRecord.read(document.body)
    return {
        "id": document.id,
        "object": "webhook_endpoint",
        "name": record.name,
        "url": record.url,
        "event_types": list(record.event_types),
        "created_at": document.created,
        "updated_at": record.updated,
        "signing_secret_hint": record.hint,
        "disabled_at": record.disabled,
    }
