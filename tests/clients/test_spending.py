"""A hundred chats of three keys, by OpenAI's client through `llambda serve`, are what `llambda usage` says of them; a budget ends a conversation."""

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from core.cli.main import command
from tests.clients.running import check
from tests.parts.live_stack import run_config
from tests.parts.secrets import plant
from tests.parts.stack import serving
from tests.parts.upstream import CHAT, FakeUpstream, Reply, in_thread, status, stream

PRICE = {"input": 10, "output": 10}  # USD per million: 10,000 nano-USD for a token
SMALL = {**CHAT, "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}}
LARGE: list[dict[str, Any]] = [
    {**CHAT, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "Hi"}}]},
    {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}},
]


def answers() -> Reply:
    whole, streamed = status(200, SMALL), stream(LARGE)

    async def answer(request: Any) -> Any:
        return await (streamed if (await request.json()).get("stream") else whole)(request)

    return answer


def configured(folder: Path, url: str) -> Path:
    registry, quota = ({"type": "sqlite", "db_path": str(folder / f"{name}.db")} for name in ("registry", "quota"))
    models = [{"model_id": name, "provider_id": "local", "metadata": {"price": PRICE}} for name in ("small", "large")]
    server = {"auth": {"providers": [{"type": "api_key"}]}, "quota": {"kvstore": quota}}
    document = run_config(f"{url}/v1", registry, models=models, apis=["inference", "usage"], server=server)
    (folder / "run.json").write_text(json.dumps(document))
    return folder / "run.json"


def run(config: Path, *words: str) -> str:
    shown = CliRunner(env={"COLUMNS": "80"}).invoke(command, [*words, "--config", str(config)])
    assert shown.exit_code == 0, shown.stderr
    return shown.stdout


def new_key(config: Path, name: str, *options: str) -> str:
    return plant(run(config, "keys", "create", "--name", name, *options).strip())


def usage(config: Path, *options: str) -> str:
    return run(config, "usage", "--by", "key,model", "--since", "7d", *options)


def test_usage_after_a_hundred_chats_of_three_keys_and_a_budget_that_ends_a_conversation(tmp_path: Path) -> None:
    with in_thread(FakeUpstream(replies={"/v1/chat/completions": answers()})) as upstream:
        config = configured(tmp_path, upstream.url)
        keys = {name.upper(): new_key(config, name) for name in ("night", "day", "ci")}
        keys["THRIFTY"] = new_key(config, "thrifty", "--limit", "month money 0.0055")
        with serving(config, tmp_path / "log.txt") as url:
            check("openai-3", "tests.clients.scripts.spending", url, **keys)
            page = json.loads(usage(config, "--json", "--unsettled"))
            table = usage(config)
    turns = sum(seen.path == "/v1/chat/completions" for seen in upstream.seen) - 100
    rows = {
        (row["key_name"], row["model"]): (
            row["requests"], row["answers"], row["prompt_tokens"], row["completion_tokens"], row["cost_nanos"],
        )
        for row in page["data"]
    }  # fmt: skip
    assert rows == {
        ("night", "small"): (50, 50, 5_000, 500, 55_000_000),
        ("day", "large"): (30, 30, 210, 90, 3_000_000),
        ("ci", "small"): (20, 20, 2_000, 200, 22_000_000),
        ("thrifty", "small"): (turns, turns, 100 * turns, 10 * turns, 1_100_000 * turns),
    }
    assert page["unsettled"]["requests"] == 0
    lines = [line.split()[:5] for line in table.splitlines()]
    assert ["night", "small", "50", "5,000", "500"] in lines
    assert ["day", "large", "30", "210", "90"] in lines
