"""Accounts in one DynamoDB table, an item each (see `items`).

One UpdateItem decides and counts, in every window. After a lost answer the SDK asks again; the write's mark tells that it was
carried out. Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateItem.html.
"""

from contextlib import AbstractAsyncContextManager, suppress
from typing import TYPE_CHECKING, Any, Final, Literal

from core.errors import QuotaUnavailable
from core.platform.dynamodb_items import Items
from core.platform.dynamodb_table import Table, namespace_prefix
from core.stores.counters import expressions, items
from core.stores.counters.expressions import Fields
from core.stores.counters.items import Item
from core.stores.counters.marks import Mark, Marks
from core.stores.counters.port import (
    AccountKey,
    AccountState,
    Admission,
    Counter,
    CounterStore,
    Counts,
    Reservation,
    Take,
    counters_of,
)

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

PATIENCE: Final = 2.0  # seconds
ANSWER_SECONDS: Final = 1.0  # of one attempt, so that `PATIENCE` has room for a second
TRIES: Final = 3  # of an account that others make and remove
LOOK: Final = 13  # takes: each such one is answered with the whole item, for what is stale in it
MOST_STALE: Final = 12  # marks, or counts of windows, before they are removed: an item should stay below 1 KB
OF_CLIENT: Final = "#pk = :one OR begins_with(#pk, :shards) OR begins_with(#pk, :older)"


class DynamoCounters:
    """`patience` is in seconds, of one call; making the client, which happens once, is not in it."""

    def __init__(self, table: Table, *, namespace: str, patience: float = PATIENCE) -> None:
        self._table = table
        self._prefix = namespace_prefix(namespace)
        self._patience = patience
        self._marks = Marks()
        self._takes = 0

    async def take(self, account: AccountKey, take: Take) -> Admission:
        """Count in one conditional write, which is also what a refusal costs."""
        if take.is_shut:
            return Admission(admitted=False, counts=(await self.read(account, take.counters)).counts)
        mark, is_held = self._marks.begin(), take.holds
        try:
            async with self._client() as client:
                admitted, item, is_whole = await self._write(client, account, take, mark)
            is_held = take.holds and admitted
        finally:
            if not is_held:
                self._marks.end(mark)
        if is_whole:
            await self._remove_stale(account, mark, item)
        counts = items.counts_of(item, take.counters)
        reservation = Reservation(account, take.counters, mark.name, mark.number) if is_held else None
        return Admission(admitted, counts, reservation)

    async def settle(self, reservation: Reservation, correction: Counts) -> None:
        mark = Mark(reservation.name, reservation.number)
        fields = expressions.settling(reservation.counters, mark, correction)
        async with self._client() as client:
            with suppress(client.exceptions.ConditionalCheckFailedException):
                await client.update_item(**self._at(reservation.account), **fields)
        self._marks.end(mark)

    async def read(self, account: AccountKey, counters: tuple[Counter, ...] = ()) -> AccountState:
        async with self._client() as client:
            item = await self._get(client, items.key_of(self._prefix, account))
            if not item and counters:
                before = await self._older(client, account, counters[0])
                return AccountState((before, *[Counts()] * (len(counters) - 1)))
        return AccountState(items.counts_of(item, counters), items.held_of(item))

    async def erase(self, client: str, *, dry: bool = False) -> int:
        """The counters of before there were accounts go too."""
        own = f"{self._prefix}{items.PREFIX}{client}"
        values = {":one": own, ":shards": f"{own}:", ":older": f"{self._prefix}{counters_of(client)}"}
        table = Items(self._table)
        scan = table.scan(OF_CLIENT, {name: {"S": value} for name, value in values.items()}, {"#pk": "pk"})
        keys = [dict(item) async for item in scan]
        await table.delete_all([] if dry else keys)
        return len(keys)

    def warm(self) -> None:
        self._table.warm()

    async def close(self) -> None:
        await self._table.close()

    async def _write(
        self, client: "DynamoDBClient", account: AccountKey, take: Take, mark: Mark
    ) -> tuple[bool, Item, bool]:
        """Whether it was counted, what is known of the item, and whether that is all of it."""
        fields = expressions.taking(take, mark)
        return_values: Literal["ALL_NEW", "UPDATED_NEW"] = "UPDATED_NEW" if self._takes % LOOK else "ALL_NEW"
        self._takes += 1
        for _ in range(TRIES):
            was_written, item = await self._update(client, account, fields, return_values)
            if was_written or item:
                return was_written or mark.is_in(item), item, was_written and return_values == "ALL_NEW"
            before = await self._older(client, account, take.counters[0])
            if not take.counters[0].below.has_room(before):
                return False, items.item_of(take.counters[0], before), False
            was_written, item = await self._update(client, account, expressions.creating(take, mark, before), "ALL_NEW")
            if was_written or mark.is_in(item):
                return True, item, False
        raise QuotaUnavailable(self._table.unavailable("is busy: an account was made and removed meanwhile").message)

    async def _update(
        self,
        client: "DynamoDBClient",
        account: AccountKey,
        fields: Fields,
        return_values: Literal["ALL_NEW", "UPDATED_NEW"],
    ) -> tuple[bool, Item]:
        """Whether the condition held, and the item: then what was `return_values` of it, else all, nothing where there is none."""
        try:
            answer = await client.update_item(
                **self._at(account), **fields, ReturnValues=return_values, ReturnValuesOnConditionCheckFailure="ALL_OLD"
            )
        except client.exceptions.ConditionalCheckFailedException as refusal:
            response: dict[str, Any] = dict(refusal.response)
            return False, response.get("Item", {})
        return True, answer["Attributes"]

    async def _older(self, client: "DynamoDBClient", account: AccountKey, counter: Counter) -> Counts:
        """What an llambda of before there were accounts has counted in the window."""
        return items.older_counts_of(await self._get(client, items.older_key_of(self._prefix, account, counter)))

    async def _get(self, client: "DynamoDBClient", key: dict[str, Any]) -> Item:
        answer = await client.get_item(TableName=self._table.name, Key=key, ConsistentRead=True)
        return answer.get("Item", {})

    async def _remove_stale(self, account: AccountKey, mark: Mark, item: Item) -> None:
        """Windows that are over, and marks of processes that are gone; where that fails, they go another time."""
        windows, marks = items.ended_windows(item, mark.number / 1000), mark.stale(item)
        if len(windows) <= MOST_STALE and len(marks) <= MOST_STALE:
            return
        with suppress(QuotaUnavailable):
            async with self._client() as client:
                with suppress(client.exceptions.ConditionalCheckFailedException):
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
