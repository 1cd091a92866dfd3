"""Requests and answers of protocols that have their own words for what is wrong. Imported only where an operation has one."""

import re
from typing import Final

from pydantic_core import to_json
from starlette.responses import Response
from starlette.types import Scope

from core.errors import Unauthenticated
from core.frame.content import Answer, Message
from core.platform.hosts import host_of
from core.web.exchange import Exchange
from core.web.failures import JSON
from core.web.headers import clean_headers, header_values

ADDRESS: Final = re.compile(r"https?://[a-z0-9._:\[\]-]+(/[A-Za-z0-9._~/-]*)?")
LONGEST_ADDRESS: Final = 512  # characters


def message_of(scope: Scope, prefixes: tuple[str, ...], content: bytes) -> Message:
    """The request with the headers whose names begin with one of `prefixes`."""
    headers: dict[str, tuple[str, ...]] = {}
    for raw, value in scope["headers"]:
        name = raw.decode("latin-1")
        if name.startswith(prefixes):
            headers[name] = (*headers.get(name, ()), value.decode("latin-1").strip(" \t"))
    return Message(content, headers, address_of(scope))


def address_of(scope: Scope) -> str:
    """As in a Message. The header Host is the gateway's word, or was looked at (`core/web/hosts.py`) where it must be."""
    hosts = header_values(scope, b"host")
    if len(hosts) != 1 or host_of(hosts[0]) is None:
        return ""
    address = f"{scope.get('scheme', 'http')}://{hosts[0].lower()}{_prefix(scope)}"
    return address if len(address) <= LONGEST_ADDRESS and ADDRESS.fullmatch(address) else ""


def _prefix(scope: Scope) -> str:
    """What a gateway put before the path that the app sees: a stage, or what a custom domain's mapping has."""
    match scope.get("aws.event"):
        case {"requestContext": {"http": {"path": str(path)}}} | {"requestContext": {"path": str(path)}}:
            return path.removesuffix(scope["path"]) if path.endswith(scope["path"]) else ""
        case _:
            return str(scope.get("root_path", ""))


def respond_as(answer: Answer, exchange: Exchange) -> Response:
    """The answer; its failure is noted for the request's line."""
    if answer.code:
        exchange.call.observed.note_failure(answer.code, "", "")
    if answer.body is None:
        return Response(status_code=answer.status)
    headers = clean_headers(exchange.call.answer_headers)
    return Response(to_json(answer.body, inf_nan_mode="null"), answer.status, headers, media_type=JSON)


def name_metadata(failure: Unauthenticated, scope: Scope, path: str) -> None:
    """Add to the challenge where the metadata of what was asked for is (RFC 9728, 5.1)."""
    if address := address_of(scope):
        failure.headers["www-authenticate"] += f', resource_metadata="{address}{path}"'
