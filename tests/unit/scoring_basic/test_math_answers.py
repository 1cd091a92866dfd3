r"""Final answers of solutions: what is the same in another form, and what is not."""

from fractions import Fraction
import math

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.errors import InvalidRequest
from core.providers.scoring_basic.latex_values import evaluate
from core.providers.scoring_basic.math_answers import are_equal, boxed, normalize
from tests.unit.scoring_basic.basic_rows import BASIC, function_of, score, score_pair

NAME = "regex-parser-math-response"
NUMBERS = st.fractions(min_value=-1000, max_value=1000, max_denominator=1000)


@pytest.mark.parametrize(
    ("expected", "generated"),
    [
        ("42", r"So the final answer is: $\boxed{42}$. I hope it is correct."),
        (r"We have $\boxed{\frac{1}{2}}$.", r"so \boxed{0.5}."),
        (r"\frac12", r"final answer is $\boxed{\dfrac{1}{2}}$"),
        ("1/2", r"\boxed{.5}"),
        ("-3/4", r"\boxed{-0.75}"),
        (r"\frac{1}{72}", r"\boxed{\frac1{72}}"),
        (r"\frac{\pi}{2}", r"\boxed{\tfrac\pi2}"),
        ("100,000", r"\boxed{100000}"),
        ("-1,234.5", r"\boxed{-1234.5}"),
        ("5", r"\boxed{5 \text{ cm}}"),
        ("5", r"\boxed{5\%}"),
        ("5", r"\boxed{\$5}"),
        ("5", r"\boxed{5 dollars}"),
        ("4", r"\boxed{4th}"),
        ("90^\\circ", r"\boxed{90}"),
        ("90", r"\boxed{90^{\circ}}"),
        (r"\left(3, \frac{\pi}{2}\right)", r"\boxed{(3,\pi/2)}"),
        (r"2\sqrt3", r"\boxed{\sqrt{12}}"),
        (r"\sqrt[3]{8}", r"\boxed{2}"),
        (r"\frac13", r"\boxed{0.333}"),
        ("x^2+1", r"\boxed{x^2 + 1}"),
        ("5", r"\boxed{x = 5}"),
        ("a", r"\boxed{(a)}"),
        (r"\text{Evelyn}", r"\boxed{Evelyn}"),
        (r"1,\text{and}2", r"\boxed{1,,2}"),
        ("an apple", r"\boxed{apple}"),
        ("7", "7"),
        (8, "8"),
        ("6", r"The final answer is: $\boxed{6}$ Q: What is 1+1? The final answer is: $\boxed{2}$"),
        ("2", "A: 2"),
        ("3", r"\boxed 3$"),
        (r"\{1,2\}", r"\boxed{\{1, 2\}}"),
    ],
)
async def test_the_same_answer_in_another_form_is_right(expected: object, generated: str) -> None:
    assert await score_pair(NAME, expected, generated) == 1.0


@pytest.mark.parametrize(
    ("expected", "generated"),
    [
        ("1234", r"\boxed{1235}"),
        (r"\frac13", r"\boxed{0.33}"),
        (r"\frac13", r"\boxed{0.334}"),
        ("3.141", r"\boxed{3.14}"),
        ("[1,2)", r"\boxed{[1,2]}"),
        ("[1,2)", r"\boxed{(1,2)}"),
        ("(1,2)", r"\boxed{(2,1)}"),
        ("(1,2)", r"\boxed{(1,2,3)}"),
        ("12", r"\boxed{1,2}"),
        ("1", r"\boxed{1/0}"),
        ("x", r"\boxed{y}"),
        ("2^{1000000}", r"\boxed{3}"),
        ("7", "Q: 7 and more"),
        ("1", r"\boxed{1"),
        ("", r"\boxed{}1"),
        ("1" * 400, r"\boxed{3.14}"),
        ("1" * 400, r"\boxed{\pi}"),
    ],
)
async def test_another_answer_is_wrong(expected: str, generated: str) -> None:
    assert await score_pair(NAME, expected, generated) == 0.0


async def test_one_expression_finds_the_answer() -> None:
    row = {"expected_answer": "1/4", "generated_answer": "Result> 0.25 <, or 0.5"}
    params = {"type": "regex_parser", "parsing_regexes": [r"Result> (?P<X>\S+)"]}
    assert (await score(NAME, row, params))["score"] == 1.0
    for regexes, reason in (([], "0 regular"), (["a", "b"], "2 regular"), (["(?=a)"], "looks around")):
        with pytest.raises(InvalidRequest, match=reason):
            await BASIC.check_function(function_of(NAME), {"parsing_regexes": regexes})


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (r"\boxed{a} then \boxed{b}", "b"),
        (r"$\boxed{\frac{1}{2}}$ and so on}", r"\frac{1}{2}"),
        (r"\boxed {7}", "7"),
        (r"\boxed 7 $ end", "7"),
        (r"\boxed{7", ""),
        ("7", ""),
        ("7$", ""),
    ],
)
def test_the_last_box_has_the_answer(text: str, content: str) -> None:
    assert boxed(text) == content


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1+2*3", 7),
        ("(1+2)*3", 7 + 2),
        ("2^3^1", None),
        ("2^{10}", 1024),
        ("2^-1", Fraction(1, 2)),
        ("-2^2", -4),
        (r"2\cdot3\div4", Fraction(3, 2)),
        (r"\frac{1}{2}+\frac{1}{3}", Fraction(5, 6)),
        (r"\sqrt{\frac{9}{4}}", Fraction(3, 2)),
        (r"2\sqrt{2}", 2 * math.sqrt(2)),
        (r"3\pi", 3 * math.pi),
        ("2(3)", 6),
        ("1.5.", None),
        (".5", Fraction(1, 2)),
        ("3.", 3),
        ("--1", 1),
        (r"\sqrt{-1}", None),
        ("(-8)^{0.5}", None),
        (r"\frac{1}{0}", None),
        (r"\frac12", None),
        ("1 2", None),
        ("x", None),
        ("", None),
        ("(1", None),
        ("(1]", None),
        ("9^{9^{9^9}}", None),
        ("9^{999999}", None),
        ("(" * 31 + "1" + ")" * 31, None),
        ("1" * 501, None),
        ("1" * 400, int("1" * 400)),
        (r"\pi^{" + "9" * 300 + "}", None),
        ("9" * 400 + r"\pi", None),
        ("3!", None),
        ("2**3", 8),
    ],
)
def test_an_expression_comes_to_a_number_or_to_none(expression: str, value: Fraction | float | None) -> None:
    assert evaluate(expression) == (
        value if value is None else pytest.approx(value, rel=1e-12) if isinstance(value, float) else value
    )


@given(number=NUMBERS)
def test_a_fraction_is_read_as_it_is_written(number: Fraction) -> None:
    written = rf"\frac{{{number.numerator}}}{{{number.denominator}}}"
    assert evaluate(written) == number
    assert evaluate(f"{number.numerator}/{number.denominator}") == number
    assert are_equal(normalize(f"{number.numerator}/{number.denominator}"), normalize(written))


@given(number=NUMBERS, other=NUMBERS)
def test_numbers_are_added_and_multiplied_exactly(number: Fraction, other: Fraction) -> None:
    one, two = (f"({value.numerator}/{value.denominator})" for value in (number, other))
    assert evaluate(f"{one}+{two}") == number + other
    assert evaluate(f"{one}-{two}") == number - other
    assert evaluate(rf"{one}\times{two}") == number * other


@given(
    text=st.lists(
        st.sampled_from([*"0123456789abx.,/^+-*=(){}[]\\$% !", r"\frac", r"\sqrt", r"\text{", r"\pi"]),
        max_size=40,
    ).map("".join)
)
def test_no_text_is_too_odd_to_be_compared(text: str) -> None:
    form = normalize(text)
    assert are_equal(form, normalize(text))
    value = evaluate(form)
    assert value is None or math.isfinite(value) or isinstance(value, Fraction)
    are_equal(form, normalize("(1,2)"))


def test_lists_are_compared_part_by_part_a_few_levels_deep() -> None:
    assert are_equal("((1/2,x),[3])", r"((\frac{1}{2},x),[3])")
    assert not are_equal("((1/2,x),[3])", r"((\frac{1}{2},y),[3])")
    deep = "(" * 900 + "{}" + ",1)" * 900
    assert not are_equal(deep.format("1/2"), deep.format("0.5"))
    assert not are_equal("(1),(2)", "(1),(3)")


async def test_an_answer_that_is_a_book_is_compared_as_it_is() -> None:
    book = "x=1 " * 10_000
    assert await score_pair(NAME, book, book) == 1.0
    assert await score_pair(NAME, "1", book) == 0.0
    assert await score_pair(NAME, f"({'1,' * 2_000}1)", f"({'1,' * 2_000}1.0)") == 0.0
