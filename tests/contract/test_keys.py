"""API keys over the wire: who makes, sees, changes, rotates and revokes which, and what they open."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
import json
from pathlib import Path
import time
from typing import Any

import httpx
import pytest

from core.config.load import interpret
from core.stores.registry.key_format import issue, parse
from core.stores.registry.sqlite import connect
from tests.parts.live_stack import client_over, message, without_request
from tests.parts.secrets import plant
from tests.parts.upstream import FakeUpstream, running

ALL = ["create", "read", "update", "delete"]
POLICY: list[dict[str, Any]] = [
    {"permit": {"actions": ALL, "resource": "key::*"}, "when": "user with ops in roles"},
    {"permit": {"actions": "create", "resource": "role::*"}, "when": "user with ops in roles"},
    {"permit": {"actions": "create", "resource": "team::*"}, "when": "user with ops in roles"},
    {"permit": {"actions": "create", "resource": "key::*"}, "when": "user with lead in roles"},
    {"permit": {"actions": ALL, "resource": "key::*"}, "when": "user is owner"},
    {"permit": {"actions": ALL}},
]
NAMES = ("ops", "lead", "dev")


@dataclass
class World:
    """A stack with three keys, each with a role of its name, and whoever may do what with others."""

    folder: Path
    upstream: FakeUpstream
    tokens: dict[str, str] = field(default_factory=dict[str, str])
    opened: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def client(self, policy: Any = POLICY, **more: Any) -> httpx.AsyncClient:
        """Of one more process of the stack."""
        provider = {"provider_id": "p", "provider_type": "remote::vllm", "config": {"url": f"{self.upstream.url}/v1"}}
        auth = {"providers": [{"type": "api_key"}]} | ({} if policy is None else {"access_policy": policy})
        document = {
            "image_name": "t",
            "providers": {"inference": [provider]},
            "models": [{"model_id": "small", "provider_id": "p", "provider_model_id": "m"}],
            "metadata_store": {"type": "sqlite", "db_path": str(self.folder / "registry.db")},
            "server": {"auth": auth, **more},
        }
        return await self.opened.enter_async_context(client_over(interpret(document, {})))

    async def add(self, name: str, **more: Any) -> str:
        """A key of the operator's, with the role of its name; its id."""
        token, resource = issue(name, [name], expires=None, now=1_700_000_000, **more)
        async with registry(self.folder) as store:
            await store.create(resource)
        self.tokens[name] = plant(token)
        return resource.identifier

    def by(self, name: str) -> dict[str, str]:
        return bearer(self.tokens[name])

    def stored(self) -> str:
        """All that the registry's file has, as text."""
        return "".join(path.read_bytes().decode(errors="ignore") for path in self.folder.glob("registry.db*"))


@asynccontextmanager
async def registry(folder: Path) -> AsyncGenerator[Any]:
    store = connect(str(folder / "registry.db"))
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    upstream = FakeUpstream(models=[{"id": name, "object": "model", "created": 7} for name in ("m", "large")])
    async with running(upstream) as upstream, AsyncExitStack() as opened:
        world = World(tmp_path, upstream, opened=opened)
        for name in NAMES:
            await world.add(name)
        yield world


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def id_of(token: str) -> str:
    return (parse(token) or ("", ""))[0]


async def made(client: httpx.AsyncClient, headers: dict[str, str], **body: Any) -> dict[str, Any]:
    answer = await client.post("/v1/keys", json={"name": "ci"} | body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    key: dict[str, Any] = answer.json()
    plant(key["key"])
    return key


async def opens(client: httpx.AsyncClient, token: str) -> bool:
    answer = await client.get("/v1/models", headers=bearer(token))
    assert answer.status_code in {200, 401}, answer.text
    return answer.status_code == 200


async def test_a_key_is_made_shown_listed_changed_and_revoked(world: World) -> None:
    client, ops, before = await world.client(), world.by("ops"), int(time.time())
    key = await made(
        client, ops, roles=["dev", "dev"], teams=["red"], models=["small"], expires=4_000_000_000, force=True
    )
    secret = key.pop("key")
    assert id_of(secret) == key["id"]
    assert before <= key["created"] <= time.time()
    expected = {
        "id": key["id"],
        "object": "key",
        "name": "ci",
        "created": key["created"],
        "created_by": id_of(world.tokens["ops"]),
        "expires": 4_000_000_000,
        "last_used": None,
        "roles": ["dev"],
        "teams": ["red"],
        "models": ["small"],
        "limits": [],
        "revision": 1,
        "rotated": None,
        "previous_until": None,
        "revoked": None,
    }
    assert key == expected
    assert await opens(client, secret)
    shown = await client.get(f"/v1/keys/{key['id']}", headers=ops)
    assert "cache-control" not in shown.headers
    assert shown.json() == expected | {"last_used": shown.json()["last_used"]}
    assert before <= shown.json()["last_used"] <= time.time()
    listed = (await client.get("/v1/keys", headers=ops)).json()
    assert {row["name"] for row in listed["data"]} == {*NAMES, "ci"}
    changed = await client.post(f"/v1/keys/{key['id']}", json={"name": "cd", "models": None, "teams": []}, headers=ops)
    assert (changed.json()["name"], changed.json()["models"], changed.json()["teams"]) == ("cd", None, [])
    assert (changed.json()["roles"], changed.json()["expires"], changed.json()["revision"]) == (
        ["dev"],
        4_000_000_000,
        2,
    )
    never = await client.post(f"/v1/keys/{key['id']}", json={"expires": None, "name": None}, headers=ops)
    assert (never.json()["expires"], never.json()["name"]) == (None, "cd")
    gone = (await client.delete(f"/v1/keys/{key['id']}", headers=ops)).json()
    assert before <= gone["revoked"] <= time.time()
    assert not await opens(await world.client(), secret)
    assert (await client.delete(f"/v1/keys/{key['id']}", headers=ops)).json() == gone
    for path in ("", "/rotate"):
        refused = await client.post(f"/v1/keys/{key['id']}{path}", json={}, headers=ops)
        assert (refused.status_code, "revoked, for good" in message(refused)) == (409, True)
    assert key["id"] not in (await client.get("/v1/keys", headers=ops)).text
    kept = (await client.get("/v1/keys?revoked=true", headers=ops)).json()["data"]
    assert [row["name"] for row in kept if row["id"] == key["id"]] == ["cd"]
    for part in ("salt", "hash", secret.split("_", 2)[2]):
        assert all(part not in answer.text for answer in (shown, changed, never))


async def test_only_a_salted_hash_is_kept_and_none_of_a_revoked_key(world: World) -> None:
    client, ops = await world.client(), world.by("ops")
    key = await made(client, ops)
    async with registry(world.folder) as store:
        row = await store.get("api_key", key["id"])
        assert set(row.attributes) == {"name", "roles", "salt", "hash", "expires", "last_used"}
        assert key["key"].split("_", 2)[2] not in world.stored()
        await client.post(f"/v1/keys/{key['id']}/rotate", json={}, headers=ops)
        await client.delete(f"/v1/keys/{key['id']}", headers=ops)
        row = await store.get("api_key", key["id"])
        assert (row.attributes["salt"], row.attributes["hash"], "previous" in row.attributes) == (None, None, False)
        assert row.attributes["revoked_by"] == id_of(world.tokens["ops"])


async def test_both_secrets_pass_within_the_overlap_in_every_process_and_one_after(world: World) -> None:
    client, other, ops = await world.client(), await world.client(), world.by("ops")
    key = await made(client, ops)
    first, path = key["key"], f"/v1/keys/{key['id']}/rotate"
    assert await opens(other, first)  # which remembers the key
    before = int(time.time())
    rotated = (await client.post(path, json={"overlap": 600}, headers=ops)).json()
    second = plant(rotated["key"])
    assert (id_of(second), second != first, rotated["revision"]) == (key["id"], True, 2)
    assert before <= rotated["rotated"] <= time.time()
    assert rotated["previous_until"] == rotated["rotated"] + 600
    for each in (other, client):
        assert [await opens(each, token) for token in (second, first, second)] == [True, True, True]
    again = await client.post(path, json={}, headers=ops)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "conflict")
    assert f"passes until {rotated['previous_until']}" in message(again)
    third = plant((await client.post(path, json={"force": True, "overlap": 0}, headers=ops)).json()["key"])
    assert (await client.get(f"/v1/keys/{key['id']}", headers=ops)).json()["previous_until"] is None
    fresh = await world.client()
    assert [await opens(fresh, token) for token in (third, second, first)] == [True, False, False]
    assert await opens(other, third)
    assert not await opens(other, second)  # as soon as anybody has come with the third


async def test_who_may_make_keys_is_said_by_a_rule_that_names_them(world: World) -> None:
    client = await world.client()
    refused = await client.post("/v1/keys", json={"name": "mine"}, headers=world.by("dev"))
    assert refused.status_code == 403
    assert "`permit: {actions: create, resource: 'key::*'}`, with a condition." in message(refused)
    for policy in (None, [{"permit": {"actions": ALL}}], [{"permit": {"actions": ALL, "resource": "*::*"}}]):
        other = await world.client(policy)
        assert (await other.post("/v1/keys", json={"name": "mine"}, headers=world.by("ops"))).status_code == 403
        assert [row["name"] for row in (await other.get("/v1/keys", headers=world.by("ops"))).json()["data"]] == ["ops"]
    assert (await client.get("/v1/keys")).status_code == 401


async def test_a_maker_gives_what_it_has_and_what_rules_let_it_give(world: World) -> None:
    client, lead = await world.client(), world.by("lead")
    key = await made(client, lead, roles=["lead"])
    for field_, kind in (("roles", "role"), ("teams", "team")):
        for path in ("/v1/keys", f"/v1/keys/{key['id']}"):
            body = {"name": "x", field_: ["ops"], "force": True}
            refused = await client.post(path, json=body, headers=lead)
            assert refused.status_code == 403
            assert f"resource: '{kind}::ops'" in message(refused)
    assert (await client.post(f"/v1/keys/{key['id']}", json={"name": "y"}, headers=lead)).json()["roles"] == ["lead"]
    ops = await client.post(f"/v1/keys/{key['id']}", json={"roles": ["lead", "ops"]}, headers=world.by("ops"))
    assert ops.status_code == 200
    renamed = await client.post(f"/v1/keys/{key['id']}", json={"name": "z", "roles": ["ops"]}, headers=lead)
    assert renamed.json()["roles"] == ["ops"]  # which it has been given
    stolen = await client.post(f"/v1/keys/{key['id']}/rotate", json={}, headers=lead)
    assert (stolen.status_code, "role::ops" in message(stolen)) == (403, True)


async def test_what_one_may_not_see_is_as_what_is_not_there(world: World) -> None:
    client, lead = await world.client(), world.by("lead")
    mine, others = await made(client, lead), await made(client, world.by("ops"))
    hidden, missing = others["id"], "a" * 12
    calls = [("GET", ""), ("POST", ""), ("DELETE", ""), ("POST", "/rotate")]
    for method, end in calls:
        answers = [
            await client.request(method, f"/v1/keys/{id_}{end}", json={}, headers=lead)
            for id_ in (hidden, missing, "x", others["key"])
        ]
        assert {answer.status_code for answer in answers} == {404}
        assert len({without_request(answer.text) for answer in answers}) == 1
        assert others["key"] not in answers[3].text
    own = id_of(world.tokens["lead"])
    assert [row["id"] for row in (await client.get("/v1/keys", headers=lead)).json()["data"]] == sorted(
        [mine["id"], own]
    )
    assert (await client.get(f"/v1/keys/{own}", headers=lead)).json()["created_by"] is None
    for method, end in calls[1:]:  # its own it sees, and no more: the operator made it
        assert (await client.request(method, f"/v1/keys/{own}{end}", json={}, headers=lead)).status_code == 403


async def test_a_key_changes_itself_by_no_rule_but_one_that_names_it(world: World) -> None:
    key_id, body = id_of(world.tokens["ops"]), {"models": ["small"]}
    client = await world.client()
    refused = await client.post(f"/v1/keys/{key_id}", json=body, headers=world.by("ops"))
    assert (refused.status_code, "names it by its id" in message(refused)) == (403, True)
    for scope in ({"resource": f"key::{key_id}"}, {"principal": key_id, "resource": "key::*"}):
        named = await world.client([{"permit": {"actions": ["read", "update"], **scope}}])
        assert (
            await named.post(f"/v1/keys/{key_id}", json={"name": "ops"}, headers=world.by("ops"))
        ).status_code == 200


async def test_a_page_has_those_that_one_may_see(world: World) -> None:
    client, lead = await world.client(), world.by("lead")
    ids = [(await made(client, lead, name=f"key {number}"))["id"] for number in range(5)]
    await made(client, world.by("ops"))
    ids = sorted([*ids, id_of(world.tokens["lead"])])
    after, pages = "", list[list[str]]()
    while len(pages) < 4:
        page = (await client.get("/v1/keys", params={"limit": 2, "after": after}, headers=lead)).json()
        pages.append([row["id"] for row in page["data"]])
        after = page["last_id"]
        assert (page["first_id"], page["last_id"]) == (pages[-1][0], pages[-1][-1])
        if not page["has_more"]:
            break
    assert pages == [ids[:2], ids[2:4], ids[4:]]
    empty = (await client.get("/v1/keys", params={"after": "z" * 12}, headers=lead)).json()
    assert empty == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({}, "name", "required"),
        ({"name": ""}, "name", "at least 1 character"),
        ({"name": "  "}, "name", "not only spaces"),
        ({"name": "a\nb"}, "name", "printable"),
        ({"name": "x" * 101}, "name", "at most 100 characters"),
        ({"name": "x", "roles": ["a b"]}, "roles[0]", "without spaces"),
        ({"name": "x", "roles": [""]}, "roles[0]", "at least 1 character"),
        ({"name": "x", "teams": ["own:api_key:me"]}, "teams[0]", "must not begin with `own:`"),
        ({"name": "x", "teams": ["t" * 101]}, "teams[0]", "at most 100 characters"),
        ({"name": "x", "models": []}, "models", "at least 1 item"),
        ({"name": "x", "models": "small"}, "models", "valid array"),
        ({"name": "x", "models": ["m"] * 101}, "models", "at most 100 items"),
        ({"name": "x", "expires": 1}, "expires", "in the past"),
        ({"name": "x", "expires": "2027-01-31"}, "expires", "valid integer"),
        ({"name": "x", "expires": 10**12}, "expires", "less than or equal to 253402300799"),
        ({"name": "x", "roles": ["lede"]}, "roles", "did you mean `lead`?; they name lead, ops"),
        ({"name": "x", "teams": ["red"]}, "teams", "they name none"),
        ({"name": "x", "model": ["small"]}, "model", "Extra inputs"),
        ({"name": "x", "colours": []}, "colours", "Extra inputs"),
    ],
)
async def test_a_mistake_makes_no_key_and_says_what_it_is(
    world: World, body: dict[str, Any], param: str, words: str
) -> None:
    client, ops = await world.client(), world.by("ops")
    refused = await client.post("/v1/keys", json=body, headers=ops)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, param), refused.text
    assert words in message(refused)
    assert len((await client.get("/v1/keys", headers=ops)).json()["data"]) == len(NAMES)


@pytest.mark.parametrize("overlap", [-1, 30 * 86_400 + 1, 1.5, "1d"])
async def test_an_overlap_is_whole_seconds_of_at_most_thirty_days(world: World, overlap: Any) -> None:
    client, ops = await world.client(), world.by("ops")
    path = f"/v1/keys/{id_of(world.tokens['dev'])}/rotate"
    refused = await client.post(path, json={"overlap": overlap}, headers=ops)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "overlap")
    assert await opens(client, world.tokens["dev"])


async def test_a_key_for_some_models_sees_and_asks_no_others(world: World) -> None:
    client, ops = await world.client(), world.by("ops")
    key = await made(client, ops, models=["small"])
    headers = bearer(key["key"])
    listed = (await client.get("/v1/models", headers=headers)).json()["data"]
    assert {row["identifier"] for row in listed} == {"small", "p/m"}
    chat = {"messages": [{"role": "user", "content": "hi"}]}
    for name in ("small", "p/m"):  # which is what `small` is declared as
        answer = await client.post("/v1/chat/completions", json=chat | {"model": name}, headers=headers)
        assert answer.status_code == 200, answer.text
    asked = len(world.upstream.seen)
    for path, body in (("/v1/chat/completions", chat), ("/v1/embeddings", {"input": "hi"})):
        hidden, missing = [
            await client.post(path, json=body | {"model": name}, headers=headers) for name in ("p/large", "p/latge")
        ]
        assert hidden.status_code == missing.status_code == 404
        assert without_request(hidden.text).replace("large", "latge") == without_request(missing.text)
    assert (await client.get("/v1/models/p/large", headers=headers)).status_code == 404
    alias = {"model_id": "small-too", "provider_id": "p", "provider_model_id": "large"}
    assert (await client.post("/v1/models", json=alias, headers=headers)).status_code == 403
    assert all(seen.path == "/v1/models" for seen in world.upstream.seen[asked:])
    await client.post(f"/v1/keys/{key['id']}", json={"models": ["p/*"]}, headers=ops)
    later = await world.client()
    assert (
        await later.post("/v1/chat/completions", json=chat | {"model": "p/large"}, headers=headers)
    ).status_code == 200


async def test_a_key_for_some_models_makes_none_for_others(world: World) -> None:
    key_id = await world.add("chief", models=["p/*", "small"])
    rules = [{"permit": {"actions": ALL, "resource": "key::*"}, "when": "user with chief in roles"}, *POLICY]
    client, chief = await world.client(rules), world.by("chief")
    for models_ in (None, ["*"], ["large"], ["p*"], ["small", "sm*"]):
        refused = await client.post("/v1/keys", json={"name": "x", "models": models_}, headers=chief)
        assert (refused.status_code, "is for p/*, small" in message(refused)) == (403, True)
    key = await made(client, chief, models=["p/m*", "small"])
    widened = await client.post(f"/v1/keys/{key['id']}", json={"models": None}, headers=chief)
    assert widened.status_code == 403
    other = id_of(world.tokens["dev"])  # for all models
    rotated = await client.post(f"/v1/keys/{other}/rotate", json={}, headers=chief)
    assert (rotated.status_code, "Your own key" in message(rotated) or "role::dev" in message(rotated)) == (403, True)
    assert key_id != other


async def test_what_is_said_of_keys_is_in_no_log(world: World, caplog: pytest.LogCaptureFixture) -> None:
    client, ops = await world.client(), world.by("ops")
    caplog.set_level("DEBUG")
    key = await made(client, ops)
    rotated = (await client.post(f"/v1/keys/{key['id']}/rotate", json={}, headers=ops)).json()["key"]
    assert await opens(client, plant(rotated))
    for token in (key["key"], rotated):
        assert token.split("_", 2)[2] not in caplog.text
    assert json.loads((await client.get("/openapi.json", headers=ops)).content)["paths"]["/v1/keys"]["post"]
