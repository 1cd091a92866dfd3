"""A reply of Bedrock's Converse as OpenAI's chat completion. Pure; what is no such reply raises UpstreamFailed.

Sources: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html,
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html.
"""

from base64 import b64encode
from collections.abc import Sequence
import json
from typing import TYPE_CHECKING, Any, Final, cast

from core.apis.shapes import MOST_TOKENS
from core.errors import UpstreamFailed
from core.frame.types import JsonObject
from core.platform.json_values import is_list, to_object
from core.providers.bedrock.converse.answer_form import PLAIN, AnswerForm

if TYPE_CHECKING:
    from core.providers.bedrock.converse.answer_text import AnswerText

FINISH_REASONS: Final = {
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
}
MALFORMED: Final = frozenset({"malformed_model_output", "malformed_tool_use"})


def from_converse(
    reply: JsonObject,
    *,
    model: str,
    created: int,
    id: str,  # noqa: A002 - OpenAI's name
    text: "AnswerText | None" = None,
    form: AnswerForm = PLAIN,
) -> JsonObject:
    """A `chat.completion` object; `created` in Unix seconds; `text` takes from its text what is not the caller's.

    Reasoning is in `reasoning_content`, and with its signatures in `thinking_blocks`, which `to_converse` takes back.
    """
    blocks = _blocks(reply)
    reason = finish_reason_of(reply.get("stopReason"))
    if text is not None:
        blocks = _take_from(blocks, text)
        reason = text.finish_reason(reason)
    message, calls = _message(blocks, form)
    choice = {"index": 0, "message": message, "finish_reason": form.finish_reason(reason, calls)}
    return {
        "id": id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [choice],
        "usage": usage_of(reply.get("usage")),
    } | tier_of(reply)


def tier_of(reply: JsonObject) -> JsonObject:
    """The service tier that answered, where Bedrock says it."""
    match reply.get("serviceTier"):
        case {"type": str(tier)}:
            return {"service_tier": tier}
        case _:
            return {}


def finish_reason_of(stop_reason: object) -> str:
    """OpenAI's word for Converse's; what is not known is a stop.

    Raises:
        UpstreamFailed: the model wrote what Bedrock could not read.
    """
    reason = str(stop_reason)
    if reason in MALFORMED:
        raise UpstreamFailed(f"The model's answer could not be read: {reason}.")
    return FINISH_REASONS.get(reason, "stop")


def usage_of(usage: object) -> JsonObject:
    """OpenAI's token counts. Its `prompt_tokens` hold the cached ones, Converse's `inputTokens` do not.

    What was written to the cache, which costs more, has OpenRouter's name, and what of it is kept for an hour Anthropic's: OpenAI
    has none.
    """
    counts = to_object(usage)
    cache_read, cache_write = _count(counts, "cacheReadInputTokens"), _count(counts, "cacheWriteInputTokens")
    prompt = _count(counts, "inputTokens") + cache_read + cache_write
    completion = _count(counts, "outputTokens")
    writes = {"cache_write_tokens": cache_write} if cache_write else {}
    details = counts.get("cacheDetails")
    rows: list[object] = details if is_list(details) else []
    hour = sum(_count(to_object(row), "inputTokens") for row in rows if _is_hour(row))
    lasting = {"cache_creation": {"ephemeral_1h_input_tokens": hour}} if hour else {}
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cache_read} | writes,
    } | lasting


def _is_hour(detail: object) -> bool:
    return to_object(detail).get("ttl") == "1h"


def redacted_thinking(content: bytes) -> JsonObject:
    """The thinking block of reasoning that its provider encrypted."""
    return {"type": "redacted_thinking", "data": b64encode(content).decode()}


def shape_failure(problem: str) -> UpstreamFailed:
    """The failure of a reply that is not of Converse's shape."""
    return UpstreamFailed(f"The provider's answer is not of the Converse API's shape: it has {problem}.")


def _blocks(reply: JsonObject) -> list[JsonObject]:
    match reply:
        case {"output": {"message": {"content": [*blocks]}}} if all(isinstance(block, dict) for block in blocks):
            return cast("list[JsonObject]", blocks)
        case {"output": {"message": {"role": "assistant", **rest}}} if "content" not in rest:
            return []  # a model that has nothing to say
        case _:
            raise shape_failure("no message")


def _take_from(blocks: Sequence[JsonObject], text: "AnswerText") -> list[JsonObject]:
    """The blocks up to a stop sequence, with the text that is left."""
    left: list[JsonObject] = []
    for block in blocks:
        words = _text(block)
        left.append({"text": text.feed(words)} if words else block)
        if text.stopped:
            break
    return [*left, {"text": text.end()}]


def _message(blocks: Sequence[JsonObject], form: AnswerForm) -> tuple[JsonObject, int]:
    """The message, and how many calls it has."""
    text = "".join(_text(block) for block in blocks)
    calls: list[JsonObject] = []
    for block in blocks:
        if "toolUse" in block:
            calls += _call(block["toolUse"], form, len(calls))
    thoughts = [_thinking(block["reasoningContent"]) for block in blocks if "reasoningContent" in block]
    message: JsonObject = {"role": "assistant", "content": text or (None if calls else "")}
    reasoning = "".join(block.get("thinking", "") for block in thoughts)
    if reasoning:
        message["reasoning_content"] = reasoning
    if thoughts:
        message["thinking_blocks"] = thoughts
    if calls and form.older:
        message["function_call"] = calls[0]
    elif calls:
        message["tool_calls"] = calls
    return message, len(calls)


def _text(block: JsonObject) -> str:
    match block:
        case {"text": str(text)}:
            return text
        case {"citationsContent": {"content": [*cited]}}:
            return "".join(_text(part) for part in cast("list[JsonObject]", cited))
        case _:
            return ""


def _call(use: Any, form: AnswerForm, before: int) -> list[JsonObject]:  # noqa: ANN401 - whatever an upstream sent
    match use:
        case {"toolUseId": str(call_id), "name": str(name)}:
            arguments = json.dumps(use.get("input", {}), ensure_ascii=False)
            return [form.call(call_id, name, arguments)] if form.tells(name, before) else []
        case _:
            raise shape_failure("a tool call without a name or an id")


def _thinking(reasoning: Any) -> JsonObject:  # noqa: ANN401 - whatever an upstream sent
    match reasoning:
        case {"reasoningText": {"text": str(text), **rest}}:
            signed = {"signature": rest["signature"]} if isinstance(rest.get("signature"), str) else {}
            return {"type": "thinking", "thinking": text, **signed}
        case {"redactedContent": bytes(content)}:
            return redacted_thinking(content)
        case _:
            raise shape_failure("reasoning of an unknown kind")


def _count(counts: JsonObject, name: str) -> int:
    count = counts.get(name)
    return count if isinstance(count, int) and 0 <= count <= MOST_TOKENS else 0
