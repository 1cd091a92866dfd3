"""A cold start imports what its function uses, and nothing else. Counted in modules: time is for make bench."""

import json
import os
from pathlib import Path
import subprocess
import sys
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CONFIG: dict[str, Any] = {
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
    "core.apis.prices",
    "core.config.usage",
    "core.services.inference.prices",
    "core.stores.counters.sqlite",
    "core.stores.counters.dynamodb",
)


def imported(tmp_path: Path, function: str, config: dict[str, Any] = CONFIG, **variables: str) -> set[str]:
    (tmp_path / "run.json").write_text(json.dumps(config))
    code = f"import sys, functions.{function}; print(*sys.modules, sep='\\n')"
    env = os.environ | {"LLAMBDA_CONFIG": str(tmp_path / "run.json"), **variables}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(("function", "most"), [("inference", 720), ("safety", 720), ("admin", 520), ("worker", 520)])
def test_a_function_imports_no_more_than_its_budget(tmp_path: Path, function: str, most: int) -> None:
    modules = imported(tmp_path, function)
    assert not {name for name in NEVER if name in modules}
    assert ("aiohttp" in modules) == (function == "inference")  # safety has nothing to ask here
    assert len(modules) <= most


VECTORS = {
    **CONFIG,
    "apis": ["inference", "files", "vector_io"],
    "providers": {
        **CONFIG["providers"],
        "files": [{"provider_id": "f", "provider_type": "inline::localfs", "config": {"storage_dir": "files"}}],
        "vector_io": [
            {"provider_id": "v", "provider_type": "remote::s3-vectors", "config": {"vector_bucket": "vectors"}}
        ],
    },
}
LATE = (
    "pypdfium2",
    "simsimd",
    "aioboto3",
    "sqlite3",
    "core.quota",
    "core.auth",
    "core.services.jobs",
    "core.apis.native",
)
AT_INIT = ("assemble", "records", "router", "shapes", "stores")


def test_a_function_of_vector_stores_imports_what_every_call_needs_beside_the_sdk_of_its_state(tmp_path: Path) -> None:
    modules = imported(tmp_path, "vector_io", VECTORS) - imported(tmp_path, "inference")
    assert not {name for name in LATE if name in modules}
    own = "core.services.vector_stores."
    assert {name.removeprefix(own) for name in modules if name.startswith(own)} == {*AT_INIT}
    assert len([name for name in modules if name.startswith("core.")]) <= 55


FILES = {
    **CONFIG,
    "apis": ["files"],
    "providers": {"files": [{"provider_id": "f", "provider_type": "remote::s3", "config": {"bucket_name": "files"}}]},
}
FILES_AT_INIT = ("assemble", "collection", "keeping", "records", "router", "storages", "sweeping")


def test_a_function_of_files_imports_nothing_of_uploads_in_parts_and_reads_forms_without_a_wait(tmp_path: Path) -> None:
    modules = imported(tmp_path, "files", FILES)
    late = {"sqlite3", "core.quota", "core.auth", "core.cli", "core.stores.blobs.local", "core.services.jobs"}
    assert not late & modules
    own = "core.services.files."
    assert {name.removeprefix(own) for name in modules if name.startswith(own)} == {*FILES_AT_INIT}
    assert {"core.web.uploads", "aiobotocore.client"} <= modules  # at init, where a function has more of a processor
    assert len([name for name in modules if name.startswith("core.")]) <= 165


RESPONSES = {
    **VECTORS,
    "apis": ["inference", "files", "vector_io", "tool_runtime", "responses"],
    "providers": {
        **VECTORS["providers"],
        "tool_runtime": [{"provider_id": "mcp", "provider_type": "remote::model-context-protocol"}],
        "responses": [{"provider_id": "r", "provider_type": "inline::builtin"}],
    },
    "storage": {
        "backends": {
            "state": {"type": "kv_dynamodb", "table": "state"},
            "bucket": {"type": "blob_s3", "bucket": "blobs"},
        },
        "stores": {"documents": {"backend": "state"}, "blobs": {"backend": "bucket"}},
    },
}
NOT_AT_INIT = (
    "core.apis.agents",
    "core.apis.conversations",
    "core.apis.files",
    "core.apis.native_bodies",
    "core.apis.prompts",
    "core.apis.response_queries",
    "core.apis.retrieval",
    "core.apis.tools",
    "core.apis.vector_io",
    "core.providers.files.localfs",
    "core.providers.mcp.tool_runtime",
    "core.providers.s3_vectors",
    "core.services.agents",
    "core.services.files.records",
    "core.services.files.sweeping",
    "core.services.responses.background",
    "core.services.responses.compaction",
    "core.services.responses.recording.serving",
    "core.services.responses.sealing",
    "core.services.responses.tools.told",
    "core.services.sealing",
    "core.services.vector_stores.stores",
    "core.stores.blobs",
    "core.stores.jobs",
)


def test_a_function_of_responses_imports_what_an_answer_without_tools_needs(tmp_path: Path) -> None:
    modules = imported(tmp_path, "responses", RESPONSES, AWS_LAMBDA_FUNCTION_NAME="responses")
    assert not {name for name in NOT_AT_INIT if name in modules}
    assert {"core.services.responses.engine.rounds", "core.stores.documents.dynamodb"} <= modules
    assert len([name for name in modules if name.startswith("core.")]) <= 300


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
    "core.stores.registry.key_format",
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
