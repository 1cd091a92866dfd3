"""The datasets of one caller: looked up, declared ones too, changed under their revision, and removed with their rows."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
import logging
import time
from typing import Any, Final

from core.errors import ApiError, NotFound, ProviderUnavailable, StateUnavailable
from core.frame.callers import ANONYMOUS, ActingFor, Call, KeepLimits, principal_of
from core.routing.documents import GuardedDocuments
from core.routing.guard import Item
from core.services.datasets.keeping import change
from core.services.datasets.records import DATASET, DatasetRecord, resource_of, show_dataset
from core.services.parts import CallerState
from core.stores.blobs.port import BlobStore
from core.stores.connect import BLOBS, DOCUMENTS
from core.stores.documents.port import Document, DocumentStore, StaleDocument, Tally

PAGE: Final = 1000
MOST_LISTED: Final = 1000
TRIES: Final = 100
"""Of a write that others are in the way of."""

type Change = Callable[[Document, DatasetRecord], tuple[DatasetRecord, Sequence[Tally]] | None]
"""What becomes of a record, and of tallies; None leaves it as it is."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DatasetCollection(CallerState):
    """`seen` are the declared datasets that this process knows to be there, by id with their digests."""

    seen: dict[str, str] = field(default_factory=dict[str, str])

    @staticmethod
    def clock() -> float:
        """Unix seconds."""
        return time.time()

    @property
    def store(self) -> DocumentStore:
        """Raises StateUnavailable where the run config names none."""
        return self.parts.stores.get(DOCUMENTS)

    @property
    def blobs(self) -> BlobStore:
        """Raises StateUnavailable where the run config names none."""
        return self.parts.stores.get(BLOBS)

    @property
    def documents(self) -> GuardedDocuments:
        """Those that the caller may see, with those that are being removed."""
        return GuardedDocuments(
            self.store, self.guard, DATASET, DATASET, lambda document: dict(show_dataset(document)), self.clock
        )

    @property
    def limits(self) -> KeepLimits:
        return self.parts.keep_limits(principal_of(self.call))

    async def get(self, dataset_id: str) -> Document:
        """Raises NotFound also for one that the caller may not read."""
        asked_at = self.guard.now()
        await self._materialise(dataset_id)
        document = await self.documents.get(dataset_id)
        if DatasetRecord.of(document).deleting:
            with suppress(ApiError):
                await self.remove_rest(document)
            await self.guard.pause(asked_at)
            raise missing(dataset_id)
        return document

    async def list(self) -> list[Document]:
        """Those that the caller may read, in the order in which they were made."""
        for dataset_id in self.parts.registries[DATASET](None).declarations:
            await self._materialise(dataset_id)
        documents, after, more = list[Document](), None, True
        while more and len(documents) < MOST_LISTED:
            page = await self.documents.page(after=after, limit=PAGE)
            documents += [document for document in page.documents if not DatasetRecord.of(document).deleting]
            after, more = page.documents[-1].id if page.documents else None, page.has_more
        return documents[:MOST_LISTED]

    def require_update(self, document: Document) -> None:
        """Raise PermissionDenied where the caller may not change it."""
        self.guard.require("update", Item(DATASET, document.id, document.owner))

    async def change(self, document: Document, make: Change) -> Document | None:
        """The document as `make` has it, tried again where others changed it meanwhile; None where it is gone, or is going.

        Raises StateUnavailable where so many others change it that there is no getting through, TallyExceeded as the store does.
        """
        from core.platform.retry import Backoff

        newest: Document | None = document
        for pause in Backoff(0.01, 0.5, TRIES).pauses():
            if pause:
                await self._sleep(pause)
            if newest is None or (record := DatasetRecord.of(newest)).deleting:
                return None
            wish = make(newest, record)
            if wish is None:
                return newest
            try:
                return await self.store.put(newest, wish[0].body(), tally=wish[1])
            except StaleDocument as stale:
                newest = stale.document
        raise StateUnavailable(f"The dataset `{document.id}` is being changed by too many others.")

    @staticmethod
    async def _sleep(seconds: float) -> None:
        from asyncio import sleep

        await sleep(seconds)

    async def remove(self, document: Document) -> None:
        """Hide it at once, and remove its rows and it; whoever meets one that is half gone goes on."""
        marked = await self.mark(document)
        if marked is not None:
            await self.remove_rest(marked)

    async def mark(self, document: Document) -> Document | None:
        """Hide it, and take it off its owner's tally; None where it is gone, or another has done so."""
        return await self.change(
            document,
            lambda _, record: (
                replace(record, deleting=True, counted=""),
                change(record.counted, datasets=-1, size=-record.bytes),
            ),
        )

    async def remove_rest(self, document: Document) -> None:
        record = DatasetRecord.of(document)
        provider: Any = self.parts.providers("datasetio").get(record.provider_id)
        if hasattr(provider, "unregister_dataset"):
            await self.ask(provider.unregister_dataset(resource_of(document)))
        await self.blobs.delete_below(record.prefix)
        await self.store.delete(document)

    def provider(self, provider_id: str) -> Any:  # noqa: ANN401 - with whichever of the methods of `core.apis.datasets` it has
        """Raises ProviderUnavailable where this stack does not configure it."""
        provider = self.parts.providers("datasetio").get(provider_id)
        if provider is None:
            raise ProviderUnavailable(
                f"The dataset is served by provider `{provider_id}`, which this stack does not configure."
            )
        return self._for_caller(provider)

    def _for_caller(self, provider: Any) -> Any:  # noqa: ANN401 - see `provider`
        """With what the caller brings for it."""
        data = None if self.call is None else self.call.provider_data
        if data:
            from core.apis.inference import TakesProviderData

            if isinstance(provider, TakesProviderData):
                with ActingFor(self.call):
                    return provider.with_provider_data(data)
        return provider

    async def ask[T](self, coming: Awaitable[T]) -> T:
        """What a provider answers: it acts for the caller, and how long it takes is noted."""
        with (self.call or Call(ANONYMOUS)).observed.upstream, ActingFor(self.call):
            return await coming

    async def _materialise(self, dataset_id: str) -> None:
        """Make the document of a declared dataset that has none yet, or has another source by now."""
        resource = self.parts.registries[DATASET](None).declarations.get(dataset_id)
        if resource is None:
            return
        from core.services.datasets.declared import materialise

        await materialise(self, resource)


def missing(dataset_id: str) -> NotFound:
    return NotFound(f"There is no dataset `{dataset_id}`.", param="dataset_id")
