"""Evaluations on the wire: benchmarks, jobs with their numbers, results, and rows that are evaluated at once."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
import time
from typing import Any

import httpx
import pytest

from core.apis.evals import RunEval, RunEvalQuery
from core.config.load import interpret
from core.frame.callers import ANONYMOUS, Call
from core.resolution.resolve import resolve
from core.resolution.stack import Stack
from core.routing.policy import owner_list, owner_of
from core.services.erasure import Estate
from core.services.evals.erasing import erase as erase_of
from core.services.evals.numbering import MOST_KEYS
from core.services.evals.provided import RUN
from core.services.evals.request_agents import LEFT_SECONDS, NOTE
from core.services.evals.stack_evals import RESERVE
from core.services.jobs.kind import PrepareRun
from core.services.jobs.timing import Timing
from core.stores.connect import DOCUMENTS, JOBS
from core.stores.documents.port import Document
from tests.parts.eval_stack import (
    BENCHMARKS,
    EQUALITY,
    SUBSET,
    EvalWorld,
    agent_config,
    benchmark_of,
    config,
    end_of,
    eval_world,
    questions,
    result_of,
    run,
)
from tests.parts.job_bench import eventually
from tests.parts.job_tasks import job_worker
from tests.parts.line_stack import engine_for
from tests.parts.model_script import Round, write_script
from tests.parts.response_stack import MODEL

ADA = {"authorization": "Bearer ada"}
BOB = {"authorization": "Bearer bob"}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[EvalWorld]:
    async with eval_world(tmp_path) as world:
        yield world


@pytest.fixture
async def client(world: EvalWorld) -> httpx.AsyncClient:
    """Without a worker: what is made stays as it is."""
    return await world.client(evals={"wait_seconds": 0})


@asynccontextmanager
async def stack_of(world: EvalWorld, **how: Any) -> AsyncGenerator[Stack]:
    """Over the same state as the world's clients."""
    stack = await resolve(interpret(world.document(**how), {}), ["eval"], version="1")
    try:
        yield stack
    finally:
        await stack.close()


def refusal(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    return str(answer.json()["error"]["message"])


async def test_a_benchmark_is_evaluated_by_a_job_that_is_over_when_it_is_answered(world: EvalWorld) -> None:
    async with job_worker(world):
        client = await world.client()
        await benchmark_of(client, questions(5, wrong=1), functions=[EQUALITY, SUBSET])
        job = await run(client)
        assert (job["job_id"], job["status"], job["benchmark_id"]) == ("0", "completed", "quiz")
        assert job["progress"] == {"total": 5, "completed": 5, "failed": 0}
        assert job["usage"] == {"total_tokens": 60, "models": {MODEL: 60}}
        assert (job["cost"], job["error"], job["result_file_id"]) == (None, None, None)
        assert job["created_at"] <= job["started_at"] <= job["ended_at"]
        result = await result_of(client, job)
        assert [generation["generated_answer"] for generation in result["generations"]] == [
            f"user: q{n}" for n in range(5)
        ]
        assert set(result["scores"]) == {EQUALITY, SUBSET}
        told = result["scores"][EQUALITY]
        assert [row["score"] for row in told["score_rows"]] == [1.0, 1.0, 1.0, 1.0, 0.0]
        assert told["aggregated_results"]["accuracy"] == {"accuracy": 0.8, "num_correct": 4.0, "num_total": 5}
        again = await run(client, body=config(num_examples=2))
        assert (again["job_id"], again["progress"]["total"]) == ("1", 2)
        other = await client.get("/v1alpha/eval/benchmarks/quiz/jobs/1/result")
        assert len(other.json()["generations"]) == 2


async def test_numbers_count_within_a_benchmark_and_its_caller_and_none_is_given_twice(world: EvalWorld) -> None:
    client = await world.client(auth=True, evals={"wait_seconds": 0})
    await benchmark_of(client, questions(1), headers=ADA)
    await benchmark_of(client, questions(1), name="other", headers=ADA)
    jobs = await asyncio.gather(*(run(client, headers=ADA) for _ in range(8)))
    assert sorted(int(job["job_id"]) for job in jobs) == list(range(8))
    assert len({job["id"] for job in jobs}) == 8
    assert (await run(client, "other", headers=ADA))["job_id"] == "0"


async def test_an_evaluation_with_a_key_is_made_once(world: EvalWorld) -> None:
    client = await world.client(auth=True, evals={"wait_seconds": 0})
    await benchmark_of(client, questions(1), headers=ADA)
    same = [run(client, headers={**ADA, "idempotency-key": "k"}) for _ in range(6)]
    assert {job["job_id"] for job in await asyncio.gather(*same)} == {"0"}
    assert (await run(client, headers={**ADA, "idempotency-key": "l"}))["job_id"] == "1"
    assert (await run(client, headers=ADA))["job_id"] == "2"
    other = {"benchmark_config": config(num_examples=1)}
    for key, status in (("k", 409), ("ö", 400), ("x" * 256, 400)):
        headers = httpx.Headers({**ADA, "idempotency-key": key}, encoding="utf-8")
        assert (await client.post(f"{BENCHMARKS}/quiz/jobs", json=other, headers=headers)).status_code == status
    for number in range(MOST_KEYS):
        await run(client, headers={**ADA, "idempotency-key": f"m{number}"})
    assert (await run(client, headers={**ADA, "idempotency-key": "k"}))["job_id"] == str(3 + MOST_KEYS)


async def test_of_another_callers_evaluations_nothing_is_said(world: EvalWorld) -> None:
    client = await world.client(auth=True, evals={"wait_seconds": 0})
    await benchmark_of(client, questions(1), headers=ADA)
    job = await run(client, headers=ADA)
    path = f"{BENCHMARKS}/quiz/jobs/{job['job_id']}"
    for method, url in (("GET", path), ("DELETE", path), ("GET", f"{path}/result"), ("GET", f"{BENCHMARKS}/quiz")):
        assert (await client.request(method, url, headers=BOB)).status_code == 404
    refused = await client.post(f"{BENCHMARKS}/quiz/jobs", json={"benchmark_config": config()}, headers=BOB)
    assert refused.status_code == 404
    assert (await client.get(path, headers=ADA)).status_code == 200


async def test_a_job_that_is_not_there_is_not_found_whatever_is_asked_of_it(client: httpx.AsyncClient) -> None:
    await benchmark_of(client, questions(1))
    await run(client)
    for job_id in ("1", "00", "-1", "x", "9" * 30, "eval_1"):
        path = f"{BENCHMARKS}/quiz/jobs/{job_id}"
        for method, url in (("GET", path), ("DELETE", path), ("GET", f"{path}/result")):
            told = refusal(await client.request(method, url), 404)
            assert f"no evaluation `{job_id}` of yours. POST {BENCHMARKS}/quiz/jobs begins one" in told
    assert "none" in refusal(await client.get(f"{BENCHMARKS}/none/jobs/0"), 404)


async def test_a_result_before_the_end_is_a_conflict_that_says_when_to_ask_again(client: httpx.AsyncClient) -> None:
    await benchmark_of(client, questions(1))
    job = await run(client)
    assert (job["status"], job["progress"]["total"]) == ("scheduled", 0)
    early = await client.get(f"{BENCHMARKS}/quiz/jobs/0/result")
    assert "scheduled" in refusal(early, 409)
    assert early.headers["retry-after"].isdigit()


async def test_a_job_is_cancelled_once_and_once_more_and_what_was_not_evaluated_says_so(world: EvalWorld) -> None:
    client = await world.client(evals={"wait_seconds": 0})
    await benchmark_of(client, questions(2))
    await run(client)
    path = f"{BENCHMARKS}/quiz/jobs/0"
    for _ in range(2):
        assert (await client.delete(path)).status_code == 204
    async with job_worker(world):
        job = await end_of(client, (await client.get(path)).json())
    assert job["status"] == "cancelled"
    assert (await client.delete(path)).status_code == 204
    assert await result_of(client, job) == {
        "generations": [],
        "scores": {
            EQUALITY: {
                "score_rows": [],
                "aggregated_results": {"accuracy": {"accuracy": None, "num_correct": 0.0, "num_total": 0}},
            }
        },
    }


async def test_an_evaluation_that_is_retried_is_the_retry_from_then_on(world: EvalWorld) -> None:
    path = f"{BENCHMARKS}/quiz/jobs/0"
    async with job_worker(world):
        client = await world.client(evals={"wait_seconds": 0})
        await benchmark_of(client, [{"question": write_script(Round("late", held=True)), "answer": "late"}])
        first = await run(client)
        await client.delete(path)
        assert (await end_of(client, first))["status"] == "cancelled"
        retried = (await client.post(f"/v1/jobs/{first['id']}/retry")).json()
        assert retried["about"] == {"benchmark_id": "quiz", "number": "0"}
        assert "Ask for its result" in refusal(await client.get(f"{path}/result"), 409)
        world.model.release.set()
        job = await end_of(client, (await client.get(path)).json())
        result = await result_of(client, job)
    assert (job["job_id"], job["id"], job["status"]) == ("0", retried["id"], "completed")
    assert [generation["generated_answer"] for generation in result["generations"]] == ["late"]


async def test_what_was_evaluated_before_it_was_cancelled_is_kept(world: EvalWorld) -> None:
    rows = [*questions(3), {"question": write_script(Round("late", held=True)), "answer": "late"}]
    async with job_worker(world, Timing(checkpoint=0.2, grace=0.2)):
        client = await world.client(evals={"wait_seconds": 0})
        await benchmark_of(client, rows)
        job = await run(client)

        async def has_three() -> bool:
            return bool((await client.get(f"{BENCHMARKS}/quiz/jobs/0")).json()["progress"]["completed"] == 3)

        await eventually(has_three)
        await client.delete(f"{BENCHMARKS}/quiz/jobs/0")
        job = await end_of(client, job)
        result = await result_of(client, job)
    assert job["status"] == "cancelled"
    assert [generation["generated_answer"] for generation in result["generations"]] == [
        "user: q0",
        "user: q1",
        "user: q2",
        None,
    ]
    assert result["generations"][3]["error"]["code"] == "not_evaluated"
    scored = result["scores"][EQUALITY]
    assert [row["score"] for row in scored["score_rows"]] == [1.0, 1.0, 1.0, None]
    assert scored["aggregated_results"]["accuracy"]["num_total"] == 3


async def test_one_that_has_ended_is_not_cancelled(world: EvalWorld) -> None:
    async with job_worker(world):
        client = await world.client()
        await benchmark_of(client, questions(1))
        assert (await run(client))["status"] == "completed"
    told = refusal(await client.delete(f"{BENCHMARKS}/quiz/jobs/0"), 409)
    assert told == "The evaluation is completed: it cannot be cancelled. Ask for its result."


async def test_a_row_that_the_model_refuses_fails_alone_and_says_why(world: EvalWorld) -> None:
    rows = [*questions(2), {"question": write_script(Round(status=400)), "answer": "x"}]
    async with job_worker(world):
        client = await world.client()
        await benchmark_of(client, rows)
        job = await run(client)
        assert job["progress"] == {"total": 3, "completed": 2, "failed": 1}
        result = await result_of(client, job)
    assert "error" not in result["generations"][0]
    assert result["generations"][2]["generated_answer"] is None
    assert "told to refuse" in result["generations"][2]["error"]["message"]
    scored = result["scores"][EQUALITY]
    assert [row["score"] for row in scored["score_rows"]] == [1.0, 1.0, None]
    assert "told to refuse" in scored["score_rows"][2]["error"]
    assert scored["aggregated_results"]["accuracy"]["accuracy"] == 1.0


def rows_body(rows: list[dict[str, Any]], functions: tuple[str, ...] = (EQUALITY,), **more: Any) -> dict[str, Any]:
    """As 0.2's command line sends it, for one row."""
    sampling = {"temperature": 0.5, "max_tokens": 512, "top_p": 0.9, "repeat_penalty": 1.0}
    of_benchmark = config(candidate={"sampling_params": sampling}, type="benchmark", **more)
    return {"input_rows": rows, "scoring_functions": list(functions), "benchmark_config": of_benchmark}


async def test_rows_are_evaluated_at_once_as_the_command_line_of_the_family_asks(
    world: EvalWorld, client: httpx.AsyncClient
) -> None:
    await benchmark_of(client, questions(1))
    path = f"{BENCHMARKS}/quiz/evaluations"
    answer = await client.post(path, json=rows_body(questions(3, wrong=1), (EQUALITY, SUBSET)))
    assert answer.status_code == 200, answer.text
    result = answer.json()
    assert [generation["generated_answer"] for generation in result["generations"]] == [
        "user: q0",
        "user: q1",
        "user: q2",
    ]
    assert [row["score"] for row in result["scores"][EQUALITY]["score_rows"]] == [1.0, 1.0, 0.0]
    assert set(result["scores"]) == {EQUALITY, SUBSET}
    asked = world.model.chats[0]
    assert (asked["temperature"], asked["top_p"], asked["max_tokens"]) == (0.5, 0.9, 512)
    none = await client.post(path.replace("/v1/", "/v1alpha/"), json=rows_body([]))
    assert none.json()["generations"] == none.json()["scores"][EQUALITY]["score_rows"] == []


BAD_ROWS: tuple[tuple[dict[str, Any], str], ...] = (
    ({"answer": "x"}, "input_rows[1]: The row has no input"),
    ({"question": "q"}, "expected_answer"),
    ({"chat_completion_input": [{"role": "nobody"}], "expected_answer": ""}, "chat_completion_input"),
    ({"question": write_script(Round(status=400)), "answer": "x"}, "input_rows[1]: The model was told"),
)


async def test_a_row_that_cannot_be_evaluated_is_refused_by_its_number(client: httpx.AsyncClient) -> None:
    await benchmark_of(client, questions(1))
    for row, message in BAD_ROWS:
        answer = await client.post(f"{BENCHMARKS}/quiz/evaluations", json=rows_body([*questions(1), row]))
        assert message in refusal(answer, 400)
        assert answer.json()["error"]["param"].startswith(("input_rows[1]", "chat_completion_input"))


BAD_BENCHMARKS: tuple[tuple[dict[str, Any], str], ...] = (
    ({"dataset_id": "none"}, "there is no dataset `none`"),
    ({"scoring_functions": [EQUALITY, "none::such"]}, "none::such"),
    ({"scoring_functions": "all"}, "scoring_functions"),
    ({"scoring_functions": [EQUALITY] * 33}, "scoring_functions"),
    ({"dataset_id": ""}, "dataset_id"),
    ({"provider_id": "none"}, "none"),
    ({"metadata": 1}, "metadata"),
)


async def test_a_benchmark_of_what_is_not_there_is_refused(client: httpx.AsyncClient) -> None:
    await benchmark_of(client, questions(1))
    for change, message in BAD_BENCHMARKS:
        body = {"benchmark_id": "other", "dataset_id": "quiz-rows", "scoring_functions": [EQUALITY], **change}
        assert message in refusal(await client.post(BENCHMARKS, json=body), 400)
    assert (await client.get(f"{BENCHMARKS}/other")).status_code == 404


BAD_CONFIGS: tuple[tuple[dict[str, Any], str], ...] = (
    (config(candidate={"sampling_params": {"temperature": "warm"}}), "temperature"),
    (config(candidate={"sampling_params": {"max_tokens": -1}}), "max_tokens"),
    (config(candidate={"type": "person"}), "person"),
    (config(scoring_params={SUBSET: {"type": "basic"}}), f"no scoring function `{SUBSET}`; it has `{EQUALITY}`."),
    (config(scoring_params={EQUALITY: {"aggregation_functions": ["mode"]}}), "aggregation_functions"),
    (config(num_examples=0), "num_examples"),
    (config(num_examples="all"), "num_examples"),
    (agent_config(agent={"model": 1}), "model"),
    ({}, "eval_candidate"),
)


async def test_a_candidate_or_params_that_make_no_sense_are_refused_before_there_is_a_job(
    client: httpx.AsyncClient,
) -> None:
    await benchmark_of(client, questions(1))
    for body, message in BAD_CONFIGS:
        answer = await client.post(f"{BENCHMARKS}/quiz/jobs", json={"benchmark_config": body})
        assert message in refusal(answer, 400)
    unknown = await client.post(f"{BENCHMARKS}/quiz/jobs", json={"benchmark_config": config("none")})
    assert "none" in refusal(unknown, 404)
    assert (await run(client))["job_id"] == "0"


async def test_rows_beyond_what_one_request_may_have_are_refused_with_what_to_do(client: httpx.AsyncClient) -> None:
    await benchmark_of(client, questions(1))
    answer = await client.post(f"{BENCHMARKS}/quiz/evaluations", json=rows_body(questions(101)))
    assert "as a job" in refusal(answer, 400)


async def test_an_evaluation_is_waited_for_no_longer_than_the_call_has_time(world: EvalWorld) -> None:
    client = await world.client()
    await benchmark_of(client, questions(1))
    request = RunEval.model_validate({"benchmark_config": config()})
    async with stack_of(world, evals={"wait_seconds": 25}) as stack, asyncio.timeout(20):
        call = Call(ANONYMOUS, until=asyncio.get_running_loop().time() + RESERVE)
        job = await stack.surfaces["evals"](call).run_eval(request, "quiz", query=RunEvalQuery())
    assert job["status"] == "scheduled"


async def test_an_agent_is_evaluated_in_a_session_for_each_row_and_nothing_of_it_stays(world: EvalWorld) -> None:
    async with job_worker(world):
        client = await world.client()
        await benchmark_of(client, questions(2), functions=[SUBSET])
        job = await run(client, body=agent_config())
        assert (job["status"], job["progress"]["completed"]) == ("completed", 2), job
        result = await result_of(client, job)
        answers = [generation["generated_answer"] for generation in result["generations"]]
        assert answers == [f"system: Be brief.|user: q{n}" for n in range(2)]
        assert [row["score"] for row in result["scores"][SUBSET]["score_rows"]] == [1.0, 1.0]
        at_once = await client.post(
            f"{BENCHMARKS}/quiz/evaluations",
            json={"input_rows": questions(1), "scoring_functions": [], "benchmark_config": agent_config()},
        )
        assert at_once.json() == {"generations": [{"generated_answer": answers[0]}], "scores": {}}
        assert (await client.get("/v1/agents")).json()["data"] == []


async def test_of_an_agent_nothing_stays_whoever_died_over_its_job(world: EvalWorld) -> None:
    client, engine = await world.client(evals={"wait_seconds": 0}), await engine_for(world)
    await benchmark_of(client, questions(2))
    made = await engine.jobs.get((await run(client, body=agent_config()))["id"])
    kind, ended = engine.kinds["eval"], engine.kinds["eval"].ended
    assert made is not None
    assert ended is not None
    prepare = PrepareRun(made, engine.files(made), Call(made.principal))
    await kind.prepare(prepare)  # by a worker that died before it could say what it had made
    [part] = await kind.prepare(prepare)
    [agent] = (await client.get("/v1/agents")).json()["data"]
    assert agent["agent_id"] == part.source["agent"]
    session = await client.post(f"/v1/agents/{agent['agent_id']}/session", json={"session_name": "of a row"})
    await ended(replace(made, status="failed"))
    assert (await client.get("/v1/agents")).json()["data"] == []
    assert (await client.get(f"/v1/conversations/{session.json()['session_id']}")).status_code == 404
    await ended(replace(made, status="failed"))


async def test_an_agent_of_a_request_goes_whoever_died_over_it(world: EvalWorld) -> None:
    client = await world.client(auth=True)
    await benchmark_of(client, questions(1), headers=BOB)
    rows = [{"question": write_script(Round("late", held=True)), "answer": "late"}]
    body: dict[str, Any] = {"input_rows": rows, "scoring_functions": [], "benchmark_config": agent_config()}
    agent = {"agent_config": {"model": MODEL, "instructions": "Be brief."}}
    made = [await client.post("/v1/agents", json=agent, headers=ADA) for _ in range(2)]
    ids = [answer.json()["agent_id"] for answer in made]
    session = await client.post(f"/v1/agents/{ids[0]}/session", json={"session_name": "of a row"}, headers=ADA)

    async def agents(who: dict[str, str]) -> list[str]:
        return [agent["agent_id"] for agent in (await client.get("/v1/agents", headers=who)).json()["data"]]

    async with stack_of(world, auth=True) as stack:
        store = stack.stores.get(DOCUMENTS)
        for agent_id, age in zip(ids, (LEFT_SECONDS + 60, LEFT_SECONDS - 60), strict=True):
            await store.create(Document(NOTE, agent_id, {}, created=int(time.time()) - age))
        asked = asyncio.ensure_future(client.post(f"{BENCHMARKS}/quiz/evaluations", json=body, headers=BOB))
        await eventually(lambda: asyncio.sleep(0, bool(world.model.chats)))
        [kept], [own] = await agents(ADA), await agents(BOB)
        assert kept == ids[1]
        notes = (await store.page(NOTE, limit=9)).documents
        assert ([note.id for note in notes], notes[1].owner is None) == ([kept, own], False)
        assert (await client.get(f"/v1/conversations/{session.json()['session_id']}", headers=ADA)).status_code == 404
        world.model.release.set()
        assert (await asked).json()["generations"] == [{"generated_answer": "late"}]
        assert (await agents(ADA), await agents(BOB)) == ([kept], [])
        assert [note.id for note in (await store.page(NOTE, limit=9)).documents] == [kept]


async def test_a_judge_reads_what_was_generated_and_its_tokens_are_counted_apart(world: EvalWorld) -> None:
    judge = "llm-as-judge::base"
    params = {
        "type": "llm_as_judge",
        "judge_model": MODEL,
        "prompt_template": "Rate: {generated_answer}",
        "judge_score_regexes": [r"Rate: user: q(\d)"],
        "aggregation_functions": ["average"],
    }
    prices = [{"provider_id": "local", "model": "*", "price": {"input": 3, "output": 3}}]
    async with job_worker(world, usage={"prices": prices}):
        client = await world.client()
        await benchmark_of(client, questions(2), functions=[judge])
        job = await run(client, body=config(scoring_params={judge: params}))
        result = await result_of(client, job)
    assert [float(row["score"]) for row in result["scores"][judge]["score_rows"]] == [0.0, 1.0], result
    assert result["scores"][judge]["aggregated_results"] == {"average": {"average": 0.5}}
    models = job["usage"]["models"]
    assert set(models) == {MODEL, "judges"}
    assert models["judges"] > 0
    assert job["cost"] == job["usage"]["total_tokens"] * 3 / 1_000_000


async def test_rows_are_charged_to_whoever_evaluates_or_scores_them(world: EvalWorld) -> None:
    how: dict[str, Any] = {"auth": True, "quota": {"authenticated_max_tokens": 1_000_000}}
    client, used = await world.client(**how), list[tuple[int, int]]()

    async def note() -> None:
        left = (await client.get("/v1/quota", headers=ADA)).json()
        used.append((left["requests"]["used"], left["tokens"]["used"]))

    async with job_worker(world, **how):
        await benchmark_of(client, questions(3), headers=ADA)
        await note()
        assert (await run(client, headers=ADA))["status"] == "completed"
        await note()
        await client.post(f"{BENCHMARKS}/quiz/evaluations", json=rows_body(questions(4)), headers=ADA)
        await note()
        rows = [{"expected_answer": "a", "generated_answer": "a"}] * 2
        body = {"input_rows": rows, "scoring_functions": {EQUALITY: None}}
        await client.post("/v1/scoring/score", json=body, headers=ADA)
        await note()
        nobody = (await client.get("/v1/quota", headers=BOB)).json()
    changes = [(later[0] - one[0], later[1] - one[1]) for one, later in pairwise(used)]
    assert changes == [(4, 36), (4, 48), (2, 0)]
    assert nobody["tokens"]["used"] == 0


@pytest.mark.exact
async def test_a_large_result_is_a_file_too_and_comes_whole(world: EvalWorld) -> None:
    system = {"role": "system", "content": "x" * 200_000}
    async with job_worker(world):
        client = await world.client()
        await benchmark_of(client, questions(30), functions=[])
        job = await end_of(client, await run(client, body=config(candidate={"system_message": system})))
        assert job["status"] == "completed", job
        result = await result_of(client, job)
        assert len(result["generations"]) == 30
        file = await client.get(f"/v1/files/{job['result_file_id']}/content")
        assert file.json() == result
        kept = (await client.get(f"/v1/files/{job['result_file_id']}")).json()
        assert (kept["purpose"], kept["bytes"] > 5 * 1024 * 1024) == ("evals", True)


async def test_a_benchmark_that_the_run_config_declares_is_evaluated(world: EvalWorld) -> None:
    declared = [{"benchmark_id": "own", "dataset_id": "own-rows", "scoring_functions": [EQUALITY]}]
    rows = {
        "dataset_id": "own-rows",
        "purpose": "eval/question-answer",
        "source": {"type": "rows", "rows": questions(2)},
    }
    how: dict[str, Any] = {"benchmarks": declared, "datasets": [rows]}
    async with job_worker(world, **how):
        client = await world.client(**how)
        listed = (await client.get("/v1alpha/eval/benchmarks")).json()["data"]
        assert [(each["identifier"], each["type"], each["metadata"]) for each in listed] == [("own", "benchmark", {})]
        job = await run(client, "own")
        assert job["progress"] == {"total": 2, "completed": 2, "failed": 0}


async def test_results_outlive_the_benchmark(world: EvalWorld) -> None:
    async with job_worker(world):
        client = await world.client()
        await benchmark_of(client, questions(1))
        job = await run(client)
        assert (await client.delete(f"{BENCHMARKS}/quiz")).status_code in {200, 204}
        assert len((await result_of(client, job))["generations"]) == 1
        gone = await client.post(f"{BENCHMARKS}/quiz/jobs", json={"benchmark_config": config()})
        assert gone.status_code == 404


async def test_rows_that_are_gone_by_the_time_are_errors_of_their_own(world: EvalWorld) -> None:
    client = await world.client(evals={"wait_seconds": 0})
    await benchmark_of(client, questions(2))
    job = await run(client)
    await client.delete("/v1/datasets/quiz-rows")
    async with job_worker(world):
        job = await end_of(client, job)
    assert job["status"] == "failed"
    assert (job["error"]["code"], "quiz-rows" in job["error"]["message"]) == ("prepare_failed", True)
    assert job["created_at"] <= job["ended_at"]
    assert "quiz-rows" in refusal(await client.get(f"{BENCHMARKS}/quiz/jobs/0/result"), 409)


async def test_what_a_principal_keeps_of_evaluations_is_removed(world: EvalWorld) -> None:
    client = await world.client(auth=True, evals={"wait_seconds": 0})
    await benchmark_of(client, questions(1), headers=ADA)
    job = await run(client, headers=ADA)
    async with stack_of(world, auth=True) as stack:
        made = await stack.stores.get(JOBS).get(job["id"])
        assert made is not None
        owner = owner_list(made.principal)
        erase = erase_of(stack)
        assert erase is not None
        documents = stack.stores.get(DOCUMENTS)
        assert len((await documents.page("eval_count", owner, limit=9)).documents) == 1
        bob: dict[str, Any] = {"principal": "bob", "attributes": {}}
        await documents.create(Document(NOTE, "agent_ada", {}, owner=owner_of(made.principal)))
        await documents.create(Document(NOTE, "agent_bob", {}, owner=bob))
        await documents.create(Document(RUN, "run", {}, owner))
        async for pieces in erase(Estate(made.principal, lambda _: False)):
            assert [await piece.remove() for piece in pieces] == [True] * len(pieces)
        for collection in ("eval_count", RUN):
            assert not (await documents.page(collection, owner, limit=9)).documents
        assert [note.id for note in (await documents.page(NOTE, limit=9)).documents] == ["agent_bob"]
