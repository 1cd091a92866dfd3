"""A record is one line, JSON or text, whatever is in it: bounded, with its request's id, and without secrets."""

import asyncio
from collections.abc import Callable
import json
import logging
from typing import Any, override

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.frame.tracing import REQUEST_ID
from core.runtime.log_format import FACTS, JsonFormatter, StdoutHandler, TextFormatter, log_in_context

FORGED = "\nINFO core.requests: 200 POST /forged"
EVIL = [FORGED, "\r", "\x00", "\x1b[2J", "\x9b2J", "\x85", "\u2028", "\u2029", "\u202e", "\ud800", "\x7f", "\v\f"]
KEY = "sk-proj-0123456789abcdefghij"
MOST = 20_000  # characters of a line


def record(message: str, *values: object, failure: BaseException | None = None, **facts: Any) -> logging.LogRecord:
    info = None if failure is None else (type(failure), failure, failure.__traceback__)
    made = logging.LogRecord(facts.pop("logger", "core.x"), logging.WARNING, __file__, 1, message, values, info)
    vars(made).update(facts)
    return made


def raised(cause: Exception) -> BaseException:
    def fail() -> None:
        raise cause

    def fail_twice() -> None:
        try:
            fail()
        except Exception as inner:
            raise ValueError(f"odd{FORGED}") from inner

    with pytest.raises(ValueError, match="odd") as caught:
        fail_twice()
    return caught.value


def as_json(made: logging.LogRecord) -> dict[str, Any]:
    line = JsonFormatter().format(made)
    assert line.isprintable()
    assert line.isascii()
    fields: dict[str, Any] = json.loads(line)
    return fields


@pytest.mark.parametrize("evil", EVIL)
def test_no_value_ends_a_line_or_moves_the_cursor(evil: str) -> None:
    made = record("id %s, %r", f"a{evil}b", evil, reason=f"r{evil}", failure=raised(OSError(evil)))
    line = TextFormatter().format(made)
    assert line.isprintable()
    line.encode()
    assert " WARNING core.x: id a" in line
    assert as_json(made)["message"].startswith("id a")


@given(st.text(st.characters(codec=None)), st.text(st.characters(codec=None)), st.text(max_size=9))
def test_any_text_is_one_line(message: str, reason: str, name: str) -> None:
    made = record(message.replace("%", ""), reason=reason * 99, failure=raised(OSError(reason)))
    made.name = name or "x"
    for formatter in (TextFormatter(), JsonFormatter()):
        made.name = "x"
        line = formatter.format(made)
        assert line.replace("\t", "").isprintable()
        assert len(line) < MOST


def test_a_line_has_what_the_query_asks_for() -> None:
    facts: dict[str, Any] = {name: f"{name}-1" for name in FACTS}
    token = REQUEST_ID.set("req_7")
    try:
        fields, text = as_json(record("failed", **facts)), TextFormatter().format(record("failed", **facts))
    finally:
        REQUEST_ID.reset(token)
    assert fields.pop("timestamp").endswith("Z")
    head = {"level": "WARN", "logger": "core.x", "message": "failed", "request_id": "req_7"}
    assert fields == head | facts
    assert text.endswith("req_7")
    assert all(f"{name}={name}-1" in text for name in FACTS)
    assert "request_id" not in as_json(record("of none"))


def test_an_exception_is_told_with_its_places_and_its_causes() -> None:
    text = as_json(record("broke", failure=raised(OSError("deep"))))["exception"]
    first, second = text.split("; from ")
    assert first.startswith("ValueError: odd ")
    assert second.startswith("OSError: deep (at ")
    assert "unit/runtime/test_log_format.py:" in first
    assert " fail_twice" in first
    assert " fail < " in second
    group = as_json(record("broke", failure=BaseExceptionGroup("many", [SystemExit(3), KeyError("k")])))["exception"]
    assert "[SystemExit: 3; KeyError: 'k']" in group


def test_of_a_long_chain_and_a_deep_stack_the_ends_are_told() -> None:
    def sink(depth: int) -> None:
        if depth == 0:
            raise ValueError("x" * 99_999)
        sink(depth - 1)

    with pytest.raises(ValueError, match="x") as caught:
        sink(500)
    chained: BaseException = caught.value
    for number in range(50):
        chained.__context__ = ValueError(str(number))
        chained = chained.__context__
    assert len(TextFormatter().format(record("y" * 99_999, failure=caught.value))) < MOST


class Silent(Exception):
    @override
    def __str__(self) -> str:
        raise SystemExit


def test_what_cannot_be_told_is_told_of() -> None:
    assert as_json(record("broke", failure=Silent()))["exception"] == "Silent"
    assert as_json(record("%d of %d", "x"))["message"] == "%d of %d (its values do not fit)"


def test_a_librarys_line_has_no_key() -> None:
    for text in (f"Authorization: Bearer {KEY}", f"https://u:{KEY}@h/?api_key={KEY}"):
        made = record("sent %s", text, logger="aiohttp.client", failure=raised(OSError(text)))
        assert KEY not in TextFormatter().format(made)
        assert KEY not in JsonFormatter().format(made)


def test_on_lambda_lines_go_to_what_is_the_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    handler = StdoutHandler()
    handler.setFormatter(JsonFormatter())
    handler.handle(record("one"))
    assert json.loads(capsys.readouterr().out)["message"] == "one"


@pytest.mark.parametrize("make", [asyncio.new_event_loop, pytest.param("uvloop", id="uvloop")])
def test_a_task_that_nobody_awaits_fails_as_of_its_request(
    make: Callable[[], asyncio.AbstractEventLoop] | str, capsys: pytest.CaptureFixture[str]
) -> None:
    loop = pytest.importorskip("uvloop").new_event_loop() if isinstance(make, str) else make()
    loop.set_exception_handler(log_in_context)
    handler = StdoutHandler()
    handler.setFormatter(JsonFormatter())
    logging.getLogger("asyncio").addHandler(handler)

    async def fail() -> None:
        raise ValueError("nobody hears")

    async def serve() -> None:
        REQUEST_ID.set("req_9")
        _ = asyncio.create_task(fail())  # noqa: RUF006 - that is the point
        await asyncio.sleep(0.01)

    try:
        loop.run_until_complete(loop.create_task(serve()))
    finally:
        loop.close()
        logging.getLogger("asyncio").removeHandler(handler)
    (line,) = capsys.readouterr().out.splitlines()
    assert (json.loads(line)["request_id"], json.loads(line)["logger"]) == ("req_9", "asyncio")
    assert "nobody hears" in json.loads(line)["exception"]
