"""Files by every client, against a stack that keeps them in a bucket: what is larger than 1 MB is read there."""

from functools import partial
from importlib import import_module
from io import BytesIO
import os
from pathlib import Path
from tempfile import TemporaryDirectory
import time
from typing import Any

from tests.clients.scripts.guarded import package
from tests.clients.scripts.harness import refusal, run

MB = 1024 * 1024
HOUR = 3600


def files(url: str) -> Any:
    module, make = package()
    return make(module, url, "none").files


def is_ogx() -> bool:
    name: str = package()[0].__name__
    return name == "ogx_client"


def error(status: int) -> type[Exception]:
    """The class that the client raises for this status."""
    module, names = package()[0], {400: "BadRequestError", 404: "NotFoundError"}
    if is_ogx():
        module, names = import_module("ogx_client.exceptions"), {400: "BadRequestException", 404: "NotFoundException"}
    found: type[Exception] = getattr(module, names[status])
    return found


def upload(url: str, content: bytes, name: str = "notes.md", purpose: str = "assistants", **more: Any) -> Any:
    file: Any = (name, content) if is_ogx() else (name, BytesIO(content), "text/markdown")
    return files(url).create(file=file, purpose=purpose, **more)


def content_of(url: str, file_id: str) -> bytes:
    answer = files(url).content(file_id)
    if isinstance(answer, str):  # all but `openai` take it for text
        return answer.encode()
    if isinstance(answer, (bytes, bytearray)):
        return bytes(answer)
    content: bytes = answer.read() if hasattr(answer, "read") else answer.content
    return content


def a_file_is_uploaded_listed_read_and_deleted(url: str) -> None:
    file = upload(url, b"# Hello")
    assert (file.object, file.bytes, file.filename, file.purpose) == ("file", 7, "notes.md", "assistants")
    assert file.id.startswith("file-")
    shown = files(url).retrieve(file.id)
    assert (shown.id, shown.created_at, shown.expires_at) == (file.id, file.created_at, file.expires_at)
    assert file.id in [each.id for each in files(url).list().data]
    assert content_of(url, file.id) == b"# Hello"
    assert files(url).delete(file.id).deleted
    refusal(error(404), partial(files(url).retrieve, file.id))


def a_large_file_is_read_in_the_bucket(url: str) -> None:
    content = ("{" + "ä" * MB).encode()  # no JSON, which the client of 0.2 would look for
    file = upload(url, content, "größe.bin")
    assert (file.bytes, file.filename) == (len(content), "größe.bin")
    assert content_of(url, file.id) == content


def an_expiry_is_kept(url: str) -> None:
    expiry: Any = {"anchor": "created_at", "seconds": HOUR}
    if is_ogx():  # whose parameter is a text
        more: dict[str, Any] = {"expires_after": '{"anchor": "created_at", "seconds": 3600}'}
    elif package()[0].__name__ == "openai":
        more = {"expires_after": expiry}
    else:
        names = {f"expires_after[{name}]": str(value) for name, value in expiry.items()}
        more = {"extra_body": names}
    file = upload(url, b"x", **more)
    assert file.expires_at == file.created_at + HOUR
    assert file.expires_at > time.time()


def lists_go_on_where_they_ended(url: str) -> None:
    ids = {upload(url, b"x", purpose="assistants").id for _ in range(5)}
    seen, after = set[str](), ""
    while True:
        page = files(url).list(limit=2, **({"after": after} if after else {}))
        seen |= {each.id for each in page.data}
        if not page.has_more:
            break
        after = page.last_id
    assert ids <= seen


def what_is_wrong_is_an_error_of_its_class(url: str) -> None:
    refusal(error(404), partial(files(url).retrieve, f"file-{'0' * 32}"))
    if not is_ogx():  # whose purposes are an enumeration of its own
        refused: Any = refusal(error(400), partial(upload, url, b"x", purpose="poetry"))
        assert "purpose" in str(refused)
    assert "empty" in str(refusal(error(400), partial(upload, url, b"")))


def a_file_goes_in_parts(url: str) -> None:
    """Which `openai` alone can do."""
    module, make = package()
    if module.__name__ != "openai":
        return
    client = make(module, url, "none")
    content = os.urandom(5 * MB + 3)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "big.bin"
        path.write_bytes(content)
        done = client.uploads.upload_file_chunked(
            file=path, mime_type="application/octet-stream", purpose="user_data", part_size=2 * MB
        )
        assert (done.status, done.file.bytes, done.file.filename) == ("completed", len(content), "big.bin")
        assert content_of(url, done.file.id) == content
        large = client.uploads.create(bytes=9 * MB, filename="a", mime_type="text/plain", purpose="batch")
        refused = refusal(module.APIStatusError, partial(client.uploads.parts.create, large.id, data=bytes(7 * MB)))
        assert refused.status_code == 413
        assert "part_size=4194304" in refused.message
        assert client.uploads.cancel(large.id).status == "cancelled"


SCENARIOS = (
    a_file_is_uploaded_listed_read_and_deleted,
    a_large_file_is_read_in_the_bucket,
    an_expiry_is_kept,
    lists_go_on_where_they_ended,
    what_is_wrong_is_an_error_of_its_class,
    a_file_goes_in_parts,
)

if __name__ == "__main__":
    run(SCENARIOS)
