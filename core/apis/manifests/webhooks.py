"""Webhooks: who is told when work of a caller has ended."""

from typing import Final

from core.frame.api import Api, Deployment, Eraser, JobRow, Surface
from core.frame.operations import Operation, openai_paths

TYPES: Final = "core.apis.webhooks"
ANSWERS: Final = "core.apis.answers.webhooks"
ALL: Final = openai_paths("/webhook_endpoints")
ONE: Final = openai_paths("/webhook_endpoints/{webhook_endpoint_id}")
OPERATIONS: Final = (
    Operation(
        "POST",
        ALL,
        "create",
        "Register a URL that is told of events, and get the secret that they are signed with.",
        request=f"{TYPES}:NewEndpoint",
        response=f"{ANSWERS}:WebhookEndpointWithSecret",
    ),
    Operation(
        "GET",
        ALL,
        "index",
        "List your webhook endpoints.",
        query=f"{TYPES}:EndpointsQuery",
        response=f"{ANSWERS}:WebhookEndpointList",
    ),
    Operation("GET", ONE, "get", "Show a webhook endpoint.", response=f"{ANSWERS}:WebhookEndpoint"),
    Operation(
        "POST",
        ONE,
        "update",
        "Change a webhook endpoint, and put it in use again.",
        request=f"{TYPES}:ChangedEndpoint",
        response=f"{ANSWERS}:WebhookEndpoint",
    ),
    Operation("DELETE", ONE, "delete", "Delete a webhook endpoint.", response=f"{ANSWERS}:WebhookEndpointDeleted"),
    Operation(
        "POST",
        openai_paths("/webhook_endpoints/{webhook_endpoint_id}/rotate_secret"),
        "rotate_secret",
        "Give a webhook endpoint another secret.",
        request=f"{TYPES}:RotatedSecret",
        response=f"{ANSWERS}:WebhookEndpointWithSecret",
    ),
    Operation(
        "POST",
        openai_paths("/webhook_endpoints/{webhook_endpoint_id}/test"),
        "test",
        "Send a sample to a webhook endpoint.",
        request=f"{TYPES}:TestedEndpoint",
        response=f"{ANSWERS}:WebhookEndpointTest",
    ),
    Operation(
        "GET",
        openai_paths("/webhook_event_types"),
        "list_event_types",
        "List the types of events that are sent.",
        response=f"{ANSWERS}:WebhookEventTypes",
    ),
)

KEPT: Final = ("webhook_endpoint", "webhook_key")

API: Final = Api(
    "webhooks",
    surfaces=(Surface("webhooks", f"{TYPES}:Webhooks", OPERATIONS),),
    assemble="core.services.webhooks.assemble:assemble",
    provider=f"{TYPES}:WebhooksProvider",
    stores=("documents",),
    optional_stores=("jobs", "queue"),
    collections=KEPT,
    eraser=Eraser("core.services.webhooks.erasing:erase", KEPT),
    jobs=(JobRow("webhook_delivery", "core.services.webhooks.job:delivery_job"),),
    deployment=Deployment(switch="HasWebhooks"),
)
