"""Semaphores in one DynamoDB table, an item each: `pk` = [namespace#]semaphore#key.

`holders` counts the leases, of which each is an attribute `h#holder` with its end; `expires` is the item's TTL, after the end of
the last. One UpdateItem acquires or releases; a semaphore that is full costs one more where leases have ended: those of
functions that were killed. What the SDK repeats after a lost answer changes nothing.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateItem.html.
"""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Final

from core.errors import QuotaUnavailable
from core.platform.dynamodb_table import Table, namespace_prefix, number_value
from core.stores.semaphores.port import SemaphoreStore

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

PATIENCE: Final = 2.0  # seconds
ANSWER_SECONDS: Final = 1.0  # of one attempt, so that `PATIENCE` has room for a second
LEASE: Final = "h#"
SPARE: Final = 3600  # seconds that an item outlives its last lease
MOST_ENDED: Final = 50  # leases removed at a time: an expression has a bounded length

type Item = Mapping[str, Any]


class DynamoSemaphores:
    """`patience` is in seconds, of one call; making the client, which happens once, is not in it."""

    def __init__(self, table: Table, *, namespace: str, patience: float = PATIENCE) -> None:
        self._table = table
        self._prefix = f"{namespace_prefix(namespace)}semaphore#"
        self._patience = patience

    async def acquire(self, key: str, holder: str, *, most: int, now: int, until: int) -> bool:
        if most <= 0:
            return False
        async with self._client() as client:
            while (item := await self._take(client, key, holder, most, until)) is not None:
                ended = [name for name, end in _leases(item).items() if end <= now][:MOST_ENDED]
                if LEASE + holder in item:
                    return True
                if not ended:
                    return False
                await self._remove(client, key, ended, item)
        return True

    async def _take(
        self, client: "DynamoDBClient", key: str, holder: str, most: int, until: int
    ) -> dict[str, Any] | None:
        """None where the lease was added; else the item, which has it already or is full."""
        try:
            await client.update_item(
                TableName=self._table.name,
                Key=self._key(key),
                UpdateExpression="SET #lease = :until, #expires = :expires ADD #holders :one",
                ConditionExpression="attribute_not_exists(#lease) AND (attribute_not_exists(#holders) OR #holders < :most)",
                ExpressionAttributeNames={"#lease": LEASE + holder, "#expires": "expires", "#holders": "holders"},
                ExpressionAttributeValues={
                    ":until": number_value(until),
                    ":expires": number_value(until + SPARE),
                    ":one": number_value(1),
                    ":most": number_value(most),
                },
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except client.exceptions.ConditionalCheckFailedException as refusal:
            response: dict[str, Any] = dict(refusal.response)
            item: dict[str, Any] = response.get("Item", {})
            return item
        return None

    async def release(self, key: str, holder: str) -> None:
        async with self._client() as client:
            await self._remove(client, key, [LEASE + holder], {})

    async def _remove(self, client: "DynamoDBClient", key: str, leases: list[str], item: Item) -> None:
        """Remove these leases, as they stand in `item` where it has them; none where somebody else was first."""
        names = {f"#{index}": lease for index, lease in enumerate(leases)}
        ends = {f":{index}": item[lease] for index, lease in enumerate(leases) if lease in item}
        conditions = [
            f"#{index} = :{index}" if f":{index}" in ends else f"attribute_exists(#{index})"
            for index in range(len(leases))
        ]
        try:
            await client.update_item(
                TableName=self._table.name,
                Key=self._key(key),
                UpdateExpression=f"REMOVE {', '.join(names)} ADD #holders :less",
                ConditionExpression=" AND ".join(conditions),
                ExpressionAttributeNames=names | {"#holders": "holders"},
                ExpressionAttributeValues=ends | {":less": number_value(-len(leases))},
            )
        except client.exceptions.ConditionalCheckFailedException:
            return

    async def erase(self, key: str, *, dry: bool = False) -> int:
        async with self._client() as client:
            name, place = self._table.name, self._key(key)
            item = (await client.get_item(TableName=name, Key=place, ConsistentRead=True)).get("Item")
            if item is not None and not dry:
                await client.delete_item(TableName=name, Key=place)
        return len(_leases(item or {}))

    def warm(self) -> None:
        self._table.warm()

    async def close(self) -> None:
        await self._table.close()

    def _key(self, key: str) -> dict[str, Any]:
        return {"pk": {"S": self._prefix + key}}

    def _client(self) -> AbstractAsyncContextManager["DynamoDBClient"]:
        return self._table.timed_client(self._patience, QuotaUnavailable)


def _leases(item: Item) -> dict[str, int]:
    """The end of each lease, by its attribute."""
    return {name: int(value["N"]) for name, value in item.items() if name.startswith(LEASE)}


def connect(
    table: str, *, region: str | None, endpoint_url: str | None, namespace: str | None, patience: float = PATIENCE
) -> SemaphoreStore:
    """The semaphores in `table`, whose key is the string `pk`."""
    place = Table(table, region=region, endpoint_url=endpoint_url, answer_seconds=min(ANSWER_SECONDS, patience))
    return DynamoSemaphores(place, namespace=namespace or "", patience=patience)
