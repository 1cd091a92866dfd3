"""What a user may see and set of a provider's config."""

from typing import Annotated, Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, SecretBytes, SecretStr

from core.config.redact import MASK
from core.config.user_fields import USER, machine_defaults, secret_fields, select_user_fields, user_fields, view
from tests.parts.secrets import plant

type Key = Annotated[SecretStr, Field(min_length=1)]


class Part(BaseModel):
    path: str = "/"


class Config(BaseModel):
    url: str = Field(default="http://localhost", json_schema_extra={"user_field": True})
    key: Annotated[SecretStr | None, USER] = None
    timeout: Annotated[float, Field(gt=0), USER] = 60.0
    fetch: Annotated[Part, USER] = Part()
    connections: int = Field(default=8, json_schema_extra={"user_field": True, "discovered": "memory_mb"})
    tls_verify: bool = True
    hidden: int = Field(default=1, json_schema_extra={"user_field": False, "discovered": "vcpus"})
    other: int = Field(default=2, json_schema_extra=lambda schema: schema.update(user_field=True))


class Secrets(BaseModel):
    plain: SecretStr = SecretStr("")
    maybe: SecretStr | None = None
    named: Key | None = None
    several: list[SecretBytes] = []
    by_name: dict[str, Annotated[SecretStr, Field(min_length=1)]] = {}
    text: str = ""


def test_a_field_is_a_users_where_its_config_says_so() -> None:
    assert user_fields(Config) == {"url", "key", "timeout", "fetch", "connections"}


def test_the_mark_is_in_the_json_schema_beside_what_else_the_field_says() -> None:
    assert Config.model_json_schema()["properties"]["timeout"] == {
        "default": 60.0,
        "exclusiveMinimum": 0,
        "title": "Timeout",
        "type": "number",
        "user_field": True,
    }


def test_what_is_not_a_users_is_dropped_and_named_in_order() -> None:
    given: dict[str, Any] = {"tls_verify": False, "url": "http://gpu", "tiemout": 1, "timeout": None}
    assert select_user_fields(Config, given) == ({"url": "http://gpu", "timeout": None}, ["tls_verify", "tiemout"])


def test_a_shown_secret_that_comes_back_changes_nothing() -> None:
    config = Config(key=SecretStr(plant("user-fields-key")))
    assert select_user_fields(Config, view(config)) == (
        {"url": "http://localhost", "timeout": 60.0, "fetch": {"path": "/"}, "connections": 8},
        [],
    )


def test_a_mask_within_a_url_drops_the_url() -> None:
    shown = view(Config(url=f"https://ada:{plant('user-fields-password')}@gpu"))
    assert shown["url"] == f"https://{MASK}@gpu"
    assert select_user_fields(Config, {"url": shown["url"], "timeout": 1}) == ({"timeout": 1}, ["url"])


def test_a_view_has_the_users_fields_alone_and_no_secret() -> None:
    assert view(Config(key=SecretStr(plant("user-fields-other-key")))) == {
        "url": "http://localhost",
        "key": MASK,
        "timeout": 60.0,
        "fetch": {"path": "/"},
        "connections": 8,
    }


def test_a_secret_that_is_not_set_is_shown_as_none() -> None:
    assert view(Config())["key"] is None


def test_secrets_are_found_wherever_they_are_in_a_type() -> None:
    assert secret_fields(Secrets) == {"plain", "maybe", "named", "several", "by_name"}


def test_a_default_of_the_machine_counts_as_discovered_until_somebody_sets_it() -> None:
    assert machine_defaults(Config()) == ["connections"]
    assert machine_defaults(Config(connections=8)) == []


@given(
    st.dictionaries(st.sampled_from([*Config.model_fields, "more"]) | st.text(), st.none() | st.text() | st.just(MASK))
)
def test_every_key_is_kept_or_dropped_or_the_mask_of_a_users_field(given: dict[str, Any]) -> None:
    kept_ones, dropped = select_user_fields(Config, given)
    left = {key for key, value in given.items() if value == MASK and key in user_fields(Config)}
    assert {*kept_ones, *dropped, *left} == set(given)
    assert len(kept_ones) + len(dropped) + len(left) == len(given)
    assert kept_ones.keys() <= user_fields(Config)
