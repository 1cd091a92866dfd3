"""Streamed chat through `llambda serve`: the first token, the work for each chunk, and memory, for vLLM and for Bedrock."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
import json
from pathlib import Path
import re
import socket
from statistics import median
from tempfile import TemporaryDirectory
import time

from tests.benchmarks.drip import BEDROCK, LETTER, VLLM, named, provider
from tests.benchmarks.processes import started
from tests.benchmarks.table import Row

CHUNKS, FEW = 10_000, 1_000
PACED = named(2, 10, 5)
WARM, FAST, APART = named(FEW, 0, 5), named(CHUNKS, 0, 5), named(FEW, 1, 5)
SHORT, LONG = named(FEW, 0, 4_000), named(CHUNKS, 0, 4_000)  # 40 MB, more than two hops of sockets hold
MODELS = (PACED, WARM, FAST, APART, SHORT, LONG)

FIRST_TIMES, FIRST_MS = 150, 3.0
FAST_ROUNDS, APART_ROUNDS, CHUNK_US = 7, 3, 60.0
MEMORY_ROUNDS, MEMORY_MB = 3, 2.0
WAIT, PAUSE = 1.5, 0.001  # seconds that a slow reader waits before its first read, and after each
MOST_READ = 64 * 1024
TOKEN, END = LETTER.encode() * 5, b"\r\n0\r\n\r\n"
SECONDS = 60  # until a stream that stands still is a failure

RELAY = "bare relay"


@dataclass(frozen=True)
class Server:
    port: int
    pid: int

    def cpu(self) -> float:
        """Seconds of CPU so far, the kernel's work for it included. Source: https://man7.org/linux/man-pages/man3/clock_getcpuclockid.3.html."""
        return time.clock_gettime(~self.pid << 3 | 2)

    def forget_peak(self) -> None:
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def peak(self) -> float:
        """The most megabytes that were resident since `forget_peak`."""
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text())
        assert found
        return int(found[1]) / 1000


def streams() -> list[Row]:
    with TemporaryDirectory() as folder, ExitStack() as stack:
        upstream = Server(*stack.enter_context(started("-m", "tests.benchmarks.drip")))
        configs = {name: configured(Path(folder), name, upstream.port) for name in (VLLM, BEDROCK)}
        rows = [row for name, config in configs.items() for row in memory(config, name)]
        relay = started("-m", "tests.benchmarks.relay", f"http://127.0.0.1:{upstream.port}")
        servers = {name: stack.enter_context(serving(config)) for name, config in configs.items()}
        servers[RELAY] = Server(*stack.enter_context(relay))
        for server in servers.values():
            answered(server, WARM)
        return first_tokens(upstream, servers) + work(servers) + rows


@contextmanager
def serving(config: Path) -> Iterator[Server]:
    """A process of its own, so that what it needs at most is what this part needs."""
    with started("-m", "core.cli.main", "serve", str(config), "--port", "0") as (port, pid):
        yield Server(port, pid)


def configured(folder: Path, provider_type: str, upstream: int) -> Path:
    """A run config whose models are `MODELS`, in a folder of its own, which has the registry too."""
    own = folder / provider_type.rpartition(":")[2]
    own.mkdir()
    document = {
        "version": 2,
        "image_name": "bench",
        "apis": ["inference"],
        "providers": {"inference": [provider(provider_type, upstream)]},
        "models": [{"model_id": model, "provider_model_id": model} for model in MODELS],
        "metadata_store": {"type": "sqlite", "db_path": str(own / "registry.db")},
    }
    (own / "run.yaml").write_text(json.dumps(document))
    return own / "run.yaml"


def post(model: str, path: str = "/v1/chat/completions") -> bytes:
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hi"}], "stream": True}).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def listened(connection: socket.socket, request: bytes, *, slowly: bool = False) -> float:
    """Seconds to the first token; it returns when the answer is whole."""
    start, first, tail = time.perf_counter(), 0.0, b""
    connection.sendall(request)
    time.sleep(WAIT if slowly else 0)
    while not tail.endswith(END):
        data = connection.recv(MOST_READ)
        tail += data
        if not first and TOKEN in tail:
            first = time.perf_counter() - start
        if not data or (not first and not tail.startswith(b"HTTP/1.1 200")):
            raise RuntimeError(f"no stream: {tail!r}")
        tail = tail[-MOST_READ:] if not first else tail[-len(END) :]
        time.sleep(PAUSE if slowly else 0)
    return first


@contextmanager
def connected(server: Server) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield connection


def answered(server: Server, model: str, *, slowly: bool = False) -> float:
    with connected(server) as connection:
        return listened(connection, post(model), slowly=slowly)


def first_tokens(upstream: Server, servers: dict[str, Server]) -> list[Row]:
    """The median of what each request waits more than the one before it, which asked the upstream itself."""
    return [
        first_token(VLLM, upstream, post(PACED), servers[VLLM]),
        first_token(BEDROCK, upstream, post(PACED, f"/model/{PACED}/converse-stream"), servers[BEDROCK]),
    ]


def first_token(name: str, upstream: Server, direct: bytes, server: Server) -> Row:
    own: list[float] = []
    over: list[float] = []
    with connected(upstream) as there, connected(server) as here:
        for _ in range(FIRST_TIMES):
            own.append(listened(there, direct) * 1e3)
            over.append(listened(here, post(PACED)) * 1e3 - own[-1])
    ms = median(over)
    what = f"first token, over the upstream's own {median(own):.1f} ms: {name}"
    return Row(what, f"{ms:.2f} ms", f"{FIRST_MS:.0f} ms", ms / FIRST_MS, "<= 1.0x")


def work(servers: dict[str, Server]) -> list[Row]:
    """CPU for each chunk. Of chunks that come one by one most of it is waking up: so does the bare relay, which reads none."""
    fast = per_chunk(servers, FAST, CHUNKS, FAST_ROUNDS)
    apart = per_chunk(servers, APART, FEW, APART_ROUNDS)
    names = (VLLM, BEDROCK)
    bound = f"{CHUNK_US:.0f} us"
    rows = [
        Row(f"work per chunk of {CHUNKS:,}: {name}", f"{fast[name]:.0f} us", bound, fast[name] / CHUNK_US, "<= 1.0x")
        for name in names
    ]
    relayed = f"{apart[RELAY]:.0f} us"
    what = "work per chunk, one a millisecond, beside a bare relay"
    return rows + [Row(f"{what}: {name}", f"{apart[name]:.0f} us", relayed, None, "") for name in names]


def per_chunk(servers: dict[str, Server], model: str, chunks: int, rounds: int) -> dict[str, float]:
    """Microseconds."""
    took: dict[str, list[float]] = {name: [] for name in servers}
    for _ in range(rounds):
        for name, server in servers.items():
            before = server.cpu()
            answered(server, model)
            took[name].append((server.cpu() - before) / chunks * 1e6)
    return {name: median(found) for name, found in took.items()}


def memory(config: Path, name: str) -> list[Row]:
    """What a stream that is ten times as long takes more, at its peak; also when its reader is slow."""
    with serving(config) as server:
        short = max(peak(server, SHORT) for _ in range(MEMORY_ROUNDS))
        found = {
            reader: max(peak(server, LONG, slowly=bool(reader)) for _ in range(MEMORY_ROUNDS)) - short
            for reader in ("", ", slow reader")
        }
    return [
        Row(
            f"peak memory, {CHUNKS:,} chunks over {FEW:,}{reader}: {name}",
            f"{mb:.1f} MB",
            f"{MEMORY_MB:.0f} MB",
            mb / MEMORY_MB,
            "<= 1.0x",
        )
        for reader, mb in found.items()
    ]


def peak(server: Server, model: str, *, slowly: bool = False) -> float:
    server.forget_peak()
    answered(server, model, slowly=slowly)
    return server.peak()
