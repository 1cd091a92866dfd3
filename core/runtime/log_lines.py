"""A line for each request: JSON that CloudWatch reads metrics from on Lambda, a readable one on this machine.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html.
docs/operations.md says what each field means.
"""

from datetime import UTC, datetime
from functools import cache
import json
import logging
import sys
from typing import TYPE_CHECKING, Any, Final

from core.frame.observed import usd_of, usd_text
from core.runtime.spend_groups import SpendGroups, is_dimension

if TYPE_CHECKING:
    from core.web.observed import RequestRecord, Sink

log = logging.getLogger("core.requests")

NAMESPACE: Final = "llambda"
UNITS: Final = {
    "Requests": "Count",
    "Errors": "Count",
    "Throttles": "Count",
    "ColdStart": "Count",
    "OwnMilliseconds": "Milliseconds",
    "UpstreamMilliseconds": "Milliseconds",
    "FirstByteMilliseconds": "Milliseconds",
    "PromptTokens": "Count",
    "CompletionTokens": "Count",
    "Spend": "None",
    "BudgetWarnings": "Count",
    "BudgetRefusals": "Count",
}
COARSE: Final = ["function", "operation"]
FINE: Final = [*COARSE, "provider", "model"]
TOKENS: Final = {"prompt": "PromptTokens", "completion": "CompletionTokens"}
NOWHERE: Final = "none"
FAILURE, THROTTLED = 500, 429
MOST_REASON: Final = 600  # characters
MOST_SHOWN: Final = 200  # characters of a method and a path


def to_cloudwatch(function: str) -> "Sink":
    """Lines on stdout, which Lambda hands on as they are: neither of its log formats wraps what is not logged."""
    groups = SpendGroups()

    def tell(record: "RequestRecord") -> None:
        sys.stdout.write(emf(record, function, datetime.now(UTC), groups))
        sys.stdout.flush()

    return tell


def to_log(record: "RequestRecord") -> None:
    """A `Sink`: the logger `core.requests`, at level info."""
    if log.isEnabledFor(logging.INFO):  # `log.info` would look for its caller, which takes longer than the line
        line = log.makeRecord(log.name, logging.INFO, __file__, 0, readable(record), (), None)
        line.request_id = record.request_id
        log.handle(line)


def emf(record: "RequestRecord", function: str, now: datetime, groups: SpendGroups | None = None) -> str:
    """The line with its end. Lambda filters by `level`, which it believes only beside a `timestamp`.

    `groups` bound what the spend is a metric by; without them it is one by function, operation, provider and model alone.
    """
    observed = record.observed
    metrics = _metrics(record)
    facts: dict[str, Any] = {
        "level": "ERROR" if record.status >= FAILURE else "INFO",
        "timestamp": timestamp_of(now),
        "logger": log.name,
        "request_id": record.request_id,
        "trace_id": record.trace_id,
        "function": function,
        "api": observed.api or NOWHERE,
        "operation": observed.operation or NOWHERE,
        "caller": observed.caller,
        "provider": observed.provider,
        "model": observed.model,
        "provider_model": observed.provider_model,
        "status": record.status,
        "error_code": observed.error_code,
        "reason": observed.reason[:MOST_REASON],
        "streamed": record.streamed,
        "replayed": observed.replayed or "",
        "milliseconds": _milliseconds(record.seconds),
    }
    if observed.nanos is not None:
        facts["cost"] = usd_of(observed.nanos)
    fields = {name: fact for name, fact in facts.items() if fact != ""}
    if groups is not None and "Spend" in metrics and observed.groups:
        fields |= groups.dimensions(observed.groups, observed.model)
    return line_of(fields, metrics, now)


def line_of(fields: dict[str, Any], metrics: dict[str, float], now: datetime) -> str:
    """JSON with its end, from which CloudWatch reads these metrics; `fields` have the dimensions."""
    fine = is_dimension(fields.get("model", "")) and is_dimension(fields.get("provider", ""))
    directives = _directives(tuple(metrics), fine=fine, groups=SpendGroups.names_in(fields))
    head = f'{{"_aws":{{"Timestamp":{int(now.timestamp() * 1000)},"CloudWatchMetrics":{directives}}},'
    return f"{head}{json.dumps(fields | metrics, separators=(',', ':'))[1:]}\n"


def timestamp_of(now: datetime) -> str:
    return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _metrics(record: "RequestRecord") -> dict[str, float]:
    """What there is none of is absent, so that it counts in no average."""
    observed = record.observed
    metrics: dict[str, float] = {
        "Requests": 1,
        "Errors": int(record.status >= FAILURE),
        "Throttles": int(record.status == THROTTLED),
        "ColdStart": int(record.cold),
        "OwnMilliseconds": _milliseconds(record.own),
    }
    if observed.upstream.seconds:
        metrics["UpstreamMilliseconds"] = _milliseconds(observed.upstream.seconds)
    if record.streamed and record.first_byte is not None:
        metrics["FirstByteMilliseconds"] = _milliseconds(record.first_byte)
    if observed.nanos is not None:
        metrics["Spend"] = usd_of(observed.nanos)
    if observed.budget_warnings:
        metrics["BudgetWarnings"] = observed.budget_warnings
    if observed.budget_refusals:
        metrics["BudgetRefusals"] = observed.budget_refusals
    return metrics | {TOKENS[name]: count for name, count in observed.tokens.items()}


@cache
def _directives(names: tuple[str, ...], *, fine: bool, groups: tuple[str, ...] = ()) -> str:
    """JSON: half of the line, and one of a few."""
    every: list[dict[str, Any]] = []
    if groups:
        spend = [{"Name": "Spend", "Unit": UNITS["Spend"]}]
        every.append({"Namespace": NAMESPACE, "Dimensions": [["function", name] for name in groups], "Metrics": spend})
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [COARSE, FINE] if fine else [COARSE],
        "Metrics": [{"Name": name, "Unit": UNITS[name]} for name in names],
    }
    return json.dumps([directive, *every], separators=(",", ":"))


def readable(record: "RequestRecord") -> str:
    """As in `200 POST /v1/chat/completions small -> local 412 ms (own 1.1 ms) 18 tokens`."""
    observed = record.observed
    route = f" {_printable(observed.model)} -> {_printable(observed.provider or NOWHERE)}" if observed.model else ""
    first = f", first byte {record.first_byte * 1000:.0f} ms" if record.streamed and record.first_byte else ""
    tokens = f" {sum(observed.tokens.values())} tokens" if observed.tokens else ""
    took = f"{record.seconds * 1000:.0f} ms (own {record.own * 1000:.1f} ms{first})"
    request = _printable(f"{record.method} {record.path}"[:MOST_SHOWN])
    again = " replayed" if observed.replayed else ""
    failure = f" {observed.error_code}" if observed.error_code else ""
    reason = f": {_printable(observed.reason[:MOST_REASON])}" if observed.reason else ""
    cost = "" if observed.nanos is None else f" {usd_text(observed.nanos)} USD"
    caller = f" by {observed.caller}" if observed.caller else ""
    return f"{record.status} {request}{route}{caller} {took}{tokens}{cost}{again}{failure}{reason}"


def _printable(text: str) -> str:
    """Nothing that could end the line or move the cursor."""
    return text if text.isprintable() else ascii(text)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)
