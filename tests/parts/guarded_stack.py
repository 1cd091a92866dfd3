"""A stack whose models are guarded by each kind of shield: the guards are doubles on their real wires, that know one word.

Each judges as the real one does: Llama Guard what follows the last turn, NeMo's rails the last message of a user or of an
assistant, a guardrail of Bedrock its content. What is not there is not found.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
import json
from typing import Any, Final, override

from aiohttp import web
import httpx

from core.config.load import interpret
from tests.parts import upstream as upstreams
from tests.parts.bedrock import GUARDRAIL, KEYS, REGION, FakeBedrock
from tests.parts.guardrails import VIOLENCE, intervened, passed
from tests.parts.live_stack import client_over
from tests.parts.upstream import CHAT, FakeUpstream, Reply

WORD: Final = "zyzzogeton"
CHATS: Final = "/v1/chat/completions"
GUARDS: Final = ("llama", "sambanova", "nvidia", "bedrock")


def judged_by_llama(body: Any) -> str:
    """The last message: the model is asked for no other."""
    content = body["messages"][0]["content"]
    prompt: str = content if isinstance(content, str) else content[0]["text"]
    conversation = prompt.partition("<BEGIN CONVERSATION>\n\n")[2].rpartition("\n\n<END CONVERSATION>")[0]
    agent = "Agent" if "ONLY THE LAST Agent message" in prompt else "User"
    return f"\n\n{conversation}".rpartition(f"\n\n{agent}: ")[2]


def judged_by_nvidia(body: Any) -> str:
    """Rails look at the last of each side, and at an answer only where it comes last."""
    messages = body["messages"]
    users = [message["content"] for message in messages if message["role"] == "user"]
    last = messages[-1]
    return str(last["content"] if last["role"] == "assistant" else users[-1])


def llama_reply(word: str) -> Reply:
    """A server's of Llama Guard, which finds `word` unsafe."""

    async def reply(request: web.Request) -> web.StreamResponse:
        verdict = "unsafe\nS1" if word in judged_by_llama(json.loads(await request.read())) else "safe"
        message = {"role": "assistant", "content": verdict}
        return web.json_response({**CHAT, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})

    return reply


def _nvidia(word: str) -> Reply:
    async def reply(request: web.Request) -> web.StreamResponse:
        status = "blocked" if word in judged_by_nvidia(json.loads(await request.read())) else "success"
        return web.json_response({"status": status, "rails_status": {"check": {"status": status}}})

    return reply


def _bedrock(word: str) -> Reply:
    async def reply(request: web.Request) -> web.StreamResponse:
        blocks = json.loads(await request.read())["content"]
        text = "\n".join(block["text"]["text"] for block in blocks if "text" in block)
        assert len(text) <= 25_000, "more text units than ApplyGuardrail takes"
        return web.json_response(intervened(VIOLENCE) if word in text else passed(len(text)))

    return reply


@dataclass(repr=False)
class GuardedStack:
    """`in-GUARD` has that guard for what goes in, `out-GUARD` for what comes out; a shield `lax` lets pass what it cannot judge."""

    client: httpx.AsyncClient
    model: FakeUpstream
    guards: dict[str, FakeUpstream]

    @override
    def __repr__(self) -> str:  # a failing example shows it
        return "stack"

    async def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        return await self.client.post(path, json=body)

    async def chat(self, guard: str, /, messages: Any = None, **more: Any) -> httpx.Response:
        messages = [{"role": "user", "content": "Hello"}] if messages is None else messages
        return await self.post(CHATS, {**more, "model": f"in-{guard}", "messages": messages})

    def judgements(self, guard: str) -> int:
        return len([seen for seen in self.guards[guard].seen if seen.method == "POST"])

    def forget(self) -> None:
        for upstream in (self.model, *self.guards.values()):
            upstream.seen.clear()


def _document(model: str, guards: dict[str, FakeUpstream], folder: str) -> dict[str, Any]:
    def vllm(name: str, url: str) -> dict[str, Any]:
        return {"provider_id": name, "provider_type": "remote::vllm", "config": {"url": url}}

    configs: dict[str, dict[str, Any]] = {
        "sambanova": {"url": f"{guards['sambanova'].url}/v1", "api_key": "key-of-the-guard"},
        "nvidia": {"guardrails_service_url": guards["nvidia"].url},
        "bedrock": {**KEYS, "region_name": REGION, "endpoint_url": guards["bedrock"].url, "total_max_attempts": 1},
    }
    safety = [{"provider_id": "llama", "provider_type": "inline::llama-guard", "config": {}}]
    safety += [
        {"provider_id": name, "provider_type": f"remote::{name}", "config": config} for name, config in configs.items()
    ]
    names = dict.fromkeys(GUARDS, "guard") | {"bedrock": GUARDRAIL}
    params = {"guardrailVersion": "1"}
    shields: list[dict[str, Any]] = [
        {"shield_id": guard, "provider_id": guard, "provider_shield_id": names[guard], "params": params}
        for guard in GUARDS
    ]
    shields.append(
        {"shield_id": "lax", "provider_id": "llama", "provider_shield_id": "guard", "params": {"strict": False}}
    )
    models: list[dict[str, Any]] = [{"model_id": "guard", "provider_id": "guards", "provider_model_id": "guard"}]
    for side, field in (("in", "input_shields"), ("out", "output_shields")):
        models += [
            {
                "model_id": f"{side}-{guard}",
                "provider_id": "model",
                "provider_model_id": f"{side}-{guard}",  # guards are those of a place: each has its own
                "metadata": {field: [guard]},
            }
            for guard in (*GUARDS, "lax")
        ]
    embedder = {"model_type": "embedding", "metadata": {"input_shields": ["llama"], "embedding_dimension": 1}}
    models.append({"model_id": "vectors", "provider_id": "model", "provider_model_id": "e", **embedder})
    ranker = {"model_type": "rerank", "metadata": {"input_shields": ["llama"]}}
    models.append({"model_id": "ranks", "provider_id": "model", "provider_model_id": "r", **ranker})
    return {
        "version": 2,
        "image_name": "guards",
        "apis": ["inference", "safety"],
        "providers": {"inference": [vllm("model", model), vllm("guards", guards["llama"].url)], "safety": safety},
        "models": models,
        "shields": shields,
        "metadata_store": {"type": "sqlite", "db_path": f"{folder}/registry.db"},
    }


@asynccontextmanager
async def guarded_stack(folder: str, word: str = WORD) -> AsyncIterator[GuardedStack]:
    model = FakeUpstream()
    guards = {
        "llama": FakeUpstream(models=[{"id": "guard"}], replies={CHATS: llama_reply(word)}),
        "sambanova": FakeUpstream(models=[{"id": "guard"}], replies={CHATS: llama_reply(word)}),
        "nvidia": FakeUpstream(replies={"/v1/guardrail/checks": _nvidia(word)}),
        "bedrock": FakeBedrock(replies={"apply-guardrail": _bedrock(word)}),
    }
    async with AsyncExitStack() as opened:
        for upstream in (model, *guards.values()):
            await opened.enter_async_context(upstreams.running(upstream))
        loaded = interpret(_document(model.url, guards, folder), {})
        client = await opened.enter_async_context(client_over(loaded))
        yield GuardedStack(client, model, guards)
