"""A whole stack with auth, policy and quota, over real HTTP to its endpoint and its model: who, what, how much, then work."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
import json
from pathlib import Path
import sqlite3
from typing import Any

from aiohttp import web
import httpx
import pytest

from core.config.load import interpret
from tests.parts import upstream as upstreams
from tests.parts.live_stack import client_over, without_request
from tests.parts.upstream import CHAT, CHUNKS, USAGE, FakeUpstream, chunk, in_turn, status, stream

CHAT_PATH = "/v1/chat/completions"
UPSTREAM_CHAT = "/v1/chat/completions"
BODY: dict[str, Any] = {"model": "p/m", "messages": [{"role": "user", "content": "Hi"}]}
RATE = {"ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"}


@dataclass
class World:
    """The upstream is also the auth endpoint: a token is its bearer's name, which is its role; `bad...` is refused."""

    upstream: FakeUpstream
    folder: Path
    opened: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def client(self, *, auth: bool = True, policy: Any = None, quota: Any = None) -> httpx.AsyncClient:
        server: dict[str, Any] = {"max_body_bytes": 2048}
        if auth:
            server["auth"] = {"provider_type": "custom", "config": {"endpoint": f"{self.upstream.url}/auth"}}
            if policy is not None:
                server["auth"]["access_policy"] = policy
        if quota is not None:
            server["quota"] = {"kvstore": {"type": "sqlite", "db_path": str(self.folder / "quota.db")}, **quota}
        provider = {"provider_id": "p", "provider_type": "remote::vllm", "config": {"url": f"{self.upstream.url}/v1"}}
        document = {
            "image_name": "t",
            "providers": {"inference": [provider]},
            "metadata_store": {"type": "sqlite", "db_path": str(self.folder / "registry.db")},
            "server": server,
        }
        return await self.opened.enter_async_context(client_over(interpret(document, {}), address="198.51.100.7"))

    def calls(self, path: str) -> int:
        return sum(seen.path == path for seen in self.upstream.seen)


async def _vouch(request: web.Request) -> web.StreamResponse:
    name = json.loads(await request.read())["api_key"]
    if name.startswith("bad"):
        return web.json_response({"message": "no"}, status=401)
    return web.json_response({"principal": name, "attributes": {"roles": [name]}})


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with upstreams.running(FakeUpstream(replies={"/auth": _vouch})) as upstream, AsyncExitStack() as opened:
        yield World(upstream, tmp_path, opened)


def by(name: str, **more: str) -> dict[str, str]:
    return {"authorization": f"Bearer {name}", **more}


async def used(client: httpx.AsyncClient, name: str = "ada") -> tuple[int, int | None]:
    answer = await client.get("/v1/quota", headers=by(name))
    assert answer.status_code == 200
    left = answer.json()
    return left["requests"]["used"], left["tokens"]["used"] if left["tokens"] else None


async def test_without_a_token_everything_but_health_readiness_and_version_is_a_401(world: World) -> None:
    client = await world.client()
    described = (await client.get("/openapi.json", headers=by("ada"))).json()["paths"]
    asked = [
        (method, path) for path, item in described.items() for method in item if method in ("get", "post", "delete")
    ]
    assert len(asked) > 20
    for method, path in asked:
        answer = await client.request(method, path.replace("{", "").replace("}", ""))
        if path.endswith(("/health", "/ready", "/version")):
            assert answer.status_code == 200, path
            continue
        assert answer.status_code == 401, path
        assert set(answer.json()["error"]) == {"message", "type", "param", "code", "request_id"}
        assert answer.headers["www-authenticate"].startswith('Bearer error="')
    assert world.calls(UPSTREAM_CHAT) == 0


async def test_a_refused_token_is_a_401_and_a_dead_endpoint_a_503_that_is_not_remembered(world: World) -> None:
    client = await world.client(quota={})
    refused = await client.post(CHAT_PATH, json=BODY, headers=by("bad-token"))
    assert refused.status_code == 401
    assert 'error="invalid_token"' in refused.headers["www-authenticate"]
    world.upstream.replies["/auth"] = status(500, {"principal": "ada"})
    dead = await client.post(CHAT_PATH, json=BODY, headers=by("ada"))
    assert (dead.status_code, dead.json()["error"]["code"]) == (503, "auth_unavailable")
    assert world.calls(UPSTREAM_CHAT) == 0
    world.upstream.replies["/auth"] = _vouch
    assert (await client.post(CHAT_PATH, json=BODY, headers=by("ada"))).status_code == 200
    assert await used(client) == (1, None)


async def test_beyond_the_limit_the_answer_is_the_one_of_the_seed(world: World) -> None:
    client = await world.client(quota={"authenticated_max_requests": 2})
    answers = [await client.post(CHAT_PATH, json=BODY, headers=by("ada")) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
    assert answers[2].content == b'{"error":{"message":"Quota exceeded"}}'
    assert answers[2].headers["content-type"] == "application/json"
    assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["1", "0", "0", "0"]
    assert {answer.headers["ratelimit-limit"] for answer in answers} == {"2"}
    assert 1 <= int(answers[2].headers["retry-after"]) <= 86_400
    assert answers[2].headers["retry-after"] == answers[2].headers["ratelimit-reset"]
    assert "retry-after" not in answers[0].headers
    assert await used(client) == (2, None)
    assert (await client.post(CHAT_PATH, json=BODY, headers=by("bob"))).status_code == 200


async def test_what_is_counted_and_what_is_not(world: World) -> None:
    client = await world.client(quota={"max_tokens": 100_000})
    uncounted = [
        await client.get("/v1/health", headers=by("ada")),
        await client.get("/v1/version", headers=by("ada")),
        await client.get("/v1/quota", headers=by("ada")),
        await client.post(CHAT_PATH, json=BODY),
        await client.get("/v1/nowhere", headers=by("ada")),
        await client.get("/v1/models", headers=by("ada")),
        await client.get("/v1/models/none", headers=by("ada")),
        await client.get("/v1/providers", headers=by("ada")),
    ]
    assert not any(RATE & set(answer.headers) for answer in uncounted)
    assert await used(client) == (0, 0)
    counted = [
        await client.get("/v1/inspect/environment", headers=by("ada")),
        await client.post(CHAT_PATH, content=b"{", headers=by("ada")),
        await client.post(CHAT_PATH, content=b"x" * 4000, headers=by("ada")),
        await client.post("/v1/models", content=b"{}", headers=by("ada")),
    ]
    assert [answer.status_code for answer in counted] == [200, 400, 413, 400]
    assert all(set(answer.headers) >= RATE for answer in counted)
    assert await used(client) == (4, 0)


async def test_a_caller_whose_quota_is_used_up_may_still_look_around(world: World) -> None:
    client = await world.client(quota={"authenticated_max_requests": 1})
    answers = [await client.post(CHAT_PATH, json=BODY, headers=by("ada")) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    for path in ("/v1/models", "/v1/providers", "/v1/quota", "/v1/inspect/routes"):
        assert (await client.get(path, headers=by("ada"))).status_code == 200


async def test_tokens_are_reserved_before_and_settled_after_the_call(world: World) -> None:
    client = await world.client(quota={"max_tokens": 100})
    answer = await client.post(CHAT_PATH, json={**BODY, "max_tokens": 60}, headers=by("ada"))
    assert answer.headers["x-ratelimit-limit-tokens"] == "100"
    assert answer.headers["x-ratelimit-remaining-tokens"] == "40"
    assert await used(client) == (1, 2)  # what CHAT says was used
    too_much = await client.post(CHAT_PATH, json={**BODY, "max_completion_tokens": 99}, headers=by("ada"))
    assert too_much.status_code == 429
    assert (await client.post(CHAT_PATH, json={**BODY, "max_tokens": 49, "n": 2}, headers=by("ada"))).status_code == 200
    assert await used(client) == (2, 4)


@pytest.mark.parametrize("code", [400, 429, 500])
async def test_a_failed_call_gives_its_tokens_back_but_is_counted(world: World, code: int) -> None:
    client = await world.client(quota={"max_tokens": 100})
    world.upstream.replies[UPSTREAM_CHAT] = status(code, {"error": {"message": "no"}})
    for more in ({}, {"stream": True}):
        answer = await client.post(CHAT_PATH, json={**BODY, "max_tokens": 60, **more}, headers=by("ada"))
        assert answer.status_code >= 400
    assert await used(client) == (2, 0)


async def test_a_stream_is_settled_when_it_ends_whether_or_not_usage_was_asked_for(world: World) -> None:
    client = await world.client(quota={"max_tokens": 200})
    for options in ({}, {"stream_options": {"include_usage": True}}):
        body = {**BODY, "max_tokens": 60, "stream": True, **options}
        answer = await client.post(CHAT_PATH, json=body, headers=by("ada"))
        assert answer.text.endswith("data: [DONE]\n\n")
        assert ("total_tokens" in answer.text) == bool(options)
        assert set(answer.headers) >= RATE
    assert await used(client) == (2, 6)


async def test_a_stream_that_breaks_is_charged_what_came_and_gives_back_the_rest(world: World) -> None:
    client = await world.client(quota={"max_tokens": 200})
    world.upstream.replies[UPSTREAM_CHAT] = stream([chunk("a"), {"error": {"message": "broke"}}])
    answer = await client.post(CHAT_PATH, json={**BODY, "max_tokens": 60, "stream": True}, headers=by("ada"))
    assert '"error"' in answer.text
    assert await used(client) == (1, 2)  # a token of the prompt, and one that came
    events = [{**chunk("a"), "usage": USAGE["usage"]}, {"error": {"message": "broke"}}]
    world.upstream.replies[UPSTREAM_CHAT] = stream(events)
    await client.post(CHAT_PATH, json={**BODY, "max_tokens": 60, "stream": True}, headers=by("ada"))
    assert await used(client) == (2, 2 + 3)


async def test_an_answer_without_usage_keeps_its_reservation(world: World) -> None:
    client = await world.client(quota={"max_tokens": 5000, "default_max_tokens": 70})
    silent = {key: value for key, value in CHAT.items() if key != "usage"}
    world.upstream.replies[UPSTREAM_CHAT] = status(200, silent)
    await client.post(CHAT_PATH, json=BODY, headers=by("ada"))
    assert await used(client) == (1, 70)
    world.upstream.replies[UPSTREAM_CHAT] = stream(CHUNKS[:3])
    await client.post(CHAT_PATH, json={**BODY, "max_tokens": 30, "stream": True}, headers=by("ada"))
    assert await used(client) == (2, 100)


async def test_a_request_that_was_sent_twice_is_one_and_without_a_usage_keeps_its_reservation(world: World) -> None:
    client = await world.client(quota={"max_tokens": 5000})
    refused = {"error": {"message": "Extra inputs are not permitted", "param": "stream_options"}}
    world.upstream.replies[UPSTREAM_CHAT] = in_turn(status(400, refused), stream(CHUNKS[:3]))
    answer = await client.post(CHAT_PATH, json={**BODY, "max_tokens": 60, "stream": True}, headers=by("ada"))
    assert answer.text.endswith("data: [DONE]\n\n")
    assert ["stream_options" in seen.body for seen in world.upstream.seen if seen.path == UPSTREAM_CHAT] == [
        True,
        False,
    ]
    assert await used(client) == (1, 60)


async def test_the_older_routes_reserve_and_settle_too(world: World) -> None:
    client = await world.client(quota={"max_tokens": 100})
    body = {"model_id": "p/m", "messages": BODY["messages"], "sampling_params": {"max_tokens": 60}}
    answer = await client.post("/v1/inference/chat-completion", json=body, headers=by("ada"))
    assert (answer.status_code, answer.headers["x-ratelimit-remaining-tokens"]) == (200, "40")
    batch = {**body, "messages_batch": [BODY["messages"]] * 2, "messages": None}
    refused = await client.post("/v1/inference/batch-chat-completion", json=batch, headers=by("ada"))
    assert refused.status_code == 429
    batch["sampling_params"] = {"max_tokens": 20}
    assert (await client.post("/v1/inference/batch-chat-completion", json=batch, headers=by("ada"))).status_code == 200
    assert await used(client) == (3, 6)


async def test_without_auth_the_anonymous_limit_is_for_each_address_and_no_header_changes_it(world: World) -> None:
    client = await world.client(auth=False, quota={"anonymous_max_requests": 2, "authenticated_max_requests": 50})
    forged = [
        {},
        {"x-forwarded-for": "203.0.113.1"},
        {"x-real-ip": "203.0.113.2", "forwarded": "for=203.0.113.3", "authorization": "Bearer someone"},
    ]
    answers = [await client.post(CHAT_PATH, json=BODY, headers=headers) for headers in forged]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    left = (await client.get("/v1/quota")).json()
    assert (left["identity"], left["requests"]) == ("anonymous", {"limit": 2, "used": 2, "remaining": 0})


async def test_without_a_quota_nothing_is_limited_and_asking_says_so(world: World) -> None:
    client = await world.client()
    left = (await client.get("/v1/quota", headers=by("ada"))).json()
    assert (left["object"], left["requests"], left["tokens"]) == ("quota", None, None)


async def test_a_store_that_is_down_refuses_before_the_model_is_asked_unless_it_is_told_to_allow(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    (world.folder / "quota.db").mkdir()
    client = await world.client(quota={})
    refused = await client.post(CHAT_PATH, json=BODY, headers=by("ada"))
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "quota_unavailable")
    assert world.calls(UPSTREAM_CHAT) == 0
    client = await world.client(quota={"on_store_failure": "allow"})
    allowed = await client.post(CHAT_PATH, json=BODY, headers=by("ada"))
    assert allowed.status_code == 200
    assert not RATE & set(allowed.headers)
    assert "quota" in caplog.text


async def test_a_store_that_fails_during_a_call_does_not_take_its_answer_away(world: World) -> None:
    client = await world.client(quota={"max_tokens": 100})
    busy = sqlite3.connect(world.folder / "quota.db", isolation_level=None)

    async def answer_and_block(_: web.Request) -> web.StreamResponse:
        busy.execute("BEGIN IMMEDIATE")
        return web.json_response(CHAT)

    world.upstream.replies[UPSTREAM_CHAT] = answer_and_block
    answer = await client.post(CHAT_PATH, json={**BODY, "max_tokens": 60}, headers=by("ada"))
    busy.close()
    assert answer.status_code == 200
    assert await used(client) == (1, 60)


async def test_a_shadow_quota_reports_and_refuses_nobody(world: World, caplog: pytest.LogCaptureFixture) -> None:
    client = await world.client(quota={"authenticated_max_requests": 1, "shadow": True})
    answers = [await client.post(CHAT_PATH, json=BODY, headers=by("ada")) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert answers[2].headers["ratelimit-remaining"] == "0"
    assert "shadow" in caplog.text


async def test_another_tenants_model_cannot_be_read_used_listed_or_deleted(world: World) -> None:
    client = await world.client()
    registered = await client.post(
        "/v1/models", json={"model_id": "adas", "provider_id": "p", "provider_model_id": "m"}, headers=by("ada")
    )
    assert (registered.status_code, registered.json()["owner"]) == (200, "ada")
    assert (await client.post(CHAT_PATH, json={**BODY, "model": "adas"}, headers=by("ada"))).status_code == 200
    for name in ("adas", "none"):
        used_ = await client.post(CHAT_PATH, json={**BODY, "model": name}, headers=by("bob"))
        native = {"model_id": name, "messages": BODY["messages"]}
        answers = [
            used_,
            await client.post("/v1/inference/chat-completion", json=native, headers=by("bob")),
            await client.get(f"/v1/models/{name}", headers=by("bob")),
            await client.get(f"/v1/openai/v1/models/{name}", headers=by("bob")),
            await client.delete(f"/v1/models/{name}", headers=by("bob")),
        ]
        assert [answer.status_code for answer in answers] == [404] * 5
        assert len({without_request(answer.text.replace(name, "x")) for answer in answers[2:4]}) == 1
    listed = (await client.get("/v1/models", headers=by("bob"))).json()
    assert ([row["id"] for row in listed["data"]], listed["has_more"]) == (["p/m"], False)
    assert (await client.delete("/v1/models/adas", headers=by("ada"))).status_code == 200


async def test_a_policy_decides_with_404_for_reading_and_403_for_changing(world: World) -> None:
    rules = [
        {"permit": {"actions": ["create", "read", "update", "delete"]}, "when": "user with admin in roles"},
        {"forbid": {"actions": "read", "resource": "model::secret*"}},
        {"permit": {"actions": "read"}},
    ]
    client = await world.client(policy=rules)
    body = {"model_id": "secret-1", "provider_id": "p", "provider_model_id": "m"}
    denied = await client.post("/v1/models", json=body, headers=by("bob"))
    assert (denied.status_code, denied.json()["error"]["code"]) == (403, "permission_denied")
    assert (await client.post("/v1/models", json=body, headers=by("admin"))).status_code == 200
    assert (await client.post("/v1/models", json={**body, "model_id": "open"}, headers=by("admin"))).status_code == 200
    assert (await client.post(CHAT_PATH, json={**BODY, "model": "secret-1"}, headers=by("bob"))).status_code == 404
    assert (await client.post(CHAT_PATH, json={**BODY, "model": "open"}, headers=by("bob"))).status_code == 200
    assert (await client.delete("/v1/models/open", headers=by("bob"))).status_code == 403
    assert (await client.delete("/v1/models/secret-1", headers=by("bob"))).status_code == 404


async def test_an_empty_policy_permits_nothing(world: World) -> None:
    client = await world.client(policy=[])
    assert (await client.post(CHAT_PATH, json=BODY, headers=by("ada"))).status_code == 404
    assert (await client.get("/v1/models", headers=by("ada"))).json()["data"] == []
    body = {"model_id": "x", "provider_id": "p", "provider_model_id": "m"}
    assert (await client.post("/v1/models", json=body, headers=by("ada"))).status_code == 403


async def test_of_many_callers_at_once_exactly_the_limit_is_admitted(world: World) -> None:
    client = await world.client(quota={"authenticated_max_requests": 10})
    work = [client.post(CHAT_PATH, json=BODY, headers=by("ada")) for _ in range(40)]
    codes = [answer.status_code for answer in await asyncio.gather(*work)]
    assert (codes.count(200), codes.count(429)) == (10, 30)
    assert world.calls(UPSTREAM_CHAT) == 10
