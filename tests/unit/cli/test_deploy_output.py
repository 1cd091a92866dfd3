"""What `llambda deploy` shows: changes, parameters, a failure, and the commands that come after."""

from pathlib import Path

import pytest

from core.cli.deploy import output as deploy_shown
from core.cli.deploy.checks import Plan
from core.cli.deploy.stack import DeployedStack, Described, Event, ResourceChange
from core.cli.deploy.template import Template, read
from core.config.document import RunConfig
from core.config.load import interpret
from tests.parts.secrets import plant

ROOT = Path(__file__).resolve().parents[3]
SECRET = plant("secret-value-of-a-parameter")
STACK = "arn:aws:cloudformation:us-east-1:123456789012:stack/s/1"
CHANGES = [
    ResourceChange("Add", "InferenceFunctionUnregisterModelPermissionStage", "AWS::Lambda::Permission", ""),
    ResourceChange("Modify", "QuotaTable", "AWS::DynamoDB::Table", "True"),
    ResourceChange("Modify", "InferenceFunction", "AWS::Lambda::Function", "False"),
    ResourceChange("Modify", "ApiDeployment0123456789", "AWS::ApiGateway::Deployment", "Conditional"),
    ResourceChange("Remove", "UserPool", "AWS::Cognito::UserPool", ""),
]
ROUTES = [
    ResourceChange("Add", f"AdminFunctionRoute{i}PermissionStage", "AWS::Lambda::Permission", "") for i in range(40)
]


@pytest.fixture(scope="module")
def template() -> Template:
    return read(ROOT / "template.yaml")


@pytest.mark.parametrize("width", [50, 60, 80, 200])
def test_changes_fit_the_width(width: int) -> None:
    lines = deploy_shown.changes(CHANGES, width).splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) == 1 + len(CHANGES)
    assert all(len(line.split()) >= 3 for line in lines)


def test_what_is_lost_comes_first() -> None:
    rows = [line.split() for line in deploy_shown.changes(CHANGES, 200).splitlines()]
    assert [row[1] for row in rows[1:4]] == ["QuotaTable", "UserPool", "ApiDeployment0123456789"]
    assert rows[1] == ["Modify", "QuotaTable", "DynamoDB::Table", "yes"]
    assert rows[3][-1] == "perhaps"
    assert deploy_shown.summarize_changes(CHANGES) == "1 to add, 3 to modify, 1 to remove"


def test_what_lets_the_api_call_is_one_line() -> None:
    lines = deploy_shown.changes([*ROUTES, *CHANGES], 80).splitlines()
    assert lines[-1].split() == ["Add", "(41", "of", "them)", "Lambda::Permission"]
    assert len(lines) == 1 + len(CHANGES)
    assert deploy_shown.summarize_changes([*ROUTES, *CHANGES]).startswith("41 to add")


def plan(template: Template, before: Described | None, **given: str) -> Plan:
    config: RunConfig | None = interpret(
        {
            "version": 2,
            "image_name": "t",
            "apis": ["inference"],
            "providers": {"inference": []},
            "metadata_store": {"type": "dynamodb", "table": "table"},
            "server": {"auth": {"providers": [{"type": "api_key"}]}},
        },
        {},
    ).config
    assert config is not None
    kept = before.parameters if before else {}
    stack = DeployedStack("chat", "eu-west-1")
    return Plan(
        ROOT, [], ROOT / "lambda.yaml", config, template, stack, before, given, template.defaults() | kept | given
    )


def test_parameters_are_shown_where_they_differ(template: Template) -> None:
    before = Described(
        STACK, "CREATE_COMPLETE", {"VllmUrl": "http://gpu", "QuotaMaxRequests": "7", "LogLevel": "INFO"}, {}
    )
    text = deploy_shown.parameters(plan(template, before, QuotaMaxRequests="1000", LogLevel="WARN"), 80)
    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines()}
    assert rows["VllmUrl"] == ["http://gpu"]
    assert rows["QuotaMaxRequests"] == ["1000", "7"]
    assert rows["LogLevel"] == ["WARN", "INFO"]
    assert text.endswith(f"{len(template.parameters) - 3} parameters are as template.yaml has them")


def test_secrets_of_parameters_are_masked(template: Template) -> None:
    parameters = {"Pass": {"NoEcho": True, "Default": ""}, "VllmUrl": {"Default": ""}}
    secret = Template({**template.document, "Parameters": parameters})
    made = plan(secret, None, Pass=SECRET, VllmUrl=f"https://me:{SECRET}@gpu")
    for text in (deploy_shown.parameters(made, 200), str(deploy_shown.as_json(made, [], None)["parameters"])):
        assert SECRET not in text
        assert "********@gpu" in text


def test_a_failure_names_the_resource_that_failed_first() -> None:
    seen = [
        Event("Role", "AWS::IAM::Role", "CREATE_COMPLETE", "", of_stack=False),
        Event("Table", "AWS::DynamoDB::Table", "CREATE_FAILED", "no such key", of_stack=False),
        Event("Api", "AWS::ApiGateway::RestApi", "CREATE_FAILED", "Resource creation cancelled", of_stack=False),
        Event("chat", "AWS::CloudFormation::DeployedStack", "ROLLBACK_COMPLETE", "", of_stack=True),
    ]
    text = deploy_shown.failure("chat", seen)
    assert "chat is not deployed (ROLLBACK_COMPLETE). Table (AWS::DynamoDB::Table) failed:\n  no such key" in text
    assert "Api" not in text


def test_after_it_come_the_url_and_commands_with_it(template: Template) -> None:
    url = "https://abc.execute-api.eu-west-1.amazonaws.com/api"
    lines = list(deploy_shown.calls(plan(template, None), {"BaseUrl": url, "RegistryTableName": "chat-Registry"}))
    assert f"{url}/v1\n" in lines[0]
    assert lines[1] == f"curl {url}/v1/health"
    assert "llambda keys create" in lines[2]
    assert "--table chat-Registry --region eu-west-1" in lines[2]
    assert '"authorization: Bearer $KEY"' in lines[-1]
