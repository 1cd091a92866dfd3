"""Text files, and web pages, as text."""

import codecs
from collections.abc import Generator, Iterator
from contextlib import closing
from html.parser import HTMLParser
import io
import re
from typing import BinaryIO, Final, override

from core.services.vector_stores.ingest.limits import MB, Unreadable

BLOCK: Final = 64 * 1024
MOST_CONTROLS: Final = 0.01  # of what is text
MOST_STRAY: Final = 0.2  # bytes that are no UTF-8, of a text in a Western language
MOST_MARKUP: Final = 8 * MB  # characters of one tag, which may hold an image
WINDOWS: Final = "windows-1252"
FALLBACK: Final = "llambda-windows-1252"

_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROLS: Final = bytes({*range(32), 127} - {*b"\t\n\r\f\b\x1b"})
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f\ud800-\udfff]")
_CHARSET: Final = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?([\w-]{1,40})", re.IGNORECASE)
_CHARSETS: Final = re.compile(
    r"utf-?8|us-ascii|iso-8859-\d{1,2}|windows-125\d|koi8-[ru]|shift_jis|euc-(jp|kr)|gbk|gb2312|gb18030|big5",
    re.IGNORECASE,
)
_SILENT: Final = frozenset(["script", "style", "template", "svg"])
_INLINE: Final = frozenset(
    [
        "a",
        "abbr",
        "acronym",
        "b",
        "bdi",
        "bdo",
        "big",
        "cite",
        "code",
        "data",
        "del",
        "dfn",
        "em",
        "font",
        "i",
        "img",
        "input",
        "ins",
        "kbd",
        "label",
        "mark",
        "q",
        "ruby",
        "rb",
        "rp",
        "rt",
        "s",
        "samp",
        "small",
        "span",
        "strike",
        "strong",
        "sub",
        "sup",
        "time",
        "tt",
        "u",
        "var",
        "wbr",
    ]
)
_BLANKS: Final = re.compile(r"[ \t\r\f]+|\n\s*")


def _decode_stray(failure: UnicodeError) -> tuple[str, int]:
    """A byte that is no UTF-8 is of Windows' Western code page, whatever is around it."""
    if not isinstance(failure, UnicodeDecodeError):
        raise failure
    return failure.object[failure.start : failure.end].decode(WINDOWS, "replace"), failure.end


codecs.register_error(FALLBACK, _decode_stray)


def encoding_of(head: bytes, name: str = "") -> str:
    """The encoding of a text that begins with `head`; `name` is what it is said to be.

    Raises:
        Unreadable: it is no text.
    """
    for bom, encoding in _BOMS:
        if head.startswith(bom):
            return encoding
    if len(head) - len(head.translate(None, _CONTROLS)) > MOST_CONTROLS * len(head) or b"\0" in head:
        raise Unreadable("unsupported_file", "This is neither text nor a file of a kind that is read here: " + KINDS)
    if _CHARSETS.fullmatch(name):
        return name
    stray = sum(1 for char in head.decode("utf-8", "surrogateescape") if "\udc80" <= char <= "\udcff")
    if stray > 8 and stray > MOST_STRAY * len(head):  # noqa: PLR2004 - of a very short text nothing can be told
        raise Unreadable("unsupported_file", "The encoding of this text is not known; save it as UTF-8.")
    return "utf-8"


KINDS: Final = "text, Markdown, JSON, CSV, HTML, XML, code, PDF, .docx, .pptx, .xlsx."


def read_text(file: BinaryIO, name: str = "") -> Generator[str]:
    r"""The text of a text file, with `\n` for every line's end, and without control characters."""
    encoding = encoding_of(file.read(BLOCK), name)
    file.seek(0)
    errors = FALLBACK if encoding in {"utf-8", "utf-8-sig"} else "replace"
    reader = io.TextIOWrapper(file, encoding, errors, newline=None)
    try:
        while text := reader.read(BLOCK):
            yield _CONTROL.sub(" ", text)
    finally:
        reader.detach()


def read_page(file: BinaryIO) -> Iterator[str]:
    """The text of a web page: no scripts and styles, a line's end where a block begins or ends."""
    charset = _CHARSET.search(file.read(BLOCK))
    file.seek(0)
    page = _Page()
    pending = ""
    with closing(read_text(file, charset.group(1).decode() if charset else "")) as texts:
        for text in texts:
            pending += text
            if len(pending) >= len(page.rawdata):  # which is read again from its beginning
                page.feed(pending)
                pending = ""
            _check_markup(page, MOST_MARKUP)
            yield page.take()
    page.feed(pending)
    _check_markup(page, BLOCK)  # to close it takes the square of that
    page.close()
    yield page.take()


def _check_markup(page: HTMLParser, most: int) -> None:
    if len(page.rawdata) > most:
        raise Unreadable("invalid_file", "This web page has a tag, a comment or a script that does not end.")


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._texts: list[str] = []
        self._silent: list[str] = []
        self._is_plain = 0

    def take(self) -> str:
        """The text that was read since."""
        text, self._texts = "".join(self._texts), []
        return text

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SILENT and len(self._silent) < MOST_NESTED:
            self._silent.append(tag)
        self._is_plain += tag == "pre"
        self._break(tag)

    @override
    def handle_endtag(self, tag: str) -> None:
        if tag in self._silent:
            while self._silent.pop() != tag:
                pass
        self._is_plain = max(0, self._is_plain - (tag == "pre"))
        self._break(tag)

    @override
    def handle_data(self, data: str) -> None:
        if not self._silent:
            self._texts.append(data if self._is_plain else _BLANKS.sub(" ", data))

    def _break(self, tag: str) -> None:
        if self._silent or tag in _INLINE:
            return
        text = {"td": "\t", "th": "\t"}.get(tag, "\n")
        if self._texts and self._texts[-1] != text:
            self._texts.append(text)


MOST_NESTED: Final = 1000
