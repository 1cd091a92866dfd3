"""Benchmarks, scoring functions and evaluations of a running stack."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from core.client.http import Transport
from core.client.shapes import check_shape, path_of
from core.platform.json_values import to_object

if TYPE_CHECKING:
    from core.apis.answers.evals import Benchmark, EvalJob, EvalResult
    from core.apis.answers.scoring import ScoringFunctionView

SECONDS: Final = 90.0  # without a byte: an evaluation is waited for before it is answered
BENCHMARKS: Final = "/v1/eval/benchmarks"


class Benchmarks:
    """A dataset each, with the scoring functions that judge what is made of its rows."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> "list[Benchmark]":
        from core.apis.answers.evals import Benchmark

        return [check_shape(row, Benchmark) for row in _rows(self._transport.send("GET", BENCHMARKS))]

    def get(self, benchmark_id: str) -> "Benchmark":
        from core.apis.answers.evals import Benchmark

        return check_shape(self._transport.send("GET", _path(benchmark_id)), Benchmark)

    def register(self, **fields: object) -> None:
        """Of `benchmark_id`, `dataset_id`, `scoring_functions` and more; those that are None are left out."""
        body = {name: value for name, value in fields.items() if value is not None}
        self._transport.send("POST", BENCHMARKS, body)

    def unregister(self, benchmark_id: str) -> None:
        self._transport.send("DELETE", _path(benchmark_id))


class ScoringFunctions:
    """Those of the providers, and those that users registered."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> "list[ScoringFunctionView]":
        from core.apis.answers.scoring import ScoringFunctionView

        rows = _rows(self._transport.send("GET", "/v1/scoring-functions"))
        return [check_shape(row, ScoringFunctionView) for row in rows]

    def get(self, function_id: str) -> "ScoringFunctionView":
        from core.apis.answers.scoring import ScoringFunctionView

        return check_shape(self._transport.send("GET", path_of("scoring-functions", function_id)), ScoringFunctionView)


class Evals:
    """Evaluations of a benchmark: jobs, whose ids count within it."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def run(self, benchmark_id: str, config: Mapping[str, Any], *, key: str | None = None) -> "EvalJob":
        """A new one, or that of before with this idempotency key; it may have ended by the answer. `config` is a BenchmarkConfig."""
        path, query = f"{_path(benchmark_id)}/jobs", {"idempotency_key": key}
        return _job(self._transport.send("POST", path, {"benchmark_config": config}, query, timeout=SECONDS))

    def get(self, benchmark_id: str, job_id: str) -> "EvalJob":
        return _job(self._transport.send("GET", _job_path(benchmark_id, job_id)))

    def cancel(self, benchmark_id: str, job_id: str) -> None:
        """Stop it; what was evaluated is kept."""
        self._transport.send("DELETE", _job_path(benchmark_id, job_id))

    def result(self, benchmark_id: str, job_id: str) -> "EvalResult":
        """Of one that has ended: generations and scores, in the order of the rows."""
        from core.apis.answers.evals import EvalResult

        path = f"{_job_path(benchmark_id, job_id)}/result"
        return check_shape(self._transport.fetch(path), EvalResult)


def _path(benchmark_id: str) -> str:
    return f"{BENCHMARKS}/{quote(benchmark_id, safe='')}"


def _job_path(benchmark_id: str, job_id: str) -> str:
    return f"{_path(benchmark_id)}/jobs/{quote(job_id, safe='')}"


def _rows(answer: object) -> list[Any]:
    rows: list[Any] = to_object(answer).get("data") or []
    return rows


def _job(answer: object) -> "EvalJob":
    from core.apis.answers.evals import EvalJob

    return check_shape(answer, EvalJob)
