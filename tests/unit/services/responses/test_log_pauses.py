"""When a log is written next, and who waits for that."""

import asyncio
import os

import pytest

from core.services.responses.recording.pauses import Bell, next_time, phase

NOW = 100.0
FOLLOWED, FIRST, LATER = (True, True), (False, True), (False, False)


@pytest.mark.parametrize(
    ("process", "now", "elapsed", "how", "due"),
    [
        (4, NOW, 0, FOLLOWED, 100.25),
        (4, NOW, 10, FOLLOWED, 100.5),
        (4, NOW, 30, FOLLOWED, 101),
        (4, NOW, 300, FOLLOWED, 101),
        (4, NOW, 300, FIRST, 100.25),
        (8, NOW, 300, LATER, 101),
        (12, NOW, 300, LATER, 100.5),
        (13, NOW, 300, LATER, 100.625),
        (4, 100.25, 300, LATER, 100.5),
        (4, 100.375, 300, LATER, 101),
        (4, 100.5, 300, LATER, 101.5),
        (4, 100.496, 300, LATER, 101.496),  # woken early it is not woken again at once
    ],
)
def test_each_process_writes_at_its_own_time_of_the_second(
    process: int,
    now: float,
    elapsed: float,
    how: tuple[bool, bool],
    due: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "getpid", lambda: process)
    assert phase() == process % 8 / 8
    is_followed, is_first = how
    assert next_time(now, elapsed, is_first=is_first, is_followed=is_followed) == due


async def test_who_waits_is_woken_at_a_time_or_by_the_bell_and_by_no_bell_before() -> None:
    bell, now = Bell(), asyncio.get_running_loop().time()
    bell.ring()
    await bell.wait(now)
    bell.ring()
    rung = asyncio.create_task(bell.wait(now + 0.02))
    await asyncio.sleep(0)
    bell.ring()
    bell.ring()
    await rung
    later = asyncio.create_task(bell.wait(now + 60))
    await asyncio.sleep(0.05)
    assert not later.done()
    bell.ring()
    await later
