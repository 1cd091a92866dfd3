"""What the hosts that callers name resolve to, asked when they are registered, so that a refusal says which and why.

This is for the message: what a name leads to is judged again wherever a connection to it is made.
"""

import asyncio
from collections.abc import Sequence
import logging
import socket
from typing import Final

from core.config.problems import Problem
from core.config.urls import PRIVATE, host_of
from core.platform.addresses import Reach, may_connect

PATIENCE: Final = 3.0  # seconds for all names

log = logging.getLogger(__name__)


async def find_refused_hosts(places: Sequence[tuple[str, str]], reach: Reach) -> list[Problem]:
    """A problem for each URL, at its path, whose host has an address that is refused; none for a name that nobody knows."""
    try:
        async with asyncio.timeout(PATIENCE):
            answers = await asyncio.gather(*(_refused(url, reach) for _, url in places))
    except TimeoutError:
        log.info("the hosts of a configuration were not resolved in time")
        return []
    return [Problem(path, PRIVATE) for (path, _), refused in zip(places, answers, strict=True) if refused]


async def _refused(url: str, reach: Reach) -> bool:
    place = host_of(url)
    if place is None:
        return False
    host, port = place
    try:
        answers = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # UnicodeError: a label that is too long
        return False
    return any(not may_connect(str(address[0]), port, reach) for *_, address in answers)
