"""What Converse refuses, and with which words: the service's rules about turns, and what each family of models lacks.

Sources: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html,
https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference-supported-models-features.html,
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolChoice.html, and the messages in public reports.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
import json
import re
from typing import Any, Final

CALL_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
NAME: Final = CALL_ID
TOP: Final = {"type", "properties", "required"}


@dataclass(frozen=True)
class Abilities:
    choices: frozenset[str] = frozenset({"auto", "any", "tool"})
    streamed_tools: bool = True
    schemas: bool = True
    images: bool = True
    both_samplings: bool = True
    starts: bool = False  # the assistant may speak first
    alone: bool = False  # nothing stands beside a result
    plain_tools: bool = False  # no references in a tool's schema, and little at its top


FAMILIES: Final = {
    "anthropic.claude": Abilities(both_samplings=False, starts=True),
    "amazon.nova": Abilities(schemas=False, plain_tools=True),
    "meta.llama": Abilities(choices=frozenset({"auto"}), streamed_tools=False, schemas=False, images=False, alone=True),
}


def refusal_of(model: str, body: dict[str, Any], *, streams: bool) -> str | None:
    """The message of the ValidationException, or None."""
    abilities = next((able for name, able in FAMILIES.items() if name in model), Abilities())
    rules = (*_turns(body["messages"], abilities), *_tools(body, abilities, streams=streams), *_family(body, abilities))
    return next(iter(rules), None)


def _turns(turns: list[dict[str, Any]], abilities: Abilities) -> Iterator[str]:
    if turns[0]["role"] != "user" and not abilities.starts:
        yield "A conversation must start with a user message. Try again with a conversation that starts with a user message."
    if any(first["role"] == second["role"] for first, second in pairwise(turns)):
        yield "A conversation must alternate between user and assistant roles."
    for at, turn in enumerate(turns):
        for position, block in enumerate(turn["content"]):
            if not block.get("text", "text").strip():
                yield f"The text field in the ContentBlock object at messages.{at}.content.{position} is blank."
        calls = {block["toolUse"]["toolUseId"] for block in turn["content"] if "toolUse" in block}
        after = turns[at + 1]["content"] if at + 1 < len(turns) else []
        results = [block["toolResult"]["toolUseId"] for block in after if "toolResult" in block]
        if calls != set(results) or len(calls) != len(results):
            yield f"Expected toolResult blocks at messages.{at + 1}.content for the following Ids: {', '.join(sorted(calls))}"
        if any(not CALL_ID.fullmatch(call) for call in calls):
            yield "Member must satisfy regular expression pattern: [a-zA-Z0-9_-]+"


def _tools(body: dict[str, Any], abilities: Abilities, *, streams: bool) -> Iterator[str]:
    blocks = [block for turn in body["messages"] for block in turn["content"]]
    config = body.get("toolConfig")
    if config is None:
        if any("toolUse" in block or "toolResult" in block for block in blocks):
            yield "The toolConfig field must be defined when using toolUse and toolResult content blocks."
        return
    for choice in config.get("toolChoice", {}):
        if choice not in abilities.choices:
            path = f"toolConfig.toolChoice.{choice}"
            yield f"This model doesn't support the {path} field. Remove {path} and try again."
    schemas = [tool["toolSpec"]["inputSchema"]["json"] for tool in config["tools"] if "toolSpec" in tool]
    if abilities.plain_tools and any(schema.keys() - TOP or "$ref" in json.dumps(schema) for schema in schemas):
        yield "The model returned the following errors: Model produced invalid sequence as part of ToolUse."
    if any(not NAME.fullmatch(tool["toolSpec"]["name"]) for tool in config["tools"] if "toolSpec" in tool):
        yield "Value at 'toolConfig.tools.1.member.toolSpec.name' failed to satisfy constraint: [a-zA-Z0-9_-]+"
    if streams and not abilities.streamed_tools:
        yield "This model doesn't support tool use in streaming mode."


def _family(body: dict[str, Any], abilities: Abilities) -> Iterator[str]:
    if "textFormat" in body.get("outputConfig", {}) and not abilities.schemas:
        yield "This model doesn't support the outputConfig.textFormat field. Remove outputConfig.textFormat and try again."
    if not abilities.images and any("image" in block for turn in body["messages"] for block in turn["content"]):
        yield "This model doesn't support the image content block that you provided. Try again without it."
    for turn in body["messages"]:
        kinds = {kind for block in turn["content"] for kind in block}
        if "document" in kinds and "text" not in kinds:
            yield "A text block must be present in a message that has a document block."
        if abilities.alone and "toolResult" in kinds and kinds != {"toolResult"}:
            yield "This model doesn't support other content beside toolResult blocks in one message."
    if {"temperature", "topP"} <= body.get("inferenceConfig", {}).keys() and not abilities.both_samplings:
        yield "The model returned the following errors: `temperature` and `top_p` cannot both be specified for this model."
