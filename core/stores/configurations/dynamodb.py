"""Registered configurations in one DynamoDB table, whose keys are the strings `pk` and `sk`: that of the registry.

    head            pk = [namespace#]@configurations   sk = head                  latest, active
    configuration   the same                           sk = version, in 19 digits body

Each write is one transaction: a version comes or goes, and the head is put in the place of the one that was read.
Digits sort before letters, so what is below `head` are the versions. No kind of resource has a key that begins with `@`.
"""

from typing import TYPE_CHECKING, Any, Final

from core.apis.configurations import Configuration
from core.platform.dynamodb_items import BACKOFF, CONDITION_FAILED, Items
from core.platform.dynamodb_table import Table, namespace_prefix, number_value
from core.platform.retry import Backoff
from core.stores.configurations.codec import decode, encode, is_possible, not_found
from core.stores.configurations.port import ConfigurationStore, Head

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.type_defs import PutTypeDef, TransactWriteItemTypeDef

    from core.stores.audit.entry import Change

HEAD: Final = "head"
DIGITS: Final = 19  # of `MOST_VERSION`
UNCHANGED: Final = "latest = :latest AND active = :active"
NONE_YET: Final = "attribute_not_exists(pk)"


class DynamoConfigurations:
    """A namespace of a table."""

    def __init__(self, table: Table, *, namespace: str, backoff: Backoff = BACKOFF) -> None:
        self._items = Items(table, backoff)
        self._prefix = namespace_prefix(namespace)
        self._partition = {"S": f"{self._prefix}@configurations"}

    async def head(self) -> Head:
        item = await self._items.get(self._key(HEAD))
        return Head() if item is None else Head(int(item["latest"]["N"]), int(item["active"]["N"]))

    async def get(self, version: int) -> Configuration | None:
        item = await self._items.get(self._key(_sort(version))) if is_possible(version) else None
        return None if item is None else decode(item["body"]["S"])

    async def page(self, *, before: int | None, limit: int) -> list[Configuration]:
        if before is not None and before <= 1:
            return []
        below = HEAD if before is None or not is_possible(before) else _sort(before)
        values = {":pk": self._partition, ":below": {"S": below}}
        items = await self._items.query("pk = :pk AND sk < :below", values, limit=limit, forward=False)
        return [decode(item["body"]["S"]) for item in items]

    async def append(self, configuration: Configuration, *, after: Head, change: "Change") -> bool:
        version = configuration.version
        put: PutTypeDef = {
            "TableName": self._items.table.name,
            "Item": {**self._key(_sort(version)), "body": {"S": encode(configuration)}},
            "ConditionExpression": NONE_YET,
        }
        if version != after.latest + 1:
            return False
        writes: list[TransactWriteItemTypeDef] = [
            {"Put": self._move(after, Head(version, version))},
            {"Put": put},
            self._noted(change),
        ]
        return not await self._items.transact(writes)

    async def rewrite(self, configuration: Configuration) -> bool:
        put: PutTypeDef = {
            "TableName": self._items.table.name,
            "Item": {**self._key(_sort(configuration.version)), "body": {"S": encode(configuration)}},
            "ConditionExpression": "attribute_exists(pk)",
        }
        return not await self._items.transact([{"Put": put}])

    async def remove(self, version: int, *, after: Head, change: "Change") -> bool:
        stored = version if is_possible(version) else 0  # which is no configuration's
        new = Head(after.latest, 0 if after.active == version else after.active)
        reasons = await self._items.transact(
            [
                {"Put": self._move(after, new)},
                {
                    "Delete": {
                        "TableName": self._items.table.name,
                        "Key": self._key(_sort(stored)),
                        "ConditionExpression": "attribute_exists(pk)",
                    }
                },
                self._noted(change),
            ]
        )
        if reasons and reasons[0].get("Code") != CONDITION_FAILED:
            raise not_found(version)
        return not reasons

    async def close(self) -> None:
        await self._items.table.close()

    def _noted(self, change: "Change") -> "TransactWriteItemTypeDef":
        """The write of its entry in the audit trail."""
        from core.stores.audit.dynamodb import note  # for few calls

        return note(self._items.table.name, self._prefix, change)

    def _move(self, old: Head, new: Head) -> "PutTypeDef":
        """Put the new head in the place of the old one, if that is still there."""
        move: PutTypeDef = {
            "TableName": self._items.table.name,
            "Item": {**self._key(HEAD), "latest": number_value(new.latest), "active": number_value(new.active)},
            "ConditionExpression": NONE_YET,
        }
        if old != Head():
            move["ConditionExpression"] = UNCHANGED
            move["ExpressionAttributeValues"] = {
                ":latest": number_value(old.latest),
                ":active": number_value(old.active),
            }
        return move

    def _key(self, sort: str) -> dict[str, Any]:
        return {"pk": self._partition, "sk": {"S": sort}}


def _sort(version: int) -> str:
    return f"{version:0{DIGITS}}"


def connect(table: str, *, region: str | None, endpoint_url: str | None, namespace: str | None) -> ConfigurationStore:
    """The configurations in `table`, whose keys are the strings `pk` and `sk`."""
    return DynamoConfigurations(Table(table, region=region, endpoint_url=endpoint_url), namespace=namespace or "")
