"""The 25 instructions of IFEval: responses that follow each, and responses that do not."""

from collections.abc import Iterator
import sys
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.errors import InvalidRequest, ProviderUnavailable
from core.providers.scoring_basic import ifeval_language
from core.providers.scoring_basic.ifeval_checks import CHECKS
from tests.unit.scoring_basic.basic_rows import score

AT_LEAST, LESS = "at least", "less than"
GERMAN = "Die Kinder spielen draußen im Garten, und die Katze sitzt auf dem Baum."
ENGLISH = "today is a very beautiful day and the children are playing outside in the garden"
CASES: list[tuple[str, dict[str, Any], tuple[str, ...], tuple[str, ...]]] = [
    ("keywords:existence", {"keywords": ["Cat", "c++"]}, ("my cat likes C++",), ("my cat", "C++ alone")),
    ("keywords:frequency", {"keyword": "Cat", "frequency": 2, "relation": AT_LEAST}, ("cat, CATS",), ("cat",)),
    ("keywords:frequency", {"keyword": "cat", "frequency": 2.0, "relation": LESS}, ("cat", "dog"), ("cat cat",)),
    (
        "keywords:forbidden_words",
        {"forbidden_words": ["Cat", "dog"]},
        ("cats and hotdogs", "a cat_1"),
        ("a CAT.", "dog", "hotdog dog"),
    ),
    ("keywords:letter_frequency", {"letter": "A", "let_frequency": 3, "let_relation": AT_LEAST}, ("Aaa",), ("aa",)),
    ("keywords:letter_frequency", {"letter": "!", "let_frequency": 1, "let_relation": LESS}, ("a",), ("a!",)),
    ("language:response_language", {"language": "de"}, (GERMAN, "123"), (ENGLISH,)),
    (
        "length_constraints:number_sentences",
        {"num_sentences": 2, "relation": AT_LEAST},
        (
            "One. Two.",
            "One? Two",
            "他来了。她走了。",
            "Wait! Go.",
            'He said "no." Then he left.',
            "It ended... Then we left.",
            "It ended.. Then we left.",
            "It works. yes it does.",
            "1. First",
            "We live in the U.S. It is big.",
            "Она пришла. Он ушёл.",
        ),
        (
            "Dr. Smith met J. R. Tolkien in the U.S. once.",
            "It costs 3.5 dollars",
            "Well... yes",
            "Well.. yes",
            "1. first",
            "the J. 5 model",
            "e.g. this",
            "他来了。",
        ),
    ),
    ("length_constraints:number_sentences", {"num_sentences": 2, "relation": LESS}, ("One.",), ("One. Two.",)),
    (
        "length_constraints:number_paragraphs",
        {"num_paragraphs": 2},
        ("a *** b", "***a***b***", "a\n***\nb"),
        ("a", "a *** *** b", "a *** b *** c"),
    ),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 1}, ("a",), ("a *** b",)),
    (
        "length_constraints:number_words",
        {"num_words": 4, "relation": AT_LEAST},
        ("a well-known fact", "one two three four", "你好世界", "こんにちは、A", "나는 간다"),
        ("one two three", "it's a", "你好\uff0ca", "日本人"),
    ),
    ("length_constraints:number_words", {"num_words": 4, "relation": LESS}, ("你好😀",), ("你好 A 😀", "你好❤️❤️")),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Then"},
        ("Now.\n\nThen, it was.", 'Now.\n\n"then" it', "Now.\n\n'THEN' it", "a\n\nthen\nb"),
        ("Then.", "Now.\n\nThenceforth", "Now.\n\nThen\n\nLater", "Now.\n\n\n\nThen", "Now.\n\n"),
    ),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 0, "first_word": "then"},
        (),
        ("then\n\nthen",),
    ),
    (
        "detectable_content:number_placeholders",
        {"num_placeholders": 2},
        ("[a] and [b]", "[[a][]"),
        ("[a", "[a\n] [b]", "][a]"),
    ),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, ("Bye. P.S. x", "p. s. x"), ("PS x", "P.  S. x")),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, ("p.p.s", "P. P. S"), ("P.S.",)),
    ("detectable_content:postscript", {"postscript_marker": "Note:"}, ("note: x",), ("notes",)),
    (
        "detectable_format:number_bullet_lists",
        {"num_bullets": 2},
        ("* a\n* b", "- a\n  - b", "* a\n- b", "*\n* a\n"),
        ("* a", "** a\n* b", "* a\n* b\n* c", "* a\n*"),
    ),
    ("detectable_format:constrained_response", {}, ("Well. My answer is no.",), ("My answer is No.", "no")),
    (
        "detectable_format:number_highlighted_sections",
        {"num_highlights": 2},
        ("*a* *b*", "**a** **b**", "*a* and **b c**"),
        ("*a*", "**a**", "* * *a", "*a\nb*", "** **"),
    ),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "Section", "num_sections": 2},
        ("Section 1\na\nSection 2\nb", "Section1 Section2"),
        ("Section 1", "Section A Section B", "section 1 section 2", "Section  1 Section  2"),
    ),
    (
        "detectable_format:json_format",
        {},
        ('{"a": [1]}', '```json\n{"a": 1}\n```', "```JSON\n[]```", "```\n1\n```"),
        ("{a: 1}", "```python\n1```", 'The answer: {"a": 1}'),
    ),
    (
        "detectable_format:title",
        {},
        ("<<Joy>>", "x <<a>> y", "<<<a>>>"),
        ("<<>>", "<< >>", "<<a\n>>", "<a>", ">>a<<", "<<>"),
    ),
    (
        "combination:two_responses",
        {},
        ("a ****** b", "****** a ****** b ******"),
        ("a", "a ****** a", "a****** ******b", "a******b******c"),
    ),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say Hi. "}, ("say hi. Hi!",), ("Hi! Say hi.",)),
    ("startend:end_checker", {"end_phrase": " The END."}, ("So. the end.", '"the end."'), ("the end. x",)),
    (
        "startend:quotation",
        {},
        ('"a"', '"他来了"', "“他来了”", "«Он пришёл»", "「はい」"),
        ('"a', "a", '"', "“a”", "«他来了»"),
    ),
    (
        "change_case:capital_word_frequency",
        {"capital_frequency": 2, "capital_relation": AT_LEAST},
        ("I LIKE it", "AI-BASED NASA", "DON'T", "**BOLD** I", "U.S. X"),
        ("Like It", "AI-BASED", "1 2 3", "NASA-based AI"),
    ),
    ("change_case:capital_word_frequency", {"capital_frequency": 1, "capital_relation": LESS}, ("a",), ("A",)),
    ("change_case:english_capital", {}, (ENGLISH.upper(),), (ENGLISH, GERMAN.upper(), "Today")),
    ("change_case:english_lowercase", {}, (ENGLISH,), (ENGLISH.upper(), GERMAN.lower(), "Today")),
    ("punctuation:no_comma", {}, ("a; b",), ("a, b",)),
]


def row_of(text: object, *instructions: tuple[str, Any]) -> dict[str, Any]:
    names = [name for name, _ in instructions]
    return {
        "instruction_id_list": names,
        "kwargs": [entry for _, entry in instructions],
        "prompt": "?",
        "generated_answer": text,
    }


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case[0]}-{len(case[2])}-{len(case[3])}-{sorted(case[1].items())}"
)
async def test_an_instruction_is_followed_or_it_is_not(case: Any) -> None:
    name, arguments, following, others = case
    padded = {**arguments, "another": None}
    for text in following:
        assert (await score("ifeval", row_of(text, (name, padded)))) == {"score": 1.0, "weight": 1.0}, text
    for text in others:
        assert (await score("ifeval", row_of(text, (name, padded)))) == {"score": 0.0, "weight": 1.0}, text


def test_every_instruction_has_a_case() -> None:
    assert {case[0] for case in CASES} == set(CHECKS)
    assert len(CHECKS) == 25


async def test_the_score_is_the_share_and_the_weight_the_number_of_instructions() -> None:
    comma = ("punctuation:no_comma", None)
    title: tuple[str, dict[str, Any]] = ("detectable_format:title", {})
    assert await score("ifeval", row_of("no title", comma, title)) == {"score": 0.5, "weight": 2.0}
    assert await score("ifeval", row_of("  ", comma, title)) == {"score": 0.0, "weight": 2.0}
    assert await score("ifeval", row_of("text")) == {"score": 0.0, "weight": 0.0}


async def test_lists_may_be_json_and_arguments_may_be_left_out() -> None:
    row = {"instruction_id_list": '["punctuation:no_comma"]', "kwargs": "[{}]", "prompt": "", "generated_answer": "a"}
    assert (await score("ifeval", row))["score"] == 1.0
    assert (await score("ifeval", row | {"kwargs": None}))["score"] == 1.0
    assert (await score("ifeval", row | {"kwargs": []}))["score"] == 1.0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            {"instruction_id_list": ["punctuation:all"]},
            "There is no instruction 'punctuation:all': it is one of keywords:",
        ),
        ({"instruction_id_list": "punctuation:no_comma"}, "'instruction_id_list' is not JSON"),
        ({"instruction_id_list": {"a": 1}}, "'instruction_id_list' is not a list of texts"),
        ({"instruction_id_list": [1]}, "'instruction_id_list' is not a list of texts"),
        ({"kwargs": [{}, {}]}, "'kwargs' is not a list with an object"),
        ({"kwargs": {}}, "'kwargs' is not a list with an object"),
        ({"kwargs": ["a"]}, "'kwargs' is not a list with an object"),
        ({"generated_answer": None}, "'generated_answer' is not a text"),
    ],
)
async def test_a_row_that_cannot_be_read_is_refused(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        await score("ifeval", row_of("a", ("punctuation:no_comma", {})) | change)


@pytest.mark.parametrize(
    ("name", "arguments", "reason"),
    [
        ("keywords:existence", {}, "'keywords' is not a list of texts"),
        ("keywords:existence", {"keywords": []}, "'keywords' is not a list of texts"),
        ("keywords:existence", {"keywords": [""]}, "'keywords' is not a list of texts"),
        (
            "keywords:frequency",
            {"keyword": "a", "frequency": 1, "relation": "at most"},
            "'relation' is not `less than`",
        ),
        ("keywords:frequency", {"keyword": " ", "frequency": 1, "relation": LESS}, "'keyword' is not a text"),
        (
            "keywords:frequency",
            {"keyword": "a", "frequency": 1.5, "relation": LESS},
            "'frequency' is not a whole number",
        ),
        (
            "keywords:frequency",
            {"keyword": "a", "frequency": -1, "relation": LESS},
            "'frequency' is not a whole number",
        ),
        (
            "keywords:frequency",
            {"keyword": "a", "frequency": True, "relation": LESS},
            "'frequency' is not a whole number",
        ),
        (
            "keywords:frequency",
            {"keyword": "a", "frequency": "1", "relation": LESS},
            "'frequency' is not a whole number",
        ),
        ("length_constraints:number_words", {"num_words": 1, "relation": LESS}, "Thai has no blanks"),
        ("length_constraints:number_sentences", {"num_sentences": 1, "relation": LESS}, "Thai has no blanks"),
    ],
)
async def test_arguments_that_an_instruction_cannot_have_are_refused(
    name: str, arguments: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        await score("ifeval", row_of("สวัสดีครับ", (name, arguments)))


@pytest.fixture
def no_langdetect() -> Iterator[None]:
    """An environment without the extra."""
    modules: dict[str, Any] = sys.modules  # None is what Python takes for a module that is not there
    ifeval_language.find_library.cache_clear()
    module = modules.pop("langdetect", None)
    modules["langdetect"] = None
    yield
    del modules["langdetect"]
    if module is not None:
        modules["langdetect"] = module
    ifeval_language.find_library.cache_clear()


@pytest.mark.usefixtures("no_langdetect")
async def test_without_the_extra_the_language_checks_say_so_and_the_others_go_on() -> None:
    with pytest.raises(ProviderUnavailable, match=r"pip install 'llambda\[ifeval\]'"):
        await score("ifeval", row_of("a", ("language:response_language", {"language": "en"})))
    with pytest.raises(ProviderUnavailable):
        await score("ifeval", row_of("A", ("change_case:english_capital", {})))
    assert (await score("ifeval", row_of("a", ("change_case:english_capital", {}))))["score"] == 0.0
    assert (await score("ifeval", row_of("a", ("punctuation:no_comma", {}))))["score"] == 1.0


async def test_a_text_is_in_the_same_language_every_time() -> None:
    row = row_of("sole mare", ("language:response_language", {"language": "it"}))
    assert len({(await score("ifeval", row))["score"] for _ in range(20)}) == 1


@given(text=st.text(st.sampled_from("aB.!?*-[]<>\"' \n\tS1,。「」你"), max_size=60))
async def test_no_response_is_too_odd_to_be_checked(text: str) -> None:
    for name, arguments, _, _ in CASES:
        if name.partition(":")[0] not in {"language", "change_case"}:
            assert (await score("ifeval", row_of(text, (name, arguments))))["score"] in {0.0, 1.0}
