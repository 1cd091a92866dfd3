"""A model's answer is the same items, however its chunks are cut and whoever serves it."""

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from core.frame.types import JsonObject
from core.services.responses.contract import Usage
from tests.unit.services.responses.engine.script import (
    FunctionTool,
    HostedTool,
    ScriptedModel,
    a_run,
    chunk,
    ended,
    items_of,
    play,
    says,
    usage,
)


def answer(chunks: list[JsonObject], *tools: FunctionTool | HostedTool) -> list[JsonObject]:
    events = asyncio.run(play(a_run(*tools), ScriptedModel([chunks, says("done")])))
    return [without_id(item) for item in items_of(events)]


def without_id(item: JsonObject) -> JsonObject:
    return {name: value for name, value in item.items() if name != "id"}


def piece(place: int, arguments: str, **fields: Any) -> JsonObject:
    """Of a call; with `name` it begins."""
    function = {"arguments": arguments, **({"name": fields.pop("name")} if "name" in fields else {})}
    return chunk({"tool_calls": [{"index": place, **fields, "function": function}]})


PARTS = st.one_of(
    st.tuples(st.just("content"), st.text(min_size=1, max_size=12)),
    st.tuples(st.just("reasoning_content"), st.text(min_size=1, max_size=12)),
    st.tuples(st.just("refusal"), st.text(min_size=1, max_size=12)),
    st.tuples(st.sampled_from(["f", "t", "unknown"]), st.sampled_from(['{"a": "bc"}', "{}", "", "[", '{"a"'])),
)


def cut(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def chunks_of(parts: list[tuple[str, str]], size: int, finish: str) -> list[JsonObject]:
    chunks: list[JsonObject] = []
    calls = 0
    for kind, text in parts:
        if kind in {"content", "reasoning_content", "refusal"}:
            chunks += [chunk({kind: part}) for part in cut(text, size)]
            continue
        chunks.append(piece(calls, "", id=f"c{calls}", name=kind))
        chunks += [piece(calls, part) for part in cut(text, size)]
        calls += 1
    return [*chunks, chunk({}, finish), usage()]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(PARTS, max_size=6), st.integers(1, 12), st.sampled_from(["stop", "tool_calls", "length", "content_filter"])
)
def test_an_answer_comes_to_the_same_items_however_it_is_cut(
    parts: list[tuple[str, str]], size: int, finish: str
) -> None:
    tools = (FunctionTool("f"), HostedTool("t"))
    whole, pieces = (answer(chunks_of(parts, each, finish), *tools) for each in (99, size))
    assert pieces == whole
    texts = "".join(text for kind, text in parts if kind == "content")
    spoken = [part["text"] for item in whole if item["type"] == "message" for part in item["content"] if "text" in part]
    assert "".join("".join(spoken).removesuffix("done").split()) == "".join(texts.split()).removesuffix("done")


def test_thoughts_come_before_the_message_whoever_names_them() -> None:
    for name in ("reasoning_content", "reasoning", "reasoning_text"):
        items = answer(
            [chunk({"role": "assistant", name: "Hm"}), chunk({name: "m."}), chunk({"content": "Yes"}), *says(".")]
        )
        assert [item["type"] for item in items] == ["reasoning", "message"]
        assert items[0]["content"] == [{"type": "reasoning_text", "text": "Hmm."}]
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hmm."}]}, {"type": "text", "text": "Yes"}]
    assert answer([chunk({"content": parts}), *says(".")]) == items


def test_a_summary_is_what_the_provider_says_is_one() -> None:
    details = [("So", 0), (" it is.", 0), ("And on.", 1)]
    chunks = [
        chunk(
            {"reasoning": text, "reasoning_details": [{"type": "reasoning.summary", "summary": text, "index": index}]}
        )
        for text, index in details
    ]
    item, _ = answer([*chunks, *says("Yes")])
    assert [part["text"] for part in item["summary"]] == ["So it is.", "And on."]
    assert item["content"] == []


def test_thoughts_are_given_back_in_the_rounds_of_a_run_as_they_came() -> None:
    blocks: list[list[JsonObject]] = [
        [{"index": 0, "type": "thinking", "thinking": "Hm"}],
        [{"index": 0, "type": "thinking", "thinking": "m."}],
        [{"index": 0, "type": "thinking", "thinking": "", "signature": "s"}],
    ]
    thoughts = [chunk({"reasoning_content": block[0]["thinking"], "thinking_blocks": block}) for block in blocks]
    model = ScriptedModel([[*thoughts, piece(0, "{}", id="c", name="t"), chunk({}, "tool_calls")], says("done")])
    asyncio.run(play(a_run(HostedTool("t")), model))
    request = model.requests[1]
    assert request.messages[1]["reasoning_content"] == "Hmm."
    assert request.messages[1]["thinking_blocks"] == [{"type": "thinking", "thinking": "Hmm.", "signature": "s"}]
    (addition,) = [addition for addition in request.additions if addition.field == "messages"]
    assert "reasoning_content" not in addition.instead["messages"][1]


def test_parallel_calls_may_come_in_turns() -> None:
    chunks = [
        piece(0, "", id="a", name="f"),
        piece(1, "", id="b", name="f"),
        piece(0, '{"n"'),
        piece(1, '{"n"'),
        piece(0, ": 1}"),
        piece(1, ": 2}"),
        chunk({}, "tool_calls"),
    ]
    items = answer(chunks, FunctionTool("f"))
    assert [(item["call_id"], item["arguments"]) for item in items] == [("a", '{"n": 1}'), ("b", '{"n": 2}')]


@pytest.mark.parametrize("ids", [(None, None), ("", ""), ("x", "x")])
def test_calls_have_ids_of_their_own(ids: tuple[str | None, ...]) -> None:
    chunks = [
        chunk({"tool_calls": [{"index": place, "id": id_, "function": {"name": "f", "arguments": "{}"}}]})
        for place, id_ in enumerate(ids)
    ]
    items = answer([*chunks, chunk({}, "tool_calls")], FunctionTool("f"))
    assert len({item["call_id"] for item in items}) == 2
    assert all(item["call_id"] for item in items)


def test_the_older_form_of_a_call_is_one() -> None:
    older = [chunk({"function_call": {"name": "f", "arguments": ""}}), chunk({"function_call": {"arguments": "{}"}})]
    (item,) = answer([*older, chunk({}, "function_call")], FunctionTool("f"))
    assert (item["name"], item["arguments"], bool(item["call_id"])) == ("f", "{}", True)


def test_a_refusal_is_a_part_of_the_message_and_ends_it_where_a_shield_says_so() -> None:
    events = asyncio.run(
        play(a_run(), ScriptedModel([[chunk({"content": "So"}), chunk({"refusal": "No."}, "content_filter")]]))
    )
    assert [part["type"] for part in items_of(events)[0]["content"]] == ["output_text", "refusal"]
    assert (ended(events).status, ended(events).reason) == ("incomplete", "content_filter")


def test_blanks_between_thoughts_and_calls_are_no_message() -> None:
    chunks = [
        chunk({"reasoning": "Hm."}),
        chunk({"content": "\n\n"}),
        piece(0, "{}", id="a", name="f"),
        chunk({"content": "\n"}),
    ]
    assert [item["type"] for item in answer([*chunks, chunk({}, "tool_calls")], FunctionTool("f"))] == [
        "reasoning",
        "function_call",
    ]
    (item,) = answer(says("\n", " Yes"))
    assert item["content"][0]["text"] == "\n Yes"


def test_an_empty_answer_is_an_empty_message() -> None:
    (item,) = answer([chunk({"role": "assistant", "content": ""}, "stop")])
    assert item["content"][0]["text"] == ""


def test_logprobs_are_those_of_the_text() -> None:
    rows = [{"token": "a", "logprob": -0.1}, {"token": "b", "logprob": -0.2}]
    (item,) = answer(
        [*(chunk({"content": row["token"]}, logprobs={"content": [row]}) for row in rows), chunk({}, "stop")]
    )
    assert item["content"][0]["logprobs"] == rows


def test_the_usage_has_its_details() -> None:
    details: JsonObject = {
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    report = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 5, **details}}
    events = asyncio.run(play(a_run(), ScriptedModel([[chunk({"content": "x"}, "stop"), report]])))
    assert ended(events).usage == Usage(9, 3, 5, 2)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 3) | st.sampled_from(["", "x", " ", "f", "{}"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["index", "id", "function", "name", "arguments", "text", "thinking", "type", "summary", "content"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
FIELDS = (
    "content",
    "refusal",
    "tool_calls",
    "function_call",
    "reasoning",
    "reasoning_details",
    "thinking_blocks",
    "role",
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(FIELDS), JSON, min_size=1, max_size=3), max_size=4), JSON, JSON)
def test_deltas_of_any_shape_make_valid_events(deltas: list[JsonObject], logprobs: Any, finish: Any) -> None:
    chunks = [*(chunk(delta, logprobs=logprobs) for delta in deltas), chunk({}, finish), chunk({}, "stop")]
    answer(chunks, FunctionTool("f"))
