"""Evaluations of a provider that runs them itself, for one call: it does the work, and the stack knows whose each is.

eval_run    id = digest of OWNER, benchmark and job    parent OWNER    {"provider", "benchmark", "job"}
"""

from collections.abc import AsyncIterator, Awaitable
from hashlib import sha256
import time
from typing import Any, Final, cast

from core.apis.answers.evals import EvalJob, EvalResult
from core.apis.evals import BenchmarkConfig, EvaluateRows, ModelCandidate, RunEval, RunsEvaluations
from core.errors import Conflict, NotFound, UpstreamFailed
from core.frame.callers import ActingFor, Call, principal_of
from core.frame.content import Bytes
from core.frame.resources import Resource
from core.frame.types import JsonObject
from core.platform.json_values import to_object
from core.routing.guard import Guard
from core.routing.policy import owner_list
from core.services.evals.job.results import encode
from core.services.parts import Parts
from core.stores.connect import DOCUMENTS
from core.stores.documents.port import Document

RUN: Final = "eval_run"
KEPT_SECONDS: Final = 31 * 86_400
LONGEST_ID: Final = 500
STATUSES: Final = ("scheduled", "in_progress", "completed", "failed", "cancelled")


class ProvidedEvaluations:
    """Answers `core.apis.evals.Evals` for the benchmarks of one provider."""

    def __init__(self, parts: Parts, provider: Any, call: Call | None) -> None:  # noqa: ANN401 - somebody else's object
        self._parts = parts
        self._provider = cast("RunsEvaluations", _for_caller(provider, call))
        self._call = call
        self._principal = principal_of(call)

    async def run_eval(self, benchmark: Resource, request: RunEval) -> EvalJob:
        config = await self._config(request.benchmark_config)
        job = self._job(benchmark, await self._ask(self._provider.run_eval(benchmark, config)))
        await self._keep(benchmark, job["job_id"])
        return job

    async def evaluate_rows(self, benchmark: Resource, request: EvaluateRows) -> EvalResult:
        config = await self._config(request.benchmark_config)
        answer = self._provider.evaluate_rows(benchmark, request.input_rows, request.scoring_functions, config)
        return self._result(benchmark, await self._ask(answer))

    async def job_status(self, benchmark: Resource, job_id: str) -> EvalJob:
        await self._require(benchmark, job_id)
        return self._job(benchmark, await self._ask(self._provider.job_status(benchmark, job_id)))

    async def job_cancel(self, benchmark: Resource, job_id: str) -> None:
        await self._require(benchmark, job_id)
        await self._ask(self._provider.job_cancel(benchmark, job_id))

    async def job_result(self, benchmark: Resource, job_id: str) -> Bytes:
        await self._require(benchmark, job_id)
        answer = self._result(benchmark, await self._ask(self._provider.job_result(benchmark, job_id)))
        return bytes_of(encode(answer))

    async def _config(self, config: BenchmarkConfig) -> JsonObject:
        """As JSON; of a model with its name at its own provider, as far as the caller may use it."""
        body = config.model_dump(mode="json", exclude_none=True)
        if isinstance(config.eval_candidate, ModelCandidate) and "model" in self._parts.registries:
            model = await self._parts.registries["model"](self._call).get(config.eval_candidate.model)
            body["eval_candidate"]["provider_resource_id"] = model.provider_resource_id
        return body

    async def _ask(self, answer: Awaitable[object]) -> object:
        with ActingFor(self._call):
            return await answer

    async def _keep(self, benchmark: Resource, job_id: str) -> None:
        """Whose it is. Of another's id nobody gets to know anything."""
        owner = owner_list(self._principal)
        body: JsonObject = {"provider": benchmark.provider_id, "benchmark": benchmark.identifier, "job": job_id}
        now = int(time.time())
        document = Document(
            RUN,
            self._id(benchmark, job_id),
            body,
            owner,
            Guard(self._parts.enforcement, self._principal).owner,
            now,
            expires=now + KEPT_SECONDS,
        )
        try:
            await self._parts.stores.get(DOCUMENTS).create(document)
        except Conflict:
            """Its owner's already: a provider may give one job for the same request."""

    async def _require(self, benchmark: Resource, job_id: str) -> None:
        if await self._parts.stores.get(DOCUMENTS).get(RUN, self._id(benchmark, job_id)) is None:
            raise missing(benchmark.identifier, job_id)

    def _id(self, benchmark: Resource, job_id: str) -> str:
        names = (owner_list(self._principal), benchmark.provider_id, benchmark.identifier, job_id)
        return sha256("\n".join(names).encode()).hexdigest()

    def _job(self, benchmark: Resource, answer: object) -> EvalJob:
        fields = to_object(answer)
        job_id, status = fields.get("job_id"), fields.get("status")
        if not isinstance(job_id, str) or not 0 < len(job_id) <= LONGEST_ID or status not in STATUSES:
            raise UpstreamFailed(f"Provider `{benchmark.provider_id}` answered with something that is no job.")
        return cast("EvalJob", {**fields, "benchmark_id": benchmark.identifier})

    def _result(self, benchmark: Resource, answer: object) -> EvalResult:
        fields = to_object(answer)
        if not isinstance(fields.get("generations"), list) or not isinstance(fields.get("scores"), dict):
            raise UpstreamFailed(f"Provider `{benchmark.provider_id}` answered with something that is no result.")
        return cast("EvalResult", fields)


def bytes_of(content: bytes) -> Bytes:
    """JSON that is there whole."""

    async def read(start: int, stop: int) -> AsyncIterator[bytes]:
        yield content[start:stop]

    return Bytes(read, len(content), "application/json")


def missing(benchmark_id: str, job_id: str) -> NotFound:
    return NotFound(
        f"Benchmark `{benchmark_id}` has no evaluation `{job_id}` of yours. POST /v1/eval/benchmarks/{benchmark_id}/jobs begins one, and says its id.",
        param="job_id",
    )


def _for_caller(provider: object, call: Call | None) -> object:
    take = getattr(provider, "with_provider_data", None)
    if call is None or not call.provider_data or take is None:
        return provider
    with ActingFor(call):
        return cast("object", take(call.provider_data))
