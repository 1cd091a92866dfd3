"""PostgreSQL over connections of asyncpg, in a pool for each event loop.

Source: https://magicstack.github.io/asyncpg/current/api/index.html.
"""

from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import lru_cache
import re
import ssl
from typing import TYPE_CHECKING, Any, Final

from core.errors import ProviderUnavailable, UpstreamTimeout
from core.platform import secrets
from core.platform.per_loop import PerLoop
from core.providers.pgvector.config import Config
from core.providers.pgvector.database import ConnectionLost, Room, Row, Run, SqlRefused, Value

if TYPE_CHECKING:
    from core.providers.pgvector.pool import Loan, Pool

NAME: Final = re.compile(r":([a-z]+)")
ROOM: Final = Room(answer=None, row=2**28, values=8 * 2**20)  # a JSON of PostgreSQL has 256 MB at most
WRONG_PASSWORD: Final = frozenset({"28P01", "28000"})
UNDONE: Final = ("57P01", "57P02", "57P03")
"""Of a server that ends, or begins: it says so of what it has not carried out."""
UNSENT: Final = "cannot switch to state"
NO_DRIVER: Final = "needs asyncpg for a connection: pip install 'llambda[postgres]'"


@lru_cache(maxsize=500)
def number_values(statement: str) -> tuple[str, tuple[str, ...]]:
    """The statement with `$1` in the place of the first name in it, and so on; and the names in their order."""
    names = tuple(dict.fromkeys(NAME.findall(statement)))
    places = {name: f"${place}" for place, name in enumerate(names, 1)}
    return NAME.sub(lambda match: places[match[1]], statement), names


class Connections:
    """Opened when they are needed, at most `pool_max_size` of them; others wait for `acquire_timeout`."""

    def __init__(self, provider_id: str, config: Config) -> None:
        self._provider_id = provider_id
        self._config = config
        self._password = config.password.get_secret_value() if config.password else ""
        self._pools: PerLoop[Pool] = PerLoop(lambda _: self._open())

    @property
    def is_prepared(self) -> bool:
        return True

    @property
    def room(self) -> Room:
        return ROOM

    def warm(self) -> None:
        self._driver()
        secrets.warm(self._password)

    async def run(self, statement: str, values: Mapping[str, Value]) -> list[Row]:
        """Written out: the layers of a transaction would take as long as the rest of it."""
        pool = self._pools.opened() or await self._pool()
        loan = pool.spare() or await self._take(pool)
        sound = False
        try:
            rows = await _fetch(loan.connection, statement, values)
            sound = True
        except _failures() as failure:
            raise self._translate(failure) from failure
        finally:
            await pool.release(loan, sound=sound)
        return rows

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Run]:
        pool = await self._pool()
        loan = await self._take(pool)
        sound = False
        try:
            with self._translate_errors():
                async with loan.connection.transaction():
                    yield lambda statement, values: self._fetch(loan.connection, statement, values)
            sound = True
        finally:
            await pool.release(loan, sound=sound)

    async def close(self) -> None:
        await self._pools.close()

    def _driver(self) -> Any:  # noqa: ANN401 - a module, which has no types
        """Raises ProviderUnavailable where it is not installed."""
        try:
            import asyncpg  # pyright: ignore[reportMissingTypeStubs]
        except ImportError as missing:
            raise ProviderUnavailable(f"Provider `{self._provider_id}` {NO_DRIVER}.") from missing
        return asyncpg

    async def _fetch(self, connection: Any, statement: str, values: Mapping[str, Value]) -> list[Row]:  # noqa: ANN401
        with self._translate_errors():
            return await _fetch(connection, statement, values)

    async def _take(self, pool: "Pool") -> "Loan":
        """A secret that was changed since it was read is read once more."""
        asyncpg = self._driver()

        with self._translate_errors(connecting=True):
            try:
                return await pool.take()
            except asyncpg.PostgresError as refusal:
                if refusal.sqlstate not in WRONG_PASSWORD:
                    raise
                used = await secrets.reveal(self._password)
                if await secrets.renew(self._password, used) is None:
                    raise
                return await pool.take()

    async def _pool(self) -> "Pool":
        with self._translate_errors(connecting=True):
            return await self._pools.get()

    @asynccontextmanager
    async def _open(self) -> AsyncGenerator["Pool"]:
        asyncpg = self._driver()
        from core.providers.pgvector.pool import Pool

        config = self._config
        pool = asyncpg.create_pool(
            host=config.host,
            port=config.port,
            database=config.db,
            user=config.user,
            password=self._reveal if self._password else None,
            ssl=self._tls(),
            min_size=config.pool_min_size,
            max_size=config.pool_max_size,
            statement_cache_size=config.statement_cache_size,
            command_timeout=config.command_timeout,
            timeout=config.connect_timeout,
            init=self._prepare,
            reset=_leave,
        )
        async with pool:
            loans = Pool(pool, acquire_timeout=config.acquire_timeout, release_timeout=config.command_timeout)
            try:
                yield loans
            finally:
                await loans.close()

    async def _prepare(self, connection: Any) -> None:  # noqa: ANN401
        """How statements are planned; what they answer does not depend on it.

        A plan for any vector and any filter, as a prepared statement has after five times, takes 20 times as long. And how much
        it costs to look at an index goes by how many candidates there will be, which a statement says too late.
        """
        await connection.execute(
            f"SET plan_cache_mode = force_custom_plan; SET hnsw.ef_search = {self._config.vector_index.ef_search}; "
            "SET hnsw.iterative_scan = strict_order"
        )

    async def _reveal(self) -> str:
        return await secrets.reveal(self._password)

    def _tls(self) -> str | ssl.SSLContext | bool:
        mode, authorities = self._config.ssl_mode, self._config.ssl_ca_file
        if mode == "verify-full":
            return ssl.create_default_context(cafile=authorities)
        return False if mode == "disable" else mode

    @contextmanager
    def _translate_errors(self, *, connecting: bool = False) -> Generator[None]:
        self._driver()
        try:
            yield
        except _failures() as failure:
            raise self._translate(failure, connecting=connecting) from failure

    def _translate(self, failure: Exception, *, connecting: bool = False) -> Exception:
        """While it is connecting, nothing can have been done."""
        asyncpg = self._driver()

        if isinstance(failure, asyncpg.PostgresConnectionError):
            ended = getattr(failure.__cause__, "sqlstate", "") in UNDONE  # what the server said at last
            return ConnectionLost(str(failure), done=not (connecting or ended))
        if isinstance(failure, asyncpg.PostgresError):
            state: str = getattr(failure, "sqlstate", None) or ""
            return ConnectionLost(str(failure), done=False) if state in UNDONE else SqlRefused(state, str(failure))
        if isinstance(failure, TimeoutError):
            return self._late(connecting=connecting)
        if isinstance(
            failure, asyncpg.InternalClientError
        ):  # the server's last word came before the statement was sent
            return ConnectionLost(str(failure), done=UNSENT not in str(failure))
        return self._lost(failure, connecting=connecting)

    def _late(self, *, connecting: bool) -> ProviderUnavailable | UpstreamTimeout:
        config = self._config
        if connecting:
            return ProviderUnavailable(
                f"Provider `{self._provider_id}` has no connection within {config.acquire_timeout:g} seconds: the database cannot be "
                f"reached, or all of `pool_max_size` ({config.pool_max_size}) are in use."
            )
        return UpstreamTimeout(
            f"Provider `{self._provider_id}` stopped a statement after `command_timeout`, {config.command_timeout:g} seconds."
        )

    def _lost(self, failure: Exception, *, connecting: bool) -> Exception:
        if isinstance(failure, ssl.SSLError) or "SSL upgrade" in str(failure):
            return ProviderUnavailable(
                f"Provider `{self._provider_id}` found no TLS at its database as `ssl: {self._config.ssl_mode}` asks for: "
                "name the authorities in `ssl_ca_file`, or write another `ssl`, such as `require` or `disable`."
            )
        return ConnectionLost(f"{type(failure).__name__}: {failure}", done=not connecting)


def _failures() -> tuple[type[Exception], ...]:
    """What asyncpg raises where a statement or a connection has failed."""
    import asyncpg  # pyright: ignore[reportMissingTypeStubs]

    return (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)


async def _fetch(connection: Any, statement: str, values: Mapping[str, Value]) -> list[Row]:  # noqa: ANN401 - no types
    text, names = number_values(statement)
    rows: list[Row] = await connection.fetch(text, *[values[name] for name in names])
    return rows


async def _leave(connection: object) -> None:
    """Nothing is set on a connection that would have to be reset."""
    del connection
