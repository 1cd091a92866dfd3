"""A built package is enough: in a clean Python it answers, with whatever its run config can make it load."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
import json
import os
from pathlib import Path
import shutil
import subprocess
import sys
from typing import Any

import pytest

from infra import build
from infra.local import dynamodb
from infra.modules import read_places
from tests.lambda_ import clean_python, emulator
from tests.lambda_.conftest import needs, written
from tests.lambda_.events import Call, event, post
from tests.parts import upstream as upstreams
from tests.parts.bedrock import GUARDRAIL, MODEL, REGION, TITAN, FakeBedrock, embedded
from tests.parts.guardrails import listing, passed
from tests.parts.issuer import AUDIENCE, Issuer
from tests.parts.secrets import plant
from tests.parts.upstream import FakeUpstream, status

HELLO = [{"role": "user", "content": "Hello"}]
ROLE = "arn:aws:iam::123456789012:role/bedrock"
MISSING = "no-such-model"
SDK = {"aiobotocore", "botocore", "dateutil", "jmespath", "urllib3"}
TOKENS = {"jwt", "cryptography"}
USED = {
    "apply-guardrail",
    "assume-role",
    "converse",
    "converse-stream",
    "invoke",
    "list-foundation-models",
    "list-guardrails",
    "list-inference-profiles",
}


def ran(package: Path, module: str, calls: list[Call], environment: dict[str, str]) -> tuple[list[Any], dict[str, str]]:
    """The parsed bodies of its answers, a 404 for MISSING and a success for all else, and the files that it imported."""
    command = [sys.executable, "-I", "-S", clean_python.__file__, str(package), module]
    answer = subprocess.run(
        command,
        cwd=package,
        env={"PATH": os.environ["PATH"], **environment},
        input=json.dumps([event("http", call) for call in calls]),
        check=False,
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    said = json.loads(answer.stdout)
    for call, each in zip(calls, said["answers"], strict=True):
        assert each["statusCode"] == 404 if MISSING in str(call.body) else each["statusCode"] < 300, each
    assert not any("site-packages" in file for file in said["files"].values())
    return [_body(each["body"]) for each in said["answers"]], said["files"]


def _body(text: str) -> Any:
    return text if text.startswith(("data:", "<!doctype")) or not text else json.loads(text)


def built(folder: Path, module: str, document: dict[str, Any]) -> Path:
    """The package for a run config of its own."""
    architecture = needs(emulator.architecture)
    needs(emulator.uv)
    config = folder / "config.json"
    config.write_text(json.dumps(document), encoding="utf-8")
    build.build(build.BuildRequest(module, folder / module, config, architecture))
    return folder / module


def parts(package: Path) -> set[str]:
    return {path.name.partition(".")[0] for path in package.iterdir()} | {
        name.partition(".")[0] for name in read_places(package)
    }


def once(call: Call) -> Call:
    return replace(call, headers=[("Idempotency-Key", f"{hash(call.body)}")])


def chat(model: str, **more: Any) -> Call:
    return post("/v1/chat/completions", {"model": model, "messages": HELLO, **more})


def test_without_aws_and_without_tokens_it_has_the_libraries_of_neither(tmp_path: Path, upstream: FakeUpstream) -> None:
    config = written(tmp_path, upstream, {})
    package = built(tmp_path, "inference", json.loads(config.read_text(encoding="utf-8")))
    assert not parts(package) & (SDK | TOKENS)
    calls = [chat("vllm/m"), chat("vllm/m", stream=True), Call(path="/v1/models")]
    said, files = ran(package, "inference", calls, {"LLAMBDA_CONFIG": "run.json"})
    assert said[0]["choices"][0]["message"]["content"] == "Hello"
    assert "[DONE]" in said[1]
    assert "core.providers.openai.inference" in files


async def test_tokens_are_verified_without_what_cryptography_was_made_with(
    tmp_path: Path, upstream: FakeUpstream, issuer: Issuer
) -> None:
    jwks = {"uri": issuer.jwks_uri}
    provider = {"type": "oauth2_token", "issuer": issuer.url, "audience": AUDIENCE, "jwks": jwks}
    config = written(tmp_path, upstream, {"auth": {"providers": [provider]}})
    package = await asyncio.to_thread(built, tmp_path, "admin", json.loads(config.read_text(encoding="utf-8")))
    assert parts(package) & (SDK | TOKENS) == TOKENS
    assert not parts(package) & {"cffi", "pycparser"}
    headers = [("Authorization", f"Bearer {plant(issuer.mint())}")]
    calls = [Call(path="/v1/providers", headers=headers), Call(path="/openapi.json", headers=headers)]
    calls += [Call(path="/docs"), Call(path="/v1/ready")]
    [providers, document, page, ready], _ = await asyncio.to_thread(
        ran, package, "admin", calls, {"LLAMBDA_CONFIG": "run.json"}
    )
    assert [each["health"]["status"] for each in providers["data"]] == ["OK"]
    assert page.startswith("<!doctype html>")
    assert ready["status"] == "OK"
    described = {name for name, schema in document["components"]["schemas"].items() if "description" in schema}
    assert described  # by the docstrings of the contracts, which all else loses


@pytest.fixture
async def bedrock() -> AsyncIterator[FakeBedrock]:
    fake = FakeBedrock()
    fake.replies["list-guardrails"] = listing("1")
    fake.replies["apply-guardrail"] = status(200, passed())
    fake.replies["invoke"] = embedded({"embedding": [0.5], "inputTextTokenCount": 1}, 2)
    async with upstreams.running(fake):
        yield fake


def aws(fake: FakeBedrock, endpoint: str, registry: str, quota: str) -> dict[str, Any]:
    """Bedrock through a role that is assumed, and everything that is kept in DynamoDB."""
    there = {"region": REGION, "endpoint_url": endpoint}
    config = {"region_name": REGION, "endpoint_url": fake.url, "role_arn": ROLE}
    provider = {"provider_id": "b", "provider_type": "remote::bedrock", "config": config}
    limits = {"kvstore": {"type": "dynamodb", "table": quota, **there}, "anonymous_max_requests": 100, "period": "day"}
    return {
        "version": 2,
        "image_name": "aws",
        "apis": ["inference", "safety"],
        "providers": {"inference": [provider], "safety": [provider]},
        "metadata_store": {"type": "dynamodb", "table": registry, **there},
        "server": {"quota": limits, "idempotency": {"kvstore": {"type": "dynamodb", "table": registry, **there}}},
    }


async def test_every_call_of_aws_is_made_with_what_is_left_of_the_sdk(
    tmp_path: Path, bedrock: FakeBedrock, dynamodb_endpoint: str, registry_table: str, quota_table: str
) -> None:
    document = aws(bedrock, dynamodb_endpoint, registry_table, quota_table)
    environment = {**dynamodb.CREDENTIALS, "LLAMBDA_CONFIG": "run.json", "AWS_ENDPOINT_URL_STS": bedrock.url}
    model = {"model_id": "mine", "provider_id": "b", "provider_model_id": MODEL}
    shield = {"shield_id": "guard", "provider_shield_id": GUARDRAIL, "params": {"guardrailVersion": "1"}}
    calls = {
        "inference": [
            post("/v1/models", model),
            Call(path="/v1/models"),
            chat("mine"),
            chat("mine", stream=True),
            once(chat("mine")),
            once(chat("mine")),
            once(chat(MISSING)),  # whose key is free again
            post("/v1/embeddings", {"model": f"b/{TITAN}", "input": "Hello"}),
            Call("DELETE", "/v1/models/mine"),
        ],
        "safety": [
            post("/v1/shields", shield),
            post("/v1/safety/run-shield", {"shield_id": "guard", "messages": HELLO, "params": {}}),
        ],
        "admin": [Call(path="/v1/providers"), Call(path="/v1/quota")],
    }
    package = await asyncio.to_thread(built, tmp_path, "inference", document)
    assert parts(package) >= SDK
    assert not parts(package) & TOKENS
    (package / "core/web").mkdir(parents=True, exist_ok=True)
    for page in (build.ROOT / "core/web").glob("pages.*"):  # admin's; the rest of the functions' packages is the same
        shutil.copy(page, package / "core/web")
    said: dict[str, list[Any]] = {}
    for module, asked in calls.items():
        shutil.copy(build.ROOT / "functions" / f"{module}.py", package / "functions")
        said[module], _ = await asyncio.to_thread(ran, package, module, asked, environment)
    assert "mine" in {each["identifier"] for each in said["inference"][1]["data"]}
    assert "[DONE]" in said["inference"][3]
    assert said["inference"][7]["data"][0]["embedding"] == [0.5]
    assert said["inference"][4] == said["inference"][5]
    assert said["safety"][1] == {"violation": None}
    assert {each["health"]["status"] for each in said["admin"][0]["data"]} == {"OK"}
    assert set(bedrock.operations()) == USED
