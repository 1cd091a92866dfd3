"""What usage and a budget add to a chat with keys and a quota, what a call writes to DynamoDB, and what reading usage costs over the bare query."""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
import os
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
import time
from typing import Any, Final

from core.config.limits import QuotaRows
from core.config.security import QuotaConfig
from core.frame.callers import Call, Principal, UsageRow
from core.frame.observed import Observed
from core.frame.types import Wire
from core.platform.dynamodb_table import Table
from core.quota.order import Order
from core.quota.quota import Quota
from core.quota.recorder import UsageRecorder
from core.quota.rules import Rules
from core.stores.counters.dynamodb import DynamoCounters
from infra.local import dynamodb as local
from tests.benchmarks.load import connect, post
from tests.benchmarks.processes import CONFIG, started
from tests.benchmarks.streams import Server
from tests.benchmarks.table import Row
from tests.benchmarks.usage_reading import reading
from tests.parts.stack import new_key

ROUNDS, CHATS, WARM = 30, 40, 300
RETENTION_DAYS: Final = 400
MODELS: Final = "models: [{model_id: hello, provider_model_id: bench, metadata: {price: {input: 1, output: 2}}}]\n"
SERVER: Final = """
server:
  auth: {{providers: [{{type: api_key}}]}}
  quota: {{kvstore: {{type: sqlite, db_path: {folder}/quota.db}}, authenticated_max_requests: 100000000{more}}}
  usage: {{enabled: {usage}}}
"""
TOKENS: Final = ", max_tokens: 100000000000"
BUDGET: Final = ", limits: [{per: caller, window: month, money: 1000000}]"
SERVERS: Final = {
    "keys and a quota": ("", "false"),
    "keys and a quota of tokens": (TOKENS, "false"),
    "usage": ("", "true"),
    "usage and a budget": (BUDGET, "true"),
}
PAIRS: Final = (
    ("usage", "keys and a quota"),
    ("usage and a budget", "keys and a quota"),
    ("usage and a budget", "keys and a quota of tokens"),
)
SCOPES: Final = ("team", "role", "model")
WRITES: Final = ("UpdateItem", "TransactWriteItems")


def usage() -> list[Row]:
    return [*chats(), *reading(), *writes()]


def chats() -> list[Row]:
    """Each server has the same upstream, and they are asked in turns, one request each."""
    with TemporaryDirectory() as folder, ExitStack() as running:
        upstream, _ = running.enter_context(started("-m", "tests.benchmarks.upstream"))
        servers: dict[str, tuple[Server, bytes]] = {}
        for number, (name, (more, counts)) in enumerate(SERVERS.items()):
            own = Path(folder) / str(number)
            own.mkdir()
            config, store = own / "run.yaml", f"{{type: sqlite, db_path: {own}/registry.db}}"
            config.write_text(
                CONFIG.format(upstream=upstream, store=store)
                + MODELS
                + SERVER.format(folder=own, more=more, usage=counts)
            )
            key = new_key(config, {}, "--name", "bench")
            server = Server(*running.enter_context(started("-m", "core.cli.main", "serve", str(config), "--port", "0")))
            servers[name] = server, post("hello", bearer=key)
        return asyncio.run(_compare(servers))


async def _compare(servers: dict[str, tuple[Server, bytes]]) -> list[Row]:
    """Of each round the median; what is compared are the rounds' ratios."""
    took: dict[str, list[float]] = {name: [] for name in servers}
    connections = [(name, await connect(server.port), request) for name, (server, request) in servers.items()]
    for round_ in range(ROUNDS + 1):
        times: dict[str, list[float]] = {name: [] for name in servers}
        for _ in range(CHATS if round_ else WARM):
            for name, connection, request in connections:
                start = time.perf_counter()
                await connection.ask(request)
                times[name].append(time.perf_counter() - start)
        if round_ == 0:
            work = {name: server.cpu() for name, (server, _) in servers.items()}
            continue
        for name, of_round in times.items():
            took[name].append(median(of_round) * 1e6)
    cpu = {name: (server.cpu() - work[name]) / ROUNDS / CHATS * 1e6 for name, (server, _) in servers.items()}
    for _, connection, _ in connections:
        connection.writer.close()
    return [row for more, less in PAIRS for row in _pair(more, less, took, cpu)]


def _pair(more: str, less: str, took: dict[str, list[float]], cpu: dict[str, float]) -> list[Row]:
    ratio = median(one / other for one, other in zip(took[more], took[less], strict=True))
    what = f"warm chat with {more}, over {less}"
    times, work = ((f"{name[more]:.0f} us", f"{name[less]:.0f} us") for name in (_medians(took), cpu))
    return [Row(what, *times, ratio, "<= 1.1x"), Row(f"{what}: CPU", *work, cpu[more] / cpu[less], "")]


def _medians(took: dict[str, list[float]]) -> dict[str, float]:
    return {name: median(times) for name, times in took.items()}


class Cent:
    """Each call costs a cent at most."""

    async def most_nanos(self, model: str, body: Wire, tokens: int, requests: int = 1) -> int:
        del model, body, tokens, requests
        return 10_000_000

    async def most_of_batch(self, model: str, provider_id: str, prompt: int, tokens: int, requests: int) -> int:
        raise NotImplementedError


def writes() -> list[Row]:
    """What DynamoDB is asked for by one chat of a caller who has called before."""
    if why := local.unavailable():
        print(f"DynamoDB Local: skipped, {why}")
        return []
    os.environ.update(local.CREDENTIALS)
    with local.running() as endpoint:
        local.create_table(endpoint, "writes")
        return asyncio.run(_count_writes(endpoint))


async def _count_writes(endpoint: str) -> list[Row]:
    rows: list[Row] = []
    table = Table("writes", region=local.REGION, endpoint_url=endpoint)
    kinds = {"no limits": None, "limits of its own": ["caller"]}
    shared = {"1 shared limit": SCOPES[:1], f"{len(SCOPES)} shared limits": SCOPES}
    for number, (name, scopes) in enumerate((kinds | shared).items()):
        store = DynamoCounters(table, namespace=str(number))
        admission = _admission(store, scopes)
        await _chat(admission)
        async with table.client() as client:
            seen: list[int] = []

            def note(params: dict[str, Any], seen: list[int] = seen, **_: object) -> None:
                seen.append(2 * len(params.get("TransactItems", ())) or 1)

            for operation in WRITES:
                client.meta.events.register(f"before-parameter-build.dynamodb.{operation}", note)
            start = time.perf_counter()
            await _chat(admission)
            took = time.perf_counter() - start
            for operation in WRITES:
                client.meta.events.unregister(f"before-parameter-build.dynamodb.{operation}", note)
        units = " + ".join(map(str, seen))
        what = f"DynamoDB writes of a chat with usage and {name}: units of each"
        rows.append(Row(what, units, f"{took * 1e3:.1f} ms", None, ""))
    await table.close()
    return rows


def _admission(store: DynamoCounters, scopes: Sequence[str] | None) -> Quota | UsageRecorder:
    if scopes is None:
        return UsageRecorder(store, retention_days=RETENTION_DAYS)
    limits = [{"per": per, "window": "month", "money": 1000} | _named(per) for per in scopes]
    rules = Rules(QuotaRows.model_validate({"limits": limits}).limits, store, lambda _: Cent())
    config = QuotaConfig.model_validate(
        {"kvstore": {"type": "sqlite", "db_path": "unused"}, "authenticated_max_requests": 10**9}
    )
    return Quota(config, store, rules=rules, retention_days=RETENTION_DAYS)


def _named(per: str) -> dict[str, str]:
    return {} if per == "caller" else {"name": "*"}


async def _chat(admission: Quota | UsageRecorder) -> None:
    caller = Principal("ada", {"teams": ("red",), "roles": ("dev",)}, "issuer")
    call = Call(caller, observed=Observed("inference", "chat_completion"))
    ticket = await admission.admit(call, 64, 1, Order("small", Wire()))
    call.add_tokens(50)
    row = UsageRow("small", "vllm", "inference", "chat_completion", answers=1, prompt_tokens=10, completion_tokens=40)
    call.note_use(row, 50_000_000)
    await ticket.settle(call.end())
