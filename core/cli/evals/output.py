"""How `llambda eval`, `benchmarks` and `scoring-functions` say what a stack answers, in 80 columns."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
import json
import sys
from typing import TYPE_CHECKING, Any, Final

from core.cli.terminal import Columns, clean, cost_text, shorten, width_of, wrap
from core.platform.json_values import to_object

if TYPE_CHECKING:
    from core.apis.answers.evals import Benchmark, EvalJob, EvalResult
    from core.apis.answers.jobs import JobView
    from core.apis.answers.scoring import ScoringFunctionView
    from core.cli.jobs.output import Shown

ENDED: Final = frozenset({"completed", "failed", "cancelled"})
JOBS: Final[Columns] = (("BENCHMARK", 30), ("ID", 6), ("STATUS", 11), ("ROWS", 13), ("CREATED", 11))
BENCHMARKS: Final[Columns] = (("BENCHMARK", 24), ("DATASET", 24), ("SCORED BY", 28))
FUNCTIONS: Final[Columns] = (("FUNCTION", 38), ("PROVIDER", 14), ("SCORE", 8), ("WHAT", 14))
SCORES: Final[Columns] = (("CANDIDATE", 28), ("SCORED BY", 24), ("RESULT", 24))
WIDTH: Final = 80
MOST_COUNTS: Final = 4  # categories of a count that are shown
NOTHING: Final[Mapping[str, int]] = {"total": 0, "completed": 0, "failed": 0}


def progress_of(job: "EvalJob") -> "Shown":
    """For the progress line."""
    progress: Any = job.get("progress") or NOTHING
    return {"id": f"evaluation {job['job_id']}", "status": job["status"], "progress": progress, "note": ""}


def status_line(benchmark: str, job: "EvalJob") -> str:
    return clean(f"{benchmark} {job['job_id']}: {job['status']}, {_rows(job)}")


def job_lines(benchmark: str, job: "EvalJob") -> Iterator[str]:
    """A line per fact that there is."""
    error, usage = job.get("error"), job.get("usage")
    facts = {
        "benchmark": benchmark,
        "evaluation": job["job_id"],
        "job": job.get("id"),
        "status": job["status"],
        "error": f"{error['code']}: {error['message']}" if error else None,
        "rows": _rows(job),
        "tokens": ", ".join(f"{model} {tokens}" for model, tokens in usage["models"].items()) if usage else None,
        "cost": cost_text(job.get("cost")),
        "created": _time(job.get("created_at")),
        "started": _time(job.get("started_at")),
        "ended": _time(job.get("ended_at")),
        "result": job.get("result_file_id"),
    }
    yield from _fact_lines(facts)


def score_rows(candidate: str, result: "EvalResult") -> Iterator[list[str]]:
    """The cells of SCORES, a row for each aggregation of each function."""
    for function, scores in result["scores"].items():
        texts = [_aggregate(name, value) for name, value in scores["aggregated_results"].items()]
        missing = sum(row.get("score") is None for row in scores["score_rows"])
        texts += [f"{missing} of {len(scores['score_rows'])} not scored"] if missing else []
        for text in texts or [f"{len(scores['score_rows'])} rows"]:
            yield [candidate, function, text]


def result_rows(result: "EvalResult") -> Iterator[dict[str, Any]]:
    """A row of the dataset each: what was generated, and its scores by function."""
    for number, generation in enumerate(result["generations"]):
        scores = {name: _at(scores["score_rows"], number) for name, scores in result["scores"].items()}
        yield {"row": number, **generation, "scores": scores}


def list_row(job: "JobView") -> list[str]:
    """The cells of JOBS."""
    progress = job["progress"]
    created = datetime.fromtimestamp(job["created_at"], UTC).strftime("%m-%d %H:%M")
    rows = f"{progress['completed'] + progress['failed']}/{progress['total']}"
    about: dict[str, Any] = job.get("about") or {}
    names = [about["benchmark_id"], about["number"]] if about else [job["id"], "-"]  # a stack before said nothing more
    return [*names, job["status"], rows, created]


def benchmark_row(benchmark: "Benchmark") -> list[str]:
    """The cells of BENCHMARKS."""
    return [benchmark["identifier"], benchmark["dataset_id"], ", ".join(benchmark["scoring_functions"])]


def benchmark_lines(benchmark: "Benchmark") -> Iterator[str]:
    yield from _fact_lines(
        {
            "benchmark": benchmark["identifier"],
            "dataset": benchmark["dataset_id"],
            "scored by": ", ".join(benchmark["scoring_functions"]),
            "provider": benchmark["provider_id"],
            "owner": benchmark.get("owner"),
            "metadata": json.dumps(benchmark["metadata"], ensure_ascii=False) if benchmark["metadata"] else None,
        }
    )


def function_row(function: "ScoringFunctionView") -> list[str]:
    """The cells of FUNCTIONS."""
    return [
        function["identifier"],
        function["provider_id"],
        function["return_type"]["type"],
        function["description"] or "",
    ]


def function_lines(function: "ScoringFunctionView") -> Iterator[str]:
    yield from _fact_lines(
        {
            "function": function["identifier"],
            "provider": function["provider_id"],
            "what": function["description"] or None,
            "score": function["return_type"]["type"],
            "owner": function.get("owner"),
            "params": json.dumps(function["params"], ensure_ascii=False) if function["params"] else None,
        }
    )


def _fact_lines(facts: Mapping[str, object]) -> Iterator[str]:
    for name, fact in facts.items():
        if fact is not None:
            text = shorten(clean(str(fact)), 4 * WIDTH)
            yield wrap(f"{name + ':':12} {text}", width_of(sys.stdout), " " * 13)


def _aggregate(name: str, value: object) -> str:
    """`accuracy 0.420 (21/50)`, `average 3.5`, `A 12, B 3`; of another one its JSON."""
    fields = to_object(value)
    if fields.keys() >= {"accuracy", "num_correct", "num_total"}:
        return f"accuracy {_number(fields['accuracy'])} ({_number(fields['num_correct'])}/{fields['num_total']})"
    counts = to_object(fields.get("categorical_count"))
    if counts and all(isinstance(count, int) for count in counts.values()):
        most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_COUNTS]
        return ", ".join(f"{category} {count}" for category, count in most)
    if name in fields:
        return f"{name} {_number(fields[name])}"
    return f"{name} {json.dumps(value, ensure_ascii=False)}"


def _number(value: object) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else json.dumps(value)


def _at(rows: Sequence[Any], number: int) -> Any:  # noqa: ANN401 - JSON
    return rows[number] if number < len(rows) else None


def _rows(job: "EvalJob") -> str:
    progress = job.get("progress") or NOTHING
    failed = f", {progress['failed']} failed" if progress["failed"] else ""
    return f"{progress['completed'] + progress['failed']}/{progress['total']} rows{failed}"


def _time(seconds: int | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
