"""Older and newer spellings of one thing become one; two that disagree are a problem."""

from typing import Any

import pytest

from core.config.normalize import NormalDocument, normalise
from core.config.places import Places
from core.config.sections import REFUSED, ROUTED_APIS, SECTIONS, UNUSED


def spelled(**document: Any) -> NormalDocument:
    return normalise({"image_name": "x"} | document, Places())


def problems(**document: Any) -> dict[str, str]:
    return {problem.path: problem.message for problem in spelled(**document).problems}


@pytest.mark.parametrize("key", ["image_name", "distro_name", "conda_env", "name"])
def test_every_spelling_of_the_name_is_the_name(key: str) -> None:
    found = normalise({key: "ollama"}, Places())
    assert found.problems == []
    assert found.document["name"] == "ollama"
    assert found.places.source_path("name") == key


def test_two_spellings_that_agree_are_fine_and_two_that_disagree_are_not() -> None:
    assert problems(distro_name="x") == {}
    assert "differs from `image_name`" in problems(distro_name="y")["distro_name"]


@pytest.mark.parametrize("document", [{}, {"image_name": None}, {"distro_name": ""}])
def test_a_name_is_required(document: dict[str, Any]) -> None:
    (problem,) = normalise(document, Places()).problems
    assert (problem.path, "is required" in problem.message) == ("image_name", True)


@pytest.mark.parametrize("given", [{}, {"apis": None}, {"apis": []}])
def test_without_apis_all_that_have_providers_are_meant(given: dict[str, Any]) -> None:
    entry = {"provider_id": "a", "provider_type": "b"}
    providers = {"inference": [entry], "safety": [], "files": None, "eval": [entry]}
    assert spelled(providers=providers, **given).document["apis"] == ["inference", "eval"]


def test_apis_that_are_served_anyway_may_be_listed_and_old_names_are_understood() -> None:
    found = spelled(apis=["models", "memory", "inference", "vector_io", "inspect"])
    assert found.problems == []
    assert found.document["apis"] == ["vector_io", "inference"]
    assert found.places.source_path("apis[1]") == "apis[2]"


def test_an_unknown_api_is_a_problem_with_the_nearest_one() -> None:
    assert problems(apis=["inference", "inferense"]) == {
        "apis[1]": "unknown API `inferense`; did you mean `inference`?"
    }
    assert problems(providers={"safetyy": []}) == {"providers.safetyy": "unknown API `safetyy`; did you mean `safety`?"}
    assert problems(providers={"memory": []}) == {"providers.memory": "`memory` is called `vector_io` now"}


@pytest.mark.parametrize(
    "api",
    ["models", "shields", "vector_dbs", "datasets", "scoring_functions", "benchmarks", "tool_groups", "inspect"],
)
def test_a_provider_for_an_automatic_api_is_refused_in_the_words_of_the_reference(api: str) -> None:
    assert problems(providers={api: [], "inference": []}) == {
        f"providers.{api}": f"Provider for `{api}` is automatically provided and cannot be overridden"
    }


@pytest.mark.parametrize("api", ROUTED_APIS)
def test_every_routed_api_may_have_providers(api: str) -> None:
    assert problems(providers={api: []}, apis=[api]) == {}


@pytest.mark.parametrize("section", SECTIONS)
def test_resources_may_be_at_the_top_or_registered(section: str) -> None:
    entry = {SECTIONS[section].id_field: "r"}
    becomes = SECTIONS[section].becomes or section
    read = {SECTIONS[becomes].id_field: "r"}
    older = spelled(**{section: [entry]})
    newer = spelled(registered_resources={section: [entry]})
    assert older.problems == newer.problems == []
    assert older.document["resources"] == newer.document["resources"] == {becomes: [read]}
    assert older.places.source_path(f"resources.{becomes}[0].x") == f"{section}[0].x"
    assert newer.places.source_path(f"resources.{becomes}[0].x") == f"registered_resources.{section}[0].x"


def test_vector_dbs_are_vector_stores_whose_keys_stand_where_they_were_written() -> None:
    old = {"vector_db_id": "a", "provider_vector_db_id": "b", "vector_db_name": "c", "provider_id": "p"}
    new = {"vector_store_id": "d", "embedding_model": "m"}
    found = spelled(vector_dbs=[old], vector_stores=[new])
    assert found.problems == []
    first = {"vector_store_id": "a", "provider_vector_store_id": "b", "vector_store_name": "c", "provider_id": "p"}
    assert found.document["resources"] == {"vector_stores": [first, new]}
    assert found.places.source_path("resources.vector_stores[0].vector_store_id") == "vector_dbs[0].vector_db_id"
    assert found.places.source_path("resources.vector_stores[1].embedding_model") == "vector_stores[0].embedding_model"


def test_vector_stores_as_a_mapping_are_the_defaults_of_all_of_them() -> None:
    defaults = {"default_provider_id": "p", "default_embedding_model": {"provider_id": "e", "model_id": "m"}}
    found = spelled(vector_stores=defaults, registered_resources={"vector_stores": [{"vector_store_id": "d"}]})
    assert found.problems == []
    assert found.document["vector_stores"] == defaults
    assert found.document["resources"] == {"vector_stores": [{"vector_store_id": "d"}]}


def test_resources_in_both_spellings_are_a_problem_unless_one_is_empty() -> None:
    models = [{"model_id": "m"}]
    assert "also" not in problems(models=[], registered_resources={"models": models})
    assert problems(models=[], registered_resources={"models": models}) == {}
    assert problems(models=models, registered_resources={"models": [], "shields": None}) == {}
    assert list(problems(models=models, registered_resources={"models": models})) == ["registered_resources.models"]


def test_resources_of_the_wrong_shape_are_problems() -> None:
    assert problems(models={"a": 1}, registered_resources={"shields": ["x"], "toolgroups": []}) == {
        "registered_resources.toolgroups": "unknown key `toolgroups`; did you mean `tool_groups`?",
        "models": "must be a list",
        "registered_resources.shields[0]": "must be a mapping",
    }
    assert problems(registered_resources=[1]) == {"registered_resources": "must be a mapping"}


def test_unknown_keys_get_the_nearest_spelling_that_is_understood() -> None:
    assert problems(modelsx=[], zzz=1) == {
        "modelsx": "unknown key `modelsx`; did you mean `models`?",
        "zzz": "unknown key `zzz`",
    }


@pytest.mark.parametrize("path", [path for path in UNUSED if not path.startswith("server.")])
def test_keys_of_the_reference_without_effect_are_accepted_and_kept(path: str) -> None:
    document: Any = {"a": 1}
    for key in reversed(path.split(".")):
        document = {key: document}
    found = spelled(**document)
    assert found.problems == []
    assert found.document["unused"] == {path: {"a": 1}}


def test_server_keys_without_effect_are_set_aside_and_dangerous_ones_refused() -> None:
    found = spelled(server={"port": 1, "workers": 4, "tenancy": {"mode": "multi"}, "tls_config": None})
    assert found.document["server"] == {"port": 1}
    assert found.document["unused"] == {"server.workers": 4}
    assert [problem.path for problem in found.problems] == ["server.tenancy"]
    assert all(path.startswith("server.") for path in REFUSED)


def test_state_is_in_the_home_directory_unless_the_config_says_where() -> None:
    assert spelled().document["metadata_store"] == {"type": "sqlite", "db_path": "~/.llambda/x/registry.db"}
    store = {"type": "dynamodb", "table": "t"}
    assert spelled(metadata_store=store).document["metadata_store"] == store


def storage(used: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    stores = {"metadata": {"backend": "kv"} | metadata, "inference": {"backend": "sql", "table_name": "t"}}
    return {"backends": {"kv": used, "sql": {"type": "sql_sqlite", "db_path": "s"}}, "stores": stores}


@pytest.mark.parametrize(
    ("backend", "store"),
    [
        ({"type": "kv_sqlite", "db_path": "k"}, {"type": "sqlite", "db_path": "k", "namespace": "n"}),
        ({"type": "kv_dynamodb", "table": "t"}, {"type": "dynamodb", "table": "t", "namespace": "n"}),
    ],
)
def test_the_newest_spelling_of_the_store_is_understood(backend: dict[str, Any], store: dict[str, Any]) -> None:
    found = spelled(storage=storage(backend, namespace="n"))
    assert found.problems == []
    assert found.document["metadata_store"] == store
    assert found.places.source_path("metadata_store.db_path") == "storage.backends.kv.db_path"
    assert found.places.source_path("metadata_store.namespace") == "storage.stores.metadata.namespace"


@pytest.mark.parametrize(
    ("given", "path", "words"),
    [
        (storage({"type": "kv_redis"}), "storage.backends.kv.type", "`kv_redis` is not served here"),
        (storage({"type": ["kv_sqlite"]}), "storage.backends.kv.type", "not served here"),
        (storage({}), "storage.backends.kv.type", "is required"),
        (storage({}, backend="kw"), "storage.stores.metadata.backend", "one of the backends (kv, sql)"),
        (storage({}, backend=["kv"]), "storage.stores.metadata.backend", "one of the backends"),
        ({"stores": {"metadata": {"backend": "kv"}}}, "storage.stores.metadata.backend", "(none)"),
        ({"backend": {}}, "storage.backend", "did you mean `backends`?"),
        ({"stores": {"metadatax": {}}}, "storage.stores.metadatax", "did you mean `metadata`?"),
        ({"backends": [1]}, "storage.backends", "must be a mapping"),
        ([1], "storage", "must be a mapping"),
    ],
)
def test_storage_that_cannot_be_used_is_a_problem_at_its_place(given: Any, path: str, words: str) -> None:
    found = problems(storage=given)
    assert list(found) == [path]
    assert words in found[path]


def test_storage_without_a_metadata_store_leaves_the_default() -> None:
    found = spelled(storage={"backends": {}, "stores": {"inference": {}}})
    assert found.problems == []
    assert found.document["metadata_store"]["type"] == "sqlite"


def test_the_store_in_both_spellings_is_a_problem() -> None:
    given = storage({"type": "kv_sqlite", "db_path": "k"})
    assert list(problems(storage=given, metadata_store={"type": "sqlite"})) == ["storage.stores.metadata"]
