"""A file of more bytes than an answer puts together, by OpenAI's own client, which waits until it is processed."""

from hashlib import md5, sha256
from importlib import import_module
import os
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.clients.scripts.harness import run

MB = 1024 * 1024


def it_is_uploaded_and_then_processed(url: str) -> None:
    client = import_module("openai").OpenAI(base_url=f"{url}/v1", api_key="none")
    block = os.urandom(MB)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "large.bin"
        with path.open("wb") as file:
            for _ in range(201):
                file.write(block)
        whole = path.read_bytes()
        digest = md5(whole, usedforsecurity=False).hexdigest()
        done = client.uploads.upload_file_chunked(
            file=path, mime_type="application/octet-stream", purpose="user_data", part_size=4 * MB, md5=digest
        )
    assert (done.status, done.file.status, done.file.bytes) == ("completed", "uploaded", 201 * MB)
    ready = client.files.wait_for_processing(done.file.id, poll_interval=0.2)
    assert (ready.status, ready.status_details) == ("processed", None)
    content = client.files.content(done.file.id).read()
    assert sha256(content).digest() == sha256(whole).digest()


SCENARIOS = (it_is_uploaded_and_then_processed,)

if __name__ == "__main__":
    run(SCENARIOS)
