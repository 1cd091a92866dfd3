"""The real clients with an Idempotency-Key, against `llambda serve`; the upstream answers with a number, each time the next."""

import asyncio
from collections.abc import Generator
from itertools import count
import json
from typing import Any

from aiohttp import web
import pytest

from tests.clients.running import check, params
from tests.parts.stack import serving
from tests.parts.upstream import CHAT, FakeUpstream, Reply, chunk, in_thread, stream

CONFIG = """
version: 2
image_name: idempotent
providers:
  inference:
    - {provider_id: p, provider_type: "remote::vllm", config: {url: "${env.URL}"}}
metadata_store: {type: sqlite, db_path: "${env.FOLDER}/registry.db"}
server:
  idempotency:
    kvstore: {type: sqlite, db_path: "${env.FOLDER}/answers.db"}
"""


def said(text: str) -> web.Response:
    choice: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return web.json_response({**CHAT, "choices": [choice]})


def counting() -> Reply:
    """A number, each time the next; `hold` is answered after `go`, and `holds?` tells whether one waits."""
    numbers, holding = count(1), list[asyncio.Event]()

    async def reply(request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        text = body["messages"][0]["content"]
        if text == "holds?":
            return said("yes" if holding else "no")
        if text == "go":
            holding.pop().set()
            return said("gone")
        if text == "hold":
            holding.append(asyncio.Event())
            await holding[-1].wait()
        number = f"number {next(numbers)}"
        return await stream([chunk(number), chunk(None, "stop")])(request) if body.get("stream") else said(number)

    return reply


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    folder = tmp_path_factory.mktemp("idempotent")
    (folder / "run.yaml").write_text(CONFIG, "utf-8")
    with in_thread(FakeUpstream(replies={"/v1/chat/completions": counting()})) as upstream:
        env = {"URL": f"{upstream.url}/v1", "FOLDER": str(folder)}
        with serving(folder / "run.yaml", folder / "log.txt", env=env) as url:
            yield url


@pytest.mark.parametrize("client", params())
def test_a_real_client_gets_the_same_answer_or_the_right_error(url: str, client: str) -> None:
    check(client, "tests.clients.scripts.idempotent", url)
