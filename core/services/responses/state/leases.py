"""The lease of a conversation: one run at a time, and who has lost it cannot add to it any more.

The lease is a document that only one can make; what is added to the conversation takes its place, in one transaction. It is good `until` a time, and stays
behind that: so that the run of whoever died is found by it, and whoever wants the conversation next ends that run first.
One that is lent names its response: whichever worker goes on with that has it, nobody renews it, and it ends by itself.
"""

import asyncio
from contextlib import suppress
import math
from typing import Final

from core.errors import ApiError, Conflict, ConversationLocked, StateUnavailable
from core.services.responses.state.place import StatePlace
from core.services.responses.state.records import LEASE
from core.stores.documents.port import Document, StaleDocument

LEASE_SECONDS: Final = 60
"""How long a conversation stays locked by who died; a run that goes on renews it before."""
RENEW_SECONDS: Final = 20.0
APART_SECONDS: Final = 5  # between the clocks of two who want it
LATE_SECONDS: Final = 5 + APART_SECONDS  # for what is kept at the end of a call
RETRY_SECONDS: Final = 2


def is_left(lease: Document, now: float) -> bool:
    """Whether its time has passed, in Unix seconds: whoever has it died, or has lost it as soon as another wants it."""
    return float(lease.body.get("until", math.inf)) <= now


class ConversationLease:
    """`document` is as it was read last. It is renewed while its loop runs, until it is spent or released."""

    def __init__(self, state: StatePlace, document: Document) -> None:
        self.document = document
        self._state = state
        self._renewal: asyncio.Task[None] | None = None
        self._stopped = asyncio.Event()
        self._spent = False

    @classmethod
    async def take(
        cls,
        state: StatePlace,
        conversation_id: str,
        until: float | None,
        *,
        renew_seconds: float = RENEW_SECONDS,
    ) -> "ConversationLease":
        """In the list of the caller. `until` is when the call must have ended, in the loop's time.

        Raises:
            ConversationLocked: another has it, or has left it.
        """
        seconds = LEASE_SECONDS
        if until is not None:
            rest = math.ceil(until - asyncio.get_running_loop().time()) + LATE_SECONDS
            seconds = max(1, min(seconds, rest))
        now = int(state.clock())
        body = {"until": now + seconds}
        document = Document(LEASE, conversation_id, body, state.owner, None, now, expires=state.log_end())
        try:
            lease = cls(state, await state.store.create(document))
        except Conflict:
            raise ConversationLocked(retry_after=RETRY_SECONDS) from None
        if until is None or seconds == LEASE_SECONDS:
            lease._renewal = asyncio.create_task(lease._renew(renew_seconds))
        return lease

    @classmethod
    async def adopt(cls, state: StatePlace, conversation_id: str, response_id: str) -> "ConversationLease | None":
        """The one that was lent for this response; None where it is gone, or is another's."""
        document = await state.store.get(LEASE, conversation_id)
        if document is None or document.body.get("response") != response_id:
            return None
        return cls._of_another(state, document)

    @classmethod
    async def inherit(cls, state: StatePlace, conversation_id: str) -> "ConversationLease | None":
        """The one that whoever died has left, as long as nobody writes it; None where there is none."""
        document = await state.store.get(LEASE, conversation_id)
        if document is None or not is_left(document, state.clock()):
            return None
        return cls._of_another(state, document)

    @classmethod
    def _of_another(cls, state: StatePlace, document: Document) -> "ConversationLease":
        lease = cls(state, document)
        lease._spent = True  # whoever stops in the middle leaves it to the next
        return lease

    async def lend(self, response_id: str, until: int) -> None:
        """Leave it to whoever goes on with the response, until this time in Unix seconds.

        Raises:
            StaleDocument: it is lost.
        """
        await self.stop()
        self.document = await self._state.store.put(self.document, {"response": response_id}, expires=until)
        self._spent = True

    async def stop(self) -> None:
        """Renew it no more. A renewal under way ends first: cancelled, it could be carried out all the same, and `document` be stale."""
        renewal, self._renewal = self._renewal, None
        self._stopped.set()
        if renewal is not None:
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
                await self._state.store.delete(self.document, expect=self.document.revision)  # unless it is lent by now

    async def _renew(self, seconds: float) -> None:
        """Until it is lost, which who spends it learns, or the conversation is deleted."""
        while not await self._is_stopped(seconds):
            try:
                until = int(self._state.clock()) + LEASE_SECONDS
                self.document = await self._state.store.put(self.document, {"until": until})
            except StaleDocument as stale:  # an earlier one was carried out, of which no answer came
                newest = stale.document
                if newest is None or newest.tag != self.document.tag or "response" in newest.body:
                    return
                self.document = newest
            except StateUnavailable:
                continue

    async def _is_stopped(self, seconds: float) -> bool:
        """After so many seconds, or as soon as it is."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopped.wait()
        return self._stopped.is_set()
