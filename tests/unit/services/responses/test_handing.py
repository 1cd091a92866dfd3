"""When a run of the foreground goes to a worker, by how long its call may last and by what the run config allows."""

import asyncio
from typing import Any

import pytest

from core.apis.response_settings import ResponseSettings
from core.config.load import interpret
from core.frame.callers import ANONYMOUS, Call
from core.services.responses.background.handing import Handover, find_handover, times_of
from core.services.responses.contract import Events, RunQueued
from core.services.responses.engine.failures import Alarm
from core.services.responses.wiring import Wiring
from core.stores.connect import Stores

NOW = 1000.0
UNUSED: Any = None


@pytest.mark.parametrize(
    ("until", "foreground", "expected"),
    [
        (NOW + 200, None, (NOW + 140, NOW + 185)),
        (NOW + 40, None, (NOW + 20, NOW + 30)),
        (NOW - 5, None, (NOW - 5, NOW - 5)),
        (NOW + 200, 10, (NOW + 10, NOW + 25)),
        (NOW + 40, 30, (NOW + 20, NOW + 30)),
        (None, 10, (NOW + 10, NOW + 25)),
        (None, None, None),
    ],
)
async def test_the_first_of_all_times_is_what_counts(
    until: float | None, foreground: int | None, expected: tuple[float, float] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, allowed = Call(ANONYMOUS), ResponseSettings(foreground_seconds=foreground)
    call.until = until
    with monkeypatch.context() as patched:
        patched.setattr(asyncio.get_running_loop(), "time", lambda: NOW)
        assert times_of(call, allowed) == expected


async def hang() -> Events:
    await asyncio.Event().wait()
    yield RunQueued()


async def begin_at_once() -> Events:
    yield RunQueued()


def handover(*, at_step: float = 0, at_once: float = 0) -> Handover:
    """Its times are seconds from now."""
    now = asyncio.get_running_loop().time()
    return Handover(UNUSED, (now + at_step, now + at_once), "")


async def test_it_is_time_before_there_is_an_event() -> None:
    alarm, due = Alarm(), handover()
    assert await due.begin(hang(), alarm) is None
    assert (due.is_due, alarm.rings, alarm.waiting) == (True, True, None)


async def test_whoever_is_cancelled_before_there_is_an_event_hands_nothing_over() -> None:
    alarm, early = Alarm(), handover(at_once=60)
    beginning = asyncio.create_task(early.begin(hang(), alarm))
    await asyncio.sleep(0)
    beginning.cancel()
    await asyncio.wait([beginning])
    assert (beginning.cancelled(), early.is_due, alarm.waiting) == (True, False, None)
    early.stop()


async def test_one_that_was_stopped_never_rings() -> None:
    alarm, ended = Alarm(), handover()
    assert await ended.begin(begin_at_once(), alarm) == RunQueued()
    ended.stop()
    for _ in range(3):
        await asyncio.sleep(0.001)
    assert (ended.is_due, alarm.rings) == (False, False)


@pytest.mark.parametrize(("at_step", "rings"), [(-1, True), (0, True), (1, False)])
async def test_a_step_is_where_it_is_time_from_then_on(
    at_step: float, rings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    alarm, stepping = Alarm(), Handover(UNUSED, (NOW + at_step, NOW + 60), "")
    with monkeypatch.context() as patched:
        patched.setattr(asyncio.get_running_loop(), "time", lambda: NOW)
        stepping.look(alarm)
    assert (stepping.is_due, alarm.rings) == (rings, rings)


async def test_a_stack_without_jobs_hands_nothing_over() -> None:
    backends = {"table": {"type": "kv_dynamodb", "table": "unused"}}
    storage = {"backends": backends, "stores": {"documents": {"backend": "table"}}}
    config = interpret({"image_name": "t", "storage": storage}, {}).config
    assert config is not None
    kept = Stores(config)

    class Bare:
        stores = kept

        def providers(self, api: str) -> dict[str, Any]:
            del api
            return {}

    parts: Any = Bare()
    call = Call(ANONYMOUS)
    call.until = asyncio.get_running_loop().time() + 60
    assert await find_handover(Wiring(parts, call, UNUSED), UNUSED) is None
