"""`pip install dist/*.whl` where there was nothing: it resolves and serves, with the older SDK that plain pip takes."""

from fcntl import LOCK_EX, flock
from pathlib import Path
import subprocess
import sys
from typing import Any

import httpx
import pytest

from core.platform.aws_errors import NEWEST_BOTOCORE
from infra.uv import uv
from tests.parts.bedrock import KEYS, REGION, FakeBedrock
from tests.parts.stack import ROOT, serving
from tests.parts.upstream import running

pytestmark = pytest.mark.conformance

ENVIRONMENT = ROOT / ".venv-plain"
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
MODEL = "anthropic.claude-sonnet-4-5-20250929-v1:0"  # it has structured output
TOO_NEW: list[tuple[str, dict[str, Any]]] = [
    ("outputConfig", {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}}),
    (
        "toolConfig.tools[0].toolSpec.strict",
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA, "strict": True}}]},
    ),
    (
        "messages[0].content[1].cachePoint.ttl",
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
                }
            ]
        },
    ),
]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs in an environment that pip has filled from the wheel alone."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([uv(), "build", "--quiet", "--wheel", "--out-dir", str(folder), str(ROOT)], check=True)
    [wheel] = folder.glob("*.whl")
    stamp, requirements = ENVIRONMENT / "pyproject.toml", (ROOT / "pyproject.toml").read_text("utf-8")
    with ENVIRONMENT.with_suffix(".lock").open("w") as alone:
        flock(alone, LOCK_EX)  # until it is closed: another run may want the same
        again = stamp.exists() and stamp.read_text("utf-8") == requirements
        if not again:
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], check=True)
        command = [str(ENVIRONMENT / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*command, *(["--no-deps", "--force-reinstall"] if again else []), str(wheel)], check=True)
        stamp.write_text(requirements, "utf-8")
    return ENVIRONMENT / "bin"


def version(programs: Path, library: str) -> str:
    command = [str(programs / "python"), "-c", f"import {library}; print({library}.__version__)"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_it_serves_starter(programs: Path, tmp_path: Path) -> None:
    env = {"SQLITE_STORE_DIR": str(tmp_path)}
    with serving("starter", tmp_path / "log", env=env, llambda=[str(programs / "llambda")]) as url:
        assert httpx.get(f"{url}/v1/health").json() == {"status": "OK"}
        assert httpx.get(f"{url}/v1/models").status_code == 200


async def test_bedrock_answers_and_what_its_sdk_is_too_old_for_is_a_400_that_says_what_to_install(
    programs: Path, tmp_path: Path
) -> None:
    botocore = version(programs, "botocore")
    assert not botocore.startswith(NEWEST_BOTOCORE), "aioboto3 has no old SDK any more: go without the override"
    async with running(FakeBedrock()) as fake:
        config = "\n".join(f"{key}: {value}" for key, value in {**KEYS, "region_name": REGION}.items())
        (tmp_path / "run.yaml").write_text(
            RUN_CONFIG.format(url=fake.url, config=config.replace("\n", f"\n{' ' * 8}"), model=MODEL), "utf-8"
        )
        with serving(tmp_path / "run.yaml", tmp_path / "log", llambda=[str(programs / "llambda")]) as url:
            async with httpx.AsyncClient(base_url=url, timeout=60) as client:
                answer = await client.post("/v1/chat/completions", json=chat())
                assert (answer.status_code, answer.json()["choices"][0]["message"]["content"]) == (200, "Hello")
                for field, more in TOO_NEW:
                    for streamed in (False, True):
                        answer = await client.post("/v1/chat/completions", json=chat(stream=streamed, **more))
                        assert answer.status_code == 400
                        assert answer.json()["error"]["message"] == (
                            f"The request uses `{field}`, which needs botocore {NEWEST_BOTOCORE} or newer; "
                            f"this installation has {botocore}: pip install -U aiobotocore boto3"
                        )


RUN_CONFIG = """
version: 2
image_name: plain
apis: [inference]
providers:
  inference:
    - provider_id: b
      provider_type: remote::bedrock
      config:
        endpoint_url: {url}
        {config}
models:
  - {{model_id: m, provider_id: b, provider_model_id: "{model}"}}
"""


def chat(**more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **more}
