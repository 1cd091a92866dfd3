"""The job of an evaluation over a dataset that shrinks, fails for a moment, or kills whoever reads it: each row has its line."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field
from itertools import count
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.apis.evals import AgentCandidate, EvaluateRows
from core.apis.files import MadeFile
from core.apis.inference import most_tokens
from core.errors import ApiError, NotFound, UpstreamThrottled
from core.frame.callers import ANONYMOUS, Call, UsageRow
from core.frame.content import MOST_IN_ANSWER
from core.frame.types import JsonObject
from core.services.evals.candidates import AskedAgent
from core.services.evals.job.kind import eval_job
from core.services.jobs.admission import Admission, Ticket, Unlimited
from core.services.parts import Parts
from core.stores.jobs.port import Counts, Job, Outcome
from tests.parts.ended_shards import Ended, finish_run
from tests.parts.job_bench import Bench, close_all


@dataclass
class Rows:
    """Those of a dataset that said to have `said` of them; `fails` are raised by the next reads."""

    said: int
    there: int
    fails: list[ApiError] = field(default_factory=list[ApiError])
    reads: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    async def count(self, dataset_id: str) -> int:
        assert dataset_id == "quiz"
        return self.said

    async def read(self, dataset_id: str, start: int, count: int) -> Sequence[JsonObject]:
        assert dataset_id == "quiz"
        self.reads.append((start, count))
        if self.fails:
            raise self.fails.pop()
        return [{"question": f"q{number}"} for number in range(start, min(start + count, self.there))]


class Echo:
    """The surface of models: what a user says."""

    async def chat_completion(self, request: Any) -> JsonObject:
        return {"choices": [{"message": {"content": request.messages[-1]["content"]}}]}


CANDIDATE = {"type": "model", "model": "m", "sampling_params": {}}


@pytest.fixture(autouse=True)
async def _stores() -> AsyncGenerator[None]:
    yield
    await close_all()


class Ledger:
    """What is asked for each row, of a quota without an end."""

    def __init__(self) -> None:
        self.orders: list[tuple[int | None, Any]] = []

    async def admit(self, call: Call, tokens: int | None, requests: int = 1, order: Any = None) -> Ticket:
        self.orders.append((tokens, order))
        return await Unlimited().admit(call, tokens, requests, order)

    async def charge(self, call: Call, rows: Sequence[UsageRow], once: str = "") -> None:
        raise NotImplementedError

    async def release(self, handle: JsonObject) -> None:
        raise NotImplementedError


def bench_of(folder: Path, rows: Rows, admission: Admission | None = None) -> Bench:
    surfaces = {"dataset_rows": lambda _: rows, "inference": lambda _: Echo()}
    parts = SimpleNamespace(surfaces=surfaces, providers=lambda _: {})
    return Bench(folder, eval_job(cast("Parts", parts)), admission=admission or Unlimited())


async def create(bench: Bench, **config: Any) -> Job:
    request = {
        "benchmark_id": "quiz",
        "provider_id": "stack",
        "number": "0",
        "dataset_id": "quiz",
        "functions": {},
        "benchmark_config": {"eval_candidate": CANDIDATE, **config},
    }
    return await bench.service.create("eval", Call(ANONYMOUS), request)


async def generations(bench: Bench, job: Job) -> list[JsonObject]:
    key = f"jobs/{job.id}/result.json"
    content = b"".join([chunk async for chunk in bench.blobs.read(key)])
    result: JsonObject = json.loads(content)
    assert result["scores"] == {}
    assert (await bench.job(job)).result == {"result": "result.json", "bytes": len(content)}
    return cast("list[JsonObject]", result["generations"])


def answered(*numbers: int) -> list[JsonObject]:
    return [{"generated_answer": f"q{number}"} for number in numbers]


async def test_rows_are_in_the_order_of_the_dataset_however_many_shards_they_are(tmp_path: Path) -> None:
    rows = Rows(450, 450)
    bench = bench_of(tmp_path, rows)
    job, some = await create(bench), await create(bench, num_examples=201)
    await bench.until_idle()
    assert await generations(bench, job) == answered(*range(450))
    assert await generations(bench, some) == answered(*range(201))
    assert sorted(rows.reads) == [(0, 200), (0, 200), (200, 1), (200, 200), (400, 50)]


async def test_limits_know_what_the_candidate_is_asked_for_each_row_before_it_is(tmp_path: Path) -> None:
    ledger = Ledger()
    bench = bench_of(tmp_path, Rows(3, 2), ledger)
    sampling = {"strategy": {"type": "greedy"}, "max_tokens": 9}
    await create(bench, eval_candidate={**CANDIDATE, "sampling_params": sampling})
    await bench.until_idle()
    asked = [(tokens, order.model, order.body.messages[-1]["content"]) for tokens, order in ledger.orders if order]
    assert sorted(asked) == [(9, "m", "q0"), (9, "m", "q1")]
    assert [tokens for tokens, order in ledger.orders if order is None] == [0]  # of a row that is gone


def test_an_agent_is_asked_by_its_model_with_its_instructions_and_what_users_say() -> None:
    config = {"model": "m", "instructions": "Be brief.", "sampling_params": {"max_tokens": 7}}
    candidate = AgentCandidate.model_validate({"type": "agent", "config": config})
    request = AskedAgent(cast("Parts", None), candidate, "agent_1").request({"question": "Why?"})
    assert (request.model, most_tokens(request)) == ("m", 7)
    assert [message["content"] for message in request.messages] == ["Be brief.", "Why?"]
    rows = EvaluateRows.model_validate(
        {"input_rows": [], "scoring_functions": [], "benchmark_config": {"eval_candidate": candidate.model_dump()}}
    )
    assert rows.candidate_model == "m"


@pytest.mark.parametrize("fails", [[], [NotFound("It is gone.")]], ids=["rows", "dataset"])
async def test_rows_that_are_gone_by_the_time_are_errors_of_their_own(tmp_path: Path, fails: list[ApiError]) -> None:
    bench = bench_of(tmp_path, Rows(3, 2, list(fails)))
    job = await create(bench)
    await bench.until_idle()
    gone = {"code": "row_gone", "message": "The dataset has no such row any more."}
    there = [] if fails else [0, 1]
    lost = [{"generated_answer": None, "error": gone}] * (3 - len(there))
    assert await generations(bench, job) == [*answered(*there), *lost]
    assert (await bench.job(job)).counts == Counts(len(there), len(lost))


@pytest.mark.parametrize("failure", [ApiError("It broke."), UpstreamThrottled("It is busy.")])
async def test_a_read_that_fails_for_a_moment_costs_no_row(tmp_path: Path, failure: ApiError) -> None:
    rows = Rows(3, 3, [failure])
    bench = bench_of(tmp_path, rows)
    job = await create(bench)
    await bench.until_idle()
    assert await generations(bench, job) == answered(0, 1, 2)
    assert rows.reads == [(0, 3)] * 2


async def test_rows_that_kill_whoever_reads_them_are_errors_and_nobody_is_asked(tmp_path: Path) -> None:
    rows = Rows(2, 2)
    bench = bench_of(tmp_path, rows)
    job = await create(bench)
    await bench.deliver("prepare")
    started = await bench.job(job)
    for number in range(5):
        now = bench.clock()
        await bench.store.lease_shard(started, 0, f"dead{number}", now=now, until=now + 1)
        bench.clock.now += 2
    await bench.until_idle()
    assert [shard.done for shard in await bench.shards(job)] == [0b11]
    assert [line["error"]["code"] for line in await generations(bench, job)] == ["worker_lost"] * 2
    assert rows.reads == []


async def test_a_stack_without_datasets_says_so(tmp_path: Path) -> None:
    parts = SimpleNamespace(surfaces={}, providers=lambda _: {})
    bench = Bench(tmp_path, eval_job(cast("Parts", parts)))
    job = await create(bench)
    await bench.until_idle()
    failed = await bench.job(job)
    assert (failed.status, "no datasets" in failed.reason) == ("failed", True)


class Marks:
    """Functions that give every row 1, and count those that have a score; `prepare` raises `fails`."""

    def __init__(self, fails: ApiError | None = None) -> None:
        self._fails = fails

    async def prepare(self, functions: JsonObject) -> "Marks":
        assert functions == {"a": None, "b": {"x": 1}}
        if self._fails is not None:
            raise self._fails
        return self

    def aggregate(self, function_id: str, rows: Sequence[JsonObject]) -> JsonObject:
        return {function_id: sum(row["score"] is not None for row in rows)}


async def finished(ended: Ended, outcome: Outcome | None, scoring: Marks) -> JsonObject:
    parts = SimpleNamespace(surfaces={"row_scoring": lambda _: scoring})
    request = {"functions": {"a": None, "b": {"x": 1}}, "benchmark_config": {"eval_candidate": CANDIDATE}}
    run = await finish_run("eval", request, [{"start": 0}] * len(ended), ended, outcome)
    assert (await eval_job(cast("Parts", parts)).finish(run))["result"] == "result.json"
    return cast("JsonObject", json.loads(b"".join([chunk async for chunk in run.files.read("result.json")])))


@given(
    st.lists(st.lists(st.sampled_from(["scored", "failed", None]), min_size=1, max_size=6), max_size=4),
    st.sampled_from([None, "cancelled"]),
)
def test_each_row_has_its_line_in_the_result_whichever_have_ended(
    shards: list[list[str | None]], outcome: Outcome | None
) -> None:
    numbers, ended, expected = count(), list[list[bytes | None]](), list[JsonObject]()
    for shard in shards:
        ended.append([])
        for how, number in zip(shard, numbers, strict=False):
            line: JsonObject = {"generation": {"generated_answer": number}, "scores": {"a": {"score": number}}}
            if how == "failed":
                line = {"error": {"code": "refused", "message": f"No {number}."}}
            ended[-1].append(None if how is None else json.dumps(line).encode())
            error = {"code": "worker_lost"} if outcome is None else {"code": "not_evaluated"}
            expected.append(line if how else {"error": error})
    result = asyncio.run(finished(ended, outcome, Marks()))
    assert len(result["generations"]) == len(expected)
    for line, generation, a, b in zip(
        expected, result["generations"], *(result["scores"][name]["score_rows"] for name in "ab"), strict=True
    ):
        if "error" not in line:
            assert (generation, a, b) == (line["generation"], line["scores"]["a"], {"score": None})
            continue
        assert generation["generated_answer"] is None
        assert generation["error"].items() >= line["error"].items()
        assert a == b == {"score": None, "error": generation["error"]["message"]}
    assert result["scores"]["a"]["aggregated_results"] == {"a": sum("scores" in line for line in expected)}
    assert result["scores"]["b"]["aggregated_results"] == {"b": 0}


class Files:
    """The surface of files, of which what jobs use is there."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[MadeFile, bytes]] = {}

    async def keep(self, file: MadeFile, content: AsyncIterator[bytes]) -> None:
        self.kept[file.file_id] = file, b"".join([chunk async for chunk in content])


async def test_a_result_of_more_than_an_answer_holds_is_a_file_too_where_there_are_files() -> None:
    files, wide = Files(), json.dumps({"generation": {"generated_answer": "x" * MOST_IN_ANSWER}, "scores": {}}).encode()
    for line, surfaces, made in (
        (wide, {"files": lambda _: files}, 1),
        (wide, {}, 0),
        (b'{"generation":{},"scores":{}}', {"files": lambda _: files}, 0),
    ):
        request = {"functions": {}, "benchmark_config": {"eval_candidate": CANDIDATE}}
        run = await finish_run("eval", request, [{"start": 0}], [[line]], None)
        result = await eval_job(cast("Parts", SimpleNamespace(surfaces=surfaces))).finish(run)
        assert ("result_file_id" in result) == bool(made)
        if made:
            file, content = files.kept.pop(result["result_file_id"])
            assert content == b"".join([chunk async for chunk in run.files.read("result.json")])
            assert (file.purpose, file.filename, len(content)) == ("evals", "job_result.json", result["bytes"])
    assert not files.kept


async def test_a_function_that_is_gone_by_the_time_aggregates_nothing_and_one_that_cannot_be_asked_is_asked_again() -> (
    None
):
    line = json.dumps({"generation": {}, "scores": {"a": {"score": 1}}}).encode()
    result = await finished([[line]], None, Marks(NotFound("It is gone.")))
    assert result["scores"]["a"] == {"score_rows": [{"score": 1}], "aggregated_results": {}}
    with pytest.raises(ApiError, match="broke"):
        await finished([[line]], None, Marks(ApiError("It broke.")))
