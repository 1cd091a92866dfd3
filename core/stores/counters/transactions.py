"""Accounts that many callers share, as a team's: taken and settled in one transaction with a caller's own.

So is what has a name, whoever takes it: `pk` = [namespace#]once:{client}:{name}, with its `expires`, is made with what is counted.

The mark and what is held are of the caller's own account alone (see `marks`): where its condition fails nothing is counted, so that
what was carried out once is not again, in no account. A transaction costs twice what its writes would cost by themselves. Of two that
meet at an item one is refused, and waits at random before it tries again, within its caller's patience.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from core.errors import QuotaUnavailable
from core.stores.counters import directory, expressions, items
from core.stores.counters.directory import BACKOFF, CONFLICT
from core.stores.counters.expressions import Fields
from core.stores.counters.items import Item
from core.stores.counters.marks import Mark
from core.stores.counters.port import AccountKey, Counts, Reservation, Scope, Take, Use
from core.stores.counters.rows import meets_others

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

    from core.platform.dynamodb_table import Table

FAILED: Final = "ConditionalCheckFailed"
TRANSIENT: Final = frozenset({CONFLICT, "ThrottlingError", "ProvisionedThroughputExceeded"})
TRIES: Final = 8  # of an account that is made, or that others change meanwhile

type Write = dict[str, Any]
type Failures = dict[int, Item]
"""The items of the writes whose conditions did not hold, by their places; empty when all were carried out."""


@dataclass(frozen=True, slots=True)
class Place:
    """The table of the accounts, over a client that somebody else limits in time."""

    client: "DynamoDBClient"
    table: "Table"
    prefix: str

    def update(self, account: AccountKey, fields: Fields) -> Write:
        at = {"TableName": self.table.name, "Key": items.key_of(self.prefix, account)}
        return {"Update": at | fields | {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}}

    async def get(self, account: AccountKey) -> Item:
        """As it is now; empty where there is none."""
        key = items.key_of(self.prefix, account)
        answer = await self.client.get_item(TableName=self.table.name, Key=key, ConsistentRead=True)
        return answer.get("Item", {})

    async def transact(self, writes: list[Write]) -> Failures:
        """All of them, or none. The SDK's own repetitions have one token, by which DynamoDB knows them for ten minutes.

        Raises:
            QuotaUnavailable: it was refused for another reason than a condition.
        """
        requests: Any = writes
        for pause in BACKOFF.pauses():
            await asyncio.sleep(pause)
            try:
                await self.client.transact_write_items(TransactItems=requests)
            except self.client.exceptions.TransactionCanceledException as failure:
                answer: dict[str, Any] = dict(failure.response)
                reasons: list[dict[str, Any]] = answer["CancellationReasons"]
                codes = {str(reason.get("Code")) for reason in reasons}
                if FAILED in codes:
                    return {n: reason.get("Item", {}) for n, reason in enumerate(reasons) if reason["Code"] == FAILED}
                if not codes & TRANSIENT:
                    problem = f"refused a write: {', '.join(sorted(codes - {'None'}))}"
                    raise QuotaUnavailable(self.table.unavailable(problem).message) from failure
            else:
                break
        return {}

    def busy(self) -> QuotaUnavailable:
        return QuotaUnavailable(self.table.unavailable("is busy: other writes were in the way of every try").message)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is known of the items where it was not counted; of what was, nothing but what a new account has."""

    admitted: bool
    own: Item
    scopes: tuple[Item, ...] = ()


async def take(
    place: Place,
    account: AccountKey,
    take: Take,
    scopes: Sequence[Scope],
    mark: Mark,
    older: Callable[[], Awaitable[Counts]],
) -> Outcome:
    """Count in all, or in none. `older` tells what the first window had before there were accounts."""
    names = _names(place, account, take)
    shares = [place.update(scope.account, expressions.sharing(scope.take)) for scope in scopes]
    own = [place.update(account, expressions.taking(take, mark))]
    before = Counts()
    for _ in range(TRIES):
        failures = await _transact(place, names, [*shares, *own])
        if not failures:
            is_made = failures is not None and len(own) > 1
            return Outcome(admitted=True, own=items.item_with(take, before) if is_made else {})
        item = failures.get(len(shares))
        if item is None or any(number < len(shares) for number in failures):
            return await _refuse(place, account, scopes, mark, failures)
        if mark.is_in(item):
            return Outcome(admitted=True, own=item)
        if item:
            if len(own) == 1 and not _is_passable(take, item):  # else another has made it meanwhile
                return await _refuse(place, account, scopes, mark, failures)
            own, before = [place.update(account, expressions.taking(take, mark, item))], Counts()
            continue
        before = await older()
        if take.counters and not take.counters[0].below.has_room(before):
            looks = await asyncio.gather(*(place.get(scope.account) for scope in scopes))
            return Outcome(admitted=False, own=items.item_of(take.counters[0], before), scopes=tuple(looks))
        creating = expressions.creating(take, mark, before)
        own = directory.creation(place.table, place.prefix, account, creating, (mark.number // 1000, take.expires))
    raise place.busy()


async def settle(
    place: Place, reservation: Reservation, correction: Counts, use: Use | None, scopes: Sequence[Counts]
) -> None:
    """Correct all of them, or none; of those that are not there any more, the rest."""
    mark = Mark(reservation.name, reservation.number)
    shares = [
        place.update(scope.account, expressions.correcting(scope.take.counters, of_scope))
        for scope, of_scope in zip(reservation.scopes, scopes, strict=False)
        if of_scope != Counts()
    ]
    current: Item = {}
    for _ in range(TRIES):
        settling = expressions.settling(reservation.counters, mark, correction, use, current)
        failures = await place.transact([*shares, place.update(reservation.account, settling)])
        current = failures.get(len(shares), current)
        if not failures or (len(shares) in failures and not mark.holds_in(current)):
            return
        shares = [share for number, share in enumerate(shares) if number not in failures]
    raise place.busy()


def _names(place: Place, account: AccountKey, take: Take) -> list[Write]:
    """What says that it was counted, where nothing does: an item for what has a name."""
    if not take.once:
        return []
    fields = {
        "UpdateExpression": "SET #e = :e",
        "ConditionExpression": "attribute_not_exists(pk)",
        "ExpressionAttributeNames": {"#e": items.EXPIRES},
        "ExpressionAttributeValues": {":e": {"N": str(take.expires)}},
    }
    key = {"pk": {"S": f"{place.prefix}{items.ONCE}{account.client}:{take.once}"}}
    return [{"Update": {"TableName": place.table.name, "Key": key, **fields}}]


async def _transact(place: Place, names: list[Write], writes: list[Write]) -> Failures | None:
    """The failures of `writes`; None where the name of all was there: it was counted before."""
    failures = await place.transact([*names, *writes])
    if names and 0 in failures:
        return None
    return {number - len(names): item for number, item in failures.items()}


async def _refuse(
    place: Place, account: AccountKey, scopes: Sequence[Scope], mark: Mark, failures: Failures
) -> Outcome:
    """The items are those that a condition failed at, and the others as they are now."""
    accounts = [*(scope.account for scope in scopes), account]

    async def look(number: int) -> Item:
        return failures[number] if number in failures else await place.get(accounts[number])

    *others, own = await asyncio.gather(*map(look, range(len(accounts))))
    return Outcome(mark.is_in(own), own, tuple(others))


def _is_passable(take: Take, item: Item) -> bool:
    """Whether what kept it from being counted is no limit: the item would expire too early, or has rows of the same hash."""
    return (items.is_short(take, item) or meets_others(take.use, item)) and items.has_room(take, item)
