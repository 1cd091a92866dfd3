"""What is kept of agents: the bodies of their documents, and how they are shown.

    agent           id agent_HEX         parent OWNER     AgentRecord
    agent_session   id CONVERSATION      parent AGENT     SessionRecord
    agent_turn      id RESPONSE          parent SESSION   TurnRecord
    agent_turn      id RESPONSE.0001     parent RESPONSE  TurnRecord: what a resume has added (`turn_documents`)

A session is the conversation of the same id, made and removed with it: the conversation has the lock, the items that models are told, the expiry and the
place in its owner's tally; the session has its name and its agent. A turn has the id of its first response; its items are in the conversation.
Each has an owner; the access policy knows agents as `agent::ID`, sessions as `session::ID`, turns by their session alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
import re
from typing import Any, Final, Literal, override

from core.frame.types import JsonObject
from core.stores.documents.bodies import TolerantBody
from core.stores.documents.port import Document

AGENT: Final = "agent"
SESSION: Final = "agent_session"
TURN: Final = "agent_turn"
COLLECTIONS: Final = (AGENT, SESSION, TURN)
SESSION_KIND: Final = "session"
"""As the access policy calls it."""
AGENTS: Final = "agents"
PREFIX: Final = "agent_"
AGENT_ID: Final = re.compile("agent_[0-9a-f]{48}")
DEFAULT_ROUNDS: Final = 10
GREEDY: Final[JsonObject] = {"strategy": {"type": "greedy"}, "max_tokens": 0, "repetition_penalty": 1.0, "stop": None}
HOLDS: Final[JsonObject] = {
    **dict.fromkeys(("name", "tool_config", "response_format")),
    **dict.fromkeys(("tool_choice", "tool_prompt_format")),
    "max_infer_iters": DEFAULT_ROUNDS,
    "enable_session_persistence": False,
}
"""What a config shows of what it leaves out, beside lists."""
LISTS: Final = ("input_shields", "output_shields", "toolgroups", "client_tools")

type TurnStatus = Literal["awaiting_input", "completed"]


@dataclass(frozen=True, slots=True)
class AgentRecord(TolerantBody):
    """`config` is the `agent_config` as it was sent. One that a provider runs has it, and its id there. What is `deleting` is hidden: its sessions are being removed, by whoever deletes it again."""

    config: JsonObject
    counted: bool = False
    deleting: bool = False
    provider: str = ""
    provided_id: str = ""

    @override
    def body(self) -> JsonObject:
        own = {"provider": self.provider, "provided_id": self.provided_id} if self.provider else {}
        return {"config": self.config, "counted": self.counted, "deleting": self.deleting, **own}


@dataclass(frozen=True, slots=True)
class SessionRecord(TolerantBody):
    """`provided_id` is its id at the provider that runs its agent, if one does."""

    name: str
    provided_id: str = ""


@dataclass(frozen=True, slots=True)
class TurnRecord(TolerantBody):
    """A part of a turn. `turn` is the one on the wire, with the steps of this part. `state` is what is needed to go on with it, and nobody is shown; `response` is the one it came of."""

    turn: JsonObject
    status: TurnStatus = "completed"
    response: str = ""
    state: JsonObject = field(default_factory=dict[str, Any], repr=False)

    @override
    def body(self) -> JsonObject:  # `asdict` would copy every step
        return {"turn": self.turn, "status": self.status, "response": self.response, "state": self.state}


def show_agent(document: Document) -> JsonObject:
    """The shape on the wire."""
    values = {name: value for name, value in AgentRecord.read(document.body).config.items() if value is not None}
    lists: JsonObject = {name: [] for name in LISTS}
    config = {"sampling_params": GREEDY} | lists | HOLDS | values
    return {"agent_id": document.id, "agent_config": config, "created_at": iso(document.created)}


def show_session(document: Document, turns: Sequence[JsonObject] = ()) -> JsonObject:
    """The shape on the wire."""
    return {
        "session_id": document.id,
        "session_name": SessionRecord.read(document.body).name,
        "turns": [*turns],
        "started_at": iso(document.created),
    }


def iso(seconds: float) -> str:
    """Unix seconds as the wire has times."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
