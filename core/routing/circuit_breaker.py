"""CircuitBreaker: a target that failed several times in a row is left alone for a while, then tried by one call.

What is known holds for this process alone, which on Lambda is one environment.
"""

from collections.abc import Callable
from dataclasses import dataclass
import time
from typing import Literal

from core.frame.types import JsonObject

type Key = tuple[str, str]
"""A provider's id, and its own name of the model."""
type State = Literal["closed", "open", "half_open"]


@dataclass(frozen=True, slots=True, eq=False)
class Permit:
    """Leave for one call, by itself: two for one target are not alike."""

    key: Key


@dataclass(slots=True)
class _Circuit:
    """`open_until` is None while closed; from then on one call, the `trial`, may find out."""

    failures: int = 0
    open_until: float | None = None
    trial: Permit | None = None


class CircuitBreaker:
    """The circuit of each target that has failed; a target without one is well."""

    def __init__(self, failures: int, open_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Open at that many `failures` in a row, for `open_seconds`; `clock` is in seconds."""
        self._most = failures
        self._open_seconds = open_seconds
        self._clock = clock
        self._known: dict[Key, _Circuit] = {}

    def admit(self, key: Key) -> Permit | None:
        """Leave to call the target, whose holder must tell the outcome; None while it is open."""
        permit = Permit(key)
        circuit = self._known.get(key)
        if circuit is None or circuit.open_until is None:
            return permit
        if circuit.trial is not None or self._clock() < circuit.open_until:
            return None
        circuit.trial = permit
        return permit

    def retry_in(self, key: Key) -> float:
        """Seconds until the target may be tried; 0 for one that may be now, or is being."""
        circuit = self._known.get(key)
        if circuit is None or circuit.open_until is None:
            return 0.0
        return max(0.0, circuit.open_until - self._clock())

    def describe_failures(self, provider_id: str) -> list[JsonObject]:
        """The provider's models that have failed lately; `retry_in` is in seconds, null for one that is closed."""
        return [
            {
                "model": key[1],
                "state": self._state(circuit),
                "failures": circuit.failures,
                "retry_in": None if circuit.open_until is None else round(self.retry_in(key), 3),
            }
            for key, circuit in sorted(self._known.items())
            if key[0] == provider_id
        ]

    def _state(self, circuit: _Circuit) -> State:
        if circuit.open_until is None:
            return "closed"
        return "open" if self._clock() < circuit.open_until else "half_open"

    def record_first_byte(self, permit: Permit) -> None:
        """An answer has begun: a trial closes the circuit, on probation."""
        circuit = self._known.get(permit.key)
        if circuit is not None and circuit.trial is permit:
            self._known[permit.key] = _Circuit(self._most - 1)
            if self._most == 1:
                del self._known[permit.key]

    def record_success(self, permit: Permit) -> None:
        """The target is well. Word from a call that began before the circuit opened is no news."""
        circuit = self._known.get(permit.key)
        if circuit is not None and (circuit.open_until is None or circuit.trial is permit):
            del self._known[permit.key]

    def record_failure(self, permit: Permit) -> None:
        """One more failure in a row. That of a call that began before the circuit opened changes nothing."""
        circuit = self._known.setdefault(permit.key, _Circuit())
        if circuit.open_until is not None and circuit.trial is not permit:
            return
        circuit.failures += 1
        circuit.trial = None
        if circuit.open_until is not None or circuit.failures >= self._most:
            circuit.open_until = self._clock() + self._open_seconds

    def forget(self, provider_id: str) -> None:
        """The provider is configured otherwise now: what its targets did before says nothing."""
        self._known = {key: circuit for key, circuit in self._known.items() if key[0] != provider_id}

    def release_permit(self, permit: Permit) -> None:
        """A trial ended without an outcome: the next call may be one."""
        circuit = self._known.get(permit.key)
        if circuit is not None and circuit.trial is permit:
            circuit.trial = None
