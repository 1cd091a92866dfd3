"""Uploads and downloads over real sockets: the memory of the server, and clients that lie, dawdle and leave."""

from collections.abc import Callable, Generator, Iterator
from hashlib import sha256
from pathlib import Path
import re
import signal
import socket
import subprocess
import sys
import time
from urllib.parse import urlsplit

import httpx
import pytest

ROOT = Path(__file__).parents[2]
MB = 1024 * 1024
UPLOAD = "/v1/folders/f/files"
HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
TAIL = b'\r\n--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--b--\r\n'
FORM = {"content-type": "multipart/form-data; boundary=b"}
MOST_GROWTH = 8 * MB


class Server:
    """The notebook in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path, url: str) -> None:
        self.process = process
        self.folder = folder
        self.url = url

    def peak(self) -> int:
        """Bytes that the process has had in memory at once."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024

    def connect(self) -> socket.socket:
        address = urlsplit(self.url)
        return socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=30)

    def keys(self) -> list[str]:
        return [path.name for path in self.folder.iterdir()]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    folder = tmp_path_factory.mktemp("notebook") / "blobs"
    command = [sys.executable, "-m", "tests.parts.notebook", str(folder), str(200 * MB)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield Server(process, folder, process.stdout.readline().strip())
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        process.stdout.close()


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client
    for path in server.folder.iterdir():
        path.unlink()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_100_mb_go_in_and_out_without_being_held_in_memory(server: Server, client: httpx.Client) -> None:
    block = bytes(range(256)) * 256
    number = 100 * MB // len(block)

    def chunks() -> Iterator[bytes]:
        yield HEAD
        yield from (block for _ in range(number))
        yield TAIL

    def upload() -> dict[str, object]:
        answer: dict[str, object] = client.post(UPLOAD, content=chunks(), headers=FORM).json()
        return answer

    client.post(UPLOAD, content=HEAD + b"x" * MB + TAIL, headers=FORM)  # what the first one imports
    before = server.peak()
    answer = upload()
    digest = sha256(block * number).hexdigest()
    assert (answer["size"], answer["sha256"]) == (100 * MB, digest)
    received, size = sha256(), 0
    with client.stream("GET", f"/v1/files/{answer['key']}") as download:
        for chunk in download.iter_raw():
            received.update(chunk)
            size += len(chunk)
    assert (size, received.hexdigest()) == (100 * MB, digest)
    growth = server.peak() - before
    print(f"100 MB in and out: the server's memory grew by {growth / MB:.1f} MB")
    assert growth < MOST_GROWTH


def test_a_slow_upload_that_is_left_leaves_nothing(server: Server) -> None:
    with server.connect() as connection:
        head = f"POST {UPLOAD} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {FORM['content-type']}\r\ncontent-length: 9999999\r\n\r\n"
        connection.sendall(head.encode() + HEAD)
        for _ in range(5):
            connection.sendall(b"x" * 5000)
            time.sleep(0.02)
        until(lambda: len(server.keys()) == 1)
    until(lambda: not server.keys())


@pytest.mark.parametrize(("declared", "closes"), [(len(HEAD) + 10, False), (10**7, True)])
def test_a_length_that_is_a_lie_leaves_nothing(server: Server, declared: int, *, closes: bool) -> None:
    with server.connect() as connection:
        head = f"POST {UPLOAD} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {FORM['content-type']}\r\ncontent-length: {declared}\r\n\r\n"
        connection.sendall(head.encode() + HEAD + b"x" * 1000 + TAIL)
        if closes:
            connection.shutdown(socket.SHUT_WR)
        else:
            assert connection.recv(4096).startswith(b"HTTP/1.1 400")
    until(lambda: not server.keys())


def test_what_is_too_large_is_refused_before_it_is_read(server: Server) -> None:
    with server.connect() as connection:
        head = f"POST {UPLOAD} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {FORM['content-type']}\r\ncontent-length: {300 * MB}\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 413")


def test_ranges_and_head_over_a_socket(server: Server, client: httpx.Client) -> None:
    (server.folder / "f").write_bytes(b"0123456789")
    part = client.get("/v1/files/f", headers={"range": "bytes=2-4"})
    assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"234", "bytes 2-4/10")
    head = client.head("/v1/files/f")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "10")
    assert client.get("/v1/files/f", headers={"if-none-match": '"tag"'}).status_code == 304
    assert client.delete("/v1/notes/n").status_code == 204
    assert client.get("/v1/files/elsewhere").headers["location"].startswith("https://elsewhere.example/")
    assert client.get("/v1/files/f").content == b"0123456789"


def test_an_answer_that_breaks_does_not_look_whole(server: Server, client: httpx.Client) -> None:
    (server.folder / "short").write_bytes(b"0123456789")
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/v1/files/short")
    assert client.delete("/v1/notes/n").status_code == 204
