"""Where an issuer publishes its keys: at a URL, or at the one that its discovery document names.

Sources: RFC 7517, 5 (JWKS), OpenID Connect Discovery 1.0, 4.
"""

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from core.auth.endpoint import Endpoint, unusable
from core.auth.keys import Key, parse_keys
from core.auth.urls import checked_url
from core.platform.json_values import to_object
from core.platform.urls import join_path

DISCOVERY = "/.well-known/openid-configuration"


def keys_from_url(endpoint: Endpoint, url: str, token: str | None = None) -> Callable[[], Awaitable[list[Key]]]:
    """A source of the keys at `url`; `token` is sent there as a bearer token. Calling it raises AuthUnavailable."""

    async def fetch() -> list[Key]:
        return await _keys(endpoint, url, _bearer(token))

    return fetch


def keys_from_discovery(endpoint: Endpoint, url: str, token: str | None = None) -> Callable[[], Awaitable[list[Key]]]:
    """A source of the keys that the issuer at `url` refers to; `token` is sent to the origin of `url` only."""

    async def fetch() -> list[Key]:
        issuer, jwks_uri = await _document(endpoint, url, _bearer(token))
        same = _origin(jwks_uri) == _origin(url)
        return await _keys(endpoint, jwks_uri, _bearer(token) if same else {}, issuer)

    return fetch


async def _document(endpoint: Endpoint, url: str, headers: dict[str, str]) -> tuple[str, str]:
    reply = await endpoint.request("GET", join_path(url, DISCOVERY), headers=headers)
    body = to_object(reply.body)
    issuer, jwks_uri = body.get("issuer"), body.get("jwks_uri")
    if reply.status != 200 or not isinstance(issuer, str) or not isinstance(jwks_uri, str):  # noqa: PLR2004
        raise unusable(url, f"answered {reply.status} and no discovery document")
    if not _is_safe(url, jwks_uri):
        raise unusable(url, "names a jwks_uri that is not followed")
    return issuer, jwks_uri


def _is_safe(url: str, jwks_uri: str) -> bool:
    """Whether to follow it: a remote issuer must lead neither to this machine nor from https to http."""
    try:
        checked_url(jwks_uri)
    except ValueError:
        return False
    return urlsplit(jwks_uri).scheme == urlsplit(url).scheme


async def _keys(endpoint: Endpoint, url: str, headers: dict[str, str], issuer: str | None = None) -> list[Key]:
    reply = await endpoint.request("GET", url, headers=headers)
    try:
        return parse_keys(reply.body if reply.status == 200 else None, issuer)  # noqa: PLR2004
    except ValueError as failure:
        raise unusable(url, f"answered {reply.status} and no keys") from failure


def _bearer(token: str | None) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"} if token else {}


def _origin(url: str) -> tuple[str, str | None, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80}.get(parts.scheme, 443)
