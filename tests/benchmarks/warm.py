"""Warm chat through `llambda serve` against the bare pass-through, alternating on one upstream."""

from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tests.benchmarks.load import p50, post, rate
from tests.benchmarks.processes import CONFIG, started
from tests.benchmarks.table import Row

ROUNDS = 7
MODELS = "models: [{model_id: hello, provider_model_id: bench}]\n"


def warm() -> list[Row]:
    with TemporaryDirectory() as folder, started("-m", "tests.benchmarks.upstream") as (upstream, _):
        config = Path(folder) / "run.yaml"
        store = f"{{type: sqlite, db_path: {folder}/registry.db}}"
        config.write_text(CONFIG.format(upstream=upstream, store=store) + MODELS)
        bare_server = started("-m", "tests.benchmarks.passthrough", f"http://127.0.0.1:{upstream}")
        server = started("-m", "core.cli.main", "serve", str(config), "--port", "0")
        with bare_server as (bare, _), server as (llambda, _):
            return _compared({"upstream": upstream, "bare": bare, "llambda": llambda})


def _compared(ports: dict[str, int]) -> list[Row]:
    requests = {"upstream": post("bench"), "bare": post("bench"), "llambda": post("hello")}
    for name, port in ports.items():
        p50(port, requests[name], times=500)
    latencies: dict[str, list[float]] = {name: [] for name in ports}
    rates: dict[str, list[float]] = {"bare": [], "llambda": []}
    for _ in range(ROUNDS):
        for name, port in ports.items():
            latencies[name].append(p50(port, requests[name]))
        for name, found in rates.items():
            found.append(rate(ports[name], requests[name]))
    p50s = {name: median(found) for name, found in latencies.items()}
    per_second = {name: median(found) for name, found in rates.items()}
    added = {name: (p50s[name] - p50s["upstream"]) * 1e6 for name in ("bare", "llambda")}
    return [
        Row(
            "warm chat, added p50, 1 connection",
            f"{added['llambda']:.0f} us",
            f"{added['bare']:.0f} us",
            added["llambda"] / added["bare"],
            "<= 2.0x",
        ),
        Row(
            "warm chat, requests/s, 16 connections",
            f"{per_second['llambda']:.0f}",
            f"{per_second['bare']:.0f}",
            per_second["llambda"] / per_second["bare"],
            ">= 0.4x",
        ),
    ]
