"""How many responses and conversations a caller may keep, exactly, though what has expired goes without a word.

A response counts in the tally of its owner, which has the limit, and in one of the day on which it expires. When that day is over, what
is left in its tally is taken off the owner's: by whoever removes the document of the day (`response_day`), which only one can. So
a place is free again within a day and an hour of an expiry, and at once after a deletion. Nothing is counted where nothing is limited.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from core.errors import Conflict, LimitReached
from core.frame.callers import KeepLimits
from core.services.responses.state.records import CONVERSATION, RESPONSE
from core.stores.documents.port import Document, DocumentStore, Tally, TallyExceeded

DAYS: Final = "response_day"
COUNT: Final = "count"
DAY: Final = 86_400  # seconds
LATE: Final = 3600  # seconds: clocks differ
PAGE: Final = 1000

type Kind = Literal["response", "conversation"]
type Tallies = tuple[Tally, ...]
NAMES: Final[dict[Kind, str]] = {RESPONSE: "responses", CONVERSATION: "conversations"}


@dataclass(frozen=True, slots=True)
class Keeper:
    """Counts what the owner of the list `owner` keeps; `clock` gives Unix seconds."""

    store: DocumentStore
    owner: str
    limits: KeepLimits
    clock: Callable[[], float]

    def most(self, kind: Kind) -> int | None:
        return self.limits.responses if kind == RESPONSE else self.limits.conversations

    def tallies_of(self, kind: Kind, expires: int | None) -> list[str]:
        """The tallies that one more is in."""
        return [] if self.most(kind) is None else self.names_until(expires)

    def names_until(self, expires: int | None) -> list[str]:
        """The tallies of what the owner keeps until then, limited or not."""
        whole = owner_tally(self.owner)
        return [whole] if expires is None else [whole, day_tally(self.owner, expires // DAY)]

    async def write[T](self, kind: Kind, counted: Sequence[str], write: Callable[[Tallies], Awaitable[T]]) -> T:
        """What `write` gives, which makes one more that is in these tallies.

        Raises:
            LimitReached: the owner may keep no more.
        """
        most = self.most(kind)
        if most is None or not counted:
            return await write(())
        await self.open_day(counted)
        limits = [{COUNT: most}, *({} for _ in counted[1:])]
        tally = tuple(Tally(kind, name, {COUNT: 1}, limit) for name, limit in zip(counted, limits, strict=True))
        try:
            return await write(tally)
        except TallyExceeded:
            if not await self.reclaim():
                raise refusal(kind, most) from None
        try:
            return await write(tally)
        except TallyExceeded:
            raise refusal(kind, most) from None

    async def require_room(self, kind: Kind) -> None:
        """Raise LimitReached for who could not keep one more, before it has cost anything. Others may be quicker: `write` decides."""
        most = self.most(kind)
        if most is None:
            return
        while (await self.store.tallies(kind, owner_tally(self.owner))).get(COUNT, 0) >= most:
            if not await self.reclaim():
                raise refusal(kind, most)

    async def reclaim(self) -> int:
        """Take off what has expired; of how many days."""
        over, count = int(self.clock() - LATE) // DAY, 0
        for document in (await self.store.page(DAYS, self.owner, limit=PAGE)).documents:
            if document.created // DAY >= over:
                break
            count += await self._close_day(document)
        return count

    async def open_day(self, counted: Sequence[str]) -> None:
        """Before something is counted in these tallies: so that somebody closes the day."""
        for name in counted[1:]:
            identifier = name.removeprefix("day:")
            day = int(name.rpartition(":")[2])
            if await self.store.get(DAYS, identifier) is None:
                try:
                    await self.store.create(Document(DAYS, identifier, {}, self.owner, created=day * DAY))
                except Conflict:  # another was quicker
                    continue

    async def _close_day(self, document: Document) -> bool:
        tally = list[Tally]()
        for kind in NAMES:
            number = (await self.store.tallies(kind, f"day:{document.id}")).get(COUNT, 0)
            if number:
                tally.append(Tally(kind, owner_tally(self.owner), {COUNT: -number}))
        done = await self.store.delete(document, tally=tally)
        if done:
            for kind in NAMES:
                await self.store.drop_tallies(kind, f"day:{document.id}")
        return done


def owner_tally(owner: str) -> str:
    return f"owner:{owner}"


def day_tally(owner: str, day: int) -> str:
    """`day` counts from 1970-01-01, UTC."""
    return f"day:{owner}:{day}"


def removal(kind: Kind, counted: Sequence[str]) -> Tallies:
    """What one less takes away again."""
    return tuple(Tally(kind, name, {COUNT: -1}) for name in counted)


def move(kind: Kind, before: Sequence[str], after: Sequence[str]) -> Tallies:
    """What changes where one has another expiry."""
    less = [name for name in before if name not in after]
    more = [name for name in after if name not in before]
    return (*removal(kind, less), *(Tally(kind, name, {COUNT: 1}) for name in more))


def refusal(kind: Kind, most: int) -> LimitReached:
    """The failure that the caller is told."""
    name = NAMES[kind]
    return LimitReached(f"max_{name}", f"You may keep {most} {name}, and have as many. Delete some.")
