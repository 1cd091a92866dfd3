"""Which fields of the built-in providers are a user's: how a remote is called and which one, never what it is trusted with."""

from typing import get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
import pytest

from core.config.user_fields import secret_fields, user_fields
from core.providers.bedrock import inference as bedrock
from core.providers.bedrock.evaluation_config import Config as BedrockEvaluations
from core.providers.bedrock.guardrail_config import Config as GuardrailConfig
from core.providers.braintrust.scoring import Config as Braintrust
from core.providers.datasets.localfs import Config as LocalDatasets
from core.providers.evals.builtin import Config as Evals
from core.providers.llama_guard import safety as llama_guard
from core.providers.llm_judge.scoring import Config as LlmJudge
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
        (BedrockEvaluations, AWS | {"evaluator_model"}),
        (LlmJudge, {"judge_model", "temperature", "max_tokens", "max_concurrency"}),
        (Braintrust, {"judge_model", "embedding_model", "max_tokens", "max_concurrency"}),
        (Evals, {"wait_seconds", "max_concurrent_rows"}),
        (LocalDatasets, set[str]()),
    ],
)
def test_of_bedrock_and_of_who_judges_and_evaluates_only_how_they_are_called(
    config: type[BaseModel], fields: set[str]
) -> None:
    assert user_fields(config) == fields


def has_mark(part: object) -> bool:
    """Whether a mark is somewhere within a type, where it is not the field's."""
    extra = part.json_schema_extra if isinstance(part, FieldInfo) else None
    return (isinstance(extra, dict) and "user_field" in extra) or any(has_mark(each) for each in get_args(part))


@pytest.mark.parametrize("spec", built_in().values(), ids=lambda spec: f"{spec.api} {spec.provider_type}")
def test_no_mark_is_lost_within_the_type_of_a_field(spec: ProviderSpec) -> None:
    fields = config_class(spec).model_fields
    assert [name for name, field in fields.items() if has_mark(field.annotation)] == []


@pytest.mark.parametrize("spec", built_in().values(), ids=lambda spec: f"{spec.api} {spec.provider_type}")
def test_no_built_in_provider_lets_a_user_say_what_it_trusts(spec: ProviderSpec) -> None:
    config = config_class(spec)
    trusted = {"tls_verify", "role_arn", "profile_name", "endpoint_url", "session_ttl", "fetch", "excluded_categories"}
    assert not user_fields(config) & trusted
