"""An upstream that is asked for rows: slow, sometimes too busy, and it counts."""

import asyncio
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
import random
import threading

from aiohttp import web

CHANCE = random.Random()  # noqa: S311 - no secret


@dataclass
class RowUpstream:
    """`asked` counts what each row cost, `throttled` the refusals, which cost nothing; seconds of an answer are drawn.

    `answers` are the answers that were sent to somebody who was still there.
    """

    fastest: float = 0.2
    slowest: float = 0.6
    share_throttled: float = 0.02
    base: str = ""
    url: str = ""
    asked: Counter[int] = field(default_factory=Counter[int])
    answers: int = 0
    throttled: int = 0
    now: int = 0
    peak: int = 0

    async def answer(self, request: web.Request) -> web.Response:
        """`{"row"}`, echoed."""
        row = (await request.json())["row"]
        return await self._after_a_while(row, lambda: web.json_response({"row": row}))

    async def chat(self, request: web.Request) -> web.Response:
        """A chat completion of OpenAI's, whose last message is the row, and so is the answer; five tokens in, two out."""
        body = await request.json()
        text = body["messages"][-1]["content"]
        usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
        message = {"role": "assistant", "content": text}
        return await self._after_a_while(
            int(text),
            lambda: web.json_response(
                {
                    "id": f"chatcmpl-{text}",
                    "object": "chat.completion",
                    "created": 1,
                    "model": body["model"],
                    "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                    "usage": usage,
                }
            ),
        )

    async def _after_a_while(self, row: int, make: Callable[[], web.Response]) -> web.Response:
        if CHANCE.random() < self.share_throttled:
            self.throttled += 1
            return web.json_response({}, status=429)
        self.asked[row] += 1
        self.now += 1
        self.peak = max(self.peak, self.now)
        try:
            await asyncio.sleep(CHANCE.uniform(self.fastest, self.slowest))
        finally:
            self.now -= 1
        self.answers += 1
        return make()

    @property
    def again(self) -> int:
        """What was asked more than once, each time."""
        return self.asked.total() - len(self.asked)


@contextmanager
def serving(upstream: RowUpstream) -> Generator[RowUpstream]:
    """On a loop of its own."""
    ready, loop, stopping = threading.Event(), asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        app = web.Application()
        app.router.add_post("/rows", upstream.answer)
        app.router.add_post("/v1/chat/completions", upstream.chat)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
        upstream.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        upstream.url = f"{upstream.base}/rows"
        ready.set()
        await stopping.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield upstream
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(10)
        loop.close()
