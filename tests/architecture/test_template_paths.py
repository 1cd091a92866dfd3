"""Which paths of API Gateway lead to a function: few, its own, and none that another serves."""

import re
from typing import Final

import pytest

from core.frame.api import RouteRow
from infra.gateway_paths import groups as groups_of
from infra.template import Function, refresh
from tests.architecture import mission
from tests.architecture.template import ROOT, Group, reached

EVERY: Final = mission.functions()


def served(**paths: list[str]) -> list[Function]:
    return [
        Function(module, module, tuple(RouteRow(module, "GET", path, "") for path in each))
        for module, each in paths.items()
    ]


def paths(every: list[Function]) -> dict[str, str]:
    """Each path and its function, without the last resort."""
    found = {group.path: group.module for group in groups_of(every)}
    assert (found.pop("/"), found.pop("/{proxy+}")) == ("admin", "admin")
    return found


def example(path: str, name: str) -> str:
    """What a request asks for, with this name where one may have slashes."""
    return re.sub(r"\{\w+(:path)?\}", lambda part: name if part[1] else "x", path)


def test_there_are_seventeen_functions() -> None:
    assert len(EVERY) == 17


@pytest.mark.parametrize("function", EVERY, ids=lambda function: function.module)
def test_every_route_of_seventeen_functions_is_reached_through_its_own(function: Function) -> None:
    groups = [Group(group.module, group.path) for group in groups_of(EVERY)]
    for row in function.rows:
        for name in ("x", "x/y", "x/search"):
            assert reached(example(row.path, name), groups).module == function.module, row.path


def test_a_function_has_a_few_paths_and_not_one_for_each_route() -> None:
    routes = sum(len({row.path for row in function.rows}) for function in EVERY)
    assert len(groups_of(EVERY)) < 0.75 * routes
    assert len(groups_of(EVERY)) < 300 / 2  # of API Gateway's 300 resources, which the segments between count to


def test_what_is_one_functions_alone_is_one_greedy_path() -> None:
    assert paths(served(a=["/v1/a", "/v1/a/{id}", "/v1/a/{id}/b"], b=["/v1/b/c"])) == {
        "/v1/a": "a",
        "/v1/a/{proxy+}": "a",
        "/v1/b/{proxy+}": "b",
    }


def test_below_a_version_nothing_is_one_functions_alone() -> None:
    assert paths(served(a=["/v1alpha/a/b", "/v1/openai/v1/a"])) == {"/v1alpha/a/{proxy+}": "a", "/v1/openai/v1/a": "a"}


def test_what_two_functions_share_is_split_where_they_part() -> None:
    shared = served(a=["/v1/x", "/v1/x/{id}", "/v1/x/{id}/a"], b=["/v1/x/{name}/b/{id}", "/v1/x/own"])
    assert paths(shared) == {
        "/v1/x": "a",
        "/v1/x/{id}": "a",
        "/v1/x/{id}/a": "a",
        "/v1/x/{id}/b/{proxy+}": "b",
        "/v1/x/own": "b",
    }


def test_a_name_with_slashes_is_greedy_beside_anothers_path() -> None:
    assert paths(served(a=["/v1/x/{id:path}"], b=["/v1/x/own"])) == {"/v1/x/{proxy+}": "a", "/v1/x/own": "b"}


def test_two_functions_cannot_serve_one_path() -> None:
    with pytest.raises(ValueError, match=r"/v1/x/\{id\} is served by a and b"):
        groups_of(served(a=["/v1/x/{id}"], b=["/v1/x/{name}"]))


def test_names_with_slashes_stand_beside_no_other_names() -> None:
    with pytest.raises(ValueError, match="/v1/x has names with slashes and without"):
        groups_of(served(a=["/v1/x/{id:path}"], b=["/v1/x/{id}/b"]))


@pytest.mark.parametrize("line", ["          # ---- end of paths\n", "  # ---- outputs of the functions"])
def test_a_part_without_its_place_is_a_mistake(line: str) -> None:
    text = (ROOT / "template.yaml").read_text("utf-8")
    with pytest.raises(ValueError, match="one place for its"):
        refresh(text.replace(line, ""), EVERY)
