"""The custom provider before any HTTP: its config, the shape of its tokens, and both shapes of answer."""

from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
import pytest

from core.auth.custom import Config, EndpointAnswer, connect
from core.auth.http import Http
from core.auth.verifier import Fit, Services
from tests.fakes import MemoryStore

URL = "https://auth.example.com/validate"
NAMES = st.lists(st.text(min_size=1), min_size=1)
CATEGORIES = st.dictionaries(st.sampled_from(["roles", "teams", "projects", "namespaces", "scopes"]), NAMES)


def test_any_token_may_be_the_endpoints_but_none_at_all_is_not() -> None:
    verifier = connect(Config(endpoint=URL), Services(Http(), MemoryStore()))
    assert verifier.fit("x") is Fit.MAYBE
    assert verifier.fit("eyJh.eyJz.sig") is Fit.MAYBE
    assert verifier.fit("") is Fit.NO


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"endpoint": "http://auth.example.com/validate"},
        {"endpoint": "https://user:pass@auth.example.com"},
        {"endpoint": "auth.example.com"},
        {"endpoint": URL, "verify_tls": "perhaps"},
        {"endpoint": URL, "tls_cafile": ""},
        {"endpoint": URL, "timeout": 5},
    ],
)
def test_a_config_that_cannot_be_meant_is_refused(config: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Config.model_validate(config)


@given(older=CATEGORIES, newer=CATEGORIES)
def test_the_two_shapes_say_the_same_and_mixed_the_newer_decides(
    older: dict[str, list[str]], newer: dict[str, list[str]]
) -> None:
    assert EndpointAnswer.model_validate({"access_attributes": older}).names() == older
    assert EndpointAnswer.model_validate({"principal": "ada", "attributes": newer}).names() == newer
    both = EndpointAnswer.model_validate({"principal": "ada", "attributes": newer, "access_attributes": older})
    assert both.names() == older | newer


@pytest.mark.parametrize("nothing", [None, {}, {"roles": []}, {"roles": None, "teams": []}])
def test_no_names_are_no_attributes(nothing: object) -> None:
    assert EndpointAnswer.model_validate({"access_attributes": nothing, "message": "hello"}).names() == {}
    assert EndpointAnswer.model_validate({"principal": "ada", "attributes": nothing}).names() == {}
