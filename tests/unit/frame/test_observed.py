"""What is noted of a request adds up, and time that is waited through twice is counted once."""

from time import perf_counter, sleep
from typing import Any

import pytest

from core.frame.callers import ANONYMOUS, Call
from core.frame.observed import Observed, Stopwatch


def test_waiting_at_once_is_counted_once_and_not_in_between() -> None:
    watch, begun = Stopwatch(), perf_counter()
    with watch:
        sleep(0.002)
        with watch, watch:
            pass
        sleep(0.002)
    held = perf_counter() - begun
    assert 0.004 <= watch.seconds <= held
    before = watch.seconds
    sleep(0.001)
    assert watch.seconds == before
    with watch:
        pass
    assert watch.seconds > before


def test_it_is_let_go_by_what_fails() -> None:
    watch = Stopwatch()
    for _ in range(2):
        with pytest.raises(KeyError), watch:
            raise KeyError
    before = watch.seconds
    assert before > 0
    with watch:
        pass
    assert watch.seconds > before


@pytest.mark.parametrize(
    ("usages", "tokens"),
    [
        ([], {}),
        ([{}], {}),
        ([{"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}], {"prompt": 3, "completion": 4}),
        ([{"prompt_tokens": 3, "completion_tokens": 4}] * 2, {"prompt": 6, "completion": 8}),
        ([{"prompt_tokens": 0}, {"prompt_tokens": 5}], {"prompt": 5}),
        ([{"prompt_tokens": -1, "completion_tokens": "4"}, {"prompt_tokens": None, "completion_tokens": 1.5}], {}),
    ],
)
def test_usages_are_added_and_what_is_no_count_is_ignored(usages: list[dict[str, Any]], tokens: dict[str, int]) -> None:
    observed = Observed()
    for usage in usages:
        observed.add_usage(usage)
    assert observed.tokens == tokens


def test_each_call_is_observed_for_itself_and_says_nothing_when_it_is_shown() -> None:
    first, second = Call(ANONYMOUS), Call(ANONYMOUS)
    first.observed.model = "mine"
    assert second.observed.model == ""
    assert "mine" not in repr(first)
