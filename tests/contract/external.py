"""External providers for tests: a module, its spec file, and a run config that uses it."""

import json
from pathlib import Path
from typing import Any

from core.config.load import Loaded, load

CONFIG = """
from pydantic import BaseModel, SecretStr

class Config(BaseModel):
    word: str = "hi"
    api_key: SecretStr | None = None
"""
ADAPTER = f"""{CONFIG}
class Parrot:
    def __init__(self, config): self.config = config
    async def chat_completion(self, request): return {{"object": self.config.word, "model": request.model}}
    async def completion(self, request): return {{}}
    async def embeddings(self, request): return {{}}
    async def stream_chat_completion(self, request): return None
    async def stream_completion(self, request): return None
    async def list_models(self): return [{{"id": "p", "model_type": "llm", "metadata": {{}}}}]
    async def health(self): return {{"status": "OK"}}
    async def close(self): pass
"""
FACTORY = "\nasync def get_adapter_impl(config, deps): return Parrot(config)\n"
MADE = iter(range(10_000))


def put(folder: Path, code: str, api: str = "inference", flavour: str = "remote", **fields: Any) -> str:
    """Write the module and its spec; returns the module, whose name no other test has."""
    module = f"parrot_{next(MADE)}"
    (folder / f"{module}.py").write_text(code)
    spec: dict[str, Any] = {"module": module, "config_class": f"{module}.Config"}
    common = {name: fields.pop(name) for name in list(fields) if name.endswith("api_dependencies")}
    spec |= fields
    document = spec | common if flavour == "inline" else {"adapter": {"adapter_type": "parrot", **spec}, **common}
    place = folder / "providers.d" / flavour / api
    place.mkdir(parents=True, exist_ok=True)
    (place / "parrot.yaml").write_text(json.dumps(document))
    return module


def entry(flavour: str = "remote", **config: Any) -> dict[str, Any]:
    return {"provider_id": "x", "provider_type": f"{flavour}::parrot", "config": config}


def run_config(folder: Path, more: dict[str, Any] | None = None, **providers: list[dict[str, Any]]) -> Path:
    """With the providers of each API, and `more` keys."""
    document = {
        "version": 2,
        "image_name": "t",
        "apis": list(providers),
        "providers": providers,
        "external_providers_dir": str(folder / "providers.d"),
        "metadata_store": {"type": "sqlite", "db_path": str(folder / "registry.db")},
        **(more or {}),
    }
    (folder / "run.json").write_text(json.dumps(document))
    return folder / "run.json"


def loaded(folder: Path, more: dict[str, Any] | None = None, **providers: list[dict[str, Any]]) -> Loaded:
    return load(run_config(folder, more, **providers), {})
