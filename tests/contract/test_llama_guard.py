"""The distribution `llama-guard` as it is shipped, over two upstreams: one is guarded, the other one judges."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.apis.safety import Violation
from core.config.distributions import find
from core.config.load import load
from core.errors import InvalidRequest, UpstreamFailed
from core.providers.llama_guard.safety import CATEGORIES, Config, LlamaGuard
from core.services.safety.router import build_result
from tests.fakes import FakeProvider
from tests.parts import upstream as upstreams
from tests.parts.live_stack import client_over
from tests.parts.upstream import CHAT, FakeUpstream, status

UPSTREAM_CHAT = "/v1/chat/completions"
GUARD = "meta-llama/Llama-Guard-3-8B"
HELLO = [{"role": "user", "content": "Hello"}]


def answer(text: str) -> dict[str, Any]:
    return {
        **CHAT,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
    }


@dataclass
class World:
    client: httpx.AsyncClient
    guard: FakeUpstream

    def says(self, text: str) -> None:
        self.guard.replies[UPSTREAM_CHAT] = status(200, answer(text))

    def asked(self) -> str:
        content: str = self.guard.seen[-1].body["messages"][0]["content"]
        return content

    async def run(self, messages: Any = HELLO, shield: str = GUARD) -> httpx.Response:
        body = {"shield_id": shield, "messages": messages, "params": {}}
        return await self.client.post("/v1/safety/run-shield", json=body)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    chat, guard = FakeUpstream(models=[{"id": "llama"}]), FakeUpstream(models=[{"id": GUARD}])
    async with upstreams.running(chat), upstreams.running(guard):
        environ = {
            "VLLM_URL": chat.url,
            "SAFETY_VLLM_URL": guard.url,
            "INFERENCE_MODEL": "llama",
            "SAFETY_MODEL": GUARD,
            "SQLITE_STORE_DIR": str(tmp_path),
        }
        async with client_over(load(find("llama-guard"), environ)) as client:
            yield World(client, guard)


async def test_what_is_safe_has_no_violation(world: World) -> None:
    world.says("\n\nsafe")
    found = await world.run()
    assert (found.status_code, found.json()) == (200, {"violation": None})
    body = world.guard.seen[-1].body
    assert (body["model"], body["temperature"]) == (GUARD, 0)
    assert "User: Hello" in world.asked()
    assert "S14: Code Interpreter Abuse." in world.asked()


async def test_what_is_unsafe_is_a_violation_with_its_categories(world: World) -> None:
    world.says("unsafe\nS1, S9")
    violation = (await world.run()).json()["violation"]
    assert violation == {
        "violation_level": "error",
        "user_message": "I can't answer that. Can I help with something else?",
        "metadata": {"violation_type": "S1,S9", "categories": ["Violent Crimes", "Indiscriminate Weapons"]},
    }


async def test_the_last_message_is_judged_in_its_conversation(world: World) -> None:
    world.says("safe")
    messages = [
        {"role": "system", "content": "secret instructions"},
        {"role": "user", "content": [{"type": "text", "text": "one"}, "two"]},
        {"role": "assistant", "content": "three"},
    ]
    assert (await world.run(messages)).status_code == 200
    before, answer = (seen.body["messages"][0]["content"] for seen in world.guard.seen[-2:])
    assert "User: secret instructions\n\none two" in before
    assert "ONLY THE LAST User message" in before
    assert "User: one two\n\nAgent: three" in answer
    assert "ONLY THE LAST Agent message" in answer
    assert "secret instructions" in answer


async def test_a_message_without_content_is_an_empty_one(world: World) -> None:
    world.says("safe")
    assert (await world.run([*HELLO, {"role": "assistant", "content": None}])).status_code == 200
    assert (await world.run([*HELLO, {"role": "user", "content": [None]}])).status_code == 200


async def test_an_image_goes_to_the_vision_model_beside_the_text(world: World) -> None:
    world.says("safe")
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    await world.run([{"role": "user", "content": [{"type": "text", "text": "what is this"}, image]}])
    text, sent = world.guard.seen[-1].body["messages"][0]["content"]
    assert "User: what is this <image>" in text["text"]
    assert sent == image


@pytest.mark.parametrize(
    "said",
    ["", "Safe", "safe or not", "unsafe", "unsafe\n", "unsafe\nS1 and S2", "unsafe\nS15", "I am safe", "safe\nS1"],
)
async def test_an_answer_that_is_neither_is_a_failure_and_never_a_pass(world: World, said: str) -> None:
    world.says(said)
    found = await world.run()
    assert (found.status_code, found.json()["error"]["code"]) == (502, "upstream_error")


@pytest.mark.parametrize("reply", [{}, {"choices": []}, {"choices": [{"message": {"content": None}}]}])
async def test_an_answer_without_text_is_a_failure(world: World, reply: dict[str, Any]) -> None:
    world.guard.replies[UPSTREAM_CHAT] = status(200, reply)
    assert (await world.run()).status_code == 502


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"content": "x"}],
        [{}],
        [{"role": "user", "content": [{"type": "audio"}]}],
        [{"role": "user", "content": [5]}],
    ],
)
async def test_what_cannot_be_judged_is_refused(world: World, messages: list[Any]) -> None:
    world.says("safe")
    found = await world.run(messages)
    assert found.status_code == 400
    assert found.json()["error"]["param"].startswith("messages")


async def test_a_shield_is_listed_registered_shown_and_removed(world: World) -> None:
    listed = (await world.client.get("/v1/shields")).json()["data"]
    assert [(row["identifier"], row["type"], row["provider_id"]) for row in listed] == [
        (GUARD, "shield", "llama-guard")
    ]
    body = {"shield_id": "team/guard", "provider_shield_id": GUARD, "params": {"a": 1}}
    registered = await world.client.post("/v1/shields", json=body)
    assert registered.status_code == 200, registered.text
    shown = (await world.client.get("/v1/shields/team/guard")).json()
    assert (shown["provider_resource_id"], shown["params"]) == (GUARD, {"a": 1})
    world.says("safe")
    assert (await world.run(shield="team/guard")).json() == {"violation": None}
    assert (await world.client.delete("/v1/shields/team/guard")).status_code == 200
    missing = await world.run(shield="team/guard")
    assert (missing.status_code, missing.json()["error"]["param"]) == (404, "shield_id")


async def test_a_shield_without_an_id_has_its_providers(world: World) -> None:
    registered = await world.client.post("/v1/shields", json={"provider_shield_id": "other"})
    assert registered.json()["identifier"] == "other"
    nameless = await world.client.post("/v1/shields", json={"params": {}})
    assert (nameless.status_code, nameless.json()["error"]["param"]) == (400, "shield_id")


@pytest.mark.parametrize("prefix", ["/v1", "/v1/openai/v1"])
async def test_moderations_have_openais_shape(world: World, prefix: str) -> None:
    world.says("unsafe\nS1,S2")
    found = (await world.client.post(f"{prefix}/moderations", json={"input": ["a", "b"], "model": GUARD})).json()
    assert (found["model"], len(found["results"])) == (GUARD, 2)
    assert found["id"].startswith("modr-")
    result = found["results"][0]
    unsafe = {"Violent Crimes", "Non-Violent Crimes"}
    names = list(CATEGORIES.values())
    assert (result["flagged"], result["categories"]) == (True, {name: name in unsafe for name in names})
    assert result["category_scores"] == {name: float(name in unsafe) for name in names}
    assert result["category_applied_input_types"] == {name: ["text"] if name in unsafe else [] for name in names}
    assert result["metadata"]["violation_type"] == "S1,S2"
    world.says("safe")
    (result,) = (await world.client.post(f"{prefix}/moderations", json={"input": "a"})).json()["results"]
    assert (result["flagged"], result["categories"], result["user_message"]) == (
        False,
        dict.fromkeys(names, False),
        None,
    )
    assert (set(result["category_scores"].values()), result["category_applied_input_types"]["Hate"]) == ({0.0}, [])


async def test_parts_are_one_input_whose_types_are_told(world: World) -> None:
    world.says("unsafe\nS10")
    parts = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ]
    for sent, types in ((parts, ["text", "image"]), (parts[1:], ["image"]), (parts[:1], ["text"])):
        found = (await world.client.post("/v1/moderations", json={"input": sent, "model": GUARD})).json()
        assert [result["category_applied_input_types"]["Hate"] for result in found["results"]] == [types]
    assert len(world.guard.seen) == 3


async def test_a_guard_is_named_as_it_is_called_at_its_provider_or_as_a_model(world: World) -> None:
    world.says("safe")
    body = {"shield_id": "team", "provider_shield_id": "vllm-0/llama"}
    assert (await world.client.post("/v1/shields", json=body)).status_code == 200
    listed = {row["id"] for row in (await world.client.get("/v1/models")).json()["data"]}
    assert {"llama", "vllm-0/llama", f"vllm-1/{GUARD}"} <= listed
    for name in (f"vllm-1/{GUARD}", f"llama-guard/{GUARD}"):
        answer = await world.client.post("/v1/moderations", json={"input": "a", "model": name})
        assert (answer.status_code, answer.json()["model"]) == (200, name), answer.text
    assert len([seen for seen in world.guard.seen if seen.path == UPSTREAM_CHAT]) == 2
    for name in ("team", "vllm-0/llama", "llama-guard/vllm-0/llama", "llama"):  # which is asked, and is no guard
        answer = await world.client.post("/v1/moderations", json={"input": "a", "model": name})
        assert answer.status_code == 502, answer.text


async def test_a_guard_that_several_shields_stand_for_is_told_with_their_names(world: World) -> None:
    for name in ("strict", "lenient"):
        body = {"shield_id": name, "provider_shield_id": "vllm-0/llama"}
        assert (await world.client.post("/v1/shields", json=body)).status_code == 200
    for name in ("vllm-0/llama", "llama"):
        answer = await world.client.post("/v1/moderations", json={"input": "a", "model": name})
        error = answer.json()["error"]
        assert (answer.status_code, error["param"]) == (400, "model")
        assert error["message"] == f"Several shields stand for `{name}`: name one of `lenient`, `strict`."


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"input": []}, 400, "input"),
        ({"input": ["a"] * 33}, 400, "input"),
        ({"input": [5]}, 400, "input"),
        ({"input": [{"type": "text", "text": "a"}, {"type": "audio"}]}, 400, "input[1]"),
        ({"input": [{"type": "text"}]}, 400, "input[0].text"),
        ({"input": ["a", {"type": "audio"}]}, 400, "input"),
        ({"input": "a", "model": "none"}, 404, "model"),
        ({}, 400, "input"),
    ],
)
async def test_a_moderation_that_cannot_be_is_refused(
    world: World, body: dict[str, Any], code: int, param: str
) -> None:
    world.says("safe")
    found = await world.client.post("/v1/moderations", json=body)
    assert (found.status_code, found.json()["error"]["param"]) == (code, param)


async def test_of_several_shields_a_moderation_names_one(world: World) -> None:
    await world.client.post("/v1/shields", json={"shield_id": "second", "provider_shield_id": GUARD})
    found = await world.client.post("/v1/moderations", json={"input": "a"})
    assert (found.status_code, found.json()["error"]["param"]) == (400, "model")


async def test_chat_goes_to_the_other_server(world: World) -> None:
    found = await world.client.post("/v1/chat/completions", json={"model": "llama", "messages": HELLO})
    assert found.status_code == 200
    assert not world.guard.seen


async def test_a_guard_that_is_down_is_a_failure_and_never_a_pass(world: World) -> None:
    world.guard.replies[UPSTREAM_CHAT] = status(500, {})
    assert (await world.run()).status_code == 502


async def test_a_model_that_is_registered_with_shields_is_guarded_on_every_chat_route(world: World) -> None:
    metadata = {"input_shields": [GUARD], "output_shields": [GUARD]}
    wanted = {"model_id": "guarded", "provider_id": "vllm-0", "provider_model_id": "llama", "metadata": metadata}
    assert (await world.client.post("/v1/models", json=wanted)).status_code == 200
    body = {"model": "guarded", "messages": HELLO}
    world.says("safe")
    answer = (await world.client.post("/v1/chat/completions", json=body)).json()
    assert answer["choices"][0]["message"]["content"] == "Hello"
    assert len(world.guard.seen) == 2
    streamed = await world.client.post("/v1/chat/completions", json={**body, "stream": True})
    assert "Hel" in streamed.text
    world.says("unsafe\nS1")
    refused = (await world.client.post("/v1/chat/completions", json=body)).json()
    assert refused["choices"][0]["message"]["refusal"].startswith("I can't answer that")
    assert refused["choices"][0]["finish_reason"] == "content_filter"
    streamed = await world.client.post("/v1/chat/completions", json={**body, "stream": True})
    assert '"refusal":"I can\'t' in streamed.text
    assert streamed.text.endswith("data: [DONE]\n\n")
    native = {"model_id": "guarded", "messages": HELLO}
    old = await world.client.post("/v1/inference/chat-completion", json=native)
    assert old.status_code == 200, old.text
    assert old.json()["completion_message"]["content"].startswith("I can't answer that")
    streamed = await world.client.post("/v1/inference/chat-completion", json={**native, "stream": True})
    assert "I can't answer that" in streamed.text
    world.says("dunno")
    assert (await world.client.post("/v1/chat/completions", json=body)).status_code == 502
    prompt = {"model": "guarded", "prompt": "x"}
    assert (await world.client.post("/v1/completions", json=prompt)).status_code == 502
    world.says("unsafe\nS1")
    refused = (await world.client.post("/v1/completions", json=prompt)).json()
    assert refused["choices"][0]["finish_reason"] == "content_filter"


async def test_a_shield_whose_own_model_is_guarded_by_it_does_not_go_round_in_circles(world: World) -> None:
    model = {
        "model_id": "loop",
        "provider_id": "vllm-1",
        "provider_model_id": GUARD,
        "metadata": {"input_shields": ["ring"]},
    }
    assert (await world.client.post("/v1/models", json=model)).status_code == 200
    assert (await world.client.post("/v1/shields", json={"shield_id": "ring", "provider_shield_id": "loop"})).is_success
    world.says("safe")
    answer = await world.client.post("/v1/chat/completions", json={"model": "loop", "messages": HELLO})
    assert answer.json()["choices"][0]["message"]["content"] == "safe"
    assert len([seen for seen in world.guard.seen if seen.path == UPSTREAM_CHAT]) == 2


def test_a_violation_without_categories_is_flagged() -> None:
    found = build_result(Violation(violation_level="warn", user_message=None, metadata={}))
    assert (found["flagged"], found["categories"]) == (True, {})


def judged(said: str, *excluded: str) -> list[str]:
    return LlamaGuard(FakeProvider(), excluded)._parse_verdict(said)


@given(st.lists(st.sampled_from(sorted(CATEGORIES)), min_size=1), st.sets(st.sampled_from(sorted(CATEGORIES))))
def test_every_named_category_is_found_once_unless_it_is_excluded(named: list[str], excluded: set[str]) -> None:
    found = judged("unsafe\n" + ",".join(named), *excluded)
    assert found == [name for name in dict.fromkeys(named) if name not in excluded]


@given(st.text())
def test_no_other_answer_is_safe(said: str) -> None:
    if said.strip() != "safe":
        with pytest.raises(UpstreamFailed):
            judged(said)


@pytest.mark.parametrize("excluded", [["S0"], ["S15"], ["hate"], list(CATEGORIES)])
def test_categories_that_cannot_be_excluded_are_refused(excluded: list[str]) -> None:
    with pytest.raises(ValueError, match="category"):
        Config.model_validate({"excluded_categories": excluded})


def test_an_excluded_category_is_not_looked_for() -> None:
    text = LlamaGuard(FakeProvider(), ["S1"])._question(HELLO)
    assert "S1: " not in text
    assert "S2: " in text
    with pytest.raises(InvalidRequest):
        LlamaGuard(FakeProvider(), [])._question([])
