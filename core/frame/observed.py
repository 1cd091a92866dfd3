"""What the log line and the metrics of a request are made from: filled in by every layer, read when its answer ends."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final

USAGE: Final = {"prompt": "prompt_tokens", "completion": "completion_tokens"}
"""OpenAI's names in a usage, by what they count."""
NANOS: Final = 1_000_000_000  # nano-USD in one USD
PICOS: Final = 1000  # pico-USD in one nano-USD


class Stopwatch:
    """Measures the seconds in which at least one holder is inside `with`; waits that overlap are counted once."""

    __slots__ = ("_holders", "_since", "seconds")

    def __init__(self) -> None:
        self.seconds = 0.0
        self._holders = 0
        self._since = 0.0

    def __enter__(self) -> None:
        if not self._holders:
            self._since = perf_counter()
        self._holders += 1

    def __exit__(self, *_: object) -> None:
        self._holders -= 1
        if not self._holders:
            self.seconds += perf_counter() - self._since


@dataclass(slots=True, eq=False)
class Observed:
    """It is logged, so it holds no content, and no identity but the `caller`'s id where the run config wants it in logs.

    `model` is the id that the caller used, noted once the model was found: metrics have it as a dimension, and names
    that callers invent would make new ones without end. `provider` is the one asked last, for its own `provider_model`.
    `upstream` runs while a provider is waited for, in a stream between its chunks too. `failure` is the status of the
    error that ended a stream, `error_code` that of any error, and `reason` what an upstream said with it, for the log
    alone. `replayed`: the answer was stored before, under the same Idempotency-Key. `costs` are those of answers, in pico-USD.
    `groups` are what the spend is a metric by, as the run config wants it: `caller`, `team`, and `model`, whose value is `model`.
    `budget_warnings` are the soft limits that are reached, `budget_refusals` is 1 where a limit of `server.quota.limits` or of a key refused.
    """

    api: str = ""
    operation: str = ""
    model: str = ""
    provider: str = ""
    provider_model: str = ""
    failure: int = 0
    error_code: str = ""
    reason: str = ""
    replayed: bool = False
    caller: str = ""
    groups: dict[str, str] = field(default_factory=dict[str, str])
    tokens: dict[str, int] = field(default_factory=dict[str, int])
    costs: list[int | None] = field(default_factory=list[int | None])
    budget_warnings: int = 0
    budget_refusals: int = 0
    upstream: Stopwatch = field(default_factory=Stopwatch)

    def note_failure(self, code: str, reason: str, provider: str) -> None:
        """`provider` counts where none was asked for an answer."""
        self.error_code, self.reason, self.provider = code, reason, self.provider or provider

    def add_usage(self, usage: Mapping[str, object]) -> None:
        """Add what a provider reports, in OpenAI's names; anything but a count is ignored."""
        for name, reported in USAGE.items():
            count = usage.get(reported)
            if isinstance(count, int) and count >= 0:
                self.tokens[name] = self.tokens.get(name, 0) + count

    def add_cost(self, picos: int | None) -> None:
        """None is an answer of which nobody knows it."""
        self.costs.append(picos)

    @property
    def nanos(self) -> int | None:
        """What all answers cost, in nano-USD; None where there were none, or one's cost is not known."""
        picos = [cost for cost in self.costs if cost is not None]
        return None if not picos or len(picos) < len(self.costs) else nanos_of(sum(picos))


def nanos_of(picos: int) -> int:
    """Rounded up."""
    return -(-picos // PICOS)


def usd_of(nanos: int) -> float:
    """For JSON, whose shortest decimals of it are exact below a million USD."""
    return nanos / NANOS


def usd_text(nanos: int) -> str:
    """For people: all decimals that there are, as in `0.000012`."""
    whole, rest = divmod(nanos, NANOS)
    return f"{whole}.{rest:09d}".rstrip("0").rstrip(".")
