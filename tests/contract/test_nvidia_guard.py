"""NeMo Guardrails as the microservice documents its checks: which rails judge what, and what they say."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
import pytest

from core.apis.safety import Violation
from core.errors import InvalidRequest, UpstreamFailed
from core.frame.resources import Resource
from core.providers.http.message_text import plain_text
from core.providers.nvidia.safety import Config, NemoGuardrails, connect, conversation
from tests.parts.upstream import FakeUpstream, running, status

CHECKS = "/v1/guardrail/checks"
SHIELD = Resource("shield", "mine", "nvidia", "meta/llama-3.1-8b-instruct", {"params": {}})
HELLO: list[dict[str, Any]] = [{"role": "user", "content": "Hello"}]
SUCCESS: dict[str, Any] = {"status": "success", "rails_status": {"self check input": {"status": "success"}}}
BLOCKED: dict[str, Any] = {
    "status": "blocked",
    "rails_status": {"self check input": {"status": "blocked"}, "regex check input": {"status": "success"}},
    "guardrails_data": None,
}


@dataclass
class World:
    service: FakeUpstream
    provider: NemoGuardrails

    async def judge(self, messages: list[dict[str, Any]], answer: Any = None) -> Violation | None:
        self.service.replies[CHECKS] = status(200, answer or SUCCESS)
        return await self.provider.run_shield(SHIELD, messages, {})


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with running() as service:
        config = Config(guardrails_service_url=f"{service.url}/", config_id="strict")
        provider = NemoGuardrails("nvidia", config)
        yield World(service, provider)
        await provider.close()


async def test_the_configured_rails_are_asked_with_the_shields_model(world: World) -> None:
    assert await world.judge(HELLO) is None
    seen = world.service.seen[-1]
    assert (seen.method, seen.path) == ("POST", CHECKS)
    assert seen.body == {
        "model": "meta/llama-3.1-8b-instruct",
        "messages": HELLO,
        "guardrails": {"config_id": "strict"},
    }


async def test_the_rails_that_judged_are_the_categories(world: World) -> None:
    for answer in (SUCCESS, BLOCKED):
        world.service.replies[CHECKS] = status(200, answer)
        _, categories = await world.provider.judge_by_category(SHIELD, HELLO, {})
        assert list(categories) == list(answer["rails_status"])


async def test_what_is_blocked_names_the_rails_that_blocked_it(world: World) -> None:
    assert await world.judge(HELLO, BLOCKED) == {
        "violation_level": "error",
        "user_message": "Sorry I cannot do this.",
        "metadata": {**BLOCKED["rails_status"], "violation_type": "self check input"},
    }


@pytest.mark.parametrize("rails", [{}, None, [], "all", {"reason": "harmful_content"}])
async def test_what_is_blocked_is_a_violation_whatever_the_rails_say(world: World, rails: Any) -> None:
    found = await world.judge(HELLO, {"status": "blocked", "rails_status": rails})
    assert found is not None
    assert "violation_type" not in found["metadata"]


@pytest.mark.parametrize("answer", [{"status": "success"}, {"status": "success", "rails_status": {}}])
async def test_what_no_rail_judged_is_a_failure_and_never_a_pass(world: World, answer: dict[str, Any]) -> None:
    with pytest.raises(UpstreamFailed):
        await world.judge(HELLO, answer)


async def test_all_that_goes_in_is_one_message_and_an_answer_is_judged_given_what_was_said(world: World) -> None:
    messages = [
        {"role": "system", "content": "Be kind."},
        *HELLO,
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "tool", "content": [{"type": "text", "text": "found"}, {"type": "text", "text": "it"}]},
    ]
    await world.judge(messages)
    assert world.service.seen[-1].body["messages"] == [{"role": "user", "content": "Be kind.\n\nHello\n\nfound it"}]
    await world.judge([*HELLO, {"role": "assistant", "content": "Hi"}])
    assert world.service.seen[-1].body["messages"] == [*HELLO, {"role": "assistant", "content": "Hi"}]


@pytest.mark.parametrize("content", [None, "", " ", []])
async def test_in_nothing_there_is_nothing_to_find(world: World, content: Any) -> None:
    assert await world.judge([*HELLO, {"role": "assistant", "content": content}], BLOCKED) is None
    assert not world.service.seen


async def test_an_image_is_refused(world: World) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    with pytest.raises(InvalidRequest):
        await world.judge([{"role": "user", "content": [image]}])
    assert not world.service.seen


async def test_an_image_is_passed_over_by_a_shield_that_is_not_strict(world: World) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    world.service.replies[CHECKS] = status(200, SUCCESS)
    lax = Resource("shield", "mine", "nvidia", "m", {"params": {"strict": False}})
    assert await world.provider.run_shield(lax, [{"role": "user", "content": ["look", image]}], {}) is None
    assert world.service.seen[-1].body["messages"] == [{"role": "user", "content": "look <image>"}]


async def test_no_messages_are_refused(world: World) -> None:
    with pytest.raises(InvalidRequest):
        await world.judge([])


async def test_it_connects_with_the_references_config() -> None:
    config = Config.model_validate({"guardrails_service_url": "http://guardrails.test", "config_id": "self-check"})
    provider = connect("nvidia", config, {})
    await provider.check_shield(SHIELD)
    assert Config().config_id == "self-check"


@pytest.mark.parametrize("wrong", [{"config_id": ""}, {"guardrails_service_url": "guardrails"}, {"api_key": "x"}])
def test_a_config_that_cannot_work_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Config.model_validate(wrong)


CONTENTS = (
    st.none() | st.text() | st.lists(st.builds(lambda text: {"type": "text", "text": text}, st.text()), max_size=3)
)
SAID = st.lists(
    st.builds(
        lambda role, content: {"role": role, "content": content},
        st.sampled_from(["system", "user", "assistant", "tool", "odd"]),
        CONTENTS,
    ),
    min_size=1,
    max_size=5,
)


@given(SAID)
def test_every_message_is_in_the_one_that_is_judged(messages: list[dict[str, Any]]) -> None:
    (judged,) = conversation(messages, "INPUT")
    assert judged["role"] == "user"
    assert all(plain_text(message["content"]) in judged["content"] for message in messages)


@given(SAID)
def test_of_what_comes_out_the_last_message_is_always_the_one_that_is_judged(messages: list[dict[str, Any]]) -> None:
    last = conversation(messages, "OUTPUT")[-1]
    assert last == {"role": "assistant", "content": plain_text(messages[-1]["content"])}
