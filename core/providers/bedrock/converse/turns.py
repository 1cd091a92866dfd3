"""Turns as the models of a family take them: who begins, who ends, what may stand beside a result. Pure.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Message.html; what it does not say is in
`families`.
"""

from collections.abc import Sequence
from itertools import dropwhile
from typing import Final

from core.frame.types import JsonObject
from core.providers.bedrock.converse.families import Family

# What nobody said, where Bedrock wants somebody to have spoken.
BEGIN: Final = "Begin."
CONTINUE: Final = "Continue."
HEARD: Final = "Understood."
DOCUMENT: Final = "See the document."
SPECIAL: Final = frozenset({"document", "toolUse", "toolResult"})


def without_refused(turns: list[JsonObject], kinds: set[str], family: Family) -> list[JsonObject]:
    """Without what the family does not take and can be done without: cache points, and what another model thought."""
    refused = set[str]() if "messages" in family.cache_points else {"cachePoint"}
    refused |= set[str]() if family.reasoning else {"reasoningContent"}
    if refused.isdisjoint(kinds):
        return turns
    kept: list[JsonObject] = []
    for turn in turns:
        blocks = [block for block in turn["content"] if refused.isdisjoint(block)]
        blocks = list(dropwhile(lambda block: "cachePoint" in block, blocks))
        if not blocks:
            continue
        if kept and kept[-1]["role"] == turn["role"]:
            kept[-1]["content"] += blocks
        else:
            kept.append({"role": turn["role"], "content": blocks})
    return kept


def keep_rules(turns: list[JsonObject], kinds: set[str], family: Family, *, goes_on: bool) -> list[JsonObject]:
    """The turns of a model; `goes_on` if the assistant ended, and the answer shall go on there."""
    if not turns or (turns[0]["role"] == "assistant" and not family.starts_with_assistant):
        turns = [_turn("user", BEGIN), *turns]
    if not SPECIAL.isdisjoint(kinds):
        turns = _apart(turns, family)
    last = turns[-1]
    if last["role"] == "user":
        return turns
    *_, end = [block for block in last["content"] if "cachePoint" not in block]
    if not (goes_on and family.ends_with_assistant and "text" in end):
        return [*turns, _turn("user", CONTINUE)]
    end["text"] = end["text"].rstrip()  # Claude goes on after no space
    return turns


def with_instructions(turns: list[JsonObject], system: list[JsonObject]) -> list[JsonObject]:
    """The turns of a model that takes no system text, which a user says first."""
    blocks = [block for block in system if "text" in block]
    if turns and turns[0]["role"] == "user":
        return [{"role": "user", "content": [*blocks, *turns[0]["content"]]}, *turns[1:]]
    return [{"role": "user", "content": blocks}, *turns]


def _apart(turns: Sequence[JsonObject], family: Family) -> list[JsonObject]:
    """What may not stand beside results in a turn of its own, once the model has heard them; documents with a text."""
    allowed = {"toolResult", "cachePoint", *family.beside_results}
    apart: list[JsonObject] = []
    for turn in turns:
        content = turn["content"]
        if "toolResult" in content[0]:
            end = next((at for at, block in enumerate(content) if allowed.isdisjoint(block)), len(content))
            if end < len(content):
                apart += [{"role": "user", "content": content[:end]}, _turn("assistant", HEARD)]
                content = content[end:]
        if any("document" in block for block in content) and not any("text" in block for block in content):
            content = [*content, {"text": DOCUMENT}]
        apart.append({"role": turn["role"], "content": content})
    return apart


def _turn(role: str, text: str) -> JsonObject:
    return {"role": role, "content": [{"text": text}]}
