"""What one caller registers changes nothing for another, and no name of a model is a way around what guards it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
import json
from pathlib import Path
import re
from typing import Any

from aiohttp import web
import httpx
import pytest

from core.config.load import interpret
from tests.parts import upstream as upstreams
from tests.parts.live_stack import client_over, without_request
from tests.parts.upstream import CHAT, EMBEDDINGS, FakeUpstream, status, stream

CHATS = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "Hello"}]
REFUSED = "I can't answer that"
GUARD = {"input_shields": ["guard"], "output_shields": ["guard"]}
AT_M = {"provider_id": "local", "provider_model_id": "m"}
AT_COPY = {"provider_id": "local", "provider_model_id": "copy"}
SAFE, UNSAFE = "safe", "unsafe\nS1"


async def _vouch(request: web.Request) -> web.StreamResponse:
    name = json.loads(await request.read())["api_key"]
    return web.json_response({"principal": name, "attributes": {"roles": [name]}})


def says(text: str) -> Any:
    message = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 90, "completion_tokens": 10, "total_tokens": 100}
    return status(200, {**CHAT, "choices": [message], "usage": usage})


@dataclass
class World:
    """`local` serves m, copy, open and e, an embedding model; `guards` serves g, which judges, and secret."""

    local: FakeUpstream
    guards: FakeUpstream
    folder: Path
    opened: AsyncExitStack
    client: httpx.AsyncClient = field(init=False)

    async def start(self, *extra: str, auth: bool = True, rules: Any = None, safety: Any = None, **more: Any) -> None:
        """`extra` are ids of further providers at `guards`."""

        def provider(name: str, upstream: FakeUpstream) -> dict[str, Any]:
            return {"provider_id": name, "provider_type": "remote::vllm", "config": {"url": f"{upstream.url}/v1"}}

        server: dict[str, Any] = {}
        if auth:
            permit = [{"permit": {"actions": ["create", "read", "delete"]}}]
            config = {"endpoint": f"{self.local.url}/auth"}
            quota = {"kvstore": {"type": "sqlite", "db_path": str(self.folder / "quota.db")}, "max_tokens": 10_000}
            server = {"auth": {"provider_type": "custom", "config": config, "access_policy": rules or permit}}
            server["quota"] = quota
        guard = {"shield_id": "guard", "provider_shield_id": "guards/g", "provider_id": "llama"}
        document = {
            "version": 2,
            "image_name": "t",
            "apis": ["inference", "safety"],
            "providers": {
                "inference": [
                    provider("local", self.local),
                    *(provider(name, self.guards) for name in ("guards", *extra)),
                ],
                "safety": [{"provider_id": "llama", "provider_type": "inline::llama-guard", "config": {}}],
            },
            "shields": [guard],
            "configurations": {"refresh_seconds": 0, "allow_private_urls": True},
            "metadata_store": {"type": "sqlite", "db_path": str(self.folder / "registry.db")},
            "server": server,
            **({} if safety is None else {"safety": safety}),
            **more,
        }
        self.client = await self.opened.enter_async_context(client_over(interpret(document, {})))

    async def post(self, path: str, name: str = "ada", **body: Any) -> httpx.Response:
        return await self.client.post(path, json=body, headers={"authorization": f"Bearer {name}"})

    async def get(self, path: str, name: str = "ada") -> httpx.Response:
        return await self.client.get(path, headers={"authorization": f"Bearer {name}"})

    async def register(self, model: str, name: str = "bob", **more: Any) -> None:
        answer = await self.post("/v1/models", name, **{"model_id": model, **AT_M, **more})
        assert answer.status_code == 200, answer.text

    async def shield(self, shield: str, model: str, name: str = "bob", **more: Any) -> None:
        body = {"shield_id": shield, "provider_shield_id": model, **more}
        answer = await self.post("/v1/shields", name, **body)
        assert answer.status_code == 200, answer.text

    async def chat(self, model: str, name: str = "ada") -> str:
        answer = await self.post(CHATS, name, model=model, messages=HELLO)
        message = answer.json()["choices"][0]["message"] if answer.is_success else {}
        return (
            message.get("refusal") or message.get("content") or f"{answer.status_code} {without_request(answer.text)}"
        )

    def asked(self, upstream: FakeUpstream) -> list[str]:
        return [seen.body["model"] for seen in upstream.seen if seen.path == CHATS]

    async def used(self, name: str) -> int:
        count: int = (await self.get("/v1/quota", name)).json()["tokens"]["used"]
        return count


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    replies = {"/auth": _vouch, "/v1/embeddings": status(200, EMBEDDINGS)}
    local = FakeUpstream(models=[{"id": name} for name in ("m", "copy", "open", "e")], replies=replies)
    guards = FakeUpstream(models=[{"id": "g"}, {"id": "secret"}], replies={CHATS: says(UNSAFE)})
    async with upstreams.running(local), upstreams.running(guards), AsyncExitStack() as opened:
        yield World(local, guards, tmp_path, opened)


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": GUARD},
        {"metadata": {"input_shields": ["bobs"]}},
        {"metadata": {"input_shields": ["missing"]}},
        {"metadata": {"private": "of bob's"}},
        {"metadata": {"embedding_dimension": 3}, "model_type": "embedding"},
        {"metadata": {"targets": [{"provider_id": "guards", "provider_model_id": "secret"}]}},
    ],
)
async def test_what_one_registers_changes_nothing_of_the_providers_own_name(
    world: World, change: dict[str, Any]
) -> None:
    await world.start()
    await world.shield("bobs", "guards/g")
    paths = ("/v1/models/local/m", "/v1/openai/v1/models/local/m", "/v1/models?limit=4")
    before = [(await world.get(path)).text for path in paths]
    for name in ("aaa", "zzz"):
        await world.register(name, **change)
    assert [(await world.get(path)).text for path in paths][:2] == before[:2]
    assert "of bob's" not in json.dumps(
        [row for row in (await world.get(paths[2])).json()["data"] if row["id"] == "local/m"]
    )
    for caller in ("ada", "bob"):
        assert await world.chat("local/m", caller) == "Hello"
    assert (world.asked(world.local), world.asked(world.guards)) == (["m", "m"], [])
    refused = await world.post("/v1/models", "bob", model_id="local/m", **AT_M, **change)
    assert refused.status_code == (400 if "targets" in change["metadata"] else 409)
    same = await world.post("/v1/models", "bob", model_id="local/m", **AT_M)
    assert (same.status_code, "owner" in same.json()) == (200, False)
    assert await world.chat("local/m") == "Hello"


async def test_what_one_registers_puts_no_condition_on_what_another_does(world: World) -> None:
    await world.start()
    await world.register("aaa", metadata={"input_shields": ["guard"]})
    await world.register("adas", "ada")
    assert await world.chat("adas") == "Hello"
    await world.register("guarded", "ada", metadata=GUARD)
    mine = await world.post("/v1/models", model_id="other", **AT_M)
    assert (mine.status_code, mine.json()["error"]["param"]) == (400, "metadata")
    assert "is guarded by `guard`" in mine.text


async def test_an_embedding_model_is_one_under_the_name_that_says_so(world: World) -> None:
    await world.start()
    body = {"model_type": "embedding", "metadata": {"embedding_dimension": 1}, "provider_model_id": "e"}
    await world.register("vectors", "ada", **body)
    assert (await world.post("/v1/embeddings", model="vectors", input="x")).status_code == 200
    assert (await world.post("/v1/embeddings", model="local/e", input="x")).status_code == 400


async def test_no_shield_that_another_registered_is_meant_by_a_providers_name_or_by_none(world: World) -> None:
    world.guards.replies[CHATS] = says(SAFE)
    await world.start()
    await world.shield("bobs", "local/open", params={"k": 1})
    for body in ({"shield_id": "llama/local/open"}, {"shield_id": "nothing"}):
        answer = await world.post("/v1/safety/run-shield", messages=HELLO, **body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    taken = await world.post(
        "/v1/shields", "bob", shield_id="llama/guards/g", provider_shield_id="guards/g", params={"k": 1}
    )
    assert taken.status_code == 409
    moderated = await world.post("/v1/moderations", input="x")
    assert (moderated.status_code, moderated.json()["model"]) == (200, "guard")
    assert (world.asked(world.local), world.asked(world.guards)) == ([], ["g"])
    await world.shield("adas", "guards/g", "ada")
    assert (await world.post("/v1/moderations", input="x")).status_code == 400


async def test_what_others_register_does_not_change_what_a_guards_name_means(world: World) -> None:
    world.guards.replies[CHATS] = says(SAFE)
    await world.start()
    await world.shield("bobs", "guards/g", params={"strict": False})
    await world.shield("bobs-own", "guards/secret")
    for name in ("guards/g", "llama/guards/g"):
        answer = await world.post("/v1/moderations", input="x", model=name)
        assert (answer.status_code, answer.json().get("model")) == (200, name), answer.text
    assert (await world.post("/v1/moderations", input="x", model="guards/secret")).status_code == 404
    assert (await world.post("/v1/moderations", "bob", input="x", model="guards/secret")).status_code == 200
    both = await world.post("/v1/moderations", "bob", input="x", model="guards/g")
    assert (both.status_code, "`bobs`, `guard`" in both.json()["error"]["message"]) == (400, True)


async def test_a_shield_that_one_may_not_use_is_not_found_by_its_guards_name(world: World) -> None:
    forbid = {"forbid": {"actions": ["read"], "resource": "shield::guard"}, "unless": "user with ada in roles"}
    await world.start(rules=[forbid, {"permit": {"actions": ["create", "read"]}}])
    answers = [
        await world.post("/v1/moderations", "bob", input="x", model=name)
        for name in ("guards/g", "guards/n", "llama/guards/g", "llama/guards/n")
    ]
    texts = {without_request(answer.text).replace("guards/g", "guards/n").replace("llama/", "") for answer in answers}
    assert ({answer.status_code for answer in answers}, len(texts)) == ({404}, 1)
    assert (await world.post("/v1/moderations", input="x", model="guards/g")).status_code == 200


async def test_a_rule_about_any_declared_name_is_about_the_providers_own(world: World) -> None:
    models = [{"model_id": name, **AT_M} for name in ("first", "second")]
    forbid = {"forbid": {"actions": ["read"], "resource": "model::second"}, "unless": "user with ada in roles"}
    await world.start(rules=[forbid, {"permit": {"actions": ["create", "read"]}}], models=models)
    assert [await world.chat(name) for name in ("first", "second", "local/m")] == ["Hello"] * 3
    assert [(await world.chat(name, "bob"))[:3] for name in ("first", "second", "local/m")] == ["Hel", "404", "404"]
    denied = await world.post("/v1/models", "bob", model_id="mine", **AT_M)
    assert denied.status_code == 403
    await world.register("alias", "ada")
    await world.register("by-target", "ada", provider_model_id="open", metadata={"targets": [AT_M]})
    for name in ("alias", "by-target"):
        assert (await world.chat(name), (await world.chat(name, "bob"))[:3]) == ("Hello", "404")


async def test_what_is_permitted_under_a_declared_name_does_not_show_what_others_call_it(world: World) -> None:
    permit = {"permit": {"actions": ["read"], "resource": "model::small"}}
    own = {"permit": {"actions": ["create", "read"]}, "when": "user with ada in roles"}
    await world.start(rules=[permit, own], models=[{"model_id": "small", **AT_M}])
    await world.register("private", "ada")
    assert [(await world.chat(name, "bob"))[:5] for name in ("small", "local/m", "private")] == [
        "Hello",
        "Hello",
        "404 {",
    ]


GUARDED = [
    {"model_id": "guarded", **AT_M, "metadata": GUARD | {"targets": [AT_COPY | {"priority": 1}]}},
    {"model_id": "bare", **AT_M},
    {"model_id": "behind", "provider_id": "local", "provider_model_id": "open", "metadata": {"targets": [AT_COPY]}},
]


async def test_no_name_of_a_guarded_place_is_a_way_around(world: World) -> None:
    await world.start(models=GUARDED)
    target = {"targets": [AT_M | {"priority": 0}]}
    await world.register("alias")
    await world.register("at-copy", provider_model_id="copy")
    await world.register("by-target", provider_model_id="open", metadata=target)
    await world.register("emptied", metadata={"input_shields": [], "output_shields": []})
    for name in ("guarded", "bare", "behind", "alias", "at-copy", "by-target", "emptied", "local/m", "local/copy"):
        assert REFUSED in await world.chat(name, "bob"), name
        streamed = await world.post(CHATS, "bob", model=name, messages=HELLO, stream=True)
        native = await world.post("/v1/inference/chat-completion", "bob", model_id=name, messages=HELLO)
        batch = await world.post("/v1/inference/batch-chat-completion", "bob", model_id=name, messages_batch=[HELLO])
        assert all("Hel" not in answer.text for answer in (streamed, native, batch)), name
    assert not world.asked(world.local)
    assert await world.chat("local/open", "bob") == "Hello"


@pytest.mark.parametrize(
    ("safety", "judged"),
    [
        ({"default_shields": ["guard"]}, {"ada", "bob"}),
        ({"default_shields": {"input": ["llama/guards/g"]}}, {"ada", "bob"}),
        ({"default_shields": {"output": ["guard"]}}, {"ada", "bob"}),
        ({"rules": [{"when": "user with ada in roles", "shields": ["guard"]}]}, {"ada"}),
        ({"rules": [{"unless": ["user with bob in roles"], "shields": {"input": ["guard"]}}]}, {"ada"}),
        ({"rules": [{"when": ["user with ada in roles", "user is owner"], "shields": ["guard"]}]}, set[str]()),
        ({"default_shield_id": "guard"}, set[str]()),
    ],
)
async def test_the_deployments_shields_guard_every_model_and_its_rules_whom_they_say(
    world: World, safety: Any, judged: set[str]
) -> None:
    await world.start(safety=safety, models=[{"model_id": "declared", **AT_COPY}])
    await world.register("alias")
    for name in ("declared", "alias", "local/open", "local/m"):
        assert {caller for caller in ("ada", "bob") if REFUSED in await world.chat(name, caller)} == judged, name


async def test_a_rule_may_be_about_whose_name_of_a_model_it_is(world: World) -> None:
    await world.start(safety={"rules": [{"unless": "user is owner", "shields": ["guard"]}]})
    await world.register("bobs")
    assert (await world.chat("bobs", "bob"), REFUSED in await world.chat("bobs")) == ("Hello", True)


async def test_a_default_shield_does_not_judge_what_its_own_guard_is_asked(world: World) -> None:
    world.guards.replies[CHATS] = says(SAFE)
    await world.start(safety={"default_shields": ["guard"]})
    assert await world.chat("local/m") == "Hello"
    assert world.asked(world.guards) == ["g", "g"]
    await world.shield("bobs", "guards/secret")
    judged = await world.post("/v1/safety/run-shield", "bob", shield_id="bobs", messages=HELLO)
    assert (judged.json(), world.asked(world.guards)[2:]) == ({"violation": None}, ["secret"])


async def test_nobody_registers_the_shield_that_the_operator_names(world: World) -> None:
    world.guards.replies[CHATS] = says(SAFE)
    await world.start(models=[{"model_id": "guarded", **AT_M, "metadata": {"input_shields": ["coming"]}}])
    before = await world.chat("local/m", "bob")
    await world.shield("coming", "guards/g")
    assert await world.chat("local/m", "bob") == before
    assert before.startswith("503")
    assert not world.asked(world.guards)


async def test_nobody_registers_the_model_that_the_operators_shield_asks(world: World) -> None:
    shield = {"shield_id": "guard", "provider_shield_id": "judge", "provider_id": "llama"}
    await world.start(shields=[shield], safety={"default_shields": ["guard"]})
    before = await world.chat("local/m")
    await world.register("judge")
    world.local.replies[CHATS] = says(SAFE)
    assert (before[:3], await world.chat("local/m"), await world.chat("local/m", "bob")) == ("503", before, before)
    run = await world.post("/v1/safety/run-shield", "bob", shield_id="guard", messages=HELLO)
    assert (run.status_code, world.asked(world.local)) == (404, [])


async def test_nobody_registers_the_shield_that_an_owner_names(world: World) -> None:
    world.guards.replies[CHATS] = says(SAFE)
    await world.start()
    await world.register("bobs", metadata={"input_shields": ["coming"]})
    before = await world.chat("bobs", "bob")
    await world.shield("coming", "guards/g", "ada")
    assert [await world.chat("bobs", name) for name in ("ada", "bob")] == [before, before]
    assert before.startswith("503")
    assert not world.asked(world.guards)


async def test_no_third_partys_shield_judges_and_none_that_is_hidden_is_skipped(world: World) -> None:
    forbid = {"forbid": {"actions": ["read"], "resource": "shield::bobs"}, "unless": "user with bob in roles"}
    world.guards.replies[CHATS] = says(SAFE)
    await world.start(rules=[forbid, {"permit": {"actions": ["create", "read"]}}])
    await world.shield("bobs", "guards/g")
    await world.register("shared", metadata={"input_shields": ["bobs"]})
    assert await world.chat("shared", "bob") == "Hello"
    hidden = await world.chat("shared")
    await world.register("lost", provider_model_id="open", metadata={"input_shields": ["none"]})
    assert (hidden[:3], hidden.replace("bobs", "none")) == ("503", await world.chat("lost"))
    assert world.asked(world.guards) == ["g"]


HIDE_SECRET = [
    {"forbid": {"actions": ["read"], "resource": "model::guards/secret"}, "unless": "user with ada in roles"},
    {"permit": {"actions": ["create", "read", "delete"]}},
]


async def test_a_model_that_one_may_not_use_is_not_asked_by_a_shield_of_ones_own(world: World) -> None:
    await world.start(
        rules=HIDE_SECRET, models=[{"model_id": "named", "provider_id": "guards", "provider_model_id": "secret"}]
    )
    answers: list[list[tuple[int, str]]] = []
    for model, places in (("guards/secret", ("m", "copy", "e")), ("guards/nothing", ("open", "e", "m"))):
        name = model.partition("/")[2]
        await world.shield(f"s-{name}", model)
        shields = [f"s-{name}"]
        await world.register(f"m-{name}", "ada", provider_model_id=places[0], metadata={"input_shields": shields})
        await world.register(f"n-{name}", "bob", provider_model_id=places[1], metadata={"output_shields": shields})
        await world.shield(f"nested-{name}", f"m-{name}")
        replies = [
            await world.post("/v1/safety/run-shield", "bob", shield_id=f"s-{name}", messages=HELLO),
            await world.post("/v1/moderations", "bob", model=f"s-{name}", input=["a", "b"]),
            await world.post("/v1/safety/run-shield", "bob", shield_id=f"nested-{name}", messages=HELLO),
            await world.post(CHATS, "bob", model=f"m-{name}", messages=HELLO),
            await world.post(CHATS, "bob", model=f"n-{name}", messages=HELLO, stream=True),
        ]
        answers.append([(reply.status_code, without_request(reply.text.replace(name, "x"))) for reply in replies])
    assert answers[0] == answers[1]
    assert [code for code, _ in answers[0]] == [404, 404, 503, 503, 200]
    assert not world.asked(world.guards)
    assert "Hel" not in answers[0][4][1]
    operators = await world.post("/v1/safety/run-shield", "bob", shield_id="guard", messages=HELLO)
    assert operators.json()["violation"]["metadata"]["violation_type"] == "S1"


async def test_what_a_shield_of_ones_own_asks_is_charged_whatever_it_answers(world: World) -> None:
    await world.start()
    await world.shield("bobs", "guards/secret")
    await world.register("mine", metadata={"input_shields": ["bobs"]})
    body = {"shield_id": "bobs", "messages": HELLO}
    assert (await world.post("/v1/safety/run-shield", "bob", **body)).json()["violation"] is not None
    assert (await world.used("bob"), await world.used("ada")) == (100, 0)
    world.guards.replies[CHATS] = says("a long answer that is no verdict")
    assert (await world.post("/v1/safety/run-shield", "bob", **body)).status_code == 502
    assert (await world.post("/v1/moderations", "bob", input=["a", "b"], model="bobs")).status_code == 502
    assert (await world.post(CHATS, "bob", model="mine", messages=HELLO)).status_code == 502
    assert await world.used("bob") == 400


async def test_without_auth_what_anybody_registers_holds_for_every_name_of_the_place(world: World) -> None:
    await world.start(auth=False, models=[{"model_id": "declared", **AT_COPY}])
    await world.register("aaa")
    await world.register("by-target", provider_model_id="open", metadata={"targets": [AT_M]})
    assert await world.chat("local/m") == "Hello"
    await world.register("guarded", metadata=GUARD)
    for name in ("guarded", "aaa", "by-target", "local/m"):
        assert REFUSED in await world.chat(name), name
    await world.register("at-copy", provider_model_id="copy", metadata=GUARD)
    assert (await world.chat("declared"), REFUSED in await world.chat("local/copy")) == ("Hello", True)
    assert (await world.client.delete("/v1/models/guarded")).status_code == 200
    assert [await world.chat(name) for name in ("aaa", "local/m", "local/open")] == ["Hello"] * 3
    await world.shield("anybodys", "guards/g")
    await world.register("own", provider_model_id="open", metadata={"input_shields": ["anybodys"]})
    assert REFUSED in await world.chat("own")


async def test_a_stream_of_a_guarded_place_is_guarded_by_its_target_too(world: World) -> None:
    world.local.replies[CHATS] = stream(
        [{"choices": [{"index": 0, "delta": {"content": "Hello"}, "finish_reason": None}]}]
    )
    models = [{"model_id": "guarded", **AT_COPY, "metadata": {"output_shields": ["guard"]}}]
    await world.start(models=models)
    await world.register("by-target", provider_model_id="open", metadata={"targets": [AT_COPY]})
    answer = await world.post(CHATS, "bob", model="by-target", messages=HELLO, stream=True)
    assert REFUSED in answer.text
    assert "Hello" not in answer.text


@pytest.mark.parametrize(
    ("provider_id", "fits"),
    [
        ("new", True),
        ("mine", True),
        ("local/m", False),
        ("local/", False),
        ("meta", False),
        ("declared", False),
        ("team", False),
        ("team/a", False),
        ("team/a/b", True),
        ("me", True),
    ],
)
async def test_a_new_provider_takes_nobodys_names(world: World, provider_id: str, *, fits: bool) -> None:
    declared = {"model_id": "declared/x", **AT_M}
    await world.start(auth=False, models=[declared])
    for name in ("mine", "meta/llama", "team/a/b"):
        await world.register(name)
    body: dict[str, Any] = {
        "api": "inference",
        "provider_type": "remote::vllm",
        "config": {"url": f"{world.guards.url}/v1"},
    }
    answer = await world.post("/v1/providers", provider_id=provider_id, force=True, **body)
    assert answer.is_success is fits, answer.text
    assert "meta/llama" not in answer.text
    assert "team/a/b" not in answer.text.replace(provider_id, "")
    names = ("mine", "meta/llama", "team/a/b", "declared/x", "local/m")
    assert [await world.chat(name) for name in names] == ["Hello"] * len(names)
    assert not world.asked(world.guards)


async def test_a_new_provider_does_not_come_by_what_was_registered_at_one_that_is_gone(world: World) -> None:
    body: dict[str, Any] = {
        "api": "inference",
        "provider_type": "remote::vllm",
        "config": {"url": f"{world.guards.url}/v1"},
    }
    await world.start("gone", "left", auth=False)
    await world.register("theirs", provider_id="gone", provider_model_id="g")
    await world.register("behind", metadata={"targets": [{"provider_id": "left", "provider_model_id": "g"}]})
    await world.start(auth=False)
    for name in ("gone", "left"):
        again = await world.post("/v1/providers", provider_id=name, force=True, **body)
        assert (again.status_code, again.json()["error"]["param"]) == (400, "provider_id")


OWNERS = [{"permit": {"actions": ["create", "read", "delete"]}, "when": ["user in owners roles"]}]
PLACES = [
    {"provider_id": name, "provider_model_id": model}
    for name, model in (("local", "m"), ("local", "e"), ("guards", "g"))
]


async def _all_that_one_sees(world: World) -> list[Any]:
    """What ada hears of what is declared, listed and her own, asked for in every way."""
    listed = [(await world.get(f"/v1/{kind}")).json()["data"] for kind in ("models", "shields")]
    others = [[row for row in rows if row.get("owner") != "bob"] for rows in listed]
    names = ("declared", "guarded", "adas", "local/m", "local/e", "guards/g", "nothing")
    chats = [await world.chat(name) for name in names]
    shown = [without_request((await world.get(f"/v1/models/{name}")).text) for name in names]
    judged = [
        without_request((await world.post("/v1/safety/run-shield", shield_id=name, messages=HELLO)).text)
        for name in ("guard", "llama/guards/g", "own", "nothing", "llama/local/m")
    ]
    moderated = (await world.post("/v1/moderations", input="x", model="own")).json()["results"]
    bodies = [{"model_id": "new", **place} for place in PLACES[1:]]
    made = [
        without_request(re.sub(r'"created":[0-9]+', "", (await world.post("/v1/models", **body)).text))
        for body in bodies
    ]
    await world.client.delete("/v1/models/new", headers={"authorization": "Bearer ada"})
    return [others, chats, shown, judged, moderated, made]


@pytest.mark.parametrize("rules", [None, OWNERS])
async def test_nothing_that_another_registers_or_removes_can_be_told(world: World, rules: Any) -> None:
    models = [{"model_id": "declared", **AT_M}, {"model_id": "guarded", **AT_COPY, "metadata": GUARD}]
    await world.start(rules=rules, models=models, safety={"default_shields": {"output": ["guard"]}})
    world.guards.replies[CHATS] = says(SAFE)
    await world.register("adas", "ada", metadata={"input_shields": ["own"]})
    await world.shield("own", "guards/g", "ada")
    before = await _all_that_one_sees(world)
    targets = {"targets": [AT_COPY]}
    changes: list[dict[str, Any]] = [
        {},
        {"metadata": {"input_shields": ["bobs"], "output_shields": ["missing"]}},
        {"metadata": {"secret": 1} | targets},
        {"metadata": {"embedding_dimension": 2}, "model_type": "embedding"},
    ]
    wanted = [
        ("/v1/shields", {"shield_id": name, "provider_shield_id": "guards/g", "params": {"k": name}})
        for name in ("bobs", "llama/x", "own", "guard")
    ]
    for number, change in enumerate(changes):
        for place in PLACES:
            provider_name = f"{place['provider_id']}/{place['provider_model_id']}"
            names = (f"0{number}{provider_name}", f"z{number}{provider_name}", provider_name, "adas", "declared")
            wanted += [("/v1/models", {"model_id": name, **place, **change}) for name in names]
    made = [(path, body) for path, body in wanted if (await world.post(path, "bob", **body)).is_success]
    assert len(made) > 10
    assert await _all_that_one_sees(world) == before
    for path, body in made:
        name = body.get("model_id") or body["shield_id"]
        await world.client.delete(f"{path}/{name}", headers={"authorization": "Bearer bob"})
    assert await _all_that_one_sees(world) == before


FORBIDDEN_G: list[Any] = [
    {"forbid": {"actions": ["read"], "resource": "model::guards/secret"}},
    {"permit": {"actions": ["create", "read", "delete"]}},
]
SPELLINGS = [
    "guards/secret", "guards/secret ", "guards/secret\n", "guards/secret\0", "guards/secret\u200b", "guards%2Fsecret",
    "guards/secre%74", "GUARDS/secret", "guards/SECRET", "guards//secret", "guards/./secret", "local/../guards/secret",
    "/guards/secret", "\uff47uards/secret", "guards/\uff53ecret", "guards\u2215secret", "guards/secret?x", "guards/secret#x",
]  # fmt: skip


async def test_a_forbidden_model_has_no_other_spelling(world: World) -> None:
    await world.start(rules=FORBIDDEN_G)
    for model in SPELLINGS:
        assert (await world.chat(model)).startswith("404"), model
        body = {"model_id": "alias", "provider_id": "guards", "provider_model_id": model.removeprefix("guards/")}
        assert (await world.post("/v1/models", **body)).status_code in {400, 403}, model
    assert world.asked(world.guards) == []


@pytest.mark.parametrize(
    ("body", "model"),
    [
        ('"model": "guards/secret", "model": "local/m"', "m"),
        ('"model": "local/m", "model": "guards/secret"', None),
        ('"model": "local/m", "\\u006dodel": "guards/secret"', None),
        ('"model": "local/m", "messages": []', None),
    ],
)
async def test_of_keys_that_repeat_everybody_reads_the_last(world: World, body: str, model: str | None) -> None:
    await world.start(rules=FORBIDDEN_G)
    content = f'{{"messages": {json.dumps(HELLO)}, {body}}}'
    headers = {"authorization": "Bearer ada", "content-type": "application/json"}
    answer = await world.client.post(CHATS, content=content, headers=headers)
    assert world.asked(world.local) == ([] if model is None else [model])
    assert answer.is_success == (model is not None)
    assert world.asked(world.guards) == []


OTHERS = {
    "Model": "m is secret", "MODEL": "secret", "mode\u004c": "secret", "Stream": True, "\u017ftream": True, "MAX_TOKENS": 9999,
    "max_to\u212aens": 9999, "N": 100, "models": ["secret"], "Models": ["secret"], "fallbacks": ["secret"],
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
async def test_no_field_is_one_thing_to_the_stack_and_another_to_a_server(world: World, name: str) -> None:
    """Servers in Go, as Ollama, match names whatever their case; gateways choose among `models`."""
    await world.start(rules=FORBIDDEN_G)
    bodies: dict[str, dict[str, Any]] = {
        CHATS: {"model": "local/m", "messages": HELLO},
        "/v1/completions": {"model": "local/m", "prompt": "Hello"},
        "/v1/embeddings": {"model": "local/e", "input": "Hello"},
        "/v1/inference/chat-completion": {"model_id": "local/m", "messages": HELLO},
    }
    for path, body in bodies.items():
        answer = await world.post(path, **body | {name: OTHERS[name]})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, name), path
    assert [seen for seen in world.local.seen if seen.method == "POST" and seen.path != "/auth"] == []
