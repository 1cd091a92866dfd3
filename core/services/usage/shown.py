"""Usage as it goes over the wire: entries from rows, and CSV from entries."""

from collections.abc import Iterable, Mapping, Sequence
import csv
import io
from typing import Any, Final, cast

from core.apis.answers.spending import UnsettledUsage, UsageEntry
from core.frame.callers import UsageRow
from core.frame.observed import usd_of, usd_text
from core.services.usage.callers import caller_of
from core.services.usage.ranges import day_text
from core.services.usage.reading import Group, GroupKey
from core.stores.counters.port import Counts
from core.stores.usage.port import Unsettled

type GroupFields = dict[str, str | None]
"""Those of an entry that say which group it is of."""

MOST_CALLS: Final = 100  # that are shown one by one
NUMBERS: Final = (
    "requests", "answers", "prompt_tokens", "cached_tokens", "cache_write_tokens", "completion_tokens", "reasoning_tokens",
    "estimated_tokens", "cost", "cost_nanos", "unpriced_answers",
)  # fmt: skip
COLUMNS: Final = {"key": ("key", "key_name"), "user": ("user", "vouched_by")}
"""Of groups that have more than one."""
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet carries out (https://owasp.org/www-community/attacks/CSV_Injection)."""


def show_row(row: UsageRow, group: GroupFields | None = None) -> UsageEntry:
    """An entry of a `group`; the cost of answers of which none has a price is not known, and not 0."""
    nanos = cost_of(row)
    entry: UsageEntry = {
        "requests": row.requests,
        "answers": row.answers,
        "prompt_tokens": row.prompt_tokens,
        "cached_tokens": row.cached_tokens,
        "cache_write_tokens": row.cache_write_tokens,
        "completion_tokens": row.completion_tokens,
        "reasoning_tokens": row.reasoning_tokens,
        "estimated_tokens": row.estimated_tokens,
        "cost": None if nanos is None else usd_of(nanos),
        "cost_nanos": nanos,
        "unpriced_answers": row.unpriced,
    }
    return entry if group is None else cast("UsageEntry", {**group, **entry})


def cost_of(row: UsageRow) -> int | None:
    """In nano-USD; None where no answer's price is known."""
    return None if row.unpriced and row.unpriced >= row.answers else row.nanos


def show_group(by: Sequence[Group], key: GroupKey, names: Mapping[str, str]) -> GroupFields:
    """The fields of a group; `names` are those of keys, by their ids."""
    fields: GroupFields = {}
    for group, text in zip(by, key, strict=True):
        match group:
            case "day":
                fields["day"] = day_text(int(text))
            case "key":
                fields |= {"key": text or None, "key_name": names.get(text)}
            case "user":
                fields["user"], fields["vouched_by"] = caller_of(text)
            case "api" | "operation":
                fields[group] = text
            case _:
                fields[group] = text or None
    return fields


def show_unsettled(rows: Sequence[Unsettled]) -> UnsettledUsage:
    """All of them in sum, and the first hundred one by one."""
    total = sum((row.held.amount for row in rows), Counts())
    return {
        "requests": total.requests,
        "tokens": total.tokens,
        "cost": usd_of(total.nanos),
        "cost_nanos": total.nanos,
        "calls": [
            {
                "since": int(row.held.since),
                "user": caller_of(row.client).id,
                "vouched_by": caller_of(row.client).vouched_by,
                "requests": row.held.amount.requests,
                "tokens": row.held.amount.tokens,
                "cost": usd_of(row.held.amount.nanos),
                "cost_nanos": row.held.amount.nanos,
            }
            for row in rows[:MOST_CALLS]
        ],
    }


def write_csv(by: Sequence[str], entries: Iterable[Mapping[str, Any]]) -> str:
    """A line of titles, and one for each entry (RFC 4180); what is not known is an empty cell."""
    columns = [column for group in by for column in COLUMNS.get(group, (group,))]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*columns, *NUMBERS])
    for entry in entries:
        nanos = entry["cost_nanos"]
        exact = {**entry, "cost": None if nanos is None else usd_text(nanos)}
        writer.writerow([*(_cell(exact[column]) for column in columns), *(exact[name] for name in NUMBERS)])
    return text.getvalue()


def _cell(value: str | None) -> str | None:
    """What others named, as a text: no spreadsheet carries it out."""
    return f"'{value}" if value is not None and value.startswith(FORMULA) else value
