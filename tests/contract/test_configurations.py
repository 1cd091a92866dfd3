"""The Configuration API over real upstreams, with each store: what is registered holds at once, whole, and can be undone."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any

from aiohttp import web
import httpx
import pytest

from tests.parts.live_stack import CHAT, client_of, entry, message, run_config
from tests.parts.upstream import FakeUpstream, hang, running, status

REGISTER = "/v1/configurations"


@dataclass
class World:
    """The stack's one provider is at `a`; `b` is where it could be."""

    client: httpx.AsyncClient
    a: FakeUpstream
    b: FakeUpstream
    document: dict[str, Any]

    async def post(self, path: str, body: Any) -> httpx.Response:
        return await self.client.post(path, json=body)

    async def chat(self, model: str = "local/m", **more: Any) -> httpx.Response:
        return await self.client.post("/v1/chat/completions", json={**CHAT, "model": model, **more})

    async def view(self) -> dict[str, Any]:
        shown: dict[str, Any] = (await self.client.get("/v1/inspect/configurations")).json()
        return shown

    def asked(self) -> tuple[int, int]:
        """How many chats each upstream has seen."""
        counts = [sum(seen.path == "/v1/chat/completions" for seen in each.seen) for each in (self.a, self.b)]
        return counts[0], counts[1]


@pytest.fixture(params=["sqlite", "dynamodb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    if request.param == "sqlite":
        return {"type": "sqlite", "db_path": str(tmp_path / "registry.db")}
    table, endpoint = request.getfixturevalue("registry_table"), request.getfixturevalue("dynamodb_endpoint")
    return {"type": "dynamodb", "table": table, "endpoint_url": endpoint}


@pytest.fixture
def plain(tmp_path: Path) -> dict[str, Any]:
    """The store of the tests that are not about stores."""
    return {"type": "sqlite", "db_path": str(tmp_path / "registry.db")}


async def made(store: dict[str, Any], **more: Any) -> AsyncGenerator[World]:
    async with running() as a, running() as b:
        document = run_config(a.url, store, **more)
        async with client_of(document) as client:
            yield World(client, a, b, document)


@pytest.fixture
async def stored(store: dict[str, Any]) -> AsyncGenerator[World]:
    async for world in made(store):
        yield world


@pytest.fixture
async def world(plain: dict[str, Any]) -> AsyncGenerator[World]:
    async for world in made(plain):
        yield world


async def test_a_registered_configuration_holds_for_the_next_call(stored: World) -> None:
    assert (await stored.chat()).status_code == 200
    answer = await stored.post(REGISTER, entry({"url": stored.b.url}))
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert (shown["identifier"], shown["version"], shown["type"], shown["active"]) == ("1", 1, "configuration", True)
    assert (await stored.chat()).status_code == 200
    assert stored.asked() == (1, 1)
    view = await stored.view()
    assert (view["version"], view["providers"]["inference"][0]["config"]["url"]) == (1, stored.b.url)


async def test_unregistering_the_active_one_falls_back_to_the_run_config(stored: World) -> None:
    await stored.post(REGISTER, entry({"url": stored.b.url}))
    answer = await stored.client.delete("/v1/configurations/1")
    assert (answer.status_code, answer.json()) == (200, None)
    assert (await stored.chat()).status_code == 200
    assert stored.asked() == (1, 0)
    assert (await stored.client.get("/v1/configurations/1")).status_code == 404
    assert (await stored.client.delete("/v1/configurations/1")).status_code == 404
    assert (await stored.view())["version"] == 0
    again = (await stored.post(REGISTER, entry({"timeout": 7}))).json()
    assert again["identifier"] == "2"  # no number is given twice


async def test_each_version_lies_over_the_one_before_and_null_takes_back(stored: World) -> None:
    await stored.post(REGISTER, entry({"url": stored.b.url, "timeout": 7}))
    second = (await stored.post(REGISTER, entry({"max_tokens": 9, "timeout": None}))).json()
    config = second["config"]["providers"]["inference"][0]["config"]
    assert config == {"url": stored.b.url, "max_tokens": 9}
    view = (await stored.view())["providers"]["inference"][0]["config"]
    assert (view["timeout"], view["max_tokens"], view["url"]) == (30.0, 9, stored.b.url)


async def test_versions_are_listed_newest_first_in_pages(stored: World) -> None:
    for seconds in (1, 2, 3):
        await stored.post(REGISTER, entry({"timeout": seconds}))
    first = (await stored.client.get(REGISTER, params={"limit": 2})).json()
    assert [each["identifier"] for each in first["data"]] == ["3", "2"]
    assert (first["has_more"], first["active"], first["last_id"]) == (True, "3", "2")
    rest = (await stored.client.get(REGISTER, params={"limit": 2, "before": "2"})).json()
    assert [each["identifier"] for each in rest["data"]] == ["1"]
    assert rest["has_more"] is False
    one = (await stored.client.get("/v1/configurations/2")).json()
    assert (one["active"], one["note"], one["config"]["providers"]["inference"][0]["config"]) == (
        False,
        "registered",
        {"timeout": 2},
    )


async def test_an_earlier_version_can_be_put_in_force_again(stored: World) -> None:
    await stored.post(REGISTER, entry({"url": stored.b.url}))
    await stored.post(REGISTER, entry({"url": None}))
    await stored.chat()
    reverted = (await stored.post(REGISTER, {"revert_to": "1"})).json()
    assert (reverted["version"], reverted["note"]) == (3, "reverted to 1")
    await stored.chat()
    assert stored.asked() == (1, 1)
    assert (await stored.post(REGISTER, {"revert_to": "9"})).status_code == 404


async def test_what_is_so_already_makes_no_version(world: World) -> None:
    first = (await world.post(REGISTER, entry({"timeout": 7}))).json()
    again = (await world.post(REGISTER, entry({"timeout": 7}))).json()
    assert (first["identifier"], again["identifier"]) == ("1", "1")


async def test_the_seeds_json_text_and_the_inspected_view_can_be_registered(world: World) -> None:
    text = json.dumps(
        {"inference": [{"provider_id": "local", "provider_type": "remote::vllm", "config": {"timeout": 7}}]}
    )
    assert (await world.post("/v1/configurations/register", {"config": text})).status_code == 200
    view = await world.view()
    again = (await world.post(REGISTER, {"config": view})).json()
    assert (again["identifier"], again["dropped"], again["withheld"]) == ("1", [], [])
    view["providers"]["inference"][0]["config"]["timeout"] = 8
    assert (await world.post(REGISTER, {"config": view})).json()["identifier"] == "2"
    stale = await world.post(REGISTER, {"config": view})
    assert stale.status_code == 409
    assert "based on version 1, but 2 is in force" in message(stale)


async def test_what_a_user_may_not_set_is_dropped_and_named(world: World) -> None:
    answer = (await world.post(REGISTER, entry({"tls_verify": False, "nonsense": 1, "timeout": 7}))).json()
    path = "providers.inference[0].config"
    assert answer["dropped"] == [f"{path}.tls_verify", f"{path}.nonsense"]
    assert answer["config"]["providers"]["inference"][0]["config"] == {"timeout": 7}


async def test_no_secret_ever_comes_back(world: World) -> None:
    answers = [
        await world.post(REGISTER, entry({"url": world.b.url, "api_token": "users-own"})),
        await world.client.get("/v1/inspect/configurations"),
        await world.client.get(REGISTER),
        await world.client.get("/v1/configurations/1"),
        await world.client.get("/v1/providers"),
        await world.post(REGISTER, entry({"api_token": {"a": "users-own"}})),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 200, 400]
    for answer in answers:
        assert "operators-own" not in answer.text
        assert "users-own" not in answer.text
    await world.chat()
    assert world.b.seen[-1].headers["authorization"] == "Bearer users-own"


async def test_the_operators_key_goes_to_no_host_that_a_user_names(world: World) -> None:
    answer = (await world.post(REGISTER, entry({"url": world.b.url}))).json()
    assert answer["withheld"] == ["providers.inference[0].config.api_token"]
    await world.chat()
    assert all("operators-own" not in str(seen.headers) for seen in world.b.seen)
    await world.post(REGISTER, entry({"url": None}))
    await world.chat()
    assert world.a.seen[-1].headers["authorization"] == "Bearer operators-own"


async def test_a_key_that_came_for_one_host_does_not_follow_to_the_next(world: World) -> None:
    await world.post(REGISTER, entry({"url": world.b.url, "api_token": "for-b"}))
    async with running() as other:
        answer = await world.post(REGISTER, entry({"url": other.url}))
        assert answer.json()["withheld"] == ["providers.inference[0].config.api_token"]
        await world.chat()
        assert all("for-b" not in str(seen.headers) for seen in other.seen)


@pytest.mark.parametrize("text", ["${env.HOME}", "http://127.0.0.1:1/${env.SECRET}"])
async def test_no_variable_of_the_environment_is_read_for_a_user(plain: dict[str, Any], text: str) -> None:
    async with running() as a:
        document = run_config(a.url, plain)
        async with client_of(document, SECRET="hidden", HOME="/root") as client:
            answer = await client.post(REGISTER, json=entry({"url": text, "api_token": "x"}, force=True))
            assert "hidden" not in answer.text
            assert "/root" not in (await client.get("/v1/inspect/configurations")).text


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"inference": [{"provider_id": "locla", "config": {}}]}, "did you mean `local`"),
        ({"inference": [{"provider_id": "local", "provider_type": "remote::tgi"}]}, "is of type remote::vllm"),
        ({"safety": [{"provider_id": "local", "config": {}}]}, "no safety provider `local`"),
        ({"inference": {"provider_id": "local"}}, "must be a list"),
        ({"inference": ["local"]}, "must be a mapping"),
        ({"inference": [{"config": {}}]}, "provider_id: is required"),
        ({"inference": [{"provider_id": "local", "config": 3}]}, "config: must be a mapping"),
        ({"inference": [{"provider_id": "local", "confg": {}}]}, "did you mean `config`"),
        ({"inference": [{"provider_id": "local"}] * 2}, "`local` is given twice"),
        ({"inference": [{"provider_id": "local", "config": {"timeout": -1}}]}, "timeout: must be more than 0"),
        (
            {"inference": [{"provider_id": "local", "config": {"url": "ftp://x"}}]},
            "url: must be a URL that begins with http:// or https://",
        ),
        ({"providers": [], "x": 1}, "x: unknown key"),
        ("{", "is not valid JSON"),
        ("[]", "must be a mapping of APIs"),
        (None, "Give either `config`, or `revert_to`"),
        ("[" * 100_000, "recursion limit exceeded"),
    ],
)
async def test_what_is_wrong_is_refused_with_its_place(world: World, config: Any, said: str) -> None:
    answer = await world.post(REGISTER, {"config": config})
    assert answer.status_code == 400
    assert said in message(answer)
    assert (await world.view())["version"] == 0


async def test_every_mistake_is_named_at_once(world: World) -> None:
    entries = [{"provider_id": "x"}, {"provider_id": "y"}]
    answer = await world.post(REGISTER, {"config": {"inference": entries}})
    assert "`x`" in message(answer)
    assert "`y`" in message(answer)


async def test_a_configuration_that_would_break_a_running_model_is_refused(world: World) -> None:
    dead = "http://127.0.0.1:9"
    answer = await world.post(REGISTER, entry({"url": dead, "connect_timeout": 1}))
    assert answer.status_code == 400
    assert "m would no longer work" in message(answer)
    assert (await world.chat()).status_code == 200
    forced = await world.post(REGISTER, entry({"url": dead}, force=True))
    assert forced.status_code == 200
    assert (await world.chat()).status_code == 503


async def test_a_model_that_is_registered_must_still_be_served(world: World) -> None:
    await world.client.post("/v1/models", json={"model_id": "mine", "provider_id": "local", "provider_model_id": "m"})
    world.b.models = [{"id": "other", "object": "model"}]
    answer = await world.post(REGISTER, entry({"url": world.b.url}))
    assert answer.status_code == 400
    assert "does not serve m" in message(answer)
    world.b.models.append({"id": "m", "object": "model"})
    assert (await world.post(REGISTER, entry({"url": world.b.url}))).status_code == 200


async def test_a_provider_that_was_down_before_may_be_tuned(world: World) -> None:
    world.a.replies["/v1/models"] = status(500)
    assert (await world.post(REGISTER, entry({"timeout": 7}))).status_code == 200


async def test_a_dry_run_says_what_would_be_and_keeps_nothing(world: World) -> None:
    answer = (await world.post(REGISTER, entry({"url": world.b.url, "x": 1}, dry_run=True))).json()
    assert (answer["active"], answer["dry_run"], answer["dropped"]) == (
        False,
        True,
        ["providers.inference[0].config.x"],
    )
    assert (await world.client.get(REGISTER)).json()["data"] == []


async def test_a_megabyte_is_too_large(world: World) -> None:
    answer = await world.post(REGISTER, entry({"allowed_models": ["m" * 1000] * 1000}))
    assert answer.status_code == 413


async def test_an_answer_under_way_keeps_its_configuration(world: World) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b'data: {"id": "1", "choices": [{"delta": {"content": "be"}}]}\n\n')
        begun.set()
        await go_on.wait()
        await response.write(b'data: {"id": "1", "choices": [{"delta": {"content": "gun"}}]}\n\ndata: [DONE]\n\n')
        return response

    world.a.replies["/v1/chat/completions"] = slow
    first = asyncio.create_task(world.chat(stream=True))
    await begun.wait()
    await world.post(REGISTER, entry({"url": world.b.url}))
    assert (await world.chat()).status_code == 200
    go_on.set()
    assert '"gun"' in (await first).text
    assert world.asked() == (1, 1)


async def test_the_last_answer_over_a_replaced_stack_closes_its_connections(world: World) -> None:
    await world.chat()
    await world.post(REGISTER, entry({"url": world.b.url}))
    assert not any(connection.is_closing() for connection in world.a.connections if connection is not None)
    await world.chat()
    for _ in range(100):
        if all(connection is None or connection.is_closing() for connection in world.a.connections):
            return
        await asyncio.sleep(0.01)
    pytest.fail("the replaced provider keeps its connections")


async def test_where_the_store_is_down_from_the_start_only_health_answers(aws_credentials: None) -> None:
    del aws_credentials
    store = {"type": "dynamodb", "table": "none", "endpoint_url": "http://127.0.0.1:9"}
    async with running() as a, client_of(run_config(a.url, store)) as client:
        assert (await client.get("/v1/health")).status_code == 200
        answer = await client.post("/v1/chat/completions", json=CHAT)
        assert (answer.status_code, "cannot be read" in message(answer)) == (503, True)
        assert a.seen == []


async def test_a_shield_asks_its_model_where_that_is_now(plain: dict[str, Any]) -> None:
    async with running() as a, running() as b:
        document = run_config(a.url, plain, apis=["inference", "safety"])
        document["providers"]["safety"] = [{"provider_id": "guard", "provider_type": "inline::llama-guard"}]
        document["models"] = [{"model_id": "validator", "provider_id": "local", "provider_model_id": "m"}]
        document["shields"] = [{"shield_id": "s", "provider_id": "guard", "provider_shield_id": "validator"}]
        async with client_of(document) as client:
            await client.post(REGISTER, json=entry({"url": b.url}))
            judged = {"shield_id": "s", "messages": [{"role": "user", "content": "hi"}]}
            await client.post("/v1/safety/run-shield", json=judged)
            asked = [seen.path for each in (a, b) for seen in each.seen if "chat" in seen.path]
            assert asked == ["/v1/chat/completions"]
            assert any("chat" in seen.path for seen in b.seen)


async def test_a_provider_can_be_registered_used_and_unregistered(stored: World) -> None:
    body = {
        "api": "inference",
        "provider_id": "more",
        "provider_type": "remote::vllm",
        "config": {"url": stored.b.url, "api_token": "s3cret", "tls_verify": True},
    }
    answer = await stored.post("/v1/providers", body)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["version"], answer.json()["config"]["api_token"]) == (1, "********")
    assert (await stored.chat("more/m")).status_code == 200
    assert stored.asked() == (0, 1)
    shown = {each["provider_id"] for each in (await stored.client.get("/v1/providers")).json()["data"]}
    assert shown == {"local", "more"}
    assert (await stored.post("/v1/providers", body)).status_code == 409
    tuned = await stored.post(REGISTER, entry({"timeout": 7}, "more"))
    assert tuned.status_code == 200, tuned.text
    assert (await stored.chat("more/m")).status_code == 200
    assert stored.b.seen[-1].headers["authorization"] == "Bearer s3cret"
    assert "s3cret" not in tuned.text
    await stored.client.post("/v1/models", json={"model_id": "mine", "provider_id": "more", "provider_model_id": "m"})
    busy = await stored.client.delete("/v1/providers/more")
    assert busy.status_code == 400
    assert "serves mine" in message(busy)
    await stored.client.delete("/v1/models/mine")
    assert (await stored.client.delete("/v1/providers/more")).status_code == 200
    assert (await stored.chat("more/m")).status_code == 404


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ({"provider_type": "remote::vlm"}, 400, "did you mean `remote::vllm`"),
        ({"api": "safety", "provider_type": "remote::bedrock", "config": {}}, 400, "does not serve API `safety`"),
        ({"config": {}}, 400, "give `url`"),
        ({"config": {"url": "http://x", "wrong": 1}}, 400, "unknown key `wrong`"),
        ({"provider_id": "local"}, 409, "already"),
        ({"provider_id": ""}, 400, "provider_id"),
        ({"config": []}, 400, "config"),
    ],
)
async def test_a_provider_that_does_not_fit_is_refused(
    world: World, body: dict[str, Any], code: int, said: str
) -> None:
    whole = {"api": "inference", "provider_id": "more", "provider_type": "remote::vllm", "config": {"url": world.b.url}}
    answer = await world.post("/v1/providers", whole | body)
    assert answer.status_code == code
    assert said in message(answer)


async def test_a_provider_of_the_run_config_stays(world: World) -> None:
    answer = await world.client.delete("/v1/providers/local")
    assert (answer.status_code, "remove it there" in message(answer)) == (409, True)
    assert (await world.client.delete("/v1/providers/none")).status_code == 404


async def test_a_hanging_provider_is_refused_in_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.resolution.live.validator.PATIENCE", 0.2)
    world.b.replies["/v1/models"] = hang
    answer = await world.post(REGISTER, entry({"url": world.b.url}))
    assert answer.status_code == 400
    assert "did not answer within" in message(answer)


async def test_without_the_section_the_api_is_off_but_shows_what_is_set(plain: dict[str, Any]) -> None:
    async for world in made(plain, configurations=None):
        for answer in (await world.post(REGISTER, entry({"timeout": 1})), await world.client.get(REGISTER)):
            assert (answer.status_code, "configurations: {}" in message(answer)) == (404, True)
        view = await world.view()
        assert (view["version"], view["refresh_seconds"]) == (0, None)
        assert view["providers"]["inference"][0]["config"]["timeout"] == 30.0


async def test_what_the_stack_runs_on_and_reaches_is_shown(world: World) -> None:
    shown = (await world.client.get("/v1/inspect/environment")).json()
    assert shown["runs_on"]["kind"] == "machine"
    assert [each["provider_id"] for each in shown["upstreams"]] == ["local"]
