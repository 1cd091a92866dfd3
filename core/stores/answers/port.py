"""The port of answers that are kept under an idempotency key."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered; of a stream, the events without `[DONE]`."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to answer under a key; `holder` is unlike any other's."""

    key: str
    holder: str


@dataclass(frozen=True, slots=True)
class Earlier:
    """What is there under a key: whose request (its fingerprint), and its answer, None while it is under way."""

    fingerprint: str
    answer: Answer | None


class AnswerStore(Protocol):
    """Answers by idempotency key, shared by every process that names the same table or file.

    A key is 1 to 512 bytes of ASCII; times are in whole Unix seconds. What has expired by `now` is as if it were not there.
    Every method raises IdempotencyUnavailable when the store cannot be reached.
    """

    async def begin(self, key: str, fingerprint: str, *, now: int, until: int) -> Lease | Earlier:
        """Take the key until then, in one conditional write, or say what is there: of any number, one gets the lease."""
        ...

    async def finish(self, lease: Lease, answer: Answer, *, expires: int) -> bool:
        """Keep the answer until then, in one piece or not at all; False if another has taken the key since."""
        ...

    async def release(self, lease: Lease) -> None:
        """Free the key, unless another has taken it since."""
        ...

    def warm(self) -> None:
        """Import and read what the first call would wait for; opens no connection."""
        ...

    async def close(self) -> None:
        """Close the connections; a later call opens others."""
        ...
