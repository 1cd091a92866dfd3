"""What a whole stack makes of the errors of its upstreams: for its callers, for their clients, for other targets and for the operator."""

from collections.abc import AsyncIterator
import json
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.errors import InvalidRequest, NotFound, UpstreamExhausted
from core.runtime.log_format import JsonFormatter
from tests.contract.targets import MINE, OPERATIONS, STREAMED, Operation, World, chat, two_targets
from tests.parts.bedrock import EVENTS, events, exception, frames, refusal, serving, unmodelled
from tests.parts.bedrock import chat as bedrock_chat
from tests.parts.live_stack import client_of, run_config
from tests.parts.secrets import plant
from tests.parts.upstream import FakeUpstream, Reply, chunk, running, status, stream

CHAT_PATH = "/v1/chat/completions"
SAID = "What the caller says is nobody else's business"
CALL: dict[str, Any] = {"model": "local/m", "messages": [{"role": "user", "content": SAID}]}
KEY, OTHER = plant("operators-own-key"), plant("sk-abcdef0123456789abcdef")
TOO_LONG = "This model's maximum context length is 4096 tokens. However, your request has 5000 input tokens."


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with running() as upstream:
        yield upstream


@pytest.fixture
async def client(upstream: FakeUpstream, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    document = run_config(upstream.url, {"type": "sqlite", "db_path": str(tmp_path / "r.db")})
    document["providers"]["inference"][0]["config"]["api_token"] = KEY
    async with client_of(document) as client:
        yield client


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with two_targets() as world:
        yield world


def error(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


MISTAKES: list[tuple[int, Any, tuple[int, str, str, str | None, str]]] = [
    (
        400,
        error("Bad image", type="image_error", param="messages[0].content", code="invalid_image"),
        (400, "invalid_image", "image_error", "messages[0].content", "Bad image"),
    ),
    (
        400,
        {"object": "error", "message": "too hot", "type": "BadRequestError", "param": "temperature", "code": 400},
        (400, "invalid_request", "BadRequestError", "temperature", "too hot"),
    ),
    (
        422,
        {
            "detail": [
                {"loc": ["body", "top_k"], "msg": "Input should be a number", "type": "float_type", "input": SAID}
            ]
        },
        (422, "float_type", "invalid_request_error", "top_k", "top_k: Input should be a number"),
    ),
    (
        400,
        error(TOO_LONG, type="BadRequestError", code=400),
        (400, "context_length_exceeded", "BadRequestError", None, TOO_LONG),
    ),
    (
        413,
        {"error": "`inputs` tokens + `max_new_tokens` must be <= 9", "error_type": "validation"},
        (400, "context_length_exceeded", "validation", None, "`inputs` tokens + `max_new_tokens` must be <= 9"),
    ),
    (
        404,
        {
            "object": "error",
            "message": "The model `m` does not exist.",
            "type": "NotFoundError",
            "param": None,
            "code": 404,
        },
        (404, "model_not_found", "NotFoundError", "model", "The model `m` does not exist."),
    ),
    (
        500,
        error("m is not a multimodal model"),
        (400, "invalid_request", "invalid_request_error", None, "m is not a multimodal model"),
    ),
    (200, error("too hot", code=400), (400, "invalid_request", "invalid_request_error", None, "too hot")),
    (
        400,
        error("filtered", code="content_filter", param="prompt", innererror={"code": "ResponsibleAIPolicyViolation"}),
        (400, "content_filter", "invalid_request_error", "prompt", "filtered"),
    ),
]


@pytest.mark.parametrize(("code", "body", "wanted"), MISTAKES, ids=lambda value: str(value)[:50])
@pytest.mark.parametrize("how", ["whole", "stream", "event"])
async def test_a_mistake_of_the_callers_is_told_with_its_reason(
    client: httpx.AsyncClient, upstream: FakeUpstream, code: int, body: Any, wanted: tuple[Any, ...], how: str
) -> None:
    event = {"status": code, **body}
    upstream.replies[CHAT_PATH] = stream([event]) if how == "event" else status(code, body)
    answer = await client.post(CHAT_PATH, json={**CALL, "stream": how != "whole"})
    failure = answer.json()["error"]
    found = (answer.status_code, *(failure[name] for name in ("code", "type", "param", "message")))
    assert found == wanted
    assert failure["request_id"] == answer.headers["x-request-id"]


async def test_the_reason_of_a_broken_upstream_is_in_the_log_under_the_requests_id(
    client: httpx.AsyncClient, upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.handler.setFormatter(JsonFormatter())
    reason = f"CUDA out of memory\x1b[31m\nERROR forged, at key {KEY} and {OTHER}, for {SAID}, " + "x" * 9000
    for reply in (status(500, error(reason)), status(200, error(reason)), stream([error(reason)])):
        caplog.clear()
        upstream.replies[CHAT_PATH] = reply
        answer = await client.post(CHAT_PATH, json={**CALL, "stream": True})
        failure = answer.json()["error"]
        request = answer.headers["x-request-id"]
        assert (answer.status_code, failure["code"], failure["request_id"]) == (502, "upstream_error", request)
        assert "CUDA" not in failure["message"]
        assert f"under request `{request}`" in failure["message"]
        (line,) = [r.getMessage() for r in caplog.records if r.name == "core.providers.http.upstream"]
        assert "CUDA out of memory" in line
        assert json.loads(caplog.text.splitlines()[-1])["request_id"] == request
        assert len(line) < 800
        assert line.isprintable()
        assert not [secret for secret in (KEY, OTHER, SAID, "caller says is nobody") if secret in line]


@pytest.mark.parametrize(
    ("code", "body"),
    [
        (404, {"detail": "Not Found"}),
        (404, "<html>"),
        (401, error("bad key")),
        (402, error("pay")),
        (429, error("x", code="insufficient_quota")),
    ],
)
async def test_what_the_operator_has_to_mend_is_an_error_in_the_log_and_a_502(
    client: httpx.AsyncClient, upstream: FakeUpstream, caplog: pytest.LogCaptureFixture, code: int, body: Any
) -> None:
    upstream.replies[CHAT_PATH] = status(code, body)
    answer = await client.post(CHAT_PATH, json=CALL)
    assert answer.status_code == 502
    assert [r.levelno for r in caplog.records if r.name == "core.providers.http.upstream"] == [logging.ERROR]


async def test_an_error_after_the_first_chunk_is_an_event_with_its_code_and_then_the_end(
    client: httpx.AsyncClient, upstream: FakeUpstream
) -> None:
    upstream.replies[CHAT_PATH] = stream([chunk("Hel"), error(TOO_LONG, code=400)])
    answer = await client.post(CHAT_PATH, json={**CALL, "stream": True})
    first, last, done, _ = answer.text.split("\n\n")
    failure = json.loads(last.removeprefix("data: "))["error"]
    assert json.loads(first.removeprefix("data: "))["choices"] == chunk("Hel")["choices"]
    assert (failure["code"], failure["message"]) == ("context_length_exceeded", TOO_LONG)
    assert failure["request_id"] == answer.headers["x-request-id"]
    assert done == "data: [DONE]"


async def test_a_busy_upstream_says_when_to_come_back(client: httpx.AsyncClient, upstream: FakeUpstream) -> None:
    for code, headers, seconds in (
        (503, {"retry-after": "7"}, "7"),
        (529, {"retry-after-ms": "1500"}, "2"),
        (500, {"retry-after": "7"}, None),
    ):
        upstream.replies[CHAT_PATH] = status(code, error("busy"), headers)
        answer = await client.post(CHAT_PATH, json=CALL)
        assert (answer.status_code, answer.headers.get("retry-after")) == (502, seconds)


async def test_clients_do_not_ask_again_where_an_account_is_spent(
    client: httpx.AsyncClient, upstream: FakeUpstream
) -> None:
    upstream.replies[CHAT_PATH] = status(429, error("You exceeded your current quota", code="insufficient_quota"))
    answer = await client.post(CHAT_PATH, json=CALL)
    failure = answer.json()["error"]
    assert (failure["code"], failure["type"]) == ("insufficient_quota", "insufficient_quota")
    assert (answer.headers["x-should-retry"], "retry-after" in answer.headers) == ("false", False)


SPENT = status(429, error("You exceeded your current quota", code="insufficient_quota"))
NO_MODEL = status(404, error("The model `m` does not exist."))
THROTTLED = error("slow down", code=429)


ELSEWHERE = {
    "spent": (SPENT, SPENT, 1),
    "no model": (NO_MODEL, NO_MODEL, 0),
    "throttled within": (status(200, THROTTLED), stream([THROTTLED]), 0),
    "broken within": (status(200, error("no")), stream([error("no")]), 1),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("name", ELSEWHERE)
async def test_what_another_target_may_do_better_is_asked_of_it(world: World, operation: Operation, name: str) -> None:
    whole, streamed, failures = ELSEWHERE[name]
    circuits = world.with_circuits(2)
    world.first(streamed if operation in STREAMED else whole)
    assert (await operation(world.router(MINE), "mine"))["model"] == "mine"
    assert world.asked == (1, 1)
    assert [row["failures"] for row in circuits.describe_failures("a")] == [1] * failures


@pytest.mark.parametrize(
    ("reply", "kind"), [(NO_MODEL, NotFound), (SPENT, UpstreamExhausted)], ids=["no model", "spent"]
)
async def test_the_last_targets_word_is_the_callers(world: World, reply: Reply, kind: type[Exception]) -> None:
    world.both(reply)
    with pytest.raises(kind):
        await chat(world.router(MINE))
    assert world.asked == (1, 1)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    "body", [error(TOO_LONG), error("image input is not supported"), {"object": "error", "message": "x", "code": 400}]
)
async def test_a_callers_mistake_is_asked_once_and_opens_no_circuit(
    world: World, operation: Operation, body: Any
) -> None:
    circuits = world.with_circuits(1)
    for reply in (status(500, body) if "error" in body else status(400, body), status(200, body)):
        world.first(reply)
        with pytest.raises(InvalidRequest):
            await operation(world.router(MINE), "mine")
    assert world.asked == (2, 0)
    assert circuits.describe_failures("a") == []


WORDINGS = [
    "Input is too long for requested model.",
    "The model returned the following errors: prompt is too long: 200049 tokens > 200000 maximum",
    "The model returned the following errors: input length and `max_tokens` exceed context limit: 9 + 9 > 10",
    "Input Tokens Exceeded: Number of input tokens exceeds maximum length. Please update the input to try again.",
    "Too many input tokens. Max input tokens: 8192, request input token count: 10000",
    "This model's maximum context length is 8192 tokens. Please reduce the length of the prompt",
]


@pytest.mark.parametrize("message", WORDINGS)
async def test_too_long_a_prompt_is_one_thing_of_bedrocks_too(message: str) -> None:
    async with serving() as (fake, bedrock):
        failures: list[InvalidRequest] = []
        for reply in (refusal(400, "ValidationException", message), refusal(424, "ModelErrorException", message)):
            fake.replies["converse"] = fake.replies["converse-stream"] = reply
            for call in (bedrock.chat_completion, bedrock.stream_chat_completion):
                with pytest.raises(InvalidRequest) as failure:
                    await call(bedrock_chat())
                failures.append(failure.value)
        for name in ("validationException", "modelStreamErrorException"):
            fake.replies["converse-stream"] = frames([*events(EVENTS[:2]), exception(name, message)])
            with pytest.raises(InvalidRequest) as failure:
                _ = [part async for part in await bedrock.stream_chat_completion(bedrock_chat(stream=True))]
            failures.append(failure.value)
    assert {(each.status, each.code, each.message) for each in failures} == {(400, "context_length_exceeded", message)}


async def test_what_bedrock_says_is_in_the_log_without_what_was_said_to_it(caplog: pytest.LogCaptureFixture) -> None:
    said = "The private words of a caller of this stack"
    async with serving(total_max_attempts=1) as (fake, bedrock):
        fake.replies["converse"] = refusal(
            500, "InternalServerException", f"out of capacity for {said}\x1b, at {OTHER}"
        )
        with pytest.raises(Exception, match="failed to answer"):
            await bedrock.chat_completion(bedrock_chat(messages=[{"role": "user", "content": said}]))
        fake.replies["converse-stream"] = frames([*events(EVENTS[:1]), unmodelled("Odd", f"no\n{said}")])
        with pytest.raises(Exception, match="failed to answer"):
            _ = [1 async for _ in await bedrock.stream_chat_completion(
                bedrock_chat(stream=True, messages=[{"role": "user", "content": said}])
            )]  # fmt: skip
    lines = [record.getMessage() for record in caplog.records if record.name == "core.providers.bedrock.errors"]
    assert "out of capacity" in lines[0]
    assert not [line for line in lines if said in line or OTHER in line or not line.isprintable()]


async def test_a_listing_that_is_not_there_is_no_missing_model(
    client: httpx.AsyncClient, upstream: FakeUpstream
) -> None:
    upstream.replies["/v1/models"] = status(404, error("Invalid URL (GET /v1/models)"))
    health = (await client.get("/v1/providers/local")).json()["health"]
    assert health["message"].startswith("Provider `local` failed with HTTP status 404.")
