"""Batches over a whole stack, whose steps a test takes one by one: as a worker would, at a time and with a run config that the test chooses."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, override

import httpx

from core.config.load import interpret
from core.resolution.jobs import engine_of
from core.resolution.resolve import resolve
from core.resolution.stack import Stack, routed_apis
from core.services.jobs.engine import Engine
from core.services.jobs.messages import Outcome
from core.services.jobs.timing import Timing
from core.stores.queue.port import Delivery
from tests.parts.batch_stack import (
    BATCHES,
    CHAT,
    BatchWorld,
    batch_world,
    chat_line,
    jsonl,
    lines_of,
    new_batch,
    upload,
)
from tests.parts.job_bench import eventually
from tests.parts.response_stack import ResponseWorld
from tests.parts.turn_world import judge

GUARDED = {
    "model_id": "guarded",
    "provider_id": "local",
    "provider_model_id": "g",
    "metadata": {"input_shields": ["guard"]},
}
SECOND = {"model_id": "second", "provider_id": "local", "provider_model_id": "s"}
WORDS = {
    "model_id": "words",
    "provider_id": "local",
    "provider_model_id": "words",
    "model_type": "embedding",
    "metadata": {"embedding_dimension": 64},
}


class LineWorld(BatchWorld):
    """With a shield `guard` that knows one word, and models `guarded` and `second` beside the usual one."""

    @override
    def document(self, **how: Any) -> dict[str, Any]:
        document = super().document(models=[GUARDED, SECOND, WORDS], **how)
        document["apis"] = sorted({*document["apis"], "safety"})
        rails = {"guardrails_service_url": self.model.url}
        document["providers"]["safety"] = [{"provider_id": "r", "provider_type": "remote::nvidia", "config": rails}]
        document["shields"] = [{"shield_id": "guard", "provider_id": "r", "provider_shield_id": "guard"}]
        return document


@asynccontextmanager
async def line_world(folder: Path) -> AsyncGenerator[LineWorld]:
    async with batch_world(folder) as made:
        made.model.replies["/v1/guardrail/checks"] = judge
        yield LineWorld(made.folder, made.model, made.server, made.engines, made.opened)


def line(custom_id: str, url: str, **body: Any) -> dict[str, Any]:
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": body}


async def begin(
    client: httpx.AsyncClient, lines: list[dict[str, Any]], endpoint: str = CHAT, *, who: str = "", **more: Any
) -> str:
    """The id of a batch."""
    return await made_of(client, jsonl(lines), endpoint, who=who, **more)


async def made_of(
    client: httpx.AsyncClient, content: bytes, endpoint: str = CHAT, *, who: str = "", **more: Any
) -> str:
    headers = by(who)
    file_id = await upload(client, content, **headers)
    made = await client.post(BATCHES, json=new_batch(file_id, endpoint, **more), headers=headers)
    assert made.status_code == 200, made.text
    return str(made.json()["id"])


def by(who: str) -> dict[str, str]:
    return {"authorization": f"Bearer {who}"} if who else {}


async def results(
    client: httpx.AsyncClient, batch: dict[str, Any], who: str = ""
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The lines of the output and of the error file."""
    files = (batch["output_file_id"], batch["error_file_id"])
    output, errors = [[] if file is None else await lines_of(client, file, **by(who)) for file in files]
    assert all(line["error"] is None for line in output)
    assert all(line["error"]["code"] for line in errors)
    return output, errors


def content_of(line: dict[str, Any]) -> str:
    message = line["response"]["body"]["choices"][0]["message"]
    return str(message["content"] or message["refusal"])


async def stack_for(world: ResponseWorld, **how: Any) -> Stack:
    loaded = interpret(world.document(**how), {})
    assert loaded.config is not None
    stack = await resolve(loaded, routed_apis(loaded.config), version="1")
    world.opened.push_async_callback(stack.close)
    return stack


async def engine_for(world: ResponseWorld, **how: Any) -> Engine:
    """Of a worker of which a test says when it does what."""
    return engine_of(await stack_for(world, **how), Timing(checkpoint=0.05, grace=0.1))


async def step(engine: Engine, batch: str, do: str, number: int = 0) -> Outcome:
    return await engine.run_message(Delivery({"job": batch, "do": do, "number": number}, "r", 1))


async def killed_after(engine: Engine, batch: str, rows: int) -> None:
    """The only shard is worked on until so many of its rows are kept; then its worker is gone, without a word."""
    dying = asyncio.create_task(step(engine, batch, "shard"))

    async def is_kept() -> bool:
        job = await engine.jobs.get(batch)
        assert job is not None
        return (await engine.jobs.shards(job))[0].done.bit_count() == rows

    await eventually(is_kept)
    dying.cancel()
    await asyncio.wait((dying,))


def many(count: int) -> list[dict[str, Any]]:
    return [chat_line(f"c{number}", f"n{number}") for number in range(count)]
