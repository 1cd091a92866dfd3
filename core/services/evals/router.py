"""The evaluations of one caller: a benchmark's own provider runs them, or the jobs of the stack."""

from typing import Any

from core.apis.answers.evals import EvalJob, EvalResult
from core.apis.evals import EvaluateRows, RunEval, RunEvalQuery
from core.frame.callers import Call
from core.frame.content import Bytes, Redirect
from core.frame.resources import Resource
from core.services.evals.provided import ProvidedEvaluations, missing
from core.services.evals.stack_evals import StackEvaluations
from core.services.parts import Parts


class EvalsRouter:
    """Answers `core.apis.evals.Evals`; a `call` of None is the stack itself, which may do everything."""

    def __init__(self, parts: Parts, call: Call | None) -> None:
        """Nothing is asked or connected."""
        self._parts = parts
        self._call = call
        self._benchmarks = parts.registries["benchmark"](call)
        self._own = StackEvaluations(parts, call)

    async def run_eval(self, request: RunEval, benchmark_id: str, *, query: RunEvalQuery) -> EvalJob:
        benchmark = await self._benchmarks.get(benchmark_id)
        other = self._find_other(benchmark)
        if other is not None:  # whose provider knows no keys
            return await other.run_eval(benchmark, request)
        return await self._own.run_eval(benchmark, request, key=query.idempotency_key or "")

    async def evaluate_rows(self, request: EvaluateRows, benchmark_id: str) -> EvalResult:
        benchmark = await self._benchmarks.get(benchmark_id)
        other = self._find_other(benchmark)
        return await (other or self._own).evaluate_rows(benchmark, request)

    async def job_status(self, benchmark_id: str, job_id: str) -> EvalJob:
        if (job := await self._own.find(benchmark_id, job_id)) is not None:
            return await self._own.status(job)
        benchmark, other = await self._other(benchmark_id, job_id)
        return await other.job_status(benchmark, job_id)

    async def job_cancel(self, benchmark_id: str, job_id: str) -> None:
        if (job := await self._own.find(benchmark_id, job_id)) is not None:
            await self._own.cancel(job)
            return
        benchmark, other = await self._other(benchmark_id, job_id)
        await other.job_cancel(benchmark, job_id)

    async def job_result(self, benchmark_id: str, job_id: str) -> Bytes | Redirect:
        if (job := await self._own.find(benchmark_id, job_id)) is not None:
            return await self._own.result(job)
        benchmark, other = await self._other(benchmark_id, job_id)
        return await other.job_result(benchmark, job_id)

    async def _other(self, benchmark_id: str, job_id: str) -> tuple[Resource, ProvidedEvaluations]:
        """The provider of a job that is none of the stack's; raises NotFound."""
        benchmark = await self._benchmarks.get(benchmark_id)
        other = self._find_other(benchmark)
        if other is None:
            raise missing(benchmark_id, job_id)
        return benchmark, other

    def _find_other(self, benchmark: Resource) -> ProvidedEvaluations | None:
        provider: Any = self._parts.providers("eval").get(benchmark.provider_id)
        if not hasattr(provider, "run_eval"):  # not by the type: one of another package hands on what it is asked for
            return None
        return ProvidedEvaluations(self._parts, provider, self._call)
