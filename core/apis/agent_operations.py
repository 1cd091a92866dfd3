"""The operations of agents, their sessions and turns: a surface of the API `responses`, with which they share their state."""

from typing import Final

from core.frame.operations import Operation

TYPES: Final = "core.apis.agents"
ANSWERS: Final = "core.apis.answers.agents"
NO_BOUND: Final = "core.apis.inference:no_bound"

ONE: Final = ("/v1/agents/{agent_id}",)
SESSION: Final = ("/v1/agents/{agent_id}/session/{session_id}",)
TURN: Final = ("/v1/agents/{agent_id}/session/{session_id}/turn/{turn_id}",)

AGENTS: Final = (
    Operation(
        "POST",
        ("/v1/agents",),
        "create",
        "Make an agent.",
        request=f"{TYPES}:NewAgent",
        response=f"{ANSWERS}:AgentCreated",
        idempotent=True,
    ),
    Operation(
        "GET",
        ("/v1/agents",),
        "index",
        "List your agents.",
        query=f"{TYPES}:PartQuery",
        response=f"{ANSWERS}:Part",
    ),
    Operation("GET", ONE, "get", "Show an agent.", response=f"{ANSWERS}:Agent"),
    Operation(
        "DELETE",
        ONE,
        "delete",
        "Delete an agent, with its sessions.",
        response=f"{ANSWERS}:Nothing",
    ),
    Operation(
        "POST",
        ("/v1/agents/{agent_id}/session",),
        "create_session",
        "Begin a session with an agent: a conversation.",
        request=f"{TYPES}:NewSession",
        response=f"{ANSWERS}:SessionCreated",
        idempotent=True,
    ),
    Operation(
        "GET",
        ("/v1/agents/{agent_id}/sessions",),
        "sessions",
        "List the sessions with an agent.",
        query=f"{TYPES}:PartQuery",
        response=f"{ANSWERS}:Part",
    ),
    Operation(
        "GET",
        SESSION,
        "get_session",
        "Show a session, with its turns.",
        query=f"{TYPES}:SessionQuery",
        response=f"{ANSWERS}:Session",
    ),
    Operation(
        "DELETE",
        SESSION,
        "delete_session",
        "Delete a session, with the conversation that it is.",
        response=f"{ANSWERS}:Nothing",
    ),
    Operation(
        "POST",
        ("/v1/agents/{agent_id}/session/{session_id}/turn",),
        "create_turn",
        "Make a turn: rounds of the agent's model and tools.",
        request=f"{TYPES}:NewTurn",
        response=f"{ANSWERS}:Turn",
        stream="stream_turn",
        event=f"{ANSWERS}:TurnChunk",
        tokens=NO_BOUND,
        idempotent=True,
    ),
    Operation("GET", TURN, "get_turn", "Show a turn.", response=f"{ANSWERS}:Turn"),
    Operation(
        "POST",
        ("/v1/agents/{agent_id}/session/{session_id}/turn/{turn_id}/resume",),
        "resume_turn",
        "Go on with a turn by what client tools have answered.",
        request=f"{TYPES}:ResumedTurn",
        response=f"{ANSWERS}:Turn",
        stream="stream_resumed_turn",
        event=f"{ANSWERS}:TurnChunk",
        tokens=NO_BOUND,
        idempotent=True,
    ),
    Operation(
        "GET",
        ("/v1/agents/{agent_id}/session/{session_id}/turn/{turn_id}/step/{step_id}",),
        "get_step",
        "Show a step of a turn.",
        response=f"{ANSWERS}:StepFound",
    ),
)
