"""`llambda deploy` before AWS is asked: parameters, rules, the run config as the functions will read it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.cli.deploy import sam as deploy_sam
from core.cli.deploy.checks import DeployOptions, name_of, parameters
from core.cli.deploy.command import command
from core.cli.deploy.template import Template, Values, read
from core.cli.main import main
from infra import uv
from tests.parts.secrets import plant

ROOT = Path(__file__).resolve().parents[3]
NAMES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION")
SECRET = plant("secret-key-of-an-account")
CONFIG = """
version: 2
image_name: t
apis: [inference]
providers:
  inference:
    - {provider_id: v, provider_type: "remote::vllm", config: {url: "${env.VLLM_URL}", api_token: "${env.TEAM_TOKEN:=}"}}
metadata_store: {type: dynamodb, table: "${env.REGISTRY_TABLE}"}
"""

TEMPLATE = read(ROOT / "template.yaml")

type Deploy = Callable[..., Result]


@pytest.fixture
def deploy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Deploy:
    """With credentials that are those of no account, and AWS nowhere."""
    for name in (*NAMES, "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    for name, value in {
        "EC2_METADATA_DISABLED": "true",
        "ENDPOINT_URL": "http://127.0.0.1:1",
        "MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    return lambda *arguments: CliRunner().invoke(command, list(arguments))


@pytest.fixture
def template() -> Template:
    return TEMPLATE


def values(template: Template, **given: str) -> Values:
    return Values(template, template.defaults() | given, "us-east-1")


def said(result: Result) -> str:
    """What it says, on one line; SECRET is not in it."""
    text = f"{result.output} {result.exception}"
    assert SECRET not in text
    return " ".join(text.split())


def test_every_mistake_is_said_at_once(deploy: Deploy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    params = ["VllmURL=http://a", "VllmUrl=gpu", "LogLevel=INF", "QuotaMaxRequests=-1", "ThrottleRate=many", "X"]
    pairs = [word for each in params for word in ("--param", each)]
    text = said(deploy("starter", "--stack-name", "1st", *pairs, "--env", "REGISTRY_TABLE=t", "--env", "OTHER=1"))
    for words in (
        "VllmURL: is no parameter of template.yaml; did you mean `VllmUrl`?",
        "VllmUrl: must be empty or an http or https URL",
        "LogLevel: must be one of DEBUG, INFO, WARN, ERROR; did you mean `INFO`?",
        "QuotaMaxRequests: must be at least 0",
        "ThrottleRate: must be a number",
        "--param: `X` has no `=`",
        "--stack-name: must be letters",
        "--region: name one, or set AWS_REGION",
        "credentials: no AWS credentials were found",
        "--yes: there is no terminal to ask on",
        "--env REGISTRY_TABLE: template.yaml sets it by itself",
        "--env OTHER: template.yaml sets no such variable in the functions; write its value into your run config",
        "starter.yaml: metadata_store: is SQLite",
        "{type: dynamodb, table: ${env.REGISTRY_TABLE}}",
    ):
        assert words in text


def test_a_mistake_of_a_parameter_is_said_once_and_not_again_of_the_run_config(deploy: Deploy) -> None:
    text = said(deploy("--yes", "--region", "x", "--param", "QuotaPeriod=week", "--param", "VllmUrl=http://gpu"))
    assert "QuotaPeriod: must be one of minute, hour, day, month" in text
    assert "lambda.yaml" not in text
    assert text.count("must be") == 1


@pytest.mark.parametrize(
    ("region", "complaint"), [("us-east", "--region: `us-east` is no region; write it as us-east-1"), ("", "name one")]
)
def test_a_region_is_one(deploy: Deploy, region: str, complaint: str) -> None:
    assert complaint in said(deploy("--region", region, "--yes"))


def test_mistakes_exit_with_2_and_ask_nothing_of_aws(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy("--help").exit_code == 0
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert main(["deploy", "--region", "us-east-1", "--yes"]) == 2
    heard = capsys.readouterr().err
    assert "credentials: no AWS" in heard
    assert "Traceback" not in heard


def test_aws_that_does_not_answer_is_a_failure_without_a_traceback(
    deploy: Deploy, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy("--help").exit_code == 0
    assert main(["deploy", "--region", "us-east-1", "--yes", "--param", "VllmUrl=http://gpu"]) == 1
    heard = capsys.readouterr().err
    assert "Error: AWS: Could not connect" in heard
    assert SECRET not in heard


def test_a_profile_that_is_not_there_is_said(deploy: Deploy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    result = deploy("--region", "us-east-1", "--yes")
    assert (result.exit_code, "nobody" in result.output) == (1, True)


def test_outside_of_a_checkout_it_says_that_it_needs_one(
    deploy: Deploy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uv, "ROOT", tmp_path)
    result = deploy("--yes")
    assert (result.exit_code, "works in a checkout alone" in result.output) == (1, True)


def test_a_run_config_that_is_not_there_does_not_hide_the_rest(deploy: Deploy) -> None:
    text = said(deploy("lambdaa", "--region", "x"))
    for words in (
        "lambdaa: there is no such file",
        "did you mean `lambda`?",
        "--region: `x` is no region",
        "--yes: there",
    ):
        assert words in text


def test_several_parameters_may_be_in_one_option(deploy: Deploy) -> None:
    text = said(deploy("--yes", "--param", "Vllm=1 LogLevels=DEBUG\nBasePaths=/x", "--region", "x"))
    for name in ("Vllm", "LogLevels", "BasePaths"):
        assert f"{name}: is no parameter" in text


def test_variable_that_a_parameter_makes_is_refused_with_its_name(deploy: Deploy) -> None:
    text = said(deploy("--yes", "--env", "VLLM_API_TOKEN=t0ken-value", "--env", "VLLM_URL=gpu", "--region", "x"))
    assert "--env VLLM_API_TOKEN: template.yaml makes it of a parameter; use --param VllmApiTokenSecretArn=..." in text
    assert "VllmUrl: must be empty or an http or https URL" in text
    assert "t0ken-value" not in text


def test_variables_that_the_functions_will_not_have_are_named(deploy: Deploy, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(CONFIG.replace("TEAM_TOKEN:=", "TEAM_TOKEN").replace("image_name: t", "image_name: ${env.TEAM}"))
    text = said(deploy(str(path), "--yes", "--region", "x"))
    assert "mine.yaml: image_name: needs TEAM, which template.yaml does not set; write its value into" in text
    assert "config.api_token: needs TEAM_TOKEN, which template.yaml does not set; it is a secret" in text
    assert "config.url: needs VLLM_URL; use --param VllmUrl=..." in text


@pytest.mark.parametrize(("config", "name"), [("lambda", "lambda"), ("a/b c.prod.yaml", "b-c.prod"), ("ä.yaml", "-")])
def test_a_run_config_is_named_to_the_template(template: Template, config: str, name: str) -> None:
    assert name_of(config) == name
    asked = DeployOptions(config=config, stack="s", region=None, params=(), env=(), unasked=False)
    assert parameters(asked, template) == ({"RunConfig": name}, [])
    assert parameters(replace(asked, params=("RunConfig=other",)), template)[0] == {"RunConfig": "other"}
    assert not list(template.problems({"RunConfig": name}))


def test_what_is_open_to_all_is_deployed_only_when_that_is_said(deploy: Deploy, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("\n".join(each for each in CONFIG.splitlines() if not each.startswith("server")))
    assert "mine.yaml: server.auth: is missing" in said(deploy(str(path), "--yes", "--region", "x"))
    assert "server.auth" not in said(deploy(str(path), "--yes", "--region", "x", "--open"))


def test_variables_of_this_machine_are_not_the_functions(
    deploy: Deploy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_URL", "http://here:8000/v1")
    path = tmp_path / "mine.yaml"
    path.write_text(CONFIG)
    assert "needs VLLM_URL" in said(deploy(str(path), "--yes", "--region", "x"))
    assert "needs VLLM_URL" not in said(deploy(str(path), "--yes", "--region", "x", "--env", "VLLM_URL=http://gpu/v1"))


@pytest.mark.parametrize("place", ["metadata_store", "server.quota.kvstore", "server.idempotency.kvstore"])
def test_every_sqlite_file_is_refused(deploy: Deploy, tmp_path: Path, place: str) -> None:
    inner = "{type: sqlite, db_path: /tmp/a.db}"
    *outer, name = place.split(".")
    line = f"{name}: {inner}"
    for key in reversed(outer):
        line = f"{key}: {{{line}}}"
    kept = "\n".join(each for each in CONFIG.splitlines() if not each.startswith(place.partition(".")[0]))
    path = tmp_path / "mine.yaml"
    path.write_text(f"{kept}\n{line}\n")
    assert f"mine.yaml: {place}: is SQLite" in said(deploy(str(path), "--yes", "--region", "x"))


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({}, "There would be no models"),
        ({"RunConfig": "mine"}, None),
        ({"VllmUrl": "http://gpu", "UserPoolId": "us-east-1_a"}, "UserPoolId needs UserPoolClientIds"),
        ({"VllmUrl": "http://gpu", "GatewayAuthorizer": "true"}, "GatewayAuthorizer needs CreateUserPool"),
        ({"BedrockRegion": "us-east-1"}, None),
    ],
)
def test_rules_of_the_template_hold(template: Template, given: dict[str, str], complaint: str | None) -> None:
    found = [problem.message for problem in values(template, **given).problems()]
    assert (not found) if complaint is None else any(each.startswith(complaint) for each in found)


def test_functions_find_what_the_template_will_set(template: Template) -> None:
    plain = values(template, VllmUrl="http://gpu").variables()
    assert (plain["VLLM_URL"], plain["QUOTA_MAX_REQUESTS"], plain["COGNITO_USER_POOL_ID"]) == ("http://gpu", "1000", "")
    assert "VLLM_API_TOKEN" not in plain
    pool = values(template, CreateUserPool="true", VllmApiTokenSecretArn="arn:s", UserPoolClientIds="more").variables()
    assert pool["COGNITO_CLIENT_IDS"] == "us-east-1_UserPoolClient,more"
    assert pool["VLLM_API_TOKEN"] == "aws-secretsmanager:arn:s"


def test_distribution_of_lambda_is_valid_with_what_the_template_sets(deploy: Deploy) -> None:
    text = said(deploy("--region", "us-east-1", "--yes", "--param", "BedrockRegion=us-east-1 CreateUserPool=true"))
    assert "Could not connect" in text  # AWS is asked when nothing is wrong


def test_what_only_cloudformation_can_evaluate_is_left_to_it() -> None:
    odd = Template(
        {
            "Parameters": {"A": {"Default": "1"}},
            "Rules": {"R": {"Assertions": [{"Assert": {"Fn::Contains": [["1"], {"Ref": "A"}]}}]}},
            "Globals": {
                "Function": {"Environment": {"Variables": {"B": {"Fn::ImportValue": "C"}, "D": {"Ref": "AWS::Region"}}}}
            },
        }
    )
    assert values(odd).problems() == []
    assert values(odd).variables() == {"B": "-", "D": "us-east-1"}


def test_lists_are_checked_value_by_value(template: Template) -> None:
    arn = "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0"
    assert not list(template.problems({"BedrockModelArns": f"{arn},{arn}"}))
    assert list(template.problems({"BedrockModelArns": f"{arn}, {arn}"}))


@given(
    st.dictionaries(
        st.sampled_from(["VllmUrl", "BedrockRegion", "LogRetentionDays", "QuotaMaxTokens", "StageName", "No"]),
        st.text(),
    )
)
def test_no_value_of_a_parameter_is_repeated_or_breaks_the_check(given: dict[str, str]) -> None:
    for problem in TEMPLATE.problems(given):
        assert problem.path in given
        assert len(given[problem.path]) < 8 or given[problem.path] not in problem.message


def test_every_default_of_the_template_passes_its_own_check(template: Template) -> None:
    assert list(template.problems(template.defaults())) == []


def test_sam_is_that_of_the_makefile_through_uv() -> None:
    found = deploy_sam.find(ROOT)
    assert found is not None
    assert found[1:] == ["tool", "run", "--from", "aws-sam-cli==1.170.0", "sam"]
    assert f"{found[4]} sam" in (ROOT / "Makefile").read_text()


def test_a_sam_that_fails_is_quoted_without_secrets(tmp_path: Path) -> None:
    script = tmp_path / "sam"
    script.write_text(f"#!/bin/sh\nfor i in 1 2 3; do echo line $i https://me:{SECRET}@gpu; done; exit 3\n")
    script.chmod(0o755)
    with pytest.raises(deploy_sam.SamFailed) as failed:
        deploy_sam.run([str(script)], ["build"], tmp_path, {})
    assert str(failed.value).startswith("sam build failed:\n  line 1 https://********@gpu")
    with pytest.raises(deploy_sam.SamFailed, match="No such file"):
        deploy_sam.run([str(tmp_path / "none")], ["build"], tmp_path, {})
