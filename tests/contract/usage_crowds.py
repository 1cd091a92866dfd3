"""In processes of their own: many calls of some callers at once, whose models answer with what a log has of them, too."""

import asyncio
from collections import Counter
import random
from typing import Any, Final

from core.frame.callers import Call, Principal, UsageRow
from core.frame.observed import Observed
from core.quota.quota import Quota
from core.stores.counters.port import AccountKey
from tests.contract.counters import CALLERS, LATER, Counting
from tests.contract.crew import together
from tests.unit.quota.fakes import quota_config

CLIENTS: Final = ("ada", "bob", "cyd")
MODELS: Final = ("small", "large", "guard")
CALLS: Final = 3  # of each caller

type Log = Counter[tuple[str, str, str]]
"""By caller, model, and what is counted."""


def spend(counting: Counting, settings: dict[str, Any], seed: int) -> Log:
    """When all workers are ready, 64 callers at once, each with some calls in turn; what the models gave."""
    return asyncio.run(_spend(counting, settings, seed))


async def _spend(counting: Counting, settings: dict[str, Any], seed: int) -> Log:
    log, chance = Counter[tuple[str, str, str]](), random.Random(seed)  # noqa: S311 - no secret
    async with counting.opened() as store:
        quota = Quota(quota_config(**settings), store, retention_days=400, clock=lambda: LATER)
        await store.read(AccountKey("warm"))
        await together()
        await asyncio.gather(*(_chat(quota, chance, log) for _ in range(CALLERS)))
    return log


async def _chat(quota: Quota, chance: random.Random, log: Log) -> None:
    for _ in range(CALLS):
        name = chance.choice(CLIENTS)
        call = new_call(name)
        ticket = await quota.admit(call, chance.choice((0, 50)))
        models = chance.sample(MODELS, chance.randint(0, 3))
        for place, model in enumerate(models):
            await asyncio.sleep(0)
            answer(call.cause() if place else call, model, chance, log, name)
        log[name, models[0] if models else "", "requests"] += 1
        charge = call.end(failed=not models)
        await asyncio.gather(ticket.settle(charge), ticket.settle(charge))


def new_call(name: str) -> Call:
    return Call(Principal(name, {}, "issuer"), observed=Observed("inference", "chat_completion"))


def answer(call: Call, model: str, chance: random.Random, log: Log, name: str) -> None:
    prompt, completion, nanos = (chance.randint(0, 1000) for _ in range(3))
    call.add_tokens(prompt + completion)
    row = UsageRow(model, "vllm", "inference", "chat_completion", answers=1, prompt_tokens=prompt)
    row.completion_tokens = completion
    call.note_use(row, nanos * 1000)
    amounts = {"answers": 1, "prompt": prompt, "completion": completion, "nanos": nanos}
    for what, amount in amounts.items():
        log[name, model, what] += amount
