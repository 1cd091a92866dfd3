"""Scoring on the wire: functions that are built in or registered, and what judges make of rows."""

from collections.abc import AsyncIterator
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.parts.score_stack import BASE, FUNCTIONS, JUDGE, ROW, SIMPLE_QA, ScoreWorld, score_world

ASK = {"type": "llm_as_judge", "judge_model": JUDGE}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ScoreWorld]:
    async with score_world(tmp_path) as world:
        yield world


def refusal(answer: httpx.Response, status: int = 400) -> str:
    assert answer.status_code == status, answer.text
    return str(answer.json()["error"]["message"])


async def test_functions_are_there_under_their_own_ids_whatever_their_provider_is_called(world: ScoreWorld) -> None:
    listing = (await world.client.get(FUNCTIONS)).json()["data"]
    assert [row["identifier"] for row in listing] == [BASE, SIMPLE_QA]
    shown = (await world.client.get(f"{FUNCTIONS}/{SIMPLE_QA}")).json()
    assert (shown["type"], shown["provider_id"], shown["provider_resource_id"]) == (
        "scoring_function",
        "judge",
        "llm-as-judge-405b-simpleqa",
    )
    assert (shown["return_type"], shown["params"]["aggregation_functions"]) == (
        {"type": "string"},
        ["categorical_count"],
    )
    assert refusal(await world.client.delete(f"{FUNCTIONS}/{BASE}"), 409)
    body = {"scoring_fn_id": BASE, "description": "mine", "return_type": {"type": "number"}}
    assert "or its provider" in refusal(await world.client.post(FUNCTIONS, json=body), 409)


async def test_a_judge_gives_a_number_for_each_row_in_their_order_and_several_are_asked_at_once(
    world: ScoreWorld,
) -> None:
    world.verdict = lambda prompt: f"Because.\nScore: {prompt.partition('judge:\n')[2].partition('\n')[0]}"
    rows = [{**ROW, "generated_answer": str(number % 11)} for number in range(30)]
    results = await judged(world, rows, BASE)
    assert [row["score"] for row in results["score_rows"]] == [number % 11 for number in range(30)]
    assert results["score_rows"][3]["judge_feedback"] == "Because.\nScore: 3"
    assert results["aggregated_results"] == {}
    assert 1 < world.most_under_way <= 20
    seen = world.judge.seen[-1].body
    assert (seen["model"], seen["temperature"], seen["max_tokens"]) == ("m", 0.0, 1024)


async def judged(world: ScoreWorld, rows: list[dict[str, Any]], function: str, **params: Any) -> Any:
    results = await world.score(rows, **{function: ASK | params})
    assert isinstance(results, dict), results.text
    return results[function]


async def test_numbers_of_a_judge_are_aggregated_as_numbers(world: ScoreWorld) -> None:
    answers = iter(["Score: 4", "Score: **7.5**", "Score: 9.0"])
    world.verdict = lambda _: next(answers)
    result = await judged(world, [ROW] * 3, BASE, aggregation_functions=["average", "median"])
    assert sorted(json.dumps(row["score"]) for row in result["score_rows"]) == [
        "4",
        "7.5",
        "9.0",
    ]  # as they were written
    assert result["aggregated_results"] == {"average": {"average": 20.5 / 3}, "median": {"median": 7.5}}


async def test_grades_are_counted(world: ScoreWorld) -> None:
    world.verdict = lambda prompt: "A" if "grade: 4" in prompt else "C"
    result = await judged(world, [ROW, {**ROW, "generated_answer": "5"}], SIMPLE_QA)
    assert [row["score"] for row in result["score_rows"]] == ["A", "C"]
    assert result["aggregated_results"] == {"categorical_count": {"categorical_count": {"A": 1, "C": 1}}}


async def test_a_judge_that_answers_nonsense_or_fails_costs_its_row_and_no_other(world: ScoreWorld) -> None:
    def verdict(prompt: str) -> str | tuple[int, dict[str, str]]:
        return "What?" if "none" in prompt else (400, {}) if "refuse" in prompt else "Score: 10"

    world.verdict = verdict
    rows = [{**ROW, "generated_answer": text} for text in ("none", "good", "refuse")]
    result = await judged(world, rows, BASE, aggregation_functions=["average", "accuracy"])
    none, good, refused = result["score_rows"]
    assert (none["score"], none["judge_feedback"]) == (None, "What?")
    assert "no score in it: none of `judge_score_regexes` finds one. Let `prompt_template` ask" in none["error"]
    assert good["score"] == 10
    assert refused["score"] is None
    assert refused["error"]
    assert (result["errors"], result["aggregated_results"]["average"]) == (2, {"average": 10.0})
    nothing = await judged(world, rows[:1], BASE, aggregation_functions=["average"])
    assert nothing["aggregated_results"] == {"average": {"average": None}}


async def test_a_judge_that_is_busy_is_asked_again(world: ScoreWorld) -> None:
    answers: list[Any] = [(429, {"retry-after": "0"}), (503, {}), "Score: 1"]
    world.verdict = lambda _: answers.pop(0)
    assert (await judged(world, [ROW], BASE))["score_rows"][0]["score"] == 1


async def test_params_of_one_request_do_not_stick(world: ScoreWorld) -> None:
    """The reference keeps them for all later callers."""
    before = (await world.client.get(f"{FUNCTIONS}/{BASE}")).json()
    other = {
        "prompt_template": "{generated_answer}",
        "judge_score_regexes": ["(x)"],
        "aggregation_functions": ["median"],
    }
    assert (await judged(world, [ROW], BASE, **other))["score_rows"][0]["score"] is None
    assert (await world.client.get(f"{FUNCTIONS}/{BASE}")).json() == before
    result = await judged(world, [ROW], BASE)
    assert (result["score_rows"][0]["score"], result["aggregated_results"]) == (7, {})
    assert "judge_model" in refusal(await world.score([ROW], **{BASE: None}))


@pytest.mark.parametrize(
    ("template", "prompt"),
    [
        ('Reply {"score": n} to {generated_answer}', 'Reply {"score": n} to {input_query} }{'),
        (
            "{} { {unknown} {generated_answer!r} {generated_answer",
            "{} { {unknown} {generated_answer!r} {generated_answer",
        ),
        ("{expected_answer}|{context}", '4|["a", {"b": 1}]'),
    ],
)
async def test_a_template_has_columns_in_braces_and_other_braces_are_text(
    world: ScoreWorld, template: str, prompt: str
) -> None:
    """In the reference a stray brace is a 500."""
    row = {**ROW, "generated_answer": "{input_query} }{", "context": ["a", {"b": 1}]}
    await judged(world, [row], BASE, prompt_template=template)
    assert world.prompts == [prompt]


async def test_no_rows_have_no_scores(world: ScoreWorld) -> None:
    """In the reference they are a 500."""
    result = await judged(world, [], BASE, aggregation_functions=["accuracy", "average", "categorical_count"])
    assert result["score_rows"] == []
    assert result["aggregated_results"]["average"] == {"average": None}
    assert world.prompts == []


async def test_a_row_without_a_column_is_refused_before_any_is_judged(world: ScoreWorld) -> None:
    """In the reference it is a 500."""
    incomplete = {"input_query": "2+2?", "generated_answer": "4"}
    answer = await world.score([ROW, incomplete], **{BASE: ASK})
    assert "Row 1 has no `expected_answer`" in refusal(answer)
    assert answer.json()["error"]["param"] == "input_rows[1].expected_answer"
    assert world.prompts == []
    result = await judged(world, [incomplete], BASE, prompt_template="{generated_answer}")
    assert result["score_rows"][0]["score"] == 7


@pytest.mark.parametrize("regex", ["(?=a)", r"(a)\1", "(", "a{1000}{1000}"])
async def test_a_regex_that_re2_cannot_have_is_refused_with_the_reason(world: ScoreWorld, regex: str) -> None:
    functions: dict[str, Any] = {BASE: {**ASK, "judge_score_regexes": [regex]}}
    answer = await world.score([ROW], **functions)
    assert "cannot be used" in refusal(answer)
    assert answer.json()["error"]["param"] == "judge_score_regexes"
    body = {"scoring_fn_id": "mine", "return_type": {"type": "string"}, "provider_scoring_fn_id": "mine"}
    params = {**ASK, "prompt_template": "x", "judge_score_regexes": [regex]}
    assert refusal(await world.client.post(FUNCTIONS, json={**body, "params": params}))
    assert world.prompts == []


@pytest.mark.parametrize(
    ("functions", "status", "words"),
    [
        ({}, 400, "scoring_functions"),
        ({"none": None}, 404, "not a known scoring function"),
        ({BASE: {**ASK, "aggregation_functions": ["mode"]}}, 400, "aggregation_functions"),
        ({BASE: {**ASK, "prompt_template": ""}}, 400, "prompt_template"),
        ({BASE: {"judge_model": 7}}, 400, "judge_model"),
        ({f"f{number}": None for number in range(33)}, 400, "scoring_functions"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    world: ScoreWorld, functions: dict[str, Any], status: int, words: str
) -> None:
    assert words in refusal(await world.score([ROW], **functions), status)


async def test_a_judge_that_is_not_there_is_the_error_of_every_row(world: ScoreWorld) -> None:
    result = await judged(world, [ROW], BASE, judge_model="none")
    assert result["score_rows"][0]["score"] is None
    assert "none" in result["score_rows"][0]["error"]


async def test_a_function_is_registered_used_and_unregistered(world: ScoreWorld) -> None:
    """As the reference's test does: without a provider, with a template of its own."""
    params = {**ASK, "prompt_template": "Is {generated_answer} {expected_answer}?", "judge_score_regexes": ["(yes|no)"]}
    body = {"scoring_fn_id": "mine", "description": "Mine.", "return_type": {"type": "string"}, "params": params}
    made = await world.client.post(FUNCTIONS, json=body)
    assert made.status_code == 200, made.text
    shown = (await world.client.get(f"{FUNCTIONS}/mine")).json()
    assert shown["params"] == {**params, "aggregation_functions": []}
    assert shown == made.json()
    assert "mine" in [row["identifier"] for row in (await world.client.get(FUNCTIONS)).json()["data"]]
    world.verdict = lambda prompt: f"yes: {prompt}"
    results = await world.score([ROW], mine=None)
    assert results["mine"]["score_rows"] == [{"score": "yes", "judge_feedback": "yes: Is 4 4?"}]
    assert (await world.client.delete(f"{FUNCTIONS}/mine")).text == "null"
    assert refusal(await world.score([ROW], mine=None), 404)


async def test_a_function_takes_over_what_is_built_in_of_its_name_within_the_provider(world: ScoreWorld) -> None:
    body = {
        "scoring_fn_id": "graded",
        "return_type": {"type": "string"},
        "provider_scoring_fn_id": "llm-as-judge-405b-simpleqa",
        "params": ASK,
    }
    assert (await world.client.post(FUNCTIONS, json=body)).status_code == 200
    world.verdict = lambda _: "B"
    result = (await world.score([ROW], graded=None))["graded"]
    assert result["aggregated_results"] == {"categorical_count": {"categorical_count": {"B": 1}}}


async def test_what_a_judge_says_is_in_no_log(world: ScoreWorld, caplog: pytest.LogCaptureFixture) -> None:
    world.verdict = lambda _: "Score: 3, for the secret sauce"
    with caplog.at_level("DEBUG"):
        await judged(world, [{**ROW, "generated_answer": "secret sauce"}], BASE)
    assert "sauce" not in caplog.text


async def test_a_function_of_the_run_config_goes_before_the_one_that_is_built_in(tmp_path: Path) -> None:
    own = {"scoring_fn_id": BASE, "return_type": {"type": "number"}, "provider_scoring_fn_id": "llm-as-judge-base"}
    async with score_world(tmp_path, scoring_fns=[{**own, "params": ASK}], judge={"max_tokens": None}) as world:
        [first, second] = (await world.client.get(FUNCTIONS)).json()["data"]
        assert (first["identifier"], second["identifier"]) == (BASE, SIMPLE_QA)
        assert first["params"]["judge_model"] == JUDGE
        assert (await world.score([ROW], **{BASE: None}))[BASE]["score_rows"][0]["score"] == 7
        assert "max_tokens" not in world.judge.seen[-1].body
