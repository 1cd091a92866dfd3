"""Rows become lines: names in strings become the columns of the row, whatever the row brings, and nothing else changes."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.services.batches.job.template import ColumnMissing, LineTooLong, Template

MOST = 1000

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(), json_values, max_size=4)
texts = st.text(st.sampled_from("{} aq\n"), max_size=30)


def fill(text: str, **row: Any) -> Any:
    return Template({"body": text}).fill(row, MOST)["body"]


@pytest.mark.parametrize(
    ("text", "row", "line"),
    [
        ("Say {{word}}!", {"word": "hi"}, "Say hi!"),
        ("{{ word }}", {"word": "hi"}, "hi"),
        ("{{a}}{{b}}", {"a": 1, "b": "x"}, "1x"),
        ("{{messages}}", {"messages": [{"role": "user"}]}, [{"role": "user"}]),
        ("{{n}}", {"n": 2.5}, 2.5),
        ("{{n}}", {"n": None}, None),
        ("is {{n}}", {"n": None}, "is null"),
        ("{{list}} of", {"list": [1, "ü"]}, '[1, "ü"] of'),
        ("{{{{word}}", {"word": "hi"}, "{{word}}"),
        ("a { b } {{c", {}, "a { b } {{c"),
        ("{{{}}}", {}, "{{{}}}"),
        ("{{two words}}", {"two words": "x"}, "x"),
        ("{{a}}", {"a": "{{b}}", "b": "no"}, "{{b}}"),
        ("<{{a}}>", {"a": "{{{{b}}}}", "b": "no"}, "<{{{{b}}}}>"),
    ],
)
def test_a_name_in_a_string_is_the_column(text: str, row: dict[str, Any], line: object) -> None:
    assert fill(text, **row) == line


def test_keys_and_what_is_no_string_stay() -> None:
    template: dict[str, Any] = {"body": {"{{a}}": ["{{a}}", 1, None, {"x": True}]}}
    assert Template(template).fill({"a": "z"}, MOST) == {"body": {"{{a}}": ["z", 1, None, {"x": True}]}}


def test_a_column_that_a_row_has_not_is_named() -> None:
    with pytest.raises(ColumnMissing) as missing:
        fill("{{question}} {{answer}}", question="q")
    assert missing.value.name == "answer"
    assert Template({"body": ["{{a}} {{b}}", "{{a}}"]}).columns == {"a", "b"}


def test_what_would_be_too_long_is_not_made() -> None:
    with pytest.raises(LineTooLong) as failure:
        Template({"body": "{{a}}" * 100}).fill({"a": "x" * 100}, 9999)
    assert failure.value.size == 10_000
    assert Template({"body": "{{a}}" * 100}).fill({"a": "x" * 100}, 10_000)["body"] == "x" * 10_000


@given(objects, objects)
def test_a_template_without_names_is_its_own_line(template: dict[str, Any], row: dict[str, Any]) -> None:
    plain = json.loads(json.dumps(template).replace("{{", "[["))
    assert Template(plain).fill(row, MOST * MOST) == plain


@given(json_values, st.text(min_size=1).filter(lambda name: name == name.strip() and not set("{}") & set(name)))
def test_any_value_of_any_column_comes_through_unchanged(value: object, name: str) -> None:
    line = Template({"body": [f"{{{{{name}}}}}"]}).fill({name: value}, MOST * MOST)
    assert line == {"body": [value]}


@given(texts, texts)
def test_braces_of_any_kind_raise_nothing_but_a_missing_column(text: str, value: str) -> None:
    try:
        line = fill(text, a=value, q=value)
    except ColumnMissing:
        return
    assert line == value or isinstance(line, str)
    if "{{" not in text:
        assert line == text
