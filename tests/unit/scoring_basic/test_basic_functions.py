"""Equality, parts, documents and multiple choice; and the provider that has them."""

from typing import Any

import pytest

from core.errors import InvalidRequest
from core.frame.resources import Resource
from core.providers.scoring_basic.answer_regexes import ANSWER_REGEXES
from core.providers.scoring_basic.basic import Config, connect
from tests.unit.scoring_basic.basic_rows import BASIC, function_of, score, score_pair


@pytest.mark.parametrize(
    ("expected", "generated", "result"),
    [
        ("Paris", "Paris", 1.0),
        ("Paris", "paris", 0.0),
        ("Paris", "Paris ", 0.0),
        (4, "4", 1.0),
        ("5", 5, 1.0),
        (0.5, "0.5", 1.0),
        (4, 4.0, 1.0),
        (True, "True", 0.0),
        (None, "", 0.0),
        (["a"], ["a"], 1.0),
        ({"a": 1}, {"a": 2}, 0.0),
    ],
)
async def test_equality_is_exact_but_for_numbers_of_csv_files(
    expected: object, generated: object, result: float
) -> None:
    assert await score_pair("equality", expected, generated) == result


@pytest.mark.parametrize(
    ("expected", "generated", "result"),
    [
        ("Paris", "It is Paris.", 1.0),
        ("It is Paris.", "Paris", 0.0),
        (42, "The answer is 42.", 1.0),
        ("a", ["a", "b"], 1.0),
        ("c", ["a", "b"], 0.0),
        (["a"], "a", 0.0),
        (None, "None", 0.0),
        (4, 4, 1.0),
        ("", "text", 1.0),
    ],
)
async def test_the_expected_answer_is_part_of_the_generated_one(
    expected: object, generated: object, result: float
) -> None:
    assert await score_pair("subset-of", expected, generated) == result


@pytest.mark.parametrize(
    ("expected", "generated", "result"),
    [
        ('["the Eiffel Tower", "Eiffel"]', "Eiffel tower!", 1.0),
        (["two men"], "2 men", 1.0),
        (["Louvre"], "Notre-Dame", 0.0),
        (["y'all go"], "Yall go?", 1.0),
        (["it shouldn't've"], "it shouldntve", 1.0),
        (["it shouldn't've"], "it shouldnt've", 1.0),
        (["first"], "1st", 1.0),
        (["10,000"], "10000", 1.0),
        (["1.5"], "15", 0.0),
        (["U.S."], "us", 1.0),
        (["a - b"], "a  b", 1.0),
        (["well-known"], "well known", 1.0),
        (["ten-fold, 1,000"], "tenfold 1000", 1.0),
        (["0"], "none", 1.0),
        (["x yz"], "x; y;z", 1.0),
        (["x yz"], "x ;y;z", 1.0),
        (["x y z"], "x;y;z", 1.0),
        ([], "anything", 0.0),
    ],
)
async def test_answers_about_documents_are_compared_without_what_makes_no_difference(
    expected: object, generated: object, result: float
) -> None:
    assert await score_pair("docvqa", expected, generated) == result


@pytest.mark.parametrize("expected", ["Paris", '{"a": 1}', "[1, 2]", 7, None])
async def test_expected_answers_about_documents_are_a_list(expected: object) -> None:
    with pytest.raises(InvalidRequest, match="The row's column 'expected_answer' is not"):
        await score_pair("docvqa", expected, "Paris")


@pytest.mark.parametrize(
    ("expected", "generated", "result"),
    [
        ("B", "Let me think. Answer: B", 1.0),
        ("B", "The best answer is B.", 1.0),
        ("B", "Answer: C, and not B", 0.0),
        ("B", "answer : b", 1.0),
        ("B", "I do not know.", 0.0),
        ("A", "Respuesta: A", 1.0),
        ("D", "答案\uff1aD", 1.0),
        ("D", "回答: D", 1.0),
        ("C", "Answer:\u200b\u200b C", 1.0),
        ("B", "الإجابة: ب", 1.0),
        ("ب", "الإجابة الصحيحة هي: ب", 1.0),
        ("B", "Answer: \uff22", 1.0),
        ("J", "Answer: J", 1.0),
        ("D", "উত্তরঃ ঢ", 1.0),
        ("A", "उत्तर : A", 1.0),
        (1, "Answer: A", 0.0),
    ],
)
async def test_the_letter_of_a_multiple_choice_is_read_in_many_languages(
    expected: object, generated: object, result: float
) -> None:
    assert await score_pair("regex-parser-multiple-choice-answer", expected, generated) == result


def test_every_language_has_its_expression_once() -> None:
    assert len(ANSWER_REGEXES) == len(set(ANSWER_REGEXES)) == 41


async def test_expressions_of_one_call_are_those_of_no_other() -> None:
    name = "regex-parser-multiple-choice-answer"
    row = {"expected_answer": "yes", "generated_answer": "So I say yes. Answer: A"}
    params: dict[str, Any] = {"type": "regex_parser", "parsing_regexes": ["I say (yes|no)"]}
    assert (await score(name, row, params))["score"] == 1.0
    assert (await score(name, row))["score"] == 0.0
    assert (await score(name, row | {"expected_answer": "A"}))["score"] == 1.0
    next(offer for offer in BASIC.functions() if offer["provider_resource_id"] == name)["params"][
        "parsing_regexes"
    ].clear()
    assert (await score(name, row | {"expected_answer": "A"}))["score"] == 1.0


async def test_the_first_expression_that_matches_decides_even_with_an_empty_answer() -> None:
    params = {"type": "regex_parser", "parsing_regexes": ["I say (.*?)\\.", "(.*)"]}
    row = {"expected_answer": "", "generated_answer": "I say ."}
    assert (await score("regex-parser-multiple-choice-answer", row, params))["score"] == 0.0


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"parsing_regexes": ["a(?=b)"]}, "it looks around"),
        ({"parsing_regexes": ["(a)", r"(a)\1"]}, "it refers back to a group"),
        ({"parsing_regexes": []}, "names no regular expression"),
    ],
)
async def test_expressions_that_cannot_be_used_are_refused_before_a_row_is_scored(
    params: dict[str, Any], reason: str
) -> None:
    name = "regex-parser-multiple-choice-answer"
    with pytest.raises(InvalidRequest, match=reason):
        await BASIC.check_function(function_of(name, params={"type": "regex_parser", **params}))
    with pytest.raises(InvalidRequest, match=reason):
        await BASIC.check_function(function_of(name), params)


@pytest.mark.parametrize("offer", BASIC.functions(), ids=lambda offer: offer["provider_resource_id"])
async def test_what_is_offered_passes_its_own_check_and_misses_columns_by_name(offer: Any) -> None:
    own = function_of(offer["provider_resource_id"], params=offer["params"])
    await BASIC.check_function(own)
    await BASIC.check_function(own, {"parsing_regexes": None})
    assert offer["id"] == "basic::" + offer["provider_resource_id"].replace("-", "_")
    assert offer["params"]["aggregation_functions"]
    assert BASIC.columns(own, {}) == offer["columns"]
    with pytest.raises(InvalidRequest, match="The row has no column '"):
        await BASIC.score_row(own, {}, {})


async def test_a_registered_function_names_one_of_them_or_has_expressions() -> None:
    row = {"expected_answer": "7", "generated_answer": "It is 7"}
    named = Resource("scoring_function", "mine", "basic", "basic::subset_of", {})
    assert await BASIC.score_row(named, row, {}) == {"score": 1.0}
    parser = Resource("scoring_function", "mine", "basic", "mine", {})
    params = {"type": "regex_parser", "parsing_regexes": [r"It is (\d)"]}
    assert await BASIC.score_row(parser, row, params) == {"score": 1.0}
    with pytest.raises(
        InvalidRequest, match=r"Provider 'basic' has no scoring function 'mine': it has equality, subset-of"
    ):
        await BASIC.check_function(parser, {"type": "basic"})


@pytest.mark.parametrize("value", [None, True, ["A"], {"a": "A"}])
async def test_an_answer_that_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(InvalidRequest, match="The row's column 'generated_answer' is not a text"):
        await score_pair("regex-parser-multiple-choice-answer", "A", value)


async def test_the_provider_is_always_well() -> None:
    provider = connect("basic", Config(), {})
    assert await provider.health() == {"status": "OK"}
    await provider.close()
