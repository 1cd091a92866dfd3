"""The shapes of Responses' objects, items, parts and events, member by member: what a client may rely on, and nothing beside it.

Sources: https://platform.openai.com/docs/api-reference/responses and .../responses-streaming; https://www.openresponses.org for what must be there.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from core.frame.types import JsonObject
from core.platform.json_values import is_list

type Test = Callable[[Any], bool]
type Shape = Mapping[str, Test]


def text(value: object) -> bool:
    return isinstance(value, str)


def name(value: object) -> bool:
    return isinstance(value, str) and value != ""


def whole(value: object) -> bool:
    return type(value) is int and value >= 0


def number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def flag(value: object) -> bool:
    return isinstance(value, bool)


def thing(value: object) -> bool:
    return isinstance(value, dict)


def things(value: object) -> bool:
    return is_list(value) and all(isinstance(entry, dict) for entry in value)


def texts(value: object) -> bool:
    return is_list(value) and all(isinstance(entry, str) for entry in value)


def anything(value: object) -> bool:
    del value
    return True


def or_null(test: Test) -> Test:
    return lambda value: value is None or test(value)


def among(*words: str) -> Test:
    return lambda value: value in words


STATUS: Final = among("in_progress", "completed", "incomplete")
HOSTED_STATUS: Final = among("in_progress", "searching", "interpreting", "calling", "completed", "incomplete", "failed")

PARTS: Final[Mapping[str, Shape]] = {
    "output_text": {"text": text, "annotations": things, "logprobs": things},
    "refusal": {"refusal": text},
    "reasoning_text": {"text": text},
    "summary_text": {"text": text},
    "input_text": {"text": text},
    "input_image": {"image_url?": or_null(text), "file_id?": or_null(text), "detail?": or_null(text)},
    "input_file": {
        "file_id?": or_null(text),
        "file_data?": or_null(text),
        "file_url?": or_null(text),
        "filename?": or_null(text),
    },
}
ANNOTATIONS: Final[Mapping[str, Shape]] = {
    "file_citation": {"file_id": name, "filename": text, "index": whole},
    "url_citation": {"url": name, "title": text, "start_index": whole, "end_index": whole},
    "file_path": {"file_id": name, "index": whole},
}
ITEMS: Final[Mapping[str, Shape]] = {
    "message": {
        "id": name,
        "status": STATUS,
        "role": among("assistant", "user", "system", "developer"),
        "content": things,
        "phase?": or_null(among("commentary", "final_answer")),
    },
    "function_call": {
        "id": name,
        "call_id": name,
        "name": name,
        "arguments": text,
        "status": STATUS,
        "namespace?": or_null(text),
    },
    "custom_tool_call": {"id": name, "call_id": name, "name": name, "input": text, "status?": STATUS},
    "file_search_call": {"id": name, "status": HOSTED_STATUS, "queries": texts, "results": or_null(things)},
    "web_search_call": {"id": name, "status": HOSTED_STATUS, "action": thing, "results?": or_null(things)},
    "mcp_list_tools": {"id": name, "server_label": name, "tools": things, "error?": anything},
    "mcp_call": {
        "id": name,
        "server_label": name,
        "name": name,
        "arguments": text,
        "output": or_null(text),
        "error": or_null(text),
        "status": HOSTED_STATUS,
        "approval_request_id?": or_null(name),
    },
    "mcp_approval_request": {"id": name, "server_label": name, "name": name, "arguments": text},
    "reasoning": {
        "id": name,
        "summary": things,
        "content?": or_null(things),
        "encrypted_content?": or_null(text),
        "status?": or_null(STATUS),
    },
    "compaction": {"id": name, "encrypted_content": text, "created_by?": or_null(text)},
}
"""Of an output."""
RESPONSE: Final[Shape] = {
    "id": name,
    "object": among("response"),
    "created_at": whole,
    "completed_at": or_null(whole),
    "status": among("queued", "in_progress", "completed", "incomplete", "failed", "cancelled"),
    "incomplete_details": or_null(thing),
    "model": name,
    "previous_response_id": or_null(name),
    "instructions": or_null(text),
    "output": things,
    "error": or_null(thing),
    "tools": things,
    "tool_choice": lambda value: text(value) or thing(value),
    "truncation": among("auto", "disabled"),
    "parallel_tool_calls": flag,
    "text": thing,
    "top_p": number,
    "presence_penalty": number,
    "frequency_penalty": number,
    "top_logprobs": whole,
    "temperature": number,
    "reasoning": or_null(thing),
    "usage": or_null(thing),
    "max_output_tokens": or_null(whole),
    "max_tool_calls": or_null(whole),
    "store": flag,
    "background": flag,
    "service_tier": name,
    "metadata": thing,
    "safety_identifier": or_null(text),
    "prompt_cache_key": or_null(text),
    "conversation": or_null(thing),
    "prompt?": or_null(thing),
    "prompt_cache_retention?": or_null(text),
    "user?": or_null(text),
    "max_infer_iters?": or_null(whole),
}
USAGE: Final[Shape] = {
    "input_tokens": whole,
    "input_tokens_details": thing,
    "output_tokens": whole,
    "output_tokens_details": thing,
    "total_tokens": whole,
}

_ITEM: Final[Shape] = {"item_id": name, "output_index": whole}
_CONTENT: Final[Shape] = {**_ITEM, "content_index": whole}
_SUMMARY: Final[Shape] = {**_ITEM, "summary_index": whole}
LIFE: Final = ("created", "queued", "in_progress", "completed", "incomplete", "failed")
PHASES: Final = {
    "mcp_call": ("in_progress", "completed", "failed"),
    "mcp_list_tools": ("in_progress", "completed", "failed"),
    "file_search_call": ("in_progress", "searching", "completed"),
    "web_search_call": ("in_progress", "searching", "completed"),
    "code_interpreter_call": ("in_progress", "interpreting", "completed"),
    "compaction": ("compacting",),
}
"""In their order; of completed and failed there is one."""
ARGUMENTS: Final = {
    "function_call_arguments": "arguments",
    "mcp_call_arguments": "arguments",
    "custom_tool_call_input": "input",
    "code_interpreter_call_code": "code",
}
EVENTS: Final[Mapping[str, Shape]] = {
    **{f"response.{word}": {"response": thing} for word in LIFE},
    **{
        f"response.output_item.{word}": {"output_index": whole, "item": thing, "response_id": name}
        for word in ("added", "done")
    },
    **{f"response.content_part.{word}": {**_CONTENT, "part": thing, "response_id": name} for word in ("added", "done")},
    **{f"response.reasoning_summary_part.{word}": {**_SUMMARY, "part": thing} for word in ("added", "done")},
    "response.output_text.delta": {**_CONTENT, "delta": name, "logprobs": things},
    "response.output_text.done": {**_CONTENT, "text": text, "logprobs": things},
    "response.output_text.annotation.added": {**_CONTENT, "annotation_index": whole, "annotation": thing},
    "response.refusal.delta": {**_CONTENT, "delta": name},
    "response.refusal.done": {**_CONTENT, "refusal": text},
    "response.reasoning_text.delta": {**_CONTENT, "delta": name},
    "response.reasoning_text.done": {**_CONTENT, "text": text},
    "response.reasoning_summary_text.delta": {**_SUMMARY, "delta": name},
    "response.reasoning_summary_text.done": {**_SUMMARY, "text": text},
    **{f"response.{word}.delta": {**_ITEM, "delta": name} for word in ARGUMENTS},
    **{f"response.{word}.done": {**_ITEM, member: text} for word, member in ARGUMENTS.items()},
    **{f"response.{kind}.{phase}": _ITEM for kind, phases in PHASES.items() for phase in phases},
    "error": {"code": or_null(text), "message": text, "param": or_null(text)},
}


def check_shape(value: Mapping[str, Any], shape: Shape, where: str) -> None:
    """Fails where a member is missing, is not what it must be, or is one too many; `name?` need not be there."""
    for member, test in shape.items():
        plain = member.removesuffix("?")
        if plain not in value:
            assert plain != member, f"{where} has no `{plain}`: {value}"
        else:
            assert test(value[plain]), f"{where}.{plain} is {value[plain]!r}"
    beside = value.keys() - {member.removesuffix("?") for member in shape} - {"type"}
    assert not beside, f"{where} has {beside}"


def check_part(part: JsonObject, where: str) -> None:
    assert part.get("type") in PARTS, f"{where}: {part}"
    check_shape(part, PARTS[part["type"]], where)
    for annotation in part.get("annotations", ()):
        assert annotation.get("type") in ANNOTATIONS, f"{where}: {annotation}"
        check_shape(annotation, ANNOTATIONS[annotation["type"]], where)
        last = annotation.get("end_index", annotation.get("index", 0))
        assert last <= len(part["text"]), f"{where}: {annotation} is beyond the text"
        assert annotation.get("start_index", 0) <= last


def check_item(item: JsonObject, where: str = "item") -> None:
    """Fails unless it is an item that an output may have."""
    kind: str = item.get("type", "")
    assert kind in ITEMS, f"{where}: {item}"
    check_shape(item, ITEMS[kind], where)
    for holder in ("content", "summary"):
        for place, part in enumerate(item.get(holder) or ()):
            check_part(part, f"{where}.{holder}[{place}]")


def check_response(response: JsonObject) -> None:
    """Fails unless it is an object `response` whose members agree with each other."""
    check_shape(response, RESPONSE, "response")
    status, error, details = response["status"], response["error"], response["incomplete_details"]
    assert (error is not None) == (status == "failed"), f"{status}: {error}"
    assert (details is not None) == (status == "incomplete"), f"{status}: {details}"
    assert (response["completed_at"] is not None) == (status == "completed"), status
    if error is not None:
        check_shape(error, {"code": name, "message": name}, "error")
    if details is not None:
        check_shape(
            details,
            {"reason": among("max_output_tokens", "content_filter", "max_iterations_exceeded")},
            "incomplete_details",
        )
    if response["conversation"] is not None:
        check_shape(response["conversation"], {"id": name}, "conversation")
    check_usage(response["usage"], status)
    ids = [item.get("id") for item in response["output"]]
    assert len(ids) == len(set(ids)), ids
    for place, item in enumerate(response["output"]):
        check_item(item, f"output[{place}]")
        assert item.get("status") not in ("in_progress", "searching", "interpreting", "calling"), item


def check_usage(usage: JsonObject | None, status: str) -> None:
    if usage is None:
        assert status in ("queued", "in_progress", "failed", "cancelled"), f"{status} without usage"
        return
    check_shape(usage, USAGE, "usage")
    check_shape(usage["input_tokens_details"], {"cached_tokens": whole}, "usage")
    check_shape(usage["output_tokens_details"], {"reasoning_tokens": whole}, "usage")
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"], usage
