"""GET /v1/usage: who reads what, how it is grouped, filtered and paged, and what is refused with which words."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
import csv
from datetime import timedelta
import io
import json
from pathlib import Path
from typing import Any

from aiohttp import web
import httpx
import pytest

from core.stores.counters.sqlite import connect as connect_counters
from core.stores.registry.key_format import issue
from core.stores.registry.sqlite import connect as connect_registry
from tests.parts.live_stack import client_of, message, run_config
from tests.parts.upstream import FakeUpstream, running
from tests.parts.usage import TODAY, chat, count, start_of

POLICY = [
    {"permit": {"actions": "read", "resource": "usage::*"}, "when": "user with controller in roles"},
    {"permit": {"actions": "read", "resource": "usage::team:red"}, "when": "user with red in teams"},
    {"permit": {"actions": ["create", "read", "update", "delete"]}},
]
TEAMS = {"ada": ["red"], "eve": ["blue", "red"], "bob": []}
ADA, EVE, BOB = (f"user:custom%20house:{name}" for name in ("ada", "eve", "bob"))


async def _vouch(request: web.Request) -> web.StreamResponse:
    name = json.loads(await request.read())["api_key"]
    return web.json_response({"principal": name, "attributes": {"roles": [name], "teams": TEAMS.get(name, [])}})


@asynccontextmanager
async def stack(folder: Path, *, auth: bool = True, counts: bool = True) -> AsyncGenerator[httpx.AsyncClient]:
    """A token is its bearer's name, which is its role. The quota limits nothing that matters here."""
    registry, usage = ({"type": "sqlite", "db_path": str(folder / f"{name}.db")} for name in ("registry", "usage"))
    async with running(FakeUpstream(replies={"/auth": _vouch})) as upstream:
        custom = {"type": "custom", "endpoint": f"{upstream.url}/auth", "issuer": "house"}
        server: dict[str, Any] = {"quota": {"kvstore": usage}} if counts else {}
        if auth:
            server["auth"] = {"providers": [{"type": "api_key"}, custom], "access_policy": POLICY}
        config = run_config(upstream.url, registry, apis=["inference", "usage"], server=server)
        async with client_of(config) as client:
            yield client


@pytest.fixture
async def keys(tmp_path: Path) -> dict[str, tuple[str, str]]:
    """Usage of ada and eve, of bob, and of two keys, by whose names there are their ids and secrets; one of them is revoked by now."""
    registry, issued = connect_registry(str(tmp_path / "registry.db")), {}
    for name in ("ci", "=cmd()"):
        token, resource = issue(name, ["dev"], expires=None, now=1_700_000_000)
        await registry.create(resource)
        issued[name] = resource.identifier, token
    await registry.close()
    store = connect_counters(str(tmp_path / "usage.db"))
    yesterday = TODAY - timedelta(days=1)
    await count(store, ADA, chat(), chat("large", nanos=3_000_000_000), teams="red")
    await count(store, ADA, chat(), day=yesterday, teams="red")
    await count(store, EVE, chat(prompt_tokens=100, cached_tokens=60, reasoning_tokens=2), teams="blue+red")
    await count(store, BOB, chat("local/free", nanos=0, unpriced=1))
    await count(store, f"user:api_key:{issued['ci'][0]}", chat(estimated_tokens=3))
    await count(store, f"user:api_key:{issued['=cmd()'][0]}", chat(), day=yesterday)
    await count(store, "anonymous:10.0.0.1", chat(nanos=1))
    await store.close()
    return issued


async def read(client: httpx.AsyncClient, bearer: str, **query: Any) -> dict[str, Any]:
    answer = await ask(client, bearer, **query)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


async def ask(client: httpx.AsyncClient, bearer: str, **query: Any) -> httpx.Response:
    return await client.get("/v1/usage", params=query, headers={"authorization": f"Bearer {bearer}"})


def told(page: dict[str, Any], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(entry[name] for name in (*page["group_by"], *names)) for entry in page["data"]]


async def test_whoever_a_rule_permits_reads_everybodys_by_any_group(
    tmp_path: Path, keys: dict[str, tuple[str, str]]
) -> None:
    ci, other = keys["ci"][0], keys["=cmd()"][0]
    async with stack(tmp_path) as client:
        page = await read(client, "controller", by="user")
        assert told(page, "requests") == [
            ("anonymous", 1),
            (ci, 1),
            (other, 1),
            ("ada", 3),
            ("bob", 1),
            ("eve", 1),
        ] or (told(page, "requests") == [("anonymous", 1), (other, 1), (ci, 1), ("ada", 3), ("bob", 1), ("eve", 1)])
        assert {entry["vouched_by"] for entry in page["data"]} == {"", "api_key", "custom house"}
        assert (page["scope"], page["currency"], page["unsettled"]) == ("all", "USD", None)
        assert page["until"] - page["since"] == 30 * 86_400
        by_key = await read(client, "controller", by="key")
        assert {(entry["key"], entry["key_name"]): entry["requests"] for entry in by_key["data"]} == {
            (None, None): 6,
            (ci, "ci"): 1,
            (other, "=cmd()"): 1,
        }
        assert told(await read(client, "controller", by="team"), "requests") == [
            (None, 4),
            ("blue+red", 1),
            ("red", 3),
        ]
        model = [("large", "local", 1), ("local/free", "local", 1), ("small", "local", 6)]
        assert told(await read(client, "controller", by="model,provider"), "answers") == model
        assert told(await read(client, "controller", **{"by[]": ["model", "provider"]}), "answers") == model
        days = [str(TODAY - timedelta(days=1)), str(TODAY)]
        assert told(await read(client, "controller", by="day"), "requests") == [(days[0], 2), (days[1], 6)]
        assert told(await read(client, "controller", by="api, operation"), "requests") == [
            ("inference", "chat_completion", 8)
        ]


@pytest.mark.usefixtures("keys")
async def test_an_entry_has_every_number_and_unknown_prices_are_said(tmp_path: Path) -> None:
    async with stack(tmp_path) as client:
        page = await read(client, "controller", team="blue")
        numbers = {
            "requests": 1,
            "answers": 1,
            "prompt_tokens": 100,
            "cached_tokens": 60,
            "cache_write_tokens": 0,
            "completion_tokens": 5,
            "reasoning_tokens": 2,
            "estimated_tokens": 0,
            "cost": 0.00002,
            "cost_nanos": 20_000,
            "unpriced_answers": 0,
        }
        assert (page["data"], page["total"]) == ([numbers], numbers)
        bob = (await read(client, "bob"))["total"]
        assert (bob["cost"], bob["cost_nanos"], bob["unpriced_answers"]) == (None, None, 1)
        every = (await read(client, "controller"))["total"]
        assert (every["cost_nanos"], every["cost"], every["unpriced_answers"]) == (3_000_100_001, 3.000100001, 1)
        assert every["estimated_tokens"] == 3


async def test_everybody_reads_their_own_and_others_where_a_rule_names_them(
    tmp_path: Path, keys: dict[str, tuple[str, str]]
) -> None:
    async with stack(tmp_path) as client:
        for bearer, requests in (("ada", 3), ("eve", 1), ("bob", 1), ("mallory", 0), (keys["ci"][1], 1)):
            page = await read(client, bearer, by="user")
            assert (page["scope"], sum(entry["requests"] for entry in page["data"])) == ("own", requests), bearer
        assert (await read(client, keys["ci"][1], key="ci"))["total"]["requests"] == 1
        assert (await read(client, "ada", user="ada", team="red"))["scope"] == "all"  # a rule shows ada's team to it
        assert told(await read(client, "ada", team="red", by="user"), "requests") == [("ada", 3), ("eve", 1)]
        for query, says in (
            ({"user": "eve"}, "usage::user:eve"),
            ({"key": keys["ci"][0]}, f"usage::key:{keys['ci'][0]}"),
            ({"team": "blue"}, "usage::team:blue"),
            ({"user": ["bob", "ada"]}, "usage::user:ada"),
        ):
            answer = await ask(client, "bob", **query)
            assert (answer.status_code, f"resource: '{says}'" in message(answer)) == (403, True), answer.text
        assert (await client.get("/v1/usage")).status_code == 401


async def test_callers_and_what_they_asked_are_filtered(tmp_path: Path, keys: dict[str, tuple[str, str]]) -> None:
    async with stack(tmp_path) as client:
        for query, requests in (
            ({"user": "ada"}, 3),
            ({"user": ["ada", "bob"]}, 4),
            ({"user": "anonymous"}, 1),
            ({"key": "ci"}, 1),
            ({"key": ["=cmd()", keys["ci"][0]]}, 2),
            ({"key": "nobody"}, 0),
            ({"team": "red"}, 4),
            ({"team": ["blue", "red"]}, 4),
            ({"team": "re"}, 0),
            ({"model": "large"}, 1),
            ({"model": ["large", "local/free"], "provider": "local"}, 2),
            ({"api": "responses"}, 0),
            ({"operation": "chat_completion", "user": "eve"}, 1),
            ({"since": str(TODAY)}, 6),
            ({"until": str(TODAY)}, 2),
            ({"since": start_of(TODAY - timedelta(days=1)), "until": start_of(TODAY)}, 2),
        ):
            assert (await read(client, "controller", **query))["total"]["requests"] == requests, query


@pytest.mark.usefixtures("keys")
async def test_groups_come_in_pages_and_as_csv(tmp_path: Path) -> None:
    async with stack(tmp_path) as client:
        whole = await read(client, "controller", by="day,user")
        entries, query = [], {"by": "day,user", "limit": 3}
        page = await read(client, "controller", **query)
        while page["has_more"]:
            assert (len(page["data"]), page["total"]) == (3, whole["total"])
            entries += page["data"]
            page = await read(client, "controller", **query, page=page["next_page"])
        assert [*entries, *page["data"]] == whole["data"]
        first = await read(client, "controller", **query)
        for other in ({"by": "day"}, {"by": "day,user", "user": "ada"}, {"by": "day,user", "since": str(TODAY)}):
            answer = await ask(client, "controller", **other, page=first["next_page"])
            assert "`page` must be `next_page` of the page before, and the rest of the query the same" in message(
                answer
            )
        answer = await ask(client, "controller", by="key,model", format="csv", limit=4)
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        titles, *rows = csv.reader(io.StringIO(answer.text))
        assert titles[:5] == ["key", "key_name", "model", "requests", "answers"]
        cells = {row[1]: dict(zip(titles, row, strict=True)) for row in rows if row[1]}
        assert cells.keys() <= {"ci", "'=cmd()"}
        rest = await ask(client, "controller", by="key,model", format="csv", page=answer.headers["x-llambda-next-page"])
        _, *more = csv.reader(io.StringIO(rest.text))
        assert {row[1] for row in (*rows, *more)} == {"", "ci", "'=cmd()"}
        costs = {row[2]: row[titles.index("cost")] for row in (*rows, *more)}
        assert (costs["large"], costs["local/free"]) == ("3", "")


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"since": str(TODAY - timedelta(days=3650))}, "Usage is kept 400 days: `since` may be"),
        ({"since": "2027-02-01", "until": "2027-01-01"}, "`until` must be after `since`."),
        ({"since": "yesterday"}, "`since` must be Unix seconds or a day as 2027-01-31."),
        ({"until": "2027-02-30"}, "`until` must be Unix seconds or a day as 2027-01-31."),
        ({"by": "modl"}, "`by`: there is no grouping `modl`; did you mean `model`?"),
        ({"by": "weekday,colour"}, "`by`: there is no grouping `weekday`"),
        ({"by": "day,colour"}, "`by`: there is no grouping `colour`; usage is grouped by day, key, user, team, model"),
        ({"page": "2"}, "`page` must be `next_page` of the page before"),
        ({"page": "\N{SNOWMAN}"}, "`page` must be `next_page` of the page before"),
        ({"limit": 0}, "limit: Input should be greater than or equal to 1"),
        ({"limit": 10_001}, "limit: Input should be less than or equal to 10000"),
        ({"format": "xml"}, "format: Input should be 'json' or 'csv'"),
    ],
)
async def test_a_question_that_cannot_be_answered_is_refused_with_the_reason(
    tmp_path: Path, query: dict[str, Any], says: str
) -> None:
    async with stack(tmp_path, auth=False) as client:
        answer = await ask(client, "anybody", **query)
        assert (answer.status_code, says in message(answer)) == (400, True), answer.text


@pytest.mark.usefixtures("keys")
async def test_without_auth_everybody_reads_everything(tmp_path: Path) -> None:
    async with stack(tmp_path, auth=False) as client:
        assert (await read(client, "anybody", user="ada"))["total"]["requests"] == 3
        assert (await read(client, "anybody"))["scope"] == "all"


async def test_a_stack_that_counts_nothing_says_so(tmp_path: Path) -> None:
    async with stack(tmp_path, auth=False, counts=False) as client:
        answer = await ask(client, "anybody")
        assert (answer.status_code, "This stack counts no usage" in message(answer)) == (503, True), answer.text
