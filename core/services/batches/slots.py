"""How many batches a caller has under way: exact, and nothing has to be given back, since a slot is free when its job has ended.

batch_slot    id = OWNER#NUMBER    parent OWNER    {"job", "at"}: the job that has it, and when it took it (Unix seconds)
"""

from collections.abc import Sequence
from dataclasses import dataclass
import time
from typing import Final

from core.errors import Conflict, StaleRevision
from core.frame.types import JsonObject
from core.routing.policy import owner_list
from core.services.jobs.retrying import no_place
from core.services.parts import Parts
from core.stores.connect import DOCUMENTS, JOBS
from core.stores.documents.port import Document, DocumentStore
from core.stores.jobs.port import ENDED, Job, JobStore

SLOT: Final = "batch_slot"
PAGE: Final = 1000
TAKEN_SECONDS: Final = 60
"""For which a slot is taken by a job that is not there: it is about to be made, or never was."""


async def claim_slot(parts: Parts, job: Job) -> None:
    """A slot for a job that is about to be made, or that has one already; where its owner may have any number under way it is none.

    Raises:
        LimitReached: as many of the owner's are under way.
    """
    most = parts.keep_limits(job.principal).batches
    if most is not None:
        slots = Slots(parts.stores.get(DOCUMENTS), parts.stores.get(JOBS), owner_list(job.principal))
        await slots.claim(job.id, most)


@dataclass(frozen=True, slots=True)
class Slots:
    """Those of one owner, a name of at most 500 bytes of ASCII."""

    store: DocumentStore
    jobs: JobStore
    owner: str

    async def claim(self, job_id: str, most: int) -> None:
        """Take one of `most` for a job that is about to be made.

        Raises:
            LimitReached: as many of the owner's are under way.
        """
        while not await self._try(job_id, most):
            """Another took it meanwhile."""

    async def _try(self, job_id: str, most: int) -> bool:
        slots = await self._slots()
        live = {slot.id: slot.body["job"] for slot in slots if await self._is_taken(slot)}
        if job_id in live.values():  # by a call with the same key, a moment ago
            return True
        if len(live) >= most:
            raise no_place("batches", most)
        name = next(name for number in range(most) if (name := f"{self.owner}#{number}") not in live)
        there = next((slot for slot in slots if slot.id == name), None)
        now = int(time.time())
        body: JsonObject = {"job": job_id, "at": now}
        try:
            if there is None:
                await self.store.create(Document(SLOT, name, body, self.owner, created=now))
            else:
                await self.store.put(there, body)
        except (Conflict, StaleRevision):
            return False
        return True

    async def _slots(self) -> Sequence[Document]:
        slots, after, more = list[Document](), None, True
        while more:
            page = await self.store.page(SLOT, self.owner, after=after, limit=PAGE)
            slots += page.documents
            after, more = page.documents[-1].id if page.documents else None, page.has_more
        return slots

    async def _is_taken(self, slot: Document) -> bool:
        job = await self.jobs.get(slot.body["job"])
        if job is None:
            return bool(time.time() - slot.body["at"] < TAKEN_SECONDS)
        return job.status not in ENDED
