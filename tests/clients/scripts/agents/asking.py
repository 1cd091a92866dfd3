"""How 0.2.12's `Agent` asks for turns here, and what is looked at of a stream beyond what the client itself enforces."""

from collections.abc import Sequence
import os
from typing import Any, Final

from tests.clients.scripts.harness import refusal
from tests.parts.model_script import Round, write_script

MODEL: Final = "local/m"
SHIELD: Final = "llama-guard"
WORD: Final = os.environ.get("UNSAFE_WORD", "")
LAST: Final = ("turn_complete", "turn_awaiting_input")
POLYJUICE: Final = {"liquid_name": "polyjuice"}


def client(url: str) -> Any:
    import llama_stack_client

    return llama_stack_client.LlamaStackClient(base_url=url, max_retries=0)


def agent(url: str, **config: Any) -> Any:
    from llama_stack_client import Agent

    return Agent(client(url), **{"model": MODEL, "instructions": "Be brief.", **config})


def session(one: Any) -> str:
    name: str = one.create_session("a session")
    return name


def ask(one: Any, where: str, *asked: Round | str, **more: Any) -> Any:
    """A turn whose user says `asked`, or orders these rounds: its chunks, or itself with `stream=False`."""
    text = asked[0] if isinstance(asked[0], str) else write_script(*[each for each in asked if isinstance(each, Round)])
    return one.create_turn(messages=[{"role": "user", "content": text}], session_id=where, **more)


def streamed(one: Any, where: str, *asked: Round | str, **more: Any) -> tuple[Any, list[Any]]:
    """The whole turn, and its chunks, which must be as 0.2's are, of each of its streams."""
    chunks = list(ask(one, where, *asked, **more))
    turn: Any = None
    for stream in split(chunks):
        turn = check_stream(stream, turn)
    return turn, chunks


def split(chunks: Sequence[Any]) -> list[list[Any]]:
    """A stream for each resume; the client gives out the first stream's last event alone, of those that wait."""
    streams: list[list[Any]] = [[]]
    for chunk in chunks:
        if streams[-1] and streams[-1][-1].event.payload.event_type in LAST:
            streams.append([])
        streams[-1].append(chunk)
    return streams


def check_stream(chunks: Sequence[Any], before: Any = None) -> Any:
    """The turn that the stream tells; `before` is it as it waited, where this is a resume."""
    payloads = [chunk.event.payload for chunk in chunks]
    done = list(before.steps) if before is not None else []
    current: list[Any] = []
    for payload in payloads[:-1]:
        if payload.event_type == "step_start":
            assert not current, payload
        elif not current:
            assert before is not None, payload
            assert (payload.event_type, payload.step_type) == ("step_complete", "tool_execution"), payload
        else:
            assert (payload.step_id, payload.step_type) == (current[0].step_id, current[0].step_type), payload
        current.append(payload)
        if payload.event_type == "step_complete":
            check_step(current)
            done.append(payload.step_details)
            current = []
    assert not current, current
    last = payloads[-1]
    assert last.event_type in LAST, last
    check_turn(last.turn, done)
    if before is not None:
        assert last.turn.turn_id == before.turn_id
    if last.event_type == "turn_awaiting_input":
        assert last.turn.output_message.stop_reason == "end_of_message"
        assert last.turn.output_message.tool_calls
    return last.turn


def check_step(events: Sequence[Any]) -> None:
    end = events[-1]
    details = end.step_details
    assert (details.step_id, details.step_type) == (end.step_id, end.step_type), end
    assert details.started_at <= details.completed_at, end
    progress = [event.delta for event in events if event.event_type == "step_progress"]
    if details.step_type == "inference":
        check_inference(details.api_model_response, progress)
    elif details.step_type == "tool_execution":
        assert {call.call_id for call in details.tool_calls} == {answer.call_id for answer in details.tool_responses}
        assert all(delta.parse_status == "in_progress" for delta in progress), progress
        if len(events) > 1:
            assert [delta.tool_call.call_id for delta in progress] == [call.call_id for call in details.tool_calls]
    else:
        assert details.step_type == "shield_call", end
        assert events[0].metadata["touchpoint"] in {"user-input", "assistant-output"}, events[0]
        assert not progress


def check_inference(said: Any, progress: Sequence[Any]) -> None:
    texts = [delta.text for delta in progress if delta.type == "text"]
    assert not texts or not texts[0], texts
    assert "".join(texts) == said.content
    calls = [delta for delta in progress if delta.type == "tool_call"]
    whole = [delta.tool_call for delta in calls if delta.parse_status == "succeeded"]
    assert whole == (said.tool_calls or []), (whole, said.tool_calls)
    assert all(isinstance(delta.tool_call, str) for delta in calls if delta.parse_status in {"started", "in_progress"})


def check_turn(turn: Any, done: Sequence[Any]) -> None:
    assert [(step.step_type, step.step_id) for step in turn.steps] == [(step.step_type, step.step_id) for step in done]
    assert {step.turn_id for step in turn.steps} <= {turn.turn_id}
    assert len({(step.step_type, step.step_id) for step in turn.steps}) == len(turn.steps)
    assert turn.started_at <= turn.completed_at
    times = [moment for step in turn.steps for moment in (step.started_at, step.completed_at)]
    assert times == sorted(times), times


def kinds(turn: Any) -> list[str]:
    return [step.step_type for step in turn.steps]


def logged(chunks: Any) -> str:
    """What the client's own logger prints of a turn."""
    from llama_stack_client import AgentEventLogger

    return "".join(str(event) for event in AgentEventLogger().log(chunks) if event is not None)


def gone(call: Any) -> None:
    """0.2's own server says 400 of what is not there."""
    from llama_stack_client import APIStatusError

    assert refusal(APIStatusError, call).status_code in {400, 404}


def boiling_point(**kept: Any) -> Any:
    """The client tool of the reference's own tests; with `metadata` in `kept` it tells that beside its content."""

    def get_boiling_point(liquid_name: str, celsius: bool = True) -> Any:  # noqa: FBT001, FBT002 - the model fills it in
        """
        Returns the boiling point of a liquid in Celsius or Fahrenheit.

        :param liquid_name: The name of the liquid
        :param celsius: Whether to return the boiling point in Celsius
        :return: The boiling point of the liquid in Celsius or Fahrenheit
        """
        degrees = (-100 if celsius else -212) if liquid_name == "polyjuice" else -1
        return {"content": degrees, **kept} if kept else degrees

    return get_boiling_point
