"""The revisions of MCP that are served, and which one a request speaks: stateless, or after an `initialize` of which nothing is kept.

Source: https://modelcontextprotocol.io/specification/2026-07-28/basic/transports (headers, versions, codes).
"""

from base64 import b64decode
from binascii import Error as NotBase64
import re
from typing import Any, Final

from core.apis.mcp import HEADER_MISMATCH, INVALID_PARAMS, UNSUPPORTED_VERSION, RpcError, RpcRequest
from core.frame.types import JsonObject
from core.platform.json_values import to_object

STATELESS: Final = "2026-07-28"
WITH_INITIALIZE: Final = ("2025-11-25", "2025-06-18", "2025-03-26")
PREFIX: Final = "io.modelcontextprotocol/"
NAMED: Final = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
"""Methods whose requests have `mcp-name`: the parameter that it repeats."""
ENCODED: Final = re.compile(r"=\?base64\?(.*)\?=")
MOST_DEPTH: Final = 8  # levels of a schema that are looked at
HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")  # RFC 9110, 5.6.2
MIRRORED_TYPES: Final = ("string", "integer", "boolean", "number")
NUMBER: Final = re.compile(r"-?[0-9]{1,40}(?:\.[0-9]{1,40})?(?:[eE][+-]?[0-9]{1,3})?")
BAD_REQUEST: Final = 400
LONGEST_SHOWN: Final = 40  # characters of a version that is not served


def is_stateless(request: RpcRequest) -> bool:
    """Whether it speaks 2026-07-28, and then rightly; other revisions have nothing to get wrong here.

    Raises RpcError for a version that is not served, for headers that differ from the body, and for `_meta` without its fields.
    """
    meta = to_object(request.params.get("_meta"))
    values, inside = request.headers.get("mcp-protocol-version", ()), meta.get(f"{PREFIX}protocolVersion")
    if inside is None and (not values or (len(values) == 1 and values[0] in WITH_INITIALIZE)):
        return False
    if len(values) != 1:
        raise _mismatch("mcp-protocol-version must be there once, with the version that is in `_meta`")
    if not isinstance(inside, str) or not isinstance(meta.get(f"{PREFIX}clientCapabilities"), dict):
        fields = f"`{PREFIX}protocolVersion` and `{PREFIX}clientCapabilities`"
        raise RpcError(INVALID_PARAMS, f"`params._meta` must have {fields}.", status=BAD_REQUEST)
    if values[0] != inside:
        raise _mismatch("mcp-protocol-version is another version than the one in `_meta`")
    if inside != STATELESS:
        raise refuse_version(inside)
    _check_headers(request)
    return True


def refuse_version(version: str) -> RpcError:
    data: JsonObject = {"supported": [STATELESS], "requested": version[:LONGEST_SHOWN]}
    return RpcError(
        UNSUPPORTED_VERSION,
        f"This protocol version is not served. Send {STATELESS}, or begin with `initialize` for {', '.join(WITH_INITIALIZE)}.",
        status=BAD_REQUEST,
        data=data,
    )


def negotiate(params: JsonObject) -> str:
    """The version of an `initialize`: the client's where it is served, else the newest."""
    version = params.get("protocolVersion")
    return version if version in WITH_INITIALIZE else WITH_INITIALIZE[0]


def _check_headers(request: RpcRequest) -> None:
    if request.headers.get("mcp-method") != (request.method,):
        raise _mismatch("mcp-method must be there once, with the method in the body")
    name = NAMED.get(request.method)
    if name is None or not isinstance(request.params.get(name), str):
        return
    values = request.headers.get("mcp-name", ())
    if len(values) != 1 or _decode(values[0]) != request.params[name]:
        raise _mismatch(f"mcp-name must be there once, with `params.{name}`")


def check_arguments(request: RpcRequest, schema: JsonObject, arguments: JsonObject) -> None:
    """Hold the headers `mcp-param-*` to the arguments that the tool's schema mirrors in them (`x-mcp-header`)."""
    for header, path in headers_in(schema):
        value: Any = arguments
        for name in path:
            value = to_object(value).get(name)
        values = request.headers.get(f"mcp-param-{header.lower()}", ())
        if value is None:
            if values:
                raise _mismatch(f"mcp-param-{header} is there without `{'.'.join(path)}`")
        elif len(values) != 1 or not _is_same(_decode(values[0]), value):
            raise _mismatch(f"mcp-param-{header} must be there once, with `{'.'.join(path)}`")


def headers_in(schema: JsonObject, path: tuple[str, ...] = ()) -> list[tuple[str, tuple[str, ...]]]:
    """The headers that a schema asks for, with the path of each one's argument; what is not reached by `properties` alone is none."""
    headers: list[tuple[str, tuple[str, ...]]] = []
    if len(path) > MOST_DEPTH:
        return headers
    for name, field in to_object(schema.get("properties")).items():
        rule = to_object(field)
        header = rule.get("x-mcp-header")
        if isinstance(header, str) and HEADER.fullmatch(header) and rule.get("type") in MIRRORED_TYPES:
            headers.append((header, (*path, name)))
        headers += headers_in(rule, (*path, name))
    return headers


def _is_same(text: str | None, value: object) -> bool:
    if isinstance(value, str):
        return text == value
    if isinstance(value, bool):
        return text == ("true" if value else "false")
    if text is None or not isinstance(value, int | float) or not NUMBER.fullmatch(text):
        return False
    return text == str(value) or float(text) == value


def _decode(text: str) -> str | None:
    """A header's value; None for one that says it is base64 and is not."""
    match = ENCODED.fullmatch(text)
    if match is None:
        return text
    try:
        return b64decode(match[1], validate=True).decode()
    except (NotBase64, ValueError):
        return None


def _mismatch(what: str) -> RpcError:
    return RpcError(HEADER_MISMATCH, f"Header mismatch: {what}.", status=BAD_REQUEST)
