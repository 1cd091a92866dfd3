"""What no response can be asked with: found before anything is asked of anybody. What only OpenAI has a use for passes.

What `tools` must have beside a type, the tools say as they are resolved. Source: https://platform.openai.com/docs/api-reference/responses/create.
"""

from collections.abc import Mapping, Sequence
from math import inf, isfinite
import re
from typing import TYPE_CHECKING, Final, cast, get_args

from core.apis.response_items import check_input, check_members
from core.apis.responses import MOST_METADATA, Include, ResponseRequest
from core.apis.values import (
    MISSING,
    Rule,
    check_flag,
    check_number,
    check_object,
    check_text,
    fault,
    objects_at,
    one_of,
)
from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.platform.json_values import is_list

if TYPE_CHECKING:
    from core.apis.response_queries import InputTokensRequest

INCLUDES: Final[tuple[str, ...]] = get_args(Include.__value__)
CHOICES: Final = ("none", "auto", "required")
NAMED: Final = ("function", "custom")
"""Types of tools that have a name of the caller's."""
LONGEST_KEY: Final = 64
LONGEST_VALUE: Final = 512
NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
OF_CHATS: Final = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "response_format": "text.format",
    "reasoning_effort": "reasoning.effort",
}
"""What chat completions have by another name: passed over, a bound would bound nothing."""

check_include_name: Final = one_of(INCLUDES)
check_choice: Final = one_of(CHOICES, more=", or an object that names a tool")


def check_request(request: ResponseRequest) -> None:
    """Raises InvalidRequest, whose param is the path of what is wrong."""
    fields: JsonObject = vars(request) | (request.model_extra or {})
    for name, own in OF_CHATS.items():
        if fields.get(name) is not None:
            raise InvalidRequest(f"{name}: is what chat completions call it; here it is `{own}`.", param=name)
    for name, rule in RULES.items():
        if (value := fields.get(name)) is not None:
            rule(value, name)
    _check_context(request)
    check_input(request.input)
    _check_choice(request.tool_choice, request.tools or ())
    if request.background is True and request.store is False:
        raise InvalidRequest(
            "background: a response in the background is got by its id when it is done, so that it has to be kept. Leave out `store: false`.",
            param="background",
        )


def check_count(request: "InputTokensRequest") -> None:
    """As `check_request`, of what is not answered and only counted."""
    for name in ("conversation", "tools"):
        if (value := getattr(request, name)) is not None:
            RULES[name](value, name)
    check_input(request.input)


def check_include(include: Sequence[str], path: str = "include") -> None:
    """Raises InvalidRequest for what cannot be asked for."""
    for place, name in enumerate(include):
        check_include_name(name, f"{path}[{place}]")


def check_metadata(value: object, path: str = "metadata") -> None:
    """At most 16 pairs of a key and a text. Raises InvalidRequest."""
    check_object(value, path)
    pairs = cast("JsonObject", value)
    if len(pairs) > MOST_METADATA:
        raise InvalidRequest(f"{path}: has {len(pairs)} pairs, and may have {MOST_METADATA}.", param=path)
    for key, text in pairs.items():
        if len(key) > LONGEST_KEY:
            raise InvalidRequest(f"{path}: a key has at most {LONGEST_KEY} characters.", param=path)
        check_text(text, f"{path}.{key}")
        if len(text) > LONGEST_VALUE:
            raise InvalidRequest(f"{path}.{key}: has at most {LONGEST_VALUE} characters.", param=f"{path}.{key}")


def _check_context(request: ResponseRequest) -> None:
    """What the response goes on from: one thing, or none; and there is something to answer."""
    if request.previous_response_id is not None and request.conversation is not None:
        raise InvalidRequest(
            "previous_response_id: a response goes on from this or from a `conversation`; give one of them.",
            param="previous_response_id",
        )
    goes_on = request.previous_response_id or request.conversation or request.prompt
    if not goes_on and (request.input is None or request.input == []):
        raise InvalidRequest(
            "input: is required, unless there is a `previous_response_id`, a `conversation` or a `prompt`.",
            param="input",
        )


def _check_conversation(value: object, path: str) -> None:
    """Its id, or an object that has it."""
    if not isinstance(value, str):
        check_object(value, path)
        check_text(cast("JsonObject", value).get("id", MISSING), f"{path}.id")


def _check_tools(value: object, path: str) -> None:
    """A type that is unknown is none's mistake: clients of OpenAI's newest tools send them everywhere."""
    names: set[tuple[str, str]] = set()
    for tool, tool_path in objects_at(value, path):
        check_text(tool.get("type", MISSING), f"{tool_path}.type")
        if tool["type"] in NAMED:
            if "name" not in tool and isinstance(tool.get(tool["type"]), dict):
                raise InvalidRequest(
                    f"{tool_path}.name: is required. Chat completions have it in `{tool['type']}`; here what is in that is beside the `type`.",
                    param=f"{tool_path}.name",
                )
            check_text(tool.get("name", MISSING), f"{tool_path}.name")
            name = (tool["type"], tool["name"])
            if name in names:
                raise InvalidRequest(
                    f"{tool_path}.name: another tool is called `{tool['name']}`; a model could not tell them apart.",
                    param=f"{tool_path}.name",
                )
            names.add(name)


def _check_choice(choice: object, tools: Sequence[JsonObject]) -> None:
    if choice is None:
        return
    if not isinstance(choice, dict):
        check_choice(choice, "tool_choice")
        return
    named_tool = cast("JsonObject", choice)
    check_text(named_tool.get("type", MISSING), "tool_choice.type")
    if named_tool["type"] in NAMED:
        check_text(named_tool.get("name", MISSING), "tool_choice.name")
        if not any((tool["type"], tool.get("name")) == (named_tool["type"], named_tool["name"]) for tool in tools):
            raise fault("tool_choice.name", "the name of one of the `tools`", named_tool["name"])


def _check_text_settings(value: object, path: str) -> None:
    settings = cast("JsonObject", value)
    check_members(settings, {"format?": _check_format, "verbosity?": one_of(("low", "medium", "high"))}, path)


def _check_format(value: object, path: str) -> None:
    check_object(value, path)
    form = cast("JsonObject", value)
    check_format_kind(form.get("type", MISSING), f"{path}.type")
    if form["type"] == "json_schema":
        check_members(form, SCHEMA, path)


def _check_schema_name(value: object, path: str) -> None:
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise fault(path, "a name of 1 to 64 letters, digits, dashes and underscores", value)


def _check_reasoning(value: object, path: str) -> None:
    summaries = one_of(("auto", "concise", "detailed"))
    check_members(
        cast("JsonObject", value), {"effort?": check_text, "summary?": summaries, "generate_summary?": summaries}, path
    )


def _number(least: float, most: float, rule: str) -> Rule:
    """One that the response can say again: as a number, and JSON has no infinite ones."""

    def check(value: object, path: str) -> None:
        if isinstance(value, str) or (isinstance(value, float) and not isfinite(value)):
            raise fault(path, rule, value)
        check_number(value, path, least, most)

    return check


def _check_guardrails(value: object, path: str) -> None:
    """Ids of shields, alone or in objects; or whether there are any."""
    for place, entry in enumerate(value if is_list(value) else ()):
        if shield_of(entry) is None:
            raise fault(f"{path}[{place}]", 'the id of a shield, or {"type": ID}', entry)


def shield_of(guardrail: object) -> str | None:
    """The id of the shield that an entry of `guardrails` names."""
    match guardrail:
        case str(shield) | {"type": str(shield)} | {"id": str(shield)} if shield:
            return shield
        case _:
            return None


check_format_kind: Final = one_of(("text", "json_object", "json_schema"))
SCHEMA: Final[Mapping[str, Rule]] = {"name": _check_schema_name, "schema": check_object, "strict?": check_flag}
_check_penalty: Final = _number(-2, 2, "a number from -2 to 2")
RULES: Final[Mapping[str, Rule]] = {
    "conversation": _check_conversation,
    "frequency_penalty": _check_penalty,
    "guardrails": _check_guardrails,
    "include": check_include,
    "metadata": check_metadata,
    "presence_penalty": _check_penalty,
    "previous_response_id": check_text,
    "prompt": lambda value, path: check_members(
        value, {"id": check_text, "version?": check_text, "variables?": check_object}, path
    ),
    "prompt_cache_key": check_text,
    "reasoning": _check_reasoning,
    "safety_identifier": check_text,
    "service_tier": check_text,
    "stream_options": lambda value, path: check_members(value, {"include_obfuscation?": check_flag}, path),
    "temperature": _number(0, inf, "a number of at least 0"),
    "text": _check_text_settings,
    "tools": _check_tools,
    "top_p": _number(0, 1, "a number from 0 to 1"),
    "user": check_text,
}
