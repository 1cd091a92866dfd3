"""Zip files of XML, as Office writes them, from strangers: what is read of them, and what is refused before it costs anything."""

from collections.abc import Iterator
from dataclasses import dataclass, field
import io
import posixpath
import struct
from typing import IO, BinaryIO, Final, override
from xml.parsers import expat
import zipfile
import zlib

from core.services.vector_stores.ingest.limits import ExtractLimits, Unreadable

BLOCK: Final = 64 * 1024
MOST_SILENT: Final = 64
"""Blocks of XML in which nothing begins, ends or is said: a tag or a comment that is kept in memory until it ends."""
ENCRYPTED: Final = "This file is encrypted; take its password off and upload it again."
BROKEN: Final = "This file is broken: it is not whole, or not of the kind that it seems to be."
TOO_LARGE: Final = "This file comes to far more when it is unpacked than such a document does; it is not read."
DTD: Final = "This document defines entities of its own, as none of its kind does; it is not read."

FAULTS: Final = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    expat.ExpatError,
    EOFError,
    OSError,
    ValueError,  # a place before the file's beginning, a name that is no text
    RuntimeError,
)
"""What zipfile and expat raise of a file that was tampered with."""

type Attributes = dict[str, str]


class XmlReader:
    """What becomes of a document's elements; names are without their namespaces. `take` is the text since the last one."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def start(self, name: str, attributes: Attributes) -> None:
        """An element begins."""

    def end(self, name: str) -> None:
        """An element ends."""

    def text(self, data: str) -> None:
        """Some of the text within."""

    def take(self) -> str:
        text, self.texts = "".join(self.texts), []
        return text


class _BoundedFile(io.RawIOBase):
    """A file that zipfile reads: its directory, which it takes in one piece, is not larger than `most` bytes."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file = file
        self._most = most

    @override
    def readable(self) -> bool:
        return True

    @override
    def seekable(self) -> bool:
        return True

    @override
    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._file.seek(offset, whence)

    @override
    def tell(self) -> int:
        return self._file.tell()

    @override
    def read(self, size: int = -1, /) -> bytes:
        if size > self._most:
            raise Unreadable("invalid_file", TOO_LARGE)
        return self._file.read(size)


@dataclass(slots=True)
class Package:
    """An open zip file; `unpacked` is how many bytes of it were read so far."""

    zip: zipfile.ZipFile
    limits: ExtractLimits
    unpacked: int = 0
    names: frozenset[str] = field(default_factory=frozenset[str])

    def read_xml(self, name: str, reader: XmlReader) -> Iterator[str]:
        """Read a member into the reader, and yield what it says, some of which may be empty."""
        try:
            with self.zip.open(self._info(name)) as member:
                yield from self._parse(member, reader)
        except FAULTS as failure:
            raise Unreadable("invalid_file", BROKEN) from failure

    def relations(self, name: str) -> dict[str, tuple[str, str]]:
        """Of a member ("" for the package itself) the type and the target of each relation, by its id; types by their last word."""
        folder, base = posixpath.split(name)
        rels = f"{folder}/_rels/{base}.rels".removeprefix("/")
        if rels not in self.names:
            return {}
        reader = _Relations()
        for _ in self.read_xml(rels, reader):
            pass
        return {
            key: (kind, posixpath.normpath(posixpath.join("/", folder, target))[1:])
            for key, (kind, target) in reader.targets.items()
        }

    def _info(self, name: str) -> zipfile.ZipInfo:
        if name not in self.names:
            raise Unreadable("invalid_file", BROKEN)
        info = self.zip.getinfo(name)
        limits = self.limits
        if info.flag_bits & 1:
            raise Unreadable("unsupported_file", ENCRYPTED)
        if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise Unreadable("invalid_file", BROKEN)
        self.unpacked += info.file_size
        is_bomb = info.file_size > limits.free and info.file_size > limits.ratio * info.compress_size
        if is_bomb or self.unpacked > limits.unpacked:
            raise Unreadable("invalid_file", TOO_LARGE)
        return info

    def _parse(self, member: IO[bytes], reader: XmlReader) -> Iterator[str]:
        guard = _Guard(reader, self.limits.depth)
        silent = 0
        while block := member.read(BLOCK):
            before = guard.events
            guard.parser.Parse(block, False)  # noqa: FBT003 - expat takes positions alone
            silent = 0 if guard.events != before else silent + 1
            if silent > MOST_SILENT:
                raise Unreadable("invalid_file", TOO_LARGE)
            yield reader.take()
        guard.parser.Parse(b"", True)  # noqa: FBT003
        yield reader.take()


class _Guard:
    """An expat parser without document types, so without entities, which counts what it meets and how deep that is."""

    def __init__(self, reader: XmlReader, most_depth: int) -> None:
        self.events = 0
        self._depth = 0
        self._most_depth = most_depth
        self._reader = reader
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.EntityDeclHandler = self._refuse

    def _start(self, name: str, attributes: Attributes) -> None:
        self.events += 1
        self._depth += 1
        if self._depth > self._most_depth:
            raise Unreadable(
                "invalid_file", f"The elements of this document are nested deeper than {self._most_depth}."
            )
        # Of `id` and `r:id` the one with a namespace is meant.
        pairs = sorted(attributes.items(), key=lambda pair: " " in pair[0])
        local = {key.rpartition(" ")[2]: value for key, value in pairs}
        self._reader.start(name.rpartition(" ")[2], local)

    def _end(self, name: str) -> None:
        self._depth -= 1
        self._reader.end(name.rpartition(" ")[2])

    def _text(self, data: str) -> None:
        self.events += 1
        self._reader.text(data)

    def _refuse(self, *_: object) -> None:
        raise Unreadable("invalid_file", DTD)


class _Relations(XmlReader):
    def __init__(self) -> None:
        super().__init__()
        self.targets: dict[str, tuple[str, str]] = {}

    @override
    def start(self, name: str, attributes: Attributes) -> None:
        if name == "Relationship" and attributes.get("TargetMode") != "External":
            kind = attributes.get("Type", "").rpartition("/")[2]
            self.targets[attributes.get("Id", "")] = (kind, attributes.get("Target", ""))


def open_package(file: BinaryIO, limits: ExtractLimits) -> Package:
    """Raises Unreadable for what is no zip file, or one with too many entries."""
    try:
        package = zipfile.ZipFile(_BoundedFile(file, limits.directory))
    except FAULTS as failure:
        raise Unreadable("invalid_file", BROKEN) from failure
    names = package.namelist()
    if len(names) > limits.entries:
        raise Unreadable("invalid_file", TOO_LARGE)
    return Package(package, limits, names=frozenset(names))
