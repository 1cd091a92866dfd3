"""The text of PDF files, read by a process of their own.

PDFium is C++ that reads strangers' files: it may crash, take all memory, or not come back, and no thread of Python's can be stopped.
The process has no environment, so no secret either, and limits on its time and memory; when it dies, this file is broken, and no more.
"""

import codecs
from collections.abc import Iterator
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
from typing import BinaryIO, Final

from core.services.vector_stores.ingest.limits import ExtractLimits, Unreadable
from core.services.vector_stores.ingest.packages import BROKEN, ENCRYPTED
from core.services.vector_stores.ingest.pdf_reader import EXIT_ENCRYPTED, EXIT_PAGES

BLOCK: Final = 64 * 1024
READER: Final = "core.services.vector_stores.ingest.pdf_reader"


def read_pdf(file: BinaryIO, limits: ExtractLimits) -> Iterator[str]:
    """The text page by page; the time that somebody takes with it is not counted. Raises Unreadable."""
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(file, copy)
        copy.seek(0)
        process = subprocess.Popen(  # noqa: S603 - this interpreter, and a module of ours
            [sys.executable, "-S", "-m", READER, str(limits.pages), str(int(limits.seconds)), str(limits.memory)],
            env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=copy,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield from _read_output(process, limits.seconds)
            _check(process.wait(), limits)
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _read_output(process: subprocess.Popen[bytes], seconds: float) -> Iterator[str]:
    if process.stdout is None:  # it is a pipe
        return
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            began = time.monotonic()
            if not selector.select(max(0.0, seconds)):
                raise Unreadable("invalid_file", "To read this PDF takes too long; split it.")
            block = os.read(process.stdout.fileno(), BLOCK)
            seconds -= time.monotonic() - began
            if not block:
                return
            yield decoder.decode(block)


def _check(code: int, limits: ExtractLimits) -> None:
    if code == EXIT_ENCRYPTED:
        raise Unreadable("unsupported_file", ENCRYPTED)
    if code == EXIT_PAGES:
        raise Unreadable("invalid_file", f"This PDF has more than {limits.pages} pages; split it.")
    if code:
        raise Unreadable("invalid_file", BROKEN)
