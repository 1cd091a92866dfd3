"""A running `llambda serve` over the local models: a process of its own, one for a run."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
import os
from pathlib import Path
import re
import signal
import subprocess
import sys
from tempfile import TemporaryDirectory
import time

import pytest

from infra.local.model_server import CHAT_MODEL, DIMENSION, EMBEDDING_MODEL
from tests.parts.secrets import hear_file, plant
from tests.parts.shared import SharedParts

ROOT = Path(__file__).parents[2]
READY_SECONDS = 60
CONFIG = f"""
version: 2
image_name: clients
apis: [inference]
providers:
  inference:
    - {{provider_id: chat, provider_type: "remote::vllm", config: {{url: "${{env.CHAT_URL}}"}}}}
    - {{provider_id: embed, provider_type: "remote::vllm", config: {{base_url: "${{env.EMBED_URL}}"}}}}
models:
  - model_id: embedding
    provider_id: embed
    provider_model_id: {EMBEDDING_MODEL}
    model_type: embedding
    metadata: {{embedding_dimension: {DIMENSION}}}
  - {{model_id: small, provider_id: chat, provider_model_id: {CHAT_MODEL}}}
metadata_store: {{type: sqlite, db_path: "${{env.FOLDER}}/registry.db"}}
"""


@contextmanager
def serving(
    config: Path | str,
    log: Path,
    *arguments: str,
    env: dict[str, str] | None = None,
    llambda: Sequence[str] = (),
) -> Generator[str]:
    """The address of `llambda serve CONFIG` on a free port; stopped as Ctrl-C would."""
    command = [*(llambda or (sys.executable, "-m", "core.cli.main")), "serve", str(config), "--port", "0", *arguments]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ | (env or {}), stdout=output, stderr=output)
    try:
        yield address_of(process, log)
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(30)
        hear_file(log)
    assert code == 0, log.read_text("utf-8")
    assert "Traceback" not in log.read_text("utf-8"), log.read_text("utf-8")


def address_of(process: subprocess.Popen[bytes], log: Path) -> str:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until and process.poll() is None:
        if found := re.search(r"listening on (https?://\S+)/v1\n", log.read_text("utf-8")):
            return found[1]
        time.sleep(0.02)
    raise RuntimeError(f"llambda serve did not start:\n{log.read_text('utf-8')}")


def new_key(config: Path, env: dict[str, str], *options: str) -> str:
    """As `llambda keys create` prints it."""
    command = [sys.executable, "-m", "core.cli.main", "keys", "create", "--config", str(config), *options]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return plant(done.stdout.strip())


@contextmanager
def stack_over(chat: str, embed: str) -> Generator[str]:
    """The address, without /v1, of a stack over model servers."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "run.yaml").write_text(CONFIG, "utf-8")
        env = {"CHAT_URL": chat, "EMBED_URL": embed, "FOLDER": name}
        with serving(folder / "run.yaml", folder / "log.txt", env=env) as url:
            yield url


@pytest.fixture(scope="session")
def stack_url(parts: SharedParts, model_server: str, embedding_server: str) -> str:
    """The address, without /v1, of a stack with the providers `chat` and `embed`."""
    return parts.get(stack_over, model_server, embedding_server)
