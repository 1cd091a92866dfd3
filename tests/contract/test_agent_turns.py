"""Turns of 0.2's agents over HTTP: their steps and events, their tools and shields, how they go on, and what they are refused with."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from aiohttp import web
import pytest

from tests.parts.live_stack import message
from tests.parts.model_script import Call, Round
from tests.parts.turn_world import WEATHER, WORD, TurnWorld, call, messages_of, payloads, told, turn_world

INFERENCE = ["inference start", "inference text", "inference complete"]
CALLING = ["inference start", "inference started", "inference in_progress", "inference succeeded", "inference complete"]
TOOL = ["tool_execution start", "tool_execution in_progress", "tool_execution complete"]
REFUSAL = "Sorry I cannot do this."


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[TurnWorld]:
    async with turn_world(tmp_path) as made:
        yield made


def chats(world: TurnWorld) -> list[dict[str, Any]]:
    return world.responses.model.chats


def steps_of(turn: dict[str, Any]) -> list[str]:
    return [step["step_type"] for step in turn["steps"]]


async def test_a_turn_is_told_step_by_step_kept_and_part_of_a_conversation(world: TurnWorld) -> None:
    session = await world.session()
    events = await world.stream(session, "Good morning")
    assert told(events) == [*INFERENCE, "turn_complete"]
    turn = events[-1]["turn"]
    assert events[0]["metadata"] == {"response_id": turn["turn_id"]}
    assert turn["output_message"] == {
        "role": "assistant",
        "content": "system: Be brief.|user: Good morning",
        "stop_reason": "end_of_turn",
        "tool_calls": [],
    }
    assert turn["input_messages"] == [{"role": "user", "content": "Good morning"}]
    assert (await world.client.get(f"{session}/turn/{turn['turn_id']}")).json() == turn
    [step] = turn["steps"]
    found = (await world.client.get(f"{session}/turn/{turn['turn_id']}/step/{step['step_id']}")).json()
    assert found == {"step": step}
    second = await world.turn(session, "And?")
    assert "user: Good morning|assistant: system: Be brief." in second["output_message"]["content"]
    assert [one["turn_id"] for one in (await world.client.get(session)).json()["turns"]] == [
        turn["turn_id"],
        second["turn_id"],
    ]
    items = (await world.client.get(f"/v1/conversations/{turn['session_id']}/items?order=asc")).json()["data"]
    assert [item["role"] for item in items] == ["user", "assistant"] * 2
    response = (await world.client.get(f"/v1/responses/{turn['turn_id']}")).json()
    assert (response["status"], response["conversation"]) == ("completed", {"id": turn["session_id"]})


async def test_tools_of_groups_run_in_the_order_of_their_calls_and_their_args_are_the_agents(world: TurnWorld) -> None:
    uses: list[Any] = [
        {"name": "mcp::box/add", "args": {"a": 40}},
        "mcp::box/greet",
        {"name": "mcp::box/greet", "args": {}},
    ]
    session = await world.session(toolgroups=uses, client_tools=[WEATHER])
    both = Round(calls=(Call("add", {"a": 1, "b": 2}), Call("greet", {"name": "Ada"})))
    events = await world.stream(session, both, Round("So: {quote}"))
    calling = [CALLING[0], *CALLING[1:3] * 2, "inference succeeded", *CALLING[3:]]
    assert told(events) == [*calling, *TOOL * 2, *INFERENCE, "turn_complete"]
    turn = events[-1]["turn"]
    assert turn["output_message"]["content"] == "So: 42; Hello, Ada!"
    asked, add, *_ = turn["steps"]
    [shown, _] = asked["model_response"]["tool_calls"]
    assert (shown["tool_name"], shown["arguments"]) == ("add", {"a": 1, "b": 2})
    assert add["tool_calls"] == [shown]
    assert add["tool_responses"] == [
        {"call_id": shown["call_id"], "tool_name": "add", "content": "42", "metadata": None}
    ]
    tools = {tool["function"]["name"]: tool["function"]["parameters"] for tool in chats(world)[0]["tools"]}
    assert [*tools] == ["weather", "add", "greet"]
    assert [*tools["add"]["properties"]] == ["b"]
    assert "user: And" in (await world.turn(session, "And?"))["output_message"]["content"]


async def test_retrieval_searches_the_stores_of_the_agent(world: TurnWorld) -> None:
    store = {"vector_db_id": "notes", "embedding_model": "words"}
    await world.client.post("/v1/vector-dbs", json=store)
    documents: list[Any] = [{"document_id": "moon", "content": "The moon is made of basalt.", "metadata": {}}]
    body = {"documents": documents, "vector_db_id": "notes", "chunk_size_in_tokens": 64}
    assert (await world.post("/v1/tool-runtime/rag-tool/insert", **body)).status_code == 204
    group = {"name": "builtin::rag/knowledge_search", "args": {"vector_db_ids": ["notes"]}}
    session = await world.session(toolgroups=[group])
    turn = await world.turn(session, call("knowledge_search", query="moon"), Round("{quote}"))
    assert "made of basalt" in turn["output_message"]["content"]
    assert steps_of(turn) == ["inference", "tool_execution", "inference"]
    assert turn["steps"][1]["tool_responses"][0]["metadata"]["document_ids"] == ["moon"]
    assert [*chats(world)[0]["tools"][0]["function"]["parameters"]["properties"]] == ["query"]
    for query in (
        "toolgroup_id=builtin::rag/knowledge_search",
        "toolgroup_id[name]=builtin::rag&toolgroup_id[args][x][]=1",
    ):
        [tool] = (await world.client.get(f"/v1/tools?{query}")).json()["data"]
        assert tool["identifier"] == "knowledge_search"
    items = (await world.client.get(f"/v1/conversations/{turn['session_id']}/items?order=asc")).json()["data"]
    assert (items[1]["server_label"], "metadata" in items[1]) == ("builtin::rag", False)


async def test_a_turn_goes_on_with_what_client_tools_answer(world: TurnWorld) -> None:
    session = await world.session(toolgroups=["mcp::box"], client_tools=[WEATHER])
    both = Round("Let me see.", calls=(Call("weather", {"city": "Rome"}), Call("greet", {"name": "Ada"})))
    events = await world.stream(session, both, Round("{quote}"))
    assert told(events)[-4:] == [*TOOL, "turn_awaiting_input"]
    turn = events[-1]["turn"]
    [awaited] = turn["output_message"]["tool_calls"]
    assert (awaited["tool_name"], turn["output_message"]["stop_reason"]) == ("weather", "end_of_message")
    assert len(turn["steps"][0]["model_response"]["tool_calls"]) == 2
    path = f"{session}/turn/{turn['turn_id']}"
    assert (await world.client.get(path)).json() == turn
    answer = await world.resume(session, turn, "sunny", stream=True)
    resumed = payloads(answer)
    assert told(resumed) == ["tool_execution complete", *INFERENCE, "turn_complete"]
    assert resumed[0]["step_id"] == turn["steps"][0]["step_id"]
    whole = resumed[-1]["turn"]
    assert steps_of(whole) == ["inference", "tool_execution", "tool_execution", "inference"]
    assert "sunny" in whole["output_message"]["content"]
    assert "Hello, Ada!" in whole["output_message"]["content"]
    assert (whole["turn_id"], whole["started_at"]) == (turn["turn_id"], turn["started_at"])
    assert (await world.client.get(path)).json() == whole


async def test_a_turn_goes_on_once_and_while_it_is_the_last_thing_said(world: TurnWorld) -> None:
    session = await world.session(client_tools=[WEATHER])
    two = Round(calls=(Call("weather", {"city": "Rome"}), Call("weather", {"city": "Oslo"})))
    turn = await world.turn(session, two, Round("{quote}"))
    first, second = (call["call_id"] for call in turn["output_message"]["tool_calls"])
    answers = [{"call_id": name, "tool_name": "weather", "content": "1"} for name in (first, "call_no")]
    wrong = await world.post(f"{session}/turn/{turn['turn_id']}/resume", tool_responses=answers, stream=True)
    says = f"tool_responses[1].call_id: `call_no` is no call that awaits an answer. Answer each of these once: `{first}`, `{second}`."
    assert (wrong.status_code, message(wrong)) == (400, says)
    assert (await world.resume(session, turn, "1", "2")).json()["output_message"]["content"] == "1; 2"
    again = await world.resume(session, turn, "1", "2")
    assert (again.status_code, message(again).partition(":")[0]) == (400, "This turn awaits no answers of tools")
    later = await world.turn(session, call("weather", city="Bern"), Round("{quote}"))
    await world.turn(session, "Never mind.")
    late = await world.resume(session, later, "rain")
    says = "The session has gone on since this turn was made"
    assert (late.status_code, message(late).partition(":")[0]) == (409, says)


async def test_shields_are_steps_and_what_they_stop_no_model_hears_or_says(world: TurnWorld) -> None:
    session = await world.session(input_shields=["guard"], output_shields=["guard"])
    shield = ["shield_call start", "shield_call complete"]
    assert told(await world.stream(session, "Good morning")) == [*shield, *INFERENCE, *shield, "turn_complete"]
    asked = len(chats(world))
    events = await world.stream(session, f"Say {WORD}")
    assert told(events) == [*shield, "turn_complete"]
    assert events[0]["metadata"] == {"touchpoint": "user-input"}
    assert events[1]["step_details"]["violation"]["violation_level"] == "error"
    assert events[-1]["turn"]["output_message"]["content"] == REFUSAL
    assert len(chats(world)) == asked
    await world.turn(session, "Well?")
    assert WORD not in str(chats(world)[-1])
    assert WORD in str((await world.client.get(session)).json()["turns"][1])
    other = await world.session(output_shields=["guard"])
    events = await world.stream(other, Round(f"I say {WORD}."))
    assert WORD not in str([event for event in events if "turn" not in event])
    assert told(events) == [*INFERENCE, *shield, "turn_complete"]
    turn = events[-1]["turn"]
    assert (turn["steps"][0]["model_response"]["content"], turn["output_message"]["content"]) == (REFUSAL, REFUSAL)
    assert turn["steps"][1]["violation"]["user_message"] == REFUSAL
    items = (await world.client.get(f"/v1/conversations/{turn['session_id']}/items")).json()["data"]
    assert items[0]["content"] == [{"type": "refusal", "refusal": REFUSAL}]


async def test_calls_alone_are_judged_too_once_in_an_answer(world: TurnWorld) -> None:
    session = await world.session(output_shields=["guard"], client_tools=[WEATHER])
    two = Round(calls=(Call("weather", {"city": "Rome"}), Call("weather", {"city": "Oslo"})))
    turn = await world.turn(session, two, Round("{quote}"))
    assert steps_of(turn) == ["inference", "shield_call"]
    whole = (await world.resume(session, turn, "sun", "rain")).json()
    assert steps_of(whole) == ["inference", "shield_call", "tool_execution", "inference", "shield_call"]
    turn = await world.turn(session, call("weather", city=WORD), Round("{quote}"))
    assert (turn["output_message"]["content"], turn["output_message"]["tool_calls"]) == (REFUSAL, [])
    assert turn["steps"][1]["violation"]["user_message"] == REFUSAL


async def test_calls_that_the_caller_reads_in_a_text_are_answered_as_any(world: TurnWorld) -> None:
    """As 0.2's ReActAgent does, whose instructions replace those of the model."""
    config = {"system_message_behavior": "replace", "tool_choice": "auto"}
    session = await world.session(client_tools=[WEATHER], tool_config=config, max_infer_iters=2)
    turn = await world.turn(session, Round("weather(Rome)"), Round("So it is: {quote}"))
    assert turn["output_message"]["stop_reason"] == "end_of_turn"
    path, answer = (
        f"{session}/turn/{turn['turn_id']}/resume",
        {"call_id": "c", "tool_name": "weather", "content": "sun"},
    )
    whole = (await world.post(path, tool_responses=[answer])).json()
    assert (steps_of(whole), whole["output_message"]["content"]) == (
        ["inference", "tool_execution", "inference"],
        "So it is: sun",
    )
    assert (await world.post(path, tool_responses=[answer | {"call_id": "d"}])).status_code == 400


async def test_what_an_agent_says_of_sampling_and_tools_is_asked_of_the_model(world: TurnWorld) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    sampling = {
        "strategy": {"type": "top_p", "temperature": 0.5, "top_p": 0.9},
        "max_tokens": 50,
        "stop": ["END"],
    }
    session = await world.session(
        sampling_params=sampling,
        response_format={"type": "json_schema", "json_schema": schema},
        client_tools=[WEATHER],
        tool_choice="none",
        tool_prompt_format="python_list",
    )
    await world.turn(session, "hi")
    asked = chats(world)[-1]
    expected = {"temperature": 0.5, "top_p": 0.9, "max_tokens": 50, "stop": ["END"]}
    assert {name: asked.get(name) for name in expected} == expected
    assert asked["response_format"]["json_schema"]["schema"] == schema
    assert (asked["tool_choice"], asked["tools"][0]["function"]["parameters"]["properties"]["city"]["type"]) == (
        "none",
        "string",
    )
    turn = await world.turn(session, "Rome", tool_config={"tool_choice": "weather"})
    assert chats(world)[-1]["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    assert turn["output_message"]["stop_reason"] == "end_of_message"
    replaced = {"system_message_behavior": "replace", "tool_choice": "required"}
    session = await world.session(
        instructions="Tools: {{function_definitions}}", client_tools=[WEATHER], tool_config=replaced
    )
    await world.turn(session, Round("none"))
    asked = chats(world)[-1]
    assert (asked["temperature"], asked["tool_choice"]) == (0.0, "required")
    assert '"name":"weather"' in asked["messages"][0]["content"]


async def test_a_loop_of_tools_ends_where_the_agent_says(world: TurnWorld) -> None:
    session = await world.session(toolgroups=["mcp::box"], client_tools=[WEATHER], max_infer_iters=3)
    turn = await world.turn(session, call("greet", name="Ada"))
    assert steps_of(turn) == ["inference", "tool_execution"] * 3
    assert (turn["output_message"]["stop_reason"], turn["output_message"]["tool_calls"]) == ("end_of_turn", [])
    turn = await world.turn(session, call("weather", city="Rome"))
    for _ in range(2):
        assert turn["output_message"]["stop_reason"] == "end_of_message"
        turn = (await world.resume(session, turn, "sunny")).json()
    assert (turn["output_message"]["stop_reason"], len(turn["output_message"]["tool_calls"])) == ("end_of_turn", 1)
    assert (await world.resume(session, turn, "sunny")).status_code == 400


async def test_documents_are_told_at_the_end_of_the_users_message(world: TurnWorld) -> None:
    async def page(request: web.Request) -> web.StreamResponse:
        del request
        return web.Response(text="<p>From the web.</p>", content_type="text/html")

    world.responses.model.replies["/page.html"] = page
    documents = [
        {"content": "One.", "mime_type": "text/plain"},
        {"content": [{"type": "text", "text": "Two."}], "mime_type": "text/plain"},
        {"content": {"uri": "data:text/plain,Three."}, "mime_type": "text/plain"},
        {"content": {"uri": f"{world.responses.model.url}/page.html"}, "mime_type": "text/html"},
    ]
    session = await world.session(instructions="")
    turn = await world.turn(session, "Sum up: ", documents=documents)
    assert turn["output_message"]["content"].strip() == "user: Sum up: One.\nTwo.\nThree.\nFrom the web."
    assert turn["input_messages"] == [{"role": "user", "content": "Sum up: "}]


async def test_what_fails_before_a_model_answers_is_a_status_and_nothing_is_kept(world: TurnWorld) -> None:
    cases: list[tuple[dict[str, Any], dict[str, Any], int, str]] = [
        ({"model": "local/gone"}, {}, 404, "local/gone"),
        ({"toolgroups": ["mcp::no"]}, {}, 404, "agent_config.toolgroups[0]: "),
        (
            {},
            {"toolgroups": ["mcp::box/no"]},
            404,
            "toolgroups[0]: Tool group `mcp::box` has no tool `no`. Its tools: `greet`",
        ),
        ({"input_shields": ["no"]}, {}, 404, "agent_config.input_shields[0]: "),
        ({"tool_choice": "required"}, {}, 400, "tool_choice: is `required`, and the agent has no tool"),
        ({}, {"tool_config": {"tool_choice": "no"}}, 400, "tool_choice: `no` is no tool of the agent."),
        ({"client_tools": [WEATHER, WEATHER]}, {}, 400, "agent_config.client_tools[1].name: two tools are called"),
        ({"response_format": {"type": "grammar", "bnf": {}}}, {}, 400, "response_format: "),
        ({}, {"messages": [{"role": "tool", "call_id": "x", "content": "1"}]}, 400, "x"),
    ]
    for config, more, status, says in cases:
        session = await world.session(**config)
        answer = await world.post(f"{session}/turn", **{"messages": messages_of("hi"), "stream": True, **more})
        assert (answer.status_code, says in message(answer)) == (status, True), answer.text
        assert (await world.client.get(session)).json()["turns"] == []
    session = await world.session()
    answer = await world.post(f"{session}/turn", messages=messages_of(Round(status=429)), stream=True)
    assert answer.status_code == 429


async def _gone(request: web.Request) -> web.StreamResponse:
    del request
    return web.Response(status=503)


async def test_tools_that_fail_are_the_models_to_hear_of(world: TurnWorld) -> None:
    replies = world.responses.model.replies
    replies["/mcp"] = _gone
    session = await world.session(toolgroups=["mcp::box"])
    answer = await world.post(f"{session}/turn", messages=messages_of("hi"), stream=True)
    says = "agent_config.toolgroups[0]: the tools of `mcp::box` could not be listed"
    assert (answer.status_code, message(answer).startswith(says)) == (424, True)
    replies["/mcp"] = world.responses.server.reply
    calls = (Call("fail"), Call("vanish"), Call("greet", "{no"), Call("nobody"), Call("add", {"a": "x"}))
    turn = await world.turn(session, Round(calls=calls), Round("{quote}"))
    failed, vanished, unread, unknown, unfit = (
        step["tool_responses"][0]["content"] for step in turn["steps"] if step["step_type"] == "tool_execution"
    )
    assert failed == "it failed"
    assert "mcp" in vanished.lower()
    assert unread.startswith("The arguments are no JSON")
    assert unknown.startswith("There is no tool `nobody`. The tools: `greet`, `add`")
    assert "argument `a`" in unfit
    shown = [call["arguments_json"] for call in turn["steps"][0]["model_response"]["tool_calls"]]
    assert shown == ["{}", "{}", None, "{}", '{"a": "x"}']


@pytest.mark.parametrize("ends", ["error", "cut", "unfinished"])
async def test_a_model_that_breaks_ends_the_stream_with_an_error_and_the_turn_is_not_kept(
    world: TurnWorld, ends: Any
) -> None:
    session = await world.session()
    events = await world.stream(session, Round("Hello, I am about to", ends=ends))
    assert told(events) == [*INFERENCE, "error"]
    assert set(events[-1]["error"]) >= {"message"}
    answer = await world.post(f"{session}/turn", messages=messages_of(Round("Hello, I am", ends=ends)))
    assert answer.status_code == 502
    assert (await world.client.get(session)).json()["turns"] == []
    assert (await world.turn(session, "Again"))["output_message"]["content"].endswith("user: Again")
