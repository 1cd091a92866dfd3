"""A run that is cut anywhere, and gone on with from its steps, comes to what it would have come to: nothing that has answered is called again."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
import json
import re
from typing import Any, override

from hypothesis import given, settings
from hypothesis import strategies as st

from core.apis.inference import ChatRequest
from core.apis.retrieval import Passage
from core.errors import InvalidRequest, ProviderUnavailable
from core.frame.types import JsonObject, JsonStream
from core.services.responses.contract import (
    AnswerEnded,
    Event,
    Item,
    ItemAdded,
    ItemDone,
    RoundEnded,
    Run,
    RunEnded,
    Step,
    StepAdded,
    StepDone,
    StepRecorded,
    Steps,
    ToolCall,
    Usage,
)
from core.services.responses.engine.pieces import broken_item
from core.services.responses.engine.rounds import RoundEngine
from core.services.responses.output import make_key
from tests.unit.services.responses.engine.script import (
    FunctionTool,
    HostedTool,
    ScriptedModel,
    Tools,
    a_run,
    calls,
    chunk,
    ended,
    items_of,
    play,
    says,
)

RUN_ID = "resp_1"
APPROVED: Item = {"type": "mcp_call", "server_label": "s", "name": "t", "arguments": "{}", "status": "completed"}
LISTING: Item = {"type": "mcp_list_tools", "server_label": "s", "tools": [], "error": None}
THOUGHT = {"index": 0, "type": "thinking", "thinking": "Hm.", "signature": "c2ln"}


@dataclass
class Model(ScriptedModel):
    """Says the same to the same messages: what was lost is asked again. `most` are the messages that it takes."""

    most: int = 1000
    known: dict[str, Any] = field(default_factory=dict[str, Any])
    seen: list[str] = field(default_factory=list[str])

    @override
    async def stream_chat_completion(self, request: ChatRequest) -> JsonStream:
        if len(request.messages) > self.most:
            raise InvalidRequest("too long").quote(code="context_length_exceeded")
        extra = request.model_extra or {}
        asked = json.dumps([request.messages, extra.get("tool_choice"), extra.get("max_completion_tokens")])
        asked = re.sub(r"mcp_[0-9a-f]{30,}|call_[0-9a-f]{24}", "ID", asked)
        if asked not in self.known:
            self.known[asked] = self.script.pop(0)
            self.seen.append(asked)
        return self._play(self.known[asked])


@dataclass
class KeyedTool(HostedTool):
    """Notes what it was asked, by key; answers by its arguments alone."""

    ran: list[str] = field(default_factory=list[str])
    wrote: dict[str, str] = field(default_factory=dict[str, str])

    @override
    async def run(self, call: ToolCall, item: Item | None) -> Steps:
        assert self.wrote.setdefault(call.key, call.arguments) == call.arguments
        self.ran.append(call.key)
        async for step in super().run(call, item):
            yield step


@dataclass
class PreparedTools(Tools):
    """With a list of tools, and calls that were approved, before the first round."""

    approved: Sequence[str] = ()
    ran: list[str] = field(default_factory=list[str])

    @override
    async def prepare(
        self, context: Sequence[Item], done: Sequence[Item] = (), run_id: str = ""
    ) -> AsyncGenerator[Step]:
        del context
        if self.approved and not any(item["type"] == "mcp_list_tools" for item in done):
            yield StepDone(LISTING)
        for name in self.approved:
            if any(item.get("approval_request_id") == name for item in done):
                continue
            item = {**APPROVED, "approval_request_id": name}
            yield StepAdded({**item, "status": "in_progress"})
            self.ran.append(make_key(run_id, name))
            yield StepDone({**item, "output": name}, f"{name}!")


@dataclass
class Log:
    """What is kept of a run's events."""

    steps: list[JsonObject] = field(default_factory=list[JsonObject])
    output: dict[int, Item] = field(default_factory=dict[int, Item])
    rounds: dict[int, RoundEnded] = field(default_factory=dict[int, RoundEnded])
    end: RunEnded | None = None

    def keep(self, event: Event) -> None:
        match event:
            case StepRecorded(step):
                self.steps.append(json.loads(json.dumps(step)))
            case ItemAdded(slot, item):
                self.output[slot.place] = broken_item(item)
            case ItemDone(slot, item):
                self.output[slot.place] = item
            case RoundEnded(number):
                self.rounds[number] = event
            case RunEnded():
                self.end = event
            case _:
                pass

    @property
    def items(self) -> list[Item]:
        return [self.output[place] for place in sorted(self.output)]

    @property
    def called(self) -> set[str]:
        """The keys of calls whose answers are kept."""
        keys, answered = set[str](), list[JsonObject]()
        for step in self.steps:
            answered = step["answer"]["calls"] if step["kind"] == "answered" else answered
            if step["kind"] == "called":
                keys.add(make_key(RUN_ID, answered[step["call"]]["id"]))
        prepared = [self.output[place] for step in self.steps if step["kind"] == "prepared" for place in step["items"]]
        return keys | {
            make_key(RUN_ID, item["approval_request_id"]) for item in prepared if len(item) > len(LISTING) + 1
        }


async def go_on(run: Run, model: ScriptedModel, log: Log, most: int, *, lags: bool) -> None:
    """Have so many events more; what came after the last step is not kept where the log `lags`."""
    resumed, waiting = replace(run, steps=[*log.steps], output=log.items), list[Event]()
    async with aclosing(RoundEngine(model).run(resumed)) as events:
        async for event in events:
            waiting.append(event)
            if isinstance(event, StepRecorded | RunEnded) or not lags:
                for kept_event in waiting:
                    log.keep(kept_event)
                waiting.clear()
            most -= 1
            if not most:
                return


def plain(items: Sequence[Item]) -> Counter[str]:
    """In any order: a call that is run again has a place of its own; and what is asked for again may be called otherwise."""
    return Counter(json.dumps({**item, "id": "", "call_id": ""}, sort_keys=True) for item in items)


CALLS = st.lists(
    st.tuples(st.sampled_from(["one", "two", "one", "nothing", "own"]), st.sampled_from(["{}", '{"a": 1}', "no"])),
    max_size=4,
)
TEXTS = st.sampled_from(["", "So <|file-a|>.", "See [it](https://a.example)."])
ROUNDS = st.lists(st.tuples(CALLS, TEXTS, st.booleans()), min_size=4, max_size=4)
CUTS = st.lists(st.tuples(st.integers(1, 25), st.booleans()), max_size=4)
BOUNDS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"max_rounds": st.integers(1, 4)},
    optional={
        "max_tool_calls": st.integers(1, 3),
        "tool_choice": st.just("required"),
        "max_output_tokens": st.sampled_from([6, 12, 100]),
    },
)


def script_of(rounds: Sequence[Any]) -> list[Any]:
    script: list[Any] = []
    for number, (named, text, thinks) in enumerate(rounds):
        thought = [chunk({"reasoning_content": "Hm.", "thinking_blocks": [THOUGHT]})] if thinks else []
        answer = calls(*named, text=text, prefix=f"r{number}_") if named else says(text)
        script.append([*thought, *answer])
    return script


def run_of(
    rounds: Sequence[Any], bounds: JsonObject, approved: Sequence[str], most: int
) -> tuple[Run, Model, list[str]]:
    ran = list[str]()
    pages = [{"url": "https://a.example", "title": "A"}]
    tools: list[FunctionTool | HostedTool] = [
        KeyedTool("one", passages=[Passage(1, "x", 0.5, "vs", "file-a", "a.md")], ran=ran),
        KeyedTool("two", sources=pages, begins=False, ran=ran),
        FunctionTool("own"),
    ]
    context = [{"role": role, "content": role} for role in ("user", "assistant") * 3] + [
        {"role": "user", "content": "?"}
    ]
    run = Run(
        "m",
        context,
        PreparedTools(tools, approved=approved, ran=ran),
        "Be brief.",
        id=RUN_ID,
        records=True,
        truncate=True,
        **bounds,
    )
    return run, Model(script_of(rounds), most=most), ran


@settings(max_examples=50, deadline=None)
@given(ROUNDS, BOUNDS, st.sampled_from([(), ("appr_1",), ("appr_1", "appr_2")]), st.sampled_from([8, 11, 1000]), CUTS)
def test_a_run_that_is_cut_comes_to_what_it_would_have(
    rounds: Any, bounds: Any, approved: Sequence[str], most: int, cuts: Any
) -> None:
    whole, log = Log(), Log()
    run, model, ran = run_of(rounds, bounds, approved, most)
    asyncio.run(go_on(run, model, whole, 10_000, lags=False))
    assert [step["kind"] for step in whole.steps].count("prepared") == len(approved)
    cut_run, cut_model, cut_ran = run_of(rounds, bounds, approved, most)
    for size, lags in [*cuts, (10_000, False)]:
        begun, kept_before = len(cut_ran), log.called
        asyncio.run(go_on(cut_run, cut_model, log, size, lags=lags))
        assert kept_before.isdisjoint(cut_ran[begun:])
        if log.end is not None:
            break
    assert log.end == whole.end
    assert log.end is not None
    assert log.called == whole.called
    assert {*cut_ran} == {*ran}
    assert cut_model.seen == model.seen
    call_ids = [item["call_id"] for item in log.items if "call_id" in item]
    assert len({*call_ids}) == len(call_ids)
    kept = {place for step in log.steps for place in step["items"]}
    if all(lags for _, lags in cuts):
        lost = [item for place, item in log.output.items() if place not in kept]
        assert not any(item["type"] == "function_call" and item["status"] == "completed" for item in lost)
    assert plain([item for place, item in log.output.items() if place in kept]) == plain(whole.items)
    assert {number: plain(end.items) for number, end in log.rounds.items()} == {
        number: plain(end.items) for number, end in whole.rounds.items()
    }
    assert len({item["id"] for item in log.items}) == len(log.items)


def test_calls_that_a_model_gives_one_id_have_keys_of_their_own() -> None:
    tool = KeyedTool("t")
    same = [chunk({"tool_calls": [{"index": 0, "id": "call_0", "function": {"name": "t", "arguments": "{}"}}]})]
    both = [
        *same,
        chunk({"tool_calls": [{"index": 1, "id": "call_0", "function": {"name": "t", "arguments": '{"a": 1}'}}]}),
    ]
    model = ScriptedModel([[*both, chunk({}, "tool_calls")], [*same, chunk({}, "tool_calls")], says("done")])
    asyncio.run(play(a_run(tool, id=RUN_ID), model))
    assert len({*tool.ran}) == len(tool.ran) == 3
    assert all(key.startswith(f"{RUN_ID}:") for key in tool.ran)
    asyncio.run(
        play(a_run(nameless := KeyedTool("t")), ScriptedModel([[*same, chunk({}, "tool_calls")], says("done")]))
    )
    assert nameless.ran == [""]


def test_a_key_is_what_a_header_can_have() -> None:
    assert make_key("resp_1", "call_0") == "resp_1:call_0"
    odd = ["x" * 65, "é", "a b", "\ud800", "a\r\nb", ""]
    keys = {make_key("resp_1", call_id) for call_id in odd}
    assert len(keys) == len(odd)
    assert all(key.isascii() and key.isprintable() and " " not in key and len(key) < 128 for key in keys)


def test_a_run_that_is_not_recorded_tells_no_steps_and_one_that_had_ended_tells_its_end_alone() -> None:
    events = asyncio.run(play(a_run(), ScriptedModel([says("Hi")])))
    assert not any(isinstance(event, StepRecorded) for event in events)
    log = Log()
    asyncio.run(go_on(a_run(records=True), ScriptedModel([says("Hi", finish="length")]), log, 100, lags=False))
    assert [step["kind"] for step in log.steps] == ["ended"]
    assert "told" not in log.steps[0]
    events = asyncio.run(play(a_run(steps=log.steps, output=log.items), ScriptedModel([])))
    assert events == [log.end] == [RunEnded("incomplete", Usage(10, 0, 5), "max_output_tokens")]


def test_a_failure_of_a_run_that_is_gone_on_with_is_its_end_with_what_was_used() -> None:
    log = Log()
    run = a_run(HostedTool("t"), records=True)
    asyncio.run(go_on(run, ScriptedModel([calls(("t", "{}"))]), log, 8, lags=True))
    resumed = replace(run, steps=log.steps, output=log.items)
    events = asyncio.run(play(replace(resumed, records=False), ScriptedModel([ProviderUnavailable("gone")])))
    assert (ended(events).status, ended(events).usage) == ("failed", Usage(10, 0, 5))


def test_what_an_answer_used_counts_though_its_tool_ends_the_run() -> None:
    model = ScriptedModel([calls(("t", "{}"))])
    events = asyncio.run(play(a_run(HostedTool("t", failure=ProviderUnavailable("gone"))), model))
    assert ended(events) == RunEnded("failed", Usage(10, 0, 5), error={"code": "server_error", "message": "gone"})
    assert AnswerEnded(1, Usage(10, 0, 5)) in events
    assert [item["status"] for item in items_of(events)] == ["incomplete"]
