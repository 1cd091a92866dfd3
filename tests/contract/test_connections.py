"""Connections: no more than were given, none that keeps a call waiting for longer than that, none that is over."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
import socket
from typing import Any

from aiohttp import web
import pytest

from core.auth.http import Http
from core.errors import UpstreamFailed
from core.frame.resources import Resource
from core.providers.bedrock import inference as bedrock
from core.providers.nvidia import safety as nvidia
from core.providers.openai import inference as openai
from core.providers.openai.config import config_of
from tests.parts.bedrock import HELLO, KEYS, REGION, FakeBedrock, chat
from tests.parts.upstream import CHAT, FakeUpstream, in_turn, running, status

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


WIRES = {
    "openai": (_row, FakeUpstream, "/v1/chat/completions", CHAT),
    "bedrock": (_bedrock, FakeBedrock, "converse", HELLO),
    "bedrock over openai": (_over_openai, FakeBedrock, "openai-chat", CHAT),
    "nvidia": (_rails, FakeUpstream, nvidia.CHECKS, PASSED),
}


@pytest.mark.parametrize(("make", "fake", "path", "body"), WIRES.values(), ids=WIRES)
async def test_calls_above_the_most_connections_wait_and_no_others(
    make: Make, fake: type[FakeUpstream], path: str, body: Mapping[str, Any]
) -> None:
    counter = Counter(body)
    async with running(fake(replies={path: counter})) as upstream:
        provider, call = make(upstream.url)
        await asyncio.gather(*(call(provider) for _ in range(CALLS)))
        await provider.close()
    assert (counter.most, len(upstream.seen)) == (MOST, CALLS)


def _auth(url: str) -> tuple[Any, Callable[[Any], Awaitable[Any]]]:
    return Http(), lambda http: http.request("POST", f"{url}/introspect", tls=True, json=CHAT)


@pytest.mark.parametrize(
    "late", ["", "HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n"], ids=["end", "answer"]
)
@pytest.mark.parametrize(
    ("make", "fake", "path", "body"),
    [*WIRES.values(), (_auth, FakeUpstream, "/introspect", CHAT)],
    ids=[*WIRES, "issuers"],
)
async def test_no_request_is_sent_on_a_connection_that_ended_while_nobody_listened(
    make: Make, fake: type[FakeUpstream], path: str, body: Mapping[str, Any], late: str
) -> None:
    """As in a frozen function: the event loop does not run from the end to the next request."""
    async with running(fake(replies={path: status(200, body)})) as upstream:
        client, call = make(upstream.url)
        try:
            await call(client)
            for transport in upstream.connections:
                transport.write(late.encode())
                transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
            await call(client)
        finally:
            await client.close()
        assert len(upstream.seen) == 2


async def test_a_request_whose_answer_is_lost_is_the_callers_failure_and_is_not_sent_again() -> None:
    async def lose(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    replies = {"/v1/chat/completions": in_turn(status(200, CHAT), lose, status(200, CHAT))}
    async with running(FakeUpstream(replies=replies)) as upstream:
        client, call = _row(upstream.url)
        try:
            await call(client)
            with pytest.raises(UpstreamFailed, match="broke off its answer"):
                await call(client)
            assert len(upstream.seen) == 2
            assert await call(client) == CHAT
        finally:
            await client.close()
