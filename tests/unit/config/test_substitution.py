"""Every form of `${env...}`, in the older and the newer syntax, comes out as one of the two references has it."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.config.problems import Problem
from core.config.substitution import Expansion, substitute

ENVIRON = {
    "SET": "val",
    "EMPTY": "",
    "NUM": "7",
    "FLT": "1.5",
    "TRU": "True",
    "HOMEY": "~/x",
    "HOME": "/home/me",
}
RAISES = object()

# expression, Llama Stack 0.2.12, OGX 1.5.0, here. 0.2.12 has no types and leaves them to pydantic.
TABLE: list[tuple[str, Any, Any, Any]] = [
    ("${env.SET}", "val", "val", "val"),
    ("${env.UNSET}", RAISES, RAISES, RAISES),
    ("${env.EMPTY}", RAISES, RAISES, RAISES),
    ("${env.SET:d}", "val", "${env.SET:d}", "val"),
    ("${env.UNSET:d}", "d", "${env.UNSET:d}", "d"),
    ("${env.UNSET:}", "", "${env.UNSET:}", ""),
    ("${env.EMPTY:d}", "d", "${env.EMPTY:d}", "d"),
    ("${env.UNSET:=d}", "=d", "d", "d"),
    ("${env.UNSET:=}", "=", None, None),
    ("${env.SET:=d}", "val", "val", "val"),
    ("${env.UNSET:+v}", "+v", None, None),
    ("${env.SET:+v}", "val", "v", "v"),
    ("${env.SET:+}", "val", None, None),
    ("${env.SET+v}", "v", "${env.SET+v}", "v"),
    ("${env.UNSET+v}", "", "${env.UNSET+v}", ""),
    ("${env.NUM}", "7", 7, 7),
    ("${env.FLT}", "1.5", 1.5, 1.5),
    ("${env.TRU}", "True", True, True),
    ("${env.UNSET:=true}", "=true", True, True),
    ("${env.UNSET:5}", "5", "${env.UNSET:5}", 5),
    ("${env.UNSET:=5}", "=5", 5, 5),
    ("a-${env.NUM}-b", "a-7-b", "a-7-b", "a-7-b"),
    ("${env.UNSET:http://h:80/v1}", "http://h:80/v1", "${env.UNSET:http://h:80/v1}", "http://h:80/v1"),
    ("${env.UNSET:=http://h:80/v1}", "=http://h:80/v1", "http://h:80/v1", "http://h:80/v1"),
    ("${env.HOMEY}", "/home/me/x", "/home/me/x", "/home/me/x"),
    ("${env.UNSET:~/.llama}/x.db", "/home/me/.llama/x.db", "${env.UNSET:~/.llama}/x.db", "/home/me/.llama/x.db"),
    ("${env.lower:d}", "${env.lower:d}", "${env.lower:d}", RAISES),
    ("$SET", "$SET", "$SET", "$SET"),
    ("${env.UNSET:a,b}", "a,b", "${env.UNSET:a,b}", "a,b"),
    ("${env.UNSET:{}}", "{}", "${env.UNSET:{}}", "{}"),
    ("${env.NUM}${env.NUM}", "77", 77, 77),
]


def expand(text: Any, **more: str) -> Any:
    value, problems = substitute(text, ENVIRON | more)
    assert problems == []
    return value


def messages(document: Any, **more: str) -> dict[str, str]:
    return {problem.path: problem.message for problem in substitute(document, ENVIRON | more)[1]}


@pytest.mark.parametrize(("expression", "older", "newer", "ours"), TABLE, ids=[row[0] for row in TABLE])
def test_both_syntaxes_of_the_reference_mean_what_they_mean_there(
    expression: str, older: Any, newer: Any, ours: Any
) -> None:
    value, problems = substitute(expression, ENVIRON)
    if ours is RAISES:
        assert [problem.path for problem in problems] == [""]
        return
    assert problems == []
    assert value == ours
    assert type(value) is type(ours)
    assert ours == newer or str(ours) == older


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12345678", 12345678),
        ("-3", -3),
        ("0", 0),
        ("false", False),
        ("TRUE", True),
        ("1.10", 1.1),
        ("-0.5", -0.5),
        *((text, text) for text in ("007", "00", "+7", "1e5", "nan", "inf", "1_000", ".5", "1.", " 7", "1.2.3", "yes")),
        *((text, text) for text in ("null", "٣", "9" * 19, "9" * 5000, "1" * 400 + ".0", "0x1f", "7\n")),
    ],
)
def test_only_plain_numbers_and_booleans_are_converted(text: str, expected: Any) -> None:
    value = expand("${env.VALUE}", VALUE=text)
    assert value == expected
    assert type(value) is type(expected)


def test_what_the_environment_said_is_kept_for_fields_of_type_text() -> None:
    expansion = Expansion({"A": "1.10", "B": "True", "C": "text"})
    assert expansion.value({"a": ["${env.A}", "${env.B}", "${env.C}"], "b": "1.10"}) == {
        "a": [1.1, True, "text"],
        "b": "1.10",
    }
    assert expansion.texts == {"a[0]": "1.10", "a[1]": "True"}


def test_text_without_an_expression_is_not_converted() -> None:
    assert expand({"a": "7", "b": "~/x", "c": "", "d": "${OTHER}", "e": "true"}) == {
        "a": "7",
        "b": "~/x",
        "c": "",
        "d": "${OTHER}",
        "e": "true",
    }


def test_values_that_are_not_text_are_left_alone() -> None:
    document = {"a": 1, "b": None, "c": [True, 1.5, {}], "d": []}
    assert expand(document) == document


def test_an_empty_part_of_a_longer_text_is_empty_text() -> None:
    assert expand("a${env.UNSET:=}b${env.UNSET:+x}c") == "abc"


def test_a_value_is_not_expanded_again() -> None:
    assert expand("${env.X}", X="${env.SET}") == "${env.SET}"
    assert expand("${env.UNSET:=$SET}") == "$SET"


def test_the_home_directory_is_put_in_only_where_it_is_a_path_of_its_own() -> None:
    assert expand("${env.X}", X="~") == "/home/me"
    assert expand("${env.X}", X="~root/x") == "~root/x"
    assert expand("${env.X}", X="a~/b") == "a~/b"
    assert expand("${env.SET:+~/y}") == "/home/me/y"


def test_every_missing_variable_is_reported_with_its_path() -> None:
    document = {
        "providers": {"inference": [{"provider_id": "a", "config": {"url": "${env.VLLM_URL}", "n": ["${env.EMPTY}"]}}]},
        "server": {"port": "${env.PORT}"},
    }
    assert substitute(document, ENVIRON)[1] == [
        Problem(
            "providers.inference[0].config.url",
            "environment variable VLLM_URL is not set; set it or write ${env.VLLM_URL:=default}",
        ),
        Problem(
            "providers.inference[0].config.n[0]",
            "environment variable EMPTY is empty; set it or write ${env.EMPTY:=default}",
        ),
        Problem("server.port", "environment variable PORT is not set; set it or write ${env.PORT:=default}"),
    ]


def test_two_missing_variables_in_one_text_are_one_problem_that_names_both() -> None:
    found = messages({"url": "${env.ONE}/${env.TWO}/${env.ONE}"})
    assert list(found) == ["url"]
    assert found["url"].count("ONE is not set") == 1
    assert "TWO is not set" in found["url"]


def test_a_text_with_a_problem_stays_as_it_was() -> None:
    assert substitute("${env.SET}${env.NOPE}", ENVIRON)[0] == "${env.SET}${env.NOPE}"


def test_lower_case_names_are_refused_with_the_rule() -> None:
    assert "upper case (A-Z, 0-9, _)" in messages("${env.vllm_url:=x}")[""]


@pytest.mark.parametrize("text", ["${env.", "${env.SET", "a ${env.SET b", "${env.SET}${env.SET"])
def test_an_expression_that_is_not_closed_is_a_problem(text: str) -> None:
    assert "not closed" in messages(text)[""]


@pytest.mark.parametrize(
    "text", ["${env.}", "${env.SET-x}", "${env. SET}", "${env.:=x}", "${env.SET=x}", "${env.SET }"]
)
def test_other_malformed_expressions_are_problems(text: str) -> None:
    assert "not understood" in messages(text)[""]


def test_no_message_repeats_a_default_or_a_value() -> None:
    texts = ["${env.lower:=hunter2}", "${env.SET-hunter2}", "${env.SET:=hunter2", "${env.X}${env.Y:=hunter2}"]
    assert all("hunter2" not in message for text in texts for message in messages(text).values())


def test_a_disabled_entry_is_dropped_without_looking_at_the_rest_of_it() -> None:
    document = {
        "providers": {
            "inference": [
                {"provider_id": "${env.UNSET:+off}", "config": {"url": "${env.NOPE}"}},
                {"provider_id": "__disabled__", "config": {"url": "${env.NOPE}"}},
                {"provider_id": "${env.UNSET:=__disabled__}"},
                {"provider_id": "", "config": "${env.NOPE}"},
                {"provider_id": "on"},
            ]
        },
        "models": [
            {"model_id": "${env.UNSET:=}", "provider_model_id": "${env.NOPE}"},
            {"model_id": "${env.NOPE}", "provider_id": "${env.UNSET:+x}"},
            {"model_id": "m", "provider_id": None},
        ],
        "registered_resources": {"shields": [{"shield_id": "${env.UNSET+x}"}, {"shield_id": "s"}]},
    }
    assert expand(document) == {
        "providers": {"inference": [{"provider_id": "on"}]},
        "models": [{"model_id": "m", "provider_id": None}],
        "registered_resources": {"shields": [{"shield_id": "s"}]},
    }


def test_problems_after_a_dropped_entry_keep_the_index_of_the_file() -> None:
    entries = [{"provider_id": "__disabled__"}, {"provider_id": "a", "config": {"url": "${env.NOPE}"}}]
    expansion = Expansion(ENVIRON)
    assert len(expansion.value({"providers": {"inference": entries}})["providers"]["inference"]) == 1
    assert [problem.path for problem in expansion.problems] == ["providers.inference[1].config.url"]
    assert expansion.origins == {"providers.inference[0]": "providers.inference[1]"}


def test_an_entry_whose_id_needs_a_missing_variable_is_kept_and_reported() -> None:
    document = {"providers": {"inference": [{"provider_id": "${env.NOPE}", "config": {"url": "${env.GONE}"}}]}}
    assert list(messages(document)) == ["providers.inference[0].provider_id", "providers.inference[0].config.url"]


def test_lists_within_a_providers_config_are_never_thinned_out() -> None:
    document = {"providers": {"inference": [{"provider_id": "a", "config": {"models": [{"model_id": ""}]}}]}}
    assert expand(document) == document


plain = st.text(st.characters(exclude_characters="$", codec="utf-8"))
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | plain,
    lambda inner: st.lists(inner) | st.dictionaries(plain, inner),
)


@given(documents)
def test_a_document_without_expressions_comes_out_equal(document: Any) -> None:
    assert substitute({"x": document}, {}) == ({"x": document}, [])


@given(st.text())
def test_any_text_comes_out_as_a_value_or_as_a_problem(text: str) -> None:
    value, problems = substitute(f"${{env.{text}", {"A": "b"})
    assert len(problems) <= 1
    if problems:
        assert value == f"${{env.{text}"


@given(st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda text: not text.startswith("~")))
def test_what_the_environment_says_can_always_be_had_back(value: str) -> None:
    expansion = Expansion({"V": value})
    found = expansion.value({"a": "${env.V}"})["a"]
    assert expansion.texts.get("a", found) == value


@given(st.integers(-(10**17), 10**17) | st.booleans() | st.floats(-(10**6), 10**6).map(lambda x: round(x, 3)))
def test_numbers_and_booleans_survive_the_environment(value: float) -> None:
    text = str(value)
    expected = value if "e" not in text or isinstance(value, bool) else text
    assert substitute("${env.V}", {"V": text})[0] == expected
