"""What operations carry that is no JSON: files that came with a request, and answers of bytes."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file that is kept as the blob `key`. `filename` has no folders and no control characters; `sha256` is in hex."""

    key: str
    filename: str
    media_type: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Bytes:
    """`read` gives the bytes from its first argument to before its second; `etag` has no quotes, "" is none.

    With a `filename` a browser saves it under that name.
    """

    read: Callable[[int, int], AsyncIterator[bytes]] = field(repr=False)
    size: int
    media_type: str = "application/octet-stream"
    filename: str = ""
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Redirect:
    """The answer is elsewhere; the URL may be a secret."""

    url: str = field(repr=False)
