"""The text of a document of the RAG tool: as it is given, or of the bytes that a URL stands for."""

from base64 import b64decode
import binascii
from collections.abc import Awaitable, Callable
import io
import re
from typing import Final
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from core.apis.rag import Fetched, RagDocument
from core.errors import InvalidRequest
from core.platform.json_values import is_object
from core.services.vector_stores.ingest.chunks import split
from core.services.vector_stores.ingest.extract import extract_text
from core.services.vector_stores.ingest.limits import ExtractLimits, Unreadable
from core.services.vector_stores.native import text_of

LIMITS: Final = ExtractLimits(text=5_000_000, seconds=20.0)
"""Of one document: a caller waits for it."""
NOTHING: Final = "This document has no text."
NO_DATA_URL: Final = (
    "This is no data: URL, which is `data:text/plain;base64,` with base64 after it, or `data:,` with escaped text."
)
OTHER_SCHEME: Final = "Documents are fetched by http:// and https://, or are in a data: URL. For a file of your own, send its text, or upload it to /v1/files."
_URL: Final = re.compile(r"(https?|data|file):\S+", re.IGNORECASE)
_DATA: Final = re.compile(r"data:([^,;]*)((?:;[^,;]*)*),(.*)\Z", re.IGNORECASE | re.DOTALL)

type Fetch = Callable[[str, str], Awaitable[Fetched]]
"""From a URL, and the path of the field that has it, to what it stands for."""


def url_of(document: RagDocument) -> str | None:
    """The URL that the document is at; None of one that is here. A text that is nothing but a URL is one, as in 0.2."""
    content = document.content
    if is_object(content) and isinstance(content.get("uri"), str):
        return str(content["uri"])
    return content if isinstance(content, str) and _URL.fullmatch(content) else None


async def fetch_content(url: str, path: str, fetch: Fetch) -> Fetched:
    """Raises InvalidRequest for what cannot be got."""
    scheme = url[:5].lower()
    if scheme == "data:":
        return read_data_url(url, path)
    if not scheme.startswith("http"):
        raise InvalidRequest(OTHER_SCHEME, param=path)
    return await fetch(url, path)


def read_data_url(url: str, path: str) -> Fetched:
    """What is in a `data:` URL (RFC 2397). Raises InvalidRequest."""
    match = _DATA.match(url)
    if match is None:
        raise InvalidRequest(NO_DATA_URL, param=path)
    media_type, parameters, data = match.groups()
    if ";base64" not in parameters.lower():
        return Fetched(unquote_to_bytes(data), media_type)
    try:
        return Fetched(b64decode(unquote(data), validate=True), media_type)
    except (binascii.Error, ValueError):
        raise InvalidRequest(NO_DATA_URL, param=path) from None


def cut_text(document: RagDocument, size: int, path: str) -> list[str]:
    """The chunks of a document that is here. Raises InvalidRequest for one without text."""
    return _require_chunks(list(split([text_of(document.content, path)], size, size // 4)), path)


def cut_content(content: Fetched, url: str, media_type: str | None, size: int, path: str) -> list[str]:
    """The chunks of what a URL stands for; a thread asks. Raises InvalidRequest for what no text is to be had of."""
    name = "" if url[:5].lower() == "data:" else urlsplit(url).path.rpartition("/")[2]
    texts = extract_text(io.BytesIO(content.content), unquote(name), media_type or content.content_type, LIMITS)
    try:
        return _require_chunks(list(split(texts, size, size // 4)), path)
    except Unreadable as unreadable:
        raise InvalidRequest(unreadable.message, param=path) from None


def _require_chunks(chunks: list[str], path: str) -> list[str]:
    if not chunks:
        raise InvalidRequest(NOTHING, param=path)
    return chunks
