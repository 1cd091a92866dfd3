"""`llambda deploy`, and `sam deploy`, make an API that answers those who may call, over HTTP, from a model behind it.

The cloud is a stand-in (`tests/lambda_/ministack.py` says how it differs from AWS); the template, the
build, the packages and the model server are the real ones.
"""

from collections.abc import Generator
from dataclasses import dataclass
import json
from pathlib import Path
import re
import shutil
import subprocess
from typing import Any

import httpx
import pytest

from infra import build
from infra.local import model_server
from tests.lambda_ import emulator, keys, ministack
from tests.lambda_.calls import OF_EVALUATION, health_of_provider
from tests.lambda_.conftest import needs
from tests.lambda_.emulator import ROOT
from tests.lambda_.ministack import Cloud
from tests.parts.secrets import plant

STACK = "llambda-smoke"
TOKEN = plant("token-of-the-model-server")
KEPT = (
    "RegistryTable",
    "StateTable",
    "QuotaTable",
    "UserPool",
    "UserPoolClient",
    "InferenceFunction",
    "InferenceLogGroup",
)
OFF = (
    "BatchesFunction",
    "DatasetioFunction",
    "EvalFunction",
    "FilesFunction",
    "ResponsesFunction",
    "ScoringFunction",
    "ToolRuntimeFunction",
    "VectorIoFunction",
    "WebhooksFunction",
    "WorkerFunction",
)
"""Those that these stacks are without, and that need no package: the exact tests deploy them."""
WATCHED = {
    "AlarmTopicArn": f"arn:aws:sns:{ministack.REGION}:123456789012:pager",
    "AlarmEmail": "night@example.com",
    "Dashboard": "true",
    "VpcSubnetIds": "subnet-0a1b2c3d,subnet-0a1b2c3e",
    "VpcSecurityGroupIds": "sg-0a1b2c3d",
}
KEYS_OF_POOL = "{endpoint}/${{env.COGNITO_USER_POOL_ID:=}}/.well-known/jwks.json"


@dataclass(frozen=True, slots=True)
class Deployment:
    """`said` is what the command printed; `api` sends an API key, `anybody` does not."""

    cloud: Cloud
    outputs: dict[str, str]
    said: str
    api: httpx.Client
    anybody: httpx.Client

    def get(self, path: str) -> Any:
        answer = self.api.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def cloud_parameter(self, name: str) -> str:
        """The stack's value of a parameter, as the cloud has it."""
        with self.cloud.client("cloudformation") as client:
            [stack] = client.describe_stacks(StackName=STACK)["Stacks"]
        return {str(each["ParameterKey"]): str(each["ParameterValue"]) for each in stack["Parameters"]}[name]

    def cognito_token(self) -> str:
        """An access token of the stack's own app client, which the cloud gives out at its own address."""
        pool, client_id = self.outputs["UserPoolId"], self.outputs["UserPoolClientId"]
        with self.cloud.client("cognito-idp") as cognito:
            client = cognito.describe_user_pool_client(UserPoolId=pool, ClientId=client_id)["UserPoolClient"]
        path = self.outputs["TokenUrl"].removeprefix("https://").partition("/")[2]
        form = {"grant_type": "client_credentials", "scope": "llambda/use"}
        credentials = (client_id, plant(client["ClientSecret"]))
        answer = httpx.post(f"{self.cloud.endpoint}/{path}", data=form, auth=credentials)
        assert answer.status_code == 200, answer.text
        return plant(answer.json()["access_token"])


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this one, to build in; the environment and uv are this one's."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("core", "functions", "infra", "locks"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "samconfig.toml", "pyproject.toml"):
        shutil.copy(ROOT / name, copy)
    for name in (".venv", ".uv"):
        (copy / name).symlink_to(ROOT / name)
    with (copy / "Makefile").open("a", encoding="utf-8") as makefile:
        makefile.writelines(f'\nbuild-{name}:\n\t@touch "$(ARTIFACTS_DIR)/off"\n' for name in OFF)
    ministack.adapt(ROOT / "template.yaml", copy / "template.yaml")
    return copy


@pytest.fixture(scope="module")
def parameters(model_server: str) -> dict[str, str]:
    """Of every stack here; functions run on this machine."""
    architecture = needs(emulator.architecture)
    return {"VllmUrl": model_server, "Architecture": architecture, "CreateUserPool": "true", "Streaming": "false"}


def with_keys_of(cloud: Cloud, folder: Path) -> Path:
    """The distribution, but that a user pool's keys are this cloud's: Cognito's own address is AWS's."""
    text = build.CONFIG.read_text(encoding="utf-8")
    entry = "        user_pool_id: "
    assert text.count(entry) == 1
    config = folder / "lambda.yaml"
    keys_of_pool = KEYS_OF_POOL.format(endpoint=cloud.endpoint)
    config.write_text(text.replace(entry, f"        jwks_uri: {keys_of_pool}\n{entry}"), encoding="utf-8")
    return config


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def new_key(cloud: Cloud, outputs: dict[str, str], *more: str) -> str:
    table = ("--table", outputs["RegistryTableName"], "--region", ministack.REGION)
    return keys.created("--name", "smoke", *more, *table, AWS_ENDPOINT_URL=cloud.endpoint, **ministack.CREDENTIALS)


@pytest.fixture(scope="module")
def config(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_keys_of(cloud, tmp_path_factory.mktemp("config"))


@pytest.fixture(scope="module")
def secret(cloud: Cloud) -> str:
    """The ARN of the secret with the model server's token."""
    with cloud.client("secretsmanager") as secrets:
        return str(secrets.create_secret(Name="vllm-token", SecretString=TOKEN)["ARN"])


@pytest.fixture(scope="module")
def deployed(
    cloud: Cloud, checkout: Path, config: Path, parameters: dict[str, str], secret: str
) -> Generator[Deployment]:
    """The stack with a user pool and a key, by `llambda deploy`."""
    given = pairs({**parameters, "VllmApiTokenSecretArn": secret})
    done = cloud.llambda(checkout, "deploy", str(config), "--stack-name", STACK, "--yes", "--param", " ".join(given))
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    outputs = cloud.outputs(STACK)
    url = cloud.url(outputs["BaseUrl"])
    headers = {"authorization": f"Bearer {new_key(cloud, outputs)}"}
    with (
        httpx.Client(base_url=url, timeout=60, headers=headers) as api,
        httpx.Client(base_url=url, timeout=60) as anybody,
    ):
        yield Deployment(cloud, outputs, done.stdout, api, anybody)


def pairs(parameters: dict[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in parameters.items()]


@pytest.fixture(scope="module")
def model(deployed: Deployment) -> str:
    """A model that the server behind the deployment lists."""
    listed = deployed.get("/v1/models")["data"]
    [id_] = [each["id"] for each in listed]
    assert id_ == f"vllm/{model_server.CHAT_MODEL}"
    return str(id_)


def ask(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 16, **more}


@pytest.mark.exact  # cfn-lint, which `make check` runs, as the SAM CLI has it
def test_template_is_valid_for_sam() -> None:
    needs(emulator.uv)
    assert "valid SAM Template" in ministack.sam("validate", "--lint")


def test_health_and_version_are_answered(deployed: Deployment) -> None:
    assert deployed.get("/v1/health") == {"status": "OK"}
    assert deployed.get("/v1/version")["version"]


@pytest.mark.parametrize("path", ["/v1/health", "/v1/version"])
def test_health_and_version_are_open(deployed: Deployment, path: str) -> None:
    assert deployed.anybody.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/v1/models", "/v1/providers", "/v1/quota", "/openapi.json"])
@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer nobodys-key"}])
def test_without_a_key_the_answer_is_401_in_the_one_body(
    deployed: Deployment, path: str, headers: dict[str, str]
) -> None:
    answer = deployed.anybody.get(path, headers=headers)
    assert answer.status_code == 401, answer.text
    assert set(answer.json()["error"]) == {"message", "type", "param", "code", "request_id"}
    assert answer.headers["www-authenticate"].startswith('Bearer error="')


def test_quota_counts_the_calls_of_both_functions(deployed: Deployment) -> None:
    for method, path, body in (("POST", "/v1/embeddings", {}), ("GET", "/v1/inspect/environment", None)):
        before = deployed.get("/v1/quota")["requests"]
        answer = deployed.api.request(method, path, json=body)
        after = deployed.get("/v1/quota")["requests"]
        assert (before["limit"], after["used"]) == (1000, before["used"] + 1)
        assert answer.headers["ratelimit-limit"] == "1000"
        assert answer.headers["ratelimit-remaining"] == str(after["remaining"])


def test_counter_has_an_expiry_and_no_key_in_it(deployed: Deployment) -> None:
    deployed.api.post("/v1/embeddings", json={})
    with deployed.cloud.client("dynamodb") as tables:
        items = tables.scan(TableName=deployed.outputs["QuotaTableName"])["Items"]
    key = deployed.api.headers["authorization"].removeprefix("Bearer ")
    assert items
    windows = [name for item in items for name in item if re.fullmatch(r"[nhdo][\d-]+r", name)]
    assert {name[0] for name in windows} >= {"d", "o"}, items  # requests of the day and of the month
    assert all(set(item) >= {"pk", "expires"} for item in items)
    assert key not in str(items)


def test_token_of_the_stacks_own_user_pool_is_accepted(deployed: Deployment) -> None:
    token = deployed.cognito_token()
    answer = deployed.anybody.get("/v1/quota", headers={"authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["identity"]) == (200, "authenticated"), answer.text
    broken = deployed.anybody.get("/v1/quota", headers={"authorization": f"Bearer {token[:-8]}AAAAAAAA"})
    assert broken.status_code == 401


def test_provider_is_healthy(deployed: Deployment) -> None:
    assert health_of_provider(lambda: deployed.get("/v1/providers")) == {"status": "OK"}


def test_chat_is_answered_by_the_model(deployed: Deployment, model: str) -> None:
    answer = deployed.api.post("/v1/chat/completions", json=ask(model))
    assert answer.status_code == 200, answer.text
    assert answer.json()["model"] == model
    assert answer.json()["choices"][0]["message"]["content"]


def test_streamed_chat_arrives_whole(deployed: Deployment, model: str) -> None:
    answer = deployed.api.post("/v1/chat/completions", json=ask(model, stream=True))
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
    assert len(events) > 2
    assert events[-1] == "[DONE]"


def test_registration_is_in_the_table_and_its_name_may_have_slashes(deployed: Deployment) -> None:
    name = "team/a/model"
    body = {"model_id": name, "provider_model_id": model_server.CHAT_MODEL}
    registered = deployed.api.post("/v1/models", json=body)
    assert registered.status_code == 200, registered.text
    assert deployed.get(f"/v1/models/{name}")["identifier"] == name
    assert deployed.api.post("/v1/chat/completions", json=ask(name)).json()["model"] == name
    with deployed.cloud.client("dynamodb") as table:
        items = table.scan(TableName=deployed.outputs["RegistryTableName"])["Items"]
    assert name in {item["sk"]["S"] for item in items}
    assert deployed.api.delete(f"/v1/models/{name}").is_success
    assert deployed.api.get(f"/v1/models/{name}").status_code == 404


def test_keys_are_made_rotated_and_revoked_by_their_function_and_open_the_others(deployed: Deployment) -> None:
    """Admins may, by the run config that is deployed; what they make is in the registry's table without its secret."""
    admin = bearer(new_key(deployed.cloud, deployed.outputs, "--roles", "admin"))
    body = {"name": "ci", "roles": ["admin"], "models": ["none"]}
    assert deployed.api.post("/v1/keys", json=body).status_code == 403
    made = deployed.api.post("/v1/keys", json=body, headers=admin)
    assert made.status_code == 200, made.text
    assert made.headers["cache-control"] == "no-store"
    first = plant(made.json()["key"])
    path = f"/v1/keys/{made.json()['id']}"
    assert deployed.anybody.get("/v1/models", headers=bearer(first)).json()["data"] == []
    rotated = deployed.api.post(f"{path}/rotate", json={"overlap": 60}, headers=admin)
    second = plant(rotated.json()["key"])
    for token in (second, first):
        assert deployed.anybody.get("/v1/quota", headers=bearer(token)).status_code == 200
    listed = deployed.api.get("/v1/keys?limit=100", headers=admin).json()["data"]
    assert made.json()["id"] in {row["id"] for row in listed}
    with deployed.cloud.client("dynamodb") as tables:
        items = tables.scan(TableName=deployed.outputs["RegistryTableName"])["Items"]
    assert not [item for item in items if second.split("_", 2)[2] in str(item)]
    assert deployed.api.delete(path, headers=admin).json()["revoked"] is not None
    assert deployed.api.get(path, headers=admin).json()["name"] == "ci"


def test_what_is_off_has_no_function_no_bucket_and_no_queue(deployed: Deployment) -> None:
    assert not deployed.cloud.resources(STACK).keys() & {*OFF, "BlobBucket", "JobsQueue", "VectorBucket"}


def test_every_route_that_is_inspected_reaches_a_function(deployed: Deployment) -> None:
    described = deployed.get("/openapi.json")["paths"]
    routes = [(method, path) for path, methods in described.items() for method in methods if method != "parameters"]
    assert len(routes) > 10
    for method, path in routes:
        answer = deployed.api.request(method, path.replace("{", "").replace("}", ""))
        assert "Missing Authentication Token" not in answer.text, f"{method} {path}"
        assert answer.status_code != 500, f"{method} {path}: {answer.text}"


@pytest.mark.parametrize(
    "path",
    ["/v1", "/v1/nothing", "/v1/inference/nothing", "/v1alpha/admin/nothing", *OF_EVALUATION, "/v1/webhook_endpoints"],
)
def test_what_no_route_has_is_404_in_the_one_body(deployed: Deployment, path: str) -> None:
    answer = deployed.anybody.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found"), answer.text
    assert set(answer.json()["error"]) == {"message", "type", "param", "code", "request_id"}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/shields", "/v1/health"])
def test_a_method_that_a_route_does_not_take_is_405(deployed: Deployment, path: str) -> None:
    answer = deployed.anybody.delete(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed"), answer.text
    assert answer.headers["allow"]


def test_multipart_reaches_the_app_as_bytes_and_json_is_answered_as_text(deployed: Deployment) -> None:
    """No route takes multipart yet: the app says what it makes of it, and does not fail on what is no UTF-8."""
    answer = deployed.api.post("/v1/chat/completions", files={"file": ("x.bin", bytes(range(256)))})
    assert (answer.status_code, answer.json()["error"]["type"]) == (415, "invalid_request_error"), answer.text


def test_functions_have_the_name_of_the_token_and_read_it_when_they_call(
    deployed: Deployment, secret: str, model: str
) -> None:
    for name in ("InferenceFunctionArn", "AdminFunctionArn"):
        with deployed.cloud.client("lambda") as functions:
            described = functions.get_function_configuration(FunctionName=deployed.outputs[name])
        assert described["Environment"]["Variables"]["VLLM_API_TOKEN"] == f"aws-secretsmanager:{secret}"
        assert TOKEN not in json.dumps(described, default=str)
    assert deployed.api.post("/v1/chat/completions", json=ask(model)).status_code == 200
    assert TOKEN not in deployed.api.get("/v1/providers").text


def test_error_of_the_app_passes_the_gateway_unchanged(deployed: Deployment) -> None:
    answer = deployed.api.post("/v1/chat/completions", content=b"{", headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


def test_command_shows_the_changes_and_prints_calls_that_work(deployed: Deployment) -> None:
    rows = [line.split() for line in deployed.said.splitlines()]
    assert ["Add", "RegistryTable", "DynamoDB::Table"] in rows
    assert ["VllmUrl", deployed.cloud_parameter("VllmUrl")] in rows
    assert TOKEN not in deployed.said
    health = next(line for line in deployed.said.splitlines() if line.startswith("curl "))
    here = health.replace(deployed.outputs["BaseUrl"], deployed.cloud.url(deployed.outputs["BaseUrl"]))
    called = subprocess.run(["bash", "-c", here], check=True, capture_output=True, text=True)
    assert json.loads(called.stdout) == {"status": "OK"}
    assert f"--table {deployed.outputs['RegistryTableName']} --region {ministack.REGION}" in deployed.said


@pytest.mark.exact
def test_dry_run_shows_a_changed_parameter_and_changes_nothing(
    deployed: Deployment, checkout: Path, config: Path
) -> None:
    given = ("--param", "QuotaMaxRequests=7", "--param", "QuotaMaxTokens=")
    done = deployed.cloud.llambda(checkout, "deploy", str(config), "--stack-name", STACK, "--dry-run", "--json", *given)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["parameters"]["QuotaMaxRequests"] == "7"
    assert said["parameters"]["VllmUrl"] == deployed.cloud_parameter("VllmUrl")  # which is not given again
    assert ("Modify", "AdminFunction") in {(each["action"], each["resource"]) for each in said["changes"]}
    assert (said["deployed"], said["outputs"]) == (False, {})
    assert ["QuotaMaxRequests", "7", "1000"] in [line.split() for line in done.stderr.splitlines()]
    assert deployed.cloud_parameter("QuotaMaxRequests") == "1000"
    with deployed.cloud.client("cloudformation") as client:
        listed = client.list_change_sets(StackName=STACK)["Summaries"]
    assert [each["ExecutionStatus"] for each in listed] in ([], ["EXECUTE_COMPLETE"])
    assert deployed.get("/v1/quota")["requests"]["limit"] == 1000


def built_template(checkout: Path) -> Path:
    return checkout / ".aws-sam" / "build" / "template.yaml"


def sam_deploy(cloud: Cloud, stack: str, template: Path, parameters: dict[str, str]) -> dict[str, str]:
    """The outputs of the stack, once it is deployed."""
    values = pairs({**parameters, "ConfigureApiLogging": "false"})
    files = ["--template-file", str(template), "--config-file", str(ROOT / "samconfig.toml")]
    cloud.sam("deploy", *files, "--stack-name", stack, "--no-confirm-changeset", "--parameter-overrides", *values)
    return cloud.outputs(stack)


@pytest.fixture
def in_front(deployed: Deployment, cloud: Cloud, checkout: Path, parameters: dict[str, str]) -> dict[str, str]:
    """The outputs of what the same build gives by `sam deploy`, with the authorizer of API Gateway."""
    assert deployed.outputs
    return sam_deploy(cloud, f"{STACK}-front", built_template(checkout), {**parameters, "GatewayAuthorizer": "true"})


@pytest.mark.exact
def test_authorizer_in_front_lets_cognito_tokens_through_and_no_keys(cloud: Cloud, in_front: dict[str, str]) -> None:
    outputs = in_front
    with httpx.Client(base_url=cloud.url(outputs["BaseUrl"]), timeout=60) as anybody:
        token = Deployment(cloud, outputs, "", anybody, anybody).cognito_token()
        assert anybody.get("/v1/health").status_code == 200
        assert anybody.get("/v1alpha/admin/health").status_code == 200
        for headers in ({}, {"authorization": f"Bearer {new_key(cloud, outputs)}"}):
            refused = anybody.get("/v1/quota", headers=headers)
            assert (refused.status_code, refused.json()) == (401, {"message": "Unauthorized"})  # this cloud's own body
        answer = anybody.get("/v1/quota", headers={"authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.json().get("identity")) == (200, "authenticated"), answer.text


def old_template(checkout: Path) -> Path:
    """The template with a route for each operation, as 0.1.0 had it, with the packages of this build."""
    document = json.loads((Path(__file__).parent / "templates" / "explicit_routes.json").read_text("utf-8"))
    for name, resource in document["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = name
            for event in resource["Properties"]["Events"].values():
                event["Properties"].pop("ResponseTransferMode", None)  # which this cloud does not know
    path = checkout / ".aws-sam" / "build" / "old.yaml"
    path.write_text(json.dumps(document), "utf-8")
    return path


@pytest.mark.exact
@pytest.mark.usefixtures("deployed")  # whose packages these are
def test_an_upgrade_in_place_keeps_keys_models_and_every_table(
    cloud: Cloud, checkout: Path, parameters: dict[str, str], secret: str
) -> None:
    """The old template put the secret itself into the functions' variables, the new one puts its name there."""
    stack, name = f"{STACK}-upgraded", "team/kept/model"
    parameters = {**parameters, "VllmApiTokenSecretArn": secret}
    before = sam_deploy(cloud, stack, old_template(checkout), parameters)
    headers = {"authorization": f"Bearer {new_key(cloud, before)}"}
    body = {"model_id": name, "provider_model_id": model_server.CHAT_MODEL}
    with httpx.Client(base_url=cloud.url(before["BaseUrl"]), timeout=60, headers=headers) as api:
        assert api.post("/v1/models", json=body).is_success
        assert api.get("/v1/nothing").json() == {"message": "Missing Authentication Token"}  # no path leads anywhere
    resources = cloud.resources(stack)
    after = sam_deploy(cloud, stack, built_template(checkout), {**parameters, **WATCHED})
    assert {name: cloud.resources(stack)[name] for name in KEPT} == {name: resources[name] for name in KEPT}
    with httpx.Client(base_url=cloud.url(after["BaseUrl"]), timeout=60, headers=headers) as api:
        assert api.get(f"/v1/models/{name}").json()["identifier"] == name
        assert api.post("/v1/chat/completions", json=ask(name)).json()["model"] == name
        assert api.get("/v1/nothing").json()["error"]["code"] == "not_found"
    assert cloud.resources(stack).keys() - resources.keys() >= {"InferencePermission", "AdminPermission"}
    assert not any("PermissionStage" in resource for resource in cloud.resources(stack))  # one for each route
    assert_watched(cloud, stack, after)


def assert_watched(cloud: Cloud, stack: str, outputs: dict[str, str]) -> None:
    """The alarms, the dashboard and the rights in a VPC that WATCHED asks for are there."""
    with cloud.client("cloudwatch") as metrics, cloud.client("sns") as topics, cloud.client("iam") as roles:
        alarms = metrics.describe_alarms(AlarmNamePrefix=f"{stack}-")["MetricAlarms"]
        body = metrics.get_dashboard(DashboardName=f"{stack}-{ministack.REGION}")["DashboardBody"]
        topic = cloud.resources(stack)["AlarmTopic"]
        [subscription] = topics.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
        role = cloud.resources(stack)["InferenceRole"]
        attached = roles.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    assert {alarm["AlarmName"] for alarm in alarms} >= {f"{stack}-server-errors", f"{stack}-inference-errors"}
    assert all(alarm["AlarmActions"] == [WATCHED["AlarmTopicArn"], topic] for alarm in alarms)
    assert outputs["InferenceFunctionArn"].rpartition(":")[2] in json.dumps(json.loads(body))
    assert subscription["Endpoint"] == WATCHED["AlarmEmail"]
    named = {cloud.resources(stack)[name] for name in ("InferencePolicy", "VpcPolicy")}
    assert {policy["PolicyArn"] for policy in attached} == named
