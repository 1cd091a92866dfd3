"""Numbers of evaluations: they count within a benchmark and its caller, from 0, and no number is given twice.

eval_count    id = digest of OWNER and benchmark    parent OWNER    {"benchmark", "next", "keys": {digest: number}}

The id of a job follows from its number: nothing else has to be kept of it.
"""

from dataclasses import dataclass
from hashlib import sha256
import time
from typing import Final

from core.errors import Conflict, StaleRevision
from core.frame.types import JsonObject
from core.stores.documents.port import Document, DocumentStore

COUNT: Final = "eval_count"
PREFIX: Final = "eval"
MOST_DIGITS: Final = 12
MOST_KEYS: Final = 50


@dataclass(frozen=True, slots=True)
class Numbers:
    """Those of one caller for one benchmark; `identity` is the caller's, `owner` the list that its documents are in."""

    store: DocumentStore
    identity: str
    owner: str
    benchmark_id: str

    async def claim(self, key: str = "") -> int:
        """The next number, which nobody else gets; with one of the last MOST_KEYS keys, the number of before."""
        digest = self._digest(f"key\n{key}") if key else ""
        while True:
            try:
                return await self._try(digest)
            except (Conflict, StaleRevision):
                """Another took it meanwhile."""

    async def _try(self, digest: str) -> int:
        count = await self.store.get(COUNT, self._id)
        body: JsonObject = {"benchmark": self.benchmark_id, "next": 0} if count is None else count.body
        keys: dict[str, int] = body.get("keys", {})
        if digest in keys:
            return keys[digest]
        number: int = body["next"]
        body = {**body, "next": number + 1}
        if digest:
            body["keys"] = {**dict([*keys.items()][1 - MOST_KEYS :]), digest: number}
        if count is None:
            await self.store.create(Document(COUNT, self._id, body, self.owner, created=int(time.time())))
        else:
            await self.store.put(count, body)
        return number

    @property
    def _id(self) -> str:
        return self._digest("count")

    def job_of(self, number: str) -> str | None:
        """The id among all jobs of the one that has this number; None for what is no number."""
        is_number = number.isascii() and number.isdecimal() and len(number) <= MOST_DIGITS
        return f"{PREFIX}_{self._digest(number)}" if is_number and str(int(number)) == number else None

    def _digest(self, name: str) -> str:
        return sha256(f"{self.identity}\n{self.benchmark_id}\n{name}".encode()).hexdigest()[:32]
