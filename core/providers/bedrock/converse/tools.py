"""OpenAI's tools, and which of them may be called, as Converse's toolConfig. Pure.

Sources: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolConfiguration.html,
https://platform.openai.com/docs/api-reference/chat/create. `functions` and `function_call` are the older form of the same.
Imported with the first request that has any.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from core.frame.types import JsonObject
from core.providers.bedrock.converse.aliases import wire_names
from core.providers.bedrock.converse.answer_form import AnswerForm
from core.providers.bedrock.converse.content import with_cache_point
from core.providers.bedrock.converse.families import Family
from core.providers.bedrock.converse.schemas import OPEN, to_input_schema
from core.providers.http.fields import invalid_field, object_at, objects_at, text_at

FORCED: Final = frozenset({"required", "named"})
WITHDRAWN: Final = "Not available any more. Do not call it."


@dataclass(frozen=True, slots=True)
class Function:
    """A caller's definition, and where it is."""

    definition: JsonObject
    path: str
    tool: JsonObject  # what it is in, and where that is: itself in the older form
    tool_path: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What a caller asks of tools."""

    functions: Mapping[str, Function]  # those that may be called, by name
    choice: str | None = None  # auto, required, named or none, if anything was said
    named: str | None = None  # the one that must be called
    path: str = "tool_choice"
    one: bool = False  # call at most


@dataclass(frozen=True, slots=True)
class Offer:
    """What a model is offered, and what the tools of the conversation are called there, if they are called at all."""

    config: JsonObject = field(default_factory=dict[str, Any])
    fields: JsonObject = field(default_factory=dict[str, Any])  # of the model's own
    names: Mapping[str, str] = field(default_factory=dict[str, str])
    must_call: bool = False


def read_tools(options: JsonObject) -> Asked:
    """Raises InvalidRequest: a tool is no function, or the choice fits none."""
    one = options.get("parallel_tool_calls", True)
    if not isinstance(one, bool):
        raise invalid_field("parallel_tool_calls", "must be true or false.")
    older = "functions" in options or "function_call" in options
    if older and ("tools" in options or "tool_choice" in options):
        raise invalid_field("functions", "is the older form of tools: send one of the two.")
    functions = _functions(options, older=older)
    path = "function_call" if older else "tool_choice"
    choice, names = _choice(options.get(path), path)
    if not functions.keys() >= {*(names or ())}:
        raise invalid_field(path, "names a tool that is not defined.")
    named = names[0] if names and choice == "named" else None
    if names is not None and named is None:
        functions = {name: functions[name] for name in names}
    if choice in FORCED and not functions:
        raise invalid_field(path, "there are no tools to choose from.")
    offered = {} if choice == "none" else functions
    return Asked(offered, choice, named, path, one=older or not one)


def offer_tools(asked: Asked, called: Collection[str], family: Family, *, thinking: bool) -> Offer:
    """What of it the family can do; `called` are the tools that the conversation calls.

    Where a model may call tools, those of the conversation that it is offered no more are defined as such, since its
    turns stay what they were; where it must call one, they are told as text.

    Raises:
        InvalidRequest: the model takes no tools, or cannot be made to call one.
    """
    if not asked.functions:
        return Offer()
    if not family.tools:
        raise invalid_field(_tools_path(asked), "this model takes no tools.")
    functions, names, forced = _choose_tools(asked, called, family, thinking=thinking)
    blocks = [block for name, function in functions.items() for block in _tool(function, names[name], family)]
    blocks += [_withdrawn(wire) for name, wire in names.items() if name not in functions]
    config: JsonObject = {"tools": blocks}
    fields: JsonObject = {}
    if forced:
        target = {"name": names[asked.named]} if asked.named is not None and forced == "tool" else {}
        config["toolChoice"] = {forced: target}
    elif asked.one and family.one_call:
        # Converse has nothing for it, and refuses it beside a forced choice: https://github.com/BerriAI/litellm/issues/36536.
        fields["tool_choice"] = {"type": "auto", "disable_parallel_tool_use": True}
    elif asked.choice == "auto" and "auto" in family.choices:
        config["toolChoice"] = {"auto": {}}
    return Offer(config, fields, names, must_call=bool(forced))


def answer_form(asked: Asked, called: Collection[str], family: Family, *, thinking: bool) -> AnswerForm:
    """What of an answer's calls is told, and how, to whom `offer_tools` did not refuse it."""
    if asked.choice == "none" or (called and not asked.functions):
        return AnswerForm(most=0)
    functions, names, _ = _choose_tools(asked, called, family, thinking=thinking)
    return AnswerForm(
        names={wire: name for name, wire in names.items() if wire != name},
        withheld=frozenset(wire for name, wire in names.items() if name not in functions),
        most=1 if asked.one else None,
        older=asked.path == "function_call",
    )


def _choose_tools(
    asked: Asked, called: Collection[str], family: Family, *, thinking: bool
) -> tuple[Mapping[str, Function], Mapping[str, str], str]:
    """What may be called; the names at Bedrock of that and of what could be before; and how it is forced, if it is."""
    functions = asked.functions
    forced = _force(asked, family, thinking=thinking) if asked.choice in FORCED else ""
    if forced == "any" and asked.named is not None:
        functions = {asked.named: functions[asked.named]}
    return functions, wire_names([*functions, *(() if forced == "any" else called)]), forced


def _force(asked: Asked, family: Family, *, thinking: bool) -> str:
    """The word of Converse's for a call that must be: any, tool, or the refusal of what would be none."""
    if thinking and not family.forces_while_thinking:
        raise invalid_field(
            asked.path, "this model cannot be made to call a tool while it thinks: choose auto, or leave thinking out."
        )
    for word in ("any",) if asked.named is None else ("tool", "any"):
        if word in family.choices:
            return word
    raise invalid_field(asked.path, "this model cannot be made to call a tool: choose auto or none.")


def _tools_path(asked: Asked) -> str:
    return next(iter(asked.functions.values())).tool_path.partition("[")[0]


def _functions(options: JsonObject, *, older: bool) -> dict[str, Function]:
    if older:
        definitions = [
            Function(item, path, item, path) for item, path in objects_at(options.get("functions"), "functions")
        ]
    else:
        definitions = [_function(tool, path) for tool, path in objects_at(options.get("tools"), "tools")]
    functions: dict[str, Function] = {}
    for function in definitions:
        name = text_at(function.definition.get("name"), f"{function.path}.name")
        if functions.setdefault(name, function).definition != function.definition:
            raise invalid_field(f"{function.path}.name", "is the name of another tool too.")
    return functions


def _function(tool: JsonObject, path: str) -> Function:
    if tool.get("type") != "function":
        raise invalid_field(f"{path}.type", "must be function.")
    function_path = f"{path}.function"
    return Function(object_at(tool.get("function"), function_path), function_path, tool, path)


def _tool(function: Function, name: str, family: Family) -> list[JsonObject]:
    definition, path = function.definition, function.path
    schema = to_input_schema(definition.get("parameters"), f"{path}.parameters", plain=family.plain_schemas)
    spec: JsonObject = {"name": name, "inputSchema": {"json": schema}}
    if definition.get("description"):
        description = text_at(definition["description"], f"{path}.description")
        spec |= {"description": description} if description.strip() else {}
    if definition.get("strict") is True and family.strict_tools:
        spec["strict"] = True
    blocks = with_cache_point([{"toolSpec": spec}], definition, path)
    blocks = with_cache_point(blocks, function.tool, function.tool_path)
    return blocks if "tools" in family.cache_points else blocks[:1]


def _withdrawn(name: str) -> JsonObject:
    return {"toolSpec": {"name": name, "description": WITHDRAWN, "inputSchema": {"json": OPEN}}}


def _choice(choice: Any, path: str) -> tuple[str | None, Sequence[str] | None]:  # noqa: ANN401 - whatever a caller sent
    """auto, required, none or named; and the tools that it is about, if not all."""
    match choice:
        case None:
            return None, None
        case "auto" | "none":
            return str(choice), None
        case "required" if path == "tool_choice":
            return "required", None
        case {"type": "function", "function": {"name": str(name)}} if path == "tool_choice" and name:
            return "named", [name]
        case {"name": str(name)} if path == "function_call" and name:
            return "named", [name]
        case {"type": "allowed_tools", "allowed_tools": {"mode": "auto" | "required" as mode, "tools": [*tools]}}:
            return str(mode), [_name_of_allowed(tool, path) for tool in tools]
        case _:
            raise invalid_field(path, FORMS[path])


def _name_of_allowed(tool: Any, path: str) -> str:  # noqa: ANN401 - whatever a caller sent
    match tool:
        case {"type": "function", "function": {"name": str(name)}} | {"type": "function", "name": str(name)}:
            return name
        case _:
            raise invalid_field(path, "each of the allowed tools must be {type: function, function: {name}}.")


FORMS: Final = {
    "tool_choice": "must be auto, required, none, {type: function, function: {name}} or {type: allowed_tools, ...}.",
    "function_call": "must be auto, none or {name}.",
}
