"""Warm functions in Lambda's runtimes: answers in one piece beside a bare function, streams as they leave our own runtime."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
import json
from pathlib import Path
import re
from shutil import copy, copytree
from statistics import median, quantiles
from tempfile import TemporaryDirectory
import time
from typing import Any

from infra.build import BuildRequest, build
from tests.benchmarks.cold import CHAT, bare, event
from tests.benchmarks.drip import BEDROCK, LETTER, VLLM, named, provider
from tests.benchmarks.processes import ROOT, started
from tests.benchmarks.streams import Server, connected, listened, post
from tests.benchmarks.table import Row
from tests.lambda_.emulator import architecture, running
from tests.lambda_.runtime_api import Outcome
from tests.lambda_.streaming import Streamed, streaming

HANDLER = "functions.inference.handler"
HANDLERS = {"bare": "bare.handler", "admin": "functions.admin.handler", "inference": HANDLER}
PAUSE = 20  # milliseconds between tokens
PACED, SLOW, FAST = named(2, PAUSE, 5), named(100, PAUSE, 5), named(10_000, 0, 5)
MODELS = (PACED, SLOW, FAST)
TIMES, WARM, ROUNDS = 400, 100, 5
FIRST, MANY = 1_000, 10_000  # requests, between which memory must not grow
TOKEN = LETTER.encode() * 5


def runtimes() -> list[Row]:
    with TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        upstream = Server(*stack.enter_context(started("-m", "tests.benchmarks.drip")))
        configs = {kind: configured(folder, kind, upstream.port) for kind in (VLLM, BEDROCK)}
        inference, admin = folder / "inference", folder / "admin"
        for package in (inference, admin):
            build(BuildRequest(package.name, package, architecture=architecture()))
        bare(folder / "bare", like=admin)
        rows = warm(folder, upstream, configs[VLLM])
        floor = stack.enter_context(relay(folder / "relay", upstream, like=inference))
        for kind, config in configs.items():
            with streaming(inference, HANDLER, {"LLAMBDA_CONFIG": str(config)}, folder / "log") as function:
                rows += first_token(kind, function, floor, upstream) + streamed(kind, function)
                if kind == BEDROCK:
                    rows += grown(function)
        return rows


@contextmanager
def relay(package: Path, upstream: Server, *, like: Path) -> Iterator[Streamed]:
    """A bare Starlette app in the same runtime, which hands on what the upstream streams."""
    copytree(like, package)
    copy(ROOT / "tests" / "benchmarks" / "relay.py", package)
    (package / "bare_relay.py").write_text(
        "import os\n\nfrom relay import app as made\n\napp = made(os.environ['UP'])\n"
    )
    environment = {"UP": f"http://127.0.0.1:{upstream.port}"}
    with streaming(package, "bare_relay.handler", environment, package.with_suffix(".log")) as function:
        yield function


def configured(folder: Path, provider_type: str, upstream: int) -> Path:
    document = {
        "version": 2,
        "image_name": "bench",
        "apis": ["inference"],
        "providers": {"inference": [provider(provider_type, upstream)]},
        "models": [{"model_id": model, "provider_model_id": model} for model in (*MODELS, "bench")],
        "metadata_store": {"type": "sqlite", "db_path": str(folder / "registry.db")},
    }
    config = folder / f"{provider_type.rpartition(':')[2]}.json"
    config.write_text(json.dumps(document))
    return config


def chat(model: str, *, stream: bool) -> dict[str, Any]:
    return event("POST", "/v1/chat/completions", CHAT | {"model": model, "stream": stream})


def warm(folder: Path, upstream: Server, config: Path) -> list[Row]:
    """Through AWS's runtime and its emulator, whose own time the bare function has too."""
    health, asked = event("GET", "/v1/health"), chat("bench", stream=False)
    environment = {"LLAMBDA_CONFIG": str(config)}
    with ExitStack() as stack:
        up = {
            name: stack.enter_context(running(folder / name, handler, environment, folder / f"{name}.log"))
            for name, handler in HANDLERS.items()
        }
        direct = stack.enter_context(connected(upstream))
        whole = post("bench").replace(b'"stream": true', b'"stream": null')

        def ask() -> None:
            direct.sendall(whole)
            direct.recv(65536)

        took = alternated(
            {
                "bare": lambda: up["bare"].invoke(asked),
                "health": lambda: up["admin"].invoke(health),
                "chat": lambda: up["inference"].invoke(asked),
                "upstream": ask,
            }
        )
    added = took["chat"] - took["bare"] - took["upstream"]
    return [
        Row("warm invoke of health", ms(took["health"]), ms(took["bare"]), took["health"] / took["bare"], "<= 1.5x"),
        Row("warm invoke of chat, over bare and upstream", ms(added), "1.20 ms", added / 1.2, "<= 1.0x"),
    ]


def alternated(work: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Medians, in milliseconds."""
    took: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(WARM + TIMES):
        for name, do in work.items():
            start = time.perf_counter()
            do()
            if turn >= WARM:
                took[name].append((time.perf_counter() - start) * 1e3)
    return {name: median(found) for name, found in took.items()}


def first_token(kind: str, function: Streamed, floor: Streamed, upstream: Server) -> list[Row]:
    """The hop between the double's thread and this one is in both."""
    path = {VLLM: "/v1/chat/completions", BEDROCK: f"/model/{PACED}/converse-stream"}[kind]
    over: dict[str, list[float]] = {"llambda": [], "relay": []}
    with connected(upstream) as there:
        for _ in range(WARM):
            own = listened(there, post(PACED, path)) * 1e3
            for name, asked in (("llambda", function), ("relay", floor)):
                start = time.perf_counter()
                outcome = asked.answered(chat(PACED, stream=True))
                over[name].append((arrivals(outcome)[0] - start) * 1e3 - own)
    first, relayed = median(over["llambda"]), median(over["relay"])
    more = first - relayed
    return [
        Row(f"first token leaves Lambda, over the upstream's: {kind}", ms(first), ms(relayed), None, ""),
        Row(f"of that, more than a bare relay's: {kind}", ms(more), "2.00 ms", more / 2, "<= 1.0x"),
    ]


def streamed(kind: str, function: Streamed) -> list[Row]:
    late = [late_of(function.answered(chat(SLOW, stream=True))) for _ in range(ROUNDS)]
    rates = [rate_of(function.answered(chat(FAST, stream=True))) for _ in range(ROUNDS)]
    p95, rate = median(late), median(rates)
    return [
        Row(f"token each {PAUSE} ms, p95 of what one is late: {kind}", ms(p95), "5.00 ms", p95 / 5, "<= 1.0x"),
        Row(f"tokens/s through one environment: {kind}", f"{rate:,.0f}", "2,000", rate / 2_000, ">= 1.0x"),
    ]


def arrivals(outcome: Outcome) -> list[float]:
    assert outcome.prelude["statusCode"] == 200, outcome.body
    return [arrived for arrived, data in outcome.chunks if TOKEN in data]


def late_of(outcome: Outcome) -> float:
    """How much later than `PAUSE` after the one before it a token comes: the 95th percentile, in milliseconds."""
    times = arrivals(outcome)
    gaps = [(after - before) * 1e3 for before, after in pairwise(times)]
    return quantiles([gap - PAUSE for gap in gaps], n=20)[-1]


def rate_of(outcome: Outcome) -> float:
    times = arrivals(outcome)
    return outcome.body.count(TOKEN) / (times[-1] - times[0])


def grown(function: Streamed) -> list[Row]:
    asked = chat("bench", stream=False)
    sizes: list[float] = []
    for count in (FIRST, MANY - FIRST):
        for _ in range(count):
            function.invoke(asked)
        sizes.append(resident_mb(function.process.pid))
    used, more = sizes[-1], sizes[-1] - sizes[0]
    return [
        Row(f"memory of inference, Bedrock, after {MANY:,} requests", f"{used:.0f} MB", "90 MB", used / 90, "<= 1.0x"),
        Row(f"of that, since request {FIRST:,}", f"{more:.1f} MB", "2 MB", more / 2, "<= 1.0x"),
    ]


def resident_mb(process: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    assert found
    return int(found[1]) / 1000


def ms(milliseconds: float) -> str:
    return f"{milliseconds:.2f} ms"
