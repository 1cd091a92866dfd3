"""Compressed request bodies (RFC 9110, 8.4), inflated as they arrive and never beyond a limit.

Imported for a request that has one. One coding, and one stream of it: what is compressed twice, or goes on behind its
end, is made to cost. zstd would need a library until Python 3.14.
"""

from collections.abc import Callable
from typing import Final, Protocol
import zlib

from core.errors import BodyTooLarge, InvalidRequest, UnsupportedMediaType
from core.web.headers import UNPRINTABLE

TAKEN: Final = "gzip, deflate"
LONGEST_SHOWN: Final = 40  # characters
GZIP: Final = 31  # the window of 15 bits, with gzip's frame
RAW: Final = -15  # without any, as some send `deflate`
ZLIB_METHOD: Final = 8


class Decompressor(Protocol):
    """What `zlib.decompressobj` makes, whose type has no public name."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def inflater_of(coding: str, limit: int) -> "Inflater":
    """What inflates a body of at most `limit` bytes; `coding` is the header's value.

    Raises:
        UnsupportedMediaType: it is none that is taken.
    """
    name = coding.strip().lower().removeprefix("x-")
    if name == "gzip":
        return Inflater(name, limit, lambda _: zlib.decompressobj(GZIP))
    if name == "deflate":
        return Inflater(name, limit, _deflate)
    text = UNPRINTABLE.sub("?", coding.strip())[:LONGEST_SHOWN]
    raise UnsupportedMediaType(
        f"The body came with `content-encoding: {text}`. It is taken as {TAKEN}, one of them, or as it is.",
        headers={"accept-encoding": TAKEN},
    )


class Inflater:
    """Called with one piece after another, gives what they are; `end` says that there is no more."""

    def __init__(self, name: str, limit: int, make: Callable[[bytes], Decompressor]) -> None:
        self._name = name
        self._limit = self._left = limit
        self._make = make
        self._inflate: Decompressor | None = None

    def __call__(self, piece: bytes) -> bytes:
        """Raises BodyTooLarge, or InvalidRequest where it is no such data."""
        if not piece:
            return b""
        if self._inflate is None:
            self._inflate = self._make(piece)
        try:
            data = self._inflate.decompress(piece, self._left + 1)
        except zlib.error:
            raise self._invalid() from None
        self._left -= len(data)
        if self._left < 0:
            raise BodyTooLarge(self._limit)
        if self._inflate.unused_data:
            raise self._invalid()
        return data

    def end(self) -> None:
        """Raises InvalidRequest where it is not whole; nothing at all is."""
        if self._inflate is not None and not self._inflate.eof:
            raise self._invalid()

    def _invalid(self) -> InvalidRequest:
        return InvalidRequest(
            f"The body is not one whole stream of {self._name}, as its content-encoding says."
            " Behind API Gateway, which hands it on as text, send it uncompressed."
        )


def _deflate(piece: bytes) -> Decompressor:
    """With zlib's frame, as the standard has it, or without."""
    framed = piece[0] & 15 == ZLIB_METHOD and (len(piece) == 1 or int.from_bytes(piece[:2]) % 31 == 0)
    return zlib.decompressobj() if framed else zlib.decompressobj(RAW)
