"""A stand-in for AWS on loopback: CloudFormation with SAM, API Gateway, Lambda, DynamoDB, Cognito, S3.

What it does otherwise than AWS, as of 1.5.33: it runs a function with its own Python, whatever the
template's runtime, with its own packages behind the function's; methods named ANY vanish, and a media
type is not read as CloudFormation escapes it, and a number of a parameter is text to its SQS poller, so a template is adapted to it; a changed API is another
API, with another URL; gateway responses in an API's OpenAPI body, where SAM writes them, are ignored, so
what no path takes is a 403 with its own body; a `www-authenticate` of a function keeps its name; `path` in an event is
decoded; nothing streams; a function has no VPC, whatever its template says; any credentials do, and neither policies nor rules are enforced; Cognito's
tokens and keys are given out here, whatever the issuer in them. An MQTT listener on all interfaces is switched off here.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
import hashlib
import json
import os
from pathlib import Path
import subprocess
import sys
from tempfile import TemporaryDirectory
from typing import Any, Final, get_args

import botocore.session

from core.cli.deploy.template import read
from core.frame.operations import Method
from infra.local.ports import free_port
from tests.architecture.template import ANY
from tests.lambda_.emulator import ROOT, SAM, Missing, uv
from tests.parts.processes import answering

LOCK: Final = ROOT / "locks" / "ministack.txt"
HOME: Final = ROOT / ".venv-ministack"
REGION: Final = "us-east-1"
CREDENTIALS: Final = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": REGION}
READY_SECONDS: Final = 30.0
SAM_SECONDS: Final = 600.0


def adapt(template: Path, target: Path) -> None:
    """Write a template as this cloud reads it: every path with the methods that a route may have."""
    document = read(template).document
    api = document["Resources"]["Api"]["Properties"]
    methods = [method.lower() for method in get_args(Method.__value__)]
    paths = api["DefinitionBody"]["paths"]
    api["DefinitionBody"]["paths"] = {path: dict.fromkeys(methods, item[ANY]) for path, item in paths.items()}
    api["BinaryMediaTypes"] = [name.replace("~1", "/") for name in api["BinaryMediaTypes"]]
    for function in document["Resources"].values():
        for source in function.get("Properties", {}).get("Events", {}).values():
            if "ScalingConfig" in source["Properties"]:
                source["Properties"]["ScalingConfig"] = {"MaximumConcurrency": 2}
    target.write_text(json.dumps(document), "utf-8")


def installed() -> Path:
    """The ministack command, installed from the lock when it is not there; raises Missing."""
    stamp, wanted = HOME / "lock.sha256", hashlib.sha256(LOCK.read_bytes()).hexdigest()
    command = HOME / "bin" / "ministack"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        steps = (
            ["venv", "--quiet", "--clear", "--python", sys.executable, str(HOME)],
            ["pip", "install", "--quiet", "--python", str(HOME), "--require-hashes", "-r", str(LOCK)],
        )
        for step in steps:
            done = subprocess.run([uv(), *step], cwd=ROOT, check=False, capture_output=True, text=True)
            if done.returncode != 0:
                raise Missing(f"ministack cannot be installed: {done.stderr.strip().partition('\n')[0]}")
        stamp.write_text(wanted, encoding="utf-8")
    return command


@dataclass(frozen=True, slots=True)
class Cloud:
    endpoint: str

    def client(self, service: str) -> Any:
        session = botocore.session.get_session()
        session.set_credentials(CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"])
        return closing(session.create_client(service, region_name=REGION, endpoint_url=self.endpoint))

    def sam(self, *arguments: str, **environment: str) -> str:
        """Run the SAM CLI in this checkout against this cloud; returns what it prints."""
        return sam(*arguments, **{"AWS_ENDPOINT_URL": self.endpoint, **environment})

    def llambda(self, checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The `llambda` command of a checkout, against this cloud, with nobody to ask."""
        return subprocess.run(
            [sys.executable, "-m", "core.cli.main", *arguments],
            cwd=checkout,
            env={**_environment(), "AWS_ENDPOINT_URL": self.endpoint},
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SAM_SECONDS,
        )

    def outputs(self, stack: str) -> dict[str, str]:
        with self.client("cloudformation") as client:
            [described] = client.describe_stacks(StackName=stack)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}

    def resources(self, stack: str) -> dict[str, str]:
        """The physical id of each resource."""
        with self.client("cloudformation") as client:
            described = client.describe_stack_resources(StackName=stack)["StackResources"]
        return {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in described}

    def url(self, base_url: str) -> str:
        """Where this cloud serves the API that AWS would serve at `https://ID.execute-api.REGION.../STAGE`."""
        host, _, stage = base_url.removeprefix("https://").partition("/")
        return f"{self.endpoint}/restapis/{host.partition('.')[0]}/{stage}/_user_request_"


def sam(*arguments: str, **environment: str) -> str:
    """Run the SAM CLI in this checkout; returns what it prints, fails with it."""
    done = subprocess.run(
        [uv(), *SAM, "sam", *arguments],
        cwd=ROOT,
        env={**_environment(), **environment},
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SAM_SECONDS,
    )
    assert done.returncode == 0, f"sam {' '.join(arguments)}\n{done.stdout}"
    return done.stdout


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LLAMBDA_"))}
    return {**kept, **CREDENTIALS, "SAM_CLI_TELEMETRY": "0", "AWS_CONFIG_FILE": os.devnull}


@contextmanager
def running() -> Iterator[Cloud]:
    """A ready, empty cloud for the length of a `with` block."""
    port = free_port()
    own = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "IOT_MTLS_ENABLED": "0"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LLAMBDA_"))}
    cloud = Cloud(f"http://127.0.0.1:{port}")
    with TemporaryDirectory() as name:
        env = {**kept, **own, "TMPDIR": name}
        with answering([str(installed())], cloud.endpoint, Path(name) / "log", cwd=name, env=env):
            yield cloud
