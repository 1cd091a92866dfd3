"""Webhook endpoints as a client gets them."""

from typing import Literal, TypedDict


class WebhookEndpoint(TypedDict):
    """`disabled_at` is our own: when its receiver answered 410, since when it is sent nothing; a change puts it in use again."""

    id: str
    object: Literal["webhook_endpoint"]
    name: str
    url: str
    event_types: list[str]
    created_at: int
    updated_at: int | None
    signing_secret_hint: str | None
    disabled_at: int | None


class WebhookEndpointWithSecret(WebhookEndpoint):
    """`signing_secret` is shown this once."""

    signing_secret: str


class WebhookEndpointList(TypedDict):
    object: Literal["list"]
    data: list[WebhookEndpoint]
    first_id: str | None
    last_id: str | None
    has_more: bool


class WebhookEndpointDeleted(TypedDict):
    id: str
    object: Literal["webhook_endpoint.deleted"]
    deleted: bool


class WebhookEndpointTest(TypedDict):
    """What the receiver answered: any status is a success."""

    object: Literal["webhook_endpoint.test"]
    webhook_endpoint_id: str
    event_type: str
    status_code: int
    success: bool


class WebhookEventTypes(TypedDict):
    object: Literal["list"]
    data: list[str]


class EventSubject(TypedDict):
    """What has ended."""

    id: str


class WebhookEvent(TypedDict):
    """The body of what an endpoint is sent."""

    id: str
    object: Literal["event"]
    type: str
    created_at: int
    data: EventSubject
