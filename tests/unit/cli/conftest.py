"""`llambda keys` with a run config of which it needs one part only: another cannot be read."""

from collections.abc import Callable
import os
from pathlib import Path
import sys

import pytest

from core.cli.main import main

CONFIG = """
version: 2
image_name: t
apis: [inference]
providers:
  inference:
    - {provider_id: a, provider_type: "remote::vllm", config: {url: "${env.AN_UNSET_URL}"}}
metadata_store: {type: sqlite, db_path: FOLDER/registry.db}
"""
AUTH = "server: {auth: {providers: [{type: api_key}]}}\n"

type Keys = Callable[..., int]


@pytest.fixture(autouse=True)
def _active(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """As after `source .venv/bin/activate`, where commands are printed by their names; a message is a line."""
    monkeypatch.setenv("COLUMNS", "80" if request.node.get_closest_marker("narrow") else "1000")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(CONFIG.replace("FOLDER", str(tmp_path)) + AUTH)
    return path


@pytest.fixture
def keys(config: Path) -> Keys:
    """`llambda keys ACTION --config ... OPTIONS`."""

    def run(action: str, *options: str) -> int:
        return main(["keys", action, "--config", str(config), *options])

    return run
