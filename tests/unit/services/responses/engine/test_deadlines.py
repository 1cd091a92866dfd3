"""A run ends before the time of its call is over, whatever it waits for, and leaves nothing under way."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from core.errors import UpstreamTimeout
from core.frame.callers import ANONYMOUS, Call
from core.services.responses.engine.failures import MARGIN, Deadline
from tests.unit.services.responses.engine.script import (
    SILENCE,
    HostedTool,
    ScriptedModel,
    a_run,
    calls,
    chunk,
    ended,
    items_of,
    play,
)


def test_a_run_ends_before_the_time_of_its_call_is_over() -> None:
    async def run() -> list[Any]:
        call = Call(ANONYMOUS, until=asyncio.get_running_loop().time() + MARGIN + 0.02)
        return await play(a_run(), ScriptedModel([[chunk({"content": "Hel"}), SILENCE]]), call)

    events = asyncio.run(run())
    assert (ended(events).error or {})["message"].startswith("The response was not whole when the time")
    assert items_of(events)[0]["status"] == "incomplete"


@pytest.mark.parametrize("seconds", [None, 60.0])
def test_a_run_that_is_cancelled_leaves_nothing_under_way(seconds: float | None) -> None:
    model = ScriptedModel([[chunk({"content": "Hel"}), SILENCE]])

    async def cancel() -> bool:
        until = None if seconds is None else asyncio.get_running_loop().time() + seconds
        task = asyncio.create_task(play(a_run(), model, Call(ANONYMOUS, until=until)))
        await asyncio.wait([task], timeout=0.01)
        assert model.open
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled() and asyncio.all_tasks() == {asyncio.current_task()}

    assert asyncio.run(cancel())
    assert not model.open


@pytest.mark.parametrize(("seconds", "more"), [(60, 0.02), (0.05, -1)], ids=["too long", "in the margin"])
def test_a_tool_that_is_waited_for_too_long_is_cancelled(seconds: float, more: float) -> None:
    async def run() -> list[Any]:
        call = Call(ANONYMOUS, until=asyncio.get_running_loop().time() + MARGIN + more)
        return await play(a_run(tool), ScriptedModel([calls(("t", "{}"))]), call)

    tool = HostedTool("t", seconds=seconds)
    events = asyncio.run(run())
    assert (ended(events).error or {})["code"] == "server_error"
    assert (items_of(events)[0]["status"], tool.running) == ("incomplete", 0)


async def test_a_timeout_of_somebody_else_is_no_end_of_the_calls_time() -> None:
    async def work() -> None:
        raise TimeoutError

    until = asyncio.get_running_loop().time() + 60
    with pytest.raises(TimeoutError):
        await Deadline(Call(ANONYMOUS, until=until)).wait(work())


async def test_time_that_is_over_while_nobody_waits_ends_what_is_watched() -> None:
    ends = list[str]()

    async def count() -> AsyncGenerator[int]:
        try:
            for number in range(9):
                yield number
        finally:
            ends.append("closed")

    until = asyncio.get_running_loop().time() + MARGIN + 0.01
    numbers = Deadline(Call(ANONYMOUS, until=until)).watch(count())
    assert await anext(numbers) == 0
    await asyncio.sleep(0.05)
    with pytest.raises(UpstreamTimeout):
        await anext(numbers)
    assert ends == ["closed"]
