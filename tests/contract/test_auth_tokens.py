"""Every known attack on a JWT is refused with a plain sentence, and with nothing of the token in it; good ones pass."""

import re
from typing import Any

import pytest

from core.auth import oauth2_token
from core.auth.verifier import Fit, Incoming, Services, Verifier
from tests.contract.attacks import ATTACKS, GARBAGE, Make, published
from tests.parts.issuer import JWKS, Issuer, ec_key, jwk, rsa_key
from tests.parts.refusals import refused, said_of

RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")


def verifier(issuer: Issuer, services: Services, /, **changed: Any) -> Verifier:
    values = {"jwks": {"uri": issuer.jwks_uri}, "issuer": issuer.url, **changed}
    return oauth2_token.connect(oauth2_token.Config.model_validate(values), services)


@pytest.mark.parametrize(("make", "says"), [attack[1:] for attack in ATTACKS], ids=[attack[0] for attack in ATTACKS])
async def test_an_attack_is_refused_with_a_sentence_that_holds_nothing_of_the_token(
    issuer: Issuer, auth_services: Services, caplog: pytest.LogCaptureFixture, make: Make, says: str
) -> None:
    issuer.keys = published()
    token = make(issuer)
    failure = await refused(verifier(issuer, auth_services), token, caplog)
    assert failure.message.endswith(".")
    assert failure.headers["www-authenticate"].startswith('Bearer error="invalid_token", error_description="The token')
    assert re.search(says, failure.message)
    assert {asked.path for asked in issuer.seen} <= {JWKS}


@pytest.mark.parametrize("text", GARBAGE)
async def test_the_shape_of_garbage_is_judged_without_an_error(
    issuer: Issuer, auth_services: Services, text: str
) -> None:
    assert verifier(issuer, auth_services).fit(text) is Fit.NO


def test_a_leak_of_eight_characters_would_be_found() -> None:
    assert said_of("abcdefghij.x", "it says cdefghij") == {"cdefghij"}
    assert not said_of("abcdefghij.x", "it says cdefghi x")


@pytest.mark.parametrize("algorithm", [*RSA, "ES256", "ES384", "ES512"])
async def test_each_allowed_algorithm_is_verified_with_the_key_it_fits(
    issuer: Issuer, auth_services: Services, algorithm: str
) -> None:
    key = rsa_key() if algorithm in RSA else ec_key(algorithm)
    issuer.keys = [jwk(rsa_key("other"), "z"), jwk(key, "k", alg=algorithm)]
    token = issuer.mint(key=key, algorithm=algorithm, header={"kid": "k"})
    assert (await verifier(issuer, auth_services).verify(Incoming(token))).id == "ada"


@pytest.mark.parametrize(
    ("claims", "header"),
    [
        ({}, {}),
        ({"aud": ["x", "llama-stack"]}, {}),
        ({"exp": 9_999_999_999.5}, {}),
        ({"iat": None}, {}),
        ({"nbf": 0}, {}),
        ({}, {"typ": None}),
        ({}, {"typ": "at+jwt"}),
        ({}, {"kid": None}),
        ({}, {"jku": "http://127.0.0.1:1/keys", "x5u": "http://127.0.0.1:1/keys", "x5c": ["MIIB"]}),
        ({}, {"jwk": jwk(rsa_key("attacker"), "a")}),
    ],
)
async def test_a_good_token_passes_whatever_else_it_carries(
    issuer: Issuer, auth_services: Services, claims: dict[str, Any], header: dict[str, Any]
) -> None:
    token = issuer.mint(header=header, **claims)
    found = await verifier(issuer, auth_services).verify(Incoming(token))
    assert (found.id, found.attributes) == ("ada", {"namespaces": (f"own:{found.identity}",)})
    assert found.vouched_by == f"oauth2_token {issuer.url}"
    assert [asked.path for asked in issuer.seen] == [JWKS]


async def test_of_keys_with_the_same_kid_each_is_tried(
    issuer: Issuer, auth_services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.keys = [jwk(rsa_key("other"), "a"), jwk(ec_key(), "a"), jwk(rsa_key(), "a")]
    subject = verifier(issuer, auth_services)
    for token in (issuer.mint(), issuer.mint(key=ec_key(), algorithm="ES256")):
        assert (await subject.verify(Incoming(token))).id == "ada"
    assert "signature" in (await refused(subject, issuer.mint(key=rsa_key("third")), caplog)).message


async def test_an_issuer_is_only_checked_if_it_is_known(issuer: Issuer, auth_services: Services) -> None:
    found = await verifier(issuer, auth_services, issuer=None).verify(
        Incoming(issuer.mint(iss="https://other.example"))
    )
    assert found.vouched_by == f"oauth2_token {issuer.jwks_uri} https://other.example"


async def test_a_token_of_the_configured_issuer_is_mine_and_one_of_another_is_not(
    issuer: Issuer, auth_services: Services
) -> None:
    subject = verifier(issuer, auth_services)
    fits = [
        subject.fit(token) for token in (issuer.mint(), issuer.mint(iss=None), issuer.mint(iss="https://o.example"))
    ]
    assert fits == [Fit.MINE, Fit.MAYBE, Fit.NO]
    assert verifier(issuer, auth_services, issuer=None).fit(issuer.mint()) is Fit.MAYBE
    assert not issuer.seen


async def test_claims_become_attributes_as_the_config_maps_them(issuer: Issuer, auth_services: Services) -> None:
    mapping = {"realm_access.roles": "roles", r"https://x\.example/teams": "teams", "scope": "projects"}
    more: dict[str, Any] = {"realm_access": {"roles": ["a", "b"]}, "https://x.example/teams": "t u"}
    token = issuer.mint(scope="read write", **more)
    found = await verifier(issuer, auth_services, claims_mapping=mapping).verify(Incoming(token))
    assert found.attributes == {
        "roles": ("a", "b"),
        "teams": ("t u",),
        "projects": ("read", "write"),
        "scopes": ("read", "write"),
    }
