"""The buffered Lambda runtime: one event in, one whole response out. The only importer of Mangum.

Event shapes: API Gateway REST (payload 1.0), HTTP API (2.0) and function URLs (2.0), see
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html.
"""

from base64 import b64decode
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from mangum import Mangum
from starlette.applications import Starlette

from core.errors import InvalidRequest

type Event = dict[str, Any]
type Handler = Callable[[Event, Any], dict[str, Any]]

BASE64: Final = "isBase64Encoded"


def buffered(app: Starlette, *, base_path: str = "") -> Handler:
    """`app` as a Lambda handler; `base_path` is what a custom domain's mapping puts before every path."""
    from core.runtime.loop import process_loop

    process_loop()
    made = partial(Mangum, lifespan="off", api_gateway_base_path=base_path or "/")
    mangum = made(app)

    def handler(event: Event, context: Any) -> dict[str, Any]:  # noqa: ANN401 - the runtime's own
        event = _without_stage(event)
        try:
            event = _decoded(event)
        except ValueError:
            from core.web.observed import refusing

            refusal = InvalidRequest("The body is marked as base64 and is not.")
            return made(refusing(app, refusal))(event | {"body": None, BASE64: False}, context)
        return mangum(event, context)

    return handler


def _decoded(event: Event) -> Event:
    """Decode here, where bad base64 can still be answered: Mangum would fail the invocation."""
    if not event.get(BASE64):
        return event
    return event | {"body": b64decode(event.get("body") or "", validate=True), BASE64: False}


def _without_stage(event: Event) -> Event:
    """An HTTP API with a named stage puts it before the path, and a client's URL has it too."""
    context: Event = event.get("requestContext") or {}
    http: dict[str, str] | None = context.get("http")
    prefix = f"/{context.get('stage')}"
    if not http or prefix == "/$default" or not f"{http['path']}/".startswith(f"{prefix}/"):
        return event
    http = http | {"path": http["path"].removeprefix(prefix) or "/"}
    return event | {"requestContext": context | {"http": http}}
