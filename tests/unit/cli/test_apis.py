"""`llambda apis`: every operation of both generations is there once, and served is what has a route of that very path."""

from collections import Counter
import json

from click.testing import CliRunner, Result
import pytest

from core.apis.index import names, route_rows
from core.cli.apis import GENERATIONS, command, compare, count, status

ROUTES = {(row.method, row.path) for row in route_rows(names())}
OPERATIONS = {(operation.method, operation.path): operation for operation in compare().operations}


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


def statuses(method: str, path: str) -> list[str]:
    return [status(OPERATIONS[method, path], generation) for generation in GENERATIONS]


@pytest.mark.parametrize(("generation", "total"), [("0.2", 107), ("1.5", 106)])
def test_a_generation_has_each_of_its_operations_once(generation: str, total: int) -> None:
    places = Counter((op.method, op.places[generation].path) for op in OPERATIONS.values() if generation in op.places)
    assert len(places) == total
    assert set(places.values()) == {1}
    assert count(OPERATIONS.values(), generation)[1] == total
    assert len(OPERATIONS) == len(compare().operations)


def test_what_has_no_parameters_is_served_where_there_is_a_route_of_this_very_path() -> None:
    for operation in OPERATIONS.values():
        assert operation.places
        for place in operation.places.values():
            assert "{" in place.path or place.is_served == ((operation.method, place.path) in ROUTES), place


def test_the_names_of_parameters_do_not_matter() -> None:
    assert ("GET", "/v1/models/{model_id:path}") in ROUTES
    assert statuses("GET", "/v1/models/{model_id}") == ["yes", "yes"]
    assert ("GET", "/v1/shields/{shield_id:path}") in ROUTES
    assert statuses("GET", "/v1/shields/{identifier}") == ["yes", "-"]


def test_a_path_under_two_prefixes_is_one_operation_whose_paths_differ() -> None:
    chat = OPERATIONS["POST", "/v1/chat/completions"]
    assert [place.path for place in chat.places.values()] == ["/v1/openai/v1/chat/completions", "/v1/chat/completions"]
    assert statuses("POST", "/v1/chat/completions") == ["yes", "yes"]
    assert chat.paths_differ
    assert not OPERATIONS["GET", "/v1/health"].paths_differ


def test_beyond_are_the_routes_that_neither_has_under_any_prefix() -> None:
    beyond = [(row.method, row.path) for row in compare().beyond]
    assert ("GET", "/v1/quota") in beyond
    assert ("POST", "/v1/moderations") in beyond
    assert not [path for _, path in beyond if path.startswith(("/v1/openai/", "/v1/models", "/v1alpha/"))]
    assert set(beyond) <= ROUTES


def test_the_table_has_a_line_for_each_api_and_fits() -> None:
    lines = run().output.splitlines()
    assert {line.split()[0] for line in lines[1:-2]} == {op.api for op in OPERATIONS.values()} | {"all"}
    served, total = count(OPERATIONS.values(), "1.5")
    assert next(line for line in lines if line.startswith("all ")).endswith(f" {served} of {total}")
    assert max(map(len, lines)) <= 80


def test_all_has_a_line_for_each_operation_and_fits() -> None:
    lines = run("--all").output.splitlines()
    assert len([line for line in lines if line.startswith(("yes ", "no ", "- "))]) == len(OPERATIONS)
    assert "yes   -     POST   /v1/safety/run-shield" in lines
    assert "yes   yes   GET    /v1/responses*" in lines
    assert "-     no    POST   /v1alpha/file-processors/process (deprecated)" in lines
    assert "  POST   /v1/moderations" in lines
    assert max(map(len, lines)) <= 80


def test_one_api_is_listed_alone() -> None:
    output = run("--api", "safety").output
    assert output == "0.2   1.5\n\nsafety\nyes   -     POST   /v1/safety/run-shield\n"


def test_an_api_that_there_is_not_is_a_mistake_with_the_nearest_name() -> None:
    mistake = run("--api", "infrence")
    assert mistake.exit_code == 2
    assert "no API `infrence`; did you mean `inference`?" in mistake.output


def test_json_has_everything() -> None:
    document = json.loads(run("--json").output)
    assert [generation["operations"] for generation in document["generations"]] == [107, 106]
    chat = {
        "api": "inference",
        "method": "POST",
        "0.2": {"path": "/v1/openai/v1/chat/completions", "served": True},
        "1.5": {"path": "/v1/chat/completions", "served": True},
        "deprecated": False,
    }
    assert chat in document["operations"]
    assert len(document["operations"]) == len(OPERATIONS)
    quota = {
        "api": "admin",
        "method": "GET",
        "path": "/v1/quota",
        "summary": "What is left of your quota?",
    }
    assert quota in document["beyond"]
    safety = json.loads(run("--json", "--api", "safety").output)
    assert (len(safety["operations"]), safety["beyond"]) == (1, [])
