"""The buffered Lambda runtime: one event in, one whole response out. The only importer of Mangum.

Mangum runs the app and forms the answer. What a request is, `core.runtime.http_events` says for both runtimes; only the
event of an Application Load Balancer, which cannot stream, is Mangum's to read, but for who sent it.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Final, override

from mangum import Mangum
from mangum.handlers import ALB, HTTPGateway
from mangum.types import LambdaConfig, LambdaContext, LambdaHandler
from starlette.applications import Starlette
from starlette.types import Scope

from core.errors import InvalidRequest
from core.frame.tracing import REQUEST_ID
from core.runtime.http_events import forwarded_client, read_event
from core.runtime.loop import process_loop
from core.web.observed import request_id

ANY_TYPE: Final = [""]
"""What is UTF-8 goes as text, whatever its type: a REST API decodes base64 only for who accepts one of its binary media types.
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-payload-encodings.html"""

type Event = dict[str, Any]
type Handler = Callable[[Event, Any], dict[str, Any]]


class GatewayEvent(HTTPGateway):
    """An event of API Gateway or a function URL: read by our parser, answered in Mangum's form."""

    def __init__(self, *args: Any) -> None:  # noqa: ANN401 - the arguments of `infer`, as Mangum's protocol has them
        """Raises NotHttp."""
        event, context, config = args
        super().__init__({"version": "1.0", **event}, context, config)  # a REST API has no other, and does not say it
        self._request = read_event(self.event, config["api_gateway_base_path"])

    @classmethod
    @override
    def infer(cls, event: Event, context: LambdaContext, config: LambdaConfig) -> bool:
        source = event.get("requestContext")
        return isinstance(source, dict) and "elb" not in source

    @property
    @override
    def scope(self) -> Scope:
        return {**self._request.scope, "aws.context": self.context}

    @property
    @override
    def body(self) -> bytes:
        return self._request.body()


class BalancerEvent(ALB):
    """An event of a load balancer that appends the client's address to X-Forwarded-For, as it does unless told otherwise."""

    appends: ClassVar = True

    def __init__(self, *args: Any) -> None:  # noqa: ANN401 - as above
        super().__init__(*args)

    @property
    @override
    def scope(self) -> Scope:
        return {**super().scope, "client": forwarded_client(self.event) if self.appends else None}


class UnvouchedEvent(BalancerEvent):
    """An event of a load balancer that hands on what the client wrote as X-Forwarded-For, or nothing."""

    appends = False


def buffered_handler(app: Starlette, *, base_path: str = "", forwarded_for: str = "append") -> Handler:
    """`app` as a Lambda handler; `base_path` is what a custom domain's mapping puts before every path.

    `forwarded_for` is what a load balancer does with the header (`routing.http.xff_header_processing.mode`).
    """
    process_loop()
    balancer = BalancerEvent if forwarded_for == "append" else UnvouchedEvent
    handlers: list[type[LambdaHandler]] = [GatewayEvent, balancer]
    adapt = partial(
        Mangum,
        lifespan="off",
        api_gateway_base_path=base_path,
        custom_handlers=handlers,
        text_mime_types=ANY_TYPE,
    )
    serve = adapt(app)

    def handle(event: Event, context: Any) -> dict[str, Any]:  # noqa: ANN401 - the runtime's own
        before = REQUEST_ID.set(request_id({"aws.event": event, "aws.context": context}))  # of what Mangum logs
        try:
            return _without_body(event, serve(event, context))
        except InvalidRequest as refusal:  # of the body, before the app: what the app raises does not leave Mangum
            from core.web.app import refusing

            return _without_body(event, adapt(refusing(app, refusal))(event | {"body": None}, context))
        finally:
            REQUEST_ID.reset(before)

    return handle


def _without_body(event: Event, answer: dict[str, Any]) -> dict[str, Any]:
    """`answer`, to a HEAD request without its body, which Starlette leaves to servers to drop."""
    method = event.get("httpMethod") or event["requestContext"].get("http", {}).get("method")
    return answer | {"body": "", "isBase64Encoded": False} if method == "HEAD" else answer
