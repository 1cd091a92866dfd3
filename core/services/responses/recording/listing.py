"""A list of responses, with those among them that are still made; these are few, as each ends within a day."""

from collections.abc import Sequence
from functools import partial

from core.apis.response_queries import ResponsesQuery
from core.frame.types import JsonObject
from core.platform.concurrency import run_all
from core.services.responses.recording.records import RunRecord
from core.services.responses.recording.running import RunningResponses
from core.services.responses.state.responses import AT_ONCE, KeptResponses, is_of
from core.stores.documents.port import Document

type Position = tuple[int, str]
"""In a list: when it was created, and its id."""


async def list_with_runs(
    kept: KeptResponses, running: RunningResponses, runs: Sequence[Document], query: ResponsesQuery
) -> JsonObject:
    """The page of the query; `runs` are all of the caller's. Raises NotFound where there is nothing of the id `after`."""
    after = next((run for run in runs if run.id == query.after), None)
    is_run, start = after is not None, None
    if query.after is not None:
        start = _position(after if after is not None else await kept.find(query.after))

    def is_behind(document: Document) -> bool:
        place = _position(document)
        return start is None or (place < start if query.order == "desc" else place > start)

    rows = await kept.rows(query, None if is_run else query.after, is_behind)
    ids = {row.id for row in rows}  # one that has ended just now is in both
    rows += [run for run in runs if run.id not in ids and is_behind(run) and is_of(run, query.model)]
    rows.sort(key=_position, reverse=query.order == "desc")
    by_id = {run.id: run for run in runs if run.id not in ids}

    async def show(documents: Sequence[Document]) -> list[JsonObject]:
        others = [document for document in documents if document.id not in by_id]
        shown = {row["id"]: row for row in await kept.show_rows(others)}
        some = [by_id[document.id] for document in documents if document.id in by_id]
        wholes = await run_all([partial(running.show, run) for run in some], at_once=AT_ONCE)
        for run, whole in zip(some, wholes, strict=True):
            shown[run.id] = kept.show_in_list(whole, RunRecord.read(run.body).input)
        return [shown[document.id] for document in documents]

    return await kept.show_page(rows, query, show)


def _position(document: Document) -> Position:
    return document.created, document.id
