"""template.yaml and the code describe one deployment: functions, routes, paths, rights and errors fit."""

from functools import cache
import json
import os
import re
import subprocess
import sys
from typing import Any, Final

import pytest

from core.frame.api import WORKER
from infra.template import PATH, refresh
from infra.template import functions as functions_of_the_code
from tests.architecture.template import (
    ANY,
    EVERYTHING,
    INTEGRATION,
    ROOT,
    Group,
    functions,
    groups,
    properties,
    reached,
    resources,
    statements,
    switched_on,
    template,
    template_name,
    values,
)

MODULES: Final = sorted(path.stem for path in (ROOT / "functions").glob("*.py") if path.stem != "__init__")
ROUTES_OF: Final = """
import importlib, json, sys
app = importlib.import_module(sys.argv[1]).app
print(json.dumps([[method, route.path] for route in app.routes for method in route.methods if method != "HEAD"]))
"""
STREAMING: Final = ("inference", "files", "responses", "eval")
APIS: Final = [module for module in MODULES if module != WORKER]
ON_ALL: Final = {  # IAM knows no resources of these
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
    "bedrock:ListFoundationModels",
    "bedrock:ListInferenceProfiles",
    "bedrock:ListGuardrails",
    "bedrock:Rerank",
    "bedrock:ListModelInvocationJobs",
    "bedrock:ListEvaluationJobs",
}
OF_MODELS: Final = (
    "arn:${AWS::Partition}:bedrock:*::foundation-model/*",
    "arn:${AWS::Partition}:bedrock:*:${AWS::AccountId}:custom-model/*",
    "arn:${AWS::Partition}:bedrock:*:${AWS::AccountId}:inference-profile/*",
)
OF_JOBS: Final = {  # of Bedrock, which have no names before they are made
    "bedrock:CreateModelInvocationJob": (
        "arn:${AWS::Partition}:bedrock:*:${AWS::AccountId}:model-invocation-job/*",
        *OF_MODELS,
    ),
    "bedrock:CreateEvaluationJob": OF_MODELS,
    "bedrock:GetEvaluationJob": ("arn:${AWS::Partition}:bedrock:*:${AWS::AccountId}:evaluation-job/*",),
}
VARIABLE: Final = re.compile(r'"\$context\.[A-Za-z.]+"|\$context\.[A-Za-z.]+')


@cache
def routes(module: str) -> list[tuple[str, str]]:
    """The method and path of each route that the module's app serves, under the `lambda` distribution."""
    variables = {
        "LLAMBDA_CONFIG": str(ROOT / "infra" / "distributions" / "lambda.yaml"),
        "REGISTRY_TABLE": "registry",
        "QUOTA_TABLE": "quota",
        "STATE_TABLE": "state",
        "BLOB_BUCKET": "blobs",
        "JOBS_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/123456789012/jobs",
        "VECTOR_BUCKET": "arn:aws:s3vectors:us-east-1:123456789012:bucket/vectors",
        "TOOLS": "true",
        "RETRIEVAL": "true",
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


def test_what_follows_from_the_code_is_as_the_code_has_it() -> None:
    text = PATH.read_text("utf-8")
    assert refresh(text, functions_of_the_code()) == text, "template.yaml is stale: `make template` writes it anew"


@pytest.mark.parametrize("module", APIS)
def test_every_served_route_is_reached_through_its_own_function_alone(module: str) -> None:
    assert routes(module)
    for method, path in routes(module):
        for asked in (example(path), example(path, deep="a")):
            assert reached(asked, groups()).module == module, f"{method} {asked}"


@pytest.mark.parametrize("group", groups(), ids=lambda group: group.path)
def test_no_path_leads_nowhere_but_the_last_ones(group: Group) -> None:
    served = [path for _, path in routes(group.module) if group.takes(example(path))]
    assert served or group.path == "/"
    if not group.greedy and group.path != "/":
        assert any(example(path).count("/") == group.path.count("/") for path in served)


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/models", "/v1/model", "/v1/openai/v1/unknown", "/favicon.ico"])
def test_what_no_function_serves_is_refused_by_the_admin_function(path: str) -> None:
    assert reached(path, groups()).module == "admin"


def test_what_is_below_a_path_of_a_function_is_its_own_to_refuse() -> None:
    for path, module in (("/v1/inference/unknown", "inference"), ("/v1/shields/a/b/c", "safety")):
        assert reached(path, groups()).module == module


def test_every_path_has_every_method_since_one_without_passes_to_a_greedy_path_above() -> None:
    paths = properties("AWS::Serverless::Api")["Api"]["DefinitionBody"]["paths"]
    assert all(item.keys() - {"options"} == {ANY} for item in paths.values())
    assert len(groups()) == len(paths)  # each leads to one function


def test_the_api_may_call_the_published_functions_and_no_other_api_may() -> None:
    permissions = properties("AWS::Lambda::Permission").values()
    mine = [each for each in permissions if each["Principal"] == "apigateway.amazonaws.com"]
    assert sorted(each["FunctionName"]["Ref"] for each in mine) == sorted(
        f"{name}.Alias" for name in properties("AWS::Serverless::Function") if name != "WorkerFunction"
    )
    assert all(each["SourceArn"]["Fn::Sub"].endswith(":${Api}/*") for each in mine)


def test_multipart_bodies_are_taken_as_bytes_and_json_as_text() -> None:
    assert properties("AWS::Serverless::Api")["Api"]["BinaryMediaTypes"] == ["multipart~1form-data"]


def test_every_function_logs_into_its_own_group_and_every_group_forgets() -> None:
    groups = [each["LoggingConfig"]["LogGroup"]["Ref"] for each in functions().values()]
    assert len(set(groups)) == len(MODULES)
    known = properties("AWS::Logs::LogGroup")
    assert set(groups) < set(known)
    assert all("RetentionInDays" in group for group in known.values())


def test_every_function_has_its_own_role_and_explicit_limits() -> None:
    roles = {each["Role"]["Fn::GetAtt"][0] for each in functions().values()}
    assert len(roles) == len(MODULES)
    assert all({"MemorySize", "Timeout", "LoggingConfig"} <= each.keys() for each in functions().values())


def test_functions_end_before_api_gateway_gives_up() -> None:
    assert all(functions()[name]["Timeout"] <= 29 for name in APIS if name not in STREAMING)


def integrations(module: str) -> list[dict[str, Any]]:
    paths = properties("AWS::Serverless::Api")["Api"]["DefinitionBody"]["paths"]
    return [paths[group.path][ANY][INTEGRATION] for group in groups() if group.module == module]


@pytest.mark.parametrize("name", STREAMING)
def test_a_function_that_streams_has_the_runtime_and_the_paths_for_it(name: str) -> None:
    function = functions()[name]
    variables = function["Environment"]["Variables"]
    assert variables["AWS_LAMBDA_EXEC_WRAPPER"] == {"Fn::If": ["Streams", "/var/task/stream", {"Ref": "AWS::NoValue"}]}
    assert function["Timeout"] == {"Fn::If": ["Streams", 900, 29]}
    streams = {"inference": "Streams", "eval": "StreamsEvaluation"}.get(name, f"Streams{template_name(name)}")
    for each in integrations(name):
        assert each["responseTransferMode"] == {"Fn::If": [streams, "STREAM", "BUFFERED"]}
        assert each["timeoutInMillis"] == {"Fn::If": [streams, 900_000, 29_000]}
        condition, streamed, whole = switched_on(each["uri"])["Fn::If"]
        assert condition == streams
        assert streamed["Fn::Sub"].endswith("/response-streaming-invocations")
        assert whole["Fn::Sub"].endswith("/invocations")


def test_functions_that_do_not_stream_have_no_path_for_it() -> None:
    for name, function in functions().items():
        if name not in STREAMING:
            assert "AWS_LAMBDA_EXEC_WRAPPER" not in function.get("Environment", {}).get("Variables", {})
            assert all(each.keys() == {"type", "httpMethod", "uri"} for each in integrations(name))
            assert all(switched_on(each["uri"])["Fn::Sub"].endswith("/invocations") for each in integrations(name))


@pytest.mark.parametrize("module", ["files", "vector_io"])
def test_what_is_switched_off_leads_to_the_admin_function_which_says_so(module: str) -> None:
    mine = integrations(module)
    assert mine
    for each in mine:
        off, on = (values(parameters).value(each) for parameters in ({}, EVERYTHING))
        assert "us-east-1_AdminFunction" in off["uri"].replace("AdminFunction.Arn", "us-east-1_AdminFunction")
        assert "AdminFunction" not in on["uri"]
        assert off.get("responseTransferMode", "BUFFERED") == "BUFFERED"


def test_rights_name_their_resources_and_actions() -> None:
    found = list(statements())
    assert found
    for role, statement in found:
        actions = set(statement["Action"])
        assert not any("*" in action for action in actions), role
        if statement["Resource"] == "*":
            assert actions <= ON_ALL, role
        elif statement["Resource"] == {"Fn::Sub": "arn:${AWS::Partition}:kms:*:*:key/*"}:  # of what only it may read
            assert (actions, list(statement["Condition"]["StringLike"])) == ({"kms:Decrypt"}, ["kms:ViaService"]), role
        elif of_jobs := [arns for action, arns in OF_JOBS.items() if action in actions]:
            assert [[{"Fn::Sub": arn} for arn in arns] for arns in of_jobs] == [statement["Resource"]], role
        else:
            for resource in (
                [*statement["Resource"]] if isinstance(statement["Resource"], list) else [statement["Resource"]]
            ):
                within = re.search(
                    r"Arn}((/index)?/\*|/index/by_day)$", resource.get("Fn::Sub", "")
                )  # what is in a bucket
                assert within or resource.keys() <= {"Fn::GetAtt", "Ref"}, role


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
    permissions = [
        each for each in resources("AWS::Lambda::Permission").values() if each.get("Condition") == "HasFunctionUrl"
    ]
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
