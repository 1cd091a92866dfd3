"""How many connections a provider keeps at most: a default that is taken from the machine."""

from typing import Any, Final

from pydantic import Field

from core.platform.machine import Machine, machine

ON_LAMBDA: Final = 32  # an environment has one request at a time, which makes no more than 8 calls at once
RESERVED_FILES: Final = 64  # files of the process itself: its log, its stores, its listening sockets
LEAST: Final = 16
MOST: Final = 16_384


def most_connections(on: Machine) -> int:
    """As many as there are files for; a stream holds two of them until its end, its caller's and its remote's.

    So a call waits for a connection only where it would have failed for want of a file.
    """
    if on.kind == "lambda":
        return ON_LAMBDA
    return MOST if on.open_files is None else max(LEAST, min(MOST, (on.open_files - RESERVED_FILES) // 2))


MOST_CONNECTIONS: Final[Any] = Field(
    default_factory=lambda: most_connections(machine()),
    ge=1,
    description="The most connections that the provider has; a stream holds one until its end, and further calls wait. "
    f"Default: {ON_LAMBDA} on Lambda, where one request at a time is served; elsewhere half as many as a process may have "
    "files open.",
    json_schema_extra={"user_field": True, "discovered": "open_files"},
)
