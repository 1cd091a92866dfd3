"""Signed JSON for a service whose resource the run config names by its ARN, or by a name in the SDK's own region."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from core.platform.signed_json import SignedJson
    from core.providers.aws.clients import AwsClients

TRIES: Final = 3
ARN_PARTS: Final = 6


def open_signed(
    service: str,
    resource: str,
    clients: "AwsClients",
    *,
    endpoint_url: str | None,
    connect_seconds: float,
    read_seconds: float,
) -> "SignedJson":
    """Of the region in the resource's ARN; a call takes both times together at most, tries included."""
    from core.platform.signed_json import CallOptions, SignedJson

    parts = resource.split(":")
    options = CallOptions(
        parts[3] if parts[0] == "arn" and len(parts) >= ARN_PARTS else None,
        endpoint_url,
        connect_timeout=connect_seconds,
        read_timeout=read_seconds,
        total_timeout=connect_seconds + read_seconds,
        tries=TRIES,
        dual_stack=False,
    )
    return SignedJson(service, clients, options)
