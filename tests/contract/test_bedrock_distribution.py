"""`llambda serve bedrock`, as it is shipped and with the seed's variables set, over Bedrock's own wire."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.parts import upstream as upstreams
from tests.parts.bedrock import ACCOUNT, GUARDRAIL, KEYS, MODEL, REGION, FakeBedrock
from tests.parts.stack import serving
from tests.parts.upstream import status

HELLO = [{"role": "user", "content": "Hello"}]
VERSIONS = [
    {
        "id": GUARDRAIL,
        "arn": f"arn:aws:bedrock:{REGION}:{ACCOUNT}:guardrail/{GUARDRAIL}",
        "status": "READY",
        "name": "test",
        "version": version,
        "createdAt": "2026-01-01T00:00:00Z",
        "updatedAt": "2026-01-01T00:00:00Z",
    }
    for version in ("DRAFT", "1")
]
PASSED: dict[str, Any] = {"action": "NONE", "outputs": [], "assessments": [], "usage": {}}
STOPPED: dict[str, Any] = PASSED | {"action": "GUARDRAIL_INTERVENED", "outputs": [{"text": "Not that."}]}


@pytest.fixture
async def bedrock() -> AsyncIterator[FakeBedrock]:
    fake = FakeBedrock()
    fake.replies["list-guardrails"] = status(200, {"guardrails": VERSIONS})
    fake.replies["apply-guardrail"] = status(200, PASSED)
    async with upstreams.running(fake):
        yield fake


@pytest.fixture
async def stack(bedrock: FakeBedrock, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    variables = {
        "AWS_ACCESS_KEY_ID": KEYS["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": KEYS["aws_secret_access_key"],
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": bedrock.url,
        "GUARDRAIL_ID": GUARDRAIL,
        "GUARDRAIL_VERSION": "1",
        "INFERENCE_MODEL": MODEL,
        "SQLITE_STORE_DIR": str(tmp_path),
    }
    with ExitStack() as opened:
        url = await asyncio.to_thread(opened.enter_context, serving(Path("bedrock"), tmp_path / "log", env=variables))
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            yield client
        await asyncio.to_thread(opened.close)


async def test_models_answer_and_shields_judge(stack: httpx.AsyncClient, bedrock: FakeBedrock) -> None:
    chat = await stack.post("/v1/chat/completions", json={"model": MODEL, "messages": HELLO})
    assert (chat.status_code, chat.json()["choices"][0]["message"]["content"]) == (200, "Hello"), chat.text
    [shield] = (await stack.get("/v1/shields")).json()["data"]
    assert (shield["identifier"], shield["params"]) == (GUARDRAIL, {"guardrailVersion": 1})
    asked = {"shield_id": GUARDRAIL, "messages": HELLO, "params": {}}
    answer = await stack.post("/v1/safety/run-shield", json=asked)
    assert (answer.status_code, answer.json()) == (200, {"violation": None}), answer.text
    bedrock.replies["apply-guardrail"] = status(200, STOPPED)
    violation = (await stack.post("/v1/safety/run-shield", json=asked)).json()["violation"]
    assert violation["violation_level"] == "error"
    health = {each["api"]: each["health"]["status"] for each in (await stack.get("/v1/providers")).json()["data"]}
    assert health == {"inference": "OK", "safety": "OK"}
