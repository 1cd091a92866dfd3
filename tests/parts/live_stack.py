"""A whole stack in this process: its functions' apps over real upstreams and a real store."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
import json
import re
from typing import Any

import httpx

from core.config.load import Loaded, interpret
from core.resolution.check import check
from core.resolution.resolve import resolve
from core.runtime.function import app_of_stack
from core.web.app import union
from core.web.observed import Sink
from tests.parts.described import hold_to_document

CHAT: dict[str, Any] = {"model": "local/m", "messages": [{"role": "user", "content": "hi"}]}


def run_config(url: str, store: dict[str, Any], **more: Any) -> dict[str, Any]:
    """One vLLM called `local`, with a key of the operator's."""
    config = {"url": url, "api_token": "operators-own", "timeout": 30}
    entry = {"provider_id": "local", "provider_type": "remote::vllm", "config": config}
    configurations = {"refresh_seconds": 5, "allow_private_urls": True}
    common = {"version": 2, "image_name": "t", "apis": ["inference"], "metadata_store": store}
    return common | {"providers": {"inference": [entry]}, "configurations": configurations} | more


def client_of(document: dict[str, Any], **environ: str) -> AbstractAsyncContextManager[httpx.AsyncClient]:
    return client_over(interpret(document, environ))


@asynccontextmanager
async def client_over(
    loaded: Loaded, sink: Sink | None = None, address: str = "127.0.0.1"
) -> AsyncGenerator[httpx.AsyncClient]:
    """A client, at `address`, of the stack that a run config makes; each function has its own, as in `llambda serve`."""
    assert not loaded.problems + check(loaded)
    assert loaded.config is not None
    served = (
        "batches",
        "datasetio",
        "eval",
        "files",
        "inference",
        "responses",
        "safety",
        "scoring",
        "tool_runtime",
        "vector_io",
        "webhooks",
    )
    apis = [api for api in served if loaded.config.providers.get(api)]
    apis += [api for api in ("keys", "usage") if api in loaded.config.apis]
    app = union([app_of_stack(await resolve(loaded, [api], version="1"), [api]) for api in (*apis, "admin")], sink)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 1))
    json = {"content-type": "application/json"}  # whatever a test sends
    async with httpx.AsyncClient(
        transport=transport, base_url="http://t", headers=json, event_hooks={"response": [hold_to_document]}
    ) as client:
        try:
            yield client
        finally:
            for each in app.state.stacks:
                await each.close()


def entry(config: dict[str, Any], provider_id: str = "local", **more: Any) -> dict[str, Any]:
    """The body of a registration that is about one inference provider."""
    return {"config": {"inference": [{"provider_id": provider_id, "config": config}]}, **more}


def without_request(text: str) -> str:
    """An answer but for the id of its request, which an error has: what remains tells what it says of others."""
    return re.sub(r',"request_id":"[^"]*"', "", text)


def message(answer: httpx.Response) -> str:
    text: str = json.loads(answer.content)["error"]["message"]
    return text
