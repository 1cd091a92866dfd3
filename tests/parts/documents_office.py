"""Documents that tests make: PDF, Word, PowerPoint, Excel."""

import io
import zipfile

RELS = "<Relationships xmlns='r'>{}</Relationships>"


def zip_of(members: dict[str, str | bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as package:
        for name, text in members.items():
            package.writestr(name, text)
    return content.getvalue()


def relations(**targets: str) -> str:
    rows = [
        f"<Relationship Id='{key}' Type='t/{key.rstrip('0123456789')}' Target='{to}'/>" for key, to in targets.items()
    ]
    return RELS.format("".join(rows))


def docx(body: str, **members: str) -> bytes:
    """`body` is what is within `w:body`."""
    document = f"<w:document xmlns:w='w'><w:body>{body}</w:body></w:document>"
    return zip_of(
        {"_rels/.rels": relations(officeDocument="word/document.xml"), "word/document.xml": document, **members}
    )


def paragraph(text: str) -> str:
    return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"


def pptx() -> bytes:
    """Two slides, the second first in the file, one with notes."""
    slide = "<p:sld xmlns:p='p' xmlns:a='a'><a:p><a:r><a:t>{}</a:t></a:r></a:p></p:sld>"
    return zip_of(
        {
            "_rels/.rels": relations(officeDocument="ppt/presentation.xml"),
            "ppt/presentation.xml": "<p xmlns:r='r'><sldId r:id='slide2' id='256'/><sldId id='257' r:id='slide1'/></p>",
            "ppt/_rels/presentation.xml.rels": relations(slide1="slides/a.xml", slide2="slides/b.xml"),
            "ppt/slides/a.xml": slide.format("second"),
            "ppt/slides/b.xml": slide.format("first"),
            "ppt/slides/_rels/b.xml.rels": relations(notesSlide="../notes/n.xml"),
            "ppt/notes/n.xml": slide.format("a note"),
        }
    )


def xlsx(rows: str, shared: str = "") -> bytes:
    """`rows` are of its one sheet, `shared` its shared strings' `si`."""
    return zip_of(
        {
            "_rels/.rels": relations(officeDocument="xl/workbook.xml"),
            "xl/workbook.xml": "<w xmlns:r='r'><sheet name='s' r:id='worksheet1'/></w>",
            "xl/_rels/workbook.xml.rels": relations(worksheet1="sheets/1.xml", sharedStrings="strings.xml"),
            "xl/sheets/1.xml": f"<s>{rows}</s>",
            "xl/strings.xml": f"<sst>{shared}</sst>",
        }
    )


def pdf(*pages: str, trailer: str = "") -> bytes:
    """A page for each text; `trailer` is more of the trailer's dictionary, as `/Encrypt ...`."""
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Kids[{kids}]/Count {len(pages)}>>",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    for number, text in enumerate(pages):
        stream = f"BT /F1 12 Tf 72 700 Td ({text}) Tj ET"
        stream_id = 5 + 2 * number
        resources = "/Resources<</Font<</F1 3 0 R>>>>/MediaBox[0 0 612 792]"
        objects.append(f"<</Type/Page/Parent 2 0 R{resources}/Contents {stream_id} 0 R>>")
        objects.append(f"<</Length {len(stream)}>>stream\n{stream}\nendstream")
    content = "%PDF-1.4\n"
    places: list[int] = []
    for number, value in enumerate(objects, 1):
        places.append(len(content))
        content += f"{number} 0 obj\n{value}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    end = f"trailer <</Size {len(objects) + 1}/Root 1 0 R{trailer}>>\nstartxref\n{len(content)}\n%%EOF"
    return f"{content}xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{end}".encode()
