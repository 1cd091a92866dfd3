"""CircuitBreaker: a target that failed several times in a row is left alone for a while, then tried by one call.

Each caller has a circuit of its own for each target: what one caller's requests, keys and patience bring about keeps that
caller away alone. The circuit of all callers opens when failures in a row come from several of them. Where nobody is told
apart (no auth) there is one caller. What is known holds for this process alone, which on Lambda is one environment.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
import time
from typing import Final, Literal

from core.frame.types import JsonObject

MOST_CIRCUITS: Final = 2_000  # of either sort; beyond, the closed one goes that failed longest ago, then the open one

type Key = tuple[str, str]
"""A provider's id, and its own name of the model."""
type Caller = str
"""A principal's identity."""
type State = Literal["closed", "open", "half_open"]

ANYBODY: Final[Caller] = ""


@dataclass(frozen=True, slots=True, eq=False)
class Permit:
    """Leave for one call, by itself: two for one target are not alike. What comes of one `alone` is its caller's affair."""

    key: Key
    caller: Caller = ANYBODY
    alone: bool = False

    @property
    def own(self) -> tuple[Key, Caller]:
        """Whose circuit its outcome counts in."""
        return self.key, self.caller

    @property
    def is_nobodys(self) -> bool:
        """Whether there is no circuit for its outcome, as nobody can tell whose key it is."""
        return self.alone and self.caller == ANYBODY

    @property
    def is_shared(self) -> bool:
        """Whether its outcome may say something to other callers."""
        return self.caller != ANYBODY and not self.alone


@dataclass(slots=True)
class _Circuit:
    """One caller's. `open_until` is None while closed; from then on one call, the `trial`, may find out, until its time is up."""

    failures: int = 0
    open_until: float | None = None
    trial: Permit | None = None
    trial_until: float = 0.0

    def refuses(self, now: float) -> bool:
        return self.open_until is not None and (
            now < self.open_until or (self.trial is not None and now < self.trial_until)
        )


@dataclass(slots=True)
class _Shared:
    """All callers'. `runs` are the failures in a row of each; when its time has come each caller may try, by one call.

    `wary`: it was open, and has not been well since.
    """

    open_until: float | None = None
    wary: bool = False
    runs: dict[Caller, int] = field(default_factory=dict[Caller, int])
    trials: dict[Caller, tuple[Permit, float]] = field(default_factory=dict[Caller, tuple[Permit, float]])

    def refuses(self, now: float, caller: Caller) -> bool:
        if self.open_until is None:
            return False
        return now < self.open_until or (caller in self.trials and now < self.trials[caller][1])

    def has_trial(self, permit: Permit) -> bool:
        return permit.caller in self.trials and self.trials[permit.caller][0] is permit

    def end_trial(self, permit: Permit) -> bool:
        """False where the call was none."""
        return self.has_trial(permit) and self.trials.pop(permit.caller)[0] is permit


class CircuitBreaker:
    """The circuits of each target that has failed; a target without one is well."""

    def __init__(self, failures: int, open_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Open at that many `failures` in a row, for `open_seconds`; `clock` is in seconds."""
        self._most = failures
        self._open_seconds = open_seconds
        self._clock = clock
        self._own: dict[tuple[Key, Caller], _Circuit] = {}
        self._shared: dict[Key, _Shared] = {}

    def admit(self, key: Key, caller: Caller = ANYBODY, *, alone: bool = False) -> Permit | None:
        """Leave to call the target, whose holder must tell the outcome; None while it is open.

        `alone` is a call that says nothing of the target to others, as one with the caller's own key.
        """
        permit, now = Permit(key, caller, alone), self._clock()
        own, shared = self._own_of(permit), self._shared_of(permit)
        if (own is not None and own.refuses(now)) or (shared is not None and shared.refuses(now, caller)):
            return None
        until = now + self._open_seconds
        if own is not None and own.open_until is not None:
            own.trial, own.trial_until = permit, until
        if shared is not None and shared.open_until is not None:
            shared.trials[caller] = permit, until
        return permit

    def retry_in(self, key: Key, caller: Caller = ANYBODY) -> float:
        """Seconds until the caller may try the target; 0 for one that may be tried now, or is being."""
        circuits = self._own.get((key, caller)), self._shared.get(key) if caller != ANYBODY else None
        times = [c.open_until for c in circuits if c is not None and c.open_until is not None]
        return max(0.0, max(times) - self._clock()) if times else 0.0

    def describe_failures(self, provider_id: str) -> list[JsonObject]:
        """The provider's models that have failed lately; `retry_in` is in seconds, null for one that is closed.

        `callers` is there for what is open, if it is, to so many callers alone.
        """
        own: dict[Key, dict[Caller, _Circuit]] = {key: {} for key in self._shared if key[0] == provider_id}
        for (key, caller), circuit in self._own.items():
            if key[0] == provider_id:
                own.setdefault(key, {})[caller] = circuit
        return [self._describe(key, circuits) for key, circuits in sorted(own.items(), key=lambda pair: pair[0])]

    def record_first_byte(self, permit: Permit) -> None:
        """An answer has begun: a trial closes its circuits, on probation."""
        own, shared = self._own_of(permit), self._shared_of(permit)
        if own is not None and own.trial is permit:
            self._own[permit.own] = _Circuit(self._most - 1)
            if self._most == 1:
                del self._own[permit.own]
        if shared is not None and shared.has_trial(permit):
            self._shared[permit.key] = _Shared(wary=True)

    def record_success(self, permit: Permit) -> None:
        """The target is well. Word from a call that began before a circuit opened is no news."""
        own, shared = self._own_of(permit), self._shared_of(permit)
        if own is not None and (own.open_until is None or own.trial is permit):
            del self._own[permit.own]
        if shared is not None and (shared.open_until is None or shared.has_trial(permit)):
            del self._shared[permit.key]

    def record_failure(self, permit: Permit, *, alone: bool = False) -> None:
        """One more failure in a row. That of a call that began before a circuit opened changes nothing there.

        `alone` is a failure that only its caller brought about, as one by its own impatience.
        """
        if permit.is_nobodys:
            return
        was_trial = not alone and permit.is_shared and self._record_shared(permit)
        own = self._own.pop(permit.own, None) or _Circuit()
        _make_room(self._own)
        self._own[permit.own] = own
        if own.open_until is not None and own.trial is not permit:
            return
        own.failures += 1
        own.trial = None
        if own.open_until is not None or own.failures >= self._most or was_trial:
            own.open_until = self._clock() + self._open_seconds

    def forget(self, provider_id: str) -> None:
        """The provider is configured otherwise now: what its targets did before says nothing."""
        self._own = {at: circuit for at, circuit in self._own.items() if at[0][0] != provider_id}
        self._shared = {key: circuit for key, circuit in self._shared.items() if key[0] != provider_id}

    def release_permit(self, permit: Permit) -> None:
        """A trial ended without an outcome: the next call may be one."""
        own, shared = self._own_of(permit), self._shared_of(permit)
        if own is not None and own.trial is permit:
            own.trial = None
        if shared is not None:
            shared.end_trial(permit)

    def _own_of(self, permit: Permit) -> _Circuit | None:
        return None if permit.is_nobodys else self._own.get(permit.own)

    def _shared_of(self, permit: Permit) -> _Shared | None:
        return self._shared.get(permit.key) if permit.is_shared else None

    def _record_shared(self, permit: Permit) -> bool:
        """Whether the call was a trial of the circuit of all."""
        shared = self._shared.pop(permit.key, None) or _Shared()
        _make_room(self._shared)
        self._shared[permit.key] = shared
        was_trial = shared.end_trial(permit)
        if shared.open_until is not None and not was_trial:
            return False
        shared.runs[permit.caller] = shared.runs.get(permit.caller, 0) + 1
        if self._opens(shared):
            until = self._clock() + self._open_seconds
            self._shared[permit.key] = _Shared(until, wary=True)
        return was_trial

    def _opens(self, shared: _Shared) -> bool:
        """Nobody's failures are more than half of the failures that it takes, so that nobody opens it alone."""
        if shared.wary:
            return len(shared.runs) > 1
        most = max(2, self._most)
        return sum(min(run, (most + 1) // 2) for run in shared.runs.values()) >= most

    def _describe(self, key: Key, own: dict[Caller, _Circuit]) -> JsonObject:
        shared = self._shared.get(key) or _Shared()
        failures = max([sum(shared.runs.values()), *(circuit.failures for circuit in own.values())])
        until, alone = shared.open_until, {}
        if until is None:
            times = [circuit.open_until for circuit in own.values() if circuit.open_until is not None]
            until = max(times, default=None)
            alone = {} if not times or ANYBODY in own else {"callers": len(times)}
        now = self._clock()
        state: State = "closed" if until is None else "open" if now < until else "half_open"
        retry_in = None if until is None else round(max(0.0, until - now), 3)
        return {"model": key[1], "state": state, "failures": failures, "retry_in": retry_in, **alone}


def _make_room[K, C: (_Circuit, _Shared)](circuits: dict[K, C]) -> None:
    """For one more, in the order in which they failed last."""
    if len(circuits) >= MOST_CIRCUITS:
        closed = (key for key, circuit in circuits.items() if circuit.open_until is None)
        del circuits[next(closed, next(iter(circuits)))]
