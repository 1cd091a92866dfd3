"""`sam build` and `sam deploy` make an API that answers chat over HTTP, from a model behind it.

The cloud is a stand-in (`tests/lambda_/ministack.py` says how it differs from AWS); the template, the
build, the packages and the model server are the real ones.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from infra.local import model_server
from infra.local.dynamodb import free_port
from tests.lambda_ import emulator, ministack
from tests.lambda_.conftest import needs
from tests.lambda_.emulator import ROOT
from tests.lambda_.ministack import Cloud

STACK = "llambda-smoke"
TOKEN = "token-of-the-model-server"


@dataclass(frozen=True, slots=True)
class Deployment:
    cloud: Cloud
    outputs: dict[str, str]
    api: httpx.Client

    def get(self, path: str) -> Any:
        answer = self.api.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def model_url() -> Generator[str]:
    """A real, small language model in place of hosted vLLM."""
    with model_server.running(free_port()) as url:
        yield url


@pytest.fixture(scope="module")
def deployed(model_url: str, tmp_path_factory: pytest.TempPathFactory) -> Generator[Deployment]:
    """The stack, built and deployed as the guide says, for this machine's processor."""
    architecture = needs(emulator.architecture)
    needs(ministack.installed)
    build = tmp_path_factory.mktemp("sam") / "build"
    with ministack.running(tmp_path_factory.mktemp("cloud")) as cloud:
        with cloud.client("secretsmanager") as secrets:
            secret = secrets.create_secret(Name="vllm-token", SecretString=TOKEN)["ARN"]
        cloud.sam("build", "--build-dir", str(build), LLAMBDA_BUILD_ARCHITECTURE=architecture)
        values = {"VllmUrl": model_url, "VllmApiTokenSecretArn": secret, "Architecture": architecture}
        overrides = ["--parameter-overrides", *(f"{name}={value}" for name, value in values.items())]
        files = ["--template-file", str(build / "template.yaml"), "--config-file", str(ROOT / "samconfig.toml")]
        cloud.sam("deploy", *files, "--stack-name", STACK, "--no-confirm-changeset", *overrides)
        outputs = cloud.outputs(STACK)
        with httpx.Client(base_url=cloud.url(outputs["BaseUrl"]), timeout=60) as api:
            yield Deployment(cloud, outputs, api)


@pytest.fixture(scope="module")
def model(deployed: Deployment) -> str:
    """A model that the server behind the deployment lists."""
    listed = deployed.get("/v1/models")["data"]
    [id_] = [each["id"] for each in listed]
    assert id_ == f"vllm/{model_server.CHAT_MODEL}"
    return str(id_)


def ask(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 16, **more}


def test_template_is_valid_for_sam() -> None:
    needs(emulator.uv)
    assert "valid SAM Template" in ministack.sam("validate", "--lint")


def test_health_and_version_are_answered(deployed: Deployment) -> None:
    assert deployed.get("/v1/health") == {"status": "OK"}
    assert deployed.get("/v1/version")["version"]


def test_provider_is_healthy(deployed: Deployment) -> None:
    [provider] = deployed.get("/v1/providers")["data"]
    assert provider["health"]["status"] == "OK"


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


def test_every_route_that_is_inspected_reaches_a_function(deployed: Deployment) -> None:
    described = deployed.get("/openapi.json")["paths"]
    routes = [(method, path) for path, methods in described.items() for method in methods if method != "parameters"]
    assert len(routes) > 10
    for method, path in routes:
        answer = deployed.api.request(method, path.replace("{", "").replace("}", ""))
        assert "Missing Authentication Token" not in answer.text, f"{method} {path}"
        assert answer.status_code != 500, f"{method} {path}: {answer.text}"


def test_token_comes_from_the_secret_and_is_shown_nowhere(deployed: Deployment) -> None:
    with deployed.cloud.client("lambda") as functions:
        described = functions.get_function_configuration(FunctionName=deployed.outputs["InferenceFunctionArn"])
    assert described["Environment"]["Variables"]["VLLM_API_TOKEN"] == TOKEN
    assert TOKEN not in deployed.api.get("/v1/providers").text


def test_error_of_the_app_passes_the_gateway_unchanged(deployed: Deployment) -> None:
    answer = deployed.api.post("/v1/chat/completions", content=b"{", headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
