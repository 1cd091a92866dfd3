"""What an agent's config and a request for a turn say, in the words of chat completions and of responses. Pure.

Errors name the field of the config, as the agent was made with it: `client_tools[0].parameters.x.param_type`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from core.apis.additions import Addition
from core.apis.agents import AgentConfig, AgentTool, ClientParameter, ClientTool
from core.apis.native import Message, NativeChatRequest, ToolConfig, ToolDefinition, ToolParameter
from core.apis.responses import DEFAULT_ROUNDS, ResponseRequest
from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.services.inference.native.request import to_openai_chat
from core.services.inference.native.tools import to_openai_tools

DEFINITIONS: Final = "{{function_definitions}}"
"""Where instructions that replace a model's own have the tools told, in 0.2."""
OF_ROUNDS: Final = frozenset({"model", "messages", "stream", "stream_options"})
BLANK: Final = [Message.model_construct(role="user", content="")]
"""For translations that are not of messages."""
ECHOED: Final = ("temperature", "top_p")
"""What a response says of its sampling."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """`chat` has fields of chat completions, `additions` are those of them that nobody asked for."""

    chat: JsonObject
    additions: Sequence[Addition]


@dataclass(frozen=True, slots=True)
class UsedGroup:
    """A tool group, or `group/tool`, that `path` names, with what its calls have beside the model's arguments."""

    name: str
    args: JsonObject
    path: str


@dataclass(frozen=True, slots=True)
class ToolSettings:
    """`choice` is auto, required, none or a tool's name, None where nothing is said; with `replaces` the caller writes how tools are called."""

    choice: str | None
    replaces: bool


def sampling_of(config: AgentConfig) -> Sampling:
    """Raises InvalidRequest."""
    native = NativeChatRequest(
        model_id=config.model,
        messages=BLANK,
        sampling_params=config.sampling_params,
        response_format=config.response_format,
    )
    chat = to_openai_chat(native)
    values = vars(chat) | (chat.model_extra or {})
    own = {name: value for name, value in values.items() if name not in OF_ROUNDS and name != "additions"}
    return Sampling({name: value for name, value in own.items() if value is not None}, chat.additions)


def groups_of(config: AgentConfig, more: Sequence[AgentTool] | None) -> list[UsedGroup]:
    """Those of the agent and of the turn, each once: what the turn says of one goes before what the agent says."""
    uses: dict[str, UsedGroup] = {}
    for path, tools in (("agent_config.toolgroups", config.toolgroups), ("toolgroups", more)):
        for place, tool in enumerate(tools or ()):
            name, args = (tool, {}) if isinstance(tool, str) else (tool.name, tool.args)
            before = uses.get(name)
            uses[name] = UsedGroup(name, args or (before.args if before is not None else {}), f"{path}[{place}]")
    return [*uses.values()]


def tool_settings_of(config: AgentConfig, of_turn: ToolConfig | None) -> ToolSettings:
    """The turn's go before the agent's. How a prompt is written for tools, the model's server knows."""
    settings = of_turn or config.tool_config
    choice = settings.tool_choice if settings is not None else None
    if choice is None and of_turn is None:
        choice = config.tool_choice
    return ToolSettings(choice, settings is not None and settings.system_message_behavior == "replace")


def client_tools_of(config: AgentConfig) -> list[JsonObject]:
    """As chat completions define them. Raises InvalidRequest for a type that is none, or a name that two have."""
    tools = config.client_tools or ()
    seen: set[str] = set()
    for place, tool in enumerate(tools):
        if tool.name in seen:
            path = f"agent_config.client_tools[{place}].name"
            raise InvalidRequest(f"{path}: two tools are called `{tool.name}`. Give each its own name.", param=path)
        seen.add(tool.name)
    native = NativeChatRequest(model_id=config.model, messages=BLANK, tools=[*map(_native_tool, tools)])
    try:
        definitions: list[JsonObject] = to_openai_tools(native).get("tools", [])
    except InvalidRequest as refused:
        path = f"agent_config.client_{refused.param}"
        raise InvalidRequest(f"agent_config.client_{refused.message}", param=path) from None
    return definitions


def instructions_of(config: AgentConfig, settings: ToolSettings, definitions: Sequence[JsonObject]) -> str:
    """With the tools where the caller wants them told."""
    if not settings.replaces or DEFINITIONS not in config.instructions:
        return config.instructions
    from pydantic_core import to_json

    functions = [definition["function"] for definition in definitions]
    return config.instructions.replace(DEFINITIONS, to_json(functions).decode())


def rounds_of(config: AgentConfig) -> int:
    return config.max_infer_iters or DEFAULT_ROUNDS


def to_request(
    config: AgentConfig, session_id: str, agent_id: str, sampling: Sampling, settings: ToolSettings
) -> ResponseRequest:
    """The request whose response is kept of the turn: what it says again of the agent."""
    chat, form = sampling.chat, sampling.chat.get("response_format")
    tools: list[JsonObject] = [{"type": "function", **definition["function"]} for definition in client_tools_of(config)]
    return ResponseRequest.model_construct(
        model=config.model,
        conversation=session_id,
        instructions=config.instructions or None,
        tools=tools,
        tool_choice=settings.choice if settings.choice in {"required", "none"} else "auto",
        text=None if form is None else {"format": {"type": "json_schema", **form["json_schema"]}},
        metadata={"agent_id": agent_id},
        max_infer_iters=rounds_of(config),
        **{name: chat[name] for name in ECHOED if name in chat},
    )


def _native_tool(tool: ClientTool) -> ToolDefinition:
    parameters = {parameter.name: _native_parameter(parameter) for parameter in tool.parameters or ()}
    return ToolDefinition.model_construct(tool_name=tool.name, description=tool.description, parameters=parameters)


def _native_parameter(parameter: ClientParameter) -> ToolParameter:
    return ToolParameter.model_construct(
        param_type=parameter.parameter_type,
        description=parameter.description,
        required=parameter.required,
        default=parameter.default,
    )
