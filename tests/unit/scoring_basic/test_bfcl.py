"""Calls in Python, Java and JavaScript against those that were expected, as the leaderboard compares them."""

from collections.abc import Iterator
import json
import sys
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.errors import InvalidRequest, ProviderUnavailable
from core.providers.scoring_basic import bfcl_source
from core.providers.scoring_basic.bfcl_calls import NoCall
from core.providers.scoring_basic.bfcl_python import read_python_calls
from tests.unit.scoring_basic.basic_rows import score


def described(name: str, required: list[str] | None = None, **kinds: str) -> dict[str, Any]:
    """A kind is a type, or `array of TYPE`."""
    properties: dict[str, Any] = {}
    for parameter, kind in kinds.items():
        outer, _, inner = kind.partition(" of ")
        properties[parameter] = {"type": outer, **({"items": {"type": inner}} if inner else {})}
    needed = list(kinds) if required is None else required
    return {
        "name": name,
        "description": "",
        "parameters": {"type": "dict", "properties": properties, "required": needed},
    }


def row_of(answer: str, functions: Any, expected: Any, **change: Any) -> dict[str, Any]:
    return {
        "id": "simple_7",
        "language": "Python",
        "function": json.dumps(functions),
        "ground_truth": json.dumps(expected),
        "generated_answer": answer,
        **change,
    }


async def one(answer: str, kind: str, possible: list[Any], language: str = "Python") -> float:
    """A call of `f` whose argument `a` is of this type, and may have these values."""
    row = row_of(answer, [described("f", ["a"], a=kind)], [{"f": {"a": possible}}], language=language)
    return float((await score("bfcl", row))["score"])


@pytest.mark.parametrize(
    ("answer", "kind", "possible"),
    [
        ("[f(a=5)]", "integer", [5]),
        ("f(a=5)", "integer", [4, 5]),
        ("[f(a=-5)]", "integer", [-5]),
        ("[f(a=2*3+1-2)]", "integer", [5]),
        ("[f(a=7//2%2)]", "integer", [1]),
        ("[f(a=5)]", "float", [5.0]),
        ("[f(a=1/4)]", "float", [0.25]),
        ("[f(a=True)]", "boolean", [True]),
        ("[f(a='April 1, 2024')]", "string", ["april 1 2024"]),
        ("[f(a='it\\'s')]", "string", ['it"s']),
        ("[f(a=[1, 2])]", "array of integer", [[1, 2]]),
        ("[f(a=[])]", "array of integer", [[1], []]),
        ("[f(a=[1, 'x'])]", "array", [[1, "x"]]),
        ("[f(a=[])]", "array of integer", [[1], ""]),
        ("[f(a=['A b'])]", "array of string", [["ab"]]),
        ("[f(a=(1, 2))]", "tuple of integer", [[1, 2]]),
        ("[f(a=[1, 'x'])]", "array of any", [["1", "x"], [1, "x"]]),
        ("[f(a={'k': 'V'})]", "dict", [{"k": ["v", "w"]}]),
        ("[f(a={'k': 1})]", "dict", ["", {"k": [1], "l": [2, ""]}]),
        ("[f(a=[{'k': 1}, {'k': 2}])]", "array of dict", [[{"k": [1]}, {"k": [2]}]]),
        ("[f(a=x)]", "integer", ["x"]),
        ("[f(a=[x])]", "array of integer", [["x"]]),
        ("[f(a=g(1))]", "string", ["g(1)"]),
        ("[f(a=g(b=1))]", "dict", [{"g": [{"b": 1}]}]),
        ("[f(a=x[0])]", "string", ["x[0]"]),
        ("[f(a=...)]", "string", ["..."]),
        ("[f({'a': 5})]", "integer", [5]),
        ("[f(\na=5\n)]", "integer", [5]),
        ("'[f(a=5)]'", "integer", [5]),
        ("[f(a=1)]", "any", [1]),
        ("[f(a={x: 1})]", "dict", [{"x": [1]}]),
    ],
)
async def test_an_argument_in_python_has_one_of_its_values(answer: str, kind: str, possible: list[Any]) -> None:
    assert await one(answer, kind, possible) == 1.0


@pytest.mark.parametrize(
    ("answer", "kind", "possible"),
    [
        ("[f(a=6)]", "integer", [5]),
        ("[f(a=5.0)]", "integer", [5]),
        ("[f(a=True)]", "integer", [1]),
        ("[f(a='5')]", "integer", [5]),
        ("[f(a=5)]", "string", ["5"]),
        ("[f(a='x')]", "string", ["y", ""]),
        ("[f(a=[1, 'x'])]", "array of integer", [[1, 2]]),
        ("[f(a=[2, 1])]", "array of integer", [[1, 2]]),
        ("[f(a=[[1]])]", "array of integer", [[1]]),
        ("[f(a={'k': 1, 'l': 2})]", "dict", [{"k": [1]}]),
        ("[f(a={})]", "dict", [{"k": [1]}]),
        ("[f(a={'k': 2})]", "dict", [{"k": [1]}]),
        ("[f(a=[{'k': 1}])]", "array of dict", [[{"k": [1]}, {"k": [2]}]]),
        ("[f(a=[1])]", "array of dict", [[{"k": [1]}]]),
        ("[f(a=y)]", "integer", ["x"]),
        ("[f(a=5)]", "money", [5]),
        ("[f(b=5)]", "integer", [5]),
        ("[f(a=5, b=1)]", "integer", [5]),
        ("[f()]", "integer", [5]),
        ("[g(a=5)]", "integer", [5]),
        ("[f(5)]", "integer", [5]),
        ("[f(a=5), f(a=5)]", "integer", [5]),
        ("[]", "integer", [5]),
        ("", "integer", [5]),
        ("I would call f with 5.", "integer", [5]),
        ("5", "integer", [5]),
        ("[f(a=5]", "integer", [5]),
        ("[f(a=1/0)]", "integer", [5]),
        ("[f(a=9**9)]", "integer", [387420489]),
        ("[f(a='a'*3)]", "string", ["aaa"]),
        ("[f(a=lambda: 1)]", "string", ["lambda: 1"]),
        ("[f(a=not 1)]", "boolean", [False]),
        ("[f(a=__import__('os').getcwd())]", "integer", [5]),
        ("[f(**{'a': 5})]", "integer", [5]),
        ("[f(a={**x})]", "dict", [{}]),
        (f"[f(a={'9' * 5000})]", "integer", [5]),
        (f"[f(a={'9' * 4000}*{'9' * 4000})]", "integer", [5]),
        (f"[f(a={'9' * 400})]", "float", [5.0]),
        (f"[f(a={'-' * 15_000}1)]", "integer", [1]),
        (f"[f(a={'[' * 5_000}{']' * 5_000})]", "array of any", [[]]),
        (f"[f(a='{'x' * 20_000}')]", "string", ["x" * 20_000]),
    ],
    ids=range(41),
)
async def test_what_is_no_such_call_in_python_is_wrong(answer: str, kind: str, possible: list[Any]) -> None:
    assert await one(answer, kind, possible) == 0.0


@pytest.mark.parametrize(
    ("value", "kind", "possible"),
    [
        ("5", "integer", [5]),
        ("-5", "short", [-5]),
        ("5L", "long", [5]),
        ("5", "long", ["5"]),
        ("1.5f", "float", [1.5]),
        ("1.5", "float", ["1.5"]),
        ("1.5e3", "double", [1500.0]),
        ("true", "boolean", [True]),
        ("'c'", "char", ["c"]),
        ('"a b"', "String", ["AB"]),
        ("Foo.BAR", "String", ["Foo.BAR"]),
        ("x", "integer", ["x"]),
        ("new int[]{1, 2}", "Array of integer", [[1, 2]]),
        ("new int[]{1, 3}", "Array", [[1, 3]]),
        ("new int[]{}", "Array of integer", [[]]),
        ("new String[2]", "Array of String", [[]]),
        ('new ArrayList<>(Arrays.asList("a", "b"))', "ArrayList of String", [["a", "b"]]),
        ("List.of(1, 2)", "ArrayList of integer", [[1, 2]]),
        ("new ArrayList<Integer>() {{ add(1); add(2); }}", "ArrayList of integer", [[1, 2]]),
        ("new ArrayList<Integer>()", "ArrayList of integer", [[]]),
        ('new HashMap<String, Integer>() {{ put("k", 1); put("l", 2); }}', "HashMap", [{"k": [1], "l": [2]}]),
        ("new HashMap<>()", "HashMap", [{}]),
        ("5", "any", [5]),
        ("5L", "any", [5]),
        ("1.5f", "any", [1.5]),
        ("false", "any", [False]),
        ('"5"', "any", ["5"]),
        ("new int[]{1}", "any", [[1]]),
        ("new Foo(1, 2)", "any", ["new Foo(1, 2)"]),
    ],
)
async def test_an_argument_in_java_is_read_by_its_type(value: str, kind: str, possible: list[Any]) -> None:
    assert await one(f"f(a = {value})", kind, possible, "Java") == 1.0
    assert await one(f"[f(a={value});]", kind, possible, "java") == 1.0
    assert await one(f"f(a = {value})", kind, ["another", [["another"]]], "Java") == 0.0


@pytest.mark.parametrize(
    ("value", "kind", "possible"),
    [
        ("5", "integer", [5]),
        ("5n", "Bigint", [5]),
        ("5", "float", [5.0]),
        ("-1.5", "float", [-1.5]),
        ("true", "Boolean", [True]),
        ("'a'", "String", ["a"]),
        ('"a"', "String", ["A"]),
        ("x.y", "String", ["x.y"]),
        ("[1, 2]", "array of integer", [[1, 2]]),
        ("new Array(1, 2)", "array of integer", [[1, 2]]),
        ("[]", "array of integer", [[]]),
        ("{k: 'v', 'l m': 2}", "dict", [{"k": ["v"], "l m": [2]}]),
        ("[{k: 1}, {k: 2}]", "array of dict", [[{"k": [1]}, {"k": [2]}]]),
        ("{k: [1, 'x']}", "dict", [{"k": [[1, "x"]]}]),
        ("10n", "any", [10]),
        ("`t`", "any", ["`t`"]),
    ],
)
async def test_an_argument_in_javascript_is_read_by_its_type(value: str, kind: str, possible: list[Any]) -> None:
    assert await one(f"f(a={value})", kind, possible, "JavaScript") == 1.0
    assert await one(f"f(a={value})", kind, ["another", [["another"]]], "JavaScript") == 0.0


@pytest.mark.parametrize("language", ["Java", "JavaScript"])
@pytest.mark.parametrize(
    "answer",
    [
        "",
        "f(",
        "text that is none",
        "f(5)",
        "f(a = 5, a = 5)",
        "f(a = 5, b = 6)",
        "g.f(a = 5)",
        "x = 1;",
        f"f(a = {'(' * 5_000}5{')' * 5_000})",
        f"f(a = '{'x' * 20_000}')",
    ],
    ids=range(10),
)
async def test_what_is_no_such_call_in_source_is_wrong(language: str, answer: str) -> None:
    assert await one(answer, "integer", [5], language) == 0.0


async def test_deep_lists_in_source_end() -> None:
    deep = "[" * 3_000 + "]" * 3_000
    assert await one(f"f(a={deep})", "array of any", [[]], "JavaScript") == 0.0


async def test_java_calls_have_the_names_of_their_classes() -> None:
    functions = [described("com.Foo.bar", a="integer")]
    row = row_of("com.Foo.bar(a = 5)", functions, [{"com.Foo.bar": {"a": [5]}}], language="Java")
    assert (await score("bfcl", row))["score"] == 1.0


async def test_parallel_calls_may_come_in_any_order_each_once() -> None:
    functions = [described("m.f", a="integer"), described("g", b="string")]
    expected = [{"m.f": {"a": [1]}}, {"m.f": {"a": [2]}}, {"g": {"b": ["x"]}}]
    for answer, result in (
        ("[g(b='x'), m.f(a=2), m.f(a=1)]", 1.0),
        ("[g(b='x'), m.f(a=1), m.f(a=1)]", 0.0),
        ("[m.f(a=2), m.f(a=1)]", 0.0),
        ("[g(b='x'), m.f(a=2), m.f(a=1), g(b='x')]", 0.0),
    ):
        assert (await score("bfcl", row_of(answer, functions, expected, id="parallel_multiple_0")))["score"] == result


async def test_one_call_is_not_two_that_were_expected() -> None:
    twice = [{"f": {"a": [1]}}, {"f": {"a": [1]}}]
    for answer, result in (("[f(a=1), f(a=3)]", 0.0), ("[f(a=1), f(a=1)]", 1.0)):
        row = row_of(answer, [described("f", a="integer")], twice, id="parallel_0")
        assert (await score("bfcl", row))["score"] == result


async def test_an_argument_that_may_be_left_out_says_so_by_an_empty_text() -> None:
    functions = [described("f", ["a"], a="integer", b="integer")]
    for possible, result in (([1, ""], 1.0), ([1], 0.0)):
        row = row_of("[f(a=5)]", functions, [{"f": {"a": [5], "b": possible}}])
        assert (await score("bfcl", row))["score"] == result


async def test_an_expected_function_that_nobody_described_is_called_by_nobody() -> None:
    functions = [described("f", a="integer"), described("g", a="integer")]
    assert (await score("bfcl", row_of("[h(a=5)]", functions, [{"h": {"a": [5]}}])))["score"] == 0.0
    assert (await score("bfcl", row_of("[h(a=5)]", functions[:1], [{"h": {"a": [5]}}])))["score"] == 0.0


@pytest.mark.parametrize(
    ("identifier", "answer", "result"),
    [
        ("irrelevance_3", "I cannot help.", 1.0),
        ("irrelevance_3", "[]", 1.0),
        ("irrelevance_3", "[f(a=1)]", 0.0),
        ("live_irrelevance_3-1-0", "no", 1.0),
        ("live_relevance_1-0-0", "[f(a='whatever')]", 1.0),
        ("live_relevance_1-0-0", "no", 0.0),
        ("live_simple_1-0-0", "[f(a=5)]", 1.0),
    ],
)
@pytest.mark.parametrize("expected", [None, "", [{"f": {"a": [5]}}]])
async def test_relevance_is_whether_there_is_a_call_at_all(
    identifier: str, answer: str, result: float, expected: Any
) -> None:
    row = row_of(answer, [described("f", a="integer")], [], id=identifier, ground_truth=expected)
    if identifier.startswith("live_simple") and not expected:
        result = 0.0
    assert (await score("bfcl", row))["score"] == result


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"language": "Ruby"}, "There is no language 'Ruby': it is one of Python, Java, JavaScript"),
        ({"function": "{"}, "'function' is not JSON"),
        ({"function": '[{"name": 1}]'}, "'function' is not a list of functions"),
        ({"ground_truth": '[{"f": {"a": 5}}]'}, "'ground_truth' is not a list of calls"),
        ({"ground_truth": '[{"f": {}, "g": {}}]'}, "'ground_truth' is not a list of calls"),
        ({"ground_truth": '["f"]'}, "'ground_truth' is not a list of calls"),
        ({"ground_truth": "{}"}, "'ground_truth' is not a list of calls"),
        ({"ground_truth": [{"f": {}}] * 65}, "'ground_truth' is not a list of calls"),
        ({"generated_answer": None}, "'generated_answer' is not a text"),
    ],
)
async def test_a_row_of_calls_that_cannot_be_read_is_refused(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        await score("bfcl", row_of("[f(a=5)]", [described("f", a="integer")], [{"f": {"a": [5]}}], **change))


async def test_columns_may_hold_what_their_json_says() -> None:
    function = described("f", a="integer")
    row = row_of("[f(a=5)]", [], [], function=function, ground_truth=[{"f": {"a": [5]}}])
    assert (await score("bfcl", row))["score"] == 1.0


@pytest.fixture
def no_tree_sitter() -> Iterator[None]:
    """An environment without the extra."""
    modules: dict[str, Any] = sys.modules  # None is what Python takes for a module that is not there
    bfcl_source.find_parser.cache_clear()
    module = modules.pop("tree_sitter", None)
    modules["tree_sitter"] = None
    yield
    del modules["tree_sitter"]
    if module is not None:
        modules["tree_sitter"] = module
    bfcl_source.find_parser.cache_clear()


@pytest.mark.usefixtures("no_tree_sitter")
async def test_without_the_extra_java_and_javascript_say_so_and_python_goes_on() -> None:
    for language in ("Java", "JavaScript"):
        with pytest.raises(ProviderUnavailable, match=r"pip install 'llambda\[bfcl\]'"):
            await one("f(a = 5)", "integer", [5], language)
    assert await one("[f(a=5)]", "integer", [5]) == 1.0


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(0, 1e9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(arguments=st.dictionaries(st.from_regex(r"[a-z]{1,5}_", fullmatch=True), VALUES, max_size=4))
def test_what_python_writes_is_read_as_it_was(arguments: dict[str, Any]) -> None:
    text = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    (call,) = read_python_calls(f"[m.f({text})]")
    assert (call.name, call.arguments) == ("m.f", arguments)


@given(text=st.text(st.sampled_from("fg(){}[]=,.'\"5-+*/:x \n"), max_size=40))
async def test_no_answer_is_too_odd_to_be_read(text: str) -> None:
    for language in ("Python", "Java", "JavaScript"):
        assert await one(text, "integer", [5], language) in {0.0, 1.0}


def test_a_text_in_quotes_is_no_call() -> None:
    with pytest.raises(NoCall):
        read_python_calls("'f(a=1)', 5")
