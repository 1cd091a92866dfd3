"""The items of one DynamoDB table: read strongly consistent, and written in transactions.

Sources: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html,
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html (conflicts),
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html (16 MB an answer, the rest unprocessed).
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
import re
from typing import TYPE_CHECKING, Any, Final

from core.errors import ApiError
from core.platform.aws_errors import REASONS, Fault
from core.platform.concurrency import run_all
from core.platform.dynamodb_table import Table
from core.platform.dynamodb_values import to_attributes
from core.platform.retry import Backoff

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.type_defs import (
        QueryInputTypeDef,
        ScanInputTypeDef,
        TransactWriteItemTypeDef,
        UpdateTypeDef,
    )

BACKOFF: Final = Backoff(0.04, 1.0, tries=10)  # of a write that lost against another
CONDITION_FAILED: Final = "ConditionalCheckFailed"
MOST_KEYS: Final = 100  # of a BatchGetItem
DELETES: Final = 8  # under way together
TRANSIENT: Final = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})

type Key = dict[str, Any]
type Item = Mapping[str, Any]
type Reasons = list[dict[str, Any]]
"""Why a transaction was cancelled, an entry for each of its writes; empty when it was carried out."""


@dataclass(frozen=True, slots=True)
class Change:
    """An update of an item, if a condition holds. In both `#name` is an attribute, and `:name` one of the values."""

    update: str
    condition: str


def key_of(item: Item) -> Key:
    """The key of an item of a table whose keys are `pk` and `sk`."""
    return {"pk": item["pk"], "sk": item["sk"]}


class Items:
    def __init__(self, table: Table, backoff: Backoff = BACKOFF) -> None:
        self.table = table
        self.backoff = backoff

    async def get(self, key: Key) -> Item | None:
        """The item with this key, or None."""
        async with self.table.client() as client:
            answer = await client.get_item(TableName=self.table.name, Key=key, ConsistentRead=True)
        return answer.get("Item")

    async def query(
        self,
        condition: str,
        values: Key,
        *,
        limit: int,
        start: Key | None = None,
        forward: bool = True,
        only: str | None = None,
    ) -> list[Item]:
        """At most `limit` items that meet the key condition, after the key `start`; as many requests as that takes.

        `only` is a condition on other attributes.
        """
        request: QueryInputTypeDef = {
            "TableName": self.table.name,
            "ConsistentRead": True,
            "KeyConditionExpression": condition,
            "ExpressionAttributeValues": values,
            "ScanIndexForward": forward,
        }
        if only is not None:
            request["FilterExpression"] = only
        if start is not None:
            request["ExclusiveStartKey"] = start
        items: list[Item] = []
        async with self.table.client() as client:
            while len(items) < limit:
                request["Limit"] = limit - len(items)
                answer = await client.query(**request)
                items += answer["Items"]
                if "LastEvaluatedKey" not in answer:
                    break
                request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
        return items

    async def get_all(self, keys: Sequence[Key]) -> list[Item]:
        """Those of the items that are there, in any order.

        Raises:
            ProviderUnavailable: of some there was no answer in any try.
        """
        items: list[Item] = []
        for start in range(0, len(keys), MOST_KEYS):
            unread: Any = {self.table.name: {"Keys": keys[start : start + MOST_KEYS], "ConsistentRead": True}}
            for pause in self.backoff.pauses():
                await asyncio.sleep(pause)
                async with self.table.client() as client:
                    answer = await client.batch_get_item(RequestItems=unread)
                items += (item for responses in answer["Responses"].values() for item in responses)
                unread = answer.get("UnprocessedKeys")
                if not unread:
                    break
            else:
                raise self.table.unavailable(REASONS[Fault.THROTTLED])
        return items

    async def scan(self, condition: str, values: Key, names: Mapping[str, str]) -> AsyncGenerator[Item]:
        """Of every item of the table that meets the condition the attributes with these `names`, by their aliases.

        The whole table is read for it: for an operator, never for a function.
        """
        request: ScanInputTypeDef = {
            "TableName": self.table.name,
            "ConsistentRead": True,
            "FilterExpression": condition,
            "ExpressionAttributeValues": values,
            "ExpressionAttributeNames": names,
            "ProjectionExpression": ", ".join(names),
        }
        while True:
            async with self.table.client() as client:
                answer = await client.scan(**request)
            for item in answer["Items"]:
                yield item
            if "LastEvaluatedKey" not in answer:
                return
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    async def delete_all(self, keys: Sequence[Key]) -> None:
        """Remove the items with these keys, each by itself; those that are not there do not matter."""

        async def delete(key: Key) -> None:
            async with self.table.client() as client:
                await client.delete_item(TableName=self.table.name, Key=key)

        await run_all([partial(delete, key) for key in keys], at_once=DELETES)

    async def transact(self, writes: list["TransactWriteItemTypeDef"]) -> Reasons:
        """Carry out all of `writes`, or none and return why: a condition did not hold.

        Raises:
            ApiError: other writes were in the way of every try.
        """
        for pause in self.backoff.pauses():
            await asyncio.sleep(pause)
            reasons = await self._once(writes)
            codes = {reason.get("Code") for reason in reasons}
            if not reasons or CONDITION_FAILED in codes:
                return reasons
            if not codes & TRANSIENT:
                raise self.table.unavailable(f"refused a write: {', '.join(sorted(map(str, codes - {'None'})))}")
        raise self.busy()

    async def change(self, update: "UpdateTypeDef") -> tuple[bool, Item | None]:
        """Whether its condition held, and the item: as it is now, or as it was when it did not (None: it is not there).

        Raises:
            ApiError: transactions were in the way of every try.
        """
        for pause in self.backoff.pauses():
            await asyncio.sleep(pause)
            async with self.table.client() as client:
                try:
                    answer = await client.update_item(**update, ReturnValues="ALL_NEW")
                except client.exceptions.ConditionalCheckFailedException as refusal:
                    response: dict[str, Any] = dict(refusal.response)
                    return False, response.get("Item")
                except client.exceptions.TransactionConflictException:
                    continue
            return True, answer.get("Attributes")
        raise self.busy()

    def update(self, key: Key, change: Change, values: Mapping[str, Any]) -> "UpdateTypeDef":
        """The request to make `change` with those of `values` that it names; a failed condition returns the item."""
        text = f"{change.update} {change.condition}"
        names = dict.fromkeys(re.findall(r":(\w+)", text))
        return {
            "TableName": self.table.name,
            "Key": key,
            "UpdateExpression": change.update,
            "ConditionExpression": change.condition,
            "ExpressionAttributeNames": {f"#{name}": name for name in re.findall(r"#(\w+)", text)},
            "ExpressionAttributeValues": to_attributes({f":{name}": values[name] for name in names}),
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }

    def busy(self) -> ApiError:
        """The failure to raise where the last try met other writes too."""
        return self.table.unavailable(
            f"is busy: other writes were in the way of {self.backoff.tries} tries; try again in a moment"
        )

    async def _once(self, writes: list["TransactWriteItemTypeDef"]) -> Reasons:
        async with self.table.client() as client:
            try:
                await client.transact_write_items(TransactItems=writes)
            except client.exceptions.TransactionCanceledException as failure:
                answer: dict[str, Any] = dict(failure.response)
                return list(answer["CancellationReasons"])
        return []
