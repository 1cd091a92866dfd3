"""The tables hold what they promise: methods exist, routes are unique, the document is valid, the house is kept."""

import ast
from collections.abc import Iterator
import inspect
from pathlib import Path
from typing import Any

from openapi_spec_validator import OpenAPIV31SpecValidator
import pytest

from core.apis import admin, configurations, inference, native, safety
from core.apis.openapi import document
from core.apis.tables import APIS, route_rows
from core.errors import ApiError
from core.frame.operations import Operation
from core.resolution.provider_types import BUILT_IN

ROOT = Path(__file__).parents[2]
PROTOCOLS: dict[str, Any] = {
    "admin": admin.Admin,
    "quota": admin.Quotas,
    "configurations": configurations.Configurations,
    "discovery": admin.Discovery,
    "inference": inference.Inference,
    "safety": safety.Safety,
    "native_inference": native.NativeInference,
}
OPERATIONS = [(s.name, operation) for api in APIS.values() for s in api.surfaces for operation in s.operations]


@pytest.mark.parametrize(("surface", "operation"), OPERATIONS)
def test_an_operation_names_methods_of_its_protocol(surface: str, operation: Operation) -> None:
    for name in filter(None, (operation.call, operation.stream)):
        parameters = list(inspect.signature(getattr(PROTOCOLS[surface], name)).parameters)[1:]
        expected = (
            ["request"] if operation.request else [p.strip("{}") for p in operation.paths[0].split("/") if "{" in p]
        )
        assert parameters == [*expected, *operation.query]
        if operation.request is not None:
            assert (
                inspect.signature(getattr(PROTOCOLS[surface], name)).parameters["request"].annotation
                is operation.request()
            )


def test_no_two_rows_answer_the_same_request() -> None:
    rows = [(row.method, row.path) for row in route_rows(APIS)]
    assert len(rows) == len(set(rows))


def test_the_openapi_document_is_valid_and_complete() -> None:
    rows = list(route_rows(APIS))
    made = document("1", rows)
    OpenAPIV31SpecValidator(made).validate()
    assert sum(len(item) for item in made["paths"].values()) == len(rows)
    schema = made["components"]["schemas"]["ChatRequest"]
    assert set(schema["required"]) == {"model", "messages"}


def test_every_built_in_provider_has_a_config_and_a_connect() -> None:
    from importlib import import_module

    for spec in BUILT_IN:
        module = vars(import_module(spec.module))
        assert module["Config"].model_json_schema()
        assert callable(module["connect"])


def errors(kind: type[ApiError] = ApiError) -> Iterator[type[ApiError]]:
    for child in kind.__subclasses__():
        yield child
        yield from errors(child)


def test_every_error_has_a_status_and_a_code_of_its_own() -> None:
    import core.web.failures as _  # noqa: F401 - it has errors too

    found = list(errors())
    assert len({kind.code for kind in found}) >= len(found) - 1  # Bug is the bare 500
    assert all(400 <= kind.status <= 599 for kind in found)


SOURCES = sorted(path for room in ("core", "functions", "infra") for path in (ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_keeps_the_budgets_of_the_house(path: Path) -> None:
    text = path.read_text("utf-8")
    tree = ast.parse(text)
    assert text.count("\n") <= 350
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 40, node.name
        if isinstance(node, ast.ExceptHandler) and path.name != "failures.py":
            assert node.type is not None
            assert getattr(node.type, "id", "") not in {"Exception", "BaseException"}


def test_init_files_are_empty_and_functions_are_wiring_only() -> None:
    for path in SOURCES:
        if path.name == "__init__.py":
            assert not path.read_text("utf-8")
        if path.parent.name == "functions":
            assert path.read_text("utf-8").count("\n") <= 15
