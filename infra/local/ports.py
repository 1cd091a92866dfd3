"""Free ports for servers that cannot choose their own and say which it is."""

from contextlib import closing, suppress
import random
import socket
from typing import Final

RANGE: Final = (20_000, 32_767)  # below what the kernel hands out, so that nobody who asks it gets the port meanwhile


def free_port() -> int:
    """A TCP port that was free a moment ago."""
    while True:
        port = random.randint(*RANGE)  # noqa: S311 - no secret
        with closing(socket.socket()) as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
