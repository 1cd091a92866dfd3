"""What the deltas of a stream repeat is said once; SDKs join the texts of all of them."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core.apis.deltas import Deltas


def cleaned(*deltas: dict[str, Any]) -> list[dict[str, Any]]:
    one = Deltas()
    for delta in deltas:
        one.clean(delta)
    return list(deltas)


def piece(arguments: str, index: int | None = 0, name: str | None = None, **more: Any) -> dict[str, Any]:
    function = {"arguments": arguments, **({} if name is None else {"name": name})}
    return {"tool_calls": [{**({} if index is None else {"index": index}), "function": function, **more}]}


def joined(deltas: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Id, name and arguments of each call, as an SDK joins them."""
    calls: dict[int, list[str]] = {}
    for delta in deltas:
        for call in delta.get("tool_calls", ()):
            texts = calls.setdefault(call["index"], ["", "", ""])
            for at, text in enumerate((call.get("id"), call["function"].get("name"), call["function"]["arguments"])):
                texts[at] += text or ""
    assert sorted(calls) == list(range(len(calls)))
    return [(texts[0], texts[1], texts[2]) for _, texts in sorted(calls.items())]


def test_a_role_is_said_once() -> None:
    deltas = cleaned(*({"role": "assistant", "content": text} for text in "abc"))
    assert deltas == [{"role": "assistant", "content": "a"}, {"content": "b"}, {"content": "c"}]


def test_the_id_the_type_and_the_name_of_a_call_are_said_once() -> None:
    pieces = [piece(text, name="look", id="c1", type="function") for text in ('{"a"', ": 1}")]
    assert joined(cleaned(*pieces)) == [("c1", "look", '{"a": 1}')]
    assert "type" not in pieces[1]["tool_calls"][0]


def test_another_id_with_each_piece_is_the_same_call() -> None:
    pieces = [piece("{", name="look", id="c1"), piece("}", id="c2"), piece("", id="", name="")]
    assert joined(cleaned(*pieces)) == [("c1", "look", "{}")]


def test_calls_that_share_an_index_or_have_none_are_told_apart() -> None:
    calls = [("c1", "look", "{}"), ("c2", "look", "[]"), ("c3", "see", "1")]
    for index in (0, None):
        assert joined(cleaned(*(piece(text, index, name, id=id_) for id_, name, text in calls))) == calls
    assert len(joined(cleaned(piece("{}", None, "look"), piece("{}", None, "look")))) == 2


def test_a_piece_without_an_index_goes_on_with_the_last_call() -> None:
    pieces = [piece("{", 0, "look", id="c1"), piece("[", 1, "see", id="c2"), piece("]", None)]
    assert joined(cleaned(*pieces)) == [("c1", "look", "{"), ("c2", "see", "[]")]


ANYTHING = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=3)


@given(st.lists(st.fixed_dictionaries({}, optional={"index": ANYTHING, "id": ANYTHING, "type": ANYTHING})))
def test_whatever_an_upstream_numbers_its_calls_with_they_are_numbered(calls: list[dict[str, Any]]) -> None:
    [delta] = cleaned({"tool_calls": [call | {"function": {"name": "f", "arguments": ""}} for call in calls]})
    assert [type(call["index"]) for call in delta["tool_calls"]] == [int] * len(calls)


def test_an_id_that_comes_late_is_the_calls() -> None:
    assert joined(cleaned(piece("{", name="look", id=None), piece("}", id="c1"))) == [("c1", "look", "{}")]


@given(st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1), st.lists(st.text(), min_size=1)), max_size=4))
def test_what_openai_itself_sends_is_joined_as_before(calls: list[tuple[str, str, list[str]]]) -> None:
    pieces = [
        piece(text, at, **({} if later else {"name": name, "id": f"{id_}{at}"}))
        for at, (id_, name, texts) in enumerate(calls)
        for later, text in enumerate(texts)
    ]
    expected = [(f"{id_}{at}", name, "".join(texts)) for at, (id_, name, texts) in enumerate(calls)]
    assert joined(cleaned(*pieces)) == expected
