"""Responses as they were kept: got, listed and deleted, with the items that they were made of."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from core.errors import InvalidRequest, NotFound
from core.frame.types import JsonObject
from core.platform.concurrency import run_all
from core.services.responses.contract import Item
from core.services.responses.recording.removing import remove_log
from core.services.responses.state.keeping import removal
from core.services.responses.state.pages import MOST_PAGE, page_of, size_of
from core.services.responses.state.place import StatePlace
from core.services.responses.state.records import EMPTY, RESPONSE, TURN, ResponseRecord, Turn, is_conversation
from core.stores.documents.port import Document, StaleDocument

if TYPE_CHECKING:
    from core.apis.response_queries import InputItemsQuery, ResponsesQuery

AT_ONCE: Final = 8  # turns that a list reads
TRIES: Final = 10

type ShowRows = Callable[[Sequence[Document]], Awaitable[list[JsonObject]]]
type Show = Callable[[Item, Sequence[str]], JsonObject]
"""An item as a caller sees it, who asked for this by `include`."""


class KeptResponses:
    """Those that the caller may see; each method raises NotFound for any other."""

    def __init__(self, state: StatePlace, show: Show) -> None:
        self._state = state
        self._show = show

    async def find(self, response_id: str) -> Document:
        return await self._state.responses.get(response_id)

    async def get(self, response_id: str) -> JsonObject:
        """The whole object, its output as it was kept."""
        return await self.whole(await self.find(response_id))

    async def whole(self, document: Document) -> JsonObject:
        """The same, of its document."""
        return _whole(document, await self._turn(document))

    async def index(self, query: "ResponsesQuery") -> JsonObject:
        """A page of the caller's own, each with its `output`, and its own items as `input`."""
        rows = await self.rows(query, query.after, lambda _: True)
        return await self.show_page(rows, query, self.show_rows)

    async def rows(
        self, query: "ResponsesQuery", after: str | None, counts: Callable[[Document], bool]
    ) -> list[Document]:
        """The caller's own behind `after` that count, one more than a page has if there are so many. Raises NotFound."""
        rows, more = list[Document](), True
        while more and len(rows) <= query.limit:
            page = await self._state.responses.page(
                self._state.owner, order=query.order, after=after, limit=query.limit + 1
            )
            rows += [document for document in page.documents if counts(document) and is_of(document, query.model)]
            after = page.documents[-1].id if page.documents else after
            more = page.has_more
        return rows

    @staticmethod
    async def show_page(rows: Sequence[Document], query: "ResponsesQuery", show: ShowRows) -> JsonObject:
        """The first of them, until they are a page in bytes: no more than a few turns are in memory beside it."""
        data, size, shown = list[JsonObject](), 0, rows[: query.limit]
        while len(data) < len(shown) and size <= MOST_PAGE:
            some = await show(shown[len(data) : len(data) + AT_ONCE])
            data += some
            size += sum(map(size_of, some))
        return page_of(data, has_more=len(rows) > len(data))

    async def show_rows(self, documents: Sequence[Document]) -> list[JsonObject]:
        """As a list has them."""
        turns = await run_all([partial(self._turn, document) for document in documents], at_once=AT_ONCE)
        wholes = [_whole(document, turn) for document, turn in zip(documents, turns, strict=True)]
        return [
            self.show_in_list(whole, [] if turn is None else turn.input)
            for whole, turn in zip(wholes, turns, strict=True)
        ]

    async def delete(self, response_id: str) -> JsonObject:
        """What follows it goes on without it; what is in a conversation stays there."""
        documents = self._state.responses
        document = await documents.get(response_id)
        self._state.guard.require("delete", self._state.item(RESPONSE, document))
        record = ResponseRecord.read(document.body)
        if not is_conversation(record.places[-1].thread):
            await self._empty(record.places[-1].id)
        await remove_log(self._state.store, response_id)
        if not await documents.delete(document, tally=removal(RESPONSE, record.counted)):
            raise NotFound(f"There is no response `{response_id}`.", param="response_id")
        return {"id": response_id, "object": "response", "deleted": True}

    async def input_items(self, response_id: str, query: "InputItemsQuery") -> JsonObject:
        """A page of what the response was made of: what was said before it, and its own input."""
        document = await self._state.responses.get(response_id)
        record = ResponseRecord.read(document.body)
        items = await self._state.threads.read_context(record.places)
        turn = await self._turn(document)
        output = {item["id"] for item in turn.output} if turn is not None else set[str]()
        return self.page([item for item in items if item["id"] not in output], query)

    def page(self, items: list[Item], query: "InputItemsQuery") -> JsonObject:
        """A page of the items of an input, the oldest of which is the first."""
        ordered = items if query.order == "asc" else items[::-1]
        places = {item["id"]: place for place, item in enumerate(ordered)}
        start, end = 0, len(ordered)
        if query.after is not None:
            start = _place(places, query.after, "after") + 1
        if query.before is not None:
            end = _place(places, query.before, "before")
        has_more = end - start > query.limit
        if query.before is not None and query.after is None:
            start = max(0, end - query.limit)
        page = ordered[start : min(end, start + query.limit)]
        data = [self._show(item, query.include or ()) for item in page]
        return page_of(data, has_more=has_more, backward=query.before is not None and query.after is None)

    def show_in_list(self, whole: JsonObject, own_input: Sequence[Item]) -> JsonObject:
        output: list[JsonObject] = [self._show(item, ()) for item in whole["output"]]
        return {**whole, "output": output, "input": [self._show(item, ()) for item in own_input]}

    async def _turn(self, document: Document) -> Turn | None:
        """None where it is gone, as with a conversation that was deleted."""
        return await self._state.threads.get(ResponseRecord.read(document.body).places[-1], document.id)

    async def _empty(self, turn_id: str) -> None:
        """Forget what was said in a turn; its place stays taken."""
        document = await self._state.store.get(TURN, turn_id)
        for _ in range(TRIES):
            if document is None:
                return
            try:
                await self._state.store.put(document, EMPTY)
            except StaleDocument as stale:
                document = stale.document
            else:
                return


def _whole(document: Document, turn: Turn | None) -> JsonObject:
    return {**ResponseRecord.read(document.body).response, "output": [] if turn is None else turn.output}


def is_of(document: Document, model: str | None) -> bool:
    """Whether the response, or the run, is of this model; None is of any."""
    return model is None or document.body["response"].get("model") == model


def _place(places: dict[str, int], item_id: str, param: str) -> int:
    if item_id not in places:
        raise InvalidRequest(f"There is no item `{item_id[:80]}` in this list.", param=param)
    return places[item_id]
