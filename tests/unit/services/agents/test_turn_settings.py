"""What an agent's config and a turn say, in the words of chat completions; what a run failed with, in those of HTTP."""

from typing import Any

import pytest

from core.apis.agents import AgentConfig, NewTurn
from core.errors import InvalidRequest
from core.services.agents.turns.settings import (
    DEFINITIONS,
    ToolSettings,
    client_tools_of,
    groups_of,
    instructions_of,
    sampling_of,
    to_request,
    tool_settings_of,
)
from core.services.agents.turns.telling import failure_of
from core.services.responses.contract import RunEnded, Usage

TURN = {"messages": [{"role": "user", "content": "hi"}]}


def config_of(**more: Any) -> AgentConfig:
    return AgentConfig.model_validate({"model": "m", "instructions": "", **more})


def test_sampling_is_what_the_native_api_makes_of_it_and_greed_is_given_up_where_it_is_refused() -> None:
    top_k = {"strategy": {"type": "top_k", "top_k": 3}, "repetition_penalty": 1.2, "max_tokens": 7}
    assert sampling_of(config_of(sampling_params=top_k)).chat == {
        "top_k": 3,
        "repetition_penalty": 1.2,
        "max_tokens": 7,
    }
    greedy = sampling_of(config_of())
    assert (greedy.chat, [addition.field for addition in greedy.additions]) == ({"temperature": 0.0}, ["temperature"])
    assert not sampling_of(config_of(sampling_params={"strategy": {"type": "greedy"}})).additions


def test_what_a_turn_says_of_groups_and_of_choices_goes_before_what_its_agent_says() -> None:
    config = config_of(toolgroups=["a", {"name": "b", "args": {"x": 1}}], tool_choice="none")
    turn = NewTurn.model_validate({**TURN, "toolgroups": [{"name": "a", "args": {"y": 2}}, "b", "c"]})
    uses = groups_of(config, turn.toolgroups)
    assert [(use.name, use.args) for use in uses] == [("a", {"y": 2}), ("b", {"x": 1}), ("c", {})]
    assert tool_settings_of(config, None).choice == "none"
    turn = NewTurn.model_validate({**TURN, "tool_config": {"system_message_behavior": "replace"}})
    settings = tool_settings_of(config, turn.tool_config)
    assert (settings.choice, settings.replaces) == (None, True)


@pytest.mark.parametrize(
    ("instructions", "replaces", "expected"),
    [
        (f"Use {DEFINITIONS}.", True, 'Use [{"name":"add"}].'),
        (f"Use {DEFINITIONS}.", False, f"Use {DEFINITIONS}."),
        ("Be brief.", True, "Be brief."),
    ],
)
def test_the_tools_are_told_where_instructions_that_replace_the_models_own_say(
    instructions: str,
    replaces: bool,  # noqa: FBT001 - a case's
    expected: str,
) -> None:
    definitions = [{"type": "function", "function": {"name": "add"}}]
    config, settings = config_of(instructions=instructions), ToolSettings(None, replaces)
    assert instructions_of(config, settings, definitions) == expected


@pytest.mark.parametrize(
    ("choice", "shown"), [("required", "required"), ("none", "none"), ("add", "auto"), (None, "auto")]
)
def test_the_response_of_a_turn_says_again_what_its_agent_says(choice: str | None, shown: str) -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {}}
    tool: dict[str, Any] = {"name": "look", "description": "Looks.", "parameters": []}
    config = config_of(
        instructions="Be brief.",
        client_tools=[tool],
        response_format={"type": "json_schema", "json_schema": schema},
        sampling_params={"strategy": {"type": "top_p", "temperature": 0.5, "top_p": 0.9}, "max_tokens": 7},
        max_infer_iters=3,
    )
    request = to_request(config, "conv", "agent", sampling_of(config), ToolSettings(choice, replaces=False))
    assert (request.model, request.conversation, request.instructions) == ("m", "conv", "Be brief.")
    assert (request.tool_choice, request.metadata, request.max_infer_iters) == (shown, {"agent_id": "agent"}, 3)
    assert [(tool["type"], tool["name"]) for tool in request.tools or ()] == [("function", "look")]
    assert request.text is not None
    assert (request.text["format"]["type"], request.text["format"]["schema"]) == ("json_schema", schema)
    assert (request.temperature, request.top_p, "max_tokens" in vars(request)) == (0.5, 0.9, False)
    bare = config_of()
    request = to_request(bare, "conv", "agent", sampling_of(bare), ToolSettings(choice, replaces=False))
    assert (request.instructions, request.tools, request.text, request.max_infer_iters) == (None, [], None, 10)


def test_a_client_tool_with_a_type_that_is_none_is_named() -> None:
    tool = {"name": "t", "parameters": [{"name": "p", "parameter_type": "colour", "description": ""}]}
    with pytest.raises(InvalidRequest) as refused:
        client_tools_of(config_of(client_tools=[tool]))
    assert refused.value.param == "agent_config.client_tools[0].parameters.p.param_type"
    assert refused.value.message.startswith("agent_config.client_tools[0].parameters.p.param_type: `colour`")


@pytest.mark.parametrize(
    ("end", "status", "code"),
    [
        (RunEnded("cancelled", Usage()), 409, "conflict"),
        (RunEnded("failed", Usage(), error={"code": "server_error", "message": "m"}), 502, "upstream_error"),
        (
            RunEnded("failed", Usage(), error={"code": "rate_limit_exceeded", "message": "m"}),
            429,
            "upstream_rate_limit_exceeded",
        ),
        (RunEnded("failed", Usage(), error={"code": "content_filter", "message": "m"}), 400, "content_filter"),
        (None, 502, "upstream_error"),
    ],
)
def test_what_a_run_failed_with_is_what_its_turn_fails_with(end: RunEnded | None, status: int, code: str) -> None:
    failure = failure_of(end)
    assert (failure.status, failure.code) == (status, code)
