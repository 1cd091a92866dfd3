"""The SDK's descriptions are cut to what core calls: no operation in use is missing, none that is left is unused."""

import ast
from collections.abc import Iterator
import json
from pathlib import Path
import shutil
from typing import Any

from botocore import xform_name
import botocore.loaders
from botocore.model import ServiceModel, StructureShape
import botocore.session
from hypothesis import given
from hypothesis import strategies as st
import pytest

from infra.sdk_data import MODEL, ONLY_WITH, OPERATIONS, trim_endpoints, trim_model, trim_sdk_data

ROOT = Path(__file__).resolve().parents[3]
DATA = Path(botocore.__file__).parent / "data"
LOADER = botocore.loaders.create_loader()
SERVICES = [name.partition("/")[0] for name in OPERATIONS]

OWN_METHODS = {"rerank", "create_session", "delete_session"}
"""Methods of ours that are called like an operation: reranking is signed JSON (`core/providers/bedrock/reranking.py`), sessions are those of agents."""

every_service = pytest.mark.parametrize("service", OPERATIONS)


def whole(service: str) -> dict[str, Any]:
    name, _, version = service.partition("/")
    model: dict[str, Any] = LOADER.load_service_model(name, MODEL, api_version=version)
    return model


def called() -> Iterator[tuple[str, str]]:
    """`(method, first argument if it is text)` of every call in what is deployed."""
    for path in (ROOT / "core").rglob("*.py"):
        if "cli" not in path.parts:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
                    name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
                    first = node.args[0] if node.args else None
                    text = first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""
                    yield name, text


def test_the_operations_are_those_that_core_calls() -> None:
    methods = {xform_name(name): name for service in OPERATIONS for name in whole(service)["operations"]}
    used = {text if method == "get_paginator" else method for method, text in called()} & set(methods) - OWN_METHODS
    listed = {xform_name(name) for names in OPERATIONS.values() for name in names}
    assert used == listed


def test_the_services_are_those_that_core_makes_clients_of() -> None:
    asked = {text for method, text in called() if method in {"client", "create_client", "create"} and text}
    assert asked
    assert asked <= set(SERVICES)


@every_service
def test_what_is_left_of_an_operation_is_all_of_it(service: str) -> None:
    before, after = (
        ServiceModel(model, service) for model in (whole(service), trim_model(whole(service), OPERATIONS[service]))
    )
    assert sorted(after.operation_names) == sorted(OPERATIONS[service])
    assert after.metadata == before.metadata
    assert [(each.name, each.type) for each in after.client_context_parameters] == [
        (each.name, each.type) for each in before.client_context_parameters
    ]
    for name in OPERATIONS[service]:
        old, new = before.operation_model(name), after.operation_model(name)
        assert members(old.input_shape) == members(new.input_shape)
        assert members(old.output_shape) == members(new.output_shape)
        assert [each.name for each in old.error_shapes] == [each.name for each in new.error_shapes]


def members(shape: Any, above: tuple[str, ...] = ()) -> Any:
    """A shape as nested names and types, down to where it contains itself."""
    if shape is None or shape.name in above:
        return None
    inner = (*above, shape.name)
    if isinstance(shape, StructureShape):
        return {name: members(member, inner) for name, member in shape.members.items()}
    parts = [getattr(shape, part) for part in ("member", "key", "value") if hasattr(shape, part)]
    return [shape.type_name, getattr(shape, "enum", None), *(members(part, inner) for part in parts)]


@every_service
def test_there_is_no_prose_in_what_is_left(service: str) -> None:
    text = json.dumps(trim_model(whole(service), OPERATIONS[service]))
    assert "<p>" not in text
    assert len(text) < len(json.dumps(whole(service))) / 3


NAMES = st.sampled_from("ABCDEFGH")
SHAPES = st.dictionaries(NAMES, st.lists(NAMES, max_size=3), min_size=8)


@given(SHAPES, st.lists(NAMES, min_size=1, max_size=2))
def test_shapes_are_kept_just_when_they_can_be_reached(refers: dict[str, list[str]], inputs: list[str]) -> None:
    shapes = {name: {"members": {str(i): {"shape": to} for i, to in enumerate(of)}} for name, of in refers.items()}
    model = {"operations": {f"Op{name}": {"input": {"shape": name}} for name in refers}, "shapes": shapes}
    left = trim_model(model, [f"Op{name}" for name in inputs])["shapes"]
    reached: set[str] = set()
    waiting = list(inputs)
    while waiting:
        name = waiting.pop()
        waiting += [] if name in reached else refers[name]
        reached.add(name)
    assert set(left) == reached


def test_members_that_are_called_like_a_keyword_are_kept() -> None:
    shapes = {"A": {"documentation": "prose", "members": {"documentation": {"shape": "B"}, "shape": {"shape": "B"}}}}
    model = {"operations": {"Op": {"input": {"shape": "A"}}}, "shapes": {**shapes, "B": {"type": "string"}}}
    assert trim_model(model, ["Op"])["shapes"]["A"] == {"members": shapes["A"]["members"]}


def test_every_region_of_the_services_is_left() -> None:
    before = json.loads((DATA / "endpoints.json").read_text(encoding="utf-8"))
    after = trim_endpoints(before, OPERATIONS)
    for old, new in zip(before["partitions"], after["partitions"], strict=True):
        assert (old["regions"], old["defaults"]) == (new["regions"], new["defaults"])
        assert new["services"] == {name: old["services"][name] for name in SERVICES if name in old["services"]}


def copied(folder: Path) -> Path:
    """botocore's data, of a few services alone."""
    data = folder / "data"
    for service in (*SERVICES, "sns"):
        shutil.copytree(DATA / service, data / service)
    for path in DATA.glob("*.json"):
        shutil.copy(path, data)
    return data


def test_a_cut_loader_knows_the_services_in_use_and_no_other(tmp_path: Path) -> None:
    data = copied(tmp_path)
    trim_sdk_data(data)
    loader = botocore.loaders.Loader(extra_search_paths=[str(data)], include_default_search_paths=False)
    assert sorted(loader.list_available_services(MODEL)) == sorted(SERVICES)
    assert set(loader.load_service_model("dynamodb", MODEL)["operations"]) == set(OPERATIONS["dynamodb/2012-08-10"])
    assert loader.load_service_model("bedrock", "paginators-1")["pagination"].keys() == {
        "ListGuardrails",
        "ListInferenceProfiles",
        "ListModelInvocationJobs",
    }
    assert loader.load_data("partitions")["partitions"]
    assert not list(data.rglob("*.gz"))


def test_a_client_of_each_service_can_be_made_of_what_is_left(tmp_path: Path) -> None:
    data = copied(tmp_path)
    trim_sdk_data(data)
    session = botocore.session.Session()
    loader = botocore.loaders.Loader(extra_search_paths=[str(data)], include_default_search_paths=False)
    session.register_component("data_loader", loader)
    session.set_credentials("key", "secret")
    create: Any = session.create_client
    for service in SERVICES:
        client = create(service, region_name="eu-west-1")
        assert ".amazonaws.com" in client.meta.endpoint_url
        if service == "s3":
            assert "bucket.s3.eu-west-1" in client.generate_presigned_url(
                "get_object", {"Bucket": "bucket", "Key": "a"}
            )
        client.close()


def test_a_package_without_blobs_queue_and_secrets_has_no_description_of_their_services(tmp_path: Path) -> None:
    data = copied(tmp_path)
    trim_sdk_data(data, {"core.stores.answers.dynamodb"})
    loader = botocore.loaders.Loader(extra_search_paths=[str(data)], include_default_search_paths=False)
    assert sorted(loader.list_available_services(MODEL)) == sorted(
        {*SERVICES} - {service.partition("/")[0] for service in ONLY_WITH}
    )


def test_an_operation_that_botocore_has_no_more_stops_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(OPERATIONS, "sts/2011-06-15", ("AssumeRole", "AssumeNothing"))
    with pytest.raises(ValueError, match=r"sts/2011-06-15 has no AssumeNothing.*infra/sdk_data\.py"):
        trim_sdk_data(copied(tmp_path))


def test_a_version_that_botocore_has_no_more_stops_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPERATIONS, "sts/1999-01-01", ("AssumeRole",))
    with pytest.raises(ValueError, match="botocore has no sts/1999-01-01"):
        trim_sdk_data(copied(tmp_path))
