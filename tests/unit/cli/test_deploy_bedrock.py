"""What `llambda deploy` says, before it builds, of a deployment that may call no model of Bedrock."""

from dataclasses import replace
from pathlib import Path
import shlex

import pytest

from core.cli.deploy.bedrock import bedrock_warnings
from core.cli.deploy.checks import Plan
from core.cli.deploy.template import Values, read
from core.cli.main import main
from core.config.load import load
from tests.unit.cli.test_deploy_output import ROOT, plan

ARN = "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0"
ROLE = "arn:aws:iam::123456789012:role/bedrock"
TEMPLATE = read(ROOT / "template.yaml")
CONFIG = """
version: 2
image_name: t
apis: [inference]
providers:
  inference:
    - provider_id: b
      provider_type: remote::bedrock
      config: {region_name: "${env.BEDROCK_REGION}", MORE}
models: [MODELS]
metadata_store: {type: dynamodb, table: "${env.REGISTRY_TABLE}"}
server: {auth: {providers: [{type: api_key}]}}
"""
MODEL = "{model_id: nova, provider_id: b, provider_model_id: 'amazon.nova-lite-v1:0'}"


def planned(path: Path, **parameters: str) -> Plan:
    made = plan(TEMPLATE, None, BedrockRegion="us-east-1", **parameters)
    variables = Values(TEMPLATE, made.values, "eu-west-1").variables()
    config = load(path, {**variables, "AWS_REGION": "eu-west-1"}).config
    assert config is not None
    return replace(made, config=config, path=path)


def written(folder: Path, more: str = "", models: str = MODEL) -> Path:
    path = folder / "it's mine.yaml"
    path.write_text(CONFIG.replace(", MORE", f", {more}" if more else "").replace("MODELS", models))
    return path


def test_what_would_print_the_arns_is_said_and_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [warning] = bedrock_warnings(planned(written(tmp_path)))
    assert warning.startswith("provider `b` may call no model of Bedrock: the parameter BedrockModelArns is empty.")
    words = shlex.split(warning.splitlines()[-1])
    assert words[0] == "llambda"
    assert words[1:3] == ["iam", str(tmp_path / "it's mine.yaml")]
    words[words.index("--lookup")] = "--account=123456789012"  # a look-up asks AWS
    assert main(words[1:]) == 0
    assert "BedrockModelArns=arn:aws:bedrock:us-east-1:" in capsys.readouterr().out


def test_without_declared_models_the_parameter_is_said() -> None:
    [warning] = bedrock_warnings(planned(ROOT / "infra" / "distributions" / "lambda.yaml"))
    assert "provider `bedrock` may call no model" in warning
    assert "lambda.yaml declares no model of Bedrock. Give the ARNs" in warning
    parameter = warning.rpartition("--param ")[2]
    assert parameter == f"BedrockModelArns={ARN}"
    assert not list(TEMPLATE.problems(dict([parameter.split("=")])))


@pytest.mark.parametrize(
    ("more", "parameters"),
    [
        ("", {"BedrockModelArns": ARN}),
        ("aws_access_key_id: k, aws_secret_access_key: s", {}),
        (f"role_arn: '{ROLE}'", {"BedrockRoleArns": f"{ROLE}2,{ROLE}"}),
    ],
)
def test_what_may_be_called_is_no_warning(tmp_path: Path, more: str, parameters: dict[str, str]) -> None:
    assert list(bedrock_warnings(planned(written(tmp_path, more), **parameters))) == []


def test_a_role_that_may_not_be_assumed_is_one(tmp_path: Path) -> None:
    warnings = list(bedrock_warnings(planned(written(tmp_path, f"role_arn: '{ROLE}'"), BedrockRoleArns=f"{ROLE}2")))
    assert warnings == [f"provider `b` may not assume {ROLE}: it is not in the parameter BedrockRoleArns."]
