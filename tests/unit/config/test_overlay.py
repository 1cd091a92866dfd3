"""Overlays are merged as RFC 7396 says and laid over a run config that they never change."""

from copy import deepcopy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.config.load import interpret
from core.config.overlay import VIEW_KEYS, apply_overlay, merge_patch, parse_overlay_request, with_override

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)
OBJECT = st.dictionaries(st.text(max_size=2), JSON, max_size=3)

# RFC 7396, appendix A: those whose target and patch are objects.
RFC: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("target", "patch", "result"), RFC)
def test_a_patch_is_merged_as_the_rfc_says(target: Any, patch: Any, result: Any) -> None:
    assert merge_patch(target, patch) == result


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(each) for key, each in value.items() if each is not None}
    return value


@given(OBJECT, OBJECT)
def test_a_patch_merged_twice_is_as_merged_once_and_changes_no_argument(target: Any, patch: Any) -> None:
    before = deepcopy((target, patch))
    once = merge_patch(target, patch)
    assert merge_patch(once, patch) == once
    assert (target, patch) == before


@given(OBJECT)
def test_a_patch_onto_nothing_is_itself_without_its_nulls(patch: Any) -> None:
    assert merge_patch({}, patch) == without_nulls(patch)


@given(JSON)
def test_whatever_is_sent_is_read_or_refused(value: Any) -> None:
    found = parse_overlay_request(value)
    asked = value.get("providers", value) if isinstance(value, dict) else None
    if not isinstance(asked, dict):
        assert found.problems
    else:
        entries = [each for key, each in asked.items() if key not in VIEW_KEYS or "providers" in value]
        count = sum(len(each) if isinstance(each, list) else 1 for each in entries)
        assert len(found.changes) <= count <= len(found.changes) + len(found.problems)


DOCUMENT: dict[str, Any] = {
    "image_name": "t",
    "providers": {
        "inference": [
            {"provider_id": "a", "provider_type": "remote::vllm", "config": {"url": "${env.URL}", "max_tokens": 5}},
            {"provider_id": "b", "provider_type": "remote::vllm"},
        ]
    },
    "metadata_store": {"type": "sqlite", "db_path": "/x"},
}


def override(config: dict[str, Any], *, registered: bool = False, kind: str = "remote::vllm") -> dict[str, Any]:
    return {"provider_type": kind, "config": config, "registered": registered}


def test_an_override_replaces_field_by_field_and_what_is_registered_comes_last() -> None:
    loaded = interpret(DOCUMENT, {"URL": "http://one"})
    before = deepcopy(loaded.document)
    merged = apply_overlay(
        loaded, {"inference": {"a": override({"max_tokens": 6}), "c": override({"url": "u"}, registered=True)}}
    )
    assert merged.config is not None
    entries = merged.config.providers["inference"]
    assert [entry.provider_id for entry in entries] == ["a", "b", "c"]
    assert entries[0].config == {"url": "http://one", "max_tokens": 6}
    assert entries[2].config == {"url": "u"}
    assert loaded.document == before
    assert merged.places.source_path("providers.inference[2].config.url") == "providers.inference.c.config.url"


@pytest.mark.parametrize(
    ("overlay", "said"),
    [
        ({"inference": {"z": override({"max_tokens": 6})}}, "no such provider any more"),
        ({"inference": {"a": override({}, registered=True)}}, "has a provider of this id now"),
        ({"inference": {"a": override({"x": 1}, kind="remote::tgi")}}, "is of type remote::vllm now"),
    ],
)
def test_an_overlay_that_does_not_fit_any_more_says_why(overlay: Any, said: str) -> None:
    merged = apply_overlay(interpret(DOCUMENT, {"URL": "http://one"}), overlay)
    assert merged.config is None
    assert [said in problem.message for problem in merged.problems] == [True]


def test_an_override_of_nothing_is_none() -> None:
    overlay = with_override({}, "inference", "a", override({"x": 1}))
    assert with_override(overlay, "inference", "a", override({})) == {}
    assert with_override(overlay, "inference", "a", override({}, registered=True)) != {}
    assert overlay == {"inference": {"a": override({"x": 1})}}
