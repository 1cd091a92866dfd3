"""A stack that scores: the providers of scoring over an upstream that judges as a test says."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
import json
from pathlib import Path
from typing import Any, Final

from aiohttp import web
import httpx

from core.config.load import interpret
from tests.parts import upstream as upstreams
from tests.parts.live_stack import client_over, run_config
from tests.parts.upstream import CHAT, FakeUpstream

JUDGE: Final = "local/m"
EMBEDDING: Final[dict[str, Any]] = {
    "model_id": "embedding",
    "provider_id": "local",
    "provider_model_id": "e",
    "model_type": "embedding",
    "metadata": {"embedding_dimension": 2},
}
BASE: Final = "llm-as-judge::base"
SIMPLE_QA: Final = "llm-as-judge::405b-simpleqa"
SCORE: Final = "/v1/scoring/score"
FUNCTIONS: Final = "/v1/scoring-functions"
ROW: Final[dict[str, Any]] = {"input_query": "2+2?", "expected_answer": "4", "generated_answer": "4"}

type Verdict = Callable[[str], "str | tuple[int, dict[str, str]]"]
"""Of a prompt: what the judge answers, or a status with headers."""


@dataclass
class ScoreWorld:
    """`prompts` are what the judge was asked; `verdict` is what it says."""

    client: httpx.AsyncClient
    judge: FakeUpstream
    config: dict[str, Any]
    verdict: Verdict = lambda _: "Score: 7"
    under_way: int = 0
    most_under_way: int = 0
    prompts: list[str] = field(default_factory=list[str])

    async def reply(self, request: web.Request) -> web.StreamResponse:
        prompt: str = json.loads(await request.read())["messages"][-1]["content"]
        self.prompts.append(prompt)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await asyncio.sleep(0.01)
        self.under_way -= 1
        answer = self.verdict(prompt)
        if not isinstance(answer, str):
            return web.json_response({"error": {"message": "no"}}, status=answer[0], headers=answer[1])
        message = {"role": "assistant", "content": answer}
        return web.json_response({**CHAT, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})

    async def score(self, rows: list[dict[str, Any]], headers: dict[str, str] | None = None, **functions: Any) -> Any:
        """What the functions, by their ids, say; a failure is the answer itself."""
        body = {"input_rows": rows, "scoring_functions": functions}
        answer = await self.client.post(SCORE, json=body, headers=headers)
        return answer.json()["results"] if answer.status_code == httpx.codes.OK else answer


def document(url: str, folder: Path, **more: Any) -> dict[str, Any]:
    config = run_config(url, {"type": "sqlite", "db_path": str(folder / "registry.db")})
    config["apis"] = [*config["apis"], "scoring"]
    config["models"] = [EMBEDDING]
    if model := more.pop("openai", ""):  # without a key of the operator's
        entry = {"provider_id": "openai", "provider_type": "remote::openai", "config": {"base_url": url}}
        config["providers"]["inference"].append(entry)
        config["models"].append({"model_id": model, "provider_id": "openai", "provider_model_id": "m"})
    config["providers"]["scoring"] = [
        {"provider_id": "judge", "provider_type": "inline::llm-as-judge", "config": more.pop("judge", {})},
        *more.pop("scoring", ()),
    ]
    return config | more


def with_datasets(config: dict[str, Any]) -> dict[str, Any]:
    """A run config that serves datasets too."""
    localfs = {"provider_id": "localfs", "provider_type": "inline::localfs", "config": {}}
    providers = {**config["providers"], "datasetio": [localfs]}
    return {**config, "apis": [*config["apis"], "datasetio"], "providers": providers}


@asynccontextmanager
async def score_world(folder: Path, *, datasets: bool = False, **more: Any) -> AsyncIterator[ScoreWorld]:
    judge = FakeUpstream(models=[{"id": "m"}, {"id": "e"}])
    async with upstreams.running(judge):
        config = document(judge.url, folder, **more)
        config = with_datasets(config) if datasets else config
        async with client_over(interpret(config, {})) as client:
            world = ScoreWorld(client, judge, config)
            judge.replies["/v1/chat/completions"] = world.reply
            yield world
