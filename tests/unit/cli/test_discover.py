"""`llambda discover`, over an upstream that is a real server."""

from collections.abc import Iterator
import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
import pytest

from core.cli.discover import command
from core.config.problems import ConfigInvalid
from tests.parts.secrets import plant
from tests.parts.upstream import FakeUpstream, in_thread, status

KEY = plant("key-that-discover-must-not-show")
LISTED: list[dict[str, Any]] = [
    {"id": "meta-llama/Llama-3.2-3B-Instruct", "max_model_len": 8192, "parent": None},
    {"id": "sql", "max_model_len": None, "parent": "meta-llama/Llama-3.2-3B-Instruct"},
    {"id": "a-name-that-is-much-too-long-to-line-the-others-up-with", "max_model_len": 512},
]
CONFIG = """
version: 2
image_name: t
apis: [inference]
providers:
  inference:
    - {provider_id: gpu, provider_type: "remote::vllm", config: {url: "${env.GPU_URL}", api_token: "${env.GPU_TOKEN}"}}
    - {provider_id: down, provider_type: "remote::vllm", config: {url: "http://127.0.0.1:1"}}
    - {provider_id: empty, provider_type: "remote::vllm", config: {url: "${env.GPU_URL}", allowed_models: [none]}}
metadata_store: {type: sqlite, db_path: FOLDER/registry.db}
"""


@pytest.fixture(scope="module")
def upstream() -> Iterator[FakeUpstream]:
    replies = {"/version": status(200, {"version": "0.11.0"})}
    with in_thread(FakeUpstream(models=LISTED, replies=replies)) as upstream:
        yield upstream


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(CONFIG.replace("FOLDER", str(tmp_path)), "utf-8")
    return path


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "LLAMBDA_CONFIG",
        "LLAMBDA_API_KEY",
        "LLAMBDA_LOGGING",
        "LLAMA_STACK_LOGGING",
        "GPU_URL",
        "GPU_TOKEN",
        "A",
    ):
        monkeypatch.setenv(name, "")  # so that what `--env` sets is taken back
        monkeypatch.delenv(name)


def discover(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments, catch_exceptions=False)


def asked(config: Path, upstream: FakeUpstream, *more: str) -> Result:
    return discover("--config", str(config), "--env", f"GPU_URL={upstream.url}", "--env", f"GPU_TOKEN={KEY}", *more)


@pytest.mark.narrow
def test_people_read_the_machine_and_then_each_upstream(config: Path, upstream: FakeUpstream) -> None:
    result = asked(config, upstream)
    machine, gpu, down, empty = result.stdout.split("\n\n")
    assert result.exit_code == 0
    assert machine.splitlines()[0] == "llambda 0.1.0 on a machine"
    assert [line.split()[0] for line in machine.splitlines()[1:3]] == ["processors", "memory"]
    assert gpu.splitlines() == [
        "inference gpu (remote::vllm), version 0.11.0",
        "  meta-llama/Llama-3.2-3B-Instruct  llm, 8192 tokens",
        "  sql",
        "      llm, adapter of meta-llama/Llama-3.2-3B-Instruct",
        "  a-name-that-is-much-too-long-to-line-the-others-up-with  llm, 512 tokens",
    ]
    assert down.splitlines()[0] == "inference down (remote::vllm)"
    assert down.splitlines()[1].startswith("  error: Provider `down` could not be reached")
    assert empty.splitlines() == [
        "inference empty (remote::vllm), version 0.11.0",
        "  lists no models and no guardrails",
    ]
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert KEY not in result.output


def test_programs_read_what_the_api_answers(config: Path, upstream: FakeUpstream) -> None:
    result = asked(config, upstream, "--json")
    found = json.loads(result.stdout)
    assert list(found) == ["version", "runs_on", "upstreams"]
    assert found["runs_on"]["kind"] == "machine"
    assert [each["provider_id"] for each in found["upstreams"]] == ["gpu", "down", "empty"]
    assert found["upstreams"][0]["models"][0] == {
        "id": "meta-llama/Llama-3.2-3B-Instruct",
        "model_type": "llm",
        "context_length": 8192,
    }
    assert KEY not in result.output


def test_the_variable_names_the_run_config_too(
    config: Path, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMBDA_CONFIG", str(config))
    result = discover("--env", f"GPU_URL={upstream.url}", "--env", f"GPU_TOKEN={KEY}")
    assert "inference gpu (remote::vllm), version 0.11.0" in result.stdout


def test_a_mistake_in_the_run_config_is_said_with_its_path(config: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"providers\.inference\[0\]\.config\.url.*GPU_URL"):
        discover("--config", str(config))


@pytest.mark.parametrize("more", [("--config", "starter"), ("--env", "A=b")])
def test_a_stack_that_runs_already_has_its_own_run_config(more: tuple[str, str]) -> None:
    result = discover("--url", "http://127.0.0.1:1", *more)
    assert result.exit_code == 2
    assert "leave out" in result.stderr


ENVIRONMENT: dict[str, Any] = {
    "version": "1.2.3",
    "runs_on": {
        "kind": "lambda",
        "architecture": "arm64",
        "python": "3.13.0",
        "vcpus": 0.29,
        "memory_mb": 512,
        "temporary_storage_mb": None,
        "open_files": 1024,
        "region": "eu-central-1",
        "timeout_seconds": None,
        "gpus": [],
    },
    "upstreams": [
        {
            "api": "inference",
            "provider_id": "aws",
            "provider_type": "remote::bedrock",
            "region": "eu-central-1",
            "credentials": True,
            "models": [{"id": "eu.claude", "model_type": "llm", "profile_of": "claude\x1b[2J"}],
        },
        {
            "api": "safety",
            "provider_id": "guard",
            "provider_type": "remote::bedrock",
            "region": "eu-central-1",
            "credentials": False,
            "error": "no AWS credentials were found",
        },
        {"api": "safety", "provider_id": "rails", "provider_type": "remote::nvidia", "guardrails": ["self-check"]},
    ],
}
SHOWN = """\
llambda 1.2.3 on AWS Lambda
  processors  0.29, arm64
  memory      512 MB
  open files  1024 at most
  region      eu-central-1
  python      3.13.0

inference aws (remote::bedrock), eu-central-1
  eu.claude  llm, profile of claude�[2J

safety guard (remote::bedrock), eu-central-1, no credentials
  error: no AWS credentials were found

safety rails (remote::nvidia)
  guardrail self-check
"""


@pytest.fixture(scope="module")
def stack() -> Iterator[FakeUpstream]:
    with in_thread(FakeUpstream(replies={"/v1/inspect/environment": status(200, ENVIRONMENT)})) as stack:
        yield stack


def test_a_running_stack_is_asked_with_the_key(stack: FakeUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMBDA_API_KEY", KEY)
    result = discover("--url", f"{stack.url}/v1")
    assert (result.exit_code, result.stdout) == (0, SHOWN)
    assert stack.seen[-1].headers["authorization"] == f"Bearer {KEY}"
    assert json.loads(discover("--url", stack.url, "--json").stdout) == ENVIRONMENT
    monkeypatch.setenv("LLAMBDA_URL", stack.url)
    assert discover().stdout == SHOWN


def test_a_run_config_that_is_typed_comes_before_the_variable_of_a_stack(
    config: Path, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMBDA_URL", "http://127.0.0.1:1")
    assert "inference gpu (remote::vllm)" in asked(config, upstream).stdout


def test_a_stack_that_does_not_answer_is_a_failure_and_one_that_refuses_is_too(upstream: FakeUpstream) -> None:
    result = discover("--url", "http://127.0.0.1:1")
    assert (result.exit_code, "cannot be reached" in result.stderr) == (1, True)
    upstream.replies["/v1/inspect/environment"] = status(401, {"error": {"message": "Who are you?"}})
    result = discover("--url", upstream.url)
    assert (result.exit_code, "Who are you?" in result.stderr, "LLAMBDA_API_KEY" in result.stderr) == (1, True, True)
