"""`llambda eval`, `benchmarks` and `scoring-functions`, against a real HTTP server that answers by the contract."""

from collections.abc import Generator
import json
from pathlib import Path
import re
import socket
from typing import Any

from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.cli.evals import benchmarks, scoring_functions, waiting
from core.cli.evals.command import command
from core.cli.evals.comparing import chance_of
from core.cli.jobs import waiting as asking
from tests.parts.configured import FakeStack, answering

JOBS = "/v1/eval/benchmarks/basics/jobs"


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Generator[FakeStack]:
    monkeypatch.setattr(waiting, "FIRST_POLL", 0.001)
    monkeypatch.setattr(asking, "FIRST_POLL", 0.001)
    with answering(FakeStack()) as stack:
        yield stack


def job(status: str = "completed", number: str = "0", **more: Any) -> dict[str, Any]:
    progress = {"total": 5, "completed": 4, "failed": 1}
    usage = {"total_tokens": 9, "models": {"small": 9}}
    return {"job_id": number, "status": status, "progress": progress, "usage": usage, "created_at": 1, **more}


def result_of(right: int = 2) -> dict[str, Any]:
    rows = [{"score": float(row < right)} for row in range(4)]
    accuracy = {"accuracy": right / 5, "num_correct": float(right), "num_total": 5}
    counts = {"categorical_count": {"A": 3, "B": 1}}
    return {
        "generations": [
            *({"generated_answer": str(row)} for row in range(4)),
            {"generated_answer": None, "error": "x"},
        ],
        "scores": {
            "basic::equality": {"score_rows": [*rows, {"score": None}], "aggregated_results": {"accuracy": accuracy}},
            "judge": {
                "score_rows": rows,
                "aggregated_results": {"categorical_count": counts, "average": {"average": 0.25}},
            },
        },
    }


def run(stack: FakeStack, answers: list[Any], *arguments: str, tool: Any = command) -> Result:
    """An answer that is a number is a status."""
    for answer in answers:
        is_status = isinstance(answer, int)
        body = {"error": {"message": "There is no benchmark `x`.", "code": "not_found"}} if is_status else answer
        stack.said.append((answer if is_status else 200, {}, json.dumps(body).encode()))
    runner = CliRunner(env={"LLAMBDA_URL": stack.url, "COLUMNS": "80"})
    return runner.invoke(tool, arguments, standalone_mode=False)


def test_a_run_waits_through_a_stack_that_is_away_and_prints_a_table(stack: FakeStack) -> None:
    answers = [job("in_progress"), job("in_progress"), 503, job(), result_of()]
    result = run(stack, answers, "run", "basics", "--model", "small", "--num-examples", "5", "--system", "Be brief.")
    assert result.return_value == 0
    assert stack.asked[0][0] == "POST"
    assert stack.asked[0][1].startswith(f"{JOBS}?idempotency_key=")
    assert stack.asked[0][2]["benchmark_config"] == {
        "scoring_params": {},
        "num_examples": 5,
        "eval_candidate": {
            "type": "model",
            "model": "small",
            "sampling_params": {"strategy": {"type": "greedy"}},
            "system_message": {"role": "system", "content": "Be brief."},
        },
    }
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["basics", "0:", "completed,", "5/5", "rows,", "1", "failed", "small"],
        ["CANDIDATE", "SCORED", "BY", "RESULT"],
        ["small", "basic::equality", "accuracy", "0.4", "(2/5)"],
        ["small", "basic::equality", "1", "of", "5", "not", "scored"],
        ["small", "judge", "A", "3,", "B", "1"],
        ["small", "judge", "average", "0.25"],
    ]


def test_an_answer_that_was_lost_is_asked_for_again_with_the_same_key(stack: FakeStack) -> None:
    result = run(stack, [0, 503, job(), result_of()], "run", "basics", "--model", "small")
    assert result.return_value == 0
    paths = [path for method, path, _ in stack.asked if method == "POST"]
    assert len(paths) == 3
    assert set(paths) == {paths[0]}
    assert re.fullmatch(rf"{JOBS}\?idempotency_key=[0-9a-f]{{32}}", paths[0])
    with socket.create_server(("127.0.0.1", 0)) as server:
        stack.url = f"http://127.0.0.1:{server.getsockname()[1]}"
    assert "cannot be reached" in str(run(stack, [], "run", "basics", "--model", "small").exception)  # at once


def test_two_models_are_begun_before_one_is_waited_for_and_stand_below_each_other(stack: FakeStack) -> None:
    answers = [job("in_progress"), job("in_progress", "1"), job(), job("completed", "1"), result_of(), result_of(4)]
    result = run(stack, answers, "run", "basics", "--model", "small", "--model", "large", "--max-tokens", "9", "--json")
    assert [asked[0] for asked in stack.asked] == ["POST", "POST", "GET", "GET", "GET", "GET"]
    assert [each["candidate"] for each in json.loads(result.stdout)] == ["small", "large"]
    assert stack.asked[1][2]["benchmark_config"]["eval_candidate"]["sampling_params"]["max_tokens"] == 9


@pytest.mark.parametrize(("status", "code"), [("completed", 0), ("cancelled", 1), ("failed", 1)])
def test_watch_exits_as_the_evaluation_ended(stack: FakeStack, status: str, code: int) -> None:
    error = {"code": "model_not_found", "message": "There is no model `m`."} if status == "failed" else None
    answers = [job(status, error=error), *([] if status == "failed" else [result_of()])]
    result = run(stack, answers, "watch", "basics", "0")
    assert result.return_value == code
    assert ("There is no model `m`." in result.stdout) == (status == "failed")


def test_an_agent_is_the_config_of_its_file(stack: FakeStack, tmp_path: Path) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text("model: small\ninstructions: Be brief.\n")
    result = run(stack, [job("scheduled")], "run", "basics", "--agent", str(file), "--no-watch")
    assert result.stdout == "basics 0: scheduled, 5/5 rows, 1 failed\n"
    config = {"type": "agent", "config": {"model": "small", "instructions": "Be brief."}}
    assert stack.asked[0][2]["benchmark_config"]["eval_candidate"] == config


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "Name what is evaluated with --model"),
        (("--model", "m", "--scoring-params", "[]"), "--scoring-params is no JSON object"),
        (("--model", "m", "--scoring-params", "{"), "--scoring-params is no JSON object"),
    ],
)
def test_what_cannot_be_run_is_a_mistake_and_nothing_is_sent(
    stack: FakeStack, options: tuple[str, ...], words: str
) -> None:
    result = run(stack, [], "run", "basics", *options)
    assert words in str(result.exception)
    assert getattr(result.exception, "exit_code", 0) == 2
    assert not stack.asked


def test_a_benchmark_that_is_not_there_says_where_to_look(stack: FakeStack) -> None:
    assert "`llambda benchmarks list` lists" in str(run(stack, [404], "run", "x", "--model", "m").exception)


def test_show_and_cancel_say_what_there_is(stack: FakeStack) -> None:
    text = run(stack, [job("in_progress")], "show", "basics", "0").stdout
    assert "rows:        5/5 rows, 1 failed" in text
    assert "tokens:      small 9" in text
    plain = {"job_id": "7", "status": "completed"}  # a provider's own
    assert "evaluation:  7" in run(stack, [plain], "show", "basics", "7").stdout
    assert run(stack, [None, job("cancelled")], "cancel", "basics", "0").stdout.startswith("basics 0: cancelled")
    assert [asked[:2] for asked in stack.asked[-2:]] == [("DELETE", f"{JOBS}/0"), ("GET", f"{JOBS}/0")]


def test_results_stand_below_each_other_and_go_to_a_file_row_by_row(stack: FakeStack, tmp_path: Path) -> None:
    lines = run(stack, [result_of(), result_of(4)], "result", "basics", "0", "1").stdout.splitlines()
    assert [line.split()[:2] for line in lines if "accuracy" in line] == [["evaluation", "0"], ["evaluation", "1"]]
    assert max(map(len, lines)) <= 80
    out = tmp_path / "rows.jsonl"
    run(stack, [result_of()], "result", "basics", "0", "--out", str(out))
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert rows[1] == {
        "row": 1,
        "generated_answer": "1",
        "scores": {"basic::equality": {"score": 1.0}, "judge": {"score": 1.0}},
    }
    assert (rows[4]["error"], rows[4]["scores"]["judge"]) == ("x", None)
    assert "--out is of one" in str(run(stack, [], "result", "basics", "0", "1", "--out", "x").exception)


def test_two_results_are_compared_row_by_row(stack: FakeStack) -> None:
    lines = run(stack, [result_of(1), result_of(4)], "compare", "basics", "0", "1").stdout.splitlines()
    assert [line.split() for line in lines] == [
        ["SCORED", "BY", "1ST", "BETTER", "2ND", "BETTER", "SAME", "BY", "CHANCE"],
        ["basic::equality", "0", "3", "1", "25.0%"],
        ["judge", "0", "3", "1", "25.0%"],
    ]
    other: dict[str, Any] = {"generations": [], "scores": {}}
    assert run(stack, [result_of(), other], "compare", "basics", "0", "1").stdout.startswith("no scoring function")
    shown = json.loads(run(stack, [result_of(1), result_of(4)], "compare", "basics", "0", "1", "--json").stdout)
    assert (shown[0]["second_better"], shown[0]["unscored"], shown[0]["chance"]) == (3, 1, 0.25)


@pytest.mark.parametrize(
    ("first", "second", "chance"), [(0, 0, 1.0), (0, 5, 0.0625), (3, 3, 1.0), (1, 9, 22 / 1024), (1000, 900, 0.0231)]
)
def test_the_chance_is_that_of_the_sign_test(first: int, second: int, chance: float) -> None:
    assert chance_of(first, second) == pytest.approx(chance, rel=0.01)


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_the_chance_is_one_for_both_sides_and_falls_with_the_distance(first: int, second: int) -> None:
    assert chance_of(first, second) == chance_of(second, first)
    assert 0 <= chance_of(first, second) <= 1
    if first >= second > 0:
        assert chance_of(first + 1, second - 1) <= chance_of(first, second)


def test_evaluations_are_listed_as_jobs(stack: FakeStack) -> None:
    listing = {"object": "list", "data": [], "has_more": False, "first_id": None, "last_id": None}
    assert run(stack, [listing], "list").stdout == "no evaluations\n"
    assert stack.asked[0][1] == "/v1/jobs?kind=eval&limit=20"
    times = {
        "created_at": 1,
        "started_at": None,
        "ended_at": None,
        "deadline": 2,
        "expires_at": 3,
        "retried_from": None,
    }
    progress = {"total": 50, "completed": 40, "failed": 2}
    one = {
        "id": f"eval_{'0' * 32}",
        "object": "job",
        "kind": "eval",
        "status": "running",
        "progress": progress,
        **times,
    }
    rest = {"owner": None, "usage": {"total_tokens": 0, "models": {}}, "error": None, "result": None}
    about = {"benchmark_id": "basics", "number": "12"}
    lines = run(stack, [{**listing, "data": [{**one, **rest, "about": about}, one | rest]}], "list").stdout.splitlines()
    assert lines[1].split() == ["basics", "12", "running", "42/50", "01-01", "00:00"]
    assert lines[2].split()[1:] == ["-", "running", "42/50", "01-01", "00:00"]
    assert max(map(len, lines)) <= 80


def benchmark() -> dict[str, Any]:
    return {
        "identifier": "basics",
        "provider_resource_id": "basics",
        "provider_id": "meta-reference",
        "type": "benchmark",
        "dataset_id": "basics",
        "scoring_functions": ["basic::equality", "basic::subset_of", "llm-as-judge::base"],
        "metadata": {},
    }


def test_benchmarks_are_listed_shown_made_and_deleted(stack: FakeStack) -> None:
    tool = benchmarks.command
    lines = run(stack, [{"data": [benchmark()]}], "list", tool=tool).stdout.splitlines()
    assert lines[1].startswith("basics")
    assert max(map(len, lines)) <= 80
    assert "dataset:     basics" in run(stack, [benchmark()], "show", "basics", tool=tool).stdout
    words = ("register", "basics", "--dataset", "basics", "--scoring", "a", "--scoring", "b")
    assert run(stack, [None, benchmark()], *words, tool=tool).stdout == "registered basics\n"
    assert stack.asked[-2][2] == {"benchmark_id": "basics", "dataset_id": "basics", "scoring_functions": ["a", "b"]}
    assert run(stack, [None], "delete", "basics", tool=tool).stdout == "deleted basics\n"


def test_scoring_functions_are_listed_and_shown(stack: FakeStack) -> None:
    function = {
        "identifier": "basic::equality",
        "provider_resource_id": "equality",
        "provider_id": "basic",
        "type": "scoring_function",
        "description": "Whether the answer is the expected one.\x1b[31m",
        "metadata": {},
        "return_type": {"type": "number"},
        "params": {"type": "basic", "aggregation_functions": ["accuracy"]},
    }
    tool = scoring_functions.command
    lines = run(stack, [{"data": [function]}], "list", tool=tool).stdout.splitlines()
    assert max(map(len, lines)) <= 80
    text = run(stack, [function], "show", "basic::equality", tool=tool).stdout
    assert "score:       number" in text
    assert "\x1b" not in text
    assert stack.asked[-1][1] == "/v1/scoring-functions/basic%3A%3Aequality"
