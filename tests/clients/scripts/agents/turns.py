"""Agents, sessions, turns and steps of 0.2.12: what is streamed, what is kept, what is refused."""

import json
from typing import Any

from tests.clients.scripts.agents.asking import (
    MODEL,
    agent,
    ask,
    client,
    gone,
    kinds,
    logged,
    session,
    streamed,
)
from tests.clients.scripts.harness import refusal, run
from tests.parts.model_script import Round


def a_turn_is_streamed(url: str) -> None:
    one = agent(url)
    turn, chunks = streamed(one, session(one), Round("Hello there, Bo."))
    payloads = [chunk.event.payload for chunk in chunks]
    assert (payloads[0].event_type, payloads[0].step_type) == ("step_start", "inference")
    assert payloads[-1].event_type == "turn_complete"
    assert kinds(turn) == ["inference"]
    said = turn.output_message
    assert (said.role, said.content, said.stop_reason) == ("assistant", "Hello there, Bo.", "end_of_turn")
    assert not said.tool_calls
    assert turn.steps[0].api_model_response == said
    assert [message.role for message in turn.input_messages] == ["user"]


def its_logger_prints_it(url: str) -> None:
    one = agent(url)
    assert logged(ask(one, session(one), Round("Say hello to Bo."))) == "inference> Say hello to Bo."


def a_turn_without_a_stream(url: str) -> None:
    """By the helper, which reads a stream, and by the route."""
    one = agent(url)
    where = session(one)
    assert ask(one, where, Round("Hello."), stream=False).output_message.content == "Hello."
    messages = [{"role": "user", "content": "Again?"}]
    answered = client(url).agents.turn.create(where, agent_id=one.agent_id, messages=messages, stream=False)
    assert (answered.session_id, kinds(answered)) == (where, ["inference"])
    assert "Again?" in answered.output_message.content


def a_session_remembers(url: str) -> None:
    one = agent(url)
    first, second = session(one), session(one)
    ask(one, first, "I am Bo.", stream=False)
    told = ask(one, first, "Who am I?", stream=False).output_message.content
    assert "I am Bo." in told
    assert told.startswith("system: Be brief.")
    assert "I am Bo." not in ask(one, second, "Who am I?", stream=False).output_message.content


def what_is_kept_is_read(url: str) -> None:
    one, stack = agent(url), client(url)
    where = one.create_session("of Bo")
    turns = [streamed(one, where, "Hello.")[0], streamed(one, where, Round("Bye."))[0]]
    kept = stack.agents.session.retrieve(where, agent_id=one.agent_id)
    assert (kept.session_id, kept.session_name) == (where, "of Bo")
    assert kept.started_at <= kept.turns[0].started_at
    assert [turn.model_dump() for turn in kept.turns] == [turn.model_dump() for turn in turns]
    of = {"agent_id": one.agent_id, "session_id": where}
    assert stack.agents.turn.retrieve(turns[0].turn_id, **of).model_dump() == turns[0].model_dump()
    step = turns[1].steps[0]
    found = stack.agents.steps.retrieve(step.step_id, turn_id=turns[1].turn_id, **of)
    assert found.step.model_dump() == step.model_dump()


def agents_and_sessions_are_listed(url: str) -> None:
    one, stack = agent(url, instructions="Be kind."), client(url)
    names = {one.create_session(f"session {n}") for n in range(3)}
    shown: Any = stack.get(f"/v1/agents/{one.agent_id}", cast_to=object)
    assert (shown["agent_id"], shown["agent_config"]["instructions"]) == (one.agent_id, "Be kind.")
    assert shown["agent_config"]["model"] == MODEL
    listed: Any = stack.get("/v1/agents", cast_to=object, options={"params": {"limit": 100}})
    assert one.agent_id in {row["agent_id"] for row in listed["data"]}
    assert (listed["has_more"], listed["url"]) == (False, "/v1/agents")
    sessions: Any = stack.get(f"/v1/agents/{one.agent_id}/sessions", cast_to=object)
    assert {row["session_id"] for row in sessions["data"]} == names
    page: Any = stack.get(
        f"/v1/agents/{one.agent_id}/sessions", cast_to=object, options={"params": {"start_index": 1, "limit": 1}}
    )
    assert (len(page["data"]), page["has_more"]) == (1, True)


def what_is_deleted_is_gone(url: str) -> None:
    one, stack = agent(url), client(url)
    where, other = session(one), session(one)
    turn = ask(one, where, Round("Hello."), stream=False)
    stack.agents.session.delete(where, agent_id=one.agent_id)
    of = {"agent_id": one.agent_id, "session_id": where}
    gone(lambda: stack.agents.session.retrieve(where, agent_id=one.agent_id))
    gone(lambda: stack.agents.turn.retrieve(turn.turn_id, **of))
    gone(lambda: stack.agents.steps.retrieve(turn.steps[0].step_id, turn_id=turn.turn_id, **of))
    stack.agents.delete(one.agent_id)
    gone(lambda: stack.agents.session.retrieve(other, agent_id=one.agent_id))
    gone(lambda: stack.agents.session.create(one.agent_id, session_name="x"))
    gone(lambda: stack.get(f"/v1/agents/{one.agent_id}", cast_to=object))


def what_was_never_there_is_not_there(url: str) -> None:
    one, stack = agent(url), client(url)
    where = session(one)
    other = agent(url)
    gone(lambda: stack.agents.session.retrieve("nowhere", agent_id=one.agent_id))
    gone(lambda: stack.agents.session.retrieve(where, agent_id=other.agent_id))
    gone(lambda: stack.agents.turn.retrieve("nothing", agent_id=one.agent_id, session_id=where))
    gone(lambda: list(ask(one, "nowhere", "Hi")))
    gone(lambda: list(ask(other, where, "Hi")))


def a_session_is_a_conversation(url: str) -> None:
    one, stack = agent(url), client(url)
    where = session(one)
    ask(one, where, "I am Bo.", stream=False)
    kept: Any = stack.get(f"/v1/conversations/{where}", cast_to=object)
    assert kept["id"] == where
    items: Any = stack.get(f"/v1/conversations/{where}/items?order=asc", cast_to=object)
    assert [(item["type"], item["role"]) for item in items["data"]] == [("message", "user"), ("message", "assistant")]
    assert items["data"][0]["content"][0]["text"] == "I am Bo."


def sampling_goes_to_the_model(url: str) -> None:
    limited = agent(url, sampling_params={"strategy": {"type": "greedy"}, "max_tokens": 3})
    cut = ask(limited, session(limited), Round("Hello there. All of you."), stream=False).output_message
    assert (cut.stop_reason, cut.content) == ("out_of_tokens", "Hello there.")
    for strategy in (
        {"type": "top_p", "temperature": 0.0001, "top_p": 0.9},
        {"type": "greedy"},
    ):
        one = agent(url, sampling_params={"strategy": strategy, "max_tokens": 64, "repetition_penalty": 1.0})
        assert ask(one, session(one), Round("Hello."), stream=False).output_message.content == "Hello."


def an_answer_has_the_form_that_was_asked_for(url: str) -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    one = agent(url, response_format={"type": "json_schema", "json_schema": schema})
    turn, _ = streamed(one, session(one), "Who are you?")
    assert json.loads(turn.output_message.content) == {"name": "NAME"}


def images_and_parts_of_content(url: str) -> None:
    one = agent(url)
    parts = [
        {"type": "text", "text": "What is it?"},
        {"type": "image", "image": {"data": "iVBORw0KGgo="}},
    ]
    turn = one.create_turn(messages=[{"role": "user", "content": parts}], session_id=session(one), stream=False)
    assert "What is it?[image_url of" in turn.output_message.content.replace(" [", "[")


def a_model_that_fails(url: str) -> None:
    """Before the first event a status, in the middle an event with an error, which the helper raises."""
    from llama_stack_client import APIStatusError

    one = agent(url)
    where = session(one)
    for status in (429, 500):
        refusal(APIStatusError, lambda status=status: list(ask(one, where, Round(status=status))))  # type: ignore[misc]
    for ends in ("error", "cut", "unfinished"):
        broken = Round("Hello there, all of you", ends=ends)
        raised = refusal(RuntimeError, lambda broken=broken: ask(one, where, broken, stream=False))  # type: ignore[misc]
        assert "Turn did not complete. Error: " in str(raised)
        chunks = list(ask(one, where, broken))
        assert chunks[-1].error["message"] in logged(iter(chunks))
    assert ask(one, where, Round("Well."), stream=False).output_message.content == "Well."
    unserved = agent(url, model="local/nothing")
    refusal(APIStatusError, lambda: list(ask(unserved, session(unserved), "Hi")))


def settings_of_old(url: str) -> None:
    """`tool_choice` beside `tool_config` was there before 0.2; both at once are refused as 0.2.12 does."""
    from llama_stack_client import BadRequestError

    create = client(url).agents.create
    common: Any = {"model": MODEL, "instructions": "Be brief.", "enable_session_persistence": False}
    for fine in (
        {"tool_choice": "auto"},
        {"tool_choice": "auto", "tool_config": {"tool_choice": "auto"}},
        {"tool_config": {"tool_choice": "required"}},
        {"tool_prompt_format": "python_list"},
        {"tool_config": {"tool_prompt_format": "json", "system_message_behavior": "replace"}},
        {"name": "an agent"},
        {"max_infer_iters": 3, "input_shields": [], "output_shields": [], "toolgroups": [], "client_tools": []},
    ):
        assert create(agent_config={**common, **fine}).agent_id
    both = {**common, "tool_choice": "required", "tool_config": {"tool_choice": "auto"}}
    assert "tool_choice" in str(refusal(BadRequestError, lambda: create(agent_config=both)))
    for wrong in ({"model": None}, {"sampling_params": {"strategy": {"type": "nope"}}}, {"input_shields": "all"}):
        refusal(BadRequestError, lambda wrong=wrong: create(agent_config={**common, **wrong}))  # type: ignore[misc]


SCENARIOS = (
    a_turn_is_streamed,
    its_logger_prints_it,
    a_turn_without_a_stream,
    a_session_remembers,
    what_is_kept_is_read,
    agents_and_sessions_are_listed,
    what_is_deleted_is_gone,
    what_was_never_there_is_not_there,
    a_session_is_a_conversation,
    sampling_goes_to_the_model,
    an_answer_has_the_form_that_was_asked_for,
    images_and_parts_of_content,
    a_model_that_fails,
    settings_of_old,
)

if __name__ == "__main__":
    run(SCENARIOS)
