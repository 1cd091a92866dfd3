"""A response is kept before its end is told, and whatever becomes of a run, it is closed and its conversation let go."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from core.apis.response_queries import InputItemsQuery, ResponseQuery
from core.apis.responses import ResponseRequest
from core.errors import Conflict, InvalidRequest, NotFound, UpstreamFailed
from core.frame.types import JsonObject
from core.services.responses.attachments import Attachments
from core.services.responses.contract import (
    AnswerEnded,
    Event,
    Events,
    Item,
    ItemAdded,
    ItemDone,
    RoundEnded,
    Run,
    RunEnded,
    RunTools,
    Slot,
    StepRecorded,
    SummaryDelta,
    Usage,
)
from core.services.responses.guardrails import GuardedEngine, Guardrails, shields_of
from core.services.responses.items import read_input
from core.services.responses.output import make_id
from core.services.responses.router import Pieces, ResponsesRouter
from core.services.responses.tools.resolving import resolve_tools
from core.services.responses.tools.surfaces import ToolSurfaces
from tests.parts.response_schema import check_stream
from tests.unit.services.responses.runs import PlayedEngine, runs

KEPT: Item = {
    "type": "message",
    "id": "msg_kept",
    "role": "user",
    "content": [{"type": "input_text", "text": "before"}],
}
SAID = "said"


@dataclass
class KeptSession:
    """A session, and where it is opened. `fails` is raised by `finish`."""

    fails: Exception | None = None
    context: Sequence[Item] = (KEPT,)
    conversation_id: str | None = "conv_1"
    tail: str = "0000002a"
    kept: list[tuple[JsonObject, Sequence[Item], Sequence[Item]]] = field(default_factory=list[Any])
    closed: int = 0

    async def open(self, request: ResponseRequest) -> "KeptSession":
        del request
        return self

    def record_run(self, beginning: Any, new_items: Sequence[Item], request: str = "") -> None:
        """Nothing of it is written here."""

    async def lend(self, response_id: str, until: int) -> None:
        raise AssertionError(f"nobody goes on with {response_id} until {until}")

    async def finish(
        self, response: JsonObject, new_items: Sequence[Item], output: Sequence[Item], log: Any = None
    ) -> None:
        assert log is None
        if self.fails is not None:
            raise self.fails
        self.kept.append((response, new_items, output))

    async def close(self) -> None:
        self.closed += 1


class FailedEngine:
    async def run(self, run: Run) -> Events:
        del run
        raise UpstreamFailed("It is down.")
        yield  # pragma: no cover - what makes it a generator


@dataclass
class WordShield:
    """A `Safety` that finds what has the word; `asked` are the sources."""

    word: str
    asked: list[str] = field(default_factory=list[str])

    async def run_shield(self, request: Any) -> JsonObject:
        self.asked.append(request.params["source"])
        if request.shield_id == "gone":
            raise NotFound("There is no shield `gone`.")
        found = self.word in str(request.messages[-1])
        return {"violation": {"user_message": None, "metadata": {}} if found else None}

    async def moderate(self, request: Any) -> JsonObject:
        raise NotImplementedError


def router_over(engine: Any, session: KeptSession | None = None, records: Any = None) -> ResponsesRouter:
    async def find_engine(request: ResponseRequest) -> Any:
        del request
        return engine

    async def find_tools(request: ResponseRequest) -> RunTools:
        return resolve_tools(request, ToolSurfaces())

    history = session or KeptSession()
    unused: Any = None
    return ResponsesRouter(
        Pieces(
            engine=find_engine,
            history=lambda: history,
            tools=find_tools,
            prompt=unused,
            attachments=lambda: Attachments(lambda: None, unused),
            records=records,
            read_context=unused,
            compactor=unused,
            max_rounds=10,
        )
    )


def ask(**body: Any) -> ResponseRequest:
    return ResponseRequest.model_validate({"model": "m", "input": "hi", **body})


def comparable(response: JsonObject) -> JsonObject:
    return {name: value for name, value in response.items() if name not in {"id", "created_at", "completed_at"}}


@settings(max_examples=25, deadline=None)
@given(runs())
async def test_a_stream_ends_with_what_is_answered_without_one_and_both_are_kept(events: list[Event]) -> None:
    session, engine = KeptSession(), PlayedEngine(events)
    router = router_over(engine, session)
    streamed = check_stream([event.data async for event in await router.stream(ask())])
    whole = await router.create(ask())
    assert comparable(whole) == comparable(streamed)
    assert (session.closed, engine.closed) == (2, 2)
    for response, new_items, output in session.kept:
        assert response["id"] in {whole["id"], streamed["id"]}
        assert response["id"] in {run.id for run in engine.runs}
        assert "output" not in response
        assert [item["content"] for item in new_items] == [[{"type": "input_text", "text": "hi"}]]
        assert output == [event.item for event in sorted(done_of(events), key=lambda event: event.slot.place)]
    run = engine.runs[0]
    assert (run.context[0], len(run.context), run.kept_count, run.tail) == (KEPT, 2, 1, session.tail)


def done_of(events: list[Event]) -> list[ItemDone]:
    return [event for event in events if isinstance(event, ItemDone)]


END = RunEnded("completed", Usage(1, 0, 1))


async def test_what_fails_before_the_first_event_is_raised_and_lets_the_conversation_go() -> None:
    session = KeptSession()
    router = router_over(FailedEngine(), session)
    with pytest.raises(UpstreamFailed):
        await router.stream(ask())
    with pytest.raises(UpstreamFailed):
        await router.create(ask())
    with pytest.raises(InvalidRequest, match="no item `msg_2`"):
        await router.create(ask(input=[{"type": "item_reference", "id": "msg_2"}]))
    assert (session.closed, session.kept) == (3, [])


async def test_a_reference_to_what_was_said_says_nothing_new() -> None:
    engine = PlayedEngine([END])
    await router_over(engine).create(ask(input=[{"id": "msg_kept"}, {"role": "user", "content": "hi"}]))
    assert len(engine.runs[0].context) == 2


@pytest.mark.parametrize("taken", [0, 1, 3])
async def test_a_stream_that_is_left_is_closed_and_not_kept(taken: int) -> None:
    session, engine = KeptSession(), PlayedEngine([END])
    stream = await router_over(engine, session).stream(ask())
    for _ in range(taken):
        await anext(stream)
    await stream.aclose()
    assert (session.closed, engine.closed) == (1, 1)
    assert len(session.kept) == (taken == 3)  # it is kept before its last event leaves


async def test_a_response_that_cannot_be_kept_has_failed() -> None:
    session = KeptSession(fails=Conflict("The conversation is gone."))
    router = router_over(PlayedEngine([END]), session)
    failed = check_stream([event.data async for event in await router.stream(ask())])
    assert failed["error"] == {"code": "conflict", "message": "The conversation is gone."}
    assert comparable(await router.create(ask())) == comparable(failed)


@settings(max_examples=25, deadline=None)
@given(runs(), st.sampled_from(["", "a", "before", "never said"]))
async def test_guardrails_judge_before_the_model_is_asked_and_before_a_message_is_told(
    events: list[Event], word: str
) -> None:
    safety, engine = WordShield(word or "hi"), PlayedEngine(events)
    router = router_over(GuardedEngine(engine, Guardrails(safety, ["s"])))
    ended = check_stream([event.data async for event in await router.stream(ask(guardrails=["s"]))])
    assert len(engine.runs) == (word != "")
    texts = [part.get("text", "") for item in ended["output"] for part in item.get("content") or ()]
    if word != "":
        said = [item for item in ended["output"] if item["type"] == "message"]
        assert not any(word in part.get("text", "") for item in said for part in item["content"])
    else:
        assert texts == [""]
        assert ended["output"][0]["content"][0]["type"] == "refusal"
    assert engine.closed == len(engine.runs)


async def test_what_was_told_of_an_item_is_in_it_where_a_message_beside_it_is_refused() -> None:
    thought, message = (Slot(place, f"{kind}_{place}") for place, kind in enumerate(("rs", "msg")))
    part = {"type": "output_text", "text": "bad", "annotations": [], "logprobs": []}
    told: list[Event] = [
        ItemAdded(thought, {"type": "reasoning", "id": "rs_0", "summary": []}),
        SummaryDelta(thought, 0, "Let me "),
        SummaryDelta(thought, 0, "see."),
        ItemAdded(message, {"type": "message", "id": "msg_1", "role": "assistant", "content": []}),
        ItemDone(message, {"type": "message", "id": "msg_1", "role": "assistant", "content": [part]}),
    ]
    engine = GuardedEngine(PlayedEngine([*told, END]), Guardrails(WordShield("bad"), ["s"]))
    stream = await router_over(engine).stream(ask(guardrails=["s"]))
    ended = check_stream([event.data async for event in stream])
    assert ended["output"][0]["summary"] == [{"type": "summary_text", "text": "Let me see."}]


async def test_what_a_refused_answer_used_is_in_the_usage_and_a_run_that_goes_on_is_judged_by_what_is_new() -> None:
    asked, slots = Usage(7, 0, 3), [Slot(place, f"msg_{place}") for place in range(2)]
    message: Item = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "bad"}]}
    told: list[Event] = [ItemAdded(slots[0], {**message, "content": []}), ItemDone(slots[0], message)]
    rest: list[Event] = [
        ItemAdded(slots[1], message),
        ItemDone(slots[1], message),
        AnswerEnded(2, asked),
        StepRecorded({}),
    ]
    step = {"kind": "ended", "items": [], "at": {"number": 2, "usage": [10, 0, 5, 0]}}
    engine, safety = PlayedEngine([*told, *rest]), WordShield("bad")
    run = Run("m", [KEPT], resolve_tools(ask(), ToolSurfaces()), steps=[step])
    events = [event async for event in GuardedEngine(engine, Guardrails(safety, ["s"])).run(run)]
    assert safety.asked == ["OUTPUT"]
    assert [type(event).__name__ for event in events[-3:]] == ["AnswerEnded", "RoundEnded", "RunEnded"]
    assert events[-3:-1] == [AnswerEnded(2, asked), RoundEnded(2, (done_of(events)[-1].item,), asked)]
    assert events[-1] == RunEnded("completed", Usage(17, 0, 8))
    assert len(done_of(events)) == engine.closed == 1


async def test_a_guardrail_that_is_not_there_is_named() -> None:
    router = router_over(GuardedEngine(PlayedEngine([END]), Guardrails(WordShield("x"), ["s", "gone"])))
    with pytest.raises(NotFound) as missing:
        await router.create(ask(guardrails=["s", "gone"]))
    assert missing.value.param == "guardrails[1]"


async def test_a_place_to_go_on_behind_is_of_a_stream() -> None:
    router = router_over(PlayedEngine([END]))
    with pytest.raises(InvalidRequest, match="say `stream=true` too"):
        await router.get("resp_1", query=ResponseQuery(starting_after=3))


async def test_an_include_that_is_none_is_refused_before_input_items_are_read() -> None:
    router = router_over(PlayedEngine([END]))
    with pytest.raises(InvalidRequest) as refused:
        await router.input_items("resp_1", query=InputItemsQuery(include=["everything"]))
    assert refused.value.param == "include[0]"


def test_of_two_items_of_one_id_the_second_gets_another() -> None:
    own_id = make_id("msg_")
    first, second = read_input([{"role": "user", "content": text, "id": own_id} for text in "ab"], ())
    assert first["id"] == own_id
    assert second["id"] not in {"", own_id}


async def test_what_no_model_is_told_of_is_not_read_either() -> None:
    """Nobody has looked at the parts of items of OpenAI's own tools."""
    part = {"type": "input_file", "file_id": 5, "file_url": "http://169.254.169.254/x", "file_data": []}
    items: list[JsonObject] = [
        {"type": "computer_call_output", "call_id": "c", "output": [part]},
        {"type": "code_interpreter_call", "content": [part], "output": [part]},
        {"type": "reasoning", "summary": [], "content": [{**part, "text": "hm"}]},
        {"role": "user", "content": "hi"},
    ]
    engine = PlayedEngine([END])
    await router_over(engine).create(ask(input=items))
    assert [item["type"] for item in engine.runs[0].context[1:]] == [*(item["type"] for item in items[:-1]), "message"]


def test_shields_are_named_alone_or_in_objects() -> None:
    assert shields_of(ask(guardrails=["a", {"type": "b"}, {"id": "c"}]), None) == ["a", "b", "c"]
    assert shields_of(ask(guardrails=True), "d") == ["d"]
