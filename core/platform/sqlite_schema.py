"""The tables of a kind of store in a SQLite file: their version, which the file keeps, and the way up from an older one.

A table `schema_versions` has a row for each kind, as several may share a file. Processes that open it at once take turns:
the first brings the tables up to date, in one transaction; the others find them so.
"""

from dataclasses import dataclass
from itertools import chain
import sqlite3
from typing import Final

VERSIONS: Final = """CREATE TABLE IF NOT EXISTS schema_versions (
    kind TEXT NOT NULL PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID"""
READ: Final = "SELECT version FROM schema_versions WHERE kind = ?"
HAS_VERSIONS: Final = "SELECT 1 FROM sqlite_schema WHERE name = 'schema_versions'"
WRITE: Final = "INSERT OR REPLACE INTO schema_versions VALUES (?, ?)"


class NewerSchema(sqlite3.DatabaseError):
    """The tables are of a version that this code does not know."""


@dataclass(frozen=True, slots=True)
class Schema:
    """`migrations[n]` are the statements from version n to n + 1; what was released never changes, the next is added.

    Those of the first say IF NOT EXISTS: a file from before versions were kept has the tables of version 1, and no row.
    Those `beside` are of tables that are written with these, in one transaction; to read these, nobody needs them.
    """

    kind: str
    migrations: tuple[tuple[str, ...], ...]
    beside: tuple["Schema", ...] = ()

    def upgrade(self, connection: sqlite3.Connection) -> None:
        """Bring the tables up to date, in the transaction that has the file for itself.

        Raises:
            NewerSchema: a newer llambda has done so.
        """
        connection.execute(VERSIONS)
        version, newest = self._version(connection), len(self.migrations)
        if version < newest:
            for statement in chain.from_iterable(self.migrations[version:]):
                connection.execute(statement)
            connection.execute(WRITE, (self.kind, newest))
        for schema in self.beside:
            schema.upgrade(connection)

    def require(self, connection: sqlite3.Connection) -> None:
        """Do nothing where the tables are up to date.

        Raises:
            NewerSchema: a newer llambda has written them.
            sqlite3.OperationalError: they are older, or not there.
        """
        if connection.execute(HAS_VERSIONS).fetchone() is None or self._version(connection) < len(self.migrations):
            raise sqlite3.OperationalError(
                f"its {self.kind} are of an older version, or not there, and the file system is read-only; "
                "open it once where it can be written"
            )

    def _version(self, connection: sqlite3.Connection) -> int:
        row = connection.execute(READ, (self.kind,)).fetchone()
        version: int = 0 if row is None else row[0]
        if version > len(self.migrations):
            raise NewerSchema(
                f"it was written by a newer llambda, whose {self.kind} have version {version}; "
                f"this one knows {len(self.migrations)}. Run that llambda, or name another file"
            )
        return version
