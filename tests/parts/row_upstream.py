"""An upstream that is asked for rows: slow, sometimes too busy, and it counts."""

import asyncio
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
import random
import threading

from aiohttp import web

CHANCE = random.Random()  # noqa: S311 - no secret


@dataclass
class RowUpstream:
    """`asked` counts what each row cost, `throttled` the refusals, which cost nothing; seconds of an answer are drawn."""

    fastest: float = 0.2
    slowest: float = 0.6
    share_throttled: float = 0.02
    url: str = ""
    asked: Counter[int] = field(default_factory=Counter[int])
    throttled: int = 0
    now: int = 0
    peak: int = 0

    async def answer(self, request: web.Request) -> web.Response:
        row = (await request.json())["row"]
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
        return web.json_response({"row": row})

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
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
        upstream.url = f"http://127.0.0.1:{runner.addresses[0][1]}/rows"
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
