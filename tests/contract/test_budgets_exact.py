"""Limits per minute and day and a budget in money, own and shared, under 64 callers in each of several processes: nothing is let through, nothing is counted twice."""

import asyncio
from collections import Counter as Tally
from collections.abc import Sequence
from pathlib import Path
import random
from typing import Any, Final

import pytest

from core.config.limits import QuotaRows
from core.errors import QuotaExceeded
from core.frame.callers import Call, Charge, Principal, UsageRow
from core.frame.types import Wire
from core.quota.order import Order
from core.quota.quota import Quota
from core.quota.rules import Rules
from core.quota.windows import counters
from core.stores.counters.port import AccountKey, Counts
from tests.contract.counters import CALLERS, LATER, Counting
from tests.contract.crew import Crew, together
from tests.unit.quota.fakes import quota_config

MOST: Final = 1_000_000  # nano-USD that a call may cost
PER_MINUTE: Final = 3  # requests of a caller
TEAM_REQUESTS: Final = 90  # a day
TEAM_NANOS: Final = 60_500_000
OWN_NANOS: Final = 2_500_000
ROWS: Final = (
    {"per": "caller", "window": "minute", "requests": PER_MINUTE},
    {"per": "caller", "window": "month", "money": "0.0025"},
    {"per": "team", "name": "red", "window": "day", "requests": TEAM_REQUESTS},
    {"per": "team", "name": "red", "window": "month", "money": "0.0605"},
    {"per": "model", "name": "*", "window": "hour", "tokens": 100_000},
)
PER: Final = ("caller", "team", "model")

type Seen = tuple[Tally[str], dict[str, int], int]
"""Admitted requests and spent nano-USD of each caller, and tokens."""


class Most:
    async def most_nanos(self, model: str, body: Wire, tokens: int, requests: int = 1) -> int:
        del model, body, tokens, requests
        return MOST

    async def most_of_batch(self, model: str, provider_id: str, prompt: int, tokens: int, requests: int) -> int:
        raise NotImplementedError


def quota_over(store: Any, per: Sequence[str] = PER) -> Quota:
    rows = [row for row in ROWS if row["per"] in per]
    rules = Rules(QuotaRows.model_validate({"limits": rows}).limits, store, lambda _: Most(), clock=lambda: LATER)
    return Quota(quota_config(authenticated_max_requests=10**6), store, rules=rules, clock=lambda: LATER)


def crowd(counting: Counting, seed: int, per: Sequence[str] = PER) -> Seen:
    """In a worker: each of 64 callers, who are callers of the other processes too, asks six times."""
    return asyncio.run(_crowd(counting, seed, per))


async def _crowd(counting: Counting, seed: int, per: Sequence[str]) -> Seen:
    requests, spent, tokens = Tally[str](), dict[str, int](), 0
    chance = random.Random(seed)  # noqa: S311 - what calls cost, not a secret

    async def ask(quota: Quota, name: str) -> None:
        nonlocal tokens
        call = Call(Principal(name, {"teams": ("red",)}, "issuer"))
        try:
            ticket = await quota.admit(call, 10, 1, Order("small", Wire()))
        except QuotaExceeded:
            return
        requests[name] += 1
        nanos, used = chance.randrange(MOST + 1), chance.randrange(10)
        await asyncio.sleep(0)
        for _ in range(2):  # a second settlement changes nothing
            await ticket.settle(Charge(used, rows=(UsageRow("small", prompt_tokens=used, nanos=nanos),)))
        spent[name] = spent.get(name, 0) + nanos
        tokens += used

    async with counting.opened() as store:
        quota = quota_over(store, per)
        await store.read(AccountKey("warm"))
        await together()
        for _ in range(6):
            await asyncio.gather(*(ask(quota, f"u{number}") for number in range(CALLERS)))
    return requests, spent, tokens


@pytest.fixture(params=["sqlite", pytest.param("dynamodb", marks=pytest.mark.exact)])
def counting(request: pytest.FixtureRequest, tmp_path: Path) -> Counting:
    return Counting.fresh(request, request.param, tmp_path, "quota_table")


async def test_own_and_shared_budgets_let_nothing_through_and_count_nothing_twice(
    counting: Counting, crew: Crew
) -> None:
    seen = await crew.work(crowd, *[(counting, seed) for seed in range(crew.size)])
    requests, spent, tokens = Tally[str](), Tally[str](), sum(share[2] for share in seen)
    for of_process, nanos, _ in seen:
        requests.update(of_process)
        spent.update(nanos)
    assert max(requests.values()) <= PER_MINUTE
    assert max(spent.values()) <= OWN_NANOS
    assert requests.total() <= TEAM_REQUESTS
    assert spent.total() <= TEAM_NANOS
    day = counters("day", LATER)
    async with counting.opened() as store:
        shared = await store.read(AccountKey("team:red"), day)
        assert shared.counts == (Counts(requests.total(), tokens, spent.total()),) * len(day)
        of_model = await store.read(AccountKey("model:small"), day[:1])
        assert of_model.counts == (Counts(requests.total(), tokens, spent.total()),)
        for name in requests:
            own = await store.read(AccountKey(f"user:issuer:{name}"), day[:1])
            assert (own.counts[0].requests, own.counts[0].nanos, own.unsettled) == (requests[name], spent[name], ())
        full = quota_over(store)
        left = {row["name"] or row["window"]: row for row in (await full.remaining(_member()))["limits"]}
        assert left["red"]["remaining"] >= 0
    assert requests.total() == TEAM_REQUESTS or TEAM_NANOS - spent.total() < MOST


@pytest.mark.exact
async def test_a_callers_own_limits_alone_are_as_exact(counting: Counting, crew: Crew) -> None:
    seen = await crew.work(crowd, *[(counting, seed, ("caller",)) for seed in range(crew.size)])
    requests, spent = Tally[str](), Tally[str]()
    for of_process, nanos, _ in seen:
        requests.update(of_process)
        spent.update(nanos)
    assert max(requests.values()) <= PER_MINUTE
    assert max(spent.values()) <= OWN_NANOS
    full, day, month = {}, counters("day", LATER)[:1], counters("month", LATER)[:1]
    async with counting.opened() as store:
        for number in range(CALLERS):
            name = f"u{number}"
            own = await store.read(AccountKey(f"user:issuer:{name}"), (*day, *month))
            assert [(count.requests, count.nanos) for count in own.counts] == [(requests[name], spent[name])] * 2
            assert own.unsettled == ()
            full[name] = requests[name] == PER_MINUTE or OWN_NANOS - spent[name] < MOST
    assert all(full.values()), full


def _member() -> Call:
    return Call(Principal("u0", {"teams": ("red",)}, "issuer"))
