"""The directory of accounts: an item for each, which an index has, as the accounts' own writes should not go into one.

    pk = [namespace#]open:{client}[:shard]   bucket = [namespace#]open#{0..15}   client   expires

The index is `by_day`: HASH `bucket`, RANGE `pk`, all attributes. It is made in one transaction with the account, and made anew before
it expires: who reads the directory finds every account, but those of the last moments, as an index is a little late.
"""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

from core.platform.retry import Backoff
from core.stores.counters import items
from core.stores.counters.items import BUCKET, BUCKETS, EXPIRES, LISTED, Item
from core.stores.counters.port import AccountKey

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

    from core.platform.dynamodb_table import Table

PREFIX: Final = "open:"
BACKOFF: Final = Backoff(0.02, 0.3)  # of a write that met a transaction; its caller's patience ends it
CONFLICT: Final = "TransactionConflict"

type Fields = dict[str, Any]


def bucket_of(client: str) -> int:
    return crc32(client.encode()) % BUCKETS


async def create(
    client: "DynamoDBClient", table: "Table", prefix: str, account: AccountKey, fields: Fields, times: tuple[int, int]
) -> tuple[bool, Item]:
    """Whether the account was made, with `fields`, and listed; if not, the item that is there. `times` are now, and when it expires."""
    writes: Any = creation(table, prefix, account, fields, times)
    for pause in BACKOFF.pauses():
        await asyncio.sleep(pause)
        try:
            await client.transact_write_items(TransactItems=writes)
        except client.exceptions.TransactionCanceledException as failure:
            answer: dict[str, Any] = dict(failure.response)
            reasons: list[dict[str, Any]] = answer["CancellationReasons"]
            if not any(reason.get("Code") == CONFLICT for reason in reasons):
                return False, reasons[0].get("Item", {})
        else:
            break
    return True, {}


def creation(
    table: "Table", prefix: str, account: AccountKey, fields: Fields, times: tuple[int, int]
) -> list[dict[str, Any]]:
    """The writes of a transaction that makes an account, first, and lists it."""
    until, values = listed_until(*times), dict(fields["ExpressionAttributeValues"])
    names = {**fields["ExpressionAttributeNames"], "#listed": LISTED}
    account_fields = fields | {
        "UpdateExpression": f"SET #listed = :listed, {fields['UpdateExpression'].removeprefix('SET ')}",
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values | {":listed": {"N": str(until)}},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    key = items.key_of(prefix, account)
    return [
        {"Update": {"TableName": table.name, "Key": key, **account_fields}},
        {"Update": _listing(table, prefix, account, until)},
    ]


async def relist(
    client: "DynamoDBClient", table: "Table", prefix: str, account: AccountKey, item: Item, now: int
) -> None:
    """List an account again that would outlive what lists it, or that was made before accounts were listed."""
    expires = items.number_in(item, EXPIRES)
    if items.number_in(item, LISTED) >= expires:
        return
    until = listed_until(now, expires)
    await client.update_item(**_listing(table, prefix, account, until))
    noting: Fields = {
        "UpdateExpression": "SET #listed = :listed",
        "ConditionExpression": "attribute_exists(pk)",
        "ExpressionAttributeNames": {"#listed": LISTED},
        "ExpressionAttributeValues": {":listed": {"N": str(until)}},
    }
    with suppress(client.exceptions.ConditionalCheckFailedException):
        await client.update_item(TableName=table.name, Key=items.key_of(prefix, account), **noting)


def listed_until(now: int, expires: int) -> int:
    """Twice as long as the account, which lives longer with each call."""
    return 2 * max(expires, now) - now


def key_of(prefix: str, account: AccountKey) -> dict[str, Any]:
    return {"pk": {"S": f"{prefix}{PREFIX}{account.name}"}}


def _listing(table: "Table", prefix: str, account: AccountKey, expires: int) -> Any:  # noqa: ANN401 - an Update, alone or in a transaction
    names = {"#b": BUCKET, "#c": "client", "#e": EXPIRES}
    bucket = f"{prefix}open#{bucket_of(account.client)}"
    return {
        "TableName": table.name,
        "Key": key_of(prefix, account),
        "UpdateExpression": "SET #b = :b, #c = :c, #e = :e",
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": {":b": {"S": bucket}, ":c": {"S": account.client}, ":e": {"N": str(expires)}},
    }
