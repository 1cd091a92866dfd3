"""Background responses under workers that are processes, and are killed: all complete, whole, and no tool that answered is called again."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
import json
from pathlib import Path
import random
import subprocess
import sys
import time
from typing import Any

from aiohttp import web
import httpx
import pytest

from tests.parts.background_runs import ENDED, stream_of
from tests.parts.mcp_double import message_of
from tests.parts.model_script import Call, Round
from tests.parts.response_calls import answer, box, kinds, text_of
from tests.parts.response_stack import RESPONSES, ResponseWorld, response_world

ROOT = Path(__file__).parents[2]
RUNS = 20
ROUNDS = 4
KILLS = 8
SECONDS = 900
KEPT_SECONDS = 1.0  # in which an answer that came is in the log


@dataclass
class CountingTool:
    """`add` by its idempotency keys: when each was answered, which takes a while."""

    answered: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    async def reply(self, request: web.Request, message: dict[str, Any]) -> web.StreamResponse:
        arguments = message["params"]["arguments"]
        await asyncio.sleep(random.uniform(0.05, 0.4))  # noqa: S311 - no secret
        key = request.headers["idempotency-key"]
        content = [{"type": "text", "text": str(arguments["a"] + arguments["b"])}]
        response = web.json_response(message_of(message, {"content": content, "resultType": "complete"}))
        self.answered.setdefault(key, []).append(time.monotonic())
        return response


@dataclass
class Workers:
    config: Path
    log: Path
    processes: "list[subprocess.Popen[bytes]]" = field(default_factory=list["subprocess.Popen[bytes]"])
    killed: list[float] = field(default_factory=list[float])
    clocks: Iterator[int] = field(default_factory=lambda: cycle((-2, 3, 0)))
    """By how many seconds each one's is ahead."""

    def start(self) -> None:
        with self.log.open("ab") as output:
            seconds = str(next(self.clocks))
            command = [sys.executable, "-m", "tests.parts.ahead", seconds, "worker", str(self.config), "--at-once", "5"]
            self.processes.append(subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output))

    def kill_one(self) -> None:
        process = self.processes.pop(random.randrange(len(self.processes)))  # noqa: S311 - no secret
        process.kill()
        process.wait()
        self.killed.append(time.monotonic())
        self.start()

    def stop(self) -> list[int]:
        for process in self.processes:
            process.terminate()
        return [process.wait(60) for process in self.processes]


@asynccontextmanager
async def crew(world: ResponseWorld) -> AsyncGenerator[Workers]:
    config = world.folder / "run.json"
    config.write_text(json.dumps(world.document()))
    workers = Workers(config, world.folder / "workers.log")
    for _ in range(2):
        await asyncio.to_thread(workers.start)
    try:
        yield workers
    finally:
        await asyncio.to_thread(workers.stop)


async def wait_for_all(client: httpx.AsyncClient, ids: list[str], workers: Workers) -> dict[str, dict[str, Any]]:
    began, ended = time.monotonic(), dict[str, dict[str, Any]]()
    next_kill = began + 4
    while len(ended) < len(ids):
        assert time.monotonic() - began < SECONDS, workers.log.read_text()[-5000:]
        for response_id in set(ids) - set(ended):
            response = (await client.get(f"{RESPONSES}/{response_id}")).json()
            if response["status"] in ENDED:
                ended[response_id] = response
        if len(workers.killed) < KILLS and time.monotonic() >= next_kill:
            await asyncio.to_thread(workers.kill_one)
            next_kill = time.monotonic() + random.uniform(1, 8)  # noqa: S311 - no secret
        await asyncio.sleep(0.3)
    return ended


@pytest.mark.exact
async def test_twenty_runs_complete_however_often_their_workers_are_killed(tmp_path: Path) -> None:
    tool = CountingTool()
    async with response_world(tmp_path) as world:
        world.server.answers["tools/call"] = tool.reply
        client = await world.client()
        began, ids = time.monotonic(), list[str]()
        for number in range(RUNS):
            rounds = [
                Round(
                    "Let me see. ",
                    (Call("add", {"a": number, "b": step}), Call("add", {"a": step, "b": 1})),
                    pause=0.15,
                )
                for step in range(ROUNDS)
            ]
            body = {"tools": [box(world)], "background": True, "stream": False}
            ids.append((await answer(client, *rounds, Round("All in all {quote}.", pause=0.1), **body))["id"])
        async with crew(world) as workers:
            ended = await wait_for_all(client, ids, workers)
        seconds = time.monotonic() - began
        streams = {id_: await stream_of(client, id_) for id_ in ids}
    repeated = {key: times for key, times in tool.answered.items() if len(times) > 1}
    calls = Counter(key.partition(":")[0] for key in tool.answered)
    print(
        f"\n{RUNS} runs in {seconds:.0f} s, {len(workers.killed)} kills: {Counter(r['status'] for r in ended.values())},"
        f" {len(tool.answered)} calls, {len(repeated)} of them answered while their worker was killed"
    )
    assert {response["status"] for response in ended.values()} == {"completed"}
    assert calls == dict.fromkeys(ids, 2 * ROUNDS)
    for times in repeated.values():  # who was killed had not heard, or not kept it
        assert any(0 <= kill - times[0] < KEPT_SECONDS for kill in workers.killed), (times, workers.killed)
    for number, id_ in enumerate(ids):
        whole = [item for item in ended[id_]["output"] if item.get("status", "completed") == "completed"]
        assert kinds({"output": whole}).count("mcp_call") == 2 * ROUNDS
        assert "All in all" in text_of({"output": whole}), number
        assert streams[id_][-1]["response"]["output"] == ended[id_]["output"]
