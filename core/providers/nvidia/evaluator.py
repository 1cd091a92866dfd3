"""NVIDIA NeMo Evaluator, the microservice: a benchmark is a configuration there, an evaluation a job over it and a model.

Sources: https://docs.nvidia.com/nemo/microservices/latest/evaluate/index.html, and the provider of Llama Stack 0.2.12.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote

from pydantic import ConfigDict
from pydantic_core import to_json

from core.apis.evals import EvalProvider
from core.config.answer_limits import AnswerLimits, Limits
from core.config.urls import UpstreamUrl
from core.config.user_fields import USER
from core.errors import ApiError, Conflict, InvalidRequest, NotFound, UpstreamFailed
from core.frame.forms import of_form
from core.frame.resources import Resource
from core.frame.types import Health, JsonObject
from core.platform.json_values import to_object
from core.providers.http.connections import MOST_CONNECTIONS
from core.providers.http.remote import Patience, Remote, RemoteConfig
from core.providers.http.replies import health_of

if TYPE_CHECKING:
    from core.providers.http.resources import ResourceClient

CONFIGS: Final = "/v1/evaluation/configs"
JOBS: Final = "/v1/evaluation/jobs"
MISSING: Final = 404
TAKEN: Final = 409
STATUSES: Final = {
    "created": "scheduled",
    "pending": "scheduled",
    "running": "in_progress",
    "cancelling": "in_progress",
    "cancelled": "cancelled",
    "failed": "failed",
    "completed": "completed",
}
ROWS: Final = (
    "NeMo Evaluator evaluates whole benchmarks alone: run this one as a job, or register one with a provider that evaluates rows, as "
    "inline::meta-reference."
)
AGENTS: Final = "benchmark_config.eval_candidate: NeMo Evaluator evaluates models alone."


class Config(RemoteConfig):
    """`namespace` is that of the configurations that benchmarks become there; `timeout` is in seconds without a byte."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    evaluator_url: UpstreamUrl = "http://localhost:7331"
    namespace: Annotated[
        str, of_form(r"^[a-zA-Z0-9_.-]{1,64}$", "must be 1 to 64 letters, digits, dots, dashes and underscores")
    ] = "nvidia"
    timeout: Annotated[Patience, USER] = 60.0
    max_connections: int = MOST_CONNECTIONS
    limits: Limits = AnswerLimits.model_construct()


class NemoEvaluator:
    """A benchmark's name within this provider is that of the configuration, whose fields are the benchmark's metadata."""

    def __init__(self, provider_id: str, config: Config) -> None:
        """The HTTP client is imported and opened at the first call."""
        self._provider_id = provider_id
        self._namespace = config.namespace
        self._remote = Remote(
            provider_id,
            config.evaluator_url,
            timeout=config.timeout,
            max_connections=config.max_connections,
            reach=config.reach,
            limits=config.limits,
        )
        self._client: ResourceClient | None = None

    @property
    def _http(self) -> "ResourceClient":
        if self._client is None:
            from core.providers.http.resources import ResourceClient

            self._client = ResourceClient(self._remote, self._judge)
        return self._client

    async def check_benchmark(self, benchmark: Resource) -> None:
        """Makes the configuration there, unless there is one of this name."""
        name = benchmark.provider_resource_id
        try:
            await self._http.call("GET", f"{CONFIGS}/{self._namespace}/{quote(name, safe='')}")
        except NotFound:
            body: JsonObject = {**(benchmark.attributes["metadata"] or {}), "namespace": self._namespace, "name": name}
            try:
                await self._http.call("POST", CONFIGS, to_json(body))
            except Conflict:
                """Another process made it meanwhile."""

    async def run_eval(self, benchmark: Resource, config: JsonObject) -> JsonObject:
        candidate = to_object(config.get("eval_candidate"))
        if candidate.get("type") != "model":
            raise InvalidRequest(AGENTS, param="benchmark_config.eval_candidate")
        model = candidate.get("provider_resource_id") or candidate.get("model")
        target: JsonObject = {"type": "model", "model": model}
        body = {"config": f"{self._namespace}/{benchmark.provider_resource_id}", "target": target}
        # Not by `call`, which asks again where a connection was lost: this starts what costs something.
        return self._job(await self._http.post(JOBS, to_json(body)))

    async def evaluate_rows(
        self, benchmark: Resource, rows: list[JsonObject], functions: list[str], config: JsonObject
    ) -> JsonObject:
        del benchmark, rows, functions, config
        raise InvalidRequest(ROWS)

    async def job_status(self, benchmark: Resource, job_id: str) -> JsonObject:
        del benchmark
        return self._job(await self._http.call("GET", _path(job_id)))

    async def job_cancel(self, benchmark: Resource, job_id: str) -> None:
        del benchmark
        await self._http.call("POST", f"{_path(job_id)}/cancel", b"{}")

    async def job_result(self, benchmark: Resource, job_id: str) -> JsonObject:
        """It tells of no generations and no rows: the aggregated results are its own."""
        status = (await self.job_status(benchmark, job_id))["status"]
        if status != "completed":
            raise Conflict(f"The evaluation is {status}.", param="job_id")
        results = to_object(await self._http.call("GET", f"{_path(job_id)}/results"))
        score: JsonObject = {"score_rows": [], "aggregated_results": results}
        return {"generations": [], "scores": {benchmark.identifier: score}}

    async def health(self) -> Health:
        return await health_of(self._http.call("GET", f"{CONFIGS}?page_size=1"))

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    def _job(self, answer: object) -> JsonObject:
        fields = to_object(answer)
        job_id, status = fields.get("id"), STATUSES.get(str(fields.get("status")))
        if not isinstance(job_id, str) or status is None:
            raise UpstreamFailed(f"Provider `{self._provider_id}` answered with something that is no job.")
        return {"job_id": job_id, "status": status}

    def _judge(self, status: int, body: bytes) -> ApiError | None:
        """What is not there, and what is already; all else is as of any upstream."""
        del body
        if status == MISSING:
            return NotFound(f"Provider `{self._provider_id}` has no such evaluation.", param="job_id")
        return Conflict(f"Provider `{self._provider_id}` has it already.") if status == TAKEN else None


def _path(job_id: str) -> str:
    return f"{JOBS}/{quote(job_id, safe='')}"


def connect(provider_id: str, config: Config, deps: Mapping[str, Any]) -> EvalProvider:
    """A provider over one service; it depends on no other API."""
    del deps
    return NemoEvaluator(provider_id, config)
