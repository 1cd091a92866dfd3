"""A stack that closes leaves nothing running: what was read for more than one caller ends with it, and opens nothing again."""

import asyncio
from collections.abc import AsyncGenerator
import gc
from pathlib import Path
from typing import Any

from aiohttp import web
import pytest
from starlette.requests import Request

from core.apis.configurations import Configuration
from core.config.load import interpret
from core.errors import ApiError, ServerStopping
from core.resolution.live.reloader import StackReloader
from core.resolution.resolve import resolve
from core.resolution.stack import Stack
from core.stores.configurations.port import Head
from tests.parts.audit import CHANGE
from tests.parts.issuer import AUDIENCE, JWKS, Issuer
from tests.parts.live_stack import run_config
from tests.parts.upstream import FakeUpstream, hang, running

EARLY = pytest.mark.parametrize("early", [True, False], ids=["not begun", "under way"])


class Silence:
    """A reply that never comes; `awaited` once it was asked for."""

    def __init__(self) -> None:
        self.awaited = asyncio.Event()

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.awaited.set()
        return await hang(request)


@pytest.fixture
def silence() -> Silence:
    return Silence()


@pytest.fixture
async def upstream(silence: Silence) -> AsyncGenerator[FakeUpstream]:
    async with running() as upstream:
        upstream.replies["/v1/models"] = silence
        yield upstream


def document_of(upstream: FakeUpstream, folder: Path, **more: Any) -> dict[str, Any]:
    return run_config(f"{upstream.url}/v1", {"type": "sqlite", "db_path": str(folder / "r.db")}, **more)


async def stack_of(document: dict[str, Any]) -> Stack:
    return await resolve(interpret(document, {}), ["inference"], version="1")


def look_up(stack: Stack) -> "asyncio.Task[Any]":
    return asyncio.create_task(stack.registries["model"](None).get("local/m"))


async def leave(waiting: "asyncio.Task[Any]", silence: Silence, *, early: bool) -> None:
    """A caller gives up: what it began goes on for whoever asks next. `early` is before anything was sent."""
    await (asyncio.sleep(0) if early else silence.awaited.wait())
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


async def check_nothing_is_left(before: set["asyncio.Task[Any]"]) -> None:
    """Of this side: the upstream's own tasks end when it hears of it."""
    ours = {task for task in asyncio.all_tasks() - before if "core/" in task.get_coro().cr_code.co_filename}  # type: ignore[union-attr]
    assert not ours
    for _ in range(5):
        await asyncio.sleep(0)
    gc.collect()  # a session that nobody closed says so, which is an error


@EARLY
async def test_a_listing_under_way_ends_when_the_stack_closes(
    *, early: bool, silence: Silence, upstream: FakeUpstream, tmp_path: Path
) -> None:
    before = asyncio.all_tasks()
    stack = await stack_of(document_of(upstream, tmp_path))
    await leave(look_up(stack), silence, early=early)
    await stack.close()
    await check_nothing_is_left(before)
    assert len(upstream.seen) == (0 if early else 1)


@EARLY
async def test_whoever_waits_for_it_hears_that_the_server_stops(
    *, early: bool, silence: Silence, upstream: FakeUpstream, tmp_path: Path
) -> None:
    stack = await stack_of(document_of(upstream, tmp_path))
    waiting = look_up(stack)
    await leave(look_up(stack), silence, early=early)
    await stack.close()
    with pytest.raises(ServerStopping):
        await waiting


async def test_a_closed_stack_asks_nobody_again(upstream: FakeUpstream, tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    stack = await stack_of(document_of(upstream, tmp_path))
    await stack.close()
    with pytest.raises(ServerStopping):
        await look_up(stack)
    await check_nothing_is_left(before)
    assert not upstream.seen


@EARLY
async def test_so_does_a_listing_over_a_stack_that_is_replaced(
    *, early: bool, silence: Silence, upstream: FakeUpstream, tmp_path: Path
) -> None:
    before = asyncio.all_tasks()
    stack = await stack_of(document_of(upstream, tmp_path))
    assert stack.poller is not None
    live = StackReloader(["inference"], stack, stack.poller, lambda resolved: resolved)
    current = await live.acquire()
    await leave(look_up(current.stack), silence, early=early)
    overlay = {"inference": {"local": {"provider_type": "remote::vllm", "config": {"timeout": 3}, "registered": False}}}
    assert await stack.poller.store.append(Configuration(1, overlay), change=CHANGE, after=Head(0, 0))
    stack.poller.note_head(Head(1, 1))
    again = await live.acquire()
    await live.release(current)
    assert current.stack is not again.stack
    await check_nothing_is_left(before)
    await live.release(again)
    await live.close()
    await check_nothing_is_left(before)


@EARLY
async def test_so_does_the_asking_for_an_issuers_keys(
    *, early: bool, silence: Silence, upstream: FakeUpstream, issuer: Issuer, tmp_path: Path
) -> None:
    before = asyncio.all_tasks()
    issuer.replies[JWKS] = silence
    auth = {"providers": [{"type": "oauth2_token", "jwks": {"uri": issuer.jwks_uri}, "audience": AUDIENCE}]}
    stack = await stack_of(document_of(upstream, tmp_path, server={"auth": auth}))
    assert stack.authenticator is not None
    header = (b"authorization", f"Bearer {issuer.mint()}".encode())
    request = Request({"type": "http", "path": "/", "query_string": b"", "headers": [header]})
    await leave(asyncio.create_task(stack.authenticator.authenticate(request)), silence, early=early)
    await stack.close()
    await check_nothing_is_left(before)
    with pytest.raises(ApiError):
        await stack.authenticator.authenticate(request)
    await check_nothing_is_left(before)
