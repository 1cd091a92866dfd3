"""Nobody is an administrator by a name of its own choice, and what one issuer's Ada has, another issuer's Ada has not."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from core.config.load import interpret
from core.frame.resources import Resource
from core.stores.registry.sqlite import connect as open_registry
from tests.parts import upstream as upstreams
from tests.parts.issuer import Issuer, issuing
from tests.parts.live_stack import client_over
from tests.parts.upstream import FakeUpstream

README = Path(__file__).parents[2] / "README.md"
MODELS = "/v1/models"
CHAT = "/v1/chat/completions"
BODY: dict[str, Any] = {"model": "p/m", "messages": [{"role": "user", "content": "Hi"}]}
OWN_ALONE = [
    {"permit": {"actions": ["create", "read", "delete"]}, "when": "user is owner"},
    {"permit": {"actions": "read"}, "when": "resource is unowned"},
]
REFERENCES_MAPPING = {"sub": "roles", "username": "roles", "groups": "teams"}


def registration(name: str = "mine") -> dict[str, Any]:
    return {"model_id": name, "provider_id": "p", "provider_model_id": "m"}


def readmes_policy() -> list[dict[str, Any]]:
    """The one of the example with an issuer's tokens."""
    (example,) = [text for text in README.read_text("utf-8").split("```yaml\n") if "type: oauth2_token" in text]
    policy: list[dict[str, Any]] = yaml.safe_load(example.partition("```")[0])["server"]["auth"]["access_policy"]
    return policy


@dataclass
class World:
    """Two issuers and a model; a stack takes the tokens of the issuers that it is told of."""

    issuer: Issuer
    other: Issuer
    upstream: FakeUpstream
    folder: Path
    opened: AsyncExitStack

    @property
    def registry(self) -> str:
        return str(self.folder / "registry.db")

    async def client(self, *providers: dict[str, Any], policy: Any = None, **server: Any) -> httpx.AsyncClient:
        auth: dict[str, Any] = {"providers": [*providers]}
        if policy is not None:
            auth["access_policy"] = policy
        provider = {"provider_id": "p", "provider_type": "remote::vllm", "config": {"url": f"{self.upstream.url}/v1"}}
        document = {
            "image_name": "t",
            "providers": {"inference": [provider]},
            "metadata_store": {"type": "sqlite", "db_path": self.registry},
            "server": {"auth": auth, **server},
        }
        return await self.opened.enter_async_context(client_over(interpret(document, {})))

    def store(self, name: str) -> dict[str, Any]:
        return {"kvstore": {"type": "sqlite", "db_path": str(self.folder / name)}}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as opened:
        upstream = await opened.enter_async_context(upstreams.running(FakeUpstream()))
        issuer, other = [await opened.enter_async_context(issuing()) for _ in range(2)]
        yield World(issuer, other, upstream, tmp_path, opened)


def tokens_of(issuer: Issuer, **more: Any) -> dict[str, Any]:
    return {"type": "oauth2_token", "jwks": {"uri": issuer.jwks_uri}, "issuer": issuer.url, **more}


def bearer(token: str, **more: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}", **more}


def by(issuer: Issuer, **claims: Any) -> dict[str, str]:
    return bearer(issuer.mint(**claims))


async def registers(client: httpx.AsyncClient, headers: dict[str, str]) -> int:
    return (await client.post(MODELS, json=registration(), headers=headers)).status_code


# ---- names are not roles


NAMES: list[dict[str, Any]] = [
    *({claim: name} for claim in ("sub", "username", "preferred_username") for name in ("admin", "mallory admin")),
    {"email": "admin"},
    {"name": "admin"},
    {"client_id": "admin", "azp": "admin"},
    {"scope": "admin"},
    {"groups": ["admin"], "team": "admin", "project": "admin", "tenant": "admin", "namespace": "admin"},
    {"roles": "mallory admin"},
    {"roles": ["mallory admin", " admin", "Admin"]},
    {"roles": {"admin": True}},
    {"realm_access": {"roles": "mallory admin"}},
    {"realm_access": ["admin"]},
]


async def test_no_name_makes_an_administrator_under_the_policy_of_the_readme(world: World) -> None:
    client = await world.client(tokens_of(world.issuer), policy=readmes_policy())
    assert {str(claims): await registers(client, by(world.issuer, **claims)) for claims in NAMES} == {
        str(claims): 403 for claims in NAMES
    }
    for claims in ({"roles": ["x", "admin"]}, {"realm_access": {"roles": ["admin"]}}, {"roles": "admin"}):
        assert await registers(client, by(world.issuer, **claims)) == 200


async def test_an_introspected_or_a_reviewed_name_is_no_role_either(world: World) -> None:
    issuer, client_id = world.issuer, {"client_id": "c", "client_secret": "s"}
    asked = {"type": "oauth2_token", "introspection": {"url": f"{issuer.url}/introspect", **client_id}}
    cluster = {"type": "kubernetes", "api_server_url": issuer.url}
    for name in ("admin", "mallory admin"):
        issuer.tokens[name] = {"active": True, "sub": name, "username": name}
        issuer.users[name] = {"username": name, "groups": ["system:authenticated"]}
    for provider in (asked, cluster):
        client = await world.client(provider, policy=readmes_policy())
        assert await registers(client, bearer("admin")) == 403


async def test_where_the_run_config_asks_for_it_a_name_is_a_role_as_a_whole_and_there_is_a_warning(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    client = await world.client(
        tokens_of(world.issuer, claims_mapping=REFERENCES_MAPPING, audience="llama-stack"), policy=readmes_policy()
    )
    outcomes = [await registers(client, by(world.issuer, sub="ada", username=name)) for name in ("admin", "a admin")]
    assert outcomes == [200, 403]
    for claim in ("sub", "username"):
        assert f"`{claim}` becomes roles" in caplog.text
    assert "`groups`" not in caplog.text


# ---- whose it is


async def test_users_of_one_cluster_do_not_share_what_they_make(world: World) -> None:
    client = await world.client({"type": "kubernetes", "api_server_url": world.issuer.url})
    for name in ("ada", "bob"):
        world.issuer.users[name] = {"username": name, "groups": ["system:authenticated"]}
    assert await registers(client, bearer("ada")) == 200
    found = [(await client.get(f"{MODELS}/mine", headers=bearer(name))).status_code for name in ("ada", "bob")]
    assert found == [200, 404]


@pytest.mark.parametrize("policy", [None, OWN_ALONE])
async def test_the_same_name_at_another_issuer_owns_nothing(world: World, policy: Any) -> None:
    client = await world.client(tokens_of(world.issuer), tokens_of(world.other), policy=policy)
    assert await registers(client, by(world.issuer)) == 200
    found = [
        (await client.get(f"{MODELS}/mine", headers=by(issuer))).status_code for issuer in (world.issuer, world.other)
    ]
    assert found == [200, 404]
    taken = f"own:oauth2_token%20{world.issuer.url}:ada"
    for claim in ("namespace", "tenant", "roles", "groups", "project"):
        assert (await client.get(f"{MODELS}/mine", headers=by(world.other, **{claim: [taken]}))).status_code == 404


def both(world: World) -> list[list[dict[str, Any]]]:
    """Two issuers, as two auth providers, and as one that was told of no issuer."""
    return [
        [tokens_of(world.issuer), tokens_of(world.other)],
        [{"type": "oauth2_token", "jwks": {"uri": world.issuer.jwks_uri}}],
    ]


async def test_issuers_share_neither_a_quota_nor_an_answer(world: World) -> None:
    for number, providers in enumerate(both(world)):
        quota = {**world.store(f"quota{number}.db"), "authenticated_max_requests": 2}
        client = await world.client(*providers, quota=quota, idempotency=world.store(f"answers{number}.db"))
        same = {"idempotency-key": "k"}
        signer = world.issuer if number else world.other
        for headers in (by(world.issuer), bearer(signer.mint(iss=world.other.url))):
            first = await client.post(CHAT, json=BODY, headers=headers | same)
            again = await client.post(CHAT, json=BODY, headers=headers | same)
            assert ["idempotent-replayed" in answer.headers for answer in (first, again)] == [False, True]
            assert (await client.get("/v1/quota", headers=headers)).json()["requests"]["used"] == 2


async def test_a_rule_about_a_principal_may_name_its_issuer(world: World, caplog: pytest.LogCaptureFixture) -> None:
    for scope, allowed in (({}, [200, 200]), ({"issuer": world.issuer.url}, [200, 403])):
        policy = [{"permit": {"principal": "ada", "actions": ["create", "read", "delete"], **scope}}]
        client = await world.client(tokens_of(world.issuer), tokens_of(world.other), policy=policy)
        assert [await registers(client, by(issuer)) for issuer in (world.issuer, world.other)] == allowed
    assert caplog.text.count("`principal: ada` is whoever has this id") == 1


async def keep(world: World, owner: dict[str, Any]) -> None:
    """A model, as an earlier version stored it."""
    store = open_registry(world.registry)
    await store.create(Resource("model", "old", "p", "m", {"metadata": {}, "model_type": "llm"}, owner=owner))
    await store.close()


@pytest.mark.parametrize(
    "attributes", [{"roles": ["ada l"]}, {"roles": ["ada", "l"], "teams": ["red"]}, {"namespaces": ["ada l"]}]
)
async def test_what_a_subject_owned_as_a_role_stays_its_own(world: World, attributes: dict[str, Any]) -> None:
    await keep(world, {"principal": "ada l", "attributes": attributes})
    client = await world.client(tokens_of(world.issuer))
    callers = [by(world.issuer, sub=name, groups=["red"]) for name in ("ada l", "ada", "bob")]
    assert [(await client.get(f"{MODELS}/old", headers=caller)).status_code for caller in callers] == [200, 404, 404]
    assert (await client.delete(f"{MODELS}/old", headers=callers[0])).status_code == 200


async def test_whose_it_was_nobody_guesses_among_several_issuers(world: World) -> None:
    await keep(world, {"principal": "ada", "attributes": {"roles": ["ada"]}})
    client = await world.client(tokens_of(world.issuer), tokens_of(world.other))
    for issuer in (world.issuer, world.other):
        assert (await client.get(f"{MODELS}/old", headers=by(issuer))).status_code == 404


async def test_what_a_key_owned_is_no_subjects_with_the_keys_id(world: World) -> None:
    await keep(world, {"principal": "abcdefghijkl", "attributes": {"namespaces": ["abcdefghijkl"]}})
    client = await world.client({"type": "api_key"}, tokens_of(world.issuer))
    assert (await client.get(f"{MODELS}/old", headers=by(world.issuer, sub="abcdefghijkl"))).status_code == 404


# ---- which tokens


ACCESS = ("JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt")
OTHERS = (
    *("logout+jwt", "dpop+jwt", "secevent+jwt", "oauth-authz-req+jwt", "token-introspection+jwt", "kb+jwt"),
    *("application/secevent+jwt", "id_token+jwt", "refresh+jwt", "JWE", "", " JWT", ["JWT"], 5, "jwt at+jwt"),
)


async def test_a_token_of_another_type_is_no_access_token(world: World) -> None:
    client = await world.client(tokens_of(world.issuer))

    async def ask(typ: Any) -> int:
        return (await client.get(MODELS, headers=bearer(world.issuer.mint(header={"typ": typ})))).status_code

    assert [await ask(typ) for typ in (*ACCESS, None)] == [200] * 6
    assert {str(typ): await ask(typ) for typ in OTHERS} == {str(typ): 401 for typ in OTHERS}


async def test_a_token_that_its_issuer_marks_as_another_is_no_access_token(world: World) -> None:
    client = await world.client(tokens_of(world.issuer))
    event: dict[str, Any] = {"http://schemas.openid.net/event/backchannel-logout": {}}
    good: list[dict[str, Any]] = [{}, {"typ": "Bearer"}, {"typ": "JWT"}, {"token_type": "Bearer"}, {"events": None}]
    for claims in good:
        assert (await client.get(MODELS, headers=by(world.issuer, **claims))).status_code == 200
    others: list[dict[str, Any]] = [
        *({"typ": kind} for kind in ("ID", "Refresh", "Offline", "Logout")),
        {"token_type": "refresh"},
        {"token_use": "refresh"},
        {"events": event},
    ]
    for claims in others:
        assert (await client.get(MODELS, headers=by(world.issuer, **claims))).status_code == 401


async def test_a_token_without_one_of_the_scopes_is_refused_by_the_stack_itself(world: World) -> None:
    pool = {
        "type": "cognito",
        "user_pool_id": "us-east-1_AbCdEfGhI",
        "client_ids": "c",
        "jwks_uri": world.issuer.jwks_uri,
        "issuer": world.issuer.url,
        "required_scopes": "llambda/use,llambda/manage",
    }
    client = await world.client(pool)
    tokens = [
        by(world.issuer, aud=None, token_use="access", client_id="c", scope=scope)
        for scope in ("llambda/use", "a llambda/manage", "llambda/used", "llambda/use,x", None)
    ]
    answers = [await client.get(MODELS, headers=token) for token in tokens]
    assert [answer.status_code for answer in answers] == [200, 200, 403, 403, 403]
    assert 'error="insufficient_scope"' in answers[-1].headers["www-authenticate"]
