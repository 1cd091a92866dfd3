"""The lease of one file's ingest: who has it may write chunks, as many as the record says before they are written.

It is a conditional write over the record's revision. What another wrote meanwhile is found at the next write: then either the
lease is another's by now, or the record says something else, which this holder goes by from there on.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final
from uuid import uuid4

from core.errors import StateUnavailable
from core.services.vector_stores.file_records import StoreFiles
from core.services.vector_stores.records import FileRecord
from core.stores.documents.port import Document, StaleDocument

LEASE: Final = 60.0
"""Seconds; clocks of machines may be some of them apart."""
LEAST_LEFT: Final = 20.0
"""Of it, when chunks are put."""
WAIT: Final = 600.0
"""Seconds that a file may wait for its job."""


class RecordChanged(Exception):
    """The holder has the lease still, and the record says something else than before."""


class LeaseLost(Exception):
    """The lease is another's by now, or the record is gone."""


class FileLease:
    """`document` and `record` are as this holder wrote or read them last; of what is gone, `record` is the last.

    `inherited` is how many chunks may be in the index that others put.
    """

    def __init__(self, files: StoreFiles, file_id: str, clock: Callable[[], float], holder: str = "") -> None:
        """`clock` gives Unix seconds; nothing is taken before `acquire`. A record may be made with `holder` in it."""
        self._files = files
        self.file_id = file_id
        self.holder = holder or uuid4().hex
        self._clock = clock
        self._lock = asyncio.Lock()
        self.document: Document | None = None
        self.record = FileRecord()
        self.inherited = 0

    async def acquire(self, wants: Callable[[FileRecord], bool], claim: int) -> bool:
        """Take it where the record `wants` somebody, and nobody has it, with `claim` chunks claimed from the next one on.

        One that lapsed counts as a try. False, and `document` is what is there, where it is not taken.
        """

        def take(before: FileRecord | None) -> FileRecord | None:
            now = self._clock()
            if before is None or not wants(before) or before.is_held(now):
                return None
            self.inherited = before.claimed
            return replace(
                before,
                holder=self.holder,
                until=now + LEASE,
                claimed=max(before.claimed, before.next + claim),
                tries=before.tries + bool(before.holder),
            )

        self._note(await self._files.get(self.file_id))
        if self.document is not None and self.record.holder == self.holder:
            self.inherited = 0 if self.document.revision == 1 else self.record.claimed
            return True
        self._note(await self._files.change(self.file_id, take))
        return self.document is not None and self.record.holder == self.holder

    async def write(self, record: FileRecord) -> None:
        """Write the record over what this holder has, and keep the lease if `record` still has a holder.

        Raises:
            RecordChanged: another wrote it; `record` is what is there.
            LeaseLost: it is another's, or gone; `document` is what is there.
        """
        async with self._lock:
            if self.document is None or self.record.holder != self.holder:
                raise LeaseLost
            if record.holder:
                record = replace(record, until=self._clock() + LEASE)
            try:
                self._note(await self._files.put(self.document, record))
            except StaleDocument as stale:
                raise self._overtaken(stale.document) from None

    async def remove(self) -> None:
        """Remove the record; raises as `write` does."""
        async with self._lock:
            if self.document is None or self.record.holder != self.holder:
                raise LeaseLost
            try:
                await self._files.remove(self.document)
            except StaleDocument as stale:
                raise self._overtaken(stale.document) from None
            self.document = None

    async def ensure(self, count: int, ahead: int) -> None:
        """See to it that chunks up to `count` may be put: claimed, with `ahead` more, and in time; raises as `write` does.

        Who changed a record while another had its lease, or took both, claimed nothing.
        """
        if self.record.claimed < count:
            await self.write(replace(self.record, claimed=count + ahead))
        elif self._clock() > self.record.until - LEAST_LEFT:
            await self.write(self.record)

    async def keep(self) -> None:
        """Renew it until cancelled; what another wrote is left to the next `write`, which finds it."""
        while True:
            await asyncio.sleep(LEASE / 3)
            async with self._lock:
                if self.document is None or not self.record.holder:
                    return
                record = replace(self.record, until=self._clock() + LEASE)
                with suppress(StateUnavailable):
                    try:
                        self._note(await self._files.put(self.document, record))
                    except StaleDocument:
                        return

    async def release(self, *, failed: bool = False) -> None:
        """Give it back to whoever takes it within WAIT, unless it is another's; `failed` counts a try."""

        def give(before: FileRecord | None) -> FileRecord | None:
            if before is None or before.holder != self.holder:
                return None
            return replace(before, holder="", until=self._clock() + WAIT, tries=before.tries + failed)

        self._note(await self._files.change(self.file_id, give))

    def _overtaken(self, document: Document | None) -> RecordChanged | LeaseLost:
        self._note(document)
        is_held = document is not None and self.record.holder == self.holder
        return RecordChanged() if is_held else LeaseLost()

    def _note(self, document: Document | None) -> None:
        self.document = document
        if document is not None:
            self.record = FileRecord.read(document.body)
