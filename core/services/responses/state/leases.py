"""The lease of a conversation: one run at a time, and who has lost it cannot add to it any more.

The lease is a document that only one can make, and that ends by itself; what is added to the conversation takes its place, in one transaction.
One that is lent names its response: whichever worker goes on with that has it, and nobody renews it.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
import math
from typing import Final

from core.errors import ApiError, Conflict, ConversationLocked, StateUnavailable
from core.services.responses.state.records import LEASE
from core.stores.documents.port import Document, DocumentStore, StaleDocument

LEASE_SECONDS: Final = 60
"""How long a conversation stays locked by who died; a run that goes on renews it before."""
RENEW_SECONDS: Final = 20.0
APART_SECONDS: Final = 5  # between the clocks of two who want it
LATE_SECONDS: Final = 5 + APART_SECONDS  # for what is kept at the end of a call
RETRY_SECONDS: Final = 2


class ConversationLease:
    """`document` is as it was read last. It is renewed while its loop runs, until it is spent or released."""

    def __init__(self, store: DocumentStore, document: Document, clock: Callable[[], float]) -> None:
        self.document = document
        self._store = store
        self._clock = clock
        self._renewal: asyncio.Task[None] | None = None
        self._spent = False

    @classmethod
    async def take(
        cls,
        store: DocumentStore,
        conversation_id: str,
        clock: Callable[[], float],
        until: float | None,
        *,
        owner: str = "",
        renew_seconds: float = RENEW_SECONDS,
    ) -> "ConversationLease":
        """`until` is when the call must have ended, in the loop's time; `owner` is the list of whoever takes it, in which it is found.

        Raises:
            ConversationLocked: another has it.
        """
        seconds = LEASE_SECONDS
        if until is not None:
            rest = math.ceil(until - asyncio.get_running_loop().time()) + LATE_SECONDS
            seconds = max(1, min(seconds, rest))
        now = int(clock())
        document = Document(LEASE, conversation_id, {}, owner or conversation_id, None, now, expires=now + seconds)
        try:
            lease = cls(store, await store.create(document), clock)
        except Conflict:
            raise ConversationLocked(retry_after=RETRY_SECONDS) from None
        if until is None or seconds == LEASE_SECONDS:
            lease._renewal = asyncio.create_task(lease._renew(renew_seconds))
        return lease

    @classmethod
    async def adopt(
        cls, store: DocumentStore, conversation_id: str, response_id: str, clock: Callable[[], float]
    ) -> "ConversationLease | None":
        """The one that was lent for this response; None where it is gone, or is another's."""
        document = await store.get(LEASE, conversation_id)
        if document is None or document.body.get("response") != response_id:
            return None
        lease = cls(store, document, clock)
        lease._spent = True  # whoever stops in the middle leaves it to the next
        return lease

    async def lend(self, response_id: str, until: int) -> None:
        """Leave it to whoever goes on with the response, until this time in Unix seconds.

        Raises:
            StaleDocument: it is lost.
        """
        await self.stop()
        self.document = await self._store.put(self.document, {"response": response_id}, expires=until)
        self._spent = True

    async def stop(self) -> None:
        """Renew it no more; a renewal under way has ended by then."""
        renewal, self._renewal = self._renewal, None
        if renewal is not None:
            renewal.cancel()
            await asyncio.wait([renewal])

    def spend(self) -> None:
        """Something has taken its place: there is nothing to release."""
        self._spent = True

    async def release(self) -> None:
        """Let the conversation go; where that fails, it goes by itself."""
        await self.stop()
        if not self._spent:
            self._spent = True
            with suppress(ApiError):
                await self._store.delete(self.document)

    async def _renew(self, seconds: float) -> None:
        """Until it is lost, which who spends it learns, or the conversation is deleted."""
        while True:
            await asyncio.sleep(seconds)
            try:
                until = int(self._clock()) + LEASE_SECONDS
                self.document = await self._store.put(self.document, {}, expires=until)
            except StaleDocument as stale:  # an earlier one was carried out, of which no answer came
                if stale.document is None or stale.document.tag != self.document.tag:
                    return
                self.document = stale.document
            except StateUnavailable:
                continue
