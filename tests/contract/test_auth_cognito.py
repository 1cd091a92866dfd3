"""Cognito: tokens that moto's user pools really sign, and the ways in which one token is not another."""

from collections.abc import Callable
from typing import Any

import pytest

from core.auth import cognito
from core.auth.verifier import Fit, Incoming, Services, Verifier
from core.errors import AuthUnavailable
from tests.parts.cognito import Pool
from tests.parts.issuer import Issuer
from tests.parts.refusals import refused

POOL = "eu-central-1_AbC123xyz"


@pytest.fixture
def pool(make_pool: Callable[[], Pool]) -> Pool:
    return make_pool()


def verifier(services: Services, pool: Pool, **changed: Any) -> Verifier:
    values = {"user_pool_id": pool.id, "client_ids": [pool.client_id], "jwks_uri": pool.jwks_uri, **changed}
    return cognito.connect(cognito.Config.model_validate(values), services)


async def test_an_access_token_of_the_pool_names_its_user_groups_and_scopes(
    auth_services: Services, pool: Pool
) -> None:
    subject = verifier(auth_services, pool)
    found = await subject.verify(Incoming(pool.access))
    assert set(found.attributes["roles"]) == {"admin", "writers"}
    assert found.attributes["scopes"] == ("aws.cognito.signin.user.admin",)
    assert found.vouched_by == f"cognito {pool.id}"
    assert subject.fit(pool.access) is Fit.MINE


async def test_an_id_token_of_the_pool_passes_where_it_is_wanted(auth_services: Services, pool: Pool) -> None:
    found = await verifier(auth_services, pool, token_use="id").verify(Incoming(pool.id_token))
    assert set(found.attributes["roles"]) == {"admin", "writers"}
    assert found.id == (await verifier(auth_services, pool).verify(Incoming(pool.access))).id


async def test_access_and_id_tokens_are_told_apart(
    auth_services: Services, pool: Pool, caplog: pytest.LogCaptureFixture
) -> None:
    assert "Send the access token" in (await refused(verifier(auth_services, pool), pool.id_token, caplog)).message
    wanting_id = verifier(auth_services, pool, token_use="id")
    assert "Send the id token" in (await refused(wanting_id, pool.access, caplog)).message


@pytest.mark.parametrize("use", ["access", "id"])
async def test_a_token_for_another_app_client_is_refused(
    auth_services: Services, pool: Pool, caplog: pytest.LogCaptureFixture, use: str
) -> None:
    token = pool.access if use == "access" else pool.id_token
    subject = verifier(auth_services, pool, client_ids="x, y", token_use=use)
    assert "another app client" in (await refused(subject, token, caplog)).message


async def test_a_token_of_another_pool_is_refused_though_its_key_is_the_same(
    auth_services: Services, pool: Pool, make_pool: Callable[[], Pool], caplog: pytest.LogCaptureFixture
) -> None:
    other = make_pool()
    subject = verifier(auth_services, pool, client_ids=[pool.client_id, other.client_id])
    assert subject.fit(other.access) is Fit.NO
    assert "not issued by" in (await refused(subject, other.access, caplog)).message


async def test_a_changed_token_is_refused(
    auth_services: Services, pool: Pool, caplog: pytest.LogCaptureFixture
) -> None:
    header, _, signature = pool.access.split(".")
    mixed = f"{header}.{pool.id_token.split('.')[1]}.{signature}"
    assert "signature" in (await refused(verifier(auth_services, pool, token_use="id"), mixed, caplog)).message


def local(issuer: Issuer, services: Services, **changed: Any) -> Verifier:
    values = {
        "user_pool_id": POOL,
        "client_ids": "c1, c2 c3",
        "jwks_uri": issuer.jwks_uri,
        "issuer": issuer.url,
        **changed,
    }
    return cognito.connect(cognito.Config.model_validate(values), services)


ACCESS: dict[str, Any] = {"aud": None, "token_use": "access", "client_id": "c2"}
ID: dict[str, Any] = {"aud": "c3", "token_use": "id"}


@pytest.mark.parametrize(("use", "claims"), [("access", ACCESS), ("id", ID)])
async def test_a_machine_without_groups_has_a_namespace_of_its_own(
    issuer: Issuer, auth_services: Services, use: str, claims: dict[str, Any]
) -> None:
    found = await local(issuer, auth_services, token_use=use).verify(Incoming(issuer.mint(scope="m/read", **claims)))
    assert found.attributes == {"scopes": ("m/read",), "namespaces": (f"own:{found.identity}",)}


@pytest.mark.parametrize(
    ("use", "claims"),
    [
        ("access", ID),
        ("access", {**ACCESS, "token_use": None}),
        ("access", {**ACCESS, "token_use": "id", "aud": "c1"}),
        ("access", {**ACCESS, "token_use": ["access"]}),
        ("access", {**ACCESS, "client_id": None}),
        ("access", {**ACCESS, "client_id": None, "aud": "c1"}),
        ("access", {**ACCESS, "client_id": ["c1"]}),
        ("access", {**ACCESS, "client_id": {"c1": 1}}),
        ("access", {**ACCESS, "client_id": "c1, c2 c3"}),
        ("id", ACCESS),
        ("id", {**ID, "token_use": "access", "client_id": "c1"}),
        ("id", {**ID, "aud": "c4"}),
        ("id", {**ID, "aud": ["c1"]}),
        ("id", {**ID, "aud": None, "client_id": "c1"}),
    ],
)
async def test_a_token_must_be_of_the_wanted_use_and_of_one_of_the_clients(
    issuer: Issuer, auth_services: Services, caplog: pytest.LogCaptureFixture, use: str, claims: dict[str, Any]
) -> None:
    await refused(local(issuer, auth_services, token_use=use), issuer.mint(**claims), caplog)


@pytest.mark.parametrize("algorithm", ["RS384", "PS256", "none"])
async def test_cognito_signs_with_one_algorithm_only(
    issuer: Issuer, auth_services: Services, caplog: pytest.LogCaptureFixture, algorithm: str
) -> None:
    token = issuer.mint(header={"alg": algorithm}, **ACCESS)
    assert "not allowed" in (await refused(local(issuer, auth_services), token, caplog)).message
    assert not issuer.seen


async def test_keys_that_cannot_be_had_are_a_503(
    issuer: Issuer, auth_services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.die()
    await refused(local(issuer, auth_services), issuer.mint(**ACCESS), caplog, AuthUnavailable)
