"""The registry in one DynamoDB table, shared by every process that names it.

Each registration is two items, written and removed in one transaction, with an entry in the audit trail:

    resource   pk = [namespace#]kind                                   sk = identifier   body
    alias      pk = [namespace#]kind@provider_id@provider_resource_id  sk = identifier   body

Namespace, kind and provider id are percent-encoded in keys, so none can hold a separator. The body, the
resource as JSON, is in both: a look-up by either is one read, and DynamoDB gives sort keys in
UTF-8 byte order.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.KeyConditionExpressions.html.
"""

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import quote

from core.frame.resources import Resource
from core.platform.dynamodb_items import BACKOFF, Item, Items
from core.platform.dynamodb_table import Table, namespace_prefix
from core.platform.retry import Backoff
from core.stores.registry.codec import (
    check_cursor,
    decode,
    encode,
    is_noted,
    is_other_spelling,
    is_place,
    is_storable,
    settle,
)
from core.stores.registry.port import Author, Check, RegistryStore

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.type_defs import PutTypeDef, TransactWriteItemTypeDef


class DynamoRegistry:
    """A namespace of a table."""

    def __init__(self, table: Table, *, namespace: str, backoff: Backoff = BACKOFF) -> None:
        self._items = Items(table, backoff)
        self._prefix = namespace_prefix(namespace)

    async def get(self, kind: str, identifier: str) -> Resource | None:
        body = await self._body(kind, identifier) if is_storable(identifier) else None
        return None if body is None else decode(body)

    async def page(self, kind: str, *, after: str, limit: int) -> list[Resource]:
        check_cursor(after)
        return await self._query(self._partition(kind), after=after, limit=limit)

    async def page_at(
        self, kind: str, provider_id: str, provider_resource_id: str, *, after: str, limit: int
    ) -> list[Resource]:
        if not is_place(provider_id, provider_resource_id, after):
            return []
        return await self._query(self._alias(kind, provider_id, provider_resource_id), after=after, limit=limit)

    async def create(self, resource: Resource, *, by: Author = None) -> Resource:
        name, alias = self._puts(resource)
        name["ConditionExpression"] = "attribute_not_exists(pk)"
        name["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        writes = self._noted([{"Put": name}, {"Put": alias}], None, resource, by)
        reasons = await self._items.transact(writes)
        return settle(resource, decode(_text(reasons[0]["Item"]))) if reasons else resource

    async def replace(self, resource: Resource, *, expect: Resource, by: Author = None) -> bool:
        name, alias = self._puts(resource)
        alias["ConditionExpression"] = (
            "attribute_exists(pk)"  # provider names are in its key: it is there if they are the same
        )
        name["ConditionExpression"] = "body = :expected"
        name["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        writes = self._noted([{"Put": name}, {"Put": alias}], expect, resource, by)
        expected = encode(expect)
        while True:
            name["ExpressionAttributeValues"] = {":expected": {"S": expected}}
            reasons = await self._items.transact(writes)
            if not reasons:
                return True
            item = reasons[0].get("Item")
            if item is None or not is_other_spelling(_text(item), expected, of=expect):
                return False
            expected = _text(item)

    async def delete(self, kind: str, identifier: str, check: Check | None = None, *, by: Author = None) -> bool:
        if not is_storable(identifier):
            return False
        for pause in self._items.backoff.pauses():
            await asyncio.sleep(pause)
            body = await self._body(kind, identifier)
            if body is None:
                return False
            resource = decode(body)
            if check is not None:
                check(resource)
            if not await self._items.transact(self._noted(self._removal(resource, body), resource, None, by)):
                return True
        raise self._items.busy()

    async def close(self) -> None:
        await self._items.table.close()

    def _partition(self, kind: str) -> str:
        return self._prefix + _quote(kind)

    def _alias(self, kind: str, provider_id: str, provider_resource_id: str) -> str:
        return f"{self._partition(kind)}@{_quote(provider_id)}@{provider_resource_id}"

    def _keys(self, resource: Resource) -> tuple[str, str]:
        alias = self._alias(resource.kind, resource.provider_id, resource.provider_resource_id)
        return self._partition(resource.kind), alias

    def _puts(self, resource: Resource) -> tuple["PutTypeDef", "PutTypeDef"]:
        item = {"sk": {"S": resource.identifier}, "body": {"S": encode(resource)}}
        name, alias = self._keys(resource)
        return (
            {"TableName": self._items.table.name, "Item": {"pk": {"S": name}, **item}},
            {"TableName": self._items.table.name, "Item": {"pk": {"S": alias}, **item}},
        )

    def _noted(
        self,
        writes: "list[TransactWriteItemTypeDef]",
        before: Resource | None,
        after: Resource | None,
        by: Author,
    ) -> "list[TransactWriteItemTypeDef]":
        """The writes with that of their entry in the audit trail."""
        if not is_noted(before, after):
            return writes
        from core.stores.audit.dynamodb import note
        from core.stores.audit.entry import change_of

        return [*writes, note(self._items.table.name, self._prefix, change_of(before, after, by))]

    def _removal(self, resource: Resource, body: str) -> list["TransactWriteItemTypeDef"]:
        """Both items go, if the resource is still the one that was read: its alias is known from that alone."""
        name, alias = self._keys(resource)
        sort = {"S": resource.identifier}
        removal: TransactWriteItemTypeDef = {
            "Delete": {
                "TableName": self._items.table.name,
                "Key": {"pk": {"S": name}, "sk": sort},
                "ConditionExpression": "body = :read",
                "ExpressionAttributeValues": {":read": {"S": body}},
            }
        }
        return [removal, {"Delete": {"TableName": self._items.table.name, "Key": {"pk": {"S": alias}, "sk": sort}}}]

    async def _body(self, kind: str, identifier: str) -> str | None:
        item = await self._items.get({"pk": {"S": self._partition(kind)}, "sk": {"S": identifier}})
        return None if item is None else _text(item)

    async def _query(self, partition: str, *, after: str, limit: int) -> list[Resource]:
        start = {"pk": {"S": partition}, "sk": {"S": after}} if after else None
        items = await self._items.query("pk = :pk", {":pk": {"S": partition}}, limit=limit, start=start)
        return [decode(_text(item)) for item in items]


def _quote(part: str) -> str:
    return quote(part, safe="")


def _text(item: Item) -> str:
    text: str = item["body"]["S"]
    return text


def connect(table: str, *, region: str | None, endpoint_url: str | None, namespace: str | None) -> RegistryStore:
    """The registry in `table`, whose keys are the strings `pk` and `sk`."""
    return DynamoRegistry(Table(table, region=region, endpoint_url=endpoint_url), namespace=namespace or "")
