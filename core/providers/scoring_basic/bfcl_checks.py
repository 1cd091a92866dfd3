"""Whether calls are those that were expected: the rules of the Berkeley Function Calling Leaderboard's check of syntax trees.

Types must be the very types of the description, so true is no whole number; texts are compared without case, blanks and most
punctuation; a text where another type is described may be the name of a variable. An empty text among the possible values of
an argument says that it may be left out. Source: https://gorilla.cs.berkeley.edu/blogs/8_berkeley_function_calling_leaderboard.html.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from pydantic import BaseModel, ConfigDict

from core.providers.scoring_basic.bfcl_calls import FunctionCall, SourceValue
from core.providers.scoring_basic.bfcl_types import Readers, convert
from core.providers.scoring_basic.columns import as_list, as_object

NESTING: Final = frozenset({"array", "tuple", "Array", "ArrayList"})
IGNORED: Final = str.maketrans({"'": '"'} | dict.fromkeys(" ,./-_*^"))


class ItemDescription(BaseModel):
    type: str = "any"


class ParameterDescription(BaseModel):
    type: str
    items: ItemDescription | None = None


class ParameterDescriptions(BaseModel):
    properties: dict[str, ParameterDescription] = {}
    required: list[str] = []


class FunctionDescription(BaseModel):
    """Of the functions that a model was told of; what is not compared is not read."""

    model_config = ConfigDict(frozen=True)

    name: str
    parameters: ParameterDescriptions


type Possible = Mapping[str, Mapping[str, Sequence[Any]]]
"""One expected call: the function's name, and for each argument the values that it may have."""


@dataclass(frozen=True, slots=True)
class CodeLanguage:
    """How calls are read, and what its types are; `readers` make values of SourceValues."""

    read: Callable[[str], list[FunctionCall]]
    types: Mapping[str, type]
    readers: Readers = field(default_factory=dict[str, Callable[[str], Any]])


def are_expected(
    calls: Sequence[FunctionCall],
    expected: Sequence[Possible],
    functions: Sequence[FunctionDescription],
    language: CodeLanguage,
) -> bool:
    """Every expected call is there once, in any order, and no other one."""
    if len(calls) != len(expected):
        return False
    described = {function.name: function for function in reversed(functions)}
    waiting = list(calls)
    for possible in expected:
        name, arguments = next(iter(possible.items()))
        function = described.get(name) or (functions[0] if len(functions) == 1 else None)
        match = next((call for call in waiting if function and _is_call(call, arguments, function, language)), None)
        if match is None:
            return False
        waiting.remove(match)
    return True


def _is_call(
    call: FunctionCall, possible: Mapping[str, Sequence[Any]], function: FunctionDescription, language: CodeLanguage
) -> bool:
    described = function.parameters
    if call.name != function.name or not all(name in call.arguments for name in described.required):
        return False
    if any(name not in call.arguments and "" not in values for name, values in possible.items()):
        return False
    return all(
        name in described.properties
        and name in possible
        and _fits(value, possible[name], described.properties[name], language)
        for name, value in call.arguments.items()
    )


def _fits(value: Any, possible: Sequence[Any], parameter: ParameterDescription, language: CodeLanguage) -> bool:  # noqa: ANN401 - any value
    kind = language.types.get(parameter.type)
    if kind is None:
        return False
    item = parameter.items if parameter.type in NESTING else None
    nested = None if item is None else language.types.get(item.type)
    value = _converted(value, parameter, language)
    if not _has_type(value, possible, kind, nested):
        return False
    if _is_variable(possible, kind):
        return value in possible
    check = _is_list_of_dictionaries if kind is list and nested is dict else CHECKS.get(kind, _is_among)
    return check(value, possible)


def _converted(value: object, parameter: ParameterDescription, language: CodeLanguage) -> Any:  # noqa: ANN401 - of the type
    if isinstance(value, SourceValue):
        item = parameter.items.type if parameter.items and parameter.type in NESTING else None
        return convert(value, parameter.type, item, language.readers)
    if parameter.type == "tuple" and isinstance(value, tuple):
        return list(cast("Sequence[Any]", value))
    if parameter.type in {"float", "number"} and type(value) is int and value.bit_length() <= 1_000:  # noqa: PLR2004 - that a float holds
        return float(value)
    return value


def _type_of(possible: Sequence[object]) -> type[object] | None:
    """Of the first value that is one; None where there is but the leave to leave it out."""
    return next((type(entry) for entry in possible if entry != ""), None)


def _is_variable(possible: Sequence[Any], kind: type) -> bool:
    return _type_of(possible) not in (None, kind)


def _has_type(value: Any, possible: Sequence[Any], kind: type, nested: type | None) -> bool:  # noqa: ANN401 - any value
    if type(value) is not kind:
        return type(value) is _type_of(possible)
    parts = as_list(value)
    if nested is None or parts is None:
        return True
    forms = [as_list(entry) for entry in possible]
    return any(form is None or all(_has_type(part, form, nested, None) for part in parts) for form in forms)


def _standard(value: object) -> object:
    """`April 1, 2024` is `april 1 2024`."""
    return value.translate(IGNORED).lower() if isinstance(value, str) else value


def _is_among(value: object, possible: Sequence[Any]) -> bool:
    return value in possible


def _is_text(value: object, possible: Sequence[Any]) -> bool:
    return _standard(value) in [_standard(entry) for entry in possible if isinstance(entry, str)]


def _is_list(value: list[Any], possible: Sequence[Any]) -> bool:
    """Only a list's own texts are compared without what makes no difference; "" stands for an empty list too."""
    forms = [[_standard(part) for part in entry] for entry in map(as_list, possible) if entry is not None]
    forms += [[]] if "" in possible else []
    return [_standard(part) for part in value] in forms


def _is_dictionary(value: Mapping[Any, Any], possible: Sequence[Any]) -> bool:
    return any(_has_entries(value, entry) for entry in map(as_object, possible) if entry is not None)


def _has_entries(value: Mapping[Any, Any], expected: Mapping[str, Any]) -> bool:
    """Each of the expected keys has the values that it may have."""
    if any(key not in value and "" not in _values(values) for key, values in expected.items()):
        return False
    return all(
        key in expected and _standard(part) in [_standard(entry) for entry in _values(expected[key])]
        for key, part in value.items()
    )


def _values(values: object) -> Sequence[Any]:
    several = as_list(values)
    return [values] if several is None else several


def _is_list_of_dictionaries(value: Sequence[Any], possible: Sequence[Any]) -> bool:
    forms = [form for form in map(as_list, possible) if form is not None and len(form) == len(value)]
    return any(all(map(_is_entry, value, form)) for form in forms)


def _is_entry(part: object, expected: object) -> bool:
    entries, values = as_object(part), as_object(expected)
    return entries is not None and values is not None and _has_entries(entries, values)


type Comparison = Callable[[Any, Sequence[Any]], bool]
CHECKS: Final[Mapping[type, Comparison]] = {
    str: _is_text,
    list: _is_list,
    dict: _is_dictionary,
}
