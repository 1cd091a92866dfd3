"""Counters in one DynamoDB table, an item each: `pk` = [namespace#]key, `requests`, `tokens`, `expires` (its TTL).

One UpdateItem decides and counts. After a lost answer the SDK asks again, which may count a call twice; it never admits
one more. Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateItem.html.
"""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Final

from core.errors import QuotaUnavailable
from core.platform.dynamodb_table import Table, namespace_prefix, number_value
from core.stores.counters.port import Admission, CounterStore, Counts, Limit

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient
    from types_aiobotocore_dynamodb.type_defs import UpdateItemInputTypeDef

PATIENCE: Final = 2.0  # seconds
ANSWER_SECONDS: Final = 1.0  # of one attempt, so that `PATIENCE` has room for a second
COUNT: Final = "SET #expires = :expires ADD #requests :one, #tokens :tokens"
NAMES: Final = {"#expires": "expires", "#requests": "requests", "#tokens": "tokens"}


class DynamoCounters:
    """`patience` is in seconds, of one call; making the client, which happens once, is not in it."""

    def __init__(self, table: Table, *, namespace: str, patience: float = PATIENCE) -> None:
        self._table = table
        self._prefix = namespace_prefix(namespace)
        self._patience = patience

    async def take(self, key: str, *, tokens: int, below: Limit, expires: int) -> Admission:
        """Count one request and `tokens` in one conditional write, which is also what a refusal costs."""
        bounds = {name: bound for name, bound in _bounds(below).items() if bound is not None}
        if any(bound <= 0 for bound in bounds.values()):
            return Admission(admitted=False, counts=await self.read(key))
        counted = {":one": number_value(1), ":tokens": number_value(tokens), ":expires": number_value(expires)}
        request: UpdateItemInputTypeDef = {
            "TableName": self._table.name,
            "Key": self._key(key),
            "UpdateExpression": COUNT,
            "ExpressionAttributeNames": NAMES,
            "ExpressionAttributeValues": counted | {f":{name}_below": number_value(n) for name, n in bounds.items()},
            "ReturnValues": "UPDATED_NEW",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        if bounds:
            request["ConditionExpression"] = " AND ".join(
                f"(attribute_not_exists(#{name}) OR #{name} < :{name}_below)" for name in bounds
            )
        async with self._client() as client:
            try:
                answer = await client.update_item(**request)
            except client.exceptions.ConditionalCheckFailedException as refusal:
                response: dict[str, Any] = dict(refusal.response)
                return Admission(admitted=False, counts=_counts(response.get("Item", {})))
        return Admission(admitted=True, counts=_counts(answer["Attributes"]))

    async def adjust(self, key: str, *, tokens: int) -> None:
        async with self._client() as client:
            try:
                await client.update_item(
                    TableName=self._table.name,
                    Key=self._key(key),
                    UpdateExpression="ADD #tokens :tokens",
                    ConditionExpression="attribute_exists(pk)",
                    ExpressionAttributeNames={"#tokens": "tokens"},
                    ExpressionAttributeValues={":tokens": number_value(tokens)},
                )
            except client.exceptions.ConditionalCheckFailedException:
                return

    async def read(self, key: str) -> Counts:
        async with self._client() as client:
            answer = await client.get_item(TableName=self._table.name, Key=self._key(key), ConsistentRead=True)
        return _counts(answer.get("Item", {}))

    def warm(self) -> None:
        self._table.warm()

    async def close(self) -> None:
        await self._table.close()

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
