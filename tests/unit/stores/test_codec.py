"""What is written down can be read by older and newer versions."""

from dataclasses import replace
import json

from core.frame.resources import Resource
from core.stores.registry.codec import MOST_BODY, PROBE, decode, encode, is_noted

LLAMA = Resource("model", "llama", "vllm", "llama-3", {"metadata": {}}, created=7, owner={"principal": "ada"})


def test_every_field_is_kept() -> None:
    assert decode(encode(LLAMA)) == LLAMA


def test_what_is_written_is_ascii() -> None:
    assert encode(replace(LLAMA, identifier="модель")).isascii()


def test_fields_of_a_newer_version_are_left_out() -> None:
    assert decode(json.dumps(json.loads(encode(LLAMA)) | {"colour": "red"})) == LLAMA


def test_fields_that_an_older_version_did_not_write_have_their_defaults() -> None:
    written = json.loads(encode(LLAMA))
    del written["owner"], written["created"]
    assert decode(json.dumps(written)) == replace(LLAMA, owner=None, created=0)


def test_the_largest_body_that_is_stored_is_the_limit_itself() -> None:
    spare = MOST_BODY - len(encode(replace(LLAMA, attributes={"metadata": ""})))
    assert len(encode(replace(LLAMA, attributes={"metadata": "x" * spare}))) == MOST_BODY


def test_of_a_key_that_asks_a_running_stack_only_a_change_is_noted() -> None:
    key = Resource("api_key", "a", "llambda", "a", {"name": "probe"})
    probe = replace(key, attributes={"name": "probe", PROBE: True})
    assert [is_noted(None, probe), is_noted(probe, None)] == [False, False]
    assert is_noted(probe, replace(probe, attributes={**probe.attributes, "roles": ["admin"]}))
    assert [is_noted(None, key), is_noted(key, None)] == [True, True]
    assert is_noted(None, replace(key, attributes={PROBE: "true"}))
