"""Arguments are held against a tool's schema: as JSON Schema has it in what is known, in bounded time, and in words for people."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
import pytest

from core.errors import InvalidRequest
from core.services.tools import arguments
from core.services.tools.arguments import MOST_BYTES, check_arguments

SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text("ab", max_size=3)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
TYPES = st.sampled_from(["string", "number", "integer", "boolean", "object", "array", "null"])
WHOLE = st.integers(0, 3)


def schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(
        {},
        optional={
            "type": TYPES | st.lists(TYPES, min_size=1, max_size=3, unique=True),
            "enum": st.lists(SCALARS, min_size=1, max_size=3),
            "properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
            "required": st.lists(st.sampled_from("abc"), max_size=2, unique=True),
            "additionalProperties": st.booleans() | inner,
            "items": inner,
            "prefixItems": st.lists(inner, min_size=1, max_size=2),
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "allOf": st.lists(inner, min_size=1, max_size=2),
            "$ref": st.sampled_from(["#/$defs/x", "#"]),
            "minLength": WHOLE,
            "maxLength": WHOLE,
            "minItems": WHOLE,
            "maxItems": WHOLE,
            "minProperties": WHOLE,
            "maxProperties": WHOLE,
            "minimum": WHOLE,
            "maximum": WHOLE,
            "exclusiveMinimum": WHOLE,
            "exclusiveMaximum": WHOLE,
        },
    )


@given(schemas(st.recursive(st.booleans(), schemas, max_leaves=5)), st.booleans(), VALUES)
def test_what_fits_is_what_json_schema_says(schema: dict[str, Any], referred: Any, value: Any) -> None:
    if "$ref" in str(schema) and "'#'" in str(schema):  # a schema within itself, which the other never leaves
        return
    whole = {"$defs": {"x": referred}, "properties": {"v": schema}}
    try:
        check_arguments("t", whole, {"v": value})
        fits = True
    except InvalidRequest:
        fits = False
    assert fits == Draft202012Validator(whole).is_valid({"v": value})


PLACE = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 5},
        "days": {"type": "integer", "minimum": 1},
        "unit": {"enum": ["c", "f"]},
        "at": {"anyOf": [{"type": "object", "properties": {"lat": {"type": "number"}}}, {"type": "null"}]},
        "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}},
    },
    "required": ["city"],
    "additionalProperties": False,
    "$defs": {"tag": {"type": ["string", "null"]}},
}


@pytest.mark.parametrize(
    ("given_arguments", "path", "words"),
    [
        ({}, "arguments.city", "The argument `city` of tool `t` is required: a string."),
        ({"city": 1}, "arguments.city", "The argument `city` of tool `t` must be a string, not a number."),
        ({"city": "x", "days": True}, "arguments.days", "`days` of tool `t` must be a whole number, not true."),
        ({"city": "x", "days": 0}, "arguments.days", "must be at least 1."),
        ({"city": "toolong"}, "arguments.city", "must have at most 5 characters."),
        ({"city": "x", "unit": "k"}, "arguments.unit", 'must be "c" or "f".'),
        ({"city": "x", "at": {"lat": "n"}}, "arguments.at.lat", "`at.lat` of tool `t` must be a number, not a string."),
        ({"city": "x", "at": 3}, "arguments.at", "must be an object, not a number or must be null, not a number."),
        ({"city": "x", "tags": ["a", 2]}, "arguments.tags[1]", "must be a string or null, not a number."),
        (
            {"city": "x", "town": 1},
            "arguments.town",
            "is not known: there are `city`, `days`, `unit`, `at` and `tags`.",
        ),
    ],
)
def test_a_refusal_names_the_path_what_is_wanted_and_the_tool(
    given_arguments: dict[str, Any], path: str, words: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_arguments("t", PLACE, given_arguments)
    assert words in refused.value.message
    assert refused.value.param == path


@pytest.mark.parametrize(
    "schema",
    [
        None,
        [],
        {"type": "nonsense"},
        {"properties": 3, "required": "x", "enum": 1, "allOf": 1, "anyOf": {}, "minLength": "9"},
        {
            "properties": {"a": {"pattern": "(a+)+$"}},
            "patternProperties": {"(a+)+$": False},
            "additionalProperties": False,
        },
        {"$ref": "https://elsewhere.example/schema.json"},
        {"$ref": "#/nowhere/~1"},
        {"$defs": {"x": {"allOf": [{"$ref": "#/$defs/x"}] * 9}}, "$ref": "#/$defs/x"},
    ],
)
def test_what_is_not_known_passes_and_nothing_runs_on(schema: Any) -> None:
    check_arguments("t", schema, {"a": "a" * 40})


def test_steps_are_bounded() -> None:
    walk_on = {"a": [1] * (arguments.MOST_STEPS * 4)}
    schema = {"properties": {"a": {"items": {"type": "integer"}}}}
    check_arguments("t", schema, walk_on)


def test_a_megabyte_is_the_most() -> None:
    whole = {"a": "x" * (MOST_BYTES - len('{"a":""}'))}
    check_arguments("t", {}, whole)
    with pytest.raises(InvalidRequest, match=r"have 1,048,577 bytes as JSON, and may have 1,048,576"):
        check_arguments("t", {}, {"a": whole["a"] + "x"})
    with pytest.raises(InvalidRequest, match="are no JSON"):
        check_arguments("t", {}, {"a": "\ud800"})
