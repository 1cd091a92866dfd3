"""With everything at DEBUG no log has a secret in it, and no id, header or answer makes a line of its own."""

from base64 import b64encode
from collections.abc import Iterator
import json
import os
from pathlib import Path
import re
import subprocess
import sys
import time
from typing import Any
from uuid import uuid4

import httpx
import pytest
import yaml

from core.cli.main import main
from infra.local.dynamodb import create_table
from tests.parts import upstream as upstreams
from tests.parts.moto import aws_client
from tests.parts.secrets import plant
from tests.parts.stack import ROOT, serving
from tests.parts.upstream import CHAT, FakeUpstream, raw

CHAT_PATH = "/v1/chat/completions"
SESSION = plant("session-token-of-the-operator-0123456789")
OPERATORS = plant("operators-own-key-0123456789")
CALLERS = plant("callers-vendor-key-0123456789")
ANSWER = plant("answer-that-is-kept-0123456789")
PROMPT = plant("prompt-that-is-nobodys-0123456789")
LOUD = "all=debug;root=debug;botocore=debug;aiobotocore=debug;botocore.endpoint=debug;aiohttp=debug;asyncio=debug"
FORGED = "forged-line-of-the-request-log"
EVIL = f"\nINFO core.requests: 200 {FORGED}\r\x1b[2J\x9b2J\u2028\u2029\x85\u202e"


@pytest.fixture
def folder(
    tmp_path: Path, moto_endpoint: str, aws_credentials: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A run config with all its state in DynamoDB, and a session token that goes with every request there."""
    del aws_credentials
    monkeypatch.setenv("AWS_SESSION_TOKEN", SESSION)
    table = f"state-{uuid4().hex}"
    create_table(moto_endpoint, table, range_key="sk")
    counters = f"quota-{uuid4().hex}"
    create_table(moto_endpoint, counters)
    state = {"type": "dynamodb", "table": table, "endpoint_url": moto_endpoint}
    reply = CHAT | {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}]
    }
    with upstreams.in_thread(FakeUpstream(replies={CHAT_PATH: raw(json.dumps(reply).encode())})) as upstream:
        config = {"url": f"{upstream.url}/v1", "api_token": OPERATORS}
        document = {
            "version": 2,
            "image_name": "t",
            "apis": ["inference"],
            "providers": {"inference": [{"provider_id": "p", "provider_type": "remote::vllm", "config": config}]},
            "metadata_store": state,
            "server": {
                "auth": {"providers": [{"type": "api_key"}]},
                "idempotency": {"kvstore": state},
                "quota": {"kvstore": state | {"table": counters}},
            },
        }
        (tmp_path / "run.yaml").write_text(yaml.safe_dump(document), "utf-8")
        (tmp_path / "table").write_text(table, "utf-8")
        yield tmp_path


def key_of(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["keys", "create", "--name", "k", "--roles", "dev", "--config", str(folder / "run.yaml")]) == 0
    return plant(capsys.readouterr().out.strip())


def secrets_of(folder: Path, endpoint: str, key: str) -> list[str]:
    """What was brought, and what is stored: the key's salt and hash, and the answer as the SDK sends it."""
    with aws_client("dynamodb", endpoint) as dynamodb:
        items = dynamodb.scan(TableName=(folder / "table").read_text("utf-8"))["Items"]
    digests = re.findall(r"\b[0-9a-f]{32,64}\b", json.dumps(items, default=str))
    answers = [b64encode(value).decode()[:40] for item in items for one in item.values() if (value := one.get("B"))]
    assert digests
    assert answers
    return [key.split("_", 2)[2], SESSION, OPERATORS, CALLERS, ANSWER, PROMPT, *digests, *answers]


def body() -> dict[str, Any]:
    return {"model": "p/m", "messages": [{"role": "user", "content": PROMPT}]}


def test_at_debug_a_server_logs_no_secret(folder: Path, moto_endpoint: str, capsys: pytest.CaptureFixture[str]) -> None:
    key, log = key_of(folder, capsys), folder / "log.txt"
    headers = {
        "authorization": f"Bearer {key}",
        "idempotency-key": "k",
        "x-llamastack-provider-data": json.dumps({"vllm_api_token": CALLERS}),
    }
    with serving(folder / "run.yaml", log, env={"LLAMBDA_LOGGING": LOUD}) as url:
        for replayed in (False, True):
            answer = httpx.post(url + CHAT_PATH, json=body(), headers=headers, timeout=30)
            assert answer.json()["choices"][0]["message"]["content"] == ANSWER
            assert ("idempotent-replayed" in answer.headers) is replayed
        assert httpx.get(f"{url}/v1/models", headers={"authorization": f"Bearer {key}x"}).status_code == 401
    said = log.read_text("utf-8")
    assert "core.requests: 200 POST" in said
    leaked = [secret for secret in secrets_of(folder, moto_endpoint, key) if secret in said]
    assert not leaked


AT_DEBUG = """
import json, logging, sys
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)  # as AWS's runtime does with LogLevel=DEBUG
from functions.inference import handler
from tests.lambda_.events import Call, event
headers = list(json.loads(sys.argv[1]).items())
for _ in range(2):
    answer = handler(event("http", Call("POST", "/v1/chat/completions", body=sys.argv[2], headers=headers)), None)
    print(answer["statusCode"])
"""


def test_at_debug_a_function_logs_no_secret(
    folder: Path, moto_endpoint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    key = key_of(folder, capsys)
    headers = {"authorization": f"Bearer {key}", "idempotency-key": "k", "content-type": "application/json"}
    done = subprocess.run(
        [sys.executable, "-c", AT_DEBUG, json.dumps(headers), json.dumps(body())],
        cwd=ROOT, env=os.environ | {"LLAMBDA_CONFIG": str(folder / "run.yaml"), "AWS_LAMBDA_FUNCTION_NAME": "f"},
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.splitlines().count("200") == 2
    leaked = [secret for secret in secrets_of(folder, moto_endpoint, key) if secret in done.stdout + done.stderr]
    assert not leaked


def test_nothing_that_is_sent_makes_a_line_in_the_log(tmp_path: Path) -> None:
    upstream = FakeUpstream(models=[{"id": f"m{EVIL}", "object": "model"}, {"id": "m", "object": "model"}])
    upstream.replies[CHAT_PATH] = raw(json.dumps({"error": {"message": EVIL}}).encode())
    with upstreams.in_thread(upstream) as there:
        provider = {"provider_id": "p", "provider_type": "remote::vllm", "config": {"url": f"{there.url}/v1"}}
        document = {
            "image_name": "t",
            "providers": {"inference": [provider]},
            "metadata_store": {"type": "sqlite", "db_path": str(tmp_path / "registry.db")},
        }
        (tmp_path / "run.yaml").write_text(yaml.safe_dump(document), "utf-8")
        log = tmp_path / "log.txt"
        with serving(tmp_path / "run.yaml", log, env={"LLAMBDA_LOGGING": LOUD}) as url:
            ask(url)
    lines = log.read_text("utf-8").split("\n")
    assert any(FORGED in line for line in lines)
    for line in lines:
        assert line.replace("\t", "").isprintable()
        assert not line.startswith(f"INFO core.requests: 200 {FORGED}")


def ask(url: str) -> None:
    bodies: list[dict[str, Any]] = [{**body(), "model": name} for name in (f"p/m{EVIL}", EVIL, "p/m")]
    for sent in bodies:
        httpx.post(url + CHAT_PATH, json=sent, timeout=30)
    for method, path in (("GET", "/v1/models/"), ("DELETE", "/v1/models/"), ("GET", "/")):
        httpx.request(method, url + path + "".join(f"%{byte:02x}" for byte in EVIL.encode()), timeout=30)
    httpx.post(
        f"{url}/v1/models",
        json={"model_id": f"x{EVIL}", "provider_id": "p", "provider_model_id": f"m{EVIL}"},
        headers={"traceparent": "00-x", "user-agent": "a\tb", "x-request-id": "y"},
        timeout=30,
    )
    httpx.post(url + CHAT_PATH, json={**body(), "model": f"x{EVIL}"}, timeout=30)
    time.sleep(0.1)
