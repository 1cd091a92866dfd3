"""What may be fetched on behalf of a caller, who names the URL."""

from typing import Annotated, Final

from pydantic import AfterValidator, Field, StringConstraints

from core.config.records import Record, Seconds, Whole
from core.frame.forms import of_form

MIB: Final = 1024 * 1024
GIB: Final = 1024 * MIB


def _lower(text: str) -> str:
    """`str.lower` itself is asked for its signature, which Python then parses."""
    return text.lower()


type HostPattern = Annotated[
    str,
    of_form(
        r"^(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$",
        "must be a host's name, as example.com, or *.example.com for every name below it",
    ),
    StringConstraints(max_length=255),
    AfterValidator(_lower),
]
type Port = Annotated[Whole, Field(ge=1, le=65535)]


class FetchConfig(Record):
    """Times are in seconds; `timeout` is for all of a fetch, its redirects included.

    `allow_private_addresses` is for RFC 1918, 100.64.0.0/10, fc00::/7 and loopback; link-local and metadata addresses
    are never fetched from. `allowed_hosts` are names as URLs write them, or `*.example.com` for every name below that
    one; None is any host. A host must be allowed by both.
    """

    allow_private_addresses: bool = False
    allowed_hosts: tuple[HostPattern, ...] | None = None
    allowed_ports: tuple[Port, ...] = (80, 443)
    max_bytes: Annotated[Whole, Field(gt=0)] = 5 * MIB
    timeout: Annotated[Seconds, Field(gt=0)] = 10.0
    connect_timeout: Annotated[Seconds, Field(gt=0)] = 5.0


class SourceFetchConfig(FetchConfig):
    """Of files that are read as they come: `timeout` bounds the answer's beginning and each wait for more, `max_seconds` all of it."""

    max_bytes: Annotated[Whole, Field(gt=0)] = GIB
    timeout: Annotated[Seconds, Field(gt=0)] = 30.0
    max_seconds: Annotated[Seconds, Field(gt=0)] = 800.0
