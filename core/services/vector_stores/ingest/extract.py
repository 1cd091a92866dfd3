"""A file to its text: of what kind it is, by its content first, then by its name and its media type."""

from collections.abc import Generator
import re
from typing import BinaryIO, Final

from core.services.vector_stores.ingest.limits import ExtractLimits, Unreadable, bounded
from core.services.vector_stores.ingest.packages import BROKEN, ENCRYPTED

HEAD: Final = 1024
BLOCK: Final = 1024 * 1024
OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
OFFICE: Final = (".docx", ".pptx", ".xlsx", ".docm", ".pptm", ".xlsm")
PAGES: Final = (".html", ".htm", ".xhtml")
PAGE_TYPES: Final = ("text/html", "application/xhtml+xml")
_PAGE: Final = re.compile(rb"(<!doctype\s+html|<html[\s>])", re.IGNORECASE)
_ENCRYPTED_PACKAGE: Final = "EncryptedPackage".encode("utf-16-le")


def extract_text(
    file: BinaryIO, filename: str, media_type: str = "", limits: ExtractLimits | None = None
) -> Generator[str]:
    """The text piece by piece, the same each time; nothing that is read is whole in memory.

    `file` can seek. Everything here blocks: let a thread ask for the pieces.

    Raises:
        Unreadable: from the iterator; there is no text to be had, and trying again is in vain.
    """
    limits = limits or ExtractLimits()
    return bounded(_read(file, filename.lower(), media_type.partition(";")[0].strip().lower(), limits), limits)


def _read(file: BinaryIO, name: str, media_type: str, limits: ExtractLimits) -> Generator[str]:
    file.seek(0)
    head = file.read(HEAD)
    file.seek(0)
    if not head:
        raise Unreadable("invalid_file", "This file is empty.")
    if b"%PDF-" in head:
        from core.services.vector_stores.ingest.pdf import read_pdf

        yield from read_pdf(file, limits)
        return
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        from core.services.vector_stores.ingest.office import read_office

        yield from read_office(file, limits)
        return
    _refuse_others(file, head, name)
    from core.services.vector_stores.ingest.plain import read_page, read_text

    is_page = _begins_page(head) or name.endswith(PAGES) or media_type in PAGE_TYPES
    yield from read_page(file) if is_page else read_text(file)


def _refuse_others(file: BinaryIO, head: bytes, name: str) -> None:
    if head.startswith(OLE):
        if _has_encrypted_package(file):
            raise Unreadable("unsupported_file", ENCRYPTED)
        message = "Old documents of Office are not read; save it as .docx, .pptx or .xlsx."
        raise Unreadable("unsupported_file", message)
    if head.startswith(b"{\\rtf"):
        raise Unreadable("unsupported_file", "Rich text (.rtf) is not read; save it as .docx or as text.")
    if name.endswith((".pdf", *OFFICE)):
        raise Unreadable("invalid_file", BROKEN)


def _begins_page(head: bytes) -> bool:
    head = head.lstrip()
    while head.startswith(b"<!--"):
        head = head.partition(b"-->")[2].lstrip()
    return _PAGE.match(head) is not None


def _has_encrypted_package(file: BinaryIO) -> bool:
    rest = b""
    while block := file.read(BLOCK):
        if _ENCRYPTED_PACKAGE in rest + block:
            return True
        rest = block[-len(_ENCRYPTED_PACKAGE) :]
    return False
