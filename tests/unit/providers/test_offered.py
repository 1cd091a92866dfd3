"""What listings say of a model beside its name."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.apis.inference import ServedModel
from core.providers.openai.offered import CONTEXT, offered_model, offered_profile

SERVED = ServedModel(id="m", model_type="llm", metadata={})
PLAIN = {"id": "m", "model_type": "llm"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(CONTEXT), inner),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("entry", "more"),
    [
        ({"max_model_len": 8192, "parent": None, "root": "meta/m"}, {"context_length": 8192}),
        ({"max_model_len": None, "parent": "base", "root": "/lora"}, {"adapter_of": "base"}),
        ({"meta": {"n_ctx": 2048, "n_ctx_train": 8192}}, {"context_length": 2048}),
        ({"context_window": 131072}, {"context_length": 131072}),
        ({"context_length": 4096}, {"context_length": 4096}),
        ({}, {}),
        ({"max_model_len": "8192", "context_window": 0, "context_length": True, "parent": 7, "meta": [1]}, {}),
    ],
)
def test_a_models_context_and_base_are_taken_from_whichever_words_the_listing_has(
    entry: dict[str, Any], more: dict[str, Any]
) -> None:
    assert offered_model(SERVED, entry) == PLAIN | more


@given(st.dictionaries(st.sampled_from([*CONTEXT, "meta", "parent"]), JSON))
def test_whatever_a_listing_says_gives_a_model(entry: dict[str, Any]) -> None:
    model = offered_model(SERVED, entry)
    assert model.get("context_length", 1) > 0
    assert model.get("adapter_of", "base")
    assert model.items() >= PLAIN.items()


def test_a_profile_says_which_model_it_is_of() -> None:
    assert offered_profile(SERVED) == PLAIN
    assert offered_profile(ServedModel(id="eu.m", model_type="llm", metadata={"model_id": "m"})) == {
        "id": "eu.m",
        "model_type": "llm",
        "profile_of": "m",
    }
