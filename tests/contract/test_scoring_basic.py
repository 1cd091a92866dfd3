"""`inline::basic` on the wire: what its functions score, what they refuse, and that no call changes another's."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.parts.score_stack import FUNCTIONS, SCORE, ScoreWorld, score_world

BASIC = {"provider_id": "basic", "provider_type": "inline::basic", "config": {}}
CHOICE = "basic::regex_parser_multiple_choice_answer"
MATH = "basic::regex_parser_math_response"
PAIR = {"expected_answer": "B", "generated_answer": "Answer: B"}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ScoreWorld]:
    async with score_world(tmp_path, scoring=[BASIC]) as world:
        yield world


def refusal(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 400, answer.text
    error: dict[str, Any] = answer.json()["error"]
    return error


async def test_the_seven_functions_of_the_reference_are_there(world: ScoreWorld) -> None:
    listing = (await world.client.get(FUNCTIONS)).json()["data"]
    basic = {row["identifier"]: row for row in listing if row["provider_id"] == "basic"}
    assert sorted(basic) == [
        "basic::bfcl",
        "basic::docvqa",
        "basic::equality",
        "basic::ifeval",
        MATH,
        CHOICE,
        "basic::subset_of",
    ]
    assert {row["return_type"]["type"] for row in basic.values()} == {"number"}
    assert basic["basic::ifeval"]["params"]["aggregation_functions"] == ["weighted_average"]
    assert basic[MATH]["provider_resource_id"] == "regex-parser-math-response"
    assert basic[MATH]["params"]["parsing_regexes"] == [r".*final answer is:?\s*\$\\boxed{(?P<X>.*)}\$"]


async def test_rows_are_scored_as_the_reference_scores_them(world: ScoreWorld) -> None:
    rows = [{"expected_answer": "Paris", "generated_answer": text} for text in ("Paris", "It is Paris.")]
    results = await world.score(rows, **{"basic::equality": None, "basic::subset_of": None})
    assert results == {
        "basic::equality": {
            "score_rows": [{"score": 1.0}, {"score": 0.0}],
            "aggregated_results": {"accuracy": {"accuracy": 0.5, "num_correct": 1.0, "num_total": 2}},
        },
        "basic::subset_of": {
            "score_rows": [{"score": 1.0}, {"score": 1.0}],
            "aggregated_results": {"accuracy": {"accuracy": 1.0, "num_correct": 2.0, "num_total": 2}},
        },
    }
    none = await world.score([], **{"basic::equality": None})
    assert none["basic::equality"]["aggregated_results"]["accuracy"]["accuracy"] is None


async def test_params_hold_for_their_request_alone(world: ScoreWorld) -> None:
    row = {"expected_answer": "yes", "generated_answer": "I say yes. Answer: B"}
    own: dict[str, Any] = {
        "type": "regex_parser",
        "parsing_regexes": ["I say (yes|no)"],
        "aggregation_functions": ["median", "average"],
    }
    requests = [world.score([row], **{CHOICE: params}) for params in (own, None) * 5]
    answers = await asyncio.gather(*requests)
    assert [answer[CHOICE]["score_rows"][0]["score"] for answer in answers] == [1.0, 0.0] * 5
    assert sorted(answers[0][CHOICE]["aggregated_results"]) == ["average", "median"]
    assert sorted(answers[1][CHOICE]["aggregated_results"]) == ["accuracy"]
    shown = (await world.client.get(f"{FUNCTIONS}/{CHOICE}")).json()
    assert len(shown["params"]["parsing_regexes"]) == 41


@pytest.mark.parametrize(
    ("regexes", "reason"),
    [
        ([r"(?<=Answer: )\w"], "looks around"),
        ([r"(a)\1"], "refers back to a group"),
        (["("], "missing )"),
        ([r"(abc){900}"], "too large"),
    ],
)
async def test_an_expression_that_re2_has_not_is_refused_when_it_is_sent(
    world: ScoreWorld, regexes: list[str], reason: str
) -> None:
    params: dict[str, Any] = {"type": "regex_parser", "parsing_regexes": regexes}
    assert reason in refusal(await world.score([PAIR], **{CHOICE: params}))["message"]
    body = {
        "scoring_fn_id": "mine",
        "description": "",
        "return_type": {"type": "number"},
        "provider_id": "basic",
        "params": params,
    }
    assert reason in refusal(await world.client.post(FUNCTIONS, json=body))["message"]
    assert (await world.client.get(f"{FUNCTIONS}/mine")).status_code == 404


async def test_an_expression_that_never_ends_elsewhere_ends_here(world: ScoreWorld) -> None:
    params: dict[str, Any] = {"type": "regex_parser", "parsing_regexes": [r"(x+x+)+y"]}
    row = {"expected_answer": "B", "generated_answer": "x" * 50_000}
    result = await world.score([row], **{CHOICE: params})
    assert result[CHOICE]["score_rows"] == [{"score": 0.0}]


async def test_a_row_that_is_too_much_work_costs_itself_alone(world: ScoreWorld) -> None:
    params: dict[str, Any] = {"type": "regex_parser", "parsing_regexes": [r"(.*){200}B"]}
    rows = [
        {"expected_answer": "B", "generated_answer": "x" * 300_000},
        {"expected_answer": "B", "generated_answer": "no"},
    ]
    result = (await world.score(rows, **{CHOICE: params}))[CHOICE]
    assert result["score_rows"][0]["score"] is None
    assert "300000 characters" in result["score_rows"][0]["error"]
    assert (result["score_rows"][1], result["errors"]) == ({"score": 0.0}, 1)


async def test_a_function_is_registered_with_expressions_of_its_own(world: ScoreWorld) -> None:
    body = {
        "scoring_fn_id": "my-grade",
        "description": "The grade in brackets.",
        "return_type": {"type": "number"},
        "provider_id": "basic",
        "params": {"type": "regex_parser", "parsing_regexes": [r"\[(\d)\]"], "aggregation_functions": ["accuracy"]},
    }
    assert (await world.client.post(FUNCTIONS, json=body)).status_code == 200
    rows = [{"expected_answer": 4, "generated_answer": f"[{grade}]"} for grade in (4, 5)]
    result = (await world.score(rows, **{"my-grade": None}))["my-grade"]
    assert [row["score"] for row in result["score_rows"]] == [1.0, 0.0]
    assert result["aggregated_results"]["accuracy"]["accuracy"] == 0.5
    other = body | {"scoring_fn_id": "other", "params": {"type": "basic", "aggregation_functions": []}}
    assert (
        "Provider 'basic' has no scoring function 'other'"
        in refusal(await world.client.post(FUNCTIONS, json=other))["message"]
    )


async def test_a_missing_column_is_named_with_its_row(world: ScoreWorld) -> None:
    rows = [PAIR, {"expected_answer": "B"}]
    error = refusal(await world.score(rows, **{"basic::equality": None}))
    assert "Row 1 has no `generated_answer`, which `basic::equality` reads" in error["message"]
    assert error["param"] == "input_rows[1].generated_answer"
    calls = refusal(await world.score([PAIR], **{"basic::bfcl": None}))
    assert "it reads id, generated_answer, function, language, ground_truth" in calls["message"]


async def test_a_row_that_cannot_be_read_says_why(world: ScoreWorld) -> None:
    row = {"expected_answer": "no list", "generated_answer": "Paris"}
    result = (await world.score([row], **{"basic::docvqa": None}))["basic::docvqa"]
    assert result["score_rows"] == [{"score": None, "error": "The row's column 'expected_answer' is not JSON."}]
    assert result["errors"] == 1


async def test_weights_count_in_the_average_of_instructions(world: ScoreWorld) -> None:
    comma, title = "punctuation:no_comma", "detectable_format:title"
    rows = [
        {"instruction_id_list": [comma], "kwargs": [{}], "prompt": "?", "generated_answer": "none"},
        {
            "instruction_id_list": [comma, title, title],
            "kwargs": [{}, {}, {}],
            "prompt": "?",
            "generated_answer": "none",
        },
    ]
    result = (await world.score(rows, **{"basic::ifeval": None}))["basic::ifeval"]
    assert result["score_rows"] == [{"score": 1.0, "weight": 1.0}, {"score": pytest.approx(1 / 3), "weight": 3.0}]
    assert result["aggregated_results"] == {"weighted_average": {"weighted_average": pytest.approx(0.5)}}


async def test_a_thousand_rows_let_others_be_answered_meanwhile(world: ScoreWorld) -> None:
    rows = [{"expected_answer": "B", "generated_answer": "no letter " * 40}] * 1_000
    body = {"input_rows": rows, "scoring_functions": {CHOICE: None}}
    many = asyncio.create_task(world.client.post(SCORE, json=body))
    turns = 0
    while not many.done():
        await asyncio.sleep(0)
        turns += 1
    assert many.result().json()["results"][CHOICE]["aggregated_results"]["accuracy"]["num_total"] == 1_000
    assert turns > 3
