"""Files that the stack makes for their owner, as the output of a batch: each once, however often whoever makes it begins again."""

from collections.abc import AsyncIterator
from hashlib import sha256

from core.apis.files import MadeFile
from core.errors import Conflict
from core.frame.callers import principal_of
from core.routing.policy import owner_of
from core.services.files.collection import FileCollection
from core.services.files.keeping import addition, counts
from core.services.files.records import FILE, FileRecord
from core.services.files.storages import FOLDER, life_of
from core.stores.documents.port import Document


async def keep_made(files: FileCollection, made: MadeFile, content: AsyncIterator[bytes]) -> Document:
    """See `core.apis.files.Files.keep`. Two that make it at the same time write the same bytes to the same place."""
    earlier = await files.store.get(FILE, made.file_id)
    if earlier is not None:
        return earlier
    storages, principal = files.storages, principal_of(files.call)
    seconds = storages.ttl_seconds if made.seconds is None else made.seconds
    key = f"{FOLDER}/{life_of(seconds)}/{made.file_id.removeprefix('file-')}"
    digest = sha256()

    async def digested() -> AsyncIterator[bytes]:
        async for chunk in content:
            digest.update(chunk)
            yield chunk

    provider_id = storages.first_id
    blob = await storages.get(provider_id).put(key, digested(), media_type=made.media_type)
    now, limits = int(files.clock()), files.parts.keep_limits(principal)
    record = FileRecord(
        filename=made.filename,
        purpose=made.purpose,
        bytes=blob.size,
        provider_id=provider_id,
        key=blob.key,
        expires_at=None if seconds is None else now + seconds,
        media_type=made.media_type,
        etag=digest.hexdigest(),
        counted=counts(limits),
    )
    document = Document(FILE, made.file_id, record.body(), files.owner, owner_of(principal), now)
    try:
        return await files.store.create(document, tally=addition(files.owner, record.bytes, limits, holds=False))
    except Conflict:  # another was first
        return await files.store.get(FILE, made.file_id) or document
