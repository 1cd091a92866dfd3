"""A cold start imports what its function uses, and nothing else. Counted in modules: time is for make bench."""

import json
import os
from pathlib import Path
import subprocess
import sys

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = {
    "version": 2,
    "image_name": "t",
    "apis": ["inference"],
    "providers": {"inference": [{"provider_id": "a", "provider_type": "remote::vllm", "config": {"url": "http://u"}}]},
    "metadata_store": {"type": "dynamodb", "table": "registry"},
}
NEVER = (
    "boto3",
    "aioboto3",
    "aiobotocore",
    "botocore",
    "yaml",
    "httpx",
    "uvicorn",
    "sqlite3",
    "core.cli",
    "core.resolution.external.spec_files",
    "core.resolution.external.boundary",
    "jwt",
    "cryptography",
    "core.auth",
    "core.quota",
    "core.stores.counters.sqlite",
    "core.stores.counters.dynamodb",
)


def imported(tmp_path: Path, function: str) -> set[str]:
    (tmp_path / "run.json").write_text(json.dumps(CONFIG))
    code = f"import sys, functions.{function}; print(*sys.modules, sep='\\n')"
    env = os.environ | {"LLAMBDA_CONFIG": str(tmp_path / "run.json")}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(("function", "most"), [("inference", 720), ("safety", 720), ("admin", 520), ("worker", 520)])
def test_a_function_imports_no_more_than_its_budget(tmp_path: Path, function: str, most: int) -> None:
    modules = imported(tmp_path, function)
    assert not {name for name in NEVER if name in modules}
    assert ("aiohttp" in modules) == (function == "inference")  # safety has nothing to ask here
    assert len(modules) <= most


def test_an_unset_config_is_said_at_once() -> None:
    env = {name: value for name, value in os.environ.items() if name != "LLAMBDA_CONFIG"}
    command = [sys.executable, "-c", "import functions.admin"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "LLAMBDA_CONFIG: is not set" in done.stderr


BUILT = """
from importlib import import_module
from pydantic import BaseModel
import sys
for name in sys.argv[1:]:
    import_module(name)
def below(model):
    for one in model.__subclasses__():
        yield from (one, *below(one))
print(*(f"{one.__module__}.{one.__name__}" for one in below(BaseModel) if one.__module__.startswith("core.") and one.__pydantic_complete__))
"""
CONFIGURED = (
    "core.auth.types",
    "core.auth.key_format",
    "core.config.load",
    "core.providers.bedrock.inference",
    "core.providers.bedrock.safety",
    "core.providers.http.remote",
    "core.providers.openai.compatible",
)


def test_models_of_configs_are_built_when_they_validate_something() -> None:
    command = [sys.executable, "-c", BUILT, *CONFIGURED]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
