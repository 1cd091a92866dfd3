"""A model with `responses: native`, over a real upstream that speaks /responses: what it is sent, and what comes of its events and failures."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from core.apis.responses import ResponseRequest
from core.config.load import interpret
from core.errors import ApiError, InvalidRequest, ProviderUnavailable
from core.frame.callers import ANONYMOUS, Call
from core.frame.types import JsonObject
from core.resolution.resolve import resolve
from core.resolution.stack import Stack
from core.services.responses.contract import Run, RunEnded
from core.services.responses.engine.bounds import MOST_OUTPUT, TOO_LONG
from core.services.responses.native.engine import NativeEngine
from tests.parts.live_stack import client_over, run_config
from tests.parts.response_schema import check_stream
from tests.parts.upstream import FakeUpstream, Reply, running, status, stream
from tests.unit.services.responses.test_printing import printed

PATH = "/responses"
USAGE = {"input_tokens": 7, "output_tokens": 4, "total_tokens": 11, "output_tokens_details": {"reasoning_tokens": 1}}
FUNCTION = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
USER = {"type": "message", "id": "msg_1", "role": "user", "content": [{"type": "input_text", "text": "Weather?"}]}


def added(place: int, item: JsonObject) -> JsonObject:
    return {"type": "response.output_item.added", "output_index": place, "item": item}


def done(place: int, item: JsonObject) -> JsonObject:
    return {"type": "response.output_item.done", "output_index": place, "item": item}


def delta(place: int, kind: str, text: str, **more: Any) -> JsonObject:
    return {"type": f"response.{kind}.delta", "output_index": place, "delta": text, "item_id": "theirs", **more}


CALL = {
    "type": "function_call",
    "id": "fc_theirs",
    "call_id": "call_1",
    "name": "weather",
    "arguments": '{"city": "Rome"}',
}
EVENTS: list[JsonObject] = [
    {"type": "response.created", "response": {"id": "resp_theirs"}, "sequence_number": 0},
    added(0, {"type": "reasoning", "id": "rs_theirs", "summary": []}),
    delta(0, "reasoning_summary_text", "Think", summary_index=0),
    done(
        0, {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Think"}], "encrypted_content": "theirs"}
    ),
    added(1, {"type": "message", "id": "msg_theirs", "role": "assistant", "content": []}),
    {"type": "response.content_part.added", "output_index": 1, "part": {"type": "output_text", "text": ""}},
    delta(1, "output_text", "Look"),
    delta(1, "output_text", "ing"),
    done(1, {"type": "message", "content": [{"type": "output_text", "text": "Looking"}]}),
    added(2, {**CALL, "arguments": ""}),
    delta(2, "function_call_arguments", '{"city": '),
    done(2, CALL),
    {"type": "response.completed", "response": {"id": "resp_theirs", "output": [], "usage": USAGE}},
]


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with running() as upstream:
        yield upstream


@pytest.fixture
async def stack(upstream: FakeUpstream, tmp_path: Path) -> AsyncIterator[Stack]:
    """`own` is native at two targets, `plain` is not; `guarded` is, with a shield; `converse` is where nothing is."""
    document = run_config(upstream.url, {"type": "sqlite", "db_path": str(tmp_path / "r.db")})
    providers = document["providers"]["inference"]
    providers.append(
        {**providers[0], "provider_id": "second", "config": {**providers[0]["config"], "url": upstream.url + "/b"}}
    )
    providers.append({"provider_id": "aws", "provider_type": "remote::bedrock", "config": {"region_name": "us-east-1"}})

    def model(name: str, provider: str = "local", at_provider: str = "m", **metadata: Any) -> JsonObject:
        return {"model_id": name, "provider_id": provider, "provider_model_id": at_provider, "metadata": metadata}

    target = {"provider_id": "second", "provider_model_id": "n", "priority": 1}
    document["models"] = [
        model(
            "own",
            responses="native",
            targets=[{**target, "provider_id": "local", "provider_model_id": "m", "priority": 0}, target],
        ),
        model("plain"),
        model("guarded", at_provider="g", responses="native", input_shields=["guard"]),
        model("converse", "aws", responses="native"),
    ]
    stack = await resolve(interpret(document, {}), ["inference"], version="1")
    yield stack
    await stack.close()


def at(upstream: FakeUpstream, *replies: Reply) -> None:
    """What the targets answer."""
    for prefix, reply in zip(("", "/b"), replies, strict=False):
        upstream.replies |= {f"{prefix}{PATH}": reply, f"{prefix}/v1{PATH}": reply}


async def test_what_a_provider_says_is_bounded(stack: Stack, upstream: FakeUpstream) -> None:
    text = "x" * (MOST_OUTPUT // 4)
    call = {**CALL, "arguments": text}
    for events in (
        [added(0, {"type": "message"}), *[delta(0, "output_text", text)] * 5],
        [done(n, call) for n in range(3)],
    ):
        at(upstream, stream([*events, EVENTS[-1]]))
        response, _ = await answer(stack, Call(ANONYMOUS))
        assert (response["status"], response["error"]["message"]) == ("failed", TOO_LONG)


class NoTools:
    definitions: Sequence[JsonObject] = ()

    async def prepare(self, context: Any) -> Any:
        del context
        for step in list[Any]():
            yield step

    def find(self, name: str) -> None:
        del name

    def choose(self, tool_choice: object) -> object:
        return tool_choice


async def answer(stack: Stack, call: Call, **request: Any) -> tuple[JsonObject, list[Any]]:
    """The response, whose stream is valid, and the events of its run."""
    asked = ResponseRequest.model_validate({"model": "own", "tools": [FUNCTION], "store": True, **request})
    tools: Any = NoTools()
    run = Run(asked.model, [USER], tools, asked.instructions, max_output_tokens=asked.max_output_tokens)
    engine = NativeEngine(asked, stack.surfaces["native_responses"](call).stream, call)
    events = [event async for event in engine.run(run)]
    printed_events, response = printed(events, {"reasoning.encrypted_content"})
    check_stream(event.data for event in printed_events)
    return response, events


async def test_a_response_is_the_providers_with_ids_of_ours(stack: Stack, upstream: FakeUpstream) -> None:
    at(upstream, stream(EVENTS, done=False))
    call = Call(ANONYMOUS)
    response, _ = await answer(stack, call, instructions="Be brief.", max_output_tokens=99, metadata={"a": "b"})
    thought, message, function = response["output"]
    assert (thought["encrypted_content"], thought["summary"][0]["text"]) == ("theirs", "Think")
    assert message["content"][0]["text"] == "Looking"
    assert (function["call_id"], function["arguments"]) == ("call_1", '{"city": "Rome"}')
    assert not any("theirs" in item["id"] for item in response["output"])
    assert (response["status"], response["usage"]["total_tokens"]) == ("completed", 11)
    assert response["usage"]["output_tokens_details"] == {"reasoning_tokens": 1}
    assert call.tokens == 11
    [row] = call.ledger.list_rows()
    assert (row.tokens, row.reasoning_tokens, row.estimated_tokens) == (11, 1, 0)

    [seen] = upstream.seen
    assert seen.headers["authorization"] == "Bearer operators-own"
    assert seen.body == {
        "model": "m",
        "input": [{"type": "message", "role": "user", "content": USER["content"]}],
        "stream": True,
        "store": False,
        "instructions": "Be brief.",
        "tools": [FUNCTION],
        "parallel_tool_calls": True,
        "max_output_tokens": 99,
    }


async def test_counts_that_no_answer_comes_to_are_not_charged(stack: Stack, upstream: FakeUpstream) -> None:
    usage: Any = {"input_tokens": 10**40, "output_tokens": 5, "total_tokens": -1}
    at(upstream, stream([*EVENTS[:-1], {"type": "response.completed", "response": {"usage": usage}}], done=False))
    call = Call(ANONYMOUS)
    response, _ = await answer(stack, call)
    assert (response["usage"]["input_tokens"], response["usage"]["total_tokens"]) == (0, 5)
    assert call.tokens == 5


async def test_what_fails_before_the_first_event_is_tried_at_the_next_target(
    stack: Stack, upstream: FakeUpstream
) -> None:
    at(upstream, status(500), stream(EVENTS, done=False))
    assert (await answer(stack, Call(ANONYMOUS)))[0]["status"] == "completed"
    assert [seen.body["model"] for seen in upstream.seen] == ["m", "n"]
    at(upstream, status(400, {"error": {"message": "no", "param": "input"}}))
    with pytest.raises(InvalidRequest):
        await answer(stack, Call(ANONYMOUS))


BROKEN: list[tuple[list[JsonObject], str]] = [
    ([], "server_error"),
    (
        [{"type": "response.failed", "response": {"error": {"code": "rate_limit_exceeded", "message": "sk-1"}}}],
        "rate_limit_exceeded",
    ),
    ([{"type": "response.failed", "response": {}}], "server_error"),
    ([{"type": "error", "code": "x", "message": "overloaded"}], "server_error"),
    ([{"no": "type"}], "server_error"),
    ([{"type": "response.completed"}], "server_error"),
]


@pytest.mark.parametrize(
    ("last", "code"), BROKEN, ids=["ends", "throttled", "failed", "error", "no event", "no response"]
)
async def test_a_stream_that_fails_on_the_way_is_a_response_that_failed(
    stack: Stack, upstream: FakeUpstream, last: list[JsonObject], code: str
) -> None:
    at(upstream, stream([*EVENTS[:7], *last], done=False))
    call = Call(ANONYMOUS)
    response, events = await answer(stack, call)
    assert response["status"] == "failed"
    assert response["error"]["code"] == code
    assert "sk-1" not in response["error"]["message"]
    assert [item["status"] for item in response["output"]] == ["completed", "incomplete"]
    assert response["output"][1]["content"][0]["text"] == "Look"
    assert isinstance(events[-1], RunEnded)
    assert (call.tokens or 0) > 0


async def test_who_leaves_ends_the_stream_and_is_charged(stack: Stack, upstream: FakeUpstream) -> None:
    at(upstream, stream(EVENTS[:7], hang=True))
    call = Call(ANONYMOUS)
    events = await stack.surfaces["native_responses"](call).stream({"model": "own", "input": [USER], "stream": True})
    assert (await anext(events))["type"] == "response.created"
    await events.aclose()
    await upstream.cancelled.wait()
    assert call.end().tokens is None
    (row,) = call.ledger.list_rows()
    assert (row.model, row.provider, row.estimated_tokens) == ("own", "local", row.tokens)


async def test_only_a_model_whose_provider_can_and_whose_shields_need_not_is_native(
    stack: Stack, upstream: FakeUpstream
) -> None:
    native = stack.surfaces["native_responses"](Call(ANONYMOUS))
    taken = {name: await native.takes(name) for name in ("own", "plain", "guarded", "nobody")}
    assert taken == {"own": True, "plain": False, "guarded": False, "nobody": False}
    refused: list[tuple[type[ApiError], str, Any, str]] = [
        (InvalidRequest, "plain", "x", "is not answered by its provider's Responses"),
        (InvalidRequest, "guarded", "x", "is not answered by its provider's Responses"),
        (ProviderUnavailable, "converse", "x", "take that out of the metadata"),
        (
            InvalidRequest,
            "own",
            [{"type": "input_image", "image_url": "http://169.254.169.254/x"}],
            "may not be fetched",
        ),
    ]
    for failure, model, content, words in refused:
        item = {"type": "message", "role": "user", "content": content}
        with pytest.raises(failure, match=words):
            await native.stream({"model": model, "input": [item], "stream": True})
    assert not upstream.seen


def test_the_metadata_says_native_or_engine() -> None:
    from core.apis.models import RegisterModel

    RegisterModel(model_id="m", metadata={"responses": "engine"})
    with pytest.raises(ValueError, match="responses in the metadata must be one of engine, native"):
        RegisterModel(model_id="m", metadata={"responses": "yes"})


async def test_over_http_the_state_is_the_stacks_and_a_hosted_tool_the_engines(
    upstream: FakeUpstream, tmp_path: Path
) -> None:
    document = run_config(upstream.url, {"type": "sqlite", "db_path": str(tmp_path / "r.db")})
    document["apis"] = ["responses", "inference"]
    document["providers"]["responses"] = [{"provider_id": "b", "provider_type": "inline::builtin", "config": {}}]
    metadata = {"responses": "native"}
    place = {"provider_id": "local", "provider_model_id": "m"}
    document["models"] = [{"model_id": "own", **place, "metadata": metadata}]
    document["models"].append({"model_id": "plain", **place, "provider_model_id": "p"})
    at(upstream, stream([*EVENTS[:9], EVENTS[-1]], done=False))
    async with client_over(interpret(document, {})) as client:

        async def post(**body: Any) -> JsonObject:
            answer = await client.post("/v1/responses", json={"model": "own", **body})
            assert answer.status_code == 200, answer.text
            response: JsonObject = answer.json()
            return response

        first = await post(input="Weather?", include=["reasoning.encrypted_content"])
        second = await post(input="And now?", previous_response_id=first["id"], tools=[FUNCTION])
        assert [item["type"] for item in second["output"]] == ["reasoning", "message"]
        told = upstream.seen[-1].body["input"]
        assert [item.get("content") or item["encrypted_content"] for item in told] == [
            [{"type": "input_text", "text": "Weather?"}],
            "theirs",
            "Looking",
            [{"type": "input_text", "text": "And now?"}],
        ]
        assert (await client.get(f"/v1/responses/{second['id']}")).json()["output"] == second["output"]
        shell = {"type": "local_shell"}
        assert (await post(input="x", tools=[shell]))["output"][0]["content"][0]["text"] == "Hello"
        assert upstream.seen[-1].path.endswith("/chat/completions")
        assert (await post(input="x", model="plain"))["output"][0]["content"][0]["text"] == "Hello"
        assert upstream.seen[-1].path.endswith("/chat/completions")
