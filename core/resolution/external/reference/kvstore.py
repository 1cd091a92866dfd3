"""The `kvstore` of the reference: texts by keys in a SQLite file, where packages note what was registered."""

from datetime import datetime
from pathlib import Path
from typing import Any, Final

from core.errors import ProviderUnavailable
from core.platform.environment import environ, expand_home
from core.platform.json_values import to_object
from core.platform.sqlite_connection import SqliteConnection
from core.platform.sqlite_schema import Schema
from core.resolution.external.reference.helpers import MAKING
from core.resolution.external.reference.records import plain

PAIRS: Final = "CREATE TABLE IF NOT EXISTS pairs (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"
SCHEMA: Final = Schema("packages", ((PAIRS,),))
DEFAULT_FILE: Final = "~/.llambda/packages.db"
IN_RANGE: Final = "FROM pairs WHERE key >= ? AND key <= ? ORDER BY key"


class SqliteKVStore:
    """Keys begin with `prefix` in the file, which several may share; it is open while it is asked, since packages close none."""

    def __init__(self, path: Path, prefix: str) -> None:
        self._connection = SqliteConnection(path, SCHEMA, owner="A package's", unavailable=ProviderUnavailable)
        self._prefix = prefix

    async def set(self, key: str, value: str, expiration: datetime | None = None) -> None:
        """Kept for good: raises NotImplementedError for what is to expire."""
        if expiration is not None:
            raise NotImplementedError("what expires, in a kvstore")
        await self._execute("INSERT OR REPLACE INTO pairs VALUES (?, ?)", self._prefix + key, value)

    async def get(self, key: str) -> str | None:
        rows = await self._execute("SELECT value FROM pairs WHERE key = ?", self._prefix + key)
        return rows[0][0] if rows else None

    async def delete(self, key: str) -> None:
        await self._execute("DELETE FROM pairs WHERE key = ?", self._prefix + key)

    async def values_in_range(self, start_key: str, end_key: str) -> list[str]:
        bounds = (self._prefix + start_key, self._prefix + end_key)
        return [value for (value,) in await self._execute(f"SELECT value {IN_RANGE}", *bounds)]

    async def keys_in_range(self, start_key: str, end_key: str) -> list[str]:
        bounds = (self._prefix + start_key, self._prefix + end_key)
        rows = await self._execute(f"SELECT key {IN_RANGE}", *bounds)
        return [key.removeprefix(self._prefix) for (key,) in rows]

    async def shutdown(self) -> None:
        """Nothing: it is closed."""

    async def _execute(self, statement: str, *values: str) -> list[tuple[Any, ...]]:
        try:
            return await self._connection.execute(statement, *values)
        finally:
            await self._connection.close()


class MemoryKVStore:
    """On Lambda, for what a provider of a remote notes: the stack registers all of it again in each process."""

    def __init__(self) -> None:
        self._pairs: dict[str, str] = {}

    async def set(self, key: str, value: str, expiration: datetime | None = None) -> None:
        del expiration
        self._pairs[key] = value

    async def get(self, key: str) -> str | None:
        return self._pairs.get(key)

    async def delete(self, key: str) -> None:
        self._pairs.pop(key, None)

    async def values_in_range(self, start_key: str, end_key: str) -> list[str]:
        return [self._pairs[key] for key in await self.keys_in_range(start_key, end_key)]

    async def keys_in_range(self, start_key: str, end_key: str) -> list[str]:
        return sorted(key for key in self._pairs if start_key <= key <= end_key)

    async def shutdown(self) -> None:
        """Nothing: it goes with its process."""


async def kvstore_impl(config: Any) -> SqliteKVStore | MemoryKVStore:  # noqa: ANN401 - of any version
    """By the file that it names, or else by its namespace in one for all packages.

    Raises:
        ProviderUnavailable: it is to be no file, or a provider that has no remote keeps one on Lambda, where it is gone with
            its environment.
    """
    fields = to_object(plain(config))
    kind = fields.get("type") or "sqlite"
    if "sqlite" not in str(kind):
        raise ProviderUnavailable(
            f"This provider's package is for Llama Stack: its kvstore is a SQLite file here, not {kind}; write `type: sqlite` and a `db_path`."
        )
    if environ().get("AWS_LAMBDA_FUNCTION_NAME"):
        if MAKING.get().startswith("remote::"):
            return MemoryKVStore()
        raise ProviderUnavailable(
            "This provider's package keeps a kvstore in a file, which Lambda does not: use a provider of llambda's own, as "
            "`remote::s3-vectors`."
        )
    namespace = fields.get("namespace")
    prefix = f"{namespace}:" if isinstance(namespace, str) and namespace else ""
    return SqliteKVStore(Path(expand_home(str(fields.get("db_path") or DEFAULT_FILE), environ())), prefix)
