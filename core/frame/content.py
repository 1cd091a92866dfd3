"""What is no JSON of ours: blobs, files that came with a request, answers of bytes, and messages of other protocols."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
import re
from typing import Any, Final, Protocol

MOST_IN_ANSWER: Final = 2_500_000
"""Bytes of JSON. Lambda's answer is at most 6 MB of JSON with ours in it as a text, where quotes and backslashes are two bytes."""
LONGEST_NAME: Final = 255  # characters of a file name
MEDIA_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")


@dataclass(frozen=True, slots=True)
class Blob:
    """What is known of a blob: its size in bytes, its media type, and an ETag without quotes."""

    key: str
    size: int
    media_type: str = "application/octet-stream"
    etag: str = ""


@dataclass(frozen=True, slots=True)
class PresignedRequest:
    """A request that whoever has it may make, until `expires` (Unix seconds); the URL is a secret until then."""

    method: str
    url: str = field(repr=False)
    expires: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)


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


@dataclass(frozen=True, slots=True)
class Message:
    """A request as it came. `headers` are those that its operation asks for: by names in lower case, with all their values.

    `address` is where it was sent to, without the operation's path: `https://HOST`, and what a gateway puts before every
    path; "" where its header Host is none.
    """

    content: bytes = field(repr=False)
    headers: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]], repr=False)
    address: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """JSON with a status; without a `body` nothing but the status. From 400 on, `code` names the failure in the log."""

    body: dict[str, Any] | None = None
    status: int = 200
    code: str = ""


class UploadStore(Protocol):
    """Where the files of uploads go; a blob store is one."""

    async def put(
        self, key: str, content: bytes | AsyncIterator[bytes], *, media_type: str = "application/octet-stream"
    ) -> Blob:
        """Keep the content under the key; it is there whole, or not at all."""
        ...

    async def delete(self, *keys: str) -> None:
        """Remove the blobs; those that are not there do not matter."""
        ...


def clean_filename(name: str) -> str:
    """The last part of a path, of at most 255 printable characters; "file" where nothing is left."""
    name = re.split(r"[/\\]", name)[-1]
    if not name.isprintable():
        name = "".join(filter(str.isprintable, name))
    name = name.strip()
    return name[:LONGEST_NAME] if name.strip(".") else "file"


def clean_media_type(header: str) -> str:
    """Without parameters; bytes of no known kind where it is none."""
    name = header.partition(";")[0].strip().lower()
    return name if MEDIA_TYPE.fullmatch(name) else "application/octet-stream"
