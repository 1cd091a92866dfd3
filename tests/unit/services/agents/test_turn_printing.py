"""Whatever a run brings, its turn is told step by step, one at a time, and comes to what was told."""

from datetime import datetime
from itertools import count
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from core.services.agents.turns.printing import TurnPrinter
from core.services.agents.turns.steps import Judgement, TurnHead, end_turn, shown_name
from core.services.responses.contract import ItemAdded, RefusalDelta, RunEnded, Usage
from core.services.responses.output import Output
from tests.unit.services.agents.turn_runs import AgentRun, agent_runs

MOST = 3
VIOLATION: Any = {"violation_level": "error", "user_message": "No.", "metadata": {}}


def printer_of(rounds: int = 0) -> TurnPrinter:
    ticks = count(1_800_000_000)
    head = TurnHead("resp_1", "resp_2", "conv_1", [{"role": "user", "content": "hi"}], "t", rounds, MOST)
    return TurnPrinter(head, lambda: float(next(ticks)))


def played(run: AgentRun, printer: TurnPrinter, until: int | None = None) -> list[dict[str, Any]]:
    """The payloads, of a run that breaks after `until` events."""
    printer.begin()
    events = [*printer.flush()]
    for event in run.events[:until]:
        events += printer.print(event)
    printer.close()
    events += printer.flush()
    return [event["event"]["payload"] for event in events]


def test_a_search_of_the_stack_is_called_as_clients_know_it() -> None:
    tools = ("builtin::websearch", "web_search"), ("builtin::rag", "knowledge_search"), ("mine", "web_search")
    assert [shown_name(*tool) for tool in tools] == ["brave_search", "knowledge_search", "web_search"]


def steps_told(payloads: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The steps that were completed; each began before, and no other while it was open."""
    steps, open_id, seen = list[dict[str, Any]](), "", set[str]()
    for payload in payloads:
        match payload["event_type"]:
            case "step_start":
                assert not open_id
                assert payload["step_id"] not in seen
                open_id = payload["step_id"]
                seen.add(open_id)
            case "step_progress":
                assert payload["step_id"] == open_id
            case kind:
                assert (kind, payload["step_id"]) == ("step_complete", open_id)
                step = payload["step_details"]
                assert (step["step_id"], step["step_type"]) == (open_id, payload["step_type"])
                steps.append(step)
                open_id = ""
    assert not open_id
    times = [datetime.fromisoformat(step[name]) for step in steps for name in ("started_at", "completed_at")]
    assert times == sorted(set(times))
    return steps


def progress_of(payloads: list[dict[str, Any]], step: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        payload["delta"]
        for payload in payloads
        if payload["step_id"] == step["step_id"] and payload["event_type"] == "step_progress"
    ]


@settings(max_examples=40, deadline=None)
@given(agent_runs())
def test_steps_follow_each_other_and_tell_all_that_was_said_and_called(run: AgentRun) -> None:
    printer = printer_of()
    payloads = played(run, printer)
    steps = steps_told(payloads)
    assert printer.steps == steps
    asked = [step for step in steps if step["step_type"] == "inference"]
    assert [step["model_response"]["content"] for step in asked] == run.texts
    for step, calls in zip(asked, run.calls, strict=True):
        deltas, whole = progress_of(payloads, step), [call for call in calls if not call.is_broken]
        assert (
            "".join(delta["text"] for delta in deltas if delta["type"] == "text") == step["model_response"]["content"]
        )
        shown = step["model_response"]["tool_calls"]
        assert [call["call_id"] for call in shown] == [call.call_id for call in whole]
        reason = "out_of_tokens" if len(whole) < len(calls) else "end_of_message" if calls else "end_of_turn"
        assert step["model_response"]["stop_reason"] == reason
        ended = [delta["parse_status"] for delta in deltas if delta["type"] == "tool_call"]
        assert ended.count("started") == ended.count("succeeded") + ended.count("failed") == len(calls)
    ran = [call for calls in run.calls for call in calls if call.kind == "mcp_call" and not call.is_broken]
    tools = [step for step in steps if step["step_type"] == "tool_execution"]
    assert [step["tool_responses"][0]["call_id"] for step in tools] == [call.call_id for call in ran]
    assert [step["tool_responses"][0]["content"] for step in tools] == [f"of {call.slot.place}" for call in ran]


@settings(max_examples=30, deadline=None)
@given(agent_runs(), st.integers(0, MOST))
def test_a_turn_awaits_the_calls_of_its_last_answer_while_the_model_may_be_asked_again(
    run: AgentRun, rounds: int
) -> None:
    printer = printer_of(rounds)
    played(run, printer)
    turn = printer.end(run.end.status, run.end.reason)
    output = turn["output_message"]
    awaited = [call.call_id for call in run.calls[-1] if call.kind == "function_call" and not call.is_broken]
    is_whole = run.end.status == "completed"
    assert [call["call_id"] for call in output["tool_calls"]] == (awaited if is_whole else [])
    may_go_on = rounds + len(run.texts) < MOST
    is_open = bool(awaited) and is_whole and may_go_on
    kind = end_turn(turn)["event"]["payload"]["event_type"]
    assert kind == ("turn_awaiting_input" if is_open else "turn_complete")
    reason = "out_of_tokens" if run.end.reason else "end_of_turn"
    assert output["stop_reason"] == ("end_of_message" if is_open else reason)
    assert (output["content"], turn["steps"]) == (run.texts[-1], printer.steps)


@settings(max_examples=30, deadline=None)
@given(agent_runs(), st.data())
def test_a_run_that_breaks_leaves_no_step_open(run: AgentRun, data: st.DataObject) -> None:
    printer = printer_of()
    steps = steps_told(played(run, printer, data.draw(st.integers(0, len(run.events) - 1))))
    assert printer.steps == steps


def test_what_a_shield_stops_is_told_behind_what_it_is_about() -> None:
    printer, slot = printer_of(), Output().add({"type": "message"})
    printer.judge(Judgement("INPUT", None, 1.0, 2.0))
    printer.begin()
    printer.judge(Judgement("OUTPUT", VIOLATION, 3.0, 4.0, stops=True))
    printer.print(ItemAdded(slot, {"type": "message", "id": slot.id}))
    printer.print(RefusalDelta(slot, "No."))
    printer.print(RunEnded("completed", Usage()))
    turn = printer.end("completed")
    assert [step["step_type"] for step in turn["steps"]] == ["shield_call", "inference", "shield_call"]
    assert turn["steps"][1]["model_response"]["content"] == turn["output_message"]["content"] == "No."
    assert [step.get("violation") for step in turn["steps"]] == [None, None, VIOLATION]
    refused, slot = printer_of(), Output().add({"type": "message"})
    refused.judge(Judgement("INPUT", VIOLATION, 1.0, 2.0, stops=True))
    refused.begin()
    refused.print(ItemAdded(slot, {"type": "message", "id": slot.id}))
    refused.print(RefusalDelta(slot, "No."))
    turn = refused.end("completed")
    assert ([step["step_type"] for step in turn["steps"]], turn["output_message"]["content"]) == (
        ["shield_call"],
        "No.",
    )
