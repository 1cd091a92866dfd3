"""The mapping `vector_stores` of a run config: what a new store is, unless it says otherwise."""

from typing import Any

import pytest

from core.apis.manifests.vector_io import DECLARED
from core.config.load import interpret
from core.resolution.stack import declared_resources

PROVIDERS: dict[str, list[dict[str, Any]]] = {
    "inference": [{"provider_id": "e", "provider_type": "remote::vllm", "config": {"url": "http://h:1"}}],
    "vector_io": [{"provider_id": "x", "provider_type": "inline::sqlite"}],
}


def problems(section: Any, **variables: str) -> dict[str, str]:
    document = {"version": 2, "image_name": "t", "providers": PROVIDERS, "vector_stores": section}
    return {problem.path: problem.message for problem in interpret(document, variables).problems}


def model(section: Any, **variables: str) -> str | None:
    document = {"version": 2, "image_name": "t", "providers": PROVIDERS, "vector_stores": section}
    config = interpret(document, variables).config
    assert config is not None
    found = config.vector_stores.default_embedding_model
    return None if found is None else found.name


def test_a_model_is_named_by_its_provider_or_by_its_id_alone() -> None:
    assert model({"default_embedding_model": {"provider_id": "e", "model_id": "a/b"}}) == "e/a/b"
    assert model({"default_embedding_model": {"model_id": "small"}}) == "small"
    assert model({}) is None


def test_a_model_whose_variable_is_not_set_is_none() -> None:
    section = {"default_embedding_model": {"provider_id": "${env.M:+e}", "model_id": "${env.M:=}"}}
    assert model(section) is None
    assert model(section, M="m") == "e/m"


@pytest.mark.parametrize(
    ("section", "path", "words"),
    [
        ({"default_provider_id": "y"}, "default_provider_id", "no vector_io provider is called `y`"),
        (
            {"default_embedding_model": {"provider_id": "f", "model_id": "m"}},
            "default_embedding_model.provider_id",
            "no inference provider is called `f`",
        ),
        ({"default_embedding_model": {"provider_id": "e"}}, "default_embedding_model.model_id", "is required"),
        ({"default_providerid": "x"}, "default_providerid", "did you mean `default_provider_id`?"),
        (
            {"file_ingestion_params": {"default_chunk_size_tokens": 100}},
            "file_ingestion_params",
            "must be at most half of default_chunk_size_tokens",
        ),
        (
            {"chunk_retrieval_params": {"default_search_mode": "fuzzy"}},
            "chunk_retrieval_params.default_search_mode",
            "",
        ),
        (
            {"file_search_params": {"header_template": "file_search: "}},
            "file_search_params.header_template",
            "{num_chunks}",
        ),
        (
            {"context_prompt_params": {"chunk_annotation_template": "{index}"}},
            "context_prompt_params.chunk_annotation_template",
            "must have {chunk.content} in it",
        ),
        (
            {"annotation_prompt_params": {"chunk_annotation_template": "{index} {chunk_text}"}},
            "annotation_prompt_params.chunk_annotation_template",
            "must have {file_id} in it",
        ),
    ],
)
def test_a_mistake_is_said_at_its_place(section: Any, path: str, words: str) -> None:
    found = problems(section)
    assert list(found) == [f"vector_stores.{path}"]
    assert words in found[f"vector_stores.{path}"]


def test_what_has_no_effect_here_is_kept_aside_and_the_rest_holds() -> None:
    section = {"default_provider_id": "x", "file_batch_params": {"max_concurrent_files_per_batch": 3}}
    document = {"version": 2, "image_name": "t", "providers": PROVIDERS, "vector_stores": section}
    config = interpret(document, {}).config
    assert config is not None
    assert config.vector_stores.default_provider_id == "x"
    assert list(config.unused) == ["vector_stores.file_batch_params"]


def test_a_declared_store_names_its_provider_by_either_spelling() -> None:
    for name, key in (("vector_dbs", "vector_db_id"), ("vector_stores", "vector_store_id")):
        entry = {key: "a", "embedding_model": "m", "provider_id": "y"}
        document = {"version": 2, "image_name": "t", "providers": PROVIDERS, name: [entry]}
        assert [problem.path for problem in interpret(document, {}).problems] == [f"{name}[0].provider_id"]
        wrong = {**document, name: [{key: "a", "embedding_dimension": 0, "provider_id": "x"}]}
        assert [problem.path for problem in interpret(wrong, {}).problems] == [f"{name}[0].embedding_dimension"]
        twice = {**document, name: [{**entry, "provider_id": "x"}] * 2}
        assert [problem.path for problem in interpret(twice, {}).problems] == [f"{name}[1].{key}"]


def test_a_declared_store_without_a_provider_has_the_defaults_one() -> None:
    stores = [{"vector_store_id": "a"}, {"vector_store_id": "b", "provider_id": "x"}]
    models = [{"model_id": "m"}]
    both = {"vector_io": [*PROVIDERS["vector_io"], {"provider_id": "z", "provider_type": "inline::faiss"}]}
    document = {"version": 2, "image_name": "t", "providers": PROVIDERS | both, "models": models}
    config = interpret(
        {**document, "vector_stores": {"default_provider_id": "z"}, "registered_resources": {"vector_stores": stores}},
        {},
    ).config
    assert config is not None
    assert [entry.get("provider_id") for entry in config.declarations("vector_stores")] == ["z", "x"]
    assert [entry.get("provider_id") for entry in config.declarations("models")] == [None]
    assert [one.provider_id for one in declared_resources(config, DECLARED)] == ["z", "x"]
    plain = interpret({**document, "vector_stores": stores}, {}).config
    assert plain is not None
    assert [one.provider_id for one in declared_resources(plain, DECLARED)] == ["x", "x"]
