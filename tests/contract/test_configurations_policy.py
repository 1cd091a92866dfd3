"""Who may see and set the configuration: nobody by default where callers are known, and only those whom a rule names."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
import json
from pathlib import Path
from typing import Any

from aiohttp import web
import httpx
import pytest

from core.stores.registry.key_format import issue
from core.stores.registry.sqlite import connect
from tests.parts.live_stack import client_of, entry, message, run_config
from tests.parts.upstream import FakeUpstream, running

OPERATORS = [
    {
        "permit": {"actions": ["create", "read", "delete"], "resource": "configuration::*"},
        "when": "user with ops in roles",
    },
    {"permit": {"actions": ["create", "delete"], "resource": "provider::team-*"}, "when": "user with ops in roles"},
    {"permit": {"actions": "read", "resource": "model::*"}},
]
VLLM = {
    "api": "inference",
    "provider_id": "team-a",
    "provider_type": "remote::vllm",
    "config": {"url": "http://127.0.0.1:9"},
}


async def _vouch(request: web.Request) -> web.StreamResponse:
    name = json.loads(await request.read())["api_key"]
    return web.json_response({"principal": name, "attributes": {"roles": [name]}})


@asynccontextmanager
async def stack(folder: Path, policy: Any) -> AsyncGenerator[httpx.AsyncClient]:
    """A token is its bearer's name, which is its role."""
    async with running(FakeUpstream(replies={"/auth": _vouch})) as upstream:
        auth: dict[str, Any] = {"provider_type": "custom", "config": {"endpoint": f"{upstream.url}/auth"}}
        if policy is not None:
            auth["access_policy"] = policy
        store = {"type": "sqlite", "db_path": str(folder / "registry.db")}
        async with client_of(run_config(upstream.url, store, server={"auth": auth})) as client:
            yield client


def by(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer {name}"}


async def test_with_the_default_policy_nobody_may_register_but_all_may_look(tmp_path: Path) -> None:
    async with stack(tmp_path, None) as client:
        for method, path, body in (
            ("POST", "/v1/configurations", entry({"timeout": 1})),
            ("POST", "/v1/providers", VLLM),
            ("DELETE", "/v1/providers/local", None),
        ):
            answer = await client.request(method, path, json=body, headers=by("ada"))
            assert answer.status_code == 403, path
            assert "configuration::*" in message(answer)
        assert (await client.get("/v1/inspect/configurations", headers=by("ada"))).status_code == 200
        assert (await client.get("/v1/inspect/configurations")).status_code == 401


async def test_a_configuration_that_a_key_registered_says_the_keys_name(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    token, key = issue("night shift", ["ops"], expires=None, now=1_700_000_000)
    store = connect(str(path))
    await store.create(key)
    await store.close()
    auth = {"providers": [{"type": "api_key"}], "access_policy": OPERATORS}
    config = run_config("http://127.0.0.1:9", {"type": "sqlite", "db_path": str(path)}, server={"auth": auth})
    async with client_of(config) as client:
        headers = {"authorization": f"Bearer {token}"}
        made = await client.post("/v1/configurations", json=entry({"timeout": 1}), headers=headers)
        assert (made.json()["owner"], made.json()["owner_name"]) == (key.identifier, "night shift")
        history = (await client.get("/v1/configurations", headers=headers)).json()["data"]
        assert [version["owner_name"] for version in history] == ["night shift"]


async def test_a_rule_says_who_may_and_the_owner_is_kept(tmp_path: Path) -> None:
    async with stack(tmp_path, OPERATORS) as client:
        refused = await client.post("/v1/configurations", json=entry({"timeout": 1}), headers=by("ada"))
        assert (refused.status_code, "create the configuration" in message(refused)) == (403, True)
        made = await client.post("/v1/configurations", json=entry({"timeout": 1}), headers=by("ops"))
        assert (made.status_code, made.json()["owner"]) == (200, "ops")
        assert (await client.get("/v1/configurations/1", headers=by("ops"))).status_code == 200
        hidden = await client.get("/v1/configurations/1", headers=by("ada"))
        missing = await client.get("/v1/configurations/7", headers=by("ada"))
        assert hidden.status_code == missing.status_code == 404
        assert message(hidden).replace("`1`", "`7`") == message(missing)
        assert (await client.get("/v1/configurations", headers=by("ada"))).json()["data"] == []
        assert (await client.get("/v1/inspect/configurations", headers=by("ada"))).status_code == 403
        assert (await client.delete("/v1/configurations/1", headers=by("ada"))).status_code == 404
        revert = await client.post("/v1/configurations", json={"revert_to": "1"}, headers=by("ada"))
        assert revert.status_code == 403
        assert (await client.delete("/v1/configurations/1", headers=by("ops"))).status_code == 200


async def test_a_rule_about_providers_is_about_their_ids(tmp_path: Path) -> None:
    async with stack(tmp_path, OPERATORS) as client:
        for name, body, code in (("ada", VLLM, 403), ("ops", VLLM | {"provider_id": "mine"}, 403), ("ops", VLLM, 200)):
            answer = await client.post("/v1/providers", json=body, headers=by(name))
            assert answer.status_code == code, answer.text
        assert (await client.delete("/v1/providers/team-a", headers=by("ada"))).status_code == 403
        assert (await client.delete("/v1/providers/team-a", headers=by("ops"))).status_code == 200


@pytest.mark.parametrize("variable", ["AWS_LAMBDA_FUNCTION_NAME", "LLAMBDA_REACHABLE"])
async def test_where_others_may_call_and_nobody_is_known_nobody_registers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "x")
    async with running() as upstream:
        store = {"type": "sqlite", "db_path": str(tmp_path / "registry.db")}
        async with client_of(run_config(upstream.url, store)) as client:
            answer = await client.post("/v1/configurations", json=entry({"timeout": 1}))
            assert (answer.status_code, "it has no server.auth" in message(answer)) == (403, True)
