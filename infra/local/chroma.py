"""Chroma's server as a child process, from `locks/servers/chroma.txt`: for tests and benchmarks alone."""

from collections.abc import Generator
from contextlib import ExitStack, closing, contextmanager, suppress
from http.client import HTTPConnection
import json
import os
from pathlib import Path
import subprocess
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import urlsplit
import uuid

from infra.local.clients import python_of
from infra.local.ports import free_port
from infra.local.processes import stop, wait_until

TENANT: Final = "/api/v2/tenants/default_tenant"


def start(port: int, folder: Path) -> subprocess.Popen[bytes]:
    """Start it on `port`, with what is kept in `folder`, and wait until it answers."""
    command = [str(python_of("chroma").with_name("chroma")), "run", "--host", "127.0.0.1"]
    output = subprocess.DEVNULL
    environment = os.environ | {"ANONYMIZED_TELEMETRY": "False", "RUST_LOG": "error"}
    process = subprocess.Popen(
        [*command, "--port", str(port), "--path", str(folder)],
        cwd=folder,
        env=environment,
        stdin=output,
        stdout=output,
        stderr=output,
    )
    with ExitStack() as stopping:
        stopping.callback(stop, process)
        wait_until(process, "Chroma", lambda: _is_ready(port))
        stopping.pop_all()
    return process


@contextmanager
def running() -> Generator[str]:
    """A ready server for the length of a `with` block; yields its URL."""
    port = free_port()
    with TemporaryDirectory(prefix="chroma-") as folder:
        process = start(port, Path(folder))
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            stop(process)


def create_database(url: str) -> str:
    """The name of a new, empty database of the default tenant."""
    name = f"db-{uuid.uuid4().hex}"
    _ask(url, "POST", f"{TENANT}/databases", json.dumps({"name": name}))
    return name


def count_collections(url: str, database: str) -> int:
    return int(_ask(url, "GET", f"{TENANT}/databases/{database}/collections_count"))


def _ask(url: str, method: str, path: str, body: str | None = None) -> bytes:
    place = urlsplit(url)
    with closing(HTTPConnection(place.hostname or "", place.port, timeout=30)) as connection:
        connection.request(method, path, body, {"content-type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:  # noqa: PLR2004 - HTTP
            raise RuntimeError(f"Chroma answered {answer.status}: {content.decode(errors='replace')}")
        return content


def _is_ready(port: int) -> bool:
    with closing(HTTPConnection("127.0.0.1", port, timeout=1)) as connection, suppress(OSError):
        connection.request("GET", "/api/v2/heartbeat")
        return connection.getresponse().status == 200  # noqa: PLR2004 - HTTP
    return False
