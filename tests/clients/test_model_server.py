"""The local model server as a process: it says what it serves, ends at once and cleanly, and never outlives its owner."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
import json
from pathlib import Path
import signal
import socket
import subprocess
import sys

import httpx
import pytest

from infra.local import model_server
from infra.local.ports import free_port

ROOT = Path(__file__).parents[2]


@contextmanager
def started(port: int, log: Path) -> Generator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = model_server.start(port, log=output)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_each_server_says_what_it_serves(model_server: str, embedding_server: str) -> None:
    names = [httpx.get(f"{url}/models").json()["data"][0]["id"] for url in (model_server, embedding_server)]
    assert names == ["smollm2-135m-instruct", "smollm2-135m-embedding"]


def close_input(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    process.stdin = None


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda process: process.send_signal(signal.SIGINT), id="SIGINT"),
        pytest.param(lambda process: process.send_signal(signal.SIGTERM), id="SIGTERM"),
        pytest.param(close_input, id="its owner is gone"),
    ],
)
def test_it_ends_cleanly_even_in_the_middle_of_an_answer(
    tmp_path: Path, end: Callable[[subprocess.Popen[bytes]], None]
) -> None:
    port, log = free_port(), tmp_path / "log.txt"
    question = {"messages": [{"role": "user", "content": "Count."}], "max_tokens": 2000, "stream": True}
    with started(port, log) as process:
        model_server.wait_until_ready(process, port)
        url = f"http://127.0.0.1:{port}/v1/chat/completions"
        with httpx.stream("POST", url, content=json.dumps(question), timeout=60) as answer:
            next(answer.iter_raw())
            end(process)
            assert process.wait(10) == 0
    assert log.read_text("utf-8") == f"smollm2-135m-instruct on port {port}\n"


def test_a_signal_while_it_loads_ends_it(tmp_path: Path) -> None:
    with started(free_port(), tmp_path / "log.txt") as process:
        process.terminate()
        assert process.wait(10) == -signal.SIGTERM


def test_started_by_hand_it_needs_no_standard_input(tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "log.txt"
    command = [sys.executable, "-m", "infra.local.model_server", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        model_server.wait_until_ready(process, port)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.terminate()
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()


def test_a_port_in_use_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with started(port, log) as process:
            assert process.wait(60) == 1
    said = log.read_text("utf-8")
    assert f"no model on port {port}" in said
    assert "Traceback" not in said
