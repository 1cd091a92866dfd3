"""What of a run config is served otherwise than it is written is a note; what cannot be there is a mistake, by where it is served."""

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner
import pytest
import yaml

from core.cli.config import validate
from core.config.load import Loaded, interpret
from core.resolution.check import check, checked_config, notices
from core.resolution.deployment import unshared_stores, without_disk
from core.resolution.provider_types import BUILT_IN, built_in

VLLM = {"provider_id": "v", "provider_type": "remote::vllm", "config": {"url": "http://h:1"}}
EMBEDDED = [spec.provider_type for spec in BUILT_IN if spec.on_lambda]
CLUSTER = "arn:aws:rds:us-east-1:123456789012:cluster:vectors"
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:vectors"
DYNAMO = {"type": "dynamodb", "table": "registry"}
SHARED: dict[str, Any] = {
    "backends": {
        "state": {"type": "kv_dynamodb", "table": "state"},
        "blobs": {"type": "blob_s3", "bucket": "blobs"},
        "jobs": {"type": "queue_sqs", "url": "https://sqs.us-east-1.amazonaws.com/123456789012/jobs"},
    },
    "stores": {"documents": {"backend": "state"}, "blobs": {"backend": "blobs"}, "queue": {"backend": "jobs"}},
}


def loaded(providers: dict[str, Any], **more: Any) -> Loaded:
    document = {"version": 2, "image_name": "t", "providers": {"inference": [VLLM], **providers}, **more}
    return interpret(document, {"HOME": "/home/me"})


def vectors(kind: str = "inline::sqlite", **config: Any) -> dict[str, Any]:
    return {"vector_io": [{"provider_id": "x", "provider_type": kind, "config": config}]}


def texts(found: Any) -> dict[str, str]:
    return {one.path: one.message for one in found}


def test_an_api_of_the_reference_that_is_not_here_is_a_note_with_its_providers_and_resources() -> None:
    telemetry = [{"provider_id": "a", "provider_type": "inline::meta-reference", "config": {"anything": 1}}]
    tuner = [{"provider_id": "tuner", "provider_type": "inline::torchtune"}]
    apis = ["telemetry", "inference", "models"]
    found = loaded({"telemetry": telemetry, "post_training": tuner}, apis=apis)
    assert found.problems + check(found) == []
    said = texts(notices(found))
    assert list(said) == ["apis[0]", "providers.post_training"]
    assert said["apis[0]"].startswith("API `telemetry` is not in this build, which serves: ")


def test_that_a_worker_goes_on_with_responses_has_a_note_where_there_is_none() -> None:
    config = {"background": "auto", "foreground_seconds": 60}
    builtin = {"responses": [{"provider_id": "b", "provider_type": "inline::builtin", "config": config}]}
    stores = {kind: place for kind, place in SHARED["stores"].items() if kind != "queue"}
    place = "providers.responses[0].config.background"
    for storage, said in ((SHARED, False), ({**SHARED, "stores": stores}, True)):
        found = loaded(builtin, storage=storage, metadata_store=DYNAMO)
        assert found.problems + check(found, "lambda") == []
        assert (place in texts(notices(found, "lambda"))) is said


def test_what_a_provider_of_responses_says_without_effect_is_a_note_and_its_state_that_of_the_stack() -> None:
    store = {"type": "sqlite", "db_path": "/tmp/agents.db"}  # noqa: S108 - no file is made
    config = {
        "persistence_store": store,
        "moderation_endpoint": "https://m.example",
        "memory_config": {"enabled": False},
    }
    more = {"vector_stores_config": {"x": 1}, "retention": {"retention_seconds": 7200, "enabled": False}}
    builtin = [{"provider_id": "b", "provider_type": "inline::builtin", "config": {**config, **more}}]
    found = loaded({"responses": builtin})
    assert found.problems + check(found) == []
    place = "providers.responses[0].config."
    assert list(texts(notices(found))) == [f"{place}moderation_endpoint", f"{place}vector_stores_config"]
    assert "storage.stores.documents" in texts(notices(found, "lambda"))[f"{place}persistence_store"]
    alone = interpret({"version": 2, "image_name": "t", "providers": {"responses": builtin}}, {})
    assert "need API `inference`" in texts(check(alone))["providers.responses"]


def test_a_bound_of_batches_that_is_not_kept_to_is_a_note() -> None:
    entry = {"provider_id": "b", "provider_type": "inline::reference", "config": {"max_concurrent_batches": 2}}
    notes = texts(notices(loaded({"batches": [entry]})))
    assert list(notes) == ["providers.batches[0].config.max_concurrent_batches"]
    assert "server.quota.max_batches" in notes["providers.batches[0].config.max_concurrent_batches"]
    assert texts(notices(loaded({"batches": [{**entry, "config": {}}]}))) == {}


def test_a_key_of_judges_that_nobody_is_asked_with_is_a_note() -> None:
    def notes_of(key: str | None) -> dict[str, str]:
        config = {"openai_api_key": key}
        entry = {"provider_id": "b", "provider_type": "inline::braintrust", "config": config}
        return texts(notices(loaded({"scoring": [entry]})))

    notes = notes_of("sk-secret")
    assert list(notes) == ["providers.scoring[0].config.openai_api_key"]
    assert "keys of their providers" in notes["providers.scoring[0].config.openai_api_key"]
    assert "secret" not in str(notes)
    assert notes_of("") == notes_of(None) == {}


def test_an_api_that_nobody_has_is_a_mistake() -> None:
    assert "apis[0]" in texts(loaded({}, apis=["inferense"]).problems)


@pytest.mark.parametrize("kind", EMBEDDED)
def test_types_that_stand_for_the_embedded_store_say_so_and_cannot_be_on_lambda(kind: str) -> None:
    found = loaded(vectors(kind))
    place = "providers.vector_io[0].provider_type"
    assert texts(notices(found)).keys() == ({place} if kind != "inline::sqlite" else set())
    assert check(found) == []
    assert texts(check(found, "lambda"))[place].endswith("use remote::s3-vectors")
    assert texts(notices(found, "lambda")) == {}


def test_in_a_function_what_a_caller_registers_is_held_to_what_can_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "admin")
    assert texts(check(loaded(vectors()))).keys() == {"providers.vector_io[0].provider_type"}


def test_folders_and_stores_of_files_have_no_effect_on_lambda_and_the_build_takes_folders_out() -> None:
    config = {"storage_dir": "./files", "metadata_store": {"type": "sqlite", "db_path": "f.db"}, "ttl_secs": 3600}
    entry = {"provider_id": "f", "provider_type": "inline::localfs", "config": config}
    found = loaded({"files": [entry]}, metadata_store=DYNAMO, storage=SHARED)
    assert check(found, "lambda") == list(unshared_stores(found)) == []
    assert list(texts(notices(found, "lambda"))) == [
        "providers.files[0].config.storage_dir",
        "providers.files[0].config.metadata_store",
    ]
    rows = {**entry, "config": {"storage_dir": "./rows"}}
    (said,) = texts(notices(loaded({"datasetio": [rows]}, metadata_store=DYNAMO, storage=SHARED), "lambda")).values()
    assert "`lsfs:`" in said  # nothing but what may be read from there
    built = without_disk({"providers": {"files": [entry], "inference": [VLLM]}, "x": 1}, built_in())
    assert built["providers"]["files"][0]["config"] == {name: config[name] for name in ("metadata_store", "ttl_secs")}
    assert (built["providers"]["inference"], built["x"]) == ([VLLM], 1)


@pytest.mark.parametrize("document", [{}, {"providers": None}, {"providers": {"files": "x", "inference": [1, None]}}])
def test_the_build_leaves_what_it_does_not_understand_to_whoever_says_what_is_wrong(document: dict[str, Any]) -> None:
    assert without_disk(document, built_in()) == document


def test_stores_of_one_machine_are_mistakes_where_an_api_that_is_served_uses_them() -> None:
    assert list(texts(unshared_stores(loaded({}, metadata_store=DYNAMO)))) == []
    unshared = texts(unshared_stores(loaded(vectors("remote::s3-vectors", vector_bucket="bucket"))))
    assert list(unshared) == [
        "metadata_store",
        *(f"storage.stores.{name}" for name in ("documents", "blobs", "jobs", "queue")),
    ]


@pytest.mark.parametrize(
    ("config", "more", "file"),
    [
        ({"db_path": "~/v.db"}, {}, "~/v.db"),
        ({}, {}, "/home/me/.llambda/t/vectors.db"),
        ({}, {"metadata_store": {"type": "sqlite", "db_path": "/s/registry.db"}}, "/s/vectors.db"),
        ({"kvstore": {"type": "sqlite", "db_path": "/f/faiss_store.db"}}, {}, "/f/vectors.db"),
        (
            {"persistence": {"namespace": "vector_io::faiss", "backend": "kv"}},
            {"storage": {"backends": {"kv": {"type": "kv_sqlite", "db_path": "/k/kv.db"}}, "stores": {}}},
            "/k/vectors.db",
        ),
        (
            {},
            {"metadata_store": {"type": "sqlite", "db_path": "/s/registry.db", "namespace": "a/b"}},
            "/s/a%2Fb/vectors.db",
        ),
        ({}, {"metadata_store": DYNAMO}, "~/.llambda/vectors.db"),
    ],
    ids=["its own", "the default", "beside the state", "kvstore", "a backend", "a namespace", "a table"],
)
def test_vectors_are_where_the_run_config_says_or_beside_the_state(
    config: dict[str, Any], more: dict[str, Any], file: str
) -> None:
    found = loaded(vectors("inline::faiss", **config), **more)
    assert found.problems == []
    [(_, path, entry)] = [row for row in found.provider_entries() if row[0] == "vector_io"]
    record: Any = checked_config(found, path, entry, built_in()["vector_io", "inline::faiss"])[0]
    assert record.file == Path(file).expanduser()


def test_the_command_prints_notes_and_knows_both_targets(tmp_path: Path) -> None:
    document = {"version": 2, "image_name": "t", "apis": ["agents", "inference", "vector_io"]}
    document["providers"] = {"inference": [VLLM], **vectors("inline::faiss")}
    document["metadata_store"] = {"type": "sqlite", "db_path": str(tmp_path / "registry.db")}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(document))
    done = CliRunner().invoke(validate, [str(tmp_path / "run.yaml")])
    assert (done.exit_code, done.stderr.count("note: ")) == (0, 2)
    said = json.loads(CliRunner().invoke(validate, [str(tmp_path / "run.yaml"), "--json"]).stdout)
    assert [note["path"] for note in said["notes"]] == ["apis[0]", "providers.vector_io[0].provider_type"]
    refused = CliRunner().invoke(validate, [str(tmp_path / "run.yaml"), "--json", "--target", "lambda"])
    assert refused.exit_code == 2
    paths = [problem["path"] for problem in json.loads(refused.stdout)["problems"]]
    assert {"providers.vector_io[0].provider_type", "metadata_store"} <= set(paths)


def test_a_database_is_named_that_a_function_can_reach() -> None:
    host = "providers.vector_io[0].config.host"
    for config in ({}, {"host": "127.0.0.1"}, {"host": "/run/postgresql"}):
        [problem] = check(loaded(vectors("remote::pgvector", **config)), "lambda")
        assert (problem.path, "is the function itself on Lambda" in problem.message) == (host, True)
    connected = loaded(vectors("remote::pgvector", host="db.example.com"), metadata_store=DYNAMO, storage=SHARED)
    assert (check(connected), check(connected, "lambda"), notices(connected)) == ([], [], [])
    assert "`resource_arn` and `secret_arn`" in texts(notices(connected, "lambda"))[host]
    asked = {"resource_arn": CLUSTER, "secret_arn": SECRET}
    called = loaded(vectors("remote::pgvector", **asked), metadata_store=DYNAMO, storage=SHARED)
    assert (check(called, "lambda"), notices(called, "lambda")) == ([], [])


def test_conversations_are_kept_with_responses_wherever_the_run_config_puts_them() -> None:
    backends = {**SHARED["backends"], "file": {"type": "sql_sqlite", "db_path": "/tmp/x.db"}}  # noqa: S108 - never opened
    stores = {
        "conversations": {"backend": "file", "table_name": "openai_conversations"},
        "responses": {"backend": "file", "table_name": "responses"},
    }
    providers = {"responses": [{"provider_id": "r", "provider_type": "inline::builtin"}]}
    apis = ["inference", "responses"]
    found = loaded(providers, apis=apis, storage={"backends": backends, "stores": {**SHARED["stores"], **stores}})
    assert found.problems == []
    assert "kept with responses" in " ".join(texts(notices(found)).values())
    assert "storage.stores.responses" in texts(unshared_stores(found))
    same = {**stores, "conversations": stores["responses"]}
    found = loaded(providers, apis=apis, storage={"backends": backends, "stores": {**SHARED["stores"], **same}})
    assert "kept with responses" not in " ".join(texts(notices(found)).values())
