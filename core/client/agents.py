"""Agents of a running stack, their sessions, and turns with them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from core.client.http import Transport
from core.client.responses import SECONDS
from core.client.shapes import check_shape, path_of

if TYPE_CHECKING:
    from core.apis.answers.agents import Agent, Session, Turn
    from core.frame.types import JsonObject

PAGE: Final = 100


class Agents:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, config: Mapping[str, Any]) -> str:
        """The id of a new agent, whose `config` is that of `POST /v1/agents`."""
        from core.apis.answers.agents import AgentCreated

        answer = self._transport.send("POST", "/v1/agents", {"agent_config": dict(config)})
        return check_shape(answer, AgentCreated)["agent_id"]

    def list(self) -> "Iterator[Agent]":
        """All of the caller's, the oldest first."""
        from core.apis.answers.agents import Agent

        for row in _rows(self._transport, "/v1/agents"):
            yield check_shape(row, Agent)

    def get(self, agent_id: str) -> "Agent":
        from core.apis.answers.agents import Agent

        return check_shape(self._transport.send("GET", path_of("agents", agent_id)), Agent)

    def delete(self, agent_id: str) -> None:
        """With its sessions."""
        self._transport.send("DELETE", path_of("agents", agent_id))


class Sessions:
    """What is said with an agent: a session is a conversation, and its turns are read as one too."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, agent_id: str, name: str) -> str:
        """The id of a new session."""
        from core.apis.answers.agents import SessionCreated

        answer = self._transport.send("POST", f"{path_of('agents', agent_id)}/session", {"session_name": name})
        return check_shape(answer, SessionCreated)["session_id"]

    def list(self, agent_id: str) -> "Iterator[Session]":
        """All of an agent's, the oldest first, without their turns."""
        from core.apis.answers.agents import Session

        for row in _rows(self._transport, f"{path_of('agents', agent_id)}/sessions"):
            yield check_shape(row, Session)

    def get(self, agent_id: str, session_id: str) -> "Session":
        from core.apis.answers.agents import Session

        return check_shape(self._transport.send("GET", _session(agent_id, session_id)), Session)

    def delete(self, agent_id: str, session_id: str) -> None:
        self._transport.send("DELETE", _session(agent_id, session_id))

    def turn(self, agent_id: str, session_id: str, turn_id: str) -> "Turn":
        from core.apis.answers.agents import Turn

        return check_shape(self._transport.send("GET", _turn(agent_id, session_id, turn_id)), Turn)

    def stream_turn(self, agent_id: str, session_id: str, body: Mapping[str, Any]) -> "Iterator[JsonObject]":
        """The events of a new turn, up to its last one. `body` is that of `POST .../turn`; raises as `Transport.stream` does."""
        path = f"{_session(agent_id, session_id)}/turn"
        return self._transport.stream(path, {**body, "stream": True}, timeout=SECONDS)

    def stream_resumed_turn(
        self, agent_id: str, session_id: str, turn_id: str, tool_responses: "Sequence[JsonObject]"
    ) -> "Iterator[JsonObject]":
        """The same of a turn that awaits what client tools answer."""
        path = f"{_turn(agent_id, session_id, turn_id)}/resume"
        return self._transport.stream(path, {"tool_responses": [*tool_responses], "stream": True}, timeout=SECONDS)


def _session(agent_id: str, session_id: str) -> str:
    return f"{path_of('agents', agent_id)}/session/{quote(session_id, safe='')}"


def _turn(agent_id: str, session_id: str, turn_id: str) -> str:
    return f"{_session(agent_id, session_id)}/turn/{quote(turn_id, safe='')}"


def _rows(transport: Transport, path: str) -> "Iterator[JsonObject]":
    from core.apis.answers.agents import Part

    start, more = 0, True
    while more:
        part = check_shape(transport.send("GET", path, query={"start_index": start, "limit": PAGE}), Part)
        yield from part["data"]
        start, more = start + len(part["data"]), part["has_more"] and bool(part["data"])
