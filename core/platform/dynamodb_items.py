"""The items of one DynamoDB table: read strongly consistent, and written in transactions.

Sources: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html,
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html (conflicts).
"""

import asyncio
from collections.abc import Mapping
import random
from typing import TYPE_CHECKING, Any, Final

from core.errors import ProviderUnavailable
from core.platform.dynamodb_table import Table

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.type_defs import QueryInputTypeDef, TransactWriteItemTypeDef

TRIES: Final = 10
BACKOFF: Final = 0.02  # seconds, doubled with each try, with jitter
LONGEST_BACKOFF: Final = 1.0  # seconds
REFUSED: Final = "ConditionalCheckFailed"
PASSING: Final = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})

type Key = dict[str, Any]
type Item = Mapping[str, Any]
type Reasons = list[dict[str, Any]]
"""Why a transaction was cancelled, an entry for each of its writes; empty when it was carried out."""


class Items:
    """`backoff` is in seconds: how long, at first, a write waits that lost against another."""

    def __init__(self, table: Table, *, backoff: float = BACKOFF) -> None:
        """Compose; nothing is read before the first call."""
        self.table = table
        self._backoff = backoff

    async def get(self, key: Key) -> Item | None:
        """The item under this key, or None."""
        async with self.table.client() as client:
            answer = await client.get_item(TableName=self.table.name, Key=key, ConsistentRead=True)
        return answer.get("Item")

    async def query(
        self, condition: str, values: Key, *, limit: int, start: Key | None = None, forward: bool = True
    ) -> list[Item]:
        """At most `limit` items that meet the key condition, after the key `start`, however many answers they come in."""
        request: QueryInputTypeDef = {
            "TableName": self.table.name,
            "ConsistentRead": True,
            "KeyConditionExpression": condition,
            "ExpressionAttributeValues": values,
            "ScanIndexForward": forward,
        }
        if start is not None:
            request["ExclusiveStartKey"] = start
        found: list[Item] = []
        async with self.table.client() as client:
            while len(found) < limit:
                request["Limit"] = limit - len(found)
                answer = await client.query(**request)
                found += answer["Items"]
                if "LastEvaluatedKey" not in answer:
                    break
                request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
        return found

    async def transact(self, writes: list["TransactWriteItemTypeDef"]) -> Reasons:
        """Carry out all of `writes`, or none and return why: a condition did not hold.

        Raises:
            ProviderUnavailable: after 10 tries others were still in the way.
        """
        for attempt in range(TRIES):
            await self.wait(attempt)
            reasons = await self._once(writes)
            codes = {reason.get("Code") for reason in reasons}
            if not reasons or REFUSED in codes:
                return reasons
            if not codes & PASSING:
                raise self.table.unavailable(f"refused a write: {', '.join(sorted(map(str, codes - {'None'})))}")
        raise self.busy()

    async def wait(self, attempt: int) -> None:
        """Before the first attempt, number 0, not at all; before each other one longer, with jitter."""
        if attempt:
            longest = min(self._backoff * 2**attempt, LONGEST_BACKOFF)
            await asyncio.sleep(random.uniform(0, longest))  # noqa: S311 - jitter, not a secret

    def busy(self) -> ProviderUnavailable:
        """The failure to raise after so many tries."""
        return self.table.unavailable(f"is busy: {TRIES} tries to write met other writes; try again in a moment")

    async def _once(self, writes: list["TransactWriteItemTypeDef"]) -> Reasons:
        async with self.table.client() as client:
            try:
                await client.transact_write_items(TransactItems=writes)
            except client.exceptions.TransactionCanceledException as failure:
                answer: dict[str, Any] = dict(failure.response)
                return list(answer["CancellationReasons"])
        return []
