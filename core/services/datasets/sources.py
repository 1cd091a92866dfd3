"""Where the rows of a dataset come from: its provider, or the caller's files."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
import re
from typing import Any, Final

from pydantic_core import PydanticSerializationError, to_json

from core.apis.answers.datasets import PurposeName
from core.apis.datasets import SourceContent
from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.services.datasets.collection import DatasetCollection
from core.services.datasets.formats.rules import RowBlock, RowBounds
from core.services.datasets.purposes import check_rows
from core.services.parts import surface_for

FILE_ID: Final = re.compile(r"(?:file://)?(file-[0-9A-Za-z_-]{1,128})")
NEAR: Final = ("data:", "lsfs:", "file-", "file:")
"""Beginnings of uris that are read without asking another machine: how large they are is known at once."""
SMALL: Final = 1024 * 1024
"""Bytes of a source that is read in the answer which registers it."""
PARQUET: Final = b"PAR1"
MOST_ROW: Final = 1024 * 1024
"""Bytes of a row as JSON."""


def choose_provider(collection: DatasetCollection, wish: str | None, uri: str | None) -> str:
    """The id of the provider that is asked for, or of the one for such a source.

    As the reference has it: `huggingface` for what begins so, else `localfs`; where there is none of that name, the first.
    Where that one takes no such source, and one other does, it is the other.

    Raises:
        InvalidRequest: there is no provider of that id.
    """
    providers = collection.parts.providers("datasetio")
    names = list(providers)
    if wish is None:
        own = "huggingface" if uri is not None and uri.startswith("huggingface") else "localfs"
        own = own if own in names or not names else names[0]
        if uri is None or own not in names or _takes(providers[own], uri):
            return own
        takers = [name for name in names if hasattr(providers[name], "check_source") and _takes(providers[name], uri)]
        return takers[0] if len(takers) == 1 else own
    if wish not in names:
        raise InvalidRequest(
            f"There is no provider `{wish}` of datasets; there is {', '.join(f'`{name}`' for name in names)}.",
            param="provider_id",
        )
    return wish


def _takes(provider: object, uri: str) -> bool:
    try:
        check_source(provider, uri)
    except InvalidRequest:
        return False
    return True


def check_source(provider: Any, uri: str) -> None:  # noqa: ANN401 - see DatasetCollection.provider
    """Raise InvalidRequest for what would never be opened; asks nobody."""
    if FILE_ID.fullmatch(uri) is None and hasattr(provider, "check_source"):
        provider.check_source(uri)


async def open_source(collection: DatasetCollection, provider_id: str, uri: str) -> SourceContent:
    """As OpensSources.open, and raises as that; files are the caller's."""
    file = FILE_ID.fullmatch(uri)
    if file is not None:
        return await _open_file(collection, file[1])
    provider = collection.provider(provider_id)
    if not hasattr(provider, "open"):
        raise InvalidRequest(f"Provider `{provider_id}` opens no sources.", param="source")
    content: SourceContent = await collection.ask(provider.open(uri))
    return content


async def _open_file(collection: DatasetCollection, file_id: str) -> SourceContent:
    files = surface_for(collection.parts, "files", collection.call)
    if files is None:
        raise InvalidRequest("This stack serves no files: register the rows, or a uri.", param="source")
    file = await files.open(file_id)
    content = file.content
    return SourceContent(content.read(0, content.size), content.size, file.filename, content.media_type)


async def open_rows(collection: DatasetCollection, provider_id: str, uri: str) -> AsyncIterator[RowBlock]:
    """The rows of a source some at a time, each with its line; raises as `open_source`, and InvalidRequest for what is no row."""
    provider = collection.provider(provider_id)
    if FILE_ID.fullmatch(uri) is None and hasattr(provider, "read_rows"):
        pages = await collection.ask(provider.read_rows(uri))
        if pages is not None:
            async for rows in pages:
                yield RowBlock(rows, [encode_row(row, None) for row in rows])
            return
    async for group in decode_source(await open_source(collection, provider_id, uri)):
        yield group


async def decode_source(content: SourceContent) -> AsyncIterator[RowBlock]:
    from core.services.datasets.formats.reader import read_blocks

    bounds = RowBounds(row_bytes=MOST_ROW)
    async for rows in read_blocks(content.chunks, content.name, content.media_type, limit=bounds):
        yield rows


def encode_row(row: JsonObject, number: int | None) -> bytes:
    """Its line. Raises InvalidRequest, which names the row where it has a number."""
    name = "A row" if number is None else f"Row {number}"
    try:
        line = to_json(row, inf_nan_mode="null")
    except (PydanticSerializationError, UnicodeEncodeError, TypeError, ValueError) as broken:
        raise InvalidRequest(f"{name} cannot be kept as JSON.", param="rows") from broken
    if len(line) > MOST_ROW:
        raise InvalidRequest(f"{name} has more than {MOST_ROW} bytes as JSON, which is the limit.", param="rows")
    return line


async def check_groups(groups: AsyncIterator[RowBlock], purpose: PurposeName) -> AsyncGenerator[Sequence[bytes]]:
    """The lines, once each row has the columns of the purpose; raises InvalidRequest."""
    first = 1
    async for group in groups:
        check_rows(group.values, first, purpose)
        first += len(group)
        yield group.lines
