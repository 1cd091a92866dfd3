"""A dataset that is scored under workers that are processes, and die: every row has one score, in its order, and the counts are exact."""

import asyncio
from pathlib import Path
import time

import httpx
import pytest

from tests.parts.batch_place import MODEL, BatchPlace
from tests.parts.batch_process import Settings
from tests.parts.live_stack import client_of
from tests.parts.row_upstream import RowUpstream, serving
from tests.parts.score_stack import BASE
from tests.parts.worker_crew import Crew

pytestmark = pytest.mark.exact
ROWS = 600
SECONDS = 300  # a slow machine is no failure
PER_KILL = 45  # rows of two shards that are asked again
ASK = {
    "judge_model": MODEL,
    "prompt_template": "{generated_answer}",
    "judge_score_regexes": [r"^(\d+)$"],
    "aggregation_functions": ["average", "median"],
}


async def score(client: httpx.AsyncClient) -> httpx.Response:
    """As a client that asks again where its time is over."""
    body = {"dataset_id": "d", "scoring_functions": {BASE: ASK}, "save_results_dataset": True}
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        answer = await client.post("/v1/scoring/score-batch", json=body, timeout=90)
        if answer.status_code != 504:
            return answer
    raise AssertionError


async def kill(crew: Crew) -> None:
    while True:
        await asyncio.sleep(3)
        await asyncio.to_thread(crew.kill_one)


async def register(client: httpx.AsyncClient) -> None:
    rows = [{"question": "q", "answer": "a", "generated_answer": str(number)} for number in range(ROWS)]
    body = {"dataset_id": "d", "purpose": "eval/question-answer", "source": {"type": "rows", "rows": rows}}
    assert (await client.post("/v1/datasets", json=body)).status_code == 200


async def score_under_kills(client: httpx.AsyncClient, crew: Crew) -> httpx.Response:
    crew.start()
    killing = asyncio.create_task(kill(crew))
    try:
        return await score(client)
    finally:
        killing.cancel()
        await asyncio.gather(killing, return_exceptions=True)
        crew.stop()


async def test_a_dataset_is_scored_once_though_workers_die(tmp_path: Path) -> None:
    place = BatchPlace(tmp_path)
    with serving(RowUpstream(0.1, 0.4)) as upstream:
        document = place.document(upstream.base)
        document["apis"].append("scoring")
        judge = {"provider_id": "judge", "provider_type": "inline::llm-as-judge", "config": {}}
        document["providers"]["scoring"] = [judge]
        crew = Crew([Settings(place.write("run.json", document))] * 2, tmp_path / "workers.log")
        async with client_of(document) as client:
            await register(client)
            answer = await score_under_kills(client, crew)
            assert answer.status_code == 200, answer.text
            result, saved = answer.json()["results"][BASE], answer.json()["dataset_id"]
            [job] = (await client.get("/v1/jobs", params={"kind": "score"})).json()["data"]
            page = (await client.get(f"/v1/datasetio/iterrows/{saved}")).json()["data"]
    print(f"\n{ROWS} rows, {crew.kills} kills: asked {upstream.asked.total()} ({upstream.again} again)")
    assert crew.kills > 0
    assert [row["score"] for row in result["score_rows"]] == list(range(ROWS))
    average = sum(range(ROWS)) / ROWS
    assert result["aggregated_results"] == {"average": {"average": average}, "median": {"median": average}}
    assert job["progress"] == {"total": ROWS, "completed": ROWS, "failed": 0}
    assert [row["scores"][BASE]["score"] for row in page] == list(range(ROWS))
    assert upstream.again <= PER_KILL * crew.kills
