"""A record is one line whatever is in it, and libraries say nothing below INFO."""

from collections.abc import Iterator
import logging

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.platform.log_records import HELD, OURS, LineFormatter, hold_back, set_levels, to_line

FORGED = "\nINFO core.requests: 200 POST /forged"
EVIL = [FORGED, "\r", "\x00", "\x1b[2J", "\x9b2J", "\x85", "\u2028", "\u2029", "\u202e", "\ud800", "\x7f", "\v\f"]


def record(message: str, *values: object, failure: BaseException | None = None) -> logging.LogRecord:
    info = None if failure is None else (type(failure), failure, failure.__traceback__)
    return logging.LogRecord("core.x", logging.WARNING, __file__, 1, message, values, info)


@pytest.mark.parametrize("evil", EVIL)
def test_no_value_ends_a_line_or_moves_the_cursor(evil: str) -> None:
    formatter = LineFormatter("%(levelname)s %(name)s: %(message)s")
    line = formatter.format(record("id %s, %r", f"a{evil}b", evil))
    assert line.isprintable()
    assert line.splitlines() == [line]
    line.encode()
    assert line.startswith("WARNING core.x: id a")


@given(st.text(st.characters(codec=None)))
def test_any_text_is_one_line_that_can_be_written(text: str) -> None:
    line = to_line(text)
    assert line.replace("\t", "").isprintable()
    line.encode()
    assert to_line(line) == line


def test_a_traceback_is_behind_bars() -> None:
    def fail() -> None:
        raise ValueError(f"odd{FORGED}")

    with pytest.raises(ValueError, match="odd") as caught:
        fail()
    first, *others = LineFormatter("%(message)s").format(record("broke", failure=caught.value)).splitlines()
    assert first == "broke"
    assert any("odd" in line for line in others)
    assert all(line.startswith("  | ") for line in others)


@pytest.fixture
def _levels() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("", *OURS, *HELD, "botocore.endpoint", "acme")]
    before = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)


def speaks(name: str) -> bool:
    return logging.getLogger(name).isEnabledFor(logging.DEBUG)


@pytest.mark.usefixtures("_levels")
def test_where_everything_is_to_speak_only_ours_does() -> None:
    logging.getLogger().setLevel(logging.DEBUG)  # as AWS's runtime does
    hold_back()
    assert speaks("core.web")
    assert speaks("functions.inference")
    for name in (*HELD, "openai._base_client", "anything"):
        assert not speaks(name)
        assert logging.getLogger(name).isEnabledFor(logging.INFO) is (name != "httpx")


@pytest.mark.usefixtures("_levels")
def test_a_held_logger_does_not_speak_even_if_it_is_named() -> None:
    set_levels(
        {"root": "debug", "botocore": "debug", "botocore.endpoint": "debug", "aiohttp": "debug", "acme": "debug"}
    )
    assert not any(map(speaks, ("botocore", "botocore.endpoint", "aiohttp.client", "other")))
    assert speaks("acme")
    set_levels({"botocore": "error"})
    assert not logging.getLogger("botocore").isEnabledFor(logging.WARNING)
