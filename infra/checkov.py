"""`python -m infra.checkov` has checkov look at what template.yaml becomes: as it is by default, and with everything on.

checkov itself takes what stands behind a condition for there or for not there; so it gets templates that are decided, and
translated by SAM. What it finds and is left as it is stands in .checkov.yaml, and why in docs/security.md.
"""

import json
import os
from pathlib import Path
import subprocess
import sys
from tempfile import TemporaryDirectory
from typing import Any, Final

from core.cli.deploy.template import Template, Values, read
from infra.uv import ROOT, uv

CHECKOV: Final = ("tool", "run", "--from", "checkov==3.3.30", "checkov")
SAM: Final = ("tool", "run", "--from", "aws-sam-cli==1.170.0", "python", "-c")
TRANSLATE: Final = """
import json, sys
from samtranslator.translator.transform import transform
class NoPolicies:
    def load(self):
        return {}
print(json.dumps([transform(each, {}, NoPolicies()) for each in json.load(sys.stdin)]))
"""
CONFIG: Final = ROOT / ".checkov.yaml"
REGION: Final = "us-east-1"
ACCOUNT: Final = "123456789012"
PSEUDO: Final = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/Llambda/0a1b2c3d-0000-11ee-be56-0242ac120002",
    "AWS::StackName": "Llambda",
    "AWS::URLSuffix": "amazonaws.com",
}
MODEL: Final = {"VllmUrl": "https://models.example.com/v1"}
EVERYTHING: Final = MODEL | {
    "VllmApiTokenSecretArn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:vllm-AbCdEf",
    "BedrockRegion": REGION,
    "BedrockModelArns": f"arn:aws:bedrock:{REGION}::foundation-model/amazon.nova-v1:0",
    "BedrockRoleArns": f"arn:aws:iam::{ACCOUNT}:role/bedrock",
    "CreateUserPool": "true",
    "GatewayAuthorizer": "true",
    "Files": "true",
    "VectorStores": "true",
    "Tools": "true",
    "Responses": "true",
    "Batches": "true",
    "Webhooks": "true",
    "Evaluation": "true",
    "KnowledgeBaseArns": f"arn:aws:bedrock:{REGION}:{ACCOUNT}:knowledge-base/KB12345678",
    "VectorBucketArns": f"arn:aws:s3vectors:{REGION}:{ACCOUNT}:bucket/mine,arn:aws:s3vectors:{REGION}:{ACCOUNT}:bucket/mine/index/*",
    "DatabaseArns": f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster:mine",
    "ToolFunctionArns": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:mine:live",
    "McpGatewayArns": f"arn:aws:bedrock-agentcore:{REGION}:{ACCOUNT}:gateway/mine",
    "FileBucketArns": "arn:aws:s3:::mine,arn:aws:s3:::mine/*",
    "BatchRoleArn": f"arn:aws:iam::{ACCOUNT}:role/batches",
    "BatchBucketArns": "arn:aws:s3:::mine,arn:aws:s3:::mine/batches/*",
    "EvaluationRoleArn": f"arn:aws:iam::{ACCOUNT}:role/evaluations",
    "EvaluationBucketArns": "arn:aws:s3:::mine,arn:aws:s3:::mine/evaluations/*",
    "SourceBucketArns": "arn:aws:s3:::mine,arn:aws:s3:::mine/rows/*",
    "Jobs": "true",
    "FunctionUrl": "true",
    "DeletionProtection": "true",
    "RequestsPerAddress": "1000",
    "StreamConcurrency": "20",
    "RequestConcurrency": "20",
    "AlarmTopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:pager",
    "AlarmEmail": "night@example.com",
    "Dashboard": "true",
    "VpcSubnetIds": "subnet-0123456789abcdef0,subnet-0123456789abcdef1",
    "VpcSecurityGroupIds": "sg-0123456789abcdef0",
    "KmsKeyArn": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab",
}


def decide(template: Template, parameters: dict[str, str]) -> dict[str, Any]:
    """The template with these parameters, without conditions and without what they leave out."""
    values = Values(template, {**template.defaults(), **parameters}, REGION, PSEUDO)
    document = values.value({"Globals": template.document["Globals"]})
    document["Globals"]["Function"]["CodeUri"] = "s3://bucket/package"  # as `sam package` leaves it
    resources = {
        name: values.value({key: part for key, part in resource.items() if key != "Condition"})
        for name, resource in template.document["Resources"].items()
        if "Condition" not in resource or values.holds(resource["Condition"])
    }
    return {"Transform": template.document["Transform"], **document, "Resources": resources}


def documents() -> dict[str, Any]:
    """What CloudFormation would be given, by the name of the case."""
    template = read(ROOT / "template.yaml")
    cases = {"default": MODEL, "everything": EVERYTHING}
    decided = [decide(template, parameters) for parameters in cases.values()]
    variables = {**os.environ, "AWS_DEFAULT_REGION": REGION, "SAM_CLI_TELEMETRY": "0"}
    command = [uv(), *SAM, TRANSLATE]
    translated = subprocess.run(
        command, input=json.dumps(decided), check=True, env=variables, stdout=subprocess.PIPE, text=True
    )
    return dict(zip(cases, json.loads(translated.stdout), strict=True))


def run_checkov(*options: str) -> subprocess.CompletedProcess[str]:
    """Checkov over all of `documents`; its output is the caller's to capture."""
    with TemporaryDirectory() as folder:
        for name, document in documents().items():
            (Path(folder) / f"{name}.json").write_text(json.dumps(document, indent=1), "utf-8")
        command = [uv(), *CHECKOV, "--directory", folder, *options]
        return subprocess.run(
            command, cwd=folder, check=False, stdout=subprocess.PIPE, text=True
        )  # which has no config of its own


def main() -> int:
    """Print the report; checkov's exit code, which is 1 for what .checkov.yaml does not have."""
    done = run_checkov("--config-file", str(CONFIG))
    print(done.stdout)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
