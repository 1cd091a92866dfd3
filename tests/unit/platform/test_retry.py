"""Backoff: how often, and how long before each try."""

from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from core.platform.retry import Backoff

SECONDS = st.floats(0.001, 10)


@given(first=SECONDS, longest=SECONDS, tries=st.integers(1, 50))
def test_there_is_a_pause_before_each_try_but_the_first_and_each_is_bounded(
    first: float, longest: float, tries: int
) -> None:
    pauses = list(Backoff(first, longest, tries).pauses())
    assert (len(pauses), pauses[0]) == (tries, 0)
    assert all(0 <= pause <= min(first * 2**n, max(first, longest)) for n, pause in enumerate(pauses[1:]))


def test_pauses_become_longer_and_differ() -> None:
    rounds = [list(Backoff(1, 1000, 10).pauses()) for _ in range(50)]
    longest = [max(pauses) for pauses in zip(*rounds, strict=True)]
    assert longest[-1] > 100 > longest[2]
    assert len({pauses[1] for pauses in rounds}) > 1


def test_without_tries_it_never_ends() -> None:
    pauses = list(islice(Backoff(0.001, 0.02).pauses(), 5000))
    assert max(pauses) <= 0.02
