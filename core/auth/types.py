"""The types of auth provider: a row each, to the module with its `Config` and `connect(config, services)`."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

from pydantic import BaseModel

from core.auth.verifier import Services, Verifier

TYPES: Final = {
    "oauth2_token": "core.auth.oauth2_token",
    "kubernetes": "core.auth.kubernetes",
    "custom": "core.auth.custom",
    "cognito": "core.auth.cognito",
    "api_key": "core.auth.api_key",
}


OF_ISSUERS: Final = frozenset({"oauth2_token", "cognito"})


def config_class(type_: str) -> type[BaseModel]:
    """The Config of one of TYPES; its module, and what that needs, is imported here."""
    config: type[BaseModel] = vars(import_module(TYPES[type_]))["Config"]
    return config


def voucher_of(type_: str, values: Mapping[str, Any]) -> str | None:
    """How owners have what vouches for the callers of an auth provider, whose config is valid; None where that follows from each token."""
    config: Any = config_class(type_).model_validate(values)
    voucher: str | None = config.vouched_by
    return voucher


def issuer_of(type_: str, values: Mapping[str, Any]) -> str | None:
    """The URL of the OAuth issuer whose tokens an auth provider takes; None where it has none, or its config does not say which."""
    if type_ not in OF_ISSUERS:
        return None
    config: Any = config_class(type_).model_validate(values)
    url: str | None = config.issuer_url
    return url


def connect(type_: str, config: Any, services: Services) -> Verifier:  # noqa: ANN401 - of config_class(type_)
    verifier: Verifier = vars(import_module(TYPES[type_]))["connect"](config, services)
    return verifier
