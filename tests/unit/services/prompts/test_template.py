"""Variables of prompts: what is one, what is put in and is not read again, and what is refused."""

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from core.errors import InvalidRequest
from core.services.prompts.template import check_variables, fill, find_variables

NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,5}", fullmatch=True)
PLAIN = st.text("ab {}\n", max_size=8).filter(lambda text: "{{" not in text and "}}" not in text)
PIECES = st.lists(st.one_of(PLAIN.map(lambda text: (text, "")), NAMES.map(lambda name: ("", name))), max_size=8)


@settings(max_examples=40)
@given(
    pieces=PIECES,
    values=st.dictionaries(NAMES, st.text("{} ab", max_size=12)),
    blanks=st.sampled_from(["", " ", "\n "]),
)
def test_each_variable_becomes_its_value_once_and_all_else_stays(
    pieces: list[tuple[str, str]], values: dict[str, str], blanks: str
) -> None:
    # Between a brace and a variable there is a `|`: `{{{` would begin another one.
    text = "|".join(plain or f"{{{{{blanks}{name}{blanks}}}}}" if name else plain for plain, name in pieces)
    names = list(dict.fromkeys(name for _, name in pieces if name))
    assert find_variables(text) == names == check_variables(text, None)
    given_values = {name: values.get(name, "{{ a }}") for name in names}
    expected = "|".join(given_values[name] if name else plain for plain, name in pieces)
    assert fill(text, names, given_values) == expected


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{{ a.b }} {{ }} {a} {{ a b }} { { a } }", []),
        ("{{a}}{{ a }}{{\tb\n}}", ["a", "b"]),
        ("{{ größe }}", ["größe"]),
        ("{{{a}}}", ["a"]),
    ],
)
def test_a_variable_is_one_word_in_two_braces(text: str, names: list[str]) -> None:
    assert find_variables(text) == names


def test_a_name_may_be_declared_for_a_later_version_but_not_left_out() -> None:
    assert check_variables("Hello", ["name", "name"]) == ["name"]
    with pytest.raises(InvalidRequest, match=r"the text has `b`; add them to `variables`") as refused:
        check_variables("{{ a }} {{ b }}", ["a"])
    assert refused.value.param == "variables"
    with pytest.raises(InvalidRequest, match="`a b` cannot be in a text"):
        check_variables("", ["a b"])


def test_values_are_those_of_the_text_and_the_declaration() -> None:
    assert fill("{{ a }}", ["a", "later"], {"a": "1", "later": "2"}) == "1"
    assert fill("{{ a }}", ["a", "later"], {"a": "1"}) == "1"
    with pytest.raises(InvalidRequest, match="the prompt needs `a`, `b`; give a value for each"):
        fill("{{ a }} {{ b }}", ["a", "b"], {})
    with pytest.raises(InvalidRequest, match="the prompt has no `c`; it has `a`"):
        fill("{{ a }}", ["a"], {"a": "", "c": ""})
    with pytest.raises(InvalidRequest, match="the prompt has no `c`; it has none"):
        fill("", [], {"c": ""})


def test_thousands_of_variables_are_looked_up_and_a_refusal_tells_of_the_first() -> None:
    names = [f"v{number}" for number in range(14_000)]
    text = "".join(f"{{{{{name}}}}}" for name in names)
    assert check_variables(text, None) == names
    assert fill(text, names, dict.fromkeys(names, "x")) == "x" * len(names)
    with pytest.raises(
        InvalidRequest, match=r"the prompt has no `w0`, .*`w9` and 199,990 more; it has `v0`"
    ) as refused:
        fill(text, names, {f"w{number}": "" for number in range(200_000)})
    assert len(refused.value.message) < 1000


def test_a_long_value_is_not_put_in_a_thousand_times() -> None:
    with pytest.raises(InvalidRequest, match="has 100,000,100,000 characters, and may have 10,000,000") as refused:
        fill("{{a}}" * 20_000, ["a"], {"a": "y" * 5_000_000})
    assert refused.value.param == "prompt.variables"
