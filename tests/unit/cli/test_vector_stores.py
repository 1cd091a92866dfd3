"""`llambda vector-stores`, against a real HTTP server that answers by the contract."""

from collections.abc import Generator
import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
import pytest

from core.cli.vector_stores import command as module
from core.cli.vector_stores.command import command, read_attribute
from tests.parts.configured import FakeStack, answering
from tests.unit.cli.test_files import file, refusal

STORE_ID = "vs_" + "4f1c" * 9


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Generator[FakeStack]:
    monkeypatch.setattr(module, "FIRST_POLL", 0.001)
    with answering(FakeStack()) as stack:
        yield stack


@pytest.fixture
def notes(tmp_path: Path) -> list[str]:
    paths = [tmp_path / name for name in ("a.md", "b.md")]
    for path in paths:
        path.write_text("text")
    return [str(path) for path in paths]


def store(**more: Any) -> dict[str, Any]:
    counts = {"in_progress": 1, "completed": 12, "failed": 0, "cancelled": 0, "total": 13}
    return {
        "id": STORE_ID,
        "object": "vector_store",
        "created_at": 1_795_887_973,
        "name": "handbook",
        "description": None,
        "usage_bytes": 1_468_006,
        "file_counts": counts,
        "status": "completed",
        "expires_after": None,
        "expires_at": None,
        "last_active_at": 1_795_887_973,
        "metadata": {},
        **more,
    }


def store_file(status: str = "completed", **more: Any) -> dict[str, Any]:
    return {
        "id": file()["id"],
        "object": "vector_store.file",
        "created_at": 1,
        "vector_store_id": STORE_ID,
        "status": status,
        "last_error": None,
        "usage_bytes": 4,
        "attributes": {"year": 2026.0},
        "chunking_strategy": {"type": "auto"},
        **more,
    }


def page(*rows: dict[str, Any], more: bool = False) -> dict[str, Any]:
    return {
        "object": "list",
        "data": rows,
        "has_more": more,
        "first_id": None,
        "last_id": rows[-1]["id"] if rows else None,
    }


def run(stack: FakeStack, answers: list[Any], *arguments: str) -> Result:
    stack.asked.clear()
    stack.said += [
        answer if isinstance(answer, tuple) else (200, {}, json.dumps(answer).encode()) for answer in answers
    ]
    return CliRunner(env={"LLAMBDA_URL": stack.url, "COLUMNS": "80"}).invoke(command, arguments, standalone_mode=False)


def test_create_makes_a_store_and_adds_files_until_they_can_be_searched(stack: FakeStack, notes: list[str]) -> None:
    taken = [file(), store_file("in_progress"), store_file("in_progress"), store_file()]
    answers = [store(), *taken, file(2), store_file(id="file-2")]
    result = run(stack, answers, "create", "handbook", "--days", "7", "--embedding-model", "mini", "--files", *notes)
    assert result.exception is None, result.exception
    assert result.return_value == 0
    lines = result.stdout.splitlines()
    assert lines[0] == f"{STORE_ID}  handbook"
    assert [line.split() for line in lines[1:]] == [
        [file()["id"], "a.md", "completed"],
        ["file-2", "b.md", "completed"],
    ]
    assert stack.asked[0][2] == {
        "name": "handbook",
        "embedding_model": "mini",
        "expires_after": {"anchor": "last_active_at", "days": 7},
    }
    one = f"/v1/vector_stores/{STORE_ID}/files"
    assert [asked[:2] for asked in stack.asked[1:5]] == [
        ("POST", "/v1/files"),
        ("POST", one),
        ("GET", f"{one}/{file()['id']}"),
        ("GET", f"{one}/{file()['id']}"),
    ]
    assert "a.md: reading and embedding ..." in result.stderr


def test_add_says_which_file_failed_and_ends_with_1(stack: FakeStack, notes: list[str]) -> None:
    error = {"code": "invalid_file", "message": "The file is encrypted:\x1b[2J give one without a password."}
    answers = [store(), file(), store_file("failed", last_error=error), file(2), store_file(id="file-2")]
    result = run(stack, answers, "add", STORE_ID, *notes, "--attribute", "year=2026", "--attribute", "lang=de")
    assert result.return_value == 1
    text = " ".join(result.stdout.split())
    assert "a.md failed: The file is encrypted:" in text
    assert "\x1b" not in result.stdout
    assert "file-2 b.md completed" in text
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    assert stack.asked[2][2] == {"file_id": file()["id"], "attributes": {"year": 2026, "lang": "de"}}


def test_a_file_that_the_store_refuses_is_not_left_behind(stack: FakeStack, notes: list[str]) -> None:
    refused = refusal(400, "The attributes have 3000 bytes.")
    result = run(stack, [store(), file(), refused, {}], "add", STORE_ID, notes[0])
    assert "3000 bytes" in str(result.exception)
    assert stack.asked[-1][:2] == ("DELETE", f"/v1/files/{file()['id']}")


@pytest.mark.parametrize(
    ("text", "attribute"),
    [
        ("a=b=c", ("a", "b=c")),
        ("a=", ("a", "")),
        ("a=2.5", ("a", 2.5)),
        ("a=true", ("a", True)),
        ('a="5"', ("a", "5")),
        ("a=[1]", ("a", "[1]")),
        ("a=null", ("a", "null")),
    ],
)
def test_an_attribute_is_a_number_or_a_boolean_where_it_looks_like_one(text: str, attribute: Any) -> None:
    assert read_attribute(text) == attribute


@pytest.mark.parametrize("text", ["a", "=b"])
def test_an_attribute_without_a_name_or_a_value_is_a_mistake(stack: FakeStack, notes: list[str], text: str) -> None:
    result = run(stack, [], "add", STORE_ID, notes[0], "--attribute", text)
    assert f"`{text}` is no KEY=VALUE" in str(result.exception)
    assert stack.asked == []


def test_search_prints_scores_files_and_the_beginnings_of_texts(stack: FakeStack) -> None:
    text = [{"type": "text", "text": "Holidays\n\n\x1b[31mare " + "long " * 200}]
    found = {"file_id": "file-1", "filename": "handbook.pdf", "score": 0.8333, "attributes": {}, "content": text}
    answer: dict[str, Any] = {
        "object": "vector_store.search_results.page",
        "search_query": ["q"],
        "data": [found, found],
    }
    answer = {**answer, "has_more": False, "next_page": None}
    arguments = ["search", STORE_ID, "days off", "--mode", "hybrid", "--limit", "2", "--where", "year=2026"]
    arguments += ["--ranker", "mine"]
    result = run(stack, [store(), answer], *arguments)
    lines = result.stdout.splitlines()
    assert lines[0] == "0.83  handbook.pdf"
    assert lines[1].startswith("      Holidays \N{REPLACEMENT CHARACTER}[31mare long")
    assert all(len(line) <= 80 for line in lines)
    assert len(lines) < 20
    assert stack.asked[1][2] == {
        "query": "days off",
        "max_num_results": 2,
        "search_mode": "hybrid",
        "ranking_options": {"ranker": "mine"},
        "filters": {"type": "and", "filters": [{"type": "eq", "key": "year", "value": 2026}]},
    }
    assert json.loads(run(stack, [store(), answer], "search", STORE_ID, "q", "--json").stdout) == answer
    assert stack.asked[1][2] == {"query": "q", "max_num_results": 5}
    assert run(stack, [store(), answer | {"data": []}], "search", STORE_ID, "q").stdout == "nothing was found\n"


def test_list_shows_stores_or_the_files_of_one_over_as_many_pages_as_it_takes(stack: FakeStack) -> None:
    result = run(stack, [page(store(), more=True), page(store(name=None))], "list", "--limit", "150")
    lines = result.stdout.splitlines()
    assert lines[1].split() == [STORE_ID, "handbook", "12/13", "1.4", "MB"]
    assert len(lines) == 3
    assert [asked[1] for asked in stack.asked] == [
        "/v1/vector_stores?limit=100",
        f"/v1/vector_stores?after={STORE_ID}&limit=100",
    ]
    rows = [store_file(), store_file("failed", last_error={"code": "server_error", "message": "No embedding model."})]
    files = run(stack, [store(), page(*rows)], "list", STORE_ID).stdout.splitlines()
    assert files[1].split() == [file()["id"], "completed", "4", "B", "year=2026.0"]
    assert "No embedding mode" in files[2]
    assert all(len(line) <= 80 for line in lines + files)
    assert run(stack, [page()], "list").stdout == "no vector stores\n"
    assert json.loads(run(stack, [page(store())], "list", "--json").stdout) == [store()]


def test_a_store_is_named_by_its_name_where_no_other_has_it(stack: FakeStack) -> None:
    missing = refusal(404, "There is no vector store `handbook`.")
    gone = {"id": STORE_ID, "object": "vector_store.deleted", "deleted": True}
    result = run(stack, [missing, page(store(name="other"), more=True), page(store()), gone], "delete", "handbook")
    assert result.stdout == f"deleted {STORE_ID}\n"
    assert stack.asked[-1][:2] == ("DELETE", f"/v1/vector_stores/{STORE_ID}")
    several = run(stack, [missing, page(store(), store(id="vs_2"))], "delete", "handbook")
    assert "is the name of 2 vector stores" in str(several.exception)
    nobody = run(stack, [missing, page()], "search", "handbook", "q")
    assert "There is no vector store" in str(nobody.exception)
    broken = run(stack, [refusal(503, "Away.")], "list", "handbook")
    assert "Away." in str(broken.exception)
    assert len(stack.asked) == 1


def job(status: str = "completed", **more: Any) -> dict[str, Any]:
    ended = status not in {"queued", "running"}
    return {
        "id": "copy_1",
        "object": "job",
        "kind": "vector_copy",
        "status": status,
        "created_at": 1,
        "started_at": 1,
        "ended_at": 2 if ended else None,
        "deadline": 9,
        "expires_at": 99,
        "owner": "ada",
        "progress": {"total": 3, "completed": 3, "failed": 0},
        "usage": {"total_tokens": 0, "models": {}},
        "error": None,
        "retried_from": None,
        "result": None,
        **more,
    }


def sums(**more: Any) -> dict[str, Any]:
    names = ("files", "files_gone", "files_failed", "chunks", "native_chunks", "native_chunks_failed")
    return {"from": STORE_ID, "store": "vs_2", **dict.fromkeys(names, 0), "failures": [], **more}


NOT_THERE = refusal(404, "There is no vector store `other`.")


def test_copy_makes_a_store_of_that_name_and_waits_until_it_is_whole(stack: FakeStack) -> None:
    done = job(result=sums(files=3, chunks=40, native_chunks=2))
    answers = [store(), NOT_THERE, page(), job("queued"), job("running"), done]
    result = run(stack, answers, "copy", STORE_ID, "other", "--provider", "s3")
    assert (result.exception, result.return_value) == (None, 0)
    assert result.stdout == "vs_2  3 files with 40 chunks, and 2 chunks of vector-io\n"
    assert stack.asked[3] == (
        "POST",
        f"/v1/vector_stores/{STORE_ID}/copy",
        {"to": {"name": "other", "provider_id": "s3"}},
    )
    assert stack.asked[-1][:2] == ("GET", "/v1/jobs/copy_1")


def test_copy_goes_on_with_a_store_that_is_there_and_says_what_did_not_come(stack: FakeStack) -> None:
    failures = [{"file_id": "file-1", "message": "It is\x1b[2J too large."}, {"chunk_id": "c", "message": "No text."}]
    part = sums(files=1, chunks=4, files_failed=1, native_chunks_failed=30, failures=failures)
    done = job(result=part, progress={"total": 3, "completed": 1, "failed": 2})
    result = run(stack, [store(), store(id="vs_2"), job("queued"), done], "copy", STORE_ID, "vs_2")
    assert result.return_value == 1
    assert result.stdout.splitlines() == [
        "vs_2  1 file with 4 chunks",
        "file-1  failed: It is\N{REPLACEMENT CHARACTER}[2J too large.",
        "c  failed: No text.",
        "and 29 more",
    ]
    assert stack.asked[2][2] == {"to": {"vector_store_id": "vs_2"}}


def test_copy_does_not_wait_where_nobody_wants_to(stack: FakeStack) -> None:
    result = run(stack, [store(), store(id="vs_2"), job("queued")], "copy", STORE_ID, "vs_2", "--no-wait")
    assert result.return_value == 0
    assert result.stdout == "copy_1: queued\nllambda jobs watch copy_1\n"
    shown = run(stack, [store(), store(id="vs_2"), job("queued")], "copy", STORE_ID, "vs_2", "--no-wait", "--json")
    assert json.loads(shown.stdout)["id"] == "copy_1"


def test_a_copy_that_failed_says_why(stack: FakeStack) -> None:
    error = {"code": "vector_store_gone", "message": "the vector store `vs_2` is gone."}
    answers = [store(), store(id="vs_2"), job("failed", error=error)]
    result = run(stack, [*answers, answers[-1]], "copy", STORE_ID, "vs_2")
    assert result.return_value == 1
    assert result.stdout == "copy_1  failed: the vector store `vs_2` is gone.\n"


def test_an_id_that_is_not_there_is_not_the_name_of_a_new_store(stack: FakeStack) -> None:
    missing = refusal(404, "There is no vector store.")
    result = run(stack, [store(), missing, page()], "copy", STORE_ID, "vs_" + "0" * 36)
    assert "There is no vector store." in str(result.exception)
