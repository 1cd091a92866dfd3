"""What tests of the guarded fetcher share: fetchers that may reach loopback, names, servers of raw bytes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
import socket
from typing import Any, Final, override
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
import pytest

from core.config.fetch import FetchConfig
from core.errors import InvalidRequest
from core.providers.http.fetch import GuardedFetcher
from tests.parts.upstream import FakeUpstream, Reply, status

PNG: Final = b"\x89PNG\r\n\x1a\n rest"
SLOW: Final = 3600.0  # seconds: not within any test
PATIENCE: Final = 30.0  # seconds, until a test that hangs fails


class Names(AbstractResolver):
    """Answers from `names`, by turns; the last answer stays."""

    def __init__(self, **names: list[list[str]]) -> None:
        self.names = {f"{name}.test": answers for name, answers in names.items()}

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        answers = self.names.get(host.rstrip("."), [])
        if not answers:
            raise OSError("unknown name")
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [_result(host, address, port) for address in addresses]

    @override
    async def close(self) -> None:
        return None


def _result(name: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(hostname=name, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST)


@asynccontextmanager
async def fetching(url: str, names: Names | None = None, **more: Any) -> AsyncIterator[GuardedFetcher]:
    """One that may fetch from `url`, which is on loopback."""
    given = {"allow_private_addresses": True, "allowed_ports": [urlsplit(url).port], "timeout": PATIENCE, **more}
    fetcher = GuardedFetcher(FetchConfig.model_validate(given), resolver=names)
    try:
        yield fetcher
    finally:
        await fetcher.close()


async def refusal(fetcher: GuardedFetcher, url: str) -> str:
    with pytest.raises(InvalidRequest) as refused:
        async with asyncio.timeout(PATIENCE):
            await fetcher.fetch(url, param="p")
    assert refused.value.param == "p"
    return refused.value.message.removeprefix("p: ")


def at(upstream: FakeUpstream, host: str, path: str = "/i.png") -> str:
    return f"http://{host}:{urlsplit(upstream.url).port}{path}"


@asynccontextmanager
async def serving(answer: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[tuple[str, list[None]]]:
    """A server that reads a request's head, then does `answer`; its URL, and an item per connection."""
    accepted: list[None] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(None)
        try:
            await reader.readuntil(b"\r\n\r\n")
            await answer(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", accepted
    finally:
        server.close()
        server.close_clients()


def writes(*pieces: bytes) -> Callable[[asyncio.StreamWriter], Awaitable[None]]:
    async def answer(writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()

    return answer


def to(location: str, code: int = 302) -> Reply:
    return status(code, headers={"location": location})
