"""Usage in DynamoDB, end to end: calls of a stack that is served, its routes, and the command over its table and over a run config."""

import asyncio
import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
import pytest

from core.cli.main import command
from tests.parts.live_stack import client_of, run_config
from tests.parts.upstream import FakeUpstream, running

CHAT: dict[str, Any] = {"model": "local/m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9}
PRICES = [{"provider_id": "local", "model": "*", "price": {"input": 1, "output": 2}}]


def run(endpoint: str, *words: str) -> Result:
    variables = {"LLAMBDA_URL": None, "COLUMNS": "80", "AWS_ENDPOINT_URL_DYNAMODB": endpoint}
    return CliRunner(env=variables).invoke(command, ["usage", *words], standalone_mode=False)


async def test_what_calls_used_is_read_by_the_routes_and_by_the_command_from_the_table(
    tmp_path: Path, quota_table: str, dynamodb_endpoint: str
) -> None:
    store = {"type": "dynamodb", "table": quota_table, "region": "us-east-1", "endpoint_url": dynamodb_endpoint}
    server = {"quota": {"kvstore": store, "max_tokens": 5000}, "usage": {"prices": PRICES}}
    registry = {"type": "sqlite", "db_path": str(tmp_path / "registry.db")}
    async with running(FakeUpstream()) as upstream:
        config = run_config(upstream.url, registry, apis=["inference", "usage"], server=server)
        async with client_of(config) as client:
            used = [(await client.post("/v1/chat/completions", json=CHAT)).json()["usage"] for _ in range(3)]
            tokens = sum(each["total_tokens"] for each in used)
            page = (
                await client.get("/v1/usage", params={"by": "model,provider,operation", "unsettled": "true"})
            ).json()
            costs = (
                await client.get("/v1/organization/costs", params={"start_time": page["since"], "limit": 31})
            ).json()
    [entry] = page["data"]
    assert (entry["model"], entry["provider"], entry["requests"], entry["answers"]) == ("local/m", "local", 3, 3)
    assert entry["prompt_tokens"] + entry["completion_tokens"] == tokens
    assert (page["unsettled"]["calls"], entry["cost_nanos"] > 0) == ([], True)
    amounts = [result["amount"]["value"] for bucket in costs["data"] for result in bucket["results"]]
    assert amounts == [pytest.approx(entry["cost"])]
    path = tmp_path / "run.json"
    path.write_text(json.dumps(config))
    for place in (["--table", quota_table, "--region", "us-east-1"], ["--config", str(path)]):
        shown = await asyncio.to_thread(run, dynamodb_endpoint, "--by", "model", "--json", *place)
        assert shown.exit_code == 0, shown.stderr
        total = json.loads(shown.stdout)["total"]
        assert (total["requests"], total["cost_nanos"]) == (3, entry["cost_nanos"])
