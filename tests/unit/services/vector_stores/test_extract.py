"""What is read of files, and which of them are refused, with the message that a person reads."""

from collections.abc import Callable
from contextlib import suppress
import io
import random
import re

import pytest

from core.services.vector_stores.ingest.extract import extract_text
from core.services.vector_stores.ingest.limits import ExtractLimits, Unreadable
from tests.parts.documents_office import docx, paragraph, pdf, pptx, relations, xlsx, zip_of

ENCRYPT = "/Encrypt<</Filter/Standard/V 1/R 2/O<" + "00" * 32 + ">/U<" + "00" * 32 + ">/P -4>>/ID[<00><00>]"


def text_of(content: bytes, name: str = "file", media_type: str = "", limits: ExtractLimits | None = None) -> str:
    return "".join(extract_text(io.BytesIO(content), name, media_type, limits))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("Grüße\r\n日本".encode(), "Grüße\n日本"),
        (b"\xef\xbb\xbfa", "a"),
        ("Grüße".encode("utf-16"), "Grüße"),
        ("Grüße, naïve 日本".encode() + b" caf\xe9", "Grüße, naïve 日本 café"),
        (b'{"a": [1]}', '{"a": [1]}'),
        (b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", None),
    ],
)
def test_text_is_read_in_the_encoding_that_it_has(content: bytes, text: str | None) -> None:
    assert text_of(content) == (content.decode() if text is None else text)


def test_of_a_web_page_scripts_and_styles_are_left_out_and_blocks_are_lines() -> None:
    page = (
        "<!DOCTYPE html><head><title>T</title><style>s</style></head><p>a <b>b</b>&amp;c<script>x('<p>')</script><li>d"
    )
    assert text_of(page.encode()).split("\n") == ["T", "a b&c", "d"]
    assert text_of(b"<p>caf\xe9</p>", "a.html").strip() == "café"


def test_word_has_paragraphs_tables_and_notes() -> None:
    table = "<w:tbl><w:tr><w:tc>{}</w:tc><w:tc>{}</w:tc></w:tr></w:tbl>".format(paragraph("x"), paragraph("y"))
    notes = {
        "word/_rels/document.xml.rels": relations(footnotes="n.xml").replace(
            "</", "<Relationship Id='e' Type='t/endnotes' Target='http://a/' TargetMode='External'/></", 1
        ),
        "word/n.xml": "<w xmlns:w='w'>" + paragraph("note") + "</w>",
    }
    text = text_of(docx(paragraph("one") + table + paragraph("two"), **notes))
    assert [line.split() for line in text.splitlines()] == [["one"], ["x", "y"], ["two"], ["note"]]


def test_what_word_says_twice_is_read_once_and_what_follows_is_read() -> None:
    choice = "<w:Choice>{}</w:Choice><w:Fallback>{}</w:Fallback>".format(paragraph("new"), paragraph("old"))
    assert text_of(docx(choice + paragraph("after"))).split() == ["new", "after"]


def test_elements_may_be_nested_as_deep_as_is_said_however_many_are_beside_them() -> None:
    within = ExtractLimits().depth - 5  # those around the text
    assert text_of(docx("<x/>" * 999 + "<x>" * within + paragraph("deep") + "</x>" * within)).strip() == "deep"
    for deeper in (within + 1, within + 9):
        with pytest.raises(Unreadable, match="nested deeper"):
            text_of(docx("<x/>" * 999 + "<x>" * deeper + paragraph("deep") + "</x>" * deeper))


def test_slides_are_in_their_order_with_their_notes() -> None:
    assert text_of(pptx()).split("\n") == ["first", "a note", "", "second", "", ""]


def test_a_sheet_has_shared_inline_and_plain_values() -> None:
    cells = "<c t='s'><v>1</v></c><c><v>2.5</v></c><c t='inlineStr'><is><t>in</t></is></c><c t='s'><v>99</v></c><c t='s'><v>x</v></c>"
    text = text_of(xlsx(f"<row>{cells}</row>", "<si><t>zero</t></si><si><r><t>o</t></r><r><t>ne</t></r></si>"))
    assert text.split() == ["one", "2.5", "in"]


def test_a_pdf_is_read_page_by_page() -> None:
    assert text_of(pdf("Hello", "World")).split() == ["Hello", "World"]


def noisy() -> bytes:
    noise = random.Random(1).randbytes(5_000_000).hex()  # noqa: S311 - the same each time
    return docx(f"{paragraph('a')}<!--{noise}-->")


def encrypted() -> bytes:
    content = bytearray(docx(paragraph("a")))
    for found in re.finditer(rb"PK\x01\x02", bytes(content)):
        content[found.start() + 8] |= 1  # of the directory's entry: https://pkware.com/webdocs/casestudies/APPNOTE.TXT
    return bytes(content)


DTD = zip_of(
    {
        "_rels/.rels": relations(officeDocument="word/document.xml"),
        "word/document.xml": "<!DOCTYPE d [<!ENTITY a 'b'><!ENTITY x SYSTEM 'file:///etc/passwd'>]><d>&a;&x;</d>",
    }
)


@pytest.mark.parametrize(
    ("content", "name", "code", "message"),
    [
        (b"", "a.txt", "invalid_file", "is empty"),
        (b" \n ", "a.txt", "invalid_file", "has no text"),
        (bytes(range(256)) * 9, "a.bin", "unsupported_file", "neither text nor a file of a kind"),
        (b"\xf0\xf1\xf2\xf3\xf4\xf5" * 99, "a.txt", "unsupported_file", "save it as UTF-8"),
        (b"{\\rtf1 a}", "a.rtf", "unsupported_file", "save it as .docx"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "a.doc", "unsupported_file", "Old documents"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"),
            "a.docx",
            "unsupported_file",
            "is encrypted",
        ),
        (zip_of({"a": "b"}), "a.zip", "unsupported_file", "zip file, not a document"),
        (docx(paragraph("a"))[:-30], "a.docx", "invalid_file", "is broken"),
        (b"hello", "a.docx", "invalid_file", "is broken"),
        (docx("<w:p>"), "a.docx", "invalid_file", "is broken"),
        (lambda: docx(paragraph("a" * 8_000_000)), "a.docx", "invalid_file", "far more when it is unpacked"),
        (noisy, "a", "invalid_file", "far more"),
        (lambda: zip_of({str(n): "" for n in range(10_001)}), "a.docx", "invalid_file", "far more when it is unpacked"),
        (encrypted, "a.docx", "unsupported_file", "is encrypted"),
        (
            zip_of({"_rels/.rels": relations(officeDocument="visio/document.xml"), "visio/document.xml": "<a/>"}),
            "a.docx",
            "unsupported_file",
            "Of Office's documents",
        ),
        (DTD, "a.docx", "invalid_file", "defines entities"),
        (docx("<x>" * 300 + "</x>" * 300), "a.docx", "invalid_file", "nested deeper"),
        (pdf("a", trailer=ENCRYPT), "a.pdf", "unsupported_file", "is encrypted"),
        (b"%PDF-1.4 nothing", "a.pdf", "invalid_file", "is broken"),
        (pdf(*"abc"), "a.pdf", "invalid_file", "more than 2 pages"),
        (b"<html>" + b"<a " * 300_000, "a.html", "invalid_file", "that does not end"),
        (b"<html>" + b"<!" * 300_000, "a.html", "invalid_file", "that does not end"),
        (b"a" * 20_001, "a.txt", "invalid_file", "more than 20,000 characters"),
    ],
    ids=map(str, range(24)),
)
def test_what_is_no_text_is_refused_with_the_reason(
    content: bytes | Callable[[], bytes], name: str, code: str, message: str
) -> None:
    content = content if isinstance(content, bytes) else content()
    with pytest.raises(Unreadable, match=message) as refusal:
        text_of(content, name, limits=ExtractLimits(pages=2, text=20_000))
    assert refusal.value.code == code


def test_the_process_that_reads_a_pdf_ends_with_its_reader_and_at_its_limits() -> None:
    pages = extract_text(io.BytesIO(pdf(*["text"] * 3000)), "a.pdf")
    assert "text" in next(pages)
    pages.close()
    with pytest.raises(Unreadable, match="takes too long"):
        text_of(pdf("a"), limits=ExtractLimits(seconds=0))
    with pytest.raises(Unreadable, match="is broken"):
        text_of(pdf("a"), limits=ExtractLimits(memory=1))


def test_a_file_that_was_tampered_with_is_read_or_refused_and_nothing_else() -> None:
    chance = random.Random(17)  # noqa: S311 - the same each time
    cells = xlsx("<row><c t='s'><v>0</v></c></row>", "<si><t>a</t></si>")
    for seed in [
        docx(paragraph("text") * 20),
        pptx(),
        cells,
        b"<html><p>a<!-- b --><script>c</script>&amp;" * 9,
    ] * 60 + [pdf("a", "b")] * 8:
        content = bytearray(seed)
        for _ in range(chance.randint(1, 12)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        with suppress(Unreadable):
            text_of(bytes(content))
