"""Rows within a uri itself, as the client's command line sends a file: `data:text/csv;base64,...` (RFC 2397).

It guesses the media type from the file's name, and says `None` of those that it does not know.
"""

from base64 import b64decode
import binascii
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import unquote_to_bytes

from core.apis.datasets import SourceContent
from core.errors import InvalidRequest

PARAM: Final = "source"
CHUNK: Final = 64 * 1024
NO_COMMA: Final = "A data: uri has a comma between its media type and its content."
NO_BASE64: Final = "The content of the data: uri is no base64."


def open_inlined(uri: str) -> SourceContent:
    """Raises InvalidRequest."""
    head, comma, text = uri.partition(":")[2].partition(",")
    if not comma:
        raise InvalidRequest(NO_COMMA, param=PARAM)
    media_type, *parameters = (part.strip() for part in head.split(";"))
    content = unquote_to_bytes(text)
    if "base64" in map(str.lower, parameters):
        content = _decode(content)
    return SourceContent(_pieces(content), len(content), "data", media_type)


def _decode(content: bytes) -> bytes:
    """Either alphabet, with or without padding."""
    plain = content.translate(bytes.maketrans(b"-_", b"+/"), b" \t\r\n").rstrip(b"=")
    try:
        return b64decode(plain + b"=" * (-len(plain) % 4), validate=True)
    except binascii.Error as invalid:
        raise InvalidRequest(NO_BASE64, param=PARAM) from invalid


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), CHUNK):
        yield content[start : start + CHUNK]
