"""ConverseStream's events as OpenAI's chunks."""

import sys
from typing import Any

import pytest

from core.errors import UpstreamFailed
from core.frame.types import JsonObject
from core.providers.bedrock.converse.answer_form import PLAIN, AnswerForm
from core.providers.bedrock.converse.stream import ConverseChunks, WholeReply, events_of

STOP: JsonObject = {"messageStop": {"stopReason": "end_turn"}}
METADATA: JsonObject = {"metadata": {"usage": {"inputTokens": 3, "outputTokens": 2, "cacheReadInputTokens": 1}}}


def start(block: int, tool: object = None) -> JsonObject:
    return {"contentBlockStart": {"contentBlockIndex": block, "start": {} if tool is None else {"toolUse": tool}}}


def delta(block: int, **what: object) -> JsonObject:
    return {"contentBlockDelta": {"contentBlockIndex": block, "delta": what}}


def stop(block: object) -> JsonObject:
    return {"contentBlockStop": {"contentBlockIndex": block}}


def tool(call_id: str, name: str) -> JsonObject:
    return {"toolUseId": call_id, "name": name}


def chunks(*events: JsonObject, usage: bool = True, form: AnswerForm = PLAIN) -> list[JsonObject]:
    feed = ConverseChunks(model="m", created=7, id="chatcmpl-1", usage=usage, form=form)
    return [chunk for event in events for chunk in feed.feed(event)]


def deltas(*events: JsonObject, form: AnswerForm = PLAIN) -> list[JsonObject]:
    return [chunk["choices"][0]["delta"] for chunk in chunks(*events, form=form)]


def of_call(index: int, **more: Any) -> JsonObject:
    return {"tool_calls": [{"index": index, **more}]}


def opened(index: int, call_id: str, name: str) -> JsonObject:
    return of_call(index, id=call_id, type="function", function={"name": name, "arguments": ""})


def test_a_stream_begins_with_the_role_and_ends_with_the_usage() -> None:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "model": "m"}
    events = [{"messageStart": {"role": "assistant"}}, delta(0, text="Hi"), stop(0), STOP, METADATA]
    assert chunks(*events) == [
        head | {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]},
        head | {"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}]},
        head | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        head
        | {
            "choices": [],
            "usage": {
                "prompt_tokens": 4,
                "completion_tokens": 2,
                "total_tokens": 6,
                "prompt_tokens_details": {"cached_tokens": 1},
            },
        },
    ]


def test_usage_that_was_not_asked_for_is_not_told() -> None:
    assert chunks(METADATA, usage=False) == []


def test_calls_are_counted_by_their_own_order_whatever_their_blocks() -> None:
    assert deltas(
        delta(0, text="So:"),
        start(1, tool("c1", "add")),
        delta(1, toolUse={"input": ""}),
        delta(1, toolUse={"input": '{"a"'}),
        delta(1, toolUse={"input": ": 1}"}),
        stop(1),
        start(4, tool("c2", "now")),
        stop(4),
    ) == [
        {"content": "So:"},
        opened(0, "c1", "add"),
        of_call(0, function={"arguments": '{"a"'}),
        of_call(0, function={"arguments": ": 1}"}),
        opened(1, "c2", "now"),
        of_call(1, function={"arguments": "{}"}),
    ]


def test_interleaved_calls_keep_apart() -> None:
    events = [
        start(0, tool("c1", "a")),
        start(1, tool("c2", "b")),
        delta(1, toolUse={"input": "{}"}),
        delta(0, toolUse={"input": '{"x":1}'}),
        stop(1),
        stop(0),
    ]
    assert deltas(*events)[2:] == [
        of_call(1, function={"arguments": "{}"}),
        of_call(0, function={"arguments": '{"x":1}'}),
    ]


TWO = [
    start(0, tool("c1", "files_read")),
    start(1, tool("c2", "now")),
    delta(1, toolUse={"input": "{}"}),
    delta(0, toolUse={"input": '{"x":1}'}),
    stop(1),
    stop(0),
    delta(2, text="So."),
    {"messageStop": {"stopReason": "tool_use"}},
]


def test_calls_are_told_by_their_callers_names_and_no_more_than_were_asked_for() -> None:
    form = AnswerForm(names={"files_read": "files.read"}, most=1)
    assert deltas(*TWO, form=form) == [
        opened(0, "c1", "files.read"),
        of_call(0, function={"arguments": '{"x":1}'}),
        {"content": "So."},
        {},
    ]
    assert chunks(*TWO, form=form)[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_calls_after_one_that_is_not_told_are_counted_without_it() -> None:
    form = AnswerForm(withheld=frozenset({"files_read"}))
    assert deltas(*TWO, form=form)[:2] == [opened(0, "c2", "now"), of_call(0, function={"arguments": "{}"})]


def test_an_answer_whose_calls_are_not_told_is_its_text() -> None:
    assert deltas(*TWO, form=AnswerForm(most=0)) == [{"content": "So."}, {}]
    assert chunks(*TWO, form=AnswerForm(most=0))[-1]["choices"][0]["finish_reason"] == "stop"


def test_the_older_form_has_one_function_call() -> None:
    form = AnswerForm(most=1, older=True)
    assert deltas(*TWO, form=form)[:2] == [
        {"function_call": {"name": "files_read", "arguments": ""}},
        {"function_call": {"arguments": '{"x":1}'}},
    ]
    assert deltas(start(0, tool("c", "now")), stop(0), form=form)[-1] == {"function_call": {"arguments": "{}"}}
    assert chunks(*TWO, form=form)[-1]["choices"][0]["finish_reason"] == "function_call"


@pytest.mark.parametrize("reply", [{}, {"output": None}, {"output": {"message": {"content": "text"}}}])
def test_a_whole_reply_of_another_shape_is_the_providers_failure(reply: JsonObject) -> None:
    with pytest.raises(UpstreamFailed, match="not of the Converse API's shape"):
        WholeReply(reply)


def test_a_block_of_an_unknown_kind_in_a_whole_reply_says_nothing() -> None:
    content = [{"audio": {}}, "text", {"text": "Hi"}]
    told = events_of({"output": {"message": {"content": content}}, "stopReason": "end_turn"})
    assert deltas(*told[:-1]) == [{"role": "assistant", "content": ""}, {"content": "Hi"}, {}]


def test_reasoning_is_told_as_text_and_as_blocks_that_can_go_back() -> None:
    assert deltas(
        delta(0, reasoningContent={"text": "hm"}),
        delta(0, reasoningContent={"signature": "s"}),
        stop(0),
        delta(4, reasoningContent={"redactedContent": b"a"}),
        delta(4, reasoningContent={"redactedContent": b"b"}),
        stop(4),
        stop(4),
    ) == [
        {"reasoning_content": "hm", "thinking_blocks": [{"index": 0, "type": "thinking", "thinking": "hm"}]},
        {"thinking_blocks": [{"index": 0, "type": "thinking", "thinking": "", "signature": "s"}]},
        {"thinking_blocks": [{"index": 1, "type": "redacted_thinking", "data": "YWI="}]},
    ]


def test_a_guardrail_that_steps_in_is_a_content_filter() -> None:
    (chunk,) = chunks({"messageStop": {"stopReason": "guardrail_intervened"}})
    assert chunk["choices"][0]["finish_reason"] == "content_filter"


def test_a_stream_is_finished_when_its_message_is() -> None:
    feed = ConverseChunks(model="m", created=7, id="c")
    feed.feed(delta(0, text="Hi"))
    assert not feed.finished
    feed.feed(STOP)
    assert feed.finished


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"somethingNew": {}},
        start(0),
        delta(0, text=""),
        delta(0, reasoningContent={"text": ""}),
        delta(0, reasoningContent={}),
        delta(0, citation={}),
        delta(0, image={}),
        stop(3),
    ],
)
def test_what_says_nothing_makes_no_chunk(event: JsonObject) -> None:
    assert chunks(event) == []


@pytest.mark.parametrize(
    "event",
    [
        {"messageStop": None},
        {"contentBlockStop": {}},
        stop("0"),
        start(0, {"name": "add"}),
        delta(0, toolUse={"input": "{}"}),
        {"messageStop": {"stopReason": "malformed_tool_use"}},
    ],
)
def test_an_event_that_cannot_be_is_the_providers_failure(event: JsonObject) -> None:
    with pytest.raises(UpstreamFailed):
        chunks(event)


def test_a_long_stream_is_not_kept() -> None:
    feed = ConverseChunks(model="m", created=7, id="c")
    feed.feed(start(1, tool("c1", "add")))

    def held() -> int:
        return sum(sys.getsizeof(value) for value in vars(feed).values())

    before = held()
    for _ in range(1000):
        feed.feed(delta(0, text="x" * 100))
        feed.feed(delta(1, toolUse={"input": "1"}))
        feed.feed(delta(2, reasoningContent={"text": "x" * 100}))
    assert held() <= before + 200
