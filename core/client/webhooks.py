"""Webhook endpoints of a running stack."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from core.client.http import Transport
from core.client.shapes import check_shape, path_of

if TYPE_CHECKING:
    from core.apis.answers.webhooks import (
        WebhookEndpoint,
        WebhookEndpointTest,
        WebhookEndpointWithSecret,
    )

PATH = "/v1/webhook_endpoints"
PAGE = 100


class Webhooks:
    """What a secret is comes with `create` and `rotate_secret`, and never again."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, url: str, event_types: Sequence[str], name: str) -> "WebhookEndpointWithSecret":
        return self._secret(PATH, {"name": name, "url": url, "event_types": list(event_types)})

    def list(self) -> "Sequence[WebhookEndpoint]":
        """All of the caller's own, newest first."""
        from core.apis.answers.webhooks import WebhookEndpointList

        endpoints: list[WebhookEndpoint] = []
        after: str | None = None
        while True:
            answer = self._transport.send("GET", PATH, query={"limit": PAGE, "after": after})
            page = check_shape(answer, WebhookEndpointList)
            endpoints += page["data"]
            if not page["has_more"]:
                return endpoints
            after = page["last_id"]

    def get(self, endpoint_id: str) -> "WebhookEndpoint":
        from core.apis.answers.webhooks import WebhookEndpoint

        return check_shape(self._transport.send("GET", path_of("webhook_endpoints", endpoint_id)), WebhookEndpoint)

    def update(self, endpoint_id: str, **changes: Any) -> "WebhookEndpoint":  # noqa: ANN401 - as the body has them
        """Of `name`, `url` and `event_types` those that are given; the endpoint is in use again."""
        from core.apis.answers.webhooks import WebhookEndpoint

        path = path_of("webhook_endpoints", endpoint_id)
        return check_shape(self._transport.send("POST", path, changes), WebhookEndpoint)

    def rotate_secret(self, endpoint_id: str, *, keep_old: bool = False) -> "WebhookEndpointWithSecret":
        """With `keep_old` the secret of now signs beside the new one for 24 hours."""
        path = f"{path_of('webhook_endpoints', endpoint_id)}/rotate_secret"
        return self._secret(path, {"keep_old_secret_active_for_24_hours": keep_old})

    def test(self, endpoint_id: str, event_type: str) -> "WebhookEndpointTest":
        """What the receiver of a sample answers."""
        from core.apis.answers.webhooks import WebhookEndpointTest

        path = f"{path_of('webhook_endpoints', endpoint_id)}/test"
        return check_shape(self._transport.send("POST", path, {"event_type": event_type}), WebhookEndpointTest)

    def delete(self, endpoint_id: str) -> None:
        self._transport.send("DELETE", path_of("webhook_endpoints", endpoint_id))

    def event_types(self) -> Sequence[str]:
        from core.apis.answers.webhooks import WebhookEventTypes

        return check_shape(self._transport.send("GET", "/v1/webhook_event_types"), WebhookEventTypes)["data"]

    def _secret(self, path: str, body: object) -> "WebhookEndpointWithSecret":
        from core.apis.answers.webhooks import WebhookEndpointWithSecret

        return check_shape(self._transport.send("POST", path, body), WebhookEndpointWithSecret)
