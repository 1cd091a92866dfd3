"""Batches that a provider of inference runs at its own side, at its price for them: the port, and the surface that finds one.

A model is run so where its metadata has `batch: native`, or `auto` for what its provider takes, the rest asked row by row.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, Protocol, get_args, runtime_checkable

from core.errors import ApiError, UpstreamFailed
from core.frame.types import JsonObject

if TYPE_CHECKING:
    from core.apis.prices import Price

METADATA: Final = "batch"
"""The field of a model's metadata."""
type Mode = Literal["native", "auto"]
MODES: Final = frozenset(get_args(Mode.__value__))
CHAT: Final = "/v1/chat/completions"
THROTTLED: Final = 429
SERVER_ERROR: Final = 500


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How many rows one batch has at least and at most, how many bytes its lines, and the endpoints that it may be for."""

    least_rows: int = 1
    most_rows: int = 50_000
    most_bytes: int = 200_000_000
    endpoints: frozenset[str] = frozenset({CHAT})


@dataclass(frozen=True, slots=True)
class NativeBatch:
    """`token` (letters, digits and hyphens, 1 to 63) is the same each time this batch is submitted; `model` is the provider's own name."""

    token: str
    endpoint: str
    model: str


@dataclass(frozen=True, slots=True)
class NativeRow:
    """`row` is what its result is known by, from 0; `body` is a request of the endpoint, whose `model` is left to the provider."""

    row: int
    body: JsonObject = field(repr=False)


@dataclass(frozen=True, slots=True)
class BatchProgress:
    """`ended`: there will be no more results. `reason` says why there are not all of them, where the provider says it."""

    ended: bool
    total: int = 0
    completed: int = 0
    failed: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class NativeResult:
    """What a row came to: an answer of the endpoint, or why there is none. `request_id` is the provider's, "" for none."""

    row: int
    answer: JsonObject | None = field(default=None, repr=False)
    failure: ApiError | None = None
    request_id: str = ""

    @property
    def is_final(self) -> bool:
        """Whether asking again would change nothing."""
        return self.failure is None or not is_passing(self.failure)


class BatchEngine(Protocol):
    """Batches at one provider. A `handle` is a JSON object of the provider's own, which holds no secret.

    Every method raises the errors of `core.errors`; those of `is_passing` may be tried again.
    """

    @property
    def limits(self) -> BatchLimits:
        """Of one batch."""
        ...

    def refusal(self, endpoint: str, model: str, body: JsonObject) -> str | None:
        """Why this request cannot be a row, as a sentence; None for one that can. Asks nobody; `model` is the provider's name."""
        ...

    async def submit(self, batch: NativeBatch, rows: AsyncIterator[NativeRow]) -> JsonObject:
        """The handle of the batch; of one whose token was submitted before, that one's: nothing is paid for twice.

        What `rows` raises is raised, and nothing is submitted.
        """
        ...

    async def poll(self, handle: JsonObject) -> BatchProgress:
        """How far it is."""
        ...

    def results(self, handle: JsonObject) -> AsyncIterator[NativeResult]:
        """What there is of a batch that has ended, stopped ones too, in any order; rows may be missing. Streamed."""
        ...

    async def stop(self, handle: JsonObject) -> None:
        """Have it end early; one that has ended, or is gone, stays as it is. It has ended when `poll` says so."""
        ...

    async def discard(self, handle: JsonObject) -> None:
        """Remove what the batch left at the provider: its rows and results. What is not there does not matter."""
        ...


@runtime_checkable
class HasBatchEngine(Protocol):
    """A provider of inference that may run batches; no provider has to."""

    def batches(self) -> BatchEngine | None:
        """None where its config, or its remote, has none."""
        ...


@dataclass(frozen=True, slots=True)
class NativePlace:
    """Where a model's rows run natively: `provider_id` and `model` are its target's. `fault` says why they cannot, "" where they can."""

    mode: Mode
    provider_id: str = ""
    model: str = ""
    engine: BatchEngine | None = None
    fault: str = ""


class NativeBatches(Protocol):
    """The engines of the caller's models: a surface of the API `inference`, without routes."""

    async def find(self, model: str) -> NativePlace | None:
        """None for a model that the queue asks. Raises NotFound for one that the caller has not got."""
        ...

    def at(self, provider_id: str) -> BatchEngine | None:
        """The engine of a provider by now, None where it has gone: for a batch that was submitted before."""
        ...

    async def price_at(self, model: str, provider_id: str) -> "Price | None":
        """What a row of a batch for `model`, as the caller names it, costs at that provider by now; None where nobody knows."""
        ...


def is_passing(failure: ApiError) -> bool:
    """Whether a failure may be another one, or none, the next time."""
    return failure.status == THROTTLED or failure.status >= SERVER_ERROR


def read_row(provider_id: str, name: object, prefix: str) -> int:
    """The row whose id at the provider is `name`; raises UpstreamFailed for what no row of ours has."""
    digits = name.removeprefix(prefix) if isinstance(name, str) else ""
    if not digits.isdecimal() or len(digits) > len("4294967295"):
        raise UpstreamFailed(f"Provider `{provider_id}` has a result of a row that nobody sent.")
    return int(digits)
