"""The port of answers that are kept under an idempotency key."""

from dataclasses import dataclass
from hashlib import sha256
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


def owner_name(identity: str) -> str:
    """What stands for a client of `core.quota.identity` with its answers."""
    return sha256(identity.encode()).hexdigest()


class AnswerStore(Protocol):
    """Answers by idempotency key, shared by every process that names the same table or file.

    A key is 1 to 512 bytes of ASCII; times are in whole Unix seconds. What has expired by `now` is as if it were not there.
    Every method raises IdempotencyUnavailable when the store cannot be reached.
    """

    async def begin(self, key: str, fingerprint: str, *, now: int, until: int, owner: str = "") -> Lease | Earlier:
        """Take the key until then, in one conditional write, or say what is there: of any number, one gets the lease.

        `owner` is a name of at most 64 ASCII letters and digits, by which `erase` knows whose it is.
        """
        ...

    async def finish(self, lease: Lease, answer: Answer, *, expires: int) -> bool:
        """Keep the answer until then, in one piece or not at all; False if another has taken the key since."""
        ...

    async def release(self, lease: Lease) -> None:
        """Free the key, unless another has taken it since."""
        ...

    async def erase(self, owner: str, *, dry: bool = False) -> int:
        """Remove every key of this owner with its answer, unless it is `dry`; how many. The whole store may be read for it."""
        ...

    def warm(self) -> None:
        """Import and read what the first call would wait for; opens no connection."""
        ...

    async def close(self) -> None:
        """Close the connections; a later call opens others."""
        ...
