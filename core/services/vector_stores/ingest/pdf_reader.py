"""`python -m core.services.vector_stores.ingest.pdf_reader PAGES SECONDS MEMORY < file.pdf`: its text, as UTF-8, on stdout.

A process of its own (see `.pdf`): it may use SECONDS of a processor and MEMORY bytes, and writes no file.
"""

from importlib import import_module
import sys
from typing import Any, Final

from core.platform.process_limits import limit_process

EXIT_ENCRYPTED: Final = 3
EXIT_BROKEN: Final = 4
EXIT_PAGES: Final = 5


def main(arguments: list[str]) -> int:
    """The exit code: 0, or why there is no more text."""
    pages, seconds, memory = map(int, arguments)
    # Imported in this process alone, which has no types for it.
    pdfium: Any = import_module("pypdfium2")
    codes: Any = import_module("pypdfium2.raw")
    limit_process(seconds, memory)
    try:
        document = pdfium.PdfDocument(sys.stdin.buffer)
    except pdfium.PdfiumError as failure:
        is_locked = failure.err_code in {codes.FPDF_ERR_PASSWORD, codes.FPDF_ERR_SECURITY}
        return EXIT_ENCRYPTED if is_locked else EXIT_BROKEN
    if len(document) > pages:
        return EXIT_PAGES
    for number in range(len(document)):
        text = _page_text(pdfium, document, number)
        sys.stdout.buffer.write(text.replace("\r\n", "\n").encode("utf-8", "replace") + b"\n\n")
    sys.stdout.buffer.flush()
    return 0


def _page_text(pdfium: Any, document: Any, number: int) -> str:  # noqa: ANN401 - a library without types
    try:
        page = document[number]
        text: str = page.get_textpage().get_text_range()
        page.close()
    except pdfium.PdfiumError:
        return ""  # one page that is broken does not take the others with it
    return text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
