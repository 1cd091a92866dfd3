"""Mistakes in an auth provider's config are said with their path and plainly, and the seed's examples are none."""

from typing import Any

import pytest

from core.auth.cognito import Config as Cognito
from core.auth.kubernetes import Config as Kubernetes
from core.auth.oauth2_token import Config as OAuth2
from core.config.load import interpret
from core.resolution.protection import protection_problems
from tests.parts.secrets import plant

SECRET = plant("config-secret-0123456789")
KEYS = {"uri": "https://i.example/keys"}
ASKED = {"url": "https://i.example/introspect", "client_id": "c", "client_secret": SECRET}
POOL = {"user_pool_id": "eu-central-1_AbC123xyz", "client_ids": ["c"]}
CLUSTER = {"api_server_url": "https://kubernetes.default.svc"}


def problems(type_: str, **config: Any) -> list[str]:
    document = {"image_name": "t", "server": {"auth": {"provider_type": type_, "config": config}}}
    found = protection_problems(interpret(document, {}))
    return [f"{problem.path.removeprefix('server.auth.')}: {problem.message}" for problem in found]


def test_the_seeds_example_is_no_mistake() -> None:
    url = "https://kubernetes.default.svc"
    jwks = {"uri": url, "key_recheck_period": 3600}
    assert not problems("oauth2_token", jwks=jwks, tls_cafile="/path/to/ca.crt", issuer=url, audience=url)


@pytest.mark.parametrize(
    ("type_", "config"),
    [
        ("oauth2_token", {"jwks": {**KEYS, "token": SECRET, "tls_cafile": "~/ca.pem", "verify_tls": False}}),
        ("oauth2_token", {"introspection": {**ASKED, "send_secret_in_body": True}, "verify_tls": False}),
        ("oauth2_token", {"jwks": {"uri": "http://localhost:8080/keys"}, "claims_mapping": {"a.b": "teams"}}),
        ("cognito", POOL),
        ("cognito", {**POOL, "client_ids": "a b", "token_use": "id", "region": "eu-west-1", "key_recheck_period": 60}),
        ("kubernetes", CLUSTER),
        ("kubernetes", {**CLUSTER, "ca_cert_path": "/ca.crt"}),
        ("kubernetes", {**CLUSTER, "tls_cafile": "/ca.crt", "validation": "keys", "issuer": "i", "audience": "a"}),
    ],
)
def test_what_the_documentation_shows_is_no_mistake(type_: str, config: dict[str, Any]) -> None:
    assert not problems(type_, **config)


@pytest.mark.parametrize(
    ("type_", "config", "says"),
    [
        ("oauth2_token", {}, "config: One of jwks or introspection must be configured"),
        (
            "oauth2_token",
            {"jwks": KEYS, "introspection": ASKED},
            "config: At present only one of jwks or introspection should be configured",
        ),
        ("oauth2_token", {"jwks": {}}, "config.jwks.uri: is required"),
        ("oauth2_token", {"jwks": {"uri": "http://i.example/keys"}}, "config.jwks.uri: must be https; http is for"),
        ("oauth2_token", {"jwks": {"uri": f"https://u:{SECRET}@i.example"}}, "config.jwks.uri: must not have a user"),
        (
            "oauth2_token",
            {"jwks": {**KEYS, "key_recheck_period": 0}},
            "config.jwks.key_recheck_period: must be at least",
        ),
        (
            "oauth2_token",
            {"introspection": {**ASKED, "url": "http://i.example"}},
            "config.introspection.url: must be https",
        ),
        (
            "oauth2_token",
            {"jwks": KEYS, "claims_mapping": {"sub": "admins"}},
            "must be one of roles, teams, projects, names",
        ),
        (
            "oauth2_token",
            {"jwks": KEYS, "claims_mapping": {"scope": "scopes"}},
            "must be one of roles, teams, projects",
        ),
        ("oauth2_token", {"jwks": KEYS, "audience": ""}, "config.audience: must have at least 1 char"),
        ("oauth2_token", {"jwks": KEYS, "algorithms": ["none"]}, "config.algorithms: "),
        ("cognito", {**POOL, "user_pool_id": "pool"}, "config.user_pool_id: must be a user pool"),
        ("cognito", {**POOL, "user_pool_id": "evil.example/#_x"}, "config.user_pool_id: must be a user pool"),
        ("cognito", {**POOL, "user_pool_id": "eu-central-1_x\n"}, "config.user_pool_id: must be a user pool"),
        ("cognito", {**POOL, "region": "evil.example/"}, "config.region: must be a region"),
        ("cognito", {**POOL, "client_ids": []}, "config.client_ids: "),
        ("cognito", {**POOL, "client_ids": " , "}, "config.client_ids: "),
        ("cognito", {**POOL, "client_ids": [""]}, "config.client_ids[0]: "),
        ("cognito", {**POOL, "token_use": "refresh"}, "config.token_use: must be"),
        ("cognito", {**POOL, "token_use": "id", "required_scopes": "a"}, "config: ID tokens have no scopes"),
        ("cognito", {**POOL, "required_scopes": 'a"b'}, "config.required_scopes: must be a scope"),
        ("oauth2_token", {"jwks": KEYS, "required_scopes": ["a b"]}, "config.required_scopes[0]: must be a scope"),
        ("cognito", {**POOL, "jwks_uri": "http://keys.example"}, "config.jwks_uri: must be https"),
        ("kubernetes", {}, "config.api_server_url: is required"),
        ("kubernetes", {"api_server_url": "http://10.0.0.1"}, "config.api_server_url: must be https"),
        (
            "kubernetes",
            {**CLUSTER, "audience": "a"},
            "config: issuer and audience are checked with validation: keys only",
        ),
        ("kubernetes", {**CLUSTER, "validation": "none"}, "config.validation: must be"),
    ],
)
def test_a_mistake_is_said_with_its_path_and_without_secrets(type_: str, config: dict[str, Any], says: str) -> None:
    (said,) = problems(type_, **config)
    assert says in said
    assert SECRET not in said


def test_secrets_are_not_shown() -> None:
    for config in ({"jwks": {**KEYS, "token": SECRET}}, {"introspection": ASKED}):
        shown = OAuth2.model_validate(config)
        assert SECRET not in repr(shown) + str(shown.model_dump()) + shown.model_dump_json()


@pytest.mark.parametrize(
    ("changed", "issuer"),
    [
        ({}, "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_AbC123xyz"),
        ({"region": "us-east-1"}, "https://cognito-idp.us-east-1.amazonaws.com/eu-central-1_AbC123xyz"),
        ({"user_pool_id": "cn-north-1_A"}, "https://cognito-idp.cn-north-1.amazonaws.com.cn/cn-north-1_A"),
        ({"issuer": "http://moto"}, "http://moto"),
    ],
)
def test_cognitos_issuer_follows_from_the_pool(changed: dict[str, Any], issuer: str) -> None:
    assert Cognito.model_validate({**POOL, **changed}).issued_by() == issuer


def test_clients_may_be_a_list_or_a_text() -> None:
    for given in (["a", "b", "c"], "a,b c", " a, b,\n c ,"):
        assert Cognito.model_validate({**POOL, "client_ids": given}).client_ids == ("a", "b", "c")


def test_both_names_of_the_ca_file_are_one() -> None:
    for name in ("ca_cert_path", "tls_cafile"):
        assert Kubernetes.model_validate({**CLUSTER, name: "/ca.crt"}).tls_cafile == "/ca.crt"
