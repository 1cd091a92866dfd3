"""Tallies as an item of a DynamoDB table: each number is an attribute `n_NAME`, which a transaction adds to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from core.platform.dynamodb_items import CONDITION_FAILED, Item, Key
from core.platform.dynamodb_table import number_value
from core.stores.documents.port import Tally, TallyExceeded

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.type_defs import TransactWriteItemTypeDef

PREFIX: Final = "n_"


@dataclass(frozen=True, slots=True)
class Addition:
    """`tally`, as one write of a transaction."""

    tally: Tally
    write: "TransactWriteItemTypeDef"

    @classmethod
    def of(cls, tally: Tally, table: str, key: Key) -> "Addition":
        changes = list(tally.changes.items())
        limits = {
            place: tally.most[name] - change
            for place, (name, change) in enumerate(changes)
            if change > 0 and name in tally.most
        }
        conditions = [_condition(place, limit) for place, limit in limits.items()]
        values = {f":c{place}": number_value(change) for place, (_, change) in enumerate(changes)}
        values |= {f":m{place}": number_value(limit) for place, limit in limits.items()}
        update: dict[str, Any] = {
            "TableName": table,
            "Key": key,
            "UpdateExpression": "ADD " + ", ".join(f"#n{place} :c{place}" for place in range(len(changes))),
            "ExpressionAttributeNames": {f"#n{place}": PREFIX + name for place, (name, _) in enumerate(changes)},
            "ExpressionAttributeValues": values,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        if conditions:
            update["ConditionExpression"] = " AND ".join(conditions)
        return cls(tally, {"Update": update})  # type: ignore[typeddict-item]

    def excess(self, reason: Mapping[str, Any]) -> TallyExceeded | None:
        """The failure to raise, of the reason why this write was not made; None where it was none."""
        if reason.get("Code") != CONDITION_FAILED:
            return None
        numbers = read_tallies(reason.get("Item"))
        name = next(name for name, most in self.tally.most.items() if numbers.get(name, 0) + self._change(name) > most)
        return TallyExceeded(self.tally, name, numbers.get(name, 0))

    def _change(self, name: str) -> int:
        return self.tally.changes.get(name, 0)


def read_tallies(item: Item | None) -> dict[str, int]:
    """The numbers of an item."""
    values = item or {}
    return {name.removeprefix(PREFIX): int(value["N"]) for name, value in values.items() if name.startswith(PREFIX)}


def _condition(place: int, limit: int) -> str:
    """An item without the number has 0 of it."""
    return f"#n{place} <= :m{place}" if limit < 0 else f"(attribute_not_exists(#n{place}) OR #n{place} <= :m{place})"
