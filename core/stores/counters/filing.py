"""Filing: rows of days gone by leave an account's item, for items that nobody changes any more and that are found by their day.

    part   pk = [namespace#]part:{client}[:shard]:{number}   bucket = [namespace#]{day}#{0..15}      p   expires
    dead   pk as that of a part                              bucket = [namespace#]dead#{0..15}       p   expires

`p` is JSON: the client, then lists: of a row its model, provider, API, operation, teams and numbers, as `UsageRow` has them; of
what a call has held for a day, which died then, Unix milliseconds, requests, tokens and nano-units. The parts of an account are
numbered, from `f0` up to, not including, `fs` of its item. One transaction takes the rows and makes the parts, if nothing was
added to these rows meanwhile: so that the item and the parts before its `fs` are all that was counted, whenever they are read.
"""

from dataclasses import dataclass
import json
import logging
from typing import TYPE_CHECKING, Any, Final

from core.stores.counters import items
from core.stores.counters.directory import bucket_of
from core.stores.counters.expressions import Fields, Request
from core.stores.counters.items import BUCKET, EXPIRES, FILED_AT, FIRST, LATELY, NEXT, Item, dead_holds
from core.stores.counters.marks import HOLDS
from core.stores.counters.port import AccountKey, Use
from core.stores.counters.rows import CHANGING, Entry, rows_in

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

    from core.platform.dynamodb_table import Table

log = logging.getLogger(__name__)

PREFIX: Final = "part:"
DEAD: Final = "dead"
MOST_FILED: Final = 24  # rows, and holds, of one transaction: its expressions may have 4 KB, itself 100 items
ROUNDS: Final = 4
LAG: Final = 60_000  # milliseconds that an index may be late
DAY_MILLISECONDS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Filing:
    """Of what is due in an account at `now`, in Unix milliseconds.

    `use` is what was counted just now: its rows of today stay, and its retention is that of all.
    """

    table: "Table"
    prefix: str
    account: AccountKey
    now: int
    use: Use | None = None

    async def run(self, client: "DynamoDBClient", *, whole: bool = False) -> bool:
        """Whether all that is due, or all there is, was filed; what was lost to others is left to another time."""
        key = items.key_of(self.prefix, self.account)
        for _ in range(ROUNDS):
            answer = await client.get_item(TableName=self.table.name, Key=key, ConsistentRead=True)
            item: Item = answer.get("Item", {})
            entries, holds = self._choose(item, whole=whole), dead_holds(item, self.now)[:MOST_FILED]
            if not entries and not holds:
                return True
            number = items.number_in(item, NEXT) or self.now
            parts = self._parts(item, entries, holds, number)
            clearing = _clearing(item, entries, holds, (number, number + len(parts)), self.now)
            writes: Any = [{"Update": {"TableName": self.table.name, "Key": key, **clearing}}, *parts]
            try:
                await client.transact_write_items(TransactItems=writes)
            except client.exceptions.TransactionCanceledException:
                return False
            if holds:  # of one process: the transaction takes them out
                log.warning("usage: calls were never settled: %d, which stay charged as reserved", len(holds))
        return False

    def _choose(self, item: Item, *, whole: bool) -> list[Entry]:
        """Rows of days gone by first; of today where the item has too many."""
        rows, today = rows_in(item), self.now // DAY_MILLISECONDS
        if not whole:
            current = {row.key for row in (() if self.use is None else self.use.rows)}
            is_large = len(rows) > items.MOST_ROWS
            rows = [entry for entry in rows if entry.day < today or (is_large and entry.row.key not in current)]
        return rows[:MOST_FILED]

    def _parts(self, item: Item, entries: list[Entry], holds: list[str], number: int) -> list[Fields]:
        expires = items.number_in(item, EXPIRES)
        contents: list[tuple[int | str, int, list[Any]]] = [
            (day, self._expires(day) or expires, rows) for day, rows in rows_by_day(entries).items()
        ]
        if holds:
            texts = [[int(part) for part in item[name]["S"].split(":")] for name in holds]
            contents.append((DEAD, expires, texts))
        client = self.account.client
        return [
            {
                "Update": {
                    "TableName": self.table.name,
                    **part_update(
                        part_key(self.prefix, self.account.name, number + position),
                        bucket_name(self.prefix, day, client),
                        until,
                        [client, *content],
                    ),
                }
            }
            for position, (day, until, content) in enumerate(contents)
        ]

    def _expires(self, day: int) -> int:
        """As many days after its own as the use of today; 0 where that is not known."""
        use = self.use
        return 0 if use is None or not use.expires else use.expires - (use.day - day) * DAY_MILLISECONDS // 1000


def part_key(prefix: str, name: str, number: int) -> Fields:
    """`name` is that of an account."""
    return {"pk": {"S": f"{prefix}{PREFIX}{name}:{number}"}}


def part_update(key: Fields, bucket: str, expires: int, content: list[Any]) -> Fields:
    """The fields of an UpdateItem that makes a part."""
    names = {"#b": BUCKET, "#e": EXPIRES, "#p": "p"}
    values = {":b": {"S": bucket}, ":e": {"N": str(expires)}, ":p": {"S": json.dumps(content, separators=(",", ":"))}}
    return {
        "Key": key,
        "UpdateExpression": "SET #b = :b, #e = :e, #p = :p",
        "ConditionExpression": "attribute_not_exists(pk)",
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
    }


def rows_by_day(entries: list[Entry]) -> dict[int, list[list[Any]]]:
    """As `p` has them."""
    days: dict[int, list[list[Any]]] = {}
    for entry in entries:
        row = entry.row
        numbers = (row.requests, row.answers, row.prompt_tokens, row.cached_tokens, row.cache_write_tokens)
        others = (row.completion_tokens, row.reasoning_tokens, row.estimated_tokens, row.nanos, row.unpriced)
        days.setdefault(entry.day, []).append([*row.key, entry.teams, *numbers, *others])
    return days


def bucket_name(prefix: str, day: int | str, client: str) -> str:
    return f"{prefix}{day}#{bucket_of(client)}"


def _clearing(item: Item, entries: list[Entry], holds: list[str], numbers: tuple[int, int], now: int) -> Fields:
    request, (number, following) = Request(), numbers
    _require_same(request, item, NEXT)
    for entry in entries:
        for letter in CHANGING:
            _require_same(request, item, entry.attribute(letter))
        for name in entry.attributes:
            request.remove(name)
    for name in holds:
        _require_same(request, item, name)
        request.remove(name)
    request.set(NEXT, following)
    if FIRST not in item:
        request.set(FIRST, number)
    if items.number_in(item, FILED_AT) < now - LAG:
        request.set(LATELY, number)
    request.set(FILED_AT, now)
    return request.fields()


def _require_same(request: Request, item: Item, name: str) -> None:
    alias = request.name(name)
    if name not in item:
        request.require(f"attribute_not_exists({alias})")
    else:
        value = item[name]["S"] if name.startswith(HOLDS) else int(item[name]["N"])
        request.require(f"{alias} = {request.value(value)}")
