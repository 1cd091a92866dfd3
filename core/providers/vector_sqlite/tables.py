"""The tables of vector stores in a SQLite file, and how a filter and a search for words are printed for them.

An index has a table of words of its own, so that how rare a word is goes by one store and nobody else's.
"""

from dataclasses import dataclass, replace
from typing import Final

from core.apis.vector_filters import Combination, Comparison, Filter, Scalar
from core.apis.vector_words import CHARACTER, searched_words
from core.platform.sqlite_schema import Schema

SCHEMA: Final = Schema(
    "vectors",
    (
        (
            # `change` grows with each write; `epoch` when `vector_removals` forgets, after which all is read again.
            """CREATE TABLE IF NOT EXISTS vector_indexes (
                id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, dimension INTEGER NOT NULL,
                change INTEGER NOT NULL, epoch INTEGER NOT NULL)""",
            # A chunk that is put again has a new id: what is above the highest that a process has seen is new to it.
            """CREATE TABLE IF NOT EXISTS vector_chunks (
                id INTEGER PRIMARY KEY AUTOINCREMENT, index_id INTEGER NOT NULL, key TEXT NOT NULL, norm REAL NOT NULL,
                vector BLOB NOT NULL, attributes TEXT NOT NULL, metadata TEXT NOT NULL, source TEXT NOT NULL,
                filename TEXT NOT NULL, text TEXT NOT NULL, UNIQUE (index_id, key))""",
            "CREATE INDEX IF NOT EXISTS vector_chunks_by_index ON vector_chunks (index_id)",
            # `value` has no type: text, a number as REAL, or 0 and 1; `type` tells them apart.
            """CREATE TABLE IF NOT EXISTS vector_attributes (
                index_id INTEGER NOT NULL, key TEXT NOT NULL, type TEXT NOT NULL, value NOT NULL, chunk INTEGER NOT NULL,
                PRIMARY KEY (index_id, key, type, value, chunk)) WITHOUT ROWID""",
            "CREATE INDEX IF NOT EXISTS vector_attributes_by_chunk ON vector_attributes (chunk)",
            """CREATE TABLE IF NOT EXISTS vector_removals (
                index_id INTEGER NOT NULL, change INTEGER NOT NULL, chunk INTEGER NOT NULL,
                PRIMARY KEY (index_id, change, chunk)) WITHOUT ROWID""",
        ),
    ),
)
CHUNKS: Final = "SELECT chunk FROM vector_attributes WHERE index_id = ? AND key = ?"
EVERY: Final = "SELECT id AS chunk FROM vector_chunks WHERE index_id = ?"
ORDERS: Final = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}

type Values = list[str | int | float]


def words_table(index_id: int) -> str:
    return f"vector_words_{index_id:d}"


def create_words(index_id: int) -> str:
    return f"""CREATE VIRTUAL TABLE {words_table(index_id)} USING fts5(
        text, content='', tokenize="unicode61 remove_diacritics 2")"""


def to_words(text: str) -> str:
    """The text as the table of words has it.

    A chunk is taken out of a table by the same words that it came with: what is changed here is another version of the schema.
    """
    return CHARACTER.sub(r" \1 ", text).replace("\0", " ")


def to_match(text: str) -> str:
    """A search for any of the words of the text; "" where it has none. Each is in quotes."""
    return " OR ".join([f'"{word}"' for word in searched_words(text)])


def to_typed(value: Scalar) -> tuple[str, str | float]:
    """The type and the value of an attribute as its table has them."""
    match value:
        case bool():
            return "boolean", int(value)
        case str():
            return "text", value
        case _:
            return "number", float(value)


@dataclass(frozen=True, slots=True)
class _Chunks:
    """Those of an index that a SELECT with these values has, or, where it is `inverted`, all others."""

    select: str
    values: Values
    inverted: bool = False

    def invert(self) -> "_Chunks":
        return replace(self, inverted=not self.inverted)


def to_sql(tree: Filter, index_id: int, values: Values) -> str:
    """A SELECT of the chunks of an index for which the filter holds, each once; what it compares with is added to `values`."""
    chunks = _print(tree, index_id)
    if not chunks.inverted:
        values += chunks.values
        return chunks.select
    values += [index_id, *chunks.values]
    return f"{EVERY} EXCEPT SELECT chunk FROM ({chunks.select})"  # noqa: S608 - values are bound


def _print(tree: Filter, index_id: int) -> _Chunks:
    if isinstance(tree, Combination):
        parts = [_print(part, index_id) for part in tree.filters]
        if tree.operator == "and":
            return _intersect(parts)
        return _intersect([part.invert() for part in parts]).invert()
    if (order := ORDERS.get(tree.operator)) is not None and not isinstance(tree.value, tuple):
        return _Chunks(f"{CHUNKS} AND type = 'number' AND value {order} ?", [index_id, tree.key, float(tree.value)])
    equal = _equal(tree, index_id)
    return equal if tree.operator in {"eq", "in"} else equal.invert()


def _intersect(parts: list[_Chunks]) -> _Chunks:
    """What is in all of them: all chunks of the index are looked at for the whole of a filter, if at all."""
    parts = sorted(parts, key=lambda part: part.inverted)
    inverted = parts[0].inverted
    words = [" UNION " if inverted else " EXCEPT " if part.inverted else " INTERSECT " for part in parts]
    select = "".join(f"{word}SELECT chunk FROM ({part.select})" for word, part in zip(words, parts, strict=True))  # noqa: S608
    return _Chunks(select.removeprefix(words[0]), [value for part in parts for value in part.values], inverted)


def _equal(comparison: Comparison, index_id: int) -> _Chunks:
    options = comparison.value if isinstance(comparison.value, tuple) else (comparison.value,)
    by_type: dict[str, dict[str | float, None]] = {}
    for type_, value in map(to_typed, options):
        by_type.setdefault(type_, {})[value] = None
    # A chunk has one value of each attribute, so that no SELECT has what another has.
    select = " UNION ALL ".join(
        [f"{CHUNKS} AND type = ? AND value IN ({', '.join('?' * len(different))})" for different in by_type.values()]
    )
    values: Values = []
    for type_, different in by_type.items():
        values += [index_id, comparison.key, type_, *different]
    return _Chunks(select, values)
