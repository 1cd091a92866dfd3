"""Accounts in one DynamoDB table, an item each (see `items`).

One UpdateItem decides and counts, in every window. After a lost answer the SDK asks again; the write's mark tells that it was
carried out. Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateItem.html.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

from core.errors import QuotaUnavailable
from core.platform.dynamodb_table import Table, namespace_prefix
from core.stores.counters import directory, expressions, items
from core.stores.counters.directory import BACKOFF
from core.stores.counters.expressions import Fields
from core.stores.counters.items import EXPIRES, LISTED, Item
from core.stores.counters.marks import Mark, Marks
from core.stores.counters.port import (
    AccountKey,
    AccountState,
    Admission,
    Counter,
    CounterStore,
    Counts,
    Reservation,
    Scope,
    Take,
    Use,
)
from core.stores.counters.rows import meets_others, split_use

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

PATIENCE: Final = 2.0  # seconds
ANSWER_SECONDS: Final = 1.0  # of one attempt, so that `PATIENCE` has room for a second
TRIES: Final = 5  # of an account that others make and remove, or that has rows of the same hash
MOST_ROWS: Final = 16  # in one write, whose expressions may have 4 KB
MOST_LOOKS: Final = 4096  # accounts of which it is remembered when they were seen as a whole
LOOK: Final = 13  # takes: each such one is answered with the whole item, for what is stale in it
MOST_STALE: Final = 12  # marks, or counts of windows, before they are removed: an item should stay below 1 KB
DAY: Final = 86_400_000  # milliseconds

type ReturnValues = Literal["ALL_NEW", "UPDATED_NEW", "NONE"]


class DynamoCounters:
    """`patience` is in seconds, of one call; making the client, which happens once, is not in it."""

    def __init__(self, table: Table, *, namespace: str, patience: float = PATIENCE) -> None:
        self._table = table
        self._prefix = namespace_prefix(namespace)
        self._patience = patience
        self._marks = Marks()
        self._takes = 0
        self._looks: dict[str, int] = {}
        self._due = set[str]()

    async def take(self, account: AccountKey, take: Take, scopes: Sequence[Scope] = ()) -> Admission:
        """Count in one conditional write, which is also what a refusal costs; with scopes in a transaction."""
        if take.is_shut or any(scope.take.is_shut for scope in scopes):
            return await self._refuse(account, take, scopes)
        first, *rest = (None,) if take.use is None else split_use(take.use, MOST_ROWS)
        admission = await self._take(account, replace(take, use=first), scopes)
        for number, use in enumerate(rest if admission.admitted else ()):
            await self._take(account, Take((), Counts(), use=use, once=f"{take.once}+{number}" if take.once else ""))
        return admission

    async def settle(
        self, reservation: Reservation, correction: Counts, use: Use | None = None, scopes: Sequence[Counts] = ()
    ) -> None:
        mark = Mark(reservation.name, reservation.number)
        *before, last = (None,) if use is None else split_use(use, MOST_ROWS)
        async with self._client() as client:
            for part in before:
                following = self._marks.follow(mark)
                noting = partial(expressions.noting, mark, following, part)
                if not await self._end(client, reservation.account, mark, noting, following):
                    break
                mark = following
            else:
                await self._settle(client, replace(reservation, number=mark.number), correction, last, scopes)
        self._marks.end(mark)
        if use is not None:
            await self._file(reservation.account, self._marks.follow(mark).number, use)

    async def read(self, account: AccountKey, counters: tuple[Counter, ...] = ()) -> AccountState:
        async with self._client() as client:
            item = await self._get(client, items.key_of(self._prefix, account))
            if not item and counters:
                before = await self._older(client, account, counters)
                return AccountState((before, *[Counts()] * (len(counters) - 1)))
        return AccountState(items.counts_of(item, counters), items.held_of(item))

    async def erase(self, client: str, *, dry: bool = False) -> int:
        """The counters of before there were accounts go too. What was used stays counted, as that of the client `erased`."""
        from core.stores.counters import erasing  # for an operator

        return await erasing.erase(self._table, self._prefix, client, self._marks.begin().number, dry=dry)

    def warm(self) -> None:
        self._table.warm()

    async def close(self) -> None:
        await self._table.close()

    async def _refuse(self, account: AccountKey, take: Take, scopes: Sequence[Scope]) -> Admission:
        """Of a limit that admits nothing."""
        own, *others = await asyncio.gather(
            self.read(account, take.counters), *(self.read(scope.account, scope.take.counters) for scope in scopes)
        )
        return Admission(admitted=False, counts=own.counts, scopes=tuple(other.counts for other in others))

    async def _take(self, account: AccountKey, take: Take, scopes: Sequence[Scope] = ()) -> Admission:
        mark, is_held = self._marks.begin(), take.holds
        others: tuple[Item, ...] = ()
        try:
            async with self._client() as client:
                if scopes or take.once:
                    admitted, item, others = await self._share(client, account, take, scopes, mark)
                    is_whole = False
                else:
                    admitted, item, is_whole = await self._write(client, account, take, mark)
            is_held = take.holds and admitted
        finally:
            if not is_held:
                self._marks.end(mark)
        if is_whole:
            await self._tidy(account, mark, item)
        elif scopes and admitted and self._return_values(account, mark) == "ALL_NEW":
            await self._tidy_all(account, scopes, mark)
        if take.use is not None and not is_held:
            await self._file(account, mark.number, take.use)
        counts = items.counts_of(item, take.counters)
        reservation = None
        if is_held:
            reservation = Reservation(account, take.counters, mark.name, mark.number, tuple(scopes))
        pairs = () if admitted else zip(others, scopes, strict=True)
        of_scopes = tuple(items.counts_of(other, scope.take.counters) for other, scope in pairs)
        return Admission(admitted, counts, reservation, of_scopes)

    async def _share(
        self, client: "DynamoDBClient", account: AccountKey, take: Take, scopes: Sequence[Scope], mark: Mark
    ) -> tuple[bool, Item, tuple[Item, ...]]:
        from core.stores.counters import transactions  # for few calls

        place = transactions.Place(client, self._table, self._prefix)
        older = partial(self._older, client, account, take.counters)
        outcome = await transactions.take(place, account, take, scopes, mark, older)
        return outcome.admitted, outcome.own, outcome.scopes

    async def _settle(
        self,
        client: "DynamoDBClient",
        reservation: Reservation,
        correction: Counts,
        use: Use | None,
        scopes: Sequence[Counts],
    ) -> None:
        if reservation.scopes and any(of_scope != Counts() for of_scope in scopes):
            from core.stores.counters import transactions  # for few calls

            place = transactions.Place(client, self._table, self._prefix)
            await transactions.settle(place, reservation, correction, use, scopes)
            return
        mark = Mark(reservation.name, reservation.number)
        settling = partial(expressions.settling, reservation.counters, mark, correction, use)
        await self._end(client, reservation.account, mark, settling)

    async def _write(
        self, client: "DynamoDBClient", account: AccountKey, take: Take, mark: Mark
    ) -> tuple[bool, Item, bool]:
        """Whether it was counted, what is known of the item, and whether that is all of it."""
        return_values = self._return_values(account, mark)
        current: Item = {}
        for _ in range(TRIES):
            fields = expressions.taking(take, mark, current)
            was_written, item = await self._update(client, account, fields, return_values)
            if was_written or mark.is_in(item):
                return True, item, was_written and return_values == "ALL_NEW"
            is_passable = items.is_short(take, item) or meets_others(take.use, item)
            if item and not (is_passable and items.has_room(take, item)):
                return False, item, False
            current = item
            if not item:
                before = await self._older(client, account, take.counters)
                if take.counters and not take.counters[0].below.has_room(before):
                    return False, items.item_of(take.counters[0], before), False
                creating = expressions.creating(take, mark, before)
                times = mark.number // 1000, take.expires
                was_made, current = await directory.create(client, self._table, self._prefix, account, creating, times)
                if was_made or mark.is_in(current):
                    return True, current or items.item_with(take, before), False
        raise self._busy()

    def _return_values(self, account: AccountKey, mark: Mark) -> ReturnValues:
        """All of it where this process has not seen the item today, and now and then: for what is stale in it."""
        day = mark.number // DAY
        is_look = self._takes % LOOK == 0 or self._looks.get(account.name) != day
        self._takes += 1
        if is_look:
            if len(self._looks) >= MOST_LOOKS:
                self._looks.clear()
            self._looks[account.name] = day
        return "ALL_NEW" if is_look else "UPDATED_NEW"

    async def _end(
        self,
        client: "DynamoDBClient",
        account: AccountKey,
        mark: Mark,
        express: Callable[[Item], Fields],
        following: Mark | None = None,
    ) -> bool:
        """Whether what a call holds was changed, by what is made of its item; not where it holds nothing any more."""
        current: Item = {}
        for _ in range(TRIES):
            was_written, current = await self._update(client, account, express(current), "NONE")
            if was_written or (following is not None and following.is_in(current)):
                return True
            if not mark.holds_in(current):
                return False
        raise self._busy()

    async def _update(
        self, client: "DynamoDBClient", account: AccountKey, fields: Fields, return_values: ReturnValues
    ) -> tuple[bool, Item]:
        """Whether the condition held, and the item: then what was `return_values` of it, else all, nothing where there is none.

        A transaction that is under way with the item is waited for.
        """
        for pause in BACKOFF.pauses():
            await asyncio.sleep(pause)
            with suppress(client.exceptions.TransactionConflictException):
                try:
                    answer = await client.update_item(
                        **self._at(account),
                        **fields,
                        ReturnValues=return_values,
                        ReturnValuesOnConditionCheckFailure="ALL_OLD",
                    )
                except client.exceptions.ConditionalCheckFailedException as refusal:
                    response: dict[str, Any] = dict(refusal.response)
                    return False, response.get("Item", {})
                return True, answer.get("Attributes", {})
        raise self._busy()

    def _busy(self) -> QuotaUnavailable:
        return QuotaUnavailable(self._table.unavailable("is busy: other writes were in the way of every try").message)

    async def _older(self, client: "DynamoDBClient", account: AccountKey, counters: tuple[Counter, ...]) -> Counts:
        """What an llambda of before there were accounts has counted in the first window."""
        if not counters:
            return Counts()
        return items.older_counts_of(await self._get(client, items.older_key_of(self._prefix, account, counters[0])))

    async def _get(self, client: "DynamoDBClient", key: dict[str, Any]) -> Item:
        answer = await client.get_item(TableName=self._table.name, Key=key, ConsistentRead=True)
        return answer.get("Item", {})

    async def _file(self, account: AccountKey, now: int, use: Use) -> None:
        """What was seen to be due, once for each time that it was seen; where that fails, it is left to another call."""
        if account.name not in self._due:
            return
        self._due.discard(account.name)
        from core.stores.counters import filing  # once a day for each account

        with suppress(QuotaUnavailable):
            async with self._client() as client:
                await filing.Filing(self._table, self._prefix, account, now, use).run(client)

    async def _tidy(self, account: AccountKey, mark: Mark, item: Item) -> None:
        """Remove windows that are over, and marks of processes that are gone; where that fails, they go another time."""
        if items.is_due(item, mark.number):
            self._due.add(account.name)
        if items.number_in(item, LISTED) < items.number_in(item, EXPIRES):
            with suppress(QuotaUnavailable):
                async with self._client() as client:
                    await directory.relist(client, self._table, self._prefix, account, item, mark.number // 1000)
        await self._remove(account, mark, item)

    async def _tidy_all(self, account: AccountKey, scopes: Sequence[Scope], mark: Mark) -> None:
        """As a transaction tells nothing of the items, they are read for it, now and then."""
        with suppress(QuotaUnavailable):
            async with self._client() as client:
                keys = [items.key_of(self._prefix, each) for each in (account, *(scope.account for scope in scopes))]
                own, *others = await asyncio.gather(*(self._get(client, key) for key in keys))
            await self._tidy(account, mark, own)
            for scope, item in zip(scopes, others, strict=True):
                await self._remove(scope.account, mark, item)

    async def _remove(self, account: AccountKey, mark: Mark, item: Item) -> None:
        windows, marks = items.ended_windows(item, mark.number / 1000), mark.stale(item)
        if len(windows) <= MOST_STALE and len(marks) <= MOST_STALE:
            return
        with suppress(QuotaUnavailable):
            async with self._client() as client:
                problems = client.exceptions
                with suppress(problems.ConditionalCheckFailedException, problems.TransactionConflictException):
                    await client.update_item(**self._at(account), **expressions.removing(windows, marks))

    def _at(self, account: AccountKey) -> Fields:
        return {"TableName": self._table.name, "Key": items.key_of(self._prefix, account)}

    def _client(self) -> AbstractAsyncContextManager["DynamoDBClient"]:
        return self._table.timed_client(self._patience, QuotaUnavailable)


def connect(
    table: str, *, region: str | None, endpoint_url: str | None, namespace: str | None, patience: float = PATIENCE
) -> CounterStore:
    """The accounts in `table`, whose key is the string `pk`."""
    place = Table(table, region=region, endpoint_url=endpoint_url, answer_seconds=min(ANSWER_SECONDS, patience))
    return DynamoCounters(place, namespace=namespace or "", patience=patience)
