"""DynamoDB Local for the tests: one process for a run, a table for a test."""

import uuid

import pytest

from infra.local import dynamodb
from infra.local.parts import in_ci
from tests.parts.shared import SharedParts


@pytest.fixture(scope="session")
def dynamodb_endpoint(parts: SharedParts) -> str:
    """The URL of a ready DynamoDB Local; skips where it is not fetched, but fails in CI."""
    reason = dynamodb.unavailable()
    if reason is not None and in_ci():
        pytest.fail(f"DynamoDB Local is the referee of the store contract, and CI must have it: {reason}")
    if reason is not None:
        pytest.skip(f"no DynamoDB Local: {reason}")
    return parts.get(dynamodb.running)


@pytest.fixture
def aws_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials and a region that only DynamoDB Local takes, here and in child processes."""
    for name, value in dynamodb.CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)


@pytest.fixture
def registry_table(request: pytest.FixtureRequest, dynamodb_endpoint: str) -> str:
    """The name of a fresh, empty registry table, with the credentials to use it."""
    request.getfixturevalue("aws_credentials")
    name = f"registry-{uuid.uuid4().hex}"
    dynamodb.create_table(dynamodb_endpoint, name, range_key="sk")
    return name


@pytest.fixture
def quota_table(request: pytest.FixtureRequest, dynamodb_endpoint: str) -> str:
    """The name of a fresh, empty table of counters, with the credentials to use it."""
    request.getfixturevalue("aws_credentials")
    name = f"quota-{uuid.uuid4().hex}"
    dynamodb.create_table(dynamodb_endpoint, name)
    return name


@pytest.fixture
def state_table(request: pytest.FixtureRequest, dynamodb_endpoint: str) -> str:
    """The name of a fresh, empty table of answers, with the credentials to use it."""
    request.getfixturevalue("aws_credentials")
    name = f"state-{uuid.uuid4().hex}"
    dynamodb.create_table(dynamodb_endpoint, name, range_key="sk")
    return name
