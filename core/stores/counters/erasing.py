"""The erasure of a client: its accounts, what lists them, and its parts, whose numbers stay as those of the client `erased`.

So the sums of teams, models and days stay. Each part is made anew in the transaction that removes it; an account is filed before it
is removed. The whole table is read for it: it is for an operator.
"""

import json
import os
from typing import TYPE_CHECKING, Any, Final

from core.errors import QuotaUnavailable
from core.platform.dynamodb_items import Items
from core.stores.counters import directory, filing, items
from core.stores.counters.filing import Filing
from core.stores.counters.items import BUCKET, EXPIRES, Item
from core.stores.counters.port import AccountKey, counters_of
from core.stores.counters.rows import rows_in

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

    from core.platform.dynamodb_table import Table

ERASED: Final = "erased"
TRIES: Final = 20  # of an account that goes on being used


async def erase(table: "Table", prefix: str, client: str, now: int, *, dry: bool) -> int:
    """How many accounts there were, with the counters of before there were accounts; `now` is in Unix milliseconds."""
    keys = await _find_keys(table, prefix, client)
    beside = tuple(f"{prefix}{begin}" for begin in (filing.PREFIX, directory.PREFIX, items.ONCE))
    accounts = [pk for pk in keys if not pk.startswith(beside)]
    if dry or not keys:
        return len(accounts) or min(1, len(keys))
    async with table.timed_client(3600, QuotaUnavailable) as dynamodb:
        begin = f"{prefix}{items.PREFIX}"
        for pk in accounts:
            if pk.startswith(begin):
                shard = pk.removeprefix(begin).removeprefix(client).removeprefix(":")
                account = AccountKey(client, int(shard) if shard else None)
                await _file_all(dynamodb, Filing(table, prefix, account, now))
        for pk in await _find_keys(table, prefix, client):
            if pk.startswith(f"{prefix}{filing.PREFIX}"):
                await _disown(dynamodb, table, prefix, pk)
    for pk in accounts:
        await _remove(table, prefix, pk)
    removed = (f"{prefix}{directory.PREFIX}", f"{prefix}{items.ONCE}")
    await Items(table).delete_all([{"pk": {"S": pk}} for pk in keys if pk.startswith(removed)])
    return len(accounts) or 1


async def _find_keys(table: "Table", prefix: str, client: str) -> list[str]:
    own = {
        name: f"{prefix}{begin}{client}" for name, begin in (("account", items.PREFIX), ("listing", directory.PREFIX))
    }
    begins = {":older": f"{prefix}{counters_of(client)}", ":part": f"{prefix}{filing.PREFIX}{client}:"}
    begins[":once"] = f"{prefix}{items.ONCE}{client}:"
    begins |= {f":{name}s": f"{pk}:" for name, pk in own.items()}
    conditions = [*(f"#pk = :{name}" for name in own), *(f"begins_with(#pk, {name})" for name in begins)]
    values = {name: {"S": value} for name, value in {**begins, **{f":{n}": pk for n, pk in own.items()}}.items()}
    return [item["pk"]["S"] async for item in Items(table).scan(" OR ".join(conditions), values, {"#pk": "pk"})]


async def _file_all(dynamodb: "DynamoDBClient", work: Filing) -> None:
    for _ in range(TRIES):
        if await work.run(dynamodb, whole=True):
            return
    reason = "is busy: the account goes on being used; try again when it is not"
    raise QuotaUnavailable(work.table.unavailable(reason).message)


async def _disown(dynamodb: "DynamoDBClient", table: "Table", prefix: str, pk: str) -> None:
    """Give a part to nobody; what died is removed."""
    key: dict[str, Any] = {"pk": {"S": pk}}
    answer = await dynamodb.get_item(TableName=table.name, Key=key, ConsistentRead=True)
    item: Item = {**answer.get("Item", {})}
    if not item:
        return
    removal: dict[str, Any] = {"TableName": table.name, "Key": key, "ConditionExpression": "attribute_exists(pk)"}
    writes: Any = [{"Delete": removal}]
    day = item[BUCKET]["S"].removeprefix(prefix).partition("#")[0]
    if day != filing.DEAD:
        content = [ERASED, *json.loads(item["p"]["S"])[1:]]
        writes.append({"Update": {"TableName": table.name, **_part(prefix, int(day), item, content)}})
    await dynamodb.transact_write_items(TransactItems=writes)


def _part(prefix: str, day: int, item: Item, content: list[Any]) -> dict[str, Any]:
    key = filing.part_key(prefix, ERASED, int.from_bytes(os.urandom(6)))
    return filing.part_update(key, filing.bucket_name(prefix, day, ERASED), items.number_in(item, EXPIRES), content)


async def _remove(table: "Table", prefix: str, pk: str) -> None:
    """Remove an account, and keep what was counted since it was filed."""
    async with table.client() as dynamodb:
        answer = await dynamodb.delete_item(TableName=table.name, Key={"pk": {"S": pk}}, ReturnValues="ALL_OLD")
        item: Item = answer.get("Attributes", {})
        for day, rows in filing.rows_by_day(rows_in(item)).items():
            update: Any = _part(prefix, day, item, [ERASED, *rows])
            await dynamodb.update_item(TableName=table.name, **update)
