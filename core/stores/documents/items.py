"""The items of documents in a DynamoDB table, and what their attributes mean: the layout is in `core.stores.documents.dynamodb`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote
from uuid import uuid4

from core.frame.types import JsonObject
from core.platform.dynamodb_items import Item, Key
from core.platform.dynamodb_table import namespace_prefix, number_value
from core.stores.documents.codec import MOST_CREATED, decode_owner, encode_owner, renew
from core.stores.documents.large_bodies import Pointer
from core.stores.documents.port import GRACE, Document, Place, Tally
from core.stores.documents.tallies import Addition

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.type_defs import TransactWriteItemTypeDef, UpdateTypeDef

HEAD: Final = {"S": "document"}
# Of printable ASCII all but `#`, which separates, and `%`, which escapes.
READABLE: Final = "".join(chr(code) for code in range(32, 127) if chr(code) not in "#%")
DIGITS: Final = len(str(MOST_CREATED))
BODY: Final = ("body", "blob", "size", "digest")
ENDS: Final = ("until", "expires")
FREE: Final = "attribute_not_exists(pk) OR #until <= :now"
AS_READ: Final = "birth = :birth AND revision = :read AND (attribute_not_exists(#until) OR #until > :now)"


class Layout:
    """The keys of a namespace."""

    def __init__(self, namespace: str) -> None:
        self._prefix = namespace_prefix(namespace)

    def document_key(self, collection: str, identifier: str) -> Key:
        return {"pk": {"S": f"{self._prefix}doc#{collection}#{quote(identifier, safe=READABLE)}"}, "sk": HEAD}

    def entry_key(self, collection: str, parent: str, created: int, identifier: str) -> Key:
        return {
            "pk": {"S": f"{self._prefix}docs#{collection}#{quote(parent, safe=READABLE)}"},
            "sk": {"S": f"{created:0{DIGITS}}#{identifier}"},
        }

    def tally_key(self, collection: str, identifier: str) -> Key:
        return self.document_key(collection, identifier) | {"sk": {"S": "tallies"}}

    def key_of(self, document: Document) -> Key:
        return self.document_key(document.collection, document.id)

    def entry_key_of(self, document: Document) -> Key:
        return self.entry_key(document.collection, document.parent, document.created, document.id)


@dataclass(frozen=True, slots=True)
class Writing:
    """One revision to write: `name` is its own, `values` have its body, or say which blob has it."""

    name: str
    pointer: Pointer | None
    values: dict[str, Any]

    @classmethod
    def of(cls, body: bytes | Pointer) -> "Writing":
        name = uuid4().hex
        values: dict[str, Any] = {"write": {"S": name}}
        if isinstance(body, bytes):
            return cls(name, None, values | {"body": {"B": body}})
        blob = {"blob": {"S": body.key}, "size": number_value(body.size), "digest": {"B": body.digest}}
        return cls(name, body, values | blob)

    @property
    def blob(self) -> str:
        """The key of its blob, or ""."""
        return "" if self.pointer is None else self.pointer.key

    def is_in(self, item: Item) -> bool:
        return "write" in item and item["write"]["S"] == self.name

    def is_what(self, item: Item | None) -> bool:
        """Whether this is what is there instead: it was carried out already, and no answer came."""
        return item is not None and self.is_in(item)

    def revise(self, document: Document, body: JsonObject, expires: int | None) -> Document:
        """`document` as this writing leaves it."""
        return renew(document, body, expires, _tag(birth_of(document), self.pointer))

    def begin(self, document: Document) -> Document:
        """`document` as this writing makes it."""
        return replace(document, revision=1, tag=_tag(self.name, self.pointer))


def birth_of(document: Document) -> str:
    return document.tag.partition(" ")[0]


def blob_of(document: Document) -> str:
    """The key of the blob that had its body when it was read, or ""."""
    return document.tag.partition(" ")[2]


def pointer_of(item: Item) -> Pointer | None:
    if "blob" not in item:
        return None
    return Pointer(item["blob"]["S"], int(item["size"]["N"]), bytes(item["digest"]["B"]))


def decode(collection: str, identifier: str, item: Item, body: JsonObject) -> Document:
    return Document(
        collection,
        identifier,
        body,
        item["parent"]["S"],
        decode_owner(item["owner"]["S"] if "owner" in item else None),
        int(item["created"]["N"]),
        int(item["revision"]["N"]),
        int(item["until"]["N"]) if "until" in item else None,
        _tag(item["birth"]["S"], pointer_of(item)),
    )


def first_values(document: Document, writing: Writing) -> dict[str, Any]:
    """The attributes of a new document, beside its key."""
    owner = encode_owner(document)
    return {
        **writing.values,
        **end_values(document.expires),
        "birth": {"S": writing.name},
        "revision": number_value(1),
        "created": number_value(document.created),
        "parent": {"S": document.parent},
        **({} if owner is None else {"owner": {"S": owner}}),
    }


def end_values(until: int | None) -> dict[str, Any]:
    """When it ends, and when the table may forget it."""
    return {} if until is None else {"until": number_value(until), "expires": number_value(until + GRACE)}


def tombstone_values(now: int) -> dict[str, Any]:
    return {"until": number_value(0), "expires": number_value(now + GRACE)}


def stored_size(item: Item | None) -> int:
    """Bytes of its body as it is kept: as JSON it has no fewer."""
    pointer = None if item is None else pointer_of(item)
    if pointer is not None:
        return pointer.size
    return len(item["body"]["B"]) if item is not None and "body" in item else 0


def is_alive(item: Item, now: int) -> bool:
    return "until" not in item or int(item["until"]["N"]) > now


def is_remembered(item: Item, now: int) -> bool:
    """Whether pages may go on after it; the TTL sweeps later than it says."""
    return "expires" not in item or int(item["expires"]["N"]) > now


def place_of(entry: Item) -> Place:
    created, _, identifier = cast("str", entry["sk"]["S"]).partition("#")
    return int(created), identifier


def _tag(birth: str, pointer: Pointer | None) -> str:
    return birth if pointer is None else f"{birth} {pointer.key}"


class Writes:
    """Those of one namespace of `table`; `now` is in Unix seconds."""

    def __init__(self, table: str, keys: Layout) -> None:
        self._table = table
        self._keys = keys

    def creation(self, document: Document, writing: Writing, now: int) -> list["TransactWriteItemTypeDef"]:
        """The document, if its id is free, and its entry."""
        put: Any = {
            "TableName": self._table,
            "Item": self._keys.key_of(document) | first_values(document, writing),
            "ConditionExpression": FREE,
            "ExpressionAttributeNames": {"#until": "until"},
            "ExpressionAttributeValues": {":now": number_value(now)},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        return [{"Put": put}, self.put_entry(document)]

    def removal(self, document: Document, now: int) -> list["TransactWriteItemTypeDef"]:
        """The document, if it is as it was read, and its entry."""
        values, clear = tombstone_values(now), (*BODY, "owner", "write")
        entry: Any = {"TableName": self._table, "Key": self._keys.entry_key_of(document)}
        return [{"Update": self.change(document, values, clear=clear, now=now)}, {"Delete": entry}]

    def put_entry(self, document: Document) -> "TransactWriteItemTypeDef":
        item = self._keys.entry_key_of(document) | end_values(document.expires)
        return {"Put": {"TableName": self._table, "Item": item}}

    def change(
        self, document: Document, values: dict[str, Any], *, clear: tuple[str, ...], now: int
    ) -> "UpdateTypeDef":
        """Set `values` and remove the others of `clear`, if the document is as it was read."""
        names = [*values, *(name for name in clear if name not in values)]
        removals = ", ".join(f"#{name}" for name in names[len(values) :])
        return {
            "TableName": self._table,
            "Key": self._keys.key_of(document),
            "UpdateExpression": f"SET {', '.join(f'#{name} = :{name}' for name in values)} REMOVE {removals}",
            "ConditionExpression": AS_READ,
            "ExpressionAttributeNames": {"#until": "until"} | {f"#{name}": name for name in names},
            "ExpressionAttributeValues": {
                ":birth": {"S": birth_of(document)},
                ":read": number_value(document.revision),
                ":now": number_value(now),
                **{f":{name}": value for name, value in values.items()},
            },
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }

    def additions(self, tally: Sequence[Tally]) -> list[Addition]:
        return [Addition.of(one, self._table, self._keys.tally_key(one.collection, one.id)) for one in tally]
