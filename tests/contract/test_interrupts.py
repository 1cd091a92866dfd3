"""Ctrl-C ends every command with exit code 130 and without a traceback, at whichever moment, and twice."""

import contextlib
import os
from pathlib import Path
import signal
import socket
import subprocess
import sys
import time

import pytest

from infra.local.ports import free_port
from tests.parts.processes import interruptible

ROOT = Path(__file__).parents[2]
# Sends itself SIGINT at the NUMBERth import, and once more when the first has been heard of.
SCRIPT = """
import os, sys
number, twice = int(sys.argv[1]), sys.argv[2] == "twice"
class Interrupting:
    count = 0
    @classmethod
    def find_spec(cls, *_):
        cls.count += 1
        if cls.count in ((number, number + 1) if twice else (number,)):
            os.kill(os.getpid(), 2)
sys.argv[1:] = sys.argv[3:]
from core.cli.entry import main
import signal
import socket
signal.signal(signal.SIGINT, signal.default_int_handler)
def enter():
    sys.meta_path.insert(0, Interrupting)
    return main()
sys.exit(enter())
"""


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    try:
        output, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    return process.returncode, output + errors


def start(command: list[str], folder: Path) -> "subprocess.Popen[str]":
    environ = os.environ | {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "HOME": str(folder),
    }
    with interruptible():
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


@pytest.mark.parametrize("twice", ["once", "twice"])
@pytest.mark.parametrize("number", [1, 10, 60, 150])
@pytest.mark.parametrize("words", ["--help", "config validate starter"])
def test_an_interrupt_of_an_import(words: str, number: int, twice: str, tmp_path: Path) -> None:
    process = start([sys.executable, "-c", SCRIPT, str(number), twice, *words.split()], tmp_path)
    code, said = ended(process)
    if code == 0:
        pytest.skip("it imports less")
    assert code == 130
    assert "Traceback" not in said
    assert "KeyboardInterrupt" not in said


@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize(
    ("words", "sign"),
    [
        (["serve", "starter", "--port", "0"], ""),  # about when providers are warmed, whose failures are kept apart
        (["build", "--function", "admin", "--out", "FOLDER"], "building"),
        (["deploy", "--yes", "--region", "us-east-1", "--param", "VllmUrl=http://gpu"], "checking"),
    ],
)
def test_an_interrupt_of_what_is_under_way(words: list[str], sign: str, twice: bool, tmp_path: Path) -> None:  # noqa: FBT001
    command = [
        str(Path(sys.executable).with_name("llambda")),
        *(word.replace("FOLDER", str(tmp_path)) for word in words),
    ]
    process = start(command, tmp_path)
    if sign:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert sign in line
    time.sleep(0.02 if sign else 0.3)  # what has begun may end soon, with another code
    os.killpg(process.pid, signal.SIGINT)
    if twice:
        time.sleep(0.02)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
    code, said = ended(process)
    assert code in ({0, 130} if words[0] == "serve" else {130})  # a server that was stopped is no failure
    assert "Traceback" not in said


def test_an_interrupt_in_a_callback_that_cannot_raise_ends_the_command(tmp_path: Path) -> None:
    """As the callback of the import system's locks, which each import runs: what is raised there is only reported."""
    script = (
        "import os, sys, weakref\n"
        "from core.cli.entry import run_quietly\n"
        "def work():\n"
        "    lock = set()\n"
        "    watch = weakref.ref(lock, lambda _: os.kill(os.getpid(), 2))\n"
        "    del lock\n"
        "    return 0\n"
        "sys.exit(run_quietly(lambda: work))\n"
    )
    code, said = ended(start([sys.executable, "-c", script], tmp_path))
    assert code == 130
    assert "Traceback" not in said


def test_a_second_interrupt_ends_a_server_that_still_answers(tmp_path: Path) -> None:
    port = free_port()
    process = start([str(Path(sys.executable).with_name("llambda")), "serve", "starter", "--port", str(port)], tmp_path)
    assert process.stdout is not None
    assert "listening" in process.stdout.readline()
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n{")
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        code, said = ended(process)
    assert code == 130
    assert "Traceback" not in said
