"""A real browser, without a window: Debian's chromium, driven over its debugging port (DevTools' protocol)."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
import json
from pathlib import Path
import re
from typing import Any

import aiohttp

from infra.local.parts import find_browser

SECONDS = 60
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
)


class Page:
    """One page; what it runs is awaited, and comes back as JSON."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0

    async def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        while True:
            message = json.loads((await self._socket.receive_str()).encode("utf-8", "replace"))
            if message.get("id") == self._number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result

    async def open(self, url: str) -> None:
        """Go there, and wait until it is loaded."""
        assert "errorText" not in await self.command("Page.navigate", url=url)
        ready = "new Promise(done => { const look = () => document.readyState == 'complete' ? done(location.href) : setTimeout(look, 20); look() })"
        assert await self.run(ready) == url

    async def run(self, script: str) -> Any:
        done = await self.command("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")


@asynccontextmanager
async def browsing(folder: Path, hosts: str) -> AsyncGenerator[Page]:
    """A page of a browser for which DNS has `hosts`, as in `MAP evil.example 127.0.0.1`."""
    program = await asyncio.to_thread(find_browser)
    arguments = (*FLAGS, f"--user-data-dir={folder}/profile", f"--host-resolver-rules={hosts}", "about:blank")
    process = await asyncio.create_subprocess_exec(program, *arguments, stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    try:
        async with asyncio.timeout(SECONDS), aiohttp.ClientSession() as session:
            port = await _port(process.stderr)
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                pages = [page for page in await answer.json() if page["type"] == "page"]
            async with session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                yield Page(socket)
    finally:
        process.terminate()
        await process.communicate()


async def _port(notes: asyncio.StreamReader) -> int:
    """Where it listens, which is among the first that it says."""
    said = b""
    while line := await notes.readline():
        said += line
        if match := re.search(rb"DevTools listening on ws://127\.0\.0\.1:(\d+)/", line):
            return int(match[1])
    raise RuntimeError(f"the browser did not start: {said.decode()[-1000:]}")
