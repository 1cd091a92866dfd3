"""Servers of MCP as child processes, from `locks/servers/mcp1.txt` and `mcp2.txt`, and npm's: for tests and benchmarks alone."""

from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
import os
from pathlib import Path
import socket
import subprocess
from typing import Final

from infra.local.clients import node22_command, python_of
from infra.local.ports import free_port
from infra.local.processes import stop, wait_until

SCRIPT: Final = Path(__file__).with_name("mcp_server_script.py")
EVERYTHING: Final = "@modelcontextprotocol/server-everything/dist/index.js"


@contextmanager
def running(generation: str) -> Generator[str]:
    """A server of the SDK of 2025 ("1") or of 2026 ("2") for the length of a `with` block; yields its URL, without the path."""
    port = free_port()
    # Without -P the script's folder, in which modules may be called as those of the package are, would come before the package.
    with _running([str(python_of(f"mcp{generation}")), "-P", str(SCRIPT), generation, str(port)], port) as url:
        yield url


@contextmanager
def running_everything(transport: str) -> Generator[str]:
    """The reference server of npm; `transport` is streamableHttp (`/mcp`) or sse (`/sse`)."""
    port = free_port()
    with _running([*node22_command(EVERYTHING), transport], port, PORT=str(port)) as url:
        yield url


@contextmanager
def _running(command: Sequence[str], port: int, **environment: str) -> Generator[str]:
    nothing = subprocess.DEVNULL
    process = subprocess.Popen(command, env=os.environ | environment, stdin=nothing, stdout=nothing, stderr=nothing)
    with ExitStack() as stopping:
        stopping.callback(stop, process)
        wait_until(process, "MCP server", lambda: _is_ready(port))
        yield f"http://127.0.0.1:{port}"


def _is_ready(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
