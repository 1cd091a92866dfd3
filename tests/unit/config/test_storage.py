"""Where state is kept: what `storage` says, what a provider's own keys name, and the defaults beside the metadata store."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.config.load import Loaded, interpret
from core.config.records import DynamoStore, SqliteStore
from core.config.state import LocalBlobs, S3Blobs, SqsQueue
from core.config.state import state_of as state_config
from core.resolution.check import check

NAMES = st.text(st.characters(codec="ascii", exclude_characters="${}\0"), min_size=1, max_size=12)
BACKENDS = {
    "sql": {"type": "sql_sqlite", "db_path": "/data/sql.db"},
    "kv": {"type": "kv_dynamodb", "table": "state"},
    "s3": {"type": "blob_s3", "bucket": "llambda-blobs", "kms_key_id": "key"},
    "sqs": {"type": "queue_sqs", "url": "https://sqs.eu-west-1.amazonaws.com/1/jobs"},
    "pg": {"type": "sql_postgres", "host": "h"},
}


def loaded(**document: Any) -> Loaded:
    return interpret({"image_name": "x", **document}, {"HOME": "/home/u"})


def state_of(**document: Any) -> Any:
    found = loaded(**document)
    assert found.problems == []
    assert found.config is not None
    return state_config(found.config)


def storage(**stores: Any) -> dict[str, Any]:
    return {"backends": BACKENDS, "stores": stores}


def problems(**document: Any) -> dict[str, str]:
    found = loaded(**document)
    return {problem.path: problem.message for problem in [*found.problems, *check(found)]}


def test_a_run_config_that_says_nothing_keeps_state_beside_the_registry() -> None:
    state = state_of()
    file = SqliteStore(db_path="/home/u/.llambda/x/state.db")
    assert (state.documents, state.jobs, state.queue) == (file, file, file)
    assert state.blobs == LocalBlobs(path="/home/u/.llambda/x/blobs")


def test_state_follows_the_metadata_store_with_its_namespace() -> None:
    state = state_of(metadata_store={"type": "sqlite", "db_path": "r.db", "namespace": "n"})
    assert state.documents == SqliteStore(db_path="state.db", namespace="n")
    assert state.blobs == LocalBlobs(path="blobs", namespace="n")
    table = {"type": "dynamodb", "table": "registry", "region": "eu-west-1"}
    state = state_of(metadata_store=table)
    assert state.documents == state.jobs == DynamoStore(table="registry", region="eu-west-1")
    assert (state.blobs, state.queue) == (None, None)  # there is neither a bucket nor a queue beside a table


def test_storage_names_each_store_and_the_rest_is_beside_those() -> None:
    state = state_of(storage=storage(documents={"backend": "sql", "namespace": "d"}, blobs={"backend": "s3"}))
    assert state.documents == state.jobs == SqliteStore(db_path="/data/sql.db", namespace="d")
    assert state.queue == state.jobs
    assert state.blobs == S3Blobs(bucket="llambda-blobs", kms_key_id="key")
    state = state_of(storage=storage(jobs={"backend": "kv"}, queue={"backend": "sqs"}))
    assert (state.jobs, state.queue) == (DynamoStore(table="state"), SqsQueue(url=BACKENDS["sqs"]["url"]))


def test_a_variable_that_is_not_set_leaves_a_store_out() -> None:
    state = state_of(storage=storage(blobs={"backend": "${env.OFF:+s3}"}, documents={"backend": "kv"}))
    assert (state.documents, state.blobs) == (DynamoStore(table="state"), None)


def test_the_stores_of_the_reference_choose_where_their_documents_are() -> None:
    conversations = {"backend": "sql", "table_name": "openai_conversations"}
    inference = {"backend": "sql", "table_name": "t", "max_write_queue_size": 10, "num_writers": 4}
    state = state_of(storage=storage(conversations=conversations, inference=inference, responses={"backend": "pg"}))
    assert state.collections == {
        "conversations": SqliteStore(db_path="/data/sql.db", namespace="openai_conversations"),
        "inference": SqliteStore(db_path="/data/sql.db", namespace="t"),
    }


@pytest.mark.parametrize(
    ("stores", "place", "words"),
    [
        ({"blobs": {"backend": "sql"}}, "storage.backends.sql.type", "use blob_local or blob_s3"),
        ({"queue": {"backend": "kv"}}, "storage.backends.kv.type", "use kv_sqlite or sql_sqlite or queue_sqs"),
        ({"documents": {"backend": "pg"}}, "storage.backends.pg.type", "use kv_sqlite or sql_sqlite or kv_dynamodb"),
        ({"jobs": {"backend": "nope"}}, "storage.stores.jobs.backend", "one of the backends"),
        ({"prompts": {"backend": "sqll"}}, "storage.stores.prompts.backend", "one of the backends"),
        ({"prompts": {"backend": "s3"}}, "storage.backends.s3.type", "use kv_sqlite or sql_sqlite or kv_dynamodb"),
        ({"blob": {"backend": "s3"}}, "storage.stores.blob", "did you mean `blobs`?"),
        ({"documents": {"backend": "sql", "table": "x"}}, "storage.stores.documents.table", "unknown key `table`"),
    ],
)
def test_a_store_that_cannot_be_is_a_problem_at_its_place(stores: Any, place: str, words: str) -> None:
    found = problems(storage=storage(**stores))
    assert list(found) == [place]
    assert words in found[place]


def test_a_fault_of_a_backend_is_told_once_and_where_it_is() -> None:
    backends = {"kv": {"type": "kv_sqlite", "db_pth": "x"}}
    found = problems(storage={"backends": backends, "stores": {"documents": {"backend": "kv"}}})
    assert set(found) == {"storage.backends.kv.db_path", "storage.backends.kv.db_pth"}


@pytest.mark.parametrize("key", ["kvstore", "persistence_store", "metadata_store", "responses_store"])
def test_a_provider_names_a_backend_where_older_ones_write_the_store(key: str) -> None:
    entry = {"provider_id": "p", "provider_type": "inline::x"}
    newer = {**entry, "config": {key: {"backend": "sql", "namespace": "n"}, "other": {"backend": "sql"}}}
    older = {**entry, "config": {key: {"type": "sqlite", "db_path": "/old.db", "namespace": None}}}
    found = loaded(storage=storage(), providers={"agents": [newer, older]}, apis=[])
    configs = [entry.config for _, _, entry in found.provider_entries()]
    assert configs[0] == {
        key: {"type": "sqlite", "db_path": "/data/sql.db", "namespace": "n"},
        "other": {"backend": "sql"},  # its own affair
    }
    assert configs[1] == older["config"]


def test_a_reference_may_be_one_level_down_and_an_external_provider_keeps_its_own() -> None:
    config = {"persistence": {"agent_state": {"backend": "kv"}, "responses": {"backend": "sql", "table_name": "r"}}}
    entry = {"provider_id": "p", "provider_type": "inline::x", "config": config}
    found = loaded(storage=storage(), providers={"agents": [entry, {**entry, "module": "package"}]})
    first, second = (entry.config for _, _, entry in found.provider_entries())
    assert first["persistence"]["agent_state"] == {"type": "dynamodb", "table": "state"}
    assert first["persistence"]["responses"]["namespace"] == "r"
    assert second == config


@given(NAMES, NAMES)
def test_state_of_two_stacks_is_together_only_where_their_metadata_is(one: str, two: str) -> None:
    def files(path: str) -> set[str]:
        state = state_of(metadata_store={"type": "sqlite", "db_path": f"/{path}/r.db"})
        return {state.documents.db_path, state.blobs.path}

    assert files(one).isdisjoint(files(two)) is (one != two)
