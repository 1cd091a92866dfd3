"""`llambda batch`, against a real HTTP server that answers by the contract."""

from collections.abc import Generator
import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
import pytest

from core.cli.batch import waiting as module
from core.cli.batch.command import command
from core.cli.batch.output import progress_of
from core.cli.jobs import waiting as asking
from core.cli.jobs.output import bar
from tests.parts.configured import FakeStack, answering


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Generator[FakeStack]:
    monkeypatch.setattr(module, "FIRST_POLL", 0.001)
    monkeypatch.setattr(asking, "FIRST_POLL", 0.001)
    with answering(FakeStack()) as stack:
        yield stack


def view(status: str = "in_progress", completed: int = 3, **more: Any) -> dict[str, Any]:
    times = ("in_progress_at", "finalizing_at", "completed_at", "failed_at", "expired_at", "cancelling_at")
    return {
        "id": "batch_0123456789abcdef01234567",
        "object": "batch",
        "endpoint": "/v1/chat/completions",
        "model": "small",
        "errors": None,
        "input_file_id": "file-1",
        "completion_window": "24h",
        "status": status,
        "output_file_id": None,
        "error_file_id": None,
        "created_at": 1_795_887_973,
        "expires_at": 1_795_974_373,
        **dict.fromkeys((*times, "cancelled_at")),
        "request_counts": {"total": 10, "completed": completed, "failed": 1},
        "usage": None,
        "metadata": None,
        "waiting": None,
        **more,
    }


def run(stack: FakeStack, answers: list[Any], *arguments: str) -> Result:
    """An answer that is a number is a status."""
    for answer in answers:
        is_status = isinstance(answer, int)
        body = {"error": {"message": "Not now.", "code": "x"}} if is_status else answer
        stack.said.append((answer if is_status else 200, {}, json.dumps(body).encode()))
    runner = CliRunner(env={"LLAMBDA_URL": stack.url, "COLUMNS": "80"})
    return runner.invoke(command, arguments, standalone_mode=False)


def test_list_is_a_table_of_eighty_columns_over_as_many_pages_as_it_takes(stack: FakeStack) -> None:
    first = {"object": "list", "data": [view()], "has_more": True, "first_id": "a", "last_id": "b"}
    lines = run(stack, [first, {**first, "has_more": False}], "list", "--limit", "150").stdout.splitlines()
    assert lines[0].split() == ["BATCH", "STATUS", "LINES", "CREATED"]
    assert lines[1].split()[:3] == ["batch_0123456789abcdef01234567", "in_progress", "4/10"]
    assert max(map(len, lines)) <= 80
    assert [asked[1] for asked in stack.asked] == ["/v1/batches?limit=100", "/v1/batches?after=b&limit=100"]


def test_show_says_what_there_is_and_what_is_wrong_with_the_file(stack: FakeStack) -> None:
    faults = [
        {
            "code": "invalid_json_line",
            "line": number,
            "message": f"Line {number} is not valid JSON: {'x' * 90}",
            "param": None,
        }
        for number in range(1, 13)
    ]
    batch = view("failed", errors={"object": "list", "data": faults}, metadata={"run": "1"}, failed_at=1_795_887_999)
    text = run(stack, [batch], "show", batch["id"]).stdout
    assert "lines:    3 completed, 1 failed, 10 in all" in text
    assert "line 10:  Line 10 is not valid JSON" in text
    assert "line 11:" not in text
    assert "and 2 more: llambda batch show" in text
    assert max(map(len, text.splitlines())) <= 80 + 20  # an id in a command is to be pasted
    assert json.loads(run(stack, [batch], "show", batch["id"], "--json").stdout) == batch


@pytest.mark.parametrize(("status", "code"), [("completed", 0), ("failed", 1), ("cancelled", 1), ("expired", 1)])
def test_watch_waits_through_a_stack_that_is_away_and_exits_as_the_batch_did(
    stack: FakeStack, status: str, code: int
) -> None:
    waits = view(waiting={"for": "quota", "until": 1_795_888_000})
    result = run(stack, [view("validating", 0), waits, 503, 502, view(), view(status, 9)], "watch", "batch_1")
    assert result.return_value == code
    assert "waits for its quota until" in result.stderr
    assert " ".join(result.stderr.split()).count("The batch goes on without this command, which asks again.") == 1
    assert f"status:   {status}" in result.stdout


def test_what_is_refused_while_it_waits_ends_the_command(stack: FakeStack) -> None:
    result = run(stack, [view(), 404], "watch", "batch_1")
    assert "HTTP 404" in str(result.exception)


def test_cancel_asks_for_it_once(stack: FakeStack) -> None:
    assert run(stack, [view("cancelling")], "cancel", "batch_1").stdout.endswith(": cancelling, 4/10 lines\n")
    assert [asked[:2] for asked in stack.asked] == [("POST", "/v1/batches/batch_1/cancel")]


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        (b"no json\n", (), "names no `url`: give the endpoint with --endpoint."),
        (b"", (), "names no `url`"),
        (b'{"url": 1}', (), "names no `url`"),
        (b'{"url": "/v1/embeddings"}', ("--metadata", "run"), "--metadata run: write it as KEY=VALUE."),
    ],
)
def test_what_cannot_be_submitted_is_a_mistake(
    stack: FakeStack, tmp_path: Path, content: bytes, options: tuple[str, ...], words: str
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(content)
    result = run(stack, [], "submit", str(file), *options)
    assert words in str(result.exception)
    assert getattr(result.exception, "exit_code", 0) == 2
    assert not stack.asked


def test_the_bar_fits_a_terminal() -> None:
    batch: Any = view("in_progress", 10**9, waiting={"for": "quota", "until": 1_795_888_000})
    batch["request_counts"]["total"] = 10**10
    assert len(bar(progress_of(batch))) <= 79
