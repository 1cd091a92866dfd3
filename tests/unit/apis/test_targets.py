"""What a model's targets may say is settled when it is registered: whoever reads them later need not ask."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
import pytest

from core.apis.models import RegisterModel
from core.apis.targets import MOST_TARGETS
from core.frame.resources import Resource
from core.routing.targets import order_targets, targets_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = ("provider_id", "provider_model_id", "priority", "weight", "timeout")


def entry(**more: Any) -> dict[str, Any]:
    return {"provider_id": "b", "provider_model_id": "m", **more}


def register(targets: Any, **more: Any) -> RegisterModel:
    return RegisterModel.model_validate({"model_id": "mine", "metadata": {"targets": targets}, **more})


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (None, "a list of at most 8 mappings"),
        ({}, "a list of at most 8 mappings"),
        ([entry(provider_id=str(i)) for i in range(MOST_TARGETS + 1)], "a list of at most 8 mappings"),
        (["b/m"], r"targets\[0\] in the metadata must be a mapping"),
        ([entry(), entry(provider_model_id="n", wait=1)], r"targets\[1\] in the metadata: unknown key `wait`; known: "),
        ([{"provider_id": "b"}], "provider_model_id is required"),
        ([{"provider_model_id": "m"}], "provider_id is required"),
        ([entry(provider_id="")], "provider_id must be the id of a provider"),
        ([entry(provider_model_id="x" * 513)], "provider_model_id must be the provider's own name"),
        ([entry(), entry(weight=2)], r"targets\[1\] in the metadata names a provider and a model that an earlier"),
        *[([entry(priority=value)], "lower ones are tried first") for value in (-1, 1.5, True, "1", None)],
        *[([entry(weight=value)], "a number above 0") for value in (0, -1, 1e7, True, "1", float("nan"), None)],
        *[
            ([entry(timeout=value)], "at most 900")
            for value in (0, 0.999, float("nan"), 900.1, float("inf"), True, "1", None)
        ],
    ],
)
def test_a_list_of_targets_that_is_wrong_is_refused_with_what_is_wrong(targets: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        register(targets)


@pytest.mark.parametrize(
    "targets",
    [
        [],
        [entry()],
        [entry(), entry(provider_id="c"), entry(provider_model_id="n")],
        [entry(priority=0, weight=0.5, timeout=900)],
        [entry(priority=10**30, weight=1_000_000, timeout=1)],
        [entry(provider_id=str(i)) for i in range(MOST_TARGETS)],
    ],
)
def test_a_list_of_targets_that_is_right_is_kept_as_it_is(targets: Any) -> None:
    assert register(targets).metadata == {"targets": targets}


def test_a_model_with_targets_has_an_id_that_is_not_its_providers_own_name_for_it() -> None:
    with pytest.raises(ValidationError, match="an id of its own"):
        register([entry()], model_id="a/m", provider_id="a", provider_model_id="m")
    register([], model_id="a/m", provider_id="a", provider_model_id="m")
    register([entry()], model_id="a/m", provider_id="b", provider_model_id="m")


@given(st.lists(st.dictionaries(st.sampled_from(FIELDS), JSON) | st.dictionaries(st.text(), JSON) | JSON) | JSON)
def test_what_is_not_refused_can_be_read_and_ordered(targets: Any) -> None:
    try:
        metadata = register(targets).metadata
    except ValidationError:
        return
    found = targets_of(Resource("model", "mine", "a", "m", {"metadata": metadata}))
    assert len(order_targets(found, lambda: 0.5)) == len(found) <= MOST_TARGETS + 1
