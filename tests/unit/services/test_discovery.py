"""The environment is told whatever is down: upstreams are asked all at once, and none may hold up the answer."""

import asyncio
from collections.abc import Awaitable, Callable
import logging
from typing import Any

import pytest

from core.errors import UpstreamFailed
from core.platform.machine import Machine
from core.services.admin.discovery import BROKEN, PATIENCE_SECONDS, Describer, DiscoveryRouter

MACHINE = Machine("machine", "arm64", "3.13.0", 8.0, 16384, None, 1024, gpus=("Apple M2",))
type Describe = Callable[[], Awaitable[Any]]


def router(*describes: Describe | None, patience: float = 5.0) -> DiscoveryRouter:
    describers = [
        Describer("inference", name, "remote::fake", each) for name, each in zip("abcd", describes, strict=False)
    ]
    return DiscoveryRouter("1.2.3", lambda: MACHINE, describers, patience=patience)


async def upstreams(*describes: Describe | None, patience: float = 5.0) -> list[Any]:
    return [*(await router(*describes, patience=patience).environment())["upstreams"]]


def saying(what: Any) -> Describe:
    async def describe() -> Any:
        return what

    return describe


def raising(failure: BaseException) -> Describe:
    async def describe() -> Any:
        raise failure

    return describe


async def test_the_machine_and_every_upstream_are_told() -> None:
    assert await router(saying({"version": "9", "models": []}), None).environment() == {
        "version": "1.2.3",
        "runs_on": {
            "kind": "machine",
            "architecture": "arm64",
            "python": "3.13.0",
            "vcpus": 8.0,
            "memory_mb": 16384,
            "temporary_storage_mb": None,
            "open_files": 1024,
            "region": None,
            "timeout_seconds": None,
            "gpus": ["Apple M2"],
        },
        "upstreams": [
            {
                "api": "inference",
                "provider_id": "a",
                "provider_type": "remote::fake",
                "version": "9",
                "models": [],
            },
            {"api": "inference", "provider_id": "b", "provider_type": "remote::fake"},
        ],
    }


async def test_upstreams_are_asked_at_the_same_time() -> None:
    together = asyncio.Barrier(3)

    async def describe() -> Any:
        await together.wait()
        return {"version": "1"}

    assert [each["version"] for each in await upstreams(describe, describe, describe)] == ["1", "1", "1"]


async def test_one_that_hangs_is_an_error_and_is_left_alone() -> None:
    left = asyncio.Event()

    async def hang() -> Any:
        try:
            await asyncio.sleep(3600)
        finally:
            left.set()

    slow, quick = await upstreams(hang, saying({"version": "1"}), patience=0.01)
    assert slow["error"] == "It did not answer within 0.01 seconds."
    assert quick["version"] == "1"
    assert left.is_set()
    assert PATIENCE_SECONDS == 2.0


async def test_what_a_caller_may_see_of_a_failure_is_its_message() -> None:
    assert (await upstreams(raising(UpstreamFailed("It is down."))))[0]["error"] == "It is down."


@pytest.mark.parametrize("failure", [ValueError("secret detail"), asyncio.CancelledError(), RuntimeError()])
async def test_a_provider_that_breaks_is_in_the_log_and_breaks_nothing(
    failure: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    broken, well = await upstreams(raising(failure), saying({"version": "1"}))
    assert broken["error"] == BROKEN
    assert well["version"] == "1"
    (line,) = caplog.records
    assert line.levelno == logging.ERROR
    assert line.getMessage().startswith(f"provider a: describe failed: it raised {type(failure).__name__}")


@pytest.mark.parametrize("said", [None, "up", ["m"], 7])
async def test_what_is_no_mapping_is_no_description(said: Any) -> None:
    assert (await upstreams(saying(said)))[0]["error"] == BROKEN


async def test_one_that_is_not_async_breaks_nothing() -> None:
    def describe() -> Any:
        return {"version": "1"}

    def fail() -> Any:
        raise ValueError

    assert [each["error"] for each in await upstreams(describe, fail)] == [BROKEN, BROKEN]


async def test_a_description_cannot_pass_for_another_provider() -> None:
    (told,) = await upstreams(saying({"provider_id": "z", "api": "safety", "version": "1"}))
    assert (told["provider_id"], told["api"], told["version"]) == ("a", "inference", "1")


async def test_who_leaves_leaves_nobody_waiting() -> None:
    left, there = asyncio.Event(), asyncio.Event()

    async def hang() -> Any:
        there.set()
        try:
            await asyncio.sleep(3600)
        finally:
            left.set()

    asking = asyncio.ensure_future(router(hang).environment())
    await there.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert left.is_set()
