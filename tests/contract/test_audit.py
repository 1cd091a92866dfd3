"""GET /v1/audit: who reads which changes, and how they are asked for."""

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

POLICY = [
    {"permit": {"actions": "read", "resource": "audit::*"}, "when": "user with auditor in roles"},
    {"permit": {"actions": ["create", "read", "delete"], "resource": "model::*"}},
    {"permit": {"actions": ["create", "read", "delete"], "resource": "configuration::*"}},
    {"permit": {"actions": ["create", "delete"], "resource": "provider::*"}},
    {"permit": {"actions": ["read"]}, "when": ["user in owners roles", "user in owners teams"]},
    {"permit": {"actions": ["read"]}, "when": "user is owner"},
]
SECRET = "nobodys-business-4711"


async def _vouch(request: web.Request) -> web.StreamResponse:
    name = json.loads(await request.read())["api_key"]
    return web.json_response({"principal": name, "attributes": {"roles": [name]}})


@asynccontextmanager
async def stack(folder: Path, policy: Any = POLICY) -> AsyncGenerator[httpx.AsyncClient]:
    """A token is its bearer's name, which is its role; the operator has made a key at the command line."""
    registry = str(folder / "registry.db")
    store = connect(registry)
    await store.create(issue("ci", ["dev"], expires=None, now=1_700_000_000)[1])
    await store.close()
    async with running(FakeUpstream(replies={"/auth": _vouch})) as upstream:
        auth: dict[str, Any] = {"provider_type": "custom", "config": {"endpoint": f"{upstream.url}/auth"}}
        server = {} if policy is None else {"server": {"auth": auth | {"access_policy": policy}}}
        kept = {"type": "sqlite", "db_path": registry}
        config = run_config(upstream.url, kept, apis=["inference", "usage"], **server)
        async with client_of(config) as client:
            yield client


def by(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer {name}"}


async def register(client: httpx.AsyncClient, name: str, model: str) -> httpx.Response:
    body = {"model_id": model, "provider_id": "local", "provider_model_id": "m", "metadata": {"api_key": SECRET}}
    return await client.post("/v1/models", json=body, headers=by(name))


async def read(client: httpx.AsyncClient, name: str, **query: Any) -> dict[str, Any]:
    answer = await client.get("/v1/audit", params=query, headers=by(name))
    assert answer.status_code == 200, answer.text
    assert SECRET not in answer.text
    page: dict[str, Any] = answer.json()
    return page


def told(page: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Oldest first: who, what, of what."""
    rows = [(row["actor"], row["action"], row["entity"].partition("::")[0]) for row in page["data"]]
    return [(who if isinstance(who, str) else who["principal"], *rest) for who, *rest in rows][::-1]


async def test_an_auditor_reads_every_change_and_others_their_own(tmp_path: Path) -> None:
    async with stack(tmp_path) as client:
        assert (await register(client, "ada", "first")).status_code == 200
        assert (await client.delete("/v1/models/first", headers=by("eve"))).status_code == 200
        body = entry({"timeout": 3, "api_token": SECRET})
        assert (await client.post("/v1/configurations", json=body, headers=by("ada"))).status_code == 200
        more = {"url": "http://127.0.0.1:9", "api_token": SECRET}
        vllm = {"api": "inference", "provider_id": "more", "provider_type": "remote::vllm", "config": more}
        assert (await client.post("/v1/providers", json=vllm | {"force": True}, headers=by("ada"))).status_code == 200
        assert (await client.delete("/v1/providers/more", headers=by("ada"))).status_code == 200
        assert (await client.delete("/v1/configurations/1", headers=by("eve"))).status_code == 200
        by_ada = [
            ("ada", "create", "model"),
            ("ada", "create", "configuration"),
            ("ada", "create", "provider"),
            ("ada", "delete", "provider"),
        ]
        by_eve = [("eve", "delete", "model"), ("eve", "delete", "configuration")]
        everything = [("operator", "create", "key"), by_ada[0], by_eve[0], *by_ada[1:], by_eve[1]]
        assert told(await read(client, "auditor")) == everything
        assert told(await read(client, "ada")) == by_ada
        assert told(await read(client, "eve")) == by_eve
        assert await read(client, "mallory") == {"object": "list", "data": [], "has_more": False, "next_page": None}
        assert (await client.get("/v1/audit")).status_code == 401


async def test_an_entry_says_what_it_was_and_what_it_is(tmp_path: Path) -> None:
    async with stack(tmp_path) as client:
        body = entry({"timeout": 3, "api_token": SECRET})
        made = await client.post("/v1/configurations", json=body, headers=by("ada"))
        (row,) = (await read(client, "ada"))["data"]
        change = {"provider_id": "local", "provider_type": "remote::vllm"}
        assert row["entity"] == "configuration::1"
        assert row["request_id"] == made.headers["x-request-id"]
        assert row["actor"] == {"principal": "ada", "vouched_by": row["actor"]["vouched_by"], "label": ""}
        assert row["before"] == {"version": 0, "providers": {}}
        shown = change | {"config": {"timeout": 3, "api_token": "********"}}
        assert row["after"] == {"version": 1, "providers": {"inference": [shown]}}


async def test_entries_are_found_by_who_and_what_and_come_in_pages(tmp_path: Path) -> None:
    async with stack(tmp_path) as client:
        for name, model in (("ada", "a"), ("eve", "b"), ("ada", "c")):
            await register(client, name, model)
        await client.delete("/v1/models/a", headers=by("ada"))
        for query, count in (
            ({"actor": "ada"}, 3),
            ({"actor": "operator"}, 1),
            ({"action": "delete"}, 1),
            ({"entity": "model::*"}, 4),
            ({"entity": "model::a"}, 2),
            ({"entity": "*::b", "actor": "eve"}, 1),
            ({"until": 1_700_000_000}, 0),
        ):
            assert len((await read(client, "auditor", **query))["data"]) == count, query
        pages, page = [], await read(client, "auditor", limit=2)
        while page["has_more"]:
            pages.append(page)
            page = await read(client, "auditor", limit=2, page=page["next_page"])
        assert [len(one["data"]) for one in (*pages, page)] == [2, 2, 1]
        whole = await read(client, "auditor")
        assert [row["id"] for one in (*pages, page) for row in one["data"]] == [row["id"] for row in whole["data"]]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"since": 200, "until": 100}, "`until` must be after `since`; both are Unix seconds."),
        ({"since": 0, "until": 400 * 86_400 + 1}, "`since` and `until` may be at most 400 days apart"),
        ({"since": "yesterday"}, "since: Input should be a valid integer"),
        ({"until": 10**10}, "until: Input should be less than or equal to 9999999999"),
        ({"entity": "model"}, "`entity`: `model` does not name a resource"),
        ({"entity": "regex:model::.*"}, "`entity`: a regular expression is for rules alone."),
        ({"action": "rotate"}, "action: Input should be 'create', 'update' or 'delete'"),
        ({"page": "2"}, "page: must be `next_page` of the page before"),
        ({"limit": 1001}, "limit: Input should be less than or equal to 1000"),
    ],
)
async def test_a_question_that_cannot_be_answered_is_refused_with_the_reason(
    tmp_path: Path, query: dict[str, Any], says: str
) -> None:
    async with stack(tmp_path) as client:
        answer = await client.get("/v1/audit", params=query, headers=by("ada"))
        assert (answer.status_code, says in message(answer)) == (400, True), answer.text


async def test_without_auth_callers_read_what_callers_did_and_not_the_operator(tmp_path: Path) -> None:
    async with stack(tmp_path, None) as client:
        assert (await register(client, "anybody", "m")).status_code == 200
        assert told(await read(client, "anybody")) == [("anonymous", "create", "model")]
