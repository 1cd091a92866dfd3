"""What AWS sends for an HTTP request, as an ASGI scope and body: REST API (payload 1.0), HTTP API and function URL (2.0).

Both runtimes read events here alone, so that an app cannot tell them apart. Mangum's own handlers fail at an IPv6 host and
at a body that is no base64, and take a base path off where it is only the beginning of a name.
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

from binascii import a2b_base64
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
import json
from typing import Any, Final, cast
from urllib.parse import unquote, urlencode

from pydantic_core import from_json
from starlette.types import Scope

from core.errors import InvalidRequest

type Event = Mapping[str, object]
type Headers = dict[str, str]

DELIMITER: Final = bytes(8)
HTTPS_PORT: Final = 443
LONGEST_PORT: Final = 5  # digits


class NotHttp(Exception):
    """The event is not an HTTP request that this runtime knows; the message says why."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """`rest`: the answer may have a header several times (payload 1.0)."""

    scope: Scope
    rest: bool

    def body(self) -> bytes:
        """The request's body.

        Raises:
            InvalidRequest: it is marked as base64 and is not.
            NotHttp: it is not text.
        """
        event: Event = self.scope["aws.event"]
        body = _text(event.get("body") or "", "body")
        if not event.get("isBase64Encoded"):
            return body.encode()
        try:
            return a2b_base64(body, strict_mode=True)  # `b64decode` would copy the text
        except ValueError as failure:
            raise InvalidRequest("The body is marked as base64, but is not.") from failure

    def prelude(self, status: int, raw_headers: list[tuple[bytes, bytes]]) -> bytes:
        """What API Gateway and function URLs read before a streamed body: status, headers and cookies as JSON."""
        headers: dict[str, list[str]] = {}
        for name, value in raw_headers:
            headers.setdefault(_decode(name).lower(), []).append(_decode(value))
        cookies = headers.pop("set-cookie", [])
        repeated = {name: headers.pop(name) for name in [*headers] if len(headers[name]) > 1} if self.rest else {}
        parts = {"headers": {name: ",".join(values) for name, values in headers.items()}, "cookies": cookies}
        prelude = {"statusCode": status} | parts | ({"multiValueHeaders": repeated} if repeated else {})
        return json.dumps(prelude, separators=(",", ":")).encode() + DELIMITER


def http_request(payload: bytes, base_path: str = "") -> HttpRequest:
    """The request in an invocation's JSON; see `read_event`."""
    return read_event(_load(payload), base_path)


def _load(payload: bytes) -> object:
    """The same of both readers; `json` takes 20 times as long for a body of megabytes.

    Raises:
        NotHttp: it is not JSON.
    """
    with suppress(ValueError):  # headers may hold lone halves of surrogate pairs, which pydantic does not read
        return from_json(payload)
    try:
        return json.loads(payload)
    except (ValueError, RecursionError) as failure:
        raise NotHttp("The event is not JSON.") from failure


def read_event(event: object, base_path: str = "") -> HttpRequest:
    """The request in an event; `base_path` is what a custom domain's mapping puts before every path.

    Raises:
        NotHttp: there is none.
    """
    event = _object(event, "the event")
    context = _object(event.get("requestContext"), "requestContext")
    read = _payload_2 if "http" in context else _payload_1
    return read(event, context, f"/{base_path.strip('/')}".rstrip("/"))


def _payload_1(event: Event, context: Event, base_path: str) -> HttpRequest:
    headers = _lower_names(event.get("headers"))
    for name, values in _optional(event.get("multiValueHeaders"), "multiValueHeaders").items():
        headers[_text(name).lower()] = ", ".join(_texts(values, f"multiValueHeaders.{name}"))
    query = _optional(event.get("multiValueQueryStringParameters"), "multiValueQueryStringParameters")
    query = query or _optional(event.get("queryStringParameters"), "queryStringParameters")
    pairs = [(_text(name), value) for name, values in query.items() for value in _texts(values, "a query parameter")]
    scope = _scope(headers, _text(event.get("path"), "path"), base_path) | {
        "method": _text(event.get("httpMethod"), "httpMethod"),
        "query_string": urlencode(pairs).encode(),
        "client": _client(_optional(context.get("identity"), "requestContext.identity")),
        "aws.event": event,
    }
    return HttpRequest(scope, rest=True)


def _payload_2(event: Event, context: Event, base_path: str) -> HttpRequest:
    http = _object(context["http"], "requestContext.http")
    headers = _lower_names(event.get("headers"))
    if event.get("cookies"):
        headers["cookie"] = "; ".join(_texts(event["cookies"], "cookies"))
    path = _strip_prefix(_text(http.get("path"), "requestContext.http.path"), _stage(context))
    scope = _scope(headers, path, base_path) | {
        "method": _text(http.get("method"), "requestContext.http.method"),
        "query_string": _text(event.get("rawQueryString") or "", "rawQueryString").encode(),
        "client": _client(http),
        "aws.event": event,
    }
    return HttpRequest(scope, rest=False)


def _scope(headers: Headers, path: str, base_path: str) -> dict[str, Any]:
    path = _strip_prefix(path, base_path)
    host, colon, port = headers.get("host", "").rpartition(":")
    name, port = (host, port) if colon and port.isdecimal() else (headers.get("host", ""), "")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.0"},
        "http_version": "1.1",
        "scheme": headers.get("x-forwarded-proto", "https"),
        "path": unquote(path),
        "raw_path": path.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "server": (name, _port(port or headers.get("x-forwarded-port", ""))),
    }


def _stage(context: Event) -> str:
    """An HTTP API with a named stage puts it before the path, and a client's URL has it too."""
    stage = _text(context.get("stage") or "", "requestContext.stage")
    return "" if stage in {"", "$default"} else f"/{stage}"


def _strip_prefix(path: str, prefix: str) -> str:
    return (path.removeprefix(prefix) if f"{path}/".startswith(f"{prefix}/") else path) or "/"


def _port(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) <= LONGEST_PORT else HTTPS_PORT


def _client(vouched: Event) -> tuple[str, int] | None:
    """The address that AWS saw; never one that a header claims."""
    address = vouched.get("sourceIp")
    return (_text(address, "sourceIp"), 0) if address else None


def forwarded_client(event: Event) -> tuple[str, int] | None:
    """The address that an Application Load Balancer vouches for: the last of X-Forwarded-For, which it appended.

    What is before that the client may have written. None where the last is no address.
    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/x-forwarded-headers.html
    """
    from ipaddress import ip_address

    headers = _optional(event.get("multiValueHeaders") or event.get("headers"), "headers")
    values = [_texts(value, name) for name, value in headers.items() if name.lower() == "x-forwarded-for"]
    last = values[0][-1].rpartition(",")[2].strip(" \t") if len(values) == 1 and values[0] else ""
    if last.startswith("["):  # the load balancer may add the client's port
        last = last[1:].partition("]")[0]
    elif last.count(":") == 1:
        last = last.partition(":")[0]
    try:
        return str(ip_address(last)), 0
    except ValueError:
        return None


def _object(value: object, name: str) -> Event:
    if not isinstance(value, dict):
        raise NotHttp(f"The event is not an HTTP request: {name} is not an object.")
    return cast("Event", value)  # JSON object keys are strings


def _optional(value: object, name: str) -> Event:
    return {} if value is None else _object(value, name)


def _lower_names(value: object) -> Headers:
    return {_text(name).lower(): _text(text, f"headers.{name}") for name, text in _optional(value, "headers").items()}


def _texts(value: object, name: str) -> list[str]:
    return [_text(text, name) for text in cast("list[object]", value if isinstance(value, list) else [value])]


def _text(value: object, name: str = "a name") -> str:
    """A string that can be encoded: JSON may hold halves of surrogate pairs, bytes may not."""
    if not isinstance(value, str):
        raise NotHttp(f"The event is not an HTTP request: {name} is not text.")
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def _decode(raw: bytes) -> str:
    """UTF-8 as Mangum reads it; what is none is Latin-1, which everything is."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
