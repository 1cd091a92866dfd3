"""A run config is loaded whole, or every mistake in it is told at once, at the place where the user made it."""

from pathlib import Path
from typing import Any

import pytest

from core.config.document import ProviderEntry
from core.config.load import interpret, load
from core.config.problems import ConfigInvalid
from core.config.records import SqliteStore
from core.config.security import AuthProviderEntry
from tests.unit.config.documents import loaded, problems, provider

OLLAMA = """\
version: 2
conda_env: ollama
apis: [agents, inference, vector_io, safety, telemetry]
providers:
  inference:
    - provider_id: ollama
      provider_type: remote::ollama
      config:
        url: ${env.OLLAMA_URL:http://localhost:11434}
  safety:
    - provider_id: llama-guard
      provider_type: inline::llama-guard
      config: {}
metadata_store:
  namespace: null
  type: sqlite
  db_path: ${env.SQLITE_STORE_DIR:~/.llama/distributions/ollama}/registry.db
models:
  - metadata: {}
    model_id: ${env.INFERENCE_MODEL}
    provider_id: ollama
    provider_model_id: null
shields: []
server:
  port: 8321
  auth:
    provider_type: "kubernetes"
    config:
      api_server_url: "https://kubernetes.default.svc"
"""


def test_the_example_of_the_reference_is_loaded(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(OLLAMA)
    found = load(file, {"INFERENCE_MODEL": "llama3.2:3b", "HOME": "/home/me"})
    assert found.problems == []
    assert found.config is not None
    assert found.config.name == "ollama"
    assert found.config.apis == ("agents", "inference", "vector_io", "safety", "telemetry")
    assert found.config.providers["inference"] == (
        ProviderEntry(provider_id="ollama", provider_type="remote::ollama", config={"url": "http://localhost:11434"}),
    )
    assert found.config.metadata_store == SqliteStore(db_path="/home/me/.llama/distributions/ollama/registry.db")
    assert found.config.resources["models"][0]["model_id"] == "llama3.2:3b"
    assert found.config.server.auth is not None
    assert found.config.server.auth.providers == (
        AuthProviderEntry(type="kubernetes", config={"api_server_url": "https://kubernetes.default.svc"}),
    )


def test_every_kind_of_mistake_is_reported_in_one_go(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("""\
version: 3
image_name: demo
distro_name: other
modelsx: []
apis: [inference, inferense]
providers:
  models: []
  inference:
    - {provider_id: "${env.UNSET:+off}", provider_type: remote::vllm, config: {url: "${env.GONE}"}}
    - {provider_id: a, provider_type: remote::vllm, config: {url: "${env.VLLM_URL}"}}
    - {provider_id: a, provider_type: remote::vllm, konfig: {}}
    - {provider_id: b}
models:
  - {model_id: m, provider_id: c}
  - {model_id: m, metaadata: {}}
  - {model_id: e, model_type: embedding}
metadata_store: {type: redis, host: h}
server: {port: abc, port: many, auth: custom, tls_cafile: x}
logging: {level: loud}
registry: {cache_seconds: -1}
""")
    found = load(file, {})
    assert found.config is None
    assert (
        str(ConfigInvalid("run.yaml", found.problems))
        == """\
run.yaml: 18 problems
  server.port: is given twice, on line 18 and on line 18
  providers.inference[1].config.url: environment variable VLLM_URL is not set; \
set it or write ${env.VLLM_URL:=default}
  modelsx: unknown key `modelsx`; did you mean `models`?
  distro_name: differs from `image_name`, which means the same; keep one of them
  providers.models: Provider for `models` is automatically provided and cannot be overridden
  apis[1]: unknown API `inferense`; did you mean `inference`?
  models[1].metaadata: unknown key `metaadata`; did you mean `metadata`?
  models[2]: an embedding model must have an embedding_dimension, a whole number, in its metadata
  version: must be 2, got 3
  providers.inference[2].konfig: unknown key `konfig`; did you mean `config`?
  providers.inference[3].provider_type: is required
  server.auth: must be a mapping
  metadata_store.type: `redis` is not served here; use sqlite or dynamodb
  registry.cache_seconds: must be at least 0, got -1
  logging.level: must be 'debug', 'info', 'warning', 'error' or 'critical', got 'loud'
  providers.inference[2].provider_id: `a` is already used by providers.inference[1].provider_id
  models[1].model_id: `m` is already used by models[0].model_id
  models[0].provider_id: no inference provider is called `c` (configured: a, b)"""
    )


@pytest.mark.parametrize("value", [None, [], {}, 5, "x", [None], {"a": None}])
@pytest.mark.parametrize(
    "key",
    [
        "version",
        "apis",
        "providers",
        "models",
        "registered_resources",
        "storage",
        "server",
        "metadata_store",
        "registry",
        "logging",
        "external_providers_dir",
        "container_image",
        "image_name",
        "vector_stores",
        "safety",
    ],
)
def test_no_shape_of_any_section_makes_loading_fail(key: str, value: Any) -> None:
    found = interpret({"image_name": "x", key: value}, {})
    assert (found.config is None) == bool(found.problems)
    assert list(found.provider_entries()) == []


def test_a_missing_variable_is_the_only_problem_at_its_place_and_above() -> None:
    found = problems(
        providers={"inference": [provider("${env.ID}")]},
        server={"port": "${env.PORT}"},
        metadata_store={"type": "${env.STORE}"},
        models=[
            {"model_id": "m", "provider_id": "a"},
            {"model_id": "e", "model_type": "embedding", "metadata": {"embedding_dimension": "${env.DIM}"}},
        ],
    )
    assert set(found) == {
        "providers.inference[0].provider_id",
        "server.port",
        "metadata_store.type",
        "models[1].metadata.embedding_dimension",
    }
    assert all("environment variable" in message for message in found.values())


def test_well_formed_providers_can_be_had_although_others_are_not() -> None:
    entries = [provider("a"), {"provider_id": "b"}, 5, provider("c")]
    found = loaded(providers={"inference": entries, "safety": 5}, server={"port": 0})
    assert found.config is None
    assert [(api, path, entry.provider_id) for api, path, entry in found.provider_entries()] == [
        ("inference", "providers.inference[0]", "a"),
        ("inference", "providers.inference[3]", "c"),
    ]


def test_problems_are_at_the_place_in_the_spelling_of_the_user() -> None:
    found = problems(
        image_name=[1],
        storage={"backends": {"kv": {"type": "kv_sqlite", "db_pth": "x"}}, "stores": {"metadata": {"backend": "kv"}}},
        registered_resources={"models": [{"model_id": "${env.OFF:=}"}, {"model_id": "m", "provider_id": "nope"}]},
    )
    assert set(found) == {
        "image_name",
        "storage.backends.kv.db_path",
        "storage.backends.kv.db_pth",
        "registered_resources.models[1].provider_id",
    }
    assert "did you mean `db_path`?" in found["storage.backends.kv.db_pth"]


def test_ids_are_unique_within_an_api_and_within_a_section_only() -> None:
    fine = problems(
        providers={"inference": [provider("a"), provider("b")], "safety": [provider("a")]},
        models=[{"model_id": "x", "provider_id": "a"}],
        shields=[{"shield_id": "x", "provider_id": "a"}],
    )
    assert fine == {}
    twice = problems(
        providers={"inference": [provider("a"), provider("a")]}, models=[{"model_id": "x"}, {"model_id": "x"}]
    )
    assert set(twice) == {"providers.inference[1].provider_id", "models[1].model_id"}


def test_a_resource_of_an_unknown_provider_is_told_the_known_ones() -> None:
    found = problems(
        providers={"inference": [provider("vllm-0"), provider("vllm-1")], "safety": [provider("vllm")]},
        models=[{"model_id": "x", "provider_id": "vllm"}],
        datasets=[{"dataset_id": "d", "provider_id": "p"}],
    )
    assert "did you mean `vllm-" in found["models[0].provider_id"]
    assert "(configured: vllm-0, vllm-1)" in found["models[0].provider_id"]
    assert "(configured: none)" in found["datasets[0].provider_id"]


def test_a_file_that_cannot_be_read_is_one_problem(tmp_path: Path) -> None:
    found = load(tmp_path / "none.yaml", {})
    assert (found.config, found.document) == (None, {})
    assert [str(problem) for problem in found.problems] == ["there is no such file"]


def test_a_document_that_contains_itself_is_a_problem_and_not_a_crash(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("image_name: x\nserver: &again\n  auth: *again\n")
    (problem,) = load(file, {}).problems
    assert "aliases stand for" in str(problem)


def test_folders_are_in_the_home_directory_in_document_and_config_alike() -> None:
    found = loaded({"HOME": "/home/me"}, external_providers_dir="~/providers")
    assert found.config is not None
    assert found.config.external_providers_dir == found.document["external_providers_dir"] == "/home/me/providers"


def test_a_key_given_twice_is_enough_to_refuse_the_file(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("image_name: x\n" * 3)
    found = load(file, {})
    assert found.config is None
    assert [problem.path for problem in found.problems] == ["image_name"]
    assert found.document["name"] == "x"


def test_provider_entries_are_validated_once() -> None:
    provider = {"provider_id": "a", "provider_type": "remote::x"}
    found = loaded({}, apis=["inference"], providers={"inference": [provider]})
    assert found.provider_entries() is found.provider_entries()
    assert [(api, path, entry.provider_id) for api, path, entry in found.provider_entries()] == [
        ("inference", "providers.inference[0]", "a")
    ]
