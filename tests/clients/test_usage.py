"""OpenAI's client reads usage and costs, against `llambda serve`."""

import asyncio
import json
from pathlib import Path

from core.stores.counters.sqlite import connect
from tests.clients.running import check
from tests.parts.live_stack import run_config
from tests.parts.stack import serving
from tests.parts.usage import chat, count

KEY_ID = "abcdefghijkl"


async def _fill(path: Path) -> None:
    store = connect(str(path))
    embedded = chat("embedder", operation="embeddings", prompt_tokens=7, completion_tokens=0, nanos=0, unpriced=1)
    await count(store, f"user:api_key:{KEY_ID}", chat(), chat("large", nanos=3_000_000_000), embedded)
    await store.close()


def test_openais_client_reads_usage_and_costs(tmp_path: Path) -> None:
    registry, usage = ({"type": "sqlite", "db_path": str(tmp_path / f"{name}.db")} for name in ("registry", "usage"))
    server = {"quota": {"kvstore": usage}}
    config = run_config("http://127.0.0.1:9", registry, apis=["inference", "usage"], server=server)
    (tmp_path / "run.json").write_text(json.dumps(config))
    asyncio.run(_fill(tmp_path / "usage.db"))
    with serving(tmp_path / "run.json", tmp_path / "log.txt") as url:
        check("openai-3", "tests.clients.scripts.usage", url, KEY_ID=KEY_ID)
