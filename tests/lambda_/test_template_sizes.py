"""template.yaml as SAM reads it: what it becomes for CloudFormation, within AWS's limits, and what `sam local` serves of it."""

from collections import defaultdict
from collections.abc import Mapping
import json
import os
from pathlib import Path
import re
import subprocess
from typing import Any, Final

import pytest

from core.cli.deploy.template import Values, read
from infra import template
from infra.checkov import EVERYTHING, TRANSLATE
from infra.template import Function
from tests.architecture import mission
from tests.architecture.template import PSEUDO, groups
from tests.lambda_ import emulator
from tests.lambda_.conftest import needs

SERVE: Final = """
import json, sys
from samcli.lib.providers.api_provider import ApiProvider
from samcli.lib.providers.sam_stack_provider import SamLocalStackProvider
stacks, _ = SamLocalStackProvider.get_stacks(sys.argv[1], parameter_overrides={"Streaming": "false", "Files": "true", "VectorStores": "true", "Tools": "true", "Responses": "true", "Batches": "true", "Webhooks": "true", "Evaluation": "true", "Jobs": "true"})
api = ApiProvider(stacks).api
print(json.dumps({"types": api.binary_media_types, "paths": {each.path: each.function_name for each in api.routes}}))
"""
POLICY_BYTES: Final = 18_000  # Lambda's limit for a function's resource policy is 20 KB
ROLE_BYTES: Final = 10_240  # of a role's inline policies, without white space
MANAGED_BYTES: Final = 6_144  # of a managed policy
MODELS: Final = 20
RESOURCES: Final = 400  # CloudFormation's limit for a stack is 500
ARN: Final = "arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:" + 64 * "x" + ":live"
SOURCE: Final = "arn:aws-us-gov:execute-api:us-gov-west-1:123456789012:abcdefghij/*"


def in_sam(script: str, *arguments: str, given: object = None) -> Any:
    """What a script prints as JSON with the SAM CLI's libraries, which do not go with this environment's."""
    command = [needs(emulator.uv), *emulator.SAM, "python", "-c", script, *arguments]
    variables = {**os.environ, "AWS_DEFAULT_REGION": "us-east-1", "SAM_CLI_TELEMETRY": "0"}
    done = subprocess.run(
        command, input=json.dumps(given), check=True, env=variables, stdout=subprocess.PIPE, text=True
    )
    return json.loads(done.stdout)


def translated(every: list[Function], folder: Path) -> dict[str, dict[str, Any]]:
    """The resources that CloudFormation is given, with these functions."""
    path = folder / "template.yaml"
    path.write_text(template.refresh(template.PATH.read_text("utf-8"), every), "utf-8")
    document = read(path).document
    document["Globals"]["Function"]["CodeUri"] = "s3://bucket/package"  # as `sam package` leaves it
    [translation] = in_sam(TRANSLATE, given=[document])
    resources: dict[str, dict[str, Any]] = translation["Resources"]
    return resources


def policies(resources: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Each function's resource policy, as Lambda writes it down, with the longest names that AWS gives."""
    statements: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for name, resource in resources.items():
        if resource["Type"] == "AWS::Lambda::Permission":
            permission = resource["Properties"]
            statement = {
                "Sid": f"{64 * 's'}-{name}-ABCDEFGHIJKL",
                "Effect": "Allow",
                "Principal": {"Service": permission["Principal"]},
                "Action": permission["Action"],
                "Resource": ARN,
                "Condition": {"ArnLike": {"AWS:SourceArn": SOURCE}},
            }
            statements[permission["FunctionName"]["Ref"]].append(statement)
    document = {"Version": "2012-10-17", "Id": "default"}
    return {name: json.dumps({**document, "Statement": allowed}) for name, allowed in statements.items()}


@pytest.mark.parametrize("every", [template.functions(), mission.functions()], ids=["today", "fifteen"])
def test_translated_template_is_within_the_limits_of_aws(every: list[Function], tmp_path: Path) -> None:
    resources = translated(every, tmp_path)
    assert len(resources) < RESOURCES
    sizes = {name: len(policy) for name, policy in policies(resources).items()}
    assert sizes.keys() == {f"{function.name}FunctionAliaslive" for function in every}
    assert max(sizes.values()) < POLICY_BYTES


@pytest.mark.parametrize("every", [template.functions(), mission.functions()], ids=["today", "fifteen"])
def test_rights_of_every_role_fit_into_its_policy(every: list[Function], tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(template.refresh(template.PATH.read_text("utf-8"), every), "utf-8")
    model = "arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/anthropic.claude-sonnet-4-5-20250929-v1:0"
    arns = {"BedrockModelArns": ",".join([model] * MODELS), "BedrockProfileModelArns": ",".join([model] * MODELS)}
    document = read(path)
    values = Values(document, {**document.defaults(), **EVERYTHING, **arns}, "us-gov-west-1", PSEUDO)
    roles = {name: each for name, each in document.document["Resources"].items() if each["Type"] == "AWS::IAM::Role"}
    for name, role in roles.items():
        size = sum(
            len(re.sub(r"\s", "", json.dumps(policy)))
            for policy in values.value(role["Properties"].get("Policies", []))
        )
        assert size + 60 * 20 < ROLE_BYTES, name  # whose tables and groups have longer names than here
    for name, policy in document.document["Resources"].items():
        if policy["Type"] == "AWS::IAM::ManagedPolicy":
            size = len(re.sub(r"\s", "", json.dumps(values.value(policy["Properties"]["PolicyDocument"]))))
            assert size + 40 * 20 < MANAGED_BYTES, name


def test_sam_local_serves_every_path_by_the_function_that_the_api_calls() -> None:
    served = in_sam(SERVE, str(template.PATH))
    assert served["paths"] == {
        group.path: f"{''.join(word.capitalize() for word in group.module.split('_'))}Function" for group in groups()
    }
    assert served["types"] == ["multipart/form-data"]
