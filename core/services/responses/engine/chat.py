"""What a response asks of a model, as a request of chat completions. Pure.

Sources: https://platform.openai.com/docs/api-reference/responses/create, https://platform.openai.com/docs/api-reference/chat/create.
"""

from collections.abc import Sequence
from typing import Final

from core.apis.additions import ASK_USAGE, Addition, bound_addition
from core.apis.inference import ChatRequest
from core.frame.types import JsonObject
from core.services.responses.contract import Run

BOUND: Final = "max_completion_tokens"
HINTS: Final = ("prompt_cache_key", "safety_identifier", "service_tier", "user", "verbosity")
"""What clients of Responses say of their own accord, and the answer does not hang on: not every server of chat completions knows them."""
THOUGHTS: Final = ("reasoning_content", "reasoning", "reasoning_text", "thinking_blocks")
"""The members of an assistant's message in which a model gets its thoughts back."""


def ask(run: Run, messages: Sequence[JsonObject], *, tool_choice: object, most_tokens: int | None) -> ChatRequest:
    """The request of one round.

    `tool_choice` is as chat completions have it, None to leave it out; `most_tokens` is what the model may still write. What a server
    does not know of what the stack adds, it is asked without: see `core.apis.additions`.
    """
    fields: JsonObject = {
        **run.chat,
        "model": run.model,
        "messages": [*messages],
        "stream": True,
        "stream_options": ASK_USAGE,
    }
    additions: list[Addition] = [*run.additions]
    if definitions := run.tools.definitions:
        fields["tools"] = [*definitions]
        if tool_choice is not None:
            fields["tool_choice"] = tool_choice
        if not run.parallel_tool_calls:
            fields["parallel_tool_calls"] = False
    if most_tokens is not None:
        fields[BOUND] = most_tokens
        additions.append(bound_addition(BOUND, most_tokens))
    if any(not message.keys().isdisjoint(THOUGHTS) for message in messages):
        additions.append(Addition("messages", THOUGHTS, {"messages": [*map(_without_thoughts, messages)]}))
    additions += [Addition(name, (name,)) for name in HINTS if name in fields]
    return ChatRequest.model_validate(fields).note_additions(*additions)


def _without_thoughts(message: JsonObject) -> JsonObject:
    return {name: value for name, value in message.items() if name not in THOUGHTS}
