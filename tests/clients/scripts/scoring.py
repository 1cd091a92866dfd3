"""Scoring as each client that has it calls it; the judge answers `Score: 4`."""

from typing import Any

from tests.clients.scripts.guarded import package
from tests.clients.scripts.harness import run

BASE = "llm-as-judge::base"
JUDGE = {
    "type": "llm_as_judge",
    "judge_model": "local/m",
    "prompt_template": "Rate {generated_answer} {as you like}.",
    "judge_score_regexes": [r"Score: (\d+)"],
    "aggregation_functions": ["average"],
}
ROWS = [{"input_query": "2+2?", "expected_answer": "4", "generated_answer": answer} for answer in ("4", "5")]


def client(url: str) -> Any:
    module, make = package()
    return make(module, url, "none")


def functions(url: str) -> None:
    stack = client(url)
    rows = {row.identifier: row for row in stack.scoring_functions.list()}
    assert {BASE, "basic::equality"} <= set(rows)
    assert rows["basic::equality"].params.aggregation_functions == ["accuracy"]
    shown = stack.scoring_functions.retrieve("basic::equality")
    assert (shown.provider_resource_id, shown.type) == ("equality", "scoring_function")


def score(url: str) -> None:
    results = (
        client(url).scoring.score(input_rows=ROWS, scoring_functions={"basic::equality": None, BASE: JUDGE}).results
    )
    assert [row["score"] for row in results["basic::equality"].score_rows] == [1.0, 0.0]
    assert results["basic::equality"].aggregated_results["accuracy"]["accuracy"] == 0.5
    assert [row["score"] for row in results[BASE].score_rows] == [4, 4]
    assert results[BASE].aggregated_results == {"average": {"average": 4.0}}


def register(url: str) -> None:
    stack = client(url)
    stack.scoring_functions.register(
        scoring_fn_id="mine", description="Mine.", return_type={"type": "string"}, params=JUDGE, provider_id="judge"
    )
    assert stack.scoring_functions.retrieve("mine").params.judge_model == "local/m"
    results = stack.scoring.score(input_rows=ROWS[:1], scoring_functions={"mine": None}).results
    assert results["mine"].score_rows[0]["score"] == "4"
    if hasattr(stack.scoring_functions, "unregister"):
        stack.scoring_functions.unregister("mine")
        assert "mine" not in {row.identifier for row in stack.scoring_functions.list()}


def score_batch(url: str) -> None:
    stack = client(url)
    source = {"type": "rows", "rows": [{"question": "q", "answer": "a", **row} for row in ROWS]}
    datasets = stack.datasets if hasattr(stack, "datasets") else stack.beta.datasets
    datasets.register(dataset_id="answers", purpose="eval/question-answer", source=source)
    answer = stack.scoring.score_batch(
        dataset_id="answers", scoring_functions={"basic::equality": None}, save_results_dataset=True
    )
    assert [row["score"] for row in answer.results["basic::equality"].score_rows] == [1.0, 0.0]
    rows = datasets.iterrows(dataset_id=answer.dataset_id).data
    assert [row["scores"]["basic::equality"]["score"] for row in rows] == [1.0, 0.0]


SCENARIOS = (functions, score, register, score_batch)

if __name__ == "__main__":
    run(SCENARIOS)
