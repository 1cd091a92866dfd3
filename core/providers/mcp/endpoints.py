"""Where the endpoint of a tool group may be. Nothing is connected to: what its name leads to is judged where a socket is made."""

from collections.abc import Mapping, Sequence
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from core.apis.tools import ToolGroup
from core.config.urls import FORBIDDEN, NOT_WEB, host_of, place_fault
from core.errors import InvalidRequest
from core.platform.addresses import Reach, may_name
from core.platform.urls import wire_url

if TYPE_CHECKING:
    from yarl import URL

MOST_URL: Final = 2048  # characters
QUERY: Final = re.compile(r"[!$&-;=?-Z_a-z~%]*")  # as STRICT of core.config.urls has paths
USUAL_PORTS: Final = frozenset({80, 443})
NO_ENDPOINT: Final = (
    "must be http:// or https://, a host, and perhaps a port, a path and a query: no user and no fragment"
)
PARAM: Final = "mcp_endpoint.uri"


def check_endpoint(group: ToolGroup, reach: Reach, hosts: Sequence[str] | None, ports: Sequence[int] | None) -> None:
    """Raise InvalidRequest where it may not be. `hosts` and `ports` bound what callers name; None is any host, and the usual ports."""
    url = group.endpoint
    if not url:
        raise _refused("is missing: tools of an MCP server need its URL, as https://mcp.example.com/mcp")
    if len(url) > MOST_URL:
        raise _refused(f"must be a URL of at most {MOST_URL} characters")
    if fault := operators_fault(url) if group.trusted else callers_fault(url, reach, hosts, ports):
        raise _refused(fault)


def operators_fault(url: str) -> str:
    """What is wrong with a URL of the run config; empty for nothing."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 443
        wire_url(url)
    except ValueError:
        return NOT_WEB
    if parts.scheme.lower() not in {"http", "https"} or not host:
        return NOT_WEB
    if parts.username is not None or parts.password is not None:
        return "must not hold a user name or a password: give them as `servers` of the provider's config"
    return "" if may_name(host, port, "operator") else FORBIDDEN


def callers_fault(url: str, reach: Reach, hosts: Sequence[str] | None, ports: Sequence[int] | None) -> str:
    base, _, query = url.partition("?")
    place = host_of(base)
    if place is None or not QUERY.fullmatch(query):
        return NO_ENDPOINT
    if fault := place_fault(base, reach):
        return fault
    host, port = place
    if hosts is not None and not any(_is_of(host.lower().rstrip("."), pattern) for pattern in hosts):
        return "is on a host that the operator does not allow: see `allowed_hosts` of the provider"
    allowed = USUAL_PORTS if ports is None and reach == "public" else ports
    if allowed is not None and port not in allowed:
        return f"must be on one of these ports: {', '.join(map(str, sorted(allowed)))}"
    return ""


def parse(url: str) -> "URL":
    """As it goes out, of a URL that was checked."""
    from yarl import URL

    return URL(wire_url(url), encoded=True)


def headers_for(url: str, by_uri: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
    """Those that a caller brings for this endpoint, found by host and path as the reference does.

    What is meant for https does not go over http, which the reference would do.
    """
    target = _place(url) if by_uri else None
    for uri, headers in by_uri.items():
        place = _place(uri)
        if place is not None and target is not None and place[1:] == target[1:]:
            return headers if place[0] == target[0] or place[0] == "http" else {}
    return {}


def is_below(url: str, prefix: str) -> bool:
    """Whether the origins are the same, and the path of `prefix` begins that of `url`, up to a slash."""
    place, start = _place(url), _place(prefix)
    if place is None or start is None or place[:3] != start[:3]:
        return False
    return place[3] == start[3] or place[3].startswith(f"{start[3]}/")


def _place(url: str) -> tuple[str, str, int, str] | None:
    """Scheme, host, port and path; None for what is no URL."""
    try:
        parts = urlsplit(url)
        scheme = parts.scheme.lower()
        port = parts.port or (443 if scheme == "https" else 80)
    except ValueError:
        return None
    return (scheme, parts.hostname or "", port, parts.path.rstrip("/")) if parts.hostname else None


def _is_of(host: str, pattern: str) -> bool:
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern


def _refused(fault: str) -> InvalidRequest:
    return InvalidRequest(f"{PARAM}: {fault}.", param=PARAM)
