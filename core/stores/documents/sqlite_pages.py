"""Pages of documents in SQLite, of which no more is read than there is room for."""

from contextlib import ExitStack, closing
import sqlite3
from typing import Any, Final

from core.frame.types import JsonObject
from core.platform.sqlite_shared import Value
from core.stores.documents.codec import decode_owner, inflate_now, parse
from core.stores.documents.port import Document, DocumentPage

BODY: Final = "SELECT body FROM documents WHERE rowid = ?"


def document_of(collection: str, row: tuple[Any, ...], body: JsonObject) -> Document:
    id_, parent, created, revision, birth, until, owner, *_ = row
    owner = None if owner is None else decode_owner(owner)
    return Document(collection, id_, body, parent, owner, created, revision, until, birth)


def read_page(
    collection: str, statement: str, values: tuple[Value, ...], limit: int, most: int, connection: sqlite3.Connection
) -> DocumentPage:
    """Rows end in a rowid and a length: bodies are read one at a time, as long as they have room in `most` bytes.

    In a transaction, since a statement reads ahead: at its last row it keeps nothing as it was when it began.
    """
    documents, size = list[Document](), 0
    connection.execute("BEGIN")
    with ExitStack() as end:
        end.callback(connection.execute, "ROLLBACK")
        for row in end.enter_context(closing(connection.execute(statement, values))):
            if len(documents) == limit:
                return DocumentPage(documents, has_more=True, size=size)
            if size + row[-1] > most:
                return DocumentPage(documents, has_more=True, size=size, is_cut=True)
            content = inflate_now(connection.execute(BODY, (row[-2],)).fetchall()[0][0])
            if size + len(content) > most:
                return DocumentPage(documents, has_more=True, size=size, is_cut=True)
            size += len(content)
            documents.append(document_of(collection, row, parse(content)))
    return DocumentPage(documents, has_more=False, size=size)
