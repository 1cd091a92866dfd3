"""What no chat, completion or embedding can be asked with. Lenient servers answer it all the same: here it is refused.

Refused is what OpenAI refuses and Llama Stack too, but for what another server gives a meaning of its own: kinds of parts and
tools, numbers as text, temperatures above 2. Fields that are not here pass.

Sources: https://platform.openai.com/docs/api-reference/chat/create, Inference of OGX 1.5.0,
https://docs.vllm.ai/en/stable/serving/openai_compatible_server/.
"""

from collections.abc import Mapping
from typing import Any, Final, cast

from core.apis.values import (
    MISSING,
    MOST_SHOWN,
    Rule,
    between,
    check_flag,
    check_named,
    check_number,
    check_object,
    check_text,
    fault,
    items_at,
    objects_at,
    one_of,
    whole,
)
from core.errors import InvalidRequest
from core.frame.types import JsonObject

ROLES: Final = ("system", "developer", "user", "assistant", "tool", "function")
TEXT_ROLES: Final = ROLES[:4]
PARTS: Final = ("text", "image_url", "input_audio", "file", "refusal")
FURTHER_PARTS: Final = frozenset({
    "audio", "audio_embeds", "audio_url", "document", "document_url", "image", "image_embeds", "image_file", "input_file",
    "input_image", "input_text", "output_text", "reasoning", "redacted_thinking", "reference", "thinking", "tool_reference",
    "tool_result", "tool_use", "video", "video_url",
})  # fmt: skip
"""Those of vLLM, Qwen, Mistral, Anthropic and the like."""
TOOLS: Final = ("function", "custom")
FURTHER_TOOLS: Final = frozenset({
    "browser_search", "builtin_function", "code_execution", "code_interpreter", "google_search", "live_search", "mcp",
    "retrieval", "visit_website", "web_browser", "web_search", "web_search_preview", "wolfram_alpha",
})  # fmt: skip
"""Those that Groq, Moonshot, xAI, Zhipu and the like run themselves."""
CHOICES: Final = ("none", "auto", "required")
CHOICE_TYPES: Final = (*TOOLS, "allowed_tools")
TOKENS: Final = frozenset({int})

check_role: Final = one_of(ROLES)
check_call_type: Final = one_of(TOOLS)
check_part_type: Final = one_of(PARTS, FURTHER_PARTS)
check_tool_type: Final = one_of(TOOLS, FURTHER_TOOLS)
check_choice_word: Final = one_of(CHOICES, frozenset({"any"}), ", or an object that names a tool")
check_choice_type: Final = one_of(CHOICE_TYPES, frozenset({*CHOICES, "any", "tool"}))
# The further ones are Fireworks', TGI's, Together's and vLLM's.
check_format_type: Final = one_of(
    ("text", "json_object", "json_schema"), frozenset({"grammar", "json", "regex", "structural_tag"})
)


def check_chat(messages: list[JsonObject], fields: Mapping[str, Any] | None) -> None:
    """Raises InvalidRequest; `fields` are all but those that ChatRequest names."""
    for index, message in enumerate(messages):
        # A role and a text, and nothing else, as nearly all have: told in a quarter of a microsecond.
        if len(message) != 2 or message.get("content").__class__ is not str or message.get("role") not in TEXT_ROLES:  # noqa: PLR2004 - these two
            _check_message(message, f"messages[{index}]")
    if fields:
        _check_fields(fields, CHAT_RULES)
        if (choice := fields.get("tool_choice")) is not None:
            _check_choice(choice, fields.get("tools"))


def check_completion(prompt: object, fields: Mapping[str, Any] | None) -> None:
    """Raises InvalidRequest."""
    _check_texts(prompt, "prompt")
    if fields:
        _check_fields(fields, COMPLETION_RULES)


def check_embeddings(texts: object, fields: Mapping[str, Any] | None) -> None:
    """Raises InvalidRequest."""
    _check_texts(texts, "input")
    if fields:
        _check_fields(fields, EMBEDDINGS_RULES)


def _check_fields(fields: Mapping[str, Any], rules: Mapping[str, Rule], path: str = "") -> None:
    for name, value in fields.items():
        if value is not None and (rule := rules.get(name)) is not None:
            rule(value, path + name)


def _check_texts(value: object, path: str) -> None:
    """A text, the ids of its tokens, or a list of either."""
    if isinstance(value, str):
        return
    if value == []:
        raise fault(path, "a text, or a list of at least one", list[object]())
    if _is_tokens(value):
        return
    for entry, entry_path in items_at(value, path):
        if not _is_text(entry):
            raise fault(entry_path, "a text, or a list of tokens", entry)


def _is_text(entry: object) -> bool:
    return isinstance(entry, str) or (isinstance(entry, list) and entry != [] and _is_tokens(cast("object", entry)))


def _is_tokens(entries: object) -> bool:
    return TOKENS.issuperset(map(type, cast("list[object]", entries)))


def _check_message(message: JsonObject, path: str) -> None:
    role = message.get("role", MISSING)
    check_role(role, f"{path}.role")
    _check_content(message.get("content", MISSING), f"{path}.content", may_be_absent=role in {"assistant", "function"})
    if message.get("name") is not None:
        check_text(message["name"], f"{path}.name")
    if role == "tool":
        check_text(message.get("tool_call_id", MISSING), f"{path}.tool_call_id")
    if message.get("tool_calls") is not None:
        for call, call_path in objects_at(message["tool_calls"], f"{path}.tool_calls"):
            _check_call(call, call_path)


def _check_content(content: object, path: str, *, may_be_absent: bool) -> None:
    if isinstance(content, list):
        for part, part_path in items_at(cast("object", content), path):
            if not isinstance(part, dict):
                raise fault(part_path, "an object with a type", part)
            _check_part(cast("JsonObject", part), part_path)
    elif not isinstance(content, str) and not (may_be_absent and (content is None or content is MISSING)):
        raise fault(path, "a text, or a list of parts", content)


def _check_call(call: JsonObject, path: str) -> None:
    """What its arguments are, is not asked: a model wrote them."""
    if call.get("id") is not None:
        check_text(call["id"], f"{path}.id")
    kind = call.get("type") or "function"
    check_call_type(kind, f"{path}.type")
    if call.get(kind) is not None:
        check_named(call[kind], f"{path}.{kind}")


def _check_part(part: JsonObject, path: str) -> None:
    kind: Any = part.get("type", MISSING)
    if kind is MISSING:  # vLLM goes by what it has
        kind = next((name for name in part if name in PARTS or name in FURTHER_PARTS), MISSING)
    check_part_type(kind, f"{path}.type")
    value, value_path = part.get(kind, MISSING), f"{path}.{kind}"
    if kind == "text":
        check_text(value, value_path)
    elif kind == "image_url" and not isinstance(value, str):  # which Mistral takes for the URL
        if not isinstance(value, dict):
            raise fault(value_path, "an object with a url", value)
        check_text(cast("JsonObject", value).get("url", MISSING), f"{value_path}.url")
    elif kind in {"file", "input_audio"}:
        check_object(value, value_path)


def _check_tools(value: object, path: str) -> None:
    for tool, tool_path in objects_at(value, path):
        kind: Any = tool.get("type", "function" if "function" in tool else MISSING)
        check_tool_type(kind, f"{tool_path}.type")
        if kind in TOOLS:
            check_named(tool.get(kind, MISSING), f"{tool_path}.{kind}")


def _check_functions(value: object, path: str) -> None:
    for function, function_path in objects_at(value, path):
        check_named(function, function_path)


def _check_function_call(value: object, path: str) -> None:
    if not isinstance(value, str):
        check_named(value, path)


def _check_choice(choice: object, tools: list[JsonObject] | None) -> None:
    path = "tool_choice"
    if isinstance(choice, dict):
        _check_named_choice(cast("JsonObject", choice), tools or [], path)
    else:
        check_choice_word(choice, path)
    # vLLM, too, takes "none" for what goes without saying; some clients send an empty list whenever they have no tools.
    if choice != "none" and not (tools or (choice == "auto" and tools == [])):
        raise InvalidRequest(f"{path}: is only allowed where `tools` are given.", param=path)


def _check_named_choice(choice: JsonObject, tools: list[JsonObject], path: str) -> None:
    kind: Any = choice.get("type", next((kind for kind in CHOICE_TYPES if kind in choice), MISSING))
    check_choice_type(kind, f"{path}.type")
    if kind in TOOLS:
        check_named(choice.get(kind, MISSING), f"{path}.{kind}")
        name = choice[kind]["name"]
        names = [tool[kind]["name"] for tool in tools if kind in tool and tool.get("type", kind) == kind]
        if tools and name not in names:
            raise fault(f"{path}.{kind}.name", "the name of one of the `tools`", name)


def _check_format(value: object, path: str) -> None:
    if not isinstance(value, dict):
        raise fault(path, "an object with a type", value)
    fields = cast("JsonObject", value)
    kind = fields.get("type", MISSING)
    check_format_type(kind, f"{path}.type")
    if kind == "json_schema":
        _check_schema(fields, f"{path}.json_schema")


def _check_schema(fields: JsonObject, path: str) -> None:
    named = fields.get("json_schema", MISSING)
    if not isinstance(named, dict):
        # Together has the schema right here, and TGI its value.
        if not any(isinstance(fields.get(name), dict) for name in ("schema", "value")):
            raise fault(path, "an object with a name and a schema", named)
        return
    _check_fields(cast("JsonObject", named), SCHEMA_RULES, f"{path}.")


def _check_stop(value: object, path: str) -> None:
    if isinstance(value, list):
        for text, text_path in items_at(cast("object", value), path):
            check_text(text, text_path)
    elif not isinstance(value, str):
        raise fault(path, "a text, or a list of texts", value)


def _check_biases(value: object, path: str) -> None:
    check_object(value, path)
    for token, bias in cast("JsonObject", value).items():
        check_number(bias, f"{path}.{token[:MOST_SHOWN]}")


def _check_logprobs(value: object, path: str) -> None:
    if not isinstance(value, bool) and value not in (0, 1):  # Together takes how many
        raise fault(path, "true or false", value)


SCHEMA_RULES: Final[dict[str, Rule]] = {"name": check_text, "schema": check_object, "strict": check_flag}
_GENERATION: Final[dict[str, Rule]] = {
    "best_of": whole(1),
    "echo": check_flag,
    "frequency_penalty": between(-2, 2),
    "logit_bias": _check_biases,
    "max_tokens": whole(0),
    "n": whole(1),
    "presence_penalty": between(-2, 2),
    "seed": whole(),
    "stop": _check_stop,
    "suffix": check_text,
    "temperature": between(0),
    "top_p": between(0, 1),
    "user": check_text,
}
CHAT_RULES: Final[dict[str, Rule]] = _GENERATION | {
    "function_call": _check_function_call,
    "functions": _check_functions,
    "logprobs": _check_logprobs,
    "max_completion_tokens": whole(1),
    "max_tokens": whole(1),
    "metadata": check_object,
    "parallel_tool_calls": check_flag,
    "prompt_cache_key": check_text,
    "reasoning_effort": check_text,
    "response_format": _check_format,
    "service_tier": check_text,
    "store": check_flag,
    "tools": _check_tools,
    "top_logprobs": whole(0),
}
COMPLETION_RULES: Final[dict[str, Rule]] = _GENERATION | {"logprobs": whole(0)}
EMBEDDINGS_RULES: Final[dict[str, Rule]] = {
    "dimensions": whole(1),
    "encoding_format": one_of(
        ("float", "base64"), frozenset({"binary", "bytes", "bytes_only", "int8", "ubinary", "uint8"})
    ),
    "user": check_text,
}
