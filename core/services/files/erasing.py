"""What a principal keeps of files: records with their bytes, uploads in parts, and the tally of both."""

from functools import partial

from core.routing.policy import owner_list
from core.services.erasure import Erase, Estate, Piece, Pieces
from core.services.extracts import Extract, extract_bytes, extract_json, path_of
from core.services.files.collection import FileCollection
from core.services.files.keeping import removal, tally_id
from core.services.files.parts import UploadParts
from core.services.files.records import FILE, PART, UPLOAD, FileRecord, PartRecord, UploadRecord, show_file, show_upload
from core.services.files.sweeping import forget_owner
from core.services.files.uses import take_out
from core.services.parts import Parts
from core.stores.connect import DOCUMENTS
from core.stores.documents.port import Document
from core.stores.documents.walking import walk_pages


def erase(parts: Parts) -> Erase | None:
    """None where the run config names no place for files."""
    return None if parts.stores.find(DOCUMENTS) is None else partial(_pieces, FileCollection(parts, None))


async def _pieces(files: FileCollection, estate: Estate) -> Pieces:
    owner = owner_list(estate.principal)
    async for documents in walk_pages(files.store, UPLOAD, owner):
        yield [
            Piece("uploads", partial(_remove_upload, files, document), read=partial(_read_upload, files, document))
            for document in documents
        ]
    async for documents in walk_pages(files.store, FILE, owner):
        yield [
            Piece(
                "files",
                partial(_remove_file, files, document),
                bytes=FileRecord.read(document.body).bytes,
                read=partial(_read_file, files, document),
            )
            for document in documents
        ]
    yield [Piece("", partial(_forget_tally, files, owner))]


async def _read_file(files: FileCollection, document: Document) -> Extract:
    """What is said of it, and its bytes, if they have come."""
    record = FileRecord.read(document.body)
    async for file in extract_json(path_of("files", document.id, "file.json"), show_file(document)):
        yield file
    if record.status == "processed":
        chunks = files.storages.get(record.provider_id).read(record.key)
        async for file in extract_bytes(path_of("files", document.id, "content"), chunks):
            yield file


async def _read_upload(files: FileCollection, document: Document) -> Extract:
    async for file in extract_json(path_of("uploads", document.id, "upload.json"), show_upload(document, None)):
        yield file
    async for documents in walk_pages(files.store, PART, document.id):
        for part in documents:
            record = PartRecord.read(part.body)
            chunks = files.storages.get(record.provider_id).read(record.key)
            async for file in extract_bytes(path_of("uploads", document.id, "parts", part.id), chunks):
                yield file


async def _remove_file(files: FileCollection, document: Document) -> bool:
    """And out of the stores that have taken it in, whose ever they are."""
    await take_out(files.parts, document.id)
    return True


async def _remove_upload(files: FileCollection, document: Document) -> bool:
    """Whoever puts it together meanwhile finds it gone, and removes the file that it has made of it."""
    record = UploadRecord.read(document.body)
    is_counted = record.status in {"pending", "completing"}  # its file is, or nothing is
    await UploadParts(files, document.id).erase()
    await files.store.delete(document, tally=removal(document.parent, record) if is_counted else ())
    return True


async def _forget_tally(files: FileCollection, owner: str) -> bool:
    """Unless the principal has made something meanwhile, which is counted."""
    pages = [await files.store.page(collection, owner, limit=1) for collection in (FILE, UPLOAD)]
    if not any(page.documents for page in pages):
        await files.store.drop_tallies(FILE, tally_id(owner))
        await forget_owner(files, owner)
    return True
