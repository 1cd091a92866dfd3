"""The table of a store, and the statements that are asked of it.

A table for each store, since an HNSW index is of vectors of one dimension and of one store alone; what a store is called is
in `llambda_vector_stores`, and its table's name a digest of that. Nothing of a caller is in a statement but as a value.
Source: https://github.com/pgvector/pgvector.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from core.providers.pgvector.config import Config

MOST_INDEXED_FULL: Final = 2000  # dimensions that HNSW takes as they are, and twice as many in half precision
MOST_INDEXED_HALF: Final = 4000
MOST_BESIDE: Final = 1500  # dimensions: a page has 8 KB
COLUMNS: Final = ("key", "embedding", "attributes", "metadata", "source", "filename", "text", "words")
KEPT: Final = ("text", "attributes", "metadata", "source", "filename")
PRESENTED: Final = ("text", "CAST(attributes AS text)", "metadata", "source", "filename")
SETTINGS: Final = """(SELECT set_config('hnsw.iterative_scan', 'strict_order', true)
            || set_config('hnsw.ef_search', CAST(:candidates AS text), true)) IS NOT NULL"""
VECTOR: Final = "CAST(CAST(:vector AS text) AS vector)"
EXACT: Final = f"embedding <=> {VECTOR}"
DEPTH: Final = "CAST(:depth AS bigint)"
OF_A_ROW: Final = 200  # bytes beside its texts
RECIPROCAL: Final = 60
GIVEN: Final = "CAST(:language AS regconfig)"
KEYS: Final = "json_array_elements_text(CAST(:keys AS json))"
ASKED: Final = f"asked AS (SELECT value AS key, CAST(0 AS float8) AS score FROM {KEYS})"
TABLE_ID: Final = "CAST(store.tableoid AS bigint)"
SCORE: Final = "coalesce(1 - nullif(distance, 'NaN'), 0) AS score"
FUSED: Final = f"""shares AS (
        SELECT key, row_number() OVER (ORDER BY distance, key) AS place FROM nearest
        UNION ALL SELECT key, row_number() OVER (ORDER BY rank DESC, key) FROM found),
    ranked AS (
        SELECT key, sum(CAST({RECIPROCAL + 1} AS float8) / ({RECIPROCAL} + place)) / 2 AS score
        FROM shares GROUP BY key ORDER BY score DESC, key LIMIT CAST(:limit AS bigint))"""


@dataclass(frozen=True, slots=True, eq=False)
class StoreTable:
    """The table of the store that its provider calls `name`, with vectors of `dimension` numbers.

    `bounded`: of rows that are asked for, as many are whole as there is `:room` for.
    """

    config: Config
    name: str
    dimension: int
    bounded: bool = False

    @property
    def digest(self) -> str:
        """What its table and indexes are called by: of whatever the name is, letters and digits."""
        return f"vs_{sha256(self.name.encode(errors='surrogatepass')).hexdigest()[:40]}"

    @property
    def table(self) -> str:
        return f'"{self.config.db_schema}"."{self.digest}"'

    @property
    def stores(self) -> str:
        return f'"{self.config.db_schema}"."llambda_vector_stores"'

    @property
    def is_indexed(self) -> bool:
        """Whether its vectors are found by an index."""
        return self.dimension <= MOST_INDEXED_HALF

    @property
    def _operands(self) -> tuple[str, str]:
        """The column and the value that are compared, as the index has them."""
        if MOST_INDEXED_FULL < self.dimension <= MOST_INDEXED_HALF:
            half = f"halfvec({self.dimension})"
            return f"CAST(embedding AS {half})", f"CAST({VECTOR} AS {half})"
        return "embedding", VECTOR

    def create(self) -> list[str]:
        """What makes the table and its indexes.

        Vectors that fit stay beside their rows: the planner takes no account of what it costs to read them elsewhere, and
        would look at all of a large table rather than at the index.
        """
        name, index = self.digest, self.config.vector_index
        statements = [
            f"""CREATE TABLE {self.table} (
                key text COLLATE "C" PRIMARY KEY, embedding vector({self.dimension}) NOT NULL, attributes jsonb NOT NULL,
                metadata text NOT NULL, source text NOT NULL, filename text NOT NULL, text text NOT NULL,
                words tsvector NOT NULL)""",
            f'CREATE INDEX "{name}_words" ON {self.table} USING gin (words)',
            f'CREATE INDEX "{name}_attributes" ON {self.table} USING gin (attributes jsonb_path_ops)',
        ]
        if self.dimension <= MOST_BESIDE:
            statements.append(f"ALTER TABLE {self.table} ALTER COLUMN embedding SET STORAGE PLAIN")
        if self.is_indexed:
            column = self._operands[0]
            kind = "vector" if column == "embedding" else "halfvec"
            statements.append(
                f'CREATE INDEX "{name}_hnsw" ON {self.table} USING hnsw (({column}) {kind}_cosine_ops) '
                f"WITH (m = {index.m}, ef_construction = {index.ef_construction})"
            )
        return statements

    def drop(self) -> str:
        return f"DROP TABLE IF EXISTS {self.table}"

    def put(self) -> str:
        """`:chunks` is a list of rows as JSON. Sorted, so that two who put the same keys do not wait for each other."""
        types = [f"{name} {'jsonb' if name == 'attributes' else 'text'}" for name in COLUMNS]
        values = {"embedding": "CAST(embedding AS vector)", "words": f"to_tsvector({self._language()}, words)"}
        changes = [f"{name} = excluded.{name}" for name in COLUMNS[1:]]
        return f"""INSERT INTO {self.table} ({", ".join(COLUMNS)})
            SELECT {", ".join(values.get(name, name) for name in COLUMNS)}
            FROM json_to_recordset(CAST(:chunks AS json)) AS rows ({", ".join(types)}) ORDER BY key COLLATE "C"
            ON CONFLICT (key) DO UPDATE SET {", ".join(changes)}"""

    def delete(self) -> str:
        """The rows are locked in the order in which they are put."""
        return f"""DELETE FROM {self.table} WHERE key IN (
            SELECT key FROM {self.table} WHERE key IN (SELECT value FROM {KEYS}) ORDER BY key FOR UPDATE)"""

    def keys(self) -> str:
        """A page of those that begin with `:prefix`."""
        return f"""SELECT key FROM {self.table} WHERE starts_with(key, CAST(:prefix AS text)) AND key > CAST(:after AS text)
            ORDER BY key LIMIT CAST(:limit AS bigint)"""

    def fetch(self, *, with_vectors: bool) -> str:
        return self._present([ASKED], "asked", with_vectors=with_vectors)

    def search(self, by: Iterable[str], condition: str, *, with_vectors: bool, given: bool = False) -> str:
        """`by` has `words`, and may have `vector` too; `condition` is a filter's, "" where there is none.

        Each ranking has `:depth` rows at most, and of both together there are `:limit`. The language of the words is `given` as
        `:language`, or looked up. Where answers are not bounded, rows end with the id of the table, and the language that was looked up.
        """
        condition = condition or "true"
        words = GIVEN if given else self._language()
        beside = [] if self.bounded else [TABLE_ID] if given else [TABLE_ID, self._read_language()]
        if "vector" not in by:
            columns = (*KEPT, *(["embedding"] if with_vectors else []), *(["tableoid"] if beside else []))
            found = f"({self._with_words(condition, 'score', words, columns)})"
            return self._present([], found, with_vectors=with_vectors, joined=False, beside=beside)
        found = f"found AS ({self._with_words(condition, 'rank', words)})"
        return self._present(
            [*self._nearest(condition), found, FUSED], "ranked", with_vectors=with_vectors, beside=beside
        )

    def near(self, condition: str, *, with_vectors: bool, settings: bool) -> str:
        """The nearest by the index, which may be fewer than there are. Without `settings` it is looked at as the session has them."""
        columns = (*KEPT, *(["embedding"] if with_vectors else []))
        return self._by_vector(
            self._indexed(condition or "true", columns, settings=settings), with_vectors=with_vectors
        )

    def nearest(self, condition: str, *, with_vectors: bool) -> str:
        """The nearest by a look at all."""
        columns = (*KEPT, *(["embedding"] if with_vectors else []))
        return self._by_vector(self._every(condition or "true", columns), with_vectors=with_vectors)

    def _by_vector(self, rows: str, *, with_vectors: bool) -> str:
        """With all that is presented in the `rows`: to look for them again by their keys would take a tenth of a search."""
        ranked = f"(SELECT near.*, {SCORE} FROM ({rows}) AS near)"
        return self._present([], ranked, with_vectors=with_vectors, joined=False)

    def _nearest(self, condition: str) -> list[str]:
        """The nearest by the index; and where that has fewer than are asked for, by looking at all, so that none is missed."""
        if not self.is_indexed:
            return [f"nearest AS ({self._every(condition)})"]
        return [
            f"near AS MATERIALIZED ({self._indexed(condition)})",
            f"every AS ({self._every(f'(SELECT count(*) FROM near) < {DEPTH} AND {condition}')})",
            f"""nearest AS (SELECT key, distance FROM near WHERE (SELECT count(*) FROM near) >= {DEPTH}
                UNION ALL SELECT key, distance FROM every)""",
        ]

    def _indexed(self, condition: str, columns: Iterable[str] = (), *, settings: bool = True) -> str:
        """The index is looked at until there are enough for which the condition holds.

        Its settings are for this statement alone: a condition that no row decides is looked at first, and once.
        """
        column, value = self._operands
        order = "distance" if column == "embedding" else f"{column} <=> {value}"
        set_first = f"{SETTINGS} AND " if settings else ""
        return f"""SELECT {", ".join(["key", *columns])}, {EXACT} AS distance FROM {self.table}
                WHERE {set_first}{condition} ORDER BY {order} LIMIT {DEPTH}"""

    def _every(self, condition: str, columns: Iterable[str] = ()) -> str:
        """What the condition holds for, by a look at all of it: no index serves what is sorted outside of an OFFSET."""
        names = ", ".join(["key", *columns])
        return f"""SELECT {names}, distance FROM (
                SELECT {names}, {EXACT} AS distance FROM {self.table} WHERE {condition} OFFSET 0) AS possible
            ORDER BY distance, key LIMIT {DEPTH}"""

    def _with_words(self, condition: str, rank: str, language: str, columns: Iterable[str] = ()) -> str:
        """What has any of the words; a rank is between 0 and 1, whatever the length of a text: chunks have about the same."""
        names = ", ".join(["key", *columns])
        return f"""SELECT {names}, CAST(ts_rank(words, asked, 32) AS float8) AS {rank}
                FROM {self.table}, websearch_to_tsquery({language}, CAST(:words AS text)) AS asked
                WHERE words @@ asked AND {condition} ORDER BY {rank} DESC, key LIMIT {DEPTH}"""

    def _language(self) -> str:
        return f"CAST({self._read_language()} AS regconfig)"

    def _read_language(self) -> str:
        """The one that the store was made with."""
        return f"(SELECT language FROM {self.stores} WHERE name = CAST(:store AS text))"

    def _present(
        self, parts: list[str], source: str, *, with_vectors: bool, joined: bool = True, beside: Iterable[str] = ()
    ) -> str:
        """The rows of `source`, best first; beyond what an answer has room for, keys and scores alone.

        `joined`: there are keys and scores alone in it. `beside`: columns that follow the others.
        """
        vector = "encode(vector_send(embedding), 'base64')" if with_vectors else "CAST(NULL AS text)"
        columns = [*PRESENTED, vector]
        rows = (
            f"FROM {source} JOIN {self.table} AS store ON store.key = {source}.key"
            if joined
            else f"FROM {source} AS store"
        )
        if self.bounded:
            size = " + ".join([f"octet_length({name})" for name in PRESENTED])
            used = f"sum({size} + {OF_A_ROW + 6 * self.dimension * with_vectors}) OVER (ORDER BY score DESC, store.key)"
            whole = "store.*, score" if joined else "store.*"
            rows = f"FROM (SELECT {whole}, {used} AS used {rows}) AS store"
            columns = [f"CASE WHEN used <= CAST(:room AS bigint) THEN {name} END" for name in columns]
        columns += beside
        before = f"WITH {', '.join(parts)} " if parts else ""
        return f"""{before}SELECT store.key, score, {", ".join(columns)} {rows}
            ORDER BY score DESC, store.key"""
