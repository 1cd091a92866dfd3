"""Counters in one DynamoDB table, an item each: `pk` = [namespace#]key, `requests`, `tokens`, `expires` (its TTL), marks.

One UpdateItem decides and counts. After a lost answer the SDK asks again; the write's mark tells that it was carried out.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateItem.html.
"""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, suppress
from typing import TYPE_CHECKING, Any, Final

from core.errors import QuotaUnavailable
from core.platform.dynamodb_items import Items
from core.platform.dynamodb_table import Table, namespace_prefix, number_value
from core.stores.counters.marks import Mark, Marks
from core.stores.counters.port import Admission, CounterStore, Counts, Limit

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

PATIENCE: Final = 2.0  # seconds
ANSWER_SECONDS: Final = 1.0  # of one attempt, so that `PATIENCE` has room for a second
COUNT: Final = "SET #expires = :expires, #mark = :mark ADD #requests :requests, #tokens :tokens"
ADJUST: Final = "SET #mark = :mark ADD #requests :requests, #tokens :tokens"
UNMARKED: Final = "(attribute_not_exists(#mark) OR #mark < :mark)"
THERE: Final = "attribute_exists(pk)"
NAMES: Final = {"#expires": "expires", "#requests": "requests", "#tokens": "tokens"}


class DynamoCounters:
    """`patience` is in seconds, of one call; making the client, which happens once, is not in it."""

    def __init__(self, table: Table, *, namespace: str, patience: float = PATIENCE) -> None:
        self._table = table
        self._prefix = namespace_prefix(namespace)
        self._patience = patience
        self._marks = Marks()

    async def take(self, key: str, *, tokens: int, below: Limit, expires: int, requests: int = 1) -> Admission:
        """Count in one conditional write, which is also what a refusal costs."""
        bounds = {name: bound for name, bound in _bounds(below).items() if bound is not None}
        if any(bound <= 0 for bound in bounds.values()):
            return Admission(admitted=False, counts=await self.read(key))
        values = {":expires": expires, ":requests": requests, ":tokens": tokens}
        values |= {f":{name}_below": bound for name, bound in bounds.items()}
        conditions = [f"(attribute_not_exists(#{name}) OR #{name} < :{name}_below)" for name in bounds]
        with self._marks.mark() as mark:
            request = self._update(key, mark, COUNT, conditions, values)
            async with self._client() as client:
                try:
                    answer = await client.update_item(
                        **request, ReturnValues="ALL_NEW", ReturnValuesOnConditionCheckFailure="ALL_OLD"
                    )
                except client.exceptions.ConditionalCheckFailedException as refusal:
                    response: dict[str, Any] = dict(refusal.response)
                    item = response.get("Item", {})
                    return Admission(admitted=mark.is_in(item), counts=_counts(item))
        await self._remove(key, mark.stale(answer["Attributes"]))
        return Admission(admitted=True, counts=_counts(answer["Attributes"]))

    async def adjust(self, key: str, *, tokens: int, requests: int = 0) -> None:
        with self._marks.mark() as mark:
            request = self._update(key, mark, ADJUST, [THERE], {":requests": requests, ":tokens": tokens})
            async with self._client() as client:
                with suppress(client.exceptions.ConditionalCheckFailedException):
                    await client.update_item(**request)

    async def read(self, key: str) -> Counts:
        async with self._client() as client:
            answer = await client.get_item(TableName=self._table.name, Key=self._key(key), ConsistentRead=True)
        return _counts(answer.get("Item", {}))

    async def erase(self, prefix: str, *, dry: bool = False) -> int:
        items = Items(self._table)
        values = {":prefix": {"S": self._prefix + prefix}}
        keys = [item async for item in items.scan("begins_with(#pk, :prefix)", values, {"#pk": "pk"})]
        await items.delete_all([] if dry else [dict(key) for key in keys])
        return len(keys)

    def warm(self) -> None:
        self._table.warm()

    async def close(self) -> None:
        await self._table.close()

    def _update(
        self, key: str, mark: Mark, expression: str, conditions: list[str], values: dict[str, int]
    ) -> dict[str, Any]:
        names = {**{alias: name for alias, name in NAMES.items() if alias in expression}, "#mark": mark.name}
        return {
            "TableName": self._table.name,
            "Key": self._key(key),
            "UpdateExpression": expression,
            "ConditionExpression": " AND ".join([UNMARKED, *conditions]),
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": {
                name: number_value(value) for name, value in (values | {":mark": mark.number}).items()
            },
        }

    async def _remove(self, key: str, marks: list[str]) -> None:
        """The marks of processes that are gone; where that fails, they go another time."""
        if not marks:
            return
        names = {f"#m{position}": name for position, name in enumerate(marks)}
        with suppress(QuotaUnavailable):
            async with self._client() as client:
                await client.update_item(
                    TableName=self._table.name,
                    Key=self._key(key),
                    UpdateExpression=f"REMOVE {', '.join(names)}",
                    ConditionExpression=THERE,
                    ExpressionAttributeNames=names,
                )

    def _key(self, key: str) -> dict[str, Any]:
        return {"pk": {"S": self._prefix + key}}

    def _client(self) -> AbstractAsyncContextManager["DynamoDBClient"]:
        return self._table.timed_client(self._patience, QuotaUnavailable)


def _bounds(below: Limit) -> dict[str, int | None]:
    return {"requests": below.requests, "tokens": below.tokens}


def _counts(item: Mapping[str, Any]) -> Counts:
    requests, tokens = (int(item[name]["N"]) if name in item else 0 for name in ("requests", "tokens"))
    return Counts(requests, tokens)


def connect(
    table: str, *, region: str | None, endpoint_url: str | None, namespace: str | None, patience: float = PATIENCE
) -> CounterStore:
    """The counters in `table`, whose key is the string `pk`."""
    place = Table(table, region=region, endpoint_url=endpoint_url, answer_seconds=min(ANSWER_SECONDS, patience))
    return DynamoCounters(place, namespace=namespace or "", patience=patience)
