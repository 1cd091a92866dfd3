"""A stack with the Configuration API on, in this process: its apps over real upstreams and a real store."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
import json
from typing import Any

import httpx

from core.config.load import interpret
from core.resolution.resolve import resolve
from core.runtime.function import app_of_stack
from core.web.app import union

CHAT: dict[str, Any] = {"model": "local/m", "messages": [{"role": "user", "content": "hi"}]}


def run_config(url: str, store: dict[str, Any], **more: Any) -> dict[str, Any]:
    """One vLLM called `local`, with a key of the operator's."""
    config = {"url": url, "api_token": "operators-own", "timeout": 30}
    entry = {"provider_id": "local", "provider_type": "remote::vllm", "config": config}
    common = {"version": 2, "image_name": "t", "apis": ["inference"], "metadata_store": store}
    return common | {"providers": {"inference": [entry]}, "configurations": {"refresh_seconds": 5}} | more


@asynccontextmanager
async def client_of(document: dict[str, Any], **environ: str) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of the stack that this run config makes: its functions' apps, as `serve` joins them."""
    loaded = interpret(document, environ)
    assert not loaded.problems, loaded.problems
    apps = [
        app_of_stack(await resolve(loaded, [api], version="1"), [api])
        for api in ("inference", "safety", "admin")
        if api == "admin" or document["providers"].get(api)
    ]
    app = union(apps)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
        try:
            yield client
        finally:
            for each in app.state.stacks:
                await each.close()


def entry(config: dict[str, Any], provider_id: str = "local", **more: Any) -> dict[str, Any]:
    """The body of a registration that is about one inference provider."""
    return {"config": {"inference": [{"provider_id": provider_id, "config": config}]}, **more}


def message(answer: httpx.Response) -> str:
    text: str = json.loads(answer.content)["error"]["message"]
    return text
