"""`llambda iam --lookup` asks the control plane, over a real socket, what an id stands for and whose account it is."""

from collections.abc import Callable, Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import json
from pathlib import Path
import threading
from typing import Any, Final, override
from urllib.parse import unquote

import pytest
import yaml

from core.cli.main import main

ACCOUNT: Final = "123456789012"
MODEL: Final = "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-v1:0"
BEHIND: Final = ["arn:aws:bedrock:us-east-1::foundation-model/claude", "arn:aws:bedrock:::foundation-model/claude"]
SYSTEM: Final = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:inference-profile/us.claude"
OWN: Final = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:application-inference-profile/abc123"
IDENTITY: Final = f"""<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
<Arn>arn:aws:iam::{ACCOUNT}:user/me</Arn><UserId>AIDA</UserId><Account>{ACCOUNT}</Account></GetCallerIdentityResult>
</GetCallerIdentityResponse>"""


def profile(arn: str) -> dict[str, Any]:
    return {
        "inferenceProfileArn": arn,
        "inferenceProfileId": arn.rpartition("/")[2],
        "models": [{"modelArn": each} for each in BEHIND],
    }


ANSWERS: Final[dict[str, dict[str, Any]]] = {
    "/inference-profiles/us.claude": profile(SYSTEM),
    f"/inference-profiles/{OWN}": profile(OWN),
    "/foundation-models/amazon.nova-v1:0": {"modelDetails": {"modelArn": MODEL, "modelId": "amazon.nova-v1:0"}},
}


class ControlPlane(BaseHTTPRequestHandler):
    """Bedrock's and STS's; what it does not know is not there, or is refused with `refusal`."""

    refusal = (404, "ResourceNotFoundException")
    asked: list[str]

    def do_GET(self) -> None:
        path = unquote(self.path)
        self.asked.append(path)
        if path in ANSWERS:
            self._answer(200, json.dumps(ANSWERS[path]))
        else:
            code, kind = self.refusal
            self._answer(code, json.dumps({"message": "it is not for you"}), kind)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.asked.append("sts")
        self._answer(200, IDENTITY)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        del format, args

    def _answer(self, code: int, body: str, kind: str = "") -> None:
        self.send_response(code)
        self.send_header("content-length", str(len(body)))
        if kind:
            self.send_header("x-amzn-errortype", kind)
        self.end_headers()
        self.wfile.write(body.encode())


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Generator[type[ControlPlane]]:
    class Cloud(ControlPlane):
        asked: list[str] = []  # noqa: RUF012 - one list for each test

    with ThreadingHTTPServer(("127.0.0.1", 0), Cloud) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        for service in ("BEDROCK", "STS"):
            monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", f"http://127.0.0.1:{server.server_port}")
        variables = {
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "s3cret-of-the-tests",
            "AWS_CONFIG_FILE": str(tmp_path / "none"),
            "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
            "AWS_MAX_ATTEMPTS": "1",
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield Cloud
        server.shutdown()
        thread.join()


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., str]:
    """A run config with these models."""

    def write(*models: dict[str, Any], **provider: Any) -> str:
        bedrock = {
            "provider_id": "b",
            "provider_type": "remote::bedrock",
            "config": {"region_name": "us-east-1"} | provider,
        }
        store = {"type": "sqlite", "db_path": str(tmp_path / "registry.db")}
        entries = [{"model_id": f"m{number}", "provider_id": "b", **each} for number, each in enumerate(models)]
        document = {"version": 2, "image_name": "t", "providers": {"inference": [bedrock]}, "models": entries}
        path = tmp_path / "run.yaml"
        path.write_text(yaml.safe_dump(document | {"metadata_store": store}))
        return str(path)

    return write


def named(*names: str) -> list[dict[str, Any]]:
    return [{"provider_model_id": name} for name in names]


def statements(printed: str) -> dict[str, dict[str, Any]]:
    return {each["Sid"]: each for each in json.loads(printed)["Statement"]}


def test_models_and_profiles_are_told_apart_and_the_account_is_found(
    cloud: type[ControlPlane], config: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["iam", config(*named("amazon.nova-v1:0", "us.claude", OWN)), "--lookup"]) == 0
    printed = capsys.readouterr()
    found = statements(printed.out)
    assert found["CallModels"]["Resource"] == sorted([MODEL, SYSTEM, OWN])
    assert found["CallModelsBehindProfiles"]["Resource"] == sorted(BEHIND)
    assert found["CallModelsBehindProfiles"]["Condition"] == {
        "StringEquals": {"bedrock:InferenceProfileArn": sorted([SYSTEM, OWN])}
    }
    assert printed.err == ""
    assert "sts" in cloud.asked


def test_what_is_said_already_is_not_asked(
    cloud: type[ControlPlane], config: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    told = {"provider_model_id": "us.other", "metadata": {"inference_profile": {"models": BEHIND}}}
    assert main(["iam", config(*named(MODEL), told), "--lookup", "--account", ACCOUNT]) == 0
    assert f"arn:aws:bedrock:us-east-1:{ACCOUNT}:inference-profile/us.other" in capsys.readouterr().out
    assert cloud.asked == []


def test_without_the_option_nothing_is_asked(
    cloud: type[ControlPlane], config: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["iam", config(*named("us.claude")), "--account", ACCOUNT]) == 0
    assert "may be a model or an inference profile" in capsys.readouterr().err
    assert cloud.asked == []


def test_a_role_is_looked_up_in_its_own_account(
    cloud: type[ControlPlane], config: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    role = "arn:aws:iam::210987654321:role/bedrock"
    assert main(["iam", config(*named("us.claude"), role_arn=role), "--lookup", "--role", role]) == 0
    found = statements(capsys.readouterr().out)
    assert found["CallModels"]["Resource"] == [SYSTEM.replace(ACCOUNT, "210987654321")]
    assert "sts" not in cloud.asked


def test_what_a_role_calls_is_not_looked_up_for_the_function(
    cloud: type[ControlPlane], config: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    role = "arn:aws:iam::210987654321:role/bedrock"
    assert main(["iam", config(*named("nobody"), role_arn=role), "--lookup"]) == 0
    assert list(statements(capsys.readouterr().out)) == ["AssumeRoles"]
    assert cloud.asked == []


@pytest.mark.parametrize("refusal", [(404, "ResourceNotFoundException"), (400, "ValidationException")])
def test_an_unknown_name_is_a_mistake_of_the_config(
    cloud: type[ControlPlane],
    config: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
    refusal: tuple[int, str],
) -> None:
    cloud.refusal = refusal
    assert main(["iam", config(*named("nobody", "nothing")), "--lookup"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "2 problems" in printed.err
    assert "model `nobody`: Bedrock knows no model or profile of this name in us-east-1" in printed.err


def test_a_refusal_by_aws_is_a_failure_that_is_said(
    cloud: type[ControlPlane], config: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.refusal = (403, "AccessDeniedException")
    assert main(["iam", config(*named("nobody")), "--lookup"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "AccessDeniedException" in printed.err
    assert "s3cret" not in printed.err


def test_an_unreachable_aws_is_a_failure_that_is_said(
    cloud: type[ControlPlane],
    config: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK", "http://127.0.0.1:1")
    assert main(["iam", config(*named("us.claude")), "--lookup"]) == 1
    assert "Could not connect" in capsys.readouterr().err
    assert cloud.asked == []


def test_an_unknown_region_is_a_mistake_before_anything_is_asked(
    cloud: type[ControlPlane],
    config: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    assert main(["iam", config(*named("us.claude"), region_name=None), "--lookup"]) == 2
    assert "its region is not known" in capsys.readouterr().err
    assert cloud.asked == []
