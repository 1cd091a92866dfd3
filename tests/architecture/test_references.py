"""A secret's reference in a config is read or refused: it is never taken for the secret itself."""

from importlib import import_module

from pydantic import BaseModel
import pytest

from core.auth.types import TYPES
from core.config.user_fields import secret_fields
from core.providers.aws.bucket_config import BucketConfig
from core.providers.aws.clients import AwsConfig
from core.providers.http.keyed import KeyedConfig
from core.providers.openai.config import Settings
from core.resolution.check import config_class
from core.resolution.provider_types import built_in

HANDLED = (
    Settings,
    AwsConfig,
    BucketConfig,
    KeyedConfig,
)  # the first and the last read references (`core.providers.http.operators_key`), the second refuses them, the third reads them
CONFIGS = {str(key): config_class(spec) for key, spec in built_in().items()}


@pytest.mark.parametrize("name", CONFIGS)
def test_every_built_in_config_with_a_secret_reads_or_refuses_references(name: str) -> None:
    assert not secret_fields(CONFIGS[name]) or issubclass(CONFIGS[name], HANDLED)


def test_secrets_of_auth_are_in_one_module_which_reads_or_refuses_references() -> None:
    models = {
        f"{module}.{name}"
        for module in TYPES.values()
        for name, each in vars(import_module(module)).items()
        if isinstance(each, type) and issubclass(each, BaseModel) and each.__module__ == module and secret_fields(each)
    }
    assert models == {"core.auth.oauth2_token.Jwks", "core.auth.oauth2_token.Introspection"}
