"""Files of a running stack: sent in one request, to a URL of its storage, or in parts, whichever their size needs."""

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from core.client.failures import ApiFailed, Unreachable
from core.client.http import FormFile, Transport
from core.client.shapes import check_shape, path_of

if TYPE_CHECKING:
    from core.apis.answers.files import FileDeleted, FileList, FileObject

PART: Final = 4 * 1024 * 1024
"""Bytes of a file that go in one request: in base64, Lambda takes no more than 4.7 MB."""
CHUNK: Final = 256 * 1024
REFUSED: Final = 400
COMPLETE_SECONDS: Final = 900.0  # for gigabytes in parts

type Progress = Callable[[int], None]
"""Is told how many bytes have been sent so far."""


class Files:
    """What users upload, for other APIs to read."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def upload(
        self,
        path: Path,
        *,
        purpose: str,
        seconds: int | None = None,
        name: str = "",
        progress: Progress = lambda _: None,
    ) -> "FileObject":
        """The file, once it is whole there, by this `name` or that of the path; after `seconds` it is gone.

        Raises:
            OSError: it cannot be read.
        """
        size = path.stat().st_size
        about: dict[str, Any] = {"filename": name or path.name, "purpose": purpose}
        if seconds is not None:
            about["expires_after"] = {"anchor": "created_at", "seconds": seconds}
        with path.open("rb") as file:
            if size <= PART:
                return self._send(file.read(PART + 1), about)
            try:
                announced = self._transport.send("POST", "/v1/files", about | {"bytes": size})
            except ApiFailed as failure:
                if failure.status != REFUSED:
                    raise
                return self._send_parts(file, about | {"bytes": size}, progress)
            return self._send_elsewhere(file, announced, progress)

    def list(self, *, purpose: str | None = None, after: str | None = None, limit: int | None = None) -> "FileList":
        """At most `limit` of the caller's files (10,000 at the most), newest first."""
        from core.apis.answers.files import FileList

        query = {"purpose": purpose, "after": after, "limit": limit}
        return check_shape(self._transport.send("GET", "/v1/files", query=query), FileList)

    def get(self, file_id: str) -> "FileObject":
        return _file(self._transport.send("GET", path_of("files", file_id)))

    def content(self, file_id: str) -> Iterator[bytes]:
        """Its bytes in chunks."""
        return self._transport.download(f"{path_of('files', file_id)}/content")

    def delete(self, file_id: str) -> "FileDeleted":
        from core.apis.answers.files import FileDeleted

        return check_shape(self._transport.send("DELETE", path_of("files", file_id)), FileDeleted)

    def _send(self, content: bytes, about: dict[str, Any]) -> "FileObject":
        fields = {"purpose": about["purpose"]}
        for name, value in about.get("expires_after", {}).items():
            fields[f"expires_after[{name}]"] = str(value)
        return _file(self._transport.send_form("/v1/files", fields, FormFile("file", about["filename"], content)))

    def _send_elsewhere(self, file: BinaryIO, announced: Any, progress: Progress) -> "FileObject":  # noqa: ANN401 - JSON
        record = _file(announced)
        target: Any = announced.get("upload")
        with _undoing(self.delete, record["id"]):
            self._transport.send_elsewhere(
                target["method"], target["url"], target["headers"], _chunks(file, progress), record["bytes"]
            )
        return self.get(record["id"])

    def _send_parts(self, file: BinaryIO, about: dict[str, Any], progress: Progress) -> "FileObject":
        from core.apis.answers.files import UploadObject, UploadPart

        begin = about | {"mime_type": "application/octet-stream"}
        upload = check_shape(self._transport.send("POST", "/v1/uploads", begin), UploadObject)
        path, parts, total = path_of("uploads", upload["id"]), list[str](), 0
        with _undoing(self._transport.send, "POST", f"{path}/cancel"):
            while content := file.read(PART):
                form = FormFile("data", "upload", content)
                part = check_shape(self._transport.send_form(f"{path}/parts", {}, form), UploadPart)
                parts.append(part["id"])
                progress(total := total + len(content))
            done = self._transport.send("POST", f"{path}/complete", {"part_ids": parts}, timeout=COMPLETE_SECONDS)
        return _file(check_shape(done, UploadObject)["file"])


@contextmanager
def _undoing(undo: Callable[..., object], *arguments: str) -> Generator[None]:
    """Where what is inside fails, or is interrupted, `undo` is tried."""
    with ExitStack() as stack:
        stack.callback(_attempt, undo, *arguments)
        yield
        stack.pop_all()


def _attempt(undo: Callable[..., object], *arguments: str) -> None:
    with suppress(ApiFailed, Unreachable):
        undo(*arguments)


def _file(answer: object) -> "FileObject":
    from core.apis.answers.files import FileObject

    return check_shape(answer, FileObject)


def _chunks(file: BinaryIO, progress: Progress) -> Iterator[bytes]:
    total = 0
    while content := file.read(CHUNK):
        yield content
        progress(total := total + len(content))
