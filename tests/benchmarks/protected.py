"""What auth and quota add to a warm chat: the same `llambda serve` with and without, alternating on one upstream."""

from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tests.benchmarks.load import p50, post
from tests.benchmarks.processes import CONFIG, started
from tests.benchmarks.table import Row

ROUNDS = 9
MODELS = "models: [{model_id: hello, provider_model_id: bench}]\n"
AUTH = """
  auth:
    provider_type: oauth2_token
    config: {{jwks: {{uri: "http://127.0.0.1:{issuer}/keys"}}, audience: bench}}
"""
QUOTA = """
  quota: {{kvstore: {{type: sqlite, db_path: {folder}/quota.db}}, authenticated_max_requests: 100000000{tokens}}}
"""
SERVERS = {
    "open": "",
    "auth": f"server:{AUTH}",
    "auth and quota": f"server:{AUTH}{QUOTA.replace('{tokens}', '')}",
    "auth, quota and tokens": f"server:{AUTH}{QUOTA.replace('{tokens}', ', max_tokens: 100000000000')}",
}


def protected() -> list[Row]:
    """A row per server beyond the open one; the goal is 300 us at most for auth and quota together."""
    with TemporaryDirectory() as folder, ExitStack() as running:
        token = Path(folder) / "token"
        upstream, _ = running.enter_context(started("-m", "tests.benchmarks.upstream"))
        issuer, _ = running.enter_context(started("-m", "tests.benchmarks.issuer", str(token)))
        ports: dict[str, int] = {}
        for number, (name, server) in enumerate(SERVERS.items()):
            own = Path(folder) / str(number)
            own.mkdir()
            config = own / "run.yaml"
            store = f"{{type: sqlite, db_path: {own}/registry.db}}"
            config.write_text(
                CONFIG.format(upstream=upstream, store=store) + MODELS + server.format(issuer=issuer, folder=own)
            )
            ports[name], _ = running.enter_context(started("-m", "core.cli.main", "serve", str(config), "--port", "0"))
        return _compared(ports, post("hello", bearer=token.read_text("utf-8")))


def _compared(ports: dict[str, int], request: bytes) -> list[Row]:
    for port in ports.values():
        p50(port, request, times=500)
    found: dict[str, list[float]] = {name: [] for name in ports}
    for _ in range(ROUNDS):
        for name, port in ports.items():
            found[name].append(p50(port, request))
    added = {name: (median(times) - median(found["open"])) * 1e6 for name, times in found.items()}
    return [
        Row(f"warm chat, what {name} add", f"{us:.0f} us", "300 us", us / 300, "<= 1.0x")
        for name, us in added.items()
        if name != "open"
    ]
