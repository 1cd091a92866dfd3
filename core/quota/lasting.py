"""Reservations that outlive the process that made them, as JSON: of a batch at a provider, which another worker may hear the end of."""

from collections.abc import Iterable
from typing import Any

from core.frame.types import JsonObject
from core.stores.counters.port import AccountKey, Counter, Counts, Reservation, Scope, Take, Window


def dump(reservation: Reservation, reserved: Counts) -> JsonObject:
    """`reserved` are its tokens and its money; bounds are not needed any more."""
    scopes = [
        {
            **_dump(scope.account, scope.take.counters),
            "tokens": scope.take.amount.tokens,
            "nanos": scope.take.amount.nanos,
        }
        for scope in reservation.scopes
    ]
    own = {**_dump(reservation.account, reservation.counters), "tokens": reserved.tokens, "nanos": reserved.nanos}
    return {**own, "name": reservation.name, "number": reservation.number, "scopes": scopes}


def load(handle: JsonObject) -> tuple[Reservation, Counts]:
    """The reservation, and what it has of tokens and money; those of its scopes are their takes' amounts."""
    scopes = tuple(Scope(_account(scope), Take(_counters(scope), _amount(scope))) for scope in handle["scopes"])
    reservation = Reservation(_account(handle), _counters(handle), handle["name"], handle["number"], scopes)
    return reservation, _amount(handle)


def _dump(account: AccountKey, counters: Iterable[Counter]) -> JsonObject:
    windows = [[counter.period, counter.window.name, counter.window.start, counter.window.end] for counter in counters]
    return {"client": account.client, "shard": account.shard, "windows": windows}


def _account(fields: JsonObject) -> AccountKey:
    return AccountKey(fields["client"], fields["shard"])


def _counters(fields: JsonObject) -> tuple[Counter, ...]:
    windows: list[Any] = fields["windows"]
    return tuple(Counter(period, Window(name, start, end)) for period, name, start, end in windows)


def _amount(fields: JsonObject) -> Counts:
    return Counts(0, fields["tokens"], fields["nanos"])
