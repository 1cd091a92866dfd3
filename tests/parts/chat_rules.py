"""What OpenAI's servers, or the templates of chat models behind those like them, refuse of a request for a chat completion.

Sources: https://platform.openai.com/docs/api-reference/chat/create, and the messages of its errors of the kind `invalid_request_error`.
"""

from collections.abc import Iterator
import re
from typing import Any, Final

NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
FIELDS: Final = frozenset(
    {
        *("messages", "model", "stream", "stream_options", "tools", "tool_choice", "parallel_tool_calls"),
        *("response_format", "temperature", "top_p", "n", "stop", "seed", "logprobs", "top_logprobs", "logit_bias"),
        *("max_tokens", "max_completion_tokens", "presence_penalty", "frequency_penalty", "reasoning_effort"),
        *("verbosity", "service_tier", "user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"),
        *("metadata", "store", "modalities", "prediction"),
    }
)
PARTS: Final = {
    "system": {"text"},
    "developer": {"text"},
    "user": {"text", "image_url", "file", "input_audio"},
    "assistant": {"text", "refusal"},
    "tool": {"text"},
}


def fault(body: dict[str, Any]) -> str:
    """The first of a request's faults, "" where it has none."""
    return next(_faults(body), "")


def _faults(body: dict[str, Any]) -> Iterator[str]:
    for name in body.keys() - FIELDS:
        yield f"Unrecognized request argument supplied: {name}"
    yield from _message_faults(body["messages"])
    yield from _tool_faults(body)
    if "stream_options" in body and not body.get("stream"):
        yield "The 'stream_options' parameter is only allowed when 'stream' is enabled."
    if body.get("top_logprobs") is not None and not body.get("logprobs"):
        yield "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled."
    if "max_tokens" in body and "max_completion_tokens" in body:
        yield "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
    wanted = body.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        described = wanted.get("json_schema") or {}
        if not NAME.fullmatch(described.get("name") or "") or not isinstance(described.get("schema"), dict):
            yield "Missing required parameter: 'response_format.json_schema.name' or '.schema'."


def _message_faults(messages: list[dict[str, Any]]) -> Iterator[str]:
    if not messages:
        yield "Invalid 'messages': empty array."
    unanswered: list[str] = []
    before: dict[str, Any] = {}
    for at, message in enumerate(messages):
        yield from _content_faults(message, at)
        answered = message.get("tool_call_id")
        if message["role"] == "tool":
            if answered not in unanswered:
                yield "Messages with role 'tool' must be a response to a preceding message with 'tool_calls'."
            unanswered = [each for each in unanswered if each != answered]
        elif unanswered:
            yield f"'tool_call_id's that did not have response messages: {', '.join(unanswered)}"
        if message["role"] == before.get("role") == "assistant" and message.get("tool_calls"):
            yield f"messages[{at}]: a template takes one message of the assistant for a text and its calls."
        unanswered += [call["id"] for call in message.get("tool_calls") or ()]
        before = message
    if unanswered:
        yield f"'tool_call_id's that did not have response messages: {', '.join(unanswered)}"


def _content_faults(message: dict[str, Any], at: int) -> Iterator[str]:
    role, content = message["role"], message.get("content")
    if role not in PARTS:
        yield f"Invalid value: '{role}'."
        return
    if content is None and not (role == "assistant" and (message.get("tool_calls") or message.get("refusal"))):
        yield f"Invalid value for 'content' of messages[{at}]: expected a string, got null."
    for part in content if isinstance(content, list) else ():
        if part.get("type") not in PARTS[role] or not isinstance(part.get(part["type"]), str | dict):
            yield f"Invalid value of messages[{at}].content: '{part.get('type')}'."
    for call in message.get("tool_calls") or ():
        if not NAME.fullmatch(call["function"]["name"]) or not isinstance(call["function"]["arguments"], str):
            yield f"Invalid 'messages[{at}].tool_calls': {call}"


def _tool_faults(body: dict[str, Any]) -> Iterator[str]:
    functions: list[dict[str, Any]] = [tool["function"] for tool in body.get("tools") or ()]
    names = [function["name"] for function in functions]
    for function in functions:
        parameters = function.get("parameters")
        if not NAME.fullmatch(function["name"]):
            yield f"Invalid 'tools.function.name': {function['name']!r}"
        if parameters is not None and parameters.get("type") != "object":
            yield f"Invalid schema for function '{function['name']}': schema must be of type 'object'."
    if len(set(names)) < len(names):
        yield "Tool names must be unique."
    if "tools" in body and not names:
        yield "Invalid 'tools': empty array."
    yield from _choice_faults(body, names)


def _choice_faults(body: dict[str, Any], names: list[str]) -> Iterator[str]:
    choice = body.get("tool_choice")
    if not names and (choice is not None or body.get("parallel_tool_calls") is not None):
        yield "'tool_choice' and 'parallel_tool_calls' are only allowed when 'tools' are specified."
    if isinstance(choice, dict) and choice["function"]["name"] not in names:
        yield "Tool choice is not in 'tools'."
    if isinstance(choice, str) and choice not in {"auto", "none", "required"}:
        yield f"Invalid value: '{choice}'."
