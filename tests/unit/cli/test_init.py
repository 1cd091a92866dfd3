"""`llambda init`: what it writes is valid and means what was answered; what is missing or wrong is said by its flag."""

from dataclasses import replace
import os
from pathlib import Path
import pty
import subprocess
import sys
from typing import Any

from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
import pytest
import yaml

from core.cli.init.command import command
from core.cli.init.document import REMOTES, Answers, document, required_variables, scalar
from core.cli.init.questions import HELP, QUESTIONS
from core.config.document import RunConfig
from core.config.load import interpret, load
from core.config.problems import ConfigInvalid
from core.resolution.check import check
from tests.parts.secrets import plant

ROOT = Path(__file__).parents[3]
SECRET = plant("password-in-a-url-that-nothing-says")
STAND_IN = "https://stand-in.invalid"
TABLE = {"REGISTRY_TABLE": "registry", "QUOTA_TABLE": "quota", "UPSTREAM_API_KEY": "key"}
VLLM = Answers(
    "vllm", url="http://gpu:8000/v1", model="llama3.2:3b", db_path="./registry.db", table="${env.REGISTRY_TABLE}"
)
POOL = {"user_pool": "us-east-1_AbCdEfGhI", "client_ids": "first,second"}


def run(folder: Path, *arguments: str, out: str = "run.yaml") -> Result:
    return CliRunner().invoke(command, [*arguments, "--out", str(folder / out)])


def config(text: str, variables: dict[str, str]) -> RunConfig:
    loaded = interpret(yaml.safe_load(text), variables)
    assert loaded.problems + check(loaded) == []
    assert loaded.config is not None
    return loaded.config


def written(folder: Path, *arguments: str, **variables: str) -> RunConfig:
    made = run(folder, *arguments)
    assert made.exit_code == 0, made.output
    return config((folder / "run.yaml").read_text("utf-8"), variables)


@pytest.mark.parametrize("inference", REMOTES)
@pytest.mark.parametrize("state", ["sqlite", "dynamodb"])
@pytest.mark.parametrize("auth", ["none", "api-keys", "cognito"])
@pytest.mark.parametrize("guardrail", ["", "gr1:7", "arn:aws:bedrock:us-east-1:123456789012:guardrail/gr1:DRAFT", "llama-guard:llama-guard:3b"])  # fmt: skip
@pytest.mark.parametrize("quota", [0, 100])
def test_whatever_is_answered_gives_a_valid_run_config(
    inference: str, state: str, auth: str, guardrail: str, quota: int
) -> None:
    pool = POOL if auth == "cognito" else {}
    answers = replace(VLLM, inference=inference, state=state, auth=auth, guardrail=guardrail, quota=quota, **pool)
    text = document(answers)
    found = config(text, dict.fromkeys(required_variables(text), STAND_IN))
    (provider,) = found.providers["inference"]
    assert provider.provider_type == REMOTES[inference].provider_type
    assert found.metadata_store.type == state
    assert (found.server.auth is None) == (auth == "none")
    assert (found.server.quota is None) == (quota == 0)
    assert bool(found.resources.get("shields")) == bool(guardrail)


texts = st.text(st.characters(exclude_categories=("Cc", "Cs", "Co", "Cn", "Zl", "Zp", "Cf")), min_size=1)


@given(texts)
def test_an_answer_is_one_line_of_yaml_that_means_itself(answer: str) -> None:
    line = scalar(answer)
    assert "\n" not in line
    assert yaml.safe_load(f"a:\n  - b: {line}\n    c: 1\n") == {"a": [{"b": answer, "c": 1}]}


@given(
    st.builds(Answers, st.sampled_from([*REMOTES]), url=texts, model=texts, region=texts, db_path=texts, table=texts)
)
def test_answers_come_back_from_the_document_as_they_were_given(answers: Answers) -> None:
    found: dict[str, Any] = yaml.safe_load(document(answers))
    (provider,) = found["providers"]["inference"]
    key = "region_name" if answers.inference == "bedrock" else "url"
    assert provider["config"][key] == (answers.region if answers.inference == "bedrock" else answers.url)
    assert [model["provider_model_id"] for model in found["models"]] == [answers.model]
    assert found["metadata_store"] == {"type": "sqlite", "db_path": answers.db_path}


def test_yes_takes_the_defaults_and_the_result_serves_the_local_model(tmp_path: Path) -> None:
    found = written(tmp_path, "--yes")
    (provider,) = found.providers["inference"]
    assert provider.config["url"] == "http://127.0.0.1:8400/v1"
    assert (found.server.auth, found.server.quota, found.resources.get("models")) == (None, None, None)


def test_flags_say_everything_and_nothing_is_asked(tmp_path: Path) -> None:
    flags = (
        "--inference",
        "bedrock",
        "--region",
        "us-east-1",
        "--model",
        "amazon.nova-lite-v1:0",
        "--state",
        "dynamodb",
    )
    more = (
        "--table",
        "registry",
        "--auth",
        "cognito",
        "--user-pool",
        POOL["user_pool"],
        "--client-ids",
        "first,second",
    )
    made = run(tmp_path, *flags, *more, "--quota", "50", "--guardrail", "gr1:7")
    assert made.exit_code == 0, made.output
    text = (tmp_path / "run.yaml").read_text("utf-8")
    assert required_variables(text) == ["QUOTA_TABLE"]
    found = config(text, {"QUOTA_TABLE": "quota"})
    assert found.server.auth is not None
    assert found.server.auth.providers[0].config == {"user_pool_id": POOL["user_pool"], "client_ids": "first,second"}
    assert found.server.quota is not None
    assert found.server.quota.authenticated_max_requests == 50
    (model,), (shield,) = found.resources["models"], found.resources["shields"]
    assert model["metadata"] == {"input_shields": ["gr1"], "output_shields": ["gr1"]}
    assert (shield["shield_id"], shield["params"]) == ("gr1", {"guardrailVersion": 7})
    assert "llambda iam" in made.output
    assert "  QUOTA_TABLE\n" in made.output


def test_the_quota_of_an_open_stack_is_for_anonymous_callers(tmp_path: Path) -> None:
    quota = written(tmp_path, "--yes", "--quota", "9").server.quota
    assert quota is not None
    assert quota.anonymous_max_requests == 9


def test_a_llama_guard_judges_the_model_that_is_declared(tmp_path: Path) -> None:
    found = written(tmp_path, "--yes", "--model", "m", "--guardrail", "llama-guard:guard:3b")
    assert [model["model_id"] for model in found.resources["models"]] == ["m", "guard:3b"]
    assert found.resources["models"][0]["metadata"]["input_shields"] == ["guard:3b"]


def test_what_to_do_next_is_said_with_the_key_that_callers_need(tmp_path: Path) -> None:
    made = run(
        tmp_path, "--yes", "--auth", "api-keys", "--inference", "openai-compatible", "--url", "https://m.example/v1"
    )
    said = made.output.splitlines()
    assert f"  KEY=$(llambda keys create --config {tmp_path / 'run.yaml'} --name me --roles admin)" in said
    assert "  UPSTREAM_API_KEY" in said
    assert '  curl http://127.0.0.1:8321/v1/models -H "authorization: Bearer $KEY"' in said
    assert not any("llambda iam" in line for line in said)


def test_without_a_terminal_what_is_missing_is_named_by_flag_all_at_once(tmp_path: Path) -> None:
    made = run(tmp_path, "--inference", "vllm", "--auth", "cognito", "--model", "m")
    assert made.exit_code == 2
    assert "give --url, --state, --user-pool, --client-ids, --quota, --guardrail, or --yes" in " ".join(
        made.output.split()
    )
    assert not (tmp_path / "run.yaml").exists()


def test_what_has_no_default_is_needed_with_yes_too(tmp_path: Path) -> None:
    made = run(tmp_path, "--yes", "--inference", "openai-compatible")
    assert (made.exit_code, made.output.splitlines()[-1]) == (2, "Error: give --url")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--url", "gpu:8000"), "--url: must be a URL"),
        (("--url", f"http://me:{SECRET}@gpu:8000"), "--url: contains a secret"),
        (("--url", f"http://gpu/?api_key={SECRET}"), "--url: contains a secret"),
        (("--quota", "-1"), "--quota: must be a whole number"),
        (("--quota", "1.5"), "--quota: must be a whole number"),
        (("--quota", "9" * 40), "--quota: must be a whole number"),
        (("--model", "a\nb"), "--model: has a character that cannot be printed"),
        (("--model", "m", "--guardrail", "gr1"), "--guardrail: must be none"),
        (("--model", "m", "--guardrail", "gr1:0"), "--guardrail: must be none"),
        (("--model", "m", "--guardrail", "llama-guard:"), "--guardrail: must be none"),
        (("--guardrail", "gr1:1"), "give --model too"),
        (("--db-path", ""), "--db-path: must not be empty"),
        (("--region", "us-east-1"), "--region: of no use"),
        (("--table", "t", "--user-pool", "p"), "--table, --user-pool: of no use"),
        (("--inference", "watsonx"), "'watsonx' is not one of"),
    ],
)
def test_a_wrong_answer_is_refused_by_its_flag(tmp_path: Path, flags: tuple[str, ...], said: str) -> None:
    made = run(tmp_path, "--yes", *flags)
    assert made.exit_code == 2
    assert said in " ".join(made.output.split())
    assert SECRET not in made.output
    assert [*tmp_path.iterdir()] == []


def test_what_would_not_be_valid_is_not_written(tmp_path: Path) -> None:
    pool = ("--auth", "cognito", "--user-pool", "nonsense", "--client-ids", "a")
    failed = run(tmp_path, "--yes", *pool, "--model", "m", "--guardrail", "llama-guard:m").exception
    assert isinstance(failed, ConfigInvalid)
    assert {problem.path for problem in failed.problems} >= {"models[1].model_id"}
    assert [*tmp_path.iterdir()] == []


def test_every_question_has_a_flag_with_help_and_every_flag_a_question() -> None:
    assert {question.name for question in QUESTIONS} == set(HELP)
    shown = CliRunner().invoke(command, ["--help"]).output
    assert all(f"  {question.flag} " in shown for question in QUESTIONS)


def at_a_terminal(folder: Path, *lines: str) -> tuple[int, str]:
    """`llambda init` with these lines typed at a terminal of its own; what it shows."""
    leader, follower = pty.openpty()
    arguments = [sys.executable, "-m", "core.cli.main", "init", "--out", str(folder / "run.yaml")]
    process = subprocess.Popen(arguments, cwd=ROOT, stdin=follower, stdout=follower, stderr=follower)
    os.close(follower)
    os.write(leader, "".join(f"{line}\n" for line in lines).encode())
    shown = b""
    try:
        while part := os.read(leader, 4096):
            shown += part
    except OSError:  # Linux says so that the other side is closed
        pass
    os.close(leader)
    return process.wait(30), shown.decode()


def test_at_a_terminal_it_asks_and_asks_again_after_a_wrong_answer(tmp_path: Path) -> None:
    answers = ("vllm", "gpu", "http://gpu:8000/v1", "llama", "", "", "api-keys", "many", "20", "")
    code, shown = at_a_terminal(tmp_path, *answers)
    assert code == 0, shown
    assert "--url: must be a URL" in shown
    assert "--quota: must be a whole number" in shown
    loaded = load(tmp_path / "run.yaml", {})
    assert loaded.config is not None
    assert loaded.config.providers["inference"][0].config["url"] == "http://gpu:8000/v1"
    assert loaded.config.server.quota is not None
    assert loaded.config.server.quota.authenticated_max_requests == 20
    assert loaded.config.resources["models"][0]["model_id"] == "llama"
