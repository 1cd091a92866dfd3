"""What is logged, without a character that could end its line, and by whom: libraries do not get to log what they send.

At DEBUG the AWS SDK logs whole requests, with session tokens and stored answers, and HTTP libraries log headers.
"""

from collections.abc import Mapping
import logging
from typing import Final

OURS: Final = ("core", "functions")
HELD: Final = (
    *("aioboto3", "aiobotocore", "aiohttp", "asyncio", "boto3", "botocore", "h2", "hpack", "httpcore", "httpx"),
    *("s3transfer", "urllib3"),
)
"""Loggers that never speak below INFO, whoever asks for it."""
TELLS_URLS: Final = "httpx"  # whole ones, at INFO


def to_line(text: str) -> str:
    """The text with an escape for each character that could end the line or that a terminal obeys, but for tabs."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\t" else _escape(char) for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode()


def set_levels(levels: Mapping[str, str]) -> None:
    """By the names of loggers; below INFO `root` stands for what is ours, and HELD stay at theirs."""
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level.upper())
    hold_back()


def hold_back() -> None:
    """Leave levels below INFO to what is ours, and to loggers that have one of their own and are not HELD."""
    root = logging.getLogger()
    if root.level < logging.INFO:
        for name in OURS:
            logging.getLogger(name).setLevel(root.level)
        root.setLevel(logging.INFO)
    for name in [*HELD, *(name for name in root.manager.loggerDict if name.partition(".")[0] in HELD)]:
        logger, least = logging.getLogger(name), logging.WARNING if name == TELLS_URLS else logging.INFO
        if logger.getEffectiveLevel() < least:
            logger.setLevel(least)
