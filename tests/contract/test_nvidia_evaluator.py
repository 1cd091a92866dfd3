"""NeMo Evaluator as the microservice documents its configurations and jobs: a benchmark, an evaluation, its results."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, override

from aiohttp import web
import pytest

from core.errors import ApiError, Conflict, InvalidRequest, NotFound, ProviderUnavailable, UpstreamFailed
from core.frame.resources import Resource
from core.providers.nvidia.evaluator import CONFIGS, JOBS, STATUSES, Config, NemoEvaluator, connect
from tests.parts.upstream import FakeUpstream, running

METADATA = {"type": "similarity", "tasks": {"qa": {"metrics": {"f1": {"type": "f1"}}}}}
BENCHMARK = Resource(
    "benchmark", "qa/mine", "nvidia", "qa/mine", {"dataset_id": "d", "scoring_functions": [], "metadata": METADATA}
)
CONFIG: dict[str, Any] = {
    "eval_candidate": {"type": "model", "model": "small", "provider_resource_id": "meta/llama-3.1-8b"}
}
RESULTS: dict[str, Any] = {"tasks": {"qa": {"metrics": {"f1": {"scores": {"f1": {"value": 0.5}}}}}}}


@dataclass
class Evaluator:
    """The service: `configs` by name, `jobs` by id. Jobs stay as they were made until a test says otherwise."""

    configs: dict[str, Any] = field(default_factory=dict[str, Any])
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])

    async def reply(self, request: web.Request) -> web.StreamResponse:
        if request.method == "POST" and request.path in {CONFIGS, JOBS}:
            body = await request.json()
            return self._configure(body) if request.path == CONFIGS else self._start(body)
        if request.path == CONFIGS:
            return web.json_response({"data": list(self.configs.values())})
        if request.path.startswith(CONFIGS):
            return self._show(self.configs.get(request.path.removeprefix(f"{CONFIGS}/")))
        job_id, _, action = request.path.removeprefix(f"{JOBS}/").partition("/")
        job = self.jobs.get(job_id)
        if job is not None and action == "cancel":
            job["status"] = "cancelled"
        return self._show(RESULTS if job is not None and action == "results" else job)

    def _configure(self, body: dict[str, Any]) -> web.Response:
        name = f"{body['namespace']}/{body['name']}"
        if name in self.configs:
            return web.json_response({"detail": "exists"}, status=409)
        self.configs[name] = body
        return web.json_response(body)

    def _start(self, body: dict[str, Any]) -> web.Response:
        if body["config"] not in self.configs:
            return self._show(None)
        job = {"id": f"eval-{len(self.jobs)}", "status": "created", **body}
        self.jobs[job["id"]] = job
        return web.json_response(job)

    def _show(self, what: Any) -> web.Response:
        return web.json_response({"detail": "not found"} if what is None else what, status=404 if what is None else 200)


class Service(FakeUpstream):
    def __init__(self) -> None:
        super().__init__()
        self.evaluator = Evaluator()

    @override
    async def reply(self, request: web.Request) -> web.StreamResponse:
        return await (
            self.replies[request.path](request) if request.path in self.replies else self.evaluator.reply(request)
        )


@dataclass
class World:
    service: Service
    provider: NemoEvaluator

    @property
    def evaluator(self) -> Evaluator:
        return self.service.evaluator


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with running(Service()) as service:
        assert isinstance(service, Service)
        provider = connect("nvidia", Config(evaluator_url=service.url), {})
        assert isinstance(provider, NemoEvaluator)
        yield World(service, provider)
        await provider.close()


async def test_a_benchmark_becomes_a_configuration_of_its_metadata_once(world: World) -> None:
    await world.provider.check_benchmark(BENCHMARK)
    assert world.evaluator.configs == {"nvidia/qa/mine": {**METADATA, "namespace": "nvidia", "name": "qa/mine"}}
    await world.provider.check_benchmark(BENCHMARK)
    assert [seen.method for seen in world.service.seen] == ["GET", "POST", "GET"]


async def test_an_evaluation_is_a_job_over_the_model_as_its_provider_calls_it(world: World) -> None:
    await world.provider.check_benchmark(BENCHMARK)
    job = await world.provider.run_eval(BENCHMARK, CONFIG)
    assert job == {"job_id": "eval-0", "status": "scheduled"}
    made = world.evaluator.jobs["eval-0"]
    assert (made["config"], made["target"]) == ("nvidia/qa/mine", {"type": "model", "model": "meta/llama-3.1-8b"})
    with pytest.raises(Conflict, match="scheduled"):
        await world.provider.job_result(BENCHMARK, "eval-0")
    made["status"] = "completed"
    result = await world.provider.job_result(BENCHMARK, "eval-0")
    assert result == {"generations": [], "scores": {"qa/mine": {"score_rows": [], "aggregated_results": RESULTS}}}


@pytest.mark.parametrize(("theirs", "ours"), STATUSES.items())
async def test_each_status_of_the_service_is_one_of_ours(world: World, theirs: str, ours: str) -> None:
    world.evaluator.jobs["eval-7"] = {"id": "eval-7", "status": theirs}
    assert await world.provider.job_status(BENCHMARK, "eval-7") == {"job_id": "eval-7", "status": ours}


async def test_a_job_is_stopped_and_one_that_is_not_there_is_not_found(world: World) -> None:
    world.evaluator.jobs["eval-7"] = {"id": "eval-7", "status": "running"}
    await world.provider.job_cancel(BENCHMARK, "eval-7")
    assert (await world.provider.job_status(BENCHMARK, "eval-7"))["status"] == "cancelled"
    for asked in (world.provider.job_status, world.provider.job_cancel, world.provider.job_result):
        with pytest.raises(NotFound):
            await asked(BENCHMARK, "eval-8/../x")
    with pytest.raises(NotFound):  # of a configuration that somebody removed there
        await world.provider.run_eval(BENCHMARK, CONFIG)


async def test_what_it_cannot_evaluate_is_refused_and_nothing_is_asked(world: World) -> None:
    with pytest.raises(InvalidRequest, match="models alone"):
        await world.provider.run_eval(BENCHMARK, {"eval_candidate": {"type": "agent", "config": {}}})
    with pytest.raises(InvalidRequest, match="as a job"):
        await world.provider.evaluate_rows(BENCHMARK, [{}], [], CONFIG)
    assert not world.service.seen


@pytest.mark.parametrize("answer", [{}, {"id": 1, "status": "running"}, {"id": "eval-1", "status": "odd"}])
async def test_an_answer_that_is_no_job_is_the_upstreams_failure(world: World, answer: Any) -> None:
    world.evaluator.jobs["eval-1"] = answer
    with pytest.raises(UpstreamFailed, match="no job"):
        await world.provider.job_status(BENCHMARK, "eval-1")


@pytest.mark.parametrize("status", [401, 403, 500])
async def test_its_own_failures_are_not_the_callers(world: World, status: int) -> None:
    async def broken(_: web.Request) -> web.StreamResponse:
        return web.json_response({"detail": "no"}, status=status)

    world.service.replies[CONFIGS] = broken
    assert (await world.provider.health())["status"] == "Error"
    world.service.replies[f"{CONFIGS}/nvidia/qa/mine"] = broken
    with pytest.raises(ApiError) as failed:
        await world.provider.check_benchmark(BENCHMARK)
    assert failed.value.status == 502


async def test_its_health_is_asked_and_one_that_is_down_is_told() -> None:
    async with running(Service()) as service:
        provider = NemoEvaluator("nvidia", Config(evaluator_url=service.url))
        assert await provider.health() == {"status": "OK"}
        await provider.close()
    assert (await provider.health())["status"] == "Error"
    with pytest.raises((ProviderUnavailable, UpstreamFailed)):
        await provider.run_eval(BENCHMARK, CONFIG)
    await provider.close()
