"""Agents of Llama Stack 0.2: a model with its instructions, tools and shields, sessions with it, and the turns of a session.

Source: the routes of Llama Stack 0.2.12. Messages, contents and samplings are those of `core.apis.native`; contents are looked at where they are
translated, so that an error names the field by its path. A session is a conversation, a turn is one or more responses in it.
"""

from typing import Annotated, Any, Final, Literal, Protocol, override

from pydantic import Field, WithJsonSchema

from core.apis.inference import Name
from core.apis.native import CONTENT_SCHEMA, ITEM_SCHEMA, Content, ResponseFormat, SamplingParams, ToolConfig
from core.apis.responses import MOST_ROUNDS
from core.errors import InvalidRequest
from core.frame.types import JsonObject, JsonStream, Query, Wire

MOST_SHIELDS: Final = 20
MOST_GROUPS: Final = 100
MOST_CLIENT_TOOLS: Final = 128
MOST_MESSAGES: Final = 1000
"""Of one turn."""
MOST_DOCUMENTS: Final = 100
MOST_CALLS: Final = 200
"""Answers of client tools in one request."""
MOST_LISTED: Final = 1000
"""Elements of one list; `limit` may say less."""
CHOICES: Final = (
    "tool_choice is the older spelling of tool_config.tool_choice, and says something else. Leave tool_choice out."
)

ShieldIds = Annotated[list[Name], Field(max_length=MOST_SHIELDS)]
PromptFormat = Literal["json", "function_tag", "python_list"]

DOCUMENT_SCHEMA: Final[JsonObject] = {
    "anyOf": [
        {"type": "string"},
        ITEM_SCHEMA,
        {"type": "array", "items": ITEM_SCHEMA},
        {"type": "object", "properties": {"uri": {"type": "string"}}, "required": ["uri"]},
    ]
}
DocumentContent = Annotated[Any, WithJsonSchema(DOCUMENT_SCHEMA)]


class GroupUse(Wire):
    """A tool group, or one tool of it (`builtin::rag/knowledge_search`), with arguments of which the model is not told."""

    name: Name
    args: dict[str, Any]


AgentTool = Name | GroupUse


class ClientParameter(Wire):
    """`parameter_type` is Python's name of a type or JSON Schema's, as `param_type` of `core.apis.native`."""

    name: Name
    parameter_type: Annotated[str, Field(max_length=256)]
    description: str | None = None
    required: bool | None = True
    default: Any = None


class ClientTool(Wire):
    """A function that the caller runs."""

    name: Name
    description: str | None = None
    parameters: list[ClientParameter] | None = None
    metadata: dict[str, Any] | None = None


class AgentConfig(Wire):
    """`tool_choice` and `tool_prompt_format` are older spellings of those in `tool_config`. Sessions are kept, whatever `enable_session_persistence` says."""

    model: Name
    instructions: str
    name: str | None = None
    sampling_params: SamplingParams | None = None
    input_shields: ShieldIds | None = None
    output_shields: ShieldIds | None = None
    toolgroups: Annotated[list[AgentTool], Field(max_length=MOST_GROUPS)] | None = None
    client_tools: Annotated[list[ClientTool], Field(max_length=MOST_CLIENT_TOOLS)] | None = None
    tool_choice: Name | None = None
    tool_prompt_format: PromptFormat | None = None
    tool_config: ToolConfig | None = None
    max_infer_iters: Annotated[int, Field(ge=1, le=MOST_ROUNDS)] | None = None
    enable_session_persistence: bool | None = False
    response_format: ResponseFormat | None = None


class NewAgent(Wire):
    agent_config: AgentConfig

    @override
    def check_body(self) -> None:
        config = self.agent_config
        newer = config.tool_config.tool_choice if config.tool_config is not None else None
        if newer is not None and config.tool_choice not in {None, newer}:
            raise InvalidRequest(CHOICES, param="agent_config.tool_choice")


class NewSession(Wire):
    session_name: Annotated[str, Field(max_length=1000)]


class TurnMessage(Wire):
    """`context` belongs to a user's message, `call_id` to a tool's."""

    role: Literal["user", "tool"]
    content: Content
    context: Content = None
    call_id: str | None = None


class TurnDocument(Wire):
    content: DocumentContent
    mime_type: Annotated[str, Field(max_length=256)]


class NewTurn(Wire):
    """`toolgroups` are used beside those of the agent, `tool_config` in the place of its own."""

    messages: Annotated[list[TurnMessage], Field(min_length=1, max_length=MOST_MESSAGES)]
    stream: bool | None = None
    documents: Annotated[list[TurnDocument], Field(max_length=MOST_DOCUMENTS)] | None = None
    toolgroups: Annotated[list[AgentTool], Field(max_length=MOST_GROUPS)] | None = None
    tool_config: ToolConfig | None = None


class ToolAnswer(Wire):
    """What a client tool answered."""

    call_id: Annotated[str, Field(min_length=1)]
    tool_name: Name
    content: Annotated[Any, WithJsonSchema(CONTENT_SCHEMA)]
    metadata: dict[str, Any] | None = None


class ResumedTurn(Wire):
    tool_responses: Annotated[list[ToolAnswer], Field(min_length=1, max_length=MOST_CALLS)]
    stream: bool | None = None


class PartQuery(Query):
    """A part of a list: elements from `start_index` on, from 0; as many as fit an answer where `limit` does not say."""

    start_index: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    limit: Annotated[int, Field(ge=-1, le=1_000_000)] | None = None


class SessionQuery(Query):
    """`turn_ids` are those to be shown; all where there are none."""

    turn_ids: Annotated[list[str], Field(max_length=MOST_LISTED)] | None = None


class Agents(Protocol):
    """The caller's agents and sessions: those of others are NotFound."""

    async def create(self, request: NewAgent) -> JsonObject: ...

    async def index(self, *, query: PartQuery) -> JsonObject: ...

    async def get(self, agent_id: str) -> JsonObject: ...

    async def delete(self, agent_id: str) -> None:
        """With its sessions, and all that is in them."""
        ...

    async def create_session(self, request: NewSession, agent_id: str) -> JsonObject: ...

    async def sessions(self, agent_id: str, *, query: PartQuery) -> JsonObject:
        """Without their turns."""
        ...

    async def get_session(self, agent_id: str, session_id: str, *, query: SessionQuery) -> JsonObject:
        """With its turns, the oldest first: the newest that fit an answer."""
        ...

    async def delete_session(self, agent_id: str, session_id: str) -> None: ...

    async def create_turn(self, request: NewTurn, agent_id: str, session_id: str) -> JsonObject:
        """The turn, when it has ended or awaits what client tools answer.

        Raises ConversationLocked while another turn of the session is made, and what asking the model raises.
        """
        ...

    async def stream_turn(self, request: NewTurn, agent_id: str, session_id: str) -> JsonStream:
        """`{"event": {"payload": ...}}` up to turn_complete or turn_awaiting_input. Opening raises what `create_turn` raises."""
        ...

    async def get_turn(self, agent_id: str, session_id: str, turn_id: str) -> JsonObject: ...

    async def resume_turn(self, request: ResumedTurn, agent_id: str, session_id: str, turn_id: str) -> JsonObject:
        """The turn goes on with what the client tools of its last step answered: each of them once.

        Raises InvalidRequest for other answers than are awaited.
        """
        ...

    async def stream_resumed_turn(
        self, request: ResumedTurn, agent_id: str, session_id: str, turn_id: str
    ) -> JsonStream: ...

    async def get_step(self, agent_id: str, session_id: str, turn_id: str, step_id: str) -> JsonObject: ...


class RunsAgents(Protocol):
    """What a provider of `responses` has too that runs agents itself, as packages for `agents` of 0.2 do.

    Whose they are, ids, lists and what is shown of turns are the stack's own: ids here are the provider's. A call of
    `core.frame.callers.CURRENT_CALL` is under way in every method.
    """

    async def create_agent(self, config: JsonObject) -> str:
        """The id of a new agent with this `agent_config`."""
        ...

    async def create_session(self, agent_id: str, name: str) -> str:
        """The id of a new session."""
        ...

    async def stream_turn(self, agent_id: str, session_id: str, request: JsonObject) -> JsonStream:
        """The events of a turn, `{"event": {"payload": ...}}`, the last of which has the whole `turn`.

        `request` is the body of the route. Opening raises what fails before the first event. What its models used that are not the stack's, an event
        says in `metrics` beside `event`, as answers of models do in 0.2: `[{"metric": "prompt_tokens" or "completion_tokens", "value": N}]`.
        """
        ...

    async def stream_resumed_turn(
        self, agent_id: str, session_id: str, turn_id: str, answers: list[JsonObject]
    ) -> JsonStream:
        """The events of the rest of a turn, whose last one has all of it; `answers` are the `tool_responses` of the route."""
        ...

    async def delete_session(self, agent_id: str, session_id: str) -> None:
        """Also of what is gone already."""
        ...

    async def delete_agent(self, agent_id: str) -> None:
        """Also of what is gone already."""
        ...
