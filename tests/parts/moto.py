"""moto's stand-ins for AWS as one process for a run: S3 buckets and SQS queues, fresh for each test that asks for one."""

import atexit
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
import json
from pathlib import Path
import sys
from tempfile import TemporaryDirectory
from typing import Any
import uuid

from botocore.loaders import create_loader
from botocore.session import Session
import pytest

from core.stores.queue.port import MOST_RECEIVES
from infra.local.dynamodb import CREDENTIALS, REGION
from infra.local.ports import free_port
from tests.parts.processes import answering
from tests.parts.shared import SharedParts

LOADER = create_loader()  # which remembers what it has read of a service


@dataclass(frozen=True, slots=True)
class SqsQueue:
    """URLs of a queue, and of the one that has its dead letters."""

    url: str
    dead_letters: str


@contextmanager
def running() -> Generator[str]:
    """The URL of a ready moto server, which takes any credentials."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", str(port)]
    url = f"http://127.0.0.1:{port}"
    with TemporaryDirectory() as folder, answering(command, url, Path(folder) / "log"):
        yield url


@pytest.fixture(scope="session")
def moto_endpoint(parts: SharedParts) -> str:
    return parts.get(running)


@contextmanager
def aws_client(service: str, endpoint: str, region: str = REGION) -> Generator[Any]:
    """The SDK's synchronous client, to look at what is there past our own code; it takes long to make, and is kept."""
    yield _kept_client(service, endpoint, region)


@cache
def _kept_client(service: str, endpoint: str, region: str) -> Any:
    session = Session()
    session.register_component("data_loader", LOADER)
    session.set_credentials(CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"])
    create: Any = session.create_client  # typed for the services alone whose stubs are installed
    client = create(service, region_name=region, endpoint_url=endpoint)
    atexit.register(client.close)
    return client


@pytest.fixture
def bucket(request: pytest.FixtureRequest, moto_endpoint: str) -> str:
    """The name of a fresh, empty S3 bucket at `moto_endpoint`, with the credentials to use it."""
    request.getfixturevalue("aws_credentials")
    name = f"blobs-{uuid.uuid4().hex}"
    with aws_client("s3", moto_endpoint) as s3:
        s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def sqs_queue(request: pytest.FixtureRequest, moto_endpoint: str) -> SqsQueue:
    """A fresh, empty standard queue with its dead letters as in template.yaml, with the credentials to use it."""
    request.getfixturevalue("aws_credentials")
    name = f"work-{uuid.uuid4().hex}"
    with aws_client("sqs", moto_endpoint) as sqs:
        dead_letters = sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=dead_letters, AttributeNames=["QueueArn"])["Attributes"]
        redrive = {"deadLetterTargetArn": attributes["QueueArn"], "maxReceiveCount": str(MOST_RECEIVES)}
        url = sqs.create_queue(QueueName=name, Attributes={"RedrivePolicy": json.dumps(redrive)})["QueueUrl"]
    return SqsQueue(url, dead_letters)
