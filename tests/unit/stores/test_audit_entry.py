"""What of a change gets into the audit trail: no secret, and not too much."""

from dataclasses import replace
from functools import partial
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretBytes, SecretStr
import pytest

from core.config.user_fields import secret_fields
from core.frame.resources import Resource
from core.resolution.check import config_class
from core.resolution.provider_types import ProviderSpec, built_in
from core.services.configurations.overrides import ConfiguredProvider
from core.services.configurations.shown import show_changed
from core.stores.audit.entry import MOST_SIDE, Change, change_of, encode

SECRET = "hunter2-is-nobodys-business"
NAMED = st.sampled_from(["api_key", "Authorization", "x-api-token", "clientSecret", "password", "aws_access_key_id"])
PLAIN = st.sampled_from(["name", "args", "headers", "metadata", "url"])
MODEL = Resource("model", "m", "vllm", "m", {"metadata": {}})


def nest(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Something plain with `inner` in it."""
    return st.one_of(st.dictionaries(PLAIN, inner, min_size=1, max_size=2), st.lists(inner, min_size=1, max_size=2))


HIDDEN = st.one_of(
    st.dictionaries(NAMED, st.one_of(st.just(SECRET), st.just([SECRET]), st.just({"a": SECRET})), min_size=1),
    st.just(f"https://ada:{SECRET}@host/v1"),
    st.just(f"https://host/v1?api_key={SECRET}&x=1"),
    st.just(f"sk-{SECRET}"),
    st.just(f"Bearer {SECRET}"),
)


@given(attributes=st.dictionaries(PLAIN, st.recursive(HIDDEN, nest, max_leaves=8), min_size=1))
def test_no_secret_of_a_resource_is_in_its_entry(attributes: dict[str, Any]) -> None:
    resource = replace(MODEL, attributes=attributes)
    for change in (change_of(None, resource, None), change_of(resource, MODEL, None), change_of(resource, None, None)):
        assert SECRET not in encode(change).body


@pytest.mark.parametrize("kind", ["api_key"])
@pytest.mark.parametrize("field", ["salt", "hash", "previous"])
def test_what_a_keys_secret_could_be_guessed_against_is_left_out(kind: str, field: str) -> None:
    key = Resource(kind, "k", "llambda", "k", {"name": "ci", field: {"salt": SECRET}})
    assert json.loads(encode(change_of(None, key, None)).body)["after"] == {
        "provider_id": "llambda",
        "provider_resource_id": "k",
        "owner": None,
        "name": "ci",
    }


def secret_paths(config: type[BaseModel]) -> list[tuple[str, ...]]:
    """Of every field that is a secret's, also within records that a field is of."""
    paths: list[tuple[str, ...]] = [(name,) for name in sorted(secret_fields(config))]
    for name, field in config.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            paths += [(name, *path) for path in secret_paths(field.annotation)]
    return paths


def with_secret(config: type[BaseModel], path: tuple[str, ...]) -> BaseModel:
    """A config whose other fields nobody has looked at."""
    name, *rest = path
    field = config.model_fields[name]
    if rest:
        inner: Any = field.annotation
        values: dict[str, Any] = {name: with_secret(inner, tuple(rest))}
        return config.model_construct(**values)
    kind: Any = SecretBytes if "SecretBytes" in str(field.annotation) else SecretStr
    secret: dict[str, Any] = {name: kind(SECRET.encode() if kind is SecretBytes else SECRET)}
    return config.model_construct(**secret)


def nested(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    for name in reversed(path):
        value = {name: value}
    whole: dict[str, Any] = value
    return whole


@pytest.mark.parametrize("spec", built_in().values(), ids=lambda spec: f"{spec.api} {spec.provider_type}")
def test_no_secret_field_of_a_providers_config_is_in_the_entry_of_a_configuration(spec: ProviderSpec) -> None:
    config = config_class(spec)
    for path in secret_paths(config):
        override = {"provider_type": spec.provider_type, "config": nested(path, SECRET), "registered": True}
        overlay = {spec.api: {"p": override}}
        known = ConfiguredProvider(spec.api, "p", spec.provider_type, with_secret(config, path), registered=True)
        for providers in ((known,), ()):  # of a type that this build has no more nothing is known
            shown = show_changed(overlay, {}, providers)
            assert path[0] in shown[spec.api][0]["config"]
            assert SECRET not in encode(Change(None, "create", "configuration::1", None, shown)).body


def test_what_is_too_large_is_kept_as_its_digest() -> None:
    entry = partial(Change, None, "create", "model::m", None)
    exact = {"a": "x" * (MOST_SIDE - len('{"a":""}'))}
    assert json.loads(encode(entry(exact)).body)["after"] == exact
    over = json.loads(encode(entry({"a": exact["a"] + "x"})).body)["after"]
    assert over == {
        "digest": "sha256:ed3d39ae07bc88560af7f5c30fed044a984967fc0071c8a8f0996b42b9b037b3",
        "bytes": MOST_SIDE + 1,
    }


def test_ids_are_in_the_order_of_time_and_never_the_same() -> None:
    ids = [encode(Change(None, "create", "model::m", None, {}, at)).id for at in (0.001, 1.0, 1.0, 1.7e9, 9.9e9)]
    assert len(set(ids)) == 5
    assert [entry_id[:13] for entry_id in ids] == sorted(entry_id[:13] for entry_id in ids)
    assert ids[0].startswith("0000000000001-")


def test_a_key_in_a_long_text_is_masked() -> None:
    key = f"sk-{'a1' * 20}"
    body = encode(Change(None, "create", "scoring_function::f", None, {"prompt": f"{'word ' * 10_000}use {key}"})).body
    assert key not in body
    assert "word word" in body
