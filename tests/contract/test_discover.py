"""Discovery over a real stack and a real model."""

import json
from pathlib import Path

from click.testing import CliRunner
import httpx

from core.cli.discover import command
from core.frame.version import VERSION
from infra.local.model_server import CHAT_MODEL

CONFIG = """
version: 2
image_name: t
apis: [inference]
providers:
  inference:
    - {provider_id: chat, provider_type: "remote::vllm", config: {url: "URL"}}
metadata_store: {type: sqlite, db_path: FOLDER/registry.db}
"""


def test_a_real_model_and_its_context_are_found(model_server: str, tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(CONFIG.replace("URL", model_server).replace("FOLDER", str(tmp_path)), "utf-8")
    result = CliRunner().invoke(command, ["--config", str(config), "--json"], catch_exceptions=False)
    (upstream,) = json.loads(result.stdout)["upstreams"]
    assert upstream == {
        "api": "inference",
        "provider_id": "chat",
        "provider_type": "remote::vllm",
        "models": [{"id": CHAT_MODEL, "model_type": "llm", "context_length": 2048}],
    }


def test_a_running_stack_says_what_it_runs_on_and_what_it_is_over(stack_url: str) -> None:
    found = httpx.get(f"{stack_url}/v1/inspect/environment", timeout=30).json()
    assert (found["version"], found["runs_on"]["kind"]) == (VERSION, "machine")
    assert [(each["provider_id"], "error" in each) for each in found["upstreams"]] == [
        ("chat", False),
        ("embed", False),
    ]
    assert found["upstreams"][0]["models"][0]["id"] == CHAT_MODEL
