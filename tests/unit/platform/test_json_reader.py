"""What is read from outside is JSON that can be sent on as UTF-8, or it is a ValueError."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.platform.json_reader import read_json, read_object

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=8,
)
NO_JSON = [
    "",
    b"",
    " ",
    "{",
    "{} {}",
    "{'a': 1}",
    "NaN",
    '{"a": Infinity}',
    '{"a": -Infinity}',
    b'{"a": "\xff"}',
    '{"a": "\\ud800"}',
    '{"a": "\ud800"}',
    "[" * 3000 + "]" * 3000,
]


@given(JSON, st.booleans())
def test_what_json_writes_is_read_from_text_and_from_bytes(value: Any, ascii_only: bool) -> None:  # noqa: FBT001
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert read_json(text) == read_json(text.encode()) == value


@pytest.mark.parametrize("content", NO_JSON, ids=range(len(NO_JSON)))
def test_all_else_is_one_kind_of_failure(content: str | bytes) -> None:
    for read in (read_json, read_object):
        with pytest.raises(ValueError, match=r".") as failure:
            read(content)
        assert not isinstance(failure.value, RecursionError)


@pytest.mark.parametrize("content", ["[]", "null", "1", '"text"', b"true"])
def test_only_an_object_is_an_object(content: str | bytes) -> None:
    with pytest.raises(ValueError, match="not a JSON object"):
        read_object(content)


def test_of_members_that_repeat_the_last_counts() -> None:
    assert read_object('{"a": 1, "a": 2}') == {"a": 2}


def test_nan_is_read_where_it_is_asked_for() -> None:
    assert read_object('{"a": -Infinity}', allow_nan=True) == {"a": float("-inf")}
