"""The tables hold what they promise: methods exist, routes are unique, the document is valid, the house is kept."""

import ast
from collections.abc import Iterator
import inspect
from pathlib import Path
import re

from openapi_spec_validator import OpenAPIV31SpecValidator
import pytest

from core.apis.index import all_manifests, kinds, manifest, names, route_rows
from core.config.sections import SECTIONS, WITHOUT_SECTIONS
from core.errors import ApiError
from core.frame.api import WORKER, Surface
from core.frame.dotted import load
from core.frame.openapi import document
from core.frame.operations import Operation
from core.frame.types import Query
from core.resolution.check import config_class
from core.resolution.provider_types import BUILT_IN
from core.stores.connect import KINDS, STATE

ROOT = Path(__file__).parents[2]
OPERATIONS = [
    pytest.param(surface, operation, id=f"{surface.name}-{operation.call}")
    for api in all_manifests()
    for surface in api.surfaces
    for operation in surface.operations
]


@pytest.mark.parametrize(("surface", "operation"), OPERATIONS)
def test_an_operation_names_methods_of_its_protocol(surface: Surface, operation: Operation) -> None:
    for name in filter(None, (operation.call, operation.stream)):
        signature = inspect.signature(getattr(load(surface.protocol), name))
        path_parameters = [
            part.strip("{}").removesuffix(":path") for part in operation.paths[0].split("/") if "{" in part
        ]
        expected = ["request"] if operation.request or operation.read else []
        named = [name for name in ("query", "upload") if getattr(operation, name)]
        assert list(signature.parameters)[1:] == [*expected, *path_parameters, *named]
        if operation.request is not None and operation.read is None:
            assert is_type(signature.parameters["request"].annotation, operation.request_type())
        if operation.query is not None:
            assert is_type(signature.parameters["query"].annotation, load(operation.query))


def is_type(annotation: object, wanted: object) -> bool:
    """By its name where it is imported for type checkers alone."""
    return annotation is wanted or annotation == getattr(wanted, "__name__", None)


@pytest.mark.parametrize(("surface", "operation"), OPERATIONS)
def test_an_operation_says_what_it_answers_and_promises_nothing_that_cannot_be(
    surface: Surface, operation: Operation
) -> None:
    assert operation.response is not None or operation.reply != "json", surface.name
    assert operation.event is not None or operation.stream is None
    kinds = [load(name) for name in (operation.query,) if name is not None]
    assert all(issubclass(kind, Query) for kind in kinds)
    if operation.idempotent:  # its body is read whole, and its answer kept whole
        assert operation.request is not None
        assert operation.upload is None
        assert operation.reply != "bytes"


@pytest.mark.parametrize("name", names())
def test_what_a_manifest_names_is_there(name: str) -> None:
    api = manifest(name)
    assert api.name == name
    dotted = [api.assemble, api.provider, *(operation.tokens for s in api.surfaces for operation in s.operations)]
    dotted += [
        text for s in api.surfaces for operation in s.operations for text in (operation.failure, operation.parts)
    ]
    dotted += [operation.read for s in api.surfaces for operation in s.operations]
    fields = ("body", "checked", "present", "response", "alternates", "beside")
    dotted += [getattr(kind, text) for kind in api.kinds for text in fields]
    assert all(callable(load(text)) for text in dotted if text)
    methods = [text for kind in api.kinds for text in (kind.listing, kind.check) if text]
    assert api.provider is not None or not methods
    assert all(callable(getattr(load(api.provider or ""), method)) for method in methods)
    assert all(other in names() for other in api.depends)
    assert set(api.occasional) <= set(api.depends)
    assert all(callable(load(row.kind)) for row in api.jobs)
    stores = {*api.stores, *api.optional_stores}
    assert stores <= set(STATE)
    assert not api.jobs or {"jobs", "queue"} <= stores


def test_what_principals_keep_is_erased_wherever_it_is() -> None:
    """An API with documents has an eraser, which reaches each collection that no other reaches; the stack's own stores are all looked at."""
    kept = {name for api in all_manifests() for name in api.collections}
    reached = [name for api in all_manifests() if api.eraser for name in api.eraser.collections]
    assert sorted(reached) == sorted(kept)
    assert all(set(api.eraser.collections) <= set(api.collections) for api in all_manifests() if api.eraser)
    assert all(callable(load(api.eraser.pieces)) for api in all_manifests() if api.eraser)
    walked = (ROOT / "core/resolution/erasure/sources.py").read_text("utf-8")
    by_erasers = {"documents", "queue"}  # a message goes when it is delivered: it says which job, and no more
    stay = {"audit"}  # who changed what is an administrator's doing, and no data of a principal's: docs/adr/0113
    assert {kind.name for kind in KINDS if re.search(rf"\b{kind.name.upper()}\b", walked)} == {
        k.name for k in KINDS
    } - by_erasers - stay


def test_an_api_is_a_manifest_and_a_function_and_its_kinds_are_what_the_reference_calls_them() -> None:
    modules = {path.stem for path in (ROOT / "functions").glob("[!_]*.py")}
    assert names() == tuple(sorted(modules - {WORKER}))
    assert not [kind for name in WITHOUT_SECTIONS for kind in manifest(name).kinds]
    for kind in kinds():
        section = SECTIONS[kind.section]
        assert (section.api, section.id_field) == (kind.api, kind.id_field)


def test_the_guard_alone_asks_the_policy() -> None:
    """Others have it decide; `llambda policy` explains a policy, and resolution makes one."""
    importing = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "core").rglob("*.py")
        if re.search(r"from core\.routing\.policy import .*\bPolicy\b", path.read_text("utf-8"))
    }
    assert importing == {"core/cli/policy.py", "core/resolution/resolve.py", "core/routing/guard.py"}


def test_no_two_rows_answer_the_same_request() -> None:
    rows = [(row.method, row.path) for row in route_rows(names())]
    assert len(rows) == len(set(rows))


def test_the_openapi_document_is_valid_and_complete() -> None:
    rows = list(route_rows(names()))
    made = document("1", rows)
    OpenAPIV31SpecValidator(made).validate()
    assert sum(len(item) for item in made["paths"].values()) == len(rows)
    schema = made["components"]["schemas"]["ChatRequest"]
    assert set(schema["required"]) == {"model", "messages"}


def test_the_openapi_document_says_where_the_stack_is_and_who_needs_a_token() -> None:
    rows = list(route_rows(["admin"]))
    for has_tokens in (True, False):
        made = document("1", rows, has_tokens=has_tokens)
        OpenAPIV31SpecValidator(made).validate()
        assert made["servers"][0]["url"] == "."
        assert made["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
        assert made["security"] == ([{"bearer": []}] if has_tokens else [])
        assert made["paths"]["/v1/ready"]["get"]["security"] == []
        assert "security" not in made["paths"]["/v1/providers"]["get"]


def test_every_built_in_provider_has_a_config_and_a_connect() -> None:
    from importlib import import_module

    for spec in BUILT_IN:
        assert config_class(spec).model_json_schema()
        assert callable(vars(import_module(spec.module))["connect"])


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
