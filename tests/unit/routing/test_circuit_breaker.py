"""A circuit opens after failures in a row, lets one call try after a while, and closes when that one succeeds."""

from typing import override

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
import pytest

from core.routing.circuit_breaker import CircuitBreaker, Permit
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


class Life(RuleBasedStateMachine):
    """Any calls in any order: at most one trial, no refusal while well, and nothing kept of what is well."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.circuits = CircuitBreaker(2, 10.0, self.clock)
        self.out: list[Permit] = []
        self.opened_at: float | None = None
        self.trial: Permit | None = None
        self.failures = 0

    @rule(seconds=st.floats(0, 12))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def call(self) -> None:
        found = self.circuits.admit(KEY)
        may_try = self.opened_at is None or (self.clock.now >= self.opened_at + 10.0 and self.trial is None)
        assert (found is not None) is may_try
        if found is not None:
            self.out.append(found)
            self.trial = found if self.opened_at is not None else None

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
