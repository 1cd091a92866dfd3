"""The local language model for the tests: one chat server and one embedding server for a run."""

from collections.abc import Generator

import pytest

from infra.local import model_server as servers
from infra.local.dynamodb import free_port


@pytest.fixture(scope="session")
def model_server() -> Generator[str]:
    """The base URL, with /v1, of a real model that chats."""
    with servers.running(free_port()) as url:
        yield url


@pytest.fixture(scope="session")
def embedding_server() -> Generator[str]:
    """The base URL, with /v1, of a real model that embeds."""
    with servers.running(free_port(), embedding=True) as url:
        yield url
