"""Limits of keys over the wire: given, shown with what was used, lowered, and handed on."""

from pathlib import Path
import time
from typing import Any

import httpx
import pytest

from core.stores.audit.sqlite import connect as open_trail
from core.stores.registry.kept_key import KeptKey
from core.stores.registry.key_format import KIND
from tests.contract.test_keys import (
    ALL,
    NAMES,
    POLICY,
    World,
    bearer,
    id_of,
    made,
    registry,
    world,  # noqa: F401 - the fixture  # pyright: ignore[reportUnusedImport]
)
from tests.parts.live_stack import message

MONTH = {"window": "month", "money": "5.000000001"}


def counted(folder: Path, **more: Any) -> dict[str, Any]:
    """A quota, whose accounts know what keys have used."""
    return {"quota": {"kvstore": {"type": "sqlite", "db_path": str(folder / "counters.db")}, "max_tokens": 5000} | more}


async def stored(folder: Path, key_id: str) -> KeptKey:
    async with registry(folder) as store:
        entry = KeptKey.read(await store.get(KIND, key_id))
    assert entry is not None
    return entry


async def chat(client: httpx.AsyncClient, token: str, *, times: int) -> None:
    """Each of two tokens."""
    body = {"model": "small", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9}
    for _ in range(times):
        answer = await client.post("/v1/chat/completions", json=body, headers=bearer(token))
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("shards", [1, 3])
async def test_limits_are_kept_with_the_key_and_shown_with_what_was_used(world: World, shards: int) -> None:  # noqa: F811
    client, ops = await world.client(**counted(world.folder, shards=shards)), world.by("ops")
    rows = [{"window": "month", "requests": 100, "tokens": 5000, "soft": 0.5}, {**MONTH, "hard": False}]
    key = await made(client, ops, limits=rows)
    grant = (await stored(world.folder, key["id"])).key.grant
    assert grant is not None
    assert (grant.models, [row.nanos for row in grant.limits]) == (None, [None, 5_000_000_001])
    await chat(client, key["key"], times=2)
    calls, money = (await client.get(f"/v1/keys/{key['id']}", headers=ops)).json()["limits"]
    assert calls.pop("resets") == money.pop("resets") > time.time()
    used = {"requests": 2, "tokens": 4, "money": 0.0}
    common: dict[str, Any] = {"window": "month", "currency": "USD", "used": used}
    assert calls == common | {"requests": 100, "tokens": 5000, "money": None, "soft": 0.5, "hard": True}
    assert money == common | {"requests": None, "tokens": None, "money": 5.000000001, "soft": 0.8, "hard": False}
    changed = await client.post(f"/v1/keys/{key['id']}", json={"limits": []}, headers=ops)
    assert changed.json()["limits"] == []
    assert (await stored(world.folder, key["id"])).key.grant is None


async def test_a_limit_below_what_was_used_is_set_by_force_alone(world: World) -> None:  # noqa: F811
    client, ops = await world.client(**counted(world.folder)), world.by("ops")
    key = await made(client, ops, limits=[{"window": "month", "requests": 2}])
    await chat(client, key["key"], times=2)

    async def update(limits: list[dict[str, Any]], **more: Any) -> httpx.Response:
        return await client.post(f"/v1/keys/{key['id']}", json={"limits": limits} | more, headers=ops)

    low = {"window": "month", "requests": 1}
    refused = await update([low])
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "limit_below_use")
    assert "used 2 requests of this month, more than the new limit of 1 requests" in message(refused)
    assert "refused until 20" in message(refused)
    assert (await update([{**low, "hard": False}])).status_code == 200  # which refuses nothing
    assert (await update([low], force=True)).json()["limits"][0]["requests"] == 1
    assert (await update([low, {"window": "minute", "tokens": 5}])).status_code == 200  # the first is as it was


async def test_to_revoke_a_revoked_key_changes_nothing(world: World) -> None:  # noqa: F811
    client, ops = await world.client(), world.by("ops")
    key = await made(client, ops)
    path = f"/v1/keys/{key['id']}"
    first, again = [(await client.delete(path, headers=ops)).json() for _ in range(2)]
    assert first == again
    assert first["revoked"] is not None
    trail = open_trail(str(world.folder / "registry.db"))
    entries = [
        entry["action"] for entry in await trail.page(since=0, before="~", limit=100) if key["id"] in entry["entity"]
    ]
    await trail.close()
    assert entries == ["update", "create"]


@pytest.mark.parametrize(
    ("limits", "param", "words"),
    [
        ([{"window": "month", "money": 5, "currency": "EUR"}], "limits[0].currency", "must be USD"),
        ([{"window": "week", "money": 5}], "limits[0].window", "'minute', 'hour', 'day' or 'month'"),
        ([{"window": "day"}], "limits[0]", "limits nothing"),
        ([{"window": "day", "money": -1}], "limits[0].money", "0 or more"),
        ([{"window": "day", "money": "0.0000000001"}], "limits[0].money", "at most 9 decimals"),
        ([{"window": "day", "tokens": 1.5}], "limits[0].tokens", "integer"),
        ([{"window": "day", "tokens": 1, "soft": 2}], "limits[0].soft", "less than or equal to 1"),
        ([{"window": "day", "bytes": 1}], "limits[0].bytes", "Extra inputs"),
        ([{"window": "day", "tokens": 1}, {"window": "day", "tokens": 2}], "limits", "keep one of them"),
        ([{"window": "day", "tokens": 1}] * 13, "limits", "at most 12 items"),
    ],
)
async def test_a_limit_that_is_none_makes_no_key(world: World, limits: Any, param: str, words: str) -> None:  # noqa: F811
    client, ops = await world.client(**counted(world.folder)), world.by("ops")
    refused = await client.post("/v1/keys", json={"name": "x", "limits": limits}, headers=ops)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, param), refused.text
    assert words in message(refused)
    assert len((await client.get("/v1/keys", headers=ops)).json()["data"]) == len(NAMES)


async def test_limits_that_nothing_would_count_are_refused(world: World) -> None:  # noqa: F811
    client, ops = await world.client(), world.by("ops")
    refused = await client.post("/v1/keys", json={"name": "x", "limits": [MONTH]}, headers=ops)
    assert (refused.status_code, "has no server.quota" in message(refused)) == (400, True)


async def test_a_limited_key_makes_none_that_may_use_more(world: World) -> None:  # noqa: F811
    rules = [{"permit": {"actions": ALL, "resource": "key::*"}, "when": "user with chief in roles"}, *POLICY]
    client, ops = await world.client(rules, **counted(world.folder)), world.by("ops")
    chief = await made(client, ops, roles=["chief"], limits=[MONTH, {"window": "day", "requests": 50}])
    by_chief, within = bearer(chief["key"]), [{"window": "month", "money": 5}, {"window": "day", "requests": 50}]
    for limits in (
        [],
        within[:1],
        [within[0], {**within[1], "hard": False}],
        [within[0], {**within[1], "requests": 51}],
    ):
        refused = await client.post("/v1/keys", json={"name": "x", "limits": limits}, headers=by_chief)
        assert (refused.status_code, "Your own key has a limit of " in message(refused)) == (403, True), refused.text
    key = await made(client, by_chief, limits=within)
    assert (await client.post(f"/v1/keys/{key['id']}", json={"limits": []}, headers=by_chief)).status_code == 403
    other = await client.post(f"/v1/keys/{id_of(world.tokens['ops'])}/rotate", json={}, headers=by_chief)
    assert other.status_code == 403
    own = await client.post(f"/v1/keys/{chief['id']}", json={"limits": []}, headers=by_chief)
    assert (own.status_code, "may not change what it is for itself" in message(own)) == (403, True)


async def test_a_key_with_limits_is_refused_where_nothing_counts_by_now(world: World) -> None:  # noqa: F811
    client, ops = await world.client(**counted(world.folder)), world.by("ops")
    hard = await made(client, ops, limits=[{"window": "month", "requests": 5}])
    soft = await made(client, ops, limits=[{"window": "month", "requests": 5, "hard": False}])
    later = await world.client()
    refused = await later.get("/v1/models", headers=bearer(hard["key"]))
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "permission_denied")
    assert "has no server.quota" in message(refused)
    assert (await later.get("/v1/models", headers=bearer(soft["key"]))).status_code == 200
