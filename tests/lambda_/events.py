"""Events as AWS sends them. `events/*.json` are whole recorded shapes of `GET /v1/models`; a call is written into one.

https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html (REST, 1.0),
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html (2.0),
https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html (function URL, 2.0).
"""

from base64 import b64encode
from dataclasses import dataclass, field
import json
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

type Pairs = list[tuple[str, str]]

FOLDER: Final = Path(__file__).parent / "events"
SHAPES: Final = ("rest", "http", "http_stage", "function_url")
SOURCE_IP: Final = "203.0.113.7"  # in all of them, as the last of X-Forwarded-For and in the request context


@dataclass(frozen=True, slots=True)
class Call:
    """What a client sent. A `body` in bytes is one that API Gateway hands on as base64."""

    method: str = "GET"
    path: str = "/v1/models"
    body: str | bytes | None = None
    headers: Pairs = field(default_factory=list[tuple[str, str]])
    query: Pairs = field(default_factory=list[tuple[str, str]])


def post(path: str, body: object) -> Call:
    return Call("POST", path, json.dumps(body, ensure_ascii=False))


def event(shape: str, call: Call) -> dict[str, Any]:
    recorded: dict[str, Any] = json.loads((FOLDER / f"{shape}.json").read_text(encoding="utf-8"))
    body = b64encode(call.body).decode() if isinstance(call.body, bytes) else call.body
    recorded |= {"body": body, "isBase64Encoded": isinstance(call.body, bytes)}
    return _rest(recorded, call) if shape == "rest" else _payload_2(recorded, call)


def _rest(recorded: dict[str, Any], call: Call) -> dict[str, Any]:
    headers = _multi(call.headers)
    query = _multi(call.query)
    stage = recorded["requestContext"]["stage"]
    recorded["requestContext"] |= {"path": f"/{stage}{call.path}", "httpMethod": call.method}
    return recorded | {
        "path": call.path,
        "httpMethod": call.method,
        "headers": recorded["headers"] | {name: values[-1] for name, values in headers.items()},
        "multiValueHeaders": recorded["multiValueHeaders"] | headers,
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
    }


def _payload_2(recorded: dict[str, Any], call: Call) -> dict[str, Any]:
    context = recorded["requestContext"]
    path = f"/{context['stage']}{call.path}" if context["stage"] != "$default" else call.path
    context["http"] |= {"path": path, "method": call.method}
    headers = {name.lower(): ",".join(values) for name, values in _multi(call.headers).items()}
    return recorded | {
        "rawPath": path,
        "rawQueryString": urlencode(call.query),
        "headers": recorded["headers"] | headers,
    }


def _multi(pairs: Pairs) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found
