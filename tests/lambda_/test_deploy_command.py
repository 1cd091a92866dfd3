"""`llambda deploy` from the change set on: what is asked, what stays behind, what is said when it fails.

The cloud is the stand-in of tests/lambda_/ministack.py. The checkout is a small one, and its `sam` a script that has the
change set made of its template, so that nothing is built: tests/lambda_/test_deploy.py has the real ones.
"""

from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
import json
import os
from pathlib import Path
import pty
import subprocess
import sys
from typing import Any, Final

from click.testing import CliRunner, Result
import pytest

from core.cli.deploy import output as deploy_shown
from core.cli.deploy import stack as deploy_stack
from core.cli.deploy.command import command
from core.cli.deploy.stack import Event
from infra import uv
from tests.lambda_.emulator import ROOT
from tests.lambda_.ministack import CREDENTIALS, REGION, Cloud
from tests.parts.secrets import plant

STACK: Final = "small"
PASSWORD: Final = plant("password-of-the-small-stack")
TABLE: Final = {
    "Type": "AWS::DynamoDB::Table",
    "Properties": {
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    },
}
TEMPLATE: Final[dict[str, Any]] = {
    "Parameters": {
        "Architecture": {"Type": "String", "Default": "arm64", "AllowedValues": ["arm64", "x86_64"]},
        "Password": {"Type": "String", "Default": "", "NoEcho": True},
        "Topic": {"Type": "String", "Default": "first"},
    },
    "Resources": {
        "Table": TABLE,
        "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": {"Ref": "Topic"}}},
    },
    "Outputs": {
        "BaseUrl": {"Value": "https://small.example.com/api"},
        "RegistryTableName": {"Value": {"Ref": "Table"}},
    },
}
VARIABLES: Final = {"REGISTRY_TABLE": {"Ref": "Table"}, "TOPIC": {"Ref": "Topic"}}
BROKEN: Final = {
    "Type": "AWS::IAM::Policy",
    "Properties": {
        "PolicyName": "broken",
        "Roles": ["nobody"],
        "PolicyDocument": {"Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]},
    },
}
CONFIG: Final = """
version: 2
image_name: ${env.TOPIC}
apis: [inference]
providers: {inference: [{provider_id: v, provider_type: "remote::vllm", config: {url: "http://gpu:8000/v1"}}]}
metadata_store: {type: dynamodb, table: "${env.REGISTRY_TABLE}"}
server: {auth: {providers: [{type: api_key}]}}
"""
SAM: Final = """#!PYTHON
import json, os, sys, time
from pathlib import Path
import botocore.session
arguments = sys.argv[1:]
if arguments[0] == "build":
    named = {name: os.environ[name] for name in ("LLAMBDA_BUILD_CONFIG", "LLAMBDA_BUILD_ARCHITECTURE")}
    Path("built.json").write_text(json.dumps(named))
    sys.exit(0)
name = arguments[arguments.index("--stack-name") + 1]
pairs = arguments[arguments.index("--parameter-overrides") + 1 :] if "--parameter-overrides" in arguments else []
given = dict(pair.split("=", 1) for pair in pairs)
template = json.loads(Path("template.yaml").read_text())
template.pop("Globals")
client = botocore.session.get_session().create_client("cloudformation", region_name="REGION")
stacks = [stack["StackName"] for stack in client.describe_stacks()["Stacks"]]
parameters = [{"ParameterKey": key, "ParameterValue": value.strip('"')} for key, value in given.items()]
if name in stacks:
    kept = [key for key in template["Parameters"] if key not in given]
    parameters += [{"ParameterKey": key, "UsePreviousValue": True} for key in kept]
client.create_change_set(
    StackName=name,
    ChangeSetName=f"samcli-deploy{time.time_ns()}",
    ChangeSetType="UPDATE" if name in stacks else "CREATE",
    TemplateBody=json.dumps(template),
    Parameters=parameters,
    Capabilities=["CAPABILITY_IAM"],
)
if "fail" in given.get("Topic", ""):
    sys.exit("sam has failed for the topic")
"""


@dataclass(frozen=True, slots=True)
class Small:
    """A small checkout, deployed to a cloud of its own."""

    cloud: Cloud
    checkout: Path

    def deploy(self, *arguments: str) -> Result:
        """In this process, with no terminal."""
        return CliRunner().invoke(command, [str(self.config), "--stack-name", STACK, *arguments])

    @property
    def config(self) -> Path:
        return self.checkout / "mine.yaml"

    def write(self, **resources: Any) -> None:
        """The template, with more resources."""
        variables = {"Globals": {"Function": {"Environment": {"Variables": VARIABLES}}}}
        template = {**TEMPLATE, **variables, "Resources": {**TEMPLATE["Resources"], **resources}}
        (self.checkout / "template.yaml").write_text(json.dumps(template))

    def status(self) -> str | None:
        """The stack's; None if there is none."""
        with self.cloud.client("cloudformation") as client:
            found = {stack["StackName"]: stack["StackStatus"] for stack in client.describe_stacks()["Stacks"]}
        return found.get(STACK)

    def waiting(self) -> list[str]:
        """The change sets that could still be executed."""
        with self.cloud.client("cloudformation") as client:
            listed = client.list_change_sets(StackName=STACK)["Summaries"]
        return [each["ChangeSetName"] for each in listed if each["ExecutionStatus"] != "EXECUTE_COMPLETE"]


@pytest.fixture
def small(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Small]:
    """Nothing is deployed yet."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "LLAMBDA_"))]:
        monkeypatch.delenv(name)
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": cloud.endpoint, "AWS_CONFIG_FILE": os.devnull}.items():
        monkeypatch.setenv(name, value)
    sam = tmp_path / "bin" / "sam"
    sam.parent.mkdir()
    sam.write_text(SAM.replace("PYTHON", sys.executable).replace("REGION", REGION))
    sam.chmod(0o755)
    monkeypatch.setenv("PATH", f"{sam.parent}:{os.environ['PATH']}")
    (tmp_path / "Makefile").write_text("SAM := sam\n")
    (tmp_path / "mine.yaml").write_text(CONFIG)
    monkeypatch.setattr(uv, "ROOT", tmp_path)
    monkeypatch.setattr(deploy_stack, "POLL_SECONDS", 0.05)
    made = Small(cloud, tmp_path)
    made.write()
    yield made
    with cloud.client("cloudformation") as client, suppress(client.exceptions.ClientError):
        client.delete_stack(StackName=STACK)
        client.get_waiter("stack_delete_complete").wait(StackName=STACK, WaiterConfig={"Delay": 0.1})


def out(result: Result) -> str:
    assert PASSWORD not in result.output
    assert "Traceback" not in result.output
    return result.output


def test_deployed_with_what_was_asked_for(small: Small) -> None:
    result = small.deploy("--yes", "--json", "--param", f"Password={PASSWORD}", "--env", "TOPIC=mine")
    assert result.exit_code == 0, result.output
    out(result)
    said = json.loads(result.stdout)
    assert (said["deployed"], said["outputs"]["BaseUrl"]) == (True, "https://small.example.com/api")
    assert said["parameters"] == {"Architecture": "arm64", "Password": "********", "Topic": "mine"}
    assert {(each["action"], each["type"]) for each in said["changes"]} == {
        ("Add", "AWS::DynamoDB::Table"),
        ("Add", "AWS::SNS::Topic"),
    }
    assert "CREATE_COMPLETE  Table" in result.stderr
    assert small.status() == "CREATE_COMPLETE"
    built = json.loads((small.checkout / "built.json").read_text())
    assert built == {"LLAMBDA_BUILD_CONFIG": str(small.config), "LLAMBDA_BUILD_ARCHITECTURE": "arm64"}


def test_a_dry_run_of_a_new_stack_leaves_none_behind(small: Small) -> None:
    result = small.deploy("--dry-run")
    assert result.exit_code == 0, result.output
    assert "2 to add" in out(result)
    assert "example.com" not in result.output
    assert small.status() is None


def test_what_is_not_given_stays_as_it_is(small: Small) -> None:
    first = ("--param", f"Password={PASSWORD} Topic=mine Architecture=x86_64")
    assert small.deploy("--yes", *first).exit_code == 0
    result = small.deploy("--yes", "--param", "Topic=ours")
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in out(result).splitlines()]
    assert ["Topic", "ours", "mine"] in rows
    assert ["Architecture", "x86_64"] in rows
    assert ["Modify", "Topic", "SNS::Topic"] in rows
    assert json.loads((small.checkout / "built.json").read_text())["LLAMBDA_BUILD_ARCHITECTURE"] == "x86_64"
    assert small.status() == "UPDATE_COMPLETE"
    again = small.deploy("--yes")
    assert again.exit_code == 0, again.output
    assert "There is nothing to change." in out(again)
    assert "curl https://small.example.com/api/v1/health" in again.output
    assert small.waiting() == []


def test_a_failure_names_the_first_resource_and_its_reason(small: Small) -> None:
    small.write(Broken=BROKEN)
    result = small.deploy("--yes")
    assert result.exit_code == 1, result.output
    assert "small is not deployed (ROLLBACK_COMPLETE). Broken (AWS::IAM::Policy) failed:" in out(result)
    assert "nobody cannot be found" in result.output.rpartition("failed:")[2]
    blocked = small.deploy("--yes")
    assert (blocked.exit_code, "aws cloudformation delete-stack --stack-name small" in out(blocked)) == (1, True)


def test_a_sam_that_fails_leaves_no_change_set_behind(small: Small) -> None:
    result = small.deploy("--yes", "--param", "Topic=fail")
    assert (result.exit_code, "sam has failed for the topic" in out(result)) == (1, True)
    assert small.status() is None
    assert small.deploy("--yes").exit_code == 0
    assert small.deploy("--yes", "--param", "Topic=fail").exit_code == 1
    assert (small.status(), small.waiting()) == ("CREATE_COMPLETE", [])


def test_change_sets_of_others_are_left_alone(small: Small) -> None:
    assert small.deploy("--yes").exit_code == 0
    changed = [{"ParameterKey": "Topic", "ParameterValue": "theirs"}]
    with small.cloud.client("cloudformation") as client:
        arguments = {"StackName": STACK, "ChangeSetName": "theirs", "UsePreviousTemplate": True}
        client.create_change_set(**arguments, Parameters=changed)
    assert "1 to modify" in small.deploy("--dry-run", "--param", "Topic=mine").output
    assert small.waiting() == ["theirs"]


def at_a_terminal(small: Small, keys: str, arguments: Sequence[str]) -> tuple[int, str]:
    """The exit code and what is printed, with a person at the terminal who types `keys` when asked."""
    ours, theirs = pty.openpty()
    script = f"from infra import uv; from pathlib import Path; uv.ROOT = Path({str(small.checkout)!r})\n"
    script += "import sys; from core.cli.main import main; sys.exit(main(sys.argv[1:]))"
    with subprocess.Popen(
        [sys.executable, "-c", script, "deploy", str(small.config), "--stack-name", STACK, *arguments],
        cwd=ROOT,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        said = b""
        while b"[y/N]" not in said and (part := os.read(process.stdout.fileno(), 4096)):
            said += part
        os.write(ours, keys.encode())
        said += process.stdout.read()
        code = process.wait(timeout=60)
    os.close(ours)
    os.close(theirs)
    return code, said.decode()


@pytest.mark.parametrize(("keys", "code"), [("n\n", 1), ("\n", 1), ("\x04", 130)])
def test_whoever_does_not_say_yes_changes_nothing(small: Small, keys: str, code: int) -> None:
    ended, said = at_a_terminal(small, keys, [])
    assert ended == code, said
    assert "2 to add" in said
    assert "Traceback" not in said
    assert small.status() is None


def test_yes_at_the_terminal_deploys(small: Small) -> None:
    code, said = at_a_terminal(small, "y\n", [])
    assert code == 0, said
    assert "small is deployed" in said
    assert small.status() == "CREATE_COMPLETE"


def test_an_interrupt_says_that_the_deployment_goes_on(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: Event) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(deploy_shown, "is_progress", interrupted)
    result = small.deploy("--yes")
    assert result.exit_code == 1  # of click alone; `llambda` makes it 130
    assert "The deployment of small goes on without this command" in out(result)
    assert "aws cloudformation describe-stack-events --stack-name small --region us-east-1" in result.output
    with small.cloud.client("cloudformation") as client:
        client.get_waiter("stack_create_complete").wait(StackName=STACK, WaiterConfig={"Delay": 0.1})
