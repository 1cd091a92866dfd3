"""Answers by idempotency key in one DynamoDB table, whose keys are the strings `pk` and `sk`.

    answer   pk = [namespace#]idempotency#key   sk = answer            fingerprint, holder, expires (its TTL); when it is
                                                                       answered: status, content_type, and body or parts;
                                                                       owner, where one is known
    part     the same                           sk = part#holder#nnn   body, expires: of an answer too large for one item

Bodies are deflated: events repeat themselves, and a write costs by its size. `expires` is when a lease ends, and when an
answer goes once it is there. Parts are written before the answer names their number, and outlive it.
Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html (400 KB an item),
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_PutItem.html.
"""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4
import zlib

from core.errors import IdempotencyUnavailable
from core.platform.dynamodb_items import Items, key_of
from core.platform.dynamodb_table import Table, namespace_prefix, number_value
from core.stores.answers.port import Answer, AnswerStore, Earlier, Lease

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

PATIENCE: Final = 5.0  # seconds
ANSWER_SECONDS: Final = 2.0  # of one attempt, so that `PATIENCE` has room for a second
MOST_PART: Final = 350_000  # bytes of an item of at most 400 KB
SPARE: Final = 3600  # seconds that parts outlive their answer
FASTEST: Final = 1  # of zlib's levels
MOST_PARTS: Final = 10_000  # that are removed with an answer
HEAD: Final = {"S": "answer"}
ATTRIBUTES: Final = ("status", "content_type", "expires", "parts", "body")

type Item = Mapping[str, Any]


class DynamoAnswers:
    """`patience` is in seconds, of one call; making the client, which happens once, is not in it."""

    def __init__(self, table: Table, *, namespace: str, patience: float = PATIENCE, most_part: int = MOST_PART) -> None:
        self._table = table
        self._prefix = f"{namespace_prefix(namespace)}idempotency#"
        self._patience = patience
        self._most_part = most_part

    async def begin(self, key: str, fingerprint: str, *, now: int, until: int, owner: str = "") -> Lease | Earlier:
        """Take the key in one conditional write. The SDK may ask twice, and then meet the lease that it has made."""
        lease = Lease(key, uuid4().hex)
        async with self._client() as client:
            try:
                await client.put_item(
                    TableName=self._table.name,
                    Item={
                        **self._key(key),
                        "fingerprint": {"S": fingerprint},
                        "holder": {"S": lease.holder},
                        "expires": number_value(until),
                        **({"owner": {"S": owner}} if owner else {}),
                    },
                    ConditionExpression="attribute_not_exists(pk) OR #expires <= :now",
                    ExpressionAttributeNames={"#expires": "expires"},
                    ExpressionAttributeValues={":now": number_value(now)},
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            except client.exceptions.ConditionalCheckFailedException as refusal:
                response: dict[str, Any] = dict(refusal.response)
                item: Item = response["Item"]
                return lease if item["holder"]["S"] == lease.holder else await self._earlier(client, key, item)
        return lease

    async def finish(self, lease: Lease, answer: Answer, *, expires: int) -> bool:
        """Keep the answer in the holder's item, after its parts if it has several; False if it is another's, or gone."""
        body = zlib.compress(answer.body, FASTEST)
        parts = [body[start : start + self._most_part] for start in range(0, len(body), self._most_part)]
        if len(parts) == 1:
            parts = []
        values: dict[str, Any] = {
            "status": number_value(answer.status),
            "content_type": {"S": answer.content_type},
            "expires": number_value(expires),
            "parts": number_value(len(parts)),
            "body": {"B": b"" if parts else body},
        }
        async with self._client() as client:
            for number, part in enumerate(parts):
                item = self._part(lease, number) | {"body": {"B": part}, "expires": number_value(expires + SPARE)}
                await client.put_item(TableName=self._table.name, Item=item)
            try:
                await client.update_item(
                    TableName=self._table.name,
                    Key=self._key(lease.key),
                    UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in ATTRIBUTES),
                    ConditionExpression="holder = :holder",
                    ExpressionAttributeNames={f"#{name}": name for name in ATTRIBUTES},
                    ExpressionAttributeValues={
                        ":holder": {"S": lease.holder},
                        **{f":{name}": value for name, value in values.items()},
                    },
                )
            except client.exceptions.ConditionalCheckFailedException:
                return False
        return True

    async def release(self, lease: Lease) -> None:
        async with self._client() as client:
            try:
                await client.delete_item(
                    TableName=self._table.name,
                    Key=self._key(lease.key),
                    ConditionExpression="holder = :holder",
                    ExpressionAttributeValues={":holder": {"S": lease.holder}},
                )
            except client.exceptions.ConditionalCheckFailedException:
                return

    async def erase(self, owner: str, *, dry: bool = False) -> int:
        """The keys of what is there, and of each all items: the parts that others left too, the answer itself last."""
        items, count = Items(self._table), 0
        condition = "begins_with(#pk, :prefix) AND #owner = :owner"
        values = {":prefix": {"S": self._prefix}, ":owner": {"S": owner}}
        async for head in items.scan(condition, values, {"#pk": "pk", "#owner": "owner"}):
            count += 1
            if not dry:
                own = await items.query("pk = :pk", {":pk": head["pk"]}, limit=MOST_PARTS)
                await items.delete_all([key for key in map(key_of, own) if key["sk"] != HEAD])
                await items.delete_all([{"pk": head["pk"], "sk": HEAD}])
        return count

    def warm(self) -> None:
        self._table.warm()

    async def close(self) -> None:
        await self._table.close()

    async def _earlier(self, client: "DynamoDBClient", key: str, item: Item) -> Earlier:
        if "status" not in item:
            return Earlier(item["fingerprint"]["S"], None)
        body: bytes = item["body"]["B"]
        if count := int(item["parts"]["N"]):
            lease = Lease(key, item["holder"]["S"])
            body = b"".join([await self._read(client, lease, number) for number in range(count)])
        answer = Answer(int(item["status"]["N"]), item["content_type"]["S"], zlib.decompress(body))
        return Earlier(item["fingerprint"]["S"], answer)

    async def _read(self, client: "DynamoDBClient", lease: Lease, number: int) -> bytes:
        key = self._part(lease, number)
        answer = await client.get_item(TableName=self._table.name, Key=key, ConsistentRead=True)
        if "Item" not in answer:
            raise self._table.unavailable("has lost a part of an answer")
        part: dict[str, Any] = dict(answer["Item"]["body"])
        return bytes(part["B"])

    def _key(self, key: str) -> dict[str, Any]:
        return {"pk": {"S": self._prefix + key}, "sk": HEAD}

    def _part(self, lease: Lease, number: int) -> dict[str, Any]:
        return {"pk": {"S": self._prefix + lease.key}, "sk": {"S": f"part#{lease.holder}#{number:03}"}}

    def _client(self) -> AbstractAsyncContextManager["DynamoDBClient"]:
        return self._table.timed_client(self._patience, IdempotencyUnavailable)


def connect(
    table: str, *, region: str | None, endpoint_url: str | None, namespace: str | None, patience: float = PATIENCE
) -> AnswerStore:
    """The answers in `table`, whose keys are the strings `pk` and `sk`."""
    place = Table(table, region=region, endpoint_url=endpoint_url, answer_seconds=min(ANSWER_SECONDS, patience))
    return DynamoAnswers(place, namespace=namespace or "", patience=patience)
