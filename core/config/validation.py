"""Pydantic's verdict in the words of a run config: our paths, plain messages, no secrets."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
import types
from typing import Annotated, Any, Final, TypeAliasType, Union, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from core.config.places import Places, Value, join, steps
from core.config.problems import Problem
from core.config.redact import names_secret, redact_text
from core.frame.forms import MESSAGES, OTHER
from core.platform.suggestions import did_you_mean

PHRASES: Final = {
    "missing": "is required",
    "union_tag_not_found": "is required",
    "union_tag_invalid": "`{tag}` is not served here; use {expected_tags}",
    "value_error": "{error}",
    "literal_error": "must be {expected}",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "finite_number": "must be a finite number",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "must be an integer"),
    **dict.fromkeys(("float_type", "float_parsing"), "must be a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "must be true or false"),
    **dict.fromkeys(("list_type", "tuple_type"), "must be a list"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "must be a mapping"),
    "string_type": "must be text",
}
NOT_ECHOED: Final = ("config", "auth")
LONGEST_ECHO: Final = 60
MOST_FAULTS: Final = 200  # that are told at once

type Keys = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Checked[M: BaseModel]:
    """The record, or None and the problems; `values` is what was validated, with numbers that had to be text as text."""

    record: M | None
    values: Value
    problems: list[Problem]


@dataclass(frozen=True, slots=True)
class _Fault:
    """One of pydantic's errors; `keys` lead to the `value` as it was given, without the tags of unions."""

    error: ErrorDetails
    keys: Keys
    value: Value

    def message(self, model: type[BaseModel]) -> str:
        if self.error["type"] == "extra_forbidden":
            key = str(self.keys[-1])
            return f"unknown key `{key}`{did_you_mean(key, _known_keys(model, self.error['loc'][:-1]))}"
        if self.error["type"] == "string_pattern_mismatch":
            return MESSAGES.get(self.error["ctx"]["pattern"], OTHER) if "ctx" in self.error else OTHER
        phrase = PHRASES.get(self.error["type"])
        if phrase is None:
            return self.error["msg"].replace("Input should be", "must be", 1)
        facts = self.error.get("ctx", {})
        if "expected_tags" in facts:
            facts = {**facts, "expected_tags": facts["expected_tags"].replace("'", "").replace(", ", " or ")}
        return phrase.format_map(facts)


def check[M: BaseModel](
    model: type[M], values: Value, path: str, places: Places, context: Mapping[str, str] | None = None
) -> Checked[M]:
    """Validate what stands at `path` of the normalised document; the problems name the places as written.

    Where a field of type text met a number or a boolean that the environment gave, it gets what the environment said.
    """
    try:
        return Checked(model.model_validate(values, context=context), values, [])
    except ValidationError as invalid:
        faults = [_fault(error, values) for error in invalid.errors(include_url=False)[:MOST_FAULTS]]
    restored = values
    for fault in faults:
        text = places.texts.get(places.source_path(_path(path, fault.keys)))
        if fault.error["type"] == "string_type" and text is not None:
            restored = _replace(restored, fault.keys, text)
    if restored is not values:
        return check(model, restored, path, places, context)
    return Checked(None, values, _problems(model, faults, path, places))


def _problems(model: type[BaseModel], faults: Sequence[_Fault], path: str, places: Places) -> list[Problem]:
    grouped: dict[str, list[_Fault]] = {}
    for fault in faults:
        grouped.setdefault(places.source_path(_path(path, fault.keys)), []).append(fault)
    return [Problem(place, _sentence(model, group, place)) for place, group in grouped.items()]


def _sentence(model: type[BaseModel], faults: Sequence[_Fault], place: str) -> str:
    """One message for all that pydantic says of one place: a union complains once for every member."""
    messages = list(dict.fromkeys(fault.message(model) for fault in faults))
    alternatives = [message.removeprefix("must be ") for message in messages if message.startswith("must be ")]
    text = f"must be {' or '.join(alternatives)}" if len(alternatives) == len(messages) else "; ".join(messages)
    if text.startswith("must ") and not _is_private(place):
        return f"{text}, got {_show(faults[0].value)}"
    return text


def _is_private(place: str) -> bool:
    return any(step in NOT_ECHOED or names_secret(step) for step in steps(place))


def _show(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = repr(redact_text(value) if isinstance(value, str) else value)
    return text if len(text) <= LONGEST_ECHO else text[:LONGEST_ECHO] + "…"


def _fault(error: ErrorDetails, values: Value) -> _Fault:
    """Follow the error's location through the values; what is not in them is the tag of a union."""
    keys: list[str | int] = []
    here = values
    for part in error["loc"]:
        if isinstance(here, Mapping) and part in here:
            here = cast("Mapping[str | int, Any]", here)[part]
            keys.append(part)
        elif isinstance(here, list | tuple) and isinstance(part, int):
            here = cast("Sequence[Any]", here)[part]
            keys.append(part)
    if error["type"] == "missing":
        keys.append(error["loc"][-1])
    if error["type"].startswith("union_tag"):
        keys.append(error.get("ctx", {})["discriminator"].strip("'"))
    return _Fault(error, tuple(keys), here)


def _path(path: str, keys: Keys) -> str:
    for key in keys:
        path = join(path, key)
    return path


def _replace(values: Value, keys: Keys, new: str) -> Value:
    """A copy of `values`, along the way to `keys` only, with the new value there."""
    if not keys:
        return new
    copy: Value = dict(cast("Mapping[str, Any]", values)) if isinstance(values, Mapping) else list(values)
    copy[keys[0]] = _replace(copy[keys[0]], keys[1:], new)
    return copy


def _known_keys(model: type[BaseModel], loc: Sequence[str | int]) -> set[str]:
    """The fields of the model, or models, that the location leads to."""
    models = [model]
    for part in loc:
        fields = [one.model_fields[part] for one in models if isinstance(part, str) and part in one.model_fields]
        models = [inner for field in fields for inner in _models_in(field.annotation)] or models
    return {name for one in models for name in one.model_fields}


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, TypeAliasType):
        yield from _models_in(annotation.__value__)
    elif isinstance(annotation, type) and get_origin(annotation) is None and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) is Annotated:
        yield from _models_in(get_args(annotation)[0])
    elif get_origin(annotation) in {Union, types.UnionType, dict, tuple, list}:
        for part in get_args(annotation):
            yield from _models_in(part)
