"""Shields where models are asked by evaluations and judges: what a row says, what is counted, and who is charged."""

from collections.abc import AsyncGenerator
import json
from pathlib import Path
from typing import Any, Final, override

import httpx
import pytest

from core.services.inference.shielded import REFUSAL
from tests.parts.eval_stack import (
    BENCHMARKS,
    SUBSET,
    EvalWorld,
    agent_config,
    benchmark_of,
    config,
    eval_world,
    questions,
    result_of,
    run,
)
from tests.parts.guarded_stack import CHATS, WORD, llama_reply
from tests.parts.job_tasks import job_worker
from tests.parts.model_script import Round
from tests.parts.response_stack import MODEL
from tests.parts.upstream import FakeUpstream, running

ADA: Final = {"authorization": "Bearer ada"}
GUARDED: Final = "guarded"
JUDGE: Final = "llm-as-judge::base"
PARAMS: Final[dict[str, Any]] = {
    "type": "llm_as_judge",
    "judge_model": GUARDED,
    "prompt_template": "Rate: {generated_answer}",
    "judge_score_regexes": [r"Rate: \D*(\d)"],
    "aggregation_functions": ["average"],
}
GUARD_TOKENS: Final = 2
"""That the guard's double says each judgement has used."""


class GuardedWorld(EvalWorld):
    """The model `guarded` has a guard of both sides, which knows one word."""

    guard: FakeUpstream

    @override
    def document(self, **how: Any) -> dict[str, Any]:
        how = {"auth": True, "quota": {"authenticated_max_tokens": 1_000_000}, **how}
        document = super().document(**how)
        guards = {"provider_type": "remote::vllm", "config": {"url": f"{self.guard.url}/v1"}}
        document["providers"]["inference"] += [{"provider_id": "guards", **guards}]
        safety = {"provider_id": "llama", "provider_type": "inline::llama-guard", "config": {}}
        document["providers"]["safety"] = [safety]
        document["apis"] = [*document["apis"], "safety"]
        shields = {"input_shields": ["guard"], "output_shields": ["guard"]}
        document["models"] += [
            {"model_id": "guard", "provider_id": "guards", "provider_model_id": "guard"},
            {"model_id": GUARDED, "provider_id": "local", "provider_model_id": "g", "metadata": shields},
        ]
        document["shields"] = [{"shield_id": "guard", "provider_id": "llama", "provider_shield_id": "guard"}]
        return document


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[GuardedWorld]:
    guard = FakeUpstream(models=[{"id": "guard"}], replies={CHATS: llama_reply(WORD)})
    async with running(guard), eval_world(tmp_path) as plain:
        world = GuardedWorld(plain.folder, plain.model, plain.server, plain.engines, plain.opened)
        world.guard = guard
        yield world


async def spent(client: httpx.AsyncClient) -> int:
    return int((await client.get("/v1/quota", headers=ADA)).json()["tokens"]["used"])


async def test_a_candidate_that_refuses_is_scored_by_what_its_users_get(world: GuardedWorld) -> None:
    prompt = json.dumps({"content": WORD})
    rows = [
        *questions(1),
        {"question": WORD, "answer": WORD},
        {"completion_input": prompt, "answer": REFUSAL},
    ]
    async with job_worker(world):
        client = await world.client()
        await benchmark_of(client, rows, functions=[SUBSET], headers=ADA)
        before = await spent(client)
        job = await run(client, body=config(GUARDED), headers=ADA)
        result = await result_of(client, job, **ADA)
        used = await spent(client) - before
    refused = {"generated_answer": REFUSAL, "refused": True}
    assert result["generations"] == [{"generated_answer": "user: q0"}, refused, refused]
    assert [row["score"] for row in result["scores"][SUBSET]["score_rows"]] == [1, 0, 1]
    assert job["progress"] == {"total": 3, "completed": 3, "failed": 0}
    assert len(world.model.chats) == 1
    assert len(world.guard.seen) == 4
    assert used == job["usage"]["models"][GUARDED] > 4 * GUARD_TOKENS
    world.model.queue.append(Round(WORD))
    body = {"input_rows": questions(1), "scoring_functions": [SUBSET], "benchmark_config": config(GUARDED)}
    answer = await client.post(f"{BENCHMARKS}/quiz/evaluations", json=body, headers=ADA)
    assert (answer.json()["generations"], len(world.model.chats)) == ([refused], 2)


async def test_what_a_judge_refuses_is_an_error_of_its_row_which_is_not_asked_again(world: GuardedWorld) -> None:
    client = await world.client()
    answers = ["5", WORD, "7"]
    rows = [{"input_query": "q", "expected_answer": "a", "generated_answer": answer} for answer in answers]
    body = {"input_rows": rows, "scoring_functions": {JUDGE: PARAMS}}
    before = await spent(client)
    answer = await client.post("/v1/scoring/score", json=body, headers=ADA)
    assert answer.status_code == 200, answer.text
    result = answer.json()["results"][JUDGE]
    assert [row["score"] for row in result["score_rows"]] == [5, None, 7]
    assert result["score_rows"][1]["error"].endswith(f"refused with: {REFUSAL}")
    assert (result["errors"], result["aggregated_results"]) == (1, {"average": {"average": 6.0}})
    assert len(world.model.chats) == 2
    assert len(world.guard.seen) == 5
    assert await spent(client) - before > 5 * GUARD_TOKENS
    world.model.queue.append(Round(f"{WORD} 9"))
    body["input_rows"] = rows[:1]
    [row] = (await client.post("/v1/scoring/score", json=body, headers=ADA)).json()["results"][JUDGE]["score_rows"]
    assert (row["score"], WORD in str(row), REFUSAL in row["error"]) == (None, False, True)
    assert len(world.model.chats) == 3


async def test_an_evaluation_counts_a_refused_judgement_and_its_guard_s_tokens(world: GuardedWorld) -> None:
    async with job_worker(world):
        client = await world.client()
        await benchmark_of(client, [*questions(1), {"question": WORD, "answer": "a"}], functions=[JUDGE], headers=ADA)
        before = await spent(client)
        job = await run(client, body=config(scoring_params={JUDGE: PARAMS}), headers=ADA)
        result = await result_of(client, job, **ADA)
        used = await spent(client) - before
    assert [generation["generated_answer"] for generation in result["generations"]] == ["user: q0", f"user: {WORD}"]
    judged, refused = result["scores"][JUDGE]["score_rows"]
    assert (judged["score"], refused["score"], REFUSAL in refused["error"]) == (0, None, True)
    models = job["usage"]["models"]
    assert set(models) == {MODEL, "judges"}
    assert (sum(models.values()), models["judges"]) == (used, used - models[MODEL])
    assert len(world.guard.seen) == 3


async def test_an_agent_that_refuses_is_scored_by_what_its_users_get(world: GuardedWorld) -> None:
    client = await world.client()
    body = {"input_rows": [{"question": WORD, "answer": "a"}], "scoring_functions": [SUBSET]}
    await benchmark_of(client, questions(1), functions=[SUBSET], headers=ADA)
    body |= {"benchmark_config": agent_config(agent={"model": GUARDED})}
    answer = await client.post(f"{BENCHMARKS}/quiz/evaluations", json=body, headers=ADA)
    assert answer.status_code == 200, answer.text
    [generation] = answer.json()["generations"]
    assert generation == {"generated_answer": REFUSAL}  # turns do not say why
