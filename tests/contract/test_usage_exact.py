"""4 processes with 64 callers each: the usage is what the models gave, to the token and the nano-USD."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from core.stores.usage.port import UsageQuery
from tests.contract.counters import CALLERS, LATER, USAGE_KINDS, Counting
from tests.contract.crew import hiring
from tests.contract.usage_crowds import CALLS, Log, spend

DAY = LATER // 86_400
PROCESSES = 4
BOUNDLESS = {"authenticated_max_requests": 1_000_000, "max_tokens": 1_000_000_000}

pytestmark = pytest.mark.exact


@pytest.fixture(params=USAGE_KINDS)
def counting(request: pytest.FixtureRequest, tmp_path: Path) -> Counting:
    return Counting.fresh(request, request.param, tmp_path, "quota_table")


async def log_of(counting: Counting) -> Log:
    """What the usage says, in the words of the models' log."""
    log = Counter[tuple[str, str, str]]()
    async with counting.reading() as usage:
        for group in await usage.sum(UsageQuery(DAY, DAY, ("client", "model"))):
            client, model = group.key
            row, name = group.row, client.rpartition(":")[2]
            log[name, model, "requests"] += row.requests
            log[name, model, "answers"] += row.answers
            log[name, model, "prompt"] += row.prompt_tokens
            log[name, model, "completion"] += row.completion_tokens
            log[name, model, "nanos"] += row.nanos
    return log


@pytest.mark.parametrize("settings", [{}, {"shards": 5}, {"shadow": True}])
async def test_the_usage_of_settled_calls_is_what_their_models_gave(
    counting: Counting, settings: dict[str, Any]
) -> None:
    with hiring(PROCESSES) as crew:
        logs = await crew.work(spend, *((counting, BOUNDLESS | settings, seed) for seed in range(PROCESSES)))
    expected = sum(logs, Counter[tuple[str, str, str]]())
    assert +await log_of(counting) == +expected
    assert sum(count for (_, _, what), count in expected.items() if what == "requests") == PROCESSES * CALLERS * CALLS
    async with counting.reading() as usage:
        assert await usage.unsettled() == []
