"""A record is one line whatever is in it, and libraries say nothing below INFO."""

from collections.abc import Iterator
import logging

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.platform.log_records import HELD, OURS, hold_back, set_levels, to_line


@given(st.text(st.characters(codec=None)))
def test_any_text_is_one_line_that_can_be_written(text: str) -> None:
    line = to_line(text)
    assert line.replace("\t", "").isprintable()
    line.encode()
    assert to_line(line) == line


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
