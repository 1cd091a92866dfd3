"""Rounds of a model and its tools, whatever they do, are one valid sequence of events."""

import asyncio
from dataclasses import dataclass
from typing import Any, override

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from core.apis.retrieval import Passage
from core.errors import InvalidRequest, ProviderUnavailable, UpstreamFailed, UpstreamThrottled
from core.frame.types import JsonObject
from core.services.responses.contract import (
    AnnotationAdded,
    ArgumentsDelta,
    Event,
    Item,
    ItemAdded,
    ItemDone,
    RoundEnded,
    Slot,
    StepAdded,
    StepDone,
    StepPhase,
    StepRecorded,
    Steps,
    TextDelta,
    ToolCall,
    Usage,
)
from core.services.responses.engine.bounds import LEAST, MOST_OUTPUT, TOO_LONG, OutputBound
from core.services.responses.engine.rounds import RoundEngine
from tests.unit.services.responses.engine.script import (
    ASKED,
    FunctionTool,
    HostedTool,
    ScriptedModel,
    a_run,
    calls,
    chunk,
    ended,
    items_of,
    play,
    says,
)


def run_all(model: ScriptedModel, *tools: FunctionTool | HostedTool, **fields: Any) -> list[Any]:
    return asyncio.run(play(a_run(*tools, **fields), model))


def test_a_text_is_a_message() -> None:
    model = ScriptedModel([says("Hel", "lo")])
    events = run_all(model, instructions="Be brief.")
    assert [type(event).__name__ for event in events] == [
        "ItemAdded",
        "TextDelta",
        "TextDelta",
        "ItemDone",
        "AnswerEnded",
        "RoundEnded",
        "RunEnded",
    ]
    assert items_of(events)[0]["content"] == [
        {"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}
    ]
    assert ended(events).status == "completed"
    assert ended(events).usage == Usage(10, 0, 5, 0)
    request = model.requests[0]
    assert request.messages == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}]
    assert request.stream_options == {"include_usage": True}


def test_a_callers_calls_end_the_run() -> None:
    model = ScriptedModel([calls(("f", '{"a": 1}'), ("f", '{"a": 2}'), text="Let me see.")])
    events = run_all(model, FunctionTool("f"))
    message, one, two = items_of(events)
    assert message["content"][0]["text"] == "Let me see."
    assert [(call["call_id"], call["arguments"], call["status"]) for call in (one, two)] == [
        ("c0", '{"a": 1}', "completed"),
        ("c1", '{"a": 2}', "completed"),
    ]
    assert "".join(event.text for event in events if isinstance(event, ArgumentsDelta)) == '{"a": 1}{"a": 2}'
    assert ended(events).status == "completed"


def test_the_stacks_tools_are_run_at_once_and_told_in_the_calls_order() -> None:
    tool = HostedTool("t")
    arguments = [f'{{"n": {n}}}' for n in range(6)]
    model = ScriptedModel([calls(*(("t", text) for text in arguments)), says("done")])
    events = run_all(model, tool)
    assert tool.most_running == 4
    assert [item["output"] for item in items_of(events)[:-1]] == [f"t({text})" for text in arguments]
    _, assistant, *results = model.requests[1].messages
    assert [call["function"]["arguments"] for call in assistant["tool_calls"]] == arguments
    assert [(result["tool_call_id"], result["content"]) for result in results] == [
        (f"c{place}", f"t({text})") for place, text in enumerate(arguments)
    ]
    assert [event.number for event in events if isinstance(event, RoundEnded)] == [1, 2]
    assert ended(events).usage == Usage(20, 0, 10, 0)


def test_the_callers_function_ends_the_run_after_the_stacks_tools_were_run() -> None:
    model = ScriptedModel([calls(("t", "{}"), ("f", "{}"))])
    hosted, own = items_of(run_all(model, HostedTool("t"), FunctionTool("f")))
    assert (hosted["output"], own["type"]) == ("t({})", "function_call")


def test_what_comes_before_the_first_round_is_told_first() -> None:
    call = {
        "type": "mcp_call",
        "server_label": "s",
        "name": "t",
        "arguments": "{}",
        "output": None,
        "error": None,
        "status": "in_progress",
    }
    listing: JsonObject = {"type": "mcp_list_tools", "server_label": "s", "tools": [], "error": None}
    first = [
        StepAdded(dict(listing)),
        StepPhase("completed"),
        StepDone(listing),
        StepAdded(call),
        StepDone({**call, "output": "42", "status": "completed"}, "42!"),
    ]
    model = ScriptedModel([says("It is 42.")])
    events = run_all(model, HostedTool("t"), first=first)
    assert [item["type"] for item in items_of(events)] == ["mcp_list_tools", "mcp_call", "message"]
    assert [message["role"] for message in model.requests[0].messages] == ["user", "assistant", "tool"]
    assert model.requests[0].messages[2]["content"] == "42!"


def test_an_unknown_tool_is_told_to_the_model_and_never_the_callers() -> None:
    model = ScriptedModel(
        [calls(("no.thing", "{}"), prefix="chatcmpl-tool-0123456789abcdef0123456789abcdef"), says("Sorry.")]
    )
    events = run_all(model, FunctionTool("f"))
    item, _ = items_of(events)
    assert (item["type"], item["name"], item["status"]) == ("mcp_call", "no.thing", "failed")
    begun = next(event.item for event in events if isinstance(event, ItemAdded))
    assert begun == item | {"status": "in_progress", "error": None}
    _, assistant, tool = model.requests[1].messages
    assert tool["content"] == "There is no tool `no.thing`. Call one of: `f`."
    (call,) = assistant["tool_calls"]
    assert (call["function"]["name"], call["id"], len(call["id"]) <= 40) == ("no_thing", tool["tool_call_id"], True)


def test_calls_beyond_the_most_are_not_run_and_the_model_answers_without_tools() -> None:
    model = ScriptedModel([calls(("t", "{}"), ("t", "{}")), says("Enough.")])
    tool = HostedTool("t")
    one, two, _ = items_of(run_all(model, tool, max_tool_calls=1, tool_choice="required"))
    assert (one["status"], two["status"]) == ("completed", "incomplete")
    assert two["error"].startswith("It was not run: no more than 1 tool calls")
    assert [(request.model_extra or {})["tool_choice"] for request in model.requests] == ["required", "none"]


def test_a_loop_without_end_ends_by_its_bound() -> None:
    model = ScriptedModel([calls(("t", "{}")) for _ in range(3)])
    events = run_all(model, HostedTool("t"), max_rounds=3)
    assert (ended(events).status, ended(events).reason) == ("incomplete", "max_iterations_exceeded")
    assert len({item["id"] for item in items_of(events)}) == 3
    told = [message["tool_call_id"] for message in model.requests[2].messages if message["role"] == "tool"]
    assert len({*told}) == 2  # though the model gave both one id


def test_a_call_of_what_is_no_tool_takes_none_of_the_most() -> None:
    model = ScriptedModel([calls(("nothing", "{}"), ("t", "{}")), says("done")])
    call, *_ = items_of(run_all(model, HostedTool("t"), max_tool_calls=1))
    assert call["status"] == "completed"
    assert "tool_choice" not in (model.requests[1].model_extra or {})


def test_what_must_be_called_is_asked_for_once() -> None:
    model = ScriptedModel([calls(("t", "{}")), says("done")])
    run_all(model, HostedTool("t"), tool_choice={"type": "function", "function": {"name": "t"}})
    assert "tool_choice" in (model.requests[0].model_extra or {})
    assert "tool_choice" not in (model.requests[1].model_extra or {})


def test_the_bound_of_tokens_is_over_all_rounds() -> None:
    model = ScriptedModel([calls(("t", "{}")), calls(("t", "{}"))])
    events = run_all(model, HostedTool("t"), max_output_tokens=9)
    assert [(request.model_extra or {})["max_completion_tokens"] for request in model.requests] == [9, 4]
    assert (ended(events).status, ended(events).reason) == ("incomplete", "max_output_tokens")


@pytest.mark.parametrize(("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
def test_an_answer_that_is_cut_is_incomplete(finish: str, reason: str) -> None:
    events = run_all(ScriptedModel([says("Hel", finish=finish)]))
    assert (ended(events).status, ended(events).reason) == ("incomplete", reason)
    assert items_of(events)[0]["status"] == "incomplete"


def test_calls_of_an_answer_that_is_cut_are_not_run() -> None:
    tool = HostedTool("t")
    model = ScriptedModel([calls(("t", '{"a": 1}'), ("t", '{"b'), finish="length")])
    events = run_all(model, tool)
    assert [item["status"] for item in items_of(events)] == ["incomplete", "incomplete"]
    assert tool.most_running == 0


def test_an_answer_without_a_finish_fails() -> None:
    events = run_all(ScriptedModel([says("Hel", finish=None)]))
    assert ended(events).error == {
        "code": "server_error",
        "message": "The model's answer broke off: its provider ended it without saying why.",
    }
    assert items_of(events)[0]["content"][0]["text"] == "Hel"


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (UpstreamThrottled("slow"), "rate_limit_exceeded"),
        (InvalidRequest("no"), "invalid_prompt"),
        (UpstreamFailed("bad"), "server_error"),
    ],
)
def test_a_failure_in_the_middle_ends_the_run_as_failed(failure: Any, code: str) -> None:
    scripts: list[list[Any]] = [[[chunk({"content": "Hel"}), failure]], [calls(("t", "{}")), failure]]
    for script in scripts:
        events = run_all(ScriptedModel(script), HostedTool("t"))
        assert ended(events).error == {"code": code, "message": failure.message}
        assert ended(events).status == "failed"


@dataclass
class SayingTool(HostedTool):
    output: str = ""

    @override
    async def run(self, call: ToolCall, item: Item | None) -> Steps:
        yield StepDone({**(item or {}), "arguments": call.arguments, "output": self.output, "status": "completed"}, "")


def test_what_is_too_long_ends_the_run_with_what_was_said() -> None:
    half = "x" * (MOST_OUTPUT // 2)
    begin = {"index": 0, "id": "c", "type": "function", "function": {"name": "own", "arguments": half}}
    more = chunk({"tool_calls": [{"index": 0, "function": {"arguments": half}}]})
    for answer in ([*says(half, half, "y")], [chunk({"tool_calls": [begin]}), more, chunk({}, "tool_calls")]):
        events = run_all(ScriptedModel([answer]), FunctionTool("own"))
        assert (ended(events).status, ended(events).error) == ("failed", {"code": "server_error", "message": TOO_LONG})
        assert half in str(items_of(events))
    again = [calls(("t", "{}"), prefix=str(n)) for n in range(3)]
    events = run_all(ScriptedModel([*again, says("x")]), SayingTool("t", output=half))
    assert (ended(events).status, ended(events).error) == ("failed", {"code": "server_error", "message": TOO_LONG})
    assert ended(run_all(ScriptedModel([says(half, half[:-9999])]))).status == "completed"


def test_what_says_little_has_a_weight_too() -> None:
    bound, slot = OutputBound(), Slot(0, "x")
    events: list[Event] = [
        TextDelta(slot, "", [{"top_logprobs": [{}]}] * 1000),
        AnnotationAdded(slot, {"title": "x" * 80_000}),
        ItemDone(slot, {"type": "mcp_call", "output": "x" * 80_000}),
        *[ItemAdded(slot, {})] * 1000,
    ]
    for event in events:
        before = bound.left
        bound.take(event)
        assert before - bound.left >= LEAST
    assert MOST_OUTPUT - bound.left > 350_000
    bound.take(ItemDone(slot, {"type": "message", "content": [{"text": "x" * MOST_OUTPUT}]}))  # its deltas were counted


def test_a_tool_that_ends_the_run_leaves_no_item_open() -> None:
    model = ScriptedModel([calls(("t", '{"a": 1}'), ("u", "{}"))])
    events = run_all(model, HostedTool("t"), HostedTool("u", failure=ProviderUnavailable("gone")))
    assert ended(events).error == {"code": "server_error", "message": "gone"}


@dataclass
class SilentTool(HostedTool):
    """Ends without a word, or is done without an output."""

    is_done: bool = False

    @override
    async def run(self, call: ToolCall, item: Item | None) -> Steps:
        for _ in range(self.is_done):
            yield StepDone({**(item or {}), "arguments": call.arguments, "status": "completed"})


@pytest.mark.parametrize("is_done", [False, True])
@pytest.mark.parametrize("records", [False, True])
def test_a_tool_without_an_answer_is_told_as_that(is_done: bool, records: bool) -> None:  # noqa: FBT001 - parameters
    model = ScriptedModel([calls(("t", '{"a": 1}'), ("u", "{}")), says("done")])
    events = run_all(model, SilentTool("t", is_done=is_done), HostedTool("u"), records=records)
    silent, other, _ = items_of(events)
    assert (silent["status"], silent["arguments"]) == ("completed" if is_done else "incomplete", '{"a": 1}')
    assert other["output"] == "u({})"
    outputs = [message["content"] for message in model.requests[1].messages if message["role"] == "tool"]
    assert outputs == ["The tool gave no answer.", "u({})"]
    kinds = [event.step["kind"] for event in events if isinstance(event, StepRecorded)]
    assert kinds == ["answered", "called", "called", "ended", "ended"] * records


def test_the_first_failure_of_the_model_is_raised() -> None:
    with pytest.raises(UpstreamThrottled):
        run_all(ScriptedModel([UpstreamThrottled("slow")]))
    with pytest.raises(InvalidRequest, match="No function call with the call_id `x`"):
        run_all(ScriptedModel([]), context=[{"type": "function_call_output", "call_id": "x", "output": "1"}])


@pytest.mark.parametrize("after", [1, 3, 5])
def test_closing_leaves_nothing_under_way(after: int) -> None:
    tool = HostedTool("t")
    model = ScriptedModel([calls(("t", "{}"), ("t", "{}"), text="so"), says("done")])

    async def leave() -> set[Any]:
        events = RoundEngine(model).run(a_run(tool))
        for _ in range(after):
            await anext(events)
        await events.aclose()
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert not asyncio.run(leave())
    assert (model.open, tool.running) == (0, 0)


def too_long() -> InvalidRequest:
    return InvalidRequest("too long", param="messages").quote(code="context_length_exceeded")


def test_the_oldest_turns_are_let_go_of_where_the_model_takes_no_more() -> None:
    turns = [{"role": role, "content": f"{role} {n}"} for n in range(8) for role in ("user", "assistant")]
    model = ScriptedModel([too_long(), too_long(), says("ok")])
    run_all(model, context=[*turns, *ASKED], instructions="Be brief.", truncate=True)
    told = [[message["content"] for message in request.messages] for request in model.requests]
    assert [len(texts) for texts in told] == [18, 8, 4]
    assert told[2] == ["Be brief.", "user 7", "assistant 7", "hello"]
    with pytest.raises(InvalidRequest) as refusal:
        run_all(ScriptedModel([too_long()]), context=turns)
    assert (refusal.value.code, refusal.value.param) == ("context_length_exceeded", "input")
    with pytest.raises(InvalidRequest):
        run_all(ScriptedModel([too_long()]), truncate=True)


def test_what_a_search_found_is_cited_where_the_model_says_so() -> None:
    passage = Passage(1, "x", 0.5, "vs", "file-abc", "a.md")
    model = ScriptedModel([calls(("t", "{}")), says("A fact <|fi", "le-abc|>. More", " [file-abc] <|file-zz|>")])
    events = run_all(model, HostedTool("t", passages=[passage]))
    part = items_of(events)[-1]["content"][0]
    assert part["text"] == "A fact. More <|file-zz|>"
    assert [(row["type"], row["file_id"], row["index"]) for row in part["annotations"]] == [
        ("file_citation", "file-abc", 6),
        ("file_citation", "file-abc", 12),
    ]


def test_pages_of_an_earlier_response_are_cited_too() -> None:
    search = {
        "type": "web_search_call",
        "id": "ws_1",
        "status": "completed",
        "action": {"sources": [{"url": "https://a.example"}]},
    }
    results = [{"url": "https://a.example", "title": "A"}]
    model = ScriptedModel([says("See [it](https://a.example).")])
    (item,) = items_of(run_all(model, context=[{**search, "results": results}, *ASKED]))
    (citation,) = item["content"][0]["annotations"]
    assert (citation["url"], citation["title"]) == ("https://a.example", "A")


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.sampled_from([(), ("file-abc",)]))
def test_a_link_to_a_page_that_was_shown_is_a_citation_however_it_comes(size: int, ids: tuple[str, ...]) -> None:
    pages = [{"url": "https://a.example/x_(y)", "title": "X"}, {"url": "https://b.example/", "title": ""}]
    text = 'See [this](https://a.example/x_(y)) and [B](https://b.example "t"), not [C](https://c.example) or [D'
    model = ScriptedModel([calls(("t", "{}")), says(*(text[at : at + size] for at in range(0, len(text), size)))])
    passages = [Passage(1, "x", 0.5, "vs", id_, "a.md") for id_ in ids]
    part = items_of(run_all(model, HostedTool("t", passages=passages, sources=pages)))[-1]["content"][0]
    assert part["text"] == text
    assert [(row["url"], row["title"], text[row["start_index"] : row["end_index"]]) for row in part["annotations"]] == [
        ("https://a.example/x_(y)", "X", "[this](https://a.example/x_(y))"),
        ("https://b.example/", "B", '[B](https://b.example "t")'),
    ]
