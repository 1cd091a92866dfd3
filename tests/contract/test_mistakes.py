"""Whatever one provider raises, gives or takes of time when the stack asks it by itself: the others are listed and served."""

import asyncio
import json
from pathlib import Path
import re
from typing import Any

import httpx

from tests.contract.external import ADAPTER, put, run_config
from tests.parts import upstream as upstreams
from tests.parts.secrets import plant
from tests.parts.stack import ROOT, serving

SECRET = plant("hidden-value-of-the-odd")
KINDS = """
import asyncio, logging

class Mute(Exception):
    def __str__(self): raise SystemExit(9)

async def behave(word, key):
    match word:
        case "raises": raise OSError("no\\nline\\x1b[2J, for " + key)
        case "exits": raise SystemExit(3)
        case "interrupts": raise KeyboardInterrupt
        case "cancels": raise asyncio.CancelledError
        case "ends": raise GeneratorExit
        case "is_mute": raise Mute
        case "groups": raise BaseExceptionGroup("many", [SystemExit(1), ValueError("x")])
        case "is_long": raise ValueError("x" * 1_000_000)
        case "gives_none": return None
        case "gives_text": return "OK"
        case "generates": return (x for x in ({"id": "z"},))
        case "gives_no_ids": return [{"model_type": "llm", "metadata": {}}]
        case "gives_no_json": return [{"id": "z", "model_type": "llm", "metadata": {"x": object()}}]
        case "gives_surrogates": return [{"id": "\\ud800", "model_type": "llm", "metadata": {}}]
        case "gives_numbers": return [{"id": "z", "model_type": 7, "metadata": {}}]
        case "gives_odd_status": return {"status": "fine\\n"}
        case "hangs": await asyncio.Event().wait()
        case "is_deaf":
            while True:
                try: await asyncio.sleep(3600)
                except asyncio.CancelledError: pass

class Odd(Parrot):
    async def act(self, method, usual):
        name, _, word = self.config.word.partition(".")
        if name == method:
            return await behave(word, self.config.api_key.get_secret_value())
        return usual

    async def list_models(self):
        logging.getLogger("acme.sdk").warning("listing of %s", self.config.word)
        return await self.act("list_models", await super().list_models())
    async def health(self): return await self.act("health", {"status": "OK"})
    async def close(self): return await self.act("close", None)
    @property
    def warm(self): raise SystemExit(4)

async def get_adapter_impl(config, deps): return Odd(config)
"""
WORDS = re.findall(r'case "(\w+)"', KINDS)
OF_LISTINGS, OF_HEALTH = {"gives_no_ids", "gives_no_json", "gives_surrogates", "gives_numbers"}, {"gives_odd_status"}
ODD = [
    *(f"list_models.{word}" for word in WORDS if word not in OF_HEALTH),
    *(f"health.{word}" for word in WORDS if word not in OF_LISTINGS),
    *(f"close.{word}" for word in WORDS if word not in OF_LISTINGS | OF_HEALTH),
]


def provider(name: str) -> dict[str, Any]:
    return {"provider_id": name, "provider_type": "remote::parrot", "config": {"word": name, "api_key": SECRET}}


async def test_the_others_are_listed_and_served_and_the_bad_one_says_why(tmp_path: Path) -> None:
    put(tmp_path, ADAPTER + KINDS)
    async with upstreams.running() as upstream:
        good = {"provider_id": "good", "provider_type": "remote::vllm", "config": {"url": f"{upstream.url}/v1"}}
        config = run_config(tmp_path, inference=[good, *map(provider, ODD)])
        log, env = tmp_path / "log", {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
        with serving(config, log, env=env) as url:
            async with httpx.AsyncClient(base_url=f"{url}/v1", timeout=20) as client:
                models, told = await asyncio.gather(client.get("/models"), client.get("/providers"))
                providers = told.json()["data"]
                body = {"model": "good/m", "messages": [{"role": "user", "content": "hi"}]}
                assert (await client.post("/chat/completions", json=body)).status_code == 200
    ids = {model["id"] for model in models.json()["data"]}
    assert any(name.startswith("good/") for name in ids)
    assert {f"{name}/p" for name in ODD if not name.startswith("list_models")} <= ids
    for shown in providers:
        is_bad = shown["provider_id"].startswith(("list_models.", "health."))
        assert shown["health"]["status"] == ("Error" if is_bad else "OK"), shown
        assert not is_bad or 5 < len(shown["health"]["message"]) < 700
        assert SECRET not in json.dumps(shown)
    lines = [line for line in log.read_text("utf-8").splitlines() if not line.startswith("llambda is listening on ")]
    request = models.headers["x-request-id"]
    for name in ODD:
        if name.startswith("list_models."):
            assert [line for line in lines if f"provider {name} did not list" in line and request in line], name
    assert [line for line in lines if " acme.sdk: listing of " in line and line.endswith(request)]
    assert [line for line in lines if "closing provider `close.exits`: It raised SystemExit: 3" in line]
    assert all(re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z [A-Z]+ \S+: .+", line) for line in lines), lines
    assert SECRET not in "\n".join(lines)
