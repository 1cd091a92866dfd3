"""Blobs in a directory, which several processes may share.

    directory/[@namespace/]segment/last~    a line of JSON: media_type, etag (and v, its version, when it is not 1); then
                                            the content
    directory/~partial/name                 what is being written: moved to its place once it is whole and on the disk,
                                            and swept when nothing was written to it for a day
    directory/[@namespace/]kind/Nd/...      what is kept N days at most, and swept after them, as lifecycle rules do it in a bucket

Keys have no `~`, `@`, `+` or `%`. So no blob has the name of a directory, `+a` is the letter A, because some file systems
do not tell it from a, and a segment that is too long for a name goes on in a directory: `part%/%part`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
import json
import logging
import os
from pathlib import Path
import re
import time
from typing import BinaryIO, Final
from urllib.parse import quote

from core.errors import StateUnavailable
from core.frame.content import Blob, PresignedRequest
from core.stores.blobs.keys import (
    VERSION,
    check_key,
    check_media_type,
    check_prefix,
    check_range,
    check_version,
    missing,
)
from core.stores.blobs.partial import DiskPace, Partial
from core.stores.blobs.port import CHUNK, BlobStore

PARTIAL: Final = "~partial"
BLOB: Final = "~"
DAY: Final = 86_400.0  # seconds
SWEEP_SECONDS: Final = 3600.0  # between two looks at what was left behind
BUFFER: Final = 16 * CHUNK  # bytes that are read or written at once, in a thread
LIFE: Final = re.compile("([0-9]{1,4})d")
MOST_NAME: Final = 200  # characters of a name, of at most 255 that file systems take
MOST_HEAD: Final = 4096  # bytes
TRIES: Final = 20  # while another removes directories that are empty

log = logging.getLogger(__name__)

type Chunks = Sequence[bytes]


@dataclass(frozen=True, slots=True)
class _Content:
    """A blob that is being read; one that takes its place meanwhile does not change it."""

    blob: Blob
    file: BinaryIO
    head: int  # bytes before the content


class LocalBlobs:
    """`directory` is made at the first write, with mode 0700, as all below it; files have 0600."""

    def __init__(self, directory: Path, *, namespace: str = "") -> None:
        self._directory = directory
        self._root = directory / f"@{quote(namespace, safe='')}" if namespace else directory
        self._partials = f"{directory}/{PARTIAL}"
        self._swept = -SWEEP_SECONDS
        self._pace = DiskPace()

    async def put(
        self, key: str, content: bytes | AsyncIterator[bytes], *, media_type: str = "application/octet-stream"
    ) -> Blob:
        check_key(key)
        check_media_type(media_type)
        with Partial(self._partials, media_type) as part:
            chunks = [content] if isinstance(content, bytes) else await _fill(content)
            size = _size(chunks)
            if isinstance(content, bytes) or size < BUFFER:
                # At once: each turn of a thread costs as much as 1 KB.
                if self._pace.may_wait(size) and not self._sweeps():
                    with self._translate_errors():
                        return self._write(part, key, chunks)
                return await self._run(self._write, part, key, chunks)
            return await self._write_stream(part, key, chunks, content)

    async def head(self, key: str) -> Blob | None:
        check_key(key)
        with ExitStack() as files:
            content = await self._run(self._open, files, key)
        return None if content is None else content.blob

    async def read(self, key: str, *, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        check_key(key)
        check_range(start, stop)
        with ExitStack() as files:
            content = await self._run(self._open, files, key)
            if content is None:
                raise missing(key)
            content.file.seek(content.head + start)
            remaining = (content.blob.size if stop is None else min(stop, content.blob.size)) - start
            while remaining > 0 and (buffer := await self._run(content.file.read, min(remaining, BUFFER))):
                remaining -= len(buffer)
                for at in range(0, len(buffer), CHUNK):
                    yield buffer[at : at + CHUNK]

    async def delete(self, *keys: str) -> None:
        for key in keys:
            check_key(key)
        await self._run(self._delete, [self._path(key) for key in keys])

    async def old_keys(self, prefix: str, *, before: float) -> list[str]:
        check_prefix(prefix)
        return await self._run(self._old_keys, self._root / _folder(prefix[:-1]), before)

    async def delete_below(self, prefix: str) -> int:
        check_prefix(prefix)
        return await self._run(self._delete_below, self._root / _folder(prefix[:-1]))

    async def download_url(
        self, key: str, *, seconds: int, filename: str = "", media_type: str = ""
    ) -> PresignedRequest | None:
        del seconds, filename, media_type
        check_key(key)
        return None

    async def upload_url(self, key: str, *, seconds: int, size: int, media_type: str) -> PresignedRequest | None:
        del seconds, size, media_type
        check_key(key)
        return None

    def warm(self) -> None:
        """Nothing is imported late."""

    async def close(self) -> None:
        """Nothing stays open."""

    async def _run[*Arguments, T](self, work: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
        """In a thread."""
        return await self._finish(asyncio.get_running_loop().run_in_executor(None, work, *arguments))

    async def _finish[T](self, working: asyncio.Future[T]) -> T:
        """What a thread gives; its end is waited for when this is cancelled: it may be using the file."""
        try:
            with self._translate_errors():
                return await asyncio.shield(working)
        except asyncio.CancelledError:
            await asyncio.wait({working})
            raise

    async def _write_stream(self, part: Partial, key: str, chunks: Chunks, content: AsyncIterator[bytes]) -> Blob:
        """`chunks`, then `content`, of which each buffer is read while the one before it is written."""
        loop = asyncio.get_running_loop()
        writing = loop.run_in_executor(None, self._begin, part, chunks)
        try:
            while _size(chunks := await _fill(content)) >= BUFFER:
                await self._finish(writing)
                writing = loop.run_in_executor(None, part.write, chunks)
            await self._finish(writing)
        finally:
            await asyncio.wait({writing})
        return await self._run(self._end, part, key, chunks)

    @contextmanager
    def _translate_errors(self) -> Generator[None]:
        try:
            yield
        except OSError as failure:
            log.warning("directory of blobs %s: %s", self._directory, failure)
            reason = failure.strerror or type(failure).__name__
            message = f"The directory of blobs `{self._directory.name}` cannot be used: {reason}."
            raise StateUnavailable(message) from failure

    def _write(self, part: Partial, key: str, chunks: Chunks) -> Blob:
        sweeps, start = self._sweeps(), time.perf_counter()
        self._begin(part, ())
        blob = self._end(part, key, chunks)
        if not sweeps:
            self._pace.note(blob.size, time.perf_counter() - start)
        return blob

    def _sweeps(self) -> bool:
        """Whether the next write looks at what was left behind, which takes any time."""
        return time.monotonic() - self._swept >= SWEEP_SECONDS

    def _begin(self, part: Partial, chunks: Chunks) -> None:
        if self._sweeps():
            self._swept = time.monotonic()
            directory = Path(self._partials)
            _make_directory(directory)
            _sweep(directory, time.time() - DAY)
            _sweep_lives(self._root)
        try:
            part.begin()
        except FileNotFoundError:  # somebody has removed the directory
            _make_directory(Path(self._partials))
            part.begin()
        part.write(chunks)

    def _open(self, files: ExitStack, key: str) -> _Content | None:
        try:
            file = files.enter_context(self._path(key).open("rb"))
        except FileNotFoundError:
            return None
        line = file.readline(MOST_HEAD)
        values = json.loads(line)
        check_version(key, values.get("v", VERSION))
        size = os.fstat(file.fileno()).st_size - len(line)
        return _Content(Blob(key, size, values["media_type"], values["etag"]), file, len(line))

    def _end(self, part: Partial, key: str, chunks: Chunks) -> Blob:
        part.write(chunks)
        part.sync()
        path = f"{self._root}/{_name(key)}"
        for remaining in reversed(range(TRIES)):
            try:
                part.move(path)
                break
            except FileNotFoundError:  # it was not made yet, or another has removed it, which was empty
                if not remaining:
                    raise
                _make_directory(Path(path).parent)
        directory = os.open(path.rpartition("/")[0], os.O_RDONLY)
        try:
            os.fsync(directory)  # else the new name may not outlive a loss of power
        finally:
            os.close(directory)
        return part.blob(key)

    def _delete(self, paths: list[Path]) -> None:
        for path in paths:
            path.unlink(missing_ok=True)
            self._remove_empty(path.parent)

    def _old_keys(self, directory: Path, before: float) -> list[str]:
        keys = list[str]()
        for folder, _, files in os.walk(directory, onerror=_raise_unless_gone):
            for path in (Path(folder, name) for name in files):
                with suppress(FileNotFoundError):  # another has removed it
                    if path.stat().st_mtime < before:
                        keys.append(_key(str(path.relative_to(self._root))))
        return keys

    def _delete_below(self, directory: Path) -> int:
        count = 0
        for folder, _, files in os.walk(directory, topdown=False, onerror=_raise_unless_gone):
            for name in files:
                with suppress(FileNotFoundError):  # another was faster
                    Path(folder, name).unlink()
                    count += 1
            with suppress(OSError):  # another has put something there
                Path(folder).rmdir()
        self._remove_empty(directory.parent)
        return count

    def _remove_empty(self, directory: Path) -> None:
        with suppress(OSError):  # it is not empty, or gone
            while directory != self._directory:
                directory.rmdir()
                directory = directory.parent

    def _path(self, key: str) -> Path:
        return self._root / _name(key)


async def _fill(content: AsyncIterator[bytes]) -> Chunks:
    """The next BUFFER bytes, or all that there are."""
    chunks, size = list[bytes](), 0
    async for chunk in content:
        chunks.append(chunk)
        size += len(chunk)
        if size >= BUFFER:
            break
    return chunks


def _size(chunks: Chunks) -> int:
    return sum(map(len, chunks))


def _name(key: str) -> str:
    """The path of a blob, below the root."""
    return f"{_folder(key)}{BLOB}"


def _folder(key: str) -> str:
    """The path of the directory of the blobs that are below the key."""
    text = re.sub("[A-Z]", lambda letter: f"+{letter[0].lower()}", key)
    return "/".join(map(_split, text.split("/"))) if len(text) > MOST_NAME else text


def _key(path: str) -> str:
    """The key of the blob that has this path, below the root."""
    text = path.replace("%/%", "").removesuffix(BLOB)
    return re.sub(r"\+(.)", lambda letter: letter[1].upper(), text)


def _split(segment: str) -> str:
    """A segment as names, of which all but the last go on in the next."""
    return "%/%".join(segment[at : at + MOST_NAME] for at in range(0, len(segment), MOST_NAME))


def _make_directory(path: Path) -> None:
    """With mode 0700, as those above it that are made too."""
    # `exist_ok` fails where another removes it at that moment; whoever needs it tries again where one above it went meanwhile.
    with suppress(FileExistsError, FileNotFoundError):
        try:
            path.mkdir(mode=0o700)
        except FileNotFoundError:
            _make_directory(path.parent)
            path.mkdir(mode=0o700)


def _sweep(directory: Path, before: float) -> None:
    """Remove the files of the directory that were last written to before then."""
    for path in directory.iterdir():
        with suppress(FileNotFoundError):  # another sweeps too, or has finished it
            if path.is_file() and path.stat().st_mtime < before:
                path.unlink()


def _sweep_lives(root: Path) -> None:
    """Remove what is older than the name of its folder says: of a process that was killed, nobody else knows it."""
    for folder in root.glob("*/*d"):
        if (life := LIFE.fullmatch(folder.name)) is not None:
            for inner, _, _ in os.walk(folder):
                _sweep(Path(inner), time.time() - (int(life[1]) + 1) * DAY)


def _raise_unless_gone(failure: OSError) -> None:
    if not isinstance(failure, FileNotFoundError):
        raise failure


def connect(path: str, *, namespace: str | None = None) -> BlobStore:
    """The blobs in the directory at `path`."""
    return LocalBlobs(Path(path), namespace=namespace or "")
