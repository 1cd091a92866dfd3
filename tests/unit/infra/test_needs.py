"""What a package must have follows from the run config and the imports of core; in doubt it has more."""

import ast
import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.auth.types import TYPES
from core.config import distributions
from core.config.load import compile_json
from core.resolution.provider_types import built_in
from core.stores.connect import COUNTERS, KINDS, REGISTRY
from infra.needs import ROOT, Needs, needs, provider_types

BASE = {"mangum", "pydantic", "pydantic_core", "starlette"}
VLLM = {"provider_id": "v", "provider_type": "remote::vllm", "config": {"url": "http://u"}}
BEDROCK = {"provider_id": "b", "provider_type": "remote::bedrock"}
GUARD = {"provider_id": "g", "provider_type": "inline::llama-guard"}
SDK = {"aiobotocore", "botocore"}
HTTP = {"aiohttp"}
FUNCTIONS = ("admin", "inference", "safety")


def found(function: str = "inference", **document: Any) -> Needs:
    return needs(function, json.dumps({"version": 2, "image_name": "t", **document}))


def libraries(function: str = "inference", **document: Any) -> set[str]:
    return set(found(function, **document).libraries) - {"yarl"}  # of aiohttp's own


def auth(type_: str, **config: Any) -> dict[str, Any]:
    return {"auth": {"providers": [{"type": type_, **config}]}}


def test_without_providers_it_needs_what_serves_http() -> None:
    assert libraries() == BASE


@pytest.mark.parametrize(
    ("document", "more"),
    [
        ({"providers": {"inference": [VLLM]}}, HTTP),
        ({"providers": {"inference": [BEDROCK]}}, HTTP | SDK),
        ({"metadata_store": {"type": "dynamodb", "table": "registry"}}, SDK),
        ({"metadata_store": {"type": "sqlite", "db_path": "x.db"}}, set()),
        ({"server": auth("api_key")}, HTTP),
        ({"server": auth("cognito", user_pool_id="us-east-1_A", client_ids="c")}, HTTP | {"jwt"}),
        ({"server": {"quota": {"kvstore": {"type": "dynamodb", "table": "quota"}}}}, SDK),
        ({"server": {"quota": {"kvstore": {"type": "sqlite", "db_path": "x.db"}}}}, set()),
        ({"server": {"idempotency": {"kvstore": {"type": "dynamodb", "table": "answers"}}}}, SDK),
        ({"providers": {"safety": [GUARD]}}, set()),
        ({"providers": {"safety": [BEDROCK]}}, SDK),
    ],
)
def test_each_part_of_a_run_config_needs_its_libraries(document: dict[str, Any], more: set[str]) -> None:
    assert libraries(**document) - (BASE | more) <= HTTP
    assert libraries(**document) >= BASE | more


@pytest.mark.parametrize(
    ("access", "more"),
    [
        ({}, set()),
        ({"sigv4": {}}, SDK),
        ({"client_credentials": {"client_id": "a", "private_key": "p", "discover": True}}, {"jwt"}),
    ],
    ids=["secrets", "signatures", "assertions"],
)
def test_tools_of_mcp_servers_need_what_their_credentials_need(access: dict[str, Any], more: set[str]) -> None:
    servers = [{"url": "https://a.test", **access}]
    entry = {"provider_id": "m", "provider_type": "remote::model-context-protocol", "config": {"servers": servers}}
    assert HTTP | more <= libraries("tool_runtime", providers={"tool_runtime": [entry]}) <= BASE | HTTP | more


def test_safety_needs_no_provider_of_inference_unless_a_shield_asks_models() -> None:
    providers = {"inference": [VLLM], "safety": [{**BEDROCK}]}
    assert "core.providers.openai.inference" not in found("safety", providers=providers).modules
    providers = {"inference": [VLLM], "safety": [GUARD]}
    assert "core.providers.openai.inference" in found("safety", providers=providers).modules


def test_admin_needs_every_provider_to_ask_how_it_is() -> None:
    providers = {"inference": [VLLM], "safety": [BEDROCK]}
    modules = found("admin", providers=providers).modules
    assert {"core.providers.openai.inference", "core.providers.bedrock.safety"} <= modules


def test_the_page_is_for_the_function_that_serves_it() -> None:
    assert ["core.web.pages" in found(name).modules for name in FUNCTIONS] == [True, False, False]


def test_whatever_core_names_a_module_by_is_known_here() -> None:
    tables = [
        dict(TYPES),
        {each.module: each.module for each in built_in().values()},
        {each.config_module: each.config_module for each in built_in().values() if each.config_module},  # of the former
    ]
    known = {module for table in tables for module in table.values()}
    named = {
        node.value
        for path in sorted((ROOT / "core").rglob("*.py"))
        if "cli" not in path.parts
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("core.")
    }
    of_manifests = (
        "vector_stores",
        "response_queries",
        "tool_runtime",
        "responses",
        "conversations",
        "datasets",
        "prompts",
        "agents",
        "chats",
        "webhooks",
        "keys",
        "scoring",
        "evals",
        "audit",
    )
    named -= {f"core.apis.{room}{name}" for name in of_manifests for room in ("", "answers.")}  # before names of types
    named -= {"core.services.vector_stores.ingest.pdf_reader"}  # a process of its own, which who starts it imports too
    exist = {name for name in named if (ROOT / name.replace(".", "/")).with_suffix(".py").exists()}
    assert exist - {module for kind in KINDS for module in kind.adapters.values()} == known


def test_what_is_not_asked_for_is_not_followed() -> None:
    modules = found(providers={"inference": [VLLM]}).modules
    assert not [name for name in modules if name.startswith(("core.auth.", "core.quota.", "core.resolution.external"))]
    quota = {"quota": {"kvstore": {"type": "sqlite", "db_path": "x.db"}}}
    assert {"core.quota.quota", "core.stores.counters.sqlite"} <= found(server=quota).modules


def test_what_a_variable_switches_on_is_needed() -> None:
    switched = {**BEDROCK, "provider_id": "${env.BEDROCK_REGION:+bedrock}"}
    assert libraries(providers={"inference": [switched]}) >= SDK
    cognito = auth("${env.COGNITO_USER_POOL_ID:+cognito}", user_pool_id="${env.COGNITO_USER_POOL_ID:=}")
    assert "jwt" in libraries(server=cognito)


@pytest.mark.parametrize("name", ["${env.TYPE}", "${env.TYPE:=api_key}", "${env.TYPE:api_key}"])
def test_of_what_a_variable_chooses_all_is_needed(name: str) -> None:
    assert set(TYPES.values()) <= found(server=auth(name)).modules
    assert set(REGISTRY.adapters.values()) <= found(metadata_store={"type": name, "table": "registry"}).modules
    assert set(COUNTERS.adapters.values()) <= found(server={"quota": {"kvstore": {"type": name}}}).modules
    modules = {spec.module for (api, _), spec in built_in().items() if api == "inference"}
    assert modules <= found(providers={"inference": [{**VLLM, "provider_type": name}]}).modules


def test_where_the_external_directory_cannot_be_read_everything_is_needed() -> None:
    assert found(external_providers_dir="/not/there").everything
    assert not found().everything


def test_external_providers_are_those_of_the_functions_own_apis(tmp_path: Path) -> None:
    spec = {"adapter_type": "acme", "module": "acme", "config_class": "acme.Config"}
    for api in ("inference", "safety"):
        (tmp_path / "remote" / api).mkdir(parents=True)
        (tmp_path / "remote" / api / "acme.yaml").write_text(json.dumps({"adapter": spec}))
    acme = {"provider_id": "a", "provider_type": "remote::acme"}

    def external(function: str, *providers: Any) -> set[tuple[str, str]]:
        entries = {"inference": list(providers), "safety": [acme]}
        found_ = found(function, providers=entries, external_providers_dir=str(tmp_path))
        assert not found_.everything
        assert "core.resolution.external.spec_files" in found_.modules
        assert "core.providers.bedrock.inference" not in found_.modules
        return {(each.api, each.provider_type) for each, _ in found_.external}

    assert external("safety", acme) == {("safety", "remote::acme")}
    assert external("admin", acme) == {("inference", "remote::acme"), ("safety", "remote::acme")}
    assert external("inference", VLLM) == {("safety", "remote::acme")}  # shields around models
    assert not found(providers={"inference": [VLLM]}).external


def test_what_an_external_provider_imports_of_core_is_needed() -> None:
    run_config = json.dumps({"version": 2, "image_name": "t"})
    assert needs("inference", run_config, {"core.providers.http.upstream", "numpy"}).libraries >= HTTP
    assert "numpy" not in needs("inference", run_config, {"numpy"}).libraries


def test_the_names_of_llama_stack_are_packed_with_external_providers_and_a_client_with_those_that_import_one() -> None:
    acme = {"provider_id": "a", "provider_type": "remote::acme", "module": "acme"}
    run_config = json.dumps({"version": 2, "image_name": "t", "providers": {"inference": [acme]}})
    project = "core.resolution.external.reference"
    own = needs("safety", run_config, {"yaml"}).modules
    assert {f"{project}.{name}" for name in ("adapt", "names", "rows", "helpers", "specs", "registry")} <= own
    assert not {name for name in own if name.endswith((".mixin", "openai.compatible"))}
    mixed = needs("safety", run_config, {"llama_stack.providers.utils.inference.openai_mixin.OpenAIMixin"}).modules
    assert {f"{project}.mixin", "core.providers.openai.compatible"} <= mixed
    assert not {name for name in found().modules if name.startswith("core.resolution.external")}


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("name", distributions.names())
def test_every_distribution_can_be_built_and_yaml_is_for_laptops(name: str, function: str) -> None:
    needed = needs(function, compile_json(distributions.find(name)))
    assert needed.libraries >= BASE
    assert not needed.libraries & {"yaml", "uvicorn", "infra", "core", "boto3"}
    assert not any(module.startswith("core.cli") for module in needed.modules)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.sampled_from(["api_key", "dynamodb", "${env.X}", "${env.", ""]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "kvstore", "providers"]), inner)
    ),
    max_leaves=8,
)
KEYS = st.sampled_from(["providers", "server", "metadata_store", "apis", "external_providers_dir", "storage"])


@given(st.dictionaries(KEYS, JSON))
def test_a_document_of_any_shape_needs_no_less_than_an_empty_one(document: dict[str, Any]) -> None:
    assert found(**document).libraries >= BASE


def test_provider_types_are_those_whose_libraries_are_there() -> None:
    config = json.dumps({"version": 2, "image_name": "t", "providers": {"inference": [VLLM], "safety": [GUARD]}})
    small = needs("admin", config).libraries
    types = provider_types("admin", config, small)
    assert {"inference/remote::vllm", "inference/remote::groq", "safety/inline::llama-guard"} <= set(types)
    assert not any("bedrock" in each for each in types)
    assert "inference/remote::bedrock" in provider_types("admin", config, small | SDK | {"yarl"})


def test_keeping_answers_needs_to_know_who_calls() -> None:
    answers = {"server": {"idempotency": {"kvstore": {"type": "sqlite", "db_path": "x.db"}}}}
    kept = {"core.web.idempotency", "core.quota.identity"}
    assert kept <= needs("inference", json.dumps(answers)).modules
    assert not kept & needs("inference", "{}").modules


@pytest.mark.parametrize("function", ["inference", "admin", "worker"])
def test_forms_are_read_where_an_operation_has_an_upload(function: str) -> None:
    found = needs(function, "{}")
    assert "core.web.uploads" not in found.modules
    assert "python_multipart" not in found.libraries


@pytest.mark.parametrize(
    ("token", "needed"),
    [
        ("aws-secretsmanager:vllm", True),
        ("aws-ssm:/vllm#token", True),
        ("${env.TOKEN:=none}", True),  # which may be a reference
        ("as-it-is", False),
    ],
)
def test_the_sdk_is_there_for_a_secret_that_the_run_config_can_name(token: str, *, needed: bool) -> None:
    vllm = {**VLLM, "config": {"url": "http://u", "api_token": token}}
    assert (libraries(providers={"inference": [vllm]}) >= SDK) == needed
    modules = found(providers={"inference": [vllm]}).modules
    assert ("core.platform.aws_secrets" in modules) == needed


@pytest.mark.parametrize(
    ("provider_type", "config", "drivers"),
    [
        ("remote::pgvector", {"host": "h"}, {"asyncpg"}),
        ("remote::pgvector", {"resource_arn": "${env.CLUSTER}", "secret_arn": "s"}, set()),
        ("remote::s3-vectors", {"vector_bucket": "b"}, set()),
        ("${env.VECTORS}", {}, {"asyncpg"}),
    ],
    ids=range(4),
)
def test_a_driver_is_packaged_where_the_run_config_names_a_connection(
    provider_type: str, config: dict[str, Any], drivers: set[str]
) -> None:
    entry = {"provider_id": "v", "provider_type": provider_type, "config": config}
    assert libraries("vector_io", providers={"vector_io": [entry], "inference": [VLLM]}) & {"asyncpg"} == drivers


HUB = {"provider_id": "huggingface", "provider_type": "remote::huggingface", "config": {}}
LOCAL = {"provider_id": "localfs", "provider_type": "inline::localfs", "config": {}}


def test_parquet_is_read_by_the_worker_alone() -> None:
    document = {
        "apis": ["datasetio", "files", "batches"],
        "providers": {"datasetio": [LOCAL, HUB], "files": [LOCAL], "inference": [VLLM]},
    }
    assert "arro3" in libraries("worker", **document)
    others = {name: libraries(name, **document) for name in ("admin", "datasetio", "files", "batches", "inference")}
    assert not [name for name, needed in others.items() if "arro3" in needed]
    assert "arro3" not in libraries("worker", apis=["inference"], providers={"inference": [VLLM]})
