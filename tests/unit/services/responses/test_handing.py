"""When a run of the foreground goes to a worker, by how long its call may last and by what the run config allows."""

import asyncio

import pytest

from core.apis.response_settings import ResponseSettings
from core.frame.callers import ANONYMOUS, Call
from core.services.responses.background.handing import times_of

NOW = 1000.0


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
