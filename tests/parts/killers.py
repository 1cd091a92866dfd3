"""Servers that are killed, as `kill -9` does, between the put of a file's chunks and its record, or before the put."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
import random
import sqlite3
import subprocess
import sys
from typing import Any, Final, override

from aiohttp import web
import httpx

from tests.parts.job_bench import eventually
from tests.parts.s3_vectors import S3VectorsDouble
from tests.parts.s3_vectors_model import Refusal
from tests.parts.stack import ROOT, address_of
from tests.parts.vector_stack import VectorWorld, embed

DEAD_SECONDS: Final = 130  # after which every lease of a server that died is over
EARLY: Final = 0.2
"""How often one dies before the put."""

type Process = "subprocess.Popen[bytes]"


@dataclass
class Killer:
    """Kills the server that it was armed for, at one of its first batches of chunks."""

    world: VectorWorld
    batches: tuple[int, ...]
    chance: random.Random = field(default_factory=lambda: random.Random(17))  # noqa: S311 - the same each time
    process: Process | None = None
    after: int = 0

    def arm(self, process: Process) -> None:
        self.process, self.after = process, self.chance.choice(self.batches)

    def strikes(self) -> bool:
        """Whether it is this batch's turn."""
        self.after -= 1
        return self.process is not None and self.after == 0

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None


class ServiceKiller(Killer):
    """In the midst of a request to the double of S3 Vectors, which is not answered."""

    def __init__(self, world: VectorWorld, double: S3VectorsDouble) -> None:
        super().__init__(world, (1, 2))
        self.put: Callable[[dict[str, Any]], dict[str, Any]] = double._put_vectors
        setattr(double, "_put_vectors", self.answer)  # noqa: B010 - a method, which types would not let go

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        dies = self.strikes()
        if dies and self.chance.random() < EARLY:
            self.kill()
            raise Refusal(500, "", "nobody is there to be told")
        answer = self.put(body)
        if dies:
            self.kill()
        return answer


class DatabaseKiller(Killer):
    """While another holds the write lock of the database of records: chunks are in the embedded provider's, and nothing says so."""

    def __init__(self, world: VectorWorld) -> None:
        super().__init__(world, (1, 2, 3, 4, 5))
        self.killing: asyncio.Task[None] | None = None  # its failure is raised when the next one is armed
        world.upstream.replies["/v1/embeddings"] = self.answer

    @override
    def arm(self, process: Process) -> None:
        if self.killing is not None:
            self.killing.result()
        super().arm(process)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if self.strikes():
            early = self.chance.random() < EARLY
            other = sqlite3.connect(self.world.folder / ("vectors.db" if early else "state.db"), autocommit=True)
            other.execute("BEGIN IMMEDIATE")
            self.killing = asyncio.create_task(self.kill_after_put(other, self.put_so_far(), early=early))
        return await embed(request)

    async def kill_after_put(self, other: sqlite3.Connection, before: int, *, early: bool) -> None:
        async def is_put() -> bool:
            return self.put_so_far() > before

        with closing(other):
            await (asyncio.sleep(0.1) if early else eventually(is_put))
            self.kill()
            assert await is_put() != early

    def put_so_far(self) -> int:
        """A chunk that is put again counts again."""
        with closing(sqlite3.connect(self.world.folder / "vectors.db")) as connection:
            row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'vector_chunks'").fetchone()
        return 0 if row is None else int(row[0])


def killer_of(world: VectorWorld) -> Killer:
    return DatabaseKiller(world) if world.double is None else ServiceKiller(world, world.double)


@dataclass
class Lives:
    """One server after the other over the same state, each with its clock so far ahead that nobody waits for the dead."""

    config: Path
    log: Path
    ahead: int = 0

    @asynccontextmanager
    async def next(self) -> AsyncIterator[tuple[httpx.AsyncClient, Process]]:
        arguments = [str(self.ahead), "serve", str(self.config), "--port", "0"]
        self.ahead += DEAD_SECONDS
        with self.log.open("wb") as output:
            command = [sys.executable, "-m", "tests.parts.ahead", *arguments]
            process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)  # noqa: ASYNC220
        try:
            async with httpx.AsyncClient(base_url=address_of(process, self.log), timeout=60) as client:
                yield client, process
        finally:
            process.kill()
            process.wait()
