"""What every adapter of the blobs checks: keys, ranges, and the version of what is kept, which is 1 where nothing says it."""

import re
from typing import Final

from core.errors import InvalidRequest, NotFound, StateUnavailable

MOST_KEY: Final = 900  # bytes
MOST_MEDIA_TYPE: Final = 255
KEY: Final = re.compile(r"[A-Za-z0-9_./#=-]+")
VERSION: Final = 1


def check_key(key: str) -> None:
    """Raises InvalidRequest where it is no key of a blob."""
    segments = key.split("/")
    if len(key) > MOST_KEY or not KEY.fullmatch(key) or any(segment in {"", ".", ".."} for segment in segments):
        raise InvalidRequest(
            "A blob's key is 1 to 900 ASCII letters, digits and -_./#=, without empty, `.` or `..` segments."
        )


def check_prefix(prefix: str) -> None:
    """Raises InvalidRequest where it is no key with a `/` after it."""
    if not prefix.endswith("/"):
        raise InvalidRequest("A prefix of blobs ends with `/`.")
    check_key(prefix[:-1])


def check_range(start: int, stop: int | None) -> None:
    """Raises ValueError where an end is negative."""
    if start < 0 or (stop is not None and stop < 0):
        raise ValueError(f"no range of bytes: {start} to {stop}")


def check_version(key: str, version: object) -> None:
    """Raises StateUnavailable where the blob is of a version that this code does not know."""
    if str(version) != str(VERSION):
        raise StateUnavailable(f"The blob `{key}` was written by a newer llambda; this one knows version {VERSION}.")


def missing(key: str) -> NotFound:
    """The failure to raise where there is no such blob."""
    return NotFound(f"There is no blob `{key}`.")


def check_media_type(media_type: str) -> None:
    """Raises InvalidRequest where it cannot be a header's value."""
    if not 0 < len(media_type) <= MOST_MEDIA_TYPE or not media_type.isascii() or not media_type.isprintable():
        raise InvalidRequest("A media type is 1 to 255 printable ASCII characters.", param="media_type")
