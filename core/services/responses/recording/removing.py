"""A log goes, and the record of its run: with the response, with its conversation, and with its owner's erasure."""

from contextlib import aclosing
from functools import partial
from typing import Final

from core.platform.concurrency import run_all
from core.services.responses.contract import RunEnded, Usage
from core.services.responses.recording.codec import END, Ending
from core.services.responses.recording.log import LOG, RunLog, RunLost, batch_id, read_batch
from core.services.responses.state.keeping import removal
from core.services.responses.state.records import RESPONSE
from core.stores.documents.port import Document, DocumentStore
from core.stores.documents.walking import walk_pages

AT_ONCE: Final = 8
TRIES: Final = 20
MARK_SECONDS: Final = 3600
"""How long the end of a log that was deleted is there, for who has the run, or follows it."""
DELETED: Final = RunEnded("failed", Usage(), error={"code": "server_error", "message": "The response was deleted."})


async def remove_log(store: DocumentStore, response_id: str, *, but: str = "") -> None:
    """Of a response that was kept: nobody writes it any more. The batch with the id `but` stays."""
    async with aclosing(walk_pages(store, LOG, response_id)) as pages:
        async for documents in pages:
            old = [document for document in documents if document.id != but]
            await run_all([partial(store.delete, document) for document in old], at_once=AT_ONCE)


async def remove_run(store: DocumentStore, run: Document, now: float) -> None:
    """A run that has not ended, with its log, of which an end stays for a while: who has the run can write nothing more. `now` is in Unix seconds."""
    counted = removal(RESPONSE, run.body.get("counted", ()))
    await store.delete(run, tally=counted)  # from here on nobody keeps its response
    await remove_log(store, run.id, but=await _end_log(RunLog(store, run.id, int(now) + MARK_SECONDS)))


async def _end_log(log: RunLog) -> str:
    """The id of the batch that ends it now, "" where it has ended before."""
    for _ in range(TRIES):
        newest = (await log.store.page(LOG, log.response_id, order="desc", limit=1)).documents
        if newest and read_batch(newest[0]).has(END):
            break
        log.next = read_batch(newest[0]).number + 1 if newest else 0
        try:
            await log.append([Ending(DELETED)])
        except RunLost:
            continue
        return batch_id(log.response_id, log.next - 1)
    return ""
