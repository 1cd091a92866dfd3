"""Shields of `remote::bedrock` in a whole stack: the real SDK over a fake of Bedrock's wire, and chat behind them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.config.load import load
from core.providers.bedrock.guardrail_findings import CONTENT_FILTERS
from core.services.inference.shielded import WINDOW
from tests.parts import upstream as upstreams
from tests.parts.bedrock import GUARDRAIL, KEYS, REGION, FakeBedrock, refusal
from tests.parts.guardrails import (
    ARN,
    BLOCKED_MESSAGE,
    EMAIL,
    VIOLENCE,
    intervened,
    judging,
    listing,
    passed,
)
from tests.parts.live_stack import client_over
from tests.parts.secrets import plant
from tests.parts.upstream import CHAT, CHUNKS, FakeUpstream, chunk, status, stream

SHIELDS = "/v1/shields"
CHATS = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "Hello"}]
PNG = "data:image/png;base64,iVBORw0KGgo="
CONFIG = """
version: 2
image_name: guardrails
apis: [inference, safety]
providers:
  inference:
    - {provider_id: vllm, provider_type: "remote::vllm", config: {url: "${env.VLLM_URL}"}}
    - {provider_id: bedrock, provider_type: "remote::tgi", config: {url: "${env.VLLM_URL}"}}
  safety:
    - provider_id: bedrock
      provider_type: remote::bedrock
      config:
        aws_access_key_id: ${env.AWS_ACCESS_KEY_ID}
        aws_secret_access_key: ${env.AWS_SECRET_ACCESS_KEY}
        region_name: ${env.REGION}
        endpoint_url: ${env.BEDROCK_URL}
        total_max_attempts: 1
models:
  - model_id: guarded
    provider_id: vllm
    provider_model_id: m
    metadata: {input_shields: ["${env.GUARDRAIL_ID}"], output_shields: ["${env.GUARDRAIL_ID}"]}
shields:
  - provider_id: bedrock
    params:
      guardrailVersion: ${env.GUARDRAIL_VERSION}
    provider_shield_id: ${env.GUARDRAIL_ID}
  - {provider_id: bedrock, shield_id: unversioned, provider_shield_id: another}
metadata_store: {type: sqlite, db_path: "${env.FOLDER}/registry.db"}
"""


@dataclass
class World:
    client: httpx.AsyncClient
    bedrock: FakeBedrock
    model: FakeUpstream

    def finds(self, answer: dict[str, Any]) -> None:
        self.bedrock.replies["apply-guardrail"] = status(200, answer)

    def asked(self) -> Any:
        return self.bedrock.seen[-1].body

    async def run(self, messages: Any = HELLO, shield: str = GUARDRAIL, **params: Any) -> httpx.Response:
        body = {"shield_id": shield, "messages": messages, "params": params}
        return await self.client.post("/v1/safety/run-shield", json=body)

    async def register(self, name: str, **params: Any) -> httpx.Response:
        body = {"shield_id": "mine", "provider_shield_id": name, "params": params}
        return await self.client.post(SHIELDS, json=body)

    async def chat(self, said: str, *, streamed: bool = False) -> httpx.Response:
        body = {"model": "guarded", "messages": [{"role": "user", "content": said}], "stream": streamed}
        return await self.client.post(CHATS, json=body)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    bedrock, model = FakeBedrock(replies={"list-guardrails": listing("DRAFT", "1", "2")}), FakeUpstream()
    (tmp_path / "run.yaml").write_text(CONFIG, "utf-8")
    plant(KEYS["aws_secret_access_key"])
    async with upstreams.running(bedrock), upstreams.running(model):
        environ = {
            "VLLM_URL": model.url,
            "BEDROCK_URL": bedrock.url,
            "REGION": REGION,
            "GUARDRAIL_ID": GUARDRAIL,
            "GUARDRAIL_VERSION": "2",
            "FOLDER": str(tmp_path),
            **{name.upper(): value for name, value in KEYS.items()},
        }
        async with client_over(load(tmp_path / "run.yaml", environ)) as client:
            yield World(client, bedrock, model)


async def test_what_passes_has_no_violation(world: World) -> None:
    world.finds(passed())
    found = await world.run()
    assert (found.status_code, found.json()) == (200, {"violation": None})
    seen = world.bedrock.seen[-1]
    assert seen.path == f"/guardrail/{GUARDRAIL}/version/2/apply"
    assert seen.body == {"source": "INPUT", "content": [{"text": {"text": "Hello"}}]}
    assert f"/{REGION}/bedrock/" in seen.headers["authorization"]


async def test_what_is_blocked_is_the_guardrails_own_refusal(world: World) -> None:
    world.finds(intervened(VIOLENCE))
    violation = (await world.run()).json()["violation"]
    assert (violation["violation_level"], violation["user_message"]) == ("error", BLOCKED_MESSAGE)
    assert violation["metadata"] == {**VIOLENCE, "violation_type": "VIOLENCE", "masked": False}


async def test_what_is_masked_comes_back_masked(world: World) -> None:
    world.finds(intervened(EMAIL, outputs=("first", "Write to {EMAIL}")))
    violation = (await world.run()).json()["violation"]
    assert (violation["violation_level"], violation["user_message"]) == ("error", "Write to {EMAIL}")
    assert (violation["metadata"]["masked"], violation["metadata"]["violation_type"]) == (True, "EMAIL")


async def test_all_that_goes_in_is_judged_and_of_what_comes_out_the_answer(world: World) -> None:
    world.finds(passed(images=1))
    image = {"type": "image_url", "image_url": {"url": PNG}}
    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "Look"}, image, {"type": "text", "text": "here"}]},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "tool", "content": "found"},
    ]
    assert (await world.run(messages)).json() == {"violation": None}
    assert world.asked()["source"] == "INPUT"
    assert world.asked()["content"] == [
        {"text": {"text": "Be kind."}},
        {"text": {"text": "Look\nhere"}},
        {"image": {"format": "png", "source": {"bytes": "iVBORw0KGgo="}}},
        {"text": {"text": "found"}},
    ]
    await world.run([*messages, {"role": "assistant", "content": "Done"}])
    assert world.asked() == {"source": "OUTPUT", "content": [{"text": {"text": "Done"}}]}


async def test_the_source_can_be_said(world: World) -> None:
    world.finds(passed())
    await world.run([*HELLO, {"role": "assistant", "content": "Hi"}], source="INPUT")
    assert world.asked() == {"source": "INPUT", "content": [{"text": {"text": "Hello"}}, {"text": {"text": "Hi"}}]}
    await world.run(source="OUTPUT")
    assert world.asked()["source"] == "OUTPUT"


@pytest.mark.parametrize("source", ["input", 5, [], {}, False])
async def test_a_source_that_there_is_not_is_refused(world: World, source: Any) -> None:
    refused = await world.run(source=source)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "params.source")


@pytest.mark.parametrize("answer", [passed(), {"action": "NONE"}])
async def test_an_image_that_the_guardrail_does_not_look_at_is_no_pass(world: World, answer: dict[str, Any]) -> None:
    world.finds(answer)
    image = {"type": "image_url", "image_url": {"url": PNG}}
    found = await world.run([{"role": "user", "content": [image]}])
    assert (found.status_code, found.json()["error"]["param"]) == (400, "messages")


@pytest.mark.parametrize("url", ["https://example.com/a.png", "data:image/gif;base64,R0lGODlh", "data:image/png,x", ""])
async def test_an_image_that_no_guardrail_looks_at_is_refused(world: World, url: str) -> None:
    found = await world.run([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}])
    assert found.status_code == 400
    assert found.json()["error"]["param"].startswith("messages[0].content")
    assert not world.bedrock.seen


@pytest.mark.parametrize("content", [None, "", " \n", [], [{"type": "text", "text": " "}]])
async def test_in_nothing_there_is_nothing_to_find(world: World, content: Any) -> None:
    world.finds(intervened(VIOLENCE))
    found = await world.run([{"role": "assistant", "content": content}])
    assert found.json() == {"violation": None}
    assert not world.bedrock.seen


async def test_a_guardrail_that_is_gone_is_not_found(world: World) -> None:
    world.bedrock.replies["apply-guardrail"] = refusal(404, "ResourceNotFoundException")
    found = await world.run()
    assert (found.status_code, found.json()["error"]["param"]) == (404, "shield_id")
    assert (await world.chat("Hi")).status_code == 503


async def test_a_shield_that_is_declared_without_a_version_cannot_judge(world: World) -> None:
    found = await world.run(shield="unversioned")
    assert (found.status_code, found.json()["error"]["code"]) == (503, "provider_unavailable")
    assert "guardrailVersion" in found.json()["error"]["message"]
    assert not world.bedrock.seen


@pytest.mark.parametrize("version", ["DRAFT", "1", 2])
@pytest.mark.parametrize("name", [GUARDRAIL, ARN])
async def test_every_listed_version_can_be_registered(world: World, name: str, version: Any) -> None:
    registered = await world.register(name, guardrailVersion=version)
    assert registered.status_code == 200, registered.text
    world.finds(passed())
    assert (await world.run(shield="mine")).json() == {"violation": None}
    assert world.bedrock.seen[-1].path == f"/guardrail/{name}/version/{version}/apply"


async def test_a_version_that_there_is_not_is_refused_with_those_there_are(world: World) -> None:
    refused = await world.register(GUARDRAIL, guardrailVersion="3")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "params.guardrailVersion")
    message = refused.json()["error"]["message"]
    assert message == "Shield `mine` with version `3` not found in Bedrock. Its versions: DRAFT, 1, 2."


@pytest.mark.parametrize("params", [{}, {"guardrailVersion": ""}, {"guardrailVersion": "v1"}, {"guardrailVersion": []}])
async def test_a_shield_without_a_version_cannot_be_registered(world: World, params: dict[str, Any]) -> None:
    refused = await world.register(GUARDRAIL, **params)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "params.guardrailVersion")
    assert not world.bedrock.seen


async def test_a_guardrail_that_there_is_not_cannot_be_registered(world: World) -> None:
    refused = await world.register("another", guardrailVersion="1")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "provider_shield_id")
    world.bedrock.replies["list-guardrails"] = listing()
    refused = await world.register("another", guardrailVersion="1")
    assert "There is no such guardrail." in refused.json()["error"]["message"]
    world.bedrock.replies["list-guardrails"] = refusal(400, "ValidationException", "no such form")
    refused = await world.register("../..", guardrailVersion="1")
    assert (refused.status_code, refused.json()["error"]["message"]) == (400, "no such form")


@pytest.mark.parametrize(("code", "kind"), [(403, "AccessDeniedException"), (429, "ThrottlingException"), (500, "x")])
async def test_a_shield_that_cannot_be_looked_up_is_not_registered(world: World, code: int, kind: str) -> None:
    world.bedrock.replies["list-guardrails"] = refusal(code, kind)
    refused = await world.register(GUARDRAIL, guardrailVersion="1")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "provider_unavailable")
    assert (await world.client.get(f"{SHIELDS}/mine")).status_code == 404


async def test_its_health_is_asked_of_one_guardrail(world: World) -> None:
    found = {row["api"]: row for row in (await world.client.get("/v1/providers")).json()["data"]}["safety"]
    assert found["health"]["status"] == "OK"
    assert KEYS["aws_secret_access_key"] not in json.dumps(found)
    world.bedrock.replies["list-guardrails"] = refusal(403, "AccessDeniedException")
    found = {row["api"]: row for row in (await world.client.get("/v1/providers")).json()["data"]}["safety"]
    assert (found["health"]["status"], "credentials" in found["health"]["message"]) == ("Error", True)


async def test_a_provider_whose_id_two_apis_have_is_named_by_its_api(world: World) -> None:
    for path in ("/v1/providers/bedrock", "/v1alpha/admin/providers/bedrock"):
        rows = [(await world.client.get(path, params=query)).json() for query in ({}, {"api": "safety"})]
        assert [(row["api"], row["provider_type"], row["other_apis"]) for row in rows] == [
            ("inference", "remote::tgi", ["safety"]),
            ("safety", "remote::bedrock", ["inference"]),
        ]
    missing = await world.client.get("/v1/providers/bedrock", params={"api": "none"})
    assert (missing.status_code, missing.json()["error"]["param"]) == (404, "api")


async def test_moderations_name_what_intervened(world: World) -> None:
    world.bedrock.replies["apply-guardrail"] = judging("bomb")
    body = {"input": ["a kitten", "a bomb"], "model": GUARDRAIL}
    results = (await world.client.post("/v1/moderations", json=body)).json()["results"]
    none = dict.fromkeys(CONTENT_FILTERS, False)
    assert [(result["flagged"], result["categories"]) for result in results] == [
        (False, none),
        (True, {**none, "VIOLENCE": True}),
    ]
    assert world.asked()["outputScope"] == "FULL"


async def test_a_moderation_tells_whatever_the_guardrail_looked_for(world: World) -> None:
    topics = {"topics": [{"name": "Finance", "type": "DENY", "action": "NONE", "detected": False}]}
    world.finds({**passed(), "assessments": [{"topicPolicy": topics}]})
    body = {"input": "a kitten", "model": GUARDRAIL}
    (result,) = (await world.client.post("/v1/moderations", json=body)).json()["results"]
    assert result["categories"] == dict.fromkeys((*CONTENT_FILTERS, "Finance"), False)
    assert (await world.run()).json() == {"violation": None}
    assert "outputScope" not in world.asked()


async def test_of_two_versions_of_a_guardrail_one_is_named(world: World) -> None:
    world.bedrock.replies["apply-guardrail"] = judging("bomb")
    world.bedrock.replies["guardrails"] = listing("1", "2")
    for version in ("1", "2"):
        body = {"shield_id": f"v{version}", "provider_shield_id": ARN, "params": {"guardrailVersion": version}}
        assert (await world.client.post(SHIELDS, json=body)).status_code == 200
        answer = await world.client.post("/v1/moderations", json={"input": "a", "model": ARN})
        assert answer.status_code == (200 if version == "1" else 400), answer.text
    assert answer.json()["error"]["message"] == f"Several shields stand for `{ARN}`: name one of `v1`, `v2`."


async def test_chat_is_refused_for_what_goes_in_and_for_what_comes_out(world: World) -> None:
    world.bedrock.replies["apply-guardrail"] = judging("bomb")
    answer = (await world.chat("a kitten")).json()["choices"][0]
    assert answer["message"]["content"] == "Hello"
    assert [seen.body["source"] for seen in world.bedrock.seen] == ["INPUT", "OUTPUT"]
    answers = len(world.model.seen)
    refused = (await world.chat("a bomb")).json()["choices"][0]
    assert (refused["message"]["refusal"], refused["finish_reason"]) == (BLOCKED_MESSAGE, "content_filter")
    assert len(world.model.seen) == answers
    said = [{"index": 0, "message": {"role": "assistant", "content": "a bomb"}, "finish_reason": "stop"}]
    world.model.replies[CHATS] = status(200, {**CHAT, "choices": said})
    refused = (await world.chat("a kitten")).json()["choices"][0]
    assert (refused["message"]["refusal"], refused["finish_reason"]) == (BLOCKED_MESSAGE, "content_filter")


async def test_chat_answers_what_is_masked_with_the_masked_text_as_its_refusal(world: World) -> None:
    world.bedrock.replies["apply-guardrail"] = upstreams.in_turn(
        status(200, passed()), status(200, intervened(EMAIL, outputs=("Write to {EMAIL}",)))
    )
    answer = (await world.chat("Whom do I write to?")).json()["choices"][0]
    assert (answer["message"]["content"], answer["message"]["refusal"]) == (None, "Write to {EMAIL}")


async def test_a_tool_call_without_text_is_let_through(world: World) -> None:
    world.bedrock.replies["apply-guardrail"] = judging("bomb")
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    said = {"role": "assistant", "content": None, "tool_calls": [call]}
    choice = {"index": 0, "message": said, "finish_reason": "tool_calls"}
    world.model.replies[CHATS] = status(200, {**CHAT, "choices": [choice]})
    answer = (await world.chat("a kitten")).json()["choices"][0]
    assert answer["message"]["tool_calls"] == [call]


async def test_a_streamed_chat_is_refused_in_windows(world: World) -> None:
    world.bedrock.replies["apply-guardrail"] = judging("bomb")
    kind, unkind, never = "kitten " * 40, "a bomb " * 40, "after that " * 40
    assert min(len(kind), len(unkind)) >= WINDOW
    world.model.replies[CHATS] = stream([chunk(kind), chunk(unkind), chunk(never), *CHUNKS])
    text = (await world.chat("Tell me", streamed=True)).text
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    assert [event["choices"][0]["delta"] for event in events] == [{"content": kind}, {"refusal": BLOCKED_MESSAGE}]
    assert events[-1]["choices"][0]["finish_reason"] == "content_filter"
    assert text.endswith("data: [DONE]\n\n")
    said = [seen.body["content"][0]["text"]["text"] for seen in world.bedrock.seen]
    assert said == ["Tell me", kind, kind + unkind]


async def test_chat_that_cannot_be_judged_is_a_failure_and_never_an_answer(world: World) -> None:
    world.finds({"action": "MAYBE"})
    assert (await world.chat("Hi")).status_code == 502
    assert (await world.chat("Hi", streamed=True)).status_code == 502
    assert not world.model.seen
