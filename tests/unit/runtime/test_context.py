"""A function's time is counted down, and never below nothing."""

import time

import pytest

from core.runtime.context import Context
from core.runtime.invocations import Invocation


@pytest.mark.parametrize(("seconds", "least", "most"), [(60, 1, 60_000), (-60, 0, 0)])
def test_remaining_time_is_until_the_deadline(seconds: int, least: int, most: int) -> None:
    context = Context(Invocation("id", int(time.time() + seconds) * 1000, "", "", None, b""), {})
    assert least <= context.get_remaining_time_in_millis() <= most
