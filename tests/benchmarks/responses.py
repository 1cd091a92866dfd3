"""What does a response cost over our own chat on the same upstream, what does keeping it cost, and what a long chain, and memory?"""

from contextlib import ExitStack, closing
from http.client import HTTPConnection
import json
from pathlib import Path
import sqlite3
from statistics import median
from tempfile import TemporaryDirectory
import time
from typing import Any

from tests.benchmarks.drip import VLLM, named, provider
from tests.benchmarks.processes import started
from tests.benchmarks.streams import Server, serving
from tests.benchmarks.table import Row

PACED, FAST, SHORT = named(40, 5, 5), named(1_000, 0, 5), named(20, 0, 5)
MODELS = (PACED, FAST, SHORT)
PAIRS, FAST_PAIRS, WARM, COUNTED = 30, 40, 5, 20
CHAIN = 60
STORED, MEMORY_MB = 1_000, 110.0
CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"


def responses() -> list[Row]:
    with TemporaryDirectory() as folder, ExitStack() as stack:
        upstream, _ = stack.enter_context(started("-m", "tests.benchmarks.drip"))
        server = stack.enter_context(serving(configured(Path(folder), upstream)))
        connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
        stack.callback(connection.close)
        return [
            *over_chat(connection, server),
            *kept(connection, Path(folder)),
            transactions(connection, Path(folder)),
            *chained(connection),
            memory(connection, server),
        ]


def configured(folder: Path, upstream: int) -> Path:
    document = {
        "version": 2,
        "image_name": "bench",
        "apis": ["inference", "responses"],
        "providers": {
            "inference": [provider(VLLM, upstream)],
            "responses": [{"provider_id": "builtin", "provider_type": "inline::builtin", "config": {}}],
        },
        "models": [{"model_id": model, "provider_model_id": model} for model in MODELS],
        "metadata_store": {"type": "sqlite", "db_path": str(folder / "registry.db")},
    }
    (folder / "run.json").write_text(json.dumps(document))
    return folder / "run.json"


def fetch(connection: HTTPConnection, path: str, **body: Any) -> bytes:
    connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != 200:
        raise RuntimeError(content.decode())
    return content


def chat(connection: HTTPConnection, model: str) -> None:
    fetch(connection, CHAT, model=model, messages=[{"role": "user", "content": "Hi"}], stream=True)


def respond(connection: HTTPConnection, model: str, **more: Any) -> None:
    fetch(connection, RESPONSES, **{"model": model, "input": "Hi", "stream": True, **more})


def over_chat(connection: HTTPConnection, server: Server) -> list[Row]:
    """A model that writes a token each 5 ms; and one that writes all at once, by CPU."""
    ours, floor = list[float](), list[float]()
    for _ in range(PAIRS + WARM):
        floor.append(seconds(chat, connection, PACED))
        ours.append(seconds(respond, connection, PACED, store=False))
    paced = compared("response, not kept, over our own chat, 40 tokens of 5 ms", ours, floor, "<= 1.15x")
    ours, floor = [], []
    for _ in range(PAIRS * 3 + WARM):
        floor.append(seconds(chat, connection, SHORT))
        ours.append(seconds(respond, connection, SHORT, store=False))
    at_once = compared("the same, 20 tokens at once", ours, floor, "")
    work: dict[Any, float] = {}
    for ask, more in ((chat, {}), (respond, {"store": False})):
        before = server.cpu()
        for _ in range(FAST_PAIRS):
            ask(connection, FAST, **more)
        work[ask] = (server.cpu() - before) / FAST_PAIRS / 1_000 * 1e6
    what = "work per chunk of 1,000 that come at once, over our own chat"
    return [
        paced,
        at_once,
        Row(what, f"{work[respond]:.0f} us", f"{work[chat]:.0f} us", work[respond] / work[chat], ""),
    ]


def kept(connection: HTTPConnection, folder: Path) -> list[Row]:
    """What keeping adds, beside what SQLite takes to write two rows of as much, with a commit that is on the disk."""
    ours, floor, bare = list[float](), list[float](), list[float]()
    with closing(sqlite3.connect(folder / "bare.db", autocommit=True)) as database:
        database.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE rows (body BLOB)")
        for _ in range(PAIRS * 3 + WARM):
            floor.append(seconds(respond, connection, SHORT, store=False))
            ours.append(seconds(respond, connection, SHORT, store=True))
            bare.append(seconds(write, database))
    added, alone = median(ours[WARM:]) - median(floor[WARM:]), median(bare[WARM:])
    what = "what keeping a response adds, over a bare transaction of SQLite"
    return [
        compared("response, kept in SQLite, over one that is not, 20 tokens at once", ours, floor, ""),
        Row(what, f"{added * 1e3:.2f} ms", f"{alone * 1e3:.2f} ms", added / alone, ""),
    ]


def write(database: sqlite3.Connection) -> None:
    database.executescript("BEGIN IMMEDIATE; INSERT INTO rows VALUES (randomblob(900)), (randomblob(900)); COMMIT")


def transactions(connection: HTTPConnection, folder: Path) -> Row:
    """Of a response that is kept; one that is not has none."""
    start_logs(folder)
    before = commits(folder)
    for store in (False, True):
        for _ in range(COUNTED):
            respond(connection, SHORT, store=store)
    found = (commits(folder) - before) / COUNTED
    return Row("transactions of a response that is kept", f"{found:.1f}", "1.0", found, "<= 1.0x")


def start_logs(folder: Path) -> None:
    """Have the write-ahead logs begin anew: one that did so while it is counted would hide what was in it."""
    for path in folder.glob("*.db"):
        with closing(sqlite3.connect(path)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def commits(folder: Path) -> int:
    """Those in the write-ahead logs of the databases in the folder. Source: https://www.sqlite.org/fileformat2.html#the_write_ahead_log."""
    return sum(map(commits_in, folder.glob("*-wal")))


def commits_in(log: Path) -> int:
    """Frames that end one, as far as they are of the log's present round."""
    data = log.read_bytes()
    if not data:
        return 0
    page, salts = int.from_bytes(data[8:12]), data[16:24]
    frames = (data[at : at + 24] for at in range(32, len(data), 24 + page))
    return sum(frame[8:16] == salts and frame[4:8] != bytes(4) for frame in frames)


def chained(connection: HTTPConnection) -> list[Row]:
    """The 61st of a chain over the second: with a model that writes as models do, and with one that writes all at once."""
    first = link(connection, SHORT, None)
    last = first
    for _ in range(CHAIN - 1):
        last = link(connection, SHORT, last)
    rows: list[Row] = []
    for model, how, pairs, goal in (
        (PACED, "40 tokens of 5 ms", PAIRS, "<= 1.1x"),
        (SHORT, "20 tokens at once", PAIRS * 5, ""),
    ):
        ours, floor = list[float](), list[float]()
        for _ in range(pairs + WARM):
            floor.append(seconds(link, connection, model, first))
            ours.append(seconds(link, connection, model, last))
        rows.append(compared(f"response that goes on from a chain of {CHAIN}, over one of 1, {how}", ours, floor, goal))
    return rows


def link(connection: HTTPConnection, model: str, previous: str | None) -> str:
    body = {"model": model, "input": "Hi", "previous_response_id": previous}
    name: str = json.loads(fetch(connection, RESPONSES, **body))["id"]
    return name


def memory(connection: HTTPConnection, server: Server) -> Row:
    for _ in range(STORED):
        respond(connection, SHORT)
    server.forget_peak()
    respond(connection, SHORT)
    mb = server.peak()
    what = f"memory after {STORED:,} more streamed responses that were kept"
    return Row(what, f"{mb:.0f} MB", f"{MEMORY_MB:.0f} MB", mb / MEMORY_MB, "<= 1.0x")


def seconds(ask: Any, *arguments: Any, **more: Any) -> float:
    start = time.perf_counter()
    ask(*arguments, **more)
    return time.perf_counter() - start


def compared(what: str, ours: list[float], floor: list[float], goal: str) -> Row:
    """By the medians, without the first ones."""
    own, bare = median(ours[WARM:]), median(floor[WARM:])
    return Row(what, f"{own * 1e3:.2f} ms", f"{bare * 1e3:.2f} ms", own / bare, goal)
