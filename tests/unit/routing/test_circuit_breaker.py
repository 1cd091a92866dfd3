"""A circuit opens after failures in a row, lets one call try after a while, and closes when that one succeeds."""

from typing import override

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
import pytest

from core.routing.circuit_breaker import MOST_CIRCUITS, CircuitBreaker, Permit
from tests.fakes import Clock

KEY = ("a", "m")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def circuits(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(3, 30.0, clock)


def permit(circuits: CircuitBreaker, key: tuple[str, str] = KEY) -> Permit:
    found = circuits.admit(key)
    assert found is not None
    return found


def fail(circuits: CircuitBreaker, times: int) -> None:
    for _ in range(times):
        circuits.record_failure(permit(circuits))


def test_failures_in_a_row_open_it_and_others_do_not(circuits: CircuitBreaker) -> None:
    fail(circuits, 2)
    circuits.record_success(permit(circuits))
    fail(circuits, 2)
    assert circuits.describe_failures("a") == [{"model": "m", "state": "closed", "failures": 2, "retry_in": None}]
    fail(circuits, 1)
    assert circuits.admit(KEY) is None
    assert circuits.describe_failures("a") == [{"model": "m", "state": "open", "failures": 3, "retry_in": 30.0}]


def test_a_provider_that_is_configured_otherwise_begins_anew_and_no_other_does(circuits: CircuitBreaker) -> None:
    for key in (KEY, ("m", "a")):
        for _ in range(3):
            circuits.record_failure(Permit(key))
    circuits.forget("a")
    assert (circuits.admit(KEY) is not None, circuits.admit(("m", "a"))) == (True, None)


def test_each_target_has_its_own(circuits: CircuitBreaker) -> None:
    fail(circuits, 3)
    assert circuits.admit(("a", "n"))
    assert circuits.admit(("b", "m"))
    assert circuits.describe_failures("b") == []


def test_one_call_at_a_time_may_try_after_a_while(circuits: CircuitBreaker, clock: Clock) -> None:
    fail(circuits, 3)
    clock.now = 29.9
    assert circuits.admit(KEY) is None
    assert circuits.retry_in(KEY) == pytest.approx(0.1)
    clock.now = 30.0
    assert circuits.describe_failures("a") == [{"model": "m", "state": "half_open", "failures": 3, "retry_in": 0.0}]
    trial = permit(circuits)
    assert circuits.admit(KEY) is None
    circuits.record_failure(trial)
    assert circuits.admit(KEY) is None
    assert circuits.describe_failures("a") == [{"model": "m", "state": "open", "failures": 4, "retry_in": 30.0}]
    clock.now = 60.0
    circuits.record_success(permit(circuits))
    assert circuits.describe_failures("a") == []
    fail(circuits, 2)
    assert circuits.admit(KEY)


def test_a_trial_without_an_outcome_lets_the_next_one_try(circuits: CircuitBreaker, clock: Clock) -> None:
    fail(circuits, 3)
    clock.now = 30.0
    circuits.release_permit(permit(circuits))
    permit(circuits)


def test_a_trial_whose_answer_has_begun_is_on_probation(circuits: CircuitBreaker, clock: Clock) -> None:
    fail(circuits, 3)
    clock.now = 30.0
    trial = permit(circuits)
    circuits.record_first_byte(trial)
    permit(circuits)
    circuits.record_failure(trial)
    assert circuits.admit(KEY) is None
    clock.now = 60.0
    trial = permit(circuits)
    circuits.record_first_byte(trial)
    circuits.record_success(trial)
    assert circuits.describe_failures("a") == []


def test_a_circuit_that_opens_at_the_first_failure_does_so_after_a_trial_too(clock: Clock) -> None:
    circuits = CircuitBreaker(1, 30.0, clock)
    fail(circuits, 1)
    clock.now = 30.0
    trial = permit(circuits)
    circuits.record_first_byte(trial)
    assert circuits.describe_failures("a") == []
    circuits.record_failure(trial)
    assert circuits.admit(KEY) is None


def test_calls_that_began_before_it_opened_neither_close_it_nor_keep_it_open(
    circuits: CircuitBreaker, clock: Clock
) -> None:
    early, late = permit(circuits), permit(circuits)
    fail(circuits, 3)
    circuits.record_success(early)
    assert circuits.admit(KEY) is None
    clock.now = 29.0
    circuits.record_failure(late)
    assert circuits.retry_in(KEY) == pytest.approx(1.0)
    clock.now = 30.0
    trial = permit(circuits)
    for stranger in (early, late):
        circuits.release_permit(stranger)
        circuits.record_first_byte(stranger)
        assert circuits.admit(KEY) is None
    circuits.record_success(trial)
    permit(circuits)


ADA, BOB, MALLORY = "issuer:ada", "issuer:bob", "issuer:mallory"


def fail_for(circuits: CircuitBreaker, caller: str, times: int = 1, *, alone: bool = False) -> None:
    for _ in range(times):
        leave = circuits.admit(KEY, caller)
        assert leave is not None
        circuits.record_failure(leave, alone=alone)


def is_open_to(circuits: CircuitBreaker, caller: str) -> bool:
    leave = circuits.admit(KEY, caller)
    if leave is not None:
        circuits.release_permit(leave)
    return leave is None


def test_a_callers_failures_keep_that_caller_away_alone(circuits: CircuitBreaker, clock: Clock) -> None:
    fail_for(circuits, MALLORY, 3)
    assert [is_open_to(circuits, caller) for caller in (MALLORY, ADA, BOB)] == [True, False, False]
    assert circuits.describe_failures("a") == [
        {"model": "m", "state": "open", "failures": 3, "retry_in": 30.0, "callers": 1}
    ]
    assert (circuits.retry_in(KEY, MALLORY), circuits.retry_in(KEY, ADA)) == (30.0, 0.0)
    for _ in range(20):  # as often as it may try again
        clock.now += 30.0
        fail_for(circuits, MALLORY)
        assert not is_open_to(circuits, ADA)


@pytest.mark.parametrize("most", [1, 2, 3, 5, 8])
def test_failures_of_several_callers_in_a_row_keep_everybody_away(clock: Clock, most: int) -> None:
    circuits = CircuitBreaker(most, 30.0, clock)
    for number in range(max(2, most)):
        assert not is_open_to(circuits, MALLORY)
        fail_for(circuits, (ADA, BOB)[number % 2])
    assert is_open_to(circuits, MALLORY)
    assert "callers" not in circuits.describe_failures("a")[0]


def test_whoever_fails_most_needs_as_many_failures_of_others_to_keep_them_away(clock: Clock) -> None:
    circuits = CircuitBreaker(5, 30.0, clock)
    fail_for(circuits, MALLORY, 4)
    fail_for(circuits, ADA)
    assert not is_open_to(circuits, BOB)
    fail_for(circuits, MALLORY)
    assert not is_open_to(circuits, ADA)
    fail_for(circuits, ADA)
    assert is_open_to(circuits, BOB)


def test_a_success_of_anybody_ends_the_row_of_all(circuits: CircuitBreaker) -> None:
    for _ in range(5):
        fail_for(circuits, MALLORY, 2)
        leave = circuits.admit(KEY, ADA)
        assert leave
        circuits.record_success(leave)
        leave = circuits.admit(KEY, MALLORY)
        assert leave
        circuits.record_success(leave)
    fail_for(circuits, ADA)
    assert not is_open_to(circuits, BOB)


def test_what_a_caller_alone_brought_about_is_no_ones_else_not_even_with_another(circuits: CircuitBreaker) -> None:
    fail_for(circuits, MALLORY, 3, alone=True)
    fail_for(circuits, BOB, 3, alone=True)
    assert [is_open_to(circuits, caller) for caller in (MALLORY, BOB, ADA)] == [True, True, False]


def test_what_comes_of_a_callers_own_key_says_nothing_of_the_target(circuits: CircuitBreaker) -> None:
    fail_for(circuits, ADA, 2)
    fail_for(circuits, BOB)
    assert is_open_to(circuits, MALLORY)
    with_key = circuits.admit(KEY, MALLORY, alone=True)
    assert with_key
    circuits.record_success(with_key)
    assert is_open_to(circuits, MALLORY)
    for _ in range(3):
        with_key = circuits.admit(KEY, alone=True)  # of nobody: nobody is kept away
        assert with_key
        circuits.record_failure(with_key)
    assert (circuits.admit(KEY, alone=True) is None, circuits.admit(KEY) is None) == (False, False)


def open_to_all(circuits: CircuitBreaker, clock: Clock) -> None:
    """Now, for everybody, and its time has come."""
    fail_for(circuits, ADA, 2)
    fail_for(circuits, BOB)
    assert is_open_to(circuits, MALLORY)
    clock.now += 30.0


def test_a_trial_that_hangs_keeps_its_own_caller_waiting_and_not_for_ever(
    circuits: CircuitBreaker, clock: Clock
) -> None:
    open_to_all(circuits, clock)
    hanging = circuits.admit(KEY, MALLORY)
    assert hanging
    assert (is_open_to(circuits, MALLORY), is_open_to(circuits, ADA)) == (True, False)
    clock.now += 30.0
    assert not is_open_to(circuits, MALLORY)
    circuits.release_permit(hanging)
    trial = circuits.admit(KEY, ADA)
    assert trial
    circuits.record_success(trial)
    assert [is_open_to(circuits, caller) for caller in (MALLORY, ADA, BOB)] == [False] * 3


def test_a_trial_that_fails_for_one_keeps_that_one_away_and_for_two_everybody(
    circuits: CircuitBreaker, clock: Clock
) -> None:
    open_to_all(circuits, clock)
    fail_for(circuits, MALLORY)
    assert [is_open_to(circuits, caller) for caller in (MALLORY, ADA, BOB)] == [True, False, False]
    fail_for(circuits, ADA)
    assert [is_open_to(circuits, caller) for caller in (MALLORY, ADA, BOB)] == [True, True, True]
    assert circuits.retry_in(KEY, BOB) == 30.0


def test_on_probation_two_callers_failures_are_enough(circuits: CircuitBreaker, clock: Clock) -> None:
    open_to_all(circuits, clock)
    trial = circuits.admit(KEY, ADA)
    assert trial
    circuits.record_first_byte(trial)
    assert not is_open_to(circuits, MALLORY)
    circuits.record_failure(trial)
    assert not is_open_to(circuits, MALLORY)
    fail_for(circuits, BOB)
    assert is_open_to(circuits, MALLORY)


def test_old_news_changes_nothing_of_the_circuit_of_all(circuits: CircuitBreaker, clock: Clock) -> None:
    early = [circuits.admit(KEY, MALLORY) for _ in range(3)]
    open_to_all(circuits, clock)
    for leave, tell in zip(
        early, (circuits.record_success, circuits.record_first_byte, circuits.record_failure), strict=True
    ):
        assert leave
        tell(leave)
        circuits.release_permit(leave)
    hanging = circuits.admit(KEY, ADA)
    assert hanging
    assert is_open_to(circuits, ADA)
    circuits.record_success(hanging)
    assert not is_open_to(circuits, MALLORY)


def test_circuits_are_bounded_and_those_that_are_open_stay_longest(circuits: CircuitBreaker) -> None:
    fail_for(circuits, ADA, 2)
    fail_for(circuits, BOB)
    for number in range(3 * MOST_CIRCUITS):
        invented = circuits.admit(("a", f"x{number}"), MALLORY)
        assert invented
        circuits.record_failure(invented)
    assert len(circuits.describe_failures("a")) <= 2 * MOST_CIRCUITS
    assert is_open_to(circuits, MALLORY)


class Life(RuleBasedStateMachine):
    """Any calls in any order: at most one trial, no refusal while well, and nothing kept of what is well."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.circuits = CircuitBreaker(2, 10.0, self.clock)
        self.out: list[Permit] = []
        self.opened_at: float | None = None
        self.trial: Permit | None = None
        self.tried_at = 0.0
        self.failures = 0

    @rule(seconds=st.floats(0, 12))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def call(self) -> None:
        found = self.circuits.admit(KEY)
        is_free = self.trial is None or self.clock.now >= self.tried_at + 10.0
        may_try = self.opened_at is None or (self.clock.now >= self.opened_at + 10.0 and is_free)
        assert (found is not None) is may_try
        if found is not None:
            self.out.append(found)
            self.trial = found if self.opened_at is not None else None
            self.tried_at = self.clock.now

    def ended(self, data: st.DataObject) -> tuple[Permit, bool]:
        """One of the calls, and whether its outcome is news."""
        ended = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        is_news = self.opened_at is None or ended is self.trial
        self.trial = None if ended is self.trial else self.trial
        return ended, is_news

    @precondition(lambda self: bool(self.out))
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        ended, is_news = self.ended(data)
        self.circuits.record_failure(ended)
        self.failures += is_news
        if is_news and (self.opened_at is not None or self.failures >= 2):
            self.opened_at = self.clock.now

    @precondition(lambda self: bool(self.out))
    @rule(data=st.data())
    def succeed(self, data: st.DataObject) -> None:
        ended, is_news = self.ended(data)
        self.circuits.record_success(ended)
        if is_news:
            self.opened_at, self.failures = None, 0

    @precondition(lambda self: bool(self.out))
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        self.circuits.release_permit(self.ended(data)[0])

    @precondition(lambda self: bool(self.out))
    @rule(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        call = data.draw(st.sampled_from(self.out))
        self.circuits.record_first_byte(call)
        if call is self.trial:
            self.opened_at, self.failures, self.trial = None, 1, None

    @invariant()
    def what_is_shown_is_what_is_known(self) -> None:
        shown = self.circuits.describe_failures("a")
        assert [row["failures"] for row in shown] == ([self.failures] if self.failures else [])
        assert all((row["state"] == "closed") is (self.opened_at is None) for row in shown)

    @override
    def teardown(self) -> None:
        self.clock.now += 10.0
        for left in self.out:
            self.circuits.release_permit(left)
        assert self.circuits.admit(KEY), "a target that is never asked again"


Life.TestCase.settings = settings(deadline=None, stateful_step_count=30)
TestLife = Life.TestCase
