"""What does a turn of an agent cost over our own chat, taking up a stream over a read, a log over none; how long is the background's way?"""

from contextlib import ExitStack
from http.client import HTTPConnection
import json
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from threading import Thread
import time
from typing import Any

from tests.benchmarks.drip import VLLM, named, provider
from tests.benchmarks.processes import started
from tests.benchmarks.responses import PACED, PAIRS, RESPONSES, SHORT, WARM, chat, compared, fetch, respond, seconds
from tests.benchmarks.streams import Server
from tests.benchmarks.table import Row
from tests.benchmarks.unlogged import NONE

LONG = named(400, 10, 5)
MODELS = (PACED, SHORT, LONG)
AT_ONCE, ALTERNATIONS = 16, 12
ROUND_TRIPS = 12
SERVE = "tests.benchmarks.unlogged"


def turns() -> list[Row]:
    with TemporaryDirectory() as folder, ExitStack() as stack:
        upstream, _ = stack.enter_context(started("-m", "tests.benchmarks.drip"))
        config = configured(Path(folder), upstream)
        server = Server(*stack.enter_context(started("-m", SERVE, "serve", str(config), "--port", "0")))
        connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
        stack.callback(connection.close)
        return [
            *over_chat(connection),
            *resumed(connection),
            *in_the_background(connection),
            logging_work(server),  # the last, since the server closes what is idle for so long
        ]


def configured(folder: Path, upstream: int) -> Path:
    """A run config of 0.2, which has agents."""
    kept = {"persistence_store": {"type": "sqlite", "db_path": str(folder / "agents.db")}}
    entry = {"provider_id": "meta-reference", "provider_type": "inline::meta-reference", "config": kept}
    document = {
        "version": 2,
        "image_name": "bench",
        "apis": ["inference", "agents"],
        "providers": {"inference": [provider(VLLM, upstream)], "agents": [entry]},
        "models": [{"model_id": model, "provider_model_id": model} for model in MODELS],
        "metadata_store": {"type": "sqlite", "db_path": str(folder / "registry.db")},
    }
    (folder / "run.json").write_text(json.dumps(document))
    return folder / "run.json"


def made(connection: HTTPConnection, path: str, name: str, **body: Any) -> str:
    value: str = json.loads(fetch(connection, path, **body))[name]
    return value


def turn(connection: HTTPConnection, session: str) -> None:
    fetch(connection, f"{session}/turn", messages=[{"role": "user", "content": "Hi"}], stream=True)


def over_chat(connection: HTTPConnection) -> list[Row]:
    """Each turn is the first of its session, which was made before."""
    rows: list[Row] = []
    for model, how, pairs, goal in (
        (PACED, "40 tokens of 5 ms", PAIRS, "<= 1.15x"),
        (SHORT, "20 tokens at once", PAIRS, ""),
    ):
        config = {"model": model, "instructions": "Be brief."}
        agent = made(connection, "/v1/agents", "agent_id", agent_config=config)
        ours, floor = list[float](), list[float]()
        for _ in range(pairs + WARM):
            session = made(connection, f"/v1/agents/{agent}/session", "session_id", session_name="s")
            floor.append(seconds(chat, connection, model))
            ours.append(seconds(turn, connection, f"/v1/agents/{agent}/session/{session}"))
        rows.append(compared(f"a turn of an agent, over our own chat, {how}", ours, floor, goal))
    return rows


def read(connection: HTTPConnection, path: str) -> None:
    connection.request("GET", path)
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != 200:
        raise RuntimeError(content.decode())


def first_event(connection: HTTPConnection, path: str) -> float:
    """Seconds to the first event of a stream, which is read to its end."""
    start = time.perf_counter()
    connection.request("GET", path)
    answer = connection.getresponse()
    while not answer.readline().startswith(b"data: "):
        if answer.isclosed():
            raise RuntimeError(f"{path} has no event")
    found = time.perf_counter() - start
    answer.read()
    return found


def resumed(connection: HTTPConnection) -> list[Row]:
    """Behind the first event, and behind the middle, of a stream of 400 tokens that has ended; a conversation is one document."""
    whole = fetch(connection, RESPONSES, model=LONG, input="Hi", stream=True)
    events = [json.loads(line[6:]) for line in whole.splitlines() if line.startswith(b"data: ")]
    name, middle = events[0]["response"]["id"], len(events) // 2
    document = f"/v1/conversations/{made(connection, '/v1/conversations', 'id')}"
    rows: list[Row] = []
    for after in (0, middle):
        path = f"{RESPONSES}/{name}?stream=true&starting_after={after}"
        ours, floor, response = list[float](), list[float](), list[float]()
        for _ in range(PAIRS * 3 + WARM):
            floor.append(seconds(read, connection, document))
            response.append(seconds(read, connection, f"{RESPONSES}/{name}"))
            ours.append(first_event(connection, path))
        what = f"first event of a stream that is taken up behind event {after} of {len(events)}"
        rows += [
            compared(f"{what}, over a document's read", ours, floor, "<= 2.0x"),
            compared(f"{what}, over the response's read", ours, response, ""),
        ]
    return rows


def logging_work(server: Server) -> Row:
    """CPU of streams that are stored, 16 at once, with a log and without, by one process: two of them differ by more than is looked for.

    Each is the first of the two in turn, since what comes later finds more in the file.
    """
    ours, floor = list[float](), list[float]()
    for number in range(ALTERNATIONS + 1):
        pair: list[tuple[list[float], dict[str, Any]]] = [(floor, {"metadata": NONE}), (ours, {})]
        for took, more in reversed(pair) if number % 2 else pair:
            took.append(work(server, **more))
    own, bare = median(ours[1:]), median(floor[1:])
    what = f"CPU of a stored stream of 400 tokens of 10 ms, {AT_ONCE} at once, over the same without its log"
    return Row(what, f"{own * 1e3:.1f} ms", f"{bare * 1e3:.1f} ms", own / bare, "<= 1.05x")


def work(server: Server, **more: Any) -> float:
    """Seconds of CPU of one stream."""

    def ask() -> None:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
        respond(connection, LONG, **more)
        connection.close()

    before = server.cpu()
    threads = [Thread(target=ask) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return (server.cpu() - before) / AT_ONCE


def in_the_background(connection: HTTPConnection) -> list[Row]:
    """To the answer of POST, to the first token, and to the end: how soon a worker takes it is what it takes."""
    posted, told, ended, direct = list[float](), list[float](), list[float](), list[float]()
    for _ in range(ROUND_TRIPS):
        direct.append(seconds(respond, connection, SHORT))
        start = time.perf_counter()
        name = made(connection, RESPONSES, "id", model=SHORT, input="Hi", background=True)
        posted.append(time.perf_counter() - start)
        while json.loads(get(connection, f"{RESPONSES}/{name}"))["status"] in {"queued", "in_progress"}:
            time.sleep(0.005)
        ended.append(time.perf_counter() - start)
        told.append(first_token(connection))
    rows = (("answered", posted), ("streams its first token", told), ("has ended", ended))
    floor = median(direct)
    return [
        Row(
            f"a response in the background {what}, beside one that is streamed at once",
            f"{median(values) * 1e3:.1f} ms",
            f"{floor * 1e3:.1f} ms",
            None,
            "",
        )
        for what, values in rows
    ]


def get(connection: HTTPConnection, path: str) -> bytes:
    connection.request("GET", path)
    return connection.getresponse().read()


def first_token(connection: HTTPConnection) -> float:
    start = time.perf_counter()
    body = json.dumps({"model": SHORT, "input": "Hi", "background": True, "stream": True})
    connection.request("POST", RESPONSES, body, {"content-type": "application/json"})
    answer = connection.getresponse()
    while not answer.readline().startswith(b"event: response.output_text.delta"):
        if answer.isclosed():
            raise RuntimeError("no token came")
    found = time.perf_counter() - start
    answer.read()
    return found
