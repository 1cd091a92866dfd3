"""What tests of registered providers share: stacks that let callers name private places, or not, and what they send."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
import socket
from typing import Any

import httpx
import pytest

from tests.contract.test_configurations_policy import stack
from tests.parts.live_stack import client_of, run_config
from tests.parts.upstream import FakeUpstream, running

PROVIDERS, REGISTER = "/v1/providers", "/v1/configurations"
CLOSED = {"refresh_seconds": 0}
OPEN = CLOSED | {"allow_private_urls": True}
ALL = [
    {"permit": {"actions": ["create", "read", "delete"], "resource": f"{kind}::*"}}
    for kind in ("configuration", "provider", "model")
]
ROLE = "arn:aws:iam::123456789012:role/admin"


@asynccontextmanager
async def serving(
    store: dict[str, Any], configurations: dict[str, Any], **more: Any
) -> AsyncGenerator[tuple[httpx.AsyncClient, FakeUpstream]]:
    """A stack whose one provider, `local`, is the operator's."""
    async with running() as own:
        document = run_config(own.url, store, configurations=configurations, **more)
        async with client_of(document) as client:
            yield client, own


def vllm(url: str, **config: Any) -> dict[str, Any]:
    return body("remote::vllm", {"url": url, **config})


def body(provider_type: str, config: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"api": "inference", "provider_id": "more", "provider_type": provider_type, "config": config, **more}


def lookups(monkeypatch: pytest.MonkeyPatch, **names: list[str]) -> None:
    """What the system says of `NAME.test`: an address each time, the last one for ever."""
    ask = socket.getaddrinfo

    def answer(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        known = names.get(str(host).removesuffix(".test"))
        if known is None:
            return ask(host, port, *args, **kwargs)
        return ask(known.pop(0) if len(known) > 1 else known[0], port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", answer)


@asynccontextmanager
async def vouching(folder: Path) -> AsyncGenerator[httpx.AsyncClient]:
    """A stack whose callers are who they say, and may all register."""
    async with stack(folder, ALL) as client:
        yield client
