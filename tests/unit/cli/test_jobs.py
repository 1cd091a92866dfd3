"""`llambda jobs`, against a real HTTP server that answers by the contract."""

from collections.abc import Generator
import io
import json
from typing import Any, override

from click.testing import CliRunner, Result
import pytest

from core.cli.jobs import output
from core.cli.jobs import waiting as module
from core.cli.jobs.command import command
from tests.parts.configured import FakeStack, answering


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Generator[FakeStack]:
    monkeypatch.setattr(module, "FIRST_POLL", 0.001)
    with answering(FakeStack()) as stack:
        yield stack


def view(status: str = "running", completed: int = 3, **more: Any) -> dict[str, Any]:
    return {
        "id": "job_1",
        "object": "job",
        "kind": "toy",
        "status": status,
        "created_at": 1_795_887_973,
        "started_at": None,
        "ended_at": None,
        "deadline": 1_795_974_373,
        "expires_at": 1_798_566_373,
        "owner": "ada",
        "progress": {"total": 10, "completed": completed, "failed": 1},
        "usage": {"total_tokens": 5, "models": {"small": 5}},
        "error": None,
        "retried_from": None,
        "result": None,
        **more,
    }


def page(*jobs: dict[str, Any], more: bool = False) -> dict[str, Any]:
    return {"object": "list", "data": list(jobs), "has_more": more, "first_id": "a", "last_id": jobs[-1]["id"]}


def run(stack: FakeStack, answers: list[dict[str, Any]], *arguments: str) -> Result:
    stack.said += [(200, {}, json.dumps(answer).encode()) for answer in answers]
    return CliRunner(env={"LLAMBDA_URL": stack.url}).invoke(command, arguments, standalone_mode=False)


def test_list_is_a_table_of_eighty_columns_over_as_many_pages_as_it_takes(stack: FakeStack) -> None:
    pages = [page(view(), more=True), page(view("completed", id="job_2"))]
    lines = run(stack, pages, "list", "--kind", "toy", "--limit", "150").stdout.splitlines()
    assert lines[0].split() == ["JOB", "KIND", "STATUS", "ROWS", "CREATED"]
    assert lines[1].split()[:4] == ["job_1", "toy", "running", "4/10"]
    assert len(lines) == 3
    assert all(len(line) <= 80 for line in lines)
    assert [asked[1] for asked in stack.asked] == [
        "/v1/jobs?kind=toy&limit=100",
        "/v1/jobs?kind=toy&after=job_1&limit=100",
    ]


def test_show_says_what_there_is(stack: FakeStack) -> None:
    failed = view(
        "failed",
        error={"code": "worker_lost", "message": "Gone."},
        retried_from="job_0",
        about={"benchmark_id": "quiz", "number": "3"},
    )
    text = run(stack, [failed], "show", "job_1").stdout
    assert "error:    worker_lost: Gone." in text
    assert "rows:     3 completed, 1 failed, 10 in all" in text
    assert "about:    benchmark_id quiz, number 3" in text
    assert "retry of: job_0" in text
    assert json.loads(run(stack, [failed], "show", "job_1", "--json").stdout) == failed


@pytest.mark.parametrize(("status", "code"), [("completed", 0), ("failed", 1), ("cancelled", 1), ("expired", 1)])
def test_watch_waits_for_the_end_and_exits_as_the_job_did(stack: FakeStack, status: str, code: int) -> None:
    result = run(stack, [view("queued", 0), view(), view(), view(status, 9)], "watch", "job_1")
    assert result.return_value == code
    assert result.stderr.splitlines() == ["job_1: queued, 1/10 rows", "job_1: running, 4/10 rows"]
    assert f"status:   {status}" in result.stdout


def test_cancel_and_retry_ask_for_it_once(stack: FakeStack) -> None:
    assert run(stack, [view("stopping")], "cancel", "job_1").stdout == "job_1: stopping, 4/10 rows\n"
    assert run(stack, [view("queued", 0, id="job_2")], "retry", "job_1").stdout == "job_2: queued, 1/10 rows\n"
    assert [asked[:2] for asked in stack.asked] == [("POST", "/v1/jobs/job_1/cancel"), ("POST", "/v1/jobs/job_1/retry")]
    watched = run(stack, [view("queued", id="job_2"), view("completed", id="job_2")], "retry", "job_1", "--watch")
    assert watched.return_value == 0


class Terminal(io.StringIO):
    @override
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("total", [0, 10, 10**9])
def test_the_bar_is_one_line_of_a_terminal_that_is_cleared(total: int) -> None:
    terminal = Terminal()
    progress = output.Progress(terminal)
    job: Any = view("finishing", progress={"total": total, "completed": total // 2, "failed": total // 4})
    progress.show(job)
    progress.show(job)
    progress.close()
    pieces = [piece for piece in terminal.getvalue().split("\r") if piece]
    assert all(len(piece) == 79 for piece in pieces)
    assert not pieces[-1].strip()
    assert "\n" not in terminal.getvalue()


def test_a_job_is_waited_for_while_the_stack_is_started_again(stack: FakeStack) -> None:
    ended = json.dumps(view("completed")).encode()
    stack.said += [(200, {}, json.dumps(view()).encode()), (0, {}, b""), (503, {}, b"{}"), (200, {}, ended)]
    result = CliRunner(env={"LLAMBDA_URL": stack.url}).invoke(command, ["watch", "job_1"], standalone_mode=False)
    assert "completed" in result.stdout
    assert "The job goes on without this command, which asks again." in result.stderr
