"""The tables that all stores share, their version, and the way up from an older one: processes that start at once take turns."""

from dataclasses import dataclass
from typing import Final

from core.errors import ProviderUnavailable
from core.providers.pgvector.config import Config
from core.providers.pgvector.database import NOTHING, Database, Run, SqlRefused, Value
from core.providers.pgvector.statements import StoreTable

MIGRATIONS: Final = (
    (
        """CREATE TABLE IF NOT EXISTS "{schema}"."llambda_vector_stores" (
            name text PRIMARY KEY, digest text NOT NULL UNIQUE, dimension integer NOT NULL, language text NOT NULL)""",
    ),
)
"""`MIGRATIONS[n]` are the statements from version n to n + 1; what was released never changes, the next is added."""
OLDEST: Final = (0, 8)  # version of pgvector: what searches an index on until there are enough for which a filter holds
LOCK: Final = "SELECT CAST(pg_advisory_xact_lock(hashtextextended(CAST(:name AS text), 0)) AS text)"
FIND: Final = """SELECT to_regclass(CAST(:name AS text)) IS NOT NULL,
    (SELECT extversion FROM pg_extension WHERE extname = 'vector'), current_setting('server_encoding')"""
DENIED: Final = "42501"
UNAVAILABLE: Final = frozenset({"0A000", "58P01", "22023", "42704"})


@dataclass(frozen=True, slots=True)
class Tables:
    """Those of one schema, of the provider that `provider_id` names in messages."""

    provider_id: str
    config: Config

    @property
    def _versions(self) -> str:
        return f'"{self.config.db_schema}"."llambda_vector_versions"'

    async def upgrade(self, database: Database) -> None:
        """Bring the tables up to date; with those of this version it is one or two short questions.

        Raises:
            ProviderUnavailable: they are of a newer llambda, or the database cannot have them.
        """
        if await self._read_version(database.run) == len(MIGRATIONS):
            return
        async with database.transaction() as run:
            await run(LOCK, {"name": f"llambda {self.config.db_schema}"})
            version = await self._read_version(run)
            if version < 0:
                await self._prepare(run)
                version = 0
            for statement in (one for migration in MIGRATIONS[version:] for one in migration):
                await run(statement.format(schema=self.config.db_schema), NOTHING)
            await run(f"DELETE FROM {self._versions}", NOTHING)
            await run(
                f"INSERT INTO {self._versions} (version) VALUES (CAST(:version AS bigint))",
                {"version": len(MIGRATIONS)},
            )

    async def create(self, database: Database, store: StoreTable) -> int:
        """Make the table of a store where it is missing; returns the dimension that the store has."""
        values: dict[str, Value] = {
            "name": store.name,
            "digest": store.digest,
            "dimension": store.dimension,
            "language": self.config.language,
        }
        async with database.transaction() as run:
            await run(LOCK, {"name": f"llambda {store.table}"})
            await run(
                f"""INSERT INTO {store.stores} (name, digest, dimension, language) VALUES (
                    CAST(:name AS text), CAST(:digest AS text), CAST(:dimension AS bigint), CAST(:language AS text))
                    ON CONFLICT DO NOTHING""",
                values,
            )
            find = f"SELECT dimension FROM {store.stores} WHERE name = CAST(:name AS text)"
            [(dimension,)] = await run(find, {"name": store.name})
            [(there,)] = await run("SELECT to_regclass(CAST(:name AS text)) IS NOT NULL", {"name": store.table})
            if dimension == store.dimension and not there:
                for statement in store.create():
                    await run(statement, NOTHING)
        return int(dimension)

    async def drop(self, database: Database, store: StoreTable) -> None:
        async with database.transaction() as run:
            await run(LOCK, {"name": f"llambda {store.table}"})
            await run(store.drop(), NOTHING)
            await run(f"DELETE FROM {store.stores} WHERE name = CAST(:name AS text)", {"name": store.name})

    async def _read_version(self, run: Run) -> int:
        """-1 where there are no tables."""
        [(there, extension, encoding)] = await run(FIND, {"name": self._versions})
        if encoding != "UTF8":
            raise self._unusable(f"is encoded as {encoding}: vector stores need one of UTF8")
        if not there:
            return -1
        if extension is None or _number(extension) < OLDEST:
            raise self._unusable(_advise(extension))
        [(version,)] = await run(f"SELECT coalesce(max(version), 0) FROM {self._versions}", NOTHING)
        if version > len(MIGRATIONS):
            raise self._unusable(
                f"was written by a newer llambda, whose vector stores have version {version}; this one knows {len(MIGRATIONS)}. "
                "Run that llambda, or name another `db_schema`"
            )
        return int(version)

    async def _prepare(self, run: Run) -> None:
        """The extension, the schema and the table of its version, each made where it is missing and may be made."""
        [(_, extension, _)] = await run(FIND, {"name": ""})
        schema = self.config.db_schema
        if extension is None:
            await self._try(run, "CREATE EXTENSION IF NOT EXISTS vector", _advise(None))
        elif _number(extension) < OLDEST:
            raise self._unusable(_advise(extension))
        [(there,)] = await run(
            "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = CAST(:name AS text))", {"name": schema}
        )
        advice = (
            f"has no schema `{schema}`, and the provider may not make one. As an administrator run: "
            f'CREATE SCHEMA "{schema}" AUTHORIZATION the user of the provider; or name another as `db_schema`'
        )
        if not there:
            await self._try(run, f'CREATE SCHEMA IF NOT EXISTS "{schema}"', advice)
        await self._try(
            run,
            f"CREATE TABLE IF NOT EXISTS {self._versions} (version bigint NOT NULL)",
            f"does not let the provider make tables in the schema `{schema}`. As an administrator run: "
            f'GRANT USAGE, CREATE ON SCHEMA "{schema}" TO the user of the provider',
        )
        [(_, extension, _)] = await run(FIND, {"name": ""})
        if extension is None or _number(extension) < OLDEST:
            raise self._unusable(_advise(extension))

    async def _try(self, run: Run, statement: str, advice: str) -> None:
        try:
            await run(statement, NOTHING)
        except SqlRefused as refusal:
            if refusal.state == DENIED or refusal.state in UNAVAILABLE:
                raise self._unusable(advice) from refusal
            raise

    def _unusable(self, fault: str) -> ProviderUnavailable:
        return ProviderUnavailable(f"The database of provider `{self.provider_id}` {fault}.")


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def _advise(extension: str | None) -> str:
    """What to run where pgvector is missing, or too old."""
    if extension is None:
        return (
            "has no pgvector, and the provider may not add it. As an administrator of the database run: CREATE EXTENSION vector; "
            "where the server has none, install pgvector 0.8 or newer first"
        )
    return f"has pgvector {extension}, which is too old. As an administrator run: ALTER EXTENSION vector UPDATE, to 0.8 or newer"
