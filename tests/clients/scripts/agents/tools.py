"""Tools of an agent of 0.2.12: the client's own, the stack's groups, several at once, none, and without end."""

import os
from typing import Any

from tests.clients.scripts.agents.asking import (
    MODEL,
    POLYJUICE,
    SHIELD,
    agent,
    ask,
    boiling_point,
    client,
    kinds,
    logged,
    session,
    streamed,
)
from tests.clients.scripts.harness import run
from tests.parts.model_script import Call, Round

BOIL = Call("get_boiling_point", POLYJUICE)


def a_client_tool(url: str) -> None:
    one = agent(url, tools=[boiling_point()])
    turn, chunks = streamed(one, session(one), Round("I will look. ", (BOIL,)), Round("It is {quote}."))
    assert kinds(turn) == ["inference", "tool_execution", "inference"]
    assert turn.output_message.content == "It is -100."
    waiting = [chunk.event.payload.event_type for chunk in chunks].index("turn_awaiting_input")
    first = chunks[waiting + 1].event.payload
    assert (first.event_type, first.step_type) == ("step_complete", "tool_execution")
    [call], [answer] = first.step_details.tool_calls, first.step_details.tool_responses
    assert (call.tool_name, call.arguments, call.call_id) == ("get_boiling_point", POLYJUICE, answer.call_id)
    assert (answer.tool_name, answer.content) == ("get_boiling_point", "-100")


def its_logger_prints_the_call(url: str) -> None:
    one = agent(url, tools=[boiling_point()])
    logs = logged(ask(one, session(one), Round("I look. ", (BOIL,)), Round("It is {quote}.")))
    assert "tool_execution> Tool:get_boiling_point Args:{'liquid_name': 'polyjuice'}" in logs
    assert "tool_execution> Tool:get_boiling_point Response:-100" in logs
    assert logs.endswith("inference> It is -100.")


def metadata_of_a_client_tool(url: str) -> None:
    """What the reference's own test looks at: one input message, the order of steps, and their times."""
    one = agent(url, tools=[boiling_point(metadata={"source": "https://example.com"})])
    turn = ask(one, where := session(one), Round("", (BOIL,)), Round("It is {quote}."), stream=False)
    assert len(turn.input_messages) == 1
    assert kinds(turn) == ["inference", "tool_execution", "inference"]
    assert turn.steps[1].tool_responses[0].metadata["source"] == "https://example.com"
    for before, step in zip(turn.steps, turn.steps[1:], strict=False):
        assert before.completed_at < step.started_at < step.completed_at, turn.steps
    kept = client(url).agents.turn.retrieve(turn.turn_id, agent_id=one.agent_id, session_id=where)
    assert kept.model_dump() == turn.model_dump()


def two_calls_at_once(url: str) -> None:
    one = agent(url, tools=[boiling_point()], input_shields=[SHIELD], output_shields=[SHIELD])
    both = (BOIL, Call("get_boiling_point", {**POLYJUICE, "celsius": False}))
    turn = ask(one, session(one), Round("", both), Round("{quote}"), stream=False)
    assert kinds(turn) == [
        *("shield_call", "inference", "shield_call"),
        "tool_execution",
        *("shield_call", "inference", "shield_call"),
    ]
    assert [call.tool_name for call in turn.steps[3].tool_calls] == ["get_boiling_point"] * 2
    assert turn.output_message.content == "-100; -212"


def client_tools_without_end(url: str) -> None:
    one = agent(url, tools=[boiling_point()], max_infer_iters=5)
    turn, _ = streamed(one, session(one), Round("Once more. ", (BOIL,)))
    assert 4 <= kinds(turn).count("inference") <= 5, kinds(turn)
    assert kinds(turn).count("tool_execution") <= 5


def the_stacks_tools_without_end(url: str) -> None:
    one = agent(url, tools=["mcp::box"], max_infer_iters=3)
    turn, chunks = streamed(one, session(one), Round("", (Call("add", {"a": 1, "b": 2}),)))
    assert kinds(turn).count("inference") == 3, kinds(turn)
    assert chunks[-1].event.payload.event_type == "turn_complete"


def tools_are_chosen(url: str) -> None:
    for choice, least, most in (("required", 1, 2), ("none", 0, 0), ("get_boiling_point", 1, 2), ("auto", 1, 2)):
        one = agent(url, tools=[boiling_point()], tool_config={"tool_choice": choice}, max_infer_iters=2)
        turn = ask(one, session(one), "What is the boiling point of polyjuice?", stream=False)
        steps = [step for step in turn.steps if step.step_type == "tool_execution"]
        assert least <= len(steps) <= most, (choice, kinds(turn))
        assert all(step.tool_calls[0].tool_name == "get_boiling_point" for step in steps)


def a_tool_that_fails_and_one_that_is_not_there(url: str) -> None:
    def get_nothing(reason: str) -> str:
        """Raises.

        :param reason: what it says
        """
        raise ValueError(reason)

    one = agent(url, tools=[get_nothing])
    call = Call("get_nothing", {"reason": "out of it"})
    turn = ask(one, session(one), Round("", (call,)), Round("{quote}"), stream=False)
    assert turn.output_message.content == "Error when running tool: out of it"
    turn = ask(one, session(one), Round("", (Call("no_such_tool"),)), Round("I see: {quote}"), stream=False)
    assert turn.output_message.content.startswith("I see: ")
    assert len(turn.output_message.content) > len("I see: ")


def a_group_of_mcp(url: str) -> None:
    """Of an official server, registered as 0.2's users do."""
    stack = client(url)
    place = {"uri": f"{os.environ['MCP_SDK_URL']}/mcp"}
    stack.toolgroups.register(toolgroup_id="mcp::sdk", provider_id="mcp", mcp_endpoint=place)
    one = agent(url, tools=["mcp::sdk"])
    assert "greet" in one.builtin_tools
    turn, _ = streamed(one, session(one), Round("", (Call("greet", {"name": "Bo"}),)), Round("{quote}"))
    assert kinds(turn) == ["inference", "tool_execution", "inference"]
    assert turn.steps[1].tool_calls[0].tool_name == "greet"
    assert "Hello, Bo!" in str(turn.steps[1].tool_responses[0].content)
    assert "Hello, Bo!" in turn.output_message.content
    failed, _ = streamed(one, session(one), Round("", (Call("fail", {"secret": "x"}),)), Round("I see: {quote}"))
    assert failed.output_message.content.startswith("I see: ")
    stack.toolgroups.unregister("mcp::sdk")


def a_group_for_one_turn(url: str) -> None:
    one = agent(url)
    add = Round("", (Call("add", {"a": 1, "b": 2}),))
    turn, _ = streamed(one, session(one), add, Round("{quote}"), toolgroups=["mcp::box"])
    assert turn.output_message.content == "3"
    assert "tool_execution" not in kinds(ask(one, session(one), "Please add it", stream=False))


def a_group_that_gives_both_kinds(url: str) -> None:
    """One round calls a tool of the stack's and one of the client's: the stack's has run when the turn waits."""
    one = agent(url, tools=["mcp::box", boiling_point()])
    both = Round("", (Call("add", {"a": 1, "b": 2}), BOIL))
    turn, _ = streamed(one, session(one), both, Round("{quote}"))
    assert sorted(turn.output_message.content.split("; ")) == ["-100", "3"]
    answers = {answer.tool_name: answer for step in turn.steps[1:-1] for answer in step.tool_responses}
    assert answers.keys() == {"add", "get_boiling_point"}


def a_web_search(url: str) -> None:
    one = agent(url, tools=["builtin::websearch"])
    turn = ask(one, session(one), Round("", (Call("search", {"query": "Bo"}),)), Round("{quote}"), stream=False)
    step = next(step for step in turn.steps if step.step_type == "tool_execution")
    assert step.tool_calls[0].tool_name == "brave_search"
    assert "Page 1" in turn.output_message.content


def two_tools_of_the_stack_in_a_row(url: str) -> None:
    one = agent(url, tools=["mcp::box"])
    rounds = (
        Round("", (Call("add", {"a": 1, "b": 2}),)),
        Round("", (Call("greet", {"name": "Bo"}),)),
        Round("{quote}"),
    )
    turn, _ = streamed(one, session(one), *rounds)
    assert kinds(turn) == ["inference", "tool_execution", "inference", "tool_execution", "inference"]
    assert turn.output_message.content == "3; Hello, Bo!"


def calls_that_a_client_parses(url: str) -> None:
    """The client's ReActAgent reads calls out of texts and resumes turns that are complete."""
    from llama_stack_client.lib.agents.react.agent import ReActAgent

    one = ReActAgent(client(url), model=MODEL, tools=[boiling_point()])
    params = [{"name": name, "value": value} for name, value in POLYJUICE.items()]
    action = {"tool_name": "get_boiling_point", "tool_params": params}
    asked = Round(_react("I look.", action=action)), Round(_react("I know.", answer="-100"))
    chunks = list(ask(one, session(one), *asked))
    turn = chunks[-1].event.payload.turn
    assert [step.tool_responses[0].content for step in turn.steps if step.step_type == "tool_execution"] == ["-100"]
    assert '"answer": "-100"' in turn.output_message.content


def _react(thought: str, *, action: Any = None, answer: Any = None) -> str:
    import json

    return json.dumps({"thought": thought, "action": action, "answer": answer})


def asynchronously(url: str) -> None:
    import asyncio

    from llama_stack_client import AsyncLlamaStackClient
    from llama_stack_client.lib.agents.agent import AsyncAgent

    from tests.parts.model_script import write_script

    async def talk() -> None:
        async with AsyncLlamaStackClient(base_url=url, max_retries=0) as stack:
            group: Any = {"name": "mcp::box", "args": {}}
            tools = [boiling_point(), group]
            one = AsyncAgent(stack, model=MODEL, instructions="Be brief.", tools=tools)
            where = await one.create_session("a session")
            text = write_script(Round("", (BOIL,)), Round("It is {quote}."))
            messages: Any = [{"role": "user", "content": text}]
            turn = await one.create_turn(messages=messages, session_id=where, stream=False)
            assert turn.output_message.content == "It is -100."

    asyncio.run(talk())


SCENARIOS = (
    a_client_tool,
    its_logger_prints_the_call,
    metadata_of_a_client_tool,
    two_calls_at_once,
    client_tools_without_end,
    the_stacks_tools_without_end,
    tools_are_chosen,
    a_tool_that_fails_and_one_that_is_not_there,
    a_group_of_mcp,
    a_group_for_one_turn,
    a_group_that_gives_both_kinds,
    a_web_search,
    two_tools_of_the_stack_in_a_row,
    calls_that_a_client_parses,
    asynchronously,
)

if __name__ == "__main__":
    run(SCENARIOS)
