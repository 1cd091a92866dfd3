"""The audit trail in one DynamoDB table, whose keys are the strings `pk` and `sk`: that of the registry.

    entry   pk = [namespace#]@audit#YYYY-MM   sk = id   body

A partition for each month (UTC): an entry is in that of its time. No kind of resource has a key that begins with `@`. No role of
a deployment may update or delete these items, and what writes one asks that it is not there.
"""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from core.frame.types import JsonObject
from core.platform.dynamodb_items import Items
from core.platform.dynamodb_table import Table, namespace_prefix
from core.stores.audit.entry import Change, decode, encode
from core.stores.audit.port import AuditStore, id_at

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.type_defs import TransactWriteItemTypeDef


DAY: Final = timedelta(days=1)


def note(table: str, prefix: str, change: Change) -> "TransactWriteItemTypeDef":
    """The part of the change's transaction that adds the entry."""
    entry_id, body = encode(change)
    item = {"pk": {"S": _partition(prefix, change.at)}, "sk": {"S": entry_id}, "body": {"S": body}}
    return {"Put": {"TableName": table, "Item": item, "ConditionExpression": "attribute_not_exists(pk)"}}


class DynamoAudit:
    """A namespace of a table."""

    def __init__(self, table: Table, *, namespace: str) -> None:
        self._items = Items(table)
        self._prefix = namespace_prefix(namespace)

    async def page(self, *, since: int, before: str, limit: int) -> list[JsonObject]:
        """One query for each month that it takes."""
        entries: list[JsonObject] = []
        moment = _moment(int(before[:13]) / 1000)
        oldest = _moment(since / 1000).replace(day=1)
        while len(entries) < limit and moment >= oldest:
            entries += await self._month(moment, since, before, limit - len(entries))
            moment = moment.replace(day=1) - DAY
        return entries

    async def _month(self, moment: datetime, since: int, before: str, limit: int) -> list[JsonObject]:
        values = {
            ":pk": {"S": _partition(self._prefix, moment.timestamp())},
            ":since": {"S": id_at(since)},
            ":before": {"S": before},
        }
        items = await self._items.query(
            "pk = :pk AND sk BETWEEN :since AND :before", values, limit=limit + 1, forward=False
        )
        entries = [decode(item["sk"]["S"], item["body"]["S"]) for item in items if item["sk"]["S"] < before]
        return entries[:limit]

    async def close(self) -> None:
        await self._items.table.close()


def _partition(prefix: str, now: float) -> str:
    return f"{prefix}@audit#{_moment(now):%Y-%m}"


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def connect(table: str, *, region: str | None, endpoint_url: str | None, namespace: str | None) -> AuditStore:
    """The audit trail in `table`, whose keys are the strings `pk` and `sk`."""
    return DynamoAudit(Table(table, region=region, endpoint_url=endpoint_url), namespace=namespace or "")
