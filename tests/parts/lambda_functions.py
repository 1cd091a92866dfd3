"""Lambda's Invoke on loopback, in front of functions: Python functions of the test, or a runtime that listens at a URL.

Signatures are checked, the client context's too. What it does not show: concurrency, versions, aliases as more than a part of a name, and
a function's own log.
Source: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html.
"""

import asyncio
from base64 import b64decode
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
import json
import re
from typing import Any, Final
from urllib.parse import unquote

from aiohttp import ClientSession, web

from core.providers.aws_lambda.config import Config
from core.providers.aws_lambda.tool_runtime import LambdaTools
from infra.local.dynamodb import CREDENTIALS, REGION
from tests.parts.s3_vectors import check_signature
from tests.parts.s3_vectors_model import Refusal

KEYS: Final = {name.lower(): value for name, value in CREDENTIALS.items() if name != "AWS_DEFAULT_REGION"}
MOST_BYTES: Final = 6 * 1024 * 1024
INVOKE: Final = re.compile(r"/2015-03-31/functions/([^/]+)/invocations")
ARN: Final = f"arn:aws:lambda:{REGION}:123456789012:function:"

type Handler = Callable[[Any, dict[str, Any]], Any]
"""Takes the event and `custom` of the client context, and returns what becomes JSON."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One of other bytes than a handler's JSON; `failed` as Lambda says it."""

    body: bytes
    failed: bool = False


@dataclass
class LambdaDouble:
    """`functions` by their names with what is behind a colon: a handler, or the URL of a runtime's emulator; `refuse` are the next answers."""

    functions: dict[str, Handler | str] = field(default_factory=dict[str, Handler | str])
    refuse: list[Refusal] = field(default_factory=list[Refusal])
    invoked: list[tuple[str, Any, dict[str, Any]]] = field(default_factory=list[tuple[str, Any, dict[str, Any]]])
    dry: list[str] = field(default_factory=list[str])
    skew: timedelta = timedelta()
    delay: float = 0.0  # seconds that a function takes
    url: str = ""

    async def reply(self, request: web.Request) -> web.Response:
        content = await request.read()
        try:
            return await self._answer(request, content)
        except Refusal as refusal:
            date = format_datetime(datetime.now(UTC) + self.skew, usegmt=True)
            kind = f"{refusal.kind}:http://internal.amazon.com/"
            headers = {"x-amzn-ErrorType": kind, "Retry-After": "7", "Date": date}
            return web.json_response(
                {"Type": "User", "Message": refusal.message}, status=refusal.status, headers=headers
            )

    async def _answer(self, request: web.Request, content: bytes) -> web.Response:
        match = INVOKE.fullmatch(request.raw_path)
        assert match, request.raw_path
        if self.refuse:
            raise self.refuse.pop(0)
        check_signature(request, content, datetime.now(UTC) + self.skew, "lambda")
        name = unquote(match[1]).removeprefix(ARN)
        if name not in self.functions:
            raise Refusal(404, "ResourceNotFoundException", f"Function not found: {ARN}{name}")
        if request.headers["X-Amz-Invocation-Type"] == "DryRun":
            self.dry.append(name)
            return web.Response(status=204)
        context = request.headers["X-Amz-Client-Context"]
        assert "x-amz-client-context" in request.headers["Authorization"]
        event, custom = json.loads(content), json.loads(b64decode(context, validate=True))["custom"]
        self.invoked.append((name, event, custom))
        if len(content) > MOST_BYTES:
            raise Refusal(413, "RequestTooLargeException", f"{len(content)} byte payload is too large")
        answer = await self._run(name, content, context)
        headers = {"X-Amz-Executed-Version": "$LATEST"} | (
            {"X-Amz-Function-Error": "Unhandled"} if answer.failed else {}
        )
        return web.Response(body=answer.body, headers=headers, content_type="application/json")

    async def _run(self, name: str, content: bytes, context: str) -> Answer:
        await asyncio.sleep(self.delay)
        function = self.functions[name]
        if not isinstance(function, str):
            returned = function(json.loads(content), json.loads(b64decode(context))["custom"])
            return returned if isinstance(returned, Answer) else Answer(json.dumps(returned).encode())
        headers = {"X-Amz-Client-Context": context}
        async with ClientSession() as http, http.post(function, data=content, headers=headers) as response:
            body = await response.read()
        return Answer(body, b'"errorType"' in body)  # the emulator does not say it in a header


@asynccontextmanager
async def running(double: LambdaDouble) -> AsyncGenerator[LambdaDouble]:
    app = web.Application(client_max_size=2 * MOST_BYTES)
    app.router.add_route("*", "/{path:.*}", double.reply)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        double.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield double
    finally:
        await runner.cleanup()


def config_of(double: LambdaDouble, functions: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"endpoint_url": double.url, "region_name": REGION, **KEYS, "functions": functions, **more}


def tool(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object", "properties": {}}, **more}


@asynccontextmanager
async def lambda_tools(
    functions: dict[str, Handler | str], *declared: dict[str, Any], **more: Any
) -> AsyncGenerator[tuple[LambdaDouble, LambdaTools]]:
    """The provider over these functions; each is declared with a tool `run`, where it is not said otherwise."""
    rows = list(declared) or [{"function": name, "tools": [tool("run")]} for name in functions]
    async with running(LambdaDouble(functions)) as double:
        provider = LambdaTools("functions", Config.model_validate(config_of(double, rows, **more)))
        try:
            yield double, provider
        finally:
            await provider.close()
