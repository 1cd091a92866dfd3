"""A line for what a call of a job has used, of each model: JSON that CloudWatch reads the spend and the tokens of jobs from, as of requests."""

from datetime import UTC, datetime
import sys
from typing import Any, Final

from core.frame.callers import Call, UsageRow
from core.frame.observed import usd_of
from core.frame.tracing import REQUEST_ID
from core.runtime.log_lines import NOWHERE, line_of, timestamp_of
from core.runtime.spend_groups import SpendGroups
from core.services.jobs.told import Tell

LOGGER: Final = "core.jobs"


def to_cloudwatch(function: str) -> Tell:
    """Lines on stdout, as those of requests."""
    groups = SpendGroups()

    def tell(call: Call, row: UsageRow) -> None:
        sys.stdout.write(emf(call, row, function, datetime.now(UTC), groups))
        sys.stdout.flush()

    return tell


def emf(call: Call, row: UsageRow, function: str, now: datetime, groups: SpendGroups) -> str:
    """The line with its end. Where the price of an answer is not known it has no cost."""
    metrics: dict[str, float] = {"PromptTokens": row.prompt_tokens, "CompletionTokens": row.completion_tokens}
    facts: dict[str, Any] = {
        "level": "INFO",
        "timestamp": timestamp_of(now),
        "logger": LOGGER,
        "request_id": REQUEST_ID.get(),
        "function": function,
        "api": row.api or NOWHERE,
        "operation": row.operation or NOWHERE,
        "caller": call.observed.caller,
        "provider": row.provider,
        "model": row.model,
    }
    fields = {name: fact for name, fact in facts.items() if fact != ""}
    if not row.unpriced:
        fields["cost"] = metrics["Spend"] = usd_of(row.nanos)
        fields |= groups.dimensions(call.observed.groups, row.model)
    return line_of(fields, metrics, now)
