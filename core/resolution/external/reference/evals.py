"""A provider of evaluations of another package: its methods by either form of their signatures.

Sources: the Eval protocols of Llama Stack 0.2.12 and 0.7.3.
"""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, Final

from core.errors import Conflict, InvalidRequest, NotFound
from core.frame.resources import Resource
from core.frame.types import Health, JsonObject
from core.platform.json_values import to_object
from core.resolution.external.reference.calls import Translated, call, own_method, parameters
from core.resolution.external.reference.inference import ReferenceInference, ReferenceModels
from core.resolution.external.reference.records import Record, plain, record

METHODS: Final = ("run_eval", "evaluate_rows", "job_status", "job_result")
RECORDS: Final = {
    "run_eval": "RunEvalRequest",
    "evaluate_rows": "EvaluateRowsRequest",
    "job_status": "JobStatusRequest",
    "job_cancel": "JobCancelRequest",
    "job_result": "JobResultRequest",
}
FIRST: Final = "benchmark_id"
MOST_REGISTERED: Final = 10_000  # benchmarks; then they are registered again


class ReferenceEvals:
    """`provider` has METHODS."""

    def __init__(
        self,
        provider_id: str,
        provider: Any,  # noqa: ANN401 - somebody else's object
        data: SimpleNamespace | None = None,
        registered: set[str] | None = None,
    ) -> None:
        self._provider_id = provider_id
        self._provider = provider
        self._data = data
        self._registered: set[str] = set() if registered is None else registered
        self._others = ReferenceInference(provider_id, provider, ReferenceModels(provider_id))

    def with_provider_data(self, data: Mapping[str, Any]) -> "ReferenceEvals":
        """This provider for a caller who brings `data`, which its `get_request_provider_data()` then returns."""
        return ReferenceEvals(self._provider_id, self._provider, SimpleNamespace(**data), self._registered)

    async def check_benchmark(self, benchmark: Resource) -> None:
        """Registers it there: some refuse what they do not know, and some keep what it is of."""
        with Translated(self._provider_id, self._data):
            await self._register(benchmark)

    async def run_eval(self, benchmark: Resource, config: JsonObject) -> JsonObject:
        return await self._ask("run_eval", benchmark, benchmark_config=config_record(config))

    async def evaluate_rows(
        self, benchmark: Resource, rows: list[JsonObject], functions: list[str], config: JsonObject
    ) -> JsonObject:
        return await self._ask(
            "evaluate_rows",
            benchmark,
            input_rows=rows,
            scoring_functions=functions,
            benchmark_config=config_record(config),
        )

    async def job_status(self, benchmark: Resource, job_id: str) -> JsonObject:
        job = await self._ask_about("job_status", benchmark, job_id)
        if not job:
            raise _missing(job_id)
        return {"job_id": job_id, **job}

    async def job_cancel(self, benchmark: Resource, job_id: str) -> None:
        if own_method(self._provider, "job_cancel") is None:
            raise InvalidRequest(f"Provider `{self._provider_id}` does not stop evaluations.")
        try:
            await self._ask("job_cancel", benchmark, job_id=job_id)
        except InvalidRequest as refused:
            raise Conflict(refused.message, param="job_id") from refused

    async def job_result(self, benchmark: Resource, job_id: str) -> JsonObject:
        try:
            return await self._ask("job_result", benchmark, job_id=job_id)
        except InvalidRequest as refused:  # of a job that has not ended, which in the reference is a ValueError
            raise Conflict(refused.message, param="job_id") from refused

    async def health(self) -> Health:
        return await self._others.health()

    async def close(self) -> None:
        await self._others.close()

    async def _ask_about(self, name: str, benchmark: Resource, job_id: str) -> JsonObject:
        try:
            return await self._ask(name, benchmark, job_id=job_id)
        except InvalidRequest:  # the reference has no error of its own for an id that it does not know
            raise _missing(job_id) from None

    async def _ask(self, name: str, benchmark: Resource, **fields: object) -> JsonObject:
        with Translated(self._provider_id, self._data):
            await self._register(benchmark)
            every = {FIRST: benchmark.identifier, **fields}
            return to_object(plain(await call(getattr(self._provider, name), RECORDS[name], FIRST, every)))

    async def _register(self, benchmark: Resource) -> None:
        method = own_method(self._provider, "register_benchmark")
        described = _benchmark(benchmark)
        key = described.model_dump_json()
        if method is None or key in self._registered:
            return
        if FIRST in parameters(method):
            fields = {**plain(described), FIRST: benchmark.identifier}
            await method(**{name: fields[name] for name in parameters(method) if name in fields})
        else:
            await method(described)
        if len(self._registered) >= MOST_REGISTERED:
            self._registered.clear()
        self._registered.add(key)


def config_record(config: JsonObject) -> Record:
    """A BenchmarkConfig, whose candidate has attributes too."""
    candidate = to_object(config.get("eval_candidate"))
    name = "AgentCandidate" if candidate.get("type") == "agent" else "ModelCandidate"
    sampling = candidate.get("sampling_params")
    further = {"sampling_params": record("SamplingParams", **sampling)} if isinstance(sampling, dict) else {}
    body: Record = record("BenchmarkConfig", **{**config, "eval_candidate": record(name, **{**candidate, **further})})
    return body


def _benchmark(benchmark: Resource) -> Record:
    body: Record = record(
        "Benchmark",
        identifier=benchmark.identifier,
        provider_resource_id=benchmark.provider_resource_id,
        provider_id=benchmark.provider_id,
        dataset_id=benchmark.attributes["dataset_id"],
        scoring_functions=benchmark.attributes["scoring_functions"],
        metadata=benchmark.attributes["metadata"] or {},
    )
    return body


def _missing(job_id: str) -> NotFound:
    return NotFound(f"There is no evaluation `{job_id}`.", param="job_id")
