"""Limits that callers share, over SQLite and, in `make exact`, DynamoDB: who is charged to what, who is refused by whom, and what spreading keeps exact."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest

from core.config.limits import QuotaRows
from core.errors import PermissionDenied, QuotaExceeded
from core.frame.callers import Call, Charge, Principal, UsageRow
from core.frame.types import Wire
from core.quota.order import FindModel, Order
from core.quota.pools import client_of
from core.quota.quota import Quota
from core.quota.rules import Rules
from core.quota.windows import counters
from core.stores.counters.port import AccountKey, CounterStore, Counts
from tests.contract.counters import Counting
from tests.unit.quota.fakes import NOON, quota_config

CENT = 10_000_000
type Make = Callable[..., Quota]


class Cents:
    """Every call costs a cent at most."""

    async def most_nanos(self, model: str, body: Wire, tokens: int, requests: int = 1) -> int:
        del model, body, tokens, requests
        return CENT

    async def most_of_batch(self, model: str, provider_id: str, prompt: int, tokens: int, requests: int) -> int:
        raise NotImplementedError


@pytest.fixture(params=["sqlite", pytest.param("dynamodb", marks=pytest.mark.exact)])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[CounterStore]:
    async with Counting.fresh(request, request.param, tmp_path, "quota_table").opened() as store:
        yield store


SEEN = {"small": ("small", "p/m"), "mine": ("mine", "p/m"), "p/m": ("small", "p/m")}


async def find_model(call: Call, name: str) -> tuple[str, str] | None:
    """As the registry of a caller who sees one model, by three names."""
    del call
    return SEEN.get(name)


def quota_of(
    store: CounterStore, *rows: dict[str, Any], asks: bool = True, finds: FindModel | None = None, **settings: Any
) -> Quota:
    read = QuotaRows.model_validate({"limits": rows}).limits
    rules = Rules(read, store, (lambda _: Cents()) if asks else None, find_model=finds, clock=lambda: NOON)
    config = quota_config(**{"authenticated_max_requests": 10**6, **settings})
    return Quota(config, store, rules=rules, retention_days=400, clock=lambda: NOON)


def member(name: str, *teams: str, roles: tuple[str, ...] = ()) -> Call:
    return Call(Principal(name, {"teams": teams, "roles": roles}, "issuer"))


def order(model: str = "small") -> Order:
    return Order(model, Wire())


async def counted(store: CounterStore, client: str, shard: int | None = None) -> Counts:
    return (await store.read(AccountKey(client, shard), counters("day", NOON)[:1])).counts[0]


async def refusal(
    quota: Quota, call: Call, tokens: int | None = 10, requests: int = 1, model: str = "small"
) -> QuotaExceeded:
    with pytest.raises(QuotaExceeded) as refused:
        await quota.admit(call, tokens, requests, order(model))
    return refused.value


async def test_members_of_a_team_spend_together_and_others_do_not(store: CounterStore) -> None:
    quota = quota_of(store, {"per": "team", "name": "red", "window": "month", "money": "0.02"})
    tickets = [await quota.admit(member(name, "red"), 10, 1, order()) for name in ("ada", "bob")]
    said = await refusal(quota, member("eve", "blue", "red"))
    assert said.message == "Quota exceeded: the 0.02 USD a month of team red are used up until 2027-02-01T00:00:00Z"
    assert said.headers["x-llambda-limit"] == (
        "team red; month; money; limit=0.02; used=0.02; resets=2027-02-01T00:00:00Z"
    )
    await quota.admit(member("eve", "blue"), 10, 1, order())
    await quota.admit(member("eve", "red"), None)
    assert await counted(store, "user:issuer:eve") == Counts(2, 0, CENT * 0)
    await tickets[0].settle(Charge(5, rows=(UsageRow("small", prompt_tokens=5, nanos=CENT // 4),)))
    assert await counted(store, "team:red") == Counts(2, 5, CENT + CENT // 4)
    assert "0.0075 USD are left" in (await refusal(quota, member("eve", "red"))).message


async def test_a_refusal_by_the_team_takes_nothing_of_the_caller_and_the_other_way_round(store: CounterStore) -> None:
    rows = [
        {"per": "team", "name": "*", "window": "day", "requests": 1},
        {"per": "caller", "window": "hour", "requests": 1},
    ]
    quota = quota_of(store, *rows)
    await quota.admit(member("ada", "red"), 10, 1, order())
    await refusal(quota, member("bob", "red"))
    assert await counted(store, "user:issuer:bob") == Counts()
    assert "your 1 request an hour" in (await refusal(quota, member("ada", "blue"))).message
    assert await counted(store, "team:blue") == Counts()


async def test_a_caller_is_charged_to_each_of_its_teams_and_roles(store: CounterStore) -> None:
    rows = [{"per": per, "name": "*", "window": "day", "tokens": 1000} for per in ("team", "role")]
    quota = quota_of(store, *rows, asks=False)
    ticket = await quota.admit(member("ada", "red", "a:b", roles=("dev",)), 10, 1, order())
    await ticket.settle(Charge(7, further=2))
    for client in ("team:red", "team:a%3Ab", "role:dev"):
        assert await counted(store, client) == Counts(1, 9), client
    with pytest.raises(PermissionDenied, match="You are in 26 teams and roles that have limits"):
        await quota.admit(member("ada", *map(str, range(26))), 10, 1, order())


async def test_models_are_charged_by_their_own_rows_those_that_a_call_causes_too(store: CounterStore) -> None:
    rows = [{"per": "model", "name": name, "window": "day", "tokens": 100} for name in ("small", "guard")]
    quota = quota_of(store, *rows, asks=False)
    ticket = await quota.admit(member("ada"), 10, 1, order())
    used = (UsageRow("small", prompt_tokens=3), UsageRow("guard", prompt_tokens=50), UsageRow("other", prompt_tokens=7))
    await ticket.settle(Charge(3, further=57, rows=used))
    assert await counted(store, "model:small") == Counts(1, 3)
    assert await counted(store, "model:guard") == Counts(0, 50)
    assert (
        "the 100 tokens a day of model guard"
        in (await refusal(quota, member("ada"), tokens=101, model="guard")).message
    )
    await quota.admit(member("ada"), 101, 1, order("other"))


async def test_a_model_that_is_hidden_has_no_limit_to_take_from_or_to_tell_of(store: CounterStore) -> None:
    quota = quota_of(store, {"per": "model", "name": "*", "window": "day", "requests": 1}, finds=find_model)
    for _ in range(3):
        await quota.admit(member("ada"), 10, 1, order("secret"))
    assert await counted(store, "model:secret") == Counts()


@pytest.mark.parametrize(("name", "client"), [("p/*", "model:p%2Fm"), ("small", "model:small")])
async def test_no_other_name_of_a_model_is_a_way_around_its_limit(store: CounterStore, name: str, client: str) -> None:
    quota = quota_of(store, {"per": "model", "name": name, "window": "day", "tokens": 30}, asks=False, finds=find_model)
    ticket = await quota.admit(member("ada"), 10, 1, order("p/m"))
    await ticket.settle(Charge(25, rows=(UsageRow("p/m", prompt_tokens=25),)))
    assert await counted(store, client) == Counts(1, 25)
    await refusal(quota, member("bob"), 10, model="small")
    if name == "p/*":
        await refusal(quota, member("bob"), 10, model="mine")


async def test_what_was_used_elsewhere_is_charged_to_teams_too(store: CounterStore) -> None:
    quota = quota_of(store, {"per": "team", "name": "red", "window": "day", "tokens": 10})
    await quota.charge(member("ada", "red"), [UsageRow("small", prompt_tokens=30)])
    assert await counted(store, "team:red") == Counts(0, 30)


async def test_requests_are_exact_however_a_team_is_spread(store: CounterStore) -> None:
    quota = quota_of(store, {"per": "team", "name": "red", "window": "day", "requests": 30, "shards": 8})
    tries = [quota.admit(member(f"u{n}", "red"), 10, 1, order()) for n in range(64)]
    answers = await asyncio.gather(*tries, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, QuotaExceeded)]
    assert (len(answers) - len(refused), sum([(await counted(store, "team:red", s)).requests for s in range(8)])) == (
        30,
        30,
    )
    assert {error.headers["x-llambda-limit"].split(";")[4] for error in refused} == {" used=30"}


async def test_a_call_of_more_requests_than_a_shard_has_takes_from_all(store: CounterStore) -> None:
    quota = quota_of(
        store, {"per": "team", "name": "red", "window": "day", "requests": 30, "tokens": 50, "shards": 4}, asks=False
    )
    ticket = await quota.admit(member("ada", "red"), 10, 28, order())
    await ticket.settle(Charge(4))
    counts = [await counted(store, "team:red", shard) for shard in range(4)]
    assert sum(counts, Counts()) == Counts(28, 4)
    assert "of the 30 requests a day of team red" in (await refusal(quota, member("ada", "red"), requests=3)).message
    assert "this may take 31 requests" in (await refusal(quota, member("ada", "red"), requests=31)).message
    await quota.admit(member("bob", "red"), 10, 1, order())


async def test_tokens_pass_the_share_of_each_shard_by_one_reservation_at_most(store: CounterStore) -> None:
    quota = quota_of(store, {"per": "team", "name": "red", "window": "day", "tokens": 100, "shards": 4}, asks=False)
    answers = await asyncio.gather(
        *(quota.admit(member(f"u{n}", "red"), 20, 1, order()) for n in range(20)), return_exceptions=True
    )
    taken = [(await counted(store, "team:red", shard)).tokens for shard in range(4)]
    assert all(25 <= tokens < 25 + 20 for tokens in taken)
    assert sum(isinstance(answer, QuotaExceeded) for answer in answers) == 20 - sum(taken) // 20


async def test_a_shared_budget_warns_by_what_was_there_and_is_shown_to_its_members(store: CounterStore) -> None:
    quota = quota_of(store, {"per": "team", "name": "red", "window": "month", "money": "0.02", "soft": 0.5})
    ticket = await quota.admit(member("ada", "red"), 10, 1, order())
    assert ticket.headers["x-llambda-budget"] == '"team red month money 0.01 of 0.02 USD; resets=2027-02-01T00:00:00Z"'
    (shown,) = (await quota.remaining(member("bob", "red")))["limits"]
    assert (shown["per"], shown["name"], shown["used"], shown["remaining"]) == ("team", "red", 0.01, 0.01)
    assert (await quota.remaining(member("eve", "blue")))["limits"] == []


async def test_shadow_counts_what_is_shared_and_refuses_nobody(store: CounterStore) -> None:
    quota = quota_of(store, {"per": "team", "name": "red", "window": "day", "requests": 1}, shadow=True)
    for _ in range(3):
        await quota.admit(member("ada", "red"), 10, 1, order())
    assert (await counted(store, "team:red")).requests == 3


def test_no_name_is_another_accounts() -> None:
    names = ["red", "a:1", "a", "ä" * 300, "ä" * 301, "sha256", "*"]
    clients = [client_of(per, name) for per in ("team", "role", "model") for name in names]
    assert len(set(clients)) == len(clients)
    assert all(len(client) <= 400 and client.count(":") <= 2 for client in clients)
