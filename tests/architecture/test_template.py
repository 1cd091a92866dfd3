"""template.yaml and the code describe one deployment: functions, routes, events, rights and errors fit."""

from functools import cache
import json
import os
from pathlib import Path
import re
import subprocess
import sys
from typing import Final

import pytest

from tests.architecture.template import ROOT, Event, events, functions, properties, resources, statements, template

MODULES: Final = sorted(path.stem for path in (ROOT / "functions").glob("*.py") if path.stem != "__init__")
ROUTES_OF: Final = """
import importlib, json, sys
app = importlib.import_module(sys.argv[1]).app
print(json.dumps([[method, route.path] for route in app.routes for method in route.methods if method != "HEAD"]))
"""
STREAMING: Final = ("inference",)
ON_ALL: Final = {  # IAM knows no resources of these
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
    "bedrock:ListFoundationModels",
    "bedrock:ListInferenceProfiles",
    "bedrock:ListGuardrails",
}
VARIABLE: Final = re.compile(r'"\$context\.[A-Za-z.]+"|\$context\.[A-Za-z.]+')


@cache
def routes(module: str) -> list[tuple[str, str]]:
    """The method and path of each route that the module's app serves, under the `lambda` distribution."""
    variables = {
        "LLAMBDA_CONFIG": str(ROOT / "infra" / "distributions" / "lambda.yaml"),
        "REGISTRY_TABLE": "registry",
        "QUOTA_TABLE": "quota",
        "VLLM_URL": "http://127.0.0.1:9/v1",
    }
    command = [sys.executable, "-c", ROUTES_OF, f"functions.{module}"]
    answer = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **variables}, check=True, stdout=subprocess.PIPE, text=True, timeout=60
    )
    return [(method, path) for method, path in json.loads(answer.stdout)]


def example(path: str, deep: str = "a/b") -> str:
    """A request's path for a route: `/v1/models/{model_id:path}` is asked for as `/v1/models/a/b`."""
    return re.sub(r"\{\w+(:path)?\}", lambda found: deep if found[1] else "a", path)


def test_every_module_of_functions_is_one_function() -> None:
    handlers = [each["Handler"] for each in properties("AWS::Serverless::Function").values()]
    assert sorted(handlers) == [f"functions.{module}.handler" for module in MODULES]


def test_functions_are_named_as_the_build_expects() -> None:
    from infra.build import module_of

    named = {name: each["Handler"] for name, each in properties("AWS::Serverless::Function").items()}
    assert {name: f"functions.{module_of(name)}.handler" for name in named} == named


@pytest.mark.parametrize("module", MODULES)
def test_every_served_route_is_reached_through_its_own_function_alone(module: str) -> None:
    assert routes(module)
    for method, path in routes(module):
        for asked in (example(path), example(path, deep="a")):
            reached = {event.module for event in events() if event.reaches(method, asked)}
            assert reached == {module}, f"{method} {asked}"


@pytest.mark.parametrize("event", events(), ids=lambda event: f"{event.method} {event.path}")
def test_no_event_leads_nowhere(event: Event) -> None:
    served = [path for method, path in routes(event.module) if event.reaches(method, example(path))]
    assert served
    if not event.greedy():
        assert any(example(path).count("/") == event.path.count("/") for path in served)


def test_no_event_is_there_twice() -> None:
    pairs = [(event.method, event.path) for event in events()]
    assert len(pairs) == len(set(pairs))


def test_methods_are_named_one_by_one() -> None:
    assert {event.method for event in events()} <= {"GET", "POST", "DELETE", "PUT", "PATCH"}


def test_every_function_logs_into_its_own_group_and_every_group_forgets() -> None:
    groups = [each["LoggingConfig"]["LogGroup"]["Ref"] for each in functions().values()]
    assert len(set(groups)) == len(MODULES)
    known = properties("AWS::Logs::LogGroup")
    assert set(groups) < set(known)
    assert all("RetentionInDays" in group for group in known.values())


def test_every_function_has_its_own_role_and_explicit_limits() -> None:
    roles = {each["Role"]["GetAtt"] for each in functions().values()}
    assert len(roles) == len(MODULES)
    assert all({"MemorySize", "Timeout", "LoggingConfig"} <= each.keys() for each in functions().values())


def test_functions_end_before_api_gateway_gives_up() -> None:
    assert all(each["Timeout"] <= 29 for name, each in functions().items() if name not in STREAMING)


@pytest.mark.parametrize("name", STREAMING)
def test_a_function_that_streams_has_the_runtime_and_the_routes_for_it(name: str) -> None:
    """Only a literal ResponseTransferMode is understood by SAM; the runtime answers every event with a stream."""
    function = functions()[name]
    variables = function["Environment"]["Variables"]
    assert variables["AWS_LAMBDA_EXEC_WRAPPER"] == {"If": ["Streams", "/var/task/stream", {"Ref": "AWS::NoValue"}]}
    assert function["Timeout"] == {"If": ["Streams", 900, 29]}
    events = [event["Properties"] for event in function["Events"].values()]
    assert {event["ResponseTransferMode"] for event in events} == {"RESPONSE_STREAM"}
    slow = {event["Path"] for event in events if event.get("TimeoutInMillis") == 900_000}
    assert {"/v1/chat/completions", "/v1/openai/v1/completions", "/v1/inference/{proxy+}"} <= slow
    assert all(event.get("TimeoutInMillis", 29_000) in (29_000, 900_000) for event in events)


def test_functions_that_do_not_stream_have_no_route_for_it() -> None:
    for name, function in functions().items():
        if name not in STREAMING:
            assert "AWS_LAMBDA_EXEC_WRAPPER" not in function.get("Environment", {}).get("Variables", {})
            assert not any("ResponseTransferMode" in event["Properties"] for event in function["Events"].values())


def test_rights_name_their_resources_and_actions() -> None:
    found = list(statements())
    assert found
    for role, statement in found:
        actions = set(statement["Action"])
        assert not any("*" in action for action in actions), role
        if statement["Resource"] == "*":
            assert actions <= ON_ALL, role
        else:
            assert statement["Resource"].keys() <= {"GetAtt", "Ref"}, role


def test_registry_outlives_the_stack() -> None:
    table = template()["Resources"]["RegistryTable"]
    assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == ("Retain", "Retain")
    assert table["Properties"]["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["Properties"]["DeletionProtectionEnabled"] == {"Ref": "DeletionProtection"}


def test_the_url_of_inference_is_there_only_when_asked_for_and_streams() -> None:
    [url] = resources("AWS::Lambda::Url").values()
    assert (url["Condition"], url["Properties"]["InvokeMode"]) == ("HasFunctionUrl", "RESPONSE_STREAM")
    assert template()["Parameters"]["FunctionUrl"]["Default"] == "false"
    alias = template()["Globals"]["Function"]["AutoPublishAlias"]
    assert url["Properties"]["Qualifier"] == alias
    assert url["DependsOn"] == f"InferenceFunctionAlias{alias}"
    permissions = resources("AWS::Lambda::Permission").values()
    assert all(each["Condition"] == "HasFunctionUrl" for each in permissions)
    assert {each["Properties"]["Action"]: len(each["Properties"]) for each in permissions} == {
        "lambda:InvokeFunctionUrl": 4,
        "lambda:InvokeFunction": 4,
    }


def test_registry_has_the_keys_that_the_store_writes() -> None:
    keys = template()["Resources"]["RegistryTable"]["Properties"]["KeySchema"]
    assert [(key["AttributeName"], key["KeyType"]) for key in keys] == [("pk", "HASH"), ("sk", "RANGE")]


def test_no_parameter_takes_a_secret() -> None:
    assert not any("NoEcho" in parameter for parameter in template()["Parameters"].values())


def test_every_parameter_is_described_and_every_text_is_checked() -> None:
    for name, parameter in template()["Parameters"].items():
        assert parameter["Description"], name
        assert parameter["Type"] == "Number" or {"AllowedPattern", "AllowedValues"} & parameter.keys(), name


@pytest.mark.parametrize("kind", template()["Resources"]["Api"]["Properties"]["GatewayResponses"])
def test_errors_of_api_gateway_itself_have_the_one_error_body(kind: str) -> None:
    response = template()["Resources"]["Api"]["Properties"]["GatewayResponses"][kind]
    text = VARIABLE.sub('"x"', response["ResponseTemplates"]["application/json"])
    assert set(json.loads(text)["error"]) == {"message", "type", "param", "code"}


def test_access_log_is_json_and_has_no_body_and_no_token() -> None:
    text = template()["Resources"]["Api"]["Properties"]["AccessLogSetting"]["Format"]
    fields = json.loads(text)
    assert all(value.startswith("$context.") for value in fields.values())
    assert not any("authorizer" in value or "Authorization" in value for value in fields.values())


def test_template_is_clean_under_the_serverless_rules() -> None:
    command = [str(Path(sys.executable).parent / "cfn-lint"), "--append-rules", "cfn_lint_serverless.rules"]
    answer = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stdout
