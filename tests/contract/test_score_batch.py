"""The rows of a dataset are scored by a job, which its request waits for as long as there is time."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.services.scoring import router
from tests.parts.job_tasks import job_tasks
from tests.parts.score_stack import BASE, JUDGE, ROW, ScoreWorld, score_world

BATCH = "/v1/scoring/score-batch"
ASK: dict[str, Any] = {"type": "llm_as_judge", "judge_model": JUDGE, "aggregation_functions": ["average"]}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ScoreWorld]:
    async with score_world(tmp_path, datasets=True) as world:
        yield world


async def register(world: ScoreWorld, rows: list[dict[str, Any]], dataset_id: str = "rows") -> None:
    more = [{"question": "q", "answer": "a", **row} for row in rows]
    body = {"purpose": "eval/question-answer", "source": {"type": "rows", "rows": more}, "dataset_id": dataset_id}
    answer = await world.client.post("/v1/datasets", json=body)
    assert answer.status_code == 200, answer.text


async def batch(world: ScoreWorld, dataset_id: str = "rows", **more: Any) -> httpx.Response:
    body = {"dataset_id": dataset_id, "scoring_functions": {BASE: ASK}, **more}
    return await world.client.post(BATCH, json=body, timeout=60)


def refusal(answer: httpx.Response, status: int = 400) -> str:
    assert answer.status_code == status, answer.text
    return str(answer.json()["error"]["message"])


def numbered(count: int) -> list[dict[str, Any]]:
    return [{**ROW, "generated_answer": str(number)} for number in range(count)]


def verdict(prompt: str) -> str:
    number = int(prompt.partition("judge:\n")[2].partition("\n")[0])
    return f"Score: {number}" if number % 7 else "none"


async def test_every_row_is_scored_in_its_order_over_several_shards(world: ScoreWorld) -> None:
    """In the reference this is always a 500."""
    await register(world, numbered(450))
    world.verdict = verdict
    async with job_tasks(world.config):
        answer = await batch(world)
    assert answer.status_code == 200, answer.text
    assert answer.json()["dataset_id"] is None
    result = answer.json()["results"][BASE]
    wanted = [number if number % 7 else None for number in range(450)]
    assert [row["score"] for row in result["score_rows"]] == wanted
    numbers = [number for number in wanted if number is not None]
    assert result["aggregated_results"] == {"average": {"average": sum(numbers) / len(numbers)}}
    assert result["errors"] == 450 - len(numbers)
    [job] = (await world.client.get("/v1/jobs", params={"kind": "score"})).json()["data"]
    assert job["progress"] == {"total": 450, "completed": len(numbers), "failed": result["errors"]}
    assert job["result"]["aggregated_results"][BASE] == result["aggregated_results"]
    assert job["usage"]["models"] == {JUDGE: 900}


async def test_scores_are_saved_in_a_dataset_with_the_rows(world: ScoreWorld) -> None:
    await register(world, numbered(3))
    world.verdict = verdict
    async with job_tasks(world.config):
        answer = await batch(world, save_results_dataset=True)
    dataset_id = answer.json()["dataset_id"]
    [job] = (await world.client.get("/v1/jobs")).json()["data"]
    assert dataset_id == f"scores-{job['id']}"
    rows = (await world.client.get(f"/v1/datasetio/iterrows/{dataset_id}")).json()["data"]
    assert [row["scores"][BASE]["score"] for row in rows] == [None, 1, 2]
    assert [row["generated_answer"] for row in rows] == ["0", "1", "2"]
    shown = (await world.client.get(f"/v1/datasets/{dataset_id}")).json()
    assert (shown["purpose"], shown["metadata"]["job"]) == ("eval/question-answer", job["id"])


async def test_the_same_request_waits_for_the_same_job(world: ScoreWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client whose time is over asks again: the rows are not scored twice for it."""
    await register(world, numbered(2))
    world.verdict = lambda _: "Score: 1"
    monkeypatch.setattr(router, "WAIT", 0.1)
    late = await batch(world)
    assert late.json()["error"]["code"] == "job_under_way"
    [job] = (await world.client.get("/v1/jobs")).json()["data"]
    assert job["id"] in refusal(late, 504)
    assert (late.headers["retry-after"], job["status"]) == ("1", "queued")
    assert job["id"] in refusal(await batch(world), 504)
    monkeypatch.setattr(router, "WAIT", 50.0)
    async with asyncio.TaskGroup() as group:
        again = group.create_task(batch(world))
        async with job_tasks(world.config):
            answer = await again
    assert answer.status_code == 200, answer.text
    assert len((await world.client.get("/v1/jobs")).json()["data"]) == 1
    assert len(world.prompts) == 2


async def test_what_cannot_be_scored_is_refused_before_there_is_a_job(world: ScoreWorld) -> None:
    await register(world, [{"input_query": "q"}])
    assert "has no `expected_answer`" in refusal(await batch(world))
    assert "none" in refusal(await batch(world, "none"), 404)
    assert refusal(await batch(world, scoring_functions={"none": None}), 404)
    assert refusal(await batch(world, scoring_functions={BASE: None}))
    assert (await world.client.get("/v1/jobs")).json()["data"] == []


async def test_more_rows_or_scores_than_a_job_or_an_answer_holds_are_refused_with_what_to_do(
    world: ScoreWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await register(world, numbered(3))
    monkeypatch.setattr(router, "MOST_ROWS", 2)
    answer = await batch(world)
    assert refusal(answer) == (
        "The dataset has 3 rows; a job scores 2 at most. Register them as several datasets, and score each."
    )
    assert answer.json()["error"]["param"] == "dataset_id"
    assert (await world.client.get("/v1/jobs")).json()["data"] == []
    monkeypatch.setattr(router, "MOST_ROWS", 3)
    monkeypatch.setattr(router, "MOST_IN_ANSWER", 50)
    async with job_tasks(world.config):
        answer = await batch(world)
    assert "are more than one answer holds. With `save_results_dataset` they are a dataset." in refusal(answer)


async def test_a_row_that_lacks_a_column_further_down_costs_its_row(world: ScoreWorld) -> None:
    await register(world, [ROW, {"input_query": "q"}])
    async with job_tasks(world.config):
        result = (await batch(world)).json()["results"][BASE]
    assert [row["score"] for row in result["score_rows"]] == [7, None]
    assert result["score_rows"][1]["error"] == "The row has no `expected_answer`."


async def test_a_job_that_was_cancelled_says_so_and_keeps_what_was_scored(world: ScoreWorld) -> None:
    await register(world, numbered(2))
    waiting = asyncio.ensure_future(batch(world))
    while not (jobs := (await world.client.get("/v1/jobs")).json()["data"]):
        pass
    assert (await world.client.post(f"/v1/jobs/{jobs[0]['id']}/cancel")).status_code == 200
    async with job_tasks(world.config):
        assert "cancelled" in refusal(await waiting, 409)
    [job] = (await world.client.get("/v1/jobs")).json()["data"]
    assert (job["status"], job["result"]["errors"]) == ("cancelled", {BASE: 2})


async def test_a_stack_without_datasets_says_so(tmp_path: Path) -> None:
    async with score_world(tmp_path) as world:
        assert "datasetio" in refusal(await batch(world))
