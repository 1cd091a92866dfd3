"""RFC 7662: the issuer's word counts only if it says, in so many words, that a token is active and for us."""

from base64 import b64encode
from time import time
from typing import Any
from urllib.parse import parse_qs, quote_plus

import pytest

from core.auth import oauth2_token
from core.auth.http import Http
from core.auth.verifier import Fit, Incoming, Services, Verifier
from core.errors import AuthUnavailable
from tests.fakes import MemoryStore
from tests.parts.issuer import INTROSPECTION, Issuer
from tests.parts.refusals import refused
from tests.parts.secrets import plant
from tests.parts.upstream import Reply, hang, raw, status

TOKEN = "opaque-0123456789-abcdef"
CLIENT = {"client_id": "stack:1", "client_secret": "s&cr t+/=%3A-0123456789"}
NOW = int(time())


def verifier(issuer: Issuer, services: Services, /, *, in_body: bool = False, **changed: Any) -> Verifier:
    plant(CLIENT["client_secret"])
    asked = {"url": issuer.url + INTROSPECTION, **CLIENT, "send_secret_in_body": in_body}
    return oauth2_token.connect(oauth2_token.Config.model_validate({"introspection": asked, **changed}), services)


async def test_the_client_authenticates_with_form_encoded_basic_credentials(
    issuer: Issuer, auth_services: Services
) -> None:
    issuer.tokens[TOKEN] = {"active": True, "sub": "ada"}
    await verifier(issuer, auth_services).verify(Incoming(TOKEN))
    basic = f"{quote_plus(CLIENT['client_id'])}:{quote_plus(CLIENT['client_secret'])}"
    (asked,) = issuer.seen
    assert (asked.method, asked.authorization) == ("POST", f"Basic {b64encode(basic.encode()).decode()}")
    assert parse_qs(asked.body.decode()) == {"token": [TOKEN]}


async def test_the_client_authenticates_in_the_body_where_that_is_configured(
    issuer: Issuer, auth_services: Services
) -> None:
    issuer.tokens[TOKEN] = {"active": True, "sub": "ada"}
    await verifier(issuer, auth_services, in_body=True).verify(Incoming(TOKEN))
    (asked,) = issuer.seen
    assert asked.authorization is None
    assert parse_qs(asked.body.decode()) == {"token": [TOKEN], **{name: [value] for name, value in CLIENT.items()}}


@pytest.mark.parametrize(
    ("answer", "config"),
    [
        ({}, {}),
        ({"exp": NOW + 86_400, "nbf": NOW - 60, "iat": NOW}, {}),
        ({"aud": "other"}, {}),
        ({"aud": "mine"}, {"audience": "mine"}),
        ({}, {"audience": "mine"}),
        ({"iss": "https://i.example"}, {"issuer": "https://i.example"}),
        ({"iss": "https://i.example"}, {}),
        ({}, {"issuer": "https://i.example"}),
    ],
)
async def test_an_active_token_passes(
    issuer: Issuer, auth_services: Services, answer: dict[str, Any], config: dict[str, Any]
) -> None:
    issuer.tokens[TOKEN] = {
        "active": True,
        "sub": "ada",
        "username": "Ada L",
        "groups": ["g"],
        "scope": "r w",
        **answer,
    }
    found = await verifier(issuer, auth_services, **config).verify(Incoming(TOKEN))
    assert found.id == "ada"
    own = f"own:{found.identity}"
    assert found.attributes == {"teams": ("g",), "scopes": ("r", "w"), "namespaces": (own,)}
    place = " ".join(filter(None, [f"{issuer.url}{INTROSPECTION}", answer.get("iss")]))
    assert found.vouched_by == f"oauth2_token {config.get('issuer', place)}"


@pytest.mark.parametrize(
    ("answer", "config", "says"),
    [
        ({"active": False}, {}, "not active"),
        ({"active": False, "exp": NOW + 86_400}, {}, "not active"),
        ({"exp": NOW - 3600}, {}, "has expired"),
        ({"exp": "soon"}, {}, "not a number"),
        ({"nbf": NOW + 86_400}, {}, "not valid yet"),
        ({"aud": "other"}, {"audience": "mine"}, "not for this audience"),
        ({"aud": []}, {"audience": "llama-stack"}, "not for this audience"),
        ({"iss": "https://other.example"}, {"issuer": "https://i.example"}, "not issued by"),
        ({"sub": None}, {}, "names no subject"),
    ],
)
async def test_a_token_that_is_not_good_is_refused(
    issuer: Issuer,
    auth_services: Services,
    caplog: pytest.LogCaptureFixture,
    answer: dict[str, Any],
    config: dict[str, Any],
    says: str,
) -> None:
    issuer.tokens[TOKEN] = {"active": True, "sub": "ada", **answer}
    assert says in (await refused(verifier(issuer, auth_services, **config), TOKEN, caplog)).message


ACTIVE: dict[str, Any] = {"true": "true", "1": 1, "null": None, "a list": [True], "a mapping": {}}
NONSENSE: dict[str, Reply] = {
    "401": status(401, {"active": True, "sub": "root"}),
    "403": status(403, {"active": False}),
    "500": status(500, {"active": True, "sub": "root"}),
    "201": status(201, {"active": True, "sub": "root"}),
    "a redirect": status(302, None, {"location": "/elsewhere"}),
    **{f"active: {name}": status(200, {"active": value, "sub": "root"}) for name, value in ACTIVE.items()},
    "no active": status(200, {"sub": "root"}),
    "a list": status(200, [True]),
    "text": status(200, "true"),
    "true": raw(b"true"),
    "no JSON": raw(b"active"),
    "nothing": raw(b""),
    "no answer": hang,
}


@pytest.mark.parametrize("reply", NONSENSE.values(), ids=NONSENSE)
async def test_nonsense_is_a_503_and_never_a_pass(
    issuer: Issuer, caplog: pytest.LogCaptureFixture, reply: Reply
) -> None:
    services = Services(Http(seconds=0.3), MemoryStore())
    issuer.replies[INTROSPECTION] = reply
    issuer.tokens[TOKEN] = {"active": True, "sub": "ada"}
    subject = verifier(issuer, services)
    await refused(subject, TOKEN, caplog, AuthUnavailable)
    issuer.revive(INTROSPECTION)
    assert (await subject.verify(Incoming(TOKEN))).id == "ada"
    assert not issuer.asked("/elsewhere")
    await services.http.close()


async def test_a_dead_server_is_a_503(
    issuer: Issuer, auth_services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.die(INTROSPECTION)
    assert (await refused(verifier(issuer, auth_services), TOKEN, caplog, AuthUnavailable)).status == 503


async def test_an_answer_is_not_remembered(
    issuer: Issuer, auth_services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    subject = verifier(issuer, auth_services)
    issuer.tokens[TOKEN] = {"active": True, "sub": "ada"}
    await subject.verify(Incoming(TOKEN))
    del issuer.tokens[TOKEN]
    await refused(subject, TOKEN, caplog)


def test_any_token_may_be_one_of_the_servers(issuer: Issuer, auth_services: Services) -> None:
    subject = verifier(issuer, auth_services)
    assert {subject.fit(token) for token in (TOKEN, "a.b.c", "\x00")} == {Fit.MAYBE}
    assert CLIENT["client_secret"] not in repr(vars(subject))
