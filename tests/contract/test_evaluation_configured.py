"""A configuration that is registered while a stack runs holds for datasets, scoring and evaluations, and for the worker of their jobs."""

import asyncio
from pathlib import Path
from typing import Any, override
from urllib.parse import urlsplit

import httpx

from tests.parts.dataset_stack import DatasetWorld, dataset_world, numbers, questions, register, rows_of
from tests.parts.datasets_server import DatasetsServer, serving_datasets
from tests.parts.eval_stack import SECONDS, EvalWorld, benchmark_of, config, end_of, eval_world, run
from tests.parts.job_bench import eventually
from tests.parts.job_tasks import job_worker
from tests.parts.model_script import Round, write_script
from tests.parts.response_stack import MODEL
from tests.parts.score_stack import BASE

LIVE: dict[str, Any] = {"configurations": {"refresh_seconds": 0.1, "allow_private_urls": True}}
JUDGED: dict[str, Any] = {
    "type": "llm_as_judge",
    "judge_model": MODEL,
    "prompt_template": "Rate: {generated_answer}",
    "judge_score_regexes": ["(.)"],
}


async def configure(client: httpx.AsyncClient, api: str, provider_id: str, **settings: Any) -> None:
    entry = {"provider_id": provider_id, "config": settings}
    answer = await client.post("/v1/configurations", json={"config": {"providers": {api: [entry]}}})
    assert answer.status_code == 200, answer.text


def judged(world: EvalWorld) -> list[int]:
    """The bounds of tokens with which the judge was asked, in their order."""
    return [
        chat["max_tokens"] for chat in world.model.chats if str(chat["messages"][-1]["content"]).startswith("Rate:")
    ]


async def test_a_job_goes_by_the_judge_that_was_configured_when_its_shard_began_and_the_next_by_the_new(
    tmp_path: Path,
) -> None:
    body = config(scoring_params={BASE: JUDGED})
    rows = [{"question": write_script(Round("late", held=True)), "answer": ""}, {"question": "q", "answer": ""}]
    async with eval_world(tmp_path) as world:
        how: dict[str, Any] = {**LIVE, "evals": {"wait_seconds": 0, "max_concurrent_rows": 1}}
        client = await world.client(**how)
        async with job_worker(world, **how):
            await benchmark_of(client, rows, functions=[BASE])
            job = await run(client, body=body)
            await eventually(lambda: asyncio.sleep(0, bool(world.model.chats)))  # the shard has begun
            await configure(client, "scoring", "judge", max_tokens=64)
            score = {"input_rows": [{"generated_answer": "a"}], "scoring_functions": {BASE: JUDGED}}
            assert (await client.post("/v1/scoring/score", json=score)).status_code == 200
            assert judged(world) == [64]
            world.model.release.set()
            assert (await end_of(client, job))["status"] == "completed"
            assert judged(world) == [64, 1024, 1024]
            async with asyncio.timeout(SECONDS):  # the worker looks again after `refresh_seconds`
                while judged(world)[-1] != 64:
                    await end_of(client, await run(client, body=body))


async def test_how_many_rows_of_a_shard_are_evaluated_at_once_is_configured(tmp_path: Path) -> None:
    rows = [{"question": write_script(Round(f"a{number}", held=True)), "answer": ""} for number in range(3)]
    async with eval_world(tmp_path) as world:
        how: dict[str, Any] = {**LIVE, "evals": {"wait_seconds": 0, "max_concurrent_rows": 1}}
        client = await world.client(**how)
        await configure(client, "eval", "stack", max_concurrent_rows=3)
        async with job_worker(world, **how):
            await benchmark_of(client, rows, functions=[])
            job = await run(client)
            await eventually(lambda: asyncio.sleep(0, len(world.model.chats) == len(rows)))  # each is held
            world.model.release.set()
            assert (await end_of(client, job))["status"] == "completed"


class LiveWorld(DatasetWorld):
    """With the Configuration API."""

    @override
    def document(self, *providers: dict[str, Any], **how: Any) -> dict[str, Any]:
        return {**super().document(*providers, auth=False, **how), **LIVE}


async def test_a_running_worker_imports_from_where_the_configuration_of_now_says(tmp_path: Path) -> None:
    of_set = ("org/set", "default", "train")
    async with (
        serving_datasets(DatasetsServer(splits={of_set: questions(2)})) as old,
        serving_datasets(DatasetsServer(splits={of_set: questions(3, 10)})) as new,
        dataset_world(tmp_path) as plain,
    ):
        world = LiveWorld(plain.upstream, plain.folder, plain.opened)
        fetch = {"allow_private_addresses": True, "allowed_ports": [urlsplit(each.url).port for each in (old, new)]}
        hub = {"url": old.url, "hub_url": old.url, "fetch": fetch}
        sources = [{"provider_id": "huggingface", "provider_type": "remote::huggingface", "config": hub}]
        client = await world.client(sources=sources)

        async def imported() -> list[int]:
            made = await register(client, {"uri": "huggingface://org/set?split=train"})
            return numbers(await rows_of(client, made["identifier"]))

        async with world.working(sources=sources):
            assert await imported() == [0, 1]
            await configure(client, "datasetio", "huggingface", url=new.url)
            async with asyncio.timeout(SECONDS):
                while await imported() == [0, 1]:
                    pass
            assert await imported() == [10, 11, 12]
