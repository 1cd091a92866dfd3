"""The file of an ingest, as whoever adds it may read it."""

from typing import cast

from core.apis.files import Files, OpenFile
from core.errors import InvalidRequest, NotFound
from core.services.parts import surface_for
from core.services.vector_stores.file_records import StoreFiles
from core.services.vector_stores.ingest.failures import IngestFailed


async def open_file(files: StoreFiles, file_id: str) -> OpenFile:
    """The file, as the caller may read it.

    Raises:
        IngestFailed: there is none, or its bytes have not come yet.
        ApiError: it cannot be read now.
    """
    surface = cast("Files | None", surface_for(files.stores.parts, "files", files.stores.call))
    if surface is None:
        raise IngestFailed("server_error", "This stack keeps no files: add a provider of `files` to the run config.")
    try:
        return await surface.open(file_id, store_id=files.store.id)
    except NotFound:
        message = f"There is no file `{file_id}`: upload it by POST /v1/files, and add it with the id of the answer."
        raise IngestFailed("invalid_file", message) from None
    except InvalidRequest as refusal:
        raise IngestFailed("invalid_file", refusal.message) from None
