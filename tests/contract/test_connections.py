"""No provider opens more connections than it is given, and none keeps a call waiting for longer than that."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
import pytest

from core.frame.resources import Resource
from core.providers.bedrock import inference as bedrock
from core.providers.nvidia import safety as nvidia
from core.providers.openai import inference as openai
from core.providers.openai.config import config_of
from tests.parts.bedrock import HELLO, KEYS, REGION, FakeBedrock, chat
from tests.parts.upstream import CHAT, FakeUpstream, running, status

CALLS = 6
MOST = 2
GRACE_SECONDS = 0.2  # for one more to come, if it may
SHIELD = Resource("shield", "s", "n", "judge", {})
USER = [{"role": "user", "content": "Hi"}]
PASSED = {"status": "success", "rails_status": {"self check input": {"status": "success"}}}
type Make = Callable[[str], tuple[Any, Callable[[Any], Awaitable[Any]]]]


@dataclass
class Counter:
    """Answers two requests at a time, together; `most` is how many were under way at once."""

    body: Any
    together: asyncio.Barrier = field(default_factory=lambda: asyncio.Barrier(MOST))
    now: int = 0
    most: int = 0

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.now += 1
        self.most = max(self.most, self.now)
        await self.together.wait()
        await asyncio.sleep(GRACE_SECONDS)
        self.now -= 1
        return await status(200, self.body)(request)


def _row(url: str) -> tuple[Any, Callable[[Any], Awaitable[Any]]]:
    config = config_of("remote::vllm").model_validate({"url": url, "max_connections": MOST})
    return openai.connect("p", config, {}), lambda provider: provider.chat_completion(chat())


def _bedrock(url: str, **more: str) -> tuple[Any, Callable[[Any], Awaitable[Any]]]:
    given = {"endpoint_url": url, "region_name": REGION, "max_connections": MOST, **KEYS, **more}
    provider = bedrock.connect("p", bedrock.Config.model_validate(given), {})
    return provider, lambda provider: provider.chat_completion(chat())


def _over_openai(url: str) -> tuple[Any, Callable[[Any], Awaitable[Any]]]:
    return _bedrock(url, endpoint="openai")


def _rails(url: str) -> tuple[Any, Callable[[Any], Awaitable[Any]]]:
    provider = nvidia.connect("p", nvidia.Config(guardrails_service_url=url, max_connections=MOST), {})
    return provider, lambda provider: provider.run_shield(SHIELD, USER, {})


@pytest.mark.parametrize(
    ("make", "fake", "path", "body"),
    [
        (_row, FakeUpstream, "/v1/chat/completions", CHAT),
        (_bedrock, FakeBedrock, "converse", HELLO),
        (_over_openai, FakeBedrock, "openai-chat", CHAT),
        (_rails, FakeUpstream, nvidia.CHECKS, PASSED),
    ],
    ids=["openai", "bedrock", "bedrock over openai", "nvidia"],
)
async def test_calls_above_the_most_connections_wait_and_no_others(
    make: Make, fake: type[FakeUpstream], path: str, body: Mapping[str, Any]
) -> None:
    counter = Counter(body)
    async with running(fake(replies={path: counter})) as upstream:
        provider, call = make(upstream.url)
        await asyncio.gather(*(call(provider) for _ in range(CALLS)))
        await provider.close()
    assert (counter.most, len(upstream.seen)) == (MOST, CALLS)
