"""How a configuration is written down: whole, for older and newer versions of us, and never too large for a store."""

from dataclasses import replace
import json

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.apis.configurations import Configuration
from core.errors import InvalidRequest
from core.stores.configurations.codec import MOST_VERSION, decode, encode, is_possible, not_found
from core.stores.registry.codec import MOST_BODY

OVERLAY = {"inference": {"vllm": {"provider_type": "remote::vllm", "config": {"url": None}, "registered": False}}}
FIRST = Configuration(1, OVERLAY, created=7, owner={"principal": "ada", "attributes": {}}, note="registered")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(overlay=st.dictionaries(st.text(), VALUES), version=st.integers(1, MOST_VERSION), note=st.text())
def test_whatever_json_has_comes_back_as_it_was(overlay: dict[str, object], version: int, note: str) -> None:
    row = Configuration(version, overlay, note=note)
    assert decode(encode(row)) == row
    assert encode(row).isascii()


def test_every_field_is_kept() -> None:
    assert decode(encode(FIRST)) == FIRST
    assert decode(encode(replace(FIRST, owner=None))).owner is None


def test_fields_of_another_version_of_us_do_not_matter() -> None:
    written = json.loads(encode(FIRST)) | {"colour": "red"}
    written["attributes"]["colour"] = "red"
    assert decode(json.dumps(written)) == FIRST
    del written["attributes"]["note"], written["owner"]
    assert decode(json.dumps(written)) == replace(FIRST, note="", owner=None)


def test_what_no_store_takes_is_refused_by_its_version() -> None:
    for config in ({"x": "y" * MOST_BODY}, {"x": float("nan")}):
        with pytest.raises(InvalidRequest, match="Configuration `1` "):
            encode(replace(FIRST, overlay=config))


@pytest.mark.parametrize(
    ("version", "is_one"),
    [(1, True), (MOST_VERSION, True), (0, False), (-1, False), (MOST_VERSION + 1, False), (10**40, False)],
)
def test_versions_are_whole_numbers_from_one(version: int, *, is_one: bool) -> None:
    assert is_possible(version) is is_one


def test_what_is_missing_says_where_to_look() -> None:
    assert str(not_found(7)) == "There is no configuration `7`. GET /v1/configurations lists those that exist."
