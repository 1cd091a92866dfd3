"""What tools are called: every name fits every client, holds in every environment, and is taken from nobody."""

from hypothesis import given
from hypothesis import strategies as st

from core.apis.tools import GroupTool, Tool
from core.services.mcp.naming import NAME, full_name, is_full, may_be_of, names_of, store_name

WORDS = st.one_of(
    st.sampled_from(["a", "b", "search", "search_x", "builtin::web", "ü", "", "a" * 70]), st.text(max_size=80)
)
TOOLS = st.lists(
    st.tuples(st.sampled_from(["op::1", "op::2", "mine", "yours", "a" * 90]), WORDS), unique=True, max_size=12
)
OPERATORS = frozenset({"op::1", "op::2"})


def tools_of(pairs: list[tuple[str, str]]) -> list[GroupTool]:
    return [GroupTool(group, Tool(name)) for group, name in pairs]


@given(TOOLS, st.booleans())
def test_every_tool_has_one_name_that_every_client_takes(pairs: list[tuple[str, str]], whole: bool) -> None:  # noqa: FBT001
    names = names_of(tools_of(pairs), OPERATORS, whole=whole)
    assert sorted((tool.group, tool.tool.name) for tool in names.values()) == sorted(pairs)
    assert all(NAME.fullmatch(name) for name in names)


@given(TOOLS, TOOLS, st.booleans())
def test_what_callers_register_changes_no_name_of_the_operators(
    pairs: list[tuple[str, str]],
    more: list[tuple[str, str]],
    whole: bool,  # noqa: FBT001
) -> None:
    def operators(pairs: list[tuple[str, str]]) -> dict[str, str]:
        names = names_of(tools_of(pairs), OPERATORS, whole=whole)
        return {name: tool.full_name for name, tool in names.items() if tool.group in OPERATORS}

    strangers = [pair for pair in more if pair[0] not in OPERATORS and pair not in pairs]
    assert operators([*pairs, *strangers]) == operators(pairs)


@given(WORDS, WORDS)
def test_a_full_name_leads_to_its_group(group: str, name: str) -> None:
    assert is_full(full_name(group, name))
    assert may_be_of(full_name(group, name), group)


def test_a_callers_tool_has_its_bare_name_only_where_it_can_be_nobody_elses() -> None:
    mine = tools_of([("mine", "translate"), ("mine", "search_web")])
    assert set(names_of(mine, OPERATORS, whole=True)) == {"translate", full_name("mine", "search_web")}
    assert "translate" not in names_of(mine, OPERATORS, whole=False)
    assert "translate" not in names_of([*mine, *tools_of([("yours", "translate")])], OPERATORS, whole=True)


def test_two_of_the_operators_tools_of_one_name_have_their_full_names() -> None:
    names = names_of(tools_of([("op::1", "find"), ("op::2", "find"), ("op::2", "fetch")]), OPERATORS, whole=True)
    assert set(names) == {full_name("op::1", "find"), full_name("op::2", "find"), "fetch"}
    assert full_name("op::1", "find").startswith("op_1_find_")


def test_a_store_is_called_by_an_id_that_the_stack_or_the_operator_gave() -> None:
    assert store_name("vs_0a1b", "Guide", declared=False) == "search_vs_0a1b"
    assert store_name("docs", "", declared=True) == "search_docs"
    assert store_name("docs", "Guide", declared=False).startswith("search_Guide_")
    assert store_name("my docs", "", declared=True).startswith("search_my_docs_")
    assert store_name("x", "", declared=False) != store_name("y", "", declared=False)


def test_a_tool_that_is_called_as_anothers_full_name_is_listed_by_its_own() -> None:
    forged = full_name("ops", "get")
    tools = [GroupTool("ops", Tool("get")), GroupTool("mine", Tool(forged))]
    names = names_of(tools, {"ops", "mine"}, whole=True)
    assert {name: tool.group for name, tool in names.items()} == {"get": "ops", full_name("mine", forged): "mine"}
