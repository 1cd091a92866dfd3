"""The endpoints as one caller has them: each change is one conditional write of an endpoint's record."""

from collections.abc import Callable
from dataclasses import dataclass
from secrets import token_hex
import time
from typing import Final

from core.errors import LimitReached, NotFound
from core.routing.documents import GuardedDocuments
from core.services.parts import CallerState
from core.services.webhooks.records import ENDPOINT, ENDPOINTS, ID, PREFIX, EndpointRecord, show
from core.stores.connect import DOCUMENTS
from core.stores.documents.port import Document, DocumentPage, DocumentStore, StaleDocument, Tally, TallyExceeded

TRIES: Final = 10  # of a change that others have got ahead of
MOST_ENDPOINTS: Final = 1000  # of one owner, by any run config

type Change = Callable[[EndpointRecord], EndpointRecord]


@dataclass(frozen=True, slots=True)
class EndpointCollection(CallerState):
    """`clock` gives Unix seconds."""

    clock: Callable[[], float] = time.time

    @property
    def store(self) -> DocumentStore:
        """Raises StateUnavailable where the run config names none."""
        return self.parts.stores.get(DOCUMENTS)

    @property
    def documents(self) -> GuardedDocuments:
        """Those that the caller may see, of everybody."""
        return GuardedDocuments(
            self.store, self.guard, ENDPOINT, ENDPOINT, lambda document: dict(show(document)), self.clock
        )

    def new_id(self) -> str:
        return PREFIX + token_hex(12)

    async def create(self, endpoint_id: str, record: EndpointRecord, *, most: int) -> Document:
        """Raises PermissionDenied, and LimitReached where the caller has `most`."""
        tally = Tally(ENDPOINT, tally_id(self.owner), {ENDPOINTS: 1}, {ENDPOINTS: most})
        try:
            return await self.documents.create(endpoint_id, record.body(), parent=self.owner, tally=(tally,))
        except TallyExceeded:
            raise LimitReached(
                "max_endpoints", f"You may keep {most} webhook endpoints, and have as many. Delete some."
            ) from None

    async def get(self, endpoint_id: str) -> Document:
        """Raises NotFound also for one that the caller may not read."""
        if not ID.fullmatch(endpoint_id):
            raise NotFound(
                f"There is no webhook endpoint `{endpoint_id[:100]}`: ids are `we_` and 24 digits in hex.",
                param="webhook_endpoint_id",
            )
        return await self.documents.get(endpoint_id)

    async def page(self, *, after: str | None, limit: int) -> DocumentPage:
        """The caller's own, newest first."""
        return await self.documents.page(self.owner, order="desc", after=after, limit=limit)

    async def change(self, endpoint_id: str, change: Change) -> Document:
        """Write what `change` makes of the record, as often as others are ahead of it."""
        for tries_left in reversed(range(TRIES)):
            document = await self.get(endpoint_id)
            try:
                return await self.documents.put(document, change(EndpointRecord.read(document.body)).body())
            except StaleDocument:
                if not tries_left:
                    raise
        raise AssertionError  # pragma: no cover - the last try returns or raises

    async def delete(self, endpoint_id: str) -> None:
        document = await self.get(endpoint_id)
        if not await self.documents.delete(document, tally=removal(document)):
            raise NotFound(f"There is no webhook endpoint `{endpoint_id}`.", param="webhook_endpoint_id")


def tally_id(owner: str) -> str:
    """Under which those in the list of this owner are counted."""
    return f"owner:{owner}"


def removal(document: Document) -> tuple[Tally, ...]:
    """What one less takes away."""
    return (Tally(ENDPOINT, tally_id(document.parent), {ENDPOINTS: -1}),)


async def endpoints_for(store: DocumentStore, owner: str, event_type: str) -> list[Document]:
    """Those in the list of this owner that want such events, the oldest first."""
    page = await store.page(ENDPOINT, owner, limit=MOST_ENDPOINTS)
    return [document for document in page.documents if EndpointRecord.read(document.body).wants(event_type)]
