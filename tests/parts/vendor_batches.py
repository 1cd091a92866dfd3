"""A vendor's `/v1/files` and `/v1/batches` on loopback, as OpenAI has them: multipart up, JSON lines down, results in no order.

A batch that is looked at is one step further, as the jobs of `.bedrock_jobs`. Source: https://platform.openai.com/docs/api-reference/batch.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
import json
from typing import Any, Final, override

from aiohttp import web

from tests.parts.upstream import CHAT, FakeUpstream, Reply, status

OK: Final = 200
STEPS: Final = ("validating", "in_progress")
ENDED: Final = frozenset({"completed", "failed", "expired", "cancelled"})

type Line = dict[str, Any]


def hello(line: Line) -> Line:
    return {"response": {"status_code": 200, "request_id": "req_1", "body": {**CHAT, "model": line["body"]["model"]}}}


@dataclass
class VendorBatches(FakeUpstream):
    """`outcome` is what a line comes to, {} for one that is missing. `held`, `cut` and `done` as of `BedrockJobs`."""

    outcome: Callable[[Line], Line] = hello
    held: bool = False
    cut: int | None = None
    done: int = 0
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    batches: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    created: int = 0
    stalls: bool = False  # the next request to create one is never answered
    broken: list[int] = field(
        default_factory=list[int]
    )  # how many lines the next readers of results get, before they wait

    @override
    async def reply(self, request: web.Request) -> web.StreamResponse:
        reply = await self._reply(request.method, request.path.removeprefix("/v1/").split("/"), request)
        return await (super().reply(request) if reply is None else reply(request))

    async def _reply(self, method: str, path: list[str], request: web.Request) -> Reply | None:
        match method, path:
            case _, ["files", *rest]:
                return await self._file(method, rest, request)
            case "POST", ["batches"]:
                reply = self._create(await request.json())
                return await self._stall() if self.stalls else reply
            case "GET", ["batches"]:
                return status(200, {"object": "list", "data": list(self.batches.values()), "has_more": False})
            case "GET", ["batches", name]:
                return self._get(name)
            case "POST", ["batches", name, "cancel"]:
                return self._cancel(name)
            case _:
                return None

    async def _file(self, method: str, path: list[str], request: web.Request) -> Reply:
        match method, path:
            case "POST", []:
                return await self._upload(request)
            case "GET", [name, "content"]:
                content = self.files.get(name)
                if self.broken and content is not None and name.endswith("output_file_id"):
                    return self._break(content)
                return _bytes(content)
            case "DELETE", [name]:
                return status(200 if self.files.pop(name, None) is not None else 404, {"id": name, "deleted": True})
            case _:
                return status(405)

    def _break(self, content: bytes) -> Reply:
        lines = content.splitlines(keepends=True)[: self.broken.pop(0)]

        async def reply(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"content-length": str(len(content))})
            await response.prepare(request)
            await response.write(b"".join(lines))
            await asyncio.sleep(3600)
            return response

        return reply

    async def _upload(self, request: web.Request) -> Reply:
        fields = _fields(request.headers["content-type"], await request.read())  # which was read before
        if fields.get("purpose") != b"batch":
            return status(400, {"error": {"message": "a file of the purpose batch"}})
        name = f"file-{len(self.files)}"
        self.files[name] = fields["file"]
        return status(200, {"id": name, "object": "file"})

    def _create(self, asked: dict[str, Any]) -> Reply:
        self.created += 1
        name = f"batch_{len(self.batches)}"
        self.batches[name] = {"id": name, "object": "batch", "status": STEPS[0], **asked}
        return status(200, self.batches[name])

    async def _stall(self) -> Reply:
        self.stalls = False
        await asyncio.sleep(3600)
        return status(504)

    def _get(self, name: str) -> Reply:
        batch = self.batches.get(name)
        if batch is None:
            return status(404, {"error": {"message": "no such batch"}})
        if batch["status"] == STEPS[0]:
            batch["status"] = STEPS[1]
        elif batch["status"] == "cancelling":
            self._finish(batch, "cancelled", self.done)
        elif batch["status"] == STEPS[1] and not self.held:
            self._finish(batch, "expired" if self.cut is not None else "completed", self.cut)
        return status(200, batch)

    def _cancel(self, name: str) -> Reply:
        batch = self.batches[name]
        if batch["status"] in ENDED:
            return status(409, {"error": {"message": "cannot cancel it"}})
        batch["status"] = "cancelling"
        return status(200, batch)

    def _finish(self, batch: dict[str, Any], end: str, most: int | None) -> None:
        lines = [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]
        results = [
            {"id": "r", "custom_id": line["custom_id"], "error": None, **self.outcome(line)} for line in lines[:most]
        ]
        results = [result for result in results if "response" in result]
        good, bad = list[Line](), list[Line]()
        for result in results:
            (good if (result["response"] or {}).get("status_code") == OK else bad).append(result)
        bad += [_unasked(line["custom_id"], end) for line in lines[most:] if most is not None]
        for key, entries in (("output_file_id", good), ("error_file_id", bad)):
            batch[key] = f"{batch['id']}-{key}" if entries else None
            if entries:
                self.files[batch[key]] = "".join(json.dumps(entry) + "\n" for entry in reversed(entries)).encode()
        batch |= {
            "status": end,
            "request_counts": {"total": len(lines), "completed": len(good), "failed": len(bad)},
        }


def _unasked(custom_id: str, end: str) -> Line:
    code = "batch_cancelled" if end == "cancelled" else "batch_expired"
    return {"id": "r", "custom_id": custom_id, "response": None, "error": {"code": code, "message": "too late"}}


def _fields(content_type: str, body: bytes) -> dict[str, bytes]:
    """Of a form, as RFC 7578 has it; the standard library's own reader takes minutes for 50,000 lines."""
    boundary = f"--{content_type.partition('boundary=')[2]}".encode()
    fields: dict[str, bytes] = {}
    for part in body.split(boundary)[1:-1]:
        head, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        fields[head.decode().partition('name="')[2].partition('"')[0]] = content.removesuffix(b"\r\n")
    return fields


def _bytes(content: bytes | None) -> Reply:
    if content is None:
        return status(404, {"error": {"message": "no such file"}})

    async def reply(_: web.Request) -> web.StreamResponse:
        return web.Response(body=content)

    return reply
