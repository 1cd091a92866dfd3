"""A toy API of notes goes through all that an operation can carry and every kind of state, wherever it runs.

Its manifest, its service, its wire types and its function are put into a copy of the product, nothing else: the copy is then
served by two processes over one database, and packaged for both Lambda runtimes, which share that database too. What a
deployment has instead of these files (DynamoDB, S3, SQS) each contract suite shows.
"""

from base64 import b64decode
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from typing import Any, Final, cast

import httpx
import pytest

from infra.local.dynamodb import CREDENTIALS
from infra.local.ports import free_port
from tests.lambda_ import emulator
from tests.lambda_.conftest import needs
from tests.lambda_.emulator import running
from tests.lambda_.events import Call, event
from tests.lambda_.notes.product import Upstream, copy_product
from tests.lambda_.streaming import streaming
from tests.parts.secrets import hear_file
from tests.parts.stack import address_of
from tests.parts.upstream import in_thread

CONTENT: Final = bytes(range(256)) * 1024
ROWS: Final = 1000
PATIENCE_SECONDS: Final = 240.0  # more than the lease of a worker that was killed, and its message's visibility
IN_PROCESS: Final = """
import asyncio, json, sys
import httpx
from core.runtime import coldstart
from functions.notes import app

async def main() -> None:
    async with app.router.lifespan_context(app):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as client:
            for line in sys.stdin:
                method, path, headers, body = json.loads(line)
                answer = await client.request(method, path, headers=headers, content=bytes.fromhex(body))
                print(json.dumps([answer.status_code, dict(answer.headers), answer.content.hex()]), flush=True)

asyncio.run(main())
"""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)


type Ask = Callable[..., Answer]
"""`ask(method, path, body, headers)`: a body is JSON, or the bytes of a form."""


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with in_thread(Upstream()) as fake:
        yield cast("Upstream", fake)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Path:
    """The product with the toy's files, and a run config whose state is one folder."""
    folder = tmp_path_factory.mktemp("notes")
    copy_product(folder)
    vllm = {"provider_id": "vllm", "provider_type": "remote::vllm", "config": {"url": f"{upstream.url}/v1"}}
    document = {
        "version": 2,
        "image_name": "notes",
        "apis": ["inference", "notes"],
        "providers": {"inference": [vllm]},
        "metadata_store": {"type": "sqlite", "db_path": str(folder / "state" / "registry.db")},
    }
    (folder / "run.json").write_text(json.dumps(document))
    return folder


@contextmanager
def serving(checkout: Path, name: str) -> Generator[tuple[subprocess.Popen[bytes], Ask]]:
    """`llambda serve` with the toy and a worker of jobs; ended if that did not happen before."""
    log = checkout / f"{name}.log"
    command = [sys.executable, "-m", "core.cli.main", "serve", "run.json", "--port", "0"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=checkout, stdout=output, stderr=output, env=os.environ)
    try:
        with httpx.Client(base_url=address_of(process, log), timeout=30) as client:
            yield process, lambda *request: over_http(client, *request)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0, log.read_text()
        hear_file(log)


def encode(body: Any, headers: dict[str, str] | None) -> tuple[bytes, dict[str, str]]:
    if body is None:
        return b"", headers or {}
    if isinstance(body, bytes):
        return body, headers or {}
    return json.dumps(body).encode(), {"content-type": "application/json", **(headers or {})}


def over_http(client: httpx.Client, method: str, path: str, body: Any = None, headers: Any = None) -> Answer:
    content, headers = encode(body, headers)
    answer = client.request(method, path, content=content, headers=headers)
    return Answer(answer.status_code, dict(answer.headers), answer.content)


def call_of(method: str, path: str, body: Any, headers: Any) -> Call:
    content, headers = encode(body, headers)
    path, _, query = path.partition("?")
    pairs = [(name, value) for name, _, value in (pair.partition("=") for pair in query.split("&") if pair)]
    whole: Any = content if isinstance(body, bytes) else content.decode() or None
    return Call(method, path, whole, list(headers.items()), pairs)


@contextmanager
def in_process(checkout: Path, package: Path, config: str = "run.json") -> Generator[Ask]:
    """The app itself, without a socket."""
    del package
    env = {**os.environ, **CREDENTIALS, "LLAMBDA_CONFIG": str(checkout / config)}
    with subprocess.Popen(
        [sys.executable, "-c", IN_PROCESS],
        cwd=checkout,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        reading, writing = process.stdout, process.stdin
        assert reading is not None
        assert writing is not None

        def ask(method: str, path: str, body: Any = None, headers: Any = None) -> Answer:
            content, headers = encode(body, headers)
            print(json.dumps([method, path, headers, content.hex()]), file=writing, flush=True)
            status, headers, text = json.loads(reading.readline())
            return Answer(status, headers, bytes.fromhex(text))

        yield ask
        writing.close()


@contextmanager
def served(checkout: Path, package: Path) -> Generator[Ask]:
    """Two processes, which answer in turn."""
    del package
    with serving(checkout, "one") as (_, one), serving(checkout, "two") as (_, two):
        turns = [one, two]

        def ask(*request: Any) -> Answer:
            turns.reverse()
            return turns[0](*request)

        yield ask


@contextmanager
def buffered(checkout: Path, package: Path) -> Generator[Ask]:
    """AWS's own runtime, whose answers are whole."""
    variables = {"LLAMBDA_CONFIG": str(checkout / "run.json")}
    with running(package, "functions.notes.handler", variables, checkout / "buffered.log") as function:

        def ask(method: str, path: str, body: Any = None, headers: Any = None) -> Answer:
            answer = function.invoke(event("rest", call_of(method, path, body, headers)))
            content = b64decode(answer["body"]) if answer["isBase64Encoded"] else answer["body"].encode()
            multi = {name.lower(): values[-1] for name, values in answer.get("multiValueHeaders", {}).items()}
            return Answer(answer["statusCode"], {**multi, **answer.get("headers", {})}, content)

        yield ask


@contextmanager
def streamed(checkout: Path, package: Path) -> Generator[Ask]:
    """Our runtime, whose answers leave piece by piece."""
    variables = {"LLAMBDA_CONFIG": str(checkout / "run.json")}
    with streaming(package, "functions.notes.handler", variables, checkout / "streamed.log") as function:

        def ask(method: str, path: str, body: Any = None, headers: Any = None) -> Answer:
            outcome = function.answered(event("rest", call_of(method, path, body, headers)))
            assert outcome.error is None, outcome.error
            return Answer(outcome.prelude["statusCode"], outcome.prelude["headers"], outcome.body)

        yield ask


@pytest.fixture(scope="module")
def package(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `sam build` would make of the toy's function."""
    env = {**os.environ, "PATH": f"{Path(needs(emulator.uv)).parent}:{os.environ['PATH']}"}
    out = tmp_path_factory.mktemp("package") / "notes"
    command = [sys.executable, "-m", "infra.build", "NotesFunction", str(out), "--config", "run.json"]
    command += ["--architecture", needs(emulator.architecture)]
    done = subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


PLACES: Final = [in_process, served, buffered, streamed]


@pytest.fixture(scope="module", params=PLACES, ids=[place.__name__ for place in PLACES])
def ask(request: pytest.FixtureRequest, checkout: Path, package: Path) -> Generator[Ask]:
    with request.param(checkout, package) as ask:
        yield ask


@pytest.fixture
def notebook(request: pytest.FixtureRequest) -> str:
    """A notebook of the test's own: the places share their state."""
    return f"/v1/notebooks/{abs(hash(request.node.name))}"


def events(answer: Answer) -> list[tuple[str, str, Any]]:
    """Name, id and data of each event."""
    found: list[tuple[str, str, Any]] = []
    for block in answer.content.decode().strip().split("\n\n"):
        fields = dict(line.partition(": ")[::2] for line in block.splitlines())
        found.append((fields["event"], fields["id"], json.loads(fields["data"])))
    return found


def test_a_note_is_made_under_its_parent_and_put_only_over_the_revision_that_was_read(ask: Ask, notebook: str) -> None:
    made = ask("POST", f"{notebook}/notes", {"text": "first"})
    assert (made.status, made.json["revision"], made.json["notebook_id"]) == (201, 1, notebook.rpartition("/")[2])
    place = f"{notebook}/notes/{made.json['id']}"
    assert ask("GET", place).json == made.json
    assert ask("PUT", place, {"text": "second", "revision": 1}).json["revision"] == 2
    stale = ask("PUT", place, {"text": "third", "revision": 1})
    assert (stale.status, stale.json["error"]["code"]) == (409, "stale_revision")
    assert (stale.json["error"]["current"]["text"], stale.json["error"]["current"]["revision"]) == ("second", 2)
    removed = ask("DELETE", place)
    assert (removed.status, removed.content) == (204, b"")
    assert ask("GET", place).status == 404
    wrong = ask("POST", f"{notebook}/notes", {"text": 1})
    assert (wrong.status, wrong.json["error"]["param"]) == (400, "text")


def test_notes_are_paged_by_their_parent(ask: Ask, notebook: str) -> None:
    ids = [ask("POST", f"{notebook}/notes", {"text": str(number)}).json["id"] for number in range(5)]
    first = ask("GET", f"{notebook}/notes?limit=3").json
    rest = ask("GET", f"{notebook}/notes?limit=3&after={first['last_id']}").json
    assert sorted(note["id"] for note in first["data"] + rest["data"]) == sorted(ids)
    assert (first["has_more"], rest["has_more"], len(first["data"])) == (True, False, 3)
    last = ask("GET", f"{notebook}/notes?order=desc&limit=1").json
    assert last["data"] == rest["data"][-1:]
    assert ask("GET", f"{notebook}/notes?limit=0").json["error"]["param"] == "limit"
    assert ask("GET", f"{notebook}-other/notes").json["data"] == []


def test_a_file_is_uploaded_and_a_range_of_it_is_downloaded(ask: Ask, notebook: str) -> None:
    disposition = 'Content-Disposition: form-data; name="file"; filename="../a b.bin"'
    parts = [disposition, "Content-Type: application/x-toy", "", ""]
    body = b"--x\r\n" + "\r\n".join(parts).encode() + CONTENT + b"\r\n--x\r\n"
    body += b'Content-Disposition: form-data; name="title"\r\n\r\nA title\r\n--x--\r\n'
    form = {"content-type": "multipart/form-data; boundary=x"}
    attached = ask("POST", f"{notebook}/attachments", body, form)
    assert attached.status == 200, attached.content
    assert attached.json["filename"] == "a b.bin"
    assert (attached.json["bytes"], attached.json["sha256"]) == (len(CONTENT), sha256(CONTENT).hexdigest())
    place = f"/v1/attachments/{attached.json['id']}/content"
    whole = ask("GET", place)
    assert (whole.status, whole.content, whole.headers["content-type"]) == (200, CONTENT, "application/x-toy")
    part = ask("GET", place, None, {"range": "bytes=1000-1255"})
    assert (part.status, part.content) == (206, CONTENT[1000:1256])
    assert part.headers["content-range"] == f"bytes 1000-1255/{len(CONTENT)}"
    assert ask("GET", place, None, {"range": f"bytes={len(CONTENT)}-"}).status == 416
    untitled = body.replace(b'name="title"', b'name="other"')
    assert ask("POST", f"{notebook}/attachments", untitled, form).json["error"]["param"] == "title"


def test_a_stream_of_named_events_is_resumed_by_a_get(ask: Ask, notebook: str) -> None:
    texts = ["a", "b", "c"]
    for text in texts:
        ask("POST", f"{notebook}/notes", {"text": text})
    whole = events(ask("POST", f"{notebook}/read", {"stream": True}))
    assert [name for name, _, _ in whole] == ["read.note", "read.note", "read.note", "read.done"]
    assert [data["sequence_number"] for _, _, data in whole] == [1, 2, 3, 4]
    assert sorted(data["note"]["text"] for _, _, data in whole[:-1]) == texts
    assert events(ask("GET", f"{notebook}/read?stream=true&starting_after=2")) == whole[2:]
    assert events(ask("GET", f"{notebook}/read?stream=true", None, {"last-event-id": "3"})) == whole[3:]
    assert ask("GET", f"{notebook}/read").json["object"] == "list"


def test_a_stream_that_breaks_says_so_in_an_event_of_its_own_kind(ask: Ask, notebook: str) -> None:
    ask("POST", f"{notebook}/notes", {"text": "torn page"})
    *_, (name, _, data) = events(ask("POST", f"{notebook}/read", {"stream": True}))
    assert (name, data["sequence_number"], data["error"]["code"]) == ("read.failed", 2, "not_found")


def watch(ask: Ask, job_id: str, *, until: Callable[[Any], bool]) -> Any:
    end = time.monotonic() + PATIENCE_SECONDS
    while not until(job := ask("GET", f"/v1/jobs/{job_id}").json):
        assert time.monotonic() < end, job
        time.sleep(0.1)
    return job


def test_a_job_that_any_place_begins_is_done_by_the_workers_of_the_served_stack(
    ask: Ask, notebook: str, checkout: Path
) -> None:
    begun = ask("POST", f"{notebook}/digests", {"model": "vllm/m", "rows": 30})
    assert begun.status == 202, begun.content
    job_id = begun.json["job_id"]
    with serving(checkout, "worker") as (_, one):
        job = watch(one, job_id, until=lambda job: job["status"] == "completed")
        assert (job["progress"]["completed"], job["progress"]["failed"]) == (30, 0)
    output = ask("GET", f"/v1/digests/{job_id}/content")
    assert [json.loads(line)["row"] for line in output.content.splitlines()] == list(range(30))


def test_a_store_that_is_down_is_a_503_that_says_when_to_ask_again(checkout: Path) -> None:
    document = json.loads((checkout / "run.json").read_text())
    table = {"type": "kv_dynamodb", "table": "state", "endpoint_url": f"http://127.0.0.1:{free_port()}"}
    document["storage"] = {"backends": {"table": table}, "stores": {"documents": {"backend": "table"}}}
    document["storage"]["stores"] |= {
        "jobs": {"backend": "file"},
        "queue": {"backend": "file"},
        "blobs": {"backend": "folder"},
    }
    document["storage"]["backends"] |= {
        "file": {"type": "kv_sqlite", "db_path": str(checkout / "state" / "state.db")},
        "folder": {"type": "blob_local", "path": str(checkout / "state" / "blobs")},
    }
    (checkout / "down.json").write_text(json.dumps(document))
    with in_process(checkout, checkout, "down.json") as ask:
        for answer in (ask("GET", "/v1/notebooks/n/notes"), ask("POST", "/v1/notebooks/n/notes", {"text": "a"})):
            assert (answer.status, answer.json["error"]["code"]) == (503, "state_unavailable")
            assert int(answer.headers["retry-after"]) > 0
            assert "DynamoDB table `state`" in answer.json["error"]["message"]


def test_a_document_of_more_than_50_mb_is_a_413_and_leaves_nothing(checkout: Path, notebook: str) -> None:
    document = json.loads((checkout / "run.json").read_text()) | {"server": {"max_body_bytes": 60_000_000}}
    (checkout / "large.json").write_text(json.dumps(document))
    with in_process(checkout, checkout, "large.json") as ask:
        refused = ask("POST", f"{notebook}/notes", {"text": "x" * (50 * 1024 * 1024)})
        assert (refused.status, refused.json["error"]["code"]) == (413, "document_too_large")
        assert "52428800 bytes" in refused.json["error"]["message"]
        kept = ask("POST", f"{notebook}/notes", {"text": "x" * 1_000_000})
        assert (kept.status, len(ask("GET", f"{notebook}/notes").json["data"])) == (201, 1)


@pytest.mark.exact
def test_a_job_goes_on_after_the_server_was_killed_and_started_again(
    checkout: Path, notebook: str, upstream: Upstream
) -> None:
    """No worker has it in the meantime: whoever starts next does what is left, once its lease has ended."""
    with ExitStack() as first:
        process, ask = first.enter_context(serving(checkout, "first"))
        job_id = ask("POST", f"{notebook}/digests", {"model": "vllm/m", "rows": ROWS}).json["job_id"]
        watch(ask, job_id, until=lambda job: job["progress"]["completed"] >= ROWS // 4)
        process.kill()
        process.wait(10)
    before = len(upstream.seen)
    with serving(checkout, "again") as (_, ask):
        job = watch(ask, job_id, until=lambda job: job["status"] == "completed")
        assert (job["progress"]["completed"], job["progress"]["failed"]) == (ROWS, 0)
        lines = ask("GET", f"/v1/digests/{job_id}/content").content.splitlines()
        assert [json.loads(line) for line in lines] == [{"row": n, "text": f"about row {n}"} for n in range(ROWS)]
        tail = ask("GET", f"/v1/digests/{job_id}/content", None, {"range": "bytes=-20"})
        assert tail.content == b"\n".join(lines)[-19:] + b"\n"
    assert len(upstream.seen) - before < ROWS
