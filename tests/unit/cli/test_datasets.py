"""`llambda datasets`, against a real HTTP server that answers by the contract."""

from base64 import b64decode
from collections.abc import Generator
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from click.testing import CliRunner, Result
import pytest

from core.cli.datasets import command as module
from core.cli.datasets.command import command
from core.cli.datasets.source import MOST_BYTES, MOST_ROWS, pieces_of
from tests.parts.configured import FakeStack, answering


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Generator[FakeStack]:
    monkeypatch.setattr(module, "FIRST_POLL", 0.001)
    with answering(FakeStack()) as stack:
        yield stack


def view(**metadata: Any) -> dict[str, Any]:
    return {
        "identifier": "questions",
        "provider_resource_id": "questions",
        "provider_id": "localfs",
        "type": "dataset",
        "purpose": "eval/question-answer",
        "source": {"type": "uri", "uri": "https://example.com/questions.csv"},
        "metadata": metadata,
    }


def page(*rows: dict[str, Any], has_more: bool = False) -> dict[str, Any]:
    return {"data": [*rows], "has_more": has_more, "url": None}


def run(stack: FakeStack, answers: list[Any], *arguments: str) -> Result:
    """An answer that is a number is a status."""
    for answer in answers:
        is_status = isinstance(answer, int)
        body = {"error": {"message": "There is no dataset `x`.", "code": "not_found"}} if is_status else answer
        stack.said.append((answer if is_status else 200, {}, json.dumps(body).encode()))
    runner = CliRunner(env={"LLAMBDA_URL": stack.url, "COLUMNS": "80"})
    return runner.invoke(command, arguments, standalone_mode=False)


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_small_file_goes_in_the_registration_with_a_name_and_a_purpose_of_its_own(
    stack: FakeStack, tmp_path: Path
) -> None:
    file = write(tmp_path / "my questions.jsonl", {"question": "1+1", "answer": "2", "level": 1})
    result = run(stack, [view(num_rows=1)], "push", str(file))
    assert result.stdout == "questions  eval/question-answer  1 rows\n"
    [(method, path, body)] = stack.asked
    assert (method, path) == ("POST", "/v1/datasets")
    kind, _, content = body["source"].pop("uri").partition(";base64,")
    assert (kind, b64decode(content)) == ("data:application/jsonl", file.read_bytes())
    assert body == {"purpose": "eval/question-answer", "source": {"type": "uri"}, "dataset_id": "my-questions"}


@pytest.mark.parametrize(
    ("name", "content", "purpose"),
    [
        ("a.csv", "question,answer\n1,2\n", "eval/question-answer"),
        ("a.json", '[{"messages": [], "answer": "x"}]', "eval/messages-answer"),
        ("a.jsonl", '\n{"messages": []}\n', "post-training/messages"),
    ],
)
def test_the_purpose_is_what_the_columns_are_for(
    stack: FakeStack, tmp_path: Path, name: str, content: str, purpose: str
) -> None:
    (tmp_path / name).write_text(content)
    run(stack, [view()], "push", str(tmp_path / name))
    assert stack.asked[0][2]["purpose"] == purpose


def test_a_uri_is_for_the_stack_to_read_and_is_waited_for(stack: FakeStack) -> None:
    under_way = view(import_status="in_progress", import_job="job_1")
    answers = [under_way, under_way, view(num_rows=7)]
    result = run(stack, answers, "push", "https://example.com/q.csv", "--purpose", "eval/question-answer")
    assert result.return_value == 0
    assert result.stdout.endswith("7 rows\n")
    assert stack.asked[0][2]["source"] == {"type": "uri", "uri": "https://example.com/q.csv"}
    assert [asked[:2] for asked in stack.asked[1:]] == [("GET", "/v1/datasets/questions")] * 2


def test_an_import_that_failed_says_why_and_is_a_failure(stack: FakeStack) -> None:
    broken = view(import_status="failed", import_error="line 3 is no JSON")
    result = run(stack, [broken], "push", "s3://b/q.jsonl", "--purpose", "eval/question-answer", "--json")
    assert result.return_value == 1
    assert "line 3 is no JSON" in result.stderr
    assert json.loads(result.stdout) == broken


@pytest.mark.parametrize(
    ("name", "content", "options", "words"),
    [
        ("a.txt", "x", ("--purpose", "eval/question-answer"), "is none of .jsonl"),
        ("a.jsonl", '{"x": 1}\n', (), "say it with --purpose"),
        ("a.jsonl", "[1]\n", (), "line 1: it is no JSON object"),
        ("a.json", "{", (), "say it with --purpose"),
        ("a.parquet", "PAR1", (), "say it with --purpose"),
    ],
)
def test_a_file_that_is_no_dataset_is_a_mistake_and_nothing_is_sent(
    stack: FakeStack, tmp_path: Path, name: str, content: str, options: tuple[str, ...], words: str
) -> None:
    (tmp_path / name).write_text(content)
    result = run(stack, [], "push", str(tmp_path / name), *options)
    assert words in str(result.exception)
    assert getattr(result.exception, "exit_code", 0) == 2
    assert not stack.asked


def test_what_is_neither_a_file_nor_a_uri_is_a_mistake(stack: FakeStack) -> None:
    assert "nothing.jsonl is no file" in str(run(stack, [], "push", "nothing.jsonl").exception)
    assert "Say with --purpose" in str(run(stack, [], "push", "https://example.com/x").exception)


def test_list_and_show_fit_80_columns(stack: FakeStack) -> None:
    long = view(num_rows=12) | {"identifier": "x" * 90}
    lines = run(stack, [{"data": [long, view(import_status="failed")]}], "list").stdout.splitlines()
    assert lines[0].split() == ["DATASET", "PROVIDER", "PURPOSE", "ROWS"]
    assert max(map(len, lines)) <= 80
    text = run(stack, [view(num_rows=12, note="mine")], "show", "questions").stdout
    assert "rows:     12" in text
    assert 'metadata: {"note": "mine"}' in text
    assert run(stack, [{"data": []}], "list").stdout == "no datasets\n"


def test_pull_goes_on_from_page_to_page_and_writes_a_new_file(stack: FakeStack, tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    pages = [page({"n": 0}, {"n": 1}, has_more=True), page({"n": "ü\x1b"})]
    run(stack, pages, "pull", "questions", "--out", str(out))
    assert [json.loads(line) for line in out.read_text().splitlines()] == [{"n": 0}, {"n": 1}, {"n": "ü\x1b"}]
    starts = [parse_qs(urlsplit(asked[1]).query)["start_index"] for asked in stack.asked]
    assert starts == [["0"], ["2"]]
    assert "exists" in str(run(stack, [page()], "pull", "questions", "--out", str(out)).exception)


def test_a_pull_that_breaks_leaves_no_file(stack: FakeStack, tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    result = run(stack, [page({"n": 0}, has_more=True), 404], "pull", "x", "--out", str(out))
    assert "`llambda datasets list` lists what there is." in str(result.exception)
    assert not out.exists()


def test_pull_prints_lines_in_ascii_or_an_array(stack: FakeStack) -> None:
    assert run(stack, [page({"n": "ü\x1b"})], "pull", "x").stdout == '{"n": "\\u00fc\\u001b"}\n'
    assert json.loads(run(stack, [page({"n": 1})], "pull", "x", "--json").stdout) == [{"n": 1}]


def test_head_shows_so_many_rows_by_their_numbers(stack: FakeStack) -> None:
    result = run(
        stack, [page({"question": "a\nb", "n": [1]}, has_more=True)], "head", "x", "--rows", "1", "--start", "5"
    )
    assert result.stdout == "row 5\n  question: a b\n  n: [1]\n"
    assert parse_qs(urlsplit(stack.asked[0][1]).query) == {"start_index": ["5"], "limit": ["1"]}


def test_append_sends_pieces_and_says_what_was_kept_before_a_failure(stack: FakeStack, tmp_path: Path) -> None:
    file = write(tmp_path / "more.jsonl", *({"n": number} for number in range(MOST_ROWS + 1)))
    assert run(stack, [None, None], "append", "x/y", str(file)).stdout == f"appended {MOST_ROWS + 1} rows\n"
    assert [asked[1] for asked in stack.asked] == ["/v1/datasetio/append-rows/x%2Fy"] * 2
    assert [len(asked[2]["rows"]) for asked in stack.asked] == [MOST_ROWS, 1]
    result = run(stack, [None, 404], "append", "x", str(file))
    assert f"{MOST_ROWS} rows were appended before this" in result.stderr


def test_pieces_are_bounded_and_lose_nothing() -> None:
    rows = [{"text": "x" * (MOST_BYTES // 3)} for _ in range(7)]
    pieces = [*pieces_of(iter(rows))]
    assert [row for piece in pieces for row in piece] == rows
    assert max(len(json.dumps(piece)) for piece in pieces) <= 2 * MOST_BYTES


def test_delete_names_each(stack: FakeStack) -> None:
    assert run(stack, [None, None], "delete", "a/b", "c").stdout == "deleted a/b\ndeleted c\n"
    assert [asked[:2] for asked in stack.asked] == [("DELETE", "/v1/datasets/a%2Fb"), ("DELETE", "/v1/datasets/c")]
