"""kubernetes: the API server says who a token's bearer is, or its keys do."""

import json
from typing import Any

import pytest

from core.auth import kubernetes
from core.auth.http import Http
from core.auth.verifier import Fit, Incoming, Services, Verifier
from core.errors import AuthUnavailable
from tests.fakes import MemoryStore
from tests.parts.issuer import DISCOVERY, JWKS, REVIEW, Issuer
from tests.parts.refusals import refused
from tests.parts.upstream import Reply, hang, raw, status

TOKEN = "cluster-0123456789-abcdef"
NAME = "system:serviceaccount:team-a:bot"
GROUPS = ["system:serviceaccounts", "system:authenticated"]


def verifier(issuer: Issuer, services: Services, /, **changed: Any) -> Verifier:
    values = {"api_server_url": issuer.url, **changed}
    return kubernetes.connect(kubernetes.Config.model_validate(values), services)


def reviewed(user: Any, code: int = 201) -> Reply:
    return status(code, {"kind": "SelfSubjectReview", "status": {"userInfo": user}})


async def test_the_api_server_reviews_the_token_itself(issuer: Issuer, auth_services: Services) -> None:
    issuer.users[TOKEN] = {"username": NAME, "uid": "1", "groups": GROUPS, "extra": {"x": ["y"]}}
    found = await verifier(issuer, auth_services).verify(Incoming(TOKEN))
    assert (found.id, found.attributes) == (NAME, {"teams": tuple(GROUPS), "namespaces": (f"own:{found.identity}",)})
    assert found.vouched_by == f"kubernetes {issuer.url}"
    (asked,) = issuer.seen
    assert (asked.method, asked.path, asked.authorization) == ("POST", REVIEW, f"Bearer {TOKEN}")
    assert json.loads(asked.body) == {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}


async def test_user_info_is_mapped_as_configured(issuer: Issuer, auth_services: Services) -> None:
    issuer.users[TOKEN] = {"username": NAME, "groups": ["g"]}
    subject = verifier(issuer, auth_services, claims_mapping={"groups": "namespaces"})
    assert (await subject.verify(Incoming(TOKEN))).attributes == {"namespaces": ("g",)}


async def test_a_path_of_the_api_server_is_kept(issuer: Issuer, auth_services: Services) -> None:
    issuer.replies["/k8s/c-1" + REVIEW] = reviewed({"username": "ada"})
    subject = verifier(issuer, auth_services, api_server_url=issuer.url + "/k8s/c-1/")
    assert (await subject.verify(Incoming(TOKEN))).id == "ada"


NOBODY: dict[str, Reply] = {
    "401": status(401, {"kind": "Status"}),
    "403": status(403, {"kind": "Status"}),
    "401 with a user": reviewed({"username": "ada"}, 401),
    "anonymous": reviewed({"username": "system:anonymous"}),
    "anonymous in a group": reviewed({"username": "system:anonymous", "groups": ["x"]}),
    "unauthenticated": reviewed({"username": "ada", "groups": ["x", "system:unauthenticated"]}),
}


@pytest.mark.parametrize("reply", NOBODY.values(), ids=NOBODY)
async def test_who_is_nobody_to_the_cluster_is_refused(
    issuer: Issuer, auth_services: Services, caplog: pytest.LogCaptureFixture, reply: Reply
) -> None:
    issuer.replies[REVIEW] = reply
    await refused(verifier(issuer, auth_services), TOKEN, caplog)


NONSENSE: dict[str, Reply] = {
    "200": reviewed({"username": "root"}, 200),
    "500": reviewed({"username": "root"}, 500),
    "404": status(404),
    "a redirect": status(302, None, {"location": "/elsewhere"}),
    "no name": reviewed({"groups": ["g"]}),
    "an empty name": reviewed({"username": ""}),
    "a list of names": reviewed({"username": ["root"]}),
    "a user in text": reviewed("root"),
    "no user": reviewed(None),
    "status in text": status(201, {"status": "root"}),
    "a list": status(201, []),
    "no JSON": raw(b"ok"),
    "no answer": hang,
}


@pytest.mark.parametrize("reply", NONSENSE.values(), ids=NONSENSE)
async def test_nonsense_is_a_503_and_never_a_pass(
    issuer: Issuer, caplog: pytest.LogCaptureFixture, reply: Reply
) -> None:
    services = Services(Http(seconds=0.3), MemoryStore())
    issuer.replies[REVIEW] = reply
    issuer.users[TOKEN] = {"username": "ada"}
    subject = verifier(issuer, services)
    await refused(subject, TOKEN, caplog, AuthUnavailable)
    issuer.revive(REVIEW)
    assert (await subject.verify(Incoming(TOKEN))).id == "ada"
    assert not issuer.asked("/elsewhere")
    await services.http.close()


@pytest.mark.parametrize("groups", [None, "g", 5, {"g": 1}, [1, None]])
async def test_odd_groups_do_no_harm(issuer: Issuer, auth_services: Services, groups: Any) -> None:
    issuer.users[TOKEN] = {"username": "ada", "groups": groups}
    found = await verifier(issuer, auth_services).verify(Incoming(TOKEN))
    assert (found.id, found.attributes["namespaces"]) == ("ada", (f"own:{found.identity}",))
    assert found.attributes.get("teams", ()) in ((), ("g",))


async def test_with_keys_the_discovery_document_names_keys_issuer_and_audience(
    issuer: Issuer, auth_services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    subject = verifier(issuer, auth_services, validation="keys")
    token = issuer.mint(sub=NAME, aud=[issuer.url], groups=["g"])
    found = await subject.verify(Incoming(token))
    assert (found.id, found.attributes) == (NAME, {"teams": ("g",), "namespaces": (f"own:{found.identity}",)})
    assert [asked.path for asked in issuer.seen] == [DISCOVERY, JWKS]
    assert "audience" in (await refused(subject, issuer.mint(), caplog)).message
    foreign = issuer.mint(iss="https://other.example", aud="https://other.example")
    assert "not issued by" in (await refused(subject, foreign, caplog)).message


async def test_with_keys_issuer_and_audience_can_be_configured(
    issuer: Issuer, auth_services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    subject = verifier(issuer, auth_services, validation="keys", issuer="https://k.example", audience="stack")
    token = issuer.mint(iss="https://k.example", aud="stack")
    assert (await subject.verify(Incoming(token))).id == "ada"
    assert subject.fit(token) is Fit.MINE
    await refused(subject, issuer.mint(aud="stack"), caplog)
    await refused(subject, issuer.mint(iss="https://k.example", aud="https://k.example"), caplog)


async def test_a_review_may_be_of_any_token(issuer: Issuer, auth_services: Services) -> None:
    assert {verifier(issuer, auth_services).fit(token) for token in (TOKEN, "a.b.c", "")} == {Fit.MAYBE}
