"""The ports of state. Adapters match by shape and pass one contract suite (tests/contract)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from core.frame.resources import Resource

if TYPE_CHECKING:
    from core.apis.configurations import Configuration

type Check = Callable[[Resource], None]


class RegistryStore(Protocol):
    """Registered resources, shared by every process that names the same table or file.

    Reads are strongly consistent: what one process has written, the next read of any other sees.
    """

    async def get(self, kind: str, identifier: str) -> Resource | None:
        """The resource with this identifier, or None."""
        ...

    async def find(self, kind: str, provider_id: str, provider_resource_id: str) -> Resource | None:
        """The first resource, in identifier order, that stands for this name within the provider, or None."""
        ...

    async def page(self, kind: str, *, after: str, limit: int) -> list[Resource]:
        """At most `limit` resources after the identifier `after` ("" for the first), in UTF-8 byte order of identifiers."""
        ...

    async def create(self, resource: Resource) -> Resource:
        """Store it if the identifier is free, in one atomic step; the same content again returns what is there.

        Raises:
            Conflict: the identifier is taken with other content.
        """
        ...

    async def replace(self, resource: Resource) -> bool:
        """Put it in the place of the one with the same identifier and provider names; False if there is none."""
        ...

    async def delete(self, kind: str, identifier: str, check: Check | None = None) -> bool:
        """Remove it, if `check` does not raise for what is removed; False if it was not there.

        What another writes in between is checked again: nothing goes that `check` has not seen.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


@dataclass(frozen=True, slots=True)
class Counts:
    """What a counter has: calls, and tokens (reserved and used)."""

    requests: int = 0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Below:
    """A counter takes one more only while its counts are below these; None does not bound."""

    requests: int | None = None
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """`counts` are those after it was admitted, or as they stand if it was not: then nothing changed."""

    admitted: bool
    counts: Counts


class CounterStore(Protocol):
    """Counters by key, shared by every process that names the same table or file.

    A key is 1 to 1024 bytes of UTF-8; `expires` is in Unix seconds, after which a counter may vanish.
    Every method raises QuotaUnavailable when the store cannot be reached, or not in `patience` seconds.
    """

    async def take(self, key: str, *, tokens: int, below: Below, expires: int) -> Taken:
        """Count one request and `tokens`, in one atomic conditional write: while both counts are below `below`."""
        ...

    async def adjust(self, key: str, *, tokens: int) -> None:
        """Add `tokens`, which may be negative; a counter that is not there (any more) stays away."""
        ...

    async def read(self, key: str) -> Counts:
        """The counts as of now; zeros where there is no counter."""
        ...

    def warm(self) -> None:
        """Do what needs no connection and the first call would wait for."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


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
        """Do what needs no connection and the first call would wait for."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


@dataclass(frozen=True, slots=True)
class Head:
    """The newest version that was ever given, and the one in force; 0 is none."""

    latest: int = 0
    active: int = 0


class ConfigurationStore(Protocol):
    """Registered configurations, shared by every process that names the same table or file.

    Versions are 1, 2, 3, ... and never used twice. Reads are strongly consistent. Whoever writes says after which head, so
    that nothing is written over what another has written since.
    Every method raises ProviderUnavailable when the store cannot be reached.
    """

    async def head(self) -> Head:
        """The head as of now, in one read."""
        ...

    async def get(self, version: int) -> "Configuration | None":
        """The configuration with this version, or None."""
        ...

    async def page(self, *, before: int | None, limit: int) -> "list[Configuration]":
        """At most `limit` configurations, newest first, with versions below `before` (None for the first page)."""
        ...

    async def append(self, configuration: "Configuration", *, after: Head) -> bool:
        """Store it and put it in force, in one atomic step; False, and nothing changed, if the head is not `after`.

        False too if its version is not the next one, `after.latest + 1`.

        Raises:
            InvalidRequest: it is too large, or not JSON.
        """
        ...

    async def remove(self, version: int, *, after: Head) -> bool:
        """Remove it, in one atomic step; False, and nothing changed, if the head is not `after`.

        If it was in force, none is from then on: the run config's file alone counts. `latest` stays.

        Raises:
            NotFound: the head is `after`, and there is no such version.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
