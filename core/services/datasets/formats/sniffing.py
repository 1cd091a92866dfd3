"""Which format a source has: by its first bytes where they tell, else by its name, else by its media type.

Sources: https://parquet.apache.org/docs/file-format/ and RFC 1952 for the first bytes; RFC 4180, RFC 8259, https://jsonlines.org and
https://github.com/apache/parquet-format/blob/master/README.md for names and media types.
"""

import re
from typing import Final, Literal

from core.services.datasets.formats.rules import Place

type RowFormat = Literal["jsonl", "json", "csv", "tsv", "parquet"]

PARQUET: Final = b"PAR1"
GZIP: Final = b"\x1f\x8b"
BOM: Final = b"\xef\xbb\xbf"
SUFFIXES: Final[dict[str, RowFormat]] = {
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "json": "json",
    "csv": "csv",
    "tsv": "tsv",
    "parquet": "parquet",
}
MEDIA_TYPES: Final[dict[str, RowFormat]] = {
    "application/jsonl": "jsonl",
    "application/x-jsonlines": "jsonl",
    "application/x-ndjson": "jsonl",
    "application/ndjson": "jsonl",
    "application/json": "json",
    "text/csv": "csv",
    "application/csv": "csv",
    "text/tab-separated-values": "tsv",
    "application/vnd.apache.parquet": "parquet",
    "application/x-parquet": "parquet",
}
FOREIGN: Final = (
    (b"PK\x03\x04", "is a ZIP file, as of Excel: save it as CSV."),
    (b"\xd0\xcf\x11\xe0", "is a file of Microsoft Office: save it as CSV."),
    (b"%PDF", "is a PDF, which has no rows: register JSON lines, JSON, CSV, TSV or Parquet."),
    (b"\xff\xfe", "is UTF-16 text: save it as UTF-8."),
    (b"\xfe\xff", "is UTF-16 text: save it as UTF-8."),
)
PAGE: Final = re.compile(rb"\s*<(!doctype\s+html|html)\b", re.IGNORECASE)
MOST_HEAD: Final = 512  # bytes that are looked at


def suffix_of(name: str) -> str:
    """In lower case, `.gz` behind it left out; "" where there is none."""
    stem = name.lower().removesuffix(".gz")
    return stem.rpartition(".")[2] if "." in stem else ""


def is_gzip(head: bytes) -> bool:
    return head.startswith(GZIP)


def find_format(head: bytes, name: str, media_type: str) -> RowFormat:
    """`head` is what the source begins with, decompressed; `media_type` may be empty, or `None` as the client writes it.

    Raises InvalidRequest for what has no rows.
    """
    if head.startswith(PARQUET):
        return "parquet"
    fault = next((text for begin, text in FOREIGN if head.startswith(begin)), "")
    if not fault and PAGE.match(head.removeprefix(BOM)):
        fault = "is a web page, and no file of rows: name the file itself."
    if fault:
        raise Place(name).refusal(fault)
    by_name = SUFFIXES.get(suffix_of(name)) or MEDIA_TYPES.get(media_type.partition(";")[0].strip().lower())
    if by_name == "parquet":
        raise Place(name).refusal("is no Parquet file, although it is called one.")
    return by_name or _from_text(head, name)


def _from_text(head: bytes, name: str) -> RowFormat:
    if b"\0" in head:
        raise Place(name).refusal("is none of the formats that are read: JSON lines, JSON, CSV, TSV and Parquet.")
    text = head.removeprefix(BOM).lstrip()
    return "json" if text.startswith((b"{", b"[")) else "csv"
