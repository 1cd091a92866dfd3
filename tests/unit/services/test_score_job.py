"""What a job that scores comes to: a line for each row in the order of the dataset, and sums of those that have a score."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.apis.scoring import ScoreRequest
from core.frame.callers import ANONYMOUS, Call, Charge, UsageRow
from core.frame.types import JsonObject
from core.services.jobs.kind import JobFiles
from core.services.parts import Parts
from core.services.scoring.aggregation import aggregate
from core.services.scoring.job import NOT_SCORED, read_scores, score_job
from core.stores.jobs.port import Counts, Outcome
from tests.parts.ended_shards import Ended, finish_run
from tests.parts.job_bench import Bench, close_all

NO_PARTS = cast("Parts", SimpleNamespace(surfaces={}))
REQUEST: JsonObject = {
    "dataset_id": "d",
    "functions": {"a": None, "b": None},
    "aggregations": {"a": ["accuracy", "weighted_average"], "b": ["categorical_count"]},
    "save": False,
}
SCORES = st.fixed_dictionaries(
    {"a": st.fixed_dictionaries({"score": st.integers(0, 9), "weight": st.integers(1, 3)})},
    optional={
        "b": st.sampled_from(
            [
                {"score": None, "error": "It said nonsense."},
                {"score": None},
                {"score": "A"},
                {"score": "B", "error": "It hesitated."},
            ]
        )
    },
)
FAILED: JsonObject = {"": {"score": None, "error": "No."}}
ROWS = st.none() | st.just(FAILED) | SCORES


def failed(error: str) -> JsonObject:
    return {"score": None, "error": error}


async def finished(ended: Ended, outcome: Outcome | None, rows: int) -> tuple[JsonObject, list[JsonObject]]:
    firsts = [sum(map(len, ended[:number])) for number in range(len(ended))]
    run = await finish_run("score", {**REQUEST, "rows": rows}, [{"first": first} for first in firsts], ended, outcome)
    result = await score_job(NO_PARTS).finish(run)
    return result, [json.loads(line) async for line in read_scores(run.files)]


@given(st.lists(st.lists(ROWS, min_size=1, max_size=6), max_size=4), st.integers(0, 3))
def test_each_row_has_its_scores_whichever_have_ended(shards: list[list[JsonObject | None]], unplanned: int) -> None:
    ended = [[None if row is None else json.dumps(row).encode() for row in shard] for shard in shards]
    rows = [row for shard in shards for row in shard] + [None] * unplanned
    expected = list[JsonObject]()
    for row in rows:
        gone = None if row is not None and "" not in row else failed(NOT_SCORED if row is None else "No.")
        expected.append({"a": gone, "b": gone} if row is None or gone is not None else row)
    result, lines = asyncio.run(finished(ended, "cancelled", len(rows)))
    assert lines == expected
    columns = {name: [line[name] for line in expected if name in line] for name in ("a", "b")}
    assert result == {
        "rows": len(rows),
        "errors": {
            name: sum(row["score"] is None and "error" in row for row in column) for name, column in columns.items()
        },
        "aggregated_results": {
            "a": {name: aggregate(name, columns["a"]) for name in ("accuracy", "weighted_average")},
            "b": {"categorical_count": aggregate("categorical_count", columns["b"])},
        },
    }


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncGenerator[Bench]:
    yield Bench(tmp_path, score_job(NO_PARTS))
    await close_all()


async def test_rows_that_kill_whoever_reads_them_have_errors_and_nobody_is_asked(bench: Bench) -> None:
    job = await bench.service.create("score", Call(ANONYMOUS), {**REQUEST, "rows": 201})
    await bench.deliver("prepare")
    started = await bench.job(job)
    for number in range(5):
        for shard in range(2):
            now = bench.clock()
            await bench.store.lease_shard(started, shard, f"dead{number}", now=now, until=now + 1)
        bench.clock.now += 2
    await bench.until_idle()
    ended = await bench.job(job)
    assert ended.counts is not None
    assert ended.result is not None
    assert (ended.status, ended.counts.failed, ended.result["errors"]) == ("completed", 201, {"a": 201, "b": 201})
    lines: list[dict[str, Any]] = [json.loads(line) async for line in read_scores(JobFiles(bench.blobs, job.id))]
    assert {line[name]["error"] for line in lines for name in "ab"} == {
        "Several workers ended without a word while they had this row."
    }


class Settled:
    """A quota without an end, and what each row was settled with."""

    def __init__(self) -> None:
        self.tokens: list[int | None] = []
        self.orders: list[Any] = []

    async def admit(self, call: Call, tokens: int | None, requests: int = 1, order: object = None) -> "Settled":
        assert (call.principal, tokens, requests) == (ANONYMOUS, 0, 1)
        self.orders.append(order)
        return self

    async def settle(self, charge: Charge) -> None:
        assert not charge.further + charge.least
        self.tokens.append(charge.tokens)

    async def charge(self, call: Call, rows: Sequence[UsageRow], once: str = "") -> None:
        raise NotImplementedError

    async def release(self, handle: JsonObject) -> None:
        raise NotImplementedError

    def hand_over(self) -> None:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("functions", "judge"),
    [
        ({"a": None}, ""),
        ({"a": None, "b": {"judge_model": "j"}, "c": {}}, "j"),
        ({"a": {"judge_model": "j"}, "b": {"judge_model": "j"}}, "j"),
        ({"a": {"judge_model": "j"}, "b": {"judge_model": "k"}}, ""),
        ({"a": {"parsing_regexes": ["x"]}}, ""),
    ],
)
def test_one_judge_that_a_request_names_is_its_model(functions: dict[str, Any], judge: str) -> None:
    assert ScoreRequest.model_validate({"input_rows": [], "scoring_functions": functions}).judge_model == judge


@pytest.mark.parametrize(("used", "models"), [(0, {}), (5, {"j": 15})])
async def test_a_row_is_charged_what_judging_it_used_and_nothing_where_no_model_did(
    tmp_path: Path, used: int, models: dict[str, int]
) -> None:
    class Scoring:
        def __init__(self, call: Call) -> None:
            self._call = call

        async def prepare(self, functions: JsonObject) -> "Scoring":
            assert functions == request["functions"]
            return self

        async def score(self, row: JsonObject) -> JsonObject:
            if used:
                self._call.add_tokens(used)
            return {"b": {"score": row["n"]}}

    class Rows:
        async def read(self, dataset_id: str, start: int, count: int) -> list[JsonObject]:
            """A row a page."""
            assert dataset_id == "d"
            return [{"n": start}][: max(0, min(count, 3 - start))]

    request = {
        **REQUEST,
        "rows": 3,
        "functions": {"a": None, "b": {"judge_model": "j"}},
        "aggregations": {"b": ["median"]},
    }
    surfaces = {"row_scoring": Scoring, "dataset_rows": lambda _: Rows()}
    settled = Settled()
    bench = Bench(tmp_path, score_job(cast("Parts", SimpleNamespace(surfaces=surfaces))), admission=settled)
    job = await bench.service.create("score", Call(ANONYMOUS), request)
    await bench.until_idle()
    ended = await bench.job(job)
    assert ended.counts == Counts(3, 0, models)
    assert ended.result is not None
    assert ended.result["aggregated_results"] == {"b": {"median": {"median": 1}}}
    assert settled.tokens == [used] * 3
    assert [(order.model, order.body.input_rows) for order in settled.orders] == [("j", [{"n": n}]) for n in range(3)]
    await close_all()
