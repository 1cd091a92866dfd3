"""The functions of autoevals over models of this stack: a real autoevals, and a judge that calls the function which it is given."""

from collections.abc import AsyncIterator, Callable
from itertools import permutations
import json
from pathlib import Path
from typing import Any

from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.providers.braintrust.assignment import best_total
from core.providers.braintrust.rows import ROWS
from tests.parts.score_stack import FUNCTIONS, JUDGE, ScoreWorld, score_world
from tests.parts.upstream import CHAT, EMBEDDINGS, status

ROW = {
    "input_query": "Capital of France?",
    "expected_answer": "Paris",
    "generated_answer": "Paris",
    "context": ["Paris is the capital.", "It is big."],
}
PARAMS = {"judge_model": JUDGE, "embedding_model": "embedding"}
ARGUMENTS: dict[str, list[Any]] = {
    "factuality": [{"choice": "B", "reasons": "More."}],
    "answer-correctness": [{"TP": ["a"], "FP": ["b"], "FN": ["c"]}],
    "answer-relevancy": [{"question": "Capital of France?", "noncommittal": 0}],
    "answer-similarity": [],
    "faithfulness": [
        {"statements": ["a", "b"]},
        {"faithfulness": [{"statement": s, "verdict": v, "reason": ""} for s, v in (("a", 1), ("b", 0))]},
    ],
    "context-entity-recall": [{"entities": ["Paris", "France"]}, {"entities": ["Paris"]}],
    "context-precision": [{"reason": "", "verdict": 1}],
    "context-recall": [{"statements": [{"statement": "", "attributed": n, "reason": ""} for n in (1, 1, 0, 0)]}],
    "context-relevancy": [{"sentences": [{"sentence": "Paris is the ca", "reasons": []}]}],
}
SCORES = {
    "factuality": 0.6,
    "answer-correctness": (0.75 * 0.5 + 0.25) / 1,
    "answer-relevancy": 1.0,
    "answer-similarity": 1.0,
    "faithfulness": 0.5,
    "context-entity-recall": 0.5,
    "context-precision": 1,
    "context-recall": 0.5,
    "context-relevancy": 15 / len("Paris is the capital.\nIt is big."),
}


def calling(arguments: Callable[[], str]) -> Callable[[web.Request], Any]:
    async def reply(request: web.Request) -> web.StreamResponse:
        name = json.loads(await request.read())["tool_choice"]["function"]["name"]
        function = {"name": name, "arguments": arguments()}
        message = {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": function}]}
        return web.json_response({**CHAT, "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]})

    return reply


async def embed(request: web.Request) -> web.StreamResponse:
    """`Paris` and the rest are at right angles."""
    vector = [1.0, 0.0] if "France" not in (await request.json())["input"] else [0.0, 1.0]
    return web.json_response({**EMBEDDINGS, "data": [{"object": "embedding", "index": 0, "embedding": vector}]})


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ScoreWorld]:
    provider = {"provider_id": "bt", "provider_type": "inline::braintrust", "config": {"openai_api_key": "sk-unused"}}
    async with score_world(tmp_path, scoring=[provider]) as world:
        world.judge.replies["/v1/embeddings"] = embed
        yield world


async def score(world: ScoreWorld, name: str, row: dict[str, Any] = ROW, **params: Any) -> Any:
    results = await world.score([row], **{f"braintrust::{name}": {**PARAMS, **params}})
    assert isinstance(results, dict), results.text
    return results[f"braintrust::{name}"]


@pytest.mark.parametrize("name", ROWS)
async def test_every_function_scores_by_what_the_judge_says(world: ScoreWorld, name: str) -> None:
    answers = [json.dumps(arguments) for arguments in ARGUMENTS[name]]
    world.judge.replies["/v1/chat/completions"] = calling(lambda: answers.pop(0) if len(answers) > 1 else answers[0])
    result = await score(world, name)
    [row] = result["score_rows"]
    assert row["score"] == pytest.approx(SCORES[name]), row
    assert result["aggregated_results"] == {"average": {"average": pytest.approx(SCORES[name])}}
    assert isinstance(row["metadata"], dict)
    answers = [json.dumps(arguments) for arguments in ARGUMENTS[name]]
    columns = {column: ROW[column] for column in ROWS[name].columns}
    assert (await score(world, name, columns))["score_rows"][0]["score"] is not None


NONSENSE = [
    "",
    "{}",
    "[]",
    "no",
    '{"choice": "Z"}',
    '{"reason": "", "verdict": NaN}',
    '{"verdict": "high"}',
    "[" * 9999,
]


@pytest.mark.parametrize("arguments", NONSENSE)
@pytest.mark.parametrize("name", ["factuality", "context-precision", "faithfulness"])
async def test_a_judge_that_calls_with_nonsense_costs_its_row(world: ScoreWorld, name: str, arguments: str) -> None:
    world.judge.replies["/v1/chat/completions"] = calling(lambda: arguments)
    result = await score(world, name)
    assert result["score_rows"][0]["score"] is None
    assert (result["errors"], result["aggregated_results"]) == (1, {"average": {"average": None}})


async def test_a_judge_that_calls_nothing_or_fails_costs_its_row(world: ScoreWorld) -> None:
    assert (await score(world, "factuality"))["errors"] == 1
    world.judge.replies["/v1/chat/completions"] = status(400, {"error": {"message": "no tools here"}})
    assert (await score(world, "context-recall"))["errors"] == 1
    message = {"role": "assistant", "content": None, "refusal": "Not that."}
    refusal = {**CHAT, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    world.judge.replies["/v1/chat/completions"] = status(200, refusal)
    [row] = (await score(world, "factuality"))["score_rows"]
    assert row["error"].endswith("refused with: Not that.")


async def test_a_model_that_names_hundreds_of_things_costs_its_row_and_no_time(world: ScoreWorld) -> None:
    names = json.dumps({"entities": [f"e{number}" for number in range(400)]})
    world.judge.replies["/v1/chat/completions"] = calling(lambda: names)
    assert "more than 100" in (await score(world, "context-entity-recall"))["score_rows"][0]["error"]


async def test_models_are_named_by_the_params_the_function_or_the_config(world: ScoreWorld) -> None:
    refused = await world.score([ROW], **{"braintrust::factuality": None})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "judge_model")
    refused = await world.score([ROW], **{"braintrust::answer-similarity": None})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "embedding_model")
    body = {"scoring_fn_id": "like", "return_type": {"type": "number"}, "provider_id": "bt"}
    unknown = await world.client.post(FUNCTIONS, json=body)
    assert (unknown.status_code, unknown.json()["error"]["param"]) == (400, "provider_scoring_fn_id")
    registered = {**body, "provider_scoring_fn_id": "answer-similarity", "params": PARAMS}
    assert (await world.client.post(FUNCTIONS, json=registered)).status_code == 200
    assert (await world.score([ROW], like=None))["like"]["score_rows"][0]["score"] == 1.0


async def test_a_callers_key_is_of_its_call_alone(tmp_path: Path) -> None:
    """The reference puts the first caller's into the environment of the process."""
    provider = {"provider_id": "bt", "provider_type": "inline::braintrust", "config": {"judge_model": "callers"}}
    async with score_world(tmp_path, scoring=[provider], openai="callers") as world:
        answer = json.dumps(ARGUMENTS["factuality"][0])
        world.judge.replies["/v1/chat/completions"] = calling(lambda: answer)
        for key in ("sk-first-000000", "sk-second-00000"):
            headers = {"x-llamastack-provider-data": json.dumps({"openai_api_key": key})}
            results = await world.score([ROW], headers, **{"braintrust::factuality": None})
            assert results["braintrust::factuality"]["score_rows"][0]["score"] == 0.6, results
            assert world.judge.seen[-1].headers["authorization"] == f"Bearer {key}"
        nobodys = await world.score([ROW], **{"braintrust::factuality": None})
        assert nobodys["braintrust::factuality"]["errors"] == 1


@given(st.integers(0, 5), st.integers(0, 5), st.data())
def test_the_best_pairs_are_those_that_trying_all_of_them_gives(rows: int, columns: int, data: st.DataObject) -> None:
    entries = st.lists(st.floats(0, 1), min_size=columns, max_size=columns)
    likenesses = data.draw(st.lists(entries, min_size=rows, max_size=rows))
    wide = likenesses if rows <= columns else [list(column) for column in zip(*likenesses, strict=True)]
    best = max(
        (
            sum(row[place] for row, place in zip(wide, places, strict=True))
            for places in permutations(range(max(rows, columns)), min(rows, columns))
        ),
        default=0.0,
    )
    assert best_total(likenesses) == pytest.approx(best)
