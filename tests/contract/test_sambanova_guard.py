"""Llama Guard at SambaNova: the row's wire, the strict verdict, and whose key it is asked with."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
import pytest

from core.apis.safety import Violation
from core.errors import InvalidRequest, ProviderUnavailable, UpstreamFailed
from core.frame.callers import ANONYMOUS, ActingFor, Call
from core.frame.resources import Resource
from core.providers.sambanova.safety import Config, SambaNovaGuard, connect
from tests.parts.secrets import plant
from tests.parts.upstream import CHAT, FakeUpstream, running, status

KEY = plant("sambanova-key-of-the-tests")
GUARD = "Meta-Llama-Guard-3-8B"
CHATS = "/v1/chat/completions"


def shield(name: str = GUARD) -> Resource:
    return Resource("shield", "mine", "sambanova", name, {"params": {}})


@dataclass
class World:
    upstream: FakeUpstream
    provider: SambaNovaGuard

    async def judge(self, said: str, name: str = GUARD) -> Violation | None:
        answer = {**CHAT, "choices": [{"index": 0, "message": {"role": "assistant", "content": said}}]}
        self.upstream.replies[CHATS] = status(200, answer)
        return await self.provider.run_shield(shield(name), [{"role": "user", "content": "Hello"}], {})


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with running(FakeUpstream(models=[{"id": GUARD}, {"id": "another"}])) as upstream:
        provider = SambaNovaGuard("sambanova", Config.model_validate({"url": f"{upstream.url}/v1", "api_key": KEY}))
        yield World(upstream, provider)
        await provider.close()


@pytest.mark.parametrize("name", [GUARD, f"sambanova/{GUARD}"])
async def test_the_model_is_asked_by_its_own_name_with_the_operators_key(world: World, name: str) -> None:
    assert await world.judge("safe", name) is None
    seen = world.upstream.seen[-1]
    assert (seen.path, seen.body["model"], seen.body["temperature"]) == (CHATS, GUARD, 0)
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert "User: Hello" in seen.body["messages"][0]["content"]


async def test_what_the_model_uses_is_charged_to_whoever_has_it_judge(world: World) -> None:
    call = Call(ANONYMOUS)
    with ActingFor(call):
        await world.judge("safe")
    (row,) = call.ledger.list_rows()
    assert (row.provider, row.tokens, row.answers) == ("sambanova", call.tokens, 1)
    assert call.end().further == CHAT["usage"]["total_tokens"]  # type: ignore[index]
    assert call.observed.tokens == {"prompt": 1, "completion": 1}


async def test_what_is_unsafe_is_a_violation_with_its_categories(world: World) -> None:
    assert await world.judge("\n\nunsafe\nS2,S9") == {
        "violation_level": "error",
        "user_message": "I can't answer that. Can I help with something else?",
        "metadata": {"violation_type": "S2,S9", "categories": ["Non-Violent Crimes", "Indiscriminate Weapons"]},
    }


@pytest.mark.parametrize("said", ["", "It is not unsafe.", "unsafe", "SAFE", "safe.", "unsafe\nS99"])
async def test_what_is_neither_is_a_failure_and_never_a_pass(world: World, said: str) -> None:
    with pytest.raises(UpstreamFailed):
        await world.judge(said)


@pytest.mark.parametrize("name", [GUARD, f"sambanova/{GUARD}"])
async def test_a_model_that_is_served_can_be_a_shield(world: World, name: str) -> None:
    await world.provider.check_shield(shield(name))


async def test_one_that_is_not_served_cannot(world: World) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await world.provider.check_shield(shield("sambanova/none"))
    assert refused.value.param == "provider_shield_id"
    world.upstream.replies["/v1/models"] = status(500, {})
    with pytest.raises(ProviderUnavailable):
        await world.provider.check_shield(shield())


@pytest.mark.parametrize(
    "wrong",
    [{}, {"api_key": ""}, {"api_key": "a", "auth_credential": "b"}, {"api_key": "a b"}, {"url": "x", "api_key": "a"}],
)
def test_a_config_that_cannot_work_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Config.model_validate(wrong)


def test_it_connects_with_the_references_config() -> None:
    config = Config.model_validate({"url": "https://api.sambanova.ai/v1", "api_key": KEY})
    assert isinstance(connect("sambanova", config, {}), SambaNovaGuard)
    assert KEY not in repr(config)
