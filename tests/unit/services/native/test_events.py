"""OpenAI's chunks as native events, however the provider cuts them."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.errors import UpstreamFailed
from core.frame.types import JsonObject
from core.services.inference.native.events import ChatEvents, CompletionEvents, Events
from core.services.inference.native.reply import from_openai_chat, from_openai_completion
from tests.unit.routing.fakes import METRICS, USAGE, chat_reply, chunk, tool_call

USAGE_CHUNK: JsonObject = {"choices": [], "usage": USAGE}


def run(events: Events, chunks: list[JsonObject]) -> list[JsonObject]:
    sent = events.begin()
    for each in chunks:
        sent += events.feed(each)
    return sent + events.end()


def part(index: int | None, arguments: str | None, call_id: str | None = None, name: str | None = None) -> JsonObject:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    ends = {key: value for key, value in (("index", index), ("id", call_id)) if value is not None}
    return ends | {"function": function}


def of_tools(*parts: JsonObject) -> JsonObject:
    return chunk({"tool_calls": list(parts)})


def steps(sent: list[JsonObject]) -> list[tuple[str, Any]]:
    """The tool deltas alone: their status and what they carry."""
    deltas = [event["event"]["delta"] for event in sent]
    return [(delta["parse_status"], delta["tool_call"]) for delta in deltas if delta["type"] == "tool_call"]


def assembled(sent: list[JsonObject]) -> JsonObject:
    """The stream as the answer that a client puts together from it."""
    events = [each["event"] for each in sent]
    deltas = [event["delta"] for event in events]
    message = {
        "role": "assistant",
        "content": "".join(delta["text"] for delta in deltas if delta["type"] == "text"),
        "stop_reason": events[-1]["stop_reason"],
        "tool_calls": [call for status, call in steps(sent) if status in {"succeeded", "failed"}],
    }
    logprobs = [entry for event in events for entry in event["logprobs"] or ()]
    return {"metrics": sent[-1]["metrics"], "completion_message": message, "logprobs": logprobs or None}


def in_order(sent: list[JsonObject]) -> bool:
    kinds = [each["event"]["event_type"] for each in sent]
    return kinds == ["start", *["progress"] * (len(kinds) - 2), "complete"]


def text_event(kind: str, text: str, stop_reason: str | None = None) -> JsonObject:
    delta = {"type": "text", "text": text}
    event = {"event_type": kind, "delta": delta, "logprobs": None, "stop_reason": stop_reason}
    return {"metrics": None, "event": event}


def test_texts_are_a_start_progress_and_a_complete_with_the_metrics() -> None:
    chunks = [chunk({"role": "assistant", "content": ""}), chunk({"content": "Hel"}), chunk({"content": "lo"}, "stop")]
    assert run(ChatEvents(), [*chunks, USAGE_CHUNK]) == [
        text_event("start", ""),
        text_event("progress", "Hel"),
        text_event("progress", "lo"),
        text_event("complete", "", "end_of_turn") | {"metrics": METRICS},
    ]


def test_a_stream_of_nothing_still_begins_and_ends() -> None:
    assert run(ChatEvents(), []) == [text_event("start", ""), text_event("complete", "", "end_of_turn")]


def test_a_chunk_of_nothing_makes_no_event() -> None:
    nothing: list[JsonObject] = [{}, {"choices": None}, {"choices": [{"delta": None}]}, chunk({"tool_calls": None})]
    assert [ChatEvents().feed(each) for each in nothing] == [[]] * 4


def test_usage_with_every_chunk_counts_once_as_it_was_last() -> None:
    first = chunk({"content": "a"}) | {"usage": {"prompt_tokens": 1}}
    sent = run(ChatEvents(), [first, chunk({"content": "b"}, "length") | {"usage": USAGE}])
    assert [each["metrics"] for each in sent] == [None, None, None, METRICS]
    assert sent[-1]["event"]["stop_reason"] == "out_of_tokens"


def test_a_tool_call_starts_grows_and_succeeds() -> None:
    chunks = [
        of_tools(part(0, "", "c1", "add")),
        of_tools(part(0, '{"a"')),
        of_tools(part(0, ": 1}")),
        chunk({}, "tool_calls"),
    ]
    sent = run(ChatEvents(), chunks)
    assert steps(sent) == [
        ("started", ""),
        ("in_progress", '{"a"'),
        ("in_progress", ": 1}"),
        (
            "succeeded",
            {"call_id": "c1", "tool_name": "add", "arguments": {"a": 1}, "arguments_json": '{"a": 1}'},
        ),
    ]
    assert sent[-1]["event"]["stop_reason"] == "end_of_message"


def test_a_tool_call_that_is_no_json_fails_with_its_name_and_text() -> None:
    sent = run(ChatEvents(), [of_tools(part(0, '{"a', "c1", "add")), chunk({}, "length")])
    failed = {"call_id": "c1", "tool_name": "add", "arguments": '{"a', "arguments_json": None}
    assert steps(sent)[-1] == ("failed", failed)


def test_parts_of_mixed_calls_are_put_to_their_own() -> None:
    chunks = [
        of_tools(part(1, "", "c2", "two"), part(0, "", "c1", "one")),
        of_tools(part(1, '{"b": '), part(0, '{"a": 1}')),
        of_tools(part(1, "2}", "c2", "two")),
    ]
    sent = run(ChatEvents(), chunks)
    assert steps(sent)[:3] == [("started", ""), ("started", ""), ("in_progress", '{"a": 1}')]
    calls = assembled(sent)["completion_message"]["tool_calls"]
    assert [(call["call_id"], call["tool_name"], call["arguments"]) for call in calls] == [
        ("c1", "one", {"a": 1}),
        ("c2", "two", {"b": 2}),
    ]


def test_calls_without_an_index_begin_where_an_id_comes() -> None:
    chunks = [
        of_tools(part(None, '{"a"', "c1", "one")),
        of_tools(part(None, ":1}")),
        of_tools(part(None, "{}", "c2", "two")),
    ]
    calls = assembled(run(ChatEvents(), chunks))["completion_message"]["tool_calls"]
    assert [(call["call_id"], call["arguments_json"]) for call in calls] == [("c1", '{"a":1}'), ("c2", "{}")]


def test_log_probabilities_go_with_the_first_event_of_their_chunk_or_one_without_text() -> None:
    tokens = {"content": [{"token": "a", "logprob": -1.0}]}
    by_token = [{"logprobs_by_token": {"a": -1.0}}]
    both = {"content": "a", "tool_calls": [part(0, "{}", "c", "t")]}
    sent = run(ChatEvents(), [chunk(both, logprobs=tokens), chunk({"content": ""}, logprobs=tokens)])
    shown = [(each["event"]["delta"]["type"], each["event"]["logprobs"]) for each in sent[1:5]]
    assert shown == [("text", by_token), ("tool_call", None), ("tool_call", None), ("text", by_token)]


@pytest.mark.parametrize(
    "bad",
    [
        {"choices": [7]},
        {"choices": [{"delta": "text"}]},
        chunk({"content": 7}),
        chunk({"tool_calls": ["call"]}),
        chunk({"tool_calls": [{"index": 0, "function": "add"}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": {}}}]}),
    ],
)
def test_a_chunk_of_another_shape_is_the_providers_failure(bad: JsonObject) -> None:
    with pytest.raises(UpstreamFailed, match="not of OpenAI's shape"):
        ChatEvents().feed(bad)


def test_a_completions_chunks_are_its_texts_then_the_reason_and_the_metrics() -> None:
    logprobs = {"tokens": [" a"], "token_logprobs": [-1.0]}
    chunks: list[JsonObject] = [
        {"choices": [{"text": " a", "logprobs": logprobs}]},
        {"choices": [{"text": "", "finish_reason": "length"}]},
        USAGE_CHUNK,
    ]
    by_token = [{"logprobs_by_token": {" a": -1.0}}]
    assert run(CompletionEvents(), chunks) == [
        {"metrics": None, "delta": " a", "stop_reason": None, "logprobs": by_token},
        {"metrics": METRICS, "delta": "", "stop_reason": "out_of_tokens", "logprobs": None},
    ]


TEXTS = st.text(st.characters(codec="utf-8"))
FINISHES = st.sampled_from(["stop", "length", "tool_calls", "content_filter"])
JSONS = st.dictionaries(TEXTS, TEXTS | st.integers() | st.lists(st.booleans(), max_size=2), max_size=3).map(json.dumps)
CALLS = st.lists(st.tuples(TEXTS.filter(bool), TEXTS.filter(bool), JSONS | TEXTS), max_size=3)


@st.composite
def cut(draw: st.DrawFn, text: str) -> list[str]:
    """`text` in pieces, some of them empty."""
    ends = sorted(draw(st.lists(st.integers(0, len(text)), max_size=5)))
    return [text[start:end] for start, end in zip([0, *ends], [*ends, len(text)], strict=True)]


@given(st.data(), TEXTS, CALLS, FINISHES)
def test_however_it_is_cut_a_stream_says_what_the_whole_answer_says(
    data: st.DataObject, text: str, calls: list[tuple[str, str, str]], finish: str
) -> None:
    chunks = [chunk({"content": piece}) for piece in data.draw(cut(text))]
    for index, (call_id, name, arguments) in enumerate(calls):
        first, *rest = data.draw(cut(arguments))
        chunks.append(of_tools(part(index, first, call_id, name)))
        chunks += [of_tools(part(index, piece)) for piece in rest]
    sent = run(ChatEvents(), [*chunks, chunk({}, finish), USAGE_CHUNK])
    whole = chat_reply(text, [tool_call(*call) for call in calls], finish) | {"usage": USAGE}
    assert assembled(sent) == from_openai_chat(whole)
    assert in_order(sent)
    grown = "".join(str(text) for status, text in steps(sent) if status == "in_progress")
    assert grown == "".join(arguments for _, _, arguments in calls)


@given(st.data(), TEXTS, FINISHES)
def test_however_it_is_cut_a_completion_is_the_same_text(data: st.DataObject, text: str, finish: str) -> None:
    chunks = [{"choices": [{"text": piece}]} for piece in data.draw(cut(text))]
    sent = run(CompletionEvents(), [*chunks, {"choices": [{"text": "", "finish_reason": finish}]}, USAGE_CHUNK])
    whole = from_openai_completion({"choices": [{"text": text, "finish_reason": finish}], "usage": USAGE})
    assert "".join(each["delta"] for each in sent) == whole["content"]
    assert (sent[-1]["stop_reason"], sent[-1]["metrics"]) == (whole["stop_reason"], whole["metrics"])
    assert all(each["stop_reason"] is None and each["metrics"] is None for each in sent[:-1])
