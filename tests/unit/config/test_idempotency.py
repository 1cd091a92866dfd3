"""`server.idempotency`: read as `server.quota` is, and wrong where it was written."""

from typing import Any

import pytest

from core.config.records import DynamoStore, SqliteStore
from core.config.security import IdempotencyConfig
from tests.unit.config.documents import loaded, problems

STORE = {"kvstore": {"type": "sqlite", "db_path": "a.db"}}


def idempotency(section: dict[str, Any], **document: Any) -> IdempotencyConfig:
    found = loaded(server={"idempotency": section}, **document)
    assert found.config is not None, found.problems
    assert found.config.server.idempotency is not None
    return found.config.server.idempotency


def test_it_is_off_unless_it_is_there() -> None:
    found = loaded()
    assert found.config is not None
    assert found.config.server.idempotency is None


def test_a_store_is_enough() -> None:
    found = idempotency(STORE)
    assert found.kvstore == SqliteStore(db_path="a.db")
    assert (found.ttl_seconds, found.max_answer_bytes) == (86_400, 1_048_576)


def test_it_may_name_a_backend_of_the_storage() -> None:
    storage = {"backends": {"kv": {"type": "kv_dynamodb", "table": "state"}}}
    found = idempotency({"kvstore": {"backend": "kv", "namespace": "a"}, "ttl_seconds": 60}, storage=storage)
    assert (found.kvstore, found.ttl_seconds) == (DynamoStore(table="state", namespace="a"), 60)


@pytest.mark.parametrize(
    ("section", "path", "words"),
    [
        ({}, "server.idempotency.kvstore", "is required"),
        ({"kvstore": {"backend": "no"}}, "server.idempotency.kvstore.backend", "must name one of the backends"),
        ({"kvstore": {"type": "redis"}}, "server.idempotency.kvstore.type", "use sqlite or dynamodb"),
        ({"kvstore": {"type": "sqlite"}}, "server.idempotency.kvstore.db_path", "is required"),
        ({**STORE, "ttl_second": 5}, "server.idempotency.ttl_second", "did you mean `ttl_seconds`?"),
        ({**STORE, "ttl_seconds": 0}, "server.idempotency.ttl_seconds", "at least 1"),
        ({**STORE, "ttl_seconds": 1.5}, "server.idempotency.ttl_seconds", "must be an integer"),
        ({**STORE, "ttl_seconds": True}, "server.idempotency.ttl_seconds", "must be a number"),
        ({**STORE, "max_answer_bytes": 10}, "server.idempotency.max_answer_bytes", "at least 1024"),
        ({**STORE, "max_answer_bytes": 10**9}, "server.idempotency.max_answer_bytes", "at most"),
    ],
)
def test_what_is_wrong_is_reported_where_it_was_written(section: dict[str, Any], path: str, words: str) -> None:
    found = problems(server={"idempotency": section})
    assert words in found[path]


def test_a_misspelt_section_is_told_its_name() -> None:
    found = problems(server={"idempotence": STORE})
    assert "did you mean `idempotency`?" in found["server.idempotence"]
