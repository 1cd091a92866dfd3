"""What the router of agents and whoever runs their turns tell each other."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from core.apis.agents import AgentConfig, NewTurn, ResumedTurn
from core.frame.types import JsonObject
from core.services.agents.turn_documents import KeptTurn
from core.stores.documents.port import Document

type TurnEvents = AsyncGenerator[JsonObject]
"""`{"event": {"payload": ...}}`: the last payload has the `turn` as it was kept. Closing it ends the run, as the client that leaves."""


@dataclass(frozen=True, slots=True)
class SessionPlace:
    """A session that the caller may add to, with its agent: both as they were read. `session.id` is its conversation's."""

    agent: Document
    config: AgentConfig
    session: Document


class TurnRunner(Protocol):
    """Makes turns of sessions, for one caller; the first await raises what fails before a model has answered, and then nothing is kept."""

    async def create_turn(self, place: SessionPlace, request: NewTurn) -> TurnEvents:
        """A new turn: kept, as `agent_turn`, before its last event.

        Raises ConversationLocked while another turn is made, NotFound where the session has gone.
        """
        ...

    async def resume_turn(self, place: SessionPlace, turn: KeptTurn, request: ResumedTurn) -> TurnEvents:
        """The turn goes on with the answers of client tools.

        Raises InvalidRequest for answers that are not awaited, or are missing.
        """
        ...
