"""A copy of the product with the toy API of notes, and a model that is asked for its digests."""

import asyncio
from pathlib import Path
import shutil
from typing import Final, override

from aiohttp import web

from tests.parts.upstream import CHAT, FakeUpstream

ROOT: Final = Path(__file__).parents[3]
TOY: Final = Path(__file__).parent
NEW_FILES: Final = {
    "wire.py.txt": "core/apis/notes.py",
    "manifest.py.txt": "core/apis/manifests/notes.py",
    "service.py.txt": "core/services/notes/service.py",
    "digest.py.txt": "core/services/notes/digest.py",
    "function.py.txt": "functions/notes.py",
}
ROOMS: Final = ("core", "functions", "infra", "locks")
FILES: Final = ("template.yaml", "pyproject.toml", "Makefile", "samconfig.toml")


def copy_product(folder: Path) -> None:
    """Into `folder`, with nothing changed in it but the toy's files, which are new."""
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    for file in FILES:
        shutil.copy(ROOT / file, folder)
    (folder / "core/services/notes").mkdir()
    (folder / "core/services/notes/__init__.py").touch()
    for source, place in NEW_FILES.items():
        assert not (folder / place).exists()
        shutil.copy(TOY / source, folder / place)


class Upstream(FakeUpstream):
    """Answers each row with itself, after a while; some of them not at the first time."""

    @override
    async def reply(self, request: web.Request) -> web.StreamResponse:
        if request.path != "/v1/chat/completions":
            return await super().reply(request)
        text = self.seen[-1].body["messages"][0]["content"]
        first = (
            sum(seen.path == request.path and seen.body["messages"][0]["content"] == text for seen in self.seen) == 1
        )
        if first and text.endswith("7"):
            return web.json_response({}, status=429)
        await asyncio.sleep(0.05)
        message = {"role": "assistant", "content": f"about {text}"}
        return web.json_response({**CHAT, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
