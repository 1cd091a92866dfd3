"""Where `llambda data export` writes: a folder, or one tar file; it has its name once it is whole, and nobody else may read it."""

from collections.abc import Generator
from contextlib import contextmanager
import io
import json
import os
from pathlib import Path
import shutil
import tarfile
import tempfile
import time
from typing import IO, TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from core.resolution.erasure.exporting import Sink

PARTIAL: Final = ".partial"
"""How the name of what is being written ends; a run that was killed leaves it, and the next one begins it anew."""
IN_MEMORY: Final = 8 * 1024 * 1024
"""Bytes of one file on its way into a tar; of more it is on disk."""
OURS: Final = 0o600
THERE: Final = "{} is there already; name another place, or move it away."


class FolderSink:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = ""
        self._file: IO[bytes] | None = None

    def write(self, path: str, chunk: bytes) -> None:
        if self._file is None or path != self._path:
            self.close()
            place = self._folder.joinpath(*path.split("/"))
            for folder in reversed([parent for parent in place.parents if parent.is_relative_to(self._folder)]):
                folder.mkdir(mode=0o700, exist_ok=True)  # `parents` would make those above with what umask leaves
            self._file = _open_ours(place)
            self._path = path
        self._file.write(chunk)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class TarSink:
    """A member's size stands before its bytes, so that each file is put together first."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive
        self._path = ""
        self._file: tempfile.SpooledTemporaryFile[bytes] | None = None

    def write(self, path: str, chunk: bytes) -> None:
        if self._file is None or path != self._path:
            self.close()
            self._file, self._path = tempfile.SpooledTemporaryFile(IN_MEMORY), path  # noqa: SIM115 - `close` closes it
        self._file.write(chunk)

    def close(self) -> None:
        if self._file is None:
            return
        member = tarfile.TarInfo(self._path)
        member.size, member.mode, member.mtime = self._file.tell(), OURS, int(time.time())
        self._file.seek(0)
        self._archive.addfile(member, self._file)  # pyright: ignore[reportArgumentType] - it reads alone
        self._file.close()
        self._file = None


@contextmanager
def open_sink(output: Path) -> "Generator[Sink]":
    """A folder, or a tar where the name ends with `.tar`. It takes its place at the end; where that is not reached, nothing is left.

    Raises:
        click.UsageError: something is there.
        click.ClickException: it cannot be written.
    """
    if output.exists() and not _is_empty_folder(output):
        raise click.UsageError(THERE.format(output))
    partial = output.with_name(output.name + PARTIAL)
    try:
        _remove(partial)
        output.absolute().parent.mkdir(parents=True, exist_ok=True)
        with _open(partial, is_tar=output.suffix == ".tar") as sink:
            yield sink
        partial.replace(output)
    except OSError as failure:
        raise click.ClickException(f"{output} cannot be written: {failure.strerror or failure}") from failure
    finally:
        _remove(partial)


@contextmanager
def _open(partial: Path, *, is_tar: bool) -> "Generator[Sink]":
    if not is_tar:
        partial.mkdir(mode=0o700)
        folder = FolderSink(partial)
        try:
            yield folder
        finally:
            folder.close()
        return
    with _open_ours(partial) as file, tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        sink = TarSink(archive)
        yield sink
        sink.close()


def write_manifest(sink: "Sink", name: str, manifest: dict[str, Any]) -> None:
    """For people to read too."""
    text = io.StringIO()
    json.dump(manifest, text, indent=2, ensure_ascii=False)
    sink.write(name, f"{text.getvalue()}\n".encode())


def _open_ours(path: Path) -> IO[bytes]:
    """To append to it; nobody else may read it."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, OURS), "ab")


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and path.suffix != ".tar" and not any(path.iterdir())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
