"""One delivery to one endpoint: signed by what is kept of it, and sent by the provider."""

from typing import TYPE_CHECKING

from core.apis.answers.webhooks import WebhookEvent
from core.apis.webhooks import Post, WebhooksProvider
from core.errors import NotFound
from core.services.parts import Parts
from core.services.webhooks.events import encode
from core.services.webhooks.records import EndpointRecord
from core.services.webhooks.signing import sign
from core.stores.documents.port import Document

if TYPE_CHECKING:
    from core.services.webhooks.secrets import SecretSealer


class NoSecret(Exception):
    """None of an endpoint's secrets can be opened: the key that they were sealed with is no more."""


def provider_of(parts: Parts) -> WebhooksProvider:
    """The first of the run config's; raises NotFound where there is none."""
    provider = find_provider(parts)
    if provider is None:
        raise NotFound("This stack sends no webhooks: its run config has no provider of them.")
    return provider


def find_provider(parts: Parts) -> WebhooksProvider | None:
    """None where webhooks are not served."""
    provider: WebhooksProvider | None = next(iter(parts.providers("webhooks").values()), None)
    return provider


async def deliver(
    provider: WebhooksProvider, sealer: "SecretSealer", endpoint: Document, event: WebhookEvent, *, now: float
) -> int:
    """The status that the receiver answered.

    Raises:
        NoSecret: rotating the secret mends it.
        ProviderUnavailable: nobody answered.
    """
    record, body = EndpointRecord.read(endpoint.body), encode(event)
    secrets = await sealer.open(record, endpoint.id, endpoint.parent, now=now)
    if not secrets:
        raise NoSecret
    return await provider.send(Post(record.url, sign(body, event["id"], secrets, now=now), body))
