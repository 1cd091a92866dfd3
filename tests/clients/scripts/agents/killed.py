"""A turn that waits for a client tool while its server dies: `begin URL` in one life, `resume URL TURN` in the next, each prints JSON.

TURN is what `begin` printed.
"""

from collections.abc import Callable
import json
import sys
from typing import Any

from tests.clients.scripts.agents.asking import agent, ask, boiling_point, check_stream, client, kinds, session
from tests.clients.scripts.agents.knowledge import SEARCH, database
from tests.clients.scripts.agents.tools import BOIL
from tests.parts.model_script import Round


def begin(url: str) -> dict[str, Any]:
    name = database(url)
    group = {"name": "builtin::rag/knowledge_search", "args": {"vector_db_ids": [name]}}
    one = agent(url, tools=[group, boiling_point()])
    where = session(one)
    for chunk in ask(one, where, Round("", (SEARCH,)), Round("I look. ", (BOIL,)), Round("It is {quote}.")):
        payload = chunk.event.payload
        if payload.event_type == "turn_awaiting_input":
            assert kinds(payload.turn) == ["inference", "tool_execution", "inference"]
            return {"agent_id": one.agent_id, "session_id": where, "turn_id": payload.turn.turn_id}
    raise AssertionError("it did not wait")


def resume(url: str, turn: str) -> dict[str, Any]:
    stack, of = client(url), json.loads(turn)
    turn_id = of.pop("turn_id")
    waiting = stack.agents.turn.retrieve(turn_id, **of)
    [call] = waiting.output_message.tool_calls
    answer = boiling_point_of(call)
    chunks = list(stack.agents.turn.resume(turn_id, **of, tool_responses=[answer], stream=True))
    ended = check_stream(chunks, waiting)
    assert kinds(ended) == ["inference", "tool_execution", "inference", "tool_execution", "inference"]
    kept = stack.agents.session.retrieve(of["session_id"], agent_id=of["agent_id"])
    assert [each.model_dump() for each in kept.turns] == [ended.model_dump()]
    return {"text": ended.output_message.content}


def boiling_point_of(call: Any) -> dict[str, Any]:
    degrees: Any = boiling_point()
    return {
        "call_id": call.call_id,
        "tool_name": call.tool_name,
        "content": str(degrees(**call.arguments)),
    }


PHASES: dict[str, Callable[..., dict[str, Any]]] = {"begin": begin, "resume": resume}

if __name__ == "__main__":
    print(json.dumps(PHASES[sys.argv[1]](*sys.argv[2:])))
