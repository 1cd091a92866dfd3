"""The lines that a request leaves: CloudWatch can read metrics from one, people read the other, and nobody can forge either."""

from datetime import UTC, datetime
import io
import json
import logging
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.frame.callers import ANONYMOUS, Call, Charge, UsageRow
from core.frame.observed import Observed
from core.runtime import job_lines
from core.runtime.log_lines import COARSE, FINE, UNITS, emf, readable, to_cloudwatch, to_log
from core.runtime.spend_groups import MOST_VALUES, SpendGroups
from core.services.jobs.admission import Unlimited
from core.services.jobs.told import ToldAdmission
from core.web.observed import RequestRecord

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC)
ALWAYS = {"Requests", "Errors", "Throttles", "ColdStart", "OwnMilliseconds"}


def record(observed: Observed | None = None, **more: Any) -> RequestRecord:
    given_ones: dict[str, Any] = {
        "request_id": "req_1",
        "trace_id": "",
        "method": "POST",
        "path": "/v1/chat/completions",
        "status": 200,
        "streamed": False,
        "cold": False,
        "seconds": 0.4124,
        "own": 0.0011,
        "first_byte": 0.41,
    }
    return RequestRecord(**given_ones | more, observed=observed or Observed())


def chat(model: str = "small", provider: str = "local") -> Observed:
    observed = Observed("inference", "chat_completion", model, provider, "smollm2")
    observed.tokens, observed.upstream.seconds = {"prompt": 8, "completion": 10}, 0.41
    return observed


def parsed(told: RequestRecord) -> dict[str, Any]:
    """The line, which is one and keeps the specification's rules."""
    text = emf(told, "f-Inference", NOW)
    assert text.endswith("}\n")
    assert text.count("\n") == 1
    line: dict[str, Any] = json.loads(text)
    [directive] = line["_aws"]["CloudWatchMetrics"]
    assert line["_aws"]["Timestamp"] == 1_767_323_045_678
    assert set(directive) == {"Namespace", "Dimensions", "Metrics"}
    for dimensions in directive["Dimensions"]:
        assert all(
            isinstance(line[name], str) and 0 < len(line[name]) <= 1024 and line[name].isascii() for name in dimensions
        )
    for metric in directive["Metrics"]:
        assert metric["Unit"] == UNITS[metric["Name"]]
        assert isinstance(line[metric["Name"]], int | float)
    return line


def metrics(line: dict[str, Any]) -> set[str]:
    return {metric["Name"] for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]}


def dimensions(line: dict[str, Any]) -> list[list[str]]:
    found: list[list[str]] = line["_aws"]["CloudWatchMetrics"][0]["Dimensions"]
    return found


def test_a_chat_is_a_line_with_every_fact_and_its_metrics() -> None:
    observed = chat()
    observed.add_cost(1_500_000_000)
    observed.budget_warnings, observed.budget_refusals = 2, 1
    line = parsed(record(observed, trace_id="ab", cold=True, streamed=True, first_byte=0.02))
    assert metrics(line) == set(UNITS)
    assert dimensions(line) == [COARSE, FINE]
    del line["_aws"]
    assert line == {
        "level": "INFO",
        "timestamp": "2026-01-02T03:04:05.678Z",
        "logger": "core.requests",
        "request_id": "req_1",
        "trace_id": "ab",
        "function": "f-Inference",
        "api": "inference",
        "operation": "chat_completion",
        "provider": "local",
        "model": "small",
        "provider_model": "smollm2",
        "status": 200,
        "streamed": True,
        "milliseconds": 412.4,
        "Requests": 1,
        "Errors": 0,
        "Throttles": 0,
        "ColdStart": 1,
        "OwnMilliseconds": 1.1,
        "UpstreamMilliseconds": 410.0,
        "FirstByteMilliseconds": 20.0,
        "PromptTokens": 8,
        "CompletionTokens": 10,
        "cost": 0.0015,
        "Spend": 0.0015,
        "BudgetWarnings": 2,
        "BudgetRefusals": 1,
    }


def test_what_reached_no_operation_and_no_provider_counts_in_no_average_of_theirs() -> None:
    line = parsed(record(status=404))
    assert metrics(line) == ALWAYS
    assert dimensions(line) == [COARSE]
    assert (line["api"], line["operation"]) == ("none", "none")
    assert not {"model", "provider", "trace_id", "path"} & set(line)


@pytest.mark.parametrize(
    ("status", "error", "throttle"), [(200, 0, 0), (401, 0, 0), (429, 0, 1), (499, 0, 0), (500, 1, 0), (504, 1, 0)]
)
def test_errors_are_those_of_the_stack_and_its_providers(status: int, error: int, throttle: int) -> None:
    line = parsed(record(chat(), status=status))
    assert (line["Errors"], line["Throttles"]) == (error, throttle)
    assert line["level"] == ("ERROR" if error else "INFO")


@pytest.mark.parametrize(
    ("model", "provider"), [("grüße", "p"), (" ", "p"), (":m", "p"), ("m\n", "p"), ("m", ""), ("m", "ü")]
)
def test_a_name_that_cloudwatch_would_refuse_is_no_dimension(model: str, provider: str) -> None:
    line = parsed(record(chat(model, provider)))
    assert dimensions(line) == [COARSE]
    assert line["model"] == model


def test_an_answer_in_one_piece_has_no_time_to_its_first_byte() -> None:
    assert "FirstByteMilliseconds" not in parsed(record(chat()))
    assert "FirstByteMilliseconds" not in parsed(record(chat(), streamed=True, first_byte=None))


@given(st.text(max_size=512), st.text(max_size=512), st.sampled_from([200, 404, 499, 502]))
def test_any_name_makes_one_valid_line_of_either_kind(model: str, provider: str, status: int) -> None:
    told = record(chat(model, provider), status=status, path=model, method=provider)
    line = parsed(told)
    assert line.get("model", "") == model
    assert readable(told).isprintable()


def test_the_line_is_on_stdout_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    tell = to_cloudwatch("f")
    tell(record(chat()))
    tell(record())
    first, second = (json.loads(line) for line in capfd.readouterr().out.splitlines())
    assert (first["model"], first["function"]) == ("small", "f")
    assert second["operation"] == "none"


def test_the_readable_line_says_what_became_of_what() -> None:
    said = "200 POST /v1/chat/completions small -> local 412 ms (own 1.1 ms) 18 tokens"
    assert readable(record(chat())) == said
    streamed = record(chat(), streamed=True, first_byte=0.0214)
    assert readable(streamed) == said.replace("own 1.1 ms", "own 1.1 ms, first byte 21 ms")
    assert readable(record(status=401)) == "401 POST /v1/chat/completions 412 ms (own 1.1 ms)"
    refused = Observed("inference", "chat_completion", "small")
    assert readable(record(refused)) == "200 POST /v1/chat/completions small -> none 412 ms (own 1.1 ms)"


def test_an_answer_under_an_idempotency_key_that_was_there_is_marked() -> None:
    observed = chat()
    assert not {"replayed", "cost"} & parsed(record(observed)).keys()
    observed.replayed = True
    assert parsed(record(observed))["replayed"] is True
    assert readable(record(observed)).endswith(" 18 tokens replayed")


def test_a_line_says_what_an_answer_cost_where_all_of_it_has_a_price() -> None:
    observed = chat()
    observed.add_cost(12_000_000)
    observed.add_cost(1)
    assert '"cost":1.2001e-05,' in emf(record(observed), "f", NOW)
    assert parsed(record(observed))["Spend"] == 1.2001e-05
    assert readable(record(observed)).endswith(" 18 tokens 0.000012001 USD")
    observed.add_cost(None)
    assert not {"cost", "Spend"} & parsed(record(observed)).keys()
    assert readable(record(observed)).endswith(" 18 tokens")


def test_a_readable_line_cannot_be_forged_or_be_long() -> None:
    told = readable(record(chat("a\nERROR core: b", "p\x1b[2J"), path="/" + "x" * 5000, method="G\nT"))
    assert told.isprintable()
    assert len(told) < 400


@pytest.mark.parametrize(("level", "lines"), [(logging.INFO, 1), (logging.WARNING, 0)])
def test_the_log_has_it_at_level_info(level: int, lines: int) -> None:
    logger, heard = logging.getLogger("core.requests"), io.StringIO()
    handler, before = logging.StreamHandler(heard), logger.level
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        to_log(record(chat()))
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)
    assert len(heard.getvalue().splitlines()) == lines


def test_a_caller_is_in_the_line_where_it_was_noted_and_is_no_dimension() -> None:
    observed = chat()
    assert "caller" not in parsed(record(observed))
    observed.caller = "api_key:7d2"
    line = parsed(record(observed))
    assert line["caller"] == "api_key:7d2"
    assert "caller" not in {name for names in line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] for name in names}
    assert " -> local by api_key:7d2 412 ms" in readable(record(observed))


def spend_of(line: str) -> tuple[list[list[str]], dict[str, Any]]:
    """The dimensions of the spend alone, and the line."""
    fields = json.loads(line)
    [_, directive] = fields["_aws"]["CloudWatchMetrics"]
    assert directive["Metrics"] == [{"Name": "Spend", "Unit": "None"}]
    return directive["Dimensions"], fields


def test_the_spend_is_a_metric_by_what_the_run_config_names_and_by_a_bounded_number_of_values() -> None:
    groups = SpendGroups()
    for number in range(MOST_VALUES + 2):
        observed = chat()
        observed.groups = {"caller": f"api_key:{number}", "team": "", "model": ""}
        observed.add_cost(1_000_000)
        dimensions, fields = spend_of(emf(record(observed), "f", NOW, groups))
        assert dimensions == [["function", "by_caller"], ["function", "by_team"], ["function", "by_model"]]
        assert (fields["by_team"], fields["by_model"]) == ("none", "small")
        assert fields["by_caller"] == (f"api_key:{number}" if number < MOST_VALUES else "others")
    observed.groups = {"caller": "api_key:0", "team": "größe"}
    dimensions, fields = spend_of(emf(record(observed), "f", NOW, groups))
    assert (fields["by_caller"], fields["by_team"]) == ("api_key:0", "others")
    observed.add_cost(None)  # what is not known is no metric
    assert len(json.loads(emf(record(observed), "f", NOW, groups))["_aws"]["CloudWatchMetrics"]) == 1


async def test_each_call_of_a_job_leaves_a_line_for_each_model_that_answered(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def note(observed: Observed, _: object) -> None:
        observed.caller, observed.groups = "api_key:7d", {"team": "red"}

    admission = ToldAdmission(Unlimited(), job_lines.to_cloudwatch("f-Worker"), note)
    call = Call(ANONYMOUS, observed=Observed("batches", "batch"))
    small = UsageRow("small", "local", "inference", "chat_completion", 1, 2, 8, completion_tokens=10, nanos=1500)
    unpriced = UsageRow("guard", "local", "inference", "chat_completion", 0, 1, 4, unpriced=1)
    ticket = await admission.admit(call, 5)
    assert capfd.readouterr().out == ""
    await ticket.settle(Charge(18, rows=(small, unpriced, UsageRow(requests=1))))
    await admission.charge(call, [small])
    first, second, third = capfd.readouterr().out.splitlines()
    dimensions, fields = spend_of(first)
    assert dimensions == [["function", "by_team"]]
    assert fields["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [COARSE, FINE]
    expected: dict[str, Any] = {
        "function": "f-Worker",
        "operation": "chat_completion",
        "model": "small",
        "caller": "api_key:7d",
    }
    expected |= {"by_team": "red", "PromptTokens": 8, "CompletionTokens": 10, "Spend": 0.0000015}
    assert expected.items() <= fields.items()
    assert not {"Spend", "cost", "by_team"} & json.loads(second).keys()
    assert spend_of(third)[1]["Spend"] == fields["Spend"]
