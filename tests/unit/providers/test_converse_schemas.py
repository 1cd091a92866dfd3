"""A function's parameters as a schema with an object at its top."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.providers.bedrock.converse.schemas import PLAIN, to_input_schema

NUMBER: JsonObject = {"type": "integer"}
TREE: JsonObject = {"type": "object", "properties": {"left": {"$ref": "#/$defs/Tree"}}}


def schema(parameters: object, *, plain: bool = False) -> JsonObject:
    return to_input_schema(parameters, "p", plain=plain)


@pytest.mark.parametrize("parameters", [None, {}, {"type": "object"}, {"type": ["object", "null"]}])
def test_no_parameters_are_an_object_without_any(parameters: object) -> None:
    assert schema(parameters) == {"type": "object", "properties": {}}


def test_properties_without_a_type_are_an_objects() -> None:
    given = {"properties": {"a": NUMBER}, "additionalProperties": False}
    assert schema(given) == {"type": "object", **given}


def test_a_schema_of_an_object_stays_as_it_is() -> None:
    given = {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": NUMBER}}
    assert schema(given) == given


@pytest.mark.parametrize("parameters", [{"type": "string"}, {"type": ["string", "null"]}, {"type": 1}, [], "{}"])
def test_a_schema_of_anything_else_is_refused(parameters: object) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        schema(parameters)
    assert refusal.value.param == "p"


def test_a_reference_at_the_top_is_what_it_means() -> None:
    target = {"type": "object", "properties": {"a": NUMBER}, "required": ["a"]}
    assert schema({"$ref": "#/$defs/A", "$defs": {"A": target}}) == {**target, "$defs": {"A": target}}


def test_all_of_several_are_one() -> None:
    one, other = {"properties": {"a": NUMBER}, "required": ["a"]}, {"properties": {"b": {}}, "required": ["b"]}
    assert schema({"allOf": [one, other]}) == {
        "type": "object",
        "properties": {"b": {}, "a": NUMBER},
        "required": ["a", "b"],
    }


@pytest.mark.parametrize("name", ["anyOf", "oneOf"])
def test_alternatives_take_what_each_takes_and_require_what_all_do(name: str) -> None:
    one = {"type": "object", "properties": {"kind": {}, "a": NUMBER}, "required": ["kind", "a"]}
    other = {"type": "object", "properties": {"kind": {}, "b": {}}, "required": ["kind"]}
    wide = schema({"type": "object", name: [one, {"$ref": "#/$defs/B"}], "$defs": {"B": other}})
    assert name not in wide
    assert set(wide["properties"]) == {"kind", "a", "b"}
    assert wide["required"] == ["kind"]


def test_a_plain_schema_has_no_references_and_little_at_its_top() -> None:
    given = {
        "type": "object",
        "title": "T",
        "properties": {"a": {"$ref": "#/$defs/A", "description": "d"}, "tree": {"$ref": "#/$defs/Tree"}},
        "required": ["a"],
        "$defs": {"A": NUMBER, "Tree": TREE},
    }
    assert schema(given, plain=True) == {
        "type": "object",
        "properties": {
            "a": {"type": "integer", "description": "d"},
            "tree": {"type": "object", "properties": {"left": {}}},
        },
        "required": ["a"],
    }


def test_references_that_multiply_end() -> None:
    steps = {f"D{n}": {"properties": {key: {"$ref": f"#/$defs/D{n + 1}"} for key in "ab"}} for n in range(40)}
    assert size({"properties": {"a": {"$ref": "#/$defs/D0"}}, "$defs": steps}) < 500_000
    assert (
        size(
            {"properties": {f"p{n}": {"$ref": "#/$defs/D"} for n in range(999)}, "$defs": {"D": {"title": "x" * 9999}}}
        )
        < 500_000
    )
    assert size({"$ref": "#/$defs/D", "$defs": {"D": {"$ref": "#/$defs/D"}}}) < 100
    chain = {f"D{n}": {"properties": {"a": {"$ref": f"#/$defs/D{n + 1}"}}} for n in range(999)}
    assert size({"properties": {"a": {"$ref": "#/$defs/D0"}}, "$defs": chain}) < 100_000
    branches = {f"D{n}": {"anyOf": [{"$ref": f"#/$defs/D{n + 1}"}] * 50} for n in range(40)}
    assert size({"anyOf": [{"$ref": "#/$defs/D0"}] * 50, "$defs": branches}) < 500_000


def size(parameters: JsonObject) -> int:
    return len(json.dumps(schema(parameters, plain=True)))


WORDS = ["$ref", "$defs", "allOf", "anyOf", "oneOf", "properties", "required", "type", "object", "#/$defs/A", "A", "#/"]
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers() | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=5),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(WORDS), JSON, max_size=6), st.booleans())
def test_any_schema_is_refused_or_an_object_at_the_top(parameters: JsonObject, plain: bool) -> None:  # noqa: FBT001
    before = json.dumps(parameters)
    try:
        result = schema(parameters, plain=plain)
    except InvalidRequest:
        return
    finally:
        assert json.dumps(parameters) == before
    assert result["type"] == "object"
    assert not {"$ref", "allOf", "anyOf", "oneOf"} & result.keys()
    assert not plain or result.keys() <= PLAIN
