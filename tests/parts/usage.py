"""Usage in tests: rows counted as calls do it."""

from datetime import UTC, date, datetime
from typing import Any, Final

from core.frame.callers import UsageRow
from core.stores.counters.port import AccountKey, CounterStore, Counts, Take, Use

TODAY: Final = datetime.now(UTC).date()
EXPIRES: Final = 4_000_000_000  # in the year 2096


def day_number(day: date) -> int:
    return (day - date(1970, 1, 1)).days


def start_of(day: date) -> int:
    """In Unix seconds."""
    return day_number(day) * 86_400


def chat(model: str = "small", **more: Any) -> UsageRow:
    """One chat: 10 tokens of a prompt and 5 of an answer for 0.00002 USD, unless it is said otherwise."""
    numbers = {"requests": 1, "answers": 1, "prompt_tokens": 10, "completion_tokens": 5, "nanos": 20_000}
    return UsageRow(model, "local", **{"api": "inference", "operation": "chat_completion"} | numbers | more)


async def count(store: CounterStore, client: str, *rows: UsageRow, day: date = TODAY, teams: str = "") -> None:
    """As the usage of a client, of which nothing is limited."""
    use = Use(day_number(day), rows, teams, EXPIRES)
    assert (await store.take(AccountKey(client), Take((), Counts(), use=use))).admitted
