"""Which fields of the built-in providers are a user's: how a remote is called and which one, never what it is trusted with."""

from pydantic import BaseModel
import pytest

from core.config.user_fields import secret_fields, user_fields
from core.providers.bedrock import inference as bedrock
from core.providers.bedrock.guardrail_config import Config as GuardrailConfig
from core.providers.llama_guard import safety as llama_guard
from core.providers.nvidia import safety as nvidia
from core.providers.openai.config import config_of
from core.providers.openai.rows import ROWS, Row
from core.providers.sambanova import safety as sambanova
from core.resolution.check import config_class
from core.resolution.provider_types import ProviderSpec, built_in

TUNED = {
    "timeout",
    "connect_timeout",
    "max_connections",
    "max_tokens",
    "model_type",
    "embedding_dimension",
    "allowed_models",
}
AWS = {
    "region_name",
    "total_max_attempts",
    "retry_mode",
    "connect_timeout",
    "read_timeout",
    "max_connections",
}


@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
def test_of_a_remote_its_urls_keys_and_limits_are_a_users_and_its_tls_is_not(row: Row) -> None:
    config = config_of(row.provider_type)
    own = {*config.row.urls, *config.row.keys, config.row.unversioned, config.row.only} - {""}
    assert user_fields(config) == TUNED | own
    assert secret_fields(config) == set(config.row.keys)


@pytest.mark.parametrize(
    ("config", "fields"),
    [
        (bedrock.Config, AWS | {"endpoint"}),
        (GuardrailConfig, AWS),
        (nvidia.Config, {"timeout", "max_connections"}),
        (sambanova.Config, TUNED),
        (llama_guard.Config, set[str]()),
    ],
)
def test_of_bedrock_and_of_who_judges_only_how_they_are_called(config: type[BaseModel], fields: set[str]) -> None:
    assert user_fields(config) == fields


@pytest.mark.parametrize("spec", built_in().values(), ids=lambda spec: f"{spec.api} {spec.provider_type}")
def test_no_built_in_provider_lets_a_user_say_what_it_trusts(spec: ProviderSpec) -> None:
    config = config_class(spec)
    trusted = {"tls_verify", "role_arn", "profile_name", "endpoint_url", "session_ttl", "fetch", "excluded_categories"}
    assert not user_fields(config) & trusted
