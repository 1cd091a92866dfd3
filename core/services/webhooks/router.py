"""Webhook endpoints of one caller: kept, listed, changed, tried and deleted."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from secrets import token_hex
from typing import Final

from core.apis.answers.webhooks import (
    WebhookEndpoint,
    WebhookEndpointDeleted,
    WebhookEndpointList,
    WebhookEndpointTest,
    WebhookEndpointWithSecret,
    WebhookEventTypes,
)
from core.apis.webhooks import (
    EVENT_TYPES,
    ChangedEndpoint,
    EndpointsQuery,
    NewEndpoint,
    RotatedSecret,
    TestedEndpoint,
    WebhooksProvider,
)
from core.errors import Conflict
from core.services.webhooks.collection import EndpointCollection
from core.services.webhooks.events import event_of
from core.services.webhooks.records import EndpointRecord, SealedSecret, show
from core.services.webhooks.secrets import SecretSealer
from core.services.webhooks.sending import NoSecret, deliver
from core.services.webhooks.signing import hint_of, new_secret
from core.stores.documents.port import Document

DAY: Final = 24 * 3600
MOST_SECRETS: Final = 5
"""That sign at once: each signature is 50 bytes of a header."""
LOST_KEY: Final = "The key that this endpoint's secret was sealed with is no more. Rotate the secret."


class WebhooksRouter:
    """Answers `core.apis.webhooks.Webhooks`."""

    def __init__(
        self,
        endpoints: EndpointCollection,
        provider: Callable[[], WebhooksProvider],
        sealer: Callable[[], SecretSealer],
    ) -> None:
        """Both are made when they are first needed."""
        self._endpoints = endpoints
        self._provider = provider
        self._sealer = sealer

    async def create(self, request: NewEndpoint) -> WebhookEndpointWithSecret:
        await self._provider().check(request.url)
        endpoints, secret = self._endpoints, new_secret()
        endpoint_id = endpoints.new_id()
        sealed = await self._sealer().seal(secret, endpoint_id, endpoints.owner)
        record = EndpointRecord(
            request.name,
            request.url,
            _each_once(request.event_types),
            [sealed],
            hint_of(secret),
            int(endpoints.clock()),
        )
        document = await endpoints.create(endpoint_id, record, most=self._provider().most_endpoints)
        return _with_secret(document, secret)

    async def index(self, *, query: EndpointsQuery) -> WebhookEndpointList:
        page = await self._endpoints.page(after=query.after, limit=query.limit)
        data = [show(document) for document in page.documents]
        first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
        return {"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": page.has_more}

    async def get(self, webhook_endpoint_id: str) -> WebhookEndpoint:
        return show(await self._endpoints.get(webhook_endpoint_id))

    async def update(self, request: ChangedEndpoint, webhook_endpoint_id: str) -> WebhookEndpoint:
        if request.url is not None:
            await self._provider().check(request.url)
        now = int(self._endpoints.clock())

        def change(record: EndpointRecord) -> EndpointRecord:
            types = record.event_types if request.event_types is None else _each_once(request.event_types)
            name, url = request.name or record.name, request.url or record.url
            changed = replace(record, name=name, url=url, event_types=types, disabled=None)
            return record if changed == record else replace(changed, updated=now)

        return show(await self._endpoints.change(webhook_endpoint_id, change))

    async def delete(self, webhook_endpoint_id: str) -> WebhookEndpointDeleted:
        await self._endpoints.delete(webhook_endpoint_id)
        return {"id": webhook_endpoint_id, "object": "webhook_endpoint.deleted", "deleted": True}

    async def rotate_secret(self, request: RotatedSecret, webhook_endpoint_id: str) -> WebhookEndpointWithSecret:
        document, secret = await self._endpoints.get(webhook_endpoint_id), new_secret()
        sealed = await self._sealer().seal(secret, webhook_endpoint_id, document.parent)
        keeps, now = request.keep_old_secret_active_for_24_hours, int(self._endpoints.clock())

        def change(record: EndpointRecord) -> EndpointRecord:
            old = [_until(old_secret, now + DAY) for old_secret in record.signing(now)] if keeps else []
            secrets = [sealed, *old][:MOST_SECRETS]
            return replace(record, secrets=secrets, hint=hint_of(secret), updated=now)

        return _with_secret(await self._endpoints.change(webhook_endpoint_id, change), secret)

    async def test(self, request: TestedEndpoint, webhook_endpoint_id: str) -> WebhookEndpointTest:
        document, now = await self._endpoints.get(webhook_endpoint_id), self._endpoints.clock()
        kind = request.event_type.partition(".")[0]
        prefix = {"batch": "batch", "response": "resp"}[kind]
        event = event_of(token_hex(12), request.event_type, f"{prefix}_{'0' * 24}", created=int(now))
        try:
            status = await deliver(self._provider(), self._sealer(), document, event, now=now)
        except NoSecret:
            raise Conflict(LOST_KEY) from None
        return {
            "object": "webhook_endpoint.test",
            "webhook_endpoint_id": webhook_endpoint_id,
            "event_type": request.event_type,
            "status_code": status,
            "success": True,
        }

    async def list_event_types(self) -> WebhookEventTypes:
        return {"object": "list", "data": list(EVENT_TYPES)}


def _each_once(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _until(secret: SealedSecret, end: int) -> SealedSecret:
    """It signs until then, or shorter where that was said before."""
    return secret if secret.until is not None else replace(secret, until=end)


def _with_secret(document: Document, secret: str) -> WebhookEndpointWithSecret:
    return {**show(document), "signing_secret": secret}
