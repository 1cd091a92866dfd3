"""The answers' store is connected where it is configured and heeded; elsewhere nothing of it is imported."""

import json
import os
from pathlib import Path
import subprocess
import sys
from typing import Any

import pytest

from core.config.load import interpret
from core.resolution.resolve import resolve
from core.stores.answers.dynamodb import DynamoAnswers
from core.stores.answers.port import AnswerStore, Lease
from core.stores.answers.sqlite import SqliteAnswers
from core.stores.connect import ANSWERS

ROOT = Path(__file__).parents[3]
VLLM = {"provider_id": "a", "provider_type": "remote::vllm", "config": {"url": "http://u"}}
DYNAMODB = {"type": "dynamodb", "table": "state", "region": "eu-west-1", "namespace": "n"}


def document(kvstore: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "image_name": "t",
        "providers": {"inference": [VLLM]},
        "metadata_store": {"type": "dynamodb", "table": "registry"},
        "server": {} if kvstore is None else {"idempotency": {"kvstore": kvstore}},
    }


def sqlite(folder: Path) -> dict[str, Any]:
    return {"type": "sqlite", "db_path": str(folder / "answers.db")}


async def answers(kvstore: dict[str, Any] | None, *apis: str) -> AnswerStore | None:
    stack = await resolve(interpret(document(kvstore), {}), apis, version="1")
    stack.warm()
    await stack.close()
    return stack.answers


async def test_it_is_connected_for_inference_alone(tmp_path: Path) -> None:
    assert isinstance(await answers(sqlite(tmp_path), "inference"), SqliteAnswers)
    assert isinstance(await answers(DYNAMODB, "inference", "safety"), DynamoAnswers)
    assert await answers(sqlite(tmp_path), "safety") is None
    assert await answers(sqlite(tmp_path), "admin") is None
    assert await answers(None, "inference") is None


async def test_the_stack_closes_it(tmp_path: Path) -> None:
    stack = await resolve(interpret(document(sqlite(tmp_path)), {}), ["inference"], version="1")
    assert stack.answers is not None
    assert isinstance(await stack.answers.begin("k", "f", now=0, until=9), Lease)
    assert (tmp_path / "answers.db-wal").exists()
    await stack.close()
    assert not (tmp_path / "answers.db-wal").exists()


async def test_a_store_gets_its_namespace(tmp_path: Path) -> None:
    config = interpret(document(sqlite(tmp_path) | {"namespace": "one"}), {}).config
    assert config is not None
    assert config.server.idempotency is not None
    one = ANSWERS.connect(config.server.idempotency.kvstore)
    two = ANSWERS.connect(config.server.idempotency.kvstore.model_copy(update={"namespace": "two"}))
    assert all([isinstance(await each.begin("k", "f", now=0, until=9), Lease) for each in (one, two)])
    for each in (one, two):
        await each.close()


@pytest.mark.parametrize(
    ("configured", "imported"),
    [
        (None, set[str]()),
        ("sqlite", {"core.web.idempotency", "core.stores.answers.sqlite"}),
        ("dynamodb", {"core.web.idempotency", "core.stores.answers.dynamodb"}),
    ],
)
def test_a_function_imports_nothing_of_what_is_not_configured(
    tmp_path: Path, configured: str | None, imported: set[str]
) -> None:
    kvstore = {"sqlite": sqlite(tmp_path), "dynamodb": DYNAMODB}.get(configured or "")
    (tmp_path / "run.json").write_text(json.dumps(document(kvstore)))
    env = os.environ | {"LLAMBDA_CONFIG": str(tmp_path / "run.json")}
    for function, wanted in (("inference", imported), ("admin", set[str]())):
        program = f"import sys, functions.{function}; print(*sys.modules)"
        run = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, env=env, check=True, capture_output=True, text=True
        )
        modules = set(run.stdout.split())
        ours = {"core.web.idempotency", "core.stores.answers.sqlite", "core.stores.answers.dynamodb"}
        assert modules & ours == wanted
