"""A built function's line for each request, in both runtimes: JSON as CloudWatch's embedded metric format wants it, unwrapped."""

from collections.abc import Iterator
import json
from pathlib import Path
import time
from typing import Any

import pytest

from tests.lambda_ import emulator
from tests.lambda_.conftest import needs
from tests.lambda_.events import Call, event, post
from tests.lambda_.streaming import Streamed, streaming
from tests.parts.log_query import asked_for
from tests.parts.secrets import plant
from tests.parts.upstream import FakeUpstream, status

NAME = "stack-Inference"
PATIENCE_SECONDS = 10.0
PROMPT = plant("what-was-asked-of-the-function")
CHAT = {"model": "vllm/m", "messages": [{"role": "user", "content": PROMPT}]}
XRAY = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
TRACEPARENT = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01"

type Either = emulator.Function | Streamed


@pytest.fixture(scope="module", params=["buffered, text", "buffered, JSON", "streaming"])
def function(
    packages: dict[str, Path],
    run_config: Path,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[Either]:
    """A function that has answered nothing yet, by runtime and log format."""
    log = tmp_path_factory.mktemp("observed") / "log"
    runtime, _, log_format = request.param.partition(", ")
    environment = {"LLAMBDA_CONFIG": str(run_config), "AWS_LAMBDA_FUNCTION_NAME": NAME}
    where = (packages["inference"], "functions.inference.handler")
    if runtime == "streaming":
        with streaming(*where, environment, log) as streamed:
            yield streamed
        return
    needs(emulator.emulator)
    with emulator.running(*where, environment | {"AWS_LAMBDA_LOG_FORMAT": log_format}, log) as buffered:
        yield buffered


def line_of(function: Either, answer: dict[str, Any]) -> dict[str, Any]:
    """The request's own, which is in the log soon; whatever has `_aws` in it must be JSON from its first character."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        text = function.log.read_text(encoding="utf-8")
        lines = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines() if '"_aws"' in line]
        for line in lines:
            if line["request_id"] == answer["headers"]["x-request-id"]:
                assert isinstance(line, dict)
                return line
        time.sleep(0.01)
    raise AssertionError(function.log.read_text(encoding="utf-8"))


def called(function: Either, shape: str, call: Call) -> tuple[dict[str, Any], dict[str, Any]]:
    """The event's request context, and the line; the gateway's id is made this request's own."""
    sent = event(shape, call)
    sent["requestContext"]["requestId"] = f"gateway-{time.monotonic_ns()}"
    answer = function.invoke(sent)
    assert answer["headers"]["x-request-id"] == sent["requestContext"]["requestId"]
    return answer, line_of(function, answer)


def test_every_request_is_a_line_with_metrics_and_only_the_first_is_cold(function: Either) -> None:
    cold = list[int]()
    for stream in (False, True, False):
        _, line = called(function, "rest", post("/v1/chat/completions", CHAT | {"stream": stream}))
        facts = [line[name] for name in ("function", "operation", "provider", "model", "provider_model", "status")]
        assert facts == [NAME, "chat_completion", "vllm", "vllm/m", "m", 200]
        assert (line["PromptTokens"], line["CompletionTokens"]) == (1, 2 if stream else 1)
        assert line["streamed"] is stream
        assert ("FirstByteMilliseconds" in line) is stream
        [directive] = line["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == "llambda"
        assert directive["Dimensions"] == [["function", "operation"], ["function", "operation", "provider", "model"]]
        assert all(isinstance(line[metric["Name"]], int | float) for metric in directive["Metrics"])
        assert abs(line["_aws"]["Timestamp"] / 1000 - time.time()) < 3600
        cold.append(line["ColdStart"])
    assert cold == [1, 0, 0]


def test_what_fails_is_told_of_too(function: Either) -> None:
    answer, line = called(function, "http", Call(path="/v1/nothing"))
    assert (answer["statusCode"], line["status"], line["operation"]) == (404, 404, "none")
    answer, line = called(function, "function_url", post("/v1/chat/completions", CHAT | {"model": "nö/such"}))
    assert (answer["statusCode"], line["operation"], line["Errors"]) == (404, "chat_completion", 0)
    assert "model" not in line


def test_what_is_refused_before_the_app_is_told_of_too(function: Either) -> None:
    sent = event("http", post("/v1/chat/completions", CHAT)) | {"body": "no base64!", "isBase64Encoded": True}
    sent["requestContext"]["requestId"] = "gateway-refused"
    answer = function.invoke(sent)
    assert (answer["statusCode"], answer["headers"]["x-request-id"]) == (400, "gateway-refused")
    line = line_of(function, answer)
    assert (line["status"], line["operation"], line["ColdStart"]) == (400, "none", 0)


def test_the_trace_of_the_gateway_reaches_the_provider(function: Either, upstream: FakeUpstream) -> None:
    call = post("/v1/chat/completions", CHAT)
    call.headers.append(("traceparent", TRACEPARENT.replace("5759", "1111")))
    called(function, "rest", call)
    assert upstream.seen[-1].headers["traceparent"] == TRACEPARENT.replace("5759", "1111")


def test_the_trace_of_xray_reaches_the_provider(function: Either, upstream: FakeUpstream) -> None:
    call = post("/v1/chat/completions", CHAT)
    call.headers.append(("X-Amzn-Trace-Id", XRAY))
    _, line = called(function, "rest", call)
    assert upstream.seen[-1].headers["traceparent"] == TRACEPARENT
    assert line["trace_id"] == TRACEPARENT[3:35]


def test_the_query_of_the_document_finds_every_line_of_a_failure_and_each_has_its_fields(
    function: Either, upstream: FakeUpstream
) -> None:
    upstream.replies["/v1/chat/completions"] = status(500, {"error": {"message": "CUDA out of\nmemory"}})
    try:
        answer, line = called(function, "http", post("/v1/chat/completions", CHAT))
    finally:
        del upstream.replies["/v1/chat/completions"]
    request, text = answer["headers"]["x-request-id"], function.log.read_text(encoding="utf-8")
    lines = [json.loads(entry) for entry in text.splitlines() if request in entry]  # Lambda's own have its own id
    fields, filters = asked_for()
    assert len(lines) > 1
    for entry in lines:
        assert entry[filters[0]] == request
        assert {"timestamp", "level", "logger"} <= entry.keys()
    assert set(fields) - {"exception"} <= {name for entry in lines for name in entry}
    assert (line["error_code"], line["provider"], line["reason"]) == ("upstream_error", "vllm", "CUDA out of\\nmemory")
    assert PROMPT not in text
