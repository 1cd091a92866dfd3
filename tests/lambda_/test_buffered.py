"""What the app is told about a request is what AWS vouches for, whatever the event's shape, in both runtimes."""

import asyncio
from collections.abc import Callable
import json
import os
import signal
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from core.runtime.buffered import buffered_handler
from core.runtime.invocations import RuntimeApi
from core.runtime.loop import process_loop
from core.runtime.stream import ExecutionEnvironment
from core.web.exchange import chain, endpoint
from tests.lambda_.events import SHAPES, SOURCE_IP, Call, event
from tests.lambda_.runtime_api import Outcome, listening

type Answers = Callable[[ASGIApp, dict[str, Any], str], dict[str, Any]]

every_shape = pytest.mark.parametrize("shape", SHAPES)


def in_one_piece(app: ASGIApp, sent: dict[str, Any], base_path: str = "") -> dict[str, Any]:
    return buffered_handler(everywhere(app), base_path=base_path)(sent, None)


def as_it_comes(app: ASGIApp, sent: dict[str, Any], base_path: str = "") -> dict[str, Any]:
    """The streamed answer in the form of the other."""
    outcome = streamed(app, sent, base_path)
    return outcome.prelude | {"body": outcome.body.decode()}


def streamed(app: ASGIApp, sent: dict[str, Any], base_path: str = "") -> Outcome:
    async def serve() -> Outcome:
        async with listening() as double:
            api = RuntimeApi(double.address)
            running = asyncio.create_task(ExecutionEnvironment(app, api, {"LLAMBDA_BASE_PATH": base_path}).run())
            outcome = await double.invoke(sent).whole()
            os.kill(os.getpid(), signal.SIGTERM)
            await running
            await api.close()
            return outcome

    try:
        return process_loop().run_until_complete(serve())
    finally:
        process_loop().remove_signal_handler(signal.SIGTERM)


@pytest.fixture(params=[in_one_piece, as_it_comes], ids=["buffered", "streaming"])
def answers(request: pytest.FixtureRequest) -> Answers:
    runtime: Answers = request.param
    return runtime


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with what was asked."""
    request = Request(scope, receive)
    assert request.client is not None
    content = {
        "method": request.method,
        "path": scope["path"],
        "query": request.query_params.multi_items(),
        "headers": dict(request.headers),
        "client": request.client.host,
        "scheme": request.url.scheme,
        "body": (await request.body()).decode(),
    }
    await JSONResponse(content)(scope, receive, send)


def everywhere(app: ASGIApp) -> Starlette:
    """`app` at every path."""
    return Starlette(routes=[Mount("", app=app)])


def told(answers: Answers, sent: dict[str, Any], *, base_path: str = "") -> dict[str, Any]:
    """What `echo` saw of an event."""
    answer = answers(echo, sent, base_path)
    assert answer["statusCode"] == 200, answer
    seen: dict[str, Any] = json.loads(answer["body"])
    return seen


@every_shape
def test_client_is_the_address_in_the_request_context_and_not_a_forwarded_one(answers: Answers, shape: str) -> None:
    forged = [("X-Forwarded-For", "192.0.2.1"), ("Forwarded", "for=192.0.2.1"), ("X-Real-Ip", "192.0.2.1")]
    assert told(answers, event(shape, Call(headers=forged)))["client"] == SOURCE_IP


@pytest.mark.parametrize("path", ["/developers", "/v1/dev", "/dev"])
def test_only_the_stage_itself_is_taken_off_the_path(answers: Answers, path: str) -> None:
    assert told(answers, event("http_stage", Call(path=path)))["path"] == path


def test_stage_alone_is_the_root(answers: Answers) -> None:
    sent = event("http_stage", Call(path=""))
    assert sent["requestContext"]["http"]["path"] == "/dev"
    assert told(answers, sent)["path"] == "/"


@every_shape
def test_base_path_of_a_custom_domain_is_taken_off(answers: Answers, shape: str) -> None:
    sent = event(shape, Call(path="/llm/v1/models"))
    assert told(answers, sent, base_path="/llm")["path"] == "/v1/models"


@every_shape
@pytest.mark.parametrize("body", ["", "text", "Grüße 👋", "Grüße 👋".encode()])
def test_body_arrives_unchanged_as_text_or_base64(answers: Answers, shape: str, body: str | bytes) -> None:
    wanted = body if isinstance(body, str) else body.decode()
    assert told(answers, event(shape, Call("POST", body=body)))["body"] == wanted


def test_multipart_arrives_as_it_was_sent_and_json_leaves_as_text(answers: Answers) -> None:
    """As the API's binary media types have it: the body in base64, whatever its bytes, and no answer in base64."""
    sent = b'--x\r\ncontent-disposition: form-data; name="file"\r\n\r\n' + bytes(range(256)) + b"\r\n--x--\r\n"

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        received = await Request(scope, receive).body()
        await JSONResponse({"same": received == sent})(scope, receive, send)

    headers = [("content-type", "multipart/form-data; boundary=x")]
    answer = answers(app, event("rest", Call("POST", "/v1/files", sent, headers)), "")
    assert not answer.get("isBase64Encoded", False)
    assert json.loads(answer["body"]) == {"same": True}


@every_shape
@pytest.mark.parametrize(("content", "sent"), [(b"\x00\xff", (True, "AP8=")), ("ä\n".encode(), (False, "ä\n"))])
def test_bytes_go_out_as_text_where_they_are_utf8_whatever_their_type(
    shape: str, content: bytes, sent: tuple[bool, str]
) -> None:
    """A REST API decodes base64 only for who accepts one of its binary media types."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(content, media_type="application/octet-stream")(scope, receive, send)

    answer = in_one_piece(app, event(shape, Call()))
    assert (answer["isBase64Encoded"], answer["body"]) == sent


@every_shape
def test_every_cookie_of_an_answer_is_kept(answers: Answers, shape: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        response = Response("ok")
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")
        await response(scope, receive, send)

    answer = answers(app, event(shape, Call()), "")
    cookies = answer.get("cookies") or answer["multiValueHeaders"]["set-cookie"]
    assert [cookie.split("=")[0] for cookie in cookies] == ["a", "b"]


@every_shape
@pytest.mark.parametrize("body", ["%%%", "QUJ", "§"])
def test_body_that_is_not_base64_as_marked_is_refused_before_the_app(answers: Answers, shape: str, body: str) -> None:
    sent = event(shape, Call("POST")) | {"body": body, "isBase64Encoded": True}
    answer = answers(echo, sent, "")
    assert answer["statusCode"] == 400
    assert json.loads(answer["body"])["error"]["code"] == "invalid_request"


def test_event_of_a_load_balancer_is_answered() -> None:
    sent = {
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/a/b"}},
        "httpMethod": "POST",
        "path": "/v1/models",
        "queryStringParameters": {"a": "b%20c"},
        "headers": {"host": "a.example", "x-forwarded-for": SOURCE_IP},
        "body": "text",
        "isBase64Encoded": False,
    }
    seen = told(in_one_piece, sent)
    assert (seen["method"], seen["path"], seen["query"], seen["body"]) == ("POST", "/v1/models", [["a", "b c"]], "text")


def balanced(*addresses: str, name: str = "x-forwarded-for", many: bool = False) -> dict[str, Any]:
    values = [*addresses] if many else ",".join(addresses)
    headers: dict[str, Any] = {"host": ["a.example"] if many else "a.example"}
    sent: dict[str, Any] = {
        "requestContext": {"elb": {"targetGroupArn": "a"}},
        "httpMethod": "GET",
        "path": "/v1/models",
    }
    return sent | {"multiValueHeaders" if many else "headers": headers | ({name: values} if addresses else {})}


@pytest.mark.parametrize(
    ("sent", "client"),
    [
        (balanced("203.0.113.7"), "203.0.113.7"),
        (balanced("127.0.0.1", " 203.0.113.7 "), "203.0.113.7"),
        (balanced("127.0.0.1", "203.0.113.7:5123"), "203.0.113.7"),
        (balanced("127.0.0.1", "2001:db8::7"), "2001:db8::7"),
        (balanced("127.0.0.1", "[2001:db8::7]:5123"), "2001:db8::7"),
        (balanced("127.0.0.1", "203.0.113.7", name="X-Forwarded-For"), "203.0.113.7"),
        (balanced("127.0.0.1", "10.0.0.1, 203.0.113.7", many=True), "203.0.113.7"),
        (balanced("203.0.113.7", ""), None),
        (balanced("203.0.113.7", "unknown"), None),
        (balanced("203.0.113.7", "for=127.0.0.1"), None),
        (balanced("203.0.113.7", "203.0.113.007"), None),
        (balanced("127.0.0.1", "203.0.113.7\x00"), None),
        (balanced(), None),
        (balanced(many=True), None),
    ],
)
def test_behind_a_load_balancer_the_caller_is_whom_it_appended(sent: dict[str, Any], client: str | None) -> None:
    async def show(request: Request) -> Response:
        return JSONResponse(None if request.client is None else request.client.host)

    app = Starlette(routes=[Route("/v1/models", show)])
    assert json.loads(buffered_handler(app)(sent, None)["body"]) == client
    for mode in ("preserve", "remove"):
        assert json.loads(buffered_handler(app, forwarded_for=mode)(sent, None)["body"]) is None


@every_shape
def test_functions_deadline_bounds_a_buffered_answer_too(shape: str) -> None:
    class Context:
        def get_remaining_time_in_millis(self) -> int:
            return 550

    async def stuck(*_: object) -> Response:
        await asyncio.sleep(3600)
        raise AssertionError

    app = Starlette(routes=[Route("/v1/models", endpoint(chain(stuck, [])))])
    answer = buffered_handler(app)(event(shape, Call()), Context())
    assert (answer["statusCode"], json.loads(answer["body"])["error"]["code"]) == (504, "upstream_timeout")


@every_shape
@pytest.mark.parametrize("body", ["{}", "no base64"])
def test_an_answer_to_head_has_no_body(shape: str, body: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await JSONResponse({"a": 1})(scope, receive, send)

    sent = event(shape, Call("HEAD", "/v1/models")) | {"body": body, "isBase64Encoded": body != "{}"}
    answer = in_one_piece(app, sent)
    headers = {name.lower(): value for name, value in (answer.get("headers") or {}).items()}
    headers |= {name.lower(): value[0] for name, value in (answer.get("multiValueHeaders") or {}).items()}
    assert (answer["statusCode"], answer["body"]) == (200 if body == "{}" or shape == "alb" else 400, "")
    assert int(headers["content-length"]) > 0
