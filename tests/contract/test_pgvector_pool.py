"""Connections to PostgreSQL that stay outside of asyncpg's pool for a moment are as good as those in it, and none is lost."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from core.providers.pgvector.pool import Pool
from tests.parts.postgres import USER, Database, Server


@pytest.fixture
def database(postgres_server: Server) -> Database:
    return Database(postgres_server.port, "postgres")


@asynccontextmanager
async def opened(database: Database, *, size: int = 1, away: float = 60) -> AsyncGenerator[tuple[Pool, Any]]:
    """A pool, and asyncpg's below it."""
    address = {"host": "127.0.0.1", "port": database.port, "database": database.name, "user": USER}
    async with asyncpg.create_pool(**address, min_size=0, max_size=size) as below:
        pool = Pool(below, acquire_timeout=5, release_timeout=5, away=away)
        yield pool, below
        await asyncio.wait_for(pool.close(), 5)


async def pid_of(loan: Any) -> int:
    return int(await loan.connection.fetchval("SELECT pg_backend_pid()"))


async def test_a_connection_is_used_again_and_goes_back_after_a_while(database: Database) -> None:
    async with opened(database, away=0.1) as (pool, below):
        loan = await pool.take()
        await pool.release(loan, sound=True)
        assert await pool.take() is loan
        await pool.release(loan, sound=True)
        assert below.get_idle_size() == 0
        async with asyncio.timeout(5):
            while below.get_idle_size() == 0:
                await asyncio.sleep(0.02)
        assert pool.spare() is None
        later = await pool.take()
        await asyncio.sleep(0.1)
        await pool.release(later, sound=True)
        assert (pool.spare(), below.get_idle_size()) == (None, 1)


async def test_who_waits_gets_the_next_that_is_released(database: Database) -> None:
    async with opened(database) as (pool, _):
        loan = await pool.take()
        waiting = {asyncio.create_task(pool.take()) for _ in range(3)}
        await asyncio.sleep(0.05)
        while waiting:
            await pool.release(loan, sound=True)
            [done], waiting = await asyncio.wait(waiting, timeout=5, return_when="FIRST_COMPLETED")
            loan = done.result()
        await pool.release(loan, sound=True)
        assert pool.spare() is loan
        await pool.release(loan, sound=False)


async def test_one_that_the_server_has_ended_is_given_to_nobody(database: Database) -> None:
    async with opened(database) as (pool, below):
        loan = await pool.take()
        ended = await pid_of(loan)
        await pool.release(loan, sound=True)
        await database.execute(f"SELECT pg_terminate_backend({ended})")
        async with asyncio.timeout(5):
            while loan.is_open():
                await asyncio.sleep(0.01)
        another = await pool.take()
        assert await pid_of(another) != ended
        assert below.get_size() == 1
        await pool.release(another, sound=True)


async def test_what_was_given_up_is_cancelled_at_the_server_before_it_is_used_again(database: Database) -> None:
    async with opened(database) as (pool, _):
        loan = await pool.take()
        with pytest.raises(TimeoutError):
            await loan.connection.fetch("SELECT pg_sleep(30)", timeout=0.05)
        await asyncio.wait_for(pool.release(loan, sound=False), 5)
        again = await pool.take()
        assert await again.connection.fetchval("SELECT 1") == 1
        await pool.release(again, sound=True)


async def test_what_is_in_use_while_it_closes_goes_back_when_it_is_released(database: Database) -> None:
    async with opened(database, size=2) as (pool, below):
        first, second = await pool.take(), await pool.take()
        await pool.release(first, sound=True)
        await pool.close()
        assert below.get_idle_size() == 1
        await pool.release(second, sound=True)
        assert below.get_idle_size() == 2
