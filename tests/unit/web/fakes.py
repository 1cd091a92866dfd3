"""An AnswerStore of one process, which is also the model that the real ones are held to."""

from dataclasses import dataclass, field

from core.errors import IdempotencyUnavailable
from core.stores.answers.port import Answer, Earlier, Lease


@dataclass
class Row:
    fingerprint: str
    holder: str
    expires: int
    answer: Answer | None = None
    owner: str = ""


@dataclass
class MemoryAnswers:
    """`down` makes every call fail; `until` has the end of each lease that was given."""

    rows: dict[str, Row] = field(default_factory=dict[str, Row])
    until: list[int] = field(default_factory=list[int])
    down: bool = False
    closed: bool = False

    async def begin(self, key: str, fingerprint: str, *, now: int, until: int, owner: str = "") -> Lease | Earlier:
        self._reach()
        row = self.rows.get(key)
        if row is not None and row.expires > now:
            return Earlier(row.fingerprint, row.answer)
        self.until.append(until)
        lease = Lease(key, str(len(self.until)))
        self.rows[key] = Row(fingerprint, lease.holder, until, owner=owner)
        return lease

    async def finish(self, lease: Lease, answer: Answer, *, expires: int) -> bool:
        self._reach()
        row = self.rows.get(lease.key)
        if row is None or row.holder != lease.holder:
            return False
        row.answer, row.expires = answer, expires
        return True

    async def release(self, lease: Lease) -> None:
        self._reach()
        if lease.key in self.rows and self.rows[lease.key].holder == lease.holder:
            del self.rows[lease.key]

    async def erase(self, owner: str, *, dry: bool = False) -> int:
        self._reach()
        keys = [key for key, row in self.rows.items() if row.owner == owner]
        for key in () if dry else keys:
            del self.rows[key]
        return len(keys)

    def warm(self) -> None:
        return None

    async def close(self) -> None:
        self.closed = True

    def _reach(self) -> None:
        if self.down:
            raise IdempotencyUnavailable("The store is down.")
