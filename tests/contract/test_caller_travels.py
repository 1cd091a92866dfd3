"""Whatever a call causes is the caller's: under the same policy, charged to the same quota, told of in the same line."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
import json
from pathlib import Path
import sys
from typing import Any

from aiohttp import web
import httpx
import pytest

from core.apis.inference import ChatRequest, Inference
from core.apis.safety import RunShieldRequest
from core.frame.callers import CURRENT_CALL, ActingFor, Call, CallEnded, Principal
from core.resolution.external.compliance import check_compliance
from core.resolution.resolve import resolve
from core.web.observed import RequestRecord
from tests.contract.external import ADAPTER, loaded, put
from tests.parts import upstream as upstreams
from tests.parts.live_stack import client_over, without_request
from tests.parts.secrets import plant
from tests.parts.upstream import CHAT, FakeUpstream, chunk, status, stream

CHATS = "/v1/chat/completions"
SHIELD = "/v1/safety/run-shield"
HELLO = [{"role": "user", "content": "Hello"}]
COST = 1000  # tokens of one judgement
OPERATORS, CALLERS = plant("key-of-the-operator"), plant("key-of-the-caller")

PRICES = [
    {"provider_id": "p", "model": "m", "price": {"input": 2, "output": 3}},
    {"provider_type": "remote::vllm", "model": "g", "price": {"input": 0.5, "output": 0.000001}},
]

JUDGE = """
import asyncio
from pydantic import BaseModel
from core.apis.inference import ChatRequest
late = []
class Config(BaseModel):
    first: str | None = None
class Judge:
    def __init__(self, inference): self.inference = inference
    async def run_shield(self, shield, messages, params):
        request = ChatRequest(model=params.get("ask", shield.provider_resource_id), messages=messages)
        return await getattr(self, params.get("how", "chat"))(request)
    async def chat(self, request):
        await self.inference.chat_completion(request)
    async def stream(self, request):
        async for chunk in await self.inference.stream_chat_completion(request): pass
    async def tasks(self, request):
        await asyncio.gather(*[asyncio.create_task(self.chat(request)) for _ in range(3)])
    async def outlive(self, request):
        async def later():
            await asyncio.sleep(0.2)
            await self.chat(request)
        late.append(asyncio.create_task(later()))
    async def check_shield(self, shield):
        if "ask" in shield.attributes["params"]: await self.run_shield(shield, [{}], shield.attributes["params"])
    async def health(self): return {"status": "OK"}
async def get_provider_impl(config, deps):
    await Judge(deps["inference"]).chat(ChatRequest(model=config.first, messages=[{}])) if config.first else None
    return Judge(deps["inference"])
"""
LISTED = """
from core.frame.callers import CURRENT_CALL
for_whom = []
class Listed(Parrot):
    async def list_models(self):
        for_whom.append(CURRENT_CALL.get())
        return await super().list_models()
async def get_adapter_impl(config, deps): return Listed(config)
"""


def verdict(text: str = "safe", *, usage: bool = True) -> Any:
    message = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    used = {"prompt_tokens": COST - 10, "completion_tokens": 10, "total_tokens": COST}
    reply = {**CHAT, "choices": [message], "usage": used}
    return status(200, reply if usage else {name: value for name, value in reply.items() if name != "usage"})


@dataclass
class World:
    """`p` serves `m`, which is `guarded`, and `plain` and `circular`; `q` serves the guard's model, and a copy of `m`."""

    first: FakeUpstream
    second: FakeUpstream
    folder: Path
    module: str
    opened: AsyncExitStack
    records: list[RequestRecord] = field(default_factory=list[RequestRecord])

    def document(
        self,
        rules: list[dict[str, Any]] | None = None,
        *,
        limited: bool = True,
        first: str | None = None,
        safety: dict[str, Any] | None = None,
        **quota: Any,
    ) -> Any:
        def provider(name: str, upstream: FakeUpstream) -> dict[str, Any]:
            config = {"url": f"{upstream.url}/v1", "api_token": OPERATORS}
            return {"provider_id": name, "provider_type": "remote::vllm", "config": config}

        at_p = {"provider_id": "p", "provider_model_id": "m"}
        shields = {"input_shields": ["guard"], "output_shields": ["guard"]}
        auth: dict[str, Any] = {"provider_type": "custom", "config": {"endpoint": f"{self.first.url}/auth"}}
        if rules is not None:
            auth["access_policy"] = rules
        counters = {"type": "sqlite", "db_path": str(self.folder / "quota.db")}
        other = {"provider_id": "q", "provider_model_id": "copy", "priority": 1}
        more: dict[str, Any] = {
            "models": [
                {"model_id": "plain", "provider_id": "p", "provider_model_id": "open"},
                {"model_id": "guarded", **at_p, "metadata": shields | {"targets": [other]}},
                {
                    "model_id": "circular",
                    "provider_id": "p",
                    "provider_model_id": "ring",
                    "metadata": {"input_shields": ["round"]},
                },
                {"model_id": "judges", "provider_id": "q", "provider_model_id": "g"},
            ],
            "shields": [
                {"shield_id": "guard", "provider_shield_id": "judges", "provider_id": "llama"},
                {"shield_id": "judge", "provider_shield_id": "plain", "provider_id": "external"},
                {"shield_id": "round", "provider_shield_id": "circular", "provider_id": "external"},
            ],
            "server": {"auth": auth, "usage": {"prices": PRICES}},
            "safety": safety,
        }
        if limited:
            more["server"]["quota"] = {"kvstore": counters, "max_tokens": 100_000, **quota}
        judges = [
            {"provider_id": "llama", "provider_type": "inline::llama-guard", "config": {}},
            {"provider_id": "external", "provider_type": "inline::parrot", "config": {"first": first}},
        ]
        return loaded(
            self.folder, more, inference=[provider("p", self.first), provider("q", self.second)], safety=judges
        )

    async def client(self, rules: list[dict[str, Any]] | None = None, **quota: Any) -> httpx.AsyncClient:
        stack = client_over(self.document(rules, **quota), self.records.append)
        return await self.opened.enter_async_context(stack)

    def asked(self, upstream: FakeUpstream) -> int:
        return sum(seen.path == CHATS for seen in upstream.seen)


async def _vouch(request: web.Request) -> web.StreamResponse:
    name = json.loads(await request.read())["api_key"]
    return web.json_response({"principal": name, "attributes": {"roles": [name]}})


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.syspath_prepend(str(tmp_path))
    module = put(tmp_path, JUDGE, "safety", "inline", api_dependencies=["inference"])
    first = FakeUpstream(models=[{"id": name} for name in ("m", "open", "ring")], replies={"/auth": _vouch})
    second = FakeUpstream(models=[{"id": "g"}, {"id": "copy"}], replies={CHATS: verdict()})
    async with upstreams.running(first), upstreams.running(second), AsyncExitStack() as opened:
        yield World(first, second, tmp_path, module, opened)


def by(name: str, **more: str) -> dict[str, str]:
    return {"authorization": f"Bearer {name}", **more}


async def chat(client: httpx.AsyncClient, model: str = "guarded", *, name: str = "ada", **more: Any) -> httpx.Response:
    return await client.post(CHATS, json={"model": model, "messages": HELLO, **more}, headers=by(name))


async def judge(client: httpx.AsyncClient, shield: str = "judge", name: str = "ada", **params: Any) -> httpx.Response:
    body = {"shield_id": shield, "messages": HELLO, "params": params}
    return await client.post(SHIELD, json=body, headers=by(name))


async def used(client: httpx.AsyncClient, name: str = "ada") -> int:
    count: int = (await client.get("/v1/quota", headers=by(name))).json()["tokens"]["used"]
    return count


async def test_a_guarded_chat_is_charged_what_its_guards_use_and_its_line_names_what_was_asked_for(
    world: World,
) -> None:
    client = await world.client()
    assert (await chat(client)).json()["choices"][0]["message"]["content"] == "Hello"
    told = world.records[-1]
    assert await used(client) == 2 + 2 * COST
    observed = told.observed
    assert (observed.operation, observed.model, observed.provider, observed.provider_model) == (
        "chat_completion",
        "guarded",
        "p",
        "m",
    )
    assert observed.tokens == {"prompt": 1 + 2 * (COST - 10), "completion": 1 + 2 * 10}
    assert 0 < observed.upstream.seconds < told.seconds
    assert observed.nanos == 5000 + 2 * (COST - 10) * 500 + 1  # two judgements' 20 tokens cost 20 pico-USD


async def test_a_refusal_is_charged_the_guards_tokens_alone(world: World) -> None:
    client = await world.client()
    world.second.replies[CHATS] = verdict("unsafe\nS1")
    for streamed in (False, True):
        assert "I can't answer that" in (await chat(client, max_tokens=500, stream=streamed)).text
    assert await used(client) == 2 * COST
    assert not world.asked(world.first)
    assert world.records[-2].observed.nanos == (COST - 10) * 500 + 1
    assert (world.records[-2].observed.model, world.records[-2].observed.provider) == ("guarded", "")


@pytest.mark.parametrize("more", [{}, {"stream": True}])
async def test_a_failure_gives_back_the_reservation_and_not_what_the_guards_reported(
    world: World, more: dict[str, Any]
) -> None:
    client = await world.client()
    world.first.replies[CHATS] = status(400, {"error": {"message": "no"}})
    assert (await chat(client, max_tokens=500, **more)).status_code == 400
    assert await used(client) == COST


async def test_what_an_answer_does_not_say_it_used_stays_reserved_beside_what_its_guards_say(world: World) -> None:
    client = await world.client()
    world.first.replies[CHATS] = status(200, {key: value for key, value in CHAT.items() if key != "usage"})
    assert (await chat(client, max_tokens=500)).status_code == 200
    assert await used(client) == 500 + 2 * COST


async def test_a_stream_is_charged_each_judgement_of_its_windows(world: World) -> None:
    client = await world.client()
    usage = {"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 5, "total_tokens": 9}}
    world.first.replies[CHATS] = stream([*(chunk("a" * 100) for _ in range(10)), chunk(None, "stop"), usage])
    answer = await chat(client, stream=True)
    assert answer.text.endswith("data: [DONE]\n\n")
    judgements = world.asked(world.second)
    assert judgements > 3
    assert await used(client) == 9 + judgements * COST


async def test_a_judgement_by_itself_is_charged_and_bounded_by_the_quota(world: World) -> None:
    client = await world.client()
    assert (await judge(client, "guard")).json() == {"violation": None}
    assert await used(client) == COST
    body = {"input": ["a", "b"], "model": "guard"}
    assert (await client.post("/v1/moderations", json=body, headers=by("ada"))).status_code == 200
    assert await used(client) == 3 * COST
    world.second.replies[CHATS] = verdict(usage=False)
    assert (await judge(client, "guard")).status_code == 200
    unsaid = await used(client)
    assert unsaid >= 3 * COST + 64  # the reservation, or the guard's long prompt
    world.second.replies[CHATS] = status(500, {})
    assert (await judge(client, "guard")).status_code == 502
    assert await used(client) == unsaid


async def test_who_has_no_tokens_left_has_no_judgements_left(world: World) -> None:
    client = await world.client(max_tokens=COST)
    answers = [(await judge(client, "guard")).status_code for _ in range(2)]
    assert answers == [200, 429]


HIDDEN: list[dict[str, Any]] = [
    {"forbid": {"actions": "read", "resource": "model::judges"}, "unless": "user with ada in roles"},
    {"forbid": {"actions": "read", "resource": "model::q/*"}, "unless": "user with ada in roles"},
    {"forbid": {"actions": "read", "resource": "shield::guard"}, "unless": "user with ada in roles"},
    {"permit": {"actions": ["create", "read", "delete"]}},
]


async def test_whoever_may_use_a_model_need_not_see_what_guards_it_and_is_charged_for_it(world: World) -> None:
    client = await world.client([HIDDEN[0], *HIDDEN[2:]])
    assert (await chat(client, "judges", name="bob")).status_code == 404
    assert (await judge(client, "guard", "bob")).status_code == 404
    assert (await chat(client, name="bob")).status_code == 200
    assert (await used(client, "bob"), await used(client)) == (2 + 2 * COST, 0)


async def test_a_guard_is_asked_with_the_operators_key_whatever_the_caller_brings(world: World) -> None:
    client = await world.client()
    data = {"X-LlamaStack-Provider-Data": json.dumps({"vllm_api_token": CALLERS})}
    answer = await client.post(CHATS, json={"model": "guarded", "messages": HELLO}, headers=by("ada", **data))
    assert answer.status_code == 200
    keys = {
        name: upstream.seen[-1].headers["authorization"]
        for name, upstream in zip("pq", (world.first, world.second), strict=True)
    }
    assert keys == {"p": f"Bearer {CALLERS}", "q": f"Bearer {OPERATORS}"}


@pytest.mark.parametrize("how", ["chat", "stream"])
async def test_what_an_external_provider_asks_for_is_under_the_callers_policy_and_charged(
    world: World, how: str
) -> None:
    client = await world.client(HIDDEN)
    assert (await judge(client, name="bob", how=how)).json() == {"violation": None}
    told = world.records[-1].observed
    assert (told.operation, told.model, told.provider, told.provider_model) == (
        "run_shield",
        "judge",
        "external",
        "plain",
    )
    own = {"chat": 2, "stream": 3}[how]
    assert (await used(client, "bob"), sum(told.tokens.values())) == (own, own)
    hidden = await judge(client, name="bob", how=how, ask="judges")
    assert (hidden.status_code, hidden.json()["error"]["code"]) == (404, "not_found")
    missing = await judge(client, name="bob", how=how, ask="nothing")
    assert without_request(hidden.text.replace("judges", "nothing")) == without_request(missing.text)
    assert not world.asked(world.second)
    assert (await judge(client, ask="judges")).status_code == 200
    assert (await used(client), await used(client, "bob")) == (COST, own)


async def test_what_an_external_provider_asks_for_is_guarded_too(world: World) -> None:
    client = await world.client()
    world.second.replies[CHATS] = verdict("unsafe\nS1")
    assert (await judge(client, ask="guarded")).status_code == 200
    assert (world.asked(world.first), await used(client)) == (0, COST)


async def test_what_guards_every_model_guards_what_a_callers_own_shield_asks_and_not_what_the_operators_does(
    world: World,
) -> None:
    client = await world.client(safety={"default_shields": ["guard"]})
    world.second.replies[CHATS] = verdict("unsafe\nS1")
    own = {"shield_id": "own", "provider_shield_id": "open", "provider_id": "external"}
    assert (await client.post("/v1/shields", json=own, headers=by("ada"))).status_code == 200
    assert (await judge(client, "own", ask="plain")).status_code == 200
    assert (world.asked(world.first), world.asked(world.second)) == (0, 1)
    assert (await judge(client)).status_code == 200
    assert (world.asked(world.first), world.asked(world.second)) == (1, 1)


async def test_tasks_that_a_provider_starts_and_waits_for_are_the_callers(world: World) -> None:
    client = await world.client()
    assert (await judge(client, how="tasks")).status_code == 200
    assert await used(client) == 6


@pytest.mark.parametrize("limited", [True, False])
async def test_a_task_that_outlives_its_call_is_refused_before_it_uses_anything(world: World, *, limited: bool) -> None:
    client = await world.client(limited=limited)
    assert (await judge(client, how="outlive")).status_code == 200
    (task,) = sys.modules[world.module].late
    with pytest.raises(CallEnded, match="nobody could be charged"):
        await task
    assert not world.asked(world.first)
    assert not limited or await used(client) == 0
    assert CURRENT_CALL.get() is None


async def test_a_shield_that_is_asked_within_its_own_judgement_is_an_error_and_no_circle(world: World) -> None:
    client = await world.client()
    for answer in (await chat(client, "circular"), await judge(client, "round")):
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "provider_unavailable")
        assert "which in turn ask it (external/circular -> external/circular)" in answer.text
    assert not world.asked(world.first)


async def test_a_long_chain_of_judgements_ends(world: World) -> None:
    client = await world.client()
    for number in range(6):
        model = {"model_id": f"m{number}", "provider_id": "p", "provider_model_id": f"m{number}"}
        shield = {"shield_id": f"s{number}", "provider_shield_id": f"m{number}", "provider_id": "external"}
        world.first.models.append({"id": f"m{number}"})
        shields = {"metadata": {"input_shields": [f"s{number + 1}"]}}
        assert (await client.post("/v1/models", json=model | shields, headers=by("ada"))).status_code == 200
        assert (await client.post("/v1/shields", json=shield, headers=by("ada"))).status_code == 200
    assert "cannot judge here" in (await chat(client, "m0")).text
    assert not world.asked(world.first)


async def test_outside_of_any_call_a_provider_acts_as_the_stack_itself(world: World) -> None:
    stack = await resolve(world.document([]), ["safety"], version="1")
    external = next(i.provider for i in stack.instances if i.entry.provider_id == "external")
    check_compliance("inference", external.inference, Inference)
    assert not hasattr(external.inference, "list_models")
    answer = await external.inference.chat_completion(ChatRequest(model="judges", messages=HELLO))
    assert answer["model"] == "judges"
    caller = Call(Principal("ada", {}))
    refused = stack.surfaces["safety"](caller).run_shield(RunShieldRequest(shield_id="judge", messages=HELLO))
    with pytest.raises(Exception, match="is not a known shield"):
        await refused
    await stack.close()


@pytest.mark.parametrize("for_reference", [False, True])  # whether some package has imported the reference
async def test_a_method_is_called_for_whoever_calls_it_not_for_whoever_awaits_it(
    world: World, monkeypatch: pytest.MonkeyPatch, *, for_reference: bool
) -> None:
    monkeypatch.setattr("core.resolution.external.provider.is_asked_for", lambda: for_reference)
    stack = await resolve(world.document(), ["safety"], version="1")
    inference = next(i.provider for i in stack.instances if i.entry.provider_id == "external").inference
    caller = Call(Principal("ada", {}))
    token = CURRENT_CALL.set(caller)
    coming = inference.chat_completion(ChatRequest(model="plain", messages=HELLO))
    CURRENT_CALL.reset(token)
    await asyncio.create_task(coming)
    assert (caller.tokens, caller.end().further) == (2, 2)
    await stack.close()


async def test_what_guards_a_declared_model_guards_every_name_of_it(world: World) -> None:
    client = await world.client()
    alias = {"model_id": "alias", "provider_id": "p", "provider_model_id": "m"}
    behind = {
        "model_id": "behind",
        "provider_id": "q",
        "provider_model_id": "g",
        "metadata": {"targets": [{"provider_id": "p", "provider_model_id": "m"}]},
    }
    for body in (alias, behind):
        assert (await client.post("/v1/models", json=body, headers=by("ada"))).status_code == 200
    world.second.replies[CHATS] = verdict("unsafe\nS1")
    for name in ("guarded", "p/m", "q/copy", "alias", "behind"):
        native_body = {"model_id": name, "messages": HELLO}
        assert "I can't answer that" in (await chat(client, name)).text, name
        native = await client.post("/v1/inference/chat-completion", json=native_body, headers=by("ada"))
        assert "Hello" not in native.text, name
    assert not world.asked(world.first)
    assert (await chat(client, "plain")).json()["choices"][0]["message"]["content"] == "Hello"


async def test_no_second_name_is_registered_around_the_shields_of_the_first(world: World) -> None:
    client = await world.client()
    shields = {"input_shields": ["guard"], "output_shields": []}
    at_q = {"provider_id": "q", "provider_model_id": "g"}

    async def register(name: str, metadata: dict[str, Any], **place: str) -> httpx.Response:
        body = {"model_id": name, **(place or at_q), "metadata": metadata}
        return await client.post("/v1/models", json=body, headers=by("bob"))

    assert (await register("first", shields)).status_code == 200
    targets = [at_q]
    for refused in (
        await register("second", {}),
        await register("second", {"output_shields": ["guard"]}),
        await register("second", {"targets": targets}, provider_id="p", provider_model_id="m"),
    ):
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "metadata")
        assert "`q/g` is guarded by `guard`; name the same in input_shields" in refused.text
    assert (await register("second", shields)).status_code == 200
    assert (await register("first", shields)).status_code == 200


async def test_who_registers_a_model_at_a_price_needs_a_rule_that_is_about_prices(world: World) -> None:
    async def register(client: httpx.AsyncClient, name: str, price: Any = None) -> httpx.Response:
        place = {"model_id": "mine", "provider_id": "q", "provider_model_id": "copy"}
        body = {**place, "metadata": {} if price is None else {"price": price}}
        return await client.post("/v1/models", json=body, headers=by(name))

    everything = {"permit": {"actions": ["create", "read", "delete"]}}
    prices = {"permit": {"principal": "ada", "actions": "create", "resource": "price::mi*"}}
    too_few: list[list[dict[str, Any]] | None] = [None, [everything]]
    for rules in too_few:
        refused = await register(await world.client(rules), "ada", {"input": 0, "output": 0})
        assert refused.status_code == 403
        assert "lets you create `price::mine`. It takes one of its own" in refused.text
    client = await world.client([everything, prices])
    assert (await register(client, "bob", {"input": 0})).status_code == 403
    wrong = await register(client, "ada", {"input": -1})
    assert (wrong.status_code, "price.input must be USD" in wrong.text) == (400, True)
    assert (await register(client, "ada", {"input": 0, "output": 0})).json()["metadata"] == {
        "price": {"input": 0, "output": 0}
    }
    assert (await chat(client, "mine")).status_code == 200
    assert world.records[-1].observed.costs[1] == 0  # between those of the guards, which the place has
    assert (await chat(client, "judges")).status_code == 200
    assert world.records[-1].observed.nanos == (COST - 10) * 500 + 1
    assert (await chat(client, "plain")).status_code == 200
    assert world.records[-1].observed.nanos is None


async def test_what_checking_a_shield_uses_is_charged_to_whoever_registers_it(world: World) -> None:
    client = await world.client(HIDDEN)

    async def register(ask: str) -> int:
        body = {"shield_id": "new", "provider_shield_id": "x", "provider_id": "external", "params": {"ask": ask}}
        return (await client.post("/v1/shields", json=body, headers=by("bob"))).status_code

    assert (await register("judges"), await used(client, "bob")) == (404, 0)
    assert (await register("plain"), await used(client, "bob")) == (200, 2)


async def test_a_provider_that_is_made_during_a_call_is_made_for_everyone(world: World) -> None:
    caller = Call(Principal("ada", {}))
    with ActingFor(caller):
        stack = await resolve(world.document([], first="judges"), ["safety"], version="1")
    assert (world.asked(world.second), caller.tokens) == (1, None)
    await stack.close()


async def test_what_is_listed_is_listed_for_everyone(tmp_path: Path, world: World) -> None:
    module = put(tmp_path, ADAPTER + LISTED)
    inference = [{"provider_id": "x", "provider_type": "remote::parrot", "config": {}}]
    stack = await resolve(loaded(tmp_path, inference=inference), ["inference"], version="1")
    caller = Call(Principal("ada", {}))
    with ActingFor(caller):
        assert (await stack.registries["model"](caller).page(after="", limit=9)).resources
    assert sys.modules[module].for_whom == [None]
    assert world.module != module
    await stack.close()
