"""The text of .docx, .pptx and .xlsx, in the order in which it is read."""

from collections.abc import Iterator
from typing import BinaryIO, Final, override

from core.services.vector_stores.ingest.limits import ExtractLimits, Unreadable
from core.services.vector_stores.ingest.packages import BROKEN, Attributes, Package, XmlReader, open_package

MAIN: Final = "officeDocument"
MOST_SHARED: Final = 64 * 1024 * 1024  # characters of a workbook's shared strings
MOST_CELL: Final = 32_767  # characters, as in Excel; a shared string may be said in every cell
NOTES: Final = ("footnotes", "endnotes")


def read_office(file: BinaryIO, limits: ExtractLimits) -> Iterator[str]:
    """Raises Unreadable for a zip file that is no document of Office."""
    package = open_package(file, limits)
    main = next((target for kind, target in package.relations("").values() if kind == MAIN), "")
    if not main:
        message = "This is a zip file, not a document; unpack it, and upload the files that are in it."
        raise Unreadable("unsupported_file", message)
    folder = main.partition("/")[0]
    readers = {"word": _read_words, "ppt": _read_slides, "xl": _read_sheets}
    if folder not in readers:
        raise Unreadable("unsupported_file", "Of Office's documents .docx, .pptx and .xlsx are read.")
    yield from readers[folder](package, main)


def _read_words(package: Package, main: str) -> Iterator[str]:
    yield from package.read_xml(main, _Paragraphs())
    for kind, target in package.relations(main).values():
        if kind in NOTES:
            yield from package.read_xml(target, _Paragraphs())


def _read_slides(package: Package, main: str) -> Iterator[str]:
    for target in _parts_in_order(package, main, "sldId"):
        yield from package.read_xml(target, _Paragraphs())
        for kind, notes in package.relations(target).values():
            if kind == "notesSlide":
                yield from package.read_xml(notes, _Paragraphs())
        yield "\n"


def _read_sheets(package: Package, main: str) -> Iterator[str]:
    shared = _SharedStrings()
    for kind, target in package.relations(main).values():
        if kind == "sharedStrings":
            for _ in package.read_xml(target, shared):
                yield ""  # a moment for whoever looks at the time
    for target in _parts_in_order(package, main, "sheet"):
        yield from package.read_xml(target, _Cells(shared.strings))
        yield "\n"


def _parts_in_order(package: Package, main: str, element: str) -> list[str]:
    listing = _Listing(element)
    for _ in package.read_xml(main, listing):
        pass
    relations = package.relations(main)
    return [relations[key][1] for key in listing.ids if key in relations]


class _Listing(XmlReader):
    """The relations' ids of the elements of one name."""

    def __init__(self, element: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self._element = element

    @override
    def start(self, name: str, attributes: Attributes) -> None:
        if name == self._element and "id" in attributes:
            self.ids.append(attributes["id"])


class _Paragraphs(XmlReader):
    """Word's `w:p` and DrawingML's `a:p` alike; cells are apart by tabs, rows by lines. What is a fallback is said twice."""

    def __init__(self) -> None:
        super().__init__()
        self._is_text = False
        self._fallbacks = 0
        self._cells = 0

    @override
    def start(self, name: str, attributes: Attributes) -> None:
        if name == "Fallback":
            self._fallbacks += 1
        elif name == "t":
            self._is_text = not self._fallbacks
        elif name == "tc":
            self._cells += 1
        elif name in {"tab", "br", "cr"} and not self._fallbacks:
            self.texts.append("\t" if name == "tab" else "\n")

    @override
    def end(self, name: str) -> None:
        if name == "t":
            self._is_text = False
        elif name == "Fallback":
            self._fallbacks -= 1
        elif name == "p" and not self._fallbacks:
            self.texts.append(" " if self._cells else "\n")
        elif name == "tc":
            self._cells -= 1
            self.texts.append("\t")
        elif name == "tr":
            self.texts.append("\n")

    @override
    def text(self, data: str) -> None:
        if self._is_text:
            self.texts.append(data)


class _SharedStrings(XmlReader):
    def __init__(self) -> None:
        super().__init__()
        self.strings: list[str] = []
        self._parts: list[str] = []
        self._is_text = False
        self._length = 0

    @override
    def start(self, name: str, attributes: Attributes) -> None:
        self._is_text = name == "t"

    @override
    def end(self, name: str) -> None:
        self._is_text = False
        if name == "si":
            self.strings.append("".join(self._parts)[:MOST_CELL])
            self._parts = []

    @override
    def text(self, data: str) -> None:
        if self._is_text:
            self._parts.append(data)
            self._length += len(data)
            if self._length > MOST_SHARED:
                raise Unreadable("invalid_file", BROKEN)


class _Cells(XmlReader):
    """Rows as lines, cells apart by tabs."""

    def __init__(self, shared: list[str]) -> None:
        super().__init__()
        self._shared = shared
        self._kind = ""
        self._value: list[str] = []
        self._is_value = False

    @override
    def start(self, name: str, attributes: Attributes) -> None:
        if name == "c":
            self._kind, self._value = attributes.get("t", "n"), []
        self._is_value = name in {"v", "t"}

    @override
    def end(self, name: str) -> None:
        self._is_value = False
        if name == "row":
            self.texts.append("\n")
        elif name == "c":
            value = "".join(self._value)
            self.texts.append((self._shared_string(value) if self._kind == "s" else value) + "\t")

    @override
    def text(self, data: str) -> None:
        if self._is_value:
            self._value.append(data)

    def _shared_string(self, value: str) -> str:
        # A reference that leads nowhere says nothing; a long row of digits is no index.
        index = int(value) if value.isdecimal() and len(value) < 10 else -1  # noqa: PLR2004
        return self._shared[index] if 0 <= index < len(self._shared) else ""
