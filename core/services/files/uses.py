"""Who has taken a file in: vector stores, out of which a deleted file goes too, as at OpenAI.

    file_use   id FILE:STORE   parent FILE   {"store"}

A use is noted before anything of the file is read. A deletion looks for uses first, so that a crash leaves a job that goes on with
it; and again once bytes and record are gone: who notes its use later than that finds no record.
"""

from contextlib import suppress
import logging
from typing import Final

from core.errors import ApiError, Conflict, NotFound
from core.frame.callers import ANONYMOUS, Call
from core.services.files.collection import FileCollection
from core.services.files.records import FILE
from core.services.parts import Parts, surface_for
from core.stores.connect import BLOBS, JOBS, QUEUE
from core.stores.documents.port import Document

USES: Final = "file_use"
KIND: Final = "file_removal"
PAGE: Final = 100

log = logging.getLogger(__name__)


async def open_for(files: FileCollection, file_id: str, store_id: str) -> Document:
    """The file, whose use is noted; raises NotFound, with no use noted, also for one that is deleted at this moment."""
    document = await files.get(file_id)
    use = Document(USES, f"{file_id}:{store_id}", {"store": store_id}, parent=file_id)
    try:
        use = await files.store.create(use)
    except Conflict:
        return document
    try:
        return await files.get(file_id)
    except NotFound:  # the deletion may have looked for uses before
        await files.store.delete(use)
        raise


async def remove_everywhere(files: FileCollection, document: Document) -> bool:
    """Remove the file, and let a job take it out of the stores that have it; False where it was gone already."""
    begun = await _hand_over(files, document.id, "before")
    removed = await files.remove(document)
    if not begun:
        try:
            await _hand_over(files, document.id, "after")
        except ApiError as failure:  # it is deleted, and who asks again gets a 404
            log.warning(
                "file %s may stay in a vector store that took it in as it was deleted: %s", document.id, failure
            )
    return begun or removed


async def take_out(parts: Parts, file_id: str) -> int:
    """Finish what `remove_everywhere` began; the number of stores."""
    files, count = FileCollection(parts, None), 0
    document = await files.store.get(FILE, file_id)
    if document is not None:
        await files.remove(document)
    surface = surface_for(parts, "store_files", None)
    while (page := await files.store.page(USES, file_id, limit=PAGE)).documents:
        for use in page.documents:
            with suppress(NotFound):  # it was taken out before, or the store is gone
                if surface is not None:
                    await surface.remove(use.body["store"], file_id)
            await files.store.delete(use)
            count += 1
    return count


async def _hand_over(files: FileCollection, file_id: str, moment: str) -> bool:
    """Whether there was somebody to take it from, and is a job that does."""
    if not (await files.store.page(USES, file_id, limit=1)).documents:
        return False
    if any(files.parts.stores.find(kind) is None for kind in (JOBS, QUEUE, BLOBS)):
        log.warning("file %s stays in its vector stores: the run config has no place for jobs", file_id)
        return False
    from core.services.jobs.service import job_service  # late: few deletions need it

    # The stack's own, whatever jobs the caller may make.
    call = Call(ANONYMOUS if files.call is None else files.call.principal, internal=True)
    key = f"{KIND}#{file_id}#{moment}"
    await job_service(files.parts).create(KIND, call, {"file": file_id}, key=key, prefix="removal")
    return True
