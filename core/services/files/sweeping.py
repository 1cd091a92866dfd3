"""What has expired and whose owner does not come back is removed all the same: with uploads of others, a page of files at a time.

    file_owner   id o:OWNER   parent ""    one for each list of files
    file_sweep   id turn      parent ""    Turn

So tallies stay exact, which a record that ends by itself could not see to. One request of a deployment in ten minutes does it, of those
that make a file or an upload: nothing runs where nobody comes.
"""

from contextlib import suppress
from dataclasses import dataclass
import logging
from typing import Final

from core.errors import ApiError, Conflict, NotFound, StaleRevision
from core.frame.callers import principal_of
from core.routing.policy import owner_of
from core.services.files.collection import FileCollection
from core.services.files.records import FILE
from core.services.parts import Parts
from core.stores.documents.bodies import Body
from core.stores.documents.port import Document, DocumentPage

OWNERS: Final = "file_owner"
SWEEPS: Final = "file_sweep"
TURN: Final = "turn"
PREFIX: Final = "o:"  # nobody's own list has no name, and ids have one
EVERY_SECONDS: Final = 600
PAGE: Final = 200  # of an owner's files, the oldest first
MOST_NOTED: Final = 10_000  # owners that a process knows to be in the list

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Turn(Body):
    """Next are the files of `owner` after `file`, or without one those of the owner after `owner`; `at` (Unix seconds) it was taken."""

    at: float
    owner: str | None = None
    file: str | None = None


class Sweeper:
    """One for each stack."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._noted = set[str]()
        self._due = 0.0

    async def note(self, files: FileCollection) -> None:
        """The caller is about to make something that may be left; where that cannot be noted, its next time will do."""
        owner = files.owner
        if owner in self._noted:
            return
        if len(self._noted) >= MOST_NOTED:
            self._noted.clear()
        self._noted.add(owner)  # first: of many at once, one writes
        document = Document(OWNERS, PREFIX + owner, {}, owner=owner_of(principal_of(files.call)))
        try:
            if await files.store.get(OWNERS, document.id) is None:
                with suppress(Conflict):
                    await files.store.create(document)
        except ApiError as failure:
            self._noted.discard(owner)
            log.warning("an owner of files is noted later: %s", failure)

    async def sweep_if_due(self) -> None:
        """What fails here is no failure of the request that it is done in."""
        files = FileCollection(self._parts, None)
        now = files.clock()
        if now < self._due:
            return
        self._due = now + EVERY_SECONDS
        try:
            await self._sweep(files, now)
        except ApiError as failure:
            log.warning("files that have expired are swept later: %s", failure)

    async def _sweep(self, files: FileCollection, now: float) -> None:
        document = await files.store.get(SWEEPS, TURN)
        turn = Turn(0.0) if document is None else Turn.read(document.body)
        if turn.at + EVERY_SECONDS > now:
            self._due = turn.at + EVERY_SECONDS
            return
        owner = turn.owner if turn.file is not None else await _owner_after(files, turn.owner)
        page = await _files_after(files, owner, turn.file)
        more = page.documents[-1].id if page.has_more else None
        if not await _take(files, document, Turn(now, owner, more)):
            return
        if owner is not None and turn.file is None:
            from core.services.files.uploads import sweep_uploads  # late: few requests sweep

            await sweep_uploads(files, owner.removeprefix(PREFIX))
        for file in filter(files.is_over, page.documents):
            await files.settle(file)


async def forget_owner(files: FileCollection, owner: str) -> None:
    """Who has nothing left; a turn that names them begins again."""
    for collection, identifier in ((OWNERS, PREFIX + owner), (SWEEPS, TURN)):
        document = await files.store.get(collection, identifier)
        if document is not None and (collection == OWNERS or document.body["owner"] == PREFIX + owner):
            await files.store.delete(document)


async def _owner_after(files: FileCollection, owner: str | None) -> str | None:
    """After the last one comes the first; None where there is none."""
    if owner is not None:
        with suppress(NotFound):  # it was removed
            page = await files.store.page(OWNERS, after=owner, limit=1)
            if page.documents:
                return page.documents[0].id
    page = await files.store.page(OWNERS, limit=1)
    return page.documents[0].id if page.documents else None


async def _files_after(files: FileCollection, owner: str | None, file: str | None) -> DocumentPage:
    if owner is None:
        return DocumentPage([], has_more=False)
    parent = owner.removeprefix(PREFIX)
    try:
        return await files.store.page(FILE, parent, after=file, limit=PAGE)
    except NotFound:
        return await files.store.page(FILE, parent, limit=PAGE)


async def _take(files: FileCollection, document: Document | None, turn: Turn) -> bool:
    """Whether nobody else has taken it meanwhile."""
    try:
        if document is None:
            await files.store.create(Document(SWEEPS, TURN, turn.body()))
        else:
            await files.store.put(document, turn.body())
    except (Conflict, StaleRevision):
        return False
    return True
